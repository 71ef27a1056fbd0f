//! Tenants, for who runs the platform.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::tenant::Mode;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::tenant::OperatedRow;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, TenantsWrite};
use super::body::Body;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, Page};
use super::params::{Path, flag};
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::operator::{self, Edit, NewTenant, View, first_steps};
use crate::app::starter::Starter;
use crate::cx::Cx;

/// The first owner of a new tenant.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOwnerBody {
    #[schema(example = "ada@acme.example")]
    email: String,
    /// 8 to 128 characters. No part of what a retry is compared by: a hash of the body is kept, and guessing is quick.
    #[serde(skip_serializing)]
    #[schema(example = "correct horse battery staple")]
    password: String,
}

/// A tenant to make.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTenantBody {
    /// Its name in URLs, for good: a label of a host name.
    #[schema(example = "acme", max_length = 63)]
    slug: String,
    /// What people read.
    #[schema(example = "Acme Inc.")]
    name: String,
    /// `sandbox` has its own clock and a payment provider that moves no money. It stays what it is.
    #[schema(value_type = super::names::TenantModeName, example = "live")]
    mode: Mode,
    /// What it sells at first; `empty` unless it is said.
    #[schema(value_type = Option<super::names::StarterName>, example = "studio")]
    template: Option<Starter>,
    owner: NewOwnerBody,
    /// ISO 4217: that of the template's prices, or USD.
    #[schema(example = "USD")]
    currency: Option<String>,
    /// IANA; UTC unless it is said.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
}

/// A tenant in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatedTenant {
    /// Its name in URLs.
    #[schema(example = "acme")]
    slug: String,
    /// What people read.
    #[schema(example = "Acme Inc.")]
    name: String,
    #[schema(value_type = super::names::TenantModeName, example = "live")]
    mode: String,
    #[schema(example = "USD")]
    currency: String,
    #[schema(example = "Europe/Berlin")]
    timezone: String,
    /// The host name that leads to it; `X-Tenant` does so at any other.
    #[schema(example = "acme.example.com")]
    host: String,
    /// Whether nobody can use it.
    suspended: bool,
    /// Why; null unless it is suspended.
    #[schema(required, example = json!(null))]
    suspended_reason: Option<String>,
    /// Since when; null unless it is suspended.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    suspended_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

/// A tenant with how much there is in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatedTenantDetail {
    #[serde(flatten)]
    tenant: OperatedTenant,
    #[schema(example = 346)]
    customers: i64,
    /// People with an account: customers' users and who works there.
    #[schema(example = 412)]
    users: i64,
    /// Plans that are sold.
    #[schema(example = 3)]
    plans: i64,
    /// The hour of the last recorded use; null before the first.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-11-22T10:00:00Z")]
    last_used_at: Option<Timestamp>,
}

/// A new tenant, and what to do with it first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewTenantAnswer {
    #[serde(flatten)]
    tenant: OperatedTenantDetail,
    /// What its owner does first, in words.
    #[schema(example = json!(["The owner signs in as ada@acme.example at the host name acme.example.com, or anywhere with the header X-Tenant: acme."]))]
    next: Vec<String>,
}

/// Tenants.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatedTenants {
    data: Vec<OperatedTenant>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// What is to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantEditBody {
    #[schema(example = "Acme International")]
    name: Option<String>,
    /// Whether nobody can sign in or use anything.
    #[schema(example = true)]
    suspended: Option<bool>,
    /// Why it is suspended, or is not any more; its own admins read it in their audit trail.
    #[schema(example = "Three invoices are unpaid")]
    reason: Option<String>,
}

/// Which tenants are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TenantQuery {
    /// Those of a mode alone.
    #[param(value_type = Option<super::names::TenantModeName>, example = "live")]
    mode: Option<Mode>,
    /// Those that are suspended alone, or those that are not.
    #[param(value_type = Option<bool>, example = true)]
    suspended: Option<String>,
}

