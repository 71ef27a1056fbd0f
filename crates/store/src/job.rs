//! The queue: all future work is a row with a due time, and a lease with a fence decides who does it.

use domain::id::{JobId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;

/// A job that is due.
#[derive(Debug, Clone, FromRow)]
pub struct JobRow {
    /// Whose.
    pub tenant_id: String,
    /// Its id.
    pub job_id: String,
    /// What to do.
    pub kind: String,
    /// With what, as JSON.
    pub payload: String,
    /// When it became due.
    pub due_at: i64,
    /// How often it was tried.
    pub attempts: i64,
    /// Grows with every lease; an effect is only written while it is still the highest.
    pub fence: i64,
}

/// Adds a job unless one of the same kind and key is there; answers whether it was added.
pub async fn push(
    tx: &mut Tx,
    tenant: &TenantId,
    (id, kind, payload): (&JobId, &str, &str),
    (once_key, due_at): (&str, Timestamp),
) -> Result<bool> {
    let rows = sql!("INSERT INTO job (tenant_id, job_id, kind, payload, once_key, due_at, state, attempts, fence) VALUES ($1, $2, $3, $4, $5, $6, 'ready', 0, 0) ON CONFLICT (tenant_id, kind, once_key) DO NOTHING")
        .bind(tenant)
        .bind(id)
        .bind(kind)
        .bind(payload)
        .bind(once_key)
        .bind(due_at)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Jobs that are due and leased to nobody, oldest first.
pub async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<JobRow>> {
    sql!("SELECT tenant_id, job_id, kind, payload, due_at, attempts, fence FROM job WHERE state = 'ready' AND due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1) ORDER BY due_at, job_id LIMIT $2")
        .bind(now)
        .bind(limit)
        .all(db)
        .await
}

/// When the next job is due.
pub async fn next_due(db: &Db) -> Result<Option<Timestamp>> {
    let row: Option<(Option<i64>,)> = sql!(
        "SELECT MIN(CASE WHEN leased_until > due_at THEN leased_until ELSE due_at END) FROM job WHERE state = 'ready'"
    )
    .find(db)
    .await?;
    Ok(row.and_then(|(due,)| due).map(Timestamp::from_micros))
}

/// Takes a lease; answers false when somebody else was first.
pub async fn lease(tx: &mut Tx, job: &JobRow, now: Timestamp, until: Timestamp) -> Result<bool> {
    let rows = sql!("UPDATE job SET leased_until = $5, fence = fence + 1, attempts = attempts + 1 WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'ready' AND (leased_until IS NULL OR leased_until <= $4)")
        .bind(&job.tenant_id)
        .bind(&job.job_id)
        .bind(job.fence)
        .bind(now)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Ends every lease: for a process that is alone on its database and has just begun.
pub async fn end_leases(tx: &mut Tx) -> Result<()> {
    sql!("UPDATE job SET leased_until = NULL WHERE state = 'ready' AND leased_until IS NOT NULL")
        .execute(tx)
        .await
        .map(|_| ())
}

/// Ends a leased job in the transaction of its effect, or gives it a new due time. `fence` is the leased one: when
/// another lease was taken meanwhile nothing is changed, and the caller must roll back.
pub async fn finish(
    tx: &mut Tx,
    job: &JobRow,
    fence: i64,
    again_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let rows = sql!("UPDATE job SET state = CASE WHEN CAST($4 AS BIGINT) IS NULL THEN 'done' ELSE 'ready' END, due_at = COALESCE($4, due_at), leased_until = NULL, finished_at = $5, last_error = NULL WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'ready'")
        .bind(&job.tenant_id)
        .bind(&job.job_id)
        .bind(fence)
        .bind(again_at)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Puts a failed job back for a later try.
pub async fn retry(tx: &mut Tx, job: &JobRow, fence: i64, (error, at): (&str, Timestamp)) -> Result<bool> {
    let rows = sql!("UPDATE job SET due_at = $4, leased_until = NULL, last_error = $5 WHERE tenant_id = $1 AND job_id = $2 AND fence = $3 AND state = 'ready'")
        .bind(&job.tenant_id)
        .bind(&job.job_id)
        .bind(fence)
        .bind(at)
        .bind(error)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}
