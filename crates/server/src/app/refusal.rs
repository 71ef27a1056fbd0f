//! Refusals that explain themselves: what was refused and why, what the user can do, kept for support.

use domain::catalog::{FeatureKind, Plan};
use domain::entitlement::Barred;
use domain::id::{DecisionId, FeatureKey};
use domain::usage::{Excess, Refusal};
use serde_json::json;

use super::customer::Account;
use super::shortage::{self, Shortage};
use crate::cx::{Cx, id_bits};
use crate::error::{Action, ActionKind, ActionPlan, Code, Error};

/// The order in which reasons are told (SPEC §13): what does not exist, what is not paid, what is not allowed.
pub const fn rank(barred: &Barred) -> u8 {
    match barred {
        Barred::UnknownFeature => 0,
        Barred::Calendar(_) => 1,
        Barred::NoSubscription => 2,
        Barred::Suspended => 3,
        Barred::NotInPlan => 4,
    }
}

/// A feature that the tenant does not have.
pub fn unknown_feature(cx: &Cx, feature: &FeatureKey) -> Error {
    let offered = cx.tenant.catalog.features.values().filter(|feature| !feature.archived);
    let known: Vec<_> = offered.map(|feature| feature.key.as_str()).collect();
    Error::new(Code::UnknownFeature, format!("`{feature}` is not among this tenant's features: {}.", known.join(", ")))
}

/// The customer may not use the feature at all.
pub fn barred(cx: &Cx, account: &Account, feature: &FeatureKey, barred: &Barred) -> Error {
    let mut error = match barred {
        Barred::UnknownFeature => return unknown_feature(cx, feature),
        Barred::Calendar(cause) => return Error::internal(cause),
        Barred::Suspended => Error::new(Code::CustomerSuspended, "Ask support why the account was suspended."),
        Barred::NoSubscription => {
            let mut error = Error::new(Code::SubscriptionRequired, "Choose a plan first.");
            error.more.actions = vec![upgrade(cx, feature, (None, None), "Choose a plan"), contact_sales(cx)];
            error
        }
        Barred::NotInPlan => {
            let plans = cx.tenant.catalog.plans_with(feature, None);
            let names: Vec<_> = plans.iter().map(|plan| &*plan.name).collect();
            let detail = if names.is_empty() {
                "No plan includes this feature.".to_owned()
            } else {
                format!("Plans with this feature: {}.", names.join(", "))
            };
            let mut error = Error::new(Code::FeatureNotInPlan, detail);
            error.more.actions = vec![upgrade(cx, feature, (None, None), "Upgrade plan"), contact_sales(cx)];
            error
        }
    };
    let plan = account.customer.subscription.as_ref().map(|s| s.plan.to_string());
    let body = json!({
        "code": error.code.row().1,
        "feature": feature,
        "plan": plan,
        "subscription": account.customer.subscription.as_ref().map(|s| s.status),
        "suspended": account.customer.suspended,
    });
    error.more.decision = Some(keep(cx, account, body));
    error
}

/// The gate refused.
pub fn refused(cx: &Cx, account: &Account, refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Barred(feature, why) => barred(cx, account, feature, why),
        Refusal::Exceeded(excesses) => exceeded(cx, account, excesses),
        Refusal::BelowZero(feature, level) => {
            Error::new(Code::GaugeBelowZero, format!("{feature} stands at {level}; take away at most that."))
        }
        Refusal::TooLarge(feature) => {
            Error::field("/items", format!("{feature}: the number is too large to be counted"))
        }
    }
}

fn exceeded(cx: &Cx, account: &Account, excesses: &[Excess]) -> Error {
    if excesses.is_empty() {
        return Error::internal("a refusal without a reason");
    }
    let actions = actions(cx, excesses);
    let now = cx.tenant_now();
    let shortages: Vec<_> = excesses.iter().map(|excess| shortage(cx, excess)).collect();
    // Another try makes sense once everything has reset; where one never does, or more was asked for than there ever is,
    // waiting does not help.
    let ends = shortages.iter().map(|short| short.quota.period.end.filter(|_| short.ever_fits()));
    let resets = ends.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten();
    let wait = shortage::wait(resets, now, &cx.tenant.catalog.zone);
    let mut error = Error::new(Code::QuotaExceeded, shortage::told(&shortages, &actions, wait));
    error.more.quotas = excesses.iter().map(|excess| excess.quota.clone()).collect();
    error.more.actions = actions;
    error.more.retry_after = resets.map(|end| now.seconds_until(end));
    let lines: Vec<_> = excesses.iter().map(|excess| explain(cx, excess)).collect();
    let body = json!({ "code": "quota-exceeded", "limits": lines });
    error.more.decision = Some(keep(cx, account, body));
    error
}

