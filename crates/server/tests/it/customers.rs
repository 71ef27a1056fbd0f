//! Customers as their admin sees and changes them.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Database, Server, on_both, on_postgres};

const KEY: [&str; 3] = ["usage:write", "usage:read", "customers:write"];

async fn patch(server: &Server, path: &str, token: &str, body: Value) -> Answer {
    server.send(server.request(Method::PATCH, path, token).json(&body)).await
}

/// A demo with a customer on Starter, an admin's token, and a key.
async fn acme(database: &Database) -> (Server, String, String) {
    let server = Server::demo(database);
    let admin = server.sign_in("admin@halisoft.example").await;
    let (_, key) = server.key_of("halisoft", &KEY).await;
    server.customer(&key, "acme", "starter").await;
    (server, admin, key)
}

/// Reads a list until it is as it is to be: what lists are sorted by follows the gate within a second or two.
async fn until(server: &Server, path: &str, token: &str, good: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..5_000 {
        let answer = server.get(path, token).await;
        answer.assert_ok(200);
        if good(&answer.body) {
            return answer.body;
        }
    }
    panic!("{path} does not become what it is to be");
}

fn emails(body: &Value) -> Vec<&str> {
    body["data"].as_array().into_iter().flatten().filter_map(|row| row["email"].as_str()).collect()
}

#[test]
fn one_customer_is_shown_with_all_that_decides_what_it_may_use() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        server.use_of(&key, "acme", "invoice_ocr", 85).await.assert_ok(200);
        let shown = server.get("/api/admin/customers/acme", &admin).await;
        shown.assert_ok(200);
        assert_eq!(shown.header("etag"), Some("\"1\""));
        let body = &shown.body;
        assert_eq!(
            json!([body["externalId"], body["status"], body["suspended"]]),
            json!(["acme", "near_limit", false])
        );
        let subscription = &body["subscription"];
        let told =
            json!([subscription["plan"], subscription["planName"], subscription["interval"], subscription["status"]]);
        assert_eq!(told, json!(["starter", "Starter", "month", "active"]));
        assert!(shown.text.contains("\"amount\":299.00"), "{shown:?}");
        assert_eq!(body["quotas"], server.get("/api/usage?customer=acme", &key).await.body);
        let by_id = server.get(&format!("/api/admin/customers/{}", shown.text_at("/id")), &admin).await;
        assert_eq!(by_id.body, shown.body);

        let refused = server.use_of(&key, "acme", "invoice_ocr", 50).await;
        refused.assert_problem(429, "quota-exceeded");
        let decisions =
            until(&server, "/api/admin/customers/acme/decisions", &admin, |body| !body["data"][0].is_null()).await;
        assert_eq!(decisions["data"][0]["id"], refused.body["decision"]);
        for _ in 0..2 {
            server.use_of(&key, "acme", "risk_assessment", 1).await.assert_ok(200);
        }
        let events = server.get("/api/admin/customers/acme/events?limit=2", &admin).await;
        let features: Vec<_> =
            events.body["data"].as_array().expect("rows").iter().map(|row| &row["feature"]).collect();
        assert_eq!(features, ["risk_assessment", "risk_assessment"], "the newest first");
        let next = events.text_at("/nextCursor");
        let rest = server.get(&format!("/api/admin/customers/acme/events?limit=2&cursor={next}"), &admin).await;
        assert_eq!(
            json!([rest.body["data"][0]["amount"], rest.body["data"][0]["usedAfter"], rest.body["nextCursor"]]),
            json!([85, 85, null])
        );
        let of_one = server.get("/api/admin/customers/acme/events?feature=invoice-ocr", &admin).await;
        assert_eq!(of_one.body["data"].as_array().map(Vec::len), Some(1));

        let support = server.sign_in("near@halisoft.example").await;
        for path in ["", "/events", "/decisions", "/timeline"] {
            let path = format!("/api/admin/customers/acme{path}");
            server.get(&path, &support).await.assert_problem(403, "forbidden");
            let studio = server.sign_in("admin@studio.example").await;
            server.get(&path, &studio).await.assert_problem(404, "unknown-customer");
        }
    });
}

