//! Mail, through a real mail server: what arrives, what waits, what is refused, and what nobody may see.

use reqwest::Method;
use serde_json::{Value, json};

use super::permission::member;
use super::smtp::{Sink, Taken};
use super::support::{Answer, Database, PASSWORD, Server, on_both};

const ANN: &str = "ann@shop.example";
const NEAR: &str = "near@halisoft.example";

pub async fn register(server: &Server, tenant: &str, email: &str, name: &str) {
    let request = server.request(Method::POST, "/api/auth/register", "").header("x-tenant", tenant);
    let body = json!({ "email": email, "password": PASSWORD, "name": name });
    server.send(request.json(&body)).await.assert_ok(201);
}

async fn forgot(server: &Server, email: &str) -> Answer {
    server.post("/api/auth/forgot", "", json!({ "email": email })).await
}

/// The newest mails to an address, once one stands as wanted.
pub async fn outbox(server: &Server, admin: &str, to: &str, state: &str) -> Vec<Value> {
    loop {
        let listed = server.get(&format!("/api/admin/emails?q={to}"), admin).await;
        listed.assert_ok(200);
        let rows = listed.body["data"].as_array().expect("mails").clone();
        if rows.first().is_some_and(|row| row["state"] == state) {
            return rows;
        }
    }
}

fn through(database: &Database, sink: &Sink) -> Server {
    Server::demo_with(database, &[("TOLLGATE_SMTP_URL", &sink.url()), ("TOLLGATE_SMTP_FROM", "post@shop.example")])
}

fn assert_white_label(mail: &Taken) {
    assert!(!mail.0.to_string().to_lowercase().contains("tollgate"), "{mail:?}");
}

#[test]
fn a_registration_is_proven_by_a_link_that_comes_over_starttls() {
    on_both(async |database: Database| {
        let sink = Sink::secure();
        let ca = sink.ca().display().to_string();
        let account = [("TOLLGATE_SMTP_URL", sink.url()), ("TOLLGATE_SMTP_CA", ca)];
        let account = account.each_ref().map(|(name, value)| (*name, value.as_str()));
        let server = Server::demo_with(&database, &account);
        register(&server, "halisoft", ANN, "Ann <b>&\"'</b>").await;
        let mail = sink.wait(ANN, 1).remove(0);
        assert_eq!(json!([mail.0["tls"], mail.0["user"]]), json!([true, super::smtp::USER]));
        assert_eq!(mail.header("From"), Some("HaliSoft <no-reply@halisoft.localhost>"));
        assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(mail.header("List-Unsubscribe"), None, "mails about security cannot be ended");
        assert!(!mail.text().contains("<b>"), "whoever registers an address chooses no words of this mail");
        assert_white_label(&mail);
        let link = mail.link("/verify");
        assert!(link.starts_with(&server.url) && mail.html().contains(&link.replace('/', "&#x2f;")), "{mail:?}");
        let verify = async |token: &str| server.post("/api/auth/verify", "", json!({ "token": token })).await;
        let reset = json!({ "token": mail.token("/verify"), "password": PASSWORD });
        server.post("/api/auth/reset", "", reset).await.assert_problem(403, "forbidden");
        // Opening the page spends nothing.
        let page = server.http.get(&link).send().await.expect("a page").text().await.expect("text");
        assert!(
            page.contains("Confirm my address") && page.contains("HaliSoft") && !page.contains("Tollgate"),
            "{page}"
        );
        verify(&mail.token("/verify")).await.assert_ok(204);
        verify(&mail.token("/verify")).await.assert_problem(403, "forbidden");
        let welcome = sink.wait(ANN, 2).remove(1);
        assert_eq!(welcome.header("To"), Some("\"Ann <b>&\\\"'</b>\" <ann@shop.example>"), "{welcome:?}");
        assert!(welcome.text().contains("Hello,"), "what holds a slash is not greeted: {}", welcome.text());
        // Registering again tells the owner, and nobody else; once a day.
        for _ in 0..2 {
            register(&server, "halisoft", ANN, "Mallory").await;
        }
        let known = sink.wait(ANN, 3).remove(2);
        assert!(known.header("Subject").is_some_and(|subject| subject.starts_with("You have an account")), "{known:?}");
        let token = server.post("/api/auth/login", "", json!({ "email": ANN, "password": PASSWORD })).await;
        let again = server.post("/api/auth/verify/again", &token.text_at("/accessToken"), json!({})).await;
        assert_eq!(json!([again.status, again.body["sent"]]), json!([202, false]));
        assert_eq!(sink.mails().len(), 3);
        for (token, status) in [("", 403), ("x", 403), ("ten_x.y", 403), ("\u{0}.", 403)] {
            verify(token).await.assert_problem(status, "forbidden");
        }
    });
}

