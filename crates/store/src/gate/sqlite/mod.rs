//! The gate on SQLite: its own thread and its own connection.
//!
//! Counters of the customers in use are kept in memory. Each event carries its counter's state afterwards, so the
//! events are the journal: counter rows are written behind in key order, and `node.low` names the last event that
//! all of them hold. At start the events after it are read again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::entitlement::CounterKey;
use domain::id::{CustomerId, EventId, TenantId};
use domain::reservation::State;
use domain::usage::{Book, Counter};
use rusqlite::Connection;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};

use super::decide::{self, ReservationChange};
use super::record::{self, Clock, Ids};
use super::{
    Answer, BATCH_OPERATIONS_MAX, Change, Command, Committed, Done, Held, Idempotency, Operation, Seen, Waiting,
};
use crate::db::SqliteDb;
use crate::error::{Error, Result};

mod replay;
mod rows;

/// The one node of a SQLite file.
pub(crate) const NODE: i64 = 1;
/// Counter rows written in one slice, so that a slice stays below some milliseconds.
const SLICE_ROWS_MAX: usize = 400;
/// How long changed counters may wait for their rows.
const WRITE_BEHIND: Duration = Duration::from_millis(20);
/// Customers kept in memory; beyond that those without waiting changes are forgotten.
const ACCOUNTS_MAX: usize = 100_000;

type AccountKey = (TenantId, CustomerId);
type Dirty = (TenantId, CustomerId, CounterKey);

/// One customer in memory.
#[derive(Default)]
struct Account {
    book: Book,
    /// `customer.entitlement_version`, true as long as `checked` is the current generation.
    version: i64,
    checked: i64,
}

struct Worker {
    connection: Connection,
    turn: Arc<Mutex<()>>,
    ids: Ids,
    accounts: HashMap<AccountKey, Account>,
    epochs: HashMap<TenantId, (i64, i64)>,
    generation: i64,
    seq: i64,
    behind: Behind,
    batch: Batch,
    feed: broadcast::Sender<Arc<Committed>>,
}

/// Counters whose rows are older than memory.
#[derive(Default)]
struct Behind {
    /// Being written, in key order.
    writing: BTreeSet<Dirty>,
    /// Changed since the writing began.
    waiting: BTreeSet<Dirty>,
    /// When `writing` is empty, every event up to this one is in the rows.
    low: Option<EventId>,
    last_event: Option<EventId>,
    wrote_at: Option<Instant>,
}

/// What the open transaction did in memory, to take back if it fails.
#[derive(Default)]
struct Batch {
    undo: Vec<(AccountKey, CounterKey, Counter)>,
    sliced: Vec<Dirty>,
    changes: Vec<Change>,
    first_event: Option<EventId>,
}

type Replies = Vec<(oneshot::Sender<Result<Answer>>, Result<Answer>)>;

pub(super) fn start(
    db: &Arc<SqliteDb>,
    waiting: mpsc::Receiver<Waiting>,
    feed: broadcast::Sender<Arc<Committed>>,
    finished: oneshot::Sender<()>,
    clock: Clock,
) -> Result<i64> {
    let mut connection = rows::open(&db.path)?;
    let (low, seq) = replay::catch_up(&mut connection, clock())?;
    let worker = Worker {
        connection,
        turn: db.turn.clone(),
        ids: Ids::new(clock, low.as_deref()),
        accounts: HashMap::new(),
        epochs: HashMap::new(),
        generation: 0,
        seq,
        behind: Behind::default(),
        batch: Batch::default(),
        feed,
    };
    let (replies, mut handing_out) = mpsc::unbounded_channel::<Replies>();
    let runtime = tokio::runtime::Handle::current();
    // Answers are sent from a task, so that the threads they wake do not push the gate's own thread aside.
    runtime.spawn(async move {
        while let Some(batch) = handing_out.recv().await {
            for (reply, answer) in batch {
                let _gone = reply.send(answer);
            }
        }
    });
    let database = db.clone();
    std::thread::Builder::new()
        .name("gate".to_owned())
        .spawn(move || {
            worker.serve(waiting, &replies, &runtime);
            drop(database);
            let _nobody_waits = finished.send(());
        })
        .map_err(|e| Error::Setup(format!("cannot start the gate's thread: {e}")))?;
    Ok(NODE)
}

