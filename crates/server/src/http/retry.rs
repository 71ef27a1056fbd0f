//! `Idempotency-Key`: what makes a retry the same request.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use serde::Serialize;
use store::gate::Idempotency;

use super::problem::Failed;
use crate::app::idempotency;
use crate::cx::Cx;
use crate::error::Error;

/// What makes a retry return the first answer: the request's `Idempotency-Key`, if it has one.
pub struct Retry(Option<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for Retry {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        match (keys.next(), keys.next()) {
            (key, None) => Ok(Self(key.cloned())),
            // Which of them a retry would name is anybody's guess.
            (_, Some(_)) => Err(Error::field("", "Idempotency-Key: send one, not several").into()),
        }
    }
}

impl Retry {
    /// The key of one action of a batch that has none of its own.
    pub fn of_item(&self, number: usize) -> Option<String> {
        Some(format!("{}/{number}", self.0.as_ref()?.to_str().ok()?))
    }

    /// The identity of the request; none without a key.
    pub fn identity(&self, cx: &Cx, route: &str, body: &impl Serialize) -> Result<Option<Idempotency>, Error> {
        let Some(key) = &self.0 else { return Ok(None) };
        let key = key.to_str().map_err(|_| Error::field("", "Idempotency-Key: use printable characters"))?;
        idempotency::of_request(cx, route, key, body).map(Some)
    }
}
