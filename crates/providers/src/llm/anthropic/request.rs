//! Builds the body of a Messages request.

use serde_json::{Map, Value, json};

use super::super::stream::Fault;
use super::super::{Call, FailureKind, Part};

/// The tool that a structured answer is forced through.
pub(super) const TOOL: &str = "answer";

/// The body. No sampling parameters: newer API versions refuse them.
pub(super) fn body(call: &Call) -> Result<Map<String, Value>, Fault> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("model", call.model.clone().into());
    set("max_tokens", call.max_output_tokens.max(1).into());
    set("stream", true.into());
    let prompted = !call.system.trim().is_empty();
    if prompted {
        // Caching covers everything up to the mark, and tools come before the system prompt.
        let block = json!({ "type": "text", "text": call.system, "cache_control": { "type": "ephemeral" } });
        set("system", json!([block]));
    }
    if let Some(schema) = &call.output_schema {
        set("tools", json!([tool(schema, !prompted)?]));
        set("tool_choice", json!({ "type": "tool", "name": TOOL, "disable_parallel_tool_use": true }));
    }
    set("messages", json!([{ "role": "user", "content": content(call) }]));
    Ok(body)
}

fn tool(schema: &Value, cached: bool) -> Result<Value, Fault> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(Fault::lasting(FailureKind::Rejected, "the output schema must have the type object"));
    }
    let mut tool = Map::new();
    tool.insert("name".to_owned(), TOOL.into());
    tool.insert("description".to_owned(), "Gives the complete answer to the user.".into());
    tool.insert("input_schema".to_owned(), schema.clone());
    if cached {
        tool.insert("cache_control".to_owned(), json!({ "type": "ephemeral" }));
    }
    Ok(tool.into())
}

fn content(call: &Call) -> Vec<Value> {
    let mut blocks: Vec<Value> = call.parts.iter().filter_map(block).collect();
    if blocks.is_empty() {
        blocks.push(json!({ "type": "text", "text": call.input.to_string() }));
    }
    blocks
}

/// A content block; none for an empty text, which the API refuses.
fn block(part: &Part) -> Option<Value> {
    let source = |media_type: &str, data: &str| json!({ "type": "base64", "media_type": media_type, "data": data });
    match part {
        Part::Text(text) if text.trim().is_empty() => None,
        Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        Part::Image { media_type, data } => Some(json!({ "type": "image", "source": source(media_type, data) })),
        Part::Document { media_type, data } => Some(json!({ "type": "document", "source": source(media_type, data) })),
    }
}
