//! A tenant that the operator has stopped: every way in is closed at once, on every node, and nothing is lost.

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::anthropic::{environment, input};
use super::fake::{Do, Fake, event, stream_head};
use super::operator::{OPERATOR, TENANTS, sign_in_at};
use super::realtime::Live;
use super::sql::texts;
use super::support::{Answer, Database, PASSWORD, Server, on_both, on_postgres};

const ALL: [&str; 6] = ["usage:write", "usage:read", "customers:write", "tokens:mint", "ai:run", "admin"];

async fn set(server: &Server, operator: &str, slug: &str, suspended: bool) {
    let edit = json!({ "suspended": suspended, "reason": "Test" });
    let edited = server.patch(&format!("{TENANTS}/{slug}"), operator, edit).await;
    assert_eq!((edited.status, &edited.body["suspended"]), (200, &json!(suspended)));
    assert_eq!(
        (edited.body["suspendedReason"].is_string(), edited.body["suspendedAt"].is_string()),
        (suspended, suspended)
    );
}

/// One way in, and what it answers when it is open.
struct Way {
    method: Method,
    path: &'static str,
    credential: String,
    body: Value,
    open: u16,
}

/// Every kind of credential on every kind of route.
async fn ways(server: &Server) -> Vec<Way> {
    let key = server.key(&ALL).await;
    server.customer(&key, "acme", "starter").await;
    let (near, admin) = (server.sign_in("near@halisoft.example").await, server.sign_in("admin@halisoft.example").await);
    let minted = json!({ "customer": "acme", "scopes": ["usage:read", "usage:write"] });
    let browser = server.post("/api/tokens", &key, minted).await.text_at("/token");
    let one = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
    let of_acme = json!({ "customer": "acme", "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
    let invoice = json!({ "invoiceData": "ACME GmbH\nInvoice No. 2025-017\nTotal EUR 240.00" });
    let login = json!({ "email": "near@halisoft.example", "password": PASSWORD });
    let wrong = json!({ "email": "near@halisoft.example", "password": "wrong-password-1" });
    let register = json!({ "email": "ann@example.com", "password": PASSWORD });
    let sales = json!({ "name": "Ann", "email": "ann@example.com", "message": "Hello" });
    let way = |method: &Method, path, credential: &str, body: &Value, open| Way {
        method: method.clone(),
        path,
        credential: credential.to_owned(),
        body: body.clone(),
        open,
    };
    let (get, post, nothing) = (&Method::GET, &Method::POST, &Value::Null);
    vec![
        way(post, "/api/usage/consume", &near, &one, 200),
        way(post, "/api/usage/consume", &browser, &one, 200),
        way(post, "/api/usage/consume", &key, &of_acme, 200),
        way(post, "/api/usage/check", &key, &of_acme, 200),
        way(post, "/api/usage/reserve", &key, &of_acme, 201),
        way(post, "/api/ai/invoice-ocr/analyze", &near, &invoice, 200),
        way(post, "/api/ai/invoice-ocr/analyze?customer=acme", &key, &invoice, 200),
        way(get, "/api/usage", &near, nothing, 200),
        way(get, "/api/usage", &browser, nothing, 200),
        way(get, "/api/usage/history?feature=invoice_ocr", &near, nothing, 200),
        way(get, "/api/customers/acme", &key, nothing, 200),
        way(get, "/api/me", &near, nothing, 200),
        way(get, "/api/me", &admin, nothing, 200),
        way(get, "/api/admin/plans", &admin, nothing, 200),
        way(post, "/api/realtime/ticket", &near, &json!({}), 200),
        way(get, "/api/plans", "", nothing, 200),
        way(get, "/api/packs", "", nothing, 200),
        way(post, "/api/contact-sales", "", &sales, 201),
        way(post, "/api/auth/register", "", &register, 201),
        way(post, "/api/auth/login", "", &login, 200),
        way(post, "/api/auth/login", "", &wrong, 401),
    ]
}

async fn go(server: &Server, way: &Way) -> Answer {
    let request = server.request(way.method.clone(), way.path, &way.credential);
    let request = if way.body.is_null() { request } else { request.json(&way.body) };
    server.send(request).await
}

fn assert_closed(answer: &Answer) {
    answer.assert_problem(403, "tenant-suspended");
    assert!(answer.text_at("/detail").contains("HaliSoft") && answer.body.get("errors").is_none(), "{answer:?}");
}

#[test]
fn every_way_in_is_closed_and_opens_again_as_it_was() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let ways = ways(&server).await;
        let signed_in = sign_in_at(&server, "halisoft", "pro@halisoft.example").await;
        let refresh = json!({ "refreshToken": signed_in.body["refreshToken"] });
        let key = server.key(&ALL).await;
        let held = json!({ "customer": "acme", "items": [{ "feature": "risk_assessment", "amount": 5 }] });
        let held = server.post("/api/usage/reserve", &key, held).await;
        let settle = json!({ "reservation": held.body["reservation"], "items": [{ "feature": "risk_assessment", "amount": 2 }] });
        let ticket =
            server.post("/api/realtime/ticket", &signed_in.text_at("/accessToken"), json!({})).await.text_at("/ticket");
        for way in &ways {
            assert_eq!(go(&server, way).await.status, way.open, "{} {}", way.method, way.path);
        }
        let used = server.quota_of(&key, "acme", "invoice_ocr").await["used"].clone();

        set(&server, &operator, "halisoft", true).await;
        for way in &ways {
            assert_closed(&go(&server, way).await);
        }
        assert_closed(&server.post("/api/auth/refresh", "", refresh.clone()).await);
        assert_closed(&server.post("/api/usage/settle", &key, settle.clone()).await);
        assert_eq!(Live::try_open(&server, &format!("?ticket={ticket}"), &[]).await.err(), Some(403));
        // Who is nobody is told that first, and what stands above tenants goes on.
        server.get("/api/me", "").await.assert_problem(401, "unauthenticated");
        server.get("/api/me", &format!("{key}x")).await.assert_problem(401, "unauthenticated");
        server.get("/api/me", &operator).await.assert_ok(200);
        server.get("/healthz", "").await.assert_ok(200);
        let studio = server.sign_in("user@studio.example").await;
        server.get("/api/usage", &studio).await.assert_ok(200);

        set(&server, &operator, "halisoft", false).await;
        assert_eq!(server.quota_of(&key, "acme", "invoice_ocr").await["used"], used, "nothing came or went");
        for way in &ways {
            assert_eq!(go(&server, way).await.status, way.open, "{} {}", way.method, way.path);
        }
        server.post("/api/auth/refresh", "", refresh).await.assert_ok(200);
        let settled = server.post("/api/usage/settle", &key, settle).await;
        assert_eq!((settled.status, settled.number_at("/quotas/risk_assessment/used")), (200, 2));
    });
}

