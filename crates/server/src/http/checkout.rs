//! Buying a plan on the wire.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::id::{CustomerId, PlanId};
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::checkout::CheckoutRow;
use utoipa::ToSchema;

use super::auth::{Authed, SubscriptionWrite};
use super::body::Body;
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::Json;
use crate::app::checkout::{self, Bought, Order};
use crate::app::customer;
use crate::app::usage::acting_for;
use crate::cx::Cx;
use crate::error::Error;

/// What to buy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckoutBody {
    /// The plan's name in URLs.
    #[schema(example = "professional")]
    plan: String,
    /// How often it is paid; every month by default.
    #[schema(value_type = Option<super::names::IntervalName>, example = "month")]
    interval: Option<String>,
    /// Through whom; the tenant's preferred provider by default.
    #[schema(example = "sandbox")]
    provider: Option<String>,
    /// The code of a coupon to redeem, once for a customer.
    #[schema(example = "LAUNCH20")]
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<String>,
    /// Who buys: for API keys alone.
    #[schema(example = "acme-42")]
    customer: Option<String>,
}

/// Where a purchase stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutState {
    /// It waits for its buyer.
    Open,
    /// It was approved, and the subscription is active.
    Completed,
    /// The buyer said no.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// A later purchase has taken its place: nothing is charged, whoever approves it.
    Superseded,
    /// It costs nothing, and takes the place of what is paid for at the end of that period.
    Scheduled,
}

/// A purchase.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutAnswer {
    /// Null when the plan costs nothing and was active at once.
    #[schema(required, example = "chk_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: Option<String>,
    pub state: CheckoutState,
    #[schema(example = "professional")]
    plan: String,
    #[schema(required, example = "sandbox")]
    provider: Option<String>,
    /// Where the buyer approves; null when there is nothing to approve.
    #[schema(required, example = "http://127.0.0.1:8080/sandbox/checkout/kZ1x…")]
    approval_url: Option<String>,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-11-22T10:30:00Z")]
    expires_at: Option<Timestamp>,
}

impl CheckoutAnswer {
    pub fn of(row: CheckoutRow, cx: &Cx) -> Self {
        let plan = cx.tenant.catalog.plans.get(&PlanId::stored(row.plan_id.as_str()));
        let state = match row.state.as_str() {
            "completed" => CheckoutState::Completed,
            "declined" => CheckoutState::Declined,
            "expired" => CheckoutState::Expired,
            "superseded" => CheckoutState::Superseded,
            _ => CheckoutState::Open,
        };
        Self {
            id: Some(row.checkout_id),
            plan: plan.map_or(row.plan_id, |plan| plan.slug.to_string()),
            provider: Some(row.provider),
            approval_url: row.approval_url.filter(|_| matches!(state, CheckoutState::Open)),
            expires_at: Some(Timestamp::from_micros(row.expires_at)),
            state,
        }
    }
}

/// Scheme and host by which the caller reached us: where a buyer's browser is sent.
fn origin(cx: &Cx, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let scheme = if cx.app.options.plain_http { "http" } else { "https" };
    format!("{scheme}://{host}")
}

/// Buy a plan. It becomes active when the provider says that the buyer approved, never because a browser came back.
/// A plan that costs nothing is active at once, or at the end of the period that is paid for. A purchase that is open
/// gives way to a later one.
#[utoipa::path(post, path = "/api/checkout", operation_id = "beginCheckout", tag = "subscription", request_body = CheckoutBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a retry answer the same purchase.", example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = CheckoutAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn begin(
    cx: Authed<SubscriptionWrite>,
    headers: HeaderMap,
    retry: Retry,
    Body(body): Body<CheckoutBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "checkout", &body)?;
    let name = acting_for(&cx, body.customer.as_deref())?;
    let customer = CustomerId::stored(customer::get(&cx, &name).await?.customer_id);
    let interval = body.interval.as_deref().map_or(Some(Interval::Month), Interval::parse);
    let interval = interval.ok_or_else(|| Error::field("/interval", "use month or year"))?;
    let order = Order {
        plan: body.plan.clone(),
        interval,
        provider: body.provider,
        coupon: body.coupon,
        return_url: format!("{}/", origin(&cx, &headers)),
    };
    let (answer, again) = match checkout::begin(&cx, &customer, &order, identity.as_ref()).await? {
        Bought::Waits(row, again) => (CheckoutAnswer::of(*row, &cx), again),
        bought @ (Bought::Active | Bought::Planned) => {
            let planned = matches!(bought, Bought::Planned);
            let state = if planned { CheckoutState::Scheduled } else { CheckoutState::Completed };
            let nothing = CheckoutAnswer {
                id: None,
                state,
                plan: body.plan,
                provider: None,
                approval_url: None,
                expires_at: None,
            };
            (nothing, false)
        }
    };
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    if again && identity.is_some() {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Where a purchase stands: an open one is looked up at its provider.
#[utoipa::path(get, path = "/api/checkout/{id}", operation_id = "getCheckout", tag = "subscription", params(("id" = String, Path, example = "chk_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = CheckoutAnswer), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<SubscriptionWrite>, Path(id): Path<String>) -> Result<Json<CheckoutAnswer>, Failed> {
    Ok(Json(CheckoutAnswer::of(checkout::look_up(&cx, &id).await?, &cx)))
}
