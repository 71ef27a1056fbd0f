//! Buying a plan: a purchase waits for its buyer at a provider, and what the provider says then, not the browser that
//! comes back, makes the subscription active (SPEC §5).

use domain::id::{CustomerId, PlanId, PriceId, encode};
use domain::revenue::Interval;
use domain::subscription::When;
use providers::pay::{Failure, NewCheckout, PaymentProvider, RemoteStatus};
use serde_json::json;
use store::checkout::CheckoutRow;
use store::gate::Idempotency;
use store::subscription::SubscriptionRow;

use super::subscription::{self, Note, Origin, Wanted, terms_of};
use super::tenant::Price;
use super::{audit, close, coupon, creation, credential, price, provider};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// How long an approval may wait, in seconds.
const OPEN_SECONDS: i64 = 30 * 60;
/// For so long another request leaves the call to the provider to the one that began it, in seconds.
const BEGINS_SECONDS: i64 = 30;

/// The state of a purchase whose place a later one has taken.
const SUPERSEDED: &str = "superseded";

/// What somebody wants to buy.
#[derive(Debug, Clone)]
pub struct Order {
    /// The plan's name in URLs.
    pub plan: String,
    /// How often it is paid.
    pub interval: Interval,
    /// Through whom; the tenant's preferred provider otherwise.
    pub provider: Option<String>,
    /// A coupon to redeem.
    pub coupon: Option<String>,
    /// Where the buyer's browser goes afterwards, without the purchase's id.
    pub return_url: String,
}

/// What buying came to.
pub enum Bought {
    /// It costs nothing and is active at once.
    Active,
    /// It costs nothing, and takes the place of what is paid for when that period ends.
    Planned,
    /// It waits for its buyer. Says also whether this is the answer to an earlier request.
    Waits(Box<CheckoutRow>, bool),
}

/// Begins a purchase.
pub async fn begin(cx: &Cx, customer: &CustomerId, order: &Order, identity: Option<&Idempotency>) -> Result<Bought> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.clone().with_tenant(tenant);
    let price = price_of(cx, customer, order).await?;
    refuse_the_same(cx, customer, &price).await?;
    let coupon = match &order.coupon {
        Some(_) if price.amount.minor == 0 => {
            return Err(Error::field("/coupon", "leave it out: the plan costs nothing"));
        }
        Some(code) => Some(coupon::wanted(cx, customer, code, (&order.plan, price.amount)).await?.code),
        None => None,
    };
    if price.amount.minor == 0 {
        let wanted = wanted(cx, customer, (&price.plan, &price.id), (Origin::default(), "free_plan")).await?;
        let wanted = Wanted { when: When::Usual, ..wanted };
        close::catch_up(cx, customer).await?;
        let mut tx = cx.app.db.begin().await?;
        let life = subscription::put_on(&mut tx, cx, customer, &wanted).await?;
        tx.commit().await?;
        return Ok(if life.state.terms == wanted.terms { Bought::Active } else { Bought::Planned });
    }
    credential::must_be_proven(cx).await?;
    let provider = provider::named(cx, order.provider.as_deref())?;
    let id = PriceId::stored(price.id.as_str());
    let remote_plan = provider::ensure(cx, &*provider, &id).await?;
    let (row, new) = open(cx, customer, (&price, provider.name(), coupon), identity).await?;
    if row.approval_url.is_some() {
        return Ok(Bought::Waits(Box::new(row), !new));
    }
    if !new && row.created_at > cx.tenant_now().plus_seconds(-BEGINS_SECONDS).as_micros() {
        let detail = "The first request for this purchase is still running; try again shortly.";
        return Err(Error::new(Code::IdempotencyInFlight, detail).retry_after(1));
    }
    let return_url = format!("{}?checkout={}", order.return_url, row.checkout_id);
    let wanted = NewCheckout { reference: row.checkout_id.clone(), plan: remote_plan, return_url };
    let remote = approval(&*provider, &wanted).await.map_err(told)?;
    let mut tx = cx.app.db.begin().await?;
    let place = (remote.id.as_str(), remote.approval_url.as_str());
    let open = store::checkout::note_remote(&mut tx, cx.tenant.id(), &row.checkout_id, place).await?;
    if !open {
        provider::end_later(&mut tx, cx, (provider.name(), &remote.id)).await?;
    }
    tx.commit().await?;
    if !open {
        let detail = "A later purchase has taken the place of this one, or it was answered meanwhile; look it up.";
        return Err(Error::new(Code::Taken, detail));
    }
    let row = CheckoutRow { remote_id: Some(remote.id), approval_url: Some(remote.approval_url), ..row };
    Ok(Bought::Waits(Box::new(row), !new))
}

async fn approval(
    provider: &dyn PaymentProvider,
    wanted: &NewCheckout,
) -> Result<providers::pay::RemoteCheckout, Failure> {
    match provider.find_checkout(&wanted.reference).await? {
        Some(made) => Ok(made),
        None => provider.create_checkout(wanted).await,
    }
}

