//! Who does not want which mails, and the link by which one click says so (RFC 8058).

use domain::id::TenantId;
use serde_json::json;
use store::db::Tx;
use store::user::UserRow;

use super::account;
use super::kind::{Category, Kind};
use crate::app::audit;
use crate::cx::{Actor, App, Cx};
use crate::error::{Code, Error, Result};
use crate::words::below;

/// Where links to end mails are sealed: their address and kind stand inside, so that neither is in any log.
const PLACE: &str = "unsubscribe";

/// Whether an optional mail is to be written at all. An address that was refused for good gets none.
pub async fn wants(tx: &mut Tx, cx: &Cx, address: &str, kind: Kind) -> Result<bool> {
    if store::mail::has_bounced(&mut *tx, cx.tenant.id(), address).await? {
        return Ok(false);
    }
    let refused = store::mail::refused(tx, cx.tenant.id(), address).await?;
    Ok(!refused.iter().any(|name| name == kind.name()))
}

/// The address at which one click ends mails of a kind.
pub fn link(cx: &Cx, address: &str, kind: Kind) -> Result<String> {
    let plain = json!([address, kind.name()]).to_string();
    let sealed = cx.app.master.seal(cx.tenant.id(), PLACE, plain.as_bytes())?;
    let sealed = sealed.replace('+', "-").replace('/', "_");
    Ok(format!("{}/unsubscribe?token={}.{sealed}", account::base(cx), cx.tenant.id()))
}

/// What a link to end mails is about.
pub struct Unsubscription {
    /// The context of its tenant.
    pub cx: Cx,
    /// The address.
    pub address: String,
    /// The kind.
    pub kind: Kind,
}

/// Reads a link to end mails.
pub async fn read(cx: &Cx, token: &str) -> Result<Unsubscription> {
    let wrong = || Error::new(Code::Forbidden, "The link is not whole; open the one in the mail.");
    let (tenant, sealed) = token.split_once('.').ok_or_else(wrong)?;
    let tenant = TenantId::parse(tenant).map_err(|_| wrong())?;
    let sealed = sealed.replace('-', "+").replace('_', "/");
    let plain = cx.app.master.open(&tenant, PLACE, &sealed).ok_or_else(wrong)?;
    let (address, kind): (String, String) = serde_json::from_slice(&plain).map_err(|_| wrong())?;
    let kind = Kind::parse(&kind).ok_or_else(wrong)?;
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, &tenant).await?;
    Ok(Unsubscription { cx: cx.clone().with_tenant(tenant), address, kind })
}

/// Ends mails of a kind to an address, by the link in one of them. A second click is no error.
pub async fn unsubscribe(cx: &Cx, token: &str) -> Result<Unsubscription> {
    let wanted = read(cx, token).await?;
    let mut tx = cx.app.db.begin().await?;
    set(&mut tx, &wanted.cx, (&wanted.address, wanted.kind), false).await?;
    tx.commit().await?;
    Ok(wanted)
}

/// In which ways somebody is told of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preference {
    /// The kind.
    pub kind: Kind,
    /// Whether mails come.
    pub email: bool,
    /// Whether it comes into the inbox; none for what has no place there.
    pub app: Option<bool>,
}

/// What is to change about a kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// Whether mails come.
    pub email: Option<bool>,
    /// Whether it comes into the inbox.
    pub app: Option<bool>,
}

async fn own_row(app: &App, cx: &Cx) -> Result<UserRow> {
    let nobody = || Error::new(Code::Forbidden, "Only a person who signed in is told of anything.");
    let (Actor::User { user, .. } | Actor::Viewer { user, .. }) = &cx.actor else { return Err(nobody()) };
    store::user::find(&app.db, cx.tenant.id(), user).await?.ok_or_else(nobody)
}

/// What the caller is told, and in which ways.
pub async fn list(cx: &Cx) -> Result<Vec<Preference>> {
    let user = own_row(&cx.app, cx).await?;
    let mails = store::mail::refused(&cx.app.db, cx.tenant.id(), &user.email).await?;
    let inbox = store::notice::refused(&cx.app.db, cx.tenant.id(), &user.user_id).await?;
    let wanted = |refused: &[String], kind: Kind| !refused.iter().any(|name| name == kind.name());
    let preference = |kind: Kind| Preference {
        kind,
        email: wanted(&mails, kind),
        app: kind.is_in_inbox().then(|| wanted(&inbox, kind)),
    };
    Ok(Kind::ALL.into_iter().map(preference).collect())
}

/// Changes in which ways the caller is told; what is not named stays as it is.
pub async fn edit(cx: &Cx, wanted: &[(String, Wish)]) -> Result<Vec<Preference>> {
    let user = own_row(&cx.app, cx).await?;
    let mut tx = cx.app.db.begin().await?;
    for (name, wish) in wanted {
        let pointer = below("", name);
        let kind = Kind::parse(name).ok_or_else(|| {
            let optional = Kind::ALL.into_iter().filter(|kind| kind.category() == Category::Optional);
            let known: Vec<_> = optional.map(Kind::name).collect();
            Error::field(&pointer, format!("leave it out; known here: {}", known.join(", ")))
        })?;
        let off = wish.email == Some(false) || wish.app == Some(false);
        if kind.category() != Category::Optional && off {
            return Err(Error::field(&pointer, "what is about money and security cannot be switched off"));
        }
        if wish.app.is_some() && !kind.is_in_inbox() {
            return Err(Error::field(format!("{pointer}/app"), "leave it out: this comes by mail alone"));
        }
        if let Some(on) = wish.email {
            set(&mut tx, cx, (&user.email, kind), on).await?;
        }
        if let Some(on) = wish.app {
            set_in_inbox(&mut tx, cx, (&user.user_id, kind), on).await?;
        }
    }
    tx.commit().await?;
    list(cx).await
}

async fn set(tx: &mut Tx, cx: &Cx, (address, kind): (&str, Kind), on: bool) -> Result<()> {
    let tenant = cx.tenant.id();
    let changed = if on {
        store::mail::want(tx, tenant, (address, kind.name())).await?
    } else {
        store::mail::refuse(tx, tenant, (address, kind.name()), cx.now).await?
    };
    if changed { note(tx, cx, ("email_preference.updated", kind), on).await } else { Ok(()) }
}

async fn set_in_inbox(tx: &mut Tx, cx: &Cx, (user, kind): (&str, Kind), on: bool) -> Result<()> {
    let tenant = cx.tenant.id();
    let changed = if on {
        store::notice::want(tx, tenant, (user, kind.name())).await?
    } else {
        store::notice::refuse(tx, tenant, (user, kind.name()), cx.now).await?
    };
    if changed { note(tx, cx, ("inbox_preference.updated", kind), on).await } else { Ok(()) }
}

/// The address is not kept here, since nothing is ever taken out of the audit trail.
async fn note(tx: &mut Tx, cx: &Cx, (action, kind): (&'static str, Kind), on: bool) -> Result<()> {
    let change = audit::Change {
        action,
        target: kind.name(),
        before: Some(json!({ "on": !on })),
        after: Some(json!({ "on": on })),
    };
    audit::write(tx, cx, change).await
}
