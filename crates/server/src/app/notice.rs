//! Telling customers that a limit is near, and the inbox that says so (SPEC §6, decision 0018).
//!
//! The gate notes what passed a threshold, with the use. [`follow`] takes each such note and writes what is told, the
//! inbox's row, its live event and the mails in one transaction. What a changed limit passed, and no use, is found by
//! [`missed`]: soon after the change, when the customer's summary is made anew, and by a job for whatever was left out.

use std::sync::Arc;
use std::time::Instant;

use domain::catalog::FeatureKind;
use domain::entitlement::resolve;
use domain::event::{Audience, Event, Facts, Kind as Told};
use domain::id::{CustomerId, FeatureKey, TenantId};
use domain::notice;
use domain::quota::{Quota, Status};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::db::Tx;
use store::list::Wanted;
use store::notice::{CrossingRow, NotificationRow, Reader, RecipientRow};

use super::audit::told;
use super::directory::{self, Listed};
use super::mail::kind::{Data, Kind, QuotaNews};
use super::mail::{self, Mail};
use super::{tenant, usage};
use crate::cx::{Actor, App, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// Notes taken in one transaction.
const TOGETHER: i64 = 20;
/// After a transaction the teller rests this many times as long, so that it takes little from the gate under load.
const REST: u32 = 4;
/// Customers looked at in one step of the search for what was missed.
const MISSED_STEP: i64 = 100;
/// How long things stay in the inbox, in seconds: 90 days.
const INBOX_KEPT_SECONDS: i64 = 90 * 86_400;
/// How long it is known what was told, in seconds: longer than the longest period, which is a year.
const TOLD_KEPT_SECONDS: i64 = 400 * 86_400;

/// What something in the inbox says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaSaid {
    /// The feature's key.
    pub feature: FeatureKey,
    /// What people called it then.
    pub name: String,
    /// What one of it is.
    #[serde(default)]
    pub unit: Option<String>,
    /// The threshold that was passed, in per cent.
    pub threshold: u16,
    /// What was used.
    pub used: i64,
    /// Of how much.
    pub limit: i64,
    /// When it starts again.
    pub resets_at: Option<i64>,
}

impl QuotaSaid {
    /// Whole per cents of the limit.
    pub fn percentage(&self) -> i64 {
        let share = i128::from(self.used).saturating_mul(100).checked_div(self.limit.into()).unwrap_or(100);
        i64::try_from(share).unwrap_or(i64::MAX)
    }
}

/// Tells of what was passed and nobody was told of. Several nodes may do so at once.
pub async fn follow(app: &Arc<App>) -> Result<()> {
    for tenant in store::notice::tenants(&app.db).await? {
        // What cannot be told in one tenant holds up no other.
        if let Err(error) = in_tenant(app, &tenant).await {
            tracing::warn!(tenant.id = %tenant, %error, "thresholds that were passed could not be told");
        }
    }
    Ok(())
}

async fn in_tenant(app: &Arc<App>, tenant: &TenantId) -> Result<()> {
    let current = app.tenants.fresh(&app.db, &app.master, tenant).await?;
    let cx = Cx::system(app, &current, "notice");
    while !app.stopping.is_cancelled() {
        let began = Instant::now();
        let rows = store::notice::crossings(&app.db, tenant, TOGETHER).await?;
        if rows.is_empty() {
            break;
        }
        let mut tx = app.db.begin().await?;
        for row in &rows {
            if store::notice::take(&mut tx, tenant, row).await? {
                take(&mut tx, &cx, row).await?;
            }
        }
        tx.commit().await?;
        tokio::time::sleep(began.elapsed() * REST).await;
    }
    Ok(())
}

/// Notes what a use passed, and tells of it unless it is of a period that is over, or nobody is to be told.
async fn take(tx: &mut Tx, cx: &Cx, row: &CrossingRow) -> Result<()> {
    let tenant = cx.tenant.id();
    let told = store::notice::told(&mut *tx, tenant, row).await?;
    let kind = if row.gauge { FeatureKind::Gauge } else { FeatureKind::Counter };
    for fallen in notice::rearmed(kind, row.level_after, &told) {
        store::notice::rearm(tx, tenant, row, &fallen).await?;
    }
    let levels = (row.level_before, row.level_after);
    let over = row.period_end.is_some_and(|end| end <= cx.tenant_now().as_micros());
    for crossing in notice::crossings(levels, Some(row.limit_value), row.thresholds(), &told) {
        let new = store::notice::note(tx, tenant, row, (&crossing, cx.now)).await?;
        if new && crossing.announced && !row.quiet && !over && !cx.tenant.row.suspended {
            announce(tx, cx, row, &crossing).await?;
        }
    }
    Ok(())
}

