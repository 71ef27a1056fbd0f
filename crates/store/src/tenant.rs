//! Tenants: one row each, whose `epoch` moves with every change that a decision could depend on.

use domain::id::TenantId;
use domain::time::{EarlierZone, Timestamp, Zone};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::{Error, Result};
use crate::list::Wanted;

/// A tenant's own row.
#[derive(Debug, Clone, FromRow)]
pub struct TenantRow {
    /// Its id.
    pub tenant_id: String,
    /// Its name in URLs and `X-Tenant`.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// `sandbox` or `live`.
    pub mode: String,
    /// ISO 4217.
    pub currency: String,
    /// IANA.
    pub timezone: String,
    /// Whether the gate refuses anything.
    pub enforced: bool,
    /// Microseconds that a sandbox clock is ahead.
    pub clock_offset: i64,
    /// The plan of a new customer.
    pub default_plan_id: Option<String>,
    /// Brand, as JSON.
    pub brand: String,
    /// Moves with every change.
    pub epoch: i64,
    /// When it was made.
    pub created_at: i64,
    /// How it is set up, as JSON.
    pub settings: String,
    /// Grows with every change of the row that an admin makes.
    pub revision: i64,
    /// Stopped by the operator.
    pub suspended: bool,
}

/// A zone that was the tenant's, as its settings keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptZone {
    /// IANA.
    pub zone: String,
    /// Until when, in the tenant's time.
    pub until: Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Zones {
    earlier_zones: Vec<KeptZone>,
}

impl TenantRow {
    /// The id as a type.
    pub fn id(&self) -> TenantId {
        TenantId::stored(self.tenant_id.as_str())
    }

    /// The zones before the present one, oldest first.
    pub fn earlier_zones(&self) -> Result<Vec<EarlierZone>> {
        let broken = |why: String| Error::Broken { table: "tenant", id: self.tenant_id.clone(), why };
        let kept: Zones = serde_json::from_str(&self.settings).map_err(|error| broken(error.to_string()))?;
        let read = |kept: KeptZone| {
            let zone = Zone::parse(&kept.zone).map_err(|error| broken(error.to_string()))?;
            Ok(EarlierZone { zone, until: kept.until })
        };
        kept.earlier_zones.into_iter().map(read).collect()
    }
}

/// A tenant as who runs the platform sees it.
#[derive(Debug, Clone, FromRow)]
pub struct OperatedRow {
    /// Its id.
    pub tenant_id: String,
    /// Its name in URLs and `X-Tenant`.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// `sandbox` or `live`.
    pub mode: String,
    /// ISO 4217.
    pub currency: String,
    /// IANA.
    pub timezone: String,
    /// When it was made.
    pub created_at: i64,
    /// Grows with every change of the row.
    pub revision: i64,
    /// Whether nobody can use it.
    pub suspended: bool,
    /// Since when.
    pub suspended_at: Option<i64>,
    /// Why, as the operator said.
    pub suspended_reason: Option<String>,
}

impl OperatedRow {
    /// The id as a type.
    pub fn id(&self) -> TenantId {
        TenantId::stored(self.tenant_id.as_str())
    }
}

/// How much there is in a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct Extent {
    /// Customers.
    pub customers: i64,
    /// People with an account.
    pub users: i64,
    /// Plans that are sold.
    pub plans: i64,
    /// The hour of the last recorded use.
    pub last_used_at: Option<i64>,
}

/// All tenants, oldest first.
pub async fn list(db: &Db) -> Result<Vec<TenantRow>> {
    sql!("SELECT tenant_id, slug, name, mode, currency, timezone, enforced, clock_offset, default_plan_id, brand, epoch, created_at, settings, revision, suspended FROM tenant ORDER BY created_at, tenant_id")
        .all(db)
        .await
}

/// One tenant.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Option<TenantRow>> {
    sql!("SELECT tenant_id, slug, name, mode, currency, timezone, enforced, clock_offset, default_plan_id, brand, epoch, created_at, settings, revision, suspended FROM tenant WHERE tenant_id = $1")
        .bind(tenant)
        .find(on)
        .await
}

/// A tenant by its name in URLs.
pub async fn find_by_slug(db: &Db, slug: &str) -> Result<Option<TenantRow>> {
    sql!("SELECT tenant_id, slug, name, mode, currency, timezone, enforced, clock_offset, default_plan_id, brand, epoch, created_at, settings, revision, suspended FROM tenant WHERE slug = $1")
        .bind(slug)
        .find(db)
        .await
}

/// Makes a tenant.
pub async fn insert(tx: &mut Tx, row: &TenantRow) -> Result<()> {
    sql!("INSERT INTO tenant (tenant_id, slug, name, mode, currency, timezone, enforced, clock_offset, default_plan_id, brand, epoch, outbox_seq, created_at, settings) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13)")
        .bind(&row.tenant_id)
        .bind(&row.slug)
        .bind(&row.name)
        .bind(&row.mode)
        .bind(&row.currency)
        .bind(&row.timezone)
        .bind(row.enforced)
        .bind(row.clock_offset)
        .bind(row.default_plan_id.clone())
        .bind(&row.brand)
        .bind(row.epoch)
        .bind(row.created_at)
        .bind(&row.settings)
        .execute(tx)
        .await
        .map(|_| ())
}

/// One tenant, for who changes it: one at a time.
pub async fn lock(tx: &mut Tx, tenant: &TenantId) -> Result<Option<TenantRow>> {
    sql!("SELECT tenant_id, slug, name, mode, currency, timezone, enforced, clock_offset, default_plan_id, brand, epoch, created_at, settings, revision, suspended FROM tenant WHERE tenant_id = $1 {lock}")
        .bind(tenant)
        .find(tx)
        .await
}

