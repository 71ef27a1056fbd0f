//! The one way from a state to the next, and the preview of it.

use super::change::{self, Change};
use super::decision::{Cause, Charge, Decision, Effect, Line, NextCharge, Preview, Refusal, Slot, SlotKind};
use super::due::{Step, due, steps};
use super::{Discount, Rules, State, Terms, Trial, ending, payment};
use crate::entitlement::SubscriptionStatus;
use crate::money::Money;
use crate::proration::{Allowance, Paid};
use crate::time::{Period, Timestamp, months_at};

/// When something shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// As is usual for it: what costs more at once, what costs less at the end of the period.
    #[default]
    Usual,
    /// At once.
    Now,
    /// At the end of the billing period.
    PeriodEnd,
}

/// What may be asked of a subscription, or happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The provider says that its buyer approved: the first period is paid, or the trial begins.
    Approve {
        /// Days of trial; 0 for none.
        trial_days: i64,
    },
    /// Another plan, price or interval.
    Change {
        /// What is wanted.
        to: Terms,
        /// When.
        when: When,
        /// What was used of what the present plan grants.
        allowances: Vec<Allowance>,
    },
    /// What is put down for the end of the period shall not be.
    DropScheduled,
    /// It shall end.
    Cancel {
        /// When; usually at the end of the period.
        when: When,
        /// Whether what is left of the period is given back when it ends at once.
        refund: bool,
        /// What was used of what the plan grants.
        allowances: Vec<Allowance>,
    },
    /// It shall not end after all.
    UndoCancel,
    /// It shall rest: no use, no payments. Billing dates stay, and what is paid for runs on.
    Pause {
        /// When; usually at once.
        when: When,
        /// Until when; else until it is resumed.
        until: Option<Timestamp>,
    },
    /// It shall go on.
    Resume,
    /// Use beyond soft limits is to be paid.
    Owe {
        /// When the quota periods ended in which it was.
        at: Timestamp,
        /// What it comes to; each above nothing.
        lines: Vec<Line>,
    },
    /// A payment came, says the provider or an admin.
    Paid {
        /// What it is for.
        slot: Slot,
    },
    /// A payment failed, says the provider.
    PaymentFailed {
        /// What it was for.
        slot: Slot,
    },
    /// What falls due by time; the one that [`due`] names first.
    Step(Step),
}

/// What a new subscription is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What is bought.
    pub terms: Terms,
    /// Days of trial; 0 for none.
    pub trial_days: i64,
    /// Until when approval is waited for; none when nobody has to approve.
    pub approval_until: Option<Timestamp>,
    /// What is taken off.
    pub discount: Option<Discount>,
    /// Whether a payment method is known.
    pub payable: bool,
}

/// Begins a subscription: waiting for approval, in its trial, or active. What is free is active at once (SPEC §13).
pub fn start(new: &Start, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    let currency = new.terms.amount.currency;
    let mut state = State {
        status: SubscriptionStatus::Pending,
        terms: new.terms.clone(),
        plan_since: now,
        anchor: now,
        period: Period { start: now, end: None },
        access_until: None,
        pending_until: None,
        trial: None,
        paid: Paid { amount: Money::zero(currency), from: now },
        open: Vec::new(),
        dunning: None,
        scheduled: None,
        resume_at: None,
        discount: new.discount,
        payable: new.payable,
    };
    if let Some(until) = new.approval_until.filter(|_| !new.terms.is_free()) {
        if until <= now {
            return Err(Refusal::Past);
        }
        state.pending_until = Some(until);
        return Ok(Decision { at: now, next: state, cause: Cause::CheckoutBegan, effects: Vec::new() });
    }
    let mut effects = Vec::new();
    if new.trial_days > 0 && !new.terms.is_free() {
        begin_trial(&mut state, new.trial_days, rules, now)?;
    } else {
        let lines = begin(&mut state, rules, now)?;
        effects.extend(change::ask(&mut state, Slot { at: now, kind: SlotKind::Start }, lines)?);
    }
    Ok(Decision { at: now, next: state, cause: Cause::Created, effects })
}

