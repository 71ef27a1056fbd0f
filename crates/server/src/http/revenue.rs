//! Revenue, for those who may see money.

use std::collections::BTreeMap;

use domain::money::{Currency, Money};
use domain::revenue::{Figures, Moved, Movement, Tenths, rounded, split};
use domain::time::{Reset, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, RevenueRead};
use super::history::instant;
use super::params::Query;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::revenue::{self, Asked, Revenue, place};
use crate::app::tenant::Tenant;
use crate::error::Error;

/// What is shown when nobody says from when.
const DEFAULT_SECONDS: i64 = 90 * 86_400;
/// What each figure means; docs/metrics.md tells more.
const DEFINITIONS: [(&str, &str); 12] = [
    (
        "mrr",
        "Monthly recurring revenue: each active, past due or canceled but not ended subscription at its own price version; yearly prices are summed as they are and the whole is divided by 12 once. Trials and pauses count for nothing.",
    ),
    ("arr", "The same for a year, without any division."),
    (
        "subscriptions",
        "Subscriptions that count for mrr, also at a price of nothing; live has the trials as well, paying only what brings more than nothing.",
    ),
    ("growth", "(mrr − mrr a calendar month ago) ÷ mrr a month ago, in per cent; null when there was none."),
    (
        "churn",
        "Subscriptions that ended in the last 30 days ÷ subscriptions live 30 days ago, in per cent; null when none was.",
    ),
    (
        "mostPopular",
        "The plan that most subscriptions begun in the last 30 days took, and its share of them in per cent; null when none began.",
    ),
    ("byPlan", "mrr by plan; the parts add up to the whole. share is the plan's part in per cent."),
    (
        "movements",
        "How mrr moved since a calendar month ago; the amounts add up to the difference. A pause is churn and its end reactivation; a switch of the currency is churn in the one and new in the other.",
    ),
    ("arpa", "mrr ÷ paying; null without any."),
    ("ltv", "arpa ÷ churn, divided once; null without churn."),
    (
        "trialConversion",
        "Trials that became active in the last 30 days ÷ trials that ended then, in per cent; null when none ended.",
    ),
    ("rounding", "Per cent have one decimal, money has the digits of its currency, both rounded half up."),
];

/// An exact decimal number with one decimal.
#[derive(Debug, Clone, Copy)]
pub struct Percent(pub Tenths);

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// When to look.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RevenueQuery {
    /// A time that has passed (RFC 3339), or a date for its midnight in the tenant's zone; now by default.
    #[param(example = "2026-11-01")]
    at: Option<String>,
}

/// Revenue at an instant: the tenant's own currency, and the others beside it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevenueBody {
    /// The instant.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    #[serde(flatten)]
    own: RevenueFigures,
    /// The same figures of every other currency that there is anything to tell of.
    currencies: Vec<RevenueFigures>,
    /// What each figure means.
    #[schema(example = json!({ "arr": "The same for a year, without any division." }))]
    definitions: BTreeMap<&'static str, &'static str>,
}

/// The figures of one currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevenueFigures {
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = f64, example = 180_366.00)]
    mrr: Amount,
    #[schema(value_type = f64, example = 2_164_392.00)]
    arr: Amount,
    /// Subscriptions that count for `mrr`.
    #[schema(example = 346)]
    subscriptions: i64,
    /// Those and the trials.
    #[schema(example = 350)]
    live: i64,
    /// Those that bring more than nothing.
    #[schema(example = 346)]
    paying: i64,
    #[schema(example = 4)]
    trialing: i64,
    /// In per cent, over a month; null when there was no revenue.
    #[schema(value_type = Option<f64>, required, example = 4.2)]
    growth: Option<Percent>,
    /// In per cent, over 30 days; null when nothing was live.
    #[schema(value_type = Option<f64>, required, example = 1.7)]
    churn: Option<Percent>,
    /// The plan of most sign-ups of the last 30 days; null when there was none.
    #[schema(required)]
    most_popular: Option<PopularPlan>,
    by_plan: Vec<PlanRevenue>,
    movements: Movements,
    /// `mrr` for each paying subscription; null without any.
    #[schema(value_type = Option<f64>, required, example = 521.29)]
    arpa: Option<Amount>,
    /// `arpa` ÷ `churn`; null without churn.
    #[schema(value_type = Option<f64>, required, example = 30_064.38)]
    ltv: Option<Amount>,
    /// In per cent; null when no trial ended in the last 30 days.
    #[schema(value_type = Option<f64>, required, example = 66.7)]
    trial_conversion: Option<Percent>,
}

