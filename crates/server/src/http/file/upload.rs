//! Large files, sent in as many requests as it takes: after a break the sender asks where the upload stands, and goes on
//! from there.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::time::Timestamp;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::{Deserialize, Serialize};
use store::file::FileRow;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{FileBody, FileBytes};
use crate::app::file::receive::{self, NewFile, Receiving};
use crate::cx::Cx;
use crate::error::{Code, Error};
use crate::http::auth::{Authed, UsageWrite};
use crate::http::body;
use crate::http::params::Path;
use crate::http::problem::{Failed, Problem};
use crate::http::wire::Json;
use crate::limits::{BODY_STALL, TEXT_CHARS_MAX};

/// A file to come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUploadBody {
    /// The customer's id or externalId, named by an API key.
    #[schema(example = "acme-42")]
    customer: Option<String>,
    /// What it is called.
    #[schema(example = "Recording.mp4", min_length = 1, max_length = 200)]
    name: String,
    /// Its bytes.
    #[schema(example = 734_003_200, minimum = 0, maximum = 10_000_000_000_i64)]
    size: i64,
}

/// An upload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UploadBody {
    /// The id of the upload, and of the file that it becomes.
    #[schema(example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(example = "Recording.mp4")]
    name: String,
    /// Bytes of the whole.
    #[schema(example = 734_003_200)]
    size: i64,
    /// Bytes that are there: the next request goes on from here.
    #[schema(example = 83_886_080)]
    offset: i64,
    /// What is not whole by then is forgotten, and its room free again.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T10:00:00Z")]
    expires_at: Timestamp,
    /// The file, once all is there.
    #[schema(required)]
    file: Option<FileBody>,
}

impl UploadBody {
    fn of(row: FileRow, whole: bool) -> Self {
        Self {
            id: row.file_id.clone(),
            name: row.name.clone(),
            size: row.size,
            offset: row.received,
            expires_at: Timestamp::from_micros(row.expires_at),
            file: whole.then(|| row.into()),
        }
    }
}

/// Begin to send a file in several requests. Its size is held from now on.
#[utoipa::path(post, path = "/api/files/uploads", operation_id = "beginUpload", tag = "files", request_body = NewUploadBody,
    responses((status = 201, body = UploadBody), (status = 402, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn begin(cx: Authed<UsageWrite>, body::Body(new): body::Body<NewUploadBody>) -> Result<Response, Failed> {
    let NewUploadBody { customer, name, size } = new;
    if size < 0 {
        return Err(Error::field("/size", "name the file's bytes").into());
    }
    if name.trim().is_empty() || name.chars().count() > TEXT_CHARS_MAX {
        return Err(Error::field("/name", format!("use 1 to {TEXT_CHARS_MAX} characters")).into());
    }
    let named = |error| Failed::named(error, &cx.tenant.catalog);
    receive::admit(&cx, customer.as_deref(), size).await.map_err(named)?;
    let new = NewFile { customer, name, size, resumable: true };
    let row = pause(receive::begin(&cx, new).await.map_err(named)?).await?;
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

/// Where an upload stands.
#[utoipa::path(get, path = "/api/files/uploads/{id}", operation_id = "getUpload", tag = "files",
    params(("id" = String, Path, example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = UploadBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<UsageWrite>, Path(id): Path<String>) -> Result<Json<UploadBody>, Failed> {
    Ok(Json(UploadBody::of(receive::find(&cx, &id).await?, false)))
}

/// Send what follows. With the last byte the upload is a file.
#[utoipa::path(patch, path = "/api/files/uploads/{id}", operation_id = "continueUpload", tag = "files",
    params(("id" = String, Path, example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n"),
        ("Upload-Offset" = i64, Header, description = "Where the bytes begin: the upload's `offset`.", example = 83_886_080)),
    request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 200, body = UploadBody), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Another request sends it."), (status = 412, body = Problem, description = "It stands elsewhere."),
        (status = 413, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub async fn go_on(
    cx: Authed<UsageWrite>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<UploadBody>, Failed> {
    // A body cannot be looked at from two threads, so what is asked of it is asked before.
    let length = i64::try_from(request.body().size_hint().lower()).unwrap_or(i64::MAX);
    let brought = offset(request.headers()).map(|offset| (offset, length));
    let receiving = match admitted(&cx, &id, brought).await {
        Ok(receiving) => receiving,
        Err(error) => {
            super::drain(&cx.app, request);
            return Err(error.into());
        }
    };
    // On a task of its own: what came before a break is kept, whoever waits.
    let received = cx.app.tasks.spawn(async move { read(receiving, request.into_body()).await });
    Ok(Json(received.await.map_err(Error::internal)??))
}

/// Takes up an upload for what a request brings, if it goes on where the upload stands.
async fn admitted(cx: &Cx, id: &str, brought: Result<(i64, i64), Error>) -> Result<Receiving, Error> {
    let (offset, length) = brought?;
    let row = receive::find(cx, id).await?;
    if offset.saturating_add(length) > row.size {
        let detail = format!("{} bytes were announced; send no more.", row.size);
        return Err(Error::new(Code::BodyTooLarge, detail));
    }
    receive::go_on(cx, row, offset).await
}

fn offset(headers: &HeaderMap) -> Result<i64, Error> {
    let given = headers.get("upload-offset").and_then(|value| value.to_str().ok()?.parse().ok());
    let detail = "send the header Upload-Offset: where these bytes begin in the file";
    given.filter(|offset| *offset >= 0).ok_or_else(|| Error::field("", detail))
}

/// Reads a body to its end, and lets the upload go: as a file if it is whole.
async fn read(mut receiving: Receiving, mut body: Body) -> Result<UploadBody, Error> {
    let broken =
        || Error::new(Code::MalformedJson, "The body could not be read to its end; go on from where it stands.");
    let read = loop {
        let Ok(next) = timeout(BODY_STALL, body.frame()).await else { break Err(broken()) };
        let Some(frame) = next else { break Ok(()) };
        let Ok(frame) = frame else { break Err(broken()) };
        // Trailers are of no use here.
        let Ok(bytes) = frame.into_data() else { continue };
        if let Err(error) = receiving.push(bytes).await {
            break Err(error);
        }
    };
    let upload = pause(receiving).await;
    read.and(upload)
}

/// Lets an upload go, with all that has come.
async fn pause(mut receiving: Receiving) -> Result<UploadBody, Error> {
    receiving.put().await?;
    if receiving.is_whole() {
        return Ok(UploadBody::of(receiving.finish().await?, true));
    }
    Ok(UploadBody::of(receiving.pause().await?, false))
}

/// End an upload: nothing of it stays.
#[utoipa::path(delete, path = "/api/files/uploads/{id}", operation_id = "endUpload", tag = "files",
    params(("id" = String, Path, example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn give_up(cx: Authed<UsageWrite>, Path(id): Path<String>) -> Result<StatusCode, Failed> {
    receive::give_up(&cx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
