//! Writes who changed what, in the transaction of the change, and reads it again.

pub mod chain;
pub mod diff;
pub mod told;

use domain::audit::Entry;
use serde_json::Value;
use store::audit::{Filter, NamedRow};
use store::db::Tx;
use store::list::Wanted;

use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

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
    let mut entry = Entry {
        id: domain::id::encode_as("aud", id_bits()),
        at: cx.now,
        actor: cx.actor.name(),
        action: change.action.to_owned(),
        target: change.target.to_owned(),
        before: change.before.map(|value| value.to_string()),
        after: change.after.map(|value| value.to_string()),
        request_id: cx.request_id.to_string(),
        origin: cx.origin.to_string(),
        mac: String::new(),
        seq: None,
        prev_hash: None,
        hash: None,
    };
    let mac = |bytes: &[u8]| cx.app.master.audit_code(bytes);
    entry.mac = entry.code(cx.tenant.id().as_str(), chain::keys(&mac));
    store::audit::insert(tx, cx.tenant.id(), &entry).await?;
    if let Some(event) = told::event_of(change.action, change.target) {
        told::tell(tx, cx, event);
    }
    Ok(())
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
