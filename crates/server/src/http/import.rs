//! Bringing customers in from elsewhere.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::time::Timestamp;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, Import};
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::import;
use crate::error::{Code, Error};
use crate::limits::BODY_STALL;

/// How to import.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportQuery {
    /// `true` tells what would come of it, and writes nothing.
    #[param(value_type = Option<bool>, example = true)]
    dry_run: Option<String>,
}

/// An import that was received.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportBegunBody {
    /// For `GET /api/admin/import/{id}`.
    #[schema(example = "imp_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
}

/// Where an import is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImportState {
    /// Its lines are still coming.
    Receiving,
    /// It is being worked on.
    Running,
    /// It is over.
    Done,
}

/// An import, with what came of it so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportBody {
    #[schema(example = "imp_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    dry_run: bool,
    state: ImportState,
    /// Lines that came.
    #[schema(example = 346)]
    lines: i64,
    /// Lines that are done.
    #[schema(example = 120)]
    done: i64,
    #[schema(example = 119)]
    customers_created: i64,
    /// Customers that were there; they stay as they are.
    #[schema(example = 0)]
    customers_unchanged: i64,
    #[schema(example = 119)]
    subscriptions_created: i64,
    /// Subscriptions that were there, or had been; they stay as they are.
    #[schema(example = 0)]
    subscriptions_unchanged: i64,
    /// Amounts of use that were recorded; none in a dry run.
    #[schema(example = 40)]
    usage: i64,
    /// Amounts of use that an earlier line had brought; each is recorded once, however often it comes.
    #[schema(example = 0)]
    usage_unchanged: i64,
    /// Lines that are wrong and were left out.
    #[schema(example = 1)]
    wrong: i64,
    /// The first 100 of them.
    errors: Vec<WrongLineBody>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    finished_at: Option<Timestamp>,
}

/// A line that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WrongLine)]
pub struct WrongLineBody {
    /// Its number, from 1; empty lines do not count.
    #[schema(example = 7)]
    line: i64,
    /// What to do.
    #[schema(example = "/subscription/plan: name a plan of the catalog")]
    detail: String,
}

/// Bring in customers with their subscriptions and use: JSON lines, one customer each, of any length; see the guide in
/// docs/api.md. It is worked on in the background; the same externalId is the same customer, and a second time changes
/// nothing.
#[utoipa::path(post, path = "/api/admin/import", operation_id = "importCustomers", tag = "admin customers", params(ImportQuery),
    request_body(content = String, content_type = "application/x-ndjson", example = "{\"externalId\":\"acme-42\",\"email\":\"billing@acme.example\",\"subscription\":{\"plan\":\"starter\",\"amount\":299.00,\"start\":\"2026-01-01T00:00:00Z\"},\"usage\":{\"invoice_ocr\":12}}\n"),
    responses((status = 202, body = ImportBegunBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<Import>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Response, Failed> {
    let dry_run = match query.dry_run.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::parameter("dryRun", "use true or false").into()),
    };
    let mut receiver = import::begin(&cx, dry_run).await?;
    let mut body = request.into_body();
    let unread = || Error::new(Code::MalformedJson, "The body could not be read to its end; send it again.");
    while let Some(frame) = timeout(BODY_STALL, body.frame()).await.map_err(|_| unread())? {
        if let Ok(piece) = frame.map_err(|_| unread())?.into_data() {
            receiver.take(&piece).await?;
        }
    }
    let id = receiver.finish().await?;
    Ok((StatusCode::ACCEPTED, Json(ImportBegunBody { id })).into_response())
}

/// See how far an import is.
#[utoipa::path(get, path = "/api/admin/import/{id}", operation_id = "getImport", tag = "admin customers",
    params(("id" = String, Path, example = "imp_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = ImportBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<Import>, Path(id): Path<String>) -> Result<Json<ImportBody>, Failed> {
    let (row, counts, errors) = import::get(&cx, &id).await?;
    let state = match row.state.as_str() {
        "receiving" => ImportState::Receiving,
        "running" => ImportState::Running,
        _ => ImportState::Done,
    };
    let wrong = |line: import::WrongLine| WrongLineBody { line: line.line, detail: line.detail };
    Ok(Json(ImportBody {
        id: row.import_id,
        dry_run: row.dry_run,
        state,
        lines: row.lines,
        done: row.done,
        customers_created: counts.customers_created,
        customers_unchanged: counts.customers_unchanged,
        subscriptions_created: counts.subscriptions_created,
        subscriptions_unchanged: counts.subscriptions_unchanged,
        usage: counts.usage,
        usage_unchanged: counts.usage_unchanged,
        wrong: counts.wrong,
        errors: errors.into_iter().map(wrong).collect(),
        created_at: Timestamp::from_micros(row.created_at),
        finished_at: row.finished_at.map(Timestamp::from_micros),
    }))
}
