//! Buying again, changing with a limit of one's own, falling back, and what those who look after customers see of it.

use serde_json::{Value, json};

use super::clock::{ADMIN, advance, invoices, subscription, year};
use super::life::cents;
use super::support::{Answer, Database, Server, on_both};

const ALL: [&str; 4] = ["usage:write", "usage:read", "customers:write", "admin"];

async fn checkout(server: &Server, key: &str, plan: &str, coupon: Option<&str>) -> Answer {
    let mut order = json!({ "plan": plan, "interval": "month", "customer": "acme", "provider": "sandbox" });
    if let Some(code) = coupon {
        order["coupon"] = json!(code);
    }
    server.post("/api/checkout", key, order).await
}

async fn approve(server: &Server, admin: &str, began: &Answer) {
    let approval = json!({ "approvalUrl": began.text_at("/approvalUrl") });
    let approved = server.post("/api/admin/sandbox/approve", admin, approval).await;
    assert_eq!(approved.body["state"], "completed", "{approved:?}");
}

#[test]
fn what_is_paid_for_is_not_bought_twice_and_whoever_buys_another_gets_the_rest_back() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        server.post("/api/customers", &key, json!({ "externalId": "acme" })).await.assert_ok(201);
        approve(&server, &admin, &checkout(&server, &key, "professional", None).await).await;
        let ask = async |what: &str, body: Value| server.post(&format!("/api/subscription/{what}"), &key, body).await;
        ask("cancel", json!({ "customer": "acme" })).await.assert_ok(200);
        let again = checkout(&server, &key, "professional", None).await;
        again.assert_problem(409, "taken");
        assert!(again.text_at("/detail").contains("/api/subscription/resume"), "{again:?}");
        ask("resume", json!({ "customer": "acme" })).await.assert_ok(200);
        ask("pause", json!({ "customer": "acme" })).await.assert_ok(200);
        checkout(&server, &key, "professional", None).await.assert_problem(409, "taken");

        let began = checkout(&server, &key, "starter", None).await;
        began.assert_ok(201);
        approve(&server, &admin, &began).await;
        let shown = subscription(&server, &key, "acme").await;
        assert_eq!(json!([shown["plan"], shown["status"]]), json!(["starter", "active"]));
        let all = invoices(&server, &key, "acme").await;
        let back = all.iter().find(|invoice| invoice["state"] == "refunded").expect("something is given back");
        assert!((-79_900..-79_800).contains(&cents(&back["amount"])), "nearly all of the month was left: {back}");
        assert_eq!(back["lines"][0]["kind"], "unused");
    });
}

#[test]
fn a_limit_of_ones_own_goes_on_and_reduces_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        let next = year(&server, &admin).await + 1;
        advance(&server, &admin, &format!("{next}-01-10T00:00:00Z")).await;
        for name in ["acme", "other"] {
            server.customer(&key, name, "starter").await;
        }
        let own = "/api/admin/customers/acme/overrides/risk_assessment";
        server.put(own, &admin, json!({ "limitValue": 1000 })).await.assert_ok(200);
        server.use_of(&key, "acme", "risk_assessment", 900).await.assert_ok(200);
        for name in ["acme", "other"] {
            for invoice in invoices(&server, &key, name).await {
                let path = format!("/api/admin/invoices/{}", invoice["id"].as_str().expect("an id"));
                server.post(&path, &admin, json!({ "state": "paid" })).await.assert_ok(200);
            }
        }
        let mut due = Vec::new();
        for name in ["acme", "other"] {
            let body = json!({ "customer": name, "plan": "professional" });
            due.push(server.post("/api/subscription/preview", &key, body).await.body["dueNow"].clone());
        }
        let [acme, other] = [&due[0], &due[1]].map(cents);
        assert!((acme - other).abs() <= 3, "900 of 1,000 count on under the same limit: {due:?}");
    });
}

#[test]
fn a_coupon_counts_once_for_a_customer_whatever_it_was_redeemed_with() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        let coupon = json!({ "code": "FIRST", "duration": "once", "amountOff": "100.00" });
        server.post("/api/admin/coupons", &admin, coupon).await.assert_ok(201);
        server.customer(&key, "acme", "starter").await;
        let began = checkout(&server, &key, "professional", Some("FIRST")).await;
        began.assert_ok(201);
        let body =
            json!({ "customer": "acme", "plan": "starter", "interval": "year", "when": "now", "coupon": "FIRST" });
        server.post("/api/subscription/change", &key, body).await.assert_ok(200);
        approve(&server, &admin, &began).await;
        let all = invoices(&server, &key, "acme").await;
        let off = |invoice: &Value| {
            let lines = invoice["lines"].as_array().expect("lines").iter();
            lines.filter(|line| line["kind"] == "discount").count()
        };
        assert_eq!(all.iter().map(off).sum::<usize>(), 1, "{all:?}");
    });
}

#[test]
fn who_looks_after_customers_sees_their_invoices_and_the_trail_says_who_settled_one() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        server.customer(&key, "acme", "starter").await;
        let path = "/api/admin/customers/acme/invoices";
        let listed = server.get(path, &admin).await;
        listed.assert_ok(200);
        assert_eq!(json!([listed.body["data"][0]["state"], listed.body["data"][0]["amount"]]), json!(["open", 299.00]));
        let user = server.sign_in("near@halisoft.example").await;
        server.get(path, &user).await.assert_problem(403, "forbidden");
        server.get("/api/admin/customers/absent/invoices", &admin).await.assert_problem(404, "unknown-customer");
        let id = listed.text_at("/data/0/id");
        let paid = server.post(&format!("/api/admin/invoices/{id}"), &admin, json!({ "state": "paid" })).await;
        paid.assert_ok(200);
        let trail = server.get("/api/admin/audit?action=invoice.settled", &admin).await;
        let entry = &trail.body["data"][0];
        assert_eq!(entry["target"], id.as_str(), "{trail:?}");
    });
}
