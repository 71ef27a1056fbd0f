//! Catalog templates: a tenant's whole catalog as YAML, written into an empty tenant in one transaction.

use std::collections::BTreeMap;

use domain::catalog::{Feature, FeatureKind, LimitType, Plan, PlanFeature, Thresholds};
use domain::id::{FeatureKey, PlanId, PriceId, TenantId};
use domain::money::{Currency, Money};
use domain::plan::Applies;
use domain::time::{Reset, Timestamp};
use serde::Deserialize;
use store::component::{ComponentRow, Made};
use store::db::Tx;
use store::model_price::ModelPriceRow;
use store::price::VersionRow;
use store::upstream::UpstreamRow;

use super::component::{Action, ChargeRule, Definition, Draw};
use super::model_price::micros;
use super::tenant::Brand;
use crate::cx::id_bits;
use crate::error::{Error, Result};

/// A tenant's catalog.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// The tenant's name in URLs.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// What its prices are in.
    pub currency: String,
    timezone: String,
    default_plan: Option<String>,
    brand: Brand,
    features: Vec<FeatureEntry>,
    plans: Vec<PlanEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FeatureEntry {
    key: FeatureKey,
    name: String,
    kind: FeatureKind,
    unit: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlanEntry {
    slug: String,
    name: String,
    month: Option<String>,
    year: Option<String>,
    #[serde(default)]
    contact_sales: bool,
    features: BTreeMap<FeatureKey, GrantEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GrantEntry {
    #[serde(default)]
    limit: i64,
    limit_type: Option<LimitType>,
    reset: Reset,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ComponentEntry {
    key: FeatureKey,
    name: String,
    category: String,
    description: String,
    base_token_cost: i64,
    model: String,
    draws: Vec<Draw>,
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ModelPriceEntry {
    model: String,
    over: i64,
    input: String,
    output: String,
    #[serde(rename = "cacheWrite5m")]
    cache_write_5m: String,
    #[serde(rename = "cacheWrite1h")]
    cache_write_1h: String,
    cache_read: String,
}

/// Reads a template.
pub fn parse(text: &str) -> Result<Template> {
    serde_saphyr::from_str(text).map_err(|e| Error::internal(format!("a catalog template: {e}")))
}

impl Template {
    /// The tenant's own row.
    pub fn tenant(&self, id: &TenantId, mode: &str, now: Timestamp) -> store::tenant::TenantRow {
        store::tenant::TenantRow {
            mode: mode.to_owned(),
            currency: self.currency.clone(),
            timezone: self.timezone.clone(),
            brand: serde_json::to_string(&self.brand).unwrap_or_default(),
            ..super::setup::blank_tenant(id.clone(), &self.slug, &self.name, now)
        }
    }

    /// Writes features, plans and prices.
    pub async fn write(&self, tx: &mut Tx, tenant: &TenantId, now: Timestamp) -> Result<()> {
        for (entry, position) in self.features.iter().zip(0_i64..) {
            let feature = Feature {
                key: entry.key.clone(),
                name: entry.name.as_str().into(),
                kind: entry.kind,
                unit: entry.unit.as_deref().map(Into::into),
                archived: false,
            };
            store::catalog::insert_feature(tx, tenant, &feature, position).await?;
        }
        for (entry, position) in self.plans.iter().zip(0_i64..) {
            let plan = entry.plan(position);
            store::plan::insert(tx, tenant, &plan).await?;
            for (interval, amount) in [("month", &entry.month), ("year", &entry.year)] {
                if let Some(amount) = amount {
                    let price = self.price(&plan.id, (interval, amount), now)?;
                    store::price::insert(tx, tenant, &price).await?;
                }
            }
            if self.default_plan.as_deref() == Some(&entry.slug) {
                store::tenant::set_default_plan(tx, tenant, Some(plan.id.as_str())).await?;
            }
        }
        Ok(store::tenant::bump_epoch(tx, tenant, now).await?)
    }

    fn price(&self, plan: &PlanId, (interval, amount): (&str, &str), now: Timestamp) -> Result<VersionRow> {
        let currency = Currency::parse(&self.currency).map_err(Error::internal)?;
        Ok(VersionRow {
            price_id: PriceId::from_bits(id_bits()).to_string(),
            plan_id: plan.to_string(),
            interval: interval.to_owned(),
            currency: self.currency.clone(),
            amount_minor: Money::parse(amount, currency).map_err(Error::internal)?.minor,
            version: 1,
            active: true,
            customer_id: None,
            created_at: now.as_micros(),
            ended_at: None,
        })
    }
}

impl PlanEntry {
    fn plan(&self, position: i64) -> Plan {
        let granted = |entry: &GrantEntry| PlanFeature {
            enabled: true,
            limit: entry.limit,
            limit_type: entry.limit_type.unwrap_or(LimitType::Hard),
            reset: entry.reset,
            thresholds: Thresholds::default(),
            fail_open: 0,
            overage_micros: None,
        };
        Plan {
            id: PlanId::from_bits(id_bits()),
            slug: self.slug.as_str().into(),
            name: self.name.as_str().into(),
            description: "".into(),
            version: 1,
            active: true,
            visible: true,
            contact_sales: self.contact_sales,
            position,
            trial_days: 0,
            features: self.features.iter().map(|(key, entry)| (key.clone(), granted(entry))).collect(),
            published_at: Timestamp::EPOCH,
            applies: Applies::Now,
            earlier: Vec::new(),
        }
    }
}

/// Writes AI components, all on one upstream.
pub async fn write_components(
    tx: &mut Tx,
    tenant: &TenantId,
    text: &str,
    (upstream, at): (&str, Timestamp),
) -> Result<()> {
    let entries: Vec<ComponentEntry> =
        serde_saphyr::from_str(text).map_err(|e| Error::internal(format!("a component template: {e}")))?;
    for (entry, position) in entries.into_iter().zip(0_i64..) {
        let definition = Definition {
            name: entry.name,
            category: entry.category,
            description: entry.description,
            base_token_cost: entry.base_token_cost,
            credit_feature: None,
            upstream: upstream.to_owned(),
            model: entry.model,
            charge_rule: ChargeRule::Success,
            draws: entry.draws,
            actions: entry.actions,
        };
        let row = ComponentRow { position, ..definition.new_row(&entry.key)? };
        store::component::insert(tx, tenant, &row).await?;
        let made = Made { at, actor: "system", cause: "created" };
        store::component::keep_version(tx, tenant, &row.component, made).await?;
    }
    Ok(())
}

fn rate(text: &str) -> Result<i64> {
    micros(text).ok_or_else(|| Error::internal(format!("`{text}` is not a rate with at most six decimals")))
}

/// Writes model prices. Rates are dollars for a million tokens, so their micro-dollars are whole numbers.
pub async fn write_model_prices(tx: &mut Tx, tenant: &TenantId, text: &str) -> Result<()> {
    let entries: Vec<ModelPriceEntry> =
        serde_saphyr::from_str(text).map_err(|e| Error::internal(format!("model prices: {e}")))?;
    for entry in entries {
        let row = ModelPriceRow {
            effective_from: 0,
            prompt_tokens_over: entry.over,
            input: rate(&entry.input)?,
            output: rate(&entry.output)?,
            cache_write_5m: rate(&entry.cache_write_5m)?,
            cache_write_1h: rate(&entry.cache_write_1h)?,
            cache_read: rate(&entry.cache_read)?,
            model: entry.model,
        };
        store::model_price::insert(tx, tenant, &row).await?;
    }
    Ok(())
}

/// The upstream of a kind under its own name, without a key.
pub fn keyless(kind: &str) -> UpstreamRow {
    UpstreamRow {
        upstream: kind.to_owned(),
        kind: kind.to_owned(),
        base_url: None,
        api_key_sealed: None,
        key_hint: None,
        revision: 1,
    }
}
