//! Identifiers: typed, prefixed and sortable by time (the TypeID form of a `UUIDv7`), and the keys that people choose.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Characters of one encoded 128-bit value: 26 × 5 bits.
pub const ENCODED_CHARS: usize = 26;
/// Characters of an id: a prefix of three, `_`, and an encoded value.
const ID_CHARS: usize = 30;
/// The longest key or slug that a person may choose.
pub const KEY_CHARS_MAX: usize = 64;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not an identifier or a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// An identifier that does not start with its kind's prefix.
    #[error("an id of this kind starts with `{0}_`")]
    Prefix(&'static str),
    /// Characters outside the allowed set, or none at all, or too many.
    #[error("use 1 to {KEY_CHARS_MAX} of a-z, 0-9 and _ , starting with a letter")]
    Shape,
}

/// Writes 128 bits as 26 characters of Crockford's base 32, so that byte order is numeric order.
///
/// Source: the TypeID specification 0.3 (`jetify-com/typeid`).
pub fn encode(bits: u128) -> String {
    let mut text = String::with_capacity(ENCODED_CHARS);
    append(&mut text, bits);
    text
}

/// Writes 128 bits as an id: a prefix, `_` and what [`encode`] writes.
pub fn encode_as(prefix: &str, bits: u128) -> String {
    let mut text = String::with_capacity(ID_CHARS);
    text.push_str(prefix);
    text.push('_');
    append(&mut text, bits);
    text
}

fn append(text: &mut String, bits: u128) {
    for place in (0..26_u32).rev() {
        let shifted = bits.checked_shr(place.saturating_mul(5)).unwrap_or(0);
        let index = usize::try_from(shifted & 31).unwrap_or(0);
        text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'0')));
    }
}

/// Whether a text is what [`encode`] writes or a key that a person may choose: lower-case letters and digits.
fn is_suffix(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= KEY_CHARS_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes the id of 128 bits, which are a `UUIDv7` in production.
            pub fn from_bits(bits: u128) -> Self {
                Self(encode_as($prefix, bits).into())
            }

            /// Reads an id and checks its kind.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let suffix = text
                    .strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .ok_or(IdError::Prefix($prefix))?;
                if is_suffix(suffix) { Ok(Self(text.into())) } else { Err(IdError::Shape) }
            }

            /// Takes an id as the database holds it.
            pub fn stored(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(/// A white-label deployment.
    TenantId, "ten");
id!(/// The billing party that holds a subscription and its quotas.
    CustomerId, "cus");
id!(/// A person who signs in.
    UserId, "usr");
id!(/// A plan of the catalog.
    PlanId, "pln");
id!(/// An immutable version of what a plan costs.
    PriceId, "prc");
id!(/// A customer's hold on a plan at a price.
    SubscriptionId, "sub");
id!(/// A bought or granted pack of credits.
    GrantId, "grt");
id!(/// One operation of the gate; its lines share the id.
    EventId, "evt");
id!(/// An amount held until its real cost is known.
    ReservationId, "rsv");
id!(/// One refusal that support can look up.
    DecisionId, "dec");
id!(/// An API key, not its secret.
    KeyId, "key");
id!(/// A browser session or a family of refresh tokens.
    SessionId, "ses");
id!(/// A file of a customer.
    FileId, "fil");
id!(/// One row of the job queue.
    JobId, "job");

/// The key of a feature or component: `snake_case`, and `-` reads as `_` (SPEC §1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FeatureKey(Arc<str>);

impl FeatureKey {
    /// Reads a key; `-` and `_` are the same.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let fits = text.len() <= KEY_CHARS_MAX;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if !(starts_well && fits && text.bytes().all(allowed)) {
            return Err(IdError::Shape);
        }
        Ok(Self(if text.contains('-') { text.replace('-', "_").into() } else { text.into() }))
    }

    /// Takes a key as the database holds it.
    pub fn stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The key as text, in `snake_case`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FeatureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FeatureKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_the_order_of_its_bits() {
        let ids: Vec<_> = [0, 1, 31, 32, u128::MAX >> 1, u128::MAX].into_iter().map(EventId::from_bits).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        assert_eq!(ids[0].as_str(), "evt_00000000000000000000000000");
        assert_eq!(ids[5].as_str(), "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }

    #[test]
    fn an_id_of_another_kind_or_shape_is_refused() {
        assert_eq!(CustomerId::parse("usr_1"), Err(IdError::Prefix("cus")));
        for bad in ["cus_", "cus_A", "cus_a b", "cus_é", &format!("cus_{}", "a".repeat(65))] {
            assert_eq!(CustomerId::parse(bad), Err(IdError::Shape), "{bad}");
        }
        assert_eq!(CustomerId::parse("cus_demo1").map(|id| id.to_string()), Ok("cus_demo1".to_owned()));
    }

    #[test]
    fn hyphen_and_underscore_are_the_same_key() {
        assert_eq!(FeatureKey::parse("invoice-ocr"), FeatureKey::parse("invoice_ocr"));
        for bad in ["", "1a", "_a", "A", "a b", "a.b", &"a".repeat(65)] {
            assert!(FeatureKey::parse(bad).is_err(), "{bad}");
        }
    }
}
