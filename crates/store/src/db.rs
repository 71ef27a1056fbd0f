//! The one file that names a database driver (beside `gate/{sqlite,postgres}.rs`).
//!
//! Every statement passes through [`sql!`], so that a test can prepare all of them on both databases. Statements keep
//! to the subset that SQLite and PostgreSQL share; what differs has a name here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection as _, FromRow, PgConnection, Postgres, Sqlite, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, broadcast};

use crate::error::{Error, Result, untrusted};
use crate::event::{self, Outbox, Spoken};
use crate::fault::{self, Fate};
pub use crate::location::Location;
use crate::patience::{Patience, START_PATIENCE};
pub use crate::value::Value;

const READERS_MAX: u32 = 4;
const POSTGRES_CONNECTIONS_MAX: u32 = 12;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// One attempt to connect at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Older versions have a race that can corrupt the write-ahead log (RELIABILITY §0.9).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Transactions whose events a slow listener may lag behind before it has to look for itself.
const SPOKEN_MAX: usize = 1_024;

/// An open database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Sqlite(Arc<SqliteDb>),
    Postgres { pool: PgPool, url: Arc<str> },
}

#[derive(Debug)]
pub(crate) struct SqliteDb {
    pub(crate) path: PathBuf,
    readers: SqlitePool,
    writer: SqlitePool,
    /// SQLite has one writer; this queue is fair, its busy handler is not.
    pub(crate) turn: Arc<Mutex<()>>,
    /// What committed transactions told.
    pub(crate) spoken: broadcast::Sender<Spoken>,
    /// Held while the process lives, so that a second one is refused.
    _process: std::fs::File,
}

impl Db {
    /// Opens the database, brings its schema up to date, and refuses a SQLite file that another process has open. Waits
    /// a while for a database that does not answer yet.
    pub async fn open(location: &Location) -> Result<Self> {
        Self::open_within(location, START_PATIENCE).await
    }

    /// The same, with patience of the caller's own.
    pub(crate) async fn open_within(location: &Location, patience: Duration) -> Result<Self> {
        match location {
            Location::Sqlite(path) => open_sqlite(path, patience).await,
            Location::Postgres(url) => open_postgres(url, patience).await,
        }
    }

    /// Begins a transaction that may write. On SQLite it waits for its turn.
    pub async fn begin(&self) -> Result<Tx> {
        if fault::is_down() {
            return Err(fault::crashed());
        }
        match &self.kind {
            Kind::Sqlite(db) => {
                let turn = db.turn.clone().lock_owned().await;
                let tx = db.writer.begin_with("BEGIN IMMEDIATE").await?;
                Ok(Tx { open: Open::Sqlite(tx, turn, db.spoken.clone()), outbox: Outbox::default() })
            }
            Kind::Postgres { pool, .. } => {
                Ok(Tx { open: Open::Postgres(pool.begin().await?), outbox: Outbox::default() })
            }
        }
    }

    /// Begins a transaction that reads everything as it was at one moment, and writes nothing. Nobody waits for it.
    pub async fn snapshot(&self) -> Result<Tx> {
        let open = match &self.kind {
            Kind::Sqlite(db) => Open::Snapshot(db.readers.begin().await?),
            Kind::Postgres { pool, .. } => {
                Open::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        };
        Ok(Tx { open, outbox: Outbox::default() })
    }

    /// The same pool, for a gate that is told another URL.
    #[cfg(test)]
    pub(crate) fn elsewhere(&self, url: &str) -> Self {
        match &self.kind {
            Kind::Sqlite(_) => self.clone(),
            Kind::Postgres { pool, .. } => Self { kind: Kind::Postgres { pool: pool.clone(), url: url.into() } },
        }
    }

    /// Whether the store answers; for readiness.
    pub async fn ping(&self) -> Result<()> {
        sql!("SELECT 1").execute(self).await.map(|_| ())
    }

    /// Listens to what committed transactions say: on a channel that processes share through the database, or where there
    /// is but one process, inside of it.
    pub(crate) async fn notices(&self, channel: &str) -> Result<Notices> {
        match &self.kind {
            Kind::Sqlite(db) => Ok(Notices::Inside(db.spoken.subscribe())),
            Kind::Postgres { pool, .. } => {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(channel).await?;
                Ok(Notices::Shared(listener))
            }
        }
    }

    /// Whether this process is the only one on the database.
    pub fn is_one_process(&self) -> bool {
        matches!(self.kind, Kind::Sqlite(_))
    }

    /// The name of the database kind, for people.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite(_) => "SQLite",
            Kind::Postgres { .. } => "PostgreSQL",
        }
    }
}

