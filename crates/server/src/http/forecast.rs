//! Looking ahead.

use std::collections::BTreeMap;

use domain::id::FeatureKey;
use domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{Authed, UsageRead};
use super::params::Query;
use super::problem::{Failed, Problem};
use super::usage::CustomerQuery;
use super::wire::{Json, QuotaBody};
use crate::app::forecast;

/// A quota, and what it comes to at the pace of this period so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastBody {
    #[serde(flatten)]
    quota: QuotaBody,
    /// Units used at the reset: used × length of the period ÷ time passed, rounded up; null where nothing resets.
    #[schema(required, example = 131)]
    projected: Option<i64>,
    /// When nothing remains; null if that is not before the reset, or there is no limit.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2025-01-24T10:00:00Z")]
    runs_out_at: Option<Timestamp>,
}

/// When each quota runs out, if its use goes on as in this period so far.
#[utoipa::path(get, path = "/api/usage/forecast", operation_id = "getUsageForecast", tag = "usage", params(CustomerQuery),
    responses((status = 200, body = BTreeMap<String, ForecastBody>), (status = 404, body = Problem)))]
pub async fn read(
    cx: Authed<UsageRead>,
    Query(query): Query<CustomerQuery>,
) -> Result<Json<BTreeMap<FeatureKey, ForecastBody>>, Failed> {
    let found = forecast::of_customer(&cx, query.customer()).await?;
    let body = found.into_iter().map(|(quota, ahead)| {
        let body = ForecastBody {
            quota: QuotaBody::of(&quota, &cx.tenant.catalog),
            projected: ahead.projected,
            runs_out_at: ahead.runs_out_at,
        };
        (quota.feature, body)
    });
    Ok(Json(body.collect()))
}
