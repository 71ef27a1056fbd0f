//! Contact sales: anybody writes, the tenant works it off.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::contact::ContactRow;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Anyone, Authed, CustomersManage, CustomersRead};
use super::body::Body;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::contact;

/// A message to sales.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactSalesBody {
    #[schema(example = "Ann Example")]
    name: String,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = "We are 40 people and need 10,000 analyses a month.", max_length = 4000)]
    message: String,
    /// The plan that it is about, by its name in URLs.
    #[schema(example = "enterprise")]
    plan: Option<String>,
}

/// The message is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContactKept {
    #[schema(example = "con_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
}

/// How far a request got.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContactStatus {
    /// Nobody has looked at it.
    New,
    /// Somebody has answered.
    Contacted,
    /// It is done.
    Closed,
}

impl ContactStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Contacted => "contacted",
            Self::Closed => "closed",
        }
    }
}

/// A request to sales.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactRequest {
    #[schema(example = "con_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    #[schema(example = "Ann Example")]
    name: String,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = "We are 40 people and need 10,000 analyses a month.")]
    message: String,
    #[schema(required, example = "enterprise")]
    plan: Option<String>,
    /// The customer of who wrote, when they were signed in.
    #[schema(required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<String>,
    #[schema(value_type = ContactStatus)]
    status: String,
}

impl From<ContactRow> for ContactRequest {
    fn from(row: ContactRow) -> Self {
        Self {
            id: row.contact_id,
            created_at: Timestamp::from_micros(row.at),
            name: row.name,
            email: row.email,
            message: row.message,
            plan: row.plan,
            customer: row.customer_id,
            status: row.status,
        }
    }
}

/// Requests to sales.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactRequests {
    data: Vec<ContactRequest>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// What is to change about a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactEdit {
    status: ContactStatus,
}

/// Which requests are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ContactQuery {
    /// Those that got so far alone.
    #[param(example = "new")]
    status: Option<ContactStatus>,
}

/// Write to the tenant's sales people, signed in or not: five times an hour from one address.
#[utoipa::path(post, path = "/api/contact-sales", operation_id = "contactSales", tag = "subscription", security((), ("bearer" = []), ("cookie" = [])), request_body = ContactSalesBody,
    responses((status = 201, body = ContactKept), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn create(Anyone(cx): Anyone, retry: Retry, Body(body): Body<ContactSalesBody>) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "contactSales", &body)?;
    let ContactSalesBody { name, email, message, plan } = body;
    let request = contact::Request { name, email, message, plan };
    let (id, replayed) = contact::create(&cx, request, identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, Json(ContactKept { id })).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// List requests to sales: the newest first. `q` looks into names, addresses and messages.
#[utoipa::path(get, path = "/api/admin/contact-requests", operation_id = "listContactRequests", tag = "admin", params(ListQuery, ContactQuery),
    responses((status = 200, body = ContactRequests), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<CustomersRead>,
    List(query, filter): List<ContactQuery>,
) -> Result<Json<ContactRequests>, Failed> {
    let wanted = query.wanted(&["-createdAt"])?;
    let status = filter.status.map_or("", ContactStatus::name);
    let rows = contact::list(&cx, status, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| (String::new(), row.contact_id.clone()));
    Ok(Json(ContactRequests { data: data.into_iter().map(ContactRequest::from).collect(), next_cursor }))
}

/// Read one request to sales.
#[utoipa::path(get, path = "/api/admin/contact-requests/{id}", operation_id = "getContactRequest", tag = "admin",
    params(("id" = String, Path, example = "con_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = ContactRequest), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CustomersRead>, Path(id): Path<String>) -> Result<Tagged<ContactRequest>, Failed> {
    let row = contact::get(&cx, &id).await?;
    Ok(Tagged(row.revision.to_string(), row.into()))
}

/// Say how far a request got.
#[utoipa::path(patch, path = "/api/admin/contact-requests/{id}", operation_id = "updateContactRequest", tag = "admin", request_body = ContactEdit,
    params(("id" = String, Path, example = "con_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = ContactRequest), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update(
    cx: Authed<CustomersManage>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ContactEdit>,
) -> Result<Tagged<ContactRequest>, Failed> {
    let row = contact::set_status(&cx, &id, body.status.name(), &expected).await?;
    Ok(Tagged(row.revision.to_string(), row.into()))
}
