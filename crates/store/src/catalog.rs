//! The catalog: features, plans, what plans grant, and prices.

use std::collections::BTreeMap;

use domain::catalog::{Catalog, Feature, FeatureKind, LimitType, Plan, PlanFeature, Thresholds};
use domain::id::{FeatureKey, PlanId, PriceId, TenantId};
use domain::time::{Reset, Timestamp, Zone};
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
    let plans = plans(db, &id).await?;
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

fn broken(table: &'static str, id: &str, why: impl ToString) -> Error {
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
}

async fn features(db: &Db, tenant: &TenantId) -> Result<BTreeMap<FeatureKey, Feature>> {
    let rows: Vec<FeatureRow> =
        sql!("SELECT feature, name, kind, unit FROM feature WHERE tenant_id = $1 ORDER BY position, feature")
            .bind(tenant)
            .all(db)
            .await?;
    rows.into_iter()
        .map(|row| {
            let kind: FeatureKind = from_word("feature", &row.feature, &row.kind)?;
            let key = FeatureKey::stored(row.feature);
            let feature = Feature { key: key.clone(), name: row.name.into(), kind, unit: row.unit.map(Into::into) };
            Ok((key, feature))
        })
        .collect()
}

#[derive(FromRow)]
struct PlanRow {
    plan_id: String,
    slug: String,
    name: String,
    version: i64,
    active: bool,
    contact_sales: bool,
    position: i64,
}

#[derive(FromRow)]
struct PlanFeatureRow {
    plan_id: String,
    feature: String,
    enabled: bool,
    limit_value: i64,
    limit_type: String,
    reset: String,
    warning: i64,
    critical: i64,
    fail_open: i64,
}

async fn plans(db: &Db, tenant: &TenantId) -> Result<BTreeMap<PlanId, Plan>> {
    let rows: Vec<PlanRow> =
        sql!("SELECT plan_id, slug, name, version, active, contact_sales, position FROM plan WHERE tenant_id = $1")
            .bind(tenant)
            .all(db)
            .await?;
    let grants: Vec<PlanFeatureRow> =
        sql!("SELECT plan_id, feature, enabled, limit_value, limit_type, reset, warning, critical, fail_open FROM plan_feature WHERE tenant_id = $1")
            .bind(tenant)
            .all(db)
            .await?;
    let mut plans: BTreeMap<PlanId, Plan> = rows
        .into_iter()
        .map(|row| {
            let id = PlanId::stored(row.plan_id);
            let plan = Plan {
                id: id.clone(),
                slug: row.slug.into(),
                name: row.name.into(),
                version: row.version,
                active: row.active,
                contact_sales: row.contact_sales,
                position: row.position,
                features: BTreeMap::new(),
            };
            (id, plan)
        })
        .collect();
    for row in grants {
        if let Some(plan) = plans.get_mut(&PlanId::stored(row.plan_id.as_str())) {
            let (key, granted) = plan_feature(row)?;
            plan.features.insert(key, granted);
        }
    }
    Ok(plans)
}

fn plan_feature(row: PlanFeatureRow) -> Result<(FeatureKey, PlanFeature)> {
    let threshold = |value: i64| u16::try_from(value).map_err(|e| broken("plan_feature", &row.feature, e));
    let granted = PlanFeature {
        enabled: row.enabled,
        limit: row.limit_value,
        limit_type: from_word::<LimitType>("plan_feature", &row.feature, &row.limit_type)?,
        reset: from_word::<Reset>("plan_feature", &row.feature, &row.reset)?,
        thresholds: Thresholds { warning: threshold(row.warning)?, critical: threshold(row.critical)? },
        fail_open: row.fail_open,
    };
    Ok((FeatureKey::stored(row.feature), granted))
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

/// Adds a plan with what it grants.
pub async fn insert_plan(tx: &mut Tx, tenant: &TenantId, plan: &Plan) -> Result<()> {
    sql!("INSERT INTO plan (tenant_id, plan_id, slug, name, version, active, contact_sales, position) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(tenant)
        .bind(&plan.id)
        .bind(&*plan.slug)
        .bind(&*plan.name)
        .bind(plan.version)
        .bind(plan.active)
        .bind(plan.contact_sales)
        .bind(plan.position)
        .execute(&mut *tx)
        .await?;
    for (feature, granted) in &plan.features {
        put_plan_feature(tx, tenant, &plan.id, feature, granted).await?;
    }
    Ok(())
}

/// Sets what a plan grants of a feature, and moves the plan's version.
pub async fn put_plan_feature(
    tx: &mut Tx,
    tenant: &TenantId,
    plan: &PlanId,
    feature: &FeatureKey,
    granted: &PlanFeature,
) -> Result<()> {
    sql!("INSERT INTO plan_feature (tenant_id, plan_id, feature, enabled, limit_value, limit_type, reset, warning, critical, fail_open) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, plan_id, feature) DO UPDATE SET enabled = excluded.enabled, limit_value = excluded.limit_value, limit_type = excluded.limit_type, reset = excluded.reset, warning = excluded.warning, critical = excluded.critical, fail_open = excluded.fail_open")
        .bind(tenant)
        .bind(plan)
        .bind(feature)
        .bind(granted.enabled)
        .bind(granted.limit)
        .bind(word(&granted.limit_type))
        .bind(word(&granted.reset))
        .bind(i64::from(granted.thresholds.warning))
        .bind(i64::from(granted.thresholds.critical))
        .bind(granted.fail_open)
        .execute(&mut *tx)
        .await?;
    sql!("UPDATE plan SET version = version + 1 WHERE tenant_id = $1 AND plan_id = $2")
        .bind(tenant)
        .bind(plan)
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
