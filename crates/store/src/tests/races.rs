//! Many callers at once, several nodes on one database, and connections that break.

use std::collections::BTreeMap;

use super::bench::*;
use super::fresh::{command, on_both, on_postgres};
use crate::db::{Db, Location, sql};
use crate::error::{Error, Result};
use crate::gate::{Answer, BATCH_OPERATIONS_MAX, Command, Gate, Operation, QUEUE_OPERATIONS_MAX};

/// Runs all at once, each on the gate it names, and answers in their order.
async fn race(operations: Vec<(Gate, Operation)>) -> Vec<Result<Answer>> {
    let runtime = tokio::runtime::Handle::current();
    let running: Vec<_> = operations
        .into_iter()
        .map(|(gate, operation)| runtime.spawn(async move { gate.run(operation).await }))
        .collect();
    let mut answers = Vec::new();
    for one in running {
        answers.push(one.await.expect("no panic"));
    }
    answers
}

/// Every key is sent twice at once, to different gates where there are several: 600 ask for 100 units.
async fn six_hundred_for_a_hundred(bench: &Bench, gates: &[Gate]) {
    let calls = hard("calls", 100);
    let mut operations = Vec::new();
    for number in 0..1_200_usize {
        let (key, gate) = (number % 600, (number / 600 + number) % gates.len());
        operations
            .push((gates[gate].clone(), bench.keyed(&format!("k{key}"), 1, Command::Consume(vec![item(&calls, 1)]))));
    }
    let answers: Vec<_> = race(operations).await.into_iter().map(|answer| answer.expect("an answer")).collect();
    let mut admitted = 0;
    for (one, other) in answers[..600].iter().zip(&answers[600..]) {
        match (one, other) {
            (Answer::Refused(_), Answer::Refused(_)) => {}
            (Answer::Done(first), again) if !first.replayed => {
                admitted += 1;
                assert_eq!(again, &replay_of(one));
            }
            (again, first) => {
                admitted += 1;
                assert!(!done(first.clone()).replayed, "one of the two came first");
                assert_eq!(again, &replay_of(first));
            }
        }
    }
    assert_eq!(admitted, 100);
    assert_eq!(bench.level(&calls).await, (100, 0));
    assert_eq!(bench.used_by_events("calls").await, 100);
}

on_both! {
    async fn one_gate_never_admits_more_than_the_limit(location) {
        let bench = Bench::new(location).await;
        six_hundred_for_a_hundred(&bench, std::slice::from_ref(&bench.gate)).await;
    }
}

#[test]
fn two_nodes_never_admit_more_than_the_limit() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let other = Db::open(&bench.location).await.expect("it opens");
        let (second, _finish) = Gate::start(&other, clock).await.expect("a second gate starts");
        assert_ne!(bench.gate.node(), second.node());
        six_hundred_for_a_hundred(&bench, &[bench.gate.clone(), second]).await;
    });
}

#[test]
fn two_nodes_that_touch_the_same_counters_in_any_order_agree() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let (second, _finish) = Gate::start(&bench.db, clock).await.expect("a second gate starts");
        let features: Vec<_> = ["a", "b", "c", "d"].into_iter().map(|name| hard(name, 1_000)).collect();
        let mut operations = Vec::new();
        for number in 0..400_usize {
            let mut items: Vec<_> = features.iter().map(|feature| item(feature, 1)).collect();
            items.rotate_left(number % 4);
            let gate = if number % 2 == 0 { &bench.gate } else { &second };
            let customer = cus(if number % 3 == 0 { 1 } else { 2 });
            let command = if number % 5 == 0 {
                bench.reserve(u128::try_from(number).expect("small"), items)
            } else {
                Command::Consume(items)
            };
            operations.push((gate.clone(), Operation { customer, ..bench.operation(command) }));
        }
        for answer in race(operations).await {
            assert!(matches!(answer, Ok(Answer::Done(_))), "{answer:?}");
        }
        let numbers = (0..400_usize).filter(|number| number % 3 == 0);
        let (held, used): (Vec<_>, Vec<_>) = numbers.partition(|number| number % 5 == 0);
        for feature in &features {
            let level = bench.level(feature).await;
            assert_eq!(level, (i64::try_from(used.len()).expect("small"), i64::try_from(held.len()).expect("small")));
        }
    });
}

