//! Tables and properties of decisions.

use proptest::prelude::*;

use super::*;
use crate::catalog::Thresholds;
use crate::id::GrantId;
use crate::quota::Status;
use crate::reservation;
use crate::time::Period;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// An entitlement with a plan's limit and packs of credits.
pub(crate) fn entitled(feature: &str, limit: Option<i64>, limit_type: LimitType, packs: &[i64]) -> Entitlement {
    let feature = FeatureKey::stored(feature);
    let pack = |(number, units): (u128, &i64)| (CounterKey::grant(&feature, &GrantId::from_bits(number)), *units);
    Entitlement {
        kind: FeatureKind::Counter,
        limit,
        limit_type,
        period: Period::FOREVER,
        thresholds: Thresholds::default(),
        plan_key: CounterKey::plan(&feature, Period::FOREVER),
        grants: (0..).zip(packs).map(pack).collect(),
        valid_until: None,
        fail_open: 0,
        version: 0,
        origin: Origin::default(),
        feature,
    }
}

pub(crate) fn hard(feature: &str, limit: i64) -> Entitlement {
    entitled(feature, Some(limit), LimitType::Hard, &[])
}

/// A book in which counters stand at `used` and `held`, in the order of the entitlement's keys.
pub(crate) fn book(entitlement: &Entitlement, levels: &[(i64, i64)]) -> Book {
    let mut book = Book::default();
    for (key, (used, held)) in entitlement.counter_keys().zip(levels) {
        let next_expiry = (*held > 0).then_some(NOW.plus_seconds(5));
        book.load(key.clone(), Counter { used: *used, held: *held, next_expiry, version: 7 });
    }
    book
}

/// What one use draws from plan and packs, and how much of it is over; none when it is refused.
fn drawn(entitlement: &Entitlement, levels: &[(i64, i64)], amount: i64) -> Option<(Vec<i64>, i64)> {
    let item = Item { entitlement, amount };
    let lines = admit(&[item], Draw::Use, &book(entitlement, levels), NOW).ok()?;
    let of = |key| lines.iter().find(|line| &line.key == key).map_or(0, |line| line.amount);
    Some((entitlement.counter_keys().map(of).collect(), lines.iter().map(|line| line.over).sum()))
}

#[test]
fn what_could_not_be_decided_is_recorded_in_full() {
    let packed = entitled("f", Some(10), LimitType::Hard, &[3]);
    let item = |amount| [Item { entitlement: &packed, amount }];
    let lines = record(&item(9), &book(&packed, &[(4, 0)]), NOW).unwrap();
    assert_eq!(lines.iter().map(|line| (line.amount, line.over)).collect::<Vec<_>>(), [(6, 0), (3, 0)]);
    let lines = record(&item(12), &book(&packed, &[(4, 0)]), NOW).unwrap();
    assert_eq!(lines.iter().map(|line| (line.amount, line.over)).collect::<Vec<_>>(), [(9, 3), (3, 0)]);
    assert_eq!(lines[0].quota.as_ref().map(|quota| (quota.used, quota.credits)), Some((13, 0)));
}