#[test]
fn who_has_not_proven_the_address_signs_in_and_does_not_buy() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        register(&server, "halisoft", ANN, "Ann").await;
        let admin = server.sign_in("admin@halisoft.example").await;
        let ann = server.post("/api/auth/login", "", json!({ "email": ANN, "password": PASSWORD })).await;
        let ann = ann.text_at("/accessToken");
        let order = json!({ "plan": "starter", "interval": "month", "provider": "sandbox" });
        let buy = async || server.post("/api/checkout", &ann, order.clone()).await;
        buy().await.assert_problem(403, "address-unproven");
        let allow = async |on: bool| {
            server.patch("/api/admin/settings", &admin, json!({ "allowUnverified": on })).await.assert_ok(200);
        };
        allow(true).await;
        buy().await.assert_ok(201);
        allow(false).await;
        buy().await.assert_problem(403, "address-unproven");
        let id = outbox(&server, &admin, ANN, "kept").await[0]["id"].as_str().expect("an id").to_owned();
        let whole = server.get(&format!("/api/admin/emails/{id}"), &admin).await.text_at("/text");
        let token = whole.split_once("/verify?token=").expect("a link").1.split_whitespace().next().expect("a token");
        server.post("/api/auth/verify", "", json!({ "token": token })).await.assert_ok(204);
        buy().await.assert_ok(201);
    });
}

#[test]
fn a_forgotten_password_is_chosen_anew_through_the_mails_link() {
    on_both(async |database: Database| {
        let sink = Sink::open();
        let server = through(&database, &sink);
        let session = server.sign_in(NEAR).await;
        let known = {
            let request = server.request(Method::POST, "/api/auth/forgot", "").header("host", "evil.example");
            server.send(request.json(&json!({ "email": " Near@halisoft.example" }))).await
        };
        let unknown = forgot(&server, "nobody@halisoft.example").await;
        assert_eq!((known.status, &known.text), (202, &unknown.text), "the answers are the same");
        let mail = sink.wait(NEAR, 1).remove(0);
        assert_eq!(mail.header("From"), Some("HaliSoft <post@shop.example>"));
        let link = mail.link("/reset");
        assert!(link.starts_with(&server.url), "the request's host does not choose where the link leads: {link}");
        let page = server.http.get(&link).send().await.expect("a page");
        assert_eq!(page.status(), 200);
        let send = async |token: &str, password: &str| {
            let form = format!("token={token}&password={password}");
            let request = server.http.post(format!("{}/reset", server.url)).body(form);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = request.send().await.expect("a page");
            (answer.status().as_u16(), answer.text().await.expect("text"))
        };
        let token = mail.token("/reset");
        assert_eq!(send(&token, "short").await.0, 422, "a password that is refused spends nothing");
        let (status, said) = send(&token, "another-password-1").await;
        assert!(status == 200 && said.contains("Your password is set"), "{said}");
        assert_eq!(send(&token, "another-password-2").await.0, 403, "a link works once");
        server.post("/api/auth/verify", "", json!({ "token": token })).await.assert_problem(403, "forbidden");
        server.get("/api/me", &session).await.assert_problem(401, "unauthenticated");
        let login = async |password: &str| {
            server.post("/api/auth/login", "", json!({ "email": NEAR, "password": password })).await.status
        };
        assert_eq!([login(PASSWORD).await, login("another-password-1").await], [401, 200]);
        let notice = sink.wait(NEAR, 2).remove(1);
        assert!(notice.header("Subject").is_some_and(|subject| subject.contains("was changed")), "{notice:?}");
        // Two links: the second's use ends the first as well. Then each further request has to wait.
        for _ in 0..2 {
            forgot(&server, NEAR).await.assert_ok(202);
        }
        let links = sink.wait(NEAR, 4);
        let reset = async |token: String| {
            server.post("/api/auth/reset", "", json!({ "token": token, "password": "third-password-1" })).await.status
        };
        assert_eq!([reset(links[3].token("/reset")).await, reset(links[2].token("/reset")).await], [204, 403]);
        for email in [NEAR, "nobody@halisoft.example"] {
            let answers = [forgot(&server, email).await, forgot(&server, email).await, forgot(&server, email).await];
            assert_eq!(answers[2].status, 429, "{email}: {answers:?}");
            assert!(answers[2].header("retry-after").is_some());
        }
        forgot(&server, "no address").await.assert_field("/email");
        sink.wait(NEAR, 5);
        assert!(!sink.mails().iter().any(|mail| mail.0["to"][0] == "nobody@halisoft.example"));
    });
}

