//! Plans: made, edited and archived by admins. An edit is published at once as a new version of the plan.
//!
//! Everything that changes a plan goes through [`publish`]: row, grants, prices, version, audit and epoch move together.

use std::collections::BTreeMap;

use domain::catalog::{Feature, Plan, PlanFeature, Thresholds};
use domain::id::{FeatureKey, PlanId};
use domain::money::Currency;
use domain::plan::{Applies, Offer, Terms};
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::db::Tx;
use store::gate::Idempotency;
use store::plan::{PlanRow, VersionRow as PlanVersionRow};
use store::price::VersionRow;

use super::creation;
use super::grant::{self as granted_as, GrantEdit};
use super::patch::Patch;
use super::price;
use super::revision::Expected;
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

mod publish;
pub use publish::{Publication, publish};

/// Plans of a tenant.
pub const PLANS_MAX: usize = 500;
/// Versions of a plan that are listed.
const VERSIONS_SHOWN_MAX: i64 = 200;
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;
pub const TRIAL_DAYS_MAX: i64 = 730;
pub const POSITION_MAX: i64 = 1_000_000;

/// What an edit changes of a plan; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_sales: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_days: Option<i64>,
    /// The monthly price in the tenant's currency, as somebody wrote it.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub month: Patch<String>,
    /// The yearly price.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub year: Patch<String>,
    /// What it grants, by feature; none takes the feature out of the plan.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<FeatureKey, Option<GrantEdit>>,
}

/// A plan with all that an admin sees of it.
#[derive(Debug, Clone)]
pub struct Sold {
    /// Its row.
    pub row: PlanRow,
    /// What it says.
    pub terms: Terms,
    /// The public prices that are sold now.
    pub prices: Vec<VersionRow>,
    /// Current subscriptions.
    pub subscribers: i64,
}

/// The context with the tenant as it is now: settings and currency decide about an edit.
pub async fn fresh(cx: &Cx) -> Result<Cx> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    Ok(cx.clone().with_tenant(tenant))
}

/// The tenant's own currency.
pub fn currency(cx: &Cx) -> Result<Currency> {
    Currency::parse(&cx.tenant.row.currency).map_err(Error::internal)
}

/// The error for a plan that is not there.
pub fn unknown() -> Error {
    Error::new(Code::NotFound, "There is no such plan; GET /api/admin/plans lists them.")
}

/// All plans, also those that are not sold.
pub async fn list(cx: &Cx) -> Result<Vec<Sold>> {
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let prices = store::price::sold(db, tenant).await?;
    let grants = store::plan::grants(db, tenant).await?;
    let subscribers = store::plan::subscribers(db, tenant).await?;
    put_together(store::plan::rows(db, tenant).await?, prices, grants, &subscribers)
}

/// All plans as a transaction sees them, without counting who has them.
pub async fn read_all(tx: &mut Tx, cx: &Cx) -> Result<Vec<Sold>> {
    let tenant = cx.tenant.id();
    let prices = store::price::sold(&mut *tx, tenant).await?;
    let grants = store::plan::grants(&mut *tx, tenant).await?;
    put_together(store::plan::rows(&mut *tx, tenant).await?, prices, grants, &BTreeMap::new())
}

fn put_together(
    rows: Vec<PlanRow>,
    sold: Vec<VersionRow>,
    mut grants: BTreeMap<PlanId, BTreeMap<FeatureKey, PlanFeature>>,
    subscribers: &BTreeMap<PlanId, i64>,
) -> Result<Vec<Sold>> {
    let mut prices: BTreeMap<String, Vec<VersionRow>> = BTreeMap::new();
    for price in sold {
        prices.entry(price.plan_id.clone()).or_default().push(price);
    }
    let sold = |row: PlanRow| {
        let prices = prices.remove(&row.plan_id).unwrap_or_default();
        let features = grants.remove(&row.id()).unwrap_or_default();
        let count = subscribers.get(&row.id()).copied().unwrap_or_default();
        Sold::of(row, prices, features, count)
    };
    rows.into_iter().map(sold).collect()
}

/// One plan.
pub async fn get(cx: &Cx, slug: &str) -> Result<Sold> {
    let plans = list(cx).await?;
    plans.into_iter().find(|plan| plan.row.slug == slug).ok_or_else(unknown)
}

impl Sold {
    fn of(
        row: PlanRow,
        prices: Vec<VersionRow>,
        features: BTreeMap<FeatureKey, PlanFeature>,
        subscribers: i64,
    ) -> Result<Self> {
        let offer = |price: &VersionRow| {
            let interval = Interval::parse(&price.interval);
            let interval = interval.ok_or_else(|| Error::internal(format!("interval {}", price.interval)))?;
            let amount = price::amount(price)?;
            Ok(Offer { interval, currency: amount.currency, minor: amount.minor })
        };
        let mut offers = prices.iter().map(offer).collect::<Result<Vec<_>>>()?;
        offers.sort_by_key(|o| (o.interval, o.currency));
        let terms = Terms {
            name: row.name.clone(),
            description: row.description.clone(),
            active: row.active,
            visible: row.visible,
            position: row.position,
            contact_sales: row.contact_sales,
            trial_days: row.trial_days,
            offers,
            features,
        };
        Ok(Self { row, terms, prices, subscribers })
    }
}

