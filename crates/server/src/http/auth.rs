//! Who calls: the context of a request, built from its credential. The permission stands in the handler's signature.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use domain::id::TenantId;
use domain::permission::{Permission, Role};

use super::problem::{Failed, REQUEST_ID};
use crate::app::tenant::{self, Tenant};
use crate::app::{clock, key, session, setup};
use crate::cx::{Actor, App, Cx, now};
use crate::error::{Code, Error, Result};

/// What a handler requires of its caller, as a type in its signature.
pub trait Require: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! require {
    ($($name:ident),* $(,)?) => {$(
        #[doc = concat!("[`Permission::", stringify!($name), "`].")]
        #[derive(Debug)]
        pub struct $name;

        impl Require for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

require!(
    SignedIn,
    UsageWrite,
    UsageCorrect,
    UsageRead,
    AiRun,
    CustomersWrite,
    TokensMint,
    KeysWrite,
    CustomersRead,
    CustomersManage,
    Impersonate,
    Import,
    RevenueRead,
    AuditRead,
    SettingsWrite,
    MembersWrite,
    SubscriptionWrite,
    CatalogRead,
    CatalogWrite,
    TenantsWrite,
);

/// The context of a caller who has a permission.
pub struct Authed<P>(pub Cx, PhantomData<P>);

impl<P> Deref for Authed<P> {
    type Target = Cx;

    fn deref(&self) -> &Cx {
        &self.0
    }
}

impl<P: Require> FromRequestParts<Arc<App>> for Authed<P> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failed> {
        let mut cx = identify(app, parts).await?;
        if cx.actor == Actor::Anonymous {
            return Err(Error::new(
                Code::Unauthenticated,
                "Send Authorization: Bearer with an access token or an API key.",
            )
            .into());
        }
        cx = unless_suspended(cx, decided_by_gate(P::PERMISSION, parts.uri.path())).await?;
        if !cx.actor.has(P::PERMISSION) {
            // A role that was raised on another node holds here as well.
            let actor = session::as_of_now(app, cx.tenant.id(), &cx.actor, now()).await?;
            let raised = actor.filter(|actor| actor.has(P::PERMISSION));
            cx.actor = raised.ok_or_else(|| forbidden(P::PERMISSION))?;
        }
        if matches!(cx.actor, Actor::Viewer { .. }) && !reads(&parts.method) {
            let detail = "You look as this user does, and change nothing; do it under your own name.";
            return Err(Error::new(Code::Forbidden, detail).into());
        }
        if parts.uri.path() != super::clock::PATH {
            clock::refuse_while_moving(&cx.tenant)?;
        }
        Ok(Self(cx, PhantomData))
    }
}

/// Whether the gate answers a call: it finds out itself when the tenant in memory is not the one of the database. It ends
/// what was begun in any tenant, for AI calls that run on; callers who ask for that are stopped at the door.
fn decided_by_gate(permission: Permission, path: &str) -> bool {
    let ends = ["/api/usage/settle", "/api/usage/release"].contains(&path);
    let files = path.starts_with("/api/files");
    matches!(permission, Permission::UsageWrite | Permission::UsageCorrect | Permission::AiRun) && !ends && !files
        || ["/api/usage", "/api/usage/check"].contains(&path)
}

/// The context, unless the operator has stopped its tenant. Another node may have done so a moment ago, so memory is
/// believed only by calls that the gate looks at, too.
async fn unless_suspended(cx: Cx, by_gate: bool) -> Result<Cx> {
    if by_gate && !cx.tenant.row.suspended {
        return Ok(cx);
    }
    // Boxed, because a request that the gate decides should not carry the room to read a tenant.
    let tenant = Box::pin(tenant::usable(&cx.app, cx.tenant.id())).await?;
    Ok(cx.with_tenant(tenant))
}

/// Whether a request only reads.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The context of anybody, signed in or not, in a tenant as it is now.
pub struct Anyone(pub Cx);

impl FromRequestParts<Arc<App>> for Anyone {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failed> {
        Ok(Self(unless_suspended(identify(app, parts).await?, false).await?))
    }
}

/// The context of a request before anybody has signed in: credentials are not looked at.
pub struct Visitor(pub Cx);

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failed> {
        let tenant = match named_tenant(app, &parts.headers).await? {
            Some(tenant) => tenant,
            None => default_tenant(app).await?,
        };
        Ok(Self(unless_suspended(context(app, tenant, Actor::Anonymous, parts), false).await?))
    }
}

/// The context of somebody with a one-time link, which says itself which tenant it is of: the host name is not looked at.
pub struct Newcomer(pub Cx);

impl FromRequestParts<Arc<App>> for Newcomer {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failed> {
        let platform = app.tenants.get(&app.db, &app.master, &setup::platform()).await?;
        Ok(Self(context(app, platform, Actor::Anonymous, parts)))
    }
}

/// The context of somebody with a secret in the body, which says itself which tenant it is of.
pub struct Holder {
    cx: Cx,
    named: Option<Arc<Tenant>>,
}

impl FromRequestParts<Arc<App>> for Holder {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failed> {
        let Newcomer(cx) = Newcomer::from_request_parts(parts, app).await?;
        Ok(Self { cx, named: named_tenant(app, &parts.headers).await? })
    }
}

impl Holder {
    /// The context in the tenant of a secret, and what stands behind the tenant in it. The tenant that the request names
    /// must be the same; it stands for one that the secret does not have.
    pub async fn of(self, secret: &str) -> Result<(Cx, &str)> {
        let app = &self.cx.app;
        let (tenant, rest) = match (session::of_tenant(secret), &self.named) {
            (Some((tenant, _)), Some(named)) if named.id() != &tenant => return Err(other_tenant()),
            (Some(found), _) => found,
            (None, Some(named)) => (named.id().clone(), secret),
            (None, None) => (default_tenant(app).await?.id().clone(), secret),
        };
        let known = |error: Error| if error.code == Code::UnknownTenant { session::worn() } else { error };
        let tenant = tenant::usable(app, &tenant).await.map_err(known)?;
        Ok((self.cx.with_tenant(tenant), rest))
    }
}

async fn identify(app: &Arc<App>, parts: &Parts) -> Result<Cx> {
    let now = now();
    let found = match bearer(&parts.headers)? {
        Some(credential) => Some(of_bearer(app, credential, &parts.headers, now).await?.ok_or_else(refused)?),
        None => match cookie(&parts.headers) {
            Some(value) => {
                let found = session::of_cookie(app, value, now).await?;
                if found.is_some() {
                    refuse_cross_site(parts)?;
                }
                found
            }
            None => None,
        },
    };
    let named = named_tenant(app, &parts.headers).await?;
    match found {
        None => {
            let tenant = match named {
                Some(tenant) => tenant,
                None => default_tenant(app).await?,
            };
            Ok(context(app, tenant, Actor::Anonymous, parts))
        }
        Some((tenant, actor)) => {
            if named.is_some_and(|named| named.id() != &tenant) {
                return Err(other_tenant());
            }
            let tenant = app.tenants.get(&app.db, &app.master, &tenant).await?;
            Ok(context(app, tenant, actor, parts))
        }
    }
}

/// The refusal of a caller who lacks a permission: what would have it.
fn forbidden(permission: Permission) -> Error {
    let needed = permission.rule();
    let role = needed.role.filter(|_| !needed.keys_only).map(|role| format!("the role {}", role.name()));
    let scope = needed.scope.map(|scope| {
        if needed.keys_only {
            format!("an API key with the scope {}", scope.name())
        } else {
            format!("the scope {}", scope.name())
        }
    });
    let ways: Vec<_> = role.into_iter().chain(scope).collect();
    Error::new(Code::Forbidden, format!("This needs {}.", ways.join(" or ")))
}

fn other_tenant() -> Error {
    let detail = "Use the host name (or X-Tenant) of the tenant that the credential belongs to, or none.";
    Error::new(Code::TenantMismatch, detail)
}

fn refused() -> Error {
    Error::new(Code::Unauthenticated, "The credential is wrong, over or revoked; sign in again or use another key.")
}

fn context(app: &Arc<App>, tenant: Arc<Tenant>, actor: Actor, parts: &Parts) -> Cx {
    let peer = parts.extensions.get::<crate::listen::Peer>();
    Cx {
        app: app.clone(),
        tenant,
        actor,
        now: now(),
        request_id: REQUEST_ID.try_with(Clone::clone).unwrap_or_else(|_| "".into()),
        origin: peer.map_or_else(|| "".into(), |peer| peer.0.clone()),
    }
}

/// The credential of the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let credential = value.to_str().ok().and_then(|text| text.split_once(' '));
    match credential {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(credential.trim())),
        _ => Err(refused()),
    }
}

