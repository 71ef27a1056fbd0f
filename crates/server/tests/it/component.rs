//! AI components, edited live: added, changed, switched off, drafted, tried and published.

use reqwest::Method;
use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, Server, on_both, on_postgres};

const PATH: &str = "/api/admin/components";
const ONE: &str = "/api/admin/components/tone-check";
const RUN: &str = "/api/ai/tone-check/check";

pub fn tone_check() -> Value {
    json!({
        "key": "tone-check",
        "name": "Tone Check",
        "actions": [action("Judge the tone:\n{{ input.text }}")],
        "grant": { "starter": 2, "enterprise": null },
    })
}

fn action(template: &str) -> Value {
    json!({
        "name": "check",
        "system": "You judge the tone of texts.",
        "template": template,
        "inputSchema": {
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": { "text": { "type": "string", "minLength": 1 } },
        },
        "outputSchema": { "type": "object", "required": ["tone"], "properties": { "tone": { "type": "string" } } },
    })
}

impl Server {
    async fn with_tag(&self, method: Method, path: &str, credential: &str, (tag, body): (&str, Value)) -> Answer {
        self.send(self.request(method, path, credential).header("if-match", tag).json(&body)).await
    }

    /// What the audit trail says of a target: actions, the oldest first. On SQLite the server must be stopped.
    async fn audited(database: &Database, data: &std::path::Path, target: &str) -> Vec<String> {
        let query = format!("SELECT action FROM audit_entry WHERE target = '{target}' ORDER BY audit_id");
        texts(database, data, &query).await
    }
}

fn text() -> Value {
    json!({ "text": "Thank you so much for your help!" })
}

#[test]
fn a_seventh_component_is_callable_at_once_and_metered() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let near = server.sign_in("near@halisoft.example").await;
        server.post(RUN, &near, text()).await.assert_problem(404, "unknown-component");
        let made = server.post(PATH, &admin, tone_check()).await;
        made.assert_ok(201);
        assert_eq!(made.header("etag"), Some("\"1\""));
        let body = &made.body;
        assert_eq!(
            json!([body["key"], body["slug"], body["version"], body["upstream"], body["model"], body["chargeRule"]]),
            json!(["tone_check", "tone-check", 1, "demo", "demo", "success"])
        );
        assert_eq!(body["draws"], json!([{ "feature": "tone_check", "amount": 1 }]));
        assert_eq!(
            json!([body["availableIn"], body["missingIn"]]),
            json!([["starter", "enterprise"], ["professional"]])
        );
        for used in 1..=2 {
            let ran = server.post(RUN, &near, text()).await;
            ran.assert_ok(200);
            assert_eq!(json!([ran.body["quota"]["used"], ran.body["quota"]["limit"]]), json!([used, 2]));
            assert!(ran.text_at("/result/tone").contains("Judge the tone"), "the template was filled in: {ran:?}");
        }
        server.post(RUN, &near, text()).await.assert_problem(429, "quota-exceeded");
        let pro = server.sign_in("pro@halisoft.example").await;
        server.post(RUN, &pro, text()).await.assert_problem(403, "feature-not-in-plan");
        let unlimited = server.sign_in("enterprise@halisoft.example").await;
        assert_eq!(server.post(RUN, &unlimited, text()).await.body["quota"]["limit"], Value::Null);
        server.post(RUN, &unlimited, json!({ "text": "" })).await.assert_field("/text");
        let listed = server.get("/api/components", &near).await;
        let all = listed.body["data"].as_array().expect("components");
        assert!(all.iter().any(|one| one["key"] == "tone_check" && one["available"] == true), "{listed:?}");
    });
}

