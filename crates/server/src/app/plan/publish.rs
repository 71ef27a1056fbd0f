//! Publishing a version of a plan: what it says from now on, the version that is kept, its audit entry, and who is told.

use domain::event::{Audience, Event, Facts, Kind};
use domain::money::{Currency, Money};
use domain::plan::{Applies, Terms};
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde_json::{Map, Value, json};
use store::db::Tx;
use store::plan::VersionRow as PlanVersionRow;

use super::{Sold, currency, read, unknown};
use crate::app::audit;
use crate::app::grant as granted_as;
use crate::app::price::{self, Slot};
use crate::cx::Cx;
use crate::error::{Error, Result};

/// What is published, and as what it stands in the audit trail.
pub struct Publication {
    /// What the plan says from now on.
    pub terms: Terms,
    /// For whom what it grants holds; prices are for new subscriptions in any case.
    pub applies: Applies,
    /// Such as `plan.updated`.
    pub action: &'static str,
    /// Since when it is out of sale for good; a plan that is sold never is.
    pub archived_at: Option<i64>,
}

/// Makes a plan say something else from now on. Nothing happens when it says that already.
pub async fn publish(tx: &mut Tx, cx: &Cx, before: &Sold, publication: Publication) -> Result<Sold> {
    let Publication { terms, applies, action, archived_at } = publication;
    let created = before.row.version == 0;
    let archived_at = archived_at.filter(|_| !terms.active);
    let slug = before.row.slug.as_str();
    if terms == before.terms && archived_at == before.row.archived_at && !created {
        return Ok(before.clone());
    }
    let (tenant, id) = (cx.tenant.id(), before.row.id());
    if !created {
        // The version of a plan that was never edited is kept when the first edit comes.
        keep(tx, cx, before, (Applies::Now, Timestamp::EPOCH, "")).await?;
    }
    store::plan::update(tx, tenant, &id, &terms, archived_at).await?;
    for (feature, granted) in &terms.features {
        if before.terms.features.get(feature) != Some(granted) {
            store::plan::put_feature(tx, tenant, &id, feature, granted).await?;
        }
    }
    for feature in before.terms.features.keys().filter(|feature| !terms.features.contains_key(*feature)) {
        store::plan::remove_feature(tx, tenant, &id, feature).await?;
    }
    for offer in before.terms.offers.iter().chain(&terms.offers) {
        let slot = Slot { plan: id.clone(), interval: offer.interval, currency: offer.currency, customer: None };
        price::set(tx, cx, &slot, terms.offer(offer.interval, offer.currency)).await?;
    }
    let row = store::plan::find(&mut *tx, tenant, slug).await?.ok_or_else(unknown)?;
    let after = read(tx, cx, row).await?;
    keep(tx, cx, &after, (applies, cx.tenant_now(), &cx.actor.name())).await?;
    let (told_before, mut told_after) = difference(cx, &before.terms, &after.terms)?;
    if applies != Applies::Now {
        told_after.insert("applies".to_owned(), json!(applies));
    }
    let told_before = (!created).then_some(Value::Object(told_before));
    let change = audit::Change { action, target: slug, before: told_before, after: Some(Value::Object(told_after)) };
    audit::write(tx, cx, change).await?;
    audit::told::tell(tx, cx, published(before, &after));
    store::tenant::bump_epoch(tx, tenant, cx.now).await?;
    Ok(after)
}

/// What is told of a new version: to everybody if everybody sees the plan, or saw it before.
fn published(before: &Sold, after: &Sold) -> Event {
    let shown = |sold: &Sold| sold.row.version > 0 && sold.terms.active && sold.terms.visible;
    let audience = if shown(before) || shown(after) { Audience::Everyone } else { Audience::Holders };
    let facts = Facts { version: Some(after.row.version), ..Facts::default() };
    Event { kind: Kind::Plan, audience, subject: Some(after.row.slug.clone()), customer: None, facts }
}

async fn keep(tx: &mut Tx, cx: &Cx, sold: &Sold, (applies, at, by): (Applies, Timestamp, &str)) -> Result<()> {
    let row = PlanVersionRow {
        plan_id: sold.row.plan_id.clone(),
        version: sold.row.version,
        applies: applies.name().to_owned(),
        published_at: at.as_micros(),
        published_by: by.to_owned(),
        terms: serde_json::to_string(&sold.terms).map_err(Error::internal)?,
    };
    Ok(store::plan::keep_version(tx, cx.tenant.id(), &row).await?)
}

/// What differs between two states of a plan, each with the names that the API has for it.
fn difference(cx: &Cx, before: &Terms, after: &Terms) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let currency = currency(cx)?;
    let (mut old, mut new) = (told(before, currency)?, told(after, currency)?);
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old.get_mut("features"), new.get_mut("features")) {
        let same: Vec<_> =
            old.iter().filter(|(key, value)| new.get(*key) == Some(value)).map(|(k, _)| k.clone()).collect();
        for key in same {
            old.remove(&key);
            new.remove(&key);
        }
    }
    let same: Vec<_> = old.iter().filter(|(key, value)| new.get(*key) == Some(value)).map(|(k, _)| k.clone()).collect();
    for key in same {
        old.remove(&key);
        new.remove(&key);
    }
    Ok((old, new))
}

fn told(terms: &Terms, currency: Currency) -> Result<Map<String, Value>> {
    // The digits of an amount within bounds come through a JSON number unchanged.
    let amount = |money: Money| serde_json::from_str::<Value>(&money.to_string()).map_err(Error::internal);
    let own = |interval| terms.offer(interval, currency).map(|minor| amount(Money::new(minor, currency))).transpose();
    let mut others = Map::new();
    for offer in terms.offers.iter().filter(|offer| offer.currency != currency) {
        let name = format!("{} {}", offer.interval.name(), offer.currency.code());
        others.insert(name, amount(Money::new(offer.minor, offer.currency))?);
    }
    let told = json!({
        "name": terms.name,
        "description": terms.description,
        "isActive": terms.active,
        "visible": terms.visible,
        "position": terms.position,
        "contactSales": terms.contact_sales,
        "trialDays": terms.trial_days,
        "basePrice": own(Interval::Month)?,
        "yearlyPrice": own(Interval::Year)?,
        "otherPrices": others,
        "features": terms.features.iter().map(|(key, g)| (key.to_string(), granted_as::told(g))).collect::<Map<_, _>>(),
    });
    let Value::Object(told) = told else { return Ok(Map::new()) };
    Ok(told)
}
