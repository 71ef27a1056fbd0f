//! A sandbox tenant's clock, while it is moved; and which tenants have something that time does.

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A clock that is moved, or that could not be.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ClockRow {
    /// Where it stood.
    pub started_at: i64,
    /// Where it is to stand.
    pub target: i64,
    /// Up to where everything that fell due is done.
    pub done_to: i64,
    /// How many things that were.
    pub steps: i64,
    /// Why it stopped, if it did.
    pub error: Option<String>,
}

/// The clock of a tenant, if it is moved.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Option<ClockRow>> {
    sql!("SELECT started_at, target, done_to, steps, error FROM clock WHERE tenant_id = $1").bind(tenant).find(on).await
}

/// Begins to move a clock; one that stopped goes on to the new target.
pub async fn begin(tx: &mut Tx, tenant: &TenantId, (from, to): (Timestamp, Timestamp)) -> Result<()> {
    sql!("INSERT INTO clock (tenant_id, started_at, target, done_to, steps) VALUES ($1, $2, $3, $2, 0) ON CONFLICT (tenant_id) DO UPDATE SET target = excluded.target, error = NULL")
        .bind(tenant)
        .bind(from)
        .bind(to)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes how far it has come.
pub async fn note(tx: &mut Tx, tenant: &TenantId, (done_to, steps): (Timestamp, i64)) -> Result<()> {
    sql!("UPDATE clock SET done_to = $2, steps = steps + $3 WHERE tenant_id = $1 AND done_to <= $2")
        .bind(tenant)
        .bind(done_to)
        .bind(steps)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes why it stopped: everything else up to the target is done.
pub async fn fail(tx: &mut Tx, tenant: &TenantId, error: &str) -> Result<()> {
    sql!("UPDATE clock SET error = $2, done_to = target WHERE tenant_id = $1")
        .bind(tenant)
        .bind(error)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Ends the move, if it is still to this target: from now on the tenant's time is real time and the offset. Answers
/// whether it was.
pub async fn finish(tx: &mut Tx, tenant: &TenantId, target: Timestamp, offset: i64) -> Result<bool> {
    let rows = sql!("DELETE FROM clock WHERE tenant_id = $1 AND target = $2 AND error IS NULL")
        .bind(tenant)
        .bind(target)
        .execute(&mut *tx)
        .await?;
    if rows == 0 {
        return Ok(false);
    }
    sql!("UPDATE tenant SET clock_offset = $2 WHERE tenant_id = $1").bind(tenant).bind(offset).execute(tx).await?;
    Ok(true)
}

/// Tenants for which something is due in their own time, or whose clock is moved, or who have subscriptions that are not
/// billed yet. Those that the operator has suspended rest.
pub async fn busy_tenants(db: &Db, now: Timestamp) -> Result<Vec<TenantId>> {
    let rows: Vec<(String,)> = sql!("SELECT t.tenant_id FROM tenant t WHERE NOT t.suspended AND (EXISTS (SELECT 1 FROM clock c WHERE c.tenant_id = t.tenant_id) OR EXISTS (SELECT 1 FROM subscription s WHERE s.tenant_id = t.tenant_id AND s.next_due_at <= $1 + t.clock_offset) OR EXISTS (SELECT 1 FROM invoice i WHERE i.tenant_id = t.tenant_id AND i.collect_at <= $1 + t.clock_offset) OR EXISTS (SELECT 1 FROM customer k WHERE k.tenant_id = t.tenant_id AND (k.next_close_at <= $1 + t.clock_offset OR k.closed_to IS NULL)) OR EXISTS (SELECT 1 FROM subscription b WHERE b.tenant_id = t.tenant_id AND b.billing_anchor = 0 AND b.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled'))) ORDER BY t.tenant_id")
        .bind(now)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(tenant,)| TenantId::stored(tenant)).collect())
}

/// A subscription of a payment company, of those that are alive: its clock is the company's.
pub async fn billed_elsewhere(tx: &mut Tx, tenant: &TenantId) -> Result<Option<String>> {
    let row: Option<(String,)> = sql!("SELECT provider FROM subscription WHERE tenant_id = $1 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') AND provider IN ('paypal', 'stripe', 'paddle') LIMIT 1")
        .bind(tenant)
        .find(tx)
        .await?;
    Ok(row.map(|(provider,)| provider))
}
