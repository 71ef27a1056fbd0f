//! How a subscription ends, rests, and goes on again.

use super::change::{adopt, ask, give_back};
use super::decide::{When, begin, enter};
use super::decision::{Cause, Decision, Effect, Notice, Refusal, Slot, SlotKind};
use super::{Dunning, Rules, Scheduled, State, Trial};
use crate::entitlement::SubscriptionStatus;
use crate::money::Money;
use crate::proration::{Allowance, Paid};
use crate::time::Timestamp;

/// The allowances of a plan that nothing follows: what was used counts nowhere else.
pub(super) fn for_good(allowances: &[Allowance]) -> Vec<Allowance> {
    allowances.iter().map(|allowance| Allowance { next_limit: Some(0), ..*allowance }).collect()
}

/// Cancels: now, or at the end of what runs.
pub(super) fn cancel(
    state: &State,
    (when, refund): (When, bool),
    allowances: &[Allowance],
    now: Timestamp,
) -> Result<Decision, Refusal> {
    use SubscriptionStatus::{Active, Canceled, Expired, PastDue, Paused, Pending, Trialing};
    let later = when != When::Now;
    // Nothing runs of one that is paused or waits, so it ends at once whatever was asked for.
    let until = match state.status {
        Expired => return Err(Refusal::Over),
        Canceled if later => return Err(Refusal::AlreadySo),
        Trialing | Active if later => state.period.end,
        PastDue if later => [state.access_until, state.period.end].into_iter().flatten().min(),
        Pending | Trialing | Active | PastDue | Paused | Canceled => None,
    };
    if let Some(until) = until.filter(|until| *until > now) {
        let next =
            State { status: Canceled, access_until: Some(until), scheduled: None, resume_at: None, ..state.clone() };
        return Ok(Decision { at: now, next, cause: Cause::Canceled, effects: vec![Effect::Notify(Notice::Canceled)] });
    }
    let back = if refund && state.status != Pending { give_back(state, allowances, now)? } else { None };
    let mut decision = over(state, now, Cause::Canceled);
    decision.effects.splice(0..0, back);
    Ok(decision)
}

/// Takes a cancellation back, as long as its time runs.
pub(super) fn undo_cancel(state: &State, now: Timestamp) -> Result<Decision, Refusal> {
    match state.status {
        SubscriptionStatus::Canceled => {}
        SubscriptionStatus::Expired => return Err(Refusal::Over),
        SubscriptionStatus::Pending
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Paused => return Err(Refusal::Nothing(state.status)),
    }
    let in_trial = state.trial.is_some_and(|trial| now < trial.ends_at);
    let (status, access_until) = match state.dunning {
        Some(dunning) => (SubscriptionStatus::PastDue, Some(dunning.until)),
        None if in_trial => (SubscriptionStatus::Trialing, None),
        None => (SubscriptionStatus::Active, None),
    };
    let next = State { status, access_until, ..state.clone() };
    Ok(Decision { at: now, next, cause: Cause::CancelUndone, effects: vec![Effect::Notify(Notice::Resumed)] })
}

/// Pauses: now, or when the period ends.
pub(super) fn pause(
    state: &State,
    (when, until): (When, Option<Timestamp>),
    now: Timestamp,
) -> Result<Decision, Refusal> {
    match state.status {
        SubscriptionStatus::Active => {}
        SubscriptionStatus::Pending => return Err(Refusal::Pending),
        SubscriptionStatus::Trialing => return Err(Refusal::Trialing),
        SubscriptionStatus::PastDue => return Err(Refusal::PaymentOpen),
        SubscriptionStatus::Paused => return Err(Refusal::AlreadySo),
        SubscriptionStatus::Canceled => return Err(Refusal::Canceled),
        SubscriptionStatus::Expired => return Err(Refusal::Over),
    }
    let from = if when == When::PeriodEnd { state.period.end.unwrap_or(now) } else { now };
    if until.is_some_and(|until| until <= from) {
        return Err(Refusal::Past);
    }
    if when == When::PeriodEnd {
        let scheduled = Some(Scheduled::Pause(until));
        if state.scheduled == scheduled {
            return Err(Refusal::AlreadySo);
        }
        let next = State { scheduled, ..state.clone() };
        let effects = vec![Effect::Notify(Notice::ChangeScheduled)];
        return Ok(Decision { at: now, next, cause: Cause::PauseScheduled, effects });
    }
    Ok(rest(state, until, now))
}

/// A subscription at rest. A change that was put down waits with it; a pause that was put down has come.
pub(super) fn rest(state: &State, until: Option<Timestamp>, at: Timestamp) -> Decision {
    let scheduled = state.scheduled.clone().filter(|scheduled| matches!(scheduled, Scheduled::Change(_)));
    let next = State { status: SubscriptionStatus::Paused, scheduled, resume_at: until, ..state.clone() };
    Decision { at, next, cause: Cause::Paused, effects: vec![Effect::Notify(Notice::Paused)] }
}

