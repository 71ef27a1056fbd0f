//! One connection: what a batch reads in one trip, what it writes in the next, and what a failure means.

use std::collections::HashMap;
use std::time::Duration;

use domain::id::{EventId, ReservationId, TenantId};
use domain::reservation::State;
use domain::time::Timestamp;
use domain::usage::{Book, Counter};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::AccountKey;
use super::batch::{Account, Earlier, Loaded, Standing};
use super::needs::{CounterName, Needs};
use super::rows::Statements;
use super::tls::Link;
use crate::error::{Error, untrusted};
use crate::gate::record::{AnswerRow, holds_from_json};
use crate::gate::{Held, Seen};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing may cut COMMIT short, so there is no statement timeout. Index scans and nested loops are the right plans for
/// joins with a few hundred names, whatever the planner believes about the arrays.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off; \
    SET synchronous_commit = on; SET lock_timeout = '3s'; SET statement_timeout = 0; \
    SET idle_in_transaction_session_timeout = '30s'";

/// Why a batch was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another node was in the way; the same again may work.
    Again(String),
    /// One of its operations cannot be written.
    Poison(String),
    /// Nothing of it happened, and nothing like it would now.
    Refused(Error),
    /// The connection or the server is gone; what was sent last may have happened.
    Lost(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(reported) = error.as_db_error() else {
            return untrusted(&error).map_or_else(|| Self::Lost(with_cause(&error)), Self::Refused);
        };
        let (code, why) = (reported.code(), format!("{} ({})", reported.message(), reported.code().code()));
        match code.code() {
            "53100" => Self::Refused(Error::Full),
            // 55P03: a lock was not given in time; 57014: somebody canceled the statement.
            "55P03" | "57014" => Self::Refused(Error::Away(why)),
            // 25006: the server only reads now, as after a switch to another one.
            "25006" => Self::Lost(why),
            // 22012 is how a statement of ours says that a row has changed meanwhile.
            "22012" => Self::Again(why),
            _ if [SqlState::UNIQUE_VIOLATION, SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE]
                .contains(code) =>
            {
                Self::Again(why)
            }
            // 08: the connection; 53: resources; 57P: the server stops or starts; 58: its system.
            other if ["08", "53", "57P", "58"].iter().any(|class| other.starts_with(class)) => Self::Lost(why),
            _ => Self::Poison(why),
        }
    }
}

/// What the driver says, and what lies beneath it: only that tells a wrong certificate from a cut line.
pub(super) fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

pub(super) type Outcome<T> = Result<T, Failure>;

