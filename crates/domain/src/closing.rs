//! What the end of a quota period brings: the periods that are over, units that go on to the next, and what is charged
//! for use beyond a soft limit (SPEC §3.6, §5 "period roll-over", §13 "overage ceiling"; decision 0015).
//!
//! Nothing here resets anything: a counter's key holds its period, so a late close frees and blocks nobody.

use std::collections::BTreeSet;

use crate::catalog::LimitType;
use crate::money::{Money, MoneyError};
use crate::planted::{Bug, planted};
use crate::revenue::rounded;
use crate::time::{EarlierZone, Period, Reset, TimeError, Timestamp, Zone, period_through};

/// Periods that are closed at once, for one customer.
pub const PERIODS_AT_ONCE: usize = 100;
/// Overage prices are millionths of a unit of the currency.
const MICROS: i128 = 1_000_000;

/// A quota period that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// How its features start again.
    pub reset: Reset,
    /// The period.
    pub period: Period,
    /// The period after it, which the close brings units to.
    pub next: Period,
}

impl Closed {
    /// Its key within the customer, the same on every node: a period is closed once for it.
    pub fn slot(&self) -> String {
        format!("close:{}:{}", self.reset.name(), self.period.start.as_micros())
    }
}

/// The periods of some resets that ended after `done` and up to `now`, oldest first; at most [`PERIODS_AT_ONCE`], after
/// which the last one's end is asked from again.
///
/// They are the periods in which the gate counts, so the tenant's earlier zones are in them. Minutes and hours are limits
/// of a rate, and nothing is reported of them; what never resets never closes.
pub fn closed(
    resets: &[Reset],
    anchor: Timestamp,
    zones: (&Zone, &[EarlierZone]),
    (done, now): (Timestamp, Timestamp),
) -> Result<Vec<Closed>, TimeError> {
    let reported = |reset: &&Reset| !matches!(reset, Reset::Minute | Reset::Hour | Reset::Never);
    let distinct: BTreeSet<Reset> = resets.iter().filter(reported).copied().collect();
    let mut found = Vec::new();
    for reset in distinct {
        let mut period = period_through(reset, anchor, zones, done)?;
        let mut of_this = 0_usize;
        while let Some(end) = period.end.filter(|end| *end <= now && of_this < PERIODS_AT_ONCE) {
            let next = period_through(reset, anchor, zones, end)?;
            let skipped = planted(Bug::CatchUpSkips) && next.end.is_some_and(|end| end <= now);
            // Asked about an instant before the zone changed, a period may end sooner than it did.
            if next.start >= end && !skipped {
                found.push(Closed { reset, period, next });
                of_this = of_this.saturating_add(1);
            }
            period = next;
        }
    }
    found.sort_by_key(|closed| (closed.period.end, closed.reset));
    // Whole instants are kept together, since the next call begins after one.
    let last = found.get(PERIODS_AT_ONCE.saturating_sub(1)).and_then(|closed| closed.period.end);
    found.retain(|closed| last.is_none_or(|last| closed.period.end <= Some(last)));
    Ok(found)
}

/// When the next period of some resets ends after `now`; none if none ever does.
pub fn next_close_at(
    resets: &[Reset],
    anchor: Timestamp,
    zones: (&Zone, &[EarlierZone]),
    now: Timestamp,
) -> Result<Option<Timestamp>, TimeError> {
    let reported = resets.iter().filter(|reset| !matches!(reset, Reset::Minute | Reset::Hour | Reset::Never));
    let ends = reported.map(|reset| period_through(*reset, anchor, zones, now).map(|period| period.end));
    Ok(ends.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().min())
}

/// How a feature stood at the end of its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final {
    /// The limit at the end, with override; none is unlimited.
    pub limit: Option<i64>,
    /// What happened at the limit.
    pub limit_type: LimitType,
    /// Units of the plan that were used.
    pub used: i64,
    /// Units that reservations hold still: they are settled in the period in which they began.
    pub held: i64,
    /// Units that were recorded as being beyond the limit.
    pub over: i64,
}

/// Units that go on to the next period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// How many.
    pub units: i64,
    /// When what is left of them is lost: at the end of the next period.
    pub expires_at: Option<Timestamp>,
}

