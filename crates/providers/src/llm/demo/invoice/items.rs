//! Finds the billed lines of an invoice.

use std::collections::BTreeSet;

use super::super::dates::{self, Order};
use super::super::decimal::Decimal;
use super::super::numbers::Found;
use super::super::text::{clip, fold, squeeze};
use super::Item;
use super::labels::{Found as LabelFound, Label, Table};
use super::page::{Line, Page};

const ITEMS_MAX: usize = 500;
const DESCRIPTION_CHARS_MAX: usize = 900;
/// How many numbers at the end of a line are tried as factors and product.
const NUMBERS_MAX: usize = 16;

/// Words of a table's head, and the column that each names.
const HEADS: [(Column, &str); 6] = [
    (
        Column::Text,
        "description item items product service article details bezeichnung beschreibung leistung artikel produkt text position positionen",
    ),
    (Column::Quantity, "qty quantity menge anzahl hours units stunden anz"),
    (Column::Unit, "unit einheit uom einh"),
    (Column::Price, "price rate einzelpreis preis e-preis cost einzel stückpreis unitprice"),
    (Column::Amount, "amount total gesamt betrag gesamtpreis summe g-preis sum netto net"),
    (Column::Other, "pos no nr # vat tax mwst ust gross brutto discount rabatt sku code art-nr"),
];

const UNITS: &str = "h hr hrs hour hours std std. stunde stunden day days tag tage pcs pc piece pieces stk stk. stück st ea each unit units kg g t l m m2 m² km month months monat monate year years jahr jahre license licenses licence licences lizenz lizenzen user users seat seats box boxes pack packs paket pakete set sets psch pauschal pauschale week weeks woche wochen gb tb";

/// Words that tie a text to its numbers and say nothing by themselves.
const TIES: [&str; 9] = ["x", "X", "of", "à", "at", "zu", "je", "a", "per"];
/// Words after which a sentence says what was bought.
const CLAUSE_WORDS: [&str; 8] = ["for", "and", "plus", "with", "für", "und", "über", "mit"];
/// What stands in a sentence about the invoice before its items.
const ABOUT_THE_INVOICE: [Label; 9] = [
    Label::Title,
    Label::Number,
    Label::IssueDate,
    Label::DueDate,
    Label::Terms,
    Label::Seller,
    Label::Buyer,
    Label::Currency,
    Label::Other,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Text,
    Quantity,
    Unit,
    Price,
    Amount,
    Other,
}

/// The items and the lines that they stand in.
pub(super) fn read(page: &Page) -> (Vec<Item>, BTreeSet<usize>) {
    let head = page.lines.iter().position(|line| columns(line).is_some());
    let order = head.and_then(|at| page.lines.get(at)).and_then(columns).unwrap_or_default();
    let first = head.map_or(0, |at| at.saturating_add(1));
    let mut items: Vec<Item> = Vec::new();
    let mut taken: BTreeSet<usize> = head.into_iter().collect();
    for (at, line) in page.lines.iter().enumerate().skip(first) {
        if ends_table(line) {
            if head.is_some() || !items.is_empty() {
                break;
            }
            continue;
        }
        let found = of_line(page, line, head.is_some(), &order);
        if found.is_empty() {
            let follows = taken.contains(&at.wrapping_sub(1)) && head.is_some();
            if let Some(last) = items.last_mut().filter(|_| follows && continues(page, line)) {
                last.description =
                    clip(&format!("{} {}", last.description, squeeze(&line.text)), DESCRIPTION_CHARS_MAX);
                taken.insert(at);
            }
            continue;
        }
        taken.insert(at);
        items.extend(found);
        if items.len() >= ITEMS_MAX {
            items.truncate(ITEMS_MAX);
            break;
        }
    }
    (items, taken)
}

/// Whether the line is the head of a table.
pub(super) fn is_head(line: &Line) -> bool {
    columns(line).is_some()
}

