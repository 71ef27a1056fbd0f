//! The demo is what SPEC §2 says.

use serde_json::{Value, json};

use super::support::{Database, PASSWORD, Server, on_both};

/// Who has used what: `(used, limit, percentage, status)` of each feature.
type Expected = (&'static str, &'static str, Vec<(&'static str, i64, Option<i64>, Option<i64>, &'static str)>);

fn people() -> Vec<Expected> {
    let starter = |invoices: i64, invoice_status, risks: i64, risk_status| {
        vec![
            ("expense_categorization", 0, Some(200), Some(0), "ok"),
            ("invoice_ocr", invoices, Some(100), Some(invoices), invoice_status),
            ("risk_assessment", risks, Some(50), Some(risks * 2), risk_status),
        ]
    };
    let studio = |prompts, prompts_limit, percentage, prompts_status, storage: (i64, i64, i64, &'static str)| {
        let (level, limit, share, status) = storage;
        vec![
            ("prompts", prompts, Some(prompts_limit), Some(percentage), prompts_status),
            ("storage", level, Some(limit), Some(share), status),
        ]
    };
    vec![
        ("new@halisoft.example", "starter", starter(0, "ok", 0, "ok")),
        ("near@halisoft.example", "starter", starter(87, "warning", 42, "warning")),
        ("full@halisoft.example", "starter", starter(100, "exceeded", 0, "ok")),
        (
            "pro@halisoft.example",
            "professional",
            vec![
                ("audit_assistant", 0, Some(500), Some(0), "ok"),
                ("cash_flow_forecast", 12, Some(100), Some(12), "ok"),
                ("contract_review", 41, Some(200), Some(20), "ok"),
                ("expense_categorization", 0, Some(2_000), Some(0), "ok"),
                ("invoice_ocr", 312, Some(1_000), Some(31), "ok"),
                ("risk_assessment", 128, Some(500), Some(25), "ok"),
            ],
        ),
        (
            "enterprise@halisoft.example",
            "enterprise",
            vec![
                ("audit_assistant", 95, None, None, "ok"),
                ("cash_flow_forecast", 0, Some(5_000), Some(0), "ok"),
                ("contract_review", 310, Some(10_000), Some(3), "ok"),
                ("expense_categorization", 0, None, None, "ok"),
                ("invoice_ocr", 2_140, None, None, "ok"),
                ("risk_assessment", 860, None, None, "ok"),
            ],
        ),
        ("user@studio.example", "free", studio(99, 100, 99, "critical", (400_000_000, 500_000_000, 80, "warning"))),
        ("pro@studio.example", "pro", studio(150, 500, 30, "ok", (2_200_000_000, 5_000_000_000, 44, "ok"))),
        ("power@studio.example", "power", studio(200, 1_000, 20, "ok", (4_900_000_000, 10_000_000_000, 49, "ok"))),
    ]
}

#[test]
fn every_demo_user_has_the_plan_and_the_use_of_the_spec() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        for (email, plan, features) in people() {
            let token = server.sign_in(email).await;
            let usage = server.get("/api/usage", &token).await;
            usage.assert_ok(200);
            let shown: Vec<_> = usage.body.as_object().expect("quotas by feature").keys().collect();
            let expected: Vec<_> = features.iter().map(|(feature, ..)| feature).collect();
            assert_eq!(shown, expected, "{email}");
            for (feature, used, limit, percentage, status) in features {
                let quota = &usage.body[feature];
                let remaining = limit.map(|limit| limit - used);
                let said = json!([quota["used"], quota["limit"], quota["percentage"], quota["status"]]);
                assert_eq!(said, json!([used, limit, percentage, status]), "{email} {feature}");
                assert_eq!(
                    (&quota["remaining"], &quota["reserved"]),
                    (&json!(remaining), &json!(0)),
                    "{email} {feature}"
                );
                assert_eq!((&quota["feature"], &quota["credits"]), (&json!(feature), &json!(0)));
                assert_reset(quota, email, feature);
            }
            let subscription = server.get("/api/subscription", &token).await;
            assert_eq!(subscription.body.pointer("/subscription/plan"), Some(&json!(plan)), "{subscription:?}");
            assert_eq!(subscription.body.pointer("/subscription/status"), Some(&json!("active")), "{subscription:?}");
        }
    });
}

