//! What is done once: a step of time, an invoice of a slot, a try to collect one, a move of a clock.

use domain::id::SubscriptionId;
use domain::time::Timestamp;

use super::bench::{Bench, START, cus, subscribed, ten};
use super::fresh::on_both;
use crate::db::Tx;
use crate::error::Error;
use crate::invoice::{InvoiceRow, LineRow, find, first_to_collect, lines, open, tried};
use crate::subscription::{ChangeRow, current, first_due, insert, record, update};
use crate::{clock, close, invoice, sandbox};

async fn begin(bench: &Bench) -> Tx {
    bench.db.begin().await.expect("it begins")
}

/// Lets somebody have looked at the periods of every customer.
async fn looked_at(bench: &Bench) {
    for tenant in [ten(1), ten(2)] {
        for customer in close::unclosed(&bench.db, &tenant, 100).await.expect("it reads") {
            let mut tx = begin(bench).await;
            let next = Some(START.plus_seconds(60));
            assert!(close::advance(&mut tx, &tenant, &customer, (None, START), next).await.expect("it answers"));
            tx.commit().await.expect("it commits");
        }
    }
}

fn asked(number: u32, slot: &str) -> (InvoiceRow, LineRow) {
    let row = InvoiceRow {
        invoice_id: format!("inv_{number}"),
        customer_id: cus(1).to_string(),
        subscription_id: "sub_1".to_owned(),
        slot: slot.to_owned(),
        state: "open".to_owned(),
        currency: "USD".to_owned(),
        amount_minor: 29_900,
        provider: Some("sandbox".to_owned()),
        tries: 0,
        collect_at: Some(START.as_micros()),
        issued_at: START.as_micros(),
        settled_at: None,
    };
    let line = LineRow {
        invoice_id: row.invoice_id.clone(),
        kind: "plan".to_owned(),
        plan_id: "pln_a".to_owned(),
        amount_minor: 29_900,
        period_start: START.as_micros(),
        period_end: START.as_micros() + 1,
        feature: None,
        units: None,
    };
    (row, line)
}

fn change(number: u32, slot: Option<&str>) -> ChangeRow {
    ChangeRow {
        change_id: format!("chg_{number}"),
        at: START.as_micros(),
        subscription_id: "sub_1".to_owned(),
        customer_id: cus(1).to_string(),
        cause: "renewed".to_owned(),
        actor: "system".to_owned(),
        status_before: None,
        status_after: "active".to_owned(),
        plan_before: None,
        plan_after: "pln_a".to_owned(),
        price_before: None,
        price_after: None,
        currency_before: None,
        currency: "USD".to_owned(),
        annual_before: 0,
        annual_after: 0,
        movement: None,
        slot: slot.map(str::to_owned),
    }
}

