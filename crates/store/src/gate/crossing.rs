//! What a use moved over a threshold, noted with the use (decision 0018).

use domain::catalog::FeatureKind;
use domain::entitlement::Entitlement;
use domain::id::EventId;
use domain::notice;
use domain::quota::Status;
use domain::usage::Line;

use super::{Operation, decide};

/// A level that moved over a threshold.
#[derive(Debug, Clone)]
pub(super) struct CrossingRow<'a> {
    pub(super) operation: &'a Operation,
    pub(super) entitlement: &'a Entitlement,
    pub(super) event: EventId,
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) limit: i64,
    pub(super) version: i64,
}

impl CrossingRow<'_> {
    /// Whether the level can fall.
    pub(super) fn is_gauge(&self) -> bool {
        self.entitlement.kind == FeatureKind::Gauge
    }
}

/// What an operation moved over a threshold: mostly nothing, which takes one comparison for each of its features.
pub(super) fn of<'o, 'l>(
    operation: &'o Operation,
    event: &'l EventId,
    lines: &'l [Line],
) -> impl Iterator<Item = CrossingRow<'o>> + use<'o, 'l> {
    lines.iter().filter_map(move |line| {
        let quota = line.quota.as_ref()?;
        let rises = line.amount > 0 && quota.status != Status::Ok;
        let falls = line.amount < 0 && quota.kind == FeatureKind::Gauge;
        if !rises && !falls {
            return None;
        }
        let limit = quota.limit?;
        let items = decide::items(&operation.command);
        let (entitlement, _) = items.iter().find(|(entitlement, _)| entitlement.plan_key == line.key)?;
        let (before, after) = (line.after.used.saturating_sub(line.amount), line.after.used);
        let moved = notice::moves_over(quota.kind, (before, after), Some(limit), entitlement.thresholds);
        let event = event.clone();
        moved.then_some(CrossingRow { operation, entitlement, event, before, after, limit, version: quota.version })
    })
}
