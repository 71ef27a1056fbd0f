//! AI components: rows that an admin edits, read into what a call needs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::id::{FeatureKey, TenantId};
use providers::http::Secret;
use providers::llm::{Anthropic, Config, Demo, OpenAi, Upstream, anthropic, openai};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::catalog::{ComponentRow, UpstreamRow};

use super::seal::MasterKey;
use crate::error::{Error, FieldError, Result};

/// Field errors told about one input.
const FIELD_ERRORS_MAX: usize = 20;

/// When a call is charged (SPEC §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its name in URLs.
    pub name: String,
    /// What it does, for people.
    #[serde(default)]
    pub description: String,
    /// What the model is told about its task.
    pub system: String,
    /// How the input becomes the prompt, over `input`.
    pub template: String,
    /// What the input must look like.
    pub input_schema: Value,
    /// What the result looks like; none for prose.
    #[serde(default)]
    pub output_schema: Option<Value>,
    /// The longest result.
    pub max_output_tokens: u32,
    /// `json`, `text`, `image`, `pdf`.
    #[serde(default)]
    pub accepts: Vec<String>,
    /// An input to try it with.
    #[serde(default)]
    pub sample: Value,
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
        let field = |error: jsonschema::ValidationError<'_>| FieldError {
            pointer: error.instance_path().to_string(),
            detail: shorten(&error.to_string()),
        };
        let fields: Vec<_> = checks.input.iter_errors(input).take(FIELD_ERRORS_MAX).map(field).collect();
        let fields = if fields.is_empty() { super::file::unreadable(input) } else { fields };
        let Some(first) = fields.first() else { return Ok(()) };
        let mut error = Error::field(first.pointer.clone(), first.detail.clone());
        error.more.fields = fields;
        Err(error)
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

/// Reads the rows of a tenant's components.
pub fn read(rows: Vec<ComponentRow>) -> Result<BTreeMap<FeatureKey, Component>> {
    rows.into_iter()
        .map(|row| {
            let key = FeatureKey::stored(row.component.as_str());
            Ok((key.clone(), component(key, row)?))
        })
        .collect()
}

fn component(key: FeatureKey, row: ComponentRow) -> Result<Component> {
    let broken = |what: &str, why: &dyn std::fmt::Display| Error::internal(format!("component {key}: {what}: {why}"));
    let actions: Vec<Action> = serde_json::from_str(&row.actions).map_err(|e| broken("actions", &e))?;
    let compiled = |action: Action| {
        let compile = |schema: &Value, what| jsonschema::validator_for(schema).map_err(|e| broken(what, &e));
        let input = compile(&action.input_schema, "input schema")?;
        let output = action.output_schema.as_ref().map(|schema| compile(schema, "output schema")).transpose()?;
        Ok((action, Checks { input, output }))
    };
    Ok(Component {
        name: row.name,
        category: row.category,
        description: row.description,
        base_token_cost: row.base_token_cost,
        credit_feature: row.credit_feature.map(FeatureKey::stored),
        upstream: row.upstream,
        model: row.model,
        charge_rule: serde_json::from_value(Value::String(row.charge_rule)).map_err(|e| broken("charge rule", &e))?,
        active: row.active,
        draws: serde_json::from_str(&row.draws).map_err(|e| broken("draws", &e))?,
        actions: actions.into_iter().map(compiled).collect::<Result<_>>()?,
        key,
    })
}

/// Where a sealed upstream key stands.
pub fn upstream_place(upstream: &str) -> String {
    format!("upstream/{upstream}")
}

/// Makes the clients of a tenant's upstreams.
pub fn connect(
    tenant: &TenantId,
    rows: Vec<UpstreamRow>,
    master: &MasterKey,
) -> Result<HashMap<String, Arc<dyn Upstream>>> {
    let mut upstreams: HashMap<String, Arc<dyn Upstream>> = HashMap::new();
    for row in rows {
        let sealed = row.api_key_sealed.as_deref();
        let opened = sealed.map(|sealed| master.open(tenant, &upstream_place(&row.upstream), sealed));
        let key = match opened {
            None => String::new(),
            Some(Some(plain)) => String::from_utf8_lossy(&plain).into_owned(),
            Some(None) => return Err(Error::internal(format!("upstream {}: its key does not open", row.upstream))),
        };
        let client: Arc<dyn Upstream> = match row.kind.as_str() {
            "anthropic" => {
                let base_url = row.base_url.unwrap_or_else(|| anthropic::BASE_URL.to_owned());
                Arc::new(Anthropic::new(Config::new(base_url, Secret::new(key))).map_err(Error::internal)?)
            }
            "openai" => {
                let base_url = row.base_url.unwrap_or_else(|| openai::BASE_URL.to_owned());
                Arc::new(OpenAi::new(Config::new(base_url, Secret::new(key))).map_err(Error::internal)?)
            }
            _ => Arc::new(Demo),
        };
        upstreams.insert(row.upstream, client);
    }
    Ok(upstreams)
}
