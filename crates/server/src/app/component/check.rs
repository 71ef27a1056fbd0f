//! What must hold of a component before it is published: everything that a call would stumble over is told by its field.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Feature, FeatureKind};
use domain::id::{FeatureKey, KEY_CHARS_MAX};
use domain::usage::AMOUNT_MAX;
use minijinja::ErrorKind;
use serde_json::{Map, Value};

use super::{Action, Definition, FIELD_ERRORS_MAX, prompt, refuse, shorten};
use crate::app::tenant::Tenant;
use crate::error::{FieldError, Result};
use crate::limits::{ITEMS_MAX, TEXT_CHARS_MAX};

const DESCRIPTION_CHARS_MAX: usize = 2_000;
const PROMPT_CHARS_MAX: usize = 100_000;
const ACTIONS_MAX: usize = 20;
const OUTPUT_TOKENS_MAX: u32 = 128_000;
const INPUT_KINDS: [&str; 4] = ["json", "text", "image", "pdf"];
/// How deep schemas are followed.
const DEPTH_MAX: u32 = 8;

/// What is wrong, field by field.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() < FIELD_ERRORS_MAX {
            self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        }
    }

    fn text(&mut self, pointer: &str, value: &str, (least, most): (usize, usize)) {
        let chars = value.chars().count();
        if chars < least || chars > most || value.chars().any(char::is_control) {
            self.add(pointer, format!("use {least} to {most} characters without line breaks"));
        }
    }

    /// A text of several lines. PostgreSQL has none with a zero byte.
    fn prose(&mut self, pointer: &str, value: &str, most: usize) {
        if value.chars().count() > most || value.contains('\0') {
            self.add(pointer, format!("use at most {most} characters"));
        }
    }
}

/// What a component can name.
pub struct Around<'a> {
    /// Features by their keys.
    pub features: &'a BTreeMap<FeatureKey, Feature>,
    /// Upstreams by their names.
    pub upstreams: BTreeSet<&'a str>,
}

impl<'a> Around<'a> {
    /// What there is in a tenant.
    pub fn of(tenant: &'a Tenant) -> Self {
        let upstreams = tenant.upstreams.keys().map(String::as_str).collect();
        Self { features: &tenant.catalog.features, upstreams }
    }

    /// The upstreams that there are, for people.
    pub fn known_upstreams(&self) -> String {
        let known: Vec<_> = self.upstreams.iter().copied().collect();
        if known.is_empty() { "none yet: add one with POST /api/admin/upstreams".to_owned() } else { known.join(", ") }
    }
}

/// Checks a definition against what it can name. A component's own feature need not be there: it is made with it.
pub fn definition(around: &Around<'_>, key: &FeatureKey, definition: &Definition) -> Result<()> {
    let mut faults = Faults::default();
    faults.text("/name", &definition.name, (1, TEXT_CHARS_MAX));
    faults.text("/category", &definition.category, (1, KEY_CHARS_MAX));
    faults.prose("/description", &definition.description, DESCRIPTION_CHARS_MAX);
    faults.text("/model", &definition.model, (1, TEXT_CHARS_MAX));
    if !(0..=AMOUNT_MAX).contains(&definition.base_token_cost) {
        faults.add("/baseTokenCost", format!("use a whole number from 0 to {AMOUNT_MAX}"));
    }
    if !around.upstreams.contains(definition.upstream.as_str()) {
        faults.add("/upstream", format!("name one of {}", around.known_upstreams()));
    }
    features(&mut faults, around, key, definition);
    actions(&mut faults, &definition.actions);
    refuse(faults.0)
}

fn features(faults: &mut Faults, around: &Around<'_>, key: &FeatureKey, definition: &Definition) {
    let countable = |feature: &FeatureKey| match around.features.get(feature).map(|feature| feature.kind) {
        Some(FeatureKind::Counter | FeatureKind::Credit) => None,
        None if feature == key => None,
        None => Some(format!("there is no feature `{feature}`; make it first, or name another")),
        Some(FeatureKind::Gauge | FeatureKind::Flag) => {
            Some(format!("`{feature}` cannot be used up; name a counter or a credit"))
        }
    };
    if let Some(pool) = &definition.credit_feature {
        let why =
            countable(pool).or_else(|| (pool == key).then(|| "name a pool other than its own feature".to_owned()));
        if let Some(why) = why {
            faults.add("/creditFeature", why);
        }
    }
    if definition.draws.is_empty() && definition.credit_feature.is_none() {
        faults.add("/draws", "name at least one feature that a call draws, or a creditFeature");
    }
    // One place is for the pool of credits.
    if definition.draws.len() >= ITEMS_MAX {
        faults.add("/draws", format!("name at most {} features", ITEMS_MAX.saturating_sub(1)));
    }
    let mut seen = BTreeSet::new();
    for (number, draw) in definition.draws.iter().enumerate() {
        if let Some(why) = countable(&draw.feature) {
            faults.add(format!("/draws/{number}/feature"), why);
        } else if !seen.insert(&draw.feature) || definition.credit_feature.as_ref() == Some(&draw.feature) {
            faults.add(format!("/draws/{number}/feature"), "name each feature only once");
        }
        if !(1..=AMOUNT_MAX).contains(&draw.amount) {
            faults.add(format!("/draws/{number}/amount"), format!("use a whole number from 1 to {AMOUNT_MAX}"));
        }
    }
}

