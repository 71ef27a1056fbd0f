//! Secrets at rest: AES-256-GCM under one master key, bound to the row that they stand in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use domain::id::TenantId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::{Error, Result};

/// Bytes of a master key.
pub const MASTER_KEY_BYTES: usize = 32;

/// What the key of the audit trail's codes is derived for.
const AUDIT_PURPOSE: &[u8] = b"tollgate audit codes 1";

/// The key that every stored secret is sealed with, and what is derived from it.
pub struct MasterKey {
    sealing: LessSafeKey,
    audit: hmac::Key,
}

impl MasterKey {
    /// Takes 32 bytes of key.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let key =
            UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| Error::internal("the master key must have 32 bytes"))?;
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), AUDIT_PURPOSE);
        let audit = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        Ok(Self { sealing: LessSafeKey::new(key), audit })
    }

    /// A code over an entry of the audit trail, in hexadecimal: only who has the key can make it.
    pub fn audit_code(&self, bytes: &[u8]) -> String {
        to_hex(hmac::sign(&self.audit, bytes).as_ref())
    }

    /// Seals a value for one place; in another place it does not open.
    pub fn seal(&self, tenant: &TenantId, place: &str, plain: &[u8]) -> Result<String> {
        let mut nonce = [0_u8; NONCE_LEN];
        fill(&mut nonce)?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(format!("{tenant}/{place}"));
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| Error::internal("sealing failed"))?;
        Ok(format!("v1.{}.{}", BASE64.encode(nonce), BASE64.encode(sealed)))
    }

    /// Opens a sealed value; none when the key or the place is another.
    pub fn open(&self, tenant: &TenantId, place: &str, sealed: &str) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.strip_prefix("v1.")?.split_once('.')?;
        let nonce: [u8; NONCE_LEN] = BASE64.decode(nonce).ok()?.try_into().ok()?;
        let mut body = BASE64.decode(body).ok()?;
        let aad = Aad::from(format!("{tenant}/{place}"));
        let plain = self.sealing.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut body).ok()?;
        Some(plain.to_vec())
    }
}

/// Fills a buffer with random bytes of the system.
pub fn fill(buffer: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(buffer).map_err(|_| Error::internal("the system has no randomness"))
}

/// A hash under which a random secret is stored and found, in hexadecimal.
pub fn hash(secret: &str) -> String {
    digest(secret.as_bytes())
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    to_hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// A random text of 256 bits.
pub fn random_text() -> Result<String> {
    let mut bytes = [0_u8; 32];
    fill(&mut bytes)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_in_its_place() {
        let key = MasterKey::new(&[7; 32]).unwrap();
        let tenant = TenantId::stored("ten_a");
        let sealed = key.seal(&tenant, "upstream/anthropic", b"secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(key.open(&tenant, "upstream/anthropic", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(key.open(&tenant, "upstream/other", &sealed), None);
        assert_eq!(key.open(&TenantId::stored("ten_b"), "upstream/anthropic", &sealed), None);
        assert_eq!(MasterKey::new(&[8; 32]).unwrap().open(&tenant, "upstream/anthropic", &sealed), None);
        assert_ne!(sealed, key.seal(&tenant, "upstream/anthropic", b"secret").unwrap(), "each nonce is new");
    }
}
