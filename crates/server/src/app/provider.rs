//! Price versions at payment providers: exactly one remote plan for each, whatever crashes, times out or is asked twice.
//!
//! An intent row is written with the price; a job calls the provider and notes what it answered. Whoever calls has the
//! row alone for a while, and looks first whether an earlier call has made the plan already.

use std::sync::Arc;

use domain::event::Kind;
use domain::id::{JobId, PriceId};
use domain::money::{Currency, Money};
use domain::revenue::Interval;
use domain::time::Timestamp;
use providers::pay::{Failure, NewPlan, PaymentProvider};
use serde::{Deserialize, Serialize};
use store::db::Tx;
use store::provider::ProviderPriceRow;

use super::sandbox::{self, Sandbox};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// The kind of the job that brings a price version to a provider.
pub const SYNC: &str = "sync_price";
/// The kind of the job that ends a subscription at a provider.
pub const END: &str = "end_remote";
/// For so long one caller is alone with a price version, in seconds; longer than any call to a provider takes.
const LEASE_SECONDS: i64 = 60;

/// The providers that a tenant can sell through, the preferred one first.
pub fn of_tenant(cx: &Cx) -> Vec<Arc<dyn PaymentProvider>> {
    if cx.tenant.row.mode == "sandbox" {
        return vec![Arc::new(Sandbox::new(&cx.app, cx.tenant.id()))];
    }
    Vec::new()
}

/// The provider of a name, or the preferred one.
pub fn named(cx: &Cx, name: Option<&str>) -> Result<Arc<dyn PaymentProvider>> {
    let known = of_tenant(cx);
    let names = known.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(", ");
    let found = known.into_iter().find(|provider| name.is_none_or(|name| provider.name() == name));
    found.ok_or_else(|| {
        let none = "no payment provider is set up for this tenant yet";
        let detail = if names.is_empty() { none.to_owned() } else { format!("use one of {names}, or leave it out") };
        Error::field("/provider", detail)
    })
}

/// Which price version at which provider, as the job carries it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Target {
    provider: String,
    price: String,
}

/// Writes that a price version takes the place of another, or is new, or ends: the jobs that tell each provider come
/// with the change, or not at all.
pub async fn price_changed(tx: &mut Tx, cx: &Cx, old: Option<&PriceId>, new: Option<(&PriceId, Money)>) -> Result<()> {
    let tenant = cx.tenant.id();
    if let Some(price) = old {
        store::provider::retire(tx, tenant, price, cx.now).await?;
    }
    for provider in of_tenant(cx) {
        // A price of nothing is never paid, so no provider needs to know it.
        if let Some((price, _)) = new.filter(|(_, amount)| amount.minor > 0) {
            store::provider::intend(tx, tenant, (provider.name(), price), cx.now).await?;
            push(tx, cx, (provider.name(), price), "make").await?;
        }
        if let Some(price) = old {
            push(tx, cx, (provider.name(), price), "retire").await?;
        }
    }
    Ok(())
}

