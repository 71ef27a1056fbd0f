//! What does not fit a JSON Schema, in words for people: the field, and what to write there. The value itself, which may
//! be a whole document of somebody's, is never repeated.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use crate::error::FieldError;
use crate::words::below;

/// Names that are listed in one sentence.
const NAMES_MAX: usize = 20;
/// Characters of a name that the caller chose.
const NAME_CHARS_MAX: usize = 40;

/// What is wrong with one place of a value that should fit `schema`.
pub fn told(error: &ValidationError<'_>, schema: &Value) -> FieldError {
    let place = error.instance_path().to_string();
    // The path of what is not there, or should not be, ends before it.
    let pointer = if let Kind::Required { property } = error.kind() {
        below(&place, &plain(property))
    } else if let Kind::AdditionalProperties { unexpected } = error.kind()
        && let [name] = unexpected.as_slice()
    {
        below(&place, &cut(name))
    } else {
        place
    };
    FieldError { pointer, detail: detail(error, schema) }
}

fn detail(error: &ValidationError<'_>, schema: &Value) -> String {
    match error.kind() {
        Kind::Required { .. } => "add it".to_owned(),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = known(error, schema);
            let others = if known.is_empty() { String::new() } else { format!("; known here: {known}") };
            format!("leave {} out{others}", listed(unexpected.iter().map(|name| format!("`{}`", cut(name)))))
        }
        Kind::MinProperties { limit } => match known(error, schema) {
            names if names.is_empty() => format!("add at least {limit} members"),
            names => format!("add at least {limit} of {names}"),
        },
        Kind::MaxProperties { limit } => format!("use at most {limit} members"),
        Kind::Type { kind } => format!("use {}; this is {}", types(kind), named(JsonType::from(&**error.instance()))),
        Kind::Enum { options } => {
            let options = options.as_array().into_iter().flatten().map(plain);
            format!("use one of {}", listed(options))
        }
        Kind::Constant { expected_value } => format!("use {}", plain(expected_value)),
        Kind::Pattern { pattern } if pattern == r"\S" => "write something here; blanks alone are nothing".to_owned(),
        Kind::Pattern { pattern } => format!("write it in the form {pattern} (a regular expression)"),
        Kind::Format { format } => format!("write it as {format}"),
        Kind::MinLength { limit: 1 } => "write something here".to_owned(),
        Kind::MinLength { limit } => format!("use at least {limit} characters"),
        Kind::MaxLength { limit } => format!("use at most {limit} characters"),
        Kind::MinItems { limit: 1 } => "name at least one".to_owned(),
        Kind::MinItems { limit } => format!("name at least {limit}"),
        Kind::MaxItems { limit } => format!("name at most {limit}"),
        Kind::AdditionalItems { limit } => format!("name at most {limit}"),
        Kind::UniqueItems => "name each only once".to_owned(),
        Kind::Minimum { limit } => format!("use a number of at least {limit}"),
        Kind::Maximum { limit } => format!("use a number of at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("use a number above {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("use a number below {limit}"),
        Kind::MultipleOf { multiple_of } => format!("use a multiple of {multiple_of}"),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => choice(context),
        Kind::OneOfMultipleValid { .. } => {
            "it fits more than one of the forms that it may have; leave something out".to_owned()
        }
        Kind::BacktrackLimitExceeded { .. }
        | Kind::RegexEngineFailure { .. }
        | Kind::Contains
        | Kind::ContentEncoding { .. }
        | Kind::ContentMediaType { .. }
        | Kind::Custom { .. }
        | Kind::FalseSchema
        | Kind::FromUtf8 { .. }
        | Kind::Not { .. }
        | Kind::PropertyNames { .. }
        | Kind::UnevaluatedItems { .. }
        | Kind::Referencing(_) => {
            format!("it is not what the input schema says by `{}`; see GET /api/components", error.kind().keyword())
        }
    }
}

/// What would make one of several forms fit, where each only lacks a member.
fn choice(forms: &[Vec<ValidationError<'static>>]) -> String {
    let lacking = |form: &Vec<ValidationError<'static>>| {
        let [only] = form.as_slice() else { return None };
        let Kind::Required { property } = only.kind() else { return None };
        Some(format!("`{}`", plain(property)))
    };
    match forms.iter().map(lacking).collect::<Option<Vec<_>>>() {
        Some(names) if !names.is_empty() => format!("add one of {}", listed(names.into_iter())),
        _ => "it has none of the forms that it may have; see its input schema at GET /api/components".to_owned(),
    }
}

/// The members that the schema names at the place of an error.
fn known(error: &ValidationError<'_>, schema: &Value) -> String {
    let keyword = error.schema_path().as_str();
    let place = keyword.rsplit_once('/').map_or("", |(place, _)| place);
    let named = schema.pointer(place).and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    listed(named.into_iter().flatten().map(|(name, _)| format!("`{name}`")))
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<_> = names.take(NAMES_MAX + 1).collect();
    if names.len() > NAMES_MAX {
        names.truncate(NAMES_MAX);
        names.push("…".to_owned());
    }
    names.join(", ")
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    format!("{}…", name.chars().take(NAME_CHARS_MAX).collect::<String>())
}

/// A value of the schema's own.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => named(*one).to_owned(),
        TypeKind::Multiple(several) => several.iter().map(named).collect::<Vec<_>>().join(" or "),
    }
}

