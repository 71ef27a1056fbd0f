//! Passwords, sessions and tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::sql::execute;
use super::support::{Answer, Database, PASSWORD, Server, on_both};

async fn login(server: &Server, email: &str, password: &str) -> Answer {
    server.post("/api/auth/login", "", json!({ "email": email, "password": password })).await
}

/// A problem without what differs in every answer.
fn plain(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["instance"] = Value::Null;
    body
}

#[test]
fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let wrong = login(&server, "near@halisoft.example", "not-the-password").await;
        wrong.assert_problem(401, "invalid-credentials");
        for (email, password) in [
            ("nobody@halisoft.example", PASSWORD),
            ("user@studio.example", PASSWORD),
            ("no address", PASSWORD),
            ("near@halisoft.example", &"x".repeat(10_000)),
        ] {
            let other = login(&server, email, password).await;
            assert_eq!((other.status, plain(&other)), (wrong.status, plain(&wrong)), "{email}");
            assert_eq!(other.header("www-authenticate"), wrong.header("www-authenticate"));
        }
        let good = login(&server, " NEAR@Halisoft.example ", PASSWORD).await;
        good.assert_ok(200);
        assert_eq!(
            (good.number_at("/expiresIn"), good.text_at("/user/email")),
            (900, "near@halisoft.example".to_owned())
        );
        assert!(!good.text.contains("argon2"), "{good:?}");
    });
}

#[test]
fn attempts_wait_longer_after_each_failure() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server::start(&database, folder.path(), &["--demo"], &[]);
        for _ in 0..4 {
            login(&server, "near@halisoft.example", "wrong").await.assert_problem(401, "invalid-credentials");
        }
        let mut waits = Vec::new();
        for failures in [12, 40] {
            assert!(server.stop().success());
            let failed =
                format!("UPDATE login_failure SET failures = {failures} WHERE email = 'near@halisoft.example'");
            execute(&database, folder.path(), &failed).await;
            server = Server::start(&database, folder.path(), &["--demo"], &[]);
            let refused = login(&server, "near@halisoft.example", PASSWORD).await;
            refused.assert_problem(429, "too-many-attempts");
            waits.push(refused.header("retry-after").expect("seconds").parse::<i64>().expect("a number"));
            login(&server, "new@halisoft.example", PASSWORD).await.assert_ok(200);
        }
        assert!((1..=128).contains(&waits[0]) && (129..=900).contains(&waits[1]), "{waits:?}");
        assert!(server.stop().success());
        execute(&database, folder.path(), "UPDATE login_failure SET last_at = 0").await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        login(&server, "near@halisoft.example", PASSWORD).await.assert_ok(200);
        login(&server, "near@halisoft.example", "wrong").await.assert_problem(401, "invalid-credentials");
        login(&server, "near@halisoft.example", PASSWORD).await.assert_ok(200);
    });
}

async fn refresh(server: &Server, pair: &Answer) -> Answer {
    server.post("/api/auth/refresh", "", json!({ "refreshToken": pair.body["refreshToken"] })).await
}

#[test]
fn a_refresh_token_works_once_and_its_reuse_ends_the_whole_family() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let first = login(&server, "near@halisoft.example", PASSWORD).await;
        let elsewhere = login(&server, "near@halisoft.example", PASSWORD).await;
        let second = refresh(&server, &first).await;
        second.assert_ok(200);
        assert_ne!(second.body["refreshToken"], first.body["refreshToken"]);
        for pair in [&first, &second] {
            server.get("/api/me", &pair.text_at("/accessToken")).await.assert_ok(200);
        }
        refresh(&server, &first).await.assert_problem(401, "unauthenticated");
        for pair in [&first, &second] {
            server.get("/api/me", &pair.text_at("/accessToken")).await.assert_problem(401, "unauthenticated");
        }
        refresh(&server, &second).await.assert_problem(401, "unauthenticated");
        server.get("/api/me", &elsewhere.text_at("/accessToken")).await.assert_ok(200);
        let unknown = json!({ "refreshToken": "nonsense" });
        server.post("/api/auth/refresh", "", unknown).await.assert_problem(401, "unauthenticated");

        let token = elsewhere.text_at("/accessToken");
        assert_eq!(server.post("/api/auth/logout", &token, json!({})).await.status, 204);
        server.get("/api/me", &token).await.assert_problem(401, "unauthenticated");
        refresh(&server, &elsewhere).await.assert_problem(401, "unauthenticated");
    });
}

