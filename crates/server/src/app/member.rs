//! Who works for a tenant, and as what. A change of role holds from the next request on, on every node.

use domain::event::Kind;
use domain::id::{TenantId, UserId};
use domain::permission::{Role, RoleRefusal, change_role};
use serde_json::json;
use store::db::Tx;
use store::gate::Idempotency;
use store::list::Wanted;
use store::member::MemberRow;
use store::user::UserRow;

use super::mail::kind::{Data, Link};
use super::mail::{self, Mail};
use super::patch::Patch;
use super::revision::Expected;
use super::session::{address, one_line};
use super::{audit, creation, seal, setting, tenant};
use crate::cx::{Actor, App, Cx, id_bits, now};
use crate::error::{Code, Error, Result};

/// How long a link is good, in seconds: a week.
const LINK_SECONDS: i64 = 7 * 86_400;
/// What no password fits.
pub const NO_PASSWORD: &str = "!";

/// Somebody to invite.
pub struct Invited {
    /// The address to sign in with.
    pub email: String,
    /// What people read.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
}

/// What is to change about a member.
#[derive(Default)]
pub struct Edit {
    /// What people read.
    pub name: Patch<String>,
    /// What they may do.
    pub role: Option<Role>,
}

/// Members of the tenant.
pub async fn list(cx: &Cx, role: Option<Role>, wanted: &Wanted) -> Result<Vec<MemberRow>> {
    let role = role.map_or("", Role::name);
    Ok(store::member::list(&cx.app.db, cx.tenant.id(), role, wanted).await?)
}

/// One member.
pub async fn get(cx: &Cx, user: &UserId) -> Result<MemberRow> {
    store::member::find(&cx.app.db, cx.tenant.id(), user).await?.ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "There is no such member; GET /api/admin/members lists them.")
}

/// As what the caller stands.
fn own_role(cx: &Cx) -> Role {
    match &cx.actor {
        Actor::User { role, .. } => *role,
        Actor::Key { .. } => Role::Admin,
        Actor::System => Role::Operator,
        Actor::Browser { .. } | Actor::Viewer { .. } | Actor::Anonymous => Role::User,
    }
}

fn role_of(row: &MemberRow) -> Result<Role> {
    Role::parse(&row.role).ok_or_else(|| Error::internal(format!("user {}: unknown role", row.user_id)))
}

/// Refuses a change that the rules of roles forbid.
fn check(cx: &Cx, members: &[MemberRow], (user, from, to): (&str, Option<Role>, Option<Role>)) -> Result<()> {
    let platform = cx.tenant.row.slug == tenant::PLATFORM;
    if let Some(role) = to.filter(|role| *role == Role::User || (*role == Role::Operator) != platform) {
        let known = if platform { "operator" } else { "support, finance, admin or owner" };
        let detail = format!("`{}` is no role of a member here; use {known}", role.name());
        return Err(Error::field("/role", detail));
    }
    // Who has yet to choose a password cannot keep the place, and may go whatever their role.
    let others = members.iter().filter(|row| (row.user_id == user) == row.invited_until.is_some());
    let others: Vec<_> = others.map(role_of).collect::<Result<_>>()?;
    change_role(own_role(cx), from, to, others.into_iter()).map_err(|refusal| match refusal {
        RoleRefusal::AboveOwn => Error::new(Code::Forbidden, "You cannot give a role above your own; ask who has it."),
        RoleRefusal::OfSuperior => Error::new(Code::Forbidden, "You cannot change somebody who stands above you."),
        RoleRefusal::Last => {
            let detail = "this is the last one who may do everything here; give somebody else the role first";
            Error::field(if to.is_some() { "/role" } else { "" }, detail)
        }
    })
}

