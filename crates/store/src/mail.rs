//! Mails: the outbox with its leases, templates of tenants, and what addresses do not want.

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, On, Tx, sql};
use crate::error::Result;
use crate::list::Wanted;

/// A mail to be written.
#[derive(Debug, Clone)]
pub struct NewEmail {
    /// Its id.
    pub email_id: String,
    /// What it is about.
    pub kind: String,
    /// What it must be written only once for.
    pub slot: String,
    /// To which address.
    pub recipient: String,
    /// What the recipient is called.
    pub recipient_name: Option<String>,
    /// In which language.
    pub language: String,
    /// Its subject.
    pub subject: String,
    /// As HTML.
    pub html: String,
    /// As text.
    pub body: String,
    /// Its `Message-ID`.
    pub message_id: String,
    /// Where one click ends mails of its kind.
    pub unsubscribe: Option<String>,
    /// The secret of the link inside, sealed.
    pub link_sealed: Option<String>,
    /// Until when it is worth sending.
    pub good_until: Option<Timestamp>,
}

/// Writes a mail that is due now; answers whether it was, or its slot was taken.
pub async fn insert(tx: &mut Tx, tenant: &TenantId, mail: &NewEmail, now: Timestamp) -> Result<bool> {
    let rows = sql!("INSERT INTO email (tenant_id, email_id, kind, slot, recipient, recipient_name, language, subject, html, body, message_id, unsubscribe, link_sealed, good_until, state, attempts, next_at, fence, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'queued', 0, $15, 0, $15) ON CONFLICT (tenant_id, slot) DO NOTHING")
        .bind(tenant)
        .bind(&mail.email_id)
        .bind(&mail.kind)
        .bind(&mail.slot)
        .bind(&mail.recipient)
        .bind(mail.recipient_name.clone())
        .bind(&mail.language)
        .bind(&mail.subject)
        .bind(&mail.html)
        .bind(&mail.body)
        .bind(&mail.message_id)
        .bind(mail.unsubscribe.clone())
        .bind(mail.link_sealed.clone())
        .bind(mail.good_until)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// A mail's row.
#[derive(Debug, Clone, FromRow)]
pub struct EmailRow {
    /// Its id.
    pub email_id: String,
    /// What it is about.
    pub kind: String,
    /// To which address.
    pub recipient: String,
    /// What the recipient is called.
    pub recipient_name: Option<String>,
    /// In which language.
    pub language: String,
    /// Its subject.
    pub subject: String,
    /// As HTML; empty in lists.
    pub html: String,
    /// As text; empty in lists.
    pub body: String,
    /// Its `Message-ID`.
    pub message_id: String,
    /// Where one click ends mails of its kind.
    pub unsubscribe: Option<String>,
    /// The secret of the link inside, sealed; gone once the mail is.
    pub link_sealed: Option<String>,
    /// Until when it is worth sending.
    pub good_until: Option<i64>,
    /// `queued`, `sent`, `kept`, `bounced` or `dead`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_at: i64,
    /// Grows with every lease; an outcome is only written while it is still the highest.
    pub fence: i64,
    /// What the last attempt came to, unless it was sent.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: i64,
    /// When a server took it.
    pub sent_at: Option<i64>,
}

/// Which mails are asked for; what is empty is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A state.
    pub state: String,
    /// A kind.
    pub kind: String,
}

/// Mails by `createdAt`, without their texts; `search` looks into addresses and subjects.
pub async fn list(db: &Db, tenant: &TenantId, filter: &Filter, wanted: &Wanted) -> Result<Vec<EmailRow>> {
    let query = if wanted.descending {
        sql!(
            "SELECT email_id, kind, recipient, recipient_name, language, subject, '' AS html, '' AS body, message_id, unsubscribe, CAST(NULL AS TEXT) AS link_sealed, good_until, state, attempts, next_at, fence, last_error, created_at, sent_at FROM email WHERE tenant_id = $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR kind = $3) AND (LOWER(recipient) LIKE $4 ESCAPE '!' OR LOWER(subject) LIKE $4 ESCAPE '!') AND ($5 OR email_id < $6) ORDER BY email_id DESC LIMIT $7"
        )
    } else {
        sql!(
            "SELECT email_id, kind, recipient, recipient_name, language, subject, '' AS html, '' AS body, message_id, unsubscribe, CAST(NULL AS TEXT) AS link_sealed, good_until, state, attempts, next_at, fence, last_error, created_at, sent_at FROM email WHERE tenant_id = $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR kind = $3) AND (LOWER(recipient) LIKE $4 ESCAPE '!' OR LOWER(subject) LIKE $4 ESCAPE '!') AND ($5 OR email_id > $6) ORDER BY email_id LIMIT $7"
        )
    };
    query
        .bind(tenant)
        .bind(&filter.state)
        .bind(&filter.kind)
        .bind(wanted.pattern())
        .bind(wanted.after.is_none())
        .bind(wanted.after.clone().unwrap_or_default().id)
        .bind(wanted.rows)
        .all(db)
        .await
}

