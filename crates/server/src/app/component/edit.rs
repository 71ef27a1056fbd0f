//! Adding, changing and taking away AI components. What is answered is live: the next call on any node uses it.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Feature, FeatureKind, LimitType, PlanFeature, Thresholds};
use domain::id::{FeatureKey, PlanId};
use domain::plan::Applies;
use domain::time::Reset;
use domain::usage::AMOUNT_MAX;
use serde_json::{Map, Value, json};
use store::component::{ComponentRow, Made};
use store::db::Tx;
use store::gate::Idempotency;

use super::definition::Edit;
use super::{ChargeRule, Definition, Draw, check};
use crate::app::plan::{self, Publication};
use crate::app::revision::Expected;
use crate::app::{audit, creation, feature};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// Components of a tenant, those that were taken away included.
pub const COMPONENTS_MAX: usize = 500;

/// A component as an admin sees it.
#[derive(Debug, Clone)]
pub struct View {
    /// Its row.
    pub row: ComponentRow,
    /// What is live.
    pub definition: Definition,
    /// The plans that are sold and include all that a call draws.
    pub available_in: Vec<String>,
    /// The other plans that are sold.
    pub missing_in: Vec<String>,
}

/// A component to add.
#[derive(Debug)]
pub struct New {
    /// Its key, which is also its feature's.
    pub key: FeatureKey,
    /// What it is made of; the rest has defaults.
    pub edit: Edit,
    /// Whether it may be called.
    pub active: bool,
    /// Order in lists; the last by default.
    pub position: Option<i64>,
    /// Plans by slug that are to grant its own feature, with the limit; none is unlimited.
    pub grant: BTreeMap<String, Option<i64>>,
}

/// What may be switched without a new version.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches {
    /// Whether it may be called.
    pub active: Option<bool>,
    /// Order in lists.
    pub position: Option<i64>,
    /// Whether it is taken away.
    pub archived: Option<bool>,
}

/// The call with the tenant as the database has it now.
pub async fn current(cx: &Cx) -> Result<Cx> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    Ok(cx.clone().with_tenant(tenant))
}

/// The error for a component that is not there.
pub fn unknown() -> Error {
    Error::new(Code::UnknownComponent, "GET /api/admin/components lists the components that there are.")
}

fn view(cx: &Cx, row: ComponentRow) -> Result<View> {
    let definition = Definition::of_row(&row.component, &row.definition)?;
    let needed: Vec<_> = definition.draws.iter().map(|draw| &draw.feature).chain(&definition.credit_feature).collect();
    let mut plans: Vec<_> = cx.tenant.catalog.plans.values().filter(|plan| plan.active).collect();
    plans.sort_by_key(|plan| plan.position);
    let has =
        |feature: &FeatureKey, plan: &domain::catalog::Plan| plan.features.get(feature).is_some_and(|f| f.enabled);
    let (with, without): (Vec<_>, Vec<_>) =
        plans.into_iter().partition(|plan| needed.iter().all(|feature| has(feature, plan)));
    let slugs = |plans: Vec<&domain::catalog::Plan>| plans.into_iter().map(|plan| plan.slug.to_string()).collect();
    Ok(View { row, definition, available_in: slugs(with), missing_in: slugs(without) })
}

/// All components.
pub async fn list(cx: &Cx) -> Result<Vec<View>> {
    let cx = current(cx).await?;
    let rows = store::component::list(&cx.app.db, cx.tenant.id()).await?;
    rows.into_iter().map(|row| view(&cx, row)).collect()
}

/// One component, also one that was taken away.
pub async fn get(cx: &Cx, key: &FeatureKey) -> Result<View> {
    let cx = current(cx).await?;
    let row = store::component::find(&cx.app.db, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    view(&cx, row)
}

/// The row that a transaction changes, if it may be changed from where the caller read it.
pub async fn locked(tx: &mut Tx, cx: &Cx, key: &FeatureKey, expected: &Expected) -> Result<ComponentRow> {
    let row = store::component::find_locked(tx, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    expected.check(cx, row.revision)?;
    Ok(row)
}

/// Adds a component, with its own feature when that is missing and with what plans grant of it. Answers whether a request
/// with the same key had added it before.
pub async fn create(cx: &Cx, new: New, identity: Option<&Idempotency>) -> Result<(View, bool)> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        drop(tx);
        return Ok((get(cx, &FeatureKey::stored(made)).await?, true));
    }
    let definition = new.edit.clone().applied(blank(cx, &new.key, new.edit.upstream.as_deref()));
    check::definition(&check::Around::of(&cx.tenant), &new.key, &definition)?;
    let grants = grants(cx, &definition, &new.key, &new.grant)?;
    let rows = store::component::list(&mut tx, cx.tenant.id()).await?;
    if let Some(row) = rows.iter().find(|row| row.component == new.key.as_str()) {
        let detail = if row.archived {
            format!("{} was taken away; PATCH {{\"archived\": false}} brings it back.", new.key)
        } else {
            format!("A component is called {} already; change it, or choose another key.", new.key)
        };
        return Err(Error::new(Code::Taken, detail));
    }
    if rows.len() >= COMPONENTS_MAX {
        return Err(Error::field("/key", format!("there are {COMPONENTS_MAX} components already")));
    }
    let last = rows.iter().map(|row| row.position).max().map_or(0, |last| last.saturating_add(1));
    let position = new.position.unwrap_or(last);
    let row = ComponentRow { active: new.active, position, ..definition.new_row(&new.key)? };
    write(&mut tx, cx, &row, (&definition, &grants)).await?;
    creation::note(&mut tx, cx, identity, new.key.as_str()).await?;
    tx.commit().await?;
    Ok((get(cx, &new.key).await?, false))
}

