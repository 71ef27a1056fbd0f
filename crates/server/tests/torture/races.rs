//! Many requests for few units, through several processes at once.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::chance::{Chance, rounds};
use crate::load::SCOPES;
use crate::support::{Answer, Database, Server, assert_books_are_right, on_postgres, on_sqlite};

/// Distinct requests of a race, each sent twice.
const REQUESTS: usize = 600;
/// Units that they race for.
const UNITS: i64 = 100;
/// Pairs of requests that are open together: three hundred connections. A machine that is busy with other tests as well
/// could not write on more of them within the time that the server gives a connection to say its first word.
const OPEN_PAIRS: usize = 150;
/// How often a request is sent again that was told to come back or got no answer.
const TRIES_MAX: usize = 20;

/// One or two servers on the same data.
struct Nodes {
    database: Database,
    folders: Vec<tempfile::TempDir>,
    servers: Vec<Server>,
    key: String,
}

impl Nodes {
    async fn start(database: Database, count: usize) -> Self {
        let folders: Vec<_> = (0..count).map(|_| tempfile::tempdir().expect("a temporary folder")).collect();
        // The first makes the demo, which the second finds.
        let start = |folder: &tempfile::TempDir| Server::start(&database, folder.path(), &["--demo"], &[]);
        let servers: Vec<_> = folders.iter().map(start).collect();
        let key = servers.first().expect("one").key(&SCOPES).await;
        Self { database, folders, servers, key }
    }

    fn node(&self, number: usize) -> &Server {
        self.servers.get(number % self.servers.len()).expect("one")
    }

    async fn quota(&self, customer: &str, feature: &str) -> Vec<Value> {
        let mut quotas = Vec::new();
        for server in &self.servers {
            let answer = server.get(&format!("/api/usage?customer={customer}"), &self.key).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            quotas.push(answer.body[feature].clone());
        }
        quotas
    }

    fn stop(self) {
        for server in self.servers {
            assert!(server.stop().success());
        }
        let folder = self.folders.first().expect("one");
        assert_books_are_right(&self.database, folder.path());
    }
}

/// Sends each of the requests twice at once, to different nodes where there are two; answers both answers of each.
async fn six_hundred_for_a_hundred(nodes: &Nodes, customer: &str, chance: &mut Chance) -> Vec<(Answer, Answer)> {
    let body = json!({ "customer": customer, "items": [{ "feature": "invoice_ocr", "amount": 1 }] });
    let keys: Vec<_> = (0..REQUESTS).map(|_| (uuid::Uuid::now_v7().to_string(), chance.percent(50))).collect();
    let twice = |(key, turned): (String, bool)| {
        let body = &body;
        async move {
            let (one, other) = (nodes.node(usize::from(turned)), nodes.node(usize::from(!turned)));
            tokio::join!(until_told(one, &nodes.key, body, &key), until_told(other, &nodes.key, body, &key))
        }
    };
    futures_util::stream::iter(keys).map(twice).buffer_unordered(OPEN_PAIRS).collect().await
}

/// Sends a use, and again with its key as long as a server with too much to do says to come back, or when the connection
/// ends without an answer: on a busy machine this client may have waited for the processor until the server closed a
/// connection on which it had said nothing.
async fn until_told(server: &Server, credential: &str, body: &Value, key: &str) -> Answer {
    let mut ended = None;
    for _ in 0..TRIES_MAX {
        let request = server.request(reqwest::Method::POST, "/api/usage/consume", credential);
        let answer = match server.try_send(request.header("idempotency-key", key).json(body)).await {
            Ok(answer) if answer.status != 503 => return answer,
            Ok(answer) => answer,
            Err(error) => {
                ended = Some(error);
                continue;
            }
        };
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        assert!(["busy", "unavailable"].contains(&code.as_str()), "{answer:?}");
        answer.assert_problem(503, &code);
    }
    panic!("it was told to come back or got no answer {TRIES_MAX} times: {ended:?}");
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotency-replayed")
}

