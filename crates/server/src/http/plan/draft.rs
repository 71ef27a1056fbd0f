//! What a plan grants, its versions, its draft and what the draft would do.

use axum::http::StatusCode;
use domain::catalog::{Feature, LimitType, PlanFeature};
use domain::id::FeatureKey;
use domain::plan::Applies;
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Amount;
use super::admin::{PlanEditBody, PlanEdited, edited};
use crate::app::draft::{self, Draft};
use crate::app::impact::{self, FeatureImpact, Impact};
use crate::app::{feature, plan};
use crate::cx::Cx;
use crate::error::Error;
use crate::http::auth::{Authed, CatalogRead, CatalogWrite};
use crate::http::body::Body;
use crate::http::etag::{IfMatch, Tagged};
use crate::http::grant::{GrantBody, GrantedBody};
use crate::http::names::{AppliesName, LimitTypeName};
use crate::http::params::Path;
use crate::http::problem::{Failed, Problem};
use crate::http::wire::Json;

/// Set what a plan grants of a feature, at once. The very next decision on every node uses it.
#[utoipa::path(put, path = "/api/admin/plans/{slug}/features/{feature}", operation_id = "setPlanFeature", tag = "catalog",
    params(("slug" = String, Path, example = "starter"), ("feature" = String, Path, example = "invoice_ocr")), request_body = GrantBody,
    responses((status = 200, body = PlanEdited), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn set_feature(
    cx: Authed<CatalogWrite>,
    Path((slug, key)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<GrantBody>,
) -> Result<Tagged<PlanEdited>, Failed> {
    let key = feature::key(&key)?;
    edited(&cx, plan::grant(&cx, (&slug, &key), &expected, Some(&body.into())).await?).await
}

/// Take a feature out of a plan, at once.
#[utoipa::path(delete, path = "/api/admin/plans/{slug}/features/{feature}", operation_id = "removePlanFeature", tag = "catalog",
    params(("slug" = String, Path, example = "starter"), ("feature" = String, Path, example = "risk_assessment")),
    responses((status = 200, body = PlanEdited), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn remove_feature(
    cx: Authed<CatalogWrite>,
    Path((slug, key)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
) -> Result<Tagged<PlanEdited>, Failed> {
    let key = feature::key(&key)?;
    edited(&cx, plan::grant(&cx, (&slug, &key), &expected, None).await?).await
}

/// A saved draft.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DraftBody {
    /// What it changes, as it was sent.
    changes: PlanEditBody,
    #[schema(example = "user:usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    saved_by: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    saved_at: Timestamp,
}

fn tagged(draft: Draft) -> Tagged<DraftBody> {
    let body = DraftBody { changes: draft.edit.into(), saved_by: draft.by, saved_at: draft.at };
    Tagged(format!("d{}", draft.revision), body)
}

/// The revision of a draft from its tag.
fn of_draft(IfMatch(expected): IfMatch) -> crate::app::revision::Expected {
    use crate::app::revision::Expected;
    match expected {
        Expected::OneOf(tags) => {
            Expected::OneOf(tags.iter().filter_map(|tag| tag.strip_prefix('d')).map(str::to_owned).collect())
        }
        other @ (Expected::Unsaid | Expected::Any) => other,
    }
}

/// Save an edit of a plan without publishing it, in place of the draft before.
#[utoipa::path(put, path = "/api/admin/plans/{slug}/draft", operation_id = "savePlanDraft", tag = "catalog", params(("slug" = String, Path, example = "starter")), request_body = PlanEditBody,
    responses((status = 200, body = DraftBody), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn save(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    expected: IfMatch,
    Body(body): Body<PlanEditBody>,
) -> Result<Tagged<DraftBody>, Failed> {
    Ok(tagged(draft::save(&cx, &slug, &of_draft(expected), &body.into()).await?))
}

/// Read the draft of a plan.
#[utoipa::path(get, path = "/api/admin/plans/{slug}/draft", operation_id = "getPlanDraft", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 200, body = DraftBody), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CatalogRead>, Path(slug): Path<String>) -> Result<Tagged<DraftBody>, Failed> {
    Ok(tagged(draft::get(&cx, &slug).await?))
}

/// Drop the draft of a plan.
#[utoipa::path(delete, path = "/api/admin/plans/{slug}/draft", operation_id = "dropPlanDraft", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn drop_draft(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    expected: IfMatch,
) -> Result<StatusCode, Failed> {
    draft::drop_draft(&cx, &slug, &of_draft(expected)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For whom a version is published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishBody {
    /// For all at once (`now`, by default), for each from its next renewal on, or for new subscriptions alone. Prices
    /// are for new subscriptions in any case.
    #[serde(default)]
    #[schema(value_type = AppliesName)]
    applies: Applies,
}

/// Publish the draft of a plan.
#[utoipa::path(post, path = "/api/admin/plans/{slug}/publish", operation_id = "publishPlan", tag = "catalog", params(("slug" = String, Path, example = "starter")), request_body = PublishBody,
    responses((status = 200, body = PlanEdited), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn publish(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<PublishBody>,
) -> Result<Tagged<PlanEdited>, Failed> {
    edited(&cx, draft::publish(&cx, &slug, &expected, body.applies).await?).await
}

/// The version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanUndoBody {
    /// Its number; the one before the newest by default.
    #[schema(value_type = i64, required = false, example = 2)]
    version: Option<i64>,
    /// For whom, as when a draft is published.
    #[serde(default)]
    #[schema(value_type = AppliesName)]
    applies: Applies,
}

/// Go back to an older version of a plan, prices included: what it said is published again, as a new version. Without a
/// version twice is as if never.
#[utoipa::path(post, path = "/api/admin/plans/{slug}/undo", operation_id = "undoPlan", tag = "catalog", params(("slug" = String, Path, example = "starter")), request_body = PlanUndoBody,
    responses((status = 200, body = PlanEdited), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn undo(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<PlanUndoBody>,
) -> Result<Tagged<PlanEdited>, Failed> {
    edited(&cx, draft::undo(&cx, &slug, &expected, (body.version, body.applies)).await?).await
}

/// A version of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanVersionBody {
    #[schema(example = 7)]
    version: i64,
    /// For which subscriptions it holds, unless a later one does.
    #[schema(value_type = AppliesName)]
    applies: Applies,
    /// Null for the version that the plan was made with, when it was never edited before.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-11-22T10:00:00Z")]
    published_at: Option<Timestamp>,
    #[schema(required, example = "user:usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    published_by: Option<String>,
    #[schema(example = "Starter")]
    name: String,
    /// The monthly price in the tenant's currency.
    #[schema(value_type = Option<f64>, required, example = 349.00)]
    base_price: Option<Amount>,
    /// The yearly price.
    #[schema(value_type = Option<f64>, required, example = 3490.00)]
    yearly_price: Option<Amount>,
    features: Vec<GrantedBody>,
}

/// The newest versions of a plan, up to 200, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanVersionsBody {
    data: Vec<PlanVersionBody>,
    /// Always null: what is older is in the audit trail.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// Versions of a plan. A plan that was never edited has none yet.
#[utoipa::path(get, path = "/api/admin/plans/{slug}/versions", operation_id = "listPlanVersions", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 200, body = PlanVersionsBody), (status = 404, body = Problem)))]
pub async fn versions(cx: Authed<CatalogRead>, Path(slug): Path<String>) -> Result<Json<PlanVersionsBody>, Failed> {
    let cx = plan::fresh(&cx).await?;
    let currency = plan::currency(&cx)?;
    let mut data = Vec::new();
    for row in plan::versions(&cx, &slug).await? {
        let terms = row.terms().map_err(Error::from)?;
        let own =
            |interval| terms.offer(interval, currency).map(|minor| Amount(domain::money::Money::new(minor, currency)));
        data.push(PlanVersionBody {
            version: row.version,
            applies: row.applies().map_err(Error::from)?,
            published_at: Some(row.published_at).filter(|at| *at > 0).map(Timestamp::from_micros),
            published_by: Some(row.published_by).filter(|by| !by.is_empty()),
            base_price: own(Interval::Month),
            yearly_price: own(Interval::Year),
            features: terms.features.iter().filter_map(|(key, g)| Some(GrantedBody::of(named(&cx, key)?, g))).collect(),
            name: terms.name,
        });
    }
    Ok(Json(PlanVersionsBody { data, next_cursor: None }))
}

fn named<'a>(cx: &'a Cx, key: &FeatureKey) -> Option<&'a Feature> {
    cx.tenant.catalog.features.get(key)
}

/// What a draft would do to the plan's subscribers.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImpactBody {
    /// Subscriptions of the plan that are not over.
    #[schema(example = 245)]
    subscribers: i64,
    /// Of how many of them use was looked at.
    #[schema(example = 245)]
    examined: i64,
    /// Each feature whose grant changes, by what was used in the last three months.
    features: Vec<FeatureImpactBody>,
    /// Monthly recurring revenue of the plan, by currency, if everybody paid the new public prices.
    mrr: Vec<RevenueImpactBody>,
}

/// What a draft would do to one feature.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeatureImpactBody {
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// What is granted now; null for nothing.
    #[schema(required)]
    before: Option<LimitBody>,
    /// What would be granted; null for nothing.
    #[schema(required)]
    after: Option<LimitBody>,
    /// Subscribers who used it.
    #[schema(example = 198)]
    users: i64,
    /// Subscribers whose greatest period would not have fitted any more.
    #[schema(example = 12)]
    blocked: i64,
    /// Subscribers who were at their limit and get more, or did not have it.
    #[schema(example = 0)]
    gaining: i64,
    /// Some of those who would be blocked, the greatest use first.
    sample: Vec<BlockedBody>,
}

