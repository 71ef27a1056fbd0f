//! Use and AI cost of the whole tenant.

use domain::money::{Currency, Money};
use domain::time::{Reset, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, RevenueRead};
use super::history::{Bucket, instant};
use super::params::Query;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::revenue::slug;
use super::usage::feature_key;
use super::wire::Json;
use crate::app::analytics::{self, Asked, Found, GroupBy, Margin, Sum};
use crate::app::revenue::own_currency;
use crate::cx::Cx;
use crate::error::Error;

/// Decimal digits of a cost.
const COST_DIGITS: u32 = 6;
const MICROS: u64 = 1_000_000;

/// An exact decimal number with six decimals: micro-units of a currency.
#[derive(Debug, Clone, Copy)]
pub struct Micros(pub i64);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sign, all) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let digits = format!("{sign}{}.{:06}", all / MICROS, all % MICROS);
        RawValue::from_string(digits).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// What to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UsageMetricsQuery {
    /// One feature, or one AI component, alone.
    #[param(example = "invoice_ocr")]
    feature: Option<String>,
    /// From the hour, day or month of this time (RFC 3339, or a date in the tenant's zone); 30 days before `to` by default.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Until this time, in the same way and without that instant; now by default.
    #[param(example = "2026-12-01")]
    to: Option<String>,
    /// `hour` (up to 31 days), `day` or `month`, in the tenant's time zone.
    bucket: Option<Bucket>,
    /// By `feature`, or by `plan`, `component`, `model` or `customer`: the last is a ranking of one calendar month, this one by default.
    group_by: Option<GroupByName>,
}

/// What use is grouped by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = GroupBy)]
pub enum GroupByName {
    /// The feature.
    #[default]
    Feature,
    /// The plan that the customer had then.
    Plan,
    /// The AI component.
    Component,
    /// The model that answered.
    Model,
    /// The customer.
    Customer,
}

impl From<GroupByName> for GroupBy {
    fn from(name: GroupByName) -> Self {
        match name {
            GroupByName::Feature => Self::Feature,
            GroupByName::Plan => Self::Plan,
            GroupByName::Component => Self::Component,
            GroupByName::Model => Self::Model,
            GroupByName::Customer => Self::Customer,
        }
    }
}

/// Use and AI cost by group, over the whole time and over its parts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageMetrics {
    /// Of all money here.
    #[schema(example = "USD")]
    currency: String,
    bucket: Bucket,
    group_by: GroupByName,
    #[schema(value_type = String, format = DateTime, example = "2026-11-01T00:00:00Z")]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    to: Timestamp,
    /// The whole time, by group: the greatest first.
    groups: Vec<UsageGroup>,
    /// Its parts, oldest first; parts with nothing in them are left out. A ranking of customers has none.
    points: Vec<UsageMetricsPoint>,
}

/// A group over the whole time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageGroup {
    /// A feature, component or model, a plan's name in URLs, or a customer's id; empty for customers without a plan.
    #[schema(example = "starter")]
    key: String,
    #[serde(flatten)]
    sum: UsageSum,
    /// Monthly recurring revenue of the plan or customer now; null for other groups.
    #[schema(value_type = Option<f64>, required, example = 73_255.00)]
    mrr: Option<Amount>,
    /// `cost` × 30 days ÷ the time looked at; null where there is no `mrr`.
    #[schema(value_type = Option<f64>, required, example = 1_204.113_000)]
    monthly_cost: Option<Micros>,
    /// `mrr` − `monthlyCost`.
    #[schema(value_type = Option<f64>, required, example = 72_050.887_000)]
    margin: Option<Micros>,
}

/// A group in one part of the time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageMetricsPoint {
    /// The start of the part: an instant for hours, else a date in the tenant's zone.
    #[schema(example = "2026-11-22")]
    at: String,
    /// As in `groups`.
    #[schema(example = "starter")]
    key: String,
    #[serde(flatten)]
    sum: UsageSum,
}

