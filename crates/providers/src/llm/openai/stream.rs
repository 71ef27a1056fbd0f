//! Reads the event stream of a chat completion.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::sse::Event;
use super::super::stream::{Draft, Fault, Reader, Step};
use super::super::usage::Count;
use super::super::{Answer, Call, FailureKind};

/// Puts one completion together.
#[derive(Debug)]
pub(in crate::llm) struct CompletionReader {
    draft: Draft,
    structured: bool,
    model: String,
    stop_reason: Option<String>,
    tokens_max: u32,
}

impl CompletionReader {
    pub(super) fn new(call: &Call) -> Self {
        Self {
            draft: Draft::new(call),
            structured: call.output_schema.is_some(),
            model: call.model.clone(),
            stop_reason: None,
            tokens_max: call.max_output_tokens,
        }
    }

    /// `prompt_tokens` holds the cached ones too, so they are taken out of the input here.
    fn take_usage(&mut self, said: &SaidUsage) {
        let draft = &mut self.draft;
        let prompt = Count::read(said.prompt_tokens.as_deref());
        let output = Count::read(said.completion_tokens.as_deref());
        let details = said.prompt_tokens_details.as_ref();
        let cached = Count::read(details.and_then(|details| details.cached_tokens.as_deref()));
        draft.said.input |= prompt != Count::Unsaid;
        draft.said.output |= output != Count::Unsaid;
        let mut all = draft.usage.total_input();
        prompt.store(&mut all, &mut draft.odd);
        output.store(&mut draft.usage.output_tokens, &mut draft.odd);
        cached.store(&mut draft.usage.cache_read_tokens, &mut draft.odd);
        draft.usage.cache_read_tokens = draft.usage.cache_read_tokens.min(all);
        draft.usage.input_tokens = all.saturating_sub(draft.usage.cache_read_tokens);
    }

    fn output(&self) -> Result<Value, Fault> {
        let bad = |detail: &str| Fault::lasting(FailureKind::BadAnswer, detail);
        if self.stop_reason.as_deref() == Some("content_filter") {
            return Err(bad("the model declined to answer"));
        }
        if !self.structured {
            let empty = self.draft.text.trim().is_empty();
            return if empty { Err(bad("the answer is empty")) } else { Ok(self.draft.text.clone().into()) };
        }
        match serde_json::from_str(unfenced(&self.draft.text)) {
            Ok(output @ Value::Object(_)) => Ok(output),
            Ok(_) | Err(_) if self.stop_reason.as_deref() == Some("length") => {
                Err(bad(&format!("the answer did not fit into {} tokens", self.tokens_max)))
            }
            Ok(_) | Err(_) => Err(bad("the structured answer is not a JSON object")),
        }
    }
}

/// The text inside a Markdown code fence, where small models like to put JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    inner.and_then(|inner| inner.strip_suffix("```")).unwrap_or(text)
}

impl Reader for CompletionReader {
    fn event(&mut self, event: &Event) -> Result<Step, Fault> {
        if event.data.trim() == "[DONE]" {
            self.draft.finished = true;
            return Ok(Step::End);
        }
        let chunk: Chunk = serde_json::from_str(&event.data)
            .map_err(|_| Fault::lasting(FailureKind::BadAnswer, "an event of the stream cannot be read"))?;
        if let Some(error) = chunk.error {
            let detail = format!("the upstream failed while answering: {}", error.message);
            return Err(Fault::passing(FailureKind::Unavailable, detail));
        }
        if let Some(model) = chunk.model {
            self.model = model;
        }
        if let Some(usage) = &chunk.usage {
            self.take_usage(usage);
        }
        let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else { return Ok(Step::Quiet) };
        if choice.finish_reason.is_some() {
            self.stop_reason = choice.finish_reason;
            self.draft.finished = true;
        }
        let delta = choice.delta.unwrap_or_default();
        self.draft.count(delta.reasoning_content.as_deref().unwrap_or_default());
        let text = delta.content.unwrap_or_default();
        self.draft.push(&text)?;
        Ok(if text.is_empty() { Step::Quiet } else { Step::Piece(text) })
    }

    /// Some servers close the stream after the finish reason without `[DONE]`.
    fn may_end(&self) -> bool {
        self.draft.finished
    }

    fn draft(&self) -> &Draft {
        &self.draft
    }

    fn finish(&self) -> Result<Answer, Fault> {
        Ok(Answer {
            output: self.output()?,
            model: self.model.clone(),
            stop_reason: self.stop_reason.clone(),
            ..Answer::default()
        })
    }
}

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<SaidUsage>,
    error: Option<super::ErrorInfo>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
}

/// Counts stay raw text until [`Count::read`], so that no number makes an event unreadable.
#[derive(Deserialize)]
struct SaidUsage {
    prompt_tokens: Option<Box<RawValue>>,
    completion_tokens: Option<Box<RawValue>>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<Box<RawValue>>,
}
