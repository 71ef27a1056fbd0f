//! Components that an admin has added: an answer that fits their output schema and says that it is made by rules.

use serde_json::{Map, Value};

use super::super::{Call, Part};
use super::summary::extract;
use super::text::clip;

const DEPTH_MAX: u32 = 12;

/// Prose, or an object that fits the schema as far as its plain keywords go.
pub(super) fn answer(call: &Call) -> Value {
    let said: Vec<&str> = call
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image { .. } | Part::Document { .. } => None,
        })
        .collect();
    let said = if said.is_empty() { call.input.to_string() } else { said.join("\n") };
    let gist = extract(&said, 2).join(" ");
    let text = format!("[Demo answer, made by rules without a model] {}", clip(&gist, 400));
    match &call.output_schema {
        None => text.into(),
        Some(schema) => fill(schema, &text, DEPTH_MAX),
    }
}

fn fill(schema: &Value, text: &str, depth: u32) -> Value {
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|values| values.first());
    if depth == 0 {
        return Value::Null;
    }
    if let Some(fixed) = schema.get("const").or_else(|| first("enum")) {
        return fixed.clone();
    }
    if let Some(choice) = first("oneOf").or_else(|| first("anyOf")) {
        return fill(choice, text, depth - 1);
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    let number = |name: &str| schema.get(name).and_then(Value::as_i64);
    match kind {
        Some("object") => object(schema, text, depth),
        Some("array") => {
            let least = number("minItems").unwrap_or(1).clamp(0, 20);
            let item = schema.get("items").cloned().unwrap_or(Value::Object(Map::new()));
            (0..least).map(|_| fill(&item, text, depth - 1)).collect()
        }
        Some("integer" | "number") => number("minimum").unwrap_or(0).into(),
        Some("boolean") => false.into(),
        Some("null") => Value::Null,
        _ => string(schema, text).into(),
    }
}

fn object(schema: &Value, text: &str, depth: u32) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let filled = |(name, schema): (&String, &Value)| (name.clone(), fill(schema, text, depth - 1));
    Value::Object(properties.into_iter().flatten().map(filled).collect())
}

fn string(schema: &Value, text: &str) -> String {
    let number = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => return "2025-01-01".to_owned(),
        Some("date-time") => return "2025-01-01T00:00:00Z".to_owned(),
        _ => {}
    }
    let mut filled = clip(text, number("maxLength").unwrap_or(1000));
    let missing = number("minLength").unwrap_or(0).min(10_000).saturating_sub(filled.chars().count());
    filled.extend(std::iter::repeat_n('.', missing));
    filled
}