/// What of a limit that was not used goes on to the next period: at most `cap` units, as credits that are used after
/// the plan's own and expire with that period. So nothing is carried twice, and a pile never grows beyond one cap.
pub fn carried(stood: Final, cap: i64, next: Period) -> Option<Carried> {
    let limit = stood.limit?;
    let unused = limit.saturating_sub(stood.used).saturating_sub(stood.held).max(0);
    let units = if planted(Bug::RolloverUncapped) { unused } else { unused.min(cap) };
    let expires_at = next.end.filter(|_| !planted(Bug::RolloverForGood));
    (units > 0).then_some(Carried { units, expires_at })
}

/// Use beyond a soft limit, as a line of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overage {
    /// Units beyond the limit.
    pub units: i64,
    /// What they cost.
    pub amount: Money,
}

/// What a period's use beyond a soft limit costs: quantity × price, rounded half up once.
///
/// The quantity is what was beyond the limit when it was used and still is at the end: an upgrade within the period
/// takes earlier overage in, and a limit that is lowered later makes nobody pay for what was allowed then.
pub fn overage(stood: Final, micros_each: i64, nothing: Money) -> Result<Option<Overage>, MoneyError> {
    let Some(limit) = stood.limit.filter(|_| stood.limit_type == LimitType::Soft) else { return Ok(None) };
    let units = stood.used.saturating_sub(limit).min(stood.over);
    if units <= 0 {
        return Ok(None);
    }
    let amount = cost(units, micros_each, nothing)?;
    Ok((amount.minor > 0).then_some(Overage { units, amount }))
}

/// What units beyond a limit cost at a price in millionths of the currency.
fn cost(units: i64, micros_each: i64, nothing: Money) -> Result<Money, MoneyError> {
    let scale = i128::from(nothing.currency.scale());
    let exact = i128::from(units).checked_mul(micros_each.into()).and_then(|sum| sum.checked_mul(scale));
    let minor = exact.and_then(|exact| rounded(exact, MICROS)).ok_or(MoneyError::Overflow)?;
    Ok(Money { minor, ..nothing })
}

/// Units beyond a soft limit that a ceiling still allows, when `spent` of it is used up by other features; all that
/// there are at a price of nothing.
pub fn units_under(ceiling: Money, spent: Money, micros_each: i64) -> Result<i64, MoneyError> {
    let left = i128::from(ceiling.checked_sub(spent)?.minor.max(0));
    let Some(each) = i128::from(micros_each).checked_mul(ceiling.currency.scale().into()).filter(|each| *each > 0)
    else {
        return Ok(i64::MAX);
    };
    let units = left.checked_mul(MICROS).and_then(|left| left.checked_div(each)).ok_or(MoneyError::Overflow)?;
    Ok(i64::try_from(units).unwrap_or(i64::MAX))
}

