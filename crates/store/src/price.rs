//! Versions of prices: what is sold now, what was, and what one customer alone pays. A version never changes, it ends.

use domain::id::{CustomerId, PlanId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{On, Tx, sql};
use crate::error::Result;

/// A version of a price, with all that is known of it.
#[derive(Debug, Clone, FromRow)]
pub struct VersionRow {
    /// Its id.
    pub price_id: String,
    /// What it is for.
    pub plan_id: String,
    /// `month` or `year`.
    pub interval: String,
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount_minor: i64,
    /// Counts up within plan, interval and currency, and within a customer's own.
    pub version: i64,
    /// Whether new subscriptions pay it.
    pub active: bool,
    /// The one customer that it is for.
    pub customer_id: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When another took its place.
    pub ended_at: Option<i64>,
}

/// The public prices of all plans that are sold now.
pub async fn sold(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<VersionRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version, active, customer_id, created_at, ended_at FROM price WHERE tenant_id = $1 AND active = true AND customer_id IS NULL ORDER BY plan_id, interval, currency")
        .bind(tenant)
        .all(on)
        .await
}

/// The public prices of a plan that are sold now.
pub async fn sold_of(on: impl Into<On<'_>>, tenant: &TenantId, plan: &PlanId) -> Result<Vec<VersionRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version, active, customer_id, created_at, ended_at FROM price WHERE tenant_id = $1 AND plan_id = $2 AND active = true AND customer_id IS NULL ORDER BY interval, currency")
        .bind(tenant)
        .bind(plan)
        .all(on)
        .await
}

/// All versions of a plan's prices, newest first.
pub async fn versions(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    plan: &PlanId,
    rows_max: i64,
) -> Result<Vec<VersionRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version, active, customer_id, created_at, ended_at FROM price WHERE tenant_id = $1 AND plan_id = $2 ORDER BY created_at DESC, price_id DESC LIMIT $3")
        .bind(tenant)
        .bind(plan)
        .bind(rows_max)
        .all(on)
        .await
}

/// One version.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, price: &str) -> Result<Option<VersionRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version, active, customer_id, created_at, ended_at FROM price WHERE tenant_id = $1 AND price_id = $2")
        .bind(tenant)
        .bind(price)
        .find(on)
        .await
}

/// The version that a plan is sold at in an interval and a currency: to everybody, or to one customer.
pub async fn current(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    plan: &PlanId,
    (interval, currency): (&str, &str),
    customer: Option<&CustomerId>,
) -> Result<Option<VersionRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version, active, customer_id, created_at, ended_at FROM price WHERE tenant_id = $1 AND plan_id = $2 AND interval = $3 AND currency = $4 AND active = true AND COALESCE(customer_id, '') = $5")
        .bind(tenant)
        .bind(plan)
        .bind(interval)
        .bind(currency)
        .bind(customer.map_or("", CustomerId::as_str))
        .find(on)
        .await
}

/// The number of the newest version of a price, also of one that is not sold any more; 0 before the first.
pub async fn newest(
    tx: &mut Tx,
    tenant: &TenantId,
    plan: &PlanId,
    (interval, currency): (&str, &str),
    customer: Option<&CustomerId>,
) -> Result<i64> {
    let row: Option<(i64,)> = sql!("SELECT COALESCE(MAX(version), 0) FROM price WHERE tenant_id = $1 AND plan_id = $2 AND interval = $3 AND currency = $4 AND COALESCE(customer_id, '') = $5")
        .bind(tenant)
        .bind(plan)
        .bind(interval)
        .bind(currency)
        .bind(customer.map_or("", CustomerId::as_str))
        .find(tx)
        .await?;
    Ok(row.map_or(0, |(version,)| version))
}

/// Adds a version.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &VersionRow) -> Result<()> {
    sql!("INSERT INTO price (tenant_id, price_id, plan_id, interval, currency, amount_minor, version, active, customer_id, created_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(tenant)
        .bind(&row.price_id)
        .bind(&row.plan_id)
        .bind(&row.interval)
        .bind(&row.currency)
        .bind(row.amount_minor)
        .bind(row.version)
        .bind(row.active)
        .bind(row.customer_id.clone())
        .bind(row.created_at)
        .bind(row.ended_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Ends a version: nobody new pays it, and who does goes on.
pub async fn end(tx: &mut Tx, tenant: &TenantId, price: &str, now: Timestamp) -> Result<()> {
    sql!("UPDATE price SET active = false, ended_at = $3 WHERE tenant_id = $1 AND price_id = $2")
        .bind(tenant)
        .bind(price)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}
