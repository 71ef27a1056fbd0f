//! Customers, subscriptions and use brought in from elsewhere, one JSON line for each customer. The lines are kept as
//! they come, and worked off behind the gate in transactions of some milliseconds. A line may come again: the same
//! externalId is the same customer, and what is there stays as it is.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::event::Kind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::db::Tx;
use store::gate::Command;
use store::import::ImportRow;

use super::usage::Action;
use super::{audit, customer, directory, idempotency, tenant, usage};
use crate::cx::{App, Cx, id_bits};
use crate::error::{Code, Error, Result};

mod line;

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Lines of one import.
const LINES_MAX: i64 = 5_000_000;
/// Lines that are told with what is wrong.
const ERRORS_MAX: usize = 100;
/// Bytes and lines that are kept together.
const PART_BYTES: usize = 64 * 1024;
const PART_LINES: i64 = 200;
/// Lines of one transaction, and how long it may last, so that the gate never waits long for it.
const STEP_LINES: usize = 20;
const STEP: Duration = Duration::from_millis(8);
/// After a step the job rests this many times as long.
const REST: u32 = 1;
/// A run ends after so long, so that other jobs have their turn; the next goes on.
const RUN: Duration = Duration::from_secs(2);
/// Uses that are handed to the gate together.
const USES_AT_ONCE: usize = 32;

/// What came of an import.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Customers that are new.
    pub customers_created: i64,
    /// Customers that were there.
    pub customers_unchanged: i64,
    /// Subscriptions that are new.
    pub subscriptions_created: i64,
    /// Subscriptions that were there, or had been.
    pub subscriptions_unchanged: i64,
    /// Amounts of use that were recorded now.
    pub usage: i64,
    /// Amounts of use that an earlier line had brought.
    pub usage_unchanged: i64,
    /// Lines that are wrong.
    pub wrong: i64,
}

/// A line that is wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrongLine {
    /// Its number, from 1.
    pub line: i64,
    /// What to do.
    pub detail: String,
}

/// An import whose lines are coming.
pub struct Receiver {
    cx: Cx,
    row: ImportRow,
    /// What has come since the last part was kept.
    rest: Vec<u8>,
    part: String,
    part_lines: i64,
    /// The last line's number in the file.
    number: i64,
}

/// Begins an import.
pub async fn begin(cx: &Cx, dry_run: bool) -> Result<Receiver> {
    let row = ImportRow {
        import_id: domain::id::encode_as("imp", id_bits()),
        actor: cx.actor.name(),
        request_id: cx.request_id.to_string(),
        dry_run,
        state: "receiving".to_owned(),
        lines: 0,
        done: 0,
        counts: "{}".to_owned(),
        errors: "[]".to_owned(),
        created_at: cx.now.as_micros(),
        finished_at: None,
    };
    let mut tx = cx.app.db.begin().await?;
    store::import::insert(&mut tx, cx.tenant.id(), &row).await?;
    tx.commit().await?;
    Ok(Receiver { cx: cx.clone(), row, rest: Vec::new(), part: String::new(), part_lines: 0, number: 0 })
}

impl Receiver {
    /// Takes some bytes of the body.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return self.fits() };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            self.line(line).await?;
        }
        self.fits()
    }

    fn fits(&self) -> Result<()> {
        let detail = format!("line {}: use at most {LINE_BYTES_MAX} bytes", self.row.lines + 1);
        if self.rest.len() > LINE_BYTES_MAX { Err(Error::field("", detail)) } else { Ok(()) }
    }

    async fn line(&mut self, line: &[u8]) -> Result<()> {
        self.number += 1;
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        // PostgreSQL has no text with a zero byte.
        let text = std::str::from_utf8(line).ok().filter(|text| !text.contains('\0')).unwrap_or(line::NO_TEXT);
        if self.row.lines >= LINES_MAX {
            return Err(Error::field("", format!("send at most {LINES_MAX} lines")));
        }
        self.row.lines += 1;
        self.part_lines += 1;
        // With its number in the file, where lines may be empty.
        let _infallible = writeln!(self.part, "{} {text}", self.number);
        if self.part_lines >= PART_LINES || self.part.len() >= PART_BYTES { self.keep().await } else { Ok(()) }
    }

    async fn keep(&mut self) -> Result<()> {
        if self.part_lines == 0 {
            return Ok(());
        }
        let first = self.row.lines - self.part_lines + 1;
        let mut tx = self.cx.app.db.begin().await?;
        store::import::insert_part(&mut tx, self.cx.tenant.id(), &self.row.import_id, (first, &self.part)).await?;
        tx.commit().await?;
        self.part.clear();
        self.part_lines = 0;
        Ok(())
    }

    /// All has come: the job may begin. Answers the import's id.
    pub async fn finish(mut self) -> Result<String> {
        let last = std::mem::take(&mut self.rest);
        self.line(&last).await?;
        self.keep().await?;
        "running".clone_into(&mut self.row.state);
        let cx = &self.cx;
        let mut tx = cx.app.db.begin().await?;
        store::import::update(&mut tx, cx.tenant.id(), &self.row, 0).await?;
        let after = json!({ "dryRun": self.row.dry_run, "lines": self.row.lines });
        let change =
            audit::Change { action: "import.started", target: &self.row.import_id, before: None, after: Some(after) };
        audit::write(&mut tx, cx, change).await?;
        tx.commit().await?;
        Ok(self.row.import_id)
    }
}

