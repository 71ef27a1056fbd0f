//! All that a tenant sells, as rows, and as the document that says it.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Feature, LimitType, PlanFeature};
use domain::coupon::Off;
use domain::id::{FeatureKey, PlanId};
use domain::money::Money;
use domain::plan::Terms;
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde_json::Value;
use store::component::ComponentRow;
use store::coupon::CouponRow;
use store::db::Tx;
use store::feature::FeatureRow;
use store::model_price::ModelPriceRow;
use store::pack::PackRow;
use store::tenant::TenantRow;
use store::upstream::UpstreamRow;

use super::document::Document;
use super::entry::{
    Amount, ComponentEntry, CouponEntry, FeatureEntry, GrantEntry, ModelPriceEntry, PackEntry, PlanEntry, PricesEntry,
    ThresholdsEntry, UpstreamEntry,
};
use crate::app::component::Definition;
use crate::app::patch::Patch;
use crate::app::plan::{self, Sold};
use crate::app::{coupon, grant, model_price, pack};
use crate::cx::Cx;
use crate::error::{Error, Result};

/// A plan, as it is or as it is to be.
#[derive(Debug, Clone)]
pub struct PlanState {
    pub slug: String,
    pub terms: Terms,
    pub archived: bool,
}

/// A component, as it is or as it is to be.
#[derive(Debug, Clone)]
pub struct ComponentState {
    pub row: ComponentRow,
    pub definition: Definition,
}

/// All that a tenant sells, or what a document says of it.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub features: Vec<FeatureRow>,
    pub plans: Vec<PlanState>,
    pub upstreams: Vec<UpstreamRow>,
    pub components: Vec<ComponentState>,
    pub model_prices: Vec<ModelPriceRow>,
    pub packs: Vec<PackRow>,
    pub coupons: Vec<CouponRow>,
}

impl State {
    /// Reads everything, archived things included.
    pub async fn load(tx: &mut Tx, cx: &Cx) -> Result<Self> {
        let tenant = cx.tenant.id();
        let component = |row: ComponentRow| {
            let definition = Definition::of_row(&row.component, &row.definition)?;
            Ok(ComponentState { row, definition })
        };
        let sold = plan::read_all(tx, cx).await?;
        let mut plans: Vec<_> = sold.into_iter().map(PlanState::of).collect();
        plans.sort_by(|one, other| (one.terms.position, &one.slug).cmp(&(other.terms.position, &other.slug)));
        let mut model_prices = store::model_price::list(&mut *tx, tenant).await?;
        model_prices.sort_by(|one, other| {
            let order = |row: &ModelPriceRow| (row.model.clone(), row.effective_from, row.prompt_tokens_over);
            order(one).cmp(&order(other))
        });
        Ok(Self {
            features: store::feature::rows(&mut *tx, tenant).await?,
            plans,
            upstreams: store::upstream::list(&mut *tx, tenant).await?,
            components: store::component::list(&mut *tx, tenant)
                .await?
                .into_iter()
                .map(component)
                .collect::<Result<_>>()?,
            model_prices,
            packs: store::pack::all(&mut *tx, tenant).await?,
            coupons: store::coupon::all(&mut *tx, tenant).await?,
        })
    }

    /// What an export holds: what was archived only where something else in it still names it.
    pub fn exported(mut self) -> Self {
        self.components.retain(|component| !component.row.archived);
        self.packs.retain(|pack| !pack.archived);
        let of_coupons: BTreeSet<String> =
            self.coupons.iter().flat_map(|row| coupon::plans(row)).map(str::to_owned).collect();
        self.plans.retain(|plan| !plan.archived || of_coupons.contains(&plan.slug));
        let granted = self.plans.iter().flat_map(|plan| plan.terms.features.keys().map(ToString::to_string));
        let drawn = self.components.iter().flat_map(|component| {
            let definition = &component.definition;
            definition.draws.iter().map(|draw| &draw.feature).chain(&definition.credit_feature).map(ToString::to_string)
        });
        let packed = self.packs.iter().map(|pack| pack.feature.clone());
        let named: BTreeSet<String> = granted.chain(drawn).chain(packed).collect();
        self.features.retain(|row| row.archived_at.is_none() || named.contains(&row.feature));
        self
    }

