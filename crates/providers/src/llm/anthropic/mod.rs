//! The Anthropic Messages API: always streamed, structured answers by a forced tool, prompt caching.

mod request;
mod stream;

use async_trait::async_trait;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use super::connection::{Config, Connection};
use super::stream::{Fault, Protocol, Refusal, kind_of_status, run};
use super::{Answer, Call, Failure, FailureKind, Piece, Upstream};
use crate::http::SetupError;

/// Where the service itself lives, without `/v1`.
pub const BASE_URL: &str = "https://api.anthropic.com";
/// The API version of calls that name none.
pub const API_VERSION: &str = "2023-06-01";

/// The Anthropic upstream.
#[derive(Debug, Clone)]
pub struct Anthropic(Connection);

impl Anthropic {
    /// Sets the upstream up without calling it. Fails when the base URL or the key cannot be used at all.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Connection::new(config, "/v1/messages", "").map(Self)
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
        let request = self.0.post().header("x-api-key", self.0.key.clone());
        Ok(request.header("anthropic-version", version).json(&body))
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

    fn config(&self) -> &Config {
        &self.0.config
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
