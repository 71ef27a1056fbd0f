//! Mail: written as rows in the transaction of what it is about, sent by a job, shown to the tenant's people.
//!
//! [`enqueue`] is the one way to write one. A mail is filled in then and there, so that it says what was true; the
//! secret of a link inside stands in its texts as the mail's own id until a server takes it.

pub mod account;
pub mod deliver;
pub mod edit;
pub mod kind;
pub mod outbox;
pub mod preference;
mod syntax;
mod template;
mod view;
mod words;

use domain::money::Currency;
use domain::time::Timestamp;
use store::db::Tx;
use store::mail::NewEmail;

use crate::cx::{App, Cx, id_bits};
use crate::error::{Error, Result};
use kind::{Category, Data};
use template::Rendered;
use view::Setting;
use words::Words;

/// How long mails stay in the outbox, in seconds: 90 days.
const KEPT_SECONDS: i64 = 90 * 86_400;

/// A mail to write.
pub struct Mail<'a> {
    /// To which address.
    pub to: &'a str,
    /// What the recipient is called.
    pub name: Option<&'a str>,
    /// In which language; the tenant's without one.
    pub language: Option<&'a str>,
    /// What it says.
    pub data: Data,
    /// What it must be written only once for, among mails of its kind; every time without one.
    pub slot: Option<String>,
}

/// Writes a mail in the transaction of what it is about. Answers its id; none when it was written before, or when the
/// address does not want mails of its kind.
pub async fn enqueue(tx: &mut Tx, cx: &Cx, mail: &Mail<'_>) -> Result<Option<String>> {
    let kind = mail.data.kind();
    let tenant = cx.tenant.id();
    let optional = kind.category() == Category::Optional;
    if optional && !preference::wants(tx, cx, mail.to, kind).await? {
        return Ok(None);
    }
    let own = store::mail::templates_of(&mut *tx, tenant, kind.name()).await?;
    let languages = template::languages(mail.language, &cx.tenant.settings().locale);
    let (language, template) = template::choose(kind, &languages, &own);
    let id = domain::id::encode_as("eml", id_bits());
    let unsubscribe = if optional { Some(preference::link(cx, mail.to, kind)?) } else { None };
    let written = fill(cx, mail, (&language, &template), (&id, unsubscribe.as_deref()))?;
    let link = mail.data.link();
    let seal = |secret: &str| cx.app.master.seal(tenant, &kind::link_place(&id), secret.as_bytes());
    let row = NewEmail {
        kind: kind.name().to_owned(),
        slot: format!("{}/{}", kind.name(), mail.slot.as_ref().unwrap_or(&id)),
        recipient: mail.to.to_owned(),
        recipient_name: mail.name.map(str::to_owned),
        language,
        subject: written.subject,
        html: written.html,
        body: written.text,
        message_id: format!("<{id}@{}>", account::host(cx)),
        unsubscribe,
        link_sealed: link.map(|link| seal(&link.secret)).transpose()?,
        good_until: link.map(|link| link.until),
        email_id: id,
    };
    let new = store::mail::insert(tx, tenant, &row, cx.now).await?;
    Ok(new.then_some(row.email_id))
}

/// Fills a mail in. `secret` stands for the secret of its link.
fn fill(
    cx: &Cx,
    mail: &Mail<'_>,
    (language, template): (&str, &template::Template),
    (secret, unsubscribe): (&str, Option<&str>),
) -> Result<Rendered> {
    let words = Words::new(language, &cx.tenant.row.timezone);
    let (base, brand) = (account::base(cx), cx.tenant.brand());
    let setting = Setting {
        words: &words,
        language,
        base: &base,
        brand: &brand,
        address: mail.to,
        name: mail.name,
        secret,
        unsubscribe,
    };
    template::fill(mail.data.kind(), template, &mail.data, &setting)
}

/// An example of a kind's data, for previews and checks.
fn sample(cx: &Cx, kind: kind::Kind) -> Result<Data> {
    let currency = Currency::parse(&cx.tenant.row.currency).map_err(Error::internal)?;
    Ok(Data::sample(kind, currency, cx.tenant_now()))
}

/// Drops what is old.
pub async fn drop_old(app: &App, now: Timestamp) -> Result<()> {
    let mut tx = app.db.begin().await?;
    store::mail::drop_old(&mut tx, now.plus_seconds(-KEPT_SECONDS)).await?;
    Ok(tx.commit().await?)
}
