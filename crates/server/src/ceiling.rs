//! For benchmarks: what is the fastest that this server could answer? The same accept loop, the same JSON parsed, an
//! answer of the same shape, and nothing decided or recorded.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use hyper::body::Incoming;
use providers::llm::{Call, Demo, Part, Upstream as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
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

/// An AI call without the gate: the demo's rules alone on the same input.
async fn analyze(body: Bytes) -> Response {
    let Ok(input) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let text = input.get("invoiceData").and_then(Value::as_str).unwrap_or_default().to_owned();
    let call = Call {
        model: "demo".to_owned(),
        api_version: None,
        system: String::new(),
        parts: vec![Part::Text(text)],
        output_schema: None,
        max_output_tokens: 4_096,
        component: "invoice_ocr".to_owned(),
        action: "analyze".to_owned(),
        input,
        request_id: String::new(),
        timeout: Duration::from_mins(1),
    };
    let (pieces, mut reading) = mpsc::channel(16);
    let reader = async { while reading.recv().await.is_some() {} };
    match tokio::join!(Demo.run(&call, pieces), reader).0 {
        Ok(answer) => Json(serde_json::json!({ "result": answer.output })).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Serves until it is killed.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await.map_err(Error::internal)?;
    announce(&listener)?;
    let router = Router::new()
        .route("/api/usage/consume", post(answer))
        .route("/api/ai/invoice-ocr/analyze", post(analyze))
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
