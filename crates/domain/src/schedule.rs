//! When jobs run: cron expressions over clock changes, what is caught up after a silence, and how long to wait after a
//! failure (SPEC §5 "Jobs", RELIABILITY E4, E6; decision 0015).
//!
//! An expression has five fields (minute, hour, day of month, month, day of week) or is a nickname such as `@daily`; where
//! both days are given either may match. Its times are wall times in the tenant's zone, and each comes once:
//!
//! - a time that the clocks skip comes at the end of the gap: `30 2 * * *` runs at 03:00 on that day,
//! - a time that comes twice runs the first time,
//! - an expression for every hour of the day (`*/15 * * * *`) follows real time instead, so that no hour is left out and
//!   none has to wait for two.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use thiserror::Error;

use crate::time::{TimeError, Timestamp, Zone};

/// Characters of an expression.
pub const EXPRESSION_CHARS_MAX: usize = 100;
/// Slots that are caught up at once.
pub const SLOTS_AT_ONCE: usize = 100;
const MICROS_PER_SECOND: i64 = 1_000_000;
const HOURS: u32 = 24;

/// Why an expression is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// It cannot be read.
    #[error("write five fields: minute, hour, day of month, month, day of week; such as `0 */6 * * *` ({0})")]
    Format(String),
    /// It names a day that never comes.
    #[error("this never comes; name a day that is in the calendar")]
    Never,
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    every_hour: bool,
}

/// Which of the slots that were missed are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatchUp {
    /// Each of them, oldest first: a run is about its own slot, such as the report of a day.
    Each,
    /// The last one alone: a run does whatever there is to do, such as a sweep.
    Latest,
}

impl Schedule {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.chars().count() > EXPRESSION_CHARS_MAX {
            return Err(ScheduleError::Format(format!("at most {EXPRESSION_CHARS_MAX} characters")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| ScheduleError::Format(error.to_string()))?;
        let every_hour = (0..HOURS).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        let comes = cron.find_next_occurrence(&DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true);
        if comes.is_err() {
            return Err(ScheduleError::Never);
        }
        Ok(Self { cron, every_hour })
    }

    /// The first slot after an instant.
    pub fn next_after(&self, after: Timestamp, zone: &Zone) -> Result<Timestamp, TimeError> {
        let whole_second = after.as_micros().div_euclid(MICROS_PER_SECOND).saturating_mul(MICROS_PER_SECOND);
        let after = Timestamp::from_micros(whole_second);
        if self.every_hour { self.next_in_real_time(after, zone) } else { self.next_wall_time(after, zone) }
    }

    /// Each wall time once. Later wall times never come to earlier instants, so the first that is later is the next.
    fn next_wall_time(&self, after: Timestamp, zone: &Zone) -> Result<Timestamp, TimeError> {
        let mut local = after.civil(zone)?;
        loop {
            local = self.cron.find_next_occurrence(&local, false).map_err(|_| TimeError::Range)?;
            let at = zone.first_instant(local)?;
            if at > after {
                return Ok(at);
            }
        }
    }

    /// Whatever the clocks show: they are looked at anew after each change.
    fn next_in_real_time(&self, after: Timestamp, zone: &Zone) -> Result<Timestamp, TimeError> {
        let (mut from, mut inclusive) = (after, false);
        loop {
            let local = self.cron.find_next_occurrence(&from.civil(zone)?, inclusive).map_err(|_| TimeError::Range)?;
            let (at, change) = zone.going_on(from, local)?;
            let Some(change) = change else { return Ok(at) };
            (from, inclusive) = (change, true);
        }
    }

    /// The slots after `done`, the last that was run, up to `now`, oldest first, as far as they are to be caught up.
    ///
    /// At most [`SLOTS_AT_ONCE`]: whoever ran them asks again with the last of them.
    pub fn due(
        &self,
        zone: &Zone,
        (done, now): (Timestamp, Timestamp),
        catch_up: CatchUp,
    ) -> Result<Vec<Timestamp>, TimeError> {
        let mut slots = Vec::new();
        let mut next = self.next_after(done, zone)?;
        while next <= now && slots.len() < SLOTS_AT_ONCE {
            if catch_up == CatchUp::Latest {
                slots.clear();
            }
            slots.push(next);
            next = self.next_after(next, zone)?;
        }
        Ok(slots)
    }
}

/// How long to wait after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure at most, in seconds.
    pub first_seconds: i64,
    /// Ever, in seconds.
    pub max_seconds: i64,
}

