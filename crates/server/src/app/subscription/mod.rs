//! Subscriptions: how one begins, moves and ends. `domain::subscription` decides; every transition is written by
//! [`write`] with its cause, its worth before and after, and moves the customer's version, so that the next decision on
//! any node knows.

pub mod ask;
mod place;
mod state;
mod write;

use std::collections::BTreeMap;

use domain::catalog::{Plan, PlanFeature};
use domain::entitlement::{Subscription, SubscriptionStatus};
use domain::id::{CustomerId, FeatureKey, PlanId, PriceId, SubscriptionId};
use domain::money::Money;
use domain::proration::Paid;
use domain::revenue::Interval;
use domain::subscription::{
    Attempt, Cause, Command, Decision, Discount, Dunning, Refusal, Rules, State, Step, Terms, Trial, decide, due,
    next_due_at,
};
use domain::time::{Period, Timestamp, months_at};
use store::db::{On, Tx};
use store::subscription::SubscriptionRow;

pub use place::{Wanted, put_on};
pub use state::{Life, Origin, discount, free, terms_of};
pub use write::{Note, advance, collects};

use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// Things that time did, written before one command; a subscription that is further behind waits for the job.
const BEHIND_MAX: usize = 200;

/// How the tenant handles time and failed payments.
pub fn rules(cx: &Cx) -> Result<Rules> {
    let settings = cx.tenant.settings();
    let fallback = settings.fallback_plan.as_deref().map(PlanId::stored);
    let fallback = fallback.and_then(|id| cx.tenant.catalog.plans.get(&id));
    Ok(Rules {
        zone: cx.tenant.catalog.zone.clone(),
        grace_days: settings.grace_days,
        retry_days: settings.retry_days,
        trial_warning_days: settings.trial_warning_days,
        fallback: fallback.map(|plan| public_terms(cx, plan, Interval::Month)).transpose()?,
    })
}

/// What everybody new pays for a plan; nothing for one without a price.
pub fn public_terms(cx: &Cx, plan: &Plan, interval: Interval) -> Result<Terms> {
    let Some(price) = cx.tenant.price(plan, interval) else { return free(cx, &plan.id) };
    let id = Some(PriceId::stored(price.id.as_str()));
    Ok(Terms { plan: plan.id.clone(), price: id, interval, amount: price.amount })
}

/// A refusal of the rules, as the caller sees it.
pub fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Past => Error::field("/until", refusal.to_string()),
        Refusal::OtherCurrency => Error::field("/when", refusal.to_string()),
        Refusal::DueFirst(_) => Error::new(Code::Busy, "What fell due before comes first; try again.").retry_after(1),
        Refusal::Time(error) => Error::internal(error),
        Refusal::Money(error) => Error::internal(error),
        Refusal::AlreadySo
        | Refusal::NotDue
        | Refusal::Pending
        | Refusal::Over
        | Refusal::Paused
        | Refusal::Canceled
        | Refusal::Trialing
        | Refusal::PaymentOpen
        | Refusal::NothingScheduled
        | Refusal::Nothing(_) => {
            let text = refusal.to_string();
            let mut letters = text.chars();
            let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
            Error::new(Code::SubscriptionState, format!("{first}{}.", letters.as_str()))
        }
    }
}

/// What a new subscription is made of.
#[derive(Debug, Clone)]
pub struct Start {
    /// The plan's name in URLs.
    pub plan: String,
    /// The price version that it pays; none for a plan without price.
    pub price: Option<PriceId>,
    /// Days of trial; 0 for none.
    pub trial_days: i64,
    /// When it began, in the tenant's time.
    pub began: Timestamp,
    /// How it stands, of one that is brought in from elsewhere; a new one begins as the rules say.
    pub brought: Option<Brought>,
    /// Through whom it is paid.
    pub origin: Origin,
    /// How it is noted.
    pub note: Note,
}

/// A subscription that began elsewhere.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Until when it may be used, of one that is canceled or overdue.
    pub access_until: Option<Timestamp>,
    /// The instant whose billing period runs.
    pub billed_at: Timestamp,
}

impl Start {
    /// A subscription to a plan that is sold, from now on, at its public monthly price, or without a price when it has
    /// none; with the plan's trial.
    pub fn at_monthly_price(cx: &Cx, slug: &str) -> Result<Self> {
        let plan = cx.tenant.catalog.plan_by_slug(slug).filter(|plan| plan.active);
        let plan =
            plan.ok_or_else(|| Error::field("/plan", "name an active plan, such as the ones of GET /api/plans"))?;
        let price = cx.tenant.price(plan, Interval::Month);
        Ok(Self {
            plan: slug.to_owned(),
            price: price.map(|price| PriceId::stored(price.id.as_str())),
            trial_days: plan.trial_days,
            began: cx.tenant_now(),
            brought: None,
            origin: Origin::default(),
            note: Note { audited: true, ..Note::default() },
        })
    }
}

