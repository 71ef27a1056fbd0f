//! What people and integrators ask of a subscription, and what it would come to.

use domain::catalog::{FeatureKind, LimitType, Plan};
use domain::entitlement::SubscriptionStatus;
use domain::id::{CustomerId, FeatureKey, PlanId, PriceId};
use domain::proration::Allowance;
use domain::revenue::Interval;
use domain::subscription::{Command, Discount, Preview, State, Terms, When, decide, due, preview as previewed};
use domain::time::{Reset, Timestamp};
use store::gate::Idempotency;

use super::place::{caught_up, counting, with_coupon};
use super::state::{Life, discount};
use super::write::Note;
use super::{apply, beginning, refused, rules, trial_days};
use crate::app::{checkout, close, coupon, creation, summary, time, usage};
use crate::cx::{Actor, Cx};
use crate::error::{Code, Error, Result};

/// What is asked.
#[derive(Debug, Clone)]
pub enum Ask {
    /// Another plan or interval.
    Change {
        /// The plan's name in URLs.
        plan: String,
        /// How often it is paid; as now, or as the plan is sold, when nobody says.
        interval: Option<Interval>,
        /// When.
        when: When,
        /// A coupon to redeem.
        coupon: Option<String>,
    },
    /// An end.
    Cancel {
        /// When.
        when: When,
        /// Whether what is left of the period is given back.
        refund: bool,
    },
    /// A rest.
    Pause {
        /// When.
        when: When,
        /// Until when; else until it is resumed.
        until: Option<Timestamp>,
    },
    /// That it goes on: a cancellation, a pause, or what is put down for the end of the period is taken back.
    Resume,
}

/// What was used of the units that the present plan grants, and what another plan would count on.
pub async fn allowances(cx: &Cx, customer: &CustomerId, next: Option<&PlanId>) -> Result<Vec<Allowance>> {
    let next = next.and_then(|plan| cx.tenant.catalog.plans.get(plan));
    let quotas = usage::quotas(cx, customer.as_str()).await?;
    let account = cx.app.customers.get(cx, customer.as_str()).await?;
    let present = account.customer.subscription.as_ref().and_then(|own| cx.tenant.catalog.plans.get(&own.plan));
    let now = cx.tenant_now();
    let own = |feature: &FeatureKey| {
        let mut all = account.customer.overrides.iter();
        all.find(|own| own.feature == *feature && own.until.is_none_or(|until| now < until))
    };
    let counted = quotas.iter().filter(|quota| quota.kind == FeatureKind::Counter);
    let allowance = |quota: &domain::quota::Quota| {
        let granted = next.and_then(|plan| plan.features.get(&quota.feature)).filter(|granted| granted.enabled);
        let goes_on = granted.is_some() && reset_of(next, &quota.feature) == reset_of(present, &quota.feature);
        let next_limit = match granted {
            // A limit of the customer's own holds on every plan, and what counts from nothing again is spent.
            _ if next.is_some() && own(&quota.feature).is_some() => quota.limit,
            Some(_) if !goes_on => Some(0),
            Some(granted) if granted.limit_type == LimitType::Unlimited => None,
            Some(granted) => Some(granted.limit),
            None => Some(0),
        };
        quota.limit.map(|limit| Allowance { limit, used: quota.used, next_limit, period: quota.period })
    };
    Ok(counted.filter_map(allowance).collect())
}

/// How a feature begins again on a plan that has it.
fn reset_of(plan: Option<&Plan>, feature: &FeatureKey) -> Option<Reset> {
    plan.and_then(|plan| plan.features.get(feature)).map(|granted| granted.reset)
}

