//! The AI gateway with Anthropic's Messages API behind it, played by a scripted server.

use reqwest::Method;
use serde_json::{Value, json};

use super::ai::{events, streamed};
use super::fake::{Do, Fake, event, status, stream_head};
use super::sql::texts;
use super::support::{Answer, Database, Server, on_both};

const KEY: &str = "sk-ant-test-0123456789";
const PATH: &str = "/api/ai/summarizer/summarize";

pub fn input() -> Value {
    json!({ "text": "The bridge is closed to cars. Buses take the tunnel." })
}

/// What makes a server use a fake upstream.
pub fn environment(fake: &Fake) -> [(&str, &str); 2] {
    [("TOLLGATE_ANTHROPIC_API_KEY", KEY), ("TOLLGATE_ANTHROPIC_BASE_URL", fake.url.as_str())]
}

async fn start(database: &Database, fake: &Fake) -> (Server, String) {
    let server = Server::demo_with(database, &environment(fake));
    let pro = server.sign_in("pro@studio.example").await;
    (server, pro)
}

fn head(usage: &Value) -> String {
    let message = json!({ "id": "msg_1", "model": "claude-haiku-5-5", "usage": usage });
    let block = json!({ "type": "tool_use", "id": "t", "name": "answer", "input": {} });
    stream_head("request-id: req_up_1\r\n")
        + &event(&json!({ "type": "message_start", "message": message }))
        + &event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
}

fn delta(text: &str) -> String {
    let delta = json!({ "type": "input_json_delta", "partial_json": text });
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn end(output_tokens: u64) -> String {
    let usage = json!({ "output_tokens": output_tokens });
    event(&json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": usage }))
        + &event(&json!({ "type": "message_stop" }))
}

fn answer_of(usage: &Value, result: &str, output_tokens: u64) -> Vec<Do> {
    let (first, second) = result.split_at(result.len() / 2);
    vec![Do::Send(head(usage) + &delta(first) + &delta(second) + &end(output_tokens))]
}

const RESULT: &str = r#"{"summary":"The bridge is closed.","keyPoints":["Buses take the tunnel."]}"#;

pub fn good() -> Vec<Do> {
    answer_of(&json!({ "input_tokens": 10, "output_tokens": 1 }), RESULT, 9)
}

/// A whole answer in prose.
pub fn prose(text: &str) -> Vec<Do> {
    let message =
        json!({ "id": "msg_1", "model": "claude-haiku-5-5", "usage": { "input_tokens": 10, "output_tokens": 1 } });
    let said = stream_head("request-id: req_up_1\r\n")
        + &event(&json!({ "type": "message_start", "message": message }))
        + &event(
            &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        )
        + &event(
            &json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        )
        + &event(
            &json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 1 } }),
        )
        + &event(&json!({ "type": "message_stop" }));
    vec![Do::Send(said)]
}

pub fn refused(code: u16) -> Vec<Do> {
    let body = json!({ "type": "error", "error": { "type": "some_error", "message": format!("no {KEY}") } });
    vec![Do::Send(status(code, "retry-after: 0\r\n", &body.to_string()))]
}

async fn assert_used(server: &Server, token: &str, used: i64) {
    let quota = server.quota(token, "prompts").await;
    assert_eq!(json!([quota["used"], quota["reserved"]]), json!([used, 0]));
}

/// A failure of the upstream: a problem that says that nothing was charged, and neither key nor words of the upstream.
fn assert_failed(answer: &Answer, status: u16, code: &str) {
    answer.assert_problem(status, code);
    assert!(answer.text_at("/detail").contains("Nothing was charged"), "{answer:?}");
    assert!(!answer.text.contains(KEY) && !answer.text.contains("some_error"), "{answer:?}");
}

