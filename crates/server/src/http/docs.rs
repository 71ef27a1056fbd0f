//! The API's own description: the document, a page that shows it, and a page for each kind of problem.

use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;
use utoipa::Modify;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

use super::params::Path;
use super::problem::{Failed, MEDIA_TYPE as PROBLEM};
use crate::error::{Code, Error};

const JSON: &str = "application/json";

/// Adds the two ways to sign in.
pub struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let (tls, plain) = (super::auth::cookie_name(false), super::auth::cookie_name(true));
        let described = format!(
            "For pages of this server. A server on plain http of this machine calls it `{plain}`, since browsers take \
             `{tls}` over TLS alone."
        );
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(tls, &described));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// Writes what holds for every operation: refusals are problems, and each answer says in a word what it is.
pub fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
        for operation in operations {
            let other =
                ResponseBuilder::new().description("Any other refusal or failure.").content(PROBLEM, problem_body());
            operation.responses.responses.insert("default".to_owned(), RefOr::T(other.build()));
            for (status, answer) in &mut operation.responses.responses {
                if let RefOr::T(answer) = answer {
                    complete_answer(status, answer);
                }
            }
        }
    }
}

fn complete_answer(status: &str, answer: &mut utoipa::openapi::Response) {
    if answer.description.is_empty() {
        let known = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        known.and_then(|status| status.canonical_reason()).unwrap_or_default().clone_into(&mut answer.description);
    }
    let problem = RefOr::T(problem_body());
    if answer.content.get(JSON) == Some(&problem) {
        answer.content.clear();
        answer.content.insert(PROBLEM.to_owned(), problem);
    }
}

fn problem_body() -> Content {
    Content::new(Some(Ref::from_schema_name("Problem")))
}

/// The OpenAPI document.
pub fn document(document: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")], document.to_owned())
        .into_response()
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
code,pre{font-family:ui-monospace,monospace;font-size:.9em}summary{cursor:pointer;padding:.35rem 0}\
h1{line-height:1.2}a{color:light-dark(#0f5f59,#6ee7d8)}\
input{font:inherit;color:inherit;background:none;box-sizing:border-box;width:100%;max-width:24rem;padding:.5rem .75rem;border:1px solid #888;border-radius:8px}\
button{font:inherit;font-weight:600;cursor:pointer;padding:.5rem 1.25rem;border:1px solid #0f766e;border-radius:8px;background:#0f766e;color:#fff}\
.m{display:inline-block;min-width:4.5rem;font-weight:700}pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:6px}";

/// The document as a page, without a script or a foreign host.
pub async fn page() -> Response {
    let document: Value = serde_json::from_str(&super::openapi()).unwrap_or_default();
    let mut html = String::from(
        "<h1>API</h1><p>The machine-readable form is <a href=\"/api/openapi.json\">openapi.json</a>. Errors are <code>application/problem+json</code>.</p>",
    );
    for (path, operations) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary =
                ["summary", "description"].iter().find_map(|name| operation.get(name)?.as_str()).unwrap_or_default();
            let shown = serde_json::to_string_pretty(operation).unwrap_or_default();
            let _infallible = write!(
                html,
                "<details><summary><span class=m>{}</span> <code>{}</code> {}</summary><pre>{}</pre></details>",
                escape(&method.to_uppercase()),
                escape(path),
                escape(summary),
                escape(&shown)
            );
        }
    }
    html.push_str("<h2>Schemas</h2>");
    for (name, schema) in document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten() {
        let shown = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _infallible = write!(
            html,
            "<details><summary><code>{}</code></summary><pre>{}</pre></details>",
            escape(name),
            escape(&shown)
        );
    }
    whole("API", &html)
}

/// What a kind of problem means.
pub async fn problem(Path(code): Path<String>) -> Result<Response, Failed> {
    let known = Code::ALL.iter().map(|code| code.row()).find(|(_, name, _)| *name == code);
    let (status, name, title) = known.ok_or_else(|| Error::new(Code::NotFound, "There is no such kind of problem."))?;
    let text = format!(
        "<h1>{}</h1><p>Code <code>{}</code>, HTTP status {status}.</p><p>The problem's <code>detail</code> says what to do in the case at hand.</p>",
        escape(title),
        escape(name)
    );
    Ok(whole(title, &text))
}

pub fn whole(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{}</title><style>{STYLE}</style><body><main>{body}</main>",
        escape(title)
    );
    let mut response = Html(html).into_response();
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// A text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
