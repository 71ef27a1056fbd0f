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
        .execute(&mut *tx)
        .await?;
    crate::summary::begin(tx, tenant, &row.customer_id).await
}

/// Moves the version, so that every decision from the commit on is made with what this transaction wrote, and its
/// summary is made anew.
pub async fn bump_version(tx: &mut Tx, tenant: &TenantId, customer: &CustomerId, now: Timestamp) -> Result<()> {
    sql!("UPDATE customer SET entitlement_version = CASE WHEN entitlement_version >= $3 THEN entitlement_version + 1 ELSE $3 END WHERE tenant_id = $1 AND customer_id = $2")
        .bind(tenant)
        .bind(customer)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    crate::summary::outdate(tx, tenant, customer).await
}

/// What an edit of a customer reads first, its row locked.
#[derive(Debug, Clone, FromRow)]
pub struct EditedRow {
    /// Its id.
    pub customer_id: String,
    /// The integrator's name for it.
    pub external_id: Option<String>,
    /// Where to write to.
    pub email: Option<String>,
    /// What people read.
    pub name: Option<String>,
    /// Stopped by an admin.
    pub suspended: bool,
    /// Why.
    pub suspended_reason: Option<String>,
    /// Grows with every edit by an admin.
    pub revision: i64,
}

/// A customer to be edited in this transaction, by its id.
pub async fn lock(on: impl Into<On<'_>>, tenant: &TenantId, customer: &str) -> Result<Option<EditedRow>> {
    sql!("SELECT customer_id, external_id, email, name, suspended, suspended_reason, revision FROM customer WHERE tenant_id = $1 AND customer_id = $2 {lock}")
        .bind(tenant)
        .bind(customer)
        .find(on)
        .await
}

/// Writes what an edit changed, and moves the revision.
pub async fn update(tx: &mut Tx, tenant: &TenantId, row: &EditedRow) -> Result<()> {
    sql!("UPDATE customer SET email = $3, name = $4, suspended = $5, suspended_reason = $6, revision = revision + 1 WHERE tenant_id = $1 AND customer_id = $2")
        .bind(tenant)
        .bind(&row.customer_id)
        .bind(row.email.clone())
        .bind(row.name.clone())
        .bind(row.suspended)
        .bind(row.suspended_reason.clone())
        .execute(tx)
        .await
        .map(|_| ())
}

/// A limit of a customer's own, also one whose time is over.
pub async fn find_override(
    tx: &mut Tx,
    tenant: &TenantId,
    customer: &CustomerId,
    feature: &FeatureKey,
) -> Result<Option<Override>> {
    let row: Option<OverrideRow> = sql!("SELECT feature, limit_value, until FROM limit_override WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3")
        .bind(tenant)
        .bind(customer)
        .bind(feature)
        .find(tx)
        .await?;
    Ok(row.map(OverrideRow::read))
}

/// Takes a customer's own limit away; answers whether there was one.
pub async fn drop_override(
    tx: &mut Tx,
    tenant: &TenantId,
    customer: &CustomerId,
    feature: &FeatureKey,
) -> Result<bool> {
    let rows = sql!("DELETE FROM limit_override WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3")
        .bind(tenant)
        .bind(customer)
        .bind(feature)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// A pack of credits with why and when it was given.
#[derive(Debug, Clone, FromRow)]
pub struct GivenRow {
    /// Its id.
    pub grant_id: String,
    /// What it adds to.
    pub feature: String,
    /// Units.
    pub amount: i64,
    /// When what is left of it is lost.
    pub expires_at: Option<i64>,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: i64,
}

/// A customer's packs of credits, newest first; those before a place, when one is given.
pub async fn given(
    db: &Db,
    tenant: &TenantId,
    customer: &CustomerId,
    (before, limit): (Option<&(i64, String)>, i64),
) -> Result<Vec<GivenRow>> {
    let (at, id) = before.cloned().unwrap_or_default();
    sql!("SELECT grant_id, feature, amount, expires_at, reason, created_at FROM credit_grant WHERE tenant_id = $1 AND customer_id = $2 AND ($3 OR (created_at, grant_id) < ($4, $5)) ORDER BY created_at DESC, grant_id DESC LIMIT $6")
        .bind(tenant)
        .bind(customer)
        .bind(before.is_none())
        .bind(at)
        .bind(id)
        .bind(limit)
        .all(db)
        .await
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
pub(crate) struct SubscriptionGateRow {
    subscription_id: String,
    plan_id: String,
    price_id: Option<String>,
    status: String,
    access_until: Option<i64>,
    plan_since: i64,
    billing_anchor: i64,
    period_start: i64,
    period_end: Option<i64>,
    interval: Option<String>,
}

impl SubscriptionGateRow {
    pub(crate) fn read(self) -> Result<Subscription> {
        Ok(Subscription {
            status: from_word("subscription", &self.subscription_id, &self.status)?,
            id: SubscriptionId::stored(self.subscription_id),
            plan: PlanId::stored(self.plan_id),
            price: self.price_id.map(PriceId::stored),
            access_until: self.access_until.map(Timestamp::from_micros),
            plan_since: Timestamp::from_micros(self.plan_since),
            // A row of a node that does not know of anchors yet has none.
            anchor: Timestamp::from_micros(if self.billing_anchor == 0 {
                self.period_start
            } else {
                self.billing_anchor
            }),
            period: Period {
                start: Timestamp::from_micros(self.period_start),
                end: self.period_end.map(Timestamp::from_micros),
            },
            interval: self.interval.as_deref().and_then(Interval::parse),
        })
    }
}

#[derive(FromRow)]
pub(crate) struct OverrideRow {
    feature: String,
    limit_value: Option<i64>,
    until: Option<i64>,
}

impl OverrideRow {
    pub(crate) fn read(self) -> Override {
        Override {
            feature: FeatureKey::stored(self.feature),
            limit: self.limit_value,
            until: self.until.map(Timestamp::from_micros),
        }
    }
}

#[derive(FromRow)]
pub(crate) struct GrantRow {
    grant_id: String,
    feature: String,
    amount: i64,
    expires_at: Option<i64>,
}

impl GrantRow {
    pub(crate) fn read(self) -> Grant {
        Grant {
            id: GrantId::stored(self.grant_id),
            feature: FeatureKey::stored(self.feature),
            amount: self.amount,
            expires_at: self.expires_at.map(Timestamp::from_micros),
        }
    }
}

/// Loads what decides. `row` was read first, so that a change that commits meanwhile makes the result stale.
pub async fn load(db: &Db, tenant: &TenantId, row: &CustomerRow) -> Result<Customer> {
    let id = CustomerId::stored(row.customer_id.as_str());
    let subscription: Option<SubscriptionGateRow> =
        sql!("SELECT s.subscription_id, s.plan_id, s.price_id, s.status, s.access_until, s.plan_since, s.billing_anchor, s.period_start, s.period_end, p.interval FROM subscription s LEFT JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND s.customer_id = $2 AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled')")
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
    let subscription = subscription.map(SubscriptionGateRow::read).transpose()?;
    Ok(Customer {
        id,
        version: row.entitlement_version,
        anchor: Timestamp::from_micros(row.anchor),
        suspended: row.suspended,
        subscription,
        overrides: overrides.into_iter().map(OverrideRow::read).collect(),
        grants: grants.into_iter().map(GrantRow::read).collect(),
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
