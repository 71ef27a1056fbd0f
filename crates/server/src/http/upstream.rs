//! Upstreams of AI calls. A key goes in and never comes out.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::FeatureKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, SettingsWrite};
use super::body::{Body, given};
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, NoFilter, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::patch::Patch;
use crate::app::upstream::{self, Edit, View};

/// An upstream to add.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUpstreamBody {
    /// Its name, by which components refer to it.
    #[schema(example = "anthropic")]
    name: String,
    /// What it speaks.
    #[schema(value_type = super::names::UpstreamKindName, example = "anthropic")]
    kind: String,
    /// Where it is; the provider's own address by default. Without https only on a sandbox, for a server of the own network.
    #[schema(example = "https://api.anthropic.com")]
    base_url: Option<String>,
    /// Its key. It is kept encrypted and not shown again.
    #[schema(example = "sk-ant-api03-4Xk2vQ9mT7c1Zr0bN6pW")]
    api_key: Option<String>,
}

/// What changes of an upstream; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamPatch {
    /// What it speaks.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<super::names::UpstreamKindName>, example = "anthropic")]
    kind: Option<String>,
    /// Where it is; null for the provider's own address. A new address needs the key again.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://api.anthropic.com")]
    base_url: Patch<String>,
    /// Its key; null for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "sk-ant-api03-4Xk2vQ9mT7c1Zr0bN6pW")]
    api_key: Patch<String>,
}

/// An upstream. Its key is never shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamBody {
    #[schema(example = "anthropic")]
    name: String,
    #[schema(value_type = super::names::UpstreamKindName, example = "anthropic")]
    kind: String,
    /// Where it is; null for the provider's own address.
    #[schema(required, example = "https://api.anthropic.com")]
    base_url: Option<String>,
    /// Whether it has a key.
    has_key: bool,
    /// The last four characters of the key; null without a key, or when it is too short to show some.
    #[schema(required, example = "N6pW")]
    key_hint: Option<String>,
    /// The components that run on it.
    #[schema(value_type = Vec<String>, example = json!(["invoice_ocr"]))]
    components: Vec<FeatureKey>,
    /// Grows with every change; as an `ETag` it is `"3"`.
    #[schema(example = 3)]
    revision: i64,
}

/// Upstreams.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamsBody {
    data: Vec<UpstreamBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl From<View> for UpstreamBody {
    fn from((row, components): View) -> Self {
        Self {
            name: row.upstream,
            kind: row.kind,
            base_url: row.base_url,
            has_key: row.api_key_sealed.is_some(),
            key_hint: row.key_hint.filter(|hint| !hint.is_empty()),
            components,
            revision: row.revision,
        }
    }
}

fn tagged(view: View) -> Tagged<UpstreamBody> {
    Tagged(view.0.revision.to_string(), view.into())
}

/// Add an upstream.
#[utoipa::path(post, path = "/api/admin/upstreams", operation_id = "createUpstream", tag = "admin", request_body = NewUpstreamBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = UpstreamBody), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<SettingsWrite>,
    retry: Retry,
    Body(body): Body<NewUpstreamBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "admin/upstreams", &body)?;
    let edit = Edit { kind: Some(body.kind), base_url: body.base_url.into(), api_key: body.api_key.into() };
    let (view, replayed) = upstream::create(&cx, (&body.name, edit), identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, tagged(view)).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// List the upstreams by name.
#[utoipa::path(get, path = "/api/admin/upstreams", operation_id = "listUpstreams", tag = "admin", params(ListQuery),
    responses((status = 200, body = UpstreamsBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<SettingsWrite>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<UpstreamsBody>, Failed> {
    let wanted = query.wanted(&["name"])?;
    let place = |view: &View| (String::new(), view.0.upstream.clone());
    let Page { data, next_cursor } =
        Page::within(upstream::list(&cx).await?, &wanted, place, |view| view.0.upstream.clone());
    Ok(Json(UpstreamsBody { data: data.into_iter().map(UpstreamBody::from).collect(), next_cursor }))
}

/// Change an upstream: the very next call on any node uses it.
#[utoipa::path(patch, path = "/api/admin/upstreams/{name}", operation_id = "changeUpstream", tag = "admin", request_body = UpstreamPatch,
    params(("name" = String, Path, example = "anthropic"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = UpstreamBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    cx: Authed<SettingsWrite>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UpstreamPatch>,
) -> Result<Tagged<UpstreamBody>, Failed> {
    let edit = Edit { kind: body.kind, base_url: body.base_url, api_key: body.api_key };
    Ok(tagged(upstream::change(&cx, &name, edit, &expected).await?))
}

/// Take an upstream away, with its key. Refused while components run on it.
#[utoipa::path(delete, path = "/api/admin/upstreams/{name}", operation_id = "removeUpstream", tag = "admin",
    params(("name" = String, Path, example = "anthropic"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub async fn remove(
    cx: Authed<SettingsWrite>,
    Path(name): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    upstream::remove(&cx, &name, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How to test an upstream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTest {
    /// The model to ask; one that is used on it by default.
    #[schema(example = "claude-haiku-5-5")]
    model: Option<String>,
}

/// What a test of an upstream came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTested {
    /// Whether it answered.
    works: bool,
    /// What happened, and what to do.
    #[schema(example = "It answers.")]
    detail: String,
    /// The model that answered, or that was asked.
    #[schema(example = "claude-haiku-5-5")]
    model: String,
    /// How long it took.
    #[schema(example = 640)]
    milliseconds: i64,
}

/// Test the connection of an upstream with a call of a few words.
#[utoipa::path(post, path = "/api/admin/upstreams/{name}/test", operation_id = "testUpstream", tag = "admin", request_body = UpstreamTest,
    params(("name" = String, Path, example = "anthropic")),
    responses((status = 200, body = UpstreamTested), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn test(
    cx: Authed<SettingsWrite>,
    Path(name): Path<String>,
    Body(body): Body<UpstreamTest>,
) -> Result<Json<UpstreamTested>, Failed> {
    let tested = upstream::test(&cx, &name, body.model).await?;
    let upstream::Tested { works, detail, model, milliseconds } = tested;
    Ok(Json(UpstreamTested { works, detail, model, milliseconds }))
}
