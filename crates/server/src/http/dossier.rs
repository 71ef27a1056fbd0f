//! One customer as its admin sees it: all that decides what it may use, and what happened to it.

use axum::response::{IntoResponse, Response};
use domain::entitlement::Override;
use domain::id::FeatureKey;
use domain::money::{Currency, Money};
use domain::quota::Health;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::dossier::EventRow;
use store::subscription::SubscriptionRow;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, CustomersRead};
use super::etag::Tagged;
use super::list::{List, ListQuery, NoFilter, Page};
use super::params::Path;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::usage::feature_key;
use super::wire::{Json, QuotaMap, quota_map};
use crate::app::dossier::{self, Dossier, Given, Happened, instant};
use crate::cx::Cx;
use crate::error::Error;

/// A customer with everything that decides what it may use. Its `ETag` is its revision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Customer)]
pub struct DossierBody {
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(required, example = "acme-42")]
    external_id: Option<String>,
    #[schema(required, example = "billing@acme.example")]
    email: Option<String>,
    #[schema(required, example = "Acme Ltd")]
    name: Option<String>,
    /// How it stands: the worst of its quotas, or an overdue payment.
    #[schema(value_type = super::names::HealthName)]
    status: Health,
    /// Whether it may use nothing.
    suspended: bool,
    /// Why; null unless it is suspended.
    #[schema(required, example = json!(null))]
    suspended_reason: Option<String>,
    /// Null without a subscription.
    #[schema(required)]
    subscription: Option<CurrentBody>,
    /// What it may use and has used, as `GET /api/usage` answers it.
    #[schema(value_type = BTreeMap<String, super::wire::QuotaBody>)]
    quotas: QuotaMap,
    /// Limits of its own, in place of the plan's.
    overrides: Vec<OwnLimitBody>,
    /// The newest 200 packs of credits.
    credits: Vec<CreditsBody>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    /// From when the monthly quotas are counted.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    quota_anchor: Timestamp,
    /// Grows with every edit; the `ETag`.
    #[schema(example = 3)]
    revision: i64,
}

/// A subscription with the price that it pays, which may not be the public one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CurrentSubscription)]
pub struct CurrentBody {
    #[schema(example = "sub_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = super::names::SubscriptionStatusName, example = "active")]
    status: String,
    /// The plan's name in URLs.
    #[schema(example = "starter")]
    plan: String,
    /// What people read.
    #[schema(example = "Starter")]
    plan_name: String,
    /// Since when it is on that plan.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    plan_since: Timestamp,
    /// The price version; null for a plan without price.
    #[schema(required, example = "prc_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    price: Option<String>,
    #[schema(value_type = Option<super::names::IntervalName>, required, example = "month")]
    interval: Option<String>,
    #[schema(value_type = Option<f64>, required, example = 299.00)]
    amount: Option<Amount>,
    #[schema(required, example = "USD")]
    currency: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    current_period_start: Timestamp,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-22T10:00:00Z")]
    current_period_end: Option<Timestamp>,
    /// Until when it may be used, once it is canceled or overdue.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    access_until: Option<Timestamp>,
}

/// A limit of a customer's own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustomerOverride)]
pub struct OwnLimitBody {
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// Null is unlimited.
    #[schema(required, example = 250)]
    limit_value: Option<i64>,
    /// When the plan's limit holds again by itself.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2027-01-01T00:00:00Z")]
    until: Option<Timestamp>,
}

impl From<Override> for OwnLimitBody {
    fn from(own: Override) -> Self {
        Self { feature: own.feature, limit_value: own.limit, until: own.until }
    }
}

