//! The books of revenue: sums by day and direct computation agree, whatever comes when.

use std::collections::BTreeMap;

use domain::id::SubscriptionId;
use domain::revenue::{Change, Cuts, Figures, Movement};
use domain::time::{Timestamp, Zone};

use super::bench::*;
use super::fresh::on_both;
use crate::db::Db;
use crate::revenue::{entries, roll, series};
use crate::subscription::{ChangeRow, last_worth, record};

const DAY: i64 = 86_400;
const STATUSES: [&str; 6] = ["trialing", "active", "past_due", "paused", "canceled", "expired"];

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, faces: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).expect("31 bits") % faces
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(i64::try_from(of.len()).expect("few"))).expect("small")]
    }
}

fn random(dice: &mut Dice, number: i64, at: Timestamp) -> ChangeRow {
    let first = dice.below(3) == 0;
    let (annual_before, annual_after) = (if first { 0 } else { dice.below(900) }, dice.below(900));
    ChangeRow {
        change_id: format!("chg_{number:06}"),
        at: at.as_micros(),
        subscription_id: format!("sub_{number}"),
        customer_id: cus(1).to_string(),
        cause: "test".into(),
        actor: "test".into(),
        status_before: (!first).then(|| dice.one_of(&STATUSES).to_owned()),
        status_after: dice.one_of(&STATUSES).to_owned(),
        plan_before: (!first).then(|| dice.one_of(&["a", "b", "c"]).to_owned()),
        plan_after: dice.one_of(&["a", "b", "c"]).to_owned(),
        price_before: None,
        price_after: None,
        currency_before: (!first && dice.below(5) == 0).then(|| "CHF".to_owned()),
        currency: dice.one_of(&["USD", "EUR"]).to_owned(),
        annual_before,
        annual_after,
        movement: Movement::of(annual_before, annual_after, !first).map(|movement| movement.name().to_owned()),
        slot: None,
    }
}

fn change(row: &ChangeRow) -> Change {
    let status = |text: &String| crate::catalog::from_word("test", text, text).expect("a status");
    Change {
        currency_before: row.currency_before.clone(),
        currency: row.currency.clone(),
        plan_before: row.plan_before.clone(),
        plan_after: row.plan_after.clone(),
        status_before: row.status_before.as_ref().map(status),
        status_after: status(&row.status_after),
        annual_before: row.annual_before,
        annual_after: row.annual_after,
        movement: Movement::ALL.into_iter().find(|movement| Some(movement.name()) == row.movement.as_deref()),
    }
}

type Books = BTreeMap<String, Figures>;

/// What the rows themselves say.
fn direct(rows: &[ChangeRow], cuts: &Cuts) -> Books {
    let mut books = Books::new();
    for row in rows.iter().filter(|row| row.at <= cuts.at.as_micros()) {
        let slice = cuts.sorted().iter().filter(|cut| row.at > cut.as_micros()).count();
        for entry in change(row).entries() {
            let slice = i64::try_from(slice).expect("small");
            books.entry(entry.currency.clone()).or_default().add(&entry, slice, cuts);
        }
    }
    books.retain(|_, figures| !figures.is_empty());
    books
}

async fn summed(db: &Db, cuts: &Cuts, until_now: bool) -> Books {
    let mut books = Books::new();
    for (slice, entry) in entries(db, &ten(1), cuts, until_now).await.expect("it reads") {
        books.entry(entry.currency.clone()).or_default().add(&entry, slice, cuts);
    }
    books.retain(|_, figures| !figures.is_empty());
    books
}

/// Sums without what is zero in the one and absent in the other.
fn told(books: &Books) -> Vec<String> {
    let figure = |(currency, f): (&String, &Figures)| {
        let plans: Vec<_> =
            f.by_plan().into_iter().map(|(plan, number, mrr)| format!("{plan} {number} {mrr}")).collect();
        let stands = (f.mrr(), f.mrr_month_ago(), f.arr(), f.subscriptions, f.live, f.paying, f.trialing);
        let happened = (f.live_then, f.ended, f.trial_conversion(), f.most_popular(str::to_owned), f.movements());
        format!("{currency} {stands:?} {happened:?} {plans:?}")
    };
    books.iter().map(figure).collect()
}