/// The columns of a table's head: at least two different ones, and no amount in the line.
fn columns(line: &Line) -> Option<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    for word in fold(&line.text).split(|c: char| c.is_whitespace() || matches!(c, '/' | '(' | ')' | ':' | ',')) {
        let word = word.trim_end_matches('.');
        if word.chars().any(|c| c.is_ascii_digit()) {
            return None;
        }
        let Some((column, _)) = HEADS.iter().find(|(_, words)| words.split(' ').any(|head| head == word)) else {
            continue;
        };
        // "Unit price" and "total price" are one column each.
        match (columns.last().copied(), *column) {
            (Some(Column::Unit), Column::Price) => {
                columns.pop();
                columns.push(Column::Price);
            }
            (Some(Column::Amount), Column::Price) | (Some(Column::Price), Column::Unit) => {}
            (Some(last), column) if last == column => {}
            (_, column) => columns.push(column),
        }
    }
    let has = |wanted: Column| columns.contains(&wanted);
    let amount = has(Column::Amount) || has(Column::Price);
    (amount && (has(Column::Text) || has(Column::Quantity)) && columns.len() > 1).then_some(columns)
}

fn ends_table(line: &Line) -> bool {
    let by_label = match line.lead() {
        Some(Label::Subtotal | Label::Total) => true,
        Some(Label::Tax) => line.text.contains(|c: char| c.is_ascii_digit()) && line.cells.len() < 4,
        Some(_) | None => false,
    };
    by_label
        || line
            .cells
            .iter()
            .any(|cell| cell.labels.first().is_some_and(|found| found.start == 0 && found.label == Label::Subtotal))
}

/// A line without numbers under an item is the rest of its text.
fn continues(page: &Page, line: &Line) -> bool {
    !line.is_empty()
        && line.lead().is_none()
        && line.cells.len() == 1
        && page.numbers(&line.text).iter().all(|found| !found.money)
}

fn of_line(page: &Page, line: &Line, in_table: bool, order: &[Column]) -> Vec<Item> {
    if let Some(Label::Discount | Label::Shipping) = line.lead() {
        return product(&line.text, &page.numbers(&line.text), order).into_iter().collect();
    }
    // Several items may share a line: "2x A @ 1.00 = 2.00; 1x B @ 5.00 = 5.00".
    let alone = |text: &str| product(text, &page.numbers(text), order);
    let shared: Vec<Item> = line.cells.iter().filter_map(|cell| alone(&cell.text)).collect();
    if shared.len() > 1 {
        return shared;
    }
    if let Some(item) = alone(&line.text) {
        return vec![item];
    }
    if line.lead().is_some_and(|label| label != Label::Other) {
        return Vec::new();
    }
    let numbers = page.numbers(&line.text);
    let item = if in_table { columnwise(&line.text, &numbers, order) } else { bare(line, &numbers) };
    item.into_iter().collect()
}

/// Three numbers of which the third is the product of the others, or "3 x 5.00" without the product.
fn product(text: &str, numbers: &[Found], order: &[Column]) -> Option<Item> {
    let mut numbers: Vec<Found> = numbers.iter().filter(|found| !found.percent).copied().collect();
    numbers.drain(..numbers.len().saturating_sub(NUMBERS_MAX));
    for (k, amount) in numbers.iter().enumerate().rev() {
        for (j, second) in numbers.iter().enumerate().take(k).rev() {
            for first in numbers.iter().take(j).rev() {
                let exact = first.value.times(second.value);
                if exact.rounded(amount.value.scale().max(2)) != amount.value
                    || !(amount.money || second.money || order.len() > 1)
                {
                    continue;
                }
                let price_first = position(order, Column::Price) < position(order, Column::Quantity)
                    || order.is_empty() && first.money && !second.money;
                let (quantity, price) = if price_first { (second, first) } else { (first, second) };
                return Some(item(text, Some(quantity), Some(price), Some(amount)))
                    .filter(|item| !item.description.is_empty());
            }
        }
    }
    None
}

