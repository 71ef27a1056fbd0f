//! What is asked of a subscription on the wire, and its preview. Each answers the subscription as it is then.

use axum::response::{IntoResponse, Response};
use domain::revenue::Interval;
use domain::subscription::{Line, LineKind, When};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, SubscriptionWrite};
use super::body::Body;
use super::customer::SubscriptionAnswer;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::customer;
use crate::app::subscription::ask::{self, Ask};
use crate::app::usage::acting_for;
use crate::cx::Cx;
use crate::error::Error;
use domain::id::CustomerId;

/// When something is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenName {
    /// At once.
    Now,
    /// At the end of the billing period.
    PeriodEnd,
}

fn when(name: Option<WhenName>) -> When {
    match name {
        None => When::Usual,
        Some(WhenName::Now) => When::Now,
        Some(WhenName::PeriodEnd) => When::PeriodEnd,
    }
}

/// Another plan or interval.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeBody {
    /// The plan's name in URLs.
    #[schema(example = "professional")]
    plan: String,
    /// How often it is paid; as now when it is left out.
    #[schema(value_type = Option<super::names::IntervalName>, example = "year")]
    interval: Option<Interval>,
    /// What costs more holds at once and what costs less at the end of the period, unless this says otherwise.
    when: Option<WhenName>,
    /// The code of a coupon to redeem, once for a customer.
    #[schema(example = "LAUNCH20")]
    coupon: Option<String>,
    /// Whose subscription: for API keys alone.
    #[schema(example = "acme-42")]
    customer: Option<String>,
}

/// An end.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelBody {
    /// At the end of the period when it is left out.
    when: Option<WhenName>,
    /// Whether what is left of the period is given back, less what was used: for keys and admins.
    #[schema(example = false)]
    refund: Option<bool>,
    /// Whose subscription: for API keys alone.
    #[schema(example = "acme-42")]
    customer: Option<String>,
}

/// A rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PauseBody {
    /// At once when it is left out.
    when: Option<WhenName>,
    /// When it goes on by itself; until it is resumed when it is left out.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-02-01T00:00:00Z")]
    until: Option<Timestamp>,
    /// Whose subscription: for API keys alone.
    #[schema(example = "acme-42")]
    customer: Option<String>,
}

/// Going on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeBody {
    /// Whose subscription: for API keys alone.
    #[schema(example = "acme-42")]
    customer: Option<String>,
}

/// What would be asked.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskName {
    #[default]
    Change,
    Cancel,
    Pause,
    Resume,
}

/// What would be asked, with the fields that it has.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewBody {
    /// A change when it is left out.
    action: Option<AskName>,
    /// Of a change.
    #[schema(example = "professional")]
    plan: Option<String>,
    /// Of a change.
    #[schema(value_type = Option<super::names::IntervalName>, example = "year")]
    interval: Option<Interval>,
    when: Option<WhenName>,
    /// Of a change.
    #[schema(example = "LAUNCH20")]
    coupon: Option<String>,
    /// Of a cancellation.
    #[schema(example = false)]
    refund: Option<bool>,
    /// Of a pause.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-02-01T00:00:00Z")]
    until: Option<Timestamp>,
    /// Whose subscription: for API keys alone.
    #[schema(example = "acme-42")]
    customer: Option<String>,
}

impl PreviewBody {
    fn asked(self) -> Result<Ask, Error> {
        Ok(match self.action.unwrap_or_default() {
            AskName::Change => {
                let plan = self.plan.ok_or_else(|| Error::field("/plan", "name the plan to change to"))?;
                Ask::Change { plan, interval: self.interval, when: when(self.when), coupon: self.coupon }
            }
            AskName::Cancel => Ask::Cancel { when: when(self.when), refund: self.refund.unwrap_or(false) },
            AskName::Pause => Ask::Pause { when: when(self.when), until: self.until },
            AskName::Resume => Ask::Resume,
        })
    }
}

/// What a line of an invoice is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineKindName {
    /// A plan for some time.
    Plan,
    /// What a coupon takes off.
    Discount,
    /// What is left of what was charged before.
    Unused,
    /// Use beyond a soft limit.
    Overage,
}

/// A line of an invoice.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineBody {
    kind: LineKindName,
    /// The plan that it is about, by its name in URLs.
    #[schema(example = "professional")]
    plan: String,
    /// Below nothing for what is taken off.
    #[schema(value_type = f64, example = 799.00)]
    amount: Amount,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-12-22T10:00:00Z")]
    to: Timestamp,
}

impl LineBody {
    fn of(cx: &Cx, line: &Line) -> Self {
        let kind = match line.kind {
            LineKind::Plan => LineKindName::Plan,
            LineKind::Discount => LineKindName::Discount,
            LineKind::Unused => LineKindName::Unused,
            LineKind::Overage => LineKindName::Overage,
        };
        let plan = cx.tenant.catalog.plans.get(&line.plan);
        let plan = plan.map_or_else(|| line.plan.to_string(), |plan| plan.slug.to_string());
        Self { kind, plan, amount: Amount(line.amount), from: line.from, to: line.to }
    }
}

/// A payment to come.
#[derive(Debug, Serialize, ToSchema)]
pub struct NextChargeBody {
    #[schema(value_type = String, format = DateTime, example = "2026-12-22T10:00:00Z")]
    at: Timestamp,
    #[schema(value_type = f64, example = 799.00)]
    amount: Amount,
}