/// Moves a subscription, or says why not.
///
/// What fell due before comes first, except for payments and what was used: they are facts of the past, and one that
/// came in time must not lose against a clock that is worked off late.
pub fn decide(state: &State, command: &Command, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    match command {
        Command::Paid { slot } => return payment::paid(state, *slot, now),
        Command::PaymentFailed { slot } => return payment::failed(state, *slot, rules, now),
        Command::Approve { trial_days } => return approve(state, *trial_days, rules, now),
        Command::Owe { at, lines } => return payment::owe(state, *at, lines, now),
        Command::Change { .. }
        | Command::DropScheduled
        | Command::Cancel { .. }
        | Command::UndoCancel
        | Command::Pause { .. }
        | Command::Resume
        | Command::Step(_) => {}
    }
    let first = due(state, rules, now)?.first().copied();
    if let Command::Step(step) = command {
        let first = first.filter(|first| first.step == *step).ok_or(Refusal::NotDue)?;
        return take(state, first.step, rules, first.at);
    }
    if let Some(first) = first {
        return Err(Refusal::DueFirst(first.step));
    }
    let mut state = state.clone();
    if state.status == SubscriptionStatus::Active {
        // Of a free one nobody notes when a period ends.
        state.period = state.running(&rules.zone, now)?;
    }
    let state = &state;
    match command {
        Command::Change { to, when, allowances } => {
            change::change(state, &Change { to, when: *when, allowances }, rules, now)
        }
        Command::DropScheduled => change::drop_scheduled(state, now),
        Command::Cancel { when, refund, allowances } => ending::cancel(state, (*when, *refund), allowances, now),
        Command::UndoCancel => ending::undo_cancel(state, now),
        Command::Pause { when, until } => ending::pause(state, (*when, *until), now),
        Command::Resume => ending::resume(state, rules, now),
        Command::Approve { .. }
        | Command::Owe { .. }
        | Command::Paid { .. }
        | Command::PaymentFailed { .. }
        | Command::Step(_) => Err(Refusal::NotDue),
    }
}

/// What a command would come to: the decision itself, told.
pub fn preview(state: &State, command: &Command, rules: &Rules, now: Timestamp) -> Result<Preview, Refusal> {
    Preview::of(decide(state, command, rules, now)?, rules)
}

impl Preview {
    /// A decision, told before it is written, with the payment that would follow it: of a change as of a beginning.
    pub fn of(decision: Decision, rules: &Rules) -> Result<Self, Refusal> {
        let due_now = decision.due_now()?;
        let lines = decision.effects.iter().flat_map(|effect| match effect {
            Effect::Charge(Charge { lines, .. }) => lines.clone(),
            Effect::Refund(refund) => refund.lines.clone(),
            Effect::Collected(_) | Effect::Retry(_) | Effect::Void(_) | Effect::Notify(_) => Vec::new(),
        });
        let lines = lines.collect();
        let next_charge = next_charge(&decision.next, rules)?;
        let Decision { at, next, cause, .. } = decision;
        // What is put down holds when the period ends, and a cancellation when the time is over; what else is done beside
        // them holds at once.
        let later = if matches!(cause, Cause::ChangeScheduled | Cause::PauseScheduled) {
            next.period.end
        } else {
            next.access_until.filter(|_| cause == Cause::Canceled)
        };
        Ok(Self { due_now, lines, effective_at: later.unwrap_or(at), next_charge, next, cause })
    }
}