fn position(order: &[Column], column: Column) -> usize {
    order.iter().position(|known| *known == column).unwrap_or(usize::MAX)
}

/// By the head of the table: as many numbers as number columns, else what the last ones usually are.
fn columnwise(text: &str, numbers: &[Found], order: &[Column]) -> Option<Item> {
    let numbers: Vec<&Found> = numbers.iter().filter(|found| !found.percent).collect();
    let wanted: Vec<Column> = order
        .iter()
        .filter(|column| matches!(column, Column::Quantity | Column::Price | Column::Amount))
        .copied()
        .collect();
    if let ([.., Column::Amount, Column::Other], [Column::Amount], Some(net)) =
        (order, wanted.as_slice(), numbers.first())
    {
        // "Net, VAT, gross": the net amount is the one that adds up to the subtotal.
        return Some(item(text, None, None, Some(*net))).filter(|item| !item.description.is_empty());
    }
    let amount = *numbers.last()?;
    if !amount.money && wanted.len() > numbers.len() {
        return None;
    }
    // A leading position number is one more than the columns.
    let skipped = numbers.len().checked_sub(wanted.len());
    let by_head = skipped.filter(|skipped| *skipped < 2).map(|skipped| {
        let of = |column: Column| {
            wanted
                .iter()
                .zip(numbers.iter().skip(skipped))
                .find(|(known, _)| **known == column)
                .map(|(_, found)| *found)
        };
        item(text, of(Column::Quantity), of(Column::Price), of(Column::Amount))
    });
    let guessed = || {
        let before: Vec<&Found> = numbers.iter().take(numbers.len().saturating_sub(1)).copied().collect();
        let price = before.iter().rev().find(|found| found.money).copied();
        let quantity =
            before.iter().rev().find(|found| !found.money).copied().filter(|_| price.is_some() || before.len() == 1);
        item(text, quantity, price, Some(amount))
    };
    Some(by_head.unwrap_or_else(guessed)).filter(|item| !item.description.is_empty())
}

/// Without a table: a text, then one amount of money at the end of the line.
fn bare(line: &Line, numbers: &[Found]) -> Option<Item> {
    let last = numbers.last().filter(|found| found.money && found.end.saturating_add(2) >= line.text.len())?;
    // "Train from Kiel to Bonn" is a text, "please pay the total of" is not.
    let names_a_field = |found: &LabelFound| match found.label {
        Label::Other | Label::Terms => false,
        Label::Seller | Label::Buyer | Label::Title | Label::Currency | Label::Amount => found.start == 0,
        Label::Number
        | Label::IssueDate
        | Label::DueDate
        | Label::TaxId
        | Label::Subtotal
        | Label::Tax
        | Label::Discount
        | Label::Shipping
        | Label::Total => true,
    };
    if line.cells.iter().any(|cell| cell.labels.iter().any(names_a_field)) {
        return None;
    }
    let item = item(&line.text, None, None, Some(last));
    (item.description.chars().filter(|c| c.is_alphabetic()).count() > 2).then_some(item)
}

fn item(text: &str, quantity: Option<&Found>, price: Option<&Found>, amount: Option<&Found>) -> Item {
    let used = [quantity, price, amount];
    let first = used.iter().flatten().map(|found| found.start).min().unwrap_or(text.len());
    let before = text.get(..first).unwrap_or_default();
    let after = quantity.map_or(text.len(), |found| found.end);
    let next =
        used.iter().flatten().map(|found| found.start).filter(|start| *start >= after).min().unwrap_or(text.len());
    let between = text.get(after..next).unwrap_or_default();
    let (unit, rest) = unit(between);
    let named = |text: &str| text.chars().any(char::is_alphabetic) && !TIES.contains(&text);
    let (own, counted) = (description(own_words(before)), description(&rest));
    // In "…, 2 chairs at 120.00" the words behind the quantity say what is counted.
    let description = if named(&counted) && (begins_clause(before) || !named(&own)) { counted } else { own };
    let value = |found: Option<&Found>| found.map(|found| found.value);
    Item {
        description: clip(&description, DESCRIPTION_CHARS_MAX),
        quantity: value(quantity),
        unit,
        unit_price: value(price),
        amount: value(amount),
    }
}