/// What committed transactions say.
#[derive(Debug)]
pub(crate) enum Notices {
    /// In this process alone.
    Inside(broadcast::Receiver<Spoken>),
    /// In every process that shares the database.
    Shared(PgListener),
}

/// A transaction; dropping it rolls back.
pub struct Tx {
    open: Open,
    /// What it has to tell when it commits.
    pub(crate) outbox: Outbox,
}

enum Open {
    /// On SQLite, with its turn among the writers, and where it says what it told.
    Sqlite(Transaction<'static, Sqlite>, OwnedMutexGuard<()>, broadcast::Sender<Spoken>),
    /// On SQLite, beside the writers.
    Snapshot(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Makes everything durable. An error means that the outcome is unknown.
    pub async fn commit(self) -> Result<()> {
        let fate = fault::at_commit();
        if fate != Fate::Lost {
            self.write().await?;
        }
        if fate == Fate::Written { Ok(()) } else { Err(fault::crashed()) }
    }

    async fn write(mut self) -> Result<()> {
        let spoken = event::write(&mut self).await?;
        if matches!(self.open, Open::Postgres(_)) {
            for spoken in &spoken {
                event::notify(&mut self, spoken).await?;
            }
        }
        match self.open {
            Open::Sqlite(tx, turn, told) => {
                tx.commit().await?;
                // Whoever listens hears of it in the order of commits: the next writer waits for the turn.
                for spoken in spoken {
                    drop(told.send(spoken));
                }
                drop(turn);
                Ok(())
            }
            Open::Snapshot(tx) => Ok(tx.commit().await?),
            Open::Postgres(tx) => Ok(tx.commit().await?),
        }
    }
}

/// What a statement runs on: the database itself, or an open transaction.
pub enum On<'a> {
    /// A connection of its own, for reading.
    Db(&'a Db),
    /// Inside a transaction.
    Tx(&'a mut Tx),
}

impl<'a> From<&'a Db> for On<'a> {
    fn from(db: &'a Db) -> Self {
        Self::Db(db)
    }
}

impl<'a> From<&'a mut Tx> for On<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        Self::Tx(tx)
    }
}

/// A statement and what is bound to it. Made by [`sql!`] alone.
#[derive(Debug)]
pub struct Query {
    text: &'static str,
    values: Vec<Value>,
}

/// A row that both drivers can read.
pub trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Record for T {}

/// Names a statement. The one way to SQL outside the gate, so that a test can find and prepare every statement.
macro_rules! sql {
    ($text:literal) => {
        $crate::db::Query::new($text)
    };
}
pub(crate) use sql;

/// Binds the values and runs one driver call on whichever connection there is.
macro_rules! run {
    ($query:expr, $on:expr, $make:path, $call:ident) => {{
        let Query { text, values } = $query;
        match $on.into() {
            On::Db(Db { kind: Kind::Sqlite(db) }) => bind_sqlite!($make, text, values).$call(&db.readers).await,
            On::Db(Db { kind: Kind::Postgres { pool, .. } }) => bind_postgres!($make, text, values).$call(pool).await,
            On::Tx(Tx { open: Open::Sqlite(tx, ..) | Open::Snapshot(tx), .. }) => {
                bind_sqlite!($make, text, values).$call(&mut **tx).await
            }
            On::Tx(Tx { open: Open::Postgres(tx), .. }) => bind_postgres!($make, text, values).$call(&mut **tx).await,
        }
    }};
}

