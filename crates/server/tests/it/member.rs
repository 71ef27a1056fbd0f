//! Members and roles: who may make whom what, by which link they come in, and that a lower role holds at once.

use reqwest::Method;
use serde_json::{Value, json};

use super::permission::{accept, member, owner};
use super::support::{Answer, Database, PASSWORD, Server, on_both, on_postgres};

async fn id_of(server: &Server, token: &str) -> String {
    server.get("/api/me", token).await.text_at("/user/id")
}

async fn set_role(server: &Server, by: &str, id: &str, role: &str) -> Answer {
    server.patch(&format!("/api/admin/members/{id}"), by, json!({ "role": role })).await
}

#[test]
fn a_member_is_invited_by_a_link_that_works_once() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let invite = async |body: Value, key: &str| {
            let request = server.request(Method::POST, "/api/admin/members", &admin).header("idempotency-key", key);
            server.send(request.json(&body)).await
        };
        let body = json!({ "email": "Fred@halisoft.example", "name": "Fred", "role": "finance" });
        let made = invite(body.clone(), "one").await;
        made.assert_ok(201);
        assert_eq!(
            json!([made.body["email"], made.body["role"], made.body["name"]]),
            json!(["fred@halisoft.example", "finance", "Fred"])
        );
        assert!(made.body["invitedUntil"].is_string() && made.header("etag").is_some(), "{made:?}");
        // A retry has the same member, and a link of its own, because the first is not kept.
        let again = invite(body, "one").await;
        assert!(again.is_replay() && again.body["id"] == made.body["id"], "{again:?}");
        let token = |answer: &Answer| answer.text_at("/setupLink").replace("/setup?token=", "");
        let set_up = async |token: &str, email: &str, password: &str| {
            server.post("/api/setup", "", json!({ "token": token, "email": email, "password": password })).await
        };
        let fred = "fred@halisoft.example";
        set_up(&token(&made), fred, PASSWORD).await.assert_problem(403, "forbidden");
        set_up(&token(&again), "other@halisoft.example", PASSWORD).await.assert_field("/email");
        set_up(&token(&again), fred, "short").await.assert_field("/password");
        let login = json!({ "email": fred, "password": PASSWORD });
        server.post("/api/auth/login", "", login.clone()).await.assert_problem(401, "invalid-credentials");
        set_up(&token(&again), fred, PASSWORD).await.assert_ok(201);
        set_up(&token(&again), fred, PASSWORD).await.assert_problem(403, "forbidden");
        for wrong in ["a.b.c", "ten_x.usr_y.z", "..", "\u{0}.\u{0}.x"] {
            set_up(wrong, fred, PASSWORD).await.assert_problem(403, "forbidden");
        }
        let signed_in = server.post("/api/auth/login", "", login).await;
        assert_eq!(signed_in.text_at("/user/role"), "finance");
        // Who is a user already becomes a member with the password that they have.
        let raised = invite(json!({ "email": "near@halisoft.example", "role": "support" }), "two").await;
        assert_eq!(
            json!([raised.status, raised.body["setupLink"], raised.body["invitedUntil"]]),
            json!([201, null, null])
        );
        invite(json!({ "email": fred, "role": "admin" }), "three").await.assert_problem(409, "taken");
        for (body, pointer) in [
            (json!({ "email": "x", "role": "admin" }), "/email"),
            (json!({ "email": "x@y.example", "role": "user" }), "/role"),
            (json!({ "email": "x@y.example", "role": "operator" }), "/role"),
            (json!({ "email": "x@y.example", "role": "king" }), "/role"),
            (json!({ "email": "x@y.example", "role": "admin", "name": "\n" }), "/name"),
        ] {
            server.post("/api/admin/members", &admin, body).await.assert_field(pointer);
        }
        let list = async |query: &str| {
            let answer = server.get(&format!("/api/admin/members?{query}"), &admin).await;
            let rows = answer.body["data"].as_array().expect("members").clone();
            rows.iter().filter_map(|row| Some(row["email"].as_str()?.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(list("").await, ["admin@halisoft.example", fred, "near@halisoft.example"]);
        assert_eq!(list("role=finance").await, [fred]);
        assert_eq!(list("q=FRE").await, [fred]);
        assert_eq!(list("sort=-createdAt&limit=1").await, [fred]);
    });
}

