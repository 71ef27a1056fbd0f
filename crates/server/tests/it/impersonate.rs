//! Looking at the product as one user does.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Database, Server, on_both};

#[test]
fn a_viewer_reads_what_the_user_reads_changes_nothing_and_is_told_as_one() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let near = server.sign_in("near@halisoft.example").await;
        assert_eq!(server.get("/api/me", &near).await.body["impersonatedBy"], Value::Null);
        let listed = server.get("/api/admin/users?q=near", &admin).await;
        let path = format!("/api/admin/users/{}/impersonate", listed.text_at("/data/0/id"));
        let made = server.post(&path, &admin, json!({})).await;
        made.assert_ok(201);
        let viewer = made.text_at("/accessToken");
        let me = server.get("/api/me", &viewer).await;
        assert_eq!(me.text_at("/user/email"), "near@halisoft.example");
        assert_eq!(me.text_at("/impersonatedBy/email"), "admin@halisoft.example");
        for path in ["/api/usage", "/api/subscription", "/api/usage/history?feature=invoice_ocr"] {
            assert_eq!(server.get(path, &viewer).await.body, server.get(path, &near).await.body, "{path}");
        }
        let used = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        for (method, path) in [
            (Method::POST, "/api/usage/consume"),
            (Method::POST, "/api/usage/check"),
            (Method::POST, "/api/usage/reserve"),
            (Method::POST, "/api/ai/invoice-ocr/analyze"),
            (Method::POST, "/api/realtime/ticket"),
            (Method::POST, "/api/auth/logout"),
            (Method::GET, "/api/admin/users"),
            (Method::POST, "/api/admin/keys"),
        ] {
            let answer = server.send(server.request(method, path, &viewer).json(&used)).await;
            answer.assert_problem(403, "forbidden");
        }
        let customer = me.text_at("/user/customer");
        let timeline = server.get(&format!("/api/admin/customers/{customer}/timeline"), &admin).await;
        assert_eq!(timeline.text_at("/data/0/action"), "user.impersonated");
        // It ends with the session of who looks.
        assert_eq!(server.post("/api/auth/logout", &admin, json!({})).await.status, 204);
        server.get("/api/usage", &viewer).await.assert_problem(401, "unauthenticated");
    });
}

#[test]
fn only_users_are_looked_over_the_shoulder_and_only_by_those_who_may() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let listed = server.get("/api/admin/users?role=admin", &admin).await;
        let own = format!("/api/admin/users/{}/impersonate", listed.text_at("/data/0/id"));
        server.post(&own, &admin, json!({})).await.assert_problem(403, "forbidden");
        let user = server.get("/api/admin/users?q=near", &admin).await.text_at("/data/0/id");
        let path = format!("/api/admin/users/{user}/impersonate");
        let near = server.sign_in("near@halisoft.example").await;
        server.post(&path, &near, json!({})).await.assert_problem(403, "forbidden");
        let studio = server.sign_in("admin@studio.example").await;
        server.post(&path, &studio, json!({})).await.assert_problem(404, "not-found");
        let (_, key) = server.key_of("halisoft", &["admin"]).await;
        server.post(&path, &key, json!({})).await.assert_problem(403, "forbidden");
        for absent in ["usr_00000000000000000000000000", "nonsense"] {
            let path = format!("/api/admin/users/{absent}/impersonate");
            server.post(&path, &admin, json!({})).await.assert_problem(404, "not-found");
        }
    });
}