/// Writes a new component, with its own feature when that is missing and with what plans grant of it.
pub async fn write(
    tx: &mut Tx,
    cx: &Cx,
    row: &ComponentRow,
    (definition, grants): (&Definition, &[(PlanId, PlanFeature)]),
) -> Result<()> {
    let (tenant, key) = (cx.tenant.id(), FeatureKey::stored(row.component.as_str()));
    let own = definition.draws.iter().any(|draw| draw.feature == key);
    // Plans are locked before features, in the order of their names, as everywhere.
    let slug_of = |plan| cx.tenant.catalog.plans.get(plan).map(|plan| plan.slug.to_string()).unwrap_or_default();
    let granted_by: BTreeSet<String> = grants.iter().map(|(plan, _)| slug_of(plan)).collect();
    for slug in &granted_by {
        store::plan::lock(tx, tenant, slug).await?;
    }
    if own && store::feature::lock(tx, tenant, &key).await?.is_none() {
        let features = &cx.tenant.catalog.features;
        let name = definition.name.as_str().into();
        let feature =
            Feature { key: key.clone(), name, kind: FeatureKind::Counter, unit: Some("calls".into()), archived: false };
        store::catalog::insert_feature(tx, tenant, &feature, i64::try_from(features.len()).unwrap_or(0)).await?;
    }
    store::component::insert(tx, tenant, row).await?;
    keep(tx, cx, row, "created").await?;
    for (plan, granted) in grants {
        let before = plan::lock(tx, cx, &slug_of(plan)).await?;
        let mut terms = before.terms.clone();
        terms.features.insert(key.clone(), granted.clone());
        plan::publish(
            tx,
            cx,
            &before,
            Publication { terms, applies: Applies::Now, action: "plan.updated", archived_at: before.row.archived_at },
        )
        .await?;
    }
    store::tenant::bump_epoch(tx, tenant, cx.now).await?;
    let mut after = state(row, definition)?;
    if !grants.is_empty() {
        let granted = grants.iter().map(|(plan, granted)| (plan.to_string(), limit_of(granted).into()));
        after.insert("grant".to_owned(), Value::Object(granted.collect()));
    }
    let change =
        audit::Change { action: "component.created", target: &row.component, before: None, after: Some(after.into()) };
    audit::write(tx, cx, change).await
}

fn limit_of(granted: &PlanFeature) -> Option<i64> {
    (granted.limit_type != LimitType::Unlimited).then_some(granted.limit)
}

/// What a component is made of as long as nobody says otherwise: on the upstream that was named, or the only one.
fn blank(cx: &Cx, key: &FeatureKey, upstream: Option<&str>) -> Definition {
    let upstreams = &cx.tenant.upstreams;
    let mut meant = upstreams.iter().filter(|(name, _)| upstream.is_none_or(|wanted| wanted == name.as_str()));
    let only = meant.next().filter(|_| meant.next().is_none());
    Definition {
        name: String::new(),
        category: "general".to_owned(),
        description: String::new(),
        base_token_cost: 0,
        credit_feature: None,
        upstream: only.map(|(name, _)| name.clone()).unwrap_or_default(),
        model: only.filter(|(_, upstream)| upstream.name() == "demo").map(|_| "demo".to_owned()).unwrap_or_default(),
        charge_rule: ChargeRule::Success,
        draws: vec![Draw { feature: key.clone(), amount: 1 }],
        actions: Vec::new(),
    }
}

/// What plans are to grant of a new component's own feature: a period like that of the counters which the plan has.
fn grants(
    cx: &Cx,
    definition: &Definition,
    key: &FeatureKey,
    wanted: &BTreeMap<String, Option<i64>>,
) -> Result<Vec<(PlanId, PlanFeature)>> {
    if !wanted.is_empty() && !definition.draws.iter().any(|draw| draw.feature == *key) {
        return Err(Error::field("/grant", format!("calls do not draw `{key}`; add it to draws, or leave grant out")));
    }
    let catalog = &cx.tenant.catalog;
    let is_counter =
        |feature: &FeatureKey| catalog.features.get(feature).is_some_and(|f| f.kind == FeatureKind::Counter);
    let grant = |(slug, limit): (&String, &Option<i64>)| {
        let pointer = format!("/grant/{slug}");
        let plan = catalog.plan_by_slug(slug);
        let plan = plan.ok_or_else(|| Error::field(&pointer, "name a plan, such as the ones of GET /api/plans"))?;
        if limit.is_some_and(|limit| !(0..=AMOUNT_MAX).contains(&limit)) {
            let detail = format!("use a whole number from 0 to {AMOUNT_MAX}, or null for unlimited");
            return Err(Error::field(pointer, detail));
        }
        let counters = plan.features.iter().filter(|(feature, _)| is_counter(feature));
        let reset = counters.map(|(_, granted)| granted.reset).next().unwrap_or(Reset::BillingMonth);
        let granted = PlanFeature {
            enabled: true,
            limit: limit.unwrap_or(0),
            limit_type: if limit.is_some() { LimitType::Hard } else { LimitType::Unlimited },
            reset,
            thresholds: Thresholds::default(),
            fail_open: 0,
            overage_micros: None,
            rollover_cap: None,
        };
        Ok((plan.id.clone(), granted))
    };
    wanted.iter().map(grant).collect()
}