#[test]
fn the_refusal_and_the_page_say_whom_to_ask() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let admin = server.sign_in("admin@halisoft.example").await;
        let page = async || {
            let request = server.request(Method::GET, "/", "").header("accept", "text/html");
            Answer::of(request.send().await.expect("an answer")).await
        };
        let detail = async || server.get("/api/plans", "").await.text_at("/detail");
        set(&server, &operator, "halisoft", true).await;
        assert!(detail().await.contains("Ask whoever runs this server about it"), "{}", detail().await);
        set(&server, &operator, "halisoft", false).await;
        let own = json!({ "supportEmail": "help@halisoft.example", "name": "Hali <b>" });
        server.patch("/api/admin/settings", &admin, own).await.assert_ok(200);
        server.patch("/api/admin/branding", &admin, json!({ "name": null })).await.assert_ok(200);
        let platform = json!({ "supportEmail": "ops@tollgate.example" });
        server.patch("/api/admin/settings", &operator, platform).await.assert_ok(200);
        set(&server, &operator, "halisoft", true).await;
        let told = "Ask help@halisoft.example about it, or ops@tollgate.example if it is yours.";
        assert!(detail().await.contains(told), "{}", detail().await);
        for _ in 0..2 {
            let page = page().await;
            assert_eq!((page.status, page.header("content-type")), (403, Some("text/html; charset=utf-8")), "{page:?}");
            assert!(page.text.contains(told) && page.text.contains("Hali &lt;b&gt;"), "{page:?}");
            assert_eq!(page.header("cache-control"), Some("no-store"));
        }
        assert_eq!(server.get("/", "").await.body["code"], "tenant-suspended", "programs get a problem");
    });
}

