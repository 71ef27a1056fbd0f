//! The books of revenue: entries of subscription changes, summed by day behind the writers, and a reader that adds what
//! is not summed yet.
//!
//! A change is in `revenue_day` or marked as not rolled, never both and never neither, since one transaction moves it.
//! All figures are sums, so a change that is written late with a time in the past corrects every day after it.

use std::collections::BTreeMap;

use domain::id::TenantId;
use domain::revenue::{Change, Cuts, Entry, Fact, Movement};
use domain::time::{Period, Reset, Timestamp, Zone, period_at};
use sqlx::FromRow;

use crate::catalog::from_word;
use crate::db::{Db, On, Tx, sql};
use crate::error::{Error, Result};

/// Before every day.
const NEVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// A change as it is read, or a sum of entries (`fact`), of some stretch of time.
#[derive(FromRow)]
struct PieceRow {
    at: i64,
    currency_before: Option<String>,
    currency: String,
    plan_before: Option<String>,
    plan_after: String,
    status_before: Option<String>,
    status_after: String,
    annual_before: i64,
    annual_after: i64,
    movement: Option<String>,
    fact: Option<String>,
    amount: i64,
    number: i64,
}

impl PieceRow {
    fn entries(self) -> Result<Vec<Entry>> {
        let broken = |why: String| Error::Broken { table: "subscription_change", id: self.at.to_string(), why };
        if let Some(name) = &self.fact {
            let fact = Fact::parse(name).ok_or_else(|| broken(format!("the fact {name} is unknown")))?;
            let Self { currency, plan_after: plan, amount, number, .. } = self;
            return Ok(vec![Entry { currency, plan, fact, amount, number }]);
        }
        let status = |text: &str| from_word("subscription_change", text, text);
        let movement = self.movement.as_deref().map(|name| {
            let known = Movement::ALL.into_iter().find(|movement| movement.name() == name);
            known.ok_or_else(|| broken(format!("the movement {name} is unknown")))
        });
        let change = Change {
            status_before: self.status_before.as_deref().map(status).transpose()?,
            status_after: status(&self.status_after)?,
            movement: movement.transpose()?,
            currency_before: self.currency_before,
            currency: self.currency,
            plan_before: self.plan_before,
            plan_after: self.plan_after,
            annual_before: self.annual_before,
            annual_after: self.annual_after,
        };
        Ok(change.entries())
    }
}

/// The zone that a tenant's days are summed in; none before any was.
async fn zone(on: impl Into<On<'_>>, tenant: &TenantId) -> Result<Option<(String, Zone)>> {
    let row: Option<(String,)> =
        sql!("SELECT timezone FROM revenue_zone WHERE tenant_id = $1").bind(tenant).find(on).await?;
    row.map(|(name,)| parsed(tenant, &name).map(|zone| (name, zone))).transpose()
}

fn parsed(tenant: &TenantId, name: &str) -> Result<Zone> {
    let broken = |error: domain::time::TimeError| Error::Broken {
        table: "revenue_zone",
        id: tenant.to_string(),
        why: error.to_string(),
    };
    Zone::parse(name).map_err(broken)
}

/// The day that an instant lies in: its first instant and the one after it.
fn day(at: Timestamp, zone: &Zone) -> Result<(Timestamp, Timestamp)> {
    let outside = |why: String| Error::Broken { table: "subscription_change", id: at.as_micros().to_string(), why };
    let Period { start, end } = period_at(Reset::Day, at, zone, at).map_err(|error| outside(error.to_string()))?;
    Ok((start, end.ok_or_else(|| outside("a day without an end".to_owned()))?))
}

