//! What an action is about: each feature once, with what its customer may use of it.

use std::sync::Arc;

use domain::catalog::FeatureKind;
use domain::entitlement::{Barred, Entitlement, resolve_or_nothing};
use domain::id::FeatureKey;
use domain::time::Period;
use domain::usage::AMOUNT_MAX;
use store::gate::{Held, Item};

use super::Unprepared;
use crate::app::customer::Account;
use crate::app::refusal;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::limits::ITEMS_MAX;

/// Sums items of the same feature, so that a decision sees each feature once.
pub(super) fn merged(items: &[(FeatureKey, i64)]) -> Result<Vec<(FeatureKey, i64)>> {
    let mut sums: Vec<(FeatureKey, i64)> = Vec::with_capacity(items.len());
    for (feature, amount) in items {
        match sums.iter_mut().find(|(known, _)| known == feature) {
            Some((_, sum)) => *sum = sum.checked_add(*amount).ok_or_else(|| too_large(feature))?,
            None => sums.push((feature.clone(), *amount)),
        }
    }
    Ok(sums)
}

fn too_large(feature: &FeatureKey) -> Error {
    Error::field("/items", format!("{feature}: use at most {AMOUNT_MAX}"))
}

/// The items of an action, each feature once, with what the customer may use of it.
pub fn items(cx: &Cx, account: &Account, asked: &[(FeatureKey, i64)]) -> Result<Vec<Item>, Unprepared> {
    let mut items = Vec::with_capacity(asked.len());
    let mut worst: Option<(FeatureKey, Barred)> = None;
    for (feature, amount) in asked {
        match account.entitlement(cx, feature) {
            Ok(entitlement) => items.push((entitlement, *amount)),
            Err(barred) => {
                if worst.as_ref().is_none_or(|(_, known)| refusal::rank(&barred) < refusal::rank(known)) {
                    worst = Some((feature.clone(), barred));
                }
            }
        }
    }
    if let Some((feature, barred)) = worst {
        return Err(Unprepared::Barred(feature, barred));
    }
    if asked.is_empty() || asked.len() > ITEMS_MAX {
        return Err(Error::field("/items", format!("name 1 to {ITEMS_MAX} items")).into());
    }
    for (index, (_, amount)) in asked.iter().enumerate() {
        if !(1..=AMOUNT_MAX).contains(amount) {
            let detail = format!("use a whole number from 1 to {AMOUNT_MAX}");
            return Err(Error::field(format!("/items/{index}/amount"), detail).into());
        }
    }
    let mut distinct: Vec<Item> = Vec::with_capacity(items.len());
    for (entitlement, amount) in items {
        match distinct.iter_mut().find(|(known, _)| known.feature == entitlement.feature) {
            Some((_, sum)) => *sum = sum.checked_add(amount).ok_or_else(|| too_large(&entitlement.feature))?,
            None => distinct.push((entitlement, amount)),
        }
    }
    Ok(distinct)
}

/// The same for what was used already: also where nothing is granted any more.
pub fn items_or_nothing(cx: &Cx, account: &Account, used: &[(FeatureKey, i64)]) -> Vec<Item> {
    let granted =
        |feature| Arc::new(resolve_or_nothing(&cx.tenant.catalog, &account.customer, feature, cx.tenant_now()));
    merged(used).unwrap_or_default().iter().map(|(feature, amount)| (granted(feature), *amount)).collect()
}

pub(super) fn gauge(cx: &Cx, account: &Account, feature: &FeatureKey) -> Result<Arc<Entitlement>, Unprepared> {
    let entitlement = account.entitlement(cx, feature).map_err(|barred| Unprepared::Barred(feature.clone(), barred))?;
    if entitlement.kind != FeatureKind::Gauge {
        return Err(Error::field("", format!("{feature} is not a gauge; consume it instead")).into());
    }
    Ok(entitlement)
}

/// The features that a hold is about, each in the period in which it began.
pub(super) fn held_items(cx: &Cx, account: &Account, held: &Held, used: &[(FeatureKey, i64)]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for hold in &held.holds {
        let feature = &hold.key.feature;
        if items.iter().any(|(entitlement, _)| &entitlement.feature == feature) {
            continue;
        }
        let entitlement = resolve_or_nothing(&cx.tenant.catalog, &account.customer, feature, cx.tenant_now());
        let plan =
            held.holds.iter().find(|h| &h.key.feature == feature && h.key.source == domain::entitlement::Source::Plan);
        let period = match plan.map(|hold| hold.key.period_start) {
            Some(start) if start != entitlement.period.start => {
                Period { start, end: Some(entitlement.period.start).filter(|end| *end > start) }
            }
            _ => entitlement.period,
        };
        let amount = used.iter().find(|(known, _)| known == feature).map_or(0, |(_, amount)| *amount);
        items.push((Arc::new(entitlement.in_period(period)), amount));
    }
    items
}