/// `resetDate` is a date, `resetsAt` its instant in a tenant that lives in UTC; a gauge has neither.
fn assert_reset(quota: &Value, email: &str, feature: &str) {
    if feature == "storage" {
        assert_eq!((&quota["resetDate"], &quota["resetsAt"]), (&Value::Null, &Value::Null), "{email} {feature}");
        assert_eq!(quota["kind"], "gauge");
        return;
    }
    let date = quota["resetDate"].as_str().unwrap_or_else(|| panic!("{email} {feature}: {quota}"));
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00", "{email} {feature}");
    assert_eq!(quota["resetsAt"], format!("{date}T00:00:00Z"), "{email} {feature}");
    if email.ends_with("@studio.example") {
        assert!(date.ends_with("-01"), "studio resets on the first: {date}");
    }
}

#[test]
fn staff_sign_in_where_they_belong_and_nobody_elsewhere() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        for (email, role, tenant) in [
            ("admin@halisoft.example", "admin", "halisoft"),
            ("admin@studio.example", "admin", "studio"),
            ("operator@tollgate.example", "operator", "platform"),
            ("near@halisoft.example", "user", "halisoft"),
        ] {
            let me = server.get("/api/me", &server.sign_in(email).await).await;
            let said =
                json!([me.body.pointer("/user/email"), me.body.pointer("/user/role"), me.body.pointer("/tenant/slug")]);
            assert_eq!(said, json!([email, role, tenant]), "{me:?}");
        }
        for (email, tenant) in [
            ("near@halisoft.example", "studio"),
            ("user@studio.example", "halisoft"),
            ("operator@tollgate.example", "halisoft"),
            ("admin@halisoft.example", "platform"),
        ] {
            let request = server.request(reqwest::Method::POST, "/api/auth/login", "").header("x-tenant", tenant);
            let refused = server.send(request.json(&json!({ "email": email, "password": PASSWORD }))).await;
            refused.assert_problem(401, "invalid-credentials");
        }
    });
}

#[test]
fn the_demo_has_a_past_and_sells_the_plans_of_the_spec() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let months = "/api/usage/history?feature=invoice_ocr&bucket=month&from=2000-01-01T00:00:00Z";
        let months = server.get(months, &near).await;
        let points = months.body["points"].as_array().expect("points").len();
        assert!(points >= 3, "about three months of history: {months:?}");
        let plans = server.get("/api/plans", "").await;
        let sold = plans.body["data"].as_array().expect("plans").iter();
        let sold: Vec<_> = sold
            .map(|p| json!([p["slug"], p["basePrice"], p["yearlyPrice"], p["yearlySavingMonths"], p["contactSales"]]))
            .collect();
        let expected = json!([
            ["starter", 299.00, 2990.00, 2, false],
            ["professional", 799.00, 7990.00, 2, false],
            ["enterprise", null, null, null, true],
        ]);
        assert_eq!(json!(sold), expected);
        assert!(plans.text.contains("299.00"), "money has its currency's digits: {}", plans.text);
        let studio = server.request(reqwest::Method::GET, "/api/plans", "").header("x-tenant", "studio");
        let studio = server.send(studio).await;
        for digits in [
            "\"basePrice\":0.00",
            "\"basePrice\":9.99",
            "\"yearlyPrice\":99.00",
            "\"basePrice\":19.99",
            "\"yearlyPrice\":199.00",
        ] {
            assert!(studio.text.contains(digits), "{digits}: {}", studio.text);
        }
        let components = server.get("/api/components", &near).await;
        let known: Vec<_> = components.body["data"]
            .as_array()
            .expect("components")
            .iter()
            .map(|c| json!([c["key"], c["available"]]))
            .collect();
        let mut known = json!(known).as_array().cloned().unwrap_or_default();
        known.sort_by_key(ToString::to_string);
        let expected = json!([
            ["audit_assistant", false],
            ["cash_flow_forecast", false],
            ["contract_review", false],
            ["expense_categorization", true],
            ["invoice_ocr", true],
            ["risk_assessment", true],
        ]);
        assert_eq!(json!(known), expected);
    });
}
