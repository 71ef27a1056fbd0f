//! What an admin changes about one customer: limits of its own, credits, its plan, its name, whether it may use anything.
//! Each is one transaction with its audit entry, and the very next decision on any node is made with it.

use domain::catalog::FeatureKind;
use domain::entitlement::{Grant, Override};
use domain::id::{CustomerId, FeatureKey, GrantId, PriceId};
use domain::revenue::Interval;
use domain::subscription::{Command, When};
use domain::time::Timestamp;
use domain::usage::AMOUNT_MAX;
use serde_json::{Value, json};
use store::customer::EditedRow;
use store::db::Tx;
use store::gate::Idempotency;
use store::subscription::SubscriptionRow;

use super::revision::Expected;
use super::subscription::{Life, Note, Origin, Wanted, free, terms_of};
use super::{audit, close, creation, customer, directory, refusal, session, subscription, summary};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// An edit under way: the transaction, and the customer as it was.
struct Edit {
    cx: Cx,
    tx: Tx,
    row: EditedRow,
    id: CustomerId,
}

/// Begins an edit of a customer, checked against the revision that it was made from.
async fn begin(cx: &Cx, name: &str, expected: &Expected) -> Result<Edit> {
    let cx = directory::fresh(cx, cx.tenant.id()).await?;
    let id = CustomerId::stored(customer::get(&cx, name).await?.customer_id);
    let mut tx = cx.app.db.begin().await?;
    let row = store::customer::lock(&mut tx, cx.tenant.id(), id.as_str()).await?.ok_or_else(customer::unknown)?;
    expected.check(&cx, row.revision)?;
    Ok(Edit { cx, tx, row, id })
}

impl Edit {
    /// Writes the customer's row and the audit entry, and commits.
    async fn finish(mut self, action: &'static str, before: Option<Value>, after: Option<Value>) -> Result<String> {
        let cx = &self.cx;
        store::customer::update(&mut self.tx, cx.tenant.id(), &self.row).await?;
        store::customer::bump_version(&mut self.tx, cx.tenant.id(), &self.id, cx.tenant_now()).await?;
        let change = audit::Change { action, target: self.id.as_str(), before, after };
        audit::write(&mut self.tx, cx, change).await?;
        self.close().await
    }

    /// Commits what has its audit entry, and tells whoever looks.
    async fn close(self) -> Result<String> {
        let cx = &self.cx;
        self.tx.commit().await?;
        if let Err(error) = summary::after_change(cx, self.id.as_str()).await {
            // The job comes to it, too.
            tracing::warn!(%error, "a summary could not be made at once");
        }
        Ok(self.id.to_string())
    }
}

fn countable(cx: &Cx, feature: &FeatureKey) -> Result<()> {
    let known = cx.tenant.catalog.features.get(feature).ok_or_else(|| refusal::unknown_feature(cx, feature))?;
    if known.kind == FeatureKind::Flag {
        let detail = format!("{feature} is on or off and has no limit; change the customer's plan instead");
        return Err(Error::field("/feature", detail));
    }
    Ok(())
}

fn in_future(cx: &Cx, pointer: &str, at: Option<Timestamp>) -> Result<()> {
    if at.is_some_and(|at| at <= cx.tenant_now()) {
        return Err(Error::field(pointer, "name a time to come, or leave it out for no end"));
    }
    Ok(())
}

fn shown(own: &Override) -> Value {
    json!({ "feature": own.feature, "limitValue": own.limit, "until": own.until })
}

/// Gives a customer a limit of its own, in place of the plan's.
pub async fn put_override(cx: &Cx, name: &str, own: &Override, expected: &Expected) -> Result<String> {
    let mut edit = begin(cx, name, expected).await?;
    countable(&edit.cx, &own.feature)?;
    if own.limit.is_some_and(|limit| !(0..=AMOUNT_MAX).contains(&limit)) {
        return Err(Error::field("/limitValue", format!("use a whole number from 0 to {AMOUNT_MAX}, or null")));
    }
    in_future(&edit.cx, "/until", own.until)?;
    let tenant = edit.cx.tenant.id().clone();
    let before = store::customer::find_override(&mut edit.tx, &tenant, &edit.id, &own.feature).await?;
    store::customer::put_override(&mut edit.tx, &tenant, &edit.id, own).await?;
    edit.finish("override.set", before.as_ref().map(shown), Some(shown(own))).await
}

/// Takes a customer's own limit away, so that the plan's holds again.
pub async fn drop_override(cx: &Cx, name: &str, feature: &FeatureKey, expected: &Expected) -> Result<String> {
    let mut edit = begin(cx, name, expected).await?;
    let tenant = edit.cx.tenant.id().clone();
    let before = store::customer::find_override(&mut edit.tx, &tenant, &edit.id, feature).await?;
    if !store::customer::drop_override(&mut edit.tx, &tenant, &edit.id, feature).await? {
        return Err(Error::new(Code::NotFound, "The customer has no limit of its own for this feature."));
    }
    edit.finish("override.removed", before.as_ref().map(shown), None).await
}

