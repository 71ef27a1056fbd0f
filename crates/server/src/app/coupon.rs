//! Coupons. What one takes off never changes, so that who redeemed it keeps its terms; who may redeem it does.

use domain::coupon::{Discounted, Duration, Off, Terms, Unredeemable, discounted, redeemable};
use domain::id::CustomerId;
use domain::money::{Currency, Money};
use domain::time::Timestamp;
use serde_json::{Value, json};
use store::coupon::CouponRow;
use store::db::{On, Tx};
use store::gate::Idempotency;
use store::list::Wanted;

use super::component::edit::current;
use super::patch::Patch;
use super::revision::Expected;
use super::{audit, creation};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

const CODE_CHARS_MAX: usize = 50;
const MONTHS_MAX: i64 = 120;
const REDEMPTIONS_MAX: i64 = 1_000_000_000;
const PLANS_MAX: usize = 50;

/// What a new coupon takes off.
#[derive(Debug)]
pub struct NewOff {
    /// Whole per cent.
    pub percent: Option<i64>,
    /// A decimal number.
    pub amount: Option<String>,
    /// ISO 4217, of the amount; the tenant's by default.
    pub currency: Option<String>,
    /// For how long.
    pub duration: Duration,
    /// For how many months, when it repeats.
    pub months: Option<i64>,
}

/// What may change of a coupon; what is not said stays.
#[derive(Debug, Default)]
pub struct Edit {
    /// What people read.
    pub name: Option<String>,
    /// How often it may be redeemed, or that any number may.
    pub max_redemptions: Patch<i64>,
    /// Until when it may be redeemed, or that there is no end.
    pub valid_until: Patch<Timestamp>,
    /// Slugs of the plans that it is for; none are all.
    pub plans: Option<Vec<String>>,
    /// Whether it may be redeemed.
    pub active: Option<bool>,
}

/// A code as it is kept: people type it in either case.
pub fn kept(code: &str) -> String {
    code.trim().to_ascii_uppercase()
}

/// Coupons of the tenant.
pub async fn list(cx: &Cx, wanted: &Wanted) -> Result<Vec<CouponRow>> {
    Ok(store::coupon::list(&cx.app.db, cx.tenant.id(), wanted).await?)
}

async fn get(cx: &Cx, on: impl Into<On<'_>>, code: &str) -> Result<CouponRow> {
    let unknown = || Error::new(Code::NotFound, "There is no such coupon; check the code.");
    if code.contains('\0') {
        return Err(unknown());
    }
    store::coupon::find(on, cx.tenant.id(), code).await?.ok_or_else(unknown)
}

/// Adds a coupon. Answers whether a request with the same key had added it before.
pub async fn create(
    cx: &Cx,
    code: &str,
    (off, edit): (NewOff, Edit),
    identity: Option<&Idempotency>,
) -> Result<(CouponRow, bool)> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        return Ok((get(cx, &mut tx, &made).await?, true));
    }
    let code = kept(code);
    check_code(&code)?;
    if store::coupon::find(&mut tx, cx.tenant.id(), &code).await?.is_some() {
        return Err(Error::new(Code::Taken, format!("There is a coupon {code} already; choose another code.")));
    }
    let blank = taking_off(cx, &code, off)?;
    let row = applied(cx, &blank, edit, |slug| cx.tenant.catalog.plan_by_slug(slug).is_some())?;
    write(&mut tx, cx, (None, &row)).await?;
    creation::note(&mut tx, cx, identity, &row.code).await?;
    tx.commit().await?;
    Ok((row, false))
}

/// Checks what people are to type.
pub fn check_code(code: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if code.is_empty() || code.len() > CODE_CHARS_MAX || !code.bytes().all(allowed) {
        return Err(Error::field("/code", format!("use 1 to {CODE_CHARS_MAX} of A-Z, 0-9, - and _")));
    }
    Ok(())
}

/// Writes a coupon that is new, or open to others from now on.
pub async fn write(tx: &mut Tx, cx: &Cx, (before, row): (Option<&CouponRow>, &CouponRow)) -> Result<()> {
    let action = if before.is_none() { "coupon.created" } else { "coupon.changed" };
    match before {
        None => store::coupon::insert(tx, cx.tenant.id(), row).await?,
        Some(_) => store::coupon::update(tx, cx.tenant.id(), row).await?,
    }
    let (before, after) = (before.map(state).transpose()?, Some(state(row)?));
    audit::write(tx, cx, audit::Change { action, target: &row.code, before, after }).await
}

