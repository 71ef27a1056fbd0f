//! The real binary, started on a fresh database, and a client that speaks to it.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};

#[path = "document.rs"]
pub mod document;

/// The password of every demo user in tests.
pub const PASSWORD: &str = "demo-password-1";
/// Less than any deadline of the server for a connection that says nothing.
const IDLE: Duration = Duration::from_secs(2);

/// Where a test's data lives: every test body runs on both.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file in the server's data folder.
    Sqlite,
    /// A database of its own on the server that `TEST_POSTGRES_URL` names.
    Postgres(String),
}

/// Runs a test body on SQLite, and on PostgreSQL when `TEST_POSTGRES_URL` names a server. With `REQUIRE_POSTGRES=1` a
/// missing server fails the test instead of leaving half of it out.
pub fn on_both<F: Future<Output = ()>>(body: impl Fn(Database) -> F) {
    on_sqlite(|| body(Database::Sqlite));
    on_postgres(body);
}

/// Runs a test body once on SQLite.
pub fn on_sqlite<F: Future<Output = ()>>(body: impl FnOnce() -> F) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(body());
}

/// Runs a test body once on PostgreSQL, if there is one. Its database is dropped also when the body fails.
pub fn on_postgres<F: Future<Output = ()>>(body: impl FnOnce(Database) -> F) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(async {
        let Some(database) = fresh_postgres().await else { return };
        let ended = AssertUnwindSafe(body(database.clone())).catch_unwind().await;
        drop_postgres(&database).await;
        if let Err(failure) = ended {
            std::panic::resume_unwind(failure);
        }
    });
}

/// A variable of the environment; none when it is empty.
pub fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where PostgreSQL is")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A new database on the test server.
pub async fn fresh_postgres() -> Option<Database> {
    let Some(server) = variable("TEST_POSTGRES_URL") else {
        assert!(
            variable("REQUIRE_POSTGRES").is_none(),
            "REQUIRE_POSTGRES is set, but TEST_POSTGRES_URL names no server"
        );
        println!("the PostgreSQL half is left out: TEST_POSTGRES_URL names no server");
        return None;
    };
    let name = format!("tollgate_it_{}", uuid::Uuid::now_v7().simple());
    admin(&server, &format!("CREATE DATABASE {name}")).await;
    let mut url = reqwest::Url::parse(&server).expect("TEST_POSTGRES_URL is a URL");
    url.set_path(&name);
    Some(Database::Postgres(url.into()))
}