/// Reads a plan that nobody else can change until the transaction ends.
pub async fn lock(tx: &mut Tx, cx: &Cx, slug: &str) -> Result<Sold> {
    let row = store::plan::lock(tx, cx.tenant.id(), slug).await?.ok_or_else(unknown)?;
    read(tx, cx, row).await
}

async fn read(tx: &mut Tx, cx: &Cx, row: PlanRow) -> Result<Sold> {
    let tenant = cx.tenant.id();
    let mut prices = store::price::sold(&mut *tx, tenant).await?;
    prices.retain(|price| price.plan_id == row.plan_id);
    let features = store::plan::grants(&mut *tx, tenant).await?.remove(&row.id()).unwrap_or_default();
    let subscribers = store::plan::subscribers(&mut *tx, tenant).await?.get(&row.id()).copied().unwrap_or_default();
    Sold::of(row, prices, features, subscribers)
}

/// Makes a plan. A retry with the same key answers the plan that was made, and that it was.
pub async fn create(cx: &Cx, slug: &str, edit: &Edit, identity: Option<&Idempotency>) -> Result<(Sold, bool)> {
    let cx = &fresh(cx).await?;
    check_slug(slug)?;
    if edit.name.is_none() {
        return Err(Error::field("/name", "name the plan, as people shall read it"));
    }
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        drop(tx);
        return Ok((get(cx, &made).await?, true));
    }
    let others = store::plan::rows(&mut tx, cx.tenant.id()).await?;
    if others.len() >= PLANS_MAX {
        return Err(Error::field(
            "/slug",
            format!("a tenant has at most {PLANS_MAX} plans; edit one that is archived"),
        ));
    }
    if others.iter().any(|plan| plan.slug == slug) {
        return Err(Error::new(
            Code::Taken,
            format!("A plan is called {slug} already, maybe archived; choose another."),
        ));
    }
    let last = others.iter().map(|plan| plan.position).max().map_or(0, |last| (last + 1).min(POSITION_MAX));
    let plan = blank(slug, last);
    store::plan::insert(&mut tx, cx.tenant.id(), &plan).await?;
    let before = lock(&mut tx, cx, slug).await?;
    let terms = edited(&mut tx, cx, &before.terms, edit).await?;
    let publication =
        Publication { terms, applies: Applies::Now, action: "plan.created", archived_at: before.row.archived_at };
    let sold = publish(&mut tx, cx, &before, publication).await?;
    creation::note(&mut tx, cx, identity, slug).await?;
    tx.commit().await?;
    Ok((sold, false))
}

/// Checks what a plan is to be called in URLs.
pub fn check_slug(slug: &str) -> Result<()> {
    if FeatureKey::parse(&slug.replace('-', "_")).is_ok() && !slug.contains('_') && !slug.ends_with('-') {
        return Ok(());
    }
    Err(Error::field("/slug", "use 1 to 64 of a-z, 0-9 and -, starting with a letter, such as team-plus"))
}

/// A plan that says nothing yet. Its first version is what it is made with.
pub fn blank(slug: &str, position: i64) -> Plan {
    Plan {
        id: PlanId::from_bits(id_bits()),
        slug: slug.into(),
        name: "".into(),
        description: "".into(),
        version: 0,
        active: true,
        visible: true,
        contact_sales: false,
        position,
        trial_days: 0,
        features: BTreeMap::new(),
        published_at: Timestamp::EPOCH,
        applies: Applies::Now,
        earlier: Vec::new(),
    }
}

/// Changes a plan and publishes it at once.
pub async fn edit(cx: &Cx, slug: &str, expected: &Expected, edit: &Edit) -> Result<Sold> {
    let cx = &fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = lock(&mut tx, cx, slug).await?;
    expected.check(cx, before.row.revision)?;
    let terms = edited(&mut tx, cx, &before.terms, edit).await?;
    let after = publish(
        &mut tx,
        cx,
        &before,
        Publication { terms, applies: Applies::Now, action: "plan.updated", archived_at: before.row.archived_at },
    )
    .await?;
    tx.commit().await?;
    Ok(after)
}