on_both! {
    async fn a_step_and_an_invoice_are_written_once_for_their_slot(location) {
        let bench = Bench::new(location).await;
        for (number, slot, written) in
            [(1, Some("renewal:1"), true), (2, Some("renewal:1"), false), (3, Some("renewal:2"), true), (4, None, true), (5, None, true)]
        {
            let mut tx = begin(&bench).await;
            let answer = record(&mut tx, &ten(1), &change(number, slot)).await;
            assert_eq!(matches!(answer, Err(Error::Conflict(_))), !written, "{number}");
            if written {
                tx.commit().await.expect("it commits");
            }
        }
        for (number, slot, written) in [(1, "period:1", true), (2, "period:1", false), (3, "period:2", true)] {
            let (row, line) = asked(number, slot);
            let mut tx = begin(&bench).await;
            let answer = invoice::insert(&mut tx, &ten(1), &row, std::slice::from_ref(&line)).await;
            assert_eq!(matches!(answer, Err(Error::Conflict(_))), !written, "{number}");
            if written {
                tx.commit().await.expect("it commits");
            }
        }
        assert_eq!(open(&bench.db, &ten(1), "sub_1").await.expect("it reads").len(), 2);
        assert!(open(&bench.db, &ten(2), "sub_1").await.expect("it reads").is_empty(), "another tenant's");
        assert_eq!(lines(&bench.db, &ten(1), r#"["inv_1","inv_3"]"#).await.expect("it reads").len(), 2);
        bench.close().await;
    }

    async fn a_try_counts_once_and_what_is_paid_is_collected_no_more(location) {
        let bench = Bench::new(location).await;
        let (row, line) = asked(1, "period:1");
        let mut tx = begin(&bench).await;
        invoice::insert(&mut tx, &ten(1), &row, &[line]).await.expect("it is written");
        tx.commit().await.expect("it commits");
        let due = first_to_collect(&bench.db, &ten(1), START, 10).await.expect("it reads");
        assert_eq!(due, [(START.as_micros(), "inv_1".to_owned())]);
        let before = first_to_collect(&bench.db, &ten(1), START.plus_micros(-1), 10).await.expect("it reads");
        assert!(before.is_empty(), "not yet");
        let mut tx = begin(&bench).await;
        assert!(tried(&mut tx, &ten(1), &row).await.expect("it answers"));
        assert!(!tried(&mut tx, &ten(1), &row).await.expect("it answers"), "somebody else did");
        let subscription = SubscriptionId::stored("sub_1");
        let paid = ("paid", None);
        invoice::update(&mut tx, &ten(1), (&subscription, "period:1"), paid, Some(START)).await.expect("it is written");
        let again = ("failed", Some(START));
        invoice::update(&mut tx, &ten(1), (&subscription, "period:1"), again, None).await.expect("it answers");
        tx.commit().await.expect("it commits");
        let row = find(&bench.db, &ten(1), "inv_1").await.expect("it reads").expect("it is there");
        assert_eq!((row.state.as_str(), row.tries, row.collect_at), ("paid", 1, None));
        bench.close().await;
    }

    async fn a_subscription_keeps_all_that_decides_and_is_moved_by_one(location) {
        let bench = Bench::new(location).await;
        let row = crate::subscription::SubscriptionRow {
            billing_anchor: START.as_micros() - 5,
            next_due_at: Some(START.as_micros()),
            scheduled: Some("{}".to_owned()),
            dunning_tried: 2,
            provider: Some("sandbox".to_owned()),
            ..subscribed(1, "pln_a")
        };
        let mut tx = begin(&bench).await;
        insert(&mut tx, &ten(1), &row).await.expect("it is written");
        tx.commit().await.expect("it commits");
        let read = current(&bench.db, &ten(1), &cus(1)).await.expect("it reads").expect("it is there");
        assert_eq!((read.anchor(), read.revision), (START.plus_micros(-5), 2));
        assert_eq!((read.scheduled.as_deref(), read.dunning_tried, read.provider.as_deref()), (Some("{}"), 2, Some("sandbox")));
        let due = first_due(&bench.db, &ten(1), START, 5).await.expect("it reads");
        assert_eq!(due, [(START.as_micros(), cus(1).to_string())]);
        assert!(first_due(&bench.db, &ten(2), START, 5).await.expect("it reads").is_empty());
        let mut tx = begin(&bench).await;
        assert!(update(&mut tx, &ten(1), &read, None).await.expect("it answers"));
        assert!(!update(&mut tx, &ten(1), &read, None).await.expect("it answers"), "it has another revision by now");
        tx.commit().await.expect("it commits");
        bench.close().await;
    }

    async fn a_clock_is_there_once_and_the_sandbox_charges_once_for_a_key(location) {
        let bench = Bench::new(location).await;
        let target = START.plus_seconds(60);
        // Whose periods nobody has looked at yet is busy, too.
        looked_at(&bench).await;
        let mut tx = begin(&bench).await;
        clock::begin(&mut tx, &ten(1), (START, target)).await.expect("it is written");
        clock::note(&mut tx, &ten(1), (START.plus_seconds(30), 4)).await.expect("it is written");
        assert!(!clock::finish(&mut tx, &ten(1), START, 1).await.expect("it answers"), "it goes elsewhere");
        tx.commit().await.expect("it commits");
        assert_eq!(clock::busy_tenants(&bench.db, Timestamp::EPOCH).await.expect("it reads"), [ten(1)]);
        let mut tx = begin(&bench).await;
        assert!(clock::finish(&mut tx, &ten(1), target, 7).await.expect("it answers"));
        assert!(!clock::finish(&mut tx, &ten(1), target, 9).await.expect("it answers"), "once");
        tx.commit().await.expect("it commits");
        let tenant = crate::tenant::find(&bench.db, &ten(1)).await.expect("it reads").expect("it is there");
        let moved = clock::find(&bench.db, &ten(1)).await.expect("it reads");
        assert_eq!((tenant.clock_offset, moved), (7, None));

        let new = sandbox::SandboxSubscriptionRow {
            sandbox_subscription_id: "sbs_1".to_owned(),
            reference: "chk_1".to_owned(),
            sandbox_plan_id: "sbp_1".to_owned(),
            token: "token".to_owned(),
            return_url: "http://localhost/".to_owned(),
            status: "active".to_owned(),
        };
        sandbox::insert_subscription(&bench.db, &ten(1), &new, START).await.expect("it is written");
        let charge = async |reference: &str, subscription: &str| {
            let charge = sandbox::SandboxCharge {
                reference: reference.to_owned(),
                sandbox_subscription_id: subscription.to_owned(),
                currency: "USD".to_owned(),
                amount_minor: 100,
            };
            sandbox::charge(&bench.db, &ten(1), &charge, START).await.expect("it answers")
        };
        assert!(charge("inv_1:0", "sbs_1").await);
        assert!(sandbox::set_declines(&bench.db, &ten(1), "sbs_1", true).await.expect("it answers"));
        assert!(charge("inv_1:0", "sbs_1").await, "as it said before");
        assert!(!charge("inv_2:0", "sbs_1").await);
        assert!(!charge("inv_3:0", "nobody").await);
        bench.close().await;
    }

    async fn a_period_is_closed_once_by_whoever_finds_it_where_it_stood(location) {
        let bench = Bench::new(location).await;
        looked_at(&bench).await;
        assert!(close::unclosed(&bench.db, &ten(1), 100).await.expect("it reads").is_empty());
        let (first, end) = (cus(1), START.plus_seconds(60));
        let due = close::first_due(&bench.db, &ten(1), end, 1).await.expect("it reads");
        assert_eq!(due.len(), 1);
        assert!(close::first_due(&bench.db, &ten(1), START, 1).await.expect("it reads").is_empty(), "not yet");
        let period = domain::time::Period { start: START, end: Some(end) };
        let closed = domain::closing::Closed { reset: domain::time::Reset::Day, period, next: period };
        let mut tx = begin(&bench).await;
        assert!(close::advance(&mut tx, &ten(1), &first, (Some(START), end), None).await.expect("it answers"));
        close::record(&mut tx, &ten(1), &first, &closed, end).await.expect("it is written");
        tx.commit().await.expect("it commits");
        let mut tx = begin(&bench).await;
        assert!(!close::advance(&mut tx, &ten(1), &first, (Some(START), end), None).await.expect("it answers"), "once");
        let twice = close::record(&mut tx, &ten(1), &first, &closed, end).await;
        assert!(matches!(twice, Err(Error::Conflict(_))));
        drop(tx);
        let row = close::find(&bench.db, &ten(1), &first).await.expect("it reads").expect("it is there");
        assert_eq!((row.closed_to, row.next_close_at), (Some(end.as_micros()), None));
        bench.close().await;
    }
}
