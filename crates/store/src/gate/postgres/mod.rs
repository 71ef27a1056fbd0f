//! The gate on PostgreSQL: one task with its own connection.
//!
//! Counters are locked in the same order on every node, and counters, events, keys and reservations are written in
//! one transaction: any number of nodes may share a database. A batch takes two trips to the server.

use std::sync::Arc;
use std::time::Duration;

use domain::id::{CustomerId, TenantId};
use domain::time::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::record::{Clock, Ids};
use super::{Answer, BATCH_OPERATIONS_MAX, Change, Committed, Operation, Waiting};
use crate::error::{Error, Result};
use crate::patience::{Patience, START_PATIENCE};
use batch::{Batch, Loaded};
use needs::Needs;
use rows::Place;
use session::{Failure, Outcome, Session};
use single::Single;
use tls::Link;

mod batch;
mod needs;
mod rows;
mod session;
mod single;
mod tls;

type AccountKey = (TenantId, CustomerId);

/// How long one try of a batch may take. Locks are given up before that by the server.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a batch is tried again that another node got in the way of.
const TRIES_MAX: u32 = 4;
/// How often one try may find that it has to lock more.
const ROUNDS_MAX: u32 = 4;
/// How often a node number is chosen anew that another process took first.
const NUMBERS_MAX: u32 = 32;
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

struct Worker {
    link: Link,
    node: i64,
    seq: i64,
    ids: Ids,
    feed: broadcast::Sender<Arc<Committed>>,
}

pub(super) async fn start(
    url: &str,
    waiting: mpsc::Receiver<Waiting>,
    feed: broadcast::Sender<Arc<Committed>>,
    finished: oneshot::Sender<()>,
    clock: Clock,
) -> Result<i64> {
    let link = link(url)?;
    let mut patience = Patience::new("the gate's connection to PostgreSQL".to_owned(), START_PATIENCE);
    let session = loop {
        match Session::open(&link).await {
            Ok(session) => break session,
            Err(failure) => patience.again(failure.into_error()).await?,
        }
    };
    let node = add_node(&session, clock()).await.map_err(Failure::into_error)?;
    let worker = Worker { link, node, seq: 0, ids: Ids::new(clock, None), feed };
    tokio::runtime::Handle::current().spawn(async move {
        worker.serve(waiting, session).await;
        let _nobody_waits = finished.send(());
    });
    Ok(node)
}

fn link(url: &str) -> Result<Link> {
    let mut link = Link::parse(url)?;
    link.config.application_name("tollgate gate").connect_timeout(BATCH_TIMEOUT).tcp_user_timeout(BATCH_TIMEOUT);
    Ok(link)
}

/// Takes the next free node number.
async fn add_node(session: &Session, now: i64) -> Outcome<i64> {
    let text = "INSERT INTO node (node, started_at, seen_at, low, followed_seq, followed_event) \
                SELECT COALESCE(MAX(node), 0) + 1, $1, $1, '', 0, '' FROM node RETURNING node";
    let mut tries = 0;
    loop {
        tries += 1;
        match session.client.query_one(text, &[&now]).await.map_err(Failure::from) {
            Ok(row) => return Ok(row.try_get(0)?),
            Err(Failure::Again(_)) if tries < NUMBERS_MAX => {}
            Err(failure) => return Err(failure),
        }
    }
}

impl Worker {
    async fn serve(mut self, mut waiting: mpsc::Receiver<Waiting>, session: Session) {
        let mut batch = Vec::with_capacity(BATCH_OPERATIONS_MAX);
        let mut link = Some(session);
        loop {
            let Some(mut session) = link.take() else {
                link = self.reconnect(&mut waiting).await;
                if link.is_none() {
                    return;
                }
                continue;
            };
            let received = tokio::select! {
                biased;
                () = session.ended() => None,
                count = waiting.recv_many(&mut batch, BATCH_OPERATIONS_MAX) => Some(count),
            };
            match received {
                Some(0) => return,
                Some(_) => link = self.run(session, std::mem::take(&mut batch)).await,
                None => tracing::warn!("the gate lost its connection and makes a new one"),
            }
        }
    }

