//! Use and AI cost of the whole tenant, over time and by what it is grouped.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{CustomerId, FeatureKey};
use domain::revenue::{Interval, counts, rounded};
use domain::time::{Reset, Timestamp, period_at};
use store::analytics::{CallsBy, CallsRow, UseRow};

use super::{refusal, revenue, subscription};
use crate::cx::Cx;
use crate::error::{Error, Result};

/// What is looked at when nobody says from when.
const DEFAULT_SECONDS: i64 = 30 * 86_400;
/// Customers in one ranking.
const CUSTOMERS_MAX: i64 = 50;
/// The longest time by hours, in days, and by days.
const HOURS_DAYS_MAX: i64 = 31;
const DAYS_MAX: i64 = 1_100;
const DAY_MICROS: i64 = 86_400_000_000;
/// The days of a month, for the cost of one.
const MONTH_DAYS: i128 = 30;

/// What use is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The feature.
    Feature,
    /// The customer's plan.
    Plan,
    /// The AI component.
    Component,
    /// The model that answered.
    Model,
    /// The customer.
    Customer,
}

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// One feature or component alone.
    pub feature: Option<FeatureKey>,
    /// From the hour, day or month of this instant; from 30 days before the end by default.
    pub from: Option<Timestamp>,
    /// Until before this instant.
    pub to: Timestamp,
    /// An hour, a day or a month.
    pub bucket: Reset,
    /// Grouped by what.
    pub by: GroupBy,
}

/// What was used, and what the calls cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// Units and events; none where units of several features would be added.
    pub used: Option<(i64, i64)>,
    /// AI calls; none where the group is not about them.
    pub calls: Option<Calls>,
}

/// AI calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calls {
    /// How many.
    pub count: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// What they cost, in micro-units of the tenant's currency.
    pub cost_micros: i64,
}

impl Sum {
    fn add_use(&mut self, row: &UseRow) {
        let (used, events) = self.used.unwrap_or_default();
        self.used = Some((used.saturating_add(row.used), events.saturating_add(row.events)));
    }

    fn add_calls(&mut self, row: &CallsRow) {
        let sum = self.calls.unwrap_or_default();
        self.calls = Some(Calls {
            count: sum.count.saturating_add(row.calls),
            input_tokens: sum.input_tokens.saturating_add(row.input_tokens),
            output_tokens: sum.output_tokens.saturating_add(row.output_tokens),
            cost_micros: sum.cost_micros.saturating_add(row.cost_micros),
        });
    }
}

/// Cost beside revenue, in micro-units of the tenant's currency.
#[derive(Debug, Clone, Copy)]
pub struct Margin {
    /// Monthly recurring revenue now, in minor units.
    pub mrr: i64,
    /// What the calls cost in 30 days, at the rate of the time that was looked at.
    pub monthly_cost_micros: i64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The whole time, by group.
    pub groups: BTreeMap<String, Sum>,
    /// Each hour, day or month with something in it, by its first instant and group.
    pub points: BTreeMap<(Timestamp, String), Sum>,
    /// Revenue beside the cost, of plans and customers.
    pub margins: BTreeMap<String, Margin>,
    /// The time, widened to whole hours, days or months.
    pub range: (Timestamp, Timestamp),
}

/// Use of the tenant, up to what the follower of the gate has summed: some seconds ago.
pub async fn read(cx: &Cx, asked: &Asked) -> Result<Found> {
    if let Some(feature) = &asked.feature
        && !cx.tenant.catalog.features.contains_key(feature)
    {
        return Err(refusal::unknown_feature(cx, feature));
    }
    let range = range(cx, asked)?;
    let mut found = Found { range, ..Found::default() };
    if asked.by == GroupBy::Customer {
        customers(cx, asked, &mut found).await?;
        return Ok(found);
    }
    let (db, tenant, feature) = (&cx.app.db, cx.tenant.id(), asked.feature.as_ref());
    let by_plan = asked.by == GroupBy::Plan;
    if asked.by == GroupBy::Feature || (by_plan && feature.is_some()) {
        let rows = if asked.bucket == Reset::Hour {
            store::analytics::hours(db, tenant, range, (feature, by_plan)).await?
        } else {
            store::analytics::days(db, tenant, range, (feature, by_plan)).await?
        };
        for row in rows {
            let at = start(cx, asked.bucket, row.at)?;
            found.groups.entry(row.name.clone()).or_default().add_use(&row);
            found.points.entry((at, row.name.clone())).or_default().add_use(&row);
        }
    }
    let calls_by = match asked.by {
        GroupBy::Component => Some(CallsBy::Component),
        GroupBy::Model => Some(CallsBy::Model),
        GroupBy::Plan if asked.bucket != Reset::Hour => Some(CallsBy::Plan),
        GroupBy::Plan | GroupBy::Feature | GroupBy::Customer => None,
    };
    if let Some(by) = calls_by {
        for row in store::analytics::calls(db, tenant, range, (by, feature)).await? {
            let at = start(cx, asked.bucket, row.at)?;
            found.groups.entry(row.name.clone()).or_default().add_calls(&row);
            found.points.entry((at, row.name.clone())).or_default().add_calls(&row);
        }
    }
    if by_plan && asked.bucket != Reset::Hour {
        plans(cx, &mut found).await?;
    }
    Ok(found)
}