/// Writes what an admin may change of a tenant.
pub async fn update(tx: &mut Tx, tenant: &TenantId, row: &TenantRow) -> Result<()> {
    sql!("UPDATE tenant SET name = $2, currency = $3, timezone = $4, enforced = $5, default_plan_id = $6, brand = $7, settings = $8, revision = revision + 1 WHERE tenant_id = $1")
        .bind(tenant)
        .bind(&row.name)
        .bind(&row.currency)
        .bind(&row.timezone)
        .bind(row.enforced)
        .bind(row.default_plan_id.clone())
        .bind(&row.brand)
        .bind(&row.settings)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A currency other than this one in which the tenant has prices, if there is any.
pub async fn other_currency(tx: &mut Tx, tenant: &TenantId, currency: &str) -> Result<Option<String>> {
    let row: Option<(String,)> =
        sql!("SELECT currency FROM price WHERE tenant_id = $1 AND currency <> $2 ORDER BY currency LIMIT 1")
            .bind(tenant)
            .bind(currency)
            .find(tx)
            .await?;
    Ok(row.map(|(currency,)| currency))
}

/// Sets the plan that a new customer gets.
pub async fn set_default_plan(tx: &mut Tx, tenant: &TenantId, plan: Option<&str>) -> Result<()> {
    sql!("UPDATE tenant SET default_plan_id = $2 WHERE tenant_id = $1")
        .bind(tenant)
        .bind(plan)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Moves the epoch, so that every decision from the commit on is made with what this transaction wrote.
pub async fn bump_epoch(tx: &mut Tx, tenant: &TenantId, now: Timestamp) -> Result<()> {
    sql!("UPDATE tenant SET epoch = CASE WHEN epoch >= $2 THEN epoch + 1 ELSE $2 END WHERE tenant_id = $1")
        .bind(tenant)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Tenants but the reserved one, by `createdAt`, `slug` or `name`; `search` looks into slugs and names. An empty mode is
/// any.
pub async fn page(
    db: &Db,
    reserved: &TenantId,
    (mode, suspended): (&str, Option<bool>),
    wanted: &Wanted,
) -> Result<Vec<OperatedRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT tenant_id, slug, name, mode, currency, timezone, created_at, revision, suspended, suspended_at, suspended_reason FROM tenant WHERE tenant_id <> $1 AND ($2 = '' OR mode = $2) AND ($3 OR suspended = $4) AND (slug LIKE $5 ESCAPE '!' OR LOWER(name) LIKE $5 ESCAPE '!') AND ($6 OR (CASE WHEN $7 THEN slug WHEN $8 THEN name ELSE '' END, tenant_id) < ($9, $10)) ORDER BY CASE WHEN $7 THEN slug WHEN $8 THEN name ELSE '' END DESC, tenant_id DESC LIMIT $11"
        )
    } else {
        sql!(
            "SELECT tenant_id, slug, name, mode, currency, timezone, created_at, revision, suspended, suspended_at, suspended_reason FROM tenant WHERE tenant_id <> $1 AND ($2 = '' OR mode = $2) AND ($3 OR suspended = $4) AND (slug LIKE $5 ESCAPE '!' OR LOWER(name) LIKE $5 ESCAPE '!') AND ($6 OR (CASE WHEN $7 THEN slug WHEN $8 THEN name ELSE '' END, tenant_id) > ($9, $10)) ORDER BY CASE WHEN $7 THEN slug WHEN $8 THEN name ELSE '' END, tenant_id LIMIT $11"
        )
    };
    let after = wanted.after.clone().unwrap_or_default();
    query
        .bind(reserved)
        .bind(mode)
        .bind(suspended.is_none())
        .bind(suspended.unwrap_or_default())
        .bind(wanted.pattern())
        .bind(wanted.after.is_none())
        .bind(wanted.sort == "slug")
        .bind(wanted.sort == "name")
        .bind(after.value)
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// One tenant as who runs the platform sees it.
pub async fn operated(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Option<OperatedRow>> {
    sql!("SELECT tenant_id, slug, name, mode, currency, timezone, created_at, revision, suspended, suspended_at, suspended_reason FROM tenant WHERE tenant_id = $1")
        .bind(tenant)
        .find(on)
        .await
}

/// How much there is in a tenant now.
pub async fn extent(db: &Db, tenant: &TenantId) -> Result<Extent> {
    let row = sql!("SELECT (SELECT COUNT(*) FROM customer WHERE tenant_id = $1) AS customers, (SELECT COUNT(*) FROM user_account WHERE tenant_id = $1) AS users, (SELECT COUNT(*) FROM plan WHERE tenant_id = $1 AND active) AS plans, (SELECT MAX(hour) FROM usage_hour WHERE tenant_id = $1) AS last_used_at")
        .bind(tenant)
        .find(db)
        .await?;
    Ok(row.unwrap_or_default())
}

/// Writes what the operator may change of a tenant.
pub async fn operate(tx: &mut Tx, tenant: &TenantId, row: &OperatedRow) -> Result<()> {
    sql!("UPDATE tenant SET name = $2, suspended = $3, suspended_at = $4, suspended_reason = $5, revision = revision + 1 WHERE tenant_id = $1")
        .bind(tenant)
        .bind(&row.name)
        .bind(row.suspended)
        .bind(row.suspended_at)
        .bind(row.suspended_reason.clone())
        .execute(tx)
        .await
        .map(|_| ())
}
