//! AI components: the list, and running one.

use std::convert::Infallible;
use std::sync::Arc;

use super::wire::Json;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use domain::id::{EventId, FeatureKey, ReservationId};
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::auth::{AiRun, Authed, SignedIn};
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use super::wire::{QuotaBody, QuotaMap, quota_map};
use crate::app::ai::{self, Outcome, Request as AiRequest, Started, Update};
use crate::app::component::{Component, Draw};
use crate::cx::{App, Cx};
use crate::error::{Code, Error};
use crate::limits::AI_BODY_BYTES_MAX;

/// Updates that wait for a slow reader.
const UPDATES_MAX: usize = 64;

/// What a call came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunBody {
    /// The event that was recorded.
    #[schema(value_type = Option<String>, required, example = "evt_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: Option<EventId>,
    /// What the action's output schema says; without one, text.
    #[schema(schema_with = super::wire::result)]
    result: Value,
    /// The component's own quota after the call.
    #[schema(required)]
    quota: Option<QuotaBody>,
    /// The quotas of everything that the call drew.
    #[schema(value_type = BTreeMap<String, QuotaBody>)]
    quotas: QuotaMap,
    usage: RunUsage,
    /// The model that answered, by the name that its provider gave it.
    #[schema(example = "claude-sonnet-5-5")]
    model: String,
    #[schema(value_type = super::names::ProviderName, example = "anthropic")]
    provider: String,
    /// Whether a demo answered instead of a model.
    demo: bool,
}

/// What a call took.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunUsage {
    #[schema(example = 1_204)]
    pub input_tokens: u64,
    #[schema(example = 312)]
    pub output_tokens: u64,
    /// `baseTokenCost` + tokens.
    #[schema(example = 1_616)]
    pub credits: i64,
}

impl RunBody {
    fn of(outcome: Outcome, cx: &Cx) -> Self {
        let Outcome { id, kept, quotas, .. } = outcome;
        let usage =
            RunUsage { input_tokens: kept.input_tokens, output_tokens: kept.output_tokens, credits: kept.credits };
        Self {
            id,
            result: kept.result,
            quota: quotas.first().map(|quota| QuotaBody::of(quota, &cx.tenant.catalog)),
            quotas: quota_map(&quotas, &cx.tenant.catalog),
            usage,
            demo: kept.provider == "demo",
            model: kept.model,
            provider: kept.provider,
        }
    }
}

/// Run a component's action. With `Accept: text/event-stream` the answer streams: `start`, `delta`…, `done` or `error`.
#[utoipa::path(post, path = "/api/ai/{component}/{action}", operation_id = "runComponent", tag = "ai",
    params(super::usage::CustomerQuery, ("component" = String, Path, example = "invoice-ocr"), ("action" = String, Path, example = "analyze"),
        ("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001"),
        ("X-Customer" = Option<String>, Header, description = "As `customer`, which goes before.", example = "acme-42")),
    request_body(description = "What the action's input schema says.", content(
        (Object = "application/json", example = json!({"invoiceData": "Invoice INV-2041 … Total 1,190.00 EUR"})),
        (RunForm = "multipart/form-data"))),
    responses((status = 200, description = "The answer; with `Accept: text/event-stream` the events, of which `done` has it.",
            content((RunBody = "application/json"), (RunEvent = "text/event-stream"))), (status = 402, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 500, body = Problem, description = "The component does not work; tell an admin."), (status = 502, body = Problem), (status = 503, body = Problem)))]
pub async fn run(
    cx: Authed<AiRun>,
    Path((component, action)): Path<(String, String)>,
    Query(query): Query<super::usage::CustomerQuery>,
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Failed> {
    let component = FeatureKey::parse(&component)
        .map_err(|_| Error::new(Code::UnknownComponent, format!("`{component}` is not a component's name.")))?;
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let customer = query.customer().map(str::to_owned).or_else(|| text("x-customer"));
    let key = text("idempotency-key");
    let streams = text("accept").is_some_and(|accept| accept.contains("text/event-stream"));
    let input = input(request, &app).await?;
    let request = AiRequest { component, action, customer, input, key };
    if streams {
        return streamed(&cx, request).await;
    }
    let outcome = ai::run(&cx, request, None).await.map_err(|e| Failed::named(e, &cx.tenant.catalog))?;
    let replayed = outcome.replayed;
    let mut response = Json(RunBody::of(outcome, &cx)).into_response();
    super::wire::mark_replay(&mut response, replayed);
    Ok(response)
}

/// The input as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is used, by the document; `form` reads the parts as they come")]
pub struct RunForm {
    /// Files of any field name; each becomes one of the input's `files[]` with its media type.
    #[schema(value_type = Vec<String>, format = Binary, required = false)]
    files: Vec<u8>,
    /// Every other field is a member of the input, as text.
    #[serde(flatten)]
    fields: std::collections::HashMap<String, String>,
}

/// One event of a streamed answer: `event` is its name, `data` what its data line holds as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "lowercase")]
pub enum RunEvent {
    /// First: what is held and who is asked. A replay of an earlier result has none.
    Start(StartBody),
    /// A fragment of the result's text.
    Delta(Delta),
    /// Last: the whole answer.
    Done(Box<RunBody>),
    /// Last, instead: the call failed after the stream had begun.
    Error(Box<Problem>),
}

/// Who is asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartBody {
    /// What holds the units of the call. The event that records its use has an id of its own, in `done`.
    #[schema(value_type = String, example = "rsv_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    reservation: ReservationId,
    /// The model that the component asks for; `done` names the one that answered.
    #[schema(example = "claude-sonnet-5-5")]
    model: String,
    #[schema(value_type = super::names::ProviderName, example = "anthropic")]
    provider: String,
    /// Whether a demo answers instead of a model.
    demo: bool,
}

