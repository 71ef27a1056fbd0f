//! The gate: decides and durably records every use of a feature, in batches, before it is answered.
//!
//! One task takes all operations that wait, decides them in order with [`domain::usage`], writes them in one
//! transaction, commits it durably and then answers all; while one batch commits the next gathers. It owns the rows of
//! `counter`, `reservation`, `usage_event`, `usage_metadata`, `idempotency` and `gate_batch`: nothing else writes them.
//! Those of `crossing` it only adds.
//!
//! - `decide.rs`: what one operation does to the counters; the same on both databases.
//! - `crossing.rs`: what of that passed a threshold.
//! - `sqlite.rs`: counters are kept in memory, events are the journal, counter rows are written behind.
//! - `postgres.rs`: counters are locked in key order, everything is written in the same transaction.

mod crossing;
mod decide;
mod postgres;
mod record;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use domain::entitlement::Entitlement;
use domain::gauge::Recorded;
use domain::id::{CustomerId, EventId, FeatureKey, ReservationId, TenantId};
use domain::quota::Quota;
use domain::reservation::{Hold, State};
use domain::time::Timestamp;
use domain::usage::Refusal;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::db::{Db, Kind};
use crate::error::{Error, Result};
pub use record::Clock;
pub(crate) use record::holds_from_json;
pub(crate) use sqlite::SyncLog;

/// Operations that may wait; more are refused at once, so that the queue never grows without bound.
pub const QUEUE_OPERATIONS_MAX: usize = 4_096;
/// Operations of one transaction.
pub const BATCH_OPERATIONS_MAX: usize = 1_024;
/// How long a caller waits for its answer. After that the outcome is unknown and a retry by key resolves it.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Batches that a slow listener may lag behind before it has to take a fresh look.
const FEED_BATCHES_MAX: usize = 1_024;

/// One thing to decide and record.
#[derive(Debug)]
pub struct Operation {
    /// Whose rows.
    pub tenant: TenantId,
    /// Whose counters.
    pub customer: CustomerId,
    /// The catalog's epoch and the customer's version that the entitlements were resolved from. When either has moved
    /// meanwhile, the answer is [`Answer::Stale`] and nothing happened.
    pub seen: Seen,
    /// The tenant's time.
    pub now: Timestamp,
    /// What to do.
    pub command: Command,
    /// What makes a retry return the first answer.
    pub idempotency: Option<Idempotency>,
    /// Free text of the caller, kept beside the event.
    pub metadata: Option<String>,
    /// Facts about the use that are not personal (model, tokens, cost), as JSON.
    pub detail: Option<String>,
    /// Whether thresholds that it passes are noted and nobody is told: it brings in what was used elsewhere.
    pub quiet: bool,
}

/// The versions that an operation was prepared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// `tenant.epoch`.
    pub epoch: i64,
    /// `customer.entitlement_version`.
    pub customer: i64,
}

/// The identity of a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// 26 characters that stand for scope and key; in time order when the key is a `UUIDv7`.
    pub key: String,
    /// A hash of the parsed body.
    pub request_hash: i64,
}

/// An amount of something that the customer may use.
pub type Item = (Arc<Entitlement>, i64);

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Answer the quotas.
    Read(Vec<Arc<Entitlement>>),
    /// Decide, and record nothing.
    Check(Vec<Item>),
    /// Use.
    Consume(Vec<Item>),
    /// Record a use that was allowed while nothing could be decided, in full.
    Record(Vec<Item>),
    /// Hold.
    Reserve {
        /// What.
        items: Vec<Item>,
        /// The reservation's id, made by the caller.
        id: ReservationId,
        /// Until when.
        expires_at: Timestamp,
        /// Who may settle or release it.
        principal: String,
        /// Whether a release or an expiry frees the idempotency key as well, so that a retry runs anew.
        retryable: bool,
    },
    /// Record what was really used of a reservation.
    Settle {
        /// The reservation.
        reservation: Held,
        /// What was used.
        items: Vec<Item>,
    },
    /// Give a reservation back.
    Release {
        /// The reservation.
        reservation: Held,
        /// The features that it held, for the answer's quotas.
        items: Vec<Item>,
    },
    /// Give a reservation back because its time is over.
    Expire(Held),
    /// Set a gauge to its counted level.
    SetGauge(Item),
    /// Move a gauge.
    AdjustGauge(Item),
    /// Take an earlier event back.
    Reverse {
        /// What it recorded.
        recorded: Vec<Recorded>,
        /// The features that it touched, for the answer's quotas.
        items: Vec<Item>,
    },
}

