//! What the rest of a billing period is worth, exactly (SPEC §5 "exact amounts before anything happens"; decision 0015).
//!
//! Time is counted in microseconds, each amount is rounded once, half up, to the currency's minor unit, and nothing is
//! ever given back that was not charged: what a period was charged at is kept ([`Paid`]), not computed from a price again.

use crate::money::{Money, MoneyError};
use crate::revenue::rounded;
use crate::time::{Period, Timestamp};

/// What was charged for the rest of a billing period, from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// What was charged.
    pub amount: Money,
    /// The part of the period that it is for begins here; it ends with the period.
    pub from: Timestamp,
}

/// Units that a plan grants in a quota period, as far as they reduce what is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Units of the plan that is left; 0 and less say nothing.
    pub limit: i64,
    /// Units used of them in the quota period.
    pub used: i64,
    /// Units that the next plan grants and in which what was used counts on; none is without limit, 0 that it ends.
    pub next_limit: Option<i64>,
    /// The quota period that runs.
    pub period: Period,
}

impl Allowance {
    /// Units that were used and that no next plan counts.
    fn spent(&self) -> i64 {
        let counted_on = self.next_limit.unwrap_or(self.used).max(0);
        self.used.saturating_sub(counted_on).clamp(0, self.limit)
    }

    /// Microseconds of a stretch of time that are not used up: those after the quota period in full, those inside it at
    /// most in the proportion of the units that are left.
    fn unused_micros(&self, from: Timestamp, end: Timestamp, now: Timestamp) -> Result<i128, MoneyError> {
        let quota_start = if self.period.end.is_some() { self.period.start } else { from };
        let quota_end = self.period.end.map_or(end, |quota_end| quota_end.min(end)).max(now);
        let left = i128::from(self.limit.saturating_sub(self.spent()));
        let inside = micros(quota_start, quota_end).checked_mul(left).ok_or(MoneyError::Overflow)?;
        let by_units = inside.checked_div(i128::from(self.limit)).unwrap_or(0);
        Ok(micros(quota_end, end).saturating_add(by_units.min(micros(now, quota_end))))
    }
}

/// What is given back for the rest of a period that ends at `end`, when it is left at `now`.
///
/// The unused share is that of time or that of units, whichever is smaller: who used nine tenths of a month's units in a
/// day has a tenth to get back. Units that the next plan counts on are not lost by whoever sells them, so they reduce
/// nothing: an upgrade gives time back in full. Of several allowances the one that is used up most decides.
pub fn credit(paid: Paid, end: Timestamp, now: Timestamp, allowances: &[Allowance]) -> Result<Money, MoneyError> {
    let whole = micros(paid.from, end);
    let now = now.max(paid.from).min(end);
    let mut unused = micros(now, end);
    for allowance in allowances.iter().filter(|allowance| allowance.limit > 0) {
        unused = unused.min(allowance.unused_micros(paid.from, end, now)?);
    }
    share(paid.amount, unused, whole)
}

/// What a price comes to for the rest of a period from `now` on.
pub fn charge(price: Money, period: Period, now: Timestamp) -> Result<Money, MoneyError> {
    let Some(end) = period.end else { return Ok(price) };
    let now = now.max(period.start).min(end);
    share(price, micros(now, end), micros(period.start, end))
}

/// A share of an amount that is not negative, rounded half up once.
fn share(amount: Money, part: i128, whole: i128) -> Result<Money, MoneyError> {
    if whole <= 0 {
        return Ok(Money::zero(amount.currency));
    }
    let exact = i128::from(amount.minor).checked_mul(part).ok_or(MoneyError::Overflow)?;
    let minor = rounded(exact, whole).ok_or(MoneyError::Overflow)?;
    Ok(Money { minor, ..amount })
}

