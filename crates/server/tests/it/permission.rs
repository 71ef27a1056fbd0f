//! Who may do what: the table, its page in the documentation, and every route of the API against every caller.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use domain::permission::{Permission, Role, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use super::sql::texts;
use super::support::document::DOCUMENT;
use super::support::{Answer, Database, Server, on_both};

/// A route, and what it asks of its caller.
struct Route {
    method: String,
    path: String,
    /// None for what anybody may call.
    permission: Option<Permission>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders down").to_owned()
}

/// Every route as the handlers' signatures have it, in the order of paths.
fn routes() -> Vec<Route> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("source");
            found.extend(source.split("#[utoipa::path(").skip(1).map(route));
        }
    }
    found.sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
    found
}

/// The route that begins after its attribute: `get, path = "/api/…", … pub async fn name(cx: Authed<Marker>, …) {`.
fn route(source: &str) -> Route {
    let (method, rest) = source.split_once(',').expect("a method");
    let path = rest.split_once("path = \"").and_then(|(_, rest)| rest.split_once('"')).expect("a path").0;
    let signature =
        rest.split_once("pub async fn ").and_then(|(_, rest)| rest.split_once(" {\n")).expect("a handler").0;
    let marker = signature.split_once("Authed<").and_then(|(_, rest)| rest.split_once('>')).map(|(marker, _)| marker);
    // Live connections take a ticket, too, and else the same as whoever reads quotas.
    let marker = marker.or_else(|| signature.contains("Caller(").then_some("UsageRead"));
    let permission = marker.map(|marker| {
        let named = |permission: &Permission| format!("{permission:?}") == marker;
        Permission::ALL.into_iter().find(named).unwrap_or_else(|| panic!("{path}: {marker} is no permission"))
    });
    Route { method: method.trim().to_uppercase(), path: path.to_owned(), permission }
}

#[test]
fn every_route_of_the_document_has_a_handler_that_says_who_may_call_it() {
    let mut documented: Vec<(String, String)> = Vec::new();
    for (path, operations) in DOCUMENT["paths"].as_object().expect("paths") {
        documented.extend(operations.as_object().expect("operations").keys().map(|m| (path.clone(), m.to_uppercase())));
    }
    documented.sort();
    let found: Vec<_> = routes().into_iter().map(|route| (route.path, route.method)).collect();
    assert_eq!(found, documented);
    for Route { method, path, permission } in routes() {
        let open = &DOCUMENT["paths"][&path][method.to_lowercase()]["security"];
        let open = open.as_array().is_some_and(|ways| ways.contains(&json!({})));
        assert_eq!(
            open,
            permission.is_none(),
            "{method} {path}: the document and the handler differ about who may call"
        );
        let inside = path.starts_with("/api/admin") || path.starts_with("/api/operator");
        assert!(permission.is_some() || !inside, "{method} {path} is open to anybody");
    }
}

/// The page, as the code says it should be.
fn page() -> String {
    let mut page = String::from(
        "# Permissions\n\n\
         Every route names the permission that it needs in the signature of its handler, and this table says who has it.\n\
         A test writes this page from `crates/domain/src/permission.rs` and from the handlers, and tries every route with every role and scope.\n\n\
         \"Own\" is over the customer that a person belongs to; everything else is over the whole tenant.\n\
         A key with the scope `admin` has every scope, and what the role admin has.\n\
         Operators manage tenants, and in a tenant other than `platform` they are nobody.\n\n\
         | permission | allows | user | support | finance | admin | owner | operator | scopes of keys |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for permission in Permission::ALL {
        let rule = permission.rule();
        write!(page, "| `{}` | {} |", rule.name, rule.allows).expect("a string takes it");
        for role in Role::ALL {
            let has = match (permission.of_person(role, false), permission.of_person(role, true)) {
                (true, _) => "yes",
                (false, true) => "own",
                (false, false) => "",
            };
            write!(page, " {has} |").expect("a string takes it");
        }
        let scopes = Scope::ALL.into_iter().filter(|scope| permission.of_key(&[*scope]));
        let scopes: Vec<_> = scopes.map(|scope| format!("`{}`", scope.name())).collect();
        writeln!(page, " {} |", scopes.join(" ")).expect("a string takes it");
    }
    page.push_str("\n## Routes\n\n| route | permission |\n| --- | --- |\n");
    for route in routes() {
        let permission = route.permission.map_or("anybody".to_owned(), |p| format!("`{}`", p.rule().name));
        writeln!(page, "| `{} {}` | {permission} |", route.method, route.path).expect("a string takes it");
    }
    page.replace("|  |", "| |").replace("|  |", "| |")
}