#[test]
fn while_the_mail_server_is_down_nothing_is_lost_and_nothing_doubled() {
    on_both(async |database: Database| {
        let down = Sink::open().stop();
        let folder = tempfile::tempdir().expect("a folder");
        let url = down.url();
        let account = [("TOLLGATE_SMTP_URL", url.as_str())];
        let server = Server::start(&database, folder.path(), &["--demo"], &account);
        let admin = server.sign_in("admin@halisoft.example").await;
        let people: Vec<_> = (0..12).map(|number| format!("person-{number}@shop.example")).collect();
        for person in &people {
            register(&server, "halisoft", person, "Person").await;
        }
        loop {
            let listed = server.get("/api/admin/emails?state=queued", &admin).await;
            let rows = listed.body["data"].as_array().expect("mails").clone();
            assert_eq!(rows.len(), people.len(), "nothing is lost: {listed:?}");
            if let Some(tried) = rows.iter().find(|row| !row["lastError"].is_null()) {
                assert!(tried["lastError"].as_str().is_some_and(|e| e.starts_with("It cannot be reached")), "{tried}");
                break;
            }
        }
        server.kill();
        let server = Server::start(&database, folder.path(), &["--demo"], &account);
        let sink = down.again();
        for person in &people {
            sink.wait(person, 1);
        }
        let admin = server.sign_in("admin@halisoft.example").await;
        loop {
            let sent = server.get("/api/admin/emails?state=sent", &admin).await;
            if sent.body["data"].as_array().map(Vec::len) == Some(people.len()) {
                break;
            }
        }
        let mut ids: Vec<_> =
            sink.mails().iter().filter_map(|mail| mail.header("Message-ID").map(str::to_owned)).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((sink.mails().len(), ids.len()), (people.len(), people.len()), "nothing is doubled");
    });
}

#[test]
fn what_a_server_says_decides_what_becomes_of_a_mail() {
    on_both(async |database: Database| {
        let sink = Sink::open();
        let server = through(&database, &sink);
        let admin = server.sign_in("admin@halisoft.example").await;
        sink.answer(&["451 4.7.1 greylisted"]);
        register(&server, "halisoft", "later@shop.example", "L").await;
        let row = loop {
            let row = outbox(&server, &admin, "later@shop.example", "queued").await.remove(0);
            if row["attempts"] == 1 && !row["lastError"].is_null() {
                break row;
            }
        };
        assert!(row["lastError"].as_str().is_some_and(|error| error.contains("greylisted")), "{row}");
        sink.answer(&["550 5.1.1 no such mailbox"]);
        register(&server, "halisoft", "gone@shop.example", "G").await;
        let gone = outbox(&server, &admin, "gone@shop.example", "bounced").await.remove(0);
        assert!(gone["lastError"].as_str().is_some_and(|error| error.contains("no such mailbox")), "{gone}");
        let retry = async |row: &Value| {
            let id = row["id"].as_str().expect("an id").to_owned();
            server.post(&format!("/api/admin/emails/{id}/retry"), &admin, json!({})).await
        };
        retry(&gone).await.assert_problem(409, "in-use");
        retry(&row).await.assert_ok(200);
        sink.wait("later@shop.example", 1);
        let sent = outbox(&server, &admin, "later@shop.example", "sent").await.remove(0);
        assert_eq!(json!([sent["attempts"], sent["lastError"]]), json!([1, null]));
        retry(&sent).await.assert_problem(409, "in-use");
        assert_eq!(sink.mails().len(), 1);
    });
}

