//! Customers brought in from elsewhere: the lines that wait, how far they are done, and prices of one customer's own.

use domain::id::{CustomerId, PlanId, PriceId, SubscriptionId, TenantId};
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// An import.
#[derive(Debug, Clone, FromRow)]
pub struct ImportRow {
    /// Its id.
    pub import_id: String,
    /// Who began it.
    pub actor: String,
    /// The request that brought it.
    pub request_id: String,
    /// Whether nothing is to be written.
    pub dry_run: bool,
    /// `receiving`, `running`, `done` or `failed`.
    pub state: String,
    /// Lines that came.
    pub lines: i64,
    /// Lines that are done.
    pub done: i64,
    /// What came of them, as JSON.
    pub counts: String,
    /// The first lines that are wrong, as JSON.
    pub errors: String,
    /// When it began.
    pub created_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
}

/// Begins an import.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &ImportRow) -> Result<()> {
    sql!("INSERT INTO import (tenant_id, import_id, actor, request_id, dry_run, state, lines, done, counts, errors, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(tenant)
        .bind(&row.import_id)
        .bind(&row.actor)
        .bind(&row.request_id)
        .bind(row.dry_run)
        .bind(&row.state)
        .bind(row.lines)
        .bind(row.done)
        .bind(&row.counts)
        .bind(&row.errors)
        .bind(row.created_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// One import.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, import: &str) -> Result<Option<ImportRow>> {
    sql!("SELECT import_id, actor, request_id, dry_run, state, lines, done, counts, errors, created_at, finished_at FROM import WHERE tenant_id = $1 AND import_id = $2")
        .bind(tenant)
        .bind(import)
        .find(on)
        .await
}

/// The oldest import of a tenant that has something to do.
pub async fn running(db: &Db, tenant: &TenantId) -> Result<Option<ImportRow>> {
    sql!("SELECT import_id, actor, request_id, dry_run, state, lines, done, counts, errors, created_at, finished_at FROM import WHERE tenant_id = $1 AND state = 'running' ORDER BY created_at, import_id LIMIT 1")
        .bind(tenant)
        .find(db)
        .await
}

/// Writes how far an import is, unless it is elsewhere than at `from`: then another process did the same.
pub async fn update(tx: &mut Tx, tenant: &TenantId, row: &ImportRow, from: i64) -> Result<bool> {
    let rows = sql!("UPDATE import SET state = $4, lines = $5, done = $6, counts = $7, errors = $8, finished_at = $9 WHERE tenant_id = $1 AND import_id = $2 AND done = $3")
        .bind(tenant)
        .bind(&row.import_id)
        .bind(from)
        .bind(&row.state)
        .bind(row.lines)
        .bind(row.done)
        .bind(&row.counts)
        .bind(&row.errors)
        .bind(row.finished_at)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Keeps some lines of an import until they are done.
pub async fn insert_part(tx: &mut Tx, tenant: &TenantId, import: &str, (first, body): (i64, &str)) -> Result<()> {
    sql!("INSERT INTO import_part (tenant_id, import_id, first_line, body) VALUES ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(import)
        .bind(first)
        .bind(body)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The next lines of an import, with the number of the first.
pub async fn next_part(db: &Db, tenant: &TenantId, import: &str) -> Result<Option<(i64, String)>> {
    sql!("SELECT first_line, body FROM import_part WHERE tenant_id = $1 AND import_id = $2 ORDER BY first_line LIMIT 1")
        .bind(tenant)
        .bind(import)
        .find(db)
        .await
}

/// Drops lines that are done.
pub async fn drop_part(tx: &mut Tx, tenant: &TenantId, import: &str, first: i64) -> Result<()> {
    sql!("DELETE FROM import_part WHERE tenant_id = $1 AND import_id = $2 AND first_line = $3")
        .bind(tenant)
        .bind(import)
        .bind(first)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A plan's price of some amount: a public version, the newest first, or else the customer's own.
pub async fn price_of(
    tx: &mut Tx,
    tenant: &TenantId,
    (plan, customer): (&PlanId, &CustomerId),
    (interval, currency, amount_minor): (&str, &str, i64),
) -> Result<Option<PriceId>> {
    let found: Option<(String,)> = sql!("SELECT price_id FROM price WHERE tenant_id = $1 AND plan_id = $2 AND interval = $4 AND currency = $5 AND amount_minor = $6 AND (customer_id IS NULL OR customer_id = $3) ORDER BY CASE WHEN customer_id IS NULL THEN 0 ELSE 1 END, version DESC LIMIT 1")
        .bind(tenant)
        .bind(plan)
        .bind(customer)
        .bind(interval)
        .bind(currency)
        .bind(amount_minor)
        .find(tx)
        .await?;
    Ok(found.map(|(price,)| PriceId::stored(price)))
}

/// Notes what the payment provider calls a subscription.
pub async fn set_provider(
    tx: &mut Tx,
    tenant: &TenantId,
    subscription: &SubscriptionId,
    (provider, theirs, customer): (&str, Option<&str>, Option<&str>),
) -> Result<()> {
    sql!("UPDATE subscription SET provider = $3, provider_subscription = $4, provider_customer = $5 WHERE tenant_id = $1 AND subscription_id = $2")
        .bind(tenant)
        .bind(subscription)
        .bind(provider)
        .bind(theirs)
        .bind(customer)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The customer who has a subscription of a provider's.
pub async fn customer_of(tx: &mut Tx, tenant: &TenantId, (provider, theirs): (&str, &str)) -> Result<Option<String>> {
    let row: Option<(String,)> = sql!("SELECT customer_id FROM subscription WHERE tenant_id = $1 AND provider = $2 AND provider_subscription = $3 LIMIT 1")
        .bind(tenant)
        .bind(provider)
        .bind(theirs)
        .find(tx)
        .await?;
    Ok(row.map(|(customer,)| customer))
}

/// Whether a customer has or ever had a subscription.
pub async fn had_subscription(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId) -> Result<bool> {
    let row: Option<(String,)> =
        sql!("SELECT change_id FROM subscription_change WHERE tenant_id = $1 AND customer_id = $2 LIMIT 1")
            .bind(tenant)
            .bind(customer)
            .find(tx)
            .await?;
    Ok(row.is_some())
}
