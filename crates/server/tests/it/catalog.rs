//! What plans are made of: features, grants, prices in currencies, drafts and versions.

use reqwest::Method;
use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, Server, on_both, on_postgres};

const ADMIN: &str = "admin@halisoft.example";
const STARTER: &str = "/api/admin/plans/starter";

async fn with_if_match(
    server: &Server,
    (method, path): (Method, &str),
    admin: &str,
    tag: &str,
    body: &Value,
) -> Answer {
    server.send(server.request(method, path, admin).header("if-match", tag).json(body)).await
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("an ETag").to_owned()
}

#[test]
fn a_limit_that_rises_lets_the_next_call_pass_on_another_node_and_one_that_falls_blocks() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = one.sign_in(ADMIN).await;
        let key = one.key(&["usage:write", "usage:read", "customers:write"]).await;
        one.customer(&key, "acme", "starter").await;
        two.use_of(&key, "acme", "invoice_ocr", 100).await.assert_ok(200);
        two.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(429, "quota-exceeded");
        let path = format!("{STARTER}/features/invoice-ocr");
        let raised = one.put(&path, &admin, json!({ "limitValue": 120 })).await;
        raised.assert_ok(200);
        let done = two.use_of(&key, "acme", "invoice_ocr", 1).await;
        assert_eq!(done.number_at("/quotas/invoice_ocr/limit"), 120, "{done:?}");
        two.put(&path, &admin, json!({ "limitValue": 101 })).await.assert_ok(200);
        let refused = one.use_of(&key, "acme", "invoice_ocr", 1).await;
        refused.assert_problem(429, "quota-exceeded");
        one.delete(&path, &admin).await.assert_ok(200);
        two.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(403, "feature-not-in-plan");
    });
}

#[test]
fn a_feature_is_made_granted_and_kept_as_long_as_a_plan_has_had_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        let body = json!({ "feature": "tax-check", "name": "Tax Check", "kind": "counter", "unit": "checks" });
        let request = server.request(Method::POST, "/api/admin/features", &admin).header("idempotency-key", "once");
        let made = server.send(request.json(&body)).await;
        made.assert_ok(201);
        assert_eq!(
            json!([made.body["feature"], made.body["position"], made.body["plans"]]),
            json!(["tax_check", 6, []])
        );
        let request = server.request(Method::POST, "/api/admin/features", &admin).header("idempotency-key", "once");
        let again = server.send(request.json(&body)).await;
        assert!(again.is_replay() && again.body == made.body, "{again:?}");
        server.post("/api/admin/features", &admin, body).await.assert_problem(409, "taken");
        server.use_of(&key, "acme", "tax_check", 1).await.assert_problem(403, "feature-not-in-plan");

        let path = format!("{STARTER}/features/tax_check");
        for (body, pointer) in [
            (json!({}), "/limitValue"),
            (json!({ "limitValue": 1.5 }), "/limitValue"),
            (json!({ "limitValue": 5, "thresholds": { "warning": 95 } }), "/thresholds/warning"),
            (json!({ "limitValue": 5, "reset": "monthly" }), "/reset"),
            (json!({ "limitValue": 5, "overagePrice": 0.05 }), "/overagePrice"),
        ] {
            server.put(&path, &admin, body).await.assert_field(pointer);
        }
        let soft = json!({ "limitValue": 2, "limitType": "soft", "reset": "day", "overagePrice": 0.002,
            "thresholds": { "warning": 50, "critical": 75 }, "failOpen": 3 });
        let granted = server.put(&path, &admin, soft).await;
        granted.assert_ok(200);
        assert!(granted.text.contains(r#""overagePrice":0.002"#), "{granted:?}");
        let over = server.use_of(&key, "acme", "tax_check", 3).await;
        assert_eq!((over.status, over.number_at("/overrun")), (200, 1));
        server
            .put(&format!("{STARTER}/features/unheard"), &admin, json!({ "limitValue": 1 }))
            .await
            .assert_problem(404, "unknown-feature");

        let feature = "/api/admin/features/tax-check";
        server.delete(feature, &admin).await.assert_problem(409, "in-use");
        server.delete(&path, &admin).await.assert_ok(200);
        server.delete(&path, &admin).await.assert_problem(404, "unknown-feature");
        server.delete(feature, &admin).await.assert_problem(409, "in-use");
        let first = tag(&server.get(feature, &admin).await);
        let archived = server.patch(feature, &admin, json!({ "archived": true, "unit": null })).await;
        assert!(archived.body["archivedAt"].is_string() && archived.body["unit"].is_null(), "{archived:?}");
        with_if_match(&server, (Method::PATCH, feature), &admin, &first, &json!({ "name": "x" }))
            .await
            .assert_problem(412, "precondition-failed");
        server.put(&path, &admin, json!({ "limitValue": 1 })).await.assert_problem(422, "invalid-input");
        server
            .post("/api/admin/features", &admin, json!({ "feature": "never", "name": "Never", "kind": "flag" }))
            .await
            .assert_ok(201);
        assert_eq!(server.delete("/api/admin/features/never", &admin).await.status, 204);
        server.get("/api/admin/features/never", &admin).await.assert_problem(404, "unknown-feature");
        server.delete("/api/admin/features/invoice_ocr", &admin).await.assert_problem(409, "in-use");
        let page = server.get("/api/admin/features?q=TAX", &admin).await;
        assert_eq!(page.body["data"].as_array().map(Vec::len), Some(1), "{page:?}");
    });
}