/// A pack of credits, and what is left of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustomerCredits)]
pub struct CreditsBody {
    #[schema(example = "grt_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    pub id: String,
    #[schema(example = "invoice_ocr")]
    feature: String,
    /// Units given.
    #[schema(example = 50)]
    amount: i64,
    /// Units used or reserved.
    #[schema(example = 8)]
    used: i64,
    /// Units left, also when their time is over.
    #[schema(example = 42)]
    remaining: i64,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2027-01-01T00:00:00Z")]
    expires_at: Option<Timestamp>,
    #[schema(example = "Sorry for the outage")]
    reason: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

impl From<Given> for CreditsBody {
    fn from(Given { row, used }: Given) -> Self {
        Self {
            id: row.grant_id,
            feature: row.feature,
            amount: row.amount,
            used,
            remaining: row.amount.saturating_sub(used).max(0),
            expires_at: row.expires_at.map(instant),
            reason: row.reason,
            created_at: instant(row.created_at),
        }
    }
}

impl CurrentBody {
    fn of(row: SubscriptionRow, plan: Option<(String, String)>) -> Self {
        let currency = row.currency.as_deref().and_then(|code| Currency::parse(code).ok());
        let amount = row.amount_minor.zip(currency).map(|(minor, currency)| Amount(Money::new(minor, currency)));
        let (plan, plan_name) = plan.unwrap_or_else(|| (row.plan_id.clone(), row.plan_id.clone()));
        Self {
            id: row.subscription_id,
            status: row.status,
            plan,
            plan_name,
            plan_since: instant(row.plan_since),
            price: row.price_id,
            interval: row.interval,
            amount,
            currency: row.currency,
            current_period_start: instant(row.period_start),
            current_period_end: row.period_end.map(instant),
            access_until: row.access_until.map(instant),
        }
    }
}

impl DossierBody {
    fn of(cx: &Cx, dossier: Dossier) -> Self {
        let Dossier { row, edited, subscription, plan, quotas, health, overrides, given } = dossier;
        Self {
            id: row.customer_id,
            external_id: row.external_id,
            email: row.email,
            name: row.name,
            status: health,
            suspended: row.suspended,
            suspended_reason: edited.suspended_reason,
            subscription: subscription.map(|row| CurrentBody::of(row, plan)),
            quotas: quota_map(&quotas, &cx.tenant.catalog),
            overrides: overrides.into_iter().map(OwnLimitBody::from).collect(),
            credits: given.into_iter().map(CreditsBody::from).collect(),
            created_at: instant(row.created_at),
            quota_anchor: instant(row.anchor),
            revision: edited.revision,
        }
    }

    /// A customer as it is now, with its revision.
    pub async fn read(cx: &Cx, name: &str) -> Result<Tagged<Self>, Failed> {
        let (cx, dossier) = dossier::read(cx, name).await?;
        let body = Self::of(&cx, dossier);
        Ok(Tagged(body.revision.to_string(), body))
    }

