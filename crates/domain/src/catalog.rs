//! What a tenant sells: features, plans and what each plan grants. Plain data; the rules that read it are in
//! [`crate::entitlement`] and [`crate::usage`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{FeatureKey, PlanId, TenantId};
use crate::plan::{Applies, PlanVersion};
use crate::time::{EarlierZone, Reset, Timestamp, Zone};

/// How a feature behaves (SPEC §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Counts up and starts again with each period.
    Counter,
    /// A level that goes up and down and never resets.
    Gauge,
    /// On or off.
    Flag,
    /// A prepaid balance: only what a plan or a top-up granted can be used.
    Credit,
}

/// What happens at the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitType {
    /// Refuses what does not fit.
    Hard,
    /// Allows it and flags the overage.
    Soft,
    /// Has no limit.
    Unlimited,
}

/// Something that plans grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its key, in every URL and answer.
    pub key: FeatureKey,
    /// What people read.
    pub name: Arc<str>,
    /// How it behaves.
    pub kind: FeatureKind,
    /// What one of it is (`bytes`, `prompts`), for people.
    pub unit: Option<Arc<str>>,
    /// Whether it is offered no more; plans that grant it go on.
    pub archived: bool,
}

/// Percentages of a limit at which a quota's status changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thresholds {
    /// From here `warning`.
    pub warning: u16,
    /// From here `critical`.
    pub critical: u16,
}

impl Default for Thresholds {
    /// 80 and 90 per cent (SPEC §3); 100 per cent is the limit itself.
    fn default() -> Self {
        Self { warning: 80, critical: 90 }
    }
}

/// What a plan grants of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanFeature {
    /// Whether the plan has the feature at all.
    pub enabled: bool,
    /// Units for each period; meaningless for [`LimitType::Unlimited`].
    pub limit: i64,
    /// What happens at the limit.
    pub limit_type: LimitType,
    /// When the counter starts again.
    pub reset: Reset,
    /// When the status changes.
    pub thresholds: Thresholds,
    /// Units that one customer may use for each node while the store is away; 0 refuses at once (SPEC §3.12).
    pub fail_open: i64,
    /// What a unit beyond a soft limit costs, in millionths of the tenant's currency.
    pub overage_micros: Option<i64>,
    /// Units of a period that go on to the next at most, when they were not used; none for all that is lost.
    #[serde(default)]
    pub rollover_cap: Option<i64>,
}

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Its name in URLs.
    pub slug: Arc<str>,
    /// What people read.
    pub name: Arc<str>,
    /// Grows with every published change; refusals quote it.
    pub version: i64,
    /// What people read about it.
    pub description: Arc<str>,
    /// Whether new customers may take it.
    pub active: bool,
    /// Whether it stands on the pricing page.
    pub visible: bool,
    /// Sold by talking to sales, without a public price.
    pub contact_sales: bool,
    /// Order on the pricing page.
    pub position: i64,
    /// Days without payment at the beginning; 0 for none.
    pub trial_days: i64,
    /// What it grants, in its newest version.
    pub features: BTreeMap<FeatureKey, PlanFeature>,
    /// When that version was published, in the tenant's time.
    pub published_at: Timestamp,
    /// For which subscriptions that version holds.
    pub applies: Applies,
    /// The versions before, newest first, as far as one may still hold for a subscription.
    pub earlier: Vec<PlanVersion>,
}

/// Everything of a tenant that the gate decides with: an immutable snapshot, replaced as a whole when `epoch` moves.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Grows with every admin change, in the change's own transaction (microseconds, strictly increasing).
    pub epoch: i64,
    /// Whether anything is refused at all (SPEC §3.12, unlimited mode).
    pub enforced: bool,
    /// The zone in which days, weeks and months begin.
    pub zone: Zone,
    /// Those before it, oldest first, as far back as they may matter.
    pub earlier_zones: Vec<EarlierZone>,
    /// What a sandbox tenant's clock is ahead of real time, in microseconds.
    pub clock_offset: i64,
    /// All features by key.
    pub features: BTreeMap<FeatureKey, Feature>,
    /// All plans by id.
    pub plans: BTreeMap<PlanId, Plan>,
    /// The features of which a pack of credits is on sale.
    pub topped_up: BTreeSet<FeatureKey>,
}

impl Catalog {
    /// A plan by its name in URLs.
    pub fn plan_by_slug(&self, slug: &str) -> Option<&Plan> {
        self.plans.values().find(|plan| &*plan.slug == slug)
    }

    /// The plans of the pricing page, in its order.
    pub fn public_plans(&self) -> Vec<&Plan> {
        let mut plans: Vec<_> = self.plans.values().filter(|plan| plan.active && plan.visible).collect();
        plans.sort_by(|one, other| (one.position, &one.slug).cmp(&(other.position, &other.slug)));
        plans
    }

    /// The plans of the pricing page that grant more of a feature than `limit` (or have it, when that is all that is asked),
    /// in the order of the pricing page.
    pub fn plans_with(&self, feature: &FeatureKey, more_than: Option<i64>) -> Vec<&Plan> {
        let mut plans = self.public_plans();
        plans.retain(|plan| {
            plan.features.get(feature).is_some_and(|granted| {
                granted.enabled
                    && more_than.is_none_or(|limit| granted.limit_type != LimitType::Hard || granted.limit > limit)
            })
        });
        plans
    }
}
