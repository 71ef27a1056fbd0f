//! Use by the hour and what `analytics.rs` adds to it: committed batches are summed behind the gate, in short steps, and a reader adds what is not summed yet.

use std::collections::BTreeSet;

use domain::id::{CustomerId, FeatureKey, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::analytics::{Step, Stretch};
use crate::db::{Db, sql};
use crate::error::Result;
use crate::usage::{batches_after, tenants_of};

/// Units used in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct HourRow {
    /// The hour's start, in microseconds.
    pub hour: i64,
    /// Units.
    pub used: i64,
}

pub(crate) const HOUR_MICROS: i64 = 3_600_000_000;

/// What a customer used of a feature, hour by hour: one statement reads what is summed and what is not, so that nothing
/// is counted twice or left out while the summing goes on.
pub async fn history(
    db: &Db,
    tenant: &TenantId,
    (customer, feature): (&CustomerId, &FeatureKey),
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<HourRow>> {
    sql!("SELECT h.hour, CAST(SUM(h.used) AS BIGINT) AS used FROM (SELECT hour, used FROM usage_rollup WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3 UNION ALL SELECT e.at - e.at % 3600000000 AS hour, e.amount AS used FROM node n JOIN usage_event e ON e.tenant_id = $1 AND e.event_id > n.followed_event AND e.node = n.node WHERE e.customer_id = $2 AND e.feature = $3 AND e.amount <> 0 AND EXISTS (SELECT 1 FROM gate_batch b WHERE b.node = n.node AND b.seq > n.followed_seq)) h WHERE h.hour >= $4 AND h.hour < $5 GROUP BY h.hour ORDER BY h.hour")
        .bind(tenant)
        .bind(customer)
        .bind(feature)
        .bind(from.as_micros().div_euclid(HOUR_MICROS).saturating_mul(HOUR_MICROS))
        .bind(to)
        .all(db)
        .await
}

#[derive(FromRow)]
struct ReachedRow {
    followed_seq: i64,
}

/// Sums the next batches of a node into hours, in one transaction with the place it reached. Answers whether there is
/// more to do. Few batches at once keep the transaction short, because the gate waits for it on SQLite.
pub async fn follow(db: &Db, node: i64, batches_max: i64) -> Result<bool> {
    let reached: Option<ReachedRow> = sql!("SELECT followed_seq FROM node WHERE node = $1").bind(node).find(db).await?;
    let Some(ReachedRow { followed_seq }) = reached else { return Ok(false) };
    let batches = batches_after(db, node, followed_seq, batches_max).await?;
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(false) };
    let tenants: BTreeSet<TenantId> = batches.iter().flat_map(tenants_of).collect();
    let stretch = |tenant| Stretch { tenant, node, first: &first.first_event, last: &last.last_event };
    let mut steps = Vec::with_capacity(tenants.len());
    for tenant in &tenants {
        steps.push(Step::read(db, &stretch(tenant)).await?);
    }
    let mut tx = db.begin().await?;
    let moved = sql!("UPDATE node SET followed_seq = $3, followed_event = $4 WHERE node = $1 AND followed_seq = $2")
        .bind(node)
        .bind(followed_seq)
        .bind(last.seq)
        .bind(&last.last_event)
        .execute(&mut tx)
        .await?;
    if moved == 0 {
        // Another process followed the same batches first; its sums stand.
        return Ok(true);
    }
    for (tenant, step) in tenants.iter().zip(steps) {
        sql!("INSERT INTO usage_rollup (tenant_id, customer_id, feature, hour, used, events) SELECT tenant_id, customer_id, feature, at - at % 3600000000, CAST(SUM(amount) AS BIGINT), COUNT(*) FROM usage_event WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND node = $4 AND amount <> 0 GROUP BY tenant_id, customer_id, feature, at - at % 3600000000 ON CONFLICT (tenant_id, customer_id, feature, hour) DO UPDATE SET used = usage_rollup.used + excluded.used, events = usage_rollup.events + excluded.events")
            .bind(tenant)
            .bind(&first.first_event)
            .bind(&last.last_event)
            .bind(node)
            .execute(&mut tx)
            .await?;
        step.write(&mut tx, &stretch(tenant)).await?;
    }
    tx.commit().await?;
    Ok(i64::try_from(batches.len()).unwrap_or(0) == batches_max)
}

/// The nodes that have batches to sum.
pub async fn nodes(db: &Db) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> =
        sql!("SELECT n.node FROM node n WHERE EXISTS (SELECT 1 FROM gate_batch b WHERE b.node = n.node AND b.seq > n.followed_seq) ORDER BY n.node")
            .all(db)
            .await?;
    Ok(rows.into_iter().map(|(node,)| node).collect())
}
