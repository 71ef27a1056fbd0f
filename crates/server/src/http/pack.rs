//! Credit packs: add-ons that are bought once.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::FeatureKey;
use serde::{Deserialize, Serialize};
use store::pack::PackRow;
use utoipa::ToSchema;

use super::auth::{Anyone, Authed, CatalogRead, CatalogWrite};
use super::body::{Body, given};
use super::decimal::Decimal;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, NoFilter, Page, sortable};
use super::params::Path;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::pack::{self, Edit};
use crate::app::patch::Patch;
use crate::error::Error;

/// A credit pack to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPackBody {
    /// Its name in URLs.
    #[schema(example = "ocr-100")]
    slug: String,
    /// What people read.
    #[schema(example = "100 more invoices")]
    name: String,
    /// What it has units of: a counter or a credit.
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// How many.
    #[schema(example = 100)]
    amount: i64,
    /// What it costs.
    #[schema(value_type = f64, example = 49.00)]
    price: Decimal,
    /// The tenant's by default.
    #[schema(example = "USD")]
    currency: Option<String>,
    /// Days after the purchase until what is left is lost; never by default.
    #[schema(example = 365)]
    expires_after_days: Option<i64>,
    /// Whether it is sold; true by default.
    active: Option<bool>,
    /// Order in lists; the last by default.
    #[schema(example = 0)]
    position: Option<i64>,
}

/// What changes of a credit pack; what is left out stays. Who bought one keeps what they bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackPatch {
    /// What people read.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "100 more invoices")]
    name: Option<String>,
    /// What it has units of: a counter or a credit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "invoice_ocr")]
    feature: Option<FeatureKey>,
    /// How many.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = 100)]
    amount: Option<i64>,
    /// What it costs.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, example = 49.00)]
    price: Option<Decimal>,
    /// In which currency; with a `price`.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "USD")]
    currency: Option<String>,
    /// Days after the purchase until what is left is lost; null for never.
    #[serde(default)]
    #[schema(value_type = Option<i64>, example = 365)]
    expires_after_days: Patch<i64>,
    /// Whether it is sold.
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
    /// Order in lists.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = 0)]
    position: Option<i64>,
}

/// A credit pack as everybody sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackBody {
    #[schema(example = "ocr-100")]
    slug: String,
    #[schema(example = "100 more invoices")]
    name: String,
    /// What it has units of.
    #[schema(example = "invoice_ocr")]
    feature: String,
    /// How many.
    #[schema(example = 100)]
    amount: i64,
    #[schema(value_type = f64, example = 49.00)]
    price: Amount,
    #[schema(example = "USD")]
    currency: String,
    /// Days after the purchase until what is left is lost; null for never.
    #[schema(required, example = 365)]
    expires_after_days: Option<i64>,
}

/// A credit pack as an admin sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminPackBody {
    #[serde(flatten)]
    pack: PackBody,
    /// Whether it is sold.
    active: bool,
    /// Order in lists.
    #[schema(example = 0)]
    position: i64,
    /// Grows with every change; as an `ETag` it is `"3"`.
    #[schema(example = 3)]
    revision: i64,
}

fn body(row: PackRow) -> Result<AdminPackBody, Error> {
    let price = Amount(pack::price(&row)?);
    let pack = PackBody {
        slug: row.slug,
        name: row.name,
        feature: row.feature,
        amount: row.amount,
        price,
        currency: row.currency,
        expires_after_days: row.expires_after_days,
    };
    Ok(AdminPackBody { pack, active: row.active, position: row.position, revision: row.revision })
}

fn tagged(row: PackRow) -> Result<Tagged<AdminPackBody>, Error> {
    Ok(Tagged(row.revision.to_string(), body(row)?))
}

/// Credit packs as an admin sees them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminPacksBody {
    data: Vec<AdminPackBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// The credit packs that are sold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PacksBody {
    data: Vec<PackBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

fn place(wanted: &store::list::Wanted) -> impl Fn(&PackRow) -> (String, String) + '_ {
    |row| {
        let value = match wanted.sort {
            "position" => sortable(row.position),
            "name" => row.name.to_lowercase(),
            _ => String::new(),
        };
        (value, row.slug.clone())
    }
}

fn text(row: &PackRow) -> String {
    format!("{} {}", row.slug, row.name)
}

/// Add a credit pack.
#[utoipa::path(post, path = "/api/admin/packs", operation_id = "createPack", tag = "admin", request_body = NewPackBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = AdminPackBody), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(cx: Authed<CatalogWrite>, retry: Retry, Body(body): Body<NewPackBody>) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "admin/packs", &body)?;
    let edit = Edit {
        name: Some(body.name),
        feature: Some(body.feature),
        amount: Some(body.amount),
        price: Some(body.price.0),
        currency: body.currency,
        expires_after_days: body.expires_after_days.into(),
        active: body.active,
        position: body.position,
    };
    let (row, replayed) = pack::create(&cx, (&body.slug, edit), identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, tagged(row)?).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// List the credit packs in the order of `position`, or sorted by `name` or `slug`. `q` looks into slugs and names.
#[utoipa::path(get, path = "/api/admin/packs", operation_id = "listAdminPacks", tag = "admin", params(ListQuery),
    responses((status = 200, body = AdminPacksBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<AdminPacksBody>, Failed> {
    let wanted = query.wanted(&["position", "name", "slug"])?;
    let Page { data, next_cursor } = Page::within(pack::list(&cx).await?, &wanted, place(&wanted), text);
    Ok(Json(AdminPacksBody { data: data.into_iter().map(body).collect::<Result<_, _>>()?, next_cursor }))
}

/// Change a credit pack.
#[utoipa::path(patch, path = "/api/admin/packs/{slug}", operation_id = "changePack", tag = "admin", request_body = PackPatch,
    params(("slug" = String, Path, example = "ocr-100"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = AdminPackBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<PackPatch>,
) -> Result<Tagged<AdminPackBody>, Failed> {
    let edit = Edit {
        name: body.name,
        feature: body.feature,
        amount: body.amount,
        price: body.price.map(|Decimal(text)| text),
        currency: body.currency,
        expires_after_days: body.expires_after_days,
        active: body.active,
        position: body.position,
    };
    Ok(tagged(pack::change(&cx, &slug, edit, &expected).await?)?)
}

/// Take a credit pack away. Who bought one keeps what they bought.
#[utoipa::path(delete, path = "/api/admin/packs/{slug}", operation_id = "archivePack", tag = "admin",
    params(("slug" = String, Path, example = "ocr-100"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn archive(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    pack::archive(&cx, &slug, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The credit packs that are sold, in their order.
#[utoipa::path(get, path = "/api/packs", operation_id = "listPacks", security(()), tag = "subscription", params(ListQuery),
    responses((status = 200, body = PacksBody), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn sold(Anyone(cx): Anyone, List(query, NoFilter {}): List<NoFilter>) -> Result<Json<PacksBody>, Failed> {
    let wanted = query.wanted(&["position", "name", "slug"])?;
    let mut rows = pack::list(&cx).await?;
    rows.retain(|row| row.active);
    let Page { data, next_cursor } = Page::within(rows, &wanted, place(&wanted), text);
    let data = data.into_iter().map(|row| body(row).map(|body| body.pack)).collect::<Result<_, _>>()?;
    Ok(Json(PacksBody { data, next_cursor }))
}
