//! Files: sent, read and deleted within the plan's room, and nothing left over when something goes wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::realtime::Live;
use super::sql::execute;
use super::support::{Answer, Database, Server, assert_books_are_right, on_both};

pub const USER: &str = "user@studio.example";
const MB: usize = 1_000_000;
const BOUNDARY: &str = "----a-line-between-parts";

/// A form with one file.
fn form(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/html\r\n\r\n"
    );
    [head.as_bytes(), bytes, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

pub async fn send(server: &Server, token: &str, query: &str, name: &str, bytes: &[u8]) -> Answer {
    let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
    server.post_bytes(&format!("/api/files{query}"), token, &media_type, form(name, bytes)).await
}

/// Bytes that repeat in no piece of a file.
fn bytes(count: usize) -> Vec<u8> {
    (0..count.div_ceil(4))
        .flat_map(|number| u32::try_from(number).unwrap_or_default().to_le_bytes())
        .take(count)
        .collect()
}

/// Used and reserved whole megabytes of storage.
async fn storage(server: &Server, token: &str) -> Value {
    let quota = server.quota(token, "storage").await;
    let megabytes = |name: &str| quota[name].as_u64().expect("a number") / 1_000_000;
    json!([megabytes("used"), megabytes("reserved")])
}

async fn until_storage(server: &Server, token: &str, wanted: Value) {
    while storage(server, token).await != wanted {}
}

/// Every file below the server's folder of files.
fn kept(data: &Path) -> Vec<PathBuf> {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .flat_map(|entry| if entry.path().is_dir() { below(&entry.path()) } else { vec![entry.path()] })
            .collect()
    }
    below(&data.join("files"))
}

async fn download(server: &Server, token: &str, id: &str) -> reqwest::Response {
    let request = server.request(Method::GET, &format!("/api/files/{id}/content"), token);
    request.send().await.expect("an answer")
}

async fn patch(server: &Server, token: &str, id: &str, offset: usize, bytes: &[u8]) -> Answer {
    let request = server.request(Method::PATCH, &format!("/api/files/uploads/{id}"), token);
    let request =
        request.header("upload-offset", offset.to_string()).header("content-type", "application/octet-stream");
    server.send(request.body(bytes.to_vec())).await
}

/// Begins to send a form of which only the beginning comes.
async fn begun(server: &Server, token: &str, (announced, sent): (usize, usize)) -> tokio::net::TcpStream {
    let mut stream =
        tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("it listens");
    let head = format!(
        "POST /api/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    let form = form("half.bin", &bytes(sent));
    stream.write_all(form.get(..sent).expect("the form is longer")).await.expect("it is sent");
    stream
}

#[test]
fn what_has_room_is_kept_what_has_none_is_refused_unread_and_deleting_frees_it_live() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let user = server.sign_in(USER).await;
        assert_eq!(storage(&server, &user).await, json!([400, 0]));
        let made = send(&server, &user, "", "Film.mp4", &bytes(90 * MB)).await;
        made.assert_ok(201);
        assert_eq!(storage(&server, &user).await, json!([490, 0]));
        // Of the next only the head is sent: the answer does not wait for the body.
        let head = format!(
            "POST /api/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {user}\r\n\
             content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
            20 * MB
        );
        let refused = server.raw(head.as_bytes()).await;
        assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
        // And who sends it nevertheless sees why, and what to do.
        let refused = send(&server, &user, "", "More.mp4", &bytes(20 * MB)).await;
        refused.assert_problem(429, "quota-exceeded");
        assert_eq!(refused.actions(), ["delete", "upgrade", "contactSales"]);
        assert_eq!(refused.header("retry-after"), None, "nothing resets");
        let begun = server.post("/api/files/uploads", &user, json!({ "name": "More.mp4", "size": 20 * MB })).await;
        begun.assert_problem(429, "quota-exceeded");
        assert_eq!(storage(&server, &user).await, json!([490, 0]));
        let mut live = Live::open(&server, &user, "").await;
        live.next_of("snapshot").await;
        let id = made.text_at("/id");
        assert_eq!(server.delete(&format!("/api/files/{id}"), &user).await.status, 204);
        let moved = live.next_of("usage.updated").await;
        assert_eq!(moved["data"]["quotas"]["storage"]["used"], 400 * MB);
        server.delete(&format!("/api/files/{id}"), &user).await.assert_problem(404, "not-found");
        assert!(kept(&server.data).is_empty());
        send(&server, &user, "", "More.mp4", &bytes(20 * MB)).await.assert_ok(201);
    });
}

