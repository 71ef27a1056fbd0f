//! The AI gateway with the demo upstream.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::document::assert_fits;
use super::support::{Answer, Database, Server, on_both};

const INVOICE: &str = "Northwind Office Supplies GmbH\nHafenstrasse 12, 20457 Hamburg\n\nBill to:\nBluefin Logistics Ltd\n\n\
Invoice number: NW-2025-0142\nInvoice date: 2025-01-15\nDue date: 2025-02-14\nCurrency: EUR\n\nTotal: 1190.00\n";

/// The events of a finished stream: names and data.
pub fn events(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{answer:?}");
    let blocks = answer.text.split("\n\n").filter(|block| !block.trim().is_empty() && !block.starts_with(':'));
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned())
    };
    let event = |block: &str| {
        let data = field(block, "data:").expect("data");
        (field(block, "event:").expect("a name"), serde_json::from_str(&data).expect("JSON"))
    };
    blocks.map(event).collect()
}

/// Runs an action as a stream.
pub async fn streamed(server: &Server, credential: &str, path: &str, input: &Value, key: Option<&str>) -> Answer {
    let request = server.request(Method::POST, path, credential).header("accept", "text/event-stream").json(input);
    server.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

fn assert_invoice(answer: &Answer, used: i64) {
    answer.assert_ok(200);
    assert_eq!(answer.body.pointer("/result/invoiceNumber"), Some(&json!("NW-2025-0142")), "{answer:?}");
    let quota = &answer.body["quota"];
    assert_eq!(json!([quota["feature"], quota["used"], quota["reserved"]]), json!(["invoice_ocr", used, 0]));
    assert_eq!(&answer.body["quotas"]["invoice_ocr"], quota);
    assert_eq!(json!([answer.body["provider"], answer.body["demo"]]), json!(["demo", true]), "labelled as demo");
    let (input, output) = (answer.number_at("/usage/inputTokens"), answer.number_at("/usage/outputTokens"));
    assert!(input > 0 && output > 0, "{answer:?}");
    assert_eq!(answer.number_at("/usage/credits"), 10 + input + output, "the base cost and the tokens");
    assert!(answer.text_at("/id").starts_with("evt_"));
}

#[test]
fn an_invoice_is_read_from_text_json_and_a_form_with_a_file() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let path = "/api/ai/invoice-ocr/analyze";
        assert_invoice(&server.post(path, &near, json!({ "invoiceData": INVOICE })).await, 88);
        let data = json!({ "invoiceData": { "invoiceNumber": "NW-2025-0142", "total": "1190.00", "currency": "EUR" } });
        assert_invoice(&server.post("/api/ai/invoice_ocr/analyze", &near, data).await, 89);
        let form = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"files\"; filename=\"invoice.txt\"\r\ncontent-type: text/plain\r\n\r\n{INVOICE}\r\n--edge--\r\n"
        );
        let form = server.post_bytes(path, &near, "multipart/form-data; boundary=edge", form.into_bytes()).await;
        assert_invoice(&form, 90);
        let fields =
            format!("--edge\r\ncontent-disposition: form-data; name=\"invoiceData\"\r\n\r\n{INVOICE}\r\n--edge--\r\n");
        let fields = server.post_bytes(path, &near, "multipart/form-data; boundary=edge", fields.into_bytes()).await;
        assert_invoice(&fields, 91);
        for broken in ["multipart/form-data", "multipart/form-data; boundary=other"] {
            let answer = server.post_bytes(path, &near, broken, b"--edge\r\nhello".to_vec()).await;
            assert!(answer.status == 400 || answer.status == 422, "{answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 91);
    });
}

