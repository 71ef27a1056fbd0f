//! What a customer may use, and why not.

use std::collections::BTreeSet;

use super::*;
use crate::catalog::Plan;
use crate::id::TenantId;
use crate::plan::{Applies, PlanVersion};
use crate::time::Zone;

/// 2025-01-15T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_736_899_200_000_000);
/// Seconds.
const DAY: i64 = 86_400;

fn granted(limit: i64, limit_type: LimitType) -> PlanFeature {
    PlanFeature {
        enabled: true,
        limit,
        limit_type,
        reset: Reset::CalendarMonth,
        thresholds: Thresholds::default(),
        fail_open: 0,
        overage_micros: None,
        rollover_cap: None,
    }
}

fn key(text: &str) -> FeatureKey {
    FeatureKey::stored(text)
}

fn catalog() -> Catalog {
    let kinds = [
        ("calls", FeatureKind::Counter),
        ("storage", FeatureKind::Gauge),
        ("export", FeatureKind::Flag),
        ("off", FeatureKind::Counter),
        ("elsewhere", FeatureKind::Counter),
    ];
    let feature =
        |(name, kind)| (key(name), Feature { key: key(name), name: name.into(), kind, unit: None, archived: false });
    let off = PlanFeature { enabled: false, ..granted(5, LimitType::Hard) };
    let grants = [
        ("calls", granted(100, LimitType::Hard)),
        ("storage", granted(50, LimitType::Hard)),
        ("export", granted(0, LimitType::Hard)),
        ("off", off),
    ];
    let plan = Plan {
        id: PlanId::from_bits(1),
        slug: "pro".into(),
        name: "Pro".into(),
        description: "".into(),
        version: 4,
        active: true,
        visible: true,
        contact_sales: false,
        position: 1,
        trial_days: 0,
        features: grants.into_iter().map(|(name, granted)| (key(name), granted)).collect(),
        published_at: Timestamp::EPOCH,
        applies: Applies::Now,
        earlier: Vec::new(),
    };
    Catalog {
        tenant: TenantId::stored("ten_1"),
        epoch: 20,
        enforced: true,
        zone: Zone::UTC,
        earlier_zones: Vec::new(),
        clock_offset: 0,
        features: kinds.into_iter().map(feature).collect(),
        plans: [(plan.id.clone(), plan)].into(),
        topped_up: BTreeSet::new(),
    }
}

fn customer() -> Customer {
    let subscription = Subscription {
        id: SubscriptionId::from_bits(1),
        plan: PlanId::from_bits(1),
        price: None,
        status: SubscriptionStatus::Active,
        access_until: None,
        plan_since: NOW.plus_seconds(-40 * DAY),
        anchor: NOW.plus_seconds(-9 * DAY),
        period: Period { start: NOW.plus_seconds(-9 * DAY), end: Some(NOW.plus_seconds(22 * DAY)) },
        interval: Some(Interval::Month),
    };
    Customer {
        id: CustomerId::from_bits(1),
        version: 30,
        anchor: Timestamp::EPOCH,
        suspended: false,
        subscription: Some(subscription),
        overrides: Vec::new(),
        grants: Vec::new(),
    }
}

fn with_status(status: SubscriptionStatus, access_until: Option<Timestamp>) -> Customer {
    let mut customer = customer();
    let subscription = customer.subscription.take().map(|s| Subscription { status, access_until, ..s });
    Customer { subscription, ..customer }
}

fn pack(number: u128, feature: &str, amount: i64, expires_at: Option<Timestamp>) -> Grant {
    Grant { id: GrantId::from_bits(number), feature: key(feature), amount, expires_at }
}

fn of(customer: &Customer, feature: &str) -> Result<Entitlement, Barred> {
    resolve(&catalog(), customer, &key(feature), NOW)
}

#[test]
fn a_plan_grants_its_limits() {
    let calls = of(&customer(), "calls").expect("it is granted");
    assert_eq!((calls.limit, calls.limit_type, calls.version), (Some(100), LimitType::Hard, 30));
    assert_eq!(calls.period.start, Timestamp::parse("2025-01-01T00:00:00Z").expect("a time"));
    assert_eq!((calls.plan_key.period_start, calls.valid_until), (calls.period.start, calls.period.end));
    let origin = Origin { plan: Some("pro".into()), plan_version: 4, plan_limit: Some(100), overridden: false };
    assert_eq!(calls.origin, origin);
    let storage = of(&customer(), "storage").expect("it is granted");
    assert_eq!((storage.period, storage.valid_until), (Period::FOREVER, None), "a gauge never resets");
    let export = of(&customer(), "export").expect("it is granted");
    assert_eq!((export.limit, export.limit_type), (None, LimitType::Unlimited), "a flag has no number");
}

