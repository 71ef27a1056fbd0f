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

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::LimitType;
    use crate::entitlement::Entitlement;
    use crate::usage::tests::{NOW, book, entitled, hard};
    use crate::usage::{Draw, admit};

    /// Reserves on a fresh book; answers the holds and the book with them.
    fn reserved(entitlement: &Entitlement, levels: &[(i64, i64)], amount: i64) -> (Vec<Hold>, Book) {
        let mut book = book(entitlement, levels);
        let item = Item { entitlement, amount };
        let lines = admit(&[item], Draw::Hold(NOW.plus_seconds(60)), &book, NOW).expect("it fits");
        book.apply(&lines);
        (holds(&lines), book)
    }

    /// Counters after a settlement, as `(used, held)`, and what is over.
    fn settled(levels: &[(i64, i64)], hold: i64, actual: i64, still_held: bool) -> (Vec<(i64, i64)>, i64) {
        let entitlement = entitled("f", Some(10), LimitType::Hard, &[5]);
        let (holds, mut book) = reserved(&entitlement, levels, hold);
        if !still_held {
            let lines = release(&holds, &book, NOW).expect("it gives back");
            book.apply(&lines);
        }
        let item = Item { entitlement: &entitlement, amount: actual };
        let lines = settle(&holds, &[item], still_held, &book, NOW).expect("it is recorded");
        book.apply(&lines);
        let level = |key| (book.get(key).used, book.get(key).held);
        (entitlement.counter_keys().map(level).collect(), lines.iter().map(|line| line.over).sum())
    }

    #[test]
    fn a_settlement_is_recorded_in_full() {
        /// Levels before, the hold, the actual amount, whether it is held still; then plan and pack, and what is over.
        type Case = (&'static [(i64, i64)], i64, i64, bool, (i64, i64), i64);
        let table: [Case; 9] = [
            (&[], 8, 8, true, (8, 0), 0),
            (&[], 8, 3, true, (3, 0), 0),
            (&[], 8, 0, true, (0, 0), 0),
            (&[], 8, 10, true, (10, 0), 2),
            (&[], 12, 11, true, (10, 1), 0),
            (&[(8, 0)], 2, 6, true, (10, 4), 4),
            (&[], 15, 20, true, (15, 5), 5),
            (&[], 8, 8, false, (8, 0), 8),
            (&[(9, 0)], 1, 9, false, (13, 5), 9),
        ];
        for (levels, hold, actual, still_held, (plan, pack), over) in table {
            let expected = (vec![(plan, 0), (pack, 0)], over);
            assert_eq!(settled(levels, hold, actual, still_held), expected, "{actual} of {hold} at {levels:?}");
        }
    }

    #[test]
    fn a_release_leaves_everything_as_it_was() {
        let entitlement = entitled("f", Some(10), LimitType::Hard, &[5]);
        let (holds, mut book) = reserved(&entitlement, &[(4, 2)], 9);
        assert_eq!(holds.iter().map(|hold| hold.amount).collect::<Vec<_>>(), [4, 5]);
        let lines = release_with_quotas(&holds, &[Item { entitlement: &entitlement, amount: 0 }], &book, NOW);
        let lines = lines.expect("it gives back");
        book.apply(&lines);
        let plan = book.get(&entitlement.plan_key);
        assert_eq!((plan.used, plan.held), (4, 2));
        assert_eq!(plan.next_expiry, Some(NOW.plus_seconds(5)), "another reservation holds units still");
        let pack = book.get(&entitlement.grants[0].0);
        assert_eq!((pack.held, pack.next_expiry), (0, None));
        let quota = lines.iter().find_map(|line| line.quota.as_ref()).expect("the quota afterwards");
        assert_eq!((quota.used, quota.reserved, quota.credits), (4, 2, 5));
    }

    #[test]
    fn only_what_was_reserved_may_be_settled() {
        let (holds, _) = reserved(&hard("f", 10), &[], 1);
        let (known, other) = (FeatureKey::stored("f"), FeatureKey::stored("g"));
        assert_eq!(first_unreserved(&holds, [&known].into_iter()), None);
        assert_eq!(first_unreserved(&holds, [&known, &other].into_iter()), Some(&other));
    }

    #[test]
    fn states_survive_their_row() {
        for state in [State::Open, State::Settled, State::Released, State::Expired] {
            assert_eq!(State::stored(state.name()), Some(state));
        }
        assert_eq!(State::stored("gone"), None);
    }

    proptest! {
        /// Nothing is lost: `used` grows by the actual amount, the hold is gone, and what is beyond it is over.
        #[test]
        fn every_settlement_adds_up(used in 0..15_i64, hold in 1..8_i64, actual in 0..40_i64, late: bool) {
            let entitlement = entitled("f", Some(20), LimitType::Hard, &[5]);
            let (holds, mut book) = reserved(&entitlement, &[(used, 0)], hold);
            if late {
                let lines = release(&holds, &book, NOW).expect("it gives back");
                book.apply(&lines);
            }
            let item = Item { entitlement: &entitlement, amount: actual };
            let lines = settle(&holds, &[item], !late, &book, NOW).expect("it is recorded");
            book.apply(&lines);
            let total: i64 = entitlement.counter_keys().map(|key| book.get(key).used).sum();
            let held: i64 = entitlement.counter_keys().map(|key| book.get(key).held).sum();
            prop_assert_eq!((total, held), (used + actual, 0));
            let covered = if late { 0 } else { hold };
            prop_assert_eq!(lines.iter().map(|line| line.over).sum::<i64>(), (actual - covered).max(0));
            prop_assert!(book.get(&entitlement.grants[0].0).used <= 5, "a pack never goes over");
        }
    }
}
