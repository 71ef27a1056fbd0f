//! Who sends an invoice and who is to pay it.

use super::super::text::{clip, squeeze};
use super::labels::Label;
use super::page::{Field, Line, Page};
use super::{Party, items};

const BLOCK_LINES_MAX: usize = 6;
/// A sender who is not named by then is not named at the top.
const LETTERHEAD_LINES_MAX: usize = 12;
const NAME_CHARS_MAX: usize = 250;
const ADDRESS_CHARS_MAX: usize = 450;

/// Seller and buyer.
pub(super) fn read(page: &Page) -> (Party, Party) {
    let seller = labeled(page, Label::Seller);
    let buyer = labeled(page, Label::Buyer);
    let (mut seller, seller_end) = match seller {
        Some(party) => (party, 0),
        None => letterhead(page),
    };
    let buyer_line = buyer.as_ref().map(|(_, line)| *line);
    let mut buyer = match buyer {
        Some((party, _)) => party,
        None => window(page, seller_end),
    };
    for (at, id) in tax_ids(page) {
        let of_buyer =
            buyer_line.is_some_and(|line| (line..line.saturating_add(BLOCK_LINES_MAX)).contains(&at) && at > line);
        let party = if of_buyer && buyer.tax_id.is_none() { &mut buyer } else { &mut seller.0 };
        party.tax_id.get_or_insert(id);
    }
    (seller.0, buyer)
}

/// A party and the line of its label.
type Labeled = (Party, usize);

fn labeled(page: &Page, label: Label) -> Option<Labeled> {
    let fields = page.fields(&[label]);
    // "From" inside a sentence counts only when nothing stands under a label of its own, and beside "invoice".
    let titled = |field: &&Field<'_>| {
        let line = page.lines.get(field.line);
        let labels = line.into_iter().flat_map(|line| &line.cells).flat_map(|cell| &cell.labels);
        labels.into_iter().any(|found| matches!(found.label, Label::Title | Label::Number))
    };
    let of = |leads: bool| {
        let fields = fields.iter().filter(|field| field.leads == leads && (leads || titled(field)));
        fields.into_iter().find_map(|field| {
            let party = if leads { block(page, field) } else { inline(field.values.first()?, true) };
            party.map(|party| (party, field.line))
        })
    };
    of(true).or_else(|| of(false))
}

/// The value beside the label and the lines under it, in the same column, up to an empty line or another field.
fn block(page: &Page, field: &Field<'_>) -> Option<Party> {
    let cell = page.lines.get(field.line)?.cells.get(field.cell)?;
    let own = cell.text.get(field.name.len()..).unwrap_or_default().trim().trim_start_matches([':', '-', ' ']).trim();
    let mut lines: Vec<String> = Vec::new();
    if own.contains(char::is_alphabetic) {
        lines.push(own.to_owned());
    } else if field.cell > 0 || page.lines.get(field.line)?.cells.len() == 1 {
        // Nothing beside it: the block stands below.
    } else if let Some(beside) = page.lines.get(field.line)?.cells.get(1).filter(|cell| cell.labels.is_empty()) {
        lines.push(beside.text.clone());
    }
    for line in page.lines.iter().skip(field.line.saturating_add(1)).take(BLOCK_LINES_MAX) {
        if line.is_empty() || (line.lead().is_some() && field.cell == 0) {
            break;
        }
        let Some(cell) = line.cells.get(field.cell) else {
            if field.cell == 0 {
                break;
            }
            continue;
        };
        if cell.labels.first().is_some_and(|found| found.start == 0) {
            break;
        }
        lines.push(cell.text.clone());
    }
    match lines.as_slice() {
        [] => None,
        [one] => inline(one, false),
        [name, address @ ..] => {
            Some(Party::new(&clip(name, NAME_CHARS_MAX), &clip(&address.join(", "), ADDRESS_CHARS_MAX)))
        }
    }
}

