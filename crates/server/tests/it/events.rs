//! What live connections are told of changes: to whom, what of it, in which order, and that nothing is lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::permission::member;
use super::realtime::Live;
use super::sql::execute;
use super::support::{Database, Server, on_both, on_postgres};

const ADMIN: &str = "admin@halisoft.example";
const NEAR: &str = "near@halisoft.example";
const NEW: &str = "new@halisoft.example";
const STARTER: &str = "/api/admin/plans/starter";

/// A connection that has said its first word, and the id of it.
async fn listening(server: &Server, token: &str, query: &str) -> (Live, String) {
    let mut live = Live::open(server, token, query).await;
    let first = live.next().await;
    assert!(["snapshot", "resumed"].contains(&first["type"].as_str().expect("a type")), "{first}");
    (live, first["id"].as_str().expect("an id").to_owned())
}

async fn customer_of(server: &Server, token: &str) -> String {
    server.get("/api/me", token).await.text_at("/user/customer")
}

/// What a message says, without its id and time.
fn said(message: &Value) -> Value {
    assert!(message["id"].is_string() && message["at"].is_string(), "{message}");
    json!([message["type"], message["data"]])
}

/// Makes a public change that everybody hears of, so that what they heard before it is all that they hear.
async fn mark(server: &Server, admin: &str, words: &str) {
    server.patch(STARTER, admin, json!({ "description": words })).await.assert_ok(200);
}

#[test]
fn a_raised_limit_and_another_plan_reach_an_open_page_at_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, admin) = (server.sign_in(NEAR).await, server.sign_in(ADMIN).await);
        let own = customer_of(&server, &near).await;
        let (mut page, _) = listening(&server, &near, "").await;
        let (mut office, _) = listening(&server, &admin, "").await;
        let limit = json!({ "limitValue": 120 });
        server.put(&format!("{STARTER}/features/invoice_ocr"), &admin, limit).await.assert_ok(200);
        let told = page.next().await;
        assert_eq!(said(&told), json!(["plan.updated", { "plan": "starter", "version": 2, "cause": null }]));
        let quotas = page.next().await;
        assert_eq!(json!([quotas["type"], quotas["data"]["customer"]]), json!(["usage.updated", own]));
        assert_eq!(quotas["data"]["quotas"], server.get("/api/usage", &near).await.body, "all that it may use now");
        assert_eq!(quotas["data"]["quotas"]["invoice_ocr"]["limit"], 120);
        let told = office.next_of("plan.updated").await;
        let expected = json!({ "plan": "starter", "version": 2, "cause": "plan.updated" });
        assert_eq!(told["data"], expected, "who works here hears what was done");

        let path = format!("/api/admin/customers/{own}");
        server.put(&format!("{path}/overrides/invoice_ocr"), &admin, json!({ "limitValue": 150 })).await.assert_ok(200);
        assert_eq!(said(&page.next().await), json!(["customer.updated", { "customer": own, "cause": null }]));
        let quotas = page.next().await;
        assert_eq!(
            json!([quotas["type"], quotas["data"]["quotas"]["invoice_ocr"]["limit"]]),
            json!(["usage.updated", 150])
        );
        let told = office.next_of("customer.updated").await;
        assert_eq!(told["data"], json!({ "customer": own, "cause": "override.set" }));
        let quotas = office.next_of("usage.updated").await;
        assert_eq!(
            json!([quotas["data"]["customer"], quotas["data"]["quotas"]["invoice_ocr"]["limit"]]),
            json!([own, 150])
        );

        let body = json!({ "plan": "professional" });
        server.patch(&format!("{path}/subscription"), &admin, body).await.assert_ok(200);
        let moved = json!(["subscription.updated", { "customer": own, "plan": "professional", "status": "active", "cause": "upgraded" }]);
        assert_eq!(said(&page.next().await), moved);
        let quotas = page.next().await;
        assert_eq!(quotas["data"]["quotas"], server.get("/api/usage", &near).await.body);
        assert_eq!(said(&office.next_of("subscription.updated").await), moved);
    });
}

