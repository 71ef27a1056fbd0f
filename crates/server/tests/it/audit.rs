//! The audit trail: who changed what can be read, filtered and taken away as a file, and nobody can touch it unseen.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::sql::execute;
use super::support::{Answer, Database, Server, on_both, tollgate};

/// Asks until every entry has its place in the chain, and answers the last report.
pub async fn sealed(server: &Server, admin: &str) -> Answer {
    loop {
        let report = server.get("/api/admin/audit/verify", admin).await;
        report.assert_ok(200);
        if report.number_at("/waiting") == 0 && report.number_at("/sealed") > 0 {
            return report;
        }
        tokio::task::yield_now().await;
    }
}

/// Some changes: a key made, the settings changed, the key revoked. Answers the key's id.
async fn some_changes(server: &Server, admin: &str) -> String {
    let made = server.post("/api/admin/keys", admin, json!({ "name": "till", "scopes": ["usage:read"] })).await;
    let id = made.text_at("/id");
    server
        .patch("/api/admin/settings", admin, json!({ "name": "Hali", "timezone": "Europe/Berlin" }))
        .await
        .assert_ok(200);
    assert_eq!(server.delete(&format!("/api/admin/keys/{id}"), admin).await.status, 204);
    id
}

#[test]
fn each_change_says_who_did_what_to_what_and_from_where() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let key = some_changes(&server, &admin).await;
        let (_, root) = server.key_of("halisoft", &["admin"]).await;
        server.patch("/api/admin/settings", &root, json!({ "name": "=HaliSoft" })).await.assert_ok(200);
        sealed(&server, &admin).await;
        let list = async |query: &str| -> Vec<Value> {
            let answer = server.get(&format!("/api/admin/audit?{query}"), &admin).await;
            answer.assert_ok(200);
            answer.body["data"].as_array().expect("entries").clone()
        };
        let all = list("sort=at").await;
        let actions: Vec<_> = all.iter().filter_map(|entry| entry["action"].as_str()).collect();
        let wanted = ["key.created", "settings.updated", "key.revoked", "key.created", "settings.updated"];
        assert!(actions.ends_with(&wanted), "{actions:?}");
        let places: Vec<_> = all.iter().filter_map(|entry| entry["seq"].as_i64()).collect();
        assert_eq!(places, (1..=i64::try_from(all.len()).expect("few")).collect::<Vec<_>>(), "without gaps, in order");
        let changed = &all[all.len() - 4];
        assert_eq!(
            json!([changed["actorName"], changed["target"], changed["sealed"]]),
            json!(["Ada Admin", "halisoft", true])
        );
        let fields: Vec<_> = changed["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .map(|c| json!([c["field"], c["before"], c["after"]]))
            .collect();
        let timezone = json!(["/timezone", "UTC", "Europe/Berlin"]);
        assert_eq!(fields, [json!(["/name", "HaliSoft", "Hali"]), timezone]);
        assert!(changed["requestId"].as_str().is_some_and(|id| id.starts_with("req_")), "{changed}");
        assert_eq!(changed["origin"], "127.0.0.1");
        let one = server.get(&format!("/api/admin/audit/{}", changed["id"].as_str().expect("an id")), &admin).await;
        assert_eq!(one.body, *changed);

        assert_eq!(list(&format!("target={key}&action=key")).await.len(), 2, "made and revoked");
        let newest = list("limit=1").await;
        let actor = newest[0]["actor"].as_str().expect("an actor");
        assert!(actor.starts_with("key:") && newest[0]["actorName"] == "test", "{newest:?}");
        assert_eq!(list(&format!("actor={actor}")).await, newest);
        assert_eq!(list(&format!("actor={}", actor.trim_start_matches("key:"))).await, newest);
        assert_eq!(list("action=settings").await.len(), 2);
        assert_eq!(list("action=settings.updated&q=HALI").await.len(), 2);
        assert_eq!((list("action=sett").await.len(), list("q=sett").await.len()), (0, 2));
        let at = newest[0]["at"].as_str().expect("a time");
        assert_eq!(list(&format!("from={at}&limit=1")).await, newest);
        assert_eq!(list(&format!("to={at}")).await.len(), all.len() - 1);
        assert!(list("to=2020-01-01").await.is_empty());
        for (query, pointer) in [
            ("from=soon", "/from"),
            ("to=9999-12-31", "/to"),
            ("to=9999-12-31T23:59:59Z", "/to"),
            ("sort=actor", "/sort"),
            ("nonsense=1", "/nonsense"),
        ] {
            server.get(&format!("/api/admin/audit?{query}"), &admin).await.assert_field(pointer);
        }
        pages(&server, &admin, &all).await;
        exports(&server, &admin, &all).await;
        for absent in ["aud_00000000000000000000000000", "nonsense", "%00"] {
            server.get(&format!("/api/admin/audit/{absent}"), &admin).await.assert_problem(404, "not-found");
        }
    });
}