/// Credits to give.
#[derive(Debug, Clone)]
pub struct Credits {
    /// What they add to.
    pub feature: FeatureKey,
    /// Units.
    pub amount: i64,
    /// When what is left of them is lost.
    pub expires_at: Option<Timestamp>,
    /// Why they are given.
    pub reason: String,
}

/// A line that people write, without the blanks around it.
fn line(pointer: &str, text: &str) -> Result<String> {
    let text = text.trim();
    let good = (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let detail = || format!("use 1 to {TEXT_CHARS_MAX} characters without line breaks, and not blanks alone");
    good.then(|| text.to_owned()).ok_or_else(|| Error::field(pointer, detail()))
}

/// Gives a customer credits, once for each idempotency key. Answers the customer, the pack, and whether it was there.
pub async fn give(
    cx: &Cx,
    name: &str,
    credits: &Credits,
    (identity, expected): (Option<&Idempotency>, &Expected),
) -> Result<(String, String, bool)> {
    let mut edit = begin(cx, name, &Expected::Any).await?;
    if let Some(made) = creation::claim(&mut edit.tx, &edit.cx, identity).await? {
        return Ok((edit.id.to_string(), made, true));
    }
    expected.check(&edit.cx, edit.row.revision)?;
    countable(&edit.cx, &credits.feature)?;
    if !(1..=AMOUNT_MAX).contains(&credits.amount) {
        return Err(Error::field("/amount", format!("use a whole number from 1 to {AMOUNT_MAX}")));
    }
    in_future(&edit.cx, "/expiresAt", credits.expires_at)?;
    let why = line("/reason", &credits.reason)?;
    let grant = Grant {
        id: GrantId::from_bits(id_bits()),
        feature: credits.feature.clone(),
        amount: credits.amount,
        expires_at: credits.expires_at,
    };
    let (tenant, now) = (edit.cx.tenant.id().clone(), edit.cx.tenant_now());
    store::customer::insert_grant(&mut edit.tx, &tenant, &edit.id, &grant, (&why, now)).await?;
    creation::note(&mut edit.tx, &edit.cx, identity, grant.id.as_str()).await?;
    let after = json!({ "id": grant.id, "feature": grant.feature, "amount": grant.amount, "expiresAt": grant.expires_at, "reason": why });
    let customer = edit.finish("credits.granted", None, Some(after)).await?;
    Ok((customer, grant.id.to_string(), false))
}

/// A plan to move a customer to.
#[derive(Debug, Clone)]
pub struct Move {
    /// The plan's name in URLs.
    pub plan: String,
    /// How often it is paid; as now, or monthly, when nobody says.
    pub interval: Option<Interval>,
    /// A price version by its id, in place of the public one.
    pub price: Option<String>,
}

/// The price that a move leads to: the one that is named, or the plan's public one; none for a plan that has none.
async fn price_of(edit: &mut Edit, to: &Move, current: Option<&SubscriptionRow>) -> Result<Option<PriceId>> {
    let tenant = edit.cx.tenant.clone();
    let plan = tenant.catalog.plan_by_slug(&to.plan);
    let plan = plan.ok_or_else(|| Error::field("/plan", "name a plan of the catalog"))?;
    if let Some(price) = &to.price {
        let wrong =
            || Error::field("/price", "name a price version of this plan, of this customer's own or a public one");
        let row = store::price::find(&mut edit.tx, tenant.id(), price).await?.ok_or_else(wrong)?;
        let fits = row.plan_id == plan.id.as_str()
            && row.customer_id.as_deref().is_none_or(|owner| owner == edit.id.as_str())
            && to.interval.is_none_or(|interval| interval.name() == row.interval);
        return if fits { Ok(Some(PriceId::stored(row.price_id))) } else { Err(wrong()) };
    }
    let now = current.and_then(|row| row.interval.as_deref()).and_then(Interval::parse);
    let public = |interval| tenant.price(plan, interval);
    let found = match to.interval {
        Some(interval) => Some(public(interval).ok_or_else(|| {
            Error::field("/interval", format!("{} has no price by the {}", plan.name, interval.name()))
        })?),
        None => now.and_then(public).or_else(|| public(Interval::Month)),
    };
    Ok(found.map(|price| PriceId::stored(price.id.as_str())))
}

/// Moves a customer to a plan now. What it has used carries over; one that was paused or canceled runs again.
pub async fn change_plan(cx: &Cx, name: &str, to: &Move, expected: &Expected) -> Result<String> {
    let plan = cx.tenant.catalog.plan_by_slug(&to.plan).map(|plan| plan.id.clone());
    let id = CustomerId::stored(customer::get(cx, name).await?.customer_id);
    // Both before the transaction, which on SQLite keeps the gate waiting.
    close::catch_up(cx, &id).await?;
    let allowances = subscription::ask::allowances(cx, &id, plan.as_ref()).await?;
    let mut edit = begin(cx, name, expected).await?;
    let tenant = edit.cx.tenant.clone();
    let current = store::subscription::current(&mut edit.tx, tenant.id(), &edit.id).await?;
    let price = price_of(&mut edit, to, current.as_ref()).await?;
    let cx = edit.cx.clone();
    let terms = match price {
        Some(price) => {
            let row = store::price::find(&mut edit.tx, tenant.id(), price.as_str()).await?;
            terms_of(&row.ok_or_else(|| Error::internal(format!("price {price} is gone")))?)?
        }
        None => {
            let plan = tenant.catalog.plan_by_slug(&to.plan);
            free(&cx, &plan.ok_or_else(|| Error::field("/plan", "name a plan of the catalog"))?.id)?
        }
    };
    let wanted = Wanted {
        terms,
        when: When::Now,
        trial_days: 0,
        allowances,
        origin: Origin::default(),
        discount: None,
        note: Note::default(),
    };
    subscription::put_on(&mut edit.tx, &cx, &edit.id, &wanted).await?;
    store::customer::update(&mut edit.tx, tenant.id(), &edit.row).await?;
    edit.close().await
}

/// Ends a customer's subscription now.
pub async fn end_subscription(cx: &Cx, name: &str, expected: &Expected) -> Result<String> {
    close::catch_up(cx, &CustomerId::stored(customer::get(cx, name).await?.customer_id)).await?;
    let mut edit = begin(cx, name, expected).await?;
    let cx = edit.cx.clone();
    let life = Life::lock(&mut edit.tx, &cx, &edit.id).await?;
    let life = life.ok_or_else(|| Error::new(Code::NotFound, "The customer has no subscription to end."))?;
    let end = Command::Cancel { when: When::Now, refund: false, allowances: Vec::new() };
    subscription::apply(&mut edit.tx, &cx, life, &end, &Note::default()).await?;
    store::customer::update(&mut edit.tx, cx.tenant.id(), &edit.row).await?;
    edit.close().await
}

/// What an edit does to a field that may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Field {
    /// It stays.
    #[default]
    Kept,
    /// It is taken away.
    Cleared,
    /// It is this from now on.
    Set(String),
}

