//! Instants and periods. A period is computed from its anchor and the instant asked about, never from the period before it.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan, Unit};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
/// Characters of a date such as 2026-11-22.
const DATE_CHARS: usize = 10;

/// Why a time could not be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeError {
    /// Outside the years that the calendar covers (-9999 to 9999).
    #[error("the time is outside the calendar")]
    Range,
    /// Not an RFC 3339 time.
    #[error("write the time as RFC 3339, such as 2026-11-22T00:00:00Z")]
    Format,
    /// Not a name of the IANA time-zone database.
    #[error("`{0}` is not a time zone of the IANA database")]
    Zone(String),
}

impl Timestamp {
    /// The instant 1970-01-01T00:00:00Z, which also stands for "no period" in a counter's key.
    pub const EPOCH: Self = Self(0);

    /// Microseconds since 1970 as an instant.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by some microseconds; stays at the edge of the range instead of wrapping.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This instant moved by some seconds.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// This instant some calendar months later in a zone, or earlier; on the last day of a shorter month.
    pub fn plus_months(self, months: i64, zone: &Zone) -> Result<Self, TimeError> {
        boundary(self.civil(zone)?, zone, months)
    }

    /// Whole seconds from this instant to a later one, rounded up; 0 when it has passed.
    pub const fn seconds_until(self, later: Self) -> i64 {
        let micros = later.0.saturating_sub(self.0);
        if micros <= 0 { 0 } else { micros.saturating_add(MICROS_PER_SECOND - 1) / MICROS_PER_SECOND }
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_microsecond())).map_err(|_| TimeError::Format)
    }

    /// Reads RFC 3339, or a date alone, which stands for its midnight in a zone.
    pub fn parse_in(text: &str, zone: &Zone) -> Result<Self, TimeError> {
        match text.parse::<Date>() {
            Ok(date) if text.len() == DATE_CHARS => zone.instant(date.to_datetime(Time::midnight())),
            Ok(_) | Err(_) => Self::parse(text),
        }
    }

    /// The calendar date of this instant in a zone.
    pub fn date_in(self, zone: &Zone) -> Result<Date, TimeError> {
        Ok(self.civil(zone)?.date())
    }

    fn civil(self, zone: &Zone) -> Result<DateTime, TimeError> {
        Ok(self.jiff()?.to_zoned(zone.0.clone()).datetime())
    }

    fn jiff(self) -> Result<jiff::Timestamp, TimeError> {
        jiff::Timestamp::from_microsecond(self.0).map_err(|_| TimeError::Range)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.jiff() {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Finds a zone by its IANA name, such as `Europe/Berlin`.
    pub fn parse(name: &str) -> Result<Self, TimeError> {
        TimeZone::get(name).map(Self).map_err(|_| TimeError::Zone(name.to_owned()))
    }

    fn instant(&self, local: DateTime) -> Result<Timestamp, TimeError> {
        // A wall time that a clock change skips or repeats reads as RFC 5545 says: the later or the first of the two.
        let zoned = self.0.to_ambiguous_zoned(local).compatible().map_err(|_| TimeError::Range)?;
        Ok(Timestamp(zoned.timestamp().as_microsecond()))
    }
}

/// When a counter starts again from nothing (SPEC §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Each UTC minute: a rate limit sold by plan.
    Minute,
    /// Each UTC hour.
    Hour,
    /// Midnight in the tenant's zone.
    Day,
    /// Monday, midnight in the tenant's zone.
    Week,
    /// The monthly anniversary of the customer's quota anchor, also under a yearly price.
    BillingMonth,
    /// The 1st of the month in the tenant's zone.
    CalendarMonth,
    /// The yearly anniversary of the quota anchor.
    Year,
    /// Never: gauges and life-time allowances.
    Never,
}

/// A stretch of time from its start up to, and without, its end; no end means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// The first instant inside; [`Timestamp::EPOCH`] for a period that never ends.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Option<Timestamp>,
}

impl Period {
    /// The one period of something that never resets.
    pub const FOREVER: Self = Self { start: Timestamp::EPOCH, end: None };

    /// Whether an instant lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self == &Self::FOREVER || (self.start <= at && self.end.is_none_or(|end| at < end))
    }
}

