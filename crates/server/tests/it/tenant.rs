//! Which tenant a request is for, and that none sees another's rows.

use reqwest::Method;
use serde_json::json;

use super::support::{Answer, Database, PASSWORD, Server, on_both};

const ALL: [&str; 5] = ["usage:write", "usage:read", "customers:write", "tokens:mint", "ai:run"];

#[test]
fn a_credential_used_for_another_tenant_is_refused_and_an_unknown_tenant_is_named() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let token = server.sign_in("near@halisoft.example").await;
        let key = server.key(&ALL).await;
        let host = |name: &str| format!("{name}.localhost:{}", server.url.rsplit(':').next().unwrap_or_default());
        let get = async |credential: &str, headers: &[(&str, &str)]| -> Answer {
            let path = if credential == key { "/api/customers/nobody" } else { "/api/plans" };
            let request = server.request(Method::GET, path, credential);
            server.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
        };
        let (halisoft, studio, nowhere) = (host("halisoft"), host("studio"), host("nowhere"));
        for credential in [&token, &key] {
            let good = if *credential == key { 404 } else { 200 };
            for own in [&[][..], &[("x-tenant", "halisoft")], &[("host", halisoft.as_str())]] {
                let answer = get(credential, own).await;
                assert_eq!((answer.status, answer.body["code"] == "unknown-tenant"), (good, false), "{answer:?}");
            }
            for foreign in [
                &[("x-tenant", "studio")][..],
                &[("x-tenant", "platform")],
                &[("host", studio.as_str())],
                &[("host", studio.as_str()), ("x-tenant", "halisoft")],
            ] {
                get(credential, foreign).await.assert_problem(403, "tenant-mismatch");
            }
        }
        for credential in [&token, &key, ""] {
            for unknown in [&[("x-tenant", "nowhere")][..], &[("host", nowhere.as_str())], &[("x-tenant", "")]] {
                get(credential, unknown).await.assert_problem(404, "unknown-tenant");
            }
        }
        // Without a credential the host name comes first, then the header, then the default tenant.
        for (headers, plan) in [
            (&[][..], "starter"),
            (&[("x-tenant", "studio")], "free"),
            (&[("host", studio.as_str())], "free"),
            (&[("host", studio.as_str()), ("x-tenant", "halisoft")], "free"),
        ] {
            assert_eq!(get("", headers).await.text_at("/data/0/slug"), plan, "{headers:?}");
        }
        let body = json!({ "email": "user@studio.example", "password": PASSWORD });
        let login = server.request(Method::POST, "/api/auth/login", "").header("host", studio.as_str()).json(&body);
        server.send(login).await.assert_ok(200);
    });
}

#[test]
fn a_customer_is_created_once_per_external_id_and_read_by_both_its_names() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        let body = json!({ "externalId": "acme-42", "email": "a@acme.example", "name": "Acme", "plan": "starter" });
        let made = server.post("/api/customers", &key, body.clone()).await;
        made.assert_ok(201);
        let again = server.post("/api/customers", &key, body).await;
        assert_eq!((again.status, &again.body), (200, &made.body));
        let other_plan = json!({ "externalId": "acme-42", "plan": "professional" });
        assert_eq!(server.post("/api/customers", &key, other_plan).await.body["id"], made.body["id"]);
        assert_eq!(server.quota_of(&key, "acme-42", "invoice_ocr").await["limit"], 100, "the first plan stays");
        for name in ["acme-42", &made.text_at("/id")] {
            assert_eq!(server.get(&format!("/api/customers/{name}"), &key).await.body, made.body);
            server.use_of(&key, name, "invoice_ocr", 1).await.assert_ok(200);
        }
        assert_eq!(server.quota_of(&key, &made.text_at("/id"), "invoice_ocr").await["used"], 2);

        let twins =
            (0..10).map(|_| server.post("/api/customers", &key, json!({ "externalId": "twin", "plan": "starter" })));
        let twins = futures_util::future::join_all(twins).await;
        assert_eq!(twins.iter().filter(|twin| twin.status == 201).count(), 1, "{twins:?}");
        assert!(twins.iter().all(|twin| twin.body["id"] == twins[0].body["id"]), "{twins:?}");

        let anonymous = json!({ "email": "someone@example.com", "plan": "starter" });
        let (one, two) = (
            server.post("/api/customers", &key, anonymous.clone()).await,
            server.post("/api/customers", &key, anonymous).await,
        );
        assert_ne!(one.text_at("/id"), two.text_at("/id"), "without an external id each is new");
        for (body, pointer) in [
            (json!({ "externalId": "x", "plan": "no-such" }), "/plan"),
            (json!({ "externalId": "", "plan": "starter" }), "/externalId"),
            (json!({ "externalId": "cus_x", "plan": "starter" }), "/externalId"),
            (json!({ "externalId": "a\u{0}b", "plan": "starter" }), "/externalId"),
            (json!({ "externalId": "x".repeat(201) }), "/externalId"),
            (json!({ "externalId": "y", "name": "a\nb" }), "/name"),
        ] {
            server.post("/api/customers", &key, body).await.assert_field(pointer);
        }
        server.get("/api/customers/x", &key).await.assert_problem(404, "unknown-customer");
        let near = server.sign_in("near@halisoft.example").await;
        server.get("/api/customers/acme-42", &near).await.assert_problem(403, "forbidden");
    });
}

