//! Settings and brand: each field is checked, kept, told to the next page, and used by the next decision.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Database, Server, on_both, on_postgres};

const SETTINGS: &str = "/api/admin/settings";
const BRANDING: &str = "/api/admin/branding";

async fn patch_if(server: &Server, path: &str, admin: &str, tag: &str, body: Value) -> Answer {
    server.send(server.request(Method::PATCH, path, admin).header("if-match", tag).json(&body)).await
}

/// The boot data of the first page.
async fn boot(server: &Server) -> Value {
    let page = server.get("/", "").await.text;
    let data = page.split_once("id=\"boot\">").and_then(|(_, rest)| rest.split_once("</script>"));
    data.map_or(Value::Null, |(data, _)| serde_json::from_str(data).expect("JSON"))
}

/// Edits that are refused, each with the field that it names.
fn wrong() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "name": "" }), "/name"),
        (json!({ "currency": "EUR" }), "/currency"),
        (json!({ "currency": "euro" }), "/currency"),
        (json!({ "timezone": "Mars/Phobos" }), "/timezone"),
        (json!({ "timezone": "" }), "/timezone"),
        (json!({ "locale": "deutsch!" }), "/locale"),
        (json!({ "supportEmail": "help" }), "/supportEmail"),
        (json!({ "salesEmail": "sales" }), "/salesEmail"),
        (json!({ "thresholds": { "warning": 95 } }), "/thresholds"),
        (json!({ "thresholds": { "warning": 0 } }), "/thresholds"),
        (json!({ "thresholds": { "critical": 101 } }), "/thresholds"),
        (json!({ "defaultPlan": "free" }), "/defaultPlan"),
        (json!({ "retention": { "decisionDays": 0 } }), "/retention/decisionDays"),
        (json!({ "billing": { "graceDays": -1 } }), "/billing/graceDays"),
        (json!({ "billing": { "trialWarningDays": 91 } }), "/billing/trialWarningDays"),
        (json!({ "enforcement": "maybe" }), "/enforcement"),
        (json!({ "slug": "x" }), "/slug"),
    ]
}