fn actions(faults: &mut Faults, actions: &[Action]) {
    if actions.is_empty() || actions.len() > ACTIONS_MAX {
        faults.add("/actions", format!("name 1 to {ACTIONS_MAX} actions"));
    }
    let mut names = BTreeSet::new();
    for (number, action) in actions.iter().enumerate() {
        let at = |field: &str| format!("/actions/{number}/{field}");
        if !is_name(&action.name) {
            faults.add(at("name"), format!("use 1 to {KEY_CHARS_MAX} of a-z, 0-9, _ and -, starting with a letter"));
        } else if !names.insert(&action.name) {
            faults.add(at("name"), "another action is called so; choose another name");
        }
        faults.prose(&at("description"), &action.description, DESCRIPTION_CHARS_MAX);
        faults.prose(&at("system"), &action.system, PROMPT_CHARS_MAX);
        faults.prose(&at("template"), &action.template, PROMPT_CHARS_MAX);
        if !(1..=OUTPUT_TOKENS_MAX).contains(&action.max_output_tokens) {
            faults.add(at("maxOutputTokens"), format!("use a whole number from 1 to {OUTPUT_TOKENS_MAX}"));
        }
        for (place, kind) in action.accepts.iter().enumerate() {
            if !INPUT_KINDS.contains(&kind.as_str()) {
                faults.add(at(&format!("accepts/{place}")), format!("use one of {}", INPUT_KINDS.join(", ")));
            }
        }
        schemas(faults, action, &at);
    }
}

fn is_name(name: &str) -> bool {
    // The two are the same in keys, but an action is called by the name that it has.
    FeatureKey::parse(name).is_ok()
}

fn schemas(faults: &mut Faults, action: &Action, at: &impl Fn(&str) -> String) {
    let is_object = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "object");
    if let Some(schema) = &action.output_schema {
        if !is_object(schema) {
            faults.add(at("outputSchema"), "write a JSON Schema with \"type\": \"object\", or null for prose");
        } else if let Err(error) = jsonschema::validator_for(schema) {
            faults.add(at("outputSchema") + error.instance_path().as_str(), told(&error));
        }
    }
    if !is_object(&action.input_schema) {
        faults.add(at("inputSchema"), "write a JSON Schema with \"type\": \"object\"");
        return;
    }
    let input = match jsonschema::validator_for(&action.input_schema) {
        Ok(input) => input,
        Err(error) => {
            faults.add(at("inputSchema") + error.instance_path().as_str(), told(&error));
            return;
        }
    };
    if !action.sample.is_null()
        && let Some(error) = input.iter_errors(&action.sample).next()
    {
        faults.add(at("sample") + error.instance_path().as_str(), told(&error));
        return;
    }
    template(faults, action, at("template"));
}

fn told(error: &jsonschema::ValidationError<'_>) -> String {
    shorten(&error.to_string())
}

/// A template must be right, use nothing that the input cannot have, and fill in.
fn template(faults: &mut Faults, action: &Action, pointer: String) {
    let environment = prompt::environment();
    let read = match environment.template_from_str(&action.template) {
        Ok(read) => read,
        Err(error) => return faults.add(pointer, explained(&error)),
    };
    let globals: BTreeSet<_> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    let used: BTreeSet<_> = read.undeclared_variables(true).into_iter().collect();
    let mut unknown = used.iter().filter(|name| !is_known(&action.input_schema, name, &globals)).peekable();
    if unknown.peek().is_some() {
        let names: Vec<_> = unknown.map(|name| format!("`{name}`")).collect();
        let detail = format!("{} is not in the inputSchema; the input is called `input`", names.join(", "));
        return faults.add(pointer, detail);
    }
    let filled = if action.sample.is_null() {
        // Made up, so that only what no input can mend counts.
        let made_up = made_up(&action.input_schema, DEPTH_MAX);
        prompt::render(&action.template, &made_up).err().filter(|e| {
            matches!(e.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction)
        })
    } else {
        prompt::render(&action.template, &action.sample).err()
    };
    if let Some(error) = filled {
        faults.add(pointer, explained(&error));
    }
}

fn explained(error: &minijinja::Error) -> String {
    let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    error.line().map_or_else(|| why.clone(), |line| format!("line {line}: {why}"))
}

/// Whether a name of a template, such as `input.text`, can stand for something.
fn is_known(schema: &Value, name: &str, globals: &BTreeSet<String>) -> bool {
    let mut path = name.split('.');
    match path.next() {
        Some("input") => {}
        Some(first) => return globals.contains(first),
        None => return true,
    }
    let mut places = vec![schema];
    for member in path {
        let (named, open) = members(schema, &places);
        match named.get(member) {
            Some(next) => places.clone_from(next),
            None => return open,
        }
    }
    true
}

