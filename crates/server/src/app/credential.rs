//! Proving an address and choosing a new password, by links that are mailed: hashed, for one purpose, good once.

use std::sync::Arc;

use domain::id::{TenantId, UserId};
use domain::time::Timestamp;
use serde_json::json;
use store::account_token::RequestRow;
use store::db::Tx;
use store::user::UserRow;

use super::mail::kind::{Data, Link};
use super::mail::{self, Mail};
use super::member::NO_PASSWORD;
use super::session::address;
use super::{audit, seal};
use crate::cx::{Actor, App, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// How long a link to a new password is good, in seconds.
const RESET_SECONDS: i64 = 3_600;
/// How long a link that proves an address is good, in seconds.
const VERIFY_SECONDS: i64 = 86_400;
/// Requests of an address in an hour, before each further one has to wait.
const FREE_REQUESTS: usize = 3;
/// The wait after those, in seconds; it doubles with each.
const WAIT_SECONDS: i64 = 60;
/// The longest such wait, in seconds.
const WAIT_SECONDS_MAX: i64 = 900;
/// Requests from one place in an hour, for whatever addresses.
const OF_ORIGIN_MAX: usize = 100;
/// Links that prove an address, given to one person in an hour.
const VERIFY_LINKS_MAX: i64 = 5;
const HOUR_SECONDS: i64 = 3_600;
/// Requests answered by one run.
const ANSWERED_AT_ONCE: i64 = 50;
/// How long what is over is kept, in seconds.
const KEPT_SECONDS: i64 = 86_400;

/// What a link is for. One for something else opens nothing.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Reset,
    Verify,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verify => "verify",
        }
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Reset => RESET_SECONDS,
            Self::Verify => VERIFY_SECONDS,
        }
    }
}

/// Makes a link. The tenant stands in front of the secret, since the look-up needs it.
async fn give(tx: &mut Tx, cx: &Cx, user: &UserId, purpose: Purpose) -> Result<Link> {
    let secret = format!("{}.{}", cx.tenant.id(), seal::random_text()?);
    let until = cx.now.plus_seconds(purpose.seconds());
    let kept = (user, purpose.name(), seal::hash(&secret));
    store::account_token::insert(tx, cx.tenant.id(), (kept.0, kept.1, &kept.2), (cx.now, until)).await?;
    Ok(Link { secret, until })
}

/// Writes the mail by which somebody who registered proves the address, in the transaction of the registration.
pub async fn ask_for_proof(tx: &mut Tx, cx: &Cx, user: &UserRow) -> Result<()> {
    let link = give(tx, cx, &UserId::stored(user.user_id.as_str()), Purpose::Verify).await?;
    let data = Data::VerifyAddress { link };
    mail::enqueue(tx, cx, &Mail { to: &user.email, name: None, language: None, data, slot: None }).await?;
    Ok(())
}

/// Tells the owner of an address that somebody registered with it, once a day.
pub async fn tell_owner(cx: &Cx, user: &UserRow) -> Result<()> {
    let day = cx.now.as_micros().div_euclid(86_400 * 1_000_000);
    let slot = Some(format!("{}/{day}", user.user_id));
    let mut tx = cx.app.db.begin().await?;
    let mail = Mail { to: &user.email, name: None, language: None, data: Data::AddressKnown, slot };
    mail::enqueue(&mut tx, cx, &mail).await?;
    Ok(tx.commit().await?)
}

/// Sends the caller another link that proves the address; answers false when it is proven already.
pub async fn prove_again(cx: &Cx) -> Result<bool> {
    let Actor::User { user, .. } = &cx.actor else {
        return Err(Error::new(Code::Forbidden, "Only a person who signed in has an address to prove."));
    };
    let row = store::user::find(&cx.app.db, cx.tenant.id(), user).await?;
    let row = row.ok_or_else(|| Error::new(Code::Unauthenticated, "The account is gone."))?;
    if row.verified {
        return Ok(false);
    }
    let mut tx = cx.app.db.begin().await?;
    let since = cx.now.plus_seconds(-HOUR_SECONDS);
    let given = (user, Purpose::Verify.name());
    if store::account_token::given_since(&mut tx, cx.tenant.id(), given, since).await? >= VERIFY_LINKS_MAX {
        let detail = "Several mails are on their way already; look for them, or try again in an hour.";
        return Err(Error::new(Code::TooManyAttempts, detail).retry_after(HOUR_SECONDS));
    }
    ask_for_proof(&mut tx, cx, &row).await?;
    tx.commit().await?;
    Ok(true)
}

