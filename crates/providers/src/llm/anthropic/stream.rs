//! Reads the event stream of a Messages answer.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::sse::Event;
use super::super::stream::{Draft, Fault, Reader, Step};
use super::super::usage::Count;
use super::super::{Answer, Call, FailureKind};
use super::ErrorBody;
use super::request::TOOL;

/// Puts one message together.
#[derive(Debug)]
pub(in crate::llm) struct MessageReader {
    draft: Draft,
    structured: bool,
    tool_block: Option<u64>,
    model: String,
    stop_reason: Option<String>,
    tokens_max: u32,
}

impl MessageReader {
    pub(super) fn new(call: &Call) -> Self {
        Self {
            draft: Draft::new(call),
            structured: call.output_schema.is_some(),
            tool_block: None,
            model: call.model.clone(),
            stop_reason: None,
            tokens_max: call.max_output_tokens,
        }
    }

    fn started(&mut self, start: MessageStart) {
        if let Some(model) = start.message.model {
            self.model = model;
        }
        self.take_usage(start.message.usage);
    }

    /// Usage is cumulative, so the last word on each field counts and silence leaves a field as it was.
    fn take_usage(&mut self, said: Option<SaidUsage>) {
        let Some(said) = said else { return };
        let draft = &mut self.draft;
        let (usage, odd) = (&mut draft.usage, &mut draft.odd);
        let input = Count::read(said.input_tokens.as_deref());
        let output = Count::read(said.output_tokens.as_deref());
        draft.said.input |= input != Count::Unsaid;
        draft.said.output |= output != Count::Unsaid;
        input.store(&mut usage.input_tokens, odd);
        output.store(&mut usage.output_tokens, odd);
        Count::read(said.cache_read_input_tokens.as_deref()).store(&mut usage.cache_read_tokens, odd);
        match said.cache_creation {
            Some(split) => {
                Count::read(split.ephemeral_5m_input_tokens.as_deref()).store(&mut usage.cache_write_5m_tokens, odd);
                Count::read(split.ephemeral_1h_input_tokens.as_deref()).store(&mut usage.cache_write_1h_tokens, odd);
            }
            // Without the split it is the five-minute cache that we ask for, less what is known of the other.
            None => match Count::read(said.cache_creation_input_tokens.as_deref()) {
                Count::Unsaid => {}
                Count::Said(all) => {
                    usage.cache_write_5m_tokens = all.saturating_sub(usage.cache_write_1h_tokens);
                }
                strange @ Count::Odd(_) => strange.store(&mut usage.cache_write_5m_tokens, odd),
            },
        }
    }

    fn block_started(&mut self, start: BlockStart) -> Result<Step, Fault> {
        let block = start.content_block;
        match block.kind.as_str() {
            "tool_use" if self.structured && self.tool_block.is_none() && block.name == TOOL => {
                self.tool_block = Some(start.index);
                Ok(Step::Quiet)
            }
            "text" if !self.structured => self.add(block.text),
            _ => Ok(Step::Quiet),
        }
    }

    fn block_grew(&mut self, delta: BlockDelta) -> Result<Step, Fault> {
        let wanted = delta.delta;
        match wanted.kind.as_str() {
            "text_delta" if !self.structured => self.add(wanted.text),
            "input_json_delta" if self.tool_block == Some(delta.index) => self.add(wanted.partial_json),
            _ => {
                // Thinking and the like is paid for, but is not the answer.
                for text in [&wanted.text, &wanted.partial_json, &wanted.thinking] {
                    self.draft.count(text);
                }
                Ok(Step::Quiet)
            }
        }
    }

    fn add(&mut self, text: String) -> Result<Step, Fault> {
        self.draft.push(&text)?;
        Ok(if text.is_empty() { Step::Quiet } else { Step::Piece(text) })
    }

