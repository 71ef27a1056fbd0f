//! Where a database is, as people name it.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// One file of this machine.
    Sqlite(PathBuf),
    /// A server, by its connection URL.
    Postgres(String),
}

impl Location {
    /// Reads `sqlite://PATH` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(Error::Setup("write the database URL as sqlite://PATH or postgres://USER@HOST/NAME".to_owned()))
    }
}
