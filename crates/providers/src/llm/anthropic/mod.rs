//! The Anthropic Messages API: always streamed, structured answers by a forced tool, prompt caching.

mod request;
mod stream;

use async_trait::async_trait;
use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use super::stream::{Fault, Patience, Protocol, Refusal, run};
use super::{Answer, Call, Failure, FailureKind, Piece, Retry, Upstream};
use crate::http::{Http, Secret, SetupError, endpoint};

/// Where the service itself lives.
pub const BASE_URL: &str = "https://api.anthropic.com";
/// The API version of calls that name none.
pub const API_VERSION: &str = "2023-06-01";

/// How to reach the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Without `/v1`, such as [`BASE_URL`].
    pub base_url: String,
    /// Sent as `x-api-key`.
    pub key: Secret,
    /// How long it may be silent.
    pub patience: Patience,
    /// How often a call is tried again.
    pub retry: Retry,
}

impl Config {
    /// The service itself with the usual patience and retries.
    pub fn new(key: Secret) -> Self {
        Self { base_url: BASE_URL.to_owned(), key, patience: Patience::default(), retry: Retry::default() }
    }
}

/// The Anthropic upstream.
#[derive(Debug, Clone)]
pub struct Anthropic {
    http: Http,
    url: Url,
    key: HeaderValue,
    config: Config,
}

impl Anthropic {
    /// Sets the upstream up without calling it. Fails when the base URL or the key cannot be used at all.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let url = endpoint(&config.base_url, "/v1/messages")?;
        let key = config.key.header("").ok_or(SetupError::Key)?;
        Ok(Self { http: Http::new()?, url, key, config })
    }
}

#[async_trait]
impl Upstream for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    async fn run(&self, call: &Call, pieces: Sender<Piece>) -> Result<Answer, Failure> {
        run(self, call, &pieces).await
    }
}

impl Protocol for Anthropic {
    type Reader = stream::MessageReader;

    const REQUEST_ID: &'static str = "request-id";

    fn request(&self, call: &Call) -> Result<RequestBuilder, Fault> {
        let version = HeaderValue::from_str(call.api_version.as_deref().unwrap_or(API_VERSION))
            .map_err(|_| Fault::lasting(FailureKind::Rejected, "the API version is not a header value"))?;
        let body = request::body(call)?;
        let request = self.http.client().post(self.url.clone());
        Ok(request.header("x-api-key", self.key.clone()).header("anthropic-version", version).json(&body))
    }

    fn reader(&self, call: &Call) -> Self::Reader {
        stream::MessageReader::new(call)
    }

    fn refusal(&self, status: u16, body: &[u8]) -> Refusal {
        let error = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error).unwrap_or_default();
        let hopeless = error.money_ran_out();
        let kind = if hopeless { FailureKind::Credentials } else { error.kind(status) };
        let explained = if error.message.is_empty() { "no explanation" } else { &error.message };
        Refusal { kind, detail: format!("status {status} {}: {explained}", error.kind), hopeless }
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

/// The body of an error answer, and of an `error` event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorInfo {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    details: Option<ErrorDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorDetails {
    error_code: Option<String>,
}

impl ErrorInfo {
    /// A spend limit comes as 429 too, but waiting does not fill the purse.
    fn money_ran_out(&self) -> bool {
        let code = self.details.as_ref().and_then(|details| details.error_code.as_deref());
        self.kind == "billing_error" || code.is_some_and(|code| code.contains("spend_limit"))
    }

    /// The class by error type, and by status where the type is none that we know.
    fn kind(&self, status: u16) -> FailureKind {
        match (self.kind.as_str(), status) {
            ("rate_limit_error", _) => FailureKind::RateLimited,
            ("overloaded_error", _) => FailureKind::Overloaded,
            ("timeout_error", _) => FailureKind::Timeout,
            ("authentication_error" | "permission_error", _) => FailureKind::Credentials,
            (_, status) => kind_of_status(status),
        }
    }
}

/// The class of a status by itself.
pub(super) fn kind_of_status(status: u16) -> FailureKind {
    match status {
        401..=403 => FailureKind::Credentials,
        408 | 504 => FailureKind::Timeout,
        409 => FailureKind::Unavailable,
        429 => FailureKind::RateLimited,
        400..=499 => FailureKind::Rejected,
        529 => FailureKind::Overloaded,
        _ => FailureKind::Unavailable,
    }
}
