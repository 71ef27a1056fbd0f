//! What every upstream over HTTP has: where it is, the key, and how long and how often to try.

use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, Url};

use super::Retry;
use super::stream::Patience;
use crate::http::{Http, Reach, Secret, SetupError, endpoint};

/// How to reach an upstream.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its paths begin: `https://api.anthropic.com`, or with the version `http://127.0.0.1:11434/v1`.
    pub base_url: String,
    /// The credential, which each upstream sends in its own way.
    pub key: Secret,
    /// How long it may be silent.
    pub patience: Patience,
    /// How often a call is tried again.
    pub retry: Retry,
    /// Which addresses may be called.
    pub reach: Reach,
}

impl Config {
    /// A server anywhere, with the usual patience and retries.
    pub fn new(base_url: impl Into<String>, key: Secret) -> Self {
        let (patience, retry, reach) = (Patience::default(), Retry::default(), Reach::Any);
        Self { base_url: base_url.into(), key, patience, retry, reach }
    }
}

/// An upstream that is set up and has not been called yet.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    http: Http,
    /// Where calls are posted.
    pub(super) url: Url,
    /// The key as the header that carries it wants it.
    pub(super) key: HeaderValue,
    pub(super) config: Config,
}

impl Connection {
    /// Fails when the base URL or the key cannot be used at all.
    pub(super) fn new(config: Config, path: &str, key_prefix: &str) -> Result<Self, SetupError> {
        let url = endpoint(&config.base_url, path, config.reach)?;
        let key = config.key.header(key_prefix).ok_or(SetupError::Key)?;
        Ok(Self { http: Http::new(config.reach)?, url, key, config })
    }

    /// A call to fill in.
    pub(super) fn post(&self) -> RequestBuilder {
        self.http.client().post(self.url.clone())
    }
}
