//! Use and AI calls of a whole tenant: what the follower of the gate's batches sums beside the hours of each customer,
//! and who reads it.

use std::collections::BTreeMap;

use domain::id::{FeatureKey, TenantId};
use domain::time::{Reset, Timestamp, Zone, period_at};
use serde::Deserialize;
use sqlx::FromRow;

use crate::db::{Db, Tx, sql};
use crate::error::{Error, Result};

/// Use of one feature by the customers of one plan in one hour.
#[derive(FromRow)]
struct UsedRow {
    hour: i64,
    feature: String,
    plan_id: String,
    used: i64,
    events: i64,
}

/// An AI call: the facts on its event.
#[derive(FromRow)]
struct CallRow {
    at: i64,
    customer_id: String,
    plan_id: String,
    detail: String,
}

/// The facts that count, as `app::ai` writes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    component: String,
    model: String,
    #[serde(default)]
    input_tokens: i64,
    #[serde(default)]
    cache_write_5m_tokens: i64,
    #[serde(default)]
    cache_write_1h_tokens: i64,
    #[serde(default)]
    cache_read_tokens: i64,
    #[serde(default)]
    output_tokens: i64,
    #[serde(default)]
    cost_micros: Option<i64>,
}

/// AI calls, summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Calls {
    count: i64,
    input: i64,
    output: i64,
    cost: i64,
}

impl Calls {
    fn add(&mut self, of: &Detail) {
        let read = [of.input_tokens, of.cache_write_5m_tokens, of.cache_write_1h_tokens, of.cache_read_tokens];
        self.count += 1;
        self.input = read.iter().fold(self.input, |sum, tokens| sum.saturating_add(*tokens));
        self.output = self.output.saturating_add(of.output_tokens);
        self.cost = self.cost.saturating_add(of.cost_micros.unwrap_or(0));
    }
}

/// The events of one tenant that one step of the follower is about.
pub(crate) struct Stretch<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) node: i64,
    pub(crate) first: &'a str,
    pub(crate) last: &'a str,
}

/// What a step adds to the sums of a tenant. Read before the step's transaction, since events never change.
pub(crate) struct Step {
    zone: Zone,
    hours: Vec<UsedRow>,
    calls: BTreeMap<(i64, String, String, String), Calls>,
    callers: BTreeMap<(i64, String), Calls>,
}

impl Step {
    /// Sums the events of a stretch.
    pub(crate) async fn read(db: &Db, of: &Stretch<'_>) -> Result<Self> {
        let zone: Option<(String,)> =
            sql!("SELECT timezone FROM tenant WHERE tenant_id = $1").bind(of.tenant).find(db).await?;
        let zone = zone.and_then(|(name,)| Zone::parse(&name).ok()).unwrap_or(Zone::UTC);
        let hours = sql!("SELECT e.at - e.at % 3600000000 AS hour, e.feature, COALESCE(s.plan_id, '') AS plan_id, CAST(SUM(e.amount) AS BIGINT) AS used, COUNT(*) AS events FROM usage_event e LEFT JOIN subscription s ON s.tenant_id = e.tenant_id AND s.customer_id = e.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE e.tenant_id = $1 AND e.event_id >= $2 AND e.event_id <= $3 AND e.node = $4 AND e.amount <> 0 GROUP BY e.at - e.at % 3600000000, e.feature, COALESCE(s.plan_id, '')")
            .bind(of.tenant)
            .bind(of.first)
            .bind(of.last)
            .bind(of.node)
            .all(db)
            .await?;
        let rows: Vec<CallRow> = sql!("SELECT e.at, e.customer_id, COALESCE(s.plan_id, '') AS plan_id, e.detail FROM usage_event e LEFT JOIN subscription s ON s.tenant_id = e.tenant_id AND s.customer_id = e.customer_id AND s.status IN ('trialing', 'active', 'past_due', 'paused', 'canceled') WHERE e.tenant_id = $1 AND e.event_id >= $2 AND e.event_id <= $3 AND e.node = $4 AND e.line = 0 AND e.detail IS NOT NULL")
            .bind(of.tenant)
            .bind(of.first)
            .bind(of.last)
            .bind(of.node)
            .all(db)
            .await?;
        let mut step = Self { zone, hours, calls: BTreeMap::new(), callers: BTreeMap::new() };
        for row in rows {
            // Facts that are no AI call's are none of ours.
            let Ok(detail) = serde_json::from_str::<Detail>(&row.detail) else { continue };
            let day = step.start(Reset::Day, row.at)?;
            let month = step.start(Reset::CalendarMonth, row.at)?;
            let key = (day, detail.component.clone(), detail.model.clone(), row.plan_id);
            step.calls.entry(key).or_default().add(&detail);
            step.callers.entry((month, row.customer_id)).or_default().add(&detail);
        }
        Ok(step)
    }

