//! The books and the figures, as tables and properties.

use proptest::prelude::*;

use super::*;
use crate::money::Currency;
use crate::time::Zone;

#[test]
fn a_year_of_a_price_is_exact() {
    let price = |minor| Money::new(minor, Currency::USD);
    assert_eq!(Interval::Month.annual(price(29_900)), Some(358_800));
    assert_eq!(Interval::Year.annual(price(299_000)), Some(299_000));
    assert_eq!(Interval::Month.annual(price(i64::MAX)), None);
}

#[test]
fn movements_are_told_apart() {
    for (before, after, paid_ever, expected) in [
        (0, 0, false, None),
        (5, 5, true, None),
        (0, 5, false, Some(Movement::New)),
        (0, 5, true, Some(Movement::Reactivation)),
        (5, 9, true, Some(Movement::Expansion)),
        (9, 5, true, Some(Movement::Contraction)),
        (9, 0, true, Some(Movement::Churn)),
    ] {
        assert_eq!(Movement::of(before, after, paid_ever), expected, "{before} → {after}");
    }
}

#[test]
fn a_canceled_one_counts_until_its_end() {
    let (end, one) = (Timestamp::from_micros(1_000), Timestamp::from_micros(999));
    assert!(counts(SubscriptionStatus::Canceled, Some(end), one));
    assert!(!counts(SubscriptionStatus::Canceled, Some(end), end));
    assert!(!counts(SubscriptionStatus::Canceled, None, one));
    assert!(counts(SubscriptionStatus::PastDue, None, one) && counts(SubscriptionStatus::Active, None, one));
    for not in [SubscriptionStatus::Trialing, SubscriptionStatus::Paused, SubscriptionStatus::Expired] {
        assert!(!counts(not, None, one));
    }
}

#[test]
fn a_canceled_one_is_worth_what_it_brought_until_its_end() {
    use SubscriptionStatus::{Active, Canceled, Expired, Trialing};
    let (now, later) = (Timestamp::from_micros(5), Some(Timestamp::from_micros(9)));
    for (status, until, before, expected) in [
        (Active, None, 0, 12),
        (Trialing, None, 0, 0),
        (Canceled, later, 12, 12),
        (Canceled, later, 0, 0),
        (Canceled, Some(now), 12, 0),
        (Expired, later, 12, 0),
    ] {
        assert_eq!(worth(12, (status, until), before, now), expected, "{status:?} until {until:?} after {before}");
    }
}

fn change(before: Option<(SubscriptionStatus, &str, i64)>, after: (SubscriptionStatus, &str, i64)) -> Change {
    Change {
        currency_before: None,
        currency: "USD".into(),
        plan_before: before.map(|(_, plan, _)| plan.to_owned()),
        plan_after: after.1.to_owned(),
        status_before: before.map(|(status, ..)| status),
        status_after: after.0,
        annual_before: before.map_or(0, |(.., annual)| annual),
        annual_after: after.2,
        movement: Movement::of(before.map_or(0, |(.., annual)| annual), after.2, before.is_some()),
    }
}

fn told(change: &Change) -> Vec<String> {
    let entries = change.entries().into_iter();
    entries.map(|e| format!("{} {} {} {} {}", e.currency, e.plan, e.fact.name(), e.amount, e.number)).collect()
}

#[test]
fn facts_lead_back_from_their_names() {
    for fact in Fact::ALL {
        assert_eq!(Fact::parse(fact.name()), Some(fact));
    }
}

