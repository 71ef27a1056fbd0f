//! What models cost: the rates of the upstreams, from an instant on.

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{On, Tx, sql};
use crate::error::Result;

/// What a model costs from an instant on, for prompts above a length: micro-units of currency for a million tokens.
#[derive(Debug, Clone, FromRow)]
pub struct ModelPriceRow {
    /// The model.
    pub model: String,
    /// From when, in microseconds.
    pub effective_from: i64,
    /// For prompts with more tokens than this.
    pub prompt_tokens_over: i64,
    /// Input that was not cached.
    pub input: i64,
    /// Output.
    pub output: i64,
    /// Input written to the five-minute cache.
    pub cache_write_5m: i64,
    /// Input written to the one-hour cache.
    pub cache_write_1h: i64,
    /// Input read from the cache.
    pub cache_read: i64,
}

/// All model prices of a tenant, newest first and the longest prompts first.
pub async fn list(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<ModelPriceRow>> {
    sql!("SELECT model, effective_from, prompt_tokens_over, input, output, cache_write_5m, cache_write_1h, cache_read FROM model_price WHERE tenant_id = $1 ORDER BY model, effective_from DESC, prompt_tokens_over DESC")
        .bind(tenant)
        .all(on)
        .await
}

/// Adds a model price.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &ModelPriceRow) -> Result<()> {
    sql!("INSERT INTO model_price (tenant_id, model, effective_from, prompt_tokens_over, input, output, cache_write_5m, cache_write_1h, cache_read) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(tenant)
        .bind(&row.model)
        .bind(row.effective_from)
        .bind(row.prompt_tokens_over)
        .bind(row.input)
        .bind(row.output)
        .bind(row.cache_write_5m)
        .bind(row.cache_write_1h)
        .bind(row.cache_read)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Adds a model price, or replaces the one of the same model, instant and band.
pub async fn put(tx: &mut Tx, tenant: &TenantId, row: &ModelPriceRow) -> Result<()> {
    remove(tx, tenant, (&row.model, Timestamp::from_micros(row.effective_from), row.prompt_tokens_over)).await?;
    insert(tx, tenant, row).await
}

/// Removes a model price; answers whether it was there.
pub async fn remove(
    tx: &mut Tx,
    tenant: &TenantId,
    (model, from, prompt_tokens_over): (&str, Timestamp, i64),
) -> Result<bool> {
    let rows = sql!("DELETE FROM model_price WHERE tenant_id = $1 AND model = $2 AND effective_from = $3 AND prompt_tokens_over = $4")
        .bind(tenant)
        .bind(model)
        .bind(from)
        .bind(prompt_tokens_over)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}
