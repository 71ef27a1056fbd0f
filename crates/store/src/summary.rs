//! The worst status of each customer, kept behind the gate's batches, so that lists can be sorted and filtered by it.

use std::collections::BTreeMap;

use domain::id::{CustomerId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;
use crate::usage::{batches_after, tenants_of};

/// A customer's summary.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SummaryRow {
    /// Whose.
    pub customer_id: String,
    /// The worst status, overdue payments included; a code of `domain::quota::Health`.
    pub worst: i64,
    /// The worst status of the quotas alone.
    pub near: i64,
    /// From when on it must be made anew.
    pub valid_until: i64,
    /// A hash of what the catalog grants, with which it was made.
    pub catalog: i64,
    /// The customer's version, with which it was made.
    pub version: i64,
}

/// Adds the summary of a new customer, to be made.
pub(crate) async fn begin(tx: &mut Tx, tenant: &TenantId, customer: &str) -> Result<()> {
    sql!("INSERT INTO customer_summary (tenant_id, customer_id, worst, near, valid_until, catalog, version) VALUES ($1, $2, 0, 0, 0, 0, 0)")
        .bind(tenant)
        .bind(customer)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Says that a summary must be made anew, with the customer's version of now or a later one.
pub(crate) async fn outdate(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId) -> Result<()> {
    sql!("UPDATE customer_summary SET valid_until = 0, version = (SELECT c.entitlement_version FROM customer c WHERE c.tenant_id = customer_summary.tenant_id AND c.customer_id = customer_summary.customer_id) WHERE tenant_id = $1 AND customer_id = $2")
        .bind(tenant)
        .bind(customer)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The summaries of some customers.
pub async fn find(db: &Db, tenant: &TenantId, customers: &[String]) -> Result<Vec<SummaryRow>> {
    sql!("SELECT customer_id, worst, near, valid_until, catalog, version FROM customer_summary WHERE tenant_id = $1 AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json})))")
        .bind(tenant)
        .bind(serde_json::json!(customers).to_string())
        .all(db)
        .await
}

/// Writes a summary, unless the customer has changed since what it was made with was read.
pub async fn write(tx: &mut Tx, tenant: &TenantId, row: &SummaryRow) -> Result<()> {
    sql!("UPDATE customer_summary SET worst = $3, near = $4, valid_until = $5, catalog = $6, version = $7 WHERE tenant_id = $1 AND customer_id = $2 AND version <= $7")
        .bind(tenant)
        .bind(&row.customer_id)
        .bind(row.worst)
        .bind(row.near)
        .bind(row.valid_until)
        .bind(row.catalog)
        .bind(row.version)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Customers whose summary must be made anew, because its time is over or the catalog grants something else.
pub async fn outdated(db: &Db, tenant: &TenantId, (now, catalog): (Timestamp, i64), limit: i64) -> Result<Vec<String>> {
    let late: Vec<(String,)> = sql!("SELECT customer_id FROM customer_summary WHERE tenant_id = $1 AND valid_until <= $2 ORDER BY valid_until LIMIT $3")
        .bind(tenant)
        .bind(now)
        .bind(limit)
        .all(db)
        .await?;
    let mut found: Vec<_> = late.into_iter().map(|(customer,)| customer).collect();
    if found.is_empty() {
        let other: Vec<(String,)> = sql!(
            "SELECT customer_id FROM customer_summary WHERE tenant_id = $1 AND (catalog < $2 OR catalog > $2) LIMIT $3"
        )
        .bind(tenant)
        .bind(catalog)
        .bind(limit)
        .all(db)
        .await?;
        found.extend(other.into_iter().map(|(customer,)| customer));
    }
    Ok(found)
}

/// Customers with a quota near its limit or over it, after one of them.
pub async fn near(db: &Db, tenant: &TenantId, after: &str, limit: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = sql!("SELECT customer_id FROM customer_summary WHERE tenant_id = $1 AND customer_id > $2 AND near > 0 ORDER BY customer_id LIMIT $3")
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(customer,)| customer).collect())
}

/// The nodes that have batches whose customers were not looked at yet.
pub async fn nodes(db: &Db) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = sql!("SELECT n.node FROM node n WHERE EXISTS (SELECT 1 FROM gate_batch b WHERE b.node = n.node AND b.seq > n.summarized_seq) ORDER BY n.node")
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(node,)| node).collect())
}

/// Whom some batches of a node moved.
#[derive(Debug, Default)]
pub struct Moved {
    /// Customers by tenant.
    pub customers: BTreeMap<TenantId, Vec<String>>,
    /// The last batch before them, and the last of them.
    pub place: (i64, i64),
}

/// Whom the next batches of a node moved; none when there is no further batch.
pub async fn moved(db: &Db, node: i64, batches_max: i64) -> Result<Option<Moved>> {
    let reached: Option<(i64,)> = sql!("SELECT summarized_seq FROM node WHERE node = $1").bind(node).find(db).await?;
    let Some((reached,)) = reached else { return Ok(None) };
    let batches = batches_after(db, node, reached, batches_max).await?;
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(None) };
    let mut moved = Moved { customers: BTreeMap::new(), place: (reached, last.seq) };
    for tenant in batches.iter().flat_map(tenants_of) {
        moved.customers.entry(tenant).or_default();
    }
    for (tenant, customers) in &mut moved.customers {
        let rows: Vec<(String,)> = sql!("SELECT DISTINCT customer_id FROM usage_event WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND node = $4")
            .bind(tenant)
            .bind(&first.first_event)
            .bind(&last.last_event)
            .bind(node)
            .all(db)
            .await?;
        customers.extend(rows.into_iter().map(|(customer,)| customer));
    }
    Ok(Some(moved))
}

/// Notes how far the batches of a node were looked at.
pub async fn reached(tx: &mut Tx, node: i64, (from, to): (i64, i64)) -> Result<()> {
    sql!("UPDATE node SET summarized_seq = $3 WHERE node = $1 AND summarized_seq = $2")
        .bind(node)
        .bind(from)
        .bind(to)
        .execute(tx)
        .await
        .map(|_| ())
}
