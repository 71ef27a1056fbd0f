//! Features as admins see and edit them.

use domain::catalog::Feature;
use domain::id::{FeatureKey, TenantId};
use sqlx::FromRow;

use crate::catalog::from_word;
use crate::db::{On, Tx, sql};
use crate::error::Result;

/// A feature's own row.
#[derive(Debug, Clone, FromRow)]
pub struct FeatureRow {
    /// Its key.
    pub feature: String,
    /// What people read.
    pub name: String,
    /// What people read about it.
    pub description: String,
    /// How it behaves.
    pub kind: String,
    /// What one of it is.
    pub unit: Option<String>,
    /// Order in lists.
    pub position: i64,
    /// When it was archived.
    pub archived_at: Option<i64>,
    /// Grows with every change of the row.
    pub revision: i64,
}

impl FeatureRow {
    /// The feature as the catalog has it.
    pub fn feature(&self) -> Result<Feature> {
        Ok(Feature {
            key: FeatureKey::stored(self.feature.as_str()),
            name: self.name.as_str().into(),
            kind: from_word("feature", &self.feature, &self.kind)?,
            unit: self.unit.as_deref().map(Into::into),
            archived: self.archived_at.is_some(),
        })
    }
}

/// All features of a tenant, in their order.
pub async fn rows(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<FeatureRow>> {
    sql!("SELECT feature, name, description, kind, unit, position, archived_at, revision FROM feature WHERE tenant_id = $1 ORDER BY position, feature")
        .bind(tenant)
        .all(on)
        .await
}

/// A feature, which nobody else can change until the transaction ends.
pub async fn lock(tx: &mut Tx, tenant: &TenantId, feature: &FeatureKey) -> Result<Option<FeatureRow>> {
    sql!("SELECT feature, name, description, kind, unit, position, archived_at, revision FROM feature WHERE tenant_id = $1 AND feature = $2 {lock}")
        .bind(tenant)
        .bind(feature)
        .find(tx)
        .await
}

/// Adds a feature.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &FeatureRow) -> Result<()> {
    sql!("INSERT INTO feature (tenant_id, feature, name, description, kind, unit, position, archived_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(tenant)
        .bind(&row.feature)
        .bind(&row.name)
        .bind(&row.description)
        .bind(&row.kind)
        .bind(row.unit.clone())
        .bind(row.position)
        .bind(row.archived_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Writes what an edit changes, and moves the revision.
pub async fn update(tx: &mut Tx, tenant: &TenantId, row: &FeatureRow) -> Result<()> {
    sql!("UPDATE feature SET name = $3, description = $4, unit = $5, position = $6, archived_at = $7, revision = revision + 1 WHERE tenant_id = $1 AND feature = $2")
        .bind(tenant)
        .bind(&row.feature)
        .bind(&row.name)
        .bind(&row.description)
        .bind(row.unit.clone())
        .bind(row.position)
        .bind(row.archived_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Deletes a feature.
pub async fn delete(tx: &mut Tx, tenant: &TenantId, feature: &FeatureKey) -> Result<()> {
    sql!("DELETE FROM feature WHERE tenant_id = $1 AND feature = $2")
        .bind(tenant)
        .bind(feature)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The plans that grant a feature, by their names in URLs, also those that only did so once.
pub async fn granted_by(tx: &mut Tx, tenant: &TenantId, feature: &FeatureKey) -> Result<Vec<String>> {
    // A version's terms are JSON that names each feature once, as a member.
    let named = format!("%\"{}\":{{%", feature.as_str().replace('_', "!_"));
    let rows: Vec<(String,)> = sql!("SELECT p.slug FROM plan p WHERE p.tenant_id = $1 AND (EXISTS (SELECT 1 FROM plan_feature f WHERE f.tenant_id = p.tenant_id AND f.plan_id = p.plan_id AND f.feature = $2) OR EXISTS (SELECT 1 FROM plan_version v WHERE v.tenant_id = p.tenant_id AND v.plan_id = p.plan_id AND v.terms LIKE $3 ESCAPE '!')) ORDER BY p.slug")
        .bind(tenant)
        .bind(feature)
        .bind(named)
        .all(tx)
        .await?;
    Ok(rows.into_iter().map(|(slug,)| slug).collect())
}

/// Whether something else of the tenant has the feature's key: a component, an override, credits, or use.
pub async fn is_used(tx: &mut Tx, tenant: &TenantId, feature: &FeatureKey) -> Result<bool> {
    let found: Option<(String,)> = sql!("SELECT tenant_id FROM tenant t WHERE t.tenant_id = $1 AND (EXISTS (SELECT 1 FROM component c WHERE c.tenant_id = t.tenant_id AND (c.component = $2 OR c.credit_feature = $2)) OR EXISTS (SELECT 1 FROM limit_override o WHERE o.tenant_id = t.tenant_id AND o.feature = $2) OR EXISTS (SELECT 1 FROM credit_grant g WHERE g.tenant_id = t.tenant_id AND g.feature = $2))")
        .bind(tenant)
        .bind(feature)
        .find(tx)
        .await?;
    Ok(found.is_some())
}
