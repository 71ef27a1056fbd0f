//! Any server that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, gateways.

mod request;
mod stream;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use super::anthropic::kind_of_status;
use super::stream::{Fault, Patience, Protocol, Refusal, run};
use super::{Answer, Call, Failure, FailureKind, Piece, Retry, Upstream};
use crate::http::{Http, Secret, SetupError, endpoint};

/// Where OpenAI's own service lives.
pub const BASE_URL: &str = "https://api.openai.com/v1";

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// With the version, such as [`BASE_URL`] or `http://127.0.0.1:11434/v1`.
    pub base_url: String,
    /// Sent as a bearer token; an empty one is not sent, because local servers need none.
    pub key: Secret,
    /// How long it may be silent.
    pub patience: Patience,
    /// How often a call is tried again.
    pub retry: Retry,
}

impl Config {
    /// A server with the usual patience and retries.
    pub fn new(base_url: impl Into<String>, key: Secret) -> Self {
        Self { base_url: base_url.into(), key, patience: Patience::default(), retry: Retry::default() }
    }
}

/// The OpenAI-compatible upstream.
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: Http,
    url: Url,
    key: HeaderValue,
    config: Config,
}

impl OpenAi {
    /// Sets the upstream up without calling it. Fails when the base URL or the key cannot be used at all.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let url = endpoint(&config.base_url, "/chat/completions")?;
        let key = config.key.header("Bearer ").ok_or(SetupError::Key)?;
        Ok(Self { http: Http::new()?, url, key, config })
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
        let dialect = if self.url.host_str() == Some("api.openai.com") {
            request::Dialect::OpenAi
        } else {
            request::Dialect::Compatible
        };
        let request = self.http.client().post(self.url.clone()).json(&request::body(call, dialect)?);
        Ok(if self.config.key.is_empty() { request } else { request.header(AUTHORIZATION, self.key.clone()) })
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

    fn secret(&self) -> &Secret {
        &self.config.key
    }

    fn patience(&self) -> Patience {
        self.config.patience
    }

    fn retry(&self) -> Retry {
        self.config.retry
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
