//! Subscriptions: how one begins and how one changes. Every transition is written with its cause, its worth before and
//! after, and moves the customer's version, so that the next decision on any node knows.

use std::collections::BTreeMap;

use domain::catalog::{Plan, PlanFeature};
use domain::entitlement::{Subscription, SubscriptionStatus};
use domain::event::{Audience, Event, Facts, Kind};
use domain::id::{CustomerId, FeatureKey, PlanId, PriceId, SubscriptionId};
use domain::money::{Currency, Money};
use domain::revenue::{Interval, Movement, worth};
use domain::time::{Period, Reset, Timestamp, period_at};
use store::db::Tx;
use store::subscription::{ChangeRow, NewSubscription, SubscriptionRow};

use super::audit::told;
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// What a new subscription is made of.
#[derive(Debug, Clone)]
pub struct Start {
    /// The plan's name in URLs.
    pub plan: String,
    /// The price version that it pays; none for a plan without price.
    pub price: Option<PriceId>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// When it began, in the tenant's time.
    pub began: Timestamp,
    /// The instant whose billing period runs.
    pub billed_at: Timestamp,
    /// Why, such as `created`, `imported` or `checkout`.
    pub cause: &'static str,
}

impl Start {
    /// An active subscription to a plan that is sold, from now on, at its public monthly price, or without a price when
    /// it has none.
    pub fn at_monthly_price(cx: &Cx, slug: &str) -> Result<Self> {
        let now = cx.tenant_now();
        let plan = cx.tenant.catalog.plan_by_slug(slug).filter(|plan| plan.active);
        let plan =
            plan.ok_or_else(|| Error::field("/plan", "name an active plan, such as the ones of GET /api/plans"))?;
        let price = cx.tenant.price(plan, Interval::Month);
        Ok(Self {
            plan: slug.to_owned(),
            price: price.map(|price| PriceId::stored(price.id.as_str())),
            status: SubscriptionStatus::Active,
            began: now,
            billed_at: now,
            cause: "created",
        })
    }
}

/// Gives a customer a subscription. It began at `began`; the billing period is the one that runs at `billed_at`.
pub async fn start(tx: &mut Tx, cx: &Cx, customer: &CustomerId, start: &Start) -> Result<SubscriptionId> {
    let plan = cx.tenant.catalog.plan_by_slug(&start.plan);
    let plan = plan.ok_or_else(|| Error::field("/plan", "name a plan of the catalog"))?;
    let priced = priced(tx, cx, start.price.as_ref().map(PriceId::as_str)).await?;
    let interval = priced.map(|(interval, _)| interval);
    let reset = match interval {
        Some(Interval::Year) => Reset::Year,
        Some(Interval::Month) | None => Reset::BillingMonth,
    };
    let zone = &cx.tenant.catalog.zone;
    let period = period_at(reset, start.began, zone, start.billed_at).map_err(Error::internal)?;
    let id = SubscriptionId::from_bits(id_bits());
    let new = NewSubscription {
        subscription: Subscription {
            id: id.clone(),
            plan: plan.id.clone(),
            price: start.price.clone(),
            status: start.status,
            access_until: None,
            plan_since: start.began,
            period,
            interval,
        },
        period_start: period.start,
        period_end: period.end,
    };
    let tenant = cx.tenant.id();
    store::subscription::insert(tx, tenant, customer, &new, start.began).await?;
    let after =
        Standing { plan: plan.id.clone(), price: start.price.clone(), status: start.status, access_until: None };
    record(tx, cx, (customer, &id), (None, &after), (start.cause, start.began)).await?;
    store::customer::bump_version(tx, tenant, customer, cx.tenant_now()).await?;
    Ok(id)
}

/// What counts of a subscription: on which plan, at which price, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The plan.
    pub plan: PlanId,
    /// The price version; none for a plan without price.
    pub price: Option<PriceId>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Until when it may be used, once it is canceled or overdue.
    pub access_until: Option<Timestamp>,
}

impl Standing {
    /// How a row stands.
    pub fn of(row: &SubscriptionRow) -> Result<Self> {
        let status = serde_json::from_value(serde_json::Value::String(row.status.clone())).map_err(Error::internal)?;
        Ok(Self {
            plan: PlanId::stored(row.plan_id.as_str()),
            price: row.price_id.as_deref().map(PriceId::stored),
            status,
            access_until: row.access_until.map(Timestamp::from_micros),
        })
    }
}

/// Moves a subscription to where it shall stand. The quota anchor and the billing period stay; use carries over, since
/// counters belong to the customer. Refused when somebody else moved it since `row` was read.
pub async fn change(tx: &mut Tx, cx: &Cx, row: &SubscriptionRow, to: &Standing, cause: &'static str) -> Result<()> {
    let now = cx.tenant_now();
    let before = Standing::of(row)?;
    let mut next = row.clone();
    if before.plan != to.plan {
        next.plan_since = now.as_micros();
    }
    next.plan_id = to.plan.to_string();
    next.price_id = to.price.as_ref().map(ToString::to_string);
    next.status = name(to.status);
    next.access_until = to.access_until.map(Timestamp::as_micros);
    let ended = matches!(to.status, SubscriptionStatus::Expired).then_some(now);
    if !store::subscription::update(tx, cx.tenant.id(), &next, ended).await? {
        return Err(Error::new(
            Code::PreconditionFailed,
            "Somebody changed the subscription meanwhile; read it again.",
        ));
    }
    let customer = CustomerId::stored(row.customer_id.as_str());
    record(tx, cx, (&customer, &row.id()), (Some(&before), to), (cause, now)).await?;
    Ok(store::customer::bump_version(tx, cx.tenant.id(), &customer, now).await?)
}

