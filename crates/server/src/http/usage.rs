//! The gate on the wire.

use super::wire::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::{EventId, FeatureKey, ReservationId};
use domain::reservation::TTL_SECONDS_DEFAULT;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use store::gate::{Done, Idempotency};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, UsageCorrect, UsageRead, UsageWrite};
use super::body::{Body, object};
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{ItemBody, QuotaMap, mark_replay, quota_map};
use crate::app::idempotency;
use crate::app::usage::{self, Action};
use crate::cx::Cx;
use crate::error::{Code, Error};
use crate::limits::{BATCH_MAX, METADATA_BYTES_MAX};

/// An action: what it uses, for whom.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UseBody {
    /// The customer's id or externalId; an API key names it, a signed-in user acts for their own.
    #[schema(example = "acme-42")]
    customer: Option<String>,
    /// What is used: all of it, or nothing.
    #[serde(default, deserialize_with = "super::body::objects")]
    items: Vec<ItemBody>,
    /// Anything to keep beside the event, up to 4,096 bytes of JSON.
    #[serde(serialize_with = "crate::app::canonical::optional")]
    #[schema(schema_with = super::wire::metadata)]
    metadata: Option<Value>,
}

/// An action to hold.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReserveBody {
    /// As for `consume`.
    #[schema(example = "acme-42")]
    customer: Option<String>,
    #[serde(default, deserialize_with = "super::body::objects")]
    items: Vec<ItemBody>,
    #[serde(serialize_with = "crate::app::canonical::optional")]
    #[schema(schema_with = super::wire::metadata)]
    metadata: Option<Value>,
    /// How long to hold; 300 by default, 86,400 at most.
    #[schema(example = 300)]
    ttl_seconds: Option<i64>,
}

/// What was really used of a reservation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettleBody {
    #[schema(value_type = String, example = "rsv_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    reservation: ReservationId,
    /// The real amounts; what is not named is given back.
    #[serde(deserialize_with = "super::body::objects")]
    items: Vec<UsedBody>,
}

/// What was really used of a feature.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsedBody {
    /// The feature's key; `-` reads as `_`.
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// Units; 0 gives all of it back.
    #[schema(example = 2, minimum = 0)]
    amount: i64,
}

/// A reservation to give back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseBody {
    #[schema(value_type = String, example = "rsv_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    reservation: ReservationId,
}

/// One action of a batch.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchItem {
    /// As for `consume`.
    #[schema(example = "acme-42")]
    customer: Option<String>,
    #[serde(default, deserialize_with = "super::body::objects")]
    items: Vec<ItemBody>,
    #[serde(serialize_with = "crate::app::canonical::optional")]
    #[schema(schema_with = super::wire::metadata)]
    metadata: Option<Value>,
    /// As the header `Idempotency-Key` of `consume`.
    #[schema(example = "019aa8a0-0000-7000-8000-000000000001")]
    idempotency_key: Option<String>,
}

/// Several actions, each decided on its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// 1 to 1,000. Each is read on its own: one that is wrong is answered as such, beside the others.
    #[schema(value_type = Vec<BatchItem>)]
    items: Vec<Box<RawValue>>,
}

/// The level of a gauge.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GaugeBody {
    /// The customer's id or externalId.
    #[schema(example = "acme-42")]
    customer: String,
    /// The level as counted at its source.
    #[schema(example = 400_000_000, minimum = 0)]
    value: i64,
}

/// A change of a gauge.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustBody {
    /// The customer's id or externalId.
    #[schema(example = "acme-42")]
    customer: String,
    /// Up is admitted like any use; down always is, as far as there is something to take away.
    #[schema(example = -1_500_000)]
    delta: i64,
}

