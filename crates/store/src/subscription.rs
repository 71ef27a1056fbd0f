//! Subscriptions, and the history of their transitions.

use domain::id::{CustomerId, SubscriptionId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;

/// A subscription with its dates and price, and all that decides what may happen to it.
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
    /// Where billing periods are counted from.
    pub billing_anchor: i64,
    /// Until when approval is waited for.
    pub pending_until: Option<i64>,
    /// When the trial ends, or ended.
    pub trial_ends_at: Option<i64>,
    /// Whether its end was announced.
    pub trial_warned: bool,
    /// What was charged for the rest of the period, in minor units of the price's currency.
    pub paid_minor: i64,
    /// From when on that is.
    pub paid_from: i64,
    /// When a payment failed first.
    pub dunning_since: Option<i64>,
    /// When its grace ends.
    pub dunning_until: Option<i64>,
    /// The number of the last try.
    pub dunning_tried: i64,
    /// What happens at the end of the period, as JSON.
    pub scheduled: Option<String>,
    /// When a paused one goes on by itself.
    pub resume_at: Option<i64>,
    /// The coupon that was redeemed.
    pub coupon: Option<String>,
    /// From when on it counts.
    pub discount_from: Option<i64>,
    /// Whether a payment method is known.
    pub payable: bool,
    /// When time does something to it next.
    pub next_due_at: Option<i64>,
    /// Through whom it is paid; none by invoice.
    pub provider: Option<String>,
    /// What the provider calls it.
    pub provider_subscription: Option<String>,
}

/// The customer's current subscription.
pub async fn current(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    customer: &CustomerId,
) -> Result<Option<SubscriptionRow>> {
    sql!("SELECT s.subscription_id, s.customer_id, s.plan_id, s.plan_since, s.price_id, p.interval, p.currency, p.amount_minor, s.status, s.period_start, s.period_end, s.access_until, s.created_at, s.revision, s.billing_anchor, s.pending_until, s.trial_ends_at, s.trial_warned, s.paid_minor, s.paid_from, s.dunning_since, s.dunning_until, s.dunning_tried, s.scheduled, s.resume_at, s.coupon, s.discount_from, s.payable, s.next_due_at, s.provider, s.provider_subscription FROM subscription s LEFT JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND s.customer_id = $2 AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled')")
        .bind(tenant)
        .bind(customer)
        .find(on)
        .await
}

/// The subscriptions to which time does something first, at or before an instant: when, and whose they are.
pub async fn first_due(db: &Db, tenant: &TenantId, until: Timestamp, rows_max: i64) -> Result<Vec<(i64, String)>> {
    sql!("SELECT next_due_at, customer_id FROM subscription WHERE tenant_id = $1 AND next_due_at <= $2 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') ORDER BY next_due_at, subscription_id LIMIT $3")
        .bind(tenant)
        .bind(until)
        .bind(rows_max)
        .all(db)
        .await
}

/// Customers whose subscription is not billed yet: it is of before, or a node that does not bill yet made it.
pub async fn unbilled(db: &Db, tenant: &TenantId, rows_max: i64) -> Result<Vec<CustomerId>> {
    let rows: Vec<(String,)> = sql!("SELECT customer_id FROM subscription WHERE tenant_id = $1 AND billing_anchor = 0 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') ORDER BY customer_id LIMIT $2")
        .bind(tenant)
        .bind(rows_max)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(customer,)| CustomerId::stored(customer)).collect())
}

