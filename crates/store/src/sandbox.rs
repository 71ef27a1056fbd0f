//! The books of the sandbox provider, which stand for a payment company's: each function is a call to that company, with
//! a transaction of its own. Only `app::sandbox` uses them.

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, sql};
use crate::error::Result;

/// A plan in the sandbox's books.
#[derive(Debug, Clone, FromRow)]
pub struct SandboxPlanRow {
    /// The sandbox's id.
    pub sandbox_plan_id: String,
    /// The caller's name for it.
    pub reference: String,
    /// What people read.
    pub name: String,
    /// `month` or `year`.
    pub interval: String,
    /// ISO 4217.
    pub currency: String,
    /// The price in minor units.
    pub amount_minor: i64,
    /// Whether it can be subscribed to.
    pub active: bool,
}

/// A subscription in the sandbox's books.
#[derive(Debug, Clone, FromRow)]
pub struct SandboxSubscriptionRow {
    /// The sandbox's id.
    pub sandbox_subscription_id: String,
    /// The caller's name for it.
    pub reference: String,
    /// To which plan.
    pub sandbox_plan_id: String,
    /// What opens its approval page.
    pub token: String,
    /// Where the buyer goes afterwards.
    pub return_url: String,
    /// `pending`, `active` or `ended`.
    pub status: String,
}

