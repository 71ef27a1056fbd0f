//! Templates: the ones that come with the product, the tenant's own, and what becomes of them.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Safe};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde_json::Value;
use store::mail::TemplateRow;

use super::kind::{Category, Kind};
use super::view::Setting;
use super::words::{SHIPPED, primary};
use super::{syntax, view};
use crate::error::{Error, Result};

/// Steps that a template may take.
const STEPS_MAX: u64 = 100_000;
/// Characters of a subject, as a template and when it is filled in.
pub const SUBJECT_CHARS_MAX: usize = 200;
/// Bytes of a template's HTML or text.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// What the engine calls texts in which data is escaped.
const MAIL_HTML: &str = "mail.html";
const LAYOUT_HTML_NAME: &str = "layout.html";
/// Around every mail's HTML that is not a page of its own.
const LAYOUT_HTML: &str = include_str!("templates/layout.html");
/// Around every mail's text.
const LAYOUT_TEXT: &str = include_str!("templates/layout.txt");

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The subject.
    pub subject: String,
    /// The HTML, or what stands inside the brand's frame.
    pub html: String,
    /// The text.
    pub text: String,
}

/// A mail's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject.
    pub subject: String,
    /// As HTML, whole.
    pub html: String,
    /// As text.
    pub text: String,
}

macro_rules! shipped {
    ($($kind:ident $file:literal),* $(,)?) => {
        /// The file of a kind in a language that comes with the product.
        const fn file(kind: Kind, german: bool) -> &'static str {
            match (kind, german) {$(
                (Kind::$kind, false) => include_str!(concat!("templates/en/", $file, ".txt")),
                (Kind::$kind, true) => include_str!(concat!("templates/de/", $file, ".txt")),
            )*}
        }
    };
}

shipped!(
    Welcome "welcome",
    VerifyAddress "verify_address",
    ResetPassword "reset_password",
    Invitation "invitation",
    PasswordChanged "password_changed",
    AddressKnown "address_known",
    AccessChanged "access_changed",
    QuotaWarning "quota_warning",
    QuotaReached "quota_reached",
    MonthlyReport "monthly_report",
    Receipt "receipt",
    PaymentFailed "payment_failed",
    PlanChanged "plan_changed",
    PriceChange "price_change",
    Canceled "canceled",
);

/// The template that comes with the product; none in a language that does not.
pub fn shipped(kind: Kind, language: &str) -> Option<Template> {
    if !SHIPPED.contains(&language) {
        return None;
    }
    let source = file(kind, language == "de");
    let (subject, rest) = source.split_once("\n=== text\n")?;
    let (text, html) = rest.split_once("\n=== html\n")?;
    Some(Template { subject: subject.to_owned(), html: html.trim_end().to_owned(), text: text.to_owned() })
}

/// The languages in which a mail may be written, the best first.
pub fn languages(wanted: Option<&str>, locale: &str) -> Vec<String> {
    let mut languages: Vec<String> = Vec::new();
    for tag in wanted.into_iter().chain([locale, "en"]) {
        for tag in [tag, primary(tag)] {
            if !tag.is_empty() && !languages.iter().any(|known| known == tag) {
                languages.push(tag.to_owned());
            }
        }
    }
    languages
}

/// The template for a mail, with its language: the tenant's own before the product's, in the best language that has one.
pub fn choose(kind: Kind, languages: &[String], own: &[TemplateRow]) -> (String, Template) {
    let found = languages.iter().find_map(|language| {
        let own = own.iter().find(|row| row.kind == kind.name() && row.language == *language).map(of_row);
        Some((language.clone(), own.or_else(|| shipped(kind, language))?))
    });
    let english = || {
        let empty = || Template { subject: String::new(), html: String::new(), text: String::new() };
        ("en".to_owned(), shipped(kind, "en").unwrap_or_else(empty))
    };
    found.unwrap_or_else(english)
}

/// A tenant's own template.
pub fn of_row(row: &TemplateRow) -> Template {
    Template { subject: row.subject.clone(), html: row.html.clone(), text: row.body.clone() }
}

