//! The text of a PDF in reading order, with columns kept apart.
//!
//! Positions are whole millionths of a point, so that no float is calculated with.

use std::collections::BTreeMap;

use lopdf::content::{Content, Operation};
use lopdf::{Document, Encoding, LoadOptions, Object, ObjectId};

use super::text::squeeze;

const PAGES_MAX: usize = 50;
const FRAGMENTS_MAX: usize = 50_000;
/// How large one stream may become, in bytes; a page of text has some thousand.
const STREAM_BYTES_MAX: usize = 8 << 20;
const SAVED_STATES_MAX: usize = 64;
const ONE: i128 = 1_000_000;

/// The file is damaged, encrypted or too large.
#[derive(Debug)]
pub(super) struct Unreadable;

/// The text, one line per line of the page; three spaces stand between columns.
pub(super) fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    let options = LoadOptions { max_decompressed_size: Some(STREAM_BYTES_MAX), ..LoadOptions::default() };
    let document = Document::load_mem_with_options(bytes, options).map_err(|_| Unreadable)?;
    if document.is_encrypted() {
        return Err(Unreadable);
    }
    let mut text = String::new();
    for page in document.page_iter().take(PAGES_MAX) {
        let fragments = fragments(&document, page)?;
        text.push_str(&lines(fragments));
        text.push('\n');
    }
    Ok(text)
}

/// A piece of text where it begins.
struct Fragment {
    x: i128,
    y: i128,
    size: i128,
    text: String,
}

fn fragments(document: &Document, page: ObjectId) -> Result<Vec<Fragment>, Unreadable> {
    let fonts = document.get_page_fonts(page).map_err(|_| Unreadable)?;
    let encodings = fonts
        .into_iter()
        .filter_map(|(name, font)| Some((name, font.get_font_encoding_with_limit(document, STREAM_BYTES_MAX).ok()?)))
        .collect();
    let content = document.get_page_content_with_limit(page, STREAM_BYTES_MAX).map_err(|_| Unreadable)?;
    let content = Content::decode(&content).map_err(|_| Unreadable)?;
    let mut pen = Pen { encodings, ..Pen::default() };
    for operation in &content.operations {
        pen.apply(operation);
        if pen.fragments.len() > FRAGMENTS_MAX {
            return Err(Unreadable);
        }
    }
    Ok(pen.fragments)
}

/// `[a b c d e f]` as PDF has it.
#[derive(Clone, Copy)]
struct Matrix([i128; 6]);

impl Default for Matrix {
    fn default() -> Self {
        Self([ONE, 0, 0, ONE, 0, 0])
    }
}

impl Matrix {
    fn read(operands: &[Object]) -> Option<Self> {
        let numbers: Vec<i128> = operands.iter().map(fixed).collect();
        numbers.try_into().ok().map(Self)
    }

    /// `self`, then `next`.
    fn then(self, next: Self) -> Self {
        let [right_x, right_y, up_x, up_y, x, y] = self.0;
        let [next_right_x, next_right_y, next_up_x, next_up_y, next_x, next_y] = next.0;
        let turn = |x: i128, y: i128| {
            let part = |x_factor: i128, y_factor: i128| {
                x.saturating_mul(x_factor).saturating_add(y.saturating_mul(y_factor)) / ONE
            };
            (part(next_right_x, next_up_x), part(next_right_y, next_up_y))
        };
        let ((right_x, right_y), (up_x, up_y), (x, y)) = (turn(right_x, right_y), turn(up_x, up_y), turn(x, y));
        Self([right_x, right_y, up_x, up_y, x.saturating_add(next_x), y.saturating_add(next_y)])
    }

    fn shift(x: i128, y: i128) -> Self {
        Self([ONE, 0, 0, ONE, x, y])
    }
}

/// What a page's operators have set so far.
#[derive(Default)]
struct Pen<'a> {
    encodings: BTreeMap<Vec<u8>, Encoding<'a>>,
    font: Vec<u8>,
    size: i128,
    leading: i128,
    page: Matrix,
    saved: Vec<Matrix>,
    line: Matrix,
    moved: bool,
    fragments: Vec<Fragment>,
}

