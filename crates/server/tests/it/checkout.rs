//! Buying a plan through the sandbox provider, and what it knows of prices.

use serde_json::{Value, json};

use super::support::{Answer, Database, Server, on_both};

const ADMIN: &str = "admin@halisoft.example";

async fn buy(server: &Server, token: &str, plan: &str) -> Answer {
    server.post("/api/checkout", token, json!({ "plan": plan, "interval": "month", "provider": "sandbox" })).await
}

async fn plan_of(server: &Server, token: &str) -> Value {
    server.get("/api/subscription", token).await.body["subscription"]["plan"].clone()
}

/// The sandbox's plans of one name, newest first, as (price, amount, active).
async fn sandbox_plans(server: &Server, admin: &str, name: &str, interval: &str) -> Vec<(String, Value, bool)> {
    let answer = server.get("/api/admin/sandbox/plans", admin).await;
    answer.assert_ok(200);
    let rows = answer.body["data"].as_array().expect("a list").iter();
    rows.filter(|row| row["name"] == name && row["interval"] == interval)
        .map(|row| {
            let price = row["price"].as_str().expect("a price").to_owned();
            (price, row["amount"].clone(), row["active"] == true)
        })
        .collect()
}

/// Reads the providers' states of a plan's prices until none is on its way any more.
async fn settled(server: &Server, admin: &str, plan: &str) -> Vec<Value> {
    loop {
        let answer = server.get(&format!("/api/admin/plans/{plan}/sync"), admin).await;
        let rows = answer.body["data"].as_array().expect("a list").clone();
        let moving = rows.iter().any(|row| row["state"] == "pending" || row["state"] == "retiring");
        if !rows.is_empty() && !moving {
            return rows;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_plan_is_bought_when_the_provider_says_so_and_use_carries_over() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, admin) = (server.sign_in("near@halisoft.example").await, server.sign_in(ADMIN).await);
        let began = buy(&server, &near, "professional").await;
        began.assert_ok(201);
        assert_eq!((&began.body["state"], &began.body["plan"]), (&json!("open"), &json!("professional")));
        let url = began.body["approvalUrl"].as_str().expect("an address").to_owned();
        assert!(url.starts_with(&server.url), "{url}");
        assert_eq!(buy(&server, &near, "professional").await.body, began.body, "a double click is the same purchase");
        assert_eq!(plan_of(&server, &near).await, "starter");
        let path = format!("/api/checkout/{}", began.body["id"].as_str().expect("an id"));
        assert_eq!(server.get(&path, &near).await.body["state"], "open");

        let approved = server.post("/api/admin/sandbox/approve", &admin, json!({ "approvalUrl": url })).await;
        approved.assert_ok(200);
        assert_eq!((&approved.body["state"], &approved.body["approvalUrl"]), (&json!("completed"), &Value::Null));
        assert_eq!(plan_of(&server, &near).await, "professional");
        let quota = server.get("/api/usage", &near).await.body["invoice_ocr"].clone();
        assert_eq!(quota["used"], 87, "use carries over: {quota}");
        assert!(quota["limit"].as_i64().is_none_or(|limit| limit > 100), "limits grow at once: {quota}");
        assert_eq!(server.get(&path, &near).await.body["state"], "completed");
        buy(&server, &near, "professional").await.assert_problem(409, "taken");
        let again = server.post("/api/admin/sandbox/approve", &admin, json!({ "approvalUrl": url })).await;
        assert_eq!(again.body, approved.body, "approving twice is approving once");
    });
}

#[test]
fn a_buyer_approves_or_declines_on_the_page_and_is_sent_back() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let token = server.sign_in("new@halisoft.example").await;
        let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let browser = browser.expect("a client");
        for (decision, state, plan) in [("decline", "declined", "starter"), ("approve", "completed", "professional")] {
            let began = buy(&server, &token, "professional").await;
            let url = began.body["approvalUrl"].as_str().expect("an address").to_owned();
            let page = browser.get(&url).send().await.expect("a page");
            assert_eq!(page.status(), 200);
            let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
            assert!(policy.contains("default-src 'none'"), "{policy}");
            let html = page.text().await.expect("text");
            for words in ["no money moves", "Professional: 799.00 USD for each month", "Approve", "Decline"] {
                assert!(html.contains(words), "{words} in {html}");
            }
            let form = browser.post(&url).header("content-type", "application/x-www-form-urlencoded");
            let sent = form.body(format!("decision={decision}")).send().await.expect("an answer");
            assert_eq!(sent.status(), 303);
            let id = began.body["id"].as_str().expect("an id");
            assert_eq!(sent.headers()["location"], format!("{}/?checkout={id}", server.url).as_str());
            assert_eq!(server.get(&format!("/api/checkout/{id}"), &token).await.body["state"], state);
            assert_eq!(plan_of(&server, &token).await, plan);
        }
        let gone = browser.get(format!("{}/sandbox/checkout/nothing", server.url)).send().await.expect("an answer");
        assert_eq!(gone.status(), 404);
        let page = gone.text().await.expect("a page");
        assert!(page.contains("<h1>Sandbox checkout</h1>") && page.contains("begin a new one"), "{page}");
    });
}

