//! Bad input: always a problem document that says what to do, and nothing recorded.

use serde_json::{Value, json};

use super::support::{Database, Server, on_both};

/// Bodies of `consume` that are wrong: `(body, status, code, pointer)`.
const WRONG: [(&str, u16, &str, Option<&str>); 36] = [
    (r#"{"items":[{"feature":"invoice_ocr","amount":0}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":-1}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1.5}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1.0}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1e2}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1e400}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (
        r#"{"items":[{"feature":"invoice_ocr","amount":9223372036854775807}]}"#,
        422,
        "invalid-input",
        Some("/items/0/amount"),
    ),
    (
        r#"{"items":[{"feature":"invoice_ocr","amount":9223372036854775808}]}"#,
        422,
        "invalid-input",
        Some("/items/0/amount"),
    ),
    (
        r#"{"items":[{"feature":"invoice_ocr","amount":-9223372036854775808}]}"#,
        422,
        "invalid-input",
        Some("/items/0/amount"),
    ),
    (r#"{"items":[{"feature":"invoice_ocr","amount":"1"}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":null}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":true}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"feature":"invoice_ocr"}]}"#, 422, "invalid-input", Some("/items/0/amount")),
    (r#"{"items":[{"amount":1}]}"#, 422, "invalid-input", Some("/items/0/feature")),
    (r#"{"items":[{"feature":7,"amount":1}]}"#, 422, "invalid-input", Some("/items/0/feature")),
    (r#"{"items":[{"feature":"Invoice OCR","amount":1}]}"#, 422, "invalid-input", Some("/items/0/feature")),
    (r#"{"items":[{"feature":"a\u0000b","amount":1}]}"#, 422, "invalid-input", Some("/items/0/feature")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1,"amount":2}]}"#, 422, "invalid-input", Some("/items/0")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1,"price":0}]}"#, 422, "invalid-input", Some("/items/0/price")),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1}],"items":[]}"#, 422, "invalid-input", None),
    (r#"{"items":[{"feature":"invoice_ocr","amount":1}],"free":true}"#, 422, "invalid-input", Some("/free")),
    (r#"{"items":[["invoice_ocr",1]]}"#, 422, "invalid-input", Some("/items/0")),
    (r#"[null,[{"feature":"invoice_ocr","amount":1}],null]"#, 422, "invalid-input", Some("")),
    (r#"{"items":{"feature":"invoice_ocr","amount":1}}"#, 422, "invalid-input", Some("/items")),
    (r#"{"items":[]}"#, 422, "invalid-input", Some("/items")),
    ("{}", 422, "invalid-input", Some("/items")),
    ("[]", 422, "invalid-input", Some("")),
    ("7", 422, "invalid-input", Some("")),
    ("null", 422, "invalid-input", Some("")),
    ("", 400, "malformed-json", None),
    ("{", 400, "malformed-json", None),
    ("{'items':[]}", 400, "malformed-json", None),
    (r#"{"items":[]}x"#, 400, "malformed-json", None),
    (r#"{"items":[{"feature":"\ud800","amount":1}]}"#, 400, "malformed-json", None),
    (r#"{"customer":"a\u0000b","items":[{"feature":"invoice_ocr","amount":1}]}"#, 404, "unknown-customer", None),
    ("{\"items\":[{\"feature\":\"invoice_ocr\",\"amount\":1}],\"customer\":\"a\u{0}b\"}", 400, "malformed-json", None),
];

#[test]
fn wrong_bodies_are_refused_with_a_pointer_and_nothing_is_recorded() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        for (body, status, code, pointer) in WRONG {
            for path in ["/api/usage/consume", "/api/usage/reserve", "/api/usage/check"] {
                let answer = server.post_bytes(path, &near, "application/json", body.as_bytes().to_vec()).await;
                assert_eq!(
                    (answer.status, answer.body["code"].as_str()),
                    (status, Some(code)),
                    "{path} {body}: {answer:?}"
                );
                answer.assert_problem(status, code);
                if let Some(pointer) = pointer {
                    let pointers = answer.body["errors"].as_array().into_iter().flatten();
                    let pointers: Vec<_> = pointers.map(|error| error["pointer"].clone()).collect();
                    assert_eq!(pointers, [pointer], "{path} {body}");
                }
            }
        }
        let quota = server.quota(&near, "invoice_ocr").await;
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([87, 0]));
    });
}

#[test]
fn bodies_that_are_too_deep_too_large_or_of_the_wrong_kind_are_refused() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let post = async |media_type: &str, bytes: Vec<u8>| {
            server.post_bytes("/api/usage/consume", &near, media_type, bytes).await
        };
        let item = r#"{"feature":"invoice_ocr","amount":1}"#;
        let deep = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!(r#"{{"items":[{item}],"metadata":{open}{close}}}"#).into_bytes()
        };
        post("application/json", deep(200)).await.assert_problem(400, "malformed-json");
        post("application/json", deep(100_000)).await.assert_problem(400, "malformed-json");
        let mut invalid = format!(r#"{{"items":[{item}],"metadata":"x"}}"#).into_bytes();
        let at = invalid.iter().rposition(|byte| *byte == b'x').expect("an x");
        invalid[at] = 0xff;
        post("application/json", invalid).await.assert_problem(400, "malformed-json");
        let large = |bytes: usize| format!(r#"{{"items":[{item}],"metadata":"{}"}}"#, "x".repeat(bytes)).into_bytes();
        post("application/json", large(2 << 20)).await.assert_problem(413, "body-too-large");
        post("application/json", large(5_000)).await.assert_field("/metadata");

        for media_type in ["application/json", "multipart/form-data; boundary=edge"] {
            let answer =
                server.post_bytes("/api/ai/invoice-ocr/analyze", &near, media_type, vec![b' '; 21 << 20]).await;
            answer.assert_problem(413, "body-too-large");
        }

        let good = format!(r#"{{"items":[{item}]}}"#).into_bytes();
        for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "application/jsonx"]
        {
            post(wrong, good.clone()).await.assert_problem(415, "unsupported-media-type");
        }
        let bare = server.request(reqwest::Method::POST, "/api/usage/consume", &near).body(good.clone());
        server.send(bare).await.assert_problem(415, "unsupported-media-type");
        let no_ai = server.post_bytes("/api/ai/invoice-ocr/analyze", &near, "text/csv", good.clone()).await;
        no_ai.assert_problem(415, "unsupported-media-type");
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 87);
        for right in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
            post(right, good.clone()).await.assert_ok(200);
        }
        // A hundred levels and 33 items are a matter of each limit.
        post("application/json", deep(100)).await.assert_ok(200);
        let many = json!({ "items": vec![json!({ "feature": "risk_assessment", "amount": 1 }); 33] });
        server.post("/api/usage/consume", &near, many).await.assert_field("/items");
    });
}

#[test]
fn a_zero_byte_is_a_character_like_any_other_that_does_not_fit() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read", "customers:write", "tokens:mint", "ai:run"]).await;
        for path in ["/api/customers/a%00b", "/api/usage?customer=a%00b", "/api/subscription?customer=a%00b"] {
            server.get(path, &key).await.assert_problem(404, "unknown-customer");
        }
        for path in ["/api/usage/decisions/dec_%00", "/api/usage/decisions/%ff"] {
            server.get(path, &key).await.assert_problem(404, "not-found");
        }
        server.get("/api/customers/%ff%fe", &key).await.assert_problem(404, "not-found");
        server.use_of(&key, "a\u{0}b", "invoice_ocr", 1).await.assert_problem(404, "unknown-customer");
        let mint = server.post("/api/tokens", &key, json!({ "customer": "a\u{0}b" })).await;
        mint.assert_problem(404, "unknown-customer");
        let run = server.post("/api/ai/invoice-ocr/analyze?customer=a%00b", &key, json!({ "invoiceData": "x" })).await;
        run.assert_problem(404, "unknown-customer");
        let plan = json!({ "externalId": "zero", "plan": "a\u{0}b" });
        server.post("/api/customers", &key, plan).await.assert_field("/plan");
        let name = json!({ "email": "zero@example.com", "password": "long-enough-one", "name": "a\u{0}b" });
        server.post("/api/auth/register", "", name).await.assert_field("/name");
        let login = json!({ "email": "a\u{0}@b.example", "password": "a\u{0}b" });
        server.post("/api/auth/login", "", login).await.assert_problem(401, "invalid-credentials");
        let refresh = json!({ "refreshToken": "a\u{0}b" });
        server.post("/api/auth/refresh", "", refresh).await.assert_problem(401, "unauthenticated");
        // Beside an event anything may stand.
        server.customer(&key, "acme", "starter").await;
        let noted = json!({ "customer": "acme", "items": [{ "feature": "invoice_ocr", "amount": 1 }], "metadata": { "a\u{0}": "\u{0}" } });
        server.post("/api/usage/consume", &key, noted).await.assert_ok(200);
    });
}

/// Every operation of the document, with names in its path that mean nothing.
fn operations() -> Vec<(String, String, Value)> {
    let document: Value = serde_json::from_str(include_str!("../../../../openapi.json")).expect("JSON");
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let mut path = path.clone();
            while let Some((head, rest)) = path.split_once('{') {
                let (_, tail) = rest.split_once('}').expect("a name in braces");
                path = format!("{head}nonsense{tail}");
            }
            found.push((method.to_uppercase(), path, operation.clone()));
        }
    }
    assert!(found.len() > 25, "{}", found.len());
    found
}

#[test]
fn every_operation_answers_whatever_comes_with_a_problem() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["admin"]).await;
        let bodies = [
            "",
            "{",
            "[]",
            "null",
            "7",
            "{\"a\u{1}\":1}",
            r#"{"no such":{"x":[1]}}"#,
            r#"{"items":7,"email":[],"customer":{}}"#,
        ];
        for (method, path, operation) in operations() {
            let method: reqwest::Method = method.parse().expect("a method");
            let takes_body = operation.get("requestBody").is_some();
            for credential in ["", "nonsense", key.as_str()] {
                for body in bodies.iter().take(if takes_body { 8 } else { 1 }) {
                    let request = server.request(method.clone(), &format!("{path}?x=%ff&y"), credential);
                    let request = request.header("content-type", "application/json").body(*body);
                    let answer = server.request_head(request).await;
                    let told = (answer.0, answer.1.as_str());
                    let fine = told.0 < 400 || told.1 == "application/problem+json" && told.0 < 500;
                    assert!(fine, "{method} {path} as {credential:?} with {body:?}: {told:?}");
                    if takes_body && credential == key {
                        assert!(told.0 >= 400, "{method} {path} took {body:?}");
                    }
                }
            }
        }
    });
}
