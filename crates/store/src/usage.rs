//! What was used: reservations and events by id, history, decisions, and the batches that listeners follow.

use std::collections::BTreeMap;

use domain::entitlement::{CounterKey, Source};
use domain::gauge::Recorded;
use domain::id::{CustomerId, DecisionId, EventId, FeatureKey, ReservationId, TenantId};
use domain::reservation::State;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::{Error, Result};
use crate::gate::{Change, Held, holds_from_json};

/// A reservation with who made it.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// What it holds.
    pub held: Held,
    /// Whose counters.
    pub customer: CustomerId,
    /// Who may settle or release it.
    pub principal: String,
    /// Where it stands.
    pub state: State,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

#[derive(FromRow)]
struct ReservationRow {
    expires_at: i64,
    reservation_id: String,
    customer_id: String,
    principal: String,
    holds: String,
    state: String,
    tenant_id: String,
}

impl ReservationRow {
    fn read(self) -> Result<(TenantId, Reservation)> {
        let broken =
            |why: &str| Error::Broken { table: "reservation", id: self.reservation_id.clone(), why: why.to_owned() };
        let holds = holds_from_json(&self.holds).ok_or_else(|| broken("its holds do not parse"))?;
        let state = State::stored(&self.state).ok_or_else(|| broken("its state is unknown"))?;
        let reservation = Reservation {
            held: Held { id: ReservationId::stored(self.reservation_id), holds },
            customer: CustomerId::stored(self.customer_id),
            principal: self.principal,
            state,
            expires_at: Timestamp::from_micros(self.expires_at),
        };
        Ok((TenantId::stored(self.tenant_id), reservation))
    }
}

/// One reservation.
pub async fn find_reservation(db: &Db, tenant: &TenantId, id: &ReservationId) -> Result<Option<Reservation>> {
    let row: Option<ReservationRow> =
        sql!("SELECT tenant_id, reservation_id, customer_id, principal, holds, state, expires_at FROM reservation WHERE tenant_id = $1 AND reservation_id = $2")
            .bind(tenant)
            .bind(id)
            .find(db)
            .await?;
    row.map(|row| row.read().map(|(_, reservation)| reservation)).transpose()
}

/// Reservations of one tenant whose time is over, oldest first.
pub async fn due_reservations(db: &Db, tenant: &TenantId, now: Timestamp) -> Result<Vec<Reservation>> {
    let rows: Vec<ReservationRow> =
        sql!("SELECT tenant_id, reservation_id, customer_id, principal, holds, state, expires_at FROM reservation WHERE tenant_id = $1 AND state = 'open' AND expires_at <= $2 ORDER BY expires_at LIMIT 500")
            .bind(tenant)
            .bind(now)
            .all(db)
            .await?;
    // A row that contradicts the model is told and left alone; the others must not wait for it.
    let readable = rows.into_iter().filter_map(|row| match row.read() {
        Ok((_, reservation)) => Some(reservation),
        Err(error) => {
            tracing::error!(%error, "a reservation cannot be given back");
            None
        }
    });
    Ok(readable.collect())
}

/// An event as it can be taken back.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// Whose counters.
    pub customer: CustomerId,
    /// How it came about: `consume`, `settle`, ….
    pub kind: String,
    /// What it moved.
    pub lines: Vec<Recorded>,
}

#[derive(FromRow)]
struct LineRow {
    customer_id: String,
    kind: String,
    feature: String,
    source: String,
    period_start: i64,
    amount: i64,
}

/// One event.
pub async fn find_event(db: &Db, tenant: &TenantId, event: &EventId) -> Result<Option<RecordedEvent>> {
    let rows: Vec<LineRow> =
        sql!("SELECT customer_id, kind, feature, source, period_start, amount FROM usage_event WHERE tenant_id = $1 AND event_id = $2 ORDER BY line")
            .bind(tenant)
            .bind(event)
            .all(db)
            .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (customer, kind) = (CustomerId::stored(first.customer_id.as_str()), first.kind.clone());
    let line = |row: LineRow| Recorded {
        key: CounterKey {
            feature: FeatureKey::stored(row.feature),
            source: Source::stored(&row.source),
            period_start: Timestamp::from_micros(row.period_start),
        },
        amount: row.amount,
    };
    Ok(Some(RecordedEvent { customer, kind, lines: rows.into_iter().map(line).collect() }))
}

