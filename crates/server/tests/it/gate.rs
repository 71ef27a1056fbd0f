//! The gate over HTTP: what fits is recorded once, what does not is refused and explained.

use serde_json::{Value, json};

use super::sql::execute;
use super::support::{Answer, Database, Server, on_both};

fn items(items: &[(&str, i64)]) -> Value {
    let items: Vec<_> = items.iter().map(|(feature, amount)| json!({ "feature": feature, "amount": amount })).collect();
    json!({ "items": items })
}

#[test]
fn near_goes_from_87_to_100_one_by_one_and_the_101st_is_refused_with_all_it_needs() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let before = server.quota(&near, "invoice_ocr").await;
        for used in 88..=100 {
            let done = server.post("/api/usage/consume", &near, items(&[("invoice_ocr", 1)])).await;
            done.assert_ok(200);
            assert_eq!(done.body["allowed"], true);
            let quota = &done.body["quotas"]["invoice_ocr"];
            let status = if used < 90 {
                "warning"
            } else if used < 100 {
                "critical"
            } else {
                "exceeded"
            };
            let said = json!([quota["used"], quota["remaining"], quota["percentage"], quota["status"]]);
            assert_eq!(said, json!([used, 100 - used, used, status]));
            assert_eq!(quota["resetDate"], before["resetDate"]);
        }
        let refused = server.post("/api/usage/consume", &near, items(&[("invoice_ocr", 1)])).await;
        assert_exceeded(&refused, &before);
        let after = server.quota(&near, "invoice_ocr").await;
        assert_eq!(json!([after["used"], after["status"]]), json!([100, "exceeded"]));
    });
}

/// What a client needs to open its dialog: the quota, when to come back, and what the user can do.
fn assert_exceeded(refused: &Answer, before: &Value) {
    refused.assert_problem(429, "quota-exceeded");
    let wait: i64 = refused.header("retry-after").expect("it resets").parse().expect("seconds");
    assert!((1..=31 * 86_400).contains(&wait), "{wait}");
    let quota = &refused.body["quota"];
    let said = json!([quota["feature"], quota["used"], quota["limit"], quota["remaining"], quota["status"]]);
    assert_eq!(said, json!(["invoice_ocr", 100, 100, 0, "exceeded"]));
    assert_eq!(quota["resetsAt"], before["resetsAt"]);
    assert_eq!(refused.actions(), ["upgrade", "topUp", "contactSales"]);
    let plans = json!([
        { "slug": "professional", "name": "Professional", "limit": 1000 },
        { "slug": "enterprise", "name": "Enterprise", "limit": null },
    ]);
    assert_eq!(refused.body["actions"][0]["plans"], plans);
    let detail = refused.text_at("/detail");
    for part in ["Invoice OCR & Analysis", "all 100 analyses are used", before["resetDate"].as_str().expect("a date")] {
        assert!(detail.contains(part), "{part} is not in: {detail}");
    }
}

#[test]
fn a_refusal_explains_itself_to_its_owner_and_to_staff_alone_also_after_a_restart() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let full = server.sign_in("full@halisoft.example").await;
        let refused = server.post("/api/usage/consume", &full, items(&[("invoice_ocr", 3)])).await;
        refused.assert_problem(429, "quota-exceeded");
        let path = format!("/api/usage/decisions/{}", refused.text_at("/decision"));
        let told = server.get(&path, &full).await;
        told.assert_ok(200);
        assert!(server.stop().success());

        // Nora becomes support.
        let promoted = "UPDATE user_account SET role = 'support' WHERE email = 'new@halisoft.example'";
        execute(&database, folder.path(), promoted).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (_, key) = server.key_of("halisoft", &["usage:read"]).await;
        let mut readers = vec![key];
        for email in ["new@halisoft.example", "admin@halisoft.example", "full@halisoft.example"] {
            readers.push(server.sign_in(email).await);
        }
        for reader in &readers {
            let explained = server.get(&path, reader).await;
            explained.assert_ok(200);
            assert_eq!(explained.body, told.body, "kept as it was");
        }
        let limit = &told.body["limits"][0];
        let said = json!([limit["feature"], limit["requested"], limit["plan"], limit["planLimit"]]);
        assert_eq!(said, json!(["invoice_ocr", 3, "starter", 100]), "{told:?}");
        let said = json!([limit["override"], limit["used"], limit["reserved"], limit["remaining"]]);
        assert_eq!(said, json!([null, 100, 0, 0]), "{told:?}");
        assert!(limit["planVersion"].as_i64().is_some_and(|version| version >= 1), "{told:?}");
        assert_eq!(limit["resetsAt"], refused.body["quota"]["resetsAt"]);
        for stranger in ["near@halisoft.example", "admin@studio.example", "user@studio.example"] {
            server.get(&path, &server.sign_in(stranger).await).await.assert_problem(404, "not-found");
        }
        server.get("/api/usage/decisions/nonsense", &readers[0]).await.assert_problem(404, "not-found");
    });
}

