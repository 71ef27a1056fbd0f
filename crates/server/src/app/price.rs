//! Prices: versions that never change. What costs something else has a new version, and who pays the old one goes on.

use domain::id::{CustomerId, PlanId, PriceId};
use domain::money::{Currency, Money};
use domain::revenue::Interval;
use store::db::Tx;
use store::price::VersionRow;

use super::provider;
use crate::cx::{Cx, id_bits};
use crate::error::{Error, Result};

/// Minor units of one price at most: a year of it is still exact, and as a JSON number it keeps all its digits.
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;

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

/// Makes a price cost `minor` from now on, or nothing be sold there. Answers the new version; none when it costs that
/// already or is gone.
pub async fn set(tx: &mut Tx, cx: &Cx, slot: &Slot, minor: Option<i64>) -> Result<Option<VersionRow>> {
    let at = (slot.interval.name(), slot.currency.code());
    let old = store::price::current(tx, cx.tenant.id(), &slot.plan, at, slot.customer.as_ref()).await?;
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
