//! Waiting at the start for what does not answer yet.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A start may wait for the database longer than a request does: both may have been started at the same moment, on a
/// machine that has much to do.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(300);

/// How long a start still waits for something that does not answer yet.
pub(crate) struct Patience {
    what: String,
    length: Duration,
    until: Instant,
    told: bool,
}

impl Patience {
    pub(crate) fn new(what: String, length: Duration) -> Self {
        Self { what, length, until: Instant::now() + length, told: false }
    }

    /// Waits a little before another try; hands the failure back when it has another cause than that nobody answers, or
    /// the patience is over.
    pub(crate) async fn again(&mut self, failure: Error) -> Result<()> {
        let Error::Away(cause) = &failure else { return Err(failure) };
        if Instant::now() >= self.until {
            return Err(failure);
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(%cause, seconds_max = self.length.as_secs(), "waiting for {}", self.what);
        }
        tokio::time::sleep(START_PAUSE).await;
        Ok(())
    }
}
