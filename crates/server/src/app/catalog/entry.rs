//! What stands in the sections of a catalog document, and which values need not be written.

use std::collections::BTreeMap;
use std::fmt;

use domain::catalog::{FeatureKind, LimitType};
use domain::coupon::Duration;
use domain::id::FeatureKey;
use domain::money::Currency;
use domain::time::{Reset, Timestamp};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::app::component::{Action, ChargeRule, Draw};
use crate::app::patch::Patch;

/// Something that has its place in a section.
pub trait Entry: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The section's name.
    const SECTION: &'static str;
    /// What one of it is called.
    const NOUN: &'static str;

    /// By what it is known.
    fn key(&self) -> String;

    /// Members that are not written when they have these values.
    fn usual() -> Value;

    /// Whether it is there for anybody new.
    fn is_live(&self) -> bool {
        true
    }
}

/// A decimal number as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amount(pub String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Amount;
            // A number with a point has lost its digits before anybody can look at them.
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number in quotes, such as \"299.00\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount(text.to_owned()))
            }
            fn visit_u64<E: serde::de::Error>(self, whole: u64) -> Result<Amount, E> {
                Ok(Amount(whole.to_string()))
            }
            fn visit_i64<E: serde::de::Error>(self, whole: i64) -> Result<Amount, E> {
                Ok(Amount(whole.to_string()))
            }
        }
        deserializer.deserialize_any(Digits)
    }
}

const fn yes() -> bool {
    true
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeatureEntry {
    pub key: FeatureKey,
    #[serde(default)]
    pub name: String,
    pub kind: FeatureKind,
    #[serde(default)]
    pub unit: Option<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub position: Option<i64>,
    #[serde(default)]
    pub archived: bool,
}

impl Entry for FeatureEntry {
    const SECTION: &'static str = "features";
    const NOUN: &'static str = "feature";

    fn key(&self) -> String {
        self.key.to_string()
    }

    fn is_live(&self) -> bool {
        !self.archived
    }

    fn usual() -> Value {
        json!({ "unit": null, "description": "", "archived": false })
    }
}

/// A plan with its prices and what it grants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the document")]
pub struct PlanEntry {
    pub slug: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub position: Option<i64>,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default = "yes")]
    pub visible: bool,
    #[serde(default)]
    pub contact_sales: bool,
    #[serde(default)]
    pub trial_days: i64,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub prices: PricesEntry,
    #[serde(default)]
    pub features: BTreeMap<FeatureKey, GrantEntry>,
}

impl Entry for PlanEntry {
    const SECTION: &'static str = "plans";
    const NOUN: &'static str = "plan";

    fn key(&self) -> String {
        self.slug.clone()
    }

    fn is_live(&self) -> bool {
        !self.archived
    }

    fn usual() -> Value {
        json!({ "description": "", "active": true, "visible": true, "contactSales": false, "trialDays": 0,
            "archived": false, "prices": {}, "features": {} })
    }
}

/// What a plan costs to everybody, by currency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PricesEntry {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub month: BTreeMap<Currency, Amount>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub year: BTreeMap<Currency, Amount>,
}

/// What a plan grants of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantEntry {
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Null is unlimited.
    #[serde(default)]
    pub limit_value: Patch<i64>,
    #[serde(default)]
    pub limit_type: Option<LimitType>,
    #[serde(default)]
    pub reset: Option<Reset>,
    #[serde(default)]
    pub thresholds: ThresholdsEntry,
    #[serde(default)]
    pub fail_open: i64,
    /// In the tenant's currency.
    #[serde(default)]
    pub overage_price: Option<Amount>,
    /// Units that go on to the next period at most.
    #[serde(default)]
    pub rollover_cap: Option<i64>,
}

/// Per cent of a limit at which the status changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ThresholdsEntry {
    pub warning: i64,
    pub critical: i64,
}

impl Default for ThresholdsEntry {
    fn default() -> Self {
        let usual = domain::catalog::Thresholds::default();
        Self { warning: usual.warning.into(), critical: usual.critical.into() }
    }
}

/// The usual values of a grant.
pub fn usual_grant() -> Value {
    json!({ "enabled": true, "limitValue": null, "limitType": "hard", "thresholds": ThresholdsEntry::default(),
        "failOpen": 0, "overagePrice": null, "rolloverCap": null })
}

/// Where AI calls go. Its key is not in any document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamEntry {
    pub name: String,
    pub kind: String,
    #[serde(default)]
    pub base_url: Option<String>,
}

impl Entry for UpstreamEntry {
    const SECTION: &'static str = "upstreams";
    const NOUN: &'static str = "upstream";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn usual() -> Value {
        json!({ "baseUrl": null })
    }
}

/// An AI component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentEntry {
    pub key: FeatureKey,
    #[serde(default)]
    pub name: String,
    #[serde(default = "general")]
    pub category: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub position: Option<i64>,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub base_token_cost: i64,
    #[serde(default)]
    pub credit_feature: Option<FeatureKey>,
    #[serde(default)]
    pub upstream: String,
    #[serde(default)]
    pub model: String,
    #[serde(default = "success")]
    pub charge_rule: ChargeRule,
    #[serde(default)]
    pub draws: Vec<DrawEntry>,
    #[serde(default)]
    pub actions: Vec<ActionEntry>,
}