/// Notes anew when time does something to a subscription, where nothing else of it moved.
pub async fn note_due(tx: &mut Tx, tenant: &TenantId, row: &SubscriptionRow, at: Option<Timestamp>) -> Result<()> {
    sql!("UPDATE subscription SET next_due_at = $4 WHERE tenant_id = $1 AND subscription_id = $2 AND revision = $3")
        .bind(tenant)
        .bind(&row.subscription_id)
        .bind(row.revision)
        .bind(at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Adds a subscription; a second current one of a customer is a conflict.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &SubscriptionRow) -> Result<()> {
    sql!("INSERT INTO subscription (tenant_id, subscription_id, customer_id, created_at, plan_id, plan_since, price_id, status, period_start, period_end, access_until, billing_anchor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
        .bind(tenant)
        .bind(&row.subscription_id)
        .bind(&row.customer_id)
        .bind(row.created_at)
        .bind(&row.plan_id)
        .bind(row.plan_since)
        .bind(row.price_id.clone())
        .bind(&row.status)
        .bind(row.period_start)
        .bind(row.period_end)
        .bind(row.access_until)
        .bind(row.billing_anchor)
        .execute(&mut *tx)
        .await?;
    update(tx, tenant, row, None).await.map(|_| ())
}

/// Writes what a transition changed. Answers whether the row still had the revision that was read.
pub async fn update(
    tx: &mut Tx,
    tenant: &TenantId,
    row: &SubscriptionRow,
    ended_at: Option<Timestamp>,
) -> Result<bool> {
    let touched = sql!("UPDATE subscription SET plan_id = $4, plan_since = $5, price_id = $6, status = $7, period_start = $8, period_end = $9, access_until = $10, ended_at = $11, billing_anchor = $12, pending_until = $13, trial_ends_at = $14, trial_warned = $15, paid_minor = $16, paid_from = $17, dunning_since = $18, dunning_until = $19, dunning_tried = $20, scheduled = $21, resume_at = $22, coupon = $23, discount_from = $24, payable = $25, next_due_at = $26, provider = $27, provider_subscription = $28, revision = revision + 1 WHERE tenant_id = $1 AND subscription_id = $2 AND revision = $3")
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
        .bind(row.billing_anchor)
        .bind(row.pending_until)
        .bind(row.trial_ends_at)
        .bind(row.trial_warned)
        .bind(row.paid_minor)
        .bind(row.paid_from)
        .bind(row.dunning_since)
        .bind(row.dunning_until)
        .bind(row.dunning_tried)
        .bind(row.scheduled.clone())
        .bind(row.resume_at)
        .bind(row.coupon.clone())
        .bind(row.discount_from)
        .bind(row.payable)
        .bind(row.next_due_at)
        .bind(row.provider.clone())
        .bind(row.provider_subscription.clone())
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
    /// The key of what time did, once for each subscription; written, not read.
    #[sqlx(default)]
    pub slot: Option<String>,
}

/// Writes a transition into the history.
pub async fn record(tx: &mut Tx, tenant: &TenantId, row: &ChangeRow) -> Result<()> {
    sql!("INSERT INTO subscription_change (tenant_id, change_id, at, subscription_id, customer_id, cause, actor, status_before, status_after, plan_before, plan_after, price_before, price_after, currency, annual_before, annual_after, movement, currency_before, slot) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)")
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
        .bind(row.slot.clone())
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

/// Whether a customer ever was in a trial.
pub async fn had_trial(on: impl Into<On<'_>>, tenant: &TenantId, customer: &CustomerId) -> Result<bool> {
    let found: Option<(i64,)> = sql!(
        "SELECT at FROM subscription_change WHERE tenant_id = $1 AND customer_id = $2 AND status_after = 'trialing' LIMIT 1"
    )
    .bind(tenant)
    .bind(customer)
    .find(on)
    .await?;
    Ok(found.is_some())
}

/// Whether a subscription that is not over is paid through what a provider calls so.
pub async fn is_paid_through(db: &Db, tenant: &TenantId, (provider, remote): (&str, &str)) -> Result<bool> {
    let found: Option<(i64,)> = sql!("SELECT revision FROM subscription WHERE tenant_id = $1 AND provider = $2 AND provider_subscription = $3 AND status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') LIMIT 1")
        .bind(tenant)
        .bind(provider)
        .bind(remote)
        .find(db)
        .await?;
    Ok(found.is_some())
}

impl SubscriptionRow {
    /// Where its billing periods are counted from. A row of a node that does not know of anchors yet has none.
    pub fn anchor(&self) -> Timestamp {
        Timestamp::from_micros(if self.billing_anchor == 0 { self.period_start } else { self.billing_anchor })
    }

    /// Its id as a type.
    pub fn id(&self) -> SubscriptionId {
        SubscriptionId::stored(self.subscription_id.as_str())
    }
}