/// Adds a plan. Like a payment company it makes another one when it is asked twice.
pub async fn insert_plan(db: &Db, tenant: &TenantId, row: &SandboxPlanRow, now: Timestamp) -> Result<()> {
    let mut tx = db.begin().await?;
    sql!("INSERT INTO sandbox_plan (tenant_id, sandbox_plan_id, reference, name, interval, currency, amount_minor, active, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(tenant)
        .bind(&row.sandbox_plan_id)
        .bind(&row.reference)
        .bind(&row.name)
        .bind(&row.interval)
        .bind(&row.currency)
        .bind(row.amount_minor)
        .bind(row.active)
        .bind(now)
        .execute(&mut tx)
        .await?;
    tx.commit().await
}

/// The plan of a caller's name, the first if there are several.
pub async fn find_plan_by_reference(db: &Db, tenant: &TenantId, reference: &str) -> Result<Option<SandboxPlanRow>> {
    sql!("SELECT sandbox_plan_id, reference, name, interval, currency, amount_minor, active FROM sandbox_plan WHERE tenant_id = $1 AND reference = $2 ORDER BY created_at, sandbox_plan_id LIMIT 1")
        .bind(tenant)
        .bind(reference)
        .find(db)
        .await
}

/// All plans, the newest first.
pub async fn plans(db: &Db, tenant: &TenantId) -> Result<Vec<SandboxPlanRow>> {
    sql!("SELECT sandbox_plan_id, reference, name, interval, currency, amount_minor, active FROM sandbox_plan WHERE tenant_id = $1 ORDER BY created_at DESC, sandbox_plan_id DESC LIMIT 500")
        .bind(tenant)
        .all(db)
        .await
}

/// A plan by its id.
pub async fn find_plan(db: &Db, tenant: &TenantId, plan: &str) -> Result<Option<SandboxPlanRow>> {
    sql!("SELECT sandbox_plan_id, reference, name, interval, currency, amount_minor, active FROM sandbox_plan WHERE tenant_id = $1 AND sandbox_plan_id = $2")
        .bind(tenant)
        .bind(plan)
        .find(db)
        .await
}

/// Stops new subscriptions to a plan.
pub async fn deactivate_plan(db: &Db, tenant: &TenantId, plan: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    sql!("UPDATE sandbox_plan SET active = FALSE WHERE tenant_id = $1 AND sandbox_plan_id = $2")
        .bind(tenant)
        .bind(plan)
        .execute(&mut tx)
        .await?;
    tx.commit().await
}

/// Adds a subscription.
pub async fn insert_subscription(
    db: &Db,
    tenant: &TenantId,
    row: &SandboxSubscriptionRow,
    now: Timestamp,
) -> Result<()> {
    let mut tx = db.begin().await?;
    sql!("INSERT INTO sandbox_subscription (tenant_id, sandbox_subscription_id, reference, sandbox_plan_id, token, return_url, status, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(tenant)
        .bind(&row.sandbox_subscription_id)
        .bind(&row.reference)
        .bind(&row.sandbox_plan_id)
        .bind(&row.token)
        .bind(&row.return_url)
        .bind(&row.status)
        .bind(now)
        .execute(&mut tx)
        .await?;
    tx.commit().await
}

/// A subscription by the caller's name for it.
pub async fn find_subscription_by_reference(
    db: &Db,
    tenant: &TenantId,
    reference: &str,
) -> Result<Option<SandboxSubscriptionRow>> {
    sql!("SELECT sandbox_subscription_id, reference, sandbox_plan_id, token, return_url, status FROM sandbox_subscription WHERE tenant_id = $1 AND reference = $2 ORDER BY created_at LIMIT 1")
        .bind(tenant)
        .bind(reference)
        .find(db)
        .await
}

/// A subscription by its id.
pub async fn find_subscription(db: &Db, tenant: &TenantId, id: &str) -> Result<Option<SandboxSubscriptionRow>> {
    sql!("SELECT sandbox_subscription_id, reference, sandbox_plan_id, token, return_url, status FROM sandbox_subscription WHERE tenant_id = $1 AND sandbox_subscription_id = $2")
        .bind(tenant)
        .bind(id)
        .find(db)
        .await
}

/// A subscription by what opens its approval page, and whose it is: the page has no other credential.
pub async fn find_by_token(db: &Db, token: &str) -> Result<Option<(String, SandboxSubscriptionRow)>> {
    #[derive(FromRow)]
    struct Found {
        tenant_id: String,
        #[sqlx(flatten)]
        row: SandboxSubscriptionRow,
    }
    let found: Option<Found> = sql!("SELECT tenant_id, sandbox_subscription_id, reference, sandbox_plan_id, token, return_url, status FROM sandbox_subscription WHERE token = $1")
        .bind(token)
        .find(db)
        .await?;
    Ok(found.map(|found| (found.tenant_id, found.row)))
}

/// Answers for the buyer; answers whether it still waited.
pub async fn decide(db: &Db, tenant: &TenantId, id: &str, status: &str) -> Result<bool> {
    let mut tx = db.begin().await?;
    let rows = sql!("UPDATE sandbox_subscription SET status = $3 WHERE tenant_id = $1 AND sandbox_subscription_id = $2 AND status = 'pending'")
        .bind(tenant)
        .bind(id)
        .bind(status)
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Ends a subscription, approved or not; a second time is no failure.
pub async fn end(db: &Db, tenant: &TenantId, id: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    sql!("UPDATE sandbox_subscription SET status = 'ended' WHERE tenant_id = $1 AND sandbox_subscription_id = $2")
        .bind(tenant)
        .bind(id)
        .execute(&mut tx)
        .await?;
    tx.commit().await
}

/// Lets payments of a subscription fail from now on, or come again; answers whether there is such a subscription.
pub async fn set_declines(db: &Db, tenant: &TenantId, id: &str, declines: bool) -> Result<bool> {
    let mut tx = db.begin().await?;
    let rows =
        sql!("UPDATE sandbox_subscription SET declines = $3 WHERE tenant_id = $1 AND sandbox_subscription_id = $2")
            .bind(tenant)
            .bind(id)
            .bind(declines)
            .execute(&mut tx)
            .await?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Money that the sandbox was asked for.
#[derive(Debug, Clone)]
pub struct SandboxCharge {
    /// The caller's key: asked twice for it, the sandbox answers as before.
    pub reference: String,
    /// Of which subscription.
    pub sandbox_subscription_id: String,
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount_minor: i64,
}

/// Asks for money; answers whether it came. The same reference is charged once.
pub async fn charge(db: &Db, tenant: &TenantId, charge: &SandboxCharge, now: Timestamp) -> Result<bool> {
    let mut tx = db.begin().await?;
    sql!("INSERT INTO sandbox_charge (tenant_id, reference, sandbox_subscription_id, currency, amount_minor, paid, created_at) SELECT $1, $2, $3, $4, CAST($5 AS BIGINT), COALESCE((SELECT NOT declines AND status = 'active' FROM sandbox_subscription WHERE tenant_id = $1 AND sandbox_subscription_id = $3), FALSE), CAST($6 AS BIGINT) WHERE TRUE ON CONFLICT (tenant_id, reference) DO NOTHING")
        .bind(tenant)
        .bind(&charge.reference)
        .bind(&charge.sandbox_subscription_id)
        .bind(&charge.currency)
        .bind(charge.amount_minor)
        .bind(now)
        .execute(&mut tx)
        .await?;
    let row: Option<(bool,)> = sql!("SELECT paid FROM sandbox_charge WHERE tenant_id = $1 AND reference = $2")
        .bind(tenant)
        .bind(&charge.reference)
        .find(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(row.is_some_and(|(paid,)| paid))
}
