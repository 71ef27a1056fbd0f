//! What the gate noted as passed, what was told of it, and the inbox of each customer.

use domain::catalog::Thresholds;
use domain::id::{CustomerId, TenantId};
use domain::notice::{Crossing, Told};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// A use that moved a level over a threshold.
#[derive(Debug, Clone, FromRow)]
pub struct CrossingRow {
    /// The use.
    pub event_id: String,
    /// Of which feature.
    pub feature: String,
    /// Whose.
    pub customer_id: String,
    /// Whether the level can fall.
    pub gauge: bool,
    /// The period that it counts in.
    pub period_start: i64,
    /// When that ends.
    pub period_end: Option<i64>,
    /// The level before the use.
    pub level_before: i64,
    /// The level after it.
    pub level_after: i64,
    /// The limit under which it was admitted.
    pub limit_value: i64,
    /// The first threshold at that time.
    pub warning: i64,
    /// The second.
    pub critical: i64,
    /// Whether it is noted only.
    pub quiet: bool,
}

impl CrossingRow {
    /// Where the limit was said to be near.
    pub fn thresholds(&self) -> Thresholds {
        let percent = |stored: i64| u16::try_from(stored).unwrap_or(u16::MAX);
        Thresholds { warning: percent(self.warning), critical: percent(self.critical) }
    }
}

/// The tenants in which something was passed that nobody was told of.
pub async fn tenants(db: &Db) -> Result<Vec<TenantId>> {
    let rows: Vec<(String,)> = sql!("SELECT DISTINCT tenant_id FROM crossing").all(db).await?;
    Ok(rows.into_iter().map(|(id,)| TenantId::stored(id)).collect())
}

/// What was passed in a tenant, in the order in which each level moved.
pub async fn crossings(db: &Db, tenant: &TenantId, limit: i64) -> Result<Vec<CrossingRow>> {
    sql!("SELECT event_id, feature, customer_id, gauge, period_start, period_end, level_before, level_after, limit_value, warning, critical, quiet FROM crossing WHERE tenant_id = $1 ORDER BY version, event_id, feature LIMIT $2")
        .bind(tenant)
        .bind(limit)
        .all(db)
        .await
}

/// What was passed of one customer's feature, in the order in which its level moved.
pub async fn crossings_of(
    tx: &mut Tx,
    tenant: &TenantId,
    (customer, feature): (&str, &str),
) -> Result<Vec<CrossingRow>> {
    sql!("SELECT event_id, feature, customer_id, gauge, period_start, period_end, level_before, level_after, limit_value, warning, critical, quiet FROM crossing WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3 ORDER BY version, event_id")
        .bind(tenant)
        .bind(customer)
        .bind(feature)
        .all(tx)
        .await
}

