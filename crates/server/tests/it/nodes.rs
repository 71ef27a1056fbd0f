//! Two processes on one PostgreSQL behave as one.

use serde_json::{Value, json};

use super::realtime::Live;
use super::sql::execute;
use super::support::{Database, Server, assert_books_are_right, on_postgres};

const ALL: [&str; 4] = ["usage:write", "usage:read", "customers:write", "admin"];

struct Pair {
    folder: tempfile::TempDir,
    one: Server,
    two: Server,
    key: String,
}

async fn pair(database: &Database) -> Pair {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Server::start(database, folder.path(), &["--demo"], &[]);
    let two = Server::start(database, folder.path(), &["--demo"], &[]);
    let key = one.key(&ALL).await;
    one.customer(&key, "acme", "starter").await;
    Pair { folder, one, two, key }
}

fn body(feature: &str, amount: i64) -> Value {
    json!({ "customer": "acme", "items": [{ "feature": feature, "amount": amount }] })
}

#[test]
fn what_one_node_records_the_other_shows_replays_settles_and_tells() {
    on_postgres(async |database: Database| {
        let Pair { folder, one, two, key } = pair(&database).await;
        let near = one.sign_in("near@halisoft.example").await;
        let mut live = Live::open(&two, &near, "").await;
        assert_eq!(live.next().await["type"], "snapshot");
        for (node, used) in [(&one, 88), (&two, 89), (&one, 90), (&one, 91)] {
            let done = node
                .post("/api/usage/consume", &near, json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] }))
                .await;
            assert_eq!(done.number_at("/quotas/invoice_ocr/used"), used);
            let mut message = live.next().await;
            // Whatever else is told on the way, the newest state comes.
            while message["data"]["quotas"]["invoice_ocr"]["used"] != used {
                message = live.next().await;
            }
            for reader in [&one, &two] {
                assert_eq!(reader.quota(&near, "invoice_ocr").await["used"], used);
            }
        }
        let first = one.consume(&key, &body("invoice_ocr", 2), "once").await;
        let again = two.consume(&key, &body("invoice_ocr", 2), "once").await;
        assert_eq!((again.status, again.is_replay(), &again.body), (200, true, &first.body));
        two.consume(&key, &body("invoice_ocr", 3), "once").await.assert_problem(422, "idempotency-key-reused");
        let held = one.post("/api/usage/reserve", &key, body("invoice_ocr", 98)).await;
        two.post("/api/usage/consume", &key, body("invoice_ocr", 1)).await.assert_problem(429, "quota-exceeded");
        let settle =
            json!({ "reservation": held.body["reservation"], "items": [{ "feature": "invoice_ocr", "amount": 5 }] });
        let settled = two.post("/api/usage/settle", &key, settle.clone()).await;
        assert_eq!((settled.status, settled.number_at("/quotas/invoice_ocr/used")), (200, 7));
        assert_eq!(one.post("/api/usage/settle", &key, settle).await.body, settled.body);
        assert!(one.stop().success() && two.stop().success());
        assert_books_are_right(&database, folder.path());
    });
}

#[test]
fn both_nodes_decide_by_a_changed_limit_at_the_very_next_call() {
    on_postgres(async |database: Database| {
        let Pair { folder, one, two, key } = pair(&database).await;
        let change = async |assignment: &str| {
            let statements = format!(
                "BEGIN; UPDATE plan_feature SET {assignment} WHERE feature = 'invoice_ocr' AND plan_id IN
                   (SELECT plan_id FROM plan WHERE slug = 'starter');
                 UPDATE tenant SET epoch = epoch + 1 WHERE slug = 'halisoft'; COMMIT"
            );
            execute(&database, folder.path(), &statements).await;
        };
        let consume =
            async |node: &Server, amount: i64| node.post("/api/usage/consume", &key, body("invoice_ocr", amount)).await;
        for node in [&one, &two] {
            consume(node, 5).await.assert_ok(200);
        }
        for (limit, used) in [(12, 11), (40, 13), (13, 13)] {
            change(&format!("limit_value = {limit}")).await;
            for node in [&one, &two] {
                let refused = consume(node, limit).await;
                refused.assert_problem(429, "quota-exceeded");
                assert_eq!(refused.body["quota"]["limit"], limit);
            }
            if limit == 13 {
                continue;
            }
            let node = if limit == 12 { &one } else { &two };
            let amount = used - node.quota_of(&key, "acme", "invoice_ocr").await["used"].as_i64().expect("a number");
            let done = consume(node, amount).await;
            assert_eq!(
                (done.number_at("/quotas/invoice_ocr/used"), done.number_at("/quotas/invoice_ocr/limit")),
                (used, limit)
            );
        }
        // A limit below the use blocks and takes nothing away.
        change("limit_value = 5").await;
        for node in [&two, &one] {
            let quota = node.quota_of(&key, "acme", "invoice_ocr").await;
            assert_eq!(
                json!([quota["used"], quota["limit"], quota["remaining"], quota["percentage"]]),
                json!([13, 5, 0, 260])
            );
            consume(node, 1).await.assert_problem(429, "quota-exceeded");
        }
        change("limit_type = 'unlimited'").await;
        for node in [&one, &two] {
            assert_eq!(consume(node, 1_000).await.body["quotas"]["invoice_ocr"]["limit"], Value::Null);
        }
        change("enabled = false").await;
        for node in [&one, &two] {
            let refused = consume(node, 1).await;
            refused.assert_problem(403, "feature-not-in-plan");
            assert!(!refused.text_at("/detail").contains("Starter"), "{refused:?}");
        }
        change("enabled = true, limit_type = 'hard', limit_value = 5000").await;
        for node in [&two, &one] {
            consume(node, 1).await.assert_ok(200);
        }
        assert!(one.stop().success() && two.stop().success());
        assert_books_are_right(&database, folder.path());
    });
}