#[test]
fn prices_stand_in_several_currencies_and_one_may_be_a_customers_own() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["customers:write"]).await;
        server.customer(&key, "acme", "enterprise").await;
        let path = format!("{STARTER}/prices");
        let euro = json!({ "interval": "month", "currency": "EUR", "amount": 319.5 });
        let send = async |body: &Value| {
            let request = server.request(Method::POST, &path, &admin).header("idempotency-key", "once");
            server.send(request.json(body)).await
        };
        let made = send(&euro).await;
        made.assert_ok(201);
        assert_eq!(json!([made.body["version"], made.body["isActive"], made.body["customer"]]), json!([1, true, null]));
        let again = send(&euro).await;
        assert!(again.status == 201 && again.is_replay() && again.body == made.body, "{again:?}");
        server.post(&path, &admin, euro).await.assert_ok(200);
        let yen = json!({ "interval": "year", "currency": "JPY", "amount": 400_000 });
        server.post(&path, &admin, yen).await.assert_ok(201);
        for (body, pointer) in [
            (json!({ "interval": "month", "currency": "JPY", "amount": 1.5 }), "/amount"),
            (json!({ "interval": "month", "currency": "euro", "amount": 1 }), "/currency"),
            (json!({ "interval": "week", "currency": "EUR", "amount": 1 }), "/interval"),
            (json!({ "interval": "month", "currency": "EUR", "amount": 1, "customer": "nobody" }), "/customer"),
        ] {
            server.post(&path, &admin, body).await.assert_field(pointer);
        }
        let shown = server.public_plan("starter").await;
        assert_eq!(json!([shown["basePrice"], shown["prices"].as_array().map(Vec::len)]), json!([299.0, 4]));
        let own = json!({ "interval": "month", "currency": "USD", "amount": 3000, "customer": "acme" });
        let enterprise = "/api/admin/plans/enterprise/prices";
        let made = server.post(enterprise, &admin, own).await;
        made.assert_ok(201);
        assert!(made.text_at("/customer").starts_with("cus_"));
        assert_eq!(server.public_plan("enterprise").await["basePrice"], Value::Null, "it is nobody else's");
        server.customer(&key, "other", "enterprise").await;
        server.patch(STARTER, &admin, json!({ "basePrice": 349 })).await.assert_ok(200);
        let page = server.get(&format!("{path}?q=usd&limit=2"), &admin).await;
        assert_eq!(
            json!([page.body["data"][0]["amount"], page.body["data"][0]["version"], page.body["data"][0]["endedAt"]]),
            json!([349.0, 2, null])
        );
        assert!(page.body["nextCursor"].is_string(), "{page:?}");
        assert!(server.stop().success());
        let unpriced = "SELECT c.external_id FROM subscription s JOIN customer c ON c.customer_id = s.customer_id WHERE c.external_id = 'other' AND s.price_id IS NULL";
        assert_eq!(texts(&database, folder.path(), unpriced).await, ["other"]);
    });
}