#[test]
fn the_reasons_have_an_order() {
    let suspended = Customer { suspended: true, ..with_status(SubscriptionStatus::Expired, None) };
    let ended = with_status(SubscriptionStatus::Expired, None);
    let alone = Customer { subscription: None, ..customer() };
    let table = [
        (&suspended, "unknown", Barred::UnknownFeature),
        (&suspended, "off", Barred::Suspended),
        (&ended, "off", Barred::NoSubscription),
        (&alone, "calls", Barred::NoSubscription),
        (&customer(), "off", Barred::NotInPlan),
        (&customer(), "elsewhere", Barred::NotInPlan),
    ];
    for (customer, feature, expected) in table {
        assert_eq!(of(customer, feature), Err(expected), "{feature}");
    }
    let mut gone = customer();
    gone.subscription = gone.subscription.map(|s| Subscription { plan: PlanId::from_bits(9), ..s });
    assert_eq!(of(&gone, "calls"), Err(Barred::NoSubscription), "a plan that is not there");
}

#[test]
fn a_subscription_lets_in_while_it_is_live() {
    use SubscriptionStatus::{Active, Canceled, Expired, PastDue, Paused, Pending, Trialing};
    let (later, now) = (Some(NOW.plus_micros(1)), Some(NOW));
    let table = [
        (Trialing, None, true),
        (Active, None, true),
        (PastDue, later, true),
        (PastDue, now, false),
        (PastDue, None, false),
        (Canceled, later, true),
        (Canceled, now, false),
        (Canceled, None, false),
        (Paused, later, false),
        (Pending, later, false),
        (Expired, later, false),
    ];
    for (status, until, live) in table {
        let found = of(&with_status(status, until), "calls");
        assert_eq!(found.is_ok(), live, "{status:?} until {until:?}");
        if let Ok(found) = found {
            assert_eq!(found.valid_until, until.or(found.period.end), "it ends with its access");
        }
    }
}

#[test]
fn an_override_replaces_the_plans_limit_until_it_ends() {
    let own =
        |limit, until| Customer { overrides: vec![Override { feature: key("calls"), limit, until }], ..customer() };
    let resolved = |customer: &Customer| {
        let found = of(customer, "calls").expect("it is granted");
        (found.limit, found.limit_type, found.origin.overridden, found.valid_until)
    };
    let month = of(&customer(), "calls").expect("it is granted").valid_until;
    let later = NOW.plus_seconds(1);
    assert_eq!(resolved(&own(Some(7), None)), (Some(7), LimitType::Hard, true, month));
    assert_eq!(resolved(&own(Some(0), Some(later))), (Some(0), LimitType::Hard, true, Some(later)));
    assert_eq!(resolved(&own(None, None)), (None, LimitType::Unlimited, true, month));
    assert_eq!(resolved(&own(Some(7), Some(NOW))), (Some(100), LimitType::Hard, false, month), "it ended just now");
    let plan_limit = of(&own(Some(7), None), "calls").expect("it is granted").origin.plan_limit;
    assert_eq!(plan_limit, Some(100), "the explanation knows both");
    assert_eq!(of(&own(Some(7), None), "storage").expect("it is granted").limit, Some(50), "only its feature");
    assert_eq!(of(&own(Some(7), None), "off"), Err(Barred::NotInPlan), "a number does not grant a feature");
}

#[test]
fn live_packs_of_the_feature_are_credits_in_their_order() {
    let soon = Some(NOW.plus_seconds(9));
    let grants = vec![
        pack(5, "calls", 10, Some(NOW)),
        pack(4, "calls", 20, soon),
        pack(3, "storage", 30, None),
        pack(2, "calls", 40, None),
    ];
    let found = of(&Customer { grants, ..customer() }, "calls").expect("it is granted");
    let expected = [(4, 20), (2, 40)]
        .map(|(number, amount)| (CounterKey::grant(&key("calls"), &GrantId::from_bits(number)), amount));
    assert_eq!(found.grants, expected);
    assert_eq!(found.valid_until, soon, "resolved anew when the first of them ends");
    assert_eq!(found.counter_keys().count(), 3);
}

