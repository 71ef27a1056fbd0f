//! The text of what a call brings along: strings, JSON, text files, PDFs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::{Call, Part};
use super::pdf;

/// What could be read, and a sentence for each thing that could not.
#[derive(Debug, Default)]
pub(super) struct Material {
    pub(super) text: String,
    pub(super) json: Option<Value>,
    pub(super) warnings: Vec<String>,
}

impl Material {
    /// Reads the input field `field` and the files; without either, the parts of the call.
    pub(super) fn of(call: &Call, field: &str) -> Self {
        let mut material = Self::default();
        match call.input.get(field) {
            Some(Value::String(text)) => material.add_text(text),
            Some(value @ (Value::Object(_) | Value::Array(_))) => material.json = Some(value.clone()),
            _ => {}
        }
        let files = call.input.get("files").and_then(Value::as_array);
        for file in files.into_iter().flatten() {
            let text = |name: &str| file.get(name).and_then(Value::as_str).unwrap_or_default();
            material.add_file(text("mediaType"), text("data"));
        }
        if material.is_empty() {
            for part in &call.parts {
                match part {
                    Part::Text(text) if files.is_none() => material.add_text(text),
                    Part::Text(_) => {}
                    Part::Image { media_type, data } | Part::Document { media_type, data } => {
                        material.add_file(media_type, data);
                    }
                }
            }
        }
        material
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.json.is_none() && self.warnings.is_empty()
    }

    fn add_text(&mut self, text: &str) {
        let trimmed = text.trim();
        if self.json.is_none()
            && trimmed.starts_with(['{', '['])
            && let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(trimmed)
        {
            self.json = Some(value);
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text);
    }

    fn add_file(&mut self, media_type: &str, data: &str) {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if media_type.starts_with("image/") {
            self.warn("The demo cannot read images; set an Anthropic key to have them read.");
            return;
        }
        let data: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let Ok(bytes) = STANDARD.decode(data) else {
            self.warn("A file is not valid base64 and was left out.");
            return;
        };
        match media_type {
            "application/pdf" => match pdf::text(&bytes) {
                Ok(text) if text.chars().any(char::is_alphanumeric) => self.add_text(&text),
                Ok(_) => self.warn("A PDF holds no text, only pictures of it; the demo cannot read images."),
                Err(pdf::Unreadable) => self.warn("A PDF is damaged, encrypted or too large and was left out."),
            },
            "application/json" => self.add_text(&String::from_utf8_lossy(&bytes)),
            other if other.starts_with("text/") => self.add_text(&String::from_utf8_lossy(&bytes)),
            _ => self.warn("A file has a type that the demo cannot read and was left out."),
        }
    }

    fn warn(&mut self, sentence: &str) {
        if !self.warnings.iter().any(|known| known == sentence) {
            self.warnings.push(sentence.to_owned());
        }
    }
}
