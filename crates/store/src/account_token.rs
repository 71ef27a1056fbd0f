//! Links that prove an address or let its owner choose a new password, and who asked for one.

use domain::id::{TenantId, UserId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// Keeps the hash of a link for one purpose.
pub async fn insert(
    tx: &mut Tx,
    tenant: &TenantId,
    (user, purpose, hash): (&UserId, &str, &str),
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<()> {
    sql!("INSERT INTO account_token (tenant_id, token_hash, user_id, purpose, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(tenant)
        .bind(hash)
        .bind(user)
        .bind(purpose)
        .bind(now)
        .bind(expires_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Whose link it is, while it is good for the purpose.
pub async fn owner(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    (purpose, hash): (&str, &str),
    now: Timestamp,
) -> Result<Option<UserId>> {
    let row: Option<(String,)> = sql!("SELECT user_id FROM account_token WHERE tenant_id = $1 AND token_hash = $2 AND purpose = $3 AND used_at IS NULL AND expires_at > $4")
        .bind(tenant)
        .bind(hash)
        .bind(purpose)
        .bind(now)
        .find(on)
        .await?;
    Ok(row.map(|(user,)| UserId::stored(user)))
}

/// Spends a link; answers whether it was good for the purpose and this call was the first.
pub async fn spend(tx: &mut Tx, tenant: &TenantId, (purpose, hash): (&str, &str), now: Timestamp) -> Result<bool> {
    let rows = sql!("UPDATE account_token SET used_at = $4 WHERE tenant_id = $1 AND token_hash = $2 AND purpose = $3 AND used_at IS NULL AND expires_at > $4")
        .bind(tenant)
        .bind(hash)
        .bind(purpose)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Ends every other link of a user for a purpose.
pub async fn end_others(tx: &mut Tx, tenant: &TenantId, user: &UserId, purpose: &str, now: Timestamp) -> Result<()> {
    sql!("UPDATE account_token SET used_at = $4 WHERE tenant_id = $1 AND user_id = $2 AND purpose = $3 AND used_at IS NULL")
        .bind(tenant)
        .bind(user)
        .bind(purpose)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// How many links a user was given for a purpose since an instant.
pub async fn given_since(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    (user, purpose): (&UserId, &str),
    since: Timestamp,
) -> Result<i64> {
    let row: Option<(i64,)> = sql!(
        "SELECT COUNT(*) FROM account_token WHERE tenant_id = $1 AND user_id = $2 AND purpose = $3 AND created_at > $4"
    )
    .bind(tenant)
    .bind(user)
    .bind(purpose)
    .bind(since)
    .find(on)
    .await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Somebody who has the address proven it.
pub async fn set_verified(tx: &mut Tx, tenant: &TenantId, user: &UserId) -> Result<bool> {
    let rows = sql!("UPDATE user_account SET verified = true, revision = revision + 1 WHERE tenant_id = $1 AND user_id = $2 AND verified = false")
        .bind(tenant)
        .bind(user)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// A request for a new password.
#[derive(Debug, Clone, FromRow)]
pub struct RequestRow {
    /// Whose.
    pub tenant_id: String,
    /// Its id.
    pub request_id: String,
    /// For which address.
    pub address: String,
}

/// Keeps a request for a new password.
pub async fn ask(
    tx: &mut Tx,
    tenant: &TenantId,
    (id, address, origin): (&str, &str, &str),
    now: Timestamp,
) -> Result<()> {
    sql!("INSERT INTO password_request (tenant_id, request_id, address, origin, at, answered) VALUES ($1, $2, $3, $4, $5, false)")
        .bind(tenant)
        .bind(id)
        .bind(address)
        .bind(origin)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// When requests for an address came that are younger than an instant, oldest first.
pub async fn asked_for(tx: &mut Tx, tenant: &TenantId, address: &str, since: Timestamp) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = sql!(
        "SELECT at FROM password_request WHERE tenant_id = $1 AND address = $2 AND at > $3 ORDER BY at LIMIT 1000"
    )
    .bind(tenant)
    .bind(address)
    .bind(since)
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|(at,)| at).collect())
}

/// When requests from a place came that are younger than an instant, oldest first.
pub async fn asked_from(tx: &mut Tx, tenant: &TenantId, origin: &str, since: Timestamp) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> =
        sql!("SELECT at FROM password_request WHERE tenant_id = $1 AND origin = $2 AND at > $3 ORDER BY at LIMIT 1000")
            .bind(tenant)
            .bind(origin)
            .bind(since)
            .all(tx)
            .await?;
    Ok(rows.into_iter().map(|(at,)| at).collect())
}

/// Requests that nobody has answered, oldest first.
pub async fn open(db: &Db, limit: i64) -> Result<Vec<RequestRow>> {
    sql!("SELECT tenant_id, request_id, address FROM password_request WHERE answered = FALSE ORDER BY at LIMIT $1")
        .bind(limit)
        .all(db)
        .await
}

/// Takes a request to answer; answers whether this call was the first.
pub async fn answer(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<bool> {
    let rows = sql!(
        "UPDATE password_request SET answered = true WHERE tenant_id = $1 AND request_id = $2 AND answered = false"
    )
    .bind(tenant)
    .bind(id)
    .execute(tx)
    .await?;
    Ok(rows == 1)
}

/// Drops what is over.
pub async fn drop_old(tx: &mut Tx, (requests_before, tokens_before): (Timestamp, Timestamp)) -> Result<()> {
    sql!("DELETE FROM password_request WHERE at < $1").bind(requests_before).execute(&mut *tx).await?;
    sql!("DELETE FROM account_token WHERE expires_at < $1").bind(tokens_before).execute(tx).await.map(|_| ())
}
