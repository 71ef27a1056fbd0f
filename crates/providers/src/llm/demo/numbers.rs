//! Finds amounts, quantities and percentages in a line, whichever separators the document uses.

use super::decimal::Decimal;
use super::text::fold;

/// Currencies that are recognized by their code.
pub(super) const CURRENCIES: [&str; 34] = [
    "EUR", "USD", "GBP", "CHF", "JPY", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "BGN",
    "TRY", "INR", "CNY", "HKD", "SGD", "KRW", "BRL", "MXN", "ZAR", "AED", "SAR", "ILS", "THB", "IDR", "MYR", "PHP",
    "UAH", "ISK",
];

/// The sign that stands before the fraction in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Dot,
    Comma,
    Unknown,
}

/// A number in a line, with the byte range that it takes, currency and percent signs included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) value: Decimal,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) percent: bool,
    /// It has a currency beside it or two digits behind the point.
    pub(super) money: bool,
}

impl Point {
    /// The habit of a document, by the numbers in it that leave no doubt.
    pub(super) fn of(text: &str) -> Self {
        let (mut dots, mut commas) = (0_u32, 0_u32);
        for raw in text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')) {
            let raw = raw.trim_end_matches(['.', ',']);
            let Some(at) = raw.rfind(['.', ',']) else { continue };
            let (whole, fraction) = raw.split_at_checked(at).unwrap_or((raw, ""));
            let sign = fraction.chars().next();
            let several = whole.contains(['.', ',']);
            let mixed = several && sign.is_some_and(|sign| !whole.contains(sign));
            if whole.is_empty() || (fraction.len() != 3 && !mixed) || (several && !mixed) {
                continue;
            }
            match sign {
                Some('.') => dots += 1,
                _ => commas += 1,
            }
        }
        match dots.cmp(&commas) {
            std::cmp::Ordering::Greater => Self::Dot,
            std::cmp::Ordering::Less => Self::Comma,
            std::cmp::Ordering::Equal => Self::Unknown,
        }
    }

    /// Reads digits with separators; `None` for what is no number, such as a date with points.
    fn read(self, raw: &str, negative: bool) -> Option<Decimal> {
        let raw = raw.replace(['\'', '’'], "");
        let Some(last) = raw.rfind(['.', ',']) else { return Decimal::from_digits(negative, &raw, "") };
        let (whole, tail) = raw.split_at_checked(last)?;
        let sign = tail.chars().next()?;
        let fraction = tail.get(1..)?;
        let earlier: Vec<&str> = whole.split(['.', ',']).collect();
        let grouped =
            earlier.iter().skip(1).all(|group| group.len() == 3) && earlier.first().is_some_and(|g| g.len() <= 3);
        let same = whole.contains(sign);
        let other = whole.contains(if sign == '.' { ',' } else { '.' });
        if !grouped && earlier.len() > 1 || same && (other || fraction.len() != 3) {
            return None;
        }
        let fits_group =
            fraction.len() == 3 && earlier.first().is_some_and(|group| (1..=3).contains(&group.len()) && *group != "0");
        let here = if sign == '.' { Self::Dot } else { Self::Comma };
        let thousands = same || (fits_group && !other && self != here);
        let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
        if thousands {
            Decimal::from_digits(negative, &format!("{digits}{fraction}"), "")
        } else {
            Decimal::from_digits(negative, &digits, fraction)
        }
    }

    /// All numbers of a line, in order. Parts of dates, codes and phone numbers are none.
    pub(super) fn scan(self, line: &str) -> Vec<Found> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(offset) = line.get(from..).and_then(|rest| rest.find(|c: char| c.is_ascii_digit())) {
            let start = from.saturating_add(offset);
            let end = end_of_number(line, start);
            from = end;
            if let Some(code_end) = end_of_code(line, start, end) {
                from = code_end;
                continue;
            }
            found.extend(self.surrounded(line, start, end));
        }
        found
    }

    fn surrounded(self, line: &str, start: usize, end: usize) -> Option<Found> {
        let raw = line.get(start..end)?;
        let (before, after) = (line.get(..start)?, line.get(end..)?);
        let bare = strip_currency_end(before);
        let mut opening = bare.trim_end_matches(['-', '−', '(']);
        let signs = bare.get(opening.len()..).unwrap_or_default();
        // A sign may also stand before the currency, or the currency before the sign.
        let outer = strip_currency_end(opening);
        let marked_before = bare.len() < before.len() || outer.len() < opening.len();
        opening = outer;
        let closing = strip_currency_start(after);
        let marked = marked_before || closing.len() < after.len();
        let bracketed = signs.contains('(') && closing.trim_start().starts_with(')');
        let trailing_minus =
            closing.starts_with('-') && !closing.get(1..).is_some_and(|c| c.starts_with(char::is_alphanumeric));
        let spaced_minus = signs.contains(['-', '−']) && !bare.ends_with(' ');
        let percent = closing.trim_start().starts_with('%');
        let value = self.read(raw, spaced_minus || (bracketed && !percent) || (trailing_minus && marked))?;
        let kept = if signs.is_empty() && !marked_before { before.len() } else { opening.len() };
        let rest = if percent { closing.trim_start().get(1..).unwrap_or_default() } else { closing };
        Some(Found {
            value,
            start: kept,
            end: line.len().saturating_sub(rest.len()),
            percent,
            money: !percent && (marked || value.scale() == 2),
        })
    }
}

