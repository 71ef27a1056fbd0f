//! The statements of the gate on PostgreSQL, and the second trip, which writes a batch.
//!
//! Each works on arrays, so that a batch of any size is the same few statements.

use std::collections::BTreeSet;

use domain::id::{EventId, ReservationId};
use domain::reservation::State;
use domain::time::Timestamp;
use tokio_postgres::{Client, Statement};

use super::batch::{EventRow, Writes};
use super::session::{Names, Outcome, Session, Value};
use crate::gate::crossing::CrossingRow;
use crate::gate::record::{holds_to_json, kept_quota};

macro_rules! statements {
    ($($name:ident: $text:expr;)*) => {
        /// Every statement of the gate, prepared.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
        }

        impl Statements {
            pub(super) async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
                Ok(Self { $($name: client.prepare($text).await?,)* })
            }
        }
    };
}

statements! {
    // The order of the arrays is the order of locking, on every node and whatever the database's collation.
    lock: "SELECT k.i, c.used, c.held, c.next_expiry, c.version \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY k(t, u, f, s, p, i) \
        JOIN counter c ON c.tenant_id = k.t AND c.customer_id = k.u AND c.feature = k.f AND c.source = k.s \
          AND c.period_start = k.p ORDER BY k.i FOR UPDATE OF c";
    peek: "SELECT k.i, c.used, c.held, c.next_expiry, c.version \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY k(t, u, f, s, p, i) \
        JOIN counter c ON c.tenant_id = k.t AND c.customer_id = k.u AND c.feature = k.f AND c.source = k.s \
          AND c.period_start = k.p";
    create: "INSERT INTO counter (tenant_id, customer_id, feature, source, period_start, used, held, next_expiry, version) \
        SELECT k.t, k.u, k.f, k.s, k.p, 0, 0, NULL, 0 \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY k(t, u, f, s, p, i) \
        ORDER BY k.i ON CONFLICT DO NOTHING";
    // A tenant or customer that is gone stands at 0, which no operation can have seen.
    versions: "SELECT k.i, COALESCE(t.epoch, 0), COALESCE(c.entitlement_version, 0) \
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k(t, u, i) LEFT JOIN tenant t ON t.tenant_id = k.t \
        LEFT JOIN customer c ON c.tenant_id = k.t AND c.customer_id = k.u";
    keys: "SELECT k.i, d.event_id, d.request_hash, e.feature, e.period_start, e.period_end, e.overrun, e.used_after, \
          e.held_after, e.limit_value, e.credits_after, e.status_after, e.version, e.reservation_id \
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k(t, d, i) \
        JOIN idempotency d ON d.tenant_id = k.t AND d.idem_key = k.d \
        LEFT JOIN usage_event e ON e.tenant_id = d.tenant_id AND e.event_id = d.event_id ORDER BY k.i, e.line";
    reservations: "SELECT k.i, r.reservation_id, r.holds, r.expires_at, r.state, r.settled_event, r.idem_key, e.feature, \
          e.period_start, e.period_end, e.overrun, e.used_after, e.held_after, e.limit_value, e.credits_after, \
          e.status_after, e.version, e.reservation_id \
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k(t, r, i) \
        JOIN reservation r ON r.tenant_id = k.t AND r.reservation_id = k.r \
        LEFT JOIN usage_event e ON e.tenant_id = r.tenant_id AND e.event_id = r.settled_event ORDER BY k.i, e.line";
    over: "SELECT k.i, r.reservation_id, r.holds, r.expires_at, r.state, r.settled_event, r.idem_key \
        FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY k(t, u, n, i) \
        JOIN reservation r ON r.tenant_id = k.t AND r.customer_id = k.u AND r.state = 'open' AND r.expires_at <= k.n";
    later: "SELECT k.i, (SELECT MIN(r.expires_at) FROM reservation r WHERE r.tenant_id = k.t AND r.customer_id = k.u \
          AND r.state = 'open' AND r.expires_at > k.n) \
        FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY k(t, u, n, i)";
    put_counters: "UPDATE counter c SET used = k.used, held = k.held, next_expiry = k.next, version = k.version \
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], \
          $8::bigint[], $9::bigint[]) k(t, u, f, s, p, used, held, next, version) \
        WHERE c.tenant_id = k.t AND c.customer_id = k.u AND c.feature = k.f AND c.source = k.s AND c.period_start = k.p";
    insert_events: "INSERT INTO usage_event (tenant_id, customer_id, feature, source, period_start, event_id, line, kind, \
          amount, hold, overrun, used_after, held_after, period_end, limit_value, credits_after, status_after, version, \
          at, reservation_id, detail, node) \
        SELECT k.*, $22::bigint FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], \
          $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], \
          $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::text[], \
          $21::text[]) k";
    insert_metadata: "INSERT INTO usage_metadata (tenant_id, event_id, metadata) \
        SELECT k.* FROM unnest($1::text[], $2::text[], $3::text[]) k";
    insert_crossings: "INSERT INTO crossing (tenant_id, event_id, feature, customer_id, gauge, period_start, period_end, \
          level_before, level_after, limit_value, warning, critical, version, quiet, at) \
        SELECT k.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[], \
          $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[], \
          $15::bigint[]) k";
    free_keys: "DELETE FROM idempotency d USING unnest($1::text[], $2::text[]) k(t, d) \
        WHERE d.tenant_id = k.t AND d.idem_key = k.d";
    insert_keys: "INSERT INTO idempotency (tenant_id, idem_key, request_hash, event_id, at) \
        SELECT k.* FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[]) k";
    insert_reservations: "INSERT INTO reservation (tenant_id, reservation_id, customer_id, principal, holds, state, \
          expires_at, settled_event, idem_key) \
        SELECT k.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
          $8::text[], $9::text[]) k";
    // Divides by zero, and so undoes the batch, when a row is no longer as it was read.
    end_reservations: "WITH ended AS (UPDATE reservation r SET state = k.state, settled_event = k.event \
          FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) k(t, r, before, state, event) \
          WHERE r.tenant_id = k.t AND r.reservation_id = k.r AND r.state = k.before RETURNING 1) \
        SELECT 1 / (CASE WHEN COUNT(*) = cardinality($1::text[]) THEN 1 ELSE 0 END) FROM ended";
    insert_batch: "WITH batch AS (INSERT INTO gate_batch (node, seq, tenants, first_event, last_event, at) \
          VALUES ($1, $2, $3, $4, $5, $6)) \
        SELECT pg_notify('gate', $1::bigint::text || ':' || $2::bigint::text)";
    single: super::single::TEXT;
}

