//! What a tenant may be called in URLs, and which kinds there are.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Characters of a label of a host name (RFC 1035).
pub const SLUG_CHARS_MAX: usize = 63;

/// Names that mean something else in front of a base domain, or will.
const RESERVED: &[&str] = &[
    "account",
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "autodiscover",
    "billing",
    "cdn",
    "console",
    "dashboard",
    "docs",
    "ftp",
    "imap",
    "internal",
    "localhost",
    "login",
    "mail",
    "metrics",
    "mx",
    "ns1",
    "ns2",
    "operator",
    "platform",
    "pop",
    "root",
    "smtp",
    "sso",
    "static",
    "status",
    "support",
    "system",
    "webhooks",
    "wpad",
    "www",
];

/// Whether money is real in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is.
    Live,
    /// Nothing is: for trying out, with a clock and a payment provider of its own.
    Sandbox,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Live, Self::Sandbox];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }

    /// The mode of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Why a tenant cannot be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SlugError {
    /// It is no label of a host name.
    #[error(
        "use 1 to {SLUG_CHARS_MAX} lower-case letters, digits and hyphens, with a letter or a digit at both ends, such as acme or acme-2"
    )]
    Form,
    /// Browsers would show it as something else.
    #[error("leave out the two hyphens in the third and fourth place, which announce a name in other letters")]
    Encoded,
    /// It has a meaning of its own.
    #[error("this name has a meaning of its own in front of a domain; choose another")]
    Reserved,
}

/// Whether a tenant may be called so: `{slug}.{base domain}` is a host name.
pub fn check_slug(slug: &str) -> Result<(), SlugError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = slug.as_bytes();
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(first, last)| plain(*first) && plain(*last));
    if !ends || bytes.len() > SLUG_CHARS_MAX || !bytes.iter().all(|byte| plain(*byte) || *byte == b'-') {
        return Err(SlugError::Form);
    }
    if bytes.get(2..4) == Some(b"--") {
        return Err(SlugError::Encoded);
    }
    if RESERVED.contains(&slug) { Err(SlugError::Reserved) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_a_label_of_a_host_name_and_means_nothing_else() {
        let longest = "a".repeat(SLUG_CHARS_MAX);
        for good in ["a", "acme", "acme-2", "4711", "a--b", longest.as_str()] {
            assert_eq!(check_slug(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(SLUG_CHARS_MAX + 1);
        for bad in ["", "-", "-a", "a-", "Acme", "a.b", "a_b", "a b", "ä", "a\0", too_long.as_str()] {
            assert_eq!(check_slug(bad), Err(SlugError::Form), "{bad}");
        }
        assert_eq!(check_slug("xn--acme"), Err(SlugError::Encoded));
        for reserved in ["platform", "www", "api", "admin"] {
            assert_eq!(check_slug(reserved), Err(SlugError::Reserved), "{reserved}");
        }
        assert!(RESERVED.is_sorted() && RESERVED.iter().all(|name| check_slug(name) == Err(SlugError::Reserved)));
    }

    #[test]
    fn the_names_of_modes_lead_back() {
        assert!(Mode::ALL.into_iter().all(|mode| Mode::parse(mode.name()) == Some(mode)));
        assert_eq!(Mode::parse("LIVE"), None);
    }
}