impl Worker {
    fn serve(
        mut self,
        mut waiting: mpsc::Receiver<Waiting>,
        replies: &mpsc::UnboundedSender<Replies>,
        runtime: &tokio::runtime::Handle,
    ) {
        let mut batch = Vec::with_capacity(BATCH_OPERATIONS_MAX);
        loop {
            let idle = self.behind.is_empty();
            let received = if idle {
                Some(waiting.blocking_recv_many(&mut batch, BATCH_OPERATIONS_MAX))
            } else {
                let next = waiting.recv_many(&mut batch, BATCH_OPERATIONS_MAX);
                runtime.block_on(async { tokio::time::timeout(WRITE_BEHIND, next).await.ok() })
            };
            match received {
                Some(0) => break,
                Some(_) => {
                    let answers = self.run(std::mem::take(&mut batch));
                    let _stopping = replies.send(answers);
                }
                None => self.write_behind(),
            }
        }
        while !self.behind.is_empty() {
            let before = self.behind.len();
            self.write_behind();
            if self.behind.len() == before {
                tracing::error!("counters could not be written at the end; the next start reads them from the events");
                break;
            }
        }
    }

    /// Runs a batch; when it fails as a whole, its halves are tried, so that one bad operation cannot fail the rest.
    fn run(&mut self, batch: Vec<Waiting>) -> Replies {
        let turn = self.turn.clone();
        let turn = turn.blocking_lock();
        let operations: Vec<_> = batch.iter().map(|waiting| &waiting.operation).collect();
        let mut answers = Vec::with_capacity(operations.len());
        self.bisect(&operations, &mut answers);
        drop(turn);
        batch.into_iter().map(|waiting| waiting.reply).zip(answers).collect()
    }

    fn bisect(&mut self, operations: &[&Operation], answers: &mut Vec<Result<Answer>>) {
        match self.transact(operations) {
            Ok(done) => answers.extend(done.into_iter().map(Ok)),
            Err(error) => {
                self.take_back();
                let whole = matches!(error, Error::Full | Error::Away(_));
                if operations.len() == 1 || whole {
                    tracing::warn!(%error, operations = operations.len(), "the gate could not commit");
                    for operation in operations {
                        answers.push(self.only_read(operation).ok_or_else(|| error.repeated()));
                    }
                } else {
                    let (left, right) = operations.split_at(operations.len() / 2);
                    self.bisect(left, answers);
                    self.bisect(right, answers);
                }
            }
        }
    }

    /// What only reads is answered also when nothing can be written, as on a full disk.
    fn only_read(&mut self, operation: &Operation) -> Option<Answer> {
        if !matches!(operation.command, Command::Read(_) | Command::Check(_)) {
            return None;
        }
        self.batch = Batch::default();
        let answer = rows::begin(&self.connection).and_then(|()| {
            self.generation = rows::generation(&self.connection)?;
            self.one(operation)
        });
        // Reservations that were over are over in the answer, and stay as they are in the books.
        self.take_back();
        answer.ok()
    }

