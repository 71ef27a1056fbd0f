//! What a plan may grant beside hard limits: flags, credit packs, soft limits and charge rules, over the API.

use std::path::Path;

use serde_json::json;

use super::anthropic::{environment, input, refused};
use super::fake::Fake;
use super::sql::execute;
use super::support::{Database, Server, on_both};

/// The demo, changed in the database as an admin's edit would, and started again.
async fn demo_with(database: &Database, folder: &Path, change: &str, environment: &[(&str, &str)]) -> Server {
    let server = Server::start(database, folder, &["--demo"], environment);
    let (_, key) = server.key_of("halisoft", &["customers:write"]).await;
    server.customer(&key, "acme", "starter").await;
    server.customer(&key, "bmce", "professional").await;
    assert!(server.stop().success());
    let moved =
        "UPDATE tenant SET epoch = epoch + 1; UPDATE customer SET entitlement_version = entitlement_version + 1;";
    execute(database, folder, &format!("{change}; {moved}")).await;
    Server::start(database, folder, &["--demo"], environment)
}

#[test]
fn a_flag_is_open_to_the_plans_that_have_it_and_shows_no_numbers() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let change = "INSERT INTO feature (tenant_id, feature, name, kind, unit, position) \
                SELECT tenant_id, 'sso', 'Single sign-on', 'flag', NULL, 90 FROM tenant WHERE slug = 'halisoft'; \
            INSERT INTO plan_feature (tenant_id, plan_id, feature, enabled, limit_value, limit_type, reset, warning, critical, fail_open) \
                SELECT p.tenant_id, p.plan_id, 'sso', true, 0, 'unlimited', 'never', 80, 90, 0 FROM plan p \
                JOIN tenant t ON t.tenant_id = p.tenant_id WHERE t.slug = 'halisoft' AND p.slug = 'professional'";
        let server = demo_with(&database, folder.path(), change, &[]).await;
        let (_, key) = server.key_of("halisoft", &["usage:write", "usage:read"]).await;
        let refused = server.use_of(&key, "acme", "sso", 1).await;
        refused.assert_problem(403, "feature-not-in-plan");
        assert!(refused.text.contains("professional"), "it names the plans that have it: {refused:?}");
        server.use_of(&key, "bmce", "sso", 1).await.assert_ok(200);
        let quotas = server.get("/api/usage?customer=bmce", &key).await;
        assert!(quotas.body.get("sso").is_none() && quotas.body.get("invoice_ocr").is_some(), "{quotas:?}");
    });
}

#[test]
fn credits_are_drawn_after_the_plan_the_soonest_to_expire_first() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let grant = |name: &str, amount: i64, expires_at: i64| {
            format!(
                "INSERT INTO credit_grant (tenant_id, customer_id, grant_id, feature, amount, expires_at, reason, created_at) \
                 SELECT tenant_id, customer_id, 'grt_{name}', 'risk_assessment', {amount}, {expires_at}, 'test', 0 \
                 FROM customer WHERE external_id = 'acme'"
            )
        };
        let change =
            format!("{};{}", grant("later", 5, 9_000_000_000_000_000), grant("sooner", 3, 8_000_000_000_000_000));
        let server = demo_with(&database, folder.path(), &change, &[]).await;
        let (_, key) = server.key_of("halisoft", &["usage:write", "usage:read"]).await;
        let quota = async || server.quota_of(&key, "acme", "risk_assessment").await;
        server.use_of(&key, "acme", "risk_assessment", 50).await.assert_ok(200);
        let full = quota().await;
        assert_eq!(
            json!([full["used"], full["credits"], full["remaining"], full["percentage"]]),
            json!([50, 8, 8, 100])
        );
        server.use_of(&key, "acme", "risk_assessment", 4).await.assert_ok(200);
        assert_eq!(quota().await["remaining"], 4);
        server.use_of(&key, "acme", "risk_assessment", 5).await.assert_problem(429, "quota-exceeded");
        server.use_of(&key, "acme", "risk_assessment", 4).await.assert_ok(200);
        let spent = quota().await;
        assert_eq!(json!([spent["used"], spent["credits"], spent["status"]]), json!([50, 0, "exceeded"]));
    });
}

#[test]
fn a_soft_limit_lets_through_and_says_what_is_over() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let change = "UPDATE plan_feature SET limit_type = 'soft' WHERE feature = 'risk_assessment'";
        let server = demo_with(&database, folder.path(), change, &[]).await;
        let (_, key) = server.key_of("halisoft", &["usage:write", "usage:read"]).await;
        server.use_of(&key, "acme", "risk_assessment", 48).await.assert_ok(200);
        let over = server.use_of(&key, "acme", "risk_assessment", 5).await;
        over.assert_ok(200);
        assert_eq!(over.number_at("/overrun"), 3);
        let quota = &over.body["quotas"]["risk_assessment"];
        assert_eq!(json!([quota["used"], quota["percentage"], quota["remaining"]]), json!([53, 106, 0]));
        assert_eq!(quota["status"], "exceeded");
    });
}

#[test]
fn a_failed_call_is_charged_as_the_components_rule_says() {
    on_both(async |database: Database| {
        for (rule, charged) in [("success", 0), ("attempt", 1), ("input", 0)] {
            let fake = Fake::start(vec![refused(400)]).await;
            let folder = tempfile::tempdir().expect("a folder");
            let change = format!("UPDATE component SET charge_rule = '{rule}' WHERE component = 'summarizer'");
            let server = demo_with(&database, folder.path(), &change, &environment(&fake)).await;
            let pro = server.sign_in("pro@studio.example").await;
            let used = async || server.quota(&pro, "prompts").await["used"].as_i64();
            let before = used().await;
            let failed = server.post("/api/ai/summarizer/summarize", &pro, input()).await;
            failed.assert_problem(502, "upstream-failed");
            assert_eq!(failed.text_at("/detail").contains("Nothing was charged"), rule != "attempt", "{failed:?}");
            assert_eq!(used().await, before.map(|units| units + charged), "{rule}");
            assert!(server.stop().success());
        }
    });
}