/// Gives a customer a subscription.
pub async fn start(tx: &mut Tx, cx: &Cx, customer: &CustomerId, start: &Start) -> Result<SubscriptionId> {
    let plan = cx.tenant.catalog.plan_by_slug(&start.plan);
    let plan = plan.ok_or_else(|| Error::field("/plan", "name a plan of the catalog"))?;
    let terms = match &start.price {
        None => free(cx, &plan.id)?,
        Some(price) => {
            let row = store::price::find(&mut *tx, cx.tenant.id(), price.as_str()).await?;
            terms_of(&row.ok_or_else(|| Error::field("/price", "name a price version of this tenant"))?)?
        }
    };
    let life = match &start.brought {
        None => {
            let days = trial_days(&mut *tx, cx, customer, start.trial_days).await?;
            let decision = beginning(cx, &terms, (days, start.origin.provider.is_some()), None, start.began)?;
            write::begin(tx, cx, customer, (&decision, &start.origin), &start.note).await?
        }
        Some(brought) => bring(tx, cx, customer, (&terms, brought), start).await?,
    };
    Ok(life.row.id())
}

/// The days of trial that a customer still gets of those that a plan has: a customer has one trial.
pub async fn trial_days(on: impl Into<On<'_>>, cx: &Cx, customer: &CustomerId, days: i64) -> Result<i64> {
    let had = days > 0 && store::subscription::had_trial(on, cx.tenant.id(), customer).await?;
    Ok(if had { 0 } else { days })
}

/// How a new subscription begins: with so many days of trial, paid through a provider or by invoice.
pub fn beginning(
    cx: &Cx,
    terms: &Terms,
    (trial_days, provided): (i64, bool),
    discount: Option<Discount>,
    at: Timestamp,
) -> Result<Decision> {
    let new = domain::subscription::Start {
        terms: terms.clone(),
        trial_days,
        approval_until: None,
        discount,
        // Without a trial it is paid by invoice until a provider is known.
        payable: !terms.is_free() && (trial_days == 0 || provided),
    };
    domain::subscription::start(&new, &rules(cx)?, at).map_err(refused)
}

/// Writes one that began elsewhere, as it stands. What it was paid before now is not asked for again.
async fn bring(
    tx: &mut Tx,
    cx: &Cx,
    customer: &CustomerId,
    (terms, brought): (&Terms, &Brought),
    start: &Start,
) -> Result<Life> {
    let zone = &cx.tenant.catalog.zone;
    let began = start.began;
    let period =
        months_at(terms.interval.months(), (began, began), zone, brought.billed_at).map_err(Error::internal)?;
    // One that has an end begins as any other, and then stands as it does.
    let first = if brought.access_until.is_some() { SubscriptionStatus::Active } else { brought.status };
    let trial = period.end.filter(|_| first == SubscriptionStatus::Trialing);
    let state = State {
        status: first,
        terms: terms.clone(),
        plan_since: began,
        anchor: began,
        period,
        access_until: None,
        pending_until: None,
        trial: trial.map(|ends_at| Trial { ends_at, warned: false }),
        // A trial is not paid for, so nothing of it can be given back.
        paid: Paid {
            amount: if trial.is_some() { Money::zero(terms.amount.currency) } else { terms.amount },
            from: period.start,
        },
        open: Vec::new(),
        dunning: None,
        scheduled: None,
        resume_at: None,
        discount: None,
        payable: !terms.is_free(),
    };
    let created = Decision { at: began, next: state, cause: Cause::Created, effects: Vec::new() };
    let life = write::begin(tx, cx, customer, (&created, &start.origin), &start.note).await?;
    let Some(until) = brought.access_until else { return Ok(life) };
    let overdue = brought.status == SubscriptionStatus::PastDue;
    let since = brought.billed_at;
    let next = State {
        status: brought.status,
        access_until: Some(until),
        // Whoever tries again is where it came from; here the grace ends.
        dunning: overdue.then_some(Dunning { since, until, tried: u32::MAX }),
        ..life.state.clone()
    };
    let cause = if overdue { Cause::PaymentFailed } else { Cause::Canceled };
    let stands = Decision { at: brought.billed_at, next, cause, effects: Vec::new() };
    write::advance(tx, cx, &life, &stands, &start.note).await
}

