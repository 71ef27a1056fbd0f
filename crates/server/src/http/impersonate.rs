//! Looking at the product as one user does.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{Authed, Impersonate};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::impersonate;
use crate::app::token::ACCESS_SECONDS;
use crate::error::{Code, Error};

/// A token that reads as a user does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewerBody {
    /// For `Authorization: Bearer`: it reads what the user reads, and changes nothing.
    #[schema(example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJl")]
    access_token: String,
    /// Seconds until it ends; it ends with your own session, too.
    #[schema(example = 900)]
    expires_in: i64,
}

/// Look at the product as a user does, reading only. `GET /api/me` then says in `impersonatedBy` who really looks, and
/// the audit trail keeps that it began.
#[utoipa::path(post, path = "/api/admin/users/{id}/impersonate", operation_id = "impersonateUser", tag = "admin customers",
    params(("id" = String, Path, example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 201, body = ViewerBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn start(cx: Authed<Impersonate>, Path(id): Path<String>) -> Result<Response, Failed> {
    let id = UserId::parse(&id).map_err(|_| Error::new(Code::NotFound, "A user's id begins with usr_."))?;
    let access_token = impersonate::start(&cx, &id).await?;
    Ok((StatusCode::CREATED, Json(ViewerBody { access_token, expires_in: ACCESS_SECONDS })).into_response())
}