    /// The first instant of the day or month that an instant lies in.
    fn start(&self, of: Reset, at: i64) -> Result<i64> {
        let at = Timestamp::from_micros(at);
        let broken = |error: domain::time::TimeError| Error::Broken {
            table: "usage_event",
            id: at.as_micros().to_string(),
            why: error.to_string(),
        };
        Ok(period_at(of, at, &self.zone, at).map_err(broken)?.start.as_micros())
    }

    /// Adds everything, in the transaction that says how far the follower is.
    pub(crate) async fn write(self, tx: &mut Tx, of: &Stretch<'_>) -> Result<()> {
        let mut days: BTreeMap<(i64, &str, &str), (i64, i64)> = BTreeMap::new();
        let mut months: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for row in &self.hours {
            sql!("INSERT INTO usage_hour (tenant_id, hour, feature, plan_id, used, events) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, hour, feature, plan_id) DO UPDATE SET used = usage_hour.used + excluded.used, events = usage_hour.events + excluded.events")
                .bind(of.tenant)
                .bind(row.hour)
                .bind(&row.feature)
                .bind(&row.plan_id)
                .bind(row.used)
                .bind(row.events)
                .execute(&mut *tx)
                .await?;
            let day = days.entry((self.start(Reset::Day, row.hour)?, &row.feature, &row.plan_id)).or_default();
            *day = (day.0.saturating_add(row.used), day.1.saturating_add(row.events));
            let month = months.entry(self.start(Reset::CalendarMonth, row.hour)?).or_insert((row.hour, row.hour));
            *month = (month.0.min(row.hour), month.1.max(row.hour));
        }
        for ((day, feature, plan), (used, events)) in days {
            sql!("INSERT INTO usage_day (tenant_id, day, feature, plan_id, used, events) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, day, feature, plan_id) DO UPDATE SET used = usage_day.used + excluded.used, events = usage_day.events + excluded.events")
                .bind(of.tenant)
                .bind(day)
                .bind(feature)
                .bind(plan)
                .bind(used)
                .bind(events)
                .execute(&mut *tx)
                .await?;
        }
        for (month, (first, last)) in months {
            sql!("INSERT INTO usage_customer_month (tenant_id, feature, month, customer_id, used, events) SELECT tenant_id, feature, CAST($5 AS BIGINT), customer_id, CAST(SUM(amount) AS BIGINT), COUNT(*) FROM usage_event WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND node = $4 AND amount <> 0 AND at >= $6 AND at < $7 GROUP BY tenant_id, feature, customer_id ON CONFLICT (tenant_id, feature, month, customer_id) DO UPDATE SET used = usage_customer_month.used + excluded.used, events = usage_customer_month.events + excluded.events")
                .bind(of.tenant)
                .bind(of.first)
                .bind(of.last)
                .bind(of.node)
                .bind(month)
                .bind(first)
                .bind(last.saturating_add(crate::rollup::HOUR_MICROS))
                .execute(&mut *tx)
                .await?;
        }
        self.write_calls(tx, of.tenant).await
    }

    async fn write_calls(&self, tx: &mut Tx, tenant: &TenantId) -> Result<()> {
        for ((day, component, model, plan), calls) in &self.calls {
            sql!("INSERT INTO ai_day (tenant_id, day, component, model, plan_id, calls, input_tokens, output_tokens, cost_micros) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, day, component, model, plan_id) DO UPDATE SET calls = ai_day.calls + excluded.calls, input_tokens = ai_day.input_tokens + excluded.input_tokens, output_tokens = ai_day.output_tokens + excluded.output_tokens, cost_micros = ai_day.cost_micros + excluded.cost_micros")
                .bind(tenant)
                .bind(*day)
                .bind(component)
                .bind(model)
                .bind(plan)
                .bind(calls.count)
                .bind(calls.input)
                .bind(calls.output)
                .bind(calls.cost)
                .execute(&mut *tx)
                .await?;
        }
        for ((month, customer), calls) in &self.callers {
            sql!("INSERT INTO ai_customer_month (tenant_id, month, customer_id, calls, input_tokens, output_tokens, cost_micros) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, month, customer_id) DO UPDATE SET calls = ai_customer_month.calls + excluded.calls, input_tokens = ai_customer_month.input_tokens + excluded.input_tokens, output_tokens = ai_customer_month.output_tokens + excluded.output_tokens, cost_micros = ai_customer_month.cost_micros + excluded.cost_micros")
                .bind(tenant)
                .bind(*month)
                .bind(customer)
                .bind(calls.count)
                .bind(calls.input)
                .bind(calls.output)
                .bind(calls.cost)
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }
}

/// Use in one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UseRow {
    /// The first instant of its hour or day.
    pub at: i64,
    /// The feature, or the id of the plan; empty for customers without one.
    pub name: String,
    /// Units.
    pub used: i64,
    /// Events.
    pub events: i64,
}

