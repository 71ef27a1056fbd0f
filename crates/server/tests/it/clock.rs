//! Time, moved by a test clock: periods, renewals, dunning and the end, as they would happen.

use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, Server, on_both, on_postgres};

pub const ADMIN: &str = "admin@halisoft.example";
const ALL: [&str; 4] = ["usage:write", "usage:read", "customers:write", "admin"];

/// The year of the tenant's clock.
pub async fn year(server: &Server, admin: &str) -> i64 {
    let now = server.get("/api/admin/clock", admin).await.text_at("/now");
    now.split('-').next().and_then(|year| year.parse().ok()).expect("a year")
}

/// Moves the clock, and waits until it is there.
pub async fn advance(server: &Server, admin: &str, to: &str) {
    let mut clock = server.post("/api/admin/clock", admin, json!({ "advanceTo": to })).await;
    clock.assert_ok(200);
    while clock.body["status"] == "advancing" {
        tokio::task::yield_now().await;
        clock = server.get("/api/admin/clock", admin).await;
    }
    assert_eq!((&clock.body["status"], &clock.body["error"]), (&json!("ready"), &Value::Null), "{clock:?}");
    assert!(clock.text_at("/now").as_str() >= to.trim_end_matches('Z'), "{clock:?}");
}

pub async fn subscription(server: &Server, key: &str, customer: &str) -> Value {
    let answer = server.get(&format!("/api/subscription?customer={customer}"), key).await;
    answer.assert_ok(200);
    answer.body["subscription"].clone()
}

pub async fn invoices(server: &Server, key: &str, customer: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/invoices?customer={customer}&limit=200"), key).await;
    answer.assert_ok(200);
    answer.body["data"].as_array().expect("a list").clone()
}

pub async fn causes(server: &Server, admin: &str, customer: &str) -> Vec<String> {
    let timeline = server.get(&format!("/api/admin/customers/{customer}/timeline?limit=200"), admin).await;
    let rows = timeline.body["data"].as_array().expect("rows").iter();
    let rows = rows.filter(|row| row["kind"] == "subscription");
    let mut causes: Vec<_> = rows.map(|row| row["action"].as_str().expect("a text").to_owned()).collect();
    causes.reverse();
    causes
}

/// Issue 4, "done when": subscribed on the 31st of January, month by month through a leap year.
#[test]
fn a_subscription_from_the_31st_keeps_its_day_through_a_leap_year() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        let now = year(&server, &admin).await;
        let leap = (now + 1..now + 5).find(|year| year % 4 == 0).expect("one of four");
        advance(&server, &admin, &format!("{leap}-01-31T12:00:00Z")).await;
        server.customer(&key, "leap", "starter").await;
        let months: Vec<_> = ["01-31", "02-29", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31"]
            .into_iter()
            .chain(["11-30", "12-31"])
            .map(|day| format!("{leap}-{day}"))
            .chain(["01-31", "02-28", "03-31"].map(|day| format!("{}-{day}", leap + 1)))
            .collect();
        for (number, (start, end)) in months.iter().zip(months.iter().skip(1)).enumerate() {
            let shown = subscription(&server, &key, "leap").await;
            let dates = [&shown["currentPeriodStart"], &shown["currentPeriodEnd"]];
            let dates = dates.map(|at| at.as_str().expect("a time").split('T').next().expect("a date").to_owned());
            assert_eq!((&dates[0], &dates[1], &shown["status"]), (start, end, &json!("active")));
            let quota = server.quota_of(&key, "leap", "invoice_ocr").await;
            assert_eq!((&quota["used"], &quota["resetDate"]), (&json!(0), &json!(end)));
            assert_eq!(server.use_of(&key, "leap", "invoice_ocr", 7).await.status, 200);
            assert_eq!(invoices(&server, &key, "leap").await.len(), number + 1);
            advance(&server, &admin, &format!("{end}T13:00:00Z")).await;
        }
        let asked = invoices(&server, &key, "leap").await;
        let slots: std::collections::BTreeSet<_> = asked.iter().map(|row| row["slot"].to_string()).collect();
        assert_eq!((slots.len(), asked.len()), (15, 15), "each period once");
        assert!(asked.iter().all(|row| row["amount"] == json!(299.00) && row["state"] == "open"), "{asked:?}");
        assert_eq!(causes(&server, &admin, "leap").await.iter().filter(|cause| *cause == "renewed").count(), 14);
    });
}

