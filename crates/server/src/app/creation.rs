//! Creations happen once: a retry with the same idempotency key answers what the first has made.

use store::db::Tx;
use store::gate::Idempotency;

use super::usage::key_reused;
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// Takes the key, if there is one, for what this transaction makes. Answers the id of what was made under it before.
pub async fn claim(tx: &mut Tx, cx: &Cx, identity: Option<&Idempotency>) -> Result<Option<String>> {
    let Some(identity) = identity else { return Ok(None) };
    let Some(earlier) = store::creation::claim(tx, cx.tenant.id(), identity, cx.now).await? else { return Ok(None) };
    if earlier.request_hash != identity.request_hash {
        return Err(key_reused());
    }
    if earlier.made.is_empty() {
        return Err(
            Error::new(Code::IdempotencyInFlight, "The first request with this key is still running.").retry_after(1)
        );
    }
    Ok(Some(earlier.made))
}

/// Notes what was made under the key that [`claim`] took.
pub async fn note(tx: &mut Tx, cx: &Cx, identity: Option<&Idempotency>, made: &str) -> Result<()> {
    let Some(identity) = identity else { return Ok(()) };
    Ok(store::creation::note(tx, cx.tenant.id(), &identity.key, made).await?)
}
