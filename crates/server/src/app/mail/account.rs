//! Through which server and as whom a tenant's mail goes, and where its links lead.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use domain::id::TenantId;
use domain::time::Timestamp;
use providers::http::{Reach, Secret};
use providers::mail::{Config, Failure, FailureKind, Party, Security, Smtp};
use serde_json::{Value, json};
use store::mail_account::AccountRow;

use super::kind::password_place;
use crate::app::patch::Patch;
use crate::app::revision::Expected;
use crate::app::session::{address, one_line};
use crate::app::{audit, setting};
use crate::cx::{App, Cx, clock};
use crate::error::{Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Bytes of a certificate.
const CA_BYTES_MAX: usize = 64 * 1024;
/// Tenants whose mail is sent at the same time.
const TENANTS_AT_ONCE: usize = 8;
/// The longest rest of an account that does not work, in seconds.
const REST_SECONDS_MAX: i64 = 60;

/// What `serve` was told about mail.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// The account that tenants without one of their own send through.
    pub smtp: Option<Config>,
    /// From which address they do.
    pub from: Option<String>,
    /// Where browsers reach this server; `{tenant}` stands for a tenant's name in URLs.
    pub public_url: Option<String>,
}

/// What this process knows of sending: open connections, who is being sent for, and what rests.
#[derive(Default)]
pub struct Mailer {
    pools: Mutex<HashMap<String, Smtp>>,
    busy: Mutex<HashSet<TenantId>>,
    rests: Mutex<HashMap<TenantId, (u32, Timestamp)>>,
}

/// Holds a tenant whose mail is being sent.
pub struct Busy {
    app: Arc<App>,
    tenant: TenantId,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Ok(mut busy) = self.app.mailer.busy.lock() {
            busy.remove(&self.tenant);
        }
    }
}

impl Mailer {
    /// Lets a tenant's mail be sent, unless it is already, or its account rests.
    pub fn begin(app: &Arc<App>, tenant: &TenantId, now: Timestamp) -> Option<Busy> {
        let rests = app.mailer.rests.lock().ok()?;
        if rests.get(tenant).is_some_and(|(_, until)| now < *until) {
            return None;
        }
        let mut busy = app.mailer.busy.lock().ok()?;
        let free = busy.len() < TENANTS_AT_ONCE && busy.insert(tenant.clone());
        free.then(|| Busy { app: app.clone(), tenant: tenant.clone() })
    }

    /// An account that does not work rests, longer each time: not every mail has to find that out.
    pub fn rest(&self, tenant: &TenantId, now: Timestamp) {
        let Ok(mut rests) = self.rests.lock() else { return };
        let (times, until) = rests.entry(tenant.clone()).or_insert((0, now));
        *until = now.plus_seconds(2_i64.saturating_pow(*times).min(REST_SECONDS_MAX));
        *times = times.saturating_add(1);
    }

    /// The account works.
    pub fn wake(&self, tenant: &TenantId) {
        if let Ok(mut rests) = self.rests.lock() {
            rests.remove(tenant);
        }
    }

    /// A pool for an account; a new one looks the server up anew.
    async fn pool(&self, name: &str, config: &Config) -> Result<Smtp, Failure> {
        let known = self.pools.lock().ok().and_then(|pools| pools.get(name).cloned());
        if let Some(pool) = known {
            return Ok(pool);
        }
        let pool = Smtp::new(config).await?;
        if let Ok(mut pools) = self.pools.lock() {
            // Pools of earlier revisions of the same account are of no use any more.
            let account = name.split('#').next().unwrap_or_default().to_owned();
            pools.retain(|other, _| other.split('#').next() != Some(account.as_str()));
            pools.insert(name.to_owned(), pool.clone());
        }
        Ok(pool)
    }

    /// Forgets a pool, whose server may be elsewhere by now.
    pub fn forget(&self, name: &str) {
        if let Ok(mut pools) = self.pools.lock() {
            pools.remove(name);
        }
    }
}

