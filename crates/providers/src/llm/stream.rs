//! Runs one call against an upstream that streams: attempts, time-outs, back-pressure, cancellation, counting.
//!
//! What a protocol says differently (requests, events, errors) stands behind [`Protocol`] and [`Reader`].

use std::future::Future;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Response};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::Config;
use super::retry::{Hint, status_is_retryable};
use super::sse::{Event, Splitter};
use super::usage::{Usage, tokens_for_chars};
use super::{ANSWER_BYTES_MAX, Answer, Call, Failure, FailureKind, Part, Piece, estimate_tokens};

/// How much of an error answer is read, in bytes.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Stands in for a deadline that the clock cannot hold.
const DEADLINE_MAX: Duration = Duration::from_hours(24);

/// How long an upstream may be silent. The whole call is bounded by [`Call::timeout`] besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From sending the request to the head of the answer.
    pub first_byte: Duration,
    /// Between two reads of the stream.
    pub idle: Duration,
}

impl Default for Patience {
    /// A minute each: models think long before they answer, and streams carry pings.
    fn default() -> Self {
        Self { first_byte: Duration::from_mins(1), idle: Duration::from_mins(1) }
    }
}

/// The class of a status by itself, for upstreams that do not say it better.
pub(super) fn kind_of_status(status: u16) -> FailureKind {
    match status {
        401..=403 => FailureKind::Credentials,
        408 | 504 => FailureKind::Timeout,
        409 => FailureKind::Unavailable,
        429 => FailureKind::RateLimited,
        400..=499 => FailureKind::Rejected,
        529 => FailureKind::Overloaded,
        _ => FailureKind::Unavailable,
    }
}

/// What differs between upstreams.
pub(super) trait Protocol: Sync {
    type Reader: Reader;

    fn request(&self, call: &Call) -> Result<RequestBuilder, Fault>;
    fn reader(&self, call: &Call) -> Self::Reader;
    /// The class of an answer whose status is not 200, its explanation, and whether trying again is pointless.
    fn refusal(&self, status: u16, body: &[u8]) -> Refusal;
    fn config(&self) -> &Config;
    /// The header that names the request in the upstream's logs.
    const REQUEST_ID: &'static str;
}

/// Puts an answer together from events.
pub(super) trait Reader: Send {
    fn event(&mut self, event: &Event) -> Result<Step, Fault>;
    /// True when the stream may end here without its end marker.
    fn may_end(&self) -> bool;
    fn draft(&self) -> &Draft;
    fn finish(&self) -> Result<Answer, Fault>;
}

/// What an event meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Quiet,
    Piece(String),
    End,
}

/// An upstream's refusal, classified.
pub(super) struct Refusal {
    pub(super) kind: FailureKind,
    pub(super) detail: String,
    pub(super) hopeless: bool,
}

/// Why an attempt ended without an answer.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FailureKind,
    pub(super) detail: String,
    pub(super) again: bool,
    pub(super) after: Option<Duration>,
}

impl Fault {
    /// A fault that another attempt would meet again.
    pub(super) fn lasting(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), again: false, after: None }
    }

    /// A fault that another attempt may not meet.
    pub(super) fn passing(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { again: true, ..Self::lasting(kind, detail) }
    }

    fn canceled() -> Self {
        Self::lasting(FailureKind::Canceled, "the reader of the answer went away")
    }
}

/// The answer so far and what is known of its cost.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) usage: Usage,
    pub(super) said: Said,
    pub(super) odd: bool,
    pub(super) finished: bool,
    chars: u64,
    input_guess: u64,
}

/// Which counts the upstream has given.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) input: bool,
    pub(super) output: bool,
}

impl Draft {
    pub(super) fn new(call: &Call) -> Self {
        let texts = call.parts.iter().map(|part| match part {
            Part::Text(text) => estimate_tokens(text),
            Part::Image { .. } | Part::Document { .. } => 0,
        });
        let input_guess = texts.fold(estimate_tokens(&call.system), u64::saturating_add);
        Self { input_guess, ..Self::default() }
    }