impl Backoff {
    /// Microseconds to wait after the so-manieth failure, of which there is at least one: twice as long each time up to
    /// the limit, and of that a random part between the half and the whole, so that what failed together does not come
    /// back together. `random` is any number.
    pub fn pause_micros(self, failures: u32, random: u64) -> i64 {
        let doubled = 2_i64.saturating_pow(failures.saturating_sub(1).min(62));
        let seconds = self.first_seconds.saturating_mul(doubled).min(self.max_seconds).max(0);
        let micros = seconds.saturating_mul(MICROS_PER_SECOND);
        let half = micros.div_euclid(2);
        let spread = u64::try_from(micros.saturating_sub(half)).unwrap_or(0).saturating_add(1);
        let extra = random.checked_rem(spread).and_then(|extra| i64::try_from(extra).ok()).unwrap_or(0);
        half.saturating_add(extra)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests {
    use jiff::civil::{Date, Time};
    use proptest::prelude::*;

    use super::*;
    use crate::time::tests::ZONES;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time in a test")
    }

    fn zone(name: &str) -> Zone {
        Zone::parse(name).expect("a zone in a test")
    }

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).expect("an expression in a test")
    }

    /// The next slots, as text.
    fn slots(expression: &str, zone_name: &str, after: &str, number: usize) -> Vec<String> {
        let (schedule, zone) = (schedule(expression), zone(zone_name));
        let mut from = at(after);
        let next = |()| {
            from = schedule.next_after(from, &zone).expect("inside the calendar");
            from.to_string()
        };
        std::iter::repeat_n((), number).map(next).collect()
    }

    #[test]
    fn an_expression_has_five_fields_and_comes_some_day() {
        for good in ["0 0 * * *", "0 */6 * * *", "*/5 1-3,7 1,15 JAN-mar MON", " 0 0 29 2 * ", "@daily", "0 0 L * *"] {
            assert!(Schedule::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "0 0 * *", "0 0 0 * * *", "0 0 0 1 1 * 2027", "60 * * * *", "* 24 * * *", "x * * * *", "@often"]
        {
            assert!(matches!(Schedule::parse(bad), Err(ScheduleError::Format(_))), "{bad:?}");
        }
        assert!(matches!(Schedule::parse(&"0,".repeat(60)), Err(ScheduleError::Format(_))));
        assert_eq!(Schedule::parse("0 0 30 2 *"), Err(ScheduleError::Never));
    }

    #[test]
    fn the_briefs_defaults_run_in_the_tenants_zone() {
        assert_eq!(
            slots("0 0 * * *", "Europe/Berlin", "2026-11-22T12:00:00Z", 2),
            ["2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z"]
        );
        assert_eq!(
            slots("0 */6 * * *", "UTC", "2026-11-22T05:59:59.999999Z", 3),
            ["2026-11-22T06:00:00Z", "2026-11-22T12:00:00Z", "2026-11-22T18:00:00Z"]
        );
        assert_eq!(slots("0 0 1,15 * 1", "UTC", "2026-11-22T00:00:00Z", 3).len(), 3, "either day");
    }

    #[test]
    fn a_skipped_time_comes_at_the_end_of_the_gap_and_a_doubled_one_once() {
        assert_eq!(
            slots("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 2),
            ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"],
            "02:30 is skipped on the 28th"
        );
        assert_eq!(
            slots("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2),
            ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"],
            "02:30 comes twice on the 31st"
        );
        // Midnight itself is skipped in Santiago, and a gap of half an hour on Lord Howe keeps the order.
        assert_eq!(slots("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", 1), ["2026-09-06T04:00:00Z"]);
        assert_eq!(
            slots("15,40 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
            ["2026-10-03T15:30:00Z", "2026-10-03T15:40:00Z"]
        );
    }

    #[test]
    fn every_hour_follows_real_time() {
        let hours = slots("0 * * * *", "Europe/Berlin", "2027-10-30T22:00:00Z", 5);
        assert_eq!(hours[..3], ["2027-10-30T23:00:00Z", "2027-10-31T00:00:00Z", "2027-10-31T01:00:00Z"]);
        let hours = slots("0 * * * *", "Europe/Berlin", "2027-03-27T23:30:00Z", 2);
        assert_eq!(hours, ["2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z"]);
        // Half past in a zone that moves by half an hour.
        let halves = slots("30 * * * *", "Australia/Lord_Howe", "2026-10-03T14:40:00Z", 3);
        assert_eq!(halves, ["2026-10-03T15:00:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:30:00Z"]);
    }

    #[test]
    fn a_silence_of_three_days_is_made_up_for_once() {
        let daily = schedule("0 0 * * *");
        let (done, now) = (at("2026-11-19T00:00:00Z"), at("2026-11-22T06:00:00Z"));
        let due = |catch_up| daily.due(&Zone::UTC, (done, now), catch_up).expect("inside the calendar");
        let missed = ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"].map(at);
        assert_eq!(due(CatchUp::Each), missed);
        assert_eq!(due(CatchUp::Latest), missed[2..]);
        assert_eq!(daily.due(&Zone::UTC, (missed[2], now), CatchUp::Each), Ok(Vec::new()), "and then none");
        let all = schedule("* * * * *").due(&Zone::UTC, (done, now), CatchUp::Each).expect("inside the calendar");
        assert_eq!(all.len(), SLOTS_AT_ONCE);
        assert_eq!(all.first().copied(), Some(done.plus_seconds(60)), "oldest first");
    }

    #[test]
    fn each_pause_is_longer_and_none_is_longer_than_the_limit() {
        let backoff = Backoff { first_seconds: 2, max_seconds: 60 };
        let most =
            |failures| backoff.pause_micros(failures, 1_000_000 * 2_u64.pow(failures.min(6) - 1).min(30)) / 1_000_000;
        assert_eq!((1..8).map(most).collect::<Vec<_>>(), [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.pause_micros(0, 0), 1_000_000);
        assert_eq!(Backoff { first_seconds: -1, max_seconds: 60 }.pause_micros(3, 7), 0);
    }

    /// Expressions with one time a day.
    fn daily() -> impl Strategy<Value = String> {
        (0..60_u32, 0..24_u32).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
    }

    fn expression() -> impl Strategy<Value = String> {
        let minute = prop_oneof!["[0-9]", "[1-5][0-9]", "\\*/(5|15|20)", "0,[1-5]0"];
        let hour = prop_oneof!["\\*", "[0-9]", "2,3", "\\*/(2|6)", "1-4"];
        (minute, hour).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
    }

    proptest! {
        #[test]
        fn a_daily_slot_comes_once_on_each_day(expression in daily(), start in 0_i64..40_000, zone_number in 0..ZONES.len()) {
            let (schedule, zone) = (schedule(&expression), zone(ZONES[zone_number]));
            let mut from = Timestamp::EPOCH.plus_seconds(start * 50_000);
            let mut dates = Vec::new();
            for _ in 0..100 {
                let slot = schedule.next_after(from, &zone).expect("inside the calendar");
                prop_assert!(slot > from);
                dates.push(slot.date_in(&zone).expect("inside the calendar"));
                from = slot;
            }
            for pair in dates.windows(2) {
                let (last, next) = (pair[0], pair[1]);
                let tomorrow = last.tomorrow().expect("a day");
                let midnight = |date: Date| zone.first_instant(date.to_datetime(Time::midnight())).expect("in range");
                // A day that is left out where the date line is crossed has its slot at the end of the gap.
                let left_out = midnight(tomorrow) == midnight(tomorrow.tomorrow().expect("a day"));
                let yesterday = last.yesterday().expect("a day");
                let after_left_out = midnight(yesterday) == midnight(last) && next == last;
                prop_assert!(next == tomorrow || left_out || after_left_out, "{} after {}", next, last);
            }
        }

        /// Asked from anywhere, the next slot is the same: there is one list of slots.
        #[test]
        fn slots_are_one_ascending_list(expression in expression(), start in 0_i64..2_000_000_000, zone_number in 0..ZONES.len(), inside in 0_i64..1_000) {
            let (schedule, zone) = (schedule(&expression), zone(ZONES[zone_number]));
            let mut from = Timestamp::EPOCH.plus_seconds(start);
            for _ in 0..60 {
                let next = schedule.next_after(from, &zone).expect("inside the calendar");
                prop_assert!(next > from);
                let between = from.plus_micros((next.as_micros() - from.as_micros()) / 1_000 * inside);
                prop_assert_eq!(schedule.next_after(between, &zone).expect("inside the calendar"), next, "after {}", between);
                let before = next.plus_micros(-1);
                prop_assert_eq!(schedule.next_after(before, &zone).expect("inside the calendar"), next);
                from = next;
            }
        }

        #[test]
        fn a_pause_is_between_half_and_whole(failures in 1_u32..100, random: u64) {
            let pause = Backoff { first_seconds: 2, max_seconds: 3_600 }.pause_micros(failures, random);
            let whole = (2 << (failures - 1).min(20)).min(3_600) * 1_000_000;
            prop_assert!((whole / 2..=whole).contains(&pause));
        }
    }
}
