//! The live connection.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::sql::execute;
use super::support::document::assert_fits;
use super::support::{Database, PASSWORD, Server, on_both};

/// An open socket.
pub struct Live(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Live {
    /// Opens the live connection; the HTTP status when it is refused.
    pub async fn try_open(server: &Server, query: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let url = format!("{}/api/realtime{query}", server.url.replace("http://", "ws://"));
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(WsError::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn open(server: &Server, token: &str, query: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let opened = Self::try_open(server, query, &[("authorization", &bearer)]).await;
        opened.unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// The next message that is no ping.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = self.0.next().await.expect("the socket is open").expect("without an error");
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                assert_fits("Message", &message);
                if message["type"] != "ping" {
                    return message;
                }
            }
        }
    }

    /// The next message of a type; others come in between.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Sends a text, as no client of this API does.
    async fn say(&mut self, text: String) {
        // The server may close the connection before all of it is sent.
        let _sent = self.0.send(Message::text(text)).await;
    }

    /// Reads to the end and answers the close code.
    pub async fn close_code(self) -> Option<u16> {
        self.rest().await.1
    }

    /// What comes before the connection is closed, and the code by which it is.
    async fn rest(mut self) -> (Vec<Value>, Option<u16>) {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = self.0.next().await {
            match message {
                Message::Text(text) => heard.push(serde_json::from_str(&text).expect("JSON")),
                Message::Close(frame) => return (heard, frame.map(|frame| frame.code.into())),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        (heard, None)
    }
}

async fn use_one(server: &Server, token: &str, feature: &str) -> i64 {
    let body = json!({ "items": [{ "feature": feature, "amount": 1 }] });
    let done = server.post("/api/usage/consume", token, body).await;
    done.assert_ok(200);
    done.number_at(&format!("/quotas/{feature}/used"))
}

/// What an update says: the features in it, and the use of the first.
fn update(message: &Value) -> (Vec<&String>, &Value) {
    assert_eq!(message["type"], "usage.updated", "{message}");
    assert!(message["id"].is_string() && message["at"].is_string(), "{message}");
    let quotas = message["data"]["quotas"].as_object().expect("quotas");
    (quotas.keys().collect(), &quotas.values().next().expect("one")["used"])
}

#[test]
fn the_socket_of_a_minted_token_ends_with_the_token_also_when_a_ticket_opened_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (_, key) = server.key_of("halisoft", &["customers:write", "tokens:mint"]).await;
        server.customer(&key, "acme", "starter").await;
        let mint = json!({ "customer": "acme", "scopes": ["usage:read"], "ttlSeconds": 3 });
        let token = server.post("/api/tokens", &key, mint).await.text_at("/token");
        let ticket = server.post("/api/realtime/ticket", &token, json!({})).await.text_at("/ticket");
        let by_token = Live::open(&server, &token, "").await;
        let by_ticket = Live::try_open(&server, &format!("?ticket={ticket}"), &[]).await.expect("it opens");
        assert_eq!(by_token.close_code().await, Some(1008));
        assert_eq!(by_ticket.close_code().await, Some(1008));
    });
}

#[test]
fn a_socket_begins_with_a_snapshot_and_tells_each_change_of_its_customer_alone() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let new = server.sign_in("new@halisoft.example").await;
        let mut live = Live::open(&server, &near, "").await;
        let snapshot = live.next().await;
        assert_eq!(snapshot["type"], "snapshot");
        assert!(snapshot["id"].is_string());
        assert_eq!(snapshot["data"]["quotas"], server.get("/api/usage", &near).await.body);
        let own = server.get("/api/me", &near).await.body["user"]["customer"].clone();
        let mut version = snapshot["data"]["quotas"]["invoice_ocr"]["version"].as_i64().expect("a version");
        for used in 88..=92 {
            // Somebody else's use comes in between and is not heard.
            use_one(&server, &new, "invoice_ocr").await;
            assert_eq!(use_one(&server, &near, "invoice_ocr").await, used);
            let message = live.next_of("usage.updated").await;
            assert_eq!(update(&message), (vec![&"invoice_ocr".to_owned()], &json!(used)));
            assert_eq!(message["data"]["customer"], own);
            let quota = &message["data"]["quotas"]["invoice_ocr"];
            assert_eq!(*quota, server.quota(&near, "invoice_ocr").await);
            let newer = quota["version"].as_i64().expect("a version");
            assert!(newer > version, "the highest version is the newest");
            version = newer;
        }
        let hold = json!({ "items": [{ "feature": "risk_assessment", "amount": 2 }] });
        server.post("/api/usage/reserve", &near, hold).await.assert_ok(201);
        let told = live.next_of("usage.updated").await;
        assert_eq!(told["data"]["quotas"]["risk_assessment"]["reserved"], 2, "{told}");
    });
}

