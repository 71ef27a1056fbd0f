//! Use, AI cost and forecasts, over the API. What the follower sums is tested in the store; here the sums are planted.

use serde_json::{Value, json};

use super::sql::execute;
use super::support::{Database, Server, on_both};

/// 2026-03-01T00:00:00Z.
const MARCH: i64 = 1_772_323_200_000_000;
const DAY: i64 = 86_400_000_000;

/// Sums of halisoft, with 60 days between them.
fn planted() -> String {
    let row = |table: &str, columns: &str, values: &str| {
        format!(
            "INSERT INTO {table} (tenant_id, {columns}) SELECT t.tenant_id, {values} FROM tenant t \
             JOIN plan p ON p.tenant_id = t.tenant_id AND p.slug = 'starter' WHERE t.slug = 'halisoft';\n"
        )
    };
    let hour = |at: i64, feature: &str, plan: &str, used: i64| {
        row("usage_hour", "hour, feature, plan_id, used, events", &format!("{at}, '{feature}', {plan}, {used}, 2"))
            + &row(
                "usage_day",
                "day, feature, plan_id, used, events",
                &format!("{}, '{feature}', {plan}, {used}, 2", at - at % DAY),
            )
    };
    let ai = |day: i64, component: &str, model: &str, plan: &str, cost: i64| {
        let values = format!("{day}, '{component}', '{model}', {plan}, 3, 1000, 50, {cost}");
        row("ai_day", "day, component, model, plan_id, calls, input_tokens, output_tokens, cost_micros", &values)
    };
    let caller = |customer: &str, cost: i64| {
        let values = format!("{MARCH}, '{customer}', 4, 10, 5, {cost}");
        row("ai_customer_month", "month, customer_id, calls, input_tokens, output_tokens, cost_micros", &values)
    };
    let user = |customer: &str, used: i64| {
        let values = format!("'invoice_ocr', {MARCH}, '{customer}', {used}, 1");
        row("usage_customer_month", "feature, month, customer_id, used, events", &values)
    };
    [
        hour(MARCH + 3_600_000_000, "invoice_ocr", "p.plan_id", 10),
        hour(MARCH + DAY, "invoice_ocr", "''", 4),
        hour(MARCH + DAY, "risk_assessment", "p.plan_id", 7),
        hour(MARCH + 60 * DAY, "invoice_ocr", "p.plan_id", 1),
        ai(MARCH, "invoice_ocr", "small", "p.plan_id", 1_500_000),
        ai(MARCH + DAY, "risk_assessment", "great", "p.plan_id", 250_001),
        caller("cus_x", 9),
        caller("cus_y", 700),
        user("cus_x", 3),
        user("cus_y", 8),
    ]
    .concat()
}

fn groups(answer: &Value, fields: &[&str]) -> Vec<Value> {
    let all = answer["groups"].as_array().expect("groups").iter();
    all.map(|group| fields.iter().map(|field| group[*field].clone()).collect()).collect()
}

