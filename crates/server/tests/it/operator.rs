//! Tenants as the operator makes, lists and changes them, by the API and on the command line.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};

use super::permission::owner;
use super::support::{Answer, Database, PASSWORD, Server, on_both, on_postgres, on_sqlite, tollgate};

pub const TENANTS: &str = "/api/operator/tenants";
pub const OPERATOR: &str = "operator@tollgate.example";

/// The body of a new tenant whose owner is `owner@SLUG.example`.
pub fn tenant(slug: &str, mode: &str, template: &str) -> Value {
    json!({ "slug": slug, "name": format!("{slug} Inc."), "mode": mode, "template": template,
        "owner": { "email": format!("owner@{slug}.example"), "password": PASSWORD } })
}

/// Signs in at a tenant by `X-Tenant`.
pub async fn sign_in_at(server: &Server, slug: &str, email: &str) -> Answer {
    let request = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", slug);
    server.send(request.json(&json!({ "email": email, "password": PASSWORD }))).await
}

async fn create_with(server: &Server, operator: &str, key: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, TENANTS, operator).header("idempotency-key", key);
    server.send(request.json(body)).await
}

/// Puts a customer on a plan of a new tenant and uses a feature of it once.
async fn use_once(server: &Server, owner: &str, (plan, feature, key_prefix): (&str, &str, &str)) -> String {
    let scopes = json!({ "name": "first", "scopes": ["usage:write", "usage:read", "customers:write", "ai:run"] });
    let key = server.post("/api/admin/keys", owner, scopes).await.text_at("/key");
    assert!(key.starts_with(key_prefix), "{key}");
    let customer = json!({ "externalId": "first", "plan": plan });
    server.post("/api/customers", &key, customer).await.assert_ok(201);
    let used = server.use_of(&key, "first", feature, 1).await;
    assert_eq!((used.status, used.number_at(&format!("/quotas/{feature}/used"))), (200, 1));
    key
}

#[test]
fn a_tenant_of_each_template_can_be_signed_in_to_and_used_at_once_and_sees_nothing_of_others() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let port = server.url.rsplit_once(':').expect("a port").1;
        for (slug, mode, template, first) in [
            ("acme", "live", "halisoft", ("starter", "invoice_ocr", "tg_live_")),
            ("paint", "sandbox", "studio", ("free", "prompts", "tg_test_")),
            ("bare-1", "live", "empty", ("basic", "calls", "tg_live_")),
        ] {
            let made = server.post(TENANTS, &operator, tenant(slug, mode, template)).await;
            made.assert_ok(201);
            let plans = if template == "empty" { 0 } else { 3 };
            let facts = ["slug", "name", "mode", "suspended", "customers", "users", "plans", "lastUsedAt", "currency"];
            let wanted = json!([slug, format!("{slug} Inc."), mode, false, 0, 1, plans, null, "USD"]);
            assert_eq!(json!(facts.map(|fact| &made.body[fact])), wanted);
            assert_eq!(made.text_at("/host"), format!("{slug}.localhost"));
            let steps = made.body["next"].to_string();
            assert!(steps.contains(&format!("owner@{slug}.example")) && !made.text.contains(PASSWORD), "{steps}");
            let email = format!("owner@{slug}.example");
            let by_host =
                server.request(Method::POST, "/api/auth/login", "").header("host", format!("{slug}.localhost:{port}"));
            let by_host = server.send(by_host.json(&json!({ "email": email, "password": PASSWORD }))).await;
            assert_eq!(
                (by_host.status, by_host.text_at("/user/role"), by_host.text_at("/user/tenant")),
                (200, "owner".into(), slug.into())
            );
            let owner = sign_in_at(&server, slug, &email).await.text_at("/accessToken");
            let listed = server.get("/api/admin/customers", &owner).await;
            assert_eq!(listed.body["data"], json!([]), "nobody of the template's demo, nor of any other tenant");
            let people = server.get("/api/admin/users", &owner).await;
            assert_eq!(people.body["data"].as_array().map(Vec::len), Some(1), "{people:?}");
            if template == "empty" {
                let feature = json!({ "feature": "calls", "name": "Calls", "kind": "counter" });
                server.post("/api/admin/features", &owner, feature).await.assert_ok(201);
                let grants = json!({ "calls": { "limitValue": 10, "reset": "calendar_month" } });
                let plan = json!({ "slug": "basic", "name": "Basic", "basePrice": 5.00, "features": grants });
                server.post("/api/admin/plans", &owner, plan).await.assert_ok(201);
            }
            let key = use_once(&server, &owner, first).await;
            if template == "halisoft" {
                let invoice = json!({ "invoiceData": "ACME GmbH\nInvoice No. 2025-017\nTotal EUR 240.00" });
                let read = server.post("/api/ai/invoice-ocr/analyze?customer=first", &key, invoice).await;
                assert_eq!((read.status, &read.body["demo"]), (200, &json!(true)), "a live tenant without a service");
            }
            server
                .get("/api/customers/first", &server.key(&["admin"]).await)
                .await
                .assert_problem(404, "unknown-customer");
            assert_eq!(server.get(&format!("{TENANTS}/{slug}"), &operator).await.body["customers"], 1);
        }
    });
}

