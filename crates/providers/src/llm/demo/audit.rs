//! `audit_assistant`: the usual first looks at a list of postings, and the entries that a question is about.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use serde_json::{Value, json};

use super::dates::{self, Order};
use super::decimal::Decimal;
use super::numbers::Point;
use super::summary::telling;
use super::text::{clip, squeeze};
use super::text_of;

const ENTRIES_MAX: usize = 5_000;
const FINDINGS_MAX: usize = 60;
const QUOTED_MAX: usize = 8;
/// Limits from which on payments often need a second signature.
const APPROVAL_LIMITS: [i64; 5] = [1_000, 5_000, 10_000, 50_000, 100_000];

/// A line of the records.
struct Entry<'a> {
    text: &'a str,
    amount: Option<Decimal>,
    date: Option<Date>,
    number: Option<u64>,
    party: String,
    blank: bool,
}

/// The answer of `audit_assistant/ask`.
pub(super) fn ask(input: &Value) -> Value {
    let question = text_of(input, "question");
    let records = text_of(input, "records");
    let point = Point::of(records);
    let lines = records.lines().map(str::trim).filter(|line| !line.is_empty()).take(ENTRIES_MAX);
    let entries: Vec<Entry<'_>> = lines.map(|line| Entry::read(line, point)).collect();
    let mut findings = Vec::new();
    for look in [duplicates, below_limits, round_amounts, weekends, gaps, blanks] {
        findings.extend(look(&entries));
    }
    findings.truncate(FINDINGS_MAX);
    let asked = telling(question);
    let about: Vec<&Entry<'_>> = entries.iter().filter(|entry| concerns(entry, &asked)).collect();
    json!({
        "answer": answer(&entries, &about, findings.len()),
        "findings": findings,
        "nextSteps": next_steps(&entries, &findings),
        "confidence": if entries.is_empty() { "low" } else if about.is_empty() { "medium" } else { "high" },
    })
}

impl<'a> Entry<'a> {
    fn read(text: &'a str, point: Point) -> Self {
        let cells: Vec<&str> = text.split([';', '\t', '|']).map(str::trim).collect();
        let numbers = point.scan(text);
        let amount = numbers.iter().rev().find(|found| found.money && !found.percent);
        let date = match dates::find(text, Order::DayFirst) {
            Some(dates::Found::Sure(date)) => Some(date),
            Some(dates::Found::Ambiguous) | None => None,
        };
        let short = |cell: &&&str| (2..=9).contains(&cell.len()) && cell.chars().all(|c| c.is_ascii_digit());
        let number = cells.iter().find(short).and_then(|cell| cell.parse().ok());
        let worded = |cell: &&&str| cell.chars().filter(|c| c.is_alphabetic()).count() > 2;
        let party = cells.iter().find(worded).map(|cell| squeeze(cell).to_lowercase()).unwrap_or_default();
        let blank = cells.len() > 2 && cells.iter().take(cells.len().saturating_sub(1)).any(|cell| cell.is_empty());
        Self { text, amount: amount.map(|found| found.value), date, number, party, blank }
    }
}

fn finding(title: &str, severity: &str, detail: &str, entry: &Entry<'_>) -> Value {
    json!({ "title": title, "severity": severity, "detail": detail, "reference": clip(entry.text, 450) })
}