/// Refuses somebody whose address is not proven, unless the tenant lets them buy all the same. Keys and tokens of the
/// integrator's are not people.
pub async fn must_be_proven(cx: &Cx) -> Result<()> {
    let Actor::User { user, .. } = &cx.actor else { return Ok(()) };
    if cx.tenant.settings().allow_unverified {
        return Ok(());
    }
    let row = store::user::find(&cx.app.db, cx.tenant.id(), user).await?;
    if row.is_some_and(|row| row.verified) {
        return Ok(());
    }
    let detail = "Open the link in the mail that came when you registered, or have it sent again, and then buy.";
    Err(Error::new(Code::AddressUnproven, detail))
}

/// Keeps a request for a new password. It is answered by a job, so that this takes the same time and says the same
/// whether or not anybody has the address.
pub async fn forgot(cx: &Cx, email: &str) -> Result<()> {
    let email = address(email)?;
    let since = cx.now.plus_seconds(-HOUR_SECONDS);
    let tenant = cx.tenant.id();
    let mut tx = cx.app.db.begin().await?;
    let for_address = store::account_token::asked_for(&mut tx, tenant, &email, since).await?;
    let from_origin = store::account_token::asked_from(&mut tx, tenant, &cx.origin, since).await?;
    if let Some(until) = wait_for_address(&for_address).max(wait_for_origin(&from_origin)) {
        let left = cx.now.seconds_until(until);
        if left > 0 {
            let detail = format!("Wait {left} s before the next attempt; a mail may be on its way already.");
            return Err(Error::new(Code::TooManyAttempts, detail).retry_after(left));
        }
    }
    let id = domain::id::encode_as("pwr", id_bits());
    store::account_token::ask(&mut tx, tenant, (&id, &email, &cx.origin), cx.now).await?;
    Ok(tx.commit().await?)
}

/// Until when the next request for an address waits, after those of the last hour.
fn wait_for_address(times: &[i64]) -> Option<Timestamp> {
    let beyond = u32::try_from(times.len().checked_sub(FREE_REQUESTS)?.min(20)).ok()?;
    let wait = WAIT_SECONDS.saturating_mul(2_i64.saturating_pow(beyond)).min(WAIT_SECONDS_MAX);
    Some(Timestamp::from_micros(*times.last()?).plus_seconds(wait))
}

/// Until when the next request from a place waits.
fn wait_for_origin(times: &[i64]) -> Option<Timestamp> {
    let oldest = times.iter().rev().nth(OF_ORIGIN_MAX - 1)?;
    Some(Timestamp::from_micros(*oldest).plus_seconds(HOUR_SECONDS))
}

/// Mails a link to everybody who asked for a new password and has one to replace.
pub async fn answer_requests(app: &Arc<App>) -> Result<()> {
    for request in store::account_token::open(&app.db, ANSWERED_AT_ONCE).await? {
        // One that cannot be answered waits, and holds up nobody else's.
        if let Err(error) = answer(app, &request).await {
            tracing::warn!(request.id = %request.request_id, %error, "a forgotten password could not be answered");
        }
    }
    Ok(())
}

async fn answer(app: &Arc<App>, request: &RequestRow) -> Result<()> {
    let tenant = TenantId::stored(request.tenant_id.as_str());
    let tenant = app.tenants.fresh(&app.db, &app.master, &tenant).await?;
    let cx = &Cx::system(app, &tenant, &request.request_id);
    let tenant = cx.tenant.id();
    let mut tx = cx.app.db.begin().await?;
    if !store::account_token::answer(&mut tx, tenant, &request.request_id).await? {
        return Ok(());
    }
    let user = store::user::find_by_email(&mut tx, tenant, &request.address).await?;
    // Who was invited chooses the first password by that link alone, and who was removed none at all.
    if let Some(user) = user.filter(|user| user.password_hash != NO_PASSWORD) {
        let link = give(&mut tx, cx, &UserId::stored(user.user_id.as_str()), Purpose::Reset).await?;
        let data = Data::ResetPassword { link };
        let slot = Some(request.request_id.clone());
        let mail = Mail { to: &user.email, name: user.name.as_deref(), language: None, data, slot };
        mail::enqueue(&mut tx, cx, &mail).await?;
    }
    Ok(tx.commit().await?)
}

fn wrong() -> Error {
    Error::new(Code::Forbidden, "The link is wrong, was used or is too old; ask for a new one.")
}