#[test]
fn a_plan_is_filled_to_its_last_byte() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (_, key) = server.key_of("studio", &["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "shop", "free").await;
        let level = json!({ "customer": "shop", "value": 500 * MB - 1_000 });
        server.put("/api/usage/gauges/storage", &key, level).await.assert_ok(200);
        send(&server, &key, "?customer=shop", "a", &bytes(1_001)).await.assert_problem(429, "quota-exceeded");
        send(&server, &key, "?customer=shop", "a", &bytes(1_000)).await.assert_ok(201);
        send(&server, &key, "?customer=shop", "b", b"").await.assert_problem(429, "quota-exceeded");
        let quota = server.quota_of(&key, "shop", "storage").await;
        assert_eq!(json!([quota["used"], quota["reserved"], quota["remaining"]]), json!([500 * MB, 0, 0]));
        let nobody = send(&server, &key, "", "a", b"x").await;
        nobody.assert_field("/customer");
        let near = server.sign_in("near@halisoft.example").await;
        send(&server, &near, "", "a", b"x").await.assert_problem(404, "unknown-feature");
        let (_, reader) = server.key_of("studio", &["usage:read"]).await;
        send(&server, &reader, "?customer=shop", "a", b"x").await.assert_problem(403, "forbidden");
        send(&server, "", "", "a", b"x").await.assert_problem(401, "unauthenticated");
        let chunked = server
            .request(Method::POST, "/api/files", &key)
            .body(reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(form("a", b"x"))])));
        server.send(chunked).await.assert_problem(422, "invalid-input");
        let no_form = server.post("/api/files?customer=shop", &key, json!({ "file": "x" })).await;
        assert!([415, 429].contains(&no_form.status), "{no_form:?}");
    });
}

#[test]
fn a_download_is_what_was_sent_and_is_saved_not_run() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let user = server.sign_in(USER).await;
        let page = b"<!doctype html><script>alert(1)</script>";
        let made = send(&server, &user, "", "../../evil/März.html", page).await;
        made.assert_ok(201);
        assert_eq!(
            json!([made.body["name"], made.body["mediaType"], made.body["size"]]),
            json!(["März.html", "text/plain", page.len()])
        );
        let answer = download(&server, &user, &made.text_at("/id")).await;
        let header =
            |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "text/plain");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(
            header("content-disposition"),
            "attachment; filename=\"M_rz.html\"; filename*=UTF-8''M%C3%A4rz.html"
        );
        assert_eq!(header("content-length"), page.len().to_string());
        assert_eq!(answer.bytes().await.expect("bytes"), page.as_slice());
        // Its place is of the server's making.
        let places = kept(&server.data);
        assert!(
            places.len() == 1 && places.iter().all(|place| !place.display().to_string().contains("evil")),
            "{places:?}"
        );
        let large = bytes(20 * MB);
        let made = send(&server, &user, "", "large.bin", &large).await;
        let answer = download(&server, &user, &made.text_at("/id")).await;
        assert!(answer.bytes().await.expect("bytes") == large, "the same bytes in the same order");
        let names = |answer: &Answer| -> Vec<String> {
            let rows = answer.body["data"].as_array().into_iter().flatten();
            rows.filter_map(|row| row["name"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(names(&server.get("/api/files", &user).await), ["large.bin", "März.html"]);
        let first = server.get("/api/files?limit=1", &user).await;
        let next = format!("/api/files?limit=1&cursor={}", first.text_at("/nextCursor"));
        assert_eq!(names(&server.get(&next, &user).await), ["März.html"]);
        assert_eq!(names(&server.get("/api/files?q=LARGE", &user).await), ["large.bin"]);
        // Nobody else's.
        let id = made.text_at("/id");
        for other in ["pro@studio.example", "admin@studio.example", "near@halisoft.example"] {
            let other = server.sign_in(other).await;
            for path in [format!("/api/files/{id}"), format!("/api/files/{id}/content")] {
                server.get(&path, &other).await.assert_problem(404, "not-found");
            }
            let deleted = server.delete(&format!("/api/files/{id}"), &other).await;
            assert!([403, 404].contains(&deleted.status), "{deleted:?}");
        }
        let (_, key) = server.key_of("studio", &["usage:read"]).await;
        server.get(&format!("/api/files/{id}"), &key).await.assert_ok(200);
    });
}

#[test]
fn a_crash_in_the_middle_of_an_upload_leaves_neither_file_nor_quota() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let mut user = server.sign_in(USER).await;
        let sending = begun(&server, &user, (50 * MB, 20 * MB)).await;
        while kept(folder.path()).len() < 2 {}
        assert_eq!(storage(&server, &user).await, json!([400, 49]), "its size is held, without what the form needs");
        server.kill();
        drop(sending);
        assert!(!kept(folder.path()).is_empty(), "something is left");
        // The lease of who received it is over, as it is after two minutes.
        execute(&database, folder.path(), "UPDATE file SET lease_until = 0").await;
        server = Server::start(&database, folder.path(), &["--demo"], &[]);
        user = server.sign_in(USER).await;
        until_storage(&server, &user, json!([400, 0])).await;
        while !kept(folder.path()).is_empty() {}
        assert_eq!(server.get("/api/files", &user).await.body["data"], json!([]));
        // A sender who goes away leaves nothing either, and nobody has to start anything again.
        let sending = begun(&server, &user, (50 * MB, 20 * MB)).await;
        while kept(folder.path()).len() < 2 {}
        drop(sending);
        until_storage(&server, &user, json!([400, 0])).await;
        while !kept(folder.path()).is_empty() {}
        assert!(server.stop().success());
        assert_books_are_right(&database, folder.path());
    });
}

