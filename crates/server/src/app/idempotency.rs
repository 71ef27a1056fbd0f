//! The identity of a retry: scope and key as 26 characters, and a hash of the parsed body.

use domain::id::encode;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use store::gate::Idempotency;
use uuid::Uuid;

use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::limits::KEY_BYTES_MAX;

/// The identity of a request: its key within (principal, route), and its parsed body (SPEC §13). The tenant is added
/// by the store.
pub fn of_request(cx: &Cx, route: &str, key: &str, body: &impl Serialize) -> Result<Idempotency> {
    check(key).map_err(|wanted| Error::field("", format!("Idempotency-Key: {wanted}")))?;
    let scope = match cx.actor.own_customer() {
        Some(customer) => customer.to_string(),
        None => cx.actor.name(),
    };
    let body = serde_json::to_vec(body).map_err(Error::internal)?;
    let hash = i64::from_be_bytes(first(&digest(&[&body])));
    // 0 is for what the product itself does.
    Ok(Idempotency { key: name(&scope, route, key), request_hash: if hash == 0 { 1 } else { hash } })
}

/// Whether a text may be a key; fails with what to do.
pub fn check(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
        return Err(format!("use 1 to {KEY_BYTES_MAX} printable characters"));
    }
    Ok(())
}

/// The identity of something that the product itself does at most once, ever: its key is not dropped with age.
pub fn internal(key: &str) -> Idempotency {
    Idempotency { key: name("system", "internal", key), request_hash: 0 }
}

/// A time-ordered key keeps its time in front, because keys in random order cost a page write each (HOTPATH §5).
fn name(scope: &str, route: &str, key: &str) -> String {
    let hash = digest(&[scope.as_bytes(), &[0], route.as_bytes(), &[0], key.as_bytes()]);
    let hash = u128::from_be_bytes(first(&hash));
    let time_ordered = Uuid::try_parse(key).ok().filter(|uuid| uuid.get_version_num() == 7);
    match time_ordered {
        Some(uuid) => encode((uuid.as_u128() >> 80 << 80) | (hash >> 48)),
        None => encode(hash),
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    bytes
}

fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    let mut head = [0; N];
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_scope_route_and_key_and_keep_their_time() {
        let key = "019aa8a0-0000-7000-8000-000000000001";
        let later = "019aa8a0-0001-7000-8000-000000000000";
        let all =
            [name("a", "r", key), name("b", "r", key), name("a", "s", key), name("a", "r", later), name("a", "r", "x")];
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| other != one));
        }
        assert!(name("a", "r", key) < name("z", "q", later), "time decides the order");
        assert_eq!(all[0], name("a", "r", key));
    }
}
