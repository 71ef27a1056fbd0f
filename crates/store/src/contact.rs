//! Requests to sales: what somebody wrote, and how far it got.

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// A request's row.
#[derive(Debug, Clone, FromRow)]
pub struct ContactRow {
    /// Its id.
    pub contact_id: String,
    /// When it came.
    pub at: i64,
    /// Who wrote.
    pub name: String,
    /// Where to answer.
    pub email: String,
    /// What they wrote.
    pub message: String,
    /// The plan that it is about, by its name in URLs.
    pub plan: Option<String>,
    /// The customer of who wrote, when they were signed in.
    pub customer_id: Option<String>,
    /// From which address.
    pub origin: String,
    /// `new`, `contacted` or `closed`.
    pub status: String,
    /// Grows with every edit.
    pub revision: i64,
}

/// Adds a request.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &ContactRow) -> Result<()> {
    sql!("INSERT INTO contact_request (tenant_id, contact_id, at, name, email, message, plan, customer_id, origin, status, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(tenant)
        .bind(&row.contact_id)
        .bind(row.at)
        .bind(&row.name)
        .bind(&row.email)
        .bind(&row.message)
        .bind(row.plan.clone())
        .bind(row.customer_id.clone())
        .bind(&row.origin)
        .bind(&row.status)
        .bind(row.revision)
        .execute(tx)
        .await
        .map(|_| ())
}

/// When the requests of an address came that are younger than an instant, oldest first.
pub async fn times_of(tx: &mut Tx, tenant: &TenantId, origin: &str, since: Timestamp) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> =
        sql!("SELECT at FROM contact_request WHERE tenant_id = $1 AND origin = $2 AND at > $3 ORDER BY at LIMIT 1000")
            .bind(tenant)
            .bind(origin)
            .bind(since)
            .all(tx)
            .await?;
    Ok(rows.into_iter().map(|(at,)| at).collect())
}

/// Requests by `createdAt`; `search` looks into names, addresses and messages. An empty status is any.
pub async fn list(db: &Db, tenant: &TenantId, status: &str, wanted: &Wanted) -> Result<Vec<ContactRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT contact_id, at, name, email, message, plan, customer_id, origin, status, revision FROM contact_request WHERE tenant_id = $1 AND ($2 = '' OR status = $2) AND (LOWER(name) LIKE $3 ESCAPE '!' OR email LIKE $3 ESCAPE '!' OR LOWER(message) LIKE $3 ESCAPE '!') AND ($4 OR contact_id < $5) ORDER BY contact_id DESC LIMIT $6"
        )
    } else {
        sql!(
            "SELECT contact_id, at, name, email, message, plan, customer_id, origin, status, revision FROM contact_request WHERE tenant_id = $1 AND ($2 = '' OR status = $2) AND (LOWER(name) LIKE $3 ESCAPE '!' OR email LIKE $3 ESCAPE '!' OR LOWER(message) LIKE $3 ESCAPE '!') AND ($4 OR contact_id > $5) ORDER BY contact_id LIMIT $6"
        )
    };
    query
        .bind(tenant)
        .bind(status)
        .bind(wanted.pattern())
        .bind(wanted.after.is_none())
        .bind(wanted.after.clone().unwrap_or_default().id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// One request.
pub async fn find(db: &Db, tenant: &TenantId, id: &str) -> Result<Option<ContactRow>> {
    sql!("SELECT contact_id, at, name, email, message, plan, customer_id, origin, status, revision FROM contact_request WHERE tenant_id = $1 AND contact_id = $2")
        .bind(tenant)
        .bind(id)
        .find(db)
        .await
}

/// One request, for who changes it: one at a time.
pub async fn lock(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<Option<ContactRow>> {
    sql!("SELECT contact_id, at, name, email, message, plan, customer_id, origin, status, revision FROM contact_request WHERE tenant_id = $1 AND contact_id = $2 {lock}")
        .bind(tenant)
        .bind(id)
        .find(tx)
        .await
}

/// Says how far a request got.
pub async fn set_status(tx: &mut Tx, tenant: &TenantId, id: &str, status: &str) -> Result<()> {
    sql!("UPDATE contact_request SET status = $3, revision = revision + 1 WHERE tenant_id = $1 AND contact_id = $2")
        .bind(tenant)
        .bind(id)
        .bind(status)
        .execute(tx)
        .await
        .map(|_| ())
}
