//! Customers and browser tokens for the integrator's server; the subscription for its owner.

use std::collections::BTreeMap;

use super::wire::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::catalog::{Catalog, FeatureKind, LimitType, Plan, PlanFeature};
use domain::entitlement::SubscriptionStatus;
use domain::id::{CustomerId, FeatureKey, PlanId};
use domain::permission::Scope;
use domain::subscription::Scheduled;
use domain::time::{Reset, Timestamp};
use serde::{Deserialize, Serialize};
use store::customer::CustomerRow;
use utoipa::ToSchema;

use super::auth::{Authed, CustomersWrite, TokensMint, UsageRead};
use super::body::Body;
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use crate::app::customer::{self, NewCustomer};
use crate::app::subscription::Life;
use crate::app::token::BROWSER_SECONDS_MAX;
use crate::app::usage::reading_of;
use crate::cx::Cx;
use crate::error::Error;

/// A customer to create, named by `externalId`, by `email`, or by both; the same externalId answers the one that is there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCustomerBody {
    /// Your name for it, without blanks around it.
    #[schema(example = "acme-42", min_length = 1, max_length = 200)]
    external_id: Option<String>,
    #[schema(example = "billing@acme.example", max_length = 200)]
    email: Option<String>,
    #[schema(example = "Acme Ltd", min_length = 1, max_length = 200)]
    name: Option<String>,
    /// The plan to start with; the tenant's default otherwise.
    #[schema(example = "starter")]
    plan: Option<String>,
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerBody {
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(required, example = "acme-42")]
    external_id: Option<String>,
    #[schema(required, example = "billing@acme.example")]
    email: Option<String>,
    #[schema(required, example = "Acme Ltd")]
    name: Option<String>,
    /// The plan's name in URLs; null without a subscription.
    #[schema(required, example = "starter")]
    plan: Option<String>,
    suspended: bool,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

impl CustomerBody {
    async fn of(row: CustomerRow, cx: &Cx) -> Result<Self, Error> {
        let plan = customer::plan(cx, &CustomerId::stored(row.customer_id.as_str())).await?;
        Ok(Self {
            id: row.customer_id,
            external_id: row.external_id,
            email: row.email,
            name: row.name,
            plan,
            suspended: row.suspended,
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

/// Create a customer. Repeatable: the same `externalId` answers the same customer (200 instead of 201).
#[utoipa::path(post, path = "/api/customers", operation_id = "createCustomer", tag = "customers", request_body = NewCustomerBody,
    responses((status = 201, body = CustomerBody), (status = 200, body = CustomerBody), (status = 422, body = Problem)))]
pub async fn create(cx: Authed<CustomersWrite>, Body(body): Body<NewCustomerBody>) -> Result<Response, Failed> {
    let NewCustomerBody { external_id, email, name, plan } = body;
    let (row, new) = customer::create(&cx, NewCustomer { external_id, email, name, plan, billed_at: None }).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(CustomerBody::of(row, &cx).await?)).into_response())
}

/// Read a customer by id or externalId.
#[utoipa::path(get, path = "/api/customers/{id}", operation_id = "getCustomer", tag = "customers", params(("id" = String, Path, example = "acme-42")),
    responses((status = 200, body = CustomerBody), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CustomersWrite>, Path(id): Path<String>) -> Result<Json<CustomerBody>, Failed> {
    let row = customer::get(&cx, &id).await?;
    Ok(Json(CustomerBody::of(row, &cx).await?))
}

/// A browser token to mint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenBody {
    /// The customer's id or externalId.
    #[schema(example = "acme-42")]
    customer: String,
    /// Of `usage:read`, `usage:write`, `ai:run`; the first by default.
    #[schema(value_type = Vec<super::names::ScopeName>, required = false, example = json!(["usage:read", "ai:run"]))]
    scopes: Option<Vec<Scope>>,
    /// The one web origin that may use it.
    #[schema(example = "https://app.example.com")]
    origin: Option<String>,
    /// 900 by default, 3,600 at most.
    #[schema(example = 900)]
    ttl_seconds: Option<i64>,
}

/// A minted token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MintedBody {
    /// For `Authorization: Bearer`.
    #[schema(example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjdXNfMDEifQ.c2lnbmF0dXJl")]
    token: String,
    /// Seconds until it ends.
    #[schema(example = 900)]
    expires_in: i64,
    /// The customer's id.
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: String,
}

