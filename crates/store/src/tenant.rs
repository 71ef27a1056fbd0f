//! Tenants: one row each, whose `epoch` moves with every change that a decision could depend on.

use domain::id::TenantId;
use domain::time::{EarlierZone, Timestamp, Zone};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::{Error, Result};

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