#[test]
fn a_use_is_drawn_from_the_plan_and_then_from_the_packs() {
    type Case = (Entitlement, &'static [(i64, i64)], i64, Option<(Vec<i64>, i64)>);
    let hard = |packs: &[i64]| entitled("f", Some(10), LimitType::Hard, packs);
    let table: [Case; 12] = [
        (hard(&[]), &[], 10, Some((vec![10], 0))),
        (hard(&[]), &[], 11, None),
        (hard(&[]), &[(4, 5)], 1, Some((vec![1], 0))),
        (hard(&[]), &[(4, 5)], 2, None),
        (hard(&[]), &[(12, 0)], 1, None),
        (hard(&[5, 5]), &[(8, 0)], 9, Some((vec![2, 5, 2], 0))),
        (hard(&[5, 5]), &[(12, 0), (1, 2)], 3, Some((vec![0, 2, 1], 0))),
        (hard(&[5, 5]), &[(10, 0), (5, 0), (0, 4)], 2, None),
        (entitled("f", Some(10), LimitType::Soft, &[]), &[(8, 0)], 5, Some((vec![5], 3))),
        (entitled("f", Some(10), LimitType::Soft, &[4]), &[(8, 0)], 9, Some((vec![5, 4], 3))),
        (entitled("f", None, LimitType::Unlimited, &[]), &[(1, 1)], AMOUNT_MAX, Some((vec![AMOUNT_MAX], 0))),
        (hard(&[]), &[(10, 0)], 0, Some((vec![0], 0))),
    ];
    for (entitlement, levels, amount, expected) in table {
        assert_eq!(drawn(&entitlement, levels, amount), expected, "{amount} of {levels:?}");
    }
}

#[test]
fn a_refusal_names_every_limit_that_does_not_fit() {
    let (a, b, c) = (hard("a", 1), hard("b", 9), hard("c", 1));
    let items = [&a, &b, &c].map(|entitlement| Item { entitlement, amount: 2 });
    let Err(Refusal::Exceeded(excesses)) = admit(&items, Draw::Use, &Book::default(), NOW) else {
        panic!("it does not fit");
    };
    let named: Vec<_> = excesses.iter().map(|excess| (excess.quota.feature.as_str(), excess.requested)).collect();
    assert_eq!(named, [("a", 2), ("c", 2)]);
    assert_eq!(excesses[0].quota.used, 0, "the quota as it stands");
}

#[test]
fn the_plans_line_carries_the_quota_also_when_only_credits_moved() {
    let entitlement = entitled("f", Some(10), LimitType::Hard, &[5]);
    let item = Item { entitlement: &entitlement, amount: 2 };
    let lines = admit(&[item], Draw::Use, &book(&entitlement, &[(10, 0)]), NOW).expect("it fits");
    let plan = lines.iter().find(|line| line.key == entitlement.plan_key).expect("the plan's line");
    let quota = plan.quota.as_ref().expect("its quota");
    assert_eq!((plan.amount, quota.used, quota.credits, quota.status), (0, 10, 3, Status::Critical));
    assert_eq!(lines.iter().filter(|line| line.quota.is_some()).count(), 1);
}

#[test]
fn a_flag_is_admitted_and_counts_nothing() {
    let flag = Entitlement { kind: FeatureKind::Flag, ..entitled("f", None, LimitType::Unlimited, &[]) };
    let lines = admit(&[Item { entitlement: &flag, amount: 5 }], Draw::Use, &Book::default(), NOW).expect("on");
    assert_eq!((lines.len(), lines[0].amount, lines[0].after.used), (1, 0, 0));
}

#[test]
fn a_hold_remembers_the_first_to_run_out() {
    let entitlement = hard("f", 10);
    let until = |seconds| Draw::Hold(NOW.plus_seconds(seconds));
    let item = Item { entitlement: &entitlement, amount: 2 };
    let mut book = Book::default();
    for (seconds, first) in [(60, 60), (90, 60), (30, 30)] {
        let lines = admit(&[item], until(seconds), &book, NOW).expect("it fits");
        book.apply(&lines);
        assert_eq!(book.get(&entitlement.plan_key).next_expiry, Some(NOW.plus_seconds(first)));
    }
    assert_eq!((book.get(&entitlement.plan_key).used, book.get(&entitlement.plan_key).held), (0, 6));
}

#[test]
fn versions_grow_also_when_the_clock_steps_back() {
    let entitlement = hard("f", 10);
    let item = Item { entitlement: &entitlement, amount: 1 };
    let mut book = Book::default();
    for (now, version) in [(50, 50), (50, 51), (40, 52), (60, 60)] {
        let lines = admit(&[item], Draw::Use, &book, Timestamp::from_micros(now)).expect("it fits");
        book.apply(&lines);
        assert_eq!(book.get(&entitlement.plan_key).version, version);
        assert_eq!(lines[0].quota.as_ref().map(|quota| quota.version), Some(version));
    }
    let published = Entitlement { version: 99, ..entitlement };
    assert_eq!(quota(&published, &book).version, 99, "a newer plan makes a newer quota");
}

#[test]
fn a_counter_that_cannot_hold_the_sum_refuses() {
    let entitlement = entitled("f", None, LimitType::Unlimited, &[]);
    let item = Item { entitlement: &entitlement, amount: 2 };
    let full = book(&entitlement, &[(i64::MAX - 1, 0)]);
    assert_eq!(admit(&[item], Draw::Use, &full, NOW), Err(Refusal::TooLarge(entitlement.feature.clone())));
}

#[derive(Debug, Clone)]
enum Step {
    Use([i64; 2]),
    Hold([i64; 2]),
    Release(usize),
    Settle(usize, [i64; 2]),
}

fn step() -> impl Strategy<Value = Step> {
    let amounts = [0..9_i64, 0..9_i64];
    prop_oneof![
        amounts.clone().prop_map(Step::Use),
        amounts.clone().prop_map(Step::Hold),
        any::<usize>().prop_map(Step::Release),
        (any::<usize>(), amounts).prop_map(|(at, actual)| Step::Settle(at, actual)),
    ]
}

proptest! {
    /// Admissions stay within plan and packs whatever came before, lines add up to the counters, and what is refused
    /// changes nothing.
    #[test]
    fn no_sequence_goes_over_a_limit(steps in prop::collection::vec(step(), 0..40), packs in [0..20_i64, 0..20_i64]) {
        let both = [entitled("a", Some(20), LimitType::Hard, &packs), entitled("b", Some(30), LimitType::Hard, &[7])];
        let (mut book, mut sums, mut open) = (Book::default(), HashMap::new(), Vec::new());
        for step in steps {
            let items = |amounts: [i64; 2]| [0, 1].map(|at| Item { entitlement: &both[at], amount: amounts[at] });
            let made = match step {
                Step::Use(amounts) => admit(&items(amounts), Draw::Use, &book, NOW),
                Step::Hold(amounts) => admit(&items(amounts), Draw::Hold(NOW), &book, NOW).inspect(|lines| {
                    open.push((reservation::holds(lines), amounts));
                }),
                Step::Release(at) if !open.is_empty() => {
                    let (holds, _) = open.remove(at % open.len());
                    reservation::release(&holds, &book, NOW)
                }
                Step::Settle(at, actual) if !open.is_empty() => {
                    let (holds, held) = open.remove(at % open.len());
                    let within = [0, 1].map(|at| actual[at].min(held[at]));
                    reservation::settle(&holds, &items(within), true, &book, NOW)
                }
                Step::Release(_) | Step::Settle(..) => continue,
            };
            let Ok(lines) = made else { continue };
            for line in &lines {
                let sum: &mut (i64, i64) = sums.entry(line.key.clone()).or_default();
                *sum = (sum.0 + line.amount, sum.1 + line.hold);
                prop_assert_eq!(line.over, 0);
            }
            book.apply(&lines);
            for (key, counter) in book.iter() {
                let sum = sums.get(key).copied().unwrap_or_default();
                prop_assert_eq!((counter.used, counter.held), sum, "lines add up");
                prop_assert!(counter.used >= 0 && counter.held >= 0);
            }
            for entitlement in &both {
                let limits = [20 + 10 * i64::from(entitlement.feature.as_str() == "b")];
                let granted = limits.into_iter().chain(entitlement.grants.iter().map(|(_, units)| *units));
                for (key, limit) in entitlement.counter_keys().zip(granted) {
                    let counter = book.get(key);
                    prop_assert!(counter.used + counter.held <= limit, "{key:?} {counter:?}");
                }
            }
        }
    }

    /// An action is admitted exactly when each of its items alone would be.
    #[test]
    fn all_items_or_none(used in [0..12_i64, 0..12_i64], amounts in [0..12_i64, 0..12_i64]) {
        let both = [hard("a", 10), hard("b", 10)];
        let mut book = Book::default();
        for at in 0..2 {
            book.load(both[at].plan_key.clone(), Counter { used: used[at], ..Counter::default() });
        }
        let items = [0, 1].map(|at| Item { entitlement: &both[at], amount: amounts[at] });
        let fits = |at: usize| amounts[at] <= (10 - used[at]).max(0);
        let made = admit(&items, Draw::Use, &book, NOW);
        prop_assert_eq!(made.is_ok(), fits(0) && fits(1));
        if let Ok(lines) = made {
            let moved: Vec<_> = lines.iter().map(|line| line.amount).filter(|amount| *amount > 0).collect();
            let asked: Vec<_> = amounts.into_iter().filter(|amount| *amount > 0).collect();
            prop_assert_eq!(moved, asked);
        }
    }
}
