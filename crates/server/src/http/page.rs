//! The dashboards: embedded, pre-compressed, with the tenant's brand in the page so that nothing flashes.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use serde_json::json;

use super::auth::Anyone;
use super::docs::{escape, whole};
use super::problem::Failed;
use super::session::{TenantBody, caller};
use crate::app::{demo, seal};
use crate::cx::Cx;
use crate::error::{Code, Error};

/// What the web build made; a placeholder page where it has not run.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Assets;

/// The text in our pages that the boot data replaces.
const BOOT: &str = "__TOLLGATE_BOOT__";

/// A file with a hashed name: it never changes.
pub async fn asset(uri: Uri, headers: HeaderMap) -> Result<Response, Failed> {
    let path = uri.path().trim_start_matches('/');
    let missing = || Error::new(Code::NotFound, "Reload the page; this file belongs to another version.");
    let accepts_br = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|part| part.trim().split(';').next() == Some("br")));
    let packed = Assets::get(&format!("{path}.br")).filter(|_| accepts_br);
    let encoding = packed.is_some().then_some("br");
    let file = packed.or_else(|| Assets::get(path)).ok_or_else(missing)?;
    let mut response = file.data.into_response();
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        own.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Ok(response)
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The pages of the portal; `*` stands for one name. The admin's are its own business.
const PAGES: [&str; 8] = [
    "/",
    "/sign-in",
    "/setup",
    "/playground",
    "/playground/*",
    "/plans",
    "/notifications",
    "/notifications/preferences",
];

fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

fn is_page(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let fits = |page: &&str| {
        let (mut wanted, mut given) = (page.trim_end_matches('/').split('/'), path.split('/'));
        let same = wanted.by_ref().zip(given.by_ref()).all(|(wanted, given)| wanted == "*" || wanted == given);
        same && page.trim_end_matches('/').matches('/').count() == path.matches('/').count()
    };
    is_admin(path) || PAGES.iter().any(fits)
}

/// What crawlers may read: pages, but nothing of the API.
pub async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /api/\nDisallow: /admin\n"
}

/// Every other path: a page of the portal or the admin, unless it looks like the API. What is none is not found: the
/// portal says so to a browser, a problem to everybody else.
pub async fn page(
    cx: Result<Anyone, Failed>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let path = uri.path();
    if path.starts_with("/api") || path.starts_with("/v1") {
        return Err(Error::new(Code::NotFound, "See /api/docs for what there is.").into());
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let browser = accept.contains("text/html");
    let cx = match cx {
        Ok(Anyone(cx)) => cx,
        Err(Failed(error, _)) if error.code == Code::TenantSuspended && browser => return Ok(suspended(&error)),
        Err(failed) => return Err(failed),
    };
    let found = is_page(path);
    if !found && !browser {
        return Err(Error::new(Code::NotFound, "There is no such page; the API is described at /api/docs.").into());
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(Error::new(Code::MethodNotAllowed, "Pages can only be read; the API is under /api.").into());
    }
    let file = if is_admin(path) { "admin.html" } else { "index.html" };
    let mut response = app_page(&cx, file).await?;
    if !found {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// The page of a tenant that the operator has stopped: it needs nothing but itself.
fn suspended(error: &Error) -> Response {
    let (status, _, title) = error.code.row();
    let mut response = whole(title, &format!("<h1>{}</h1><p>{}</p>", escape(title), escape(&error.detail)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn app_page(cx: &Cx, file: &str) -> Result<Response, Failed> {
    let Some(html) = Assets::get(file).and_then(|file| String::from_utf8(file.data.into_owned()).ok()) else {
        let text = "The dashboards are not part of this build. Run `make build` (Node is needed) and start again.\n";
        return Ok((StatusCode::SERVICE_UNAVAILABLE, text).into_response());
    };
    let nonce = seal::random_text()?;
    let boot = boot(cx, &nonce).await?;
    let mut response = html.replace(BOOT, &boot).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(&nonce, cx.tenant.brand().logo.as_deref())) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

fn content_security_policy(nonce: &str, logo: Option<&str>) -> String {
    // The logo may come from the tenant's own site.
    let host = logo.and_then(|logo| logo.strip_prefix("https://")?.split(['/', '?', '#']).next());
    let logo_origin = host.map_or_else(String::new, |host| format!(" https://{host}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:{logo_origin}; \
         font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
         object-src 'none'; frame-ancestors 'none'"
    )
}

async fn boot(cx: &Cx, nonce: &str) -> Result<String, Failed> {
    let user = caller(cx).await?;
    let addresses = if cx.app.options.demo { demo::addresses(&cx.tenant.row.slug) } else { Vec::new() };
    let boot = json!({
        "nonce": nonce,
        "tenant": TenantBody::of(cx),
        "brand": cx.tenant.brand(),
        "locale": cx.tenant.settings().locale,
        "demo": cx.app.options.demo,
        "demoUsers": addresses,
        "user": user,
    });
    // Inside a script element only `<` could end it.
    Ok(boot.to_string().replace('<', "\\u003c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_its_whole_path() {
        for page in [
            "/",
            "/sign-in",
            "/setup",
            "/playground",
            "/playground/",
            "/playground/invoice-ocr",
            "/plans",
            "/notifications",
            "/notifications/preferences",
            "/admin",
            "/admin/x/y",
        ] {
            assert!(is_page(page), "{page}");
        }
        for other in ["/nope", "/sign-in/x", "/playground/a/b", "/administrator", "/favicon.ico", "//", "/index.html"] {
            assert!(!is_page(other), "{other}");
        }
    }

    #[test]
    fn every_route_of_the_portal_is_a_page() {
        let router = include_str!("../../../../web/app/src/portal/router.tsx");
        let paths: Vec<_> = router.split("path: \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
        assert!(paths.len() >= PAGES.len(), "{paths:?}");
        for path in paths {
            assert!(is_page(&path.replace('$', "")), "{path} of the router is not among the pages");
        }
    }
}
