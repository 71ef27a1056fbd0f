//! When a customer is told that a limit is near (SPEC §6: at 80, 90 and 100 % of any limit, once for each threshold and
//! period; DESIGN §4; decision 0015).
//!
//! What was told is kept under (customer, feature, period, threshold, limit, number). The limit is part of the key, so
//! that a higher one tells anew. The number grows when a level has fallen again, which counters do not do within a
//! period, and gauges do.

use crate::catalog::{FeatureKind, Thresholds};

/// The threshold that is the limit itself.
pub const FULL: u16 = 100;
/// Percentage points that a level must fall below a threshold before it may be told again: a file that is replaced every
/// minute tells once.
const REARM_POINTS: u16 = 5;

/// Something that was told in the running period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Per cent of the limit.
    pub threshold: u16,
    /// Of which limit.
    pub limit: i64,
    /// How often the level had fallen again.
    pub number: i64,
    /// Whether it has fallen again since.
    pub rearmed: bool,
}

/// A threshold that was passed: the rest of its key, and whether to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// Per cent of the limit.
    pub threshold: u16,
    /// Of which limit.
    pub limit: i64,
    /// How often the level had fallen again.
    pub number: i64,
    /// Whether the customer is told; one step over several thresholds tells of the highest, and the others are noted.
    pub announced: bool,
}

