//! At start: counters that the last process had only in memory are read again from the events.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::NODE;
use super::rows::failed;
use crate::error::Result;

/// Brings the counter rows up to the last event. Answers the last event's id and the last batch's number.
///
/// Idempotent: an event holds its counter's state afterwards, so writing it again changes nothing.
pub(super) fn catch_up(connection: &mut Connection, now: i64) -> Result<(Option<String>, i64)> {
    let tx = connection.transaction().map_err(failed)?;
    tx.execute(
        "INSERT INTO node (node, started_at, seen_at, low, followed_seq, followed_event) VALUES (?1, ?2, ?2, '', 0, '') \
         ON CONFLICT (node) DO UPDATE SET started_at = excluded.started_at, seen_at = excluded.seen_at",
        params![NODE, now],
    )
    .map_err(failed)?;
    let low: String = tx.query_row("SELECT low FROM node WHERE node = ?1", [NODE], |row| row.get(0)).map_err(failed)?;
    // A counter's later lines replace its earlier ones, because they are written in the order of the events. Where
    // units are held the next expiry is not known, so the first look finds it.
    let replayed = tx
        .execute(
            "INSERT INTO counter (tenant_id, customer_id, feature, source, period_start, used, held, next_expiry, version) \
             SELECT e.tenant_id, e.customer_id, e.feature, e.source, e.period_start, e.used_after, e.held_after, \
                    CASE WHEN e.held_after > 0 THEN 0 END, e.version \
             FROM tenant t CROSS JOIN usage_event e ON e.tenant_id = t.tenant_id AND e.event_id > ?1 \
             WHERE true ORDER BY e.tenant_id, e.event_id, e.line \
             ON CONFLICT (tenant_id, customer_id, feature, source, period_start) DO UPDATE SET used = excluded.used, \
               held = excluded.held, next_expiry = excluded.next_expiry, version = excluded.version",
            [&low],
        )
        .map_err(failed)?;
    let last: Option<String> = tx
        .query_row(
            "SELECT MAX(last) FROM (SELECT (SELECT MAX(event_id) FROM usage_event e WHERE e.tenant_id = t.tenant_id) AS last FROM tenant t)",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?
        .flatten();
    if let Some(last) = &last {
        tx.execute("UPDATE node SET low = ?2 WHERE node = ?1", params![NODE, last]).map_err(failed)?;
    }
    let seq: Option<i64> =
        tx.query_row("SELECT MAX(seq) FROM gate_batch WHERE node = ?1", [NODE], |row| row.get(0)).map_err(failed)?;
    tx.commit().map_err(failed)?;
    if replayed > 0 {
        tracing::info!(events = replayed, "counters brought up to the last event");
    }
    Ok((last, seq.unwrap_or_default()))
}
