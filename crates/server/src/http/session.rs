//! Signing in, staying signed in, signing out.

use super::wire::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use store::user::UserRow;
use utoipa::ToSchema;

use super::auth::{Authed, Holder, Newcomer, SignedIn, Visitor, cookie_name};
use super::body::Body;
use super::problem::{Failed, Problem};
use crate::app::session::{self, COOKIE_SECONDS};
use crate::app::token::ACCESS_SECONDS;
use crate::app::{member, setup};
use crate::cx::{Actor, Cx};
use crate::error::{Code, Error};

/// E-mail and password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginBody {
    #[schema(example = "near@halisoft.example")]
    email: String,
    #[schema(example = "correct horse battery staple")]
    password: String,
    /// `cookie` keeps the session in an HttpOnly cookie instead of answering tokens: for pages of this server.
    session: Option<SessionKind>,
}

/// How a session is kept.
#[derive(Deserialize, ToSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// In an HttpOnly cookie.
    Cookie,
    /// By tokens in the answer.
    Token,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterBody {
    #[schema(example = "ann@example.com")]
    email: String,
    /// 8 to 128 characters.
    #[schema(example = "correct horse battery staple")]
    password: String,
    #[schema(example = "Ann Example")]
    name: Option<String>,
}

/// The same whether or not the address was known.
#[derive(Serialize, ToSchema)]
pub struct Registered {
    /// Always true.
    registered: bool,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshBody {
    #[schema(example = "4Xk2vQ9mT7c1Zr0bN6pW")]
    refresh_token: String,
}

/// A person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[schema(example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(example = "near@halisoft.example")]
    email: String,
    #[schema(required, example = "Ann Example")]
    name: Option<String>,
    #[schema(value_type = super::names::RoleName, example = "user")]
    role: String,
    /// The customer that the person acts for; null for people of the tenant itself.
    #[schema(required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<String>,
    /// The tenant's name in URLs.
    #[schema(example = "halisoft")]
    tenant: String,
}

impl User {
    /// A user's row on the wire.
    pub fn of(row: UserRow, cx: &Cx) -> Self {
        let tenant = cx.tenant.row.slug.clone();
        Self { id: row.user_id, email: row.email, name: row.name, role: row.role, customer: row.customer_id, tenant }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionBody {
    /// For `Authorization: Bearer`; null when the session is kept in a cookie.
    #[schema(required, example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJl")]
    access_token: Option<String>,
    /// For `POST /api/auth/refresh`, once, which knows its tenant by it; null when the session is kept in a cookie.
    #[schema(required, example = "4Xk2vQ9mT7c1Zr0bN6pW")]
    refresh_token: Option<String>,
    /// Seconds until the access token (or the cookie) ends.
    #[schema(example = 900)]
    expires_in: i64,
    user: User,
}

/// Who is signed in, and where.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    user: User,
    tenant: TenantBody,
    /// Who really looks, when somebody of the tenant looks as this user does; null otherwise. Show it.
    #[schema(required)]
    impersonated_by: Option<User>,
}

/// A tenant, as its users see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantBody {
    /// Its name in URLs.
    #[schema(example = "halisoft")]
    slug: String,
    /// What people read.
    #[schema(example = "HaliSoft")]
    name: String,
    #[schema(value_type = super::names::TenantModeName, example = "sandbox")]
    mode: String,
    #[schema(example = "UTC")]
    timezone: String,
    #[schema(example = "USD")]
    currency: String,
}

impl TenantBody {
    /// The tenant of a call.
    pub fn of(cx: &Cx) -> Self {
        let row = &cx.tenant.row;
        Self {
            slug: row.slug.clone(),
            name: row.name.clone(),
            mode: row.mode.clone(),
            timezone: row.timezone.clone(),
            currency: row.currency.clone(),
        }
    }
}

