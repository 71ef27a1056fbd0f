//! Customers brought in from elsewhere.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, Server, on_both, on_sqlite};

async fn send(server: &Server, admin: &str, query: &str, lines: impl AsRef<[u8]>) -> Answer {
    let path = format!("/api/admin/import{query}");
    server.post_bytes(&path, admin, "application/x-ndjson", lines.as_ref().to_vec()).await
}

/// Sends lines and waits until they are done.
pub async fn import(server: &Server, admin: &str, query: &str, lines: impl AsRef<[u8]>) -> Value {
    let begun = send(server, admin, query, lines).await;
    begun.assert_ok(202);
    let path = format!("/api/admin/import/{}", begun.text_at("/id"));
    for _ in 0..20_000 {
        let answer = server.get(&path, admin).await;
        answer.assert_ok(200);
        if answer.body["state"] == "done" {
            return answer.body;
        }
    }
    panic!("the import does not end");
}

/// The subscribers of the brief: 245 Starter at 299, 89 Professional at 799, 12 Enterprise together at 36,000 a month.
fn subscribers() -> String {
    let mut lines = String::new();
    for (plan, amount, count) in
        [("starter", "299", 245), ("professional", "799.00", 89), ("enterprise", "3000.00", 12)]
    {
        for number in 0..count {
            let start = "2026-01-15T00:00:00Z";
            let _infallible = writeln!(
                lines,
                "{{\"externalId\":\"{plan}-{number}\",\"name\":\"Customer {number}\",\"subscription\":{{\"plan\":\"{plan}\",\"amount\":{amount},\"currency\":\"USD\",\"interval\":\"month\",\"start\":\"{start}\",\"provider\":\"stripe\",\"providerSubscriptionId\":\"sub_{plan}_{number}\"}}}}"
            );
        }
    }
    lines
}

fn came(done: &Value) -> Value {
    let names = ["customersCreated", "customersUnchanged", "subscriptionsCreated", "subscriptionsUnchanged", "wrong"];
    json!(names.map(|name| &done[name]))
}

#[test]
fn subscribers_come_in_at_the_prices_that_they_pay_and_a_second_time_changes_nothing() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let lines = subscribers();
        let dry = import(&server, &admin, "?dryRun=true", &lines).await;
        assert_eq!(
            json!([dry["lines"], dry["done"], dry["dryRun"], came(&dry)]),
            json!([346, 346, true, [346, 0, 346, 0, 0]])
        );
        server.get("/api/admin/customers/starter-0", &admin).await.assert_problem(404, "unknown-customer");
        assert_eq!(came(&import(&server, &admin, "", &lines).await), json!([346, 0, 346, 0, 0]));
        assert_eq!(came(&import(&server, &admin, "", &lines).await), json!([0, 346, 0, 346, 0]));
        let shown = server.get("/api/admin/customers/enterprise-7", &admin).await;
        assert!(shown.text.contains("\"amount\":3000.00"), "a price of its own: {shown:?}");
        let listed = server.get("/api/admin/customers?plan=enterprise&q=enterprise-&limit=1", &admin).await;
        assert_eq!(listed.body["data"][0]["plan"], "enterprise");
        assert!(server.stop().success());
        let imported = "SELECT CAST(SUM(s.annual_after) AS TEXT) FROM subscription_change s WHERE s.cause = 'imported'";
        assert_eq!(texts(&database, folder.path(), imported).await, ["216439200"]);
        let own = "SELECT CAST(COUNT(*) AS TEXT) FROM price WHERE customer_id IS NOT NULL";
        assert_eq!(texts(&database, folder.path(), own).await, ["12"], "the others pay public prices");
        let theirs =
            "SELECT CAST(COUNT(DISTINCT provider_subscription) AS TEXT) FROM subscription WHERE provider = 'stripe'";
        assert_eq!(texts(&database, folder.path(), theirs).await, ["346"]);
    });
}