#[test]
fn a_stream_begins_and_ends_as_promised_and_its_pieces_make_the_result() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let answer =
            streamed(&server, &near, "/api/ai/invoice-ocr/analyze", &json!({ "invoiceData": INVOICE }), None).await;
        let events = events(&answer);
        let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
        let (first, last) = (names.first().copied(), names.last().copied());
        assert_eq!((first, last), (Some("start"), Some("done")), "{names:?}");
        for (event, data) in &events {
            assert_fits("RunEvent", &json!({ "event": event, "data": data }));
        }
        let deltas = &events[1..events.len() - 1];
        assert!(!deltas.is_empty() && deltas.iter().all(|(name, _)| name == "delta"), "{names:?}");
        let start = &events[0].1;
        assert_eq!(json!([start["provider"], start["demo"], start.get("id")]), json!(["demo", true, null]));
        assert!(start["reservation"].as_str().is_some_and(|id| id.starts_with("rsv_")), "{start}");
        let text: String = deltas.iter().filter_map(|(_, data)| data["text"].as_str()).collect();
        let done = &events[events.len() - 1].1;
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), done["result"]);
        assert_eq!(json!([done["quota"]["used"], done["quota"]["reserved"]]), json!([88, 0]));
        assert!(done["id"].as_str().is_some_and(|id| id.starts_with("evt_")), "{done}");
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 88);
    });
}

#[test]
fn input_that_does_not_fit_names_its_field_and_costs_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let file = |media_type: &str, data: Value| json!({ "files": [{ "mediaType": media_type, "data": data }] });
        for (input, pointer) in [
            (json!({ "invoiceData": 7 }), "/invoiceData"),
            (json!({ "invoiceData": "" }), "/invoiceData"),
            (json!({ "invoiceData": "  \n " }), "/invoiceData"),
            (json!({ "invoiceData": {} }), "/invoiceData"),
            (json!({ "invoiceData": "x".repeat(200_001) }), "/invoiceData"),
            (json!({ "invoiceData": INVOICE, "force": true }), "/force"),
            (json!({}), ""),
            (json!([INVOICE]), ""),
            (json!("text"), ""),
            (file("application/x-msdownload", json!("AAAA")), "/files/0/mediaType"),
            (file("text/plain", json!(7)), "/files/0/data"),
            (json!({ "files": [] }), "/files"),
        ] {
            for stream in [false, true] {
                let path = "/api/ai/invoice-ocr/analyze";
                let answer = if stream {
                    streamed(&server, &near, path, &input, None).await
                } else {
                    server.post(path, &near, input.clone()).await
                };
                answer.assert_field(pointer);
                assert!(answer.text.len() < 4_000, "the document is not repeated: {} bytes", answer.text.len());
            }
        }
        let quota = server.quota(&near, "invoice_ocr").await;
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([87, 0]));
    });
}

#[test]
fn a_repeated_call_answers_its_first_result_and_is_charged_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let path = "/api/ai/invoice-ocr/analyze";
        let input = json!({ "invoiceData": INVOICE });
        let run = async |input: &Value| {
            let request = server.request(Method::POST, path, &near).header("idempotency-key", "ocr-1");
            server.send(request.json(input)).await
        };
        let first = run(&input).await;
        assert_invoice(&first, 88);
        let again = run(&input).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        let replayed = events(&streamed(&server, &near, path, &input, Some("ocr-1")).await);
        assert_eq!(replayed.len(), 1, "a replayed stream comes as one event: {replayed:?}");
        assert_eq!((replayed[0].0.as_str(), &replayed[0].1), ("done", &first.body));
        let members = |one: &str, other: &str| json!({ "invoiceData": { one: "INV-7", other: "INV-7" } });
        run(&members("a", "b")).await.assert_problem(422, "idempotency-key-reused");
        let objects = async |one: &str, other: &str| {
            let request = server.request(Method::POST, path, &near).header("idempotency-key", "ocr-2");
            server.send(request.json(&members(one, other))).await
        };
        let object = objects("a", "b").await;
        object.assert_ok(200);
        assert_eq!(objects("b", "a").await.body, object.body, "the order of members does not make another request");
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 89);
        assert_eq!(run(&input).await.body["quota"]["used"], 88, "the quota as it was decided");
    });
}

