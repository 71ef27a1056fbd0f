//! Files in a store that speaks S3, here one that keeps objects in memory.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{USER, send};
use super::support::{Database, Server, on_both};

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Starts a store; answers its address and what it holds.
fn store() -> (String, Objects) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let objects = Objects::default();
    let held = objects.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let objects = objects.clone();
            std::thread::spawn(move || while answer(&stream, &objects).is_some() {});
        }
    });
    (url, held)
}

/// Answers one request of a connection; none at its end.
fn answer(stream: &TcpStream, objects: &Objects) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let (mut length, mut signed, mut header) = (0, false, String::new());
    while reader.read_line(&mut header).ok()? > 2 {
        let (name, value) = header.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => signed = value.trim().starts_with("AWS4-HMAC-SHA256 Credential=the-id/"),
            _ => {}
        }
        header.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (method, path) = (line.split(' ').next()?, line.split(' ').nth(1)?.split('?').next()?.to_owned());
    let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, body) = match method {
        _ if !signed => (403, Vec::new()),
        "PUT" => (200, objects.insert(path, body).map(|_| Vec::new()).unwrap_or_default()),
        "GET" => objects.get(&path).map_or((404, Vec::new()), |object| (200, object.clone())),
        "DELETE" => (204, objects.remove(&path).map(|_| Vec::new()).unwrap_or_default()),
        _ => (405, Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\netag: \"x\"\r\nlast-modified: Sun, 22 Nov 2026 10:00:00 GMT\r\n\r\n",
        body.len()
    );
    let mut writer = stream;
    writer.write_all(&[head.as_bytes(), &body].concat()).ok()
}

#[test]
fn files_may_be_in_a_bucket() {
    on_both(async |database: Database| {
        let (url, objects) = store();
        let environment = [
            ("TOLLGATE_FILES_URL", "s3://bucket/some/prefix"),
            ("TOLLGATE_S3_ENDPOINT", url.as_str()),
            ("TOLLGATE_S3_ACCESS_KEY_ID", "the-id"),
            ("TOLLGATE_S3_SECRET_ACCESS_KEY", "the-secret"),
        ];
        let server = Server::demo_with(&database, &environment);
        let user = server.sign_in(USER).await;
        let bytes: Vec<u8> = (0..9_000_000_u32).flat_map(u32::to_le_bytes).take(9_000_000).collect();
        let made = send(&server, &user, "", "Film.mp4", &bytes).await;
        made.assert_ok(201);
        let keys: Vec<_> = objects.lock().expect("the store").keys().cloned().collect();
        assert_eq!(keys.len(), 2, "two pieces: {keys:?}");
        assert!(keys.iter().all(|key| key.starts_with("/bucket/some/prefix/ten_")), "{keys:?}");
        assert!(!server.data.join("files").exists(), "nothing is in the data folder");
        let path = format!("/api/files/{}", made.text_at("/id"));
        let request = server.request(reqwest::Method::GET, &format!("{path}/content"), &user);
        assert!(request.send().await.expect("an answer").bytes().await.expect("bytes") == bytes);
        assert_eq!(server.delete(&path, &user).await.status, 204);
        assert!(objects.lock().expect("the store").is_empty());
    });
}