/// Changes what a plan grants of one feature, at once; none takes the feature out of the plan.
pub async fn grant(
    cx: &Cx,
    (slug, key): (&str, &FeatureKey),
    expected: &Expected,
    change: Option<&GrantEdit>,
) -> Result<Sold> {
    let cx = &fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = lock(&mut tx, cx, slug).await?;
    expected.check(cx, before.row.revision)?;
    let mut terms = before.terms.clone();
    match change {
        None => {
            terms.features.remove(key).ok_or_else(|| {
                Error::new(
                    Code::UnknownFeature,
                    "The plan does not grant this feature, so there is nothing to take away.",
                )
            })?;
        }
        Some(change) => {
            let row = store::feature::lock(&mut tx, cx.tenant.id(), key).await?;
            let unknown = || Error::new(Code::UnknownFeature, "Make the feature first: POST /api/admin/features.");
            let feature = row.ok_or_else(unknown)?.feature()?;
            let granted = granted_as::edited(&feature, (before.terms.features.get(key), usual(cx)), change, "")?;
            terms.features.insert(key.clone(), granted);
        }
    }
    let after = publish(
        &mut tx,
        cx,
        &before,
        Publication { terms, applies: Applies::Now, action: "plan.updated", archived_at: before.row.archived_at },
    )
    .await?;
    tx.commit().await?;
    Ok(after)
}

/// The newest versions of a plan, newest first.
pub async fn versions(cx: &Cx, slug: &str) -> Result<Vec<PlanVersionRow>> {
    let plan = store::plan::find(&cx.app.db, cx.tenant.id(), slug).await?.ok_or_else(unknown)?;
    Ok(store::plan::versions(&cx.app.db, cx.tenant.id(), &plan.id(), VERSIONS_SHOWN_MAX).await?)
}

/// Takes a plan out of sale for good. Who has it keeps it, and it can be brought back by making it active.
pub async fn archive(cx: &Cx, slug: &str, expected: &Expected) -> Result<Sold> {
    let cx = &fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = lock(&mut tx, cx, slug).await?;
    expected.check(cx, before.row.revision)?;
    if before.row.archived_at.is_some() {
        return Ok(before);
    }
    if cx.tenant.row.default_plan_id.as_deref() == Some(before.row.plan_id.as_str()) {
        let detail = "New customers get this plan; choose another default plan first, then archive it.";
        return Err(Error::new(Code::InUse, detail));
    }
    let archived_at = Some(cx.tenant_now().as_micros());
    let terms = Terms { active: false, ..before.terms.clone() };
    let publication = Publication { terms, applies: Applies::Now, action: "plan.archived", archived_at };
    let after = publish(&mut tx, cx, &before, publication).await?;
    tx.commit().await?;
    Ok(after)
}

/// What an edit makes of a plan.
pub async fn edited(tx: &mut Tx, cx: &Cx, before: &Terms, edit: &Edit) -> Result<Terms> {
    let mut terms = before.clone();
    let Edit { name, description, active, visible, position, contact_sales, trial_days, month, year, features } =
        edit.clone();
    if let Some(name) = name {
        terms.name = super::feature::face("/name", &name, TEXT_CHARS_MAX)?;
    }
    if let Some(description) = description {
        terms.description = super::feature::prose("/description", &description, DESCRIPTION_CHARS_MAX)?;
    }
    terms.active = active.unwrap_or(before.active);
    terms.visible = visible.unwrap_or(before.visible);
    terms.contact_sales = contact_sales.unwrap_or(before.contact_sales);
    terms.position = within("/position", position, before.position, POSITION_MAX)?;
    terms.trial_days = within("/trialDays", trial_days, before.trial_days, TRIAL_DAYS_MAX)?;
    let currency = currency(cx)?;
    for (interval, price, pointer) in [(Interval::Month, month, "/basePrice"), (Interval::Year, year, "/yearlyPrice")] {
        let price = price.try_map(|text| price::checked(&text, currency, pointer))?;
        terms.set_offer(interval, currency, price.of(before.offer(interval, currency)));
    }
    for (key, change) in features {
        let pointer = format!("/features/{key}");
        match change {
            None => {
                terms.features.remove(&key);
            }
            Some(change) => {
                let feature = offered(tx, cx, &key, &pointer).await?;
                let granted = granted_as::edited(&feature, (before.features.get(&key), usual(cx)), &change, &pointer)?;
                terms.features.insert(key, granted);
            }
        }
    }
    Ok(terms)
}

/// At which thresholds a new grant warns.
fn usual(cx: &Cx) -> Thresholds {
    cx.tenant.settings().thresholds
}

/// A feature that a plan may grant, which cannot be deleted until the transaction ends.
pub async fn offered(tx: &mut Tx, cx: &Cx, key: &FeatureKey, pointer: &str) -> Result<Feature> {
    let row = store::feature::lock(tx, cx.tenant.id(), key).await?;
    let row =
        row.ok_or_else(|| Error::field(pointer, "name a feature of GET /api/admin/features, or make it first"))?;
    Ok(row.feature()?)
}

pub fn within(pointer: &str, asked: Option<i64>, before: i64, most: i64) -> Result<i64> {
    match asked {
        None => Ok(before),
        Some(value) if (0..=most).contains(&value) => Ok(value),
        Some(_) => Err(Error::field(pointer, format!("use a whole number from 0 to {most}"))),
    }
}
