//! What a draft would do, told from real use: who would be blocked, who gains, and what it is worth.

use std::collections::BTreeMap;

use domain::catalog::{FeatureKind, LimitType, PlanFeature};
use domain::id::FeatureKey;
use domain::money::{Currency, Money};
use domain::plan::Terms;
use domain::revenue::Interval;
use store::impact::{PaidRow, UsedRow};

use super::draft;
use crate::cx::Cx;
use crate::error::{Error, Result};

/// Subscribers whose use is looked at: the newest, so that the work is bounded.
const SUBSCRIBERS_MAX: i64 = 50_000;
/// Customers that are named as examples.
const SAMPLE_ROWS_MAX: usize = 10;
/// How far back use counts: three months of at most 31 days.
const LOOK_BACK_SECONDS: i64 = 93 * 86_400;
const MONTHS: i64 = 12;

/// What a draft would do.
#[derive(Debug)]
pub struct Impact {
    /// Current subscriptions of the plan.
    pub subscribers: i64,
    /// Of how many of them use was looked at.
    pub examined: i64,
    /// Each feature whose grant changes.
    pub features: Vec<FeatureImpact>,
    /// Recurring revenue of the plan, by currency.
    pub revenue: Vec<RevenueImpact>,
}

/// What it would do to one feature.
#[derive(Debug)]
pub struct FeatureImpact {
    /// Which.
    pub feature: FeatureKey,
    /// What the plan grants now.
    pub before: Option<PlanFeature>,
    /// What it would grant.
    pub after: Option<PlanFeature>,
    /// Subscribers who used it in the last months.
    pub users: i64,
    /// Those whose greatest period would not have fitted, and did before.
    pub blocked: i64,
    /// Those who were at their limit and get more, or had none of it and get it.
    pub gaining: i64,
    /// Some of those who would be blocked, the greatest use first.
    pub sample: Vec<UsedRow>,
}

/// What it would bring if everybody paid the new public price. What customers pay by a price of their own stays.
#[derive(Debug)]
pub struct RevenueImpact {
    /// In the month, now.
    pub before: Money,
    /// In the month, then.
    pub after: Money,
    /// The difference.
    pub delta: Money,
}

/// What the draft of a plan would do.
pub async fn of_draft(cx: &Cx, slug: &str) -> Result<Impact> {
    let (sold, terms) = draft::previewed(cx, slug).await?;
    let (db, tenant, plan) = (&cx.app.db, cx.tenant.id(), sold.row.id());
    let since = cx.tenant_now().plus_seconds(-LOOK_BACK_SECONDS);
    let mut features = Vec::new();
    let keys = sold.terms.features.keys().chain(terms.features.keys());
    let keys: std::collections::BTreeSet<_> = keys.collect();
    for key in keys {
        let (before, after) = (sold.terms.features.get(key), terms.features.get(key));
        if before == after {
            continue;
        }
        let used = store::impact::used(db, tenant, (&plan, key), since, SUBSCRIBERS_MAX).await?;
        let flag = cx.tenant.catalog.features.get(key).is_some_and(|feature| feature.kind == FeatureKind::Flag);
        features.push(feature_impact((key, flag), (before, after), used, sold.subscribers));
    }
    let paid = store::impact::paid(db, tenant, &plan, cx.tenant_now()).await?;
    let examined = sold.subscribers.min(SUBSCRIBERS_MAX);
    Ok(Impact { subscribers: sold.subscribers, examined, features, revenue: revenue_impact(&paid, &terms)? })
}

/// What a grant lets through in one period: none is everything.
fn ceiling(granted: Option<&PlanFeature>) -> Option<i64> {
    match granted.filter(|granted| granted.enabled) {
        None => Some(0),
        Some(granted) => (granted.limit_type == LimitType::Hard).then_some(granted.limit),
    }
}

