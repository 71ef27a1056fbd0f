//! Any server that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, gateways.

mod request;
mod stream;

use async_trait::async_trait;
use reqwest::RequestBuilder;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use super::connection::{Config, Connection};
use super::stream::{Fault, Protocol, Refusal, kind_of_status, run};
use super::{Answer, Call, Failure, FailureKind, Piece, Upstream};
use crate::http::SetupError;

/// Where OpenAI's own service lives, with the version.
pub const BASE_URL: &str = "https://api.openai.com/v1";

/// The OpenAI-compatible upstream.
#[derive(Debug, Clone)]
pub struct OpenAi(Connection);

impl OpenAi {
    /// Sets the upstream up without calling it. Fails when the base URL or the key cannot be used at all.
    /// An empty key is not sent, because local servers need none.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Connection::new(config, "/chat/completions", "Bearer ").map(Self)
    }
}

#[async_trait]
impl Upstream for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    async fn run(&self, call: &Call, pieces: Sender<Piece>) -> Result<Answer, Failure> {
        run(self, call, &pieces).await
    }
}

impl Protocol for OpenAi {
    type Reader = stream::CompletionReader;

    const REQUEST_ID: &'static str = "x-request-id";

    fn request(&self, call: &Call) -> Result<RequestBuilder, Fault> {
        let dialect = if self.0.url.host_str() == Some("api.openai.com") {
            request::Dialect::OpenAi
        } else {
            request::Dialect::Compatible
        };
        let request = self.0.post().json(&request::body(call, dialect)?);
        let has_key = !self.0.config.key.is_empty();
        Ok(if has_key { request.header(AUTHORIZATION, self.0.key.clone()) } else { request })
    }

    fn reader(&self, call: &Call) -> Self::Reader {
        stream::CompletionReader::new(call)
    }

    fn refusal(&self, status: u16, body: &[u8]) -> Refusal {
        let error = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error).unwrap_or_default();
        let hopeless = error.code.as_deref() == Some("insufficient_quota");
        let kind = if hopeless { FailureKind::Credentials } else { kind_of_status(status) };
        let explained = if error.message.is_empty() { "no explanation" } else { &error.message };
        Refusal { kind, detail: format!("status {status}: {explained}"), hopeless }
    }

    fn config(&self) -> &Config {
        &self.0.config
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorInfo {
    message: String,
    code: Option<String>,
}