#[test]
fn a_tenant_that_does_not_enforce_refuses_only_what_it_does_not_know() {
    let open = Catalog { enforced: false, ..catalog() };
    let stranger = Customer { subscription: None, suspended: true, ..customer() };
    for feature in ["calls", "off", "elsewhere"] {
        let found = resolve(&open, &stranger, &key(feature), NOW).expect("nothing is refused");
        assert_eq!((found.limit, found.limit_type), (None, LimitType::Unlimited), "{feature}");
        assert_eq!(found.period.start, Timestamp::parse("2025-01-01T00:00:00Z").expect("a time"), "it is counted");
    }
    assert_eq!(resolve(&open, &stranger, &key("unknown"), NOW), Err(Barred::UnknownFeature));
    let counted = resolve(&catalog(), &customer(), &key("calls"), NOW).expect("it is granted");
    let open = resolve(&open, &customer(), &key("calls"), NOW).expect("nothing is refused");
    assert_eq!((open.limit, open.limit_type), (None, LimitType::Unlimited));
    assert_eq!((open.plan_key, open.period), (counted.plan_key, counted.period), "it counts where it would count");
}

#[test]
fn what_a_customer_has_beside_the_plan_needs_no_plan_feature() {
    let own = |limit, until| Override { feature: key("elsewhere"), limit, until };
    let with = |overrides, grants| Customer { overrides, grants, ..customer() };
    let found = of(&with(vec![own(Some(7), None)], Vec::new()), "elsewhere").expect("it has a limit of its own");
    assert_eq!((found.limit, found.limit_type, found.origin.plan_limit), (Some(7), LimitType::Hard, Some(0)));
    assert!(found.origin.overridden);
    let found = of(&with(Vec::new(), vec![pack(5, "elsewhere", 30, None)]), "elsewhere").expect("it has credits");
    assert_eq!((found.limit, found.grants.len()), (Some(0), 1));
    let over = with(vec![own(Some(7), Some(NOW))], vec![pack(5, "elsewhere", 30, Some(NOW))]);
    assert_eq!(of(&over, "elsewhere"), Err(Barred::NotInPlan), "both have ended");
    let off = with(vec![Override { feature: key("off"), limit: None, until: None }], Vec::new());
    assert_eq!(of(&off, "off").expect("it has its own").limit, None);
}

#[test]
fn what_was_lost_meanwhile_can_still_be_settled() {
    let alone = Customer { subscription: None, ..customer() };
    let nothing = resolve_or_nothing(&catalog(), &alone, &key("storage"), NOW);
    assert_eq!((nothing.limit, nothing.kind, nothing.valid_until), (Some(0), FeatureKind::Gauge, Some(NOW)));
    let there = resolve_or_nothing(&catalog(), &customer(), &key("calls"), NOW);
    assert_eq!(there.limit, Some(100));
    let began = Period { start: Timestamp::EPOCH, end: Some(NOW) };
    let counted = there.in_period(began);
    assert_eq!((counted.period, counted.plan_key.period_start), (began, Timestamp::EPOCH), "where it began");
}

/// The catalog after its plan's limit of calls rose to 200, for those for whom the version holds.
fn published(applies: Applies, published_at: Timestamp) -> Catalog {
    let mut catalog = catalog();
    for plan in catalog.plans.values_mut() {
        let before = PlanVersion {
            number: plan.version,
            published_at: plan.published_at,
            applies: plan.applies,
            features: plan.features.clone(),
        };
        plan.earlier = vec![before];
        plan.features.insert(key("calls"), granted(200, LimitType::Hard));
        (plan.version, plan.applies, plan.published_at) = (5, applies, published_at);
    }
    catalog
}

#[test]
fn a_subscription_has_the_version_that_holds_for_it() {
    let day = |days: i64| NOW.plus_seconds(days * DAY);
    for (applies, published_at, expected) in [
        (Applies::Now, day(-1), (200, 5)),
        (Applies::New, day(-1), (100, 4)),
        (Applies::New, day(-40), (200, 5)),
        (Applies::Renewal, day(-8), (100, 4)),
        (Applies::Renewal, day(-9), (200, 5)),
    ] {
        let found = resolve(&published(applies, published_at), &customer(), &key("calls"), NOW).expect("it is granted");
        assert_eq!(
            (found.limit, found.origin.plan_version),
            (Some(expected.0), expected.1),
            "{applies:?} {published_at}"
        );
    }
}