async fn of_bearer(
    app: &App,
    credential: &str,
    headers: &HeaderMap,
    now: domain::time::Timestamp,
) -> Result<Option<(TenantId, Actor)>> {
    if key::looks_like(credential) {
        return key::verify(app, credential, now).await;
    }
    let Some(verified) = app.tokens.verify(credential, now) else { return Ok(None) };
    if let Some(bound) = &verified.origin
        && !comes_from(headers, bound)
    {
        let detail =
            format!("This token is for pages of {bound} alone; call from there, or mint one without an origin.");
        return Err(Error::new(Code::Unauthenticated, detail));
    }
    let actor = session::of_token(app, &verified.tenant, &verified.actor, now).await?;
    Ok(actor.map(|actor| (verified.tenant.clone(), actor)))
}

/// Whether a page of an origin makes the call. For reading its own origin a browser names no origin, but says so.
fn comes_from(headers: &HeaderMap, origin: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("origin") {
        Some(from) => from == origin,
        None => text("sec-fetch-site") == Some("same-origin") && text("host") == origin.split_once("://").map(|o| o.1),
    }
}

/// The name of the session cookie: over TLS only the very host can set it.
pub fn cookie_name(plain_http: bool) -> &'static str {
    if plain_http { "tg_session" } else { "__Host-tg_session" }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| [cookie_name(true), cookie_name(false)].contains(name)).map(|(_, value)| value)
}