fn micros(from: Timestamp, to: Timestamp) -> i128 {
    i128::from(to.as_micros()).saturating_sub(from.as_micros().into()).max(0)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers, and tests are built with overflow checks")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::money::Currency;

    const DAY: i64 = 86_400;

    fn day(number: i64) -> Timestamp {
        Timestamp::EPOCH.plus_seconds(number * DAY)
    }

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }

    fn days(from: i64, to: i64) -> Period {
        Period { start: day(from), end: Some(day(to)) }
    }

    #[test]
    fn time_is_given_back_and_charged_by_its_share() {
        for (price, now, left) in [
            (30_000, 0, 30_000),
            (30_000, 10, 20_000),
            (30_000, 30, 0),
            (29_900, 10, 19_933),
            (999, 1, 966),
            (1, 15, 1),
        ] {
            let paid = Paid { amount: usd(price), from: day(0) };
            assert_eq!(credit(paid, day(30), day(now), &[]), Ok(usd(left)), "{price} left on day {now}");
            assert_eq!(charge(usd(price), days(0, 30), day(now)), Ok(usd(left)), "{price} from day {now}");
        }
        let half_a_day = day(29).plus_seconds(DAY / 2);
        assert_eq!(charge(usd(30_000), days(0, 30), half_a_day), Ok(usd(500)), "not whole days alone");
    }

    #[test]
    fn what_was_charged_is_the_most_that_is_given_back() {
        // Charged 100 for the last ten days: they are worth that, whatever the plan's price is.
        let paid = Paid { amount: usd(100), from: day(20) };
        assert_eq!(credit(paid, day(30), day(20), &[]), Ok(usd(100)));
        assert_eq!(credit(paid, day(30), day(25), &[]), Ok(usd(50)));
        assert_eq!(credit(paid, day(30), day(5), &[]), Ok(usd(100)), "asked about an instant before");
        assert_eq!(credit(paid, day(30), day(99), &[]), Ok(usd(0)), "and about one after");
    }

    #[test]
    fn used_units_reduce_what_is_given_back() {
        /// Units granted and used, what the next plan grants, the day; then what of 300.00 for 30 days is given back.
        type Case = (i64, i64, Option<i64>, i64, i64);
        let table: [Case; 9] = [
            (100, 0, Some(0), 10, 20_000),
            (100, 20, Some(0), 10, 20_000),
            (100, 50, Some(0), 10, 15_000),
            (100, 90, Some(0), 1, 3_000),
            (100, 100, Some(0), 1, 0),
            (100, 140, Some(0), 1, 0),
            // What the next plan counts on is not lost.
            (100, 100, Some(1_000), 10, 20_000),
            (100, 100, None, 10, 20_000),
            // 900 of 1,000 are used and 100 are counted on: 800 are gone.
            (1_000, 900, Some(100), 1, 6_000),
        ];
        for (limit, used, next_limit, now, left) in table {
            let paid = Paid { amount: usd(30_000), from: day(0) };
            let allowance = Allowance { limit, used, next_limit, period: days(0, 30) };
            let found = credit(paid, day(30), day(now), &[allowance]);
            assert_eq!(found, Ok(usd(left)), "{used} of {limit} on day {now}, then {next_limit:?}");
        }
    }

    #[test]
    fn a_year_loses_no_more_than_the_month_that_is_used_up() {
        let paid = Paid { amount: usd(36_000), from: day(0) };
        let used_up = |period| Allowance { limit: 10, used: 10, next_limit: Some(0), period };
        assert_eq!(credit(paid, day(360), day(10), &[used_up(days(0, 30))]), Ok(usd(33_000)));
        assert_eq!(credit(paid, day(360), day(345), &[used_up(days(330, 360))]), Ok(usd(0)));
        // A calendar month that reaches beyond the billing period counts as far as that goes.
        assert_eq!(credit(paid, day(360), day(350), &[used_up(days(345, 375))]), Ok(usd(0)));
        // Units that never come again are for the whole of it.
        let half = Allowance { limit: 10, used: 5, next_limit: Some(0), period: Period::FOREVER };
        assert_eq!(credit(paid, day(360), day(10), &[half]), Ok(usd(18_000)));
        // Of several the one that is used up most decides; a limit of nothing says nothing.
        let fresh = Allowance { used: 0, ..used_up(days(0, 30)) };
        let nothing = Allowance { limit: 0, ..fresh };
        assert_eq!(credit(paid, day(360), day(0), &[fresh, used_up(days(0, 30)), nothing]), Ok(usd(33_000)));
    }

    fn allowance() -> impl Strategy<Value = Allowance> {
        let next = prop_oneof![Just(None), (0..2_000_i64).prop_map(Some)];
        (0..1_000_i64, 0..1_500_i64, next, -20..40_i64, 1..60_i64).prop_map(
            |(limit, used, next_limit, start, length)| Allowance {
                limit,
                used,
                next_limit,
                period: days(start, start + length),
            },
        )
    }

    proptest! {
        #[test]
        fn a_credit_is_between_nothing_and_what_was_charged(
            amount in 0_i64..i64::MAX, from in 0_i64..2_592_000, now in 0_i64..2_592_000,
            allowances in prop::collection::vec(allowance(), 0..4),
        ) {
            let (end, now) = (day(30), Timestamp::EPOCH.plus_seconds(now));
            let paid = Paid { amount: usd(amount), from: Timestamp::EPOCH.plus_seconds(from) };
            let by_time = credit(paid, end, now, &[]).expect("it fits");
            let found = credit(paid, end, now, &allowances).expect("it fits");
            prop_assert!(0 <= found.minor && found.minor <= by_time.minor && by_time.minor <= amount);
        }

        #[test]
        fn rounding_is_off_by_half_a_minor_unit_at_most(price in 0_i64..1_000_000_000_000, now in 0_i64..2_592_000) {
            let found = charge(usd(price), days(0, 30), Timestamp::EPOCH.plus_seconds(now)).expect("it fits");
            let (whole, left) = (2_592_000_i128, i128::from(2_592_000 - now));
            let off = i128::from(found.minor) * whole - i128::from(price) * left;
            prop_assert!(2 * off.abs() <= whole, "{off}");
        }

        #[test]
        fn there_and_back_at_one_instant_costs_nothing(a in 0_i64..1_000_000_000, b in 0_i64..1_000_000_000, now in 0_i64..2_592_000) {
            let (period, end, now) = (days(0, 30), day(30), Timestamp::EPOCH.plus_seconds(now));
            let first = credit(Paid { amount: usd(a), from: day(0) }, end, now, &[]).expect("it fits");
            let there = charge(usd(b), period, now).expect("it fits");
            let back = credit(Paid { amount: there, from: now }, end, now, &[]).expect("it fits");
            let again = charge(usd(a), period, now).expect("it fits");
            // Both are the same share of the same amount, so they cancel out to the minor unit.
            let last_instant = now == end;
            prop_assert!(last_instant || there == back);
            prop_assert_eq!(first, again);
        }

        #[test]
        fn more_use_and_later_times_never_give_more_back(
            amount in 0_i64..1_000_000_000, mut allowance in allowance(), more in 0_i64..100, now in 0_i64..2_500_000, later in 0_i64..90_000,
        ) {
            let paid = Paid { amount: usd(amount), from: day(0) };
            let at = |now, allowance| credit(paid, day(30), Timestamp::EPOCH.plus_seconds(now), &[allowance]).expect("it fits").minor;
            let first = at(now, allowance);
            prop_assert!(at(now + later, allowance) <= first);
            allowance.used += more;
            prop_assert!(at(now, allowance) <= first);
        }
    }
}