fn shortage<'a>(cx: &'a Cx, excess: &'a Excess) -> Shortage<'a> {
    let Excess { requested, quota, .. } = excess;
    let feature = cx.tenant.catalog.features.get(&quota.feature);
    let name = feature.map_or(quota.feature.as_str(), |feature| &*feature.name);
    Shortage { name, unit: feature.and_then(|feature| feature.unit.as_deref()), quota, requested: *requested }
}

/// What stood in the way: which limit, of which plan version, with which override, and what was used of it.
fn explain(cx: &Cx, excess: &Excess) -> serde_json::Value {
    let Excess { requested, quota, origin } = excess;
    json!({
        "feature": quota.feature,
        "requested": requested,
        "plan": origin.plan,
        "planVersion": origin.plan_version,
        "planLimit": origin.plan_limit,
        "override": if origin.overridden { json!({ "limit": quota.limit }) } else { serde_json::Value::Null },
        "limit": quota.limit,
        "used": quota.used,
        "reserved": quota.reserved,
        "credits": quota.credits,
        "remaining": quota.remaining(),
        "periodStart": quota.period.end.map(|_| quota.period.start),
        "resetsAt": quota.period.end,
        "resetDate": quota.period.end.and_then(|end| end.date_in(&cx.tenant.catalog.zone).ok()).map(|d| d.to_string()),
    })
}

fn actions(cx: &Cx, excesses: &[Excess]) -> Vec<Action> {
    let is_gauge = |excess: &&Excess| excess.quota.kind == FeatureKind::Gauge;
    let mut actions = Vec::new();
    if excesses.iter().any(|excess| is_gauge(&excess)) {
        actions.push(action(ActionKind::Delete, "Delete something"));
    }
    let upgrade = fitting(cx, excesses);
    if !upgrade.plans.is_empty() {
        actions.push(upgrade);
    }
    // All that is short has to be on sale: one pack alone would change nothing. A gauge is not topped up.
    let mut counters = excesses.iter().filter(|excess| !is_gauge(excess)).peekable();
    if counters.peek().is_some() && counters.all(|excess| cx.tenant.catalog.topped_up.contains(&excess.quota.feature)) {
        actions.push(action(ActionKind::TopUp, "Top up"));
    }
    actions.push(contact_sales(cx));
    actions
}

/// The plans under which all of it would have fitted, with what they grant of the first feature.
fn fitting(cx: &Cx, excesses: &[Excess]) -> Action {
    let mut fitting = excesses.iter().map(|Excess { requested, quota, origin }| {
        let needed = quota.used.saturating_add(quota.reserved).saturating_add(*requested).saturating_sub(quota.credits);
        let more_than = quota.limit.map(|limit| limit.max(needed.saturating_sub(1)));
        let mut upgrade = upgrade(cx, &quota.feature, (more_than, origin.plan.as_deref()), "Upgrade plan");
        if origin.overridden {
            // A limit of the customer's own holds under every plan.
            upgrade.plans.clear();
        }
        upgrade
    });
    let Some(mut first) = fitting.next() else { return action(ActionKind::Upgrade, "Upgrade plan") };
    for other in fitting {
        first.plans.retain(|plan| other.plans.iter().any(|fits| fits.slug == plan.slug));
    }
    first
}

const fn action(kind: ActionKind, label: &'static str) -> Action {
    Action { kind, label, plans: Vec::new(), href: None }
}

fn contact_sales(cx: &Cx) -> Action {
    Action { href: cx.tenant.brand().sales(), ..action(ActionKind::ContactSales, "Contact sales") }
}

/// The plans that grant a feature, more than some units of it if need be, and are not the customer's own.
fn upgrade(
    cx: &Cx,
    feature: &FeatureKey,
    (more_than, own): (Option<i64>, Option<&str>),
    label: &'static str,
) -> Action {
    let plan = |plan: &&Plan| {
        let granted = plan.features.get(feature);
        let limit = granted.filter(|g| g.limit_type != domain::catalog::LimitType::Unlimited).map(|g| g.limit);
        ActionPlan { slug: plan.slug.to_string(), name: plan.name.to_string(), limit }
    };
    let mut plans = cx.tenant.catalog.plans_with(feature, more_than);
    plans.retain(|plan| own != Some(&*plan.slug));
    Action { plans: plans.iter().map(plan).collect(), ..action(ActionKind::Upgrade, label) }
}

/// Keeps an explanation, outside of any transaction, and answers its id.
fn keep(cx: &Cx, account: &Account, mut body: serde_json::Value) -> String {
    let id = DecisionId::from_bits(id_bits());
    if let Some(fields) = body.as_object_mut() {
        fields.insert("id".to_owned(), json!(id));
        fields.insert("at".to_owned(), json!(cx.tenant_now()));
        fields.insert("customer".to_owned(), json!(account.customer.id));
        fields.insert("requestId".to_owned(), json!(*cx.request_id));
    }
    cx.app.decisions.keep(cx.tenant.id(), &id, &account.customer.id, body);
    id.to_string()
}