#[test]
fn a_structured_answer_comes_through_the_tool_and_its_cost_stands_on_the_event() {
    on_both(async |database: Database| {
        let cached = json!({
            "input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 700, "cache_read_input_tokens": 5000,
            "cache_creation": { "ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 300 },
        });
        let large = json!({ "input_tokens": 150_000, "output_tokens": 1 });
        let fake = Fake::start(vec![answer_of(&cached, RESULT, 9), answer_of(&large, RESULT, 1_000)]).await;
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &environment(&fake));
        let pro = server.sign_in("pro@studio.example").await;
        let answer = server.post(PATH, &pro, input()).await;
        answer.assert_ok(200);
        assert_eq!(answer.body["result"], serde_json::from_str::<Value>(RESULT).expect("JSON"));
        let said = json!([answer.body["provider"], answer.body["model"], answer.body["demo"]]);
        assert_eq!(said, json!(["anthropic", "claude-haiku-5-5", false]));
        let usage = json!({ "inputTokens": 5710, "outputTokens": 9, "credits": 3 + 5719 });
        assert_eq!(answer.body["usage"], usage);
        assert_used(&server, &pro, 151).await;
        server.post(PATH, &pro, input()).await.assert_ok(200);

        let seen = &fake.seen()[0];
        let head = seen.head.to_lowercase();
        assert!(head.starts_with("post /v1/messages ") && head.contains(&format!("x-api-key: {KEY}")), "{head}");
        let sent: Value = serde_json::from_str(&seen.body).expect("JSON");
        let said = json!([sent["model"], sent["stream"], sent["tool_choice"]["type"], sent["max_tokens"]]);
        assert_eq!(said, json!(["claude-haiku-5-5", true, "tool", 2000]));
        assert!(sent["messages"].to_string().contains("The bridge is closed to cars"), "{sent}");
        assert!(server.stop().success());

        let details = "SELECT detail FROM usage_event WHERE detail IS NOT NULL ORDER BY event_id";
        let details = texts(&database, folder.path(), details).await;
        let details: Vec<Value> = details.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
        assert_eq!(details.len(), 2, "{details:?}");
        // 10 × 0.10 + 9 × 0.50 + 400 × 0.125 + 300 × 0.20 + 5000 × 0.01 dollars for a million tokens.
        let expected = json!({
            "component": "summarizer", "version": 1, "action": "summarize",
            "upstream": "anthropic", "model": "claude-haiku-5-5", "inputTokens": 10, "outputTokens": 9,
            "cacheWrite5mTokens": 400, "cacheWrite1hTokens": 300, "cacheReadTokens": 5000, "costMicros": 166, "estimated": false,
        });
        assert_eq!(details[0], expected);
        assert_eq!(details[1]["costMicros"], 77_500, "above 100,000 tokens: 150,000 × 0.50 + 1,000 × 2.50");
    });
}

#[test]
fn busy_upstreams_are_asked_again_and_a_broken_one_is_told_without_charge() {
    on_both(async |database: Database| {
        let broken = || vec![refused(500), refused(500), refused(500)];
        let busy = vec![refused(529), refused(529), refused(529)];
        let mut script = vec![refused(429), refused(529), good()];
        script.extend(broken());
        script.extend(busy);
        script.extend([refused(401), refused(400)]);
        script.extend(broken());
        script.push(good());
        let fake = Fake::start(script).await;
        let (server, pro) = start(&database, &fake).await;
        server.post(PATH, &pro, input()).await.assert_ok(200);
        assert_eq!(fake.seen().len(), 3, "429 and 529 were asked again");
        assert_used(&server, &pro, 151).await;
        assert_failed(&server.post(PATH, &pro, input()).await, 502, "upstream-failed");
        assert_eq!(fake.seen().len(), 6);
        let overloaded = server.post(PATH, &pro, input()).await;
        assert_failed(&overloaded, 503, "upstream-overloaded");
        assert!(overloaded.header("retry-after").is_some(), "{overloaded:?}");
        assert_eq!(fake.seen().len(), 9);
        for _ in ["a wrong key", "a wrong request"] {
            assert_failed(&server.post(PATH, &pro, input()).await, 502, "upstream-failed");
        }
        assert_eq!(fake.seen().len(), 11, "neither is asked again");
        assert_used(&server, &pro, 151).await;
        // A call that failed runs again with the same key.
        let run = async || {
            let request = server.request(Method::POST, PATH, &pro).header("idempotency-key", "once");
            server.send(request.json(&input())).await
        };
        assert_failed(&run().await, 502, "upstream-failed");
        let done = run().await;
        done.assert_ok(200);
        assert_eq!(run().await.body, done.body);
        assert_used(&server, &pro, 152).await;
        assert!(!server.log().contains(KEY), "no key in the log");
    });
}

