//! One batch in memory: decides its operations in order on what was loaded, and gathers what is to be written.

use std::collections::{BTreeSet, HashMap};

use domain::id::{EventId, ReservationId, TenantId};
use domain::reservation::{Hold, State};
use domain::time::Timestamp;
use domain::usage::{Book, Counter, Line};

use super::AccountKey;
use super::needs::CounterName;
use crate::error::{Error, Result};
use crate::gate::crossing::{self, CrossingRow};
use crate::gate::decide::{self, Decision, ReservationChange};
use crate::gate::record::{self, AnswerRow, Ids};
use crate::gate::{Answer, Change, Command, Done, Held, Operation, Seen};

/// One customer as loaded, and as the batch leaves it.
pub(super) struct Account {
    pub(super) seen: Seen,
    pub(super) book: Book,
    /// Reservations that may be over, in the order of their time.
    pub(super) open: BTreeSet<(Timestamp, ReservationId)>,
    /// No other open reservation ends before this.
    pub(super) later: Option<Timestamp>,
}

/// An idempotency key that is taken.
pub(super) struct Earlier {
    pub(super) request_hash: i64,
    pub(super) event: EventId,
    /// When it was taken, if by this batch.
    pub(super) taken_at: Option<Timestamp>,
}

/// Where a reservation stands.
pub(super) struct Standing {
    pub(super) held: Held,
    pub(super) expires_at: Timestamp,
    pub(super) state: State,
    pub(super) settled_event: Option<EventId>,
    /// The key that it frees when it ends unused.
    pub(super) idem_key: Option<String>,
    /// The state that its row has; none before the batch is written.
    pub(super) stored: Option<State>,
}

/// A reservation to be inserted.
pub(super) struct Opened<'a> {
    pub(super) operation: &'a Operation,
    pub(super) id: &'a ReservationId,
    pub(super) expires_at: Timestamp,
    pub(super) principal: &'a str,
}

/// One line of an event to be inserted.
pub(super) struct EventRow<'a> {
    pub(super) account: AccountKey,
    pub(super) event: EventId,
    pub(super) number: i64,
    pub(super) line: Line,
    pub(super) kind: &'static str,
    pub(super) at: Timestamp,
    pub(super) reservation: Option<ReservationId>,
    pub(super) detail: Option<&'a str>,
}

/// What the first trip found, by name.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) accounts: HashMap<AccountKey, Account>,
    pub(super) keys: HashMap<(TenantId, String), Earlier>,
    pub(super) reservations: HashMap<(TenantId, ReservationId), Standing>,
    pub(super) answers: HashMap<(TenantId, EventId), Vec<AnswerRow>>,
}

/// What was loaded, as the batch leaves it, and the rows that make it last.
pub(super) struct Writes<'a> {
    pub(super) loaded: Loaded,
    pub(super) changed: BTreeSet<CounterName>,
    pub(super) events: Vec<EventRow<'a>>,
    pub(super) metadata: Vec<(TenantId, EventId, &'a str)>,
    pub(super) opened: Vec<Opened<'a>>,
    pub(super) crossings: Vec<CrossingRow<'a>>,
    pub(super) freed: BTreeSet<(TenantId, String)>,
    pub(super) changes: Vec<Change>,
}

/// A batch in the making.
pub(super) struct Batch<'a, 'i> {
    writes: Writes<'a>,
    ids: &'i mut Ids,
}

/// Why something is recorded: an operation, or the time of a reservation that ran out meanwhile.
struct Cause<'a> {
    account: AccountKey,
    at: Timestamp,
    kind: &'static str,
    reservation: Option<ReservationId>,
    operation: Option<&'a Operation>,
}

impl<'a, 'i> Batch<'a, 'i> {
    pub(super) fn new(loaded: Loaded, ids: &'i mut Ids) -> Self {
        let writes = Writes {
            loaded,
            changed: BTreeSet::new(),
            events: Vec::new(),
            metadata: Vec::new(),
            opened: Vec::new(),
            crossings: Vec::new(),
            freed: BTreeSet::new(),
            changes: Vec::new(),
        };
        Self { writes, ids }
    }

