//! The server dies in the middle of AI calls: their holds stay, and time gives them back.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::fake::{Do, Fake};
use crate::support::{Answer, Database, Server, admin, assert_books_are_right, on_both};

/// Calls that are running when the server dies.
const CALLS: usize = 16;
/// Moves the past closer: the holds of these calls are over.
const OVER: &str = "UPDATE reservation SET expires_at = 1 WHERE state = 'open'; \
    UPDATE counter SET next_expiry = 1 WHERE held > 0;";
/// Everything that the test waits for happens long before.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs statements on the database of a server that is stopped.
pub(crate) async fn execute(database: &Database, data: &Path, statements: &str) {
    match database {
        Database::Sqlite => {
            let connection = rusqlite::Connection::open(data.join("tollgate.db")).expect("the file opens");
            connection.execute_batch(statements).expect("the statements run");
        }
        Database::Postgres(url) => admin(url, statements).await,
    }
}

async fn level(server: &Server, key: &str) -> (Option<i64>, Option<i64>) {
    let answer = server.get("/api/usage?customer=caller", key).await;
    let quota = &answer.body["invoice_ocr"];
    (quota["used"].as_i64(), quota["reserved"].as_i64())
}

/// Asks until nothing is reserved: nobody uses the feature, so only the job can give it back.
async fn until_given_back(server: &Server, key: &str) {
    let asking = async { while level(server, key).await.1 != Some(0) {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("the holds expire by themselves");
}

async fn call(server: &Server, key: &str, number: usize) -> Option<Answer> {
    let path = "/api/ai/invoice-ocr/analyze?customer=caller";
    let body = json!({ "invoiceData": format!("Invoice {number}, total 10.00 EUR") });
    let request = server.request(reqwest::Method::POST, path, key).header("idempotency-key", format!("call-{number}"));
    let response = request.json(&body).send().await.ok()?;
    Some(Answer::of(response).await)
}

async fn leak_holds(database: Database) {
    let fake = Fake::start(vec![vec![Do::WaitUntilGone]; CALLS]).await;
    let environment = [("TOLLGATE_ANTHROPIC_API_KEY", "sk-ant-test"), ("TOLLGATE_ANTHROPIC_BASE_URL", &*fake.url)];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || Server::start(&database, folder.path(), &["--demo"], &environment);
    let server = start();
    let key = server.key(&["usage:write", "usage:read", "customers:write", "ai:run"]).await;
    server.customer(&key, "caller", "starter").await;
    let calls = futures_util::future::join_all((0..CALLS).map(|number| call(&server, &key, number)));
    let asked = async {
        while fake.seen().len() < CALLS {
            tokio::task::yield_now().await;
        }
        assert_eq!(level(&server, &key).await, (Some(0), Some(i64::try_from(CALLS).expect("small"))));
        let killed = std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    };
    let (answers, asked) = tokio::join!(calls, tokio::time::timeout(PATIENCE, asked));
    asked.expect("all calls reach the upstream");
    assert!(answers.iter().all(Option::is_none), "no call was answered: {answers:?}");
    drop(server);

    let server = start();
    assert_eq!(level(&server, &key).await, (Some(0), Some(i64::try_from(CALLS).expect("small"))), "the holds are open");
    let again = call(&server, &key, 0).await.expect("an answer");
    again.assert_problem(409, "idempotency-in-flight");
    assert!(server.stop().success());
    execute(&database, folder.path(), OVER).await;

    let server = start();
    until_given_back(&server, &key).await;
    assert_eq!(level(&server, &key).await, (Some(0), Some(0)), "nothing was charged");
    let again = call(&server, &key, 0).await.expect("an answer");
    assert!(again.status == 502 || again.status == 503, "the key is free, and the call runs anew: {again:?}");
    assert_eq!(fake.seen().len(), CALLS + 1);
    assert!(server.stop().success());
    assert_books_are_right(&database, folder.path());
}

#[test]
fn holds_of_ai_calls_that_a_crash_cut_expire_by_themselves() {
    on_both(leak_holds);
}
