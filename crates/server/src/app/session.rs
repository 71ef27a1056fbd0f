//! Signing in and staying signed in: passwords in, sessions and rotating refresh tokens out.

use domain::id::{CustomerId, SessionId, TenantId, UserId};
use domain::permission::{Permission, Role};
use domain::time::Timestamp;
use store::db::Tx;
use store::user::{FailureRow, SessionRow, UserRow};
use tokio::sync::broadcast;

use super::cache::Believed;
use super::{credential, customer, key, seal};
use crate::cx::{Actor, App, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// How long a browser's session lasts, in seconds.
pub const COOKIE_SECONDS: i64 = 12 * 3_600;
/// How long a refresh token is good for, in seconds.
const REFRESH_SECONDS: i64 = 14 * 86_400;
/// A checked session of a user is believed for so long; ending it on another node takes at most that.
const BELIEVED_SECONDS: i64 = 5;
const SESSIONS_MAX: usize = 50_000;
/// Ends of sessions that a live connection may have to hear of yet; one that missed some looks as if all were its own.
const CHANGES_MAX: usize = 256;
/// Failed sign-ins of an address before each further one has to wait.
const FREE_FAILURES: i64 = 5;
/// The longest wait between sign-ins of an address, in seconds.
const WAIT_SECONDS_MAX: i64 = 900;
/// Registrations from one network address, without an hour of rest between them, before each further one has to wait.
const FREE_REGISTRATIONS: i64 = 100;
const REGISTRATIONS_FORGOTTEN_SECONDS: i64 = 3_600;
/// The longest wait between registrations, in seconds; short, because a whole company may share its address.
const REGISTRATION_WAIT_SECONDS_MAX: i64 = 60;

/// Sessions in memory: by the credential's hash, who it stands for.
pub struct Sessions {
    believed: Believed<(TenantId, Actor, Timestamp)>,
    changed: broadcast::Sender<UserId>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { believed: Believed::new(SESSIONS_MAX, BELIEVED_SECONDS), changed: broadcast::channel(CHANGES_MAX).0 }
    }
}

impl Sessions {
    /// Forgets what this process believes of sessions, because one of this person's has ended or their role has changed;
    /// their live connections here look at once whether they may go on.
    pub fn forget(&self, user: &UserId) {
        self.believed.clear();
        // Nobody may be listening.
        let _heard = self.changed.send(user.clone());
    }

    /// Hears from now on whose sessions are to be looked at again.
    pub fn changes(&self) -> broadcast::Receiver<UserId> {
        self.changed.subscribe()
    }
}

/// What signing in gives.
pub struct SignedIn {
    /// Who.
    pub user: UserRow,
    /// For API clients: an access token and a refresh token.
    pub tokens: Option<(String, String)>,
    /// For browsers: the value of the session cookie.
    pub cookie: Option<String>,
}

/// Registers a person with a customer of their own. The answer does not tell whether the address was known.
pub async fn register(cx: &Cx, email: &str, password: &str, name: Option<String>) -> Result<()> {
    if cx.tenant.row.slug == super::tenant::PLATFORM {
        return Err(Error::new(Code::Forbidden, "Operators are made by the set-up link or `tollgate admin create`."));
    }
    let email = address(email)?;
    let new = customer::NewCustomer { email: Some(email.clone()), name, ..Default::default() };
    let new = customer::checked(new)?;
    admit_registration(cx).await?;
    let hash = cx.app.passwords.hash(password).await?;
    if let Some(known) = store::user::find_by_email(&cx.app.db, cx.tenant.id(), &email).await? {
        // The caller learns nothing; both ways write one transaction, and take as long.
        return credential::tell_owner(cx, &known).await;
    }
    let mut tx = cx.app.db.begin().await?;
    let row = customer::insert(&mut tx, cx, &new).await?;
    customer::audited(&mut tx, cx, &row, None).await?;
    let user = UserRow {
        user_id: UserId::from_bits(id_bits()).to_string(),
        email,
        name: new.name,
        password_hash: hash,
        role: Role::User.name().to_owned(),
        customer_id: Some(row.customer_id),
        verified: false,
    };
    match store::user::insert(&mut tx, cx.tenant.id(), &user, cx.now).await {
        // Registered at the same moment elsewhere: the same answer.
        Err(store::error::Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => {
            credential::ask_for_proof(&mut tx, cx, &user).await?;
            Ok(tx.commit().await?)
        }
    }
}

/// Reads an address: trimmed, lower case, plausible.
pub fn address(text: &str) -> Result<String> {
    let email = text.trim().to_lowercase();
    let plausible = email.len() <= crate::limits::TEXT_CHARS_MAX
        && email
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && host.len() > 2 && !host.contains('@'))
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if plausible { Ok(email) } else { Err(Error::field("/email", "write an e-mail address, such as name@example.com")) }
}

