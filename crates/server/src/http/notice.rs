//! The inbox, and who is told of what in which way.

use std::collections::BTreeMap;

use domain::id::FeatureKey;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::notice::NotificationRow;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, SignedIn, UsageRead};
use super::body::{Body, given};
use super::list::{List, ListQuery, Page};
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::mail::kind::Category;
use crate::app::mail::preference::{self, Preference, Wish};
use crate::app::notice::{self, Filter, QuotaSaid};
use crate::error::Error;

/// What something in the inbox is about.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A quota comes near its limit.
    QuotaWarning,
    /// The limit of a quota is reached.
    QuotaReached,
}

impl NotificationKind {
    const fn name(self) -> &'static str {
        match self {
            Self::QuotaWarning => "quota_warning",
            Self::QuotaReached => "quota_reached",
        }
    }
}

/// Something in the inbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationBody {
    #[schema(example = "ntf_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = NotificationKind)]
    kind: String,
    #[schema(example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: String,
    /// The feature's key.
    #[schema(value_type = String, example = "invoice_ocr")]
    feature: FeatureKey,
    /// What people called it then.
    #[schema(example = "Invoice OCR & Analysis")]
    name: String,
    /// What one of it is; `bytes` for sizes.
    #[schema(required, example = json!(null))]
    unit: Option<String>,
    /// The threshold that was passed, in per cent of the limit.
    #[schema(example = 90)]
    threshold: u16,
    /// What was used then.
    #[schema(example = 90)]
    used: i64,
    /// Of how much.
    #[schema(example = 100)]
    limit: i64,
    /// Whole per cents, rounded down.
    #[schema(example = 90)]
    percentage: i64,
    /// When it starts again; null when it never does.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2026-12-01T00:00:00Z")]
    resets_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    created_at: Timestamp,
    /// When the caller read it; null while they have not.
    #[schema(value_type = Option<String>, required, format = DateTime, example = json!(null))]
    read_at: Option<Timestamp>,
}

impl NotificationBody {
    fn of(row: &NotificationRow) -> Result<Self, Error> {
        let said: QuotaSaid = serde_json::from_str(&row.data).map_err(Error::internal)?;
        Ok(Self {
            id: row.notification_id.clone(),
            kind: row.kind.clone(),
            customer: row.customer_id.clone(),
            percentage: said.percentage(),
            feature: said.feature,
            name: said.name,
            unit: said.unit,
            threshold: said.threshold,
            used: said.used,
            limit: said.limit,
            resets_at: said.resets_at.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(row.at),
            read_at: row.read_at.map(Timestamp::from_micros),
        })
    }
}

/// A page of the inbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationsBody {
    data: Vec<NotificationBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
    /// How much of the whole inbox the caller has not read.
    #[schema(example = 2)]
    unread: i64,
}

/// Which part of the inbox is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NotificationQuery {
    /// The customer's id or externalId, named by an API key.
    #[param(example = "acme-42")]
    customer: Option<String>,
    /// Of one kind alone.
    #[param(example = "quota_warning")]
    kind: Option<NotificationKind>,
    /// Only what the caller has not read.
    #[param(example = true)]
    #[serde(default)]
    unread: bool,
}

/// The inbox: the newest first. Each user has read state of their own; it is kept for 90 days.
#[utoipa::path(get, path = "/api/notifications", operation_id = "listNotifications", tag = "usage", params(ListQuery, NotificationQuery),
    responses((status = 200, body = NotificationsBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<UsageRead>,
    List(query, filter): List<NotificationQuery>,
) -> Result<Json<NotificationsBody>, Failed> {
    let wanted = query.wanted(&["-createdAt"])?;
    let kind = filter.kind.map(|kind| kind.name().to_owned());
    let filter = Filter { customer: filter.customer, kind, unread: filter.unread };
    let inbox = notice::list(&cx, &filter, &wanted).await?;
    let Page { data, next_cursor } = Page::of(inbox.rows, &wanted, |row| (String::new(), row.notification_id.clone()));
    let data = data.iter().map(NotificationBody::of).collect::<Result<_, _>>()?;
    Ok(Json(NotificationsBody { data, next_cursor, unread: inbox.unread }))
}

/// How much is left.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadBody {
    /// How much of the whole inbox the caller has not read.
    #[schema(example = 0)]
    unread: i64,
}

