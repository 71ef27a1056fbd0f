//! Who changed what, written in the transaction of the change. Chained later by a sealer.

use domain::id::TenantId;
use domain::time::Timestamp;

use crate::db::{Tx, sql};
use crate::error::Result;

/// One change.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id, in time order.
    pub id: String,
    /// `user:usr_…`, `key:key_…` or `system`.
    pub actor: String,
    /// What was done, such as `key.created`.
    pub action: &'static str,
    /// To what.
    pub target: String,
    /// The state before, as JSON.
    pub before: Option<String>,
    /// The state after, as JSON.
    pub after: Option<String>,
    /// The request.
    pub request_id: String,
    /// Where it came from.
    pub origin: String,
}

/// Writes an entry.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, entry: &Entry, now: Timestamp) -> Result<()> {
    sql!("INSERT INTO audit_entry (tenant_id, audit_id, at, actor, action, target, before, after, request_id, origin) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .bind(tenant)
        .bind(&entry.id)
        .bind(now)
        .bind(&entry.actor)
        .bind(entry.action)
        .bind(&entry.target)
        .bind(entry.before.clone())
        .bind(entry.after.clone())
        .bind(&entry.request_id)
        .bind(&entry.origin)
        .execute(tx)
        .await
        .map(|_| ())
}
