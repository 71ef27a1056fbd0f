//! What time does to a subscription: the ordered list that the server's `tick` works off (DESIGN §1, RELIABILITY E6).

use super::{Rules, State};
use crate::entitlement::SubscriptionStatus;
use crate::time::{TimeError, Timestamp};

/// Something that time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Nobody approved in time.
    CheckoutExpiry,
    /// The trial's end is announced.
    TrialEnding,
    /// The trial ends.
    TrialEnd,
    /// The next billing period begins, at the terms that are put down for it.
    Renewal,
    /// A failed payment is tried again, for the so-manieth time.
    Retry(u32),
    /// The grace of a failed payment is over.
    Exhausted,
    /// The time of a canceled one is over.
    Expiry,
    /// A paused one goes on.
    Resumption,
}

impl Step {
    /// Its name in keys and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckoutExpiry => "checkout_expiry",
            Self::TrialEnding => "trial_ending",
            Self::TrialEnd => "trial_end",
            Self::Renewal => "renewal",
            Self::Retry(_) => "retry",
            Self::Exhausted => "exhausted",
            Self::Expiry => "expiry",
            Self::Resumption => "resumption",
        }
    }
}

/// A step and when it falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// What.
    pub step: Step,
}

impl Due {
    /// Its key within the subscription, the same on every node and after every crash: a step is done once for it.
    pub fn slot(&self) -> String {
        let (name, at) = (self.step.name(), self.at.as_micros());
        match self.step {
            Step::Retry(number) => format!("{name}:{number}:{at}"),
            Step::CheckoutExpiry
            | Step::TrialEnding
            | Step::TrialEnd
            | Step::Renewal
            | Step::Exhausted
            | Step::Expiry
            | Step::Resumption => format!("{name}:{at}"),
        }
    }
}

/// What is due at `now`, oldest first.
///
/// Each step changes what comes after it, so whoever works the list off does the first and asks again. After a long
/// silence nothing is said twice: of several tries of a payment only the last is due, and a trial that is over is not
/// announced any more. Renewals are each done, one after the other, since each is a period to be paid.
pub fn due(state: &State, rules: &Rules, now: Timestamp) -> Result<Vec<Due>, TimeError> {
    let mut steps = steps(state, rules)?;
    steps.retain(|due| due.at <= now);
    let over = steps.iter().any(|due| due.step == Step::TrialEnd);
    let last_retry = steps.iter().rev().find(|due| matches!(due.step, Step::Retry(_))).copied();
    steps.retain(|due| match due.step {
        Step::TrialEnding => !over,
        Step::Retry(_) => Some(*due) == last_retry,
        Step::CheckoutExpiry | Step::TrialEnd | Step::Renewal | Step::Exhausted | Step::Expiry | Step::Resumption => {
            true
        }
    });
    Ok(steps)
}

/// When time does something to a subscription next; none if it never does.
pub fn next_due_at(state: &State, rules: &Rules) -> Result<Option<Timestamp>, TimeError> {
    Ok(steps(state, rules)?.first().map(|due| due.at))
}

/// Everything that will be due as it stands, in order.
pub(super) fn steps(state: &State, rules: &Rules) -> Result<Vec<Due>, TimeError> {
    use SubscriptionStatus::{Active, Canceled, Expired, PastDue, Paused, Pending, Trialing};
    let mut steps = Vec::new();
    let mut add = |step, at: Option<Timestamp>| steps.extend(at.map(|at| Due { at, step }));
    match state.status {
        Pending => add(Step::CheckoutExpiry, state.pending_until),
        Trialing => {
            let trial = state.trial;
            let warned = trial.is_none_or(|trial| trial.warned) || rules.trial_warning_days <= 0;
            if let Some(trial) = trial.filter(|_| !warned) {
                let at = trial.ends_at.plus_days(rules.trial_warning_days.saturating_neg(), &rules.zone)?;
                // A trial that is shorter than that needs no announcement.
                add(Step::TrialEnding, Some(at).filter(|at| *at > state.period.start));
            }
            add(Step::TrialEnd, trial.map(|trial| trial.ends_at).or(state.period.end));
        }
        // A free one has nothing to pay: its periods follow from the anchor, and nobody needs to note them.
        Active if state.terms.is_free() && state.scheduled.is_none() => {}
        Active => add(Step::Renewal, state.period.end),
        PastDue => overdue(state, rules, &mut steps)?,
        Canceled => add(Step::Expiry, Some(state.access_until.unwrap_or(state.period.start))),
        Paused => add(Step::Resumption, state.resume_at),
        Expired => {}
    }
    steps.sort_unstable();
    Ok(steps)
}

/// Tries and the end of an overdue one. While the outcome of a try is unknown nothing is tried and nothing ends.
fn overdue(state: &State, rules: &Rules, steps: &mut Vec<Due>) -> Result<(), TimeError> {
    let Some(dunning) = state.dunning else {
        let until = state.access_until.unwrap_or(state.period.start);
        steps.push(Due { at: until, step: Step::Exhausted });
        return Ok(());
    };
    if dunning.in_flight {
        return Ok(());
    }
    for (number, days) in (1_u32..).zip(&rules.retry_days) {
        let at = dunning.since.plus_days(*days, &rules.zone)?;
        if number > dunning.tried && at < dunning.until {
            steps.push(Due { at, step: Step::Retry(number) });
        }
    }
    steps.push(Due { at: dunning.until, step: Step::Exhausted });
    Ok(())
}
