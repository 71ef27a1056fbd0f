//! Upstreams: keys that go in and never come out, addresses that may be called, and changes that hold at once.

use serde_json::{Value, json};

use super::anthropic::{good, input, refused};
use super::fake::Fake;
use super::sql::{execute, texts};
use super::support::{Database, Server, on_both, on_postgres};

const PATH: &str = "/api/admin/upstreams";
const KEY: &str = "sk-ant-secret-0123456789";
const RUN: &str = "/api/ai/summarizer/summarize";
const SUMMARIZER: &str = "/api/admin/components/summarizer";

fn upstream(fake: &Fake) -> Value {
    json!({ "name": "claude", "kind": "anthropic", "baseUrl": fake.url, "apiKey": KEY })
}

#[test]
fn a_key_goes_in_is_used_at_once_and_never_comes_out() {
    on_both(async |database: Database| {
        let (first, second) = (Fake::start(vec![good(), good()]).await, Fake::start(vec![good()]).await);
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@studio.example").await;
        let user = server.sign_in("pro@studio.example").await;
        let made = server.post(PATH, &admin, upstream(&first)).await;
        made.assert_ok(201);
        assert_eq!(json!([made.body["hasKey"], made.body["keyHint"]]), json!([true, "6789"]));
        server.post(PATH, &admin, upstream(&first)).await.assert_problem(409, "taken");
        server.patch(SUMMARIZER, &admin, json!({ "upstream": "claude" })).await.assert_ok(200);
        let ran = server.post(RUN, &user, input()).await;
        assert_eq!((ran.status, ran.text_at("/provider")), (200, "anthropic".to_owned()), "{ran:?}");
        assert!(first.seen()[0].head.contains(KEY), "the key is sent");
        let one = format!("{PATH}/claude");
        // A stored key does not go to another address on its own.
        server.patch(&one, &admin, json!({ "baseUrl": second.url })).await.assert_field("/apiKey");
        let moved =
            server.patch(&one, &admin, json!({ "baseUrl": second.url, "apiKey": "another-key-of-length" })).await;
        assert_eq!(json!([moved.body["keyHint"], moved.body["components"]]), json!(["ngth", ["summarizer"]]));
        server.post(RUN, &user, input()).await.assert_ok(200);
        assert!(second.seen()[0].head.contains("another-key-of-length"));
        server.delete(&one, &admin).await.assert_problem(409, "in-use");
        server.patch(SUMMARIZER, &admin, json!({ "upstream": "demo" })).await.assert_ok(200);
        let without = server.patch(&one, &admin, json!({ "apiKey": null })).await;
        assert_eq!(json!([without.body["hasKey"], without.body["keyHint"]]), json!([false, null]));
        let listed = server.get(PATH, &admin).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2));
        assert_eq!(server.delete(&one, &admin).await.status, 204);
        server.delete(&one, &admin).await.assert_problem(404, "not-found");
        for answer in [&made, &moved, &listed] {
            assert!(!answer.text.contains("secret") && !answer.text.contains("another-key"), "{answer:?}");
        }
        assert!(server.stop().success());
        let audited =
            texts(&database, folder.path(), "SELECT COALESCE(before, '') || COALESCE(after, '') FROM audit_entry")
                .await;
        assert!(audited.iter().any(|entry| entry.contains("6789")), "{audited:?}");
        assert!(!audited.iter().any(|entry| entry.contains(KEY) || entry.contains("another-key")), "{audited:?}");
    });
}

