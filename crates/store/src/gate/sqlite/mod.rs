//! The gate on SQLite: its own thread and its own connection.
//!
//! Counters of the customers in use are kept in memory. Each event carries its counter's state afterwards, so the
//! events are the journal: counter rows are written behind in key order, and `node.low` names the last event that
//! all of them hold. At start the events after it are read again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::entitlement::CounterKey;
use domain::id::{CustomerId, EventId, TenantId};
use domain::reservation::State;
use domain::usage::Counter;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};

use super::crossing;
use super::decide::{self, ReservationChange};
use super::record::{self, Clock, Ids};
use super::{
    Answer, BATCH_OPERATIONS_MAX, Change, Command, Committed, Done, Held, Idempotency, Operation, Seen, Waiting,
};
use crate::db::SqliteDb;
use crate::error::{Error, Result};
use hot::Hot;
use ledger::{Ledger, WRITE_BEHIND};
pub(crate) use sync::SyncLog;
use sync::{News, Outbound};

mod hot;
mod ledger;
mod replay;
mod rows;
mod sync;

/// The one node of a SQLite file.
pub(crate) const NODE: i64 = 1;
/// Counter rows written in one slice, so that a slice stays below some milliseconds.
const SLICE_ROWS_MAX: usize = 400;

type AccountKey = (TenantId, CustomerId);

struct Worker<'c> {
    connection: &'c Connection,
    hot: Hot<'c>,
    turn: Arc<Mutex<()>>,
    ids: Ids,
    ledger: Ledger,
    /// Epochs of tenants, with the generation in which each was read.
    epochs: HashMap<TenantId, (i64, i64)>,
    generation: i64,
    seq: i64,
    /// What the open transaction recorded.
    changes: Vec<Change>,
    crossed: bool,
    first_event: Option<EventId>,
}

/// Starts the gate. `log` syncs the database's log, if not as the file system does.
pub(super) fn start(
    db: &Arc<SqliteDb>,
    waiting: mpsc::Receiver<Waiting>,
    (feed, finished): (broadcast::Sender<Arc<Committed>>, oneshot::Sender<()>),
    clock: Clock,
    log: Option<SyncLog>,
) -> Result<i64> {
    let mut connection = rows::open(&db.path)?;
    let (low, seq) = replay::catch_up(&mut connection, clock())?;
    let log = log.map_or_else(|| sync::log_of(&db.path), Ok)?;
    let outbound = Outbound::start(log, feed)?;
    let ids = Ids::new(clock, low.as_deref());
    let (database, runtime) = (db.clone(), Handle::current());
    std::thread::Builder::new()
        .name("gate".to_owned())
        .spawn(move || {
            match Worker::new(&connection, database.turn.clone(), ids, seq) {
                Ok(worker) => worker.serve(waiting, &outbound, &runtime),
                Err(error) => tracing::error!(%error, "the gate could not prepare its statements"),
            }
            outbound.finish();
            drop(database);
            let _nobody_waits = finished.send(());
        })
        .map_err(|e| Error::Setup(format!("cannot start the gate's thread: {e}")))?;
    Ok(NODE)
}

/// What came of a batch.
struct Outcome {
    answers: Vec<Result<Answer>>,
    committed: Vec<Committed>,
}

impl<'c> Worker<'c> {
    fn new(connection: &'c Connection, turn: Arc<Mutex<()>>, ids: Ids, seq: i64) -> Result<Self> {
        Ok(Self {
            connection,
            hot: Hot::prepare(connection)?,
            turn,
            ids,
            ledger: Ledger::default(),
            epochs: HashMap::new(),
            generation: 0,
            seq,
            changes: Vec::new(),
            crossed: false,
            first_event: None,
        })
    }

