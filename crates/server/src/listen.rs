//! The accept loop: deadlines for the first byte and the headers, caps on connections, and a stop that loses nothing.
//!
//! `axum::serve` has none of these: a silent socket or half a header stays open for ever (RELIABILITY §0.7).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_OF_ADDRESS_MAX, DRAIN, FIRST_BYTE, HEADER_BYTES_MAX, HEADERS};

/// The same for HTTP/2, which counts in 32 bits.
const HTTP2_HEADER_BYTES_MAX: u32 = 64 * 1024;
/// After an accept error (no descriptors left) the loop waits a little instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address that a request came from.
#[derive(Debug, Clone)]
pub struct Peer(pub Arc<str>);

/// Open connections by address.
#[derive(Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut counts = self.0.lock().ok()?;
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_OF_ADDRESS_MAX && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), address))
    }
}

/// A connection's place in the count; dropping it gives it back.
struct Place(Arc<Addresses>, IpAddr);

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut counts) = self.0.0.lock()
            && let Some(count) = counts.get_mut(&self.1)
        {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

/// Serves until `stopping`, then lets requests in progress finish.
pub async fn serve<A, F>(listener: TcpListener, answer: A, tasks: &TaskTracker, stopping: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HTTP2_HEADER_BYTES_MAX).max_concurrent_streams(128);
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let addresses = Arc::new(Addresses::default());
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (Ok(permit), Some(place)) = (connections.clone().try_acquire_owned(), addresses.enter(peer.ip())) else {
            continue;
        };
        let watcher = graceful.watcher();
        let connection = Connection { builder: builder.clone(), answer: answer.clone(), peer: peer.ip() };
        tasks.spawn(async move {
            connection.run(stream, watcher, (permit, place)).await;
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still in progress when the time to drain was over");
    }
}

struct Connection<A> {
    builder: Arc<Builder<TokioExecutor>>,
    answer: A,
    peer: IpAddr,
}

impl<A, F> Connection<A>
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    async fn run(
        self,
        stream: TcpStream,
        watcher: hyper_util::server::graceful::Watcher,
        _places: (OwnedSemaphorePermit, Place),
    ) {
        let _not_fatal = stream.set_nodelay(true);
        // `readable` may be true of a silent connection; only a byte is proof.
        if !matches!(tokio::time::timeout(FIRST_BYTE, stream.peek(&mut [0])).await, Ok(Ok(1..))) {
            return;
        }
        let peer = Peer(self.peer.to_string().into());
        let begun = CancellationToken::new();
        let first_request = begun.clone();
        let answer = self.answer;
        let service = service_fn(move |mut request: Request<Incoming>| {
            begun.cancel();
            request.extensions_mut().insert(peer.clone());
            let answered = answer(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        // The time for headers of HTTP/1 does not cover a connection that may still become HTTP/2.
        let late = async {
            if tokio::time::timeout(HEADERS, first_request.cancelled()).await.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = watcher.watch(connection.into_owned()) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            () = late => tracing::debug!("a connection brought no request in time"),
        }
    }
}