/// A coupon that takes something off, and is otherwise open to all.
pub fn taking_off(cx: &Cx, code: &str, off: NewOff) -> Result<CouponRow> {
    let currency = off.currency.clone().unwrap_or_else(|| cx.tenant.row.currency.clone());
    let parsed = Currency::parse(&currency).map_err(|e| Error::field("/currency", e.to_string()))?;
    let amount = off.amount.map(|text| Money::parse(&text, parsed)).transpose();
    let amount = amount.map_err(|e| Error::field("/amountOff", e.to_string()))?;
    match (off.percent, amount) {
        (Some(percent), None) if !(1..=100).contains(&percent) => {
            return Err(Error::field("/percentOff", "use a whole number from 1 to 100"));
        }
        (None, Some(amount)) if amount.minor <= 0 => {
            return Err(Error::field("/amountOff", "use an amount greater than 0"));
        }
        (Some(_), None) if off.currency.is_some() => {
            return Err(Error::field("/currency", "leave it out: a share is of any currency"));
        }
        (Some(_), None) | (None, Some(_)) => {}
        _ => return Err(Error::field("/percentOff", "name either percentOff or amountOff")),
    }
    let repeats = off.duration == Duration::Repeating;
    if repeats != off.months.is_some() || off.months.is_some_and(|months| !(1..=MONTHS_MAX).contains(&months)) {
        let detail = format!("with the duration `repeating`, and only then, use 1 to {MONTHS_MAX} months");
        return Err(Error::field("/months", detail));
    }
    let duration = serde_json::to_value(off.duration).map_err(Error::internal)?;
    Ok(CouponRow {
        code: code.to_owned(),
        name: code.to_owned(),
        percent_off: off.percent,
        amount_off_minor: amount.map(|amount| amount.minor),
        currency: amount.map(|_| currency),
        duration: duration.as_str().unwrap_or_default().to_owned(),
        months: off.months,
        max_redemptions: None,
        redeemed: 0,
        valid_until: None,
        plans: String::new(),
        active: true,
        revision: 1,
        created_at: cx.tenant_now().as_micros(),
    })
}

/// Changes who may redeem a coupon.
pub async fn change(cx: &Cx, code: &str, edit: Edit, expected: &Expected) -> Result<CouponRow> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    get(cx, &mut tx, &kept(code)).await?;
    let found = store::coupon::find_locked(&mut tx, cx.tenant.id(), &kept(code)).await?;
    let before = found.ok_or_else(|| Error::internal("a coupon has gone"))?;
    expected.check(cx, before.revision)?;
    let mut row = applied(cx, &before, edit, |slug| cx.tenant.catalog.plan_by_slug(slug).is_some())?;
    row.revision = row.revision.saturating_add(1);
    write(&mut tx, cx, (Some(&before), &row)).await?;
    tx.commit().await?;
    Ok(row)
}

/// What becomes of a coupon, where there are certain plans.
pub fn applied(cx: &Cx, before: &CouponRow, edit: Edit, is_plan: impl Fn(&str) -> bool) -> Result<CouponRow> {
    let mut row = before.clone();
    row.name = edit.name.map_or(row.name, |name| name.trim().to_owned());
    let chars = row.name.chars().count();
    if chars == 0 || chars > TEXT_CHARS_MAX || row.name.chars().any(char::is_control) {
        return Err(Error::field("/name", format!("use 1 to {TEXT_CHARS_MAX} characters without line breaks")));
    }
    row.max_redemptions = edit.max_redemptions.of(row.max_redemptions);
    if row.max_redemptions.is_some_and(|most| !(1..=REDEMPTIONS_MAX).contains(&most)) {
        let detail = format!("use a whole number from 1 to {REDEMPTIONS_MAX}, or null for any number");
        return Err(Error::field("/maxRedemptions", detail));
    }
    if matches!(&edit.valid_until, Patch::Set(until) if *until <= cx.tenant_now()) {
        let detail = "name a time to come, or null for no end; {\"active\": false} ends it now";
        return Err(Error::field("/validUntil", detail));
    }
    let until = edit.valid_until.of(row.valid_until.map(Timestamp::from_micros));
    row.valid_until = until.map(Timestamp::as_micros);
    if let Some(plans) = edit.plans {
        if plans.len() > PLANS_MAX {
            return Err(Error::field("/plans", format!("name at most {PLANS_MAX} plans, or none for all")));
        }
        for (number, slug) in plans.iter().enumerate() {
            if !is_plan(slug) {
                return Err(Error::field(format!("/plans/{number}"), "name a plan of the catalog"));
            }
        }
        row.plans = plans.join(" ");
    }
    row.active = edit.active.unwrap_or(row.active);
    Ok(row)
}

