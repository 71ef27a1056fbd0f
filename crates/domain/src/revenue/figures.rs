//! The figures of one currency, computed from the books: exact sums of yearly worth, each divided once.

use std::collections::BTreeMap;
use std::fmt;

use super::{Entry, Fact, Movement};
use crate::time::{TimeError, Timestamp, Zone};

/// Days over which churn, sign-ups and trials are counted.
const WINDOW_SECONDS: i64 = 30 * 86_400;
const MONTHS: i128 = 12;

/// The instants that the figures of one instant are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cuts {
    /// The instant itself.
    pub at: Timestamp,
    /// A calendar month before: growth and movements are since then.
    pub month_ago: Timestamp,
    /// 30 days before: churn, sign-ups and trials are since then.
    pub window_from: Timestamp,
}

impl Cuts {
    /// The cuts of an instant, in a zone.
    pub fn of(at: Timestamp, zone: &Zone) -> Result<Self, TimeError> {
        Ok(Self { at, month_ago: at.plus_months(-1, zone)?, window_from: at.plus_seconds(-WINDOW_SECONDS) })
    }

    /// The two cuts before the instant, the earlier first.
    pub fn sorted(&self) -> [Timestamp; 2] {
        [self.month_ago.min(self.window_from), self.month_ago.max(self.window_from)]
    }

    /// Where a slice of time lies: 0 is up to the first cut, 1 up to the second, 2 up to the instant.
    fn side(&self, slice: i64) -> Side {
        let month_first = self.month_ago < self.window_from;
        match slice {
            0 => Side { in_month: false, in_window: false },
            1 => Side { in_month: month_first, in_window: !month_first },
            _ => Side { in_month: true, in_window: true },
        }
    }
}

#[derive(Clone, Copy)]
struct Side {
    in_month: bool,
    in_window: bool,
}

/// Worth that moved in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// In a month, in minor units.
    pub amount: i64,
    /// How many subscriptions.
    pub count: i64,
}

/// What stands and what happened, of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    annual: i128,
    annual_month_ago: i128,
    /// Subscriptions that count.
    pub subscriptions: i64,
    /// Subscriptions that are live.
    pub live: i64,
    /// Subscriptions that bring more than nothing.
    pub paying: i64,
    /// Subscriptions in trial.
    pub trialing: i64,
    /// Subscriptions that were live 30 days ago.
    pub live_then: i64,
    /// Subscriptions that ended in the last 30 days.
    pub ended: i64,
    trials_won: i64,
    trials_lost: i64,
    plans: BTreeMap<String, (i128, i64)>,
    sign_ups: BTreeMap<String, i64>,
    moved: BTreeMap<Movement, (i128, i64)>,
}

impl Figures {
    /// Adds an entry that lies in a slice of time.
    pub fn add(&mut self, entry: &Entry, slice: i64, cuts: &Cuts) {
        let Side { in_month, in_window } = cuts.side(slice);
        let (amount, number) = (i128::from(entry.amount), entry.number);
        let grow = |sum: &mut i64| *sum = sum.saturating_add(number);
        match entry.fact {
            Fact::Worth => {
                self.annual = self.annual.saturating_add(amount);
                if !in_month {
                    self.annual_month_ago = self.annual_month_ago.saturating_add(amount);
                }
                grow(&mut self.subscriptions);
                let plan = self.plans.entry(entry.plan.clone()).or_default();
                plan.0 = plan.0.saturating_add(amount);
                grow(&mut plan.1);
            }
            Fact::Live => {
                grow(&mut self.live);
                if !in_window {
                    grow(&mut self.live_then);
                }
            }
            Fact::Paying => grow(&mut self.paying),
            Fact::Trialing => grow(&mut self.trialing),
            Fact::SignUp if in_window => grow(self.sign_ups.entry(entry.plan.clone()).or_default()),
            Fact::Ended if in_window => grow(&mut self.ended),
            Fact::TrialWon if in_window => grow(&mut self.trials_won),
            Fact::TrialLost if in_window => grow(&mut self.trials_lost),
            Fact::Moved(movement) if in_month => {
                let moved = self.moved.entry(movement).or_default();
                moved.0 = moved.0.saturating_add(amount);
                grow(&mut moved.1);
            }
            Fact::SignUp | Fact::Ended | Fact::TrialWon | Fact::TrialLost | Fact::Moved(_) => {}
        }
    }

    /// Monthly recurring revenue in minor units: the sum of yearly worth, divided once.
    pub fn mrr(&self) -> i64 {
        rounded(self.annual, MONTHS).unwrap_or(0)
    }

    /// The same a month ago.
    pub fn mrr_month_ago(&self) -> i64 {
        rounded(self.annual_month_ago, MONTHS).unwrap_or(0)
    }

    /// Yearly recurring revenue in minor units.
    pub fn arr(&self) -> i64 {
        rounded(self.annual, 1).unwrap_or(0)
    }

    /// How much revenue grew in a month, in per cent; none when there was none.
    pub fn growth(&self) -> Option<Tenths> {
        Tenths::share(self.annual.saturating_sub(self.annual_month_ago), self.annual_month_ago)
    }

