//! What an admin changes about one customer. Every edit answers the customer as it is afterwards, with its `ETag`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::entitlement::Override;
use domain::id::FeatureKey;
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, CustomersManage};
use super::body::Body;
use super::dossier::{CreditsBody, DossierBody};
use super::etag::IfMatch;
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::usage::feature_key;
use super::wire::{Json, mark_replay};
use crate::app::manage::{self, Credits, Edited, Field, Move};
use crate::error::Error;

/// A limit of the customer's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OverrideLimitBody {
    /// The limit in place of the plan's; null is unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, example = 250, minimum = 0)]
    limit_value: Option<i64>,
    /// When the plan's limit holds again by itself.
    #[schema(value_type = Option<String>, format = DateTime, example = "2099-01-01T00:00:00Z")]
    until: Option<Timestamp>,
}

/// A limit of the customer's own, with the feature that it is of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOverrideBody {
    /// The feature's key.
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// The limit in place of the plan's; null is unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, example = 250, minimum = 0)]
    limit_value: Option<i64>,
    /// When the plan's limit holds again by itself.
    #[schema(value_type = Option<String>, format = DateTime, example = "2099-01-01T00:00:00Z")]
    until: Option<Timestamp>,
}

/// Set a limit of the customer's own, until a time or for good.
#[utoipa::path(put, path = "/api/admin/customers/{id}/overrides/{feature}", operation_id = "putOverride", tag = "admin customers",
    request_body = OverrideLimitBody,
    params(("id" = String, Path, example = "acme-42"), ("feature" = String, Path, example = "invoice_ocr"),
        ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = DossierBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn put_override(
    cx: Authed<CustomersManage>,
    Path((id, feature)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<OverrideLimitBody>,
) -> Result<Response, Failed> {
    let own = Override { feature: feature_key(&feature)?, limit: body.limit_value, until: body.until };
    let id = manage::put_override(&cx, &id, &own, &expected).await?;
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}

/// Set a limit of the customer's own; the feature stands in the body.
#[utoipa::path(post, path = "/api/admin/customers/{id}/overrides", operation_id = "createOverride", tag = "admin customers",
    request_body = NewOverrideBody,
    params(("id" = String, Path, example = "acme-42"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = DossierBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn create_override(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<NewOverrideBody>,
) -> Result<Response, Failed> {
    let own = Override { feature: body.feature, limit: body.limit_value, until: body.until };
    let id = manage::put_override(&cx, &id, &own, &expected).await?;
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}

/// Take a limit of the customer's own away: the plan's holds again.
#[utoipa::path(delete, path = "/api/admin/customers/{id}/overrides/{feature}", operation_id = "deleteOverride", tag = "admin customers",
    params(("id" = String, Path, example = "acme-42"), ("feature" = String, Path, example = "invoice_ocr"),
        ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = DossierBody), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn delete_override(
    cx: Authed<CustomersManage>,
    Path((id, feature)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
) -> Result<Response, Failed> {
    let id = manage::drop_override(&cx, &id, &feature_key(&feature)?, &expected).await?;
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}

/// Credits to give.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCreditsBody {
    /// The feature's key.
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// Units: used after the plan's own, those that end soonest first.
    #[schema(example = 50, minimum = 1)]
    amount: i64,
    /// When what is left of them is lost.
    #[schema(value_type = Option<String>, format = DateTime, example = "2099-01-01T00:00:00Z")]
    expires_at: Option<Timestamp>,
    /// Why; support and the customer's timeline show it.
    #[schema(example = "Sorry for the outage", min_length = 1, max_length = 200)]
    reason: String,
}

/// Give a customer credits; once for each `Idempotency-Key`.
#[utoipa::path(post, path = "/api/admin/customers/{id}/credits", operation_id = "giveCredits", tag = "admin customers",
    request_body = NewCreditsBody,
    params(("id" = String, Path, example = "acme-42"), ("If-Match" = Option<String>, Header, example = "\"3\""),
        ("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = CreditsBody), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn give_credits(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    retry: Retry,
    IfMatch(expected): IfMatch,
    Body(body): Body<NewCreditsBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "credits", &(&id, &body))?;
    let NewCreditsBody { feature, amount, expires_at, reason } = body;
    let credits = Credits { feature, amount, expires_at, reason };
    let (customer, grant, replayed) = manage::give(&cx, &id, &credits, (identity.as_ref(), &expected)).await?;
    let given = DossierBody::read(&cx, &customer).await?.1.into_credits(&grant);
    let given = given.ok_or_else(|| Error::internal("credits that were just given are not there"))?;
    let mut response = (StatusCode::CREATED, Json(given)).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// A plan to move a customer to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveBody {
    /// The plan's name in URLs.
    #[schema(example = "professional")]
    plan: String,
    /// How often it is paid; as now, or monthly, when it is left out.
    #[schema(value_type = Option<super::names::IntervalName>, example = "month")]
    interval: Option<Interval>,
    /// A price version by its id: an older public one, or the customer's own. The public one when it is left out.
    #[schema(example = json!(null))]
    price: Option<String>,
}

/// Move a customer to a plan now. Limits change at once, and what was used carries over.
#[utoipa::path(patch, path = "/api/admin/customers/{id}/subscription", operation_id = "changeCustomerPlan", tag = "admin customers",
    request_body = MoveBody,
    params(("id" = String, Path, example = "acme-42"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = DossierBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn change_plan(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<MoveBody>,
) -> Result<Response, Failed> {
    let to = Move { plan: body.plan, interval: body.interval, price: body.price };
    let id = manage::change_plan(&cx, &id, &to, &expected).await?;
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}

/// End a customer's subscription now.
#[utoipa::path(delete, path = "/api/admin/customers/{id}/subscription", operation_id = "endCustomerSubscription", tag = "admin customers",
    params(("id" = String, Path, example = "acme-42"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = DossierBody), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn end_subscription(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<Response, Failed> {
    let id = manage::end_subscription(&cx, &id, &expected).await?;
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}

/// What is edited of a customer; what is left out stays, and null takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditCustomerBody {
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, example = "Acme Ltd", max_length = 200)]
    name: Field,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, example = "billing@acme.example", max_length = 200)]
    email: Field,
    /// Whether it may use nothing.
    suspended: Option<bool>,
    /// Why it is suspended, or is not any more.
    #[schema(example = "Chargeback", max_length = 200)]
    reason: Option<String>,
}

/// A field that was said, be it as null.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or(Field::Cleared, Field::Set))
}

/// Change a customer's name or address, suspend it with a reason, or let it in again.
#[utoipa::path(patch, path = "/api/admin/customers/{id}", operation_id = "editCustomer", tag = "admin customers",
    request_body = EditCustomerBody,
    params(("id" = String, Path, example = "acme-42"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = DossierBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn edit(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<EditCustomerBody>,
) -> Result<Response, Failed> {
    let EditCustomerBody { name, email, suspended, reason } = body;
    let id = manage::edit(&cx, &id, &Edited { name, email, suspended, reason }, &expected).await?;
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}
