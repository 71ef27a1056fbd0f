//! API keys.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Database, Server, on_both};

/// What each scope opens: a call that is let in answers anything but 401 and 403.
const CALLS: [(&str, &str, &str); 9] = [
    ("POST", "/api/usage/consume", "usage:write"),
    ("POST", "/api/usage/reserve", "usage:write"),
    ("POST", "/api/usage/batch", "usage:write"),
    ("POST", "/api/usage/check", "usage:read"),
    ("GET", "/api/usage?customer=acme", "usage:read"),
    ("POST", "/api/ai/invoice-ocr/analyze", "ai:run"),
    ("POST", "/api/customers", "customers:write"),
    ("POST", "/api/tokens", "tokens:mint"),
    ("GET", "/api/admin/keys", "admin"),
];
const SCOPES: [&str; 6] = ["usage:write", "usage:read", "ai:run", "customers:write", "tokens:mint", "admin"];

#[test]
fn a_key_does_what_its_scopes_say_and_nothing_else() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        for scope in SCOPES {
            let key = server.key(&[scope]).await;
            for (method, path, needed) in CALLS {
                let request = server.request(method.parse().expect("a method"), path, &key);
                let request = if method == "POST" { request.json(&json!({})) } else { request };
                let answer = server.send(request).await;
                let allowed = scope == needed || scope == "admin";
                assert_eq!(answer.status != 403, allowed, "{scope} {path}: {answer:?}");
                if !allowed {
                    answer.assert_problem(403, "forbidden");
                    assert!(answer.text_at("/detail").contains(needed) || needed == "admin", "{answer:?}");
                }
            }
            server.get("/api/me", &key).await.assert_problem(403, "forbidden");
        }
        for person in ["near@halisoft.example", "new@halisoft.example"] {
            let token = server.sign_in(person).await;
            let made = server.post("/api/admin/keys", &token, json!({ "name": "x", "scopes": ["usage:read"] })).await;
            made.assert_problem(403, "forbidden");
        }
    });
}

#[test]
fn a_key_is_shown_once_notes_its_use_and_ends_at_once_when_revoked() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let made = server
            .post("/api/admin/keys", &admin, json!({ "name": "till", "scopes": ["customers:write", "usage:read"] }))
            .await;
        made.assert_ok(201);
        let (id, secret) = (made.text_at("/id"), made.text_at("/key"));
        assert!(secret.starts_with("tg_test_"), "the demo's tenants are sandboxes");
        let row = async || {
            let listed = server.get("/api/admin/keys", &admin).await;
            assert!(!listed.text.contains(&secret), "{listed:?}");
            let mut rows = listed.body["data"].as_array().expect("keys").iter();
            rows.find(|row| row["id"] == id.as_str()).cloned().expect("the key")
        };
        let fresh = row().await;
        assert_eq!(json!([fresh["name"], fresh["scopes"]]), json!(["till", ["customers:write", "usage:read"]]));
        assert_eq!(json!([fresh["lastUsedAt"], fresh["revokedAt"]]), json!([null, null]));
        assert!(secret.starts_with(fresh["hint"].as_str().expect("a hint").trim_end_matches('…')));
        server.get("/api/customers/nobody", &secret).await.assert_problem(404, "unknown-customer");
        assert!(row().await["lastUsedAt"].is_string());

        let mut typo = secret.clone();
        let last = typo.pop().expect("characters");
        typo.push(if last == 'x' { 'y' } else { 'x' });
        for wrong in [typo.as_str(), "tg_test_", "tg_live_x", &secret.replace("tg_test_", "tg_live_")] {
            server.get("/api/customers/nobody", wrong).await.assert_problem(401, "unauthenticated");
        }
        assert_eq!(server.delete(&format!("/api/admin/keys/{id}"), &admin).await.status, 204);
        server.get("/api/customers/nobody", &secret).await.assert_problem(401, "unauthenticated");
        assert!(row().await["revokedAt"].is_string());
        for gone in [id.as_str(), "key_00000000000000000000000000", "nonsense"] {
            server.delete(&format!("/api/admin/keys/{gone}"), &admin).await.assert_problem(404, "not-found");
        }
    });
}

#[test]
fn a_key_is_not_made_of_nonsense() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let make = async |body: Value| server.post("/api/admin/keys", &admin, body).await;
        let future = json!({ "name": "new", "scopes": ["customers:write"], "expiresAt": "2099-01-01T00:00:00Z" });
        let future = make(future).await.text_at("/key");
        server.get("/api/customers/nobody", &future).await.assert_problem(404, "unknown-customer");
        for (body, pointer) in [
            (json!({ "name": "", "scopes": ["admin"] }), "/name"),
            (json!({ "name": "n".repeat(101), "scopes": ["admin"] }), "/name"),
            (json!({ "name": "a\u{0}b", "scopes": ["admin"] }), "/name"),
            (json!({ "name": "x", "scopes": [] }), "/scopes"),
            (json!({ "name": "x", "scopes": ["root"] }), "/scopes/0"),
            (json!({ "name": "x", "scopes": ["admin"], "expiresAt": "tomorrow" }), "/expiresAt"),
        ] {
            make(body).await.assert_field(pointer);
        }
        // An admin key makes keys, too; a foreign tenant's name beside it does not help it anywhere else.
        let (_, root) = server.key_of("halisoft", &["admin"]).await;
        let body = json!({ "name": "made by a key", "scopes": ["usage:read"] });
        server.post("/api/admin/keys", &root, body.clone()).await.assert_ok(201);
        let elsewhere = server.request(Method::POST, "/api/admin/keys", &root).header("x-tenant", "studio");
        server.send(elsewhere.json(&body)).await.assert_problem(403, "tenant-mismatch");
    });
}
