//! API keys: only the hash of a secret is stored.

use domain::id::{KeyId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// A key's row.
#[derive(Debug, Clone, FromRow)]
pub struct KeyRow {
    /// The tenant that it belongs to: for a key it is the credential that says so.
    pub tenant_id: String,
    /// Its id.
    pub key_id: String,
    /// What people read.
    pub name: String,
    /// The secret's first characters.
    pub hint: String,
    /// Names of scopes, separated by blanks.
    pub scopes: String,
    /// When it was made.
    pub created_at: i64,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
}

/// The key of a secret, in whichever tenant: the one look-up without a tenant, since the secret names it.
pub async fn find_by_secret(db: &Db, secret_hash: &str) -> Result<Option<KeyRow>> {
    sql!("SELECT tenant_id, key_id, name, hint, scopes, created_at, expires_at, revoked_at, last_used_at FROM api_key WHERE secret_hash = $1")
        .bind(secret_hash)
        .find(db)
        .await
}

/// Keys of a tenant, by `createdAt` or `name`; `search` looks into the names.
pub async fn list(db: &Db, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<KeyRow>> {
    // Ids are in the order of time, so that those of a tenant need no other index.
    let query = if wanted.descending {
        sql!(
            "SELECT tenant_id, key_id, name, hint, scopes, created_at, expires_at, revoked_at, last_used_at FROM api_key WHERE tenant_id = $1 AND LOWER(name) LIKE $2 ESCAPE '!' AND ($3 OR (CASE WHEN $4 THEN LOWER(name) ELSE '' END, key_id) < (LOWER($5), $6)) ORDER BY CASE WHEN $4 THEN LOWER(name) ELSE '' END DESC, key_id DESC LIMIT $7"
        )
    } else {
        sql!(
            "SELECT tenant_id, key_id, name, hint, scopes, created_at, expires_at, revoked_at, last_used_at FROM api_key WHERE tenant_id = $1 AND LOWER(name) LIKE $2 ESCAPE '!' AND ($3 OR (CASE WHEN $4 THEN LOWER(name) ELSE '' END, key_id) > (LOWER($5), $6)) ORDER BY CASE WHEN $4 THEN LOWER(name) ELSE '' END, key_id LIMIT $7"
        )
    };
    let after = wanted.after.clone().unwrap_or_default();
    query
        .bind(tenant)
        .bind(wanted.pattern())
        .bind(wanted.after.is_none())
        .bind(wanted.sort == "name")
        .bind(after.value)
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// Whether a key is neither revoked nor over.
pub async fn is_good(db: &Db, tenant: &TenantId, key: &KeyId, now: Timestamp) -> Result<bool> {
    let row: Option<(String,)> =
        sql!("SELECT key_id FROM api_key WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)")
            .bind(tenant)
            .bind(key)
            .bind(now)
            .find(db)
            .await?;
    Ok(row.is_some())
}

/// Adds a key.
pub async fn insert(tx: &mut Tx, row: &KeyRow, secret_hash: &str) -> Result<()> {
    sql!("INSERT INTO api_key (tenant_id, key_id, name, hint, secret_hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(&row.tenant_id)
        .bind(&row.key_id)
        .bind(&row.name)
        .bind(&row.hint)
        .bind(secret_hash)
        .bind(&row.scopes)
        .bind(row.created_at)
        .bind(row.expires_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Revokes a key; answers whether there was one to revoke.
pub async fn revoke(tx: &mut Tx, tenant: &TenantId, key: &KeyId, now: Timestamp) -> Result<bool> {
    let rows = sql!("UPDATE api_key SET revoked_at = $3 WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL")
        .bind(tenant)
        .bind(key)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Notes the last use.
pub async fn touch(tx: &mut Tx, tenant: &TenantId, key: &KeyId, now: Timestamp) -> Result<()> {
    sql!("UPDATE api_key SET last_used_at = $3 WHERE tenant_id = $1 AND key_id = $2")
        .bind(tenant)
        .bind(key)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}
