//! Plans: their rows, what they grant, and their versions.

use std::collections::BTreeMap;

use domain::catalog::{LimitType, Plan, PlanFeature, Thresholds};
use domain::id::{FeatureKey, PlanId, TenantId};
use domain::plan::{Applies, PlanVersion, Terms};
use domain::time::{Reset, Timestamp};
use sqlx::FromRow;

use crate::catalog::{broken, from_word, word};
use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A plan's own row.
#[derive(Debug, Clone, FromRow)]
pub struct PlanRow {
    /// Its id.
    pub plan_id: String,
    /// Its name in URLs.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// What people read about it.
    pub description: String,
    /// Grows with every published change.
    pub version: i64,
    /// Whether new customers may take it.
    pub active: bool,
    /// Whether it stands on the pricing page.
    pub visible: bool,
    /// Sold by talking to sales.
    pub contact_sales: bool,
    /// Order on the pricing page.
    pub position: i64,
    /// Days without payment at the beginning.
    pub trial_days: i64,
    /// When it was archived.
    pub archived_at: Option<i64>,
    /// Grows with every change of the row, its grants and its prices.
    pub revision: i64,
    /// An edit that is not published yet, as JSON.
    pub draft: Option<String>,
    /// Who saved the draft.
    pub draft_by: Option<String>,
    /// When.
    pub draft_at: Option<i64>,
    /// Grows with every draft.
    pub draft_revision: i64,
}

impl PlanRow {
    /// The id as a type.
    pub fn id(&self) -> PlanId {
        PlanId::stored(self.plan_id.as_str())
    }
}

/// All plans of a tenant.
pub async fn rows(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<PlanRow>> {
    sql!("SELECT plan_id, slug, name, description, version, active, visible, contact_sales, position, trial_days, archived_at, revision, draft, draft_by, draft_at, draft_revision FROM plan WHERE tenant_id = $1")
        .bind(tenant)
        .all(on)
        .await
}

/// A plan by its name in URLs.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, slug: &str) -> Result<Option<PlanRow>> {
    sql!("SELECT plan_id, slug, name, description, version, active, visible, contact_sales, position, trial_days, archived_at, revision, draft, draft_by, draft_at, draft_revision FROM plan WHERE tenant_id = $1 AND slug = $2")
        .bind(tenant)
        .bind(slug)
        .find(on)
        .await
}

/// A plan by its name in URLs, which nobody else can change until the transaction ends.
pub async fn lock(tx: &mut Tx, tenant: &TenantId, slug: &str) -> Result<Option<PlanRow>> {
    sql!("SELECT plan_id, slug, name, description, version, active, visible, contact_sales, position, trial_days, archived_at, revision, draft, draft_by, draft_at, draft_revision FROM plan WHERE tenant_id = $1 AND slug = $2 {lock}")
        .bind(tenant)
        .bind(slug)
        .find(tx)
        .await
}

/// Writes what an edit changes, and moves revision and version.
pub async fn update(
    tx: &mut Tx,
    tenant: &TenantId,
    plan: &PlanId,
    terms: &Terms,
    archived_at: Option<i64>,
) -> Result<()> {
    sql!("UPDATE plan SET name = $3, description = $4, active = $5, visible = $6, contact_sales = $7, position = $8, trial_days = $9, archived_at = $10, version = version + 1, revision = revision + 1 WHERE tenant_id = $1 AND plan_id = $2")
        .bind(tenant)
        .bind(plan)
        .bind(&terms.name)
        .bind(&terms.description)
        .bind(terms.active)
        .bind(terms.visible)
        .bind(terms.contact_sales)
        .bind(terms.position)
        .bind(terms.trial_days)
        .bind(archived_at)
        .execute(tx)
        .await
        .map(|_| ())
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
    overage_micros: Option<i64>,
    rollover_cap: Option<i64>,
}

/// What each plan grants of each feature.
pub async fn grants(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
) -> Result<BTreeMap<PlanId, BTreeMap<FeatureKey, PlanFeature>>> {
    let rows: Vec<PlanFeatureRow> =
        sql!("SELECT plan_id, feature, enabled, limit_value, limit_type, reset, warning, critical, fail_open, overage_micros, rollover_cap FROM plan_feature WHERE tenant_id = $1")
            .bind(tenant)
            .all(on)
            .await?;
    let mut grants: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for row in rows {
        let plan = PlanId::stored(row.plan_id.as_str());
        let (feature, granted) = plan_feature(row)?;
        grants.entry(plan).or_default().insert(feature, granted);
    }
    Ok(grants)
}