/// Writes the intent and the job for every price that is sold and that a provider has not been told of: those of a
/// catalog that came otherwise than by an edit.
pub async fn find_unsynced(cx: &Cx) -> Result<()> {
    for provider in of_tenant(cx) {
        let missing = store::provider::missing(&cx.app.db, cx.tenant.id(), provider.name()).await?;
        if missing.is_empty() {
            continue;
        }
        let mut tx = cx.app.db.begin().await?;
        for price in missing {
            store::provider::intend(&mut tx, cx.tenant.id(), (provider.name(), &price), cx.now).await?;
            push(&mut tx, cx, (provider.name(), &price), "make").await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

async fn push(tx: &mut Tx, cx: &Cx, (provider, price): (&str, &PriceId), why: &str) -> Result<()> {
    let target = Target { provider: provider.to_owned(), price: price.to_string() };
    let payload = serde_json::to_string(&target).map_err(Error::internal)?;
    let once = format!("{provider}/{price}/{why}");
    let id = JobId::from_bits(id_bits());
    store::job::push(tx, cx.tenant.id(), (&id, SYNC, &payload), (&once, cx.now)).await?;
    Ok(())
}

/// A subscription at a provider that nobody pays through any more.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    provider: String,
    remote: String,
}

/// Ends a subscription at its provider once the transaction has committed, however often that is away.
pub async fn end_later(tx: &mut Tx, cx: &Cx, (provider, remote): (&str, &str)) -> Result<()> {
    let left = Left { provider: provider.to_owned(), remote: remote.to_owned() };
    let payload = serde_json::to_string(&left).map_err(Error::internal)?;
    let (id, once) = (JobId::from_bits(id_bits()), format!("{provider}/{remote}"));
    store::job::push(tx, cx.tenant.id(), (&id, END, &payload), (&once, cx.now)).await?;
    Ok(())
}

/// Ends what the job names, unless somebody pays through it again.
pub async fn end(cx: &Cx, payload: &str) -> Result<()> {
    let left: Left = serde_json::from_str(payload).map_err(Error::internal)?;
    // What came from elsewhere ends where it is managed.
    let Ok(provider) = named(cx, Some(&left.provider)) else { return Ok(()) };
    if store::subscription::is_paid_through(&cx.app.db, cx.tenant.id(), (&left.provider, &left.remote)).await? {
        return Ok(());
    }
    match provider.end(&left.remote).await {
        Ok(()) => Ok(()),
        Err(Failure::Away(why) | Failure::Refused(why)) => Err(Error::internal(why)),
    }
}

/// Does what the job asks; answers when to come back, if it is not done.
pub async fn sync(cx: &Cx, payload: &str) -> Result<Option<Timestamp>> {
    let target: Target = serde_json::from_str(payload).map_err(Error::internal)?;
    let Ok(provider) = named(cx, Some(&target.provider)) else { return Ok(None) };
    let price = PriceId::stored(target.price.as_str());
    match bring(cx, &*provider, &price).await {
        Ok(Brought::Done(_) | Brought::Nothing) => Ok(None),
        Ok(Brought::Later(at)) => Ok(Some(at)),
        // A refused price waits for somebody to try it again; one that is to end is tried until it has.
        Err(error) if error.code == Code::ProviderRefused => {
            let row = store::provider::find(&cx.app.db, cx.tenant.id(), (provider.name(), &price)).await?;
            if row.is_some_and(|row| row.state == "failed") { Ok(None) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// What one try came to.
enum Brought {
    /// The row as it is now.
    Done(ProviderPriceRow),
    /// Open approvals still need the old plan.
    Later(Timestamp),
    /// The provider never was to know it, and does not.
    Nothing,
}

/// The provider's id of a price version that is sold: made now if the job has not come to it yet.
pub async fn ensure(cx: &Cx, provider: &dyn PaymentProvider, price: &PriceId) -> Result<String> {
    let pending = |why: &str| {
        let detail = format!("The payment provider does not know this price yet ({why}); try again shortly.");
        Error::new(Code::ProviderSyncPending, detail).retry_after(2)
    };
    let known = store::provider::find(&cx.app.db, cx.tenant.id(), (provider.name(), price)).await?;
    let row = match known.filter(|row| row.state == "synced") {
        Some(row) => row,
        None => match bring(cx, provider, price).await {
            Ok(Brought::Done(row)) => row,
            Ok(Brought::Later(_)) => return Err(pending("it is being given up")),
            Ok(Brought::Nothing) => return Err(pending("it is not sold any more")),
            Err(error) if error.code == Code::ProviderRefused => return Err(pending(&error.detail)),
            Err(error) => return Err(error),
        },
    };
    row.remote_id.filter(|_| row.state == "synced").ok_or_else(|| pending(&row.state))
}

/// Brings one price version to a provider, or ends it there.
async fn bring(cx: &Cx, provider: &dyn PaymentProvider, price: &PriceId) -> Result<Brought> {
    let tenant = cx.tenant.id();
    let place = (provider.name(), price);
    let now = cx.now;
    let mut tx = cx.app.db.begin().await?;
    store::provider::intend(&mut tx, tenant, place, now).await?;
    let alone = store::provider::lease(&mut tx, tenant, place, (now, now.plus_seconds(LEASE_SECONDS))).await?;
    let row = store::provider::find(&mut tx, tenant, place).await?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(Brought::Nothing) };
    if !alone {
        let detail = "The payment provider is being told of this price; try again shortly.";
        return Err(Error::new(Code::ProviderSyncPending, detail).retry_after(2));
    }
    let (called, was) = (call(cx, provider, price, &row).await, row.state);
    let mut tx = cx.app.db.begin().await?;
    let later = match &called {
        Ok(Called::Made(remote)) => {
            store::provider::note_remote(&mut tx, tenant, place, remote, now).await?;
            None
        }
        Ok(Called::Ended) => {
            store::provider::note_retired(&mut tx, tenant, place, now).await?;
            None
        }
        Ok(Called::Nothing) => None,
        Ok(Called::Wait(at)) => Some(*at),
        Err(failure) => {
            let for_good = matches!(failure, Failure::Refused(_));
            store::provider::note_failure(&mut tx, tenant, place, (&failure.to_string(), for_good), now).await?;
            None
        }
    };
    store::provider::give_back(&mut tx, tenant, place).await?;
    let row = store::provider::find(&mut tx, tenant, place).await?;
    if let Some(row) = row.as_ref().filter(|row| row.state != was) {
        let cause = format!("provider_price.{}", row.state);
        super::audit::told::tell_staff(&mut tx, cx, Kind::Price, (price.as_str(), &cause));
    }
    tx.commit().await?;
    match (called, later, row) {
        (Err(Failure::Refused(why)), ..) => Err(Error::new(Code::ProviderRefused, why)),
        (Err(Failure::Away(why)), ..) => {
            tracing::warn!(provider = provider.name(), %price, why, "a price could not be brought to its provider yet");
            Err(Error::new(Code::ProviderSyncPending, "The payment provider does not answer; try again shortly.")
                .retry_after(5))
        }
        (Ok(_), Some(at), _) => Ok(Brought::Later(at)),
        (Ok(_), None, Some(row)) => Ok(Brought::Done(row)),
        (Ok(_), None, None) => Err(Error::internal("a provider's price is gone")),
    }
}

/// What a call came to.
enum Called {
    Made(String),
    Ended,
    Nothing,
    Wait(Timestamp),
}

async fn call(
    cx: &Cx,
    provider: &dyn PaymentProvider,
    price: &PriceId,
    row: &ProviderPriceRow,
) -> Result<Called, Failure> {
    let away = |error: Error| Failure::Away(error.to_string());
    match row.state.as_str() {
        // It may have ended since it was to be made.
        "pending" if is_sold(cx, price).await.map_err(away)? => {
            // An earlier try may have come so far and no further.
            if let Some(made) = provider.find_plan(price.as_str()).await? {
                return Ok(Called::Made(made.id));
            }
            let plan = new_plan(cx, price).await.map_err(away)?;
            Ok(Called::Made(provider.create_plan(&plan).await?.id))
        }
        "pending" | "retiring" => {
            let place = (provider.name(), price);
            let open = store::checkout::open_until(&cx.app.db, cx.tenant.id(), place, cx.tenant_now()).await;
            if let Some(until) = open.map_err(|error| Failure::Away(error.to_string()))? {
                return Ok(Called::Wait(until.plus_micros(-cx.tenant.catalog.clock_offset)));
            }
            if let Some(made) = provider.find_plan(price.as_str()).await? {
                provider.deactivate_plan(&made.id).await?;
            }
            Ok(Called::Ended)
        }
        _ => Ok(Called::Nothing),
    }
}

/// Whether new subscriptions pay a price version, and pay something.
async fn is_sold(cx: &Cx, price: &PriceId) -> Result<bool> {
    let row = store::price::find(&cx.app.db, cx.tenant.id(), price.as_str()).await?;
    Ok(row.is_some_and(|row| row.active && row.amount_minor > 0))
}

async fn new_plan(cx: &Cx, price: &PriceId) -> Result<NewPlan> {
    let gone = || Error::internal(format!("price {price} is gone"));
    let row = store::price::find(&cx.app.db, cx.tenant.id(), price.as_str()).await?.ok_or_else(gone)?;
    let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
    let plan = cx.tenant.catalog.plans.get(&domain::id::PlanId::stored(row.plan_id.as_str()));
    Ok(NewPlan {
        reference: price.to_string(),
        name: plan.map_or(row.plan_id, |plan| plan.name.to_string()),
        interval: Interval::parse(&row.interval).ok_or_else(gone)?,
        amount: Money::new(row.amount_minor, currency),
    })
}

/// Tries a price again that its provider refused.
pub async fn retry(cx: &Cx, provider: &str, price: &PriceId) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    if !store::provider::revive(&mut tx, cx.tenant.id(), (provider, price), cx.now).await? {
        return Err(Error::new(Code::NotFound, "Only what has failed can be tried again; see its state."));
    }
    push(&mut tx, cx, (provider, price), &format!("retry {}", cx.now.as_micros())).await?;
    let change = super::audit::Change {
        action: "provider_price.retried",
        target: price.as_str(),
        before: None,
        after: Some(serde_json::json!({ "provider": provider })),
    };
    super::audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

/// What each provider knows of a plan's price versions, the newest first.
pub async fn of_plan(cx: &Cx, slug: &str) -> Result<Vec<ProviderPriceRow>> {
    let plan = store::plan::find(&cx.app.db, cx.tenant.id(), slug).await?.ok_or_else(super::plan::unknown)?;
    Ok(store::provider::of_plan(&cx.app.db, cx.tenant.id(), &plan.plan_id).await?)
}

/// Where each provider stands with a plan's newest prices: the least advanced of them.
pub async fn state_of_plan(cx: &Cx, plan: &str) -> Result<Vec<(String, String)>> {
    let rows = store::provider::of_plan(&cx.app.db, cx.tenant.id(), plan).await?;
    let state = |provider: &str| {
        let of = |state: &str| rows.iter().any(|row| row.provider == provider && row.state == state);
        if of("failed") {
            "failed"
        } else if of("pending") || of("retiring") {
            "pending"
        } else {
            "synced"
        }
    };
    Ok(of_tenant(cx).iter().map(|provider| (provider.name().to_owned(), state(provider.name()).to_owned())).collect())
}

/// Whether the tenant's sandbox can be used at all.
pub fn has_sandbox(cx: &Cx) -> bool {
    of_tenant(cx).iter().any(|provider| provider.name() == sandbox::NAME)
}