/// What was used, and what AI calls cost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSum {
    /// Units; null where they would be of several features, or the group is about AI calls alone.
    #[schema(required, example = 4_120)]
    used: Option<i64>,
    /// Events behind the units.
    #[schema(required, example = 4_003)]
    events: Option<i64>,
    /// AI calls; null where the group is not about them.
    #[schema(required, example = 4_003)]
    calls: Option<i64>,
    /// Tokens read, with those of the cache.
    #[schema(required, example = 9_120_400)]
    input_tokens: Option<i64>,
    #[schema(required, example = 1_310_020)]
    output_tokens: Option<i64>,
    /// What the calls cost by the prices of the models then.
    #[schema(value_type = Option<f64>, required, example = 842.870_100)]
    cost: Option<Micros>,
}

impl From<Sum> for UsageSum {
    fn from(sum: Sum) -> Self {
        Self {
            used: sum.used.map(|(used, _)| used),
            events: sum.used.map(|(_, events)| events),
            calls: sum.calls.map(|calls| calls.count),
            input_tokens: sum.calls.map(|calls| calls.input_tokens),
            output_tokens: sum.calls.map(|calls| calls.output_tokens),
            cost: sum.calls.map(|calls| Micros(calls.cost_micros)),
        }
    }
}

/// Use of features and cost of AI calls, by group and over time. It is some seconds behind the gate.
#[utoipa::path(get, path = "/api/admin/metrics/usage", operation_id = "getUsageMetrics", tag = "admin", params(UsageMetricsQuery),
    responses((status = 200, body = UsageMetrics), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn read(
    cx: Authed<RevenueRead>,
    Query(query): Query<UsageMetricsQuery>,
) -> Result<Json<UsageMetrics>, Failed> {
    let to = instant(&cx, "to", query.to.as_deref())?.unwrap_or_else(|| cx.tenant_now().plus_seconds(1));
    let from = instant(&cx, "from", query.from.as_deref())?;
    if from.is_some_and(|from| from >= to) {
        return Err(Error::parameter("from", "use a time before `to`, which is now by default").into());
    }
    let (bucket, by) = (query.bucket.unwrap_or_default(), query.group_by.unwrap_or_default());
    let reset = match bucket {
        Bucket::Hour => Reset::Hour,
        Bucket::Day => Reset::Day,
        Bucket::Month => Reset::CalendarMonth,
    };
    let feature = query.feature.as_deref().map(feature_key).transpose()?;
    let found = analytics::read(&cx, &Asked { feature, from, to, bucket: reset, by: by.into() }).await?;
    Ok(Json(told(&cx, found, (bucket, by))?))
}

fn told(cx: &Cx, found: Found, (bucket, by): (Bucket, GroupByName)) -> Result<UsageMetrics, Error> {
    let currency = own_currency(&cx.tenant)?;
    let key = |name: String| if by == GroupByName::Plan { slug(&cx.tenant, &name) } else { name };
    let margins = found.margins;
    let mut groups: Vec<_> = found.groups.into_iter().collect();
    let size = |sum: &Sum| (sum.calls.map(|calls| calls.cost_micros), sum.used);
    groups.sort_by(|(name, sum), (other, than)| size(than).cmp(&size(sum)).then_with(|| name.cmp(other)));
    let groups = groups.into_iter().map(|(name, sum)| {
        let margin = margins.get(&name).copied();
        group(key(name), sum, margin, currency)
    });
    let groups = groups.collect();
    let mut points = Vec::with_capacity(found.points.len());
    for ((at, name), sum) in found.points {
        let at = match bucket {
            Bucket::Hour => at.to_string(),
            Bucket::Day | Bucket::Month => at.date_in(&cx.tenant.catalog.zone).map_err(Error::internal)?.to_string(),
        };
        points.push(UsageMetricsPoint { at, key: key(name), sum: sum.into() });
    }
    let (from, to) = found.range;
    Ok(UsageMetrics { currency: currency.code().to_owned(), bucket, group_by: by, from, to, groups, points })
}

fn group(key: String, sum: Sum, margin: Option<Margin>, currency: Currency) -> UsageGroup {
    let micros = |mrr: i64| mrr.saturating_mul(10_i64.saturating_pow(COST_DIGITS.saturating_sub(currency.digits())));
    UsageGroup {
        key,
        sum: sum.into(),
        mrr: margin.map(|margin| Amount(Money::new(margin.mrr, currency))),
        monthly_cost: margin.map(|margin| Micros(margin.monthly_cost_micros)),
        margin: margin.map(|margin| Micros(micros(margin.mrr).saturating_sub(margin.monthly_cost_micros))),
    }
}
