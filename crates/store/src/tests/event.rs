//! The outbox: numbers without gaps in the order of commits, and nothing of what is rolled back.

use domain::event::{Audience, Event, Facts, Kind};
use domain::id::CustomerId;
use domain::time::Timestamp;

use super::bench::{START, ten};
use super::fresh::on_both;
use crate::db::{Db, Tx};
use crate::event::{CUSTOMER_CREATED, Numbered, Spoken, between, drop_some, first, head, tell};
use crate::feed::{Notice, listen};

const WRITERS: usize = 8;
const TOLD_BY_EACH: usize = 25;

async fn begin(db: &Db) -> Tx {
    db.begin().await.expect("it begins")
}

fn coupon(code: &str) -> Event {
    let subject = Some(code.to_owned());
    Event { kind: Kind::Coupon, audience: Audience::Staff, subject, customer: None, facts: Facts::default() }
}

async fn tell_one(db: &Db, tenant: u32, code: &str, at: Timestamp) {
    let mut tx = begin(db).await;
    tell(&mut tx, &ten(tenant), at, coupon(code));
    tx.commit().await.expect("it commits");
}

async fn all(db: &Db, tenant: u32) -> Vec<Numbered> {
    between(db, &ten(tenant), (0, i64::MAX), 1_000).await.expect("it reads")
}

fn told(rows: &[Numbered]) -> Vec<(i64, &str)> {
    rows.iter().map(|row| (row.seq, row.event.subject.as_deref().unwrap_or("-"))).collect()
}

