//! AI components: the live row of each, its draft, and every version that was published.

use domain::id::{FeatureKey, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// What a version of a component is made of; `draws` and `actions` are JSON.
#[derive(Debug, Clone, FromRow)]
pub struct DefinitionRow {
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
    /// What a call draws: `[{feature, amount}]`.
    pub draws: String,
    /// What it can do.
    pub actions: String,
}

/// An AI component as its row has it.
#[derive(Debug, Clone, FromRow)]
pub struct ComponentRow {
    /// Its key, which is also its feature's.
    pub component: String,
    /// What is live.
    #[sqlx(flatten)]
    pub definition: DefinitionRow,
    /// Whether it may be called.
    pub active: bool,
    /// Order in lists.
    pub position: i64,
    /// Which version is live.
    pub version: i64,
    /// Grows with every change of the row.
    pub revision: i64,
    /// Whether it was taken away.
    pub archived: bool,
    /// The version that its draft was made from; none without a draft.
    pub draft_of: Option<i64>,
}

/// All components of a tenant, those that were taken away included.
pub async fn list(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<ComponentRow>> {
    sql!("SELECT component, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, active, position, draws, actions, version, revision, archived, draft_of FROM component WHERE tenant_id = $1 ORDER BY position, component")
        .bind(tenant)
        .all(on)
        .await
}

/// A component.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, key: &FeatureKey) -> Result<Option<ComponentRow>> {
    sql!("SELECT component, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, active, position, draws, actions, version, revision, archived, draft_of FROM component WHERE tenant_id = $1 AND component = $2")
        .bind(tenant)
        .bind(key)
        .find(on)
        .await
}

/// A component that this transaction changes.
pub async fn find_locked(tx: &mut Tx, tenant: &TenantId, key: &FeatureKey) -> Result<Option<ComponentRow>> {
    sql!("SELECT component, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, active, position, draws, actions, version, revision, archived, draft_of FROM component WHERE tenant_id = $1 AND component = $2 {lock}")
        .bind(tenant)
        .bind(key)
        .find(tx)
        .await
}

/// Adds a component.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &ComponentRow) -> Result<()> {
    let definition = &row.definition;
    sql!("INSERT INTO component (tenant_id, component, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, active, position, draws, actions, version, revision, archived) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)")
        .bind(tenant)
        .bind(&row.component)
        .bind(&definition.name)
        .bind(&definition.category)
        .bind(&definition.description)
        .bind(definition.base_token_cost)
        .bind(definition.credit_feature.clone())
        .bind(&definition.upstream)
        .bind(&definition.model)
        .bind(&definition.charge_rule)
        .bind(row.active)
        .bind(row.position)
        .bind(&definition.draws)
        .bind(&definition.actions)
        .bind(row.version)
        .bind(row.revision)
        .bind(row.archived)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Writes a component's row anew, except for its draft.
pub async fn update(tx: &mut Tx, tenant: &TenantId, row: &ComponentRow) -> Result<()> {
    let definition = &row.definition;
    sql!("UPDATE component SET name = $3, category = $4, description = $5, base_token_cost = $6, credit_feature = $7, upstream = $8, model = $9, charge_rule = $10, active = $11, position = $12, draws = $13, actions = $14, version = $15, revision = $16, archived = $17 WHERE tenant_id = $1 AND component = $2")
        .bind(tenant)
        .bind(&row.component)
        .bind(&definition.name)
        .bind(&definition.category)
        .bind(&definition.description)
        .bind(definition.base_token_cost)
        .bind(definition.credit_feature.clone())
        .bind(&definition.upstream)
        .bind(&definition.model)
        .bind(&definition.charge_rule)
        .bind(row.active)
        .bind(row.position)
        .bind(&definition.draws)
        .bind(&definition.actions)
        .bind(row.version)
        .bind(row.revision)
        .bind(row.archived)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The draft of a component, as JSON.
pub async fn find_draft(on: impl Into<On<'_>>, tenant: &TenantId, key: &FeatureKey) -> Result<Option<String>> {
    let row: Option<(Option<String>,)> = sql!("SELECT draft FROM component WHERE tenant_id = $1 AND component = $2")
        .bind(tenant)
        .bind(key)
        .find(on)
        .await?;
    Ok(row.and_then(|(draft,)| draft))
}

/// Sets or drops the draft of a component: its JSON, and the version that it was made from.
pub async fn set_draft(tx: &mut Tx, tenant: &TenantId, key: &FeatureKey, draft: Option<(&str, i64)>) -> Result<()> {
    sql!("UPDATE component SET draft = $3, draft_of = $4, revision = revision + 1 WHERE tenant_id = $1 AND component = $2")
        .bind(tenant)
        .bind(key)
        .bind(draft.map(|(text, _)| text))
        .bind(draft.map(|(_, version)| version))
        .execute(tx)
        .await
        .map(|_| ())
}

/// How a version came to be.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: &'a str,
    /// `created`, `edited`, `published` or `undone`.
    pub cause: &'static str,
}

/// Keeps what is live as a version.
pub async fn keep_version(tx: &mut Tx, tenant: &TenantId, component: &str, made: Made<'_>) -> Result<()> {
    sql!("INSERT INTO component_version (tenant_id, component, version, at, actor, cause, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, draws, actions) SELECT tenant_id, component, version, $3, $4, $5, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, draws, actions FROM component WHERE tenant_id = $1 AND component = $2")
        .bind(tenant)
        .bind(component)
        .bind(made.at)
        .bind(made.actor)
        .bind(made.cause)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A version that was published.
#[derive(Debug, Clone, FromRow)]
pub struct VersionRow {
    /// Its number.
    pub version: i64,
    /// When it was published.
    pub at: i64,
    /// By whom.
    pub actor: String,
    /// How it came to be.
    pub cause: String,
    /// What it is made of.
    #[sqlx(flatten)]
    pub definition: DefinitionRow,
}

/// Versions of a component by their number; the place of a row is its number.
pub async fn versions(db: &Db, tenant: &TenantId, key: &FeatureKey, wanted: &Wanted) -> Result<Vec<VersionRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT version, at, actor, cause, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, draws, actions FROM component_version WHERE tenant_id = $1 AND component = $2 AND version < $3 ORDER BY version DESC LIMIT $4"
        )
    } else {
        sql!(
            "SELECT version, at, actor, cause, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, draws, actions FROM component_version WHERE tenant_id = $1 AND component = $2 AND version > $3 ORDER BY version LIMIT $4"
        )
    };
    let first = if wanted.descending { i64::MAX } else { 0 };
    let after = wanted.after.as_ref().map_or(first, |place| place.id.parse().unwrap_or(first));
    query.bind(tenant).bind(key).bind(after).bind(wanted.rows).all(db).await
}

/// One version.
pub async fn find_version(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    key: &FeatureKey,
    version: i64,
) -> Result<Option<VersionRow>> {
    sql!("SELECT version, at, actor, cause, name, category, description, base_token_cost, credit_feature, upstream, model, charge_rule, draws, actions FROM component_version WHERE tenant_id = $1 AND component = $2 AND version = $3")
        .bind(tenant)
        .bind(key)
        .bind(version)
        .find(on)
        .await
}
