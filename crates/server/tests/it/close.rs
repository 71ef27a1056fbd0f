//! The end of quota periods: units that go on, and use beyond soft limits that is asked for.

use serde_json::{Value, json};

use super::clock::{ADMIN, advance, invoices, year};
use super::support::{Database, Server, on_both};

const ALL: [&str; 4] = ["usage:write", "usage:read", "customers:write", "admin"];

struct Bench {
    server: Server,
    admin: String,
    key: String,
    next: i64,
}

impl Bench {
    /// A customer on Starter since the tenth of January.
    async fn new(database: &Database, granted: &[(&str, Value)]) -> Self {
        let server = Server::demo(database);
        let (admin, key) = (server.sign_in(ADMIN).await, server.key(&ALL).await);
        for (feature, body) in granted {
            let path = format!("/api/admin/plans/starter/features/{feature}");
            server.put(&path, &admin, body.clone()).await.assert_ok(200);
        }
        let next = year(&server, &admin).await + 1;
        let bench = Self { server, admin, key, next };
        bench.advance("01-10T00:00:00Z").await;
        bench.server.customer(&bench.key, "acme", "starter").await;
        bench
    }

    async fn advance(&self, to: &str) {
        advance(&self.server, &self.admin, &format!("{}-{to}", self.next)).await;
    }

    async fn uses(&self, feature: &str, amount: i64) {
        self.server.use_of(&self.key, "acme", feature, amount).await.assert_ok(200);
    }

    /// What is used, what is left of credits, and what remains.
    async fn quota(&self, feature: &str) -> (i64, i64, i64) {
        let quota = self.server.quota_of(&self.key, "acme", feature).await;
        let number = |key: &str| quota[key].as_i64().expect("a number");
        (number("used"), number("credits"), number("remaining"))
    }
}

#[test]
fn what_was_not_used_goes_on_once_up_to_the_cap() {
    on_both(async |database: Database| {
        let bench = Bench::new(&database, &[("invoice_ocr", json!({ "rolloverCap": 30 }))]).await;
        bench.uses("invoice_ocr", 60).await;
        bench.uses("risk_assessment", 1).await;
        bench.advance("02-10T01:00:00Z").await;
        assert_eq!(bench.quota("invoice_ocr").await, (0, 30, 130), "40 were left, 30 go on");
        assert_eq!(bench.quota("risk_assessment").await, (0, 0, 50), "nobody said that these do");
        bench.uses("invoice_ocr", 85).await;
        bench.advance("03-10T01:00:00Z").await;
        assert_eq!(
            bench.quota("invoice_ocr").await,
            (0, 15, 115),
            "15 of the month's own; a pack is not carried again"
        );
        bench.uses("invoice_ocr", 110).await;
        assert_eq!(bench.quota("invoice_ocr").await, (100, 5, 5), "the plan's first");
        bench.advance("04-10T01:00:00Z").await;
        assert_eq!(bench.quota("invoice_ocr").await, (0, 0, 100));
        let timeline = bench.server.get("/api/admin/audit?action=credits.carried", &bench.admin).await;
        let carried = timeline.body["data"].as_array().expect("a list").iter();
        let acme = carried.filter(|entry| entry["after"]["feature"] == "invoice_ocr");
        assert!(acme.count() >= 2, "{timeline:?}");
        for (body, pointer) in [
            (json!({ "rolloverCap": 0 }), "/rolloverCap"),
            (json!({ "limitType": "unlimited", "rolloverCap": 5 }), "/rolloverCap"),
            (json!({ "reset": "minute", "rolloverCap": 5 }), "/rolloverCap"),
        ] {
            let path = "/api/admin/plans/starter/features/invoice_ocr";
            bench.server.put(path, &bench.admin, body).await.assert_field(pointer);
        }
    });
}

#[test]
fn use_beyond_a_soft_limit_is_one_invoice_at_the_end_of_its_period() {
    on_both(async |database: Database| {
        let soft = json!({ "limitType": "soft", "limitValue": 50, "overagePrice": 0.105 });
        let bench = Bench::new(&database, &[("risk_assessment", soft)]).await;
        bench.uses("risk_assessment", 49).await;
        bench.uses("risk_assessment", 10).await;
        bench.uses("risk_assessment", 4).await;
        bench.advance("02-09T23:00:00Z").await;
        assert_eq!(invoices(&bench.server, &bench.key, "acme").await.len(), 1, "its period runs");
        bench.advance("02-10T01:00:00Z").await;
        let asked = invoices(&bench.server, &bench.key, "acme").await;
        assert_eq!(asked.len(), 3, "the first period, the second, and what was beyond the limit: {asked:?}");
        let over: Vec<_> =
            asked.iter().filter(|row| row["slot"].as_str().is_some_and(|slot| slot.starts_with("overage:"))).collect();
        assert_eq!(over.len(), 1, "{asked:?}");
        // 13 × 0.105 = 1.365, rounded half up once.
        assert_eq!((&over[0]["amount"], &over[0]["state"]), (&json!(1.37), &json!("open")));
        let line = &over[0]["lines"][0];
        assert_eq!(
            (&line["kind"], &line["feature"], &line["units"]),
            (&json!("overage"), &json!("risk_assessment"), &json!(13))
        );
        assert!(line["from"].as_str().is_some_and(|from| from.starts_with(&format!("{}-01-10", bench.next))), "{line}");
        bench.advance("03-10T01:00:00Z").await;
        let later = invoices(&bench.server, &bench.key, "acme").await;
        assert_eq!(later.len(), 4, "nothing was used, and nothing is asked for twice: {later:?}");
        let id = over[0]["id"].as_str().expect("an id");
        let paid =
            bench.server.post(&format!("/api/admin/invoices/{id}"), &bench.admin, json!({ "state": "paid" })).await;
        assert_eq!(paid.body["state"], "paid");
    });
}
