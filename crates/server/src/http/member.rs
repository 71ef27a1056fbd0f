//! Members and roles: who works for the tenant, and as what.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::UserId;
use domain::permission::Role;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::member::MemberRow;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, MembersWrite};
use super::body::Body;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{Json, mark_replay};
use crate::app::member;
use crate::app::patch::Patch;
use crate::error::{Code, Error};

/// Somebody to invite.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMemberBody {
    #[schema(example = "fred@halisoft.example")]
    email: String,
    #[schema(example = "Fred Finance")]
    name: Option<String>,
    /// `support`, `finance`, `admin` or `owner`, at most your own; `operator` on the platform.
    #[schema(value_type = super::names::RoleName, example = "finance")]
    role: Role,
}

/// What is to change; absent fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberEdit {
    /// Null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Fred Finance")]
    name: Patch<String>,
    #[schema(value_type = Option<super::names::RoleName>, example = "admin")]
    role: Option<Role>,
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberBody {
    #[schema(example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(example = "fred@halisoft.example")]
    email: String,
    #[schema(required, example = "Fred Finance")]
    name: Option<String>,
    #[schema(value_type = super::names::RoleName, example = "finance")]
    role: String,
    /// Until when the link is good by which they have yet to choose a password; null once they have.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    invited_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
}

/// A new member with their link.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewMember {
    #[serde(flatten)]
    member: MemberBody,
    /// The path of the page, on this server, where they choose a password, once and within a week; null for who has
    /// one. It is not shown again.
    #[schema(
        required,
        example = "/setup?token=ten_01jz3k5q8e4x9m2v7c1r6t0b5n.usr_01jz3k5q8e4x9m2v7c1r6t0b5n.4Xk2vQ9mT7c1"
    )]
    setup_link: Option<String>,
}

/// Members of the tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MembersBody {
    data: Vec<MemberBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

impl From<MemberRow> for MemberBody {
    fn from(row: MemberRow) -> Self {
        Self {
            id: row.user_id,
            email: row.email,
            name: row.name,
            role: row.role,
            invited_until: row.invited_until.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(row.created_at),
        }
    }
}

/// Which members are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MemberQuery {
    /// Those of a role alone.
    #[param(value_type = Option<super::names::RoleName>, example = "admin")]
    role: Option<Role>,
}

fn user(id: &str) -> Result<UserId, Error> {
    UserId::parse(id).map_err(|_| Error::new(Code::NotFound, "A member's id begins with usr_."))
}

/// List the tenant's members by `email`, or sorted by `createdAt`. `q` looks into addresses and names.
#[utoipa::path(get, path = "/api/admin/members", operation_id = "listMembers", tag = "admin", params(ListQuery, MemberQuery),
    responses((status = 200, body = MembersBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<MembersWrite>,
    List(query, filter): List<MemberQuery>,
) -> Result<Json<MembersBody>, Failed> {
    let wanted = query.wanted(&["email", "createdAt"])?;
    let page = Page::of(member::list(&cx, filter.role, &wanted).await?, &wanted, |row| match wanted.sort {
        "email" => (row.email.clone(), row.user_id.clone()),
        _ => (String::new(), row.user_id.clone()),
    });
    let Page { data, next_cursor } = page;
    Ok(Json(MembersBody { data: data.into_iter().map(MemberBody::from).collect(), next_cursor }))
}

/// Make somebody a member. Who has no account yet chooses a password by the link in the answer.
#[utoipa::path(post, path = "/api/admin/members", operation_id = "addMember", tag = "admin", request_body = NewMemberBody,
    responses((status = 201, body = NewMember), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<MembersWrite>,
    retry: Retry,
    Body(body): Body<NewMemberBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "addMember", &body)?;
    let invited = member::Invited { email: body.email, name: body.name, role: body.role };
    let (row, setup_link, replayed) = member::invite(&cx, invited, identity.as_ref()).await?;
    let revision = row.revision.to_string();
    let mut response = Tagged(revision, NewMember { member: row.into(), setup_link }).into_response();
    *response.status_mut() = StatusCode::CREATED;
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// Read one member.
#[utoipa::path(get, path = "/api/admin/members/{id}", operation_id = "getMember", tag = "admin",
    params(("id" = String, Path, example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = MemberBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<MembersWrite>, Path(id): Path<String>) -> Result<Tagged<MemberBody>, Failed> {
    let row = member::get(&cx, &user(&id)?).await?;
    Ok(Tagged(row.revision.to_string(), row.into()))
}

/// Change a member's role or name. A role holds from the next request on.
#[utoipa::path(patch, path = "/api/admin/members/{id}", operation_id = "updateMember", tag = "admin", request_body = MemberEdit,
    params(("id" = String, Path, example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = MemberBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update(
    cx: Authed<MembersWrite>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<MemberEdit>,
) -> Result<Tagged<MemberBody>, Failed> {
    let edit = member::Edit { name: body.name, role: body.role };
    let row = member::edit(&cx, &user(&id)?, edit, &expected).await?;
    Ok(Tagged(row.revision.to_string(), row.into()))
}

/// Take a member's access away: their sessions end at once. What they did stays in the audit trail.
#[utoipa::path(delete, path = "/api/admin/members/{id}", operation_id = "removeMember", tag = "admin",
    params(("id" = String, Path, example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn remove(
    cx: Authed<MembersWrite>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    member::remove(&cx, &user(&id)?, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