/// An action that was recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The event; the same again for a retry with the same key. Null when nothing is recorded (a check), or not yet: a
    /// feature that fails open was used while the store is away, and then no quotas are known either.
    #[schema(value_type = Option<String>, required, example = "evt_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: Option<EventId>,
    /// Always true: a refusal is a problem.
    allowed: bool,
    /// The quotas of every feature touched, as decided.
    #[schema(value_type = BTreeMap<String, super::wire::QuotaBody>)]
    quotas: QuotaMap,
    /// Units beyond a hold or a soft limit.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(example = 2)]
    overrun: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(units: &i64) -> bool {
    *units == 0
}

/// A reservation that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// For `settle` and `release`.
    #[schema(value_type = Option<String>, required, example = "rsv_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    reservation: Option<ReservationId>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:05:00Z")]
    expires_at: Timestamp,
    #[schema(value_type = BTreeMap<String, super::wire::QuotaBody>)]
    quotas: QuotaMap,
}

/// An answer for each action, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer {
    results: Vec<BatchResult>,
}

/// One answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchResult {
    /// What the same action would have been answered alone.
    #[schema(example = 200)]
    status: u16,
    body: BatchResultBody,
}

/// What one action of a batch came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchResultBody {
    /// It was recorded.
    Recorded(Recorded),
    /// It was refused.
    Refused(Box<Problem>),
}

impl Recorded {
    fn of(done: &Done, cx: &Cx) -> Self {
        let quotas = quota_map(&done.quotas, &cx.tenant.catalog);
        Self { id: done.event.clone(), allowed: true, quotas, overrun: done.overrun }
    }
}

fn action(
    (customer, items, metadata): (Option<String>, &[ItemBody], Option<&Value>),
    idempotency: Option<Idempotency>,
) -> Result<Action, Error> {
    let metadata = metadata.map(Value::to_string);
    if metadata.as_ref().is_some_and(|text| text.len() > METADATA_BYTES_MAX) {
        return Err(Error::field("/metadata", format!("use at most {METADATA_BYTES_MAX} bytes")));
    }
    let items = items.iter().map(|item| (item.feature.clone(), item.amount)).collect();
    Ok(Action { customer, items, metadata, idempotency, quiet: false })
}

/// Use features: all items of the action, or none. Durable before it is answered.
#[utoipa::path(post, path = "/api/usage/consume", operation_id = "consumeUsage", tag = "usage", request_body = UseBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001",
        description = "Makes a retry return the first answer; a UUIDv7 is fastest.")),
    responses((status = 200, body = Recorded), (status = 402, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn consume(cx: Authed<UsageWrite>, retry: Retry, Body(body): Body<UseBody>) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "consume", &body)?;
    let action = action((body.customer, &body.items, body.metadata.as_ref()), identity)?;
    let done = usage::consume(&cx, &action).await.map_err(|e| Failed::named(e, &cx.tenant.catalog))?;
    Ok(recorded(&done, &cx))
}

fn recorded(done: &Done, cx: &Cx) -> Response {
    let mut response = Json(Recorded::of(done, cx)).into_response();
    mark_replay(&mut response, done.replayed);
    response
}

/// Say whether `consume` would be allowed; nothing is recorded.
#[utoipa::path(post, path = "/api/usage/check", operation_id = "checkUsage", tag = "usage", request_body = UseBody,
    responses((status = 200, body = Recorded), (status = 429, body = Problem)))]
pub async fn check(cx: Authed<UsageRead>, Body(body): Body<UseBody>) -> Result<Json<Recorded>, Failed> {
    let action = action((body.customer, &body.items, body.metadata.as_ref()), None)?;
    let done = usage::check(&cx, &action).await.map_err(|e| Failed::named(e, &cx.tenant.catalog))?;
    Ok(Json(Recorded::of(&done, &cx)))
}

