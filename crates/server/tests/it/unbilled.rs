//! A database of the release before subscriptions were billed.

use serde_json::{Value, json};

use super::clock::{ADMIN, advance, invoices, subscription};
use super::sql::execute;
use super::support::{Database, Server, on_both};

/// Takes back what the migration has made.
const BEFORE: &str = "
    DROP INDEX subscription_due;
    DROP INDEX subscription_unbilled;
    DROP INDEX subscription_change_slot;
    ALTER TABLE subscription DROP COLUMN billing_anchor;
    ALTER TABLE subscription DROP COLUMN pending_until;
    ALTER TABLE subscription DROP COLUMN trial_ends_at;
    ALTER TABLE subscription DROP COLUMN trial_warned;
    ALTER TABLE subscription DROP COLUMN paid_minor;
    ALTER TABLE subscription DROP COLUMN paid_from;
    ALTER TABLE subscription DROP COLUMN dunning_since;
    ALTER TABLE subscription DROP COLUMN dunning_until;
    ALTER TABLE subscription DROP COLUMN dunning_tried;
    ALTER TABLE subscription DROP COLUMN scheduled;
    ALTER TABLE subscription DROP COLUMN resume_at;
    ALTER TABLE subscription DROP COLUMN coupon;
    ALTER TABLE subscription DROP COLUMN discount_from;
    ALTER TABLE subscription DROP COLUMN payable;
    ALTER TABLE subscription DROP COLUMN next_due_at;
    DROP INDEX customer_close;
    DROP INDEX customer_unclosed;
    DROP INDEX usage_event_overrun;
    ALTER TABLE customer DROP COLUMN closed_to;
    ALTER TABLE customer DROP COLUMN next_close_at;
    ALTER TABLE plan_feature DROP COLUMN rollover_cap;
    DROP TABLE period_close;
    DROP TABLE coupon_redemption;
    ALTER TABLE checkout DROP COLUMN coupon;
    ALTER TABLE subscription_change DROP COLUMN slot;
    ALTER TABLE sandbox_subscription DROP COLUMN declines;
    DROP TABLE invoice;
    DROP TABLE invoice_line;
    DROP TABLE sandbox_charge;
    DROP TABLE clock;
    DELETE FROM _sqlx_migrations WHERE version = 14;";

/// Lets every subscription have begun 400 days earlier, with nobody noting a period since.
const AGED: &str = "
    UPDATE subscription SET created_at = created_at - 34560000000000, plan_since = plan_since - 34560000000000,
      period_start = period_start - 34560000000000, period_end = period_end - 34560000000000;
    UPDATE subscription_change SET at = at - 34560000000000;";

fn day(of: &Value, key: &str) -> String {
    of[key].as_str().and_then(|at| at.get(..10)).expect("a time").to_owned()
}

#[test]
fn what_ran_before_is_billed_from_its_next_period_and_never_for_what_is_past() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&["customers:write", "usage:read", "admin"]).await);
        for name in ["monthly", "yearly", "canceled"] {
            server.customer(&key, name, "starter").await;
        }
        let path = "/api/admin/customers/yearly/subscription";
        server.patch(path, &admin, json!({ "plan": "starter", "interval": "year" })).await.assert_ok(200);
        server.post("/api/subscription/cancel", &key, json!({ "customer": "canceled" })).await.assert_ok(200);
        assert!(server.stop().success());
        execute(&database, folder.path(), BEFORE).await;
        execute(&database, folder.path(), AGED).await;

        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let now = server.get("/api/admin/clock", &admin).await.text_at("/now");
        let shown = subscription(&server, &key, "monthly").await;
        let (start, end) = (day(&shown, "currentPeriodStart"), day(&shown, "currentPeriodEnd"));
        assert!(start.as_str() <= now.as_str() && now.as_str() < end.as_str(), "{shown} at {now}");
        assert_eq!(shown["status"], "active");
        // Whatever time does is done by now: a clock that is moved by a second goes through all of it.
        advance(&server, &admin, &format!("{}T23:59:59Z", now.get(..10).expect("a day"))).await;
        assert!(invoices(&server, &key, "monthly").await.is_empty(), "nothing of before is asked for");

        advance(&server, &admin, &format!("{end}T23:59:59Z")).await;
        let asked = invoices(&server, &key, "monthly").await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!((&asked[0]["amount"], &asked[0]["state"]), (&json!(299.00), &json!("open")));
        assert_eq!(day(&asked[0]["lines"][0], "from"), end);
        assert_eq!(day(&subscription(&server, &key, "monthly").await, "currentPeriodStart"), end);
        assert!(invoices(&server, &key, "yearly").await.is_empty(), "its year runs");
        let begun = server.get("/api/admin/customers/yearly/timeline?limit=200", &admin).await;
        assert!(!begun.text.contains("renewed"), "{begun:?}");

        // Nobody pays twice for what ran at the change: an upgrade takes the rest of the running period into account.
        let body = json!({ "customer": "yearly", "plan": "professional" });
        let told = server.post("/api/subscription/preview", &key, body).await;
        let due = told.body["dueNow"].as_f64().expect("an amount");
        assert!(due < 7_990.0 - 2_990.0, "{told:?}");
    });
}
