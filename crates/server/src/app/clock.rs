//! A sandbox tenant's own clock. Moving it does everything that falls due in between, in its order, as it would happen:
//! the same function that jobs call, with another instant. Only the time of what is sold is moved; tokens, leases and
//! the audit trail stay in real time.

use std::time::{Duration, Instant};

use domain::time::Timestamp;
use serde_json::json;
use store::clock::ClockRow;

use super::audit::told;
use super::time::Pace;
use super::{audit, time};
use crate::cx::{Cx, now};
use crate::error::{Code, Error, Result};

/// How far a clock is moved at once, in years.
const YEARS_MAX: i64 = 5;
/// For so long an answer waits for the clock to arrive.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Seconds after which a call that came meanwhile makes sense again.
const RETRY_SECONDS: i64 = 1;

/// Where a clock stands.
#[derive(Debug)]
pub struct Clock {
    /// The tenant's time.
    pub now: Timestamp,
    /// The move that is under way, or that failed.
    pub moved: Option<ClockRow>,
}

/// Where the tenant's clock stands.
pub async fn read(cx: &Cx) -> Result<Clock> {
    // Before the tenant is: one that arrives in between is never told as ready at the time of before.
    let moved = store::clock::find(&cx.app.db, cx.tenant.id()).await?;
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = cx.clone().with_tenant(tenant);
    Ok(Clock { now: cx.tenant_now(), moved })
}

/// The refusal of whatever comes while the clock is moved.
pub fn refuse_while_moving(tenant: &super::tenant::Tenant) -> Result<()> {
    if tenant.clock_moves {
        let detail = "The tenant's test clock is being moved; try again in a moment.";
        return Err(Error::new(Code::Unavailable, detail).retry_after(RETRY_SECONDS));
    }
    Ok(())
}

/// Moves the clock to an instant. Answers when it is there, or after a while that it is on its way.
pub async fn advance(cx: &Cx, to: Timestamp) -> Result<Clock> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = cx.clone().with_tenant(tenant);
    begin(&cx, to).await?;
    let moving = cx.clone();
    // A caller that goes away stops nothing, and neither does a crash: the job goes on.
    let task = cx.app.tasks.spawn(async move { go_on(&moving, None).await });
    if let Ok(Ok(Err(error))) = tokio::time::timeout(ANSWER_WAIT, task).await {
        tracing::warn!(%error, "a clock could not be moved");
    }
    read(&Cx { now: now(), ..cx }).await
}

async fn begin(cx: &Cx, to: Timestamp) -> Result<()> {
    if cx.tenant.row.mode != "sandbox" {
        return Err(Error::new(Code::Forbidden, "Only a sandbox tenant has a clock of its own; use one for tests."));
    }
    let from = cx.tenant_now();
    let latest = from.plus_months(YEARS_MAX * 12, &cx.tenant.catalog.zone).map_err(Error::internal)?;
    if to <= from || to > latest {
        let detail = format!("name a time after {from}, and at most {YEARS_MAX} years later: clocks go forward only");
        return Err(Error::field("/advanceTo", detail));
    }
    let id = cx.tenant.id();
    let mut tx = cx.app.db.begin().await?;
    store::tenant::lock(&mut tx, id).await?;
    if let Some(provider) = store::clock::billed_elsewhere(&mut tx, id).await? {
        let detail = format!("Subscriptions of {provider} are alive here, whose clock is not ours; end them first.");
        return Err(Error::new(Code::InUse, detail));
    }
    match store::clock::find(&mut tx, id).await? {
        Some(moved) if moved.error.is_none() => {
            return Err(Error::new(Code::Taken, "The clock is being moved already; wait for it.").retry_after(1));
        }
        // Everybody but who failed is there already.
        Some(moved) if to.as_micros() < moved.done_to => {
            let done = Timestamp::from_micros(moved.done_to);
            let detail = format!("the last move failed on the way to {done}; name that or a later time");
            return Err(Error::field("/advanceTo", detail));
        }
        _ => {}
    }
    store::clock::begin(&mut tx, id, (from, to)).await?;
    store::tenant::bump_epoch(&mut tx, id, cx.now).await?;
    let change = audit::Change {
        action: "clock.advanced",
        target: id.as_str(),
        before: Some(json!({ "now": from })),
        after: Some(json!({ "now": to })),
    };
    audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

/// Goes on with a move that was begun, here or elsewhere, until the clock is there or the caller's time is over.
pub async fn go_on(cx: &Cx, until: Option<Instant>) -> Result<()> {
    let mut cx = Cx::system(&cx.app, &cx.tenant, "clock");
    let id = cx.tenant.id().clone();
    while let Some(moved) = store::clock::find(&cx.app.db, &id).await?.filter(|moved| moved.error.is_none()) {
        if cx.app.stopping.is_cancelled() || until.is_some_and(|until| Instant::now() > until) {
            return Ok(());
        }
        cx.tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, &id).await?;
        let target = Timestamp::from_micros(moved.target);
        let done = time::run(&cx, target, Pace::InTime).await;
        let mut tx = cx.app.db.begin().await?;
        match done {
            Err(error) => {
                store::clock::fail(&mut tx, &id, &error.detail).await?;
                store::tenant::bump_epoch(&mut tx, &id, now()).await?;
            }
            Ok(0) => {
                // Real time since the move began has passed here, too: no call that came meanwhile is before the target.
                let offset = target.as_micros().saturating_sub(cx.now.as_micros());
                if store::clock::finish(&mut tx, &id, target, offset).await? {
                    told::tell(&mut tx, &cx, told::of_own_tenant("clock.advanced", id.as_str()));
                    store::tenant::bump_epoch(&mut tx, &id, now()).await?;
                }
            }
            Ok(steps) => {
                let done_to = time::next_at(&cx, target).await?.unwrap_or(target);
                store::clock::note(&mut tx, &id, (done_to, steps)).await?;
            }
        }
        tx.commit().await?;
    }
    Ok(())
}
