//! AI components: the list, and running one.

use std::convert::Infallible;
use std::sync::Arc;

use super::wire::Json;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use domain::id::{EventId, FeatureKey};
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
    #[schema(value_type = Option<String>)]
    id: Option<EventId>,
    /// As the action's output schema says, or text.
    #[schema(value_type = Object)]
    result: Value,
    /// The component's own quota after the call.
    quota: Option<QuotaBody>,
    /// The quotas of everything that the call drew.
    #[schema(value_type = BTreeMap<String, QuotaBody>)]
    quotas: QuotaMap,
    usage: RunUsage,
    #[schema(example = "claude-sonnet-5-5")]
    model: String,
    #[schema(example = "anthropic")]
    provider: String,
    /// Whether a demo answered instead of a model.
    demo: bool,
}

/// What a call took.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunUsage {
    input_tokens: u64,
    output_tokens: u64,
    /// `baseTokenCost` + tokens.
    credits: i64,
}

impl RunBody {
    fn of(outcome: Outcome, cx: &Cx) -> Self {
        let Outcome { id, kept, quotas } = outcome;
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
#[utoipa::path(post, path = "/api/ai/{component}/{action}", tag = "ai",
    params(("component" = String, Path, example = "invoice-ocr"), ("action" = String, Path, example = "analyze"),
        ("Idempotency-Key" = Option<String>, Header,),
        ("customer" = Option<String>, Query, description = "The customer, named by an API key; also as the header X-Customer.")),
    request_body(content = Object, description = "What the action's input schema says; or multipart with fields and files.",
        example = json!({"invoiceData": "Invoice INV-2041 … Total 1,190.00 EUR"})),
    responses((status = 200, body = RunBody), (status = 402, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem), (status = 502, body = Problem), (status = 503, body = Problem)))]
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
    Ok(Json(RunBody::of(outcome, &cx)).into_response())
}

/// The input: a JSON body, plain text, or a form with fields and files.
async fn input(request: Request, app: &Arc<App>) -> Result<Value, Failed> {
    let media_type = media_type(request.headers());
    let (head, body) = request.into_parts();
    let body = super::body::read(body, AI_BODY_BYTES_MAX).await?;
    match media_type.as_str() {
        "application/json" => super::body::parse(&body),
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
    Error::new(Code::MalformedJson, "The form could not be read to its end.").into()
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
        let events = vec![Ok::<_, Infallible>(event("done", &RunBody::of(outcome, cx)))];
        return Ok(Sse::new(stream::iter(events)).into_response());
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
            return Some(event("start", &started));
        }
        match self.arriving.recv().await {
            Some(Update::Delta(text)) => return Some(event("delta", &json!({ "text": text }))),
            Some(Update::Started(started)) => return Some(event("start", &started)),
            None => {}
        }
        let outcome = self.running.take()?.await;
        Some(match outcome {
            Ok(Ok(outcome)) => event("done", &RunBody::of(outcome, &self.cx)),
            Ok(Err(error)) => self.failed(error),
            Err(error) => self.failed(Error::internal(error)),
        })
    }

    fn failed(&self, error: Error) -> Event {
        event("error", &Failed::named(error, &self.cx.tenant.catalog).problem(&self.cx.request_id))
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

/// The tenant's components.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentsBody {
    data: Vec<ComponentBody>,
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
    name: String,
    category: String,
    description: String,
    /// `anthropic`, `openai` or `demo`.
    provider: String,
    model: String,
    base_token_cost: i64,
    actions: Vec<ActionBody>,
    /// Whether the caller's plan includes it.
    available: bool,
    draws: Vec<Draw>,
}

/// What a component does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionBody {
    name: String,
    description: String,
    #[schema(value_type = Object)]
    input_schema: Value,
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    accepts: Vec<String>,
    #[schema(value_type = Object)]
    sample: Value,
}

/// List the AI components.
#[utoipa::path(get, path = "/api/components", tag = "ai", responses((status = 200, body = ComponentsBody), (status = 401, body = Problem)))]
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
    let active = cx.tenant.components.values().filter(|component| component.active);
    let data = active.map(|component| component_body(cx, component, available(component))).collect();
    Ok(Json(ComponentsBody { data, next_cursor: None }))
}

fn component_body(cx: &Cx, component: &Component, available: bool) -> ComponentBody {
    let action = |action: &crate::app::component::Action| ActionBody {
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
