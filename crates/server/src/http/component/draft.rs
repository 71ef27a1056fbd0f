//! Drafts of components, and the versions that were published.

use axum::http::StatusCode;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AdminComponentBody, ComponentPatch, key, tagged};
use crate::app::component::Definition;
use crate::app::component::draft::{self, Draft};
use crate::error::Error;
use crate::http::auth::{Authed, CatalogRead, CatalogWrite};
use crate::http::body::Body;
use crate::http::etag::{IfMatch, Tagged};
use crate::http::list::{List, ListQuery, NoFilter, Page};
use crate::http::params::Path;
use crate::http::problem::{Failed, Problem};
use crate::http::wire::Json;

/// An edit of a component that is not published yet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDraft {
    /// The version that it was made from.
    #[schema(example = 3)]
    based_on: i64,
    /// The version that is live; when it is another, the draft must be saved again before it can be published.
    #[schema(example = 3)]
    live_version: i64,
    /// The fields that differ from what is live.
    #[schema(example = json!(["actions"]))]
    changed: Vec<String>,
    /// What the component would be made of.
    definition: Definition,
}

fn tagged_draft(draft: Draft) -> Tagged<ComponentDraft> {
    let Draft { definition, based_on, live, revision, changed } = draft;
    Tagged(revision.to_string(), ComponentDraft { based_on, live_version: live, changed, definition })
}

/// Save an edit of a component as its draft: what is live, with these changes. A draft that was there is replaced.
#[utoipa::path(put, path = "/api/admin/components/{component}/draft", operation_id = "saveComponentDraft", tag = "admin", request_body = ComponentPatch,
    params(("component" = String, Path, example = "invoice-ocr"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = ComponentDraft), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn save(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ComponentPatch>,
) -> Result<Tagged<ComponentDraft>, Failed> {
    let (edit, switches) = body.parts();
    let said = [
        ("active", switches.active.is_some()),
        ("position", switches.position.is_some()),
        ("archived", switches.archived.is_some()),
    ];
    if let Some((name, _)) = said.iter().find(|(_, said)| *said) {
        let detail = "leave it out: it is no part of a version; PATCH the component itself";
        return Err(Error::field(format!("/{name}"), detail).into());
    }
    Ok(tagged_draft(draft::save(&cx, &key(&component)?, edit, &expected).await?))
}

/// Read the draft of a component.
#[utoipa::path(get, path = "/api/admin/components/{component}/draft", operation_id = "getComponentDraft", tag = "admin", params(("component" = String, Path, example = "invoice-ocr")),
    responses((status = 200, body = ComponentDraft), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CatalogRead>, Path(component): Path<String>) -> Result<Tagged<ComponentDraft>, Failed> {
    Ok(tagged_draft(draft::read(&cx, &key(&component)?).await?))
}

/// Drop the draft of a component.
#[utoipa::path(delete, path = "/api/admin/components/{component}/draft", operation_id = "dropComponentDraft", tag = "admin",
    params(("component" = String, Path, example = "invoice-ocr"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn discard(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    draft::drop_draft(&cx, &key(&component)?, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Publish the draft of a component as a new version: the next call on any node uses it.
#[utoipa::path(post, path = "/api/admin/components/{component}/publish", operation_id = "publishComponent", tag = "admin",
    params(("component" = String, Path, example = "invoice-ocr"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = AdminComponentBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn publish(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<Tagged<AdminComponentBody>, Failed> {
    Ok(tagged(draft::publish(&cx, &key(&component)?, &expected).await?))
}

/// The version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentUndo {
    /// Its number; the one before the live one by default.
    #[schema(example = 2)]
    version: Option<i64>,
}

/// Go back to an older version of a component: it is published again, as a new one.
#[utoipa::path(post, path = "/api/admin/components/{component}/undo", operation_id = "undoComponent", tag = "admin", request_body = ComponentUndo,
    params(("component" = String, Path, example = "invoice-ocr"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = AdminComponentBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn undo(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ComponentUndo>,
) -> Result<Tagged<AdminComponentBody>, Failed> {
    Ok(tagged(draft::undo(&cx, &key(&component)?, body.version, &expected).await?))
}

/// A version of a component that was published.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVersion {
    /// Its number.
    #[schema(example = 3)]
    version: i64,
    /// When it was published, in the tenant's time.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    /// Who published it.
    #[schema(example = "user:usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    by: String,
    /// `created`, `edited`, `published` or `undone`.
    #[schema(example = "published")]
    cause: String,
    /// What it is made of.
    definition: Definition,
}

/// Versions of a component.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVersions {
    data: Vec<ComponentVersion>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// List the versions of a component, the newest first.
#[utoipa::path(get, path = "/api/admin/components/{component}/versions", operation_id = "listComponentVersions", tag = "admin",
    params(ListQuery, ("component" = String, Path, example = "invoice-ocr")),
    responses((status = 200, body = ComponentVersions), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn versions(
    cx: Authed<CatalogRead>,
    Path(component): Path<String>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<ComponentVersions>, Failed> {
    let wanted = query.wanted(&["-version"])?;
    let rows = draft::versions(&cx, &key(&component)?, &wanted).await?;
    let page = Page::of(rows, &wanted, |(row, _)| (String::new(), row.version.to_string()));
    let version = |(row, definition): (store::component::VersionRow, Definition)| ComponentVersion {
        version: row.version,
        at: Timestamp::from_micros(row.at),
        by: row.actor,
        cause: row.cause,
        definition,
    };
    Ok(Json(ComponentVersions { data: page.data.into_iter().map(version).collect(), next_cursor: page.next_cursor }))
}
