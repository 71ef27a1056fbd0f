//! `kill -9` under load, again and again on the same data: what was acknowledged is there, once, and adds up.

use std::sync::Arc;
use std::time::Duration;

use crate::books::Books;
use crate::chance::{Chance, rounds};
use crate::load::{Orders, Record, Reply, SCOPES, Target, Writers, count, customers, send_again};
use crate::support::{Database, Server, assert_books_are_right, on_postgres, on_sqlite};

/// After so many rounds the server is stopped and its books are checked by `doctor`.
const ROUNDS_PER_DOCTOR: u64 = 3;

/// A server that dies, what it was sent, and what it answered.
struct Victim {
    database: Database,
    folder: tempfile::TempDir,
    key: String,
    chance: Chance,
    lasting: Vec<Arc<str>>,
    everyone: Vec<Arc<str>>,
    records: Vec<Record>,
    sums: Sums,
}

/// The figures of `docs/RELIABILITY.md`.
#[derive(Debug, Default)]
struct Sums {
    rounds: u64,
    acknowledged: u64,
    refused: u64,
    cut: u64,
    doctors: u64,
}

impl Victim {
    async fn new(name: &str, database: Database) -> (Self, Server) {
        let chance = Chance::of(name);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let key = server.key(&SCOPES).await;
        let lasting = customers(&server, &key, "enterprise", "lasting", 24).await;
        let (everyone, records, sums) = (lasting.clone(), Vec::new(), Sums::default());
        (Self { database, folder, key, chance, lasting, everyone, records, sums }, server)
    }

    fn start(&self) -> Server {
        Server::start(&self.database, self.folder.path(), &["--demo"], &[])
    }

    /// Loads the server, kills it, starts it on the same data, and sends every key of the round again.
    async fn round(&mut self, number: u64, server: Server) -> Server {
        // New customers in each round, so that limits are reached in each.
        let small = customers(&server, &self.key, "starter", &format!("small-{number}"), 4).await;
        let large = customers(&server, &self.key, "professional", &format!("large-{number}"), 12).await;
        self.everyone.extend(small.iter().chain(&large).cloned());
        let large: Vec<_> = large.iter().chain(&self.lasting).cloned().collect();
        let orders = Arc::new(Orders::new(&mut self.chance, &small, &large));
        let mut writers = Writers::start(&Target::of(&server, &self.key, false), &orders);
        assert!(writers.acknowledged(self.chance.between(50, 900)).await, "the writers stopped before the kill");
        let pause = self.chance.phase(Duration::from_millis(4));
        let killing = tokio::runtime::Handle::current().spawn_blocking(move || {
            std::thread::sleep(pause);
            server.kill();
        });
        killing.await.expect("it is killed");
        let records = writers.finish().await;
        self.sums.rounds += 1;
        self.sums.acknowledged += count(&records, |reply| matches!(reply, Reply::Accepted { .. }));
        self.sums.refused += count(&records, |reply| matches!(reply, Reply::Refused));
        self.sums.cut += count(&records, |reply| matches!(reply, Reply::Lost));
        let server = self.start();
        self.records.extend(send_again(&Target::of(&server, &self.key, false), records).await);
        self.compare(&server).await;
        server
    }

    async fn compare(&self, server: &Server) -> Books {
        let mut books = Books::default();
        books.enter(self.records.iter());
        books.compare(server, &self.key, &self.everyone).await;
        books.assert_right();
        books
    }

    fn check_with_doctor(&mut self, server: Server) -> Server {
        assert!(server.stop().success());
        assert_books_are_right(&self.database, self.folder.path());
        self.sums.doctors += 1;
        self.start()
    }

    /// The last death: then every key of all rounds is sent once more.
    async fn end(mut self, server: Server) {
        server.kill();
        let server = self.start();
        let records = std::mem::take(&mut self.records);
        self.records = send_again(&Target::of(&server, &self.key, false), records).await;
        let books = self.compare(&server).await;
        let server = self.check_with_doctor(server);
        assert!(server.stop().success());
        println!(
            "{:?}, {} accepted writes in the books, {} of them found by the retry",
            self.sums, books.accepted, books.unanswered
        );
    }
}

async fn kill_again_and_again(name: &str, database: Database) {
    let (mut victim, mut server) = Victim::new(name, database).await;
    for number in 1..=rounds(3) {
        server = victim.round(number, server).await;
        if number % ROUNDS_PER_DOCTOR == 0 {
            server = victim.check_with_doctor(server);
        }
    }
    victim.end(server).await;
}

#[test]
fn what_was_acknowledged_survives_kill_9_once_on_sqlite() {
    on_sqlite(|| kill_again_and_again("kill -9, SQLite", Database::Sqlite));
}

#[test]
fn what_was_acknowledged_survives_kill_9_once_on_postgres() {
    on_postgres(|database| kill_again_and_again("kill -9, PostgreSQL", database));
}
