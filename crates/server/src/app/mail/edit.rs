//! Templates, as admins read, change, preview and try them.

use serde_json::{Value, json};
use store::mail::TemplateRow;

use super::kind::{Category, Kind};
pub use super::template::Template;
use super::template::{self, Rendered};
use super::words::{SHIPPED, Words, primary};
use super::{account, sample, syntax, view};
use crate::app::revision::Expected;
use crate::app::session::address;
use crate::app::{audit, setting};
use crate::cx::{Actor, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// Languages that a tenant may have templates in.
const LANGUAGES_MAX: usize = 20;
/// What an example's recipient is called.
const SAMPLE_NAME: &str = "Ann Example";
const SAMPLE_ADDRESS: &str = "ann@example.com";

/// A template as it stands.
#[derive(Debug)]
pub struct View {
    /// For which kind.
    pub kind: Kind,
    /// In which language.
    pub language: String,
    /// Its texts.
    pub template: Template,
    /// Whether it is the tenant's own.
    pub own: bool,
    /// 0 for the product's.
    pub revision: i64,
}

/// Which template is meant.
pub fn named(kind: &str, language: &str) -> Result<(Kind, String)> {
    let kind = Kind::parse(&kind.replace('-', "_"));
    let kind = kind.ok_or_else(|| {
        Error::new(Code::NotFound, "There is no such kind of mail; GET /api/admin/email-templates lists them.")
    })?;
    Ok((kind, setting::language(language).map_err(|_| unknown_language())?))
}

fn unknown_language() -> Error {
    Error::new(Code::NotFound, "A language is a tag such as en or de-AT.")
}

/// All templates: those of the product's languages for every kind, and the tenant's own.
pub async fn list(cx: &Cx) -> Result<Vec<View>> {
    let own = store::mail::templates(&cx.app.db, cx.tenant.id()).await?;
    let mut views = Vec::new();
    for kind in Kind::ALL {
        let of_kind = own.iter().filter(|row| row.kind == kind.name());
        let others = of_kind.clone().map(|row| row.language.as_str()).filter(|tag| !SHIPPED.contains(tag));
        for language in SHIPPED.into_iter().chain(others) {
            let row = of_kind.clone().find(|row| row.language == language);
            views.push(view_of(kind, language, row));
        }
    }
    Ok(views)
}

fn view_of(kind: Kind, language: &str, row: Option<&TemplateRow>) -> View {
    let template = row.map_or_else(|| shipped(kind, language), template::of_row);
    let revision = row.map_or(0, |row| row.revision);
    View { kind, language: language.to_owned(), template, own: row.is_some(), revision }
}

/// What a tenant begins with: the product's template in the language, or else in English.
fn shipped(kind: Kind, language: &str) -> Template {
    template::choose(kind, &[language.to_owned(), primary(language).to_owned()], &[]).1
}

/// One template. In a language that nobody has written it in, it is what editing begins with.
pub async fn get(cx: &Cx, kind: Kind, language: &str) -> Result<View> {
    let own = store::mail::templates_of(&cx.app.db, cx.tenant.id(), kind.name()).await?;
    Ok(view_of(kind, language, own.iter().find(|row| row.language == language)))
}

/// What a template of a kind may name, each with an example.
pub fn variables(cx: &Cx, kind: Kind, language: &str) -> Result<Vec<(String, Value)>> {
    let view = example(cx, kind, language)?;
    let names = view.as_object().into_iter().flatten().flat_map(|(name, value)| syntax::shown(name, value));
    let value = |name: &str| view.pointer(&format!("/{}", name.replace('.', "/"))).cloned().unwrap_or_default();
    Ok(names.map(|name| (name.clone(), value(&name))).collect())
}

/// An example of all that a template of a kind may name.
fn example(cx: &Cx, kind: Kind, language: &str) -> Result<Value> {
    let words = Words::new(language, &cx.tenant.row.timezone);
    let (base, brand) = (account::base(cx), cx.tenant.brand());
    Ok(view::of(&sample(cx, kind)?, &setting_of(&words, language, (&base, &brand), kind)))
}

fn setting_of<'a>(
    words: &'a Words,
    language: &'a str,
    (base, brand): (&'a str, &'a crate::app::tenant::Brand),
    kind: Kind,
) -> view::Setting<'a> {
    let optional = kind.category() == Category::Optional;
    view::Setting {
        words,
        language,
        base,
        brand,
        address: SAMPLE_ADDRESS,
        name: Some(SAMPLE_NAME),
        secret: "example",
        unsubscribe: optional.then_some("https://example.com/unsubscribe"),
    }
}

