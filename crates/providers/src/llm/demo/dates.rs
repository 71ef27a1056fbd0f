//! Finds dates in text, in English and German writing.

use jiff::civil::Date;

use super::text::fold;

/// The names of the months, January first.
const MONTHS: [&str; 12] = [
    "january jan januar jänner",
    "february feb februar",
    "march mar märz",
    "april apr",
    "may mai",
    "june jun juni",
    "july jul juli",
    "august aug",
    "september sept sep",
    "october oct oktober okt",
    "november nov",
    "december dec dezember dez",
];

/// How 03/04/2025 is meant in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    DayFirst,
    MonthFirst,
    Unknown,
}

/// A date as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Sure(Date),
    /// Day and month could be the other way round.
    Ambiguous,
}

/// The first date of a text.
pub(super) fn find(text: &str, order: Order) -> Option<Found> {
    let tokens = tokens(text);
    tokens.windows(3).find_map(|window| match window {
        [a, b, c] => read(a, b, c, order),
        _ => None,
    })
}

/// The habit of a document, by the first date with slashes that leaves no doubt.
pub(super) fn order_of(text: &str) -> Option<Order> {
    let tokens = tokens(text);
    tokens.windows(3).find_map(|window| match window {
        [a, b, c] if a.after == "/" && b.after == "/" && c.text.len() == 4 => {
            match (a.text.parse::<u8>().ok()?, b.text.parse::<u8>().ok()?) {
                (13..=31, 1..=12) => Some(Order::DayFirst),
                (1..=12, 13..=31) => Some(Order::MonthFirst),
                _ => None,
            }
        }
        _ => None,
    })
}

/// A run of letters or of digits, and what stands between it and the next.
struct Token<'a> {
    text: &'a str,
    after: &'a str,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let same = |c: char| c.is_alphanumeric() && c.is_ascii_digit() == digits;
        let end = rest.find(|c: char| !same(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let gap = tail.find(char::is_alphanumeric).unwrap_or(tail.len());
        let (after, next) = tail.split_at_checked(gap).unwrap_or(("", ""));
        tokens.push(Token { text: word, after });
        if end == 0 {
            break;
        }
        rest = next;
    }
    tokens
}

fn read(a: &Token<'_>, b: &Token<'_>, c: &Token<'_>, order: Order) -> Option<Found> {
    let sure =
        |year: Option<i16>, month: Option<i8>, day: Option<i8>| Date::new(year?, month?, day?).ok().map(Found::Sure);
    let ordinal = |token: &Token<'_>| number(token.text).filter(|_| token.text.len() <= 2);
    if let Some(found) = month(b.text).and_then(|month| sure(year(c.text), Some(month), ordinal(a))) {
        return Some(found);
    }
    if let Some(found) =
        month(a.text).and_then(|month| sure(year(c.text).filter(|_| c.text.len() == 4), Some(month), ordinal(b)))
    {
        return Some(found);
    }
    let sign = a.after;
    if sign != b.after.trim_end() && sign != b.after || !matches!(sign, "-" | "/" | ".") {
        return None;
    }
    if a.text.len() == 4 {
        return sure(year(a.text), number(b.text), number(c.text));
    }
    let day_first = || sure(year(c.text), number(b.text), ordinal(a));
    let month_first = || sure(year(c.text), number(a.text), ordinal(b));
    if sign == "." {
        return day_first();
    }
    match (day_first(), month_first()) {
        (Some(one), Some(other)) if one != other => match order {
            Order::DayFirst => Some(one),
            Order::MonthFirst => Some(other),
            Order::Unknown => Some(Found::Ambiguous),
        },
        (one, other) => one.or(other),
    }
}

fn number(text: &str) -> Option<i8> {
    text.parse().ok()
}

fn year(text: &str) -> Option<i16> {
    let digits: i16 = text.parse().ok()?;
    match text.len() {
        4 if (1900..2200).contains(&digits) => Some(digits),
        2 => Some(digits.saturating_add(2000)),
        _ => None,
    }
}

fn month(text: &str) -> Option<i8> {
    let folded = fold(text);
    (1..).zip(MONTHS).find(|(_, names)| names.split(' ').any(|name| name == folded)).map(|(month, _)| month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        match find(text, Order::Unknown)? {
            Found::Sure(date) => Some(date.to_string()),
            Found::Ambiguous => Some("ambiguous".to_owned()),
        }
    }

    #[test]
    fn every_usual_writing_is_read() {
        for text in [
            "2025-01-15",
            "2025/01/15",
            "15.01.2025",
            "15.1.25",
            "01/15/2025",
            "15/01/2025",
            "15 January 2025",
            "January 15, 2025",
            "Jan 15 2025",
            "15. Januar 2025",
            "15-Jan-2025",
            "Hamburg, den 15.01.2025",
            "15 Jan. 2025",
        ] {
            assert_eq!(found(text).as_deref(), Some("2025-01-15"), "{text}");
        }
        assert_eq!(found("3. März 2025").as_deref(), Some("2025-03-03"));
        assert_eq!(found("1 Dez 2025").as_deref(), Some("2025-12-01"));
    }

    #[test]
    fn what_could_be_two_dates_is_said_to_be_ambiguous() {
        assert_eq!(found("03/04/2025").as_deref(), Some("ambiguous"));
        assert_eq!(found("03/03/2025").as_deref(), Some("2025-03-03"));
        assert_eq!(find("03/04/2025", Order::DayFirst), Some(Found::Sure(jiff::civil::date(2025, 4, 3))));
        assert_eq!(find("03/04/2025", Order::MonthFirst), Some(Found::Sure(jiff::civil::date(2025, 3, 4))));
        assert_eq!(order_of("from 01/02/2025 to 01/28/2025"), Some(Order::MonthFirst));
        assert_eq!(order_of("01/02/2025"), None);
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in ["", "2025-13-01", "30.02.2025", "INV-2025-0142", "1,234.56", "12-34", "May I ask"] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
