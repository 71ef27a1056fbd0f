//! A tenant with customers and a gate, and short words for what is asked of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::catalog::{FeatureKind, LimitType, Thresholds};
use domain::entitlement::{CounterKey, Entitlement, Origin};
use domain::id::{CustomerId, EventId, FeatureKey, GrantId, ReservationId, TenantId};
use domain::quota::Quota;
use domain::time::{Period, Timestamp};
use domain::usage::Refusal;

use crate::db::{Db, Location};
use crate::gate::{Answer, Command, Done, Finish, Gate, Held, Idempotency, Item, Operation, Seen, SyncLog};
use crate::{customer, tenant, usage};

pub(super) const SEEN: Seen = Seen { epoch: 7, customer: 3 };
/// 2025-01-15T00:00:00Z.
pub(super) const START: Timestamp = Timestamp::from_micros(1_736_899_200_000_000);

/// Event ids only need a clock that goes on.
pub(super) fn clock() -> i64 {
    static MICROS: AtomicI64 = AtomicI64::new(START.as_micros());
    MICROS.fetch_add(1, Ordering::Relaxed)
}

pub(super) struct Bench {
    pub(super) location: Location,
    pub(super) db: Db,
    pub(super) gate: Gate,
    finish: Finish,
    pub(super) now: Timestamp,
    pub(super) seen: Seen,
}

impl Bench {
    /// A fresh database with the tenants `ten_1`, `ten_2` and the customers `cus_1`, `cus_2` in each.
    pub(super) async fn new(location: Location) -> Self {
        let bench = Self::open(location).await;
        for name in ["ten_1", "ten_2"] {
            insert_tenant(&bench.db, name).await;
        }
        bench
    }

    /// A database that is there.
    pub(super) async fn open(location: Location) -> Self {
        Self::open_with(location, None).await
    }

    /// A database that is there, with another way to sync SQLite's log.
    pub(super) async fn open_with(location: Location, log: Option<SyncLog>) -> Self {
        let db = Db::open(&location).await.expect("the database opens");
        let (gate, finish) = Gate::start_with(&db, clock, log).await.expect("the gate starts");
        Self { location, db, gate, finish, now: START, seen: SEEN }
    }

    /// Stops the gate and closes the database.
    pub(super) async fn close(self) {
        let Self { db, gate, finish, .. } = self;
        drop((gate, db));
        finish.wait().await;
    }

    /// Stops the gate and closes the database, then opens both again.
    pub(super) async fn restart(self) -> Self {
        let (location, now, seen) = (self.location.clone(), self.now, self.seen);
        self.close().await;
        Self { now, seen, ..Self::open(location).await }
    }

    pub(super) fn operation(&self, command: Command) -> Operation {
        Operation {
            tenant: ten(1),
            customer: cus(1),
            seen: self.seen,
            now: self.now,
            command,
            idempotency: None,
            metadata: None,
            detail: None,
            quiet: false,
        }
    }

    pub(super) fn keyed(&self, key: &str, request_hash: i64, command: Command) -> Operation {
        let idempotency = Some(Idempotency { key: key.to_owned(), request_hash });
        Operation { idempotency, ..self.operation(command) }
    }

    pub(super) async fn answer(&self, operation: Operation) -> Answer {
        self.gate.run(operation).await.expect("the gate answers")
    }

    pub(super) async fn run(&self, command: Command) -> Answer {
        self.answer(self.operation(command)).await
    }

    pub(super) async fn done(&self, command: Command) -> Done {
        done(self.run(command).await)
    }

    pub(super) async fn refused(&self, command: Command) -> Refusal {
        let answer = self.run(command).await;
        let Answer::Refused(refusal) = answer else { panic!("expected a refusal, got {answer:?}") };
        refusal
    }

    pub(super) async fn use_up(&self, entitlement: &Arc<Entitlement>, amount: i64) -> Answer {
        self.run(Command::Consume(vec![item(entitlement, amount)])).await
    }

