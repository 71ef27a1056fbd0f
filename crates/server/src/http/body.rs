//! Reading JSON bodies: what is wrong is told with a pointer to the field.

use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;

use super::problem::Failed;
use crate::error::{Code, Error};
use crate::limits::{BODY_BYTES_MAX, BODY_STALL};
use crate::words::{self, Fault};

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failed> {
        require_json(request.headers())?;
        let bytes = read(request.into_body(), BODY_BYTES_MAX).await?;
        Ok(Self(object(&bytes)?))
    }
}

/// An object. A derived struct alone would take an array of its fields, too.
pub struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Reads the members of an object.
struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// A list of objects, for a field.
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(object)| object).collect())
}

/// A field that was written, so that null is told from nothing: `Option<Option<_>>` where null means something.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same for a list of objects.
pub fn given_objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<T>>, D::Error> {
    objects(d).map(Some)
}

/// Reads a whole body of at most `bytes_max`. One that stands still for [`BODY_STALL`] is given up.
///
/// Of a body that is too large up to four times of what is allowed is read all the same: closing a connection with
/// bytes unread resets it, and the client would not see the answer.
pub async fn read(mut body: axum::body::Body, bytes_max: usize) -> Result<Bytes, Failed> {
    let read_max = bytes_max.saturating_mul(4);
    let too_large = || Error::new(Code::BodyTooLarge, format!("Send at most {bytes_max} bytes."));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > read_max {
        return Err(too_large().into());
    }
    let mut pieces = Vec::new();
    let mut size = 0_usize;
    while size <= read_max {
        let unread = || {
            if size.max(announced) > bytes_max {
                return too_large();
            }
            Error::new(Code::MalformedJson, "The body could not be read to its end.")
        };
        let Some(frame) = timeout(BODY_STALL, body.frame()).await.map_err(|_| unread())? else { break };
        // Trailers are of no use here.
        let Ok(piece) = frame.map_err(|_| unread())?.into_data() else { continue };
        size = size.saturating_add(piece.len());
        if size <= bytes_max {
            pieces.push(piece);
        }
    }
    if size > bytes_max {
        return Err(too_large().into());
    }
    // Nearly every body comes in one piece, which need not be copied.
    let alone = if pieces.len() == 1 { pieces.pop() } else { None };
    Ok(alone.unwrap_or_else(|| pieces.concat().into()))
}

/// Cookies cannot be used to send forms here: only JSON is read.
fn require_json(headers: &header::HeaderMap) -> Result<(), Failed> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json") {
        return Ok(());
    }
    Err(Error::new(Code::UnsupportedMediaType, "Send Content-Type: application/json.").into())
}

/// Parses an object.
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    parse(bytes).map(|Object(body)| body)
}

/// Parses JSON; the field at fault is looked for only when there is one.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error)
            if error.is_data() || lacks_word(&error, bytes) || error.to_string().starts_with(words::OUT_OF_RANGE) =>
        {
            let Fault { pointer, detail } = words::fault::<T, _>(&mut serde_json::Deserializer::from_slice(bytes));
            Err(Error::field(pointer, detail))
        }
        Err(error) => Err(Error::new(Code::MalformedJson, malformed(&error))),
    }
}

/// Whether the JSON is right, but something else stands where a word of a closed set should: the parser says so as it
/// says that JSON is wrong.
fn lacks_word(error: &serde_json::Error, bytes: &[u8]) -> bool {
    error.to_string().starts_with(words::NO_WORD) && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

fn malformed(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    // The parser has no other sign of it than its words.
    if error.to_string().starts_with("recursion limit") {
        return format!("Send JSON that is nested less deeply: reading stopped at {place}.");
    }
    let why = if error.is_eof() { "the body ends before it is complete" } else { "reading stopped" };
    format!("Send one JSON value: {why}, at {place}.")
}