    /// Counts text that was paid for but is not part of the answer.
    pub(super) fn count(&mut self, text: &str) {
        let chars = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        self.chars = self.chars.saturating_add(chars);
    }

    /// Appends to the answer.
    pub(super) fn push(&mut self, text: &str) -> Result<(), Fault> {
        self.count(text);
        if self.text.len().saturating_add(text.len()) > ANSWER_BYTES_MAX {
            return Err(Fault::lasting(FailureKind::BadAnswer, "the answer is longer than 4 MiB"));
        }
        self.text.push_str(text);
        Ok(())
    }

    /// The usage as far as it is known, and whether any of it is our estimate.
    pub(super) fn tally(&self) -> (Usage, bool) {
        let mut usage = self.usage;
        if !self.said.input {
            usage.input_tokens = self.input_guess;
        }
        if !(self.finished && self.said.output) {
            usage.output_tokens = usage.output_tokens.max(tokens_for_chars(self.chars));
        }
        (usage, self.odd || !self.finished || !self.said.input || !self.said.output)
    }
}

/// Runs the call until it has an answer, has failed for good, or its reader has gone.
pub(super) async fn run<P: Protocol>(protocol: &P, call: &Call, pieces: &Sender<Piece>) -> Result<Answer, Failure> {
    let now = Instant::now();
    let deadline = now.checked_add(call.timeout.min(DEADLINE_MAX)).unwrap_or(now);
    let mut spent = Usage::default();
    let mut spent_estimated = false;
    let mut retry = 0;
    loop {
        let mut attempt = Attempt::new(protocol, call, pieces, deadline);
        let fault = match attempt.run().await {
            Ok(mut answer) => {
                answer.usage = answer.usage.plus(&spent);
                answer.estimated |= spent_estimated;
                answer.upstream_request_id = attempt.request_id;
                return Ok(answer);
            }
            Err(fault) => fault,
        };
        let (usage, estimated) = attempt.tally(fault.kind);
        spent = spent.plus(&usage);
        spent_estimated |= estimated;
        let wait =
            if fault.again && !attempt.passed_on { protocol.config().retry.wait(retry, fault.after) } else { None };
        let wake = wait.and_then(|wait| Instant::now().checked_add(wait)).filter(|wake| *wake < deadline);
        let failure = Failure {
            kind: fault.kind,
            usage: spent,
            estimated: spent_estimated,
            detail: protocol.config().key.redact(&fault.detail),
            retry_after: fault.after,
            upstream_request_id: attempt.request_id,
        };
        let Some(wake) = wake else { return Err(failure) };
        retry += 1;
        tracing::warn!(request.id = %call.request_id, retry, kind = ?failure.kind, "upstream call is tried again");
        tokio::select! {
            () = pieces.closed() => {
                let gone = Fault::canceled();
                return Err(Failure { kind: gone.kind, detail: gone.detail, retry_after: None, ..failure });
            }
            () = sleep(wake.saturating_duration_since(Instant::now())) => {}
        }
    }
}

/// One request and its stream.
struct Attempt<'a, P: Protocol> {
    protocol: &'a P,
    call: &'a Call,
    pieces: &'a Sender<Piece>,
    deadline: Instant,
    reader: P::Reader,
    request_id: Option<String>,
    /// The upstream has said 200 and so has begun to work.
    begun: bool,
    /// A piece has reached the channel, after which nothing may be tried again.
    passed_on: bool,
}

impl<'a, P: Protocol> Attempt<'a, P> {
    fn new(protocol: &'a P, call: &'a Call, pieces: &'a Sender<Piece>, deadline: Instant) -> Self {
        let reader = protocol.reader(call);
        Self { protocol, call, pieces, deadline, reader, request_id: None, begun: false, passed_on: false }
    }

    async fn run(&mut self) -> Result<Answer, Fault> {
        let response = self.open().await?;
        self.begun = true;
        self.read(response).await?;
        let mut answer = self.reader.finish()?;
        (answer.usage, answer.estimated) = self.reader.draft().tally();
        Ok(answer)
    }

