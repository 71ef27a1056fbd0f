//! Revenue, over the API.

use std::path::Path;

use serde_json::{Value, json};

use super::sql::{execute, texts};
use super::support::{Answer, Database, Server, on_both};

const DAY: i64 = 86_400_000_000;

/// The demo without its own subscriptions, stopped, and midnight of today in microseconds.
async fn empty_demo(database: &Database, folder: &Path) -> i64 {
    let server = Server::start(database, folder, &["--demo"], &[]);
    assert!(server.stop().success());
    let nothing = "DELETE FROM subscription; DELETE FROM subscription_change; DELETE FROM revenue_day;";
    execute(database, folder, nothing).await;
    let now = texts(database, folder, "SELECT CAST(MAX(seen_at) AS TEXT) FROM node").await;
    let now: i64 = now[0].parse().expect("microseconds");
    now - now.rem_euclid(DAY)
}

/// A transition of a subscription of halisoft, as a statement.
fn transition(
    (id, at): (&str, i64),
    statuses: (&str, &str),
    plan: &str,
    worth: (i64, i64),
    rest: (&str, &str),
) -> String {
    let ((before, after), (annual_before, annual_after), (currency, movement)) = (statuses, worth, rest);
    let (before, plan_before) = match before {
        "" => ("NULL".to_owned(), "NULL".to_owned()),
        before => (format!("'{before}'"), "p.plan_id".to_owned()),
    };
    let movement = if movement.is_empty() { "NULL".to_owned() } else { format!("'{movement}'") };
    format!(
        "INSERT INTO subscription_change (tenant_id, change_id, at, subscription_id, customer_id, cause, actor, status_before, \
         status_after, plan_before, plan_after, currency, annual_before, annual_after, movement) SELECT t.tenant_id, \
         'chg_{id}_{at}', {at}, 'sub_{id}', 'cus_{id}', 'test', 'test', {before}, '{after}', {plan_before}, p.plan_id, \
         '{currency}', {annual_before}, {annual_after}, {movement} FROM tenant t JOIN plan p ON p.tenant_id = t.tenant_id \
         WHERE t.slug = 'halisoft' AND p.slug = '{plan}';\n"
    )
}

fn plans(answer: &Answer) -> Vec<Value> {
    let all = answer.body["byPlan"].as_array().expect("plans").iter();
    all.map(|plan| json!([plan["plan"], plan["subscriptions"], plan["mrr"], plan["share"]])).collect()
}

#[test]
fn revenue_counts_each_subscription_at_its_own_price() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let today = empty_demo(&database, folder.path()).await;
        // Twelve prices of their own, none of which divides by twelve, that together bring 36,000 a month.
        let enterprise = |n: i64| {
            let annual = if n == 0 { 3_600_055 } else { 3_599_995 };
            let id = format!("enterprise_{n}");
            transition((&id, today - 40 * DAY), ("", "active"), "enterprise", (0, annual), ("USD", "new"))
        };
        let planted: String = (0..12).map(enterprise).collect();
        execute(&database, folder.path(), &planted).await;

        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let key = server.key(&["customers:write"]).await;
        for (plan, count) in [("starter", 245), ("professional", 89)] {
            for number in 0..count {
                server.customer(&key, &format!("{plan}-{number}"), plan).await;
            }
        }
        let admin = server.sign_in("admin@halisoft.example").await;
        let now = server.get("/api/admin/metrics/revenue", &admin).await;
        now.assert_ok(200);
        for exact in ["\"mrr\":180366.00", "\"arr\":2164392.00", "\"arpa\":521.29", "\"share\":73.4"] {
            assert!(now.text.contains(exact), "{exact} is not in {now:?}");
        }
        let expected = [
            json!(["starter", 245, 73_255.0, 40.6]),
            json!(["professional", 89, 71_111.0, 39.4]),
            json!(["enterprise", 12, 36_000.0, 20.0]),
        ];
        assert_eq!(plans(&now), expected);
        assert_eq!((now.number_at("/subscriptions"), now.number_at("/live")), (346, 346));
        assert_eq!(now.body["mostPopular"], json!({ "plan": "starter", "signUps": 245, "share": 73.4 }));
        assert_eq!(now.body["movements"]["new"], json!({ "amount": 144_366.0, "count": 334 }));
        assert_eq!(json!([now.body["growth"], now.body["churn"]]), json!([401.0, 0.0]));
        assert!(now.body["definitions"]["churn"].as_str().is_some_and(|text| text.contains("30 days")));
        let before = server.get(&format!("/api/admin/metrics/revenue?at={}", date(today - 30 * DAY)), &admin).await;
        assert_eq!(json!([before.body["mrr"], before.body["subscriptions"]]), json!([36_000.0, 12]));
        let empty = server.get(&format!("/api/admin/metrics/revenue?at={}", date(today - 41 * DAY)), &admin).await;
        assert_eq!(json!([empty.body["mrr"], empty.body["growth"], empty.body["ltv"]]), json!([0.0, null, null]));

        // A new price is for those who subscribe from now on.
        assert!(server.stop().success());
        let raised = "INSERT INTO price (tenant_id, price_id, plan_id, interval, currency, amount_minor, version, active, created_at) \
             SELECT p.tenant_id, 'prc_raised', p.plan_id, p.interval, p.currency, 34900, p.version + 1, true, p.created_at \
             FROM price p JOIN plan l ON l.tenant_id = p.tenant_id AND l.plan_id = p.plan_id \
             WHERE l.slug = 'starter' AND p.interval = 'month' AND p.active; \
             UPDATE price SET active = false WHERE amount_minor = 29900 AND interval = 'month'; UPDATE tenant SET epoch = epoch + 1;";
        execute(&database, folder.path(), raised).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let mrr = async || server.get("/api/admin/metrics/revenue", &admin).await.body["mrr"].clone();
        assert_eq!(mrr().await, json!(180_366.0), "a price change alone moves nothing");
        server.customer(&key, "one-more", "starter").await;
        assert_eq!(mrr().await, json!(180_715.0));
    });
}