/// The terms that a change leads to.
async fn terms(
    cx: &Cx,
    customer: &CustomerId,
    (plan, interval): (&str, Option<Interval>),
    now: Option<&State>,
) -> Result<Terms> {
    if let Some(kept) = now.map(|state| &state.terms).filter(|terms| is_of(cx, terms, (plan, interval))) {
        // Who chooses what runs keeps the price version that it has, as everybody does when prices change.
        return Ok(kept.clone());
    }
    let usual = interval.or_else(|| now.filter(|state| state.terms.price.is_some()).map(|state| state.terms.interval));
    let found = checkout::price_for(cx, customer, (plan, usual.unwrap_or(Interval::Month))).await;
    let price = match found {
        // What is free is often sold by the month alone.
        Err(_) if interval.is_none() && usual == Some(Interval::Year) => {
            checkout::price_for(cx, customer, (plan, Interval::Month)).await?
        }
        found => found?,
    };
    let interval = Interval::parse(&price.interval).ok_or_else(|| Error::internal("a price without an interval"))?;
    let id = Some(PriceId::stored(price.id.as_str()));
    Ok(Terms { plan: PlanId::stored(price.plan.as_str()), price: id, interval, amount: price.amount })
}

/// Whether terms are of a plan, and paid as somebody wants to.
fn is_of(cx: &Cx, terms: &Terms, (plan, interval): (&str, Option<Interval>)) -> bool {
    let slug = cx.tenant.catalog.plans.get(&terms.plan).is_some_and(|known| *known.slug == *plan);
    slug && interval.is_none_or(|interval| interval == terms.interval)
}

/// What is asked, as a command. `state` is what it is asked of.
async fn command(cx: &Cx, customer: &CustomerId, asked: &Ask, state: Option<&State>) -> Result<Command> {
    Ok(match asked {
        Ask::Change { plan, interval, when, .. } => {
            let to = terms(cx, customer, (plan, *interval), state).await?;
            let allowances = allowances(cx, customer, Some(&to.plan)).await?;
            Command::Change { to, when: *when, allowances }
        }
        Ask::Cancel { when, refund } => {
            let allowances = if *refund { allowances(cx, customer, None).await? } else { Vec::new() };
            Command::Cancel { when: *when, refund: *refund, allowances }
        }
        Ask::Pause { when, until } => Command::Pause { when: *when, until: *until },
        Ask::Resume => match state.map(|state| (state.status, state.scheduled.is_some())) {
            Some((SubscriptionStatus::Canceled, _)) => Command::UndoCancel,
            Some((SubscriptionStatus::Paused, _)) => Command::Resume,
            Some((_, true)) => Command::DropScheduled,
            _ => Command::Resume,
        },
    })
}

/// The coupon that a change asks for, and what it takes off from now on.
async fn coupon_of(cx: &Cx, customer: &CustomerId, (asked, to): (&Ask, &Terms)) -> Result<Option<(String, Discount)>> {
    let Ask::Change { plan, coupon: Some(code), .. } = asked else { return Ok(None) };
    let row = coupon::wanted(cx, customer, code, (plan, to.amount)).await?;
    let discount = discount(&row, cx.tenant_now())?;
    Ok(Some((row.code, discount)))
}

/// The refusal of a coupon for what does not hold yet: it would be used up by the time it does.
fn too_early() -> Error {
    let detail = "this change waits for the end of the period; redeem the coupon with one that holds at once";
    Error::field("/coupon", detail)
}

/// Whether the caller may decide what is not paid by themselves.
fn decides_for_others(cx: &Cx) -> bool {
    matches!(cx.actor, Actor::Key { .. } | Actor::System) || cx.actor.own_customer().is_none()
}

/// People buy through a provider: without a payment method a plan that costs something is not changed to.
fn refuse_unpaid(cx: &Cx, asked: &Ask, (state, to): (Option<&State>, &Command)) -> Result<()> {
    if decides_for_others(cx) {
        return Ok(());
    }
    if matches!(asked, Ask::Cancel { refund: true, .. }) {
        return Err(Error::field("/refund", "leave it out; whoever runs this product gives money back"));
    }
    let costs = matches!(to, Command::Change { to, .. } if !to.is_free());
    if costs && !state.is_some_and(|state| state.payable) {
        let detail = "There is no payment method yet; buy the plan with POST /api/checkout.";
        return Err(Error::new(Code::SubscriptionState, detail));
    }
    Ok(())
}

