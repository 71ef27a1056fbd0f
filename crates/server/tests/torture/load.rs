//! Writers that use, hold, settle and release, and remember every key they sent and every answer they got.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::support::Server;

/// The features that the writers use.
pub(crate) const FEATURES: [&str; 2] = ["invoice_ocr", "risk_assessment"];
/// Writers at once.
const WRITERS: usize = 16;
/// Longer than any deadline of the server: a request that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a client that was told to come back waits; shorter than it was told.
const BACK_OFF: Duration = Duration::from_millis(20);
/// How often a patient client comes back before it is a fault.
const TRIES_MAX: usize = 3_000;

pub(crate) type Items = Vec<(&'static str, i64)>;

/// What a writer intends to do with one key.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) customer: Arc<str>,
    pub(crate) items: Items,
    /// What becomes of it, when it is a hold.
    pub(crate) end: End,
    /// How many send it at once.
    copies: usize,
}

#[derive(Debug)]
pub(crate) enum End {
    /// It is no hold.
    None,
    Settle(Items),
    Release,
    Leave,
}

/// What came back for one request.
#[derive(Debug)]
pub(crate) enum Reply {
    Accepted {
        body: Value,
        replayed: bool,
    },
    Refused,
    /// A deliberate 503, with its code.
    Away(String),
    /// No answer, or not all of it.
    Lost,
    /// An answer that must not be.
    Wrong(String),
}

/// An order with all answers, in the order in which they were sent for.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) order: Order,
    pub(crate) first: Vec<Reply>,
    pub(crate) end: Vec<Reply>,
}

/// Where to send to.
#[derive(Clone)]
pub(crate) struct Target {
    http: reqwest::Client,
    url: String,
    key: Arc<str>,
    /// Whether a 503 is asked again until there is an answer.
    patient: bool,
}

impl Target {
    pub(crate) fn of(server: &Server, key: &str, patient: bool) -> Self {
        Self { http: server.http.clone(), url: server.url.clone(), key: key.into(), patient }
    }

    async fn once(&self, path: &str, key: Option<&str>, body: &Value) -> Reply {
        let mut request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.key).timeout(PATIENCE);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let Ok(response) = request.json(body).send().await else { return Reply::Lost };
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (replayed, media_type) = (header("idempotency-replayed").is_some(), header("content-type"));
        let retry_after = header("retry-after").is_some();
        let Ok(text) = response.text().await else { return Reply::Lost };
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let problem = media_type.as_deref() == Some("application/problem+json");
        match (status, answer["code"].as_str()) {
            (200 | 201, _) => Reply::Accepted { body: answer, replayed },
            (429, Some("quota-exceeded")) if problem => Reply::Refused,
            (503, Some(code @ ("busy" | "unavailable" | "storage-full"))) if problem && retry_after => {
                Reply::Away(code.to_owned())
            }
            _ => Reply::Wrong(format!("{status} {text}")),
        }
    }

    /// Sends a request and, when patient, sends it again as long as it is told to come back.
    async fn send(&self, path: &str, key: Option<&str>, body: &Value, to: &mut Vec<Reply>) {
        for _ in 0..TRIES_MAX {
            let reply = self.once(path, key, body).await;
            let again = self.patient && matches!(reply, Reply::Away(_));
            to.push(reply);
            if !again {
                return;
            }
            tokio::time::sleep(BACK_OFF).await;
        }
        to.push(Reply::Wrong(format!("{path} was told to come back {TRIES_MAX} times")));
    }

    /// Sends what the order begins with, and then what it ends with, as often as it has copies.
    pub(crate) async fn perform(&self, record: &mut Record) {
        let Record { order, first, end } = record;
        let items = |items: &Items| -> Vec<_> {
            items.iter().map(|(feature, amount)| json!({ "feature": feature, "amount": amount })).collect()
        };
        let mut body = json!({ "customer": *order.customer, "items": items(&order.items) });
        let path = if matches!(order.end, End::None) {
            "/api/usage/consume"
        } else {
            body["ttlSeconds"] = json!(86_400);
            "/api/usage/reserve"
        };
        self.send_copies(path, Some(&order.key), &body, order.copies, first).await;
        let held = first.iter().find_map(|reply| {
            let Reply::Accepted { body, .. } = reply else { return None };
            Some(body["reservation"].clone())
        });
        let Some(reservation) = held else { return };
        match &order.end {
            End::None | End::Leave => {}
            End::Settle(used) => {
                let body = json!({ "reservation": reservation, "items": items(used) });
                self.send_copies("/api/usage/settle", None, &body, order.copies, end).await;
            }
            End::Release => {
                let body = json!({ "reservation": reservation });
                self.send_copies("/api/usage/release", None, &body, order.copies, end).await;
            }
        }
    }

    async fn send_copies(&self, path: &str, key: Option<&str>, body: &Value, copies: usize, to: &mut Vec<Reply>) {
        let sending = (0..copies).map(|_| async {
            let mut replies = Vec::new();
            self.send(path, key, body, &mut replies).await;
            replies
        });
        to.extend(futures_util::future::join_all(sending).await.into_iter().flatten());
    }
}

