//! Language models behind one interface: [`Anthropic`], any OpenAI-compatible server ([`OpenAi`]), and [`Demo`].
//!
//! Owns the conversation with an upstream: request, stream, retries, time-outs, token counts, failure classes.
//! Must not decide about quotas or money: it says what was used, even when the call fails.

pub mod anthropic;
mod connection;
pub mod demo;
pub mod openai;
mod retry;
mod sse;
mod stream;
mod usage;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

pub use anthropic::Anthropic;
pub use connection::Config;
pub use demo::Demo;
pub use openai::OpenAi;
pub use retry::Retry;
pub use stream::Patience;
pub use usage::{Usage, estimate_tokens};

/// How long an answer may be, in bytes of UTF-8.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// One call of one action of a component.
#[derive(Debug, Clone)]
pub struct Call {
    /// The upstream's name of the model.
    pub model: String,
    /// The API version to ask for, where the upstream has such a thing; `None` takes the adapter's default.
    pub api_version: Option<String>,
    /// The system prompt; may be empty.
    pub system: String,
    /// What the user sends, in order.
    pub parts: Vec<Part>,
    /// JSON Schema of the answer, whose type must be `object`; `None` asks for prose.
    pub output_schema: Option<Value>,
    /// The most tokens the answer may take.
    pub max_output_tokens: u32,
    /// Key of the component, such as `invoice_ocr`.
    pub component: String,
    /// Name of its action, such as `analyze`.
    pub action: String,
    /// The checked input that `parts` was rendered from; the demo upstream works on it.
    pub input: Value,
    /// Our id of the request, for logs.
    pub request_id: String,
    /// How long the whole call may take, retries included.
    pub timeout: Duration,
}

/// A part of what the user sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// A picture.
    Image {
        /// Such as `image/png`.
        media_type: String,
        /// The bytes in base64.
        data: String,
    },
    /// A document that the model reads page by page.
    Document {
        /// Such as `application/pdf`.
        media_type: String,
        /// The bytes in base64.
        data: String,
    },
}

/// A fragment of the answer for a streaming reader: JSON text when the call has an output schema, else prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece(pub String);

/// A complete answer.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Answer {
    /// The object that the output schema asked for, or the prose as a JSON string.
    pub output: Value,
    /// What was used, attempts that failed before this one included.
    pub usage: Usage,
    /// True when the upstream left the usage out or gave impossible numbers, so that it is partly our estimate.
    pub estimated: bool,
    /// The model that answered, as the upstream names it.
    pub model: String,
    /// The upstream's id of the request, for its support.
    pub upstream_request_id: Option<String>,
    /// Why the model stopped, in the upstream's words.
    pub stop_reason: Option<String>,
}

/// A call without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {detail}")]
pub struct Failure {
    /// The class, which decides what the caller tells the user.
    pub kind: FailureKind,
    /// What was really used before it failed.
    pub usage: Usage,
    /// True when `usage` is partly our estimate, because the upstream did not get to say the final numbers.
    pub estimated: bool,
    /// One sentence for the admin's log; holds no credential and no line break.
    pub detail: String,
    /// When the upstream is willing to be asked again.
    pub retry_after: Option<Duration>,
    /// The upstream's id of the request, for its support.
    pub upstream_request_id: Option<String>,
}

impl Failure {
    /// A failure before anything was used.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            usage: Usage::default(),
            estimated: false,
            detail: detail.into(),
            retry_after: None,
            upstream_request_id: None,
        }
    }
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The upstream will not take this request, now or later: bad input, unknown model, too large.
    Rejected,
    /// The upstream does not take our account: wrong key, no permission, or its money has run out. Only an admin can help.
    Credentials,
    /// Too many requests or tokens a minute.
    RateLimited,
    /// The upstream has too much to do.
    Overloaded,
    /// No answer, or no further piece of it, in time.
    Timeout,
    /// The upstream cannot be reached or fails inside.
    Unavailable,
    /// The stream ended before the answer did.
    Cut,
    /// The answer is complete but not what was asked for, or too long.
    BadAnswer,
    /// The reader of the pieces went away.
    Canceled,
}

/// Something that answers calls.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// `anthropic`, `openai` or `demo`.
    fn name(&self) -> &'static str;

    /// Runs the call and sends the answer piece by piece as it comes.
    ///
    /// A slow reader of `pieces` slows the reading from the upstream down; nothing piles up here.
    /// When the receiver is dropped the upstream request is aborted and the call fails as
    /// [`FailureKind::Canceled`]. A [`Failure`] always says what had been used.
    async fn run(&self, call: &Call, pieces: Sender<Piece>) -> Result<Answer, Failure>;
}