#[test]
fn a_reservation_ends_once_whichever_node_is_asked() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let (second, _finish) = Gate::start(&bench.db, clock).await.expect("a second gate starts");
        let tokens = hard("tokens", 1_000);
        let mut operations = Vec::new();
        for number in 0..40 {
            bench.done(bench.reserve(number, vec![item(&tokens, 10)])).await;
            let settle = bench.settle(number, vec![item(&tokens, 7)]).await;
            let release = bench.release(number, vec![item(&tokens, 0)]).await;
            operations.push((bench.gate.clone(), bench.operation(settle)));
            operations.push((second.clone(), bench.operation(release)));
        }
        let mut settled = 0;
        let answers: Vec<_> = race(operations).await.into_iter().map(|answer| answer.expect("an answer")).collect();
        for pair in answers.chunks(2) {
            let ends: Vec<_> = pair.iter().map(|answer| matches!(answer, Answer::Done(_))).collect();
            assert!(ends == [true, false] || ends == [false, true], "{pair:?}");
            settled += i64::from(ends[0]);
        }
        assert_eq!(bench.level(&tokens).await, (settled * 7, 0));
    });
}

/// Asks until the gate has a connection again.
async fn until_done(bench: &Bench, mut operation: impl FnMut() -> Operation) -> Answer {
    for _ in 0..10_000_000 {
        match bench.gate.run(operation()).await {
            Ok(answer) => return answer,
            Err(Error::Away(_) | Error::Busy(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the gate does not come back");
}

fn url(bench: &Bench) -> String {
    match &bench.location {
        Location::Postgres(url) => url.clone(),
        Location::Sqlite(_) => panic!("this is about PostgreSQL"),
    }
}

on_both! {
    async fn what_cannot_be_queued_is_refused_at_once_and_did_not_happen(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 1_000_000);
        bench.use_up(&calls, 1).await;
        // The gate cannot write while this transaction lives: it is SQLite's writer, or has the counter.
        let mut tx = bench.db.begin().await.expect("it begins");
        sql!("UPDATE counter SET version = version WHERE tenant_id = $1")
            .bind(&ten(1))
            .execute(&mut tx)
            .await
            .expect("it locks");
        let mut running = tokio::task::JoinSet::new();
        for number in 0..=(QUEUE_OPERATIONS_MAX + BATCH_OPERATIONS_MAX) {
            let operation = bench.keyed(&format!("k{number}"), 1, Command::Consume(vec![item(&calls, 1)]));
            let gate = bench.gate.clone();
            running.spawn(async move { gate.run(operation).await });
        }
        let refused = running.join_next().await.expect("one was refused").expect("no panic");
        assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
        tx.commit().await.expect("it commits");
        let mut done = 1;
        while let Some(answer) = running.join_next().await {
            match answer.expect("no panic") {
                Ok(Answer::Done(_)) => done += 1,
                Err(Error::Busy(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bench.used_by_events("calls").await, done);
    }
}

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND application_name = 'tollgate gate'";

#[test]
fn a_gate_that_lost_its_connection_makes_a_new_one_and_loses_nothing() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 1_000);
        let mut first = BTreeMap::new();
        for round in 0..5 {
            let key = format!("k{round}");
            let consume = || bench.keyed(&key, 1, Command::Consume(vec![item(&calls, 1)]));
            let answer = until_done(&bench, consume).await;
            first.insert(key.clone(), answer);
            command(&url(&bench), CUT).await;
        }
        for (key, answer) in &first {
            let again = until_done(&bench, || bench.keyed(key, 1, Command::Consume(vec![item(&calls, 1)]))).await;
            assert_eq!(again, replay_of(answer));
        }
        assert_eq!(bench.used_by_events("calls").await, 5);
        let places: Vec<(i64, i64)> =
            sql!("SELECT node, seq FROM gate_batch ORDER BY node, seq").all(&bench.db).await.expect("it reads");
        assert_eq!(places, (1..=5).map(|seq| (bench.gate.node(), seq)).collect::<Vec<_>>(), "the order goes on");
    });
}

#[test]
fn a_batch_whose_connection_breaks_is_answered_as_unknown_and_can_be_sent_again() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        bench.use_up(&calls, 1).await;
        let mut tx = bench.db.begin().await.expect("it begins");
        sql!("UPDATE counter SET version = version WHERE tenant_id = $1")
            .bind(&ten(1))
            .execute(&mut tx)
            .await
            .expect("it locks");
        let consume = || bench.keyed("k1", 1, Command::Consume(vec![item(&calls, 1)]));
        let (gate, operation) = (bench.gate.clone(), consume());
        let waiting = tokio::runtime::Handle::current().spawn(async move { gate.run(operation).await });
        // Now it waits for the counter that this transaction holds.
        loop {
            let blocked: Vec<(i32,)> = sql!("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tollgate gate' AND wait_event_type = 'Lock'")
                .all(&bench.db)
                .await
                .expect("it reads");
            if !blocked.is_empty() {
                break;
            }
            assert!(!waiting.is_finished(), "the counter is locked");
        }
        command(&url(&bench), CUT).await;
        assert!(matches!(waiting.await.expect("no panic"), Err(Error::Away(_))));
        tx.commit().await.expect("it commits");
        assert!(!done(until_done(&bench, consume).await).replayed, "nothing of it had happened");
        assert_eq!(bench.used_by_events("calls").await, 2);
    });
}

