//! A limit that is near is told: in the inbox, over the live connection and by mail, once.

use reqwest::Method;
use serde_json::{Value, json};

use super::mail::register;
use super::realtime::Live;
use super::smtp::Sink;
use super::support::{Answer, Database, PASSWORD, Server, on_both};

const NEAR: &str = "near@halisoft.example";

async fn inbox(server: &Server, token: &str) -> Answer {
    let answer = server.get("/api/notifications", token).await;
    answer.assert_ok(200);
    answer
}

/// What the inbox says, the newest first, once so much is in it.
pub async fn told(server: &Server, token: &str, query: &str, count: usize) -> Vec<Value> {
    loop {
        let answer = server.get(&format!("/api/notifications{query}"), token).await;
        answer.assert_ok(200);
        let rows = answer.body["data"].as_array().expect("a list").clone();
        assert!(rows.len() <= count, "no more than {count}: {answer:?}");
        if rows.len() == count {
            return rows;
        }
    }
}

pub fn thresholds(rows: &[Value]) -> Value {
    rows.iter().map(|row| json!([row["kind"], row["feature"], row["threshold"], row["used"], row["limit"]])).collect()
}

async fn use_one(server: &Server, token: &str, amount: i64) -> Answer {
    let body = json!({ "items": [{ "feature": "invoice_ocr", "amount": amount }] });
    server.post("/api/usage/consume", token, body).await
}

#[test]
fn from_87_to_100_is_told_once_at_90_and_once_at_100() {
    on_both(async |database: Database| {
        let sink = Sink::secure();
        let ca = sink.ca().display().to_string();
        let account = [("TOLLGATE_SMTP_URL", sink.url()), ("TOLLGATE_SMTP_CA", ca)];
        let account = account.each_ref().map(|(name, value)| (*name, value.as_str()));
        let server = Server::demo_with(&database, &account);
        let near = server.sign_in(NEAR).await;
        assert_eq!(inbox(&server, &near).await.body["unread"], 0, "80 was passed before, and nobody was woken by it");
        let mut live = Live::open(&server, &near, "").await;
        live.next_of("snapshot").await;
        for _ in 88..=90 {
            use_one(&server, &near, 1).await.assert_ok(200);
        }
        let pushed = live.next_of("notification.created").await;
        let row = told(&server, &near, "", 1).await.remove(0);
        assert_eq!(json!([pushed["data"]["id"], pushed["data"]["kind"]]), json!([row["id"], "quota_warning"]));
        assert_eq!(
            json!([row["name"], row["threshold"], row["used"], row["limit"], row["percentage"], row["readAt"]]),
            json!(["Invoice OCR & Analysis", 90, 90, 100, 90, null])
        );
        for _ in 91..=100 {
            use_one(&server, &near, 1).await.assert_ok(200);
        }
        use_one(&server, &near, 1).await.assert_problem(429, "quota-exceeded");
        assert_eq!(live.next_of("notification.created").await["data"]["kind"], "quota_reached");
        let rows = told(&server, &near, "", 2).await;
        assert_eq!(
            thresholds(&rows),
            json!([["quota_reached", "invoice_ocr", 100, 100, 100], ["quota_warning", "invoice_ocr", 90, 90, 100]])
        );
        let mails = sink.wait(NEAR, 2);
        let subjects: Vec<_> = mails.iter().filter_map(|mail| mail.header("Subject")).collect();
        assert_eq!(subjects, ["90% of Invoice OCR & Analysis used", "Invoice OCR & Analysis is used up"]);
        let link = mails[0].text().lines().find(|line| line.starts_with("http")).expect("a link").to_owned();
        assert!(mails[0].text().contains("90 of 100") && link.starts_with(&server.url), "{mails:?}");
        let page = server.http.get(link).send().await.expect("a page");
        assert_eq!(page.status(), 200, "the link works");
        assert_eq!(mails[0].header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
        assert_eq!(sink.mails().len(), 2);
    });
}

#[test]
fn many_uses_at_once_tell_each_threshold_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let new = server.sign_in("new@halisoft.example").await;
        let all = (0..100).map(|_| use_one(&server, &new, 1));
        for answer in futures_util::future::join_all(all).await {
            answer.assert_ok(200);
        }
        let rows = told(&server, &new, "", 3).await;
        let found: Vec<_> = rows.iter().map(|row| row["threshold"].as_i64().expect("a number")).collect();
        assert_eq!(found, [100, 90, 80]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let mails = server.get("/api/admin/emails?q=new@halisoft.example", &admin).await;
        assert_eq!(mails.body["data"].as_array().map(Vec::len), Some(3), "{mails:?}");
    });
}

