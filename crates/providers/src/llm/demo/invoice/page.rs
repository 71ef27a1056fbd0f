//! An invoice as lines of cells, with the labels in them.

use super::super::numbers::{Found as Number, Point};
use super::labels::{Found, Label, Table};

/// How many lines are read; a real invoice has some hundred.
const LINES_MAX: usize = 5_000;
/// How long a line may be, in characters; a longer one is taken as several.
const LINE_CHARS_MAX: usize = 500;

/// A part of a line that stands apart from the rest.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) labels: Vec<Found>,
}

/// A line and its cells; no cells when it is empty.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) cells: Vec<Cell>,
}

/// The whole text.
pub(super) struct Page {
    pub(super) lines: Vec<Line>,
    pub(super) point: Point,
}

/// A label and what may be its value, the nearest first.
pub(super) struct Field<'a> {
    pub(super) label: Label,
    pub(super) line: usize,
    pub(super) cell: usize,
    /// The label stands at the beginning of its cell.
    pub(super) leads: bool,
    /// The words of the label.
    pub(super) name: &'a str,
    pub(super) values: Vec<&'a str>,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let table = Table::new();
        let text = text.replace(['\u{a0}', '\u{202f}', '\u{2009}'], "\u{a0}").replace('\r', "\n");
        let text = without_spaces_in_numbers(&text);
        let lines = text.lines().map(without_commas).flat_map(|line| bounded(&line)).take(LINES_MAX);
        let lines: Vec<Line> = lines.map(|line| Line::read(&line, &table)).collect();
        Self { point: Point::of(&text), lines }
    }

    pub(super) fn numbers(&self, text: &str) -> Vec<Number> {
        self.point.scan(text)
    }

    /// Every field with one of these labels, from top to bottom.
    pub(super) fn fields(&self, wanted: &[Label]) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            for (column, cell) in line.cells.iter().enumerate() {
                for (order, found) in cell.labels.iter().enumerate() {
                    if wanted.contains(&found.label) {
                        fields.push(self.field(at, column, cell, order, *found));
                    }
                }
            }
        }
        fields
    }

    fn field<'a>(&'a self, line: usize, column: usize, cell: &'a Cell, order: usize, found: Found) -> Field<'a> {
        let next = cell.labels.get(order.saturating_add(1)).map_or(cell.text.len(), |next| next.start);
        // A label inside the value, as in "Total (net 30): 5", does not end it.
        let next = if next.saturating_sub(found.end) < 3 { cell.text.len() } else { next };
        let whole = value(cell.text.get(found.end..).unwrap_or_default());
        let own = value(cell.text.get(found.end..next).unwrap_or_default());
        let mut values = vec![own, whole];
        let beside = self.lines.get(line).and_then(|line| line.cells.get(column.saturating_add(1)));
        if whole.is_empty() || !whole.contains(|c: char| c.is_alphanumeric()) || found.label != Label::Title {
            values.extend(beside.filter(|cell| cell.labels.is_empty()).map(|cell| cell.text.as_str()));
            // The last cell of the line is where a form puts its amounts.
            let last = self.lines.get(line).and_then(|line| line.cells.last());
            values.extend(last.filter(|cell| cell.labels.is_empty()).map(|cell| cell.text.as_str()));
        }
        let below = self.lines.get(line.saturating_add(1)).and_then(|line| line.cells.get(column));
        values.extend(
            below.filter(|cell| cell.labels.first().is_none_or(|first| first.start > 0)).map(|cell| cell.text.as_str()),
        );
        values.retain(|value| !value.is_empty());
        let name = cell.text.get(found.start..found.end).unwrap_or_default();
        Field { label: found.label, line, cell: column, leads: found.start == 0, name, values }
    }
}

impl Line {
    fn read(line: &str, table: &Table) -> Self {
        let spaced = line.replace(['\t', '|', ';', '·', '│'], "   ").replace('\u{a0}', " ");
        let mut cells = Vec::new();
        for part in spaced.split("  ") {
            split_at_labels(part.trim(), table, &mut cells);
        }
        Self { text: spaced.trim().to_owned(), cells }
    }

    /// The first label, when the line begins with it.
    pub(super) fn lead(&self) -> Option<Label> {
        let first = self.cells.first()?.labels.first()?;
        (first.start == 0).then_some(first.label)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// "Subtotal: 5, Tax: 1" is two cells: a label begins one after a comma, or when a colon follows it.
fn split_at_labels(part: &str, table: &Table, cells: &mut Vec<Cell>) {
    let labels = table.find(part);
    let begins = |found: &&Found| {
        let before = part.get(..found.start).unwrap_or_default().trim_end();
        let after = part.get(found.end..).unwrap_or_default().trim_start();
        // "Total due date:" is one label after another, not a value before a label.
        let named = labels.iter().any(|other| other.end == before.len());
        found.start > 0 && (before.ends_with(',') || after.starts_with(':')) && !named
    };
    let mut from = 0;
    let cuts = labels.iter().filter(begins).map(|found| found.start).chain([part.len()]);
    for cut in cuts {
        let text = part.get(from..cut).unwrap_or_default().trim().trim_end_matches(',').trim_end().to_owned();
        if !text.is_empty() {
            let labels = table.find(&text);
            cells.push(Cell { text, labels });
        }
        from = cut;
    }
}

/// A line of comma-separated values with columns instead; any other line as it is.
fn without_commas(line: &str) -> String {
    let separates =
        line.contains(",,") || line.split(',').rev().skip(1).any(|cell| cell.ends_with(char::is_alphabetic));
    let values = line.matches(',').count() > 1 && separates && !line.contains(", ") && !line.contains("  ");
    if values { line.replace(',', "   ") } else { line.to_owned() }
}

/// The parts of a line that may have grown without bound.
fn bounded(line: &str) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    if chars.is_empty() {
        return vec![String::new()];
    }
    chars.chunks(LINE_CHARS_MAX).map(|part| part.iter().collect()).collect()
}

/// A value without the punctuation that ties it to its label.
fn value(text: &str) -> &str {
    let text = text.trim().trim_start_matches([':', '=', '#', '.', ' ', '–', '—']);
    text.strip_prefix("- ").unwrap_or(text).trim()
}

/// `1 234,56` with a no-break space is one number.
fn without_spaces_in_numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let inside = |at: usize| {
        chars.get(at) == Some(&'\u{a0}')
            && digit(at.checked_sub(1))
            && (1..=3).all(|ahead| digit(at.checked_add(ahead)))
    };
    chars.iter().enumerate().filter(|(at, _)| !inside(*at)).map(|(_, c)| *c).collect()
}
