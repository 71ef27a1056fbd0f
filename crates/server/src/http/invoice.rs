//! Invoices on the wire: what was asked for and what was given back.

use domain::id::CustomerId;
use domain::money::{Currency, Money};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::invoice::{InvoiceRow, LineRow};
use utoipa::ToSchema;

use super::auth::{Authed, CustomersManage, CustomersRead, SubscriptionWrite};
use super::body::Body;
use super::list::{List, ListQuery, NoFilter, Page};
use super::params::Path;
use super::plan::Amount;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::usage::acting_for;
use crate::app::{customer, time};
use crate::cx::Cx;
use crate::error::Error;

/// Where an invoice stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceState {
    /// It was asked for, and nobody knows more.
    Open,
    /// A try to collect it failed.
    Failed,
    /// It failed, is tried again, and nobody knows more.
    Retrying,
    /// It was paid.
    Paid,
    /// It is not asked for any more.
    Void,
    /// It was given back.
    Refunded,
}

/// A line of an invoice.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceLineBody {
    /// `plan`, `discount`, `unused` or `overage`.
    #[schema(example = "plan")]
    kind: String,
    /// What was used beyond its limit, of a line for that.
    #[schema(required, example = "invoice_ocr")]
    feature: Option<String>,
    /// How many units.
    #[schema(required, example = 12)]
    units: Option<i64>,
    /// The plan's name in URLs.
    #[schema(example = "starter")]
    plan: String,
    #[schema(value_type = f64, example = 299.00)]
    amount: Amount,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-12-22T10:00:00Z")]
    to: Timestamp,
}

/// An invoice; with an amount below nothing, what was given back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceBody {
    #[schema(example = "inv_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    /// What it is for, once for each subscription.
    #[schema(example = "period:1795341600000000")]
    slot: String,
    state: InvoiceState,
    #[schema(example = "USD")]
    currency: String,
    #[schema(value_type = f64, example = 299.00)]
    amount: Amount,
    /// Through whom; null by hand.
    #[schema(required, example = "sandbox")]
    provider: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    issued_at: Timestamp,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-11-22T10:00:00Z")]
    settled_at: Option<Timestamp>,
    lines: Vec<InvoiceLineBody>,
}

/// A customer's invoices.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoicesBody {
    data: Vec<InvoiceBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl InvoiceBody {
    fn of(cx: &Cx, row: InvoiceRow, lines: &[LineRow]) -> Result<Self, Error> {
        let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
        let slug = |id: &str| {
            let plan = cx.tenant.catalog.plans.get(&domain::id::PlanId::stored(id));
            plan.map_or_else(|| id.to_owned(), |plan| plan.slug.to_string())
        };
        let line = |line: &LineRow| InvoiceLineBody {
            kind: line.kind.clone(),
            feature: line.feature.clone(),
            units: line.units,
            plan: slug(&line.plan_id),
            amount: Amount(Money::new(line.amount_minor, currency)),
            from: Timestamp::from_micros(line.period_start),
            to: Timestamp::from_micros(line.period_end),
        };
        let state = match row.state.as_str() {
            "failed" => InvoiceState::Failed,
            "retrying" => InvoiceState::Retrying,
            "paid" => InvoiceState::Paid,
            "void" => InvoiceState::Void,
            "refunded" => InvoiceState::Refunded,
            _ => InvoiceState::Open,
        };
        let lines = lines.iter().filter(|line| line.invoice_id == row.invoice_id).map(line).collect();
        Ok(Self {
            slot: row.slot,
            state,
            amount: Amount(Money::new(row.amount_minor, currency)),
            currency: row.currency,
            provider: row.provider,
            issued_at: Timestamp::from_micros(row.issued_at),
            settled_at: row.settled_at.map(Timestamp::from_micros),
            lines,
            id: row.invoice_id,
        })
    }
}

async fn lines(cx: &Cx, rows: &[InvoiceRow]) -> Result<Vec<LineRow>, Error> {
    let ids: Vec<_> = rows.iter().map(|row| row.invoice_id.as_str()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    Ok(store::invoice::lines(&cx.app.db, cx.tenant.id(), &ids).await?)
}

/// Whose invoices.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvoicesFilter {
    /// Whose: for API keys alone.
    #[param(example = "acme-42")]
    customer: Option<String>,
}

/// The caller's invoices, the newest first. `q` looks into what they are for.
#[utoipa::path(get, path = "/api/invoices", operation_id = "listInvoices", tag = "subscription", params(ListQuery, InvoicesFilter),
    responses((status = 200, body = InvoicesBody), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<SubscriptionWrite>,
    List(query, filter): List<InvoicesFilter>,
) -> Result<Json<InvoicesBody>, Failed> {
    let name = acting_for(&cx, filter.customer.as_deref())?;
    Ok(Json(page(&cx, &name, &query).await?))
}

/// A customer's invoices, the newest first, for who looks after customers. `q` looks into what they are for.
#[utoipa::path(get, path = "/api/admin/customers/{id}/invoices", operation_id = "listCustomerInvoices", tag = "admin", params(("id" = String, Path, example = "acme-42"), ListQuery),
    responses((status = 200, body = InvoicesBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn of_customer(
    cx: Authed<CustomersRead>,
    Path(id): Path<String>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<InvoicesBody>, Failed> {
    Ok(Json(page(&cx, &id, &query).await?))
}

async fn page(cx: &Cx, name: &str, query: &ListQuery) -> Result<InvoicesBody, Error> {
    let id = CustomerId::stored(customer::get(cx, name).await?.customer_id);
    let wanted = query.wanted(&["-issuedAt"])?;
    let rows = store::invoice::list(&cx.app.db, cx.tenant.id(), &id, &wanted).await?;
    let page = Page::of(rows, &wanted, |row| (row.issued_at.to_string(), row.invoice_id.clone()));
    let lines = lines(cx, &page.data).await?;
    let data = page.data.into_iter().map(|row| InvoiceBody::of(cx, row, &lines)).collect::<Result<_, _>>()?;
    Ok(InvoicesBody { data, next_cursor: page.next_cursor })
}

/// What is known of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The money came.
    Paid,
    /// It did not: the grace begins.
    Failed,
}

/// What is said of an invoice by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeBody {
    state: Outcome,
}

/// Mark an invoice as paid, or as not paid in time, by hand.
#[utoipa::path(post, path = "/api/admin/invoices/{id}", operation_id = "settleInvoice", tag = "admin", request_body = OutcomeBody,
    params(("id" = String, Path, example = "inv_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = InvoiceBody), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn settle(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    Body(body): Body<OutcomeBody>,
) -> Result<Json<InvoiceBody>, Failed> {
    let row = time::settle(&cx, &id, body.state == Outcome::Paid).await?;
    let lines = lines(&cx, std::slice::from_ref(&row)).await?;
    Ok(Json(InvoiceBody::of(&cx, row, &lines)?))
}
