//! Requests to sales, from anybody: kept, bounded, and worked off by the tenant.

use domain::event::Kind;
use domain::time::Timestamp;
use serde_json::json;
use store::contact::ContactRow;
use store::gate::Idempotency;
use store::list::Wanted;

use super::revision::Expected;
use super::session::{address, one_line};
use super::{audit, creation, setting};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// Characters of a message.
const MESSAGE_CHARS_MAX: usize = 4_000;
/// Requests of one address within [`WINDOW_SECONDS`].
const OF_ADDRESS_MAX: usize = 5;
/// The window of that limit: an hour.
const WINDOW_SECONDS: i64 = 3_600;

/// What somebody writes.
pub struct Request {
    pub name: String,
    pub email: String,
    pub message: String,
    pub plan: Option<String>,
}

/// Keeps a request. Answers its id, and whether an earlier request with the same key has brought it.
pub async fn create(cx: &Cx, request: Request, identity: Option<&Idempotency>) -> Result<(String, bool)> {
    let name = one_line("/name", &request.name)?;
    let email = address(&request.email)?;
    let message = request.message.trim().to_owned();
    let chars = message.chars().count();
    if !(1..=MESSAGE_CHARS_MAX).contains(&chars) || message.contains('\0') {
        return Err(Error::field("/message", format!("use 1 to {MESSAGE_CHARS_MAX} characters")));
    }
    let cx = &setting::current(cx).await?;
    if request.plan.as_ref().is_some_and(|slug| cx.tenant.catalog.plan_by_slug(slug).is_none()) {
        return Err(Error::field("/plan", "name a plan that GET /api/plans lists, or leave it out"));
    }
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        return Ok((made, true));
    }
    let since = cx.now.plus_seconds(-WINDOW_SECONDS);
    let times = store::contact::times_of(&mut tx, cx.tenant.id(), &cx.origin, since).await?;
    if times.len() >= OF_ADDRESS_MAX {
        let again = times.iter().rev().nth(OF_ADDRESS_MAX - 1).copied().unwrap_or_default();
        let wait = cx.now.seconds_until(Timestamp::from_micros(again).plus_seconds(WINDOW_SECONDS));
        let detail = "Sales has several messages from you already; write again later, or by e-mail.";
        return Err(Error::new(Code::TooManyAttempts, detail).retry_after(wait));
    }
    let row = ContactRow {
        contact_id: domain::id::encode_as("con", id_bits()),
        at: cx.now.as_micros(),
        name,
        email,
        message,
        plan: request.plan,
        customer_id: cx.actor.own_customer().map(ToString::to_string),
        origin: cx.origin.to_string(),
        status: "new".to_owned(),
        revision: 1,
    };
    store::contact::insert(&mut tx, cx.tenant.id(), &row).await?;
    audit::told::tell_staff(&mut tx, cx, Kind::ContactRequest, (&row.contact_id, "contact_request.created"));
    creation::note(&mut tx, cx, identity, &row.contact_id).await?;
    tx.commit().await?;
    Ok((row.contact_id, false))
}

/// Requests of the tenant.
pub async fn list(cx: &Cx, status: &str, wanted: &Wanted) -> Result<Vec<ContactRow>> {
    Ok(store::contact::list(&cx.app.db, cx.tenant.id(), status, wanted).await?)
}

fn known_id(id: &str) -> Result<&str> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain { Ok(id) } else { Err(unknown()) }
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "There is no such request; an id of one begins with con_.")
}

/// One request.
pub async fn get(cx: &Cx, id: &str) -> Result<ContactRow> {
    store::contact::find(&cx.app.db, cx.tenant.id(), known_id(id)?).await?.ok_or_else(unknown)
}

/// Says how far a request got.
pub async fn set_status(cx: &Cx, id: &str, status: &'static str, expected: &Expected) -> Result<ContactRow> {
    let cx = &setting::current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = store::contact::lock(&mut tx, cx.tenant.id(), known_id(id)?).await?.ok_or_else(unknown)?;
    expected.check(cx, row.revision)?;
    if row.status == status {
        return Ok(row);
    }
    store::contact::set_status(&mut tx, cx.tenant.id(), id, status).await?;
    let change = audit::Change {
        action: "contact_request.updated",
        target: id,
        before: Some(json!({ "status": row.status })),
        after: Some(json!({ "status": status })),
    };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(ContactRow { status: status.to_owned(), revision: row.revision + 1, ..row })
}
