//! Lives at random: whatever people, payments and time do in whatever order, the books add up and nothing happens twice.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{plainly, terms, usd};
use super::*;
use crate::money::Money;
use crate::proration::Allowance;
use crate::time::tests::ZONES;

/// What somebody does after some time, before it is known in which state that will be.
#[derive(Debug, Clone)]
enum Act {
    Ask(Command),
    /// The outcome of an open charge, by its number.
    Outcome(usize, bool),
}

fn any_terms() -> impl Strategy<Value = Terms> {
    (0_u128..4, any::<bool>(), prop_oneof![Just(0_i64), 1_i64..100_000, 1_i64..100_000_000])
        .prop_map(|(plan, year, minor)| terms(plan, if year { Interval::Year } else { Interval::Month }, minor))
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![Just(When::Usual), Just(When::Now), Just(When::PeriodEnd)]
}

fn allowances() -> impl Strategy<Value = Vec<Allowance>> {
    let one = (0_i64..200, 0_i64..300, prop::option::of(0_i64..400)).prop_map(|(limit, used, next_limit)| Allowance {
        limit,
        used,
        next_limit,
        period: Period::FOREVER,
    });
    prop::collection::vec(one, 0..3)
}

fn act() -> impl Strategy<Value = Act> {
    let later = prop::option::of((1_i64..90).prop_map(|days| Timestamp::EPOCH.plus_seconds(days * 86_400)));
    let ask = prop_oneof![
        4 => (any_terms(), when(), allowances()).prop_map(|(to, when, allowances)| Command::Change { to, when, allowances }),
        1 => Just(Command::DropScheduled),
        1 => (when(), any::<bool>(), allowances())
            .prop_map(|(when, refund, allowances)| Command::Cancel { when, refund, allowances }),
        2 => Just(Command::UndoCancel),
        1 => (when(), later).prop_map(|(when, until)| Command::Pause { when, until }),
        2 => Just(Command::Resume),
        1 => (0_i64..20).prop_map(|trial_days| Command::Approve { trial_days }),
    ];
    prop_oneof![
        2 => ask.prop_map(Act::Ask),
        3 => (0_usize..3, prop::bool::weighted(0.7)).prop_map(|(number, came)| Act::Outcome(number, came)),
    ]
}

fn discount() -> impl Strategy<Value = Option<Discount>> {
    let duration = prop_oneof![Just(Duration::Once), Just(Duration::Repeating), Just(Duration::Forever)];
    let off =
        prop_oneof![(1_u8..=100).prop_map(Off::Percent), (1_i64..50_000).prop_map(|minor| Off::Amount(usd(minor)))];
    let one = (off, duration, prop::option::of(1_u32..15));
    let one = one.prop_map(|(off, duration, months)| Discount { off, duration, months, from: Timestamp::EPOCH });
    prop::option::of(one)
}

