//! The gate's decisions: whether an action fits, and which counters it moves.
//!
//! A decision reads a [`Book`] and returns [`Line`]s; nothing is changed until the caller applies them, so that all
//! items of one action happen or none does.

use std::collections::HashMap;

use crate::catalog::{FeatureKind, LimitType};
use crate::entitlement::{Barred, CounterKey, Entitlement, Origin};
use crate::id::FeatureKey;
use crate::quota::{Quota, status};
use crate::time::Timestamp;

/// The largest amount of one item, and the largest value a gauge may be set to.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// One running total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// Units used.
    pub used: i64,
    /// Units held by open reservations.
    pub held: i64,
    /// No reservation that holds units here ends before this instant.
    pub next_expiry: Option<Timestamp>,
    /// Grows with every change: microseconds of the change, or one more than before.
    pub version: i64,
}

/// The counters of one customer; one that is absent stands at nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book(HashMap<CounterKey, Counter>);

impl Book {
    /// A counter's state.
    pub fn get(&self, key: &CounterKey) -> Counter {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Whether the counter was loaded, be it as absent.
    pub fn knows(&self, key: &CounterKey) -> bool {
        self.0.contains_key(key)
    }

    /// Puts a loaded counter in.
    pub fn load(&mut self, key: CounterKey, counter: Counter) {
        self.0.insert(key, counter);
    }

    /// Applies what a decision returned.
    pub fn apply(&mut self, lines: &[Line]) {
        for line in lines {
            self.0.insert(line.key.clone(), line.after);
        }
    }

    /// All counters.
    pub fn iter(&self) -> impl Iterator<Item = (&CounterKey, &Counter)> {
        self.0.iter()
    }
}

/// The change of one counter, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The counter.
    pub key: CounterKey,
    /// Units added to `used`; negative for corrections.
    pub amount: i64,
    /// Units added to `held`; negative when a hold ends.
    pub hold: i64,
    /// Units of `amount` beyond the hard limit or the hold.
    pub over: i64,
    /// The counter afterwards.
    pub after: Counter,
    /// The feature's quota afterwards, on the plan's own line.
    pub quota: Option<Quota>,
}

/// An amount of a feature, with what its customer may use of it.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// What may be used.
    pub entitlement: &'a Entitlement,
    /// Units asked for.
    pub amount: i64,
}

/// One limit that an action does not fit under: all that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Units asked for.
    pub requested: i64,
    /// The quota as it stands.
    pub quota: Quota,
    /// Where the limit comes from.
    pub origin: Origin,
}

/// Why an action may not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The customer may not use the feature at all.
    Barred(FeatureKey, Barred),
    /// It does not fit under one or more limits.
    Exceeded(Vec<Excess>),
    /// A gauge cannot go below nothing; its level is given.
    BelowZero(FeatureKey, i64),
    /// The counter cannot hold so large a number.
    TooLarge(FeatureKey),
}

/// What to do with the units that were found free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Count them as used.
    Use,
    /// Hold them until this instant.
    Hold(Timestamp),
}