impl From<Started> for StartBody {
    fn from(started: Started) -> Self {
        let Started { reservation, model, provider } = started;
        Self { reservation, model, demo: provider == "demo", provider }
    }
}

/// A fragment of the result's text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delta {
    #[schema(example = "{\"invoiceNumber\": \"INV-")]
    text: String,
}

/// The input: a JSON body, or a form with fields and files.
async fn input(request: Request, app: &Arc<App>) -> Result<Value, Failed> {
    let media_type = media_type(request.headers());
    let (head, body) = request.into_parts();
    let body = super::body::read(body, AI_BODY_BYTES_MAX).await?;
    match media_type.as_str() {
        "application/json" => Ok(super::body::parse(&body)?),
        "multipart/form-data" => {
            let request = Request::from_parts(head, body.into());
            form(Multipart::from_request(request, app).await.map_err(|_| bad_form())?).await
        }
        _ => {
            let detail = "Send application/json, or multipart/form-data with the fields of the input and its files.";
            Err(Error::new(Code::UnsupportedMediaType, detail).into())
        }
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn bad_form() -> Failed {
    Error::field("", "the form could not be read to its end; send it again, whole and with its boundary").into()
}

/// Fields become members, files become `files[]` with their media type and base64.
async fn form(mut form: Multipart) -> Result<Value, Failed> {
    let mut input = serde_json::Map::new();
    let mut files = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|_| bad_form())? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() {
            let media_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
            let bytes = field.bytes().await.map_err(|_| bad_form())?;
            files.push(
                json!({ "mediaType": media_type, "data": base64::engine::general_purpose::STANDARD.encode(bytes) }),
            );
        } else {
            input.insert(name, Value::String(field.text().await.map_err(|_| bad_form())?));
        }
    }
    if !files.is_empty() {
        input.insert("files".to_owned(), Value::Array(files));
    }
    Ok(Value::Object(input))
}

