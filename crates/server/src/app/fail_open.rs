//! Uses that are allowed while the store is away: a bounded number of units for each customer, recorded afterwards.
//!
//! A plan's feature says how many (`failOpen`, none by default). What waits to be recorded is in this process alone: who
//! sets an allowance accepts that so much may be lost with the process, and that nodes allow it each on their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::{CustomerId, FeatureKey, TenantId, encode};
use store::gate::{Command, Done};
use tokio::sync::Notify;

use super::customer::Account;
use super::usage::{self, Action};
use crate::cx::{App, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// Uses that may wait to be recorded; beyond that nothing is allowed unseen.
const WAITING_MAX: usize = 100_000;
/// How long to wait before the store is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What was allowed and is not recorded yet.
#[derive(Default)]
pub struct FailOpen {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<(TenantId, String), Allowed>,
    spent: HashMap<(TenantId, CustomerId, FeatureKey), i64>,
}

/// A use that was allowed, under its idempotency key.
#[derive(Clone)]
struct Allowed {
    customer: CustomerId,
    action: Action,
}

impl FailOpen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many uses wait to be recorded.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }
}

/// Whether an error says that the store is away or full, so that nothing can be decided, rather than that the request is
/// wrong. Too many requests at once are no such outage: they must not open what limits them.
pub fn is_away(error: &Error) -> bool {
    matches!(error.code, Code::Unavailable | Code::StorageFull)
}

/// Allows a use that could not be decided, if every feature of it has enough of its allowance left. The answer has no
/// quotas, because nobody knows them, and no event, because there is none yet. A retry with the same key is the same use,
/// now and after it is recorded; so is the attempt before, whose outcome may be unknown.
pub fn allow(cx: &Cx, account: &Account, action: &Action) -> Option<Result<Done>> {
    let items = usage::items(cx, account, &action.items).ok()?;
    let mut action = action.clone();
    let identity = action.idempotency.get_or_insert_with(|| super::idempotency::internal(&encode(id_bits()))).clone();
    let name = (cx.tenant.id().clone(), identity.key);
    let customer = account.customer.id.clone();
    let mut state = cx.app.fail_open.state();
    if let Some(earlier) = state.waiting.get(&name) {
        let same = earlier.action.idempotency.as_ref().is_some_and(|i| i.request_hash == identity.request_hash);
        return Some(if same { Ok(done(true)) } else { Err(usage::key_reused()) });
    }
    let spent = |feature: &FeatureKey| (name.0.clone(), customer.clone(), feature.clone());
    let left = |state: &State, feature: &FeatureKey, allowance: i64| {
        allowance.saturating_sub(state.spent.get(&spent(feature)).copied().unwrap_or(0))
    };
    let fits = items.iter().all(|(e, amount)| *amount <= left(&state, &e.feature, e.fail_open));
    if !fits || state.waiting.len() >= WAITING_MAX {
        return None;
    }
    for (entitlement, amount) in &items {
        let sum = state.spent.entry(spent(&entitlement.feature)).or_default();
        *sum = sum.saturating_add(*amount);
    }
    state.waiting.insert(name, Allowed { customer, action });
    drop(state);
    cx.app.fail_open.wake.notify_one();
    metrics::counter!("tollgate_failed_open_total").increment(1);
    Some(Ok(done(false)))
}

fn done(replayed: bool) -> Done {
    Done { event: None, quotas: Vec::new(), overrun: 0, replayed, reservation: None, holds: Vec::new() }
}

/// Records what was allowed, as soon as the store is back; until the process stops.
pub async fn record_for_ever(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => break,
            () = app.fail_open.wake.notified() => {}
        }
        while !record_all(&app).await {
            tokio::select! {
                () = app.stopping.cancelled() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
            if app.stopping.is_cancelled() {
                break;
            }
        }
    }
    if !record_all(&app).await {
        tracing::error!(uses = app.fail_open.len(), "uses that were allowed while the store was away are lost");
    }
}

/// Whether everything that waited is recorded now.
async fn record_all(app: &Arc<App>) -> bool {
    let waiting: Vec<_> =
        app.fail_open.state().waiting.iter().map(|(name, use_)| (name.clone(), use_.clone())).collect();
    for (name, allowed) in waiting {
        match record(app, &name.0, &allowed).await {
            Err(error) if is_away(&error) => return false,
            Err(error) => tracing::error!(%error, "a use that was allowed while the store was away cannot be recorded"),
            Ok(()) => {}
        }
        forget(app, &name, &allowed);
    }
    true
}

async fn record(app: &Arc<App>, tenant: &TenantId, allowed: &Allowed) -> Result<()> {
    let tenant = app.tenants.fresh(&app.db, &app.master, tenant).await?;
    let cx = Cx::system(app, &tenant, "fail-open");
    usage::submit(&cx, allowed.customer.as_str(), &allowed.action, |cx, account| {
        Ok(Command::Record(usage::items_or_nothing(cx, account, &allowed.action.items)))
    })
    .await?;
    Ok(())
}

fn forget(app: &App, name: &(TenantId, String), allowed: &Allowed) {
    let mut state = app.fail_open.state();
    state.waiting.remove(name);
    for (feature, amount) in &allowed.action.items {
        let spent = (name.0.clone(), allowed.customer.clone(), feature.clone());
        if let Some(sum) = state.spent.get_mut(&spent) {
            *sum = sum.saturating_sub(*amount);
            if *sum <= 0 {
                state.spent.remove(&spent);
            }
        }
    }
}
