//! Plans as admins edit them: what changes at once, what stays, and what is refused.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, Server, on_both};

const ADMIN: &str = "admin@halisoft.example";

impl Server {
    /// A plan of the public page.
    pub async fn public_plan(&self, slug: &str) -> Value {
        let plans = self.get("/api/plans", "").await;
        plans.assert_ok(200);
        let all = plans.body["data"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|plan| plan["slug"] == slug).unwrap_or(Value::Null)
    }
}

#[test]
fn a_new_price_is_public_at_once_and_old_subscriptions_keep_theirs() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["customers:write", "usage:read"]).await;
        server.customer(&key, "old", "starter").await;
        let request = server.request(Method::PATCH, "/api/admin/plans/starter", &admin);
        let request = request.header("content-type", "application/json").body(r#"{"basePrice": 349.00}"#);
        let edited = server.send(request).await;
        edited.assert_ok(200);
        assert_eq!(edited.body["success"], true);
        assert_eq!(edited.body["sync"], json!({ "sandbox": "pending" }), "its job is written, and not done yet");
        assert!(edited.text.contains(r#""basePrice":349.00"#), "{}", edited.text);
        assert_eq!(edited.body["plan"]["prices"][0]["version"], 2);
        let shown = server.get("/api/plans", "").await.text;
        assert!(shown.contains(r#""basePrice":349.00"#) && !shown.contains(r#""basePrice":299.00"#), "{shown}");
        server.customer(&key, "new", "starter").await;
        // The same once more changes nothing.
        let again = server.patch("/api/admin/plans/starter", &admin, json!({ "basePrice": 349 })).await;
        assert_eq!(again.header("etag"), edited.header("etag"));
        assert!(server.stop().success());
        let paid = "SELECT c.external_id || ' ' || p.amount_minor || ' ' || p.version || ' ' || CASE WHEN p.active THEN 'sold' ELSE 'ended' END \
            FROM subscription s JOIN customer c ON c.customer_id = s.customer_id JOIN price p ON p.price_id = s.price_id \
            WHERE c.external_id IN ('old', 'new') ORDER BY c.external_id DESC";
        assert_eq!(texts(&database, folder.path(), paid).await, ["old 29900 1 ended", "new 34900 2 sold"]);
        let audited = "SELECT a.before || ' ' || a.after FROM audit_entry a WHERE a.action = 'plan.updated' AND a.target = 'starter'";
        assert_eq!(texts(&database, folder.path(), audited).await, [r#"{"basePrice":299.0} {"basePrice":349.0}"#]);
    });
}

#[test]
fn a_plan_is_made_once_edited_and_archived() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["customers:write", "usage:read", "usage:write"]).await;
        let body = json!({ "slug": "team-plus", "name": " Team Plus ", "description": "For teams.", "basePrice": 499.5,
            "yearlyPrice": 4990, "trialDays": 14, "features": { "invoice_ocr": { "limitValue": 400, "reset": "day" } } });
        let create = async |body: &Value| {
            let request = server.request(Method::POST, "/api/admin/plans", &admin).header("idempotency-key", "once");
            server.send(request.json(body)).await
        };
        let made = create(&body).await;
        made.assert_ok(201);
        let plan = &made.body;
        assert_eq!(
            json!([plan["name"], plan["basePrice"], plan["version"], plan["position"]]),
            json!(["Team Plus", 499.5, 1, 3])
        );
        assert_eq!(
            json!([plan["features"][0]["limitValue"], plan["features"][0]["reset"], plan["trialDays"]]),
            json!([400, "day", 14])
        );
        let again = create(&body).await;
        assert_eq!(
            (again.status, again.is_replay(), &again.body, again.header("etag")),
            (201, true, plan, made.header("etag"))
        );
        let mut other = body.clone();
        other["name"] = json!("Other");
        create(&other).await.assert_problem(422, "idempotency-key-reused");
        server.post("/api/admin/plans", &admin, body).await.assert_problem(409, "taken");

        server.customer(&key, "acme", "team-plus").await;
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        assert_eq!(server.get("/api/admin/plans/team-plus", &admin).await.body["subscribers"], 1);
        let hidden =
            server.patch("/api/admin/plans/team-plus", &admin, json!({ "visible": false, "basePrice": null })).await;
        assert_eq!(
            json!([hidden.body["plan"]["basePrice"], hidden.body["plan"]["yearlyPrice"]]),
            json!([null, 4990.0])
        );
        assert_eq!(server.public_plan("team-plus").await, Value::Null, "it is not on the pricing page");
        server.customer(&key, "still", "team-plus").await;

        let archived = server.delete("/api/admin/plans/team-plus", &admin).await;
        archived.assert_ok(200);
        assert_eq!(archived.body["plan"]["isActive"], false);
        assert!(archived.body["plan"]["archivedAt"].is_string(), "{archived:?}");
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        let late = json!({ "externalId": "late", "plan": "team-plus" });
        server.post("/api/customers", &key, late).await.assert_field("/plan");
        let back =
            server.patch("/api/admin/plans/team-plus", &admin, json!({ "isActive": true, "visible": true })).await;
        assert_eq!(back.body["plan"]["archivedAt"], Value::Null);
        assert!(server.public_plan("team-plus").await.is_object());
    });
}

