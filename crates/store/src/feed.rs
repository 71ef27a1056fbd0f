//! What was committed, here and on other nodes: one notice for each batch of a gate, and for each transaction that told
//! something.

use domain::id::TenantId;
use tokio::sync::broadcast::error::RecvError;

use crate::db::{Db, Notices};
use crate::error::{Error, Result};
use crate::event::Spoken;

/// The channel on which nodes say what they committed.
const CHANNEL: &str = "gate";

/// Something was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A batch, by its node and its number there. Only where nodes share the database; this one's are told, too.
    Batch(i64, i64),
    /// Events.
    Events(Spoken),
}

/// Hears of what is committed.
#[derive(Debug)]
pub struct Listener(Notices);

/// Begins to listen.
pub async fn listen(db: &Db) -> Result<Listener> {
    Ok(Listener(db.notices(CHANNEL).await?))
}

impl Listener {
    /// The next notice; none when the connection broke and was made anew, or too much was said at once, so that some may
    /// have been missed.
    pub async fn next(&mut self) -> Result<Option<Notice>> {
        match &mut self.0 {
            Notices::Inside(spoken) => match spoken.recv().await {
                Ok(spoken) => Ok(Some(Notice::Events(spoken))),
                Err(RecvError::Lagged(_)) => Ok(None),
                Err(RecvError::Closed) => Err(Error::Away("the database is closed".to_owned())),
            },
            Notices::Shared(listener) => loop {
                let Some(notice) = listener.try_recv().await? else { return Ok(None) };
                let read = parse(notice.payload());
                if read.is_some() {
                    return Ok(read);
                }
            },
        }
    }
}

/// Reads `NODE:NUMBER` or `event:TENANT:FIRST:LAST`; none for what a newer version of the product says.
fn parse(payload: &str) -> Option<Notice> {
    let Some(events) = payload.strip_prefix("event:") else {
        let (node, seq) = payload.split_once(':')?;
        return Some(Notice::Batch(node.parse().ok()?, seq.parse().ok()?));
    };
    let mut parts = events.split(':');
    let tenant = TenantId::stored(parts.next()?);
    let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Notice::Events(Spoken { tenant, first, last }))
}
