//! Versions of a plan's prices: in several currencies, and for one customer alone.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::price::VersionRow;
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::body::Body;
use super::decimal::Decimal;
use super::etag::IfMatch;
use super::list::{List, ListQuery, NoFilter, Page, cut};
use super::names::IntervalName;
use super::params::Path;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::price::{self, Made, NewPrice};
use crate::error::Error;

/// A price to set: from now on new subscriptions pay it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPriceBody {
    #[schema(value_type = IntervalName)]
    interval: Interval,
    #[schema(example = "EUR", min_length = 3, max_length = 3)]
    currency: String,
    #[schema(value_type = f64, example = 319.00, minimum = 0)]
    amount: Decimal,
    /// The one customer that it is for, by id or externalId; everybody without.
    #[schema(value_type = String, example = "acme-42")]
    customer: Option<String>,
}

/// A version of a price. It never changes; another takes its place.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceVersionBody {
    #[schema(example = "prc_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = IntervalName)]
    interval: String,
    #[schema(example = "EUR")]
    currency: String,
    #[schema(value_type = f64, example = 319.00)]
    amount: Amount,
    /// Counts up within interval, currency and customer.
    #[schema(example = 2)]
    version: i64,
    /// Whether new subscriptions pay it.
    is_active: bool,
    /// The id of the one customer that it is for; null for everybody.
    #[schema(required, example = json!(null))]
    customer: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    /// When another took its place.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    ended_at: Option<Timestamp>,
}

/// Versions of a plan's prices.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceVersionsBody {
    data: Vec<PriceVersionBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl PriceVersionBody {
    fn of(row: VersionRow) -> Result<Self, Error> {
        Ok(Self {
            amount: Amount(price::amount(&row)?),
            id: row.price_id,
            interval: row.interval,
            currency: row.currency,
            version: row.version,
            is_active: row.active,
            customer: row.customer_id,
            created_at: Timestamp::from_micros(row.created_at),
            ended_at: row.ended_at.map(Timestamp::from_micros),
        })
    }
}

/// All versions of a plan's prices, the newest first. Sorted by `createdAt`; `q` looks for a currency.
#[utoipa::path(get, path = "/api/admin/plans/{slug}/prices", operation_id = "listPrices", tag = "catalog", params(("slug" = String, Path, example = "starter"), ListQuery),
    responses((status = 200, body = PriceVersionsBody), (status = 404, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    Path(slug): Path<String>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<PriceVersionsBody>, Failed> {
    let wanted = query.wanted(&["-createdAt"])?;
    let mut rows = price::versions(&cx, &slug).await?;
    let search = wanted.search.to_uppercase();
    rows.retain(|row| row.currency.contains(&search));
    let Page { data, next_cursor } =
        cut(rows, &wanted, |row| (format!("{:020}", row.created_at), row.price_id.clone()));
    let data = data.into_iter().map(PriceVersionBody::of).collect::<Result<_, _>>()?;
    Ok(Json(PriceVersionsBody { data, next_cursor }))
}

/// Set a price in any currency, or one customer's own. What it costs already is answered as it is (200 instead of 201).
/// It edits the plan, whose `ETag` goes into `If-Match`.
#[utoipa::path(post, path = "/api/admin/plans/{slug}/prices", operation_id = "createPrice", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    request_body = NewPriceBody, responses((status = 201, body = PriceVersionBody), (status = 200, body = PriceVersionBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn create(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
    retry: Retry,
    Body(body): Body<NewPriceBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, &format!("prices of {slug}"), &body)?;
    let NewPriceBody { interval, currency, amount: Decimal(amount), customer } = body;
    let new = NewPrice { interval, currency, amount, customer };
    let (row, made) = price::create(&cx, (&slug, &expected), &new, identity.as_ref()).await?;
    let status = if made == Made::There { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = (status, Json(PriceVersionBody::of(row)?)).into_response();
    mark_replay(&mut response, made == Made::Before);
    Ok(response)
}
