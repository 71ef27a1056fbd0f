//! Credit packs.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Database, Server, on_both};

const PATH: &str = "/api/admin/packs";
const ONE: &str = "/api/admin/packs/ocr-100";

fn pack() -> Value {
    json!({ "slug": "ocr-100", "name": "100 more invoices", "feature": "invoice_ocr", "amount": 100, "price": "49.90", "expiresAfterDays": 365 })
}

#[test]
fn a_pack_is_public_while_it_is_sold() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let sold = async || {
            let request = server.request(Method::GET, "/api/packs", "").header("x-tenant", "halisoft");
            server.send(request).await
        };
        let of_demo = sold().await.body["data"].clone();
        assert_eq!(
            json!([of_demo[0]["slug"], of_demo[1]["slug"], of_demo[2]]),
            json!(["invoices-50", "risks-25", null])
        );
        let made = server.post(PATH, &admin, pack()).await;
        made.assert_ok(201);
        assert_eq!(made.header("etag"), Some("\"1\""));
        let body = r#"{"slug":"ocr-100","name":"100 more invoices","feature":"invoice_ocr","amount":100,"price":49.90,"currency":"USD","expiresAfterDays":365}"#;
        let public = sold().await;
        assert!(public.text.contains(body), "{public:?}");
        server.post(PATH, &admin, pack()).await.assert_problem(409, "taken");
        let changed = server.patch(ONE, &admin, json!({ "price": "59", "expiresAfterDays": null })).await;
        assert!(
            changed.text.contains("\"price\":59.00") && changed.body["expiresAfterDays"] == Value::Null,
            "{changed:?}"
        );
        let stale =
            server.request(Method::PATCH, ONE, &admin).header("if-match", "\"1\"").json(&json!({ "amount": 5 }));
        server.send(stale).await.assert_problem(412, "precondition-failed");
        server.patch(ONE, &admin, json!({ "active": false })).await.assert_ok(200);
        assert_eq!(sold().await.body["data"], of_demo);
        assert_eq!(server.get(PATH, &admin).await.body["data"].as_array().map(Vec::len), Some(3));
        assert_eq!(server.delete(ONE, &admin).await.status, 204);
        server.patch(ONE, &admin, json!({ "active": true })).await.assert_problem(404, "not-found");
        server.post(PATH, &admin, pack()).await.assert_problem(409, "taken");
    });
}

#[test]
fn a_top_up_is_offered_while_there_is_one_to_buy() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let full = server.sign_in("full@halisoft.example").await;
        let refused = async || {
            let items = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
            let refused = server.post("/api/usage/consume", &full, items).await;
            refused.assert_problem(429, "quota-exceeded");
            let told = refused.text_at("/detail").contains("buy a top-up");
            (refused.actions().contains(&"topUp"), told)
        };
        assert_eq!(refused().await, (true, true));
        server.patch("/api/admin/packs/invoices-50", &admin, json!({ "active": false })).await.assert_ok(200);
        assert_eq!(refused().await, (false, false), "nothing is on sale");
        server.patch("/api/admin/packs/invoices-50", &admin, json!({ "active": true })).await.assert_ok(200);
        assert_eq!(refused().await, (true, true));
        assert_eq!(server.delete("/api/admin/packs/invoices-50", &admin).await.status, 204);
        assert_eq!(refused().await, (false, false), "a pack of another feature does not help");
    });
}

#[test]
fn what_is_wrong_with_a_pack_is_told_by_its_field_and_a_retry_makes_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        for (name, value) in [
            ("slug", json!("Not so")),
            ("name", json!("")),
            ("feature", json!("absent")),
            ("amount", json!(0)),
            ("price", json!("49.905")),
            ("price", json!("-1")),
            ("price", json!("4e1")),
            ("currency", json!("dollars")),
            ("expiresAfterDays", json!(0)),
        ] {
            let mut body = pack();
            body[name] = value;
            server.post(PATH, &admin, body).await.assert_field(&format!("/{name}"));
        }
        let post = async || {
            server
                .send(server.request(Method::POST, PATH, &admin).header("idempotency-key", "once").json(&pack()))
                .await
        };
        let (first, again) = (post().await, post().await);
        assert_eq!((first.status, again.status, again.is_replay(), &again.body), (201, 201, true, &first.body));
        server.patch(ONE, &admin, json!({ "currency": "EUR" })).await.assert_field("/price");
        let studio = server.sign_in("admin@studio.example").await;
        server.patch(ONE, &studio, json!({ "active": false })).await.assert_problem(404, "not-found");
        let storage = json!({ "slug": "more", "name": "More", "feature": "storage", "amount": 1, "price": 1 });
        server.post(PATH, &studio, storage).await.assert_field("/feature");
    });
}
