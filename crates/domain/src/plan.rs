//! Versions of a plan: what each says, and which of them holds for a subscription.
//!
//! Nothing is rewritten when a version is published. Which version holds follows from when the subscription came to the
//! plan and when its running period began, each time anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{Plan, PlanFeature};
use crate::id::FeatureKey;
use crate::money::Currency;
use crate::revenue::Interval;
use crate::time::Timestamp;

/// For which subscriptions a published version holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applies {
    /// For all, at once.
    #[default]
    Now,
    /// For each from its next renewal on.
    Renewal,
    /// For those alone that come to the plan from now on.
    New,
}

impl Applies {
    /// Its name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Renewal => "renewal",
            Self::New => "new",
        }
    }

    /// Whether a version published at an instant holds for a subscription that came to the plan at `since` and whose
    /// running period began at `period_start`.
    pub fn holds(self, published_at: Timestamp, since: Timestamp, period_start: Timestamp) -> bool {
        match self {
            Self::Now => true,
            Self::Renewal => since.max(period_start) >= published_at,
            Self::New => since >= published_at,
        }
    }
}

/// An earlier version, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanVersion {
    /// Its number.
    pub number: i64,
    /// When it was published, in the tenant's time.
    pub published_at: Timestamp,
    /// For which subscriptions it holds.
    pub applies: Applies,
    /// What it grants.
    pub features: BTreeMap<FeatureKey, PlanFeature>,
}

impl Plan {
    /// The version that holds for a subscription that came to the plan at `since` and whose running period began at
    /// `period_start`, with what it grants: the newest of those that hold.
    pub fn held(&self, since: Timestamp, period_start: Timestamp) -> (i64, &BTreeMap<FeatureKey, PlanFeature>) {
        let newest = (self.version, &self.features);
        if self.applies.holds(self.published_at, since, period_start) {
            return newest;
        }
        let holds = |version: &&PlanVersion| version.applies.holds(version.published_at, since, period_start);
        let found = self.earlier.iter().find(holds).or_else(|| self.earlier.last());
        found.map_or(newest, |version| (version.number, &version.features))
    }

    /// Whether a renewal may bring a subscription another version than the one it has.
    pub fn waits_for_renewal(&self, held: i64) -> bool {
        let newest = (self.version, self.applies);
        let mut versions = std::iter::once(newest).chain(self.earlier.iter().map(|v| (v.number, v.applies)));
        versions.any(|(number, applies)| number > held && applies == Applies::Renewal)
    }
}

/// A public price of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// How often it is paid.
    pub interval: Interval,
    /// In which currency.
    pub currency: Currency,
    /// How much, in minor units.
    pub minor: i64,
}

/// All that a plan says: what an edit changes and a version keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// What people read.
    pub name: String,
    /// What people read about it.
    pub description: String,
    /// Whether new customers may take it.
    pub active: bool,
    /// Whether it stands on the pricing page.
    pub visible: bool,
    /// Order on the pricing page.
    pub position: i64,
    /// Sold by talking to sales.
    pub contact_sales: bool,
    /// Days without payment at the beginning; 0 for none.
    pub trial_days: i64,
    /// Its public prices, by interval and currency.
    pub offers: Vec<Offer>,
    /// What it grants.
    pub features: BTreeMap<FeatureKey, PlanFeature>,
}

impl Terms {
    /// The public price of an interval in a currency, in minor units.
    pub fn offer(&self, interval: Interval, currency: Currency) -> Option<i64> {
        self.offers.iter().find(|o| (o.interval, o.currency) == (interval, currency)).map(|o| o.minor)
    }