#[test]
fn settings_are_checked_kept_and_edited_without_losing_another_edit() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let before = server.get(SETTINGS, &admin).await;
        let wanted = json!({ "name": "HaliSoft", "currency": "USD", "timezone": "UTC", "locale": "en", "enforcement": "on",
            "requireIfMatch": false, "allowUnverified": false, "supportEmail": null, "salesEmail": null,
            "thresholds": { "warning": 80, "critical": 90 }, "defaultPlan": null, "retention": { "decisionDays": 35 },
            "billing": { "graceDays": 7, "retryDays": [1, 3, 5], "trialWarningDays": 3, "fallbackPlan": null } });
        assert_eq!(before.body, wanted);
        let tag = before.header("etag").expect("a tag").to_owned();
        let edit = json!({ "name": " Hali ", "timezone": "europe/vienna", "locale": "de-AT", "supportEmail": "Help@hali.example",
            "salesEmail": "sales@hali.example", "thresholds": { "warning": 70 }, "defaultPlan": "starter",
            "retention": { "decisionDays": 90 }, "currency": "USD",
            "billing": { "graceDays": 10, "retryDays": [2, 4], "trialWarningDays": 0 } });
        let edited = patch_if(&server, SETTINGS, &admin, &tag, edit).await;
        edited.assert_ok(200);
        let now = json!({ "name": "Hali", "currency": "USD", "timezone": "Europe/Vienna", "locale": "de-AT", "enforcement": "on",
            "requireIfMatch": false, "allowUnverified": false, "supportEmail": "help@hali.example", "salesEmail": "sales@hali.example",
            "thresholds": { "warning": 70, "critical": 90 }, "defaultPlan": "starter", "retention": { "decisionDays": 90 },
            "billing": { "graceDays": 10, "retryDays": [2, 4], "trialWarningDays": 0, "fallbackPlan": null } });
        assert_eq!(edited.body, now);
        let grant = "/api/admin/plans/starter/features/audit_assistant";
        let granted = server.put(grant, &admin, json!({ "limitValue": 5 })).await;
        granted.assert_ok(200);
        let usual = json!({ "warning": 70, "critical": 90 });
        let features = granted.body["plan"]["features"].as_array().expect("a list");
        let new = features.iter().find(|granted| granted["feature"] == "audit_assistant").expect("the new one");
        assert_eq!(new["thresholds"], usual);
        patch_if(&server, SETTINGS, &admin, &tag, json!({ "name": "X" }))
            .await
            .assert_problem(412, "precondition-failed");
        let tag = edited.header("etag").expect("a tag").to_owned();
        let same = patch_if(&server, SETTINGS, &admin, &tag, json!({ "name": "Hali" })).await;
        assert_eq!((same.status, same.header("etag")), (200, Some(tag.as_str())), "nothing changed");
        let cleared = server.patch(SETTINGS, &admin, json!({ "supportEmail": null, "defaultPlan": null })).await;
        assert_eq!(
            json!([cleared.body["supportEmail"], cleared.body["defaultPlan"], cleared.body["salesEmail"]]),
            json!([null, null, "sales@hali.example"])
        );
        for (body, pointer) in wrong() {
            server.patch(SETTINGS, &admin, body).await.assert_field(pointer);
        }
        let boot = boot(&server).await;
        if !boot.is_null() {
            assert_eq!(
                json!([boot["locale"], boot["tenant"]["name"], boot["brand"]["links"]["sales"]]),
                json!(["de-AT", "Hali", "mailto:sales@hali.example"])
            );
        }
        let required = server.patch(SETTINGS, &admin, json!({ "requireIfMatch": true })).await;
        server.patch(SETTINGS, &admin, json!({ "name": "X" })).await.assert_problem(428, "precondition-required");
        server.patch(BRANDING, &admin, json!({ "name": "X" })).await.assert_problem(428, "precondition-required");
        let tag = required.header("etag").expect("a tag").to_owned();
        patch_if(&server, SETTINGS, &admin, &tag, json!({ "requireIfMatch": false })).await.assert_ok(200);
    });
}

#[test]
fn with_enforcement_off_the_next_decision_refuses_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let full = server.sign_in("full@halisoft.example").await;
        let one = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        let consume = async || server.post("/api/usage/consume", &full, one.clone()).await;
        consume().await.assert_problem(429, "quota-exceeded");
        server.patch(SETTINGS, &admin, json!({ "enforcement": "off" })).await.assert_ok(200);
        let beyond = consume().await;
        assert_eq!(
            json!([beyond.status, beyond.body["quotas"]["invoice_ocr"]["used"]]),
            json!([200, 101]),
            "{beyond:?}"
        );
        server.patch(SETTINGS, &admin, json!({ "enforcement": "on" })).await.assert_ok(200);
        let refused = consume().await;
        refused.assert_problem(429, "quota-exceeded");
        assert_eq!(refused.body["quota"]["used"], 101, "what was used meanwhile counts");
    });
}

#[test]
fn a_change_of_the_time_zone_keeps_what_was_used() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let near = server.sign_in("near@halisoft.example").await;
        let quota = async || server.get("/api/usage", &near).await.body["invoice_ocr"].clone();
        let before = quota().await;
        assert_eq!(before["used"], 87);
        for zone in ["Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "UTC"] {
            server.patch(SETTINGS, &admin, json!({ "timezone": zone })).await.assert_ok(200);
            assert_eq!(quota().await["used"], 87, "{zone}");
        }
        let one = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        server.post("/api/usage/consume", &near, one).await.assert_ok(200);
        assert_eq!(quota().await["used"], 88);
    });
}