#[test]
fn what_is_done_to_a_tenant_stands_in_the_operators_trail_and_in_its_own() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let id = server.get("/api/me", &operator).await.text_at("/user/id");
        server.post(TENANTS, &operator, tenant("acme", "live", "studio")).await.assert_ok(201);
        for edit in [
            json!({ "suspended": true, "reason": "Unpaid" }),
            json!({ "suspended": false, "reason": "Paid" }),
            json!({ "name": "Acme" }),
        ] {
            server.patch(&format!("{TENANTS}/acme"), &operator, edit).await.assert_ok(200);
        }
        let owner = sign_in_at(&server, "acme", "owner@acme.example").await.text_at("/accessToken");
        let told = async |credential: &str| {
            let answer = server.get("/api/admin/audit?target=acme&sort=at", credential).await;
            answer.assert_ok(200);
            let rows = answer.body["data"].as_array().expect("entries").clone();
            rows.iter().map(|row| json!([row["action"], row["after"]["reason"], row["actor"]])).collect::<Vec<_>>()
        };
        let actor = format!("user:{id}");
        let wanted = [
            json!(["tenant.created", null, actor]),
            json!(["tenant.suspended", "Unpaid", actor]),
            json!(["tenant.resumed", "Paid", actor]),
            json!(["tenant.updated", null, actor]),
        ];
        assert_eq!((told(&operator).await, told(&owner).await), (wanted.to_vec(), wanted.to_vec()));
        let own = server.get("/api/admin/audit?action=member", &owner).await;
        assert_eq!(
            json!([own.body["data"][0]["action"], own.body["data"][0]["after"], own.body["data"][0]["origin"]]),
            json!(["member.added", { "role": "owner" }, "platform"])
        );
        for credential in [&operator, &owner] {
            let report = server.get("/api/admin/audit/verify", credential).await;
            assert_eq!(json!([report.body["ok"], report.body["findings"]]), json!([true, []]));
        }
    });
}

