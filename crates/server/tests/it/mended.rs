//! What a second reader broke with the release binary in hand, so that it stays mended.

use reqwest::Method;
use serde_json::{Value, json};

use super::component::tone_check;
use super::import::import;
use super::price_sync::{rows, settled};
use super::support::{Answer, Database, Server, on_both};

const ADMIN: &str = "admin@halisoft.example";
const STARTER: &str = "/api/admin/plans/starter";

#[test]
fn a_price_of_nothing_never_comes_to_a_provider_also_when_it_ends() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        for price in [0, 310, 0, 320] {
            let edit = json!({ "basePrice": price, "yearlyPrice": price * 10 });
            server.patch(STARTER, &admin, edit).await.assert_ok(200);
            settled(&server, &admin).await;
        }
        // The job that ends the second nothing is due before the one that makes this.
        server.patch(STARTER, &admin, json!({ "basePrice": 330, "yearlyPrice": 3_300 })).await.assert_ok(200);
        let prices = settled(&server, &admin).await;
        let plans = rows(&server, &admin, "/api/admin/sandbox/plans").await;
        let starter: Vec<_> = plans.iter().filter(|plan| plan["name"] == "Starter").collect();
        assert!(starter.iter().all(|plan| plan["amount"] != 0.0), "{starter:?}");
        let sold: Vec<_> = starter.iter().filter(|plan| plan["active"] == true).collect();
        assert_eq!(sold.len(), 2, "a monthly and a yearly one: {starter:?}");
        assert_eq!(prices.iter().filter(|row| row["state"] == "synced").count(), 2, "{prices:?}");
    });
}

#[test]
fn setting_a_price_is_an_edit_of_its_plan_and_names_the_revision() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        server.patch("/api/admin/settings", &admin, json!({ "requireIfMatch": true })).await.assert_ok(200);
        let post = async |tag: Option<&str>, amount: i64| {
            let body = json!({ "interval": "month", "currency": "USD", "amount": amount });
            let request = server.request(Method::POST, &format!("{STARTER}/prices"), &admin).json(&body);
            server.send(tag.into_iter().fold(request, |request, tag| request.header("if-match", tag))).await
        };
        post(None, 351).await.assert_problem(428, "precondition-required");
        let tag = server.get(STARTER, &admin).await.header("etag").expect("a tag").to_owned();
        post(Some(&tag), 351).await.assert_ok(201);
        post(Some(&tag), 352).await.assert_problem(412, "precondition-failed");
        assert_eq!(server.public_plan("starter").await["basePrice"], 351.0);
    });
}

#[test]
fn a_plan_goes_back_to_any_version() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        for name in ["P2", "P3"] {
            server.patch(STARTER, &admin, json!({ "name": name })).await.assert_ok(200);
        }
        let undo = async |body: Value| server.post(&format!("{STARTER}/undo"), &admin, body).await;
        let first = undo(json!({ "version": 1 })).await;
        first.assert_ok(200);
        assert_eq!(json!([first.body["plan"]["name"], first.body["plan"]["version"]]), json!(["Starter", 4]));
        assert_eq!(undo(json!({})).await.body["plan"]["name"], "P3", "the one before");
        for wrong in [0, 99, -1] {
            undo(json!({ "version": wrong })).await.assert_field("/version");
        }
        undo(json!({ "version": "1" })).await.assert_field("/version");
        // What an old version grants may be gone.
        let feature = json!({ "feature": "seal", "name": "Seal", "kind": "flag" });
        server.post("/api/admin/features", &admin, feature).await.assert_ok(201);
        let with = json!({ "features": { "seal": { "enabled": true } } });
        let granted = server.patch(STARTER, &admin, with).await.number_at("/plan/version");
        server.patch(STARTER, &admin, json!({ "features": { "seal": null } })).await.assert_ok(200);
        assert_eq!(undo(json!({ "version": granted })).await.status, 200, "it cannot be deleted, since it was granted");
    });
}

