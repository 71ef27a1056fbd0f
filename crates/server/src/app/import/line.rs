//! One line of an import: what it says, checked, and written.

use std::collections::BTreeMap;

use domain::catalog::FeatureKind;
use domain::entitlement::SubscriptionStatus;
use domain::id::{CustomerId, FeatureKey, PlanId, PriceId};
use domain::money::{Currency, Money};
use domain::revenue::Interval;
use domain::time::Timestamp;
use domain::usage::AMOUNT_MAX;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use store::customer::CustomerRow;
use store::db::Tx;
use store::price::VersionRow;

use super::super::subscription::{Brought, Note, Origin, Start};
use super::super::{customer, subscription};
use super::Counts;
use crate::cx::{Cx, id_bits};
use crate::error::{Error, Result};
use crate::limits::TEXT_CHARS_MAX;
use crate::words::{self, Fault};

/// Nobody sold subscriptions over the web before.
const OLDEST: Timestamp = Timestamp::EPOCH;
/// Whose subscriptions can be brought in; `manual` is for what is billed by hand.
const PROVIDERS: [&str; 4] = ["paypal", "stripe", "paddle", "manual"];

/// One line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    pub external_id: String,
    email: Option<String>,
    name: Option<String>,
    created_at: Option<Timestamp>,
    subscription: Option<Sold>,
    #[serde(default)]
    usage: BTreeMap<String, i64>,
}

/// How a subscription that is brought in may stand: what waits or is over is left out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Trialing,
    Active,
    PastDue,
    Paused,
    Canceled,
}

impl From<Status> for SubscriptionStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Trialing => Self::Trialing,
            Status::Active => Self::Active,
            Status::PastDue => Self::PastDue,
            Status::Paused => Self::Paused,
            Status::Canceled => Self::Canceled,
        }
    }
}

/// The subscription of a line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sold {
    plan: String,
    status: Option<Status>,
    price: Option<String>,
    amount: Option<Box<RawValue>>,
    currency: Option<String>,
    interval: Option<Interval>,
    start: Option<Timestamp>,
    access_until: Option<Timestamp>,
    provider: Option<String>,
    provider_subscription_id: Option<String>,
    provider_customer_id: Option<String>,
}

/// What is kept of a line that is no text: it can be told apart from every other, and is none of JSON.
pub const NO_TEXT: &str = "\u{fffd}";

/// Reads a line.
pub fn parse(text: &str) -> Result<Line> {
    if text == NO_TEXT {
        return Err(Error::field("", "write it as UTF-8 without zero bytes, one JSON object"));
    }
    if !text.starts_with('{') || serde_json::from_str::<IgnoredAny>(text).is_err_and(|e| !out_of_range(&e)) {
        return Err(Error::field("", "write one JSON object, as docs/api.md describes it; this is none"));
    }
    serde_json::from_str(text).map_err(|_| {
        let Fault { pointer, detail } = words::fault::<Line, _>(&mut serde_json::Deserializer::from_str(text));
        Error::field(pointer, detail)
    })
}

fn out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with(words::OUT_OF_RANGE)
}

