//! Users and customers: lists, exports, and who is near a limit.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use domain::id::FeatureKey;
use domain::permission::Role;
use domain::quota::{Health, Quota, Status};
use domain::time::Timestamp;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use store::list::{Place, Wanted};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, CustomersRead};
use super::export::{self, Format};
use super::list::{List, ListQuery, NoFilter, Page};
use super::problem::{Failed, Problem};
use super::wire::{Json, QuotaMap, quota_map};
use crate::app::directory::{self, Listed, ListedUser, Named, Walk};
use crate::app::tenant::Tenant;
use crate::cx::Cx;
use crate::error::Error;

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
const SORTS: [&str; 5] = ["-createdAt", "email", "name", "status", "plan"];
const USER_COLUMNS: [&str; 9] = ["id", "email", "name", "role", "customer", "plan", "status", "quotas", "createdAt"];
const CUSTOMER_COLUMNS: [&str; 9] =
    ["id", "externalId", "email", "name", "plan", "status", "suspended", "quotas", "createdAt"];

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UserFilter {
    /// A plan's name in URLs.
    #[param(example = "starter")]
    plan: Option<String>,
    /// How they stand.
    #[param(value_type = Option<super::names::HealthName>)]
    status: Option<Health>,
    /// What they may do.
    #[param(value_type = Option<super::names::RoleName>)]
    role: Option<Role>,
    /// Answer the whole list as a file, streamed; without `limit` and `cursor`.
    #[param(value_type = Option<Format>)]
    format: Option<Format>,
}

/// Which customers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CustomerFilter {
    /// A plan's name in URLs.
    #[param(example = "starter")]
    plan: Option<String>,
    /// How they stand.
    #[param(value_type = Option<super::names::HealthName>)]
    status: Option<Health>,
    /// Answer the whole list as a file, streamed; without `limit` and `cursor`.
    #[param(value_type = Option<Format>)]
    format: Option<Format>,
}

/// What was used of a feature, in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShortQuota)]
pub struct ShortBody {
    #[schema(example = 87)]
    used: i64,
    /// Null is unlimited.
    #[schema(required, example = 100)]
    limit: Option<i64>,
    /// Whole per cent of the limit, rounded down; null is unlimited.
    #[schema(required, example = 87)]
    percentage: Option<i64>,
    #[schema(value_type = super::names::StatusName, example = "warning")]
    status: Status,
}

fn short(quotas: &[Quota]) -> BTreeMap<FeatureKey, ShortBody> {
    let body = |quota: &Quota| ShortBody {
        used: quota.used,
        limit: quota.limit,
        percentage: quota.percentage(),
        status: quota.status,
    };
    quotas.iter().map(|quota| (quota.feature.clone(), body(quota))).collect()
}