impl Pen<'_> {
    fn apply(&mut self, operation: &Operation) {
        let operands = operation.operands.as_slice();
        match (operation.operator.as_str(), operands) {
            ("q", _) if self.saved.len() < SAVED_STATES_MAX => self.saved.push(self.page),
            ("Q", _) => self.page = self.saved.pop().unwrap_or_default(),
            ("cm", _) => self.page = Matrix::read(operands).unwrap_or_default().then(self.page),
            ("BT", _) => self.place(Matrix::default()),
            ("Tf", [Object::Name(font), size]) => {
                self.font.clone_from(font);
                self.size = fixed(size);
            }
            ("TL", [leading]) => self.leading = fixed(leading),
            ("Tm", _) => self.place(Matrix::read(operands).unwrap_or_default()),
            ("Td", [x, y]) => self.step(fixed(x), fixed(y)),
            ("TD", [x, y]) => {
                self.leading = fixed(y).saturating_neg();
                self.step(fixed(x), fixed(y));
            }
            ("T*", _) => self.step(0, self.leading.saturating_neg()),
            ("Tj", [text]) => self.show(std::slice::from_ref(text)),
            ("TJ", [Object::Array(texts)]) => self.show(texts),
            ("'", [text]) | ("\"", [_, _, text]) => {
                self.step(0, self.leading.saturating_neg());
                self.show(std::slice::from_ref(text));
            }
            _ => {}
        }
    }

    fn place(&mut self, matrix: Matrix) {
        self.line = matrix;
        self.moved = true;
    }

    fn step(&mut self, x: i128, y: i128) {
        self.place(Matrix::shift(x, y).then(self.line));
    }

    fn show(&mut self, texts: &[Object]) {
        let mut shown = String::new();
        for text in texts {
            if let Object::String(bytes, _) = text {
                let encoding = self.encodings.get(&self.font);
                let decoded = encoding.and_then(|encoding| Document::decode_text(encoding, bytes).ok());
                shown.push_str(&decoded.unwrap_or_else(|| bytes.iter().copied().map(char::from).collect()));
            } else if fixed(text) < -200 * ONE {
                // A step on by a fifth of the letter height and more is how some writers set a space.
                shown.push(' ');
            }
        }
        let Matrix([_, _, _, height, x, y]) = self.line.then(self.page);
        let size = self.size.saturating_mul(height).saturating_abs() / ONE;
        let continued = self.fragments.last_mut().filter(|_| !self.moved);
        match continued {
            Some(last) => last.text.push_str(&shown),
            None => self.fragments.push(Fragment { x, y, size, text: shown }),
        }
        self.moved = false;
    }
}

/// A PDF number in millionths, by its decimal writing.
fn fixed(object: &Object) -> i128 {
    if let Object::Integer(whole) = object {
        i128::from(*whole).saturating_mul(ONE)
    } else if let Object::Real(real) = object {
        format!("{real:.6}").replace('.', "").parse().unwrap_or_default()
    } else {
        0
    }
}

fn lines(mut fragments: Vec<Fragment>) -> String {
    fragments.retain(|fragment| !fragment.text.trim().is_empty());
    fragments.sort_by_key(|fragment| (std::cmp::Reverse(fragment.y), fragment.x));
    let mut lines: Vec<Vec<Fragment>> = Vec::new();
    for fragment in fragments {
        let near = |line: &&mut Vec<Fragment>| {
            line.first().is_some_and(|first| first.y.saturating_sub(fragment.y) <= first.size.max(fragment.size) / 3)
        };
        match lines.last_mut().filter(near) {
            Some(line) => line.push(fragment),
            None => lines.push(vec![fragment]),
        }
    }
    let mut text = String::new();
    let mut above: Option<(i128, i128)> = None;
    for line in lines {
        let Some((y, size)) = line.first().map(|first| (first.y, first.size)) else { continue };
        // A gap of more than two lines is an empty line.
        if above.is_some_and(|(above, height)| above.saturating_sub(y) > height.max(size).saturating_mul(2)) {
            text.push('\n');
        }
        above = Some((y, size));
        text.push_str(&joined(line));
        text.push('\n');
    }
    text
}

fn joined(mut line: Vec<Fragment>) -> String {
    line.sort_by_key(|fragment| fragment.x);
    let mut text = String::new();
    let mut end: Option<i128> = None;
    for fragment in line {
        let gap = end.map_or(0, |end| fragment.x.saturating_sub(end));
        if gap > fragment.size.saturating_mul(3) / 2 {
            text.push_str("   ");
        } else if gap > fragment.size / 6 {
            text.push(' ');
        }
        end = Some(fragment.x.saturating_add(width(&fragment.text, fragment.size)));
        // Spaces inside a fragment may set a table in a fixed font, so runs of them are kept as a column gap.
        let cells: Vec<String> = fragment.text.split("   ").map(squeeze).filter(|cell| !cell.is_empty()).collect();
        let open = if fragment.text.starts_with(' ') && !text.ends_with(' ') && !text.is_empty() { " " } else { "" };
        let close = if fragment.text.ends_with(' ') { " " } else { "" };
        text.push_str(open);
        text.push_str(&cells.join("   "));
        text.push_str(close);
    }
    text
}

/// About the width of a text in a usual font.
fn width(text: &str, size: i128) -> i128 {
    let hundredths = text.chars().map(|c| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '(' | ')' | '/' => 28,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 85,
        c if c.is_uppercase() => 68,
        _ => 54,
    });
    size.saturating_mul(hundredths.sum::<i128>()) / 100
}
