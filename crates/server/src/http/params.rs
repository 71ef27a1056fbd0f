//! Parts of the URL: what is wrong with them is a problem like any other.

use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Failed;
use crate::error::{Code, Error};

/// The query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        match AxumQuery::from_request_parts(parts, state).await {
            Ok(AxumQuery(query)) => Ok(Self(query)),
            Err(rejection) => Err(Error::field("", rejection.body_text()).into()),
        }
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