    /// How many of those that were live 30 days ago ended since, in per cent; none when none was live.
    pub fn churn(&self) -> Option<Tenths> {
        Tenths::share(self.ended.into(), self.live_then.into())
    }

    /// The plan that most sign-ups of the last 30 days took, how many, and its share of them; of several the first in
    /// the order of `place`.
    pub fn most_popular<K: Ord>(&self, place: impl Fn(&str) -> K) -> Option<(&str, i64, Tenths)> {
        let all: i128 = self.sign_ups.values().map(|number| i128::from(*number)).sum();
        let best = self.sign_ups.iter().filter(|(_, number)| **number > 0);
        let (plan, number) = best.min_by_key(|(plan, number)| (number.saturating_neg(), place(plan)))?;
        Some((plan, *number, Tenths::share((*number).into(), all)?))
    }

    /// Of each plan that has any: its subscriptions, and its part of the monthly revenue, which add up to the whole.
    pub fn by_plan(&self) -> Vec<(&str, i64, i64)> {
        let plans: Vec<_> = self.plans.iter().filter(|(_, (annual, number))| *annual != 0 || *number != 0).collect();
        let annual: Vec<_> = plans.iter().map(|(_, (annual, _))| *annual).collect();
        let parts = split(self.mrr(), &annual, MONTHS);
        plans.iter().zip(parts).map(|((plan, (_, number)), mrr)| (plan.as_str(), *number, mrr)).collect()
    }

    /// A part of the yearly worth in per cent of the whole; 0 when there is none.
    pub fn share(&self, plan: &str) -> Tenths {
        let part = self.plans.get(plan).map_or(0, |(annual, _)| *annual);
        Tenths::share(part, self.annual).unwrap_or_default()
    }

    /// What moved since a month ago, in the order of [`Movement::ALL`]; the amounts add up to the difference of the
    /// monthly revenues.
    pub fn movements(&self) -> [(Movement, Moved); 5] {
        let of = |movement: Movement| self.moved.get(&movement).copied().unwrap_or_default();
        let annual = Movement::ALL.map(|movement| of(movement).0);
        let parts = split(self.mrr().saturating_sub(self.mrr_month_ago()), &annual, MONTHS);
        let mut parts = parts.into_iter();
        Movement::ALL.map(|movement| (movement, Moved { amount: parts.next().unwrap_or(0), count: of(movement).1 }))
    }

    /// Monthly revenue of a paying subscription on average, in minor units; none without any.
    pub fn arpa(&self) -> Option<i64> {
        rounded(self.annual, MONTHS.saturating_mul(self.paying.into()))
    }

    /// What a paying subscription brings in its life, at this revenue and this churn: ARPA ÷ churn, divided once; none
    /// without churn.
    pub fn ltv(&self) -> Option<i64> {
        let over = MONTHS.saturating_mul(self.paying.into()).saturating_mul(self.ended.into());
        rounded(self.annual.saturating_mul(self.live_then.into()), over)
    }

    /// How many of the trials that ended in the last 30 days became active, in per cent; none when none ended.
    pub fn trial_conversion(&self) -> Option<Tenths> {
        let all = i128::from(self.trials_won).saturating_add(self.trials_lost.into());
        Tenths::share(self.trials_won.into(), all)
    }

    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// A decimal number with one decimal, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tenths(pub i64);

impl Tenths {
    /// A part in per cent of a whole, rounded half up; none of a whole that is not above nothing.
    pub fn share(part: i128, whole: i128) -> Option<Self> {
        if whole <= 0 {
            return None;
        }
        rounded(part.saturating_mul(1_000), whole).map(Self)
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        write!(f, "{sign}{}.{}", all.wrapping_div(10), all.wrapping_rem(10))
    }
}

/// A quotient, rounded half up; none over nothing, or beyond 64 bits.
pub fn rounded(sum: i128, over: i128) -> Option<i64> {
    if over <= 0 {
        return None;
    }
    let half_up = sum.checked_mul(2)?.checked_add(over)?.checked_div_euclid(over.checked_mul(2)?)?;
    i64::try_from(half_up).ok()
}

/// Parts of a total in the proportion of sums: each is its sum ÷ `over`, rounded up or down so that they add up to the
/// total; up first where most is cut off.
pub fn split(total: i64, sums: &[i128], over: i128) -> Vec<i64> {
    let down = |sum: &i128| i64::try_from(sum.div_euclid(over)).unwrap_or(0);
    let mut parts: Vec<i64> = sums.iter().map(down).collect();
    let mut order: Vec<usize> = (0..sums.len()).collect();
    order.sort_by_key(|place| sums.get(*place).map(|sum| sum.rem_euclid(over).saturating_neg()));
    let mut left = parts.iter().fold(total, |left, part| left.saturating_sub(*part));
    for place in order {
        if let Some(part) = parts.get_mut(place).filter(|_| left > 0) {
            *part = part.saturating_add(1);
            left = left.saturating_sub(1);
        }
    }
    parts
}