#[test]
fn a_component_that_is_taken_away_is_not_offered_any_more() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let near = server.sign_in("near@halisoft.example").await;
        server.post("/api/admin/components", &admin, tone_check()).await.assert_ok(201);
        let shown = async || {
            let unknown = json!({ "items": [{ "feature": "nonsense", "amount": 1 }] });
            let texts = [
                server.get("/api/usage", &near).await.text,
                server.get("/api/plans", "").await.text,
                server.get("/api/subscription", &near).await.text,
                server.post("/api/usage/consume", &near, unknown).await.text,
            ];
            texts.map(|text| text.contains("tone_check"))
        };
        assert_eq!(shown().await, [true; 4]);
        let one = "/api/admin/components/tone-check";
        assert_eq!(server.delete(one, &admin).await.status, 204);
        assert_eq!(shown().await, [false; 4]);
        let feature = server.get("/api/admin/features/tone_check", &admin).await;
        assert!(feature.body["archivedAt"].is_string(), "{feature:?}");
        server.patch(one, &admin, json!({ "archived": false })).await.assert_ok(200);
        assert_eq!(shown().await, [true; 4]);
        // Another component that draws it keeps it on offer.
        let mut second = tone_check();
        second["key"] = json!("tone_two");
        second["draws"] = json!([{ "feature": "tone_check", "amount": 1 }]);
        second["grant"] = json!({});
        server.post("/api/admin/components", &admin, second).await.assert_ok(201);
        assert_eq!(server.delete(one, &admin).await.status, 204);
        assert_eq!(shown().await, [true; 4]);
    });
}

#[test]
fn a_template_that_can_never_run_is_not_published_and_one_that_fails_names_the_component() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        for template in [
            "",
            " \n",
            "{% include 'nope' %}",
            "{% if input.text == '?' %}{%- include 'nope' %}{% endif %}",
            "{% for i in range(100000000) %}x{% endfor %}",
        ] {
            let mut body = tone_check();
            body["actions"][0]["template"] = json!(template);
            server.post("/api/admin/components", &admin, body).await.assert_field("/actions/0/template");
        }
        let mut body = tone_check();
        body["chargeRule"] = json!("attempt");
        body["actions"][0]["template"] = json!("{{ input.text | int }}");
        body["actions"][0]["sample"] = json!({ "text": "7" });
        server.post("/api/admin/components", &admin, body).await.assert_ok(201);
        let near = server.sign_in("near@halisoft.example").await;
        let run = "/api/ai/tone-check/check";
        server.post(run, &near, json!({ "text": "8" })).await.assert_ok(200);
        let broken = server.post(run, &near, json!({ "text": "eight" })).await;
        broken.assert_problem(500, "component-broken");
        let told = broken.text_at("/detail");
        assert!(
            told.contains("Tone Check") && told.contains("admin") && told.contains("Nothing was charged"),
            "{told}"
        );
        let quota = server.quota(&near, "tone_check").await;
        assert_eq!(json!([quota["used"], quota["reserved"]]), json!([1, 0]));
        assert!(server.log().contains("a template does not fit an input"));
    });
}

#[test]
fn a_component_is_added_also_where_there_are_two_upstreams() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let second = json!({ "name": "claude", "kind": "anthropic", "apiKey": "sk-ant-secret-0123456789" });
        server.post("/api/admin/upstreams", &admin, second).await.assert_ok(201);
        let refused = server.post("/api/admin/components", &admin, tone_check()).await;
        refused.assert_field("/upstream");
        assert_eq!(refused.body["errors"].as_array().map(Vec::len), Some(1), "a model was not asked for: {refused:?}");
        let on = |upstream: &str| {
            let mut body = tone_check();
            body["upstream"] = json!(upstream);
            body
        };
        let model = server.post("/api/admin/components", &admin, on("claude")).await;
        model.assert_field("/model");
        assert!(model.text_at("/detail").contains("as `claude` calls it"), "{model:?}");
        let made = server.post("/api/admin/components", &admin, on("demo")).await;
        assert_eq!((made.status, made.text_at("/model")), (201, "demo".to_owned()));
    });
}

