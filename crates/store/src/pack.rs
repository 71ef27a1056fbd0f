//! Credit packs: units of a feature that are bought once.

use std::collections::BTreeSet;

use domain::id::{FeatureKey, TenantId};
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A credit pack.
#[derive(Debug, Clone, FromRow)]
pub struct PackRow {
    /// Its name in URLs.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// What it has units of.
    pub feature: String,
    /// How many.
    pub amount: i64,
    /// Minor units.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// Days after the purchase until what is left is lost; none for never.
    pub expires_after_days: Option<i64>,
    /// Whether it is sold.
    pub active: bool,
    /// Whether it was taken away.
    pub archived: bool,
    /// Order in lists.
    pub position: i64,
    /// Grows with every change.
    pub revision: i64,
}

/// All packs of a tenant that were not taken away.
pub async fn list(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<PackRow>> {
    sql!("SELECT slug, name, feature, amount, price_minor, currency, expires_after_days, active, archived, position, revision FROM credit_pack WHERE tenant_id = $1 AND archived = false ORDER BY position, slug")
        .bind(tenant)
        .all(on)
        .await
}

/// The features of which a pack is on sale.
pub async fn topped_up(db: &Db, tenant: &TenantId) -> Result<BTreeSet<FeatureKey>> {
    let rows: Vec<(String,)> = sql!("SELECT DISTINCT feature FROM credit_pack WHERE tenant_id = $1 AND active = true AND archived = false ORDER BY feature")
        .bind(tenant)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(feature,)| FeatureKey::stored(feature)).collect())
}

/// All packs of a tenant, those that were taken away included.
pub async fn all(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<PackRow>> {
    sql!("SELECT slug, name, feature, amount, price_minor, currency, expires_after_days, active, archived, position, revision FROM credit_pack WHERE tenant_id = $1 ORDER BY position, slug")
        .bind(tenant)
        .all(on)
        .await
}

/// A pack that this transaction changes, also one that was taken away.
pub async fn find_locked(tx: &mut Tx, tenant: &TenantId, slug: &str) -> Result<Option<PackRow>> {
    sql!("SELECT slug, name, feature, amount, price_minor, currency, expires_after_days, active, archived, position, revision FROM credit_pack WHERE tenant_id = $1 AND slug = $2 {lock}")
        .bind(tenant)
        .bind(slug)
        .find(tx)
        .await
}

/// Adds or replaces a pack.
pub async fn put(tx: &mut Tx, tenant: &TenantId, row: &PackRow) -> Result<()> {
    sql!("INSERT INTO credit_pack (tenant_id, slug, name, feature, amount, price_minor, currency, expires_after_days, active, archived, position, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (tenant_id, slug) DO UPDATE SET name = excluded.name, feature = excluded.feature, amount = excluded.amount, price_minor = excluded.price_minor, currency = excluded.currency, expires_after_days = excluded.expires_after_days, active = excluded.active, archived = excluded.archived, position = excluded.position, revision = excluded.revision")
        .bind(tenant)
        .bind(&row.slug)
        .bind(&row.name)
        .bind(&row.feature)
        .bind(row.amount)
        .bind(row.price_minor)
        .bind(&row.currency)
        .bind(row.expires_after_days)
        .bind(row.active)
        .bind(row.archived)
        .bind(row.position)
        .bind(row.revision)
        .execute(tx)
        .await
        .map(|_| ())
}