#[test]
fn what_is_wrong_with_a_component_is_told_by_its_field() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let with = |pointer: &str, value: Value| {
            let mut body = tone_check();
            match body.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => body[pointer.trim_start_matches('/')] = value,
            }
            body
        };
        for (place, value, pointer) in [
            ("/name", json!(" "), "/name"),
            ("/name", json!(7), "/name"),
            ("/key", json!("Tone"), "/key"),
            ("/upstream", json!("nowhere"), "/upstream"),
            ("/baseTokenCost", json!(-1), "/baseTokenCost"),
            ("/chargeRule", json!("never"), "/chargeRule"),
            ("/creditFeature", json!("absent"), "/creditFeature"),
            ("/draws", json!([]), "/draws"),
            ("/draws", json!([{ "feature": "absent", "amount": 1 }]), "/draws/0/feature"),
            ("/draws", json!([{ "feature": "tone_check", "amount": 0 }]), "/draws/0/amount"),
            ("/draws", json!([{ "feature": "invoice_ocr", "amount": 1 }]), "/grant"),
            ("/grant", json!({ "absent": 1 }), "/grant/absent"),
            ("/grant", json!({ "starter": -1 }), "/grant/starter"),
            ("/actions", json!([]), "/actions"),
            ("/actions/0/name", json!("Not so"), "/actions/0/name"),
            ("/actions/0/template", json!("{{ input.txt }}"), "/actions/0/template"),
            ("/actions/0/template", json!("{% if %}"), "/actions/0/template"),
            (
                "/actions/0/inputSchema",
                json!({ "type": "object", "properties": 7 }),
                "/actions/0/inputSchema/properties",
            ),
            ("/actions/0/outputSchema", json!({ "type": "array" }), "/actions/0/outputSchema"),
            ("/unheard", json!(1), "/unheard"),
        ] {
            server.post(PATH, &admin, with(place, value)).await.assert_field(pointer);
        }
        let mut several = with("/upstream", json!("nowhere"));
        several["actions"][0]["template"] = json!("{{ txt }}");
        let refused = server.post(PATH, &admin, several).await;
        refused.assert_field("/upstream");
        refused.assert_field("/actions/0/template");
        server.get(ONE, &admin).await.assert_problem(404, "unknown-component");
        server.post(PATH, &admin, tone_check()).await.assert_ok(201);
        server.post(PATH, &admin, tone_check()).await.assert_problem(409, "taken");
        server.patch(ONE, &admin, json!({ "upstream": "nowhere" })).await.assert_field("/upstream");
        server.patch(ONE, &admin, json!({ "name": null })).await.assert_field("/name");
        assert_eq!(server.get(ONE, &admin).await.body["version"], 1, "what was refused left nothing behind");
    });
}

#[test]
fn a_creation_with_a_key_happens_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let post = async |body: Value| {
            let request = server.request(Method::POST, PATH, &admin).header("idempotency-key", "once").json(&body);
            server.send(request).await
        };
        let (first, again) = (post(tone_check()).await, post(tone_check()).await);
        assert_eq!((first.status, again.status, again.is_replay(), &again.body), (201, 201, true, &first.body));
        let mut other = tone_check();
        other["name"] = json!("Another");
        post(other).await.assert_problem(422, "idempotency-key-reused");
    });
}

#[test]
fn only_who_may_change_the_catalog_does() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        assert!(server.stop().success());
        let support = "UPDATE user_account SET role = 'support' WHERE email = 'new@halisoft.example'";
        execute(&database, folder.path(), support).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let user = server.sign_in("near@halisoft.example").await;
        let support = server.sign_in("new@halisoft.example").await;
        let key = server.key(&["ai:run", "usage:write", "customers:write"]).await;
        let one = "/api/admin/components/invoice-ocr";
        let calls = [
            (Method::POST, PATH.to_owned()),
            (Method::PATCH, one.to_owned()),
            (Method::DELETE, one.to_owned()),
            (Method::PUT, format!("{one}/draft")),
            (Method::DELETE, format!("{one}/draft")),
            (Method::POST, format!("{one}/publish")),
            (Method::POST, format!("{one}/undo")),
            (Method::POST, format!("{one}/test")),
            (Method::POST, "/api/admin/upstreams".to_owned()),
            (Method::GET, "/api/admin/upstreams".to_owned()),
            (Method::PATCH, "/api/admin/upstreams/demo".to_owned()),
            (Method::DELETE, "/api/admin/upstreams/demo".to_owned()),
            (Method::POST, "/api/admin/upstreams/demo/test".to_owned()),
            (Method::PUT, "/api/admin/model-prices".to_owned()),
            (Method::DELETE, "/api/admin/model-prices".to_owned()),
            (Method::POST, "/api/admin/packs".to_owned()),
            (Method::PATCH, "/api/admin/packs/x".to_owned()),
            (Method::DELETE, "/api/admin/packs/x".to_owned()),
            (Method::POST, "/api/admin/coupons".to_owned()),
            (Method::PATCH, "/api/admin/coupons/X".to_owned()),
        ];
        for (method, path) in calls {
            for credential in [&user, &support, &key] {
                let request = server.request(method.clone(), &path, credential).json(&json!({}));
                server.send(request).await.assert_problem(403, "forbidden");
            }
            let request = server.request(method.clone(), &path, "").json(&json!({}));
            server.send(request).await.assert_problem(401, "unauthenticated");
        }
        for path in [PATH, one, "/api/admin/model-prices", "/api/admin/packs", "/api/admin/coupons"] {
            server.get(path, &support).await.assert_ok(200);
            for credential in [&user, &key] {
                server.get(path, credential).await.assert_problem(403, "forbidden");
            }
        }
        // Another tenant's components look like absent ones.
        let studio = server.sign_in("admin@studio.example").await;
        server.get(one, &studio).await.assert_problem(404, "unknown-component");
        server.patch(one, &studio, json!({ "active": false })).await.assert_problem(404, "unknown-component");
    });
}

