//! `invoice_ocr`: really reads an invoice, by its words and its arithmetic.

mod checks;
mod fields;
mod items;
mod json;
mod labels;
mod page;
mod parties;

use serde_json::{Value, json};

use super::super::Call;
use super::decimal::Decimal;
use super::files::Material;
use super::numbers::currency_digits;

/// A party of an invoice.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Party {
    name: Option<String>,
    address: Option<String>,
    tax_id: Option<String>,
}

impl Party {
    fn new(name: &str, address: &str) -> Self {
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self { name: said(name), address: said(address), tax_id: None }
    }
}

/// A billed line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Item {
    description: String,
    quantity: Option<Decimal>,
    unit: Option<String>,
    unit_price: Option<Decimal>,
    amount: Option<Decimal>,
}

/// A tax line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tax {
    name: String,
    rate: Option<Decimal>,
    amount: Decimal,
}

/// What was read, as printed; nothing is filled in by calculation except a due date from exact terms.
#[derive(Debug, Default)]
struct Invoice {
    kind: &'static str,
    number: Option<String>,
    issue_date: Option<String>,
    due_date: Option<String>,
    seller: Party,
    buyer: Party,
    currency: Option<String>,
    items: Vec<Item>,
    subtotal: Option<Decimal>,
    discount: Option<Decimal>,
    shipping: Option<Decimal>,
    taxes: Vec<Tax>,
    total: Option<Decimal>,
    warnings: Vec<String>,
}

impl Invoice {
    /// The sum of all taxes; none when no tax is printed.
    fn tax(&self) -> Option<Decimal> {
        let sum = |sum: Decimal, tax: &Tax| sum.plus(tax.amount);
        (!self.taxes.is_empty()).then(|| self.taxes.iter().fold(Decimal::ZERO, sum))
    }

    fn digits(&self) -> u32 {
        currency_digits(self.currency.as_deref())
    }
}

/// The answer of `invoice_ocr/analyze`.
pub(super) fn analyze(call: &Call) -> Value {
    let material = Material::of(call, "invoiceData");
    let mut invoice = match &material.json {
        Some(value) => json::read(value),
        None => fields::read(&material.text),
    };
    invoice.warnings.splice(0..0, material.warnings);
    let checks = checks::run(&mut invoice);
    let confidence = checks.confidence(&invoice);
    let digits = invoice.digits();
    let money = |amount: Option<Decimal>| amount.map(|amount| amount.text(digits));
    let plain = |amount: Option<Decimal>| amount.map(|amount| amount.text(0));
    let party = |party: &Party| json!({ "name": party.name, "address": party.address, "taxId": party.tax_id });
    let items: Vec<Value> = invoice
        .items
        .iter()
        .map(|item| {
            json!({
                "description": item.description,
                "quantity": plain(item.quantity),
                "unit": item.unit,
                "unitPrice": money(item.unit_price),
                "amount": money(item.amount),
            })
        })
        .collect();
    let taxes: Vec<Value> = invoice
        .taxes
        .iter()
        .map(|tax| json!({ "name": tax.name, "rate": plain(tax.rate), "amount": tax.amount.text(digits) }))
        .collect();
    json!({
        "documentType": invoice.kind,
        "invoiceNumber": invoice.number,
        "issueDate": invoice.issue_date,
        "dueDate": invoice.due_date,
        "seller": party(&invoice.seller),
        "buyer": party(&invoice.buyer),
        "currency": invoice.currency,
        "lineItems": items,
        "subtotal": money(invoice.subtotal),
        "discount": money(invoice.discount),
        "shipping": money(invoice.shipping),
        "taxes": taxes,
        "tax": money(invoice.tax()),
        "total": money(invoice.total),
        "checks": { "lines": checks.lines.word(), "subtotal": checks.subtotal.word(), "total": checks.total.word() },
        "confidence": confidence,
        "warnings": invoice.warnings,
        "summary": summary(&invoice),
    })
}

fn summary(invoice: &Invoice) -> String {
    if invoice.kind == "other" {
        return "The demo found no invoice in the input.".to_owned();
    }
    let kind = match invoice.kind {
        "credit_note" => "Credit note",
        "receipt" => "Receipt",
        _ => "Invoice",
    };
    let digits = invoice.digits();
    let mut text = kind.to_owned();
    let mut add = |before: &str, value: Option<&str>| {
        if let Some(value) = value {
            text.push_str(before);
            text.push_str(value);
        }
    };
    add(" ", invoice.number.as_deref());
    add(" from ", invoice.seller.name.as_deref());
    add(" to ", invoice.buyer.name.as_deref());
    let total = invoice.total.map(|total| match &invoice.currency {
        Some(currency) => format!("{} {currency}", total.text(digits)),
        None => total.text(digits),
    });
    add(" over ", total.as_deref());
    add(", due ", invoice.due_date.as_deref());
    let lines = match invoice.items.len() {
        0 => String::new(),
        1 => " It has 1 line item.".to_owned(),
        count => format!(" It has {count} line items."),
    };
    format!("{text}.{lines}")
}