/// Where a batch stands in its node's order.
pub(super) struct Place {
    pub(super) node: i64,
    pub(super) seq: i64,
    pub(super) at: Timestamp,
}

impl Session {
    /// Trip two: writes the batch and commits it. Without an error it is durable; an error before COMMIT's own undid it.
    pub(super) async fn store(&self, writes: &Writes<'_>, place: &Place) -> Outcome<()> {
        let (counters, events, metadata, crossed, freed, keys, opened, ended, listed, committed) = tokio::join!(
            biased;
            self.put_counters(writes),
            self.insert_events(&writes.events, place.node),
            self.insert_metadata(writes),
            self.insert_crossings(&writes.crossings),
            self.free_keys(writes),
            self.insert_keys(writes),
            self.insert_reservations(writes),
            self.end_reservations(writes),
            self.insert_batch(writes, place),
            self.client.batch_execute("COMMIT"),
        );
        // After an error COMMIT rolls back and says nothing of it, so every answer counts.
        for written in [counters, events, metadata, crossed, freed, keys, opened, ended, listed] {
            written?;
        }
        committed.map_err(|error| super::session::Failure::Lost(error.to_string()))
    }

    async fn write(&self, statement: &Statement, values: &[Value<'_>]) -> Outcome<()> {
        self.client.execute(statement, values).await?;
        Ok(())
    }

    async fn put_counters(&self, writes: &Writes<'_>) -> Outcome<()> {
        let names = Names::of(writes.changed.iter());
        let found = |(tenant, customer, key): &super::needs::CounterName| {
            let account = writes.loaded.accounts.get(&(tenant.clone(), customer.clone()));
            account.map(|account| account.book.get(key)).unwrap_or_default()
        };
        let counters: Vec<_> = writes.changed.iter().map(found).collect();
        let used: Vec<_> = counters.iter().map(|counter| counter.used).collect();
        let held: Vec<_> = counters.iter().map(|counter| counter.held).collect();
        let next: Vec<_> = counters.iter().map(|counter| counter.next_expiry.map(Timestamp::as_micros)).collect();
        let versions: Vec<_> = counters.iter().map(|counter| counter.version).collect();
        let [tenants, customers, features, sources, starts] = names.values();
        let values: [Value<'_>; 9] = [tenants, customers, features, sources, starts, &used, &held, &next, &versions];
        self.write(&self.statements.put_counters, &values).await
    }

    async fn insert_events<'r>(&self, rows: &'r [EventRow<'r>], node: i64) -> Outcome<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let text = |of: fn(&'r EventRow<'r>) -> &'r str| rows.iter().map(of).collect::<Vec<_>>();
        let int = |of: fn(&EventRow<'_>) -> i64| rows.iter().map(of).collect::<Vec<_>>();
        let some = |of: fn(&EventRow<'_>) -> Option<i64>| rows.iter().map(of).collect::<Vec<_>>();
        let (tenants, customers) = (text(|r| r.account.0.as_str()), text(|r| r.account.1.as_str()));
        let (features, sources) = (text(|r| r.line.key.feature.as_str()), text(|r| r.line.key.source.as_str()));
        let starts = int(|r| r.line.key.period_start.as_micros());
        let (events, numbers, kinds) = (text(|r| r.event.as_str()), int(|r| r.number), text(|r| r.kind));
        let (amounts, holds, overs) = (int(|r| r.line.amount), int(|r| r.line.hold), int(|r| r.line.over));
        let (used, held) = (int(|r| r.line.after.used), int(|r| r.line.after.held));
        let ends = some(|r| kept_quota(&r.line).and_then(|q| q.period.end).map(Timestamp::as_micros));
        let limits = some(|r| kept_quota(&r.line).and_then(|q| q.limit));
        let credits = some(|r| kept_quota(&r.line).map(|q| q.credits));
        let status = some(|r| kept_quota(&r.line).map(|q| q.status.code().into()));
        let versions = int(|r| kept_quota(&r.line).map_or(r.line.after.version, |q| q.version));
        let times = int(|r| r.at.as_micros());
        let reservations: Vec<_> = rows.iter().map(|r| r.reservation.as_ref().map(ReservationId::as_str)).collect();
        let details: Vec<_> = rows.iter().map(|r| r.detail).collect();
        let values: [Value<'_>; 22] = [
            &tenants,
            &customers,
            &features,
            &sources,
            &starts,
            &events,
            &numbers,
            &kinds,
            &amounts,
            &holds,
            &overs,
            &used,
            &held,
            &ends,
            &limits,
            &credits,
            &status,
            &versions,
            &times,
            &reservations,
            &details,
            &node,
        ];
        self.write(&self.statements.insert_events, &values).await
    }

    async fn insert_metadata(&self, writes: &Writes<'_>) -> Outcome<()> {
        if writes.metadata.is_empty() {
            return Ok(());
        }
        let tenants: Vec<_> = writes.metadata.iter().map(|(tenant, _, _)| tenant.as_str()).collect();
        let events: Vec<_> = writes.metadata.iter().map(|(_, event, _)| event.as_str()).collect();
        let texts: Vec<_> = writes.metadata.iter().map(|(_, _, text)| *text).collect();
        self.write(&self.statements.insert_metadata, &[&tenants, &events, &texts]).await
    }

    async fn insert_crossings(&self, rows: &[CrossingRow<'_>]) -> Outcome<()> {
        // Boxed, because few batches have any, and none should carry the room for it.
        if rows.is_empty() { Ok(()) } else { Box::pin(self.write_crossings(rows)).await }
    }

    async fn write_crossings(&self, rows: &[CrossingRow<'_>]) -> Outcome<()> {
        let tenants: Vec<_> = rows.iter().map(|r| r.operation.tenant.as_str()).collect();
        let events: Vec<_> = rows.iter().map(|r| r.event.as_str()).collect();
        let features: Vec<_> = rows.iter().map(|r| r.entitlement.feature.as_str()).collect();
        let customers: Vec<_> = rows.iter().map(|r| r.operation.customer.as_str()).collect();
        let gauges: Vec<_> = rows.iter().map(CrossingRow::is_gauge).collect();
        let starts: Vec<_> = rows.iter().map(|r| r.entitlement.period.start.as_micros()).collect();
        let ends: Vec<_> = rows.iter().map(|r| r.entitlement.period.end.map(Timestamp::as_micros)).collect();
        let int = |of: fn(&CrossingRow<'_>) -> i64| rows.iter().map(of).collect::<Vec<_>>();
        let (before, after, limits) = (int(|r| r.before), int(|r| r.after), int(|r| r.limit));
        let warnings = int(|r| r.entitlement.thresholds.warning.into());
        let criticals = int(|r| r.entitlement.thresholds.critical.into());
        let versions = int(|r| r.version);
        let quiet: Vec<_> = rows.iter().map(|r| r.operation.quiet).collect();
        let times = int(|r| r.operation.now.as_micros());
        let values: [Value<'_>; 15] = [
            &tenants, &events, &features, &customers, &gauges, &starts, &ends, &before, &after, &limits, &warnings,
            &criticals, &versions, &quiet, &times,
        ];
        self.write(&self.statements.insert_crossings, &values).await
    }

    async fn free_keys(&self, writes: &Writes<'_>) -> Outcome<()> {
        if writes.freed.is_empty() {
            return Ok(());
        }
        let tenants: Vec<_> = writes.freed.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let keys: Vec<_> = writes.freed.iter().map(|(_, key)| key.as_str()).collect();
        self.write(&self.statements.free_keys, &[&tenants, &keys]).await
    }

    async fn insert_keys(&self, writes: &Writes<'_>) -> Outcome<()> {
        let all = writes.loaded.keys.iter();
        let mut taken: Vec<_> = all.filter_map(|(name, key)| key.taken_at.map(|at| (name, key, at))).collect();
        if taken.is_empty() {
            return Ok(());
        }
        // Two nodes that insert the same keys in the same order wait for each other, but never in a circle.
        taken.sort_unstable_by_key(|(name, _, _)| *name);
        let tenants: Vec<_> = taken.iter().map(|((tenant, _), _, _)| tenant.as_str()).collect();
        let keys: Vec<_> = taken.iter().map(|((_, key), _, _)| key.as_str()).collect();
        let hashes: Vec<_> = taken.iter().map(|(_, key, _)| key.request_hash).collect();
        let events: Vec<_> = taken.iter().map(|(_, key, _)| key.event.as_str()).collect();
        let times: Vec<_> = taken.iter().map(|(_, _, at)| at.as_micros()).collect();
        self.write(&self.statements.insert_keys, &[&tenants, &keys, &hashes, &events, &times]).await
    }

    async fn insert_reservations(&self, writes: &Writes<'_>) -> Outcome<()> {
        if writes.opened.is_empty() {
            return Ok(());
        }
        let standing = writes.opened.iter().map(|opened| {
            let name = (opened.operation.tenant.clone(), opened.id.clone());
            writes.loaded.reservations.get(&name)
        });
        let tenants: Vec<_> = writes.opened.iter().map(|opened| opened.operation.tenant.as_str()).collect();
        let ids: Vec<_> = writes.opened.iter().map(|opened| opened.id.as_str()).collect();
        let customers: Vec<_> = writes.opened.iter().map(|opened| opened.operation.customer.as_str()).collect();
        let principals: Vec<_> = writes.opened.iter().map(|opened| opened.principal).collect();
        let holds: Vec<_> = standing.clone().map(|found| found.map(|s| holds_to_json(&s.held.holds))).collect();
        let states: Vec<_> = standing.clone().map(|found| found.map_or(State::Open, |s| s.state).name()).collect();
        let times: Vec<_> = writes.opened.iter().map(|opened| opened.expires_at.as_micros()).collect();
        let settled: Vec<_> =
            standing.clone().map(|found| found.and_then(|s| s.settled_event.as_ref()).map(EventId::as_str)).collect();
        let keys: Vec<_> = standing.map(|found| found.and_then(|s| s.idem_key.as_deref())).collect();
        let values: [Value<'_>; 9] =
            [&tenants, &ids, &customers, &principals, &holds, &states, &times, &settled, &keys];
        self.write(&self.statements.insert_reservations, &values).await
    }

    async fn end_reservations(&self, writes: &Writes<'_>) -> Outcome<()> {
        let all = writes.loaded.reservations.iter();
        let moved = |before: State, now: State| (before != now).then_some(before);
        let mut ended: Vec<_> = all
            .filter_map(|(name, standing)| Some((name, moved(standing.stored?, standing.state)?, standing)))
            .collect();
        if ended.is_empty() {
            return Ok(());
        }
        ended.sort_unstable_by_key(|(name, _, _)| *name);
        let tenants: Vec<_> = ended.iter().map(|((tenant, _), _, _)| tenant.as_str()).collect();
        let ids: Vec<_> = ended.iter().map(|((_, id), _, _)| id.as_str()).collect();
        let before: Vec<_> = ended.iter().map(|(_, before, _)| before.name()).collect();
        let states: Vec<_> = ended.iter().map(|(_, _, standing)| standing.state.name()).collect();
        let events: Vec<_> = ended.iter().map(|(_, _, s)| s.settled_event.as_ref().map(EventId::as_str)).collect();
        self.write(&self.statements.end_reservations, &[&tenants, &ids, &before, &states, &events]).await
    }

    async fn insert_batch(&self, writes: &Writes<'_>, place: &Place) -> Outcome<()> {
        let Some((first, last)) = writes.events.first().zip(writes.events.last()) else { return Ok(()) };
        let tenants: BTreeSet<_> = writes.changes.iter().map(|change| change.tenant.as_str()).collect();
        let tenants = serde_json::to_string(&tenants).unwrap_or_default();
        let (first, last, at) = (first.event.as_str(), last.event.as_str(), place.at.as_micros());
        let values: [Value<'_>; 6] = [&place.node, &place.seq, &tenants, &first, &last, &at];
        self.write(&self.statements.insert_batch, &values).await
    }
}