async fn drop_postgres(database: &Database) {
    let Database::Postgres(url) = database else { return };
    let url = reqwest::Url::parse(url).expect("it was made from one");
    let name = url.path().trim_start_matches('/');
    let server = variable("TEST_POSTGRES_URL").expect("it was there before");
    admin(&server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
}

/// Runs one statement on a PostgreSQL server.
pub async fn admin(url: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("PostgreSQL answers");
    let running = tokio::runtime::Handle::current().spawn(connection);
    client.batch_execute(statement).await.expect("the statement runs");
    drop(client);
    running.await.expect("the connection ends").expect("without an error");
}

/// A running server.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its data folder.
    pub data: PathBuf,
    /// What it said before it was ready.
    pub said: String,
    /// A client that keeps connections open.
    pub http: reqwest::Client,
    folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts the demo on a fresh folder.
    pub fn demo(database: &Database) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self::start(database, folder.path(), &["--demo"], &[]);
        server.folder = Some(folder);
        server
    }

    /// Starts the demo on a fresh folder with environment variables.
    pub fn demo_with(database: &Database, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self::start(database, folder.path(), &["--demo"], environment);
        server.folder = Some(folder);
        server
    }

    /// Starts a server on a folder that outlives it.
    pub fn start(database: &Database, data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::try_start(database, data, arguments, environment)
            .unwrap_or_else(|output| panic!("it did not start: {output}"))
    }

    /// Starts a server; its output when it ends before it is ready.
    pub fn try_start(
        database: &Database,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut command = tollgate(database, data, "serve");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).env("TOLLGATE_DEMO_PASSWORD", PASSWORD);
        command.envs(environment.iter().copied()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(data.join("stderr.log")).expect("a log file"));
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("ready ") {
                let url = url.to_owned();
                // What it says later must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                ring_provider();
                return Ok(Self { child, url, data: data.to_owned(), said, http: client(), folder: None });
            }
            said.push_str(&line);
            said.push('\n');
        }
        let _ended = child.wait();
        said.push_str(&std::fs::read_to_string(data.join("stderr.log")).unwrap_or_default());
        Err(said)
    }

    /// Signs a demo user in and answers the access token.
    pub async fn sign_in(&self, email: &str) -> String {
        let tenant = if email.contains("@studio.") {
            "studio"
        } else if email.contains("@tollgate.") {
            "platform"
        } else {
            "halisoft"
        };
        let body = json!({ "email": email, "password": PASSWORD });
        let answer =
            self.http.post(format!("{}/api/auth/login", self.url)).header("x-tenant", tenant).json(&body).send();
        let answer: Value = answer.await.expect("an answer").json().await.expect("JSON");
        answer["accessToken"].as_str().unwrap_or_else(|| panic!("{email} cannot sign in: {answer}")).to_owned()
    }

    /// Makes an API key of the halisoft tenant with some scopes.
    pub async fn key(&self, scopes: &[&str]) -> String {
        let token = self.sign_in("admin@halisoft.example").await;
        let made = self.post("/api/admin/keys", &token, json!({ "name": "test", "scopes": scopes })).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["key"].as_str().expect("a key").to_owned()
    }

    /// Makes a customer on a plan and answers its external id.
    pub async fn customer(&self, key: &str, external_id: &str, plan: &str) -> String {
        let made = self.post("/api/customers", key, json!({ "externalId": external_id, "plan": plan })).await;
        assert!(made.status == 201 || made.status == 200, "{made:?}");
        external_id.to_owned()
    }

    pub async fn get(&self, path: &str, credential: &str) -> Answer {
        self.send(self.request(reqwest::Method::GET, path, credential)).await
    }

    pub async fn post(&self, path: &str, credential: &str, body: Value) -> Answer {
        self.send(self.request(reqwest::Method::POST, path, credential).json(&body)).await
    }

    /// Uses a feature with an idempotency key.
    pub async fn consume(&self, credential: &str, body: &Value, key: &str) -> Answer {
        let request = self.request(reqwest::Method::POST, "/api/usage/consume", credential);
        self.send(request.header("idempotency-key", key).json(body)).await
    }

    pub fn request(&self, method: reqwest::Method, path: &str, credential: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if credential.is_empty() { request } else { request.bearer_auth(credential) }
    }

    /// Sends a request; its answer must be what the API's document says.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// Sends a request; if it is answered, then as the API's document says.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = Answer::of(client.execute(request).await?).await;
        document::check_answer(&method, &path, &answer);
        Ok(answer)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning, as a crash would, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(self) -> std::process::ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(asked.success());
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("stderr.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// A client that drops an idle connection before the server does, as every client should: a request sent on one that
/// the server is just closing has no answer.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().pool_idle_timeout(IDLE);
    client.build().expect("a client")
}

/// A command of the binary on a database.
pub fn tollgate(database: &Database, data: &Path, command: &str) -> Command {
    let mut tollgate = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    tollgate.args(command.split(' ')).arg("--data").arg(data).env_remove("TOLLGATE_DATABASE_URL");
    if let Database::Postgres(url) = database {
        tollgate.args(["--database-url", url]);
    }
    tollgate
}

/// Checks the books of a stopped server.
pub fn assert_books_are_right(database: &Database, data: &Path) {
    let checked = tollgate(database, data, "doctor").arg("--invariants").output().expect("doctor runs");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    /// Checks that this is a problem document of a code with a sentence that says what to do.
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        let media_type = self.headers.get("content-type").and_then(|value| value.to_str().ok());
        assert_eq!(media_type, Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert!(self.body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{self:?}");
        assert!(self.body["instance"].as_str().is_some_and(|id| id.starts_with("req_")), "{self:?}");
    }
}

/// The client needs the cryptography that the product uses, too.
fn ring_provider() {
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
}
