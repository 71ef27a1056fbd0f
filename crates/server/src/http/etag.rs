//! Revisions on the wire: `ETag` on what is read, `If-Match` on edits, `If-None-Match` on what may be cached.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::wire::Json;
use crate::app::revision::Expected;

/// From which revision an edit was made.
#[derive(Debug)]
pub struct IfMatch(pub Expected);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(match tags(&parts.headers, &header::IF_MATCH) {
            None => Expected::Unsaid,
            Some(tags) if tags == ["*"] => Expected::Any,
            // A weak tag never matches here (RFC 9110 §13.1.1).
            Some(tags) => Expected::OneOf(tags.iter().filter_map(|tag| opaque(tag)).map(str::to_owned).collect()),
        }))
    }
}

/// The entity tags of a header; none when it is absent.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    headers.contains_key(name).then(|| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect()
    })
}

fn opaque(tag: &str) -> Option<&str> {
    tag.strip_prefix('"')?.strip_suffix('"')
}

/// A resource with its revision, which goes out as a strong `ETag`.
#[derive(Debug)]
pub struct Tagged<T>(pub String, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let Self(revision, body) = self;
        let mut response = Json(body).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// What the caller has in its cache.
#[derive(Debug)]
pub struct IfNoneMatch(Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, &header::IF_NONE_MATCH).unwrap_or_default()))
    }
}

impl IfNoneMatch {
    /// The answer, or 304 without a body when the caller has it.
    pub fn answer<T: Serialize>(&self, tagged: Tagged<T>) -> Response {
        // Weak comparison, as RFC 9110 §13.1.2 has it for reading.
        let known = |tag: &String| tag == "*" || opaque(tag.trim_start_matches("W/")) == Some(tagged.0.as_str());
        let has = self.0.iter().any(known);
        let mut response = tagged.into_response();
        if has {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = axum::body::Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn expected(values: &[&'static str]) -> Expected {
        let mut request = axum::http::Request::new(());
        for value in values {
            request.headers_mut().append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        let (mut parts, ()) = request.into_parts();
        let Ok(IfMatch(expected)) = IfMatch::from_request_parts(&mut parts, &()).await;
        expected
    }

    #[tokio::test]
    async fn if_match_is_read_as_rfc_9110_has_it() {
        assert_eq!(expected(&[]).await, Expected::Unsaid);
        assert_eq!(expected(&["*"]).await, Expected::Any);
        assert_eq!(
            expected(&["\"3\", \"4\"", "\"5\""]).await,
            Expected::OneOf(vec!["3".into(), "4".into(), "5".into()])
        );
        assert_eq!(expected(&["W/\"3\""]).await, Expected::OneOf(vec![]), "a weak tag matches nothing");
        assert_eq!(expected(&["3"]).await, Expected::OneOf(vec![]), "a tag has quotes");
    }
}
