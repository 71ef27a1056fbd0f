//! A lone use of one feature: one conditional statement, which is one trip.
//!
//! It does what the batch would do, or nothing at all: whatever it does not expect (a limit reached, a reservation
//! over, a threshold passed, a key used before, versions that moved, a counter without a row) leaves no trace, and the
//! batch decides.

use domain::catalog::{FeatureKind, LimitType};
use domain::entitlement::Entitlement;
use domain::id::EventId;
use domain::time::Timestamp;
use domain::usage::{self, Book, Counter};

use super::rows::Place;
use super::session::{Outcome, Session, Value};
use crate::gate::{Answer, Change, Command, Done, Operation};

/// The rule of `domain::quota::status` stands here once more, for a feature without credits.
pub(super) const TEXT: &str = "\
    WITH moved AS (UPDATE counter c SET used = c.used + $5, version = GREATEST($10, c.version + 1), \
          next_expiry = CASE WHEN c.held > 0 THEN c.next_expiry END \
        WHERE c.tenant_id = $1 AND c.customer_id = $2 AND c.feature = $3 AND c.source = 'plan' AND c.period_start = $4 \
          AND ($6::bigint IS NULL OR (c.used + c.held + $5 <= $6 AND (c.used >= $6) = (c.used + $5 >= $6) \
            AND (c.used * 100 >= $6 * $14) = ((c.used + $5) * 100 >= $6 * $14) \
            AND (c.used * 100 >= $6 * $15) = ((c.used + $5) * 100 >= $6 * $15))) AND (c.next_expiry IS NULL OR c.next_expiry > $10) \
          AND EXISTS (SELECT FROM tenant t WHERE t.tenant_id = $1 AND t.epoch = $7) \
          AND EXISTS (SELECT FROM customer u WHERE u.tenant_id = $1 AND u.customer_id = $2 AND u.entitlement_version = $8) \
          AND NOT EXISTS (SELECT FROM idempotency d WHERE d.tenant_id = $1 AND d.idem_key = $11) \
        RETURNING c.used, c.held, c.version), \
    event AS (INSERT INTO usage_event (tenant_id, event_id, line, node, customer_id, feature, source, period_start, \
          period_end, kind, amount, hold, overrun, used_after, held_after, limit_value, credits_after, status_after, \
          version, at, detail) \
        SELECT $1, $9, 0, $18, $2, $3, 'plan', $4, $13, 'consume', $5, 0, 0, used, held, $6, 0, \
          CASE WHEN $6::bigint IS NULL THEN 0 WHEN used + held >= $6 THEN 3 WHEN used * 100 / $6 >= $15 THEN 2 \
            WHEN used * 100 / $6 >= $14 THEN 1 ELSE 0 END, GREATEST(version, $16), $10, $17 FROM moved), \
    key AS (INSERT INTO idempotency (tenant_id, idem_key, request_hash, event_id, at) \
        SELECT $1, $11, $12, $9, $10 FROM moved WHERE $11::text IS NOT NULL), \
    batch AS (INSERT INTO gate_batch (node, seq, tenants, first_event, last_event, at) \
        SELECT $18, $19, $20, $9, $9, $10 FROM moved) \
    SELECT used, held, version, pg_notify('gate', $18::bigint::text || ':' || $19::bigint::text) FROM moved";

/// A lone use that one statement can decide.
pub(super) struct Single<'a> {
    operation: &'a Operation,
    entitlement: &'a Entitlement,
    amount: i64,
}

impl<'a> Single<'a> {
    pub(super) fn of(operations: &[&'a Operation]) -> Option<Self> {
        let [operation] = operations else { return None };
        let Command::Consume(items) = &operation.command else { return None };
        let [(entitlement, amount)] = items.as_slice() else { return None };
        let simple = entitlement.kind == FeatureKind::Counter
            && entitlement.grants.is_empty()
            && entitlement.limit_type != LimitType::Soft
            && entitlement.limit.is_none_or(|limit| limit > 0)
            && *amount > 0
            && operation.metadata.is_none();
        simple.then_some(Self { operation, entitlement, amount: *amount })
    }

    /// Decides and records it in one durable step. None when it did nothing.
    pub(super) async fn run(
        &self,
        session: &Session,
        event: EventId,
        place: &Place,
    ) -> Outcome<Option<(Answer, Change)>> {
        let Self { operation, entitlement, amount } = self;
        let (tenant, customer) = (operation.tenant.as_str(), operation.customer.as_str());
        let start = entitlement.plan_key.period_start.as_micros();
        let (key, hash) = match &operation.idempotency {
            Some(idempotency) => (Some(idempotency.key.as_str()), idempotency.request_hash),
            None => (None, 0),
        };
        let (warning, critical) =
            (i64::from(entitlement.thresholds.warning), i64::from(entitlement.thresholds.critical));
        let tenants = serde_json::to_string(&[tenant]).unwrap_or_default();
        let values: [Value<'_>; 20] = [
            &tenant,
            &customer,
            &entitlement.feature.as_str(),
            &start,
            amount,
            &entitlement.limit,
            &operation.seen.epoch,
            &operation.seen.customer,
            &event.as_str(),
            &operation.now.as_micros(),
            &key,
            &hash,
            &entitlement.period.end.map(Timestamp::as_micros),
            &warning,
            &critical,
            &entitlement.version,
            &operation.detail,
            &place.node,
            &place.seq,
            &tenants,
        ];
        let Some(row) = session.client.query_opt(&session.statements.single, &values).await? else { return Ok(None) };
        let counter =
            Counter { used: row.try_get(0)?, held: row.try_get(1)?, next_expiry: None, version: row.try_get(2)? };
        let mut book = Book::default();
        book.load(entitlement.plan_key.clone(), counter);
        let quotas = vec![usage::quota(entitlement, &book)];
        let done =
            Done { event: Some(event), quotas, overrun: 0, replayed: false, reservation: None, holds: Vec::new() };
        let change = Change {
            tenant: operation.tenant.clone(),
            customer: operation.customer.clone(),
            features: vec![entitlement.feature.clone()],
        };
        Ok(Some((Answer::Done(done), change)))
    }
}
