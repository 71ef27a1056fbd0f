//! What passes a threshold is noted with the use, by every way through the gate; the same on both databases.

use super::bench::*;
use super::fresh::on_both;
use crate::gate::{Command, Operation};
use crate::notice::{self, CrossingRow};

async fn noted(bench: &Bench) -> Vec<CrossingRow> {
    notice::crossings(&bench.db, &ten(1), 100).await.expect("they read")
}

async fn levels(bench: &Bench) -> Vec<(i64, i64)> {
    noted(bench).await.iter().map(|row| (row.level_before, row.level_after)).collect()
}

on_both! {
    async fn a_use_is_noted_when_it_passes_a_threshold_and_not_else(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 100);
        let mut feed = bench.gate.listen();
        // One by one, as a lone use is decided by one statement on PostgreSQL.
        for _ in 0..100 {
            bench.use_up(&calls, 1).await;
        }
        assert_eq!(levels(&bench).await, [(79, 80), (89, 90), (99, 100)]);
        let mut crossed = 0;
        while let Ok(committed) = feed.try_recv() {
            crossed += usize::from(committed.crossed);
        }
        assert_eq!(crossed, 3, "a batch says so");
        let row = noted(&bench).await.remove(0);
        assert_eq!((row.limit_value, row.thresholds(), row.gauge, row.quiet), (100, calls.thresholds, false, false));
        bench.refused(Command::Consume(vec![item(&calls, 1)])).await;
        assert_eq!(noted(&bench).await.len(), 3, "a refusal is none");
    }

    async fn what_is_held_is_noted_once_it_is_used(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        bench.done(bench.reserve(1, vec![item(&calls, 9)])).await;
        assert_eq!(levels(&bench).await, []);
        bench.done(bench.settle(1, vec![item(&calls, 8)]).await).await;
        assert_eq!(levels(&bench).await, [(0, 8)]);
    }

    async fn several_features_of_one_use_are_noted_with_it_or_not_at_all(location) {
        let bench = Bench::new(location).await;
        let (calls, tokens) = (hard("calls", 10), hard("tokens", 10));
        let both = |n| Command::Consume(vec![item(&calls, 1), item(&tokens, n)]);
        bench.refused(both(11)).await;
        assert_eq!(levels(&bench).await, []);
        bench.done(both(9)).await;
        assert_eq!(levels(&bench).await, [(0, 9)], "only tokens came near");
        bench.answer(Operation { quiet: true, customer: cus(2), ..bench.operation(both(10)) }).await;
        let rows = noted(&bench).await;
        assert_eq!(rows.iter().map(|row| row.quiet).collect::<Vec<_>>(), [false, true]);
    }

    async fn a_gauge_is_noted_when_it_falls_far_enough_too(location) {
        let bench = Bench::new(location).await;
        let storage = gauge("storage", 100);
        for level in [85, 76, 75, 74, 80, 60] {
            bench.done(Command::SetGauge(item(&storage, level))).await;
        }
        assert_eq!(levels(&bench).await, [(0, 85), (85, 76), (75, 74), (74, 80), (80, 60)]);
        assert!(noted(&bench).await.iter().all(|row| row.gauge));
    }
}