/// Issue 4, "done when": the same on the 1st in the tenant's own zone, over both changes of the clocks.
#[test]
fn calendar_months_begin_at_midnight_of_the_tenant_over_both_clock_changes() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, user) = (server.sign_in("admin@studio.example").await, server.sign_in("user@studio.example").await);
        server.patch("/api/admin/settings", &admin, json!({ "timezone": "Europe/Berlin" })).await.assert_ok(200);
        let next = year(&server, &admin).await + 1;
        // The last minute of a month, and the first of the next, on either side of the hour that is skipped or repeated.
        for (before, after) in
            [("01-31T22:59", "01-31T23:00"), ("03-31T21:59", "03-31T22:00"), ("10-31T22:59", "10-31T23:00")]
        {
            advance(&server, &admin, &format!("{next}-{before}:00Z")).await;
            let done = server
                .post("/api/usage/consume", &user, json!({ "items": [{ "feature": "prompts", "amount": 3 }] }))
                .await;
            assert_eq!((done.status, done.number_at("/quotas/prompts/used")), (200, 3), "{done:?}");
            let resets = format!("{next}-{after}:00Z");
            assert_eq!(server.quota(&user, "prompts").await["resetsAt"], resets.as_str());
            advance(&server, &admin, &resets).await;
            assert_eq!(server.quota(&user, "prompts").await["used"], 0);
        }
    });
}

/// A customer that pays through the sandbox.
pub async fn buyer(server: &Server, admin: &str, key: &str, name: &str) {
    server.customer(key, name, "starter").await;
    let order = json!({ "plan": "professional", "interval": "month", "customer": name, "provider": "sandbox" });
    let began = server.post("/api/checkout", key, order).await;
    began.assert_ok(201);
    let approval = json!({ "approvalUrl": began.text_at("/approvalUrl") });
    let approved = server.post("/api/admin/sandbox/approve", admin, approval).await;
    assert_eq!(approved.body["state"], "completed", "{approved:?}");
}

async fn let_fail(server: &Server, admin: &str, customer: &str, approve: bool) {
    let body = json!({ "customer": customer, "approve": approve });
    assert_eq!(server.post("/api/admin/sandbox/payments", admin, body).await.status, 204);
}

#[test]
fn a_payment_that_fails_is_tried_in_the_grace_and_then_the_subscription_ends() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        let next = year(&server, &admin).await + 1;
        advance(&server, &admin, &format!("{next}-03-10T00:00:00Z")).await;
        for name in ["pays", "lapses", "recovers"] {
            buyer(&server, &admin, &key, name).await;
        }
        let_fail(&server, &admin, "lapses", false).await;
        let_fail(&server, &admin, "recovers", false).await;
        advance(&server, &admin, &format!("{next}-04-10T01:00:00Z")).await;
        let paid = invoices(&server, &key, "pays").await;
        assert_eq!((&paid[0]["state"], &paid[0]["amount"]), (&json!("paid"), &json!(799.00)), "{paid:?}");
        let overdue = subscription(&server, &key, "lapses").await;
        assert_eq!(overdue["status"], "past_due");
        let grace = overdue["graceUntil"].as_str().expect("a grace");
        assert!(grace.starts_with(&format!("{next}-04-17")), "a week: {grace}");
        assert_eq!(server.use_of(&key, "lapses", "invoice_ocr", 1).await.status, 200, "within the grace");
        let change = json!({ "customer": "lapses", "plan": "starter" });
        server.post("/api/subscription/change", &key, change).await.assert_problem(409, "subscription-state");

        advance(&server, &admin, &format!("{next}-04-12T00:00:00Z")).await;
        let_fail(&server, &admin, "recovers", true).await;
        advance(&server, &admin, &format!("{next}-04-18T00:00:00Z")).await;
        assert_eq!(subscription(&server, &key, "recovers").await["status"], "active");
        assert_eq!(subscription(&server, &key, "lapses").await, Value::Null);
        server.use_of(&key, "lapses", "invoice_ocr", 1).await.assert_problem(402, "subscription-required");
        let told = causes(&server, &admin, "lapses").await;
        let tries = told.iter().filter(|cause| *cause == "payment_retried").count();
        assert_eq!((tries, told.last().map(String::as_str)), (3, Some("dunning_exhausted")), "{told:?}");
        let recovered = causes(&server, &admin, "recovers").await;
        let end = ["payment_failed", "payment_retried", "payment_failed", "payment_retried", "payment_received"];
        assert!(recovered.ends_with(&end.map(str::to_owned)), "{recovered:?}");
        assert_eq!(invoices(&server, &key, "lapses").await[0]["state"], "void");
        assert_eq!(invoices(&server, &key, "recovers").await[0]["state"], "paid");
    });
}

