//! What people ask of a subscription: it comes to what the preview says.

use serde_json::{Value, json};

use super::clock::{ADMIN, advance, year};
use super::support::{Answer, Database, Server, on_both};

const ALL: [&str; 4] = ["usage:write", "usage:read", "customers:write", "admin"];

struct Bench {
    server: Server,
    admin: String,
    key: String,
}

impl Bench {
    async fn new(database: &Database) -> Self {
        let server = Server::demo(database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        let next = year(&server, &admin).await + 1;
        advance(&server, &admin, &format!("{next}-01-10T00:00:00Z")).await;
        server.customer(&key, "acme", "starter").await;
        Self { server, admin, key }
    }

    async fn ask(&self, what: &str, mut body: Value) -> Answer {
        body["customer"] = json!("acme");
        self.server.post(&format!("/api/subscription/{what}"), &self.key, body).await
    }

    async fn shown(&self) -> Value {
        let answer = self.server.get("/api/subscription?customer=acme", &self.key).await;
        answer.assert_ok(200);
        answer.body["subscription"].clone()
    }

    /// Everything that is open is paid.
    async fn pay(&self) {
        for invoice in self.invoices().await.iter().filter(|invoice| invoice["state"] == "open") {
            let path = format!("/api/admin/invoices/{}", invoice["id"].as_str().expect("an id"));
            self.server.post(&path, &self.admin, json!({ "state": "paid" })).await.assert_ok(200);
        }
    }

    async fn invoices(&self) -> Vec<Value> {
        let answer = self.server.get("/api/invoices?customer=acme", &self.key).await;
        answer.assert_ok(200);
        answer.body["data"].as_array().expect("a list").clone()
    }
}

/// Cents of a JSON number, exactly.
pub fn cents(amount: &Value) -> i64 {
    let text = amount.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let part: i64 = format!("{part:0<2}").parse().expect("two digits");
    let whole: i64 = whole.parse().expect("a number");
    whole * 100 + if text.starts_with('-') { -part } else { part }
}

#[test]
fn what_the_preview_says_is_what_happens() {
    on_both(async |database: Database| {
        let bench = Bench::new(&database).await;
        let next = year(&bench.server, &bench.admin).await;
        // Each is asked on another day, of what the one before it left.
        for (day, body) in [
            ("01-12", json!({ "plan": "professional" })),
            ("01-15", json!({ "plan": "starter" })),
            ("01-16", json!({ "plan": "starter", "when": "now" })),
            ("01-20", json!({ "plan": "professional", "interval": "year" })),
            ("03-01", json!({ "plan": "starter", "interval": "month" })),
            ("03-02", json!({ "plan": "starter", "interval": "month", "when": "now" })),
            ("03-09", json!({ "plan": "professional", "when": "period_end" })),
        ] {
            advance(&bench.server, &bench.admin, &format!("{next}-{day}T00:00:00Z")).await;
            bench.server.use_of(&bench.key, "acme", "invoice_ocr", 5).await;
            bench.pay().await;
            let before = bench.invoices().await.len();
            let told = bench.ask("preview", body.clone()).await;
            told.assert_ok(200);
            let done = bench.ask("change", body.clone()).await;
            done.assert_ok(200);
            let invoices = bench.invoices().await;
            let due = cents(&told.body["dueNow"]);
            assert_eq!(invoices.len(), before + usize::from(due != 0), "{body} {told:?}");
            let shown = &done.body["subscription"];
            assert_eq!(shown["plan"], told.body["plan"], "{body}");
            if body["interval"] == "year" {
                let end = shown["currentPeriodEnd"].as_str().expect("an end");
                assert!(end.starts_with(&format!("{}-{day}", next + 1)), "a year begins with the change: {shown}");
            }
            if due == 0 {
                assert_eq!(shown["scheduled"]["at"], told.body["effectiveAt"], "{body} {shown}");
                continue;
            }
            // Between the two some milliseconds passed, which may be worth a cent.
            let amount = cents(&invoices[0]["amount"]);
            assert!((amount - due).abs() <= 1, "{body}: {due} was told and {amount} asked");
            assert_eq!(invoices[0]["state"], if due < 0 { "refunded" } else { "open" });
            let lines = |of: &Value| {
                let lines = of["lines"].as_array().expect("lines").iter();
                lines.map(|line| (line["kind"].clone(), line["plan"].clone())).collect::<Vec<_>>()
            };
            assert_eq!(lines(&invoices[0]), lines(&told.body), "{body}");
            let sum: i64 =
                invoices[0]["lines"].as_array().expect("lines").iter().map(|line| cents(&line["amount"])).sum();
            assert_eq!(sum, amount, "lines add up");
        }
        // What was put down last happens at the end of the period, at the price that was told.
        let told = bench.ask("preview", json!({ "plan": "professional", "when": "period_end" })).await;
        told.assert_problem(409, "subscription-state");
        let end = bench.shown().await["currentPeriodEnd"].as_str().expect("an end").to_owned();
        advance(&bench.server, &bench.admin, &format!("{}-20T00:00:00Z", end.get(..7).expect("a month"))).await;
        assert_eq!(bench.shown().await["plan"], "professional");
        assert_eq!(bench.invoices().await[0]["amount"], json!(799.00));
    });
}

#[test]
fn a_subscription_is_canceled_taken_back_paused_and_goes_on() {
    on_both(async |database: Database| {
        let bench = Bench::new(&database).await;
        let next = year(&bench.server, &bench.admin).await;
        let canceled = bench.ask("cancel", json!({})).await;
        canceled.assert_ok(200);
        let shown = &canceled.body["subscription"];
        assert_eq!((&shown["status"], &shown["cancelAt"]), (&json!("canceled"), &shown["currentPeriodEnd"]));
        assert_eq!(bench.server.use_of(&bench.key, "acme", "invoice_ocr", 1).await.status, 200);
        bench.ask("change", json!({ "plan": "professional" })).await.assert_problem(409, "subscription-state");
        assert_eq!(bench.ask("resume", json!({})).await.body["subscription"]["status"], "active");
        bench.ask("resume", json!({})).await.assert_problem(409, "subscription-state");

        let until = format!("{next}-01-25T00:00:00Z");
        let paused = bench.ask("pause", json!({ "until": until })).await;
        assert_eq!(
            (&paused.body["subscription"]["status"], &paused.body["subscription"]["resumeAt"]),
            (&json!("paused"), &json!(until))
        );
        bench.server.use_of(&bench.key, "acme", "invoice_ocr", 1).await.assert_problem(402, "subscription-required");
        advance(&bench.server, &bench.admin, &format!("{next}-01-26T00:00:00Z")).await;
        assert_eq!(bench.shown().await["status"], "active");
        assert_eq!(bench.invoices().await.len(), 1, "the paid period runs on");

        let now = json!({ "action": "cancel", "when": "now", "refund": true });
        let unpaid = bench.ask("preview", now.clone()).await;
        assert_eq!(cents(&unpaid.body["dueNow"]), 0, "nothing comes back that did not come: {unpaid:?}");
        let id = bench.invoices().await[0]["id"].as_str().expect("an id").to_owned();
        let paid =
            bench.server.post(&format!("/api/admin/invoices/{id}"), &bench.admin, json!({ "state": "paid" })).await;
        assert_eq!(paid.body["state"], "paid", "{paid:?}");
        let refund = bench.ask("preview", now).await;
        let back = cents(&refund.body["dueNow"]);
        assert!((-29_900..0).contains(&back), "{refund:?}");
        let ended = bench.ask("cancel", json!({ "when": "now", "refund": true })).await;
        ended.assert_ok(200);
        assert_eq!(ended.body["subscription"], Value::Null);
        let given = bench.invoices().await.remove(0);
        assert_eq!(given["state"], "refunded");
        assert!((cents(&given["amount"]) - back).abs() <= 1, "{given}");
        bench.ask("resume", json!({})).await.assert_problem(409, "subscription-state");
    });
}

#[test]
fn a_retry_with_the_same_key_does_nothing_twice_and_people_need_a_payment_method() {
    on_both(async |database: Database| {
        let bench = Bench::new(&database).await;
        let body = json!({ "customer": "acme", "plan": "professional" });
        let send = async |body: &Value| {
            let request = bench.server.request(reqwest::Method::POST, "/api/subscription/change", &bench.key);
            bench.server.send(request.header("idempotency-key", "up-1").json(body)).await
        };
        let first = send(&body).await;
        first.assert_ok(200);
        let again = send(&body).await;
        assert_eq!((again.status, again.is_replay(), bench.invoices().await.len()), (200, true, 2));
        send(&json!({ "customer": "acme", "plan": "starter" })).await.assert_problem(422, "idempotency-key-reused");

        let user = bench.server.sign_in("user@studio.example").await;
        let told = bench.server.post("/api/subscription/preview", &user, json!({ "plan": "pro" })).await;
        assert_eq!((told.status, &told.body["dueNow"]), (200, &json!(9.99)), "{told:?}");
        let change = bench.server.post("/api/subscription/change", &user, json!({ "plan": "pro" })).await;
        change.assert_problem(409, "subscription-state");
        let refund = bench.server.post("/api/subscription/cancel", &user, json!({ "refund": true })).await;
        refund.assert_field("/refund");
        let full = bench.server.sign_in("full@halisoft.example").await;
        let other = json!({ "customer": "acme", "when": "now" });
        assert!(bench.server.post("/api/subscription/cancel", &full, other).await.status >= 400, "not somebody else's");
    });
}

#[test]
fn a_trial_is_told_and_becomes_paid_or_ends() {
    on_both(async |database: Database| {
        let bench = Bench::new(&database).await;
        let next = year(&bench.server, &bench.admin).await;
        let patched =
            bench.server.patch("/api/admin/plans/professional", &bench.admin, json!({ "trialDays": 14 })).await;
        patched.assert_ok(200);
        bench.server.customer(&bench.key, "unpaid", "professional").await;
        bench.server.customer(&bench.key, "buyer", "professional").await;
        let of = async |name: &str| {
            bench.server.get(&format!("/api/subscription?customer={name}"), &bench.key).await.body["subscription"]
                .clone()
        };
        let trial = of("unpaid").await;
        assert_eq!((&trial["status"], &trial["paymentMethod"]), (&json!("trialing"), &json!(false)));
        assert!(trial["trialEndsAt"].as_str().is_some_and(|at| at.starts_with(&format!("{next}-01-24"))), "{trial}");
        let order = json!({ "plan": "professional", "customer": "buyer" });
        let began = bench.server.post("/api/checkout", &bench.key, order).await;
        let approval = json!({ "approvalUrl": began.text_at("/approvalUrl") });
        bench.server.post("/api/admin/sandbox/approve", &bench.admin, approval).await.assert_ok(200);
        assert_eq!(of("buyer").await["paymentMethod"], true);
        advance(&bench.server, &bench.admin, &format!("{next}-01-25T00:00:00Z")).await;
        assert_eq!(of("unpaid").await, Value::Null);
        assert_eq!(of("buyer").await["status"], "active");
        let asked = bench.server.get("/api/invoices?customer=buyer", &bench.key).await;
        assert_eq!(
            (&asked.body["data"][0]["state"], &asked.body["data"][0]["amount"]),
            (&json!("paid"), &json!(799.00))
        );
    });
}

/// A customer has one trial, also one who was on something free before.
#[test]
fn a_trial_is_given_once_also_after_something_free() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@studio.example").await;
        let user = server.sign_in("user@studio.example").await;
        server.patch("/api/admin/plans/pro", &admin, json!({ "trialDays": 14 })).await.assert_ok(200);
        let buy = async || {
            let began = server.post("/api/checkout", &user, json!({ "plan": "pro" })).await;
            began.assert_ok(201);
            let approval = json!({ "approvalUrl": began.text_at("/approvalUrl") });
            server.post("/api/admin/sandbox/approve", &admin, approval).await.assert_ok(200);
            server.get("/api/subscription", &user).await.body["subscription"].clone()
        };
        let trial = buy().await;
        assert_eq!(
            (&trial["plan"], &trial["status"], &trial["paymentMethod"]),
            (&json!("pro"), &json!("trialing"), &json!(true))
        );
        assert_eq!(trial["trialEndsAt"], trial["currentPeriodEnd"]);
        assert_eq!(server.get("/api/invoices", &user).await.body["data"], json!([]));
        let quota = server.quota(&user, "prompts").await;
        assert_eq!((&quota["used"], &quota["limit"]), (&json!(99), &json!(500)), "use carries over");
        let ended = server.post("/api/subscription/cancel", &user, json!({ "when": "now" })).await;
        assert_eq!(ended.body["subscription"], Value::Null, "{ended:?}");
        let again = buy().await;
        assert_eq!((&again["status"], &again["plan"]), (&json!("active"), &json!("pro")), "no second trial");
        let paid = server.get("/api/invoices", &user).await;
        assert_eq!((&paid.body["data"][0]["amount"], &paid.body["data"][0]["state"]), (&json!(9.99), &json!("paid")));
    });
}

