//! Features as admins see and edit them.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::catalog::FeatureKind;
use domain::id::FeatureKey;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::body::Body;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, NoFilter, Page, cut};
use super::names::KindName;
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::feature::{self, FeatureEdit, Listed};
use crate::app::patch::Patch;

/// A feature to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFeatureBody {
    /// Its key in every URL and answer, which never changes; `-` reads as `_`.
    #[schema(value_type = String, example = "tax_check", min_length = 1, max_length = 64)]
    feature: FeatureKey,
    #[schema(example = "Tax Check", min_length = 1, max_length = 200)]
    name: String,
    #[schema(value_type = String, example = "Checks the taxes of an invoice.", max_length = 2_000)]
    description: Option<String>,
    /// How it behaves, which never changes.
    #[schema(value_type = KindName)]
    kind: FeatureKind,
    /// What one of it is.
    #[schema(value_type = String, example = "checks", max_length = 40)]
    unit: Option<String>,
    /// Order in lists; after all others by default.
    #[schema(value_type = i64, example = 7, minimum = 0, maximum = 1_000_000)]
    position: Option<i64>,
}

/// What changes of a feature; what is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureEditBody {
    #[schema(value_type = String, example = "Tax Check", min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(value_type = String, example = "Checks the taxes of an invoice.", max_length = 2_000)]
    description: Option<String>,
    /// Null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "checks", max_length = 40)]
    unit: Patch<String>,
    #[schema(value_type = i64, example = 7, minimum = 0, maximum = 1_000_000)]
    position: Option<i64>,
    /// Whether it is offered no more; plans that grant it go on.
    #[schema(value_type = bool)]
    archived: Option<bool>,
}

/// A feature.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeatureBody {
    #[schema(example = "invoice_ocr")]
    feature: String,
    #[schema(example = "Invoice OCR & Analysis")]
    name: String,
    #[schema(example = "Reads invoices.")]
    description: String,
    #[schema(value_type = KindName)]
    kind: String,
    /// What one of it is.
    #[schema(required, example = "analyses")]
    unit: Option<String>,
    #[schema(example = 0)]
    position: i64,
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    archived_at: Option<Timestamp>,
    /// The plans that grant it, by their names in URLs.
    #[schema(example = json!(["starter", "professional"]))]
    plans: Vec<String>,
}

/// Features of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeaturesBody {
    data: Vec<FeatureBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl From<Listed> for FeatureBody {
    fn from(Listed { row, plans }: Listed) -> Self {
        Self {
            feature: row.feature,
            name: row.name,
            description: row.description,
            kind: row.kind,
            unit: row.unit,
            position: row.position,
            archived_at: row.archived_at.map(Timestamp::from_micros),
            plans,
        }
    }
}

fn tagged(listed: Listed) -> Tagged<FeatureBody> {
    Tagged(listed.row.revision.to_string(), listed.into())
}

/// All features, also archived ones. Sorted by `position`, `name` or `feature`; `q` looks into names and keys.
#[utoipa::path(get, path = "/api/admin/features", operation_id = "listFeatures", tag = "catalog", params(ListQuery),
    responses((status = 200, body = FeaturesBody), (status = 403, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<FeaturesBody>, Failed> {
    let wanted = query.wanted(&["position", "name", "feature"])?;
    let mut features = feature::list(&cx).await?;
    let search = wanted.search.to_lowercase();
    features.retain(|f| f.row.feature.contains(&search) || f.row.name.to_lowercase().contains(&search));
    let Page { data, next_cursor } = cut(features, &wanted, |listed| {
        let value = match wanted.sort {
            "position" => format!("{:020}", listed.row.position),
            "name" => listed.row.name.to_lowercase(),
            _ => listed.row.feature.clone(),
        };
        (value, listed.row.feature.clone())
    });
    Ok(Json(FeaturesBody { data: data.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Make a feature.
#[utoipa::path(post, path = "/api/admin/features", operation_id = "createFeature", tag = "catalog", request_body = NewFeatureBody,
    responses((status = 201, body = FeatureBody), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<CatalogWrite>,
    retry: Retry,
    Body(body): Body<NewFeatureBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "features", &body)?;
    let NewFeatureBody { feature: key, name, description, kind, unit, position } = body;
    let unit = unit.map_or(Patch::Keep, Patch::Set);
    let edit = FeatureEdit { name: Some(name), description, unit, position, archived: None };
    let (listed, replayed) = feature::create(&cx, (&key, kind), edit, identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, tagged(listed)).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// Read a feature. Its `ETag` goes into `If-Match` of an edit.
#[utoipa::path(get, path = "/api/admin/features/{feature}", operation_id = "getFeature", tag = "catalog", params(("feature" = String, Path, example = "invoice_ocr")),
    responses((status = 200, body = FeatureBody), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CatalogRead>, Path(key): Path<String>) -> Result<Tagged<FeatureBody>, Failed> {
    Ok(tagged(feature::get(&cx, &feature::key(&key)?).await?))
}

/// Change a feature, or archive it.
#[utoipa::path(patch, path = "/api/admin/features/{feature}", operation_id = "updateFeature", tag = "catalog", params(("feature" = String, Path, example = "invoice_ocr")),
    request_body = FeatureEditBody, responses((status = 200, body = FeatureBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn update(
    cx: Authed<CatalogWrite>,
    Path(key): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<FeatureEditBody>,
) -> Result<Tagged<FeatureBody>, Failed> {
    let FeatureEditBody { name, description, unit, position, archived } = body;
    let edit = FeatureEdit { name, description, unit, position, archived };
    Ok(tagged(feature::edit(&cx, &feature::key(&key)?, &expected, edit).await?))
}

/// Delete a feature that no plan has ever granted.
#[utoipa::path(delete, path = "/api/admin/features/{feature}", operation_id = "deleteFeature", tag = "catalog", params(("feature" = String, Path, example = "tax_check")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub async fn delete(
    cx: Authed<CatalogWrite>,
    Path(key): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    feature::delete(&cx, &feature::key(&key)?, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
