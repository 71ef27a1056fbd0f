//! The catalog as one document: what goes out comes in again, and what comes in is all of it or nothing.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, PASSWORD, Server, on_both, on_sqlite, tollgate};

const PATH: &str = "/api/admin/catalog";
const ADMIN: &str = "admin@halisoft.example";

/// The demo with two more tenants that have nothing, and the tokens of their admins.
async fn with_empty_tenants(database: &Database, folder: &Path) -> (Server, [String; 2]) {
    assert!(Server::start(database, folder, &["--demo"], &[]).stop().success());
    for slug in ["one", "two"] {
        let empty = format!(
            "INSERT INTO tenant (tenant_id, slug, name, mode, currency, timezone, enforced, clock_offset, brand, epoch, \
             outbox_seq, created_at, settings) SELECT 'ten_{slug}', '{slug}', 'Empty', mode, currency, timezone, enforced, \
             clock_offset, '{{}}', epoch, 0, created_at, settings FROM tenant WHERE slug = 'halisoft'"
        );
        execute(database, folder, &empty).await;
        let mut command = tollgate(database, folder, "admin create");
        command.args(["--demo", "--tenant", slug, "--email", "ann@example.com", "--role", "admin"]);
        let made = command.args(["--password", PASSWORD]).output().expect("it runs");
        assert!(made.status.success(), "{made:?}");
    }
    let server = Server::start(database, folder, &["--demo"], &[]);
    let sign_in = async |slug: &str| {
        let login = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", slug);
        let body = json!({ "email": "ann@example.com", "password": PASSWORD });
        server.send(login.json(&body)).await.text_at("/accessToken")
    };
    let tokens = [sign_in("one").await, sign_in("two").await];
    (server, tokens)
}

async fn exported(server: &Server, token: &str) -> Answer {
    let answer = server.get(&format!("{PATH}?format=yaml"), token).await;
    answer.assert_ok(200);
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    answer
}

async fn applied(server: &Server, token: &str, query: &str, text: &str) -> Answer {
    let request = server.request(Method::POST, &format!("{PATH}{query}"), token);
    server.send(request.header("content-type", "application/yaml").body(text.to_owned())).await
}

/// What an answer says in a few words: each change's action with what it is about.
fn changes(answer: &Answer) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let changes = answer.body["changes"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    changes.iter().map(|c| format!("{} {} {}", text(&c["action"]), text(&c["section"]), text(&c["key"]))).collect()
}

/// Edits of each kind, so that the catalog is not as it was made.
async fn edit(server: &Server, admin: &str) {
    let feature = json!({ "feature": "sso", "name": "Single sign-on: \"yes\"", "kind": "flag" });
    server.post("/api/admin/features", admin, feature).await.assert_ok(201);
    let retired = json!({ "feature": "retired", "name": "Retired", "kind": "counter" });
    server.post("/api/admin/features", admin, retired).await.assert_ok(201);
    let starter = "/api/admin/plans/starter";
    let change = json!({ "basePrice": 349.00, "description": "For teams.\n  That begin. \n", "trialDays": 14, "visible": false });
    server.patch(starter, admin, change).await.assert_ok(200);
    let euro = json!({ "interval": "year", "currency": "EUR", "amount": 3190 });
    server.post(&format!("{starter}/prices"), admin, euro).await.assert_ok(201);
    let soft = json!({ "limitValue": 120, "limitType": "soft", "overagePrice": 0.125, "thresholds": { "warning": 70 }, "failOpen": 3 });
    server.put(&format!("{starter}/features/invoice_ocr"), admin, soft).await.assert_ok(200);
    server.put(&format!("{starter}/features/sso"), admin, json!({ "enabled": false })).await.assert_ok(200);
    server.put(&format!("{starter}/features/retired"), admin, json!({ "limitValue": null })).await.assert_ok(200);
    server.patch("/api/admin/features/retired", admin, json!({ "archived": true })).await.assert_ok(200);
    server.delete("/api/admin/plans/enterprise", admin).await.assert_ok(200);
    let component = json!({ "baseTokenCost": 12, "chargeRule": "attempt", "active": false, "position": 40 });
    server.patch("/api/admin/components/contract_review", admin, component).await.assert_ok(200);
    let own = json!({ "name": "own_models", "kind": "openai", "baseUrl": "https://models.example.com/v1", "apiKey": "sk-secret-0123456789" });
    server.post("/api/admin/upstreams", admin, own).await.assert_ok(201);
    let pack = json!({ "slug": "ocr-100", "name": "100 more", "feature": "invoice_ocr", "amount": 100, "price": 49, "expiresAfterDays": 365 });
    server.post("/api/admin/packs", admin, pack).await.assert_ok(201);
    let coupon = json!({ "code": "SPRING20", "name": "Spring", "percentOff": 20, "duration": "repeating", "months": 3, "plans": ["starter", "enterprise"] });
    server.post("/api/admin/coupons", admin, coupon).await.assert_ok(201);
    let dear = json!({ "model": "claude-opus-5-5", "input": 5, "output": 25, "cacheWrite5m": 6.25, "cacheWrite1h": 10, "cacheRead": 0.5, "effectiveFrom": "2099-01-01T00:00:00Z" });
    server.put("/api/admin/model-prices", admin, dear).await.assert_ok(200);
}