#[test]
fn use_and_ai_cost_are_told_by_each_group() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        assert!(server.stop().success());
        execute(&database, folder.path(), &planted()).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let read = async |query: &str| {
            let path = format!("/api/admin/metrics/usage?from=2026-03-01&to=2026-03-31&{query}");
            let answer = server.get(&path, &admin).await;
            answer.assert_ok(200);
            answer
        };
        let by_feature = read("groupBy=feature").await.body;
        let expected = [json!(["invoice_ocr", 14, 4, null]), json!(["risk_assessment", 7, 2, null])];
        assert_eq!(groups(&by_feature, &["key", "used", "events", "cost"]), expected);
        assert_eq!(by_feature["points"].as_array().map(Vec::len), Some(3));
        assert_eq!(json!([by_feature["points"][0]["at"], by_feature["points"][0]["used"]]), json!(["2026-03-01", 10]));
        let by_month = read("bucket=month&feature=invoice-ocr").await.body;
        assert_eq!(by_month["points"].as_array().map(Vec::len), Some(1));
        let by_hour = read("bucket=hour&feature=invoice_ocr").await.body;
        assert_eq!(by_hour["points"][0]["at"], "2026-03-01T01:00:00Z");

        let by_component = read("groupBy=component").await;
        assert!(by_component.text.contains("\"cost\":1.500000"), "{by_component:?}");
        let expected =
            [json!(["invoice_ocr", 3, 1_000, 1.5, null]), json!(["risk_assessment", 3, 1_000, 0.250_001, null])];
        assert_eq!(groups(&by_component.body, &["key", "calls", "inputTokens", "cost", "mrr"]), expected);
        let by_model = read("groupBy=model&feature=risk_assessment").await.body;
        assert_eq!(groups(&by_model, &["key", "cost"]), [json!(["great", 0.250_001])]);
        // Thirty days cost what they cost; beside them stands what the plan brings now: three demo users at 299.
        let by_plan = read("groupBy=plan&feature=invoice_ocr").await.body;
        let starter = groups(&by_plan, &["key", "used", "cost", "mrr", "monthlyCost", "margin"]);
        assert!(starter.contains(&json!(["starter", 10, 1.5, 897.0, 1.5, 895.5])), "{starter:?}");
        assert!(starter.contains(&json!(["", 4, null, 0.0, 0.0, 0.0])), "{starter:?}");
        let callers = read("groupBy=customer").await.body;
        assert_eq!(
            groups(&callers, &["key", "calls", "cost"]),
            [json!(["cus_y", 4, 0.0007]), json!(["cus_x", 4, 0.000_009])]
        );
        let users = read("groupBy=customer&feature=invoice_ocr").await.body;
        assert_eq!(groups(&users, &["key", "used", "cost"]), [json!(["cus_y", 8, null]), json!(["cus_x", 3, null])]);

        let refused = async |query: &str| server.get(&format!("/api/admin/metrics/usage?{query}"), &admin).await;
        refused("from=2026-01-01&to=2026-03-01&bucket=hour").await.assert_field("/from");
        refused("bucket=hour&groupBy=model").await.assert_field("/bucket");
        refused("from=2026-01-31&to=2026-03-01&groupBy=customer").await.assert_field("/from");
        refused("from=2026-03-02&to=2026-03-01").await.assert_field("/from");
        refused("groupBy=weather").await.assert_field("/groupBy");
        refused("feature=no_such").await.assert_problem(404, "unknown-feature");
        let near = server.sign_in("near@halisoft.example").await;
        server.get("/api/admin/metrics/usage", &near).await.assert_problem(403, "forbidden");
        let studio = server.sign_in("admin@studio.example").await;
        let theirs = server.get("/api/admin/metrics/usage?from=2026-03-01&to=2026-03-31", &studio).await;
        assert_eq!(theirs.body["groups"], json!([]), "another tenant's is its own");
    });
}

#[test]
fn a_forecast_says_when_a_quota_runs_out() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let full = server.sign_in("full@halisoft.example").await;
        let forecast = server.get("/api/usage/forecast", &full).await;
        forecast.assert_ok(200);
        let invoices = &forecast.body["invoice_ocr"];
        assert_eq!(json!([invoices["used"], invoices["remaining"]]), json!([100, 0]));
        assert!(invoices["runsOutAt"].is_string(), "nothing remains: {invoices}");
        assert!(invoices["projected"].as_i64().is_some_and(|units| units > 100), "{invoices}");
        let unused = &forecast.body["risk_assessment"];
        assert_eq!(json!([unused["projected"], unused["runsOutAt"]]), json!([0, null]));
        let pro = server.sign_in("pro@studio.example").await;
        let storage = &server.get("/api/usage/forecast", &pro).await.body["storage"];
        assert_eq!(storage["projected"], Value::Null, "a level has no pace");

        let (_, key) = server.key_of("halisoft", &["usage:read", "customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        let admin = server.sign_in("admin@halisoft.example").await;
        for credential in [&key, &admin] {
            let named = server.get("/api/usage/forecast?customer=acme", credential).await;
            named.assert_ok(200);
            assert_eq!(named.body["invoice_ocr"]["projected"], 0);
        }
        server.get("/api/usage/forecast?customer=acme", &full).await.assert_problem(404, "unknown-customer");
        let studio = server.sign_in("admin@studio.example").await;
        server.get("/api/usage/forecast?customer=acme", &studio).await.assert_problem(404, "unknown-customer");
    });
}
