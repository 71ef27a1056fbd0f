//! What a customer may use now: plan feature, plus the customer's override, plus top-ups.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Feature, FeatureKind, LimitType, PlanFeature, Thresholds};
use crate::id::{CustomerId, FeatureKey, GrantId, PlanId, PriceId, SubscriptionId};
use crate::planted::{Bug, planted};
use crate::revenue::Interval;
use crate::time::{Period, Reset, TimeError, Timestamp, Zone, months_at, period_through};

/// Where a subscription stands (SPEC §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// Waits for the buyer's approval.
    Pending,
    /// In its trial.
    Trialing,
    /// Paid for.
    Active,
    /// A payment failed; the grace runs.
    PastDue,
    /// Stopped by the customer or an admin.
    Paused,
    /// Ended, but may be usable until `access_until`.
    Canceled,
    /// Over.
    Expired,
}

/// A customer's subscription, as far as the gate needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// The plan.
    pub plan: PlanId,
    /// The price version that it pays; none for a plan without price.
    pub price: Option<PriceId>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Until when a canceled or overdue one may still be used.
    pub access_until: Option<Timestamp>,
    /// Since when it is on its plan.
    pub plan_since: Timestamp,
    /// Where its billing periods are counted from.
    pub anchor: Timestamp,
    /// The billing period that was noted last.
    pub period: Period,
    /// How often it is paid; none without a price.
    pub interval: Option<Interval>,
}

impl Subscription {
    /// The billing period that runs at `now`: a renewal takes place at its instant, even when nobody has noted it yet.
    /// It is counted from the stored anchor, so that a day that a short month does not have returns (RELIABILITY §0.6).
    pub fn period_at(&self, zone: &Zone, now: Timestamp) -> Result<Period, TimeError> {
        if self.period.end.is_none_or(|end| now < end) {
            return Ok(self.period);
        }
        let since = self.period.end.unwrap_or(self.period.start);
        months_at(self.interval.unwrap_or(Interval::Month).months(), (self.anchor, since), zone, now)
    }

    /// Whether it lets its customer in (SPEC §13: trialing, active, past due within grace, canceled before its end).
    pub fn is_live(&self, now: Timestamp) -> bool {
        match self.status {
            SubscriptionStatus::Trialing | SubscriptionStatus::Active => true,
            SubscriptionStatus::PastDue | SubscriptionStatus::Canceled => {
                self.access_until.is_some_and(|until| now < until) || planted(Bug::AccessNeverEnds)
            }
            SubscriptionStatus::Paused => planted(Bug::PausedMayUse),
            SubscriptionStatus::Pending | SubscriptionStatus::Expired => false,
        }
    }
}

/// A limit that an admin gave one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What it is about.
    pub feature: FeatureKey,
    /// The limit in place of the plan's; `None` is unlimited.
    pub limit: Option<i64>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// A pack of credits: bought (top-up) or given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id, which is also the source in its counter's key.
    pub id: GrantId,
    /// What it adds to.
    pub feature: FeatureKey,
    /// Units granted, once.
    pub amount: i64,
    /// When what is left of it is lost.
    pub expires_at: Option<Timestamp>,
}

/// All of one customer that decides what they may use: an immutable snapshot, replaced when `version` moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The customer.
    pub id: CustomerId,
    /// Grows with every change of anything here, in the change's own transaction.
    pub version: i64,
    /// Where their monthly periods are counted from; outlives plan changes and re-subscription.
    pub anchor: Timestamp,
    /// Stopped by an admin.
    pub suspended: bool,
    /// The one subscription that counts, if any.
    pub subscription: Option<Subscription>,
    /// Limits of their own.
    pub overrides: Vec<Override>,
    /// Credits, soonest to expire first.
    pub grants: Vec<Grant>,
}

/// Where units are drawn from. The text form is part of a counter's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The plan's own quota.
    Plan,
    /// A pack of credits.
    Grant(GrantId),
}

impl Source {
    /// The source as the database holds it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plan => "plan",
            Self::Grant(id) => id.as_str(),
        }
    }

    /// Reads what the database holds.
    pub fn stored(text: &str) -> Self {
        if text == "plan" { Self::Plan } else { Self::Grant(GrantId::stored(text)) }
    }
}

/// The name of one counter of a customer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    /// What is counted.
    pub feature: FeatureKey,
    /// What it draws from.
    pub source: Source,
    /// The start of its period; [`Timestamp::EPOCH`] for what never resets.
    pub period_start: Timestamp,
}

impl CounterKey {
    /// The plan's own counter of a feature in a period.
    pub fn plan(feature: &FeatureKey, period: Period) -> Self {
        Self { feature: feature.clone(), source: Source::Plan, period_start: period.start }
    }