#[test]
fn nobody_hears_of_drafts_hidden_plans_and_others_prices() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, new, admin) = (server.sign_in(NEAR).await, server.sign_in(NEW).await, server.sign_in(ADMIN).await);
        let (own, other) = (customer_of(&server, &near).await, customer_of(&server, &new).await);
        let (mut page, _) = listening(&server, &near, "").await;
        let ok = async |answer: super::support::Answer| assert!((200..300).contains(&answer.status), "{answer:?}");
        ok(server.put(&format!("{STARTER}/draft"), &admin, json!({ "basePrice": 1 })).await).await;
        let price =
            |customer: &str| json!({ "interval": "month", "currency": "USD", "amount": 5, "customer": customer });
        ok(server.post(&format!("{STARTER}/prices"), &admin, price(&other)).await).await;
        let secret = json!({ "slug": "secret", "name": "For one", "visible": false, "basePrice": 7 });
        ok(server.post("/api/admin/plans", &admin, secret).await).await;
        let path = |customer: &str| format!("/api/admin/customers/{customer}");
        ok(server.patch(&format!("{}/subscription", path(&other)), &admin, json!({ "plan": "secret" })).await).await;
        ok(server.patch(&path(&other), &admin, json!({ "name": "Somebody else" })).await).await;
        let invited = json!({ "email": "ann@halisoft.example", "role": "support" });
        ok(server.post("/api/admin/members", &admin, invited).await).await;
        server.customer(&server.key(&["customers:write"]).await, "acme", "starter").await;
        mark(&server, &admin, "one").await;
        let plan =
            |slug: &str, version: i64| json!(["plan.updated", { "plan": slug, "version": version, "cause": null }]);
        assert_eq!(said(&page.next().await), plan("starter", 2), "nothing before it");
        assert_eq!(page.next().await["type"], "usage.updated");

        // Its own price it hears of, but nothing of the amount; and whoever has a hidden plan hears of that.
        ok(server.post(&format!("{STARTER}/prices"), &admin, price(&own)).await).await;
        let mut told = said(&page.next().await);
        assert_eq!(told[1]["version"].take(), Value::Null);
        assert_eq!(told, json!(["plan.updated", { "plan": "starter", "version": null, "cause": null }]));
        let (mut others, _) = listening(&server, &new, "").await;
        ok(server.patch("/api/admin/plans/secret", &admin, json!({ "basePrice": 9 })).await).await;
        assert_eq!(said(&others.next().await), plan("secret", 2));
        mark(&server, &admin, "two").await;
        assert_eq!(said(&page.next().await), plan("starter", 3), "nothing of the hidden plan");
        // What is public no more was so until now.
        assert_eq!(page.next().await["type"], "usage.updated");
        ok(server.patch("/api/admin/plans/professional", &admin, json!({ "visible": false })).await).await;
        assert_eq!(said(&page.next().await), plan("professional", 2));
    });
}

#[test]
fn who_works_here_hears_what_their_role_may_read_as_it_is_now() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let support = member(&server, &admin, "support").await;
        let second = member(&server, &admin, "admin").await;
        let reader = server.key(&["usage:read"]).await;
        let id = server.get("/api/me", &second).await.text_at("/user/id");
        let (mut of_support, _) = listening(&server, &support, "").await;
        let (mut of_second, _) = listening(&server, &second, "").await;
        let (mut of_reader, _) = listening(&server, &reader, "").await;
        let (mut of_admin, _) = listening(&server, &admin, "").await;
        server.key(&["usage:write"]).await;
        of_second.next_of("key.updated").await;
        let lowered = json!({ "role": "support" });
        server.patch(&format!("/api/admin/members/{id}"), &admin, lowered).await.assert_ok(200);
        assert_eq!(of_admin.next_of("member.updated").await["data"], json!({ "id": id, "cause": "member.updated" }));
        let coupon = json!({ "code": "WELCOME", "name": "Welcome", "percentOff": 10, "duration": "once" });
        server.post("/api/admin/coupons", &admin, coupon).await.assert_ok(201);
        mark(&server, &admin, "one").await;
        let heard = async |live: &mut Live| {
            let mut types = BTreeSet::new();
            loop {
                let kind = live.next().await["type"].as_str().expect("a type").to_owned();
                let last = kind == "plan.updated";
                types.insert(kind);
                if last {
                    types.remove("price.updated");
                    return types.into_iter().collect::<Vec<_>>();
                }
            }
        };
        assert_eq!(heard(&mut of_support).await, ["coupon.updated", "plan.updated"]);
        assert_eq!(heard(&mut of_second).await, ["coupon.updated", "plan.updated"], "an admin no more");
        assert_eq!(heard(&mut of_reader).await, ["plan.updated"], "a key that reads use hears what is public");
        // Who may see nothing of the tenant any more hears nothing either.
        assert_eq!(server.delete(&format!("/api/admin/members/{id}"), &admin).await.status, 204);
        assert_eq!(of_second.close_code().await, Some(1008));
    });
}