/// A user with what their customer has used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedUser)]
pub struct UserBody {
    #[schema(example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(example = "near@halisoft.example")]
    email: String,
    #[schema(required, example = "Nick Near")]
    name: Option<String>,
    #[schema(value_type = super::names::RoleName, example = "user")]
    role: String,
    /// The customer that they act for; null for people of the tenant itself.
    #[schema(required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<String>,
    /// The plan's name in URLs; null without a subscription.
    #[schema(required, example = "starter")]
    plan: Option<String>,
    /// The worst of the quotas, or an overdue payment.
    #[schema(value_type = super::names::HealthName)]
    status: Health,
    /// By feature.
    #[schema(value_type = BTreeMap<String, ShortBody>)]
    quotas: BTreeMap<FeatureKey, ShortBody>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

impl UserBody {
    fn of(tenant: &Tenant, listed: ListedUser) -> Self {
        let ListedUser { user, customer, .. } = listed;
        Self {
            id: user.user_id,
            email: user.email,
            name: user.name,
            role: user.role,
            plan: customer.as_ref().and_then(|c| c.plan(tenant)).map(|plan| plan.slug.to_string()),
            status: customer.as_ref().map_or(Health::Ok, |customer| customer.health),
            quotas: customer.as_ref().map(|customer| short(&customer.quotas)).unwrap_or_default(),
            customer: user.customer_id,
            created_at: Timestamp::from_micros(user.created_at),
        }
    }
}

/// Users of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsersBody {
    data: Vec<UserBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// A customer with what it has used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedCustomer)]
pub struct ListedCustomerBody {
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
    /// The worst of the quotas, or an overdue payment.
    #[schema(value_type = super::names::HealthName)]
    status: Health,
    /// Whether it may use nothing.
    suspended: bool,
    /// By feature.
    #[schema(value_type = BTreeMap<String, ShortBody>)]
    quotas: BTreeMap<FeatureKey, ShortBody>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

impl ListedCustomerBody {
    fn of(tenant: &Tenant, listed: &Listed) -> Self {
        let row = &listed.row;
        Self {
            id: row.customer_id.clone(),
            external_id: row.external_id.clone(),
            email: row.email.clone(),
            name: row.name.clone(),
            plan: listed.plan(tenant).map(|plan| plan.slug.to_string()),
            status: listed.health,
            suspended: row.suspended,
            quotas: short(&listed.quotas),
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}

/// Customers of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomersBody {
    data: Vec<ListedCustomerBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

fn place(place: &Place) -> (String, String) {
    (place.value.clone(), place.id.clone())
}

/// List users: the newest first, or sorted by `createdAt`, `email`, `name`, `status` or `plan`. `q` looks into addresses
/// and names. With `format` the whole list comes as a file, and `X-Total-Count` says how many rows to expect.
#[utoipa::path(get, path = "/api/admin/users", operation_id = "listUsers", tag = "admin customers", params(ListQuery, UserFilter),
    responses((status = 200, content((UsersBody = "application/json"), (UserBody = "text/csv; charset=utf-8; header=present"))), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn users(cx: Authed<CustomersRead>, List(query, filter): List<UserFilter>) -> Result<Response, Failed> {
    let cx = directory::fresh(&cx, cx.tenant.id()).await?;
    let wanted = query.wanted(&SORTS)?;
    let role = filter.role.map(|role| role.name().to_owned());
    let named = Named { plan: filter.plan, status: filter.status, role };
    if let Some(format) = filter.format {
        return export_users(cx, (wanted, named), format).await;
    }
    let rows = directory::users(&cx, &wanted, &named).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| place(&row.place));
    let data = data.into_iter().map(|row| UserBody::of(&cx.tenant, row)).collect();
    Ok(Json(UsersBody { data, next_cursor }).into_response())
}

async fn export_users(cx: Cx, (wanted, named): (Wanted, Named), format: Format) -> Result<Response, Failed> {
    let total = directory::count_users(&cx, &wanted, &named).await?;
    let pages = stream::try_unfold((cx, Walk::new(wanted, named)), async |(cx, mut walk)| {
        let places = walk.users(&cx).await?;
        if places.is_empty() {
            return Ok::<_, Error>(None);
        }
        let rows = directory::users_at(&cx, places).await?;
        let bodies: Vec<_> = rows.into_iter().map(|row| UserBody::of(&cx.tenant, row)).collect();
        Ok(Some((bodies, (cx, walk))))
    });
    Ok(counted(export::answer(format, "users", &USER_COLUMNS, pages), total))
}

async fn export_customers(cx: Cx, (wanted, named): (Wanted, Named), format: Format) -> Result<Response, Failed> {
    let total = directory::count_customers(&cx, &wanted, &named).await?;
    let pages = stream::try_unfold((cx, Walk::new(wanted, named)), async |(cx, mut walk)| {
        let places = walk.customers(&cx).await?;
        if places.is_empty() {
            return Ok::<_, Error>(None);
        }
        let rows = directory::customers_at(&cx, places).await?;
        let bodies: Vec<_> = rows.iter().map(|(row, _)| ListedCustomerBody::of(&cx.tenant, row)).collect();
        Ok(Some((bodies, (cx, walk))))
    });
    Ok(counted(export::answer(format, "customers", &CUSTOMER_COLUMNS, pages), total))
}

fn counted(mut response: Response, total: i64) -> Response {
    response.headers_mut().insert(TOTAL, HeaderValue::from(total));
    response
}

/// List customers: the newest first, or sorted by `createdAt`, `email`, `name`, `status` or `plan`. `q` looks into
/// addresses, names and external ids. With `format` the whole list comes as a file, as for users.
#[utoipa::path(get, path = "/api/admin/customers", operation_id = "listCustomers", tag = "admin customers", params(ListQuery, CustomerFilter),
    responses((status = 200, content((CustomersBody = "application/json"), (ListedCustomerBody = "text/csv; charset=utf-8; header=present"))), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn customers(
    cx: Authed<CustomersRead>,
    List(query, filter): List<CustomerFilter>,
) -> Result<Response, Failed> {
    let cx = directory::fresh(&cx, cx.tenant.id()).await?;
    let wanted = query.wanted(&SORTS)?;
    let named = Named { plan: filter.plan, status: filter.status, role: None };
    if let Some(format) = filter.format {
        return export_customers(cx, (wanted, named), format).await;
    }
    let rows = directory::customers(&cx, &wanted, &named).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |(_, at)| place(at));
    let data = data.iter().map(|(row, _)| ListedCustomerBody::of(&cx.tenant, row)).collect();
    Ok(Json(CustomersBody { data, next_cursor }).into_response())
}

/// What can be done for a customer that is near a limit.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CareKind)]
pub enum CareKind {
    /// Give it a limit of its own.
    Override,
    /// Give it credits.
    Credits,
    /// Tell sales about it.
    ContactSales,
    /// Move it to the plan that is named.
    ChangePlan,
}

/// Something that can be done for a customer that is near a limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Care)]
pub struct CareBody {
    #[serde(rename = "type")]
    kind: CareKind,
    /// The words for a button.
    #[schema(example = "Change plan to Professional")]
    label: String,
    /// How to do it: the request's method; null for a link.
    #[schema(required, example = "PATCH")]
    method: Option<&'static str>,
    /// Where to do it.
    #[schema(example = "/api/admin/customers/cus_01jz3k5q8e4x9m2v7c1r6t0b5n/subscription")]
    href: String,
    /// What it is about; null for the whole customer.
    #[schema(value_type = Option<String>, required, example = json!(null))]
    feature: Option<FeatureKey>,
    /// The plan under which nothing would be near its limit.
    #[schema(required, example = "professional")]
    plan: Option<String>,
}

/// A customer near or over a limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NearCustomer)]
pub struct NearBody {
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(required, example = "acme-42")]
    external_id: Option<String>,
    #[schema(required, example = "billing@acme.example")]
    email: Option<String>,
    #[schema(required, example = "Acme Ltd")]
    name: Option<String>,
    #[schema(required, example = "starter")]
    plan: Option<String>,
    #[schema(value_type = super::names::HealthName)]
    status: Health,
    /// Those near or over their limits alone.
    #[schema(value_type = BTreeMap<String, super::wire::QuotaBody>)]
    quotas: QuotaMap,
    /// The cheapest plan under which nothing would be near its limit; null when no plan is large enough.
    #[schema(required, example = "professional")]
    suggested_plan: Option<String>,
    actions: Vec<CareBody>,
}

/// Customers near or over a limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NearListBody {
    data: Vec<NearBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl NearBody {
    fn of(tenant: &Tenant, listed: &Listed) -> Self {
        let row = &listed.row;
        let tight: Vec<_> = listed.quotas.iter().filter(|quota| quota.status != Status::Ok).cloned().collect();
        let fitting = directory::fitting_plan(tenant, listed);
        let base = format!("/api/admin/customers/{}", row.customer_id);
        let mut actions = Vec::new();
        for quota in &tight {
            let name = tenant.catalog.features.get(&quota.feature).map_or(quota.feature.as_str(), |f| &*f.name);
            let care = |kind, label: String, method, href: String| CareBody {
                kind,
                label,
                method: Some(method),
                href,
                feature: Some(quota.feature.clone()),
                plan: None,
            };
            let own = format!("{base}/overrides/{}", quota.feature);
            actions.push(care(CareKind::Override, format!("Raise the limit of {name}"), "PUT", own));
            actions.push(care(
                CareKind::Credits,
                format!("Give credits for {name}"),
                "POST",
                format!("{base}/credits"),
            ));
        }
        let whole = |kind, label: String, method, href: String, plan| CareBody {
            kind,
            label,
            method,
            href,
            feature: None,
            plan,
        };
        if let Some(plan) = fitting {
            let (label, slug) = (format!("Change plan to {}", plan.name), plan.slug.to_string());
            let href = format!("{base}/subscription");
            actions.push(whole(CareKind::ChangePlan, label, Some("PATCH"), href, Some(slug)));
        }
        if let Some(sales) = tenant.brand().sales() {
            actions.push(whole(CareKind::ContactSales, "Tell sales".to_owned(), None, sales, None));
        }
        Self {
            id: row.customer_id.clone(),
            external_id: row.external_id.clone(),
            email: row.email.clone(),
            name: row.name.clone(),
            plan: listed.plan(tenant).map(|plan| plan.slug.to_string()),
            status: listed.health,
            quotas: quota_map(&tight, &tenant.catalog),
            suggested_plan: fitting.map(|plan| plan.slug.to_string()),
            actions,
        }
    }
}

/// List customers near or over a limit, those over it first, with what can be done for each.
#[utoipa::path(get, path = "/api/admin/near-limit", operation_id = "listNearLimit", tag = "admin customers", params(ListQuery),
    responses((status = 200, body = NearListBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn near_limit(
    cx: Authed<CustomersRead>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<NearListBody>, Failed> {
    let cx = directory::fresh(&cx, cx.tenant.id()).await?;
    let wanted = query.wanted(&["-status"])?;
    if !wanted.descending || !wanted.search.is_empty() {
        return Err(
            Error::parameter("sort", "those over their limits come first here; leave `sort` and `q` out").into()
        );
    }
    let rows = directory::near(&cx, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |(_, at)| place(at));
    Ok(Json(NearListBody { data: data.iter().map(|(row, _)| NearBody::of(&cx.tenant, row)).collect(), next_cursor }))
}
