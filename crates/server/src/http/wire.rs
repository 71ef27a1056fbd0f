//! Shapes that several routes share.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::catalog::{Catalog, FeatureKind};
use domain::id::FeatureKey;
use domain::quota::{Quota, Status};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, SchemaType};

use super::problem::Failed;
use crate::error::Error;

/// An answer in JSON. axum's own writes through a buffer that grows by every piece, which costs twice the time.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// Bytes that most answers need.
const ANSWER_BYTES: usize = 512;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES);
        match serde_json::to_writer(&mut bytes, &self.0) {
            Ok(()) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response(),
            Err(error) => Failed::from(Error::internal(error)).into_response(),
        }
    }
}

/// Says of an answer that it is the one to an earlier request.
pub fn mark_replay(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
}

/// Quotas by feature.
pub type QuotaMap = BTreeMap<FeatureKey, QuotaBody>;

/// One feature's quota.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Quota)]
pub struct QuotaBody {
    /// The feature's key.
    #[schema(value_type = String, example = "invoice_ocr")]
    pub feature: FeatureKey,
    /// What people read.
    #[schema(value_type = String, example = "Invoice OCR & Analysis")]
    pub name: Arc<str>,
    /// `counter`, `gauge`, `flag` or `credit`.
    #[schema(value_type = super::names::KindName, example = "counter")]
    pub kind: FeatureKind,
    /// What one of it is.
    #[schema(value_type = Option<String>, required, example = "analyses")]
    pub unit: Option<Arc<str>>,
    /// Units of the plan used in this period; the level of a gauge.
    #[schema(example = 87)]
    pub used: i64,
    /// Units held by open reservations.
    #[schema(example = 0)]
    pub reserved: i64,
    /// Plan and override; null is unlimited.
    #[schema(required, example = 100)]
    pub limit: Option<i64>,
    /// What is left of top-ups.
    #[schema(example = 0)]
    pub credits: i64,
    /// What can still be used; null is unlimited.
    #[schema(required, example = 13)]
    pub remaining: Option<i64>,
    /// Whole per cent of the limit, rounded down; null is unlimited.
    #[schema(required, example = 87)]
    pub percentage: Option<i64>,
    /// The date of the next period in the tenant's time zone; null when it never resets.
    #[schema(required, format = Date, example = "2025-02-01")]
    pub reset_date: Option<String>,
    /// The instant of it.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2025-02-01T00:00:00Z")]
    pub resets_at: Option<Timestamp>,
    /// `ok`, `warning`, `critical` or `exceeded`.
    #[schema(value_type = super::names::StatusName, example = "warning")]
    pub status: Status,
    /// Grows with every change; the highest is the newest.
    #[schema(example = 1_735_689_600_000_000_i64)]
    pub version: i64,
}

impl QuotaBody {
    /// A quota with the names of its catalog.
    pub fn of(quota: &Quota, catalog: &Catalog) -> Self {
        let feature = catalog.features.get(&quota.feature);
        let end = quota.period.end;
        Self {
            feature: quota.feature.clone(),
            name: feature.map_or_else(|| quota.feature.as_str().into(), |feature| feature.name.clone()),
            kind: feature.map_or(quota.kind, |feature| feature.kind),
            unit: feature.and_then(|feature| feature.unit.clone()),
            used: quota.used,
            reserved: quota.reserved,
            limit: quota.limit,
            credits: quota.credits,
            remaining: quota.remaining(),
            percentage: quota.percentage(),
            reset_date: end.and_then(|end| end.date_in(&catalog.zone).ok()).map(|date| date.to_string()),
            resets_at: end,
            status: quota.status,
            version: quota.version,
        }
    }
}

/// Quotas by feature, with the names of their catalog.
pub fn quota_map(quotas: &[Quota], catalog: &Catalog) -> QuotaMap {
    quotas.iter().map(|quota| (quota.feature.clone(), QuotaBody::of(quota, catalog))).collect()
}

/// An amount of a feature.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemBody {
    /// The feature's key; `-` reads as `_`.
    #[schema(value_type = String, example = "invoice_ocr")]
    pub feature: FeatureKey,
    /// Units, at least 1.
    #[schema(example = 1, minimum = 1)]
    pub amount: i64,
}

/// Any JSON, with an example of it.
fn any(description: &str, example: Value) -> Object {
    let any = Object::builder().schema_type(SchemaType::AnyValue);
    any.description(Some(description)).examples([example]).build()
}

/// What may be kept beside an event, for the document.
pub fn metadata() -> Object {
    any("Anything to keep beside the event, up to 4,096 bytes of JSON.", json!({ "document": "INV-2041" }))
}

/// A state of something that was changed, for the document.
pub fn state() -> Object {
    any("JSON; null when there was nothing.", json!({ "basePrice": "299.00" }))
}

/// What a component answers, for the document.
pub fn result() -> Object {
    let example = json!({ "invoiceNumber": "INV-2041", "total": "1190.00", "currency": "EUR" });
    any("What the action's output schema says; without one, text.", example)
}

/// What an action can be tried with, for the document.
pub fn sample() -> Object {
    any("An input to try it with.", json!({ "invoiceData": "Invoice INV-2041 … Total 1,190.00 EUR" }))
}
