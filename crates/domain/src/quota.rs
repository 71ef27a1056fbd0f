//! The answer shape: what a customer has used, what is left and how close the limit is.

use serde::{Deserialize, Serialize};

use crate::catalog::{FeatureKind, Thresholds};
use crate::id::FeatureKey;
use crate::time::Period;

/// How close a quota is to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Below every threshold.
    Ok,
    /// From the first threshold on.
    Warning,
    /// From the second on, or at the limit with credits left.
    Critical,
    /// Nothing remains.
    Exceeded,
}

impl Status {
    /// The status as the database holds it.
    pub const fn code(self) -> i16 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Exceeded => 3,
        }
    }

    /// The status of a stored code; anything unknown reads as the most careful one.
    pub const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Warning,
            2 => Self::Critical,
            _ => Self::Exceeded,
        }
    }
}

/// How a customer stands as a whole, in the words of the admin's lists; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Far from every limit.
    Ok,
    /// A quota is at its first threshold or beyond.
    NearLimit,
    /// Nothing remains of a quota.
    OverLimit,
    /// A payment failed.
    PastDue,
}

impl Health {
    /// All of them, by their code.
    pub const ALL: [Self; 4] = [Self::Ok, Self::NearLimit, Self::OverLimit, Self::PastDue];

    /// The health as the database holds it.
    pub const fn code(self) -> i64 {
        match self {
            Self::Ok => 0,
            Self::NearLimit => 1,
            Self::OverLimit => 2,
            Self::PastDue => 3,
        }
    }

    /// The worst of some quotas.
    pub fn of(quotas: &[Quota]) -> Self {
        let health = |quota: &Quota| match quota.status {
            Status::Ok => Self::Ok,
            Status::Warning | Status::Critical => Self::NearLimit,
            Status::Exceeded => Self::OverLimit,
        };
        quotas.iter().map(health).max().unwrap_or(Self::Ok)
    }
}

/// One feature's quota at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The feature.
    pub feature: FeatureKey,
    /// Its kind.
    pub kind: FeatureKind,
    /// Units of the plan used in this period (for a gauge: its level).
    pub used: i64,
    /// Units of the plan held by open reservations.
    pub reserved: i64,
    /// Plan and override; `None` is unlimited.
    pub limit: Option<i64>,
    /// What is left of top-ups.
    pub credits: i64,
    /// The period it counts in.
    pub period: Period,
    /// How close it is.
    pub status: Status,
    /// Grows with every change; of two quotas of one feature the higher version is the newer.
    pub version: i64,
}

impl Quota {
    /// What can still be used: `max(0, limit − used − reserved) + credits` (SPEC §13); `None` is unlimited.
    pub fn remaining(&self) -> Option<i64> {
        let limit = self.limit?;
        let plan = limit.saturating_sub(self.used).saturating_sub(self.reserved).max(0);
        Some(plan.saturating_add(self.credits))
    }

    /// Whole per cent of the limit, rounded down; may pass 100; 100 when the limit is 0; `None` when unlimited.
    pub fn percentage(&self) -> Option<i64> {
        percentage(self.used, self.limit?)
    }
}

fn percentage(used: i64, limit: i64) -> Option<i64> {
    if limit <= 0 {
        return Some(100);
    }
    let share = i128::from(used).saturating_mul(100).checked_div(i128::from(limit))?;
    Some(i64::try_from(share).unwrap_or(i64::MAX))
}

/// How close `used` is to the limit. A level that nothing can be added to any more is `exceeded`; credits beside a
/// used-up plan make it `critical` (SPEC §13: `exceeded` only when nothing remains).
pub fn status(used: i64, reserved: i64, limit: Option<i64>, credits: i64, thresholds: Thresholds) -> Status {
    let Some(limit) = limit else {
        return Status::Ok;
    };
    let free = limit.saturating_sub(used).saturating_sub(reserved).max(0);
    if free.saturating_add(credits) == 0 {
        return Status::Exceeded;
    }
    match percentage(used, limit).unwrap_or(100) {
        share if share >= i64::from(thresholds.critical) => Status::Critical,
        share if share >= i64::from(thresholds.warning) => Status::Warning,
        _ => Status::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_follows_the_thresholds_and_what_remains() {
        let at = |used, reserved, credits| status(used, reserved, Some(100), credits, Thresholds::default());
        assert_eq!(at(79, 0, 0), Status::Ok);
        assert_eq!(at(80, 0, 0), Status::Warning);
        assert_eq!(at(90, 0, 0), Status::Critical);
        assert_eq!(at(99, 0, 0), Status::Critical);
        assert_eq!(at(100, 0, 0), Status::Exceeded);
        assert_eq!(at(100, 0, 5), Status::Critical, "credits remain");
        assert_eq!(at(60, 40, 0), Status::Exceeded, "all that is left is held");
        assert_eq!(status(5, 0, None, 0, Thresholds::default()), Status::Ok);
        assert_eq!(status(0, 0, Some(0), 0, Thresholds::default()), Status::Exceeded);
    }

    #[test]
    fn percentage_is_rounded_down_and_may_pass_a_hundred() {
        assert_eq!(percentage(879, 1000), Some(87));
        assert_eq!(percentage(130, 100), Some(130));
        assert_eq!(percentage(0, 0), Some(100));
        assert_eq!(percentage(i64::MAX, 1), Some(i64::MAX));
    }
}
