//! Keeps each customer's summary behind the gate's batches and the admin's changes, in short steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::quota::{Health, Status};
use domain::time::Timestamp;
use ring::digest::{SHA256, digest};
use store::summary::SummaryRow;

use super::directory::{self, Listed};
use super::notice;
use super::tenant::Tenant;
use crate::cx::{App, Cx, now};
use crate::error::Result;

/// Customers looked at in one step.
const STEP_CUSTOMERS: usize = 200;
/// Batches whose customers are looked at together: one that is busy counts once.
const STEP_BATCHES: i64 = 256;
/// After a step the job rests this many times as long, so that it takes little from the gate under load.
const REST: u32 = 8;
/// A run ends after so long, so that other jobs have their turn; the next goes on.
const RUN: Duration = Duration::from_secs(2);

/// Looks at everybody whose summary may be another now.
pub async fn follow(app: &Arc<App>) -> Result<()> {
    let began = Instant::now();
    for node in store::summary::nodes(&app.db).await? {
        while let Some(moved) = store::summary::moved(&app.db, node, STEP_BATCHES).await? {
            for (tenant, customers) in &moved.customers {
                let tenant = app.tenants.fresh(&app.db, &app.master, tenant).await?;
                for some in customers.chunks(STEP_CUSTOMERS) {
                    step(app, &tenant, some).await?;
                }
            }
            let mut tx = app.db.begin().await?;
            store::summary::reached(&mut tx, node, moved.place).await?;
            tx.commit().await?;
            if began.elapsed() > RUN || app.stopping.is_cancelled() {
                return Ok(());
            }
        }
    }
    for row in store::tenant::list(&app.db).await? {
        let tenant = app.tenants.fresh(&app.db, &app.master, &row.id()).await?;
        let (at, catalog) = (in_tenant(&tenant, now()), fingerprint(&tenant));
        let limit = i64::try_from(STEP_CUSTOMERS).unwrap_or(i64::MAX);
        loop {
            let outdated = store::summary::outdated(&app.db, tenant.id(), (at, catalog), limit).await?;
            if outdated.is_empty() {
                break;
            }
            step(app, &tenant, &outdated).await?;
            if began.elapsed() > RUN || app.stopping.is_cancelled() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn step(app: &Arc<App>, tenant: &Arc<Tenant>, customers: &[String]) -> Result<()> {
    let began = Instant::now();
    refresh(app, tenant, customers).await?;
    tokio::time::sleep(began.elapsed() * REST).await;
    Ok(())
}

/// Makes the summary of the customer that a use case has just changed, so that the next list shows it.
pub async fn after_change(cx: &Cx, customer: &str) -> Result<()> {
    let cx = directory::fresh(cx, cx.tenant.id()).await?;
    refresh(&cx.app, &cx.tenant, &[customer.to_owned()]).await
}

/// Makes some summaries anew, and writes those that are others than before. Where a limit may have moved, the customer is
/// told of what that passed, before its summary says that it was looked at.
async fn refresh(app: &Arc<App>, tenant: &Arc<Tenant>, customers: &[String]) -> Result<()> {
    let before = store::summary::find(&app.db, tenant.id(), customers).await?;
    // Read after the batches were: what they counted must not lie in a period to come.
    let now = in_tenant(tenant, now());
    let listed = directory::customers_of(&app.db, tenant, customers, now).await?;
    let catalog = fingerprint(tenant);
    let cx = Cx::system(app, tenant, "summarize");
    for row in before.iter().filter(|row| row.catalog != catalog || row.valid_until <= now.as_micros()) {
        if let Some(listed) = listed.get(&row.customer_id) {
            notice::missed(&cx, listed).await?;
        }
    }
    let summarized = |row: &SummaryRow| Some(summary(listed.get(&row.customer_id)?, catalog, now));
    let changed: Vec<_> = before.into_iter().filter_map(|row| summarized(&row).filter(|made| *made != row)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    for row in &changed {
        store::summary::write(&mut tx, tenant.id(), row).await?;
    }
    Ok(tx.commit().await?)
}

fn in_tenant(tenant: &Tenant, now: Timestamp) -> Timestamp {
    now.plus_micros(tenant.catalog.clock_offset)
}

/// What is kept of a customer. A quota that is fine stays so when its period ends, so that only the others are looked at
/// again by then; what ends by itself may end something that was fine.
fn summary(listed: &Listed, catalog: i64, now: Timestamp) -> SummaryRow {
    let Listed { row, customer, quotas, health } = listed;
    let resets = quotas.iter().filter(|quota| quota.status != Status::Ok).filter_map(|quota| quota.period.end);
    let overrides = customer.overrides.iter().filter_map(|own| own.until);
    let grants = customer.grants.iter().filter_map(|grant| grant.expires_at);
    let access = customer.subscription.as_ref().and_then(|subscription| subscription.access_until);
    let ends = resets.chain(overrides).chain(grants).chain(access).filter(|end| *end > now);
    SummaryRow {
        customer_id: row.customer_id.clone(),
        worst: health.code(),
        near: Health::of(quotas).code(),
        valid_until: ends.min().map_or(i64::MAX, Timestamp::as_micros),
        catalog,
        version: customer.version,
    }
}

/// A hash of all that the catalog grants: another one means that every summary may be another.
fn fingerprint(tenant: &Tenant) -> i64 {
    let catalog = &tenant.catalog;
    let granted = format!("{:?}", (catalog.enforced, &catalog.zone, &catalog.features, &catalog.plans));
    let hash = digest(&SHA256, granted.as_bytes());
    let head = hash.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    i64::from_be_bytes(head)
}
