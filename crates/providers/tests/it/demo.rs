//! The demo upstream as such, and what the other tests call it with.

use std::sync::LazyLock;
use std::time::Duration;

use providers::llm::{Answer, Call, Demo, FailureKind, Part, Piece, Upstream, estimate_tokens};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const HALISOFT: &str = include_str!("../../../server/src/demo/halisoft-components.yaml");
const STUDIO: &str = include_str!("../../../server/src/demo/studio-components.yaml");

/// The components of both demo tenants.
pub(crate) static CATALOG: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).expect("the catalog is YAML");
    let components =
        |text: &str| read(text).get("components").and_then(Value::as_array).expect("its components").clone();
    [components(HALISOFT), components(STUDIO)].concat()
});

/// An action of the catalog.
pub(crate) fn action(component: &str) -> &'static Value {
    let named = |value: &&Value| value.get("key").and_then(Value::as_str) == Some(component);
    let found = CATALOG.iter().find(named).and_then(|value| value.pointer("/actions/0"));
    found.expect("a component of the catalog with an action")
}

/// The call that the server makes for this input, without rendering a template.
pub(crate) fn call(component: &str, input: &Value) -> Call {
    let known = CATALOG.iter().any(|value| value.get("key").and_then(Value::as_str) == Some(component));
    let action = if known { action(component).clone() } else { json!({ "name": "run", "outputSchema": null }) };
    let text = |name: &str| action.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Call {
        model: "claude-sonnet-5-5".to_owned(),
        api_version: None,
        system: text("system"),
        parts: Vec::new(),
        output_schema: action.get("outputSchema").filter(|schema| !schema.is_null()).cloned(),
        max_output_tokens: 1000,
        component: component.to_owned(),
        action: text("name"),
        input: input.clone(),
        request_id: "req-1".to_owned(),
        timeout: Duration::from_secs(20),
    }
}

/// Runs the demo and checks what holds for every answer: the pieces are the answer, and the answer fits its schema.
pub(crate) async fn run(call: &Call) -> Answer {
    let (sender, mut receiver) = mpsc::channel(4);
    let read = async {
        let mut text = String::new();
        while let Some(Piece(piece)) = receiver.recv().await {
            assert!(piece.chars().count() <= 24, "a small piece: {piece}");
            text.push_str(&piece);
        }
        text
    };
    let (answer, text) = tokio::join!(Demo.run(call, sender), read);
    let answer = answer.expect("the demo answers");
    match &call.output_schema {
        None => assert_eq!(answer.output.as_str(), Some(text.as_str())),
        Some(schema) => {
            let streamed: Value = serde_json::from_str(&text).expect("the pieces are JSON");
            assert_eq!(streamed, answer.output);
            fits(schema, &answer.output);
        }
    }
    assert_eq!(answer.usage.output_tokens, estimate_tokens(&text));
    answer
}

/// Fails with every place where the value does not fit.
pub(crate) fn fits(schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).expect("a JSON Schema");
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

/// The demo's answer to an input.
pub(crate) async fn output(component: &str, input: Value) -> Value {
    fits(action(component).get("inputSchema").expect("a schema"), &input);
    run(&call(component, &input)).await.output
}

#[tokio::test]
async fn every_sample_of_the_catalog_is_answered_the_same_way_twice() {
    assert_eq!(CATALOG.len(), 8);
    for component in CATALOG.iter() {
        let key = component.get("key").and_then(Value::as_str).expect("a key");
        let sample = action(key).get("sample").expect("a sample").clone();
        fits(action(key).get("inputSchema").expect("a schema"), &sample);
        let asked = call(key, &sample);
        let (one, other) = (run(&asked).await, run(&asked).await);
        assert_eq!(one, other);
        assert_eq!((one.model.as_str(), one.estimated), ("demo", false));
        assert!(one.usage.input_tokens > 100 && one.usage.output_tokens > 10, "{key}: {:?}", one.usage);
        let floats = one.output.to_string().split(['"']).step_by(2).any(|plain| plain.contains('.'));
        assert!(!floats || one.output.is_string(), "{key} answers with a float: {}", one.output);
    }
}