/// Brings one line in. What is wrong with it is found before anything is written.
pub async fn bring(tx: &mut Tx, cx: &Cx, text: &str, counts: &mut Counts) -> Result<()> {
    let line = parse(text)?;
    let new = customer::NewCustomer {
        external_id: Some(line.external_id.clone()),
        email: line.email.clone(),
        name: line.name.clone(),
        ..customer::NewCustomer::default()
    };
    let new = customer::checked(new)?;
    let now = cx.tenant_now();
    let past = |pointer: &str, at: Option<Timestamp>| match at {
        Some(at) if at > now => Err(Error::field(pointer, "name a time that has been")),
        Some(at) if at < OLDEST => Err(Error::field(pointer, "name a time from 1970 on")),
        at => Ok(at),
    };
    let began = past("/subscription/start", line.subscription.as_ref().and_then(|sold| sold.start))?;
    let created = past("/createdAt", line.created_at)?.or(began).unwrap_or(now);
    uses(cx, &line)?;
    let terms = line.subscription.as_ref().map(|sold| terms(cx, sold)).transpose()?;
    let found = store::customer::find(&mut *tx, cx.tenant.id(), &line.external_id).await?;
    let known = found.map(|row| CustomerId::stored(row.customer_id));
    let id = known.clone().unwrap_or_else(|| CustomerId::from_bits(id_bits()));
    // A price that a line names wrongly is told before anything is written.
    let had = known.is_some() && store::import::had_subscription(tx, cx.tenant.id(), &id).await?;
    if let Some(sold) = line.subscription.as_ref().filter(|_| !had) {
        unclaimed(tx, cx, (&id, sold)).await?;
    }
    let price = match (&line.subscription, &terms) {
        (Some(sold), Some(terms)) if !had => price(tx, cx, (&id, sold), terms).await?,
        _ => None,
    };
    if known.is_none() {
        let row = CustomerRow {
            customer_id: id.to_string(),
            external_id: new.external_id,
            email: new.email,
            name: new.name,
            anchor: began.unwrap_or(created).as_micros(),
            suspended: false,
            entitlement_version: now.as_micros(),
            created_at: created.as_micros(),
        };
        store::customer::insert(tx, cx.tenant.id(), &row).await?;
        counts.customers_created += 1;
    } else {
        counts.customers_unchanged += 1;
    }
    if let (Some(sold), Some(terms)) = (&line.subscription, terms) {
        if had {
            counts.subscriptions_unchanged += 1;
        } else {
            start(tx, cx, (&id, sold), (&terms, price), began.unwrap_or(created)).await?;
            counts.subscriptions_created += 1;
        }
    }
    Ok(())
}

/// Refuses a subscription at a provider that another customer has: what happens to it there could be told to only one.
async fn unclaimed(tx: &mut Tx, cx: &Cx, (customer, sold): (&CustomerId, &Sold)) -> Result<()> {
    let (Some(provider), Some(theirs)) = (&sold.provider, &sold.provider_subscription_id) else { return Ok(()) };
    let other = store::import::customer_of(tx, cx.tenant.id(), (provider, theirs)).await?;
    if other.is_none_or(|other| other == customer.as_str()) {
        return Ok(());
    }
    Err(Error::field("/subscription/providerSubscriptionId", "another customer has this subscription; name each once"))
}

/// The use of a line, checked.
pub fn uses(cx: &Cx, line: &Line) -> Result<Vec<(FeatureKey, i64)>> {
    let mut uses = Vec::new();
    for (name, amount) in &line.usage {
        let pointer = format!("/usage/{name}");
        let key = FeatureKey::parse(name).ok();
        let feature = key.and_then(|key| cx.tenant.catalog.features.get(&key));
        let feature = feature.filter(|feature| feature.kind != FeatureKind::Flag);
        let feature = feature.ok_or_else(|| Error::field(&pointer, "name a feature of the catalog that is counted"))?;
        if !(0..=AMOUNT_MAX).contains(amount) {
            return Err(Error::field(&pointer, format!("use a whole number from 0 to {AMOUNT_MAX}")));
        }
        if *amount > 0 {
            uses.push((feature.key.clone(), *amount));
        }
    }
    Ok(uses)
}

/// What a subscription of a line stands for, checked.
struct Terms {
    plan: PlanId,
    status: SubscriptionStatus,
    /// What is paid, when the line says so.
    paid: Option<(Interval, Money)>,
}

