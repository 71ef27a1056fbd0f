//! JSON by which two requests are compared: the same whatever order their members came in.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A value whose objects are written in the order of their names.
#[derive(Debug)]
pub struct Canonical<'a>(pub &'a Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let sorted: BTreeMap<_, _> = members.iter().map(|(name, value)| (name, Self(value))).collect();
                sorted.serialize(serializer)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Canonical)),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.serialize(serializer),
        }
    }
}

/// The same for a field that may be absent.
#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
pub fn optional<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Canonical).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_members_does_not_show_and_that_of_items_does() {
        let written = |text: &str| {
            let value: Value = serde_json::from_str(text).expect("JSON");
            serde_json::to_string(&Canonical(&value)).expect("it can be written")
        };
        let one = r#"{"b": [{"y": 1, "x": null}, 2.50], "a": {"d": "é", "c": true}}"#;
        let other = r#"{"a": {"c": true, "d": "é"}, "b": [{"x": null, "y": 1}, 2.50]}"#;
        assert_eq!(written(one), r#"{"a":{"c":true,"d":"é"},"b":[{"x":null,"y":1},2.5]}"#);
        assert_eq!(written(one), written(other));
        assert_ne!(written("[1, 2]"), written("[2, 1]"));
    }
}