/// One mail, whole.
pub async fn find(on: impl Into<On<'_>>, tenant: &TenantId, id: &str) -> Result<Option<EmailRow>> {
    sql!("SELECT email_id, kind, recipient, recipient_name, language, subject, html, body, message_id, unsubscribe, link_sealed, good_until, state, attempts, next_at, fence, last_error, created_at, sent_at FROM email WHERE tenant_id = $1 AND email_id = $2")
        .bind(tenant)
        .bind(id)
        .find(on)
        .await
}

/// The tenants that have mails which are due.
pub async fn tenants_due(db: &Db, now: Timestamp) -> Result<Vec<TenantId>> {
    let rows: Vec<(String,)> = sql!("SELECT DISTINCT tenant_id FROM email WHERE state = 'queued' AND next_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)")
        .bind(now)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id,)| TenantId::stored(id)).collect())
}

/// The mail of a tenant that is due for longest and leased to nobody.
pub async fn next_due(on: impl Into<On<'_>>, tenant: &TenantId, now: Timestamp) -> Result<Option<String>> {
    let row: Option<(String,)> = sql!("SELECT email_id FROM email WHERE tenant_id = $1 AND state = 'queued' AND next_at <= $2 AND (leased_until IS NULL OR leased_until <= $2) ORDER BY next_at, email_id LIMIT 1")
        .bind(tenant)
        .bind(now)
        .find(on)
        .await?;
    Ok(row.map(|(id,)| id))
}