fn told(failure: Failure) -> Error {
    match failure {
        Failure::Away(why) => {
            tracing::warn!(why, "a purchase could not be begun");
            Error::new(Code::ProviderSyncPending, "The payment provider does not answer; try again shortly.")
                .retry_after(5)
        }
        Failure::Refused(why) => {
            Error::new(Code::ProviderRefused, format!("The payment provider refused ({why}); nothing was charged."))
        }
    }
}

/// What the customer pays for the plan now: a price of its own, or what everybody new pays.
async fn price_of(cx: &Cx, customer: &CustomerId, order: &Order) -> Result<Price> {
    price_for(cx, customer, (&order.plan, order.interval)).await
}

/// The same of a plan and an interval.
pub async fn price_for(cx: &Cx, customer: &CustomerId, (plan, interval): (&str, Interval)) -> Result<Price> {
    let plan = cx.tenant.catalog.plan_by_slug(plan).filter(|plan| plan.active);
    let plan = plan.ok_or_else(|| Error::field("/plan", "name an active plan, such as the ones of GET /api/plans"))?;
    let mut own = Vec::new();
    for interval in Interval::ALL {
        let at = (interval.name(), cx.tenant.row.currency.as_str());
        own.extend(store::price::current(&cx.app.db, cx.tenant.id(), &plan.id, at, Some(customer)).await?);
    }
    if let Some(row) = own.iter().find(|row| row.interval == interval.name()) {
        let (plan, id, interval) = (row.plan_id.clone(), row.price_id.clone(), row.interval.clone());
        return Ok(Price { plan, id, interval, amount: price::amount(row)? });
    }
    if own.is_empty() && Interval::ALL.into_iter().all(|interval| cx.tenant.price(plan, interval).is_none()) {
        return Err(Error::field("/plan", "this plan's price is agreed with sales; use POST /api/contact-sales"));
    }
    let price = cx.tenant.price(plan, interval).cloned();
    price.ok_or_else(|| Error::field("/interval", "this plan is not sold so; use month or year as it offers"))
}

async fn refuse_the_same(cx: &Cx, customer: &CustomerId, price: &Price) -> Result<()> {
    let current = subscription::current(cx, customer).await?;
    let same = |row: &SubscriptionRow| row.plan_id == price.plan && row.price_id.as_deref() == Some(price.id.as_str());
    match current.filter(same).map(|row| row.status).as_deref() {
        Some("active") => Err(Error::new(Code::Taken, "The subscription is on this plan and price already.")),
        // What is paid for would be paid once more.
        Some("canceled" | "paused") => {
            let detail = "The subscription is on this plan and price; go on with it by POST /api/subscription/resume.";
            Err(Error::new(Code::Taken, detail))
        }
        _ => Ok(()),
    }
}

/// The open purchase of this, or a new one. Says whether it is new.
async fn open(
    cx: &Cx,
    customer: &CustomerId,
    (price, provider, coupon): (&Price, &str, Option<String>),
    identity: Option<&Idempotency>,
) -> Result<(CheckoutRow, bool)> {
    let tenant = cx.tenant.id();
    let now = cx.tenant_now();
    let id = PriceId::stored(price.id.as_str());
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        let row = store::checkout::find(&mut tx, tenant, &made).await?;
        return Ok((row.ok_or_else(|| Error::internal(format!("checkout {made} is gone")))?, false));
    }
    // A double click without a key is the same purchase, also when both clicks come at once.
    store::customer::lock(&mut tx, tenant, customer.as_str()).await?;
    let waiting =
        store::checkout::find_open(&mut tx, tenant, (customer, &id, provider), (coupon.as_deref(), now)).await?;
    let new = waiting.is_none();
    let row = match waiting {
        Some(row) => row,
        None => {
            let row = CheckoutRow {
                checkout_id: format!("chk_{}", encode(id_bits())),
                customer_id: customer.to_string(),
                plan_id: price.plan.clone(),
                price_id: price.id.clone(),
                provider: provider.to_owned(),
                state: "open".to_owned(),
                remote_id: None,
                approval_url: None,
                created_at: now.as_micros(),
                expires_at: now.plus_seconds(OPEN_SECONDS).as_micros(),
                coupon,
            };
            store::checkout::insert(&mut tx, tenant, &row).await?;
            let after = json!({ "customer": row.customer_id, "price": row.price_id, "provider": provider });
            let change =
                audit::Change { action: "checkout.began", target: &row.checkout_id, before: None, after: Some(after) };
            audit::write(&mut tx, cx, change).await?;
            row
        }
    };
    for (provider, remote) in store::checkout::supersede(&mut tx, tenant, (customer, &row.checkout_id)).await? {
        if let Some(remote) = remote {
            provider::end_later(&mut tx, cx, (&provider, &remote)).await?;
        }
    }
    creation::note(&mut tx, cx, identity, &row.checkout_id).await?;
    tx.commit().await?;
    Ok((row, new))
}

