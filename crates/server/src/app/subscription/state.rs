//! Between a subscription's row and the state that is decided on.

use domain::coupon::Duration;
use domain::entitlement::SubscriptionStatus;
use domain::id::{CustomerId, PlanId, PriceId, SubscriptionId};
use domain::money::{Currency, Money};
use domain::proration::Paid;
use domain::revenue::Interval;
use domain::subscription::{
    Attempt, Discount, Dunning, Open, Rules, Scheduled, Slot, State, Terms, Trial, next_due_at,
};
use domain::time::{Period, Timestamp};
use serde::{Deserialize, Serialize};
use store::coupon::CouponRow;
use store::db::Tx;
use store::invoice::OpenRow;
use store::price::VersionRow;
use store::subscription::SubscriptionRow;

use crate::app::coupon;
use crate::cx::Cx;
use crate::error::{Error, Result};

/// A subscription as it is stored, and what is decided on.
#[derive(Debug, Clone)]
pub struct Life {
    /// Its row.
    pub row: SubscriptionRow,
    /// Its state.
    pub state: State,
}

/// A change that is put down for the end of the period, as the database holds it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Planned {
    Change { plan: String, price: Option<String>, interval: Interval, amount_minor: i64, currency: String },
    Pause { until: Option<i64> },
}

impl Life {
    /// The current subscription of a customer, whose row is locked: one writer at a time.
    pub async fn lock(tx: &mut Tx, cx: &Cx, customer: &CustomerId) -> Result<Option<Self>> {
        let tenant = cx.tenant.id();
        store::customer::lock(&mut *tx, tenant, customer.as_str()).await?;
        let Some(row) = store::subscription::current(&mut *tx, tenant, customer).await? else { return Ok(None) };
        let open = store::invoice::open(&mut *tx, tenant, &row.subscription_id).await?;
        let coupon = match &row.coupon {
            Some(code) => store::coupon::find(&mut *tx, tenant, code).await?,
            None => None,
        };
        Self::of(cx, row, &open, coupon.as_ref()).map(Some)
    }

    /// The current subscription of a customer, to be looked at.
    pub async fn look(cx: &Cx, customer: &CustomerId) -> Result<Option<Self>> {
        let (db, tenant) = (&cx.app.db, cx.tenant.id());
        let Some(row) = store::subscription::current(db, tenant, customer).await? else { return Ok(None) };
        let open = store::invoice::open(db, tenant, &row.subscription_id).await?;
        let coupon = match &row.coupon {
            Some(code) => store::coupon::find(db, tenant, code).await?,
            None => None,
        };
        Self::of(cx, row, &open, coupon.as_ref()).map(Some)
    }

    fn of(cx: &Cx, row: SubscriptionRow, open: &[OpenRow], coupon: Option<&CouponRow>) -> Result<Self> {
        let row = adopted(cx, row)?;
        let state = state(cx, &row, open, coupon)?;
        Ok(Self { row, state })
    }
}