#[test]
fn a_crash_after_the_last_byte_or_in_a_deletion_is_brought_to_its_end() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let mut user = server.sign_in(USER).await;
        let kept_file = send(&server, &user, "", "kept.bin", &bytes(3 * MB)).await.text_at("/id");
        let gone_file = send(&server, &user, "", "gone.bin", &bytes(5 * MB)).await.text_at("/id");
        server.kill();
        let halfway = format!(
            "UPDATE file SET lease_until = 0; UPDATE file SET state = 'received' WHERE file_id = '{kept_file}'; \
             UPDATE file SET state = 'leaving' WHERE file_id = '{gone_file}'"
        );
        execute(&database, folder.path(), &halfway).await;
        server = Server::start(&database, folder.path(), &["--demo"], &[]);
        user = server.sign_in(USER).await;
        until_storage(&server, &user, json!([403, 0])).await;
        while server.get("/api/files", &user).await.body["data"].as_array().map(Vec::len) != Some(1) {}
        while kept(folder.path()).len() != 1 {}
        let answer = download(&server, &user, &kept_file).await;
        assert!(answer.bytes().await.expect("bytes") == bytes(3 * MB));
    });
}

#[test]
fn an_upload_goes_on_where_it_broke_off_also_after_a_crash() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let mut user = server.sign_in(USER).await;
        let whole = bytes(20 * MB);
        let new = json!({ "name": "Film.mp4", "size": whole.len() });
        let upload = server.post("/api/files/uploads", &user, new).await;
        upload.assert_ok(201);
        assert_eq!(json!([upload.body["offset"], upload.body["file"]]), json!([0, null]));
        let id = upload.text_at("/id");
        assert_eq!(storage(&server, &user).await, json!([400, 20]));
        let sent = patch(&server, &user, &id, 0, &whole[..9 * MB]).await;
        assert_eq!(json!([sent.status, sent.body["offset"], sent.body["file"]]), json!([200, 9 * MB, null]));
        patch(&server, &user, &id, 3, b"x").await.assert_problem(412, "precondition-failed");
        patch(&server, &user, &id, 9 * MB, &whole).await.assert_problem(413, "body-too-large");
        assert_eq!(server.get("/api/files", &user).await.body["data"], json!([]), "it is no file yet");
        server.get(&format!("/api/files/{id}/content"), &user).await.assert_problem(404, "not-found");
        let other = server.sign_in("pro@studio.example").await;
        patch(&server, &other, &id, 9 * MB, b"x").await.assert_problem(404, "not-found");
        server.kill();
        server = Server::start(&database, folder.path(), &["--demo"], &[]);
        user = server.sign_in(USER).await;
        let stands = server.get(&format!("/api/files/uploads/{id}"), &user).await;
        assert_eq!(stands.number_at("/offset"), 9_000_000);
        let last = patch(&server, &user, &id, 9 * MB, &whole[9 * MB..]).await;
        assert_eq!(json!([last.status, last.body["file"]["id"], last.body["offset"]]), json!([200, id, 20 * MB]));
        assert_eq!(storage(&server, &user).await, json!([420, 0]));
        assert!(download(&server, &user, &id).await.bytes().await.expect("bytes") == whole);
        server.get(&format!("/api/files/uploads/{id}"), &user).await.assert_problem(404, "not-found");
        // One is given up, another forgotten.
        let mut begin = BTreeMap::new();
        for name in ["given up", "forgotten"] {
            let made = server.post("/api/files/uploads", &user, json!({ "name": name, "size": 10 * MB })).await;
            begin.insert(name, made.text_at("/id"));
            patch(&server, &user, &begin[name], 0, &whole[..MB]).await.assert_ok(200);
        }
        let given_up = format!("/api/files/uploads/{}", begin["given up"]);
        assert_eq!(server.delete(&given_up, &user).await.status, 204);
        assert_eq!(storage(&server, &user).await, json!([420, 10]));
        assert!(server.stop().success());
        execute(&database, folder.path(), "UPDATE file SET expires_at = 0 WHERE state = 'receiving'").await;
        server = Server::start(&database, folder.path(), &["--demo"], &[]);
        user = server.sign_in(USER).await;
        until_storage(&server, &user, json!([420, 0])).await;
        while kept(folder.path()).len() != 4 {}
        server.delete(&format!("/api/files/{id}"), &user).await;
        assert!(kept(folder.path()).is_empty());
        let empty = server.post("/api/files/uploads", &user, json!({ "name": "empty", "size": 0 })).await;
        assert_eq!(json!([empty.status, empty.body["file"]["size"]]), json!([201, 0]));
    });
}
