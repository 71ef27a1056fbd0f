//! Writes who changed what, in the transaction of the change.

use serde_json::Value;
use store::audit::Entry;
use store::db::Tx;

use crate::cx::{Cx, id_bits};
use crate::error::Result;

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

/// Writes an entry about a change.
pub async fn write(tx: &mut Tx, cx: &Cx, change: Change<'_>) -> Result<()> {
    let entry = Entry {
        id: format!("aud_{}", domain::id::encode(id_bits())),
        actor: cx.actor.name(),
        action: change.action,
        target: change.target.to_owned(),
        before: change.before.map(|value| value.to_string()),
        after: change.after.map(|value| value.to_string()),
        request_id: cx.request_id.to_string(),
        origin: cx.origin.to_string(),
    };
    Ok(store::audit::insert(tx, cx.tenant.id(), &entry, cx.now).await?)
}
