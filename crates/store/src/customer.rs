//! Customers: who they are, and all that decides what they may use.

use domain::entitlement::{Customer, Grant, Override, Subscription};
use domain::id::{CustomerId, FeatureKey, GrantId, PlanId, PriceId, SubscriptionId, TenantId};
use domain::revenue::Interval;
use domain::time::{Period, Timestamp};
use sqlx::FromRow;

use crate::catalog::from_word;
use crate::db::{Db, On, Tx, sql};
use crate::error::Result;
use crate::gate::Seen;

/// A customer's own row.
#[derive(Debug, Clone, FromRow)]
pub struct CustomerRow {
    /// Its id.
    pub customer_id: String,
    /// The integrator's name for it.
    pub external_id: Option<String>,
    /// Where to write to.
    pub email: Option<String>,
    /// What people read.
    pub name: Option<String>,
    /// The quota anchor.
    pub anchor: i64,
    /// Stopped by an admin.
    pub suspended: bool,
    /// Moves with every change of what it may use.
    pub entitlement_version: i64,
    /// When it was made.
    pub created_at: i64,
}

/// A customer by its id or by the integrator's name for it.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, name: &str) -> Result<Option<CustomerRow>> {
    sql!("SELECT customer_id, external_id, email, name, anchor, suspended, entitlement_version, created_at FROM customer WHERE tenant_id = $1 AND (customer_id = $2 OR external_id = $2) ORDER BY CASE WHEN customer_id = $2 THEN 0 ELSE 1 END LIMIT 1")
        .bind(tenant)
        .bind(name)
        .find(on)
        .await
}

/// Adds a customer.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &CustomerRow) -> Result<()> {
    sql!("INSERT INTO customer (tenant_id, customer_id, external_id, email, name, anchor, suspended, entitlement_version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(tenant)
        .bind(&row.customer_id)
        .bind(row.external_id.clone())
        .bind(row.email.clone())
        .bind(row.name.clone())
        .bind(row.anchor)
        .bind(row.suspended)
        .bind(row.entitlement_version)
        .bind(row.created_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Moves the version, so that every decision from the commit on is made with what this transaction wrote.
pub async fn bump_version(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId, now: Timestamp) -> Result<()> {
    sql!("UPDATE customer SET entitlement_version = CASE WHEN entitlement_version >= $3 THEN entitlement_version + 1 ELSE $3 END WHERE tenant_id = $1 AND customer_id = $2")
        .bind(tenant)
        .bind(customer)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

#[derive(FromRow)]
struct SeenRow {
    epoch: i64,
    entitlement_version: i64,
}

/// The versions as they stand, to tell whether a snapshot is still true.
pub async fn seen(db: &Db, tenant: &TenantId, customer: &CustomerId) -> Result<Option<Seen>> {
    let row: Option<SeenRow> =
        sql!("SELECT t.epoch, c.entitlement_version FROM customer c JOIN tenant t ON t.tenant_id = c.tenant_id WHERE c.tenant_id = $1 AND c.customer_id = $2")
            .bind(tenant)
            .bind(customer)
            .find(db)
            .await?;
    Ok(row.map(|row| Seen { epoch: row.epoch, customer: row.entitlement_version }))
}

#[derive(FromRow)]
struct SubscriptionGateRow {
    subscription_id: String,
    plan_id: String,
    price_id: Option<String>,
    status: String,
    access_until: Option<i64>,
    plan_since: i64,
    period_start: i64,
    period_end: Option<i64>,
    interval: Option<String>,
}

#[derive(FromRow)]
struct OverrideRow {
    feature: String,
    limit_value: Option<i64>,
    until: Option<i64>,
}

#[derive(FromRow)]
struct GrantRow {
    grant_id: String,
    feature: String,
    amount: i64,
    expires_at: Option<i64>,
}

/// Loads what decides. `row` was read first, so that a change that commits meanwhile makes the result stale.
pub async fn load(db: &Db, tenant: &TenantId, row: &CustomerRow) -> Result<Customer> {
    let id = CustomerId::stored(row.customer_id.as_str());
    let subscription: Option<SubscriptionGateRow> =
        sql!("SELECT s.subscription_id, s.plan_id, s.price_id, s.status, s.access_until, s.plan_since, s.period_start, s.period_end, p.interval FROM subscription s LEFT JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND s.customer_id = $2 AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled')")
            .bind(tenant)
            .bind(&id)
            .find(db)
            .await?;
    let overrides: Vec<OverrideRow> =
        sql!("SELECT feature, limit_value, until FROM limit_override WHERE tenant_id = $1 AND customer_id = $2")
            .bind(tenant)
            .bind(&id)
            .all(db)
            .await?;
    let grants: Vec<GrantRow> =
        sql!("SELECT grant_id, feature, amount, expires_at FROM credit_grant WHERE tenant_id = $1 AND customer_id = $2 ORDER BY COALESCE(expires_at, 9223372036854775807), grant_id")
            .bind(tenant)
            .bind(&id)
            .all(db)
            .await?;
    let subscription = subscription
        .map(|row| {
            Ok::<_, crate::error::Error>(Subscription {
                status: from_word("subscription", &row.subscription_id, &row.status)?,
                id: SubscriptionId::stored(row.subscription_id),
                plan: PlanId::stored(row.plan_id),
                price: row.price_id.map(PriceId::stored),
                access_until: row.access_until.map(Timestamp::from_micros),
                plan_since: Timestamp::from_micros(row.plan_since),
                period: Period {
                    start: Timestamp::from_micros(row.period_start),
                    end: row.period_end.map(Timestamp::from_micros),
                },
                interval: row.interval.as_deref().and_then(Interval::parse),
            })
        })
        .transpose()?;
    let own_limit = |row: OverrideRow| Override {
        feature: FeatureKey::stored(row.feature),
        limit: row.limit_value,
        until: row.until.map(Timestamp::from_micros),
    };
    let grant = |row: GrantRow| Grant {
        id: GrantId::stored(row.grant_id),
        feature: FeatureKey::stored(row.feature),
        amount: row.amount,
        expires_at: row.expires_at.map(Timestamp::from_micros),
    };
    Ok(Customer {
        id,
        version: row.entitlement_version,
        anchor: Timestamp::from_micros(row.anchor),
        suspended: row.suspended,
        subscription,
        overrides: overrides.into_iter().map(own_limit).collect(),
        grants: grants.into_iter().map(grant).collect(),
    })
}

/// Gives a customer a limit of their own.
pub async fn put_override(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId, own: &Override) -> Result<()> {
    sql!("INSERT INTO limit_override (tenant_id, customer_id, feature, limit_value, until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, customer_id, feature) DO UPDATE SET limit_value = excluded.limit_value, until = excluded.until")
        .bind(tenant)
        .bind(customer)
        .bind(&own.feature)
        .bind(own.limit)
        .bind(own.until)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Adds a pack of credits.
pub async fn insert_grant(
    tx: &mut Tx,
    tenant: &TenantId,
    customer: &CustomerId,
    grant: &Grant,
    (reason, now): (&str, Timestamp),
) -> Result<()> {
    sql!("INSERT INTO credit_grant (tenant_id, customer_id, grant_id, feature, amount, expires_at, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(tenant)
        .bind(customer)
        .bind(&grant.id)
        .bind(&grant.feature)
        .bind(grant.amount)
        .bind(grant.expires_at)
        .bind(reason)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}