fn end_of_number(line: &str, start: usize) -> usize {
    let mut end = start;
    let mut chars = line.get(start..).unwrap_or_default().chars().peekable();
    while let Some(c) = chars.next() {
        let joins = matches!(c, '.' | ',' | '\'' | '’') && chars.peek().is_some_and(char::is_ascii_digit);
        if !c.is_ascii_digit() && !joins {
            break;
        }
        end = end.saturating_add(c.len_utf8());
    }
    end
}

/// Where a date, code or phone number ends that the digits from `start` to `end` are a part of.
fn end_of_code(line: &str, start: usize, end: usize) -> Option<usize> {
    let before = line.get(..start)?;
    let after = line.get(end..)?;
    let last = before.chars().next_back();
    let letters = before.trim_end_matches(|c: char| c.is_alphabetic());
    let glued = before.get(letters.len()..).unwrap_or_default();
    let prefixed = !glued.is_empty() && !is_currency(glued) && !matches!(fold(glued).as_str(), "x" | "×");
    let joined = last.is_some_and(|c| matches!(c, '#' | '_' | '/' | ':' | '+'))
        || last == Some('-') && before.chars().rev().nth(1).is_some_and(char::is_alphanumeric);
    let mut next = after.chars();
    let (first, second) = (next.next(), next.next());
    let goes_on = first.is_some_and(|c| matches!(c, '-' | '/' | ':' | '_'))
        && second.is_some_and(char::is_alphanumeric)
        && !(first == Some('/') && second.is_some_and(char::is_alphabetic));
    if !(prefixed || joined || goes_on) {
        return None;
    }
    let length =
        after.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '/' | ':' | '_' | '.'))).unwrap_or(after.len());
    Some(end.saturating_add(length))
}

fn is_currency(word: &str) -> bool {
    CURRENCIES.contains(&word) || matches!(word, "Fr" | "kr" | "zł" | "US" | "Euro" | "euro" | "euros" | "dollars")
}

fn strip_currency_end(text: &str) -> &str {
    let trimmed = text.strip_suffix(' ').unwrap_or(text);
    if let Some(rest) = trimmed.strip_suffix(['€', '$', '£', '¥', '₹']) {
        return rest.strip_suffix("US").unwrap_or(rest);
    }
    let trimmed_dot = trimmed.strip_suffix('.').unwrap_or(trimmed);
    let letters = trimmed_dot.trim_end_matches(|c: char| c.is_alphabetic());
    let word = trimmed_dot.get(letters.len()..).unwrap_or_default();
    if is_currency(word) { letters } else { text }
}

fn strip_currency_start(text: &str) -> &str {
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    let trimmed = trimmed.strip_prefix(",-").or_else(|| trimmed.strip_prefix(",--")).unwrap_or(trimmed);
    if let Some(rest) = trimmed.strip_prefix(['€', '$', '£', '¥', '₹']) {
        return rest;
    }
    let rest = trimmed.trim_start_matches(|c: char| c.is_alphabetic());
    let word = trimmed.get(..trimmed.len().saturating_sub(rest.len())).unwrap_or_default();
    if is_currency(word) { rest } else { text }
}

