//! Parts of the URL: what is wrong with them is a problem like any other.

use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Failed;
use crate::error::{Code, Error};
use crate::words::{self, Fault};

/// The query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        read_uri(&parts.uri).map(Self)
    }
}

/// Reads some parameters, written as in a URL.
pub fn read<T: DeserializeOwned>(query: &str) -> Result<T, Failed> {
    read_uri(&format!("/?{query}").parse().map_err(|_| Error::field("", "The query: write it as in a URL"))?)
}

fn read_uri<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failed> {
    match AxumQuery::try_from_uri(uri) {
        Ok(AxumQuery(query)) => Ok(query),
        Err(_) => Err(fault::<T>(uri).into()),
    }
}

/// A parameter that is `true` or `false`.
pub fn flag(name: &str, value: Option<&str>) -> Result<Option<bool>, Error> {
    value.map(|text| text.parse().map_err(|_| Error::parameter(name, "use true or false"))).transpose()
}

/// What is wrong with a query. Parameters are texts and words here: a number is read by who needs it.
fn fault<T: DeserializeOwned>(uri: &Uri) -> Error {
    let pairs = AxumQuery::<Vec<(String, String)>>::try_from_uri(uri).map(|AxumQuery(pairs)| pairs);
    let mut parameters = serde_json::Map::new();
    for (name, value) in pairs.unwrap_or_default() {
        if parameters.insert(name.clone(), value.into()).is_some() {
            return Error::parameter(&name, "write it only once");
        }
    }
    let Fault { pointer, detail } = words::fault::<T, _>(serde_json::Value::Object(parameters));
    match pointer.strip_prefix('/') {
        Some(name) => Error::parameter(name, detail),
        None => Error::field("", format!("The query: {detail}")),
    }
}

/// The names in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(names)) => Ok(Self(names)),
            Err(_) => Err(Error::new(Code::NotFound, "The path cannot be read; write it as UTF-8.").into()),
        }
    }
}