/// A limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitBody {
    enabled: bool,
    /// Null is unlimited.
    #[schema(required, example = 100)]
    limit_value: Option<i64>,
    #[schema(value_type = LimitTypeName)]
    limit_type: LimitType,
}

/// A customer who would be blocked.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockedBody {
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: String,
    /// Units in the greatest period.
    #[schema(example = 97)]
    used: i64,
}

/// What a draft would do to the revenue in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevenueImpactBody {
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = f64, example = 73255.00)]
    before: Amount,
    #[schema(value_type = f64, example = 85505.00)]
    after: Amount,
    #[schema(value_type = f64, example = 12250.00)]
    delta: Amount,
}

impl From<FeatureImpact> for FeatureImpactBody {
    fn from(impact: FeatureImpact) -> Self {
        let limit = |granted: PlanFeature| LimitBody {
            enabled: granted.enabled,
            limit_value: (granted.limit_type != LimitType::Unlimited).then_some(granted.limit),
            limit_type: granted.limit_type,
        };
        let blocked = |row: store::impact::UsedRow| BlockedBody { customer: row.customer_id, used: row.used };
        Self {
            feature: impact.feature,
            before: impact.before.map(limit),
            after: impact.after.map(limit),
            users: impact.users,
            blocked: impact.blocked,
            gaining: impact.gaining,
            sample: impact.sample.into_iter().map(blocked).collect(),
        }
    }
}

/// What the draft of a plan would do, from real use: who would be blocked, who gains, and the revenue.
#[utoipa::path(get, path = "/api/admin/plans/{slug}/impact", operation_id = "getPlanImpact", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 200, body = ImpactBody), (status = 404, body = Problem)))]
pub async fn impact(cx: Authed<CatalogRead>, Path(slug): Path<String>) -> Result<Json<ImpactBody>, Failed> {
    let Impact { subscribers, examined, features, revenue } = impact::of_draft(&cx, &slug).await?;
    let mrr = revenue.into_iter().map(|row| RevenueImpactBody {
        currency: row.before.currency.code().to_owned(),
        before: Amount(row.before),
        after: Amount(row.after),
        delta: Amount(row.delta),
    });
    let features = features.into_iter().map(Into::into).collect();
    Ok(Json(ImpactBody { subscribers, examined, features, mrr: mrr.collect() }))
}