/// A cookie is sent by the browser whoever asks: what changes something must come from our own pages.
fn refuse_cross_site(parts: &Parts) -> Result<()> {
    let safe = reads(&parts.method);
    let socket = parts.headers.contains_key(header::UPGRADE);
    if safe && !socket {
        return Ok(());
    }
    let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let own_page = match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => {
            let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            origin.is_some() && origin == text(header::HOST)
        }
    };
    if own_page {
        Ok(())
    } else {
        Err(Error::new(Code::CrossSite, "Call this from a page of the same origin, or with a Bearer token."))
    }
}

/// The tenant that the request names: by its host name, else by `X-Tenant`.
async fn named_tenant(app: &App, headers: &HeaderMap) -> Result<Option<Arc<Tenant>>> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let by_host = host.strip_suffix(app.options.base_domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
    if let Some(slug) = by_host {
        return by_slug(app, slug).await.map(Some);
    }
    match headers.get("x-tenant") {
        Some(value) => by_slug(app, value.to_str().unwrap_or_default()).await.map(Some),
        None => Ok(None),
    }
}

async fn by_slug(app: &App, slug: &str) -> Result<Arc<Tenant>> {
    let unknown = || Error::new(Code::UnknownTenant, "Check the host name or the X-Tenant header.");
    app.tenants.by_slug(&app.db, &app.master, slug).await?.ok_or_else(unknown)
}

async fn default_tenant(app: &App) -> Result<Arc<Tenant>> {
    match app.tenants.by_slug(&app.db, &app.master, &app.options.default_tenant).await? {
        Some(tenant) => Ok(tenant),
        None => app.tenants.get(&app.db, &app.master, &setup::platform()).await,
    }
}

/// The context behind a ticket of a live connection.
pub async fn of_ticket(app: &Arc<App>, ticket: &str, parts: &Parts) -> Result<Cx> {
    let verified = app.tokens.spend(ticket, now()).ok_or_else(refused)?;
    if named_tenant(app, &parts.headers).await?.is_some_and(|named| named.id() != &verified.tenant) {
        return Err(other_tenant());
    }
    let actor = session::of_token(app, &verified.tenant, &verified.actor, now()).await?.ok_or_else(refused)?;
    let tenant = tenant::usable(app, &verified.tenant).await?;
    Ok(context(app, tenant, actor, parts))
}

/// A caller who was let in, as they stand now; none when they may not be here any more. Fails when that cannot be known.
pub async fn still_here(cx: &Cx) -> Result<Option<Actor>> {
    // What memory knows of the tenant is kept fresh for live connections.
    let tenant = cx.app.tenants.get(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    if tenant.row.suspended {
        return Ok(None);
    }
    let key_is_good = match cx.actor.key() {
        Some(key) => key::is_good(cx, key).await?,
        None => true,
    };
    let good = match &cx.actor {
        Actor::Key { .. } => key_is_good,
        Actor::Browser { until, .. } => key_is_good && now() < *until,
        // What somebody who works for the tenant may see holds at once; only users of customers are believed for a while.
        Actor::User { role, .. } if *role > Role::User => {
            return session::as_of_now(&cx.app, cx.tenant.id(), &cx.actor, now()).await;
        }
        Actor::User { .. } | Actor::Viewer { .. } | Actor::System | Actor::Anonymous => {
            return session::of_token(&cx.app, cx.tenant.id(), &cx.actor, now()).await;
        }
    };
    Ok(good.then(|| cx.actor.clone()))
}