#[test]
fn a_catalog_that_is_taken_out_and_applied_to_an_empty_tenant_is_the_same_there() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let (server, tokens) = with_empty_tenants(&database, folder.path()).await;
        edit(&server, &server.sign_in(ADMIN).await).await;
        for (tenant, empty) in ["halisoft", "studio"].into_iter().zip(&tokens) {
            let admin = server.sign_in(&format!("admin@{tenant}.example")).await;
            let first = exported(&server, &admin).await;
            assert!(!first.text.contains("sk-secret") && !first.text.contains("6789"), "no key is in it");
            assert_eq!(first.text.contains("Retired"), tenant == "halisoft", "a plan still grants what was archived");
            assert_eq!(changes(&applied(&server, &admin, "?dryRun=true", &first.text).await), Vec::<String>::new());
            let made = applied(&server, empty, "", &first.text).await;
            made.assert_ok(200);
            assert!(made.body["applied"] == true && changes(&made).iter().all(|change| !change.starts_with("keep")));
            let again = exported(&server, empty).await;
            assert_eq!(again.text, first.text);
            assert_eq!((again.header("etag"), made.header("etag")), (first.header("etag"), first.header("etag")));
            let nothing = applied(&server, empty, "", &first.text).await;
            assert_eq!(nothing.text_at("/text"), "The catalog is what the document says.\n");
            let json = server.get(PATH, &admin).await;
            json.assert_ok(200);
            let request = server.request(Method::POST, &format!("{PATH}?dryRun=true"), &admin).json(&json.body);
            assert_eq!(changes(&server.send(request).await), Vec::<String>::new(), "JSON says the same");
        }
        let prices = "SELECT CAST(COUNT(*) AS TEXT) FROM provider_price WHERE tenant_id = 'ten_one'";
        assert_eq!(
            texts(&database, &server.data, prices).await,
            ["5"],
            "providers are told of every price that is sold"
        );
    });
}

#[test]
fn a_dry_run_changes_nothing_and_a_raised_limit_is_used_by_the_next_decision() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["usage:write", "usage:read", "customers:write", "admin"]).await;
        server.customer(&key, "acme", "starter").await;
        server.use_of(&key, "acme", "risk_assessment", 50).await.assert_ok(200);
        server.use_of(&key, "acme", "risk_assessment", 1).await.assert_problem(429, "quota-exceeded");
        let before = exported(&server, &admin).await;
        let raised = before.text.replacen("limitValue: 50\n", "limitValue: 60\n", 1);
        assert_ne!(raised, before.text);
        let dry = applied(&server, &admin, "?dryRun=true", &raised).await;
        dry.assert_ok(200);
        assert_eq!((&dry.body["applied"], changes(&dry)), (&json!(false), vec!["change plans starter".to_owned()]));
        let field = json!({ "field": "/features/risk_assessment/limitValue", "before": 50, "after": 60 });
        assert_eq!(dry.body["changes"][0]["fields"], json!([field]));
        assert!(dry.text_at("/text").contains("~ plan starter\n    features/risk_assessment/limitValue: 50 → 60\n"));
        assert_eq!(exported(&server, &admin).await.text, before.text);
        server.use_of(&key, "acme", "risk_assessment", 1).await.assert_problem(429, "quota-exceeded");
        applied(&server, &key, "", &raised).await.assert_ok(200);
        let used = server.use_of(&key, "acme", "risk_assessment", 1).await;
        assert_eq!(used.number_at("/quotas/risk_assessment/limit"), 60, "{used:?}");
        let entries = server.get("/api/admin/audit?limit=2", &admin).await;
        assert_eq!(
            json!([entries.body["data"][0]["action"], entries.body["data"][1]["action"]]),
            json!(["catalog.applied", "plan.updated"])
        );
        assert!(entries.text_at("/data/1/actor").starts_with("key:"));
    });
}