/// Keeps a tenant's own template. The next mail of the kind has it.
pub async fn put(cx: &Cx, (kind, language): (Kind, &str), template: Template, expected: &Expected) -> Result<View> {
    let cx = &setting::current(cx).await?;
    template::check(kind, &template, &example(cx, kind, language)?)?;
    preview_of(cx, (kind, language), &template)?;
    let mut tx = cx.app.db.begin().await?;
    // Edits of one tenant go one after the other, also while there is no row to lock.
    store::tenant::lock(&mut tx, cx.tenant.id()).await?;
    let own = store::mail::templates(&cx.app.db, cx.tenant.id()).await?;
    let before = own.iter().find(|row| row.kind == kind.name() && row.language == language);
    let view = view_of(kind, language, before);
    expected.check(cx, view.revision)?;
    let mut languages: Vec<&str> = own.iter().map(|row| row.language.as_str()).chain([language]).collect();
    languages.sort_unstable();
    languages.dedup();
    if languages.len() > LANGUAGES_MAX {
        return Err(Error::field("", format!("there are templates in {LANGUAGES_MAX} languages already")));
    }
    if view.own && view.template == template {
        return Ok(view);
    }
    let row = TemplateRow {
        kind: kind.name().to_owned(),
        language: language.to_owned(),
        // Never one that was there before, also after it was taken away meanwhile.
        revision: cx.now.as_micros().max(view.revision.saturating_add(1)),
        subject: template.subject,
        html: template.html,
        body: template.text,
    };
    store::mail::put_template(&mut tx, cx.tenant.id(), &row).await?;
    note(&mut tx, cx, (kind, language), (before, Some(&row))).await?;
    tx.commit().await?;
    Ok(view_of(kind, language, Some(&row)))
}