/// What something would come to, exactly.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewAnswer {
    #[schema(example = "USD")]
    currency: String,
    /// What is asked for at once; below nothing when more is given back.
    #[schema(value_type = f64, example = 333.33)]
    due_now: Amount,
    /// What that consists of.
    lines: Vec<LineBody>,
    /// When it holds.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    effective_at: Timestamp,
    /// The next payment, if nothing else happens.
    #[schema(required)]
    next_charge: Option<NextChargeBody>,
    /// Where the subscription would stand.
    #[schema(value_type = super::names::SubscriptionStatusName, example = "active")]
    status: domain::entitlement::SubscriptionStatus,
    /// What it would be on, by the plan's name in URLs.
    #[schema(example = "professional")]
    plan: String,
    /// What it would be called in the history.
    #[schema(example = "upgraded")]
    cause: &'static str,
}

async fn asked_of(cx: &Cx, named: Option<&str>) -> Result<CustomerId, Error> {
    let name = acting_for(cx, named)?;
    Ok(CustomerId::stored(customer::get(cx, &name).await?.customer_id))
}

/// What a change, a cancellation, a pause or a resumption would come to, to the cent, before anything happens.
#[utoipa::path(post, path = "/api/subscription/preview", operation_id = "previewSubscription", tag = "subscription", request_body = PreviewBody,
    responses((status = 200, body = PreviewAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn preview(
    cx: Authed<SubscriptionWrite>,
    Body(body): Body<PreviewBody>,
) -> Result<Json<PreviewAnswer>, Failed> {
    let customer = asked_of(&cx, body.customer.as_deref()).await?;
    let preview = ask::preview(&cx, &customer, &body.asked()?).await?;
    let plan = &preview.next.terms.plan;
    let plan = cx.tenant.catalog.plans.get(plan).map_or_else(|| plan.to_string(), |plan| plan.slug.to_string());
    let next_charge =
        preview.next_charge.map(|next| NextChargeBody { at: next.at, amount: Amount(next.charge.amount) });
    Ok(Json(PreviewAnswer {
        currency: preview.due_now.currency.code().to_owned(),
        due_now: Amount(preview.due_now),
        lines: preview.lines.iter().map(|line| LineBody::of(&cx, line)).collect(),
        effective_at: preview.effective_at,
        next_charge,
        status: preview.next.status,
        plan,
        cause: preview.cause.name(),
    }))
}

async fn done(
    cx: &Cx,
    (retry, route): (&Retry, &str),
    (body, named): (&impl Serialize, Option<&str>),
    asked: &Ask,
) -> Result<Response, Failed> {
    let identity = retry.identity(cx, route, body)?;
    let customer = asked_of(cx, named).await?;
    let replayed = ask::does(cx, &customer, asked, identity.as_ref()).await?;
    let mut response = Json(SubscriptionAnswer::read(cx, customer.as_str()).await?).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// Change the plan or the interval. What costs more holds at once, what costs less at the end of the period.
#[utoipa::path(post, path = "/api/subscription/change", operation_id = "changeSubscription", tag = "subscription", request_body = ChangeBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 200, body = SubscriptionAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    cx: Authed<SubscriptionWrite>,
    retry: Retry,
    Body(body): Body<ChangeBody>,
) -> Result<Response, Failed> {
    let (plan, coupon) = (body.plan.clone(), body.coupon.clone());
    let asked = Ask::Change { plan, interval: body.interval, when: when(body.when), coupon };
    done(&cx, (&retry, "subscription-change"), (&body, body.customer.as_deref()), &asked).await
}

/// Cancel: at the end of the period, or now.
#[utoipa::path(post, path = "/api/subscription/cancel", operation_id = "cancelSubscription", tag = "subscription", request_body = CancelBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 200, body = SubscriptionAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn cancel(
    cx: Authed<SubscriptionWrite>,
    retry: Retry,
    Body(body): Body<CancelBody>,
) -> Result<Response, Failed> {
    let asked = Ask::Cancel { when: when(body.when), refund: body.refund.unwrap_or(false) };
    done(&cx, (&retry, "subscription-cancel"), (&body, body.customer.as_deref()), &asked).await
}

/// Pause: nothing is used and nothing is paid; billing dates stay, and what is paid for runs on.
#[utoipa::path(post, path = "/api/subscription/pause", operation_id = "pauseSubscription", tag = "subscription", request_body = PauseBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 200, body = SubscriptionAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn pause(
    cx: Authed<SubscriptionWrite>,
    retry: Retry,
    Body(body): Body<PauseBody>,
) -> Result<Response, Failed> {
    let asked = Ask::Pause { when: when(body.when), until: body.until };
    done(&cx, (&retry, "subscription-pause"), (&body, body.customer.as_deref()), &asked).await
}

/// Go on: after a pause, after all in spite of a cancellation, or without what was put down for the end of the period.
#[utoipa::path(post, path = "/api/subscription/resume", operation_id = "resumeSubscription", tag = "subscription", request_body = ResumeBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 200, body = SubscriptionAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn resume(
    cx: Authed<SubscriptionWrite>,
    retry: Retry,
    Body(body): Body<ResumeBody>,
) -> Result<Response, Failed> {
    done(&cx, (&retry, "subscription-resume"), (&body, body.customer.as_deref()), &Ask::Resume).await
}
