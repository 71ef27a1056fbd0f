//! Who works for a tenant: users with a role above `user`, and the links by which they choose a password.

use domain::id::{TenantId, UserId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// A member's row.
#[derive(Debug, Clone, FromRow)]
pub struct MemberRow {
    /// Its id.
    pub user_id: String,
    /// Lower case; unique within the tenant.
    pub email: String,
    /// What people read.
    pub name: Option<String>,
    /// A role's name.
    pub role: String,
    /// The customer that the user acts for, too.
    pub customer_id: Option<String>,
    /// When the account was made.
    pub created_at: i64,
    /// Grows with every edit.
    pub revision: i64,
    /// Until when the link is good by which the member has yet to choose a password.
    pub invited_until: Option<i64>,
}

/// Members by `email` or `createdAt`; `search` looks into addresses and names. An empty role is any.
pub async fn list(db: &Db, tenant: &TenantId, role: &str, wanted: &Wanted) -> Result<Vec<MemberRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT u.user_id, u.email, u.name, u.role, u.customer_id, u.created_at, u.revision, (SELECT i.expires_at FROM invitation i WHERE i.tenant_id = u.tenant_id AND i.user_id = u.user_id) AS invited_until FROM user_account u WHERE u.tenant_id = $1 AND u.role <> 'user' AND ($2 = '' OR u.role = $2) AND (u.email LIKE $3 ESCAPE '!' OR LOWER(u.name) LIKE $3 ESCAPE '!') AND ($4 OR (CASE WHEN $5 THEN u.email ELSE '' END, u.user_id) < ($6, $7)) ORDER BY CASE WHEN $5 THEN u.email ELSE '' END DESC, u.user_id DESC LIMIT $8"
        )
    } else {
        sql!(
            "SELECT u.user_id, u.email, u.name, u.role, u.customer_id, u.created_at, u.revision, (SELECT i.expires_at FROM invitation i WHERE i.tenant_id = u.tenant_id AND i.user_id = u.user_id) AS invited_until FROM user_account u WHERE u.tenant_id = $1 AND u.role <> 'user' AND ($2 = '' OR u.role = $2) AND (u.email LIKE $3 ESCAPE '!' OR LOWER(u.name) LIKE $3 ESCAPE '!') AND ($4 OR (CASE WHEN $5 THEN u.email ELSE '' END, u.user_id) > ($6, $7)) ORDER BY CASE WHEN $5 THEN u.email ELSE '' END, u.user_id LIMIT $8"
        )
    };
    let after = wanted.after.clone().unwrap_or_default();
    query
        .bind(tenant)
        .bind(role)
        .bind(wanted.pattern())
        .bind(wanted.after.is_none())
        .bind(wanted.sort == "email")
        .bind(after.value)
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// Everybody who works for the tenant, for who changes one of them: one at a time.
pub async fn lock_all(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<MemberRow>> {
    sql!("SELECT u.user_id, u.email, u.name, u.role, u.customer_id, u.created_at, u.revision, (SELECT i.expires_at FROM invitation i WHERE i.tenant_id = u.tenant_id AND i.user_id = u.user_id) AS invited_until FROM user_account u WHERE u.tenant_id = $1 AND u.role <> 'user' ORDER BY u.user_id {lock}")
        .bind(tenant)
        .all(tx)
        .await
}

/// One member.
pub async fn find(db: &Db, tenant: &TenantId, user: &UserId) -> Result<Option<MemberRow>> {
    sql!("SELECT u.user_id, u.email, u.name, u.role, u.customer_id, u.created_at, u.revision, (SELECT i.expires_at FROM invitation i WHERE i.tenant_id = u.tenant_id AND i.user_id = u.user_id) AS invited_until FROM user_account u WHERE u.tenant_id = $1 AND u.user_id = $2 AND u.role <> 'user'")
        .bind(tenant)
        .bind(user)
        .find(db)
        .await
}

/// Changes what a user is called and may do.
pub async fn update(tx: &mut Tx, tenant: &TenantId, user: &UserId, (name, role): (Option<&str>, &str)) -> Result<()> {
    sql!("UPDATE user_account SET name = $3, role = $4, revision = revision + 1 WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant)
        .bind(user)
        .bind(name)
        .bind(role)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Sets the password of a user, who has proven the address by it.
pub async fn set_password(tx: &mut Tx, tenant: &TenantId, user: &UserId, hash: &str) -> Result<()> {
    sql!("UPDATE user_account SET password_hash = $3, verified = true, revision = revision + 1 WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant)
        .bind(user)
        .bind(hash)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Takes a user's password away; only a link of the owner's gives a new one.
pub async fn clear_password(tx: &mut Tx, tenant: &TenantId, user: &UserId, none: &str) -> Result<()> {
    sql!("UPDATE user_account SET password_hash = $3, revision = revision + 1 WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant)
        .bind(user)
        .bind(none)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Ends every session of a user.
pub async fn end_sessions(tx: &mut Tx, tenant: &TenantId, user: &UserId, now: Timestamp) -> Result<()> {
    sql!("UPDATE session SET ended_at = $3 WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL")
        .bind(tenant)
        .bind(user)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Invites a user by a link of which only the hash is kept; an earlier one ends.
pub async fn put_invitation(
    tx: &mut Tx,
    tenant: &TenantId,
    user: &UserId,
    (token_hash, expires_at): (&str, Timestamp),
) -> Result<()> {
    sql!("INSERT INTO invitation (tenant_id, user_id, token_hash, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, user_id) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at")
        .bind(tenant)
        .bind(user)
        .bind(token_hash)
        .bind(expires_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Ends an invitation; answers whether it was there, was still good, and had this hash.
pub async fn take_invitation(
    tx: &mut Tx,
    tenant: &TenantId,
    user: &UserId,
    (token_hash, now): (&str, Timestamp),
) -> Result<bool> {
    let rows =
        sql!("DELETE FROM invitation WHERE tenant_id = $1 AND user_id = $2 AND token_hash = $3 AND expires_at > $4")
            .bind(tenant)
            .bind(user)
            .bind(token_hash)
            .bind(now)
            .execute(tx)
            .await?;
    Ok(rows == 1)
}

/// Takes an invitation back.
pub async fn remove_invitation(tx: &mut Tx, tenant: &TenantId, user: &UserId) -> Result<()> {
    sql!("DELETE FROM invitation WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant)
        .bind(user)
        .execute(tx)
        .await
        .map(|_| ())
}