/// "Acme Corp, 12 Main Street" has an address behind the comma; "Acme, Inc." has not.
fn inline(value: &str, sentence: bool) -> Option<Party> {
    let value = squeeze(value);
    let value = value.trim_end_matches(['.', ',']);
    let first = value.chars().next()?;
    if !first.is_alphanumeric() || sentence && !first.is_uppercase() {
        return None;
    }
    let end = if sentence {
        [" for ", " to ", " dated ", " on "].iter().filter_map(|word| value.find(word)).min()
    } else {
        None
    };
    let value = value.get(..end.unwrap_or(value.len())).unwrap_or(value);
    let parted = value.split_once(", ").filter(|(_, rest)| rest.contains(|c: char| c.is_ascii_digit()));
    let (name, address) = parted.unwrap_or((value, ""));
    Some(Party::new(&clip(name, NAME_CHARS_MAX), &clip(address, ADDRESS_CHARS_MAX)))
}

/// The first lines of a letter, and the line where they end.
fn letterhead(page: &Page) -> ((Party, usize), usize) {
    let start = page.lines.iter().position(names_someone);
    let table = page.lines.iter().position(items::is_head).unwrap_or(usize::MAX);
    let Some(start) = start.filter(|start| *start < table.min(LETTERHEAD_LINES_MAX)) else {
        return ((Party::default(), 0), 0);
    };
    let mut lines: Vec<&str> = Vec::new();
    let mut end = start;
    for line in page.lines.iter().skip(start).take(BLOCK_LINES_MAX) {
        let cell = line.cells.iter().find(|cell| !cell.labels.iter().any(|found| found.start == 0));
        let (Some(cell), true) = (cell, lines.is_empty() || line.lead().is_none()) else { break };
        end = end.saturating_add(1);
        lines.push(&cell.text);
        // A sender's line above the window has everything in one line.
        if lines.len() == 1 && line.cells.len() > 2 {
            lines.extend(line.cells.iter().skip(1).map(|cell| cell.text.as_str()));
            break;
        }
    }
    let party = match lines.as_slice() {
        [] => Party::default(),
        [one] => inline(one, false).unwrap_or_default(),
        [name, address @ ..] => Party::new(&clip(name, NAME_CHARS_MAX), &clip(&address.join(", "), ADDRESS_CHARS_MAX)),
    };
    ((party, start), end)
}

fn names_someone(line: &Line) -> bool {
    let Some(cell) = line.cells.first() else { return false };
    let free = !cell.labels.iter().any(|found| found.start == 0)
        && cell.labels.iter().all(|found| found.label == Label::Other);
    free && cell.text.chars().filter(|c| c.is_alphabetic()).count() > 2 && cell.text.chars().count() < 100
}

/// The address in the window of a letter: a block of plain lines with a postal code, under the sender.
fn window(page: &Page, from: usize) -> Party {
    let mut block: Vec<&str> = Vec::new();
    for line in page.lines.iter().skip(from).take(20) {
        let plain = line.cells.len() == 1 && names_any(line);
        if plain {
            block.extend(line.cells.first().map(|cell| cell.text.as_str()));
            continue;
        }
        if let ([name, address @ ..], true) =
            (block.as_slice(), block.len() > 1 && block.iter().any(|line| has_postal_code(line)))
        {
            return Party::new(&clip(name, NAME_CHARS_MAX), &clip(&address.join(", "), ADDRESS_CHARS_MAX));
        }
        block.clear();
        if !line.is_empty() && line.lead().is_some_and(|label| label == Label::Subtotal || label == Label::Total) {
            break;
        }
    }
    Party::default()
}

fn names_any(line: &Line) -> bool {
    line.cells.first().is_some_and(|cell| cell.labels.is_empty() && cell.text.chars().count() < 80)
}

fn has_postal_code(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    (4..=5).contains(&first.len()) && first.chars().all(|c| c.is_ascii_digit()) && words.next().is_some()
}

/// The tax ids with their lines.
fn tax_ids(page: &Page) -> Vec<(usize, String)> {
    let read = |value: &&str| {
        let kept: String =
            value.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '/' | '.')).collect();
        let id = squeeze(&kept);
        let digits = id.chars().filter(char::is_ascii_digit).count();
        let amount = page.numbers(value).iter().any(|found| found.money || found.percent);
        (digits > 5 && id.len() < 30 && !amount).then_some(id)
    };
    let fields = page.fields(&[Label::TaxId, Label::Tax]);
    fields.iter().filter_map(|field| Some((field.line, field.values.first().and_then(read)?))).collect()
}
