//! Clients that connect and do not speak, or stop in the middle.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Database, Server, on_sqlite};

/// Beginnings of requests that are never finished.
const UNFINISHED: [(&str, &str); 6] = [
    ("nothing at all", ""),
    ("half a method", "PO"),
    ("half a request line", "POST /api/usage/con"),
    ("half a header", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: "),
    ("half the preface of HTTP/2", "PRI * HTTP/2.0\r\n"),
    (
        "half a body",
        "POST /api/usage/consume HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    ),
];

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("it accepts")
}

/// Reads until the server closes, and answers what it said.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset closes as well.
    let _reset = stream.read_to_end(&mut said).await;
    said
}

#[test]
fn connections_that_fall_silent_are_closed() {
    on_sqlite(|| async {
        let server = Server::demo(&Database::Sqlite);
        let mut waiting = JoinSet::new();
        for (name, bytes) in UNFINISHED {
            let mut stream = connect(&server).await;
            stream.write_all(bytes.as_bytes()).await.expect("it listens");
            waiting.spawn(async move {
                let closed = tokio::time::timeout(std::time::Duration::from_mins(1), until_closed(stream)).await;
                (name, closed.is_ok())
            });
        }
        let ended = waiting.join_all().await;
        let open: Vec<_> = ended.into_iter().filter(|(_, closed)| !closed).map(|(name, _)| name).collect();
        assert!(open.is_empty(), "still open: {open:?}");
        assert_eq!(server.get("/healthz", "").await.status, 200);
    });
}

#[test]
fn three_hundred_idle_connections_do_not_hinder_a_request() {
    on_sqlite(|| async {
        let server = Server::demo(&Database::Sqlite);
        let mut idle = Vec::new();
        for number in 0..300 {
            let mut stream = connect(&server).await;
            if number % 3 == 0 {
                stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-unfinished: ").await.expect("it listens");
            }
            idle.push(stream);
        }
        let token = server.sign_in("near@halisoft.example").await;
        let answer = server.get("/api/usage", &token).await;
        assert_eq!((answer.status, answer.body["invoice_ocr"]["used"].as_i64()), (200, Some(87)));
        drop(idle);
        assert!(server.stop().success());
    });
}