#[test]
fn without_a_server_mails_are_kept_and_their_links_shown_to_who_may_see_them() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let support = member(&server, &admin, "support").await;
        let owner = super::permission::owner(&server, &database).await;
        forgot(&server, NEAR).await.assert_ok(202);
        let id = outbox(&server, &admin, NEAR, "kept").await[0]["id"].as_str().expect("an id").to_owned();
        let read = async |token: &str, id: &str| server.get(&format!("/api/admin/emails/{id}"), token).await;
        let hidden = read(&support, &id).await;
        assert!(hidden.text_at("/text").contains("/reset?token=…") && hidden.text_at("/html").contains("token=…"));
        let whole = read(&admin, &id).await;
        let text = whole.text_at("/text");
        let token = text.split_once("/reset?token=").expect("a link").1.split_whitespace().next().expect("a token");
        assert!(token.starts_with("ten_") && whole.text_at("/html").contains(token), "{whole:?}");
        let audited = server.get("/api/admin/audit?action=email.link_shown", &admin).await;
        assert_eq!(audited.body["data"].as_array().map(Vec::len), Some(1), "that it was shown is kept: {audited:?}");
        // The link to an owner's password is for owners alone.
        let address = server.get("/api/me", &owner).await.text_at("/user/email");
        forgot(&server, &address).await.assert_ok(202);
        let of_owner = loop {
            let rows = outbox(&server, &admin, &address, "kept").await;
            if let Some(row) = rows.iter().find(|row| row["kind"] == "reset_password") {
                break row["id"].as_str().expect("an id").to_owned();
            }
        };
        assert!(read(&admin, &of_owner).await.text_at("/text").contains("token=…"));
        assert!(read(&owner, &of_owner).await.text_at("/text").contains("token=ten_"));
        let near = server.sign_in(NEAR).await;
        read(&near, &id).await.assert_problem(403, "forbidden");
        let studio = server.sign_in("admin@studio.example").await;
        read(&studio, &id).await.assert_problem(404, "not-found");
        let reset = json!({ "token": token, "password": "another-password-1" });
        server.post("/api/auth/reset", "", reset).await.assert_ok(204);
    });
}

#[test]
fn an_invitation_is_mailed_and_its_link_works() {
    on_both(async |database: Database| {
        let sink = Sink::open();
        let server = through(&database, &sink);
        let admin = server.sign_in("admin@halisoft.example").await;
        let name = "Fred\u{2028}Finance";
        let body = json!({ "email": "fred@shop.example", "name": name, "role": "finance" });
        let made = server.post("/api/admin/members", &admin, body).await;
        made.assert_ok(201);
        let mail = sink.wait("fred@shop.example", 1).remove(0);
        assert!(mail.text().contains("as Finance"), "{}", mail.text());
        assert_eq!(mail.link("/setup").strip_prefix(&server.url), Some(made.text_at("/setupLink").as_str()));
        let set_up = json!({ "token": mail.token("/setup"), "email": "fred@shop.example", "password": PASSWORD });
        server.post("/api/setup", "", set_up).await.assert_ok(201);
        // Whoever was invited, and has no password yet, chooses it by that link alone.
        let path = format!("/api/admin/members/{}", made.text_at("/id"));
        server.patch(&path, &admin, json!({ "role": "admin" })).await.assert_ok(200);
        assert_eq!(server.delete(&path, &admin).await.status, 204);
        let told = sink.wait("fred@shop.example", 3);
        assert!(told[1].text().contains("as Admin") && told[2].text().contains("has ended"), "{told:?}");
        forgot(&server, "fred@shop.example").await.assert_ok(202);
        forgot(&server, NEAR).await.assert_ok(202);
        sink.wait(NEAR, 1);
        assert_eq!(sink.mails().len(), 4, "who was removed gets no way back in");
    });
}
