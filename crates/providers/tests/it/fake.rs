//! A model server that does what a script says, one entry for each request, and remembers what it was sent.
//!
//! It speaks plain HTTP/1.1 over TCP, so that a test can cut a connection in the middle of a byte.
//! It serves Anthropic's and OpenAI's paths alike; the script decides what comes back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// One thing that the server does on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// Sends these bytes.
    Send(String),
    /// Waits until the client closes the connection, and counts that in [`Fake::gone`].
    WaitUntilGone,
}

/// A request as it came in; the body is text.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Request line and headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

/// The running server; it ends when this is dropped.
pub(crate) struct Fake {
    /// Base URL without a slash at the end.
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    gone: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Fake {
    /// Starts on a free port. A request beyond the script is answered with status 418, which no adapter expects.
    pub(crate) async fn start(script: Vec<Vec<Do>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
        let (count, gone) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let (log, count) = (Arc::clone(&seen), Arc::new(count));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log, count) = (Arc::clone(&script), Arc::clone(&log), Arc::clone(&count));
                connections.spawn(async move { serve(stream, &script, &log, &count).await });
            }
        });
        Self { url, seen, gone, _tasks: tasks }
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a client has left a connection on which the script waited for that.
    pub(crate) async fn gone(&self) {
        self.gone.clone().wait_for(|count| *count > 0).await.expect("the server runs");
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &Mutex<VecDeque<Vec<Do>>>,
    log: &Mutex<Vec<Seen>>,
    gone: &watch::Sender<usize>,
) {
    let Some(seen) = read(&mut stream).await else { return };
    log.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    let steps = script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    for step in steps.unwrap_or_else(|| vec![Do::Send(status(418, "", "{}"))]) {
        match step {
            Do::Send(bytes) => {
                if stream.write_all(bytes.as_bytes()).await.is_err() {
                    return;
                }
            }
            Do::WaitUntilGone => {
                let mut rest = [0_u8; 64];
                while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
                gone.send_modify(|count| *count += 1);
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0_u8; 8192];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(chunk.get(..count)?);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(Seen { head: head.to_owned(), body: body.to_owned() });
        }
    }
}

/// A whole answer with this status; `headers` are lines that end in `\r\n`.
pub(crate) fn status(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// The head of an event stream that ends when the connection does.
pub(crate) fn stream_head(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n{headers}\r\n")
}

/// An event whose name is the `type` in its data.
pub(crate) fn event(data: &serde_json::Value) -> String {
    let name = data.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
