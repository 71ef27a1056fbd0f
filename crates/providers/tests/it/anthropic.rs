//! The Anthropic adapter against a scripted server.

use std::time::Duration;

use super::fake::{Do, Fake, event, status, stream_head};
use providers::http::Secret;
use providers::llm::{
    Answer, Anthropic, Call, Config, Failure, FailureKind, Part, Patience, Piece, Retry, Upstream, Usage,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver};

const KEY: &str = "sk-ant-very-secret-0123456789";

fn config(url: &str) -> Config {
    Config { retry: Retry { base: Duration::from_millis(1), ..Retry::default() }, ..Config::new(url, Secret::new(KEY)) }
}

fn call(schema: bool) -> Call {
    Call {
        model: "claude-sonnet-5-5".to_owned(),
        api_version: None,
        system: "You read invoices.".to_owned(),
        parts: vec![Part::Text("Invoice 1".to_owned())],
        output_schema: schema.then(|| json!({ "type": "object" })),
        max_output_tokens: 100,
        component: "invoice_ocr".to_owned(),
        action: "analyze".to_owned(),
        input: json!({}),
        request_id: "req-1".to_owned(),
        timeout: Duration::from_secs(20),
    }
}

async fn collect(mut pieces: Receiver<Piece>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(Piece(text)) = pieces.recv().await {
        texts.push(text);
    }
    texts
}

async fn run_with(config: Config, call: &Call) -> (Result<Answer, Failure>, Vec<String>) {
    let upstream = Anthropic::new(config).expect("a usable configuration");
    let (sender, receiver) = mpsc::channel(2);
    tokio::join!(upstream.run(call, sender), collect(receiver))
}

async fn run(script: Vec<Vec<Do>>, call: &Call) -> (Fake, Result<Answer, Failure>, Vec<String>) {
    let fake = Fake::start(script).await;
    let (result, pieces) = run_with(config(&fake.url), call).await;
    (fake, result, pieces)
}

fn start(usage: &Value) -> String {
    let message = json!({ "id": "msg_1", "model": "claude-sonnet-5-5-real", "usage": usage });
    stream_head("request-id: req_up_1\r\n") + &event(&json!({ "type": "message_start", "message": message }))
}

fn tool_start() -> String {
    let block = json!({ "type": "tool_use", "id": "t", "name": "answer", "input": {} });
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
}

fn json_delta(text: &str) -> String {
    event(
        &json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": text } }),
    )
}

fn text_delta(text: &str) -> String {
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }))
}

fn end(stop_reason: &str, usage: &Value) -> String {
    event(&json!({ "type": "message_delta", "delta": { "stop_reason": stop_reason }, "usage": usage }))
        + &event(&json!({ "type": "message_stop" }))
}

fn good() -> Vec<Do> {
    let usage = json!({ "input_tokens": 10, "output_tokens": 1 });
    vec![Do::Send(
        start(&usage)
            + &tool_start()
            + &json_delta("{\"total\":")
            + &json_delta("\"5.00\"}")
            + &end("tool_use", &json!({ "output_tokens": 9 })),
    )]
}

fn refused(code: u16, headers: &str, kind: &str) -> Vec<Do> {
    let body = json!({ "type": "error", "error": { "type": kind, "message": format!("no {KEY}") } });
    vec![Do::Send(status(code, headers, &body.to_string()))]
}

