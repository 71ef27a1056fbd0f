//! Money that is asked for and money that is given back: once for each slot of a subscription.

use domain::id::{CustomerId, SubscriptionId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// An invoice, or with an amount below nothing what is given back.
#[derive(Debug, Clone, FromRow)]
pub struct InvoiceRow {
    /// Its id.
    pub invoice_id: String,
    /// Whose.
    pub customer_id: String,
    /// Of which subscription.
    pub subscription_id: String,
    /// What it is for, once for the subscription.
    pub slot: String,
    /// `open`, `failed`, `retrying`, `paid`, `void` or `refunded`.
    pub state: String,
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount_minor: i64,
    /// Through whom; none by hand.
    pub provider: Option<String>,
    /// How often it was tried to collect it.
    pub tries: i64,
    /// When it is to be collected; none while nobody is to.
    pub collect_at: Option<i64>,
    /// When it was made, in the tenant's time.
    pub issued_at: i64,
    /// When it was paid, given back or given up.
    pub settled_at: Option<i64>,
}

/// A line of an invoice.
#[derive(Debug, Clone, FromRow)]
pub struct LineRow {
    /// Of which invoice.
    pub invoice_id: String,
    /// `plan`, `discount`, `unused` or `overage`.
    pub kind: String,
    /// The plan that it is about.
    pub plan_id: String,
    /// Minor units.
    pub amount_minor: i64,
    /// The time that it is for.
    pub period_start: i64,
    /// The end of that.
    pub period_end: i64,
    /// What was used beyond its limit, of a line for that.
    pub feature: Option<String>,
    /// How many units.
    pub units: Option<i64>,
}

/// What is open of a subscription: its slot, and how far one is with it.
#[derive(Debug, Clone, FromRow)]
pub struct OpenRow {
    /// The slot.
    pub slot: String,
    /// `open`, `failed` or `retrying`.
    pub state: String,
}

/// Adds an invoice with its lines; a second one for a slot is a conflict.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &InvoiceRow, lines: &[LineRow]) -> Result<()> {
    sql!("INSERT INTO invoice (tenant_id, invoice_id, customer_id, subscription_id, slot, state, currency, amount_minor, provider, tries, collect_at, issued_at, settled_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .bind(tenant)
        .bind(&row.invoice_id)
        .bind(&row.customer_id)
        .bind(&row.subscription_id)
        .bind(&row.slot)
        .bind(&row.state)
        .bind(&row.currency)
        .bind(row.amount_minor)
        .bind(row.provider.clone())
        .bind(row.tries)
        .bind(row.collect_at)
        .bind(row.issued_at)
        .bind(row.settled_at)
        .execute(&mut *tx)
        .await?;
    for (number, line) in (0_i64..).zip(lines) {
        sql!("INSERT INTO invoice_line (tenant_id, invoice_id, line, kind, plan_id, amount_minor, period_start, period_end, feature, units) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(tenant)
            .bind(&row.invoice_id)
            .bind(number)
            .bind(&line.kind)
            .bind(&line.plan_id)
            .bind(line.amount_minor)
            .bind(line.period_start)
            .bind(line.period_end)
            .bind(line.feature.clone())
            .bind(line.units)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// What is open of a subscription, oldest first.
pub async fn open(on: impl Into<On<'_>>, tenant: &TenantId, subscription: &str) -> Result<Vec<OpenRow>> {
    sql!("SELECT slot, state FROM invoice WHERE tenant_id = $1 AND subscription_id = $2 AND state IN ('open', 'failed', 'retrying') ORDER BY issued_at, slot")
        .bind(tenant)
        .bind(subscription)
        .all(on)
        .await
}

/// Moves the invoice of a slot that is open: to another state, or to be collected at an instant.
pub async fn update(
    tx: &mut Tx,
    tenant: &TenantId,
    (subscription, slot): (&SubscriptionId, &str),
    (state, collect_at): (&str, Option<Timestamp>),
    settled_at: Option<Timestamp>,
) -> Result<()> {
    sql!("UPDATE invoice SET state = $4, collect_at = $5, settled_at = $6 WHERE tenant_id = $1 AND subscription_id = $2 AND slot = $3 AND state IN ('open', 'failed', 'retrying')")
        .bind(tenant)
        .bind(subscription)
        .bind(slot)
        .bind(state)
        .bind(collect_at)
        .bind(settled_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Counts a try of an invoice, which is not to be collected again by itself. Answers whether it still was to be.
pub async fn tried(tx: &mut Tx, tenant: &TenantId, row: &InvoiceRow) -> Result<bool> {
    let rows = sql!("UPDATE invoice SET tries = tries + 1, collect_at = NULL WHERE tenant_id = $1 AND invoice_id = $2 AND tries = $3 AND collect_at IS NOT NULL")
        .bind(tenant)
        .bind(&row.invoice_id)
        .bind(row.tries)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// The invoices that are to be collected first, at or before an instant: when, and their ids.
pub async fn first_to_collect(
    db: &Db,
    tenant: &TenantId,
    until: Timestamp,
    rows_max: i64,
) -> Result<Vec<(i64, String)>> {
    sql!("SELECT collect_at, invoice_id FROM invoice WHERE tenant_id = $1 AND collect_at <= $2 ORDER BY collect_at, invoice_id LIMIT $3")
        .bind(tenant)
        .bind(until)
        .bind(rows_max)
        .all(db)
        .await
}

/// One invoice.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, invoice: &str) -> Result<Option<InvoiceRow>> {
    sql!("SELECT invoice_id, customer_id, subscription_id, slot, state, currency, amount_minor, provider, tries, collect_at, issued_at, settled_at FROM invoice WHERE tenant_id = $1 AND invoice_id = $2")
        .bind(tenant)
        .bind(invoice)
        .find(on)
        .await
}

/// A customer's invoices by when they were made.
pub async fn list(db: &Db, tenant: &TenantId, customer: &CustomerId, wanted: &Wanted) -> Result<Vec<InvoiceRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT invoice_id, customer_id, subscription_id, slot, state, currency, amount_minor, provider, tries, collect_at, issued_at, settled_at FROM invoice WHERE tenant_id = $1 AND customer_id = $2 AND (issued_at, invoice_id) < (CAST($3 AS BIGINT), $4) AND LOWER(slot) LIKE $5 ESCAPE '!' ORDER BY issued_at DESC, invoice_id DESC LIMIT $6"
        )
    } else {
        sql!(
            "SELECT invoice_id, customer_id, subscription_id, slot, state, currency, amount_minor, provider, tries, collect_at, issued_at, settled_at FROM invoice WHERE tenant_id = $1 AND customer_id = $2 AND (issued_at, invoice_id) > (CAST($3 AS BIGINT), $4) AND LOWER(slot) LIKE $5 ESCAPE '!' ORDER BY issued_at, invoice_id LIMIT $6"
        )
    };
    let start = wanted.start();
    query
        .bind(tenant)
        .bind(customer)
        .bind(start.value.parse::<i64>().unwrap_or_default())
        .bind(start.id)
        .bind(wanted.pattern())
        .bind(wanted.rows)
        .all(db)
        .await
}

/// The lines of some invoices, whose ids are a JSON list.
pub async fn lines(db: &Db, tenant: &TenantId, invoices: &str) -> Result<Vec<LineRow>> {
    sql!("SELECT invoice_id, kind, plan_id, amount_minor, period_start, period_end, feature, units FROM invoice_line WHERE tenant_id = $1 AND invoice_id IN (SELECT value FROM {json_each}(CAST($2 AS {json}))) ORDER BY invoice_id, line")
        .bind(tenant)
        .bind(invoices)
        .all(db)
        .await
}

/// What was asked of a customer in all, less what was given back, in minor units: of one currency only it means anything.
pub async fn total(db: &Db, tenant: &TenantId, customer: &CustomerId) -> Result<i64> {
    let row: Option<(i64,)> = sql!(
        "SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) FROM invoice WHERE tenant_id = $1 AND customer_id = $2"
    )
    .bind(tenant)
    .bind(customer)
    .find(db)
    .await?;
    Ok(row.map_or(0, |(total,)| total))
}