/// What a purchase comes to: terms, and how they are noted. Read before anything is written.
async fn wanted(
    cx: &Cx,
    customer: &CustomerId,
    (plan, price): (&str, &str),
    (origin, cause): (Origin, &'static str),
) -> Result<Wanted> {
    let row = store::price::find(&cx.app.db, cx.tenant.id(), price).await?;
    let terms = terms_of(&row.ok_or_else(|| Error::internal(format!("price {price} is gone")))?)?;
    let trial_days = cx.tenant.catalog.plans.get(&PlanId::stored(plan)).map_or(0, |plan| plan.trial_days);
    let allowances = subscription::ask::allowances(cx, customer, Some(&terms.plan)).await?;
    let collected = origin.provider.is_some();
    let note = Note { cause: Some(cause), collected, ..Note::default() };
    let discount = match &origin.coupon {
        Some(code) => {
            let row = store::coupon::find(&cx.app.db, cx.tenant.id(), code).await?;
            row.map(|row| subscription::discount(&row, cx.tenant_now())).transpose()?
        }
        None => None,
    };
    Ok(Wanted { terms, when: When::Now, trial_days, allowances, origin, discount, note })
}

/// A purchase as it stands now, for who may see it: one that is open is looked up at its provider first. What comes of
/// that is the provider's doing, whoever looks.
pub async fn look_up(cx: &Cx, id: &str) -> Result<CheckoutRow> {
    let unknown = || Error::new(Code::NotFound, "There is no such checkout; begin one with POST /api/checkout.");
    if id.contains('\0') {
        return Err(unknown());
    }
    let row = store::checkout::find(&cx.app.db, cx.tenant.id(), id).await?.ok_or_else(unknown)?;
    if cx.actor.own_customer().is_some_and(|own| own.as_str() != row.customer_id) {
        return Err(unknown());
    }
    let cx = &Cx::system(&cx.app, &cx.tenant, &cx.request_id);
    if row.state == SUPERSEDED {
        return given_up(cx, row).await;
    }
    let Some(remote) = row.remote_id.clone().filter(|_| row.state == "open") else { return Ok(row) };
    let provider = provider::named(cx, Some(&row.provider))?;
    let state = match provider.status(&remote).await.map_err(told)? {
        RemoteStatus::Active => "completed",
        RemoteStatus::Ended => "declined",
        // Only shown, never written: who approves late has paid, and gets what was bought.
        RemoteStatus::Pending if cx.tenant_now().as_micros() >= row.expires_at => {
            return Ok(CheckoutRow { state: "expired".to_owned(), ..row });
        }
        RemoteStatus::Pending => return Ok(row),
    };
    conclude(cx, row, state).await
}

/// A purchase whose place a later one has taken. Who approves it all the same, before the provider was told, is charged
/// nothing: it ends there now, and not when a job comes to it.
async fn given_up(cx: &Cx, row: CheckoutRow) -> Result<CheckoutRow> {
    if let Some(remote) = &row.remote_id {
        let provider = provider::named(cx, Some(&row.provider))?;
        if provider.status(remote).await.map_err(told)? != RemoteStatus::Ended {
            provider.end(remote).await.map_err(told)?;
        }
    }
    Ok(row)
}

/// Whether a later purchase has taken the place of one.
pub async fn is_superseded(cx: &Cx, id: &str) -> Result<bool> {
    let row = store::checkout::find(&cx.app.db, cx.tenant.id(), id).await?;
    Ok(row.is_some_and(|row| row.state == SUPERSEDED))
}

/// Ends a purchase, once, and gives the buyer what was bought.
async fn conclude(cx: &Cx, row: CheckoutRow, state: &'static str) -> Result<CheckoutRow> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.clone().with_tenant(tenant);
    let customer = CustomerId::stored(row.customer_id.as_str());
    let origin = Origin {
        provider: Some(row.provider.clone()),
        provider_subscription: row.remote_id.clone(),
        coupon: row.coupon.clone(),
    };
    let mut wanted = wanted(cx, &customer, (&row.plan_id, &row.price_id), (origin, "checkout")).await?;
    close::catch_up(cx, &customer).await?;
    let mut tx = cx.app.db.begin().await?;
    if store::checkout::end(&mut tx, cx.tenant.id(), &row.checkout_id, state).await? {
        if state == "completed" {
            if let Some(code) = &row.coupon {
                // It could be redeemed when the purchase began, and its buyer approved what was shown then.
                if !store::coupon::redeem(&mut tx, cx.tenant.id(), (code, &customer), cx.tenant_now()).await? {
                    // It was redeemed with something else meanwhile, and counts once for a customer.
                    (wanted.discount, wanted.origin.coupon) = (None, None);
                }
            }
            subscription::put_on(&mut tx, cx, &customer, &wanted).await?;
        }
        let after = json!({ "state": state, "plan": row.plan_id, "price": row.price_id });
        let before = json!({ "state": "open" });
        let change = audit::Change {
            action: "checkout.ended",
            target: &row.checkout_id,
            before: Some(before),
            after: Some(after),
        };
        audit::write(&mut tx, cx, change).await?;
        tx.commit().await?;
    }
    let row = store::checkout::find(&cx.app.db, cx.tenant.id(), &row.checkout_id).await?;
    row.ok_or_else(|| Error::internal("a checkout is gone"))
}
