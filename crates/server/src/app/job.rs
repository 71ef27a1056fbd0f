//! All future work is a row with a due time: `tick` does what is due and says when it wants to be called again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::{JobId, TenantId};
use domain::time::Timestamp;
use store::job::JobRow;

use super::setup::platform;
use super::{audit, credential, file, import, mail, notice, provider, summary, tenant, time, usage};
use crate::cx::{App, Cx, id_bits};
use crate::error::{Error, Result};

/// Jobs that run beside each other; most of them rest most of the time.
pub const AT_ONCE: usize = 8;
/// How long a lease lasts, in seconds; a job that takes longer may be begun again elsewhere.
const LEASE_SECONDS: i64 = 60;
/// The longest pause between two looks, in seconds.
pub const PAUSE_SECONDS_MAX: i64 = 5;
/// Batches summed in one step, so that the gate never waits long.
const FOLLOW_BATCHES: i64 = 16;
/// After a step the follower rests this many times as long, so that it takes little from the gate under load.
pub const FOLLOW_REST: u32 = 12;
/// A run ends after so long, well inside its lease; the next goes on.
const FOLLOW_RUN: Duration = Duration::from_secs(20);
/// How long batch rows are kept for listeners that come back, in seconds.
const BATCHES_KEPT_SECONDS: i64 = 3_600;
/// How long idempotency keys are kept, in seconds: 35 days.
const KEYS_KEPT_SECONDS: i64 = 35 * 86_400;
/// How long events are kept for listeners that come back, in seconds: 7 days.
const EVENTS_KEPT_SECONDS: i64 = 7 * 86_400;
/// Events dropped in one transaction, so that the gate never waits long.
const EVENTS_DROPPED_AT_ONCE: i64 = 1_000;

/// A job of one tenant that is suspended is looked at this often, in seconds, until the tenant is resumed.
const SUSPENDED_SECONDS: i64 = 60;

/// Everything that can be scheduled; the `match` in [`perform`] is the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// Give back reservations whose time is over and that nobody looked at.
    ExpireReservations,
    /// Sum committed batches into hours.
    FollowCounters,
    /// Sum changes of subscriptions into days.
    RollRevenue,
    /// Keep the customers' summaries.
    Summarize,
    /// Bring in what is imported.
    Import,
    /// Drop what is only kept for a while.
    DropExpired,
    /// Give new entries of the audit trail their places in it.
    SealAudit,
    /// Find price versions that a provider has not been told of.
    FindUnsyncedPrices,
    /// Bring one price version to one provider, or end it there.
    SyncPrice,
    /// End a subscription at its provider.
    EndRemote,
    /// Send mails that are due, and answer who asked for a new password.
    SendMail,
    /// Tell of thresholds that were passed on a node that could not tell.
    TellCrossings,
    /// Do what time does to subscriptions, and move test clocks on.
    PassTime,
    /// Tell of thresholds that a changed limit passed and nobody was told of.
    FindMissedWarnings,
    /// Bring files that a crash or a sender left halfway to their end.
    TendFiles,
}

impl Job {
    const ALL: &[Self] = &[
        Self::ExpireReservations,
        Self::FollowCounters,
        Self::RollRevenue,
        Self::Summarize,
        Self::Import,
        Self::DropExpired,
        Self::SealAudit,
        Self::FindUnsyncedPrices,
        Self::SyncPrice,
        Self::EndRemote,
        Self::SendMail,
        Self::TellCrossings,
        Self::PassTime,
        Self::FindMissedWarnings,
        Self::TendFiles,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ExpireReservations => "expire_reservations",
            Self::FollowCounters => "follow_counters",
            Self::RollRevenue => "roll_revenue",
            Self::Summarize => "summarize",
            Self::Import => "import",
            Self::DropExpired => "drop_expired",
            Self::SealAudit => "seal_audit",
            Self::FindUnsyncedPrices => "find_unsynced_prices",
            Self::SyncPrice => provider::SYNC,
            Self::EndRemote => provider::END,
            Self::SendMail => "send_mail",
            Self::TellCrossings => "tell_crossings",
            Self::PassTime => "pass_time",
            Self::FindMissedWarnings => "find_missed_warnings",
            Self::TendFiles => "tend_files",
        }
    }

    /// Seconds from one run to the next; none for a job that is done once.
    const fn every_seconds(self) -> Option<i64> {
        match self {
            Self::ExpireReservations | Self::TellCrossings | Self::TendFiles => Some(5),
            Self::FollowCounters | Self::Import | Self::SealAudit => Some(2),
            Self::RollRevenue => Some(15),
            Self::Summarize | Self::SendMail | Self::PassTime => Some(1),
            Self::DropExpired => Some(600),
            Self::FindUnsyncedPrices => Some(60),
            Self::FindMissedWarnings => Some(21_600),
            Self::SyncPrice | Self::EndRemote => None,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|job| job.name() == name)
    }
}

