//! Trying a component out before it is published: on its upstream, without metering anybody.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use domain::id::{FeatureKey, TenantId};
use domain::time::Timestamp;
use providers::llm::{Answer, Call, Failure, Upstream};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::edit::{current, unknown};
use super::{Component, Definition, check, prompt};
use crate::app::cost::cost_micros;
use crate::app::{audit, upstream};
use crate::cx::{Cx, clock};
use crate::error::{Code, Error, Result};

/// Trials of a tenant within [`WINDOW_SECONDS`], on each node.
const TRIALS_MAX: usize = 20;
const WINDOW_SECONDS: i64 = 60;
/// How long one may take, with its retries.
const TRIAL_TIMEOUT: Duration = Duration::from_mins(1);
/// Pieces of an answer that wait; nobody reads them here.
const PIECES_MAX: usize = 64;

/// When tenants have tried something out. They pay for it themselves, so that this only keeps a mistake small.
#[derive(Default)]
pub struct Trials(Mutex<HashMap<TenantId, VecDeque<Timestamp>>>);

impl Trials {
    /// Lets a trial begin, or says when the next may.
    pub fn admit(&self, tenant: &TenantId, now: Timestamp) -> Result<()> {
        let Ok(mut tenants) = self.0.lock() else { return Ok(()) };
        let began = tenants.entry(tenant.clone()).or_default();
        while began.front().is_some_and(|at| at.plus_seconds(WINDOW_SECONDS) <= now) {
            began.pop_front();
        }
        match began.front().filter(|_| began.len() >= TRIALS_MAX) {
            None => {
                began.push_back(now);
                Ok(())
            }
            Some(first) => {
                let wait = first.plus_seconds(WINDOW_SECONDS).as_micros().saturating_sub(now.as_micros());
                let detail = format!("Try at most {TRIALS_MAX} times in {WINDOW_SECONDS} seconds.");
                Err(Error::new(Code::TooManyAttempts, detail).retry_after(wait / 1_000_000 + 1))
            }
        }
    }
}

/// What to try.
#[derive(Debug, Clone)]
pub struct Request {
    /// The component.
    pub component: FeatureKey,
    /// One of its actions.
    pub action: String,
    /// The input.
    pub input: Value,
    /// Whether the draft is meant, and not what is live.
    pub draft: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The version that was tried; none for the draft.
    pub version: Option<i64>,
    /// What the model was told about its task.
    pub system: String,
    /// The template with the input filled in.
    pub prompt: String,
    /// What it answered; none when the call failed.
    pub result: Option<Value>,
    /// What is wrong: the failure of the call, or where the result does not fit the output schema.
    pub problems: Vec<String>,
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Credits that a customer's call would have taken.
    pub credits: i64,
    /// What it cost in micro-units of the tenant's currency; none when the model has no price.
    pub cost_micros: Option<i64>,
    /// The model that answered, or that was asked.
    pub model: String,
    /// The upstream's kind.
    pub provider: String,
    /// How long it took.
    pub milliseconds: i64,
}

/// Tries a component. The work goes on when the caller goes away, so that what it cost is written down.
pub async fn run(cx: &Cx, request: Request) -> Result<Outcome> {
    let (done, outcome) = oneshot::channel();
    let cx = cx.clone();
    let tasks = cx.app.tasks.clone();
    tasks.spawn(async move {
        let _caller_gone = done.send(execute(&cx, &request).await);
    });
    outcome.await.map_err(|_| Error::internal("a trial ended without an outcome"))?
}

async fn execute(cx: &Cx, request: &Request) -> Result<Outcome> {
    let cx = &current(cx).await?;
    let component = tried(cx, request).await?;
    let action = component.action(&request.action).ok_or_else(|| {
        let known: Vec<_> = component.actions().map(|action| action.name.as_str()).collect();
        Error::field("/action", format!("use one of {}", known.join(", ")))
    })?;
    component.check(&action.name, &request.input).map_err(within_input)?;
    let runs_on = cx.tenant.upstreams.get(&component.upstream);
    let runs_on = runs_on.ok_or_else(|| {
        let known = check::Around::of(&cx.tenant).known_upstreams();
        Error::field("", format!("its upstream `{}` is not set up; there is {known}", component.upstream))
    })?;
    cx.app.trials.admit(cx.tenant.id(), cx.now)?;
    let call = prompt::call(&component, action, &request.input, (&cx.request_id, TRIAL_TIMEOUT))
        .map_err(|failure| Error::field("/input", failure.detail))?;
    let began = clock();
    let answer = ask(&**runs_on, &call).await;
    let milliseconds = clock().saturating_sub(began).max(0) / 1_000;
    let version = (!request.draft).then_some(component.version);
    let outcome = Outcome { version, milliseconds, ..concluded(cx, &component, (&call, runs_on.name()), answer) };
    note(cx, request, &outcome).await?;
    Ok(outcome)
}

