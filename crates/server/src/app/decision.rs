//! The log of refusals: bounded, written behind, readable at once.

use std::sync::Arc;

use domain::id::{CustomerId, DecisionId, TenantId};
use quick_cache::sync::Cache;
use serde_json::Value;
use store::db::Db;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::cx::{Cx, now};
use crate::error::{Code, Error, Result};

/// Explanations that wait to be written; beyond that new ones are only kept in memory.
const WAITING_MAX: usize = 4_096;
/// Explanations of one transaction.
const WRITTEN_AT_ONCE: usize = 200;
/// Explanations kept in memory.
const RECENT_MAX: usize = 4_096;

struct Kept {
    tenant: TenantId,
    id: DecisionId,
    customer: CustomerId,
    body: Value,
}

/// The log.
pub struct Decisions {
    queue: mpsc::Sender<Arc<Kept>>,
    recent: Cache<(TenantId, DecisionId), Arc<Kept>>,
}

impl Decisions {
    /// Starts the task that writes them.
    pub fn start(db: &Db, tasks: &TaskTracker) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Arc<Kept>>(WAITING_MAX);
        let db = db.clone();
        tasks.spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, WRITTEN_AT_ONCE).await > 0 {
                if let Err(error) = write(&db, &batch).await {
                    tracing::warn!(%error, lost = batch.len(), "explanations of refusals could not be written");
                }
                batch.clear();
            }
        });
        Self { queue, recent: Cache::new(RECENT_MAX) }
    }

    /// Keeps an explanation.
    pub fn keep(&self, tenant: &TenantId, id: &DecisionId, customer: &CustomerId, body: Value) {
        let kept = Arc::new(Kept { tenant: tenant.clone(), id: id.clone(), customer: customer.clone(), body });
        self.recent.insert((tenant.clone(), id.clone()), kept.clone());
        if self.queue.try_send(kept).is_err() {
            metrics::counter!("tollgate_decisions_unwritten_total").increment(1);
        }
    }
}

async fn write(db: &Db, batch: &[Arc<Kept>]) -> store::error::Result<()> {
    let mut tx = db.begin().await?;
    for kept in batch {
        let body = kept.body.to_string();
        store::usage::insert_decision(&mut tx, &kept.tenant, &kept.id, (Some(&kept.customer), &body), now()).await?;
    }
    tx.commit().await
}

/// The explanation of a refusal: for support and keys of the tenant, and for the customer that it is about.
pub async fn get(cx: &Cx, id: &DecisionId) -> Result<Value> {
    let absent = || {
        Error::new(
            Code::NotFound,
            "Check the id; explanations are kept for 35 days, or as long as the tenant's settings say.",
        )
    };
    let recent = cx.app.decisions.recent.get(&(cx.tenant.id().clone(), id.clone()));
    let (customer, body) = if let Some(kept) = recent {
        (Some(kept.customer.to_string()), kept.body.clone())
    } else {
        let found = store::usage::find_decision(&cx.app.db, cx.tenant.id(), id).await?;
        let (customer, body) = found.ok_or_else(absent)?;
        (customer, serde_json::from_str(&body).map_err(Error::internal)?)
    };
    let own = cx.actor.own_customer().is_some_and(|own| customer.as_deref() == Some(own.as_str()));
    let support = cx.actor.stands(domain::permission::Role::Support);
    let key = matches!(cx.actor, crate::cx::Actor::Key { .. });
    if own || support || key { Ok(body) } else { Err(absent()) }
}
