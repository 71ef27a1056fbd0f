//! The demo's rules for the other components.

use serde_json::{Value, json};

use super::demo::{action, output};

async fn sample(component: &str) -> Value {
    output(component, action(component).get("sample").expect("a sample").clone()).await
}

fn texts<'a>(value: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    let entries = value.get(list).and_then(Value::as_array).expect("a list");
    entries.iter().filter_map(|entry| entry.get(field).and_then(Value::as_str)).collect()
}

#[tokio::test]
async fn risks_come_with_their_evidence() {
    let answer = sample("risk_assessment").await;
    assert_eq!(
        texts(&answer, "factors", "name"),
        ["Late payment", "Weak finances", "Dependence on one party", "Long payment terms", "Changed control"]
    );
    assert!(
        answer
            .pointer("/factors/0/evidence")
            .expect("evidence")
            .as_str()
            .is_some_and(|text| text.contains("paid late"))
    );
    // 18 + 16 + 14 + 10 + 8 points and 8 for the amount, less 6 for the sentence about history and insurance.
    assert_eq!((answer.get("score"), answer.get("level")), (Some(&json!(68)), Some(&json!("high"))));
    let calm = output(
        "risk_assessment",
        json!({ "description": "A customer since 2010 who has never been overdue. There is no litigation." }),
    )
    .await;
    assert_eq!((calm.get("score"), calm.pointer("/factors/0")), (Some(&json!(0)), None));
    let broke =
        output("risk_assessment", json!({ "description": "The supplier filed for bankruptcy on Monday." })).await;
    assert_eq!(broke.get("level"), Some(&json!("high")));
}

#[tokio::test]
async fn audits_point_at_entries() {
    let answer = sample("audit_assistant").await;
    let found = texts(&answer, "findings", "title");
    for title in [
        "Possible double payment",
        "Amount just below a usual approval limit",
        "Round amount",
        "Posting at a weekend",
        "Gap in the number sequence",
        "Missing text",
    ] {
        assert!(found.contains(&title), "{title} in {found:?}");
    }
    let text = answer.get("answer").and_then(Value::as_str).expect("an answer");
    assert!(text.contains("3 of 5 entries") && text.contains("24600.00"), "{text}");
    let none = output("audit_assistant", json!({ "question": "What is wrong?" })).await;
    assert_eq!((none.get("confidence"), none.get("findings")), (Some(&json!("low")), Some(&json!([]))));
}

#[tokio::test]
async fn contracts_are_taken_apart() {
    let answer = sample("contract_review").await;
    assert_eq!(answer.get("parties"), Some(&json!(["Northwind Software GmbH", "Bluefin Logistics Ltd"])));
    assert_eq!(answer.get("effectiveDate"), Some(&json!("2025-03-01")));
    assert_eq!((answer.get("overallRisk"), answer.get("warnings")), (Some(&json!("high")), Some(&json!([]))));
    let kinds = texts(&answer, "clauses", "type");
    for kind in ["payment", "renewal", "change", "liability", "confidentiality", "governing_law"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let missing = answer.get("missingClauses").expect("a list").to_string();
    assert!(missing.contains("Data protection") && !missing.contains("Governing law"), "{missing}");
    let strange = json!({ "party": "Nobody Inc", "contractText": "This agreement is between A GmbH and B Ltd. The fee is ____ EUR per year, due at once." });
    assert_eq!(
        output("contract_review", strange).await.get("warnings").and_then(Value::as_array).map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn expenses_are_sorted_and_added_up_exactly() {
    let answer = sample("expense_categorization").await;
    assert_eq!(texts(&answer, "items", "category"), ["travel", "lodging", "meals", "software", "hardware", "travel"]);
    assert_eq!(answer.pointer("/items/5/flags"), Some(&json!(["duplicate"])));
    assert_eq!(answer.pointer("/items/4/flags"), Some(&json!(["high_amount"])));
    let totals = answer.get("totals").and_then(Value::as_array).expect("totals");
    assert!(
        totals.contains(&json!({ "category": "travel", "currency": "EUR", "amount": "175.80", "count": 2 })),
        "{totals:?}"
    );
    let cents: Vec<Value> = (0..10).map(|_| json!({ "description": "Taxi", "amount": 0.1 })).collect();
    let sum = output("expense_categorization", json!({ "expenses": cents })).await;
    assert_eq!(sum.pointer("/totals/0/amount"), Some(&json!("1.00")));
}

#[tokio::test]
async fn forecasts_are_exact_and_name_the_shortfall() {
    let answer = sample("cash_flow_forecast").await;
    // The average inflow is 451,250.50 ÷ 4 = 112,812.625, the average outflow 483,151.00 ÷ 4 = 120,787.75.
    let first = json!({ "month": "2025-01", "inflow": "112812.63", "outflow": "120787.75", "planned": "0.00", "net": "-7975.12", "closingBalance": "34524.88" });
    assert_eq!(answer.pointer("/months/0"), Some(&first));
    assert_eq!(answer.pointer("/months/1/closingBalance"), Some(&json!("8549.76")));
    assert_eq!(answer.pointer("/months/5/month"), Some(&json!("2025-06")));
    assert_eq!(answer.pointer("/lowestBalance"), Some(&json!({ "month": "2025-03", "balance": "574.64" })));
    assert_eq!(answer.pointer("/shortfallMonths"), Some(&json!(["2025-02", "2025-03", "2025-05", "2025-06"])));
    let year: Vec<Value> = (1..=12).map(|month| json!({ "month": format!("2024-{month:02}"), "inflow": if month == 1 { 300 } else { 100 }, "outflow": 100 })).collect();
    let seasonal = output("cash_flow_forecast", json!({ "openingBalance": 0, "months": 2, "history": year })).await;
    assert_eq!(seasonal.pointer("/months/0/inflow"), Some(&json!("200.00")));
    assert_eq!(seasonal.pointer("/months/1/closingBalance"), Some(&json!("100.00")));
}

#[tokio::test]
async fn texts_are_written_and_shortened() {
    let mail = sample("writing_assistant").await;
    let mail = mail.as_str().expect("prose");
    assert!(
        mail.starts_with("Subject: The new opening hours of our studio in Leipzig") && mail.contains("[Demo text"),
        "{mail}"
    );
    let summary = sample("summarizer").await;
    let text = summary.get("summary").and_then(Value::as_str).expect("a summary");
    assert!(text.starts_with("The city council decided on Tuesday"), "{text}");
    let source = action("summarizer").pointer("/sample/text").and_then(Value::as_str).expect("a text");
    assert!(text.len() < source.len() / 2, "{text}");
    assert_eq!(summary.get("keyPoints").and_then(Value::as_array).map(Vec::len), Some(3));
    let one = output("summarizer", json!({ "text": "Only this." })).await;
    assert_eq!(one, json!({ "summary": "Only this.", "keyPoints": ["Only this"] }));
}