/// Makes somebody a member. Answers the row and the path of the link by which a new one chooses a password; none for
/// who has one already, and whether it was made by an earlier request with the same key.
pub async fn invite(
    cx: &Cx,
    invited: Invited,
    identity: Option<&Idempotency>,
) -> Result<(MemberRow, Option<String>, bool)> {
    let email = address(&invited.email)?;
    let name = invited.name.map(|name| one_line("/name", &name)).transpose()?;
    let tenant = cx.tenant.id();
    let mut tx = cx.app.db.begin().await?;
    let members = store::member::lock_all(&mut tx, tenant).await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        let user = UserId::stored(made);
        let pending = members.iter().find(|row| row.user_id == user.as_str() && row.invited_until.is_some());
        let link = match pending {
            Some(row) => {
                let person = (row.email.as_str(), row.name.as_deref());
                Some(link(&mut tx, cx, &user, (person, role_of(row)?)).await?)
            }
            None => None,
        };
        tx.commit().await?;
        return Ok((get(cx, &user).await?, link, true));
    }
    let known = store::user::find_by_email(&mut tx, tenant, &email).await?;
    let member = known.as_ref().and_then(|known| members.iter().find(|row| row.user_id == known.user_id));
    if member.is_some_and(|row| row.invited_until.is_none()) {
        return Err(Error::new(Code::Taken, "Somebody with this address is a member already; change their role."));
    }
    let from = member.map(role_of).transpose()?;
    let id = known.as_ref().map_or_else(|| UserId::from_bits(id_bits()).to_string(), |known| known.user_id.clone());
    check(cx, &members, (&id, from, Some(invited.role)))?;
    let user = UserId::stored(id.as_str());
    let has_password = known.as_ref().is_some_and(|known| known.password_hash != NO_PASSWORD && known.verified);
    let name = name.or_else(|| known.as_ref().and_then(|known| known.name.clone()));
    if known.is_some() {
        store::member::update(&mut tx, tenant, &user, (name.as_deref(), invited.role.name())).await?;
        if !has_password {
            // Whoever registered with an address that they have not proven may not be its owner, to whom the link goes.
            store::member::clear_password(&mut tx, tenant, &user, NO_PASSWORD).await?;
            store::member::end_sessions(&mut tx, tenant, &user, cx.now).await?;
        }
    } else {
        insert(&mut tx, cx, (id, email.clone(), name.clone()), invited.role).await?;
    }
    let person = (email.as_str(), name.as_deref());
    let link = if has_password {
        tell(&mut tx, cx, person, Some(invited.role)).await?;
        None
    } else {
        Some(link(&mut tx, cx, &user, (person, invited.role)).await?)
    };
    let state = |role: Role| json!({ "role": role.name() });
    let change = audit::Change {
        action: "member.added",
        target: user.as_str(),
        before: from.map(state),
        after: Some(state(invited.role)),
    };
    audit::write(&mut tx, cx, change).await?;
    creation::note(&mut tx, cx, identity, user.as_str()).await?;
    tx.commit().await?;
    cx.app.sessions.forget(&user);
    Ok((get(cx, &user).await?, link, false))
}

async fn insert(tx: &mut Tx, cx: &Cx, (id, email, name): (String, String, Option<String>), role: Role) -> Result<()> {
    let row = UserRow {
        user_id: id,
        email,
        name,
        password_hash: NO_PASSWORD.to_owned(),
        role: role.name().to_owned(),
        customer_id: None,
        verified: false,
    };
    Ok(store::user::insert(tx, cx.tenant.id(), &row, cx.now).await?)
}

/// Makes the one-time link of a member, and mails it. The tenant stands in front of the secret, since the look-up needs
/// it.
async fn link(
    tx: &mut Tx,
    cx: &Cx,
    user: &UserId,
    ((address, name), role): ((&str, Option<&str>), Role),
) -> Result<String> {
    let secret = format!("{}.{user}.{}", cx.tenant.id(), seal::random_text()?);
    let until = cx.now.plus_seconds(LINK_SECONDS);
    store::member::put_invitation(tx, cx.tenant.id(), user, (&seal::hash(&secret), until)).await?;
    let path = format!("/setup?token={secret}");
    let data = Data::Invitation { link: Link { secret, until }, role };
    mail::enqueue(tx, cx, &Mail { to: address, name, language: None, data, slot: None }).await?;
    Ok(path)
}

/// Tells a member that what they may do was changed by somebody.
async fn tell(tx: &mut Tx, cx: &Cx, (address, name): (&str, Option<&str>), role: Option<Role>) -> Result<()> {
    let data = Data::AccessChanged { role };
    mail::enqueue(tx, cx, &Mail { to: address, name, language: None, data, slot: None }).await?;
    Ok(())
}

/// Whether a token is one of a member's link; the others are of the first operator's.
pub fn is_link(token: &str) -> bool {
    token.contains('.')
}