#[tokio::test]
async fn a_structured_answer_streams_its_json_and_counts_the_cache() {
    let usage = json!({
        "input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 700, "cache_read_input_tokens": 5000,
        "cache_creation": { "ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 300 },
    });
    let script = start(&usage)
        + &event(&json!({ "type": "ping" }))
        + "event: something_new\ndata: not even json\n\n"
        + &tool_start()
        + &json_delta("{\"total\":")
        + &json_delta("\"5.00\"}")
        + &event(&json!({ "type": "content_block_stop", "index": 0 }))
        + &event(&json!({ "type": "message_delta", "delta": {}, "usage": { "output_tokens": 4 } }))
        + &end("tool_use", &json!({ "output_tokens": 9, "cache_read_input_tokens": null }));
    let (fake, answer, pieces) = run(vec![vec![Do::Send(script)]], &call(true)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.output, json!({ "total": "5.00" }));
    assert_eq!(pieces, ["{\"total\":", "\"5.00\"}"]);
    let expected = Usage {
        input_tokens: 10,
        output_tokens: 9,
        cache_write_5m_tokens: 400,
        cache_write_1h_tokens: 300,
        cache_read_tokens: 5000,
    };
    assert_eq!(answer.usage, expected);
    assert_eq!((answer.usage.total_input(), answer.usage.total(), answer.estimated), (5710, 5719, false));
    assert_eq!(answer.model, "claude-sonnet-5-5-real");
    assert_eq!(answer.upstream_request_id.as_deref(), Some("req_up_1"));
    assert_eq!(answer.stop_reason.as_deref(), Some("tool_use"));
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn the_request_is_what_the_api_expects() {
    let mut asked = call(true);
    asked.parts.push(Part::Document { media_type: "application/pdf".to_owned(), data: "JVBERg==".to_owned() });
    asked.parts.push(Part::Image { media_type: "image/png".to_owned(), data: "iVBORw==".to_owned() });
    asked.parts.push(Part::Text("  ".to_owned()));
    let (fake, answer, _) = run(vec![good()], &asked).await;
    answer.expect("an answer");
    let seen = fake.seen().pop().expect("one request");
    let head = seen.head.to_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")) && head.contains("anthropic-version: 2023-06-01"));
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    let source = |media_type: &str, data: &str| json!({ "type": "base64", "media_type": media_type, "data": data });
    let expected = json!({
        "model": "claude-sonnet-5-5", "max_tokens": 100, "stream": true,
        "system": [{ "type": "text", "text": "You read invoices.", "cache_control": { "type": "ephemeral" } }],
        "tools": [{ "name": "answer", "description": "Gives the complete answer to the user.", "input_schema": { "type": "object" } }],
        "tool_choice": { "type": "tool", "name": "answer", "disable_parallel_tool_use": true },
        "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "Invoice 1" },
            { "type": "document", "source": source("application/pdf", "JVBERg==") },
            { "type": "image", "source": source("image/png", "iVBORw==") },
        ] }],
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn prose_comes_as_a_string_and_a_pinned_version_is_sent() {
    let text = start(&json!({ "input_tokens": 3, "output_tokens": 1 }))
        + &text_delta("Good ")
        + &text_delta("day.")
        + &end("end_turn", &json!({ "output_tokens": 4 }));
    let asked = Call { api_version: Some("2026-10-21".to_owned()), ..call(false) };
    let (fake, answer, pieces) = run(vec![vec![Do::Send(text)]], &asked).await;
    assert_eq!(answer.expect("an answer").output, json!("Good day."));
    assert_eq!(pieces, ["Good ", "day."]);
    let seen = fake.seen().pop().expect("one request");
    assert!(seen.head.to_lowercase().contains("anthropic-version: 2026-10-21") && !seen.body.contains("tools"));
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_asked() {
    let (fake, answer, _) =
        run(vec![refused(429, "retry-after: 0\r\n", "rate_limit_error"), good()], &call(true)).await;
    assert_eq!(answer.expect("an answer").usage.output_tokens, 9);
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_handed_to_the_caller() {
    let (fake, answer, _) = run(vec![refused(429, "retry-after: 45\r\n", "rate_limit_error")], &call(true)).await;
    let failure = answer.expect_err("no time to wait");
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::RateLimited, Some(Duration::from_secs(45))));
    assert_eq!((failure.usage, failure.estimated, fake.seen().len()), (Usage::default(), false, 1));
}

#[tokio::test]
async fn an_overload_is_tried_three_times() {
    let busy = || refused(529, "", "overloaded_error");
    let (fake, answer, _) = run(vec![busy(), busy(), good()], &call(true)).await;
    answer.expect("an answer");
    assert_eq!(fake.seen().len(), 3);
    let (fake, answer, _) = run(vec![busy(), busy(), busy(), good()], &call(true)).await;
    assert_eq!(answer.expect_err("used up").kind, FailureKind::Overloaded);
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn statuses_become_kinds_and_only_passing_ones_are_retried() {
    for (code, kind, expected, requests) in [
        (500, "api_error", FailureKind::Unavailable, 3),
        (504, "timeout_error", FailureKind::Timeout, 3),
        (409, "conflict_error", FailureKind::Unavailable, 3),
        (400, "invalid_request_error", FailureKind::Rejected, 1),
        (401, "authentication_error", FailureKind::Credentials, 1),
        (402, "billing_error", FailureKind::Credentials, 1),
        (403, "permission_error", FailureKind::Credentials, 1),
        (404, "not_found_error", FailureKind::Rejected, 1),
        (413, "request_too_large", FailureKind::Rejected, 1),
        (302, "", FailureKind::Unavailable, 1),
    ] {
        let script = vec![refused(code, "location: http://127.0.0.1:9/\r\n", kind); 3];
        let (fake, answer, _) = run(script, &call(true)).await;
        let failure = answer.expect_err("refused");
        assert_eq!((failure.kind, fake.seen().len()), (expected, requests), "{code}");
        assert!(!format!("{failure:?} {failure}").contains(KEY), "{failure:?}");
    }
}

#[tokio::test]
async fn the_upstream_overrules_the_status_by_its_header() {
    let (fake, answer, _) =
        run(vec![refused(500, "x-should-retry: false\r\n", "api_error"), good()], &call(true)).await;
    assert_eq!((answer.is_err(), fake.seen().len()), (true, 1));
    let (fake, answer, _) =
        run(vec![refused(400, "x-should-retry: true\r\n", "invalid_request_error"), good()], &call(true)).await;
    assert_eq!((answer.is_ok(), fake.seen().len()), (true, 2));
}

#[tokio::test]
async fn a_spend_limit_is_not_tried_again() {
    let error = json!({ "type": "rate_limit_error", "message": "limit", "details": { "error_code": "enforced_spend_limit_reached" } });
    let body = json!({ "type": "error", "error": error }).to_string();
    let (fake, answer, _) = run(vec![vec![Do::Send(status(429, "", &body))], good()], &call(true)).await;
    assert_eq!(answer.expect_err("no money").kind, FailureKind::Credentials);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn silence_before_the_first_byte_is_a_timeout() {
    let fake = Fake::start(vec![vec![Do::WaitUntilGone], vec![Do::WaitUntilGone]]).await;
    let patience = Patience { first_byte: Duration::from_millis(20), ..Patience::default() };
    let retry = Retry { retries_max: 1, base: Duration::from_millis(1), ..Retry::default() };
    let (answer, _) = run_with(Config { patience, retry, ..config(&fake.url) }, &call(true)).await;
    let failure = answer.expect_err("silence");
    assert_eq!((failure.kind, failure.usage, failure.estimated), (FailureKind::Timeout, Usage::default(), true));
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn silence_in_the_stream_is_a_timeout_with_what_was_used() {
    let begun =
        start(&json!({ "input_tokens": 50, "output_tokens": 1 })) + &tool_start() + &json_delta("{\"abc\":1234567");
    let fake = Fake::start(vec![vec![Do::Send(begun), Do::WaitUntilGone], good()]).await;
    let patience = Patience { idle: Duration::from_millis(50), ..Patience::default() };
    let (answer, pieces) = run_with(Config { patience, ..config(&fake.url) }, &call(true)).await;
    let failure = answer.expect_err("silence");
    // 14 characters were streamed: at least four tokens.
    let expected = Usage { input_tokens: 50, output_tokens: 4, ..Usage::default() };
    assert_eq!((failure.kind, failure.usage, failure.estimated), (FailureKind::Timeout, expected, true));
    assert_eq!((pieces.len(), fake.seen().len()), (1, 1));
}

#[tokio::test]
async fn the_call_has_a_deadline_of_its_own() {
    let fake = Fake::start(vec![vec![Do::WaitUntilGone]]).await;
    let asked = Call { timeout: Duration::from_millis(20), ..call(true) };
    let (answer, _) = run_with(config(&fake.url), &asked).await;
    assert_eq!(answer.expect_err("over").kind, FailureKind::Timeout);
    fake.gone().await;
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_cut_stream_is_charged_and_never_tried_again_after_the_first_piece() {
    let begun = start(&json!({ "input_tokens": 40, "output_tokens": 2, "cache_read_input_tokens": 7 }))
        + &tool_start()
        + &json_delta("{\"a\"");
    let (fake, answer, pieces) = run(vec![vec![Do::Send(begun)], good()], &call(true)).await;
    let failure = answer.expect_err("cut");
    let expected = Usage { input_tokens: 40, output_tokens: 2, cache_read_tokens: 7, ..Usage::default() };
    assert_eq!((failure.kind, failure.usage, failure.estimated), (FailureKind::Cut, expected, true));
    assert_eq!(failure.upstream_request_id.as_deref(), Some("req_up_1"));
    assert_eq!((pieces.len(), fake.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_stream_cut_before_the_first_piece_is_tried_again_and_its_tokens_are_kept() {
    let begun = start(&json!({ "input_tokens": 40, "output_tokens": 2 }));
    let (fake, answer, pieces) = run(vec![vec![Do::Send(begun)], good()], &call(true)).await;
    let answer = answer.expect("the second attempt");
    assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens, answer.estimated), (50, 11, true));
    assert_eq!((pieces.concat().as_str(), fake.seen().len()), ("{\"total\":\"5.00\"}", 2));
}

#[tokio::test]
async fn an_error_event_in_the_stream_keeps_the_usage() {
    let failed = event(&json!({ "type": "error", "error": { "type": "overloaded_error", "message": KEY } }));
    let begun = start(&json!({ "input_tokens": 40, "output_tokens": 2 })) + &tool_start() + &json_delta("{") + &failed;
    let (fake, answer, _) = run(vec![vec![Do::Send(begun)], good()], &call(true)).await;
    let failure = answer.expect_err("failed");
    assert_eq!((failure.kind, failure.usage.input_tokens, failure.estimated), (FailureKind::Overloaded, 40, true));
    assert!(failure.detail.contains("overloaded_error: ***"), "{}", failure.detail);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn absurd_negative_and_missing_usage_is_survived_and_marked() {
    let with = |first: &str, last: &str| {
        let start =
            format!("event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"usage\":{first}}}}}\n\n");
        let end = format!(
            "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"tool_use\"}},\"usage\":{last}}}\n\n"
        );
        stream_head("")
            + &start
            + &tool_start()
            + &json_delta("{\"a\": 1}")
            + &end
            + &event(&json!({ "type": "message_stop" }))
    };
    for (first, last, input, output) in [
        (
            "{\"input_tokens\":1e999,\"output_tokens\":0}",
            "{\"output_tokens\":99999999999999999999999}",
            u64::MAX,
            u64::MAX,
        ),
        ("{\"input_tokens\":-4,\"output_tokens\":-1}", "{\"output_tokens\":-9}", 0, 0),
        // 27 characters of prompt and 8 of answer, four to a token.
        ("null", "null", 8, 2),
        ("{}", "{}", 8, 2),
    ] {
        let (_, answer, _) = run(vec![vec![Do::Send(with(first, last))]], &call(true)).await;
        let answer = answer.expect("an answer all the same");
        assert_eq!(
            (answer.usage.input_tokens, answer.usage.output_tokens, answer.estimated),
            (input, output, true),
            "{first}"
        );
    }
}

#[tokio::test]
async fn a_reader_who_leaves_aborts_the_upstream_request() {
    let begun =
        start(&json!({ "input_tokens": 40, "output_tokens": 1 })) + &tool_start() + &json_delta("{\"abcdefgh\":");
    let fake = Fake::start(vec![vec![Do::Send(begun), Do::WaitUntilGone], good()]).await;
    let upstream = Anthropic::new(config(&fake.url)).expect("a usable configuration");
    let (sender, mut receiver) = mpsc::channel(1);
    let leave = async {
        receiver.recv().await.expect("the first piece");
        drop(receiver);
    };
    let asked = call(true);
    let (answer, ()) = tokio::join!(upstream.run(&asked, sender), leave);
    let failure = answer.expect_err("nobody reads");
    let expected = Usage { input_tokens: 40, output_tokens: 3, ..Usage::default() };
    assert_eq!((failure.kind, failure.usage, failure.estimated), (FailureKind::Canceled, expected, true));
    fake.gone().await;
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_reader_who_leaves_before_the_first_byte_aborts_too() {
    let fake = Fake::start(vec![vec![Do::WaitUntilGone]]).await;
    let upstream = Anthropic::new(config(&fake.url)).expect("a usable configuration");
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let failure = upstream.run(&call(true), sender).await.expect_err("nobody reads");
    assert_eq!(failure.kind, FailureKind::Canceled);
}

#[tokio::test]
async fn what_is_not_an_answer_is_a_bad_answer_with_its_usage() {
    let usage = json!({ "input_tokens": 10, "output_tokens": 1 });
    let with = |body: String, stop: &str| start(&usage) + &body + &end(stop, &json!({ "output_tokens": 90 }));
    for (script, detail) in [
        (with(tool_start() + &json_delta("{\"a\":"), "max_tokens"), "did not fit into 100 tokens"),
        (with(tool_start() + &json_delta("{\"a\":"), "tool_use"), "not a JSON object"),
        (with(tool_start() + &json_delta("[1]"), "tool_use"), "not a JSON object"),
        (with(text_delta("I cannot."), "refusal"), "declined"),
        (with(text_delta("Sure!"), "end_turn"), "did not give a structured answer"),
    ] {
        let (fake, answer, _) = run(vec![vec![Do::Send(script)], good()], &call(true)).await;
        let failure = answer.expect_err("bad");
        assert_eq!(
            (failure.kind, failure.usage.output_tokens, failure.estimated),
            (FailureKind::BadAnswer, 90, false),
            "{detail}"
        );
        assert!(failure.detail.contains(detail), "{}", failure.detail);
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_complete_answer_at_the_token_limit_is_an_answer() {
    let script = start(&json!({ "input_tokens": 1, "output_tokens": 1 }))
        + &tool_start()
        + &json_delta("{}")
        + &end("max_tokens", &json!({ "output_tokens": 100 }));
    let (_, answer, _) = run(vec![vec![Do::Send(script)]], &call(true)).await;
    assert_eq!(answer.expect("complete").output, json!({}));
}

#[tokio::test]
async fn an_endless_answer_is_refused() {
    let usage = json!({ "input_tokens": 10, "output_tokens": 1 });
    let mut script = start(&usage);
    let piece = text_delta(&"x".repeat(500_000));
    for _ in 0..9 {
        script += &piece;
    }
    let (_, answer, pieces) =
        run(vec![vec![Do::Send(script + &end("end_turn", &json!({ "output_tokens": 90 })))]], &call(false)).await;
    assert_eq!(answer.expect_err("too long").kind, FailureKind::BadAnswer);
    assert_eq!(pieces.len(), 8);
    let line = stream_head("") + "data: " + &"x".repeat(2_000_000);
    let (_, answer, _) = run(vec![vec![Do::Send(line), Do::WaitUntilGone]], &call(false)).await;
    let failure = answer.expect_err("too long");
    assert_eq!(failure.kind, FailureKind::BadAnswer);
    assert!(failure.detail.contains("1 MiB"), "{}", failure.detail);
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_named() {
    let (_, answer, _) = run(vec![vec![Do::Send(status(200, "", "{}"))]], &call(true)).await;
    let failure = answer.expect_err("no stream");
    assert_eq!(failure.kind, FailureKind::BadAnswer);
    assert!(failure.detail.contains("application/json"), "{}", failure.detail);
}

#[tokio::test]
async fn an_unreachable_upstream_is_unavailable() {
    // Port 9 on the loopback has no listener.
    let (answer, _) = run_with(config("http://127.0.0.1:9"), &call(true)).await;
    let failure = answer.expect_err("nobody there");
    assert_eq!((failure.kind, failure.estimated), (FailureKind::Unavailable, false));
}

#[test]
fn the_key_shows_in_no_debug_output() {
    let config = config("http://127.0.0.1:9");
    let upstream = Anthropic::new(config.clone()).expect("a usable configuration");
    assert!(!format!("{config:?} {upstream:?}").contains("very-secret"));
}

#[test]
fn what_cannot_be_sent_is_refused_at_set_up() {
    assert!(Anthropic::new(Config { base_url: "api.anthropic.com".to_owned(), ..config("") }).is_err());
    assert!(Anthropic::new(Config::new("https://api.anthropic.com", Secret::new("a\nb"))).is_err());
}
