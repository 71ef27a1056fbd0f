//! The end of quota periods: up to where a customer's are closed, and what is known of them then.

use domain::closing::Closed;
use domain::id::{CustomerId, FeatureKey, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;

/// Up to where the periods of a customer are closed.
#[derive(Debug, Clone, FromRow)]
pub struct CloseRow {
    /// Where its monthly periods are counted from.
    pub anchor: i64,
    /// Up to where; none of one that nobody has looked at yet.
    pub closed_to: Option<i64>,
    /// When the next one is to be closed.
    pub next_close_at: Option<i64>,
}

/// Up to where the periods of a customer are closed.
pub async fn find(db: &Db, tenant: &TenantId, customer: &CustomerId) -> Result<Option<CloseRow>> {
    sql!("SELECT anchor, closed_to, next_close_at FROM customer WHERE tenant_id = $1 AND customer_id = $2")
        .bind(tenant)
        .bind(customer)
        .find(db)
        .await
}

/// Customers whose periods nobody has looked at yet.
pub async fn unclosed(db: &Db, tenant: &TenantId, rows_max: i64) -> Result<Vec<CustomerId>> {
    let rows: Vec<(String,)> = sql!(
        "SELECT customer_id FROM customer WHERE tenant_id = $1 AND closed_to IS NULL ORDER BY customer_id LIMIT $2"
    )
    .bind(tenant)
    .bind(rows_max)
    .all(db)
    .await?;
    Ok(rows.into_iter().map(|(customer,)| CustomerId::stored(customer)).collect())
}

/// The customers who have a period to be closed first, at or before an instant: when, and who.
pub async fn first_due(db: &Db, tenant: &TenantId, until: Timestamp, rows_max: i64) -> Result<Vec<(i64, String)>> {
    sql!("SELECT next_close_at, customer_id FROM customer WHERE tenant_id = $1 AND next_close_at <= $2 ORDER BY next_close_at, customer_id LIMIT $3")
        .bind(tenant)
        .bind(until)
        .bind(rows_max)
        .all(db)
        .await
}

/// Notes up to where a customer's periods are closed, and when the next one is to be. Answers whether it still stood
/// where the caller found it; none is nowhere yet.
pub async fn advance(
    tx: &mut Tx,
    tenant: &TenantId,
    customer: &CustomerId,
    (from, to): (Option<Timestamp>, Timestamp),
    next: Option<Timestamp>,
) -> Result<bool> {
    let rows = sql!("UPDATE customer SET closed_to = $4, next_close_at = $5 WHERE tenant_id = $1 AND customer_id = $2 AND COALESCE(closed_to, 0) = $3")
        .bind(tenant)
        .bind(customer)
        .bind(from.unwrap_or(Timestamp::EPOCH))
        .bind(to)
        .bind(next)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Lets somebody look at once when the next period of a customer is to be closed: what it is granted has changed.
pub async fn look_again(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId, at: Timestamp) -> Result<()> {
    sql!("UPDATE customer SET next_close_at = $3 WHERE tenant_id = $1 AND customer_id = $2 AND closed_to IS NOT NULL AND COALESCE(next_close_at, $3 + 1) > $3")
        .bind(tenant)
        .bind(customer)
        .bind(at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes that a period is closed; a second time is a conflict.
pub async fn record(
    tx: &mut Tx,
    tenant: &TenantId,
    customer: &CustomerId,
    closed: &Closed,
    at: Timestamp,
) -> Result<()> {
    sql!("INSERT INTO period_close (tenant_id, customer_id, slot, period_start, period_end, at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(tenant)
        .bind(customer)
        .bind(closed.slot())
        .bind(closed.period.start)
        .bind(closed.period.end.unwrap_or(at))
        .bind(at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The periods of a customer that are closed, of the slots that look like a pattern, from an instant on, oldest first.
pub async fn closed_since(
    db: &Db,
    tenant: &TenantId,
    (customer, slots): (&CustomerId, &str),
    since: Timestamp,
) -> Result<Vec<(i64, i64)>> {
    sql!("SELECT period_start, period_end FROM period_close WHERE tenant_id = $1 AND customer_id = $2 AND slot LIKE $3 AND period_start >= $4 ORDER BY period_start")
        .bind(tenant)
        .bind(customer)
        .bind(slots)
        .bind(since)
        .all(db)
        .await
}

/// Units of a feature that were used beyond the plan's limit in a period from an instant on, as each event says.
pub async fn overrun(
    db: &Db,
    tenant: &TenantId,
    (customer, feature): (&CustomerId, &FeatureKey),
    (period_start, since): (Timestamp, Timestamp),
) -> Result<i64> {
    let row: Option<(i64,)> = sql!("SELECT CAST(COALESCE(SUM(overrun), 0) AS BIGINT) FROM usage_event WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3 AND period_start = $4 AND overrun > 0 AND amount > 0 AND source = 'plan' AND at >= $5")
        .bind(tenant)
        .bind(customer)
        .bind(feature)
        .bind(period_start)
        .bind(since)
        .find(db)
        .await?;
    Ok(row.map_or(0, |(units,)| units))
}
