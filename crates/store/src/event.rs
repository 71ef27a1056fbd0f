//! The outbox: what is told to live connections, written in the transaction of the change.
//!
//! A transaction only notes what it has to tell; [`Tx::commit`] writes it as the last thing before the commit. The
//! tenant's head row is locked then and until the end of the commit, so numbers have no gaps and their order is the
//! order of commits: who has read up to a number has missed nothing below it, whatever still runs. Since no lock is taken
//! after it, the head cannot be part of a deadlock.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use domain::event::{Audience, Event, Facts, Kind};
use domain::id::{CustomerId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::{Error, Result};

/// What is told when a customer is made.
pub const CUSTOMER_CREATED: &str = "customer.created";
/// New customers that one transaction tells of one by one; nobody listens for them yet but the tenant's own people, who
/// are told of more than that at once.
const CREATED_TOLD_MAX: usize = 10;

/// An event with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its place in the tenant's order, from 1 on, without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// The numbers that a transaction gave to what it told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Whose.
    pub tenant: TenantId,
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

/// What a transaction has to tell when it commits.
#[derive(Debug, Default)]
pub(crate) struct Outbox(BTreeMap<TenantId, Vec<(Timestamp, Event)>>);

/// Tells of a change, if the transaction commits. What is said twice of one thing is told once.
pub fn tell(tx: &mut Tx, tenant: &TenantId, at: Timestamp, event: Event) {
    let told = tx.outbox.0.entry(tenant.clone()).or_default();
    let absorbed = told.iter_mut().rev().try_for_each(|(_, known)| {
        if known.absorb(&event) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if absorbed.is_continue() {
        told.push((at, event));
    }
}

/// Writes what the transaction has to tell. The last thing before its commit.
pub(crate) async fn write(tx: &mut Tx) -> Result<Vec<Spoken>> {
    let mut spoken = Vec::new();
    // In the order of tenants, so that two who tell in several cannot wait for each other.
    for (tenant, told) in std::mem::take(&mut tx.outbox.0) {
        let told = many_as_one(told);
        let count = i64::try_from(told.len()).unwrap_or(i64::MAX);
        let last = advance(tx, &tenant, count).await?;
        let first = last - count + 1;
        for ((at, event), seq) in told.into_iter().zip(first..) {
            insert(tx, &tenant, &Numbered { seq, at, event }).await?;
        }
        spoken.push(Spoken { tenant, first, last });
    }
    Ok(spoken)
}

/// Of many new customers it is told once that there are some.
fn many_as_one(told: Vec<(Timestamp, Event)>) -> Vec<(Timestamp, Event)> {
    let is_new = |event: &Event| event.kind == Kind::Customer && event.facts.cause.as_deref() == Some(CUSTOMER_CREATED);
    let new: BTreeSet<CustomerId> =
        told.iter().filter(|(_, event)| is_new(event)).filter_map(|(_, event)| event.customer.clone()).collect();
    if new.len() <= CREATED_TOLD_MAX {
        return told;
    }
    let of_new = |event: &Event| event.customer.as_ref().is_some_and(|customer| new.contains(customer));
    let at = told.iter().map(|(at, _)| *at).max().unwrap_or(Timestamp::EPOCH);
    let facts = Facts { cause: Some(CUSTOMER_CREATED.to_owned()), ..Facts::default() };
    let one = Event { kind: Kind::Customer, audience: Audience::Staff, subject: None, customer: None, facts };
    told.into_iter().filter(|(_, event)| !of_new(event)).chain([(at, one)]).collect()
}

async fn advance(tx: &mut Tx, tenant: &TenantId, by: i64) -> Result<i64> {
    let row: Option<(i64,)> = sql!("INSERT INTO event_head (tenant_id, seq) VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET seq = event_head.seq + excluded.seq RETURNING seq")
        .bind(tenant)
        .bind(by)
        .find(tx)
        .await?;
    let broken = || Error::Broken { table: "event_head", id: tenant.to_string(), why: "it cannot be moved".to_owned() };
    row.map(|(seq,)| seq).ok_or_else(broken)
}

async fn insert(tx: &mut Tx, tenant: &TenantId, told: &Numbered) -> Result<()> {
    let Event { kind, audience, subject, customer, facts } = &told.event;
    let broken = |why: serde_json::Error| Error::Broken {
        table: "event",
        id: told.seq.to_string(),
        why: format!("its facts cannot be written: {why}"),
    };
    sql!("INSERT INTO event (tenant_id, seq, kind, audience, subject, customer_id, data, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(tenant)
        .bind(told.seq)
        .bind(kind.name())
        .bind(audience.name())
        .bind(subject.clone())
        .bind(customer.as_ref().map(CustomerId::as_str))
        .bind(serde_json::to_string(facts).map_err(broken)?)
        .bind(told.at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Says on PostgreSQL that there is something to read, if the transaction commits.
pub(crate) async fn notify(tx: &mut Tx, spoken: &Spoken) -> Result<()> {
    let Spoken { tenant, first, last } = spoken;
    sql!("SELECT pg_notify('gate', $1)").bind(format!("event:{tenant}:{first}:{last}")).execute(tx).await.map(|_| ())
}

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    kind: String,
    audience: String,
    subject: Option<String>,
    customer_id: Option<String>,
    data: String,
    at: i64,
}

impl EventRow {
    /// The event; none of a kind that only a newer version of the product knows.
    fn read(self) -> Option<Numbered> {
        let event = Event {
            kind: Kind::parse(&self.kind)?,
            audience: Audience::parse(&self.audience)?,
            subject: self.subject,
            customer: self.customer_id.map(CustomerId::stored),
            facts: serde_json::from_str(&self.data).unwrap_or_default(),
        };
        Some(Numbered { seq: self.seq, at: Timestamp::from_micros(self.at), event })
    }
}

/// The number of the last event of a tenant; 0 before the first.
pub async fn head(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<i64> {
    let row: Option<(i64,)> = sql!("SELECT seq FROM event_head WHERE tenant_id = $1").bind(tenant).find(on).await?;
    Ok(row.map_or(0, |(seq,)| seq))
}

/// The number of the first event of a tenant that is kept; none when none is.
pub async fn first(db: &Db, tenant: &TenantId) -> Result<Option<i64>> {
    let row: Option<(Option<i64>,)> =
        sql!("SELECT MIN(seq) FROM event WHERE tenant_id = $1").bind(tenant).find(db).await?;
    Ok(row.and_then(|(seq,)| seq))
}

/// Some events of a tenant after one and up to another, in order.
pub async fn between(db: &Db, tenant: &TenantId, (after, last): (i64, i64), limit: i64) -> Result<Vec<Numbered>> {
    let rows: Vec<EventRow> = sql!("SELECT seq, kind, audience, subject, customer_id, data, at FROM event WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4")
        .bind(tenant)
        .bind(after)
        .bind(last)
        .bind(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().filter_map(EventRow::read).collect())
}

/// Drops some of a tenant's events from before an instant: always the first ones, so that what is left has no gap.
/// Answers how many.
pub async fn drop_some(tx: &mut Tx, tenant: &TenantId, before: Timestamp, limit: i64) -> Result<u64> {
    sql!("DELETE FROM event WHERE tenant_id = $1 AND seq < (SELECT MIN(f.seq) FROM event f WHERE f.tenant_id = $1) + $3 AND seq < COALESCE((SELECT MIN(e.seq) FROM event e WHERE e.tenant_id = $1 AND e.at >= $2), 9223372036854775807)")
        .bind(tenant)
        .bind(before)
        .bind(limit)
        .execute(tx)
        .await
}
