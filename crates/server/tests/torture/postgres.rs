//! PostgreSQL dies under a running server, with all its processes, and comes back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::books::Books;
use crate::chance::{Chance, rounds};
use crate::load::{Orders, Reply, SCOPES, Target, Writers, count, customers, send_again};
use crate::support::{Answer, Database, Server, admin, assert_books_are_right, on_sqlite};

/// Within this the server must have noticed; nothing waits for so long unless it fails.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);

/// A PostgreSQL of our own, which may be killed.
struct Cluster {
    folder: tempfile::TempDir,
    url: String,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres.sh")
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pgtorture-").tempdir().expect("a temporary folder");
        // PostgreSQL runs as another user when this runs as root.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("it may be entered");
        let mut cluster = Self { folder, url: String::new() };
        cluster.run("start").trim().clone_into(&mut cluster.url);
        cluster
    }

    fn run(&self, action: &str) -> String {
        let ran = Command::new(script()).arg(action).arg(self.folder.path()).output().expect("the script runs");
        assert!(ran.status.success(), "{action}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text")
    }

    /// Kills every process of the cluster without warning, and waits until all are gone.
    fn kill(&self) {
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("it runs");
        let postmaster: u32 = text.lines().next().and_then(|line| line.trim().parse().ok()).expect("a process");
        let mut processes = children(postmaster);
        processes.insert(0, postmaster);
        let names: Vec<_> = processes.iter().map(ToString::to_string).collect();
        // One that has just ended by itself is no failure.
        let _some_gone = Command::new("kill").arg("-9").args(&names).output().expect("kill runs");
        while processes.iter().any(|process| lives(*process)) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _may_be_down = Command::new(script()).arg("stop").arg(self.folder.path()).output();
    }
}

/// The third and fourth fields of a process's state: its state and its parent.
fn state(process: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn lives(process: u32) -> bool {
    state(process).is_some_and(|(state, _)| state != "Z")
}

fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("processes are listed");
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|process| state(*process).is_some_and(|(_, found)| found == parent)).collect()
}

/// Asks whether the server is ready until it says what is expected.
async fn ready_says(server: &Server, status: u16) -> Answer {
    let asking = async {
        loop {
            let answer = server.get("/readyz", "").await;
            if answer.status == status {
                return answer;
            }
            assert!([200, 503].contains(&answer.status), "{answer:?}");
        }
    };
    tokio::time::timeout(NOTICED_WITHIN, asking).await.unwrap_or_else(|_| panic!("/readyz never said {status}"))
}

#[test]
fn a_server_outlives_the_death_of_its_postgres_and_loses_nothing() {
    on_sqlite(|| async {
        let mut chance = Chance::of("PostgreSQL killed");
        let cluster = Cluster::start();
        admin(&cluster.url, "CREATE DATABASE torture").await;
        let database = Database::Postgres(cluster.url.replace("/postgres", "/torture"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let key = server.key(&SCOPES).await;
        let small = customers(&server, &key, "starter", "small", 8).await;
        let large = customers(&server, &key, "enterprise", "large", 24).await;
        let orders = Arc::new(Orders::new(&mut chance, &small, &large));
        let target = Target::of(&server, &key, true);
        let mut writers = Writers::start(&target, &orders);
        let deaths = rounds(10).div_ceil(5);
        for _ in 0..deaths {
            assert!(writers.acknowledged(chance.between(50, 600)).await, "the writers stopped");
            std::thread::sleep(chance.phase(Duration::from_millis(4)));
            cluster.kill();
            ready_says(&server, 503).await.assert_problem(503, "unavailable");
            cluster.run("start");
            ready_says(&server, 200).await;
            assert!(writers.acknowledged(20).await, "the writers stopped");
        }
        let records = writers.finish().await;
        let (acknowledged, away) = (
            count(&records, |reply| matches!(reply, Reply::Accepted { .. })),
            count(&records, |reply| matches!(reply, Reply::Away(_))),
        );
        assert_eq!(count(&records, |reply| matches!(reply, Reply::Lost)), 0, "every request was answered");
        let mut books = Books::default();
        books.enter(send_again(&target, records).await.iter());
        let everyone: Vec<_> = small.iter().chain(&large).cloned().collect();
        books.compare(&server, &key, &everyone).await;
        books.assert_right();
        assert!(server.stop().success());
        assert_books_are_right(&database, folder.path());
        println!("PostgreSQL killed: {deaths} deaths, {acknowledged} acknowledged, {away} told to come back");
    });
}

#[test]
fn a_feature_that_fails_open_allows_its_few_while_the_store_is_away_and_records_them_afterwards() {
    on_sqlite(|| async {
        let cluster = Cluster::start();
        admin(&cluster.url, "CREATE DATABASE open").await;
        let database = Database::Postgres(cluster.url.replace("/postgres", "/open"));
        let Database::Postgres(url) = &database else { panic!("it is PostgreSQL") };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        admin(url, "UPDATE plan_feature SET fail_open = 3 WHERE feature = 'risk_assessment'").await;
        admin(url, "UPDATE tenant SET epoch = epoch + 1").await;
        let key = server.key(&SCOPES).await;
        server.customer(&key, "acme", "starter").await;
        let body = |feature: &str, amount: i64| json!({ "customer": "acme", "items": [{ "feature": feature, "amount": amount }] });
        let risk = |amount| body("risk_assessment", amount);
        assert_eq!(server.consume(&key, &risk(1), "before").await.status, 200);

        cluster.kill();
        ready_says(&server, 503).await;
        let allowed = server.consume(&key, &risk(2), "k1").await;
        assert_eq!(allowed.status, 200, "{allowed:?}");
        assert_eq!(
            (&allowed.body["allowed"], &allowed.body["id"], &allowed.body["quotas"]),
            (&json!(true), &Value::Null, &json!({}))
        );
        assert_eq!(server.consume(&key, &risk(2), "k1").await.status, 200, "a retry is the same use");
        server.consume(&key, &risk(1), "k1").await.assert_problem(422, "idempotency-key-reused");
        server.consume(&key, &risk(2), "k2").await.assert_problem(503, "unavailable");
        server.consume(&key, &body("invoice_ocr", 1), "k3").await.assert_problem(503, "unavailable");
        assert_eq!(server.consume(&key, &risk(1), "k4").await.status, 200);

        cluster.run("start");
        ready_says(&server, 200).await;
        let recorded =
            async { while server.get("/api/usage?customer=acme", &key).await.body["risk_assessment"]["used"] != 4 {} };
        tokio::time::timeout(NOTICED_WITHIN, recorded).await.expect("what was allowed is recorded");
        let again = server.consume(&key, &risk(2), "k1").await;
        assert_eq!((again.status, again.headers.contains_key("idempotency-replayed")), (200, true));
        assert!(server.stop().success());
        assert_books_are_right(&database, folder.path());
    });
}
