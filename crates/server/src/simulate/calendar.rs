//! When quota periods begin, worked out a second time: what the product says is compared with this, so nothing here is
//! taken from it. Boundaries are counted from the anchor, and asked of the calendar one by one.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// How a feature of the simulation's catalog begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Day,
    Week,
    CalendarMonth,
    /// Months from the customer's beginning.
    BillingMonth,
}

/// When the period began that runs at an instant, in microseconds.
pub fn began(every: Every, anchor: i64, zone: &TimeZone, at: i64) -> Option<i64> {
    let local = |micros: i64| Some(Timestamp::from_microsecond(micros).ok()?.to_zoned(zone.clone()).datetime());
    let today = local(at)?.date();
    let (first, step): (DateTime, Span) = match every {
        Every::Day => (midnight(today.yesterday().ok()?), 1.day()),
        Every::Week => {
            let monday = today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days()).ok()?;
            (midnight(monday.checked_sub(7.days()).ok()?), 7.days())
        }
        Every::CalendarMonth => (midnight(today.first_of_month().checked_sub(1.month()).ok()?), 1.month()),
        Every::BillingMonth => (local(anchor)?, 1.month()),
    };
    let mut latest = None;
    // Another node's clock may stand before the anchor, in the month that ends with it.
    for number in -1_i64.. {
        let begins = first.checked_add(step.checked_mul(number).ok()?).ok()?;
        let begins = zone.to_ambiguous_zoned(begins).compatible().ok()?.timestamp().as_microsecond();
        if begins > at {
            break;
        }
        latest = Some(begins);
    }
    latest
}

fn midnight(date: Date) -> DateTime {
    date.at(0, 0, 0, 0)
}
