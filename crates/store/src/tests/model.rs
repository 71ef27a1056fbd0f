//! Random commands against a small model that was written from the specification alone.
//!
//! The model keeps one customer with two features, each with a plan and two packs of credits, as rows of buckets.

use std::sync::Arc;

use domain::entitlement::Entitlement;
use domain::quota::Quota;
use domain::reservation::State;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::bench::*;
use super::fresh::{on_postgres, on_sqlite};
use crate::db::Location;
use crate::gate::{Answer, Command};

const FEATURES: [&str; 2] = ["calls", "tokens"];
/// The plan and two packs.
const LIMITS: [[i64; 3]; 2] = [[10, 4, 3], [30, 10, 10]];
const RESERVATIONS: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    Consume([i64; 2]),
    Reserve([i64; 2]),
    Settle(usize, [i64; 2]),
    Release(usize),
    Expire(usize),
    Wait(i64),
    /// Sends an earlier request again.
    Repeat(usize),
    Restart,
}

fn amounts() -> impl Strategy<Value = [i64; 2]> {
    prop_oneof![(1..6_i64).prop_map(|n| [n, 0]), (1..15_i64).prop_map(|n| [0, n]), [1..6_i64, 1..15_i64]]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => amounts().prop_map(Step::Consume),
        5 => amounts().prop_map(Step::Reserve),
        4 => (0..RESERVATIONS, [0..9_i64, 0..20_i64]).prop_map(|(at, actual)| Step::Settle(at, actual)),
        2 => (0..RESERVATIONS).prop_map(Step::Release),
        1 => (0..RESERVATIONS).prop_map(Step::Expire),
        3 => (1..40_i64).prop_map(Step::Wait),
        2 => any::<usize>().prop_map(Step::Repeat),
        1 => Just(Step::Restart),
    ]
}

/// A bucket's units: used and held.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    used: i64,
    held: i64,
}

#[derive(Debug, Clone)]
struct Reservation {
    holds: [[i64; 3]; 2],
    ends_at: i64,
    state: State,
    /// The answer of its settlement.
    settled: Option<Answer>,
}

#[derive(Default)]
struct Model {
    buckets: [[Bucket; 3]; 2],
    reservations: Vec<Reservation>,
    seconds: i64,
}

/// What the model expects.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Done { overrun: i64 },
    Refused,
    Ended(State),
    Replay(Answer),
}

impl Model {
    fn free(&self, feature: usize) -> [i64; 3] {
        std::array::from_fn(|at| {
            let Bucket { used, held } = self.buckets[feature][at];
            (LIMITS[feature][at] - used - held).max(0)
        })
    }

    /// Fills buckets from the first on; what finds no place is left.
    fn fill(&self, feature: usize, mut amount: i64) -> ([i64; 3], i64) {
        let parts = self.free(feature).map(|free| {
            let part = free.min(amount);
            amount -= part;
            part
        });
        (parts, amount)
    }

    fn admit(&self, wanted: [i64; 2]) -> Option<[[i64; 3]; 2]> {
        let [one, other] = [0, 1].map(|feature| self.fill(feature, wanted[feature]));
        (one.1 == 0 && other.1 == 0).then_some([one.0, other.0])
    }

    fn give_back(&mut self, at: usize, state: State) {
        self.reservations[at].state = state;
        for feature in 0..2 {
            for bucket in 0..3 {
                self.buckets[feature][bucket].held -= self.reservations[at].holds[feature][bucket];
            }
        }
    }

    /// Every decision first gives back what ran out. (The gate does so for the counters that it looks at; on the others
    /// nobody can see the difference.)
    fn expire(&mut self) {
        for at in 0..self.reservations.len() {
            let Reservation { ends_at, state, .. } = self.reservations[at];
            if state == State::Open && ends_at <= self.seconds {
                self.give_back(at, State::Expired);
            }
        }
    }

