//! AI components: rows that an admin edits, read into what a call needs.

pub mod check;
pub mod definition;
pub mod draft;
pub mod edit;
pub mod prompt;
pub mod trial;
mod words;

use std::collections::BTreeMap;

use domain::id::FeatureKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::component::ComponentRow;

use crate::error::{Error, FieldError, Result};
pub use definition::Definition;

/// Field errors told about one input.
const FIELD_ERRORS_MAX: usize = 20;

/// When a call is charged (SPEC §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeRule {
    /// When it gave a result.
    Success,
    /// When it was tried, whatever came of it.
    Attempt,
    /// When the upstream read the input, also if it failed afterwards.
    Input,
}

/// What a call draws from the customer's quotas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Draw {
    /// The feature.
    #[schema(value_type = String, example = "invoice_ocr")]
    pub feature: FeatureKey,
    /// Units for each call.
    #[schema(example = 1)]
    pub amount: i64,
}

/// Something that a component does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActionDefinition)]
pub struct Action {
    /// Its name in URLs.
    #[schema(example = "analyze")]
    pub name: String,
    /// What it does, for people.
    #[serde(default)]
    #[schema(required, example = "Reads the fields of an invoice.")]
    pub description: String,
    /// What the model is told about its task.
    #[schema(example = "You read invoices.")]
    pub system: String,
    /// How the input becomes the prompt: a template of Jinja over `input`.
    #[schema(example = "Invoice:\n{{ input.invoiceData }}")]
    pub template: String,
    /// What the input must look like, as JSON Schema.
    #[schema(value_type = Object, example = json!({"type": "object", "properties": {"invoiceData": {"type": "string"}}}))]
    pub input_schema: Value,
    /// What the result looks like, as JSON Schema; null for prose.
    #[serde(default)]
    #[schema(value_type = Option<Object>, required, example = json!({"type": "object", "properties": {"total": {"type": "string"}}}))]
    pub output_schema: Option<Value>,
    /// The longest result.
    #[schema(example = 4_000)]
    pub max_output_tokens: u32,
    /// What it reads.
    #[serde(default)]
    #[schema(required, example = json!(["json", "text"]))]
    pub accepts: Vec<String>,
    /// An input to try it with; null without one.
    #[serde(default)]
    #[schema(schema_with = sample, required)]
    pub sample: Value,
}

/// What an action can be tried with, for the document.
fn sample() -> utoipa::openapi::Object {
    use utoipa::openapi::schema::{Object, SchemaType};
    let example = serde_json::json!({ "invoiceData": "Invoice INV-2041 … Total 1,190.00 EUR" });
    let any = Object::builder().schema_type(SchemaType::AnyValue);
    any.description(Some("An input to try it with; null without one.")).examples([example]).build()
}

/// An AI component.
pub struct Component {
    /// Its key, which is also its feature's.
    pub key: FeatureKey,
    /// What people read.
    pub name: String,
    /// Its group.
    pub category: String,
    /// What it does, for people.
    pub description: String,
    /// Credits of every call.
    pub base_token_cost: i64,
    /// The pool that credits are drawn from, if any.
    pub credit_feature: Option<FeatureKey>,
    /// Where it runs.
    pub upstream: String,
    /// On what.
    pub model: String,
    /// When it is charged.
    pub charge_rule: ChargeRule,
    /// Whether it may be called.
    pub active: bool,
    /// Order in lists.
    pub position: i64,
    /// Which version it is.
    pub version: i64,
    /// What a call draws.
    pub draws: Vec<Draw>,
    actions: Vec<(Action, Checks)>,
}

/// An action's schemas, ready to check with.
struct Checks {
    input: jsonschema::Validator,
    output: Option<jsonschema::Validator>,
}

impl Component {
    /// An action by its name in URLs.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions().find(|action| action.name == name)
    }

    /// Everything that it does.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().map(|(action, _)| action)
    }

    /// Checks an input against an action's schema.
    pub fn check(&self, action: &str, input: &Value) -> Result<()> {
        let Some(checks) = self.checks(action) else { return Ok(()) };
        let schema = self.action(action).map_or(&Value::Null, |action| &action.input_schema);
        let errors = checks.input.iter_errors(input).take(FIELD_ERRORS_MAX);
        let fields: Vec<_> = errors.map(|error| words::told(&error, schema)).collect();
        refuse(if fields.is_empty() { super::attachment::unreadable(input) } else { fields })
    }

    /// Checks a result against an action's schema; says what does not fit.
    pub fn check_result(&self, action: &str, result: &Value) -> Result<(), String> {
        let schema = self.checks(action).and_then(|checks| checks.output.as_ref());
        let wrong = schema.and_then(|schema| schema.iter_errors(result).next());
        wrong.map_or(Ok(()), |error| Err(format!("{}: {}", error.instance_path(), shorten(&error.to_string()))))
    }

    fn checks(&self, action: &str) -> Option<&Checks> {
        self.actions.iter().find(|(candidate, _)| candidate.name == action).map(|(_, checks)| checks)
    }
}

/// A schema's message repeats the value that is wrong, which may be a whole document.
fn shorten(message: &str) -> String {
    const CHARS_MAX: usize = 200;
    if message.chars().count() <= CHARS_MAX {
        return message.to_owned();
    }
    let tail: Vec<char> = message.chars().rev().take(CHARS_MAX).collect();
    format!("…{}", tail.into_iter().rev().collect::<String>())
}

/// Refuses input by the fields at fault, if there are any.
pub fn refuse(fields: Vec<FieldError>) -> Result<()> {
    let Some(first) = fields.first() else { return Ok(()) };
    let mut error = Error::field(first.pointer.clone(), first.detail.clone());
    error.more.fields = fields;
    Err(error)
}

/// Reads the rows of a tenant's components, without those that were taken away.
pub fn read(rows: Vec<ComponentRow>) -> Result<BTreeMap<FeatureKey, Component>> {
    rows.into_iter()
        .filter(|row| !row.archived)
        .map(|row| {
            let key = FeatureKey::stored(row.component.as_str());
            let definition = Definition::of_row(&row.component, &row.definition)?;
            let mut component = Component::of(key.clone(), definition, row.version)?;
            component.active = row.active;
            component.position = row.position;
            Ok((key, component))
        })
        .collect()
}

impl Component {
    /// A component that can be called, of a version or of a draft.
    pub fn of(key: FeatureKey, definition: Definition, version: i64) -> Result<Self> {
        let broken =
            |what: &str, why: &dyn std::fmt::Display| Error::internal(format!("component {key}: {what}: {why}"));
        let compiled = |action: Action| {
            let compile = |schema: &Value, what| jsonschema::validator_for(schema).map_err(|e| broken(what, &e));
            let input = compile(&action.input_schema, "input schema")?;
            let output = action.output_schema.as_ref().map(|schema| compile(schema, "output schema")).transpose()?;
            Ok((action, Checks { input, output }))
        };
        Ok(Self {
            actions: definition.actions.into_iter().map(compiled).collect::<Result<_>>()?,
            name: definition.name,
            category: definition.category,
            description: definition.description,
            base_token_cost: definition.base_token_cost,
            credit_feature: definition.credit_feature,
            upstream: definition.upstream,
            model: definition.model,
            charge_rule: definition.charge_rule,
            draws: definition.draws,
            active: true,
            position: 0,
            version,
            key,
        })
    }
}
