//! What SQLite's gate has only in memory is not lost with the process.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::bench::*;
use super::fresh::on_sqlite;
use crate::db::{Location, Tx, sql};
use crate::gate::{Answer, Command};

/// More counters than the gate writes in one slice, so that most rows are behind when the batch is committed.
const FEATURES: i64 = 2_000;

async fn count(tx: &mut Tx, tables: [bool; 2]) -> i64 {
    let query = match tables {
        [true, _] => sql!("SELECT COUNT(*) FROM counter WHERE tenant_id = $1"),
        _ => sql!("SELECT COUNT(*) FROM usage_event WHERE tenant_id = $1"),
    };
    let row: Option<(i64,)> = query.bind(&ten(1)).find(tx).await.expect("it reads");
    row.expect("a count").0
}

#[test]
fn counters_that_were_not_written_are_read_from_the_events_at_the_next_start() {
    on_sqlite(|location| async move {
        let Location::Sqlite(path) = &location else { panic!("this is about SQLite") };
        let bench = Bench::new(location.clone()).await;
        let features: Vec<_> = (0..FEATURES).map(|number| hard(&format!("f{number}"), 9)).collect();
        let consume = || Command::Consume(features.iter().zip(1..).map(|(f, n)| item(f, n % 7)).collect());
        let (gate, operation) = (bench.gate.clone(), bench.keyed("k1", 1, consume()));
        let running = tokio::runtime::Handle::current().spawn(async move { gate.run(operation).await });
        // While this transaction stands the gate writes nothing: the files are as a power cut would leave them.
        let copy = path.with_file_name("copy.db");
        loop {
            let mut tx = bench.db.begin().await.expect("it begins");
            if count(&mut tx, [false, true]).await == FEATURES {
                let written = count(&mut tx, [true, false]).await;
                assert!(written < FEATURES, "nothing is behind: {written} counters are written");
                copy_database(path, &copy);
                break;
            }
        }
        let first = running.await.expect("no panic").expect("an answer");
        let revived = Bench::open(Location::Sqlite(copy)).await;
        for (feature, number) in features.iter().zip(1..) {
            assert_eq!(revived.level(feature).await, (number % 7, 0));
        }
        let again = revived.answer(revived.keyed("k1", 1, consume())).await;
        assert_eq!(again, replay_of(&first));
        assert!(matches!(revived.use_up(&features[5], 4).await, Answer::Refused(_)), "6 of 9 are used");
    });
}

fn copy_database(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(from), name(to)).expect("it copies");
    }
}

#[test]
fn nobody_is_answered_before_the_log_is_synced() {
    on_sqlite(|location| async move {
        Bench::new(location.clone()).await.close().await;
        let (began, mut beginning) = tokio::sync::mpsc::unbounded_channel();
        let (permit, permits) = std::sync::mpsc::channel();
        let permits = Mutex::new(permits);
        let log = Arc::new(move || {
            began.send(()).map_err(io::Error::other)?;
            permits.lock().expect("one thread syncs").recv().map_err(io::Error::other)
        });
        let bench = Bench::open_with(location, Some(log)).await;
        let use_one = |key: &str| {
            let operation = bench.keyed(key, 1, Command::Consume(vec![item(&hard("calls", 9), 1)]));
            let gate = bench.gate.clone();
            tokio::runtime::Handle::current().spawn(async move { gate.run(operation).await.expect("an answer") })
        };
        let first = use_one("k1");
        beginning.recv().await.expect("a sync begins");
        // It is committed, as anybody can read, but neither the use nor its replay nor what comes after it is told.
        assert_eq!(bench.used_by_events("calls").await, 1);
        let (second, replay) = (use_one("k2"), use_one("k1"));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(!first.is_finished() && !second.is_finished() && !replay.is_finished());
        for _ in 0..100 {
            permit.send(()).expect("the log is open");
        }
        let first = first.await.expect("no panic");
        assert!(matches!(second.await.expect("no panic"), Answer::Done(_)));
        assert_eq!(replay.await.expect("no panic"), replay_of(&first));
    });
}

#[test]
fn a_second_process_is_refused_by_name() {
    on_sqlite(|location| async move {
        let bench = Bench::new(location.clone()).await;
        let refused = crate::db::Db::open(&location).await.expect_err("it is in use").to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(bench);
    });
}