/// Makes sure that the standing jobs are in the queue.
pub async fn ensure_standing(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if app.db.is_one_process() {
        // They are of a process that is gone; nobody needs to wait for them. Elsewhere another node may hold one.
        store::job::end_leases(&mut tx).await?;
    }
    for job in Job::ALL.iter().filter(|job| job.every_seconds().is_some()) {
        let id = JobId::from_bits(id_bits());
        store::job::push(&mut tx, &platform(), (&id, job.name(), "{}"), ("standing", now)).await?;
    }
    Ok(tx.commit().await?)
}

/// Leases up to some of the jobs that are due, for [`run`], and answers when the next one is.
pub async fn take(app: &Arc<App>, now: Timestamp, most: usize) -> Result<(Vec<JobRow>, Timestamp)> {
    let mut taken = Vec::new();
    for job in store::job::due(&app.db, now, i64::try_from(most).unwrap_or(i64::MAX)).await? {
        let mut tx = app.db.begin().await?;
        let leased = store::job::lease(&mut tx, &job, now, now.plus_seconds(LEASE_SECONDS)).await?;
        tx.commit().await?;
        if leased {
            taken.push(job);
        }
    }
    let pause = now.plus_seconds(PAUSE_SECONDS_MAX);
    // What is leased must be run, also when the database goes away now.
    let next = store::job::next_due(&app.db).await.unwrap_or_default();
    Ok((taken, next.map_or(pause, |due| due.min(pause))))
}

/// Does a job that was leased at an instant.
pub async fn run(app: &Arc<App>, row: &JobRow, now: Timestamp) -> Result<()> {
    let fence = row.fence + 1;
    let outcome = match Job::parse(&row.kind) {
        Some(job) => perform(app, job, row, now).await,
        None => Err(Error::internal(format!("job {}: unknown kind {}", row.job_id, row.kind))),
    };
    let mut tx = app.db.begin().await?;
    let kept = match outcome {
        Ok(again_at) => store::job::finish(&mut tx, row, fence, again_at, now).await?,
        Err(error) => {
            let pause = 2_i64.saturating_pow(u32::try_from(row.attempts.clamp(0, 8)).unwrap_or(8));
            tracing::warn!(job.kind = %row.kind, %error, "a job failed and will be tried again");
            store::job::retry(&mut tx, row, fence, (&error.to_string(), now.plus_seconds(pause))).await?
        }
    };
    if kept {
        tx.commit().await?;
    }
    Ok(())
}