/// Goes on after a pause: in the period that is paid for, or in a new one from now on if that is over. One whose payment
/// failed meanwhile gets its grace from now on.
pub(super) fn resume(state: &State, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    match state.status {
        SubscriptionStatus::Paused => {}
        SubscriptionStatus::Canceled => return Err(Refusal::Canceled),
        SubscriptionStatus::Expired => return Err(Refusal::Over),
        SubscriptionStatus::Pending
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue => return Err(Refusal::Nothing(state.status)),
    }
    let mut next = State { status: SubscriptionStatus::Active, resume_at: None, ..state.clone() };
    let mut effects = vec![Effect::Notify(Notice::Resumed)];
    if state.period.end.is_none_or(|end| end <= now) {
        if let Some(Scheduled::Change(to)) = &state.scheduled {
            adopt(&mut next, to, now);
        }
        next.anchor = now;
        let lines = enter(&mut next, rules, now)?;
        effects.splice(0..0, ask(&mut next, Slot { at: now, kind: SlotKind::Period }, lines)?);
    }
    if next.is_overdue() {
        grace(&mut next, rules, now)?;
    }
    Ok(Decision { at: now, next, cause: Cause::Resumed, effects })
}

/// Begins the grace of a failed payment, once: later failures do not lengthen it.
pub(super) fn grace(state: &mut State, rules: &Rules, now: Timestamp) -> Result<(), Refusal> {
    let until = now.plus_days(rules.grace_days.max(0), &rules.zone)?;
    state.status = SubscriptionStatus::PastDue;
    state.access_until = Some(until);
    state.dunning = Some(Dunning { since: now, until, tried: 0 });
    Ok(())
}

/// Tells that the trial ends soon.
pub(super) fn announce_trial_end(state: &State, at: Timestamp) -> Decision {
    let trial = state.trial.map(|trial| Trial { warned: true, ..trial });
    let next = State { trial, ..state.clone() };
    Decision { at, next, cause: Cause::TrialEnding, effects: vec![Effect::Notify(Notice::TrialEnding)] }
}

/// The trial is over: with a payment method the first period begins and is asked for; without one the fallback plan
/// takes its place, or it ends.
pub(super) fn end_trial(state: &State, rules: &Rules, at: Timestamp) -> Result<Decision, Refusal> {
    let mut next = state.clone();
    if let Some(Scheduled::Change(to)) = &state.scheduled {
        adopt(&mut next, to, at);
    }
    if !state.payable && !next.terms.is_free() {
        return fall_back(state, rules, at, Cause::TrialEnded);
    }
    let lines = begin(&mut next, rules, at)?;
    let asked = ask(&mut next, Slot { at, kind: SlotKind::Start }, lines)?;
    Ok(Decision { at, next, cause: Cause::TrialConverted, effects: asked.into_iter().collect() })
}

/// The fallback plan takes its place (SPEC §5), or it ends. What is free already has nothing to fall back from.
pub(super) fn fall_back(state: &State, rules: &Rules, at: Timestamp, cause: Cause) -> Result<Decision, Refusal> {
    if state.terms.is_free() {
        return Ok(stay(state, at, cause));
    }
    let Some(fallback) = rules.fallback_of(&state.terms) else { return Ok(over(state, at, cause)) };
    let effects = voids(state).chain([Effect::Notify(notice(cause))]).collect();
    // A method that did not pay is none: the next thing that costs something is bought anew.
    let payable = state.payable && cause != Cause::DunningExhausted;
    let mut next =
        State { access_until: None, open: Vec::new(), dunning: None, discount: None, payable, ..state.clone() };
    adopt(&mut next, fallback, at);
    begin(&mut next, rules, at)?;
    Ok(Decision { at, next, cause, effects })
}

/// It stays on its free terms; what is open of dearer times is not collected any more, and what was planned is dropped.
fn stay(state: &State, at: Timestamp, cause: Cause) -> Decision {
    let effects = voids(state).chain([Effect::Notify(Notice::Resumed)]).collect();
    let next = State {
        status: SubscriptionStatus::Active,
        access_until: None,
        open: Vec::new(),
        dunning: None,
        scheduled: None,
        ..state.clone()
    };
    Decision { at, next, cause, effects }
}

/// Nobody approved in time. Who approves late has paid all the same, so the purchase can still be told from others.
pub(super) fn lapse(state: &State, at: Timestamp) -> Decision {
    let mut decision = over(state, at, Cause::CheckoutExpired);
    decision.next.pending_until = state.pending_until;
    decision.effects.clear();
    decision
}

fn notice(cause: Cause) -> Notice {
    if cause == Cause::TrialEnded { Notice::TrialEnded } else { Notice::Ended }
}

fn voids(state: &State) -> impl Iterator<Item = Effect> {
    state.open.iter().map(|open| Effect::Void(open.slot))
}

/// It is over, and what is open is not collected any more.
pub(super) fn over(state: &State, at: Timestamp, cause: Cause) -> Decision {
    let next = State {
        status: SubscriptionStatus::Expired,
        access_until: None,
        pending_until: None,
        paid: Paid { amount: Money::zero(state.currency()), from: at },
        open: Vec::new(),
        dunning: None,
        scheduled: None,
        resume_at: None,
        ..state.clone()
    };
    let effects = voids(state).chain([Effect::Notify(notice(cause))]).collect();
    Decision { at, next, cause, effects }
}