#[test]
fn each_transition_writes_what_stands_and_what_happened() {
    use SubscriptionStatus::{Active, Canceled, Expired, Paused, Trialing};
    let first = change(None, (Active, "a", 12));
    assert_eq!(
        told(&first),
        ["USD a worth 12 1", "USD a live 0 1", "USD a paying 0 1", "USD a sign_up 0 1", "USD a new 12 1"]
    );
    let free = change(None, (Active, "a", 0));
    assert_eq!(told(&free), ["USD a worth 0 1", "USD a live 0 1", "USD a sign_up 0 1"]);
    let moved = change(Some((Active, "a", 12)), (Active, "b", 30));
    let moved = told(&moved);
    assert_eq!(moved[..2], ["USD a worth -12 -1", "USD b worth 30 1"]);
    assert_eq!(moved.last().map(String::as_str), Some("USD b expansion 18 1"));
    // Canceled until its end it stands as before; only its end is churn.
    assert_eq!(told(&change(Some((Active, "a", 12)), (Canceled, "a", 12))), Vec::<String>::new());
    let over = change(Some((Canceled, "a", 12)), (Expired, "a", 0));
    assert_eq!(
        told(&over),
        ["USD a worth -12 -1", "USD a live 0 -1", "USD a paying 0 -1", "USD a ended 0 1", "USD a churn -12 1"]
    );
    let trial = told(&change(None, (Trialing, "a", 0)));
    assert_eq!(trial, ["USD a live 0 1", "USD a trialing 0 1", "USD a sign_up 0 1"]);
    let won = told(&change(Some((Trialing, "a", 0)), (Active, "a", 12)));
    assert!(won.contains(&"USD a trial_won 0 1".to_owned()) && !won.iter().any(|line| line.contains("sign_up")));
    let lost = told(&change(Some((Trialing, "a", 0)), (Canceled, "a", 0)));
    assert_eq!(lost, ["USD a trialing 0 -1", "USD a trial_lost 0 1"], "a canceled trial counts for nothing");
    assert!(told(&change(Some((Active, "a", 12)), (Paused, "a", 0))).contains(&"USD a churn -12 1".to_owned()));
    let other = Change { currency_before: Some("EUR".into()), ..change(Some((Active, "a", 12)), (Active, "a", 15)) };
    let other = told(&other);
    assert!(other.contains(&"EUR a worth -12 -1".to_owned()) && other.contains(&"USD a worth 15 1".to_owned()));
    assert!(other.contains(&"EUR a churn -12 1".to_owned()) && other.contains(&"USD a new 15 1".to_owned()));
}

fn cuts(at: i64) -> Cuts {
    Cuts::of(Timestamp::EPOCH.plus_seconds(at * 86_400), &Zone::UTC).expect("inside the calendar")
}

fn figures(changes: &[(i64, Change)], cuts: &Cuts) -> Figures {
    let mut figures = Figures::default();
    for (day, change) in changes {
        let at = Timestamp::EPOCH.plus_seconds(day * 86_400);
        let slice = cuts.sorted().iter().filter(|cut| at > **cut).count();
        for entry in change.entries().iter().filter(|_| at <= cuts.at) {
            figures.add(entry, i64::try_from(slice).expect("small"), cuts);
        }
    }
    figures
}

#[test]
fn the_example_of_the_specification_is_exact() {
    let active = |plan, annual| change(None, (SubscriptionStatus::Active, plan, annual));
    let starters = (0..245).map(|_| (100, active("starter", 29_900 * 12)));
    let professionals = (0..89).map(|_| (90, active("professional", 79_900 * 12)));
    // Twelve prices of their own, none of which divides by twelve, that together bring 36,000 a month.
    let enterprises = (0..12).map(|n| (20, active("enterprise", if n == 0 { 3_600_055 } else { 3_599_995 })));
    let changes: Vec<_> = starters.chain(professionals).chain(enterprises).collect();
    let figures = figures(&changes, &cuts(100));
    assert_eq!((figures.mrr(), figures.arr(), figures.subscriptions), (18_036_600, 216_439_200, 346));
    let by_plan = figures.by_plan();
    assert_eq!(by_plan, [("enterprise", 12, 3_600_000), ("professional", 89, 7_111_100), ("starter", 245, 7_325_500)]);
    let shares: Vec<_> = by_plan.iter().map(|(plan, ..)| figures.share(plan).to_string()).collect();
    assert_eq!(shares, ["20.0", "39.4", "40.6"]);
    let (plan, number, share) = figures.most_popular(|_| 0).expect("there were sign-ups");
    assert_eq!((plan, number, share.to_string().as_str()), ("starter", 245, "73.4"));
    assert_eq!(figures.growth().map(|growth| growth.to_string()).as_deref(), Some("401.0"));
    assert_eq!((figures.churn().map(|churn| churn.0), figures.ltv()), (Some(0), None));
    assert_eq!(figures.arpa(), Some(52_129), "180,366 ÷ 346 = 521.289…");
}

