//! The OpenAI-compatible adapter against a scripted server.

use std::time::Duration;

use super::fake::{Do, Fake, status, stream_head};
use providers::http::Secret;
use providers::llm::{Answer, Call, Config, Failure, FailureKind, OpenAi, Part, Piece, Retry, Upstream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const KEY: &str = "sk-openai-secret";

fn call(schema: bool) -> Call {
    Call {
        model: "local".to_owned(),
        api_version: None,
        system: "Be brief.".to_owned(),
        parts: vec![Part::Text("Hello".to_owned())],
        output_schema: schema.then(|| json!({ "type": "object" })),
        max_output_tokens: 50,
        component: "c".to_owned(),
        action: "a".to_owned(),
        input: json!({}),
        request_id: "req-1".to_owned(),
        timeout: Duration::from_secs(20),
    }
}

async fn run(script: Vec<String>, key: &str, call: &Call) -> (Fake, Result<Answer, Failure>, Vec<String>) {
    let fake = Fake::start(script.into_iter().map(|bytes| vec![Do::Send(bytes)]).collect()).await;
    let retry = Retry { base: Duration::from_millis(1), ..Retry::default() };
    let config = Config { retry, ..Config::new(format!("{}/v1/", fake.url), Secret::new(key)) };
    let upstream = OpenAi::new(config).expect("a usable configuration");
    let (sender, mut receiver) = mpsc::channel(2);
    let read = async {
        let mut texts = Vec::new();
        while let Some(Piece(text)) = receiver.recv().await {
            texts.push(text);
        }
        texts
    };
    let (result, pieces) = tokio::join!(upstream.run(call, sender), read);
    (fake, result, pieces)
}

fn chunk(content: &str, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": { "content": content }, "finish_reason": finish });
    format!("data: {}\n\n", json!({ "model": "local-7b", "choices": [choice], "usage": null }))
}

fn usage() -> String {
    let usage =
        json!({ "prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": { "cached_tokens": 60 } });
    format!("data: {}\n\ndata: [DONE]\n\n", json!({ "choices": [], "usage": usage }))
}

#[tokio::test]
async fn a_structured_answer_is_asked_for_and_read() {
    let script = stream_head("x-request-id: up-1\r\n")
        + &chunk("```json\n{\"a\":", None)
        + &chunk("1}\n```", Some("stop"))
        + &usage();
    let (fake, answer, pieces) = run(vec![script], KEY, &call(true)).await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.output, pieces.len()), (json!({ "a": 1 }), 2));
    assert_eq!((answer.usage.input_tokens, answer.usage.cache_read_tokens, answer.usage.output_tokens), (40, 60, 7));
    assert_eq!((answer.estimated, answer.model.as_str()), (false, "local-7b"));
    assert_eq!(answer.upstream_request_id.as_deref(), Some("up-1"));
    let seen = fake.seen().pop().expect("one request");
    let head = seen.head.to_lowercase();
    assert!(head.starts_with("post /v1/chat/completions ") && head.contains(&format!("authorization: bearer {KEY}")));
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(body.pointer("/stream_options/include_usage"), Some(&json!(true)));
    assert_eq!(body.pointer("/response_format/type"), Some(&json!("json_schema")));
    assert_eq!(body.pointer("/max_tokens"), Some(&json!(50)));
    assert_eq!(body.pointer("/messages/1/content"), Some(&json!("Hello")));
}

#[tokio::test]
async fn a_server_without_usage_key_or_end_mark_works_and_is_marked_as_estimated() {
    let script = stream_head("") + &chunk("Good day", None) + &chunk(".", Some("stop"));
    let (fake, answer, _) = run(vec![script], "", &call(false)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.output, json!("Good day."));
    // 9 + 5 characters of prompt and 9 of answer, each text rounded up to tokens of four.
    assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens, answer.estimated), (5, 3, true));
    assert!(!fake.seen().pop().expect("one request").head.to_lowercase().contains("authorization"));
}

#[tokio::test]
async fn a_cut_stream_is_cut() {
    let (fake, answer, _) = run(vec![stream_head("") + &chunk("Good", None)], KEY, &call(false)).await;
    let failure = answer.expect_err("cut");
    assert_eq!((failure.kind, failure.estimated, fake.seen().len()), (FailureKind::Cut, true, 1));
}

#[tokio::test]
async fn an_empty_purse_is_not_tried_again_and_a_rate_limit_is() {
    let empty = json!({ "error": { "message": format!("quota of {KEY}"), "code": "insufficient_quota" } }).to_string();
    let (fake, answer, _) = run(vec![status(429, "", &empty)], KEY, &call(false)).await;
    let failure = answer.expect_err("empty");
    assert_eq!((failure.kind, fake.seen().len()), (FailureKind::Credentials, 1));
    assert!(!failure.detail.contains(KEY), "{}", failure.detail);
    let limited = json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } }).to_string();
    let good = stream_head("") + &chunk("Good", Some("stop")) + &usage();
    let (fake, answer, _) = run(vec![status(429, "retry-after: 0\r\n", &limited), good], KEY, &call(false)).await;
    assert_eq!((answer.is_ok(), fake.seen().len()), (true, 2));
}

#[tokio::test]
async fn a_truncated_object_is_a_bad_answer() {
    let script = stream_head("") + &chunk("{\"a\":", Some("length")) + &usage();
    let (_, answer, _) = run(vec![script], KEY, &call(true)).await;
    let failure = answer.expect_err("truncated");
    assert_eq!((failure.kind, failure.usage.output_tokens), (FailureKind::BadAnswer, 7));
}
