//! What differs between two states, field by field.

use serde_json::{Map, Value};

use crate::words::below;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: a JSON pointer; empty for the whole.
    pub field: String,
    /// What it was; null when it was not there.
    pub before: Value,
    /// What it is; null when it is gone.
    pub after: Value,
}

/// The fields that differ, in the order of the states' members. Lists are compared as a whole.
pub fn between(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    found
}

fn compare(field: String, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let nothing = Map::new();
    let members = match (before, after) {
        (Value::Object(before), Value::Object(after)) => Some((before, after)),
        (Value::Object(before), Value::Null) => Some((before, &nothing)),
        (Value::Null, Value::Object(after)) => Some((&nothing, after)),
        _ => None,
    };
    let Some((before, after)) = members.filter(|(before, after)| !before.is_empty() || !after.is_empty()) else {
        found.push(Difference { field, before: before.clone(), after: after.clone() });
        return;
    };
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        let inner = below(&field, name);
        let value = |members: &Map<String, Value>| members.get(name).cloned().unwrap_or_default();
        compare(inner, &value(before), &value(after), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_told_and_where() {
        let told = |before: Value, after: Value| {
            let found = between(&before, &after);
            json!(found.into_iter().map(|d| json!([d.field, d.before, d.after])).collect::<Vec<_>>())
        };
        assert_eq!(told(json!({ "a": 1 }), json!({ "a": 1 })), json!([]));
        assert_eq!(
            told(json!({ "price": 299, "name": "x", "old": 1 }), json!({ "price": 349, "name": "x", "new/~": [1] })),
            json!([["/price", 299, 349], ["/old", 1, null], ["/new~1~0", null, [1]]])
        );
        assert_eq!(told(json!({ "a": { "b": [1] } }), json!({ "a": { "b": [2] } })), json!([["/a/b", [1], [2]]]));
        assert_eq!(told(json!(null), json!({ "a": 1, "b": {} })), json!([["/a", null, 1], ["/b", null, {}]]));
        assert_eq!(told(json!({ "a": 1 }), json!(null)), json!([["/a", 1, null]]));
        assert_eq!(told(json!({}), json!(null)), json!([["", {}, null]]));
        assert_eq!(told(json!(1), json!("1")), json!([["", 1, "1"]]));
    }
}
