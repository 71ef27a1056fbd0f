//! Coupons. What one takes off never changes; who may still redeem it does.

use domain::id::{CustomerId, TenantId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// A coupon.
#[derive(Debug, Clone, FromRow)]
pub struct CouponRow {
    /// What people type, in upper case.
    pub code: String,
    /// What people read.
    pub name: String,
    /// Whole per cent; none when it is an amount.
    pub percent_off: Option<i64>,
    /// Minor units; none when it is a share.
    pub amount_off_minor: Option<i64>,
    /// ISO 4217, of the amount.
    pub currency: Option<String>,
    /// `once`, `repeating` or `forever`.
    pub duration: String,
    /// For how many months a repeating one holds.
    pub months: Option<i64>,
    /// How often it may be redeemed; none for any number.
    pub max_redemptions: Option<i64>,
    /// How often it was.
    pub redeemed: i64,
    /// Until when it may be redeemed.
    pub valid_until: Option<i64>,
    /// Slugs of the plans that it is for, separated by blanks; empty for all.
    pub plans: String,
    /// Whether it may be redeemed.
    pub active: bool,
    /// Grows with every change.
    pub revision: i64,
    /// When it was made.
    pub created_at: i64,
}

/// Coupons of a tenant by their code; `search` looks into codes and names.
pub async fn list(db: &Db, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<CouponRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT code, name, percent_off, amount_off_minor, currency, duration, months, max_redemptions, redeemed, valid_until, plans, active, revision, created_at FROM coupon WHERE tenant_id = $1 AND (LOWER(code) LIKE $2 ESCAPE '!' OR LOWER(name) LIKE $2 ESCAPE '!') AND ($3 OR code < $4) ORDER BY code DESC LIMIT $5"
        )
    } else {
        sql!(
            "SELECT code, name, percent_off, amount_off_minor, currency, duration, months, max_redemptions, redeemed, valid_until, plans, active, revision, created_at FROM coupon WHERE tenant_id = $1 AND (LOWER(code) LIKE $2 ESCAPE '!' OR LOWER(name) LIKE $2 ESCAPE '!') AND ($3 OR code > $4) ORDER BY code LIMIT $5"
        )
    };
    let after = wanted.after.clone().unwrap_or_default();
    query
        .bind(tenant)
        .bind(wanted.pattern())
        .bind(wanted.after.is_none())
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// All coupons of a tenant by their code.
pub async fn all(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Vec<CouponRow>> {
    sql!("SELECT code, name, percent_off, amount_off_minor, currency, duration, months, max_redemptions, redeemed, valid_until, plans, active, revision, created_at FROM coupon WHERE tenant_id = $1 ORDER BY code")
        .bind(tenant)
        .all(on)
        .await
}

/// A coupon.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, code: &str) -> Result<Option<CouponRow>> {
    sql!("SELECT code, name, percent_off, amount_off_minor, currency, duration, months, max_redemptions, redeemed, valid_until, plans, active, revision, created_at FROM coupon WHERE tenant_id = $1 AND code = $2")
        .bind(tenant)
        .bind(code)
        .find(on)
        .await
}

/// A coupon that this transaction changes.
pub async fn find_locked(tx: &mut Tx, tenant: &TenantId, code: &str) -> Result<Option<CouponRow>> {
    sql!("SELECT code, name, percent_off, amount_off_minor, currency, duration, months, max_redemptions, redeemed, valid_until, plans, active, revision, created_at FROM coupon WHERE tenant_id = $1 AND code = $2 {lock}")
        .bind(tenant)
        .bind(code)
        .find(tx)
        .await
}

/// Notes that a customer redeems a coupon; answers whether it had not before.
pub async fn redeem(
    tx: &mut Tx,
    tenant: &TenantId,
    (code, customer): (&str, &CustomerId),
    at: Timestamp,
) -> Result<bool> {
    let rows = sql!("INSERT INTO coupon_redemption (tenant_id, code, customer_id, at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, code, customer_id) DO NOTHING")
        .bind(tenant)
        .bind(code)
        .bind(customer)
        .bind(at)
        .execute(&mut *tx)
        .await?;
    if rows == 1 {
        sql!("UPDATE coupon SET redeemed = redeemed + 1 WHERE tenant_id = $1 AND code = $2")
            .bind(tenant)
            .bind(code)
            .execute(tx)
            .await?;
    }
    Ok(rows == 1)
}

/// Whether a customer has redeemed a coupon.
pub async fn is_redeemed(
    on: impl Into<On<'_>>,
    tenant: &TenantId,
    (code, customer): (&str, &CustomerId),
) -> Result<bool> {
    let found: Option<(i64,)> =
        sql!("SELECT at FROM coupon_redemption WHERE tenant_id = $1 AND code = $2 AND customer_id = $3")
            .bind(tenant)
            .bind(code)
            .bind(customer)
            .find(on)
            .await?;
    Ok(found.is_some())
}

/// Adds a coupon.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &CouponRow) -> Result<()> {
    sql!("INSERT INTO coupon (tenant_id, code, name, percent_off, amount_off_minor, currency, duration, months, max_redemptions, redeemed, valid_until, plans, active, revision, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)")
        .bind(tenant)
        .bind(&row.code)
        .bind(&row.name)
        .bind(row.percent_off)
        .bind(row.amount_off_minor)
        .bind(row.currency.clone())
        .bind(&row.duration)
        .bind(row.months)
        .bind(row.max_redemptions)
        .bind(row.redeemed)
        .bind(row.valid_until)
        .bind(&row.plans)
        .bind(row.active)
        .bind(row.revision)
        .bind(row.created_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Writes what may change of a coupon.
pub async fn update(tx: &mut Tx, tenant: &TenantId, row: &CouponRow) -> Result<()> {
    sql!("UPDATE coupon SET name = $3, max_redemptions = $4, valid_until = $5, plans = $6, active = $7, revision = $8 WHERE tenant_id = $1 AND code = $2")
        .bind(tenant)
        .bind(&row.code)
        .bind(&row.name)
        .bind(row.max_redemptions)
        .bind(row.valid_until)
        .bind(&row.plans)
        .bind(row.active)
        .bind(row.revision)
        .execute(tx)
        .await
        .map(|_| ())
}
