//! What subscriptions are worth, and how that moves (SPEC §7, §13).
//!
//! Worth is kept for a year in minor units, which is exact for monthly and yearly prices alike; sums are divided by
//! twelve once, at the end.

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    #[test]
    fn a_year_of_a_price_is_exact() {
        let price = |minor| Money::new(minor, Currency::USD);
        assert_eq!(Interval::Month.annual(price(29_900)), Some(358_800));
        assert_eq!(Interval::Year.annual(price(299_000)), Some(299_000));
        assert_eq!(Interval::Month.annual(price(i64::MAX)), None);
    }

    #[test]
    fn movements_are_told_apart() {
        for (before, after, paid_ever, expected) in [
            (0, 0, false, None),
            (5, 5, true, None),
            (0, 5, false, Some(Movement::New)),
            (0, 5, true, Some(Movement::Reactivation)),
            (5, 9, true, Some(Movement::Expansion)),
            (9, 5, true, Some(Movement::Contraction)),
            (9, 0, true, Some(Movement::Churn)),
        ] {
            assert_eq!(Movement::of(before, after, paid_ever), expected, "{before} → {after}");
        }
    }

    #[test]
    fn a_canceled_one_counts_until_its_end() {
        let (end, one) = (Timestamp::from_micros(1_000), Timestamp::from_micros(999));
        assert!(counts(SubscriptionStatus::Canceled, Some(end), one));
        assert!(!counts(SubscriptionStatus::Canceled, Some(end), end));
        assert!(!counts(SubscriptionStatus::Canceled, None, one));
        assert!(counts(SubscriptionStatus::PastDue, None, one) && counts(SubscriptionStatus::Active, None, one));
        for not in [SubscriptionStatus::Trialing, SubscriptionStatus::Paused, SubscriptionStatus::Expired] {
            assert!(!counts(not, None, one));
        }
    }
}