#[test]
fn the_page_of_permissions_is_what_the_code_says() {
    let (wanted, path) = (page(), root().join("docs/permissions.md"));
    if std::fs::read_to_string(&path).unwrap_or_default() != wanted {
        let new = root().join("target/permissions.md");
        std::fs::write(&new, wanted).expect("it is written");
        panic!("docs/permissions.md is stale: cp target/permissions.md docs/permissions.md");
    }
}

/// Everybody who may call: a name, a credential, and whether a permission is theirs.
struct Caller {
    name: String,
    credential: String,
    may: Box<dyn Fn(Permission) -> bool>,
}

/// Makes a member of halisoft, who chooses a password and signs in.
pub async fn member(server: &Server, by: &str, role: &str) -> String {
    let email = format!("{role}-{}@halisoft.example", uuid::Uuid::now_v7().simple());
    let made = server.post("/api/admin/members", by, json!({ "email": email, "role": role })).await;
    made.assert_ok(201);
    accept(server, &made, &email).await
}

/// Chooses the demo's password by a member's link and signs in.
pub async fn accept(server: &Server, made: &Answer, email: &str) -> String {
    let link = made.text_at("/setupLink");
    let token = link.strip_prefix("/setup?token=").expect("a link");
    let body = json!({ "token": token, "email": email, "password": super::support::PASSWORD });
    server.post("/api/setup", "", body).await.assert_ok(201);
    server.sign_in(email).await
}

async fn callers(server: &Server, owner: &str) -> Vec<Caller> {
    let mut callers = Vec::new();
    let mut add = |name: &str, credential: String, may: Box<dyn Fn(Permission) -> bool>| {
        callers.push(Caller { name: name.to_owned(), credential, may });
    };
    add("anonymous", String::new(), Box::new(|_| false));
    let near = server.sign_in("near@halisoft.example").await;
    add("user", near, Box::new(|permission| permission.of_person(Role::User, true)));
    for role in [Role::Support, Role::Finance, Role::Admin, Role::Owner] {
        let token = member(server, owner, role.name()).await;
        add(role.name(), token, Box::new(move |permission| permission.of_person(role, false)));
    }
    // Somebody whose role was taken away, and who has no customer.
    let fired = member(server, owner, "support").await;
    let id = server.get("/api/me", &fired).await.text_at("/user/id");
    assert_eq!(server.delete(&format!("/api/admin/members/{id}"), owner).await.status, 204);
    add("removed", fired, Box::new(|_| false));
    let operator = server.sign_in("operator@tollgate.example").await;
    add("operator", operator, Box::new(|permission| permission.of_person(Role::Operator, false)));
    for scope in Scope::ALL {
        let key = server.key(&[scope.name()]).await;
        add(scope.name(), key, Box::new(move |permission| permission.of_key(&[scope])));
    }
    callers
}

/// An owner of halisoft, whom the demo does not have.
pub async fn owner(server: &Server, database: &Database) -> String {
    let admin = server.sign_in("admin@halisoft.example").await;
    let token = member(server, &admin, "admin").await;
    let id = server.get("/api/me", &token).await.text_at("/user/id");
    let raise = format!("UPDATE user_account SET role = 'owner' WHERE user_id = '{id}'");
    super::sql::execute(database, &server.data, &raise).await;
    token
}

