//! Reads an invoice from text.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::Date;

use super::super::dates::{self, Order};
use super::super::decimal::Decimal;
use super::super::numbers::{Found, currency_of};
use super::super::text::{fold, has_phrase};
use super::labels::Label;
use super::page::{Field, Page};
use super::{Invoice, Tax, items, parties};

const NUMBER_CHARS_MAX: usize = 60;

/// Everything that can be found in the text.
pub(super) fn read(text: &str) -> Invoice {
    let page = Page::read(text);
    let (items, taken) = items::read(&page);
    let (seller, buyer) = parties::read(&page);
    let sums = Sums { page: &page, taken: &taken };
    let currency = page
        .fields(&[Label::Currency])
        .iter()
        .find_map(|field| field.values.iter().find_map(|value| currency_of(value)))
        .or_else(|| currency_of(text));
    let mut invoice = Invoice {
        number: number(&page),
        seller,
        buyer,
        currency: currency.map(str::to_owned),
        subtotal: sums.amount(Label::Subtotal).or_else(|| sums.total().and(sums.plain())),
        discount: sums.amount(Label::Discount).map(Decimal::abs),
        shipping: sums.amount(Label::Shipping),
        taxes: sums.taxes(),
        total: sums.total().or_else(|| sums.plain()).or_else(|| sums.within()),
        items,
        ..Invoice::default()
    };
    add_dates(&mut invoice, &page, text);
    invoice.kind = kind(text, &invoice);
    if invoice.kind == "other" {
        return Invoice { kind: "other", ..Invoice::default() };
    }
    invoice
}

fn kind(text: &str, invoice: &Invoice) -> &'static str {
    let folded = fold(text);
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| has_phrase(&folded, phrase));
    if says(&["credit note", "gutschrift", "rechnungskorrektur"]) {
        "credit_note"
    } else if says(&["invoice*", "rechnung*", "bill to", "bill"]) {
        "invoice"
    } else if says(&["receipt", "quittung", "kassenbon"]) {
        "receipt"
    } else if invoice.total.is_some() || invoice.subtotal.is_some() || invoice.items.len() > 1 {
        "invoice"
    } else {
        "other"
    }
}

fn number(page: &Page) -> Option<String> {
    let read = |value: &&str| {
        let value = value.trim_start_matches([':', '#', '.', ' ']);
        let value = ["no.", "no", "nr.", "nr", "number", "number:"]
            .iter()
            .find_map(|word| fold(value).starts_with(&format!("{word} ")).then(|| value.get(word.len()..)).flatten())
            .unwrap_or(value);
        let token = value.trim_start_matches([':', '#', '.', ' ']).split_whitespace().next()?;
        let token = token.trim_matches(|c: char| matches!(c, ',' | '.' | ';' | ':' | '(' | ')'));
        let digits = token.contains(|c: char| c.is_ascii_digit());
        let allowed = token.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '/' | '.' | '_' | '#'));
        let date = dates::find(token, Order::DayFirst).is_some() && !token.contains(char::is_alphabetic);
        (digits && allowed && !date && token.chars().count() <= NUMBER_CHARS_MAX).then(|| token.to_owned())
    };
    let first = |label: Label| page.fields(&[label]).iter().find_map(|field| field.values.iter().find_map(read));
    // After the bare word "Invoice" only what follows at once can be its number.
    let titled = || page.fields(&[Label::Title]).iter().find_map(|field| field.values.iter().take(2).find_map(read));
    first(Label::Number).or_else(titled)
}

fn add_dates(invoice: &mut Invoice, page: &Page, text: &str) {
    let order = dates::order_of(text).unwrap_or(match invoice.currency.as_deref() {
        Some("USD") => Order::MonthFirst,
        Some("GBP" | "EUR" | "CHF" | "AUD" | "NZD" | "INR") => Order::DayFirst,
        Some(_) | None => Order::Unknown,
    });
    let mut ambiguous = false;
    let mut read = |label: Label| {
        let fields = page.fields(&[label]);
        let found = fields.iter().find_map(|field| field.values.iter().find_map(|value| dates::find(value, order)));
        match found {
            Some(dates::Found::Sure(date)) => Some(date),
            Some(dates::Found::Ambiguous) => {
                ambiguous = true;
                None
            }
            None => None,
        }
    };
    let mut issue = read(Label::IssueDate);
    let due = read(Label::DueDate);
    if issue.is_none()
        && due.is_none()
        && !ambiguous
        && let Some(dates::Found::Sure(date)) = dates::find(text, order)
    {
        issue = Some(date);
    }
    if ambiguous {
        invoice.warnings.push("A date could be day/month or month/day and was left out.".to_owned());
    }
    invoice.issue_date = issue.map(|date| date.to_string());
    invoice.due_date = due.or_else(|| due_by_terms(page, issue?)).map(|date| date.to_string());
}

