//! Another Tollgate server, as its API's callers see it: for the command line.
//!
//! Owns the transport and its time-outs.
//! Must not know what the answers mean.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};

use crate::http::{Http, Reach, Secret, SetupError, endpoint};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// A server, and the key to it.
#[derive(Debug)]
pub struct Remote {
    http: Http,
    base_url: String,
    key: Secret,
}

/// What a server answers.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The revision of what was read or written, with its quotes.
    pub etag: Option<String>,
    /// The body.
    pub text: String,
}

/// A document to send.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// What it says.
    pub text: &'a str,
    /// In which form.
    pub media_type: &'static str,
    /// From which revision it was made.
    pub if_match: Option<&'a str>,
}

impl Remote {
    /// Sets the connection up without calling the server.
    pub fn new(base_url: &str, key: Secret) -> Result<Self, SetupError> {
        endpoint(base_url, "", Reach::Any)?;
        Ok(Self { http: Http::new(Reach::Any)?, base_url: base_url.to_owned(), key })
    }

    /// Reads something in a form. The error says why there is no answer.
    pub async fn get(&self, path: &str, media_type: &'static str) -> Result<Reply, String> {
        let request = self.request(Method::GET, path)?.header(ACCEPT, media_type);
        self.answer(request).await
    }

    /// Sends a document. The error says why there is no answer.
    pub async fn post(&self, path: &str, document: Document<'_>) -> Result<Reply, String> {
        let request = self.request(Method::POST, path)?.header(CONTENT_TYPE, document.media_type);
        let request = match document.if_match {
            Some(etag) => request.header(IF_MATCH, etag),
            None => request,
        };
        self.answer(request.body(document.text.to_owned())).await
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder, String> {
        let url = endpoint(&self.base_url, path, Reach::Any).map_err(|why| why.to_string())?;
        let key = self.key.header("Bearer ").ok_or_else(|| SetupError::Key.to_string())?;
        Ok(self.http.client().request(method, url).header(AUTHORIZATION, key).timeout(ANSWER_TIMEOUT))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Reply, String> {
        let why = |error: reqwest::Error| self.key.redact(&format!("{} does not answer: {error}", self.base_url));
        let response = request.send().await.map_err(why)?;
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        Ok(Reply { status, etag, text: response.text().await.map_err(why)? })
    }
}