on_both! {
    async fn sums_and_direct_computation_agree_whatever_comes_late(location) {
        let bench = Bench::new(location).await;
        let mut dice = Dice(7);
        let mut rows = Vec::new();
        let mut now = START;
        let zones = ["UTC", "Europe/Berlin", "Asia/Kathmandu"];
        let mut zone = zones[0];
        for step in 0..60 {
            now = now.plus_seconds(dice.below(4 * DAY));
            let mut tx = bench.db.begin().await.expect("it begins");
            for _ in 0..dice.below(6) {
                // Half of them happened some time ago, one in ten has not happened yet.
                let at = match dice.below(10) {
                    0 => now.plus_seconds(dice.below(DAY)),
                    1..=5 => now.plus_seconds(-dice.below(90 * DAY)),
                    _ => now,
                };
                let row = random(&mut dice, i64::try_from(rows.len()).expect("few"), at);
                record(&mut tx, &ten(1), &row).await.expect("it is written");
                rows.push(row);
            }
            tx.commit().await.expect("it commits");
            if dice.below(12) == 0 {
                zone = dice.one_of(&zones);
            }
            for _ in 0..dice.below(3) {
                roll(&bench.db, &ten(1), zone, now, 1 + dice.below(9)).await.expect("it sums");
            }
            let kind = Zone::parse(zone).expect("a zone");
            let cuts = Cuts::of(now, &kind).expect("inside the calendar");
            assert_eq!(told(&summed(&bench.db, &cuts, true).await), told(&direct(&rows, &cuts)), "step {step}, now");
            let cuts = Cuts::of(now.plus_seconds(-dice.below(100 * DAY)), &kind).expect("inside the calendar");
            assert_eq!(told(&summed(&bench.db, &cuts, false).await), told(&direct(&rows, &cuts)), "step {step}, past");
        }
        while roll(&bench.db, &ten(1), zone, now.plus_seconds(DAY), 50).await.expect("it sums") {}
        let cuts = Cuts::of(now.plus_seconds(DAY), &Zone::UTC).expect("inside the calendar");
        assert_eq!(told(&summed(&bench.db, &cuts, true).await), told(&direct(&rows, &cuts)), "when all is summed");
        assert!(!roll(&bench.db, &ten(1), zone, now, 50).await.expect("it sums"), "nothing is summed twice");
        assert!(entries(&bench.db, &ten(2), &cuts, true).await.expect("it reads").is_empty(), "of another tenant");
    }

    async fn the_last_worth_is_of_the_latest_time_and_of_that_subscription(location) {
        let bench = Bench::new(location).await;
        let mut dice = Dice(3);
        let mut tx = bench.db.begin().await.expect("it begins");
        for (number, ago, annual, subscription) in [(0, 5, 50, "sub_a"), (1, 1, 10, "sub_a"), (2, 9, 90, "sub_a"), (3, 0, 7, "sub_b")] {
            let row = random(&mut dice, number, START.plus_seconds(-ago));
            let row = ChangeRow { subscription_id: subscription.into(), annual_after: annual, currency: "USD".into(), ..row };
            record(&mut tx, &ten(1), &row).await.expect("it is written");
        }
        let a = (&cus(1), &SubscriptionId::stored("sub_a"));
        assert_eq!(last_worth(&mut tx, &ten(1), a).await.expect("it reads"), Some((10, "USD".to_owned())));
        assert_eq!(last_worth(&mut tx, &ten(2), a).await.expect("it reads"), None);
    }

    async fn a_series_is_the_same_before_and_after_it_is_summed(location) {
        let bench = Bench::new(location).await;
        let mut dice = Dice(11);
        let mut tx = bench.db.begin().await.expect("it begins");
        for number in 0..80 {
            let at = START.plus_seconds(dice.below(20 * DAY));
            let row = random(&mut dice, number, at);
            record(&mut tx, &ten(1), &row).await.expect("it is written");
        }
        tx.commit().await.expect("it commits");
        let (from, to) = (START.plus_seconds(5 * DAY), START.plus_seconds(15 * DAY));
        let told = async || {
            let mut sums: BTreeMap<(i64, &str), (i64, i64)> = BTreeMap::new();
            for (at, entry) in series(&bench.db, &ten(1), "USD", (from, to)).await.expect("it reads") {
                let day = at - at.rem_euclid(DAY * 1_000_000);
                let sum = sums.entry((day, entry.fact.name())).or_default();
                *sum = (sum.0 + entry.amount, sum.1 + entry.number);
            }
            sums.retain(|_, sum| *sum != (0, 0));
            sums
        };
        let before = told().await;
        assert!(before.len() > 20 && before.keys().all(|(day, _)| *day == 0 || *day >= from.as_micros()), "{before:?}");
        roll(&bench.db, &ten(1), "UTC", to, 30).await.expect("it sums");
        assert_eq!(told().await, before);
        while roll(&bench.db, &ten(1), "UTC", START.plus_seconds(30 * DAY), 30).await.expect("it sums") {}
        assert_eq!(told().await, before);
    }
}
