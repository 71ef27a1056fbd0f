//! Credit packs that are bought by themselves (issue 4.9), and the order in which packs are used (SPEC §3.8, §13).
//!
//! The order itself is in [`crate::usage`]: the plan first, then packs, soonest to expire first, as they come in
//! [`crate::entitlement::Customer::grants`].

use serde::{Deserialize, Serialize};

use crate::money::{Money, MoneyError};
use crate::quota::Quota;

/// A customer's own wish that a pack is bought when little is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoTopUp {
    /// Buy when fewer units than this remain.
    pub below: i64,
    /// Spend no more than this in a calendar month, in minor units of the pack's currency.
    pub monthly_cap_minor: i64,
}

/// Whether a pack is bought now. `spent` is what automatic purchases of this month came to, with those whose payment is
/// still open: an unknown payment counts as made.
pub fn buys(wish: AutoTopUp, quota: &Quota, pack: Money, spent: Money) -> Result<bool, MoneyError> {
    let cap = Money::new(wish.monthly_cap_minor, pack.currency);
    let little_left = quota.remaining().is_some_and(|remaining| remaining < wish.below);
    Ok(little_left && spent.checked_add(pack)?.minor <= cap.minor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::LimitType;
    use crate::money::Currency;
    use crate::usage::tests::{NOW, book, entitled};
    use crate::usage::{Draw, Item, admit, quota};

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }

    #[test]
    fn a_pack_is_bought_when_little_is_left_and_the_month_allows_it() {
        let entitlement = entitled("tokens", Some(10), LimitType::Hard, &[5]);
        let left = |used, credits_used| quota(&entitlement, &book(&entitlement, &[(used, 0), (credits_used, 0)]));
        let wish = AutoTopUp { below: 4, monthly_cap_minor: 1_000 };
        let buys = |quota: &Quota, spent| buys(wish, quota, usd(400), usd(spent)).expect("it fits");
        assert!(!buys(&left(10, 1), 0), "four remain");
        assert!(buys(&left(10, 2), 0));
        assert!(buys(&left(10, 5), 600));
        assert!(!buys(&left(10, 5), 601), "the month's cap");
        let unlimited = entitled("tokens", None, LimitType::Unlimited, &[]);
        assert!(!buys(&quota(&unlimited, &book(&unlimited, &[])), 0));
    }

    proptest! {
        /// The plan burns first, then each pack in turn: one is begun only when those before it are empty.
        #[test]
        fn packs_burn_in_their_order(packs in prop::collection::vec(1_i64..20, 0..6), uses in prop::collection::vec(1_i64..15, 1..20)) {
            let entitlement = entitled("tokens", Some(10), LimitType::Hard, &packs);
            let mut book = book(&entitlement, &[]);
            for amount in uses {
                let item = Item { entitlement: &entitlement, amount };
                let Ok(lines) = admit(&[item], Draw::Use, &book, NOW) else { continue };
                book.apply(&lines);
                let limits = std::iter::once(10).chain(packs.iter().copied());
                let levels: Vec<_> = entitlement.counter_keys().map(|key| book.get(key).used).zip(limits).collect();
                for pair in levels.windows(2) {
                    prop_assert!(pair[1].0 == 0 || pair[0].0 == pair[0].1, "{:?}", levels);
                }
            }
        }
    }
}