#[test]
fn several_features_move_together_or_not_at_all_and_a_check_moves_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let consume = async |list: &[(&str, i64)]| server.post("/api/usage/consume", &near, items(list)).await;
        let used = async || {
            let usage = server.get("/api/usage", &near).await;
            (usage.number_at("/invoice_ocr/used"), usage.number_at("/risk_assessment/used"))
        };

        let one_too_many = consume(&[("invoice_ocr", 1), ("risk_assessment", 9)]).await;
        one_too_many.assert_problem(429, "quota-exceeded");
        assert_eq!(one_too_many.body["quota"]["feature"], "risk_assessment");
        let both_too_many = consume(&[("invoice_ocr", 14), ("risk_assessment", 9)]).await;
        both_too_many.assert_problem(429, "quota-exceeded");
        let named: Vec<_> = both_too_many.body["quotas"].as_object().expect("both").keys().collect();
        assert_eq!(named, ["invoice_ocr", "risk_assessment"]);
        // The same feature twice counts as its sum: 13 are left.
        consume(&[("invoice_ocr", 7), ("invoice-ocr", 7)]).await.assert_problem(429, "quota-exceeded");
        assert_eq!(used().await, (87, 42), "nothing moved");

        let fits = server.post("/api/usage/check", &near, items(&[("invoice_ocr", 13), ("risk_assessment", 8)])).await;
        fits.assert_ok(200);
        assert_eq!((&fits.body["id"], &fits.body["allowed"]), (&Value::Null, &json!(true)));
        assert_eq!(fits.body["quotas"]["invoice_ocr"]["used"], 87, "the state as it is: {}", fits.body);
        let does_not = server.post("/api/usage/check", &near, items(&[("invoice_ocr", 14)])).await;
        does_not.assert_problem(429, "quota-exceeded");
        assert_eq!(does_not.actions(), ["upgrade", "topUp", "contactSales"]);
        assert_eq!(used().await, (87, 42), "a check records nothing");

        let done = consume(&[("invoice_ocr", 6), ("risk_assessment", 8), ("invoice-ocr", 7)]).await;
        done.assert_ok(200);
        assert_eq!(done.body["quotas"].as_object().expect("quotas").len(), 2);
        assert_eq!(used().await, (100, 50));
    });
}