#[test]
fn what_costs_nothing_needs_no_approval_and_a_key_buys_once_for_its_key() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let pro = server.sign_in("pro@studio.example").await;
        let free = server.post("/api/checkout", &pro, json!({ "plan": "free" })).await;
        free.assert_ok(201);
        // SPEC §5: a downgrade takes effect at the end of the period that was paid for.
        assert_eq!((&free.body["state"], &free.body["approvalUrl"]), (&json!("scheduled"), &Value::Null));
        let shown = server.get("/api/subscription", &pro).await.body["subscription"].clone();
        assert_eq!((&shown["plan"], &shown["scheduled"]["plan"]), (&json!("pro"), &json!("free")), "{shown}");
        assert_eq!(shown["scheduled"]["at"], shown["currentPeriodEnd"]);
        let again = server.post("/api/checkout", &pro, json!({ "plan": "free" })).await;
        assert_eq!((again.status, &again.body["state"]), (201, &json!("scheduled")), "{again:?}");

        let key = server.key(&["customers:write", "usage:read"]).await;
        server.customer(&key, "acme", "starter").await;
        let order = json!({ "plan": "professional", "interval": "year", "customer": "acme" });
        let send = async |body: &Value| {
            let request = server.request(reqwest::Method::POST, "/api/checkout", &key);
            server.send(request.header("idempotency-key", "buy-1").json(body)).await
        };
        let first = send(&order).await;
        first.assert_ok(201);
        let again = send(&order).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert!(again.headers.contains_key("idempotency-replayed"));
        let other = json!({ "plan": "professional", "interval": "month", "customer": "acme" });
        send(&other).await.assert_problem(422, "idempotency-key-reused");
    });
}

#[test]
fn a_customer_pays_its_own_price_others_the_public_one_in_the_tenants_currency_and_late_is_not_lost() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["customers:write", "usage:read"]).await;
        server.customer(&key, "acme", "starter").await;
        server.customer(&key, "bmce", "starter").await;
        // EUR comes before USD wherever prices are sorted.
        let euro = json!({ "interval": "month", "currency": "EUR", "amount": 700 });
        server.post("/api/admin/plans/professional/prices", &admin, euro).await.assert_ok(201);
        let own = json!({ "interval": "month", "currency": "USD", "amount": 3000, "customer": "acme" });
        server.post("/api/admin/plans/enterprise/prices", &admin, own).await.assert_ok(201);
        let order = |plan: &str, customer: &str| json!({ "plan": plan, "customer": customer });
        for (plan, shown) in [("professional", "799.00 USD"), ("enterprise", "3000.00 USD")] {
            let began = server.post("/api/checkout", &key, order(plan, "acme")).await;
            began.assert_ok(201);
            let page = server.http.get(began.body["approvalUrl"].as_str().expect("an address")).send().await;
            assert!(page.expect("a page").text().await.expect("text").contains(shown), "{plan}");
        }
        server.post("/api/checkout", &key, order("enterprise", "bmce")).await.assert_problem(422, "invalid-input");
        let path = "/api/admin/customers/bmce/subscription";
        let moved = server.patch(path, &admin, json!({ "plan": "professional" })).await;
        moved.assert_ok(200);
        assert!(moved.text.contains("USD") && !moved.text.contains("EUR"), "{moved:?}");

        let began = server.post("/api/checkout", &key, order("enterprise", "acme")).await;
        assert!(server.stop().success());
        super::sql::execute(&database, folder.path(), "UPDATE checkout SET expires_at = 0").await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        let path = format!("/api/checkout/{}", began.body["id"].as_str().expect("an id"));
        let shown = server.get(&path, &key).await;
        assert_eq!((&shown.body["state"], &shown.body["approvalUrl"]), (&json!("expired"), &Value::Null));
        let approval = json!({ "approvalUrl": began.body["approvalUrl"] });
        let late = server.post("/api/admin/sandbox/approve", &admin, approval).await;
        assert_eq!(late.body["state"], "completed", "who approves late has paid: {late:?}");
    });
}