#[test]
fn use_is_carried_in_once_and_statuses_stand_as_they_were() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let (_, key) = server.key_of("halisoft", &["usage:read", "usage:write"]).await;
        let lines = [
            json!({ "externalId": "a", "usage": { "invoice_ocr": 42, "risk_assessment": 0 }, "subscription": { "plan": "starter" } }),
            json!({ "externalId": "b", "subscription": { "plan": "starter", "status": "past_due", "accessUntil": "2099-01-01T00:00:00Z" } }),
            json!({ "externalId": "c", "subscription": { "plan": "starter", "status": "paused" } }),
            json!({ "externalId": "d", "email": "d@acme.example" }),
        ];
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        for _ in 0..2 {
            import(&server, &admin, "", &lines.join("\r\n\n")).await;
            assert_eq!(server.quota_of(&key, "a", "invoice_ocr").await["used"], 42);
        }
        server.use_of(&key, "a", "invoice_ocr", 58).await.assert_ok(200);
        server.use_of(&key, "a", "invoice_ocr", 1).await.assert_problem(429, "quota-exceeded");
        server.use_of(&key, "b", "invoice_ocr", 1).await.assert_ok(200);
        assert_eq!(server.get("/api/admin/customers/b", &admin).await.body["status"], "past_due");
        for name in ["c", "d"] {
            server.use_of(&key, name, "invoice_ocr", 1).await.assert_problem(402, "subscription-required");
        }
    });
}

#[test]
fn lines_that_are_wrong_are_told_by_their_number_and_the_others_come_in() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let wrong = [
            ("nonsense", "one JSON object"),
            (r#"{"externalId":"x","unheardOf":1}"#, "unheardOf"),
            (r#"{"externalId":"cus_x"}"#, "/externalId"),
            (r#"{"externalId":"x","subscription":{"plan":"nonsense"}}"#, "/subscription/plan"),
            (r#"{"externalId":"x","subscription":{"plan":"starter","amount":1.234}}"#, "/subscription/amount"),
            (r#"{"externalId":"x","subscription":{"plan":"starter","amount":-1}}"#, "/subscription/amount"),
            (
                r#"{"externalId":"x","subscription":{"plan":"starter","start":"2099-01-01T00:00:00Z"}}"#,
                "/subscription/start",
            ),
            (
                r#"{"externalId":"x","subscription":{"plan":"starter","status":"canceled"}}"#,
                "/subscription/accessUntil",
            ),
            (r#"{"externalId":"x","subscription":{"plan":"starter","status":"expired"}}"#, "/subscription/status"),
            (
                r#"{"externalId":"x","subscription":{"plan":"starter","amount":92233720368547758}}"#,
                "/subscription/amount",
            ),
            (r#"{"externalId":"x","subscription":{"plan":"starter","provider":"a\u0000b"}}"#, "/subscription/provider"),
            (r#"{"externalId":"x","subscription":{"plan":"starter","price":"a\u0000b"}}"#, "/subscription/price"),
            (r#"{"externalId":"x","usage":{"nonsense":1}}"#, "/usage/nonsense"),
            (r#"{"externalId":"x","usage":{"invoice_ocr":-1}}"#, "/usage/invoice_ocr"),
        ];
        let right = r#"{"externalId":"right"}"#;
        let lines: Vec<_> = wrong.iter().map(|(line, _)| *line).chain([right]).collect();
        // Empty lines count in the file, as in every editor.
        let done = import(&server, &admin, "", &lines.join("\n\n")).await;
        assert_eq!(came(&done), json!([1, 0, 0, 0, wrong.len()]));
        for (number, (_, told)) in wrong.iter().enumerate() {
            let error = &done["errors"][number];
            assert_eq!(error["line"], 2 * number + 1);
            assert!(error["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{told}: {error}");
        }
        server.get("/api/admin/customers/right", &admin).await.assert_ok(200);
        server.get("/api/admin/customers/x", &admin).await.assert_problem(404, "unknown-customer");
        send(&server, &admin, "?dryRun=maybe", "").await.assert_field("/dryRun");
        server.get("/api/admin/import/imp_nonsense", &admin).await.assert_problem(404, "not-found");
        let person = server.sign_in("near@halisoft.example").await;
        send(&server, &person, "", "").await.assert_problem(403, "forbidden");
        let studio = server.sign_in("admin@studio.example").await;
        let path = format!("/api/admin/import/{}", done["id"].as_str().expect("an id"));
        server.get(&path, &studio).await.assert_problem(404, "not-found");
    });
}

#[test]
fn a_process_that_is_alone_does_not_wait_for_one_that_is_gone() {
    on_sqlite(async || {
        let database = Database::Sqlite;
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        server.kill();
        let held = "UPDATE job SET leased_until = 9000000000000000 WHERE kind = 'import'";
        execute(&database, folder.path(), held).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let done = import(&server, &admin, "", "{\"externalId\":\"late\"}\n").await;
        assert_eq!(came(&done), json!([1, 0, 0, 0, 0]), "its lease is over");
    });
}
