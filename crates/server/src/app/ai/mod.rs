//! Running an AI component: hold what it costs, call the upstream, settle what was really used.

mod charge;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::id::{CustomerId, EventId, FeatureKey, ReservationId};
use domain::quota::Quota;
use domain::reservation::State;
use providers::llm::{Answer, Call, Failure, FailureKind, Piece};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::gate::{Done, Held};
use tokio::sync::{mpsc, oneshot};

use super::canonical::Canonical;
use super::component::{Action, ChargeRule, Component, prompt};
use super::{idempotency, usage};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// How long one call may take, with its retries.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);
/// How long its units are held: longer than any call, so that only a crash lets them expire. Seconds.
const HOLD_SECONDS: i64 = 180;
/// Pieces of an answer that wait for a slow reader.
const PIECES_MAX: usize = 64;
/// Results up to this size are kept for a replay, in bytes.
const KEPT_BYTES_MAX: usize = 1_000_000;
/// How long results are kept for a replay, in seconds.
const KEPT_SECONDS: i64 = 86_400;
/// Tokens per byte that no real tokenizer exceeds; more input than that is not believed.
const INPUT_TOKENS_PER_BYTE_MAX: u64 = 2;
/// What a picture or a page may count besides its bytes.
const INPUT_TOKENS_SPARE: u64 = 200_000;

/// A call of a component.
#[derive(Debug, Clone)]
pub struct Request {
    /// The component, as its URL names it.
    pub component: FeatureKey,
    /// The action.
    pub action: String,
    /// The customer that a key names.
    pub customer: Option<String>,
    /// The input.
    pub input: Value,
    /// The caller's idempotency key.
    pub key: Option<String>,
}

/// What a streaming reader gets before the end.
#[derive(Debug, Clone)]
pub enum Update {
    /// The call is held and runs.
    Started(Started),
    /// A fragment of the result's text.
    Delta(String),
}

/// Who answers.
#[derive(Debug, Clone)]
pub struct Started {
    /// What holds the units of the call; the event that will record its use has an id of its own.
    pub reservation: ReservationId,
    /// The model that the component asks for.
    pub model: String,
    /// The upstream.
    pub provider: String,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The event that was recorded.
    pub id: Option<EventId>,
    /// The result, and what it took.
    pub kept: Kept,
    /// The quotas of everything drawn, the component's own first.
    pub quotas: Vec<Quota>,
    /// Whether this is the answer to an earlier request.
    pub replayed: bool,
}

/// The part of an outcome that a replay answers again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// What the component answered.
    pub result: Value,
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Credits of the call.
    pub credits: i64,
    /// Which model answered.
    pub model: String,
    /// Which upstream.
    pub provider: String,
}

/// Runs a component. The work goes on when the caller goes away; a streaming reader that goes away ends the upstream
/// call, and what was used until then is charged.
pub async fn run(cx: &Cx, request: Request, updates: Option<mpsc::Sender<Update>>) -> Result<Outcome> {
    let (done, outcome) = oneshot::channel();
    let cx = cx.clone();
    let tasks = cx.app.tasks.clone();
    tasks.spawn(async move {
        let _caller_gone = done.send(execute(&cx, &request, updates).await);
    });
    outcome.await.map_err(|_| Error::internal("an AI call ended without an outcome"))?
}

async fn execute(cx: &Cx, request: &Request, updates: Option<mpsc::Sender<Update>>) -> Result<Outcome> {
    // The component as memory has it is tried first: the gate knows when the catalog has moved since.
    let tried = match attempt(cx, request, updates).await? {
        Attempt::Done(outcome) => return Ok(*outcome),
        Attempt::Moved(updates) => updates,
    };
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    match attempt(&cx.clone().with_tenant(tenant), request, tried).await? {
        Attempt::Done(outcome) => Ok(*outcome),
        Attempt::Moved(_) => {
            Err(Error::new(Code::Busy, "The catalog changes faster than it can be read; try again.").retry_after(1))
        }
    }
}

/// What one try with the catalog at hand came to.
enum Attempt {
    Done(Box<Outcome>),
    /// The catalog has moved; nothing happened.
    Moved(Option<mpsc::Sender<Update>>),
}

