//! `expense_categorization`: by merchant and words, with exact sums.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decimal::Decimal;
use super::text::{clip, fold, has_phrase};
use super::text_of;

/// Categories with the words that mean them; the first that fits wins, so the narrow ones come first.
const CATEGORIES: [(&str, &[&str]); 19] = [
    (
        "bank_fees",
        &[
            "bank fee*",
            "account fee*",
            "transfer fee*",
            "interest",
            "stripe fee*",
            "paypal fee*",
            "kontoführung*",
            "bank charge*",
        ],
    ),
    ("taxes", &["tax", "taxes", "vat payment", "customs", "finanzamt", "gewerbesteuer", "zoll"]),
    ("insurance", &["insurance", "versicherung*", "allianz", "liability cover"]),
    (
        "training",
        &[
            "training",
            "course*",
            "workshop*",
            "conference*",
            "seminar*",
            "udemy",
            "coursera",
            "certification*",
            "schulung*",
            "book*",
            "fachbuch",
        ],
    ),
    (
        "marketing",
        &[
            "google ads",
            "facebook ads",
            "linkedin ads",
            "advertis*",
            "marketing",
            "flyer*",
            "campaign*",
            "sponsor*",
            "werbung",
            "trade fair",
            "messe",
        ],
    ),
    (
        "software",
        &[
            "software",
            "subscription*",
            "saas",
            "github",
            "slack",
            "adobe",
            "microsoft 365",
            "office 365",
            "google workspace",
            "aws",
            "amazon web services",
            "azure",
            "hosting",
            "domain*",
            "license*",
            "licence*",
            "jira",
            "figma",
            "notion",
            "anthropic",
            "openai",
            "zoom",
        ],
    ),
    (
        "telecom",
        &[
            "phone bill",
            "mobile plan",
            "internet",
            "telekom",
            "vodafone",
            "verizon",
            "at&t",
            "t-mobile",
            "o2",
            "broadband",
            "telefon*",
            "mobilfunk",
            "sim card*",
        ],
    ),
    (
        "lodging",
        &[
            "hotel*",
            "airbnb",
            "hostel",
            "motel*",
            "booking.com",
            "accommodation",
            "overnight",
            "übernachtung*",
            "marriott",
            "hilton",
        ],
    ),
    (
        "vehicle",
        &[
            "fuel",
            "petrol",
            "gasoline",
            "diesel",
            "shell",
            "aral",
            "car repair*",
            "car wash",
            "car leasing",
            "tanken",
            "charging station",
            "tyres",
            "tires",
            "oil change",
        ],
    ),
    (
        "transport",
        &[
            "taxi",
            "uber",
            "lyft",
            "bus ticket*",
            "subway",
            "metro",
            "parking",
            "toll",
            "tram",
            "s-bahn",
            "u-bahn",
            "bolt",
            "parken",
            "bvg",
            "hvv",
        ],
    ),
    (
        "travel",
        &[
            "flight*",
            "airline*",
            "lufthansa",
            "ryanair",
            "easyjet",
            "delta air",
            "train",
            "deutsche bahn",
            "amtrak",
            "rail*",
            "rental car",
            "car rental",
            "sixt",
            "hertz",
            "travel",
            "bahn*",
            "flug",
            "zugticket",
            "eurostar",
        ],
    ),
    (
        "meals",
        &[
            "lunch",
            "dinner",
            "breakfast",
            "restaurant*",
            "coffee",
            "cafe",
            "café",
            "catering",
            "starbucks",
            "pizza",
            "business meal",
            "mittagessen",
            "abendessen",
            "bewirtung",
            "lieferando",
            "snacks",
        ],
    ),
    (
        "hardware",
        &[
            "laptop*",
            "monitor*",
            "computer*",
            "keyboard*",
            "printer*",
            "macbook*",
            "server",
            "headset*",
            "tablet*",
            "phone",
            "iphone",
            "webcam",
            "docking station",
            "hard drive",
            "ssd",
            "drucker",
        ],
    ),
    (
        "shipping",
        &[
            "shipping",
            "postage",
            "dhl",
            "ups",
            "fedex",
            "courier",
            "parcel*",
            "stamps",
            "porto",
            "versand",
            "briefmarken",
        ],
    ),
    ("rent", &["rent", "office space", "coworking", "wework", "miete", "lease of office"]),
    (
        "utilities",
        &[
            "electricity",
            "water bill",
            "gas bill",
            "heating",
            "power bill",
            "waste disposal",
            "strom",
            "heizung",
            "stadtwerke",
        ],
    ),
    (
        "professional_services",
        &[
            "lawyer*",
            "legal",
            "attorney",
            "notary",
            "accountant*",
            "tax advisor*",
            "consult*",
            "freelance*",
            "agency",
            "steuerberater*",
            "anwalt*",
            "notar",
            "translation*",
            "audit*",
        ],
    ),
    ("wages", &["salary", "salaries", "wage*", "payroll", "bonus", "gehalt", "lohn"]),
    (
        "office_supplies",
        &[
            "paper",
            "pens",
            "toner",
            "ink",
            "stationery",
            "office supplies",
            "staples",
            "desk*",
            "chair*",
            "folder*",
            "bürobedarf",
            "papier",
            "cleaning supplies",
            "whiteboard*",
        ],
    ),
];

