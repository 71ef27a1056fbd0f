//! A database of its own for each test.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

use crate::db::Location;

static MADE: AtomicU32 = AtomicU32::new(0);

/// Runs a test body on both databases, as two tests.
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($location:ident) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, clippy::allow_attributes_without_reason)]
            use super::*;

            async fn body($location: $crate::db::Location) $body

            $(#[$meta])*
            #[test]
            fn sqlite() {
                $crate::tests::fresh::on_sqlite(body);
            }

            $(#[$meta])*
            #[test]
            fn postgres() {
                $crate::tests::fresh::on_postgres(body);
            }
        }
    )*};
}
pub(super) use on_both;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}

pub(super) fn on_sqlite<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Location) -> F) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let location = Location::Sqlite(folder.path().join("tollgate.db"));
    runtime().block_on(body(location));
}

pub(super) fn on_postgres<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce(Location) -> F) {
    let Some(server) = server() else { return };
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("tollgate_test_{}_{number}", std::process::id());
    let location = Location::Postgres(with_name(&server, &name));
    let runtime = runtime();
    let ended = runtime.block_on(async {
        command(&server, &format!("CREATE DATABASE {name}")).await;
        let ended = runtime.handle().spawn(body(location)).await;
        command(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        ended
    });
    if let Err(failed) = ended {
        std::panic::resume_unwind(failed.into_panic());
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are told of their server by the environment")]
fn server() -> Option<String> {
    let server = std::env::var("TEST_POSTGRES_URL").ok();
    if server.is_none() {
        let required = std::env::var("REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
        assert!(!required, "REQUIRE_POSTGRES is set, but TEST_POSTGRES_URL is not");
        eprintln!("skipped on PostgreSQL: TEST_POSTGRES_URL is not set");
    }
    server
}

/// The server's URL with another database in it.
fn with_name(server: &str, name: &str) -> String {
    let (base, query) = server.split_once('?').map_or((server, String::new()), |(base, q)| (base, format!("?{q}")));
    let (scheme, rest) = base.split_once("://").expect("a URL has a scheme");
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{name}{query}")
}

/// Runs one command of the server itself, on a connection of its own.
pub(super) async fn command(server: &str, text: &str) {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.expect("TEST_POSTGRES_URL answers");
    let driving = tokio::runtime::Handle::current().spawn(connection);
    client.batch_execute(text).await.expect("the server does as it is told");
    drop(client);
    driving.await.expect("the connection ends").expect("it ends well");
}
