//! Plans as admins see and edit them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::FeatureKey;
use domain::money::Money;
use domain::revenue::Interval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::price::VersionRow;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, OneOfBuilder, Type};
use utoipa::openapi::{Ref, Schema};

use super::Amount;
use crate::app::patch::Patch;
use crate::app::plan::{self, Edit, Sold};
use crate::app::{price, provider};
use crate::cx::Cx;
use crate::error::Error;
use crate::http::auth::{Authed, CatalogRead, CatalogWrite};
use crate::http::body::Body;
use crate::http::decimal::Decimal;
use crate::http::etag::{IfMatch, Tagged};
use crate::http::grant::{GrantBody, GrantedBody};
use crate::http::list::{List, ListQuery, NoFilter, Page, cut};
use crate::http::names::IntervalName;
use crate::http::params::Path;
use crate::http::problem::{Failed, Problem};
use crate::http::retry::Retry;
use crate::http::wire::{Json, mark_replay};

/// What changes of a plan; what is absent stays as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanEditBody {
    #[schema(value_type = String, example = "Starter", min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[schema(value_type = String, example = "For teams that begin.", max_length = 2_000)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The monthly price in the tenant's currency; null takes the public price away.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<f64>, example = 349.00, minimum = 0)]
    base_price: Patch<Decimal>,
    /// The yearly price; null takes it away.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<f64>, example = 3490.00, minimum = 0)]
    yearly_price: Patch<Decimal>,
    /// Whether new customers may take it; true brings an archived plan back.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    is_active: Option<bool>,
    /// Whether it stands on the pricing page.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    visible: Option<bool>,
    /// Order on the pricing page.
    #[schema(value_type = i64, example = 1, minimum = 0, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    position: Option<i64>,
    /// Sold by talking to sales.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    contact_sales: Option<bool>,
    /// Days without payment at the beginning; 0 for none.
    #[schema(value_type = i64, example = 14, minimum = 0, maximum = 730)]
    #[serde(default, deserialize_with = "crate::http::body::given", skip_serializing_if = "Option::is_none")]
    trial_days: Option<i64>,
    /// What it grants, by feature; null takes a feature out of the plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = grants)]
    features: BTreeMap<FeatureKey, Option<GrantBody>>,
}

/// Grants by feature, any of which may be null; for the document.
fn grants() -> Object {
    let null = Object::builder().schema_type(Type::Null).build();
    let grant = OneOfBuilder::new().item(Ref::from_schema_name("GrantBody")).item(null).build();
    let grants = Object::builder().additional_properties(Some(Schema::OneOf(grant)));
    grants.description(Some("What it grants, by feature; null takes a feature out of the plan.")).build()
}

/// A plan to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPlanBody {
    /// Its name in URLs, which never changes.
    #[schema(example = "team-plus", min_length = 1, max_length = 64)]
    slug: String,
    #[schema(example = "Team Plus", min_length = 1, max_length = 200)]
    name: String,
    #[schema(value_type = String, example = "For teams that grow.", max_length = 2_000)]
    description: Option<String>,
    /// The monthly price in the tenant's currency; none without.
    #[schema(value_type = Option<f64>, example = 499.00, minimum = 0)]
    base_price: Option<Decimal>,
    /// The yearly price.
    #[schema(value_type = Option<f64>, example = 4990.00, minimum = 0)]
    yearly_price: Option<Decimal>,
    /// Whether new customers may take it; true by default.
    #[schema(value_type = bool)]
    is_active: Option<bool>,
    /// Whether it stands on the pricing page; true by default.
    #[schema(value_type = bool)]
    visible: Option<bool>,
    /// Order on the pricing page; after all others by default.
    #[schema(value_type = i64, example = 3, minimum = 0, maximum = 1_000_000)]
    position: Option<i64>,
    /// Sold by talking to sales.
    #[schema(value_type = bool)]
    contact_sales: Option<bool>,
    /// Days without payment at the beginning; 0 by default.
    #[schema(value_type = i64, example = 14, minimum = 0, maximum = 730)]
    trial_days: Option<i64>,
    /// What it grants, by feature.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, GrantBody>)]
    features: BTreeMap<FeatureKey, GrantBody>,
}

impl From<PlanEditBody> for Edit {
    fn from(body: PlanEditBody) -> Self {
        let price = |price: Patch<Decimal>| match price {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(Decimal(text)) => Patch::Set(text),
        };
        Self {
            name: body.name,
            description: body.description,
            active: body.is_active,
            visible: body.visible,
            position: body.position,
            contact_sales: body.contact_sales,
            trial_days: body.trial_days,
            month: price(body.base_price),
            year: price(body.yearly_price),
            features: body.features.into_iter().map(|(key, grant)| (key, grant.map(Into::into))).collect(),
        }
    }
}