    /// Makes a new connection, and refuses operations meanwhile. None when there is nobody left to serve.
    async fn reconnect(&mut self, waiting: &mut mpsc::Receiver<Waiting>) -> Option<Session> {
        let mut delay = Duration::ZERO;
        let mut refused = Vec::new();
        loop {
            let mut opening = Box::pin(open(&self.link, self.node, delay));
            let opened = loop {
                tokio::select! {
                    opened = &mut opening => break opened,
                    count = waiting.recv_many(&mut refused, BATCH_OPERATIONS_MAX) => {
                        if count == 0 {
                            return None;
                        }
                        for Waiting { reply, .. } in refused.drain(..) {
                            let _gone = reply.send(Err(Error::Away("the gate has no connection to the database".to_owned())));
                        }
                    }
                }
            };
            match opened {
                Ok((session, seq)) => {
                    self.seq = seq;
                    return Some(session);
                }
                Err(failure) => tracing::warn!(error = %failure.into_error(), "the gate could not connect"),
            }
            delay = delay.saturating_mul(2).clamp(RECONNECT_DELAY_MIN, RECONNECT_DELAY_MAX);
        }
    }

    /// Runs a batch and answers it. When it fails as a whole its halves are tried, so that one bad operation cannot fail
    /// the rest. None when the connection is no longer good.
    async fn run(&mut self, session: Session, waiting: Vec<Waiting>) -> Option<Session> {
        let operations: Vec<_> = waiting.iter().map(|waiting| &waiting.operation).collect();
        let mut answers: Vec<Result<Answer>> = Vec::with_capacity(operations.len());
        let mut parts = vec![operations.as_slice()];
        let mut lost = None;
        while let Some(part) = parts.pop() {
            if let Some(why) = &lost {
                answers.extend(part.iter().map(|_| Err(Error::Away(String::clone(why)))));
                continue;
            }
            match self.persist(&session, part).await {
                Ok(done) => answers.extend(done),
                Err(Failure::Again(_) | Failure::Poison(_)) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right, left]);
                }
                Err(failure) => {
                    let gone = matches!(failure, Failure::Lost(_));
                    let error = failure.into_error();
                    tracing::warn!(%error, operations = part.len(), "the gate could not commit");
                    answers.extend(part.iter().map(|_| Err(error.repeated())));
                    lost = gone.then(|| error.to_string());
                }
            }
        }
        for (Waiting { reply, .. }, answer) in waiting.into_iter().zip(answers) {
            let _gone = reply.send(answer);
        }
        lost.is_none().then_some(session)
    }

    /// Tries a batch until no other node gets in its way.
    async fn persist(&mut self, session: &Session, operations: &[&Operation]) -> Outcome<Vec<Result<Answer>>> {
        let mut tries = 0;
        loop {
            tries += 1;
            // Only the first try is worth a short cut.
            let single = Single::of(operations).filter(|_| tries == 1);
            let running = async {
                match single {
                    Some(single) => self.shortcut(session, single, operations).await,
                    None => self.transact(session, operations).await,
                }
            };
            let failure = match tokio::time::timeout(BATCH_TIMEOUT, running).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Lost("the database did not answer in time".to_owned()),
            };
            if matches!(failure, Failure::Lost(_)) {
                return Err(failure);
            }
            session.roll_back().await?;
            let Failure::Again(why) = &failure else { return Err(failure) };
            if tries == TRIES_MAX {
                return Err(failure);
            }
            tracing::debug!(why, "the gate tries a batch again");
            self.seq = last_seq(session, self.node).await?;
        }
    }

    /// Tries the one statement for a lone use, and else the whole way.
    async fn shortcut(
        &mut self,
        session: &Session,
        single: Single<'_>,
        operations: &[&Operation],
    ) -> Outcome<Vec<Result<Answer>>> {
        let at = operations.iter().map(|operation| operation.now).max().unwrap_or_default();
        let place = Place { node: self.node, seq: self.seq + 1, at };
        match single.run(session, self.ids.next(), &place).await {
            Ok(Some((answer, change))) => {
                self.tell(&place, (vec![change], false));
                Ok(vec![Ok(answer)])
            }
            // The one statement has undone itself, and the whole way tells what is wrong.
            Ok(None) | Err(Failure::Again(_) | Failure::Poison(_)) => self.transact(session, operations).await,
            Err(failure) => Err(failure),
        }
    }

    /// Says that a batch is committed.
    fn tell(&mut self, place: &Place, (changes, crossed): (Vec<Change>, bool)) {
        self.seq = place.seq;
        let committed = Committed { node: place.node, seq: place.seq, changes, crossed };
        let _nobody_listens = self.feed.send(Arc::new(committed));
    }

    async fn transact(&mut self, session: &Session, operations: &[&Operation]) -> Outcome<Vec<Result<Answer>>> {
        let mut needs = Needs::of(operations);
        for _ in 0..ROUNDS_MAX {
            let Some(loaded) = gather(session, &mut needs).await? else { continue };
            let mut batch = Batch::new(loaded, &mut self.ids);
            let answers = operations.iter().map(|operation| batch.one(operation)).collect();
            let writes = batch.finish();
            if writes.changed.is_empty() {
                if !needs.reads_only {
                    session.roll_back().await?;
                }
                return Ok(answers);
            }
            let at = operations.iter().map(|operation| operation.now).max().unwrap_or_default();
            let place = Place { node: self.node, seq: self.seq + 1, at };
            session.store(&writes, &place).await?;
            if !writes.events.is_empty() {
                self.tell(&place, (writes.changes, !writes.crossings.is_empty()));
            }
            return Ok(answers);
        }
        Err(Failure::Again("reservations kept coming due on counters that were not locked".to_owned()))
    }
}

