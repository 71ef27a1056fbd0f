//! What a reader with only the README and a will to break it found, so that it stays mended.

use reqwest::Method;
use serde_json::{Value, json};

use super::ai::{events, streamed};
use super::realtime::Live;
use super::support::{Database, Server, on_both, tollgate};

const SCOPES: [&str; 5] = ["usage:write", "usage:read", "customers:write", "tokens:mint", "ai:run"];

async fn start(database: &Database) -> (Server, String) {
    let server = Server::demo(database);
    let key = server.key(&SCOPES).await;
    server.customer(&key, "acme", "starter").await;
    (server, key)
}

#[test]
fn the_gateways_hold_is_not_the_callers_to_end() {
    on_both(async |database: Database| {
        let (server, _) = start(&database).await;
        let near = server.sign_in("near@halisoft.example").await;
        let input = json!({ "invoiceData": "Invoice 7, total 12.00 EUR" });
        let told = events(&streamed(&server, &near, "/api/ai/invoice-ocr/analyze", &input, None).await);
        let reservation = &told[0].1["reservation"];
        assert!(reservation.as_str().is_some_and(|id| id.starts_with("rsv_")), "{told:?}");
        let release = server.post("/api/usage/release", &near, json!({ "reservation": reservation })).await;
        release.assert_problem(404, "not-found");
        let settle = json!({ "reservation": reservation, "items": [] });
        server.post("/api/usage/settle", &near, settle).await.assert_problem(404, "not-found");
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 88);
    });
}

#[test]
fn a_settlement_after_a_release_is_refused_and_a_second_release_is_no_error() {
    on_both(async |database: Database| {
        let (server, key) = start(&database).await;
        let reserve = json!({ "customer": "acme", "items": [{ "feature": "risk_assessment", "amount": 5 }] });
        let id = server.post("/api/usage/reserve", &key, reserve).await.text_at("/reservation");
        for _ in 0..2 {
            server.post("/api/usage/release", &key, json!({ "reservation": id })).await.assert_ok(200);
        }
        let settle = json!({ "reservation": id, "items": [{ "feature": "risk_assessment", "amount": 5 }] });
        server.post("/api/usage/settle", &key, settle).await.assert_problem(409, "reservation-ended");
    });
}

#[test]
fn a_batch_under_one_key_is_done_once() {
    on_both(async |database: Database| {
        let (server, key) = start(&database).await;
        let send = async |amounts: [i64; 2]| {
            let item =
                |amount| json!({ "customer": "acme", "items": [{ "feature": "risk_assessment", "amount": amount }] });
            let request = server.request(Method::POST, "/api/usage/batch", &key).header("idempotency-key", "night");
            server.send(request.json(&json!({ "items": amounts.map(item) }))).await
        };
        let first = send([1, 2]).await;
        let again = send([1, 2]).await;
        assert_eq!(first.body["results"], again.body["results"]);
        let other = send([1, 3]).await;
        assert_eq!(json!([other.body["results"][0]["status"], other.body["results"][1]["status"]]), json!([200, 422]));
        assert_eq!(server.quota_of(&key, "acme", "risk_assessment").await["used"], 3);
    });
}

#[test]
fn pages_of_other_origins_may_call_with_a_token_and_never_with_a_cookie() {
    on_both(async |database: Database| {
        let (server, key) = start(&database).await;
        let origin = "https://app.example";
        let asked = server.request(Method::OPTIONS, "/api/usage/consume", "").header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST");
        let asked = server.send(asked.header("access-control-request-headers", "authorization,idempotency-key")).await;
        asked.assert_ok(200);
        assert_eq!(asked.header("access-control-allow-origin"), Some(origin));
        assert!(asked.header("access-control-allow-headers").is_some_and(|names| names.contains("idempotency-key")));
        assert_eq!(asked.header("access-control-allow-credentials"), None);

        let mint = json!({ "customer": "acme", "origin": origin });
        let token = server.post("/api/tokens", &key, mint).await.text_at("/token");
        let from = async |credential: &str, headers: &[(&str, &str)]| {
            let request = server.request(Method::GET, "/api/usage", credential);
            server.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
        };
        let read = from(&token, &[("origin", origin)]).await;
        read.assert_ok(200);
        assert_eq!(read.header("access-control-allow-origin"), Some(origin));
        let elsewhere = from(&token, &[("origin", "https://other.example")]).await;
        elsewhere.assert_problem(401, "unauthenticated");
        assert!(elsewhere.text_at("/detail").contains(origin), "it says what is wrong: {elsewhere:?}");
        assert_eq!(from("", &[("origin", origin)]).await.header("access-control-allow-origin"), None);

        let host = server.url.trim_start_matches("http://").to_owned();
        let own = json!({ "customer": "acme", "origin": server.url });
        let own = server.post("/api/tokens", &key, own).await.text_at("/token");
        from(&own, &[("sec-fetch-site", "same-origin"), ("host", &host)]).await.assert_ok(200);
        from(&own, &[]).await.assert_problem(401, "unauthenticated");
        for wrong in ["*", "app.example", "https://app.example/path", "null", "https://App.example"] {
            let mint = json!({ "customer": "acme", "origin": wrong });
            server.post("/api/tokens", &key, mint).await.assert_field("/origin");
        }
    });
}

#[test]
fn a_replayed_ai_answer_says_so_and_files_must_be_what_they_say() {
    on_both(async |database: Database| {
        let (server, key) = start(&database).await;
        let run = async |input: Value| {
            let request = server.request(Method::POST, "/api/ai/invoice-ocr/analyze?customer=acme", &key);
            server.send(request.header("idempotency-key", "once").json(&input)).await
        };
        for data in ["!!!!", "Z2FyYmFnZQ=="] {
            run(json!({ "files": [{ "mediaType": "application/pdf", "data": data }] }))
                .await
                .assert_field("/files/0/data");
        }
        let input = json!({ "invoiceData": "Invoice 7" });
        assert!(!run(input.clone()).await.is_replay());
        assert!(run(input).await.is_replay());
        assert_eq!(server.quota_of(&key, "acme", "invoice_ocr").await["used"], 1);
    });
}

#[test]
fn nobody_registers_as_an_operator_or_takes_a_ticket_to_another_tenant() {
    on_both(async |database: Database| {
        let (server, _) = start(&database).await;
        let body = json!({ "email": "evil@x.example", "password": "correct horse battery" });
        let request = server.request(Method::POST, "/api/auth/register", "").header("x-tenant", "platform");
        server.send(request.json(&body)).await.assert_problem(403, "forbidden");
        let near = server.sign_in("near@halisoft.example").await;
        let ticket = server.post("/api/realtime/ticket", &near, json!({})).await.text_at("/ticket");
        let query = format!("?ticket={ticket}");
        let elsewhere = Live::try_open(&server, &query, &[("x-tenant", "studio")]).await;
        assert_eq!(elsewhere.err(), Some(403));
    });
}

#[test]
fn what_is_announced_as_far_too_large_is_refused_at_once() {
    on_both(async |database: Database| {
        let (server, key) = start(&database).await;
        let head = format!(
            "POST /api/usage/consume HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n"
        );
        let answer = server.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body-too-large"), "{answer}");
    });
}

#[test]
fn the_doctor_looks_only_at_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("nothing");
    for command in ["doctor", "rebuild"] {
        let ran = tollgate(&Database::Sqlite, &missing, command).output().expect("it runs");
        assert!(!ran.status.success() && !missing.exists());
        assert!(String::from_utf8_lossy(&ran.stderr).contains("there is no database"), "{ran:?}");
    }
}
