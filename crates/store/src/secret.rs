//! Sealed values: the store never sees what is inside.

use domain::id::TenantId;
use domain::time::Timestamp;

use crate::db::{On, Tx, sql};
use crate::error::Result;

/// A sealed value by name.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, name: &str) -> Result<Option<String>> {
    let row: Option<(String,)> =
        sql!("SELECT sealed FROM secret WHERE tenant_id = $1 AND name = $2").bind(tenant).bind(name).find(on).await?;
    Ok(row.map(|(sealed,)| sealed))
}

/// Keeps a value unless the name is taken; answers the one that stands.
pub async fn keep_first(tx: &mut Tx, tenant: &TenantId, name: &str, sealed: &str, now: Timestamp) -> Result<String> {
    sql!("INSERT INTO secret (tenant_id, name, sealed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, name) DO NOTHING")
        .bind(tenant)
        .bind(name)
        .bind(sealed)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    Ok(find(&mut *tx, tenant, name).await?.unwrap_or_else(|| sealed.to_owned()))
}

/// Removes a value; answers whether it was there.
pub async fn remove(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<bool> {
    let rows =
        sql!("DELETE FROM secret WHERE tenant_id = $1 AND name = $2").bind(tenant).bind(name).execute(tx).await?;
    Ok(rows == 1)
}
