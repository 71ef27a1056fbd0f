//! Features: what plans can grant. One that a plan grants, or ever granted, is archived instead of deleted.

use std::collections::BTreeMap;

use domain::catalog::FeatureKind;
use domain::id::FeatureKey;
use serde_json::{Value, json};
use store::db::Tx;
use store::feature::FeatureRow;
use store::gate::Idempotency;

use super::patch::Patch;
use super::plan::fresh;
use super::revision::Expected;
use super::{audit, creation};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Features of a tenant.
pub const FEATURES_MAX: usize = 1_000;
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
pub const UNIT_CHARS_MAX: usize = 40;
pub const POSITION_MAX: i64 = 1_000_000;

/// A feature with the plans that grant it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its row.
    pub row: FeatureRow,
    /// Names of plans in URLs.
    pub plans: Vec<String>,
}

/// What changes of a feature; what is absent stays. Its kind never changes, because counters depend on it.
#[derive(Debug, Clone, Default)]
pub struct FeatureEdit {
    pub name: Option<String>,
    pub description: Option<String>,
    pub unit: Patch<String>,
    pub position: Option<i64>,
    pub archived: Option<bool>,
}

fn unknown() -> Error {
    Error::new(Code::UnknownFeature, "There is no such feature; GET /api/admin/features lists them.")
}

/// A key in a path.
pub fn key(text: &str) -> Result<FeatureKey> {
    FeatureKey::parse(text).map_err(|_| unknown())
}

/// All features, also archived ones, in their order.
pub async fn list(cx: &Cx) -> Result<Vec<Listed>> {
    let cx = &fresh(cx).await?;
    let mut granted: BTreeMap<&FeatureKey, Vec<String>> = BTreeMap::new();
    for plan in cx.tenant.catalog.plans.values() {
        for feature in plan.features.keys() {
            granted.entry(feature).or_default().push(plan.slug.to_string());
        }
    }
    let listed = |row: FeatureRow| {
        let mut plans = granted.remove(&FeatureKey::stored(row.feature.as_str())).unwrap_or_default();
        plans.sort();
        Listed { row, plans }
    };
    Ok(store::feature::rows(&cx.app.db, cx.tenant.id()).await?.into_iter().map(listed).collect())
}

/// One feature.
pub async fn get(cx: &Cx, key: &FeatureKey) -> Result<Listed> {
    list(cx).await?.into_iter().find(|listed| listed.row.feature == key.as_str()).ok_or_else(unknown)
}

/// Makes a feature. A retry with the same key answers the one that was made, and that it was.
pub async fn create(
    cx: &Cx,
    (key, kind): (&FeatureKey, FeatureKind),
    edit: FeatureEdit,
    identity: Option<&Idempotency>,
) -> Result<(Listed, bool)> {
    if edit.name.is_none() {
        return Err(Error::field("/name", "name the feature, as people shall read it"));
    }
    let mut tx = cx.app.db.begin().await?;
    if creation::claim(&mut tx, cx, identity).await?.is_some() {
        drop(tx);
        return Ok((get(cx, key).await?, true));
    }
    let others = store::feature::rows(&mut tx, cx.tenant.id()).await?;
    if others.len() >= FEATURES_MAX {
        return Err(Error::field("/feature", format!("a tenant has at most {FEATURES_MAX} features")));
    }
    if others.iter().any(|other| other.feature == key.as_str()) {
        let detail = format!("A feature is called {key} already, maybe archived; choose another key.");
        return Err(Error::new(Code::Taken, detail));
    }
    let last = others.iter().map(|other| other.position).max().map_or(0, |last| (last + 1).min(POSITION_MAX));
    let blank = FeatureRow { position: last, ..blank(key, kind)? };
    let row = edited(cx, &blank, edit)?;
    write(&mut tx, cx, (None, &row)).await?;
    creation::note(&mut tx, cx, identity, key.as_str()).await?;
    tx.commit().await?;
    Ok((Listed { row, plans: Vec::new() }, false))
}

/// A feature that nothing is said of but its kind.
pub fn blank(key: &FeatureKey, kind: FeatureKind) -> Result<FeatureRow> {
    let kind = serde_json::to_value(kind).map_err(Error::internal)?;
    Ok(FeatureRow {
        feature: key.to_string(),
        name: String::new(),
        description: String::new(),
        kind: kind.as_str().unwrap_or_default().to_owned(),
        unit: None,
        position: 0,
        archived_at: None,
        revision: 1,
    })
}