#[test]
fn a_pool_is_drawn_by_every_component_until_it_is_empty() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let user = server.sign_in("user@studio.example").await;
        let input = json!({ "prompt": "A short greeting for our guests." });
        let written = server.post("/api/ai/writing-assistant/write", &user, input.clone()).await;
        written.assert_ok(200);
        assert!(written.body["result"].as_str().is_some_and(|text| text.len() > 10), "prose: {written:?}");
        let quota = &written.body["quota"];
        assert_eq!(json!([quota["feature"], quota["used"], quota["status"]]), json!(["prompts", 100, "exceeded"]));
        let text = json!({ "text": "The bridge is closed. Buses take the tunnel. It costs six million." });
        for (path, input) in [("/api/ai/writing-assistant/write", &input), ("/api/ai/summarizer/summarize", &text)] {
            let refused = server.post(path, &user, input.clone()).await;
            refused.assert_problem(429, "quota-exceeded");
            assert_eq!(refused.body["actions"][0]["plans"][0]["slug"], "pro");
        }
        let pro = server.sign_in("pro@studio.example").await;
        let summary = server.post("/api/ai/summarizer/summarize", &pro, text).await;
        assert!(summary.body.pointer("/result/summary").is_some_and(Value::is_string), "{summary:?}");
        assert_eq!(summary.body["quota"]["used"], 151);
        assert_eq!(server.quota(&user, "storage").await["used"], 400_000_000);
    });
}

#[test]
fn a_key_runs_components_for_the_customer_it_names() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["ai:run", "usage:read", "customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        let input = json!({ "invoiceData": INVOICE });
        let by_query = server.post("/api/ai/invoice-ocr/analyze?customer=acme", &key, input.clone()).await;
        assert_invoice(&by_query, 1);
        let request = server.request(Method::POST, "/api/ai/invoice-ocr/analyze", &key).header("x-customer", "acme");
        assert_invoice(&server.send(request.json(&input)).await, 2);
        let unnamed = server.post("/api/ai/invoice-ocr/analyze", &key, input.clone()).await;
        unnamed.assert_field("/customer");
        let near = server.sign_in("near@halisoft.example").await;
        let foreign = server.post("/api/ai/invoice-ocr/analyze?customer=acme", &near, input.clone()).await;
        foreign.assert_problem(404, "unknown-customer");
        let mint = json!({ "customer": "acme", "scopes": ["ai:run"] });
        let minted = server.key(&["tokens:mint"]).await;
        let browser = server.post("/api/tokens", &minted, mint).await.text_at("/token");
        assert_invoice(&server.post("/api/ai/invoice-ocr/analyze", &browser, input).await, 3);
        server.get("/api/usage", &browser).await.assert_problem(403, "forbidden");
    });
}

#[test]
fn every_component_of_the_demo_answers_its_own_sample() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        for email in ["enterprise@halisoft.example", "power@studio.example"] {
            let token = server.sign_in(email).await;
            let components = server.get("/api/components", &token).await;
            for component in components.body["data"].as_array().expect("components") {
                assert_eq!(
                    json!([component["available"], component["provider"]]),
                    json!([true, "demo"]),
                    "{component}"
                );
                let slug = component["slug"].as_str().expect("a slug");
                for action in component["actions"].as_array().expect("actions") {
                    let path = format!("/api/ai/{slug}/{}", action["name"].as_str().expect("a name"));
                    let answer = server.post(&path, &token, action["sample"].clone()).await;
                    answer.assert_ok(200);
                    assert_eq!(answer.body["demo"], true, "{path}");
                }
            }
        }
    });
}

#[test]
fn schemas_and_results_keep_the_order_they_were_written_in() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let components = server.get("/api/components", &near).await;
        let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        let of = |key: &str| {
            let all = components.body["data"].as_array().expect("components");
            all.iter().find(|component| component["key"] == key).expect("it is there")["actions"][0].clone()
        };
        let schema = &of("invoice_ocr")["outputSchema"]["properties"];
        let first: Vec<_> = names(schema).into_iter().take(4).collect();
        assert_eq!(first, ["documentType", "invoiceNumber", "issueDate", "dueDate"]);
        let input = json!({ "invoiceData": INVOICE });
        let answer = server.post("/api/ai/invoice-ocr/analyze", &near, input).await;
        assert_eq!(names(&answer.body["result"]), names(schema), "{answer:?}");
    });
}