/// Looks for what was missed, at everybody who is near a limit.
pub async fn find_missed(app: &Arc<App>) -> Result<()> {
    for row in tenant::at_work(app).await? {
        let tenant = app.tenants.fresh(&app.db, &app.master, &row.id()).await?;
        let cx = Cx::system(app, &tenant, "find-missed-warnings");
        let mut after = String::new();
        while !app.stopping.is_cancelled() {
            let began = Instant::now();
            let near = store::summary::near(&app.db, tenant.id(), &after, MISSED_STEP).await?;
            let Some(last) = near.last() else { break };
            after.clone_from(last);
            for listed in directory::customers_of(&app.db, &tenant, &near, cx.tenant_now()).await?.values() {
                missed(&cx, listed).await?;
            }
            tokio::time::sleep(began.elapsed() * REST).await;
        }
    }
    Ok(())
}

/// Tells a customer of what its quotas passed although no use did: a limit was lowered, ended or replaced. Safe at any
/// time and on several nodes; what the gate noted before is told first, as the use that it was.
pub async fn missed(cx: &Cx, listed: &Listed) -> Result<()> {
    if cx.tenant.row.suspended {
        return Ok(());
    }
    for quota in listed.quotas.iter().filter(|quota| quota.status != Status::Ok) {
        let Some(row) = standing(cx, listed, quota) else { continue };
        let found =
            |told: &[notice::Told]| notice::missed(row.level_after, Some(row.limit_value), row.thresholds(), told);
        let tenant = cx.tenant.id();
        // Most have been told of all that they have passed, and need no transaction for it.
        if found(&store::notice::told(&cx.app.db, tenant, &row).await?).is_empty() {
            continue;
        }
        let mut tx = cx.app.db.begin().await?;
        for use_of_it in store::notice::crossings_of(&mut tx, tenant, (&row.customer_id, &row.feature)).await? {
            if store::notice::take(&mut tx, tenant, &use_of_it).await? {
                take(&mut tx, cx, &use_of_it).await?;
            }
        }
        for crossing in found(&store::notice::told(&mut tx, tenant, &row).await?) {
            if store::notice::note(&mut tx, tenant, &row, (&crossing, cx.now)).await? && crossing.announced {
                announce(&mut tx, cx, &row, &crossing).await?;
            }
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Where a quota stands, as a use that moved nothing would note it; none of what has no limit.
fn standing(cx: &Cx, listed: &Listed, quota: &Quota) -> Option<CrossingRow> {
    let customer = &listed.customer;
    let entitlement = resolve(&cx.tenant.catalog, customer, &quota.feature, cx.tenant_now()).ok()?;
    Some(CrossingRow {
        event_id: String::new(),
        feature: quota.feature.to_string(),
        customer_id: customer.id.to_string(),
        gauge: quota.kind == FeatureKind::Gauge,
        period_start: quota.period.start.as_micros(),
        period_end: quota.period.end.map(Timestamp::as_micros),
        level_before: quota.used,
        level_after: quota.used,
        limit_value: quota.limit?,
        warning: entitlement.thresholds.warning.into(),
        critical: entitlement.thresholds.critical.into(),
        quiet: false,
    })
}

async fn announce(tx: &mut Tx, cx: &Cx, row: &CrossingRow, crossing: &notice::Crossing) -> Result<()> {
    let key = FeatureKey::stored(row.feature.as_str());
    let feature = cx.tenant.catalog.features.get(&key);
    let said = QuotaSaid {
        name: feature.map_or_else(|| row.feature.clone(), |feature| feature.name.to_string()),
        unit: feature.and_then(|feature| feature.unit.as_deref().map(str::to_owned)),
        feature: key,
        threshold: crossing.threshold,
        used: row.level_after,
        limit: row.limit_value,
        resets_at: row.period_end,
    };
    let news = QuotaNews {
        feature: said.name.clone(),
        unit: said.unit.clone(),
        used: said.used,
        limit: said.limit,
        percentage: said.percentage(),
        resets_at: row.period_end.map(Timestamp::from_micros),
    };
    let data = if crossing.threshold >= notice::FULL { Data::QuotaReached(news) } else { Data::QuotaWarning(news) };
    put(tx, cx, &row.customer_id, (data.kind(), serde_json::to_string(&said).map_err(Error::internal)?)).await?;
    let slot = format!(
        "{}/{}/{}/{}/{}/{}",
        row.customer_id, row.feature, row.period_start, crossing.threshold, crossing.limit, crossing.number
    );
    for to in recipients(tx, cx, &row.customer_id).await? {
        let slot = Some(format!("{slot}/{}", to.email));
        let mail = Mail { to: &to.email, name: to.name.as_deref(), language: None, data: data.clone(), slot };
        mail::enqueue(tx, cx, &mail).await?;
    }
    Ok(())
}

/// Puts something into a customer's inbox, and tells whoever looks.
async fn put(tx: &mut Tx, cx: &Cx, customer: &str, (kind, data): (Kind, String)) -> Result<()> {
    let id = domain::id::encode_as("ntf", id_bits());
    let row = NotificationRow {
        notification_id: id.clone(),
        customer_id: customer.to_owned(),
        kind: kind.name().to_owned(),
        data,
        at: cx.now.as_micros(),
        read_at: None,
    };
    store::notice::insert(tx, cx.tenant.id(), &row).await?;
    let event = Event {
        kind: Told::Notification,
        audience: Audience::Customer,
        subject: Some(id),
        customer: Some(CustomerId::stored(customer)),
        facts: Facts { cause: Some(kind.name().to_owned()), ..Facts::default() },
    };
    told::tell(tx, cx, event);
    Ok(())
}

/// Who is written to: the customer's users, or its own address while it has none. An address that was not proven may be
/// somebody else's.
async fn recipients(tx: &mut Tx, cx: &Cx, customer: &str) -> Result<Vec<RecipientRow>> {
    let users = store::notice::recipients(tx, cx.tenant.id(), customer).await?;
    if !users.is_empty() {
        return Ok(users.into_iter().filter(|user| user.verified).collect());
    }
    let row = store::customer::find(&mut *tx, cx.tenant.id(), customer).await?;
    let own = row.and_then(|row| Some(RecipientRow { email: row.email?, name: row.name, verified: true }));
    Ok(own.into_iter().collect())
}

/// Which part of an inbox is asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// The customer that a key names; people look into their own.
    pub customer: Option<String>,
    /// Of one kind alone; of all without one.
    pub kind: Option<String>,
    /// Only what was not read.
    pub unread: bool,
}

/// A part of an inbox.
pub struct Inbox {
    /// What is in it.
    pub rows: Vec<NotificationRow>,
    /// How much of the whole was not read.
    pub unread: i64,
}

/// A customer's inbox, as the caller wants it.
pub async fn list(cx: &Cx, filter: &Filter, wanted: &Wanted) -> Result<Inbox> {
    let reader = reader(cx, filter.customer.as_deref()).await?;
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let asked = (&reader, filter.kind.as_deref().unwrap_or_default(), filter.unread);
    let rows = store::notice::list(db, tenant, asked, wanted).await?;
    Ok(Inbox { rows, unread: store::notice::unread(db, tenant, &reader).await? })
}

/// Notes that the caller has read something, or everything; answers how much is left.
pub async fn read(cx: &Cx, customer: Option<&str>, id: Option<&str>) -> Result<i64> {
    let reader = reader(cx, customer).await?;
    let unknown = || Error::new(Code::NotFound, "There is no such notification; GET /api/notifications lists them.");
    if id.is_some_and(|id| id.is_empty() || id.contains('\0')) {
        return Err(unknown());
    }
    let mut tx = cx.app.db.begin().await?;
    if !store::notice::read(&mut tx, cx.tenant.id(), (&reader, id), cx.now).await? {
        return Err(unknown());
    }
    tx.commit().await?;
    Ok(store::notice::unread(&cx.app.db, cx.tenant.id(), &reader).await?)
}

/// Whose inbox the caller looks into, and as whom: what one user has read the others have not.
async fn reader(cx: &Cx, customer: Option<&str>) -> Result<Reader> {
    let named = usage::acting_for(cx, customer)?;
    let customer = cx.app.customers.get(cx, &named).await?.customer.id.clone();
    let name = match &cx.actor {
        Actor::User { user, .. } | Actor::Viewer { user, .. } => user.to_string(),
        Actor::Key { .. } | Actor::Browser { .. } | Actor::System | Actor::Anonymous => customer.to_string(),
    };
    Ok(Reader { customer, name })
}

/// Drops what is old.
pub async fn drop_old(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    let before = (now.plus_seconds(-INBOX_KEPT_SECONDS), now.plus_seconds(-TOLD_KEPT_SECONDS));
    store::notice::drop_old(&mut tx, before).await?;
    Ok(tx.commit().await?)
}
