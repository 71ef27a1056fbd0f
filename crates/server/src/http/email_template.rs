//! Templates of mails: read, changed, taken back, previewed and tried.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::{Authed, SettingsWrite};
use super::body::Body;
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, NoFilter, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::mail::edit::{self, Draft, View};
use crate::cx::Cx;

/// A template, without its texts.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailTemplateRow {
    #[schema(value_type = super::names::EmailKindName, example = "welcome")]
    kind: &'static str,
    #[schema(example = "en")]
    language: String,
    /// `security` and `money` reach everybody, `optional` whoever wants it.
    #[schema(value_type = super::names::EmailCategoryName, example = "optional")]
    category: &'static str,
    #[schema(example = "Welcome to {{ brand.name }}")]
    subject: String,
    /// Whether it is the tenant's own, and not the one that comes with the product.
    own: bool,
}

impl From<View> for EmailTemplateRow {
    fn from(view: View) -> Self {
        Self {
            kind: view.kind.name(),
            language: view.language,
            category: view.kind.category().name(),
            subject: view.template.subject,
            own: view.own,
        }
    }
}

/// Templates.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailTemplates {
    data: Vec<EmailTemplateRow>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// What a template may name.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailVariable {
    /// Written as `{{ brand.name }}`; of a list as `{% for item in features %}{{ item.name }}{% endfor %}`.
    #[schema(example = "brand.name")]
    name: String,
    /// What it may be; empty for a list.
    #[schema(example = "HaliSoft")]
    example: String,
    /// What each item of a list has; empty for a text.
    #[schema(example = json!([]))]
    items: Vec<String>,
}

impl EmailVariable {
    fn of((name, value): (String, Value)) -> Self {
        let first = value.get(0).and_then(Value::as_object);
        let items = first.map(|item| item.keys().cloned().collect()).unwrap_or_default();
        Self { name, example: value.as_str().unwrap_or_default().to_owned(), items }
    }
}

/// A template, whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailTemplate {
    #[serde(flatten)]
    row: EmailTemplateRow,
    /// What stands in the brand's frame, or, with an `<html>` of its own, the whole.
    #[schema(example = "<p>Hello {{ recipient.name }},</p>")]
    html: String,
    #[schema(example = "Hello {{ recipient.name }},")]
    text: String,
    variables: Vec<EmailVariable>,
}

/// A template to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailTemplateBody {
    #[schema(example = "Welcome to {{ brand.name }}")]
    subject: String,
    #[schema(example = "<p>Hello {{ recipient.name }},</p>")]
    html: String,
    #[schema(example = "Hello {{ recipient.name }},")]
    text: String,
}

/// What to preview; absent parts are as they are kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailDraft {
    #[schema(example = "Welcome to {{ brand.name }}")]
    subject: Option<String>,
    #[schema(example = "<p>Hello {{ recipient.name }},</p>")]
    html: Option<String>,
    #[schema(example = "Hello {{ recipient.name }},")]
    text: Option<String>,
}

/// What to try on whom.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailTest {
    /// A member's address; the caller's own by default.
    #[schema(example = "admin@halisoft.example")]
    to: Option<String>,
    #[schema(example = "Welcome to {{ brand.name }}")]
    subject: Option<String>,
    #[schema(example = "<p>Hello {{ recipient.name }},</p>")]
    html: Option<String>,
    #[schema(example = "Hello {{ recipient.name }},")]
    text: Option<String>,
}

/// A template filled in with an example.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailPreview {
    #[schema(example = "Welcome to HaliSoft")]
    subject: String,
    /// Show it in a frame without rights of its own.
    #[schema(example = "<!doctype html><html lang=\"en\">…</html>")]
    html: String,
    #[schema(example = "Hello Ann Example,")]
    text: String,
}

/// The mail that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailSentTest {
    /// `GET /api/admin/emails/{id}` shows what became of it.
    #[schema(example = "eml_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    email: String,
}

fn tagged(cx: &Cx, view: View) -> Result<Tagged<EmailTemplate>, Failed> {
    let variables = edit::variables(cx, view.kind, &view.language)?;
    let variables = variables.into_iter().map(EmailVariable::of).collect();
    let (html, text) = (view.template.html.clone(), view.template.text.clone());
    Ok(Tagged(view.revision.to_string(), EmailTemplate { html, text, variables, row: view.into() }))
}

