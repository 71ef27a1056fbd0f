//! Who changed what, written in the transaction of the change, and soon after chained to the entry before.

use domain::audit::{Entry, Head};
use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// An entry's row.
#[derive(Debug, Clone, FromRow)]
struct EntryRow {
    audit_id: String,
    at: i64,
    actor: String,
    action: String,
    target: String,
    before: Option<String>,
    after: Option<String>,
    request_id: String,
    origin: String,
    mac: String,
    seq: Option<i64>,
    prev_hash: Option<String>,
    hash: Option<String>,
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Self {
        Self {
            id: row.audit_id,
            at: Timestamp::from_micros(row.at),
            actor: row.actor,
            action: row.action,
            target: row.target,
            before: row.before,
            after: row.after,
            request_id: row.request_id,
            origin: row.origin,
            mac: row.mac,
            seq: row.seq,
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

/// An entry with the name of who did it, for reading.
#[derive(Debug, Clone, FromRow)]
pub struct NamedRow {
    /// Its id.
    pub audit_id: String,
    /// When it happened.
    pub at: i64,
    /// Who did it: a kind and an id.
    pub actor: String,
    /// What that person or key is called.
    pub actor_name: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// The state before, as JSON.
    pub before: Option<String>,
    /// The state after, as JSON.
    pub after: Option<String>,
    /// The request.
    pub request_id: String,
    /// Where it came from.
    pub origin: String,
    /// Its place in the chain.
    pub seq: Option<i64>,
}

/// Which entries are asked for; empty texts leave a filter out.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Who did it: a kind and an id.
    pub actor: String,
    /// What was done, or the noun of it (`plan` for `plan.changed`).
    pub action: String,
    /// To what.
    pub target: String,
    /// From when.
    pub from: Timestamp,
    /// Until when, without that instant.
    pub to: Timestamp,
}

/// Writes an entry.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, entry: &Entry) -> Result<()> {
    sql!("INSERT INTO audit_entry (tenant_id, audit_id, at, actor, action, target, before, after, request_id, origin, mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
        .bind(tenant)
        .bind(&entry.id)
        .bind(entry.at)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.target)
        .bind(entry.before.clone())
        .bind(entry.after.clone())
        .bind(&entry.request_id)
        .bind(&entry.origin)
        .bind(&entry.mac)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Entries with the names of who did it, by `at`; `search` looks into what was done and to what.
pub async fn list(db: &Db, tenant: &TenantId, filter: &Filter, wanted: &Wanted) -> Result<Vec<NamedRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT e.audit_id, e.at, e.actor, COALESCE(u.name, u.email, k.name) AS actor_name, e.action, e.target, e.before, e.after, e.request_id, e.origin, e.seq FROM audit_entry e LEFT JOIN user_account u ON u.tenant_id = e.tenant_id AND u.user_id = SUBSTR(e.actor, 6) LEFT JOIN api_key k ON k.tenant_id = e.tenant_id AND k.key_id = SUBSTR(e.actor, 5) WHERE e.tenant_id = $1 AND e.at >= $2 AND e.at < $3 AND ($4 = '' OR e.actor = $4) AND ($5 = '' OR e.action = $5 OR SUBSTR(e.action, 1, LENGTH($5) + 1) = $5 || '.') AND ($6 = '' OR e.target = $6) AND (LOWER(e.action) LIKE $7 ESCAPE '!' OR LOWER(e.target) LIKE $7 ESCAPE '!') AND (e.at, e.audit_id) < ($8, $9) ORDER BY e.at DESC, e.audit_id DESC LIMIT $10"
        )
    } else {
        sql!(
            "SELECT e.audit_id, e.at, e.actor, COALESCE(u.name, u.email, k.name) AS actor_name, e.action, e.target, e.before, e.after, e.request_id, e.origin, e.seq FROM audit_entry e LEFT JOIN user_account u ON u.tenant_id = e.tenant_id AND u.user_id = SUBSTR(e.actor, 6) LEFT JOIN api_key k ON k.tenant_id = e.tenant_id AND k.key_id = SUBSTR(e.actor, 5) WHERE e.tenant_id = $1 AND e.at >= $2 AND e.at < $3 AND ($4 = '' OR e.actor = $4) AND ($5 = '' OR e.action = $5 OR SUBSTR(e.action, 1, LENGTH($5) + 1) = $5 || '.') AND ($6 = '' OR e.target = $6) AND (LOWER(e.action) LIKE $7 ESCAPE '!' OR LOWER(e.target) LIKE $7 ESCAPE '!') AND (e.at, e.audit_id) > ($8, $9) ORDER BY e.at, e.audit_id LIMIT $10"
        )
    };
    let after = wanted.start();
    query
        .bind(tenant)
        .bind(filter.from)
        .bind(filter.to)
        .bind(&filter.actor)
        .bind(&filter.action)
        .bind(&filter.target)
        .bind(wanted.pattern())
        .bind(after.value.parse::<i64>().unwrap_or_default())
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// One entry with the name of who did it.
pub async fn find(db: &Db, tenant: &TenantId, id: &str) -> Result<Option<NamedRow>> {
    sql!("SELECT e.audit_id, e.at, e.actor, COALESCE(u.name, u.email, k.name) AS actor_name, e.action, e.target, e.before, e.after, e.request_id, e.origin, e.seq FROM audit_entry e LEFT JOIN user_account u ON u.tenant_id = e.tenant_id AND u.user_id = SUBSTR(e.actor, 6) LEFT JOIN api_key k ON k.tenant_id = e.tenant_id AND k.key_id = SUBSTR(e.actor, 5) WHERE e.tenant_id = $1 AND e.audit_id = $2")
        .bind(tenant)
        .bind(id)
        .find(db)
        .await
}

