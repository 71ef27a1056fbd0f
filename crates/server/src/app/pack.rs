//! Credit packs: units of a feature that are bought once and used after the plan's own.

use std::collections::BTreeMap;

use domain::catalog::{Feature, FeatureKind};
use domain::id::FeatureKey;
use domain::money::{Currency, Money};
use domain::usage::AMOUNT_MAX;
use serde_json::{Value, json};
use store::db::Tx;
use store::gate::Idempotency;
use store::pack::PackRow;

use super::component::edit::current;
use super::patch::Patch;
use super::revision::Expected;
use super::{audit, creation};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Packs of a tenant.
pub const PACKS_MAX: usize = 500;
const DAYS_MAX: i64 = 3_650;

/// What an edit says; what it does not say stays.
#[derive(Debug, Default)]
pub struct Edit {
    /// What people read.
    pub name: Option<String>,
    /// What it has units of.
    pub feature: Option<FeatureKey>,
    /// How many.
    pub amount: Option<i64>,
    /// A decimal number.
    pub price: Option<String>,
    /// ISO 4217; the tenant's by default.
    pub currency: Option<String>,
    /// Days after the purchase until what is left is lost, or that it never is.
    pub expires_after_days: Patch<i64>,
    /// Whether it is sold.
    pub active: Option<bool>,
    /// Order in lists.
    pub position: Option<i64>,
}

/// All packs, also those that are not sold.
pub async fn list(cx: &Cx) -> Result<Vec<PackRow>> {
    Ok(store::pack::list(&cx.app.db, cx.tenant.id()).await?)
}

/// The price of a pack.
pub fn price(row: &PackRow) -> Result<Money> {
    Ok(Money::new(row.price_minor, Currency::parse(&row.currency).map_err(Error::internal)?))
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "GET /api/admin/packs lists the packs that there are.")
}

async fn get(cx: &Cx, slug: &str) -> Result<PackRow> {
    list(cx).await?.into_iter().find(|row| row.slug == slug).ok_or_else(unknown)
}

/// Adds a pack. Answers whether a request with the same key had added it before.
pub async fn create(cx: &Cx, (slug, edit): (&str, Edit), identity: Option<&Idempotency>) -> Result<(PackRow, bool)> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        drop(tx);
        return Ok((get(cx, &made).await?, true));
    }
    check_slug(slug)?;
    if let Some(taken) = store::pack::find_locked(&mut tx, cx.tenant.id(), slug).await? {
        let was = if taken.archived { "was called so" } else { "is called so" };
        return Err(Error::new(Code::Taken, format!("A pack {was} already; choose another slug.")));
    }
    let rows = store::pack::list(&mut tx, cx.tenant.id()).await?;
    if rows.len() >= PACKS_MAX {
        return Err(Error::field("/slug", format!("there are {PACKS_MAX} packs already")));
    }
    let last = rows.iter().map(|row| row.position).max().map_or(0, |last| last.saturating_add(1));
    let blank = PackRow { position: last, ..blank(cx, slug) };
    let row = applied(&cx.tenant.catalog.features, &blank, edit)?;
    write(&mut tx, cx, (None, &row), "pack.created").await?;
    creation::note(&mut tx, cx, identity, slug).await?;
    tx.commit().await?;
    Ok((row, false))
}

/// Checks what a pack is to be called in URLs, where `-` and `_` are not the same: it is kept as it is written.
pub fn check_slug(slug: &str) -> Result<()> {
    let checked = FeatureKey::parse(slug).map(|_| ());
    checked.map_err(|_| Error::field("/slug", "use 1 to 64 of a-z, 0-9, _ and -, starting with a letter"))
}

/// A pack that nothing is said of yet.
pub fn blank(cx: &Cx, slug: &str) -> PackRow {
    PackRow {
        slug: slug.to_owned(),
        name: String::new(),
        feature: String::new(),
        amount: 0,
        price_minor: 0,
        currency: cx.tenant.row.currency.clone(),
        expires_after_days: None,
        active: true,
        archived: false,
        position: 0,
        revision: 1,
    }
}