#[test]
fn who_comes_back_hears_only_what_changed_or_starts_afresh() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let new = server.sign_in("new@halisoft.example").await;
        let admin = server.sign_in("admin@halisoft.example").await;
        let mut live = Live::open(&server, &near, "").await;
        let seen = live.next().await["id"].as_str().expect("an id").to_owned();
        drop(live);
        let mut watcher = Live::open(&server, &admin, "").await;
        use_one(&server, &near, "risk_assessment").await;
        use_one(&server, &near, "risk_assessment").await;
        use_one(&server, &new, "invoice_ocr").await;
        // Changes are told in their order: when the last was, the others were.
        let last = server.get("/api/me", &new).await.body["user"]["customer"].clone();
        while watcher.next().await["data"]["customer"] != last {}
        let mut live = Live::open(&server, &near, &format!("?since={seen}")).await;
        let message = live.next().await;
        assert_eq!(
            update(&message),
            (vec![&"risk_assessment".to_owned()], &json!(44)),
            "one message, as it stands now"
        );
        let seen = message["id"].as_str().expect("an id").to_owned();
        drop(live);
        // Nothing was missed, which is told at once; the next message is the next change.
        let mut live = Live::open(&server, &near, &format!("?since={seen}")).await;
        let resumed = live.next().await;
        assert_eq!(json!([resumed["type"], resumed["data"]]), json!(["resumed", {}]));
        let seen = resumed["id"].as_str().expect("an id").to_owned();
        drop(live);
        let mut live = Live::open(&server, &near, &format!("?since={seen}")).await;
        assert_eq!(live.next().await["type"], "resumed", "its id is one to go on from");
        use_one(&server, &near, "invoice_ocr").await;
        assert_eq!(update(&live.next().await), (vec![&"invoice_ocr".to_owned()], &json!(88)));

        // An id of a place that nobody has reached says as little as one that is none.
        let (node, _) = seen.split_once('-').expect("a node and its place");
        let (beyond, far) = (format!("{node}-ffffff"), format!("{node}-7fffffffffffffff"));
        let elsewhere = format!("{seen}.7777-1");
        for nonsense in
            ["nonsense", "p1-1", "e1", "e0p1", "e0pzz-1", "%00", "", &beyond, &far, "e0p7777-1", "effffp", &elsewhere]
        {
            let mut live = Live::open(&server, &near, &format!("?since={nonsense}")).await;
            let (first, second) = (live.next().await, live.next().await);
            assert_eq!(json!([first["type"], second["type"]]), json!(["resync", "snapshot"]), "{nonsense}");
            assert_eq!(second["data"]["quotas"]["invoice_ocr"]["used"], 88);
        }
    });
}

#[test]
fn a_ticket_opens_one_socket_and_nothing_else_opens_any() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let made = server.post("/api/realtime/ticket", &near, json!({})).await;
        made.assert_ok(200);
        assert_eq!(made.number_at("/expiresIn"), 30);
        let query = format!("?ticket={}", made.text_at("/ticket"));
        let mut live = Live::try_open(&server, &query, &[]).await.expect("it opens");
        assert_eq!(live.next().await["data"]["quotas"]["invoice_ocr"]["used"], 87);
        assert_eq!(Live::try_open(&server, &query, &[]).await.err(), Some(401), "a second time it is nothing");
        let token = format!("?ticket={near}");
        for (query, headers) in [
            ("", &[][..]),
            ("?ticket=nonsense", &[]),
            (token.as_str(), &[]),
            ("", &[("authorization", "Bearer nonsense")]),
            ("", &[("cookie", "tg_session=nonsense")]),
        ] {
            assert_eq!(Live::try_open(&server, query, headers).await.err(), Some(401), "{query} {headers:?}");
        }
        server.post("/api/realtime/ticket", "", json!({})).await.assert_problem(401, "unauthenticated");
        let key = server.key(&["usage:read"]).await;
        server.post("/api/realtime/ticket", &key, json!({})).await.assert_problem(403, "forbidden");
        let plain = server.get("/api/realtime", &near).await;
        plain.assert_problem(422, "invalid-input");
        server.get("/api/realtime/sse?what=1", &near).await.assert_problem(422, "invalid-input");

        // A cookie opens it for our own pages alone.
        let body = json!({ "email": "near@halisoft.example", "password": PASSWORD, "session": "cookie" });
        let cookie = server.post("/api/auth/login", "", body).await;
        let cookie = cookie.header("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie").to_owned();
        let own = [("cookie", cookie.as_str()), ("origin", server.url.as_str())];
        assert!(Live::try_open(&server, "", &own).await.is_ok());
        for foreign in
            [&[("cookie", cookie.as_str())][..], &[("cookie", cookie.as_str()), ("origin", "http://evil.example")]]
        {
            assert_eq!(Live::try_open(&server, "", foreign).await.err(), Some(403), "{foreign:?}");
        }
    });
}