fn at(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// A row of before subscriptions were billed, or of a node that does not bill yet, as it stands now.
///
/// What ran so far was paid for elsewhere, by hand or by whoever it was imported from: it is counted as charged, and the
/// first that is asked for is the period that begins next. Otherwise an upgrade would ask for every month since it began.
fn adopted(cx: &Cx, row: SubscriptionRow) -> Result<SubscriptionRow> {
    if row.billing_anchor != 0 {
        return Ok(row);
    }
    let began = Timestamp::from_micros(row.created_at);
    let zone = &cx.tenant.catalog.zone;
    let mut read = super::read(&row)?;
    read.anchor = began;
    // An ended one keeps the period in which it ended.
    let last = at(row.access_until).map_or(cx.tenant_now(), |until| until.min(cx.tenant_now()));
    let period = read.period_at(zone, last.max(read.period.start)).map_err(Error::internal)?;
    Ok(SubscriptionRow {
        billing_anchor: row.created_at,
        period_start: period.start.as_micros(),
        period_end: period.end.map(Timestamp::as_micros),
        // A trial without an end ends with the period that runs.
        trial_ends_at: period.end.filter(|_| row.status == "trialing").map(Timestamp::as_micros),
        paid_minor: row.amount_minor.filter(|_| row.status != "trialing").unwrap_or(0),
        paid_from: period.start.as_micros(),
        payable: row.amount_minor.is_some_and(|minor| minor > 0),
        ..row
    })
}

/// The state of a row.
fn state(cx: &Cx, row: &SubscriptionRow, open: &[OpenRow], coupon: Option<&CouponRow>) -> Result<State> {
    let terms = terms_of_row(cx, row)?;
    let discount = match (coupon, row.discount_from) {
        (Some(coupon), Some(from)) => Some(discount(coupon, Timestamp::from_micros(from))?),
        _ => None,
    };
    let read = |row: &OpenRow| {
        let slot = Slot::parse(&row.slot).ok_or_else(|| Error::internal(format!("slot {}", row.slot)))?;
        Ok(Open { slot, attempt: attempt(&row.state)? })
    };
    let dunning = match (row.dunning_since, row.dunning_until) {
        (Some(since), Some(until)) => Some(Dunning {
            since: Timestamp::from_micros(since),
            until: Timestamp::from_micros(until),
            tried: u32::try_from(row.dunning_tried).unwrap_or(u32::MAX),
        }),
        _ => None,
    };
    Ok(State {
        status: status(&row.status)?,
        plan_since: Timestamp::from_micros(row.plan_since),
        anchor: row.anchor(),
        period: Period { start: Timestamp::from_micros(row.period_start), end: at(row.period_end) },
        access_until: at(row.access_until),
        pending_until: at(row.pending_until),
        trial: at(row.trial_ends_at).map(|ends_at| Trial { ends_at, warned: row.trial_warned }),
        paid: Paid {
            amount: Money::new(row.paid_minor, terms.amount.currency),
            from: Timestamp::from_micros(row.paid_from),
        },
        open: open.iter().map(read).collect::<Result<_>>()?,
        dunning,
        scheduled: row.scheduled.as_deref().map(planned).transpose()?,
        resume_at: at(row.resume_at),
        discount,
        payable: row.payable,
        terms,
    })
}

/// How far one is with the money of an open invoice, by the invoice's state.
fn attempt(state: &str) -> Result<Attempt> {
    let known = [Attempt::First, Attempt::Failed, Attempt::Again].into_iter().find(|known| tried(*known) == state);
    known.ok_or_else(|| Error::internal(format!("open invoice in state {state}")))
}

/// The state of an open invoice with whose money one is so far.
pub const fn tried(attempt: Attempt) -> &'static str {
    match attempt {
        Attempt::First => "open",
        Attempt::Failed => "failed",
        Attempt::Again => "retrying",
    }
}

/// A status as the database holds it, read.
pub fn status(text: &str) -> Result<SubscriptionStatus> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(Error::internal)
}

/// A status as the database holds it.
pub fn name(status: SubscriptionStatus) -> String {
    serde_json::to_value(status).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A coupon that was redeemed.
pub fn discount(row: &CouponRow, from: Timestamp) -> Result<Discount> {
    let duration: Duration =
        serde_json::from_value(serde_json::Value::String(row.duration.clone())).map_err(Error::internal)?;
    let months = row.months.map(|months| u32::try_from(months).unwrap_or(u32::MAX));
    Ok(Discount { off: coupon::off(row)?, duration, months, from })
}

fn planned(text: &str) -> Result<Scheduled> {
    Ok(match serde_json::from_str(text).map_err(Error::internal)? {
        Planned::Change { plan, price, interval, amount_minor, currency } => Scheduled::Change(Terms {
            plan: PlanId::stored(plan),
            price: price.map(PriceId::stored),
            interval,
            amount: Money::new(amount_minor, Currency::parse(&currency).map_err(Error::internal)?),
        }),
        Planned::Pause { until } => Scheduled::Pause(at(until)),
    })
}

fn plan_text(scheduled: &Scheduled) -> Result<String> {
    let planned = match scheduled {
        Scheduled::Change(to) => Planned::Change {
            plan: to.plan.to_string(),
            price: to.price.as_ref().map(ToString::to_string),
            interval: to.interval,
            amount_minor: to.amount.minor,
            currency: to.amount.currency.code().to_owned(),
        },
        Scheduled::Pause(until) => Planned::Pause { until: until.map(Timestamp::as_micros) },
    };
    serde_json::to_string(&planned).map_err(Error::internal)
}

/// The terms of a plan without price, in the tenant's currency.
pub fn free(cx: &Cx, plan: &PlanId) -> Result<Terms> {
    let currency = Currency::parse(&cx.tenant.row.currency).map_err(Error::internal)?;
    Ok(Terms { plan: plan.clone(), price: None, interval: Interval::Month, amount: Money::zero(currency) })
}

/// The terms of a price version.
pub fn terms_of(row: &VersionRow) -> Result<Terms> {
    let interval =
        Interval::parse(&row.interval).ok_or_else(|| Error::internal(format!("interval {}", row.interval)))?;
    let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
    Ok(Terms {
        plan: PlanId::stored(row.plan_id.as_str()),
        price: Some(PriceId::stored(row.price_id.as_str())),
        interval,
        amount: Money::new(row.amount_minor, currency),
    })
}

fn terms_of_row(cx: &Cx, row: &SubscriptionRow) -> Result<Terms> {
    let plan = PlanId::stored(row.plan_id.as_str());
    let (Some(price), Some(interval), Some(currency), Some(minor)) =
        (&row.price_id, row.interval.as_deref().and_then(Interval::parse), &row.currency, row.amount_minor)
    else {
        return free(cx, &plan);
    };
    let currency = Currency::parse(currency).map_err(Error::internal)?;
    Ok(Terms { plan, price: Some(PriceId::stored(price.as_str())), interval, amount: Money::new(minor, currency) })
}

/// What a new row is made of, beside its state.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Through whom it is paid; none by invoice.
    pub provider: Option<String>,
    /// What the provider calls it.
    pub provider_subscription: Option<String>,
    /// The coupon that was redeemed.
    pub coupon: Option<String>,
}