fn general() -> String {
    "general".to_owned()
}

const fn success() -> ChargeRule {
    ChargeRule::Success
}

impl Entry for ComponentEntry {
    const SECTION: &'static str = "components";
    const NOUN: &'static str = "component";

    fn key(&self) -> String {
        self.key.to_string()
    }

    fn is_live(&self) -> bool {
        !self.archived
    }

    fn usual() -> Value {
        json!({ "category": "general", "description": "", "active": true, "archived": false, "baseTokenCost": 0,
            "creditFeature": null, "chargeRule": "success", "draws": [], "actions": [] })
    }
}

/// What a call draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawEntry {
    pub feature: FeatureKey,
    pub amount: i64,
}

impl From<&Draw> for DrawEntry {
    fn from(draw: &Draw) -> Self {
        Self { feature: draw.feature.clone(), amount: draw.amount }
    }
}

impl From<&DrawEntry> for Draw {
    fn from(entry: &DrawEntry) -> Self {
        Self { feature: entry.feature.clone(), amount: entry.amount }
    }
}

/// Something that a component does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActionEntry {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub accepts: Vec<String>,
    pub max_output_tokens: u32,
    #[serde(default)]
    pub system: String,
    #[serde(default)]
    pub template: String,
    #[serde(default)]
    pub input_schema: Value,
    #[serde(default)]
    pub output_schema: Option<Value>,
    #[serde(default)]
    pub sample: Value,
}

/// The usual values of an action.
pub fn usual_action() -> Value {
    json!({ "description": "", "accepts": [], "system": "", "template": "", "inputSchema": null, "outputSchema": null,
        "sample": null })
}

impl From<&Action> for ActionEntry {
    fn from(action: &Action) -> Self {
        Self {
            name: action.name.clone(),
            description: action.description.clone(),
            accepts: action.accepts.clone(),
            max_output_tokens: action.max_output_tokens,
            system: action.system.clone(),
            template: action.template.clone(),
            input_schema: action.input_schema.clone(),
            output_schema: action.output_schema.clone(),
            sample: action.sample.clone(),
        }
    }
}

impl From<&ActionEntry> for Action {
    fn from(entry: &ActionEntry) -> Self {
        Self {
            name: entry.name.clone(),
            description: entry.description.clone(),
            system: entry.system.clone(),
            template: entry.template.clone(),
            input_schema: entry.input_schema.clone(),
            output_schema: entry.output_schema.clone(),
            max_output_tokens: entry.max_output_tokens,
            accepts: entry.accepts.clone(),
            sample: entry.sample.clone(),
        }
    }
}

/// What a model costs from an instant on, for a million tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelPriceEntry {
    pub model: String,
    /// Since ever, when it is not said.
    #[serde(default)]
    pub effective_from: Option<Timestamp>,
    #[serde(default)]
    pub prompt_tokens_over: i64,
    pub input: Amount,
    pub output: Amount,
    #[serde(rename = "cacheWrite5m")]
    pub cache_write_5m: Amount,
    #[serde(rename = "cacheWrite1h")]
    pub cache_write_1h: Amount,
    pub cache_read: Amount,
}

impl Entry for ModelPriceEntry {
    const SECTION: &'static str = "modelPrices";
    const NOUN: &'static str = "model price";

    fn key(&self) -> String {
        let from = self.effective_from.map_or_else(String::new, |from| format!(" from {from}"));
        let over = self.prompt_tokens_over;
        let over = if over == 0 { String::new() } else { format!(" over {over} tokens") };
        format!("{}{from}{over}", self.model)
    }

    fn usual() -> Value {
        json!({ "effectiveFrom": null, "promptTokensOver": 0 })
    }
}

/// A credit pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackEntry {
    pub slug: String,
    #[serde(default)]
    pub name: String,
    pub feature: FeatureKey,
    pub amount: i64,
    pub price: Amount,
    /// The tenant's, when it is not said.
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default)]
    pub expires_after_days: Option<i64>,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub position: Option<i64>,
}

impl Entry for PackEntry {
    const SECTION: &'static str = "packs";
    const NOUN: &'static str = "pack";

    fn key(&self) -> String {
        self.slug.clone()
    }

    fn is_live(&self) -> bool {
        !self.archived
    }

    fn usual() -> Value {
        json!({ "expiresAfterDays": null, "active": true, "archived": false })
    }
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CouponEntry {
    pub code: String,
    /// The code, when it is not said.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub percent_off: Option<i64>,
    #[serde(default)]
    pub amount_off: Option<Amount>,
    #[serde(default)]
    pub currency: Option<String>,
    pub duration: Duration,
    #[serde(default)]
    pub months: Option<i64>,
    #[serde(default)]
    pub max_redemptions: Option<i64>,
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
    #[serde(default)]
    pub plans: Vec<String>,
    #[serde(default = "yes")]
    pub active: bool,
}

impl Entry for CouponEntry {
    const SECTION: &'static str = "coupons";
    const NOUN: &'static str = "coupon";

    fn key(&self) -> String {
        crate::app::coupon::kept(&self.code)
    }

    fn is_live(&self) -> bool {
        self.active
    }

    fn usual() -> Value {
        json!({ "percentOff": null, "amountOff": null, "currency": null, "months": null, "maxRedemptions": null,
            "validUntil": null, "plans": [], "active": true })
    }
}