/// Where browsers reach the tenant, without a slash at the end. Never what a request says of its host: who sends a
/// request for somebody else's new password must not choose where the link leads.
pub fn base(cx: &Cx) -> String {
    let options = &cx.app.options;
    let bound = cx.app.address.get().map_or("http://localhost", String::as_str);
    let url = options.mail.public_url.as_deref().unwrap_or(bound).trim_end_matches('/');
    let slug = &cx.tenant.row.slug;
    if url.contains("{tenant}") {
        return url.replace("{tenant}", slug);
    }
    if *slug == options.default_tenant {
        return url.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let port = rest.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{slug}.{}{port}", options.base_domain)
}

/// The name of the tenant's host, which its mails come from where nothing else is said.
pub fn host(cx: &Cx) -> String {
    let base = base(cx);
    let rest = base.split_once("://").map_or(base.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    // An address of the own machine is no name that an address of mail may end with.
    let nameless = host.parse::<std::net::IpAddr>().is_ok() || host.is_empty() || host.starts_with('[');
    if nameless { format!("{}.{}", cx.tenant.row.slug, cx.app.options.base_domain) } else { host.to_owned() }
}

/// As whom, and through what, a tenant sends.
pub struct Sender {
    /// From whom.
    pub from: Party,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Through which account, and the name of its pool; none without one.
    pub account: Option<(String, Config)>,
}

impl Sender {
    /// Opens the account.
    pub async fn connect(&self, app: &App) -> Option<Result<Smtp, Failure>> {
        let (name, config) = self.account.as_ref()?;
        Some(app.mailer.pool(name, config).await)
    }
}

/// As whom a tenant sends now.
pub async fn sender(cx: &Cx) -> Result<Sender> {
    let row = store::mail_account::find(&cx.app.db, cx.tenant.id()).await?;
    sender_of(cx, row.as_ref())
}

/// As whom a tenant with this row sends.
pub fn sender_of(cx: &Cx, row: Option<&AccountRow>) -> Result<Sender> {
    let platform = &cx.app.options.mail;
    let own = row.filter(|row| row.host.is_some());
    let from = match own {
        Some(row) => row.from_address.clone(),
        None => platform.from.clone(),
    };
    let account = match own {
        Some(row) => Some((format!("{}#{}", cx.tenant.id(), row.revision), config(cx, row)?)),
        None => platform.smtp.clone().map(|config| ("platform".to_owned(), Config { hello: host(cx), ..config })),
    };
    Ok(Sender {
        from: Party {
            name: Some(row.and_then(|row| row.from_name.clone()).unwrap_or_else(|| cx.tenant.brand().name)),
            address: from.unwrap_or_else(|| format!("no-reply@{}", host(cx))),
        },
        reply_to: row.and_then(|row| row.reply_to.clone()).or_else(|| cx.tenant.settings().support_email),
        account,
    })
}

fn config(cx: &Cx, row: &AccountRow) -> Result<Config> {
    let open = |sealed: &str| {
        let plain = cx.app.master.open(cx.tenant.id(), &password_place(cx.tenant.id()), sealed);
        plain.ok_or_else(|| Error::internal("the mail account's password does not open"))
    };
    let password = row.password_sealed.as_deref().map(open).transpose()?.unwrap_or_default();
    let security = Security::parse(&row.security).unwrap_or(Security::StartTls);
    let reach = if cx.tenant.row.mode == "sandbox" { Reach::Any } else { Reach::Public };
    Ok(Config {
        host: row.host.clone().unwrap_or_default(),
        port: row.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(security.port()),
        security,
        username: row.username.clone(),
        password: Secret::new(String::from_utf8_lossy(&password).into_owned()),
        ca_pem: row.ca_pem.clone(),
        reach,
        hello: host(cx),
    })
}

/// What an edit says; what it does not say stays.
#[derive(Debug, Default)]
pub struct Edit {
    pub host: Patch<String>,
    pub port: Patch<i64>,
    pub security: Option<String>,
    pub username: Patch<String>,
    pub password: Patch<String>,
    pub ca: Patch<String>,
    pub from_address: Patch<String>,
    pub from_name: Patch<String>,
    pub reply_to: Patch<String>,
}

/// A tenant's account and as whom it sends.
pub struct View {
    /// The row, as it is or as it would begin.
    pub row: AccountRow,
    /// As whom.
    pub sender: Sender,
}

fn blank() -> AccountRow {
    AccountRow {
        host: None,
        port: None,
        security: Security::StartTls.name().to_owned(),
        username: None,
        password_sealed: None,
        ca_pem: None,
        from_address: None,
        from_name: None,
        reply_to: None,
        revision: 0,
    }
}

/// How the tenant sends.
pub async fn get(cx: &Cx) -> Result<View> {
    let cx = &setting::current(cx).await?;
    let row = store::mail_account::find(&cx.app.db, cx.tenant.id()).await?;
    let sender = sender_of(cx, row.as_ref())?;
    Ok(View { row: row.unwrap_or_else(blank), sender })
}

/// Changes how the tenant sends. The very next mail on any node goes that way.
pub async fn edit(cx: &Cx, edit: Edit, expected: &Expected) -> Result<View> {
    let cx = &setting::current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    // Edits of one tenant go one after the other, also while there is no row to lock.
    store::tenant::lock(&mut tx, cx.tenant.id()).await?;
    let before = store::mail_account::find(&mut tx, cx.tenant.id()).await?.unwrap_or_else(blank);
    expected.check(cx, before.revision)?;
    let after = applied(cx, &before, edit)?;
    if after != before {
        let after = AccountRow { revision: before.revision.saturating_add(1), ..after };
        store::mail_account::put(&mut tx, cx.tenant.id(), &after).await?;
        let change = audit::Change {
            action: "email_settings.updated",
            target: &cx.tenant.row.slug,
            before: Some(state(&before)),
            after: Some(state(&after)),
        };
        audit::write(&mut tx, cx, change).await?;
        tx.commit().await?;
        cx.app.mailer.wake(cx.tenant.id());
    }
    get(cx).await
}

/// What an audit entry says: of the password whether there is one.
fn state(row: &AccountRow) -> Value {
    json!({ "host": row.host, "port": row.port, "security": row.security, "username": row.username,
        "hasPassword": row.password_sealed.is_some(), "hasCa": row.ca_pem.is_some(),
        "fromAddress": row.from_address, "fromName": row.from_name, "replyTo": row.reply_to })
}

fn applied(cx: &Cx, before: &AccountRow, edit: Edit) -> Result<AccountRow> {
    let mut row = before.clone();
    row.host = edit.host.try_map(|host| server_name(&host))?.of(row.host);
    row.port = edit.port.try_map(port)?.of(row.port);
    if let Some(security) = edit.security {
        let known = Security::parse(&security).ok_or_else(|| Error::field("/security", "use starttls, tls or none"))?;
        known.name().clone_into(&mut row.security);
    }
    row.username = edit.username.try_map(|name| one_line("/username", &name))?.of(row.username);
    let moved = row.host != before.host || row.port != before.port || row.security != before.security;
    if moved && row.host.is_some() && before.password_sealed.is_some() && edit.password == Patch::Keep {
        let detail = "send the password again: a stored one is not sent to another server on its own";
        return Err(Error::field("/password", detail));
    }
    let seal = |password: String| {
        if password.is_empty() || password.chars().count() > TEXT_CHARS_MAX || password.contains(char::is_control) {
            return Err(Error::field("/password", "use the password as the server's owner gave it, or null for none"));
        }
        cx.app.master.seal(cx.tenant.id(), &password_place(cx.tenant.id()), password.as_bytes())
    };
    row.password_sealed = edit.password.try_map(seal)?.of(row.password_sealed);
    row.ca_pem = edit.ca.try_map(certificate)?.of(row.ca_pem);
    let mail = |pointer: &'static str| move |text: String| mail_address(pointer, &text);
    row.from_address = edit.from_address.try_map(mail("/fromAddress"))?.of(row.from_address);
    row.from_name = edit.from_name.try_map(|name| one_line("/fromName", &name))?.of(row.from_name);
    row.reply_to = edit.reply_to.try_map(mail("/replyTo"))?.of(row.reply_to);
    if row.host.is_none() && row.from_address.is_some() {
        let detail = "name the host as well: through the platform's server mail goes from the platform's address";
        return Err(Error::field("/fromAddress", detail));
    }
    if row.host.is_some() {
        config(cx, &row)?.check().map_err(|why| {
            let pointer = if row.ca_pem == before.ca_pem { "/host" } else { "/ca" };
            Error::field(pointer, why.to_string())
        })?;
    }
    Ok(row)
}

fn server_name(host: &str) -> Result<String> {
    let host = host.trim().to_lowercase();
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte));
    if plain && !host.is_empty() && host.len() <= TEXT_CHARS_MAX {
        return Ok(host);
    }
    Err(Error::field("/host", "write the server's name alone, such as smtp.example.com, or null for the platform's"))
}