/// The path with something for each of its names.
fn filled(path: &str, name: impl Fn(&str) -> String) -> String {
    let mut parts = path.split('/').map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(parameter) => name(parameter),
        None => part.to_owned(),
    });
    let mut filled = parts.next().unwrap_or_default();
    for part in parts {
        filled.push('/');
        filled.push_str(&part);
    }
    filled
}

/// Asks, and answers the status with the problem, if it is one. Answers that never end are left.
async fn ask(server: &Server, method: &str, path: &str, credential: &str) -> (u16, Value) {
    let request = server.request(method.parse::<Method>().expect("a method"), path, credential);
    let request = if matches!(method, "POST" | "PUT" | "PATCH") { request.json(&json!({})) } else { request };
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = if status < 400 { Value::Null } else { Answer::of(answer).await.body };
    (status, body)
}

#[test]
fn every_route_refuses_whom_the_table_does_not_name_and_nobody_else() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let owner = owner(&server, &database).await;
        let callers = callers(&server, &owner).await;
        let mut routes = routes();
        // Signing out comes last, since nobody is signed in afterwards.
        routes.sort_by_key(|route| route.path == "/api/auth/logout");
        let mut wrong = Vec::new();
        for Route { method, path, permission } in &routes {
            for Caller { name, credential, may } in &callers {
                let (status, body) = ask(&server, method, &filled(path, |_| "absent".to_owned()), credential).await;
                let lacks =
                    status == 403 && body["detail"].as_str().is_some_and(|detail| detail.starts_with("This needs "));
                let unknown = status == 401 && body["code"] == "unauthenticated";
                let nobody = matches!(name.as_str(), "anonymous" | "removed");
                let good = match permission {
                    None if name == "removed" => status < 500,
                    None => {
                        !lacks
                            && status < 500
                            && !(unknown && body["detail"].as_str().is_some_and(|d| d.starts_with("Send Auth")))
                    }
                    Some(_) if nobody => unknown,
                    Some(permission) if may(*permission) => !lacks && !unknown && status < 500,
                    Some(_) => lacks,
                };
                if !good {
                    wrong.push(format!("{method} {path} by {name}: {status} {body}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(routes.len() * callers.len() > 500, "all routes and all callers were tried");
    });
}

/// Where ids of a kind are, by the prefix of the example in the document; and names that people chose.
const IDS: [(&str, &str); 9] = [
    ("key_", "SELECT key_id FROM api_key WHERE $"),
    ("aud_", "SELECT audit_id FROM audit_entry WHERE $"),
    ("usr_", "SELECT user_id FROM user_account WHERE role <> 'user' AND $"),
    ("cus_", "SELECT customer_id FROM customer WHERE $"),
    ("evt_", "SELECT event_id FROM usage_event WHERE $"),
    ("dec_", "SELECT decision_id FROM decision WHERE $"),
    ("con_", "SELECT contact_id FROM contact_request WHERE $"),
    ("eml_", "SELECT email_id FROM email WHERE $"),
    ("sub_", "SELECT subscription_id FROM subscription WHERE $"),
];

/// Something of another tenant for a parameter, and something that nobody has.
fn foreign(ids: &BTreeMap<&str, String>, parameter: &str, example: &str) -> (String, String) {
    match IDS.iter().find(|(prefix, _)| example.starts_with(prefix)) {
        Some((prefix, _)) => (ids[prefix].clone(), format!("{prefix}00000000000000000000000000")),
        None => match parameter {
            "slug" | "plan" => ("free".to_owned(), "nowhere".to_owned()),
            "feature" => ("prompts".to_owned(), "nothing".to_owned()),
            "component" => ("summarizer".to_owned(), "nothing".to_owned()),
            "action" => ("summarize".to_owned(), "nothing".to_owned()),
            "upstream" | "name" => ("studio_only".to_owned(), "nothing".to_owned()),
            "code" => ("SPRING20".to_owned(), "NOTHING".to_owned()),
            "provider" => ("sandbox".to_owned(), "nothing".to_owned()),
            "kind" => ("no_kind".to_owned(), "nothing".to_owned()),
            "language" => ("en".to_owned(), "de".to_owned()),
            "price" => ("pri_00000000000000000000000001".to_owned(), "pri_00000000000000000000000000".to_owned()),
            "id" => (ids["cus_"].clone(), "cus_00000000000000000000000000".to_owned()),
            other => panic!("tell this test what `{other}` (such as {example}) is of another tenant"),
        },
    }
}

/// What an answer says without the names that were asked for.
fn told(body: &Value) -> Value {
    json!([body["code"], body["status"], body["errors"]])
}

#[test]
fn another_tenants_ids_answer_like_absent_ones_on_every_route() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let owner = owner(&server, &database).await;
        let root = server.key(&["admin"]).await;
        let (_, studio) = server.key_of("studio", &["admin"]).await;
        let full = json!({ "customer": null, "items": [{ "feature": "prompts", "amount": 900 }] });
        let user = server.sign_in("user@studio.example").await;
        let refused = server.post("/api/usage/consume", &user, json!({ "items": full["items"] })).await;
        server.get(&format!("/api/usage/decisions/{}", refused.text_at("/decision")), &studio).await.assert_ok(200);
        let request = server.request(Method::POST, "/api/contact-sales", "").header("x-tenant", "studio");
        let message = json!({ "name": "Ann", "email": "ann@example.com", "message": "Hello" });
        server.send(request.json(&message)).await.assert_ok(201);
        super::mail::register(&server, "studio", "ann@example.com", "Ann").await;
        let upstream = json!({ "name": "studio_only", "kind": "demo" });
        server.post("/api/admin/upstreams", &studio, upstream).await.assert_ok(201);
        let coupon = json!({ "code": "SPRING20", "name": "Spring", "percentOff": 20, "duration": "once" });
        server.post("/api/admin/coupons", &studio, coupon).await.assert_ok(201);
        let mut ids = BTreeMap::new();
        for (prefix, query) in IDS {
            let query = query.replace('$', "tenant_id = (SELECT tenant_id FROM tenant WHERE slug = 'studio') LIMIT 1");
            // Explanations are written behind.
            let id = loop {
                let found = texts(&database, &server.data, &query).await;
                if let Some(id) = found.into_iter().next() {
                    break id;
                }
            };
            ids.insert(prefix, id);
        }
        let mut wrong = Vec::new();
        let mut tried = 0;
        for Route { method, path, .. } in routes().iter().filter(|route| route.path.contains('{')) {
            let parameters = DOCUMENT["paths"][path][method.to_lowercase()]["parameters"].clone();
            let pair = |name: &str| {
                let all = parameters.as_array().into_iter().flatten();
                let example =
                    all.filter(|p| p["in"] == "path" && p["name"] == name).find_map(|p| p["example"].as_str());
                foreign(&ids, name, example.unwrap_or_default())
            };
            for credential in [&owner, &root] {
                let theirs = ask(&server, method, &filled(path, |name| pair(name).0), credential).await;
                let absent = ask(&server, method, &filled(path, |name| pair(name).1), credential).await;
                tried += 1;
                if theirs.0 < 400 || theirs.0 >= 500 || (theirs.0, told(&theirs.1)) != (absent.0, told(&absent.1)) {
                    wrong.push(format!("{method} {path}: {theirs:?}, but of an absent one {absent:?}"));
                }
            }
        }
        assert!(wrong.is_empty() && tried > 10, "{}", wrong.join("\n"));
    });
}

#[test]
fn the_table_can_be_read_by_whoever_is_signed_in() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let listed = server.get("/api/admin/permissions", &near).await;
        listed.assert_ok(200);
        let rows = listed.body["data"].as_array().expect("rows");
        assert_eq!(rows.len(), Permission::ALL.len());
        let row = rows.iter().find(|row| row["name"] == "revenue:read").expect("a row");
        assert_eq!(json!([row["roles"], row["scopes"]]), json!([["finance", "admin", "owner", "operator"], ["admin"]]));
        server.get("/api/admin/permissions", "").await.assert_problem(401, "unauthenticated");
    });
}
