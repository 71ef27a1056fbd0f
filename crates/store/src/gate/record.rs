//! What both databases write and read alike: event ids, rows of an event, and the answer that they stand for.

use domain::catalog::FeatureKind;
use domain::entitlement::{CounterKey, Source};
use domain::id::{EventId, FeatureKey, ReservationId};
use domain::quota::{Quota, Status};
use domain::reservation::Hold;
use domain::time::{Period, Timestamp};
use domain::usage::Line;
use uuid::{ContextV7, Uuid};

use super::Done;

/// Reads the real time, in microseconds since 1970. Event ids are made from it, never limits.
pub type Clock = fn() -> i64;

/// Makes event ids that grow strictly within this process, also when the clock steps back.
pub(super) struct Ids {
    context: ContextV7,
    clock: Clock,
    last_micros: i64,
}

impl Ids {
    /// `after` is the last id that an earlier process made, if any.
    pub(super) fn new(clock: Clock, after: Option<&str>) -> Self {
        let last_micros = after.and_then(micros_of).map_or(0, |micros| micros.saturating_add(1_000));
        Self { context: ContextV7::new(), clock, last_micros }
    }

    pub(super) fn next(&mut self) -> EventId {
        self.last_micros = self.last_micros.max((self.clock)());
        let micros = u64::try_from(self.last_micros).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0).saturating_mul(1_000);
        let timestamp = uuid::Timestamp::from_unix(&self.context, micros / 1_000_000, nanos);
        EventId::from_bits(Uuid::new_v7(timestamp).as_u128())
    }
}

/// The time inside an id, to the millisecond.
fn micros_of(id: &str) -> Option<i64> {
    let (_, suffix) = id.split_once('_')?;
    // The first ten characters hold 48 bits of milliseconds behind two zero bits.
    let digits = "0123456789abcdefghjkmnpqrstvwxyz";
    let head = suffix.get(..10)?;
    let millis = head.chars().try_fold(0_i64, |sum, c| {
        let digit = i64::try_from(digits.find(c)?).ok()?;
        sum.checked_mul(32)?.checked_add(digit)
    })?;
    millis.checked_mul(1_000)
}

/// The part of an event's row that its answer is rebuilt from.
#[derive(Debug)]
pub(super) struct AnswerRow {
    pub(super) feature: String,
    pub(super) period_start: i64,
    pub(super) period_end: Option<i64>,
    pub(super) overrun: i64,
    pub(super) used_after: i64,
    pub(super) held_after: i64,
    pub(super) limit_value: Option<i64>,
    pub(super) credits_after: Option<i64>,
    pub(super) status_after: Option<i64>,
    pub(super) version: i64,
    pub(super) reservation_id: Option<String>,
}

/// The quota that a line's row keeps for a replay. A flag has no numbers, so no answer shows it.
pub(super) fn kept_quota(line: &Line) -> Option<&Quota> {
    line.quota.as_ref().filter(|quota| quota.kind != FeatureKind::Flag)
}

/// The answer as it was first given: status, id and the quotas as decided (SPEC §13).
pub(super) fn replay(event: &str, rows: &[AnswerRow]) -> Done {
    let quotas = rows.iter().filter_map(|row| {
        let (credits, status) = row.credits_after.zip(row.status_after)?;
        Some(Quota {
            feature: FeatureKey::stored(row.feature.as_str()),
            kind: FeatureKind::Counter,
            used: row.used_after,
            reserved: row.held_after,
            limit: row.limit_value,
            credits,
            period: Period {
                start: Timestamp::from_micros(row.period_start),
                end: row.period_end.map(Timestamp::from_micros),
            },
            status: Status::from_code(i16::try_from(status).unwrap_or(i16::MAX)),
            version: row.version,
        })
    });
    Done {
        event: Some(EventId::stored(event)),
        quotas: quotas.collect(),
        overrun: rows.iter().map(|row| row.overrun).sum(),
        replayed: true,
        reservation: rows.iter().find_map(|row| row.reservation_id.as_deref()).map(ReservationId::stored),
        holds: Vec::new(),
    }
}

/// Holds as the reservation's row has them: `[feature, source, period start, amount]`.
pub(super) fn holds_to_json(holds: &[Hold]) -> String {
    let rows: Vec<_> = holds
        .iter()
        .map(|h| (h.key.feature.as_str(), h.key.source.as_str(), h.key.period_start.as_micros(), h.amount))
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

/// Reads what [`holds_to_json`] wrote.
pub(crate) fn holds_from_json(text: &str) -> Option<Vec<Hold>> {
    let rows: Vec<(String, String, i64, i64)> = serde_json::from_str(text).ok()?;
    let hold = |(feature, source, start, amount): (String, String, i64, i64)| Hold {
        key: CounterKey {
            feature: FeatureKey::stored(feature),
            source: Source::stored(&source),
            period_start: Timestamp::from_micros(start),
        },
        amount,
    };
    Some(rows.into_iter().map(hold).collect())
}

#[cfg(test)]
mod tests {
    use domain::id::GrantId;

    use super::*;

    fn clock() -> i64 {
        1_700_000_000_000_000
    }

    #[test]
    fn ids_grow_also_when_the_clock_stands_or_steps_back() {
        let mut ids = Ids::new(clock, None);
        let made: Vec<_> = (0..5_000).map(|_| ids.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        let mut later = Ids::new(|| 1, made.last().map(EventId::as_str));
        assert!(later.next() > made[4_999], "a process that starts with an earlier clock goes on from the last id");
    }

    #[test]
    fn holds_survive_their_row() {
        let hold = Hold { key: CounterKey::grant(&FeatureKey::stored("tokens"), &GrantId::stored("grt_1")), amount: 7 };
        assert_eq!(holds_from_json(&holds_to_json(std::slice::from_ref(&hold))), Some(vec![hold]));
        assert_eq!(holds_from_json("{}"), None);
    }
}
