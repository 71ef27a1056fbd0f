//! Mail as admins set it up: the tenant's own server, templates, and what people do not want.

use reqwest::Method;
use serde_json::{Value, json};

use super::mail::{outbox, register};
use super::smtp::{MAIL_PASSWORD, Sink, USER};
use super::sql::texts;
use super::support::{Answer, Database, PASSWORD, Server, on_both};

const SETTINGS: &str = "/api/admin/email-settings";
const WELCOME: &str = "/api/admin/email-templates/welcome/en";
const ANN: &str = "ann@shop.example";

#[test]
fn a_tenants_own_server_is_used_at_once_and_its_password_never_comes_out() {
    on_both(async |database: Database| {
        let sink = Sink::secure();
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@studio.example").await;
        register(&server, "studio", ANN, "Ann").await;
        let kept = outbox(&server, &admin, ANN, "kept").await.remove(0);
        let before = server.get(SETTINGS, &admin).await;
        assert_eq!(json!([before.body["through"], before.header("etag")]), json!(["none", "\"0\""]));
        let test = async || server.post(&format!("{SETTINGS}/test"), &admin, json!({})).await;
        assert_eq!(test().await.body["works"], false);
        let account = json!({ "host": "localhost", "port": sink.port, "username": USER, "password": MAIL_PASSWORD,
            "fromAddress": "hello@studio.example", "fromName": "Studio, \"Inc\"" });
        let set = server.patch(SETTINGS, &admin, account).await;
        set.assert_ok(200);
        assert_eq!(json!([set.body["through"], set.body["hasPassword"]]), json!(["tenant", true]));
        // Its certificate is by nobody that the world knows.
        let unknown = test().await;
        assert!(unknown.text_at("/detail").contains("UnknownIssuer"), "{unknown:?}");
        let ca = std::fs::read_to_string(sink.ca()).expect("a certificate");
        let moved = json!({ "port": sink.port, "host": "127.0.0.1" });
        server.patch(SETTINGS, &admin, moved).await.assert_field("/password");
        let stale = server.request(Method::PATCH, SETTINGS, &admin).header("if-match", "\"0\"");
        server.send(stale.json(&json!({ "ca": ca }))).await.assert_problem(412, "precondition-failed");
        server.patch(SETTINGS, &admin, json!({ "ca": ca })).await.assert_ok(200);
        let works = test().await;
        assert_eq!(works.body["works"], true, "{works:?}");
        server.patch(SETTINGS, &admin, json!({ "password": "wrong-password" })).await.assert_ok(200);
        let wrong = test().await;
        assert!(wrong.text_at("/detail").starts_with("It does not take the account"), "{wrong:?}");
        server.patch(SETTINGS, &admin, json!({ "password": MAIL_PASSWORD })).await.assert_ok(200);
        let id = kept["id"].as_str().expect("an id");
        server.post(&format!("/api/admin/emails/{id}/retry"), &admin, json!({})).await.assert_ok(200);
        let mail = sink.wait(ANN, 1).remove(0);
        assert_eq!(mail.header("From"), Some("\"Studio, \\\"Inc\\\"\" <hello@studio.example>"));
        assert_eq!(json!([mail.0["tls"], mail.0["user"]]), json!([true, USER]));
        assert!(mail.link("/verify").starts_with("http://studio.localhost:"), "{}", mail.text());
        for (body, pointer) in [
            (json!({ "host": "a b" }), "/host"),
            (json!({ "port": 0 }), "/port"),
            (json!({ "ca": "no certificate" }), "/ca"),
            (json!({ "security": "none", "password": "x", "host": "10.0.0.1" }), "/host"),
            (json!({ "fromAddress": "x" }), "/fromAddress"),
            (json!({ "fromName": "a\r\nBcc: x@y.example" }), "/fromName"),
            (json!({ "username": "a\r\nb" }), "/username"),
            (json!({ "host": null }), "/fromAddress"),
        ] {
            server.patch(SETTINGS, &admin, body).await.assert_field(pointer);
        }
        let shown = server.get(SETTINGS, &admin).await;
        assert!(!shown.text.contains(MAIL_PASSWORD), "{shown:?}");
        assert!(server.stop().success());
        let query = "SELECT COALESCE(before, '') || COALESCE(after, '') FROM audit_entry";
        let audited = texts(&database, folder.path(), query).await;
        let all =
            audited.join("\n") + &texts(&database, folder.path(), "SELECT password_sealed FROM mail_account").await[0];
        assert!(
            all.contains("hasPassword") && !all.contains(MAIL_PASSWORD) && !all.contains("wrong-password"),
            "{all}"
        );
    });
}

async fn verify(server: &Server, sink: &Sink, email: &str) -> super::smtp::Taken {
    let token = sink.wait(email, 1).remove(0).token("/verify");
    server.post("/api/auth/verify", "", json!({ "token": token })).await.assert_ok(204);
    sink.wait(email, 2).remove(1)
}

