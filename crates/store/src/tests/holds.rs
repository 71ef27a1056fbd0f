//! Reservations; the same on both databases.

use domain::reservation::State;
use domain::time::Timestamp;

use super::bench::*;
use super::fresh::on_both;
use crate::gate::{Answer, Command, Operation};

on_both! {
    async fn a_hold_counts_against_the_limit_until_it_is_settled(location) {
        let bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        let opened = bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        assert_eq!((opened.quotas[0].used, opened.quotas[0].reserved), (0, 60));
        assert_eq!(opened.reservation.as_ref(), Some(&bench.held(1).await.id));
        assert!(matches!(bench.use_up(&tokens, 41).await, Answer::Refused(_)));
        let settled = bench.done(bench.settle(1, vec![item(&tokens, 25)]).await).await;
        assert_eq!((settled.quotas[0].used, settled.quotas[0].reserved, settled.overrun), (25, 0, 0));
        assert!(matches!(bench.use_up(&tokens, 75).await, Answer::Done(_)));
        assert_eq!(bench.used_by_events("tokens").await, 100);
    }

    async fn a_settlement_is_recorded_once_and_answered_again(location) {
        let bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        let first = bench.run(bench.settle(1, vec![item(&tokens, 25)]).await).await;
        let again = bench.run(bench.settle(1, vec![item(&tokens, 99)]).await).await;
        assert_eq!(again, replay_of(&first), "idempotent per reservation, whatever it says");
        let release = bench.release(1, vec![item(&tokens, 0)]).await;
        assert_eq!(bench.run(release).await, Answer::Ended(State::Settled));
        assert_eq!(bench.run(Command::Expire(bench.held(1).await)).await, Answer::Ended(State::Settled));
        assert_eq!(bench.level(&tokens).await, (25, 0));
        let bench = bench.restart().await;
        assert_eq!(bench.run(bench.settle(1, vec![item(&tokens, 99)]).await).await, replay_of(&first));
    }

    async fn what_is_beyond_the_hold_is_recorded_in_full_as_overrun(location) {
        let bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        let settled = bench.done(bench.settle(1, vec![item(&tokens, 130)]).await).await;
        assert_eq!((settled.quotas[0].used, settled.overrun), (130, 70));
        assert!(matches!(bench.use_up(&tokens, 1).await, Answer::Refused(_)), "the next admission sees it");
        assert_eq!(bench.used_by_events("tokens").await, 130);
    }

    async fn a_release_gives_all_back_and_frees_the_key(location) {
        let bench = Bench::new(location).await;
        let packs = with_grants(&hard("tokens", 10), &[(1, 50)]);
        let reserve = |number| bench.keyed("call", 1, bench.reserve(number, vec![item(&packs, 30)]));
        let first = bench.answer(reserve(1)).await;
        assert_eq!(done(first.clone()).quotas[0].credits, 30);
        assert_eq!(bench.answer(reserve(2)).await, replay_of(&first));
        let released = bench.done(bench.release(1, vec![item(&packs, 0)]).await).await;
        assert_eq!((released.quotas[0].reserved, released.quotas[0].credits), (0, 50));
        let release = bench.release(1, vec![item(&packs, 0)]).await;
        assert_eq!(bench.run(release).await, Answer::Ended(State::Released));
        let settle = bench.settle(1, vec![item(&packs, 1)]).await;
        assert_eq!(bench.run(settle).await, Answer::Ended(State::Released));
        let anew = done(bench.answer(reserve(3)).await);
        assert!(!anew.replayed, "a retry of a call that was given up runs anew");
        assert_eq!(anew.reservation, Some(bench.held(3).await.id));
    }

    async fn a_settled_reservation_keeps_its_key(location) {
        let bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        let reserve = |number| bench.keyed("call", 1, bench.reserve(number, vec![item(&tokens, 30)]));
        let first = bench.answer(reserve(1)).await;
        bench.done(bench.settle(1, vec![item(&tokens, 30)]).await).await;
        assert_eq!(bench.answer(reserve(2)).await, replay_of(&first));
    }

    async fn a_reservation_that_ran_out_gives_its_units_back_to_the_next_decision(location) {
        let mut bench = Bench::new(location).await;
        let (calls, tokens) = (hard("calls", 1), hard("tokens", 100));
        let both = vec![item(&calls, 1), item(&tokens, 100)];
        bench.answer(bench.keyed("call", 1, bench.reserve(1, both.clone()))).await;
        bench.now = bench.now.plus_seconds(59);
        assert!(matches!(bench.use_up(&calls, 1).await, Answer::Refused(_)));
        bench.now = bench.now.plus_seconds(1);
        assert!(matches!(bench.use_up(&calls, 1).await, Answer::Done(_)), "at its instant, without any job");
        assert_eq!(bench.level(&tokens).await, (0, 0), "all that it held, not only what was asked for");
        assert_eq!(bench.run(Command::Expire(bench.held(1).await)).await, Answer::Ended(State::Expired));
        let anew = done(bench.answer(bench.keyed("call", 1, bench.reserve(2, vec![item(&tokens, 1)]))).await);
        assert!(!anew.replayed, "an expiry frees the key");
    }

    async fn a_use_that_fits_anyway_sees_that_a_reservation_ran_out(location) {
        let mut bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        bench.now = bench.now.plus_seconds(60);
        let quota = done(bench.use_up(&tokens, 10).await).quotas.remove(0);
        assert_eq!((quota.used, quota.reserved), (10, 0));
        assert_eq!(bench.run(Command::Expire(bench.held(1).await)).await, Answer::Ended(State::Expired));
    }

    async fn even_a_read_sees_that_a_reservation_ran_out(location) {
        let mut bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        assert_eq!(bench.level(&tokens).await, (0, 60));
        bench.now = bench.now.plus_seconds(60);
        assert_eq!(bench.level(&tokens).await, (0, 0));
        let bench = bench.restart().await;
        assert_eq!(bench.level(&tokens).await, (0, 0));
    }

    async fn a_sweeper_expires_what_nobody_looks_at(location) {
        let mut bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        bench.now = bench.now.plus_seconds(60);
        let due = crate::usage::due_reservations(&bench.db, &ten(1), bench.now).await.expect("it reads");
        assert_eq!(due.len(), 1);
        // The sweeper does not know the customer's versions.
        let seen = crate::gate::Seen { epoch: 0, customer: 0 };
        let expire = Operation { seen, ..bench.operation(Command::Expire(due[0].held.clone())) };
        assert!(matches!(bench.answer(expire).await, Answer::Done(_)));
        assert_eq!(bench.run(Command::Expire(due[0].held.clone())).await, Answer::Ended(State::Expired));
        assert!(crate::usage::due_reservations(&bench.db, &ten(1), bench.now).await.expect("it reads").is_empty());
    }

    async fn a_late_settlement_is_recorded_once_as_overrun(location) {
        let mut bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        bench.now = bench.now.plus_seconds(61);
        bench.use_up(&tokens, 90).await;
        let late = bench.run(bench.settle(1, vec![item(&tokens, 60)]).await).await;
        assert_eq!((done(late.clone()).overrun, done(late.clone()).quotas[0].used), (60, 150));
        let again = bench.run(bench.settle(1, vec![item(&tokens, 60)]).await).await;
        assert_eq!(again, replay_of(&late));
        assert_eq!(bench.level(&tokens).await, (150, 0));
    }

    async fn whether_a_settlement_is_late_is_a_matter_of_time_alone(location) {
        let mut bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        bench.done(bench.reserve(1, vec![item(&tokens, 60)])).await;
        bench.done(bench.reserve(2, vec![item(&tokens, 40)])).await;
        bench.now = bench.now.plus_seconds(59);
        let settled = bench.done(bench.settle(2, vec![item(&tokens, 40)]).await).await;
        assert_eq!((settled.overrun, settled.quotas[0].used, settled.quotas[0].reserved), (0, 40, 60));
        // Nobody looked between the end of the reservation and its settlement.
        bench.now = bench.now.plus_seconds(1);
        let settled = bench.done(bench.settle(1, vec![item(&tokens, 60)]).await).await;
        assert_eq!((settled.overrun, settled.quotas[0].used, settled.quotas[0].reserved), (60, 100, 0));
    }

    async fn a_whole_life_in_one_batch(location) {
        let bench = Bench::new(location).await;
        let tokens = hard("tokens", 100);
        let held = |number: u128| crate::gate::Held {
            id: domain::id::ReservationId::from_bits(number),
            holds: vec![domain::reservation::Hold { key: tokens.plan_key.clone(), amount: 50 }],
        };
        let items = || vec![item(&tokens, 50)];
        let none = || vec![item(&tokens, 0)];
        let keyed = |number| bench.keyed("call", 1, bench.reserve(number, items()));
        let later = |operation: Operation, seconds| Operation { now: bench.now.plus_seconds(seconds), ..operation };
        let answers = all_at_once(&bench, vec![
            keyed(1),
            keyed(2),
            bench.operation(Command::Release { reservation: held(1), items: none() }),
            keyed(3),
            bench.operation(bench.reserve(4, items())),
            bench.operation(Command::Settle { reservation: held(4), items: items() }),
            bench.operation(Command::Settle { reservation: held(4), items: items() }),
            bench.operation(Command::Consume(items())),
            later(bench.operation(Command::Consume(items())), 60),
            later(bench.operation(Command::Settle { reservation: held(3), items: items() }), 60),
            later(bench.operation(Command::Release { reservation: held(3), items: none() }), 60),
            later(keyed(5), 60),
        ]).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        assert_eq!(answers[1], replay_of(&answers[0]));
        assert!(!done(answers[3].clone()).replayed, "the release freed the key");
        assert_eq!(answers[6], replay_of(&answers[5]));
        assert!(matches!(answers[7], Answer::Refused(_)), "50 used, 50 held");
        assert!(!done(answers[8].clone()).replayed, "the hold ran out");
        assert_eq!(done(answers[9].clone()).overrun, 50);
        assert_eq!(answers[10], Answer::Ended(State::Settled));
        assert!(matches!(answers[11], Answer::Refused(_)), "an expiry frees the key; the limit refuses");
        assert_eq!(bench.level(&tokens).await, (150, 0));
        assert_eq!(bench.used_by_events("tokens").await, 150);
        let states: Vec<(String, i64)> = crate::db::sql!("SELECT state, expires_at FROM reservation WHERE tenant_id = $1 ORDER BY reservation_id")
            .bind(&ten(1))
            .all(&bench.db)
            .await
            .expect("it reads");
        let end = bench.now.plus_seconds(60);
        let expected = ["released", "settled", "settled"].map(|state| (state.to_owned(), Timestamp::as_micros(end)));
        assert_eq!(states, expected);
    }
}
