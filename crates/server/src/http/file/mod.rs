//! Files of customers: sent as a form, listed, read and deleted. Large ones are sent by [`upload`].

pub mod upload;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::time::Timestamp;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::Serialize;
use store::file::FileRow;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::auth::{Authed, UsageRead, UsageWrite};
use super::list::{List, ListQuery, Page};
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use super::usage::CustomerQuery;
use super::wire::Json;
use crate::app::file;
use crate::app::file::receive::{self, NewFile, Receiving};
use crate::cx::{App, Cx};
use crate::error::{Code, Error};
use crate::limits::BODY_STALL;

/// Bytes that a form may need beside its file. Whether a file fits is first asked without them.
const FORM_BYTES: i64 = 16 * 1024;
/// Bytes of a refused body that are read all the same, so that its sender sees the answer: a connection that is closed
/// with bytes unread is reset.
const DRAINED_BYTES_MAX: usize = 256 * 1024 * 1024;
const CROSS_ORIGIN_RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileBody {
    #[schema(example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: String,
    /// What its sender called it, without any path.
    #[schema(example = "Invoice INV-2041.pdf")]
    name: String,
    /// What it is by its content, whatever its sender said; `application/octet-stream` when that is not known.
    #[schema(example = "application/pdf")]
    media_type: String,
    /// Bytes.
    #[schema(example = 184_320)]
    size: i64,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

impl From<FileRow> for FileBody {
    fn from(row: FileRow) -> Self {
        Self {
            id: row.file_id,
            customer: row.customer_id,
            name: row.name,
            media_type: row.media_type,
            size: row.size,
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilesBody {
    data: Vec<FileBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// A customer's files, the newest first; `q` looks into their names.
#[utoipa::path(get, path = "/api/files", operation_id = "listFiles", tag = "files", params(ListQuery, CustomerQuery),
    responses((status = 200, body = FilesBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(cx: Authed<UsageRead>, List(query, own): List<CustomerQuery>) -> Result<Json<FilesBody>, Failed> {
    let wanted = query.wanted(&["-createdAt"])?;
    let rows = file::list(&cx, own.customer(), &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| (String::new(), row.file_id.clone()));
    Ok(Json(FilesBody { data: data.into_iter().map(FileBody::from).collect(), next_cursor }))
}

/// What is known of a file.
#[utoipa::path(get, path = "/api/files/{id}", operation_id = "getFile", tag = "files",
    params(("id" = String, Path, example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = FileBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<UsageRead>, Path(id): Path<String>) -> Result<Json<FileBody>, Failed> {
    Ok(Json(file::get(&cx, &id).await?.into()))
}

/// The bytes of a file, or of a piece of one.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only its shape is used, by the document; bytes are passed on as they come")]
pub struct FileBytes(Vec<u8>);

/// A file's bytes, to be saved: no browser shows or runs them.
#[utoipa::path(get, path = "/api/files/{id}/content", operation_id = "downloadFile", tag = "files",
    params(("id" = String, Path, example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, description = "The bytes; `Content-Type` is the file's own.", body = FileBytes, content_type = "application/octet-stream"),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn content(cx: Authed<UsageRead>, Path(id): Path<String>) -> Result<Response, Failed> {
    let row = file::get(&cx, &id).await?;
    let bytes = file::content(&cx, &row).await?;
    let mut response = Body::from_stream(bytes).into_response();
    let text = |text: &str| HeaderValue::from_str(text).map_err(Error::internal);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, text(&row.media_type)?);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(row.size));
    headers.insert(header::CONTENT_DISPOSITION, text(&domain::file::disposition(&row.name))?);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(CROSS_ORIGIN_RESOURCE, HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// Delete a file. What it took of the quota is free at once.
#[utoipa::path(delete, path = "/api/files/{id}", operation_id = "deleteFile", tag = "files",
    params(("id" = String, Path, example = "fil_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn remove(cx: Authed<UsageWrite>, Path(id): Path<String>) -> Result<StatusCode, Failed> {
    file::remove(&cx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A form with one file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is used, by the document; the file is read as it comes")]
pub struct FileForm {
    /// The file, with its name.
    #[schema(value_type = String, format = Binary, example = "%PDF-1.7 ...")]
    file: Vec<u8>,
}

/// Send a file as a form. Its size is taken from `Content-Length` and held before its first byte is kept; what has no room
/// is refused before the body is read.
#[utoipa::path(post, path = "/api/files", operation_id = "createFile", tag = "files", params(CustomerQuery),
    request_body(content = FileForm, content_type = "multipart/form-data"),
    responses((status = 201, body = FileBody), (status = 400, body = Problem), (status = 402, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub async fn create(
    cx: Authed<UsageWrite>,
    Query(query): Query<CustomerQuery>,
    request: Request,
) -> Result<Response, Failed> {
    let length = announced(&request)?;
    let customer = query.customer().map(str::to_owned);
    if let Err(error) = receive::admit(&cx, customer.as_deref(), length.saturating_sub(FORM_BYTES)).await {
        drain(&cx.app, request);
        return Err(Failed::named(error, &cx.tenant.catalog));
    }
    // On a task of its own: a sender who goes away is noticed, and nothing of the file stays.
    let receiving = {
        let cx = cx.0.clone();
        cx.app.clone().tasks.spawn(async move { form(&cx, customer, (request, length)).await })
    };
    let row = receiving.await.map_err(Error::internal)??;
    Ok((StatusCode::CREATED, Json(FileBody::from(row))).into_response())
}

/// How long a body is, which has to be known before it comes.
fn announced(request: &Request) -> Result<i64, Error> {
    let exact = request.body().size_hint().exact().and_then(|bytes| i64::try_from(bytes).ok());
    let detail = "send Content-Length, so that room can be held for the file; or begin at POST /api/files/uploads";
    exact.ok_or_else(|| Error::field("", detail))
}

fn broken() -> Error {
    Error::new(Code::MalformedJson, "The form could not be read to its end; send one file in it.")
}

/// Receives the one file of a form.
async fn form(cx: &Cx, customer: Option<String>, (request, length): (Request, i64)) -> Result<FileRow, Failed> {
    let boundary = boundary(request.headers()).ok_or_else(|| {
        Error::new(
            Code::UnsupportedMediaType,
            "Send multipart/form-data with one file, or begin at POST /api/files/uploads.",
        )
    })?;
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let field = timeout(BODY_STALL, form.next_field()).await.map_err(|_| broken())?.map_err(|_| broken())?;
    let field = field.filter(|field| field.file_name().is_some());
    let mut field = field.ok_or_else(|| Error::field("/file", "send one file, with its name"))?;
    let name = field.file_name().unwrap_or_default().to_owned();
    let size = length.saturating_sub(beside(boundary, field.headers())).max(0);
    let new = NewFile { customer, name, size, resumable: false };
    let mut receiving = match receive::begin(cx, new).await {
        Ok(receiving) => receiving,
        Err(error) => {
            let mut unread = DRAINED_BYTES_MAX;
            while let (1.., Ok(Ok(Some(bytes)))) = (unread, timeout(BODY_STALL, field.chunk()).await) {
                unread = unread.saturating_sub(bytes.len());
            }
            return Err(Failed::named(error, &cx.tenant.catalog));
        }
    };
    let read = read(&mut field, &mut receiving).await;
    drop(field);
    let alone = match read {
        Ok(()) => timeout(BODY_STALL, form.next_field()).await.is_ok_and(|next| matches!(next, Ok(None))),
        Err(_) => false,
    };
    if alone {
        return Ok(receiving.finish().await?);
    }
    receiving.give_up().await?;
    Err(read.err().unwrap_or_else(broken).into())
}

/// Reads the file to its end.
async fn read(field: &mut Field<'_>, receiving: &mut Receiving) -> Result<(), Error> {
    loop {
        let next = timeout(BODY_STALL, field.chunk()).await.map_err(|_| broken())?;
        let Some(bytes) = next.map_err(|_| broken())? else { return Ok(()) };
        receiving.push(bytes).await?;
    }
}

/// Bytes of the line between the parts of a form; none where the body is no form.
fn boundary(headers: &HeaderMap) -> Option<i64> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = value.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = |parameter: &str| parameter.trim().strip_prefix("boundary=").map(|text| text.trim_matches('"').len());
    parameters.split(';').find_map(named).and_then(|bytes| i64::try_from(bytes).ok())
}

/// Bytes of a form that are not its one file's: two lines with the boundary, and the head of the part.
fn beside(boundary: i64, head: &HeaderMap) -> i64 {
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let head: usize = head.iter().map(line).sum();
    // `--boundary\r\n`, head, `\r\n`, the file, `\r\n--boundary--\r\n`.
    boundary.saturating_mul(2).saturating_add(14).saturating_add(i64::try_from(head).unwrap_or(i64::MAX))
}

/// Reads a refused body away beside the answer. Whoever waits to be asked for it (`Expect: 100-continue`) is not.
fn drain(app: &Arc<App>, request: Request) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let stopping = app.stopping.clone();
    app.tasks.spawn(async move {
        let (mut body, mut read) = (request.into_body(), 0_usize);
        while read < DRAINED_BYTES_MAX {
            let next = tokio::select! {
                () = stopping.cancelled() => return,
                next = timeout(BODY_STALL, body.frame()) => next,
            };
            let Ok(Some(Ok(frame))) = next else { return };
            read = read.saturating_add(frame.data_ref().map_or(0, bytes::Bytes::len));
        }
    });
}