/// Draws orders: amounts from 1 to 5, one key of ten sent by several at once, holds among plain uses.
pub(crate) struct Orders {
    chance: Mutex<Chance>,
    /// Customers whose limits are soon reached.
    small: Vec<Arc<str>>,
    large: Vec<Arc<str>>,
}

impl Orders {
    pub(crate) fn new(seed: &mut Chance, small: &[Arc<str>], large: &[Arc<str>]) -> Self {
        let chance = Mutex::new(Chance::from_number(seed.next()));
        Self { chance, small: small.to_vec(), large: large.to_vec() }
    }

    pub(crate) fn next(&self) -> Order {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let customers = if chance.percent(40) { &self.small } else { &self.large };
        let customer = chance.pick(customers).clone();
        let mut items = vec![(FEATURES[0], i64::try_from(chance.between(1, 5)).expect("small"))];
        if chance.percent(15) {
            items.push((FEATURES[1], i64::try_from(chance.between(1, 5)).expect("small")));
        }
        let end = match chance.between(1, 10) {
            1..=7 => End::None,
            8 => End::Release,
            9 if chance.percent(50) => End::Leave,
            _ => {
                let used = |(feature, most): &(&'static str, i64), chance: &mut Chance| {
                    (
                        *feature,
                        i64::try_from(chance.between(1, u64::try_from(*most).expect("positive"))).expect("small"),
                    )
                };
                End::Settle(items.iter().map(|item| used(item, &mut chance)).collect())
            }
        };
        let copies = if chance.percent(10) { usize::try_from(chance.between(2, 4)).expect("small") } else { 1 };
        Order { key: uuid::Uuid::now_v7().to_string(), customer, items, end, copies }
    }
}

/// Writers at work.
pub(crate) struct Writers {
    running: JoinSet<Vec<Record>>,
    stop: Arc<AtomicBool>,
    answers: watch::Receiver<u64>,
}

impl Writers {
    /// Sets them to work; each stops when an answer does not come, or when told to.
    pub(crate) fn start(target: &Target, orders: &Arc<Orders>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (count, answers) = watch::channel(0);
        let count = Arc::new(count);
        let mut running = JoinSet::new();
        for _ in 0..WRITERS {
            let (target, orders, stop, count) = (target.clone(), orders.clone(), stop.clone(), count.clone());
            running.spawn(async move {
                let mut records = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let mut record = Record { order: orders.next(), first: Vec::new(), end: Vec::new() };
                    target.perform(&mut record).await;
                    let replies = || record.first.iter().chain(&record.end);
                    let accepted = replies().filter(|reply| matches!(reply, Reply::Accepted { .. })).count();
                    let lost = replies().any(|reply| matches!(reply, Reply::Lost));
                    records.push(record);
                    count.send_modify(|sum| *sum += u64::try_from(accepted).expect("small"));
                    if lost {
                        break;
                    }
                }
                records
            });
        }
        Self { running, stop, answers }
    }

    /// Waits until so many more writes have been acknowledged; false when the writers have stopped before.
    pub(crate) async fn acknowledged(&mut self, more: u64) -> bool {
        let until = *self.answers.borrow() + more;
        self.answers.wait_for(|count| *count >= until).await.is_ok()
    }

    /// Waits until they have stopped, and answers what they remember.
    pub(crate) async fn finish(self) -> Vec<Record> {
        let Self { mut running, stop, .. } = self;
        stop.store(true, Ordering::Relaxed);
        let mut records = Vec::new();
        while let Some(writer) = running.join_next().await {
            records.extend(writer.expect("a writer does not panic"));
        }
        records
    }
}

/// Sends every key again, and finishes what was begun.
pub(crate) async fn send_again(target: &Target, records: Vec<Record>) -> Vec<Record> {
    let again = |mut record: Record| async move {
        record.order.copies = 1;
        let accepted = record.first.iter().any(|reply| matches!(reply, Reply::Accepted { .. }));
        target.perform(&mut record).await;
        match record.first.last() {
            Some(Reply::Refused) if accepted => {
                record.first.push(Reply::Wrong("it was accepted before, and is refused now".to_owned()));
            }
            Some(Reply::Lost | Reply::Away(_)) => {
                record.first.push(Reply::Wrong("there is still no answer".to_owned()));
            }
            _ => {}
        }
        record
    };
    futures_util::stream::iter(records).map(again).buffer_unordered(WRITERS).collect().await
}

/// Makes customers of a plan with the names that follow a prefix.
pub(crate) async fn customers(server: &Server, key: &str, plan: &str, prefix: &str, count: usize) -> Vec<Arc<str>> {
    let make = |number: usize| async move { server.customer(key, &format!("{prefix}-{number}"), plan).await.into() };
    futures_util::stream::iter(0..count).map(make).buffer_unordered(8).collect().await
}

/// The scopes of the writers' key.
pub(crate) const SCOPES: [&str; 3] = ["usage:write", "usage:read", "customers:write"];

/// How many of the replies to all requests pass a test.
pub(crate) fn count(records: &[Record], test: impl Fn(&Reply) -> bool) -> u64 {
    let replies = records.iter().flat_map(|record| record.first.iter().chain(&record.end));
    u64::try_from(replies.filter(|reply| test(reply)).count()).expect("small")
}
