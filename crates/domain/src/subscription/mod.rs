//! The life of a subscription: where it stands, what may happen to it, and what follows (SPEC §5, §13; decision 0015).
//!
//! [`decide`] is the one way from a state to the next, for people, payments and time alike; [`preview`] tells what it
//! would come to and shares all of it. [`due`] says what time does and when. Nothing here knows who asks or how money
//! moves: a [`Decision`] is data that `server::app` writes in one transaction.

mod change;
mod decide;
mod decision;
mod due;
mod ending;
mod payment;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod properties;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests;

use serde::{Deserialize, Serialize};

pub use decide::{Command, Start, When, decide, preview, start};
pub use decision::{
    Cause, Charge, Decision, Effect, Line, LineKind, NextCharge, Notice, Preview, Refund, Refusal, Slot, SlotKind, Used,
};
pub use due::{Due, Step, due, next_due_at};

use crate::coupon::{Duration, Off, covers, discounted};
use crate::entitlement::SubscriptionStatus;
use crate::id::{PlanId, PriceId};
use crate::money::{Currency, Money, MoneyError};
use crate::proration::Paid;
use crate::revenue::{self, Interval};
use crate::time::{Period, TimeError, Timestamp, Zone, months_at};

/// What is bought: a plan at a price version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The plan.
    pub plan: PlanId,
    /// The price version; none for a plan without price.
    pub price: Option<PriceId>,
    /// How often it is paid; a plan without price has monthly periods.
    pub interval: Interval,
    /// What a period costs, before any coupon; nothing for a plan without price.
    pub amount: Money,
}

impl Terms {
    /// Whether a period costs nothing, coupon or not.
    pub fn is_free(&self) -> bool {
        self.amount.minor == 0
    }
}

/// A trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// When it ends.
    pub ends_at: Timestamp,
    /// Whether its end was announced.
    pub warned: bool,
}

/// What happens when the billing period ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheduled {
    /// It goes on at other terms.
    Change(Terms),
    /// It pauses, until an instant or until somebody resumes it.
    Pause(Option<Timestamp>),
}

/// How far one is with the money that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// It was asked for: it is on its way, or nobody knows (RELIABILITY §0.5).
    First,
    /// The last try failed.
    Failed,
    /// One failed, and it is tried again; of that try nobody knows yet.
    Again,
}

/// Money that was asked for and has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// What it was asked for.
    pub slot: Slot,
    /// How far one is with it.
    pub attempt: Attempt,
}

/// The grace of a failed payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dunning {
    /// When the payment failed first.
    pub since: Timestamp,
    /// When the grace ends; later failures do not move it.
    pub until: Timestamp,
    /// The number of the last try that was begun; it is on its way for what is open as [`Attempt::Again`].
    pub tried: u32,
}

/// A coupon that was redeemed, with the terms it had then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discount {
    /// What it takes off.
    pub off: Off,
    /// For how long.
    pub duration: Duration,
    /// For how many months, where it repeats.
    pub months: Option<u32>,
    /// The first payment that it may be for: months are counted from here.
    pub from: Timestamp,
}

/// All of a subscription that decides what may happen to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// What is bought.
    pub terms: Terms,
    /// Since when it is on its plan.
    pub plan_since: Timestamp,
    /// Where billing periods are counted from; every boundary is a whole number of months from here. It is not the
    /// customer's quota anchor, which no subscription moves (SPEC §13).
    pub anchor: Timestamp,
    /// The billing period that was noted last; of a trial its time, and without an end while approval is waited for.
    pub period: Period,
    /// Until when one that is canceled or overdue may be used.
    pub access_until: Option<Timestamp>,
    /// Until when approval is waited for.
    pub pending_until: Option<Timestamp>,
    /// The trial; kept once it is over.
    pub trial: Option<Trial>,
    /// What was charged for the rest of the period.
    pub paid: Paid,
    /// What was asked for and has not come.
    pub open: Vec<Open>,
    /// The grace of a failed payment.
    pub dunning: Option<Dunning>,
    /// What happens at the end of the period.
    pub scheduled: Option<Scheduled>,
    /// When a paused one goes on by itself.
    pub resume_at: Option<Timestamp>,
    /// What is taken off its payments.
    pub discount: Option<Discount>,
    /// Whether a payment method is known: a trial goes on only with one.
    pub payable: bool,
}