    /// Sets the public price of an interval in a currency; none takes it away.
    pub fn set_offer(&mut self, interval: Interval, currency: Currency, minor: Option<i64>) {
        self.offers.retain(|o| (o.interval, o.currency) != (interval, currency));
        self.offers.extend(minor.map(|minor| Offer { interval, currency, minor }));
        self.offers.sort_by_key(|o| (o.interval, o.currency));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{LimitType, Thresholds};
    use crate::id::PlanId;
    use crate::time::Reset;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn grants(limit: i64) -> BTreeMap<FeatureKey, PlanFeature> {
        let granted = PlanFeature {
            enabled: true,
            limit,
            limit_type: LimitType::Hard,
            reset: Reset::BillingMonth,
            thresholds: Thresholds::default(),
            fail_open: 0,
            overage_micros: None,
            rollover_cap: None,
        };
        [(FeatureKey::stored("calls"), granted)].into()
    }

    /// A plan whose versions were published with these rules at these times; version 1 is the first.
    fn plan(versions: &[(Applies, i64)]) -> Plan {
        let all = versions.iter().zip(1_i64..).map(|((applies, published), number)| PlanVersion {
            number,
            published_at: at(*published),
            applies: *applies,
            features: grants(number),
        });
        let mut earlier: Vec<_> = all.collect();
        let newest = earlier.pop().expect("a version");
        earlier.reverse();
        Plan {
            id: PlanId::from_bits(1),
            slug: "pro".into(),
            name: "Pro".into(),
            description: "".into(),
            version: newest.number,
            active: true,
            visible: true,
            contact_sales: false,
            position: 0,
            trial_days: 0,
            features: newest.features,
            published_at: newest.published_at,
            applies: newest.applies,
            earlier,
        }
    }

    #[test]
    fn the_newest_version_that_holds_is_the_subscriptions() {
        use Applies::{New, Now, Renewal};
        type Case = (&'static [(Applies, i64)], i64, i64, i64);
        // Versions; since when on the plan; when the running period began; the version that holds.
        let table: [Case; 12] = [
            (&[(Now, 0)], 5, 5, 1),
            (&[(Now, 0), (Now, 10)], 5, 5, 2),
            (&[(Now, 0), (New, 10)], 5, 20, 1),
            (&[(Now, 0), (New, 10)], 10, 10, 2),
            (&[(Now, 0), (Renewal, 10)], 5, 9, 1),
            (&[(Now, 0), (Renewal, 10)], 5, 10, 2),
            (&[(Now, 0), (Renewal, 10)], 12, 12, 2),
            // An imported subscription may have come to the plan within a period that began before.
            (&[(Now, 0), (Renewal, 10)], 12, 3, 2),
            (&[(Now, 0), (New, 10), (Renewal, 20)], 5, 15, 1),
            (&[(Now, 0), (New, 10), (Renewal, 20)], 12, 15, 2),
            (&[(Now, 0), (New, 10), (Renewal, 20)], 12, 20, 3),
            (&[(Now, 0), (New, 10), (Now, 20)], 5, 5, 3),
        ];
        for (versions, since, period_start, expected) in table {
            let plan = plan(versions);
            let (number, features) = plan.held(at(since), at(period_start));
            assert_eq!(number, expected, "{versions:?} since {since}, period from {period_start}");
            assert_eq!(*features, grants(expected), "the grants are the version's own");
        }
    }

    #[test]
    fn a_renewal_is_waited_for_only_when_it_changes_something() {
        use Applies::{New, Now, Renewal};
        assert!(plan(&[(Now, 0), (Renewal, 10)]).waits_for_renewal(1));
        assert!(!plan(&[(Now, 0), (Renewal, 10)]).waits_for_renewal(2));
        assert!(!plan(&[(Now, 0), (New, 10)]).waits_for_renewal(1));
        assert!(plan(&[(Now, 0), (Renewal, 10), (New, 20)]).waits_for_renewal(1));
    }

    #[test]
    fn an_offer_takes_the_place_of_the_one_before() {
        let mut terms = Terms {
            name: "Pro".into(),
            description: String::new(),
            active: true,
            visible: true,
            position: 0,
            contact_sales: false,
            trial_days: 0,
            offers: Vec::new(),
            features: BTreeMap::new(),
        };
        let euro = Currency::parse("EUR").expect("a currency");
        terms.set_offer(Interval::Year, Currency::USD, Some(5));
        terms.set_offer(Interval::Month, Currency::USD, Some(1));
        terms.set_offer(Interval::Month, Currency::USD, Some(2));
        terms.set_offer(Interval::Month, euro, Some(3));
        assert_eq!(terms.offer(Interval::Month, Currency::USD), Some(2));
        assert_eq!(terms.offers.len(), 3);
        terms.set_offer(Interval::Month, Currency::USD, None);
        assert_eq!((terms.offer(Interval::Month, Currency::USD), terms.offers.len()), (None, 2));
    }

    fn rule() -> impl Strategy<Value = Applies> {
        prop_oneof![Just(Applies::Now), Just(Applies::Renewal), Just(Applies::New)]
    }

    /// Versions as they are published: the first for all, and each later than the one before.
    fn history() -> impl Strategy<Value = Vec<(Applies, i64)>> {
        proptest::collection::vec((rule(), 1_i64..20), 0..8).prop_map(|later| {
            let mut time = 0_i64;
            let mut versions = vec![(Applies::Now, 0)];
            for (applies, step) in later {
                time = time.saturating_add(step);
                versions.push((applies, time));
            }
            versions
        })
    }

    proptest! {
        #[test]
        fn the_rule_is_the_highest_version_that_holds(versions in history(), since in 0_i64..100, later in 0_i64..100) {
            let period_start = since.saturating_add(later);
            let holds = |(_, (applies, published)): &(i64, &(Applies, i64))| match applies {
                Applies::Now => true,
                Applies::Renewal => since >= *published || period_start >= *published,
                Applies::New => since >= *published,
            };
            let expected = (1_i64..).zip(&versions).filter(holds).map(|(number, _)| number).max();
            prop_assert_eq!(Some(plan(&versions).held(at(since), at(period_start)).0), expected);
        }

        #[test]
        fn time_never_brings_an_older_version(versions in history(), since in 0_i64..100, a in 0_i64..100, b in 0_i64..100) {
            let plan = plan(&versions);
            let (sooner, later) = (a.min(b), a.max(b));
            prop_assert!(plan.held(at(since), at(sooner)).0 <= plan.held(at(since), at(later)).0);
            prop_assert!(plan.held(at(sooner), at(sooner)).0 <= plan.held(at(later), at(later)).0);
        }

        #[test]
        fn what_is_older_than_a_version_for_all_holds_for_nobody(versions in history(), since in 0_i64..100, later in 0_i64..100) {
            let newest_for_all = (1_i64..).zip(&versions).filter(|(_, (a, _))| *a == Applies::Now).map(|(n, _)| n).max();
            let held = plan(&versions).held(at(since), at(since.saturating_add(later))).0;
            prop_assert!(Some(held) >= newest_for_all);
        }
    }
}