#[test]
fn nobody_gives_more_than_they_have_and_the_last_one_stays() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let admin_id = id_of(&server, &admin).await;
        set_role(&server, &admin, &admin_id, "support").await.assert_field("/role");
        let last = server.delete(&format!("/api/admin/members/{admin_id}"), &admin).await;
        last.assert_problem(422, "invalid-input");
        let owner = owner(&server, &database).await;
        let owner_id = id_of(&server, &owner).await;
        let support = member(&server, &admin, "support").await;
        let support_id = id_of(&server, &support).await;
        let (_, key) = server.key_of("halisoft", &["admin"]).await;
        for by in [&admin, &key] {
            set_role(&server, by, &support_id, "owner").await.assert_problem(403, "forbidden");
            set_role(&server, by, &owner_id, "admin").await.assert_problem(403, "forbidden");
            server.delete(&format!("/api/admin/members/{owner_id}"), by).await.assert_problem(403, "forbidden");
            let body = json!({ "email": "boss@halisoft.example", "role": "owner" });
            server.post("/api/admin/members", by, body).await.assert_problem(403, "forbidden");
        }
        set_role(&server, &owner, &owner_id, "admin").await.assert_field("/role");
        // Somebody who has yet to choose a password cannot keep the place.
        let body = json!({ "email": "boss@halisoft.example", "role": "owner" });
        let second = server.post("/api/admin/members", &owner, body).await;
        set_role(&server, &owner, &owner_id, "admin").await.assert_field("/role");
        let second_token = accept(&server, &second, "boss@halisoft.example").await;
        set_role(&server, &owner, &owner_id, "admin").await.assert_ok(200);
        set_role(&server, &owner, &second.text_at("/id"), "admin").await.assert_problem(403, "forbidden");
        set_role(&server, &second_token, &support_id, "owner").await.assert_ok(200);
        let near = server.sign_in("near@halisoft.example").await;
        set_role(&server, &second_token, &id_of(&server, &near).await, "admin").await.assert_problem(404, "not-found");
        let operator = server.sign_in("operator@tollgate.example").await;
        let operator_id = id_of(&server, &operator).await;
        server
            .delete(&format!("/api/admin/members/{operator_id}"), &operator)
            .await
            .assert_problem(422, "invalid-input");
    });
}

#[test]
fn who_registered_with_an_address_that_is_not_proven_gets_nothing_by_its_invitation() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let squatter = json!({ "email": "chief@halisoft.example", "password": PASSWORD });
        server.post("/api/auth/register", "", squatter.clone()).await.assert_ok(201);
        let theirs = server.post("/api/auth/login", "", squatter.clone()).await.text_at("/accessToken");
        server.get("/api/me", &theirs).await.assert_ok(200);
        let invited = json!({ "email": "chief@halisoft.example", "role": "admin" });
        let chief = server.post("/api/admin/members", &admin, invited).await;
        chief.assert_ok(201);
        let token = chief.text_at("/setupLink").replace("/setup?token=", "");
        server.get("/api/admin/keys", &theirs).await.assert_problem(401, "unauthenticated");
        server.post("/api/auth/login", "", squatter).await.assert_problem(401, "invalid-credentials");
        let owner = json!({ "token": token, "email": "chief@halisoft.example", "password": "another good password" });
        server.post("/api/setup", "", owner).await.assert_ok(201);
        let login = json!({ "email": "chief@halisoft.example", "password": "another good password" });
        let signed_in = server.post("/api/auth/login", "", login).await;
        server.get("/api/admin/keys", &signed_in.text_at("/accessToken")).await.assert_ok(200);
    });
}