/// Hold units until they are settled, released or their time is over.
#[utoipa::path(post, path = "/api/usage/reserve", operation_id = "reserveUsage", tag = "usage", request_body = ReserveBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = Reserved), (status = 429, body = Problem)))]
pub async fn reserve(cx: Authed<UsageWrite>, retry: Retry, Body(body): Body<ReserveBody>) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "reserve", &body)?;
    let action = action((body.customer, &body.items, body.metadata.as_ref()), identity)?;
    let ttl = body.ttl_seconds.unwrap_or(TTL_SECONDS_DEFAULT);
    let (done, expires_at) =
        usage::reserve(&cx, &action, ttl).await.map_err(|e| Failed::named(e, &cx.tenant.catalog))?;
    let quotas = quota_map(&done.quotas, &cx.tenant.catalog);
    let body = Reserved { reservation: done.reservation.clone(), expires_at, quotas };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    mark_replay(&mut response, done.replayed);
    Ok(response)
}

/// Record what was really used of a reservation, in full.
#[utoipa::path(post, path = "/api/usage/settle", operation_id = "settleReservation", tag = "usage", request_body = SettleBody,
    responses((status = 200, body = Recorded), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn settle(cx: Authed<UsageWrite>, Body(body): Body<SettleBody>) -> Result<Response, Failed> {
    let used: Vec<_> = body.items.iter().map(|item| (item.feature.clone(), item.amount)).collect();
    let done = usage::settle(&cx, &body.reservation, &used, &Action::default()).await?;
    Ok(recorded(&done, &cx))
}

/// Give a reservation back.
#[utoipa::path(post, path = "/api/usage/release", operation_id = "releaseReservation", tag = "usage", request_body = ReleaseBody,
    responses((status = 200, body = Recorded), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn release(cx: Authed<UsageWrite>, Body(body): Body<ReleaseBody>) -> Result<Response, Failed> {
    let done = usage::release(&cx, &body.reservation).await?;
    Ok(recorded(&done, &cx))
}

/// Decide up to 1,000 actions, each on its own, and answer in their order.
#[utoipa::path(post, path = "/api/usage/batch", operation_id = "consumeBatch", tag = "usage", request_body = BatchBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Stands for every action that has no key of its own, with its number in the batch.", example = "01998f5e-7c1a-7d7e-9d0c-2f7a2f0d7f11")),
    responses((status = 200, body = BatchAnswer), (status = 422, body = Problem)))]
pub async fn batch(
    cx: Authed<UsageWrite>,
    retry: Retry,
    Body(body): Body<BatchBody>,
) -> Result<Json<BatchAnswer>, Failed> {
    if body.items.is_empty() || body.items.len() > BATCH_MAX {
        return Err(Error::field("/items", format!("name 1 to {BATCH_MAX} actions")).into());
    }
    let items: Vec<_> = body.items.iter().map(|item| object::<BatchItem>(item.get().as_bytes())).collect();
    usage::read_ahead(&cx, items.iter().flatten().map(|item| item.customer.as_deref())).await;
    let answers = items.into_iter().zip(0..).map(|(item, at)| one_of_batch(&cx, item, retry.of_item(at)));
    Ok(Json(BatchAnswer { results: futures_util::future::join_all(answers).await }))
}

async fn one_of_batch(cx: &Cx, item: Result<BatchItem, Error>, retry: Option<String>) -> BatchResult {
    let done = async {
        let BatchItem { customer, items, metadata, idempotency_key } = item?;
        if let Some(own) = &idempotency_key {
            idempotency::check(own).map_err(|wanted| Error::field("/idempotencyKey", wanted))?;
        }
        let idempotency_key = idempotency_key.or(retry);
        // The same action sent alone is the same request, so that a client may retry it either way.
        let body = UseBody { customer, items, metadata };
        let identity = match &idempotency_key {
            Some(key) => Some(idempotency::of_request(cx, "consume", key, &body)?),
            None => None,
        };
        let action = action((body.customer, &body.items, body.metadata.as_ref()), identity)?;
        usage::consume(cx, &action).await
    };
    let (status, body) = match done.await {
        Ok(done) => (200, BatchResultBody::Recorded(Recorded::of(&done, cx))),
        Err(error) => {
            let problem = Failed::named(error, &cx.tenant.catalog).problem(&cx.request_id);
            (problem.status, BatchResultBody::Refused(Box::new(problem)))
        }
    };
    BatchResult { status, body }
}