#[test]
fn the_public_page_marks_the_callers_plan_and_is_kept_only_while_it_is_true() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let public = server.get("/api/plans", "").await;
        assert_eq!(public.header("cache-control"), Some("public, no-cache"));
        let starter = &public.body["data"][0];
        assert_eq!(
            json!([starter["yearlySaving"], starter["yearlySavingMonths"], starter["current"]]),
            json!([598.0, 2, false])
        );
        let known = tag(&public);
        let ask = async |tag: &str| {
            server.send(server.request(Method::GET, "/api/plans", "").header("if-none-match", tag)).await
        };
        let same = ask(&known).await;
        assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", Some(known.as_str())));
        let near = server.sign_in("near@halisoft.example").await;
        let own = server.get("/api/plans", &near).await;
        assert_eq!(
            (own.header("cache-control"), &own.body["data"][0]["current"]),
            (Some("private, no-cache"), &json!(true))
        );
        assert_eq!(own.body["data"][1]["current"], false);
        server.patch(STARTER, &admin, json!({ "yearlyPrice": 3289, "description": "To begin." })).await.assert_ok(200);
        let new = ask(&known).await;
        new.assert_ok(200);
        let starter = &new.body["data"][0];
        assert_eq!(
            json!([starter["yearlySaving"], starter["yearlySavingMonths"], starter["description"]]),
            json!([299.0, 1, "To begin."])
        );
        server.patch(STARTER, &admin, json!({ "position": 9 })).await.assert_ok(200);
        assert_eq!(server.get("/api/plans", "").await.body["data"][2]["slug"], "starter");
    });
}

