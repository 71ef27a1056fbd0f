//! The statements that run for every batch or every operation, prepared once.

use std::collections::BTreeSet;

use domain::id::{EventId, ReservationId};
use domain::time::Timestamp;
use domain::usage::Line;
use rusqlite::{Connection, Statement, params};

use super::NODE;
use super::ledger::CounterRow;
use super::rows::failed;
use crate::error::Result;
use crate::gate::record::kept_quota;
use crate::gate::{Idempotency, Operation, decide};

pub(super) struct Hot<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    generation: Statement<'c>,
    claim_key: Statement<'c>,
    insert_event: Statement<'c>,
    insert_metadata: Statement<'c>,
    put_counter: Statement<'c>,
    insert_batch: Statement<'c>,
}

impl<'c> Hot<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self> {
        let prepare = |text: &str| connection.prepare(text).map_err(failed);
        Ok(Self {
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            generation: prepare("SELECT number FROM generation WHERE one = 1")?,
            claim_key: prepare(
                "INSERT OR IGNORE INTO idempotency (tenant_id, idem_key, request_hash, event_id, at) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            insert_event: prepare(
                "INSERT INTO usage_event (tenant_id, event_id, line, node, customer_id, feature, source, period_start, \
                 period_end, kind, amount, hold, overrun, used_after, held_after, limit_value, credits_after, \
                 status_after, version, at, reservation_id, detail) VALUES \
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
            )?,
            insert_metadata: prepare("INSERT INTO usage_metadata (tenant_id, event_id, metadata) VALUES (?1, ?2, ?3)")?,
            put_counter: prepare(
                "INSERT INTO counter (tenant_id, customer_id, feature, source, period_start, used, held, next_expiry, version) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                 ON CONFLICT (tenant_id, customer_id, feature, source, period_start) DO UPDATE SET \
                 used = excluded.used, held = excluded.held, next_expiry = excluded.next_expiry, version = excluded.version",
            )?,
            insert_batch: prepare(
                "INSERT INTO gate_batch (node, seq, tenants, first_event, last_event, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
        })
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.begin.execute([]).map(|_| ()).map_err(failed)
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        self.commit.execute([]).map(|_| ()).map_err(failed)
    }

    /// Grows with every change of anything that decides what a customer may use.
    pub(super) fn generation(&mut self) -> Result<i64> {
        self.generation.query_row([], |row| row.get(0)).map_err(failed)
    }

    /// Takes a key for an event; false when it stands for another one already.
    pub(super) fn claim_key(
        &mut self,
        operation: &Operation,
        idempotency: &Idempotency,
        event: &EventId,
    ) -> Result<bool> {
        let at = operation.now.as_micros();
        let values = params![operation.tenant.as_str(), idempotency.key, idempotency.request_hash, event.as_str(), at];
        Ok(self.claim_key.execute(values).map_err(failed)? == 1)
    }

    pub(super) fn insert_event(&mut self, operation: &Operation, event: &EventId, lines: &[Line]) -> Result<()> {
        let reservation = decide::reservation_id(&operation.command).map(ReservationId::as_str);
        for (line, number) in lines.iter().zip(0_i64..) {
            let quota = kept_quota(line);
            let values = params![
                operation.tenant.as_str(),
                event.as_str(),
                number,
                NODE,
                operation.customer.as_str(),
                line.key.feature.as_str(),
                line.key.source.as_str(),
                line.key.period_start.as_micros(),
                quota.and_then(|q| q.period.end).map(Timestamp::as_micros),
                decide::kind(&operation.command),
                line.amount,
                line.hold,
                line.over,
                line.after.used,
                line.after.held,
                quota.and_then(|q| q.limit),
                quota.map(|q| q.credits),
                quota.map(|q| q.status.code()),
                quota.map_or(line.after.version, |q| q.version),
                operation.now.as_micros(),
                reservation,
                operation.detail.as_deref(),
            ];
            self.insert_event.execute(values).map_err(failed)?;
        }
        if let Some(metadata) = &operation.metadata {
            let values = [operation.tenant.as_str(), event.as_str(), metadata];
            self.insert_metadata.execute(values).map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn put_counter(&mut self, ((tenant, customer), key, counter): &CounterRow) -> Result<()> {
        let values = params![
            tenant.as_str(),
            customer.as_str(),
            key.feature.as_str(),
            key.source.as_str(),
            key.period_start.as_micros(),
            counter.used,
            counter.held,
            counter.next_expiry.map(Timestamp::as_micros),
            counter.version,
        ];
        self.put_counter.execute(values).map(|_| ()).map_err(failed)
    }

    pub(super) fn insert_batch(
        &mut self,
        seq: i64,
        tenants: &BTreeSet<&str>,
        (first, last): (&EventId, &EventId),
        at: Timestamp,
    ) -> Result<()> {
        let tenants = serde_json::to_string(tenants).unwrap_or_default();
        let values = params![NODE, seq, tenants, first.as_str(), last.as_str(), at.as_micros()];
        self.insert_batch.execute(values).map(|_| ()).map_err(failed)
    }
}
