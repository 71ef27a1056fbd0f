//! What can go wrong below the use cases.

use thiserror::Error;

/// The result of a store function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store.
#[derive(Debug, Error)]
pub enum Error {
    /// The store cannot be reached, or did not answer in time. For a write the outcome is unknown.
    #[error("the store is away: {0}")]
    Away(String),
    /// More is asked of it at once than may wait. Nothing happened.
    #[error("too much waits already: {0}")]
    Busy(&'static str),
    /// No room on the disk.
    #[error("the disk is full")]
    Full,
    /// A row that must be unique is there already; names the constraint.
    #[error("{0} is taken")]
    Conflict(String),
    /// The database cannot be used as it is set up; says what to do.
    #[error("{0}")]
    Setup(String),
    /// A stored row contradicts the model.
    #[error("{table}: the row {id} contradicts the model: {why}")]
    Broken {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// Anything else that the driver reported.
    #[error("database: {0}")]
    Driver(sqlx::Error),
}

impl Error {
    /// One failure for several callers.
    pub(crate) fn repeated(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Busy(what) => Self::Busy(what),
            Self::Away(why) => Self::Away(why.clone()),
            Self::Conflict(_) | Self::Setup(_) | Self::Broken { .. } | Self::Driver(_) => {
                Self::Away(format!("the gate could not record this: {self}"))
            }
        }
    }
}

/// The error of a server whose certificate nobody vouches for, if this is one. It will not get better by waiting.
pub(crate) fn untrusted(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
        return Some(Error::Setup(format!(
            "the certificate of the PostgreSQL server is not trusted ({why}); check its name in the database URL, and name \
             the file of who issued it in sslrootcert"
        )));
    }
    // An I/O error's own source is what lies beneath the error that it wraps.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(wrapped) => untrusted(wrapped),
        None => error.source().and_then(untrusted),
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let Some(database) = error.as_database_error() {
            if database.is_unique_violation() {
                return Self::Conflict(database.constraint().unwrap_or_else(|| database.message()).to_owned());
            }
            if database.code().is_some_and(|code| matches!(&*code, "13" | "53100")) {
                return Self::Full;
            }
            // 57P0x: the server is shutting down or starting; 08xxx: the connection broke; 53300: too many connections.
            if database.code().is_some_and(|c| c.starts_with("57P") || c.starts_with("08") || &*c == "53300") {
                return Self::Away(database.message().to_owned());
            }
        }
        let away = matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_)
        );
        if away { Self::Away(error.to_string()) } else { Self::Driver(error) }
    }
}

impl From<sqlx::migrate::MigrateError> for Error {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Setup(format!("the schema could not be brought up to date: {error}"))
    }
}