/// Does a job; answers when it is to be done again.
async fn perform(app: &Arc<App>, job: Job, row: &JobRow, now: Timestamp) -> Result<Option<Timestamp>> {
    match job {
        Job::ExpireReservations => expire_reservations(app).await?,
        Job::FollowCounters => follow_counters(app).await?,
        Job::RollRevenue => super::revenue::roll_all(app).await?,
        Job::Summarize => summary::follow(app).await?,
        Job::Import => import::work(app).await?,
        Job::DropExpired => drop_expired(app, now).await?,
        Job::SealAudit => audit::chain::seal(app, now).await?,
        Job::FindUnsyncedPrices => find_unsynced_prices(app).await?,
        Job::SendMail => mail::deliver::begin(app, now).await?,
        Job::TellCrossings => notice::follow(app).await?,
        Job::PassTime => time::work(app, now).await?,
        Job::FindMissedWarnings => notice::find_missed(app).await?,
        Job::TendFiles => file::tend::tend(app).await?,
        Job::SyncPrice | Job::EndRemote => {
            let cx = of_tenant(app, row).await?;
            if cx.tenant.row.suspended {
                return Ok(Some(now.plus_seconds(SUSPENDED_SECONDS)));
            }
            if job == Job::SyncPrice {
                return provider::sync(&cx, &row.payload).await;
            }
            provider::end(&cx, &row.payload).await?;
        }
    }
    Ok(job.every_seconds().map(|seconds| now.plus_seconds(seconds)))
}

/// The context of a job of one tenant, with the tenant as it is now.
async fn of_tenant(app: &Arc<App>, row: &JobRow) -> Result<Cx> {
    let tenant = app.tenants.fresh(&app.db, &app.master, &TenantId::stored(row.tenant_id.as_str())).await?;
    Ok(Cx::system(app, &tenant, &row.job_id))
}

async fn find_unsynced_prices(app: &Arc<App>) -> Result<()> {
    for row in tenant::at_work(app).await? {
        let tenant = app.tenants.fresh(&app.db, &app.master, &row.id()).await?;
        provider::find_unsynced(&Cx::system(app, &tenant, "find-unsynced-prices")).await?;
    }
    Ok(())
}

async fn expire_reservations(app: &Arc<App>) -> Result<()> {
    for row in store::tenant::list(&app.db).await? {
        let tenant = app.tenants.get(&app.db, &app.master, &row.id()).await?;
        let cx = Cx::system(app, &tenant, "expire-reservations");
        for reservation in store::usage::due_reservations(&app.db, tenant.id(), cx.tenant_now()).await? {
            usage::expire(&cx, &reservation).await?;
        }
    }
    Ok(())
}

async fn follow_counters(app: &App) -> Result<()> {
    let began = Instant::now();
    for node in store::rollup::nodes(&app.db).await? {
        let mut step = Instant::now();
        while store::rollup::follow(&app.db, node, FOLLOW_BATCHES).await? {
            if began.elapsed() > FOLLOW_RUN || app.stopping.is_cancelled() {
                return Ok(());
            }
            tokio::time::sleep(step.elapsed() * FOLLOW_REST).await;
            step = Instant::now();
        }
    }
    Ok(())
}

async fn drop_expired(app: &App, now: Timestamp) -> Result<()> {
    for row in tenant::at_work(app).await? {
        let tenant = app.tenants.fresh(&app.db, &app.master, &row.id()).await?;
        let before = now.plus_seconds(-tenant.settings().decision_days.saturating_mul(86_400));
        let mut tx = app.db.begin().await?;
        store::usage::drop_decisions(&mut tx, tenant.id(), before).await?;
        tx.commit().await?;
        drop_events(app, tenant.id(), now).await?;
    }
    mail::drop_old(app, now).await?;
    credential::drop_old(app, now).await?;
    notice::drop_old(app, now).await?;
    let mut tx = app.db.begin().await?;
    store::usage::drop_old_batches(&mut tx, now.plus_seconds(-BATCHES_KEPT_SECONDS)).await?;
    store::usage::drop_expired(&mut tx, now, now.plus_seconds(-KEYS_KEPT_SECONDS)).await?;
    Ok(tx.commit().await?)
}

async fn drop_events(app: &App, tenant: &TenantId, now: Timestamp) -> Result<()> {
    let before = now.plus_seconds(-EVENTS_KEPT_SECONDS);
    while !app.stopping.is_cancelled() {
        let mut tx = app.db.begin().await?;
        let dropped = store::event::drop_some(&mut tx, tenant, before, EVENTS_DROPPED_AT_ONCE).await?;
        tx.commit().await?;
        if dropped == 0 {
            break;
        }
    }
    Ok(())
}