/// The thresholds of a limit, ascending, each once.
fn ascending(thresholds: Thresholds) -> Vec<u16> {
    let mut all = vec![thresholds.warning, thresholds.critical, FULL];
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a level is at so many per cent of a limit or beyond.
fn reaches(level: i64, limit: i64, percent: u16) -> bool {
    i128::from(level).saturating_mul(100) >= i128::from(limit).saturating_mul(percent.into())
}

/// What is passed when a level moves from `before` to `after` under a limit. `told` is what was told in this period. A
/// limit of nothing, and none at all, have no thresholds.
pub fn crossings(
    (before, after): (i64, i64),
    limit: Option<i64>,
    thresholds: Thresholds,
    told: &[Told],
) -> Vec<Crossing> {
    let Some(limit) = limit.filter(|limit| *limit > 0 && before < after) else { return Vec::new() };
    passed(limit, told, ascending(thresholds), |percent| {
        !reaches(before, limit, percent) && reaches(after, limit, percent)
    })
}

/// Whether a move of a level may be something to tell of, or to arm again: what the gate asks of every use, knowing
/// nothing of what was told before.
pub fn moves_over(kind: FeatureKind, (before, after): (i64, i64), limit: Option<i64>, thresholds: Thresholds) -> bool {
    let Some(limit) = limit.filter(|limit| *limit > 0) else { return false };
    let over = |percent: u16| reaches(before, limit, percent) != reaches(after, limit, percent);
    let all = [thresholds.warning, thresholds.critical, FULL];
    if before < after {
        return all.into_iter().any(over);
    }
    kind == FeatureKind::Gauge && all.into_iter().any(|percent| over(percent.saturating_sub(REARM_POINTS)))
}

/// What stands although nobody was told: a limit was lowered, or a job was late (SPEC §5 "usage warnings that were
/// missed").
///
/// All of it is noted, and its highest is told only where nothing as high was told in the period, of whatever limit: who
/// knows that 90 % are used has learnt it, and who was given a little more is not warned for that.
pub fn missed(level: i64, limit: Option<i64>, thresholds: Thresholds, told: &[Told]) -> Vec<Crossing> {
    let Some(limit) = limit.filter(|limit| *limit > 0) else { return Vec::new() };
    let mut found = passed(limit, told, ascending(thresholds), |percent| reaches(level, limit, percent));
    let known = told.iter().filter(|told| !told.rearmed).map(|told| told.threshold).max();
    if let Some(highest) = found.last_mut() {
        highest.announced = known.is_none_or(|known| known < highest.threshold);
    }
    found
}

fn passed(limit: i64, told: &[Told], thresholds: Vec<u16>, reached: impl Fn(u16) -> bool) -> Vec<Crossing> {
    let armed = |threshold: u16| {
        let same = told.iter().filter(|told| (told.threshold, told.limit) == (threshold, limit));
        match same.max_by_key(|told| told.number) {
            None => Some(0),
            Some(last) if last.rearmed => Some(last.number.saturating_add(1)),
            Some(_) => None,
        }
    };
    let found = thresholds.into_iter().filter(|threshold| reached(*threshold));
    let mut crossings: Vec<_> = found
        .filter_map(|threshold| Some(Crossing { threshold, limit, number: armed(threshold)?, announced: false }))
        .collect();
    if let Some(highest) = crossings.last_mut() {
        highest.announced = true;
    }
    crossings
}

/// What was told and may be told again, because the level fell to `after`: of gauges alone. A counter falls when a
/// mistake is corrected, which is no reason to warn twice.
pub fn rearmed(kind: FeatureKind, after: i64, told: &[Told]) -> Vec<Told> {
    if kind != FeatureKind::Gauge {
        return Vec::new();
    }
    let fallen = |told: &&Told| !reaches(after, told.limit, told.threshold.saturating_sub(REARM_POINTS));
    told.iter().filter(|told| !told.rearmed).filter(fallen).copied().collect()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const USUAL: Thresholds = Thresholds { warning: 80, critical: 90 };

    /// Thresholds that are passed; those that are told are positive.
    fn passed(before: i64, after: i64, limit: i64, told: &[Told]) -> Vec<i32> {
        let found = crossings((before, after), Some(limit), USUAL, told).into_iter();
        found.map(|c| i32::from(c.threshold) * if c.announced { 1 } else { -1 }).collect()
    }

    fn told(threshold: u16, limit: i64, number: i64, rearmed: bool) -> Told {
        Told { threshold, limit, number, rearmed }
    }

    #[test]
    fn each_threshold_is_told_when_it_is_passed() {
        assert_eq!(passed(87, 88, 100, &[]), [0; 0], "80 was passed before");
        assert_eq!(passed(79, 80, 100, &[]), [80]);
        assert_eq!(passed(89, 90, 100, &[]), [90]);
        assert_eq!(passed(99, 100, 100, &[]), [100]);
        assert_eq!(passed(100, 130, 100, &[]), [0; 0]);
        assert_eq!(passed(0, 100, 100, &[]), [-80, -90, 100], "one step tells once");
        assert_eq!(passed(95, 85, 100, &[]), [0; 0], "going down tells nothing");
        assert_eq!(passed(0, 1, 1, &[]), [-80, -90, 100]);
        assert_eq!(passed(2, 3, 3, &[]), [-80, -90, 100], "66 % to 100 %");
        assert_eq!(crossings((0, 5), Some(0), USUAL, &[]), []);
        assert_eq!(crossings((0, 5), None, USUAL, &[]), []);
        let same = Thresholds { warning: 100, critical: 100 };
        assert_eq!(crossings((0, 5), Some(5), same, &[]).len(), 1);
    }

    #[test]
    fn what_was_told_is_not_told_again_until_the_limit_is_another() {
        let before = [told(80, 100, 0, false), told(90, 100, 0, false)];
        assert_eq!(passed(70, 95, 100, &before), [0; 0], "a correction took it back between");
        assert_eq!(passed(99, 100, 100, &before), [100]);
        assert_eq!(passed(95, 180, 200, &before), [-80, 90], "an upgrade arms all again");
        assert_eq!(passed(95, 99, 110, &before), [90], "but only what is passed again");
    }

    #[test]
    fn a_gauge_tells_again_once_it_has_fallen() {
        let before = [told(80, 100, 0, false), told(90, 100, 0, false)];
        assert_eq!(rearmed(FeatureKind::Gauge, 84, &before), [before[1]], "90 less five points");
        assert_eq!(rearmed(FeatureKind::Gauge, 85, &before), []);
        assert_eq!(rearmed(FeatureKind::Gauge, 10, &before), before);
        assert_eq!(rearmed(FeatureKind::Counter, 10, &before), []);
        assert_eq!(rearmed(FeatureKind::Gauge, 10, &[told(80, 100, 0, true)]), []);
        let fallen = [told(80, 100, 0, true), told(90, 100, 0, false)];
        let found = crossings((10, 95), Some(100), USUAL, &fallen);
        assert_eq!(found, [Crossing { threshold: 80, limit: 100, number: 1, announced: true }]);
    }

    #[test]
    fn a_use_that_moves_over_nothing_is_not_noted() {
        let moves = |kind, before, after| moves_over(kind, (before, after), Some(100), USUAL);
        let (counter, gauge) = (FeatureKind::Counter, FeatureKind::Gauge);
        let table = [(0, 79), (80, 89), (90, 99), (100, 130), (87, 87)];
        assert!(table.into_iter().all(|(before, after)| !moves(counter, before, after)));
        let table = [(79, 80), (89, 90), (99, 100), (0, 200)];
        assert!(table.into_iter().all(|(before, after)| moves(counter, before, after)));
        assert!(!moves(counter, 90, 0) && moves(gauge, 90, 0), "what falls is of gauges alone");
        assert!(moves(gauge, 75, 74) && !moves(gauge, 80, 75) && !moves(gauge, 74, 0));
        assert!(!moves_over(gauge, (0, 9), None, USUAL) && !moves_over(gauge, (0, 9), Some(0), USUAL));
    }

    #[test]
    fn a_lowered_limit_is_told_by_the_job() {
        let before = [told(80, 200, 0, false)];
        let found = missed(95, Some(100), USUAL, &before);
        assert_eq!(found.iter().map(|c| (c.threshold, c.announced)).collect::<Vec<_>>(), [(80, false), (90, true)]);
        let now = found.iter().map(|c| told(c.threshold, c.limit, c.number, false)).collect::<Vec<_>>();
        assert_eq!(missed(95, Some(100), USUAL, &now), []);
    }

    #[test]
    fn who_knows_of_a_threshold_is_not_told_of_it_under_another_limit() {
        let found = |level, limit, told: &[Told]| -> Vec<_> {
            missed(level, Some(limit), USUAL, told).iter().map(|c| (c.threshold, c.announced)).collect()
        };
        let near = [told(80, 100, 0, false)];
        assert_eq!(found(87, 105, &near), [(80, false)], "a little more was given");
        assert_eq!(found(87, 98, &near), [(80, false)], "a little less, and no further threshold");
        assert_eq!(found(87, 95, &near), [(80, false), (90, true)]);
        assert_eq!(found(87, 80, &near), [(80, false), (90, false), (100, true)]);
        assert_eq!(found(87, 80, &[told(100, 70, 0, false)]), [(80, false), (90, false), (100, false)]);
        assert_eq!(found(87, 95, &[told(90, 100, 0, true)]), [(80, false), (90, true)], "a gauge fell between");
    }

    proptest! {
        /// A counter that only grows tells each threshold at most once for each limit, and at the end everything that it
        /// reached under the last limit is noted.
        #[test]
        fn no_key_is_noted_twice(steps in prop::collection::vec((0_i64..40, prop::option::of(1_i64..300)), 1..40)) {
            let (mut level, mut limit) = (0, 100);
            let (mut all, mut keys) = (Vec::new(), BTreeSet::new());
            for (step, new_limit) in steps {
                limit = new_limit.unwrap_or(limit);
                let mut found = crossings((level, level + step), Some(limit), USUAL, &all);
                level += step;
                all.extend(found.iter().map(|c| told(c.threshold, c.limit, c.number, false)));
                found.extend(missed(level, Some(limit), USUAL, &all));
                prop_assert!(found.iter().filter(|c| c.announced).count() <= 2);
                for c in found {
                    prop_assert!(keys.insert((c.threshold, c.limit, c.number)), "{:?} twice", c);
                    prop_assert!(level * 100 >= limit * i64::from(c.threshold));
                    if !all.iter().any(|t| (t.threshold, t.limit) == (c.threshold, c.limit)) {
                        all.push(told(c.threshold, c.limit, c.number, false));
                    }
                }
            }
            prop_assert_eq!(missed(level, Some(limit), USUAL, &all), []);
        }
    }
}