/// What a coupon takes off.
pub fn off(row: &CouponRow) -> Result<Off> {
    let broken = || Error::internal(format!("coupon {}: it takes nothing off", row.code));
    match (row.percent_off, row.amount_off_minor, &row.currency) {
        (Some(percent), None, _) => Ok(Off::Percent(u8::try_from(percent).map_err(|_| broken())?)),
        (None, Some(minor), Some(currency)) => {
            Ok(Off::Amount(Money::new(minor, Currency::parse(currency).map_err(Error::internal)?)))
        }
        _ => Err(broken()),
    }
}

fn state(row: &CouponRow) -> Result<Value> {
    let amount = match off(row)? {
        Off::Amount(amount) => Some(amount.to_string()),
        Off::Percent(_) => None,
    };
    Ok(json!({
        "name": row.name, "percentOff": row.percent_off, "amountOff": amount, "currency": row.currency,
        "duration": row.duration, "months": row.months, "maxRedemptions": row.max_redemptions,
        "validUntil": row.valid_until.map(Timestamp::from_micros), "plans": plans(row), "active": row.active,
    }))
}

/// Slugs of the plans that a coupon is for; none are all.
pub fn plans(row: &CouponRow) -> Vec<&str> {
    row.plans.split_whitespace().collect()
}

/// What a coupon makes of a price.
#[derive(Debug)]
pub struct Quote {
    /// The coupon.
    pub coupon: CouponRow,
    /// The price, and what is taken off.
    pub price: Money,
    /// What is taken off, and what is left to pay.
    pub discounted: Discounted,
}

/// What a price of a plan comes to with a coupon; refused when the coupon may not be redeemed for it.
pub async fn quote(cx: &Cx, code: &str, plan: &str, price: Money) -> Result<Quote> {
    let coupon = get(cx, &cx.app.db, &kept(code)).await?;
    judged(cx, &coupon, plan)?;
    let discounted = discounted(off(&coupon)?, price)
        .map_err(|_| Error::field("/coupon", format!("{} is for another currency", coupon.code)))?;
    Ok(Quote { coupon, price, discounted })
}

/// Refuses a coupon that may not be redeemed for a plan now.
fn judged(cx: &Cx, coupon: &CouponRow, plan: &str) -> Result<()> {
    let terms = Terms {
        active: coupon.active,
        valid_until: coupon.valid_until.map(Timestamp::from_micros),
        max_redemptions: coupon.max_redemptions,
        redeemed: coupon.redeemed,
        plans: &plans(coupon),
    };
    redeemable(terms, plan, cx.tenant_now()).map_err(|why| {
        let why = match why {
            Unredeemable::Inactive => "it is switched off",
            Unredeemable::Over => "its time is over",
            Unredeemable::UsedUp => "it was redeemed as often as it may be",
            Unredeemable::OtherPlan => "it is for other plans",
        };
        Error::field("/coupon", format!("{} cannot be redeemed: {why}", coupon.code))
    })
}

/// The coupon that a customer wants to redeem for a plan at a price; refused when it may not, or has before.
pub async fn wanted(cx: &Cx, customer: &CustomerId, code: &str, (plan, price): (&str, Money)) -> Result<CouponRow> {
    let unknown = |error: Error| {
        let known = error.code != Code::NotFound;
        if known { error } else { Error::field("/coupon", "there is no such coupon; check the code") }
    };
    let coupon = quote(cx, code, plan, price).await.map_err(unknown)?.coupon;
    if store::coupon::is_redeemed(&cx.app.db, cx.tenant.id(), (&coupon.code, customer)).await? {
        return Err(used(&coupon.code));
    }
    Ok(coupon)
}

fn used(code: &str) -> Error {
    Error::field("/coupon", format!("{code} was redeemed already, and counts once for a customer"))
}

/// Redeems a coupon for a plan, if it may be still.
pub async fn redeem(tx: &mut Tx, cx: &Cx, customer: &CustomerId, (code, plan): (&str, &str)) -> Result<()> {
    let coupon = store::coupon::find_locked(&mut *tx, cx.tenant.id(), code).await?;
    judged(cx, &coupon.ok_or_else(|| Error::internal(format!("coupon {code} is gone")))?, plan)?;
    if store::coupon::redeem(tx, cx.tenant.id(), (code, customer), cx.tenant_now()).await? {
        Ok(())
    } else {
        Err(used(code))
    }
}
