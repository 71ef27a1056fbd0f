//! What a plan grants of a feature, as admins read and write it.

use domain::catalog::{Feature, FeatureKind, LimitType, PlanFeature};
use domain::id::FeatureKey;
use domain::time::Reset;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::decimal::Decimal;
use crate::app::grant::{self, GrantEdit};
use crate::app::patch::Patch;

/// Percentages of the limit at which the status changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdsEdit {
    /// From here `warning`.
    #[schema(example = 80, minimum = 1, maximum = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<i64>,
    /// From here `critical`.
    #[schema(example = 90, minimum = 1, maximum = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    critical: Option<i64>,
}

/// What a plan grants of a feature. What is absent stays as it is, and has its default in a new grant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantBody {
    /// Whether the plan has the feature at all; true by default.
    #[schema(value_type = bool)]
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Units for each period; null is unlimited. A flag has none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<i64>, example = 120)]
    limit_value: Patch<i64>,
    /// What happens at the limit; `hard` by default.
    #[schema(value_type = super::names::LimitTypeName)]
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_type: Option<LimitType>,
    /// When the counter starts again; `billing_month` by default, and `never` for a gauge or a flag.
    #[schema(value_type = super::names::ResetName)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<Reset>,
    /// 80 and 90 by default.
    #[schema(value_type = ThresholdsEdit)]
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<ThresholdsEdit>,
    /// Units that one customer may use for each node while the store is away; 0 by default.
    #[schema(value_type = i64, example = 0, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_open: Option<i64>,
    /// What a unit beyond a soft limit costs, in the tenant's currency, with up to six decimals.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<f64>, example = 0.05)]
    overage_price: Patch<Decimal>,
    /// Units that were not used and go on to the next period, at most so many; null carries nothing over.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<i64>, example = 50)]
    rollover_cap: Patch<i64>,
}

impl From<GrantBody> for GrantEdit {
    fn from(body: GrantBody) -> Self {
        let overage_price = match body.overage_price {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(Decimal(text)) => Patch::Set(text),
        };
        Self {
            enabled: body.enabled,
            limit_value: body.limit_value,
            limit_type: body.limit_type,
            reset: body.reset,
            warning: body.thresholds.as_ref().and_then(|t| t.warning),
            critical: body.thresholds.as_ref().and_then(|t| t.critical),
            fail_open: body.fail_open,
            overage_price,
            rollover_cap: body.rollover_cap,
        }
    }
}

impl From<GrantEdit> for GrantBody {
    fn from(edit: GrantEdit) -> Self {
        let overage_price = match edit.overage_price {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(text) => Patch::Set(Decimal(text)),
        };
        let (warning, critical) = (edit.warning, edit.critical);
        let said = warning.is_some() || critical.is_some();
        Self {
            enabled: edit.enabled,
            limit_value: edit.limit_value,
            limit_type: edit.limit_type,
            reset: edit.reset,
            thresholds: said.then_some(ThresholdsEdit { warning, critical }),
            fail_open: edit.fail_open,
            overage_price,
            rollover_cap: edit.rollover_cap,
        }
    }
}

/// What a plan grants of a feature.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedBody {
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    #[schema(example = "Invoice OCR & Analysis")]
    name: String,
    #[schema(value_type = super::names::KindName)]
    kind: FeatureKind,
    /// What one of it is.
    #[schema(required, example = "analyses")]
    unit: Option<String>,
    enabled: bool,
    /// Null is unlimited.
    #[schema(required, example = 100)]
    limit_value: Option<i64>,
    #[schema(value_type = super::names::LimitTypeName)]
    limit_type: LimitType,
    #[schema(value_type = super::names::ResetName)]
    reset: Reset,
    thresholds: ThresholdsBody,
    #[schema(example = 0)]
    fail_open: i64,
    /// What a unit beyond a soft limit costs.
    #[schema(value_type = Option<f64>, required, example = 0.05)]
    overage_price: Option<Micros>,
    /// Units that go on to the next period at most, when they were not used.
    #[schema(required, example = 50)]
    rollover_cap: Option<i64>,
}

/// Percentages of the limit at which the status changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ThresholdsBody {
    #[schema(example = 80)]
    warning: u16,
    #[schema(example = 90)]
    critical: u16,
}

/// Millionths, written as an exact decimal number.
#[derive(Debug, Clone, Copy)]
pub struct Micros(i64);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = RawValue::from_string(grant::decimal(self.0)).map_err(serde::ser::Error::custom)?;
        digits.serialize(serializer)
    }
}

impl GrantedBody {
    /// A grant with the names of its feature.
    pub fn of(feature: &Feature, granted: &PlanFeature) -> Self {
        Self {
            feature: feature.key.clone(),
            name: feature.name.to_string(),
            kind: feature.kind,
            unit: feature.unit.as_deref().map(str::to_owned),
            enabled: granted.enabled,
            limit_value: (granted.limit_type != LimitType::Unlimited).then_some(granted.limit),
            limit_type: granted.limit_type,
            reset: granted.reset,
            thresholds: ThresholdsBody { warning: granted.thresholds.warning, critical: granted.thresholds.critical },
            fail_open: granted.fail_open,
            overage_price: granted.overage_micros.map(Micros),
            rollover_cap: granted.rollover_cap,
        }
    }
}