    fn serve(mut self, mut waiting: mpsc::Receiver<Waiting>, outbound: &Outbound, runtime: &Handle) {
        let mut batch = Vec::with_capacity(BATCH_OPERATIONS_MAX);
        loop {
            let received = if self.ledger.is_settled() {
                Some(waiting.blocking_recv_many(&mut batch, BATCH_OPERATIONS_MAX))
            } else {
                let next = waiting.recv_many(&mut batch, BATCH_OPERATIONS_MAX);
                runtime.block_on(async { tokio::time::timeout(WRITE_BEHIND, next).await.ok() })
            };
            match received {
                Some(0) => break,
                Some(_) => {
                    let news = self.run(std::mem::take(&mut batch));
                    outbound.send(news, waiting.is_empty());
                }
                None => self.write_behind(),
            }
        }
        while !self.ledger.is_settled() {
            let before = self.ledger.behind();
            self.write_behind();
            if self.ledger.behind() == before {
                tracing::error!("counters could not be written at the end; the next start reads them from the events");
                break;
            }
        }
    }

    /// Runs a batch; when it fails as a whole, its halves are tried, so that one bad operation cannot fail the rest.
    fn run(&mut self, batch: Vec<Waiting>) -> News {
        let turn = self.turn.clone();
        let turn = turn.blocking_lock();
        let operations: Vec<_> = batch.iter().map(|waiting| &waiting.operation).collect();
        let mut outcome = Outcome { answers: Vec::with_capacity(operations.len()), committed: Vec::with_capacity(1) };
        self.bisect(&operations, &mut outcome);
        drop(turn);
        let replies = batch.into_iter().map(|waiting| waiting.reply).zip(outcome.answers).collect();
        News { replies, committed: outcome.committed }
    }

    fn bisect(&mut self, operations: &[&Operation], outcome: &mut Outcome) {
        match self.transact(operations) {
            Ok((done, committed)) => {
                outcome.answers.extend(done.into_iter().map(Ok));
                outcome.committed.extend(committed);
            }
            Err(error) => {
                self.take_back();
                let whole = matches!(error, Error::Full | Error::Away(_));
                if operations.len() == 1 || whole {
                    tracing::warn!(%error, operations = operations.len(), "the gate could not commit");
                    for operation in operations {
                        outcome.answers.push(self.only_read(operation).ok_or_else(|| error.repeated()));
                    }
                } else {
                    let (left, right) = operations.split_at(operations.len() / 2);
                    self.bisect(left, outcome);
                    self.bisect(right, outcome);
                }
            }
        }
    }

    /// What only reads is answered also when nothing can be written, as on a full disk.
    fn only_read(&mut self, operation: &Operation) -> Option<Answer> {
        if !matches!(operation.command, Command::Read(_) | Command::Check(_)) {
            return None;
        }
        let answer = self.begin().and_then(|()| self.one(operation));
        // Reservations that were over are over in the answer, and stay as they are in the books.
        self.take_back();
        answer.ok()
    }

    fn begin(&mut self) -> Result<()> {
        self.ledger.begin();
        self.changes.clear();
        self.crossed = false;
        self.first_event = None;
        self.hot.begin()?;
        self.generation = self.hot.generation()?;
        Ok(())
    }

