//! Revenue: figures of an instant and over time, from the books of subscription changes.

use std::collections::BTreeMap;
use std::time::Instant;

use domain::money::Currency;
use domain::revenue::{Cuts, Fact, Figures, Movement};
use domain::time::{Period, Reset, Timestamp, period_at};
use store::revenue::{entries, roll};

use super::tenant::Tenant;
use crate::cx::{App, Cx};
use crate::error::{Error, Result};

/// Changes summed in one transaction, so that no writer waits long.
const ROLL_CHANGES: i64 = 500;
/// Steps of one run for one tenant; the next run goes on.
const ROLL_STEPS_MAX: usize = 40;
/// Points of one series: three years of days.
pub const POINTS_MAX: usize = 1_100;

/// The figures of one instant, by currency.
#[derive(Debug)]
pub struct Revenue {
    /// From when to when.
    pub cuts: Cuts,
    /// The tenant's own currency.
    pub own: (Currency, Figures),
    /// The others that there is anything to tell of.
    pub others: Vec<(Currency, Figures)>,
}

/// The figures at an instant that has passed, or now.
pub async fn at(cx: &Cx, at: Option<Timestamp>) -> Result<Revenue> {
    let now = cx.tenant_now();
    if at.is_some_and(|at| at > now) {
        return Err(Error::parameter("at", "use a time that has passed, or leave it out for now"));
    }
    let cuts = Cuts::of(at.unwrap_or(now), &cx.tenant.catalog.zone).map_err(Error::internal)?;
    let mut books: BTreeMap<String, Figures> = BTreeMap::new();
    for (slice, entry) in entries(&cx.app.db, cx.tenant.id(), &cuts, at.is_none()).await? {
        books.entry(entry.currency.clone()).or_default().add(&entry, slice, &cuts);
    }
    let own = own_currency(&cx.tenant)?;
    let figures = books.remove(own.code()).unwrap_or_default();
    let others = books.into_iter().filter(|(_, figures)| !figures.is_empty());
    let others = others.map(|(code, figures)| Ok((Currency::parse(&code).map_err(Error::internal)?, figures)));
    Ok(Revenue { cuts, own: (own, figures), others: others.collect::<Result<_>>()? })
}

/// The currency that a tenant counts in.
pub fn own_currency(tenant: &Tenant) -> Result<Currency> {
    Currency::parse(&tenant.row.currency).map_err(Error::internal)
}

/// The place of a plan on the pricing page, for the order of lists.
pub fn place(tenant: &Tenant, plan: &str) -> (i64, String) {
    let plans = &tenant.catalog.plans;
    let known = plans.get(&domain::id::PlanId::stored(plan));
    (known.map_or(i64::MAX, |plan| plan.position), plan.to_owned())
}

/// One stretch of a series.
#[derive(Debug, Default)]
pub struct Point {
    /// When it begins.
    pub from: Timestamp,
    /// Yearly worth at its end, in minor units.
    pub annual: i128,
    /// Subscriptions that count at its end.
    pub subscriptions: i64,
    /// Yearly worth that moved inside, and how often.
    pub moved: BTreeMap<Movement, (i128, i64)>,
}

/// What a series is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Of which currency.
    pub currency: Currency,
    /// From the day or month of this instant.
    pub from: Timestamp,
    /// To this instant, in the day or month of which the series ends.
    pub to: Timestamp,
    /// A day or a month.
    pub bucket: Reset,
}

/// Revenue over time, in the days or months of the tenant's zone.
pub async fn series(cx: &Cx, asked: &Asked) -> Result<Vec<Point>> {
    let period = |at: Timestamp| period_at(asked.bucket, at, &cx.tenant.catalog.zone, at).map_err(Error::internal);
    let (mut points, mut ends) = (Vec::new(), Vec::new());
    let mut at = asked.from;
    while at < asked.to {
        if points.len() == POINTS_MAX {
            return Err(Error::parameter("from", format!("use a shorter time: at most {POINTS_MAX} points")));
        }
        let Period { start, end } = period(at)?;
        at = end.ok_or_else(|| Error::internal("a day without an end"))?;
        points.push(Point { from: start, ..Point::default() });
        ends.push(at.as_micros());
    }
    let (Some(first), Some(last)) = (points.first(), ends.last()) else { return Ok(points) };
    let range = (first.from, Timestamp::from_micros(*last));
    let (mut annual, mut subscriptions) = (0_i128, 0_i64);
    for (at, entry) in store::revenue::series(&cx.app.db, cx.tenant.id(), asked.currency.code(), range).await? {
        if at < range.0.as_micros() {
            if entry.fact == Fact::Worth {
                (annual, subscriptions) = (annual + i128::from(entry.amount), subscriptions + entry.number);
            }
            continue;
        }
        let Some(point) = points.get_mut(ends.partition_point(|end| *end <= at)) else { continue };
        match entry.fact {
            Fact::Worth => {
                point.annual += i128::from(entry.amount);
                point.subscriptions += entry.number;
            }
            Fact::Moved(movement) => {
                let moved = point.moved.entry(movement).or_default();
                *moved = (moved.0 + i128::from(entry.amount), moved.1 + entry.number);
            }
            Fact::Live
            | Fact::Paying
            | Fact::Trialing
            | Fact::SignUp
            | Fact::Ended
            | Fact::TrialWon
            | Fact::TrialLost => {}
        }
    }
    // Until here each point holds what came inside of it; what stands at its end is the sum up to there.
    for point in &mut points {
        (annual, subscriptions) = (annual + point.annual, subscriptions + point.subscriptions);
        (point.annual, point.subscriptions) = (annual, subscriptions);
    }
    Ok(points)
}

/// Sums the changes that no day holds yet, of every tenant.
pub async fn roll_all(app: &App) -> Result<()> {
    for row in store::tenant::list(&app.db).await? {
        let now = crate::cx::now().plus_micros(row.clock_offset);
        for _ in 0..ROLL_STEPS_MAX {
            let step = Instant::now();
            if app.stopping.is_cancelled() || !roll(&app.db, &row.id(), &row.timezone, now, ROLL_CHANGES).await? {
                break;
            }
            tokio::time::sleep(step.elapsed() * super::job::FOLLOW_REST).await;
        }
    }
    Ok(())
}
