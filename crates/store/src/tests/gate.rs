//! What the gate admits, refuses and repeats; the same on both databases.

use domain::quota::Status;
use domain::usage::Refusal;

use super::bench::*;
use super::fresh::on_both;
use crate::gate::{Answer, Command, Operation, Seen};
use crate::{customer, tenant};

on_both! {
    async fn use_goes_up_to_the_limit_and_no_further(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        assert_eq!(bench.quota(&calls).await.remaining(), Some(10));
        let first = done(bench.use_up(&calls, 7).await);
        assert_eq!((first.quotas[0].used, first.quotas[0].remaining(), first.overrun), (7, Some(3), 0));
        let Refusal::Exceeded(excess) = bench.refused(Command::Consume(vec![item(&calls, 4)])).await else {
            panic!("it is the limit that refuses");
        };
        assert_eq!((excess[0].requested, excess[0].quota.used), (4, 7));
        let last = done(bench.use_up(&calls, 3).await);
        assert_eq!((last.quotas[0].used, last.quotas[0].status), (10, Status::Exceeded));
        assert!(last.quotas[0].version > first.quotas[0].version);
        let bench = bench.restart().await;
        assert_eq!(bench.level(&calls).await, (10, 0));
        assert_eq!(bench.used_by_events("calls").await, 10);
    }

    async fn several_features_are_used_together_or_not_at_all(location) {
        let bench = Bench::new(location).await;
        let (calls, tokens, pages) = (hard("calls", 5), hard("tokens", 100), hard("pages", 5));
        let all = |n| Command::Consume(vec![item(&calls, 1), item(&tokens, n), item(&pages, n)]);
        let Refusal::Exceeded(excess) = bench.refused(all(101)).await else { panic!("it is the limits that refuse") };
        let features: Vec<_> = excess.iter().map(|excess| excess.quota.feature.as_str()).collect();
        assert_eq!(features, ["tokens", "pages"], "every limit that does not fit is named");
        assert_eq!(bench.level(&calls).await, (0, 0), "nothing was used");
        let done = bench.done(all(5)).await;
        let used: Vec<_> = done.quotas.iter().map(|quota| quota.used).collect();
        assert_eq!(used, [1, 5, 5]);
    }

    async fn a_retry_is_given_the_first_answer_also_after_a_restart(location) {
        let bench = Bench::new(location).await;
        let packs = with_grants(&hard("calls", 10), &[(1, 3)]);
        let command = || Command::Consume(vec![item(&packs, 12), item(&hard("tokens", 9), 1)]);
        let first = bench.answer(bench.keyed("k1", 1, command())).await;
        assert_eq!(done(first.clone()).quotas[0].credits, 1);
        bench.use_up(&packs, 1).await;
        assert_eq!(bench.answer(bench.keyed("k1", 1, command())).await, replay_of(&first), "also when all is used up");
        let bench = bench.restart().await;
        assert_eq!(bench.answer(bench.keyed("k1", 1, command())).await, replay_of(&first));
        assert_eq!(bench.used_by_events("calls").await, 13);
        assert_eq!(bench.used_by_events("tokens").await, 1);
    }

    async fn a_key_with_another_body_is_refused_and_a_refusal_takes_no_key(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        let use_up = |n| Command::Consume(vec![item(&calls, n)]);
        assert!(matches!(bench.answer(bench.keyed("k1", 1, use_up(11))).await, Answer::Refused(_)));
        assert!(matches!(bench.answer(bench.keyed("k1", 2, use_up(10))).await, Answer::Done(_)));
        assert_eq!(bench.answer(bench.keyed("k1", 1, use_up(11))).await, Answer::KeyReused);
        let elsewhere = Operation { tenant: ten(2), ..bench.keyed("k1", 3, use_up(1)) };
        assert!(!done(bench.answer(elsewhere).await).replayed, "another tenant's keys are its own");
        assert_eq!(bench.level(&calls).await, (10, 0));
    }

    async fn a_check_decides_and_records_nothing(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        let check = |n| Command::Check(vec![item(&calls, n)]);
        let done = bench.done(check(10)).await;
        assert_eq!(done.event, None);
        assert!(matches!(bench.refused(check(11)).await, Refusal::Exceeded(_)));
        assert_eq!(bench.level(&calls).await, (0, 0));
        assert_eq!(crate::usage::last_batches(&bench.db).await.expect("it reads"), []);
    }

    async fn limits_that_moved_make_an_operation_stale(location) {
        let mut bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        bench.use_up(&calls, 1).await;
        let mut tx = bench.db.begin().await.expect("it begins");
        tenant::bump_epoch(&mut tx, &ten(1), bench.now).await.expect("it moves");
        tx.commit().await.expect("it commits");
        assert_eq!(bench.use_up(&calls, 1).await, Answer::Stale);
        assert_eq!(bench.run(Command::Read(vec![calls.clone()])).await, Answer::Stale, "a read as well");
        bench.seen = customer::seen(&bench.db, &ten(1), &cus(1)).await.expect("it reads").expect("it is there");
        assert!(matches!(bench.use_up(&calls, 1).await, Answer::Done(_)));
        let mut tx = bench.db.begin().await.expect("it begins");
        customer::bump_version(&mut tx, &ten(1), &cus(1), bench.now).await.expect("it moves");
        tx.commit().await.expect("it commits");
        assert_eq!(bench.use_up(&calls, 1).await, Answer::Stale);
        let untouched = Operation {
            customer: cus(2),
            seen: Seen { customer: SEEN.customer, ..bench.seen },
            ..bench.operation(Command::Consume(vec![item(&calls, 1)]))
        };
        assert!(matches!(bench.answer(untouched).await, Answer::Done(_)), "another customer's version is its own");
        assert_eq!(bench.used_by_events("calls").await, 2);
    }

    async fn a_customer_or_tenant_that_is_gone_is_stale(location) {
        let bench = Bench::new(location).await;
        let consume = || bench.operation(Command::Consume(vec![item(&hard("calls", 1), 1)]));
        assert_eq!(bench.answer(Operation { customer: cus(9), ..consume() }).await, Answer::Stale);
        assert_eq!(bench.answer(Operation { tenant: ten(9), ..consume() }).await, Answer::Stale);
    }

    async fn a_lowered_limit_refuses_and_keeps_what_was_used(location) {
        let bench = Bench::new(location).await;
        bench.use_up(&hard("calls", 10), 8).await;
        let lower = hard("calls", 5);
        let Refusal::Exceeded(excess) = bench.refused(Command::Consume(vec![item(&lower, 1)])).await else {
            panic!("it is the limit that refuses");
        };
        assert_eq!((excess[0].quota.used, excess[0].quota.remaining()), (8, Some(0)));
        assert!(matches!(bench.use_up(&hard("calls", 9), 1).await, Answer::Done(_)), "a raised one admits at once");
    }

    async fn a_new_period_begins_at_nothing(location) {
        let mut bench = Bench::new(location).await;
        let january = hard("calls", 10);
        bench.use_up(&january, 10).await;
        let mut february = domain::entitlement::Entitlement::clone(&january);
        let start = january.period.end.expect("a month ends");
        february = february.in_period(domain::time::Period { start, end: Some(start.plus_seconds(28 * 86_400)) });
        let february = std::sync::Arc::new(february);
        bench.now = start;
        assert_eq!(bench.level(&february).await, (0, 0));
        assert!(matches!(bench.use_up(&february, 10).await, Answer::Done(_)));
        assert_eq!(bench.level(&january).await, (10, 0), "the past stays as it was");
    }

    async fn customers_and_tenants_have_counters_of_their_own(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 10);
        let consume = || bench.operation(Command::Consume(vec![item(&calls, 10)]));
        for tenant in [ten(1), ten(2)] {
            for customer in [cus(1), cus(2)] {
                let own = Operation { tenant: tenant.clone(), customer, ..consume() };
                assert!(matches!(bench.answer(own).await, Answer::Done(_)));
            }
        }
        assert!(matches!(bench.answer(consume()).await, Answer::Refused(_)));
    }

    async fn a_soft_limit_admits_and_marks_what_is_over_it(location) {
        let bench = Bench::new(location).await;
        let calls = soft("calls", 10);
        assert_eq!(done(bench.use_up(&calls, 9).await).overrun, 0);
        let over = done(bench.use_up(&calls, 4).await);
        assert_eq!((over.overrun, over.quotas[0].used, over.quotas[0].status), (3, 13, Status::Exceeded));
        assert_eq!(done(bench.use_up(&calls, 2).await).overrun, 2);
    }

    async fn what_has_no_limit_is_counted(location) {
        let bench = Bench::new(location).await;
        let calls = unlimited("calls");
        let done = done(bench.use_up(&calls, 1_000_000_000_000).await);
        assert_eq!((done.quotas[0].used, done.quotas[0].remaining(), done.overrun), (1_000_000_000_000, None, 0));
        assert!(matches!(bench.use_up(&calls, i64::MAX).await, Answer::Refused(Refusal::TooLarge(_))));
    }

    async fn credits_are_used_after_the_plan_and_the_soonest_to_expire_first(location) {
        let bench = Bench::new(location).await;
        let plan = hard("tokens", 10);
        let (first, second) = ((2, 5), (1, 20));
        let packs = with_grants(&plan, &[first, second]);
        let quota = done(bench.use_up(&packs, 12).await).quotas.remove(0);
        assert_eq!((quota.used, quota.credits, quota.remaining(), quota.status), (10, 23, Some(23), Status::Critical));
        let left = |grant| bench.quota_of_grants(&plan, grant);
        assert_eq!((left(first).await, left(second).await), (3, 20));
        bench.use_up(&packs, 4).await;
        assert_eq!((left(first).await, left(second).await), (0, 19), "one use may draw on several packs");
        assert!(matches!(bench.use_up(&packs, 20).await, Answer::Refused(_)));
        assert_eq!(done(bench.use_up(&packs, 19).await).quotas[0].status, Status::Exceeded);
        assert_eq!(bench.used_by_events("tokens").await, 35);
    }

    async fn a_gauge_goes_up_and_down_and_is_set_to_what_was_counted(location) {
        let bench = Bench::new(location).await;
        let storage = gauge("storage", 100);
        let adjust = |delta| Command::AdjustGauge(item(&storage, delta));
        bench.done(adjust(80)).await;
        assert!(matches!(bench.refused(adjust(21)).await, Refusal::Exceeded(_)));
        bench.done(adjust(-30)).await;
        assert_eq!(bench.level(&storage).await, (50, 0));
        let Refusal::BelowZero(_, level) = bench.refused(adjust(-51)).await else { panic!("it would be below nothing") };
        assert_eq!(level, 50);
        bench.done(Command::SetGauge(item(&storage, 130))).await;
        assert_eq!(bench.level(&storage).await, (130, 0), "a recount is the truth, whatever the limit");
        assert!(matches!(bench.refused(adjust(1)).await, Refusal::Exceeded(_)));
        bench.done(adjust(-130)).await;
        assert_eq!(bench.level(&storage).await, (0, 0));
        assert_eq!(bench.used_by_events("storage").await, 0);
    }

    async fn an_event_is_taken_back_where_it_was_recorded(location) {
        let bench = Bench::new(location).await;
        let packs = with_grants(&hard("tokens", 10), &[(1, 5)]);
        let used = event(&bench.use_up(&packs, 13).await);
        let recorded = crate::usage::find_event(&bench.db, &ten(1), &used).await.expect("it reads").expect("it is there");
        let sums: Vec<_> = recorded.lines.iter().map(|line| line.amount).collect();
        assert_eq!((recorded.kind.as_str(), sums), ("consume", vec![10, 3]));
        let reverse = || Command::Reverse { recorded: recorded.lines.clone(), items: vec![item(&packs, 0)] };
        let back = bench.answer(bench.keyed("reverse", 1, reverse())).await;
        assert_eq!((done(back.clone()).quotas[0].used, done(back.clone()).quotas[0].credits), (0, 5));
        assert_eq!(bench.answer(bench.keyed("reverse", 1, reverse())).await, replay_of(&back), "once for a key");
        assert_eq!(bench.used_by_events("tokens").await, 0);
    }

    async fn one_operation_that_cannot_be_written_does_not_fail_the_others(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 100);
        let poison = 7_u128;
        let operation = |n: u128| {
            let metadata = (n != poison).then(|| "fine".to_owned());
            // The second row of one reservation id.
            let id = if n == poison { 0 } else { 1_000 + n };
            Operation { metadata, ..bench.operation(bench.reserve(id, vec![item(&calls, 1)])) }
        };
        bench.done(bench.reserve(0, vec![item(&calls, 1)])).await;
        let answers = all_at_once(&bench, (0..20).map(operation).collect()).await;
        for (answer, n) in answers.iter().zip(0..) {
            assert_eq!(answer.is_ok(), n != poison, "{answer:?}");
        }
        assert_eq!(bench.level(&calls).await, (0, 20));
    }

    async fn one_key_in_one_batch_is_used_once(location) {
        let bench = Bench::new(location).await;
        let calls = hard("calls", 100);
        let operation = |n: i32| bench.keyed("k1", i64::from(n == 8 || n == 9), Command::Consume(vec![item(&calls, 5)]));
        let answers = all_at_once(&bench, (0..10).map(operation).collect()).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        for again in &answers[1..8] {
            assert_eq!(again, &replay_of(&answers[0]));
        }
        assert_eq!(answers[8..], [Answer::KeyReused, Answer::KeyReused]);
        assert_eq!(bench.level(&calls).await, (5, 0));
    }
}