#[test]
fn a_removed_member_is_out_at_once_and_stays_in_the_audit_trail() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let made = server
            .post(
                "/api/admin/members",
                &admin,
                json!({ "email": "eve@halisoft.example", "name": "Eve", "role": "admin" }),
            )
            .await;
        let eve = accept(&server, &made, "eve@halisoft.example").await;
        let id = made.text_at("/id");
        let key = server.post("/api/admin/keys", &eve, json!({ "name": "hers", "scopes": ["usage:read"] })).await;
        let path = format!("/api/admin/members/{id}");
        let tag = server.get(&path, &admin).await.header("etag").expect("a tag").to_owned();
        let renamed = server
            .send(server.request(Method::PATCH, &path, &admin).header("if-match", &tag).json(&json!({ "name": null })))
            .await;
        assert_eq!(json!([renamed.status, renamed.body["name"]]), json!([200, null]));
        let stale = server.request(Method::DELETE, &path, &admin).header("if-match", &tag);
        server.send(stale).await.assert_problem(412, "precondition-failed");
        assert_eq!(server.patch(&path, &admin, json!({ "name": "Eve E." })).await.text_at("/name"), "Eve E.");
        assert_eq!(server.delete(&path, &admin).await.status, 204);
        for path in ["/api/admin/keys", "/api/me"] {
            server.get(path, &eve).await.assert_problem(401, "unauthenticated");
        }
        let login = json!({ "email": "eve@halisoft.example", "password": PASSWORD });
        server.post("/api/auth/login", "", login.clone()).await.assert_problem(401, "invalid-credentials");
        server.get(&path, &admin).await.assert_problem(404, "not-found");
        let did = server.get(&format!("/api/admin/audit?actor={id}"), &admin).await;
        assert_eq!(
            json!([did.body["data"][0]["target"], did.body["data"][0]["actorName"]]),
            json!([key.body["id"], "Eve E."])
        );
        let happened = server.get(&format!("/api/admin/audit?target={id}&sort=at"), &admin).await;
        let actions: Vec<_> =
            happened.body["data"].as_array().expect("entries").iter().map(|e| e["action"].clone()).collect();
        assert_eq!(actions, ["member.added", "member.updated", "member.updated", "member.removed"]);
        // A user of a customer who was a member stays that user.
        let near = server.sign_in("near@halisoft.example").await;
        let near_id = id_of(&server, &near).await;
        server
            .post("/api/admin/members", &admin, json!({ "email": "near@halisoft.example", "role": "support" }))
            .await
            .assert_ok(201);
        server.get("/api/admin/contact-requests", &near).await.assert_ok(200);
        assert_eq!(server.delete(&format!("/api/admin/members/{near_id}"), &admin).await.status, 204);
        let near = server.sign_in("near@halisoft.example").await;
        assert_eq!(server.quota(&near, "invoice_ocr").await["used"], 87);
        // Who comes back gets a link again.
        let back = server
            .post("/api/admin/members", &admin, json!({ "email": "eve@halisoft.example", "role": "support" }))
            .await;
        accept(&server, &back, "eve@halisoft.example").await;
    });
}

#[test]
fn a_role_holds_from_the_next_request_on_whichever_node_it_comes_to() {
    on_postgres(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let one = Server::start(&database, folder.path(), &["--demo"], &[]);
        let two = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = one.sign_in("admin@halisoft.example").await;
        let other = member(&one, &admin, "admin").await;
        let id = id_of(&one, &other).await;
        let near = one.sign_in("near@halisoft.example").await;
        for _ in 0..3 {
            for node in [&one, &two] {
                node.get("/api/admin/members", &other).await.assert_ok(200);
                node.get("/api/admin/members", &near).await.assert_problem(403, "forbidden");
            }
            set_role(&one, &admin, &id, "support").await.assert_ok(200);
            two.get("/api/admin/members", &other).await.assert_problem(403, "forbidden");
            two.get("/api/admin/contact-requests", &other).await.assert_ok(200);
            set_role(&two, &admin, &id, "admin").await.assert_ok(200);
            one.get("/api/admin/members", &other).await.assert_ok(200);
        }
        one.post("/api/admin/members", &admin, json!({ "email": "near@halisoft.example", "role": "admin" }))
            .await
            .assert_ok(201);
        two.get("/api/admin/members", &near).await.assert_ok(200);
        assert_eq!(one.delete(&format!("/api/admin/members/{id}"), &admin).await.status, 204);
        two.get("/api/admin/members", &other).await.assert_problem(401, "unauthenticated");
    });
}
