//! What subscribers of a plan used and pay, to tell what a change would do to them.

use domain::id::{FeatureKey, PlanId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, sql};
use crate::error::Result;

/// The greatest use of one customer in any one period.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UsedRow {
    /// Who.
    pub customer_id: String,
    /// Units of the plan's own quota.
    pub used: i64,
}

/// The greatest use of a feature in one period since an instant, of at most so many subscribers of a plan, the newest
/// first. What never resets counts whenever it began. On SQLite the last moment may be missing, since counters are
/// written behind.
pub async fn used(
    db: &Db,
    tenant: &TenantId,
    (plan, feature): (&PlanId, &FeatureKey),
    since: Timestamp,
    subscribers_max: i64,
) -> Result<Vec<UsedRow>> {
    sql!("SELECT c.customer_id, MAX(c.used) AS used FROM (SELECT customer_id FROM subscription WHERE tenant_id = $1 AND plan_id = $2 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') ORDER BY subscription_id DESC LIMIT $5) s JOIN counter c ON c.tenant_id = $1 AND c.customer_id = s.customer_id AND c.feature = $3 AND c.source = 'plan' WHERE c.used > 0 AND (c.period_start >= $4 OR c.period_start = 0) GROUP BY c.customer_id")
        .bind(tenant)
        .bind(plan)
        .bind(feature)
        .bind(since)
        .bind(subscribers_max)
        .all(db)
        .await
}

/// How many subscriptions pay one price.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct PaidRow {
    /// `month` or `year`.
    pub interval: String,
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount_minor: i64,
    /// 1 when the price is one customer's own, else 0.
    pub of_customer: i64,
    /// How many.
    pub subscriptions: i64,
}

/// What the subscriptions of a plan pay that count as recurring revenue at `now`.
pub async fn paid(db: &Db, tenant: &TenantId, plan: &PlanId, now: Timestamp) -> Result<Vec<PaidRow>> {
    sql!("SELECT p.interval, p.currency, p.amount_minor, CAST(CASE WHEN p.customer_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS of_customer, COUNT(*) AS subscriptions FROM subscription s JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND s.plan_id = $2 AND (s.status IN ('active', 'past_due') OR (s.status = 'canceled' AND s.access_until > $3)) GROUP BY p.interval, p.currency, p.amount_minor, CASE WHEN p.customer_id IS NULL THEN 0 ELSE 1 END")
        .bind(tenant)
        .bind(plan)
        .bind(now)
        .all(db)
        .await
}