#[test]
fn what_cannot_be_bought_is_refused_with_what_to_do() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, full) =
            (server.sign_in("near@halisoft.example").await, server.sign_in("full@halisoft.example").await);
        let admin = server.sign_in(ADMIN).await;
        for (body, pointer) in [
            (json!({ "plan": "nonsense" }), "/plan"),
            (json!({ "plan": "enterprise" }), "/plan"),
            (json!({ "plan": "professional", "interval": "week" }), "/interval"),
            (json!({ "plan": "professional", "provider": "stripe" }), "/provider"),
        ] {
            let refused = server.post("/api/checkout", &near, body).await;
            refused.assert_problem(422, "invalid-input");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{refused:?}");
        }
        buy(&server, &admin, "professional").await.assert_problem(403, "forbidden");
        let began = buy(&server, &near, "professional").await;
        let path = format!("/api/checkout/{}", began.body["id"].as_str().expect("an id"));
        server.get(&path, &full).await.assert_problem(404, "not-found");
        let approval = json!({ "approvalUrl": began.body["approvalUrl"] });
        server.post("/api/admin/sandbox/approve", &near, approval.clone()).await.assert_problem(403, "forbidden");
        let other = server.sign_in("admin@studio.example").await;
        server.post("/api/admin/sandbox/approve", &other, approval).await.assert_problem(404, "not-found");
        assert_eq!(plan_of(&server, &near).await, "starter");
    });
}

#[test]
fn a_new_price_is_a_new_plan_at_the_provider_and_the_old_one_ends_there() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (admin, near) = (server.sign_in(ADMIN).await, server.sign_in("near@halisoft.example").await);
        settled(&server, &admin, "professional").await;
        let before = sandbox_plans(&server, &admin, "Professional", "month").await;
        assert_eq!(
            before.iter().map(|(_, amount, active)| (amount.clone(), *active)).collect::<Vec<_>>(),
            [(json!(799.00), true)]
        );
        // An approval that is open keeps the old plan alive until it has ended.
        let began = buy(&server, &near, "professional").await;
        let request = server.request(reqwest::Method::PATCH, "/api/admin/plans/professional", &admin);
        let patched = server.send(request.json(&json!({ "basePrice": 849.00 }))).await;
        patched.assert_ok(200);
        assert!(["pending", "synced"].contains(&patched.body["sync"]["sandbox"].as_str().expect("a state")));
        let approval = json!({ "approvalUrl": began.body["approvalUrl"] });
        server.post("/api/admin/sandbox/approve", &admin, approval).await.assert_ok(200);
        let paid = server.get("/api/admin/sandbox/plans", &admin).await;
        paid.assert_ok(200);
        let newest = loop {
            let now = sandbox_plans(&server, &admin, "Professional", "month").await;
            if now.len() == 2 {
                break now;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((&newest[0].1, newest[0].2), (&json!(849.00), true));
        let full = server.sign_in("full@halisoft.example").await;
        let late = buy(&server, &full, "professional").await;
        late.assert_ok(201);
        let page = reqwest::get(late.body["approvalUrl"].as_str().expect("an address")).await.expect("a page");
        assert!(page.text().await.expect("text").contains("849.00"), "a new checkout pays the new price");
    });
}

/// A customer has one open purchase: a later one takes its place, and a late approval of the earlier charges nothing.
#[test]
fn a_later_purchase_takes_the_place_of_an_earlier_one() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, admin) = (server.sign_in("near@halisoft.example").await, server.sign_in(ADMIN).await);
        let first = buy(&server, &near, "professional").await;
        let order = json!({ "plan": "professional", "interval": "year", "provider": "sandbox" });
        let second = server.post("/api/checkout", &near, order.clone()).await;
        second.assert_ok(201);
        let path = |began: &Answer| format!("/api/checkout/{}", began.text_at("/id"));
        let shown = server.get(&path(&first), &near).await;
        assert_eq!((&shown.body["state"], &shown.body["approvalUrl"]), (&json!("superseded"), &Value::Null));
        let url = first.text_at("/approvalUrl");
        let page = server.http.get(&url).send().await.expect("a page").text().await.expect("text");
        assert!(page.contains("Nothing was charged") && !page.contains("<form"), "{page}");
        let form = server.http.post(&url).header("content-type", "application/x-www-form-urlencoded");
        let late = form.body("decision=approve").send().await.expect("an answer");
        assert_eq!(late.status(), 409);
        assert!(late.text().await.expect("text").contains("Nothing was charged"));
        let late = server.post("/api/admin/sandbox/approve", &admin, json!({ "approvalUrl": url })).await;
        assert_eq!((late.status, &late.body["state"]), (200, &json!("superseded")), "{late:?}");
        assert_eq!(plan_of(&server, &near).await, "starter");
        let approval = json!({ "approvalUrl": second.text_at("/approvalUrl") });
        let approved = server.post("/api/admin/sandbox/approve", &admin, approval).await;
        assert_eq!(approved.body["state"], "completed", "{approved:?}");
        let bought = server.get("/api/subscription", &near).await.body["subscription"].clone();
        assert_eq!((&bought["plan"], &bought["interval"]), (&json!("professional"), &json!("year")));
        assert_eq!(server.get("/api/invoices", &near).await.body["data"].as_array().map(Vec::len), Some(1));
    });
}