#[test]
fn a_retry_with_its_key_replays_the_first_answer_even_after_a_restart() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        let body = items(&[("invoice_ocr", 2)]);
        let first = server.consume(&near, &body, "once").await;
        first.assert_ok(200);
        assert!(!first.is_replay());
        server.post("/api/usage/consume", &near, items(&[("invoice_ocr", 1)])).await.assert_ok(200);
        let again = server.consume(&near, &body, "once").await;
        assert_replay(&again, &first);
        // It is the parsed body that counts, not its spelling.
        let spelled = br#"{ "items" : [ {"amount":2, "feature":"invoice-ocr"} ], "customer": null }"#;
        let request = server.request(reqwest::Method::POST, "/api/usage/consume", &near).body(spelled.to_vec());
        let request =
            request.header("content-type", "application/json; charset=utf-8").header("idempotency-key", "once");
        assert_replay(&server.send(request).await, &first);
        // Nor is it the order of members, also in what is kept beside the event.
        let noted = |metadata: &str| {
            let body = format!(r#"{{"metadata":{metadata},"items":[{{"feature":"risk_assessment","amount":1}}]}}"#);
            let request = server.request(reqwest::Method::POST, "/api/usage/consume", &near).body(body);
            server.send(request.header("content-type", "application/json").header("idempotency-key", "noted"))
        };
        let noted_first = noted(r#"{"a":1,"b":[{"c":2,"d":3}]}"#).await;
        noted_first.assert_ok(200);
        assert_replay(&noted(r#"{"b":[{"d":3,"c":2}],"a":1}"#).await, &noted_first);
        noted(r#"{"b":[{"d":3,"c":1}],"a":1}"#).await.assert_problem(422, "idempotency-key-reused");
        let other = server.consume(&near, &items(&[("invoice_ocr", 3)]), "once").await;
        other.assert_problem(422, "idempotency-key-reused");
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 90);
        // Another customer's key of the same name is another key, and so is another route's.
        let new = server.sign_in("new@halisoft.example").await;
        let theirs = server.consume(&new, &body, "once").await;
        assert_eq!((theirs.status, theirs.is_replay(), theirs.number_at("/quotas/invoice_ocr/used")), (200, false, 2));
        assert!(server.stop().success());

        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        assert_replay(&server.consume(&near, &body, "once").await, &first);
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 90);
        for bad in ["", &"k".repeat(256)] {
            let refused = server.consume(&near, &body, bad).await;
            refused.assert_problem(422, "invalid-input");
        }
    });
}

fn assert_replay(again: &Answer, first: &Answer) {
    assert!(again.is_replay(), "{again:?}");
    assert_eq!((again.status, &again.body), (first.status, &first.body));
}

#[test]
fn a_refusal_is_decided_again_when_its_request_is_retried() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let held = server.post("/api/usage/reserve", &near, items(&[("invoice_ocr", 13)])).await;
        held.assert_ok(201);
        let body = items(&[("invoice_ocr", 1)]);
        let refused = server.consume(&near, &body, "again").await;
        refused.assert_problem(429, "quota-exceeded");
        assert_eq!(refused.body["quota"]["reserved"], 13);
        let release = json!({ "reservation": held.body["reservation"] });
        server.post("/api/usage/release", &near, release).await.assert_ok(200);
        let allowed = server.consume(&near, &body, "again").await;
        assert_eq!((allowed.status, allowed.is_replay()), (200, false), "{allowed:?}");
        assert_replay(&server.consume(&near, &body, "again").await, &allowed);
    });
}

#[test]
fn racing_requests_get_exactly_what_is_left_and_each_key_counts_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let body = items(&[("invoice_ocr", 1)]);
        let keys: Vec<_> = (0..40).flat_map(|n| [format!("race-{n}"), format!("race-{n}")]).collect();
        let racing = keys.iter().map(|key| server.consume(&near, &body, key));
        let answers = futures_util::future::join_all(racing).await;
        let mut allowed: Vec<_> = answers.iter().filter(|a| a.status == 200).map(|a| a.text_at("/id")).collect();
        assert!(answers.iter().all(|a| a.status == 200 || a.status == 429), "{answers:?}");
        allowed.sort();
        allowed.dedup();
        assert_eq!(allowed.len(), 13);
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 100);
    });
}