fn terms(cx: &Cx, sold: &Sold) -> Result<Terms> {
    let plan = cx.tenant.catalog.plan_by_slug(&sold.plan);
    let plan = plan.ok_or_else(|| Error::field("/subscription/plan", "name a plan of the catalog"))?;
    let status = sold.status.unwrap_or(Status::Active).into();
    let needs_end = matches!(status, SubscriptionStatus::PastDue | SubscriptionStatus::Canceled);
    if needs_end != sold.access_until.is_some() {
        let detail = "say until when it may be used, of one that is past_due or canceled, and of no other";
        return Err(Error::field("/subscription/accessUntil", detail));
    }
    if sold.price.is_some() && sold.amount.is_some() {
        return Err(Error::field("/subscription/amount", "name the price or the amount, not both"));
    }
    if sold.provider.is_none() && (sold.provider_subscription_id.is_some() || sold.provider_customer_id.is_some()) {
        return Err(Error::field(
            "/subscription/provider",
            format!("say whose ids these are: {}", PROVIDERS.join(", ")),
        ));
    }
    if sold.provider.as_deref().is_some_and(|name| !PROVIDERS.contains(&name)) {
        return Err(Error::field("/subscription/provider", format!("use one of {}", PROVIDERS.join(", "))));
    }
    for (pointer, text) in [
        ("/subscription/price", &sold.price),
        ("/subscription/providerSubscriptionId", &sold.provider_subscription_id),
        ("/subscription/providerCustomerId", &sold.provider_customer_id),
    ] {
        let good = |text: &String| text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control);
        if !text.as_ref().is_none_or(good) {
            return Err(Error::field(pointer, format!("use at most {TEXT_CHARS_MAX} characters without line breaks")));
        }
    }
    let code = sold.currency.as_deref().unwrap_or(&cx.tenant.row.currency);
    let currency = Currency::parse(code).map_err(|e| Error::field("/subscription/currency", e.to_string()))?;
    let interval = sold.interval.unwrap_or(Interval::Month);
    let amount = |raw: &RawValue| {
        let money = Money::parse(raw.get().trim_matches('"'), currency).ok();
        let money = money.filter(|money| money.minor >= 0 && interval.annual(*money).is_some());
        let detail = "write it as a decimal number, such as 299.00, with no more digits than the currency has";
        money.ok_or_else(|| Error::field("/subscription/amount", detail))
    };
    let paid = sold.amount.as_deref().map(amount).transpose()?;
    Ok(Terms { plan: plan.id.clone(), status, paid: paid.map(|money| (interval, money)) })
}

/// The price version that a line pays: the one that it names, one of its amount, or the plan's public one. An amount
/// that no price has becomes a price of the customer's own.
async fn price(tx: &mut Tx, cx: &Cx, (customer, sold): (&CustomerId, &Sold), terms: &Terms) -> Result<Option<PriceId>> {
    let tenant = cx.tenant.id();
    if let Some(price) = &sold.price {
        let row = store::price::find(&mut *tx, tenant, price).await?;
        let fits = |row: &VersionRow| {
            row.plan_id == terms.plan.as_str()
                && row.customer_id.as_deref().is_none_or(|owner| owner == customer.as_str())
        };
        let detail = "name a price version of the plan, of this customer's own or a public one";
        let row = row.filter(fits).ok_or_else(|| Error::field("/subscription/price", detail))?;
        return Ok(Some(PriceId::stored(row.price_id)));
    }
    let Some((interval, money)) = terms.paid else {
        let wanted = sold.interval.unwrap_or(Interval::Month);
        let plan = cx.tenant.catalog.plans.get(&terms.plan);
        let public = plan.and_then(|plan| cx.tenant.price(plan, wanted));
        return Ok(public.map(|price| PriceId::stored(price.id.as_str())));
    };
    let of = (interval.name(), money.currency.code(), money.minor);
    if let Some(price) = store::import::price_of(tx, tenant, (&terms.plan, customer), of).await? {
        return Ok(Some(price));
    }
    let at = (of.0, of.1);
    let newest = store::price::newest(tx, tenant, &terms.plan, at, Some(customer)).await?;
    let own = VersionRow {
        price_id: PriceId::from_bits(id_bits()).to_string(),
        plan_id: terms.plan.to_string(),
        interval: interval.name().to_owned(),
        currency: money.currency.code().to_owned(),
        amount_minor: money.minor,
        version: newest + 1,
        active: true,
        customer_id: Some(customer.to_string()),
        created_at: cx.tenant_now().as_micros(),
        ended_at: None,
    };
    store::price::insert(tx, tenant, &own).await?;
    Ok(Some(PriceId::stored(own.price_id)))
}

async fn start(
    tx: &mut Tx,
    cx: &Cx,
    (customer, sold): (&CustomerId, &Sold),
    (terms, price): (&Terms, Option<PriceId>),
    began: Timestamp,
) -> Result<()> {
    let start = Start {
        plan: sold.plan.clone(),
        price,
        trial_days: 0,
        began,
        brought: Some(Brought { status: terms.status, access_until: sold.access_until, billed_at: cx.tenant_now() }),
        origin: Origin::default(),
        note: Note { cause: Some("imported"), audited: true, ..Note::default() },
    };
    let id = subscription::start(tx, cx, customer, &start).await?;
    if let Some(provider) = &sold.provider {
        let theirs =
            (provider.as_str(), sold.provider_subscription_id.as_deref(), sold.provider_customer_id.as_deref());
        store::import::set_provider(tx, cx.tenant.id(), &id, theirs).await?;
    }
    Ok(())
}
