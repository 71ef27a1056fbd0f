//! Documents in themselves: read, written, compared.

use serde_json::{Value, json};

use super::difference::{self, Kind};
use super::document::Document;
use super::read;
use crate::app::template::Starter;

fn document(text: &str) -> Document {
    let (document, problems) = read::read(text.as_bytes()).expect("it is YAML");
    problems.refuse().expect("nothing is wrong with it");
    document
}

/// What is wrong with a document, as places with what to do.
fn wrong(text: &str) -> Vec<(String, String)> {
    let refused = match read::read(text.as_bytes()) {
        Ok((_, problems)) => problems.refuse().expect_err("something is wrong with it"),
        Err(error) => error,
    };
    refused.more.fields.into_iter().map(|field| (field.pointer, field.detail)).collect()
}

#[test]
fn what_is_written_is_what_is_read() {
    for starter in Starter::ALL {
        let (name, template) = (starter.name(), starter.template().expect("it reads"));
        let text = template.catalog.to_yaml().expect("it is written");
        let again = document(&text);
        assert_eq!(again.to_yaml().expect("it is written"), text, "{name}");
        let both = [&template.catalog, &again].map(|document| document.to_value().expect("a value"));
        assert_eq!(both[0], both[1], "{name}");
    }
}

/// Texts that a careless writer of YAML changes.
const ODD: [&str; 82] = [
    "",
    " ",
    "a",
    " a",
    "a ",
    "a\n",
    "a\nb",
    "a\n\nb\n",
    "\na",
    "\n",
    "\n\n",
    "a\n\n\n",
    "  a\n b",
    "\ta\nb",
    "a\n\tb",
    "a: b",
    "- a",
    "# a",
    "a # b",
    "a #b",
    "'a'",
    "\"a\"",
    "it's",
    "{a}",
    "[a]",
    "{{ a }}",
    "%a",
    "@a",
    "`a`",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "null",
    "~",
    "true",
    "no",
    "on",
    "y",
    "1",
    "1.0",
    "0x10",
    "1e3",
    ".5",
    "+1",
    "-1",
    "1_000",
    "12:30",
    "2026-11-22",
    "---",
    "...",
    "a\r\nb",
    "a\rb",
    "a\u{85}b",
    "a\u{2028}b",
    "ü",
    "日本",
    "🎉",
    "\u{feff}a",
    "a\\b",
    "a\u{7}b",
    "=",
    "<<",
    "? a",
    ": a",
    "a:",
    "a,",
    "0o17",
    ".inf",
    ".nan",
    "-",
    "--",
    "--- a\nb",
    "... a\nb",
    "a \nb",
    "a\n ",
    "a\n \nb",
    " \na",
    "# a\n# b\n",
    "a\n  b\n    c\n  d\n",
    "trailing  \nspaces \n",
];

#[test]
fn every_text_comes_back_as_it_was() {
    let long = "word ".repeat(60);
    for text in ODD.into_iter().chain([long.as_str(), long.trim()]) {
        let sample = json!({ "text": text, "list": [text, { "deep": text }], text: 1 });
        let mut document = document("components:\n- key: x\n  actions:\n  - { name: run, maxOutputTokens: 1 }\n");
        let action = &mut document.components.as_mut().expect("components")[0].actions[0];
        action.sample = sample;
        text.clone_into(&mut action.system);
        let yaml = document.to_yaml().expect("it is written");
        assert_eq!(self::document(&yaml), document, "{text:?} in\n{yaml}");
    }
}