#[test]
fn an_override_and_credits_open_what_the_plan_closes() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        server.use_of(&key, "acme", "invoice_ocr", 100).await.assert_ok(200);
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(429, "quota-exceeded");
        let path = "/api/admin/customers/acme/overrides/invoice-ocr";
        let set = server.put(path, &admin, json!({ "limitValue": 101, "until": "2099-01-01T00:00:00Z" })).await;
        set.assert_ok(200);
        assert_eq!(set.header("etag"), Some("\"2\""));
        assert_eq!(
            set.body["overrides"],
            json!([{ "feature": "invoice_ocr", "limitValue": 101, "until": "2099-01-01T00:00:00Z" }])
        );
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        let refused = server.use_of(&key, "acme", "invoice_ocr", 1).await;
        refused.assert_problem(429, "quota-exceeded");
        assert_eq!(refused.actions(), ["topUp", "contactSales"], "no plan changes a limit of one's own");
        let unlimited = json!({ "feature": "invoice_ocr", "limitValue": null });
        let set = server.post("/api/admin/customers/acme/overrides", &admin, unlimited).await;
        assert_eq!((set.status, &set.body["quotas"]["invoice_ocr"]["limit"]), (200, &Value::Null), "{set:?}");
        server.use_of(&key, "acme", "invoice_ocr", 8).await.assert_ok(200);
        let gone = server.delete(path, &admin).await;
        assert_eq!(json!([gone.body["overrides"], gone.body["status"]]), json!([[], "over_limit"]), "{gone:?}");
        server.delete(path, &admin).await.assert_problem(404, "not-found");
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(429, "quota-exceeded");

        let credits = json!({ "feature": "invoice_ocr", "amount": 5, "reason": "sorry" });
        let give = async |body: &Value| {
            let request = server.request(Method::POST, "/api/admin/customers/acme/credits", &admin);
            server.send(request.header("idempotency-key", "once").json(body)).await
        };
        let given = give(&credits).await;
        given.assert_ok(201);
        let again = give(&credits).await;
        assert_eq!((again.status, again.is_replay(), &again.body), (201, true, &given.body));
        let more = json!({ "feature": "invoice_ocr", "amount": 6, "reason": "sorry" });
        give(&more).await.assert_problem(422, "idempotency-key-reused");
        server.use_of(&key, "acme", "invoice_ocr", 3).await.assert_ok(200);
        let shown = server.get("/api/admin/customers/acme", &admin).await;
        let left = &shown.body["credits"][0];
        assert_eq!(json!([left["amount"], left["used"], left["remaining"], left["reason"]]), json!([5, 3, 2, "sorry"]));
        server.use_of(&key, "acme", "invoice_ocr", 3).await.assert_problem(429, "quota-exceeded");

        let timeline = server.get("/api/admin/customers/acme/timeline", &admin).await;
        let actions: Vec<_> = timeline.body["data"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["action"].as_str().expect("a text"))
            .collect();
        assert_eq!(
            actions,
            ["credits.granted", "override.removed", "override.set", "override.set", "created", "customer.created"]
        );
        assert_eq!(timeline.body["data"][2]["before"]["limitValue"], 101);
        let mut pages = Vec::new();
        let mut path = "/api/admin/customers/acme/timeline?limit=2".to_owned();
        loop {
            let page = server.get(&path, &admin).await;
            pages.extend(page.body["data"].as_array().expect("rows").clone());
            let Some(next) = page.body["nextCursor"].as_str() else { break };
            path = format!("/api/admin/customers/acme/timeline?limit=2&cursor={next}");
        }
        assert_eq!(json!(pages), timeline.body["data"]);
    });
}