/// Streams the answer. What is refused before anything runs is an ordinary problem.
async fn streamed(cx: &Cx, request: AiRequest) -> Result<Response, Failed> {
    let (updates, mut arriving) = mpsc::channel(UPDATES_MAX);
    let running = {
        let cx = cx.clone();
        cx.app.clone().tasks.spawn(async move { ai::run(&cx, request, Some(updates)).await })
    };
    let started = arriving.recv().await;
    let Some(Update::Started(started)) = started else {
        // Nothing started: the outcome is a refusal, or the replay of an earlier result as one event.
        let outcome = running.await.map_err(Error::internal)?.map_err(|e| Failed::named(e, &cx.tenant.catalog))?;
        let events = vec![Ok::<_, Infallible>(RunEvent::Done(Box::new(RunBody::of(outcome, cx))).sent())];
        let mut response = Sse::new(stream::iter(events)).into_response();
        super::wire::mark_replay(&mut response, true);
        return Ok(response);
    };
    let state = Streaming { cx: cx.clone(), started: Some(started), arriving, running: Some(running) };
    let events = stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((Ok::<_, Infallible>(event), state))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

struct Streaming {
    cx: Cx,
    started: Option<Started>,
    arriving: mpsc::Receiver<Update>,
    running: Option<tokio::task::JoinHandle<Result<Outcome, Error>>>,
}

impl Streaming {
    async fn next(&mut self) -> Option<Event> {
        if let Some(started) = self.started.take() {
            return Some(RunEvent::Start(started.into()).sent());
        }
        match self.arriving.recv().await {
            Some(Update::Delta(text)) => return Some(RunEvent::Delta(Delta { text }).sent()),
            Some(Update::Started(started)) => return Some(RunEvent::Start(started.into()).sent()),
            None => {}
        }
        let outcome = self.running.take()?.await;
        Some(match outcome {
            Ok(Ok(outcome)) => RunEvent::Done(Box::new(RunBody::of(outcome, &self.cx))).sent(),
            Ok(Err(error)) => self.failed(error),
            Err(error) => self.failed(Error::internal(error)),
        })
    }

    fn failed(&self, error: Error) -> Event {
        let problem = Failed::named(error, &self.cx.tenant.catalog).problem(&self.cx.request_id);
        RunEvent::Error(Box::new(problem)).sent()
    }
}

impl RunEvent {
    fn sent(&self) -> Event {
        let (name, data) = match self {
            Self::Start(started) => ("start", serde_json::to_string(started)),
            Self::Delta(delta) => ("delta", serde_json::to_string(delta)),
            Self::Done(body) => ("done", serde_json::to_string(body)),
            Self::Error(problem) => ("error", serde_json::to_string(problem)),
        };
        Event::default().event(name).data(data.unwrap_or_default())
    }
}

/// The tenant's components.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentsBody {
    data: Vec<ComponentBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// A component.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentBody {
    #[schema(value_type = String, example = "invoice_ocr")]
    key: FeatureKey,
    /// The key in URLs.
    #[schema(example = "invoice-ocr")]
    slug: String,
    /// What people read.
    #[schema(example = "Invoice OCR & Analysis")]
    name: String,
    /// Its group.
    #[schema(example = "finance")]
    category: String,
    #[schema(example = "Reads an invoice and checks its sums.")]
    description: String,
    #[schema(value_type = super::names::ProviderName, example = "anthropic")]
    provider: String,
    #[schema(example = "claude-sonnet-5-5")]
    model: String,
    /// Credits of every call, besides its tokens.
    #[schema(example = 100)]
    base_token_cost: i64,
    actions: Vec<ComponentActionBody>,
    /// Whether the caller's plan includes it.
    available: bool,
    draws: Vec<Draw>,
}

/// What a component does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ComponentAction)]
pub struct ComponentActionBody {
    /// Its name in URLs.
    #[schema(example = "analyze")]
    name: String,
    #[schema(example = "Reads the fields of an invoice.")]
    description: String,
    /// A JSON Schema, its members in the order of the form.
    #[schema(value_type = Object, example = json!({"type": "object", "properties": {"invoiceData": {"type": "string"}}}))]
    input_schema: Value,
    /// A JSON Schema; null when the result is text.
    #[schema(value_type = Option<Object>, required, example = json!({"type": "object", "properties": {"total": {"type": "string"}}}))]
    output_schema: Option<Value>,
    #[schema(value_type = Vec<super::names::InputKindName>)]
    accepts: Vec<String>,
    /// An input to try it with.
    #[schema(schema_with = super::wire::sample)]
    sample: Value,
}

/// List the AI components.
#[utoipa::path(get, path = "/api/components", operation_id = "listComponents", tag = "ai", responses((status = 200, body = ComponentsBody), (status = 401, body = Problem)))]
pub async fn components(cx: Authed<SignedIn>) -> Result<Json<ComponentsBody>, Failed> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.0.clone().with_tenant(tenant);
    let account = match cx.actor.own_customer() {
        Some(customer) => Some(cx.app.customers.reload(cx, customer.as_str()).await?),
        None => None,
    };
    let available = |component: &Component| {
        account
            .as_ref()
            .is_none_or(|account| component.draws.iter().all(|draw| account.entitlement(cx, &draw.feature).is_ok()))
    };
    let mut active: Vec<_> = cx.tenant.components.values().filter(|component| component.active).collect();
    active.sort_by_key(|component| component.position);
    let data = active.into_iter().map(|component| component_body(cx, component, available(component))).collect();
    Ok(Json(ComponentsBody { data, next_cursor: None }))
}

fn component_body(cx: &Cx, component: &Component, available: bool) -> ComponentBody {
    let action = |action: &crate::app::component::Action| ComponentActionBody {
        name: action.name.clone(),
        description: action.description.clone(),
        input_schema: action.input_schema.clone(),
        output_schema: action.output_schema.clone(),
        accepts: action.accepts.clone(),
        sample: action.sample.clone(),
    };
    ComponentBody {
        key: component.key.clone(),
        slug: component.key.as_str().replace('_', "-"),
        name: component.name.clone(),
        category: component.category.clone(),
        description: component.description.clone(),
        provider: cx.tenant.upstreams.get(&component.upstream).map_or("none", |upstream| upstream.name()).to_owned(),
        model: component.model.clone(),
        base_token_cost: component.base_token_cost,
        actions: component.actions().map(action).collect(),
        available,
        draws: component.draws.clone(),
    }
}