const fn named(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a text",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_says_what_to_write_and_repeats_nothing() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "minProperties": 1,
            "properties": {
                "text": { "type": "string", "minLength": 1, "maxLength": 9, "pattern": r"\S" },
                "kind": { "enum": ["application/pdf", "image/png", "image/jpeg", "image/gif"] },
                "lines": { "type": ["array", "null"], "maxItems": 1, "items": { "required": ["a"], "type": "object" } },
                "part": { "type": "object", "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] },
                "day": { "type": "string", "pattern": "^[0-9]{4}$" },
                "count": { "type": "integer", "minimum": 1 },
            },
        });
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let secret = "my secret words";
        for (input, pointer, said) in [
            (json!({}), "", "add at least 1 of `text`, `kind`, `lines`, `part`, `day`, `count`"),
            (json!({ "text": "" }), "/text", "write something here"),
            (json!({ "text": "  " }), "/text", "write something here; blanks alone are nothing"),
            (json!({ "text": secret }), "/text", "use at most 9 characters"),
            (json!({ "text": 7 }), "/text", "use a text; this is a number"),
            (json!({ "kind": secret }), "/kind", "use one of application/pdf, image/png, image/jpeg, image/gif"),
            (json!({ "lines": secret }), "/lines", "use null or a list; this is a text"),
            (json!({ "lines": [{}] }), "/lines/0/a", "add it"),
            (json!({ "lines": [{ "a": 1 }, { "a": 2 }] }), "/lines", "name at most 1"),
            (json!({ "part": { "c": secret } }), "/part", "add one of `a`, `b`"),
            (json!({ "day": secret }), "/day", "write it in the form ^[0-9]{4}$ (a regular expression)"),
            (json!({ "count": 0 }), "/count", "use a number of at least 1"),
        ] {
            let errors: Vec<_> = validator.iter_errors(&input).map(|error| told(&error, &schema)).collect();
            let found = errors.iter().any(|fault| fault.pointer == pointer && fault.detail == said);
            assert!(found, "{input}: {errors:?}");
            assert!(errors.iter().all(|fault| !fault.detail.contains(secret)), "{input}: {errors:?}");
        }
        let error = validator.iter_errors(&json!({ "txt": 1 })).map(|error| told(&error, &schema)).next();
        let error = error.map(|error| (error.pointer, error.detail));
        let said = "leave `txt` out; known here: `text`, `kind`, `lines`, `part`, `day`, `count`".to_owned();
        assert_eq!(error, Some(("/txt".to_owned(), said)));
    }
}