    fn settle(&mut self, at: usize, actual: [i64; 2]) -> Expected {
        self.expire();
        let state = self.reservations[at].state;
        if let Some(answer) = &self.reservations[at].settled {
            return Expected::Replay(answer.clone());
        }
        if state == State::Released {
            return Expected::Ended(state);
        }
        let held = if state == State::Open { self.reservations[at].holds } else { [[0; 3]; 2] };
        if state == State::Open {
            self.give_back(at, State::Settled);
        }
        self.reservations[at].state = State::Settled;
        let mut overrun = 0;
        for feature in 0..2 {
            if self.reservations[at].holds[feature] == [0; 3] {
                continue;
            }
            let mut left = actual[feature];
            for (bucket, held) in self.buckets[feature].iter_mut().zip(held[feature]) {
                let part = left.min(held);
                bucket.used += part;
                left -= part;
            }
            overrun += left;
            let (parts, beyond) = self.fill(feature, left);
            for (bucket, part) in self.buckets[feature].iter_mut().zip(parts) {
                bucket.used += part;
            }
            self.buckets[feature][0].used += beyond;
        }
        Expected::Done { overrun }
    }

    fn end(&mut self, at: usize, state: State) -> Expected {
        if state == State::Released {
            self.expire();
        }
        let before = self.reservations[at].state;
        if before != State::Open {
            return Expected::Ended(before);
        }
        self.give_back(at, state);
        Expected::Done { overrun: 0 }
    }
}

fn entitlements() -> [Arc<Entitlement>; 2] {
    [0_usize, 1].map(|at| {
        let [plan, first, second] = LIMITS[at];
        let number = u128::try_from(at).expect("small") * 2;
        with_grants(&hard(FEATURES[at], plan), &[(number + 1, first), (number, second)])
    })
}

fn items(amounts: [i64; 2]) -> Vec<crate::gate::Item> {
    let both = entitlements().into_iter().zip(amounts);
    both.filter(|(_, amount)| *amount > 0).collect()
}

/// The items of a settlement or release: every feature that was reserved, also with nothing.
fn reserved_items(reservation: &Reservation, amounts: [i64; 2]) -> Vec<crate::gate::Item> {
    let all = entitlements().into_iter().zip(amounts).zip(reservation.holds);
    all.filter(|(_, holds)| holds.iter().any(|units| *units > 0)).map(|(item, _)| item).collect()
}

/// One run: the bench, the model, and the keyed requests so far with their answers.
struct Run {
    bench: Bench,
    model: Model,
    requests: Vec<([i64; 2], Answer)>,
}

impl Run {
    async fn step(mut self, step: &Step) -> Self {
        match *step {
            Step::Consume(wanted) => {
                self.model.expire();
                let parts = self.model.admit(wanted);
                let key = format!("k{}", self.requests.len());
                let answer = self.bench.answer(self.bench.keyed(&key, 1, Command::Consume(items(wanted)))).await;
                self.requests.push((wanted, answer.clone()));
                self.spend(parts, |bucket, units| bucket.used += units);
                self.check(&answer, parts.map_or(Expected::Refused, |_| Expected::Done { overrun: 0 }));
            }
            Step::Reserve(wanted) if self.model.reservations.len() < RESERVATIONS => {
                self.model.expire();
                let parts = self.model.admit(wanted);
                let number = u128::try_from(self.model.reservations.len()).expect("small");
                let answer = self.bench.run(self.bench.reserve(number, items(wanted))).await;
                self.spend(parts, |bucket, units| bucket.held += units);
                if let Some(holds) = parts {
                    let ends_at = self.model.seconds + 60;
                    self.model.reservations.push(Reservation { holds, ends_at, state: State::Open, settled: None });
                }
                self.check(&answer, parts.map_or(Expected::Refused, |_| Expected::Done { overrun: 0 }));
            }
            Step::Settle(at, actual) if at < self.model.reservations.len() => {
                let number = u128::try_from(at).expect("small");
                let items = reserved_items(&self.model.reservations[at], actual);
                let answer = self.bench.run(self.bench.settle(number, items).await).await;
                let expected = self.model.settle(at, actual);
                if matches!(expected, Expected::Done { .. }) {
                    self.model.reservations[at].settled = Some(answer.clone());
                }
                self.check(&answer, expected);
            }
            Step::Release(at) if at < self.model.reservations.len() => {
                let number = u128::try_from(at).expect("small");
                let items = reserved_items(&self.model.reservations[at], [0; 2]);
                let answer = self.bench.run(self.bench.release(number, items).await).await;
                let expected = self.model.end(at, State::Released);
                self.check(&answer, expected);
            }
            Step::Expire(at) if at < self.model.reservations.len() => {
                let held = self.bench.held(u128::try_from(at).expect("small")).await;
                let answer = self.bench.run(Command::Expire(held)).await;
                let expected = self.model.end(at, State::Expired);
                self.check(&answer, expected);
            }
            Step::Wait(seconds) => {
                self.model.seconds += seconds;
                self.bench.now = START.plus_seconds(self.model.seconds);
            }
            Step::Repeat(at) if !self.requests.is_empty() => self.repeat(at % self.requests.len()).await,
            Step::Restart => self.bench = self.bench.restart().await,
            // There is nothing yet, or no room, to do it with.
            Step::Reserve(_) | Step::Settle(..) | Step::Release(_) | Step::Expire(_) | Step::Repeat(_) => {}
        }
        self
    }