#[test]
fn a_renewal_brings_the_new_version_at_its_instant_though_nobody_noted_it() {
    let later = published(Applies::Renewal, NOW);
    let renews = NOW.plus_seconds(22 * DAY);
    let limit = |at: Timestamp| {
        let found = resolve(&later, &customer(), &key("storage"), at).expect("it is granted");
        let calls = resolve(&later, &customer(), &key("calls"), at).expect("it is granted");
        (calls.limit, found.valid_until)
    };
    assert_eq!(limit(NOW), (Some(100), Some(renews)), "what never resets is resolved anew at the renewal, too");
    assert_eq!(limit(renews.plus_micros(-1)), (Some(100), Some(renews)));
    assert_eq!(limit(renews), (Some(200), None));
    // Long after: the periods that nobody noted are counted from the one that was.
    let late = published(Applies::Renewal, renews.plus_seconds(DAY));
    let calls = |at| resolve(&late, &customer(), &key("calls"), at).expect("it is granted").limit;
    assert_eq!((calls(renews.plus_seconds(2 * DAY)), calls(renews.plus_seconds(40 * DAY))), (Some(100), Some(200)));
}

/// SPEC §3.6, §5: an upgrade grows the limit at once and the use counts on; a yearly price resets monthly all the same.
#[test]
fn use_counts_on_in_another_plan_and_interval() {
    let mut catalog = catalog();
    let mut first = catalog.plans.values().next().expect("a plan").clone();
    let monthly = |limit| PlanFeature { reset: Reset::BillingMonth, ..granted(limit, LimitType::Hard) };
    first.features = [(key("calls"), monthly(100))].into();
    let larger = Plan { id: PlanId::from_bits(2), features: [(key("calls"), monthly(1_000))].into(), ..first.clone() };
    catalog.plans = [first, larger].into_iter().map(|plan| (plan.id.clone(), plan)).collect();
    let before = Customer { anchor: NOW.plus_seconds(-40 * DAY), ..customer() };
    let mut after = before.clone();
    let year = Period { start: NOW, end: Some(NOW.plus_seconds(365 * DAY)) };
    after.subscription = before.subscription.clone().map(|subscription| Subscription {
        plan: PlanId::from_bits(2),
        plan_since: NOW,
        period: year,
        interval: Some(Interval::Year),
        ..subscription
    });
    let of = |customer: &Customer, now| resolve(&catalog, customer, &key("calls"), now).expect("it is granted");
    let (small, large) = (of(&before, NOW), of(&after, NOW));
    assert_eq!((small.limit, large.limit), (Some(100), Some(1_000)));
    assert_eq!((&small.plan_key, small.period), (&large.plan_key, large.period), "one counter");
    let end = large.period.end.expect("it ends");
    assert_eq!(of(&after, end).period.start, end, "the next month begins inside the paid year");
}

/// RELIABILITY §0.6: the day of the anchor returns, whichever period was noted last.
#[test]
fn a_billing_period_is_counted_from_the_stored_anchor() {
    let at = |text: &str| Timestamp::parse(text).expect("a time");
    let noted = Period { start: at("2028-02-29T00:00:00Z"), end: Some(at("2028-03-31T00:00:00Z")) };
    let subscription = customer().subscription.expect("there is one");
    let subscription = Subscription { anchor: at("2028-01-31T00:00:00Z"), period: noted, ..subscription };
    let of = |subscription: &Subscription, now| subscription.period_at(&Zone::UTC, at(now)).expect("in range");
    assert_eq!(of(&subscription, "2028-03-30T23:59:59Z"), noted);
    let april = Period { start: at("2028-03-31T00:00:00Z"), end: Some(at("2028-04-30T00:00:00Z")) };
    assert_eq!(of(&subscription, "2028-03-31T00:00:00Z"), april);
    assert_eq!(of(&subscription, "2028-05-31T00:00:00Z").start, at("2028-05-31T00:00:00Z"));
    let yearly = Subscription { interval: Some(Interval::Year), ..subscription };
    assert_eq!(of(&yearly, "2028-04-01T00:00:00Z").end, Some(at("2029-03-31T00:00:00Z")));
}