#[test]
fn an_overdue_one_falls_back_to_a_free_plan_where_the_tenant_says_so() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@studio.example").await;
        let pro = server.sign_in("pro@studio.example").await;
        let settings = json!({ "billing": { "graceDays": 2, "retryDays": [1], "fallbackPlan": "free" } });
        let set = server.patch("/api/admin/settings", &admin, settings).await;
        assert_eq!(set.body["billing"]["fallbackPlan"], "free", "{set:?}");
        let costly = json!({ "billing": { "fallbackPlan": "pro" } });
        server.patch("/api/admin/settings", &admin, costly).await.assert_field("/billing/fallbackPlan");
        let wrong = json!({ "billing": { "retryDays": [3, 1] } });
        server.patch("/api/admin/settings", &admin, wrong).await.assert_field("/billing/retryDays");
        let next = year(&server, &admin).await + 1;
        advance(&server, &admin, &format!("{next}-06-01T00:00:00Z")).await;
        let open = server.get("/api/invoices", &pro).await;
        let id = open.text_at("/data/0/id");
        let failed = server.post(&format!("/api/admin/invoices/{id}"), &admin, json!({ "state": "failed" })).await;
        assert_eq!(failed.body["state"], "failed", "{failed:?}");
        advance(&server, &admin, &format!("{next}-06-04T00:00:00Z")).await;
        let shown = server.get("/api/subscription", &pro).await;
        assert_eq!(
            (&shown.body["subscription"]["plan"], &shown.body["subscription"]["status"]),
            (&json!("free"), &json!("active"))
        );
        let again = server.post(&format!("/api/admin/invoices/{id}"), &admin, json!({ "state": "paid" })).await;
        again.assert_problem(409, "subscription-state");
        // Who did not pay has no payment method any more.
        let dear = server.post("/api/subscription/change", &pro, json!({ "plan": "pro" })).await;
        dear.assert_problem(409, "subscription-state");
        assert!(dear.text_at("/detail").contains("/api/checkout"), "{dear:?}");
    });
}

/// Lets five days pass in which nothing runs; answers what `late` went through when it is so long.
async fn after_silence((database, data): (&Database, &std::path::Path), length: usize) -> Vec<String> {
    let silence = "UPDATE tenant SET clock_offset = clock_offset + 432000000000 WHERE slug = 'halisoft'";
    execute(database, data, silence).await;
    let server = Server::start(database, data, &["--demo"], &[]);
    let admin = server.sign_in(ADMIN).await;
    loop {
        let told = causes(&server, &admin, "late").await;
        if told.last().is_some_and(|cause| cause == "payment_failed") && told.len() >= length {
            assert!(server.stop().success());
            return told;
        }
        tokio::task::yield_now().await;
    }
}