/// Whether a text is a web origin as browsers send it: scheme, host and a port that is not the scheme's own.
fn is_origin(text: &str) -> bool {
    let parsed = text.parse::<axum::http::Uri>().ok();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain =
        rest.is_some_and(|rest| !rest.contains(['/', '?', '#', '@', '*']) && *rest == rest.to_ascii_lowercase());
    plain && parsed.is_some_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

/// Mint a short-lived token for a browser, bound to one customer. It ends with the key that minted it.
#[utoipa::path(post, path = "/api/tokens", operation_id = "mintToken", tag = "customers", request_body = TokenBody,
    responses((status = 201, body = MintedBody), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn mint(cx: Authed<TokensMint>, Body(body): Body<TokenBody>) -> Result<Response, Failed> {
    let seconds = body.ttl_seconds.unwrap_or(900);
    if !(1..=BROWSER_SECONDS_MAX).contains(&seconds) {
        return Err(Error::field("/ttlSeconds", format!("use 1 to {BROWSER_SECONDS_MAX} seconds")).into());
    }
    let scopes = body.scopes.unwrap_or_else(|| vec![Scope::UsageRead]);
    let for_browsers = [Scope::UsageRead, Scope::UsageWrite, Scope::AiRun];
    if scopes.is_empty() {
        let known = for_browsers.map(Scope::name).join(", ");
        return Err(Error::field("/scopes", format!("name at least one of {known}, or leave it out")).into());
    }
    if let Some(wrong) = scopes.iter().find(|scope| !for_browsers.contains(scope)) {
        return Err(Error::field("/scopes", format!("`{}` is not for browsers", wrong.name())).into());
    }
    if body.origin.as_deref().is_some_and(|origin| !is_origin(origin)) {
        return Err(Error::field("/origin", "write an origin as browsers do, such as https://app.example.com").into());
    }
    let customer = CustomerId::stored(customer::get(&cx, &body.customer).await?.customer_id);
    let caller = (cx.tenant.id(), &cx.actor);
    let token = cx.app.tokens.for_browser(caller, &customer, (scopes, body.origin), (cx.now, seconds))?;
    let body = MintedBody { token, expires_in: seconds, customer: customer.to_string() };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// The subscription with its plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionAnswer {
    /// Null when there has never been one.
    #[schema(required)]
    subscription: Option<SubscriptionBody>,
    #[schema(required)]
    plan: Option<PlanBody>,
    /// Whether an admin stopped the customer: nothing may be used until it is let in again.
    #[schema(example = false)]
    suspended: bool,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionBody {
    #[schema(example = "sub_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = super::names::SubscriptionStatusName, example = "active")]
    status: String,
    /// The plan's name in URLs.
    #[schema(example = "starter")]
    plan: String,
    /// `month` or `year`; null without a price.
    #[schema(value_type = Option<super::names::IntervalName>, required, example = "month")]
    interval: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    current_period_start: Timestamp,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-22T10:00:00Z")]
    current_period_end: Option<Timestamp>,
    /// From when the monthly quotas are counted.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    quota_anchor: Timestamp,
    /// When it ends, if it was canceled.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-22T10:00:00Z")]
    cancel_at: Option<Timestamp>,
    /// When its trial ends, or ended.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-06T10:00:00Z")]
    trial_ends_at: Option<Timestamp>,
    /// Until when it may be used although a payment failed.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-29T10:00:00Z")]
    grace_until: Option<Timestamp>,
    /// When it goes on by itself, if it is paused.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2027-01-10T00:00:00Z")]
    resume_at: Option<Timestamp>,
    /// What happens at the end of the period.
    #[schema(required)]
    scheduled: Option<ScheduledBody>,
    /// Whether a payment method is known.
    payment_method: bool,
    /// The coupon that takes something off its payments.
    #[schema(required, example = "LAUNCH20")]
    coupon: Option<String>,
    /// Through whom it is paid; null by invoice, or not at all.
    #[schema(required, example = "sandbox")]
    provider: Option<String>,
}

/// What is put down for the end of a period.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduledAction {
    /// Another plan or interval.
    Change,
    /// A rest.
    Pause,
}

/// What happens at the end of the period.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledBody {
    action: ScheduledAction,
    /// When.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-22T10:00:00Z")]
    at: Option<Timestamp>,
    /// The plan after it, by its name in URLs.
    #[schema(required, example = "starter")]
    plan: Option<String>,
    /// How often that is paid.
    #[schema(value_type = Option<super::names::IntervalName>, required, example = "month")]
    interval: Option<String>,
    /// Until when it rests.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2027-02-01T00:00:00Z")]
    until: Option<Timestamp>,
}

/// A plan with what it grants.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanBody {
    /// Its name in URLs.
    #[schema(example = "starter")]
    slug: String,
    /// What people read.
    #[schema(example = "Starter")]
    name: String,
    features: Vec<PlanFeatureBody>,
}

