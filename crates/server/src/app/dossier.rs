//! All about one customer, for those who look after it.

use domain::entitlement::Source;
use domain::id::{CustomerId, PlanId};
use domain::quota::{Health, Quota};
use domain::time::Timestamp;
use serde_json::Value;
use store::customer::{CustomerRow, EditedRow, GivenRow};
use store::dossier::{AuditRow, EventRow};
use store::list::{Place, Wanted};
use store::subscription::{ChangeRow, SubscriptionRow};

use super::{customer, directory, subscription, usage};
use crate::cx::Cx;
use crate::error::{Error, Result};

/// Packs of credits that a customer's page shows.
const GIVEN_MAX: i64 = 200;

/// A pack of credits, and what was drawn from it.
pub struct Given {
    /// The pack.
    pub row: GivenRow,
    /// Units used or held.
    pub used: i64,
}

/// A customer with everything that decides what it may use.
pub struct Dossier {
    /// Its own row.
    pub row: CustomerRow,
    /// What an admin edits of it.
    pub edited: EditedRow,
    /// Its subscription.
    pub subscription: Option<SubscriptionRow>,
    /// Its plan: its name in URLs, and what people read.
    pub plan: Option<(String, String)>,
    /// What it may use, and has used.
    pub quotas: Vec<Quota>,
    /// How it stands.
    pub health: Health,
    /// Limits of its own: feature, limit, and until when.
    pub overrides: Vec<domain::entitlement::Override>,
    /// Its packs of credits, newest first.
    pub given: Vec<Given>,
}

/// A customer by its id or by the integrator's name for it.
pub async fn read(cx: &Cx, name: &str) -> Result<(Cx, Dossier)> {
    let cx = directory::fresh(cx, cx.tenant.id()).await?;
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let row = customer::get(&cx, name).await?;
    let id = CustomerId::stored(row.customer_id.as_str());
    let edited = store::customer::lock(db, tenant, id.as_str()).await?.ok_or_else(customer::unknown)?;
    let subscription = subscription::current(&cx, &id).await?;
    let quotas = usage::quotas(&cx, id.as_str()).await?;
    let loaded = store::customer::load(db, tenant, &row).await?;
    let given = store::customer::given(db, tenant, &id, (None, GIVEN_MAX)).await?;
    let books = store::directory::books(db, tenant, &[id.to_string()], cx.tenant_now()).await?;
    let drawn = |row: &GivenRow| {
        let counters = books.values().flat_map(domain::usage::Book::iter);
        let own =
            counters.filter(|(key, _)| matches!(&key.source, Source::Grant(grant) if grant.as_str() == row.grant_id));
        own.map(|(_, counter)| counter.used.saturating_add(counter.held)).sum()
    };
    let given = given.into_iter().map(|row| Given { used: drawn(&row), row }).collect();
    let plan = subscription.as_ref().and_then(|s| cx.tenant.catalog.plans.get(&PlanId::stored(s.plan_id.as_str())));
    let plan = plan.map(|plan| (plan.slug.to_string(), plan.name.to_string()));
    let health = directory::health(&loaded, &quotas);
    let overrides = loaded.overrides;
    Ok((cx, Dossier { row, edited, subscription, plan, quotas, health, overrides, given }))
}

async fn id_of(cx: &Cx, name: &str) -> Result<CustomerId> {
    Ok(CustomerId::stored(customer::get(cx, name).await?.customer_id))
}

/// A customer's usage events, newest first.
pub async fn events(cx: &Cx, name: &str, (feature, wanted): (&str, &Wanted)) -> Result<Vec<EventRow>> {
    let id = id_of(cx, name).await?;
    Ok(store::dossier::events(&cx.app.db, cx.tenant.id(), (&id, feature), wanted).await?)
}

/// The explanations of a customer's refusals, newest first, with their ids.
pub async fn decisions(cx: &Cx, name: &str, wanted: &Wanted) -> Result<Vec<(String, Value)>> {
    let id = id_of(cx, name).await?;
    let rows = store::dossier::decisions(&cx.app.db, cx.tenant.id(), &id, wanted).await?;
    let read = |(id, body): (String, String)| Ok((id, serde_json::from_str(&body).map_err(Error::internal)?));
    rows.into_iter().map(read).collect()
}

/// Something that happened to a customer.
pub enum Happened {
    /// Its subscription moved.
    Subscription(Box<ChangeRow>),
    /// It was given credits.
    Credits(GivenRow),
    /// Somebody changed something about it.
    Audit(AuditRow),
}

impl Happened {
    /// When, and the id of what tells it.
    pub fn place(&self) -> (i64, &str) {
        match self {
            Self::Subscription(row) => (row.at, &row.change_id),
            Self::Credits(row) => (row.created_at, &row.grant_id),
            Self::Audit(row) => (row.at, &row.audit_id),
        }
    }
}

/// What happened to a customer, newest first: its subscription, its credits, and what people changed about it.
pub async fn timeline(cx: &Cx, name: &str, wanted: &Wanted) -> Result<Vec<Happened>> {
    let id = id_of(cx, name).await?;
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let before = wanted.after.as_ref().map(place).transpose()?;
    let before = (before.as_ref(), wanted.rows);
    let changes = store::dossier::changes(db, tenant, &id, before).await?;
    let given = store::customer::given(db, tenant, &id, before).await?;
    let audit = store::dossier::audit(db, tenant, &id, before).await?;
    let mut all: Vec<_> = changes.into_iter().map(|row| Happened::Subscription(Box::new(row))).collect();
    all.extend(given.into_iter().map(Happened::Credits));
    all.extend(audit.into_iter().map(Happened::Audit));
    all.sort_by(|one, other| other.place().cmp(&one.place()));
    all.truncate(usize::try_from(wanted.rows).unwrap_or_default());
    Ok(all)
}

fn place(place: &Place) -> Result<(i64, String)> {
    let at = place.value.parse::<i64>();
    let at = at.map_err(|_| Error::parameter("cursor", "take the `nextCursor` of the page before"))?;
    Ok((at, place.id.clone()))
}

/// An instant of a row.
pub const fn instant(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}
