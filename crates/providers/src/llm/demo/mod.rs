//! The upstream that needs no key: plain rules on the input alone, the same answer every time.
//!
//! It really reads what it is given; it never pretends to have read what it cannot, and it calls no one.

mod audit;
mod cash_flow;
mod contract;
mod dates;
mod decimal;
mod expense;
mod files;
mod generic;
mod invoice;
mod numbers;
mod pdf;
mod risk;
mod summary;
mod text;
mod writing;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;

use super::{ANSWER_BYTES_MAX, Answer, Call, Failure, FailureKind, Part, Piece, Upstream, Usage, estimate_tokens};

/// How long a piece is, in characters: about what a model sends at once.
const PIECE_CHARS: usize = 24;

/// The demo upstream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demo;

#[async_trait]
impl Upstream for Demo {
    fn name(&self) -> &'static str {
        "demo"
    }

    async fn run(&self, call: &Call, pieces: Sender<Piece>) -> Result<Answer, Failure> {
        let input_tokens = input_tokens(call);
        let work = call.clone();
        // A large PDF takes a while, and must not hold up the other tasks of this thread.
        let output = spawn_blocking(move || answer(&work))
            .await
            .map_err(|_| Failure::new(FailureKind::Unavailable, "the demo rules failed on this input"))?;
        let text = output.as_str().map_or_else(|| output.to_string(), str::to_owned);
        let usage = |output_tokens| Usage { input_tokens, output_tokens, ..Usage::default() };
        let failed =
            |kind, output_tokens, detail: &str| Failure { usage: usage(output_tokens), ..Failure::new(kind, detail) };
        if text.len() > ANSWER_BYTES_MAX {
            return Err(failed(FailureKind::BadAnswer, estimate_tokens(&text), "the answer is longer than 4 MiB"));
        }
        let mut sent = String::new();
        let mut chars = text.chars();
        loop {
            let piece: String = chars.by_ref().take(PIECE_CHARS).collect();
            if piece.is_empty() {
                break;
            }
            sent.push_str(&piece);
            if pieces.send(Piece(piece)).await.is_err() {
                return Err(failed(
                    FailureKind::Canceled,
                    estimate_tokens(&sent),
                    "the reader of the answer went away",
                ));
            }
        }
        Ok(Answer {
            output,
            usage: usage(estimate_tokens(&text)),
            estimated: false,
            model: "demo".to_owned(),
            upstream_request_id: None,
            stop_reason: Some("end_turn".to_owned()),
        })
    }
}

/// Four characters are a token; of a file, four bytes of its base64 text are, up to what a page costs a model.
fn input_tokens(call: &Call) -> u64 {
    let of_part = |part: &Part| match part {
        Part::Text(text) => estimate_tokens(text),
        Part::Image { data, .. } | Part::Document { data, .. } => {
            u64::try_from(data.len() / 4).unwrap_or(u64::MAX).min(1_500)
        }
    };
    let parts = call.parts.iter().map(of_part).fold(0_u64, u64::saturating_add);
    let input = if parts == 0 { estimate_tokens(&call.input.to_string()) } else { parts };
    estimate_tokens(&call.system).saturating_add(input)
}

fn answer(call: &Call) -> Value {
    match (call.component.as_str(), call.action.as_str()) {
        ("invoice_ocr", "analyze") => invoice::analyze(call),
        ("risk_assessment", "assess") => risk::assess(&call.input),
        ("audit_assistant", "ask") => audit::ask(&call.input),
        ("contract_review", "review") => contract::review(call),
        ("expense_categorization", "categorize") => expense::categorize(&call.input),
        ("cash_flow_forecast", "forecast") => cash_flow::forecast(&call.input),
        ("writing_assistant", "write") => writing::write(&call.input),
        ("summarizer", "summarize") => summary::summarize(&call.input),
        _ => generic::answer(call),
    }
}

/// A text field of the input; empty when it is not there.
fn text_of<'a>(input: &'a Value, field: &str) -> &'a str {
    input.get(field).and_then(Value::as_str).unwrap_or_default()
}
