//! What operators see and do: health, figures, headers, the API's own description, stopping, the books.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::sql::execute;
use super::support::{Database, Server, assert_books_are_right, on_both, on_sqlite, tollgate};

#[test]
fn health_readiness_and_figures_answer_without_a_credential() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let health = server.get("/healthz", "").await;
        assert_eq!((health.status, &health.body["status"]), (200, &json!("ok")));
        let ready = server.get("/readyz", "").await;
        let kind = if matches!(database, Database::Sqlite) { "SQLite" } else { "PostgreSQL" };
        assert_eq!((ready.status, &ready.body["status"]), (200, &json!("ready")));
        assert_eq!(ready.text_at("/database"), kind);
        let figures = server.get("/metrics", "").await;
        figures.assert_ok(200);
        assert!(figures.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
        for name in [
            "tollgate_http_requests_total{status=\"2xx\"}",
            "tollgate_http_seconds_bucket",
            "tollgate_live_connections 0",
        ] {
            assert!(figures.text.contains(name), "{name}: {}", figures.text);
        }
    });
}

#[test]
fn every_answer_has_its_id_and_the_headers_that_protect_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let mut ids = BTreeSet::new();
        let paths = [
            "/",
            "/admin",
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/usage",
            "/api/me",
            "/api/plans",
            "/api/docs",
            "/api/openapi.json",
            "/api/nope",
            "/v1/nope",
            "/assets/nope.js",
            "/problems/quota-exceeded",
            "/problems/nope",
        ];
        for path in paths {
            for credential in ["", near.as_str(), "nonsense"] {
                let answer = server.get(path, credential).await;
                let id = answer.header("x-request-id").expect("an id").to_owned();
                if answer.status >= 400 && answer.body.is_object() {
                    assert_eq!(answer.body["instance"], id.as_str(), "the problem names it: {answer:?}");
                }
                assert!(id.starts_with("req_") && ids.insert(id), "{path}: each its own");
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
                assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
                assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
                assert!(answer.header("cache-control").is_some(), "{path}");
                assert_eq!(answer.header("server"), None, "{path}");
                if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                    let policy = answer.header("content-security-policy").expect("a policy");
                    assert!(
                        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                        "{policy}"
                    );
                }
            }
        }
    });
}

#[test]
fn what_is_not_there_and_what_cannot_be_done_there_are_problems() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        for path in [
            "/api/nope",
            "/api",
            "/api/",
            "/v1/messages",
            "/assets/nope.js",
            "/assets/..%2fCargo.toml",
            "/problems/nope",
        ] {
            for method in [Method::GET, Method::POST] {
                let answer = server.send(server.request(method.clone(), path, "")).await;
                if method == Method::POST && answer.status == 405 {
                    answer.assert_problem(405, "method-not-allowed");
                } else {
                    answer.assert_problem(404, "not-found");
                }
            }
        }
        for (method, path) in [
            (Method::DELETE, "/api/usage"),
            (Method::GET, "/api/usage/consume"),
            (Method::PUT, "/api/auth/login"),
            (Method::POST, "/healthz"),
            (Method::PATCH, "/api/customers"),
            (Method::POST, "/api/docs"),
            (Method::POST, "/"),
            (Method::DELETE, "/playground"),
        ] {
            server.send(server.request(method, path, "")).await.assert_problem(405, "method-not-allowed");
        }
    });
}

#[test]
fn the_api_describes_itself_as_it_is_committed_and_without_a_foreign_host() {
    on_sqlite(async || {
        let server = Server::demo(&Database::Sqlite);
        let committed: Value = serde_json::from_str(include_str!("../../../../openapi.json")).expect("JSON");
        let shown = server.get("/api/openapi.json", "").await;
        assert_eq!(shown.header("content-type"), Some("application/json"));
        assert!(shown.body == committed, "run `make openapi`");
        let docs = server.get("/api/docs", "").await;
        docs.assert_ok(200);
        for path in committed["paths"].as_object().expect("paths").keys() {
            assert!(docs.text.contains(&format!("<code>{path}</code>")), "{path}");
        }
        for foreign in ["<script", "src=", "href=\"http", "href=\"//", "url(", "@import", "<iframe", "<link"] {
            assert!(!docs.text.contains(foreign), "{foreign}");
        }
    });
}

