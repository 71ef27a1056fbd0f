//! pg
use super::{Committed, Waiting, record::Clock};
use crate::error::Result;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};
pub(super) async fn start(
    _url: &str,
    _waiting: mpsc::Receiver<Waiting>,
    _feed: broadcast::Sender<Arc<Committed>>,
    _finished: oneshot::Sender<()>,
    _clock: Clock,
) -> Result<i64> {
    todo!()
}
