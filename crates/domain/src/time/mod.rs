//! Instants and periods. A period is computed from its anchor and the instant asked about, never from the period before it.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, ToSpan, Unit};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::planted::{Bug, planted};

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

    /// Whole calendar months from an earlier instant to this one; negative when it is the later one.
    pub fn months_since(self, earlier: Self, zone: &Zone) -> Result<i64, TimeError> {
        month_number(earlier.civil(zone)?, zone, self)
    }

    /// This instant some calendar days later in a zone, or earlier: the same time of day, also where a day has 23 hours.
    pub fn plus_days(self, days: i64, zone: &Zone) -> Result<Self, TimeError> {
        let span = Span::new().try_days(days).map_err(|_| TimeError::Range)?;
        zone.instant(self.civil(zone)?.checked_add(span).map_err(|_| TimeError::Range)?)
    }

    /// Whole seconds from this instant to a later one, rounded up; 0 when it has passed.
    pub const fn seconds_until(self, later: Self) -> i64 {
        let micros = later.0.saturating_sub(self.0);
        if micros <= 0 { 0 } else { micros.saturating_add(MICROS_PER_SECOND - 1) / MICROS_PER_SECOND }
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let parsed = text.parse::<jiff::Timestamp>().map(|t| Self(t.as_microsecond()));
        // What is written rightly, and no instant all the same, is beyond the calendar.
        let whole = || Pieces::parse(text).is_ok_and(|pieces| pieces.time().is_some() && pieces.offset().is_some());
        parsed.map_err(|_| if whole() { TimeError::Range } else { TimeError::Format })
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

    /// What clocks in a zone show at this instant.
    pub(crate) fn civil(self, zone: &Zone) -> Result<DateTime, TimeError> {
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

    /// Its IANA name as the database spells it, however it was written.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    fn instant(&self, local: DateTime) -> Result<Timestamp, TimeError> {
        // A wall time that a clock change skips or repeats reads as RFC 5545 says: the later or the first of the two.
        let zoned = self.0.to_ambiguous_zoned(local).compatible().map_err(|_| TimeError::Range)?;
        Ok(Timestamp(zoned.timestamp().as_microsecond()))
    }

    /// The first instant at which clocks show a wall time or a later one: a time that is skipped is the end of the gap,
    /// of a time that comes twice it is the first. Later wall times never come to earlier instants.
    pub(crate) fn first_instant(&self, local: DateTime) -> Result<Timestamp, TimeError> {
        let ambiguous = self.0.to_ambiguous_zoned(local);
        let AmbiguousOffset::Gap { after, .. } = ambiguous.offset() else { return self.instant(local) };
        let before_the_gap = after.to_timestamp(local).map_err(|_| TimeError::Range)?;
        let end = self.0.following(before_the_gap).next().ok_or(TimeError::Range)?;
        Ok(Timestamp(end.timestamp().as_microsecond()))
    }

    /// What clocks would show `local` at, if they went on as they go at `at`; and the next change of the clocks, if it is
    /// not after that.
    pub(crate) fn going_on(&self, at: Timestamp, local: DateTime) -> Result<(Timestamp, Option<Timestamp>), TimeError> {
        let start = at.jiff()?;
        let then = self.0.to_offset(start).to_timestamp(local).map_err(|_| TimeError::Range)?;
        let change = self.0.following(start).next().map(|change| change.timestamp()).filter(|change| *change <= then);
        Ok((Timestamp(then.as_microsecond()), change.map(|change| Timestamp(change.as_microsecond()))))
    }
}

/// When a counter starts again from nothing (SPEC §3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

impl Reset {
    /// Its name on the wire and in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::BillingMonth => "billing_month",
            Self::CalendarMonth => "calendar_month",
            Self::Year => "year",
            Self::Never => "never",
        }
    }
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
        Reset::CalendarMonth if planted(Bug::CalendarInUtc) => {
            from_date(&Zone::UTC, now.date_in(&Zone::UTC)?.first_of_month(), 1.month())
        }
        Reset::CalendarMonth => from_date(zone, now.date_in(zone)?.first_of_month(), 1.month()),
        Reset::BillingMonth => anniversary(anchor, zone, now, 1),
        Reset::Year => anniversary(anchor, zone, now, 12),
    }
}

