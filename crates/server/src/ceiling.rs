//! For benchmarks: what is the fastest that this server could answer? The same accept loop, the same JSON parsed, an
//! answer of the same shape, and nothing decided or recorded.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::error::{Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    customer: Option<String>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    feature: String,
    amount: i64,
}

#[derive(Serialize)]
struct Recorded {
    id: String,
    allowed: bool,
    quotas: std::collections::BTreeMap<String, Quota>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Quota {
    feature: String,
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    used: i64,
    reserved: i64,
    limit: i64,
    credits: i64,
    remaining: i64,
    percentage: i64,
    reset_date: &'static str,
    resets_at: &'static str,
    status: &'static str,
    version: i64,
}

async fn answer(body: Bytes) -> Response {
    let Ok(action) = serde_json::from_slice::<Action>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let quota = |item: Item| {
        let quota = Quota {
            feature: item.feature.clone(),
            name: "Invoice OCR & Analysis",
            kind: "counter",
            unit: "analyses",
            used: item.amount,
            reserved: 0,
            limit: 1_000_000,
            credits: 0,
            remaining: 999_999,
            percentage: 0,
            reset_date: "2026-12-01",
            resets_at: "2026-12-01T00:00:00Z",
            status: "ok",
            version: 1_764_547_200_000_000,
        };
        (item.feature, quota)
    };
    let quotas = action.items.into_iter().map(quota).collect();
    Json(Recorded { id: action.customer.unwrap_or_default(), allowed: true, quotas }).into_response()
}

/// Serves until it is killed.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await.map_err(Error::internal)?;
    announce(&listener)?;
    let router = Router::new()
        .route("/api/usage/consume", post(answer))
        .route("/healthz", axum::routing::get(|| async { "ok" }));
    let answer = move |request: Request<Incoming>| {
        let answered = router.clone().oneshot(request);
        async move { answered.await.into_response() }
    };
    crate::listen::serve(listener, answer, &TaskTracker::new(), CancellationToken::new()).await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the benchmark reads the address")]
fn announce(listener: &TcpListener) -> Result<()> {
    println!("ready http://{}", listener.local_addr().map_err(Error::internal)?);
    Ok(())
}