/// A day as a date.
fn date(micros: i64) -> String {
    domain::time::Timestamp::from_micros(micros).to_string().chars().take(10).collect()
}

#[test]
fn movements_add_up_over_time_and_currencies_stand_apart() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let today = empty_demo(&database, folder.path()).await;
        let day = |ago: i64| today - ago * DAY + 1;
        let planted = [
            transition(("a", day(60)), ("", "active"), "starter", (0, 358_800), ("USD", "new")),
            transition(("b", day(50)), ("", "trialing"), "starter", (0, 0), ("USD", "")),
            transition(("b", day(20)), ("trialing", "active"), "starter", (0, 358_800), ("USD", "new")),
            transition(("c", day(45)), ("", "active"), "professional", (0, 958_800), ("USD", "new")),
            transition(("c", day(10)), ("active", "canceled"), "professional", (958_800, 958_800), ("USD", "")),
            transition(("c", day(3)), ("canceled", "expired"), "professional", (958_800, 0), ("USD", "churn")),
            transition(("e", day(5)), ("", "active"), "starter", (0, 120_000), ("EUR", "new")),
            transition(("a", day(2)), ("active", "active"), "starter", (358_800, 478_800), ("USD", "expansion")),
        ];
        execute(&database, folder.path(), &planted.concat()).await;
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in("admin@halisoft.example").await;
        let now = server.get("/api/admin/metrics/revenue", &admin).await;
        let figure = |name: &str| now.body[name].clone();
        assert_eq!(json!([figure("mrr"), figure("subscriptions")]), json!([698.0, 2]));
        // 1,098.00 a month ago; three were live 30 days ago, one of them ended.
        assert_eq!(json!([figure("growth"), figure("churn"), figure("trialConversion")]), json!([-36.4, 33.3, 100.0]));
        let movements = figure("movements");
        assert_eq!(movements["churn"], json!({ "amount": -799.0, "count": 1 }));
        assert_eq!(movements["expansion"], json!({ "amount": 100.0, "count": 1 }));
        assert_eq!(movements["new"], json!({ "amount": 299.0, "count": 1 }));
        let euros = &now.body["currencies"][0];
        assert_eq!(json!([euros["currency"], euros["mrr"], euros["arr"]]), json!(["EUR", 100.0, 1_200.0]));

        let path = format!("/api/admin/metrics/revenue/series?from={}", date(day(60)));
        let series = server.get(&path, &admin).await;
        let points = series.body["points"].as_array().expect("points");
        let mrr: Vec<_> = points.iter().map(|point| point["mrr"].as_f64().expect("a number").to_string()).collect();
        assert_eq!(points.len(), 61);
        assert_eq!(
            [&mrr[0], &mrr[14], &mrr[15], &mrr[40], &mrr[57], &mrr[60]],
            ["299", "299", "1098", "1397", "598", "698"]
        );
        let months = server.get(&format!("{path}&bucket=month&currency=EUR"), &admin).await;
        let last = months.body["points"].as_array().and_then(|points| points.last()).expect("a month");
        assert_eq!(last["mrr"], json!(100.0));

        let near = server.sign_in("near@halisoft.example").await;
        let key = server.key(&["usage:read"]).await;
        for path in ["/api/admin/metrics/revenue", "/api/admin/metrics/revenue/series"] {
            server.get(path, &near).await.assert_problem(403, "forbidden");
            server.get(path, &key).await.assert_problem(403, "forbidden");
            server.get(path, "").await.assert_problem(401, "unauthenticated");
        }
        let studio = server.sign_in("admin@studio.example").await;
        let other = server.get("/api/admin/metrics/revenue", &studio).await;
        assert_eq!(
            json!([other.body["mrr"], other.body["currencies"]]),
            json!([0.0, []]),
            "another tenant's is its own"
        );
        for (query, name) in [("?at=2999-01-01", "at"), ("?at=soon", "at")] {
            server.get(&format!("/api/admin/metrics/revenue{query}"), &admin).await.assert_field(&format!("/{name}"));
        }
        for (query, name) in [("?from=2000-01-01", "from"), ("?from=2999-01-01", "from"), ("?currency=usd", "currency")]
        {
            server
                .get(&format!("/api/admin/metrics/revenue/series{query}"), &admin)
                .await
                .assert_field(&format!("/{name}"));
        }
    });
}
