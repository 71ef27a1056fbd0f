//! Reservations, gauges, corrections and history over HTTP.

use serde_json::{Value, json};

use super::support::{Database, Server, on_both};

const ALL: [&str; 3] = ["usage:write", "usage:read", "customers:write"];

fn items(feature: &str, amount: i64) -> Value {
    json!([{ "feature": feature, "amount": amount }])
}

async fn reserve(server: &Server, key: &str, customer: &str, amount: i64, seconds: i64) -> Value {
    let body = json!({ "customer": customer, "items": items("invoice_ocr", amount), "ttlSeconds": seconds });
    let held = server.post("/api/usage/reserve", key, body).await;
    held.assert_ok(201);
    assert!(held.text_at("/expiresAt").ends_with('Z'), "{held:?}");
    held.body["reservation"].clone()
}

#[test]
fn a_hold_counts_until_it_is_settled_once_by_the_one_who_made_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        let other = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        let held = reserve(&server, &key, "acme", 90, 60).await;
        let quota = server.quota_of(&key, "acme", "invoice_ocr").await;
        assert_eq!(json!([quota["used"], quota["reserved"], quota["remaining"]]), json!([0, 90, 10]));
        server.use_of(&key, "acme", "invoice_ocr", 11).await.assert_problem(429, "quota-exceeded");

        let settle = json!({ "reservation": held, "items": items("invoice_ocr", 40) });
        let release = json!({ "reservation": held });
        let near = server.sign_in("near@halisoft.example").await;
        for stranger in [&other, &near] {
            server.post("/api/usage/settle", stranger, settle.clone()).await.assert_problem(404, "not-found");
            server.post("/api/usage/release", stranger, release.clone()).await.assert_problem(404, "not-found");
        }
        let unreserved = json!({ "reservation": held, "items": items("risk_assessment", 1) });
        server.post("/api/usage/settle", &key, unreserved).await.assert_problem(422, "invalid-input");
        let below = json!({ "reservation": held, "items": items("invoice_ocr", -1) });
        server.post("/api/usage/settle", &key, below).await.assert_problem(422, "invalid-input");

        let settled = server.post("/api/usage/settle", &key, settle.clone()).await;
        settled.assert_ok(200);
        let quota = &settled.body["quotas"]["invoice_ocr"];
        assert_eq!(json!([quota["used"], quota["reserved"], settled.body["overrun"]]), json!([40, 0, null]));
        for amount in [40, 7] {
            let again = json!({ "reservation": held, "items": items("invoice_ocr", amount) });
            let again = server.post("/api/usage/settle", &key, again).await;
            assert_eq!((again.status, again.is_replay(), &again.body), (200, true, &settled.body));
        }
        server.post("/api/usage/release", &key, release).await.assert_problem(409, "reservation-ended");
        assert_eq!(server.quota_of(&key, "acme", "invoice_ocr").await["used"], 40);
    });
}

#[test]
fn a_settlement_is_recorded_in_full_and_says_what_went_over_the_hold() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        let nothing = reserve(&server, &key, "acme", 5, 60).await;
        let settle = async |held: &Value, amount: i64| {
            let body = json!({ "reservation": held, "items": items("invoice_ocr", amount) });
            server.post("/api/usage/settle", &key, body).await
        };
        let free = settle(&nothing, 0).await;
        assert_eq!((free.status, free.number_at("/quotas/invoice_ocr/used")), (200, 0));
        let held = reserve(&server, &key, "acme", 95, 60).await;
        let over = settle(&held, 103).await;
        over.assert_ok(200);
        assert_eq!((over.number_at("/overrun"), over.number_at("/quotas/invoice_ocr/used")), (8, 103));
        let quota = server.quota_of(&key, "acme", "invoice_ocr").await;
        assert_eq!(json!([quota["percentage"], quota["remaining"], quota["status"]]), json!([103, 0, "exceeded"]));
    });
}