/// What a plan grants of each feature.
pub async fn grants_of(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    plan: &PlanId,
) -> Result<BTreeMap<FeatureKey, PlanFeature>> {
    let rows: Vec<PlanFeatureRow> =
        sql!("SELECT plan_id, feature, enabled, limit_value, limit_type, reset, warning, critical, fail_open, overage_micros, rollover_cap FROM plan_feature WHERE tenant_id = $1 AND plan_id = $2")
            .bind(tenant)
            .bind(plan)
            .all(on)
            .await?;
    rows.into_iter().map(plan_feature).collect()
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
        overage_micros: row.overage_micros,
        rollover_cap: row.rollover_cap,
    };
    Ok((FeatureKey::stored(row.feature), granted))
}

/// All plans of a tenant as decisions need them: with what they grant, and with every version that may still hold.
pub(crate) async fn catalog(db: &Db, tenant: &TenantId) -> Result<BTreeMap<PlanId, Plan>> {
    let rows = rows(db, tenant).await?;
    let mut grants = grants(db, tenant).await?;
    let mut versions: BTreeMap<String, Vec<VersionRow>> = BTreeMap::new();
    for row in live_versions(db, tenant).await? {
        versions.entry(row.plan_id.clone()).or_default().push(row);
    }
    let plan = |row: PlanRow| {
        let id = row.id();
        let mut plan = Plan {
            id: id.clone(),
            slug: row.slug.into(),
            name: row.name.into(),
            description: row.description.into(),
            version: row.version,
            active: row.active,
            visible: row.visible,
            contact_sales: row.contact_sales,
            position: row.position,
            trial_days: row.trial_days,
            features: grants.remove(&id).unwrap_or_default(),
            published_at: Timestamp::EPOCH,
            applies: Applies::Now,
            earlier: Vec::new(),
        };
        for version in versions.remove(&row.plan_id).unwrap_or_default() {
            let published_at = Timestamp::from_micros(version.published_at);
            if version.version == plan.version {
                (plan.published_at, plan.applies) = (published_at, version.applies()?);
            } else {
                let (number, applies) = (version.version, version.applies()?);
                let features = version.terms()?.features;
                plan.earlier.push(PlanVersion { number, published_at, applies, features });
            }
        }
        Ok((id, plan))
    };
    rows.into_iter().map(plan).collect()
}

/// A version of a plan.
#[derive(Debug, Clone, FromRow)]
pub struct VersionRow {
    /// Of which plan.
    pub plan_id: String,
    /// Its number.
    pub version: i64,
    /// For whom it holds.
    pub applies: String,
    /// When it was published, in the tenant's time.
    pub published_at: i64,
    /// Who published it.
    pub published_by: String,
    /// What it says, as JSON.
    pub terms: String,
}

impl VersionRow {
    /// For whom it holds.
    pub fn applies(&self) -> Result<Applies> {
        from_word("plan_version", &self.plan_id, &self.applies)
    }

    /// What it says.
    pub fn terms(&self) -> Result<Terms> {
        serde_json::from_str(&self.terms).map_err(|e| broken("plan_version", &self.plan_id, e))
    }
}

/// The versions that may hold for a subscription, newest first: the newest for all, and those after it.
async fn live_versions(db: &Db, tenant: &TenantId) -> Result<Vec<VersionRow>> {
    sql!("SELECT v.plan_id, v.version, v.applies, v.published_at, v.published_by, v.terms FROM plan_version v WHERE v.tenant_id = $1 AND v.version >= COALESCE((SELECT MAX(n.version) FROM plan_version n WHERE n.tenant_id = $1 AND n.plan_id = v.plan_id AND n.applies = 'now'), 0) ORDER BY v.plan_id, v.version DESC")
        .bind(tenant)
        .all(db)
        .await
}

/// The newest versions of a plan, newest first.
pub async fn versions(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    plan: &PlanId,
    rows_max: i64,
) -> Result<Vec<VersionRow>> {
    sql!("SELECT plan_id, version, applies, published_at, published_by, terms FROM plan_version WHERE tenant_id = $1 AND plan_id = $2 ORDER BY version DESC LIMIT $3")
        .bind(tenant)
        .bind(plan)
        .bind(rows_max)
        .all(on)
        .await
}

/// One version of a plan.
pub async fn find_version(tx: &mut Tx, tenant: &TenantId, plan: &PlanId, version: i64) -> Result<Option<VersionRow>> {
    sql!("SELECT plan_id, version, applies, published_at, published_by, terms FROM plan_version WHERE tenant_id = $1 AND plan_id = $2 AND version = $3")
        .bind(tenant)
        .bind(plan)
        .bind(version)
        .find(tx)
        .await
}