#[test]
fn a_thousand_actions_are_answered_in_their_order_each_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        let customer = server.customer(&key, "bulk", "professional").await;
        let features = ["invoice_ocr", "expense_categorization"];
        let action = |n: usize| {
            let feature = features[usize::from(n % 2 == 1)];
            json!({ "customer": customer, "items": [{ "feature": feature, "amount": 1 }], "idempotencyKey": format!("b{n}") })
        };
        let body = json!({ "items": (0..1_000).map(action).collect::<Vec<_>>() });
        let done = server.post("/api/usage/batch", &key, body.clone()).await;
        done.assert_ok(200);
        let results = done.body["results"].as_array().expect("results");
        assert_eq!(results.len(), 1_000);
        for (n, result) in results.iter().enumerate() {
            let quotas = &result["body"]["quotas"];
            let used = quotas[features[usize::from(n % 2 == 1)]]["used"].as_u64();
            assert_eq!((&result["status"], used), (&json!(200), Some(n as u64 / 2 + 1)), "{n}: {result}");
        }
        let again = server.post("/api/usage/batch", &key, body).await;
        assert_eq!(again.body, done.body, "a retry of the whole batch answers the same");
        assert_eq!(server.quota_of(&key, "bulk", "invoice_ocr").await["used"], 500);

        let too_many = json!({ "items": (0..1_001).map(action).collect::<Vec<_>>() });
        server.post("/api/usage/batch", &key, too_many).await.assert_field("/items");
        server.post("/api/usage/batch", &key, json!({ "items": [] })).await.assert_field("/items");
        assert_eq!(server.quota_of(&key, "bulk", "expense_categorization").await["used"], 500);
    });
}

#[test]
fn each_action_of_a_batch_stands_for_itself() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "mixed", "starter").await;
        let one = |customer: &str, feature: &str, amount: i64, retry: Value| json!({ "customer": customer, "items": [{ "feature": feature, "amount": amount }], "idempotencyKey": retry });
        let body = json!({ "items": [
            one("mixed", "invoice_ocr", 60, json!("a")),
            one("mixed", "invoice_ocr", 60, json!(null)),
            one("nobody", "invoice_ocr", 1, json!(null)),
            one("mixed", "no_such", 1, json!(null)),
            one("mixed", "contract_review", 1, json!(null)),
            one("mixed", "invoice_ocr", 0, json!(null)),
            json!({ "customer": "mixed", "items": [{ "feature": "invoice_ocr" }] }),
            json!({ "customer": 7, "items": [] }),
            json!(["mixed"]),
            one("mixed", "invoice_ocr", 40, json!(null)),
        ] });
        let done = server.post("/api/usage/batch", &key, body).await;
        done.assert_ok(200);
        let said = done.body["results"].as_array().expect("results").iter();
        let said: Vec<_> = said.map(|r| json!([r["status"], r["body"]["code"]])).collect();
        let expected = json!([
            [200, null],
            [429, "quota-exceeded"],
            [404, "unknown-customer"],
            [404, "unknown-feature"],
            [403, "feature-not-in-plan"],
            [422, "invalid-input"],
            [422, "invalid-input"],
            [422, "invalid-input"],
            [422, "invalid-input"],
            [200, null],
        ]);
        assert_eq!(json!(said), expected);
        let fault = &done.body["results"][6]["body"]["errors"][0];
        assert_eq!(*fault, json!({ "pointer": "/items/0/amount", "detail": "add it" }), "as it is told alone");
        let refused = &done.body["results"][1]["body"];
        assert_eq!(json!([refused["status"], refused["quota"]["used"]]), json!([429, 60]));
        let retried = json!({ "items": [one("mixed", "invoice_ocr", 1, json!("a"))] });
        let retried = server.post("/api/usage/batch", &key, retried).await;
        assert_eq!(retried.body["results"][0]["body"]["code"], "idempotency-key-reused");
        assert_eq!(server.quota_of(&key, "mixed", "invoice_ocr").await["used"], 100);
    });
}

#[test]
fn an_action_may_be_retried_alone_or_in_a_batch() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let items = json!([{ "feature": "invoice_ocr", "amount": 1 }]);
        let first = server.consume(&near, &json!({ "items": items }), "once").await;
        let batch = json!({ "items": [{ "items": items, "idempotencyKey": "once" }] });
        let again = server.post("/api/usage/batch", &near, batch).await;
        assert_eq!(again.body["results"][0], json!({ "status": 200, "body": first.body }), "{again:?}");
    });
}
