//! Makes committed batches durable, and only then lets anybody hear of them.
//!
//! The gate's connection commits without waiting for the disk (`synchronous = NORMAL`); every answer waits for a sync of
//! the log that began after its commit, which is what `FULL` would have done inside the commit. While one sync runs the
//! gate commits further batches, and the next sync serves all of them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::error::{Error, Result};
use crate::gate::{Answer, Committed};

/// Batches that may wait for a sync. A disk that hangs makes the gate wait, and then refuse.
const UNSYNCED_MAX: usize = 64;

/// Syncs the log of the database.
pub(crate) type SyncLog = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Answers with who waits for them.
pub(super) type Replies = Vec<(oneshot::Sender<Result<Answer>>, Result<Answer>)>;

/// What is told once it is durable.
#[derive(Default)]
pub(super) struct News {
    pub(super) replies: Replies,
    pub(super) committed: Vec<Committed>,
}

/// The way from a commit to its answers.
pub(super) struct Outbound {
    sync: SyncLog,
    queue: SyncSender<News>,
    /// Batches that wait for a sync.
    unsynced: Arc<AtomicUsize>,
    told: mpsc::UnboundedSender<News>,
    thread: JoinHandle<()>,
}

/// The write-ahead log of a database file.
pub(super) fn log_of(database: &Path) -> Result<SyncLog> {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    let log = File::open(&name).map_err(|error| Error::Setup(format!("cannot open the database's log: {error}")))?;
    Ok(Arc::new(move || log.sync_data()))
}

impl Outbound {
    pub(super) fn start(sync: SyncLog, feed: broadcast::Sender<Arc<Committed>>) -> Result<Self> {
        let (told, mut arriving) = mpsc::unbounded_channel::<News>();
        // Answers are sent from a task, so that the threads they wake do not push the gate's own threads aside.
        tokio::runtime::Handle::current().spawn(async move {
            while let Some(news) = arriving.recv().await {
                for committed in news.committed {
                    let _nobody_listens = feed.send(Arc::new(committed));
                }
                for (reply, answer) in news.replies {
                    let _gone = reply.send(answer);
                }
            }
        });
        let (queue, waiting) = sync_channel(UNSYNCED_MAX);
        let unsynced = Arc::new(AtomicUsize::new(0));
        let syncer = Syncer { sync: sync.clone(), waiting, unsynced: unsynced.clone(), told: told.clone() };
        let thread = std::thread::Builder::new()
            .name("gate-sync".to_owned())
            .spawn(move || syncer.serve())
            .map_err(|error| Error::Setup(format!("cannot start the gate's second thread: {error}")))?;
        Ok(Self { sync, queue, unsynced, told, thread })
    }

    /// Tells the news once they are durable. `idle` says that the gate has nothing else to do, and may wait itself.
    pub(super) fn send(&self, news: News, idle: bool) {
        if idle && self.unsynced.load(Ordering::Acquire) == 0 {
            if !news.committed.is_empty() {
                sync_or_die(&self.sync);
            }
            let _stopping = self.told.send(news);
            return;
        }
        self.unsynced.fetch_add(1, Ordering::AcqRel);
        let _lives_as_long = self.queue.send(news);
    }

    /// Waits until everything is told.
    pub(super) fn finish(self) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!("the thread that syncs the log has panicked");
        }
    }
}

struct Syncer {
    sync: SyncLog,
    waiting: Receiver<News>,
    unsynced: Arc<AtomicUsize>,
    told: mpsc::UnboundedSender<News>,
}

impl Syncer {
    fn serve(self) {
        while let Ok(first) = self.waiting.recv() {
            let mut all = first;
            let mut batches = 1;
            for more in self.waiting.try_iter() {
                all.replies.extend(more.replies);
                all.committed.extend(more.committed);
                batches += 1;
            }
            if !all.committed.is_empty() {
                sync_or_die(&self.sync);
            }
            let _stopping = self.told.send(all);
            self.unsynced.fetch_sub(batches, Ordering::AcqRel);
        }
    }
}

/// After a failed sync nobody can know what the disk has, and only a fresh start reads it as it is (RELIABILITY A5).
fn sync_or_die(sync: &SyncLog) {
    if let Err(error) = sync() {
        tracing::error!(%error, "the disk failed to sync; the process ends so that a fresh start reads what is there");
        std::process::abort();
    }
}
