//! The one HTTP client of this crate, and the wrapper that keeps secrets out of logs.
//!
//! Owns TLS, connect time-outs and redaction.
//! Must not retry: only the caller knows what may be sent twice.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
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
    /// The address is one that may not be called from here.
    #[error("the base URL leads to an address that may not be called: {0}")]
    Reach(&'static str),
    /// The key holds characters that no HTTP header can carry.
    #[error("the key holds characters that cannot be sent")]
    Key,
}

/// Which addresses may be called, so that whoever writes a base URL cannot look into the network that we run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Servers of the internet, of the own network and of the own machine.
    #[default]
    Any,
    /// Servers of the internet alone.
    Public,
    /// Servers of the own network and of the own machine alone.
    Private,
}

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Public,
    Private,
    /// What no upstream has: link-local (where clouds keep their metadata), multicast, reserved.
    Nowhere,
}

fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => place_v6(address),
    }
}

/// Source: the IANA registry of IPv4 special-purpose addresses (RFC 6890).
fn place_v4(address: Ipv4Addr) -> Place {
    match address.octets() {
        [10 | 127, ..] | [192, 168, ..] | [172, 16..=31, ..] => Place::Private,
        [0 | 224..=255, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Place::Nowhere,
        _ => Place::Public,
    }
}

/// Source: the IANA registry of IPv6 special-purpose addresses. An IPv4 address inside is judged as one.
fn place_v6(address: Ipv6Addr) -> Place {
    let inner = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        place_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Place::Private,
        // Mapped (RFC 4291), translated (RFC 6052), and 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            inner(high, low)
        }
        // Teredo, documentation, and everything else that is not given out.
        [0x2001, 0 | 0xdb8, ..] => Place::Nowhere,
        [0x2000..=0x3fff, ..] => Place::Public,
        _ => Place::Nowhere,
    }
}

impl Reach {
    /// Whether an address may be called.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        match place(address) {
            Place::Public => self != Self::Private,
            Place::Private => self != Self::Public,
            Place::Nowhere => false,
        }
    }

    /// Judges an address that stands in a URL itself. Names are judged by what they lead to, whenever they are called.
    fn check(self, url: &Url) -> Result<(), SetupError> {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if !self.allows(address) => Err(SetupError::Reach(self.wanted())),
            _ => Ok(()),
        }
    }

    /// What to do when it may not.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Any => "use an address of the internet or of your own network",
            Self::Public => "use an address of the internet",
            Self::Private => "without https only an address of your own network will do",
        }
    }
}

/// Looks names up and leaves out what may not be called: it stands where connections are made, so that a name which
/// changes between a check and the call leads nowhere else.
#[derive(Debug)]
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<_> = found.into_iter().filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, reach.wanted()).into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
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
    pub fn new(reach: Reach) -> Result<Self, SetupError> {
        // Someone else in this process may have installed a provider first; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Guarded(reach)))
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
pub(crate) fn endpoint(base_url: &str, path: &str, reach: Reach) -> Result<Url, SetupError> {
    let text = format!("{}{path}", base_url.trim().trim_end_matches('/'));
    let url = Url::parse(&text).map_err(|_| SetupError::BaseUrl)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if !plain || url.host_str().is_none() {
        return Err(SetupError::BaseUrl);
    }
    reach.check(&url)?;
    Ok(url)
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
        let joined = |base| endpoint(base, "/v1/messages", Reach::Any).map(|url| url.to_string()).ok();
        assert_eq!(joined("https://api.anthropic.com/").as_deref(), Some("https://api.anthropic.com/v1/messages"));
        assert_eq!(joined("http://127.0.0.1:9/gw").as_deref(), Some("http://127.0.0.1:9/gw/v1/messages"));
        for bad in ["", "api.anthropic.com", "ftp://host", "https://me:pw@host", "file:///etc"] {
            assert_eq!(joined(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_is_called_only_where_it_may_be_however_it_is_written() {
        let allowed = |host: &str, reach| endpoint(&format!("http://{host}"), "/v1", reach).is_ok();
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:7f00:1::]",
            "[fd00::1]",
            "%31%32%37.0.0.1",
        ] {
            let found = [Reach::Any, Reach::Public, Reach::Private].map(|reach| allowed(host, reach));
            assert_eq!(found, [true, false, true], "{host}");
        }
        for host in [
            "0.0.0.0",
            "0",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.9",
            "[::]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[2001:db8::1]",
            "[2001::1]",
            "[fec0::1]",
            "[64:ff9b:1::1]",
        ] {
            let found = [Reach::Any, Reach::Public, Reach::Private].map(|reach| allowed(host, reach));
            assert_eq!(found, [false, false, false], "{host}");
        }
        for host in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "[2606:4700::1111]", "[2002:808:808::]"] {
            let found = [Reach::Any, Reach::Public, Reach::Private].map(|reach| allowed(host, reach));
            assert_eq!(found, [true, true, false], "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_leads_to() {
        let local = |reach| async move { Guarded(reach).resolve("localhost".parse().expect("a name")).await.is_ok() };
        assert!(local(Reach::Any).await && local(Reach::Private).await && !local(Reach::Public).await);
    }
}