#[test]
fn what_is_wrong_with_a_new_tenant_is_told_by_its_field_and_makes_nothing() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let with = |pointer: &str, value: Value| {
            let mut body = tenant("acme", "live", "halisoft");
            *body.pointer_mut(pointer).expect("a field") = value;
            body
        };
        let long = "a".repeat(64);
        for slug in ["", "Acme", "a_b", "-a", "a-", "a.b", "xn--a", "platform", "www", "api", "admin", long.as_str()] {
            server.post(TENANTS, &operator, with("/slug", json!(slug))).await.assert_field("/slug");
        }
        for (pointer, value, known) in [
            ("/name", json!(" "), ""),
            ("/name", json!("a\nb"), ""),
            ("/mode", json!("test"), "live, sandbox"),
            ("/template", json!("acme"), "halisoft, studio, empty"),
            ("/owner/email", json!("owner"), "name@example.com"),
            ("/owner/password", json!("short"), "8 to 128"),
            ("/owner/password", json!("password"), "choose another"),
        ] {
            let refused = server.post(TENANTS, &operator, with(pointer, value)).await;
            refused.assert_field(pointer);
            assert!(refused.text_at("/detail").contains(known), "{refused:?}");
        }
        let silent = server.post(TENANTS, &operator, with("/owner", json!({ "email": "a@b.example" }))).await;
        silent.assert_field("/owner/password");
        for (field, value, template) in [
            ("currency", "EUR", "halisoft"),
            ("currency", "EURO", "empty"),
            ("timezone", "Mars/Base", "empty"),
            ("domain", "acme.example", "empty"),
        ] {
            let mut body = tenant("acme", "live", template);
            body[field] = json!(value);
            server.post(TENANTS, &operator, body).await.assert_field(&format!("/{field}"));
        }
        for taken in ["halisoft", "studio"] {
            let refused = server.post(TENANTS, &operator, tenant(taken, "live", "empty")).await;
            refused.assert_problem(409, "taken");
            assert!(refused.text_at("/detail").contains(taken), "{refused:?}");
        }
        server.get(&format!("{TENANTS}/acme"), &operator).await.assert_problem(404, "not-found");
        let mut body = tenant("acme", "live", "empty");
        (body["currency"], body["timezone"]) = (json!("EUR"), json!("Europe/Berlin"));
        let made = server.post(TENANTS, &operator, body).await;
        assert_eq!(
            json!([made.status, made.body["currency"], made.body["timezone"]]),
            json!([201, "EUR", "Europe/Berlin"])
        );
        server.post(TENANTS, &operator, tenant("acme", "live", "empty")).await.assert_problem(409, "taken");
    });
}

#[test]
fn a_creation_that_is_sent_again_makes_one_tenant() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let body = tenant("acme", "live", "studio");
        let made = create_with(&server, &operator, "one", &body).await;
        made.assert_ok(201);
        let again = create_with(&server, &operator, "one", &body).await;
        assert!(again.status == 201 && again.is_replay() && again.body == made.body, "{again:?}");
        for (pointer, value) in [("/name", "Other"), ("/owner/password", "another-password-2"), ("/slug", "acme-2")] {
            let mut other = body.clone();
            *other.pointer_mut(pointer).expect("a field") = json!(value);
            create_with(&server, &operator, "one", &other).await.assert_problem(422, "idempotency-key-reused");
        }
        let other = tenant("twin", "live", "studio");
        let twins =
            futures_util::future::join_all((0..4).map(|_| create_with(&server, &operator, "two", &other))).await;
        assert!(twins.iter().all(|twin| twin.status == 201), "{twins:?}");
        assert_eq!(twins.iter().filter(|twin| !twin.is_replay()).count(), 1, "{twins:?}");
        let rivals = (0..4).map(|_| server.post(TENANTS, &operator, tenant("rival", "live", "empty")));
        let rivals = futures_util::future::join_all(rivals).await;
        assert_eq!(rivals.iter().filter(|rival| rival.status == 201).count(), 1, "{rivals:?}");
        assert!(rivals.iter().all(|rival| rival.status == 201 || rival.body["code"] == "taken"), "{rivals:?}");
        assert_eq!(server.get(TENANTS, &operator).await.body["data"].as_array().map(Vec::len), Some(5));
    });
}

