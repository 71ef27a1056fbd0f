//! The API's document, held against every answer that any test gets.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::Answer;

/// The document, as it is committed.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the document")).expect("JSON")
});

/// The schemas, each of which allows nothing that it does not name.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = DOCUMENT.clone();
    let parts: BTreeSet<String> = nodes(&DOCUMENT)
        .filter_map(|node| node["allOf"].as_array())
        .flatten()
        .filter_map(|part| Some(part["$ref"].as_str()?.rsplit_once('/')?.1.to_owned()))
        .collect();
    for (name, schema) in document["components"]["schemas"].as_object_mut().expect("schemas") {
        let whole = schema.get("allOf").is_some();
        let closed = schema.get("properties").is_some() && schema.get("additionalProperties").is_none();
        if !parts.contains(name) && (whole || closed) {
            schema["unevaluatedProperties"] = json!(false);
        }
    }
    document
});

/// A value and everything inside it.
pub fn nodes(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    let inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(items) => Box::new(items.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    };
    Box::new(std::iter::once(value).chain(inner.flat_map(nodes)))
}

/// The operation that a request is for; none for pages and unknown paths.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let fits = |template: &str| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        wanted.by_ref().zip(given.by_ref()).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
            && template.matches('/').count() == path.matches('/').count()
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let found =
        paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.matches('{').count());
    found?.1.get(method.to_lowercase())
}

/// Checks an answer against the document: its status, its media type and every field.
#[track_caller]
pub fn check_answer(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.to_string();
    let responses = &operation["responses"];
    let documented = responses.get(&status).or_else(|| responses.get("default").filter(|_| answer.status >= 400));
    let documented = documented.unwrap_or_else(|| panic!("{method} {path}: {status} is not documented"));
    let Some(content) = documented["content"].as_object() else {
        assert!(answer.text.is_empty(), "{method} {path}: a body that is not documented: {answer:?}");
        return;
    };
    let media_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content = content.get(media_type).unwrap_or_else(|| panic!("{method} {path}: {media_type} is not documented"));
    if !media_type.ends_with("json") {
        return;
    }
    let wrong: Vec<_> = validator(&content["schema"])
        .iter_errors(&answer.body)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{method} {path}: not as documented: {wrong:#?} {answer:?}");
}

/// A schema of the document, ready to check with.
pub fn validator(schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = STRICT["components"].clone();
    jsonschema::validator_for(&whole).unwrap_or_else(|e| panic!("{schema} is no schema: {e}"))
}

/// Checks that a value is as a schema of the document says.
#[track_caller]
pub fn assert_fits(name: &str, value: &Value) {
    let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
    let wrong: Vec<_> = validator(&reference).iter_errors(value).map(|e| e.to_string()).collect();
    assert!(wrong.is_empty(), "not a {name}: {wrong:#?} {value}");
}
