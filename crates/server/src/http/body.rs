//! Reading JSON bodies: what is wrong is told with a pointer to the field.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use super::problem::Failed;
use crate::error::{Code, Error};

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        require_json(request.headers())?;
        let bytes = read(request, state).await?;
        Ok(Self(parse(&bytes)?))
    }
}

/// Reads a whole body, within the route's limit.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failed> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let too_large = rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE;
        let error = if too_large {
            Error::new(Code::BodyTooLarge, "Send less at once; docs/api.md has the limits.")
        } else {
            Error::new(Code::MalformedJson, "The body could not be read to its end.")
        };
        error.into()
    })
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

/// Parses JSON; the field at fault is looked for only when there is one.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failed> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) if error.is_data() => Err(locate::<T>(bytes).into()),
        Err(error) => {
            let detail = format!("Send a JSON document: {error}.");
            Err(Error::new(Code::MalformedJson, detail).into())
        }
    }
}

fn locate<T: DeserializeOwned>(bytes: &[u8]) -> Error {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return Error::field("", "the body does not have the right form");
    };
    let pointer: String = error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(format!("/{index}")),
            serde_path_to_error::Segment::Map { key } => {
                Some(format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            }
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
        })
        .collect();
    Error::field(pointer, error.inner().to_string())
}
