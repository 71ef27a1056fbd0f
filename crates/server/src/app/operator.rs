//! Tenants, as who runs the platform makes, changes, suspends and resumes them. A new one can be signed in to at once,
//! and one that is suspended refuses everything at once, on every node.

use domain::id::TenantId;
use domain::money::Currency;
use domain::permission::Role;
use domain::tenant::{Mode, check_slug};
use serde_json::{Value, json};
use store::db::{Db, Tx};
use store::gate::Idempotency;
use store::list::Wanted;
use store::tenant::{Extent, OperatedRow, TenantRow};

use super::revision::Expected;
use super::session::one_line;
use super::setup::{blank_tenant, new_user, platform};
use super::template::Starter;
use super::{audit, creation, setting, usage};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// A tenant to make.
pub struct NewTenant {
    /// Its name in URLs.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// Whether its money is real.
    pub mode: Mode,
    /// What it sells at first.
    pub template: Starter,
    /// ISO 4217; that of the template's prices otherwise.
    pub currency: Option<String>,
    /// IANA; UTC otherwise.
    pub timezone: Option<String>,
    /// The address of its first owner.
    pub email: String,
    /// Their password.
    pub password: String,
}

/// What is to change about a tenant; what is absent stays.
#[derive(Default)]
pub struct Edit {
    /// What people read.
    pub name: Option<String>,
    /// Whether nobody can use it.
    pub suspended: Option<bool>,
    /// Why.
    pub reason: Option<String>,
}

/// A tenant with how much there is in it.
pub type View = (OperatedRow, Extent);

/// Tenants; not the reserved one.
pub async fn list(
    db: &Db,
    (mode, suspended): (Option<Mode>, Option<bool>),
    wanted: &Wanted,
) -> Result<Vec<OperatedRow>> {
    Ok(store::tenant::page(db, &platform(), (mode.map_or("", Mode::name), suspended), wanted).await?)
}

/// One tenant.
pub async fn get(db: &Db, slug: &str) -> Result<View> {
    view(db, &id_of(db, slug).await?).await
}

async fn view(db: &Db, id: &TenantId) -> Result<View> {
    let row = store::tenant::operated(db, id).await?.ok_or_else(unknown)?;
    Ok((row, store::tenant::extent(db, id).await?))
}

/// The id behind a name. What cannot be a name is not looked for; nor is the reserved tenant, which nobody may stop.
async fn id_of(db: &Db, slug: &str) -> Result<TenantId> {
    check_slug(slug).map_err(|_| unknown())?;
    Ok(store::tenant::find_by_slug(db, slug).await?.ok_or_else(unknown)?.id())
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "There is no such tenant; GET /api/operator/tenants lists them.")
}

/// Makes a tenant with its owner and what its template sells. Answers it, and whether an earlier request with the same
/// key has made it.
pub async fn create(cx: &Cx, new: &NewTenant, identity: Option<&Idempotency>) -> Result<(View, bool)> {
    let id = TenantId::from_bits(id_bits());
    let row = checked(new, &id, cx)?;
    let owner = new_user(cx, &new.email, &new.password, Role::Owner).await.map_err(of_owner)?;
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        drop(tx);
        let made = TenantId::stored(made);
        refuse_other_password(cx, &made, (&owner.email, &new.password)).await?;
        return Ok((view(&cx.app.db, &made).await?, true));
    }
    insert(&mut tx, &row).await?;
    new.template.template()?.write(&mut tx, &cx.app, row.clone(), cx.now).await?;
    store::user::insert(&mut tx, &id, &owner, cx.now).await?;
    let state = json!({ "name": row.name, "mode": row.mode, "template": new.template.name(), "currency": row.currency, "timezone": row.timezone });
    tell(&mut tx, cx, &id, ("tenant.created", &row.slug), (None, Some(state))).await?;
    let after = Some(json!({ "role": owner.role }));
    let change = audit::Change { action: "member.added", target: &owner.user_id, before: None, after };
    audit::write_elsewhere(&mut tx, cx, &id, change).await?;
    creation::note(&mut tx, cx, identity, id.as_str()).await?;
    tx.commit().await?;
    Ok((view(&cx.app.db, &id).await?, false))
}

/// The row of a new tenant, each field checked.
fn checked(new: &NewTenant, id: &TenantId, cx: &Cx) -> Result<TenantRow> {
    check_slug(&new.slug).map_err(|why| Error::field("/slug", why.to_string()))?;
    let name = one_line("/name", &new.name)?;
    let own = new.template.template()?.catalog.currency;
    let wanted = new.currency.as_deref().or(own.as_deref()).unwrap_or("USD");
    let currency =
        Currency::parse(wanted).map_err(|_| Error::field("/currency", "use an ISO 4217 code such as EUR"))?;
    if let Some(own) = own.filter(|own| own != currency.code()) {
        let detail = format!(
            "the prices of {} are in {own}; leave it out, or take the template `empty` for another",
            new.template.name()
        );
        return Err(Error::field("/currency", detail));
    }
    Ok(TenantRow {
        mode: new.mode.name().to_owned(),
        currency: currency.code().to_owned(),
        timezone: setting::zone_name(new.timezone.as_deref().unwrap_or("UTC"))?,
        ..blank_tenant(id.clone(), &new.slug, &name, cx.now)
    })
}

