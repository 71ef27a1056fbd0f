//! The catalog: features, plans, what plans grant, prices, AI components and model prices.

use std::collections::BTreeMap;

use domain::catalog::{Catalog, Feature, FeatureKind};
use domain::id::{FeatureKey, PriceId, TenantId};
use domain::time::{Timestamp, Zone};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::{Error, Result};
use crate::tenant::TenantRow;

/// Loads all that the gate decides with. `tenant` was read first, so that a change that commits meanwhile makes the
/// result stale instead of wrong.
pub async fn load(db: &Db, tenant: &TenantRow) -> Result<Catalog> {
    let id = tenant.id();
    let features = features(db, &id).await?;
    let plans = crate::plan::catalog(db, &id).await?;
    let zone = Zone::parse(&tenant.timezone).map_err(|e| broken("tenant", &tenant.tenant_id, e))?;
    Ok(Catalog {
        tenant: id,
        epoch: tenant.epoch,
        enforced: tenant.enforced,
        zone,
        clock_offset: tenant.clock_offset,
        features,
        plans,
    })
}

pub(crate) fn broken(table: &'static str, id: &str, why: impl ToString) -> Error {
    Error::Broken { table, id: id.to_owned(), why: why.to_string() }
}

/// A word of a closed set, as the database holds it: the name that it has in JSON.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Reads what [`word`] wrote.
pub(crate) fn from_word<T: DeserializeOwned>(table: &'static str, id: &str, text: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|e| broken(table, id, e))
}

#[derive(FromRow)]
struct FeatureRow {
    feature: String,
    name: String,
    kind: String,
    unit: Option<String>,
    archived_at: Option<i64>,
}

async fn features(db: &Db, tenant: &TenantId) -> Result<BTreeMap<FeatureKey, Feature>> {
    let rows: Vec<FeatureRow> = sql!(
        "SELECT feature, name, kind, unit, archived_at FROM feature WHERE tenant_id = $1 ORDER BY position, feature"
    )
    .bind(tenant)
    .all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind: FeatureKind = from_word("feature", &row.feature, &row.kind)?;
            let key = FeatureKey::stored(row.feature);
            let feature = Feature {
                key: key.clone(),
                name: row.name.into(),
                kind,
                unit: row.unit.map(Into::into),
                archived: row.archived_at.is_some(),
            };
            Ok((key, feature))
        })
        .collect()
}