/// Keeps the explanation of a refusal.
pub async fn insert_decision(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &DecisionId,
    (customer, body): (Option<&CustomerId>, &str),
    now: Timestamp,
) -> Result<()> {
    sql!("INSERT INTO decision (tenant_id, decision_id, customer_id, at, body) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, decision_id) DO NOTHING")
        .bind(tenant)
        .bind(id)
        .bind(customer.map(CustomerId::as_str))
        .bind(now)
        .bind(body)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The explanation of a refusal, with the customer it was about.
pub async fn find_decision(db: &Db, tenant: &TenantId, id: &DecisionId) -> Result<Option<(Option<String>, String)>> {
    sql!("SELECT customer_id, body FROM decision WHERE tenant_id = $1 AND decision_id = $2")
        .bind(tenant)
        .bind(id)
        .find(db)
        .await
}

/// A committed batch.
#[derive(Debug, Clone, FromRow)]
pub struct BatchRow {
    /// Who committed it.
    pub node: i64,
    /// Its place in that node's order.
    pub seq: i64,
    /// The tenants that it touched, as JSON.
    pub tenants: String,
    /// The first of its events.
    pub first_event: String,
    /// The last of its events.
    pub last_event: String,
}

/// A node's batches after one, in order.
pub async fn batches_after(db: &Db, node: i64, seq: i64, limit: i64) -> Result<Vec<BatchRow>> {
    sql!("SELECT node, seq, tenants, first_event, last_event FROM gate_batch WHERE node = $1 AND seq > $2 ORDER BY seq LIMIT $3")
        .bind(node)
        .bind(seq)
        .bind(limit)
        .all(db)
        .await
}

/// The last batch of every node: where a listener begins.
pub async fn last_batches(db: &Db) -> Result<Vec<(i64, i64)>> {
    sql!("SELECT node, MAX(seq) FROM gate_batch GROUP BY node ORDER BY node").all(db).await
}

/// The first batch that is still kept of every node.
pub async fn first_batches(db: &Db) -> Result<Vec<(i64, i64)>> {
    sql!("SELECT node, MIN(seq) FROM gate_batch GROUP BY node ORDER BY node").all(db).await
}

#[derive(FromRow)]
struct MovedRow {
    customer_id: String,
    feature: String,
}

async fn lines_of(db: &Db, batch: &BatchRow, tenant: &TenantId) -> Result<Vec<MovedRow>> {
    if !tenants_of(batch).iter().any(|t| t == tenant) {
        return Ok(Vec::new());
    }
    sql!("SELECT customer_id, feature FROM usage_event WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND node = $4")
        .bind(tenant)
        .bind(&batch.first_event)
        .bind(&batch.last_event)
        .bind(batch.node)
        .all(db)
        .await
}

pub(crate) fn tenants_of(batch: &BatchRow) -> Vec<TenantId> {
    let names: Vec<String> = serde_json::from_str(&batch.tenants).unwrap_or_default();
    names.into_iter().map(TenantId::stored).collect()
}

/// What a batch moved, for listeners on another node.
pub async fn changes_of(db: &Db, batch: &BatchRow) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for tenant in tenants_of(batch) {
        let mut moved: BTreeMap<String, Vec<FeatureKey>> = BTreeMap::new();
        for line in lines_of(db, batch, &tenant).await? {
            moved.entry(line.customer_id).or_default().push(FeatureKey::stored(line.feature));
        }
        changes.extend(moved.into_iter().map(|(customer, features)| Change {
            tenant: tenant.clone(),
            customer: CustomerId::stored(customer),
            features,
        }));
    }
    Ok(changes)
}

/// Drops batch rows that every listener has long passed: those summed and older than `before`, except each node's last.
pub async fn drop_old_batches(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    sql!("DELETE FROM gate_batch WHERE at < $1 AND seq <= (SELECT CASE WHEN n.followed_seq < n.summarized_seq THEN n.followed_seq ELSE n.summarized_seq END FROM node n WHERE n.node = gate_batch.node) AND seq < (SELECT MAX(b.seq) FROM gate_batch b WHERE b.node = gate_batch.node)")
        .bind(before)
        .execute(tx)
        .await
}

/// Keeps the sealed result of an AI call for a replay.
pub async fn insert_result(
    tx: &mut Tx,
    tenant: &TenantId,
    reservation: &ReservationId,
    (sealed, expires_at): (&str, Timestamp),
) -> Result<()> {
    sql!("INSERT INTO ai_result (tenant_id, reservation_id, sealed, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, reservation_id) DO NOTHING")
        .bind(tenant)
        .bind(reservation)
        .bind(sealed)
        .bind(expires_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The sealed result of an AI call, unless its time is over.
pub async fn find_result(
    db: &Db,
    tenant: &TenantId,
    reservation: &ReservationId,
    now: Timestamp,
) -> Result<Option<String>> {
    let row: Option<(String,)> =
        sql!("SELECT sealed FROM ai_result WHERE tenant_id = $1 AND reservation_id = $2 AND expires_at > $3")
            .bind(tenant)
            .bind(reservation)
            .bind(now)
            .find(db)
            .await?;
    Ok(row.map(|(sealed,)| sealed))
}

/// Drops results, decisions and idempotency keys whose time is over; the keys of what the product itself does once
/// (`request_hash` 0), such as a reversal, stay. Answers how many rows.
pub async fn drop_expired(tx: &mut Tx, now: Timestamp, keys_before: Timestamp) -> Result<u64> {
    let results = sql!("DELETE FROM ai_result WHERE expires_at <= $1").bind(now).execute(&mut *tx).await?;
    let made = sql!("DELETE FROM creation WHERE at < $1").bind(keys_before).execute(&mut *tx).await?;
    let keys =
        sql!("DELETE FROM idempotency WHERE at < $1 AND request_hash <> 0").bind(keys_before).execute(tx).await?;
    Ok(made + results + keys)
}

/// Drops explanations from before an instant.
pub async fn drop_decisions(tx: &mut Tx, tenant: &TenantId, before: Timestamp) -> Result<u64> {
    sql!("DELETE FROM decision WHERE tenant_id = $1 AND at < $2").bind(tenant).bind(before).execute(tx).await
}