    /// The counter of a pack of credits, which counts for the pack's whole life.
    pub fn grant(feature: &FeatureKey, grant: &GrantId) -> Self {
        Self { feature: feature.clone(), source: Source::Grant(grant.clone()), period_start: Timestamp::EPOCH }
    }
}

/// Why a customer may not use a feature at all, before any number is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Barred {
    /// The tenant has no such feature.
    UnknownFeature,
    /// No live subscription.
    NoSubscription,
    /// An admin stopped the customer.
    Suspended,
    /// The plan does not grant it.
    NotInPlan,
    /// The period could not be computed.
    Calendar(TimeError),
}

/// What a customer may use of one feature in the running period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// The feature.
    pub feature: FeatureKey,
    /// Its kind.
    pub kind: FeatureKind,
    /// Plan limit with override; `None` is unlimited.
    pub limit: Option<i64>,
    /// What happens at the limit.
    pub limit_type: LimitType,
    /// The running period.
    pub period: Period,
    /// When the status changes.
    pub thresholds: Thresholds,
    /// The plan's own counter for that period.
    pub plan_key: CounterKey,
    /// Credits that may be used now, soonest to expire first: their counters and the units granted.
    pub grants: Vec<(CounterKey, i64)>,
    /// From this instant on the entitlement must be resolved anew.
    pub valid_until: Option<Timestamp>,
    /// Units that may be used while the store is away, recorded afterwards.
    pub fail_open: i64,
    /// Version of the config behind it: the newer of catalog and customer.
    pub version: i64,
    /// Where the limit comes from, for the explanation of a refusal.
    pub origin: Origin,
}

/// Where a limit comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The plan's name in URLs; none when the tenant does not enforce.
    pub plan: Option<Arc<str>>,
    /// The plan's version.
    pub plan_version: i64,
    /// The plan's own limit.
    pub plan_limit: Option<i64>,
    /// Whether a customer override replaced it.
    pub overridden: bool,
}

impl Entitlement {
    /// The keys of every counter that a decision about this entitlement reads.
    pub fn counter_keys(&self) -> impl Iterator<Item = &CounterKey> {
        std::iter::once(&self.plan_key).chain(self.grants.iter().map(|(key, _)| key))
    }

    /// The same entitlement, counted in the period in which a reservation began.
    #[must_use]
    pub fn in_period(mut self, period: Period) -> Self {
        self.period = period;
        self.plan_key.period_start = period.start;
        self
    }
}

/// What a customer may use of a feature at `now`, or why not. The order of the reasons is SPEC §13's.
pub fn resolve(
    catalog: &Catalog,
    customer: &Customer,
    key: &FeatureKey,
    now: Timestamp,
) -> Result<Entitlement, Barred> {
    let feature = catalog.features.get(key).ok_or(Barred::UnknownFeature)?;
    if catalog.enforced {
        return enforced(catalog, customer, feature, now);
    }
    // What is used meanwhile counts where it would count with enforcement.
    match enforced(catalog, customer, feature, now) {
        Ok(entitlement) => Ok(Entitlement {
            limit: None,
            limit_type: LimitType::Unlimited,
            fail_open: i64::MAX,
            origin: Origin::default(),
            ..entitlement
        }),
        Err(Barred::Calendar(cause)) => Err(Barred::Calendar(cause)),
        Err(_) => unlimited(catalog, customer, feature, now),
    }
}

fn enforced(catalog: &Catalog, customer: &Customer, feature: &Feature, now: Timestamp) -> Result<Entitlement, Barred> {
    if customer.suspended {
        return Err(Barred::Suspended);
    }
    let subscription = customer.subscription.as_ref().filter(|s| s.is_live(now)).ok_or(Barred::NoSubscription)?;
    let plan = catalog.plans.get(&subscription.plan).ok_or(Barred::NoSubscription)?;
    let billed = subscription.period_at(&catalog.zone, now).map_err(Barred::Calendar)?;
    let (version, features) = plan.held(subscription.plan_since, billed.start);
    let of_plan = features.get(&feature.key).filter(|granted| granted.enabled);
    let beside =
        (of_plan.is_none() && has_own(customer, feature, now)).then_some(PlanFeature { enabled: true, ..NOTHING });
    let granted = of_plan.or(beside.as_ref()).ok_or(Barred::NotInPlan)?;
    let origin = Origin {
        plan: Some(plan.slug.clone()),
        plan_version: version,
        plan_limit: of_plan.map_or(Some(0), |granted| plan_limit(feature, granted)),
        overridden: false,
    };
    let mut entitlement = entitle(catalog, customer, feature, granted, origin, now)?;
    if plan.waits_for_renewal(version) {
        entitlement.valid_until = [entitlement.valid_until, billed.end].into_iter().flatten().min();
    }
    Ok(entitlement)
}