/// What is edited of a customer itself; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Edited {
    /// What people read.
    pub name: Field,
    /// Where to write to.
    pub email: Field,
    /// Whether it may use nothing.
    pub suspended: Option<bool>,
    /// Why.
    pub reason: Option<String>,
}

/// Changes a customer's name, address, or whether it is suspended.
pub async fn edit(cx: &Cx, name: &str, to: &Edited, expected: &Expected) -> Result<String> {
    let mut edit = begin(cx, name, expected).await?;
    let was = edit.row.clone();
    match &to.name {
        Field::Kept => {}
        Field::Cleared => edit.row.name = None,
        Field::Set(name) => edit.row.name = Some(line("/name", name)?),
    }
    match &to.email {
        Field::Kept => {}
        Field::Cleared => edit.row.email = None,
        Field::Set(email) => edit.row.email = Some(session::address(email)?),
    }
    if edit.row.email.is_none() && edit.row.external_id.is_none() {
        return Err(Error::field("/email", "keep the address: the customer has no externalId that would name it"));
    }
    let action = match (edit.row.suspended, to.suspended) {
        (false, Some(true)) => "customer.suspended",
        (true, Some(false)) => "customer.unsuspended",
        _ => "customer.updated",
    };
    edit.row.suspended = to.suspended.unwrap_or(edit.row.suspended);
    let why = to.reason.as_deref().map(|text| line("/reason", text)).transpose()?;
    if action == "customer.suspended" && why.is_none() {
        return Err(Error::field("/reason", "say why the customer is suspended; support reads it"));
    }
    if edit.row.suspended {
        edit.row.suspended_reason = why.clone().or(edit.row.suspended_reason.take());
    } else {
        edit.row.suspended_reason = None;
    }
    // Names and addresses are not kept here, since nothing is ever taken out of the audit trail.
    let state = |row: &EditedRow| json!({ "renamed": row.name != was.name, "addressChanged": row.email != was.email, "suspended": row.suspended, "reason": row.suspended_reason });
    let (before, mut after) = (state(&was), state(&edit.row));
    if let (Some(why), Some(fields)) = (why, after.as_object_mut()) {
        fields.insert("reason".to_owned(), json!(why));
    }
    edit.finish(action, Some(before), Some(after)).await
}
