//! API keys.

use super::wire::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::KeyId;
use domain::permission::Scope;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::key::KeyRow;
use utoipa::ToSchema;

use super::auth::{Authed, KeysWrite};
use super::body::Body;
use super::list::{List, ListQuery, NoFilter, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use crate::app::key;
use crate::error::{Code, Error};

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewKeyBody {
    /// Where it is used.
    #[schema(example = "production server")]
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<super::names::ScopeName>, example = json!(["usage:write", "usage:read"]))]
    scopes: Vec<Scope>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-11-22T10:00:00Z")]
    expires_at: Option<Timestamp>,
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyBody {
    #[schema(example = "key_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(example = "production server")]
    name: String,
    /// The first characters of the secret.
    #[schema(example = "tg_test_4Xk2…")]
    hint: String,
    #[schema(value_type = Vec<super::names::ScopeName>, example = json!(["usage:write", "usage:read"]))]
    scopes: Vec<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2027-11-22T10:00:00Z")]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    revoked_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-11-22T10:00:00Z")]
    last_used_at: Option<Timestamp>,
}

/// A new key with its secret, which is not shown again.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeKeyBody {
    /// The secret.
    #[schema(example = "tg_test_4Xk2…")]
    key: String,
    #[serde(flatten)]
    row: KeyBody,
}

/// All keys of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysBody {
    data: Vec<KeyBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl From<KeyRow> for KeyBody {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.key_id,
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.split(' ').map(str::to_owned).collect(),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_micros),
            revoked_at: row.revoked_at.map(Timestamp::from_micros),
            last_used_at: row.last_used_at.map(Timestamp::from_micros),
        }
    }
}

/// Make an API key.
#[utoipa::path(post, path = "/api/admin/keys", operation_id = "createKey", tag = "admin", request_body = NewKeyBody,
    responses((status = 201, body = MadeKeyBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn create(cx: Authed<KeysWrite>, Body(body): Body<NewKeyBody>) -> Result<Response, Failed> {
    let (row, secret) = key::create(&cx, &body.name, &body.scopes, body.expires_at).await?;
    Ok((StatusCode::CREATED, Json(MadeKeyBody { key: secret, row: row.into() })).into_response())
}

/// List the tenant's keys: the newest first, or sorted by `createdAt` or `name`. `q` looks into their names.
#[utoipa::path(get, path = "/api/admin/keys", operation_id = "listKeys", tag = "admin", params(ListQuery),
    responses((status = 200, body = KeysBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(cx: Authed<KeysWrite>, List(query, NoFilter {}): List<NoFilter>) -> Result<Json<KeysBody>, Failed> {
    let wanted = query.wanted(&["-createdAt", "name"])?;
    let page = Page::of(key::list(&cx, &wanted).await?, &wanted, |row| match wanted.sort {
        "name" => (row.name.clone(), row.key_id.clone()),
        _ => (String::new(), row.key_id.clone()),
    });
    let Page { data, next_cursor } = page;
    Ok(Json(KeysBody { data: data.into_iter().map(KeyBody::from).collect(), next_cursor }))
}

/// Revoke a key.
#[utoipa::path(delete, path = "/api/admin/keys/{id}", operation_id = "revokeKey", tag = "admin", params(("id" = String, Path, example = "key_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke(cx: Authed<KeysWrite>, Path(id): Path<String>) -> Result<StatusCode, Failed> {
    let id = KeyId::parse(&id).map_err(|_| Error::new(Code::NotFound, "A key's id begins with key_."))?;
    key::revoke(&cx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
