//! What a parser says of input that does not fit, in words for people: parsers name their own types, and places in the
//! text, where a caller needs the field and what to write there.

use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

/// What the JSON parser says where a word of a closed set should stand, and something else does.
pub const NO_WORD: &str = "expected value";

/// What the JSON parser says of a number that is beyond all that it can hold.
pub const OUT_OF_RANGE: &str = "number out of range";

/// What is wrong with input, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer.
    pub pointer: String,
    /// What to do.
    pub detail: String,
}

/// Reads input that could not be read as a `T` once more, to find the place.
pub fn fault<'de, T: DeserializeOwned, D: Deserializer<'de>>(input: D) -> Fault {
    let Err(error) = serde_path_to_error::deserialize::<_, T>(input) else {
        return Fault { pointer: String::new(), detail: "the form is not right".to_owned() };
    };
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(below("", key)),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    let mut pointer: String = error.path().iter().filter_map(segment).collect();
    let message = error.inner().to_string();
    // The path of what is not there ends before it.
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        pointer = below(&pointer, name);
    }
    Fault { pointer, detail: in_words(&message) }
}

/// The JSON pointer of a member (RFC 6901).
pub fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The message of serde's own errors, which have one form each; any other is ours, and for people already.
fn in_words(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    if message == OUT_OF_RANGE {
        return "use a smaller number".to_owned();
    }
    if message.starts_with("invalid length") && message.contains("expected struct ") {
        return "use an object; this is a list".to_owned();
    }
    if message == NO_WORD {
        return "use one of the words that the API names".to_owned();
    }
    let (kind, rest) = message.split_once(": ").unwrap_or((message, ""));
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    match kind {
        "invalid type" if is_huge(found) && wanted(expected).contains("whole number") => {
            return "use a smaller number".to_owned();
        }
        "invalid type" if found.contains("`-0.0`") && wanted(expected).contains("whole number") => {
            return "write 0 without a sign".to_owned();
        }
        "invalid type" => return format!("use {}; this is {}", wanted(expected), given(found)),
        "invalid value" if found.starts_with("integer") && !found.contains('-') => {
            return "use a smaller number".to_owned();
        }
        "invalid value" => return format!("use {}", wanted(expected)),
        _ => {}
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (first, others) = names.split_first().map_or(("", &[][..]), |(first, others)| (*first, others));
    let known = others.join(", ");
    if message.starts_with("unknown field") {
        return if known.is_empty() { "leave it out".to_owned() } else { format!("leave it out; known here: {known}") };
    }
    if message.starts_with("unknown variant") {
        return if others.len() == 1 { format!("use {known}") } else { format!("use one of {known}") };
    }
    if message.starts_with("missing field") {
        return "add it".to_owned();
    }
    if message.starts_with("duplicate field") {
        return format!("write `{first}` only once");
    }
    message.to_owned()
}

/// Whether the parser made a float of a number, because no integer holds it: one of 19 digits before the point, at least.
fn is_huge(found: &str) -> bool {
    let number = found.split('`').nth(1).unwrap_or_default().trim_start_matches('-');
    let (digits, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let whole = digits.split('.').next().unwrap_or_default();
    let exponent = exponent.parse::<i64>().unwrap_or_default();
    found.starts_with("floating") && exponent.saturating_add_unsigned(whole.len() as u64) >= 19
}

/// What stands where the parser expects a type.
fn wanted(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        // Of a closed set of words.
        "a string" | "a borrowed string" | "str" | "string or map" | "variant identifier" => "a text",
        _ if expected.starts_with("struct ") => "an object",
        other => other,
    }
}

/// What the parser found.
fn given(found: &str) -> &'static str {
    match found.split([' ', '`']).next().unwrap_or_default() {
        "integer" => "a whole number",
        "floating" => "a number with a point or an exponent",
        "string" | "character" => "a text",
        "boolean" => "true or false",
        "null" | "unit" => "null",
        "sequence" => "a list",
        "map" => "an object",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Body {
        amount: i64,
        name: Option<String>,
        kind: Option<Kind>,
        list: Option<Vec<Body>>,
        size: Option<u64>,
        at: Option<domain::time::Timestamp>,
        sure: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
        TheOther,
    }

    fn told(text: &str) -> (String, String) {
        let Fault { pointer, detail } = fault::<Body, _>(&mut serde_json::Deserializer::from_str(text));
        (pointer, detail)
    }

    #[test]
    fn each_kind_of_fault_names_its_field_and_says_what_to_do() {
        for (text, pointer, detail) in [
            (r#"{"amount":"1"}"#, "/amount", "use a whole number; this is a text"),
            (r#"{"amount":1.5}"#, "/amount", "use a whole number; this is a number with a point or an exponent"),
            (r#"{"amount":-0}"#, "/amount", "write 0 without a sign"),
            (r#"{"amount":99999999999999999999999}"#, "/amount", "use a smaller number"),
            (r#"{"amount":1e400}"#, "/amount", "use a smaller number"),
            (r#"{"amount":1,"list":[[1]]}"#, "/list/0", "use an object; this is a list"),
            (r#"{"amount":null}"#, "/amount", "use a whole number; this is null"),
            (r#"{"amount":[]}"#, "/amount", "use a whole number; this is a list"),
            (r#"{"amount":{}}"#, "/amount", "use a whole number; this is an object"),
            (r#"{"amount":9223372036854775808}"#, "/amount", "use a smaller number"),
            (r#"{"amount":1,"size":-1}"#, "/size", "use a whole number of at least 0"),
            (r#"{"amount":1,"name":7}"#, "/name", "use a text; this is a whole number"),
            (r#"{"amount":1,"sure":"yes"}"#, "/sure", "use true or false; this is a text"),
            (r#"{"amount":1,"kind":"two"}"#, "/kind", "use one of one, the_other"),
            (r#"{"amount":1,"kind":7}"#, "/kind", "use one of the words that the API names"),
            (r#"{"amount":1,"list":{}}"#, "/list", "use a list; this is an object"),
            (r#"{"amount":1,"list":[{"amount":true}]}"#, "/list/0/amount", "use a whole number; this is true or false"),
            (r#"{"amount":1,"list":[{}]}"#, "/list/0/amount", "add it"),
            (r#"{"amount":1,"amount":1}"#, "", "write `amount` only once"),
            (
                r#"{"amount":1,"a/b~c":1}"#,
                "/a~1b~0c",
                "leave it out; known here: amount, name, kind, list, size, at, sure",
            ),
            (r#"{"amount":1,"at":"soon"}"#, "/at", "write the time as RFC 3339, such as 2026-11-22T00:00:00Z"),
            ("7", "", "use an object; this is a whole number"),
        ] {
            let (found, said) = told(text);
            assert_eq!((found.as_str(), said.as_str()), (pointer, detail), "{text}");
        }
    }

    #[test]
    fn values_that_are_read_already_are_told_in_the_same_way() {
        let fault = fault::<Body, _>(json!({ "amount": "1" }));
        assert_eq!(fault, Fault { pointer: "/amount".into(), detail: "use a whole number; this is a text".into() });
    }
}
