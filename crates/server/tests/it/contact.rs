//! Contact sales: anybody may write, a few times; the tenant reads and works it off.

use reqwest::Method;
use serde_json::{Value, json};

use super::permission::member;
use super::support::{Answer, Database, Server, on_both};

fn message(text: &str) -> Value {
    json!({ "name": "Ann", "email": " Ann@Example.com ", "message": text, "plan": "enterprise" })
}

async fn write(server: &Server, credential: &str, body: &Value, key: &str) -> Answer {
    let request = server.request(Method::POST, "/api/contact-sales", credential).header("idempotency-key", key);
    server.send(request.json(body)).await
}

#[test]
fn a_message_to_sales_is_kept_read_and_worked_off() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let kept = write(&server, "", &message("Hello\nthere"), "one").await;
        kept.assert_ok(201);
        let again = write(&server, "", &message("Hello\nthere"), "one").await;
        assert_eq!((again.status, again.is_replay(), &again.body), (201, true, &kept.body));
        write(&server, "", &message("Hello"), "one").await.assert_problem(422, "idempotency-key-reused");
        let near = server.sign_in("near@halisoft.example").await;
        write(&server, &near, &message("100% more"), "two").await.assert_ok(201);

        let admin = server.sign_in("admin@halisoft.example").await;
        let support = member(&server, &admin, "support").await;
        let list = async |query: &str| {
            let answer = server.get(&format!("/api/admin/contact-requests?{query}"), &support).await;
            answer.assert_ok(200);
            answer.body["data"].as_array().expect("requests").clone()
        };
        let all = list("").await;
        let told: Vec<_> = all.iter().map(|row| json!([row["message"], row["customer"].is_string()])).collect();
        assert_eq!(told, [json!(["100% more", true]), json!(["Hello\nthere", false])]);
        assert_eq!(
            json!([all[0]["email"], all[0]["plan"], all[0]["status"]]),
            json!(["ann@example.com", "enterprise", "new"])
        );
        assert_eq!(
            (list("q=100%25").await.len(), list("q=ANN@").await.len(), list("status=closed").await.len()),
            (1, 2, 0)
        );
        assert_eq!(list("limit=1&sort=createdAt").await, [all[1].clone()]);

        let path = format!("/api/admin/contact-requests/{}", kept.text_at("/id"));
        let read = server.get(&path, &support).await;
        assert_eq!((read.header("etag"), &read.body), (Some("\"1\""), &all[1]));
        let close = json!({ "status": "closed" });
        server.patch(&path, &support, close.clone()).await.assert_problem(403, "forbidden");
        let close_if = async |tag: &str| {
            server.send(server.request(Method::PATCH, &path, &admin).header("if-match", tag).json(&close)).await
        };
        close_if("\"2\"").await.assert_problem(412, "precondition-failed");
        let closed = close_if("\"1\"").await;
        assert_eq!((closed.text_at("/status"), closed.header("etag")), ("closed".to_owned(), Some("\"2\"")));
        assert_eq!(list("status=closed").await.len(), 1);
        server.patch(&path, &admin, json!({ "status": "won" })).await.assert_field("/status");
        let audit = server.get("/api/admin/audit?action=contact_request&limit=1", &admin).await;
        assert_eq!(
            audit.body["data"][0]["changes"],
            json!([{ "field": "/status", "before": "new", "after": "closed" }])
        );
        assert!(!audit.text.contains("Ann"), "free text stays out of the audit trail");
    });
}

#[test]
fn a_message_is_checked_and_nobody_writes_without_end() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        for (field, value) in [
            ("name", json!("")),
            ("name", json!("n".repeat(201))),
            ("email", json!("ann")),
            ("message", json!(" \n")),
            ("message", json!("m".repeat(4_001))),
            ("message", json!("a\u{0}b")),
            ("plan", json!("nowhere")),
        ] {
            let mut body = message("Hello");
            body[field] = value;
            server.post("/api/contact-sales", "", body).await.assert_field(&format!("/{field}"));
        }
        for _ in 0..5 {
            server.post("/api/contact-sales", "", message("Hello")).await.assert_ok(201);
        }
        let refused = server.post("/api/contact-sales", "", message("Hello")).await;
        refused.assert_problem(429, "too-many-attempts");
        let wait: i64 = refused.header("retry-after").expect("how long").parse().expect("seconds");
        assert!((3_500..=3_600).contains(&wait), "{refused:?}");
        // Another tenant's sales people have heard nothing.
        let studio = server.request(Method::POST, "/api/contact-sales", "").header("x-tenant", "studio");
        server
            .send(studio.json(&json!({ "name": "Ann", "email": "a@b.example", "message": "x" })))
            .await
            .assert_ok(201);
    });
}
