//! Refusals that explain themselves: what was refused and why, what the user can do, kept for support.

use domain::catalog::{FeatureKind, Plan};
use domain::entitlement::Barred;
use domain::id::{DecisionId, FeatureKey};
use domain::usage::{Excess, Refusal};
use serde_json::json;

use super::customer::Account;
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
    let known: Vec<_> = cx.tenant.catalog.features.keys().map(FeatureKey::as_str).collect();
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
            error.more.actions = vec![upgrade(cx, feature, None, "Choose a plan"), contact_sales(cx)];
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
            error.more.actions = vec![upgrade(cx, feature, None, "Upgrade plan"), contact_sales(cx)];
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
    let Some(first) = excesses.first() else { return Error::internal("a refusal without a reason") };
    let quota = &first.quota;
    let now = cx.tenant_now();
    let name = cx.tenant.catalog.features.get(&quota.feature).map_or(quota.feature.as_str(), |f| &*f.name);
    let limit = quota.limit.unwrap_or_default();
    let resets = match quota.period.end {
        Some(end) => format!(
            " It resets on {}.",
            end.date_in(&cx.tenant.catalog.zone).map(|d| d.to_string()).unwrap_or_default()
        ),
        None => String::new(),
    };
    let detail = format!(
        "{name}: {} of {limit} used, {} reserved, {} asked for.{resets}",
        quota.used, quota.reserved, first.requested
    );
    let mut error = Error::new(Code::QuotaExceeded, detail);
    error.more.quotas = excesses.iter().map(|excess| excess.quota.clone()).collect();
    error.more.actions = actions(cx, first);
    error.more.retry_after = quota.period.end.map(|end| now.seconds_until(end));
    let lines: Vec<_> = excesses.iter().map(|excess| explain(cx, excess)).collect();
    let body = json!({ "code": "quota-exceeded", "limits": lines });
    error.more.decision = Some(keep(cx, account, body));
    error
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

fn actions(cx: &Cx, excess: &Excess) -> Vec<Action> {
    let quota = &excess.quota;
    let mut actions = Vec::new();
    if quota.kind == FeatureKind::Gauge {
        actions.push(action(ActionKind::Delete, "Delete something"));
    }
    let upgrade = upgrade(cx, &quota.feature, quota.limit, "Upgrade plan");
    if !upgrade.plans.is_empty() {
        actions.push(upgrade);
    }
    if quota.kind != FeatureKind::Gauge {
        actions.push(action(ActionKind::TopUp, "Top up"));
    }
    actions.push(contact_sales(cx));
    actions
}

const fn action(kind: ActionKind, label: &'static str) -> Action {
    Action { kind, label, plans: Vec::new(), href: None }
}

fn contact_sales(cx: &Cx) -> Action {
    Action { href: cx.tenant.brand().sales(), ..action(ActionKind::ContactSales, "Contact sales") }
}

fn upgrade(cx: &Cx, feature: &FeatureKey, more_than: Option<i64>, label: &'static str) -> Action {
    let plan = |plan: &&Plan| {
        let granted = plan.features.get(feature);
        let limit = granted.filter(|g| g.limit_type != domain::catalog::LimitType::Unlimited).map(|g| g.limit);
        ActionPlan { slug: plan.slug.to_string(), name: plan.name.to_string(), limit }
    };
    let plans = cx.tenant.catalog.plans_with(feature, more_than);
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