/// A zone in which a tenant's periods were counted before.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierZone {
    /// The zone.
    pub zone: Zone,
    /// Until when it was the tenant's.
    pub until: Timestamp,
}

/// The period of `reset` that contains `now`, for a tenant whose zone may have changed; the earlier zones come oldest
/// first.
///
/// A period that runs while the zone changes goes on, with what was used in it. It ends when it would have ended, and
/// the next ends with the new zone's; where that would leave less than half a period between them, it lasts until
/// then itself.
pub fn period_through(
    reset: Reset,
    anchor: Timestamp,
    (zone, earlier): (&Zone, &[EarlierZone]),
    now: Timestamp,
) -> Result<Period, TimeError> {
    let Some((last, before)) = earlier.split_last() else { return period_at(reset, anchor, zone, now) };
    let in_last = |at: Timestamp| period_through(reset, anchor, (&last.zone, before), at);
    if now < last.until {
        return in_last(now);
    }
    let running = in_last(last.until)?;
    let Some(ends) = running.end else { return Ok(running) };
    let after = period_at(reset, anchor, zone, ends)?;
    let (passed, left) = (ends.0.saturating_sub(after.start.0), after.end.map(|end| end.0.saturating_sub(ends.0)));
    let end = if left.is_some_and(|left| left < passed) { after.end.unwrap_or(ends) } else { ends };
    if now < end {
        return Ok(Period { start: running.start, end: Some(end) });
    }
    let period = period_at(reset, anchor, zone, now)?;
    Ok(Period { start: period.start.max(end), end: period.end })
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
    months_at(months, (anchor, anchor), zone, now)
}

/// The period of some months that contains `now`, of those that begin where the month of `since` began: for billing.
///
/// Every boundary is a whole number of months from the anchor, so that a clamped day of month returns; a year that
/// begins in the fifth month after the anchor ends in the seventeenth.
pub fn months_at(
    months: i64,
    (anchor, since): (Timestamp, Timestamp),
    zone: &Zone,
    now: Timestamp,
) -> Result<Period, TimeError> {
    let local = anchor.civil(zone)?;
    let first = month_number(local, zone, since)?;
    let passed = month_number(local, zone, now)?.saturating_sub(first);
    let start = first.saturating_add(passed.div_euclid(months).saturating_mul(months));
    let end = boundary(local, zone, start.saturating_add(months))?;
    Ok(Period { start: boundary(local, zone, start)?, end: Some(end) })
}

/// How many months after the anchor the one began that contains `now`.
fn month_number(anchor: DateTime, zone: &Zone, now: Timestamp) -> Result<i64, TimeError> {
    let elapsed = now.civil(zone)?.since((Unit::Month, anchor)).map_err(|_| TimeError::Range)?.get_months();
    // The difference counts whole months as the calendar sees them; a clamped day or a clock change can move the
    // boundary by one place, so the neighbours are tried as well.
    let guess = i64::from(elapsed);
    for number in [guess, guess.saturating_sub(1), guess.saturating_add(1)] {
        let end = boundary(anchor, zone, number.saturating_add(1))?;
        if boundary(anchor, zone, number)? <= now && now < end {
            return Ok(number);
        }
    }
    Err(TimeError::Range)
}

fn boundary(anchor: DateTime, zone: &Zone, months: i64) -> Result<Timestamp, TimeError> {
    let span = Span::new().try_months(months).map_err(|_| TimeError::Range)?;
    let anchor = if planted(Bug::ClampedForGood) {
        anchor.with().day(anchor.day().min(28)).build().map_err(|_| TimeError::Range)?
    } else {
        anchor
    };
    zone.instant(anchor.checked_add(span).map_err(|_| TimeError::Range)?)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
pub(crate) mod tests;