#[test]
fn tenants_are_listed_in_pages_sorted_searched_and_filtered() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        for (slug, mode) in [("delta", "live"), ("alpha", "sandbox"), ("charlie", "live"), ("bravo", "live")] {
            server.post(TENANTS, &operator, tenant(slug, mode, "empty")).await.assert_ok(201);
        }
        server
            .patch(&format!("{TENANTS}/bravo"), &operator, json!({ "suspended": true, "reason": "Test" }))
            .await
            .assert_ok(200);
        let list = async |query: &str| {
            let answer = server.get(&format!("{TENANTS}?{query}"), &operator).await;
            answer.assert_ok(200);
            let slugs: Vec<_> =
                answer.body["data"].as_array().expect("rows").iter().map(|row| row["slug"].clone()).collect();
            (json!(slugs), answer.body["nextCursor"].as_str().map(str::to_owned))
        };
        for (query, wanted) in [
            ("", json!(["bravo", "charlie", "alpha", "delta", "studio", "halisoft"])),
            ("sort=slug", json!(["alpha", "bravo", "charlie", "delta", "halisoft", "studio"])),
            ("sort=-name&mode=live", json!(["delta", "charlie", "bravo"])),
            ("sort=slug&mode=sandbox", json!(["alpha", "halisoft", "studio"])),
            ("suspended=true", json!(["bravo"])),
            ("suspended=false&mode=live&sort=slug", json!(["charlie", "delta"])),
            ("q=ALPHA%20inc", json!(["alpha"])),
            ("q=platform", json!([])),
        ] {
            assert_eq!(list(query).await, (wanted, None), "{query}");
        }
        for sort in ["slug", "-slug", "name", "-createdAt", "createdAt"] {
            let (whole, _) = list(&format!("sort={sort}")).await;
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let (page, next) = list(&format!("sort={sort}&limit=4{cursor}")).await;
                seen.extend(page.as_array().expect("slugs").clone());
                let Some(next) = next else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(json!(seen), whole, "{sort}");
        }
        for (query, pointer) in [
            ("limit=0", "/limit"),
            ("sort=mode", "/sort"),
            ("mode=test", "/mode"),
            ("suspended=maybe", "/suspended"),
            ("plan=x", "/plan"),
            ("cursor=x", "/cursor"),
        ] {
            server.get(&format!("{TENANTS}?{query}"), &operator).await.assert_field(pointer);
        }
    });
}

#[test]
fn an_edit_says_from_which_revision_it_was_made_and_why() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let operator = server.sign_in(OPERATOR).await;
        let path = format!("{TENANTS}/studio");
        let read = server.get(&path, &operator).await;
        let tag = read.header("etag").expect("a tag").to_owned();
        let edit = async |tag: &str, body: Value| {
            server.send(server.request(Method::PATCH, &path, &operator).header("if-match", tag).json(&body)).await
        };
        let renamed = edit(&tag, json!({ "name": "Atelier" })).await;
        assert_eq!((renamed.status, renamed.text_at("/name")), (200, "Atelier".to_owned()));
        edit(&tag, json!({ "name": "Other" })).await.assert_problem(412, "precondition-failed");
        // The tenant's own settings share the revision.
        let admin = server.sign_in("admin@studio.example").await;
        let settings = server.get("/api/admin/settings", &admin).await;
        assert_eq!(
            (settings.header("etag"), settings.text_at("/name")),
            (renamed.header("etag"), "Atelier".to_owned())
        );
        assert_eq!(
            server.patch(&path, &operator, json!({})).await.header("etag"),
            renamed.header("etag"),
            "nothing moved"
        );
        for (body, pointer) in [
            (json!({ "suspended": true }), "/reason"),
            (json!({ "suspended": true, "reason": " " }), "/reason"),
            (json!({ "reason": "Why not" }), "/reason"),
            (json!({ "name": "" }), "/name"),
            (json!({ "mode": "live" }), "/mode"),
            (json!({ "slug": "other" }), "/slug"),
        ] {
            server.patch(&path, &operator, body).await.assert_field(pointer);
        }
        for absent in ["nowhere", "platform", "%00", "NOWHERE", "a%2Fb"] {
            let path = format!("{TENANTS}/{absent}");
            server.get(&path, &operator).await.assert_problem(404, "not-found");
            let stop = json!({ "suspended": true, "reason": "Test" });
            server.patch(&path, &operator, stop).await.assert_problem(404, "not-found");
        }
    });
}