/// What may be private.
const PERSONAL: [&str; 9] = ["gift*", "netflix", "spotify", "gym", "clothes", "toys", "personal", "private", "cinema"];

/// The answer of `expense_categorization/categorize`.
pub(super) fn categorize(input: &Value) -> Value {
    let expenses = input.get("expenses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut seen: Vec<[String; 4]> = Vec::new();
    let mut totals: BTreeMap<(&str, Option<&str>), (Decimal, u32)> = BTreeMap::new();
    let mut items = Vec::new();
    let mut warnings = Vec::new();
    for (index, expense) in expenses.iter().enumerate() {
        let Some(amount) = expense.get("amount").and_then(Decimal::from_json) else {
            warnings.push(format!("Expense {index} has an amount that cannot be read and was left out."));
            continue;
        };
        let currency = expense.get("currency").and_then(Value::as_str);
        let (category, confidence) = category(expense);
        let identity = ["description", "merchant", "date"].map(|field| fold(text_of(expense, field).trim()));
        let [description, merchant, date] = identity;
        let identity = [description, merchant, date, format!("{} {}", amount.text(2), currency.unwrap_or_default())];
        let duplicate = seen.contains(&identity);
        seen.push(identity);
        let flags = flags(expense, amount, category, duplicate);
        if duplicate {
            warnings.push(format!("Expense {index} is the same as an earlier one."));
        }
        let total = totals.entry((category, currency)).or_insert((Decimal::ZERO, 0));
        *total = (total.0.plus(amount), total.1.saturating_add(1));
        items.push(json!({
            "index": index,
            "description": clip(text_of(expense, "description"), 500),
            "amount": amount.text(2),
            "currency": currency,
            "category": category,
            "confidence": confidence,
            "flags": flags,
        }));
    }
    if expenses.iter().any(|expense| expense.get("currency").is_none()) {
        warnings.push("Some expenses have no currency; they are added up by themselves.".to_owned());
    }
    warnings.truncate(50);
    let totals: Vec<Value> = totals
        .into_iter()
        .map(|((category, currency), (amount, count))| {
            json!({ "category": category, "currency": currency, "amount": amount.text(2), "count": count })
        })
        .collect();
    json!({ "items": items, "totals": totals, "warnings": warnings })
}

fn category(expense: &Value) -> (&'static str, &'static str) {
    let description = fold(text_of(expense, "description"));
    let merchant = fold(text_of(expense, "merchant"));
    let by = |text: &str| {
        let fits = |(_, words): &&(&'static str, &[&str])| words.iter().any(|word| has_phrase(text, word));
        CATEGORIES.iter().find(fits).map(|(category, _)| *category)
    };
    match (by(&description), by(&merchant)) {
        (Some(one), Some(other)) if one == other => (one, "high"),
        (Some(category), _) | (None, Some(category)) => (category, "medium"),
        (None, None) => ("other", "low"),
    }
}

fn flags(expense: &Value, amount: Decimal, category: &str, duplicate: bool) -> Vec<&'static str> {
    let text = fold(&format!("{} {}", text_of(expense, "description"), text_of(expense, "merchant")));
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| has_phrase(&text, phrase));
    let flags = [
        (duplicate, "duplicate"),
        (says(&PERSONAL), "personal"),
        (
            says(&["no receipt", "receipt missing", "lost receipt", "missing receipt", "beleg fehlt", "ohne beleg"]),
            "receipt_missing",
        ),
        (amount >= Decimal::whole(1_000), "high_amount"),
        (amount.is_negative(), "negative"),
        (category == "other", "unclear"),
    ];
    flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect()
}
