//! The end of quota periods (SPEC §5, decision 0020): units that were not used go on, and use beyond a soft limit is asked
//! for. Each period is closed once, oldest first, in one transaction. Nothing is reset here: counters have their period in
//! their key, so a late close frees and blocks nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use domain::catalog::{FeatureKind, LimitType, PlanFeature};
use domain::closing::{Closed, Final, carried, closed, next_close_at, overage};
use domain::entitlement::{Customer, Entitlement, Grant, Subscription, SubscriptionStatus, resolve};
use domain::id::{CustomerId, FeatureKey, GrantId};
use domain::money::{Currency, Money};
use domain::quota::Quota;
use domain::subscription::{Command, Line, LineKind, Refusal, Used, decide};
use domain::time::{Period, Reset, Timestamp};
use serde_json::json;
use store::db::Tx;

use super::customer::Account;
use super::subscription::{self, Life, Note};
use super::{audit, usage};
use crate::cx::{Cx, id_bits};
use crate::error::{Error, Result};

/// Customers that are taken up in one transaction.
const AT_ONCE: i64 = 100;
/// What packs of credits say that come from the period before.
const REASON: &str = "rollover";

/// Begins to look after the periods of customers that nobody has looked at: those of before, and new ones. The period
/// that runs is the first to be closed.
pub async fn take_up(cx: &Cx) -> Result<()> {
    let (db, tenant, now) = (&cx.app.db, cx.tenant.id(), cx.tenant_now());
    loop {
        let customers = store::close::unclosed(db, tenant, AT_ONCE).await?;
        if customers.is_empty() || cx.app.stopping.is_cancelled() {
            return Ok(());
        }
        let mut nexts = Vec::new();
        for customer in &customers {
            match first_close(cx, customer, now).await {
                Ok(next) => nexts.push((customer, next)),
                // One that cannot be read keeps nobody else waiting.
                Err(error) => tracing::warn!(%error, customer.id = %customer, "its periods could not be taken up"),
            }
        }
        let all = nexts.len() == customers.len();
        let mut tx = db.begin().await?;
        for (customer, next) in nexts {
            store::close::advance(&mut tx, tenant, customer, (None, now), next).await?;
        }
        tx.commit().await?;
        if !all {
            return Ok(());
        }
    }
}

async fn first_close(cx: &Cx, customer: &CustomerId, now: Timestamp) -> Result<Option<Timestamp>> {
    let row = store::close::find(&cx.app.db, cx.tenant.id(), customer).await?;
    let anchor = row.map_or(now, |row| Timestamp::from_micros(row.anchor));
    let account = loaded(cx, customer).await?;
    next_close_at(&resets(cx, &account), anchor, zones(cx), now).map_err(Error::internal)
}

/// Closes every period of a customer that is over, before something else of it changes.
pub async fn catch_up(cx: &Cx, customer: &CustomerId) -> Result<()> {
    let now = cx.tenant_now();
    while let Some(row) = store::close::find(&cx.app.db, cx.tenant.id(), customer).await? {
        if row.next_close_at.is_none_or(|at| at > now.as_micros()) {
            break;
        }
        close(cx, customer, now).await?;
    }
    Ok(())
}

/// A feature at the end of its period.
struct Ended {
    closed: Closed,
    feature: FeatureKey,
    granted: PlanFeature,
    stood: Final,
}

/// Closes the periods of a customer that ended first, at or before an instant.
pub async fn close(cx: &Cx, customer: &CustomerId, until: Timestamp) -> Result<()> {
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let Some(row) = store::close::find(db, tenant, customer).await? else { return Ok(()) };
    let Some(done) = row.closed_to.map(Timestamp::from_micros) else { return Ok(()) };
    let account = loaded(cx, customer).await?;
    let (resets, anchor) = (resets(cx, &account), Timestamp::from_micros(row.anchor));
    let mut found = closed(&resets, anchor, zones(cx), (done, until)).map_err(Error::internal)?;
    let end = found.first().and_then(|closed| closed.period.end);
    found.retain(|closed| closed.period.end == end);
    // Without one the tenant's rules changed meanwhile, and the next end is another.
    let ended = match end {
        Some(end) => ended(cx, &account, (&found, end)).await?,
        None => Vec::new(),
    };
    let to = end.unwrap_or(done);
    let next = next_close_at(&resets, anchor, zones(cx), end.unwrap_or(until)).map_err(Error::internal)?;
    let mut tx = db.begin().await?;
    let life = Life::lock(&mut tx, cx, customer).await?;
    if !store::close::advance(&mut tx, tenant, customer, (Some(done), to), next).await? {
        return Ok(());
    }
    for closed in &found {
        store::close::record(&mut tx, tenant, customer, closed, until).await?;
    }
    carry(&mut tx, cx, customer, (&ended, until)).await?;
    if let Some(life) = life {
        owe(&mut tx, cx, &life, (&ended, to)).await?;
    }
    Ok(tx.commit().await?)
}

