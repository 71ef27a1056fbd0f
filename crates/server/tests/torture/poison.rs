//! One operation that cannot be done does not fail the others of its batch.

use serde_json::json;

use crate::holds::execute;
use crate::load::SCOPES;
use crate::support::{Database, Server, on_both};

/// A stored reservation that contradicts the model, and is due: whatever its customer does next stumbles over it.
const POISON: &str = "UPDATE reservation SET holds = 'not json', expires_at = 1 WHERE state = 'open'; \
    UPDATE counter SET next_expiry = 1 WHERE held > 0;";

async fn poisoned(database: Database) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(&database, folder.path(), &["--demo"], &[]);
    let key = server.key(&SCOPES).await;
    for name in ["good", "bad"] {
        server.customer(&key, name, "enterprise").await;
    }
    let items = json!([{ "feature": "invoice_ocr", "amount": 1 }]);
    let held = server.post("/api/usage/reserve", &key, json!({ "customer": "bad", "items": items })).await;
    assert_eq!(held.status, 201, "{held:?}");
    assert!(server.stop().success());
    execute(&database, folder.path(), POISON).await;
    let server = Server::start(&database, folder.path(), &["--demo"], &[]);
    let action = |number: usize| json!({ "customer": if number % 50 == 7 { "bad" } else { "good" }, "items": items });
    let all: Vec<_> = (0..200).map(action).collect();
    let answer = server.post("/api/usage/batch", &key, json!({ "items": all })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().expect("results");
    for (number, result) in results.iter().enumerate() {
        let status = result["status"].as_u64().expect("a status");
        if number % 50 == 7 {
            assert!(status == 503 || status == 500, "{result}");
        } else {
            assert_eq!(status, 200, "number {number}: {result}");
        }
    }
    let used = server.get("/api/usage?customer=good", &key).await;
    assert_eq!(used.body["invoice_ocr"]["used"], 196, "each of the others is counted once");
}

#[test]
fn a_poisonous_operation_does_not_fail_its_batch() {
    on_both(poisoned);
}
