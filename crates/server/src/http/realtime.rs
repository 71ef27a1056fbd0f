//! The live connection: a WebSocket, and the same messages as server-sent events.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::wire::Json;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message as WsMessage, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use domain::id::CustomerId;
use domain::time::Timestamp;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, UsageRead, of_ticket, still_good};
use super::params::Query;
use super::problem::{Failed, Problem};
use super::wire::{QuotaMap, quota_map};
use crate::app::token::TICKET_SECONDS;
use crate::app::usage;
use crate::cx::{App, Cx, now};
use crate::error::{Code, Error};
use crate::limits::{SOCKET_INCOMING_BYTES_MAX, SOCKET_SEND, SOCKETS_MAX};
use crate::live::{Listener, Marks, Position, id_of, position_of};

/// The shortest time between two messages: changes in between become one.
const PACE: Duration = Duration::from_millis(100);
/// How often a connection shows that it is alive.
const PING: Duration = Duration::from_secs(20);
/// How often a caller's session is looked at again.
const RECHECK: Duration = Duration::from_secs(5);
/// Batches that a resuming client may have missed; beyond that it gets a snapshot.
const MISSED_BATCHES_MAX: i64 = 200;

/// Where a client goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LiveQuery {
    /// A one-time ticket of `POST /api/realtime/ticket`, where neither cookie nor header can be sent.
    #[param(example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJl")]
    ticket: Option<String>,
    /// The id of the last message that was seen.
    #[param(example = "p1-2a")]
    since: Option<String>,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// Where to go on after this; opaque, and null for a ping.
    #[schema(required, example = "p1-2a")]
    id: Option<String>,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    #[serde(flatten)]
    news: News,
}

/// What a message says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum News {
    /// All quotas as they stand.
    #[serde(rename = "snapshot")]
    Snapshot(Quotas),
    /// The quotas that changed, as they stand now.
    #[serde(rename = "usage.updated")]
    UsageUpdated(Quotas),
    /// Nothing happened since the id that was named.
    #[serde(rename = "resumed")]
    Resumed(Nothing),
    /// What happened since the id that was named cannot be told; a snapshot follows.
    #[serde(rename = "resync")]
    Resync(Nothing),
    /// The connection lives.
    #[serde(rename = "ping")]
    Ping(Nothing),
}

/// Quotas of one customer.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = CustomerQuotas)]
pub struct Quotas {
    /// Whose they are; null in the snapshot of an admin, who hears all customers of the tenant.
    #[schema(value_type = Option<String>, required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<CustomerId>,
    #[schema(value_type = BTreeMap<String, super::wire::QuotaBody>)]
    quotas: QuotaMap,
}

/// An empty object.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Nothing {}

/// The caller of a live connection, by ticket or by credential.
pub struct Caller(Cx, Option<String>);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failed> {
        let Query(query) = Query::<LiveQuery>::from_request_parts(parts, app).await?;
        let cx = match &query.ticket {
            Some(ticket) => of_ticket(app, ticket, parts).await?,
            None => Authed::<UsageRead>::from_request_parts(parts, app).await?.0,
        };
        if app.live.count() >= SOCKETS_MAX {
            return Err(Error::new(Code::Busy, "Too many live connections; poll GET /api/usage meanwhile.")
                .retry_after(30)
                .into());
        }
        Ok(Self(cx, query.since))
    }
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketBody {
    /// For `?ticket=`, once.
    #[schema(example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJl")]
    ticket: String,
    /// Seconds until it ends.
    #[schema(example = 30)]
    expires_in: i64,
}

/// Get a one-time ticket for a live connection.
#[utoipa::path(post, path = "/api/realtime/ticket", operation_id = "createTicket", tag = "realtime",
    responses((status = 200, body = TicketBody), (status = 401, body = Problem)))]
pub async fn ticket(cx: Authed<UsageRead>) -> Result<Json<TicketBody>, Failed> {
    let ticket = cx.app.tokens.ticket(cx.tenant.id(), &cx.actor, cx.now)?;
    Ok(Json(TicketBody { ticket, expires_in: TICKET_SECONDS }))
}

/// Open a WebSocket: first a `snapshot` (or, with a good `since`, what changed, or `resumed` if nothing did), then changes
/// as they are committed.
#[utoipa::path(get, path = "/api/realtime", operation_id = "openSocket", tag = "realtime", params(LiveQuery),
    responses((status = 101, description = "Messages of this form follow, each as one text frame.", body = Message), (status = 401, body = Problem)))]
