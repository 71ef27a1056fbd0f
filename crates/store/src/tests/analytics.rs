//! Use and AI calls of a whole tenant, summed behind the gate.

use domain::id::FeatureKey;
use domain::time::Timestamp;
use serde_json::json;

use super::bench::*;
use super::fresh::on_both;
use crate::analytics::{CallsBy, CallsRow, UseRow, calls, days, hours, top_callers, top_customers};
use crate::gate::{Command, Operation};
use crate::rollup::follow;
use crate::subscription::insert;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

async fn subscribe(bench: &Bench, number: u32, plan: &str) {
    let row = subscribed(number, plan);
    let mut tx = bench.db.begin().await.expect("it begins");
    insert(&mut tx, &ten(1), &row).await.expect("it is written");
    tx.commit().await.expect("it commits");
}

fn of(customer: u32, operation: Operation, detail: Option<serde_json::Value>) -> Operation {
    Operation { customer: cus(customer), detail: detail.map(|detail| detail.to_string()), ..operation }
}

fn names(rows: &[UseRow]) -> Vec<(i64, &str, i64, i64)> {
    let hour = |at: i64| (at - START.as_micros()) / (HOUR * 1_000_000);
    rows.iter().map(|row| (hour(row.at), row.name.as_str(), row.used, row.events)).collect()
}

fn costs(rows: &[CallsRow]) -> Vec<(&str, i64, i64, i64, i64)> {
    rows.iter()
        .map(|row| (row.name.as_str(), row.calls, row.input_tokens, row.output_tokens, row.cost_micros))
        .collect()
}

on_both! {
    async fn use_is_summed_by_hour_day_plan_and_customer(location) {
        let mut bench = Bench::new(location).await;
        subscribe(&bench, 1, "pln_a").await;
        subscribe(&bench, 2, "pln_b").await;
        let (invoices, tokens) = (unlimited("invoices"), unlimited("tokens"));
        for (customer, at, units) in [(1, 0, 5), (1, 1, 2), (2, 1, 9), (1, 25, 4), (1, 40 * 24, 8)] {
            bench.now = START.plus_seconds(at * HOUR + 1);
            let both = Command::Consume(vec![item(&invoices, units), item(&tokens, 100)]);
            bench.answer(of(customer, bench.operation(both), None)).await;
        }
        let other = Operation { tenant: ten(2), ..bench.operation(Command::Consume(vec![item(&invoices, 70)])) };
        bench.answer(other).await;
        let node = bench.gate.node();
        while follow(&bench.db, node, 2).await.expect("it sums") {}
        let feature = FeatureKey::stored("invoices");
        let two_days = (START, START.plus_seconds(2 * DAY));
        let by_hour = hours(&bench.db, &ten(1), two_days, (Some(&feature), false)).await.expect("it reads");
        assert_eq!(names(&by_hour), [(0, "invoices", 5, 1), (1, "invoices", 11, 2), (25, "invoices", 4, 1)]);
        let by_plan = days(&bench.db, &ten(1), two_days, (Some(&feature), true)).await.expect("it reads");
        assert_eq!(names(&by_plan), [(0, "pln_a", 7, 2), (0, "pln_b", 9, 1), (24, "pln_a", 4, 1)]);
        let all = days(&bench.db, &ten(1), two_days, (None, false)).await.expect("it reads");
        assert_eq!(names(&all)[..2], [(0, "invoices", 16, 3), (0, "tokens", 300, 3)]);
        // January: the use of 40 days later is another month's.
        let january = START.plus_seconds(-14 * DAY);
        let ranking = top_customers(&bench.db, &ten(1), january, (&feature, 10)).await.expect("it reads");
        let ranking: Vec<_> = ranking.iter().map(|row| (row.name.as_str(), row.used, row.events)).collect();
        assert_eq!(ranking, [("cus_1", 11, 3), ("cus_2", 9, 1)]);
        let first = top_customers(&bench.db, &ten(1), january, (&feature, 1)).await.expect("it reads");
        assert_eq!(first.len(), 1);
    }

    async fn a_call_counts_once_with_its_tokens_and_its_cost(location) {
        let mut bench = Bench::new(location).await;
        subscribe(&bench, 1, "pln_a").await;
        let (invoices, tokens) = (unlimited("invoices"), unlimited("tokens"));
        let facts = |model: &str, cost: Option<i64>| {
            json!({ "component": "invoices", "model": model, "inputTokens": 10, "cacheReadTokens": 5, "outputTokens": 3,
                "costMicros": cost, "estimated": false })
        };
        for (customer, model, cost) in [(1, "small", Some(40)), (1, "great", Some(900)), (2, "small", None)] {
            let both = Command::Consume(vec![item(&invoices, 1), item(&tokens, 18)]);
            bench.answer(of(customer, bench.operation(both), Some(facts(model, cost)))).await;
            bench.now = bench.now.plus_seconds(1);
        }
        let nothing_of_ours = Some(json!({ "other": 1 }));
        bench.answer(of(1, bench.operation(Command::Consume(vec![item(&tokens, 1)])), nothing_of_ours)).await;
        while follow(&bench.db, bench.gate.node(), 2).await.expect("it sums") {}
        let range: (Timestamp, Timestamp) = (START, START.plus_seconds(DAY));
        let by = async |by| calls(&bench.db, &ten(1), range, (by, None)).await.expect("it reads");
        assert_eq!(costs(&by(CallsBy::Component).await), [("invoices", 3, 45, 9, 940)]);
        assert_eq!(costs(&by(CallsBy::Model).await), [("great", 1, 15, 3, 900), ("small", 2, 30, 6, 40)]);
        assert_eq!(costs(&by(CallsBy::Plan).await), [("", 1, 15, 3, 0), ("pln_a", 2, 30, 6, 940)]);
        let january = START.plus_seconds(-14 * DAY);
        let ranking = top_callers(&bench.db, &ten(1), january, 9).await.expect("it reads");
        assert_eq!(costs(&ranking), [("cus_1", 2, 30, 6, 940), ("cus_2", 1, 15, 3, 0)]);
        assert!(calls(&bench.db, &ten(2), range, (CallsBy::Plan, None)).await.expect("it reads").is_empty());
    }
}