/// The entitlement that a settlement falls back to when the customer lost the feature meanwhile: nothing is granted,
/// but everything that was used is still recorded.
pub fn resolve_or_nothing(catalog: &Catalog, customer: &Customer, key: &FeatureKey, now: Timestamp) -> Entitlement {
    resolve(catalog, customer, key, now).unwrap_or_else(|_| Entitlement {
        feature: key.clone(),
        kind: catalog.features.get(key).map_or(FeatureKind::Counter, |feature| feature.kind),
        limit: Some(0),
        limit_type: LimitType::Hard,
        period: Period::FOREVER,
        thresholds: Thresholds::default(),
        plan_key: CounterKey::plan(key, Period::FOREVER),
        grants: Vec::new(),
        valid_until: Some(now),
        fail_open: 0,
        version: catalog.epoch.max(customer.version),
        origin: Origin::default(),
    })
}

/// What a plan grants of a feature that it does not have.
const NOTHING: PlanFeature = PlanFeature {
    enabled: false,
    limit: 0,
    limit_type: LimitType::Hard,
    reset: Reset::BillingMonth,
    thresholds: Thresholds { warning: 80, critical: 90 },
    fail_open: 0,
    overage_micros: None,
    rollover_cap: None,
};

/// Whether a customer has something of a feature beside the plan: a limit of its own, or credits.
fn has_own(customer: &Customer, feature: &Feature, now: Timestamp) -> bool {
    let live = |until: Option<Timestamp>| until.is_none_or(|until| now < until);
    let credits = |grant: &Grant| grant.feature == feature.key && live(grant.expires_at);
    customer.overrides.iter().any(|own| own.feature == feature.key && live(own.until))
        || (feature.kind != FeatureKind::Flag && customer.grants.iter().any(credits))
}

fn plan_limit(feature: &Feature, granted: &PlanFeature) -> Option<i64> {
    let unlimited = granted.limit_type == LimitType::Unlimited || feature.kind == FeatureKind::Flag;
    if unlimited { None } else { Some(granted.limit) }
}

fn unlimited(catalog: &Catalog, customer: &Customer, feature: &Feature, now: Timestamp) -> Result<Entitlement, Barred> {
    let granted = PlanFeature {
        enabled: true,
        limit_type: LimitType::Unlimited,
        reset: Reset::CalendarMonth,
        fail_open: i64::MAX,
        ..NOTHING
    };
    entitle(catalog, customer, feature, &granted, Origin::default(), now)
}

fn entitle(
    catalog: &Catalog,
    customer: &Customer,
    feature: &Feature,
    granted: &PlanFeature,
    mut origin: Origin,
    now: Timestamp,
) -> Result<Entitlement, Barred> {
    let never = matches!(feature.kind, FeatureKind::Gauge | FeatureKind::Flag);
    let reset = if never { Reset::Never } else { granted.reset };
    let zones = (&catalog.zone, &catalog.earlier_zones[..]);
    let mut period = period_through(reset, customer.anchor, zones, now).map_err(Barred::Calendar)?;
    if let Some(own) = customer.subscription.as_ref().filter(|_| planted(Bug::UsageLostOnChange) && !never) {
        period.start = period.start.max(own.plan_since);
    }
    let mut limit = plan_limit(feature, granted);
    let live = |until: Option<Timestamp>| until.is_none_or(|until| now < until);
    let own = customer.overrides.iter().find(|o| o.feature == feature.key && live(o.until));
    if let Some(own) = own {
        limit = own.limit;
        origin.overridden = true;
    }
    let grants: Vec<_> = customer.grants.iter().filter(|g| g.feature == feature.key && live(g.expires_at)).collect();
    let ends = [period.end, own.and_then(|o| o.until)].into_iter().flatten();
    let valid_until = ends.chain(grants.iter().filter_map(|g| g.expires_at)).min();
    Ok(Entitlement {
        feature: feature.key.clone(),
        kind: feature.kind,
        limit,
        limit_type: if limit.is_none() { LimitType::Unlimited } else { granted.limit_type },
        period,
        thresholds: granted.thresholds,
        plan_key: CounterKey::plan(&feature.key, period),
        grants: grants.iter().map(|g| (CounterKey::grant(&feature.key, &g.id), g.amount)).collect(),
        valid_until: access_end(customer, valid_until),
        fail_open: granted.fail_open,
        version: catalog.epoch.max(customer.version),
        origin,
    })
}

/// A subscription that ends at an instant ends its entitlements with it.
fn access_end(customer: &Customer, valid_until: Option<Timestamp>) -> Option<Timestamp> {
    let access = customer.subscription.as_ref().and_then(|s| s.access_until);
    [valid_until, access].into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
