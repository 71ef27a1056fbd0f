//! Other terms: at once with proration, or put down for the end of the period.

use super::decide::{When, begin, enter};
use super::decision::{Cause, Charge, Decision, Effect, Line, LineKind, Notice, Refund, Refusal, Slot, SlotKind};
use super::{Attempt, Open, Rules, Scheduled, State, Terms, ending};
use crate::entitlement::SubscriptionStatus;
use crate::money::{Money, MoneyError};
use crate::planted::{Bug, planted};
use crate::proration::{Allowance, Paid, charge, credit};
use crate::time::Timestamp;

/// A change that is asked for.
pub(super) struct Change<'a> {
    pub(super) to: &'a Terms,
    pub(super) when: When,
    pub(super) allowances: &'a [Allowance],
}

/// Changes the terms.
pub(super) fn change(state: &State, change: &Change<'_>, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    match state.status {
        SubscriptionStatus::Pending => return Err(Refusal::Pending),
        SubscriptionStatus::Expired => return Err(Refusal::Over),
        SubscriptionStatus::Paused => return Err(Refusal::Paused),
        SubscriptionStatus::PastDue => return Err(Refusal::PaymentOpen),
        SubscriptionStatus::Canceled => return Err(Refusal::Canceled),
        SubscriptionStatus::Trialing | SubscriptionStatus::Active => {}
    }
    if change.to == &state.terms {
        // Who chooses what runs wants nothing else at the end of the period either.
        return if state.scheduled.is_some() { drop_scheduled(state, now) } else { Err(Refusal::AlreadySo) };
    }
    let in_trial = state.status == SubscriptionStatus::Trialing;
    match change.when {
        When::PeriodEnd => schedule(state, change.to, now),
        When::Usual if !in_trial && !holds_at_once(&state.terms, change.to) => schedule(state, change.to, now),
        When::Usual | When::Now if in_trial => in_the_trial(state, change.to, rules, now),
        When::Usual | When::Now => at_once(state, change, rules, now),
    }
}

/// What usually holds at once: whatever costs more, and whatever comes after something free. Monthly becomes yearly at
/// once and yearly monthly at the end of the year, so that what was paid for is used; and another currency waits as well.
fn holds_at_once(from: &Terms, to: &Terms) -> bool {
    if from.is_free() {
        return true;
    }
    if to.amount.currency != from.amount.currency {
        return false;
    }
    match from.interval.months().cmp(&to.interval.months()) {
        std::cmp::Ordering::Less => !to.is_free(),
        std::cmp::Ordering::Equal => to.amount.minor >= from.amount.minor,
        std::cmp::Ordering::Greater => false,
    }
}

/// What a change is called.
pub(super) fn called(from: &Terms, to: &Terms) -> Cause {
    let annual = |terms: &Terms| terms.interval.annual(terms.amount);
    if from.plan == to.plan {
        return if from.interval == to.interval { Cause::PlanChanged } else { Cause::IntervalChanged };
    }
    match annual(to).cmp(&annual(from)) {
        std::cmp::Ordering::Greater => Cause::Upgraded,
        std::cmp::Ordering::Less => Cause::Downgraded,
        std::cmp::Ordering::Equal => Cause::PlanChanged,
    }
}

/// Puts a change down for the end of the period; the last one counts.
fn schedule(state: &State, to: &Terms, now: Timestamp) -> Result<Decision, Refusal> {
    let scheduled = Some(Scheduled::Change(to.clone()));
    if state.scheduled == scheduled {
        return Err(Refusal::AlreadySo);
    }
    let next = State { scheduled, ..state.clone() };
    Ok(Decision {
        at: now,
        next,
        cause: Cause::ChangeScheduled,
        effects: vec![Effect::Notify(Notice::ChangeScheduled)],
    })
}

/// Takes back what is put down.
pub(super) fn drop_scheduled(state: &State, now: Timestamp) -> Result<Decision, Refusal> {
    if state.scheduled.is_none() {
        return Err(Refusal::NothingScheduled);
    }
    let next = State { scheduled: None, ..state.clone() };
    Ok(Decision { at: now, next, cause: Cause::ScheduleDropped, effects: vec![Effect::Notify(Notice::Resumed)] })
}

/// Puts other terms in the place of the present ones; another plan counts from `at`.
pub(super) fn adopt(state: &mut State, to: &Terms, at: Timestamp) {
    if state.terms.plan != to.plan {
        state.plan_since = at;
    }
    state.terms = to.clone();
    state.scheduled = None;
}

/// In a trial nothing was paid, so nothing is set off: the trial goes on with the other plan, unless that is free.
fn in_the_trial(state: &State, to: &Terms, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    let cause = called(&state.terms, to);
    let mut next = state.clone();
    adopt(&mut next, to, now);
    next.paid.amount = Money::zero(to.amount.currency);
    if to.is_free() {
        next.trial = None;
        begin(&mut next, rules, now)?;
    }
    Ok(Decision { at: now, next, cause, effects: vec![Effect::Notify(Notice::PlanChanged)] })
}

