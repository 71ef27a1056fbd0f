//! Files of customers: who they belong to, where they stand, and under which keys their bytes are.

use domain::file::State;
use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::{Error, Result};
use crate::list::Wanted;

/// A file.
#[derive(Debug, Clone, FromRow)]
pub struct FileRow {
    /// Its id.
    pub file_id: String,
    /// Whose.
    pub customer_id: String,
    /// The gauge that it fills.
    pub feature: String,
    /// What people call it.
    pub name: String,
    /// What it is, by its content.
    pub media_type: String,
    /// Its bytes; while it is received, as its sender said.
    pub size: i64,
    /// How many of them are there.
    pub received: i64,
    /// Where it stands; a name of [`State`].
    pub state: String,
    /// Whether its sender may go on later.
    pub resumable: bool,
    /// What holds its size until it is kept.
    pub reservation_id: String,
    /// Who receives now.
    pub writer: String,
    /// Until when.
    pub lease_until: i64,
    /// When it must be whole.
    pub expires_at: i64,
    /// Who sent it.
    pub created_by: String,
    /// When it was begun.
    pub created_at: i64,
}

impl FileRow {
    /// Where it stands.
    pub fn state(&self) -> Result<State> {
        State::parse(&self.state).ok_or_else(|| Error::Broken {
            table: "file",
            id: self.file_id.clone(),
            why: format!("state {}", self.state),
        })
    }
}

/// A piece of a file.
#[derive(Debug, Clone, FromRow)]
pub struct PartRow {
    /// The end of its key.
    pub object: String,
    /// Its bytes; none while it is not known to be there.
    pub size: Option<i64>,
}

/// Writes down a file that will be received.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, row: &FileRow) -> Result<()> {
    sql!("INSERT INTO file (tenant_id, file_id, customer_id, feature, name, media_type, size, received, state, resumable, reservation_id, writer, lease_until, expires_at, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)")
        .bind(tenant)
        .bind(&row.file_id)
        .bind(&row.customer_id)
        .bind(&row.feature)
        .bind(&row.name)
        .bind(&row.media_type)
        .bind(row.size)
        .bind(row.received)
        .bind(&row.state)
        .bind(row.resumable)
        .bind(&row.reservation_id)
        .bind(&row.writer)
        .bind(row.lease_until)
        .bind(row.expires_at)
        .bind(&row.created_by)
        .bind(row.created_at)
        .execute(tx)
        .await
        .map(|_| ())
}

/// A file, wherever it stands.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, id: &str) -> Result<Option<FileRow>> {
    sql!("SELECT file_id, customer_id, feature, name, media_type, size, received, state, resumable, reservation_id, writer, lease_until, expires_at, created_by, created_at FROM file WHERE tenant_id = $1 AND file_id = $2")
        .bind(tenant)
        .bind(id)
        .find(on)
        .await
}

/// Files that a customer has, by the time of their ids.
pub async fn list(db: &Db, tenant: &TenantId, customer: &str, wanted: &Wanted) -> Result<Vec<FileRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT file_id, customer_id, feature, name, media_type, size, received, state, resumable, reservation_id, writer, lease_until, expires_at, created_by, created_at FROM file WHERE tenant_id = $1 AND customer_id = $2 AND state = 'kept' AND ($3 = '%' OR LOWER(name) LIKE $3 ESCAPE '!') AND file_id < $4 ORDER BY file_id DESC LIMIT $5"
        )
    } else {
        sql!(
            "SELECT file_id, customer_id, feature, name, media_type, size, received, state, resumable, reservation_id, writer, lease_until, expires_at, created_by, created_at FROM file WHERE tenant_id = $1 AND customer_id = $2 AND state = 'kept' AND ($3 = '%' OR LOWER(name) LIKE $3 ESCAPE '!') AND file_id > $4 ORDER BY file_id LIMIT $5"
        )
    };
    query.bind(tenant).bind(customer).bind(wanted.pattern()).bind(wanted.start().id).bind(wanted.rows).all(db).await
}

