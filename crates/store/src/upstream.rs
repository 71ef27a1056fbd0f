//! Where AI calls go.

use domain::id::TenantId;
use sqlx::FromRow;

use crate::db::{On, Tx, sql};
use crate::error::Result;

/// Where AI calls go.
#[derive(Debug, Clone, FromRow)]
pub struct UpstreamRow {
    /// Its name, which components refer to.
    pub upstream: String,
    /// `anthropic`, `openai` or `demo`.
    pub kind: String,
    /// Where it is; none for the provider's own.
    pub base_url: Option<String>,
    /// Its key, sealed.
    pub api_key_sealed: Option<String>,
    /// The key's last characters.
    pub key_hint: Option<String>,
    /// Grows with every change.
    pub revision: i64,
}

/// All upstreams of a tenant.
pub async fn list(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<UpstreamRow>> {
    sql!("SELECT upstream, kind, base_url, api_key_sealed, key_hint, revision FROM upstream WHERE tenant_id = $1 ORDER BY upstream")
        .bind(tenant)
        .all(on)
        .await
}

/// An upstream that this transaction changes.
pub async fn find_locked(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Option<UpstreamRow>> {
    sql!("SELECT upstream, kind, base_url, api_key_sealed, key_hint, revision FROM upstream WHERE tenant_id = $1 AND upstream = $2 {lock}")
        .bind(tenant)
        .bind(name)
        .find(tx)
        .await
}

/// Adds or replaces an upstream.
pub async fn put(tx: &mut Tx, tenant: &TenantId, row: &UpstreamRow) -> Result<()> {
    sql!("INSERT INTO upstream (tenant_id, upstream, kind, base_url, api_key_sealed, key_hint, revision) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, upstream) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url, api_key_sealed = excluded.api_key_sealed, key_hint = excluded.key_hint, revision = excluded.revision")
        .bind(tenant)
        .bind(&row.upstream)
        .bind(&row.kind)
        .bind(row.base_url.clone())
        .bind(row.api_key_sealed.clone())
        .bind(row.key_hint.clone())
        .bind(row.revision)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The components that run on an upstream, those that were taken away aside.
pub async fn components(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = sql!(
        "SELECT component FROM component WHERE tenant_id = $1 AND upstream = $2 AND archived = false ORDER BY component"
    )
    .bind(tenant)
    .bind(name)
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|(component,)| component).collect())
}

/// Removes an upstream.
pub async fn remove(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<()> {
    sql!("DELETE FROM upstream WHERE tenant_id = $1 AND upstream = $2")
        .bind(tenant)
        .bind(name)
        .execute(tx)
        .await
        .map(|_| ())
}