/// Amounts under a ceiling: as they are, or in proportion so that they add up to it. Use that raced past the ceiling is
/// recorded, and not paid for.
pub fn under_ceiling(amounts: &[Money], ceiling: Money) -> Result<Vec<Money>, MoneyError> {
    let nothing = Money::zero(ceiling.currency);
    let sum = amounts.iter().try_fold(nothing, |sum, amount| sum.checked_add(*amount))?;
    if sum.minor <= ceiling.minor {
        return Ok(amounts.to_vec());
    }
    let weights: Vec<_> = amounts.iter().map(|amount| amount.minor).collect();
    ceiling.allocate(&weights)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;

    /// A zone that never was another.
    const UTC: (&Zone, &[EarlierZone]) = (&Zone::UTC, &[]);

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time in a test")
    }

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }

    fn soft(limit: i64, used: i64, over: i64) -> Final {
        Final { limit: Some(limit), limit_type: LimitType::Soft, used, held: 0, over }
    }

    #[test]
    fn what_is_over_is_closed_once_oldest_first() {
        let anchor = at("2027-01-31T10:00:00Z");
        let resets = [Reset::BillingMonth, Reset::CalendarMonth, Reset::BillingMonth, Reset::Minute, Reset::Never];
        let (done, now) = (at("2027-01-31T10:00:00Z"), at("2027-03-31T10:00:00Z"));
        let found = closed(&resets, anchor, UTC, (done, now)).expect("in range");
        let ends: Vec<_> =
            found.iter().map(|closed| closed.period.end.map(|end| end.to_string()).unwrap_or_default()).collect();
        assert_eq!(
            ends,
            ["2027-02-01T00:00:00Z", "2027-02-28T10:00:00Z", "2027-03-01T00:00:00Z", "2027-03-31T10:00:00Z"]
        );
        assert_eq!(found[1].slot(), format!("close:billing_month:{}", anchor.as_micros()));
        assert_eq!(found[1].next.end, Some(now), "the clamped end returns");
        assert_eq!(closed(&resets, anchor, UTC, (now, now)), Ok(Vec::new()), "and then none");
        assert_eq!(next_close_at(&resets, anchor, UTC, now), Ok(Some(at("2027-04-01T00:00:00Z"))));
        assert_eq!(next_close_at(&[Reset::Never, Reset::Hour], anchor, UTC, now), Ok(None));
    }

    #[test]
    fn what_runs_while_the_zone_changes_is_closed_once_as_it_was_counted() {
        let until = at("2027-06-15T12:00:00Z");
        let earlier = [EarlierZone { zone: Zone::parse("Europe/Berlin").expect("a zone in a test"), until }];
        let new_york = Zone::parse("America/New_York").expect("a zone in a test");
        let (resets, zones) = ([Reset::CalendarMonth], (&new_york, &earlier[..]));
        let (anchor, done, now) = (at("2027-01-10T00:00:00Z"), at("2027-04-30T22:00:00Z"), at("2027-08-01T04:00:00Z"));
        let found = closed(&resets, anchor, zones, (done, now)).expect("in range");
        let starts = found.iter().map(|closed| closed.period.start.to_string());
        assert_eq!(
            starts.collect::<Vec<_>>(),
            ["2027-04-30T22:00:00Z", "2027-05-31T22:00:00Z", "2027-07-01T04:00:00Z"],
            "June lasts from Berlin's midnight to New York's"
        );
        let in_june = |at| next_close_at(&resets, anchor, zones, at);
        assert_eq!(in_june(at("2027-06-14T00:00:00Z")), Ok(Some(at("2027-06-30T22:00:00Z"))), "nobody knew of it");
        assert_eq!(in_june(until), Ok(Some(at("2027-07-01T04:00:00Z"))));
    }

    #[test]
    fn unused_units_go_on_once_up_to_the_cap() {
        let next = Period { start: at("2027-02-01T00:00:00Z"), end: Some(at("2027-03-01T00:00:00Z")) };
        let units = |stood, cap| carried(stood, cap, next).map(|carried| carried.units);
        assert_eq!(units(soft(100, 30, 0), 50), Some(50));
        assert_eq!(units(soft(100, 70, 0), 50), Some(30));
        assert_eq!(units(soft(100, 100, 0), 50), None);
        assert_eq!(units(soft(100, 130, 30), 50), None);
        assert_eq!(units(soft(100, 30, 0), 0), None);
        assert_eq!(units(Final { held: 60, ..soft(100, 30, 0) }, 50), Some(10), "what is held is not unused");
        assert_eq!(units(Final { limit: None, ..soft(100, 30, 0) }, 50), None);
        assert_eq!(carried(soft(100, 30, 0), 50, next).map(|carried| carried.expires_at), Some(next.end));
    }

    #[test]
    fn overage_is_quantity_times_price_rounded_once() {
        let of = |stood, micros| {
            overage(stood, micros, usd(0)).expect("it fits").map(|found| (found.units, found.amount.minor))
        };
        assert_eq!(of(soft(100, 130, 30), 2_500_000), Some((30, 7_500)));
        assert_eq!(of(soft(100, 103, 3), 1_500), None, "0.45 cents are nothing");
        assert_eq!(of(soft(100, 104, 4), 1_500), Some((4, 1)), "0.6 cents are one, not four times nothing");
        assert_eq!(of(soft(100, 100, 0), 1_500_000), None);
        assert_eq!(of(soft(200, 130, 30), 1_000_000), None, "an upgrade took it in");
        assert_eq!(of(soft(50, 130, 30), 1_000_000), Some((30, 3_000)), "a lowered limit makes nothing dearer");
        assert_eq!(
            of(Final { limit_type: LimitType::Hard, ..soft(100, 130, 30) }, 1_000_000),
            None,
            "an overrun is free"
        );
        let yen = Money::zero(Currency::parse("JPY").expect("a currency"));
        assert_eq!(overage(soft(0, 3, 3), 500_000, yen).map(|found| found.map(|o| o.amount.minor)), Ok(Some(2)));
        assert_eq!(overage(soft(0, i64::MAX, i64::MAX), i64::MAX, yen), Err(MoneyError::Overflow));
    }

    #[test]
    fn a_ceiling_allows_what_it_can_pay_for() {
        assert_eq!(units_under(usd(1_000), usd(0), 1_000_000), Ok(10));
        assert_eq!(units_under(usd(1_000), usd(250), 1_000_000), Ok(7));
        assert_eq!(units_under(usd(1_000), usd(2_000), 1_000_000), Ok(0));
        assert_eq!(units_under(usd(1_000), usd(0), 0), Ok(i64::MAX));
        assert_eq!(under_ceiling(&[usd(300), usd(100)], usd(400)), Ok(vec![usd(300), usd(100)]));
        assert_eq!(under_ceiling(&[usd(300), usd(100)], usd(100)), Ok(vec![usd(75), usd(25)]));
    }

    proptest! {
        #[test]
        fn a_ceiling_is_never_passed(amounts in prop::collection::vec(0_i64..1_000_000, 1..6), ceiling in 0_i64..2_000_000) {
            let amounts: Vec<_> = amounts.into_iter().map(usd).collect();
            let found = under_ceiling(&amounts, usd(ceiling)).expect("it fits");
            let sum = |all: &[Money]| all.iter().map(|m| m.minor).sum::<i64>();
            prop_assert_eq!(sum(&found), sum(&amounts).min(ceiling));
            for (less, full) in found.iter().zip(&amounts) {
                prop_assert!(0 <= less.minor && less.minor <= full.minor);
            }
        }

        #[test]
        fn units_under_a_ceiling_cost_no_more(ceiling in 0_i64..1_000_000_000, spent in 0_i64..1_000_000_000, micros in 1_i64..10_000_000_000) {
            let units = units_under(usd(ceiling), usd(spent), micros).expect("it fits");
            let left = (ceiling - spent).max(0);
            prop_assert!(cost(units, micros, usd(0)).expect("it fits").minor <= left);
            prop_assert!(cost(units + 1, micros, usd(0)).expect("it fits").minor >= left);
        }

        /// However often and whenever it is asked, every period is closed once, also through changes of the zone, and it is
        /// the one that was counted in.
        #[test]
        fn every_period_is_closed_once(anchor in 0_i64..2_000_000_000, change in 0_i64..40_000_000, asks in prop::collection::vec(0_i64..9_000_000, 1..8)) {
            let anchor = Timestamp::EPOCH.plus_seconds(anchor);
            let resets = [Reset::Day, Reset::Week, Reset::BillingMonth, Reset::CalendarMonth, Reset::Year];
            let zone = Zone::parse("America/New_York").expect("a zone in a test");
            let before = Zone::parse("Europe/Berlin").expect("a zone in a test");
            let earlier = [EarlierZone { zone: before, until: anchor.plus_seconds(change) }];
            let (mut done, mut now) = (anchor, anchor);
            let mut last: [Option<Timestamp>; 5] = [None; 5];
            for ask in asks {
                now = now.plus_seconds(ask);
                // Before the change nobody knows of it.
                let zones = if now < earlier[0].until { (&earlier[0].zone, &[][..]) } else { (&zone, &earlier[..]) };
                loop {
                    let found = closed(&resets, anchor, zones, (done, now)).expect("in range");
                    for one in &found {
                        let place = resets.iter().position(|reset| *reset == one.reset).expect("asked for");
                        prop_assert!(last[place].is_none_or(|end| end == one.period.start), "{:?} after {:?}", one, last);
                        last[place] = one.period.end;
                        let counted = period_through(one.reset, anchor, zones, one.period.start).expect("in range");
                        prop_assert_eq!(counted.start, one.period.start, "the key of what was used");
                        done = one.period.end.expect("it ends");
                    }
                    if found.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}