#[test]
fn wrong_edits_are_told_by_their_field() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        for (body, pointer) in [
            (json!({ "basePrice": "349,00" }), "/basePrice"),
            (json!({ "basePrice": -1 }), "/basePrice"),
            (json!({ "basePrice": 1.001 }), "/basePrice"),
            (json!({ "yearlyPrice": 1e300 }), "/yearlyPrice"),
            (json!({ "yearlyPrice": 10_000_000_001_i64 }), "/yearlyPrice"),
            (json!({ "name": " " }), "/name"),
            (json!({ "name": 7 }), "/name"),
            (json!({ "description": "a\u{7}" }), "/description"),
            (json!({ "position": -1 }), "/position"),
            (json!({ "trialDays": 731 }), "/trialDays"),
            (json!({ "price": 1 }), "/price"),
            (json!({ "features": { "unheard_of": { "limitValue": 1 } } }), "/features/unheard_of"),
            (json!({ "features": { "invoice_ocr": { "limitValue": -1 } } }), "/features/invoice_ocr/limitValue"),
            (json!({ "features": { "invoice_ocr": { "limits": 1 } } }), "/features/invoice_ocr/limits"),
        ] {
            let refused = server.patch("/api/admin/plans/starter", &admin, body).await;
            refused.assert_field(pointer);
        }
        assert_eq!(server.get("/api/admin/plans/starter", &admin).await.body["version"], 1, "nothing was published");
        for slug in ["", "Team", "team_plus", "-team", "team-", &"t".repeat(65)] {
            server.post("/api/admin/plans", &admin, json!({ "slug": slug, "name": "x" })).await.assert_field("/slug");
        }
        server.patch("/api/admin/plans/free", &admin, json!({ "name": "x" })).await.assert_problem(404, "not-found");
        server.delete("/api/admin/plans/unheard-of", &admin).await.assert_problem(404, "not-found");
        let near = server.sign_in("near@halisoft.example").await;
        server.get("/api/admin/plans", &near).await.assert_problem(403, "forbidden");
        server.patch("/api/admin/plans/starter", &near, json!({})).await.assert_problem(403, "forbidden");
        server.get("/api/admin/plans", "").await.assert_problem(401, "unauthenticated");
        let studio = server.sign_in("admin@studio.example").await;
        server.delete("/api/admin/plans/free", &studio).await.assert_problem(409, "in-use");
    });
}