/// The first instant of the hour, day or month of an instant.
fn start(cx: &Cx, bucket: Reset, at: i64) -> Result<Timestamp> {
    let at = Timestamp::from_micros(at);
    Ok(period_at(bucket, at, &cx.tenant.catalog.zone, at).map_err(Error::internal)?.start)
}

/// The time that is looked at, from the start of an hour, day or month on; of customers one month.
fn range(cx: &Cx, asked: &Asked) -> Result<(Timestamp, Timestamp)> {
    if asked.by == GroupBy::Customer {
        // Without a beginning it is the month that the end lies in.
        let last = asked.to.plus_micros(-1);
        let from = start(cx, Reset::CalendarMonth, asked.from.unwrap_or(last).as_micros())?;
        if from != start(cx, Reset::CalendarMonth, last.as_micros())? {
            return Err(Error::parameter(
                "from",
                "use a time in one calendar month with `to`, for a ranking of customers",
            ));
        }
        return Ok((from, asked.to));
    }
    let bucket = asked.bucket;
    let from = asked.from.unwrap_or_else(|| asked.to.plus_seconds(-DEFAULT_SECONDS));
    let from = start(cx, bucket, from.as_micros())?;
    let days = (asked.to.as_micros().saturating_sub(from.as_micros())) / DAY_MICROS;
    let about_calls = matches!(asked.by, GroupBy::Component | GroupBy::Model);
    if bucket == Reset::Hour && about_calls {
        return Err(Error::parameter("bucket", "use day or month; AI calls are not kept by the hour"));
    }
    let days_max = if bucket == Reset::Hour { HOURS_DAYS_MAX } else { DAYS_MAX };
    if days > days_max {
        return Err(Error::parameter("from", format!("use at most {days_max} days, or a longer bucket")));
    }
    Ok((from, asked.to))
}

/// The customers that used most of the feature; without a feature those whose AI calls cost most.
async fn customers(cx: &Cx, asked: &Asked, found: &mut Found) -> Result<()> {
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    if let Some(feature) = &asked.feature {
        for row in store::analytics::top_customers(db, tenant, found.range.0, (feature, CUSTOMERS_MAX)).await? {
            found.groups.entry(row.name.clone()).or_default().add_use(&row);
        }
        return Ok(());
    }
    for row in store::analytics::top_callers(db, tenant, found.range.0, CUSTOMERS_MAX).await? {
        found.groups.entry(row.name.clone()).or_default().add_calls(&row);
        let mrr = mrr_of(cx, &CustomerId::stored(row.name.as_str())).await?;
        found.margins.insert(row.name.clone(), Margin { mrr, monthly_cost_micros: monthly(row.cost_micros, found) });
    }
    Ok(())
}

/// What a customer brings in a month now, in minor units of the tenant's currency.
async fn mrr_of(cx: &Cx, customer: &CustomerId) -> Result<i64> {
    let Some(row) = subscription::current(cx, customer).await? else { return Ok(0) };
    let standing = subscription::read(&row)?;
    if !counts(standing.status, standing.access_until, cx.tenant_now())
        || row.currency.as_ref() != Some(&cx.tenant.row.currency)
    {
        return Ok(0);
    }
    let annual = row.amount_minor.map(|amount| match row.interval.as_deref().and_then(Interval::parse) {
        Some(Interval::Month) => i128::from(amount) * 12,
        Some(Interval::Year) | None => i128::from(amount),
    });
    Ok(annual.and_then(|annual| rounded(annual, 12)).unwrap_or(0))
}

/// The revenue of each plan beside the cost of its calls.
async fn plans(cx: &Cx, found: &mut Found) -> Result<()> {
    let revenue = revenue::at(cx, None).await?;
    let mrr: BTreeMap<_, _> =
        revenue.own.1.by_plan().into_iter().map(|(plan, _, mrr)| (plan.to_owned(), mrr)).collect();
    let plans: BTreeSet<_> = found.groups.keys().chain(mrr.keys()).cloned().collect();
    for plan in plans {
        let cost = found.groups.entry(plan.clone()).or_default().calls.unwrap_or_default().cost_micros;
        let mrr = mrr.get(&plan).copied().unwrap_or(0);
        found.margins.insert(plan, Margin { mrr, monthly_cost_micros: monthly(cost, found) });
    }
    Ok(())
}

/// A cost at the rate of 30 days.
fn monthly(cost: i64, found: &Found) -> i64 {
    let length = i128::from(found.range.1.as_micros()) - i128::from(found.range.0.as_micros());
    rounded(i128::from(cost) * MONTH_DAYS * i128::from(DAY_MICROS), length).unwrap_or(i64::MAX)
}