#[test]
fn no_tenant_sees_another_s_customers() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        let (_, foreign) = server.key_of("studio", &ALL).await;
        let made = server.post("/api/customers", &key, json!({ "externalId": "acme", "plan": "starter" })).await;
        let held = json!({ "customer": "acme", "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        let held = server.post("/api/usage/reserve", &key, held).await;
        for name in ["acme", &made.text_at("/id")] {
            for path in ["/api/customers/NAME", "/api/usage?customer=NAME", "/api/subscription?customer=NAME"] {
                let path = path.replace("NAME", name);
                server.get(&path, &key).await.assert_ok(200);
                server.get(&path, &foreign).await.assert_problem(404, "unknown-customer");
            }
            server.use_of(&foreign, name, "prompts", 1).await.assert_problem(404, "unknown-customer");
            let mint = server.post("/api/tokens", &foreign, json!({ "customer": name })).await;
            mint.assert_problem(404, "unknown-customer");
            let body = json!({ "prompt": "A short greeting." });
            let run = server.post(&format!("/api/ai/writing-assistant/write?customer={name}"), &foreign, body).await;
            run.assert_problem(404, "unknown-customer");
        }
        let release = json!({ "reservation": held.body["reservation"] });
        server.post("/api/usage/release", &foreign, release).await.assert_problem(404, "not-found");
        // The same external id is another customer there.
        let theirs = server.post("/api/customers", &foreign, json!({ "externalId": "acme", "plan": "free" })).await;
        assert_eq!((theirs.status, theirs.body["id"] == made.body["id"]), (201, false));
        let (id, _) = server.key_of("studio", &["usage:read"]).await;
        let admin = server.sign_in("admin@halisoft.example").await;
        server.delete(&format!("/api/admin/keys/{id}"), &admin).await.assert_problem(404, "not-found");
        let listed = server.get("/api/admin/keys", &admin).await;
        assert!(!listed.text.contains(&id), "{listed:?}");
    });
}

#[test]
fn a_minted_token_is_bound_to_its_customer_scopes_and_origin() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        server.customer(&key, "other", "starter").await;
        let mint = async |body: serde_json::Value| server.post("/api/tokens", &key, body).await;
        let reader = mint(json!({ "customer": "acme" })).await;
        assert_eq!((reader.status, reader.number_at("/expiresIn")), (201, 900));
        let token = reader.text_at("/token");
        let body = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        server.get("/api/usage", &token).await.assert_ok(200);
        server.get("/api/usage?customer=other", &token).await.assert_problem(404, "unknown-customer");
        for path in ["/api/usage/consume", "/api/usage/reserve"] {
            server.post(path, &token, body.clone()).await.assert_problem(403, "forbidden");
        }
        let invoice = json!({ "invoiceData": "Invoice 1" });
        server.post("/api/ai/invoice-ocr/analyze", &token, invoice).await.assert_problem(403, "forbidden");
        server.get("/api/admin/keys", &token).await.assert_problem(403, "forbidden");
        mint(json!({ "customer": "acme", "scopes": ["admin"] })).await.assert_field("/scopes");

        let bound =
            json!({ "customer": "acme", "scopes": ["usage:write", "usage:read"], "origin": "https://app.example.com" });
        let bound = mint(bound).await.text_at("/token");
        let from = async |origin: Option<&str>| {
            let request = server.request(Method::POST, "/api/usage/consume", &bound).json(&body);
            server.send(origin.into_iter().fold(request, |request, origin| request.header("origin", origin))).await
        };
        from(Some("https://app.example.com")).await.assert_ok(200);
        for wrong in [None, Some("https://evil.example.com"), Some("null"), Some("http://app.example.com")] {
            from(wrong).await.assert_problem(401, "unauthenticated");
        }
        assert_eq!(server.quota_of(&key, "acme", "invoice_ocr").await["used"], 1);
        for seconds in [0, 3_601, -5] {
            mint(json!({ "customer": "acme", "ttlSeconds": seconds })).await.assert_field("/ttlSeconds");
        }
        mint(json!({ "customer": "nobody" })).await.assert_problem(404, "unknown-customer");
        let near = server.sign_in("near@halisoft.example").await;
        let refused = server.post("/api/tokens", &near, json!({ "customer": "acme" })).await;
        refused.assert_problem(403, "forbidden");
    });
}