/// The members that a schema names, with what it says of each, and whether it lets others in by name: by saying so, or by
/// naming none.
fn members<'a>(root: &'a Value, places: &[&'a Value]) -> (BTreeMap<&'a str, Vec<&'a Value>>, bool) {
    let mut named: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut open = false;
    let mut waiting: Vec<(&Value, u32)> = places.iter().map(|place| (*place, DEPTH_MAX)).collect();
    while let Some((schema, depth)) = waiting.pop() {
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            named.entry(name).or_default().push(member);
        }
        open |= schema.get("additionalProperties").is_some_and(|more| more != false)
            || schema.get("patternProperties").is_some();
        let Some(depth) = depth.checked_sub(1) else { continue };
        let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|of| schema.get(*of)?.as_array()).flatten();
        let parts = ["then", "else"].iter().filter_map(|part| schema.get(*part));
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
        let referred = reference.and_then(|place| root.pointer(place));
        waiting.extend(lists.chain(parts).chain(referred).map(|schema| (schema, depth)));
    }
    let open = open || named.is_empty();
    (named, open)
}

/// An input that looks as a schema says, as far as its plain keywords go.
fn made_up(schema: &Value, depth: u32) -> Value {
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|values| values.first());
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(fixed) = schema.get("const").or_else(|| first("enum")) {
        return fixed.clone();
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let member = |(name, schema): (&String, &Value)| (name.clone(), made_up(schema, depth));
            Value::Object(properties.into_iter().flatten().map(member).collect::<Map<_, _>>())
        }
        Some("array") => schema.get("items").map(|item| made_up(item, depth)).into_iter().collect(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        _ => "text".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action(template: &str, input_schema: Value) -> Action {
        Action {
            name: "run".into(),
            description: String::new(),
            system: String::new(),
            template: template.into(),
            input_schema,
            output_schema: None,
            max_output_tokens: 100,
            accepts: vec![],
            sample: Value::Null,
        }
    }

    fn wrong(action: Action) -> Vec<(String, String)> {
        let mut faults = Faults::default();
        actions(&mut faults, &[action]);
        faults.0.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "text": { "type": "string" },
                "lines": { "type": "array", "items": { "type": "object", "properties": { "amount": { "type": "string" } } } },
                "buyer": { "$ref": "#/$defs/party" },
            },
            "$defs": { "party": { "type": "object", "properties": { "name": { "type": "string" } } } },
        })
    }

    #[test]
    fn a_template_uses_only_what_the_input_can_have() {
        for good in [
            "{{ input.text }}",
            "{{ input | tojson }}",
            "{% for line in input.lines %}{{ loop.index }} {{ line.amount }}{% endfor %}",
            "{% if input.text is defined %}{{ input.text | upper }}{% endif %}{{ input.buyer.name }}",
            "{% for i in range(3) %}{{ i }}{% endfor %}",
            "no input at all",
        ] {
            assert_eq!(wrong(action(good, schema())), [], "{good}");
        }
        for (bad, said) in [
            ("{{ input.txt }}", "`input.txt`"),
            ("{{ text }}", "`text`"),
            ("{{ input.buyer.nam }}", "`input.buyer.nam`"),
            ("{% if input.text %}", "line 1"),
            ("{{ input.text | shout }}", "shout"),
            ("{{ shout(input.text) }}", "`shout`"),
        ] {
            let found = wrong(action(bad, schema()));
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert_eq!(found[0].0, "/actions/0/template");
            assert!(found[0].1.contains(said), "{bad}: {found:?}");
        }
        let open = json!({ "type": "object", "properties": {}, "additionalProperties": true });
        assert_eq!(wrong(action("{{ input.anything.at.all }}", open)), []);
    }

    #[test]
    fn schemas_and_samples_are_told_by_their_place() {
        let pointers = |action| wrong(action).into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>();
        assert_eq!(pointers(action("", json!({ "type": "array" }))), ["/actions/0/inputSchema"]);
        let bad = json!({ "type": "object", "properties": { "a": { "type": "nothing" } } });
        assert_eq!(pointers(action("", bad)), ["/actions/0/inputSchema/properties/a/type"]);
        let away = json!({ "type": "object", "$ref": "https://example.com/schema.json" });
        assert_eq!(pointers(action("", away)).len(), 1, "nothing is fetched");
        let sample = Action { sample: json!({ "text": 7 }), ..action("", schema()) };
        assert_eq!(pointers(sample), ["/actions/0/sample/text"]);
        let prose = Action { output_schema: Some(json!({ "type": "string" })), ..action("", schema()) };
        assert_eq!(pointers(prose), ["/actions/0/outputSchema"]);
        let kinds = Action { accepts: vec!["json".into(), "sound".into()], ..action("", schema()) };
        assert_eq!(pointers(kinds), ["/actions/0/accepts/1"]);
    }
}
