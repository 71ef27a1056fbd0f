//! Holds: an amount is reserved before its real cost is known, then settled, released or expired.

use crate::entitlement::CounterKey;
use crate::id::FeatureKey;
use crate::time::Timestamp;
use crate::usage::{Book, Item, Line, Refusal, Sheet};

/// The longest time that a reservation may hold units, in seconds.
pub const TTL_SECONDS_MAX: i64 = 86_400;
/// How long a reservation holds when its maker does not say, in seconds.
pub const TTL_SECONDS_DEFAULT: i64 = 300;

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Holds its units.
    Open,
    /// Its real cost is recorded.
    Settled,
    /// Given back by its maker.
    Released,
    /// Given back by time.
    Expired,
}

impl State {
    /// The state as the database holds it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// The state of a stored name.
    pub fn stored(name: &str) -> Option<Self> {
        [Self::Open, Self::Settled, Self::Released, Self::Expired].into_iter().find(|state| state.name() == name)
    }
}

/// Units held on one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The counter.
    pub key: CounterKey,
    /// The units.
    pub amount: i64,
}

/// The holds that a reserving decision made.
pub fn holds(lines: &[Line]) -> Vec<Hold> {
    let held = lines.iter().filter(|line| line.hold > 0);
    held.map(|line| Hold { key: line.key.clone(), amount: line.hold }).collect()
}

/// Gives every hold back: for a release, and for an expiry.
pub fn release(holds: &[Hold], book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    for hold in holds {
        sheet.add(&hold.key, 0, hold.amount.saturating_neg())?;
    }
    Ok(sheet.into_lines())
}

/// The same as [`release`], with the quotas afterwards.
pub fn release_with_quotas(
    holds: &[Hold],
    items: &[Item<'_>],
    book: &Book,
    now: Timestamp,
) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    for hold in holds {
        sheet.add(&hold.key, 0, hold.amount.saturating_neg())?;
    }
    Ok(sheet.finish(items))
}

/// Records what was really used, in full, and ends the holds (SPEC §3.5, §13).
///
/// `still_held` is false once the reservation has expired: its units were given back already. What is beyond the hold
/// goes to what is free of plan and credits, and the rest to the plan's counter all the same; all of it is marked
/// as `over`, because the money was spent.
pub fn settle(
    holds: &[Hold],
    actual: &[Item<'_>],
    still_held: bool,
    book: &Book,
    now: Timestamp,
) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    if still_held {
        for hold in holds {
            sheet.add(&hold.key, 0, hold.amount.saturating_neg())?;
        }
    }
    for item in actual {
        let mut left = item.amount;
        if still_held {
            for hold in holds.iter().filter(|hold| hold.key.feature == item.entitlement.feature) {
                let units = left.min(hold.amount);
                sheet.add(&hold.key, units, 0)?;
                left = left.saturating_sub(units);
            }
        }
        beyond(&mut sheet, *item, left)?;
    }
    Ok(sheet.finish(actual))
}

fn beyond(sheet: &mut Sheet<'_>, item: Item<'_>, units: i64) -> Result<(), Refusal> {
    if units <= 0 {
        return Ok(());
    }
    let (draws, missing) = sheet.split(item.entitlement, units);
    for (key, part) in draws {
        sheet.add(&key, part, 0)?;
    }
    let line = sheet.add(&item.entitlement.plan_key, missing, 0)?;
    line.over = line.over.saturating_add(units);
    Ok(())
}

/// Whether every feature that is settled was reserved; names the first that was not.
pub fn first_unreserved<'a>(
    holds: &[Hold],
    mut settled: impl Iterator<Item = &'a FeatureKey>,
) -> Option<&'a FeatureKey> {
    settled.find(|feature| !holds.iter().any(|hold| &hold.key.feature == *feature))
}