/// The next messages of a stream of server-sent events: their ids and data.
async fn next_events(stream: &mut reqwest::Response, text: &mut String) -> (Option<String>, Value) {
    loop {
        if let Some((block, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned());
            let found = (field("id:"), field("data:").map(|data| serde_json::from_str::<Value>(&data).expect("JSON")));
            *text = String::from(rest);
            match found {
                (id, Some(data)) if data["type"] != "ping" => {
                    assert_fits("Message", &data);
                    return (id, data);
                }
                _ => continue,
            }
        }
        let chunk = stream.chunk().await.expect("a stream").expect("it is open");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
}

#[test]
fn server_sent_events_carry_the_same() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let open = async |since: Option<&str>| {
            let request = server.request(Method::GET, "/api/realtime/sse", &near);
            let request = since.into_iter().fold(request, |request, id| request.header("last-event-id", id));
            let stream = request.send().await.expect("an answer");
            assert_eq!(
                (stream.status().as_u16(), stream.headers()["content-type"].to_str().ok()),
                (200, Some("text/event-stream"))
            );
            stream
        };
        let (mut stream, mut text) = (open(None).await, String::new());
        let (id, snapshot) = next_events(&mut stream, &mut text).await;
        assert_eq!((snapshot["type"].as_str(), &snapshot["id"]), (Some("snapshot"), &json!(id)));
        assert_eq!(snapshot["data"]["quotas"]["invoice_ocr"]["used"], 87);
        use_one(&server, &near, "invoice_ocr").await;
        let (id, changed) = next_events(&mut stream, &mut text).await;
        assert_eq!(update(&changed), (vec![&"invoice_ocr".to_owned()], &json!(88)));
        assert_eq!(changed["id"], json!(id));
        drop(stream);
        use_one(&server, &near, "risk_assessment").await;
        let (mut stream, mut text) = (open(id.as_deref()).await, String::new());
        let (_, missed) = next_events(&mut stream, &mut text).await;
        let quotas = &missed["data"]["quotas"];
        assert_eq!(json!([missed["type"], quotas["risk_assessment"]["used"]]), json!(["usage.updated", 43]));
        assert_eq!(quotas["expense_categorization"], Value::Null, "it did not change: {missed}");
        let id = missed["id"].as_str();
        let (mut stream, mut text) = (open(id).await, String::new());
        let (id, resumed) = next_events(&mut stream, &mut text).await;
        assert_eq!((resumed["type"].as_str(), &resumed["id"]), (Some("resumed"), &json!(id)));
        let (mut stream, mut text) = (open(Some("nonsense")).await, String::new());
        assert_eq!(next_events(&mut stream, &mut text).await.1["type"], "resync");
        assert_eq!(next_events(&mut stream, &mut text).await.1["type"], "snapshot");
        server.get("/api/realtime/sse", "").await.assert_problem(401, "unauthenticated");
    });
}

#[test]
fn an_admin_hears_the_whole_tenant_and_no_other() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let studio = server.sign_in("pro@studio.example").await;
        let admin = server.sign_in("admin@halisoft.example").await;
        let mut live = Live::open(&server, &admin, "").await;
        let snapshot = live.next().await;
        assert_eq!(json!([snapshot["type"], snapshot["data"]["customer"]]), json!(["snapshot", null]));
        use_one(&server, &studio, "prompts").await;
        use_one(&server, &near, "invoice_ocr").await;
        let message = live.next_of("usage.updated").await;
        assert_eq!(update(&message), (vec![&"invoice_ocr".to_owned()], &json!(88)));
        let near = server.get("/api/me", &near).await;
        assert_eq!(message["data"]["customer"], near.body["user"]["customer"]);
    });
}

#[test]
fn a_socket_ends_with_the_server_and_with_the_session() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let other = server.sign_in("near@halisoft.example").await;
        let (mut ended, mut stays) = (Live::open(&server, &other, "").await, Live::open(&server, &near, "").await);
        assert_eq!(json!([ended.next().await["type"], stays.next().await["type"]]), json!(["snapshot", "snapshot"]));
        assert_eq!(server.post("/api/auth/logout", &other, json!({})).await.status, 204);
        use_one(&server, &near, "invoice_ocr").await;
        update(&stays.next().await);
        assert_eq!(ended.rest().await, (Vec::new(), Some(1008)), "nothing is told after the session's end");
        use_one(&server, &near, "invoice_ocr").await;
        update(&stays.next().await);
        server.ask_to_stop();
        assert_eq!(stays.close_code().await, Some(1012));
        assert!(server.wait().success());
    });
}

#[test]
fn who_cannot_be_looked_at_is_asked_to_come_again_and_not_told_to_be_gone() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let mut live = Live::open(&server, &admin, "").await;
        assert_eq!(live.next().await["type"], "snapshot");
        execute(&database, folder.path(), "ALTER TABLE session RENAME TO session_away").await;
        assert_eq!(live.close_code().await, Some(1013), "the database fails, which says nothing of the session");
        execute(&database, folder.path(), "ALTER TABLE session_away RENAME TO session").await;
        let mut again = Live::open(&server, &admin, "").await;
        assert_eq!(again.next().await["type"], "snapshot");
    });
}

#[test]
fn who_breaks_the_protocol_is_told_so() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let mut live = Live::open(&server, &near, "").await;
        assert_eq!(live.next().await["type"], "snapshot");
        live.say("x".repeat(1_000_000)).await;
        assert_eq!(live.close_code().await, Some(1002));
    });
}
