//! The outbox, as the tenant's people see it.

use domain::permission::Role;
use serde_json::json;
use store::list::Wanted;
use store::mail::{EmailRow, Filter};

use super::deliver::{message, secret};
use super::{account, kind};
use crate::app::{audit, setting};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// What stands for a secret that is not shown.
const HIDDEN: &str = "…";

/// Where mails can stand: `queued` waits or is tried again, `kept` has no server to go through, `bounced` was refused
/// for good, `dead` was given up.
pub const STATES: [&str; 5] = ["queued", "sent", "kept", "bounced", "dead"];

/// Mails of the tenant, without their texts.
pub async fn list(cx: &Cx, filter: &Filter, wanted: &Wanted) -> Result<Vec<EmailRow>> {
    Ok(store::mail::list(&cx.app.db, cx.tenant.id(), filter, wanted).await?)
}

/// One mail, with the headers that it has or would have.
pub struct Whole {
    /// The mail; the secret of its link is in the texts or is hidden.
    pub row: EmailRow,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "There is no such mail; GET /api/admin/emails lists them.")
}

/// One mail, whole. The secret of its link is shown while no server was there to send it, to admins, and never to
/// somebody who stands below its recipient: who opens it can act as them. That it was shown is kept.
pub async fn get(cx: &Cx, id: &str) -> Result<Whole> {
    let cx = &setting::current(cx).await?;
    if id.contains('\0') {
        return Err(unknown());
    }
    let mut row = store::mail::find(&cx.app.db, cx.tenant.id(), id).await?.ok_or_else(unknown)?;
    let shown = if may_see_link(cx, &row).await? { secret(cx, &row)? } else { None };
    let sender = account::sender(cx).await?;
    let from = &sender.from;
    let message = message(cx, &EmailRow { link_sealed: None, ..row.clone() }, &sender)?;
    let named = |name: Option<&str>, address: &str| match name {
        Some(name) => format!("{name} <{address}>"),
        None => address.to_owned(),
    };
    let mut headers = vec![
        ("From", named(from.name.as_deref(), &from.address)),
        ("To", named(row.recipient_name.as_deref(), &row.recipient)),
        ("Subject", row.subject.clone()),
        ("Date", message.date.to_string()),
        ("Message-ID", row.message_id.clone()),
        ("Auto-Submitted", "auto-generated".to_owned()),
    ];
    headers.extend(sender.reply_to.map(|address| ("Reply-To", address)));
    if let Some(url) = &row.unsubscribe {
        headers.push(("List-Unsubscribe", format!("<{url}>")));
        headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
    }
    if let Some(secret) = &shown {
        note_shown(cx, &row).await?;
        (row.html, row.body) = (row.html.replace(&row.email_id, secret), row.body.replace(&row.email_id, secret));
    } else {
        (row.html, row.body) = (row.html.replace(&row.email_id, HIDDEN), row.body.replace(&row.email_id, HIDDEN));
    }
    Ok(Whole { row, headers })
}

async fn may_see_link(cx: &Cx, row: &EmailRow) -> Result<bool> {
    if row.link_sealed.is_none() || row.state != "kept" || !cx.actor.stands(Role::Admin) {
        return Ok(false);
    }
    let owner = store::user::find_by_email(&cx.app.db, cx.tenant.id(), &row.recipient).await?;
    let role = owner.and_then(|owner| Role::parse(&owner.role));
    Ok(role.is_some_and(|role| cx.actor.stands(role)))
}

async fn note_shown(cx: &Cx, row: &EmailRow) -> Result<()> {
    let after = Some(json!({ "kind": row.kind }));
    let mut tx = cx.app.db.begin().await?;
    let change = audit::Change { action: "email.link_shown", target: &row.email_id, before: None, after };
    audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

/// Puts a mail that was not sent into the queue again.
pub async fn retry(cx: &Cx, id: &str) -> Result<Whole> {
    if id.contains('\0') {
        return Err(unknown());
    }
    let tenant = cx.tenant.id();
    let mut tx = cx.app.db.begin().await?;
    let row = store::mail::find(&mut tx, tenant, id).await?.ok_or_else(unknown)?;
    let lost = kind::Kind::parse(&row.kind).is_some_and(kind::Kind::has_secret) && row.link_sealed.is_none();
    if lost && row.state != "sent" {
        let detail = "Its link is gone with the attempt that failed; let its recipient ask for a new one.";
        return Err(Error::new(Code::InUse, detail));
    }
    if !store::mail::requeue(&mut tx, tenant, id, cx.now).await? {
        return Err(Error::new(Code::InUse, "It was sent already, or is being sent; a mail is sent once."));
    }
    let change = audit::Change {
        action: "email.retried",
        target: id,
        before: Some(json!({ "state": row.state })),
        after: Some(json!({ "state": "queued" })),
    };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    cx.app.mailer.wake(tenant);
    get(cx, id).await
}