/// Whose inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InboxQuery {
    /// The customer's id or externalId, named by an API key.
    #[param(example = "acme-42")]
    customer: Option<String>,
}

/// Note that one was read. Again is no error.
#[utoipa::path(post, path = "/api/notifications/{id}/read", operation_id = "readNotification", tag = "usage",
    params(("id" = String, Path, example = "ntf_01jz3k5q8e4x9m2v7c1r6t0b5n"), InboxQuery),
    responses((status = 200, body = UnreadBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    cx: Authed<UsageRead>,
    Path(id): Path<String>,
    Query(query): Query<InboxQuery>,
) -> Result<Json<UnreadBody>, Failed> {
    let unread = notice::read(&cx, query.customer.as_deref(), Some(&id)).await?;
    Ok(Json(UnreadBody { unread }))
}

/// Note that all were read.
#[utoipa::path(post, path = "/api/notifications/read", operation_id = "readNotifications", tag = "usage", params(InboxQuery),
    responses((status = 200, body = UnreadBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn read_all(cx: Authed<UsageRead>, Query(query): Query<InboxQuery>) -> Result<Json<UnreadBody>, Failed> {
    let unread = notice::read(&cx, query.customer.as_deref(), None).await?;
    Ok(Json(UnreadBody { unread }))
}

/// In which ways somebody is told of a kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationPreference {
    #[schema(value_type = super::names::EmailKindName, example = "quota_warning")]
    kind: &'static str,
    #[schema(value_type = super::names::EmailCategoryName, example = "optional")]
    category: &'static str,
    /// Whether mails of this kind come.
    email: bool,
    /// Whether it comes into the inbox; null for what has no place there.
    #[schema(required, example = true)]
    app: Option<bool>,
    /// What is about money or security cannot be switched off.
    can_switch_off: bool,
}

/// What somebody is told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationPreferences {
    data: Vec<NotificationPreference>,
    /// Always null: they are all on one page.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

fn preferences(rows: Vec<Preference>) -> Json<NotificationPreferences> {
    let preference = |Preference { kind, email, app }: Preference| NotificationPreference {
        kind: kind.name(),
        category: kind.category().name(),
        email,
        app,
        can_switch_off: kind.category() == Category::Optional,
    };
    Json(NotificationPreferences { data: rows.into_iter().map(preference).collect(), next_cursor: None })
}

/// Read of what the caller is told, and in which ways.
#[utoipa::path(get, path = "/api/me/notification-preferences", operation_id = "getNotificationPreferences", tag = "auth",
    responses((status = 200, body = NotificationPreferences), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub async fn own_preferences(cx: Authed<SignedIn>) -> Result<Json<NotificationPreferences>, Failed> {
    Ok(preferences(preference::list(&cx).await?))
}

/// What is to change about one kind; what is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationWish {
    /// Whether mails of this kind come.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = false)]
    email: Option<bool>,
    /// Whether it comes into the inbox.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = true)]
    app: Option<bool>,
}

/// By kind, what is to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct NotificationPreferencesPatch(BTreeMap<String, NotificationWish>);

/// Switch ways of being told on or off; kinds that are not named stay as they are.
#[utoipa::path(patch, path = "/api/me/notification-preferences", operation_id = "updateNotificationPreferences", tag = "auth", request_body = NotificationPreferencesPatch,
    responses((status = 200, body = NotificationPreferences), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn update_preferences(
    cx: Authed<SignedIn>,
    Body(body): Body<NotificationPreferencesPatch>,
) -> Result<Json<NotificationPreferences>, Failed> {
    let wish = |NotificationWish { email, app }| Wish { email, app };
    let wanted: Vec<_> = body.0.into_iter().map(|(kind, wanted)| (kind, wish(wanted))).collect();
    Ok(preferences(preference::edit(&cx, &wanted).await?))
}
