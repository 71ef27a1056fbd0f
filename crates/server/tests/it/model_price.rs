//! What models cost, from an instant on.

use serde_json::{Value, json};

use super::support::{Answer, Database, Server, on_both};

const PATH: &str = "/api/admin/model-prices";
const FUTURE: &str = "2099-01-01T00:00:00Z";

fn price(model: &str, input: &str) -> Value {
    json!({ "model": model, "input": input, "output": "0.5", "cacheWrite5m": "0.125", "cacheWrite1h": "0", "cacheRead": "0.000001" })
}

fn with(mut price: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("members") {
        price[name] = value.clone();
    }
    price
}

async fn of_model(server: &Server, admin: &str, model: &str) -> Answer {
    server.get(&format!("{PATH}?model={model}"), admin).await
}

#[test]
fn a_price_is_exact_holds_at_once_and_can_be_set_ahead() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let set = server.put(PATH, &admin, price("demo", "1.234567")).await;
        set.assert_ok(200);
        let exact = r#""input":1.234567,"output":0.50,"cacheWrite5m":0.125,"cacheWrite1h":0.00,"cacheRead":0.000001"#;
        assert!(set.text.contains(exact), "{set:?}");
        let test = json!({ "action": "analyze", "input": { "invoiceData": "Invoice 7, total 10.00 EUR" } });
        let tried = server.post("/api/admin/components/invoice-ocr/test", &admin, test.clone()).await;
        let (input, output) = (tried.number_at("/usage/inputTokens"), tried.number_at("/usage/outputTokens"));
        let micros = (input * 1_234_567 + output * 500_000 + 500_000) / 1_000_000;
        let cost = format!("\"cost\":0.{micros:06}");
        assert!(tried.text.contains(cost.trim_end_matches('0')), "{cost} {tried:?}");

        let ahead = |input: &str| with(price("demo", input), json!({ "effectiveFrom": FUTURE }));
        for input in ["2", "3.5"] {
            server.put(PATH, &admin, ahead(input)).await.assert_ok(200);
        }
        let band = |over: i64| with(ahead("9"), json!({ "promptTokensOver": over }));
        server.put(PATH, &admin, band(100_000)).await.assert_ok(200);
        let listed = of_model(&server, &admin, "demo").await;
        let told: Vec<_> =
            listed.body["data"].as_array().expect("prices").iter().map(|p| p["input"].to_string()).collect();
        assert_eq!(told, ["1.234567", "3.5", "9.0"], "one that is not in force is replaced: {listed:?}");
        let again = server.post("/api/admin/components/invoice-ocr/test", &admin, test).await;
        assert_eq!(again.body["cost"], tried.body["cost"], "what is to come does not hold yet");

        let remove =
            async |query: &str| server.delete(&format!("{PATH}?model=demo&effectiveFrom={query}"), &admin).await;
        remove(FUTURE).await.assert_problem(409, "in-use");
        assert_eq!(remove(&format!("{FUTURE}&promptTokensOver=100000")).await.status, 204);
        assert_eq!(remove(FUTURE).await.status, 204);
        remove(FUTURE).await.assert_problem(404, "not-found");
        remove(&set.text_at("/effectiveFrom")).await.assert_problem(409, "in-use");
    });
}

#[test]
fn what_is_wrong_with_a_price_is_told_by_its_field() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        for (members, pointer) in [
            (json!({ "input": "0.1234567" }), "/input"),
            (json!({ "input": "-1" }), "/input"),
            (json!({ "input": true }), "/input"),
            (json!({ "output": 1e300 }), "/output"),
            (json!({ "output": "9999999999999" }), "/output"),
            (json!({ "model": " " }), "/model"),
            (json!({ "promptTokensOver": -1 }), "/promptTokensOver"),
            (json!({ "promptTokensOver": 100_000, "effectiveFrom": FUTURE }), "/promptTokensOver"),
            (json!({ "effectiveFrom": "2020-01-01T00:00:00Z" }), "/effectiveFrom"),
            (json!({ "effectiveFrom": "soon" }), "/effectiveFrom"),
        ] {
            server.put(PATH, &admin, with(price("new", "1"), members)).await.assert_field(pointer);
        }
        assert_eq!(of_model(&server, &admin, "new").await.body["data"], json!([]));
    });
}