#[test]
fn the_brand_is_checked_and_the_next_page_has_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let before = server.get(BRANDING, &admin).await;
        assert_eq!(
            json!([before.body["name"], before.body["primary"], before.body["warnings"]]),
            json!(["HaliSoft", "#0f766e", []])
        );
        let edit = json!({ "name": "Acme", "logo": "https://acme.example/logo.svg", "primary": "#FFCC00", "accent": null,
            "radius": "lg", "scheme": "dark", "poweredBy": true,
            "links": { "terms": "https://acme.example/terms", "support": "mailto:help@acme.example" } });
        let edited = server.patch(BRANDING, &admin, edit).await;
        edited.assert_ok(200);
        let warnings: Vec<_> =
            edited.body["warnings"].as_array().expect("warnings").iter().map(|w| w["pointer"].clone()).collect();
        assert_eq!(warnings, ["/primary"], "yellow on white cannot be read");
        assert_eq!(json!([edited.body["primary"], edited.body["accent"]]), json!(["#ffcc00", null]));
        let linked = server
            .patch(BRANDING, &admin, json!({ "links": { "terms": null, "privacy": "http://acme.example/p" } }))
            .await;
        assert_eq!(
            linked.body["links"],
            json!({ "privacy": "http://acme.example/p", "support": "mailto:help@acme.example" })
        );
        let page = server.get("/", "").await;
        let boot = boot(&server).await;
        if !boot.is_null() {
            let brand = &boot["brand"];
            let told = json!([brand["name"], brand["logo"], brand["primary"], brand["radius"], brand["poweredBy"]]);
            assert_eq!(told, json!(["Acme", "https://acme.example/logo.svg", "#ffcc00", "lg", true]));
            assert!(
                page.header("content-security-policy")
                    .is_some_and(|policy| policy.contains("blob: https://acme.example;")),
                "{page:?}"
            );
        }
        for (body, pointer) in [
            (json!({ "primary": "red" }), "/primary"),
            (json!({ "accent": "#12345" }), "/accent"),
            (json!({ "radius": "xl" }), "/radius"),
            (json!({ "scheme": "blue" }), "/scheme"),
            (json!({ "name": "a\u{7}b" }), "/name"),
            (json!({ "logo": "http://acme.example/logo.png" }), "/logo"),
            (json!({ "logo": "//acme.example/logo.png" }), "/logo"),
            (json!({ "logo": "https://acme.example; script-src *" }), "/logo"),
            (json!({ "logo": "data:text/html;base64,PGI+" }), "/logo"),
            (json!({ "logo": format!("data:image/png;base64,{}", "A".repeat(65_536)) }), "/logo"),
            (json!({ "links": { "terms": "javascript:alert(1)" } }), "/links/terms"),
            (json!({ "links": { "terms": "https://" } }), "/links/terms"),
            (json!({ "links": { "imprint": "https://acme.example" } }), "/links/imprint"),
        ] {
            server.patch(BRANDING, &admin, body).await.assert_field(pointer);
        }
        let audit = server.get("/api/admin/audit?action=brand.updated", &admin).await;
        assert_eq!(audit.body["data"].as_array().map(Vec::len), Some(2), "{audit:?}");
        assert_eq!(
            audit.body["data"][1]["changes"][0],
            json!({ "field": "/name", "before": "HaliSoft", "after": "Acme" })
        );
    });
}

#[test]
fn every_node_has_a_change_at_the_next_page_and_the_next_edit() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = one.sign_in("admin@halisoft.example").await;
        for (number, (here, there)) in [(&one, &two), (&two, &one)].into_iter().enumerate() {
            let name = format!("Name {number}");
            let edited = here.patch(SETTINGS, &admin, json!({ "name": name, "requireIfMatch": true })).await;
            edited.assert_ok(200);
            assert_eq!(there.get(SETTINGS, &admin).await.body, edited.body);
            there.patch(SETTINGS, &admin, json!({ "name": "X" })).await.assert_problem(428, "precondition-required");
            let tag = edited.header("etag").expect("a tag").to_owned();
            patch_if(there, SETTINGS, &admin, &tag, json!({ "requireIfMatch": false })).await.assert_ok(200);
            let boot = boot(there).await;
            assert!(boot.is_null() || boot["tenant"]["name"] == name, "{boot}");
        }
    });
}