/// Tenants whose chain has not begun.
pub async fn headless_tenants(db: &Db) -> Result<Vec<TenantId>> {
    let rows: Vec<(String,)> = sql!("SELECT t.tenant_id FROM tenant t LEFT JOIN audit_head h ON h.tenant_id = t.tenant_id WHERE h.tenant_id IS NULL ORDER BY t.tenant_id")
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(tenant,)| TenantId::stored(tenant)).collect())
}

/// Tenants with entries that have no place in their chain yet.
pub async fn unsealed_tenants(db: &Db) -> Result<Vec<TenantId>> {
    let rows: Vec<(String,)> =
        sql!("SELECT DISTINCT tenant_id FROM audit_entry WHERE seq IS NULL ORDER BY tenant_id").all(db).await?;
    Ok(rows.into_iter().map(|(tenant,)| TenantId::stored(tenant)).collect())
}

/// Entries without a place that this transaction sees, in the order of their ids.
pub async fn unsealed(tx: &mut Tx, tenant: &TenantId, limit: i64) -> Result<Vec<Entry>> {
    let rows: Vec<EntryRow> = sql!("SELECT audit_id, at, actor, action, target, before, after, request_id, origin, mac, seq, prev_hash, hash FROM audit_entry WHERE tenant_id = $1 AND seq IS NULL ORDER BY audit_id LIMIT $2")
        .bind(tenant)
        .bind(limit)
        .all(tx)
        .await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// Some entries without a place, after one of them.
pub async fn unsealed_after(db: &Db, tenant: &TenantId, after: &str, limit: i64) -> Result<Vec<Entry>> {
    let rows: Vec<EntryRow> = sql!("SELECT audit_id, at, actor, action, target, before, after, request_id, origin, mac, seq, prev_hash, hash FROM audit_entry WHERE tenant_id = $1 AND seq IS NULL AND audit_id > $2 ORDER BY audit_id LIMIT $3")
        .bind(tenant)
        .bind(after)
        .bind(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// Some entries of the chain, after one of them. Numbers may be there twice when somebody has dropped the index.
pub async fn sealed_after(db: &Db, tenant: &TenantId, after: (i64, &str), limit: i64) -> Result<Vec<Entry>> {
    let rows: Vec<EntryRow> = sql!("SELECT audit_id, at, actor, action, target, before, after, request_id, origin, mac, seq, prev_hash, hash FROM audit_entry WHERE tenant_id = $1 AND seq IS NOT NULL AND (seq, audit_id) > ($2, $3) ORDER BY seq, audit_id LIMIT $4")
        .bind(tenant)
        .bind(after.0)
        .bind(after.1)
        .bind(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// The last number of a chain and its hash, whatever the head says.
pub async fn last_sealed(tx: &mut Tx, tenant: &TenantId) -> Result<Option<(i64, Option<String>)>> {
    sql!("SELECT seq, hash FROM audit_entry WHERE tenant_id = $1 AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1")
        .bind(tenant)
        .find(tx)
        .await
}

/// Gives an entry its place.
pub async fn seal(tx: &mut Tx, tenant: &TenantId, entry: &Entry) -> Result<()> {
    sql!("UPDATE audit_entry SET seq = $3, prev_hash = $4, hash = $5 WHERE tenant_id = $1 AND audit_id = $2 AND seq IS NULL")
        .bind(tenant)
        .bind(&entry.id)
        .bind(entry.seq)
        .bind(entry.prev_hash.clone())
        .bind(entry.hash.clone())
        .execute(tx)
        .await
        .map(|_| ())
}

#[derive(FromRow)]
struct HeadRow {
    seq: i64,
    hash: String,
    mac: String,
    sealed_at: i64,
    began_at: i64,
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        Self {
            seq: row.seq,
            hash: row.hash,
            mac: row.mac,
            sealed_at: Timestamp::from_micros(row.sealed_at),
            began_at: Timestamp::from_micros(row.began_at),
        }
    }
}

/// The head of a chain.
pub async fn head(db: &Db, tenant: &TenantId) -> Result<Option<Head>> {
    let row: Option<HeadRow> = sql!("SELECT seq, hash, mac, sealed_at, began_at FROM audit_head WHERE tenant_id = $1")
        .bind(tenant)
        .find(db)
        .await?;
    Ok(row.map(Head::from))
}

/// The head of a chain, for who extends it: one at a time.
pub async fn lock_head(tx: &mut Tx, tenant: &TenantId) -> Result<Option<Head>> {
    let row: Option<HeadRow> =
        sql!("SELECT seq, hash, mac, sealed_at, began_at FROM audit_head WHERE tenant_id = $1 {lock}")
            .bind(tenant)
            .find(tx)
            .await?;
    Ok(row.map(Head::from))
}

/// Begins a chain, unless it has begun.
pub async fn insert_head(tx: &mut Tx, tenant: &TenantId, head: &Head) -> Result<()> {
    sql!("INSERT INTO audit_head (tenant_id, seq, hash, mac, sealed_at, began_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id) DO NOTHING")
        .bind(tenant)
        .bind(head.seq)
        .bind(&head.hash)
        .bind(&head.mac)
        .bind(head.sealed_at)
        .bind(head.began_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Moves the head of a chain.
pub async fn move_head(tx: &mut Tx, tenant: &TenantId, head: &Head) -> Result<()> {
    sql!("UPDATE audit_head SET seq = $2, hash = $3, mac = $4, sealed_at = $5 WHERE tenant_id = $1")
        .bind(tenant)
        .bind(head.seq)
        .bind(&head.hash)
        .bind(&head.mac)
        .bind(head.sealed_at)
        .execute(tx)
        .await
        .map(|_| ())
}