    /// Archives what a document does not have, in the sections that it has. Nothing is deleted.
    pub fn prune(&mut self, cx: &Cx, now: &Self, document: &Document) {
        let at = cx.tenant_now().as_micros();
        if document.features.is_some() {
            let live = absent(&now.features, &self.features, |row| row.feature.clone());
            let live = live.into_iter().filter(|row| row.archived_at.is_none());
            self.features.extend(live.map(|row| FeatureRow { archived_at: Some(at), ..row }));
        }
        if document.plans.is_some() {
            let live = absent(&now.plans, &self.plans, |plan| plan.slug.clone());
            let archived = |plan: PlanState| {
                let terms = Terms { active: false, ..plan.terms };
                PlanState { terms, archived: true, ..plan }
            };
            self.plans.extend(live.into_iter().filter(|plan| !plan.archived).map(archived));
        }
        if document.components.is_some() {
            let live = absent(&now.components, &self.components, |component| component.row.component.clone());
            let archived = |component: ComponentState| {
                let row = ComponentRow { archived: true, ..component.row };
                ComponentState { row, ..component }
            };
            self.components.extend(live.into_iter().filter(|component| !component.row.archived).map(archived));
        }
        if document.packs.is_some() {
            let live = absent(&now.packs, &self.packs, |row| row.slug.clone());
            let live = live.into_iter().filter(|row| !row.archived);
            self.packs.extend(live.map(|row| PackRow { archived: true, active: false, ..row }));
        }
        if document.coupons.is_some() {
            let live = absent(&now.coupons, &self.coupons, |row| row.code.clone());
            let live = live.into_iter().filter(|row| row.active);
            self.coupons.extend(live.map(|row| CouponRow { active: false, ..row }));
        }
    }

    /// What the rows say, with every section.
    pub fn document(&self, tenant: &TenantRow, default_plan: Option<&str>) -> Result<Document> {
        Ok(Document {
            currency: Some(tenant.currency.clone()),
            default_plan: Patch::from(default_plan.map(str::to_owned)),
            features: Some(self.features.iter().map(feature).collect::<Result<_>>()?),
            plans: Some(self.plans.iter().map(plan_entry).collect()),
            upstreams: Some(self.upstreams.iter().map(upstream).collect()),
            components: Some(self.components.iter().map(component).collect()),
            model_prices: Some(self.model_prices.iter().map(priced_model).collect()),
            packs: Some(self.packs.iter().map(packed).collect::<Result<_>>()?),
            coupons: Some(self.coupons.iter().map(taking_off).collect::<Result<_>>()?),
        })
    }
}

/// What is there and not wanted.
fn absent<T: Clone>(now: &[T], wanted: &[T], key: impl Fn(&T) -> String) -> Vec<T> {
    let wanted: BTreeSet<String> = wanted.iter().map(&key).collect();
    now.iter().filter(|row| !wanted.contains(&key(row))).cloned().collect()
}

impl PlanState {
    fn of(sold: Sold) -> Self {
        Self { slug: sold.row.slug, terms: sold.terms, archived: sold.row.archived_at.is_some() }
    }
}

/// Features by their keys.
pub fn features(rows: &[FeatureRow]) -> Result<BTreeMap<FeatureKey, Feature>> {
    rows.iter().map(|row| row.feature().map(|feature| (feature.key.clone(), feature)).map_err(Error::from)).collect()
}

/// The slug of the plan that new customers get.
pub async fn default_plan(tx: &mut Tx, cx: &Cx, row: &TenantRow) -> Result<Option<String>> {
    let Some(id) = row.default_plan_id.as_deref().map(PlanId::stored) else { return Ok(None) };
    let plans = store::plan::rows(tx, cx.tenant.id()).await?;
    Ok(plans.into_iter().find(|plan| plan.id() == id).map(|plan| plan.slug))
}

fn feature(row: &FeatureRow) -> Result<FeatureEntry> {
    let feature = row.feature()?;
    Ok(FeatureEntry {
        key: feature.key,
        name: row.name.clone(),
        kind: feature.kind,
        unit: row.unit.clone(),
        description: row.description.clone(),
        position: Some(row.position),
        archived: row.archived_at.is_some(),
    })
}

