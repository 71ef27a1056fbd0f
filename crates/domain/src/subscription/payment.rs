//! Payments: those that time asks for, those that came, and those that failed.

use super::change::{adopt, ask, called};
use super::decide::enter;
use super::decision::{Cause, Decision, Effect, Line, Notice, Refusal, Slot, SlotKind};
use super::ending::{grace, rest};
use super::{Attempt, Dunning, Rules, Scheduled, State};
use crate::entitlement::SubscriptionStatus;
use crate::time::Timestamp;

/// The next period begins, at the terms that were put down for it, and is asked for. It begins also while nobody knows
/// whether the last one was paid: what is unknown is asked about, never guessed.
pub(super) fn renew(state: &State, rules: &Rules, at: Timestamp) -> Result<Decision, Refusal> {
    let mut next = state.clone();
    let mut cause = Cause::Renewed;
    let mut effects = Vec::new();
    match &state.scheduled {
        // A pause that was put down begins instead of the period.
        Some(Scheduled::Pause(until)) => return Ok(rest(state, *until, at)),
        Some(Scheduled::Change(to)) => {
            cause = called(&state.terms, to);
            effects.push(Effect::Notify(Notice::PlanChanged));
            adopt(&mut next, to, at);
        }
        None => {}
    }
    let lines = enter(&mut next, rules, at)?;
    effects.splice(0..0, ask(&mut next, Slot { at, kind: SlotKind::Period }, lines)?);
    Ok(Decision { at, next, cause, effects })
}

/// What was used beyond soft limits is asked for, once for the instant at which its periods ended.
pub(super) fn owe(state: &State, at: Timestamp, lines: &[Line], now: Timestamp) -> Result<Decision, Refusal> {
    if state.status == SubscriptionStatus::Expired {
        return Err(Refusal::Over);
    }
    let slot = Slot { at, kind: SlotKind::Overage };
    if state.open.iter().any(|open| open.slot == slot) {
        return Err(Refusal::AlreadySo);
    }
    let mut next = state.clone();
    let asked = ask(&mut next, slot, lines.to_vec())?.ok_or(Refusal::AlreadySo)?;
    Ok(Decision { at: now, next, cause: Cause::OverageCharged, effects: vec![asked] })
}

/// A payment came. When none that failed is open any more, an overdue one is active again.
pub(super) fn paid(state: &State, slot: Slot, now: Timestamp) -> Result<Decision, Refusal> {
    if !state.open.iter().any(|open| open.slot == slot) {
        let over = state.status == SubscriptionStatus::Expired;
        return Err(if over { Refusal::Over } else { Refusal::AlreadySo });
    }
    let mut next = state.clone();
    next.open.retain(|open| open.slot != slot);
    next.payable = true;
    let mut effects = Vec::new();
    if state.is_overdue() && !next.is_overdue() {
        next.dunning = None;
        effects.push(Effect::Notify(Notice::PaymentRecovered));
        if state.status == SubscriptionStatus::PastDue {
            next.status = SubscriptionStatus::Active;
            next.access_until = None;
        }
        if state.status == SubscriptionStatus::Canceled {
            // It was shortened to the grace; what is paid for may be used to its end.
            next.access_until = state.period.end.max(state.access_until);
        }
    }
    Ok(Decision { at: now, next, cause: Cause::PaymentReceived, effects })
}

/// A payment failed: the grace begins, or goes on as it began.
pub(super) fn failed(state: &State, slot: Slot, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    let mut next = state.clone();
    // Without one it was paid, voided or never asked for: an event that comes twice, or after the one that followed it.
    let tried = next.open.iter_mut().find(|open| open.slot == slot && open.attempt != Attempt::Failed);
    tried.ok_or(Refusal::AlreadySo)?.attempt = Attempt::Failed;
    match state.status {
        SubscriptionStatus::Active => grace(&mut next, rules, now)?,
        SubscriptionStatus::Canceled if state.dunning.is_none() => {
            // It ends anyway; what is not paid for may be used for the grace alone.
            let end = state.access_until;
            grace(&mut next, rules, now)?;
            next.status = SubscriptionStatus::Canceled;
            next.access_until = [end, next.access_until].into_iter().flatten().min();
        }
        // The grace runs; at rest nothing is collected, and it begins when the subscription goes on.
        SubscriptionStatus::PastDue
        | SubscriptionStatus::Canceled
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Pending
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Expired => {}
    }
    Ok(Decision { at: now, next, cause: Cause::PaymentFailed, effects: vec![Effect::Notify(Notice::PaymentFailed)] })
}

/// What failed is tried again; what was asked for and is on its way is left alone. Tries that were missed meanwhile count
/// as this one.
pub(super) fn retry(state: &State, number: u32, at: Timestamp) -> Decision {
    let dunning = state.dunning.map(|dunning| Dunning { tried: number, ..dunning });
    let mut next = State { dunning, ..state.clone() };
    for open in next.open.iter_mut().filter(|open| open.attempt == Attempt::Failed) {
        open.attempt = Attempt::Again;
    }
    Decision { at, next, cause: Cause::PaymentRetried, effects: vec![Effect::Retry(number)] }
}