/// The row of a state that was none before.
pub fn new_row(id: &SubscriptionId, customer: &CustomerId, origin: &Origin, began: Timestamp) -> SubscriptionRow {
    SubscriptionRow {
        subscription_id: id.to_string(),
        customer_id: customer.to_string(),
        plan_id: String::new(),
        plan_since: began.as_micros(),
        price_id: None,
        interval: None,
        currency: None,
        amount_minor: None,
        status: String::new(),
        period_start: began.as_micros(),
        period_end: None,
        access_until: None,
        created_at: began.as_micros(),
        revision: 1,
        billing_anchor: began.as_micros(),
        pending_until: None,
        trial_ends_at: None,
        trial_warned: false,
        paid_minor: 0,
        paid_from: began.as_micros(),
        dunning_since: None,
        dunning_until: None,
        dunning_tried: 0,
        scheduled: None,
        resume_at: None,
        coupon: origin.coupon.clone(),
        discount_from: None,
        payable: false,
        next_due_at: None,
        provider: origin.provider.clone(),
        provider_subscription: origin.provider_subscription.clone(),
    }
}

/// The row with a state in it.
pub fn with_state(row: &SubscriptionRow, state: &State, rules: &Rules) -> Result<SubscriptionRow> {
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
    let terms = &state.terms;
    let priced = terms.price.is_some();
    Ok(SubscriptionRow {
        plan_id: terms.plan.to_string(),
        plan_since: state.plan_since.as_micros(),
        price_id: terms.price.as_ref().map(ToString::to_string),
        interval: priced.then(|| terms.interval.name().to_owned()),
        currency: priced.then(|| terms.amount.currency.code().to_owned()),
        amount_minor: priced.then_some(terms.amount.minor),
        status: name(state.status),
        period_start: state.period.start.as_micros(),
        period_end: micros(state.period.end),
        access_until: micros(state.access_until),
        billing_anchor: state.anchor.as_micros(),
        pending_until: micros(state.pending_until),
        trial_ends_at: micros(state.trial.map(|trial| trial.ends_at)),
        trial_warned: state.trial.is_some_and(|trial| trial.warned),
        paid_minor: state.paid.amount.minor,
        paid_from: state.paid.from.as_micros(),
        dunning_since: micros(state.dunning.map(|dunning| dunning.since)),
        dunning_until: micros(state.dunning.map(|dunning| dunning.until)),
        dunning_tried: state.dunning.map_or(0, |dunning| i64::from(dunning.tried)),
        scheduled: state.scheduled.as_ref().map(plan_text).transpose()?,
        resume_at: micros(state.resume_at),
        coupon: row.coupon.clone().filter(|_| state.discount.is_some()),
        discount_from: micros(state.discount.map(|discount| discount.from)),
        payable: state.payable,
        next_due_at: micros(next_due_at(state, rules).map_err(Error::internal)?),
        ..row.clone()
    })
}
