//! Reads an invoice from JSON, whatever its fields are called.

use serde_json::{Map, Value};

use super::super::dates::{self, Order};
use super::super::decimal::Decimal;
use super::super::numbers::{Point, currency_of};
use super::super::text::{clip, squeeze};
use super::{Invoice, Item, Party, Tax};

const ITEMS_MAX: usize = 500;
const TEXT_CHARS_MAX: usize = 280;

/// Names of fields, without case and signs, the most telling first.
mod names {
    pub(super) const NUMBER: &str =
        "invoicenumber invoiceno invoicenr invoiceid invoice number rechnungsnummer rechnungsnr docnumber id";
    pub(super) const SELLER: &str = "seller vendor supplier from issuer verkaeufer verkäufer lieferant vendorname suppliername sellername company merchant";
    pub(super) const BUYER: &str = "buyer customer client billto to recipient kunde empfänger customername buyername";
    pub(super) const CURRENCY: &str = "currency currencycode währung waehrung";
    pub(super) const SUBTOTAL: &str =
        "subtotal nettotal net netamount nettobetrag netto zwischensumme totalnet amountbeforetax";
    pub(super) const DISCOUNT: &str = "discount discountamount rabatt";
    pub(super) const SHIPPING: &str = "shipping shippingcost freight versand versandkosten";
    pub(super) const TOTAL: &str = "total grandtotal totalamount amountdue totaldue gross grossamount totalgross bruttobetrag brutto gesamtbetrag invoicetotal amount betrag";
    pub(super) const TOTALS: &str = "totals summary amounts summen";
    pub(super) const KIND: &str = "type documenttype kind";
    pub(super) const ISSUED: &str = "invoicedate issuedate dateissued date issued rechnungsdatum datum billingdate";
    pub(super) const DUE: &str =
        "duedate due paymentdue paymentduedate fälligkeitsdatum faelligkeitsdatum fällig zahlbarbis";
    pub(super) const ITEMS: &str = "lineitems items lines positions positionen invoicelines products artikel";
    pub(super) const TAX: &str =
        "tax taxamount totaltax taxtotal vat vatamount salestax gst mwst ust steuer mehrwertsteuer";
    pub(super) const TAX_RATE: &str = "taxrate vatrate steuersatz mwstsatz";
    pub(super) const TAXES: &str = "taxes taxlines vatlines steuern";
}

/// Everything that can be found in the value.
pub(super) fn read(value: &Value) -> Invoice {
    let root = value.as_array().and_then(|values| values.first()).unwrap_or(value).as_object();
    let Some(root) = root else { return Invoice { kind: "other", ..Invoice::default() } };
    let inner = get(root, "invoice rechnung document data").and_then(Value::as_object);
    let source = Source { levels: [Some(root), inner] };
    let text = |names: &str| source.find(names, plain);
    let code = |text: String| currency_of(&text.to_uppercase()).map(str::to_owned);
    let mut invoice = Invoice {
        kind: "invoice",
        number: text(names::NUMBER),
        seller: source.party(names::SELLER),
        buyer: source.party(names::BUYER),
        currency: text(names::CURRENCY).and_then(code),
        items: source.items(),
        subtotal: source.amount(names::SUBTOTAL),
        discount: source.amount(names::DISCOUNT).map(Decimal::abs),
        shipping: source.amount(names::SHIPPING),
        taxes: source.taxes(),
        total: source.amount(names::TOTAL),
        ..Invoice::default()
    };
    let kind = text(names::KIND).unwrap_or_default().to_lowercase();
    if kind.contains("credit") || kind.contains("gutschrift") {
        invoice.kind = "credit_note";
    }
    let mut date = |names: &str| match dates::find(&text(names)?, Order::Unknown)? {
        dates::Found::Sure(date) => Some(date.to_string()),
        dates::Found::Ambiguous => {
            let warning = "A date could be day/month or month/day and was left out.";
            invoice.warnings.push(warning.to_owned());
            None
        }
    };
    (invoice.issue_date, invoice.due_date) = (date(names::ISSUED), date(names::DUE));
    if invoice.number.is_none() && invoice.total.is_none() && invoice.items.is_empty() {
        invoice.kind = "other";
    }
    invoice
}

struct Source<'a> {
    levels: [Option<&'a Map<String, Value>>; 2],
}

