//! The statements of the gate on SQLite.

use std::path::Path;

use domain::entitlement::CounterKey;
use domain::id::{EventId, ReservationId, TenantId};
use domain::reservation::{Hold, State};
use domain::time::Timestamp;
use domain::usage::Counter;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{AccountKey, NODE};
use crate::error::{Error, Result};
use crate::gate::crossing::CrossingRow;
use crate::gate::decide;
use crate::gate::record::{AnswerRow, holds_from_json, holds_to_json};
use crate::gate::{Command, Held, Operation};

const STATEMENTS_CACHED: usize = 64;

pub(super) fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection
        .execute_batch(
            // Commits do not wait for the disk: `sync.rs` does, before anybody is answered.
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;
             PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;",
        )
        .map_err(failed)?;
    Ok(connection)
}

/// Turns a driver's error into ours. A failed sync ends the process: what the kernel dropped cannot be known, and only
/// a fresh start reads the disk as it is (RELIABILITY A5).
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn failed(error: rusqlite::Error) -> Error {
    if let rusqlite::Error::SqliteFailure(failure, _) = &error {
        use rusqlite::ffi;
        if matches!(failure.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) {
            tracing::error!(%error, "the disk failed to sync; the process ends so that a fresh start reads what is there");
            std::process::abort();
        }
        if failure.code == rusqlite::ErrorCode::DiskFull {
            return Error::Full;
        }
        if matches!(
            failure.code,
            rusqlite::ErrorCode::SystemIoFailure
                | rusqlite::ErrorCode::DatabaseBusy
                | rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::ReadOnly
        ) {
            return Error::Away(error.to_string());
        }
    }
    Error::Broken { table: "gate", id: String::new(), why: error.to_string() }
}

pub(super) fn broken(table: &'static str, id: &str, why: &str) -> Error {
    Error::Broken { table, id: id.to_owned(), why: why.to_owned() }
}

pub(super) fn roll_back(connection: &Connection) {
    // Some errors end the transaction by themselves; then there is nothing to roll back.
    let _ended_already = connection.execute_batch("ROLLBACK");
}

fn run(connection: &Connection, text: &str, values: impl rusqlite::Params) -> Result<()> {
    connection.prepare_cached(text).and_then(|mut s| s.execute(values)).map(|_| ()).map_err(failed)
}

fn find<T>(
    connection: &Connection,
    text: &str,
    values: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    connection.prepare_cached(text).and_then(|mut s| s.query_row(values, read).optional()).map_err(failed)
}

fn all<T>(
    connection: &Connection,
    text: &str,
    values: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    connection.prepare_cached(text).and_then(|mut s| s.query_map(values, read)?.collect()).map_err(failed)
}

/// The tenant's epoch; 0 for a tenant that is gone, which no operation can have seen.
pub(super) fn epoch(connection: &Connection, tenant: &TenantId) -> Result<i64> {
    find(connection, "SELECT epoch FROM tenant WHERE tenant_id = ?1", [tenant.as_str()], |row| row.get(0))
        .map(Option::unwrap_or_default)
}

pub(super) fn customer_version(connection: &Connection, (tenant, customer): &AccountKey) -> Result<i64> {
    let text = "SELECT entitlement_version FROM customer WHERE tenant_id = ?1 AND customer_id = ?2";
    find(connection, text, [tenant.as_str(), customer.as_str()], |row| row.get(0)).map(Option::unwrap_or_default)
}

pub(super) fn counter(connection: &Connection, (tenant, customer): &AccountKey, key: &CounterKey) -> Result<Counter> {
    let text = "SELECT used, held, next_expiry, version FROM counter WHERE tenant_id = ?1 AND customer_id = ?2 \
                AND feature = ?3 AND source = ?4 AND period_start = ?5";
    let start = key.period_start.as_micros();
    let values = params![tenant.as_str(), customer.as_str(), key.feature.as_str(), key.source.as_str(), start];
    let read = |row: &Row<'_>| {
        let next_expiry: Option<i64> = row.get(2)?;
        let next_expiry = next_expiry.map(Timestamp::from_micros);
        Ok(Counter { used: row.get(0)?, held: row.get(1)?, next_expiry, version: row.get(3)? })
    };
    find(connection, text, values, read).map(Option::unwrap_or_default)
}

pub(super) fn put_low(connection: &Connection, low: &EventId) -> Result<()> {
    run(connection, "UPDATE node SET low = ?2 WHERE node = ?1", params![NODE, low.as_str()])
}