/// An import, with what came of it so far.
pub async fn get(cx: &Cx, id: &str) -> Result<(ImportRow, Counts, Vec<WrongLine>)> {
    let absent = || Error::new(Code::NotFound, "An import's id is in the answer to POST /api/admin/import.");
    if id.contains('\0') {
        return Err(absent());
    }
    let row = store::import::find(&cx.app.db, cx.tenant.id(), id).await?.ok_or_else(absent)?;
    let counts = serde_json::from_str(&row.counts).map_err(Error::internal)?;
    let errors = serde_json::from_str(&row.errors).map_err(Error::internal)?;
    Ok((row, counts, errors))
}

/// Works on what waits, for a while.
pub async fn work(app: &Arc<App>) -> Result<()> {
    let began = Instant::now();
    for row in tenant::at_work(app).await? {
        let id = row.id();
        while let Some(row) = store::import::running(&app.db, &id).await? {
            let tenant = app.tenants.fresh(&app.db, &app.master, &id).await?;
            if tenant.row.suspended {
                break;
            }
            let cx = Cx::system(app, &tenant, &row.import_id);
            let step = Instant::now();
            advance(&cx, row).await?;
            if began.elapsed() > RUN || app.stopping.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep(step.elapsed() * REST).await;
        }
    }
    Ok(())
}

/// One step of an import: some lines of its next part, or, once its lines are done, their use.
async fn advance(cx: &Cx, mut row: ImportRow) -> Result<()> {
    let (db, tenant, from) = (&cx.app.db, cx.tenant.id(), row.done);
    let Some((first, body)) = store::import::next_part(db, tenant, &row.import_id).await? else {
        "done".clone_into(&mut row.state);
        row.finished_at = Some(cx.now.as_micros());
        let mut tx = db.begin().await?;
        store::import::update(&mut tx, tenant, &row, from).await?;
        audit::told::tell_staff(&mut tx, cx, Kind::Import, (&row.import_id, "import.finished"));
        return Ok(tx.commit().await?);
    };
    let lines: Vec<&str> = body.lines().collect();
    let skipped = usize::try_from(from - (first - 1)).unwrap_or_default();
    let Some(waiting) = lines.get(skipped..).filter(|lines| !lines.is_empty()) else {
        let mut tx = if row.dry_run {
            db.begin().await?
        } else {
            let (recorded, before) = record(cx, &lines).await?;
            let mut counts = Progress::of(&row)?.counts;
            counts.usage += recorded;
            counts.usage_unchanged += before;
            row.counts = serde_json::to_string(&counts).map_err(Error::internal)?;
            let mut tx = db.begin().await?;
            store::import::update(&mut tx, tenant, &row, from).await?;
            tx
        };
        store::import::drop_part(&mut tx, tenant, &row.import_id, first).await?;
        // Once for each part: an import of millions must not fill the outbox.
        audit::told::tell_staff(&mut tx, cx, Kind::Import, (&row.import_id, "import.advanced"));
        return Ok(tx.commit().await?);
    };
    let mut take = waiting.len().min(STEP_LINES);
    let (mut tx, progress) = loop {
        let mut tx = db.begin().await?;
        let mut progress = Progress::of(&row)?;
        match bring_some(&mut tx, cx, waiting.get(..take).unwrap_or_default(), &mut progress).await {
            Ok(()) => break (tx, progress),
            // The store is away, or busy: the whole step is done again later.
            Err((_, error)) if error.code != Code::Internal => return Err(error),
            // A line that cannot be written must not stop those after it.
            Err((0, error)) => {
                drop(tx);
                progress = Progress::of(&row)?;
                progress.wrong(waiting.first().map_or(0, |line| numbered(line).0), error.detail);
                break (db.begin().await?, progress);
            }
            Err((before, _)) => take = before,
        }
    };
    if row.dry_run {
        drop(tx);
        tx = db.begin().await?;
    }
    row.done = progress.done;
    row.counts = serde_json::to_string(&progress.counts).map_err(Error::internal)?;
    row.errors = serde_json::to_string(&progress.errors).map_err(Error::internal)?;
    if store::import::update(&mut tx, tenant, &row, from).await? {
        tx.commit().await?;
    }
    Ok(())
}