#[test]
fn plans_are_listed_in_pages() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let slugs = async |query: &str| {
            let page = server.get(&format!("/api/admin/plans?{query}"), &admin).await;
            page.assert_ok(200);
            let rows = page.body["data"].as_array().cloned().unwrap_or_default();
            let slugs: Vec<_> = rows.iter().filter_map(|plan| plan["slug"].as_str().map(str::to_owned)).collect();
            (slugs, page.body["nextCursor"].as_str().map(str::to_owned))
        };
        assert_eq!(slugs("").await, (vec!["starter".into(), "professional".into(), "enterprise".into()], None));
        let (first, cursor) = slugs("sort=-name&limit=2").await;
        assert_eq!(first, ["starter", "professional"]);
        let rest = slugs(&format!("sort=-name&limit=2&cursor={}", cursor.expect("there is more"))).await;
        assert_eq!(rest, (vec!["enterprise".into()], None));
        assert_eq!(slugs("q=PRO").await.0, ["professional"]);
    });
}

#[test]
fn of_a_hundred_edits_at_once_each_success_is_a_version() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let tag = |answer: &Answer| answer.header("etag").expect("an ETag").to_owned();
        let path = "/api/admin/plans/starter";
        let (mut succeeded, mut seen) = (0_usize, BTreeSet::new());
        let edits = (0..100_i64).map(async |number| {
            let current = tag(&server.get(path, &admin).await);
            let request = server.request(Method::PATCH, path, &admin).header("if-match", current);
            server.send(request.json(&json!({ "basePrice": 1_000 + number }))).await
        });
        for answer in futures_util::future::join_all(edits).await {
            if answer.status == 200 {
                succeeded += 1;
                assert!(seen.insert(tag(&answer)), "two edits made one revision");
            } else {
                answer.assert_problem(412, "precondition-failed");
            }
        }
        assert!((1..100).contains(&succeeded), "{succeeded} of 100 were not lost");
        assert!(seen.contains(&tag(&server.get(path, &admin).await)));
        let unconditional =
            (0..20_i64).map(|number| server.patch(path, &admin, json!({ "basePrice": 2_000 + number })));
        for answer in futures_util::future::join_all(unconditional).await {
            answer.assert_ok(200);
            succeeded += 1;
        }
        let plan = server.get("/api/admin/plans/starter", &admin).await.body;
        assert!(server.stop().success());
        let versions = texts(&database, folder.path(), "SELECT CAST(v.version AS TEXT) FROM plan_version v JOIN plan p ON p.plan_id = v.plan_id WHERE p.slug = 'starter'").await;
        assert_eq!(versions.len(), succeeded + 1, "one for each success, and the first");
        let prices = "SELECT CAST(p.version AS TEXT) FROM price p JOIN plan n ON n.plan_id = p.plan_id WHERE n.slug = 'starter' AND p.interval = 'month'";
        assert_eq!(texts(&database, folder.path(), prices).await.len(), succeeded + 1);
        assert_eq!(texts(&database, folder.path(), &format!("{prices} AND p.active")).await.len(), 1);
        assert_eq!(plan["version"], json!(succeeded + 1));
        let audited = "SELECT a.target FROM audit_entry a WHERE a.action = 'plan.updated'";
        assert_eq!(texts(&database, folder.path(), audited).await.len(), succeeded);
    });
}

#[test]
fn a_tenant_may_require_that_edits_name_their_revision() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
        let change =
            "UPDATE tenant SET settings = '{\"requireIfMatch\":true}', epoch = epoch + 1 WHERE slug = 'halisoft'";
        execute(&database, folder.path(), change).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let body = json!({ "name": "First" });
        server
            .patch("/api/admin/plans/starter", &admin, body.clone())
            .await
            .assert_problem(428, "precondition-required");
        server.delete("/api/admin/plans/starter", &admin).await.assert_problem(428, "precondition-required");
        let tag = server.get("/api/admin/plans/starter", &admin).await.header("etag").expect("an ETag").to_owned();
        let edit = async |tag: &str| {
            let request = server.request(Method::PATCH, "/api/admin/plans/starter", &admin).header("if-match", tag);
            server.send(request.json(&body)).await
        };
        edit("\"0\"").await.assert_problem(412, "precondition-failed");
        edit(&tag).await.assert_ok(200);
        edit("*").await.assert_ok(200);
    });
}
