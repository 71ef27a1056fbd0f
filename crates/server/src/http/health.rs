//! Health, readiness and figures, for machines.

use std::sync::Arc;

use super::wire::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use super::problem::Failed;
use crate::cx::App;
use crate::error::{Code, Error};

/// Alive: answers as soon as requests are served.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "Alive.")))]
pub async fn healthz() -> Response {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// Ready: the store answers and the process is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses((status = 200, description = "Ready."), (status = 503, description = "Not now.")))]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Failed> {
    if app.stopping.is_cancelled() {
        return Err(Error::new(Code::Unavailable, "The process is stopping.").retry_after(5).into());
    }
    app.db.ping().await.map_err(Error::from)?;
    Ok(Json(json!({ "status": "ready", "database": app.db.kind_name(), "node": app.gate.node() })).into_response())
}

/// Figures in Prometheus' text format.
pub fn figures(handle: &PrometheusHandle, app: &App) -> Response {
    metrics::gauge!("tollgate_live_connections").set(i32::try_from(app.live.count()).unwrap_or(i32::MAX));
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response()
}
