//! Writes who changed what, in the transaction of the change, and reads it again.

pub mod chain;
pub mod diff;
pub mod told;

use domain::audit::Entry;
use domain::id::TenantId;
use domain::planted::{Bug, planted};
use serde_json::Value;
use store::audit::{Filter, NamedRow};
use store::db::Tx;
use store::list::Wanted;

use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// The origin of what a tenant begins with, which is told by the entry of its making and not by one for each thing.
pub const BEGINNING: &str = "template";

/// A change.
pub struct Change<'a> {
    /// What was done, such as `key.created`.
    pub action: &'static str,
    /// To what.
    pub target: &'a str,
    /// The state before.
    pub before: Option<Value>,
    /// The state after.
    pub after: Option<Value>,
}

/// Writes an entry about a change, and tells live connections of it. Its place in the chain is given by [`chain::seal`].
pub async fn write(tx: &mut Tx, cx: &Cx, change: Change<'_>) -> Result<()> {
    if *cx.origin == *BEGINNING {
        return Ok(());
    }
    let event = told::event_of(change.action, change.target);
    write_to(tx, cx, (cx.tenant.id(), &cx.origin), change).await?;
    if let Some(event) = event {
        told::tell(tx, cx, event);
    }
    Ok(())
}

/// Writes an entry into the trail of another tenant, about what the operator has done there; from where stays in the
/// operator's own.
pub async fn write_elsewhere(tx: &mut Tx, cx: &Cx, tenant: &TenantId, change: Change<'_>) -> Result<()> {
    let event = told::of_own_tenant(change.action, change.target);
    write_to(tx, cx, (tenant, super::tenant::PLATFORM), change).await?;
    store::event::tell(tx, tenant, cx.now, event);
    Ok(())
}

async fn write_to(tx: &mut Tx, cx: &Cx, (tenant, origin): (&TenantId, &str), change: Change<'_>) -> Result<()> {
    let mut entry = Entry {
        id: domain::id::encode_as("aud", id_bits()),
        at: cx.now,
        actor: cx.actor.name(),
        action: change.action.to_owned(),
        target: change.target.to_owned(),
        before: change.before.map(|value| value.to_string()),
        after: change.after.map(|value| value.to_string()),
        request_id: cx.request_id.to_string(),
        origin: origin.to_owned(),
        mac: String::new(),
        seq: None,
        prev_hash: None,
        hash: None,
    };
    let mac = |bytes: &[u8]| cx.app.master.audit_code(bytes);
    entry.mac = entry.code(tenant.as_str(), chain::keys(&mac));
    if planted(Bug::AuditUnsealed) && change.action == "subscription.changed" {
        "somebody".clone_into(&mut entry.actor);
    }
    Ok(store::audit::insert(tx, tenant, &entry).await?)
}

/// Some entries of the tenant.
pub async fn list(cx: &Cx, filter: &Filter, wanted: &Wanted) -> Result<Vec<NamedRow>> {
    Ok(store::audit::list(&cx.app.db, cx.tenant.id(), filter, wanted).await?)
}

/// One entry of the tenant.
pub async fn get(cx: &Cx, id: &str) -> Result<NamedRow> {
    let unknown = || Error::new(Code::NotFound, "There is no such entry; an entry's id begins with aud_.");
    // PostgreSQL has no text with a zero byte.
    if id.contains('\0') {
        return Err(unknown());
    }
    store::audit::find(&cx.app.db, cx.tenant.id(), id).await?.ok_or_else(unknown)
}
