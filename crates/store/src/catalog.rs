//! The catalog: features, plans, what plans grant, and prices.

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