#[test]
fn one_step_over_several_is_told_once_and_a_higher_limit_anew() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        let body = json!({ "externalId": "acme", "plan": "starter", "email": "office@acme.example" });
        server.post("/api/customers", &key, body).await.assert_ok(201);
        server.use_of(&key, "acme", "invoice_ocr", 100).await.assert_ok(200);
        let rows = told(&server, &key, "?customer=acme", 1).await;
        assert_eq!(thresholds(&rows), json!([["quota_reached", "invoice_ocr", 100, 100, 100]]));
        let mails = server.get("/api/admin/emails?q=office@acme.example", &admin).await;
        assert_eq!(mails.body["data"][0]["kind"], "quota_reached", "who has no users is written to: {mails:?}");
        let path = "/api/admin/customers/acme/overrides/invoice_ocr";
        server.put(path, &admin, json!({ "limitValue": 200 })).await.assert_ok(200);
        server.use_of(&key, "acme", "invoice_ocr", 60).await.assert_ok(200);
        let rows = told(&server, &key, "?customer=acme", 2).await;
        assert_eq!(thresholds(&rows[..1]), json!([["quota_warning", "invoice_ocr", 80, 160, 200]]));
        let of_kind = told(&server, &key, "?customer=acme&kind=quota_warning", 1).await;
        assert_eq!(of_kind[0]["id"], rows[0]["id"]);
    });
}

#[test]
fn a_level_that_fell_is_told_again() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (_, key) = server.key_of("studio", &["usage:write", "usage:read", "customers:write"]).await;
        let made = server.post("/api/customers", &key, json!({ "externalId": "shop", "plan": "free" })).await;
        made.assert_ok(201);
        let set = async |value: i64| {
            let body = json!({ "customer": "shop", "value": value * 1_000_000 });
            server.put("/api/usage/gauges/storage", &key, body).await.assert_ok(200);
        };
        // 80 % of 500 MB are 400. Near the threshold it is not told at every step, far below it is armed again.
        for (megabytes, count) in [(410, 1), (380, 1), (405, 1), (360, 1), (420, 2), (500, 3)] {
            set(megabytes).await;
            told(&server, &key, "?customer=shop", count).await;
        }
        let rows = told(&server, &key, "?customer=shop", 3).await;
        let found: Vec<_> = rows.iter().map(|row| row["threshold"].as_i64().expect("a number")).collect();
        assert_eq!(found, [100, 80, 80]);
        assert_eq!(rows[0]["resetsAt"], Value::Null);
        let user = server.sign_in("user@studio.example").await;
        server.post("/api/usage/gauges/storage", &user, json!({})).await;
        assert_eq!(inbox(&server, &user).await.body["data"], json!([]), "that of another customer");
    });
}

#[test]
fn after_a_crash_nothing_is_lost_and_nothing_told_twice() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let mut near = server.sign_in(NEAR).await;
        for (number, amount) in [3, 7, 3].into_iter().enumerate() {
            use_one(&server, &near, amount).await.assert_ok(200);
            server.kill();
            server = Server::start(&database, folder.path(), &["--demo"], &[]);
            near = server.sign_in(NEAR).await;
            // 90 at the first, nothing at the second, 100 at the third.
            let count = [1, 1, 2][number];
            told(&server, &near, "", count).await;
        }
        let admin = server.sign_in("admin@halisoft.example").await;
        let mails = server.get(&format!("/api/admin/emails?q={NEAR}"), &admin).await;
        assert_eq!(mails.body["data"].as_array().map(Vec::len), Some(2), "{mails:?}");
    });
}