    pub(super) async fn quota(&self, entitlement: &Arc<Entitlement>) -> Quota {
        let done = self.done(Command::Read(vec![entitlement.clone()])).await;
        done.quotas.into_iter().next().expect("a quota for each feature")
    }

    /// `used` and `reserved`.
    pub(super) async fn level(&self, entitlement: &Arc<Entitlement>) -> (i64, i64) {
        let quota = self.quota(entitlement).await;
        (quota.used, quota.reserved)
    }

    /// What is left of one pack.
    pub(super) async fn quota_of_grants(&self, plan: &Arc<Entitlement>, grant: (u128, i64)) -> i64 {
        self.quota(&with_grants(plan, &[grant])).await.credits
    }

    pub(super) fn reserve(&self, number: u128, items: Vec<Item>) -> Command {
        Command::Reserve {
            items,
            id: ReservationId::from_bits(number),
            expires_at: self.now.plus_seconds(60),
            principal: "key_1".to_owned(),
            retryable: true,
        }
    }

    pub(super) async fn held(&self, number: u128) -> Held {
        let id = ReservationId::from_bits(number);
        usage::find_reservation(&self.db, &ten(1), &id).await.expect("it reads").expect("it is there").held
    }

    pub(super) async fn settle(&self, number: u128, items: Vec<Item>) -> Command {
        Command::Settle { reservation: self.held(number).await, items }
    }

    pub(super) async fn release(&self, number: u128, items: Vec<Item>) -> Command {
        Command::Release { reservation: self.held(number).await, items }
    }

    /// The sum of what the events say, which the counters must agree with.
    pub(super) async fn used_by_events(&self, feature: &str) -> i64 {
        let row: (i64,) = crate::db::sql!("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM usage_event WHERE tenant_id = $1 AND customer_id = $2 AND feature = $3")
            .bind(&ten(1))
            .bind(&cus(1))
            .bind(feature)
            .find(&self.db)
            .await
            .expect("it reads")
            .expect("a sum");
        row.0
    }
}

pub(super) async fn insert_tenant(db: &Db, name: &str) {
    let row = tenant::TenantRow {
        tenant_id: name.to_owned(),
        slug: name.to_owned(),
        name: name.to_owned(),
        mode: "sandbox".to_owned(),
        currency: "USD".to_owned(),
        timezone: "UTC".to_owned(),
        enforced: true,
        clock_offset: 0,
        default_plan_id: None,
        brand: "{}".to_owned(),
        epoch: SEEN.epoch,
        created_at: 0,
        settings: "{}".to_owned(),
        revision: 1,
        suspended: false,
    };
    let mut tx = db.begin().await.expect("it begins");
    tenant::insert(&mut tx, &row).await.expect("a tenant");
    for number in [1, 2] {
        let row = customer::CustomerRow {
            customer_id: cus(number).to_string(),
            external_id: None,
            email: None,
            name: None,
            anchor: 0,
            suspended: false,
            entitlement_version: SEEN.customer,
            created_at: 0,
        };
        customer::insert(&mut tx, &TenantId::stored(name), &row).await.expect("a customer");
    }
    tx.commit().await.expect("it commits");
}

pub(super) fn ten(number: u32) -> TenantId {
    TenantId::stored(format!("ten_{number}"))
}

pub(super) fn cus(number: u32) -> CustomerId {
    CustomerId::stored(format!("cus_{number}"))
}

pub(super) fn item(entitlement: &Arc<Entitlement>, amount: i64) -> Item {
    (entitlement.clone(), amount)
}

pub(super) fn done(answer: Answer) -> Done {
    let Answer::Done(done) = answer else { panic!("expected it to be done, got {answer:?}") };
    done
}

pub(super) fn event(answer: &Answer) -> EventId {
    done(answer.clone()).event.expect("something was recorded")
}

/// What a retry must be given: the first answer, marked as a replay.
pub(super) fn replay_of(first: &Answer) -> Answer {
    Answer::Done(Done { replayed: true, holds: Vec::new(), ..done(first.clone()) })
}

