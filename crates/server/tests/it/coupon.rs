//! Coupons.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Database, Server, on_both};

const PATH: &str = "/api/admin/coupons";

fn coupon(code: &str, members: Value) -> Value {
    let mut coupon = json!({ "code": code, "duration": "once" });
    for (name, value) in members.as_object().expect("members") {
        coupon[name] = value.clone();
    }
    coupon
}

async fn quote(server: &Server, admin: &str, code: &str, query: &str) -> Answer {
    server.get(&format!("{PATH}/{code}/quote?{query}"), admin).await
}

#[test]
fn a_coupon_takes_off_exactly_what_it_says_where_it_may() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let post = async |body: Value| server.post(PATH, &admin, body).await;
        let made =
            post(coupon("spring15", json!({ "percentOff": 15, "plans": ["starter"], "maxRedemptions": 5 }))).await;
        made.assert_ok(201);
        assert_eq!(
            json!([made.body["code"], made.body["name"], made.body["redeemed"]]),
            json!(["SPRING15", "SPRING15", 0])
        );
        let quoted = quote(&server, &admin, "Spring15", "plan=starter").await;
        assert!(
            quoted.text.contains(r#""price":299.00,"discount":44.85,"total":254.15,"currency":"USD""#),
            "{quoted:?}"
        );
        let year = quote(&server, &admin, "SPRING15", "plan=starter&interval=year").await;
        assert!(year.text.contains(r#""price":2990.00,"discount":448.50,"total":2541.50"#), "{year:?}");
        quote(&server, &admin, "SPRING15", "plan=professional").await.assert_field("/coupon");
        quote(&server, &admin, "SPRING15", "plan=enterprise").await.assert_field("/plan");
        quote(&server, &admin, "ABSENT", "plan=starter").await.assert_problem(404, "not-found");
        let fixed = json!({ "amountOff": "500.00", "duration": "repeating", "months": 3 });
        post(coupon("FIXED", fixed)).await.assert_ok(201);
        let quoted = quote(&server, &admin, "FIXED", "plan=starter").await;
        assert!(quoted.text.contains(r#""discount":299.00,"total":0.00"#), "at most the price: {quoted:?}");
        post(coupon("EURO", json!({ "amountOff": 5, "currency": "EUR" }))).await.assert_ok(201);
        quote(&server, &admin, "EURO", "plan=starter").await.assert_field("/coupon");
        server.patch(&format!("{PATH}/spring15"), &admin, json!({ "active": false })).await.assert_ok(200);
        quote(&server, &admin, "SPRING15", "plan=starter").await.assert_field("/coupon");
        let listed = server.get(&format!("{PATH}?limit=2"), &admin).await;
        let codes: Vec<_> =
            listed.body["data"].as_array().expect("coupons").iter().map(|c| c["code"].clone()).collect();
        assert_eq!(codes, ["EURO", "FIXED"]);
        let next = listed.text_at("/nextCursor");
        let rest = server.get(&format!("{PATH}?limit=2&cursor={next}"), &admin).await;
        assert_eq!(json!([rest.text_at("/data/0/code"), rest.body["nextCursor"]]), json!(["SPRING15", null]));
    });
}

#[test]
fn what_is_wrong_with_a_coupon_is_told_by_its_field_and_its_terms_stay() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        for (members, pointer) in [
            (json!({}), "/percentOff"),
            (json!({ "percentOff": 10, "amountOff": 5 }), "/percentOff"),
            (json!({ "percentOff": 0 }), "/percentOff"),
            (json!({ "percentOff": 101 }), "/percentOff"),
            (json!({ "percentOff": 10, "currency": "USD" }), "/currency"),
            (json!({ "amountOff": "0" }), "/amountOff"),
            (json!({ "amountOff": "1.001" }), "/amountOff"),
            (json!({ "percentOff": 10, "duration": "repeating" }), "/months"),
            (json!({ "percentOff": 10, "months": 3 }), "/months"),
            (json!({ "percentOff": 10, "duration": "always" }), "/duration"),
            (json!({ "percentOff": 10, "plans": ["starter", "absent"] }), "/plans/1"),
            (json!({ "percentOff": 10, "maxRedemptions": 0 }), "/maxRedemptions"),
            (json!({ "percentOff": 10, "validUntil": "2020-01-01T00:00:00Z" }), "/validUntil"),
            (json!({ "percentOff": 10, "code": "NOT SO" }), "/code"),
        ] {
            server.post(PATH, &admin, coupon("NEW", members)).await.assert_field(pointer);
        }
        let body = coupon("NEW", json!({ "percentOff": 10 }));
        let post = async || {
            server.send(server.request(Method::POST, PATH, &admin).header("idempotency-key", "once").json(&body)).await
        };
        let (first, again) = (post().await, post().await);
        assert_eq!((first.status, again.status, again.is_replay(), &again.body), (201, 201, true, &first.body));
        server.post(PATH, &admin, coupon("new", json!({ "percentOff": 20 }))).await.assert_problem(409, "taken");
        let one = format!("{PATH}/NEW");
        server.patch(&one, &admin, json!({ "percentOff": 20 })).await.assert_field("/percentOff");
        let changed =
            server.patch(&one, &admin, json!({ "validUntil": "2099-01-01T00:00:00Z", "plans": ["starter"] })).await;
        assert_eq!(
            json!([changed.body["validUntil"], changed.body["plans"], changed.body["percentOff"]]),
            json!(["2099-01-01T00:00:00Z", ["starter"], 10])
        );
        let stale =
            server.request(Method::PATCH, &one, &admin).header("if-match", "\"1\"").json(&json!({ "active": false }));
        server.send(stale).await.assert_problem(412, "precondition-failed");
        let studio = server.sign_in("admin@studio.example").await;
        server.patch(&one, &studio, json!({ "active": false })).await.assert_problem(404, "not-found");
    });
}