fn duplicates(entries: &[Entry<'_>]) -> Vec<Value> {
    let mut first: BTreeMap<(Decimal, &str), &Entry<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in entries {
        let Some(amount) = entry.amount else { continue };
        if let Some(earlier) = first.get(&(amount, entry.party.as_str())) {
            let detail = format!("The same amount and party stand already in: {}", clip(earlier.text, 300));
            findings.push(finding("Possible double payment", "high", &detail, entry));
        } else {
            first.insert((amount, &entry.party), entry);
        }
    }
    findings
}

fn below_limits(entries: &[Entry<'_>]) -> Vec<Value> {
    let near = |entry: &&Entry<'_>| {
        let amount = entry.amount?;
        let limit = APPROVAL_LIMITS.iter().find(|limit| {
            let limit = Decimal::whole(**limit);
            // Within five percent below the limit.
            amount < limit && amount.times(Decimal::whole(100)) >= limit.times(Decimal::whole(95))
        })?;
        let detail = format!("{} is just below {limit}. Ask who approved it and whether it was split.", amount.text(2));
        Some(finding("Amount just below a usual approval limit", "medium", &detail, entry))
    };
    entries.iter().filter_map(|entry| near(&entry)).collect()
}

fn round_amounts(entries: &[Entry<'_>]) -> Vec<Value> {
    let round = |entry: &&Entry<'_>| {
        entry.amount.is_some_and(|amount| {
            let text = amount.abs().text(0);
            text.ends_with("000") && !text.contains('.')
        })
    };
    let detail = "Real prices are seldom this round. Ask for the invoice or the contract behind it.";
    entries.iter().filter(round).map(|entry| finding("Round amount", "low", detail, entry)).collect()
}

fn weekends(entries: &[Entry<'_>]) -> Vec<Value> {
    let found = |entry: &Entry<'_>| {
        let day = match entry.date?.weekday() {
            Weekday::Saturday => "Saturday",
            Weekday::Sunday => "Sunday",
            Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => {
                return None;
            }
        };
        let detail = format!("It was posted on a {day}. Ask who worked that day.");
        Some(finding("Posting at a weekend", "low", &detail, entry))
    };
    entries.iter().filter_map(found).collect()
}

fn gaps(entries: &[Entry<'_>]) -> Vec<Value> {
    let numbered: BTreeMap<u64, &Entry<'_>> = entries.iter().filter_map(|entry| Some((entry.number?, entry))).collect();
    let pairs = numbered.iter().zip(numbered.iter().skip(1));
    pairs
        .filter_map(|((before, _), (after, entry))| {
            let missing = after.checked_sub(*before)?.checked_sub(1)?;
            // A jump of more than a hundred is another sequence.
            let detail = format!("{missing} number(s) are missing between {before} and {after}.");
            (1..=100).contains(&missing).then(|| finding("Gap in the number sequence", "medium", &detail, entry))
        })
        .collect()
}

fn blanks(entries: &[Entry<'_>]) -> Vec<Value> {
    let detail = "A field of the entry is empty. Ask for the text or the receipt.";
    entries.iter().filter(|entry| entry.blank).map(|entry| finding("Missing text", "medium", detail, entry)).collect()
}

/// An entry concerns a question that names its party, or shares two telling words with it.
fn concerns(entry: &Entry<'_>, asked: &[String]) -> bool {
    let shared = telling(entry.text).iter().filter(|word| asked.contains(word)).count();
    let first = entry.party.split_whitespace().next().unwrap_or_default();
    shared > 1 || first.chars().count() > 3 && asked.iter().any(|word| word == first)
}

fn answer(entries: &[Entry<'_>], about: &[&Entry<'_>], findings: usize) -> String {
    if entries.is_empty() {
        return "There are no records to answer from. Add the ledger lines or entries that the question is about."
            .to_owned();
    }
    let told = match about {
        [] => format!("None of the {} entries is plainly about the question.", entries.len()),
        about => {
            let sum = about.iter().filter_map(|entry| entry.amount).fold(Decimal::ZERO, Decimal::plus);
            let quoted: Vec<String> =
                about.iter().take(QUOTED_MAX).map(|entry| format!("- {}", clip(entry.text, 300))).collect();
            let (count, all) = (about.len(), entries.len());
            format!("{count} of {all} entries concern the question, together {}:\n{}", sum.text(2), quoted.join("\n"))
        }
    };
    format!("{told}\nThe first looks at the records gave {findings} finding(s).")
}

fn next_steps(entries: &[Entry<'_>], findings: &[Value]) -> Vec<&'static str> {
    let has = |title: &str| findings.iter().any(|finding| text_of(finding, "title").starts_with(title));
    let steps = [
        (entries.is_empty(), "Export the entries of the period and ask again."),
        (
            has("Possible double"),
            "Compare the invoices behind the double payments and ask for a refund where they are one.",
        ),
        (has("Amount just below"), "Get the approvals of the payments near a limit."),
        (has("Gap"), "Ask the bookkeeper for the missing numbers or for the reason that they are void."),
        (has("Missing text"), "Collect receipts for the entries without text."),
        (has("Posting at") || has("Round"), "Take the remaining findings into the sample."),
        (findings.is_empty() && !entries.is_empty(), "Draw a random sample; the first looks found nothing."),
    ];
    steps.into_iter().filter(|(due, _)| *due).map(|(_, step)| step).collect()
}
