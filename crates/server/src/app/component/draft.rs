//! Drafts of components, and the versions that were published.

use domain::id::FeatureKey;
use serde_json::{Map, Value};
use store::component::VersionRow;
use store::list::Wanted;

use super::definition::Edit;
use super::edit::{View, current, differing, get, locked, replace, unknown};
use super::{Definition, check};
use crate::app::audit;
use crate::app::revision::Expected;
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// An edit that is not published yet.
#[derive(Debug)]
pub struct Draft {
    /// What the component would be made of.
    pub definition: Definition,
    /// The version that it was made from.
    pub based_on: i64,
    /// The version that is live.
    pub live: i64,
    /// The component's revision.
    pub revision: i64,
    /// The fields that differ from what is live.
    pub changed: Vec<String>,
}

fn none() -> Error {
    Error::new(Code::NotFound, "The component has no draft; save one with PUT.")
}

fn members(definition: &Definition) -> Result<Map<String, Value>> {
    let value = serde_json::to_value(definition).map_err(Error::internal)?;
    Ok(value.as_object().cloned().unwrap_or_default())
}

/// The draft of a component.
pub async fn read(cx: &Cx, key: &FeatureKey) -> Result<Draft> {
    let row = store::component::find(&cx.app.db, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    let text = store::component::find_draft(&cx.app.db, cx.tenant.id(), key).await?.ok_or_else(none)?;
    let definition: Definition = serde_json::from_str(&text).map_err(Error::internal)?;
    let live = Definition::of_row(&row.component, &row.definition)?;
    let (_, changed) = differing(members(&live)?, members(&definition)?);
    Ok(Draft {
        definition,
        based_on: row.draft_of.unwrap_or(row.version),
        live: row.version,
        revision: row.revision,
        changed: changed.into_iter().map(|(name, _)| name).collect(),
    })
}

/// Saves a draft: what is live with an edit. One that was there before is replaced.
pub async fn save(cx: &Cx, key: &FeatureKey, edit: Edit, expected: &Expected) -> Result<Draft> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = locked(&mut tx, cx, key, expected).await?;
    let live = Definition::of_row(&row.component, &row.definition)?;
    let definition = edit.applied(live.clone());
    check::definition(&check::Around::of(&cx.tenant), key, &definition)?;
    let text = serde_json::to_string(&definition).map_err(Error::internal)?;
    store::component::set_draft(&mut tx, cx.tenant.id(), key, Some((&text, row.version))).await?;
    let (was, is) = differing(members(&live)?, members(&definition)?);
    let action = "component.draft.saved";
    let change = audit::Change { action, target: key.as_str(), before: Some(was.into()), after: Some(is.into()) };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    read(cx, key).await
}

/// Drops the draft.
pub async fn drop_draft(cx: &Cx, key: &FeatureKey, expected: &Expected) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    let row = locked(&mut tx, cx, key, expected).await?;
    if row.draft_of.is_none() {
        return Err(none());
    }
    store::component::set_draft(&mut tx, cx.tenant.id(), key, None).await?;
    let change = audit::Change { action: "component.draft.dropped", target: key.as_str(), before: None, after: None };
    audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

/// Makes the draft live, as a new version.
pub async fn publish(cx: &Cx, key: &FeatureKey, expected: &Expected) -> Result<View> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = locked(&mut tx, cx, key, expected).await?;
    let text = store::component::find_draft(&mut tx, cx.tenant.id(), key).await?.ok_or_else(none)?;
    if row.draft_of != Some(row.version) {
        let detail = "Another version was published since the draft was made; save it again from what is live now.";
        return Err(Error::new(Code::PreconditionFailed, detail));
    }
    let definition: Definition = serde_json::from_str(&text).map_err(Error::internal)?;
    // Features and upstreams may have gone since it was saved.
    check::definition(&check::Around::of(&cx.tenant), key, &definition)?;
    replace(&mut tx, cx, (&row, row.clone()), &definition, ("component.published", "published")).await?;
    store::component::set_draft(&mut tx, cx.tenant.id(), key, None).await?;
    tx.commit().await?;
    get(cx, key).await
}

/// Publishes an older version again, as a new one: the one before by default.
pub async fn undo(cx: &Cx, key: &FeatureKey, version: Option<i64>, expected: &Expected) -> Result<View> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = locked(&mut tx, cx, key, expected).await?;
    let wanted = version.unwrap_or_else(|| row.version.saturating_sub(1));
    let found = store::component::find_version(&mut tx, cx.tenant.id(), key, wanted).await?;
    let older = found.ok_or_else(|| {
        Error::field(
            "/version",
            format!("name a version from 1 to {}; there is nothing to undo otherwise", row.version),
        )
    })?;
    let definition = Definition::of_row(key.as_str(), &older.definition)?;
    check::definition(&check::Around::of(&cx.tenant), key, &definition)?;
    if replace(&mut tx, cx, (&row, row.clone()), &definition, ("component.undone", "undone")).await? {
        tx.commit().await?;
    }
    get(cx, key).await
}

/// The versions of a component.
pub async fn versions(cx: &Cx, key: &FeatureKey, wanted: &Wanted) -> Result<Vec<(VersionRow, Definition)>> {
    store::component::find(&cx.app.db, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    let rows = store::component::versions(&cx.app.db, cx.tenant.id(), key, wanted).await?;
    rows.into_iter()
        .map(|row| Definition::of_row(key.as_str(), &row.definition).map(|definition| (row, definition)))
        .collect()
}