#[test]
fn a_price_in_a_document_is_a_new_version_and_is_told_to_the_provider() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let sync = "/api/admin/plans/starter/sync";
        let settled = async || loop {
            let prices = server.get(sync, &admin).await.body["data"].as_array().expect("prices").clone();
            if !prices.is_empty() && !prices.iter().any(|row| row["state"] == "pending" || row["state"] == "retiring") {
                return prices;
            }
            tokio::task::yield_now().await;
        };
        settled().await;
        let text = exported(&server, &admin).await.text.replace("299.00", "349.00");
        applied(&server, &admin, "", &text).await.assert_ok(200);
        let plans = server.get("/api/plans", "").await;
        assert_eq!(plans.body["data"][0]["basePrice"].to_string(), "349.0");
        let versions = server.get("/api/admin/plans/starter/prices", &admin).await;
        let monthly =
            versions.body["data"].as_array().expect("versions").iter().filter(|row| row["interval"] == "month");
        let told: Vec<_> = monthly.map(|row| json!([row["version"], row["amount"], row["isActive"]])).collect();
        assert_eq!(json!(told), json!([[2, 349.0, true], [1, 299.0, false]]));
        let prices = settled().await;
        let states: Vec<_> = prices.iter().map(|row| row["state"].as_str().unwrap_or_default()).collect();
        assert_eq!(states.iter().filter(|state| **state == "synced").count(), 2, "{prices:?}");
        assert_eq!(states.len(), 3, "{prices:?}");
        let paid = "SELECT CAST(p.amount_minor AS TEXT) FROM subscription s JOIN price p ON p.tenant_id = s.tenant_id \
            AND p.price_id = s.price_id JOIN plan n ON n.tenant_id = s.tenant_id AND n.plan_id = s.plan_id WHERE n.slug = 'starter'";
        let paid = texts(&database, &server.data, paid).await;
        assert!(!paid.is_empty() && paid.iter().all(|amount| amount == "29900"), "{paid:?}");
    });
}

/// A document with a fault of each kind.
const FAULTY: &str = "\
features:
- { key: fine, name: Fine, kind: counter }
- { key: invoice_ocr, name: Invoices, kind: gauge }
plans:
- slug: team
  name: Team
  prices: { month: { USD: '9.999', EUR: '-1' } }
  features: { fine: { limitValue: 5, limitType: unlimited }, nothing: { limitValue: 1 } }
- { slug: Big_Plan, name: Big, trialDays: 9999, colour: red }
- { slug: team, name: Again }
components:
- key: writer
  name: Writer
  upstream: nowhere
  model: m
  draws: [{ feature: writer, amount: 1 }]
  actions: [{ name: write, maxOutputTokens: 10, template: '{{ input.x }}', inputSchema: { type: object, properties: { y: {} } } }]
modelPrices:
- { model: claude-opus-5-5, input: '1', output: '1', cacheWrite5m: '1', cacheWrite1h: '1', cacheRead: '1' }
packs:
- { slug: p, name: P, feature: storage, amount: 1, price: '1.00' }
coupons:
- { code: X, percentOff: 120, duration: once }
defaultPlan: nowhere
";