/// What is wrong with the owner stands in the owner's part of the body.
fn of_owner(error: Error) -> Error {
    match error.more.fields.first() {
        Some(field) => Error::field(format!("/owner{}", field.pointer), field.detail.clone()),
        None => error,
    }
}

async fn insert(tx: &mut Tx, row: &TenantRow) -> Result<()> {
    match store::tenant::insert(tx, row).await {
        Err(store::error::Error::Conflict(_)) => {
            let detail = format!("There is a tenant `{}` already; choose another slug.", row.slug);
            Err(Error::new(Code::Taken, detail))
        }
        inserted => Ok(inserted?),
    }
}

/// The password is no part of what a retry is compared by, since its hash would be quick to guess from; so it is
/// compared here.
async fn refuse_other_password(cx: &Cx, tenant: &TenantId, (email, password): (&str, &str)) -> Result<()> {
    let Some(owner) = store::user::find_by_email(&cx.app.db, tenant, email).await? else { return Ok(()) };
    let same = cx.app.passwords.fits(password, &owner.password_hash).await?;
    if same { Ok(()) } else { Err(usage::key_reused()) }
}

/// Writes what was done to a tenant into the operator's trail and into its own.
async fn tell(
    tx: &mut Tx,
    cx: &Cx,
    tenant: &TenantId,
    (action, slug): (&'static str, &str),
    (before, after): (Option<Value>, Option<Value>),
) -> Result<()> {
    let change = |before, after| audit::Change { action, target: slug, before, after };
    audit::write(tx, cx, change(before.clone(), after.clone())).await?;
    audit::write_elsewhere(tx, cx, tenant, change(before, after)).await
}

/// Changes a tenant's name, stops it or lets it go on.
pub async fn edit(cx: &Cx, slug: &str, to: Edit, expected: &Expected) -> Result<View> {
    let cx = &setting::current(cx).await?;
    let id = id_of(&cx.app.db, slug).await?;
    let mut tx = cx.app.db.begin().await?;
    store::tenant::lock(&mut tx, &id).await?;
    let before = store::tenant::operated(&mut tx, &id).await?.ok_or_else(unknown)?;
    expected.check(cx, before.revision)?;
    let why = to.reason.as_deref().map(|text| one_line("/reason", text)).transpose()?;
    let (action, after) = changed(cx, &before, (to, why.clone()))?;
    let state =
        |row: &OperatedRow| json!({ "name": row.name, "suspended": row.suspended, "reason": row.suspended_reason });
    if state(&before) != state(&after) {
        let told = Some(
            json!({ "name": after.name, "suspended": after.suspended, "reason": why.or(after.suspended_reason.clone()) }),
        );
        store::tenant::operate(&mut tx, &id, &after).await?;
        store::tenant::bump_epoch(&mut tx, &id, cx.now).await?;
        tell(&mut tx, cx, &id, (action, slug), (Some(state(&before)), told)).await?;
        tx.commit().await?;
        cx.app.tenants.reload(&cx.app.db, &cx.app.master, &id).await?;
        if after.suspended {
            cx.app.live.lose(&id);
        }
    }
    view(&cx.app.db, &id).await
}

/// What is done, and the row with it.
fn changed(cx: &Cx, before: &OperatedRow, (to, why): (Edit, Option<String>)) -> Result<(&'static str, OperatedRow)> {
    let mut row = before.clone();
    if let Some(name) = to.name {
        row.name = one_line("/name", &name)?;
    }
    row.suspended = to.suspended.unwrap_or(before.suspended);
    let action = match (before.suspended, row.suspended) {
        (false, true) => "tenant.suspended",
        (true, false) => "tenant.resumed",
        _ => "tenant.updated",
    };
    match action {
        "tenant.suspended" if why.is_none() => {
            let detail = "say why the tenant is suspended; it stands in its own audit trail, too";
            return Err(Error::field("/reason", detail));
        }
        "tenant.updated" if why.is_some() && !row.suspended => {
            return Err(Error::field("/reason", "leave it out, or send `suspended` with it"));
        }
        _ => {}
    }
    row.suspended_at = if row.suspended { before.suspended_at.or(Some(cx.now.as_micros())) } else { None };
    row.suspended_reason = if row.suspended { why.or(row.suspended_reason) } else { None };
    Ok((action, row))
}

/// The host name that leads to a tenant.
pub fn host(cx: &Cx, slug: &str) -> String {
    format!("{slug}.{}", cx.app.options.base_domain)
}

/// What the owner of a new tenant does first, in words.
pub fn first_steps(cx: &Cx, new: &NewTenant) -> Vec<String> {
    let slug = &new.slug;
    let mut steps = vec![format!(
        "The owner signs in as {} at the host name {}, or anywhere with the header X-Tenant: {slug} \
         (POST /api/auth/login).",
        new.email.trim().to_lowercase(),
        host(cx, slug)
    )];
    if new.template == Starter::Empty {
        steps.push("Make features and plans: POST /api/admin/features, then POST /api/admin/plans.".to_owned());
    } else {
        steps.push("Look at what is sold, and make it your own: GET /api/admin/plans.".to_owned());
        steps.push(
            "AI components answer by plain rules until they run on a service: POST /api/admin/upstreams, then PATCH \
             /api/admin/components/{component}."
                .to_owned(),
        );
    }
    steps.push("Make an API key for your own server: POST /api/admin/keys.".to_owned());
    steps.push("Say who helps and how pages look: PATCH /api/admin/settings and /api/admin/branding.".to_owned());
    steps
}