#[test]
fn what_is_refused_or_only_tried_is_not_told() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, admin) = (server.sign_in(NEAR).await, server.sign_in(ADMIN).await);
        let (mut office, _) = listening(&server, &admin, "").await;
        let patch = |body: Value| server.patch(STARTER, &admin, body);
        patch(json!({ "basePrice": "x" })).await.assert_problem(422, "invalid-input");
        patch(json!({ "name": "Starter" })).await.assert_ok(200);
        let wrong = server.request(reqwest::Method::PATCH, STARTER, &admin).header("if-match", "\"999\"");
        server.send(wrong.json(&json!({ "name": "x" }))).await.assert_problem(412, "precondition-failed");
        server.patch(STARTER, &near, json!({ "name": "x" })).await.assert_problem(403, "forbidden");
        let dry = "/api/admin/import?dryRun=true";
        let lines = br#"{"externalId":"dry","subscription":{"plan":"starter"}}"#.to_vec();
        server.post_bytes(dry, &admin, "application/x-ndjson", lines).await.assert_ok(202);
        // All that is told until a message for which `last` holds.
        let until = async |office: &mut Live, last: fn(&Value) -> bool| {
            let mut told = Vec::new();
            loop {
                let message = office.next().await;
                let ends = last(&message);
                told.push(message);
                if ends {
                    return told;
                }
            }
        };
        let told = until(&mut office, |message| message["data"]["cause"] == "import.finished").await;
        // The prices of the demo come to their provider meanwhile.
        let of_others = |message: &Value| message["type"] == "import.updated" || message["type"] == "price.updated";
        assert!(told.iter().all(of_others), "of no plan or customer: {told:?}");
        mark(&server, &admin, "one").await;
        let mut told = until(&mut office, |message| message["type"] == "plan.updated").await;
        assert_eq!(told.pop().map(|last| last["data"]["version"].clone()), Some(json!(2)));
        assert!(told.iter().all(of_others), "nothing came before it: {told:?}");
        let created = json!({ "externalId": "real", "plan": "starter" });
        let made = server.post("/api/customers", &admin, created.clone()).await;
        made.assert_ok(201);
        server.post("/api/customers", &admin, created).await.assert_ok(200);
        mark(&server, &admin, "two").await;
        let id = made.text_at("/id");
        let told = until(&mut office, |message| message["type"] == "plan.updated").await;
        let told: Vec<_> = told
            .iter()
            .filter(|message| message["type"] != "usage.updated")
            .map(|message| json!([message["type"], message["data"]["customer"], message["data"]["cause"]]))
            .collect();
        let customer = json!(["customer.updated", id, "customer.created"]);
        let subscription = json!(["subscription.updated", id, "created"]);
        assert_eq!(told, [customer, subscription, json!(["plan.updated", null, "plan.updated"])]);
    });
}

/// Edits each of some plans some times, all at once, on whichever node.
async fn edit_all(nodes: &[&Server], admin: &str, plans: usize, times: usize) {
    let edits = (0..plans).map(|plan| async move {
        for time in 0..times {
            let node = nodes[(plan + time) % nodes.len()];
            let path = format!("/api/admin/plans/many-{plan}");
            node.patch(&path, admin, json!({ "description": format!("edit {time}") })).await.assert_ok(200);
        }
    });
    futures_util::future::join_all(edits).await;
}

async fn make_plans(server: &Server, admin: &str, plans: usize) {
    for plan in 0..plans {
        let body = json!({ "slug": format!("many-{plan}"), "name": "One of many", "basePrice": 10 });
        server.post("/api/admin/plans", admin, body).await.assert_ok(201);
    }
}

const PLANS: usize = 8;
const TIMES: usize = 6;

/// Hears plans until each was told as often as it was edited; the connection is lost after every few messages.
async fn hear_all(nodes: &[&Server], token: &str, mut since: String, few: usize) -> Vec<(String, i64)> {
    let mut heard = Vec::new();
    for node in nodes.iter().cycle() {
        let mut live = Live::open(node, token, &format!("?since={since}")).await;
        for _ in 0..few {
            let message = live.next().await;
            assert_ne!(message["type"], "resync", "everything can be told");
            message["id"].as_str().expect("an id").clone_into(&mut since);
            if message["type"] == "plan.updated" {
                let slug = message["data"]["plan"].as_str().expect("a plan").to_owned();
                heard.push((slug, message["data"]["version"].as_i64().expect("a version")));
            }
            if heard.len() == PLANS * TIMES {
                return heard;
            }
        }
    }
    heard
}