impl<'a> Source<'a> {
    /// The first of the names with a value that `read` can use, on the top level, in `invoice` or in `totals`.
    fn find<T>(&self, names: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let inner = self.levels.iter().flatten().find_map(|level| get(level, names::TOTALS)?.as_object());
        let mut levels = self.levels.iter().flatten().copied().chain(inner);
        levels.find_map(|level| names.split(' ').find_map(|name| read(get(level, name)?)))
    }

    fn amount(&self, names: &str) -> Option<Decimal> {
        self.find(names, amount)
    }

    fn party(&self, names: &str) -> Party {
        match self.find(names, Some) {
            Some(Value::Object(fields)) => {
                let text = |names: &str| get(fields, names).and_then(plain);
                Party {
                    name: text("name company companyname firma"),
                    address: get(fields, "address adresse anschrift").and_then(address).or_else(|| address_of(fields)),
                    tax_id: text("vatid taxid vatnumber taxnumber ustid ustidnr ein"),
                }
            }
            Some(value) => Party { name: plain(value), ..Party::default() },
            None => Party::default(),
        }
    }

    fn items(&self) -> Vec<Item> {
        let values = self.find(names::ITEMS, Value::as_array);
        let item = |value: &Value| {
            let fields = value.as_object()?;
            let number = |names: &str| get(fields, names).and_then(amount);
            let text = |names: &str| get(fields, names).and_then(plain);
            Some(Item {
                description: text("description name title item product service bezeichnung beschreibung text")
                    .unwrap_or_default(),
                quantity: number("quantity qty count hours menge anzahl"),
                unit: text("unit uom einheit").map(|unit| clip(&unit, 40)),
                unit_price: number("unitprice price rate unitcost einzelpreis preis"),
                amount: number("amount total linetotal totalprice gesamt gesamtpreis betrag sum subtotal"),
            })
        };
        values.into_iter().flatten().take(ITEMS_MAX).filter_map(item).collect()
    }

    fn taxes(&self) -> Vec<Tax> {
        let rate = self.amount(names::TAX_RATE);
        let list = self.find(names::TAXES, Value::as_array);
        let read = |value: &Value| {
            let fields = value.as_object()?;
            let name = get(fields, "name type description label").and_then(plain);
            Some(Tax {
                name: clip(&name.unwrap_or_else(|| "tax".to_owned()), 90),
                rate: get(fields, "rate percent percentage").and_then(amount),
                amount: get(fields, "amount tax value betrag").and_then(amount)?,
            })
        };
        let listed: Vec<Tax> = list.into_iter().flatten().take(20).filter_map(read).collect();
        if !listed.is_empty() {
            return listed;
        }
        let single = self.find(names::TAX, |value| {
            read(value).or_else(|| Some(Tax { name: "tax".to_owned(), rate, amount: amount(value)? }))
        });
        single.into_iter().collect()
    }
}

/// The value of the first name that is there and not null. Case, `_`, `-` and spaces in names do not count.
fn get<'a>(fields: &'a Map<String, Value>, names: &str) -> Option<&'a Value> {
    let bare =
        |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let of = |name: &str| fields.iter().find(|(key, value)| !value.is_null() && bare(key) == name);
    names.split(' ').find_map(of).map(|(_, value)| value)
}

fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => squeeze(text),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then(|| clip(&text, TEXT_CHARS_MAX))
}

/// A number as it is, or the one number in a text such as "1.190,00 EUR".
fn amount(value: &Value) -> Option<Decimal> {
    Decimal::from_json(value).or_else(|| {
        let text = value.as_str()?;
        match Point::of(text).scan(text).as_slice() {
            [only] => Some(only.value),
            _ => None,
        }
    })
}

fn address(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => address_of(fields),
        Value::Array(lines) => {
            Some(lines.iter().filter_map(plain).collect::<Vec<_>>().join(", ")).map(|text| clip(&text, 450))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => plain(value),
    }
}

fn address_of(fields: &Map<String, Value>) -> Option<String> {
    let parts = "street line1 line2 strasse postalcode zip plz city ort state country land".split(' ');
    let found: Vec<String> = parts.filter_map(|part| get(fields, part).and_then(plain)).collect();
    (!found.is_empty()).then(|| clip(&found.join(", "), 450))
}