#[test]
fn only_addresses_that_may_be_called_are_taken() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@studio.example").await;
        let post = async |server: &Server, name: &str, url: &str| {
            let body = json!({ "name": name, "kind": "openai", "baseUrl": url, "apiKey": KEY });
            server.post(PATH, &admin, body).await
        };
        for bad in [
            "http://8.8.8.8/v1",
            "http://169.254.169.254/latest",
            "https://169.254.169.254",
            "ftp://127.0.0.1",
            "127.0.0.1",
            "https://me:pw@example.com",
            "https://example.com/?a=b",
            "http://0x08080808",
            "https://[fe80::1]",
            "",
        ] {
            post(&server, "new", bad).await.assert_field("/baseUrl");
        }
        for (number, good) in
            ["http://127.0.0.1:9", "https://10.0.0.1", "http://models.internal:8000/v1", "https://api.example.com"]
                .iter()
                .enumerate()
        {
            post(&server, &format!("good-{number}"), good).await.assert_ok(201);
        }
        for (body, field) in [
            (json!({ "name": "Bad Name", "kind": "demo" }), "/name"),
            (json!({ "name": "x", "kind": "gemini" }), "/kind"),
            (json!({ "name": "x", "kind": "openai", "apiKey": "two words" }), "/apiKey"),
        ] {
            server.post(PATH, &admin, body).await.assert_field(field);
        }
        // A name that leads to where it may not is found out when it is called.
        let astray = json!({ "name": "astray", "kind": "openai", "baseUrl": "http://localhost.invalid/v1" });
        server.post(PATH, &admin, astray).await.assert_ok(201);
        let tested = server.post(&format!("{PATH}/astray/test"), &admin, json!({ "model": "m" })).await;
        assert_eq!(tested.body["works"], false, "{tested:?}");
        assert!(server.stop().success());
        execute(&database, folder.path(), "UPDATE tenant SET mode = 'live', epoch = epoch + 1 WHERE slug = 'studio'")
            .await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        for bad in [
            "http://127.0.0.1:9",
            "https://127.0.0.1",
            "https://10.1.2.3",
            "http://example.com",
            "https://[::ffff:10.0.0.1]",
        ] {
            post(&server, "new", bad).await.assert_field("/baseUrl");
        }
        post(&server, "new", "https://api.example.com").await.assert_ok(201);
        // What was lawful in the sandbox is not called any more, and takes nothing else along.
        let tested = server.post(&format!("{PATH}/good-0/test"), &admin, json!({ "model": "m" })).await;
        assert_eq!(tested.body["works"], false, "{tested:?}");
        let user = server.sign_in("pro@studio.example").await;
        server.post(RUN, &user, input()).await.assert_ok(200);
    });
}

#[test]
fn a_test_says_in_words_whether_an_upstream_answers() {
    on_both(async |database: Database| {
        let fake = Fake::start(vec![refused(401), super::anthropic::prose("OK")]).await;
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@studio.example").await;
        server.post(PATH, &admin, upstream(&fake)).await.assert_ok(201);
        let test = async |name: &str| server.post(&format!("{PATH}/{name}/test"), &admin, json!({})).await;
        let wrong = test("claude").await;
        assert_eq!(json!([wrong.status, wrong.body["works"]]), json!([200, false]));
        assert!(wrong.text_at("/detail").starts_with("It does not take the key"), "{wrong:?}");
        assert!(!wrong.text.contains(KEY), "{wrong:?}");
        let right = test("claude").await;
        assert_eq!(json!([right.body["works"], right.body["detail"]]), json!([true, "It answers."]), "{right:?}");
        assert!(fake.seen()[1].body.contains("\"model\":\"claude-"), "a model with a price is asked");
        assert_eq!(test("demo").await.body["works"], true);
        test("absent").await.assert_problem(404, "not-found");
    });
}

#[test]
fn a_changed_upstream_is_used_by_the_very_next_call_on_the_other_node() {
    on_postgres(async |database: Database| {
        let (first, second) = (Fake::start(vec![good(), good()]).await, Fake::start(vec![good(), good()]).await);
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = one.sign_in("admin@studio.example").await;
        let user = two.sign_in("pro@studio.example").await;
        one.post(PATH, &admin, upstream(&first)).await.assert_ok(201);
        one.patch(SUMMARIZER, &admin, json!({ "upstream": "claude" })).await.assert_ok(200);
        for (fake, count) in [(&first, 1), (&second, 1), (&first, 2), (&second, 2)] {
            let change = json!({ "baseUrl": fake.url, "apiKey": KEY });
            one.patch(&format!("{PATH}/claude"), &admin, change).await.assert_ok(200);
            two.post(RUN, &user, input()).await.assert_ok(200);
            assert_eq!(fake.seen().len(), count);
        }
    });
}