#[test]
fn a_released_hold_is_free_again_and_a_second_release_changes_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        let held = reserve(&server, &key, "acme", 100, 60).await;
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(429, "quota-exceeded");
        let body = json!({ "reservation": held });
        server.post("/api/usage/release", &key, body.clone()).await.assert_ok(200);
        server.post("/api/usage/release", &key, body).await.assert_ok(200);
        server.use_of(&key, "acme", "invoice_ocr", 100).await.assert_ok(200);
        for (reservation, status, code) in [
            (json!("rsv_00000000000000000000000000"), 404, "not-found"),
            (json!("nonsense"), 422, "invalid-input"),
            (json!(7), 422, "invalid-input"),
        ] {
            let body = json!({ "reservation": reservation, "items": items("invoice_ocr", 1) });
            server.post("/api/usage/settle", &key, body).await.assert_problem(status, code);
            let release = json!({ "reservation": reservation });
            server.post("/api/usage/release", &key, release).await.assert_problem(status, code);
        }
        for seconds in [0, -1, 86_401] {
            let body = json!({ "customer": "acme", "items": items("risk_assessment", 1), "ttlSeconds": seconds });
            server.post("/api/usage/reserve", &key, body).await.assert_field("/ttlSeconds");
        }
        // A retry of a hold answers the same hold.
        let body = json!({ "customer": "acme", "items": items("risk_assessment", 1) });
        let again = async || {
            let request = server.request(reqwest::Method::POST, "/api/usage/reserve", &key);
            server.send(request.header("idempotency-key", "hold-1").json(&body)).await
        };
        let (first, again) = (again().await, again().await);
        assert_eq!((first.status, again.status, again.is_replay()), (201, 201, true));
        assert_eq!(again.body, first.body);
        assert_eq!(server.quota_of(&key, "acme", "risk_assessment").await["reserved"], 1);
    });
}

#[test]
fn a_forgotten_hold_returns_by_itself_and_is_settled_late_in_full_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        let held = reserve(&server, &key, "acme", 100, 1).await;
        let mut reserved = json!(100);
        for _ in 0..1_000_000 {
            reserved = server.quota_of(&key, "acme", "invoice_ocr").await["reserved"].clone();
            if reserved == 0 {
                break;
            }
        }
        assert_eq!(reserved, 0);
        server.use_of(&key, "acme", "invoice_ocr", 98).await.assert_ok(200);
        let body = json!({ "reservation": held, "items": items("invoice_ocr", 4) });
        let late = server.post("/api/usage/settle", &key, body.clone()).await;
        late.assert_ok(200);
        assert_eq!(late.number_at("/quotas/invoice_ocr/used"), 102, "recorded in full: {late:?}");
        let again = server.post("/api/usage/settle", &key, body).await;
        assert_eq!((again.is_replay(), &again.body), (true, &late.body));
        assert_eq!(server.quota_of(&key, "acme", "invoice_ocr").await["used"], 102);
    });
}

#[test]
fn a_gauge_goes_up_to_its_limit_and_down_to_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (_, key) = server.key_of("studio", &ALL).await;
        server.customer(&key, "box", "free").await;
        let put = async |value: i64| {
            server.put("/api/usage/gauges/storage", &key, json!({ "customer": "box", "value": value })).await
        };
        let adjust = async |delta: i64| {
            let body = json!({ "customer": "box", "delta": delta });
            server.post("/api/usage/gauges/storage/adjust", &key, body).await
        };
        assert_eq!(put(400_000_000).await.number_at("/quotas/storage/used"), 400_000_000);
        assert_eq!(adjust(100_000_000).await.number_at("/quotas/storage/used"), 500_000_000);
        let refused = adjust(1).await;
        refused.assert_problem(429, "quota-exceeded");
        assert_eq!(refused.actions(), ["delete", "upgrade", "contactSales"]);
        assert_eq!(refused.header("retry-after"), None, "nothing resets");
        adjust(-500_000_001).await.assert_problem(422, "gauge-below-zero");
        assert_eq!(server.quota_of(&key, "box", "storage").await["used"], 500_000_000);
        // What was counted at the source is what is there, over the limit too; then only down is open.
        let recounted = put(600_000_000).await;
        let quota = &recounted.body["quotas"]["storage"];
        assert_eq!(json!([quota["used"], quota["status"], quota["percentage"]]), json!([600_000_000, "exceeded", 120]));
        adjust(1).await.assert_problem(429, "quota-exceeded");
        assert_eq!(adjust(-200_000_000).await.number_at("/quotas/storage/used"), 400_000_000);
        assert_eq!(adjust(-400_000_000).await.number_at("/quotas/storage/used"), 0);

        put(-1).await.assert_field("/value");
        adjust(0).await.assert_field("/delta");
        let no_gauge = json!({ "customer": "box", "value": 1 });
        server.put("/api/usage/gauges/prompts", &key, no_gauge.clone()).await.assert_problem(422, "invalid-input");
        server.put("/api/usage/gauges/no_such", &key, no_gauge.clone()).await.assert_problem(404, "unknown-feature");
        let user = server.sign_in("user@studio.example").await;
        server.put("/api/usage/gauges/storage", &user, no_gauge).await.assert_problem(403, "forbidden");
        let nobody = json!({ "customer": "nobody", "value": 1 });
        server.put("/api/usage/gauges/storage", &key, nobody).await.assert_problem(404, "unknown-customer");
    });
}