/// The currency that a text names, by code before sign.
pub(super) fn currency_of(text: &str) -> Option<&'static str> {
    let mut counts: Vec<(usize, &'static str)> = Vec::new();
    for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
        if let Some(code) = CURRENCIES.iter().find(|code| **code == word) {
            match counts.iter_mut().find(|(_, known)| known == code) {
                Some((count, _)) => *count += 1,
                None => counts.push((1, code)),
            }
        }
    }
    // The first of the most frequent ones.
    if let Some((_, code)) = counts.iter().rev().max_by_key(|(count, _)| *count) {
        return Some(code);
    }
    let signs = [('€', "EUR"), ('£', "GBP"), ('₹', "INR"), ('$', "USD"), ('¥', "JPY")];
    let folded = fold(text);
    signs
        .iter()
        .find(|(sign, _)| text.contains(*sign))
        .map(|(_, code)| *code)
        .or_else(|| folded.contains("euro").then_some("EUR"))
        .or_else(|| folded.contains("zł").then_some("PLN"))
}

/// Digits behind the point that amounts of a currency have.
pub(super) fn currency_digits(currency: Option<&str>) -> u32 {
    match currency {
        Some("JPY" | "KRW" | "ISK") => 0,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(point: Point, line: &str) -> Vec<String> {
        let written = |found: Found| {
            let mark = if found.percent {
                "%"
            } else if found.money {
                "$"
            } else {
                ""
            };
            format!("{}{mark}", found.value.text(0))
        };
        point.scan(line).into_iter().map(written).collect()
    }

    #[test]
    fn the_habit_of_a_document_is_seen() {
        assert_eq!(Point::of("Total 1,190.00 and 5.50"), Point::Dot);
        assert_eq!(Point::of("Summe 1.190,00 und 5,50"), Point::Comma);
        assert_eq!(Point::of("1.000 pieces"), Point::Unknown);
        assert_eq!(Point::of("am 15.01.2025"), Point::Unknown);
    }

    #[test]
    fn amounts_are_read_in_every_usual_writing() {
        assert_eq!(scan(Point::Unknown, "$1,234.50 1.234,50 EUR 1'234.50 CHF"), ["1234.5$", "1234.5$", "1234.5$"]);
        assert_eq!(scan(Point::Comma, "1.500 Stück à 0,125 €"), ["1500", "0.125$"]);
        assert_eq!(scan(Point::Dot, "1,500 pcs at 0.125"), ["1500", "0.125"]);
        assert_eq!(scan(Point::Dot, "-5.00 ($7.50) €-3.00 -€2.00 4.00-"), ["-5$", "-7.5$", "-3$", "-2$", "4$"]);
        assert_eq!(scan(Point::Dot, "VAT 19% 7.5 % 10.00"), ["19%", "7.5%", "10$"]);
        assert_eq!(scan(Point::Dot, "2x 6h EUR100 x3"), ["2", "6", "100$", "3"]);
        assert_eq!(scan(Point::Dot, "$100.00/hr"), ["100$"]);
    }

    #[test]
    fn dates_codes_and_phone_numbers_are_no_amounts() {
        for line in
            ["2025-01-15", "15.01.2025", "01/15/2025", "INV-2025-001", "#4711", "A4", "10:30", "DE276543219", "+49 "]
        {
            assert_eq!(scan(Point::Unknown, line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn the_range_of_a_number_takes_its_currency_along() {
        let line = "Widget €10.00 each";
        let found = Point::Dot.scan(line).pop().expect("one");
        assert_eq!(line.get(..found.start), Some("Widget "));
        assert_eq!(line.get(found.end..), Some(" each"));
    }

    #[test]
    fn a_code_beats_a_sign_and_the_most_frequent_wins() {
        assert_eq!(currency_of("$5 CAD"), Some("CAD"));
        assert_eq!(currency_of("EUR 5, USD 1, EUR 7"), Some("EUR"));
        assert_eq!(currency_of("5 €"), Some("EUR"));
        assert_eq!(currency_of("five"), None);
    }
}
