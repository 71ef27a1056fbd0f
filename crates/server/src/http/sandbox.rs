//! The sandbox provider's own approve page, and what tests use instead of a browser.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CustomersManage};
use super::body::Body;
use super::checkout::{CheckoutAnswer, CheckoutState};
use super::docs::{escape, whole};
use super::params::Path;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::sandbox::{self, Approval, PAGE};
use crate::app::{checkout, provider, tenant};
use crate::cx::{App, Cx};
use crate::error::{Code, Error};

/// What a buyer reads who comes too late.
const GIVEN_UP: &str = "<p><strong>A later purchase has taken the place of this one.</strong> Nothing was charged for it. \
                        You can close this page.</p>";

async fn found(app: &App, token: &str) -> Result<Option<Approval>, Error> {
    match sandbox::approval(&app.db, token).await {
        Ok(approval) => Ok(Some(approval)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a person sees who opens an address that leads to no purchase.
fn gone() -> Response {
    let body = "<h1>Sandbox checkout</h1><p>There is no such checkout. Go back to the shop and begin a new one.</p>";
    (StatusCode::NOT_FOUND, whole("Sandbox checkout", body)).into_response()
}

/// The page on which a buyer approves or declines. Its address is its credential, as on a payment company's page.
pub async fn page(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, Failed> {
    let Some(approval) = found(&app, &token).await? else { return Ok(gone()) };
    let tenant = tenant::usable(&app, &approval.tenant).await?;
    let superseded =
        checkout::is_superseded(&Cx::system(&app, &tenant, "sandbox-checkout"), &approval.checkout).await?;
    let currency = Currency::parse(&approval.plan.currency).map_err(Error::internal)?;
    let price = Money::new(approval.plan.amount_minor, currency);
    let name = escape(&approval.plan.name);
    let every = escape(&approval.plan.interval);
    let state = match approval.subscription.status.as_str() {
        _ if superseded => GIVEN_UP.to_owned(),
        "pending" => format!(
            "<form method=post action=\"{PAGE}{0}\"><button name=decision value=approve>Approve</button> \
             <button name=decision value=decline>Decline</button></form>",
            escape(&token)
        ),
        "active" => "<p><strong>Approved.</strong> You can close this page.</p>".to_owned(),
        _ => "<p><strong>Declined.</strong> You can close this page.</p>".to_owned(),
    };
    let body = format!(
        "<h1>Sandbox checkout</h1><p><strong>This is a test: no money moves.</strong></p>\
         <p>{name}: {price} {} for each {every}</p>{state}",
        currency.code()
    );
    Ok(whole("Sandbox checkout", &body))
}

/// The form of the page.
#[derive(Debug, Deserialize)]
pub struct Answer {
    decision: Decision,
}

/// The buyer's answer.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Decline,
}

/// Takes the buyer's answer, looks the purchase up as any other, and sends the browser back.
pub async fn answer(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(form): Form<Answer>,
) -> Result<Response, Failed> {
    let Some(approval) = found(&app, &token).await? else { return Ok(gone()) };
    let tenant = tenant::usable(&app, &approval.tenant).await?;
    let cx = Cx::system(&app, &tenant, "sandbox-checkout");
    let answer = take(&cx, &approval, form.decision == Decision::Approve).await?;
    if matches!(answer.state, CheckoutState::Superseded) {
        return Ok((StatusCode::CONFLICT, whole("Sandbox checkout", GIVEN_UP)).into_response());
    }
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, approval.subscription.return_url)]).into_response())
}

async fn take(cx: &Cx, approval: &Approval, approved: bool) -> Result<CheckoutAnswer, Failed> {
    // Nobody can approve any more what a later purchase has taken the place of.
    if !checkout::is_superseded(cx, &approval.checkout).await? {
        sandbox::decide(&cx.app.db, approval, approved).await?;
    }
    let row = checkout::look_up(cx, &approval.checkout).await?;
    Ok(CheckoutAnswer::of(row, cx))
}

/// The address of an approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproveBody {
    /// As `POST /api/checkout` answered it.
    #[schema(example = "http://127.0.0.1:8080/sandbox/checkout/kZ1x…")]
    approval_url: String,
    /// Whether the buyer says yes; by default they do.
    #[schema(example = true)]
    approve: Option<bool>,
}

/// Approve (or decline) a sandbox checkout, as its buyer would on the page.
#[utoipa::path(post, path = "/api/admin/sandbox/approve", operation_id = "approveSandboxCheckout", tag = "admin", request_body = ApproveBody,
    responses((status = 200, body = CheckoutAnswer), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn approve(
    cx: Authed<CustomersManage>,
    Body(body): Body<ApproveBody>,
) -> Result<Json<CheckoutAnswer>, Failed> {
    let unknown = || Error::new(Code::NotFound, "Send the approvalUrl of an open checkout of this tenant.");
    let (_, token) = body.approval_url.split_once(PAGE).ok_or_else(unknown)?;
    let approval = found(&cx.app, token).await?.filter(|approval| &approval.tenant == cx.tenant.id());
    let approval = approval.ok_or_else(unknown)?;
    Ok(Json(take(&cx, &approval, body.approve.unwrap_or(true)).await?))
}

/// How a customer's payments go in the sandbox from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentsBody {
    /// The customer's id or externalId.
    #[schema(example = "acme-42")]
    customer: String,
    /// Whether they come; false is a card that is declined.
    #[schema(example = false)]
    approve: bool,
}

/// Let a customer's sandbox payments fail from now on, or come again: what is tried next goes so.
#[utoipa::path(post, path = "/api/admin/sandbox/payments", operation_id = "setSandboxPayments", tag = "admin", request_body = PaymentsBody,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn payments(cx: Authed<CustomersManage>, Body(body): Body<PaymentsBody>) -> Result<StatusCode, Failed> {
    sandbox::set_declines(&cx, &body.customer, !body.approve).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A plan in the sandbox provider's own books.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPlanBody {
    /// The sandbox's id.
    #[schema(example = "sbp_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    /// The price version that it stands for.
    #[schema(example = "pri_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    price: String,
    #[schema(example = "Starter")]
    name: String,
    #[schema(value_type = super::names::IntervalName)]
    interval: String,
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = f64, example = 349.00)]
    amount: Amount,
    /// Whether it can be subscribed to.
    active: bool,
}

/// The sandbox provider's plans.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPlansBody {
    data: Vec<SandboxPlanBody>,
    /// Always null: there is one page.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// What the sandbox provider has in its books: one plan for each price version, the newest first.
#[utoipa::path(get, path = "/api/admin/sandbox/plans", operation_id = "listSandboxPlans", tag = "admin",
    responses((status = 200, body = SandboxPlansBody), (status = 404, body = Problem)))]
pub async fn plans(cx: Authed<CatalogRead>) -> Result<Json<SandboxPlansBody>, Failed> {
    if !provider::has_sandbox(&cx) {
        return Err(Error::new(Code::NotFound, "Only demo and sandbox tenants have a sandbox provider.").into());
    }
    let mut data = Vec::new();
    for row in store::sandbox::plans(&cx.app.db, cx.tenant.id()).await.map_err(Error::from)? {
        let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
        data.push(SandboxPlanBody {
            id: row.sandbox_plan_id,
            price: row.reference,
            name: row.name,
            interval: row.interval,
            currency: row.currency,
            amount: Amount(Money::new(row.amount_minor, currency)),
            active: row.active,
        });
    }
    Ok(Json(SandboxPlansBody { data, next_cursor: None }))
}
