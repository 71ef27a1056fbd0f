//! Crashes at chosen commits, for the simulator (RELIABILITY §5). A process that serves arms none.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::Error;

/// Commits until the crash; 0 for none.
static COMMITS: AtomicU32 = AtomicU32::new(0);
/// Whether what the crash cuts off is written.
static KEEPS: AtomicBool = AtomicBool::new(false);
/// Whether it has happened: nothing is written any more.
static DOWN: AtomicBool = AtomicBool::new(false);

/// What happens at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// What always does.
    Written,
    /// The process ends before anything is written.
    Lost,
    /// It ends when all is written and nobody was told.
    Untold,
}

/// Lets the process end at one of the next commits, counted from 1; with `kept`, after it is written.
pub fn crash_at(commit: u32, kept: bool) {
    KEEPS.store(kept, Ordering::Relaxed);
    COMMITS.store(commit, Ordering::Relaxed);
}

/// Whether the crash has come.
pub fn is_down() -> bool {
    DOWN.load(Ordering::Relaxed)
}

/// The next process begins, and no crash is planned.
pub fn recover() {
    COMMITS.store(0, Ordering::Relaxed);
    DOWN.store(false, Ordering::Relaxed);
}

/// What happens at the commit that comes now.
pub(crate) fn at_commit() -> Fate {
    if is_down() {
        return Fate::Lost;
    }
    match COMMITS.load(Ordering::Relaxed) {
        0 => Fate::Written,
        1 => {
            COMMITS.store(0, Ordering::Relaxed);
            DOWN.store(true, Ordering::Relaxed);
            if KEEPS.load(Ordering::Relaxed) { Fate::Untold } else { Fate::Lost }
        }
        more => {
            COMMITS.store(more.saturating_sub(1), Ordering::Relaxed);
            Fate::Written
        }
    }
}

/// What whoever still runs then is told.
pub(crate) fn crashed() -> Error {
    Error::Away("the simulated process has crashed".to_owned())
}