#[test]
fn an_override_and_credits_grant_what_the_plan_does_not_have() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        server.use_of(&key, "acme", "contract_review", 1).await.assert_problem(403, "feature-not-in-plan");
        let path = "/api/admin/customers/acme/overrides/contract_review";
        server.put(path, &admin, json!({ "limitValue": 2 })).await.assert_ok(200);
        let used = server.use_of(&key, "acme", "contract_review", 2).await;
        assert_eq!((used.status, &used.body["quotas"]["contract_review"]["limit"]), (200, &json!(2)), "{used:?}");
        server.use_of(&key, "acme", "contract_review", 1).await.assert_problem(429, "quota-exceeded");
        let credits = json!({ "feature": "contract_review", "amount": 1, "reason": "sorry" });
        server.post("/api/admin/customers/acme/credits", &admin, credits).await.assert_ok(201);
        server.use_of(&key, "acme", "contract_review", 1).await.assert_ok(200);
        server.delete(path, &admin).await.assert_ok(200);
        let shown = server.get("/api/usage?customer=acme", &key).await;
        assert_eq!(shown.body["contract_review"]["limit"], 0, "what is left is credits: {shown:?}");
    });
}

#[test]
fn what_is_wrong_with_an_edit_is_told_and_nothing_changes() {
    on_both(async |database: Database| {
        let (server, admin, _) = acme(&database).await;
        let base = "/api/admin/customers/acme";
        let own = format!("{base}/overrides/invoice_ocr");
        server.put(&own, &admin, json!({})).await.assert_field("/limitValue");
        server.put(&own, &admin, json!({ "limitValue": -1 })).await.assert_field("/limitValue");
        server
            .put(&own, &admin, json!({ "limitValue": 1, "until": "2020-01-01T00:00:00Z" }))
            .await
            .assert_field("/until");
        let unknown = server.put(&format!("{base}/overrides/nonsense"), &admin, json!({ "limitValue": 1 })).await;
        unknown.assert_problem(404, "unknown-feature");
        for (body, pointer) in [
            (json!({ "feature": "invoice_ocr", "amount": 0, "reason": "x" }), "/amount"),
            (json!({ "feature": "invoice_ocr", "amount": 1, "reason": " " }), "/reason"),
            (
                json!({ "feature": "invoice_ocr", "amount": 1, "reason": "x", "expiresAt": "2020-01-01T00:00:00Z" }),
                "/expiresAt",
            ),
        ] {
            server.post(&format!("{base}/credits"), &admin, body).await.assert_field(pointer);
        }
        for (body, pointer) in [
            (json!({ "plan": "nonsense" }), "/plan"),
            (json!({ "plan": "enterprise", "interval": "year" }), "/interval"),
            (json!({ "plan": "starter", "price": "prc_nonsense" }), "/price"),
        ] {
            patch(&server, &format!("{base}/subscription"), &admin, body).await.assert_field(pointer);
        }
        patch(&server, base, &admin, json!({ "suspended": true })).await.assert_field("/reason");
        patch(&server, base, &admin, json!({ "email": "nonsense" })).await.assert_field("/email");
        patch(&server, base, &admin, json!({ "name": " " })).await.assert_field("/name");
        let shown = server.get(base, &admin).await;
        assert_eq!(shown.body["revision"], 1);
        let person = server.sign_in("near@halisoft.example").await;
        server.put(&own, &person, json!({ "limitValue": 1 })).await.assert_problem(403, "forbidden");
        let studio = server.sign_in("admin@studio.example").await;
        server.put(&own, &studio, json!({ "limitValue": 1 })).await.assert_problem(404, "unknown-customer");
    });
}

#[test]
fn of_two_edits_of_one_revision_one_is_lost_to_nobody() {
    on_both(async |database: Database| {
        let (server, admin, _) = acme(&database).await;
        let edit = async |tag: &str, name: String| {
            let request = server.request(Method::PATCH, "/api/admin/customers/acme", &admin).header("if-match", tag);
            server.send(request.json(&json!({ "name": name }))).await
        };
        let edits = futures_util::future::join_all((0..10).map(|n| edit("\"1\"", format!("name {n}")))).await;
        let won: Vec<_> = edits.iter().filter(|edit| edit.status == 200).collect();
        assert_eq!(won.len(), 1, "{edits:?}");
        edits.iter().filter(|edit| edit.status != 200).for_each(|edit| edit.assert_problem(412, "precondition-failed"));
        let shown = server.get("/api/admin/customers/acme", &admin).await;
        assert_eq!((&shown.body["name"], shown.header("etag")), (&won[0].body["name"], Some("\"2\"")));
        edit("*", "any".to_owned()).await.assert_ok(200);
    });
}