async fn attempt(cx: &Cx, request: &Request, updates: Option<mpsc::Sender<Update>>) -> Result<Attempt> {
    let (component, action) = match find(&cx.tenant, request) {
        Ok(found) => found,
        // It may have been added a moment ago.
        Err(error) if is_current(cx).await? => return Err(error),
        Err(_) => return Ok(Attempt::Moved(updates)),
    };
    let customer = usage::acting_for(cx, request.customer.as_deref())?;
    let call = Prepared { cx, component, action, request };
    let held = match call.hold(&customer).await? {
        Hold::New(customer, held) => (customer, held),
        Hold::Before(outcome) => return Ok(Attempt::Done(outcome)),
        Hold::Moved => return Ok(Attempt::Moved(updates)),
    };
    let timeout = (&*cx.request_id, CALL_TIMEOUT);
    let asked = match prompt::call(component, action, &request.input, timeout) {
        Ok(asked) => asked,
        Err(error) => {
            // Nobody has been asked, so nobody pays, whatever the component's rule is.
            usage::release_held(cx, &held.0, &held.1).await?;
            return Err(error);
        }
    };
    let outcome = call.upstream(&held.1, &asked, updates).await;
    call.conclude(held, outcome).await.map(|outcome| Attempt::Done(Box::new(outcome)))
}

/// Whether the tenant in memory is the one in the database.
async fn is_current(cx: &Cx) -> Result<bool> {
    let row = store::tenant::find(&cx.app.db, cx.tenant.id()).await?;
    Ok(row.is_some_and(|row| row.epoch == cx.tenant.row.epoch))
}

fn find<'a>(tenant: &'a super::tenant::Tenant, request: &Request) -> Result<(&'a Component, &'a Action)> {
    let component = tenant.components.get(&request.component).ok_or_else(|| {
        let known: Vec<_> = tenant.components.values().filter(|c| c.active).map(|c| c.key.as_str()).collect();
        Error::new(Code::UnknownComponent, format!("Components of this tenant: {}.", known.join(", ")))
    })?;
    if !component.active {
        let detail =
            format!("{} is switched off for now; nothing was charged. Use another, or try later.", component.name);
        return Err(Error::new(Code::ComponentOff, detail));
    }
    let action = component.action(&request.action).ok_or_else(|| {
        let known: Vec<_> = component.actions().map(|action| action.name.as_str()).collect();
        Error::new(Code::UnknownComponent, format!("Actions of {}: {}.", component.key, known.join(", ")))
    })?;
    Ok((component, action))
}

/// What holding came to: a new hold, the outcome of an earlier request with the same key, or nothing because the catalog
/// has moved since the component was read.
enum Hold {
    New(CustomerId, Held),
    Before(Box<Outcome>),
    Moved,
}

/// One call with all that belongs to it.
struct Prepared<'a> {
    cx: &'a Cx,
    component: &'a Component,
    action: &'a Action,
    request: &'a Request,
}

