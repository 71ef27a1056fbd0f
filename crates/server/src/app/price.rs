//! Prices: versions that never change. What costs something else has a new version, and who pays the old one goes on.

use domain::event::{Audience, Event, Facts, Kind};
use domain::id::{CustomerId, PlanId, PriceId};
use domain::money::{Currency, Money};
use domain::plan::Applies;
use domain::revenue::Interval;
use serde_json::json;
use store::db::Tx;
use store::gate::Idempotency;
use store::price::VersionRow;

use super::plan::{self, Publication};
use super::{audit, creation, provider};
use crate::cx::{Cx, id_bits};
use crate::error::{Error, Result};

/// Minor units of one price at most: a year of it is still exact, and as a JSON number it keeps all its digits.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;

/// Versions of a plan's prices that are listed.
const VERSIONS_MAX: i64 = 10_000;

/// Which price of a plan is meant.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The plan.
    pub plan: PlanId,
    /// How often it is paid.
    pub interval: Interval,
    /// In which currency.
    pub currency: Currency,
    /// The one customer that it is for; none for the public price.
    pub customer: Option<CustomerId>,
}

/// The amount of a version.
pub fn amount(row: &VersionRow) -> Result<Money> {
    Ok(Money::new(row.amount_minor, Currency::parse(&row.currency).map_err(Error::internal)?))
}

/// Checks an amount that somebody wrote.
pub fn checked(text: &str, currency: Currency, pointer: &str) -> Result<i64> {
    let money = Money::parse(text, currency).map_err(|why| {
        let digits = currency.digits();
        let places = if digits == 0 { "no decimals".to_owned() } else { format!("at most {digits} decimals") };
        Error::field(pointer, format!("{why}; {} has {places}", currency.code()))
    })?;
    if !(0..=PRICE_MINOR_MAX).contains(&money.minor) {
        let most = Money::new(PRICE_MINOR_MAX, currency);
        return Err(Error::field(pointer, format!("use an amount from 0 to {most}")));
    }
    Ok(money.minor)
}

/// A price that somebody sets.
#[derive(Debug, Clone)]
pub struct NewPrice {
    /// How often it is paid.
    pub interval: Interval,
    /// In which currency, by its three letters.
    pub currency: String,
    /// How much, as it was written.
    pub amount: String,
    /// The one customer that it is for, by id or external id; none for the public price.
    pub customer: Option<String>,
}

/// All versions of a plan's prices, newest first.
pub async fn versions(cx: &Cx, slug: &str) -> Result<Vec<VersionRow>> {
    let plan = store::plan::find(&cx.app.db, cx.tenant.id(), slug).await?;
    let plan = plan.ok_or_else(plan::unknown)?;
    Ok(store::price::versions(&cx.app.db, cx.tenant.id(), &plan.id(), VERSIONS_MAX).await?)
}

/// How a price came to be what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was made now.
    New,
    /// By an earlier request with the same key.
    Before,
    /// It costs that already.
    There,
}