/// A coupon takes off what the preview says, of as many payments as it is for, once for a customer.
#[test]
fn a_coupon_is_redeemed_with_a_purchase_or_a_change_once_for_a_customer() {
    on_both(async |database: Database| {
        let bench = Bench::new(&database).await;
        let next = year(&bench.server, &bench.admin).await;
        for coupon in [
            json!({ "code": "LAUNCH20", "name": "Launch", "percentOff": 20, "duration": "forever" }),
            json!({ "code": "FIRST", "name": "First", "amountOff": 100.00, "duration": "once", "maxRedemptions": 1 }),
        ] {
            bench.server.post("/api/admin/coupons", &bench.admin, coupon).await.assert_ok(201);
        }
        bench.pay().await;
        let body = json!({ "plan": "professional", "interval": "year", "coupon": "launch20" });
        let told = bench.ask("preview", body.clone()).await;
        let done = bench.ask("change", body.clone()).await;
        done.assert_ok(200);
        assert_eq!(done.body["subscription"]["coupon"], "LAUNCH20", "{done:?}");
        let asked = bench.invoices().await.remove(0);
        assert!((cents(&asked["amount"]) - cents(&told.body["dueNow"])).abs() <= 1, "{told:?} {asked}");
        let off = asked["lines"].as_array().expect("lines").iter().find(|line| line["kind"] == "discount");
        assert_eq!(off.map(|line| &line["amount"]), Some(&json!(-1598.00)), "{asked}");
        bench.pay().await;
        let again = json!({ "plan": "starter", "coupon": "LAUNCH20" });
        bench.ask("change", again).await.assert_field("/coupon");
        bench.ask("preview", json!({ "plan": "starter", "coupon": "NOTHING" })).await.assert_field("/coupon");

        for name in ["buyer", "late"] {
            bench.server.customer(&bench.key, name, "starter").await;
        }
        let order = |name: &str| json!({ "plan": "professional", "customer": name, "coupon": "FIRST" });
        let began = bench.server.post("/api/checkout", &bench.key, order("buyer")).await;
        let approval = json!({ "approvalUrl": began.text_at("/approvalUrl") });
        bench.server.post("/api/admin/sandbox/approve", &bench.admin, approval).await.assert_ok(200);
        bench.server.post("/api/checkout", &bench.key, order("late")).await.assert_field("/coupon");
        let first = bench.server.get("/api/invoices?customer=buyer", &bench.key).await;
        let lines = first.body["data"][0]["lines"].as_array().expect("lines").clone();
        assert!(lines.iter().any(|line| line["kind"] == "discount"), "{first:?}");
        advance(&bench.server, &bench.admin, &format!("{next}-02-11T00:00:00Z")).await;
        let second = bench.server.get("/api/invoices?customer=buyer", &bench.key).await;
        assert_eq!(second.body["data"][0]["amount"], json!(799.00), "once: {second:?}");
        let coupon = bench.server.get("/api/admin/coupons?q=first", &bench.admin).await;
        assert_eq!(coupon.body["data"][0]["redeemed"], 1, "{coupon:?}");
    });
}
