//! What SQLite's gate has only in memory is not lost with the process.

use std::path::Path;

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
fn a_second_process_is_refused_by_name() {
    on_sqlite(|location| async move {
        let bench = Bench::new(location.clone()).await;
        let refused = crate::db::Db::open(&location).await.expect_err("it is in use").to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(bench);
    });
}