/// A reservation as its row says; the holds never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: ReservationId,
    /// What it holds.
    pub holds: Vec<Hold>,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It happened, and is durable.
    Done(Done),
    /// It may not happen; nothing was recorded.
    Refused(Refusal),
    /// The limits moved since it was prepared: prepare it again.
    Stale,
    /// The key was used before, with another body.
    KeyReused,
    /// The reservation had already ended so.
    Ended(State),
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The event, which a retry answers again; none when nothing is recorded.
    pub event: Option<EventId>,
    /// The quotas of every feature touched, as decided.
    pub quotas: Vec<Quota>,
    /// Units beyond a hard limit or a hold.
    pub overrun: i64,
    /// Whether this is the answer to an earlier request.
    pub replayed: bool,
    /// The reservation behind the event, if any.
    pub reservation: Option<ReservationId>,
    /// What a new reservation holds; nothing for anything else, a replay included.
    pub holds: Vec<Hold>,
}

/// Counters that a committed batch moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub tenant: TenantId,
    /// Whose.
    pub customer: CustomerId,
    /// Which features.
    pub features: Vec<FeatureKey>,
}

/// A committed batch, as listeners hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The node that committed it.
    pub node: i64,
    /// Its place in that node's order.
    pub seq: i64,
    /// What it moved.
    pub changes: Vec<Change>,
    /// Whether something passed a threshold.
    pub crossed: bool,
}

/// The handle on the gate. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate {
    queue: mpsc::Sender<Waiting>,
    feed: broadcast::Sender<Arc<Committed>>,
    node: i64,
}

/// An operation and who waits for its answer.
#[derive(Debug)]
struct Waiting {
    operation: Operation,
    reply: oneshot::Sender<Result<Answer>>,
}

/// The end of a gate: dropping the last handle lets it finish, and this waits until all is written.
#[derive(Debug)]
pub struct Finish(oneshot::Receiver<()>);

impl Finish {
    /// Waits until the gate has written everything and stopped.
    pub async fn wait(self) {
        let _stopped = self.0.await;
    }
}

impl Gate {
    /// Starts the gate of a database.
    pub async fn start(db: &Db, clock: Clock) -> Result<(Self, Finish)> {
        Self::start_with(db, clock, None).await
    }

    /// The same, with another way to sync SQLite's log.
    pub(crate) async fn start_with(db: &Db, clock: Clock, log: Option<SyncLog>) -> Result<(Self, Finish)> {
        let (queue, waiting) = mpsc::channel(QUEUE_OPERATIONS_MAX);
        let (feed, _) = broadcast::channel(FEED_BATCHES_MAX);
        let (finished, finish) = oneshot::channel();
        let node = match &db.kind {
            Kind::Sqlite(sqlite) => sqlite::start(sqlite, waiting, (feed.clone(), finished), clock, log)?,
            Kind::Postgres { url, .. } => postgres::start(url, waiting, feed.clone(), finished, clock).await?,
        };
        Ok((Self { queue, feed, node }, Finish(finish)))
    }

    /// The number of this node among those that share the database.
    pub fn node(&self) -> i64 {
        self.node
    }

    /// Hears of every batch that this node commits.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.feed.subscribe()
    }

    /// Hands an operation to the gate and waits for its answer, which is durable when it comes.
    pub async fn run(&self, operation: Operation) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Waiting { operation, reply }).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Busy("the gate's queue is full"),
            TrySendError::Closed(_) => Error::Away("the gate has stopped".to_owned()),
        })?;
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Away("the gate stopped before it answered".to_owned())),
            Err(_) => Err(Error::Away("the gate did not answer in time".to_owned())),
        }
    }
}
