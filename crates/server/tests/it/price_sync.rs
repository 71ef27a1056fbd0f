//! A server dies at each step of bringing a new price to its provider, and the price has one plan there all the same.

use serde_json::{Value, json};

use super::import::import;
use super::sql::execute;
use super::support::{Answer, Database, Server, assert_books_are_right, on_both};

const ADMIN: &str = "admin@halisoft.example";
/// Where the provider's answer is never heard: before and after it did what it was asked.
const STEPS: [&str; 4] = ["create_plan:before", "create_plan:after", "deactivate_plan:before", "deactivate_plan:after"];

async fn set_price(server: &Server, admin: &str, amount: u32) -> Answer {
    let request = server.request(reqwest::Method::PATCH, "/api/admin/plans/starter", admin);
    server.send(request.json(&json!({ "basePrice": amount }))).await
}

/// The rows of a list.
pub async fn rows(server: &Server, admin: &str, path: &str) -> Vec<Value> {
    let answer = server.get(path, admin).await;
    answer.body["data"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone()
}

/// Waits until every price of Starter is at its provider, or ended there, and answers them.
pub async fn settled(server: &Server, admin: &str) -> Vec<Value> {
    loop {
        let prices = rows(server, admin, "/api/admin/plans/starter/sync").await;
        let moving = prices.iter().any(|row| row["state"] == "pending" || row["state"] == "retiring");
        if !prices.is_empty() && !moving {
            return prices;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until the server says that its provider hangs where it was told to.
async fn hangs(server: &Server) {
    while !server.log().contains("does not answer, as it was told") {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_price_has_one_plan_at_its_provider_wherever_the_server_dies() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        settled(&server, &admin).await;
        assert!(server.stop().success());
        for (step, amount) in STEPS.into_iter().zip(310_u32..) {
            let environment = [("TOLLGATE_SANDBOX_HANGS", step)];
            let server = Server::start(&database, folder.path(), &["--demo"], &environment);
            let admin = server.sign_in(ADMIN).await;
            assert_eq!(set_price(&server, &admin, amount).await.status, 200);
            hangs(&server).await;
            server.kill();
            // As if the time had passed for which the dead server was alone with its work.
            let over = "UPDATE provider_price SET leased_until = NULL; UPDATE job SET leased_until = NULL";
            execute(&database, folder.path(), over).await;
            let server = Server::start(&database, folder.path(), &["--demo"], &[]);
            let admin = server.sign_in(ADMIN).await;
            settled(&server, &admin).await;
            let plans = rows(&server, &admin, "/api/admin/sandbox/plans").await;
            let monthly: Vec<_> =
                plans.iter().filter(|row| row["name"] == "Starter" && row["interval"] == "month").collect();
            let mut prices: Vec<_> = monthly.iter().map(|row| row["price"].to_string()).collect();
            let all = prices.len();
            prices.sort();
            prices.dedup();
            assert_eq!(prices.len(), all, "{step}: a price has two plans: {monthly:?}");
            let active: Vec<_> = monthly.iter().filter(|row| row["active"] == true).collect();
            assert_eq!(active.len(), 1, "{step}: {monthly:?}");
            assert_eq!(active[0]["amount"].to_string(), format!("{amount}.0"), "{step}: {monthly:?}");
            assert!(server.stop().success());
        }
        assert_books_are_right(&database, folder.path());
    });
}

#[test]
fn a_provider_that_hangs_keeps_no_other_job_from_its_time() {
    on_both(async |database: Database| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&database, folder.path(), &["--demo"], &[]);
        let admin = server.sign_in(ADMIN).await;
        settled(&server, &admin).await;
        assert!(server.stop().success());
        let server = Server::start(&database, folder.path(), &["--demo"], &[("TOLLGATE_SANDBOX_HANGS", STEPS[0])]);
        let admin = server.sign_in(ADMIN).await;
        assert_eq!(set_price(&server, &admin, 310).await.status, 200);
        hangs(&server).await;
        let line = br#"{"externalId":"acme","usage":{"invoice_ocr":7},"subscription":{"plan":"starter"}}"#;
        let done = import(&server, &admin, "", line).await;
        assert_eq!(json!([done["customersCreated"], done["usage"]]), json!([1, 1]), "{done}");
        server.kill();
    });
}
