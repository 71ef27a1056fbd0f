//! The catalog: features, plans, what plans grant, and prices.

use std::collections::BTreeMap;

use domain::catalog::{Catalog, Feature, FeatureKind};
use domain::id::{FeatureKey, TenantId};
use domain::time::Zone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::{Error, Result};
use crate::tenant::TenantRow;

/// Loads all that the gate decides with. `tenant` was read first, so that a change that commits meanwhile makes the
/// result stale instead of wrong.
pub async fn load(db: &Db, tenant: &TenantRow) -> Result<Catalog> {
    let id = tenant.id();
    let features = features(db, &id).await?;
    let plans = crate::plan::catalog(db, &id).await?;
    let topped_up = crate::pack::topped_up(db, &id).await?;
    let zone = Zone::parse(&tenant.timezone).map_err(|e| broken("tenant", &tenant.tenant_id, e))?;
    Ok(Catalog {
        tenant: id,
        epoch: tenant.epoch,
        enforced: tenant.enforced,
        zone,
        earlier_zones: tenant.earlier_zones()?,
        clock_offset: tenant.clock_offset,
        features,
        plans,
        topped_up,
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

/// Keeps everybody else from changing what is sold until the transaction ends. Rows are locked in the order in which
/// edits of one thing lock them, so that none waits for another in a circle: a component before its counter, a plan
/// before what it grants, and the tenant, whose epoch every edit moves, last.
pub async fn lock(tx: &mut Tx, tenant: &TenantId) -> Result<()> {
    let _locked: [Vec<(String,)>; 6] = [
        sql!("SELECT component FROM component WHERE tenant_id = $1 ORDER BY component {lock}")
            .bind(tenant)
            .all(&mut *tx)
            .await?,
        sql!("SELECT plan_id FROM plan WHERE tenant_id = $1 ORDER BY slug {lock}").bind(tenant).all(&mut *tx).await?,
        sql!("SELECT feature FROM feature WHERE tenant_id = $1 ORDER BY feature {lock}")
            .bind(tenant)
            .all(&mut *tx)
            .await?,
        sql!("SELECT upstream FROM upstream WHERE tenant_id = $1 ORDER BY upstream {lock}")
            .bind(tenant)
            .all(&mut *tx)
            .await?,
        sql!("SELECT slug FROM credit_pack WHERE tenant_id = $1 ORDER BY slug {lock}")
            .bind(tenant)
            .all(&mut *tx)
            .await?,
        sql!("SELECT tenant_id FROM tenant WHERE tenant_id = $1 {lock}").bind(tenant).all(&mut *tx).await?,
    ];
    Ok(())
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
