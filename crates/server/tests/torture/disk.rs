//! The disk is full, and then it is not; and a second process on the same file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::books::Books;
use crate::chance::Chance;
use crate::load::{Orders, Reply, SCOPES, Target, Writers, count, customers, send_again};
use crate::support::{Database, Server, assert_books_are_right, on_sqlite};

/// A small file system in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where it cannot be made.
    fn mount(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let made = mount.args(["-t", "tmpfs", "-o", "size=48m", "torture"]).arg(folder).output().ok()?;
        if !made.status.success() {
            println!("left out, no tmpfs can be mounted: {}", String::from_utf8_lossy(&made.stderr).trim());
            return None;
        }
        Some(Self(folder.to_owned()))
    }

    /// Fills it to the last byte, and answers the file that does.
    fn fill(&self) -> PathBuf {
        use std::io::Write as _;
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("a file");
        for size in [1 << 20, 1 << 12] {
            let block = vec![1_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone_already = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_heals_without_a_restart() {
    on_sqlite(|| async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Some(disk) = SmallDisk::mount(folder.path()) else { return };
        let mut chance = Chance::of("disk full");
        let server = Server::start(&Database::Sqlite, folder.path(), &["--demo"], &[]);
        let key = server.key(&SCOPES).await;
        let small = customers(&server, &key, "starter", "small", 4).await;
        let large = customers(&server, &key, "enterprise", "large", 24).await;
        let orders = Arc::new(Orders::new(&mut chance, &small, &large));
        let target = Target::of(&server, &key, false);
        let mut writers = Writers::start(&target, &orders);
        assert!(writers.acknowledged(chance.between(50, 300)).await, "the writers stopped");
        let filler = disk.fill();
        let body = json!({ "customer": "large-0", "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        // The journal may have some room of its own left.
        let mut refused = None;
        for _ in 0..20_000 {
            let answer = server.consume(&key, &body, &uuid::Uuid::now_v7().to_string()).await;
            if answer.status != 200 {
                refused = Some(answer);
                break;
            }
            assert_eq!(answer.body["quotas"]["invoice_ocr"]["limit"], serde_json::Value::Null);
        }
        refused.expect("there is no room").assert_problem(503, "storage-full");
        for path in ["/api/usage?customer=large-0", "/readyz", "/healthz"] {
            let answer = server.get(path, &key).await;
            assert_eq!(answer.status, 200, "reading goes on: {answer:?}");
        }
        std::fs::remove_file(filler).expect("it is there");
        assert!(writers.acknowledged(200).await, "the writers stopped");
        let records = writers.finish().await;
        let full = count(&records, |reply| matches!(reply, Reply::Away(code) if code == "storage-full"));
        let other = count(&records, |reply| matches!(reply, Reply::Away(code) if code != "storage-full"));
        println!("disk full: {full} writes refused for want of room, {other} for another reason");
        assert_eq!((other, count(&records, |reply| matches!(reply, Reply::Lost))), (0, 0));
        let records = send_again(&target, records).await;
        let mut books = Books::default();
        books.enter(records.iter());
        // The writes that looked for the end of the room are not the writers'.
        let others: Vec<_> = small.iter().chain(&large).filter(|name| &***name != "large-0").cloned().collect();
        books.compare(&server, &key, &others).await;
        books.assert_right();
        assert!(server.stop().success());
        assert_books_are_right(&Database::Sqlite, folder.path());
    });
}

#[test]
fn a_second_process_on_the_same_file_is_refused_by_name_and_the_first_goes_on() {
    on_sqlite(|| async {
        let server = Server::demo(&Database::Sqlite);
        let key = server.key(&SCOPES).await;
        let customer = server.customer(&key, "first", "starter").await;
        let body = json!({ "customer": customer, "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        for used in 1..=3 {
            let Err(said) = Server::try_start(&Database::Sqlite, &server.data, &["--demo"], &[]) else {
                panic!("a second process serves the same file");
            };
            assert!(said.contains(&format!("in use by process {}", server.pid())), "{said}");
            let answer = server.post("/api/usage/consume", &key, body.clone()).await;
            assert_eq!((answer.status, answer.body["quotas"]["invoice_ocr"]["used"].as_i64()), (200, Some(used)));
        }
    });
}