#[test]
fn only_operators_see_and_change_tenants() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let owner = owner(&server, &database).await;
        let (admin, near) =
            (server.sign_in("admin@halisoft.example").await, server.sign_in("near@halisoft.example").await);
        let key = server.key(&["admin"]).await;
        for credential in [&owner, &admin, &near, &key] {
            for refused in [
                server.get(TENANTS, credential).await,
                server.get(&format!("{TENANTS}/halisoft"), credential).await,
                server.post(TENANTS, credential, tenant("acme", "live", "empty")).await,
                server
                    .patch(&format!("{TENANTS}/studio"), credential, json!({ "suspended": true, "reason": "x" }))
                    .await,
            ] {
                refused.assert_problem(403, "forbidden");
                assert!(refused.text_at("/detail").contains("operator"), "{refused:?}");
            }
        }
        server.get(TENANTS, "").await.assert_problem(401, "unauthenticated");
        let operator = server.sign_in(OPERATOR).await;
        assert_eq!(server.get(&format!("{TENANTS}/studio"), &operator).await.body["suspended"], false);
    });
}

/// What a command says, and whether it worked.
fn command(database: &Database, data: &Path, words: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = tollgate(database, data, words);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    // It may end without reading.
    let _unread = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn the_command_line_makes_lists_suspends_and_resumes_tenants() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let run =
            |words: &str, arguments: &[&str], input: &str| command(&database, folder.path(), words, arguments, input);
        let acme = ["acme", "--mode", "live", "--template", "studio", "--owner-email", "Owner@acme.example"];
        let (made, said) = run("tenant create", &acme, &format!("{PASSWORD}\n"));
        assert!(made && said.contains("acme is made (live, from the template studio)"), "{said}");
        assert!(
            said.contains("owner@acme.example") && said.contains("X-Tenant: acme") && !said.contains(PASSWORD),
            "{said}"
        );
        for (arguments, input, why) in [
            (&acme[..], PASSWORD, "There is a tenant `acme` already"),
            (&["www", "--mode", "live", "--owner-email", "a@b.example"], PASSWORD, "has a meaning of its own"),
            (&["beta", "--mode", "maybe", "--owner-email", "a@b.example"], PASSWORD, "live, sandbox"),
            (
                &["beta", "--mode", "live", "--template", "none", "--owner-email", "a@b.example"],
                PASSWORD,
                "halisoft, studio, empty",
            ),
            (&["beta", "--mode", "live", "--owner-email", "a"], PASSWORD, "--owner-email: "),
            (&["beta", "--mode", "live", "--owner-email", "a@b.example"], "short", "8 to 128"),
            (&["beta", "--mode", "live", "--owner-email", "a@b.example"], "", "TOLLGATE_PASSWORD"),
        ] {
            let (made, said) = run("tenant create", arguments, input);
            assert!(!made && said.contains(why), "{arguments:?}: {said}");
        }
        let (_, listed) = run("tenant list", &[], "");
        assert!(listed.contains("acme  live     active     acme") && listed.lines().count() == 1, "{listed}");
        let (stopped, said) = run("tenant suspend", &["acme", "--reason", "Three invoices are unpaid"], "");
        assert!(stopped && said.contains("acme is suspended"), "{said}");
        let (_, shown) = run("tenant show", &["acme"], "");
        assert!(shown.contains("Three invoices are unpaid") && shown.contains("plans      3"), "{shown}");
        for words in ["tenant show", "tenant resume"] {
            let (worked, said) = run(words, &["nowhere"], "");
            assert!(!worked && said.contains("there is no tenant `nowhere`"), "{said}");
        }
        let server = Server::start(&database, folder.path(), &[], &[]);
        assert!(!server.said.contains("no tenant yet"), "{}", server.said);
        sign_in_at(&server, "acme", "owner@acme.example").await.assert_problem(403, "tenant-suspended");
        assert!(server.stop().success());
        assert!(run("tenant resume", &["acme"], "").0);
        let server = Server::start(&database, folder.path(), &[], &[]);
        let signed_in = sign_in_at(&server, "acme", "owner@acme.example").await;
        assert_eq!((signed_in.status, signed_in.text_at("/user/role")), (200, "owner".to_owned()));
    });
}

