//! Why a refusal was a refusal.

use domain::id::DecisionId;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::{Authed, UsageRead};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::decision;
use crate::error::{Code, Error};

/// The explanation of a refusal. `limits` says what did not suffice; without it the feature was not open to the customer
/// at all, and the other fields say why.
#[derive(ToSchema)]
#[schema(as = Decision, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its shape is used, by the document: explanations are kept as they were written")]
pub struct DecisionBody {
    #[schema(example = "dec_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: String,
    /// The customer's id.
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: String,
    /// The request that was refused.
    #[schema(example = "req_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    request_id: String,
    /// The problem's code.
    #[schema(example = "quota-exceeded")]
    code: String,
    /// Each limit that did not suffice.
    #[schema(required = false)]
    limits: Vec<LimitBody>,
    /// What was not open to the customer.
    #[schema(value_type = String, required = false, example = "invoice_ocr")]
    feature: String,
    /// The customer's plan, by its id.
    #[schema(required = false, example = "plan_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    plan: Option<String>,
    #[schema(required = false)]
    subscription: Option<super::names::SubscriptionStatusName>,
    #[schema(required = false)]
    suspended: bool,
}

/// A limit that did not suffice, as it stood at the decision.
#[derive(ToSchema)]
#[schema(as = DecisionLimit, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its shape is used, by the document")]
pub struct LimitBody {
    #[schema(example = "invoice_ocr")]
    feature: String,
    /// Units asked for.
    #[schema(example = 1)]
    requested: i64,
    /// The plan's name in URLs; null when the tenant does not enforce.
    #[schema(required, example = "starter")]
    plan: Option<String>,
    #[schema(example = 3)]
    plan_version: i64,
    /// The plan's own limit; null is unlimited.
    #[schema(required, example = 100)]
    plan_limit: Option<i64>,
    /// What replaced the plan's limit for this customer, if anything.
    #[schema(required)]
    r#override: Option<OverrideBody>,
    /// The limit that was in force; null is unlimited.
    #[schema(required, example = 100)]
    limit: Option<i64>,
    #[schema(example = 100)]
    used: i64,
    #[schema(example = 0)]
    reserved: i64,
    /// What was left of top-ups.
    #[schema(example = 0)]
    credits: i64,
    #[schema(required, example = 0)]
    remaining: Option<i64>,
    #[schema(required, format = DateTime, example = "2026-11-01T00:00:00Z")]
    period_start: Option<String>,
    #[schema(required, format = DateTime, example = "2026-12-01T00:00:00Z")]
    resets_at: Option<String>,
    #[schema(required, format = Date, example = "2026-12-01")]
    reset_date: Option<String>,
}

/// A limit of one customer's own.
#[derive(ToSchema)]
#[schema(as = DecisionOverride)]
#[expect(dead_code, reason = "only its shape is used, by the document")]
pub struct OverrideBody {
    #[schema(required, example = 200)]
    limit: Option<i64>,
}

/// Why a refusal was a refusal: which limit, plan version, override, used, reserved and reset.
#[utoipa::path(get, path = "/api/usage/decisions/{id}", operation_id = "getDecision", tag = "usage",
    params(("id" = String, Path, example = "dec_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = DecisionBody), (status = 404, body = Problem)))]
pub async fn explain(cx: Authed<UsageRead>, Path(id): Path<String>) -> Result<Json<Value>, Failed> {
    let id = DecisionId::parse(&id).map_err(|_| Error::new(Code::NotFound, "A decision's id begins with dec_."))?;
    Ok(Json(decision::get(&cx, &id).await?))
}
