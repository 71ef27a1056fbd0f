//! Coupons.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::coupon::{Duration, Off};
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::coupon::CouponRow;
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::body::{Body, given};
use super::decimal::Decimal;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, NoFilter, Page};
use super::params::{Path, Query};
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::component::edit::current;
use crate::app::coupon::{self, Edit, NewOff};
use crate::app::patch::Patch;
use crate::error::Error;

/// A coupon to add: either `percentOff` or `amountOff`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCouponBody {
    /// What people type, in either case.
    #[schema(example = "SPRING20")]
    code: String,
    /// What people read; the code by default.
    #[schema(example = "Spring offer")]
    name: Option<String>,
    /// Whole per cent, 1 to 100. The share is rounded half up to the currency's minor unit.
    #[schema(example = 20)]
    percent_off: Option<i64>,
    /// An amount, of which at most the price is taken off.
    #[schema(value_type = Option<f64>, example = 50.00)]
    amount_off: Option<Decimal>,
    /// Of the amount; the tenant's by default.
    #[schema(example = "USD")]
    currency: Option<String>,
    /// For how long; `once` is the first payment.
    #[schema(value_type = super::names::CouponDurationName)]
    duration: Duration,
    /// For how many months, when it is `repeating`.
    #[schema(example = 3)]
    months: Option<i64>,
    /// How often it may be redeemed; any number by default.
    #[schema(example = 500)]
    max_redemptions: Option<i64>,
    /// Until when it may be redeemed; no end by default.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-06-01T00:00:00Z")]
    valid_until: Option<Timestamp>,
    /// Slugs of the plans that it is for; all by default.
    #[serde(default)]
    #[schema(example = json!(["starter", "professional"]))]
    plans: Vec<String>,
    /// Whether it may be redeemed; true by default.
    active: Option<bool>,
}

/// What changes of a coupon; what is left out stays. What it takes off never changes: make another coupon for that.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CouponPatch {
    /// What people read.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "Spring offer")]
    name: Option<String>,
    /// How often it may be redeemed; null for any number.
    #[serde(default)]
    #[schema(value_type = Option<i64>, example = 500)]
    max_redemptions: Patch<i64>,
    /// Until when it may be redeemed; null for no end.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-06-01T00:00:00Z")]
    valid_until: Patch<Timestamp>,
    /// Slugs of the plans that it is for; an empty list is all.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = json!(["starter"]))]
    plans: Option<Vec<String>>,
    /// Whether it may be redeemed.
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
}

/// A coupon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponBody {
    #[schema(example = "SPRING20")]
    code: String,
    #[schema(example = "Spring offer")]
    name: String,
    /// Whole per cent; null when it is an amount.
    #[schema(required, example = 20)]
    percent_off: Option<i64>,
    /// An amount; null when it is a share.
    #[schema(value_type = Option<f64>, required, example = json!(null))]
    amount_off: Option<Amount>,
    /// Of the amount; null when it is a share.
    #[schema(required, example = json!(null))]
    currency: Option<String>,
    #[schema(value_type = super::names::CouponDurationName)]
    duration: String,
    /// For how many months, when it is `repeating`.
    #[schema(required, example = json!(null))]
    months: Option<i64>,
    /// How often it may be redeemed; null for any number.
    #[schema(required, example = 500)]
    max_redemptions: Option<i64>,
    /// How often it was.
    #[schema(example = 12)]
    redeemed: i64,
    /// Until when it may be redeemed; null for no end.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2027-06-01T00:00:00Z")]
    valid_until: Option<Timestamp>,
    /// Slugs of the plans that it is for; none are all.
    #[schema(example = json!(["starter", "professional"]))]
    plans: Vec<String>,
    /// Whether it may be redeemed.
    active: bool,
    /// Grows with every change; as an `ETag` it is `"3"`.
    #[schema(example = 3)]
    revision: i64,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

fn body(row: CouponRow) -> Result<CouponBody, Error> {
    let amount_off = match coupon::off(&row)? {
        Off::Amount(amount) => Some(Amount(amount)),
        Off::Percent(_) => None,
    };
    Ok(CouponBody {
        plans: coupon::plans(&row).into_iter().map(str::to_owned).collect(),
        code: row.code,
        name: row.name,
        percent_off: row.percent_off,
        amount_off,
        currency: row.currency,
        duration: row.duration,
        months: row.months,
        max_redemptions: row.max_redemptions,
        redeemed: row.redeemed,
        valid_until: row.valid_until.map(Timestamp::from_micros),
        active: row.active,
        revision: row.revision,
        created_at: Timestamp::from_micros(row.created_at),
    })
}