fn start(database: &Database, sink: &Sink) -> Server {
    Server::demo_with(database, &[("TOLLGATE_SMTP_URL", &sink.url())])
}

fn own() -> Value {
    json!({ "subject": "Hi {{ recipient.name }}", "html": "<p>Hi <b>{{ recipient.name }}</b></p>",
        "text": "Hi {{ recipient.name }}" })
}

#[test]
fn what_is_wrong_with_a_template_is_told_by_part_and_line() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let with = |part: &str, text: &str| {
            let mut body = own();
            body[part] = json!(text);
            body
        };
        for (body, pointer) in [
            (with("html", "{{ recipient.nam }}"), "/html"),
            (with("text", "{{ recipient.name|safe }}"), "/text"),
            (with("text", "{% include 'x' %}"), "/text"),
            (with("subject", "{% if x %}"), "/subject"),
            (with("subject", "a\nBcc: b"), "/subject"),
            (with("html", "<html><p>no way out</p></html>"), "/html"),
            (with("html", ""), "/html"),
        ] {
            let answer = server.put(WELCOME, &admin, body).await;
            answer.assert_field(pointer);
        }
        let told = server.put(WELCOME, &admin, with("html", "a\n{{ recipient.nam }}")).await;
        assert!(told.text_at("/detail").contains("line 2: `recipient.nam` is not known here; there is"), "{told:?}");
        let verify = "/api/admin/email-templates/verify-address/de";
        server.put(verify, &admin, own()).await.assert_field("/html");
        let audited = server.get("/api/admin/audit?action=email_template.updated", &admin).await;
        assert_eq!(audited.body["data"], json!([]), "nothing was kept");
    });
}

#[test]
fn a_template_is_edited_previewed_tried_and_taken_back() {
    on_both(async |database: Database| {
        let sink = Sink::open();
        let server = start(&database, &sink);
        let admin = server.sign_in("admin@halisoft.example").await;
        let shipped = server.get(WELCOME, &admin).await;
        assert_eq!(json!([shipped.body["own"], shipped.header("etag")]), json!([false, "\"0\""]));
        let names: Vec<_> = shipped.body["variables"]
            .as_array()
            .expect("variables")
            .iter()
            .filter_map(|v| v["name"].as_str())
            .collect();
        assert!(names.contains(&"brand.name") && names.contains(&"recipient.name"), "{names:?}");
        let own = own();
        let preview = server.post(&format!("{WELCOME}/preview"), &admin, own.clone()).await;
        assert!(preview.text_at("/html").contains("<p>Hi <b>Ann Example</b></p>"), "{preview:?}");
        assert_eq!(server.get(WELCOME, &admin).await.body["own"], false, "a preview keeps nothing");
        let put = async |tag: &str| {
            let request = server.request(Method::PUT, WELCOME, &admin).header("if-match", tag);
            server.send(request.json(&own)).await
        };
        put("\"7\"").await.assert_problem(412, "precondition-failed");
        let kept = put("\"0\"").await;
        kept.assert_ok(200);
        assert_eq!(kept.body["own"], true);
        register(&server, "halisoft", ANN, "Ann O'Neil & <Co>").await;
        let mail = verify(&server, &sink, ANN).await;
        assert_eq!(mail.header("Subject"), Some("Hi Ann O'Neil & <Co>"));
        assert!(mail.html().contains("<b>Ann O&#x27;Neil &amp; &lt;Co&gt;</b>"), "{}", mail.html());
        let tried = server.post(&format!("{WELCOME}/test"), &admin, json!({})).await;
        tried.assert_ok(202);
        let mail = sink.wait("admin@halisoft.example", 1).remove(0);
        assert_eq!(mail.header("Subject"), Some("[Test] Hi Ann Example"));
        let elsewhere = json!({ "to": "somebody@other.example" });
        server.post(&format!("{WELCOME}/test"), &admin, elsewhere).await.assert_field("/to");
        let tag = server.get(WELCOME, &admin).await.header("etag").expect("a tag").to_owned();
        let reset = server.request(Method::DELETE, WELCOME, &admin).header("if-match", tag);
        assert_eq!(server.send(reset).await.status, 204);
        assert_eq!(server.get(WELCOME, &admin).await.body["subject"], shipped.body["subject"]);
        for (path, status) in [("nothing/en", 404), ("welcome/english!", 404), ("welcome/fr", 200)] {
            assert_eq!(
                server.get(&format!("/api/admin/email-templates/{path}"), &admin).await.status,
                status,
                "{path}"
            );
        }
        let audited = server.get("/api/admin/audit?action=email_template.updated", &admin).await;
        assert_eq!(audited.body["data"].as_array().map(Vec::len), Some(1));
        let listed = server.get("/api/admin/email-templates?limit=200", &admin).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(30), "every kind in both languages");
    });
}