#[test]
fn each_reader_has_read_state_and_wishes_of_their_own() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let near = server.sign_in(NEAR).await;
        let prefer = async |wish: Value| server.patch("/api/me/notification-preferences", &near, wish).await;
        let preference = async |kind: &str| {
            let read = server.get("/api/me/notification-preferences", &near).await;
            read.body["data"].as_array().expect("kinds").iter().find(|row| row["kind"] == kind).expect("a kind").clone()
        };
        prefer(json!({ "quota_warning": { "email": false } })).await.assert_ok(200);
        let warning = preference("quota_warning").await;
        assert_eq!(json!([warning["email"], warning["app"], warning["canSwitchOff"]]), json!([false, true, true]));
        use_one(&server, &near, 3).await.assert_ok(200);
        let first = told(&server, &near, "?unread=true", 1).await.remove(0);
        prefer(json!({ "quota_reached": { "app": false } })).await.assert_ok(200);
        use_one(&server, &near, 10).await.assert_ok(200);
        let mails = super::mail::outbox(&server, &admin, NEAR, "kept").await;
        assert_eq!(mails.len(), 1, "only what is wanted by mail: {mails:?}");
        assert_eq!(mails[0]["kind"], "quota_reached");
        assert_eq!(inbox(&server, &near).await.body["unread"], 1, "and only what is wanted in the inbox");
        prefer(json!({ "quota_reached": { "app": true } })).await.assert_ok(200);
        told(&server, &near, "?unread=true", 2).await;
        let path = format!("/api/notifications/{}/read", first["id"].as_str().expect("an id"));
        for _ in 0..2 {
            let read = server.post(&path, &near, json!({})).await;
            assert_eq!(json!([read.status, read.body["unread"]]), json!([200, 1]));
        }
        assert_eq!(told(&server, &near, "?unread=true", 1).await[0]["kind"], "quota_reached");
        let key = server.key(&["usage:read"]).await;
        let customer = first["customer"].as_str().expect("an id");
        let seen = server.get(&format!("/api/notifications?customer={customer}"), &key).await;
        assert_eq!(seen.body["unread"], 2, "what one has read others have not");
        let all = server.post("/api/notifications/read", &near, json!({})).await;
        assert_eq!(json!([all.status, all.body["unread"]]), json!([200, 0]));
        assert!(told(&server, &near, "", 2).await.iter().all(|row| row["readAt"].is_string()));
        // Nobody reads or marks what is another's.
        let other = server.sign_in("pro@halisoft.example").await;
        server.post(&path, &other, json!({})).await.assert_problem(404, "not-found");
        assert_eq!(inbox(&server, &other).await.body["data"], json!([]));
        server
            .get(&format!("/api/notifications?customer={customer}"), &other)
            .await
            .assert_problem(404, "unknown-customer");
        let studio = server.key_of("studio", &["usage:read"]).await.1;
        let foreign = server.get(&format!("/api/notifications?customer={customer}"), &studio).await;
        foreign.assert_problem(404, "unknown-customer");
        prefer(json!({ "receipt": { "email": false } })).await.assert_field("/receipt");
        prefer(json!({ "reset_password": { "email": false } })).await.assert_field("/reset_password");
        prefer(json!({ "welcome": { "app": false } })).await.assert_field("/welcome/app");
    });
}

#[test]
fn what_is_brought_in_from_elsewhere_tells_nobody_and_an_unproven_address_gets_no_mail() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        let line = json!({ "externalId": "old", "email": "old@shop.example",
            "subscription": { "plan": "starter" }, "usage": { "invoice_ocr": 95 } });
        let begun =
            server.post_bytes("/api/admin/import", &admin, "application/x-ndjson", line.to_string().into()).await;
        begun.assert_ok(202);
        while server.get(&format!("/api/admin/import/{}", begun.text_at("/id")), &admin).await.body["state"] != "done" {
        }
        assert_eq!(server.quota_of(&key, "old", "invoice_ocr").await["used"], 95);
        server.use_of(&key, "old", "invoice_ocr", 5).await.assert_ok(200);
        let rows = told(&server, &key, "?customer=old", 1).await;
        assert_eq!(thresholds(&rows), json!([["quota_reached", "invoice_ocr", 100, 100, 100]]));
        // Somebody who registered and proved nothing.
        register(&server, "studio", "ann@shop.example", "Ann").await;
        let login = json!({ "email": "ann@shop.example", "password": PASSWORD });
        let request = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", "studio");
        let ann = server.send(request.json(&login)).await.text_at("/accessToken");
        let body = json!({ "items": [{ "feature": "prompts", "amount": 80 }] });
        server.post("/api/usage/consume", &ann, body).await.assert_ok(200);
        told(&server, &ann, "", 1).await;
        let studio = server.sign_in("admin@studio.example").await;
        let mails = server.get("/api/admin/emails?q=ann@shop.example", &studio).await;
        let kinds: Vec<_> = mails.body["data"].as_array().expect("mails").iter().map(|row| &row["kind"]).collect();
        assert_eq!(kinds, ["verify_address"]);
    });
}
