//! What a reader with README and SPEC alone tried and found let through, so that it stays refused.

use serde_json::{Value, json};

use super::sql::execute;
use super::support::document::DOCUMENT;
use super::support::{Answer, Database, Server, on_both};

/// The names in a list.
fn names(page: &Answer) -> Vec<&str> {
    page.assert_ok(200);
    page.body["data"].as_array().into_iter().flatten().filter_map(|row| row["name"].as_str()).collect()
}

/// The next page's cursor; null on the last.
fn cursor(page: &Answer) -> &Value {
    &page.body["nextCursor"]
}

#[test]
fn a_list_comes_in_pages_and_in_the_order_that_is_asked_for() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        let make = async |name: &str| {
            let made = server.post("/api/admin/keys", &admin, json!({ "name": name, "scopes": ["usage:read"] })).await;
            made.assert_ok(201);
        };
        let list = async |query: &str| server.get(&format!("/api/admin/keys?{query}"), &admin).await;
        for name in ["till", "Billing", "100% web", "app", "Till 2"] {
            make(name).await;
        }
        let all = list("").await;
        assert_eq!(names(&all), ["Till 2", "app", "100% web", "Billing", "till"]);
        assert!(cursor(&all).is_null(), "{all:?}");
        assert_eq!(names(&list("sort=createdAt&limit=2").await), ["till", "Billing"]);
        for (sort, wanted) in [
            ("name", ["100% web", "app", "Billing", "till", "Till 2"]),
            ("-name", ["Till 2", "till", "Billing", "app", "100% web"]),
            ("-createdAt", ["Till 2", "app", "100% web", "Billing", "till"]),
        ] {
            let (mut seen, mut query) = (Vec::new(), format!("sort={sort}&limit=2"));
            for rows in [2, 2, 1] {
                let page = list(&query).await;
                assert_eq!(names(&page).len(), rows, "{query}");
                seen.extend(names(&page).into_iter().map(str::to_owned));
                query = format!("sort={sort}&limit=2&cursor={}", cursor(&page).as_str().unwrap_or_default());
                assert_eq!(cursor(&page).is_null(), rows == 1, "{page:?}");
            }
            assert_eq!(seen, wanted, "{sort}");
        }
        for (q, wanted) in
            [("TILL", vec!["Till 2", "till"]), ("0%25", vec!["100% web"]), ("_", vec![]), ("%25%25", vec![])]
        {
            assert_eq!(names(&list(&format!("q={q}")).await), wanted, "{q}");
        }
        // A row that comes meanwhile neither repeats nor hides another.
        let first = list("limit=3").await;
        make("new").await;
        let next = list(&format!("limit=3&cursor={}", cursor(&first).as_str().expect("there is more"))).await;
        assert_eq!(names(&next), ["Billing", "till"]);
    });
}

#[test]
fn a_list_refuses_what_it_cannot_do_and_says_what_to_do() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let admin = server.sign_in("admin@halisoft.example").await;
        for (query, pointer, told) in [
            ("limit=0", "/limit", "The query parameter `limit`: use a whole number from 1 to 200"),
            ("limit=201", "/limit", "from 1 to 200"),
            ("limit=ten", "/limit", "from 1 to 200"),
            ("cursor=nonsense", "/cursor", "take the `nextCursor` of the page before"),
            ("cursor=", "/cursor", "leave it out for the first page"),
            ("sort=hint", "/sort", "use one of createdAt, name, with `-` before it"),
            ("q=a%00b", "/q", "without line breaks"),
        ] {
            let refused = server.get(&format!("/api/admin/keys?{query}"), &admin).await;
            refused.assert_field(pointer);
            assert!(refused.text_at("/detail").contains(told), "{refused:?}");
        }
        server.get("/api/admin/keys?page=2", &admin).await.assert_problem(422, "invalid-input");
    });
}

