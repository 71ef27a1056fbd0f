//! A threshold that a changed limit passes, and no use, is told once, too.

use serde_json::{Value, json};

use super::notice::{thresholds, told};
use super::sql::execute;
use super::support::{Database, Server, on_both};

const OVERRIDE: &str = "/api/admin/customers/acme/overrides/invoice_ocr";

/// An admin's token and a key, and a customer who has used something of its limit of 100.
async fn acme(server: &Server, plan: &str, used: i64) -> (String, String) {
    let admin = server.sign_in("admin@halisoft.example").await;
    let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
    let body = json!({ "externalId": "acme", "plan": plan, "email": "office@acme.example" });
    server.post("/api/customers", &key, body).await.assert_ok(201);
    server.use_of(&key, "acme", "invoice_ocr", used).await.assert_ok(200);
    (admin, key)
}

async fn mails(server: &Server, admin: &str, count: usize) -> Vec<Value> {
    let answer = server.get("/api/admin/emails?q=office@acme.example", admin).await;
    let rows = answer.body["data"].as_array().expect("mails").clone();
    assert_eq!(rows.len(), count, "{answer:?}");
    rows
}

#[test]
fn a_limit_that_is_lowered_tells_what_nobody_was_told_of() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = acme(&server, "starter", 85).await;
        told(&server, &key, "?customer=acme", 1).await;
        let set = async |limit: i64| {
            server.put(OVERRIDE, &admin, json!({ "limitValue": limit })).await.assert_ok(200);
        };
        // 85 of 105 and of 98 pass 80 % again, of which the customer knows; 85 of 94 are 90 %.
        for limit in [105, 98, 94, 93] {
            set(limit).await;
        }
        let rows = told(&server, &key, "?customer=acme", 2).await;
        assert_eq!(thresholds(&rows[..1]), json!([["quota_warning", "invoice_ocr", 90, 85, 94]]));
        // The use that follows passes nothing more, and the end of the limit nothing that was not told.
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        server.delete(OVERRIDE, &admin).await.assert_ok(200);
        set(50).await;
        let rows = told(&server, &key, "?customer=acme", 3).await;
        assert_eq!(thresholds(&rows[..1]), json!([["quota_reached", "invoice_ocr", 100, 86, 50]]));
        let kinds: Vec<_> = mails(&server, &admin, 3).await.iter().map(|mail| mail["kind"].clone()).collect();
        assert_eq!(kinds, ["quota_reached", "quota_warning", "quota_warning"]);
    });
}

#[test]
fn a_limit_that_ends_by_itself_tells_soon_after() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = acme(&server, "starter", 1).await;
        #[expect(clippy::disallowed_methods, reason = "a time that comes soon after now")]
        let until = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3)).to_string();
        server.put(OVERRIDE, &admin, json!({ "limitValue": 1000, "until": until })).await.assert_ok(200);
        server.use_of(&key, "acme", "invoice_ocr", 94).await.assert_ok(200);
        let rows = told(&server, &key, "?customer=acme", 1).await;
        assert_eq!(thresholds(&rows), json!([["quota_warning", "invoice_ocr", 90, 95, 100]]));
        mails(&server, &admin, 1).await;
    });
}

#[test]
fn another_plan_and_another_limit_of_the_plan_tell_everybody_whom_they_reach() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = acme(&server, "professional", 95).await;
        let moved = json!({ "plan": "starter" });
        server.patch("/api/admin/customers/acme/subscription", &admin, moved).await.assert_ok(200);
        let rows = told(&server, &key, "?customer=acme", 1).await;
        assert_eq!(thresholds(&rows), json!([["quota_warning", "invoice_ocr", 90, 95, 100]]));
        let near = server.sign_in("near@halisoft.example").await;
        assert!(told(&server, &near, "", 0).await.is_empty(), "87 of 100, and quietly so");
        let limit = json!({ "limitValue": 90 });
        server.put("/api/admin/plans/starter/features/invoice_ocr", &admin, limit).await.assert_ok(200);
        let rows = told(&server, &near, "", 1).await;
        assert_eq!(thresholds(&rows), json!([["quota_warning", "invoice_ocr", 90, 87, 90]]));
        let rows = told(&server, &key, "?customer=acme", 2).await;
        assert_eq!(thresholds(&rows[..1]), json!([["quota_reached", "invoice_ocr", 100, 95, 90]]));
        let new = server.sign_in("new@halisoft.example").await;
        assert!(told(&server, &new, "", 0).await.is_empty(), "nothing used, nothing told");
    });
}

#[test]
fn what_was_left_out_is_found_by_the_job() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (_, key) = acme(&server, "starter", 85).await;
        told(&server, &key, "?customer=acme", 1).await;
        assert!(server.stop().success());
        let lost = "DELETE FROM notice; DELETE FROM email; DELETE FROM notification; UPDATE job SET due_at = 0 WHERE kind = 'find_missed_warnings'";
        execute(&database, folder.path(), lost).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let rows = told(&server, &key, "?customer=acme", 1).await;
        assert_eq!(thresholds(&rows), json!([["quota_warning", "invoice_ocr", 80, 85, 100]]));
    });
}
