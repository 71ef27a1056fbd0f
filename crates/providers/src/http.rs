//! The one HTTP client of this crate, and the wrapper that keeps secrets out of logs.
//!
//! Owns TLS, connect time-outs and redaction.
//! Must not retry: only the caller knows what may be sent twice.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use zeroize::Zeroize;

/// How long a TCP and TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept for the next call.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How much of a foreign text is put into an error, in characters.
const DETAIL_CHARS_MAX: usize = 300;

/// A credential. Its `Debug` prints `***`, it has no `Display`, and its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential; surrounding white space is cut, because keys are pasted.
    pub fn new(value: impl Into<String>) -> Self {
        let mut value = value.into();
        let trimmed = value.trim().to_owned();
        value.zeroize();
        Self(trimmed)
    }

    /// The credential itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when there is no credential, as with a local model server.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` cut to what an error may hold, with every occurrence of the credential replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        let clean = if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "***") };
        clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL_CHARS_MAX).collect()
    }

    /// The credential as a header value that HTTP logs hide; `None` when it cannot be a header.
    pub(crate) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why an upstream cannot be set up. Nothing has been sent.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The TLS client could not be built, for example on a machine without CA certificates.
    #[error("the HTTPS client could not be set up; are the CA certificates of this machine installed?")]
    Tls(#[source] reqwest::Error),
    /// The base URL is not an absolute http or https URL, or carries a credential.
    #[error("the base URL must be an absolute http or https URL without user name or password")]
    BaseUrl,
    /// The key holds characters that no HTTP header can carry.
    #[error("the key holds characters that cannot be sent")]
    Key,
}

/// The HTTP client that every adapter shares: cheap to clone, one pool of connections.
///
/// It follows no redirect (a redirect would carry the key elsewhere) and takes no proxy from the environment.
#[derive(Clone, Debug)]
pub struct Http(reqwest::Client);

impl Http {
    /// Builds the client with rustls on `ring` and the certificates of the platform.
    ///
    /// Fails with [`SetupError::Tls`] when the machine has no CA certificates.
    pub fn new() -> Result<Self, SetupError> {
        // Someone else in this process may have installed a provider first; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(SetupError::Tls)
    }

    /// The client inside, for the adapters of this crate.
    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.0
    }
}

/// Checks a base URL and returns it with `path` behind it, so that `https://host/v1/` and `https://host/v1` are the same.
pub(crate) fn endpoint(base_url: &str, path: &str) -> Result<reqwest::Url, SetupError> {
    let text = format!("{}{path}", base_url.trim().trim_end_matches('/'));
    let url = reqwest::Url::parse(&text).map_err(|_| SetupError::BaseUrl)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if plain && url.host_str().is_some() { Ok(url) } else { Err(SetupError::BaseUrl) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_in_no_debug_and_no_error_text() {
        let secret = Secret::new(" sk-very-secret \n");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "sk-very-secret");
        assert_eq!(secret.redact("bad key sk-very-secret\r\n!"), "bad key ***  !");
        let header = secret.header("Bearer ").expect("plain ASCII");
        assert!(!format!("{header:?}").contains("secret"));
    }

    #[test]
    fn a_long_foreign_text_is_cut_by_characters_not_bytes() {
        assert_eq!(Secret::new("k").redact(&"ü".repeat(1000)).chars().count(), DETAIL_CHARS_MAX);
    }

    #[test]
    fn base_urls_are_checked_and_joined() {
        let joined = |base| endpoint(base, "/v1/messages").map(|url| url.to_string()).ok();
        assert_eq!(joined("https://api.anthropic.com/").as_deref(), Some("https://api.anthropic.com/v1/messages"));
        assert_eq!(joined("http://127.0.0.1:9/gw").as_deref(), Some("http://127.0.0.1:9/gw/v1/messages"));
        for bad in ["", "api.anthropic.com", "ftp://host", "https://me:pw@host", "file:///etc"] {
            assert_eq!(joined(bad), None, "{bad}");
        }
    }
}