/// What a plan grants of a feature.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanFeatureBody {
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    #[schema(example = "Invoice OCR & Analysis")]
    name: String,
    #[schema(value_type = super::names::KindName)]
    kind: FeatureKind,
    /// What one of it is.
    #[schema(required, example = "analyses")]
    unit: Option<String>,
    enabled: bool,
    /// Null is unlimited.
    #[schema(required, example = 100)]
    limit: Option<i64>,
    #[schema(value_type = super::names::LimitTypeName)]
    limit_type: LimitType,
    #[schema(value_type = super::names::ResetName)]
    reset: Reset,
}

/// The caller's subscription.
#[utoipa::path(get, path = "/api/subscription", operation_id = "getSubscription", tag = "subscription", params(super::usage::CustomerQuery),
    responses((status = 200, body = SubscriptionAnswer), (status = 404, body = Problem)))]
pub async fn subscription(
    cx: Authed<UsageRead>,
    Query(query): Query<super::usage::CustomerQuery>,
) -> Result<Json<SubscriptionAnswer>, Failed> {
    let name = reading_of(&cx, query.customer())?;
    Ok(Json(SubscriptionAnswer::read(&cx, &name).await?))
}

impl SubscriptionAnswer {
    /// The subscription of a customer, as it is now.
    pub(super) async fn read(cx: &Cx, name: &str) -> Result<Self, Failed> {
        let row = customer::get(cx, name).await?;
        let id = CustomerId::stored(row.customer_id.as_str());
        let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
        let cx = &cx.clone().with_tenant(tenant);
        let Some(life) = Life::look(cx, &id).await? else {
            return Ok(Self { subscription: None, plan: None, suspended: row.suspended });
        };
        let plan = cx.tenant.catalog.plans.get(&life.state.terms.plan);
        let held = plan.map(|plan| crate::app::subscription::held(cx, plan, &life.row)).transpose()?;
        let subscription = SubscriptionBody::of(cx, &life, Timestamp::from_micros(row.anchor))?;
        let plan = plan.map(|plan| plan_body(&cx.tenant.catalog, plan, held.unwrap_or(&plan.features)));
        Ok(Self { subscription: Some(subscription), plan, suspended: row.suspended })
    }
}

impl SubscriptionBody {
    fn of(cx: &Cx, life: &Life, quota_anchor: Timestamp) -> Result<Self, Error> {
        let (row, state) = (&life.row, &life.state);
        let slug = |id: &PlanId| cx.tenant.catalog.plans.get(id).map_or(id.to_string(), |plan| plan.slug.to_string());
        let billed = crate::app::subscription::billed(cx, row)?;
        let until = |status: SubscriptionStatus| state.access_until.filter(|_| state.status == status);
        let scheduled = state.scheduled.as_ref().map(|scheduled| match scheduled {
            Scheduled::Change(to) => ScheduledBody {
                action: ScheduledAction::Change,
                at: billed.end,
                plan: Some(slug(&to.plan)),
                interval: to.price.as_ref().map(|_| to.interval.name().to_owned()),
                until: None,
            },
            Scheduled::Pause(until) => ScheduledBody {
                action: ScheduledAction::Pause,
                at: billed.end,
                plan: None,
                interval: None,
                until: *until,
            },
        });
        Ok(Self {
            id: row.subscription_id.clone(),
            plan: slug(&state.terms.plan),
            interval: row.interval.clone(),
            current_period_start: billed.start,
            current_period_end: billed.end,
            quota_anchor,
            cancel_at: until(SubscriptionStatus::Canceled),
            trial_ends_at: state.trial.map(|trial| trial.ends_at),
            grace_until: until(SubscriptionStatus::PastDue),
            resume_at: state.resume_at,
            scheduled,
            payment_method: state.payable,
            coupon: row.coupon.clone(),
            provider: row.provider.clone(),
            status: row.status.clone(),
        })
    }
}

/// A plan with what one of its versions grants, and the names of its catalog; what is archived is not offered.
pub fn plan_body(catalog: &Catalog, plan: &Plan, granted: &BTreeMap<FeatureKey, PlanFeature>) -> PlanBody {
    let feature = |(key, granted): (&FeatureKey, &PlanFeature)| {
        let feature = catalog.features.get(key).filter(|feature| !feature.archived)?;
        Some(PlanFeatureBody {
            feature: key.clone(),
            name: feature.name.to_string(),
            kind: feature.kind,
            unit: feature.unit.as_deref().map(str::to_owned),
            enabled: granted.enabled,
            limit: (granted.limit_type != LimitType::Unlimited).then_some(granted.limit),
            limit_type: granted.limit_type,
            reset: granted.reset,
        })
    };
    let features = granted.iter().filter_map(feature).collect();
    PlanBody { slug: plan.slug.to_string(), name: plan.name.to_string(), features }
}