#[test]
fn a_gauge_is_moved_once_per_key() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (_, key) = server.key_of("studio", &ALL).await;
        server.customer(&key, "box", "free").await;
        let adjust = async |delta: i64| {
            let request = server.request(reqwest::Method::POST, "/api/usage/gauges/storage/adjust", &key);
            let body = json!({ "customer": "box", "delta": delta });
            server.send(request.header("idempotency-key", "up-1").json(&body)).await
        };
        let (first, again) = (adjust(7).await, adjust(7).await);
        assert_eq!((first.status, again.is_replay(), &again.body), (200, true, &first.body));
        adjust(8).await.assert_problem(422, "idempotency-key-reused");
        assert_eq!(server.quota_of(&key, "box", "storage").await["used"], 7);
    });
}

#[test]
fn an_event_is_taken_back_once_in_all_its_features() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        let both = json!([{ "feature": "invoice_ocr", "amount": 5 }, { "feature": "risk_assessment", "amount": 2 }]);
        let done = server.post("/api/usage/consume", &key, json!({ "customer": "acme", "items": both })).await;
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        let path = format!("/api/usage/events/{}/reverse", done.text_at("/id"));
        let (_, foreign) = server.key_of("studio", &ALL).await;
        server.post(&path, &foreign, json!({})).await.assert_problem(404, "not-found");
        let reversed = server.post(&path, &key, json!({})).await;
        reversed.assert_ok(200);
        let used =
            json!([reversed.body["quotas"]["invoice_ocr"]["used"], reversed.body["quotas"]["risk_assessment"]["used"]]);
        assert_eq!(used, json!([1, 0]));
        let again = server.post(&path, &key, json!({})).await;
        assert_eq!((again.status, again.is_replay(), &again.body), (200, true, &reversed.body));
        assert_eq!(server.quota_of(&key, "acme", "invoice_ocr").await["used"], 1);
        let back = format!("/api/usage/events/{}/reverse", reversed.text_at("/id"));
        server.post(&back, &key, json!({})).await.assert_problem(409, "not-reversible");
        for id in ["evt_00000000000000000000000000", "nonsense"] {
            let path = format!("/api/usage/events/{id}/reverse");
            server.post(&path, &key, json!({})).await.assert_problem(404, "not-found");
        }
        let near = server.sign_in("near@halisoft.example").await;
        server.post(&path, &near, json!({})).await.assert_problem(403, "forbidden");
    });
}

#[test]
fn history_adds_up_to_the_use_in_every_bucket() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&ALL).await;
        server.customer(&key, "acme", "starter").await;
        let sum = async |bucket: &str| {
            let path = format!("/api/usage/history?customer=acme&feature=invoice-ocr&bucket={bucket}");
            let history = server.get(&path, &key).await;
            history.assert_ok(200);
            assert_eq!(history.body["feature"], "invoice_ocr");
            let points = history.body["points"].as_array().expect("points");
            points.iter().map(|point| point["used"].as_i64().expect("a number")).sum::<i64>()
        };
        for used in 1..=9 {
            server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
            for bucket in ["hour", "day", "month"] {
                assert_eq!(sum(bucket).await, used, "{bucket}");
            }
        }
        let done = server.use_of(&key, "acme", "invoice_ocr", 3).await;
        let path = format!("/api/usage/events/{}/reverse", done.text_at("/id"));
        server.post(&path, &key, json!({})).await.assert_ok(200);
        assert_eq!(sum("day").await, 9, "what was taken back is no use");
        let empty = "/api/usage/history?customer=acme&feature=invoice_ocr&to=2020-01-01T00:00:00Z";
        assert_eq!(server.get(empty, &key).await.body["points"], json!([]));
        let bad = "/api/usage/history?customer=acme&feature=invoice_ocr&from=yesterday";
        server.get(bad, &key).await.assert_field("/from");
        let unknown = "/api/usage/history?customer=acme&feature=no_such";
        server.get(unknown, &key).await.assert_problem(404, "unknown-feature");
        for query in ["feature=invoice_ocr&bucket=year", "feature=invoice_ocr&what=1", "bucket=day"] {
            let answer = server.get(&format!("/api/usage/history?customer=acme&{query}"), &key).await;
            answer.assert_problem(422, "invalid-input");
        }
    });
}