    /// What it came to.
    pub(super) fn finish(self) -> Writes<'a> {
        self.writes
    }

    /// Decides one operation and gathers what it changes.
    pub(super) fn one(&mut self, operation: &'a Operation) -> Result<Answer> {
        let account = (operation.tenant.clone(), operation.customer.clone());
        let seen = self.account(&account)?.seen;
        if !matches!(operation.command, Command::Expire(_)) && seen != operation.seen {
            return Ok(Answer::Stale);
        }
        self.expire_due(&account, operation)?;
        if let Some(found) = self.find_earlier(operation) {
            return Ok(found);
        }
        let state = match self.reservation_state(operation)? {
            Ok(state) => state,
            Err(answer) => return Ok(answer),
        };
        let book = &self.account(&account)?.book;
        let decision = match decide::decide(&operation.command, state, book, operation.now) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let overrun = decision.lines.iter().map(|line| line.over).sum();
        let quotas = decision.quotas.clone();
        let holds = decision.holds();
        let mut done = Done { event: None, quotas, overrun, replayed: false, reservation: None, holds };
        if !decision.lines.is_empty() {
            let reservation = decide::reservation_id(&operation.command).cloned();
            let kind = decide::kind(&operation.command);
            let cause = Cause {
                account,
                at: operation.now,
                kind,
                reservation: reservation.clone(),
                operation: Some(operation),
            };
            done.event = Some(self.record(cause, decision)?);
            done.reservation = reservation;
        }
        Ok(Answer::Done(done))
    }

    fn account(&mut self, key: &AccountKey) -> Result<&mut Account> {
        found(&mut self.writes.loaded, key)
    }

    /// Reservations whose time is over give their units back before anything is decided on the same counters, also the
    /// one that the operation would end: whether it comes too late is a matter of time alone, not of who looked first.
    fn expire_due(&mut self, account: &AccountKey, operation: &Operation) -> Result<()> {
        let keys = decide::keys(&operation.command);
        let now = operation.now;
        let book = &self.account(account)?.book;
        let due = keys.iter().any(|key| book.get(key).next_expiry.is_some_and(|at| at <= now));
        if !due || matches!(operation.command, Command::Expire(_)) {
            return Ok(());
        }
        let over: Vec<_> = self.account(account)?.open.iter().take_while(|(at, _)| *at <= now).cloned().collect();
        for (_, id) in over {
            self.expire(account, &id, now)?;
        }
        let found = found(&mut self.writes.loaded, account)?;
        let next = found.open.first().map(|(at, _)| *at).into_iter().chain(found.later).min();
        for key in keys {
            let counter = found.book.get(&key);
            let next_expiry = next.filter(|_| counter.held > 0);
            if counter.next_expiry != next_expiry {
                found.book.load(key.clone(), Counter { next_expiry, ..counter });
                self.writes.changed.insert((account.0.clone(), account.1.clone(), key));
            }
        }
        Ok(())
    }

    fn expire(&mut self, account: &AccountKey, id: &ReservationId, at: Timestamp) -> Result<()> {
        let standing = self.standing(&account.0, id)?;
        let command = Command::Expire(standing.held.clone());
        let book = &self.account(account)?.book;
        let decision = decide::decide(&command, State::Open, book, at)
            .map_err(|refusal| broken("reservation", id.as_str(), &format!("{refusal:?}")))?;
        let cause = Cause {
            account: account.clone(),
            at,
            kind: decide::kind(&command),
            reservation: Some(id.clone()),
            operation: None,
        };
        self.record(cause, decision).map(|_| ())
    }

    /// The answer to an earlier request with the same key, be it of this very batch.
    fn find_earlier(&self, operation: &Operation) -> Option<Answer> {
        let idempotency = operation.idempotency.as_ref()?;
        let earlier = self.writes.loaded.keys.get(&(operation.tenant.clone(), idempotency.key.clone()))?;
        if earlier.request_hash != idempotency.request_hash {
            return Some(Answer::KeyReused);
        }
        Some(self.replayed(&operation.tenant, &earlier.event))
    }

    fn replayed(&self, tenant: &TenantId, event: &EventId) -> Answer {
        let stored = self.writes.loaded.answers.get(&(tenant.clone(), event.clone())).map_or(&[][..], Vec::as_slice);
        Answer::Done(record::replay(event.as_str(), stored))
    }

    fn standing(&mut self, tenant: &TenantId, id: &ReservationId) -> Result<&mut Standing> {
        let name = (tenant.clone(), id.clone());
        self.writes
            .loaded
            .reservations
            .get_mut(&name)
            .ok_or_else(|| broken("reservation", id.as_str(), "the row is gone"))
    }

    /// Where the reservation stands that the operation ends; an answer in its place when it has ended before.
    fn reservation_state(&mut self, operation: &Operation) -> Result<Result<State, Answer>> {
        let Some(held) = decide::ends(&operation.command) else { return Ok(Ok(State::Open)) };
        let standing = self.standing(&operation.tenant, &held.id)?;
        let settles = matches!(operation.command, Command::Settle { .. });
        match (standing.state, standing.settled_event.clone()) {
            (State::Open, _) => Ok(Ok(State::Open)),
            (State::Expired, _) if settles => Ok(Ok(State::Expired)),
            (State::Settled, Some(event)) if settles => Ok(Err(self.replayed(&operation.tenant, &event))),
            (ended, _) => Ok(Err(Answer::Ended(ended))),
        }
    }

    /// Applies a decision in memory, and gathers the rows that make it last.
    fn record(&mut self, cause: Cause<'a>, decision: Decision) -> Result<EventId> {
        let event = self.ids.next();
        let tenant = cause.account.0.clone();
        match decision.reservation {
            Some(ReservationChange::Open(holds)) => self.open(&cause, holds)?,
            Some(ReservationChange::End(state)) => self.end(&cause, state, &event)?,
            None => {}
        }
        if let Some(operation) = cause.operation {
            if let Some(idempotency) = &operation.idempotency {
                let taken_at = Some(cause.at);
                let taken = Earlier { request_hash: idempotency.request_hash, event: event.clone(), taken_at };
                self.writes.loaded.keys.insert((tenant.clone(), idempotency.key.clone()), taken);
            }
            if let Some(metadata) = &operation.metadata {
                self.writes.metadata.push((tenant.clone(), event.clone(), metadata));
            }
        }
        if let Some(operation) = cause.operation {
            let crossed = crossing::of(operation, &event, &decision.lines);
            self.writes.crossings.extend(crossed);
        }
        found(&mut self.writes.loaded, &cause.account)?.book.apply(&decision.lines);
        let answers = decision.lines.iter().map(|line| answer_row(line, cause.reservation.as_ref())).collect();
        self.writes.loaded.answers.insert((tenant.clone(), event.clone()), answers);
        let features = decision.lines.iter().map(|line| line.key.feature.clone()).collect();
        self.writes.changes.push(Change { tenant, customer: cause.account.1.clone(), features });
        for (line, number) in decision.lines.into_iter().zip(0_i64..) {
            self.writes.changed.insert((cause.account.0.clone(), cause.account.1.clone(), line.key.clone()));
            self.writes.events.push(EventRow {
                account: cause.account.clone(),
                event: event.clone(),
                number,
                line,
                kind: cause.kind,
                at: cause.at,
                reservation: cause.reservation.clone(),
                detail: cause.operation.and_then(|operation| operation.detail.as_deref()),
            });
        }
        Ok(event)
    }

    fn open(&mut self, cause: &Cause<'a>, holds: Vec<Hold>) -> Result<()> {
        let Some(operation) = cause.operation else { return Ok(()) };
        let Command::Reserve { id, expires_at, principal, retryable, .. } = &operation.command else { return Ok(()) };
        let key = operation.idempotency.as_ref().filter(|_| *retryable).map(|idempotency| idempotency.key.clone());
        let standing = Standing {
            held: Held { id: id.clone(), holds },
            expires_at: *expires_at,
            state: State::Open,
            settled_event: None,
            idem_key: key,
            stored: None,
        };
        if self.writes.loaded.reservations.insert((cause.account.0.clone(), id.clone()), standing).is_some() {
            return Err(broken("reservation", id.as_str(), "its id is taken"));
        }
        found(&mut self.writes.loaded, &cause.account)?.open.insert((*expires_at, id.clone()));
        self.writes.opened.push(Opened { operation, id, expires_at: *expires_at, principal });
        Ok(())
    }

    fn end(&mut self, cause: &Cause<'a>, state: State, event: &EventId) -> Result<()> {
        let Some(id) = &cause.reservation else { return Ok(()) };
        let tenant = cause.account.0.clone();
        let standing = self.standing(&tenant, id)?;
        standing.state = state;
        standing.settled_event = (state == State::Settled).then(|| event.clone());
        let place = (standing.expires_at, id.clone());
        let freed = standing.idem_key.clone().filter(|_| state != State::Settled);
        found(&mut self.writes.loaded, &cause.account)?.open.remove(&place);
        if let Some(key) = freed {
            let name = (tenant, key);
            self.writes.loaded.keys.remove(&name);
            self.writes.freed.insert(name);
        }
        Ok(())
    }
}

fn found<'l>(loaded: &'l mut Loaded, account: &AccountKey) -> Result<&'l mut Account> {
    loaded.accounts.get_mut(account).ok_or_else(|| broken("counter", account.1.as_str(), "its customer was not loaded"))
}

/// The part of a line that its answer is rebuilt from, as its row will have it.
fn answer_row(line: &Line, reservation: Option<&ReservationId>) -> AnswerRow {
    let quota = record::kept_quota(line);
    AnswerRow {
        feature: line.key.feature.to_string(),
        period_start: line.key.period_start.as_micros(),
        period_end: quota.and_then(|q| q.period.end).map(Timestamp::as_micros),
        overrun: line.over,
        used_after: line.after.used,
        held_after: line.after.held,
        limit_value: quota.and_then(|q| q.limit),
        credits_after: quota.map(|q| q.credits),
        status_after: quota.map(|q| q.status.code().into()),
        version: quota.map_or(line.after.version, |q| q.version),
        reservation_id: reservation.map(ToString::to_string),
    }
}

pub(super) fn broken(table: &'static str, id: &str, why: &str) -> Error {
    Error::Broken { table, id: id.to_owned(), why: why.to_owned() }
}