/// List the templates: English and German for every kind, and whatever languages the tenant has added.
#[utoipa::path(get, path = "/api/admin/email-templates", operation_id = "listEmailTemplates", tag = "admin", params(ListQuery),
    responses((status = 200, body = EmailTemplates), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<SettingsWrite>,
    List(query, NoFilter {}): List<NoFilter>,
) -> Result<Json<EmailTemplates>, Failed> {
    let wanted = query.wanted(&["kind"])?;
    let place = |view: &View| (view.kind.name().to_owned(), view.language.clone());
    let text = |view: &View| format!("{} {} {}", view.kind.name(), view.language, view.template.subject);
    let Page { data, next_cursor } = Page::within(edit::list(&cx).await?, &wanted, place, text);
    Ok(Json(EmailTemplates { data: data.into_iter().map(EmailTemplateRow::from).collect(), next_cursor }))
}

/// Read a template, with what it may name.
#[utoipa::path(get, path = "/api/admin/email-templates/{kind}/{language}", operation_id = "getEmailTemplate", tag = "admin",
    params(("kind" = String, Path, example = "welcome"), ("language" = String, Path, example = "en")),
    responses((status = 200, body = EmailTemplate), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(
    cx: Authed<SettingsWrite>,
    Path((kind, language)): Path<(String, String)>,
) -> Result<Tagged<EmailTemplate>, Failed> {
    let (kind, language) = edit::named(&kind, &language)?;
    tagged(&cx, edit::get(&cx, kind, &language).await?)
}

/// Keep a template of the tenant's own. The next mail of its kind has it.
#[utoipa::path(put, path = "/api/admin/email-templates/{kind}/{language}", operation_id = "putEmailTemplate", tag = "admin", request_body = EmailTemplateBody,
    params(("kind" = String, Path, example = "welcome"), ("language" = String, Path, example = "en"), ("If-Match" = Option<String>, Header, example = "\"0\"")),
    responses((status = 200, body = EmailTemplate), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn put(
    cx: Authed<SettingsWrite>,
    Path((kind, language)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<EmailTemplateBody>,
) -> Result<Tagged<EmailTemplate>, Failed> {
    let (kind, language) = edit::named(&kind, &language)?;
    let EmailTemplateBody { subject, html, text } = body;
    let template = edit::Template { subject, html, text };
    tagged(&cx, edit::put(&cx, (kind, &language), template, &expected).await?)
}

/// Take the tenant's own template away: the one that comes with the product holds again.
#[utoipa::path(delete, path = "/api/admin/email-templates/{kind}/{language}", operation_id = "resetEmailTemplate", tag = "admin",
    params(("kind" = String, Path, example = "welcome"), ("language" = String, Path, example = "en"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn reset(
    cx: Authed<SettingsWrite>,
    Path((kind, language)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    let (kind, language) = edit::named(&kind, &language)?;
    edit::reset(&cx, (kind, &language), &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fill a template in with an example, as it is kept or as it might be.
#[utoipa::path(post, path = "/api/admin/email-templates/{kind}/{language}/preview", operation_id = "previewEmailTemplate", tag = "admin", request_body = EmailDraft,
    params(("kind" = String, Path, example = "welcome"), ("language" = String, Path, example = "en")),
    responses((status = 200, body = EmailPreview), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn preview(
    cx: Authed<SettingsWrite>,
    Path((kind, language)): Path<(String, String)>,
    Body(body): Body<EmailDraft>,
) -> Result<Json<EmailPreview>, Failed> {
    let (kind, language) = edit::named(&kind, &language)?;
    let EmailDraft { subject, html, text } = body;
    let written = edit::preview(&cx, (kind, &language), Draft { subject, html, text }).await?;
    Ok(Json(EmailPreview { subject: written.subject, html: written.html, text: written.text }))
}

/// Send a template, filled in with an example, to the caller or to another member.
#[utoipa::path(post, path = "/api/admin/email-templates/{kind}/{language}/test", operation_id = "testEmailTemplate", tag = "admin", request_body = EmailTest,
    params(("kind" = String, Path, example = "welcome"), ("language" = String, Path, example = "en")),
    responses((status = 202, body = EmailSentTest), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn test(
    cx: Authed<SettingsWrite>,
    Path((kind, language)): Path<(String, String)>,
    Body(body): Body<EmailTest>,
) -> Result<Response, Failed> {
    let (kind, language) = edit::named(&kind, &language)?;
    let EmailTest { to, subject, html, text } = body;
    let email = edit::test(&cx, (kind, &language), (to, Draft { subject, html, text })).await?;
    Ok((StatusCode::ACCEPTED, Json(EmailSentTest { email })).into_response())
}
