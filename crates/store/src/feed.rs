//! What other nodes commit: one notice for each of their batches.

use crate::db::{Db, Notices};
use crate::error::Result;

/// The channel on which gates say which batch they committed.
const CHANNEL: &str = "gate";

/// Hears of the batches of every node that shares the database, this one's included.
#[derive(Debug)]
pub struct Listener(Notices);

/// Begins to listen; none where the database has but one process.
pub async fn listen(db: &Db) -> Result<Option<Listener>> {
    Ok(db.notices(CHANNEL).await?.map(Listener))
}

impl Listener {
    /// The node and number of the next batch; none when the connection broke and was made anew, so that some may have
    /// been missed.
    pub async fn next(&mut self) -> Result<Option<(i64, i64)>> {
        loop {
            let Some(notice) = self.0.next().await? else { return Ok(None) };
            let parts = notice.split_once(':').and_then(|(node, seq)| Some((node.parse().ok()?, seq.parse().ok()?)));
            if parts.is_some() {
                return Ok(parts);
            }
        }
    }
}