/// The context of the tenant that a link is of.
async fn of_link(cx: &Cx, token: &str) -> Result<Cx> {
    let tenant = token.split_once('.').and_then(|(tenant, _)| TenantId::parse(tenant).ok()).ok_or_else(wrong)?;
    let known = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, &tenant).await;
    Ok(cx.clone().with_tenant(known.map_err(|_| wrong())?))
}

/// Whose link it is, while it is good; for pages that say so before anybody types.
async fn owner(cx: &Cx, token: &str, purpose: Purpose) -> Result<UserRow> {
    let kept = (purpose.name(), seal::hash(token));
    let user = store::account_token::owner(&cx.app.db, cx.tenant.id(), (kept.0, &kept.1), cx.now).await?;
    let user = user.ok_or_else(wrong)?;
    store::user::find(&cx.app.db, cx.tenant.id(), &user).await?.ok_or_else(wrong)
}

/// Chooses a new password by a link, which is spent by it. Every session of the person ends.
pub async fn reset(cx: &Cx, token: &str, password: &str) -> Result<()> {
    let cx = &of_link(cx, token).await?;
    let user = owner(cx, token, Purpose::Reset).await?;
    let hash = cx.app.passwords.hash(password).await?;
    let (tenant, id) = (cx.tenant.id(), UserId::stored(user.user_id.as_str()));
    let mut tx = cx.app.db.begin().await?;
    spend(&mut tx, cx, token, Purpose::Reset).await?;
    store::member::set_password(&mut tx, tenant, &id, &hash).await?;
    store::member::end_sessions(&mut tx, tenant, &id, cx.now).await?;
    for purpose in [Purpose::Reset, Purpose::Verify] {
        store::account_token::end_others(&mut tx, tenant, &id, purpose.name(), cx.now).await?;
    }
    store::user::clear_failures(&mut tx, tenant, &user.email).await?;
    let data = Data::PasswordChanged { at: cx.now };
    let mail = Mail { to: &user.email, name: user.name.as_deref(), language: None, data, slot: None };
    mail::enqueue(&mut tx, cx, &mail).await?;
    let after = Some(json!({ "sessions": "ended" }));
    audit::write(&mut tx, cx, audit::Change { action: "password.reset", target: id.as_str(), before: None, after })
        .await?;
    tx.commit().await?;
    cx.app.sessions.forget(&id);
    Ok(())
}

async fn spend(tx: &mut Tx, cx: &Cx, token: &str, purpose: Purpose) -> Result<()> {
    let kept = (purpose.name(), seal::hash(token));
    if store::account_token::spend(tx, cx.tenant.id(), (kept.0, &kept.1), cx.now).await? {
        Ok(())
    } else {
        Err(wrong())
    }
}

/// Proves an address by a link, which is spent by it.
pub async fn verify(cx: &Cx, token: &str) -> Result<()> {
    let cx = &of_link(cx, token).await?;
    let user = owner(cx, token, Purpose::Verify).await?;
    let id = UserId::stored(user.user_id.as_str());
    let mut tx = cx.app.db.begin().await?;
    spend(&mut tx, cx, token, Purpose::Verify).await?;
    if store::account_token::set_verified(&mut tx, cx.tenant.id(), &id).await? {
        let slot = Some(user.user_id.clone());
        let mail = Mail { to: &user.email, name: user.name.as_deref(), language: None, data: Data::Welcome, slot };
        mail::enqueue(&mut tx, cx, &mail).await?;
        let change = audit::Change {
            action: "address.verified",
            target: id.as_str(),
            before: Some(json!({ "verified": false })),
            after: Some(json!({ "verified": true })),
        };
        audit::write(&mut tx, cx, change).await?;
    }
    Ok(tx.commit().await?)
}

/// Drops links and requests that are over.
pub async fn drop_old(app: &App, now: Timestamp) -> Result<()> {
    let before = now.plus_seconds(-KEPT_SECONDS);
    let mut tx = app.db.begin().await?;
    store::account_token::drop_old(&mut tx, (before, before)).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_an_address_wait_longer_each_time() {
        let wait = |count: usize| {
            let times = vec![0; count];
            wait_for_address(&times).map(|until| until.as_micros() / 1_000_000)
        };
        assert_eq!(
            [0, 2, 3, 4, 6, 7, 40].map(wait),
            [None, None, Some(60), Some(120), Some(480), Some(900), Some(900)]
        );
        let origin = |count: usize| wait_for_origin(&vec![0; count]).is_some();
        assert_eq!((origin(OF_ORIGIN_MAX - 1), origin(OF_ORIGIN_MAX)), (false, true));
    }
}
