//! Sends what is due. Each tenant's mails go one after the other, tenants beside each other, and never on the request
//! path: a server that hangs holds up nothing but its own mails.
//!
//! A mail is leased, sent with no transaction open, and concluded while the lease is still the last. Between a server's
//! yes and our note of it lies the one moment in which a crash sends a mail twice; both carry the same `Message-ID`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::TenantId;
use domain::time::Timestamp;
use providers::mail::{Failure, FailureKind, Message, Party};
use store::mail::{EmailRow, Outcome};

use super::account::{self, Busy, Mailer, Sender};
use super::kind::link_place;
use crate::app::credential;
use crate::cx::{App, Cx, now};
use crate::error::{Error, Result};

/// How long a lease lasts, in seconds: longer than an attempt, and than clocks of nodes differ.
const LEASE_SECONDS: i64 = 300;
/// A tenant's turn ends after so long; what is left is due again at once.
const TURN: Duration = Duration::from_mins(2);
/// How often a mail is tried; with the pauses between, for about two days.
const ATTEMPTS_MAX: i64 = 60;
/// The first pause after a server said no for now, in seconds: those that ask to be tried again mean minutes.
const TEMPORARY_SECONDS: i64 = 60;
/// The longest pause, in seconds.
const PAUSE_SECONDS_MAX: i64 = 3_600;

/// Begins to send what is due, and answers who asked for a new password. Does not wait for mail servers.
pub async fn begin(app: &Arc<App>, now: Timestamp) -> Result<()> {
    credential::answer_requests(app).await?;
    for tenant in store::mail::tenants_due(&app.db, now).await? {
        if let Some(busy) = Mailer::begin(app, &tenant, now) {
            app.tasks.spawn(turn(app.clone(), tenant, busy));
        }
    }
    Ok(())
}

/// One tenant's turn.
async fn turn(app: Arc<App>, tenant: TenantId, busy: Busy) {
    let began = Instant::now();
    while began.elapsed() < TURN && !app.stopping.is_cancelled() {
        match send_next(&app, &tenant).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %error, "mail could not be looked at");
                break;
            }
        }
    }
    drop(busy);
}

/// Sends the mail that is due for longest; answers whether to go on.
async fn send_next(app: &Arc<App>, tenant: &TenantId) -> Result<bool> {
    let now = now();
    let Some(id) = store::mail::next_due(&app.db, tenant, now).await? else { return Ok(false) };
    let mut tx = app.db.begin().await?;
    let leased = store::mail::lease(&mut tx, tenant, &id, (now, now.plus_seconds(LEASE_SECONDS))).await?;
    let row = store::mail::find(&mut tx, tenant, &id).await?;
    tx.commit().await?;
    let Some(row) = row.filter(|_| leased) else { return Ok(true) };
    let current = app.tenants.fresh(&app.db, &app.master, tenant).await?;
    let cx = Cx::system(app, &current, &row.email_id);
    let sent = if over(&row, now) { None } else { attempt(&cx, &row).await? };
    let goes_on = !matches!(&sent, Some(Err(failure)) if stops(failure.kind));
    match &sent {
        Some(Ok(())) => app.mailer.wake(tenant),
        Some(Err(failure)) if stops(failure.kind) => app.mailer.rest(tenant, now),
        Some(Err(_)) | None => {}
    }
    conclude(&cx, &row, sent).await?;
    Ok(goes_on)
}

fn over(row: &EmailRow, now: Timestamp) -> bool {
    row.good_until.is_some_and(|until| until <= now.as_micros())
}

/// Whether a failure would meet the tenant's next mail as well.
fn stops(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Away | FailureKind::Account => true,
        FailureKind::Temporary | FailureKind::Permanent => false,
    }
}