#[test]
fn text_that_the_database_cannot_hold_fails_alone() {
    on_postgres(|location| async move {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 100);
        let operation = |number: i32| {
            let metadata = Some(if number == 3 { "a\0b".to_owned() } else { "ab".to_owned() });
            Operation { metadata, ..bench.operation(Command::Consume(vec![item(&calls, 1)])) }
        };
        let answers = all_at_once(&bench, (0..10).map(operation).collect()).await;
        let failed: Vec<_> =
            answers.iter().enumerate().filter(|(_, answer)| answer.is_err()).map(|(at, _)| at).collect();
        assert_eq!(failed, [3]);
        assert_eq!(bench.level(&calls).await, (9, 0));
    });
}

#[test]
fn a_lone_use_is_recorded_as_in_a_batch() {
    on_postgres(|location| async move {
        let mut bench = Bench::new(location).await;
        let (calls, free) = (hard("calls", 100), unlimited("free"));
        for customer in [cus(1), cus(2)] {
            let id = u128::from(customer == cus(2));
            let reserve = bench.reserve(id, vec![item(&calls, 5)]);
            bench.answer(Operation { customer, ..bench.operation(reserve) }).await;
        }
        for (amount, number) in [30, 30, 19, 1, 4, 6, 20, 2, 3, 1].into_iter().zip(0..) {
            bench.now = bench.now.plus_micros(number % 2);
            for feature in [&calls, &free] {
                let operation = |key: &str| Operation {
                    detail: Some("{}".to_owned()),
                    ..bench.keyed(
                        &format!("{key}{number}{}", feature.feature),
                        1,
                        Command::Consume(vec![item(feature, amount)]),
                    )
                };
                // What has metadata goes the whole way.
                let whole = || Operation { customer: cus(2), metadata: Some("m".to_owned()), ..operation("whole") };
                let lone = bench.answer(operation("lone")).await;
                let batched = bench.answer(whole()).await;
                match (&lone, &batched) {
                    (Answer::Done(lone), Answer::Done(batched)) => assert_eq!(lone.quotas, batched.quotas),
                    (lone, batched) => assert_eq!(lone, batched),
                }
                if matches!(lone, Answer::Done(_)) {
                    assert_eq!(bench.answer(operation("lone")).await, replay_of(&lone));
                }
            }
        }
        let [lone, whole] = [rows_of(&bench, 1).await, rows_of(&bench, 2).await];
        assert_eq!(lone, whole);
        assert!(lone.len() > 15);
    });
}

/// All that the events of a customer say, but their names.
async fn rows_of(bench: &Bench, customer: u32) -> Vec<(String, String)> {
    sql!("SELECT e.event_id, CONCAT_WS(' ', line, node, feature, source, period_start, period_end, kind, amount, hold, overrun, used_after, held_after, COALESCE(limit_value, -1), credits_after, status_after, version, at, COALESCE(detail, '-')) FROM usage_event e WHERE tenant_id = $1 AND customer_id = $2 ORDER BY event_id, line")
        .bind(&ten(1))
        .bind(&cus(customer))
        .all::<(String, String)>(&bench.db)
        .await
        .expect("it reads")
        .into_iter()
        .map(|(_, text)| (String::new(), text))
        .collect()
}