/// The tenant's zone, and those that it had before.
fn zones(cx: &Cx) -> (&domain::time::Zone, &[domain::time::EarlierZone]) {
    (&cx.tenant.catalog.zone, &cx.tenant.catalog.earlier_zones)
}

async fn loaded(cx: &Cx, customer: &CustomerId) -> Result<Customer> {
    let row = super::customer::get(cx, customer.as_str()).await?;
    Ok(store::customer::load(&cx.app.db, cx.tenant.id(), &row).await?)
}

/// The resets whose ends are looked at: months always, so that what the catalog grants later is closed as well, and
/// whatever else the plan has something to do at.
fn resets(cx: &Cx, account: &Customer) -> Vec<Reset> {
    let plan = account.subscription.as_ref().and_then(|subscription| cx.tenant.catalog.plans.get(&subscription.plan));
    let granted = plan.into_iter().flat_map(|plan| plan.features.values().filter(|granted| has_an_end(granted)));
    [Reset::BillingMonth, Reset::CalendarMonth].into_iter().chain(granted.map(|granted| granted.reset)).collect()
}

/// Whether the end of a period brings something for what is granted.
fn has_an_end(granted: &PlanFeature) -> bool {
    let costs = granted.limit_type == LimitType::Soft && granted.overage_micros.is_some_and(|micros| micros > 0);
    granted.enabled && (granted.rollover_cap.is_some() || costs)
}

/// What the plan granted in a period, of what its end brings something for.
fn granted_then(cx: &Cx, account: &Customer, at: Timestamp) -> Result<BTreeMap<FeatureKey, PlanFeature>> {
    let Some(subscription) = &account.subscription else { return Ok(BTreeMap::new()) };
    let Some(plan) = cx.tenant.catalog.plans.get(&subscription.plan) else { return Ok(BTreeMap::new()) };
    let billed = subscription.period_at(&cx.tenant.catalog.zone, at).map_err(Error::internal)?;
    let held = plan.held(subscription.plan_since, billed.start).1.iter();
    Ok(held.filter(|(_, granted)| has_an_end(granted)).map(|(key, granted)| (key.clone(), granted.clone())).collect())
}

/// How the features stood whose periods ended at an instant.
async fn ended(cx: &Cx, account: &Customer, (found, end): (&[Closed], Timestamp)) -> Result<Vec<Ended>> {
    let at = end.plus_micros(-1);
    let granted = granted_then(cx, account, at)?;
    let of = |granted: &PlanFeature| found.iter().find(|closed| closed.reset == granted.reset).copied();
    let keys: Vec<_> =
        granted.iter().filter(|(_, granted)| of(granted).is_some()).map(|(key, _)| key.clone()).collect();
    let mut all = Vec::new();
    if keys.is_empty() {
        return Ok(all);
    }
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    // What was used in a trial costs nothing, also when it ended since.
    let trial_end = store::subscription::current(db, tenant, &account.id).await?.and_then(|row| row.trial_ends_at);
    let trial_end = trial_end.map_or(Timestamp::EPOCH, Timestamp::from_micros);
    for (entitlement, quota) in stood(cx, account.id.as_str(), (&keys, at)).await? {
        let known = granted.get(&quota.feature).and_then(|granted| Some((granted, of(granted)?)));
        let Some((granted, closed)) = known.filter(|_| quota.kind == FeatureKind::Counter) else { continue };
        let of_feature = (&account.id, &quota.feature);
        let since = quota.period.start.max(trial_end);
        let over = match granted.overage_micros {
            Some(_) => store::close::overrun(db, tenant, of_feature, (quota.period.start, since)).await?,
            None => 0,
        };
        let stood = Final {
            limit: quota.limit,
            limit_type: entitlement.limit_type,
            used: quota.used,
            held: quota.reserved,
            over,
        };
        all.push(Ended { closed, feature: quota.feature.clone(), granted: granted.clone(), stood });
    }
    Ok(all)
}