on_both! {
    async fn what_commits_is_numbered_and_what_does_not_was_never_told(location) {
        let db = Db::open(&location).await.expect("it opens");
        tell_one(&db, 1, "a", START).await;
        let mut tx = begin(&db).await;
        tell(&mut tx, &ten(1), START, coupon("lost"));
        drop(tx);
        let mut tx = begin(&db).await;
        for (tenant, code) in [(2, "x"), (1, "b"), (1, "c"), (1, "b")] {
            tell(&mut tx, &ten(tenant), START, coupon(code));
        }
        tx.commit().await.expect("it commits");
        begin(&db).await.commit().await.expect("who has nothing to tell commits, too");
        assert_eq!(told(&all(&db, 1).await), [(1, "a"), (2, "b"), (3, "c")], "what is said twice is told once");
        assert_eq!(told(&all(&db, 2).await), [(1, "x")]);
        assert_eq!(head(&db, &ten(1)).await.expect("it reads"), 3);
        assert_eq!(head(&db, &ten(3)).await.expect("it reads"), 0);
    }

    async fn an_event_is_read_as_it_was_told(location) {
        let db = Db::open(&location).await.expect("it opens");
        let event = Event {
            kind: Kind::Subscription,
            audience: Audience::Customer,
            subject: Some("cus_a".into()),
            customer: Some(CustomerId::stored("cus_a")),
            facts: Facts {
                plan: Some("starter".into()),
                version: Some(7),
                status: Some("active".into()),
                cause: Some("checkout".into()),
            },
        };
        let mut tx = begin(&db).await;
        tell(&mut tx, &ten(1), START, event.clone());
        tx.commit().await.expect("it commits");
        assert_eq!(all(&db, 1).await, [Numbered { seq: 1, at: START, event }]);
    }

    async fn who_reads_while_others_write_sees_no_number_before_the_ones_below_it(location) {
        let db = Db::open(&location).await.expect("it opens");
        let mut heard = listen(&db).await.expect("it listens");
        let writers: Vec<_> = (0..WRITERS).map(|writer| {
            let db = db.clone();
            tokio::runtime::Handle::current().spawn(async move {
                for number in 0..TOLD_BY_EACH {
                    tell_one(&db, 1, &format!("w{writer}-{number}"), START).await;
                }
            })
        }).collect();
        let total = i64::try_from(WRITERS * TOLD_BY_EACH).expect("it fits");
        let (mut seen, mut announced) = (Vec::new(), 0);
        while announced < total {
            let notice = heard.next().await.expect("it hears").expect("nothing was missed");
            let Notice::Events(Spoken { tenant, first, last }) = notice else { panic!("{notice:?}") };
            assert_eq!((tenant, first), (ten(1), announced + 1), "each is announced once, in order");
            announced = last;
            let reached = i64::try_from(seen.len()).expect("it fits");
            for row in between(&db, &ten(1), (reached, i64::MAX), 1_000).await.expect("it reads") {
                assert_eq!(row.seq, i64::try_from(seen.len()).expect("it fits") + 1, "a later one came before it");
                seen.push(row.event.subject.expect("each has one"));
            }
        }
        for writer in writers {
            writer.await.expect("it ends well");
        }
        for writer in 0..WRITERS {
            let own: Vec<_> = seen.iter().filter(|code| code.starts_with(&format!("w{writer}-"))).collect();
            let expected: Vec<_> = (0..TOLD_BY_EACH).map(|number| format!("w{writer}-{number}")).collect();
            assert_eq!(own, expected.iter().collect::<Vec<_>>(), "in the order of its commits");
        }
    }

    async fn of_many_new_customers_it_is_told_once_and_of_others_one_by_one(location) {
        let db = Db::open(&location).await.expect("it opens");
        let created = |number: usize| {
            let id = format!("cus_{number}");
            let facts = Facts { cause: Some(CUSTOMER_CREATED.into()), ..Facts::default() };
            let customer = Some(CustomerId::stored(id.as_str()));
            Event { kind: Kind::Customer, audience: Audience::Staff, subject: Some(id), customer, facts }
        };
        let started = |number: usize| {
            Event { kind: Kind::Subscription, audience: Audience::Customer, facts: Facts::default(), ..created(number) }
        };
        for (tenant, many) in [(1, 10), (2, 11)] {
            let mut tx = begin(&db).await;
            for number in 0..many {
                tell(&mut tx, &ten(tenant), START, created(number));
                tell(&mut tx, &ten(tenant), START, started(number));
            }
            tell(&mut tx, &ten(tenant), START, started(999));
            tx.commit().await.expect("it commits");
        }
        assert_eq!(all(&db, 1).await.len(), 21);
        assert_eq!(told(&all(&db, 2).await), [(1, "cus_999"), (2, "-")]);
    }

    async fn the_first_ones_are_dropped_with_age_and_no_gap_is_left(location) {
        let db = Db::open(&location).await.expect("it opens");
        assert_eq!(first(&db, &ten(1)).await.expect("it reads"), None);
        // The clock of another node was behind when it told the fourth.
        for (code, seconds) in [("a", 0), ("b", 1), ("c", 9), ("d", 2)] {
            tell_one(&db, 1, code, START.plus_seconds(seconds)).await;
        }
        tell_one(&db, 2, "x", START).await;
        let dropped = async |before: i64, limit| {
            let mut tx = begin(&db).await;
            let before = START.plus_seconds(before);
            let dropped = drop_some(&mut tx, &ten(1), before, limit).await.expect("it drops");
            tx.commit().await.expect("it commits");
            dropped
        };
        assert_eq!(dropped(5, 1).await, 1, "a few at a time");
        assert_eq!(dropped(5, 10).await, 1);
        assert_eq!(dropped(5, 10).await, 0, "what comes after a young one stays");
        assert_eq!(told(&all(&db, 1).await), [(3, "c"), (4, "d")]);
        assert_eq!(first(&db, &ten(1)).await.expect("it reads"), Some(3));
        assert_eq!(dropped(10, 10).await, 2);
        assert_eq!(first(&db, &ten(1)).await.expect("it reads"), None);
        tell_one(&db, 1, "e", START).await;
        assert_eq!(told(&all(&db, 1).await), [(5, "e")], "numbers go on");
        assert_eq!(all(&db, 2).await.len(), 1, "another tenant's stay");
    }
}