#[test]
fn each_problem_is_told_with_its_place_and_line() {
    let text = "\
format: 2
currencyy: USD
features:
- { key: calls, name: Calls, kind: counter, colour: red }
- { key: Bad Key, name: Bad, kind: counter }
- { key: other, name: 7, kind: sum }
plans:
- slug: pro
  prices: { month: { USD: 9.99, usd: \"1\" } }
  features:
    calls: { limitValue: many, reset: sometimes, typo: 1 }
";
    let problems = wrong(text);
    let told = |pointer: &str| {
        let found = problems.iter().find(|(place, _)| place == pointer);
        found.unwrap_or_else(|| panic!("{pointer} is not among {problems:#?}")).1.as_str()
    };
    assert!(told("/format").starts_with("line 1: "));
    assert!(told("/currencyy").contains("line 2: leave it out; known here: format, currency"));
    assert!(told("/features/0/colour").starts_with("line 4: leave it out; known here: key, name"));
    assert!(told("/features/1/key").starts_with("line 5: "));
    assert!(told("/features/2/kind").contains("use one of counter, gauge, flag, credit"));
    assert!(told("/features/2/name").contains("use a text; this is a whole number"));
    assert!(told("/plans/0/prices/month/USD").contains("line 9: use a decimal number in quotes"));
    assert!(told("/plans/0/features/calls/limitValue").starts_with("line 11: use a whole number"));
    assert!(told("/plans/0/features/calls/reset").contains("use one of minute"));
    assert!(told("/plans/0/features/calls/typo").contains("leave it out"));
    assert!(!problems.iter().any(|(_, detail)| detail.contains("add `")), "{problems:#?}");
}

#[test]
fn a_small_text_cannot_be_a_large_document() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    for (text, told) in [
        (bomb, "anchors (&) and aliases (*) are not read here"),
        ("plans: []\nplans: []\n", "line 2"),
        ("plans: [", "line "),
        ("- a\n", "write an object with the sections"),
        ("a: {<<: {b: 1}}\n", "merge keys"),
        ("--- {}\n--- {}\n", ""),
        (&format!("x: {}{}", "[".repeat(70), "]".repeat(70)), "nest at most 64 deep"),
    ] {
        let problems = wrong(text);
        assert!(problems.len() == 1 && problems[0].1.contains(told), "{text}: {problems:?}");
        assert!(!problems[0].1.contains('\n') && !problems[0].1.contains("serde"), "{problems:?}");
    }
    for empty in ["", "\n", "# nothing\n", "{}", "---\n"] {
        assert_eq!(wrong(empty)[0].1, "write an object with the sections of the catalog, such as plans", "{empty:?}");
    }
}

/// Documents that differ in everything that a document can differ in.
fn some() -> Vec<Document> {
    let mut documents: Vec<_> =
        [Starter::Halisoft, Starter::Studio].map(|starter| starter.template().expect("it reads").catalog).into();
    let edits: [fn(&mut Document); 6] = [
        |d| d.plans.as_mut().expect("plans")[0].name = "Other".into(),
        |d| drop(d.features.as_mut().expect("features").pop()),
        |d| d.plans.as_mut().expect("plans")[0].position = Some(9),
        |d| d.components.as_mut().expect("components")[0].actions[0].system.push_str("More.\n"),
        |d| d.plans.as_mut().expect("plans")[1].archived = true,
        |d| d.model_prices.as_mut().expect("prices")[0].prompt_tokens_over = 7,
    ];
    for edit in edits {
        let mut edited = documents[0].clone();
        edit(&mut edited);
        documents.push(edited);
    }
    documents
}

#[test]
fn nothing_differs_from_itself_and_everything_else_does() {
    let documents = some();
    for (number, one) in documents.iter().enumerate() {
        for (place, other) in documents.iter().enumerate() {
            let changes = difference::between(one, other).expect("they compare");
            assert_eq!(changes.is_empty(), number == place, "{number} and {place}: {changes:#?}");
            let told = difference::told(&changes, false);
            assert_eq!(told == "The catalog is what the document says.\n", number == place, "{told}");
        }
        assert!(difference::between(one, &Document::default()).expect("they compare").is_empty(), "nothing is said");
    }
}

#[test]
fn what_changes_is_told_by_its_member_and_line() {
    let [one, mut other] = [0, 0].map(|number: usize| some().swap_remove(number));
    let plan = &mut other.plans.as_mut().expect("plans")[0];
    let price = plan.prices.month.values_mut().next().expect("dollars");
    price.0 = "349.00".into();
    let action = &mut other.components.as_mut().expect("components")[0].actions[0];
    action.system = action.system.replace("Never guess", "Do not guess");
    let changes = difference::between(&one, &other).expect("they compare");
    let told = difference::told(&changes, false);
    assert!(told.contains("~ plan starter\n    prices/month/USD: \"299.00\" → \"349.00\"\n"), "{told}");
    assert!(told.contains("~ component invoice_ocr\n    actions/analyze/system: \n      - 1. Take"), "{told}");
    assert!(told.contains("\n      + 1. Take"), "{told}");
    assert!(told.ends_with("0 to add, 2 to change, 0 to archive, 0 not in the document\n"), "{told}");
    let kept = difference::between(&one, &Document { plans: Some(Vec::new()), ..Document::default() });
    let kept = kept.expect("they compare");
    assert!(kept.len() == 3 && kept.iter().all(|change| change.kind == Kind::Kept), "{kept:#?}");
    let added = difference::between(&Document::default(), &one).expect("they compare");
    assert!(added.iter().filter(|change| change.kind == Kind::Added).count() > 10);
    assert!(added.iter().all(|change| change.fields.iter().all(|field| field.before == Value::Null)));
}