#[test]
fn what_one_node_adds_and_switches_off_the_other_knows_at_the_very_next_call() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = one.sign_in("admin@halisoft.example").await;
        let user = two.sign_in("enterprise@halisoft.example").await;
        two.post(RUN, &user, text()).await.assert_problem(404, "unknown-component");
        one.post(PATH, &admin, tone_check()).await.assert_ok(201);
        two.post(RUN, &user, text()).await.assert_ok(200);
        for (admins, users) in [(&one, &two), (&two, &one), (&one, &two)] {
            admins.patch(ONE, &admin, json!({ "active": false })).await.assert_ok(200);
            let refused = users.post(RUN, &user, text()).await;
            refused.assert_problem(403, "component-off");
            assert!(refused.text_at("/detail").contains("Tone Check is switched off"), "{refused:?}");
            admins.patch(ONE, &admin, json!({ "active": true })).await.assert_ok(200);
            users.post(RUN, &user, text()).await.assert_ok(200);
        }
        let template = json!({ "actions": [action("Another prompt: {{ input.text }}")] });
        one.patch(ONE, &admin, template).await.assert_ok(200);
        let ran = two.post(RUN, &user, text()).await;
        assert!(ran.text_at("/result/tone").contains("Another prompt"), "{ran:?}");
        assert_eq!(two.delete(ONE, &admin).await.status, 204);
        one.post(RUN, &user, text()).await.assert_problem(404, "unknown-component");
    });
}

#[test]
fn the_kill_switch_and_the_archive_stop_the_very_next_call_and_nothing_is_charged() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let near = server.sign_in("near@halisoft.example").await;
        let (one, run) = ("/api/admin/components/invoice-ocr", "/api/ai/invoice-ocr/analyze");
        let input = json!({ "invoiceData": "Invoice 7\nTotal: 10.00 EUR" });
        let off = server.patch(one, &admin, json!({ "active": false })).await;
        assert_eq!(json!([off.body["active"], off.body["version"], off.body["revision"]]), json!([false, 1, 2]));
        server.post(run, &near, input.clone()).await.assert_problem(403, "component-off");
        assert_eq!(server.patch(one, &admin, json!({ "active": false })).await.body["revision"], 2, "nothing changed");
        server.patch(one, &admin, json!({ "active": true })).await.assert_ok(200);
        server.post(run, &near, input.clone()).await.assert_ok(200);
        assert_eq!(server.delete(one, &admin).await.status, 204);
        server.post(run, &near, input.clone()).await.assert_problem(404, "unknown-component");
        let listed = async |query: &str| server.get(&format!("{PATH}?{query}"), &admin).await;
        assert!(!listed("").await.text.contains("\"invoice_ocr\",\"slug\""));
        assert!(listed("archived=true").await.text.contains("\"invoice_ocr\",\"slug\""));
        server.patch(one, &admin, json!({ "name": "x" })).await.assert_problem(404, "not-found");
        server.patch(one, &admin, json!({ "archived": false })).await.assert_ok(200);
        server.post(run, &near, input).await.assert_ok(200);
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 89);
        assert!(server.stop().success());
        let audited = Server::audited(&database, folder.path(), "invoice_ocr").await;
        let (changed, archived, counter) = ("component.changed", "component.archived", "feature.updated");
        assert_eq!(audited, [changed, changed, archived, counter, changed, counter]);
        let before = "SELECT before || after FROM audit_entry WHERE target = 'invoice_ocr' ORDER BY audit_id LIMIT 1";
        assert_eq!(texts(&database, folder.path(), before).await, [r#"{"active":true}{"active":false}"#]);
    });
}