/// "Net 30", "14 days", "innerhalb von 14 Tagen".
fn due_by_terms(page: &Page, issue: Date) -> Option<Date> {
    let fields = page.fields(&[Label::Terms, Label::DueDate]);
    let days = fields.iter().find_map(|field| {
        let folded = fold(field.values.first()?);
        let mut words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let net = fold(field.name) == "net" || folded.starts_with("net");
        words.find_map(|word| word.parse::<i64>().ok()).filter(|days| {
            let counted = folded.contains("day") || folded.contains("tag") || net;
            counted && (1..=365).contains(days)
        })
    })?;
    issue.checked_add(days.days()).ok()
}

/// The lines that do not belong to an item.
struct Sums<'a> {
    page: &'a Page,
    taken: &'a BTreeSet<usize>,
}

impl Sums<'_> {
    fn fields(&self, label: Label) -> Vec<Field<'_>> {
        let mut fields = self.page.fields(&[label]);
        fields.retain(|field| !self.taken.contains(&field.line));
        // What begins a cell is meant as a label; elsewhere it may be a word of a sentence.
        fields.sort_by_key(|field| !field.leads);
        fields
    }

    fn value(&self, field: &Field<'_>) -> Option<Decimal> {
        field.values.iter().find_map(|value| self.of_text(value))
    }

    /// The last amount of money in a text; a bare whole number is one only when nothing else stands beside it.
    fn of_text(&self, text: &str) -> Option<Decimal> {
        let numbers = self.page.numbers(text);
        let amounts: Vec<_> = numbers.iter().filter(|found| !found.percent).collect();
        let money = amounts.iter().rev().find(|found| found.money);
        let fills = |found: &&&Found| found.end.saturating_sub(found.start).saturating_add(2) >= text.len();
        let alone = || amounts.first().filter(|_| amounts.len() == 1).filter(fills);
        money.or_else(alone).map(|found| found.value)
    }

    fn amount(&self, label: Label) -> Option<Decimal> {
        self.fields(label).iter().find_map(|field| self.value(field))
    }

    /// What is just called "amount".
    fn plain(&self) -> Option<Decimal> {
        let own = |field: &Field<'_>| field.values.first().and_then(|value| self.of_text(value));
        self.fields(Label::Amount).iter().filter(|field| field.leads).find_map(own)
    }

    /// A total in the same sentence as an item.
    fn within(&self) -> Option<Decimal> {
        let fields = self.page.fields(&[Label::Total]);
        fields.iter().find_map(|field| field.values.first().and_then(|value| self.of_text(value)))
    }

    /// The last one is the grand total, unless one is called so.
    fn total(&self) -> Option<Decimal> {
        let fields = self.fields(Label::Total);
        let valued: Vec<(&Field<'_>, Decimal)> =
            fields.iter().filter_map(|field| Some((field, self.value(field)?))).collect();
        let leading = valued.iter().any(|(field, _)| field.leads);
        let candidates = || valued.iter().filter(|(field, _)| field.leads || !leading);
        let grand = [
            "grand",
            "due",
            "gesamtbetrag",
            "rechnungsbetrag",
            "endbetrag",
            "brutto",
            "zahl",
            "incl",
            "payable",
            "gesamtsumme",
        ];
        let called = candidates().rfind(|(field, _)| grand.iter().any(|word| fold(field.name).contains(word)));
        called.or_else(|| candidates().next_back()).map(|(_, value)| *value)
    }

    fn taxes(&self) -> Vec<Tax> {
        let mut taxes: Vec<Tax> = Vec::new();
        let mut lines = BTreeSet::new();
        for field in self.fields(Label::Tax).iter().chain(&self.fields(Label::TaxId)) {
            let vat = field.label == Label::Tax || matches!(fold(field.name).as_str(), "vat");
            let Some(amount) = self.value(field).filter(|_| vat) else { continue };
            let line = self.page.lines.get(field.line);
            let percent = line.and_then(|line| self.page.numbers(&line.text).into_iter().find(|found| found.percent));
            if lines.insert((field.line, field.cell)) && field.leads || taxes.is_empty() {
                let rate = percent.map(|found| found.value.abs());
                taxes.push(Tax { name: field.name.trim_end_matches('.').to_owned(), rate, amount });
            }
        }
        taxes.truncate(20);
        taxes
    }
}
