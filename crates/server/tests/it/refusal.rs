//! Which refusal is told when several would do: 401, 404, 402, 403, 422, 429 (SPEC §13).

use serde_json::{Value, json};

use super::sql::execute;
use super::support::{Database, Server, on_both};

fn body(customer: &str, items: &[(&str, i64)]) -> Value {
    let items: Vec<_> = items.iter().map(|(feature, amount)| json!({ "feature": feature, "amount": amount })).collect();
    json!({ "customer": customer, "items": items })
}

#[test]
fn the_first_reason_in_the_order_is_the_one_that_is_told() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read", "customers:write", "ai:run"]).await;
        server.customer(&key, "starter", "starter").await;
        let unpaid = server.post("/api/customers", &key, json!({ "externalId": "unpaid" })).await;
        unpaid.assert_ok(201);
        server.use_of(&key, "starter", "invoice_ocr", 100).await.assert_ok(200);
        for (customer, items, status, code) in [
            ("nobody", &[("no_such", 0)][..], 404, "unknown-customer"),
            ("unpaid", &[("invoice_ocr", 1), ("no_such", 1)], 404, "unknown-feature"),
            ("unpaid", &[("contract_review", 0)], 402, "subscription-required"),
            ("unpaid", &[("invoice_ocr", 1)], 402, "subscription-required"),
            ("starter", &[("contract_review", 1), ("no_such", 1)], 404, "unknown-feature"),
            ("starter", &[("invoice_ocr", 0), ("contract_review", 1)], 403, "feature-not-in-plan"),
            ("starter", &[("invoice_ocr", 1), ("contract_review", 0)], 403, "feature-not-in-plan"),
            ("starter", &[("invoice_ocr", 1), ("risk_assessment", 0)], 422, "invalid-input"),
            ("starter", &[("risk_assessment", 1), ("invoice_ocr", 1)], 429, "quota-exceeded"),
        ] {
            for path in ["/api/usage/consume", "/api/usage/check", "/api/usage/reserve"] {
                server.post(path, "", body(customer, items)).await.assert_problem(401, "unauthenticated");
                let refused = server.post(path, &key, body(customer, items)).await;
                assert_eq!((refused.status, refused.body["code"].as_str()), (status, Some(code)), "{path} {items:?}");
                refused.assert_problem(status, code);
            }
        }
        let malformed = server.post_bytes("/api/usage/consume", "", "text/plain", b"{".to_vec()).await;
        malformed.assert_problem(401, "unauthenticated");
        assert_eq!(server.quota_of(&key, "starter", "risk_assessment").await["used"], 0);
    });
}

#[test]
fn talking_to_sales_leads_to_the_address_of_the_brand() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
        for (links, wanted) in [
            (
                json!({ "sales": "mailto:sales@halisoft.example", "support": "https://x.example/" }),
                json!("mailto:sales@halisoft.example"),
            ),
            (json!({ "support": "https://halisoft.example/help" }), json!("https://halisoft.example/help")),
            (json!({ "support": "javascript:alert(1)" }), json!(null)),
            (json!({}), json!(null)),
        ] {
            let brand = json!({ "name": "HaliSoft", "links": links });
            execute(&database, folder.path(), &format!("UPDATE tenant SET brand = '{brand}' WHERE slug = 'halisoft'"))
                .await;
            let server = Server::start(&database, folder.path(), &["--demo"], &[]);
            let full = server.sign_in("full@halisoft.example").await;
            let items = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
            let refused = server.post("/api/usage/consume", &full, items).await;
            refused.assert_problem(429, "quota-exceeded");
            assert_eq!(refused.actions(), ["upgrade", "topUp", "contactSales"]);
            let addresses: Vec<_> =
                refused.body["actions"].as_array().expect("actions").iter().map(|a| &a["href"]).collect();
            assert_eq!(addresses, [&json!(null), &json!(null), &wanted]);
            assert!(server.stop().success());
        }
    });
}