impl From<Edit> for PlanEditBody {
    fn from(edit: Edit) -> Self {
        let price = |price: Patch<String>| match price {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(text) => Patch::Set(Decimal(text)),
        };
        Self {
            name: edit.name,
            description: edit.description,
            base_price: price(edit.month),
            yearly_price: price(edit.year),
            is_active: edit.active,
            visible: edit.visible,
            position: edit.position,
            contact_sales: edit.contact_sales,
            trial_days: edit.trial_days,
            features: edit.features.into_iter().map(|(key, grant)| (key, grant.map(Into::into))).collect(),
        }
    }
}

impl From<NewPlanBody> for Edit {
    fn from(body: NewPlanBody) -> Self {
        let price = |price: Option<Decimal>| price.map_or(Patch::Keep, |Decimal(text)| Patch::Set(text));
        Self {
            name: Some(body.name),
            description: body.description,
            active: body.is_active,
            visible: body.visible,
            position: body.position,
            contact_sales: body.contact_sales,
            trial_days: body.trial_days,
            month: price(body.base_price),
            year: price(body.yearly_price),
            features: body.features.into_iter().map(|(key, grant)| (key, Some(grant.into()))).collect(),
        }
    }
}

/// A plan with all that an admin sees of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminPlanBody {
    #[schema(example = "pln_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    /// Its name in URLs.
    #[schema(example = "starter")]
    slug: String,
    #[schema(example = "Starter")]
    name: String,
    #[schema(example = "For teams that begin.")]
    description: String,
    /// Grows with every published change.
    #[schema(example = 7)]
    version: i64,
    is_active: bool,
    visible: bool,
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    archived_at: Option<Timestamp>,
    contact_sales: bool,
    #[schema(example = 0)]
    position: i64,
    #[schema(example = 0)]
    trial_days: i64,
    /// The tenant's own.
    #[schema(example = "USD")]
    currency: String,
    /// The monthly price in the tenant's currency; null when there is no public one.
    #[schema(value_type = Option<f64>, required, example = 349.00)]
    base_price: Option<Amount>,
    /// The yearly price.
    #[schema(value_type = Option<f64>, required, example = 3490.00)]
    yearly_price: Option<Amount>,
    /// The price versions that new customers pay, in every interval and currency.
    prices: Vec<SoldPriceBody>,
    features: Vec<GrantedBody>,
    /// Subscriptions that are not over.
    #[schema(example = 245)]
    subscribers: i64,
    /// Since when an edit is saved that is not published yet.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    draft_saved_at: Option<Timestamp>,
}

/// A price version that is sold.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoldPriceBody {
    #[schema(example = "prc_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = IntervalName)]
    interval: String,
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = f64, example = 349.00)]
    amount: Amount,
    /// Counts up within interval and currency.
    #[schema(example = 2)]
    version: i64,
}

/// What an edit has made of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanEdited {
    success: bool,
    plan: AdminPlanBody,
    /// Where each payment provider stands with the new price; empty while none is connected.
    #[schema(value_type = BTreeMap<String, crate::http::names::SyncStateName>)]
    sync: BTreeMap<String, String>,
}

/// Plans of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminPlansBody {
    data: Vec<AdminPlanBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl SoldPriceBody {
    fn of(row: &VersionRow) -> Result<Self, Error> {
        let amount = Amount(price::amount(row)?);
        let (id, interval, currency) = (row.price_id.clone(), row.interval.clone(), row.currency.clone());
        Ok(Self { id, interval, currency, amount, version: row.version })
    }
}

impl AdminPlanBody {
    /// A plan with the names of its catalog.
    pub fn of(cx: &Cx, sold: Sold) -> Result<Self, Error> {
        let Sold { row, terms, prices, subscribers } = sold;
        let currency = plan::currency(cx)?;
        let own = |interval| terms.offer(interval, currency).map(|minor| Amount(Money::new(minor, currency)));
        let features = &cx.tenant.catalog.features;
        let granted = |(key, granted)| features.get(key).map(|feature| GrantedBody::of(feature, granted));
        Ok(Self {
            base_price: own(Interval::Month),
            yearly_price: own(Interval::Year),
            prices: prices.iter().map(SoldPriceBody::of).collect::<Result<_, _>>()?,
            features: terms.features.iter().filter_map(granted).collect(),
            currency: currency.code().to_owned(),
            id: row.plan_id,
            slug: row.slug,
            name: terms.name,
            description: terms.description,
            version: row.version,
            is_active: terms.active,
            visible: terms.visible,
            archived_at: row.archived_at.map(Timestamp::from_micros),
            contact_sales: terms.contact_sales,
            position: terms.position,
            trial_days: terms.trial_days,
            subscribers,
            draft_saved_at: row.draft.and(row.draft_at).map(Timestamp::from_micros),
        })
    }
}