/// Keeps a version, unless one of that number is kept already.
pub async fn keep_version(tx: &mut Tx, tenant: &TenantId, row: &VersionRow) -> Result<()> {
    sql!("INSERT INTO plan_version (tenant_id, plan_id, version, applies, published_at, published_by, terms) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, plan_id, version) DO NOTHING")
        .bind(tenant)
        .bind(&row.plan_id)
        .bind(row.version)
        .bind(&row.applies)
        .bind(row.published_at)
        .bind(&row.published_by)
        .bind(&row.terms)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Adds a plan with what it grants.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, plan: &Plan) -> Result<()> {
    sql!("INSERT INTO plan (tenant_id, plan_id, slug, name, description, version, active, visible, contact_sales, position, trial_days) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(tenant)
        .bind(&plan.id)
        .bind(&*plan.slug)
        .bind(&*plan.name)
        .bind(&*plan.description)
        .bind(plan.version)
        .bind(plan.active)
        .bind(plan.visible)
        .bind(plan.contact_sales)
        .bind(plan.position)
        .bind(plan.trial_days)
        .execute(&mut *tx)
        .await?;
    for (feature, granted) in &plan.features {
        put_feature(tx, tenant, &plan.id, feature, granted).await?;
    }
    Ok(())
}

/// Sets what a plan grants of a feature.
pub async fn put_feature(
    tx: &mut Tx,
    tenant: &TenantId,
    plan: &PlanId,
    feature: &FeatureKey,
    granted: &PlanFeature,
) -> Result<()> {
    sql!("INSERT INTO plan_feature (tenant_id, plan_id, feature, enabled, limit_value, limit_type, reset, warning, critical, fail_open, overage_micros, rollover_cap) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (tenant_id, plan_id, feature) DO UPDATE SET enabled = excluded.enabled, limit_value = excluded.limit_value, limit_type = excluded.limit_type, reset = excluded.reset, warning = excluded.warning, critical = excluded.critical, fail_open = excluded.fail_open, overage_micros = excluded.overage_micros, rollover_cap = excluded.rollover_cap")
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
        .bind(granted.overage_micros)
        .bind(granted.rollover_cap)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Takes a feature out of a plan.
pub async fn remove_feature(tx: &mut Tx, tenant: &TenantId, plan: &PlanId, feature: &FeatureKey) -> Result<()> {
    sql!("DELETE FROM plan_feature WHERE tenant_id = $1 AND plan_id = $2 AND feature = $3")
        .bind(tenant)
        .bind(plan)
        .bind(feature)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Current subscriptions of each plan.
pub async fn subscribers(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<BTreeMap<PlanId, i64>> {
    let rows: Vec<(String, i64)> = sql!("SELECT plan_id, COUNT(*) FROM subscription WHERE tenant_id = $1 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') GROUP BY plan_id")
        .bind(tenant)
        .all(on)
        .await?;
    Ok(rows.into_iter().map(|(plan, count)| (PlanId::stored(plan), count)).collect())
}

/// Current subscriptions of one plan.
pub async fn subscribers_of(on: impl Into<On<'_>>, tenant: &TenantId, plan: &PlanId) -> Result<i64> {
    let row: Option<(i64,)> = sql!("SELECT COUNT(*) FROM subscription WHERE tenant_id = $1 AND plan_id = $2 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled')")
        .bind(tenant)
        .bind(plan)
        .find(on)
        .await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Counts a change of the plan's prices in its revision, so that an edit made from before is noticed.
pub async fn touch(tx: &mut Tx, tenant: &TenantId, plan: &PlanId) -> Result<()> {
    sql!("UPDATE plan SET revision = revision + 1 WHERE tenant_id = $1 AND plan_id = $2")
        .bind(tenant)
        .bind(plan)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Saves or drops a draft.
pub async fn put_draft(
    tx: &mut Tx,
    tenant: &TenantId,
    plan: &PlanId,
    draft: Option<(&str, &str, Timestamp)>,
) -> Result<()> {
    let (text, by, at) = match draft {
        Some((text, by, at)) => (Some(text), Some(by), Some(at)),
        None => (None, None, None),
    };
    sql!("UPDATE plan SET draft = $3, draft_by = $4, draft_at = $5, draft_revision = draft_revision + 1 WHERE tenant_id = $1 AND plan_id = $2")
        .bind(tenant)
        .bind(plan)
        .bind(text)
        .bind(by)
        .bind(at)
        .execute(tx)
        .await
        .map(|_| ())
}