/// The period of `reset` that contains `now`.
///
/// `anchor` is the customer's stored quota anchor; its day of month is clamped in short months and returns in
/// longer ones (Jan 31, Feb 28, Mar 31), because every boundary is counted from the anchor itself.
pub fn period_at(reset: Reset, anchor: Timestamp, zone: &Zone, now: Timestamp) -> Result<Period, TimeError> {
    match reset {
        Reset::Never => Ok(Period::FOREVER),
        Reset::Minute => Ok(fixed(now, MICROS_PER_MINUTE)),
        Reset::Hour => Ok(fixed(now, MICROS_PER_HOUR)),
        Reset::Day => from_date(zone, now.date_in(zone)?, 1.day()),
        Reset::Week => {
            let today = now.date_in(zone)?;
            let since_monday = today.weekday().to_monday_zero_offset();
            from_date(zone, today.checked_sub(since_monday.days()).map_err(|_| TimeError::Range)?, 1.week())
        }
        Reset::CalendarMonth => from_date(zone, now.date_in(zone)?.first_of_month(), 1.month()),
        Reset::BillingMonth => anniversary(anchor, zone, now, 1),
        Reset::Year => anniversary(anchor, zone, now, 12),
    }
}

fn fixed(now: Timestamp, length: i64) -> Period {
    let start = now.0.div_euclid(length).saturating_mul(length);
    Period { start: Timestamp(start), end: Some(Timestamp(start.saturating_add(length))) }
}

fn from_date(zone: &Zone, first: Date, length: Span) -> Result<Period, TimeError> {
    let after = first.checked_add(length).map_err(|_| TimeError::Range)?;
    let midnight = |date: Date| zone.instant(date.to_datetime(Time::midnight()));
    Ok(Period { start: midnight(first)?, end: Some(midnight(after)?) })
}

fn anniversary(anchor: Timestamp, zone: &Zone, now: Timestamp, months: i64) -> Result<Period, TimeError> {
    let local = anchor.civil(zone)?;
    let elapsed = now.civil(zone)?.since((Unit::Month, local)).map_err(|_| TimeError::Range)?.get_months();
    // The difference counts whole months as the calendar sees them; a clamped day or a clock change can move the
    // boundary by one place, so the neighbours are tried as well.
    let guess = i64::from(elapsed).div_euclid(months);
    for number in [guess, guess.saturating_sub(1), guess.saturating_add(1)] {
        let period = Period {
            start: boundary(local, zone, number.saturating_mul(months))?,
            end: Some(boundary(local, zone, number.saturating_add(1).saturating_mul(months))?),
        };
        if period.contains(now) {
            return Ok(period);
        }
    }
    Err(TimeError::Range)
}