/// Refuses a template that is too long, names what is not there, computes, or lacks what its mail is for.
pub fn check(kind: Kind, template: &Template, sample: &Value) -> Result<()> {
    let Template { subject, html, text } = template;
    if subject.trim().is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX || subject.contains(char::is_control) {
        return Err(Error::field("/subject", format!("use one line of 1 to {SUBJECT_CHARS_MAX} characters")));
    }
    for (pointer, part) in [("/html", html), ("/text", text)] {
        if part.trim().is_empty() || part.len() > TEMPLATE_BYTES_MAX || part.contains('\0') {
            return Err(Error::field(pointer, format!("use 1 to {TEMPLATE_BYTES_MAX} bytes")));
        }
    }
    for (pointer, part) in [("/subject", subject), ("/html", html), ("/text", text)] {
        syntax::check(part, sample).map_err(|detail| Error::field(pointer, detail))?;
    }
    let has = |part: &str, name: &str| part.split("{{").skip(1).any(|rest| rest.trim_start().starts_with(name));
    for (pointer, part) in [("/html", html), ("/text", text)] {
        if kind.has_secret() && !has(part, "link") {
            return Err(Error::field(pointer, "keep {{ link }}: without it the mail is of no use"));
        }
    }
    if is_page(html) && kind.category() == Category::Optional && !has(html, "unsubscribeLink") {
        return Err(Error::field(
            "/html",
            "keep {{ unsubscribeLink }}: a whole page has no other way out of this mail",
        ));
    }
    Ok(())
}

/// Whether HTML is a page of its own, which gets no frame.
fn is_page(html: &str) -> bool {
    html.to_ascii_lowercase().contains("<html")
}

/// Fills a template in.
pub fn render(template: &Template, data: &Value, setting: &Setting<'_>) -> Result<Rendered, minijinja::Error> {
    let environment = environment()?;
    let fill = |name: &str, source: &str| environment.render_named_str(name, source, Safe::from(Serde(data)));
    let subject = fill("subject.txt", &template.subject)?;
    let subject: String = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let subject: String = subject.chars().take(SUBJECT_CHARS_MAX).collect();
    let (html, text) = (fill(MAIL_HTML, &template.html)?, fill("mail.txt", &template.text)?);
    let labels = setting.words.labels();
    let brand = data.get("brand");
    let frame = |content: Safe| {
        context! {
            content, subject => subject.as_str(), language => setting.language,
            brand => Safe::from(Serde(brand)), unsubscribe => setting.unsubscribe,
            labels => context! {
                help => labels.help, terms => labels.terms, privacy => labels.privacy, unsubscribe => labels.unsubscribe,
            },
        }
    };
    let html = if is_page(&html) {
        html
    } else {
        environment.render_named_str(LAYOUT_HTML_NAME, LAYOUT_HTML, frame(Safe::from_safe_string(html)))?
    };
    let text = environment.render_named_str("layout.txt", LAYOUT_TEXT, frame(Safe::from(text.trim_end())))?;
    Ok(Rendered { subject, html, text })
}

/// What templates are filled in with: no filters, no functions, HTML escaped.
fn environment<'a>() -> Result<Environment<'a>, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|name| {
        if [MAIL_HTML, LAYOUT_HTML_NAME].contains(&name) { AutoEscape::Html } else { AutoEscape::None }
    });
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_recursion_limit(50);
    environment.set_fuel(Some(STEPS_MAX));
    Ok(environment)
}

/// Fills a template in for a mail's data; a template of the tenant that fails gives way to the product's.
pub fn fill(kind: Kind, template: &Template, data: &super::kind::Data, setting: &Setting<'_>) -> Result<Rendered> {
    let data = view::of(data, setting);
    render(template, &data, setting).or_else(|error| {
        tracing::error!(%error, kind = kind.name(), "a template could not be filled in; the one that we ship is used");
        let shipped = shipped(kind, primary(setting.language)).or_else(|| shipped(kind, "en"));
        let shipped = shipped.ok_or_else(|| Error::internal("a shipped template is missing"))?;
        render(&shipped, &data, setting).map_err(Error::internal)
    })
}
