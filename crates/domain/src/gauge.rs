//! Levels that go up and down, and the correction of what was recorded.

use crate::entitlement::CounterKey;
use crate::planted::{Bug, planted};
use crate::time::Timestamp;
use crate::usage::{Book, Draw, Item, Line, Refusal, Sheet, admit};

/// Moves a gauge: growth is admitted like any use, shrinking always is, down to nothing.
pub fn adjust(item: Item<'_>, book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    if item.amount >= 0 {
        return admit(&[item], Draw::Use, book, now);
    }
    let level = book.get(&item.entitlement.plan_key).used;
    if level.saturating_add(item.amount) < 0 && !planted(Bug::GaugeBelowZero) {
        return Err(Refusal::BelowZero(item.entitlement.feature.clone(), level));
    }
    let mut sheet = Sheet::new(book, now);
    sheet.add(&item.entitlement.plan_key, item.amount, 0)?;
    Ok(sheet.finish(&[item]))
}

/// Sets a gauge to the level that was counted at its source, whatever the limit says: a recount is the truth.
///
/// `item.amount` is the level.
pub fn set(item: Item<'_>, book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let level = book.get(&item.entitlement.plan_key).used;
    let mut sheet = Sheet::new(book, now);
    sheet.add(&item.entitlement.plan_key, item.amount.saturating_sub(level), 0)?;
    Ok(sheet.finish(&[item]))
}

/// One line of an earlier operation that is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The counter that it moved.
    pub key: CounterKey,
    /// The units that it added to `used`.
    pub amount: i64,
}

/// Takes an earlier operation back, line by line, in the periods in which it was recorded; never below nothing, which
/// a gauge that was set since could otherwise reach.
pub fn reverse(recorded: &[Recorded], items: &[Item<'_>], book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    for line in recorded {
        let level = sheet.counter(&line.key).used;
        sheet.add(&line.key, line.amount.min(level).saturating_neg(), 0)?;
    }
    Ok(sheet.finish(items))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{FeatureKind, LimitType};
    use crate::entitlement::Entitlement;
    use crate::usage::tests::{NOW, book, entitled, hard};

    fn gauge(limit: i64) -> Entitlement {
        Entitlement { kind: FeatureKind::Gauge, ..hard("storage", limit) }
    }

    #[test]
    fn a_gauge_grows_up_to_its_limit_and_shrinks_down_to_nothing() {
        let entitlement = gauge(10);
        let after = |level, delta| {
            let item = Item { entitlement: &entitlement, amount: delta };
            adjust(item, &book(&entitlement, &[(level, 0)]), NOW).map(|lines| lines[0].after.used)
        };
        assert_eq!(after(4, 6), Ok(10));
        assert!(matches!(after(4, 7), Err(Refusal::Exceeded(_))));
        assert_eq!(after(4, -4), Ok(0));
        assert_eq!(after(4, -5), Err(Refusal::BelowZero(entitlement.feature.clone(), 4)));
        assert_eq!(after(15, -1), Ok(14), "a level above the limit may go down");
        assert!(matches!(after(15, 1), Err(Refusal::Exceeded(_))), "but not up");
        assert_eq!(after(4, i64::MIN), Err(Refusal::BelowZero(entitlement.feature.clone(), 4)));
    }

    #[test]
    fn a_recount_is_the_truth() {
        let entitlement = gauge(10);
        for (level, counted) in [(4, 4), (4, 0), (0, 25), (25, 3)] {
            let item = Item { entitlement: &entitlement, amount: counted };
            let lines = set(item, &book(&entitlement, &[(level, 0)]), NOW).expect("it is set");
            assert_eq!((lines[0].amount, lines[0].after.used), (counted - level, counted));
            assert_eq!(lines[0].quota.as_ref().map(|quota| quota.used), Some(counted));
        }
    }

    #[test]
    fn what_is_taken_back_leaves_from_where_it_was_recorded() {
        let entitlement = entitled("tokens", Some(10), LimitType::Hard, &[5]);
        let recorded: Vec<_> =
            entitlement.counter_keys().zip([6, 3]).map(|(key, amount)| Recorded { key: key.clone(), amount }).collect();
        let items = [Item { entitlement: &entitlement, amount: 0 }];
        let lines = reverse(&recorded, &items, &book(&entitlement, &[(8, 0), (3, 0)]), NOW).expect("it goes back");
        assert_eq!(lines.iter().map(|line| (line.amount, line.after.used)).collect::<Vec<_>>(), [(-6, 2), (-3, 0)]);
        let quota = lines[0].quota.as_ref().expect("the quota afterwards");
        assert_eq!((quota.used, quota.credits), (2, 5));
        let lines = reverse(&recorded, &items, &book(&entitlement, &[(4, 0), (3, 0)]), NOW).expect("it goes back");
        assert_eq!((lines[0].amount, lines[0].after.used), (-4, 0), "never below nothing");
        let back = [Recorded { key: entitlement.plan_key.clone(), amount: -5 }];
        let lines = reverse(&back, &items, &book(&entitlement, &[(4, 0)]), NOW).expect("it goes back");
        assert_eq!(lines[0].after.used, 9, "a shrinking that is taken back grows");
    }

    proptest! {
        /// Whatever is done to a gauge, its level is the sum of its lines and never below nothing, and growth alone
        /// never takes it over its limit.
        #[test]
        fn a_level_is_the_sum_of_its_moves(moves in prop::collection::vec((any::<bool>(), -20..20_i64), 0..40)) {
            let entitlement = gauge(30);
            let (mut book, mut level) = (Book::default(), 0);
            for (sets, amount) in moves {
                let item = Item { entitlement: &entitlement, amount: if sets { amount.abs() * 2 } else { amount } };
                let made = if sets { set(item, &book, NOW) } else { adjust(item, &book, NOW) };
                if let Ok(lines) = made {
                    book.apply(&lines);
                    level += lines[0].amount;
                    prop_assert!(sets || amount <= 0 || level <= 30);
                }
                prop_assert_eq!(book.get(&entitlement.plan_key).used, level);
                prop_assert!(level >= 0);
            }
        }
    }
}