fn plan_entry(plan: &PlanState) -> PlanEntry {
    let terms = &plan.terms;
    let of = |interval: Interval| {
        let offers = terms.offers.iter().filter(move |offer| offer.interval == interval);
        offers.map(|offer| (offer.currency, Amount(Money::new(offer.minor, offer.currency).to_string()))).collect()
    };
    PlanEntry {
        slug: plan.slug.clone(),
        name: terms.name.clone(),
        description: terms.description.clone(),
        position: Some(terms.position),
        active: terms.active,
        visible: terms.visible,
        contact_sales: terms.contact_sales,
        trial_days: terms.trial_days,
        archived: plan.archived,
        prices: PricesEntry { month: of(Interval::Month), year: of(Interval::Year) },
        features: terms.features.iter().map(|(key, granted)| (key.clone(), grant_entry(granted))).collect(),
    }
}

fn grant_entry(granted: &PlanFeature) -> GrantEntry {
    let limited = granted.limit_type != LimitType::Unlimited;
    GrantEntry {
        enabled: granted.enabled,
        limit_value: if limited { Patch::Set(granted.limit) } else { Patch::Keep },
        limit_type: Some(granted.limit_type),
        reset: Some(granted.reset),
        thresholds: ThresholdsEntry {
            warning: granted.thresholds.warning.into(),
            critical: granted.thresholds.critical.into(),
        },
        fail_open: granted.fail_open,
        overage_price: granted.overage_micros.map(|micros| Amount(grant::decimal(micros))),
        rollover_cap: granted.rollover_cap,
    }
}

fn upstream(row: &UpstreamRow) -> UpstreamEntry {
    UpstreamEntry { name: row.upstream.clone(), kind: row.kind.clone(), base_url: row.base_url.clone() }
}

fn component(component: &ComponentState) -> ComponentEntry {
    let ComponentState { row, definition } = component;
    ComponentEntry {
        key: FeatureKey::stored(row.component.as_str()),
        name: definition.name.clone(),
        category: definition.category.clone(),
        description: definition.description.clone(),
        position: Some(row.position),
        active: row.active,
        archived: row.archived,
        base_token_cost: definition.base_token_cost,
        credit_feature: definition.credit_feature.clone(),
        upstream: definition.upstream.clone(),
        model: definition.model.clone(),
        charge_rule: definition.charge_rule,
        draws: definition.draws.iter().map(Into::into).collect(),
        actions: definition.actions.iter().map(Into::into).collect(),
    }
}

/// The entry of a model's price.
pub fn priced_model(row: &ModelPriceRow) -> ModelPriceEntry {
    let rate = |micros| Amount(model_price::decimal(micros));
    ModelPriceEntry {
        model: row.model.clone(),
        effective_from: (row.effective_from != 0).then(|| Timestamp::from_micros(row.effective_from)),
        prompt_tokens_over: row.prompt_tokens_over,
        input: rate(row.input),
        output: rate(row.output),
        cache_write_5m: rate(row.cache_write_5m),
        cache_write_1h: rate(row.cache_write_1h),
        cache_read: rate(row.cache_read),
    }
}

fn packed(row: &PackRow) -> Result<PackEntry> {
    Ok(PackEntry {
        slug: row.slug.clone(),
        name: row.name.clone(),
        feature: FeatureKey::stored(row.feature.as_str()),
        amount: row.amount,
        price: Amount(pack::price(row)?.to_string()),
        currency: Some(row.currency.clone()),
        expires_after_days: row.expires_after_days,
        active: row.active,
        archived: row.archived,
        position: Some(row.position),
    })
}

fn taking_off(row: &CouponRow) -> Result<CouponEntry> {
    let amount_off = match coupon::off(row)? {
        Off::Amount(amount) => Some(Amount(amount.to_string())),
        Off::Percent(_) => None,
    };
    Ok(CouponEntry {
        code: row.code.clone(),
        name: Some(row.name.clone()),
        percent_off: row.percent_off,
        amount_off,
        currency: row.currency.clone(),
        duration: serde_json::from_value(Value::from(row.duration.as_str())).map_err(Error::internal)?,
        months: row.months,
        max_redemptions: row.max_redemptions,
        valid_until: row.valid_until.map(Timestamp::from_micros),
        plans: coupon::plans(row).into_iter().map(str::to_owned).collect(),
        active: row.active,
    })
}
