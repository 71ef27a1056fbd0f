//! What readers of the events see: hours, batches, and what other nodes moved.

use domain::id::FeatureKey;
use domain::time::Timestamp;

use super::bench::*;
use super::fresh::{on_both, on_postgres};
use crate::db::sql;
use crate::feed::Notice;
use crate::gate::{Change, Command, Gate, Operation};
use crate::rollup::{HourRow, follow, history};
use crate::usage::{batches_after, changes_of, drop_expired, drop_old_batches, first_batches, last_batches};

const HOUR: i64 = 3_600_000_000;

async fn hours(bench: &Bench, feature: &str, from: Timestamp, to: Timestamp) -> Vec<(i64, i64)> {
    let feature = FeatureKey::parse(feature).expect("a key");
    let rows = history(&bench.db, &ten(1), (&cus(1), &feature), (from, to)).await.expect("it reads");
    rows.into_iter().map(|HourRow { hour, used }| ((hour - START.as_micros()) / HOUR, used)).collect()
}

on_both! {
    async fn a_clients_key_is_dropped_with_age_and_the_products_own_never(location) {
        let bench = Bench::new(location).await;
        let calls = || Command::Consume(vec![item(&hard("calls", 9), 1)]);
        let clients = bench.answer(bench.keyed("client", 1, calls())).await;
        let own = bench.answer(bench.keyed("own", 0, calls())).await;
        let mut tx = bench.db.begin().await.expect("it begins");
        let before = bench.now.plus_seconds(1);
        assert_eq!(drop_expired(&mut tx, before, before).await.expect("it drops"), 1);
        tx.commit().await.expect("it commits");
        assert_ne!(event(&bench.answer(bench.keyed("client", 1, calls())).await), event(&clients));
        assert_eq!(bench.answer(bench.keyed("own", 0, calls())).await, replay_of(&own));
    }

    async fn history_is_the_same_before_during_and_after_it_is_summed(location) {
        let mut bench = Bench::new(location).await;
        let (calls, storage) = (unlimited("calls"), gauge("storage", 100));
        for (hour, amount) in [(0, 5), (0, 7), (1, 3), (3, 2)] {
            bench.now = START.plus_micros(hour * HOUR + 1);
            bench.use_up(&calls, amount).await;
            bench.done(Command::AdjustGauge(item(&storage, 1))).await;
        }
        bench.answer(Operation { customer: cus(2), ..bench.operation(Command::Consume(vec![item(&calls, 9)])) }).await;
        bench.answer(Operation { tenant: ten(2), ..bench.operation(Command::Consume(vec![item(&calls, 9)])) }).await;
        let used = event(&bench.use_up(&calls, 4).await);
        let event = crate::usage::find_event(&bench.db, &ten(1), &used).await.expect("it reads").expect("it is there");
        bench.done(Command::Reverse { recorded: event.lines, items: vec![item(&calls, 0)] }).await;

        let end = START.plus_micros(4 * HOUR);
        let expected = vec![(0, 12), (1, 3), (3, 2)];
        assert_eq!(hours(&bench, "calls", START, end).await, expected);
        let node = bench.gate.node();
        assert!(follow(&bench.db, node, 3).await.expect("it sums"), "there is more to do");
        assert_eq!(hours(&bench, "calls", START, end).await, expected);
        while follow(&bench.db, node, 3).await.expect("it sums") {}
        assert_eq!(hours(&bench, "calls", START, end).await, expected);
        assert!(!follow(&bench.db, node, 3).await.expect("it sums"), "nothing is summed twice");
        assert_eq!(hours(&bench, "calls", START, end).await, expected);
        assert_eq!(hours(&bench, "storage", START, end).await, [(0, 2), (1, 1), (3, 1)]);
        let middle = (START.plus_micros(HOUR), START.plus_micros(3 * HOUR));
        assert_eq!(hours(&bench, "calls", middle.0, middle.1).await, [(1, 3)]);

        let mut tx = bench.db.begin().await.expect("it begins");
        assert_eq!(drop_old_batches(&mut tx, end).await.expect("it drops"), 0, "the summaries have not seen them yet");
        sql!("UPDATE node SET summarized_seq = followed_seq WHERE node = $1")
            .bind(node)
            .execute(&mut tx)
            .await
            .expect("they have");
        assert!(drop_old_batches(&mut tx, end).await.expect("it drops") > 0);
        tx.commit().await.expect("it commits");
        assert_eq!(hours(&bench, "calls", START, end).await, expected, "what is summed needs its batches no more");
        let last = last_batches(&bench.db).await.expect("it reads");
        assert_eq!(last, first_batches(&bench.db).await.expect("it reads"), "each node keeps its last batch");
        let bench = bench.restart().await;
        bench.use_up(&calls, 1).await;
        assert_eq!(hours(&bench, "calls", START, end).await, [(0, 12), (1, 3), (3, 3)]);
    }

    async fn a_batch_tells_what_it_moved(location) {
        let bench = Bench::new(location).await;
        let (calls, tokens) = (hard("calls", 10), hard("tokens", 10));
        let mut feed = bench.gate.listen();
        bench.done(Command::Consume(vec![item(&calls, 1), item(&tokens, 2)])).await;
        bench.refused(Command::Consume(vec![item(&calls, 10)])).await;
        bench.done(Command::Read(vec![calls.clone()])).await;
        bench.answer(Operation { tenant: ten(2), customer: cus(2), ..bench.operation(Command::Consume(vec![item(&calls, 1)])) }).await;
        let batches = batches_after(&bench.db, bench.gate.node(), 0, 10).await.expect("it reads");
        let change = |tenant, customer, features: &[&str]| Change {
            tenant,
            customer,
            features: features.iter().map(|key| FeatureKey::parse(key).expect("a key")).collect(),
        };
        let expected = [change(ten(1), cus(1), &["calls", "tokens"]), change(ten(2), cus(2), &["calls"])];
        assert_eq!(batches.len(), expected.len(), "reads and refusals are no batches");
        for (batch, expected) in batches.iter().zip(expected) {
            let changes = changes_of(&bench.db, batch).await.expect("it reads");
            assert_eq!(changes, [expected]);
            let heard = feed.recv().await.expect("it is heard");
            assert_eq!((heard.node, heard.seq, &heard.changes), (batch.node, batch.seq, &changes));
        }
    }
}

#[test]
fn one_node_hears_of_the_batches_of_another() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let mut listener = crate::feed::listen(&bench.db).await.expect("it listens");
        let (second, _finish) = Gate::start(&bench.db, clock).await.expect("a second gate starts");
        let calls = hard("calls", 10);
        let consume = || bench.operation(Command::Consume(vec![item(&calls, 1)]));
        second.run(consume()).await.expect("an answer");
        second.run(consume()).await.expect("an answer");
        bench.gate.run(consume()).await.expect("an answer");
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(listener.next().await.expect("it hears").expect("nothing was missed"));
        }
        let batches = [(second.node(), 1), (second.node(), 2), (bench.gate.node(), 1)];
        assert_eq!(heard, batches.map(|(node, seq)| Notice::Batch(node, seq)));
    });
}
