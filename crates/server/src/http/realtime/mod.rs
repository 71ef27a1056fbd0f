//! The live connection: a WebSocket, and the same messages as server-sent events.

mod feed;
mod message;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message as WsMessage, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Authed, UsageRead, of_ticket};
use super::params::Query;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::token::TICKET_SECONDS;
use crate::cx::{App, Cx};
use crate::error::{Code, Error};
use crate::limits::{SOCKET_INCOMING_BYTES_MAX, SOCKET_SEND, SOCKETS_MAX};
use feed::Feed;
use message::Message;

/// The close code of a client that does not keep to the protocol (RFC 6455 §7.4.1).
const BROKEN_PROTOCOL: u16 = 1002;

/// Where a client goes on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LiveQuery {
    /// A one-time ticket of `POST /api/realtime/ticket`, where neither cookie nor header can be sent.
    #[param(example = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMDEifQ.c2lnbmF0dXJl")]
    ticket: Option<String>,
    /// The id of the last message that was seen.
    #[param(example = "e5p1-2a")]
    since: Option<String>,
}

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
        let Some(said) = while_open(&mut socket, feed.next()).await else { return };
        let Some(messages) = said else {
            close(&mut socket, feed.close_code()).await;
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

/// Says why the connection ends, if the client still listens.
async fn close(socket: &mut WebSocket, code: u16) {
    let bye = CloseFrame { code, reason: "".into() };
    let _gone = timeout(SOCKET_SEND, socket.send(WsMessage::Close(Some(bye)))).await;
}

/// What comes of something, unless the client goes away first. What the client sends does not cut it short: a feed that
/// was given up halfway would have lost what it had begun to tell.
async fn while_open<T>(socket: &mut WebSocket, something: impl Future<Output = T>) -> Option<T> {
    let mut something = pin!(something);
    loop {
        tokio::select! {
            done = &mut something => return Some(done),
            incoming = socket.recv() => {
                match incoming {
                    Some(Ok(WsMessage::Close(_))) | None => return None,
                    Some(Ok(_)) => {}
                    Some(Err(_)) => {
                        // What it sent breaks the protocol or is too large (RFC 6455 §7.1.7), unless it is gone.
                        close(socket, BROKEN_PROTOCOL).await;
                        return None;
                    }
                }
            }
        }
    }
}

/// The same messages as server-sent events, where WebSockets are blocked.
#[utoipa::path(get, path = "/api/realtime/sse", operation_id = "streamEvents", tag = "realtime", params(LiveQuery),
    responses((status = 200, description = "Messages of this form as `data:`, their ids as `id:`.", body = Message, content_type = "text/event-stream"), (status = 401, body = Problem)))]
pub async fn sse(Caller(cx, since): Caller, headers: HeaderMap) -> Response {
    // A browser that comes back names the URL of the first time, and in the header what it has heard since.
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let feed = Feed::open(cx, last.or(since));
    let batches = stream::unfold(feed, |mut feed| async move { feed.next().await.map(|messages| (messages, feed)) });
    let events = futures_util::StreamExt::flat_map(batches, |messages| {
        stream::iter(messages.into_iter().map(|message| {
            let event = Event::default().data(serde_json::to_string(&message).unwrap_or_default());
            Ok::<_, Infallible>(match message.id() {
                Some(id) => event.id(id),
                None => event,
            })
        }))
    });
    Sse::new(events).into_response()
}