    /// One of its packs of credits.
    pub fn into_credits(self, id: &str) -> Option<CreditsBody> {
        self.credits.into_iter().find(|given| given.id == id)
    }
}

/// Read one customer, by id or externalId.
#[utoipa::path(get, path = "/api/admin/customers/{id}", operation_id = "readCustomer", tag = "admin customers",
    params(("id" = String, Path, example = "acme-42")),
    responses((status = 200, body = DossierBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn read(cx: Authed<CustomersRead>, Path(id): Path<String>) -> Result<Response, Failed> {
    Ok(DossierBody::read(&cx, &id).await?.into_response())
}

/// One line of a usage event: an event has one for each counter that it moved.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UsageEvent)]
pub struct EventBody {
    /// The event.
    #[schema(example = "evt_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    /// Its line.
    #[schema(example = 0)]
    line: i64,
    /// `consume`, `reserve`, `settle`, `release`, `expire`, `set`, `adjust`, `record` or `reverse`.
    #[schema(example = "consume")]
    kind: String,
    #[schema(example = "invoice_ocr")]
    feature: String,
    /// `plan`, or the pack of credits that it was drawn from.
    #[schema(example = "plan")]
    source: String,
    /// Units added to what is used.
    #[schema(example = 1)]
    amount: i64,
    /// Units added to what is reserved.
    #[schema(example = 0)]
    reserved: i64,
    /// Units beyond the limit or the reservation.
    #[schema(example = 0)]
    overrun: i64,
    /// What was used afterwards.
    #[schema(example = 88)]
    used_after: i64,
    /// The limit that it was admitted under; null is unlimited.
    #[schema(required, example = 100)]
    limit: Option<i64>,
    #[schema(required, example = json!(null))]
    reservation: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    /// What the caller attached to it; null when there is nothing.
    #[schema(schema_with = super::wire::metadata, required)]
    metadata: Option<Value>,
}

impl From<EventRow> for EventBody {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.event_id,
            line: row.line,
            kind: row.kind,
            feature: row.feature,
            source: row.source,
            amount: row.amount,
            reserved: row.hold,
            overrun: row.overrun,
            used_after: row.used_after,
            limit: row.limit_value,
            reservation: row.reservation_id,
            at: instant(row.at),
            metadata: row.metadata.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// Usage events of a customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsBody {
    data: Vec<EventBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Of one feature alone.
    #[param(example = "invoice_ocr")]
    feature: Option<String>,
}

/// No text is looked for where none is shown.
fn without_search(query: &ListQuery, sort: &'static str) -> Result<store::list::Wanted, Error> {
    let wanted = query.wanted(&[sort])?;
    if !wanted.search.is_empty() {
        return Err(Error::parameter("q", "leave it out here; narrow the list by its own parameters"));
    }
    if !wanted.descending {
        return Err(Error::parameter("sort", "the newest come first here; leave it out"));
    }
    Ok(wanted)
}

/// List a customer's usage events, the newest first.
#[utoipa::path(get, path = "/api/admin/customers/{id}/events", operation_id = "listCustomerEvents", tag = "admin customers",
    params(("id" = String, Path, example = "acme-42"), ListQuery, EventFilter),
    responses((status = 200, body = EventsBody), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn events(
    cx: Authed<CustomersRead>,
    Path(id): Path<String>,
    List(query, filter): List<EventFilter>,
) -> Result<Json<EventsBody>, Failed> {
    let wanted = without_search(&query, "-at")?;
    let feature = filter.feature.as_deref().map(feature_key).transpose()?;
    let feature = feature.as_ref().map_or("", FeatureKey::as_str);
    let rows = dossier::events(&cx, &id, (feature, &wanted)).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| (row.line.to_string(), row.event_id.clone()));
    Ok(Json(EventsBody { data: data.into_iter().map(EventBody::from).collect(), next_cursor }))
}

/// Explanations of a customer's refusals, each as `GET /api/usage/decisions/{id}` answers it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionsBody {
    #[schema(value_type = Vec<super::decision::DecisionBody>)]
    data: Vec<Value>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// List what was refused to a customer in the last 35 days, and why; the newest first.
#[utoipa::path(get, path = "/api/admin/customers/{id}/decisions", operation_id = "listCustomerDecisions", tag = "admin customers",
    params(("id" = String, Path, example = "acme-42"), ListQuery),
    responses((status = 200, body = DecisionsBody), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn decisions(
    cx: Authed<CustomersRead>,
    Path(id): Path<String>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<DecisionsBody>, Failed> {
    let wanted = without_search(&query, "-at")?;
    let rows = dossier::decisions(&cx, &id, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |(id, _)| (String::new(), id.clone()));
    Ok(Json(DecisionsBody { data: data.into_iter().map(|(_, body)| body).collect(), next_cursor }))
}

/// What a part of the timeline is about.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TimelineKind)]
pub enum Kind {
    /// The subscription moved.
    Subscription,
    /// Credits were given.
    Credits,
    /// Somebody changed something else.
    Audit,
}

/// Something that happened to a customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineEntry)]
pub struct HappenedBody {
    #[schema(example = "chg_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    kind: Kind,
    /// What was done: the cause of a transition, or the audit entry's action.
    #[schema(example = "upgraded")]
    action: String,
    /// Who did it; null where it is not kept.
    #[schema(required, example = "user:usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    actor: Option<String>,
    /// The state before; null when there was none.
    #[schema(value_type = Option<Object>, required, example = json!({ "plan": "starter" }))]
    before: Option<Value>,
    /// The state after; null when there is none.
    #[schema(value_type = Option<Object>, required, example = json!({ "plan": "professional" }))]
    after: Option<Value>,
}

/// What happened to a customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimelineBody {
    data: Vec<HappenedBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl HappenedBody {
    fn of(cx: &Cx, happened: Happened) -> Self {
        let (at, id) = happened.place();
        let (at, id) = (instant(at), id.to_owned());
        let read = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let (kind, action, actor, before, after) = match happened {
            Happened::Subscription(row) => {
                let plan = |id: &str| {
                    let known = cx.tenant.catalog.plans.get(&domain::id::PlanId::stored(id));
                    known.map_or_else(|| id.to_owned(), |plan| plan.slug.to_string())
                };
                let before = row.plan_before.as_deref().map(|before| {
                    serde_json::json!({ "plan": plan(before), "price": row.price_before, "status": row.status_before })
                });
                let after = serde_json::json!({ "plan": plan(&row.plan_after), "price": row.price_after, "status": row.status_after });
                (Kind::Subscription, row.cause, Some(row.actor), before, Some(after))
            }
            Happened::Credits(row) => {
                let after = serde_json::json!({ "feature": row.feature, "amount": row.amount, "expiresAt": row.expires_at.map(instant), "reason": row.reason });
                (Kind::Credits, "credits.granted".to_owned(), None, None, Some(after))
            }
            Happened::Audit(row) => (Kind::Audit, row.action, Some(row.actor), read(row.before), read(row.after)),
        };
        Self { id, at, kind, action, actor, before, after }
    }
}

/// List what happened to a customer, the newest first: transitions of its subscription, credits, and who changed what.
#[utoipa::path(get, path = "/api/admin/customers/{id}/timeline", operation_id = "listCustomerTimeline", tag = "admin customers",
    params(("id" = String, Path, example = "acme-42"), ListQuery),
    responses((status = 200, body = TimelineBody), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn timeline(
    cx: Authed<CustomersRead>,
    Path(id): Path<String>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<TimelineBody>, Failed> {
    let wanted = without_search(&query, "-at")?;
    let rows = dossier::timeline(&cx, &id, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| {
        let (at, id) = row.place();
        (at.to_string(), id.to_owned())
    });
    Ok(Json(TimelineBody { data: data.into_iter().map(|row| HappenedBody::of(&cx, row)).collect(), next_cursor }))
}
