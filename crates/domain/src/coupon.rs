//! Coupons: what one takes off a price, and whether it may be redeemed.
//!
//! Rounding: a share of a price is rounded half up to the currency's minor unit, once, and what is left to pay is the
//! price less that. So discount and rest always add up to the price, and neither is ever negative.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, MoneyError};
use crate::time::Timestamp;

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// So many per cent, 1 to 100.
    Percent(u8),
    /// An amount, at most the price.
    Amount(Money),
}

impl Off {
    /// Whether it takes something off prices in a currency: a share of any, an amount of its own alone.
    pub fn counts_in(self, currency: Currency) -> bool {
        match self {
            Self::Percent(_) => true,
            Self::Amount(amount) => amount.currency == currency,
        }
    }
}

/// For how long a coupon takes something off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duration {
    /// Of the first payment.
    Once,
    /// Of every payment that falls due within some months.
    Repeating,
    /// Of every payment.
    Forever,
}

/// A price with a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discounted {
    /// What is taken off.
    pub discount: Money,
    /// What is left to pay.
    pub total: Money,
}

/// Takes something off a price.
pub fn discounted(off: Off, price: Money) -> Result<Discounted, MoneyError> {
    let minor = match off {
        Off::Percent(percent) => {
            let share =
                i128::from(price.minor).checked_mul(i128::from(percent.min(100))).ok_or(MoneyError::Overflow)?;
            let rounded = share.checked_add(50).ok_or(MoneyError::Overflow)?.div_euclid(100);
            i64::try_from(rounded).map_err(|_| MoneyError::Overflow)?
        }
        Off::Amount(amount) if amount.currency != price.currency => return Err(MoneyError::Mixed),
        Off::Amount(amount) => amount.minor.min(price.minor),
    };
    let rest = price.minor.checked_sub(minor).ok_or(MoneyError::Overflow)?;
    Ok(Discounted { discount: Money { minor, ..price }, total: Money { minor: rest, ..price } })
}

/// Whether the payment that falls due so many whole months after the redemption has something taken off: 0 is the first.
pub fn covers(duration: Duration, months: Option<u32>, months_since: u32) -> bool {
    match duration {
        Duration::Once => months_since == 0,
        Duration::Repeating => months.is_some_and(|months| months_since < months),
        Duration::Forever => true,
    }
}

/// What of a coupon decides whether it may be redeemed.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Whether an admin has it switched on.
    pub active: bool,
    /// Until when; the instant itself is too late.
    pub valid_until: Option<Timestamp>,
    /// How often at most.
    pub max_redemptions: Option<i64>,
    /// How often it was.
    pub redeemed: i64,
    /// Slugs of the plans that it is for; none are all.
    pub plans: &'a [&'a str],
}

/// Why a coupon cannot be redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unredeemable {
    /// It is switched off.
    Inactive,
    /// Its time is over.
    Over,
    /// It was redeemed as often as it may be.
    UsedUp,
    /// It is for other plans.
    OtherPlan,
}

