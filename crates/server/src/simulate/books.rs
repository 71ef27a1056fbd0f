//! What the simulator believes of a customer: a few maps that it keeps by itself, to compare the product's with.

use std::collections::BTreeMap;

use domain::id::{CustomerId, FeatureKey, ReservationId};
use jiff::tz::TimeZone;

use super::calendar::{Every, began};

/// Something that is limited by a period of time: its limit is looked up by plan.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// The plan's name in URLs.
    pub plan: &'static str,
    /// The feature.
    pub feature: &'static str,
    /// Units for each period.
    pub limit: i64,
    /// Whether use beyond it is allowed.
    pub soft: bool,
    /// How it begins again.
    pub every: Every,
}

const fn grant(plan: &'static str, feature: &'static str, limit: i64, every: Every) -> Grant {
    Grant { plan, feature, limit, soft: false, every }
}

/// What `catalog.yaml` grants, told a second time.
pub const GRANTS: [Grant; 7] = [
    grant("free", "calls", 20, Every::CalendarMonth),
    grant("basic", "calls", 100, Every::BillingMonth),
    Grant { soft: true, ..grant("basic", "tokens", 200, Every::BillingMonth) },
    grant("team", "calls", 300, Every::CalendarMonth),
    grant("team", "tokens", 900, Every::BillingMonth),
    grant("daily", "calls", 25, Every::Day),
    grant("daily", "tokens", 60, Every::Week),
];

/// Calls that go on to the next month at most, on the one plan that lets any.
pub const ROLLOVER: i64 = 30;

/// Seats of each plan.
pub const SEATS: [(&str, i64); 4] = [("free", 2), ("basic", 5), ("team", 20), ("daily", 8)];

/// What a plan grants of a feature.
pub fn granted(plan: &str, feature: &str) -> Option<&'static Grant> {
    GRANTS.iter().find(|grant| grant.plan == plan && grant.feature == feature)
}

/// Units that are held.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Which.
    pub id: ReservationId,
    /// Of what.
    pub feature: FeatureKey,
    /// How many.
    pub amount: i64,
    /// How many of them count against the plan.
    pub of_plan: i64,
    /// In which period, by its beginning.
    pub period: i64,
    /// Until when.
    pub until: i64,
}

/// A use that was sent, to be sent again.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its key.
    pub key: String,
    /// Of what.
    pub feature: FeatureKey,
    /// How many.
    pub amount: i64,
    /// What came of it: the event and the level.
    pub answer: (String, i64),
    /// When, by the world's time.
    pub at: i64,
}

/// A customer.
#[derive(Debug, Clone)]
pub struct Person {
    /// The tenant's place in the list.
    pub tenant: usize,
    /// The integrator's name for it.
    pub name: String,
    /// Its id.
    pub id: CustomerId,
    /// Where its months are counted from.
    pub anchor: i64,
    /// Units used by feature and beginning of the period.
    pub used: BTreeMap<(String, i64), i64>,
    /// What it holds.
    pub holds: Vec<Hold>,
    /// Its seats.
    pub seats: i64,
    /// Uses that were sent, latest last.
    pub sent: Vec<Sent>,
}

impl Person {
    /// When the period began that a grant counts in.
    pub fn period(&self, grant: &Grant, zone: &TimeZone, at: i64) -> Option<i64> {
        began(grant.every, self.anchor, zone, at)
    }

    /// Units of a feature that were used in the period that began at an instant.
    pub fn used(&self, feature: &str, period: i64) -> i64 {
        self.used.get(&(feature.to_owned(), period)).copied().unwrap_or(0)
    }

    /// Notes use in a period.
    pub fn note(&mut self, feature: &str, period: i64, amount: i64) {
        let level = self.used.entry((feature.to_owned(), period)).or_default();
        *level = level.saturating_add(amount);
    }

    /// Units of the plan that are held in a period at an instant; nothing when a hold is about to end, since clocks
    /// differ by more than that.
    pub fn held(&self, feature: &str, period: i64, at: i64) -> Option<i64> {
        let of = self.holds.iter().filter(|hold| hold.feature.as_str() == feature && hold.period == period);
        let mut held = 0_i64;
        for hold in of {
            if hold.until.abs_diff(at) < MARGIN_MICROS {
                return None;
            }
            if hold.until > at {
                held = held.saturating_add(hold.of_plan);
            }
        }
        Some(held)
    }
}

/// More than clocks differ by, in microseconds.
pub const MARGIN_MICROS: u64 = 300_000_000;