/// Reads a name or a title: one line, trimmed, and something in it.
pub fn one_line(pointer: &str, text: &str) -> Result<String> {
    let line = text.trim();
    let chars = line.chars().count();
    if (1..=crate::limits::TEXT_CHARS_MAX).contains(&chars) && !line.chars().any(char::is_control) {
        return Ok(line.to_owned());
    }
    let detail =
        format!("use 1 to {} characters without line breaks, and not blanks alone", crate::limits::TEXT_CHARS_MAX);
    Err(Error::field(pointer, detail))
}

/// Signs a person in.
pub async fn login(cx: &Cx, email: &str, password: &str, cookie: bool) -> Result<SignedIn> {
    let wrong = || Error::new(Code::InvalidCredentials, "Check the e-mail address and the password, and try again.");
    let email = address(email).map_err(|_| wrong())?;
    // Told at once, without a place in the queue; and again in turn, where the attempts before this one are counted.
    wait_after_failures(cx, &email).await?;
    let turn = cx.app.passwords.turn().await?;
    wait_after_failures(cx, &email).await?;
    let user = store::user::find_by_email(&cx.app.db, cx.tenant.id(), &email).await?;
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let (turn, fits) = cx.app.passwords.verify(turn, password, stored).await?;
    let mut tx = cx.app.db.begin().await?;
    let Some(user) = user.filter(|_| fits) else {
        store::user::add_failure(&mut tx, cx.tenant.id(), &email, cx.now).await?;
        tx.commit().await?;
        drop(turn);
        return Err(wrong());
    };
    store::user::clear_failures(&mut tx, cx.tenant.id(), &email).await?;
    let signed_in = begin(&mut tx, cx, user, cookie).await?;
    tx.commit().await?;
    drop(turn);
    Ok(signed_in)
}

/// Counts a registration from the caller's network address, and lets it go on or says when it may.
async fn admit_registration(cx: &Cx) -> Result<()> {
    // No e-mail address has a blank, so that the two kinds of count never meet.
    let name = format!("registering from {}", cx.origin);
    let counted = store::user::failures(&cx.app.db, cx.tenant.id(), &name).await?;
    let forgotten =
        |row: &FailureRow| Timestamp::from_micros(row.last_at).plus_seconds(REGISTRATIONS_FORGOTTEN_SECONDS) <= cx.now;
    let mut tx = cx.app.db.begin().await?;
    match counted {
        Some(row) if forgotten(&row) => store::user::clear_failures(&mut tx, cx.tenant.id(), &name).await?,
        Some(row) => wait(cx, &row, (FREE_REGISTRATIONS, REGISTRATION_WAIT_SECONDS_MAX))?,
        None => {}
    }
    store::user::add_failure(&mut tx, cx.tenant.id(), &name, cx.now).await?;
    Ok(tx.commit().await?)
}

async fn wait_after_failures(cx: &Cx, email: &str) -> Result<()> {
    match store::user::failures(&cx.app.db, cx.tenant.id(), email).await? {
        // Somebody else may have failed; whom the account belongs to has another way in.
        Some(failed) => wait(cx, &failed, (FREE_FAILURES, WAIT_SECONDS_MAX)).map_err(|error| {
            let detail = format!("{} A new password by mail (/forgot) ends the wait.", error.detail);
            Error { detail, ..error }
        }),
        None => Ok(()),
    }
}

/// Makes each attempt after the first `free` wait twice as long as the one before, up to a limit.
fn wait(cx: &Cx, counted: &FailureRow, (free, seconds_max): (i64, i64)) -> Result<()> {
    let beyond = u32::try_from((counted.failures - free).clamp(-1, 20)).ok();
    let Some(beyond) = beyond else { return Ok(()) };
    let wait = 2_i64.saturating_pow(beyond).min(seconds_max);
    let until = Timestamp::from_micros(counted.last_at).plus_seconds(wait);
    let left = cx.now.seconds_until(until);
    if left == 0 {
        return Ok(());
    }
    Err(Error::new(Code::TooManyAttempts, format!("Wait {left} s before the next attempt.")).retry_after(left))
}