pub(super) fn find_key(connection: &Connection, tenant: &TenantId, key: &str) -> Result<Option<(String, i64)>> {
    let text = "SELECT event_id, request_hash FROM idempotency WHERE tenant_id = ?1 AND idem_key = ?2";
    find(connection, text, [tenant.as_str(), key], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Gives a key back under which nothing was recorded.
pub(super) fn free_key(connection: &Connection, tenant: &TenantId, key: &str) -> Result<()> {
    run(connection, "DELETE FROM idempotency WHERE tenant_id = ?1 AND idem_key = ?2", [tenant.as_str(), key])
}

pub(super) fn answer_rows(connection: &Connection, tenant: &TenantId, event: &str) -> Result<Vec<AnswerRow>> {
    let text = "SELECT feature, period_start, period_end, overrun, used_after, held_after, limit_value, credits_after, \
                status_after, version, reservation_id FROM usage_event WHERE tenant_id = ?1 AND event_id = ?2 ORDER BY line";
    all(connection, text, [tenant.as_str(), event], |row| {
        Ok(AnswerRow {
            feature: row.get(0)?,
            period_start: row.get(1)?,
            period_end: row.get(2)?,
            overrun: row.get(3)?,
            used_after: row.get(4)?,
            held_after: row.get(5)?,
            limit_value: row.get(6)?,
            credits_after: row.get(7)?,
            status_after: row.get(8)?,
            version: row.get(9)?,
            reservation_id: row.get(10)?,
        })
    })
}

pub(super) fn insert_crossing(connection: &Connection, row: &CrossingRow<'_>) -> Result<()> {
    let text = "INSERT INTO crossing (tenant_id, event_id, feature, customer_id, gauge, period_start, period_end, \
                level_before, level_after, limit_value, warning, critical, version, quiet, at) \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    let (operation, entitlement) = (row.operation, row.entitlement);
    let values = params![
        operation.tenant.as_str(),
        row.event.as_str(),
        entitlement.feature.as_str(),
        operation.customer.as_str(),
        row.is_gauge(),
        entitlement.period.start.as_micros(),
        entitlement.period.end.map(Timestamp::as_micros),
        row.before,
        row.after,
        row.limit,
        entitlement.thresholds.warning,
        entitlement.thresholds.critical,
        row.version,
        operation.quiet,
        operation.now.as_micros(),
    ];
    run(connection, text, values)
}

pub(super) fn insert_reservation(connection: &Connection, operation: &Operation, holds: &[Hold]) -> Result<()> {
    let Command::Reserve { id, expires_at, principal, retryable, .. } = &operation.command else { return Ok(()) };
    let text = "INSERT INTO reservation (tenant_id, reservation_id, customer_id, principal, holds, state, expires_at, idem_key) \
                VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?7)";
    let key = operation.idempotency.as_ref().filter(|_| *retryable).map(|idempotency| idempotency.key.as_str());
    let (tenant, customer) = (operation.tenant.as_str(), operation.customer.as_str());
    let values = params![tenant, id.as_str(), customer, principal, holds_to_json(holds), expires_at.as_micros(), key];
    run(connection, text, values)
}

pub(super) fn end_reservation(
    connection: &Connection,
    operation: &Operation,
    state: State,
    event: &EventId,
) -> Result<()> {
    let Some(held) = decide::ends(&operation.command) else { return Ok(()) };
    let settled = (state == State::Settled).then_some(event.as_str());
    let text = "UPDATE reservation SET state = ?3, settled_event = ?4 WHERE tenant_id = ?1 AND reservation_id = ?2";
    let (tenant, id) = (operation.tenant.as_str(), held.id.as_str());
    run(connection, text, params![tenant, id, state.name(), settled])?;
    if state == State::Settled {
        return Ok(());
    }
    let text = "DELETE FROM idempotency WHERE tenant_id = ?1 AND idem_key = \
                (SELECT idem_key FROM reservation WHERE tenant_id = ?1 AND reservation_id = ?2)";
    run(connection, text, [tenant, id])
}

pub(super) fn reservation_state(
    connection: &Connection,
    tenant: &TenantId,
    id: &ReservationId,
) -> Result<(State, Option<String>)> {
    let text = "SELECT state, settled_event FROM reservation WHERE tenant_id = ?1 AND reservation_id = ?2";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    let row = find(connection, text, [tenant.as_str(), id.as_str()], read)?;
    let (state, settled) = row.ok_or_else(|| broken("reservation", id.as_str(), "the row is gone"))?;
    let state = State::stored(&state).ok_or_else(|| broken("reservation", id.as_str(), "its state is unknown"))?;
    Ok((state, settled))
}

pub(super) fn due_reservations(
    connection: &Connection,
    (tenant, customer): &AccountKey,
    now: Timestamp,
) -> Result<Vec<Held>> {
    let text = "SELECT reservation_id, holds FROM reservation \
                WHERE tenant_id = ?1 AND customer_id = ?2 AND state = 'open' AND expires_at <= ?3 ORDER BY expires_at";
    let values = params![tenant.as_str(), customer.as_str(), now.as_micros()];
    let rows: Vec<(String, String)> = all(connection, text, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.into_iter()
        .map(|(id, holds)| {
            let holds = holds_from_json(&holds).ok_or_else(|| broken("reservation", &id, "its holds do not parse"))?;
            Ok(Held { id: ReservationId::stored(id), holds })
        })
        .collect()
}

pub(super) fn next_expiry(connection: &Connection, (tenant, customer): &AccountKey) -> Result<Option<Timestamp>> {
    let text = "SELECT MIN(expires_at) FROM reservation WHERE tenant_id = ?1 AND customer_id = ?2 AND state = 'open'";
    let found: Option<Option<i64>> = find(connection, text, [tenant.as_str(), customer.as_str()], |row| row.get(0))?;
    Ok(found.flatten().map(Timestamp::from_micros))
}