/// Adds a feature.
pub async fn insert_feature(tx: &mut Tx, tenant: &TenantId, feature: &Feature, position: i64) -> Result<()> {
    sql!("INSERT INTO feature (tenant_id, feature, name, kind, unit, position) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(tenant)
        .bind(&feature.key)
        .bind(&*feature.name)
        .bind(word(&feature.kind))
        .bind(feature.unit.as_deref())
        .bind(position)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A price version.
#[derive(Debug, Clone, FromRow)]
pub struct PriceRow {
    /// Its id.
    pub price_id: String,
    /// What it is for.
    pub plan_id: String,
    /// `month` or `year`.
    pub interval: String,
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount_minor: i64,
    /// Counts up within plan, interval and currency.
    pub version: i64,
}

/// The prices that new customers pay.
pub async fn active_prices(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<PriceRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version FROM price WHERE tenant_id = $1 AND active = true AND customer_id IS NULL ORDER BY plan_id, interval")
        .bind(tenant)
        .all(on)
        .await
}

/// One price version, also one that is not sold any more.
pub async fn find_price(on: impl Into<On<'_>>, tenant: &TenantId, price: &str) -> Result<Option<PriceRow>> {
    sql!("SELECT price_id, plan_id, interval, currency, amount_minor, version FROM price WHERE tenant_id = $1 AND price_id = $2")
        .bind(tenant)
        .bind(price)
        .find(on)
        .await
}

/// Adds a price version.
pub async fn insert_price(tx: &mut Tx, tenant: &TenantId, price: &PriceRow, now: Timestamp) -> Result<PriceId> {
    sql!("INSERT INTO price (tenant_id, price_id, plan_id, interval, currency, amount_minor, version, active, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, true, $8)")
        .bind(tenant)
        .bind(&price.price_id)
        .bind(&price.plan_id)
        .bind(&price.interval)
        .bind(&price.currency)
        .bind(price.amount_minor)
        .bind(price.version)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(PriceId::stored(price.price_id.as_str()))
}

/// An AI component as its row has it; `draws` and `actions` are JSON.
#[derive(Debug, Clone, FromRow)]
pub struct ComponentRow {
    /// Its key, which is also its feature's.
    pub component: String,
    /// What people read.
    pub name: String,
    /// Its group.
    pub category: String,
    /// What it does.
    pub description: String,
    /// Credits of every call.
    pub base_token_cost: i64,
    /// The pool that credits are drawn from.
    pub credit_feature: Option<String>,
    /// Which upstream runs it.
    pub upstream: String,
    /// Which model.
    pub model: String,
    /// `success`, `attempt` or `input`.
    pub charge_rule: String,
    /// Whether it may be called.
    pub active: bool,
    /// Order in lists.
    pub position: i64,
    /// What a call draws: `[{feature, amount}]`.
    pub draws: String,
    /// What it can do.
    pub actions: String,
}

/// All components of a tenant.
pub async fn components(db: &Db, tenant: &TenantId) -> Result<Vec<ComponentRow>> {
    sql!("SELECT component, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, active, position, draws, actions FROM component WHERE tenant_id = $1 ORDER BY position, component")
        .bind(tenant)
        .all(db)
        .await
}

/// Adds a component.
pub async fn insert_component(tx: &mut Tx, tenant: &TenantId, row: &ComponentRow) -> Result<()> {
    sql!("INSERT INTO component (tenant_id, component, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, active, position, draws, actions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)")
        .bind(tenant)
        .bind(&row.component)
        .bind(&row.name)
        .bind(&row.category)
        .bind(&row.description)
        .bind(row.base_token_cost)
        .bind(row.credit_feature.clone())
        .bind(&row.upstream)
        .bind(&row.model)
        .bind(&row.charge_rule)
        .bind(row.active)
        .bind(row.position)
        .bind(&row.draws)
        .bind(&row.actions)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Where AI calls go.
#[derive(Debug, Clone, FromRow)]
pub struct UpstreamRow {
    /// Its name, which components refer to.
    pub upstream: String,
    /// `anthropic`, `openai` or `demo`.
    pub kind: String,
    /// Where it is; none for the provider's own.
    pub base_url: Option<String>,
    /// Its key, sealed.
    pub api_key_sealed: Option<String>,
}

/// All upstreams of a tenant.
pub async fn upstreams(db: &Db, tenant: &TenantId) -> Result<Vec<UpstreamRow>> {
    sql!("SELECT upstream, kind, base_url, api_key_sealed FROM upstream WHERE tenant_id = $1")
        .bind(tenant)
        .all(db)
        .await
}

/// Adds or replaces an upstream.
pub async fn put_upstream(tx: &mut Tx, tenant: &TenantId, row: &UpstreamRow) -> Result<()> {
    sql!("INSERT INTO upstream (tenant_id, upstream, kind, base_url, api_key_sealed) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, upstream) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url, api_key_sealed = excluded.api_key_sealed")
        .bind(tenant)
        .bind(&row.upstream)
        .bind(&row.kind)
        .bind(row.base_url.clone())
        .bind(row.api_key_sealed.clone())
        .execute(tx)
        .await
        .map(|_| ())
}

/// Points every component of a tenant to an upstream.
pub async fn set_components_upstream(tx: &mut Tx, tenant: &TenantId, upstream: &str) -> Result<()> {
    sql!("UPDATE component SET upstream = $2 WHERE tenant_id = $1")
        .bind(tenant)
        .bind(upstream)
        .execute(tx)
        .await
        .map(|_| ())
}

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
pub async fn model_prices(db: &Db, tenant: &TenantId) -> Result<Vec<ModelPriceRow>> {
    sql!("SELECT model, effective_from, prompt_tokens_over, input, output, cache_write_5m, cache_write_1h, cache_read FROM model_price WHERE tenant_id = $1 ORDER BY model, effective_from DESC, prompt_tokens_over DESC")
        .bind(tenant)
        .all(db)
        .await
}

/// Adds a model price.
pub async fn insert_model_price(tx: &mut Tx, tenant: &TenantId, row: &ModelPriceRow) -> Result<()> {
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