fn boundary(anchor: DateTime, zone: &Zone, months: i64) -> Result<Timestamp, TimeError> {
    let span = Span::new().try_months(months).map_err(|_| TimeError::Range)?;
    zone.instant(anchor.checked_add(span).map_err(|_| TimeError::Range)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time in a test")
    }

    fn period(reset: Reset, anchor: &str, zone: &str, now: &str) -> (String, String) {
        let zone = Zone::parse(zone).expect("a zone in a test");
        let found = period_at(reset, at(anchor), &zone, at(now)).expect("inside the calendar");
        (found.start.to_string(), found.end.expect("it ends").to_string())
    }

    #[test]
    fn a_date_alone_is_its_midnight_in_the_zone() {
        let berlin = Zone::parse("Europe/Berlin").expect("a zone in a test");
        let read = |text: &str, zone: &Zone| Timestamp::parse_in(text, zone).map(|at| at.to_string());
        assert_eq!(read("2026-11-01", &Zone::UTC).as_deref(), Ok("2026-11-01T00:00:00Z"));
        assert_eq!(read("2026-11-01", &berlin).as_deref(), Ok("2026-10-31T23:00:00Z"));
        assert_eq!(read("2026-11-01T05:00:00+01:00", &berlin).as_deref(), Ok("2026-11-01T04:00:00Z"));
        for bad in ["", "2026-11", "2026-13-01", "20261101", "2026-11-01T05:00", "yesterday", "2026-11-01 "] {
            assert_eq!(read(bad, &berlin), Err(TimeError::Format), "{bad}");
        }
    }

    #[test]
    fn an_anchor_on_the_31st_is_clamped_and_returns() {
        let table = [
            ("2027-01-31T12:00:00Z", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"),
            ("2027-02-28T09:59:59Z", "2027-01-31T10:00:00Z", "2027-02-28T10:00:00Z"),
            ("2027-02-28T10:00:00Z", "2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z"),
            ("2027-03-31T10:00:00Z", "2027-03-31T10:00:00Z", "2027-04-30T10:00:00Z"),
            ("2028-02-29T10:00:00Z", "2028-02-29T10:00:00Z", "2028-03-31T10:00:00Z"),
            ("2026-12-31T09:00:00Z", "2026-11-30T10:00:00Z", "2026-12-31T10:00:00Z"),
        ];
        for (now, start, end) in table {
            let found = period(Reset::BillingMonth, "2027-01-31T10:00:00Z", "UTC", now);
            assert_eq!(found, (start.to_owned(), end.to_owned()), "at {now}");
        }
    }

    #[test]
    fn calendar_months_days_and_weeks_start_at_local_midnight() {
        let berlin = "Europe/Berlin";
        let anchor = "2020-01-01T00:00:00Z";
        assert_eq!(
            period(Reset::CalendarMonth, anchor, berlin, "2026-03-31T22:30:00Z"),
            ("2026-03-31T22:00:00Z".into(), "2026-04-30T22:00:00Z".into())
        );
        // The day on which the clocks go forward has 23 hours.
        assert_eq!(
            period(Reset::Day, anchor, berlin, "2026-03-29T12:00:00Z"),
            ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into())
        );
        assert_eq!(
            period(Reset::Week, anchor, berlin, "2026-11-22T22:59:59Z"),
            ("2026-11-15T23:00:00Z".into(), "2026-11-22T23:00:00Z".into())
        );
        assert_eq!(
            period(Reset::Minute, anchor, berlin, "1969-12-31T23:59:59Z"),
            ("1969-12-31T23:59:00Z".into(), "1970-01-01T00:00:00Z".into())
        );
    }

    #[test]
    fn a_leap_day_anchor_keeps_its_year() {
        let found = period(Reset::Year, "2028-02-29T00:00:00Z", "UTC", "2029-03-01T00:00:00Z");
        assert_eq!(found, ("2029-02-28T00:00:00Z".into(), "2030-02-28T00:00:00Z".into()));
        let later = period(Reset::Year, "2028-02-29T00:00:00Z", "UTC", "2032-02-29T00:00:00Z");
        assert_eq!(later.0, "2032-02-29T00:00:00Z");
    }

    #[test]
    fn seconds_until_round_up_and_never_go_below_nothing() {
        let now = Timestamp::from_micros(1);
        assert_eq!(now.seconds_until(Timestamp::from_micros(2)), 1);
        assert_eq!(now.seconds_until(Timestamp::from_micros(1)), 0);
        assert_eq!(now.seconds_until(Timestamp::from_micros(-5)), 0);
    }

    #[test]
    fn a_month_before_the_31st_is_the_last_of_a_shorter_one() {
        let back = |text: &str, zone: &str| {
            let zone = Zone::parse(zone).expect("a zone in a test");
            at(text).plus_months(-1, &zone).map(|found| found.to_string())
        };
        assert_eq!(back("2027-03-31T10:00:00Z", "UTC").as_deref(), Ok("2027-02-28T10:00:00Z"));
        assert_eq!(back("2027-04-15T10:00:00Z", "Europe/Berlin").as_deref(), Ok("2027-03-15T11:00:00Z"));
    }

    const ZONES: [&str; 6] =
        ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Australia/Lord_Howe"];
    const RESETS: [Reset; 7] =
        [Reset::Minute, Reset::Hour, Reset::Day, Reset::Week, Reset::BillingMonth, Reset::CalendarMonth, Reset::Year];

    proptest! {
        #[test]
        fn periods_tile_time(
            anchor in 0_i64..4_000_000_000, now in 0_i64..4_000_000_000, zone in 0_usize..6, reset in 0_usize..7,
        ) {
            let zone = Zone::parse(ZONES[zone]).expect("known");
            let anchor = Timestamp::EPOCH.plus_seconds(anchor);
            let now = Timestamp::EPOCH.plus_seconds(now);
            let this = period_at(RESETS[reset], anchor, &zone, now).expect("in range");
            prop_assert!(this.contains(now));
            let end = this.end.expect("it ends");
            let next = period_at(RESETS[reset], anchor, &zone, end).expect("in range");
            prop_assert_eq!(next.start, end, "no gap, no overlap");
            let again = period_at(RESETS[reset], anchor, &zone, this.start).expect("in range");
            prop_assert_eq!(again, this, "the start belongs to its own period");
        }
    }
}