/// How some features of a customer stood at an instant, in the periods that ran then; what was not granted then is left
/// out. What was used before somebody was stopped or paused is still told.
async fn stood(
    cx: &Cx,
    customer: &str,
    (features, at): (&[FeatureKey], Timestamp),
) -> Result<Vec<(Arc<Entitlement>, Quota)>> {
    let then = |cx: &Cx, account: &Account| -> Vec<_> {
        let mut customer = Customer { suspended: false, ..account.customer.clone() };
        let paused = |own: &&mut Subscription| own.status == SubscriptionStatus::Paused;
        if let Some(own) = customer.subscription.as_mut().filter(paused) {
            own.status = SubscriptionStatus::Active;
        }
        let resolved = |key| resolve(&cx.tenant.catalog, &customer, key, at).ok().map(Arc::new);
        features.iter().filter_map(resolved).collect()
    };
    let read = Mutex::new(Vec::new());
    let done = usage::submit(cx, customer, &usage::Action::default(), |cx, account| {
        let entitlements = then(cx, account);
        if let Ok(mut read) = read.lock() {
            read.clone_from(&entitlements);
        }
        Ok(store::gate::Command::Read(entitlements))
    })
    .await?;
    let entitlements = read.into_inner().unwrap_or_default();
    let of = |quota: &Quota| entitlements.iter().find(|known| known.feature == quota.feature).cloned();
    Ok(done.quotas.into_iter().filter_map(|quota| of(&quota).map(|known| (known, quota))).collect())
}

/// Units that were not used go on as credits, which are used after the plan's own and end with the next period.
async fn carry(tx: &mut Tx, cx: &Cx, customer: &CustomerId, (ended, until): (&[Ended], Timestamp)) -> Result<()> {
    let mut carries = false;
    for ended in ended {
        let Some(cap) = ended.granted.rollover_cap else { continue };
        let Some(units) = carried(ended.stood, cap, ended.closed.next) else { continue };
        // Whoever comes so late that the next period is over as well has nothing to carry over.
        if units.expires_at.is_some_and(|at| at <= until) {
            continue;
        }
        let grant = Grant {
            id: GrantId::from_bits(id_bits()),
            feature: ended.feature.clone(),
            amount: units.units,
            expires_at: units.expires_at,
        };
        store::customer::insert_grant(tx, cx.tenant.id(), customer, &grant, (REASON, until)).await?;
        let after = json!({ "id": grant.id, "feature": grant.feature, "amount": grant.amount,
            "expiresAt": grant.expires_at, "reason": REASON });
        let change =
            audit::Change { action: "credits.carried", target: customer.as_str(), before: None, after: Some(after) };
        audit::write(tx, cx, change).await?;
        carries = true;
    }
    if carries {
        store::customer::bump_version(tx, cx.tenant.id(), customer, until).await?;
    }
    Ok(())
}

/// Use beyond soft limits is one invoice for the instant at which its periods ended. A trial costs nothing.
async fn owe(tx: &mut Tx, cx: &Cx, life: &Life, (ended, at): (&[Ended], Timestamp)) -> Result<()> {
    let currency = Currency::parse(&cx.tenant.row.currency).map_err(Error::internal)?;
    let mut lines = Vec::new();
    for ended in ended {
        let micros = ended.granted.overage_micros.unwrap_or(0);
        let found = overage(ended.stood, micros, Money::zero(currency)).map_err(Error::internal)?;
        let Period { start, end } = ended.closed.period;
        lines.extend(found.map(|found| Line {
            kind: LineKind::Overage,
            plan: life.state.terms.plan.clone(),
            amount: found.amount,
            from: start,
            to: end.unwrap_or(at),
            used: Some(Used { feature: ended.feature.clone(), units: found.units }),
        }));
    }
    if lines.is_empty() || life.state.status == SubscriptionStatus::Trialing {
        return Ok(());
    }
    // As of the instant at which the periods ended: what time does then comes after it, however late both are written.
    match decide(&life.state, &Command::Owe { at, lines }, &subscription::rules(cx)?, at) {
        Ok(decision) => subscription::advance(tx, cx, life, &decision, &Note::default()).await.map(|_| ()),
        Err(Refusal::Over | Refusal::AlreadySo) => Ok(()),
        Err(refusal) => Err(subscription::refused(refusal)),
    }
}