fn feature_impact(
    (key, flag): (&FeatureKey, bool),
    (before, after): (Option<&PlanFeature>, Option<&PlanFeature>),
    used: Vec<UsedRow>,
    subscribers: i64,
) -> FeatureImpact {
    let (old, new) = (ceiling(before), ceiling(after));
    let fits = |limit: Option<i64>, used: i64| limit.is_none_or(|limit| used <= limit);
    let gains = |used: i64| old.is_some_and(|old| used >= old && new.is_none_or(|new| new > old));
    let users = used.len();
    let has = |granted: Option<&PlanFeature>| granted.is_some_and(|granted| granted.enabled);
    // Nobody can have used what the plan did not have, and a flag is not counted.
    let gaining = if has(after) && !has(before) {
        subscribers
    } else {
        count(used.iter().filter(|row| !flag && gains(row.used)).count())
    };
    let mut sample: Vec<_> = used.into_iter().filter(|row| !fits(new, row.used) && fits(old, row.used)).collect();
    sample.sort_by(|one, other| (other.used, &one.customer_id).cmp(&(one.used, &other.customer_id)));
    let blocked = if flag && has(before) && !has(after) { subscribers } else { count(sample.len()) };
    sample.truncate(SAMPLE_ROWS_MAX);
    FeatureImpact {
        feature: key.clone(),
        before: before.cloned(),
        after: after.cloned(),
        users: count(users),
        blocked,
        gaining,
        sample,
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Sums of a year in minor units, before and after, each divided once.
fn revenue_impact(paid: &[PaidRow], terms: &Terms) -> Result<Vec<RevenueImpact>> {
    let mut sums: BTreeMap<Currency, (i64, i64)> = BTreeMap::new();
    for row in paid {
        let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
        let interval = Interval::parse(&row.interval).ok_or_else(|| Error::internal("an interval without a name"))?;
        let own = row.of_customer > 0;
        let then = terms.offer(interval, currency).filter(|_| !own).unwrap_or(row.amount_minor);
        let yearly = |minor: i64| {
            let annual = interval.annual(Money::new(minor, currency))?;
            annual.checked_mul(row.subscriptions)
        };
        let sum = sums.entry(currency).or_default();
        let added = yearly(row.amount_minor)
            .zip(yearly(then))
            .and_then(|(before, after)| Some((sum.0.checked_add(before)?, sum.1.checked_add(after)?)));
        *sum = added.ok_or_else(|| Error::internal("revenue beyond all bounds"))?;
    }
    let monthly = |annual: i64| annual.div_euclid(MONTHS);
    let impact = |(currency, (before, after)): (Currency, (i64, i64))| {
        let (before, after) = (monthly(before), monthly(after));
        RevenueImpact {
            before: Money::new(before, currency),
            after: Money::new(after, currency),
            delta: Money::new(after - before, currency),
        }
    };
    Ok(sums.into_iter().map(impact).collect())
}

#[cfg(test)]
mod tests {
    use domain::catalog::Thresholds;
    use domain::plan::Offer;
    use domain::time::Reset;

    use super::*;

    fn granted(limit: i64) -> PlanFeature {
        PlanFeature {
            enabled: true,
            limit,
            limit_type: LimitType::Hard,
            reset: Reset::BillingMonth,
            thresholds: Thresholds::default(),
            fail_open: 0,
            overage_micros: None,
            rollover_cap: None,
        }
    }

    fn used(all: &[i64]) -> Vec<UsedRow> {
        let row = |(number, used): (usize, &i64)| UsedRow { customer_id: format!("cus_{number}"), used: *used };
        all.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_lower_limit_blocks_who_used_more_and_a_higher_one_helps_who_used_all() {
        let key = FeatureKey::stored("calls");
        let of = |before: Option<i64>, after: Option<i64>| {
            let (before, after) = (before.map(granted), after.map(granted));
            let all = used(&[10, 50, 100, 120]);
            let impact = feature_impact((&key, false), (before.as_ref(), after.as_ref()), all, 7);
            (impact.users, impact.blocked, impact.gaining, impact.sample.first().map(|row| row.used))
        };
        assert_eq!(of(Some(100), Some(50)), (4, 1, 0, Some(100)), "120 was over before, too");
        assert_eq!(of(Some(100), Some(49)), (4, 2, 0, Some(100)));
        assert_eq!(of(Some(100), Some(200)), (4, 0, 2, None));
        assert_eq!(of(None, Some(5)), (4, 0, 7, None), "everybody gets it");
        assert_eq!(of(Some(1_000), None), (4, 4, 0, Some(120)));
    }

    #[test]
    fn revenue_is_summed_over_a_year_and_divided_once() {
        let row = |interval: &str, amount_minor, of_customer, subscriptions| PaidRow {
            interval: interval.into(),
            currency: "USD".into(),
            amount_minor,
            of_customer,
            subscriptions,
        };
        let terms = Terms {
            name: String::new(),
            description: String::new(),
            active: true,
            visible: true,
            position: 0,
            contact_sales: false,
            trial_days: 0,
            offers: vec![Offer { interval: Interval::Month, currency: Currency::USD, minor: 34_900 }],
            features: BTreeMap::new(),
        };
        let paid = [row("month", 29_900, 0, 245), row("month", 300_000, 1, 12), row("year", 100, 0, 7)];
        let impact = revenue_impact(&paid, &terms).expect("it is right");
        let minor = |money: Money| money.minor;
        assert_eq!(impact.len(), 1);
        assert_eq!(minor(impact[0].before), 245 * 29_900 + 12 * 300_000 + 58);
        assert_eq!(minor(impact[0].delta), 245 * 5_000);
    }
}