#[test]
fn a_refresh_token_knows_its_tenant() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let request = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", "studio");
        let body = json!({ "email": "pro@studio.example", "password": PASSWORD });
        let first = server.send(request.json(&body)).await;
        first.assert_ok(200);
        let by = async |tenant: &str, token: &str| {
            let request = server.request(Method::POST, "/api/auth/refresh", "").header("x-tenant", tenant);
            server.send(request.json(&json!({ "refreshToken": token }))).await
        };
        let token = first.text_at("/refreshToken");
        by("halisoft", &token).await.assert_problem(403, "tenant-mismatch");
        let second = refresh(&server, &first).await;
        second.assert_ok(200);
        assert_eq!(second.text_at("/user/tenant"), "studio");
        // One that was made before tokens said so.
        let (_, secret) = token.split_once('.').expect("a tenant stands in front");
        let (_, newest) = second.body["refreshToken"].as_str().and_then(|t| t.split_once('.')).expect("here, too");
        refresh(&server, &first).await.assert_problem(401, "unauthenticated");
        by("studio", secret).await.assert_problem(401, "unauthenticated");
        by("studio", newest).await.assert_problem(401, "unauthenticated");
        let unknown = format!("ten_01jz3k5q8e4x9m2v7c1r6t0b5n.{newest}");
        let body = json!({ "refreshToken": unknown });
        server.post("/api/auth/refresh", "", body).await.assert_problem(401, "unauthenticated");
        let third = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", "studio");
        let third = server.send(third.json(&json!({ "email": "pro@studio.example", "password": PASSWORD }))).await;
        let (_, secret) = third.body["refreshToken"].as_str().and_then(|t| t.split_once('.')).expect("a token");
        by("studio", secret).await.assert_ok(200);
    });
}

#[test]
fn a_cookie_acts_for_our_own_pages_alone() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let body = json!({ "email": "near@halisoft.example", "password": PASSWORD, "session": "cookie" });
        let signed_in = server.post("/api/auth/login", "", body).await;
        signed_in.assert_ok(200);
        assert_eq!(json!([signed_in.body["accessToken"], signed_in.body["refreshToken"]]), json!([null, null]));
        let set = signed_in.header("set-cookie").expect("a cookie").to_owned();
        assert!(set.starts_with("tg_session=") && set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
        let cookie = set.split(';').next().expect("a pair").to_owned();
        let host = server.url.trim_start_matches("http://").to_owned();
        let with = |method: Method, path: &str, headers: &[(&str, &str)]| {
            let request = server.request(method, path, "").header("cookie", &cookie);
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        };
        let check = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        let post = async |headers: &[(&str, &str)]| {
            server.send(with(Method::POST, "/api/usage/check", headers).json(&check)).await
        };
        server.send(with(Method::GET, "/api/me", &[])).await.assert_ok(200);
        server.send(with(Method::GET, "/api/me", &[("sec-fetch-site", "cross-site")])).await.assert_ok(200);
        let same_origin = [("origin", server.url.as_str())];
        for ours in [&[("sec-fetch-site", "same-origin")][..], &same_origin] {
            post(ours).await.assert_ok(200);
        }
        let foreign = format!("http://{host}.evil.example");
        for theirs in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null")],
            &[("origin", foreign.as_str())],
            &[("sec-fetch-site", "cross-site"), ("origin", server.url.as_str())],
        ] {
            post(theirs).await.assert_problem(403, "cross-site");
        }
        let form = with(Method::POST, "/api/usage/check", &[("sec-fetch-site", "same-origin")]);
        let form = form.header("content-type", "text/plain").body(check.to_string());
        server.send(form).await.assert_problem(415, "unsupported-media-type");

        let out = server.send(with(Method::POST, "/api/auth/logout", &[("sec-fetch-site", "same-origin")])).await;
        assert_eq!(out.status, 204);
        assert!(out.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "{out:?}");
        server.send(with(Method::GET, "/api/me", &[])).await.assert_problem(401, "unauthenticated");
    });
}

#[test]
fn a_token_that_we_did_not_make_or_that_is_over_is_refused() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let token = server.sign_in("near@halisoft.example").await;
        let parts: Vec<_> = token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
        let mut claims: Value = serde_json::from_slice(&claims).expect("JSON");
        claims["role"] = json!("admin");
        let raised = URL_SAFE_NO_PAD.encode(claims.to_string());
        let header = |header: Value| URL_SAFE_NO_PAD.encode(header.to_string());
        let none = header(json!({ "alg": "none", "typ": "at+jwt" }));
        let symmetric = header(json!({ "alg": "HS256", "typ": "at+jwt" }));
        let ticket = server.post("/api/realtime/ticket", &token, json!({})).await.text_at("/ticket");
        for forged in [
            format!("{}.{raised}.{}", parts[0], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{none}.{raised}."),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{symmetric}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}.x"),
            ticket,
            "x".repeat(5_000),
            "..".to_owned(),
        ] {
            let refused = server.get("/api/me", &forged).await;
            refused.assert_problem(401, "unauthenticated");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
        let basic = server.request(Method::GET, "/api/me", "").header("authorization", "Basic bmVhcjp4");
        server.send(basic).await.assert_problem(401, "unauthenticated");
        server.get("/api/me", &token).await.assert_ok(200);

        let key = server.key(&["tokens:mint", "customers:write"]).await;
        server.customer(&key, "acme", "starter").await;
        let short = json!({ "customer": "acme", "ttlSeconds": 1 });
        let short = server.post("/api/tokens", &key, short).await.text_at("/token");
        let mut status = 200;
        for _ in 0..1_000_000 {
            status = server.get("/api/usage", &short).await.status;
            if status != 200 {
                break;
            }
        }
        assert_eq!(status, 401, "a token ends with its time");
    });
}