/// Changes a component. What it is made of becomes a new version; the switches do not.
pub async fn change(
    cx: &Cx,
    key: &FeatureKey,
    (edit, switches): (Edit, Switches),
    expected: &Expected,
) -> Result<View> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = locked(&mut tx, cx, key, expected).await?;
    let before = Definition::of_row(&row.component, &row.definition)?;
    let after = edit.applied(before.clone());
    let next = ComponentRow {
        active: switches.active.unwrap_or(row.active),
        position: switches.position.unwrap_or(row.position),
        archived: switches.archived.unwrap_or(row.archived),
        ..row.clone()
    };
    let back = row.archived && !next.archived;
    if row.archived && !back {
        return Err(Error::new(
            Code::NotFound,
            format!("{key} was taken away; {{\"archived\": false}} brings it back."),
        ));
    }
    if back || after != before {
        check::definition(&check::Around::of(&cx.tenant), key, &after)?;
    }
    let action = if !row.archived && next.archived { "component.archived" } else { "component.changed" };
    let moves = row.archived != next.archived;
    if replace(&mut tx, cx, (&row, next), &after, (action, "edited")).await? {
        if moves {
            follow(&mut tx, cx, key, &after).await?;
        }
        tx.commit().await?;
    }
    get(cx, key).await
}

/// A component's own counter is not offered without it, unless another component draws it: it is archived with the
/// component, and comes back with it.
async fn follow(tx: &mut Tx, cx: &Cx, key: &FeatureKey, definition: &Definition) -> Result<()> {
    let rows = store::component::list(&mut *tx, cx.tenant.id()).await?;
    let mut drawn = false;
    for row in rows.iter().filter(|row| !row.archived) {
        let made_of = Definition::of_row(&row.component, &row.definition)?;
        drawn |= made_of.draws.iter().any(|draw| draw.feature == *key) || made_of.credit_feature.as_ref() == Some(key);
    }
    if definition.draws.iter().any(|draw| draw.feature == *key) {
        feature::set_archived(tx, cx, key, !drawn).await?;
    }
    Ok(())
}

/// Writes what becomes of a component: a new version when it is made of something else. Answers whether anything changes.
pub async fn replace(
    tx: &mut Tx,
    cx: &Cx,
    (before, switched): (&ComponentRow, ComponentRow),
    definition: &Definition,
    (action, cause): (&'static str, &'static str),
) -> Result<bool> {
    let old = Definition::of_row(&before.component, &before.definition)?;
    let renewed = old != *definition;
    let mut row = ComponentRow { definition: definition.columns()?, ..switched };
    if renewed {
        row.version = row.version.saturating_add(1);
    }
    let (was, is) = differing(state(before, &old)?, state(&row, definition)?);
    if is.is_empty() {
        return Ok(false);
    }
    row.revision = row.revision.saturating_add(1);
    store::component::update(tx, cx.tenant.id(), &row).await?;
    if renewed {
        keep(tx, cx, &row, cause).await?;
    }
    store::tenant::bump_epoch(tx, cx.tenant.id(), cx.now).await?;
    let change = audit::Change { action, target: &row.component, before: Some(was.into()), after: Some(is.into()) };
    audit::write(tx, cx, change).await?;
    Ok(true)
}

async fn keep(tx: &mut Tx, cx: &Cx, row: &ComponentRow, cause: &'static str) -> Result<()> {
    let made = Made { at: cx.tenant_now(), actor: &cx.actor.name(), cause };
    Ok(store::component::keep_version(tx, cx.tenant.id(), &row.component, made).await?)
}

/// All that an audit entry says of a component.
fn state(row: &ComponentRow, definition: &Definition) -> Result<Map<String, Value>> {
    let switches =
        json!({ "active": row.active, "position": row.position, "archived": row.archived, "version": row.version });
    let definition = serde_json::to_value(definition).map_err(Error::internal)?;
    let members = [definition, switches].into_iter().filter_map(|value| value.as_object().cloned());
    Ok(members.flatten().collect())
}

/// The members that differ.
pub fn differing(before: Map<String, Value>, after: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let was = before.iter().filter(|(name, value)| after.get(*name) != Some(value));
    let is = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let owned = |(name, value): (&String, &Value)| (name.clone(), value.clone());
    (was.map(owned).collect(), is.map(owned).collect())
}