/// Files of a tenant that nobody works on and that are not at rest: a crash, or a sender who went away, left them.
pub async fn left(db: &Db, tenant: &TenantId, now: Timestamp, limit: i64) -> Result<Vec<FileRow>> {
    sql!("SELECT file_id, customer_id, feature, name, media_type, size, received, state, resumable, reservation_id, writer, lease_until, expires_at, created_by, created_at FROM file WHERE tenant_id = $1 AND state <> 'kept' AND lease_until <= $2 AND (state <> 'receiving' OR NOT resumable OR expires_at <= $2) ORDER BY lease_until LIMIT $3")
        .bind(tenant)
        .bind(now)
        .bind(limit)
        .all(db)
        .await
}

/// Takes a file that nobody works on; answers whether it stood as it was read.
pub async fn take(
    tx: &mut Tx,
    tenant: &TenantId,
    row: &FileRow,
    writer: &str,
    (now, until): (Timestamp, Timestamp),
) -> Result<bool> {
    let rows = sql!("UPDATE file SET writer = $6, lease_until = $8 WHERE tenant_id = $1 AND file_id = $2 AND state = $3 AND received = $4 AND writer = $5 AND lease_until <= $7")
        .bind(tenant)
        .bind(&row.file_id)
        .bind(&row.state)
        .bind(row.received)
        .bind(&row.writer)
        .bind(writer)
        .bind(now)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Keeps a file for whoever works on it; answers whether they still do. An instant that is over lets it go.
pub async fn renew(tx: &mut Tx, tenant: &TenantId, row: &FileRow, until: Timestamp) -> Result<bool> {
    let rows = sql!("UPDATE file SET lease_until = $4 WHERE tenant_id = $1 AND file_id = $2 AND writer = $3")
        .bind(tenant)
        .bind(&row.file_id)
        .bind(&row.writer)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Brings a file from one state to another; answers whether it stood there, and with the same writer.
pub async fn turn(tx: &mut Tx, tenant: &TenantId, row: &FileRow, (to, until): (State, Timestamp)) -> Result<bool> {
    let rows = sql!("UPDATE file SET state = $5, size = $6, media_type = $7, lease_until = $8 WHERE tenant_id = $1 AND file_id = $2 AND state = $3 AND writer = $4")
        .bind(tenant)
        .bind(&row.file_id)
        .bind(&row.state)
        .bind(&row.writer)
        .bind(to.name())
        .bind(row.size)
        .bind(&row.media_type)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Writes down a piece that will be put.
pub async fn begin_part(tx: &mut Tx, tenant: &TenantId, file: &str, (object, position): (&str, i64)) -> Result<()> {
    sql!("INSERT INTO file_part (tenant_id, file_id, object, position) VALUES ($1, $2, $3, $4)")
        .bind(tenant)
        .bind(file)
        .bind(object)
        .bind(position)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Notes that a piece is there, and what the file's beginning says; answers whether its writer still receives it.
pub async fn end_part(
    tx: &mut Tx,
    tenant: &TenantId,
    row: &FileRow,
    (object, size): (&str, i64),
    until: Timestamp,
) -> Result<bool> {
    let rows = sql!("UPDATE file SET received = received + $5, media_type = $6, lease_until = $7 WHERE tenant_id = $1 AND file_id = $2 AND writer = $3 AND received = $4 AND state = 'receiving'")
        .bind(tenant)
        .bind(&row.file_id)
        .bind(&row.writer)
        .bind(row.received)
        .bind(size)
        .bind(&row.media_type)
        .bind(until)
        .execute(&mut *tx)
        .await?;
    sql!("UPDATE file_part SET size = $4 WHERE tenant_id = $1 AND file_id = $2 AND object = $3")
        .bind(tenant)
        .bind(&row.file_id)
        .bind(object)
        .bind(size)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// All pieces of a file that were written down, in the order of its bytes.
pub async fn parts(db: &Db, tenant: &TenantId, file: &str) -> Result<Vec<PartRow>> {
    sql!("SELECT object, size FROM file_part WHERE tenant_id = $1 AND file_id = $2 ORDER BY position, object")
        .bind(tenant)
        .bind(file)
        .all(db)
        .await
}

/// Forgets a file.
pub async fn delete(tx: &mut Tx, tenant: &TenantId, file: &str) -> Result<()> {
    sql!("DELETE FROM file_part WHERE tenant_id = $1 AND file_id = $2")
        .bind(tenant)
        .bind(file)
        .execute(&mut *tx)
        .await?;
    sql!("DELETE FROM file WHERE tenant_id = $1 AND file_id = $2").bind(tenant).bind(file).execute(tx).await.map(|_| ())
}