/// Sums the next changes that began at or before `now` into their days, at most `changes_max`, in one transaction. When
/// the tenant's time zone is another than the sums', it takes changes out of them instead, until none is left in, and
/// then begins anew in the new zone. Answers whether there is more to do.
pub async fn roll(db: &Db, tenant: &TenantId, timezone: &str, now: Timestamp, changes_max: i64) -> Result<bool> {
    if let Some((summed, zone)) = zone(db, tenant).await?
        && summed != timezone
    {
        return unroll(db, tenant, (&zone, timezone), changes_max).await;
    }
    let waiting: Option<(i64,)> =
        sql!("SELECT at FROM subscription_change WHERE tenant_id = $1 AND rolled = FALSE AND at <= $2 LIMIT 1")
            .bind(tenant)
            .bind(now)
            .find(db)
            .await?;
    if waiting.is_none() {
        return Ok(false);
    }
    let zone = parsed(tenant, timezone)?;
    let mut tx = db.begin().await?;
    sql!("INSERT INTO revenue_zone (tenant_id, timezone) VALUES ($1, $2) ON CONFLICT (tenant_id) DO NOTHING")
        .bind(tenant)
        .bind(timezone)
        .execute(&mut tx)
        .await?;
    let rows: Vec<PieceRow> =
        sql!("UPDATE subscription_change SET rolled = TRUE WHERE tenant_id = $1 AND rolled = FALSE AND change_id IN (SELECT c.change_id FROM subscription_change c WHERE c.tenant_id = $1 AND c.rolled = FALSE AND c.at <= $2 ORDER BY c.at LIMIT $3) RETURNING at, currency_before, currency, plan_before, plan_after, status_before, status_after, annual_before, annual_after, movement, CAST(NULL AS TEXT) AS fact, 0 * at AS amount, 0 * at AS number")
            .bind(tenant)
            .bind(now)
            .bind(changes_max)
            .all(&mut tx)
            .await?;
    let found = rows.len();
    add(&mut tx, tenant, &zone, (rows, 1)).await?;
    tx.commit().await?;
    Ok(i64::try_from(found).unwrap_or(i64::MAX) >= changes_max)
}