macro_rules! bind_sqlite {
    ($make:path, $text:expr, $values:expr) => {{
        let mut query = $make(AssertSqlSafe(dialect($text, &SQLITE_WORDS)));
        for value in $values {
            query = match value {
                Value::Text(v) => query.bind(v),
                Value::Int(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
            };
        }
        query
    }};
}

macro_rules! bind_postgres {
    ($make:path, $text:expr, $values:expr) => {{
        let mut query = $make(AssertSqlSafe(dialect($text, &POSTGRES_WORDS)));
        for value in $values {
            query = match value {
                Value::Text(v) => query.bind(v),
                Value::Int(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
            };
        }
        query
    }};
}

/// Words of statements that differ. `{lock}` is a row lock where there are rows to lock; SQLite's one writer needs none.
/// `{json_each}` and `{json}` make rows of a list that is bound as JSON: `SELECT value FROM {json_each}(CAST($2 AS {json}))`.
type Words = [(&'static str, &'static str); 3];
pub(crate) const SQLITE_WORDS: Words = [("{lock}", ""), ("{json_each}", "json_each"), ("{json}", "TEXT")];
pub(crate) const POSTGRES_WORDS: Words =
    [("{lock}", "FOR UPDATE"), ("{json_each}", "json_array_elements_text"), ("{json}", "JSON")];

fn dialect(text: &'static str, words: &Words) -> String {
    // Few statements have any.
    if !text.contains('{') {
        return text.to_owned();
    }
    words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes statements, from sql! alone")]
impl Query {
    #[doc(hidden)]
    pub const fn new(text: &'static str) -> Self {
        Self { text, values: Vec::new() }
    }

    /// Binds the next placeholder (`$1` first).
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it and answers how many rows it touched.
    pub async fn execute<'a>(self, on: impl Into<On<'a>>) -> Result<u64> {
        let Self { text, values } = self;
        let rows = match on.into() {
            On::Db(Db { kind: Kind::Sqlite(db) }) => {
                bind_sqlite!(sqlx::query::<Sqlite>, text, values).execute(&db.readers).await?.rows_affected()
            }
            On::Db(Db { kind: Kind::Postgres { pool, .. } }) => {
                bind_postgres!(sqlx::query::<Postgres>, text, values).execute(pool).await?.rows_affected()
            }
            On::Tx(Tx { open: Open::Sqlite(tx, ..) | Open::Snapshot(tx), .. }) => {
                bind_sqlite!(sqlx::query::<Sqlite>, text, values).execute(&mut **tx).await?.rows_affected()
            }
            On::Tx(Tx { open: Open::Postgres(tx), .. }) => {
                bind_postgres!(sqlx::query::<Postgres>, text, values).execute(&mut **tx).await?.rows_affected()
            }
        };
        Ok(rows)
    }

    /// All rows.
    pub async fn all<'a, T: Record>(self, on: impl Into<On<'a>>) -> Result<Vec<T>> {
        Ok(run!(self, on, sqlx::query_as, fetch_all)?)
    }

    /// The row, if there is one.
    pub async fn find<'a, T: Record>(self, on: impl Into<On<'a>>) -> Result<Option<T>> {
        Ok(run!(self, on, sqlx::query_as, fetch_optional)?)
    }
}

async fn open_sqlite(path: &Path, patience: Duration) -> Result<Db> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| Error::Setup(format!("cannot make {}: {e}", folder.display())))?;
    }
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(Error::Setup(format!("SQLite {} is too old; build with the bundled one", rusqlite::version())));
    }
    let process = crate::process::lock(path)?;
    private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", "16000")
        .foreign_keys(false);
    // Schema changes leave other open connections with a stale schema, so the pools are made afterwards.
    let first = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    migrator(&SQLITE_TOKENS).run(&first).await?;
    first.close().await;
    let mut waiting = Patience::new(path.display().to_string(), patience);
    let writer = sqlite_pool(1, &options, &mut waiting).await?;
    let readers = sqlite_pool(READERS_MAX, &options.pragma("query_only", "1"), &mut waiting).await?;
    let turn = Arc::new(Mutex::new(()));
    let (spoken, _) = broadcast::channel(SPOKEN_MAX);
    let db = SqliteDb { path: path.to_owned(), readers, writer, turn, spoken, _process: process };
    Ok(Db { kind: Kind::Sqlite(Arc::new(db)) })
}

/// Makes the file as the owner's alone, before SQLite does; its companions take over what it has.
fn private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path).map(drop);
    opened.map_err(|e| Error::Setup(format!("cannot open {}: {e}", path.display())))
}

async fn sqlite_pool(max: u32, options: &SqliteConnectOptions, waiting: &mut Patience) -> Result<SqlitePool> {
    loop {
        let pool = SqlitePoolOptions::new().max_connections(max).acquire_timeout(ACQUIRE_TIMEOUT);
        match pool.connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(error) => waiting.again(error.into()).await?,
        }
    }
}

async fn open_postgres(url: &str, patience: Duration) -> Result<Db> {
    let unreadable = |error: sqlx::Error| Error::Setup(format!("the database URL cannot be read: {error}"));
    let options: PgConnectOptions = url.parse().map_err(unreadable)?;
    let place = format!("PostgreSQL at {}:{}", options.get_host(), options.get_port());
    let options = options.application_name("tollgate").options([
        ("synchronous_commit", "on"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "30s"),
    ]);
    let mut waiting = Patience::new(place.clone(), patience);
    let pool = loop {
        match postgres_pool(&options).await {
            Ok(pool) => break pool,
            Err(error) => waiting.again(error).await.map_err(|error| unreached(&place, error))?,
        }
    };
    migrator(&POSTGRES_TOKENS).run(&pool).await?;
    Ok(Db { kind: Kind::Postgres { pool, url: url.into() } })
}

