//! A polite stop under load: whoever was let in is answered.

use std::sync::Arc;

use crate::books::Books;
use crate::chance::{Chance, rounds};
use crate::load::{Orders, Reply, SCOPES, Target, Writers, count, customers, send_again};
use crate::support::{Database, Server, assert_books_are_right, on_postgres, on_sqlite};

async fn stop_under_load(name: &str, database: Database) {
    let mut chance = Chance::of(name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || Server::start(&database, folder.path(), &["--demo"], &[]);
    let mut server = start();
    let key = server.key(&SCOPES).await;
    let small = customers(&server, &key, "starter", "small", 4).await;
    let large = customers(&server, &key, "enterprise", "large", 24).await;
    let everyone: Vec<_> = small.iter().chain(&large).cloned().collect();
    let (mut all, mut acknowledged) = (Vec::new(), 0);
    let stops = rounds(10).div_ceil(5);
    for _ in 0..stops {
        let orders = Arc::new(Orders::new(&mut chance, &small, &large));
        let mut writers = Writers::start(&Target::of(&server, &key, false), &orders);
        assert!(writers.acknowledged(chance.between(50, 600)).await, "the writers stopped");
        let stopping = tokio::runtime::Handle::current().spawn_blocking(|| server.stop());
        assert!(stopping.await.expect("it is stopped").success());
        let records = writers.finish().await;
        acknowledged += count(&records, |reply| matches!(reply, Reply::Accepted { .. }));
        assert_books_are_right(&database, folder.path());
        server = start();
        all.extend(send_again(&Target::of(&server, &key, false), records).await);
        let mut books = Books::default();
        books.enter(all.iter());
        assert_eq!(books.unanswered, 0, "what was recorded before the stop was answered before the stop");
        books.compare(&server, &key, &everyone).await;
        books.assert_right();
    }
    println!("{name}: {stops} stops, {acknowledged} acknowledged, none recorded without its answer");
}

#[test]
fn sigterm_under_load_answers_all_that_it_recorded_on_sqlite() {
    on_sqlite(|| stop_under_load("SIGTERM, SQLite", Database::Sqlite));
}

#[test]
fn sigterm_under_load_answers_all_that_it_recorded_on_postgres() {
    on_postgres(|database| stop_under_load("SIGTERM, PostgreSQL", database));
}