/// Decides an action on several features together: every item fits, or nothing happens (SPEC §3.4).
///
/// Items must name distinct features.
pub fn admit(items: &[Item<'_>], draw: Draw, book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    let mut excesses = Vec::new();
    for item in items {
        if let Err(excess) = sheet.admit(*item, draw)? {
            excesses.push(excess);
        }
    }
    if excesses.is_empty() { Ok(sheet.finish(items)) } else { Err(Refusal::Exceeded(excesses)) }
}

/// The quota of an entitlement as the book stands.
pub fn quota(entitlement: &Entitlement, book: &Book) -> Quota {
    Sheet::new(book, Timestamp::EPOCH).quota(entitlement)
}

/// The lines of a decision in the making, over the book that it starts from.
pub(crate) struct Sheet<'a> {
    book: &'a Book,
    now: Timestamp,
    lines: Vec<Line>,
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(book: &'a Book, now: Timestamp) -> Self {
        Self { book, now, lines: Vec::new() }
    }

    pub(crate) fn counter(&self, key: &CounterKey) -> Counter {
        self.lines.iter().find(|line| &line.key == key).map_or_else(|| self.book.get(key), |line| line.after)
    }

    /// Moves one counter; several moves of one counter become one line.
    pub(crate) fn add(&mut self, key: &CounterKey, amount: i64, hold: i64) -> Result<&mut Line, Refusal> {
        let before = self.counter(key);
        let sum = |a: i64, b: i64| a.checked_add(b).ok_or_else(|| Refusal::TooLarge(key.feature.clone()));
        let after = Counter {
            used: sum(before.used, amount)?,
            held: sum(before.held, hold)?,
            next_expiry: before.next_expiry.filter(|_| sum(before.held, hold).is_ok_and(|held| held > 0)),
            version: self.now.as_micros().max(self.book.get(key).version.saturating_add(1)),
        };
        let at = self.lines.iter().position(|line| &line.key == key).unwrap_or(self.lines.len());
        if at == self.lines.len() {
            self.lines.push(Line { key: key.clone(), amount: 0, hold: 0, over: 0, after, quota: None });
        }
        let Some(line) = self.lines.get_mut(at) else {
            return Err(Refusal::TooLarge(key.feature.clone()));
        };
        line.amount = sum(line.amount, amount)?;
        line.hold = sum(line.hold, hold)?;
        line.after = after;
        Ok(line)
    }

    fn admit(&mut self, item: Item<'_>, draw: Draw) -> Result<Result<(), Excess>, Refusal> {
        let Item { entitlement, amount } = item;
        if entitlement.kind == FeatureKind::Flag {
            self.add(&entitlement.plan_key, 0, 0)?;
            return Ok(Ok(()));
        }
        let (draws, missing) = self.split(entitlement, amount);
        if missing > 0 && entitlement.limit_type == LimitType::Hard {
            let quota = self.quota(entitlement);
            return Ok(Err(Excess { requested: amount, quota, origin: entitlement.origin.clone() }));
        }
        for (key, units) in draws {
            self.take(&key, units, draw)?;
        }
        if missing > 0 {
            self.take(&entitlement.plan_key, missing, draw)?.over = missing;
        }
        Ok(Ok(()))
    }

    fn take(&mut self, key: &CounterKey, units: i64, draw: Draw) -> Result<&mut Line, Refusal> {
        match draw {
            Draw::Use => self.add(key, units, 0),
            Draw::Hold(until) => {
                let line = self.add(key, 0, units)?;
                line.after.next_expiry = Some(line.after.next_expiry.map_or(until, |first| first.min(until)));
                Ok(line)
            }
        }
    }

    /// Spreads an amount over the plan and then the credits, soonest to expire first; also says what found no place.
    pub(crate) fn split(&self, entitlement: &Entitlement, amount: i64) -> (Vec<(CounterKey, i64)>, i64) {
        let mut missing = amount;
        let mut draws = Vec::with_capacity(1);
        let plan = self.free(&entitlement.plan_key, entitlement.limit);
        let grants = entitlement.grants.iter().map(|(key, granted)| (key, self.free(key, Some(*granted))));
        for (key, free) in std::iter::once((&entitlement.plan_key, plan)).chain(grants) {
            let units = missing.min(free);
            if units > 0 {
                draws.push((key.clone(), units));
                missing = missing.saturating_sub(units);
            }
        }
        (draws, missing)
    }

    fn free(&self, key: &CounterKey, limit: Option<i64>) -> i64 {
        let Some(limit) = limit else { return i64::MAX };
        let counter = self.counter(key);
        limit.saturating_sub(counter.used).saturating_sub(counter.held).max(0)
    }

    pub(crate) fn quota(&self, entitlement: &Entitlement) -> Quota {
        let plan = self.counter(&entitlement.plan_key);
        let grants = entitlement.grants.iter();
        let credits = grants.fold(0_i64, |sum, (key, granted)| sum.saturating_add(self.free(key, Some(*granted))));
        let newest = entitlement.counter_keys().map(|key| self.counter(key).version).max().unwrap_or(0);
        Quota {
            feature: entitlement.feature.clone(),
            kind: entitlement.kind,
            used: plan.used,
            reserved: plan.held,
            limit: entitlement.limit,
            credits,
            period: entitlement.period,
            status: status(plan.used, plan.held, entitlement.limit, credits, entitlement.thresholds),
            version: newest.max(entitlement.version),
        }
    }

    /// The finished lines: each feature's plan line carries the quota, and stands there even when only credits moved.
    pub(crate) fn finish(mut self, items: &[Item<'_>]) -> Vec<Line> {
        for Item { entitlement, .. } in items {
            let quota = self.quota(entitlement);
            if let Ok(line) = self.add(&entitlement.plan_key, 0, 0) {
                line.quota = Some(quota);
            }
        }
        self.lines
    }

    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::Thresholds;
    use crate::id::GrantId;
    use crate::quota::Status;
    use crate::reservation;
    use crate::time::Period;

    pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    /// An entitlement with a plan's limit and packs of credits.
    pub(crate) fn entitled(feature: &str, limit: Option<i64>, limit_type: LimitType, packs: &[i64]) -> Entitlement {
        let feature = FeatureKey::stored(feature);
        let pack = |(number, units): (u128, &i64)| (CounterKey::grant(&feature, &GrantId::from_bits(number)), *units);
        Entitlement {
            kind: FeatureKind::Counter,
            limit,
            limit_type,
            period: Period::FOREVER,
            thresholds: Thresholds::default(),
            plan_key: CounterKey::plan(&feature, Period::FOREVER),
            grants: (0..).zip(packs).map(pack).collect(),
            valid_until: None,
            version: 0,
            origin: Origin::default(),
            feature,
        }
    }

    pub(crate) fn hard(feature: &str, limit: i64) -> Entitlement {
        entitled(feature, Some(limit), LimitType::Hard, &[])
    }

    /// A book in which counters stand at `used` and `held`, in the order of the entitlement's keys.
    pub(crate) fn book(entitlement: &Entitlement, levels: &[(i64, i64)]) -> Book {
        let mut book = Book::default();
        for (key, (used, held)) in entitlement.counter_keys().zip(levels) {
            let next_expiry = (*held > 0).then_some(NOW.plus_seconds(5));
            book.load(key.clone(), Counter { used: *used, held: *held, next_expiry, version: 7 });
        }
        book
    }

    /// What one use draws from plan and packs, and how much of it is over; none when it is refused.
    fn drawn(entitlement: &Entitlement, levels: &[(i64, i64)], amount: i64) -> Option<(Vec<i64>, i64)> {
        let item = Item { entitlement, amount };
        let lines = admit(&[item], Draw::Use, &book(entitlement, levels), NOW).ok()?;
        let of = |key| lines.iter().find(|line| &line.key == key).map_or(0, |line| line.amount);
        Some((entitlement.counter_keys().map(of).collect(), lines.iter().map(|line| line.over).sum()))
    }

    #[test]
    fn a_use_is_drawn_from_the_plan_and_then_from_the_packs() {
        type Case = (Entitlement, &'static [(i64, i64)], i64, Option<(Vec<i64>, i64)>);
        let hard = |packs: &[i64]| entitled("f", Some(10), LimitType::Hard, packs);
        let table: [Case; 12] = [
            (hard(&[]), &[], 10, Some((vec![10], 0))),
            (hard(&[]), &[], 11, None),
            (hard(&[]), &[(4, 5)], 1, Some((vec![1], 0))),
            (hard(&[]), &[(4, 5)], 2, None),
            (hard(&[]), &[(12, 0)], 1, None),
            (hard(&[5, 5]), &[(8, 0)], 9, Some((vec![2, 5, 2], 0))),
            (hard(&[5, 5]), &[(12, 0), (1, 2)], 3, Some((vec![0, 2, 1], 0))),
            (hard(&[5, 5]), &[(10, 0), (5, 0), (0, 4)], 2, None),
            (entitled("f", Some(10), LimitType::Soft, &[]), &[(8, 0)], 5, Some((vec![5], 3))),
            (entitled("f", Some(10), LimitType::Soft, &[4]), &[(8, 0)], 9, Some((vec![5, 4], 3))),
            (entitled("f", None, LimitType::Unlimited, &[]), &[(1, 1)], AMOUNT_MAX, Some((vec![AMOUNT_MAX], 0))),
            (hard(&[]), &[(10, 0)], 0, Some((vec![0], 0))),
        ];
        for (entitlement, levels, amount, expected) in table {
            assert_eq!(drawn(&entitlement, levels, amount), expected, "{amount} of {levels:?}");
        }
    }

    #[test]
    fn a_refusal_names_every_limit_that_does_not_fit() {
        let (a, b, c) = (hard("a", 1), hard("b", 9), hard("c", 1));
        let items = [&a, &b, &c].map(|entitlement| Item { entitlement, amount: 2 });
        let Err(Refusal::Exceeded(excesses)) = admit(&items, Draw::Use, &Book::default(), NOW) else {
            panic!("it does not fit");
        };
        let named: Vec<_> = excesses.iter().map(|excess| (excess.quota.feature.as_str(), excess.requested)).collect();
        assert_eq!(named, [("a", 2), ("c", 2)]);
        assert_eq!(excesses[0].quota.used, 0, "the quota as it stands");
    }

    #[test]
    fn the_plans_line_carries_the_quota_also_when_only_credits_moved() {
        let entitlement = entitled("f", Some(10), LimitType::Hard, &[5]);
        let item = Item { entitlement: &entitlement, amount: 2 };
        let lines = admit(&[item], Draw::Use, &book(&entitlement, &[(10, 0)]), NOW).expect("it fits");
        let plan = lines.iter().find(|line| line.key == entitlement.plan_key).expect("the plan's line");
        let quota = plan.quota.as_ref().expect("its quota");
        assert_eq!((plan.amount, quota.used, quota.credits, quota.status), (0, 10, 3, Status::Critical));
        assert_eq!(lines.iter().filter(|line| line.quota.is_some()).count(), 1);
    }

    #[test]
    fn a_flag_is_admitted_and_counts_nothing() {
        let flag = Entitlement { kind: FeatureKind::Flag, ..entitled("f", None, LimitType::Unlimited, &[]) };
        let lines = admit(&[Item { entitlement: &flag, amount: 5 }], Draw::Use, &Book::default(), NOW).expect("on");
        assert_eq!((lines.len(), lines[0].amount, lines[0].after.used), (1, 0, 0));
    }

    #[test]
    fn a_hold_remembers_the_first_to_run_out() {
        let entitlement = hard("f", 10);
        let until = |seconds| Draw::Hold(NOW.plus_seconds(seconds));
        let item = Item { entitlement: &entitlement, amount: 2 };
        let mut book = Book::default();
        for (seconds, first) in [(60, 60), (90, 60), (30, 30)] {
            let lines = admit(&[item], until(seconds), &book, NOW).expect("it fits");
            book.apply(&lines);
            assert_eq!(book.get(&entitlement.plan_key).next_expiry, Some(NOW.plus_seconds(first)));
        }
        assert_eq!((book.get(&entitlement.plan_key).used, book.get(&entitlement.plan_key).held), (0, 6));
    }

    #[test]
    fn versions_grow_also_when_the_clock_steps_back() {
        let entitlement = hard("f", 10);
        let item = Item { entitlement: &entitlement, amount: 1 };
        let mut book = Book::default();
        for (now, version) in [(50, 50), (50, 51), (40, 52), (60, 60)] {
            let lines = admit(&[item], Draw::Use, &book, Timestamp::from_micros(now)).expect("it fits");
            book.apply(&lines);
            assert_eq!(book.get(&entitlement.plan_key).version, version);
            assert_eq!(lines[0].quota.as_ref().map(|quota| quota.version), Some(version));
        }
        let published = Entitlement { version: 99, ..entitlement };
        assert_eq!(quota(&published, &book).version, 99, "a newer plan makes a newer quota");
    }

    #[test]
    fn a_counter_that_cannot_hold_the_sum_refuses() {
        let entitlement = entitled("f", None, LimitType::Unlimited, &[]);
        let item = Item { entitlement: &entitlement, amount: 2 };
        let full = book(&entitlement, &[(i64::MAX - 1, 0)]);
        assert_eq!(admit(&[item], Draw::Use, &full, NOW), Err(Refusal::TooLarge(entitlement.feature.clone())));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Use([i64; 2]),
        Hold([i64; 2]),
        Release(usize),
        Settle(usize, [i64; 2]),
    }

    fn step() -> impl Strategy<Value = Step> {
        let amounts = [0..9_i64, 0..9_i64];
        prop_oneof![
            amounts.clone().prop_map(Step::Use),
            amounts.clone().prop_map(Step::Hold),
            any::<usize>().prop_map(Step::Release),
            (any::<usize>(), amounts).prop_map(|(at, actual)| Step::Settle(at, actual)),
        ]
    }

    proptest! {
        /// Admissions stay within plan and packs whatever came before, lines add up to the counters, and what is refused
        /// changes nothing.
        #[test]
        fn no_sequence_goes_over_a_limit(steps in prop::collection::vec(step(), 0..40), packs in [0..20_i64, 0..20_i64]) {
            let both = [entitled("a", Some(20), LimitType::Hard, &packs), entitled("b", Some(30), LimitType::Hard, &[7])];
            let (mut book, mut sums, mut open) = (Book::default(), HashMap::new(), Vec::new());
            for step in steps {
                let items = |amounts: [i64; 2]| [0, 1].map(|at| Item { entitlement: &both[at], amount: amounts[at] });
                let made = match step {
                    Step::Use(amounts) => admit(&items(amounts), Draw::Use, &book, NOW),
                    Step::Hold(amounts) => admit(&items(amounts), Draw::Hold(NOW), &book, NOW).inspect(|lines| {
                        open.push((reservation::holds(lines), amounts));
                    }),
                    Step::Release(at) if !open.is_empty() => {
                        let (holds, _) = open.remove(at % open.len());
                        reservation::release(&holds, &book, NOW)
                    }
                    Step::Settle(at, actual) if !open.is_empty() => {
                        let (holds, held) = open.remove(at % open.len());
                        let within = [0, 1].map(|at| actual[at].min(held[at]));
                        reservation::settle(&holds, &items(within), true, &book, NOW)
                    }
                    Step::Release(_) | Step::Settle(..) => continue,
                };
                let Ok(lines) = made else { continue };
                for line in &lines {
                    let sum: &mut (i64, i64) = sums.entry(line.key.clone()).or_default();
                    *sum = (sum.0 + line.amount, sum.1 + line.hold);
                    prop_assert_eq!(line.over, 0);
                }
                book.apply(&lines);
                for (key, counter) in book.iter() {
                    let sum = sums.get(key).copied().unwrap_or_default();
                    prop_assert_eq!((counter.used, counter.held), sum, "lines add up");
                    prop_assert!(counter.used >= 0 && counter.held >= 0);
                }
                for entitlement in &both {
                    let limits = [20 + 10 * i64::from(entitlement.feature.as_str() == "b")];
                    let granted = limits.into_iter().chain(entitlement.grants.iter().map(|(_, units)| *units));
                    for (key, limit) in entitlement.counter_keys().zip(granted) {
                        let counter = book.get(key);
                        prop_assert!(counter.used + counter.held <= limit, "{key:?} {counter:?}");
                    }
                }
            }
        }

        /// An action is admitted exactly when each of its items alone would be.
        #[test]
        fn all_items_or_none(used in [0..12_i64, 0..12_i64], amounts in [0..12_i64, 0..12_i64]) {
            let both = [hard("a", 10), hard("b", 10)];
            let mut book = Book::default();
            for at in 0..2 {
                book.load(both[at].plan_key.clone(), Counter { used: used[at], ..Counter::default() });
            }
            let items = [0, 1].map(|at| Item { entitlement: &both[at], amount: amounts[at] });
            let fits = |at: usize| amounts[at] <= (10 - used[at]).max(0);
            let made = admit(&items, Draw::Use, &book, NOW);
            prop_assert_eq!(made.is_ok(), fits(0) && fits(1));
            if let Ok(lines) = made {
                let moved: Vec<_> = lines.iter().map(|line| line.amount).filter(|amount| *amount > 0).collect();
                let asked: Vec<_> = amounts.into_iter().filter(|amount| *amount > 0).collect();
                prop_assert_eq!(moved, asked);
            }
        }
    }
}