#[test]
fn a_changed_customer_is_another_one_at_once_on_both_nodes() {
    on_postgres(async |database: Database| {
        let Pair { folder, one, two, key } = pair(&database).await;
        let change = async |statement: &str| {
            let statements = format!(
                "BEGIN; {statement}; UPDATE customer SET entitlement_version = entitlement_version + 1 WHERE external_id = 'acme'; COMMIT"
            );
            execute(&database, folder.path(), &statements).await;
        };
        let consume =
            async |node: &Server, feature: &str| node.post("/api/usage/consume", &key, body(feature, 1)).await;
        for node in [&one, &two] {
            consume(node, "invoice_ocr").await.assert_ok(200);
            consume(node, "contract_review").await.assert_problem(403, "feature-not-in-plan");
        }
        change("UPDATE customer SET suspended = true WHERE external_id = 'acme'").await;
        for node in [&one, &two] {
            consume(node, "invoice_ocr").await.assert_problem(403, "customer-suspended");
        }
        change("UPDATE customer SET suspended = false WHERE external_id = 'acme'").await;
        let of_acme = "customer_id = (SELECT customer_id FROM customer WHERE external_id = 'acme')";
        let professional = "(SELECT p.plan_id FROM plan p WHERE p.slug = 'professional')";
        change(&format!("UPDATE subscription SET plan_id = {professional} WHERE {of_acme}")).await;
        for node in [&two, &one] {
            consume(node, "contract_review").await.assert_ok(200);
            let quota = consume(node, "invoice_ocr").await.body["quotas"]["invoice_ocr"].clone();
            assert_eq!(quota["limit"], 1_000, "use carries over: {quota}");
        }
        change(&format!("UPDATE subscription SET status = 'expired' WHERE {of_acme}")).await;
        for node in [&one, &two] {
            consume(node, "invoice_ocr").await.assert_problem(402, "subscription-required");
        }
        assert_eq!(one.get("/api/subscription?customer=acme", &key).await.body["subscription"], Value::Null);
    });
}

#[test]
fn a_revoked_key_and_a_closed_session_end_on_the_other_node_too() {
    on_postgres(async |database: Database| {
        let Pair { folder: _folder, one, two, key: _ } = pair(&database).await;
        let (id, key) = one.key_of("halisoft", &["customers:write", "usage:write"]).await;
        let near = one.sign_in("near@halisoft.example").await;
        two.get("/api/customers/acme", &key).await.assert_ok(200);
        two.get("/api/me", &near).await.assert_ok(200);
        let admin = one.sign_in("admin@halisoft.example").await;
        assert_eq!(one.delete(&format!("/api/admin/keys/{id}"), &admin).await.status, 204);
        // Whatever the other node believes of the key, it decides nothing with it any more.
        two.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(401, "unauthenticated");
        assert_eq!(one.post("/api/auth/logout", &near, json!({})).await.status, 204);
        for (path, credential) in [("/api/customers/acme", &key), ("/api/me", &near)] {
            one.get(path, credential).await.assert_problem(401, "unauthenticated");
            // Within the seconds for which the other node believes what it has checked.
            let mut status = 200;
            for _ in 0..1_000_000 {
                status = two.get(path, credential).await.status;
                if status != 200 {
                    break;
                }
            }
            assert_eq!(status, 401, "{path}");
        }
    });
}
