//! Builds the body of a chat completions request.

use serde_json::{Map, Value, json};

use super::super::stream::Fault;
use super::super::{Call, FailureKind, Part};

/// The one difference between OpenAI and the servers that follow it.
#[derive(Clone, Copy)]
pub(super) enum Dialect {
    /// Refuses `max_tokens` for newer models.
    OpenAi,
    /// Knows only `max_tokens`.
    Compatible,
}

/// The body.
pub(super) fn body(call: &Call, dialect: Dialect) -> Result<Map<String, Value>, Fault> {
    let limit = match dialect {
        Dialect::OpenAi => "max_completion_tokens",
        Dialect::Compatible => "max_tokens",
    };
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", call.model.clone().into());
    set(limit, call.max_output_tokens.max(1).into());
    set("stream", true.into());
    set("stream_options", json!({ "include_usage": true }));
    if let Some(schema) = &call.output_schema {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Fault::lasting(FailureKind::Rejected, "the output schema must have the type object"));
        }
        let format = json!({ "name": "answer", "schema": schema, "strict": false });
        set("response_format", json!({ "type": "json_schema", "json_schema": format }));
    }
    set("messages", messages(call).into());
    Ok(body)
}

fn messages(call: &Call) -> Vec<Value> {
    let mut system = call.system.clone();
    if let Some(schema) = &call.output_schema {
        // Many servers ignore `response_format`, so the schema is said in words too.
        system.push_str("\n\nAnswer with one JSON object and nothing else. It must fit this JSON Schema:\n");
        system.push_str(&schema.to_string());
    }
    let mut messages = Vec::new();
    if !system.trim().is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.push(json!({ "role": "user", "content": content(call) }));
    messages
}

/// Plain text as a string, which every server reads; anything else as a list.
fn content(call: &Call) -> Value {
    match call.parts.as_slice() {
        [] => call.input.to_string().into(),
        [Part::Text(text)] => text.clone().into(),
        parts => parts.iter().map(block).collect(),
    }
}

fn block(part: &Part) -> Value {
    let url = |media_type: &str, data: &str| format!("data:{media_type};base64,{data}");
    match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image { media_type, data } => {
            json!({ "type": "image_url", "image_url": { "url": url(media_type, data) } })
        }
        Part::Document { media_type, data } => {
            json!({ "type": "file", "file": { "filename": "document.pdf", "file_data": url(media_type, data) } })
        }
    }
}
