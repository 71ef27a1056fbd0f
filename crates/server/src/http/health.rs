//! Health, readiness and figures, for machines.

use std::sync::Arc;

use super::wire::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Failed, Problem};
use crate::cx::App;
use crate::error::{Code, Error};

/// A process that is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// A process that can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    #[schema(example = "ready")]
    status: &'static str,
    #[schema(value_type = super::names::DatabaseKindName)]
    database: &'static str,
    /// This node's number among all that share the database.
    #[schema(example = 1)]
    node: i64,
}

/// Alive: answers as soon as requests are served.
#[utoipa::path(get, path = "/healthz", operation_id = "checkAlive", tag = "operation", security(()), responses((status = 200, body = Alive)))]
pub async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Ready: the store answers and the process is not stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "checkReady", tag = "operation", security(()),
    responses((status = 200, body = Ready), (status = 503, body = Problem)))]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Ready>, Failed> {
    if app.stopping.is_cancelled() {
        return Err(Error::new(Code::Unavailable, "The process is stopping.").retry_after(5).into());
    }
    app.db.ping().await.map_err(Error::from)?;
    Ok(Json(Ready { status: "ready", database: app.db.kind_name(), node: app.gate.node() }))
}

/// Figures in Prometheus' text format.
pub fn figures(handle: &PrometheusHandle, app: &App) -> Response {
    metrics::gauge!("tollgate_live_connections").set(i32::try_from(app.live.count()).unwrap_or(i32::MAX));
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response()
}
