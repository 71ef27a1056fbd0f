//! Errors on the wire: RFC 9457.

use super::wire::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::catalog::Catalog;
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::{QuotaBody, QuotaMap};
use crate::error::{Action, Error, FieldError};

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable, relative: its page says more.
    #[serde(rename = "type")]
    #[schema(example = "/problems/quota-exceeded")]
    pub kind: String,
    /// The same, for programs.
    #[schema(example = "quota-exceeded")]
    pub code: &'static str,
    /// What happened.
    #[schema(example = "Quota exceeded")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 429)]
    pub status: u16,
    /// What to do.
    #[schema(
        example = "Invoice OCR & Analysis: all 100 analyses are used. Upgrade the plan, buy a top-up, or wait until 2026-12-01."
    )]
    pub detail: String,
    /// The request's id.
    #[schema(example = "req_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    pub instance: String,
    /// Fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The quota at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = QuotaBody)]
    pub quota: Option<QuotaBody>,
    /// All quotas at fault, when several are.
    #[serde(skip_serializing_if = "QuotaMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, QuotaBody>)]
    pub quotas: QuotaMap,
    /// What the user can do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Under which id the explanation is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, example = "dec_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    pub decision: Option<String>,
}

/// An error on its way out, with the catalog that names its features, if a tenant was known.
#[derive(Debug)]
pub struct Failed(pub Error, pub Vec<QuotaBody>);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error, Vec::new())
    }
}

impl Failed {
    /// An error whose quotas are named by a catalog.
    pub fn named(error: Error, catalog: &Catalog) -> Self {
        let quotas: Vec<_> = error.more.quotas.iter().map(|quota| QuotaBody::of(quota, catalog)).collect();
        Self(error, quotas)
    }

    /// The problem document; the request's id is added by the middleware that knows it.
    pub fn problem(self, request_id: &str) -> Problem {
        let Self(error, quotas) = self;
        let (status, code, title) = error.code.row();
        Problem {
            kind: format!("/problems/{code}"),
            code,
            title,
            status,
            detail: error.detail,
            instance: request_id.to_owned(),
            errors: error.more.fields,
            quota: quotas.first().cloned(),
            quotas: if quotas.len() > 1 {
                quotas.into_iter().map(|q| (q.feature.clone(), q)).collect()
            } else {
                QuotaMap::new()
            },
            actions: error.more.actions,
            decision: error.more.decision,
        }
    }
}

tokio::task_local! {
    /// The request's id, as the middleware hands it to error answers.
    pub static REQUEST_ID: std::sync::Arc<str>;
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let request_id = REQUEST_ID.try_with(Clone::clone).unwrap_or_else(|_| "".into());
        let retry_after = self.0.more.retry_after;
        let unauthenticated = self.0.code.row().0 == 401;
        let problem = self.problem(&request_id);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