fn at_once(state: &State, change: &Change<'_>, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    let (from, to) = (&state.terms, change.to);
    // Two changes at one instant, which a test clock allows, would have one slot; a microsecond costs nobody anything.
    let now = now.max(state.paid.from.plus_micros(1));
    let end = state.period.end.unwrap_or(now);
    let unused = credit(state.paid, end, now, change.allowances)?;
    if unused.minor != 0 && unused.currency != to.amount.currency {
        return Err(Refusal::OtherCurrency);
    }
    let mut next = state.clone();
    adopt(&mut next, to, now);
    let slot = Slot { at: now, kind: SlotKind::Change };
    let mut lines = Vec::new();
    if unused.minor != 0 && !planted(Bug::NothingGivenBack) {
        let amount = Money::new(unused.minor.saturating_neg(), unused.currency);
        lines.push(Line { kind: LineKind::Unused, plan: from.plan.clone(), amount, from: now, to: end, used: None });
    }
    if from.is_free() || from.interval != to.interval {
        // A new period begins: after something free nothing runs that was paid for, and months and years do not mix.
        next.anchor = now;
        lines.extend(enter(&mut next, rules, now)?);
    } else {
        let reduced = next.net(to.amount, now, &rules.zone)?;
        let (full, reduced) = (charge(to.amount, next.period, now)?, charge(reduced, next.period, now)?);
        next.paid = Paid { amount: reduced, from: now };
        lines.extend(plan_lines(&next, (full, reduced), now)?);
    }
    let mut effects: Vec<_> = ask(&mut next, slot, lines)?.into_iter().collect();
    effects.push(Effect::Notify(Notice::PlanChanged));
    Ok(Decision { at: now, next, cause: called(from, to), effects })
}

/// The lines of a plan from `from` to the end of the period, and of what a coupon takes off it.
pub(super) fn plan_lines(
    state: &State,
    (gross, net): (Money, Money),
    from: Timestamp,
) -> Result<Vec<Line>, MoneyError> {
    let to = state.period.end.unwrap_or(from);
    let line = |kind, amount| Line { kind, plan: state.terms.plan.clone(), amount, from, to, used: None };
    let off = net.checked_sub(gross)?;
    let lines = [line(LineKind::Plan, gross), line(LineKind::Discount, off)];
    Ok(lines.into_iter().filter(|line| line.amount.minor != 0).collect())
}

/// What lines come to: money to ask for, which is open from now on, money to give back, or nothing. As long as something
/// of the period is open nothing is given back, since nobody knows whether it came.
pub(super) fn ask(state: &mut State, slot: Slot, lines: Vec<Line>) -> Result<Option<Effect>, Refusal> {
    let Some(first) = lines.first() else { return Ok(None) };
    let nothing = Money::zero(first.amount.currency);
    let mut amount = lines.iter().try_fold(nothing, |sum, line| sum.checked_add(line.amount))?;
    if planted(Bug::TotalRoundedApart) && lines.len() > 1 {
        amount.minor = amount.minor.saturating_add(1);
    }
    Ok(match amount.minor {
        0 => None,
        minor if minor > 0 => {
            state.open.push(Open { slot, attempt: Attempt::First });
            Some(Effect::Charge(Charge { slot, amount, lines }))
        }
        _ if owes_the_period(state) => return Err(Refusal::PaymentOpen),
        _ => Some(Effect::Refund(Refund { slot, amount: nothing.checked_sub(amount)?, lines })),
    })
}

/// Whether something is open of what counts as charged for the period; use beyond a limit is not of that.
fn owes_the_period(state: &State) -> bool {
    state.open.iter().any(|open| open.slot.kind != SlotKind::Overage)
}

/// What is left of a period that ends before its time; nothing as long as a payment for it is open.
pub(super) fn give_back(state: &State, allowances: &[Allowance], now: Timestamp) -> Result<Option<Effect>, Refusal> {
    if owes_the_period(state) || state.status == SubscriptionStatus::Trialing {
        return Ok(None);
    }
    let to = state.period.end.unwrap_or(now);
    let unused = credit(state.paid, to, now, &ending::for_good(allowances))?;
    if unused.minor == 0 {
        return Ok(None);
    }
    let amount = Money::new(unused.minor.saturating_neg(), unused.currency);
    let line = Line { kind: LineKind::Unused, plan: state.terms.plan.clone(), amount, from: now, to, used: None };
    let slot = Slot { at: now, kind: SlotKind::End };
    Ok(Some(Effect::Refund(Refund { slot, amount: unused, lines: vec![line] })))
}
