//! The catalog as one document: taken out, compared, and applied.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::plan::Applies;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::body::read;
use super::etag::{IfMatch, Tagged};
use super::names::AppliesName;
use super::params::{Query, flag};
use super::problem::{Failed, Problem};
use crate::app::catalog::difference::{self, Change, Kind};
use crate::app::catalog::{self, How, Outcome};
use crate::error::{Code, Error};
use crate::limits::CATALOG_BYTES_MAX;

/// The media type of documents (RFC 9512).
const YAML: &str = "application/yaml";

/// In which form a catalog goes out.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CatalogFormat {
    Yaml,
    Json,
}

/// A catalog: `format`, `currency`, `defaultPlan`, and the sections `features`, `plans`, `upstreams`, `components`,
/// `modelPrices`, `packs` and `coupons`, each a list. What an entry leaves out has its usual value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogDocument, value_type = Object, example = json!({ "format": 1, "currency": "USD", "plans": [{ "slug": "starter", "name": "Starter", "prices": { "month": { "USD": "299.00" } } }] }))]
pub struct CatalogDocument(Value);

/// In which form the catalog is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CatalogQuery {
    /// `yaml` or `json`; otherwise as `Accept` says, and JSON when it does not.
    #[param(example = "yaml")]
    format: Option<CatalogFormat>,
}

/// How a document is to be applied.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyQuery {
    /// `true` tells what would change, and changes nothing.
    #[param(value_type = Option<bool>, example = true)]
    dry_run: Option<String>,
    /// `true` archives the features, plans, components, packs and coupons that the document does not have.
    #[param(value_type = Option<bool>, example = false)]
    prune: Option<String>,
    /// For whom changed grants of plans hold: `now` for all at once, `renewal` for each from its next billing period on,
    /// `new` for new subscriptions; a changed price is always for new ones.
    #[param(value_type = Option<AppliesName>, example = "now")]
    applies: Option<Applies>,
}

/// What happens to something.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CatalogAction {
    /// It is new.
    Add,
    /// It becomes something else.
    Change,
    /// It is sold no more; who has it keeps it.
    Archive,
    /// The document does not have it, and it stays as it is.
    Keep,
}

/// A member that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogField {
    /// Where in the entry: a JSON pointer; empty for the whole.
    #[schema(example = "/prices/month/USD")]
    field: String,
    #[schema(schema_with = super::wire::state)]
    before: Value,
    #[schema(schema_with = super::wire::state)]
    after: Value,
}

/// Something that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogChange {
    /// The section of the document.
    #[schema(example = "plans")]
    section: &'static str,
    /// Which of it: its slug, key, name or code.
    #[schema(example = "starter")]
    key: String,
    action: CatalogAction,
    /// The members that differ; of something new those that are not as usual.
    fields: Vec<CatalogField>,
}

/// What a document changes, or has changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogDifference {
    /// Whether the catalog is now what the document says; false for a dry run.
    applied: bool,
    changes: Vec<CatalogChange>,
    /// The same for people.
    #[schema(
        example = "~ plan starter\n    prices/month/USD: \"299.00\" → \"349.00\"\n0 to add, 1 to change, 0 to archive, 0 not in the document\n"
    )]
    text: String,
}

impl From<Change> for CatalogChange {
    fn from(change: Change) -> Self {
        let action = match change.kind {
            Kind::Added => CatalogAction::Add,
            Kind::Changed => CatalogAction::Change,
            Kind::Archived => CatalogAction::Archive,
            Kind::Kept => CatalogAction::Keep,
        };
        let fields = change.fields.into_iter();
        let field = |differs: crate::app::audit::diff::Difference| CatalogField {
            field: differs.field,
            before: differs.before,
            after: differs.after,
        };
        Self { section: change.section, key: change.key, action, fields: fields.map(field).collect() }
    }
}

/// Take the whole catalog out as one document: everything that is sold, and no secret. Applied to an empty tenant it makes
/// the same catalog there.
#[utoipa::path(get, path = "/api/admin/catalog", operation_id = "exportCatalog", tag = "catalog", params(CatalogQuery),
    responses((status = 200, content((CatalogDocument = "application/json"), (String = "application/yaml"))), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn export(
    cx: Authed<CatalogRead>,
    headers: HeaderMap,
    Query(query): Query<CatalogQuery>,
) -> Result<Response, Failed> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked = if accepted.contains("yaml") { CatalogFormat::Yaml } else { CatalogFormat::Json };
    let exported = catalog::export(&cx).await?;
    let mut response = Tagged(exported.tag, CatalogDocument(exported.document)).into_response();
    if let CatalogFormat::Yaml = query.format.unwrap_or(asked) {
        *response.body_mut() = exported.yaml.into();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(YAML));
        let file = HeaderValue::from_static("attachment; filename=\"catalog.yaml\"");
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Make the catalog what a document says, all of it or nothing, or only tell what would change. What the document does not
/// have stays, unless it is to be pruned.
#[utoipa::path(post, path = "/api/admin/catalog", operation_id = "applyCatalog", tag = "catalog",
    params(ApplyQuery, ("If-Match" = Option<String>, Header, example = "\"9f86d081884c7d65\"")),
    request_body(content((String = "application/yaml", example = "plans:\n- slug: starter\n  name: Starter\n  prices: { month: { USD: \"349.00\" } }\n"), (CatalogDocument = "application/json"))),
    responses((status = 200, body = CatalogDifference), (status = 403, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn apply(
    cx: Authed<CatalogWrite>,
    Query(query): Query<ApplyQuery>,
    IfMatch(expected): IfMatch,
    request: Request,
) -> Result<Tagged<CatalogDifference>, Failed> {
    require_document(request.headers())?;
    let how = How {
        dry_run: flag("dryRun", query.dry_run.as_deref())?.unwrap_or_default(),
        prune: flag("prune", query.prune.as_deref())?.unwrap_or_default(),
        applies: query.applies.unwrap_or_default(),
    };
    let text = read(request.into_body(), CATALOG_BYTES_MAX).await?;
    let Outcome { changes, applied, tag } = catalog::apply(&cx, &text, how, &expected).await?;
    let text = difference::told(&changes, applied);
    Ok(Tagged(tag, CatalogDifference { applied, changes: changes.into_iter().map(Into::into).collect(), text }))
}

/// No form of a foreign page can send one of these.
fn require_document(headers: &HeaderMap) -> Result<(), Error> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = [YAML, "application/x-yaml", "text/yaml", "text/x-yaml", "application/json"];
    if known.contains(&essence.as_str()) || essence.ends_with("+yaml") || essence.ends_with("+json") {
        return Ok(());
    }
    let detail = "Send Content-Type: application/yaml or application/json.";
    Err(Error::new(Code::UnsupportedMediaType, detail))
}
