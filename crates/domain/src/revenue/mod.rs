//! What subscriptions are worth, and how that moves (SPEC §7, §13).
//!
//! Worth is kept for a year in minor units, which is exact for monthly and yearly prices alike; sums are divided by
//! twelve once, at the end.

mod entry;
mod figures;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests;

use serde::{Deserialize, Serialize};

pub use entry::{Change, Entry, Fact};
pub use figures::{Cuts, Figures, Moved, Tenths, rounded, split};

use crate::entitlement::SubscriptionStatus;
use crate::money::Money;
use crate::time::Timestamp;

/// How often a price is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// Both, in the order of the pricing page.
    pub const ALL: [Self; 2] = [Self::Month, Self::Year];

    /// Its name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The interval of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.name() == name)
    }

    /// How many months a payment is for.
    pub const fn months(self) -> i64 {
        match self {
            Self::Month => 1,
            Self::Year => 12,
        }
    }

    /// What a price brings in a year, in minor units; none beyond 64 bits.
    pub fn annual(self, price: Money) -> Option<i64> {
        match self {
            Self::Month => price.minor.checked_mul(12),
            Self::Year => Some(price.minor),
        }
    }
}

/// Whether a subscription counts as recurring revenue: active, past due, and canceled until it ends; not trialing,
/// paused, waiting or over (SPEC §13).
pub fn counts(status: SubscriptionStatus, access_until: Option<Timestamp>, now: Timestamp) -> bool {
    match status {
        SubscriptionStatus::Active | SubscriptionStatus::PastDue => true,
        SubscriptionStatus::Canceled => access_until.is_some_and(|until| now < until),
        SubscriptionStatus::Pending
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Expired => false,
    }
}

/// What a subscription at a yearly price is worth from a transition on, when it was worth `before`: nothing where it does
/// not count, and nothing for a canceled one that brought nothing before, such as a trial that may be used to its end.
pub fn worth(
    price: i64,
    (status, access_until): (SubscriptionStatus, Option<Timestamp>),
    before: i64,
    now: Timestamp,
) -> i64 {
    let idle = status == SubscriptionStatus::Canceled && before == 0;
    if counts(status, access_until, now) && !idle { price } else { 0 }
}

/// Why recurring revenue moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Movement {
    /// A customer who never paid before.
    New,
    /// A customer pays more than before.
    Expansion,
    /// A customer pays less than before.
    Contraction,
    /// A customer pays no more.
    Churn,
    /// A customer who had stopped pays again.
    Reactivation,
}

impl Movement {
    /// Every kind, in the order of the answer.
    pub const ALL: [Self; 5] = [Self::New, Self::Expansion, Self::Contraction, Self::Churn, Self::Reactivation];

    /// Its name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Expansion => "expansion",
            Self::Contraction => "contraction",
            Self::Churn => "churn",
            Self::Reactivation => "reactivation",
        }
    }

    /// What a change of a customer's yearly worth is; none when it stays.
    pub fn of(before: i64, after: i64, paid_ever: bool) -> Option<Self> {
        match (before, after) {
            (before, after) if before == after => None,
            (0, _) => Some(if paid_ever { Self::Reactivation } else { Self::New }),
            (_, 0) => Some(Self::Churn),
            (before, after) if after > before => Some(Self::Expansion),
            _ => Some(Self::Contraction),
        }
    }
}