/// Takes one of them; answers whether nobody else has.
pub async fn take(tx: &mut Tx, tenant: &TenantId, row: &CrossingRow) -> Result<bool> {
    let rows = sql!("DELETE FROM crossing WHERE tenant_id = $1 AND event_id = $2 AND feature = $3")
        .bind(tenant)
        .bind(&row.event_id)
        .bind(&row.feature)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

#[derive(FromRow)]
struct ToldRow {
    threshold: i64,
    limit_value: i64,
    number: i64,
    rearmed: bool,
}

/// What was told of a feature in a period.
pub async fn told(on: impl Into<On<'_>>, tenant: &TenantId, row: &CrossingRow) -> Result<Vec<Told>> {
    let rows: Vec<ToldRow> = sql!("SELECT threshold, limit_value, number, rearmed FROM notice WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3 AND period_start = $4 ORDER BY threshold, limit_value, number")
        .bind(tenant)
        .bind(&row.customer_id)
        .bind(&row.feature)
        .bind(row.period_start)
        .all(on)
        .await?;
    let told = |row: ToldRow| Told {
        threshold: u16::try_from(row.threshold).unwrap_or(u16::MAX),
        limit: row.limit_value,
        number: row.number,
        rearmed: row.rearmed,
    };
    Ok(rows.into_iter().map(told).collect())
}

/// Notes a threshold as told; answers whether it was not yet.
pub async fn note(
    tx: &mut Tx,
    tenant: &TenantId,
    row: &CrossingRow,
    (crossing, now): (&Crossing, Timestamp),
) -> Result<bool> {
    let rows = sql!("INSERT INTO notice (tenant_id, customer_id, feature, period_start, threshold, limit_value, number, announced, rearmed, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, false, $9) ON CONFLICT (tenant_id, customer_id, feature, period_start, threshold, limit_value, number) DO NOTHING")
        .bind(tenant)
        .bind(&row.customer_id)
        .bind(&row.feature)
        .bind(row.period_start)
        .bind(i64::from(crossing.threshold))
        .bind(crossing.limit)
        .bind(crossing.number)
        .bind(crossing.announced && !row.quiet)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Lets a threshold be told again.
pub async fn rearm(tx: &mut Tx, tenant: &TenantId, row: &CrossingRow, told: &Told) -> Result<()> {
    sql!("UPDATE notice SET rearmed = true WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3 AND period_start = $4 AND threshold = $5 AND limit_value = $6 AND number = $7")
        .bind(tenant)
        .bind(&row.customer_id)
        .bind(&row.feature)
        .bind(row.period_start)
        .bind(i64::from(told.threshold))
        .bind(told.limit)
        .bind(told.number)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Who is told of something: a user of the customer.
#[derive(Debug, Clone, FromRow)]
pub struct RecipientRow {
    /// Where.
    pub email: String,
    /// What people call them.
    pub name: Option<String>,
    /// Whether the address was proven.
    pub verified: bool,
}

/// The users of a customer.
pub async fn recipients(tx: &mut Tx, tenant: &TenantId, customer: &str) -> Result<Vec<RecipientRow>> {
    sql!("SELECT email, name, verified FROM user_account WHERE tenant_id = $1 AND customer_id = $2 ORDER BY user_id")
        .bind(tenant)
        .bind(customer)
        .all(tx)
        .await
}

/// Something in an inbox.
#[derive(Debug, Clone, FromRow)]
pub struct NotificationRow {
    /// Its id.
    pub notification_id: String,
    /// Whose.
    pub customer_id: String,
    /// What it is about.
    pub kind: String,
    /// What it says, as JSON.
    pub data: String,
    /// When it happened.
    pub at: i64,
    /// When whoever asks read it.
    pub read_at: Option<i64>,
}

/// Puts something into a customer's inbox.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &NotificationRow) -> Result<()> {
    sql!("INSERT INTO notification (tenant_id, notification_id, customer_id, kind, data, at) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(tenant)
        .bind(&row.notification_id)
        .bind(&row.customer_id)
        .bind(&row.kind)
        .bind(&row.data)
        .bind(row.at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Who looks at which customer's inbox.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The customer.
    pub customer: CustomerId,
    /// Under which name it is noted what they read, and what they do not want.
    pub name: String,
}

/// A customer's inbox, as one reader wants it; `unread` leaves out what they read.
pub async fn list(
    db: &Db,
    tenant: &TenantId,
    (reader, kind, unread): (&Reader, &str, bool),
    wanted: &Wanted,
) -> Result<Vec<NotificationRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT n.notification_id, n.customer_id, n.kind, n.data, n.at, r.at AS read_at FROM notification n LEFT JOIN notification_read r ON r.tenant_id = n.tenant_id AND r.reader = $3 AND r.notification_id = n.notification_id WHERE n.tenant_id = $1 AND n.customer_id = $2 AND ($4 = '' OR n.kind = $4) AND ($5 OR r.at IS NULL) AND NOT EXISTS (SELECT 1 FROM notification_refusal f WHERE f.tenant_id = n.tenant_id AND f.user_id = $3 AND f.kind = n.kind) AND ($6 OR n.notification_id < $7) ORDER BY n.notification_id DESC LIMIT $8"
        )
    } else {
        sql!(
            "SELECT n.notification_id, n.customer_id, n.kind, n.data, n.at, r.at AS read_at FROM notification n LEFT JOIN notification_read r ON r.tenant_id = n.tenant_id AND r.reader = $3 AND r.notification_id = n.notification_id WHERE n.tenant_id = $1 AND n.customer_id = $2 AND ($4 = '' OR n.kind = $4) AND ($5 OR r.at IS NULL) AND NOT EXISTS (SELECT 1 FROM notification_refusal f WHERE f.tenant_id = n.tenant_id AND f.user_id = $3 AND f.kind = n.kind) AND ($6 OR n.notification_id > $7) ORDER BY n.notification_id LIMIT $8"
        )
    };
    query
        .bind(tenant)
        .bind(&reader.customer)
        .bind(&reader.name)
        .bind(kind)
        .bind(!unread)
        .bind(wanted.after.is_none())
        .bind(wanted.after.clone().unwrap_or_default().id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// How much of a customer's inbox a reader has not read.
pub async fn unread(db: &Db, tenant: &TenantId, reader: &Reader) -> Result<i64> {
    let row: Option<(i64,)> = sql!("SELECT COUNT(*) FROM notification n WHERE n.tenant_id = $1 AND n.customer_id = $2 AND NOT EXISTS (SELECT 1 FROM notification_read r WHERE r.tenant_id = n.tenant_id AND r.reader = $3 AND r.notification_id = n.notification_id) AND NOT EXISTS (SELECT 1 FROM notification_refusal f WHERE f.tenant_id = n.tenant_id AND f.user_id = $3 AND f.kind = n.kind)")
        .bind(tenant)
        .bind(&reader.customer)
        .bind(&reader.name)
        .find(db)
        .await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Notes that a reader has read one, or all of them without an id; answers whether there was such a one.
pub async fn read(
    tx: &mut Tx,
    tenant: &TenantId,
    (reader, id): (&Reader, Option<&str>),
    now: Timestamp,
) -> Result<bool> {
    let named: Option<(i64,)> =
        sql!("SELECT COUNT(*) FROM notification WHERE tenant_id = $1 AND customer_id = $2 AND notification_id = $3")
            .bind(tenant)
            .bind(&reader.customer)
            .bind(id.unwrap_or_default())
            .find(&mut *tx)
            .await?;
    if id.is_some() && named == Some((0,)) {
        return Ok(false);
    }
    sql!("INSERT INTO notification_read (tenant_id, reader, notification_id, at) SELECT n.tenant_id, $3, n.notification_id, $4 FROM notification n WHERE n.tenant_id = $1 AND n.customer_id = $2 AND ($5 = '' OR n.notification_id = $5) ON CONFLICT (tenant_id, reader, notification_id) DO NOTHING")
        .bind(tenant)
        .bind(&reader.customer)
        .bind(&reader.name)
        .bind(now)
        .bind(id.unwrap_or_default())
        .execute(tx)
        .await?;
    Ok(true)
}

/// The kinds that a user does not want in the inbox.
pub async fn refused(on: impl Into<On<'_>>, tenant: &TenantId, user: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        sql!("SELECT kind FROM notification_refusal WHERE tenant_id = $1 AND user_id = $2 ORDER BY kind")
            .bind(tenant)
            .bind(user)
            .all(on)
            .await?;
    Ok(rows.into_iter().map(|(kind,)| kind).collect())
}

/// Notes that a user does not want a kind in the inbox; answers whether that is new.
pub async fn refuse(tx: &mut Tx, tenant: &TenantId, (user, kind): (&str, &str), now: Timestamp) -> Result<bool> {
    let rows = sql!("INSERT INTO notification_refusal (tenant_id, user_id, kind, at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, user_id, kind) DO NOTHING")
        .bind(tenant)
        .bind(user)
        .bind(kind)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Forgets that a user does not want a kind in the inbox; answers whether it did.
pub async fn want(tx: &mut Tx, tenant: &TenantId, (user, kind): (&str, &str)) -> Result<bool> {
    let rows = sql!("DELETE FROM notification_refusal WHERE tenant_id = $1 AND user_id = $2 AND kind = $3")
        .bind(tenant)
        .bind(user)
        .bind(kind)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Drops what is old: of the inbox, and of what was told.
pub async fn drop_old(tx: &mut Tx, (inbox_before, told_before): (Timestamp, Timestamp)) -> Result<()> {
    sql!("DELETE FROM notification_read WHERE at < $1").bind(inbox_before).execute(&mut *tx).await?;
    sql!("DELETE FROM notification WHERE at < $1").bind(inbox_before).execute(&mut *tx).await?;
    sql!("DELETE FROM notice WHERE at < $1").bind(told_before).execute(tx).await.map(|_| ())
}
