//! Subscriptions, and the history of their transitions.

use domain::entitlement::Subscription;
use domain::id::{CustomerId, PriceId, SubscriptionId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::catalog::word;
use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A subscription with its dates and price.
#[derive(Debug, Clone, FromRow)]
pub struct SubscriptionRow {
    /// Its id.
    pub subscription_id: String,
    /// Whose.
    pub customer_id: String,
    /// The plan.
    pub plan_id: String,
    /// Since when it is on that plan.
    pub plan_since: i64,
    /// The price version; none for a plan without price.
    pub price_id: Option<String>,
    /// `month` or `year`; none without a price.
    pub interval: Option<String>,
    /// The price's currency; none without a price.
    pub currency: Option<String>,
    /// The price in minor units; none without a price.
    pub amount_minor: Option<i64>,
    /// Where it stands.
    pub status: String,
    /// Start of the billing period.
    pub period_start: i64,
    /// Its end.
    pub period_end: Option<i64>,
    /// Until when it may be used after its end.
    pub access_until: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// Grows with every change of the row.
    pub revision: i64,
}

/// The customer's current subscription.
pub async fn current(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    customer: &CustomerId,
) -> Result<Option<SubscriptionRow>> {
    sql!("SELECT s.subscription_id, s.customer_id, s.plan_id, s.plan_since, s.price_id, p.interval, p.currency, p.amount_minor, s.status, s.period_start, s.period_end, s.access_until, s.created_at, s.revision FROM subscription s LEFT JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND s.customer_id = $2 AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled')")
        .bind(tenant)
        .bind(customer)
        .find(on)
        .await
}

/// A subscription to be written.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// What the gate reads of it.
    pub subscription: Subscription,
    /// Start of the billing period.
    pub period_start: Timestamp,
    /// Its end.
    pub period_end: Option<Timestamp>,
}