    /// A request that was done is answered again; a refused one is decided anew, so it is only repeated while it
    /// still does not fit.
    async fn repeat(&mut self, at: usize) {
        self.model.expire();
        let (wanted, first) = self.requests[at].clone();
        let refused = matches!(first, Answer::Refused(_));
        if refused && self.model.admit(wanted).is_some() {
            return;
        }
        let answer = self.bench.answer(self.bench.keyed(&format!("k{at}"), 1, Command::Consume(items(wanted)))).await;
        self.check(&answer, if refused { Expected::Refused } else { Expected::Replay(first) });
    }

    fn spend(&mut self, parts: Option<[[i64; 3]; 2]>, take: impl Fn(&mut Bucket, i64)) {
        let Some(parts) = parts else { return };
        for (buckets, parts) in self.model.buckets.iter_mut().zip(parts) {
            for (bucket, units) in buckets.iter_mut().zip(parts) {
                take(bucket, units);
            }
        }
    }

    fn check(&self, answer: &Answer, expected: Expected) {
        let got = match answer {
            Answer::Done(done) if done.replayed => {
                Expected::Replay(Answer::Done(crate::gate::Done { replayed: false, ..done.clone() }))
            }
            Answer::Done(done) => {
                for quota in &done.quotas {
                    self.check_quota(quota);
                }
                Expected::Done { overrun: done.overrun }
            }
            Answer::Refused(_) => Expected::Refused,
            Answer::Ended(state) => Expected::Ended(*state),
            Answer::Stale | Answer::KeyReused => panic!("{answer:?}"),
        };
        assert_eq!(got, expected);
    }

    fn check_quota(&self, quota: &Quota) {
        let feature = FEATURES.iter().position(|key| *key == quota.feature.as_str()).expect("one of two");
        let [plan, first, second] = self.model.buckets[feature];
        let credits = self.model.free(feature)[1..].iter().sum::<i64>();
        assert_eq!(
            (quota.used, quota.reserved, quota.credits),
            (plan.used, plan.held, credits),
            "{first:?} {second:?}"
        );
        let admitted = self.model.buckets[feature].iter().zip(LIMITS[feature]);
        assert!(admitted.skip(1).all(|(bucket, limit)| bucket.used + bucket.held <= limit), "a pack never goes over");
    }

    /// In the end counters, events and reservations agree, and so does a process that starts anew.
    async fn finish(mut self) {
        self.bench = self.bench.restart().await;
        self.model.expire();
        let read = self.bench.run(Command::Read(entitlements().to_vec())).await;
        self.check(&read, Expected::Done { overrun: 0 });
        for (at, key) in FEATURES.iter().enumerate() {
            let used: i64 = self.model.buckets[at].iter().map(|bucket| bucket.used).sum();
            assert_eq!(self.bench.used_by_events(key).await, used);
        }
        let bench = self.bench.restart().await;
        assert_eq!(crate::doctor::violations(&bench.db).await.expect("it reads"), []);
    }
}

async fn play(location: Location, steps: Vec<Step>) {
    let mut run = Run { bench: Bench::new(location).await, model: Model::default(), requests: Vec::new() };
    for step in &steps {
        run = run.step(step).await;
    }
    run.finish().await;
}

fn check(cases: u32, play_on: impl Fn(Vec<Step>)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..40);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        play_on(steps);
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}

#[test]
fn the_gate_does_as_the_model_says_on_sqlite() {
    check(64, |steps| on_sqlite(|location| play(location, steps)));
}

#[test]
fn the_gate_does_as_the_model_says_on_postgres() {
    check(12, |steps| on_postgres(|location| play(location, steps)));
}
