//! What must always hold, looked for in the whole database.

use domain::time::Timestamp;

use super::violated;
use super::world::World;
use crate::app::{audit, doctor, subscription};
use crate::error::Result;

/// The invariants of the books, and the audit trail of every tenant.
pub async fn books(world: &mut World) -> Result<()> {
    world.set_clock(world.now);
    world.counts.checks = world.counts.checks.saturating_add(1);
    // The gate brings what it knows to the database before the books are read, as before `doctor`.
    world.end().await;
    world.resume().await?;
    let app = world.app()?;
    if let Some(found) = doctor::invariants(&app.db).await?.first() {
        return Err(violated(found.invariant, &found.what));
    }
    let now = Timestamp::from_micros(world.now);
    // The job that does so runs every other second in life, and here from week to week.
    audit::chain::seal(app, now).await?;
    for place in &world.places {
        let report = audit::chain::verify(&app.db, &app.master, &place.id, (None, now)).await?;
        if let Some(finding) = report.findings.first() {
            return Err(violated("I8", format!("{finding:?}")));
        }
    }
    Ok(())
}

/// Days of those who are on the plan by the day now are closed one after the other, none left out.
async fn days(world: &World) -> Result<()> {
    for person in &world.people {
        let cx = world.cx(person.tenant).await?;
        let Some(row) = subscription::current(&cx, &person.id).await? else { continue };
        let daily = cx.tenant.catalog.plan_by_slug("daily").is_some_and(|plan| plan.id.as_str() == row.plan_id);
        if !daily {
            continue;
        }
        let since = Timestamp::from_micros(row.plan_since);
        let closed = store::close::closed_since(&cx.app.db, cx.tenant.id(), (&person.id, "close:day:%"), since).await?;
        for pair in closed.windows(2) {
            if let [(_, end), (start, _)] = pair
                && end != start
            {
                return Err(violated(
                    "I16",
                    format!("{}: a day that ended at {end} is followed by {start}", person.name),
                ));
            }
        }
    }
    Ok(())
}

/// Nothing that was begun is left halfway, or out.
pub async fn ended(world: &World) -> Result<()> {
    days(world).await?;
    let app = world.app()?;
    for place in &world.places {
        let left = store::doctor::left(&app.db, &place.id, Timestamp::from_micros(world.now)).await?;
        if let Some(what) = left.first() {
            return Err(violated("liveness", what));
        }
    }
    Ok(())
}