    fn transact(&mut self, operations: &[&Operation]) -> Result<Vec<Answer>> {
        self.batch = Batch::default();
        rows::begin(&self.connection)?;
        self.generation = rows::generation(&self.connection)?;
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(self.one(operation)?);
        }
        if self.behind.wrote_at.is_none_or(|at| at.elapsed() >= WRITE_BEHIND) {
            self.write_slice()?;
        }
        let wrote = self.write_batch_row(operations)?;
        rows::commit(&self.connection)?;
        if wrote {
            let changes = std::mem::take(&mut self.batch.changes);
            let _nobody_listens = self.feed.send(Arc::new(Committed { node: NODE, seq: self.seq, changes }));
        }
        self.forget_some();
        Ok(answers)
    }

    fn write_batch_row(&mut self, operations: &[&Operation]) -> Result<bool> {
        let Some((first, last)) = self.batch.first_event.as_ref().zip(self.behind.last_event.as_ref()) else {
            return Ok(false);
        };
        let tenants: BTreeSet<_> = self.batch.changes.iter().map(|change| change.tenant.as_str()).collect();
        let at = operations.iter().map(|operation| operation.now).max().unwrap_or_default();
        self.seq += 1;
        rows::insert_batch(&self.connection, self.seq, &tenants, (first, last), at)?;
        Ok(true)
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
        if !rows::claim_key(&self.connection, operation, idempotency, &event)? {
            return self.earlier(operation, idempotency);
        }
        let answer = self.decide(operation, &account, event)?;
        if !matches!(&answer, Answer::Done(done) if done.event.is_some() && !done.replayed) {
            rows::free_key(&self.connection, &operation.tenant, &idempotency.key)?;
        }
        Ok(answer)
    }

    fn decide(&mut self, operation: &Operation, account: &AccountKey, event: EventId) -> Result<Answer> {
        let state = match self.reservation_state(operation)? {
            Ok(state) => state,
            Err(answer) => return Ok(answer),
        };
        let book = &self.account(account).book;
        let decision = match decide::decide(&operation.command, state, book, operation.now) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let overrun = decision.lines.iter().map(|line| line.over).sum();
        let mut done = Done { event: None, quotas: Vec::new(), overrun, replayed: false, reservation: None };
        if !decision.lines.is_empty() {
            self.record(operation, account, &decision, &event)?;
            done.event = Some(event);
            done.reservation = decide::reservation_id(&operation.command).cloned();
        }
        done.quotas = decision.quotas;
        Ok(Answer::Done(done))
    }

    fn account(&mut self, key: &AccountKey) -> &mut Account {
        self.accounts.entry(key.clone()).or_default()
    }

    /// Whether the operation was prepared with the limits as they are in this very transaction.
    fn is_fresh(&mut self, key: &AccountKey, seen: Seen) -> Result<bool> {
        let generation = self.generation;
        let epoch = match self.epochs.get(&key.0) {
            Some((checked, epoch)) if *checked == generation => *epoch,
            _ => {
                let epoch = rows::epoch(&self.connection, &key.0)?;
                self.epochs.insert(key.0.clone(), (generation, epoch));
                epoch
            }
        };
        if epoch != seen.epoch {
            return Ok(false);
        }
        let known = self.accounts.get(key).filter(|account| account.checked == generation).map(|a| a.version);
        let version = match known {
            Some(version) => version,
            None => {
                let version = rows::customer_version(&self.connection, key)?;
                let account = self.account(key);
                account.version = version;
                account.checked = generation;
                version
            }
        };
        Ok(version == seen.customer)
    }

    fn load(&mut self, account: &AccountKey, keys: &[CounterKey]) -> Result<()> {
        for key in keys {
            if !self.accounts.get(account).is_some_and(|a| a.book.knows(key)) {
                let counter = rows::counter(&self.connection, account, key)?;
                self.account(account).book.load(key.clone(), counter);
            }
        }
        Ok(())
    }

    /// Reservations whose time is over give their units back before anything is decided on the same counters.
    fn expire_due(&mut self, account: &AccountKey, keys: &[CounterKey], operation: &Operation) -> Result<()> {
        let book = &self.account(account).book;
        let due = keys.iter().any(|key| book.get(key).next_expiry.is_some_and(|at| at <= operation.now));
        if !due || matches!(operation.command, Command::Expire(_)) {
            return Ok(());
        }
        for held in rows::due_reservations(&self.connection, account, operation.now)? {
            let own = decide::ends(&operation.command).is_some_and(|ended| ended.id == held.id);
            // A settlement that comes late, but before anyone looked, still finds its own units held.
            if !own {
                self.expire(account, held, operation)?;
            }
        }
        let next = rows::next_expiry(&self.connection, account)?;
        for key in keys {
            let counter = self.account(account).book.get(key);
            let next_expiry = next.filter(|_| counter.held > 0);
            self.change(account, key, Counter { next_expiry, ..counter });
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
        };
        self.load(account, &decide::keys(&expiry.command))?;
        let book = &self.account(account).book;
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
        let found = rows::find_key(&self.connection, &operation.tenant, &idempotency.key)?;
        let (event, hash) = found.ok_or_else(|| rows::broken("idempotency", &idempotency.key, "the row is gone"))?;
        if hash == idempotency.request_hash { self.replayed(&operation.tenant, &event) } else { Ok(Answer::KeyReused) }
    }

    fn replayed(&mut self, tenant: &TenantId, event: &str) -> Result<Answer> {
        let rows = rows::answer_rows(&self.connection, tenant, event)?;
        Ok(Answer::Done(record::replay(event, &rows)))
    }

    /// Where the reservation stands that the operation ends; an answer in its place when it has ended before.
    fn reservation_state(&mut self, operation: &Operation) -> Result<Result<State, Answer>> {
        let Some(held) = decide::ends(&operation.command) else { return Ok(Ok(State::Open)) };
        let (state, settled) = rows::reservation_state(&self.connection, &operation.tenant, &held.id)?;
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
        rows::insert_event(&self.connection, operation, event, &decision.lines)?;
        match &decision.reservation {
            Some(ReservationChange::Open(holds)) => rows::insert_reservation(&self.connection, operation, holds)?,
            Some(ReservationChange::End(state)) => rows::end_reservation(&self.connection, operation, *state, event)?,
            None => {}
        }
        for line in &decision.lines {
            self.change(account, &line.key, line.after);
        }
        let features = decision.lines.iter().map(|line| line.key.feature.clone()).collect();
        let (tenant, customer) = account.clone();
        self.batch.changes.push(Change { tenant, customer, features });
        self.batch.first_event.get_or_insert_with(|| event.clone());
        self.behind.last_event = Some(event.clone());
        Ok(())
    }

    /// Changes a counter in memory, so that it can be taken back and will be written.
    fn change(&mut self, account: &AccountKey, key: &CounterKey, after: Counter) {
        let book = &mut self.accounts.entry(account.clone()).or_default().book;
        self.batch.undo.push((account.clone(), key.clone(), book.get(key)));
        book.load(key.clone(), after);
        self.behind.waiting.insert((account.0.clone(), account.1.clone(), key.clone()));
    }

    /// After a failed transaction memory is as it was before it.
    fn take_back(&mut self) {
        rows::roll_back(&self.connection);
        for (account, key, before) in std::mem::take(&mut self.batch.undo).into_iter().rev() {
            self.account(&account).book.load(key, before);
        }
        self.behind.writing.extend(std::mem::take(&mut self.batch.sliced));
    }

    /// Writes waiting counters while there is nothing else to do.
    fn write_behind(&mut self) {
        let turn = self.turn.clone();
        let turn = turn.blocking_lock();
        self.batch = Batch::default();
        let written = rows::begin(&self.connection)
            .and_then(|()| self.write_slice())
            .and_then(|()| rows::commit(&self.connection));
        if let Err(error) = written {
            tracing::warn!(%error, "counters could not be written; the events hold them");
            self.take_back();
        }
        drop(turn);
    }

    fn write_slice(&mut self) -> Result<()> {
        self.behind.wrote_at = Some(Instant::now());
        if self.behind.writing.is_empty() {
            self.behind.writing = std::mem::take(&mut self.behind.waiting);
            self.behind.low = self.behind.last_event.clone();
        }
        for _ in 0..SLICE_ROWS_MAX {
            let Some(dirty) = self.behind.writing.pop_first() else { break };
            let (tenant, customer, key) = dirty.clone();
            let account = (tenant, customer);
            let counter = self.account(&account).book.get(&key);
            self.batch.sliced.push(dirty);
            rows::put_counter(&self.connection, &account, &key, &counter)?;
        }
        if self.behind.writing.is_empty()
            && let Some(low) = &self.behind.low
        {
            rows::put_low(&self.connection, low)?;
        }
        Ok(())
    }

    /// Keeps memory bounded: customers without waiting changes can be read again.
    fn forget_some(&mut self) {
        if self.accounts.len() > ACCOUNTS_MAX {
            let dirty = self.behind.writing.iter().chain(&self.behind.waiting);
            let keep: std::collections::HashSet<AccountKey> = dirty.map(|(t, c, _)| (t.clone(), c.clone())).collect();
            self.accounts.retain(|key, _| keep.contains(key));
        }
    }
}

impl Behind {
    fn is_empty(&self) -> bool {
        self.writing.is_empty() && self.waiting.is_empty()
    }

    fn len(&self) -> usize {
        self.writing.len() + self.waiting.len()
    }
}
