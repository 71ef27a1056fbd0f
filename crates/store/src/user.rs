//! People who sign in, their sessions, and failed attempts.

use domain::id::{SessionId, TenantId, UserId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A user's row.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    /// Its id.
    pub user_id: String,
    /// Lower case; unique within the tenant.
    pub email: String,
    /// What people read.
    pub name: Option<String>,
    /// An Argon2id hash in PHC form.
    pub password_hash: String,
    /// A role's name.
    pub role: String,
    /// The customer that the user acts for.
    pub customer_id: Option<String>,
    /// Whether the address was proven.
    pub verified: bool,
}

/// A user by address.
pub async fn find_by_email(on: impl Into<On<'_>>, tenant: &TenantId, email: &str) -> Result<Option<UserRow>> {
    sql!("SELECT user_id, email, name, password_hash, role, customer_id, verified FROM user_account WHERE tenant_id = $1 AND email = $2")
        .bind(tenant)
        .bind(email)
        .find(on)
        .await
}

/// A user by id.
pub async fn find(db: &Db, tenant: &TenantId, user: &UserId) -> Result<Option<UserRow>> {
    sql!("SELECT user_id, email, name, password_hash, role, customer_id, verified FROM user_account WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant)
        .bind(user)
        .find(db)
        .await
}

/// Whether the tenant has an owner yet.
pub async fn owners(db: &Db, tenant: &TenantId) -> Result<usize> {
    let rows: Vec<(String,)> =
        sql!("SELECT user_id FROM user_account WHERE tenant_id = $1 AND role IN ('owner', 'operator') LIMIT 1")
            .bind(tenant)
            .all(db)
            .await?;
    Ok(rows.len())
}

/// Adds a user.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &UserRow, now: Timestamp) -> Result<()> {
    sql!("INSERT INTO user_account (tenant_id, user_id, email, name, password_hash, role, customer_id, verified, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(tenant)
        .bind(&row.user_id)
        .bind(&row.email)
        .bind(row.name.clone())
        .bind(&row.password_hash)
        .bind(&row.role)
        .bind(row.customer_id.clone())
        .bind(row.verified)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A session's row.
#[derive(Debug, Clone, FromRow)]
pub struct SessionRow {
    /// Its id.
    pub session_id: String,
    /// Whose.
    pub user_id: String,
    /// `cookie` or `refresh`.
    pub kind: String,
    /// When it ends by itself.
    pub expires_at: i64,
    /// When it was ended.
    pub ended_at: Option<i64>,
}

/// One session.
pub async fn find_session(on: impl Into<On<'_>>, tenant: &TenantId, session: &SessionId) -> Result<Option<SessionRow>> {
    sql!("SELECT session_id, user_id, kind, expires_at, ended_at FROM session WHERE tenant_id = $1 AND session_id = $2")
        .bind(tenant)
        .bind(session)
        .find(on)
        .await
}

/// Begins a session.
pub async fn insert_session(tx: &mut Tx, tenant: &TenantId, row: &SessionRow, now: Timestamp) -> Result<()> {
    sql!("INSERT INTO session (tenant_id, session_id, user_id, kind, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(tenant)
        .bind(&row.session_id)
        .bind(&row.user_id)
        .bind(&row.kind)
        .bind(now)
        .bind(row.expires_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Ends a session.
pub async fn end_session(tx: &mut Tx, tenant: &TenantId, session: &SessionId, now: Timestamp) -> Result<()> {
    sql!("UPDATE session SET ended_at = $3 WHERE tenant_id = $1 AND session_id = $2 AND ended_at IS NULL")
        .bind(tenant)
        .bind(session)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A token that stands for a session: the cookie's value, or a refresh token. Only its hash is stored.
#[derive(Debug, Clone, FromRow)]
pub struct SessionTokenRow {
    /// The session.
    pub session_id: String,
    /// When it ends.
    pub expires_at: i64,
    /// When a refresh token was exchanged; a second use ends the family.
    pub used_at: Option<i64>,
}

/// A token by its hash.
pub async fn find_session_token(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    hash: &str,
) -> Result<Option<SessionTokenRow>> {
    sql!("SELECT session_id, expires_at, used_at FROM session_token WHERE tenant_id = $1 AND token_hash = $2 {lock}")
        .bind(tenant)
        .bind(hash)
        .find(on)
        .await
}

/// Adds a token to a session.
pub async fn insert_session_token(
    tx: &mut Tx,
    tenant: &TenantId,
    hash: &str,
    session: &SessionId,
    expires_at: Timestamp,
) -> Result<()> {
    sql!("INSERT INTO session_token (tenant_id, token_hash, session_id, expires_at) VALUES ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(hash)
        .bind(session)
        .bind(expires_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Marks a refresh token as exchanged; answers whether this call was the first.
pub async fn use_session_token(tx: &mut Tx, tenant: &TenantId, hash: &str, now: Timestamp) -> Result<bool> {
    let rows =
        sql!("UPDATE session_token SET used_at = $3 WHERE tenant_id = $1 AND token_hash = $2 AND used_at IS NULL")
            .bind(tenant)
            .bind(hash)
            .bind(now)
            .execute(tx)
            .await?;
    Ok(rows == 1)
}

/// Failed sign-ins of an address.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct FailureRow {
    /// How many in a row.
    pub failures: i64,
    /// When the last was.
    pub last_at: i64,
}

/// The failed attempts on an address.
pub async fn failures(db: &Db, tenant: &TenantId, email: &str) -> Result<Option<FailureRow>> {
    sql!("SELECT failures, last_at FROM login_failure WHERE tenant_id = $1 AND email = $2")
        .bind(tenant)
        .bind(email)
        .find(db)
        .await
}

/// Counts a failed attempt.
pub async fn add_failure(tx: &mut Tx, tenant: &TenantId, email: &str, now: Timestamp) -> Result<()> {
    sql!("INSERT INTO login_failure (tenant_id, email, failures, last_at) VALUES ($1, $2, 1, $3) ON CONFLICT (tenant_id, email) DO UPDATE SET failures = login_failure.failures + 1, last_at = excluded.last_at")
        .bind(tenant)
        .bind(email)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Forgets failed attempts after a success.
pub async fn clear_failures(tx: &mut Tx, tenant: &TenantId, email: &str) -> Result<()> {
    sql!("DELETE FROM login_failure WHERE tenant_id = $1 AND email = $2")
        .bind(tenant)
        .bind(email)
        .execute(tx)
        .await
        .map(|_| ())
}