#[test]
fn churn_life_and_conversion() {
    use SubscriptionStatus::{Active, Expired, Trialing};
    let mut changes: Vec<_> = (0..40).map(|_| (10, change(None, (Active, "a", 1_200)))).collect();
    changes.push((80, change(Some((Active, "a", 1_200)), (Expired, "a", 0))));
    changes.extend((0..3).map(|_| (60, change(None, (Trialing, "a", 0)))));
    changes.extend((0..2).map(|_| (90, change(Some((Trialing, "a", 0)), (Active, "a", 1_200)))));
    changes.push((95, change(Some((Trialing, "a", 0)), (Expired, "a", 0))));
    let figures = figures(&changes, &cuts(100));
    // 43 were live 30 days ago, two have ended since.
    assert_eq!((figures.live_then, figures.ended, figures.churn().map(|c| c.0)), (43, 2, Some(47)));
    assert_eq!(figures.trial_conversion().map(|share| share.to_string()).as_deref(), Some("66.7"));
    assert_eq!((figures.mrr(), figures.paying, figures.arpa(), figures.ltv()), (4_100, 41, Some(100), Some(2_150)));
    assert_eq!(figures.most_popular(|_| 0), None, "nobody signed up in the last 30 days");
    assert_eq!(Figures::default().growth(), None);
}

#[test]
fn decimals_are_rounded_half_up() {
    for (part, whole, text) in [(1, 3, "33.3"), (2, 3, "66.7"), (1, 2_000, "0.1"), (-1, 2_000, "0.0"), (-1, 3, "-33.3")]
    {
        assert_eq!(Tenths::share(part, whole).map(|share| share.to_string()).as_deref(), Some(text));
    }
    assert_eq!(Tenths::share(1, 0), None);
    assert_eq!(rounded(i128::MAX, 1), None);
}

/// A random history: each customer's subscription goes from where it stands to somewhere else.
fn histories() -> impl Strategy<Value = Vec<(i64, Change)>> {
    let step = (0_i64..120, 0_usize..6, 0_usize..3, 0_i64..500);
    prop::collection::vec(prop::collection::vec(step, 1..6), 1..8).prop_map(|customers| {
        let mut all = Vec::new();
        for mut steps in customers {
            steps.sort_by_key(|(day, ..)| *day);
            let mut stands: Option<(SubscriptionStatus, &str, i64)> = None;
            for (day, status, plan, worth) in steps {
                use SubscriptionStatus::{Active, Canceled, Expired, PastDue, Paused, Trialing};
                let status = [Active, PastDue, Canceled, Trialing, Paused, Expired][status];
                let annual = if matches!(status, Active | PastDue | Canceled) { worth } else { 0 };
                let next = (status, ["a", "b", "c"][plan], annual);
                all.push((day, change(stands, next)));
                stands = Some(next);
            }
        }
        all
    })
}

proptest! {
    #[test]
    fn what_moved_is_the_difference_and_the_plans_add_up(changes in histories(), at in 40_i64..130) {
        let cuts = cuts(at);
        let figures = figures(&changes, &cuts);
        let moved: i64 = figures.movements().iter().map(|(_, moved)| moved.amount).sum();
        prop_assert_eq!(moved, figures.mrr() - figures.mrr_month_ago());
        prop_assert_eq!(figures.by_plan().iter().map(|(.., mrr)| mrr).sum::<i64>(), figures.mrr());
        prop_assert_eq!(figures.by_plan().iter().map(|(_, number, _)| number).sum::<i64>(), figures.subscriptions);
        prop_assert!(figures.paying <= figures.subscriptions && figures.subscriptions <= figures.live);
        prop_assert!(figures.by_plan().iter().all(|(_, number, mrr)| *number >= 0 && *mrr >= 0));
    }

    #[test]
    fn the_order_of_the_entries_does_not_matter(changes in histories(), at in 40_i64..130) {
        let cuts = cuts(at);
        let backwards: Vec<_> = changes.iter().rev().cloned().collect();
        prop_assert_eq!(figures(&changes, &cuts), figures(&backwards, &cuts));
    }

    #[test]
    fn parts_add_up_and_are_off_by_less_than_one(sums in prop::collection::vec(-5_000_i128..5_000, 1..9)) {
        let all: i128 = sums.iter().sum();
        let total = rounded(all, 12).expect("small");
        let parts = split(total, &sums, 12);
        prop_assert_eq!(parts.iter().sum::<i64>(), total);
        for (part, sum) in parts.iter().zip(&sums) {
            prop_assert!((i128::from(*part) * 12 - sum).abs() < 12);
        }
    }
}