/// Changes a pack. Who bought one keeps what they bought.
pub async fn change(cx: &Cx, slug: &str, edit: Edit, expected: &Expected) -> Result<PackRow> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = locked(&mut tx, cx, slug, expected).await?;
    let mut row = applied(&cx.tenant.catalog.features, &before, edit)?;
    row.revision = row.revision.saturating_add(1);
    write(&mut tx, cx, (Some(&before), &row), "pack.changed").await?;
    tx.commit().await?;
    Ok(row)
}

/// Takes a pack away.
pub async fn archive(cx: &Cx, slug: &str, expected: &Expected) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    let before = locked(&mut tx, cx, slug, expected).await?;
    let row = PackRow { archived: true, active: false, revision: before.revision.saturating_add(1), ..before.clone() };
    write(&mut tx, cx, (Some(&before), &row), "pack.archived").await?;
    Ok(tx.commit().await?)
}

async fn locked(tx: &mut Tx, cx: &Cx, slug: &str, expected: &Expected) -> Result<PackRow> {
    let row = store::pack::find_locked(tx, cx.tenant.id(), slug).await?.filter(|row| !row.archived);
    let row = row.ok_or_else(unknown)?;
    expected.check(cx, row.revision)?;
    Ok(row)
}

/// Writes a pack that is new, or something else from now on.
pub async fn write(
    tx: &mut Tx,
    cx: &Cx,
    (before, row): (Option<&PackRow>, &PackRow),
    action: &'static str,
) -> Result<()> {
    store::pack::put(tx, cx.tenant.id(), row).await?;
    store::tenant::bump_epoch(tx, cx.tenant.id(), cx.now).await?;
    let (before, after) = (before.map(state).transpose()?, Some(state(row)?));
    audit::write(tx, cx, audit::Change { action, target: &row.slug, before, after }).await
}

fn state(row: &PackRow) -> Result<Value> {
    Ok(json!({
        "name": row.name, "feature": row.feature, "amount": row.amount, "price": price(row)?.to_string(),
        "currency": row.currency, "expiresAfterDays": row.expires_after_days, "active": row.active,
        "archived": row.archived, "position": row.position,
    }))
}

/// What becomes of a pack, in a catalog with these features.
pub fn applied(features: &BTreeMap<FeatureKey, Feature>, before: &PackRow, edit: Edit) -> Result<PackRow> {
    let mut row = before.clone();
    row.name = edit.name.map_or(row.name, |name| name.trim().to_owned());
    let chars = row.name.chars().count();
    if chars == 0 || chars > TEXT_CHARS_MAX || row.name.chars().any(char::is_control) {
        return Err(Error::field("/name", format!("use 1 to {TEXT_CHARS_MAX} characters without line breaks")));
    }
    row.feature = edit.feature.map_or(row.feature, |feature| feature.to_string());
    let feature = features.get(&FeatureKey::stored(row.feature.as_str()));
    if !feature.is_some_and(|feature| matches!(feature.kind, FeatureKind::Counter | FeatureKind::Credit)) {
        return Err(Error::field("/feature", "name a counter or a credit of the catalog"));
    }
    row.amount = edit.amount.unwrap_or(row.amount);
    if !(1..=AMOUNT_MAX).contains(&row.amount) {
        return Err(Error::field("/amount", format!("use a whole number from 1 to {AMOUNT_MAX}")));
    }
    let moved = edit.currency.as_ref().is_some_and(|currency| *currency != row.currency);
    if moved && edit.price.is_none() {
        return Err(Error::field("/price", "name the price in the new currency, too"));
    }
    row.currency = edit.currency.unwrap_or(row.currency);
    let currency = Currency::parse(&row.currency).map_err(|e| Error::field("/currency", e.to_string()))?;
    if let Some(text) = edit.price {
        let amount = Money::parse(&text, currency).map_err(|e| Error::field("/price", e.to_string()))?;
        row.price_minor = Some(amount.minor)
            .filter(|minor| *minor >= 0)
            .ok_or_else(|| Error::field("/price", "use a price of at least 0"))?;
    }
    row.expires_after_days = edit.expires_after_days.of(row.expires_after_days);
    if row.expires_after_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(Error::field("/expiresAfterDays", format!("use 1 to {DAYS_MAX} days, or null for never")));
    }
    row.active = edit.active.unwrap_or(row.active);
    row.position = edit.position.unwrap_or(row.position);
    Ok(row)
}