fn assert_each_once_in_order(heard: &[(String, i64)]) {
    let mut of_plan: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (slug, version) in heard {
        of_plan.entry(slug).or_default().push(*version);
    }
    let versions: Vec<_> = (2..).take(TIMES).collect();
    assert!(of_plan.len() == PLANS && of_plan.values().all(|told| *told == versions), "{of_plan:?}");
}

#[test]
fn who_loses_the_connection_again_and_again_while_eight_write_loses_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let (near, admin) = (server.sign_in(NEAR).await, server.sign_in(ADMIN).await);
        make_plans(&server, &admin, PLANS).await;
        let (live, since) = listening(&server, &near, "").await;
        drop(live);
        let nodes = [&server];
        let edits = edit_all(&nodes, &admin, PLANS, TIMES);
        let ((), often, rarely) = tokio::join!(
            edits,
            hear_all(&nodes, &near, since.clone(), 2),
            hear_all(&nodes, &near, since.clone(), 1_000)
        );
        assert_each_once_in_order(&often);
        assert_eq!(often, rarely, "in one order for all");
        assert_eq!(hear_all(&nodes, &near, since, 1_000).await, often, "also for who comes later");
    });
}

#[test]
fn what_is_told_on_one_node_is_heard_on_the_other_in_the_same_order() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (near, admin) = (one.sign_in(NEAR).await, one.sign_in(ADMIN).await);
        make_plans(&one, &admin, PLANS).await;
        let (live, since) = listening(&one, &near, "").await;
        drop(live);
        let (both, only) = ([&one, &two], [&two]);
        let edits = edit_all(&both, &admin, PLANS, TIMES);
        let ((), here, there) =
            tokio::join!(edits, hear_all(&both, &near, since.clone(), 3), hear_all(&only, &near, since.clone(), 1_000));
        assert_each_once_in_order(&here);
        assert_eq!(here, there);
        let own = customer_of(&one, &near).await;
        let (mut page, _) = listening(&two, &near, "").await;
        let path = format!("/api/admin/customers/{own}/overrides/invoice_ocr");
        one.put(&path, &admin, json!({ "limitValue": 130 })).await.assert_ok(200);
        let told = page.next_of("usage.updated").await;
        assert_eq!(told["data"]["quotas"]["invoice_ocr"]["limit"], 130, "an own limit moves a meter on another node");
    });
}

#[test]
fn an_admin_is_told_the_newest_of_each_and_never_an_older_one_after_it() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        make_plans(&server, &admin, PLANS).await;
        let (mut office, _) = listening(&server, &admin, "").await;
        let last = i64::try_from(TIMES).expect("it fits") + 1;
        let hears = async {
            let mut newest: BTreeMap<String, i64> = BTreeMap::new();
            while newest.len() < PLANS || newest.values().any(|version| *version < last) {
                let told = office.next_of("plan.updated").await;
                let version = told["data"]["version"].as_i64().expect("a version");
                let plan = told["data"]["plan"].as_str().expect("a plan").to_owned();
                assert!(newest.insert(plan, version).is_none_or(|before| before < version), "{told}");
            }
        };
        let nodes = [&server];
        tokio::join!(edit_all(&nodes, &admin, PLANS, TIMES), hears);
    });
}

#[test]
fn what_was_told_before_a_restart_is_told_after_it_and_for_a_week() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let start = || Server::start(&database, folder.path(), &["--demo"], &[]);
        let server = start();
        let (near, admin) = (server.sign_in(NEAR).await, server.sign_in(ADMIN).await);
        let (live, since) = listening(&server, &near, "").await;
        drop(live);
        mark(&server, &admin, "one").await;
        assert!(server.stop().success());
        let server = start();
        let since = format!("?since={since}");
        let told = Live::open(&server, &near, &since).await.next().await;
        assert_eq!(json!([told["type"], told["data"]["version"]]), json!(["plan.updated", 2]));
        assert!(server.stop().success());
        let week = "UPDATE event SET at = at - CAST(604800000000 AS BIGINT)";
        let due = "UPDATE job SET due_at = 0 WHERE kind = 'drop_expired'";
        execute(&database, folder.path(), &format!("{week}; {due}")).await;
        let server = start();
        // Once the job has come to it, what was missed cannot be told any more.
        let first = async || Live::open(&server, &near, &since).await.next().await["type"].clone();
        while first().await != "resync" {}
        let mut live = Live::open(&server, &near, &since).await;
        assert_eq!(json!([live.next().await["type"], live.next().await["type"]]), json!(["resync", "snapshot"]));
        mark(&server, &admin, "two").await;
        assert_eq!(live.next().await["data"]["version"], 3, "and it goes on");
    });
}