#[test]
fn a_customer_has_a_name_that_is_one_and_shows_its_plan() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["customers:write"]).await;
        let create = async |body: Value| server.post("/api/customers", &key, body).await;
        for (body, pointer) in [
            (json!({}), ""),
            (json!({ "name": "Acme", "plan": "starter" }), ""),
            (json!({ "externalId": "  " }), "/externalId"),
            (json!({ "externalId": " acme" }), "/externalId"),
            (json!({ "externalId": "acme", "name": "\u{a0} " }), "/name"),
            (json!({ "externalId": "acme", "email": "nobody" }), "/email"),
            (json!({ "externalId": "acme", "email": " " }), "/email"),
            (json!({ "email": "a b@example.com" }), "/email"),
        ] {
            create(body).await.assert_field(pointer);
        }
        server.get("/api/customers/acme", &key).await.assert_problem(404, "unknown-customer");
        let made = create(json!({ "email": " Bill@Acme.example ", "name": " Acme Ltd " })).await;
        made.assert_ok(201);
        let said = json!([made.body["email"], made.body["name"], made.body["externalId"], made.body["plan"]]);
        assert_eq!(said, json!(["bill@acme.example", "Acme Ltd", null, null]));
        let body = json!({ "externalId": "acme", "plan": "professional" });
        for status in [201, 200] {
            let made = create(body.clone()).await;
            made.assert_ok(status);
            assert_eq!(made.text_at("/plan"), "professional");
        }
        assert_eq!(server.get("/api/customers/acme", &key).await.text_at("/plan"), "professional");
        // Where the tenant has a default plan it shows, too.
        let (_, studio) = server.key_of("studio", &["customers:write"]).await;
        let free = server.post("/api/customers", &studio, json!({ "externalId": "acme" })).await;
        assert_eq!(free.text_at("/plan"), "free");
    });
}

#[test]
fn a_history_takes_dates_and_refuses_a_time_that_runs_backwards() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Server::start(&database, folder.path(), &["--demo"], &[]).stop().success());
        execute(&database, folder.path(), "UPDATE tenant SET timezone = 'Pacific/Auckland' WHERE slug = 'halisoft'")
            .await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let near = server.sign_in("near@halisoft.example").await;
        let read = async |query: &str| {
            server.get(&format!("/api/usage/history?feature=invoice_ocr&bucket=hour&{query}"), &near).await
        };
        let points = |answer: &Answer| {
            answer.assert_ok(200);
            answer.body["points"].clone()
        };
        let all = read("from=2000-01-01&to=2999-01-01").await;
        let at: Vec<_> = points(&all).as_array().expect("points").iter().map(|point| point["at"].clone()).collect();
        assert!(at.len() > 2, "{all:?}");
        // The first day of use in Auckland, as its date and as its instants.
        let day =
            server.get("/api/usage/history?feature=invoice_ocr&from=2000-01-01", &near).await.text_at("/points/0/at");
        let by_date = points(&read(&format!("from=2000-01-01&to={day}")).await);
        assert_eq!(by_date, json!([]), "nothing was used before the first day");
        let instant: jiff::civil::Date = day.parse().expect("a date");
        let instant = instant.in_tz("Pacific/Auckland").expect("a zone").timestamp();
        assert_eq!(points(&read(&format!("from={day}")).await), points(&read(&format!("from={instant}")).await));
        for (query, pointer) in [
            ("from=2026-11-02&to=2026-11-01", "/from"),
            ("from=2026-11-01&to=2026-11-01", "/from"),
            ("from=2999-01-01", "/from"),
            ("from=2026-13-01", "/from"),
            ("to=soon", "/to"),
        ] {
            let refused = read(query).await;
            refused.assert_field(pointer);
            assert!(refused.text_at("/detail").starts_with("The query parameter `"), "{refused:?}");
        }
    });
}