/// Page by page the list is the same, in both orders.
async fn pages(server: &Server, admin: &str, all: &[Value]) {
    for sort in ["at", "-at"] {
        let (mut read, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/api/admin/audit?limit=2&sort={sort}{cursor}"), admin).await;
            read.extend(page.body["data"].as_array().expect("entries").iter().cloned());
            let Some(next) = page.body["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        if sort == "-at" {
            read.reverse();
        }
        assert_eq!(read, all, "{sort}");
    }
}

async fn exports(server: &Server, admin: &str, all: &[Value]) {
    let json = server.get("/api/admin/audit/export", admin).await;
    assert_eq!(json.body, json!({ "data": all, "nextCursor": null }));
    let csv = server.get("/api/admin/audit/export?format=csv&action=settings", admin).await;
    csv.assert_ok(200);
    assert!(csv.header("content-disposition").is_some_and(|name| name.contains("audit-halisoft.csv")), "{csv:?}");
    let lines: Vec<_> = csv.text.split("\r\n").collect();
    assert_eq!(lines[0], "id,at,actor,actorName,action,target,before,after,changes,origin,requestId,seq");
    assert_eq!(lines.len(), 4, "a head, two entries, and the end: {csv:?}");
    assert!(lines[1].contains(",Ada Admin,settings.updated,halisoft,\"{\"\""), "{csv:?}");
    server.get("/api/admin/audit/export?format=xml", admin).await.assert_field("/format");
}

/// Whether `tollgate audit verify` finds nothing, and what it says.
fn verified(database: &Database, data: &Path, arguments: &[&str]) -> (bool, String) {
    let output = tollgate(database, data, "audit verify").args(arguments).output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

/// What somebody with the database alone may try, and what is found.
const MANIPULATIONS: [(&str, &str); 23] = [
    ("UPDATE audit_entry SET at = at + 1 WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET actor = 'user:usr_x' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET action = 'x' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET target = target || ' ' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET before = NULL WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET after = '{}' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET request_id = '' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET origin = '::1' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET audit_id = 'aud_x' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET mac = 'x' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET hash = 'x' WHERE seq = 2 AND $", "edited"),
    ("UPDATE audit_entry SET prev_hash = NULL WHERE seq = 2 AND $", "torn"),
    ("UPDATE audit_entry SET seq = NULL WHERE seq = 2 AND $", "missing"),
    ("DELETE FROM audit_entry WHERE seq = 2 AND $", "missing"),
    ("DELETE FROM audit_entry WHERE seq >= 3 AND $", "cut"),
    ("DELETE FROM audit_entry WHERE $", "cut"),
    (
        "UPDATE audit_entry SET seq = -2 WHERE seq = 2 AND $; UPDATE audit_entry SET seq = 2 WHERE seq = 3 AND $; \
         UPDATE audit_entry SET seq = 3 WHERE seq = -2 AND $",
        "edited",
    ),
    (
        "INSERT INTO audit_entry SELECT tenant_id, 'aud_x', at, actor, action, target, before, after, request_id, origin, mac, \
         (SELECT MAX(seq) + 1 FROM audit_entry WHERE $), hash, hash FROM audit_entry WHERE seq = 2 AND $",
        "beyond",
    ),
    (
        "INSERT INTO audit_entry SELECT tenant_id, 'aud_7zzzzzzzzzzzzzzzzzzzzzzzzz', at, actor, action, target, before, after, \
         request_id, origin, mac, NULL, NULL, NULL FROM audit_entry WHERE seq = 2 AND $",
        "foreign",
    ),
    (
        "DELETE FROM audit_entry WHERE seq >= 3 AND $; UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit_entry \
         WHERE seq = 2 AND $) WHERE $",
        "forged_head",
    ),
    ("DELETE FROM audit_head WHERE $", "no_head"),
    ("UPDATE audit_head SET began_at = began_at - 1 WHERE $", "forged_head"),
    ("UPDATE audit_head SET sealed_at = sealed_at + 1 WHERE $", "forged_head"),
];

/// What the API tells after an edit and a cut, of this tenant and of the other.
async fn told_by_the_api(database: &Database, folder: &Path, own: &str) {
    let edit =
        "UPDATE audit_entry SET actor = 'user:usr_x' WHERE seq = 1 AND $; DELETE FROM audit_entry WHERE seq >= 4 AND $";
    execute(database, folder, &edit.replace('$', own)).await;
    let server = Server::start(database, folder, &["--demo"], &[]);
    let admin = server.sign_in("admin@halisoft.example").await;
    some_changes(&server, &admin).await;
    let report = server.get("/api/admin/audit/verify", &admin).await;
    let faults: Vec<_> =
        report.body["findings"].as_array().expect("findings").iter().map(|f| json!([f["fault"], f["seq"]])).collect();
    assert_eq!(
        json!([report.body["ok"], faults]),
        json!([false, [["edited", 1], ["cut", report.body["head"]["seq"]]]])
    );
    let kept = server.get("/api/admin/audit/verify?head=999:x", &admin).await;
    assert!(kept.body["findings"].as_array().is_some_and(|all| all.iter().any(|f| f["seq"] == 999)), "{kept:?}");
    server.get("/api/admin/audit/verify?head=x", &admin).await.assert_field("/head");
    let other = server.get("/api/admin/audit/verify", &server.sign_in("admin@studio.example").await).await;
    assert_eq!(other.body["ok"], true, "{other:?}");
    let near = server.sign_in("near@halisoft.example").await;
    for path in ["/api/admin/audit", "/api/admin/audit/export", "/api/admin/audit/verify", "/api/admin/audit/aud_1"] {
        server.send(server.request(Method::GET, path, &near)).await.assert_problem(403, "forbidden");
    }
}

#[test]
fn whoever_writes_into_the_database_is_found_by_the_command_line_and_by_the_api() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        some_changes(&server, &admin).await;
        some_changes(&server, &admin).await;
        let report = sealed(&server, &admin).await;
        assert_eq!(json!([report.body["ok"], report.body["findings"]]), json!([true, []]));
        let studio = server.sign_in("admin@studio.example").await;
        some_changes(&server, &studio).await;
        sealed(&server, &studio).await;
        assert!(server.stop().success());
        let verify = |arguments: &[&str]| verified(&database, folder.path(), arguments);
        let (good, said) = verify(&[]);
        let head = report.text_at("/head/hash");
        assert!(
            good && said.contains(&head) && said.contains("studio: ") && said.contains("nothing is wrong"),
            "{said}"
        );
        assert!(said.contains("the key is the demo's"), "{said}");

        let own = "tenant_id = (SELECT tenant_id FROM tenant WHERE slug = 'halisoft')";
        execute(
            &database,
            folder.path(),
            "CREATE TABLE kept AS SELECT * FROM audit_entry; CREATE TABLE kept_head AS SELECT * FROM audit_head",
        )
        .await;
        for (manipulation, fault) in MANIPULATIONS {
            execute(&database, folder.path(), &manipulation.replace('$', own)).await;
            let (good, said) = verify(&["--tenant", "halisoft"]);
            assert!(!good && said.contains(&format!("halisoft: {fault}: ")), "{manipulation}: {said}");
            let (good, said) = verify(&["--tenant", "studio"]);
            assert!(good, "the other tenant's is as it was: {said}");
            let restore = "DELETE FROM audit_entry; INSERT INTO audit_entry SELECT * FROM kept; \
                DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head";
            execute(&database, folder.path(), restore).await;
        }
        assert!(verify(&[]).0, "restored");
        let kept = format!("{}:{head}", report.number_at("/head/seq"));
        for (kept, wanted) in
            [(kept.as_str(), ""), ("2:x", "halisoft: other_head: 2 "), ("999:x", "halisoft: cut: 999 ")]
        {
            let (good, said) = verify(&["--tenant", "halisoft", "--head", kept]);
            assert!(good == wanted.is_empty() && said.contains(wanted), "{kept}: {said}");
        }
        let (good, said) = verify(&["--tenant", "nowhere"]);
        assert!(!good && said.contains("there is no tenant `nowhere`"), "{said}");

        told_by_the_api(&database, folder.path(), own).await;
    });
}

#[test]
fn a_database_and_a_key_that_do_not_belong_together_are_told() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        Server::start(&database, folder.path(), &[], &[]).stop();
        let verify = |arguments: &[&str]| verified(&database, folder.path(), arguments);
        assert!(verify(&[]).0, "the key lies in the data folder");
        let (good, said) = verify(&["--master-key", &"a1".repeat(32)]);
        assert!(!good && said.contains("does not fit"), "{said}");
        std::fs::remove_file(folder.path().join("master.key")).expect("it was there");
        let (good, said) = verify(&[]);
        assert!(!good && said.contains("TOLLGATE_MASTER_KEY"), "{said}");
        assert!(!folder.path().join("master.key").exists(), "a check makes no key");
    });
}
