//! From a component's input to what its upstream is asked.

use std::io::{self, Write};
use std::time::Duration;

use minijinja::{Environment, Error as TemplateError, ErrorKind, context};
use providers::llm::{Call, Part};
use serde_json::Value;

use super::{Action, Component};
use crate::error::{Code, Error, Result};

/// Steps that a template may take, so that none runs for ever.
pub const TEMPLATE_STEPS_MAX: u64 = 1_000_000;
/// Bytes of a prompt.
const PROMPT_BYTES_MAX: usize = 24 * 1024 * 1024;

/// What templates are read and filled in with.
pub fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_recursion_limit(50);
    environment.set_fuel(Some(TEMPLATE_STEPS_MAX));
    environment
}

/// Fills a template in.
pub fn render(template: &str, input: &Value) -> Result<String, TemplateError> {
    let environment = environment();
    let mut prompt = Bounded(Vec::new());
    let filled = environment.template_from_str(template)?;
    filled.render_captured_to(context! { input => minijinja::value::Serde(input) }, &mut prompt)?;
    Ok(String::from_utf8_lossy(&prompt.0).into_owned())
}

/// Takes bytes up to a limit.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > PROMPT_BYTES_MAX {
            return Err(io::Error::other("the prompt is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the upstream is asked.
pub fn call(
    component: &Component,
    action: &Action,
    input: &Value,
    (request_id, timeout): (&str, Duration),
) -> Result<Call> {
    let prompt = render(&action.template, input).map_err(|error| broken(component, &error))?;
    let mut parts = files(input);
    parts.push(Part::Text(prompt));
    Ok(Call {
        model: component.model.clone(),
        api_version: None,
        system: action.system.clone(),
        parts,
        output_schema: action.output_schema.clone(),
        max_output_tokens: action.max_output_tokens,
        component: component.key.to_string(),
        action: action.name.clone(),
        input: input.clone(),
        request_id: request_id.to_owned(),
        timeout,
    })
}

/// An input that fits its schema, and of which the template makes no prompt: that is the component's fault.
fn broken(component: &Component, error: &TemplateError) -> Error {
    if error.kind() == ErrorKind::WriteFailure {
        let detail = format!("it makes a prompt of more than {PROMPT_BYTES_MAX} bytes; send less");
        return Error::field("", detail);
    }
    tracing::error!(component = %component.key, version = component.version, %error, "a template does not fit an input");
    let detail = format!(
        "The template of {} cannot be filled in with this input, which is right; tell an admin of this product, who can mend it. Nothing was charged.",
        component.name
    );
    Error::new(Code::ComponentBroken, detail)
}

/// Pictures, documents and texts of `input.files`.
fn files(input: &Value) -> Vec<Part> {
    use base64::Engine as _;
    let files = input.get("files").and_then(Value::as_array).into_iter().flatten();
    files
        .filter_map(|file| {
            let media_type = file.get("mediaType")?.as_str()?.to_owned();
            let data = file.get("data")?.as_str()?.to_owned();
            if media_type.starts_with("image/") {
                Some(Part::Image { media_type, data })
            } else if media_type == "application/pdf" {
                Some(Part::Document { media_type, data })
            } else {
                let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
                Some(Part::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_ends_and_its_prompt_is_bounded() {
        assert_eq!(render("Hello {{ input.name }}", &json!({ "name": "Ann" })).unwrap(), "Hello Ann");
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        assert!(render(endless, &json!({})).is_err());
        let long = "{% for a in range(1000) %}{{ input.text }}{% endfor %}";
        assert!(render(long, &json!({ "text": "x".repeat(100_000) })).is_err());
    }
}
