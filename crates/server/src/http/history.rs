//! Use over time.

use std::collections::BTreeMap;

use domain::id::FeatureKey;
use domain::time::{TimeError, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, UsageRead};
use super::params::Query;
use super::problem::{Failed, Problem};
use super::usage::feature_key;
use super::wire::Json;
use crate::app::usage;
use crate::cx::Cx;
use crate::error::Error;

/// What is shown when nobody says from when.
const DEFAULT_SECONDS: i64 = 30 * 86_400;

/// Sums of use in buckets of time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// The customer's id or externalId, named by an API key or by who may see every customer.
    #[param(example = "acme-42")]
    customer: Option<String>,
    /// The feature's key.
    #[param(example = "invoice_ocr")]
    feature: String,
    /// From when: a time (RFC 3339), or a date for its midnight in the tenant's zone; 30 days before `to` by default.
    #[param(example = "2026-11-01T00:00:00Z")]
    from: Option<String>,
    /// Until when, in the same way and without that instant; now by default.
    #[param(example = "2026-12-01")]
    to: Option<String>,
    /// `hour`, `day` or `month`, in the tenant's time zone.
    bucket: Option<Bucket>,
}

/// The length of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
    /// A month.
    Month,
}

/// Use over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    bucket: Bucket,
    /// Oldest first; buckets without use are left out.
    points: Vec<Point>,
}

/// The use of one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub struct Point {
    /// The bucket's start: an instant for hours, else a date in the tenant's zone.
    #[schema(example = "2026-11-22")]
    at: String,
    #[schema(example = 12)]
    used: i64,
}

/// The use of a feature over time.
#[utoipa::path(get, path = "/api/usage/history", operation_id = "getUsageHistory", tag = "usage", params(HistoryQuery),
    responses((status = 200, body = History), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn history(cx: Authed<UsageRead>, Query(query): Query<HistoryQuery>) -> Result<Json<History>, Failed> {
    let customer = usage::reading_of(&cx, query.customer.as_deref())?;
    let feature = feature_key(&query.feature)?;
    let now = cx.tenant_now().plus_seconds(1);
    let to = instant(&cx, "to", query.to.as_deref())?.unwrap_or(now);
    let from = instant(&cx, "from", query.from.as_deref())?.unwrap_or_else(|| to.plus_seconds(-DEFAULT_SECONDS));
    if from >= to {
        return Err(Error::parameter("from", "use a time before `to`, which is now by default").into());
    }
    let bucket = query.bucket.unwrap_or_default();
    let hours = usage::history(&cx, &customer, &feature, (from, to)).await?;
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for row in hours {
        let hour = Timestamp::from_micros(row.hour);
        let date = hour.date_in(&cx.tenant.catalog.zone).map_err(Error::internal)?;
        let at = match bucket {
            Bucket::Hour => hour.to_string(),
            Bucket::Day => date.to_string(),
            Bucket::Month => date.first_of_month().to_string(),
        };
        *sums.entry(at).or_default() += row.used;
    }
    let points = sums.into_iter().map(|(at, used)| Point { at, used }).collect();
    Ok(Json(History { feature, bucket, points }))
}

/// An instant of the query: a time, or a date for its midnight in the tenant's zone.
pub fn instant(cx: &Cx, name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Error> {
    let wrong = |error| match error {
        TimeError::Range => Error::parameter(name, "use a time from -9999-01-03 to 9999-12-29"),
        TimeError::Format | TimeError::Zone(_) => {
            Error::parameter(name, "write a date such as 2026-11-22, or a time such as 2026-11-22T10:00:00Z")
        }
    };
    text.map(|text| Timestamp::parse_in(text, &cx.tenant.catalog.zone).map_err(wrong)).transpose()
}
