//! What was made under an idempotency key.

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Tx, sql};
use crate::error::Result;
use crate::gate::Idempotency;

/// What a key stands for.
#[derive(Debug, Clone, FromRow)]
pub struct CreationRow {
    /// A hash of the body.
    pub request_hash: i64,
    /// The id of what was made.
    pub made: String,
}

/// Takes a key for what this transaction makes. Answers what another has made under it before; on PostgreSQL another
/// that is still at it is waited for.
pub async fn claim(
    tx: &mut Tx,
    tenant: &TenantId,
    identity: &Idempotency,
    now: Timestamp,
) -> Result<Option<CreationRow>> {
    let taken = sql!("INSERT INTO creation (tenant_id, idem_key, request_hash, made, at) VALUES ($1, $2, $3, '', $4) ON CONFLICT (tenant_id, idem_key) DO NOTHING")
        .bind(tenant)
        .bind(&identity.key)
        .bind(identity.request_hash)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    sql!("SELECT request_hash, made FROM creation WHERE tenant_id = $1 AND idem_key = $2")
        .bind(tenant)
        .bind(&identity.key)
        .find(tx)
        .await
}

/// Notes what was made under a key that this transaction took.
pub async fn note(tx: &mut Tx, tenant: &TenantId, key: &str, made: &str) -> Result<()> {
    sql!("UPDATE creation SET made = $3 WHERE tenant_id = $1 AND idem_key = $2")
        .bind(tenant)
        .bind(key)
        .bind(made)
        .execute(tx)
        .await
        .map(|_| ())
}