/// A status as the database holds it.
fn name(status: SubscriptionStatus) -> String {
    serde_json::to_value(status).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

async fn priced(tx: &mut Tx, cx: &Cx, price: Option<&str>) -> Result<Option<(Interval, Money)>> {
    let Some(price) = price else { return Ok(None) };
    let row = store::price::find(&mut *tx, cx.tenant.id(), price).await?;
    let row = row.ok_or_else(|| Error::field("/price", "name a price version of this tenant"))?;
    let interval =
        Interval::parse(&row.interval).ok_or_else(|| Error::internal(format!("interval {}", row.interval)))?;
    let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
    Ok(Some((interval, Money::new(row.amount_minor, currency))))
}

/// What the price of a standing comes to in a year, in minor units of its currency.
async fn annual(tx: &mut Tx, cx: &Cx, standing: &Standing) -> Result<(i64, String)> {
    let priced = priced(tx, cx, standing.price.as_ref().map(PriceId::as_str)).await?;
    let Some((interval, price)) = priced else { return Ok((0, cx.tenant.row.currency.clone())) };
    let annual = interval.annual(price).ok_or_else(|| Error::internal("a price beyond all bounds"))?;
    Ok((annual, price.currency.code().to_owned()))
}

async fn record(
    tx: &mut Tx,
    cx: &Cx,
    (customer, subscription): (&CustomerId, &SubscriptionId),
    (before, after): (Option<&Standing>, &Standing),
    (cause, at): (&'static str, Timestamp),
) -> Result<()> {
    let tenant = cx.tenant.id();
    // What was recorded last, so that the sum of all moves is what is there: a canceled one whose time is over just now
    // is worth something until its end is written.
    let recorded = store::subscription::last_worth(tx, tenant, (customer, subscription)).await?;
    let (annual_before, currency_before) = match before.and(recorded) {
        Some((annual, currency)) => (annual, Some(currency)),
        None => (0, None),
    };
    let (price, currency) = annual(tx, cx, after).await?;
    let annual_after = worth(price, (after.status, after.access_until), annual_before, cx.tenant_now());
    let paid_ever = annual_before > 0 || store::subscription::paid_ever(tx, tenant, customer).await?;
    let movement = Movement::of(annual_before, annual_after, paid_ever);
    let row = ChangeRow {
        change_id: format!("chg_{}", domain::id::encode(id_bits())),
        at: at.as_micros(),
        subscription_id: subscription.to_string(),
        customer_id: customer.to_string(),
        cause: cause.to_owned(),
        actor: cx.actor.name(),
        status_before: before.map(|standing| name(standing.status)),
        status_after: name(after.status),
        plan_before: before.map(|standing| standing.plan.to_string()),
        plan_after: after.plan.to_string(),
        price_before: before.and_then(|standing| standing.price.as_ref()).map(ToString::to_string),
        price_after: after.price.as_ref().map(ToString::to_string),
        currency_before: currency_before.filter(|before| *before != currency),
        currency,
        annual_before,
        annual_after,
        movement: movement.map(|movement| movement.name().to_owned()),
    };
    store::subscription::record(tx, tenant, &row).await?;
    told::tell(tx, cx, moved(cx, customer, after, cause));
    Ok(())
}

/// What is told of a transition, to the customer too.
fn moved(cx: &Cx, customer: &CustomerId, to: &Standing, cause: &str) -> Event {
    let plan = cx.tenant.catalog.plans.get(&to.plan).map(|plan| plan.slug.to_string());
    let facts = Facts { plan, version: None, status: Some(name(to.status)), cause: Some(cause.to_owned()) };
    Event {
        kind: Kind::Subscription,
        audience: Audience::Customer,
        subject: Some(customer.to_string()),
        customer: Some(customer.clone()),
        facts,
    }
}

/// A customer's current subscription.
pub async fn current(cx: &Cx, customer: &CustomerId) -> Result<Option<SubscriptionRow>> {
    Ok(store::subscription::current(&cx.app.db, cx.tenant.id(), customer).await?)
}

/// What the version of the plan grants that holds for a subscription now.
pub fn held<'a>(cx: &Cx, plan: &'a Plan, row: &SubscriptionRow) -> Result<&'a BTreeMap<FeatureKey, PlanFeature>> {
    let standing = Standing::of(row)?;
    let subscription = Subscription {
        id: row.id(),
        plan: standing.plan,
        price: standing.price,
        status: standing.status,
        access_until: standing.access_until,
        plan_since: Timestamp::from_micros(row.plan_since),
        period: Period {
            start: Timestamp::from_micros(row.period_start),
            end: row.period_end.map(Timestamp::from_micros),
        },
        interval: row.interval.as_deref().and_then(Interval::parse),
    };
    let billed = subscription.period_at(&cx.tenant.catalog.zone, cx.tenant_now()).map_err(Error::internal)?;
    Ok(plan.held(subscription.plan_since, billed.start).1)
}