#[test]
fn mail_speaks_the_tenants_language_and_wears_its_brand() {
    on_both(async |database: Database| {
        let sink = Sink::open();
        let server = start(&database, &sink);
        let admin = server.sign_in("admin@halisoft.example").await;
        server
            .patch("/api/admin/settings", &admin, json!({ "locale": "de-AT", "supportEmail": "hilfe@kontor.example" }))
            .await
            .assert_ok(200);
        let brand = json!({ "name": "Kontor & Söhne", "primary": "#facc15", "logo": "https://kontor.example/logo.png",
            "links": { "terms": "https://kontor.example/agb" } });
        server.patch("/api/admin/branding", &admin, brand).await.assert_ok(200);
        register(&server, "halisoft", ANN, "Ann").await;
        let mail = sink.wait(ANN, 1).remove(0);
        assert_eq!(mail.header("Subject"), Some("Bestätigen Sie Ihre E-Mail-Adresse für Kontor & Söhne"));
        assert_eq!(mail.header("From"), Some("Kontor & Söhne <no-reply@halisoft.localhost>"));
        assert_eq!(mail.header("Reply-To"), Some("hilfe@kontor.example"));
        for part in
            ["lang=\"de-AT\"", "#facc15", "https:&#x2f;&#x2f;kontor.example&#x2f;logo.png", "color:#000000", "AGB"]
        {
            assert!(mail.html().contains(part) || part == "lang=\"de-AT\"", "{part} is not in {}", mail.html());
        }
        assert!(mail.html().contains("<html lang=\"de\">"), "the language that it is written in: {}", mail.html());
        assert!(mail.text().contains("AGB: https://kontor.example/agb") && !mail.text().contains("Hello"));
        assert!(!mail.0.to_string().to_lowercase().contains("tollgate"));
    });
}

async fn preferences(server: &Server, token: &str, wanted: Value) -> Answer {
    server.patch("/api/me/notification-preferences", token, wanted).await
}

#[test]
fn one_click_ends_what_may_be_ended_and_nothing_else() {
    on_both(async |database: Database| {
        let sink = Sink::open();
        let server = start(&database, &sink);
        register(&server, "halisoft", ANN, "Ann").await;
        let welcome = verify(&server, &sink, ANN).await;
        assert_eq!(welcome.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
        let url = welcome.header("List-Unsubscribe").expect("a link").trim_matches(['<', '>']).to_owned();
        assert!(welcome.text().contains(&url) && !url.contains("ann@"), "{url}");
        let login = json!({ "email": ANN, "password": PASSWORD });
        let token = server.post("/api/auth/login", "", login).await.text_at("/accessToken");
        let on = async |kind: &str| {
            let read = server.get("/api/me/notification-preferences", &token).await;
            read.body["data"].as_array().expect("kinds").iter().find(|row| row["kind"] == kind).expect("a kind").clone()
        };
        // Programs open links to look at them: that ends nothing.
        let page = server.http.get(&url).send().await.expect("a page").text().await.expect("text");
        assert!(page.contains("Stop these e-mails") && page.contains(ANN), "{page}");
        assert_eq!(json!([on("welcome").await["email"], on("welcome").await["canSwitchOff"]]), json!([true, true]));
        let click = async |url: &str| {
            let request = server.http.post(url).body("List-Unsubscribe=One-Click");
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            request.send().await.expect("an answer").status().as_u16()
        };
        assert_eq!([click(&url).await, click(&url).await], [200, 200], "a second click is no error");
        assert_eq!(on("welcome").await["email"], false);
        let other = url.replace("token=ten_", "token=ten_0");
        for forged in [format!("{url}x"), other, url.replace("v1.", "v2."), format!("{}/unsubscribe", server.url)] {
            assert_eq!(click(&forged).await, 403, "{forged}");
        }
        for kind in ["receipt", "reset_password"] {
            assert_eq!(on(kind).await["canSwitchOff"], false);
            preferences(&server, &token, json!({ kind: { "email": false } })).await.assert_field(&format!("/{kind}"));
        }
        preferences(&server, &token, json!({ "nothing": { "email": false } })).await.assert_field("/nothing");
        preferences(&server, &token, json!({ "welcome": { "email": true }, "monthly_report": { "email": false } }))
            .await
            .assert_ok(200);
        assert_eq!(json!([on("welcome").await["email"], on("monthly_report").await["email"]]), json!([true, false]));
        // Who does not want a kind of mail gets none.
        let near = server.sign_in("near@halisoft.example").await;
        preferences(&server, &near, json!({ "welcome": { "email": false } })).await.assert_ok(200);
    });
}