/// A plan with its revision.
async fn tagged(cx: &Cx, sold: Sold) -> Result<Tagged<AdminPlanBody>, Error> {
    // A feature may be newer than what the request began with.
    let cx = plan::fresh(cx).await?;
    Ok(Tagged(sold.row.revision.to_string(), AdminPlanBody::of(&cx, sold)?))
}

/// What an edit has made of a plan, with its revision.
pub(super) async fn edited(cx: &Cx, sold: Sold) -> Result<Tagged<PlanEdited>, Failed> {
    let sync = provider::state_of_plan(cx, &sold.row.plan_id).await?;
    let Tagged(revision, plan) = tagged(cx, sold).await?;
    Ok(Tagged(revision, PlanEdited { success: true, plan, sync: sync.into_iter().collect() }))
}

/// All plans, also archived ones. Sorted by `position`, `name` or `slug`; `q` looks into names and slugs.
#[utoipa::path(get, path = "/api/admin/plans", operation_id = "adminListPlans", tag = "catalog", params(ListQuery),
    responses((status = 200, body = AdminPlansBody), (status = 403, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<AdminPlansBody>, Failed> {
    let wanted = query.wanted(&["position", "name", "slug"])?;
    let cx = plan::fresh(&cx).await?;
    let mut plans = plan::list(&cx).await?;
    let search = wanted.search.to_lowercase();
    plans.retain(|plan| plan.row.slug.contains(&search) || plan.row.name.to_lowercase().contains(&search));
    let Page { data, next_cursor } = cut(plans, &wanted, |plan| {
        let value = match wanted.sort {
            "position" => format!("{:020}", plan.row.position),
            "name" => plan.row.name.to_lowercase(),
            _ => plan.row.slug.clone(),
        };
        (value, plan.row.plan_id.clone())
    });
    let data = data.into_iter().map(|plan| AdminPlanBody::of(&cx, plan)).collect::<Result<_, _>>()?;
    Ok(Json(AdminPlansBody { data, next_cursor }))
}

/// Make a plan.
#[utoipa::path(post, path = "/api/admin/plans", operation_id = "createPlan", tag = "catalog", request_body = NewPlanBody,
    responses((status = 201, body = AdminPlanBody), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(cx: Authed<CatalogWrite>, retry: Retry, Body(body): Body<NewPlanBody>) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "plans", &body)?;
    let slug = body.slug.clone();
    let (sold, replayed) = plan::create(&cx, &slug, &body.into(), identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, tagged(&cx, sold).await?).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// Read a plan. Its `ETag` goes into `If-Match` of an edit.
#[utoipa::path(get, path = "/api/admin/plans/{slug}", operation_id = "getPlan", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 200, body = AdminPlanBody), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CatalogRead>, Path(slug): Path<String>) -> Result<Tagged<AdminPlanBody>, Failed> {
    Ok(tagged(&cx, plan::get(&cx, &slug).await?).await?)
}

/// Change a plan, at once. A price that changes becomes a new version; existing subscriptions keep theirs.
#[utoipa::path(patch, path = "/api/admin/plans/{slug}", operation_id = "updatePlan", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    request_body = PlanEditBody, responses((status = 200, body = PlanEdited), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
pub async fn update(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<PlanEditBody>,
) -> Result<Tagged<PlanEdited>, Failed> {
    edited(&cx, plan::edit(&cx, &slug, &expected, &body.into()).await?).await
}

/// Archive a plan: who has it keeps it, nobody new can take it. Nothing is deleted.
#[utoipa::path(delete, path = "/api/admin/plans/{slug}", operation_id = "archivePlan", tag = "catalog", params(("slug" = String, Path, example = "starter")),
    responses((status = 200, body = PlanEdited), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub async fn archive(
    cx: Authed<CatalogWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<Tagged<PlanEdited>, Failed> {
    edited(&cx, plan::archive(&cx, &slug, &expected).await?).await
}