#[test]
fn on_sqlite_a_running_server_has_the_file_and_the_command_names_its_api() {
    on_sqlite(async || {
        let server = Server::demo(&Database::Sqlite);
        for (words, arguments) in [
            ("tenant create", &["acme", "--mode", "live", "--owner-email", "a@b.example", "--demo"][..]),
            ("tenant suspend", &["studio", "--reason", "Test", "--demo"]),
            ("tenant list", &[]),
            ("tenant show", &["studio"]),
        ] {
            let (worked, said) = command(&Database::Sqlite, &server.data, words, arguments, PASSWORD);
            assert!(!worked && said.contains("already in use") && said.contains(TENANTS), "{words}: {said}");
        }
    });
}

#[test]
fn on_postgres_what_the_command_line_does_holds_on_a_running_server_at_once() {
    on_postgres(async |database: Database| {
        let server = Server::demo(&database);
        sign_in_at(&server, "acme", "owner@acme.example").await.assert_problem(404, "unknown-tenant");
        let acme = ["acme", "--mode", "live", "--owner-email", "owner@acme.example", "--demo"];
        let (made, said) = command(&database, &server.data, "tenant create", &acme, PASSWORD);
        assert!(made, "{said}");
        let owner = sign_in_at(&server, "acme", "owner@acme.example").await.text_at("/accessToken");
        server.get("/api/me", &owner).await.assert_ok(200);
        let stop = ["acme", "--reason", "Test", "--demo"];
        assert!(command(&database, &server.data, "tenant suspend", &stop, "").0);
        server.get("/api/me", &owner).await.assert_problem(403, "tenant-suspended");
        assert!(command(&database, &server.data, "tenant resume", &["acme", "--demo"], "").0);
        server.get("/api/me", &owner).await.assert_ok(200);
    });
}

#[test]
fn from_an_empty_folder_to_the_first_call_of_a_tenant_of_ones_own() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--default-tenant", "acme"], &[]);
        assert!(server.said.contains(&format!("POST {TENANTS}")) || server.said.contains(TENANTS), "{}", server.said);
        let token = server.said.split_once("token=").and_then(|(_, rest)| rest.lines().next()).expect("a link");
        let set_up = json!({ "token": token, "email": "root@example.com", "password": PASSWORD });
        let made = server.post("/api/setup", "", set_up).await;
        assert!(
            made.text_at("/next").contains("X-Tenant: platform") && made.text_at("/next").contains(TENANTS),
            "{made:?}"
        );
        let operator = sign_in_at(&server, "platform", "root@example.com").await.text_at("/accessToken");
        assert_eq!(server.get(TENANTS, &operator).await.body["data"], json!([]));
        server.get("/api/plans", "").await.assert_ok(200);
        server.post(TENANTS, &operator, tenant("acme", "live", "halisoft")).await.assert_ok(201);
        // The default tenant is found as soon as it is there.
        assert_eq!(server.get("/api/plans", "").await.text_at("/data/0/slug"), "starter");
        let body = json!({ "email": "owner@acme.example", "password": PASSWORD });
        let owner = server.post("/api/auth/login", "", body).await.text_at("/accessToken");
        use_once(&server, &owner, ("starter", "invoice_ocr", "tg_live_")).await;
    });
}
