//! Writes what differs, each thing as an edit of it would: with its audit entry, its version and its jobs.

use domain::plan::Applies;
use serde_json::json;
use store::db::Tx;
use store::tenant::TenantRow;

use super::difference::{self, Change, Kind};
use super::entry::{ComponentEntry, CouponEntry, Entry, PackEntry, PlanEntry, UpstreamEntry};
use super::state::{ComponentState, PlanState, State};
use crate::app::component::edit as component;
use crate::app::plan::{self, Publication};
use crate::app::{audit, coupon, feature, model_price, pack, upstream};
use crate::cx::Cx;
use crate::error::{Error, Result};

/// Writes what the changes name.
pub async fn write(
    tx: &mut Tx,
    cx: &Cx,
    (now, wanted): (&State, &State),
    changes: &[Change],
    applies: Applies,
) -> Result<()> {
    for row in &wanted.features {
        let before = now.features.iter().find(|before| before.feature == row.feature);
        feature::write(tx, cx, (before, row)).await?;
    }
    for row in wanted.upstreams.iter().filter(|row| differs::<UpstreamEntry>(changes, &row.upstream)) {
        let before = now.upstreams.iter().find(|before| before.upstream == row.upstream);
        let action = if before.is_none() { "upstream.created" } else { "upstream.changed" };
        let mut row = row.clone();
        row.revision = before.map_or(row.revision, |before| before.revision.saturating_add(1));
        upstream::write(tx, cx, &row, (action, before)).await?;
    }
    for plan in wanted.plans.iter().filter(|plan| differs::<PlanEntry>(changes, &plan.slug)) {
        write_plan(tx, cx, plan, applies).await?;
    }
    for component in wanted.components.iter().filter(|c| differs::<ComponentEntry>(changes, &c.row.component)) {
        let before = now.components.iter().find(|before| before.row.component == component.row.component);
        write_component(tx, cx, (before, component)).await?;
    }
    for row in wanted.packs.iter().filter(|row| differs::<PackEntry>(changes, &row.slug)) {
        let before = now.packs.iter().find(|before| before.slug == row.slug);
        let action = match before {
            None => "pack.created",
            Some(before) if row.archived && !before.archived => "pack.archived",
            Some(_) => "pack.changed",
        };
        let mut row = row.clone();
        row.revision = before.map_or(row.revision, |before| before.revision.saturating_add(1));
        pack::write(tx, cx, (before, &row), action).await?;
    }
    for row in wanted.coupons.iter().filter(|row| differs::<CouponEntry>(changes, &row.code)) {
        let before = now.coupons.iter().find(|before| before.code == row.code);
        let mut row = row.clone();
        row.revision = before.map_or(row.revision, |before| before.revision.saturating_add(1));
        coupon::write(tx, cx, (before, &row)).await?;
    }
    for row in &wanted.model_prices {
        let same = |other: &&store::model_price::ModelPriceRow| {
            let place = |row: &store::model_price::ModelPriceRow| (row.effective_from, row.prompt_tokens_over);
            other.model == row.model && place(other) == place(row)
        };
        let before = now.model_prices.iter().find(same);
        if before.is_none_or(|before| model_price::rates(before) != model_price::rates(row)) {
            model_price::write(tx, cx, (before, row)).await?;
        }
    }
    Ok(())
}

fn differs<E: Entry>(changes: &[Change], key: &str) -> bool {
    let of_it = |change: &Change| change.section == E::SECTION && change.key == key && change.kind != Kind::Kept;
    changes.iter().any(of_it)
}

async fn write_plan(tx: &mut Tx, cx: &Cx, wanted: &PlanState, applies: Applies) -> Result<()> {
    let is_there = store::plan::find(&mut *tx, cx.tenant.id(), &wanted.slug).await?.is_some();
    if !is_there {
        let blank = plan::blank(&wanted.slug, wanted.terms.position);
        store::plan::insert(tx, cx.tenant.id(), &blank).await?;
    }
    let before = plan::lock(tx, cx, &wanted.slug).await?;
    let archived_at = wanted.archived.then(|| before.row.archived_at.unwrap_or(cx.tenant_now().as_micros()));
    let action = match (is_there, archived_at) {
        (false, _) => "plan.created",
        (true, Some(_)) if before.row.archived_at.is_none() => "plan.archived",
        (true, _) => "plan.updated",
    };
    let applies = if is_there { applies } else { Applies::Now };
    let publication = Publication { terms: wanted.terms.clone(), applies, action, archived_at };
    plan::publish(tx, cx, &before, publication).await.map(drop)
}

async fn write_component(
    tx: &mut Tx,
    cx: &Cx,
    (before, wanted): (Option<&ComponentState>, &ComponentState),
) -> Result<()> {
    let ComponentState { row, definition } = wanted;
    let Some(before) = before else {
        return component::write(tx, cx, row, (definition, &[])).await;
    };
    let archives = row.archived && !before.row.archived;
    let action = if archives { "component.archived" } else { "component.changed" };
    component::replace(tx, cx, (&before.row, row.clone()), definition, (action, "edited")).await.map(drop)
}

/// Gives new customers another plan, or none.
pub async fn default_plan(
    tx: &mut Tx,
    cx: &Cx,
    row: &TenantRow,
    (before, after): (Option<&str>, Option<&str>),
) -> Result<()> {
    let tenant = cx.tenant.id();
    let plan = match after {
        None => None,
        Some(slug) => {
            let plan = store::plan::find(&mut *tx, tenant, slug).await?;
            Some(plan.ok_or_else(|| Error::internal("the default plan is gone"))?.plan_id)
        }
    };
    store::tenant::update(tx, tenant, &TenantRow { default_plan_id: plan, ..row.clone() }).await?;
    let told = |slug: Option<&str>| Some(json!({ "defaultPlan": slug }));
    let change =
        audit::Change { action: "settings.updated", target: &row.slug, before: told(before), after: told(after) };
    audit::write(tx, cx, change).await
}

/// Notes that a document was applied, and that decisions are made with what it says from now on.
pub async fn note(tx: &mut Tx, cx: &Cx, changes: &[Change]) -> Result<()> {
    let [added, edited, archived, _] = difference::counts(changes);
    if added + edited + archived == 0 {
        return Ok(());
    }
    let after = json!({ "added": added, "changed": edited, "archived": archived });
    let target = cx.tenant.row.slug.as_str();
    audit::write(tx, cx, audit::Change { action: "catalog.applied", target, before: None, after: Some(after) }).await?;
    Ok(store::tenant::bump_epoch(tx, cx.tenant.id(), cx.now).await?)
}