/// Takes a tenant's own template away: the product's holds again.
pub async fn reset(cx: &Cx, (kind, language): (Kind, &str), expected: &Expected) -> Result<()> {
    let cx = &setting::current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    store::tenant::lock(&mut tx, cx.tenant.id()).await?;
    let own = store::mail::templates_of(&mut tx, cx.tenant.id(), kind.name()).await?;
    let before = own.iter().find(|row| row.language == language);
    expected.check(cx, before.map_or(0, |row| row.revision))?;
    if before.is_some() {
        store::mail::remove_template(&mut tx, cx.tenant.id(), (kind.name(), language)).await?;
        note(&mut tx, cx, (kind, language), (before, None)).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn note(
    tx: &mut store::db::Tx,
    cx: &Cx,
    (kind, language): (Kind, &str),
    (before, after): (Option<&TemplateRow>, Option<&TemplateRow>),
) -> Result<()> {
    let state = |row: &TemplateRow| json!({ "subject": row.subject, "html": row.html, "text": row.body });
    let target = format!("{}/{language}", kind.name());
    let change = audit::Change {
        action: if after.is_some() { "email_template.updated" } else { "email_template.reset" },
        target: &target,
        before: before.map(state),
        after: after.map(state),
    };
    audit::write(tx, cx, change).await
}

/// What is tried instead of what is kept; absent parts are as they are.
#[derive(Debug, Default)]
pub struct Draft {
    pub subject: Option<String>,
    pub html: Option<String>,
    pub text: Option<String>,
}

impl Draft {
    fn over(self, template: Template) -> Template {
        Template {
            subject: self.subject.unwrap_or(template.subject),
            html: self.html.unwrap_or(template.html),
            text: self.text.unwrap_or(template.text),
        }
    }
}

/// A template filled in with an example.
pub async fn preview(cx: &Cx, (kind, language): (Kind, &str), draft: Draft) -> Result<Rendered> {
    let cx = &setting::current(cx).await?;
    let template = draft.over(get(cx, kind, language).await?.template);
    template::check(kind, &template, &example(cx, kind, language)?)?;
    preview_of(cx, (kind, language), &template)
}

fn preview_of(cx: &Cx, (kind, language): (Kind, &str), template: &Template) -> Result<Rendered> {
    let words = Words::new(language, &cx.tenant.row.timezone);
    let (base, brand) = (account::base(cx), cx.tenant.brand());
    let setting = setting_of(&words, language, (&base, &brand), kind);
    let data = view::of(&sample(cx, kind)?, &setting);
    template::render(template, &data, &setting)
        .map_err(|error| Error::field("", format!("it cannot be filled in: {error}")))
}

/// Sends a template, filled in with an example, to somebody of the tenant: the caller, or a member by address.
pub async fn test(cx: &Cx, (kind, language): (Kind, &str), (to, draft): (Option<String>, Draft)) -> Result<String> {
    let cx = &setting::current(cx).await?;
    cx.app.trials.admit(cx.tenant.id(), cx.now)?;
    let written = preview(cx, (kind, language), draft).await?;
    let to = recipient(cx, to).await?;
    let id = domain::id::encode_as("eml", id_bits());
    let row = store::mail::NewEmail {
        kind: kind.name().to_owned(),
        slot: format!("test/{id}"),
        recipient: to,
        recipient_name: None,
        language: language.to_owned(),
        subject: format!("[Test] {}", written.subject),
        html: written.html,
        body: written.text,
        message_id: format!("<{id}@{}>", account::host(cx)),
        unsubscribe: None,
        link_sealed: None,
        good_until: None,
        email_id: id,
    };
    let mut tx = cx.app.db.begin().await?;
    store::mail::insert(&mut tx, cx.tenant.id(), &row, cx.now).await?;
    let after = Some(json!({ "email": row.email_id }));
    let target = format!("{}/{language}", kind.name());
    let change = audit::Change { action: "email_template.tested", target: &target, before: None, after };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(row.email_id)
}

/// Only the tenant's own people get tests, or a test would be a way to write to anybody.
async fn recipient(cx: &Cx, to: Option<String>) -> Result<String> {
    let own = match &cx.actor {
        Actor::User { user, .. } => store::user::find(&cx.app.db, cx.tenant.id(), user).await?.map(|row| row.email),
        Actor::Key { .. } | Actor::Browser { .. } | Actor::Viewer { .. } | Actor::System | Actor::Anonymous => None,
    };
    let missing = || Error::field("/to", "name the address of a member, such as your own");
    let to = to.map(|to| address(&to).map_err(|_| missing())).transpose()?;
    match (to, own) {
        (None, Some(own)) => Ok(own),
        (None, None) => Err(missing()),
        (Some(to), own) if own.as_ref() == Some(&to) => Ok(to),
        (Some(to), _) => {
            let known = store::user::find_by_email(&cx.app.db, cx.tenant.id(), &to).await?;
            known.filter(|known| known.role != "user").map(|_| to).ok_or_else(missing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_template_is_one_that_could_be_kept() {
        let brand = crate::app::tenant::Brand { name: "Shop <&>".to_owned(), ..Default::default() };
        let currency = domain::money::Currency::parse("EUR").unwrap();
        let now = domain::time::Timestamp::from_micros(1_795_305_600_000_000);
        for kind in Kind::ALL {
            for language in SHIPPED {
                let words = Words::new(language, "Europe/Berlin");
                let setting = setting_of(&words, language, ("https://shop.example", &brand), kind);
                let template = template::shipped(kind, language).expect("it is shipped");
                let data = view::of(&super::super::kind::Data::sample(kind, currency, now), &setting);
                template::check(kind, &template, &data).unwrap_or_else(|error| panic!("{kind:?} {language}: {error}"));
                let written = template::render(&template, &data, &setting).unwrap();
                assert!(
                    !written.html.contains("Shop <&>") && written.html.contains("Shop &lt;&amp;&gt;"),
                    "{written:?}"
                );
                assert!(written.text.contains("Shop <&>"), "text is not escaped: {written:?}");
                let all = format!("{}{}{}", written.subject, written.html, written.text).to_lowercase();
                assert!(!all.contains("tollgate") && !all.contains("{{") && !all.contains("{%"), "{all}");
            }
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_html() {
        let brand = crate::app::tenant::Brand { name: "Shop".to_owned(), ..Default::default() };
        let words = Words::new("en", "UTC");
        let mut setting = setting_of(&words, "en", ("https://shop.example", &brand), Kind::Welcome);
        setting.name = Some("<b onload='x'>&\"");
        let template = template::shipped(Kind::Welcome, "en").unwrap();
        let data = view::of(&super::super::kind::Data::Welcome, &setting);
        let written = template::render(&template, &data, &setting).unwrap();
        assert!(written.html.contains("&lt;b onload=&#x27;x&#x27;&gt;&amp;&quot;"), "{}", written.html);
    }
}
