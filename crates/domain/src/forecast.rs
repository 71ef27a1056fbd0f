//! When a quota runs out, if its use goes on as in this period so far.

use crate::quota::Quota;
use crate::time::Timestamp;

/// What a quota comes to at its present pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Units used at the end of the period: used × length ÷ elapsed, rounded up. None where nothing resets, since there
    /// is no pace to tell.
    pub projected: Option<i64>,
    /// When nothing remains: now, if nothing does already; none if that is not before the reset, or there is no limit.
    pub runs_out_at: Option<Timestamp>,
}

/// Looks ahead from `now`. The pace is what was used since the period began, or since the customer did (`since`), if
/// that was later.
pub fn forecast(quota: &Quota, since: Timestamp, now: Timestamp) -> Forecast {
    let empty = quota.remaining() == Some(0);
    let already = empty.then_some(now);
    let Some(end) = quota.period.end else { return Forecast { projected: None, runs_out_at: already } };
    let began = quota.period.start.max(since);
    let micros = |from: Timestamp, to: Timestamp| i128::from(to.as_micros().saturating_sub(from.as_micros()));
    let (elapsed, ahead) = (micros(began, now), micros(now, end));
    if elapsed <= 0 || ahead <= 0 {
        return Forecast { projected: Some(quota.used), runs_out_at: already };
    }
    let used = i128::from(quota.used);
    let more = rounded_up(used.saturating_mul(ahead), elapsed);
    let projected = i64::try_from(used.saturating_add(more)).unwrap_or(i64::MAX);
    let lasts = quota.remaining().filter(|_| quota.used > 0).map(|left| {
        let micros = rounded_up(i128::from(left).saturating_mul(elapsed), used);
        now.plus_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    });
    Forecast { projected: Some(projected), runs_out_at: already.or(lasts.filter(|at| *at < end)) }
}

/// A quotient of positive numbers, rounded up.
fn rounded_up(part: i128, over: i128) -> i128 {
    let spare = over.saturating_sub(1);
    part.saturating_add(spare).checked_div(over).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::FeatureKind;
    use crate::id::FeatureKey;
    use crate::quota::Status;
    use crate::time::Period;

    const DAY: i64 = 86_400;

    fn day(number: i64) -> Timestamp {
        Timestamp::EPOCH.plus_seconds(number.saturating_mul(DAY))
    }

    fn quota(used: i64, limit: Option<i64>, days: Option<(i64, i64)>) -> Quota {
        Quota {
            feature: FeatureKey::stored("calls"),
            kind: FeatureKind::Counter,
            used,
            reserved: 0,
            limit,
            credits: 0,
            period: days.map_or(Period::FOREVER, |(start, end)| Period { start: day(start), end: Some(day(end)) }),
            status: Status::Ok,
            version: 1,
        }
    }

    #[test]
    fn the_pace_so_far_says_when_it_runs_out() {
        let month = Some((100, 130));
        for (used, limit, since, now, projected, runs_out) in [
            // Half of it in a third of the month: the other half lasts as long again.
            (50, Some(100), 0, 110, Some(150), Some(120)),
            // Just enough, and never more than there is until the reset.
            (10, Some(30), 0, 110, Some(30), None),
            (10, None, 0, 110, Some(30), None),
            (0, Some(100), 0, 110, Some(0), None),
            (100, Some(100), 0, 110, Some(300), Some(110)),
            // A customer of five days uses twice as fast as one of ten.
            (50, Some(100), 105, 110, Some(250), Some(115)),
            // There is no pace in the first instant.
            (5, Some(100), 0, 100, Some(5), None),
        ] {
            let found = forecast(&quota(used, limit, month), day(since), day(now));
            let expected = Forecast { projected, runs_out_at: runs_out.map(day) };
            assert_eq!(found, expected, "{used} of {limit:?} at {now}");
        }
    }

    #[test]
    fn what_never_resets_has_no_pace() {
        let level = quota(7, Some(10), None);
        assert_eq!(forecast(&level, day(0), day(9)), Forecast { projected: None, runs_out_at: None });
        let full = quota(10, Some(10), None);
        assert_eq!(forecast(&full, day(0), day(9)).runs_out_at, Some(day(9)));
    }

    #[test]
    fn credits_and_holds_count() {
        let with = Quota { credits: 50, reserved: 25, ..quota(50, Some(100), Some((100, 130))) };
        // 25 of the plan and 50 credits remain, at 5 a day.
        assert_eq!(forecast(&with, day(0), day(110)).runs_out_at, Some(day(125)));
    }

    proptest! {
        #[test]
        fn it_runs_out_before_the_reset_if_more_than_all_is_projected(
            used in 0_i64..1_000_000, limit in 1_i64..1_000_000, now in 101_i64..130,
        ) {
            let quota = quota(used, Some(limit), Some((100, 130)));
            let found = forecast(&quota, day(0), day(now));
            let projected = found.projected.expect("it resets");
            if projected > limit || used >= limit {
                prop_assert!(found.runs_out_at.is_some_and(|at| day(now) <= at && at < day(130)) , "{found:?}");
            } else {
                prop_assert_eq!(found.runs_out_at, None);
            }
        }
    }
}