#[test]
fn bad_billing_data_is_not_brought_in() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let sold =
            |id: &str, rest: &str| format!(r#"{{"externalId":"{id}","subscription":{{"plan":"starter",{rest}}}}}"#);
        let first = r#""provider":"stripe","providerSubscriptionId":"sub_1""#;
        let wrong = [
            (sold("x", r#""amount":1,"currency":"ZZZ""#), "/subscription/currency"),
            (sold("x", r#""provider":"bogus""#), "/subscription/provider: use one of paypal, stripe, paddle, manual"),
            (sold("x", r#""start":"0001-01-01T00:00:00Z""#), "/subscription/start"),
            (sold("x", first), "/subscription/providerSubscriptionId: another customer"),
            (
                sold("x", r#""status":"expired""#),
                "/subscription/status: use one of trialing, active, past_due, paused, canceled",
            ),
            (r#"{"externalId":"x","createdAt":"0001-01-01T00:00:00Z"}"#.to_owned(), "/createdAt"),
            ("[1]".to_owned(), "write one JSON object"),
            (r#"{"externalId":nul}"#.to_owned(), "write one JSON object"),
            (r#"{"externalId":"x","subscription":[]}"#.to_owned(), "/subscription: use an object; this is a list"),
            (r#"{"externalId":"x","usage":{"invoice_ocr":"1"}}"#.to_owned(), "/usage/invoice_ocr: use a whole number"),
        ];
        let mut lines = vec![sold("first", first).into_bytes()];
        lines.extend(wrong.iter().map(|(line, _)| line.clone().into_bytes()));
        lines.push(b"{\"externalId\":\"\xff\"}".to_vec());
        lines.push(b"{\"externalId\":\"\0\"}".to_vec());
        lines.push(sold("last", r#""provider":"paypal","providerSubscriptionId":"sub_1""#).into_bytes());
        let done = import(&server, &admin, "", lines.join(&b'\n')).await;
        assert_eq!(json!([done["customersCreated"], done["wrong"]]), json!([2, wrong.len() + 2]), "{done}");
        let told = wrong.iter().map(|(_, told)| *told).chain(["write it as UTF-8"; 2]);
        for (number, told) in told.enumerate() {
            let error = &done["errors"][number];
            assert_eq!(error["line"], number + 2);
            assert!(error["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{told}: {error}");
        }
        server.get("/api/admin/customers/x", &admin).await.assert_problem(404, "unknown-customer");
        let price = json!({ "interval": "month", "currency": "ZZZ", "amount": 1 });
        server.post(&format!("{STARTER}/prices"), &admin, price).await.assert_field("/currency");
    });
}

#[test]
fn an_import_says_how_much_use_was_new() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let line =
            br#"{"externalId":"a","usage":{"invoice_ocr":42,"risk_assessment":7},"subscription":{"plan":"starter"}}"#;
        let used = |done: &Value| json!([done["usage"], done["usageUnchanged"]]);
        assert_eq!(used(&import(&server, &admin, "?dryRun=true", line).await), json!([0, 0]));
        assert_eq!(used(&import(&server, &admin, "", line).await), json!([2, 0]));
        assert_eq!(used(&import(&server, &admin, "", line).await), json!([0, 2]));
    });
}

#[test]
fn a_browser_token_ends_with_the_key_that_minted_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let (id, key) = server.key_of("halisoft", &["tokens:mint", "customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        let none = server.post("/api/tokens", &key, json!({ "customer": "acme", "scopes": [] })).await;
        none.assert_field("/scopes");
        let scopes = json!({ "customer": "acme", "scopes": ["usage:read", "usage:write"] });
        let token = server.post("/api/tokens", &key, scopes).await.text_at("/token");
        let once = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        server.get("/api/usage", &token).await.assert_ok(200);
        server.post("/api/usage/consume", &token, once.clone()).await.assert_ok(200);
        assert_eq!(server.delete(&format!("/api/admin/keys/{id}"), &admin).await.status, 204);
        server.get("/api/usage", &token).await.assert_problem(401, "unauthenticated");
        server.post("/api/usage/consume", &token, once).await.assert_problem(401, "unauthenticated");
    });
}

#[test]
fn who_made_a_customer_is_in_the_audit_trail() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let (id, key) = server.key_of("halisoft", &["customers:write"]).await;
        let body = json!({ "externalId": "acme", "email": "secret@acme.example", "plan": "starter" });
        let made = server.post("/api/customers", &key, body.clone()).await;
        server.post("/api/customers", &key, body).await.assert_ok(200);
        let register = json!({ "email": "person@acme.example", "password": "correct horse battery" });
        server.post("/api/auth/register", "", register).await.assert_ok(201);
        let entries = server.get("/api/admin/audit?action=customer.created&sort=at", &admin).await;
        assert!(!entries.text.contains("acme.example"), "addresses are personal: {entries:?}");
        let entries = entries.body["data"].as_array().expect("entries");
        assert_eq!(entries.len(), 2, "{entries:?}");
        assert_eq!(entries[0]["target"], made.text_at("/id"));
        assert!(entries[0].to_string().contains(&id), "by that key: {entries:?}");
    });
}

#[test]
fn input_of_an_ai_call_is_refused_in_words_that_name_its_fields() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let analyze = async |input: Value| -> Answer { server.post("/api/ai/invoice-ocr/analyze", &near, input).await };
        let nothing = analyze(json!({})).await;
        let told = nothing.text_at("/detail");
        assert!(told.contains("`invoiceData`") && told.contains("`files`"), "{told}");
        let kinds = analyze(json!({ "files": [{ "mediaType": "text/html", "data": "eA==" }] })).await;
        kinds.assert_field("/files/0/mediaType");
        assert!(kinds.text_at("/detail").contains("image/jpeg"), "all of them are named: {kinds:?}");
        let long = analyze(json!({ "invoiceData": "secret ".repeat(40_000) })).await;
        long.assert_field("/invoiceData");
        assert!(!long.text.contains("secret"), "{}", long.text);
    });
}

#[test]
fn numbers_that_are_too_large_are_told_as_such() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let near = server.sign_in("near@halisoft.example").await;
        for amount in ["99999999999999999999999", "1e400"] {
            let body = format!(r#"{{"items":[{{"feature":"invoice_ocr","amount":{amount}}}]}}"#);
            let refused = server.post_bytes("/api/usage/consume", &near, "application/json", body.into_bytes()).await;
            refused.assert_field("/items/0/amount");
            assert!(refused.text_at("/detail").contains("smaller number"), "{refused:?}");
        }
        let body = r#"{"basePrice":99999999999999999999}"#.as_bytes().to_vec();
        let request =
            server.request(Method::PATCH, STARTER, &admin).header("content-type", "application/json").body(body);
        let refused = server.send(request).await;
        refused.assert_field("/basePrice");
        assert!(refused.text_at("/detail").contains("from 0 to"), "{refused:?}");
        for body in [json!({ "name": null }), json!({ "isActive": null }), json!({ "trialDays": null })] {
            server.patch(STARTER, &admin, body).await.assert_problem(422, "invalid-input");
        }
    });
}

