//! The demo: both product briefs as tenants (SPEC §2), made through the same use cases as production.

use std::sync::Arc;

use domain::id::{FeatureKey, TenantId, UserId};
use domain::permission::Role;
use domain::time::{Reset, Timestamp, period_at};
use store::user::UserRow;

use super::template::Starter;
use super::tenant::Tenant;
use super::upstream::{key_hint, keyless, upstream_place};
use super::{customer, setup, usage};
use crate::cx::{App, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// Key and address of the Anthropic upstream, if the demo is to use it.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    /// The key.
    pub api_key: Option<String>,
    /// The address, when it is not Anthropic's own.
    pub base_url: Option<String>,
}

/// Who is in the demo, with which plan and exactly which use in the running period (SPEC §2).
struct Person {
    email: &'static str,
    name: &'static str,
    role: Role,
    plan: Option<&'static str>,
    used: &'static [(&'static str, i64)],
}

const fn person(
    email: &'static str,
    name: &'static str,
    plan: &'static str,
    used: &'static [(&'static str, i64)],
) -> Person {
    Person { email, name, role: Role::User, plan: Some(plan), used }
}

const HALISOFT: [Person; 6] = [
    Person { email: "admin@halisoft.example", name: "Ada Admin", role: Role::Admin, plan: None, used: &[] },
    person("new@halisoft.example", "Nora New", "starter", &[]),
    person("near@halisoft.example", "Nick Near", "starter", &[("invoice_ocr", 87), ("risk_assessment", 42)]),
    person("full@halisoft.example", "Fay Full", "starter", &[("invoice_ocr", 100)]),
    person(
        "pro@halisoft.example",
        "Paul Pro",
        "professional",
        &[("invoice_ocr", 312), ("risk_assessment", 128), ("contract_review", 41), ("cash_flow_forecast", 12)],
    ),
    person(
        "enterprise@halisoft.example",
        "Erin Enterprise",
        "enterprise",
        &[("invoice_ocr", 2_140), ("risk_assessment", 860), ("audit_assistant", 95), ("contract_review", 310)],
    ),
];

const STUDIO: [Person; 4] = [
    Person { email: "admin@studio.example", name: "Sam Admin", role: Role::Admin, plan: None, used: &[] },
    person("user@studio.example", "Uma User", "free", &[("prompts", 99), ("storage", 400_000_000)]),
    person("pro@studio.example", "Pete Pro", "pro", &[("prompts", 150), ("storage", 2_200_000_000)]),
    person("power@studio.example", "Pia Power", "power", &[("prompts", 200), ("storage", 4_900_000_000)]),
];

/// The operator's address.
pub const OPERATOR: &str = "operator@tollgate.example";
/// Days between the customers' anchor and the demo's first start: three periods of history, and a reset within weeks.
const HISTORY_DAYS: i64 = 80;
const DAY_SECONDS: i64 = 86_400;
/// Parts into which the use of a period is spread.
const PARTS: i64 = 12;

/// Makes the demo in an empty database. Answers whether it was made now.
pub async fn create(app: &Arc<App>, password: &str, upstream: &Upstream, now: Timestamp) -> Result<bool> {
    if store::tenant::find_by_slug(&app.db, "halisoft").await?.is_some() {
        return Ok(false);
    }
    let hash = app.passwords.hash(password).await?;
    // Everything in the past began at midnight, which reads better on a page.
    let began = Timestamp::from_micros(now.as_micros().div_euclid(DAY_SECONDS * 1_000_000) * DAY_SECONDS * 1_000_000);
    let began = began.plus_seconds(-HISTORY_DAYS * DAY_SECONDS);
    let times = (began, now);
    let halisoft = match tenant(app, Starter::Halisoft, upstream, began).await {
        // Another node that was started at the same moment makes it.
        Err(error) if error.code == Code::Taken => return Ok(false),
        made => made?,
    };
    people(app, &halisoft, &HALISOFT, &hash, times).await?;
    let studio = tenant(app, Starter::Studio, upstream, began).await?;
    people(app, &studio, &STUDIO, &hash, times).await?;
    let operator = Person { email: OPERATOR, name: "Olga Operator", role: Role::Operator, plan: None, used: &[] };
    let platform = app.tenants.get(&app.db, &app.master, &setup::platform()).await?;
    people(app, &platform, &[operator], &hash, times).await?;
    Ok(true)
}

/// Whether the demo's accounts have a password.
pub async fn is_password(app: &App, password: &str) -> Result<bool> {
    match store::user::find_by_email(&app.db, &setup::platform(), OPERATOR).await? {
        Some(operator) => app.passwords.fits(password, &operator.password_hash).await,
        None => Ok(false),
    }
}