impl OperatedTenant {
    fn of(row: OperatedRow, cx: &Cx) -> Self {
        Self {
            host: operator::host(cx, &row.slug),
            slug: row.slug,
            name: row.name,
            mode: row.mode,
            currency: row.currency,
            timezone: row.timezone,
            suspended: row.suspended,
            suspended_reason: row.suspended_reason,
            suspended_at: row.suspended_at.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}

impl OperatedTenantDetail {
    fn of((row, extent): View, cx: &Cx) -> Tagged<Self> {
        let revision = row.revision.to_string();
        let detail = Self {
            tenant: OperatedTenant::of(row, cx),
            customers: extent.customers,
            users: extent.users,
            plans: extent.plans,
            last_used_at: extent.last_used_at.map(Timestamp::from_micros),
        };
        Tagged(revision, detail)
    }
}

/// List the tenants, the newest first, or sorted by `slug` or `name`. `q` looks into slugs and names.
#[utoipa::path(get, path = "/api/operator/tenants", operation_id = "listTenants", tag = "operator", params(ListQuery, TenantQuery),
    responses((status = 200, body = OperatedTenants), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<TenantsWrite>,
    List(query, filter): List<TenantQuery>,
) -> Result<Json<OperatedTenants>, Failed> {
    let wanted = query.wanted(&["-createdAt", "slug", "name"])?;
    let suspended = flag("suspended", filter.suspended.as_deref())?;
    let rows = operator::list(&cx.app.db, (filter.mode, suspended), &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| match wanted.sort {
        "slug" => (row.slug.clone(), row.tenant_id.clone()),
        "name" => (row.name.clone(), row.tenant_id.clone()),
        _ => (String::new(), row.tenant_id.clone()),
    });
    let data = data.into_iter().map(|row| OperatedTenant::of(row, &cx)).collect();
    Ok(Json(OperatedTenants { data, next_cursor }))
}

/// Make a tenant with its owner, who can sign in at once, and with what a template sells, if one is named.
#[utoipa::path(post, path = "/api/operator/tenants", operation_id = "createTenant", tag = "operator", request_body = NewTenantBody,
    responses((status = 201, body = NewTenantAnswer), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<TenantsWrite>,
    retry: Retry,
    Body(body): Body<NewTenantBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "createTenant", &body)?;
    let NewTenantBody { slug, name, mode, template, owner, currency, timezone } = body;
    let NewOwnerBody { email, password } = owner;
    let template = template.unwrap_or(Starter::Empty);
    let new = NewTenant { slug, name, mode, template, currency, timezone, email, password };
    let (made, replayed) = operator::create(&cx, &new, identity.as_ref()).await?;
    let next = first_steps(&cx, &new);
    let Tagged(revision, tenant) = OperatedTenantDetail::of(made, &cx);
    let mut response = Tagged(revision, NewTenantAnswer { tenant, next }).into_response();
    *response.status_mut() = StatusCode::CREATED;
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// Read one tenant, with how much there is in it.
#[utoipa::path(get, path = "/api/operator/tenants/{slug}", operation_id = "getTenant", tag = "operator",
    params(("slug" = String, Path, example = "acme")),
    responses((status = 200, body = OperatedTenantDetail), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<TenantsWrite>, Path(slug): Path<String>) -> Result<Tagged<OperatedTenantDetail>, Failed> {
    Ok(OperatedTenantDetail::of(operator::get(&cx.app.db, &slug).await?, &cx))
}

/// Change a tenant's name, suspend it with a reason, or resume it. What is suspended refuses everything from the next
/// request on, on every node; nothing in it is lost.
#[utoipa::path(patch, path = "/api/operator/tenants/{slug}", operation_id = "updateTenant", tag = "operator", request_body = TenantEditBody,
    params(("slug" = String, Path, example = "acme")),
    responses((status = 200, body = OperatedTenantDetail), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update(
    cx: Authed<TenantsWrite>,
    Path(slug): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<TenantEditBody>,
) -> Result<Tagged<OperatedTenantDetail>, Failed> {
    let TenantEditBody { name, suspended, reason } = body;
    let edit = Edit { name, suspended, reason };
    Ok(OperatedTenantDetail::of(operator::edit(&cx, &slug, edit, &expected).await?, &cx))
}