/// Sign in.
#[utoipa::path(post, path = "/api/auth/login", operation_id = "login", security(()), tag = "auth", request_body = LoginBody,
    responses((status = 200, body = SessionBody), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub async fn login(Visitor(cx): Visitor, Body(body): Body<LoginBody>) -> Result<Response, Failed> {
    let cookie = body.session == Some(SessionKind::Cookie);
    let signed_in = session::login(&cx, &body.email, &body.password, cookie).await?;
    Ok(answer(&cx, signed_in))
}

fn answer(cx: &Cx, signed_in: session::SignedIn) -> Response {
    let (access_token, refresh_token) = signed_in.tokens.unzip();
    let expires_in = if signed_in.cookie.is_some() { COOKIE_SECONDS } else { ACCESS_SECONDS };
    let body = SessionBody { access_token, refresh_token, expires_in, user: User::of(signed_in.user, cx) };
    let mut response = Json(body).into_response();
    if let Some(value) = signed_in.cookie {
        set_cookie(response.headers_mut(), cx, &value, COOKIE_SECONDS);
    }
    response
}

fn set_cookie(headers: &mut HeaderMap, cx: &Cx, value: &str, seconds: i64) {
    let plain = cx.app.options.plain_http;
    let secure = if plain { "" } else { "; Secure" };
    let cookie = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", cookie_name(plain));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Register. The answer is the same whether or not the address is known.
#[utoipa::path(post, path = "/api/auth/register", operation_id = "register", security(()), tag = "auth", request_body = RegisterBody,
    responses((status = 201, body = Registered, description = "Registered; sign in next."), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn register(Visitor(cx): Visitor, Body(body): Body<RegisterBody>) -> Result<Response, Failed> {
    session::register(&cx, &body.email, &body.password, body.name).await?;
    Ok((StatusCode::CREATED, Json(Registered { registered: true })).into_response())
}

/// Exchange a refresh token for a new pair. A token that comes twice ends its session.
#[utoipa::path(post, path = "/api/auth/refresh", operation_id = "refreshSession", security(()), tag = "auth", request_body = RefreshBody,
    responses((status = 200, body = SessionBody), (status = 401, body = Problem)))]
pub async fn refresh(holder: Holder, Body(body): Body<RefreshBody>) -> Result<Response, Failed> {
    let (cx, secret) = holder.of(&body.refresh_token).await?;
    let signed_in = session::refresh(&cx, secret).await?;
    Ok(answer(&cx, signed_in))
}

/// Sign out: the session and every token made from it end.
#[utoipa::path(post, path = "/api/auth/logout", operation_id = "logout", tag = "auth", responses((status = 204), (status = 401, body = Problem)))]
pub async fn logout(cx: Authed<SignedIn>) -> Result<Response, Failed> {
    session::logout(&cx).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(response.headers_mut(), &cx, "", 0);
    Ok(response)
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/me", operation_id = "getMe", tag = "auth", responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub async fn me(cx: Authed<SignedIn>) -> Result<Json<Me>, Failed> {
    let user = caller(&cx).await?.ok_or_else(|| Error::new(Code::Forbidden, "Only people have a profile."))?;
    let impersonated_by = if let Actor::Viewer { by, .. } = &cx.actor {
        session::find_user(&cx, by).await?.map(|row| User::of(row, &cx))
    } else {
        None
    };
    Ok(Json(Me { user, tenant: TenantBody::of(&cx), impersonated_by }))
}

/// The person who calls, if it is one.
pub async fn caller(cx: &Cx) -> Result<Option<User>, Failed> {
    let (Actor::User { user, .. } | Actor::Viewer { user, .. }) = &cx.actor else { return Ok(None) };
    Ok(session::find_user(cx, user).await?.map(|row| User::of(row, cx)))
}

/// The token of a one-time link, and who uses it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetupBody {
    /// The end of the link.
    #[schema(example = "4Xk2vQ9mT7c1")]
    token: String,
    #[schema(example = "operator@example.com")]
    email: String,
    /// 8 to 128 characters.
    #[schema(example = "correct horse battery staple")]
    password: String,
}

/// The operator or member is there.
#[derive(Serialize, ToSchema)]
pub struct OperatorMade {
    /// Always true.
    created: bool,
    /// How to go on, in words.
    #[schema(
        example = "Sign in (POST /api/auth/login with X-Tenant: platform), then make a tenant: POST /api/operator/tenants."
    )]
    next: &'static str,
}

/// Use a one-time link: the one that `serve` printed makes the first operator, the one of an invited member chooses
/// their password.
#[utoipa::path(post, path = "/api/setup", operation_id = "makeFirstOperator", security(()), tag = "auth", request_body = SetupBody,
    responses((status = 201, body = OperatorMade, description = "Made; sign in at the member's tenant, or at `platform` as the first operator."), (status = 403, body = Problem)))]
pub async fn set_up(Newcomer(cx): Newcomer, Body(body): Body<SetupBody>) -> Result<Response, Failed> {
    let SetupBody { token, email, password } = body;
    let next = if member::is_link(&token) {
        member::accept(&cx.app, &token, &email, &password).await?;
        "Sign in where you were invited: POST /api/auth/login."
    } else {
        setup::use_setup_link(&cx, &token, &email, &password).await?;
        "Sign in (POST /api/auth/login with X-Tenant: platform), then make a tenant: POST /api/operator/tenants."
    };
    Ok((StatusCode::CREATED, Json(OperatorMade { created: true, next })).into_response())
}
