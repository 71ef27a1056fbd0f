//! The route table, the limits, and what happens around every request.

mod ai;
mod auth;
mod body;
mod customer;
mod decision;
mod docs;
mod health;
mod key;
mod names;
mod page;
mod params;
mod plan;
mod problem;
mod realtime;
mod session;
mod usage;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cx::{App, id_bits};
use crate::error::{Code, Error};
use crate::limits::{AI_BODY_BYTES_MAX, BODY_BYTES_MAX, BODY_STALL};
use docs::Security;
use problem::{Failed, REQUEST_ID};

#[derive(OpenApi)]
#[openapi(
    info(title = "Tollgate", description = "Subscriptions, quotas and billing for products that sell AI features.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    security(("bearer" = []), ("cookie" = [])),
    modifiers(&Security)
)]
struct Document;

/// Every route of the API, with its documentation.
fn api() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(session::login))
        .routes(routes!(session::register))
        .routes(routes!(session::refresh))
        .routes(routes!(session::logout))
        .routes(routes!(session::setup))
        .routes(routes!(session::me))
        .routes(routes!(usage::consume))
        .routes(routes!(usage::check))
        .routes(routes!(usage::reserve))
        .routes(routes!(usage::settle))
        .routes(routes!(usage::release))
        .routes(routes!(usage::batch))
        .routes(routes!(usage::set_gauge))
        .routes(routes!(usage::adjust_gauge))
        .routes(routes!(usage::reverse))
        .routes(routes!(usage::read))
        .routes(routes!(usage::history))
        .routes(routes!(decision::explain))
        .routes(routes!(customer::create))
        .routes(routes!(customer::get))
        .routes(routes!(customer::mint))
        .routes(routes!(customer::subscription))
        .routes(routes!(plan::list))
        .routes(routes!(ai::components))
        .routes(routes!(key::create, key::list))
        .routes(routes!(key::revoke))
        .routes(routes!(realtime::ticket))
        .routes(routes!(realtime::socket))
        .routes(routes!(realtime::sse))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(OpenApiRouter::new().routes(routes!(ai::run)).layer(DefaultBodyLimit::max(AI_BODY_BYTES_MAX)));
    let (routes, mut document) = routes.split_for_parts();
    docs::complete(&mut document);
    (routes, document)
}

/// The OpenAPI document as JSON, as it is committed.
pub fn openapi() -> String {
    let mut text = api().1.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The whole service.
pub fn router(app: Arc<App>, figures: PrometheusHandle) -> Router {
    let (routes, document) = api();
    let document: Arc<str> = document.to_json().unwrap_or_default().into();
    let on_metrics = move |State(app): State<Arc<App>>| async move { health::figures(&figures, &app) };
    routes
        .route("/metrics", get(on_metrics))
        .route("/api/openapi.json", get(move || async move { docs::document(&document) }))
        .route("/api/docs", get(docs::page))
        .route("/problems/{code}", get(docs::problem))
        .route("/assets/{*path}", get(page::asset))
        .method_not_allowed_fallback(|| async {
            Failed::from(Error::new(Code::MethodNotAllowed, "See /api/docs for what can be done here."))
        })
        .fallback(page::page)
        .with_state(app)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Failed::from(Error::internal("a handler panicked")).into_response()
        }))
        .layer(RequestBodyTimeoutLayer::new(BODY_STALL))
        .layer(middleware::from_fn(around))
}

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Around every request: its id, its log line and its figures, and the headers that every answer has.
async fn around(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id: Arc<str> = format!("req_{}", domain::id::encode(id_bits())).into();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).await;
    let status = response.status();
    let took = began.elapsed();
    metrics::counter!("tollgate_http_requests_total", "status" => status_class(status.as_u16())).increment(1);
    metrics::histogram!("tollgate_http_seconds").record(took);
    if status.is_server_error() {
        tracing::warn!(request.id = %id, %method, path, status = status.as_u16(), took_ms = took.as_millis(), "request failed");
    } else {
        tracing::debug!(request.id = %id, %method, path, status = status.as_u16(), took_ms = took.as_millis(), "request");
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

const fn status_class(status: u16) -> &'static str {
    match status {
        0..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