#[test]
fn who_may_read_every_customer_names_one_and_others_are_told_whom_they_act_for() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let near = server.sign_in("near@halisoft.example").await;
        let key = server.key(&["customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        for path in [
            "/api/usage?customer=acme",
            "/api/usage/history?customer=acme&feature=invoice_ocr",
            "/api/subscription?customer=acme",
        ] {
            server.get(path, &admin).await.assert_ok(200);
            let refused = server.get(path, &near).await;
            refused.assert_problem(404, "unknown-customer");
            assert!(refused.text_at("/detail").contains("your own customer"), "{refused:?}");
        }
        let other = server.get("/api/usage?customer=unheard-of", &admin).await;
        other.assert_problem(404, "unknown-customer");
        let write = json!({ "customer": "acme", "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        assert!(server.post("/api/usage/consume", &admin, write).await.status >= 400, "reading is all of it");
    });
}

#[test]
fn registrations_from_one_address_have_to_wait_after_some() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let mut statuses = Vec::new();
        for number in 0..104 {
            let body = json!({ "email": format!("p{number}@x.example"), "password": "correct horse battery" });
            statuses.push(server.post("/api/auth/register", "", body).await);
        }
        assert!(statuses.iter().take(100).all(|answer| answer.status == 201), "{statuses:?}");
        let last = statuses.last().expect("one");
        last.assert_problem(429, "too-many-attempts");
        assert!(last.header("retry-after").is_some(), "{last:?}");
    });
}

#[test]
fn small_things_stay_mended() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let near = server.sign_in("near@halisoft.example").await;
        let unheard = server.get("/api/admin/users?unheard=1", &admin).await;
        for name in ["limit", "cursor", "sort", "q"] {
            assert!(unheard.text_at("/detail").contains(name), "{unheard:?}");
        }
        let body = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        let twice = server.request(Method::POST, "/api/usage/consume", &near);
        let twice = twice.header("idempotency-key", "a").header("idempotency-key", "b").json(&body);
        server.send(twice).await.assert_problem(422, "invalid-input");
        assert!(!server.log().contains('\u{1b}'), "a file has no colors");
        assert!(server.stop().success());
        if let Database::Sqlite = database {
            use std::os::unix::fs::PermissionsExt as _;
            for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let mode = entry.metadata().expect("it is there").permissions().mode();
                assert!(!name.starts_with("tollgate.db") || mode.trailing_zeros() >= 6, "{name}: {mode:o}");
            }
        }
    });
}