/// How far an import is.
struct Progress {
    done: i64,
    counts: Counts,
    errors: Vec<WrongLine>,
}

impl Progress {
    fn of(row: &ImportRow) -> Result<Self> {
        let counts = serde_json::from_str(&row.counts).map_err(Error::internal)?;
        let errors = serde_json::from_str(&row.errors).map_err(Error::internal)?;
        Ok(Self { done: row.done, counts, errors })
    }

    fn wrong(&mut self, line: i64, detail: String) {
        self.done += 1;
        self.counts.wrong += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(WrongLine { line, detail });
        }
    }
}

/// A line that was kept: its number in the file, and what it says.
fn numbered(line: &str) -> (i64, &str) {
    let (number, text) = line.split_once(' ').unwrap_or_default();
    (number.parse().unwrap_or_default(), text)
}

/// Brings some lines in, as many as there is time for. Tells at which one it failed.
async fn bring_some(tx: &mut Tx, cx: &Cx, lines: &[&str], progress: &mut Progress) -> Result<(), (usize, Error)> {
    let began = Instant::now();
    for (at, line) in lines.iter().enumerate() {
        let (number, text) = numbered(line);
        match line::bring(tx, cx, text, &mut progress.counts).await {
            Ok(()) => progress.done += 1,
            Err(error) if error.code == Code::InvalidInput => progress.wrong(number, error.detail),
            Err(error) => return Err((at, error)),
        }
        if began.elapsed() > STEP {
            break;
        }
    }
    Ok(())
}

/// Hands the use of some lines to the gate, each amount once, however often it comes. Answers how many were new, and how
/// many had come before.
async fn record(cx: &Cx, lines: &[&str]) -> Result<(i64, i64)> {
    let cx = &directory::fresh(cx, cx.tenant.id()).await?;
    let (mut all, mut sums) = (Vec::new(), (0, 0));
    for line in lines.iter().filter_map(|line| line::parse(numbered(line).1).ok()) {
        // A line that was wrong as a whole made no customer.
        for (feature, amount) in line::uses(cx, &line).unwrap_or_default() {
            all.push((line.external_id.clone(), feature, amount));
        }
    }
    for some in all.chunks(USES_AT_ONCE) {
        let began = Instant::now();
        let recorded = some.iter().map(|(name, feature, amount)| async move {
            let action = Action {
                items: vec![(feature.clone(), *amount)],
                idempotency: Some(idempotency::internal(&format!("import/{name}/{feature}"))),
                quiet: true,
                ..Action::default()
            };
            let prepare = |cx: &Cx, account: &customer::Account| {
                Ok(Command::Record(usage::items_or_nothing(cx, account, &action.items)))
            };
            match usage::submit(cx, name, &action, prepare).await {
                Err(error) if error.code == Code::UnknownCustomer => Ok((0, 0)),
                Err(error) => Err(error),
                Ok(done) => Ok((i64::from(!done.replayed), i64::from(done.replayed))),
            }
        });
        for done in futures_util::future::join_all(recorded).await {
            let (new, before): (i64, i64) = done?;
            sums = (sums.0 + new, sums.1 + before);
        }
        tokio::time::sleep(began.elapsed() * REST).await;
    }
    Ok(sums)
}