/// Takes some changes out of the sums of another zone; when none is left in, the zone becomes the tenant's.
async fn unroll(db: &Db, tenant: &TenantId, (zone, timezone): (&Zone, &str), changes_max: i64) -> Result<bool> {
    let mut tx = db.begin().await?;
    let rows: Vec<PieceRow> =
        sql!("UPDATE subscription_change SET rolled = FALSE WHERE tenant_id = $1 AND rolled = TRUE AND change_id IN (SELECT c.change_id FROM subscription_change c WHERE c.tenant_id = $1 AND c.rolled = TRUE ORDER BY c.at LIMIT $2) RETURNING at, currency_before, currency, plan_before, plan_after, status_before, status_after, annual_before, annual_after, movement, CAST(NULL AS TEXT) AS fact, 0 * at AS amount, 0 * at AS number")
            .bind(tenant)
            .bind(changes_max)
            .all(&mut tx)
            .await?;
    if rows.is_empty() {
        sql!("DELETE FROM revenue_day WHERE tenant_id = $1").bind(tenant).execute(&mut tx).await?;
        sql!("UPDATE revenue_zone SET timezone = $2 WHERE tenant_id = $1")
            .bind(tenant)
            .bind(timezone)
            .execute(&mut tx)
            .await?;
    }
    add(&mut tx, tenant, zone, (rows, -1)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Adds the entries of changes to their days, or with the sign -1 takes them away.
async fn add(tx: &mut Tx, tenant: &TenantId, zone: &Zone, (rows, sign): (Vec<PieceRow>, i64)) -> Result<()> {
    let mut sums: BTreeMap<(String, Timestamp, String, &'static str), (i64, i64)> = BTreeMap::new();
    for row in rows {
        let (day, _) = day(Timestamp::from_micros(row.at), zone)?;
        for entry in row.entries()? {
            let sum = sums.entry((entry.currency, day, entry.plan, entry.fact.name())).or_default();
            sum.0 = sum.0.saturating_add(entry.amount.saturating_mul(sign));
            sum.1 = sum.1.saturating_add(entry.number.saturating_mul(sign));
        }
    }
    for ((currency, day, plan, fact), (amount, number)) in sums {
        sql!("INSERT INTO revenue_day (tenant_id, currency, day, plan_id, fact, amount, number) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, currency, day, plan_id, fact) DO UPDATE SET amount = revenue_day.amount + excluded.amount, number = revenue_day.number + excluded.number")
            .bind(tenant)
            .bind(currency)
            .bind(day)
            .bind(plan)
            .bind(fact)
            .bind(amount)
            .bind(number)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The entries up to an instant, each with the slice of time that the cuts put it in. `until_now` says that nothing
/// later is summed, so that the last day counts as a whole.
pub async fn entries(db: &Db, tenant: &TenantId, cuts: &Cuts, until_now: bool) -> Result<Vec<(i64, Entry)>> {
    let zone = zone(db, tenant).await?.map_or(Zone::UTC, |(_, zone)| zone);
    let [first, second] = cuts.sorted();
    // A day that a cut divides is read change by change; the others are on one side of it as a whole.
    let mut divided = [(NEVER, NEVER); 3];
    let cut = [Some(first), Some(second), Some(cuts.at).filter(|_| !until_now)];
    let mut days: Vec<_> = cut.into_iter().flatten().map(|cut| day(cut, &zone)).collect::<Result<_>>()?;
    days.dedup();
    divided.iter_mut().zip(days).for_each(|(place, day)| *place = day);
    let [a, b, c] = divided;
    let rows: Vec<PieceRow> =
        sql!("WITH c AS (SELECT * FROM subscription_change WHERE tenant_id = $1 AND rolled = FALSE AND at <= $4 UNION ALL SELECT * FROM subscription_change WHERE tenant_id = $1 AND rolled = TRUE AND at <= $4 AND at >= $5 AND at < $6 UNION ALL SELECT * FROM subscription_change WHERE tenant_id = $1 AND rolled = TRUE AND at <= $4 AND at >= $7 AND at < $8 UNION ALL SELECT * FROM subscription_change WHERE tenant_id = $1 AND rolled = TRUE AND at <= $4 AND at >= $9 AND at < $10) SELECT CASE WHEN c.at <= $2 THEN 0 WHEN c.at <= $3 THEN 1 ELSE 2 END + 0 * c.at AS at, c.currency_before, c.currency, c.plan_before, c.plan_after, c.status_before, c.status_after, c.annual_before, c.annual_after, c.movement, CAST(NULL AS TEXT) AS fact, 0 * c.at AS amount, 0 * c.at AS number FROM c UNION ALL SELECT d.slice, NULL, d.currency, NULL, d.plan_id, NULL, '', 0, 0, NULL, d.fact, CAST(SUM(d.amount) AS BIGINT), CAST(SUM(d.number) AS BIGINT) FROM (SELECT CASE WHEN day <= $2 THEN 0 WHEN day <= $3 THEN 1 ELSE 2 END + 0 * day AS slice, currency, plan_id, fact, amount, number FROM revenue_day WHERE tenant_id = $1 AND day <= $4 AND day <> $5 AND day <> $7 AND day <> $9) d GROUP BY d.slice, d.currency, d.plan_id, d.fact")
            .bind(tenant)
            .bind(first)
            .bind(second)
            .bind(cuts.at)
            .bind(a.0)
            .bind(a.1)
            .bind(b.0)
            .bind(b.1)
            .bind(c.0)
            .bind(c.1)
            .all(db)
            .await?;
    with_place(rows)
}

fn with_place(rows: Vec<PieceRow>) -> Result<Vec<(i64, Entry)>> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let place = row.at;
        all.extend(row.entries()?.into_iter().map(|entry| (place, entry)));
    }
    Ok(all)
}

/// The entries of one currency before `to`, each with the day that it lies in; those before `from` with 0. Both are
/// the first instants of days.
pub async fn series(
    db: &Db,
    tenant: &TenantId,
    currency: &str,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<(i64, Entry)>> {
    let rows: Vec<PieceRow> =
        sql!("SELECT CASE WHEN at < $3 THEN 0 ELSE at END AS at, currency_before, currency, plan_before, plan_after, status_before, status_after, annual_before, annual_after, movement, CAST(NULL AS TEXT) AS fact, 0 * at AS amount, 0 * at AS number FROM subscription_change WHERE tenant_id = $1 AND rolled = FALSE AND at < $4 AND (currency = $2 OR currency_before = $2) UNION ALL SELECT d.place, NULL, d.currency, NULL, '', NULL, '', 0, 0, NULL, d.fact, CAST(SUM(d.amount) AS BIGINT), CAST(SUM(d.number) AS BIGINT) FROM (SELECT CASE WHEN day < $3 THEN 0 ELSE day END AS place, currency, fact, amount, number FROM revenue_day WHERE tenant_id = $1 AND currency = $2 AND day < $4) d GROUP BY d.place, d.currency, d.fact")
            .bind(tenant)
            .bind(currency)
            .bind(from)
            .bind(to)
            .all(db)
            .await?;
    let mut entries = with_place(rows)?;
    entries.retain(|(_, entry)| entry.currency == currency);
    Ok(entries)
}