fn none_yet() -> Error {
    Error::new(Code::SubscriptionState, "There is no subscription; begin one with POST /api/checkout.")
}

/// What something would come to: exactly what [`does`] then does.
pub async fn preview(cx: &Cx, customer: &CustomerId, asked: &Ask) -> Result<Preview> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.clone().with_tenant(tenant);
    let (rules, now) = (rules(cx)?, cx.tenant_now());
    let Some(life) = Life::look(cx, customer).await? else {
        let Ask::Change { plan, interval, .. } = asked else { return Err(none_yet()) };
        let to = terms(cx, customer, (plan, *interval), None).await?;
        let days = cx.tenant.catalog.plans.get(&to.plan).map_or(0, |plan| plan.trial_days);
        let days = trial_days(&cx.app.db, cx, customer, days).await?;
        let discount = coupon_of(cx, customer, (asked, &to)).await?.map(|(_, discount)| discount);
        let decision = beginning(cx, &to, (days, true), discount, now)?;
        return Preview::of(decision, &rules).map_err(refused);
    };
    let mut state = life.state;
    // What fell due before comes first, also when nobody has written it yet.
    while let Some(first) = due(&state, &rules, now).map_err(Error::internal)?.first().copied() {
        state = decide(&state, &Command::Step(first.step), &rules, now).map_err(refused)?.next;
    }
    let command = command(cx, customer, asked, Some(&state)).await?;
    if let Command::Change { to, .. } = &command
        && let Some((_, discount)) = coupon_of(cx, customer, (asked, to)).await?
    {
        state.discount = Some(counting(cx, &state, to, discount)?);
        let preview = previewed(&state, &command, &rules, now).map_err(refused)?;
        return if preview.next.scheduled.is_some() { Err(too_early()) } else { Ok(preview) };
    }
    previewed(&state, &command, &rules, now).map_err(refused)
}

/// Does what is asked, once for each idempotency key. Answers whether it was done before.
pub async fn does(cx: &Cx, customer: &CustomerId, asked: &Ask, identity: Option<&Idempotency>) -> Result<bool> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.clone().with_tenant(tenant);
    close::catch_up(cx, customer).await?;
    let seen = Life::look(cx, customer).await?;
    let state = seen.as_ref().map(|life| &life.state);
    let command = command(cx, customer, asked, state).await;
    let coupon = match &command {
        Ok(Command::Change { to, .. }) => coupon_of(cx, customer, (asked, to)).await,
        _ => Ok(None),
    };
    let mut tx = cx.app.db.begin().await?;
    if creation::claim(&mut tx, cx, identity).await?.is_some() {
        return Ok(true);
    }
    let command = command?;
    refuse_unpaid(cx, asked, (state, &command))?;
    let mut life = Life::lock(&mut tx, cx, customer).await?.ok_or_else(none_yet)?;
    let redeemed = coupon?;
    let redeems = redeemed.is_some();
    if let (Some((code, discount)), Ask::Change { plan, .. }, Command::Change { to, .. }) = (redeemed, asked, &command)
    {
        coupon::redeem(&mut tx, cx, customer, (&code, plan)).await?;
        life = caught_up(&mut tx, cx, life).await?;
        life = with_coupon(cx, life, to, (&code, discount))?;
    }
    let id = life.row.subscription_id.clone();
    let life = apply(&mut tx, cx, life, &command, &Note::default()).await?;
    if redeems && life.state.scheduled.is_some() {
        return Err(too_early());
    }
    creation::note(&mut tx, cx, identity, &id).await?;
    tx.commit().await?;
    if let Err(error) = time::collect_due(cx, cx.tenant_now()).await {
        // The job comes to it, too.
        tracing::warn!(%error, "what is to be paid could not be collected at once");
    }
    if let Err(error) = summary::after_change(cx, customer.as_str()).await {
        tracing::warn!(%error, "a summary could not be made at once");
    }
    Ok(false)
}