#[test]
fn a_plan_changes_now_keeps_what_was_used_and_ends_when_told() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        server.use_of(&key, "acme", "invoice_ocr", 60).await.assert_ok(200);
        let path = "/api/admin/customers/acme/subscription";
        let moved = patch(&server, path, &admin, json!({ "plan": "professional", "interval": "year" })).await;
        moved.assert_ok(200);
        let told = json!([moved.body["subscription"]["plan"], moved.body["subscription"]["interval"]]);
        assert_eq!(told, json!(["professional", "year"]));
        let used = server.use_of(&key, "acme", "invoice_ocr", 1).await;
        assert_eq!(
            (used.number_at("/quotas/invoice_ocr/used"), used.number_at("/quotas/invoice_ocr/limit")),
            (61, 1_000)
        );
        let kept = patch(&server, path, &admin, json!({ "plan": "starter" })).await;
        assert_eq!(kept.body["subscription"]["interval"], "year", "as it was paid before: {kept:?}");
        let ended = server.delete(path, &admin).await;
        assert_eq!((ended.status, &ended.body["subscription"]), (200, &Value::Null));
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(402, "subscription-required");
        server.delete(path, &admin).await.assert_problem(404, "not-found");
        patch(&server, path, &admin, json!({ "plan": "professional" })).await.assert_ok(200);
        assert_eq!(server.use_of(&key, "acme", "invoice_ocr", 1).await.number_at("/quotas/invoice_ocr/used"), 62);
        let timeline = server.get("/api/admin/customers/acme/timeline", &admin).await;
        let causes: Vec<_> = timeline.body["data"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["action"].as_str().expect("a text"))
            .collect();
        // Nobody gives back what was not paid: with an invoice open, another plan now is a new subscription.
        let all = ["created", "canceled", "created", "canceled", "upgraded", "created", "customer.created"];
        assert_eq!(causes, all);
    });
}

#[test]
fn a_suspended_customer_uses_nothing_until_it_is_let_in_again() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        let path = "/api/admin/customers/acme";
        let stopped = patch(&server, path, &admin, json!({ "suspended": true, "reason": "Chargeback" })).await;
        assert_eq!(json!([stopped.body["suspended"], stopped.body["suspendedReason"]]), json!([true, "Chargeback"]));
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(403, "customer-suspended");
        let shown = server.get("/api/usage?customer=acme", &key).await;
        assert_eq!(shown.body["invoice_ocr"]["limit"], 100, "what it has is still shown: {shown:?}");
        let subscription = server.get("/api/subscription?customer=acme", &key).await;
        assert_eq!(subscription.body["suspended"], true, "{subscription:?}");
        let free = patch(
            &server,
            path,
            &admin,
            json!({ "suspended": false, "reason": "Paid", "name": "Acme", "email": "A@acme.example" }),
        )
        .await;
        assert_eq!(
            json!([free.body["suspendedReason"], free.body["name"], free.body["email"]]),
            json!([null, "Acme", "a@acme.example"])
        );
        server.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        assert_eq!(patch(&server, path, &admin, json!({ "name": null })).await.body["name"], Value::Null);
        let trail = server.get("/api/admin/audit?action=customer", &admin).await;
        assert!(trail.text.contains("/renamed") && trail.text.contains("/addressChanged"), "{trail:?}");
        assert!(!trail.text.contains("Acme") && !trail.text.contains("acme.example"), "personal: {trail:?}");
        let timeline = server.get("/api/admin/customers/acme/timeline", &admin).await;
        let reasons: Vec<_> =
            timeline.body["data"].as_array().expect("rows").iter().map(|row| &row["after"]["reason"]).collect();
        assert_eq!(reasons[1..3], ["Paid", "Chargeback"], "{timeline:?}");
    });
}

