//! The outbox, and how the tenant sends.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::mail::{EmailRow, Filter};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, CustomersRead, SettingsWrite};
use super::body::{Body, given};
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::mail::account::{self, Edit, View};
use crate::app::mail::outbox::{self, Whole};
use crate::app::patch::Patch;

/// Where a mail stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmailState {
    /// It waits, or is tried again.
    Queued,
    /// A server took it.
    Sent,
    /// There was no server to send it through.
    Kept,
    /// A server refused it for good.
    Bounced,
    /// It was given up.
    Dead,
}

impl EmailState {
    const fn name(self) -> &'static str {
        let [queued, sent, kept, bounced, dead] = outbox::STATES;
        match self {
            Self::Queued => queued,
            Self::Sent => sent,
            Self::Kept => kept,
            Self::Bounced => bounced,
            Self::Dead => dead,
        }
    }
}

/// A mail, without its texts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailBody {
    #[schema(example = "eml_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = super::names::EmailKindName, example = "reset_password")]
    kind: String,
    #[schema(example = "ann@example.com")]
    to: String,
    #[schema(example = "en")]
    language: String,
    #[schema(example = "Choose a new password for HaliSoft")]
    subject: String,
    #[schema(value_type = EmailState)]
    state: String,
    /// How often it was tried.
    #[schema(example = 1)]
    attempts: i64,
    /// What the last attempt came to; null once it was sent.
    #[schema(required, example = json!(null))]
    last_error: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    /// When it is tried next; null unless it waits.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-11-22T10:00:01Z")]
    sent_at: Option<Timestamp>,
}

impl From<&EmailRow> for EmailBody {
    fn from(row: &EmailRow) -> Self {
        Self {
            id: row.email_id.clone(),
            kind: row.kind.clone(),
            to: row.recipient.clone(),
            language: row.language.clone(),
            subject: row.subject.clone(),
            state: row.state.clone(),
            attempts: row.attempts,
            last_error: row.last_error.clone(),
            created_at: Timestamp::from_micros(row.created_at),
            next_attempt_at: (row.state == "queued").then(|| Timestamp::from_micros(row.next_at)),
            sent_at: row.sent_at.map(Timestamp::from_micros),
        }
    }
}

/// Mails.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailsBody {
    data: Vec<EmailBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// A header.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailHeader {
    #[schema(example = "From")]
    name: &'static str,
    #[schema(example = "HaliSoft <no-reply@halisoft.example>")]
    value: String,
}

/// A mail, whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeEmail {
    #[serde(flatten)]
    email: EmailBody,
    headers: Vec<EmailHeader>,
    /// A link that opens somebody's account is shown to admins alone, and only of a mail that had no server to go
    /// through; elsewhere its end is `…`. Show it in a frame without rights of its own.
    #[schema(example = "<!doctype html><html lang=\"en\">…</html>")]
    html: String,
    #[schema(example = "Hello Ann,\n\n…")]
    text: String,
}

impl From<Whole> for WholeEmail {
    fn from(whole: Whole) -> Self {
        let email = EmailBody::from(&whole.row);
        let headers = whole.headers.into_iter().map(|(name, value)| EmailHeader { name, value }).collect();
        Self { email, headers, html: whole.row.html, text: whole.row.body }
    }
}

/// Which mails are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EmailQuery {
    /// Those that stand so alone.
    #[param(example = "queued")]
    state: Option<EmailState>,
    /// Those of a kind alone.
    #[param(value_type = Option<super::names::EmailKindName>, example = "reset_password")]
    kind: Option<String>,
}

