//! Dates, numbers and money as people of a language write them, and the few words around every mail.

use domain::money::Money;
use domain::permission::Role;
use domain::revenue::Interval;
use domain::time::{Timestamp, Zone};

/// Languages that come with the product.
pub const SHIPPED: [&str; 2] = ["en", "de"];

/// SPEC §1: a plan says MB.
const BYTES_OF_MB: i64 = 1_000_000;

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// How a language writes; what is not German is written as in English.
#[derive(Debug, Clone)]
pub struct Words {
    german: bool,
    zone: Zone,
    zone_name: String,
}

/// The words around every mail.
pub struct Labels {
    pub help: &'static str,
    pub terms: &'static str,
    pub privacy: &'static str,
    pub unsubscribe: &'static str,
}

impl Words {
    /// The words of a language, with times of a zone.
    pub fn new(language: &str, zone: &str) -> Self {
        let known = Zone::parse(zone).ok();
        let zone_name = if known.is_some() { zone } else { "UTC" }.to_owned();
        Self { german: primary(language) == "de", zone: known.unwrap_or(Zone::UTC), zone_name }
    }

    /// A day.
    pub fn date(&self, at: Timestamp) -> String {
        let Ok(date) = at.date_in(&self.zone) else { return at.to_string() };
        let point = if self.german { "." } else { "" };
        format!("{}{point} {} {}", date.day(), self.month_name(date.month()), date.year())
    }

    /// A minute.
    pub fn time(&self, at: Timestamp) -> String {
        let zoned = jiff::Timestamp::from_microsecond(at.as_micros()).and_then(|at| at.in_tz(&self.zone_name));
        let Ok(zoned) = zoned else { return at.to_string() };
        format!("{}, {:02}:{:02} {}", self.date(at), zoned.hour(), zoned.minute(), self.zone_name)
    }

    /// A month of a year.
    pub fn month(&self, at: Timestamp) -> String {
        let Ok(date) = at.date_in(&self.zone) else { return at.to_string() };
        format!("{} {}", self.month_name(date.month()), date.year())
    }

    fn month_name(&self, month: i8) -> &'static str {
        let names = if self.german { MONTHS_DE } else { MONTHS_EN };
        let place = usize::try_from(month).unwrap_or(1).saturating_sub(1);
        names.get(place).copied().unwrap_or_default()
    }

    /// A whole number.
    pub fn number(&self, number: i64) -> String {
        grouped(&number.to_string(), if self.german { '.' } else { ',' })
    }

    /// So much of a feature: bytes in megabytes, as plans say them.
    pub fn amount(&self, units: i64, unit: Option<&str>) -> String {
        match unit {
            Some("bytes") => format!("{} MB", self.number(units.div_euclid(BYTES_OF_MB))),
            Some(_) | None => self.number(units),
        }
    }

    /// An amount with its currency's code.
    pub fn money(&self, money: Money) -> String {
        let (group, point) = if self.german { ('.', ",") } else { (',', ".") };
        let text = money.to_string();
        let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
        let whole = grouped(whole, group);
        let amount = fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}{point}{fraction}"));
        if self.german {
            format!("{amount} {}", money.currency.code())
        } else {
            format!("{} {amount}", money.currency.code())
        }
    }

    /// How often something is paid.
    pub const fn interval(&self, interval: Interval) -> &'static str {
        match (interval, self.german) {
            (Interval::Month, false) => "month",
            (Interval::Month, true) => "Monat",
            (Interval::Year, false) => "year",
            (Interval::Year, true) => "Jahr",
        }
    }

    /// A role.
    pub const fn role(&self, role: Role) -> &'static str {
        match (role, self.german) {
            (Role::User, false) => "user",
            (Role::User, true) => "Nutzer",
            (Role::Support, _) => "Support",
            (Role::Finance, false) => "Finance",
            (Role::Finance, true) => "Finanzen",
            (Role::Admin, _) => "Admin",
            (Role::Owner, false) => "Owner",
            (Role::Owner, true) => "Inhaber",
            (Role::Operator, false) => "Operator",
            (Role::Operator, true) => "Betreiber",
        }
    }

    /// The words around every mail.
    pub const fn labels(&self) -> Labels {
        if self.german {
            Labels {
                help: "Hilfe",
                terms: "AGB",
                privacy: "Datenschutz",
                unsubscribe: "Solche E-Mails nicht mehr erhalten",
            }
        } else {
            Labels { help: "Help", terms: "Terms", privacy: "Privacy", unsubscribe: "Stop e-mails of this kind" }
        }
    }
}

/// The language of a tag such as `de-AT`, without its region.
pub fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

fn grouped(digits: &str, separator: char) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use domain::money::Currency;

    use super::*;

    #[test]
    fn each_language_writes_in_its_own_way() {
        let at = Timestamp::from_micros(1_795_305_600_000_000);
        let money = |minor, code| Money::new(minor, Currency::parse(code).unwrap());
        let (en, de) = (Words::new("en-GB", "UTC"), Words::new("de-AT", "Europe/Vienna"));
        assert_eq!((en.date(at), de.date(at)), ("22 November 2026".to_owned(), "22. November 2026".to_owned()));
        assert_eq!(de.time(at), "22. November 2026, 01:00 Europe/Vienna");
        assert_eq!(en.month(at), "November 2026");
        assert_eq!(
            (en.number(1_234_567), de.number(-12_345), en.number(123)),
            ("1,234,567".into(), "-12.345".into(), "123".into())
        );
        assert_eq!(en.amount(4_999_999_999, Some("bytes")), "4,999 MB");
        assert_eq!(de.amount(5_000, Some("prompts")), "5.000");
        assert_eq!(en.money(money(123_456, "USD")), "USD 1,234.56");
        assert_eq!(de.money(money(-123_456, "EUR")), "-1.234,56 EUR");
        assert_eq!(de.money(money(1_000, "JPY")), "1.000 JPY");
    }
}