/// Set a gauge to the level counted at its source.
#[utoipa::path(put, path = "/api/usage/gauges/{feature}", operation_id = "setGauge", tag = "usage", request_body = GaugeBody,
    params(("feature" = String, Path, example = "storage"),
        ("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 200, body = Recorded), (status = 422, body = Problem)))]
pub async fn set_gauge(
    cx: Authed<UsageCorrect>,
    Path(feature): Path<String>,
    retry: Retry,
    Body(body): Body<GaugeBody>,
) -> Result<Response, Failed> {
    let feature = feature_key(&feature)?;
    let action = Action { idempotency: retry.identity(&cx, "gauge", &(&feature, &body))?, ..Action::default() };
    let done = usage::set_gauge(&cx, &feature, (&body.customer, body.value), &action).await?;
    Ok(recorded(&done, &cx))
}

/// Move a gauge up or down.
#[utoipa::path(post, path = "/api/usage/gauges/{feature}/adjust", operation_id = "adjustGauge", tag = "usage", request_body = AdjustBody,
    params(("feature" = String, Path, example = "storage"),
        ("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 200, body = Recorded), (status = 429, body = Problem)))]
pub async fn adjust_gauge(
    cx: Authed<UsageCorrect>,
    Path(feature): Path<String>,
    retry: Retry,
    Body(body): Body<AdjustBody>,
) -> Result<Response, Failed> {
    let feature = feature_key(&feature)?;
    let action = Action { idempotency: retry.identity(&cx, "adjust", &(&feature, &body))?, ..Action::default() };
    let done = usage::adjust_gauge(&cx, &feature, (&body.customer, body.delta), &action)
        .await
        .map_err(|e| Failed::named(e, &cx.tenant.catalog))?;
    Ok(recorded(&done, &cx))
}

/// Take an event back, once.
#[utoipa::path(post, path = "/api/usage/events/{id}/reverse", operation_id = "reverseEvent", tag = "usage",
    params(("id" = String, Path, example = "evt_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = Recorded), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn reverse(cx: Authed<UsageCorrect>, Path(id): Path<String>) -> Result<Response, Failed> {
    let event = EventId::parse(&id).map_err(|_| Error::new(Code::NotFound, "An event's id begins with evt_."))?;
    let done = usage::reverse(&cx, &event).await?;
    Ok(recorded(&done, &cx))
}

/// For whom to read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CustomerQuery {
    /// The customer's id or externalId, named by an API key.
    #[param(example = "acme-42")]
    customer: Option<String>,
}

impl CustomerQuery {
    /// The customer that is named.
    pub fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }
}

/// The quotas of all features.
#[utoipa::path(get, path = "/api/usage", operation_id = "getUsage", tag = "usage", params(CustomerQuery),
    responses((status = 200, body = BTreeMap<String, super::wire::QuotaBody>), (status = 404, body = Problem)))]
pub async fn read(cx: Authed<UsageRead>, Query(query): Query<CustomerQuery>) -> Result<Json<QuotaMap>, Failed> {
    let customer = usage::reading_of(&cx, query.customer.as_deref())?;
    let quotas = usage::quotas(&cx, &customer).await?;
    Ok(Json(quota_map(&quotas, &usage::catalog_of_quotas(&cx).await?.catalog)))
}

/// A feature by its key in a URL.
pub fn feature_key(text: &str) -> Result<FeatureKey, Error> {
    FeatureKey::parse(text).map_err(|_| Error::new(Code::UnknownFeature, format!("`{text}` is not a feature's key.")))
}