fn port(port: i64) -> Result<i64> {
    if (1..=i64::from(u16::MAX)).contains(&port) {
        return Ok(port);
    }
    Err(Error::field("/port", "use a whole number from 1 to 65535, or null for the usual one"))
}

fn certificate(pem: String) -> Result<String> {
    if pem.len() <= CA_BYTES_MAX && pem.contains("-----BEGIN CERTIFICATE-----") && !pem.contains('\0') {
        return Ok(pem);
    }
    Err(Error::field("/ca", "paste the certificate as PEM (-----BEGIN CERTIFICATE-----), or null for none"))
}

fn mail_address(pointer: &str, text: &str) -> Result<String> {
    address(text).map_err(|_| Error::field(pointer, "write an e-mail address, such as name@example.com, or null"))
}

/// What a test of the connection came to.
pub struct Tested {
    /// Whether it works.
    pub works: bool,
    /// What happened, and what to do.
    pub detail: String,
    /// How long it took.
    pub milliseconds: i64,
}

/// Connects, signs in, and sends nothing.
pub async fn test(cx: &Cx) -> Result<Tested> {
    let cx = &setting::current(cx).await?;
    cx.app.trials.admit(cx.tenant.id(), cx.now)?;
    let began = clock();
    let sender = sender(cx).await?;
    let tested = match &sender.account {
        None => None,
        // A pool of its own, so that what is kept open does not answer for what is tried.
        Some((_, config)) => Some(match Smtp::new(config).await {
            Ok(smtp) => smtp.test().await,
            Err(failure) => Err(failure),
        }),
    };
    let (works, detail) = match tested {
        Some(Ok(())) => (true, "It answers, and takes the account.".to_owned()),
        Some(Err(failure)) => (false, in_words(&failure)),
        None => (false, "There is no mail server; until one is named, mails stay in the outbox.".to_owned()),
    };
    let after = Some(json!({ "works": works }));
    let mut tx = cx.app.db.begin().await?;
    let change = audit::Change { action: "email_settings.tested", target: &cx.tenant.row.slug, before: None, after };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(Tested { works, detail, milliseconds: clock().saturating_sub(began).max(0) / 1_000 })
}

/// What a failure means for an admin, and what to do.
pub fn in_words(failure: &Failure) -> String {
    let what = match failure.kind {
        FailureKind::Away => "It cannot be reached; check host, port and security",
        FailureKind::Account => "It does not take the account; check security, user name and password",
        FailureKind::Temporary => "It does not take the mail for now",
        FailureKind::Permanent => "It refuses the mail",
    };
    format!("{what} ({}).", failure.detail)
}