/// Sets a price. Answers the version that is sold now.
pub async fn create(cx: &Cx, slug: &str, new: &NewPrice, identity: Option<&Idempotency>) -> Result<(VersionRow, Made)> {
    let cx = &plan::fresh(cx).await?;
    let currency = Currency::parse(&new.currency).map_err(|why| Error::field("/currency", why.to_string()))?;
    let minor = checked(&new.amount, currency, "/amount")?;
    let customer = match &new.customer {
        None => None,
        Some(name) => {
            let found = super::customer::get(cx, name).await;
            let found = found.map_err(|_| Error::field("/customer", "name a customer by its id or externalId"))?;
            Some(CustomerId::stored(found.customer_id))
        }
    };
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        let row = store::price::find(&mut tx, cx.tenant.id(), &made).await?;
        return Ok((row.ok_or_else(|| Error::internal("a price was made and is gone"))?, Made::Before));
    }
    let before = plan::lock(&mut tx, cx, slug).await?;
    let slot = Slot { plan: before.row.id(), interval: new.interval, currency, customer };
    let at = (slot.interval.name(), slot.currency.code());
    let there = store::price::current(&mut tx, cx.tenant.id(), &slot.plan, at, slot.customer.as_ref()).await?;
    if slot.customer.is_none() {
        let mut terms = before.terms.clone();
        terms.set_offer(new.interval, currency, Some(minor));
        let publication =
            Publication { terms, applies: Applies::Now, action: "plan.updated", archived_at: before.row.archived_at };
        plan::publish(&mut tx, cx, &before, publication).await?;
    } else if set(&mut tx, cx, &slot, Some(minor)).await?.is_some() {
        let told = |minor: i64| {
            json!({ "plan": slug, "customer": slot.customer, "interval": at.0, "currency": at.1,
            "amount": Money::new(minor, currency).to_string() })
        };
        let earlier = there.as_ref().map(|row| told(row.amount_minor));
        let change = audit::Change { action: "price.created", target: slug, before: earlier, after: Some(told(minor)) };
        audit::write(&mut tx, cx, change).await?;
        audit::told::tell(&mut tx, cx, own_price(slug, slot.customer.as_ref()));
        store::plan::touch(&mut tx, cx.tenant.id(), &slot.plan).await?;
    }
    let row = store::price::current(&mut tx, cx.tenant.id(), &slot.plan, at, slot.customer.as_ref()).await?;
    let row = row.ok_or_else(|| Error::internal("a price was set and is gone"))?;
    creation::note(&mut tx, cx, identity, &row.price_id).await?;
    tx.commit().await?;
    let was_there = there.is_some_and(|there| there.price_id == row.price_id);
    Ok((row, if was_there { Made::There } else { Made::New }))
}

/// What is told of a customer's own price: to that customer, and nothing of the amount.
fn own_price(slug: &str, customer: Option<&CustomerId>) -> Event {
    let (subject, customer) = (Some(slug.to_owned()), customer.cloned());
    Event { kind: Kind::Plan, audience: Audience::Customer, subject, customer, facts: Facts::default() }
}

/// Makes a price cost `minor` from now on, or nothing be sold there. Answers the new version; none when it costs that
/// already or is gone.
pub async fn set(tx: &mut Tx, cx: &Cx, slot: &Slot, minor: Option<i64>) -> Result<Option<VersionRow>> {
    let at = (slot.interval.name(), slot.currency.code());
    let old = store::price::current(&mut *tx, cx.tenant.id(), &slot.plan, at, slot.customer.as_ref()).await?;
    if old.as_ref().map(|row| row.amount_minor) == minor {
        return Ok(None);
    }
    let new = match minor {
        None => None,
        Some(minor) => {
            let newest = store::price::newest(tx, cx.tenant.id(), &slot.plan, at, slot.customer.as_ref()).await?;
            Some(VersionRow {
                price_id: PriceId::from_bits(id_bits()).to_string(),
                plan_id: slot.plan.to_string(),
                interval: slot.interval.name().to_owned(),
                currency: slot.currency.code().to_owned(),
                amount_minor: minor,
                version: newest + 1,
                active: true,
                customer_id: slot.customer.as_ref().map(ToString::to_string),
                created_at: cx.tenant_now().as_micros(),
                ended_at: None,
            })
        }
    };
    changed(tx, cx, old.as_ref(), new.as_ref()).await?;
    Ok(new)
}

/// Puts one version in the place of another; the jobs that tell the payment providers come with it, or not at all.
pub async fn changed(tx: &mut Tx, cx: &Cx, old: Option<&VersionRow>, new: Option<&VersionRow>) -> Result<()> {
    if let Some(old) = old {
        store::price::end(tx, cx.tenant.id(), &old.price_id, cx.tenant_now()).await?;
    }
    if let Some(new) = new {
        store::price::insert(tx, cx.tenant.id(), new).await?;
    }
    let id = |row: &VersionRow| PriceId::stored(row.price_id.as_str());
    let new = new.map(|row| Ok::<_, Error>((id(row), amount(row)?))).transpose()?;
    provider::price_changed(tx, cx, old.map(id).as_ref(), new.as_ref().map(|(price, amount)| (price, *amount))).await
}