/// Moves a subscription by a command, after everything that fell due before it.
pub async fn apply(tx: &mut Tx, cx: &Cx, life: Life, command: &Command, note: &Note) -> Result<Life> {
    let rules = rules(cx)?;
    let now = cx.tenant_now();
    let mut life = life;
    for _ in 0..BEHIND_MAX {
        match decide(&life.state, command, &rules, now) {
            Ok(decision) => return write::advance(tx, cx, &life, &decision, note).await,
            Err(Refusal::DueFirst(_)) => {
                let moved = step(tx, cx, &life, now).await?;
                life = moved.ok_or_else(|| Error::internal("what is due first is not due"))?;
            }
            Err(refusal) => return Err(refused(refusal)),
        }
    }
    Err(refused(Refusal::DueFirst(Step::Renewal)))
}

/// Does the first thing that time does to a subscription up to an instant, as of the instant at which it fell due.
/// Answers nothing when there is none.
pub async fn step(tx: &mut Tx, cx: &Cx, life: &Life, until: Timestamp) -> Result<Option<Life>> {
    let rules = rules(cx)?;
    let Some(first) = due(&life.state, &rules, until).map_err(Error::internal)?.first().copied() else {
        return Ok(None);
    };
    let decision = decide(&life.state, &Command::Step(first.step), &rules, until).map_err(refused)?;
    let note = Note { slot: Some(first.slot()), ..Note::default() };
    let mut next = write::advance(tx, cx, life, &decision, &note).await?;
    if collects(&next) {
        return Ok(Some(next));
    }
    // Nobody collects what is paid by hand: as long as nobody says that it came, it has not.
    while let Some(slot) = next.state.open.iter().find(|open| open.attempt == Attempt::Again).map(|open| open.slot) {
        let decision = decide(&next.state, &Command::PaymentFailed { slot }, &rules, first.at).map_err(refused)?;
        next = write::advance(tx, cx, &next, &decision, &Note::default()).await?;
    }
    Ok(Some(next))
}

/// Notes anew when time does something to a subscription, where that is another instant by the tenant's present rules.
pub async fn note_due(tx: &mut Tx, cx: &Cx, life: &Life) -> Result<()> {
    let at = next_due_at(&life.state, &rules(cx)?).map_err(Error::internal)?;
    Ok(store::subscription::note_due(tx, cx.tenant.id(), &life.row, at).await?)
}

/// Writes one that was not billed so far as it was read, unless another node was first. No transition: it stands where
/// it stood.
pub async fn take_up(tx: &mut Tx, cx: &Cx, life: &Life) -> Result<()> {
    let row = state::with_state(&life.row, &life.state, &rules(cx)?)?;
    store::subscription::update(tx, cx.tenant.id(), &row, None).await?;
    let customer = CustomerId::stored(life.row.customer_id.as_str());
    Ok(store::customer::bump_version(tx, cx.tenant.id(), &customer, cx.tenant_now()).await?)
}

/// A customer's current subscription.
pub async fn current(cx: &Cx, customer: &CustomerId) -> Result<Option<SubscriptionRow>> {
    Ok(store::subscription::current(&cx.app.db, cx.tenant.id(), customer).await?)
}

/// What the gate reads of a row.
pub fn read(row: &SubscriptionRow) -> Result<Subscription> {
    Ok(Subscription {
        id: row.id(),
        plan: PlanId::stored(row.plan_id.as_str()),
        price: row.price_id.as_deref().map(PriceId::stored),
        status: state::status(&row.status)?,
        access_until: row.access_until.map(Timestamp::from_micros),
        plan_since: Timestamp::from_micros(row.plan_since),
        anchor: row.anchor(),
        period: Period {
            start: Timestamp::from_micros(row.period_start),
            end: row.period_end.map(Timestamp::from_micros),
        },
        interval: row.interval.as_deref().and_then(Interval::parse),
    })
}

/// The billing period of a subscription that runs now.
pub fn billed(cx: &Cx, row: &SubscriptionRow) -> Result<Period> {
    read(row)?.period_at(&cx.tenant.catalog.zone, cx.tenant_now()).map_err(Error::internal)
}

/// What the version of the plan grants that holds for a subscription now.
pub fn held<'a>(cx: &Cx, plan: &'a Plan, row: &SubscriptionRow) -> Result<&'a BTreeMap<FeatureKey, PlanFeature>> {
    Ok(plan.held(Timestamp::from_micros(row.plan_since), billed(cx, row)?.start).1)
}
