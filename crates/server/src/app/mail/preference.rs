//! Who does not want which mails, and the link by which one click says so (RFC 8058).

use domain::id::TenantId;
use serde_json::json;
use store::db::Tx;

use super::account;
use super::kind::{Category, Kind};
use crate::app::audit;
use crate::cx::{Actor, App, Cx};
use crate::error::{Code, Error, Result};

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

/// What somebody gets.
pub type Preferences = Vec<(Kind, bool)>;

async fn own_address(app: &App, cx: &Cx) -> Result<String> {
    let nobody = || Error::new(Code::Forbidden, "Only a person who signed in gets mails.");
    let (Actor::User { user, .. } | Actor::Viewer { user, .. }) = &cx.actor else { return Err(nobody()) };
    let user = store::user::find(&app.db, cx.tenant.id(), user).await?.ok_or_else(nobody)?;
    Ok(user.email)
}

/// Which mails the caller gets.
pub async fn list(cx: &Cx) -> Result<Preferences> {
    let address = own_address(&cx.app, cx).await?;
    let refused = store::mail::refused(&cx.app.db, cx.tenant.id(), &address).await?;
    Ok(Kind::ALL.into_iter().map(|kind| (kind, !refused.iter().any(|name| name == kind.name()))).collect())
}

/// Changes which mails the caller gets; kinds that are not named stay as they are.
pub async fn edit(cx: &Cx, wanted: &[(String, bool)]) -> Result<Preferences> {
    let address = own_address(&cx.app, cx).await?;
    let mut tx = cx.app.db.begin().await?;
    for (name, on) in wanted {
        let pointer = || format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let kind = Kind::parse(name).ok_or_else(|| {
            let optional = Kind::ALL.into_iter().filter(|kind| kind.category() == Category::Optional);
            let known: Vec<_> = optional.map(Kind::name).collect();
            Error::field(pointer(), format!("leave it out; known here: {}", known.join(", ")))
        })?;
        if kind.category() != Category::Optional && !on {
            return Err(Error::field(pointer(), "mails about money and security cannot be switched off"));
        }
        set(&mut tx, cx, (&address, kind), *on).await?;
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
    if changed {
        // The address is not kept here, since nothing is ever taken out of the audit trail.
        let change = audit::Change {
            action: "email_preference.updated",
            target: kind.name(),
            before: Some(json!({ "on": !on })),
            after: Some(json!({ "on": on })),
        };
        audit::write(tx, cx, change).await?;
    }
    Ok(())
}
