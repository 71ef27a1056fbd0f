//! One process for each SQLite file.

use std::path::Path;

use crate::error::{Error, Result};

/// Takes the lock file beside the database, which names the process that has it.
pub(crate) fn lock(path: &Path) -> Result<std::fs::File> {
    use std::io::Write as _;
    let lock_path = path.with_extension("lock");
    let failed = |e: std::io::Error| Error::Setup(format!("cannot lock {}: {e}", lock_path.display()));
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&lock_path)
        .map_err(failed)?;
    if file.try_lock().is_err() {
        let owner = std::fs::read_to_string(&lock_path).unwrap_or_default();
        return Err(Error::Setup(format!(
            "{} is already in use by process {}; stop it first, or use PostgreSQL for several processes",
            path.display(),
            owner.trim()
        )));
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}