/// Whether a coupon may be redeemed for a plan.
pub fn redeemable(terms: Terms<'_>, plan: &str, now: Timestamp) -> Result<(), Unredeemable> {
    if !terms.active {
        return Err(Unredeemable::Inactive);
    }
    if terms.valid_until.is_some_and(|until| until <= now) {
        return Err(Unredeemable::Over);
    }
    if terms.max_redemptions.is_some_and(|most| terms.redeemed >= most) {
        return Err(Unredeemable::UsedUp);
    }
    if !terms.plans.is_empty() && !terms.plans.contains(&plan) {
        return Err(Unredeemable::OtherPlan);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }

    #[test]
    fn a_share_is_rounded_half_up_to_the_minor_unit() {
        for (percent, price, discount) in [
            (20, 29_900, 5_980),
            (15, 999, 150),
            (50, 1, 1),
            (49, 1, 0),
            (33, 100, 33),
            (100, 999, 999),
            (1, 49, 0),
            (1, 50, 1),
        ] {
            let found = discounted(Off::Percent(percent), usd(price)).expect("it fits");
            assert_eq!((found.discount.minor, found.total.minor), (discount, price - discount), "{percent} of {price}");
        }
        let yen = Money::new(333, Currency::parse("JPY").expect("a currency"));
        assert_eq!(discounted(Off::Percent(50), yen).map(|found| found.discount.minor), Ok(167));
    }

    #[test]
    fn an_amount_is_at_most_the_price_and_of_its_currency() {
        assert_eq!(discounted(Off::Amount(usd(500)), usd(999)).map(|found| found.total.minor), Ok(499));
        assert_eq!(discounted(Off::Amount(usd(5_000)), usd(999)).map(|found| found.total.minor), Ok(0));
        let euro = Money::new(500, Currency::parse("EUR").expect("a currency"));
        assert_eq!(discounted(Off::Amount(euro), usd(999)), Err(MoneyError::Mixed));
        assert!(Off::Amount(euro).counts_in(euro.currency) && !Off::Amount(euro).counts_in(Currency::USD));
        assert!(Off::Percent(20).counts_in(euro.currency));
    }

    #[test]
    fn a_coupon_holds_for_its_duration() {
        let held = |duration, months| (0..14).filter(|since| covers(duration, months, *since)).count();
        assert_eq!(held(Duration::Once, None), 1);
        assert_eq!(held(Duration::Repeating, Some(3)), 3);
        assert_eq!(held(Duration::Repeating, None), 0);
        assert_eq!(held(Duration::Forever, None), 14);
        assert!(
            covers(Duration::Repeating, Some(3), 0) && !covers(Duration::Repeating, Some(12), 12),
            "a yearly price"
        );
    }

    #[test]
    fn each_reason_against_a_redemption_has_its_limit() {
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        let plans = ["starter"];
        let terms =
            Terms { active: true, valid_until: Some(at(10)), max_redemptions: Some(2), redeemed: 1, plans: &plans };
        assert_eq!(redeemable(terms, "starter", at(9)), Ok(()));
        assert_eq!(redeemable(Terms { plans: &[], ..terms }, "any", at(9)), Ok(()));
        assert_eq!(redeemable(terms, "starter", at(10)), Err(Unredeemable::Over));
        assert_eq!(redeemable(Terms { redeemed: 2, ..terms }, "starter", at(9)), Err(Unredeemable::UsedUp));
        assert_eq!(redeemable(terms, "free", at(9)), Err(Unredeemable::OtherPlan));
        assert_eq!(redeemable(Terms { active: false, ..terms }, "starter", at(9)), Err(Unredeemable::Inactive));
    }

    proptest! {
        #[test]
        fn discount_and_rest_add_up_and_are_never_negative(
            price in 0_i64..i64::MAX, percent in 1_u8..=100, amount in 1_i64..i64::MAX
        ) {
            for off in [Off::Percent(percent), Off::Amount(usd(amount))] {
                let found = discounted(off, usd(price)).expect("a price fits");
                prop_assert_eq!(found.discount.checked_add(found.total), Ok(usd(price)));
                prop_assert!(found.discount.minor >= 0 && found.total.minor >= 0);
            }
        }

        #[test]
        fn a_share_is_within_half_a_minor_unit(price in 0_i64..1_000_000_000_000, percent in 1_u8..=100) {
            let found = discounted(Off::Percent(percent), usd(price)).expect("it fits");
            let exact = i128::from(price).saturating_mul(i128::from(percent));
            let hundredfold = i128::from(found.discount.minor).saturating_mul(100).saturating_sub(exact);
            prop_assert!((-49..=50).contains(&hundredfold), "{}", hundredfold);
        }

        #[test]
        fn more_off_never_costs_more(price in 0_i64..1_000_000_000_000, percent in 1_u8..100) {
            let total = |percent| discounted(Off::Percent(percent), usd(price)).expect("it fits").total.minor;
            prop_assert!(total(percent.saturating_add(1)) <= total(percent));
        }
    }
}