#[test]
fn users_are_listed_with_plan_quotas_and_status_sorted_filtered_and_searched() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let over = until(&server, "/api/admin/users?status=over_limit", &admin, |body| {
            emails(body) == ["full@halisoft.example"]
        })
        .await;
        assert_eq!(
            over["data"][0]["quotas"]["invoice_ocr"],
            json!({ "used": 100, "limit": 100, "percentage": 100, "status": "exceeded" })
        );
        assert_eq!(
            json!([over["data"][0]["plan"], over["data"][0]["status"], over["data"][0]["role"]]),
            json!(["starter", "over_limit", "user"])
        );
        let list = async |query: &str| server.get(&format!("/api/admin/users?{query}"), &admin).await;
        let names = |answer: &Answer| {
            emails(&answer.body)
                .into_iter()
                .map(|e| e.split('@').next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&list("status=near_limit").await), ["near"]);
        assert_eq!(names(&list("sort=email").await), ["admin", "enterprise", "full", "near", "new", "pro"]);
        assert_eq!(names(&list("").await), ["enterprise", "pro", "full", "near", "new", "admin"], "the newest first");
        assert_eq!(names(&list("sort=-name&plan=starter").await), ["new", "near", "full"]);
        assert_eq!(names(&list("sort=-status&limit=2").await), ["full", "near"]);
        assert_eq!(names(&list("sort=plan&limit=2").await), ["admin", "enterprise"]);
        assert_eq!(names(&list("role=admin").await), ["admin"]);
        assert_eq!(names(&list("q=PAUL").await), ["pro"]);
        for sort in ["email", "-email", "status", "-status", "plan", "-name", "createdAt", "-createdAt"] {
            let whole = names(&list(&format!("sort={sort}")).await);
            let (mut paged, mut query) = (Vec::new(), format!("sort={sort}&limit=2"));
            loop {
                let page = list(&query).await;
                paged.extend(names(&page));
                let Some(next) = page.body["nextCursor"].as_str() else { break };
                query = format!("sort={sort}&limit=2&cursor={next}");
            }
            assert_eq!(paged, whole, "{sort}");
        }
        for (query, pointer) in [
            ("plan=nonsense", "/plan"),
            ("status=nonsense", "/status"),
            ("role=nonsense", "/role"),
            ("sort=role", "/sort"),
            ("format=xml", "/format"),
        ] {
            list(query).await.assert_field(pointer);
        }
        let person = server.sign_in("near@halisoft.example").await;
        for path in ["/api/admin/users", "/api/admin/customers", "/api/admin/near-limit"] {
            server.get(path, &person).await.assert_problem(403, "forbidden");
        }
    });
}

#[test]
fn the_status_follows_every_use_and_every_change() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        let status = async |wanted: &str| {
            until(&server, &format!("/api/admin/customers?status={wanted}&q=acme"), &admin, |body| {
                !body["data"][0].is_null()
            })
            .await
        };
        assert_eq!(status("ok").await["data"][0]["externalId"], "acme");
        server.use_of(&key, "acme", "invoice_ocr", 80).await.assert_ok(200);
        assert_eq!(status("near_limit").await["data"][0]["quotas"]["invoice_ocr"]["used"], 80);
        server.use_of(&key, "acme", "invoice_ocr", 20).await.assert_ok(200);
        status("over_limit").await;
        let path = "/api/admin/customers/acme/overrides/invoice_ocr";
        server.put(path, &admin, json!({ "limitValue": 120 })).await.assert_ok(200);
        let now = server.get("/api/admin/customers?status=near_limit&q=acme", &admin).await;
        assert_eq!(now.body["data"][0]["status"], "near_limit", "an admin's change shows at once: {now:?}");
        patch(&server, "/api/admin/customers/acme/subscription", &admin, json!({ "plan": "professional" }))
            .await
            .assert_ok(200);
        server.delete(path, &admin).await.assert_ok(200);
        let now = server.get("/api/admin/customers?status=ok&plan=professional&q=acme", &admin).await;
        assert_eq!(now.body["data"][0]["status"], "ok", "{now:?}");
    });
}

