//! Lists of users and customers: a page of ids in the order that was asked for, and then all that is shown of them.

use std::collections::HashMap;

use domain::entitlement::{CounterKey, Customer, Source};
use domain::id::{CustomerId, FeatureKey, TenantId};
use domain::time::Timestamp;
use domain::usage::{Book, Counter};
use sqlx::FromRow;

use crate::customer::{CustomerRow, GrantRow, OverrideRow, SubscriptionGateRow};
use crate::db::{Db, Kind, Query, sql};
use crate::error::Result;
use crate::list::{Place, Wanted};

/// Which rows of a list are wanted; what is empty does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A role's name; of users alone.
    pub role: String,
    /// A plan's id.
    pub plan: String,
    /// A code of `domain::quota::Health`.
    pub worst: Option<i64>,
}

/// Reads the ids of a page of users, sorted by `createdAt`, `email`, `name`, `plan` or `status`.
pub async fn users(db: &Db, tenant: &TenantId, wanted: &Wanted, filter: &Filter) -> Result<Vec<Place>> {
    // Ids are in the order of time, which needs no other index.
    let query = match (wanted.sort, wanted.descending) {
        ("createdAt", false) => sql!(
            "SELECT u.user_id AS id, '' AS value FROM user_account u LEFT JOIN customer_summary m ON m.tenant_id = u.tenant_id AND m.customer_id = u.customer_id LEFT JOIN subscription s ON s.tenant_id = u.tenant_id AND s.customer_id = u.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE u.tenant_id = $1 AND ($2 = '%' OR u.email LIKE $2 ESCAPE '!' OR LOWER(COALESCE(u.name, '')) LIKE $2 ESCAPE '!') AND ($3 = '' OR u.role = $3) AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5) AND u.user_id > $8 AND $6 = $6 AND $7 <> '-' AND $9 <> '-' ORDER BY u.user_id LIMIT $10"
        ),
        ("createdAt", true) => sql!(
            "SELECT u.user_id AS id, '' AS value FROM user_account u LEFT JOIN customer_summary m ON m.tenant_id = u.tenant_id AND m.customer_id = u.customer_id LEFT JOIN subscription s ON s.tenant_id = u.tenant_id AND s.customer_id = u.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE u.tenant_id = $1 AND ($2 = '%' OR u.email LIKE $2 ESCAPE '!' OR LOWER(COALESCE(u.name, '')) LIKE $2 ESCAPE '!') AND ($3 = '' OR u.role = $3) AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5) AND u.user_id < $8 AND $6 = $6 AND $7 <> '-' AND $9 <> '-' ORDER BY u.user_id DESC LIMIT $10"
        ),
        (_, false) => sql!(
            "SELECT l.id, l.value FROM (SELECT u.user_id AS id, CASE $9 WHEN 'email' THEN u.email WHEN 'name' THEN LOWER(COALESCE(u.name, '')) WHEN 'plan' THEN COALESCE(p.slug, '') ELSE CAST(COALESCE(m.worst, 0) AS TEXT) END AS value FROM user_account u LEFT JOIN customer_summary m ON m.tenant_id = u.tenant_id AND m.customer_id = u.customer_id LEFT JOIN subscription s ON s.tenant_id = u.tenant_id AND s.customer_id = u.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') LEFT JOIN plan p ON p.tenant_id = s.tenant_id AND p.plan_id = s.plan_id WHERE u.tenant_id = $1 AND ($2 = '%' OR u.email LIKE $2 ESCAPE '!' OR LOWER(COALESCE(u.name, '')) LIKE $2 ESCAPE '!') AND ($3 = '' OR u.role = $3) AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5)) l WHERE ($6 OR (l.value, l.id) > ($7, $8)) ORDER BY l.value, l.id LIMIT $10"
        ),
        (_, true) => sql!(
            "SELECT l.id, l.value FROM (SELECT u.user_id AS id, CASE $9 WHEN 'email' THEN u.email WHEN 'name' THEN LOWER(COALESCE(u.name, '')) WHEN 'plan' THEN COALESCE(p.slug, '') ELSE CAST(COALESCE(m.worst, 0) AS TEXT) END AS value FROM user_account u LEFT JOIN customer_summary m ON m.tenant_id = u.tenant_id AND m.customer_id = u.customer_id LEFT JOIN subscription s ON s.tenant_id = u.tenant_id AND s.customer_id = u.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') LEFT JOIN plan p ON p.tenant_id = s.tenant_id AND p.plan_id = s.plan_id WHERE u.tenant_id = $1 AND ($2 = '%' OR u.email LIKE $2 ESCAPE '!' OR LOWER(COALESCE(u.name, '')) LIKE $2 ESCAPE '!') AND ($3 = '' OR u.role = $3) AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5)) l WHERE ($6 OR (l.value, l.id) < ($7, $8)) ORDER BY l.value DESC, l.id DESC LIMIT $10"
        ),
    };
    places(filtered(query, tenant, wanted, filter), db, wanted).await
}