/// RELIABILITY E6: what fell due while nothing ran is done once, oldest first.
#[test]
fn after_days_of_silence_everything_is_caught_up_once() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        let next = year(&server, &admin).await + 1;
        advance(&server, &admin, &format!("{next}-03-10T00:00:00Z")).await;
        buyer(&server, &admin, &key, "late").await;
        let_fail(&server, &admin, "late", false).await;
        advance(&server, &admin, &format!("{next}-04-09T00:00:00Z")).await;
        let count = causes(&server, &admin, "late").await.len();
        assert!(server.stop().success());
        // Five days pass: the renewal, which is asked for now, so that the grace begins now.
        let told = after_silence((&database, folder.path()), count + 2).await;
        assert_eq!(told[count..], ["renewed", "payment_failed"], "{told:?}");
        // And five more: of the tries of the first, third and fifth day the last.
        let told = after_silence((&database, folder.path()), count + 4).await;
        assert_eq!(told[count + 2..], ["payment_retried", "payment_failed"], "{told:?}");
        let slots = "SELECT c.slot FROM subscription_change c JOIN subscription s ON s.tenant_id = c.tenant_id \
                     AND s.subscription_id = c.subscription_id WHERE s.provider = 'sandbox' AND c.slot IS NOT NULL ORDER BY c.at";
        let slots = texts(&database, folder.path(), slots).await;
        assert!(slots.last().is_some_and(|slot| slot.starts_with("retry:3:")), "only the last try: {slots:?}");
    });
}

#[test]
fn a_clock_goes_forward_only_in_a_sandbox_and_by_who_may() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let next = year(&server, &admin).await + 1;
        let clock = async |server: &Server, who: &str, to: &str| -> Answer {
            server.post("/api/admin/clock", who, json!({ "advanceTo": to })).await
        };
        clock(&server, &admin, "2020-01-01T00:00:00Z").await.assert_field("/advanceTo");
        clock(&server, &admin, &format!("{}-01-01T00:00:00Z", next + 20)).await.assert_field("/advanceTo");
        let near = server.sign_in("near@halisoft.example").await;
        clock(&server, &near, &format!("{next}-01-01T00:00:00Z")).await.assert_problem(403, "forbidden");
        advance(&server, &admin, &format!("{next}-01-01T00:00:00Z")).await;
        let studio = server.sign_in("admin@studio.example").await;
        assert!(year(&server, &studio).await < next, "each tenant has its own");
        assert!(server.stop().success());
        let alive = "UPDATE subscription SET provider = 'stripe' WHERE subscription_id IN (SELECT MIN(subscription_id) FROM subscription)";
        execute(&database, folder.path(), alive).await;
        execute(&database, folder.path(), "UPDATE tenant SET mode = 'live' WHERE slug = 'studio'").await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let studio = server.sign_in("admin@studio.example").await;
        clock(&server, &studio, &format!("{next}-01-01T00:00:00Z")).await.assert_problem(403, "forbidden");
        let admin = server.sign_in(ADMIN).await;
        clock(&server, &admin, &format!("{next}-02-01T00:00:00Z")).await.assert_problem(409, "in-use");
    });
}

/// RELIABILITY I13: a clock is moved by its request and by the jobs of both nodes at once, and each step is done once.
#[test]
fn two_nodes_do_each_step_once() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (admin, key) = (one.sign_in(ADMIN).await, one.key(&ALL).await);
        for number in 0..20 {
            one.customer(&key, &format!("many-{number}"), "starter").await;
        }
        let next = year(&one, &admin).await + 1;
        let to = json!({ "advanceTo": format!("{next}-12-20T00:00:00Z") });
        let (first, second) = tokio::join!(
            one.post("/api/admin/clock", &admin, to.clone()),
            two.post("/api/admin/clock", &admin, to.clone())
        );
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{first:?} {second:?}");
        loop {
            let clock = two.get("/api/admin/clock", &admin).await;
            match clock.text_at("/status").as_str() {
                "advancing" => tokio::task::yield_now().await,
                status => break assert_eq!(status, "ready", "{clock:?}"),
            }
        }
        let renewed = causes(&one, &admin, "many-0").await.iter().filter(|cause| *cause == "renewed").count();
        assert!(renewed >= 12, "{renewed}");
        for number in 0..20 {
            let name = format!("many-{number}");
            assert_eq!(invoices(&two, &key, &name).await.len(), renewed + 1, "{name}");
            let told = causes(&two, &admin, &name).await;
            assert_eq!(told.iter().filter(|cause| *cause == "renewed").count(), renewed, "{name}");
        }
        assert!(one.stop().success() && two.stop().success());
    });
}