fn tagged(row: CouponRow) -> Result<Tagged<CouponBody>, Error> {
    Ok(Tagged(row.revision.to_string(), body(row)?))
}

/// Coupons.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponsBody {
    data: Vec<CouponBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// Add a coupon.
#[utoipa::path(post, path = "/api/admin/coupons", operation_id = "createCoupon", tag = "admin", request_body = NewCouponBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = CouponBody), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<CatalogWrite>,
    retry: Retry,
    Body(body): Body<NewCouponBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "admin/coupons", &body)?;
    let off = NewOff {
        percent: body.percent_off,
        amount: body.amount_off.map(|Decimal(text)| text),
        currency: body.currency,
        duration: body.duration,
        months: body.months,
    };
    let edit = Edit {
        name: body.name,
        max_redemptions: body.max_redemptions.into(),
        valid_until: body.valid_until.into(),
        plans: Some(body.plans),
        active: body.active,
    };
    let (row, replayed) = coupon::create(&cx, &body.code, (off, edit), identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, tagged(row)?).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// List the coupons by code. `q` looks into codes and names.
#[utoipa::path(get, path = "/api/admin/coupons", operation_id = "listCoupons", tag = "admin", params(ListQuery),
    responses((status = 200, body = CouponsBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<CouponsBody>, Failed> {
    let wanted = query.wanted(&["code"])?;
    let rows = coupon::list(&cx, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| (String::new(), row.code.clone()));
    Ok(Json(CouponsBody { data: data.into_iter().map(body).collect::<Result<_, _>>()?, next_cursor }))
}

/// Change who may redeem a coupon.
#[utoipa::path(patch, path = "/api/admin/coupons/{code}", operation_id = "changeCoupon", tag = "admin", request_body = CouponPatch,
    params(("code" = String, Path, example = "SPRING20"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = CouponBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    cx: Authed<CatalogWrite>,
    Path(code): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<CouponPatch>,
) -> Result<Tagged<CouponBody>, Failed> {
    let CouponPatch { name, max_redemptions, valid_until, plans, active } = body;
    let edit = Edit { name, max_redemptions, valid_until, plans, active };
    Ok(tagged(coupon::change(&cx, &code, edit, &expected).await?)?)
}

/// For which price.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QuoteQuery {
    /// The plan.
    #[param(example = "starter")]
    plan: String,
    /// `month` by default.
    #[param(inline, value_type = Option<super::names::IntervalName>, example = "month")]
    interval: Option<String>,
}

/// What a price comes to with a coupon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponQuote {
    #[schema(value_type = f64, example = 299.00)]
    price: Amount,
    /// What is taken off.
    #[schema(value_type = f64, example = 59.80)]
    discount: Amount,
    /// What is left to pay.
    #[schema(value_type = f64, example = 239.20)]
    total: Amount,
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = super::names::CouponDurationName)]
    duration: String,
    /// For how many months, when it is `repeating`.
    #[schema(required, example = json!(null))]
    months: Option<i64>,
}

/// See what a plan's price comes to with a coupon; 422 when it may not be redeemed for that.
#[utoipa::path(get, path = "/api/admin/coupons/{code}/quote", operation_id = "quoteCoupon", tag = "admin", params(QuoteQuery, ("code" = String, Path, example = "SPRING20")),
    responses((status = 200, body = CouponQuote), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn quote(
    cx: Authed<CatalogRead>,
    Path(code): Path<String>,
    Query(query): Query<QuoteQuery>,
) -> Result<Json<CouponQuote>, Failed> {
    let cx = current(&cx).await?;
    let interval = query.interval.as_deref().map_or(Some(Interval::Month), Interval::parse);
    let interval = interval.ok_or_else(|| Error::parameter("interval", "use month or year"))?;
    let plan = cx.tenant.catalog.plan_by_slug(&query.plan);
    let price = plan.and_then(|plan| cx.tenant.price(plan, interval));
    let price = price.ok_or_else(|| Error::parameter("plan", "name a plan that has a price for this interval"))?;
    let coupon::Quote { coupon, price, discounted } = coupon::quote(&cx, &code, &query.plan, price.amount).await?;
    Ok(Json(CouponQuote {
        price: Amount(price),
        discount: Amount(discounted.discount),
        total: Amount(discounted.total),
        currency: price.currency.code().to_owned(),
        duration: coupon.duration,
        months: coupon.months,
    }))
}
