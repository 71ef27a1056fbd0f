//! What happened to one customer: usage events, refusals, and who changed what about it; all newest first.

use domain::id::{CustomerId, TenantId};
use sqlx::FromRow;

use crate::db::{Db, sql};
use crate::error::Result;
use crate::list::Wanted;
use crate::subscription::ChangeRow;

/// One line of a usage event.
#[derive(Debug, Clone, FromRow)]
pub struct EventRow {
    /// The event.
    pub event_id: String,
    /// Its line: one for each counter that it moved.
    pub line: i64,
    /// `consume`, `settle`, ….
    pub kind: String,
    /// What was counted.
    pub feature: String,
    /// `plan`, or the id of a pack of credits.
    pub source: String,
    /// Units added to what is used.
    pub amount: i64,
    /// Units added to what is held.
    pub hold: i64,
    /// Units beyond the hard limit or the hold.
    pub overrun: i64,
    /// What was used afterwards.
    pub used_after: i64,
    /// The limit that it was admitted under.
    pub limit_value: Option<i64>,
    /// The reservation behind it.
    pub reservation_id: Option<String>,
    /// When, in the tenant's time.
    pub at: i64,
    /// What the caller attached to it.
    pub metadata: Option<String>,
}

/// A customer's usage events, newest first; `wanted.after` holds an event and a line of it.
pub async fn events(
    db: &Db,
    tenant: &TenantId,
    (customer, feature): (&CustomerId, &str),
    wanted: &Wanted,
) -> Result<Vec<EventRow>> {
    let after = wanted.start();
    sql!("SELECT e.event_id, e.line, e.kind, e.feature, e.source, e.amount, e.hold, e.overrun, e.used_after, e.limit_value, e.reservation_id, e.at, d.metadata FROM usage_event e LEFT JOIN usage_metadata d ON d.tenant_id = e.tenant_id AND d.event_id = e.event_id WHERE e.tenant_id = $1 AND e.customer_id = $2 AND ($3 = '' OR e.feature = $3) AND (e.event_id, e.line) < ($4, $5) ORDER BY e.event_id DESC, e.line DESC LIMIT $6")
        .bind(tenant)
        .bind(customer)
        .bind(feature)
        .bind(after.id)
        .bind(after.value.parse::<i64>().unwrap_or_default())
        .bind(wanted.rows)
        .all(db)
        .await
}

/// The explanations of a customer's refusals, newest first: ids and bodies.
pub async fn decisions(
    db: &Db,
    tenant: &TenantId,
    customer: &CustomerId,
    wanted: &Wanted,
) -> Result<Vec<(String, String)>> {
    let after = wanted.start();
    sql!("SELECT decision_id, body FROM decision WHERE tenant_id = $1 AND customer_id = $2 AND decision_id < $3 ORDER BY decision_id DESC LIMIT $4")
        .bind(tenant)
        .bind(customer)
        .bind(after.id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// An audit entry about a customer.
#[derive(Debug, Clone, FromRow)]
pub struct AuditRow {
    /// Its id, in time order.
    pub audit_id: String,
    /// When.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// The state before, as JSON.
    pub before: Option<String>,
    /// The state after, as JSON.
    pub after: Option<String>,
}

/// Who changed what about a customer, newest first; entries before a place, when one is given. What became of its
/// subscription and its credits is told by their own rows.
pub async fn audit(
    db: &Db,
    tenant: &TenantId,
    customer: &CustomerId,
    (before, limit): (Option<&(i64, String)>, i64),
) -> Result<Vec<AuditRow>> {
    let (at, id) = before.cloned().unwrap_or_default();
    sql!("SELECT audit_id, at, actor, action, before, after FROM audit_entry WHERE tenant_id = $1 AND target = $2 AND action NOT IN ('subscription.changed', 'subscription.ended', 'credits.granted') AND ($3 OR (at, audit_id) < ($4, $5)) ORDER BY at DESC, audit_id DESC LIMIT $6")
        .bind(tenant)
        .bind(customer)
        .bind(before.is_none())
        .bind(at)
        .bind(id)
        .bind(limit)
        .all(db)
        .await
}

/// The transitions of a customer's subscriptions, newest first; those before a place, when one is given.
pub async fn changes(
    db: &Db,
    tenant: &TenantId,
    customer: &CustomerId,
    (before, limit): (Option<&(i64, String)>, i64),
) -> Result<Vec<ChangeRow>> {
    let (at, id) = before.cloned().unwrap_or_default();
    sql!("SELECT change_id, at, subscription_id, customer_id, cause, actor, status_before, status_after, plan_before, plan_after, price_before, price_after, currency, currency_before, annual_before, annual_after, movement FROM subscription_change WHERE tenant_id = $1 AND customer_id = $2 AND ($3 OR (at, change_id) < ($4, $5)) ORDER BY at DESC, change_id DESC LIMIT $6")
        .bind(tenant)
        .bind(customer)
        .bind(before.is_none())
        .bind(at)
        .bind(id)
        .bind(limit)
        .all(db)
        .await
}