#[test]
fn one_time_links_and_open_approvals_wait_until_the_tenant_goes_on() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let (admin, near) =
            (server.sign_in("admin@halisoft.example").await, server.sign_in("near@halisoft.example").await);
        let invited = json!({ "email": "sue@halisoft.example", "role": "support" });
        let link = server.post("/api/admin/members", &admin, invited).await.text_at("/setupLink");
        let token = link.trim_start_matches("/setup?token=");
        let accept = json!({ "token": token, "email": "sue@halisoft.example", "password": PASSWORD });
        let buy = json!({ "plan": "professional", "interval": "month", "provider": "sandbox" });
        let approval = server.post("/api/checkout", &near, buy).await.text_at("/approvalUrl");
        let approval = approval.split_once("/sandbox/").map(|(_, rest)| format!("/sandbox/{rest}")).expect("a page");
        set(&server, &operator, "halisoft", true).await;
        assert_closed(&server.post("/api/setup", "", accept.clone()).await);
        let look =
            async || server.http.get(format!("{}{approval}", server.url)).send().await.expect("an answer").status();
        let answer = server.http.post(format!("{}{approval}", server.url)).body("decision=approve");
        let answer = answer.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(
            (look().await, answer.send().await.expect("an answer").status().as_u16()),
            (reqwest::StatusCode::FORBIDDEN, 403)
        );
        set(&server, &operator, "halisoft", false).await;
        server.post("/api/setup", "", accept).await.assert_ok(201);
        assert_eq!(look().await, reqwest::StatusCode::OK);
        let plan = server.get("/api/subscription", &near).await.body["subscription"]["plan"].clone();
        assert_eq!(plan, "starter", "what was answered meanwhile was not taken");
    });
}

#[test]
fn live_connections_are_closed() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let (near, studio) =
            (server.sign_in("near@halisoft.example").await, server.sign_in("user@studio.example").await);
        let mut socket = Live::open(&server, &near, "").await;
        assert_eq!(socket.next().await["type"], "snapshot");
        let mut other = Live::open(&server, &studio, "").await;
        assert_eq!(other.next().await["type"], "snapshot");
        let events = server.request(Method::GET, "/api/realtime/sse", &near).send().await.expect("an answer");
        let mut events = events.bytes_stream();
        events.next().await.expect("a snapshot").expect("bytes");
        set(&server, &operator, "halisoft", true).await;
        assert_eq!(socket.close_code().await, Some(1008));
        while let Some(Ok(_)) = events.next().await {}
        let one = json!({ "items": [{ "feature": "prompts", "amount": 1 }] });
        server.post("/api/usage/consume", &studio, one).await.assert_ok(200);
        assert_eq!(other.next().await["type"], "usage.updated", "another tenant's goes on");
    });
}

#[test]
fn a_call_that_runs_when_its_tenant_is_stopped_is_still_recorded() {
    on_both(async |database: Database| {
        let message =
            json!({ "id": "msg_1", "model": "claude-haiku-5-5", "usage": { "input_tokens": 10, "output_tokens": 1 } });
        let block = json!({ "type": "tool_use", "id": "t", "name": "answer", "input": {} });
        let delta = json!({ "type": "input_json_delta", "partial_json": "{\"summary\":\"The br" });
        let said = stream_head("request-id: req_up_1\r\n")
            + &event(&json!({ "type": "message_start", "message": message }))
            + &event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
            + &event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
        let fake = Fake::start(vec![vec![Do::Send(said), Do::WaitUntilGone]]).await;
        let server = Server::demo_with(&database, &environment(&fake));
        let operator = server.sign_in(OPERATOR).await;
        let pro = server.sign_in("pro@studio.example").await;
        let request = server.request(Method::POST, "/api/ai/summarizer/summarize", &pro);
        let mut reading = request.header("accept", "text/event-stream").json(&input()).send().await.expect("an answer");
        let mut text = String::new();
        while !text.contains("event: delta") {
            text.push_str(&String::from_utf8_lossy(&reading.chunk().await.expect("a stream").expect("a delta")));
        }
        set(&server, &operator, "studio", true).await;
        drop(reading);
        fake.gone().await;
        let settled = "SELECT event_id FROM usage_event WHERE kind = 'settle'";
        let mut events = Vec::new();
        for _ in 0..100_000 {
            events = texts(&database, &server.data, settled).await;
            if !events.is_empty() {
                break;
            }
        }
        assert!(!events.is_empty(), "what was used was recorded while the tenant was stopped");
        set(&server, &operator, "studio", false).await;
        let quota = server.quota(&pro, "prompts").await;
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([151, 0]));
    });
}