#[test]
fn who_is_near_a_limit_is_listed_with_what_can_be_done() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let near = until(&server, "/api/admin/near-limit", &admin, |body| emails(body).len() == 2).await;
        assert_eq!(emails(&near), ["full@halisoft.example", "near@halisoft.example"], "those over a limit first");
        let full = &near["data"][0];
        assert_eq!(json!([full["suggestedPlan"], full["status"]]), json!(["professional", "over_limit"]));
        assert_eq!(full["quotas"].as_object().map(serde_json::Map::len), Some(1), "only what is tight: {full}");
        let kinds: Vec<_> = full["actions"].as_array().expect("actions").iter().map(|action| &action["type"]).collect();
        assert_eq!(kinds[..3], ["override", "credits", "changePlan"]);
        // Each action leads to what it says.
        let change = &full["actions"][2];
        let href = change["href"].as_str().expect("a path");
        patch(&server, href, &admin, json!({ "plan": change["plan"] })).await.assert_ok(200);
        assert_eq!(emails(&server.get("/api/admin/near-limit", &admin).await.body), ["near@halisoft.example"]);
    });
}

#[test]
fn a_list_goes_out_whole_as_csv_and_json() {
    on_both(async |database: Database| {
        let (server, admin, key) = acme(&database).await;
        let evil = json!({ "externalId": "evil", "name": "=1+1", "email": "evil@acme.example" });
        server.post("/api/customers", &key, evil).await.assert_ok(201);
        let csv = server.get("/api/admin/customers?format=csv&q=evil", &admin).await;
        csv.assert_ok(200);
        assert_eq!(csv.header("x-total-count"), Some("1"));
        let mut lines = csv.text.lines();
        assert_eq!(lines.next(), Some("id,externalId,email,name,plan,status,suspended,quotas,createdAt"));
        assert!(
            lines.next().is_some_and(|line| line.contains(",evil,evil@acme.example,'=1+1,,ok,false,{},")),
            "{csv:?}"
        );
        let users = server.get("/api/admin/users?format=csv", &admin).await;
        assert_eq!((users.header("x-total-count"), users.text.lines().count()), (Some("6"), 7));
        let json = server.get("/api/admin/users?format=json&sort=email", &admin).await;
        let listed = server.get("/api/admin/users?sort=email", &admin).await;
        assert_eq!(json.body, listed.body);
    });
}

#[test]
fn the_very_next_decision_on_the_other_node_uses_what_an_admin_changed() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = one.sign_in("admin@halisoft.example").await;
        let (_, key) = one.key_of("halisoft", &KEY).await;
        one.customer(&key, "acme", "starter").await;
        let base = "/api/admin/customers/acme";
        for node in [&one, &two] {
            node.use_of(&key, "acme", "invoice_ocr", 50).await.assert_ok(200);
        }
        for (limit, at, other) in [(101, &one, &two), (102, &two, &one), (103, &one, &two)] {
            other.use_of(&key, "acme", "invoice_ocr", 1).await.assert_problem(429, "quota-exceeded");
            at.put(&format!("{base}/overrides/invoice_ocr"), &admin, json!({ "limitValue": limit }))
                .await
                .assert_ok(200);
            other.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        }
        let credits = json!({ "feature": "invoice_ocr", "amount": 1, "reason": "test" });
        one.post(&format!("{base}/credits"), &admin, credits).await.assert_ok(201);
        two.use_of(&key, "acme", "invoice_ocr", 1).await.assert_ok(200);
        two.use_of(&key, "acme", "contract_review", 1).await.assert_problem(403, "feature-not-in-plan");
        patch(&one, &format!("{base}/subscription"), &admin, json!({ "plan": "professional" })).await.assert_ok(200);
        two.use_of(&key, "acme", "contract_review", 1).await.assert_ok(200);
        patch(&two, base, &admin, json!({ "suspended": true, "reason": "test" })).await.assert_ok(200);
        one.use_of(&key, "acme", "contract_review", 1).await.assert_problem(403, "customer-suspended");
        patch(&one, base, &admin, json!({ "suspended": false })).await.assert_ok(200);
        two.use_of(&key, "acme", "contract_review", 1).await.assert_ok(200);
        one.delete(&format!("{base}/subscription"), &admin).await.assert_ok(200);
        two.use_of(&key, "acme", "contract_review", 1).await.assert_problem(402, "subscription-required");
    });
}
