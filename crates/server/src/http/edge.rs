//! What happens around every request: its id, its log line and its figures, a panic that becomes
//! an answer, and the headers that every answer has.
//!
//! It stands outside the router, because a layer inside it is boxed and cloned once more for each route and request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

use super::problem::{Failed, REQUEST_ID};
use crate::cx::{App, id_bits};
use crate::error::Error;

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const TENANT: HeaderName = HeaderName::from_static("x-tenant");
/// A browser may remember for so long that it may call.
const PREFLIGHT_KEPT: Duration = Duration::from_hours(1);
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The whole service. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    router: Cors<Router>,
    figures: Arc<Figures>,
}

/// Handles on the figures of requests, so that none is looked up by its name for each request.
struct Figures {
    classes: [metrics::Counter; 5],
    seconds: metrics::Histogram,
}

impl Figures {
    fn note(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.classes.get(class) {
            count.increment(1);
        }
        self.seconds.record(took);
    }
}

impl Edge {
    /// The service of a product.
    pub fn new(app: Arc<App>, figures: PrometheusHandle) -> Self {
        let classes = CLASSES.map(|class| metrics::counter!("tollgate_http_requests_total", "status" => class));
        let seconds = metrics::histogram!("tollgate_http_seconds");
        Self { router: cors().layer(super::router(app, figures)), figures: Arc::new(Figures { classes, seconds }) }
    }

    /// Answers a request.
    pub async fn answer(self, request: Request<Incoming>) -> Response {
        let began = Instant::now();
        let id: Arc<str> = domain::id::encode_as("req", id_bits()).into();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let request = request.map(Body::new);
        let answered = AssertUnwindSafe(self.router.oneshot(request)).catch_unwind();
        let mut response = match REQUEST_ID.scope(id.clone(), answered).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_panic) => Failed::from(Error::internal("a handler panicked")).into_response(),
        };
        let (status, took) = (response.status(), began.elapsed());
        self.figures.note(status, took);
        if status.is_server_error() {
            tracing::warn!(request.id = %id, %method, path, status = status.as_u16(), took_ms = took.as_millis(), "request failed");
        } else {
            tracing::debug!(request.id = %id, %method, path, status = status.as_u16(), took_ms = took.as_millis(), "request");
        }
        complete(response.headers_mut(), &id);
        response
    }
}

/// Pages of other origins may call with a token of theirs: a browser that sends one was given it. Cookies are never
/// for them, so no answer to a cookie is either.
fn cors() -> CorsLayer {
    let may = |_: &HeaderValue, request: &Parts| {
        let asks = request.method == Method::OPTIONS || request.headers.contains_key(header::AUTHORIZATION);
        asks && request.uri.path().starts_with("/api/")
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(may))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            IDEMPOTENCY_KEY,
            TENANT,
            UPLOAD_OFFSET,
        ])
        .expose_headers([header::RETRY_AFTER, REQUEST_ID_HEADER, IDEMPOTENCY_REPLAYED])
        .max_age(PREFLIGHT_KEPT)
}

fn complete(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