#[test]
fn a_draft_tells_its_impact_and_holds_for_whom_it_is_published() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "old", "starter").await;
        server.use_of(&key, "old", "invoice_ocr", 60).await.assert_ok(200);
        // What was used is all in the rows after a stop.
        assert!(server.stop().success());
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let (draft, impact) = (format!("{STARTER}/draft"), format!("{STARTER}/impact"));
        server.get(&draft, &admin).await.assert_problem(404, "not-found");
        server.get(&impact, &admin).await.assert_problem(404, "not-found");
        server.post(&format!("{STARTER}/publish"), &admin, json!({})).await.assert_problem(404, "not-found");
        let wrong = json!({ "features": { "invoice_ocr": { "limitValue": -5 } } });
        server.put(&draft, &admin, wrong).await.assert_field("/features/invoice_ocr/limitValue");
        let body = json!({ "basePrice": 349.00, "features": { "invoice_ocr": { "limitValue": 50 }, "risk_assessment": { "limitValue": null }, "expense_categorization": null } });
        let saved = server.put(&draft, &admin, body.clone()).await;
        saved.assert_ok(200);
        assert!(saved.text.contains(r#""basePrice":349.0"#), "{saved:?}");
        assert_eq!(server.get(&draft, &admin).await.body["changes"], saved.body["changes"]);
        with_if_match(&server, (Method::PUT, &draft), &admin, "\"d99\"", &body)
            .await
            .assert_problem(412, "precondition-failed");
        with_if_match(&server, (Method::PUT, &draft), &admin, &tag(&saved), &body).await.assert_ok(200);
        assert_eq!(server.public_plan("starter").await["basePrice"], 299.0, "nothing is published yet");

        let told = server.get(&impact, &admin).await;
        told.assert_ok(200);
        let subscribers = server.get(STARTER, &admin).await.number_at("/subscribers");
        assert_eq!(told.body["subscribers"], subscribers);
        assert!(told.text.contains(&format!(r#""delta":{}.00"#, 50 * subscribers)), "{told:?}");
        let of = |feature: &str| {
            let all = told.body["features"].as_array().expect("a list");
            all.iter().find(|one| one["feature"] == feature).cloned().unwrap_or_else(|| panic!("{told:?}"))
        };
        // The demo's near (87) and full (100) are over 50 as well as ours.
        let ocr = of("invoice_ocr");
        assert!(ocr["blocked"].as_i64().is_some_and(|blocked| blocked >= 3), "{ocr}");
        assert_eq!(
            json!([ocr["before"]["limitValue"], ocr["after"]["limitValue"], ocr["sample"][0]["used"]]),
            json!([100, 50, 100])
        );
        assert_eq!(json!([of("risk_assessment")["blocked"], of("expense_categorization")["after"]]), json!([0, null]));
    });
}

#[test]
fn a_version_for_new_subscriptions_leaves_the_others_alone_and_can_be_undone() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "old", "starter").await;
        let draft = format!("{STARTER}/draft");
        let body = json!({ "basePrice": 349, "features": { "invoice_ocr": { "limitValue": 50 }, "expense_categorization": null } });
        server.put(&draft, &admin, body).await.assert_ok(200);
        let publish = json!({ "applies": "new" });
        let published = server.post(&format!("{STARTER}/publish"), &admin, publish).await;
        published.assert_ok(200);
        assert_eq!(
            json!([published.body["plan"]["basePrice"], published.body["plan"]["draftSavedAt"]]),
            json!([349.0, null])
        );
        server.get(&draft, &admin).await.assert_problem(404, "not-found");
        server.customer(&key, "new", "starter").await;
        let limit = async |customer: &str| server.quota_of(&key, customer, "invoice_ocr").await["limit"].clone();
        assert_eq!((limit("old").await, limit("new").await), (json!(100), json!(50)));
        server.use_of(&key, "old", "expense_categorization", 1).await.assert_ok(200);
        server.use_of(&key, "new", "expense_categorization", 1).await.assert_problem(403, "feature-not-in-plan");
        let shown = server.get("/api/subscription?customer=old", &key).await;
        assert_eq!(shown.body["plan"]["features"][1]["limit"], 100, "the version that holds: {shown:?}");

        let undone = server.post(&format!("{STARTER}/undo"), &admin, json!({})).await;
        undone.assert_ok(200);
        assert_eq!(
            json!([undone.body["plan"]["basePrice"], undone.body["plan"]["prices"][0]["version"]]),
            json!([299.0, 3])
        );
        assert_eq!((limit("old").await, limit("new").await), (json!(100), json!(100)));
        let versions = server.get(&format!("{STARTER}/versions"), &admin).await.body["data"].clone();
        let told: Vec<_> = versions
            .as_array()
            .into_iter()
            .flatten()
            .map(|v| json!([v["version"], v["applies"], v["basePrice"]]))
            .collect();
        assert_eq!(told, [json!([3, "now", 299.0]), json!([2, "new", 349.0]), json!([1, "now", 299.0])]);
        server.post("/api/admin/plans/professional/undo", &admin, json!({})).await.assert_problem(404, "not-found");
    });
}

#[test]
fn a_version_for_renewals_holds_from_the_next_billing_period_on() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        let admin = server.sign_in(ADMIN).await;
        let change = json!({ "features": { "invoice_ocr": { "limitValue": 150 } } });
        server.put(&format!("{STARTER}/draft"), &admin, change).await.assert_ok(200);
        server.post(&format!("{STARTER}/publish"), &admin, json!({ "applies": "renewal" })).await.assert_ok(200);
        let limit = async |server: &Server| server.quota_of(&key, "acme", "invoice_ocr").await["limit"].clone();
        assert_eq!(limit(&server).await, 100);
        server.customer(&key, "late", "starter").await;
        assert_eq!(server.quota_of(&key, "late", "invoice_ocr").await["limit"], 150, "it came afterwards");
        assert!(server.stop().success());
        // A sandbox's clock may be ahead: forty days later nobody has noted the renewal, and it has taken place.
        let ahead = 40_i64 * 86_400 * 1_000_000;
        let change = format!("UPDATE tenant SET clock_offset = {ahead}, epoch = epoch + 1 WHERE slug = 'halisoft'");
        execute(&database, folder.path(), &change).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        assert_eq!(limit(&server).await, 150);
    });
}