/// Where they are.
const FAULTS: [&str; 16] = [
    "/features/1/kind",
    "/plans/0/prices/month/USD",
    "/plans/0/prices/month/EUR",
    "/plans/0/features/fine/limitValue",
    "/plans/0/features/nothing",
    "/plans/1/slug",
    "/plans/1/trialDays",
    "/plans/1/colour",
    "/plans/2",
    "/components/0/upstream",
    "/components/0/draws/0/feature",
    "/components/0/actions/0/template",
    "/modelPrices/0/effectiveFrom",
    "/packs/0/feature",
    "/coupons/0/percentOff",
    "/defaultPlan",
];

#[test]
fn a_document_with_faults_is_told_all_of_them() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let before = exported(&server, &admin).await;
        let refused = applied(&server, &admin, "", FAULTY).await;
        for pointer in FAULTS {
            refused.assert_field(pointer);
        }
        let errors = refused.body["errors"].as_array().expect("errors");
        assert!(
            errors.iter().all(|error| error["detail"].as_str().is_some_and(|d| d.starts_with("line "))),
            "{errors:?}"
        );
        assert!(refused.text_at("/detail").starts_with("16 problems; the first: "), "{refused:?}");
        for (text, said) in [("a: &a [1]\nb: *a\n", "anchors"), ("plans: [", "line 1"), ("\u{1}", "line 1")] {
            let refused = applied(&server, &admin, "", text).await;
            refused.assert_problem(422, "invalid-input");
            assert!(refused.text_at("/detail").contains(said), "{refused:?}");
        }
        let refused = server.post_bytes(PATH, &admin, "application/yaml", vec![0xff]).await;
        refused.assert_problem(422, "invalid-input");
        server
            .post_bytes(PATH, &admin, "text/plain", b"{}".to_vec())
            .await
            .assert_problem(415, "unsupported-media-type");
        let large = vec![b' '; 4 * 1024 * 1024 + 1];
        server.post_bytes(PATH, &admin, "application/yaml", large).await.assert_problem(413, "body-too-large");
        assert_eq!(exported(&server, &admin).await.text, before.text);
    });
}

#[test]
fn a_failure_half_way_leaves_everything_as_it_was() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let before = exported(&server, &admin).await;
        // What only the database refuses comes after much was written.
        let late = before.text.replacen("name: Starter", "name: Renamed", 1)
            + "- { code: LATE, percentOff: 5, duration: once }\n";
        let late = late.replace("coupons: []\n", "coupons:\n");
        let trip = match &database {
            Database::Sqlite => "CREATE TRIGGER trip BEFORE INSERT ON coupon BEGIN SELECT RAISE(ABORT, 'tripped'); END",
            Database::Postgres(_) => "ALTER TABLE coupon ADD CONSTRAINT trip CHECK (code <> 'LATE')",
        };
        execute(&database, &server.data, trip).await;
        assert!(applied(&server, &admin, "", &late).await.status >= 500);
        assert_eq!(exported(&server, &admin).await.text, before.text);
        assert_eq!(server.get("/api/plans", "").await.text_at("/data/0/name"), "Starter");
    });
}

#[test]
fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let read = exported(&server, &admin).await;
        let tag = read.header("etag").expect("an ETag").to_owned();
        let text = read.text.replace("name: Starter", "name: Beginner");
        let with = async |tag: &str, query: &str| {
            let request = server.request(Method::POST, &format!("{PATH}{query}"), &admin).header("if-match", tag);
            server.send(request.header("content-type", "application/yaml").body(text.clone())).await
        };
        with(&tag, "?dryRun=true").await.assert_ok(200);
        let coupon = json!({ "code": "NEW", "name": "New", "percentOff": 5, "duration": "once" });
        server.post("/api/admin/coupons", &admin, coupon).await.assert_ok(201);
        with(&tag, "").await.assert_problem(412, "precondition-failed");
        with(&tag, "?dryRun=true").await.assert_problem(412, "precondition-failed");
        let now = exported(&server, &admin).await.header("etag").expect("an ETag").to_owned();
        let done = with(&now, "").await;
        done.assert_ok(200);
        assert_eq!(changes(&done), ["change plans starter", "keep coupons NEW"]);
        with(&now, "").await.assert_problem(412, "precondition-failed");
        server.patch("/api/admin/settings", &admin, json!({ "requireIfMatch": true })).await.assert_ok(200);
        applied(&server, &admin, "", &text).await.assert_problem(428, "precondition-required");
        applied(&server, &admin, "?dryRun=true", &text).await.assert_ok(200);
    });
}

