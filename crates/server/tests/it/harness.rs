//! The tests' own tools.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::sql::texts;
use super::support::{Database, on_postgres, on_sqlite, variable};

#[test]
fn a_body_that_fails_leaves_no_database_behind() {
    let mut made = None;
    let run = || {
        on_postgres(|database| {
            made = Some(database);
            async { panic!("as a body may") }
        });
    };
    let failed = catch_unwind(AssertUnwindSafe(run)).is_err();
    let (Some(Database::Postgres(url)), Some(server)) = (made, variable("TEST_POSTGRES_URL")) else { return };
    assert!(failed, "the failure is handed on");
    let (_, name) = url.rsplit_once('/').expect("the URL ends in a database");
    let query = format!("SELECT datname::text FROM pg_database WHERE datname = '{name}'");
    on_sqlite(async || {
        let left = texts(&Database::Postgres(server), Path::new(""), &query).await;
        assert!(left.is_empty(), "{left:?}");
    });
}