#[test]
fn the_rows_of_the_catalog_are_complete() {
    for component in CATALOG.iter() {
        let key = component.get("key").and_then(Value::as_str).expect("a key");
        let draws = component.pointer("/draws/0").expect("a draw");
        let studio = ["writing_assistant", "summarizer"].contains(&key);
        let feature = if studio { "prompts" } else { key };
        assert_eq!(draws, &json!({ "feature": feature, "amount": 1 }));
        assert!(component.get("baseTokenCost").is_some_and(Value::is_u64), "{key}");
        let action = action(key);
        for field in ["name", "description", "system", "template"] {
            assert!(
                action.get(field).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty()),
                "{key}.{field}"
            );
        }
        assert_eq!(action.pointer("/inputSchema/additionalProperties"), Some(&json!(false)), "{key}");
        let output = action.get("outputSchema").expect("present");
        assert!(output.is_null() || output.get("type") == Some(&json!("object")), "{key}");
        assert!(
            action.get("maxOutputTokens").is_some_and(Value::is_u64)
                && action.get("accepts").is_some_and(Value::is_array)
        );
    }
}

#[test]
fn input_schemas_refuse_what_does_not_belong() {
    for (component, input) in [
        ("invoice_ocr", json!({})),
        ("invoice_ocr", json!({ "invoiceData": "  " })),
        ("invoice_ocr", json!({ "invoiceData": 5 })),
        ("invoice_ocr", json!({ "invoiceData": "x", "extra": 1 })),
        ("invoice_ocr", json!({ "files": [] })),
        ("invoice_ocr", json!({ "files": [{ "mediaType": "application/zip", "data": "AAAA" }] })),
        ("risk_assessment", json!({ "description": "short" })),
        ("audit_assistant", json!({ "records": "1; 2" })),
        ("contract_review", json!({ "party": "Acme" })),
        ("expense_categorization", json!({ "expenses": [{ "description": "x", "amount": "12,50" }] })),
        (
            "cash_flow_forecast",
            json!({ "openingBalance": "1", "history": [{ "month": "2025-13", "inflow": 1, "outflow": 1 }] }),
        ),
        ("writing_assistant", json!({ "prompt": "" })),
        ("summarizer", json!({ "text": null })),
    ] {
        let schema = action(component).get("inputSchema").expect("a schema");
        assert!(!jsonschema::is_valid(schema, &input), "{component} {input}");
    }
    let schema = action("invoice_ocr").get("inputSchema").expect("a schema");
    for input in [
        json!({ "invoiceData": "x" }),
        json!({ "invoiceData": { "total": 5 } }),
        json!({ "files": [{ "mediaType": "image/png", "data": "AAAA" }] }),
    ] {
        fits(schema, &input);
    }
}

#[tokio::test]
async fn a_reader_who_leaves_ends_the_demo_with_what_was_sent() {
    let asked = call("writing_assistant", &json!({ "prompt": "Write an e-mail about the harbour festival" }));
    let (sender, mut receiver) = mpsc::channel(1);
    let leave = async {
        receiver.recv().await.expect("a piece");
        drop(receiver);
    };
    let (answer, ()) = tokio::join!(Demo.run(&asked, sender), leave);
    let failure = answer.expect_err("nobody reads");
    assert_eq!(failure.kind, FailureKind::Canceled);
    assert!((6..=18).contains(&failure.usage.output_tokens), "{:?}", failure.usage);
}

#[tokio::test]
async fn a_component_that_an_admin_has_added_gets_an_answer_that_fits() {
    let mut asked = call("translator", &json!({ "text": "Good morning. The weather is fine." }));
    let prose = run(&asked).await.output;
    assert!(prose.as_str().is_some_and(|text| text.starts_with("[Demo answer")), "{prose}");
    asked.parts.push(Part::Text("Good morning.".to_owned()));
    asked.output_schema = Some(json!({
        "type": "object", "additionalProperties": false, "required": ["text", "kind", "count", "tags", "day", "inner", "maybe"],
        "properties": {
            "text": { "type": "string", "minLength": 3, "maxLength": 20 },
            "kind": { "enum": ["a", "b"] },
            "count": { "type": "integer", "minimum": 2 },
            "tags": { "type": "array", "minItems": 2, "items": { "type": "string" } },
            "day": { "type": "string", "format": "date" },
            "inner": { "type": "object", "required": ["yes"], "properties": { "yes": { "type": "boolean" } } },
            "maybe": { "type": ["null", "string"] },
        },
    }));
    run(&asked).await;
}
