//! The gate's decisions: whether an action fits, and which counters it moves.
//!
//! A decision reads a [`Book`] and returns [`Line`]s; nothing is changed until the caller applies them, so that all
//! items of one action happen or none does.

use std::collections::HashMap;

use crate::catalog::{FeatureKind, LimitType};
use crate::entitlement::{Barred, CounterKey, Entitlement, Origin};
use crate::id::FeatureKey;
use crate::planted::{Bug, planted};
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

/// Records what was used while nothing could be decided, in full: what finds no place is `over`.
pub fn record(items: &[Item<'_>], book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    for Item { entitlement, amount } in items {
        let (draws, missing) = sheet.split(entitlement, *amount);
        for (key, units) in draws {
            sheet.add(&key, units, 0)?;
        }
        if missing > 0 {
            sheet.add(&entitlement.plan_key, missing, 0)?.over = missing;
        }
    }
    Ok(sheet.finish(items))
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
        if missing > i64::from(planted(Bug::LimitOffByOne)) && entitlement.limit_type == LimitType::Hard {
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
        let plan = if planted(Bug::CreditsFirst) && !entitlement.grants.is_empty() { 0 } else { plan };
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
        let held = if planted(Bug::HeldForgotten) { 0 } else { counter.held };
        limit.saturating_sub(counter.used).saturating_sub(held).max(0)
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
pub(crate) mod tests;