impl Prepared<'_> {
    async fn hold(&self, customer: &str) -> Result<Hold> {
        let Self { cx, component, action, request } = self;
        let route = format!("ai/{}/{}", component.key, action.name);
        let body = (&request.customer, Canonical(&request.input));
        let idempotency = match &request.key {
            Some(key) => Some(idempotency::of_request(cx, &route, key, &body)?),
            None => None,
        };
        let mut items: Vec<_> = component.draws.iter().map(|draw| (draw.feature.clone(), draw.amount)).collect();
        if let Some(pool) = &component.credit_feature {
            items.push((pool.clone(), self.credits_max().max(1)));
        }
        let held = usage::Action { items, idempotency, ..usage::Action::default() };
        let expires_at = cx.tenant_now().plus_seconds(HOLD_SECONDS);
        let moved = AtomicBool::new(false);
        let valid = |now: &Cx| {
            if now.tenant.row.epoch != cx.tenant.row.epoch {
                moved.store(true, Ordering::Relaxed);
                return Err(Error::new(Code::Busy, "The catalog has changed; try again."));
            }
            component.check(&action.name, &request.input)
        };
        let done = usage::hold(cx, customer, &held, (expires_at, usage::Holder::Gateway), valid).await;
        if moved.load(Ordering::Relaxed) {
            return Ok(Hold::Moved);
        }
        let done = done?;
        let id = done.reservation.ok_or_else(|| Error::internal("a hold without a reservation"))?;
        if !done.replayed {
            let account = cx.app.customers.get(cx, customer).await?;
            return Ok(Hold::New(account.customer.id.clone(), Held { id, holds: done.holds }));
        }
        let found = store::usage::find_reservation(&cx.app.db, cx.tenant.id(), &id).await?;
        let reservation = found.ok_or_else(|| Error::internal(format!("reservation {id} is gone")))?;
        match reservation.state {
            State::Settled => self.before(&reservation).await.map(|outcome| Hold::Before(Box::new(outcome))),
            State::Open | State::Released | State::Expired => {
                Err(Error::new(Code::IdempotencyInFlight, "The first request with this key is still running.")
                    .retry_after(2))
            }
        }
    }

    /// The outcome of an earlier request with the same key.
    async fn before(&self, reservation: &store::usage::Reservation) -> Result<Outcome> {
        let Self { cx, .. } = self;
        let id = &reservation.held.id;
        let gone = || {
            Error::new(
                Code::ReservationEnded,
                "The result of this key is not kept any more; use a new key to run again.",
            )
        };
        let sealed = store::usage::find_result(&cx.app.db, cx.tenant.id(), id, cx.now).await?.ok_or_else(gone)?;
        let opened = cx.app.master.open(cx.tenant.id(), &place(id), &sealed).ok_or_else(gone)?;
        let kept: Kept = serde_json::from_slice(&opened).map_err(Error::internal)?;
        let done = self.settle((&reservation.customer, &reservation.held), &[], None).await?;
        Ok(Outcome { id: done.event, quotas: self.ordered(done.quotas), kept, replayed: true })
    }

    async fn upstream(
        &self,
        held: &Held,
        asked: &Call,
        updates: Option<mpsc::Sender<Update>>,
    ) -> Result<Answer, Failure> {
        let Self { cx, component, .. } = self;
        let upstream = cx.tenant.upstreams.get(&component.upstream).ok_or_else(|| {
            Failure::new(FailureKind::Credentials, format!("the upstream `{}` is not set up", component.upstream))
        })?;
        if let Some(updates) = &updates {
            let started = Started {
                reservation: held.id.clone(),
                model: component.model.clone(),
                provider: upstream.name().to_owned(),
            };
            let _reader_gone = updates.send(Update::Started(started)).await;
        }
        let (pieces, mut fragments) = mpsc::channel::<Piece>(PIECES_MAX);
        let forward = async move {
            while let Some(Piece(text)) = next_piece(&mut fragments, updates.as_ref()).await {
                if let Some(updates) = &updates
                    && updates.send(Update::Delta(text)).await.is_err()
                {
                    break;
                }
            }
            // Dropping the fragments tells the upstream that nobody reads them.
            drop(fragments);
        };
        let (answer, ()) = tokio::join!(upstream.run(asked, pieces), forward);
        answer
    }

    async fn conclude(&self, held: (CustomerId, Held), outcome: Result<Answer, Failure>) -> Result<Outcome> {
        let held = (&held.0, &held.1);
        match outcome.and_then(|answer| self.fitting(answer)) {
            Ok(answer) => self.succeed(held, answer).await,
            Err(failure) => Err(self.fail(held, failure).await),
        }
    }

    /// A result that does not fit the action's schema is no result.
    fn fitting(&self, answer: Answer) -> Result<Answer, Failure> {
        match self.component.check_result(&self.action.name, &answer.output) {
            Ok(()) => Ok(answer),
            Err(why) => Err(Failure {
                usage: answer.usage,
                estimated: answer.estimated,
                upstream_request_id: answer.upstream_request_id,
                ..Failure::new(FailureKind::BadAnswer, format!("the result does not fit its schema: {why}"))
            }),
        }
    }

    async fn succeed(&self, held: (&CustomerId, &Held), answer: Answer) -> Result<Outcome> {
        let Self { cx, component, .. } = self;
        let used = self.believed(answer.usage);
        let credits = self.credits(&used);
        let provider = cx.tenant.upstreams.get(&component.upstream).map_or("", |upstream| upstream.name());
        let kept = Kept {
            result: answer.output,
            input_tokens: used.total_input(),
            output_tokens: used.output_tokens,
            credits,
            model: answer.model,
            provider: provider.to_owned(),
        };
        self.keep(&held.1.id, &kept).await;
        let detail = self.detail(&used, &kept.model, answer.estimated);
        let done = self.settle(held, &self.amounts(credits), Some(&detail)).await?;
        Ok(Outcome { id: done.event, quotas: self.ordered(done.quotas), kept, replayed: false })
    }

    /// Ends a failed call: charged as the component's rule says, and told in a way that helps.
    async fn fail(&self, held: (&CustomerId, &Held), failure: Failure) -> Error {
        let used = self.believed(failure.usage);
        let charged = match (failure.kind, self.component.charge_rule) {
            // Who leaves in the middle pays for what was made until then.
            (FailureKind::Canceled, _) | (_, ChargeRule::Input) => used.total() > 0,
            (_, ChargeRule::Attempt) => true,
            (_, ChargeRule::Success) => false,
        };
        let ended = if charged {
            let detail = self.detail(&used, &self.component.model, failure.estimated);
            self.settle(held, &self.amounts(self.credits(&used)), Some(&detail)).await
        } else {
            usage::release_held(self.cx, held.0, held.1).await
        };
        if let Err(error) = ended {
            tracing::error!(%error, reservation.id = %held.1.id, "a failed call could not be concluded; its hold expires");
        }
        tracing::warn!(
            component = %self.component.key, upstream.kind = ?failure.kind, upstream.detail = %failure.detail,
            upstream.request_id = failure.upstream_request_id.as_deref().unwrap_or(""), charged, "an AI call failed"
        );
        told(&failure, charged)
    }

    async fn settle(
        &self,
        (customer, held): (&CustomerId, &Held),
        used: &[(FeatureKey, i64)],
        detail: Option<&str>,
    ) -> Result<Done> {
        usage::settle_held(self.cx, customer, held, used, (&usage::Action::default(), detail)).await
    }

    /// Keeps the result for a retry with the same key; a failure to keep it does not fail the call.
    async fn keep(&self, id: &ReservationId, kept: &Kept) {
        if self.request.key.is_none() {
            return;
        }
        if let Err(error) = self.try_keep(id, kept).await {
            tracing::warn!(%error, "the result of an AI call could not be kept for a replay");
        }
    }

    async fn try_keep(&self, id: &ReservationId, kept: &Kept) -> Result<()> {
        let cx = self.cx;
        let plain = serde_json::to_vec(kept).map_err(Error::internal)?;
        if plain.len() > KEPT_BYTES_MAX {
            return Ok(());
        }
        let sealed = cx.app.master.seal(cx.tenant.id(), &place(id), &plain)?;
        let expires_at = cx.now.plus_seconds(KEPT_SECONDS);
        let mut tx = cx.app.db.begin().await?;
        store::usage::insert_result(&mut tx, cx.tenant.id(), id, (&sealed, expires_at)).await?;
        Ok(tx.commit().await?)
    }

    /// The component's own quota stands first.
    fn ordered(&self, mut quotas: Vec<Quota>) -> Vec<Quota> {
        let own = self.component.draws.iter().map(|draw| &draw.feature).find(|f| *f == &self.component.key);
        let first = own.or_else(|| self.component.draws.first().map(|draw| &draw.feature));
        quotas.sort_by_key(|quota| Some(&quota.feature) != first);
        quotas
    }
}