#[test]
fn a_cut_or_unfit_answer_is_told_and_not_charged() {
    on_both(async |database: Database| {
        let usage = json!({ "input_tokens": 10, "output_tokens": 1 });
        let cut = || vec![Do::Send(head(&usage) + &delta("{\"summary\":\"The br"))];
        let unfit = r#"{"summary":7}"#;
        let script =
            vec![cut(), cut(), answer_of(&usage, unfit, 9), answer_of(&usage, unfit, 9), answer_of(&usage, "{]", 2)];
        let fake = Fake::start(script).await;
        let (server, pro) = start(&database, &fake).await;
        for streaming in [false, true, false, true, false] {
            if !streaming {
                assert_failed(&server.post(PATH, &pro, input()).await, 502, "upstream-failed");
                continue;
            }
            let events = events(&streamed(&server, &pro, PATH, &input(), None).await);
            let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!((names[0], names[1], names[names.len() - 1]), ("start", "delta", "error"), "{names:?}");
            let error = &events[events.len() - 1].1;
            assert_eq!(json!([error["code"], error["status"]]), json!(["upstream-failed", 502]));
            assert!(error["detail"].as_str().is_some_and(|detail| detail.contains("Nothing was charged")), "{error}");
        }
        assert_eq!(fake.seen().len(), 5);
        assert_used(&server, &pro, 150).await;
    });
}

#[test]
fn usage_that_cannot_be_is_clamped() {
    on_both(async |database: Database| {
        let absurd = json!({ "input_tokens": 1_000_000_000_000_000_u64, "output_tokens": 1 });
        let fake = Fake::start(vec![answer_of(&absurd, RESULT, u64::from(u32::MAX))]).await;
        let (server, pro) = start(&database, &fake).await;
        let answer = server.post(PATH, &pro, input()).await;
        answer.assert_ok(200);
        let (read, written) = (answer.number_at("/usage/inputTokens"), answer.number_at("/usage/outputTokens"));
        assert!((1..1_000_000).contains(&read) && (1..=8_000).contains(&written), "{answer:?}");
        assert_eq!(answer.number_at("/usage/credits"), 3 + read + written);
        assert_used(&server, &pro, 151).await;
        let figures = server.get("/metrics", "").await;
        assert!(figures.text.contains("tollgate_ai_usage_clamped_total 1"), "the alarm is raised");
    });
}

#[test]
fn a_reader_who_leaves_pays_for_what_was_made_and_a_twin_must_wait_until_then() {
    on_both(async |database: Database| {
        let usage = json!({ "input_tokens": 10, "output_tokens": 1 });
        let endless = vec![Do::Send(head(&usage) + &delta("{\"summary\":\"The br")), Do::WaitUntilGone];
        let fake = Fake::start(vec![endless]).await;
        let (server, pro) = start(&database, &fake).await;
        let request = || {
            let request = server.request(Method::POST, PATH, &pro).header("accept", "text/event-stream");
            request.header("idempotency-key", "left").json(&input())
        };
        let mut reading = request().send().await.expect("an answer");
        let mut text = String::new();
        while !text.contains("event: delta") {
            let chunk = reading.chunk().await.expect("a stream").expect("a delta");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        let quota = server.quota(&pro, "prompts").await;
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([150, 1]), "held while it runs");
        let twin = server.send(request()).await;
        twin.assert_problem(409, "idempotency-in-flight");
        assert!(twin.header("retry-after").is_some(), "{twin:?}");

        drop(reading);
        fake.gone().await;
        let mut quota = Value::Null;
        for _ in 0..1_000_000 {
            quota = server.quota(&pro, "prompts").await;
            if quota["reserved"] == 0 {
                break;
            }
        }
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([151, 0]), "what was used is charged");
        assert_eq!(fake.seen().len(), 1);
    });
}