async fn tenant(app: &Arc<App>, starter: Starter, upstream: &Upstream, began: Timestamp) -> Result<Arc<Tenant>> {
    let template = starter.template()?;
    let id = TenantId::from_bits(id_bits());
    let row = template.tenant(&id, "sandbox", began);
    let mut tx = app.db.begin().await?;
    store::tenant::insert(&mut tx, &row).await?;
    match &upstream.api_key {
        None => template.write(&mut tx, app, row, began).await?,
        Some(key) => {
            let template = template.on_upstream("anthropic", upstream.base_url.as_deref());
            template.write(&mut tx, app, row, began).await?;
            let sealed = app.master.seal(&id, &upstream_place("anthropic"), key.as_bytes())?;
            let row = store::upstream::UpstreamRow {
                base_url: upstream.base_url.clone(),
                api_key_sealed: Some(sealed),
                key_hint: Some(key_hint(key)),
                ..keyless("anthropic", "anthropic")
            };
            store::upstream::put(&mut tx, &id, &row).await?;
        }
    }
    tx.commit().await?;
    app.tenants.reload(&app.db, &app.master, &id).await
}

async fn people(
    app: &Arc<App>,
    tenant: &Arc<Tenant>,
    people: &[Person],
    hash: &str,
    (began, now): (Timestamp, Timestamp),
) -> Result<()> {
    for person in people {
        let mut cx = Cx::system(app, tenant, "demo");
        // Customers began some months ago, so that there is a past to look at.
        cx.now = began;
        let mut tx = app.db.begin().await?;
        let customer = match person.plan {
            Some(plan) => {
                let new = customer::NewCustomer {
                    external_id: None,
                    email: Some(person.email.to_owned()),
                    name: Some(person.name.to_owned()),
                    plan: Some(plan.to_owned()),
                    billed_at: Some(now),
                };
                Some(customer::insert(&mut tx, &cx, &new).await?.customer_id)
            }
            None => None,
        };
        let user = UserRow {
            user_id: UserId::from_bits(id_bits()).to_string(),
            email: person.email.to_owned(),
            name: Some(person.name.to_owned()),
            password_hash: hash.to_owned(),
            role: person.role.name().to_owned(),
            customer_id: customer.clone(),
            verified: true,
        };
        store::user::insert(&mut tx, tenant.id(), &user, cx.now).await?;
        tx.commit().await?;
        if let Some(customer) = customer {
            use_features(&cx, &customer, person, now).await?;
        }
    }
    Ok(())
}

/// Spreads each feature's use over the running period, and somewhat less over the periods before.
async fn use_features(cx: &Cx, customer: &str, person: &Person, now: Timestamp) -> Result<()> {
    let anchor = cx.now;
    for (name, amount) in person.used {
        let feature = FeatureKey::stored(*name);
        let granted = cx.tenant.catalog.plan_by_slug(person.plan.unwrap_or_default());
        let reset = granted.and_then(|plan| plan.features.get(&feature)).map_or(Reset::Never, |granted| granted.reset);
        let period = |at: Timestamp| period_at(reset, anchor, &cx.tenant.catalog.zone, at).map_err(Error::internal);
        let running = period(now)?;
        let (mut start, mut end, mut share) = (running.start.max(anchor), now, 100);
        while share > 0 {
            spread(cx, customer, (&feature, amount * share / 100), (start, end)).await?;
            if reset == Reset::Never || start <= anchor {
                break;
            }
            end = start;
            start = period(start.plus_micros(-1))?.start.max(anchor);
            share -= 30;
        }
    }
    Ok(())
}

async fn spread(
    cx: &Cx,
    customer: &str,
    (feature, amount): (&FeatureKey, i64),
    (start, end): (Timestamp, Timestamp),
) -> Result<()> {
    let length = end.as_micros().saturating_sub(start.as_micros());
    for part in 0..PARTS {
        let units = amount * (part + 1) / PARTS - amount * part / PARTS;
        if units > 0 {
            let mut cx = cx.clone();
            cx.now = start.plus_micros(length / PARTS * part + length / (PARTS * 2));
            let action = usage::Action {
                customer: Some(customer.to_owned()),
                items: vec![(feature.clone(), units)],
                quiet: true,
                ..usage::Action::default()
            };
            usage::consume(&cx, &action).await?;
        }
    }
    Ok(())
}

/// The addresses that the sign-in page of a demo tenant offers.
pub fn addresses(slug: &str) -> Vec<&'static str> {
    let people: &[Person] = match slug {
        "halisoft" => &HALISOFT,
        "studio" => &STUDIO,
        _ => &[],
    };
    people.iter().map(|person| person.email).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_people_are_at_the_tenants_of_its_templates() {
        for (starter, people) in [(Starter::Halisoft, &HALISOFT[..]), (Starter::Studio, &STUDIO[..])] {
            assert!(people.iter().all(|person| person.email.ends_with(&format!("{}.example", starter.name()))));
        }
    }
}