/// Whether what follows begins anew: a part of a sentence, or what an invoice is for.
fn begins_clause(before: &str) -> bool {
    let before = before.trim_end();
    let last = fold(before.rsplit(' ').next().unwrap_or_default());
    before.ends_with([',', ';', ':', '.', '–', '—']) || CLAUSE_WORDS.contains(&last.as_str())
}

/// The words before an item's numbers without those that speak of the invoice: "Invoice 17 of 3 March 2025, chairs".
fn own_words(before: &str) -> &str {
    let table = Table::new();
    let leads = |clause: &str, labels: &[Label]| {
        let blanks = clause.len().saturating_sub(clause.trim_start().len());
        table.find(clause).first().is_some_and(|found| found.start == blanks && labels.contains(&found.label))
    };
    if !leads(before, &[Label::Title, Label::Number]) {
        return before;
    }
    let mut rest = before;
    while leads(rest, &ABOUT_THE_INVOICE) || dates::find(clause(rest), Order::Unknown).is_some() {
        match rest.split_once([',', ';', ':']) {
            Some((_, after)) if after.contains(char::is_alphabetic) => rest = after,
            _ => return before,
        }
    }
    rest
}

fn clause(text: &str) -> &str {
    text.split([',', ';', ':']).next().unwrap_or_default()
}

/// The unit that stands right behind a quantity, and the text without it.
fn unit(text: &str) -> (Option<String>, String) {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let word = first.trim_matches(|c: char| matches!(c, '(' | ')' | ',' | ':'));
    if !word.is_empty() && UNITS.split(' ').any(|unit| unit == fold(word)) {
        (Some(word.to_owned()), words.collect::<Vec<_>>().join(" "))
    } else {
        (None, squeeze(text))
    }
}

/// Without position number, bullets, and the words and signs that tie a text to its numbers.
fn description(text: &str) -> String {
    let text = squeeze(text);
    let mut text = text.trim_start_matches(['-', '*', '•', '–', '+']).trim_start();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let rest = text.get(digits..).unwrap_or_default();
    if (1..=3).contains(&digits) && rest.starts_with(['.', ')', ' ']) && rest.contains(char::is_alphabetic) {
        text = rest.trim_start_matches(['.', ')', ' ']);
    }
    loop {
        let ties =
            |c: char| c.is_whitespace() || matches!(c, ':' | '-' | '–' | '=' | '@' | '×' | '*' | ',' | '(' | '#');
        let trimmed = text.trim_matches(ties);
        let word = |text: &str, word: &str, front: bool| {
            let (head, tail) = (format!("{word} "), format!(" {word}"));
            let cut = if front { text.strip_prefix(&head) } else { text.strip_suffix(&tail) };
            cut.map(str::len)
        };
        let front = ["x", "X", "of"].iter().find_map(|tie| word(trimmed, tie, true));
        let back = ["x", "à", "at", "zu", "je", "a"].iter().find_map(|tie| word(trimmed, tie, false));
        let shorter = match (front, back) {
            (Some(kept), _) => trimmed.get(trimmed.len().saturating_sub(kept)..),
            (None, Some(kept)) => trimmed.get(..kept),
            (None, None) => None,
        };
        match shorter {
            Some(shorter) => text = shorter,
            None => return trimmed.to_owned(),
        }
    }
}

/// The exact sum of the amounts, when every item has one.
pub(super) fn sum(items: &[Item]) -> Option<Decimal> {
    let add = |sum: Decimal, item: &Item| item.amount.map(|amount| sum.plus(amount));
    (!items.is_empty()).then(|| items.iter().try_fold(Decimal::ZERO, add)).flatten()
}