/// The next piece for a reader; none also when the reader went away while the upstream was silent.
async fn next_piece(fragments: &mut mpsc::Receiver<Piece>, updates: Option<&mpsc::Sender<Update>>) -> Option<Piece> {
    let Some(updates) = updates else { return fragments.recv().await };
    tokio::select! {
        piece = fragments.recv() => piece,
        () = updates.closed() => None,
    }
}

/// Where the sealed result of a call stands.
fn place(id: &ReservationId) -> String {
    format!("ai_result/{id}")
}

/// What the caller is told about a failure of the upstream; its own words stay in the log.
fn told(failure: &Failure, charged: bool) -> Error {
    let cost = if charged { "What was used has been charged." } else { "Nothing was charged." };
    let retry = failure.retry_after.map_or(5, |after| i64::try_from(after.as_secs()).unwrap_or(60));
    match failure.kind {
        FailureKind::RateLimited | FailureKind::Overloaded => {
            let detail = format!("The AI service has too much to do; try again later. {cost}");
            Error::new(Code::UpstreamOverloaded, detail).retry_after(retry)
        }
        FailureKind::Rejected => {
            Error::new(Code::UpstreamFailed, format!("The AI service did not take this input; change it. {cost}"))
        }
        FailureKind::Credentials => {
            Error::new(Code::UpstreamFailed, format!("The AI service is not set up rightly; tell the admin. {cost}"))
        }
        FailureKind::Timeout => {
            Error::new(Code::UpstreamFailed, format!("The AI service did not answer in time; try again. {cost}"))
        }
        FailureKind::Unavailable | FailureKind::Cut | FailureKind::BadAnswer | FailureKind::Canceled => {
            Error::new(Code::UpstreamFailed, format!("The AI service gave no complete answer; try again. {cost}"))
        }
    }
}