/// Adds a subscription that began at `began`; a second current one of a customer is a conflict.
pub async fn insert(
    tx: &mut Tx,
    tenant: &TenantId,
    customer: &CustomerId,
    new: &NewSubscription,
    began: Timestamp,
) -> Result<()> {
    let subscription = &new.subscription;
    sql!("INSERT INTO subscription (tenant_id, subscription_id, customer_id, plan_id, price_id, status, period_start, period_end, access_until, created_at, plan_since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)")
        .bind(tenant)
        .bind(&subscription.id)
        .bind(customer)
        .bind(&subscription.plan)
        .bind(subscription.price.as_ref().map(PriceId::as_str))
        .bind(word(&subscription.status))
        .bind(new.period_start)
        .bind(new.period_end)
        .bind(subscription.access_until)
        .bind(began)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Writes what a transition changed. Answers whether the row still had the revision that was read.
pub async fn update(
    tx: &mut Tx,
    tenant: &TenantId,
    row: &SubscriptionRow,
    ended_at: Option<Timestamp>,
) -> Result<bool> {
    let touched = sql!("UPDATE subscription SET plan_id = $4, plan_since = $5, price_id = $6, status = $7, period_start = $8, period_end = $9, access_until = $10, ended_at = $11, revision = revision + 1 WHERE tenant_id = $1 AND subscription_id = $2 AND revision = $3")
        .bind(tenant)
        .bind(&row.subscription_id)
        .bind(row.revision)
        .bind(&row.plan_id)
        .bind(row.plan_since)
        .bind(row.price_id.clone())
        .bind(&row.status)
        .bind(row.period_start)
        .bind(row.period_end)
        .bind(row.access_until)
        .bind(ended_at)
        .execute(tx)
        .await?;
    Ok(touched == 1)
}

/// One transition.
#[derive(Debug, Clone, FromRow)]
pub struct ChangeRow {
    /// Its id, in time order.
    pub change_id: String,
    /// When, in the tenant's time.
    pub at: i64,
    /// Of which subscription.
    pub subscription_id: String,
    /// Whose.
    pub customer_id: String,
    /// Why, such as `created`, `plan_changed` or `canceled`.
    pub cause: String,
    /// Who did it.
    pub actor: String,
    /// The status before; none for the first.
    pub status_before: Option<String>,
    /// The status after.
    pub status_after: String,
    /// The plan before; none for the first.
    pub plan_before: Option<String>,
    /// The plan after.
    pub plan_after: String,
    /// The price version before.
    pub price_before: Option<String>,
    /// The price version after.
    pub price_after: Option<String>,
    /// Of the yearly worth before, where it was another currency.
    pub currency_before: Option<String>,
    /// Of the yearly worth.
    pub currency: String,
    /// What counted as yearly revenue before, in minor units.
    pub annual_before: i64,
    /// What counts as yearly revenue after, in minor units.
    pub annual_after: i64,
    /// What the revenue's move is called; none when it stays.
    pub movement: Option<String>,
}

/// Writes a transition into the history.
pub async fn record(tx: &mut Tx, tenant: &TenantId, row: &ChangeRow) -> Result<()> {
    sql!("INSERT INTO subscription_change (tenant_id, change_id, at, subscription_id, customer_id, cause, actor, status_before, status_after, plan_before, plan_after, price_before, price_after, currency, annual_before, annual_after, movement, currency_before) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)")
        .bind(tenant)
        .bind(&row.change_id)
        .bind(row.at)
        .bind(&row.subscription_id)
        .bind(&row.customer_id)
        .bind(&row.cause)
        .bind(&row.actor)
        .bind(row.status_before.clone())
        .bind(&row.status_after)
        .bind(row.plan_before.clone())
        .bind(&row.plan_after)
        .bind(row.price_before.clone())
        .bind(row.price_after.clone())
        .bind(&row.currency)
        .bind(row.annual_before)
        .bind(row.annual_after)
        .bind(row.movement.clone())
        .bind(row.currency_before.clone())
        .execute(tx)
        .await
        .map(|_| ())
}

/// The transitions of a customer, newest first.
pub async fn history(db: &Db, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<ChangeRow>> {
    sql!("SELECT change_id, at, subscription_id, customer_id, cause, actor, status_before, status_after, plan_before, plan_after, price_before, price_after, currency_before, currency, annual_before, annual_after, movement FROM subscription_change WHERE tenant_id = $1 AND customer_id = $2 ORDER BY at DESC, change_id DESC LIMIT 500")
        .bind(tenant)
        .bind(customer)
        .all(db)
        .await
}

#[derive(FromRow)]
struct WorthRow {
    annual_after: i64,
    currency: String,
}

/// What a subscription was last worth in a year, in minor units of a currency.
pub async fn last_worth(
    tx: &mut Tx,
    tenant: &TenantId,
    (customer, subscription): (&CustomerId, &SubscriptionId),
) -> Result<Option<(i64, String)>> {
    let row: Option<WorthRow> = sql!("SELECT annual_after, currency FROM subscription_change WHERE tenant_id = $1 AND customer_id = $2 AND subscription_id = $3 ORDER BY at DESC, change_id DESC LIMIT 1")
        .bind(tenant)
        .bind(customer)
        .bind(subscription)
        .find(tx)
        .await?;
    Ok(row.map(|row| (row.annual_after, row.currency)))
}

/// Whether a customer ever counted as revenue.
pub async fn paid_ever(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId) -> Result<bool> {
    let found: Option<(i64,)> = sql!(
        "SELECT at FROM subscription_change WHERE tenant_id = $1 AND customer_id = $2 AND annual_after > 0 LIMIT 1"
    )
    .bind(tenant)
    .bind(customer)
    .find(tx)
    .await?;
    Ok(found.is_some())
}

impl SubscriptionRow {
    /// Its id as a type.
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId::stored(self.subscription_id.as_str())
    }
}