    /// Usage of this attempt. A request that may have arrived but was never answered counts nothing, as an estimate.
    fn tally(&self, kind: FailureKind) -> (Usage, bool) {
        if self.begun {
            return self.reader.draft().tally();
        }
        (Usage::default(), matches!(kind, FailureKind::Timeout | FailureKind::Canceled))
    }

    async fn open(&mut self) -> Result<Response, Fault> {
        let request = self.protocol.request(self.call)?;
        let sent = self.within(self.protocol.config().patience.first_byte, request.send()).await?;
        let response = sent.map_err(|error| unreachable(&error))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.request_id = header(P::REQUEST_ID).map(|id| id.chars().take(200).collect());
        let status = response.status().as_u16();
        if status != 200 {
            return Err(self.refused(status, response).await);
        }
        let content_type = header(CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
        if content_type.starts_with("application/json") || content_type.starts_with("text/html") {
            let detail = format!("expected an event stream, got {content_type}");
            return Err(Fault::lasting(FailureKind::BadAnswer, detail));
        }
        Ok(response)
    }

    async fn refused(&self, status: u16, mut response: Response) -> Fault {
        let hint = Hint::read(response.headers());
        let mut body = Vec::new();
        while body.len() < ERROR_BYTES_MAX {
            match self.within(self.protocol.config().patience.idle, response.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Err(fault) if fault.kind == FailureKind::Canceled => return fault,
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        let refusal = self.protocol.refusal(status, &body);
        let again = !refusal.hopeless && hint.should_retry.unwrap_or(status_is_retryable(status));
        Fault { kind: refusal.kind, detail: refusal.detail, again, after: hint.after }
    }

    async fn read(&mut self, mut response: Response) -> Result<(), Fault> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        loop {
            let chunk = match self.within(self.protocol.config().patience.idle, response.chunk()).await? {
                Ok(Some(chunk)) => chunk,
                Ok(None) | Err(_) if self.reader.may_end() => return Ok(()),
                Ok(None) => return Err(Fault::passing(FailureKind::Cut, "the stream ended before the answer did")),
                Err(_) => return Err(Fault::passing(FailureKind::Cut, "the connection broke before the answer ended")),
            };
            let fits = splitter.push(&chunk, &mut events);
            for event in events.drain(..) {
                match self.reader.event(&event)? {
                    Step::Quiet => {}
                    Step::Piece(text) => {
                        pass_on(self.pieces, self.deadline, text).await?;
                        self.passed_on = true;
                    }
                    Step::End => return Ok(()),
                }
            }
            if fits.is_err() {
                return Err(Fault::lasting(FailureKind::BadAnswer, "an event of the stream is longer than 1 MiB"));
            }
        }
    }

    /// Waits for `work`, but not longer than `limit` or the deadline, and not for a reader who has gone.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Fault> {
        let now = Instant::now();
        let until = now.checked_add(limit).unwrap_or(self.deadline).min(self.deadline);
        tokio::select! {
            biased;
            () = self.pieces.closed() => Err(Fault::canceled()),
            done = timeout_at(until, work) => done.map_err(|_| {
                Fault::passing(FailureKind::Timeout, "the upstream was silent for too long")
            }),
        }
    }
}

/// Hands a piece to the reader, and waits for a slow one until the deadline.
async fn pass_on(pieces: &Sender<Piece>, deadline: Instant, text: String) -> Result<(), Fault> {
    match timeout_at(deadline, pieces.send(Piece(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Fault::canceled()),
        Err(_) => Err(Fault::lasting(FailureKind::Timeout, "the reader was too slow for the time of the call")),
    }
}

fn unreachable(error: &reqwest::Error) -> Fault {
    let detail = if error.is_connect() {
        "the upstream cannot be reached"
    } else if error.is_timeout() {
        "the upstream did not take the request in time"
    } else {
        "the connection broke before the upstream answered"
    };
    Fault::passing(FailureKind::Unavailable, detail)
}