#[test]
fn what_a_document_does_not_have_stays_until_it_is_pruned_and_comes_back() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "acme", "professional").await;
        let before = exported(&server, &admin).await;
        let mut document = server.get(PATH, &admin).await.body;
        for (section, name) in [("plans", "slug"), ("components", "key")] {
            let entries = document[section].as_array_mut().expect("a section");
            entries.retain(|entry| entry[name] != "professional" && entry[name] != "contract_review");
        }
        document.as_object_mut().expect("an object").remove("features");
        let pack =
            json!({ "slug": "ocr-100", "name": "100 more", "feature": "invoice_ocr", "amount": 100, "price": 49 });
        server.post("/api/admin/packs", &admin, pack).await.assert_ok(201);
        let coupon = json!({ "code": "NEW", "name": "New", "percentOff": 5, "duration": "once" });
        server.post("/api/admin/coupons", &admin, coupon).await.assert_ok(201);
        let text = document.to_string();
        let kept = applied(&server, &admin, "", &text).await;
        let absent =
            ["keep plans professional", "keep components contract_review", "keep packs ocr-100", "keep coupons NEW"];
        let places = [
            "change plans enterprise",
            "change components expense_categorization",
            "change components cash_flow_forecast",
        ];
        for change in absent.iter().chain(&places) {
            assert!(changes(&kept).contains(&(*change).to_owned()), "{change}: {kept:?}");
        }
        assert_eq!(changes(&kept).len(), absent.len() + places.len(), "{kept:?}");
        let pruned = applied(&server, &admin, "?prune=true", &text).await;
        let archived: Vec<_> = absent.iter().map(|change| change.replace("keep", "archive")).collect();
        assert_eq!(changes(&pruned), archived);
        assert!(
            pruned.text_at("/text").ends_with("0 added, 0 changed, 4 archived, 0 not in the document\n"),
            "{pruned:?}"
        );
        assert_eq!(changes(&applied(&server, &admin, "?prune=true", &text).await), Vec::<String>::new());
        assert!(!server.get("/api/plans", "").await.text.contains("professional"));
        server.use_of(&key, "acme", "contract_review", 1).await.assert_ok(200);
        let back = applied(&server, &admin, "", &before.text).await;
        back.assert_ok(200);
        assert!(changes(&back).contains(&"change plans professional".to_owned()), "{back:?}");
        assert!(server.get("/api/plans", "").await.text.contains("professional"));
        let gone = applied(&server, &admin, "?prune=true", "plans: []\ndefaultPlan: starter\n").await;
        gone.assert_field("/defaultPlan");
    });
}

#[test]
fn a_version_that_a_document_publishes_holds_for_whom_it_is_meant() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in(ADMIN).await;
        let key = server.key(&["usage:write", "usage:read", "customers:write"]).await;
        server.customer(&key, "old", "starter").await;
        let text = exported(&server, &admin).await.text.replacen("limitValue: 50\n", "limitValue: 40\n", 1);
        applied(&server, &admin, "?applies=sometime", &text).await.assert_field("/applies");
        applied(&server, &admin, "?applies=new", &text).await.assert_ok(200);
        server.customer(&key, "new", "starter").await;
        assert_eq!(server.quota_of(&key, "old", "risk_assessment").await["limit"], 50);
        assert_eq!(server.quota_of(&key, "new", "risk_assessment").await["limit"], 40);
    });
}

/// What a command says, and with which code it ends.
fn run(database: &Database, data: &Path, command: &str, arguments: &[&str]) -> (i32, String) {
    let output = tollgate(database, data, command).args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("it ends"), said)
}