#[test]
fn an_edit_that_was_made_from_an_older_revision_is_refused() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        server.post(PATH, &admin, tone_check()).await.assert_ok(201);
        let patch = async |tag: &str, name: &str| {
            server.with_tag(Method::PATCH, ONE, &admin, (tag, json!({ "name": name }))).await
        };
        assert_eq!(patch("\"1\"", "One").await.header("etag"), Some("\"2\""));
        patch("\"1\"", "Two").await.assert_problem(412, "precondition-failed");
        for (method, path) in [
            (Method::DELETE, ONE.to_owned()),
            (Method::PUT, format!("{ONE}/draft")),
            (Method::POST, format!("{ONE}/undo")),
        ] {
            let refused = server.with_tag(method, &path, &admin, ("\"1\"", json!({}))).await;
            refused.assert_problem(412, "precondition-failed");
        }
        let read = server.get(ONE, &admin).await;
        assert_eq!((read.header("etag"), read.text_at("/name")), (Some("\"2\""), "One".to_owned()));
    });
}

#[test]
fn a_draft_is_tried_without_metering_anybody_and_published() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let user = server.sign_in("enterprise@halisoft.example").await;
        server.post(PATH, &admin, tone_check()).await.assert_ok(201);
        let draft = format!("{ONE}/draft");
        server.get(&draft, &admin).await.assert_problem(404, "not-found");
        let edit = json!({ "baseTokenCost": 7, "actions": [action("Draft prompt {{ input.text }}")] });
        let saved = server.put(&draft, &admin, edit).await;
        saved.assert_ok(200);
        assert_eq!(json!([saved.body["basedOn"], saved.body["changed"]]), json!([1, ["baseTokenCost", "actions"]]));
        assert_eq!(server.get(&draft, &admin).await.body, saved.body);
        server.put(&draft, &admin, json!({ "active": false })).await.assert_field("/active");
        server.put(&draft, &admin, json!({ "upstream": "nowhere" })).await.assert_field("/upstream");
        assert!(!answers_by(&server, &user, "Draft prompt").await, "a draft is not live");

        let test = async |draft: bool, input: Value| {
            let body = json!({ "action": "check", "draft": draft, "input": input });
            server.post(&format!("{ONE}/test"), &admin, body).await
        };
        let tried = test(true, text()).await;
        tried.assert_ok(200);
        assert_eq!(json!([tried.body["works"], tried.body["problems"], tried.body["demo"]]), json!([true, [], true]));
        assert_eq!(tried.text_at("/prompt"), "Draft prompt Thank you so much for your help!");
        assert_eq!(tried.text_at("/system"), "You judge the tone of texts.");
        let (input, output) = (tried.number_at("/usage/inputTokens"), tried.number_at("/usage/outputTokens"));
        assert_eq!(tried.number_at("/usage/credits"), 7 + input + output);
        assert_eq!(json!([tried.body["version"], test(false, text()).await.body["version"]]), json!([null, 1]));
        test(true, json!({ "text": 7 })).await.assert_field("/input/text");
        let other = json!({ "action": "absent", "input": {} });
        server.post(&format!("{ONE}/test"), &admin, other).await.assert_field("/action");
        assert_eq!(server.quota(&user, "tone_check").await["used"], 1, "no customer is metered by a trial");

        let publish = async || server.post(&format!("{ONE}/publish"), &admin, json!({})).await;
        let published = publish().await;
        assert_eq!(json!([published.body["version"], published.body["hasDraft"]]), json!([2, false]));
        assert!(answers_by(&server, &user, "Draft prompt").await);
        publish().await.assert_problem(404, "not-found");
        assert!(server.stop().success());
        let audited = Server::audited(&database, folder.path(), "tone_check").await;
        let tested = "component.tested";
        assert_eq!(audited, ["component.created", "component.draft.saved", tested, tested, "component.published"]);
    });
}

