//! The first start: who may begin, and what refuses to start at all.

use reqwest::Method;
use serde_json::json;

use super::support::{Answer, Database, PASSWORD, Server, on_both, tollgate};

async fn operator(server: &Server, email: &str, password: &str) -> Answer {
    let request = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", "platform");
    server.send(request.json(&json!({ "email": email, "password": password }))).await
}

fn link_of(server: &Server) -> Option<String> {
    let line = server.said.lines().find(|line| line.contains("/setup?token="))?;
    line.split_once("token=").map(|(_, token)| token.to_owned())
}

#[test]
fn the_first_start_prints_a_link_that_makes_one_operator() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &[], &[]);
        let old = link_of(&server).expect("a link");
        assert!(server.said.contains(&server.url), "the link is whole: {}", server.said);
        assert!(server.stop().success());
        let server = Server::start(&database, folder.path(), &[], &[]);
        let token = link_of(&server).expect("a new link, since nobody used the first");
        let setup = async |token: &str, email: &str, password: &str| {
            let body = json!({ "token": token, "email": email, "password": password });
            server.post("/api/setup", "", body).await
        };
        for wrong in [old.as_str(), "nonsense", ""] {
            setup(wrong, "root@example.com", "long-enough-one").await.assert_problem(403, "forbidden");
        }
        setup(&token, "root@example.com", "short").await.assert_field("/password");
        setup(&token, "root", "long-enough-one").await.assert_field("/email");
        setup(&token, "root@example.com", "long-enough-one").await.assert_ok(201);
        setup(&token, "second@example.com", "long-enough-one").await.assert_problem(403, "forbidden");
        operator(&server, "second@example.com", "long-enough-one").await.assert_problem(401, "invalid-credentials");
        let signed_in = operator(&server, "root@example.com", "long-enough-one").await;
        assert_eq!((signed_in.status, signed_in.text_at("/user/role")), (200, "operator".to_owned()));
        assert!(server.stop().success());
        let server = Server::start(&database, folder.path(), &[], &[]);
        assert_eq!(link_of(&server), None, "there is an operator: {}", server.said);
    });
}

#[test]
fn the_command_line_makes_members_once_and_says_what_is_wrong() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let create = |arguments: &[&str]| {
            let mut command = tollgate(&database, folder.path(), "admin create");
            let output = command.args(arguments).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), said)
        };
        let ops = ["--email", "ops@example.com", "--password", "long-enough-one"];
        let (made, said) = create(&ops);
        assert!(made && said.contains("ops@example.com is operator of platform"), "{said}");
        for (arguments, why) in [
            (&ops[..], "exists"),
            (&["--email", "x@example.com", "--password", "long-enough-one", "--role", "king"], "king"),
            (&["--email", "x@example.com", "--password", "long-enough-one", "--tenant", "nowhere"], "nowhere"),
            (&["--email", "x@example.com", "--password", "long-enough-one", "--role", "admin"], "--tenant"),
            (&["--email", "x@example.com", "--password", "short"], "8 to 128"),
            (&["--email", "x", "--password", "long-enough-one"], "address"),
        ] {
            let (made, said) = create(arguments);
            assert!(!made && said.contains(why), "{arguments:?}: {said}");
        }
        let server = Server::start(&database, folder.path(), &[], &[]);
        assert_eq!(link_of(&server), None, "{}", server.said);
        operator(&server, "ops@example.com", "long-enough-one").await.assert_ok(200);
        operator(&server, "x@example.com", "long-enough-one").await.assert_problem(401, "invalid-credentials");
    });
}

#[test]
fn a_master_key_that_does_not_fit_the_database_refuses_to_start() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |key: &str| Server::try_start(&database, folder.path(), &[], &[("TOLLGATE_MASTER_KEY", key)]);
        let (right, wrong) = ("a1".repeat(32), "b2".repeat(32));
        let server = start(&right).unwrap_or_else(|said| panic!("{said}"));
        server.get("/healthz", "").await.assert_ok(200);
        assert!(server.stop().success());
        for (key, why) in
            [(wrong.as_str(), "does not fit"), ("a1", "64 hexadecimal"), (&"zz".repeat(32), "64 hexadecimal")]
        {
            let said = start(key).err().expect("it does not start");
            assert!(said.contains(why) && !said.contains(key), "{said}");
        }
        let said =
            Server::try_start(&database, folder.path(), &[], &[]).err().expect("nor with a key of its own making");
        assert!(said.contains("TOLLGATE_MASTER_KEY") && said.contains("every node needs the same"), "{said}");
        assert!(!folder.path().join("master.key").exists(), "a key that opens nothing is not left behind");
        assert!(start(&right).is_ok(), "the right one still fits");
    });
}

#[test]
fn the_demo_shows_itself_to_others_only_when_asked_by_name() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        // Nobody has this address (RFC 5737), so a demo that is not refused fails at it instead of serving.
        let serve = |arguments: &[&str]| {
            let mut command = tollgate(&database, folder.path(), "serve");
            let output = command.args(["--listen", "192.0.2.1:0", "--demo"]).args(arguments).output().expect("it runs");
            assert!(!output.status.success());
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let refused = serve(&[]);
        assert!(refused.contains("--demo-on-public-address"), "{refused}");
        let asked = serve(&["--demo-on-public-address"]);
        assert!(asked.contains("cannot serve on 192.0.2.1:0"), "{asked}");
    });
}

#[test]
fn the_command_line_makes_a_member_of_a_demo_tenant() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        Server::start(&database, folder.path(), &["--demo"], &[]).stop();
        let support =
            ["--tenant", "halisoft", "--role", "support", "--email", "sue@halisoft.example", "--password", PASSWORD];
        let create = |more: &[&str]| {
            let mut command = tollgate(&database, folder.path(), "admin create");
            command.args(support).args(more).status().expect("it runs").success()
        };
        assert!(!create(&[]), "the demo keeps a key of its own, which must be asked for");
        assert!(create(&["--demo"]));
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        server.sign_in("sue@halisoft.example").await;
    });
}