/// The payment that falls due next if nothing else happens: time is let run on until it asks for one.
fn next_charge(state: &State, rules: &Rules) -> Result<Option<NextCharge>, Refusal> {
    // At most the trial's announcement, its end, and a pause lie before it; a coupon may make some periods free.
    const STEPS_MAX: usize = 64;
    let mut state = state.clone();
    for _ in 0..STEPS_MAX {
        let Some(next) = steps(&state, rules)?.first().copied() else { return Ok(None) };
        let decision = take(&state, next.step, rules, next.at)?;
        let charge = decision.effects.iter().find_map(|effect| match effect {
            Effect::Charge(charge) => Some(charge.clone()),
            Effect::Collected(_) | Effect::Refund(_) | Effect::Retry(_) | Effect::Void(_) | Effect::Notify(_) => None,
        });
        if let Some(charge) = charge {
            return Ok(Some(NextCharge { at: next.at, charge }));
        }
        state = decision.next;
    }
    Ok(None)
}

/// Does what falls due at an instant, as of that instant.
fn take(state: &State, step: Step, rules: &Rules, at: Timestamp) -> Result<Decision, Refusal> {
    match step {
        Step::CheckoutExpiry => Ok(ending::lapse(state, at)),
        Step::TrialEnding => Ok(ending::announce_trial_end(state, at)),
        Step::TrialEnd => ending::end_trial(state, rules, at),
        Step::Renewal => payment::renew(state, rules, at),
        Step::Retry(number) => Ok(payment::retry(state, number, at)),
        Step::Exhausted => ending::fall_back(state, rules, at, Cause::DunningExhausted),
        Step::Expiry => Ok(ending::over(state, at, Cause::Ended)),
        Step::Resumption => ending::resume(state, rules, at),
    }
}

/// Somebody approved: also late, since who did has paid, and gets what was bought.
fn approve(state: &State, trial_days: i64, rules: &Rules, now: Timestamp) -> Result<Decision, Refusal> {
    let waits = state.pending_until.is_some();
    if !waits {
        let over = state.status == SubscriptionStatus::Expired;
        return Err(if over { Refusal::Over } else { Refusal::AlreadySo });
    }
    let mut next = State { pending_until: None, payable: true, plan_since: now, ..state.clone() };
    let mut effects = Vec::new();
    if trial_days > 0 {
        begin_trial(&mut next, trial_days, rules, now)?;
    } else {
        let lines = begin(&mut next, rules, now)?;
        if let Some(Effect::Charge(charge)) = change::ask(&mut next, Slot { at: now, kind: SlotKind::Start }, lines)? {
            effects.push(Effect::Collected(charge));
        }
        next.open.clear();
    }
    Ok(Decision { at: now, next, cause: Cause::Checkout, effects })
}

fn begin_trial(state: &mut State, days: i64, rules: &Rules, now: Timestamp) -> Result<(), Refusal> {
    let ends_at = now.plus_days(days, &rules.zone)?;
    state.status = SubscriptionStatus::Trialing;
    state.trial = Some(Trial { ends_at, warned: false });
    state.anchor = now;
    state.period = Period { start: now, end: Some(ends_at) };
    Ok(())
}

/// The first billing period begins, and with it the time of the coupon. Answers what it costs.
pub(super) fn begin(state: &mut State, rules: &Rules, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    state.anchor = now;
    state.discount = state.discount.map(|discount| Discount { from: now, ..discount });
    enter(state, rules, now)
}

/// The billing period that begins at `at` runs. Answers what it costs.
pub(super) fn enter(state: &mut State, rules: &Rules, at: Timestamp) -> Result<Vec<Line>, Refusal> {
    state.status = SubscriptionStatus::Active;
    let months = state.terms.interval.months();
    let mut period = months_at(months, (state.anchor, at), &rules.zone, at)?;
    if period.start != at {
        // The tenant's zone was changed, or a period came from elsewhere: without a new anchor a sliver would be billed
        // as a whole period.
        state.anchor = at;
        period = months_at(months, (at, at), &rules.zone, at)?;
    }
    // From an anchor in the hour that comes twice, the first month begins with the first of the two.
    state.period = Period { start: at, ..period };
    let net = state.net(state.terms.amount, at, &rules.zone)?;
    state.paid = Paid { amount: net, from: at };
    Ok(change::plan_lines(state, (state.terms.amount, net), at)?)
}