/// Chooses a member's password by the one-time link, which is spent by it.
pub async fn accept(app: &App, token: &str, email: &str, password: &str) -> Result<()> {
    let wrong = || Error::new(Code::Forbidden, "The link is wrong, was used or is too old; ask for a new one.");
    let mut parts = token.splitn(3, '.');
    let tenant = parts.next().and_then(|text| TenantId::parse(text).ok()).ok_or_else(wrong)?;
    let user = parts.next().and_then(|text| UserId::parse(text).ok()).ok_or_else(wrong)?;
    let email = address(email)?;
    let member = store::member::find(&app.db, &tenant, &user).await?.ok_or_else(wrong)?;
    tenant::usable(app, &tenant).await?;
    if member.email != email {
        return Err(Error::field("/email", "use the address that was invited"));
    }
    let hash = app.passwords.hash(password).await?;
    let mut tx = app.db.begin().await?;
    if !store::member::take_invitation(&mut tx, &tenant, &user, (&seal::hash(token), now())).await? {
        return Err(wrong());
    }
    store::member::set_password(&mut tx, &tenant, &user, &hash).await?;
    let accepted = audit::told::of_staff(Kind::Member, (user.as_str(), "member.accepted"));
    store::event::tell(&mut tx, &tenant, now(), accepted);
    Ok(tx.commit().await?)
}

/// Changes a member.
pub async fn edit(cx: &Cx, user: &UserId, edit: Edit, expected: &Expected) -> Result<MemberRow> {
    let cx = &setting::current(cx).await?;
    let tenant = cx.tenant.id();
    let name = edit.name.try_map(|name| one_line("/name", &name))?;
    let mut tx = cx.app.db.begin().await?;
    let members = store::member::lock_all(&mut tx, tenant).await?;
    let row = members.iter().find(|row| row.user_id == user.as_str()).ok_or_else(unknown)?;
    expected.check(cx, row.revision)?;
    let from = role_of(row)?;
    let role = edit.role.unwrap_or(from);
    check(cx, &members, (&row.user_id, Some(from), Some(role)))?;
    let name = name.of(row.name.clone());
    let renamed = name != row.name;
    if role == from && !renamed {
        return Ok(row.clone());
    }
    store::member::update(&mut tx, tenant, user, (name.as_deref(), role.name())).await?;
    if role != from && row.invited_until.is_none() {
        tell(&mut tx, cx, (&row.email, name.as_deref()), Some(role)).await?;
    }
    // Names are not kept here, since nothing is ever taken out of the audit trail.
    let change = audit::Change {
        action: "member.updated",
        target: user.as_str(),
        before: Some(json!({ "role": from.name(), "renamed": false })),
        after: Some(json!({ "role": role.name(), "renamed": renamed })),
    };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    cx.app.sessions.forget(user);
    get(cx, user).await
}

/// Takes a member's access away. Who is a customer's user, too, stays that.
pub async fn remove(cx: &Cx, user: &UserId, expected: &Expected) -> Result<()> {
    let cx = &setting::current(cx).await?;
    let tenant = cx.tenant.id();
    let mut tx = cx.app.db.begin().await?;
    let members = store::member::lock_all(&mut tx, tenant).await?;
    let row = members.iter().find(|row| row.user_id == user.as_str()).ok_or_else(unknown)?;
    expected.check(cx, row.revision)?;
    check(cx, &members, (&row.user_id, Some(role_of(row)?), None))?;
    store::member::update(&mut tx, tenant, user, (row.name.as_deref(), Role::User.name())).await?;
    if row.customer_id.is_none() {
        store::member::set_password(&mut tx, tenant, user, NO_PASSWORD).await?;
    }
    store::member::remove_invitation(&mut tx, tenant, user).await?;
    store::member::end_sessions(&mut tx, tenant, user, cx.now).await?;
    if row.invited_until.is_none() {
        tell(&mut tx, cx, (&row.email, row.name.as_deref()), None).await?;
    }
    let before = Some(json!({ "role": row.role }));
    audit::write(&mut tx, cx, audit::Change { action: "member.removed", target: user.as_str(), before, after: None })
        .await?;
    tx.commit().await?;
    cx.app.sessions.forget(user);
    Ok(())
}