#[test]
fn a_feature_that_the_plan_lacks_names_the_plans_that_have_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let items = json!({ "items": [{ "feature": "contract-review", "amount": 1 }] });
        let refused = server.post("/api/usage/consume", &near, items).await;
        refused.assert_problem(403, "feature-not-in-plan");
        assert!(refused.text_at("/detail").contains("Professional, Enterprise"), "{refused:?}");
        assert_eq!(refused.actions(), ["upgrade", "contactSales"]);
        let plans = refused.body["actions"][0]["plans"].as_array().expect("plans");
        let plans: Vec<_> = plans.iter().map(|plan| json!([plan["slug"], plan["limit"]])).collect();
        assert_eq!(json!(plans), json!([["professional", 200], ["enterprise", 10_000]]));
        let decision = format!("/api/usage/decisions/{}", refused.text_at("/decision"));
        let explained = server.get(&decision, &near).await;
        assert_eq!(
            json!([explained.body["code"], explained.body["feature"]]),
            json!(["feature-not-in-plan", "contract_review"])
        );
        let unknown =
            server.post("/api/usage/consume", &near, json!({ "items": [{ "feature": "no_such", "amount": 1 }] })).await;
        unknown.assert_problem(404, "unknown-feature");
        assert!(unknown.text_at("/detail").contains("invoice_ocr"), "it names what there is: {unknown:?}");
        // A user acts for their own customer alone.
        let new = server.get("/api/me", &server.sign_in("new@halisoft.example").await).await;
        let other = new.text_at("/user/customer");
        let foreign = server.post("/api/usage/consume", &near, body(&other, &[("invoice_ocr", 1)])).await;
        foreign.assert_problem(404, "unknown-customer");
        server.get(&format!("/api/usage?customer={other}"), &near).await.assert_problem(404, "unknown-customer");
        let unnamed = server.key(&["usage:write", "usage:read"]).await;
        let unnamed = server.post("/api/usage/consume", &unnamed, json!({ "items": [] })).await;
        unnamed.assert_field("/customer");
    });
}

#[test]
fn an_ai_call_is_refused_in_the_same_order_and_charges_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read", "customers:write", "ai:run"]).await;
        server.post("/api/customers", &key, json!({ "externalId": "unpaid" })).await.assert_ok(201);
        let full = server.sign_in("full@halisoft.example").await;
        let good = json!({ "invoiceData": "Invoice 1, total 5.00 EUR" });
        let bad = json!({ "invoiceData": 7 });
        server.post("/api/ai/no-such/analyze", "", good.clone()).await.assert_problem(401, "unauthenticated");
        for (path, credential, input, status, code) in [
            ("/api/ai/no-such/analyze", &full, &bad, 404, "unknown-component"),
            ("/api/ai/Not%20A%20Key/analyze", &full, &bad, 404, "unknown-component"),
            ("/api/ai/invoice-ocr/no-such", &full, &bad, 404, "unknown-component"),
            ("/api/ai/invoice-ocr/analyze?customer=nobody", &key, &bad, 404, "unknown-customer"),
            ("/api/ai/invoice-ocr/analyze?customer=unpaid", &key, &bad, 402, "subscription-required"),
            ("/api/ai/contract-review/review", &full, &bad, 403, "feature-not-in-plan"),
            ("/api/ai/invoice-ocr/analyze", &full, &bad, 422, "invalid-input"),
            ("/api/ai/invoice-ocr/analyze", &full, &good, 429, "quota-exceeded"),
        ] {
            for accept in ["application/json", "text/event-stream"] {
                let request = server.request(reqwest::Method::POST, path, credential).header("accept", accept);
                let refused = server.send(request.json(input)).await;
                assert_eq!((refused.status, refused.body["code"].as_str()), (status, Some(code)), "{path} {input}");
                refused.assert_problem(status, code);
            }
        }
        let refused = server.post("/api/ai/invoice-ocr/analyze", &full, good).await;
        assert_eq!(refused.actions(), ["upgrade", "topUp", "contactSales"], "what the dialog shows");
        assert_eq!(json!([refused.body["quota"]["used"], refused.body["quota"]["limit"]]), json!([100, 100]));
        assert!(refused.header("retry-after").is_some() && refused.body["decision"].is_string(), "{refused:?}");
        let quota = server.quota(&full, "invoice_ocr").await;
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([100, 0]));
    });
}