/// Checks that exactly the units were given out, each once, and answers how many events that were.
fn assert_exact(pairs: &[(Answer, Answer)]) -> usize {
    let mut events = BTreeMap::new();
    for (one, other) in pairs {
        if one.status == 429 {
            one.assert_problem(429, "quota-exceeded");
            other.assert_problem(429, "quota-exceeded");
            continue;
        }
        assert_eq!((one.status, other.status), (200, 200), "{one:?} {other:?}");
        assert_eq!(one.body, other.body, "a replay is equal");
        assert!(is_replay(one) || is_replay(other), "one of two was first: {one:?} {other:?}");
        let used = one.body["quotas"]["invoice_ocr"]["used"].as_i64().expect("a level");
        let id = one.body["id"].as_str().expect("an id").to_owned();
        assert_eq!(events.insert(used, id), None, "two events led to the level {used}");
    }
    let levels: Vec<_> = events.keys().copied().collect();
    assert_eq!(levels, (1..=UNITS).collect::<Vec<_>>(), "each unit is given out once");
    events.len()
}

async fn race(name: &str, database: Database, nodes: usize) {
    let mut chance = Chance::of(name);
    let nodes = Nodes::start(database, nodes).await;
    let rounds = rounds(2);
    let mut allowed = 0;
    for round in 0..rounds {
        let customer = nodes.node(0).customer(&nodes.key, &format!("race-{round}"), "starter").await;
        allowed += assert_exact(&six_hundred_for_a_hundred(&nodes, &customer, &mut chance).await);
        for quota in nodes.quota(&customer, "invoice_ocr").await {
            assert_eq!((quota["used"].as_i64(), quota["remaining"].as_i64()), (Some(UNITS), Some(0)), "{quota}");
        }
    }
    nodes.stop();
    println!("{name}: {rounds} rounds, {} requests, {allowed} allowed", rounds * 1_200);
}

#[test]
fn six_hundred_for_a_hundred_units_sent_twice_admit_a_hundred_on_one_sqlite_node() {
    on_sqlite(|| race("limit race, SQLite", Database::Sqlite, 1));
}

#[test]
fn six_hundred_for_a_hundred_units_sent_twice_admit_a_hundred_over_two_postgres_nodes() {
    on_postgres(|database| race("limit race, PostgreSQL", database, 2));
}

/// Several at once create the same customer, and 200 at once use a feature that it never used; its limit is 50.
async fn first_use(database: Database, nodes: usize) {
    let nodes = Nodes::start(database, nodes).await;
    for round in 0..rounds(2) {
        let name = format!("first-{round}");
        let new = json!({ "externalId": name, "plan": "starter" });
        let create = |number| nodes.node(number).post("/api/customers", &nodes.key, new.clone());
        let made: Vec<_> = futures_util::stream::iter(0..16).map(create).buffer_unordered(16).collect().await;
        assert!(made.iter().all(|answer| [200, 201].contains(&answer.status)), "{made:?}");
        assert_eq!(made.iter().filter(|answer| answer.status == 201).count(), 1, "one request made the customer");
        assert!(made.windows(2).all(|pair| pair[0].body["id"] == pair[1].body["id"]), "all name the same customer");
        let body = json!({ "customer": name, "items": [{ "feature": "risk_assessment", "amount": 1 }] });
        let using = |number| {
            let (key, body, nodes) = (uuid::Uuid::now_v7().to_string(), &body, &nodes);
            async move { until_told(nodes.node(number), &nodes.key, body, &key).await }
        };
        let used: Vec<_> = futures_util::stream::iter(0..200).map(using).buffer_unordered(200).collect().await;
        let (allowed, refused): (Vec<_>, Vec<_>) = used.iter().partition(|answer| answer.status == 200);
        for answer in refused {
            answer.assert_problem(429, "quota-exceeded");
        }
        assert_eq!(allowed.len(), 50, "the limit counts from the first request on");
        for quota in nodes.quota(&name, "risk_assessment").await {
            assert_eq!(quota["used"], 50, "{quota}");
        }
    }
    nodes.stop();
}

#[test]
fn two_hundred_first_uses_at_once_keep_the_limit_on_one_sqlite_node() {
    on_sqlite(|| first_use(Database::Sqlite, 1));
}

#[test]
fn two_hundred_first_uses_at_once_keep_the_limit_over_two_postgres_nodes() {
    on_postgres(|database| first_use(database, 2));
}