/// The plan of most sign-ups.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PopularPlan {
    /// Its name in URLs.
    #[schema(example = "starter")]
    plan: String,
    #[schema(example = 24)]
    sign_ups: i64,
    /// Of all sign-ups, in per cent.
    #[schema(value_type = f64, example = 70.6)]
    share: Percent,
}

/// Revenue of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRevenue {
    /// Its name in URLs.
    #[schema(example = "starter")]
    plan: String,
    #[schema(example = 245)]
    subscriptions: i64,
    #[schema(value_type = f64, example = 73_255.00)]
    mrr: Amount,
    /// Of all `mrr`, in per cent.
    #[schema(value_type = f64, example = 40.6)]
    share: Percent,
}

/// How revenue moved: the amounts add up to its difference.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Movements {
    new: MovementBody,
    expansion: MovementBody,
    contraction: MovementBody,
    churn: MovementBody,
    reactivation: MovementBody,
}

/// Revenue that moved in one way; what went is negative.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Movement)]
pub struct MovementBody {
    /// In a month.
    #[schema(value_type = f64, example = 598.00)]
    amount: Amount,
    /// Subscriptions.
    #[schema(example = 2)]
    count: i64,
}

impl Movements {
    fn of([new, expansion, contraction, churn, reactivation]: [Moved; 5], currency: Currency) -> Self {
        let body =
            |moved: Moved| MovementBody { amount: Amount(Money::new(moved.amount, currency)), count: moved.count };
        Self {
            new: body(new),
            expansion: body(expansion),
            contraction: body(contraction),
            churn: body(churn),
            reactivation: body(reactivation),
        }
    }
}

/// A plan's name in URLs, or the id of one that is not in the catalog.
pub fn slug(tenant: &Tenant, plan: &str) -> String {
    let known = tenant.catalog.plans.get(&domain::id::PlanId::stored(plan));
    known.map_or_else(|| plan.to_owned(), |plan| plan.slug.to_string())
}

fn figures(tenant: &Tenant, currency: Currency, figures: &Figures) -> RevenueFigures {
    let money = |minor: i64| Amount(Money::new(minor, currency));
    let mut plans = figures.by_plan();
    plans.sort_by_key(|(plan, ..)| place(tenant, plan));
    let by_plan = plans.into_iter().map(|(plan, subscriptions, mrr)| PlanRevenue {
        plan: slug(tenant, plan),
        subscriptions,
        mrr: money(mrr),
        share: Percent(figures.share(plan)),
    });
    let popular = figures.most_popular(|plan| place(tenant, plan));
    RevenueFigures {
        currency: currency.code().to_owned(),
        mrr: money(figures.mrr()),
        arr: money(figures.arr()),
        subscriptions: figures.subscriptions,
        live: figures.live,
        paying: figures.paying,
        trialing: figures.trialing,
        growth: figures.growth().map(Percent),
        churn: figures.churn().map(Percent),
        most_popular: popular.map(|(plan, sign_ups, share)| PopularPlan {
            plan: slug(tenant, plan),
            sign_ups,
            share: Percent(share),
        }),
        by_plan: by_plan.collect(),
        movements: Movements::of(figures.movements().map(|(_, moved)| moved), currency),
        arpa: figures.arpa().map(money),
        ltv: figures.ltv().map(money),
        trial_conversion: figures.trial_conversion().map(Percent),
    }
}

