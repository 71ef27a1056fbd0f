//! Our side of what exists at payment providers: for each price version and provider one row, which is written before
//! the provider is called and completed after it answered.

use domain::id::{PriceId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A price version at a provider.
#[derive(Debug, Clone, FromRow)]
pub struct ProviderPriceRow {
    /// The provider.
    pub provider: String,
    /// The price version.
    pub price_id: String,
    /// `pending`, `synced`, `retiring`, `retired` or `failed`.
    pub state: String,
    /// The provider's id, once it is known.
    pub remote_id: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When the row changed.
    pub updated_at: i64,
}

/// Notes that a price version is to exist at a provider, unless that is noted already. One that is not sold any more, or
/// costs nothing and so is never paid, is to exist nowhere.
pub async fn intend(tx: &mut Tx, tenant: &TenantId, (provider, price): (&str, &PriceId), now: Timestamp) -> Result<()> {
    sql!("INSERT INTO provider_price (tenant_id, provider, price_id, state, attempts, updated_at) SELECT p.tenant_id, $2, p.price_id, 'pending', 0, $4 FROM price p WHERE p.tenant_id = $1 AND p.price_id = $3 AND p.active = TRUE AND p.amount_minor > 0 ON CONFLICT (tenant_id, provider, price_id) DO NOTHING")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes that a price version is not sold any more; what never came to exist there needs no end.
pub async fn retire(tx: &mut Tx, tenant: &TenantId, price: &PriceId, now: Timestamp) -> Result<()> {
    sql!("UPDATE provider_price SET state = 'retiring', attempts = 0, last_error = NULL, updated_at = $3 WHERE tenant_id = $1 AND price_id = $2 AND state <> 'retired'")
        .bind(tenant)
        .bind(price)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// One row.
pub async fn find(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
) -> Result<Option<ProviderPriceRow>> {
    sql!("SELECT provider, price_id, state, remote_id, attempts, last_error, updated_at FROM provider_price WHERE tenant_id = $1 AND provider = $2 AND price_id = $3")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .find(on)
        .await
}

/// What every provider has of a plan's prices, the newest price first.
pub async fn of_plan(db: &Db, tenant: &TenantId, plan: &str) -> Result<Vec<ProviderPriceRow>> {
    sql!("SELECT s.provider, s.price_id, s.state, s.remote_id, s.attempts, s.last_error, s.updated_at FROM provider_price s JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND p.plan_id = $2 ORDER BY p.created_at DESC, s.price_id DESC, s.provider")
        .bind(tenant)
        .bind(plan)
        .all(db)
        .await
}

/// Prices that are sold to everybody, cost something, and have no row for a provider yet.
pub async fn missing(db: &Db, tenant: &TenantId, provider: &str) -> Result<Vec<PriceId>> {
    let rows: Vec<(String,)> = sql!("SELECT p.price_id FROM price p WHERE p.tenant_id = $1 AND p.active = TRUE AND p.customer_id IS NULL AND p.amount_minor > 0 AND NOT EXISTS (SELECT 1 FROM provider_price s WHERE s.tenant_id = p.tenant_id AND s.provider = $2 AND s.price_id = p.price_id) ORDER BY p.price_id LIMIT 500")
        .bind(tenant)
        .bind(provider)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(price,)| PriceId::stored(price)).collect())
}

/// Takes the row for a call: whoever has it is alone with it until `until`. Answers false when somebody else has it.
pub async fn lease(
    tx: &mut Tx,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
    (now, until): (Timestamp, Timestamp),
) -> Result<bool> {
    let rows = sql!("UPDATE provider_price SET leased_until = $5, attempts = attempts + 1 WHERE tenant_id = $1 AND provider = $2 AND price_id = $3 AND (leased_until IS NULL OR leased_until <= $4)")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .bind(now)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Notes the provider's id of a price version. One that was given up meanwhile stays so.
pub async fn note_remote(
    tx: &mut Tx,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
    remote: &str,
    now: Timestamp,
) -> Result<()> {
    sql!("UPDATE provider_price SET remote_id = $4, state = CASE WHEN state IN ('pending', 'failed') THEN 'synced' ELSE state END, last_error = NULL, updated_at = $5 WHERE tenant_id = $1 AND provider = $2 AND price_id = $3")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .bind(remote)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes that the provider sells it no more, or never did.
pub async fn note_retired(
    tx: &mut Tx,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
    now: Timestamp,
) -> Result<()> {
    sql!("UPDATE provider_price SET state = 'retired', last_error = NULL, updated_at = $4 WHERE tenant_id = $1 AND provider = $2 AND price_id = $3 AND state IN ('pending', 'retiring')")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes what went wrong. `for_good` says that trying again is of no use.
pub async fn note_failure(
    tx: &mut Tx,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
    (error, for_good): (&str, bool),
    now: Timestamp,
) -> Result<()> {
    sql!("UPDATE provider_price SET last_error = $4, state = CASE WHEN $5 AND state = 'pending' THEN 'failed' ELSE state END, updated_at = $6 WHERE tenant_id = $1 AND provider = $2 AND price_id = $3")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .bind(error)
        .bind(for_good)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Gives the row back after a call.
pub async fn give_back(tx: &mut Tx, tenant: &TenantId, (provider, price): (&str, &PriceId)) -> Result<()> {
    sql!("UPDATE provider_price SET leased_until = NULL WHERE tenant_id = $1 AND provider = $2 AND price_id = $3")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Puts a failed one back to be tried again.
pub async fn revive(
    tx: &mut Tx,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
    now: Timestamp,
) -> Result<bool> {
    let rows = sql!("UPDATE provider_price SET state = 'pending', updated_at = $4 WHERE tenant_id = $1 AND provider = $2 AND price_id = $3 AND state = 'failed'")
        .bind(tenant)
        .bind(provider)
        .bind(price)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}