async fn begin(tx: &mut Tx, cx: &Cx, user: UserRow, cookie: bool) -> Result<SignedIn> {
    let session = SessionId::from_bits(id_bits());
    let (kind, seconds) = if cookie { ("cookie", COOKIE_SECONDS) } else { ("refresh", REFRESH_SECONDS) };
    let row = SessionRow {
        session_id: session.to_string(),
        user_id: user.user_id.clone(),
        kind: kind.to_owned(),
        expires_at: cx.now.plus_seconds(seconds).as_micros(),
        ended_at: None,
    };
    let tenant = cx.tenant.id();
    store::user::insert_session(tx, tenant, &row, cx.now).await?;
    let secret = give(tx, cx, &session, seconds).await?;
    if cookie {
        return Ok(SignedIn { user, tokens: None, cookie: Some(secret) });
    }
    let access = cx.app.tokens.for_user(tenant, &actor(&user, session)?, cx.now)?;
    Ok(SignedIn { user, tokens: Some((access, secret)), cookie: None })
}

/// Makes a secret by which a session goes on. The tenant stands in front, since the look-up needs it.
async fn give(tx: &mut Tx, cx: &Cx, session: &SessionId, seconds: i64) -> Result<String> {
    let (tenant, secret) = (cx.tenant.id(), seal::random_text()?);
    let until = cx.now.plus_seconds(seconds);
    store::user::insert_session_token(tx, tenant, &seal::hash(&secret), session, until).await?;
    Ok(format!("{tenant}.{secret}"))
}

/// The tenant of what [`give`] made, and the rest; none of what no tenant stands in front of.
pub fn of_tenant(text: &str) -> Option<(TenantId, &str)> {
    let (tenant, secret) = text.split_once('.')?;
    Some((TenantId::parse(tenant).ok()?, secret))
}

/// Who a user's row stands for.
fn actor(user: &UserRow, session: SessionId) -> Result<Actor> {
    let role =
        Role::parse(&user.role).ok_or_else(|| Error::internal(format!("user {}: unknown role", user.user_id)))?;
    let customer = user.customer_id.as_deref().map(CustomerId::stored);
    Ok(Actor::User { user: UserId::stored(user.user_id.as_str()), role, customer, session })
}

/// Exchanges a refresh token for a new pair. A token that comes a second time was stolen from one side or the other:
/// the whole family ends. `cx` is of the tenant that the token is of, and `secret` what stands behind it.
pub async fn refresh(cx: &Cx, secret: &str) -> Result<SignedIn> {
    let tenant = cx.tenant.id();
    let hash = seal::hash(secret);
    let mut tx = cx.app.db.begin().await?;
    let token = store::user::find_session_token(&mut tx, tenant, &hash).await?.ok_or_else(worn)?;
    let session_id = SessionId::stored(token.session_id.as_str());
    let session = store::user::find_session(&mut tx, tenant, &session_id).await?.ok_or_else(worn)?;
    let user_id = UserId::stored(session.user_id.as_str());
    if token.used_at.is_some() || !store::user::use_session_token(&mut tx, tenant, &hash, cx.now).await? {
        store::user::end_session(&mut tx, tenant, &session_id, cx.now).await?;
        tx.commit().await?;
        cx.app.sessions.forget(&user_id);
        tracing::warn!(session.id = %session_id, "a refresh token was used twice; its session ended");
        return Err(worn());
    }
    let over = session.ended_at.is_some() || cx.now.as_micros() >= token.expires_at || session.kind != "refresh";
    if over {
        return Err(worn());
    }
    let user = find_user(cx, &user_id).await?.ok_or_else(worn)?;
    let next = give(&mut tx, cx, &session_id, REFRESH_SECONDS).await?;
    tx.commit().await?;
    let access = cx.app.tokens.for_user(tenant, &actor(&user, session_id)?, cx.now)?;
    Ok(SignedIn { user, tokens: Some((access, next)), cookie: None })
}

/// The refusal of a refresh token.
pub fn worn() -> Error {
    Error::new(Code::Unauthenticated, "The refresh token is not good any more; sign in again.")
}