/// How many users there are.
pub async fn count_users(db: &Db, tenant: &TenantId, wanted: &Wanted, filter: &Filter) -> Result<i64> {
    let query = sql!(
        "SELECT COUNT(*) FROM user_account u LEFT JOIN customer_summary m ON m.tenant_id = u.tenant_id AND m.customer_id = u.customer_id LEFT JOIN subscription s ON s.tenant_id = u.tenant_id AND s.customer_id = u.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE u.tenant_id = $1 AND ($2 = '%' OR u.email LIKE $2 ESCAPE '!' OR LOWER(COALESCE(u.name, '')) LIKE $2 ESCAPE '!') AND ($3 = '' OR u.role = $3) AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5)"
    );
    let row: Option<(i64,)> = filtered(query, tenant, wanted, filter).find(db).await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Reads the ids of a page of customers, sorted by `createdAt`, `email`, `name`, `plan` or `status`.
pub async fn customers(db: &Db, tenant: &TenantId, wanted: &Wanted, filter: &Filter) -> Result<Vec<Place>> {
    let query = match (wanted.sort, wanted.descending) {
        ("createdAt", false) => sql!(
            "SELECT c.customer_id AS id, '' AS value FROM customer c LEFT JOIN customer_summary m ON m.tenant_id = c.tenant_id AND m.customer_id = c.customer_id LEFT JOIN subscription s ON s.tenant_id = c.tenant_id AND s.customer_id = c.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE c.tenant_id = $1 AND ($2 = '%' OR LOWER(COALESCE(c.email, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.name, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.external_id, '')) LIKE $2 ESCAPE '!') AND $3 = '' AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5) AND c.customer_id > $8 AND $6 = $6 AND $7 <> '-' AND $9 <> '-' ORDER BY c.customer_id LIMIT $10"
        ),
        ("createdAt", true) => sql!(
            "SELECT c.customer_id AS id, '' AS value FROM customer c LEFT JOIN customer_summary m ON m.tenant_id = c.tenant_id AND m.customer_id = c.customer_id LEFT JOIN subscription s ON s.tenant_id = c.tenant_id AND s.customer_id = c.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE c.tenant_id = $1 AND ($2 = '%' OR LOWER(COALESCE(c.email, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.name, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.external_id, '')) LIKE $2 ESCAPE '!') AND $3 = '' AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5) AND c.customer_id < $8 AND $6 = $6 AND $7 <> '-' AND $9 <> '-' ORDER BY c.customer_id DESC LIMIT $10"
        ),
        (_, false) => sql!(
            "SELECT l.id, l.value FROM (SELECT c.customer_id AS id, CASE $9 WHEN 'email' THEN COALESCE(c.email, '') WHEN 'name' THEN LOWER(COALESCE(c.name, '')) WHEN 'plan' THEN COALESCE(p.slug, '') ELSE CAST(COALESCE(m.worst, 0) AS TEXT) END AS value FROM customer c LEFT JOIN customer_summary m ON m.tenant_id = c.tenant_id AND m.customer_id = c.customer_id LEFT JOIN subscription s ON s.tenant_id = c.tenant_id AND s.customer_id = c.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') LEFT JOIN plan p ON p.tenant_id = s.tenant_id AND p.plan_id = s.plan_id WHERE c.tenant_id = $1 AND ($2 = '%' OR LOWER(COALESCE(c.email, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.name, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.external_id, '')) LIKE $2 ESCAPE '!') AND $3 = '' AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5)) l WHERE ($6 OR (l.value, l.id) > ($7, $8)) ORDER BY l.value, l.id LIMIT $10"
        ),
        (_, true) => sql!(
            "SELECT l.id, l.value FROM (SELECT c.customer_id AS id, CASE $9 WHEN 'email' THEN COALESCE(c.email, '') WHEN 'name' THEN LOWER(COALESCE(c.name, '')) WHEN 'plan' THEN COALESCE(p.slug, '') ELSE CAST(COALESCE(m.worst, 0) AS TEXT) END AS value FROM customer c LEFT JOIN customer_summary m ON m.tenant_id = c.tenant_id AND m.customer_id = c.customer_id LEFT JOIN subscription s ON s.tenant_id = c.tenant_id AND s.customer_id = c.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') LEFT JOIN plan p ON p.tenant_id = s.tenant_id AND p.plan_id = s.plan_id WHERE c.tenant_id = $1 AND ($2 = '%' OR LOWER(COALESCE(c.email, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.name, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.external_id, '')) LIKE $2 ESCAPE '!') AND $3 = '' AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5)) l WHERE ($6 OR (l.value, l.id) < ($7, $8)) ORDER BY l.value DESC, l.id DESC LIMIT $10"
        ),
    };
    places(filtered(query, tenant, wanted, filter), db, wanted).await
}

/// How many customers there are.
pub async fn count_customers(db: &Db, tenant: &TenantId, wanted: &Wanted, filter: &Filter) -> Result<i64> {
    let query = sql!(
        "SELECT COUNT(*) FROM customer c LEFT JOIN customer_summary m ON m.tenant_id = c.tenant_id AND m.customer_id = c.customer_id LEFT JOIN subscription s ON s.tenant_id = c.tenant_id AND s.customer_id = c.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE c.tenant_id = $1 AND ($2 = '%' OR LOWER(COALESCE(c.email, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.name, '')) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(c.external_id, '')) LIKE $2 ESCAPE '!') AND $3 = '' AND ($4 = '' OR s.plan_id = $4) AND ($5 < 0 OR COALESCE(m.worst, 0) = $5)"
    );
    let row: Option<(i64,)> = filtered(query, tenant, wanted, filter).find(db).await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Reads the ids of a page of customers whose quotas are near or over their limits, the worst first.
pub async fn near(db: &Db, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<Place>> {
    let after = wanted.after.clone().unwrap_or_default();
    let query = sql!(
        "SELECT customer_id AS id, CAST(near AS TEXT) AS value FROM customer_summary WHERE tenant_id = $1 AND near > 0 AND ($2 OR near < $3 OR (near = $3 AND customer_id < $4)) ORDER BY near DESC, customer_id DESC LIMIT $5"
    );
    let rows: Vec<PlaceRow> = query
        .bind(tenant)
        .bind(wanted.after.is_none())
        .bind(after.value.parse::<i64>().unwrap_or_default())
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(PlaceRow::read).collect())
}

#[derive(FromRow)]
struct PlaceRow {
    id: String,
    value: String,
}

impl PlaceRow {
    fn read(self) -> Place {
        Place { value: self.value, id: self.id }
    }
}

fn filtered(query: Query, tenant: &TenantId, wanted: &Wanted, filter: &Filter) -> Query {
    let query = query.bind(tenant).bind(wanted.pattern()).bind(&filter.role).bind(&filter.plan);
    query.bind(filter.worst.unwrap_or(-1))
}

async fn places(query: Query, db: &Db, wanted: &Wanted) -> Result<Vec<Place>> {
    let after = wanted.start();
    let query = query.bind(wanted.after.is_none()).bind(after.value).bind(after.id).bind(wanted.sort);
    let rows: Vec<PlaceRow> = query.bind(wanted.rows).all(db).await?;
    Ok(rows.into_iter().map(PlaceRow::read).collect())
}

/// A user as lists show it.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    /// Its id.
    pub user_id: String,
    /// Where to write to.
    pub email: String,
    /// What people read.
    pub name: Option<String>,
    /// A role's name.
    pub role: String,
    /// The customer that the user acts for.
    pub customer_id: Option<String>,
    /// When it was made.
    pub created_at: i64,
}

fn list(ids: &[String]) -> String {
    serde_json::json!(ids).to_string()
}

/// Some users, in any order.
pub async fn user_rows(db: &Db, tenant: &TenantId, ids: &[String]) -> Result<Vec<UserRow>> {
    sql!("SELECT user_id, email, name, role, customer_id, created_at FROM user_account WHERE tenant_id = $1 AND user_id IN (SELECT value FROM {json_each}(CAST($2 AS {json})))")
        .bind(tenant)
        .bind(list(ids))
        .all(db)
        .await
}

#[derive(FromRow)]
struct Of<T> {
    customer_id: String,
    #[sqlx(flatten)]
    row: T,
}

fn by_customer<T>(rows: Vec<Of<T>>) -> HashMap<String, Vec<T>> {
    let mut found: HashMap<String, Vec<T>> = HashMap::new();
    for Of { customer_id, row } in rows {
        found.entry(customer_id).or_default().push(row);
    }
    found
}

/// Some customers with all that decides what they may use, in any order. Their own rows are read first, so that a change
/// that commits meanwhile makes the result older than the customer's version says, and not newer.
pub async fn load(db: &Db, tenant: &TenantId, ids: &[String]) -> Result<Vec<(CustomerRow, Customer)>> {
    let listed = list(ids);
    let rows: Vec<CustomerRow> = sql!("SELECT customer_id, external_id, email, name, anchor, suspended, entitlement_version, created_at FROM customer WHERE tenant_id = $1 AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json})))")
        .bind(tenant)
        .bind(&listed)
        .all(db)
        .await?;
    let subscriptions: Vec<Of<SubscriptionGateRow>> = sql!("SELECT s.customer_id, s.subscription_id, s.plan_id, s.price_id, s.status, s.access_until, s.plan_since, s.billing_anchor, s.period_start, s.period_end, p.interval FROM subscription s LEFT JOIN price p ON p.tenant_id = s.tenant_id AND p.price_id = s.price_id WHERE s.tenant_id = $1 AND s.customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json}))) AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled')")
        .bind(tenant)
        .bind(&listed)
        .all(db)
        .await?;
    let overrides: Vec<Of<OverrideRow>> = sql!("SELECT customer_id, feature, limit_value, until FROM limit_override WHERE tenant_id = $1 AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json})))")
        .bind(tenant)
        .bind(&listed)
        .all(db)
        .await?;
    let grants: Vec<Of<GrantRow>> = sql!("SELECT customer_id, grant_id, feature, amount, expires_at FROM credit_grant WHERE tenant_id = $1 AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json}))) ORDER BY COALESCE(expires_at, 9223372036854775807), grant_id")
        .bind(tenant)
        .bind(&listed)
        .all(db)
        .await?;
    let (mut subscriptions, mut overrides, mut grants) =
        (by_customer(subscriptions), by_customer(overrides), by_customer(grants));
    rows.into_iter()
        .map(|row| {
            let id = &row.customer_id;
            let subscription = subscriptions.remove(id).and_then(|mut rows| rows.pop());
            let customer = Customer {
                id: CustomerId::stored(id.as_str()),
                version: row.entitlement_version,
                anchor: Timestamp::from_micros(row.anchor),
                suspended: row.suspended,
                subscription: subscription.map(SubscriptionGateRow::read).transpose()?,
                overrides: overrides.remove(id).into_iter().flatten().map(OverrideRow::read).collect(),
                grants: grants.remove(id).into_iter().flatten().map(GrantRow::read).collect(),
            };
            Ok((row, customer))
        })
        .collect()
}

#[derive(FromRow)]
struct CounterRow {
    customer_id: String,
    feature: String,
    source: String,
    period_start: i64,
    used: i64,
    held: i64,
    version: i64,
}

/// The counters of some customers, those of periods that began before `from` left out. They stand as the last committed
/// batch left them: on SQLite counter rows are written behind, and what they lack is read from the events.
pub async fn books(db: &Db, tenant: &TenantId, ids: &[String], from: Timestamp) -> Result<HashMap<String, Book>> {
    let query = match &db.kind {
        Kind::Sqlite(_) => sql!(
            "SELECT customer_id, feature, source, period_start, used, held, version, '' AS seen FROM counter WHERE tenant_id = $1 AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json}))) AND (period_start = 0 OR period_start >= $3) UNION ALL SELECT customer_id, feature, source, period_start, used_after AS used, held_after AS held, version, event_id AS seen FROM usage_event WHERE tenant_id = $1 AND event_id > COALESCE((SELECT MAX(n.low) FROM node n), '') AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json}))) ORDER BY seen"
        ),
        Kind::Postgres { .. } => sql!(
            "SELECT customer_id, feature, source, period_start, used, held, version FROM counter WHERE tenant_id = $1 AND customer_id IN (SELECT value FROM {json_each}(CAST($2 AS {json}))) AND (period_start = 0 OR period_start >= $3)"
        ),
    };
    let rows: Vec<CounterRow> = query.bind(tenant).bind(list(ids)).bind(from).all(db).await?;
    let mut books: HashMap<String, Book> = HashMap::new();
    for row in rows {
        let key = CounterKey {
            feature: FeatureKey::stored(row.feature),
            source: Source::stored(&row.source),
            period_start: Timestamp::from_micros(row.period_start),
        };
        let counter = Counter { used: row.used, held: row.held, next_expiry: None, version: row.version };
        books.entry(row.customer_id).or_default().load(key, counter);
    }
    Ok(books)
}