    fn transact(&mut self, operations: &[&Operation]) -> Result<(Vec<Answer>, Option<Committed>)> {
        self.begin()?;
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(self.one(operation)?);
        }
        if self.ledger.is_due() {
            self.write_slice()?;
        }
        let seq = self.write_batch_row(operations)?;
        self.hot.commit()?;
        self.ledger.forget_some();
        let (changes, crossed) = (std::mem::take(&mut self.changes), self.crossed);
        Ok((answers, seq.map(|seq| Committed { node: NODE, seq, changes, crossed })))
    }

    fn write_batch_row(&mut self, operations: &[&Operation]) -> Result<Option<i64>> {
        let Some((first, last)) = self.first_event.as_ref().zip(self.ledger.last_event()) else {
            return Ok(None);
        };
        let tenants: BTreeSet<_> = self.changes.iter().map(|change| change.tenant.as_str()).collect();
        let at = operations.iter().map(|operation| operation.now).max().unwrap_or_default();
        self.seq += 1;
        self.hot.insert_batch(self.seq, &tenants, (first, last), at)?;
        Ok(Some(self.seq))
    }

    /// Decides one operation and writes what it changes.
    fn one(&mut self, operation: &Operation) -> Result<Answer> {
        let account = (operation.tenant.clone(), operation.customer.clone());
        if !matches!(operation.command, Command::Expire(_)) && !self.is_fresh(&account, operation.seen)? {
            return Ok(Answer::Stale);
        }
        let keys = decide::keys(&operation.command);
        self.load(&account, &keys)?;
        self.expire_due(&account, &keys, operation)?;
        let Some(idempotency) = &operation.idempotency else {
            let event = self.ids.next();
            return self.decide(operation, &account, event);
        };
        // The key is taken before the decision, which costs one statement instead of two, and given back when nothing
        // was recorded under it.
        let event = self.ids.next();
        if !self.hot.claim_key(operation, idempotency, &event)? {
            return self.earlier(operation, idempotency);
        }
        let answer = self.decide(operation, &account, event)?;
        if !matches!(&answer, Answer::Done(done) if done.event.is_some() && !done.replayed) {
            rows::free_key(self.connection, &operation.tenant, &idempotency.key)?;
        }
        Ok(answer)
    }

    fn decide(&mut self, operation: &Operation, account: &AccountKey, event: EventId) -> Result<Answer> {
        let state = match self.reservation_state(operation)? {
            Ok(state) => state,
            Err(answer) => return Ok(answer),
        };
        let book = self.ledger.book(account);
        let decision = match decide::decide(&operation.command, state, book, operation.now) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let overrun = decision.lines.iter().map(|line| line.over).sum();
        let holds = decision.holds();
        let mut done = Done { event: None, quotas: Vec::new(), overrun, replayed: false, reservation: None, holds };
        if !decision.lines.is_empty() {
            self.record(operation, account, &decision, &event)?;
            done.event = Some(event);
            done.reservation = decide::reservation_id(&operation.command).cloned();
        }
        done.quotas = decision.quotas;
        Ok(Answer::Done(done))
    }

    /// Whether the operation was prepared with the limits as they are in this very transaction.
    fn is_fresh(&mut self, key: &AccountKey, seen: Seen) -> Result<bool> {
        let generation = self.generation;
        let epoch = match self.epochs.get(&key.0) {
            Some((checked, epoch)) if *checked == generation => *epoch,
            _ => {
                let epoch = rows::epoch(self.connection, &key.0)?;
                self.epochs.insert(key.0.clone(), (generation, epoch));
                epoch
            }
        };
        if epoch != seen.epoch {
            return Ok(false);
        }
        let version = match self.ledger.version(key, generation) {
            Some(version) => version,
            None => {
                let version = rows::customer_version(self.connection, key)?;
                self.ledger.put_version(key, generation, version);
                version
            }
        };
        Ok(version == seen.customer)
    }

    fn load(&mut self, account: &AccountKey, keys: &[CounterKey]) -> Result<()> {
        for key in keys {
            if !self.ledger.book(account).knows(key) {
                let counter = rows::counter(self.connection, account, key)?;
                self.ledger.book(account).load(key.clone(), counter);
            }
        }
        Ok(())
    }

    /// Reservations whose time is over give their units back before anything is decided on the same counters, also the
    /// one that the operation would end: whether it comes too late is a matter of time alone, not of who looked first.
    fn expire_due(&mut self, account: &AccountKey, keys: &[CounterKey], operation: &Operation) -> Result<()> {
        let book = self.ledger.book(account);
        let due = keys.iter().any(|key| book.get(key).next_expiry.is_some_and(|at| at <= operation.now));
        if !due || matches!(operation.command, Command::Expire(_)) {
            return Ok(());
        }
        for held in rows::due_reservations(self.connection, account, operation.now)? {
            self.expire(account, held, operation)?;
        }
        let next = rows::next_expiry(self.connection, account)?;
        for key in keys {
            let counter = self.ledger.book(account).get(key);
            let next_expiry = next.filter(|_| counter.held > 0);
            self.ledger.change(account, key, Counter { next_expiry, ..counter });
        }
        Ok(())
    }

    fn expire(&mut self, account: &AccountKey, held: Held, cause: &Operation) -> Result<()> {
        let expiry = Operation {
            tenant: cause.tenant.clone(),
            customer: cause.customer.clone(),
            seen: cause.seen,
            now: cause.now,
            command: Command::Expire(held),
            idempotency: None,
            metadata: None,
            detail: None,
            quiet: cause.quiet,
        };
        self.load(account, &decide::keys(&expiry.command))?;
        let book = self.ledger.book(account);
        match decide::decide(&expiry.command, State::Open, book, expiry.now) {
            Ok(decision) => {
                let event = self.ids.next();
                self.record(&expiry, account, &decision, &event)
            }
            Err(refusal) => Err(rows::broken("reservation", account.1.as_str(), &format!("{refusal:?}"))),
        }
    }

    /// The answer to an earlier request with the same key.
    fn earlier(&mut self, operation: &Operation, idempotency: &Idempotency) -> Result<Answer> {
        let found = rows::find_key(self.connection, &operation.tenant, &idempotency.key)?;
        let (event, hash) = found.ok_or_else(|| rows::broken("idempotency", &idempotency.key, "the row is gone"))?;
        if hash == idempotency.request_hash { self.replayed(&operation.tenant, &event) } else { Ok(Answer::KeyReused) }
    }

    fn replayed(&mut self, tenant: &TenantId, event: &str) -> Result<Answer> {
        let rows = rows::answer_rows(self.connection, tenant, event)?;
        Ok(Answer::Done(record::replay(event, &rows)))
    }

    /// Where the reservation stands that the operation ends; an answer in its place when it has ended before.
    fn reservation_state(&mut self, operation: &Operation) -> Result<Result<State, Answer>> {
        let Some(held) = decide::ends(&operation.command) else { return Ok(Ok(State::Open)) };
        let (state, settled) = rows::reservation_state(self.connection, &operation.tenant, &held.id)?;
        match (&operation.command, state, settled) {
            (_, State::Open, _) => Ok(Ok(State::Open)),
            (Command::Settle { .. }, State::Expired, _) => Ok(Ok(State::Expired)),
            (Command::Settle { .. }, State::Settled, Some(event)) => self.replayed(&operation.tenant, &event).map(Err),
            (_, ended, _) => Ok(Err(Answer::Ended(ended))),
        }
    }

    fn record(
        &mut self,
        operation: &Operation,
        account: &AccountKey,
        decision: &decide::Decision,
        event: &EventId,
    ) -> Result<()> {
        self.hot.insert_event(operation, event, &decision.lines)?;
        match &decision.reservation {
            Some(ReservationChange::Open(holds)) => rows::insert_reservation(self.connection, operation, holds)?,
            Some(ReservationChange::End(state)) => rows::end_reservation(self.connection, operation, *state, event)?,
            None => {}
        }
        for row in crossing::of(operation, event, &decision.lines) {
            rows::insert_crossing(self.connection, &row)?;
            self.crossed = true;
        }
        for line in &decision.lines {
            self.ledger.change(account, &line.key, line.after);
        }
        let features = decision.lines.iter().map(|line| line.key.feature.clone()).collect();
        let (tenant, customer) = account.clone();
        self.changes.push(Change { tenant, customer, features });
        self.first_event.get_or_insert_with(|| event.clone());
        self.ledger.note(event);
        Ok(())
    }

    /// After a failed transaction memory is as it was before it.
    fn take_back(&mut self) {
        rows::roll_back(self.connection);
        self.ledger.take_back();
    }

    /// Writes waiting counters while there is nothing else to do.
    fn write_behind(&mut self) {
        let turn = self.turn.clone();
        let turn = turn.blocking_lock();
        let written = self.begin().and_then(|()| self.write_slice()).and_then(|()| self.hot.commit());
        if let Err(error) = written {
            tracing::warn!(%error, "counters could not be written; the events hold them");
            self.take_back();
        }
        drop(turn);
    }

    fn write_slice(&mut self) -> Result<()> {
        let (rows, low) = self.ledger.slice(SLICE_ROWS_MAX);
        for row in &rows {
            self.hot.put_counter(row)?;
        }
        low.map_or(Ok(()), |low| rows::put_low(self.connection, &low))
    }
}