async fn postgres_pool(options: &PgConnectOptions) -> Result<PgPool> {
    // A connection alone says why it cannot be had; a pool only that it waited.
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await;
    let connected = connected.map_err(|_| Error::Away("no answer in time".to_owned()))?;
    // What is cut before the first word looks like a word that makes no sense.
    let broken = |error: sqlx::Error| {
        if let sqlx::Error::Protocol(cause) = &error {
            return Error::Away(cause.clone());
        }
        untrusted(&error).unwrap_or_else(|| error.into())
    };
    connected.map_err(broken)?.close().await?;
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS_MAX).acquire_timeout(ACQUIRE_TIMEOUT);
    Ok(pool.connect_with(options.clone()).await?)
}

/// What to look at when a server cannot be used. Never names the password.
fn unreached(place: &str, error: Error) -> Error {
    match &error {
        Error::Away(cause) => Error::Setup(format!(
            "{place} does not answer ({cause}); check that it runs, that host and port in the database URL are right, \
             and that this machine may reach it"
        )),
        Error::Driver(cause) => Error::Setup(format!(
            "{place} does not let us in ({}); check user, password and database name in the database URL",
            cause.as_database_error().map_or_else(|| cause.to_string(), |told| told.message().to_owned())
        )),
        Error::Full | Error::Busy(_) | Error::Conflict(_) | Error::Setup(_) | Error::Broken { .. } => error,
    }
}

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "foundation", include_str!("../migrations/0001_foundation.sql")),
    (2, "subscriptions", include_str!("../migrations/0002_subscriptions.sql")),
    (3, "catalog", include_str!("../migrations/0003_catalog.sql")),
    (4, "audit", include_str!("../migrations/0004_audit.sql")),
    (5, "customers", include_str!("../migrations/0005_customers.sql")),
    (6, "analytics", include_str!("../migrations/0006_analytics.sql")),
    (7, "components", include_str!("../migrations/0007_components.sql")),
    (8, "checkout", include_str!("../migrations/0008_checkout.sql")),
    (9, "operator", include_str!("../migrations/0009_operator.sql")),
    (11, "events", include_str!("../migrations/0011_events.sql")),
    (12, "provider ids", include_str!("../migrations/0012_provider_ids.sql")),
    (13, "mail", include_str!("../migrations/0013_mail.sql")),
    (14, "subscription life", include_str!("../migrations/0014_subscription_life.sql")),
    (15, "files", include_str!("../migrations/0015_files.sql")),
    (18, "notices", include_str!("../migrations/0018_notices.sql")),
];

type Tokens = [(&'static str, &'static str); 3];

const SQLITE_TOKENS: Tokens = [
    ("{clustered}", "WITHOUT ROWID"),
    ("{updated_in_place}", "WITHOUT ROWID"),
    // Tells the gate with one small read whether any limit may have moved since it last looked.
    (
        "{sqlite_generation}",
        "CREATE TABLE generation (one INTEGER NOT NULL PRIMARY KEY, number BIGINT NOT NULL);
         INSERT INTO generation VALUES (1, 1);
         CREATE TRIGGER tenant_generation AFTER UPDATE OF epoch ON tenant
           BEGIN UPDATE generation SET number = number + 1; END;
         CREATE TRIGGER customer_generation AFTER UPDATE OF entitlement_version ON customer
           BEGIN UPDATE generation SET number = number + 1; END;",
    ),
];

const POSTGRES_TOKENS: Tokens =
    [("{clustered}", ""), ("{updated_in_place}", "WITH (fillfactor = 50)"), ("{sqlite_generation}", "")];

fn migrator(tokens: &Tokens) -> Migrator {
    let with_tokens = |text: &str| tokens.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let migrations: Vec<_> = MIGRATIONS
        .iter()
        .map(|(version, name, text)| {
            let text = AssertSqlSafe(with_tokens(text));
            Migration::new(*version, (*name).into(), MigrationType::Simple, sqlx::SqlSafeStr::into_sql_str(text), false)
        })
        .collect();
    Migrator { migrations: migrations.into(), ..Migrator::DEFAULT }
}