/// Use from `from` to before `to`, by feature or by plan (`by_plan`), of one feature or all.
pub async fn hours(
    db: &Db,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    (feature, by_plan): (Option<&FeatureKey>, bool),
) -> Result<Vec<UseRow>> {
    sql!("SELECT u.at, u.name, CAST(SUM(u.used) AS BIGINT) AS used, CAST(SUM(u.events) AS BIGINT) AS events FROM (SELECT hour AS at, CASE WHEN $5 THEN plan_id ELSE feature END AS name, used, events FROM usage_hour WHERE tenant_id = $1 AND hour >= $2 AND hour < $3 AND ($4 = '' OR feature = $4)) u GROUP BY u.at, u.name ORDER BY u.at, u.name")
        .bind(tenant)
        .bind(from)
        .bind(to)
        .bind(feature.map_or("", FeatureKey::as_str))
        .bind(by_plan)
        .all(db)
        .await
}

/// The same by day.
pub async fn days(
    db: &Db,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    (feature, by_plan): (Option<&FeatureKey>, bool),
) -> Result<Vec<UseRow>> {
    sql!("SELECT u.at, u.name, CAST(SUM(u.used) AS BIGINT) AS used, CAST(SUM(u.events) AS BIGINT) AS events FROM (SELECT day AS at, CASE WHEN $5 THEN plan_id ELSE feature END AS name, used, events FROM usage_day WHERE tenant_id = $1 AND day >= $2 AND day < $3 AND ($4 = '' OR feature = $4)) u GROUP BY u.at, u.name ORDER BY u.at, u.name")
        .bind(tenant)
        .bind(from)
        .bind(to)
        .bind(feature.map_or("", FeatureKey::as_str))
        .bind(by_plan)
        .all(db)
        .await
}

/// Months of other zones begin less than a day apart: what is half a month away is another one.
const HALF_A_MONTH_SECONDS: i64 = 15 * 86_400;

fn about(month: Timestamp) -> (Timestamp, Timestamp) {
    (month.plus_seconds(-HALF_A_MONTH_SECONDS), month.plus_seconds(HALF_A_MONTH_SECONDS))
}

/// The customers that used most of a feature in the month that begins at an instant, the greatest first.
pub async fn top_customers(
    db: &Db,
    tenant: &TenantId,
    month: Timestamp,
    (feature, limit): (&FeatureKey, i64),
) -> Result<Vec<UseRow>> {
    let (from, to) = about(month);
    sql!("SELECT month AS at, customer_id AS name, used, events FROM usage_customer_month WHERE tenant_id = $1 AND feature = $2 AND month >= $3 AND month < $4 ORDER BY used DESC, customer_id LIMIT $5")
        .bind(tenant)
        .bind(feature)
        .bind(from)
        .bind(to)
        .bind(limit)
        .all(db)
        .await
}

/// AI calls of one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CallsRow {
    /// The first instant of its day or month.
    pub at: i64,
    /// What they are grouped by.
    pub name: String,
    /// Calls.
    pub calls: i64,
    /// Tokens read, with those of the cache.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
    /// What they cost, in micro-units.
    pub cost_micros: i64,
}

/// What AI calls can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallsBy {
    /// The component.
    Component,
    /// The model that answered.
    Model,
    /// The customer's plan.
    Plan,
}

/// AI calls by day, from `from` to before `to`.
pub async fn calls(
    db: &Db,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
    (by, component): (CallsBy, Option<&FeatureKey>),
) -> Result<Vec<CallsRow>> {
    let by = match by {
        CallsBy::Component => "component",
        CallsBy::Model => "model",
        CallsBy::Plan => "plan",
    };
    sql!("SELECT a.at, a.name, CAST(SUM(a.calls) AS BIGINT) AS calls, CAST(SUM(a.input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(a.output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(a.cost_micros) AS BIGINT) AS cost_micros FROM (SELECT day AS at, CASE $5 WHEN 'component' THEN component WHEN 'model' THEN model ELSE plan_id END AS name, calls, input_tokens, output_tokens, cost_micros FROM ai_day WHERE tenant_id = $1 AND day >= $2 AND day < $3 AND ($4 = '' OR component = $4)) a GROUP BY a.at, a.name ORDER BY a.at, a.name")
        .bind(tenant)
        .bind(from)
        .bind(to)
        .bind(component.map_or("", FeatureKey::as_str))
        .bind(by)
        .all(db)
        .await
}

/// The customers whose AI calls cost most in the month that begins at an instant, the greatest first.
pub async fn top_callers(db: &Db, tenant: &TenantId, month: Timestamp, limit: i64) -> Result<Vec<CallsRow>> {
    let (from, to) = about(month);
    sql!("SELECT month AS at, customer_id AS name, calls, input_tokens, output_tokens, cost_micros FROM ai_customer_month WHERE tenant_id = $1 AND month >= $2 AND month < $3 ORDER BY cost_micros DESC, customer_id LIMIT $4")
        .bind(tenant)
        .bind(from)
        .bind(to)
        .bind(limit)
        .all(db)
        .await
}
