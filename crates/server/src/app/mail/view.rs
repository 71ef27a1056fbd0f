//! What templates see of a mail's data: texts, ready to be read.

use domain::color::Color;
use serde_json::{Map, Value, json};

use super::kind::{Data, Kind, QuotaNews};
use super::words::Words;
use crate::app::tenant::Brand;

/// The color of buttons of a brand that has none.
const BUTTON: &str = "#1f2937";
/// Characters of a name that a mail greets.
const GREETED_CHARS_MAX: usize = 60;

/// Where and for whom a mail is written.
pub struct Setting<'a> {
    /// How its language writes.
    pub words: &'a Words,
    /// The tag of its language.
    pub language: &'a str,
    /// Where the tenant is reached, without a slash at the end.
    pub base: &'a str,
    /// How the tenant looks.
    pub brand: &'a Brand,
    /// The recipient's address.
    pub address: &'a str,
    /// What the recipient is called.
    pub name: Option<&'a str>,
    /// What stands for the secret of the link.
    pub secret: &'a str,
    /// Where one click ends mails of this kind.
    pub unsubscribe: Option<&'a str>,
}

/// All that a template may name.
pub fn of(data: &Data, setting: &Setting<'_>) -> Value {
    let kind = data.kind();
    let name = setting.name.filter(|_| !kind.is_to_strangers()).map(greeted).unwrap_or_default();
    let mut view = Map::new();
    view.insert("brand".to_owned(), brand(setting.brand, setting.base));
    view.insert("recipient".to_owned(), json!({ "name": name, "address": setting.address }));
    view.insert("link".to_owned(), link(kind, setting).into());
    view.insert("unsubscribeLink".to_owned(), setting.unsubscribe.unwrap_or_default().into());
    if let Value::Object(own) = own(data, setting.words) {
        view.extend(own);
    }
    let mut view = Value::Object(view);
    flatten(&mut view);
    view
}

fn link(kind: Kind, Setting { base, secret, .. }: &Setting<'_>) -> String {
    match kind {
        Kind::VerifyAddress => format!("{base}/verify?token={secret}"),
        Kind::ResetPassword => format!("{base}/reset?token={secret}"),
        Kind::Invitation => format!("{base}/setup?token={secret}"),
        Kind::PasswordChanged | Kind::AddressKnown => format!("{base}/forgot"),
        Kind::AccessChanged => format!("{base}/admin"),
        // The page with the meters.
        Kind::Welcome | Kind::MonthlyReport => format!("{base}/"),
        Kind::QuotaWarning
        | Kind::QuotaReached
        | Kind::Receipt
        | Kind::PaymentFailed
        | Kind::PlanChanged
        | Kind::PriceChange
        | Kind::Canceled => format!("{base}/plans"),
    }
}

fn own(data: &Data, words: &Words) -> Value {
    let on = |at: Option<_>| at.map(|at| words.date(at)).unwrap_or_default();
    match data {
        Data::Welcome | Data::AddressKnown => json!({}),
        Data::VerifyAddress { link } | Data::ResetPassword { link } => json!({ "until": words.time(link.until) }),
        Data::Invitation { link, role } => json!({ "until": words.time(link.until), "role": words.role(*role) }),
        Data::PasswordChanged { at } => json!({ "at": words.time(*at) }),
        Data::AccessChanged { role } => json!({ "role": role.map(|role| words.role(role)).unwrap_or_default() }),
        Data::QuotaWarning(news) | Data::QuotaReached(news) => quota(news, words),
        Data::MonthlyReport { month, features } => {
            let feature = |row: &super::kind::FeatureUse| {
                let used = words.number(row.used);
                let limit = row.limit.map(|limit| words.number(limit)).unwrap_or_default();
                let line = if limit.is_empty() { used.clone() } else { format!("{used}/{limit}") };
                json!({ "name": row.feature, "used": used, "limit": limit, "line": line })
            };
            json!({ "month": words.month(*month), "features": features.iter().map(feature).collect::<Vec<_>>() })
        }
        Data::Receipt { number, at, lines, tax, total } => {
            let lines = lines.iter().map(|line| json!({ "text": line.text, "amount": words.money(line.amount) }));
            json!({ "number": number, "date": words.date(*at), "lines": lines.collect::<Vec<_>>(),
                "tax": tax.map(|tax| words.money(tax)).unwrap_or_default(), "total": words.money(*total) })
        }
        Data::PaymentFailed { plan, amount, again_at, access_until } => json!({ "plan": plan,
            "amount": words.money(*amount), "againOn": on(*again_at), "accessUntil": on(*access_until) }),
        Data::PlanChanged { from, to, at } => {
            json!({ "from": from.clone().unwrap_or_default(), "to": to, "date": words.date(*at) })
        }
        Data::PriceChange { plan, interval, from, to, at } => json!({ "plan": plan, "from": words.money(*from),
            "to": words.money(*to), "interval": words.interval(*interval), "date": words.date(*at) }),
        Data::Canceled { plan, access_until } => json!({ "plan": plan, "accessUntil": on(*access_until) }),
    }
}