/// A connection with its prepared statements. Dropping it cuts the connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    pub(super) async fn open(link: &Link) -> Outcome<Self> {
        let opening = async {
            let (client, connection) = link.config.connect(link.tls.clone()).await?;
            let connection = tokio::runtime::Handle::current().spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(%error, "the gate's connection broke");
                }
            });
            client.batch_execute(SETTINGS).await?;
            let statements = Statements::prepare(&client).await?;
            Ok::<_, tokio_postgres::Error>(Self { client, statements, connection })
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(Failure::Lost("the database did not answer in time".to_owned())),
        }
    }

    /// Returns when the connection has ended.
    pub(super) async fn ended(&mut self) {
        let _ended = (&mut self.connection).await;
    }

    pub(super) async fn roll_back(&self) -> Outcome<()> {
        Ok(self.client.batch_execute("ROLLBACK").await?)
    }

    /// Trip one: begins, locks the counters in their order, and reads all else after that, so that it is at least as
    /// new as the counters. A batch of reads locks nothing.
    pub(super) async fn load(&self, needs: &Needs<'_>) -> Outcome<(Loaded, Vec<CounterName>)> {
        let (client, statements) = (&self.client, &self.statements);
        let counters = Names::of(needs.counters.keys());
        let counters = counters.values();
        let tenants: Vec<_> = needs.accounts.keys().map(|(tenant, _)| tenant.as_str()).collect();
        let customers: Vec<_> = needs.accounts.keys().map(|(_, customer)| customer.as_str()).collect();
        let accounts: [Value<'_>; 2] = [&tenants, &customers];
        let key_tenants: Vec<_> = needs.keys.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let keys: Vec<_> = needs.keys.iter().map(|(_, key)| *key).collect();
        let keys: [Value<'_>; 2] = [&key_tenants, &keys];
        let ended_tenants: Vec<_> = needs.ended.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let ended: Vec<_> = needs.ended.iter().map(|(_, id)| id.as_str()).collect();
        let ended: [Value<'_>; 2] = [&ended_tenants, &ended];
        let (start, lock) = if needs.reads_only { ("", &statements.peek) } else { ("BEGIN", &statements.lock) };
        let (begun, counters, accounts, keys, ended) = tokio::join!(
            biased;
            client.batch_execute(start),
            client.query(lock, &counters),
            client.query(&statements.versions, &accounts),
            query_if(client, !needs.keys.is_empty(), &statements.keys, &keys),
            query_if(client, !needs.ended.is_empty(), &statements.reservations, &ended),
        );
        begun?;
        let mut loaded = Loaded::default();
        read_accounts(&mut loaded, needs, &accounts?)?;
        let missing = read_counters(&mut loaded, needs, &counters?)?;
        read_keys(&mut loaded, needs, &keys?)?;
        read_reservations(&mut loaded, needs, &ended?)?;
        Ok((loaded, missing))
    }

    /// Makes counter rows, so that they can be locked. In a transaction of its own: made while other locks are held it
    /// could deadlock.
    pub(super) async fn create(&self, missing: &[CounterName]) -> Outcome<()> {
        self.client.execute(&self.statements.create, &Names::of(missing.iter()).values()).await?;
        Ok(())
    }

    /// Reads the reservations of some customers that are over by the time given for each.
    pub(super) async fn load_due(
        &self,
        loaded: &mut Loaded,
        due: &[(AccountKey, Timestamp)],
    ) -> Outcome<Vec<CounterName>> {
        let tenants: Vec<_> = due.iter().map(|((tenant, _), _)| tenant.as_str()).collect();
        let customers: Vec<_> = due.iter().map(|((_, customer), _)| customer.as_str()).collect();
        let times: Vec<_> = due.iter().map(|(_, at)| at.as_micros()).collect();
        let values: [Value<'_>; 3] = [&tenants, &customers, &times];
        let (over, later) = tokio::join!(
            biased;
            self.client.query(&self.statements.over, &values),
            self.client.query(&self.statements.later, &values),
        );
        let mut counters = Vec::new();
        for row in over? {
            let ((tenant, customer), _) = nth(due, row.try_get(0)?)?;
            let (id, standing) = read_standing(&row)?;
            let names = standing.held.holds.iter().map(|hold| (tenant.clone(), customer.clone(), hold.key.clone()));
            counters.extend(names);
            if let Some(account) = loaded.accounts.get_mut(&(tenant.clone(), customer.clone())) {
                account.open.insert((standing.expires_at, id.clone()));
            }
            loaded.reservations.insert((tenant.clone(), id), standing);
        }
        for row in later? {
            let (account, _) = nth(due, row.try_get(0)?)?;
            if let Some(account) = loaded.accounts.get_mut(account) {
                account.later = row.try_get::<_, Option<i64>>(1)?.map(Timestamp::from_micros);
            }
        }
        Ok(counters)
    }
}

pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// Counter names as arrays.
pub(super) struct Names<'a> {
    tenants: Vec<&'a str>,
    customers: Vec<&'a str>,
    features: Vec<&'a str>,
    sources: Vec<&'a str>,
    starts: Vec<i64>,
}

impl<'a> Names<'a> {
    pub(super) fn of(counters: impl Iterator<Item = &'a CounterName> + Clone) -> Self {
        Self {
            tenants: counters.clone().map(|(tenant, _, _)| tenant.as_str()).collect(),
            customers: counters.clone().map(|(_, customer, _)| customer.as_str()).collect(),
            features: counters.clone().map(|(_, _, key)| key.feature.as_str()).collect(),
            sources: counters.clone().map(|(_, _, key)| key.source.as_str()).collect(),
            starts: counters.map(|(_, _, key)| key.period_start.as_micros()).collect(),
        }
    }

    pub(super) fn values(&self) -> [Value<'_>; 5] {
        [&self.tenants, &self.customers, &self.features, &self.sources, &self.starts]
    }
}

async fn query_if(
    client: &Client,
    any: bool,
    statement: &tokio_postgres::Statement,
    values: &[Value<'_>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if any { client.query(statement, values).await } else { Ok(Vec::new()) }
}

/// The name that a row's ordinal number (from 1) stands for.
fn nth<T>(names: &[T], ordinal: i64) -> Outcome<&T> {
    let index = usize::try_from(ordinal).ok().and_then(|ordinal| ordinal.checked_sub(1));
    let unknown = || Failure::Lost("the database answered about a row that was not asked for".to_owned());
    index.and_then(|index| names.get(index)).ok_or_else(unknown)
}

fn read_accounts(loaded: &mut Loaded, needs: &Needs<'_>, rows: &[Row]) -> Outcome<()> {
    let names: Vec<_> = needs.accounts.keys().collect();
    for row in rows {
        let name = *nth(&names, row.try_get(0)?)?;
        let seen = Seen { epoch: row.try_get(1)?, customer: row.try_get(2)? };
        let account = Account { seen, book: Book::default(), open: std::collections::BTreeSet::new(), later: None };
        loaded.accounts.insert(name.clone(), account);
    }
    Ok(())
}

/// Answers the counters that need a row and have none.
fn read_counters(loaded: &mut Loaded, needs: &Needs<'_>, rows: &[Row]) -> Outcome<Vec<CounterName>> {
    let names: Vec<_> = needs.counters.iter().collect();
    let mut missing: std::collections::BTreeSet<_> =
        names.iter().filter(|(_, must)| **must).map(|(name, _)| (*name).clone()).collect();
    for row in rows {
        let (name, _) = *nth(&names, row.try_get(0)?)?;
        let next_expiry: Option<i64> = row.try_get(3)?;
        let next_expiry = next_expiry.map(Timestamp::from_micros);
        let counter = Counter { used: row.try_get(1)?, held: row.try_get(2)?, next_expiry, version: row.try_get(4)? };
        let (tenant, customer, key) = name.clone();
        if let Some(account) = loaded.accounts.get_mut(&(tenant, customer)) {
            account.book.load(key, counter);
        }
        missing.remove(name);
    }
    Ok(missing.into_iter().collect())
}

fn read_keys(loaded: &mut Loaded, needs: &Needs<'_>, rows: &[Row]) -> Outcome<()> {
    let names: Vec<_> = needs.keys.iter().collect();
    for row in rows {
        let (tenant, key) = *nth(&names, row.try_get(0)?)?;
        let event = EventId::stored(row.try_get::<_, String>(1)?);
        let taken = Earlier { request_hash: row.try_get(2)?, event: event.clone(), taken_at: None };
        loaded.keys.insert((tenant.clone(), (*key).to_owned()), taken);
        read_answer(&mut loaded.answers, (tenant, event), row, 3)?;
    }
    Ok(())
}

fn read_reservations(loaded: &mut Loaded, needs: &Needs<'_>, rows: &[Row]) -> Outcome<()> {
    let names: Vec<_> = needs.ended.iter().collect();
    for row in rows {
        let (tenant, id) = *nth(&names, row.try_get(0)?)?;
        let (_, standing) = read_standing(row)?;
        if let Some(event) = standing.settled_event.clone() {
            read_answer(&mut loaded.answers, (tenant, event), row, STANDING_COLUMNS)?;
        }
        loaded.reservations.insert((tenant.clone(), id.clone()), standing);
    }
    Ok(())
}

/// Columns before the answer's in a reservation's row.
const STANDING_COLUMNS: usize = 7;

fn read_standing(row: &Row) -> Outcome<(ReservationId, Standing)> {
    let id = ReservationId::stored(row.try_get::<_, String>(1)?);
    let broken = |why: &str| Failure::Poison(format!("the reservation {id} contradicts the model: {why}"));
    let holds = holds_from_json(row.try_get(2)?).ok_or_else(|| broken("its holds do not parse"))?;
    let state = State::stored(row.try_get(4)?).ok_or_else(|| broken("its state is unknown"))?;
    let standing = Standing {
        held: Held { id: id.clone(), holds },
        expires_at: Timestamp::from_micros(row.try_get(3)?),
        state,
        settled_event: row.try_get::<_, Option<String>>(5)?.map(EventId::stored),
        idem_key: row.try_get(6)?,
        stored: Some(state),
    };
    Ok((id, standing))
}

/// Adds one line of an event; the columns are absent where the event is.
fn read_answer(
    answers: &mut HashMap<(TenantId, EventId), Vec<AnswerRow>>,
    (tenant, event): (&TenantId, EventId),
    row: &Row,
    first: usize,
) -> Outcome<()> {
    let Some(feature) = row.try_get(first)? else { return Ok(()) };
    answers.entry((tenant.clone(), event)).or_default().push(AnswerRow {
        feature,
        period_start: row.try_get(first + 1)?,
        period_end: row.try_get(first + 2)?,
        overrun: row.try_get(first + 3)?,
        used_after: row.try_get(first + 4)?,
        held_after: row.try_get(first + 5)?,
        limit_value: row.try_get(first + 6)?,
        credits_after: row.try_get(first + 7)?,
        status_after: row.try_get(first + 8)?,
        version: row.try_get(first + 9)?,
        reservation_id: row.try_get(first + 10)?,
    });
    Ok(())
}