/// Whether a call is answered with a prompt that has these words.
async fn answers_by(server: &Server, user: &str, words: &str) -> bool {
    let ran = server.post(RUN, user, text()).await;
    ran.assert_ok(200);
    ran.text_at("/result/tone").contains(words)
}

#[test]
fn an_older_version_comes_back_as_a_new_one_and_events_name_theirs() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let user = server.sign_in("enterprise@halisoft.example").await;
        server.post(PATH, &admin, tone_check()).await.assert_ok(201);
        assert!(!answers_by(&server, &user, "New prompt").await);
        let edit = json!({ "baseTokenCost": 7, "actions": [action("New prompt {{ input.text }}")] });
        server.patch(ONE, &admin, edit.clone()).await.assert_ok(200);
        assert!(answers_by(&server, &user, "New prompt").await);
        let undo = async |body: Value| server.post(&format!("{ONE}/undo"), &admin, body).await;
        let undone = undo(json!({})).await;
        assert_eq!(json!([undone.body["version"], undone.body["baseTokenCost"]]), json!([3, 0]));
        assert!(!answers_by(&server, &user, "New prompt").await);
        undo(json!({ "version": 9 })).await.assert_field("/version");
        let versions = server.get(&format!("{ONE}/versions?limit=2"), &admin).await;
        let all = versions.body["data"].as_array().expect("versions");
        let told: Vec<_> = all.iter().map(|version| json!([version["version"], version["cause"]])).collect();
        assert_eq!(told, [json!([3, "undone"]), json!([2, "edited"])]);
        let next = versions.text_at("/nextCursor");
        let rest = server.get(&format!("{ONE}/versions?limit=2&cursor={next}"), &admin).await;
        assert_eq!(json!([rest.number_at("/data/0/version"), rest.body["nextCursor"]]), json!([1, null]));

        // A draft of an older version is not published over a newer one.
        let draft = format!("{ONE}/draft");
        server.put(&draft, &admin, edit).await.assert_ok(200);
        server.patch(ONE, &admin, json!({ "description": "New." })).await.assert_ok(200);
        let stale = server.post(&format!("{ONE}/publish"), &admin, json!({})).await;
        stale.assert_problem(412, "precondition-failed");
        assert_eq!(server.delete(&draft, &admin).await.status, 204);
        server.delete(&draft, &admin).await.assert_problem(404, "not-found");

        assert!(server.stop().success());
        let details =
            "SELECT detail FROM usage_event WHERE feature = 'tone_check' AND detail IS NOT NULL ORDER BY event_id";
        let details = texts(&database, folder.path(), details).await;
        let version = |text: &String| serde_json::from_str::<Value>(text).expect("JSON")["version"].clone();
        assert_eq!(details.iter().map(version).collect::<Vec<_>>(), [1, 2, 3]);
        let audited = Server::audited(&database, folder.path(), "tone_check").await;
        let (changed, saved) = ("component.changed", "component.draft.saved");
        let (undone, dropped) = ("component.undone", "component.draft.dropped");
        assert_eq!(audited, ["component.created", changed, undone, saved, changed, dropped]);
    });
}

#[test]
fn components_come_in_pages_and_can_be_searched() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        server.post(PATH, &admin, tone_check()).await.assert_ok(201);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..3 {
            let page = server.get(&format!("{PATH}?limit=3{cursor}"), &admin).await;
            page.assert_ok(200);
            let keys = page.body["data"].as_array().expect("components").iter().map(|one| one["key"].clone());
            seen.extend(keys);
            cursor = page.body["nextCursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
        }
        assert_eq!(
            (seen.len(), seen.first(), seen.last()),
            (7, Some(&json!("invoice_ocr")), Some(&json!("tone_check")))
        );
        let found = server.get(&format!("{PATH}?q=TONE&sort=-name&category=general"), &admin).await;
        assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{found:?}");
        server.get(&format!("{PATH}?archived=perhaps"), &admin).await.assert_field("/archived");
    });
}
