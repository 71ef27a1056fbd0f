//! A sandbox tenant's test clock on the wire.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, SettingsWrite};
use super::body::Body;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::clock::{self, Clock};

/// Where the clock is asked for and moved, which works also while it moves.
pub const PATH: &str = "/api/admin/clock";

/// Whether the clock stands at its time.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockStatus {
    /// It does, and goes on with real time.
    Ready,
    /// It is being moved; other calls have to wait.
    Advancing,
    /// It could not be moved further; `error` says why, and another move goes on from there.
    Failed,
}

/// A tenant's clock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClockBody {
    /// The tenant's time. While it is moved, that of before.
    #[schema(value_type = String, format = DateTime, example = "2028-02-29T00:00:00Z")]
    now: Timestamp,
    status: ClockStatus,
    /// Where it is moved to.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2028-03-31T00:00:00Z")]
    advance_to: Option<Timestamp>,
    /// Up to where everything that falls due is done.
    #[schema(value_type = Option<String>, required, format = DateTime, example = "2028-03-01T00:00:00Z")]
    done_to: Option<Timestamp>,
    /// How many things that were.
    #[schema(example = 120)]
    steps: i64,
    /// Why it could not be moved further.
    #[schema(required, example = json!(null))]
    error: Option<String>,
}

impl ClockBody {
    fn of(clock: Clock) -> Self {
        let Clock { now, moved } = clock;
        let status = match &moved {
            None => ClockStatus::Ready,
            Some(moved) if moved.error.is_none() => ClockStatus::Advancing,
            Some(_) => ClockStatus::Failed,
        };
        Self {
            now,
            status,
            advance_to: moved.as_ref().map(|moved| Timestamp::from_micros(moved.target)),
            done_to: moved.as_ref().map(|moved| Timestamp::from_micros(moved.done_to)),
            steps: moved.as_ref().map_or(0, |moved| moved.steps),
            error: moved.and_then(|moved| moved.error),
        }
    }
}

/// Where to move a clock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdvanceBody {
    /// An instant after the tenant's present time, at most five years later.
    #[schema(value_type = String, format = DateTime, example = "2028-03-31T00:00:00Z")]
    advance_to: Timestamp,
}

/// The tenant's time, and whether it is being moved.
#[utoipa::path(get, path = "/api/admin/clock", operation_id = "getClock", tag = "admin", responses((status = 200, body = ClockBody)))]
pub async fn get(cx: Authed<SettingsWrite>) -> Result<Json<ClockBody>, Failed> {
    Ok(Json(ClockBody::of(clock::read(&cx).await?)))
}

/// Move a sandbox tenant's clock forward. All that falls due in between is done in its order: renewals, payments, ends.
/// Answers when the clock is there, or after some seconds that it is on its way; other calls get 503 meanwhile.
#[utoipa::path(post, path = "/api/admin/clock", operation_id = "advanceClock", tag = "admin", request_body = AdvanceBody,
    responses((status = 200, body = ClockBody), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn advance(cx: Authed<SettingsWrite>, Body(body): Body<AdvanceBody>) -> Result<Json<ClockBody>, Failed> {
    Ok(Json(ClockBody::of(clock::advance(&cx, body.advance_to).await?)))
}