/// How a tenant handles time and failed payments, beside the state itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The tenant's zone.
    pub zone: Zone,
    /// Days for which an overdue subscription may be used (SPEC §5 "grace days by tenant").
    pub grace_days: i64,
    /// On which days after the first failure a payment is tried again, ascending; those within the grace count.
    pub retry_days: Vec<i64>,
    /// Days before the end of a trial at which it is announced; 0 for never.
    pub trial_warning_days: i64,
    /// What a trial without payment method, or an overdue subscription, falls back to; only terms that are free count.
    pub fallback: Option<Terms>,
}

impl Rules {
    /// A week of grace with tries on the first, third and fifth day, three days' notice of a trial's end, no fallback.
    pub fn of(zone: Zone) -> Self {
        Self { zone, grace_days: 7, retry_days: vec![1, 3, 5], trial_warning_days: 3, fallback: None }
    }

    /// Where one of these terms falls back to, if anywhere.
    pub fn fallback_of(&self, terms: &Terms) -> Option<&Terms> {
        self.fallback.as_ref().filter(|fallback| fallback.is_free() && fallback.plan != terms.plan)
    }
}

impl State {
    /// The billing period of its interval that runs at `now`, from the stored anchor (RELIABILITY §0.6). What was noted
    /// last may be older: a free one has nothing to do when a period ends.
    pub fn running(&self, zone: &Zone, now: Timestamp) -> Result<Period, TimeError> {
        if self.period.end.is_none_or(|end| now < end) {
            return Ok(self.period);
        }
        let since = self.period.end.unwrap_or(self.period.start);
        months_at(self.terms.interval.months(), (self.anchor, since), zone, now)
    }

    /// What a payment that falls due at an instant comes to with the coupon. One of an amount in another currency takes
    /// nothing off, as long as the price is in that.
    pub fn net(&self, amount: Money, at: Timestamp, zone: &Zone) -> Result<Money, Refusal> {
        match self.discount {
            Some(discount) if discount.covers(amount.currency, at, zone)? => {
                Ok(discounted(discount.off, amount)?.total)
            }
            Some(_) | None => Ok(amount),
        }
    }

    /// What it is worth in a year from `now` on, for the books of revenue (SPEC §13), when it was worth `before`. A
    /// coupon that takes off once is no part of what recurs.
    pub fn worth(&self, before: i64, now: Timestamp, zone: &Zone) -> Result<i64, Refusal> {
        let lasting = self.discount.is_some_and(|discount| discount.duration != Duration::Once);
        let net = if lasting { self.net(self.terms.amount, now, zone)? } else { self.terms.amount };
        let annual = self.terms.interval.annual(net).ok_or(MoneyError::Overflow)?;
        Ok(revenue::worth(annual, (self.status, self.access_until), before, now))
    }

    /// The currency of its price.
    pub fn currency(&self) -> Currency {
        self.terms.amount.currency
    }

    /// Whether a payment failed and has not come since.
    pub fn is_overdue(&self) -> bool {
        self.open.iter().any(|open| open.attempt != Attempt::First)
    }

    /// Whether something that failed is tried again and nobody knows the outcome: nothing is tried or ends meanwhile.
    pub fn is_tried_again(&self) -> bool {
        self.open.iter().any(|open| open.attempt == Attempt::Again)
    }
}

impl Discount {
    /// Whether the payment in a currency that falls due at an instant has something taken off.
    fn covers(&self, currency: Currency, at: Timestamp, zone: &Zone) -> Result<bool, TimeError> {
        if !self.off.counts_in(currency) {
            return Ok(false);
        }
        let months = at.months_since(self.from, zone)?;
        // One that is before the first, as a charge for the rest of a period may be, is counted as that.
        let months = u32::try_from(months.max(0)).unwrap_or(u32::MAX);
        Ok(covers(self.duration, self.months, months))
    }
}