#[test]
fn the_command_line_takes_out_compares_and_applies_on_the_database() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
        let file = folder.path().join("catalog.yaml");
        let path = file.to_str().expect("a path").to_owned();
        let studio = ["--demo", "--tenant", "studio"];
        let on = |command: &str, more: &[&str]| run(&database, folder.path(), command, &[&studio[..], more].concat());
        let (code, said) = run(&database, folder.path(), "catalog export", &["--demo"]);
        assert!(code == 1 && said.contains("name the tenant by --tenant: there is halisoft, studio"), "{said}");
        assert_eq!(on("catalog export", &["-o", &path]), (0, String::new()));
        let (code, text) = on("catalog export", &[]);
        assert_eq!((code, &text), (0, &std::fs::read_to_string(&file).expect("it is written")));
        assert_eq!(on("catalog diff", &[&path]), (0, "The catalog is what the document says.\n".to_owned()));
        std::fs::write(&file, text.replacen("limitValue: 100\n", "limitValue: 110\n", 1)).expect("it is written");
        let (code, said) = on("catalog diff", &[&path]);
        assert!(code == 2 && said.contains("~ plan free\n    features/prompts/limitValue: 100 → 110\n"), "{said}");
        let (code, said) = on("catalog apply", &[&path, "--dry-run"]);
        assert!(code == 0 && said.contains("1 to change"), "{said}");
        let (code, said) = on("catalog apply", &[&path]);
        assert!(code == 1 && said.contains("add --yes"), "nobody is there to be asked: {said}");
        assert_eq!(on("catalog diff", &[&path]).0, 2);
        let (code, said) = on("catalog apply", &[&path, "--yes"]);
        assert!(code == 0 && said.ends_with("applied\n"), "{said}");
        assert_eq!(on("catalog diff", &[&path]).0, 0);
        std::fs::write(&file, "plans:\n- { slug: x, nam: X }\n- { slug: y, name: Y, trialDays: -1 }\n")
            .expect("it is written");
        let (code, said) = on("catalog apply", &[&path, "--yes"]);
        assert!(code == 1 && said.contains("/plans/0/nam line 2: leave it out"), "{said}");
        assert!(said.contains("/plans/1/trialDays line 3: use a whole number"), "{said}");
        let (code, said) = on("catalog diff", &["nowhere.yaml"]);
        assert!(code == 1 && said.contains("nowhere.yaml"), "{said}");
    });
}

#[test]
fn the_command_line_speaks_to_a_running_server() {
    on_sqlite(async || {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::Sqlite;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let (_, key) = server.key_of("studio", &["admin"]).await;
        let (_, weak) = server.key_of("studio", &["usage:read"]).await;
        let file = folder.path().join("catalog.yaml");
        let path = file.to_str().expect("a path").to_owned();
        let elsewhere = tempfile::tempdir().expect("a folder");
        let over = |key: &str, command: &str, more: &[&str]| {
            run(
                &database,
                elsewhere.path(),
                command,
                &[&["--url", server.url.as_str(), "--key", key][..], more].concat(),
            )
        };
        let (code, said) = run(&database, folder.path(), "catalog export", &["--demo", "--tenant", "studio"]);
        assert!(code == 1 && said.contains("reached with --url and --key"), "{said}");
        assert_eq!(over(&key, "catalog export", &["-o", &path]), (0, String::new()));
        assert_eq!(over(&key, "catalog diff", &[&path]).0, 0);
        let text = std::fs::read_to_string(&file).expect("it is written");
        std::fs::write(&file, text.replace("9.99", "12.99")).expect("it is written");
        let (code, said) = over(&key, "catalog diff", &[&path]);
        assert!(code == 2 && said.contains("prices/month/USD: \"9.99\" → \"12.99\""), "{said}");
        let (code, said) = over(&key, "catalog apply", &[&path, "--yes"]);
        assert!(code == 0 && said.ends_with("applied\n"), "{said}");
        assert_eq!(over(&key, "catalog diff", &[&path]).0, 0);
        let (code, said) = over(&weak, "catalog diff", &[&path]);
        assert!(code == 1 && said.contains("403: This needs "), "{said}");
        std::fs::write(&file, "plans:\n- { slug: x, nam: X }\n").expect("it is written");
        let (code, said) = over(&key, "catalog diff", &[&path]);
        assert!(code == 1 && said.contains("\n  /plans/0/nam line 2: leave it out"), "{said}");
        assert!(!elsewhere.path().join("tollgate.db").exists());
    });
}