/// A counter with a hard limit, in the running month.
pub(super) fn hard(feature: &str, limit: i64) -> Arc<Entitlement> {
    Arc::new(entitlement(feature, Some(limit), LimitType::Hard))
}

pub(super) fn soft(feature: &str, limit: i64) -> Arc<Entitlement> {
    Arc::new(entitlement(feature, Some(limit), LimitType::Soft))
}

pub(super) fn unlimited(feature: &str) -> Arc<Entitlement> {
    Arc::new(entitlement(feature, None, LimitType::Unlimited))
}

pub(super) fn gauge(feature: &str, limit: i64) -> Arc<Entitlement> {
    let counted = entitlement(feature, Some(limit), LimitType::Hard).in_period(Period::FOREVER);
    Arc::new(Entitlement { kind: FeatureKind::Gauge, ..counted })
}

/// The same, with packs of credits: number and units, soonest to expire first.
pub(super) fn with_grants(base: &Arc<Entitlement>, grants: &[(u128, i64)]) -> Arc<Entitlement> {
    let pack = |&(number, units): &(u128, i64)| (CounterKey::grant(&base.feature, &GrantId::from_bits(number)), units);
    Arc::new(Entitlement { grants: grants.iter().map(pack).collect(), ..Entitlement::clone(base) })
}

fn entitlement(feature: &str, limit: Option<i64>, limit_type: LimitType) -> Entitlement {
    let feature = FeatureKey::parse(feature).expect("a key");
    let period = Period { start: START, end: Some(START.plus_seconds(31 * 86_400)) };
    Entitlement {
        kind: FeatureKind::Counter,
        limit,
        limit_type,
        period,
        thresholds: Thresholds::default(),
        plan_key: CounterKey::plan(&feature, period),
        grants: Vec::new(),
        valid_until: period.end,
        fail_open: 0,
        version: 0,
        origin: Origin::default(),
        feature,
    }
}

/// Queues operations in order before the gate can have looked at more than the first, so that they share a batch.
pub(super) async fn all_at_once(bench: &Bench, operations: Vec<Operation>) -> Vec<crate::error::Result<Answer>> {
    let waiting: Vec<_> = operations
        .into_iter()
        .map(|operation| {
            let gate = bench.gate.clone();
            Box::pin(async move { gate.run(operation).await })
        })
        .collect();
    futures(waiting).await
}

/// Polls all in order, then waits for each.
async fn futures<F: Future<Output = crate::error::Result<Answer>> + Unpin>(
    mut waiting: Vec<F>,
) -> Vec<crate::error::Result<Answer>> {
    let mut answers: Vec<_> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in waiting.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(given) = std::pin::Pin::new(future).poll(context)
            {
                *answer = Some(given);
            }
        }
        if answers.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// A subscription of a customer to a plan without price, since the start.
pub(super) fn subscribed(number: u32, plan: &str) -> crate::subscription::SubscriptionRow {
    crate::subscription::SubscriptionRow {
        subscription_id: format!("sub_{number}"),
        customer_id: cus(number).to_string(),
        plan_id: plan.to_owned(),
        plan_since: START.as_micros(),
        price_id: None,
        interval: None,
        currency: None,
        amount_minor: None,
        status: "active".to_owned(),
        period_start: START.as_micros(),
        period_end: None,
        access_until: None,
        created_at: START.as_micros(),
        revision: 1,
        billing_anchor: START.as_micros(),
        pending_until: None,
        trial_ends_at: None,
        trial_warned: false,
        paid_minor: 0,
        paid_from: START.as_micros(),
        dunning_since: None,
        dunning_until: None,
        dunning_tried: 0,
        scheduled: None,
        resume_at: None,
        coupon: None,
        discount_from: None,
        payable: false,
        next_due_at: None,
        provider: None,
        provider_subscription: None,
    }
}
