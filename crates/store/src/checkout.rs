//! Purchases that wait for their buyer's approval at a provider.

use domain::id::{CustomerId, PriceId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{On, Tx, sql};
use crate::error::Result;

/// A purchase.
#[derive(Debug, Clone, FromRow)]
pub struct CheckoutRow {
    /// Its id.
    pub checkout_id: String,
    /// Who buys.
    pub customer_id: String,
    /// What.
    pub plan_id: String,
    /// At which price version.
    pub price_id: String,
    /// Through whom.
    pub provider: String,
    /// `open`, `completed`, `declined`, or `superseded` by a later one of the customer.
    pub state: String,
    /// The provider's id of the subscription, once it is known.
    pub remote_id: Option<String>,
    /// Where the buyer approves, once it is known.
    pub approval_url: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it is given up.
    pub expires_at: i64,
    /// The coupon that is redeemed with it.
    pub coupon: Option<String>,
}

/// Adds a purchase, before the provider is called.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &CheckoutRow) -> Result<()> {
    sql!("INSERT INTO checkout (tenant_id, checkout_id, customer_id, plan_id, price_id, provider, state, created_at, expires_at, coupon) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .bind(tenant)
        .bind(&row.checkout_id)
        .bind(&row.customer_id)
        .bind(&row.plan_id)
        .bind(&row.price_id)
        .bind(&row.provider)
        .bind(&row.state)
        .bind(row.created_at)
        .bind(row.expires_at)
        .bind(row.coupon.clone())
        .execute(tx)
        .await
        .map(|_| ())
}

/// One purchase.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, checkout: &str) -> Result<Option<CheckoutRow>> {
    sql!("SELECT checkout_id, customer_id, plan_id, price_id, provider, state, remote_id, approval_url, created_at, expires_at, coupon FROM checkout WHERE tenant_id = $1 AND checkout_id = $2")
        .bind(tenant)
        .bind(checkout)
        .find(on)
        .await
}

/// The open purchase of a customer of one price with or without a coupon, if there is one.
pub async fn find_open(
    tx: &mut Tx,
    tenant: &TenantId,
    (customer, price, provider): (&CustomerId, &PriceId, &str),
    (coupon, now): (Option<&str>, Timestamp),
) -> Result<Option<CheckoutRow>> {
    sql!("SELECT checkout_id, customer_id, plan_id, price_id, provider, state, remote_id, approval_url, created_at, expires_at, coupon FROM checkout WHERE tenant_id = $1 AND customer_id = $2 AND price_id = $3 AND provider = $4 AND state = 'open' AND expires_at > $5 AND COALESCE(coupon, '') = $6 ORDER BY created_at LIMIT 1")
        .bind(tenant)
        .bind(customer)
        .bind(price)
        .bind(provider)
        .bind(now)
        .bind(coupon.unwrap_or_default())
        .find(tx)
        .await
}

/// Until when the last open purchase of a price version may still be approved.
pub async fn open_until(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    (provider, price): (&str, &PriceId),
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let row: Option<(Option<i64>,)> = sql!("SELECT MAX(expires_at) FROM checkout WHERE tenant_id = $1 AND price_id = $2 AND provider = $3 AND state = 'open' AND expires_at > $4")
        .bind(tenant)
        .bind(price)
        .bind(provider)
        .bind(now)
        .find(on)
        .await?;
    Ok(row.and_then(|(until,)| until).map(Timestamp::from_micros))
}

/// A customer has one open purchase at most: all others give way to it, also those whose time is over. Answers through
/// whom they were, and what the provider calls them.
pub async fn supersede(
    tx: &mut Tx,
    tenant: &TenantId,
    (customer, kept): (&CustomerId, &str),
) -> Result<Vec<(String, Option<String>)>> {
    sql!("UPDATE checkout SET state = 'superseded' WHERE tenant_id = $1 AND customer_id = $2 AND checkout_id <> $3 AND state = 'open' RETURNING provider, remote_id")
        .bind(tenant)
        .bind(customer)
        .bind(kept)
        .all(tx)
        .await
}

/// Notes what the provider made of a purchase; answers whether it is still open.
pub async fn note_remote(
    tx: &mut Tx,
    tenant: &TenantId,
    checkout: &str,
    (remote, approval_url): (&str, &str),
) -> Result<bool> {
    let open: Option<(String,)> = sql!("UPDATE checkout SET remote_id = $3, approval_url = $4 WHERE tenant_id = $1 AND checkout_id = $2 RETURNING state")
        .bind(tenant)
        .bind(checkout)
        .bind(remote)
        .bind(approval_url)
        .find(tx)
        .await?;
    Ok(open.is_some_and(|(state,)| state == "open"))
}

/// Ends an open purchase; answers whether it was open.
pub async fn end(tx: &mut Tx, tenant: &TenantId, checkout: &str, state: &str) -> Result<bool> {
    let rows = sql!("UPDATE checkout SET state = $3 WHERE tenant_id = $1 AND checkout_id = $2 AND state = 'open'")
        .bind(tenant)
        .bind(checkout)
        .bind(state)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}