/// List mails: the newest first. `q` looks into addresses and subjects. They are kept for 90 days.
#[utoipa::path(get, path = "/api/admin/emails", operation_id = "listEmails", tag = "admin", params(ListQuery, EmailQuery),
    responses((status = 200, body = EmailsBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<CustomersRead>,
    List(query, filter): List<EmailQuery>,
) -> Result<Json<EmailsBody>, Failed> {
    let wanted = query.wanted(&["-createdAt"])?;
    let state = filter.state.map_or("", EmailState::name).to_owned();
    let filter = Filter { state, kind: filter.kind.unwrap_or_default() };
    let rows = outbox::list(&cx, &filter, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| (String::new(), row.email_id.clone()));
    Ok(Json(EmailsBody { data: data.iter().map(EmailBody::from).collect(), next_cursor }))
}

/// Read one mail, whole.
#[utoipa::path(get, path = "/api/admin/emails/{id}", operation_id = "getEmail", tag = "admin",
    params(("id" = String, Path, example = "eml_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = WholeEmail), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CustomersRead>, Path(id): Path<String>) -> Result<Json<WholeEmail>, Failed> {
    Ok(Json(outbox::get(&cx, &id).await?.into()))
}

/// Send a mail that was not sent: kept, bounced, given up, or waiting for its next attempt.
#[utoipa::path(post, path = "/api/admin/emails/{id}/retry", operation_id = "retryEmail", tag = "admin",
    params(("id" = String, Path, example = "eml_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = WholeEmail), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn retry(cx: Authed<SettingsWrite>, Path(id): Path<String>) -> Result<Json<WholeEmail>, Failed> {
    Ok(Json(outbox::retry(&cx, &id).await?.into()))
}

/// How the connection to a mail server is secured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Plain at first, then TLS or nothing at all.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: for a server of this machine.
    None,
}

impl MailSecurity {
    const fn name(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }
}

/// Through which server mail goes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailThrough {
    /// The tenant's own.
    Tenant,
    /// The platform's.
    Platform,
    /// None: mails stay in the outbox.
    None,
}

/// How the tenant sends. The password is never shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailSettingsBody {
    through: MailThrough,
    /// The tenant's own server; null to send through the platform's.
    #[schema(required, example = "smtp.example.com")]
    host: Option<String>,
    /// Null for the usual one: 587 with `starttls`, 465 with `tls`.
    #[schema(required, example = 587)]
    port: Option<i64>,
    #[schema(value_type = MailSecurity)]
    security: String,
    #[schema(required, example = "halisoft")]
    username: Option<String>,
    has_password: bool,
    /// A certificate, as PEM, that is trusted besides the public ones.
    #[schema(required, example = json!(null))]
    ca: Option<String>,
    /// The address that mail comes from, through the tenant's own server.
    #[schema(required, example = "hello@halisoft.example")]
    from_address: Option<String>,
    /// The name that mail comes from; the brand's when null.
    #[schema(required, example = "HaliSoft")]
    from_name: Option<String>,
    /// Where answers go; the support address when null.
    #[schema(required, example = json!(null))]
    reply_to: Option<String>,
    /// The sender as the next mail will have it.
    #[schema(example = "HaliSoft <hello@halisoft.example>")]
    sender: String,
}

/// What changes; absent fields stay as they are, null takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailSettingsPatch {
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "smtp.example.com")]
    host: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<i64>, example = 587)]
    port: Patch<i64>,
    #[serde(default, deserialize_with = "given")]
    security: Option<MailSecurity>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "halisoft")]
    username: Patch<String>,
    /// It is kept encrypted and not shown again. Another server needs it again.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "correct horse battery staple")]
    password: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----")]
    ca: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "hello@halisoft.example")]
    from_address: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "HaliSoft")]
    from_name: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "help@halisoft.example")]
    reply_to: Patch<String>,
}

fn tagged(View { row, sender }: View) -> Tagged<EmailSettingsBody> {
    let through = match (&row.host, &sender.account) {
        (Some(_), _) => MailThrough::Tenant,
        (None, Some(_)) => MailThrough::Platform,
        (None, None) => MailThrough::None,
    };
    let from = format!("{} <{}>", sender.from.name.unwrap_or_default(), sender.from.address);
    let body = EmailSettingsBody {
        through,
        host: row.host,
        port: row.port,
        security: row.security,
        username: row.username,
        has_password: row.password_sealed.is_some(),
        ca: row.ca_pem,
        from_address: row.from_address,
        from_name: row.from_name,
        reply_to: row.reply_to,
        sender: from,
    };
    Tagged(row.revision.to_string(), body)
}

/// Read how the tenant sends.
#[utoipa::path(get, path = "/api/admin/email-settings", operation_id = "getEmailSettings", tag = "admin",
    responses((status = 200, body = EmailSettingsBody), (status = 403, body = Problem)))]
pub async fn settings(cx: Authed<SettingsWrite>) -> Result<Tagged<EmailSettingsBody>, Failed> {
    Ok(tagged(account::get(&cx).await?))
}

/// Change how the tenant sends. The next mail on any node goes that way.
#[utoipa::path(patch, path = "/api/admin/email-settings", operation_id = "updateEmailSettings", tag = "admin", request_body = EmailSettingsPatch,
    responses((status = 200, body = EmailSettingsBody), (status = 403, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update_settings(
    cx: Authed<SettingsWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<EmailSettingsPatch>,
) -> Result<Tagged<EmailSettingsBody>, Failed> {
    let EmailSettingsPatch { host, port, username, password, ca, from_address, from_name, reply_to, .. } = body;
    let security = body.security.map(|security| security.name().to_owned());
    let edit = Edit { host, port, security, username, password, ca, from_address, from_name, reply_to };
    Ok(tagged(account::edit(&cx, edit, &expected).await?))
}

/// What a test of the connection came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailTested {
    /// Whether it works.
    works: bool,
    /// What happened, and what to do.
    #[schema(example = "It answers, and takes the account.")]
    detail: String,
    /// How long it took.
    #[schema(example = 120)]
    milliseconds: i64,
}

/// Test the connection: connects, signs in, and sends nothing.
#[utoipa::path(post, path = "/api/admin/email-settings/test", operation_id = "testEmailSettings", tag = "admin",
    responses((status = 200, body = EmailTested), (status = 403, body = Problem), (status = 429, body = Problem)))]
pub async fn test_settings(cx: Authed<SettingsWrite>) -> Result<Json<EmailTested>, Failed> {
    let account::Tested { works, detail, milliseconds } = account::test(&cx).await?;
    Ok(Json(EmailTested { works, detail, milliseconds }))
}
