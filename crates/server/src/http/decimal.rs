//! Exact decimal numbers in bodies: read as they were written, never through a binary float.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON number with the digits that the caller wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub String);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // As a text it keeps its digits also where the caller's own JSON would write 0.1 + 0.2.
        let text = raw.get();
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if !number || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-') {
            return Err(D::Error::custom("use a plain decimal number, such as 349.00"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::patch::Patch;
    use crate::http::body::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        base_price: Patch<Decimal>,
    }

    #[test]
    fn digits_stay_as_they_were_written() {
        for (text, wanted) in [
            (r#"{"basePrice":349.00}"#, Patch::Set(Decimal("349.00".into()))),
            (r#"{"basePrice":"349.00"}"#, Patch::Set(Decimal("349.00".into()))),
            (r#"{"basePrice": 0.1 }"#, Patch::Set(Decimal("0.1".into()))),
            (r#"{"basePrice":99999999999999999999.99}"#, Patch::Set(Decimal("99999999999999999999.99".into()))),
            (r#"{"basePrice":null}"#, Patch::Clear),
            ("{}", Patch::Keep),
        ] {
            assert_eq!(parse::<Body>(text.as_bytes()).expect("it is right").base_price, wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_number_is_told_by_its_field() {
        for bad in [r#""349,00""#, r#""free""#, "3e2", "true", "[]", "{}"] {
            let refused = parse::<Body>(format!(r#"{{"basePrice":{bad}}}"#).as_bytes()).expect_err("it is wrong");
            let field = refused.more.fields.first().expect("a field");
            assert_eq!(field.pointer, "/basePrice", "{bad}");
            assert!(field.detail.contains("349.00"), "{}", field.detail);
        }
    }
}