/// Writes a feature that is new, or says something else from now on. Answers whether anything changes.
pub async fn write(tx: &mut Tx, cx: &Cx, (before, row): (Option<&FeatureRow>, &FeatureRow)) -> Result<bool> {
    let (told_before, told_after) = (before.map(told), told(row));
    if told_before.as_ref() == Some(&told_after) {
        return Ok(false);
    }
    let action = if before.is_none() { "feature.created" } else { "feature.updated" };
    match before {
        None => store::feature::insert(tx, cx.tenant.id(), row).await?,
        Some(_) => store::feature::update(tx, cx.tenant.id(), row).await?,
    }
    let change = audit::Change { action, target: &row.feature, before: told_before, after: Some(told_after) };
    audit::write(tx, cx, change).await?;
    store::tenant::bump_epoch(tx, cx.tenant.id(), cx.now).await?;
    Ok(true)
}

/// Changes a feature.
pub async fn edit(cx: &Cx, key: &FeatureKey, expected: &Expected, edit: FeatureEdit) -> Result<Listed> {
    let cx = &fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = store::feature::lock(&mut tx, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    expected.check(cx, before.revision)?;
    let after = edited(cx, &before, edit)?;
    if write(&mut tx, cx, (Some(&before), &after)).await? {
        tx.commit().await?;
    }
    get(cx, key).await
}

fn edited(cx: &Cx, before: &FeatureRow, edit: FeatureEdit) -> Result<FeatureRow> {
    let FeatureEdit { name, description, unit, position, archived } = edit;
    let mut row = before.clone();
    if let Some(name) = name {
        row.name = face("/name", &name, TEXT_CHARS_MAX)?;
    }
    if let Some(description) = description {
        row.description = prose("/description", &description, DESCRIPTION_CHARS_MAX)?;
    }
    row.unit = unit.try_map(|unit| face("/unit", &unit, UNIT_CHARS_MAX))?.of(before.unit.clone());
    if let Some(position) = position {
        if !(0..=POSITION_MAX).contains(&position) {
            return Err(Error::field("/position", format!("use a whole number from 0 to {POSITION_MAX}")));
        }
        row.position = position;
    }
    row.archived_at = match archived {
        Some(true) => before.archived_at.or(Some(cx.tenant_now().as_micros())),
        Some(false) => None,
        None => before.archived_at,
    };
    Ok(row)
}

/// Deletes a feature that nothing has ever had.
pub async fn delete(cx: &Cx, key: &FeatureKey, expected: &Expected) -> Result<()> {
    let cx = &fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = store::feature::lock(&mut tx, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    expected.check(cx, before.revision)?;
    let plans = store::feature::granted_by(&mut tx, cx.tenant.id(), key).await?;
    if !plans.is_empty() {
        let detail = format!(
            "The plans {} grant it or did so once; archive it instead: PATCH it with {{\"archived\": true}}.",
            plans.join(", ")
        );
        return Err(Error::new(Code::InUse, detail));
    }
    if store::feature::is_used(&mut tx, cx.tenant.id(), key).await? {
        let detail =
            "A component, an override or credits are about it; archive it instead: PATCH it with {\"archived\": true}.";
        return Err(Error::new(Code::InUse, detail));
    }
    store::feature::delete(&mut tx, cx.tenant.id(), key).await?;
    let change =
        audit::Change { action: "feature.deleted", target: key.as_str(), before: Some(told(&before)), after: None };
    audit::write(&mut tx, cx, change).await?;
    store::tenant::bump_epoch(&mut tx, cx.tenant.id(), cx.now).await?;
    Ok(tx.commit().await?)
}

fn told(row: &FeatureRow) -> Value {
    json!({
        "name": row.name,
        "description": row.description,
        "kind": row.kind,
        "unit": row.unit,
        "position": row.position,
        "archived": row.archived_at.is_some(),
    })
}

/// A short text that people read, without blanks around it.
pub fn face(pointer: &str, text: &str, chars_max: usize) -> Result<String> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars == 0 || chars > chars_max || text.chars().any(char::is_control) {
        return Err(Error::field(pointer, format!("use 1 to {chars_max} characters without line breaks")));
    }
    Ok(text.to_owned())
}

/// A longer text that people read; it may be empty.
pub fn prose(pointer: &str, text: &str, chars_max: usize) -> Result<String> {
    let text = text.trim();
    let odd = |c: char| c.is_control() && c != '\n';
    if text.chars().count() > chars_max || text.chars().any(odd) {
        return Err(Error::field(
            pointer,
            format!("use at most {chars_max} characters; of control characters only line breaks"),
        ));
    }
    Ok(text.to_owned())
}