#[test]
fn what_is_short_is_told_for_each_feature_with_the_plans_that_would_fit_them_all() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let reset = server.quota(&near, "invoice_ocr").await["resetDate"].as_str().expect("a date").to_owned();
        let refused = async |items: &[(&str, i64)]| {
            let items: Vec<_> = items.iter().map(|(key, amount)| json!({ "feature": key, "amount": amount })).collect();
            let refused = server.post("/api/usage/consume", &near, json!({ "items": items })).await;
            refused.assert_problem(429, "quota-exceeded");
            let plans = refused.body["actions"][0]["plans"].as_array().expect("plans").clone();
            let plans: Vec<_> = plans.iter().filter_map(|plan| plan["slug"].as_str()).map(str::to_owned).collect();
            (refused.text_at("/detail"), plans)
        };
        let way = format!("Upgrade the plan, buy a top-up, or wait until {reset}.");
        let (detail, plans) = refused(&[("invoice_ocr", 20)]).await;
        let one = "Invoice OCR & Analysis: 13 analyses are left, and 20 were asked for.";
        assert_eq!((detail, plans), (format!("{one} {way}"), vec!["professional".to_owned(), "enterprise".to_owned()]));
        let (detail, plans) = refused(&[("invoice_ocr", 20), ("risk_assessment", 459)]).await;
        let other = "Risk Assessment: 459 were asked for, which is more than the whole limit of 50 assessments.";
        let way = "Upgrade the plan or buy a top-up.";
        assert_eq!((detail, plans), (format!("{one} {other} {way}"), vec!["enterprise".to_owned()]));
        let (_, plans) = refused(&[("invoice_ocr", 913)]).await;
        assert_eq!(plans, ["professional", "enterprise"], "87 and 913 are 1,000");
        let (_, plans) = refused(&[("invoice_ocr", 914)]).await;
        assert_eq!(plans, ["enterprise"]);
    });
}

#[test]
fn people_without_a_customer_are_told_so_in_words_for_people() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let use_one = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        for answer in [
            server.get("/api/subscription", &admin).await,
            server.get("/api/usage", &admin).await,
            server.get("/api/usage/history?feature=invoice_ocr", &admin).await,
            server.post("/api/usage/check", &admin, use_one).await,
        ] {
            answer.assert_problem(404, "unknown-customer");
            assert!(answer.text_at("/detail").starts_with("This account is no customer"), "{answer:?}");
        }
    });
}

#[test]
fn waiting_is_advised_only_where_everything_that_is_short_resets() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let user = server.sign_in("user@studio.example").await;
        let refused = async |items: Value| {
            let refused = server.post("/api/usage/consume", &user, json!({ "items": items })).await;
            refused.assert_problem(429, "quota-exceeded");
            refused
        };
        let prompts = json!({ "feature": "prompts", "amount": 2 });
        let storage = json!({ "feature": "storage", "amount": 200_000_000 });
        let one = refused(json!([prompts])).await;
        assert!(one.header("retry-after").is_some() && one.text_at("/detail").contains("or wait until"), "{one:?}");
        assert_eq!(one.actions(), ["upgrade", "topUp", "contactSales"]);
        let both = refused(json!([prompts, storage])).await;
        assert_eq!(both.header("retry-after"), None, "storage never resets");
        assert_eq!(both.actions(), ["delete", "upgrade", "topUp", "contactSales"]);
        assert_eq!(
            both.text_at("/detail"),
            "AI prompts: 1 is left, and 2 were asked for. Storage: 100,000,000 bytes are left, and 200,000,000 were \
             asked for. Delete something, upgrade the plan, or buy a top-up."
        );
    });
}