/// Takes a lease on a mail, for one attempt; answers false when somebody else was first.
pub async fn lease(tx: &mut Tx, tenant: &TenantId, id: &str, (now, until): (Timestamp, Timestamp)) -> Result<bool> {
    let rows = sql!("UPDATE email SET leased_until = $4, fence = fence + 1, attempts = attempts + 1 WHERE tenant_id = $1 AND email_id = $2 AND state = 'queued' AND next_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .bind(until)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The state from now on.
    pub state: &'static str,
    /// When it is tried next, if it is.
    pub next_at: Timestamp,
    /// What happened, unless it was sent.
    pub error: Option<String>,
    /// When a server took it.
    pub sent_at: Option<Timestamp>,
}

/// Writes what an attempt came to, while its lease is still the last; answers whether it was. What was sent, or never
/// will be, has no secret any more.
pub async fn conclude(tx: &mut Tx, tenant: &TenantId, (id, fence): (&str, i64), outcome: &Outcome) -> Result<bool> {
    let rows = sql!("UPDATE email SET state = $4, next_at = $5, last_error = $6, sent_at = $7, leased_until = NULL, link_sealed = CASE WHEN $4 IN ('queued', 'kept') THEN link_sealed ELSE NULL END WHERE tenant_id = $1 AND email_id = $2 AND fence = $3 AND state = 'queued'")
        .bind(tenant)
        .bind(id)
        .bind(fence)
        .bind(outcome.state)
        .bind(outcome.next_at)
        .bind(outcome.error.clone())
        .bind(outcome.sent_at)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Puts a mail that was not sent, and is not being sent, into the queue again, as new.
pub async fn requeue(tx: &mut Tx, tenant: &TenantId, id: &str, now: Timestamp) -> Result<bool> {
    let rows = sql!("UPDATE email SET state = 'queued', attempts = 0, next_at = $3, leased_until = NULL, fence = fence + 1, last_error = NULL WHERE tenant_id = $1 AND email_id = $2 AND (state IN ('kept', 'bounced', 'dead') OR state = 'queued' AND (leased_until IS NULL OR leased_until <= $3))")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Drops what was written before an instant.
pub async fn drop_old(tx: &mut Tx, before: Timestamp) -> Result<()> {
    sql!("DELETE FROM email WHERE created_at < $1 AND state <> 'queued'").bind(before).execute(tx).await.map(|_| ())
}

/// A tenant's own template.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TemplateRow {
    /// For which kind of mail.
    pub kind: String,
    /// In which language.
    pub language: String,
    /// Its subject.
    pub subject: String,
    /// As HTML.
    pub html: String,
    /// As text.
    pub body: String,
    /// Grows with every edit.
    pub revision: i64,
}

/// A tenant's own templates.
pub async fn templates(db: &Db, tenant: &TenantId) -> Result<Vec<TemplateRow>> {
    sql!("SELECT kind, language, subject, html, body, revision FROM email_template WHERE tenant_id = $1 ORDER BY kind, language")
        .bind(tenant)
        .all(db)
        .await
}

/// A tenant's own templates for one kind.
pub async fn templates_of(on: impl Into<On<'_>>, tenant: &TenantId, kind: &str) -> Result<Vec<TemplateRow>> {
    sql!("SELECT kind, language, subject, html, body, revision FROM email_template WHERE tenant_id = $1 AND kind = $2 ORDER BY language")
        .bind(tenant)
        .bind(kind)
        .all(on)
        .await
}

/// Keeps a template, instead of the one that is there.
pub async fn put_template(tx: &mut Tx, tenant: &TenantId, row: &TemplateRow) -> Result<()> {
    sql!("INSERT INTO email_template (tenant_id, kind, language, subject, html, body, revision) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, kind, language) DO UPDATE SET subject = excluded.subject, html = excluded.html, body = excluded.body, revision = excluded.revision")
        .bind(tenant)
        .bind(&row.kind)
        .bind(&row.language)
        .bind(&row.subject)
        .bind(&row.html)
        .bind(&row.body)
        .bind(row.revision)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Removes a template.
pub async fn remove_template(tx: &mut Tx, tenant: &TenantId, (kind, language): (&str, &str)) -> Result<()> {
    sql!("DELETE FROM email_template WHERE tenant_id = $1 AND kind = $2 AND language = $3")
        .bind(tenant)
        .bind(kind)
        .bind(language)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The kinds of mail that an address does not want.
pub async fn refused(on: impl Into<On<'_>>, tenant: &TenantId, address: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        sql!("SELECT kind FROM mail_refusal WHERE tenant_id = $1 AND address = $2 ORDER BY kind")
            .bind(tenant)
            .bind(address)
            .all(on)
            .await?;
    Ok(rows.into_iter().map(|(kind,)| kind).collect())
}

/// Notes that an address does not want a kind of mail; answers whether that is new.
pub async fn refuse(tx: &mut Tx, tenant: &TenantId, (address, kind): (&str, &str), now: Timestamp) -> Result<bool> {
    let rows = sql!("INSERT INTO mail_refusal (tenant_id, address, kind, at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, address, kind) DO NOTHING")
        .bind(tenant)
        .bind(address)
        .bind(kind)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Forgets that an address does not want a kind of mail; answers whether it did.
pub async fn want(tx: &mut Tx, tenant: &TenantId, (address, kind): (&str, &str)) -> Result<bool> {
    let rows = sql!("DELETE FROM mail_refusal WHERE tenant_id = $1 AND address = $2 AND kind = $3")
        .bind(tenant)
        .bind(address)
        .bind(kind)
        .execute(tx)
        .await?;
    Ok(rows == 1)
}

/// Whether a server has refused an address for good.
pub async fn has_bounced(on: impl Into<On<'_>>, tenant: &TenantId, address: &str) -> Result<bool> {
    let row: Option<(i64,)> = sql!("SELECT at FROM mail_bounce WHERE tenant_id = $1 AND address = $2")
        .bind(tenant)
        .bind(address)
        .find(on)
        .await?;
    Ok(row.is_some())
}

/// Notes that a server has refused an address for good.
pub async fn note_bounce(
    tx: &mut Tx,
    tenant: &TenantId,
    (address, reason): (&str, &str),
    now: Timestamp,
) -> Result<()> {
    sql!("INSERT INTO mail_bounce (tenant_id, address, reason, at) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, address) DO UPDATE SET reason = excluded.reason, at = excluded.at")
        .bind(tenant)
        .bind(address)
        .bind(reason)
        .bind(now)
        .execute(tx)
        .await
        .map(|_| ())
}

/// An address takes mail after all.
pub async fn forget_bounce(tx: &mut Tx, tenant: &TenantId, address: &str) -> Result<()> {
    sql!("DELETE FROM mail_bounce WHERE tenant_id = $1 AND address = $2")
        .bind(tenant)
        .bind(address)
        .execute(tx)
        .await
        .map(|_| ())
}