#[test]
fn another_installation_s_token_and_key_mean_nothing_here() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let other = Server::demo(&Database::Sqlite);
        let token = other.sign_in("admin@halisoft.example").await;
        let key = other.key(&["admin"]).await;
        for credential in [token, key] {
            other.get("/api/admin/keys", &credential).await.assert_ok(200);
            server.get("/api/admin/keys", &credential).await.assert_problem(401, "unauthenticated");
        }
    });
}

#[test]
fn registering_tells_nothing_and_gives_the_tenant_s_default_plan() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let register = async |tenant: &str, body: Value| {
            let request = server.request(Method::POST, "/api/auth/register", "").header("x-tenant", tenant);
            server.send(request.json(&body)).await
        };
        let enter = async |tenant: &str, email: &str, password: &str| {
            let request = server.request(Method::POST, "/api/auth/login", "").header("x-tenant", tenant);
            server.send(request.json(&json!({ "email": email, "password": password }))).await
        };
        let ann = |password: &str| json!({ "email": "Ann@example.com", "password": password, "name": "Ann" });
        let new = register("studio", ann("first-password")).await;
        let known = register("studio", ann("second-password")).await;
        let theirs = register("studio", json!({ "email": "user@studio.example", "password": "third-password" })).await;
        for answer in [&new, &known, &theirs] {
            assert_eq!((answer.status, &answer.body), (201, &new.body));
        }
        enter("studio", "ann@example.com", "second-password").await.assert_problem(401, "invalid-credentials");
        enter("studio", "user@studio.example", "third-password").await.assert_problem(401, "invalid-credentials");
        let writer = enter("studio", "ann@example.com", "first-password").await.text_at("/accessToken");
        let usage = server.get("/api/usage", &writer).await;
        assert_eq!(json!([usage.body["prompts"]["limit"], usage.body["storage"]["limit"]]), json!([100, 500_000_000]));
        let plan = server.get("/api/subscription", &writer).await;
        assert_eq!(plan.text_at("/subscription/plan"), "free");

        assert_eq!(register("halisoft", ann("fourth-password")).await.status, 201);
        let customer = enter("halisoft", "ann@example.com", "fourth-password").await.text_at("/accessToken");
        let body = json!({ "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
        let refused = server.post("/api/usage/consume", &customer, body).await;
        refused.assert_problem(402, "subscription-required");
        assert_eq!(refused.actions(), ["upgrade", "contactSales"]);
        assert_eq!(
            server.get("/api/subscription", &customer).await.body,
            json!({ "subscription": null, "plan": null, "suspended": false })
        );

        for (email, password, pointer) in [
            ("bob@example.com", "short", "/password"),
            ("bob@example.com", "password", "/password"),
            ("bob@example.com", "          ", "/password"),
            ("bob@example.com", "zzzz zzzzzz", "/password"),
            ("bob@example.com", &*"p".repeat(129), "/password"),
            ("bob", "long-enough-one", "/email"),
            ("b b@example.com", "long-enough-one", "/email"),
        ] {
            let refused = register("studio", json!({ "email": email, "password": password })).await;
            refused.assert_field(pointer);
        }
    });
}

#[test]
fn no_burst_of_attempts_has_all_its_guesses_looked_at() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let guess = |number: usize| {
            let server = &server;
            async move { login(server, "pro@halisoft.example", &format!("guess-{number}")).await }
        };
        let answers = futures_util::future::join_all((0..40).map(guess)).await;
        let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(looked_at, 5, "the free ones");
        assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status)), "{answers:?}");
        let owner = login(&server, "pro@halisoft.example", PASSWORD).await;
        owner.assert_problem(429, "too-many-attempts");
        assert!(owner.text_at("/detail").contains("/forgot"), "{owner:?}");
        // Whoever has the right password may come often at once.
        let sign_in = |_| login(&server, "near@halisoft.example", PASSWORD);
        let all = futures_util::future::join_all((0..20).map(sign_in)).await;
        assert!(all.iter().all(|answer| answer.status == 200), "{all:?}");
    });
}