#[test]
fn a_key_is_not_made_for_the_past_and_ends_with_its_time() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let make = async |ends: &str| {
            let body = json!({ "name": "till", "scopes": ["customers:write"], "expiresAt": ends });
            server.post("/api/admin/keys", &admin, body).await
        };
        for past in ["2020-01-01T00:00:00Z", "1970-01-01T00:00:00Z"] {
            let refused = make(past).await;
            refused.assert_field("/expiresAt");
            assert!(refused.text_at("/detail").contains("to come"), "{refused:?}");
        }
        let key = make("2099-01-01T00:00:00Z").await.text_at("/key");
        server.get("/api/customers/nobody", &key).await.assert_problem(404, "unknown-customer");
        assert!(server.stop().success());
        execute(&database, folder.path(), "UPDATE api_key SET expires_at = 1").await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        server.get("/api/customers/nobody", &key).await.assert_problem(401, "unauthenticated");
    });
}

#[test]
fn no_parser_speaks_to_the_caller() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read"]).await;
        let post = async |body: &str| {
            server.post_bytes("/api/usage/consume", &key, "application/json", body.as_bytes().to_vec()).await
        };
        for (body, detail) in [
            (r#"{"items":[{"feature":"x","amount":"1"}]}"#, "/items/0/amount: use a whole number; this is a text"),
            (r#"{"items":[{"feature":"x"}]}"#, "/items/0/amount: add it"),
            (r#"{"itms":[]}"#, "/itms: leave it out; known here: customer, items, metadata"),
            (r#"{"items":[["x",1]]}"#, "/items/0: use an object; this is a list"),
            (r#"{"items":[{"feature":"x","amount":1}],"customer":[7]}"#, "/customer: use a text; this is a list"),
            ("[]", "use an object; this is a list"),
            ("{", "Send one JSON value: the body ends before it is complete, at line 1, column 1."),
            ("{'items':[]}", "Send one JSON value: reading stopped, at line 1, column 2."),
        ] {
            assert_eq!(post(body).await.text_at("/detail"), detail, "{body}");
        }
        let admin = server.sign_in("admin@halisoft.example").await;
        for scope in [json!(7), json!(null), json!([]), json!("root")] {
            let refused = server.post("/api/admin/keys", &admin, json!({ "name": "x", "scopes": [scope] })).await;
            refused.assert_field("/scopes/0");
            assert!(!refused.text.contains("expected"), "{refused:?}");
        }
        for (query, pointer, detail) in [
            ("bucket=year&feature=x", "/bucket", "The query parameter `bucket`: use one of hour, day, month"),
            ("bucket=day", "/feature", "The query parameter `feature`: add it"),
            ("feature=x&feature=y", "/feature", "The query parameter `feature`: write it only once"),
            (
                "feature=x&page=2",
                "/page",
                "The query parameter `page`: leave it out; known here: customer, feature, from, to, bucket",
            ),
        ] {
            let refused = server.get(&format!("/api/usage/history?{query}"), &key).await;
            refused.assert_field(pointer);
            assert_eq!(refused.text_at("/detail"), detail, "{query}");
        }
    });
}

#[test]
fn nobody_is_told_to_wait_for_more_than_there_ever_is() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let near = server.sign_in("near@halisoft.example").await;
        let ask = async |amount: i64| {
            let items = json!({ "items": [{ "feature": "invoice_ocr", "amount": amount }] });
            let refused = server.post("/api/usage/consume", &near, items).await;
            refused.assert_problem(429, "quota-exceeded");
            refused
        };
        let plans = |refused: &Answer| {
            let plans = refused.body["actions"][0]["plans"].as_array().cloned().unwrap_or_default();
            plans.iter().map(|plan| plan["slug"].clone()).collect::<Vec<_>>()
        };
        let whole = ask(100).await;
        assert!(whole.header("retry-after").is_some() && whole.text_at("/detail").contains("wait until"), "{whole:?}");
        let more = ask(101).await;
        assert_eq!(more.header("retry-after"), None);
        assert_eq!(
            more.text_at("/detail"),
            "Invoice OCR & Analysis: 101 were asked for, which is more than the whole limit of 100 analyses. Upgrade \
             the plan or buy a top-up."
        );
        assert_eq!(json!(plans(&more)), json!(["professional", "enterprise"]));
        assert_eq!(json!(plans(&ask(914).await)), json!(["enterprise"]), "87 and 914 are more than 1,000");
    });
}