/// Ends the caller's session.
pub async fn logout(cx: &Cx) -> Result<()> {
    let Actor::User { user, session, .. } = &cx.actor else {
        return Err(Error::new(Code::Forbidden, "Only a person who signed in can sign out."));
    };
    let mut tx = cx.app.db.begin().await?;
    store::user::end_session(&mut tx, cx.tenant.id(), session, cx.now).await?;
    tx.commit().await?;
    cx.app.sessions.forget(user);
    Ok(())
}

/// Who a cookie stands for; none when it is wrong or its session is over.
pub async fn of_cookie(app: &App, value: &str, now: Timestamp) -> Result<Option<(TenantId, Actor)>> {
    let Some((tenant, secret)) = of_tenant(value) else { return Ok(None) };
    let hash = seal::hash(secret);
    if let Some((tenant, actor, until)) = app.sessions.believed.get(&hash, now) {
        return Ok((now < until).then_some((tenant, actor)));
    }
    let read = async {
        let Some(token) = store::user::find_session_token(&app.db, &tenant, &hash).await? else { return Ok(None) };
        let session = SessionId::stored(token.session_id.as_str());
        check(app, &tenant, &session, (Some("cookie"), &hash), now).await
    };
    // Boxed, because a request whose session is known should not carry the room to read one.
    Box::pin(read).await
}

/// Who a checked access token stands for, with the role as it is now; none when its session is over.
pub async fn of_token(app: &App, tenant: &TenantId, actor: &Actor, now: Timestamp) -> Result<Option<Actor>> {
    if let Actor::Viewer { by, session, .. } = actor {
        return Ok(still_views(app, tenant, (by, session), now).await?.then(|| actor.clone()));
    }
    let Actor::User { session, .. } = actor else {
        return Ok(key::still_mints(app, tenant, actor, now).await?.then(|| actor.clone()));
    };
    let name = format!("{tenant}/{session}");
    if let Some((_, actor, until)) = app.sessions.believed.get(&name, now) {
        return Ok((now < until).then_some(actor));
    }
    let checked = Box::pin(check(app, tenant, session, (None, &name), now)).await?;
    Ok(checked.map(|(_, actor)| actor))
}

/// Whether the session of somebody who looks as a user does goes on, and they may still do that.
async fn still_views(
    app: &App,
    tenant: &TenantId,
    (by, session): (&UserId, &SessionId),
    now: Timestamp,
) -> Result<bool> {
    let name = format!("{tenant}/{session}");
    let known = app.sessions.believed.get(&name, now).map(|(_, actor, until)| (actor, until));
    let checked = match known {
        Some((actor, until)) => (now < until).then_some(actor),
        None => Box::pin(check(app, tenant, session, (None, &name), now)).await?.map(|(_, actor)| actor),
    };
    let may =
        |actor: Actor| matches!(&actor, Actor::User { user, .. } if user == by) && actor.has(Permission::Impersonate);
    Ok(checked.is_some_and(may))
}

/// A person as they stand in the database now: what memory has may be some seconds old.
pub async fn as_of_now(app: &App, tenant: &TenantId, actor: &Actor, now: Timestamp) -> Result<Option<Actor>> {
    let Actor::User { session, .. } = actor else { return Ok(None) };
    let name = format!("{tenant}/{session}");
    let checked = Box::pin(check(app, tenant, session, (None, &name), now)).await?;
    Ok(checked.map(|(_, actor)| actor))
}

async fn check(
    app: &App,
    tenant: &TenantId,
    session: &SessionId,
    (kind, name): (Option<&str>, &str),
    now: Timestamp,
) -> Result<Option<(TenantId, Actor)>> {
    let Some(row) = store::user::find_session(&app.db, tenant, session).await? else { return Ok(None) };
    if kind.is_some_and(|kind| row.kind != kind) || row.ended_at.is_some() || now.as_micros() >= row.expires_at {
        return Ok(None);
    }
    let user = UserId::stored(row.user_id.as_str());
    let Some(user) = store::user::find(&app.db, tenant, &user).await? else { return Ok(None) };
    let actor = actor(&user, session.clone())?;
    // Who works for the tenant is looked up at each request, so that a lower role holds from the next one on.
    if user.role == Role::User.name() {
        let until = Timestamp::from_micros(row.expires_at);
        app.sessions.believed.put(name, (tenant.clone(), actor.clone(), until), now);
    }
    Ok(Some((tenant.clone(), actor)))
}

/// The caller's own row.
pub async fn find_user(cx: &Cx, user: &UserId) -> Result<Option<UserRow>> {
    Ok(store::user::find(&cx.app.db, cx.tenant.id(), user).await?)
}