/// Revenue now, or at any time that has passed: in the tenant's own currency, with the others under `currencies`.
#[utoipa::path(get, path = "/api/admin/metrics/revenue", operation_id = "getRevenue", tag = "admin", params(RevenueQuery),
    responses((status = 200, body = RevenueBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn read(cx: Authed<RevenueRead>, Query(query): Query<RevenueQuery>) -> Result<Json<RevenueBody>, Failed> {
    let at = instant(&cx, "at", query.at.as_deref())?;
    let Revenue { cuts, own: (currency, own), others } = revenue::at(&cx, at).await?;
    Ok(Json(RevenueBody {
        at: cuts.at,
        own: figures(&cx.tenant, currency, &own),
        currencies: others.iter().map(|(currency, other)| figures(&cx.tenant, *currency, other)).collect(),
        definitions: DEFINITIONS.into_iter().collect(),
    }))
}

/// Revenue over time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// From the day or month of this time (RFC 3339, or a date in the tenant's zone); 90 days before `to` by default.
    #[param(example = "2026-09-01")]
    from: Option<String>,
    /// Until this time, in the same way and without that instant; now by default, and never later.
    #[param(example = "2026-12-01")]
    to: Option<String>,
    /// `day` or `month`, in the tenant's time zone.
    bucket: Option<RevenueBucket>,
    /// Another currency than the tenant's own.
    #[param(example = "USD")]
    currency: Option<String>,
}

/// The length of a point.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RevenueBucket {
    /// A day.
    #[default]
    Day,
    /// A month.
    Month,
}

/// Revenue over time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevenueSeries {
    #[schema(example = "USD")]
    currency: String,
    bucket: RevenueBucket,
    /// Oldest first, none left out.
    points: Vec<RevenuePoint>,
}

/// Revenue at the end of a day or month, and how it moved in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevenuePoint {
    /// The first day, in the tenant's zone.
    #[schema(example = "2026-11-22")]
    at: String,
    /// At its end; of the running one, now.
    #[schema(value_type = f64, example = 180_366.00)]
    mrr: Amount,
    #[schema(value_type = f64, example = 2_164_392.00)]
    arr: Amount,
    #[schema(example = 346)]
    subscriptions: i64,
    movements: Movements,
}

/// Revenue by day or month, with how it moved.
#[utoipa::path(get, path = "/api/admin/metrics/revenue/series", operation_id = "getRevenueSeries", tag = "admin", params(SeriesQuery),
    responses((status = 200, body = RevenueSeries), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn series(cx: Authed<RevenueRead>, Query(query): Query<SeriesQuery>) -> Result<Json<RevenueSeries>, Failed> {
    let now = cx.tenant_now().plus_seconds(1);
    let to = instant(&cx, "to", query.to.as_deref())?.unwrap_or(now).min(now);
    let from = instant(&cx, "from", query.from.as_deref())?.unwrap_or_else(|| to.plus_seconds(-DEFAULT_SECONDS));
    if from >= to {
        return Err(Error::parameter("from", "use a time before `to`, which is now at the latest").into());
    }
    let currency = match &query.currency {
        Some(code) => Currency::parse(code).map_err(|error| Error::parameter("currency", error.to_string()))?,
        None => revenue::own_currency(&cx.tenant)?,
    };
    let bucket = query.bucket.unwrap_or_default();
    let reset = match bucket {
        RevenueBucket::Day => Reset::Day,
        RevenueBucket::Month => Reset::CalendarMonth,
    };
    let asked = Asked { currency, from, to, bucket: reset };
    let points = revenue::series(&cx, &asked).await?;
    let money = |annual: i128, over: i128| Amount(Money::new(rounded(annual, over).unwrap_or(0), currency));
    let mut points_told = Vec::with_capacity(points.len());
    for point in points {
        let at = point.from.date_in(&cx.tenant.catalog.zone).map_err(Error::internal)?;
        let of = |movement: Movement| point.moved.get(&movement).copied().unwrap_or_default();
        let annual = Movement::ALL.map(|movement| of(movement).0);
        let inside: i128 = annual.iter().sum();
        let mrr = |annual: i128| rounded(annual, 12).unwrap_or(0);
        let parts = split(mrr(point.annual) - mrr(point.annual - inside), &annual, 12);
        let mut parts = parts.into_iter();
        let moved = Movement::ALL.map(|movement| Moved { amount: parts.next().unwrap_or(0), count: of(movement).1 });
        points_told.push(RevenuePoint {
            at: at.to_string(),
            mrr: money(point.annual, 12),
            arr: money(point.annual, 1),
            subscriptions: point.subscriptions,
            movements: Movements::of(moved, currency),
        });
    }
    Ok(Json(RevenueSeries { currency: currency.code().to_owned(), bucket, points: points_told }))
}