/// The component as it is to be tried.
async fn tried(cx: &Cx, request: &Request) -> Result<Component> {
    let key = &request.component;
    let row = store::component::find(&cx.app.db, cx.tenant.id(), key).await?.ok_or_else(unknown)?;
    let definition = if request.draft {
        super::draft::read(cx, key).await?.definition
    } else {
        Definition::of_row(&row.component, &row.definition)?
    };
    Component::of(key.clone(), definition, row.version)
}

/// Fields of the input stand inside of the body here.
fn within_input(mut error: Error) -> Error {
    for field in &mut error.more.fields {
        field.pointer.insert_str(0, "/input");
    }
    error
}

/// Asks an upstream, and reads its answer as it comes.
pub async fn ask(upstream: &dyn Upstream, call: &Call) -> Result<Answer, Failure> {
    let (pieces, mut arriving) = mpsc::channel(PIECES_MAX);
    let (answer, ()) = tokio::join!(upstream.run(call, pieces), async { while arriving.recv().await.is_some() {} });
    answer
}

fn concluded(
    cx: &Cx,
    component: &Component,
    (call, provider): (&Call, &str),
    answer: Result<Answer, Failure>,
) -> Outcome {
    let (result, model, usage, problems) = match answer {
        Ok(answer) => {
            let wrong = component.check_result(&call.action, &answer.output).err();
            (Some(answer.output), answer.model, answer.usage, wrong)
        }
        Err(failure) => {
            let why = format!("{} {}", upstream::in_words(failure.kind), failure.detail);
            (None, call.model.clone(), failure.usage, Some(why))
        }
    };
    let price = |model: &str| cx.tenant.model_price(model, usage.total_input(), cx.tenant_now());
    let priced = price(&model).or_else(|| price(&call.model));
    let tokens = i64::try_from(usage.total()).unwrap_or(i64::MAX);
    let prompt = call.parts.iter().rev().find_map(|part| match part {
        providers::llm::Part::Text(text) => Some(text.clone()),
        providers::llm::Part::Image { .. } | providers::llm::Part::Document { .. } => None,
    });
    Outcome {
        version: None,
        system: call.system.clone(),
        prompt: prompt.unwrap_or_default(),
        result,
        problems: problems.into_iter().collect(),
        input_tokens: usage.total_input(),
        output_tokens: usage.output_tokens,
        credits: component.base_token_cost.saturating_add(tokens),
        cost_micros: priced.map(|price| cost_micros(&usage, price)),
        model,
        provider: provider.to_owned(),
        milliseconds: 0,
    }
}

/// Writes down who tried what, and what it cost; neither input nor result, which may be personal.
async fn note(cx: &Cx, request: &Request, outcome: &Outcome) -> Result<()> {
    let after = json!({
        "action": request.action,
        "draft": request.draft,
        "version": outcome.version,
        "model": outcome.model,
        "inputTokens": outcome.input_tokens,
        "outputTokens": outcome.output_tokens,
        "costMicros": outcome.cost_micros,
        "worked": outcome.problems.is_empty(),
    });
    let mut tx = cx.app.db.begin().await?;
    let target = request.component.as_str();
    let change = audit::Change { action: "component.tested", target, before: None, after: Some(after) };
    audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_bounded_for_each_tenant_and_time() {
        let trials = Trials::default();
        let (one, two) = (TenantId::stored("ten_1"), TenantId::stored("ten_2"));
        let at = |seconds| Timestamp::EPOCH.plus_seconds(seconds);
        for second in 0..20 {
            trials.admit(&one, at(second)).unwrap();
        }
        let refused = trials.admit(&one, at(20)).unwrap_err();
        assert_eq!((refused.code, refused.more.retry_after), (Code::TooManyAttempts, Some(41)));
        trials.admit(&two, at(20)).unwrap();
        assert!(trials.admit(&one, at(59)).is_err());
        trials.admit(&one, at(60)).unwrap();
        assert!(trials.admit(&one, at(60)).is_err(), "one has become free");
    }
}