    fn output(&self) -> Result<Value, Fault> {
        let bad = |detail: &str| Fault::lasting(FailureKind::BadAnswer, detail);
        if self.stop_reason.as_deref() == Some("refusal") {
            return Err(bad("the model declined to answer"));
        }
        if !self.structured {
            let empty = self.draft.text.trim().is_empty();
            return if empty { Err(bad("the answer is empty")) } else { Ok(self.draft.text.clone().into()) };
        }
        if self.tool_block.is_none() {
            return Err(bad("the model did not give a structured answer"));
        }
        let text = if self.draft.text.trim().is_empty() { "{}" } else { &self.draft.text };
        match serde_json::from_str(text) {
            Ok(output @ Value::Object(_)) => Ok(output),
            Ok(_) | Err(_) if self.stop_reason.as_deref() == Some("max_tokens") => {
                Err(bad(&format!("the answer did not fit into {} tokens", self.tokens_max)))
            }
            Ok(_) | Err(_) => Err(bad("the structured answer is not a JSON object")),
        }
    }
}

impl Reader for MessageReader {
    fn event(&mut self, event: &Event) -> Result<Step, Fault> {
        let named;
        let kind = if event.name.is_empty() {
            named = read::<Named>(event)?.kind;
            named.as_str()
        } else {
            event.name.as_str()
        };
        match kind {
            "message_start" => {
                self.started(read(event)?);
                Ok(Step::Quiet)
            }
            "content_block_start" => self.block_started(read(event)?),
            "content_block_delta" => self.block_grew(read(event)?),
            "message_delta" => {
                let delta: MessageDelta = read(event)?;
                self.stop_reason = delta.delta.stop_reason.or(self.stop_reason.take());
                self.take_usage(delta.usage);
                Ok(Step::Quiet)
            }
            "message_stop" => {
                self.draft.finished = true;
                Ok(Step::End)
            }
            "error" => Err(failed(&read::<ErrorBody>(event)?)),
            _ => Ok(Step::Quiet),
        }
    }

    fn may_end(&self) -> bool {
        false
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

/// An `error` event after status 200.
fn failed(body: &ErrorBody) -> Fault {
    let error = &body.error;
    let status = if error.kind == "invalid_request_error" { 400 } else { 500 };
    let kind = if error.money_ran_out() { FailureKind::Credentials } else { error.kind(status) };
    let detail = format!("the upstream failed while answering, {}: {}", error.kind, error.message);
    match kind {
        FailureKind::RateLimited | FailureKind::Overloaded | FailureKind::Timeout | FailureKind::Unavailable => {
            Fault::passing(kind, detail)
        }
        FailureKind::Rejected
        | FailureKind::Credentials
        | FailureKind::Cut
        | FailureKind::BadAnswer
        | FailureKind::Canceled => Fault::lasting(kind, detail),
    }
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, Fault> {
    serde_json::from_str(&event.data)
        .map_err(|_| Fault::lasting(FailureKind::BadAnswer, "an event of the stream cannot be read"))
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct MessageStart {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    usage: Option<SaidUsage>,
}

/// Counts stay raw text until [`Count::read`], so that no number makes an event unreadable.
#[derive(Deserialize)]
struct SaidUsage {
    input_tokens: Option<Box<RawValue>>,
    output_tokens: Option<Box<RawValue>>,
    cache_creation_input_tokens: Option<Box<RawValue>>,
    cache_read_input_tokens: Option<Box<RawValue>>,
    cache_creation: Option<CacheCreation>,
}

#[derive(Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<Box<RawValue>>,
    ephemeral_1h_input_tokens: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct BlockStart {
    index: u64,
    content_block: Block,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct BlockDelta {
    index: u64,
    delta: Delta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    partial_json: String,
    thinking: String,
}

#[derive(Deserialize)]
struct MessageDelta {
    #[serde(default)]
    delta: Stop,
    usage: Option<SaidUsage>,
}

#[derive(Default, Deserialize)]
struct Stop {
    stop_reason: Option<String>,
}
