//! The books, checked: every counter is computed again from its events.

use store::db::Db;
pub use store::doctor::INVARIANTS;
use store::doctor::Violation;

use crate::error::Result;

/// Everything that contradicts one of [`INVARIANTS`], as in `docs/RELIABILITY.md`; empty when the books are right.
pub async fn invariants(db: &Db) -> Result<Vec<Violation>> {
    Ok(store::doctor::violations(db).await?)
}

/// Restores every counter from the events. Answers how many counters there are.
pub async fn rebuild(db: &Db) -> Result<u64> {
    Ok(store::doctor::rebuild(db).await?)
}