/// Reads what a batch needs, its counters locked. None, with nothing locked, when it needs more than was known.
async fn gather(session: &Session, needs: &mut Needs<'_>) -> Outcome<Option<Loaded>> {
    let (mut loaded, missing) = session.load(needs).await?;
    if !missing.is_empty() {
        session.roll_back().await?;
        session.create(&missing).await?;
        return Ok(None);
    }
    let due: Vec<_> = needs.accounts.iter().filter(|(account, at)| is_due(&loaded, needs, account, **at)).collect();
    if due.is_empty() {
        return Ok(Some(loaded));
    }
    if needs.reads_only {
        // Giving units back writes.
        needs.reads_only = false;
        return Ok(None);
    }
    let due: Vec<_> = due.into_iter().map(|(account, at)| (account.clone(), *at)).collect();
    let counters = session.load_due(&mut loaded, &due).await?;
    if needs.widen(counters) {
        session.roll_back().await?;
        return Ok(None);
    }
    Ok(Some(loaded))
}

/// Whether a reservation of the customer may be over by the time that an operation looks.
fn is_due(loaded: &Loaded, needs: &Needs<'_>, account: &AccountKey, at: Timestamp) -> bool {
    let over = |expiry: &Timestamp| *expiry <= at;
    let held = loaded
        .accounts
        .get(account)
        .is_some_and(|found| found.book.iter().any(|(_, counter)| counter.next_expiry.as_ref().is_some_and(over)));
    held || needs.hasty.get(account).is_some_and(over)
}

/// Makes a connection, after a while; answers with it where the node's batches stand.
async fn open(link: &Link, node: i64, delay: Duration) -> Outcome<(Session, i64)> {
    tokio::time::sleep(delay).await;
    let session = Session::open(link).await?;
    let seq = last_seq(&session, node).await?;
    Ok((session, seq))
}

async fn last_seq(session: &Session, node: i64) -> Outcome<i64> {
    let text = "SELECT COALESCE(MAX(seq), 0) FROM gate_batch WHERE node = $1";
    Ok(session.client.query_one(text, &[&node]).await?.try_get(0)?)
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Again(why) => Error::Away(format!("other nodes were in the way: {why}")),
            Self::Poison(why) => Error::Away(format!("the gate could not record this: {why}")),
            Self::Lost(why) => Error::Away(format!("{why}; the outcome is unknown, retry with the same key")),
        }
    }
}