/// Hands a mail to the tenant's server; none without one.
async fn attempt(cx: &Cx, row: &EmailRow) -> Result<Option<Result<(), Failure>>> {
    let sender = account::sender(cx).await?;
    let message = message(cx, row, &sender)?;
    let Some(connected) = sender.connect(&cx.app).await else { return Ok(None) };
    let sent = match connected {
        Ok(smtp) => smtp.send(&message).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    if let (Err(failure), Some((name, _))) = (&sent, &sender.account)
        && stops(failure.kind)
    {
        cx.app.mailer.forget(name);
    }
    Ok(Some(sent))
}

/// A mail as it goes out, with the secret of its link.
pub fn message(cx: &Cx, row: &EmailRow, sender: &Sender) -> Result<Message> {
    let secret = secret(cx, row)?;
    let whole = |text: &str| secret.as_ref().map_or_else(|| text.to_owned(), |it| text.replace(&row.email_id, it));
    Ok(Message {
        id: row.message_id.clone(),
        date: Timestamp::from_micros(row.created_at),
        from: sender.from.clone(),
        to: Party { name: row.recipient_name.clone(), address: row.recipient.clone() },
        reply_to: sender.reply_to.clone(),
        subject: row.subject.clone(),
        text: whole(&row.body),
        html: whole(&row.html),
        unsubscribe: row.unsubscribe.clone(),
    })
}

/// The secret of a mail's link, while there is one.
pub fn secret(cx: &Cx, row: &EmailRow) -> Result<Option<String>> {
    let Some(sealed) = &row.link_sealed else { return Ok(None) };
    let plain = cx.app.master.open(cx.tenant.id(), &link_place(&row.email_id), sealed);
    let plain = plain.ok_or_else(|| Error::internal(format!("mail {}: its link does not open", row.email_id)))?;
    Ok(Some(String::from_utf8_lossy(&plain).into_owned()))
}

/// Notes what an attempt came to; none for a mail that was not tried.
async fn conclude(cx: &Cx, row: &EmailRow, sent: Option<Result<(), Failure>>) -> Result<()> {
    let tenant = cx.tenant.id();
    let now = now();
    let outcome = outcome(row, sent.as_ref(), now);
    let mut tx = cx.app.db.begin().await?;
    if !store::mail::conclude(&mut tx, tenant, (&row.email_id, row.fence), &outcome).await? {
        tracing::warn!(email.id = %row.email_id, "the lease of a mail ran out while it was sent");
        return Ok(());
    }
    match &sent {
        Some(Ok(())) => store::mail::forget_bounce(&mut tx, tenant, &row.recipient).await?,
        Some(Err(Failure { kind: FailureKind::Permanent, detail })) => {
            store::mail::note_bounce(&mut tx, tenant, (&row.recipient, detail), now).await?;
        }
        Some(Err(_)) | None => {}
    }
    tx.commit().await?;
    metrics::counter!("tollgate_mails_total", "outcome" => outcome.state).increment(1);
    tracing::info!(email.id = %row.email_id, kind = %row.kind, state = outcome.state, attempts = row.attempts, "mail");
    Ok(())
}

fn outcome(row: &EmailRow, sent: Option<&Result<(), Failure>>, now: Timestamp) -> Outcome {
    let ended = |state, error: Option<String>| Outcome { state, next_at: now, error, sent_at: None };
    match sent {
        Some(Ok(())) => Outcome { sent_at: Some(now), ..ended("sent", None) },
        None if over(row, now) => ended("dead", Some("the link in it was over before it could be sent".to_owned())),
        None => ended("kept", None),
        Some(Err(failure)) if failure.kind == FailureKind::Permanent => ended("bounced", Some(failure.detail.clone())),
        Some(Err(failure)) if row.attempts >= ATTEMPTS_MAX => ended("dead", Some(account::in_words(failure))),
        Some(Err(failure)) => {
            let base = if failure.kind == FailureKind::Temporary { TEMPORARY_SECONDS } else { 1 };
            let next_at = now.plus_micros(pause_micros(base, row.attempts, &row.email_id));
            Outcome { next_at, ..ended("queued", Some(account::in_words(failure))) }
        }
    }
}

/// Twice as long each time, and not the same for each mail, so that they do not all come back at once.
fn pause_micros(base_seconds: i64, attempts: i64, id: &str) -> i64 {
    let times = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
    let seconds = base_seconds.saturating_mul(2_i64.saturating_pow(times)).min(PAUSE_SECONDS_MAX);
    let share = i64::from(id.bytes().next_back().unwrap_or_default() % 32);
    seconds.saturating_mul(1_000_000 + share.saturating_mul(10_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_tried_for_about_two_days_and_at_once_at_first() {
        let pauses: Vec<i64> = (1..ATTEMPTS_MAX).map(|attempt| pause_micros(1, attempt, "eml_0") / 1_000_000).collect();
        assert!(pauses[0] <= 2 && pauses.iter().all(|pause| *pause <= PAUSE_SECONDS_MAX * 132 / 100));
        let hours = pauses.iter().sum::<i64>() / 3_600;
        assert!((44..72).contains(&hours), "{hours}");
        assert_ne!(pause_micros(1, 5, "eml_0"), pause_micros(1, 5, "eml_1"));
    }
}