#[test]
fn what_is_no_page_is_not_found() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let get = async |path: &str, accept: &str| {
            server.send(server.request(reqwest::Method::GET, path, "").header("accept", accept)).await
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for path in ["/nope", "/sign-in/nope", "/playground/a/b", "/favicon.ico", "/index.html", "/wp-login.php"] {
            let page = get(path, browser).await;
            assert_eq!(page.status, 404, "{path}: {page:?}");
            assert!(!page.header("content-type").is_some_and(|kind| kind.contains("json")), "{page:?}");
            for accept in ["*/*", "application/json", "image/avif,image/webp,*/*"] {
                get(path, accept).await.assert_problem(404, "not-found");
            }
        }
        for path in ["/", "/sign-in", "/setup?token=x", "/playground/invoice-ocr", "/admin", "/admin/plans"] {
            let page = get(path, browser).await;
            assert_ne!(page.status, 404, "{path}: {page:?}");
        }
        let robots = get("/robots.txt", "*/*").await;
        robots.assert_ok(200);
        assert_eq!(robots.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(robots.text.starts_with("User-agent: *\n"), "{robots:?}");
    });
}

#[test]
fn a_key_runs_a_component_for_the_customer_that_it_names() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["customers:write", "usage:read", "ai:run"]).await;
        for name in ["acme", "other"] {
            server.customer(&key, name, "starter").await;
        }
        let run = async |query: &str, header: Option<&str>| {
            let path = format!("/api/ai/risk-assessment/assess{query}");
            let request = server.request(reqwest::Method::POST, &path, &key);
            let request = header.into_iter().fold(request, |request, name| request.header("x-customer", name));
            server.send(request.json(&json!({ "description": "We pay one supplier in advance." }))).await
        };
        run("?customer=acme", None).await.assert_ok(200);
        run("", Some("acme")).await.assert_ok(200);
        run("?customer=acme", Some("other")).await.assert_ok(200);
        assert_eq!(server.quota_of(&key, "acme", "risk_assessment").await["used"], 3);
        assert_eq!(server.quota_of(&key, "other", "risk_assessment").await["used"], 0);
        run("", None).await.assert_field("/customer");
    });
}

#[test]
fn who_lacks_the_permission_does_not_learn_what_exists() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "customers:write"]).await;
        let made = server.post("/api/customers", &key, json!({ "externalId": "acme", "plan": "starter" })).await;
        made.assert_ok(201);
        let poor = server.key(&["tokens:mint"]).await;
        for path in ["/api/customers/NAME", "/api/usage?customer=NAME", "/api/ai/NAME/analyze", "/api/admin/keys/NAME"]
        {
            let mut told = Vec::new();
            for name in ["acme", "nobody"] {
                let method = match path.split('/').nth(2) {
                    Some("ai") => reqwest::Method::POST,
                    Some("admin") => reqwest::Method::DELETE,
                    _ => reqwest::Method::GET,
                };
                let request = server.request(method, &path.replace("NAME", name), &poor);
                let refused = server.send(request.json(&json!({}))).await;
                refused.assert_problem(403, "forbidden");
                told.push(refused.text_at("/detail"));
            }
            assert_eq!(told.first(), told.last(), "{path}");
        }
    });
}

#[test]
fn the_document_says_what_is_taken() {
    let schema = |name: &str| DOCUMENT["components"]["schemas"][name].clone();
    let least = |name: &str| schema(name)["properties"]["amount"]["minimum"].clone();
    assert_eq!(schema("SettleBody")["properties"]["items"]["items"]["$ref"], "#/components/schemas/UsedBody");
    assert_eq!(json!([least("UsedBody"), least("ItemBody")]), json!([0, 1]));
    let cookie = &DOCUMENT["components"]["securitySchemes"]["cookie"];
    assert_eq!(cookie["name"], "__Host-tg_session");
    assert!(cookie["description"].as_str().is_some_and(|text| text.contains("`tg_session`")), "{cookie}");
}