pub async fn socket(
    Caller(cx, since): Caller,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Failed> {
    refuse_foreign_origin(&cx, &headers)?;
    let upgrade =
        upgrade.map_err(|_| Error::field("", "open this with a WebSocket client, or use /api/realtime/sse"))?;
    let upgrade = upgrade.max_message_size(SOCKET_INCOMING_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let tasks = cx.app.tasks.clone();
        tasks.track_future(talk(cx, since, socket)).await;
    }))
}

/// A browser says which page opened the socket: with a cookie it must be ours.
fn refuse_foreign_origin(cx: &Cx, headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let by_cookie = headers.contains_key(header::COOKIE) && !headers.contains_key(header::AUTHORIZATION);
    let Some(origin) = text(header::ORIGIN).filter(|_| by_cookie && matches!(cx.actor, crate::cx::Actor::User { .. }))
    else {
        return Ok(());
    };
    let same = origin.split_once("://").is_some_and(|(_, host)| Some(host) == text(header::HOST));
    if same {
        Ok(())
    } else {
        Err(Error::new(Code::CrossSite, "Open the socket from a page of the same origin, or with a ticket."))
    }
}

async fn talk(cx: Cx, since: Option<String>, mut socket: WebSocket) {
    let mut feed = Feed::open(cx, since);
    loop {
        let messages = tokio::select! {
            messages = feed.next() => messages,
            incoming = socket.recv() => match incoming {
                None | Some(Err(_) | Ok(WsMessage::Close(_))) => return,
                Some(Ok(_)) => continue,
            },
        };
        let Some(messages) = messages else {
            let bye = CloseFrame { code: feed.close_code(), reason: "".into() };
            let _gone = timeout(SOCKET_SEND, socket.send(WsMessage::Close(Some(bye)))).await;
            return;
        };
        for message in messages {
            let text = serde_json::to_string(&message).unwrap_or_default();
            if !matches!(timeout(SOCKET_SEND, socket.send(WsMessage::text(text))).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// The same messages as server-sent events, where WebSockets are blocked.
#[utoipa::path(get, path = "/api/realtime/sse", operation_id = "streamEvents", tag = "realtime", params(LiveQuery),
    responses((status = 200, description = "Messages of this form as `data:`, their ids as `id:`.", body = Message, content_type = "text/event-stream"), (status = 401, body = Problem)))]
pub async fn sse(Caller(cx, since): Caller, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let feed = Feed::open(cx, since.or(last));
    let batches = stream::unfold(feed, |mut feed| async move { feed.next().await.map(|messages| (messages, feed)) });
    let events = futures_util::StreamExt::flat_map(batches, |messages| {
        stream::iter(messages.into_iter().map(|message| {
            let event = Event::default().data(serde_json::to_string(&message).unwrap_or_default());
            Ok::<_, Infallible>(match &message.id {
                Some(id) => event.id(id),
                None => event,
            })
        }))
    });
    Sse::new(events).into_response()
}

/// Where a connection begins.
enum Start {
    /// With a snapshot.
    Fresh,
    /// With what changed since.
    After(Position),
    /// With a snapshot, because the id that it named means nothing.
    Lost,
}

/// What one connection has still to say.
struct Feed {
    cx: Cx,
    customer: Option<CustomerId>,
    listener: Arc<Listener>,
    start: Option<Start>,
    ready_at: Instant,
    ping: tokio::time::Interval,
    recheck: tokio::time::Interval,
}

impl Feed {
    fn open(cx: Cx, since: Option<String>) -> Self {
        // An admin without a customer of their own hears the whole tenant.
        let customer = cx.actor.own_customer().cloned();
        let listener = cx.app.live.listen(cx.tenant.id(), customer.as_ref());
        let now = Instant::now();
        Self {
            customer,
            listener,
            start: Some(match since.map(|id| position_of(&id)) {
                None => Start::Fresh,
                Some(Some(position)) => Start::After(position),
                Some(None) => Start::Lost,
            }),
            ready_at: now,
            ping: interval_at(now + PING, PING),
            recheck: interval_at(now + RECHECK, RECHECK),
            cx,
        }
    }

    /// The next messages; none when the connection is to end.
    async fn next(&mut self) -> Option<Vec<Message>> {
        if let Some(start) = self.start.take() {
            return Some(self.begin(start).await);
        }
        let stopping = self.cx.app.stopping.clone();
        loop {
            let (listener, app) = (self.listener.clone(), self.cx.app.clone());
            let ready_at = self.ready_at;
            let marks = async move {
                sleep_until(ready_at).await;
                listener.next(|| app.live.position()).await
            };
            tokio::select! {
                () = stopping.cancelled() => return None,
                (position, marks) = marks => {
                    if marks.lost && !still_good(&self.cx).await {
                        return None;
                    }
                    self.ready_at = Instant::now() + PACE;
                    return Some(self.tell(&position, marks).await);
                }
                _ = self.ping.tick() => return Some(vec![message(None, News::Ping(Nothing {}))]),
                _ = self.recheck.tick() => {
                    if !still_good(&self.cx).await {
                        return None;
                    }
                }
            }
        }
    }

    /// 1012: the server restarts. 1008: the session is over.
    fn close_code(&self) -> u16 {
        if self.cx.app.stopping.is_cancelled() { 1012 } else { 1008 }
    }

    async fn begin(&self, start: Start) -> Vec<Message> {
        let here = self.cx.app.live.position();
        let missed = match &start {
            Start::Fresh => return self.snapshot().await,
            Start::After(since) => self.missed(since, &here).await,
            Start::Lost => None,
        };
        if let Some(marks) = missed {
            let messages = self.tell(&here, marks).await;
            let nothing = messages.is_empty();
            return if nothing { vec![message(Some(&here), News::Resumed(Nothing {}))] } else { messages };
        }
        let mut messages = vec![message(None, News::Resync(Nothing {}))];
        messages.extend(self.snapshot().await);
        messages
    }

    /// What changed since a position; none when that cannot be told any more.
    async fn missed(&self, since: &Position, here: &Position) -> Option<Marks> {
        let db = &self.cx.app.db;
        let first: BTreeMap<i64, i64> = store::usage::first_batches(db).await.ok()?.into_iter().collect();
        let last: BTreeMap<i64, i64> = store::usage::last_batches(db).await.ok()?.into_iter().collect();
        // Another node may have told of a batch that is not heard of here yet; what is not in the database either was
        // never told, and the id is of another one, or made up.
        let told = |node: &i64| here.get(node).max(last.get(node)).copied().unwrap_or_default();
        if since.iter().any(|(node, seen)| *seen < 0 || *seen > told(node)) {
            return None;
        }
        let mut marks = Marks::default();
        for (&node, &reached) in here {
            let seen = since.get(&node).copied().unwrap_or(0);
            let too_old = first.get(&node).is_some_and(|first| seen + 1 < *first);
            if too_old || reached - seen > MISSED_BATCHES_MAX {
                return None;
            }
            for batch in store::usage::batches_after(db, node, seen, MISSED_BATCHES_MAX).await.ok()? {
                for change in store::usage::changes_of(db, &batch).await.ok()? {
                    if change.tenant == *self.cx.tenant.id()
                        && self.customer.as_ref().is_none_or(|own| *own == change.customer)
                    {
                        marks.changed.entry(change.customer).or_default().extend(change.features);
                    }
                }
            }
        }
        Some(marks)
    }

    async fn snapshot(&self) -> Vec<Message> {
        let position = self.cx.app.live.position();
        let Some(customer) = &self.customer else {
            return vec![message(Some(&position), News::Snapshot(Quotas::default()))];
        };
        let quotas = self.quotas(customer).await.unwrap_or_default();
        vec![message(Some(&position), News::Snapshot(Quotas { customer: Some(customer.clone()), quotas }))]
    }

    /// What was marked, as it stands now. The position is older than the state, so that a client that goes on from it
    /// can only hear too much.
    async fn tell(&self, position: &Position, marks: Marks) -> Vec<Message> {
        if marks.lost {
            return self.snapshot().await;
        }
        let mut messages = Vec::with_capacity(marks.changed.len());
        for (customer, features) in marks.changed {
            if let Some(mut quotas) = self.quotas(&customer).await {
                quotas.retain(|feature, _| features.contains(feature));
                let changed = Quotas { customer: Some(customer), quotas };
                messages.push(message(Some(position), News::UsageUpdated(changed)));
            }
        }
        messages
    }

    async fn quotas(&self, customer: &CustomerId) -> Option<QuotaMap> {
        let cx = &self.cx;
        let tenant = cx.app.tenants.get(&cx.app.db, &cx.app.master, cx.tenant.id()).await.ok()?;
        let mut cx = Cx::system(&cx.app, &tenant, &cx.request_id);
        cx.now = now();
        match usage::quotas(&cx, customer.as_str()).await {
            Ok(quotas) => Some(quota_map(&quotas, &cx.tenant.catalog)),
            Err(error) => {
                tracing::debug!(%error, "quotas could not be read for a live connection");
                None
            }
        }
    }
}

fn message(position: Option<&Position>, news: News) -> Message {
    Message { id: position.map(id_of), at: now(), news }
}