#[test]
fn every_kind_of_problem_has_its_page() {
    on_sqlite(async || {
        let server = Server::demo(&Database::Sqlite);
        let source = include_str!("../../src/error.rs");
        let rows = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> ("));
        let codes: Vec<(&str, &str)> = rows
            .filter_map(|(_, row)| {
                let (status, rest) = row.split_once(", \"")?;
                Some((status, rest.split_once('"')?.0))
            })
            .collect();
        assert!(codes.len() >= 30, "{codes:?}");
        for (status, code) in codes {
            let page = server.get(&format!("/problems/{code}"), "").await;
            page.assert_ok(200);
            assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
            assert!(page.text.contains(code) && page.text.contains(&format!("HTTP status {status}")), "{}", page.text);
        }
    });
}

/// Reads until a text has come.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut said = String::new();
    while !said.contains(wanted) {
        let mut chunk = [0; 4_096];
        let count = stream.read(&mut chunk).await.expect("it can be read");
        assert!(count > 0, "it ended after: {said}");
        said.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    said
}

#[test]
fn a_stop_answers_what_is_in_progress_and_takes_nothing_new() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        let address = server.url.trim_start_matches("http://").to_owned();
        let body = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] }).to_string();
        let head = format!(
            "POST /api/usage/consume HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {near}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(&address).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it can be written");
        read_until(&mut stream, "100 Continue").await;
        server.ask_to_stop();
        // It has begun to stop once nobody else is let in.
        while TcpStream::connect(&address).await.is_ok() {}
        stream.write_all(body.as_bytes()).await.expect("it can be written");
        let answer = read_until(&mut stream, "\"quotas\"").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"used\":88"), "{answer}");
        assert!(server.wait().success());
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 88);
        assert!(server.stop().success());
        assert_books_are_right(&database, folder.path());
    });
}

#[test]
fn a_second_process_on_one_sqlite_file_is_refused_and_told_who_has_it() {
    on_sqlite(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&Database::Sqlite, folder.path(), &["--demo"], &[]);
        let pid = format!("process {}", server.pid());
        let said = Server::try_start(&Database::Sqlite, folder.path(), &["--demo"], &[]).err().expect("refused");
        assert!(said.contains(&pid), "{said}");
        for command in ["doctor", "rebuild", "migrate"] {
            let output = tollgate(&Database::Sqlite, folder.path(), command).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(&pid), "{command}: {said}");
        }
        server.get("/readyz", "").await.assert_ok(200);
        server.kill();
        let server = Server::start(&Database::Sqlite, folder.path(), &["--demo"], &[]);
        server.get("/readyz", "").await.assert_ok(200);
    });
}

#[test]
fn the_doctor_finds_a_wrong_counter_and_a_rebuild_repairs_it() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |command: &str, arguments: &[&str]| {
            let output = tollgate(&database, folder.path(), command).args(arguments).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), said)
        };
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        let hold = json!({ "items": [{ "feature": "risk_assessment", "amount": 3 }], "ttlSeconds": 3600 });
        server.post("/api/usage/reserve", &near, hold).await.assert_ok(201);
        assert!(server.stop().success());
        let (clean, said) = run("doctor", &["--invariants"]);
        assert!(clean && said.contains("no violation"), "{said}");

        let planted = "UPDATE counter SET used = used + 5 WHERE used = 87";
        for (wrong, invariant) in [(planted, "I2 "), ("UPDATE counter SET held = 9 WHERE held = 3", "I2 ")] {
            execute(&database, folder.path(), wrong).await;
            let (clean, said) = run("doctor", &["--invariants"]);
            assert!(!clean && said.contains(invariant) && said.contains("tollgate rebuild"), "{said}");
            let (done, said) = run("rebuild", &[]);
            assert!(done && said.contains("counters restored"), "{said}");
            let (clean, said) = run("doctor", &["--invariants"]);
            assert!(clean, "{said}");
        }
        execute(&database, folder.path(), "UPDATE reservation SET state = 'released' WHERE state = 'open'").await;
        let (clean, said) = run("doctor", &["--invariants"]);
        assert!(!clean && said.contains("I14 "), "{said}");
        execute(&database, folder.path(), "UPDATE reservation SET state = 'open' WHERE state = 'released'").await;

        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        let usage = server.get("/api/usage", &near).await;
        assert_eq!((usage.number_at("/invoice_ocr/used"), usage.number_at("/risk_assessment/reserved")), (87, 3));
        server
            .post("/api/usage/consume", &near, json!({ "items": [{ "feature": "invoice_ocr", "amount": 13 }] }))
            .await
            .assert_ok(200);
    });
}