fn quota(news: &QuotaNews, words: &Words) -> Value {
    let remaining = news.limit.saturating_sub(news.used).max(0);
    let amount = |units| words.amount(units, news.unit.as_deref());
    json!({ "feature": news.feature, "used": amount(news.used), "limit": amount(news.limit),
        "remaining": amount(remaining), "percentage": news.percentage.to_string(),
        "resetDate": news.resets_at.map(|at| words.date(at)).unwrap_or_default() })
}

fn brand(brand: &Brand, base: &str) -> Value {
    let link = |name: &str| brand.links.get(name).cloned().unwrap_or_default();
    // Mail programs show no logo that stands in the mail's own text.
    let logo = brand.logo.as_deref().filter(|logo| !logo.starts_with("data:"));
    let logo = logo.map(|logo| if logo.starts_with('/') { format!("{base}{logo}") } else { logo.to_owned() });
    let color = brand.primary.as_deref().filter(|color| Color::parse(color).is_some()).unwrap_or(BUTTON);
    json!({ "name": brand.name, "logo": logo.unwrap_or_default(), "color": color, "textColor": text_on(color),
        "site": format!("{base}/"), "help": link("support"), "terms": link("terms"), "privacy": link("privacy") })
}

/// White or black, whichever reads better.
fn text_on(color: &str) -> &'static str {
    let (white, black) = (Color::WHITE, Color::parse("#000000"));
    match (Color::parse(color), black) {
        (Some(color), Some(black)) if color.contrast(black) > color.contrast(white) => "#000000",
        _ => "#ffffff",
    }
}

/// A name, as far as it looks like one: what looks like an address or an offer is not greeted, since anybody can choose
/// a name.
fn greeted(name: &str) -> String {
    let name = name.trim();
    let looks_like_link = name.contains(['/', '@', '\\']) || name.to_lowercase().contains("www.") || has_host(name);
    if looks_like_link || name.chars().count() > GREETED_CHARS_MAX { String::new() } else { name.to_owned() }
}

/// Whether a point stands between two letters, as in the name of a host.
fn has_host(name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    letters.windows(3).any(|three| matches!(three, [a, '.', b] if a.is_alphanumeric() && b.is_alphanumeric()))
}

/// Makes every text one line: nothing in the data begins a header or a paragraph.
fn flatten(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.chars().any(char::is_control) {
                *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(flatten),
        Value::Object(members) => members.values_mut().for_each(flatten),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_offer_is_not_greeted() {
        for name in ["Ann Example", "J. R. Ewing", "Zoë O'Neill", "<b>Ann</b>x".trim_end_matches("/b>x")] {
            assert_eq!(greeted(name), name);
        }
        for name in ["https://evil.example", "Win at evil.example now", "www. win", "a@b", &"x".repeat(61)] {
            assert_eq!(greeted(name), "");
        }
    }

    #[test]
    fn text_on_a_button_can_be_read() {
        assert_eq!((text_on("#0f766e"), text_on("#facc15"), text_on("none")), ("#ffffff", "#000000", "#ffffff"));
    }

    #[test]
    fn data_is_one_line() {
        let mut value = json!({ "a": ["x\r\nBcc: y", { "b": "\u{85}z" }] });
        flatten(&mut value);
        assert_eq!(value, json!({ "a": ["x  Bcc: y", { "b": " z" }] }));
    }
}