/// Sends an import of so many customers and answers its id.
async fn import(server: &Server, admin: &str, customers: usize) -> String {
    let lines: Vec<_> =
        (0..customers).map(|number| json!({ "externalId": format!("c-{number}") }).to_string()).collect();
    let begun =
        server.post_bytes("/api/admin/import", admin, "application/x-ndjson", lines.join("\n").into_bytes()).await;
    begun.assert_ok(202);
    begun.text_at("/id")
}

#[test]
fn jobs_of_a_tenant_rest_while_it_is_stopped_and_go_on_afterwards() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let (admin, studio) =
            (server.sign_in("admin@halisoft.example").await, server.sign_in("admin@studio.example").await);
        let resting = import(&server, &admin, 400).await;
        set(&server, &operator, "halisoft", true).await;
        // The job takes the older tenant first: once the other's import is done, it has passed this one by.
        let pass = async || {
            let id = import(&server, &studio, 1).await;
            while server.get(&format!("/api/admin/import/{id}"), &studio).await.body["state"] != "done" {}
        };
        let query = format!("SELECT state || ' ' || CAST(done AS TEXT) FROM import WHERE import_id = '{resting}'");
        pass().await;
        let before = texts(&database, &server.data, &query).await;
        pass().await;
        let after = texts(&database, &server.data, &query).await;
        assert!(before == after && before[0].starts_with("running "), "{before:?} {after:?}");
        set(&server, &operator, "halisoft", false).await;
        let path = format!("/api/admin/import/{resting}");
        while server.get(&path, &admin).await.body["state"] != "done" {}
        assert_eq!(server.get(&path, &admin).await.number_at("/done"), 400);
    });
}

#[test]
fn a_tenant_that_one_node_stops_is_stopped_on_the_other_for_the_very_next_request() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let operator = one.sign_in(OPERATOR).await;
        let ways = ways(&one).await;
        for way in &ways {
            // Each way alone meets a node that believes what it knew before.
            assert_eq!(go(&two, way).await.status, way.open, "{} {}", way.method, way.path);
            set(&one, &operator, "halisoft", true).await;
            assert_closed(&go(&two, way).await);
            set(&one, &operator, "halisoft", false).await;
            assert_eq!(go(&two, way).await.status, way.open, "{} {} again", way.method, way.path);
        }
        let near = two.sign_in("near@halisoft.example").await;
        let mut live = Live::open(&two, &near, "").await;
        assert_eq!(live.next().await["type"], "snapshot");
        set(&one, &operator, "halisoft", true).await;
        assert_eq!(live.close_code().await, Some(1008));
    });
}

#[test]
fn a_tenant_that_one_node_makes_is_found_on_the_other_at_once() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let operator = one.sign_in(OPERATOR).await;
        for slug in ["acme", "beta"] {
            let email = format!("owner@{slug}.example");
            sign_in_at(&two, slug, &email).await.assert_problem(404, "unknown-tenant");
            one.post(TENANTS, &operator, super::operator::tenant(slug, "live", "studio")).await.assert_ok(201);
            let owner = sign_in_at(&two, slug, &email).await.text_at("/accessToken");
            two.get("/api/admin/settings", &owner).await.assert_ok(200);
            let host = format!("{slug}.localhost");
            let plans = two.send(two.request(Method::GET, "/api/plans", "").header("host", host)).await;
            assert_eq!(plans.text_at("/data/0/slug"), "free");
        }
    });
}
