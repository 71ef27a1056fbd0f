//! What a reader with README and SPEC alone tried and found let through, so that it stays refused.

use serde_json::{Value, json};

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
fn no_parser_speaks_to_the_caller() {
    on_both(async |database: Database| {
        let server = Server::demo(&database);
        let key = server.key(&["usage:write", "usage:read"]).await;
        let post = async |body: &str| {
            server.post_bytes("/api/usage/consume", &key, "application/json", body.as_bytes().to_vec()).await
        };
        for (body, detail) in [
            (r#"{"items":[{"feature":"x","amount":"1"}]}"#, "/items/0/amount: use a whole number; this is a text"),
            (r#"{"items":[{"feature":"x"}]}"#, "/items/0: add `amount`"),
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
            ("bucket=day", "", "The query: add `feature`"),
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