fn new() -> impl Strategy<Value = Start> {
    (any_terms(), 0_i64..40, prop::bool::weighted(0.2), discount(), any::<bool>()).prop_map(
        |(terms, trial_days, approval, discount, payable)| Start {
            trial_days: trial_days - 20,
            approval_until: approval.then_some(Timestamp::from_micros(i64::MAX)),
            discount,
            payable,
            ..plainly(terms)
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    (0..ZONES.len(), 0_i64..30, any::<bool>()).prop_map(|(zone, grace_days, falls_back)| Rules {
        grace_days,
        fallback: falls_back.then(|| terms(9, Interval::Month, 0)),
        ..Rules::of(Zone::parse(ZONES[zone]).expect("a zone"))
    })
}

/// A subscription under test, with the books of all that was asked for and given back.
struct World {
    state: State,
    rules: Rules,
    now: Timestamp,
    slots: BTreeSet<String>,
    steps: BTreeSet<String>,
    asked: i64,
    with_approval: i64,
    given_back: i64,
}

impl World {
    fn begin(new: &Start, rules: Rules, now: Timestamp) -> Self {
        let approval_until = new.approval_until.map(|_| now.plus_seconds(1_800));
        let decision = start(&Start { approval_until, ..new.clone() }, &rules, now).expect("it begins");
        let (slots, steps) = (BTreeSet::new(), BTreeSet::new());
        let mut world =
            Self { state: decision.next.clone(), rules, now, slots, steps, asked: 0, with_approval: 0, given_back: 0 };
        world.write(decision);
        world
    }

    /// Writes a decision as the server would, and checks all that must hold of it.
    fn write(&mut self, decision: Decision) {
        for effect in &decision.effects {
            let (slot, amount, lines, sign) = match effect {
                Effect::Charge(charge) => (charge.slot, charge.amount, &charge.lines, 1),
                Effect::Collected(charge) => (charge.slot, charge.amount, &charge.lines, 0),
                Effect::Refund(refund) => (refund.slot, refund.amount, &refund.lines, -1),
                Effect::Retry(_) | Effect::Void(_) | Effect::Notify(_) => continue,
            };
            assert!(self.slots.insert(slot.to_string()), "{slot} twice");
            assert!(amount.minor > 0, "{effect:?}");
            assert_eq!(lines.iter().map(|line| line.amount.minor).sum::<i64>().abs(), amount.minor, "{effect:?}");
            match sign {
                0 => self.with_approval += amount.minor,
                1 => self.asked += amount.minor,
                _ => self.given_back += amount.minor,
            }
        }
        assert!(self.given_back <= self.asked + self.with_approval, "{} too much", self.given_back);
        if decision.cause == Cause::Renewed {
            assert_eq!(Some(decision.next.period.start), self.state.period.end, "periods tile time");
        }
        self.state = decision.next;
        self.check();
    }

    /// What must hold of every state.
    fn check(&self) {
        use SubscriptionStatus::{Active, Canceled, Expired, PastDue, Paused, Pending, Trialing};
        let state = &self.state;
        let until = state.access_until.is_some();
        match state.status {
            Pending => assert!(state.pending_until.is_some() && state.period.end.is_none()),
            Active => assert!(!state.is_overdue() && !until && state.dunning.is_none(), "{state:?}"),
            PastDue => assert!(state.is_overdue() && until && state.dunning.is_some(), "{state:?}"),
            Canceled => assert!(until && state.scheduled.is_none()),
            Paused => assert!(!until || state.dunning.is_some()),
            Trialing | Expired => assert!(state.open.is_empty() && !until && state.paid.amount.minor == 0),
        }
        if let Some(end) = state.period.end {
            assert!(state.period.start < end && (state.status == Expired || state.paid.from <= end), "{state:?}");
        }
        let mut slots: Vec<_> = state.open.iter().map(|open| open.slot).collect();
        slots.dedup();
        assert_eq!(slots.len(), state.open.len());
    }

    /// Does everything that is due, as the server's tick would.
    fn tick(&mut self) {
        let mut last = Timestamp::from_micros(i64::MIN);
        while let Some(first) = due(&self.state, &self.rules, self.now).expect("in range").first().copied() {
            assert!(first.at >= last, "oldest first");
            last = first.at;
            assert!(self.steps.insert(first.slot()), "{} twice", first.slot());
            let decision = decide(&self.state, &Command::Step(first.step), &self.rules, self.now).expect("it is due");
            assert_eq!(decision.at, first.at, "as of the instant at which it fell due");
            self.write(decision);
        }
    }

    /// What somebody does, if it may be; checks that the preview told what then happens.
    fn act(&mut self, act: &Act) {
        let command = match act {
            Act::Ask(Command::Pause { when, until }) => {
                let until = until.map(|days| self.now.plus_micros(days.as_micros()));
                Command::Pause { when: *when, until }
            }
            Act::Ask(command) => command.clone(),
            Act::Outcome(number, came) => {
                let Some(open) = self.state.open.get(*number) else { return };
                let slot = open.slot;
                if *came { Command::Paid { slot } } else { Command::PaymentFailed { slot } }
            }
        };
        let told = preview(&self.state, &command, &self.rules, self.now);
        let done = decide(&self.state, &command, &self.rules, self.now);
        let (told, done) = match (told, done) {
            (Ok(told), Ok(done)) => (told, done),
            (told, done) => {
                assert_eq!(told.err(), done.err(), "both refuse alike");
                return;
            }
        };
        let before = self.asked - self.given_back;
        let next = done.next.clone();
        self.write(done);
        assert_eq!(told.due_now.minor, self.asked - self.given_back - before, "{command:?}");
        assert_eq!(told.lines.iter().map(|line| line.amount.minor).sum::<i64>(), told.due_now.minor);
        self.check_next_charge(next, told.next_charge.as_ref());
    }

    /// Lets time alone run on in a copy: the first charge is the one that was told, or there is none for two years.
    fn check_next_charge(&self, mut state: State, told: Option<&NextCharge>) {
        let end = self.now.plus_seconds(2 * 366 * 86_400);
        while let Some(first) = due(&state, &self.rules, end).expect("in range").first().copied() {
            let decision = decide(&state, &Command::Step(first.step), &self.rules, first.at);
            // What is left out after a silence does happen when time goes by step by step.
            let Ok(decision) = decision else {
                let now = next_due_at(&state, &self.rules).expect("in range").expect("something is due");
                let step = due(&state, &self.rules, now).expect("in range")[0].step;
                state = decide(&state, &Command::Step(step), &self.rules, now).expect("it is due").next;
                continue;
            };
            let charge = decision.effects.iter().find_map(|effect| match effect {
                Effect::Charge(charge) => Some(charge),
                Effect::Collected(_) | Effect::Refund(_) | Effect::Retry(_) | Effect::Void(_) | Effect::Notify(_) => {
                    None
                }
            });
            if let Some(charge) = charge {
                assert_eq!(told.map(|told| (told.at, &told.charge)), Some((first.at, charge)));
                return;
            }
            state = decision.next;
        }
        assert!(told.is_none_or(|told| told.at > end), "{told:?}");
    }
}

proptest! {
    /// I5, I13, I16, I18: no slot is charged twice, no step is done twice, periods tile time, lines add up, no more is
    /// given back than was asked for, and the preview is what then happens.
    #[test]
    fn the_books_of_every_life_add_up(
        new in new(), rules in rules(), began in 0_i64..2_000_000_000,
        acts in prop::collection::vec((prop_oneof![Just(0_i64), 0_i64..86_400, 0_i64..8_000_000, 0_i64..40_000_000], act()), 0..25),
    ) {
        let mut world = World::begin(&new, rules, Timestamp::EPOCH.plus_seconds(began));
        for (pause, act) in acts {
            world.now = world.now.plus_seconds(pause);
            world.tick();
            world.act(&act);
        }
        world.now = world.now.plus_seconds(400 * 86_400);
        world.tick();
    }

    /// RELIABILITY E6: time that is worked off late, in one go, comes to the same as step by step.
    #[test]
    fn a_long_silence_changes_nothing(new in new(), rules in rules(), began in 0_i64..2_000_000_000, days in 1_i64..1_000) {
        let began = Timestamp::EPOCH.plus_seconds(began);
        let mut late = World::begin(&new, rules.clone(), began);
        let mut punctual = World::begin(&new, rules, began);
        late.now = began.plus_seconds(days * 86_400);
        late.tick();
        while let Some(at) = next_due_at(&punctual.state, &punctual.rules).expect("in range").filter(|at| *at <= late.now) {
            punctual.now = at;
            punctual.tick();
        }
        // An announcement that came too late was not made.
        punctual.state.trial = late.state.trial;
        prop_assert_eq!(&punctual.state, &late.state);
        prop_assert_eq!((punctual.slots, punctual.asked), (late.slots, late.asked));
    }

    /// RELIABILITY I15: whatever order a provider tells in, and however often, a payment that came has come.
    #[test]
    fn payments_are_told_in_any_order(told in prop::collection::vec(any::<bool>(), 0..6), place in 0_usize..6, minor in 1_i64..1_000_000) {
        let rules = Rules::of(Zone::UTC);
        let now = Timestamp::EPOCH;
        let begun = start(&plainly(terms(1, Interval::Month, minor)), &rules, now).expect("it begins").next;
        let slot = begun.open[0].slot;
        let mut told = told;
        told.insert(place.min(told.len()), true);
        let mut state = begun.clone();
        for came in told {
            let command = if came { Command::Paid { slot } } else { Command::PaymentFailed { slot } };
            match decide(&state, &command, &rules, now.plus_seconds(60)) {
                Ok(decision) => state = decision.next,
                Err(refusal) => prop_assert_eq!(refusal, Refusal::AlreadySo),
            }
        }
        prop_assert_eq!(state, State { open: Vec::new(), ..begun });
    }

    /// Going up and down within a period never costs less than the dearest plan would have for what was used of it, and
    /// never more than both in full.
    #[test]
    fn changes_at_once_are_worth_their_time(
        a in 1_i64..10_000_000, b in 1_i64..10_000_000, first in 0_i64..1_296_000, second in 0_i64..1_296_000,
    ) {
        let rules = Rules::of(Zone::UTC);
        let began = Timestamp::parse("2027-06-01T00:00:00Z").expect("a time in a test");
        let to = |plan, minor| Command::Change { to: terms(plan, Interval::Month, minor), when: When::Now, allowances: Vec::new() };
        let mut world = World::begin(&plainly(terms(1, Interval::Month, a)), rules, began);
        world.now = began.plus_seconds(first);
        world.act(&Act::Ask(to(2, b)));
        world.now = world.now.plus_seconds(second);
        world.act(&Act::Ask(to(1, a)));
        let month = 2_592_000_i128;
        let exact = i128::from(a) * (month - i128::from(second)) + i128::from(b) * i128::from(second);
        let off = i128::from(world.asked - world.given_back) * month - exact;
        prop_assert!(off.abs() <= 3 * month, "{off}");
        prop_assert_eq!(world.state.paid.amount.currency, Money::zero(Currency::USD).currency);
    }
}
