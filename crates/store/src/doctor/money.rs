//! The books of money: what was asked for, what it consists of, and what the sandbox's own books say was charged.

use std::collections::BTreeMap;

use sqlx::FromRow;

use super::Violation;
use crate::db::{Db, sql};
use crate::error::Result;

#[derive(FromRow)]
struct Asked {
    tenant_id: String,
    invoice_id: String,
    state: String,
    currency: String,
    amount_minor: i64,
}

#[derive(FromRow)]
struct Charged {
    tenant_id: String,
    reference: String,
    currency: String,
    amount_minor: i64,
}

#[derive(FromRow)]
struct Billed {
    tenant_id: String,
    subscription_id: String,
    kind: String,
    period_start: i64,
    period_end: i64,
}

/// Checks I4, I5, I16 and I18.
pub(super) async fn violations(db: &Db) -> Result<Vec<Violation>> {
    let mut found = charges(db).await?;
    found.extend(times(db).await?);
    found.extend(sums(db).await?);
    found.extend(worths(db).await?);
    Ok(found)
}

/// Each invoice against what the sandbox says it took: at most once, the right amount, and of nothing that counts as
/// unpaid. Between a charge and its note an invoice is still open.
async fn charges(db: &Db) -> Result<Vec<Violation>> {
    let asked: Vec<Asked> =
        sql!("SELECT tenant_id, invoice_id, state, currency, amount_minor FROM invoice").all(db).await?;
    let charged: Vec<Charged> =
        sql!("SELECT tenant_id, reference, currency, amount_minor FROM sandbox_charge WHERE paid").all(db).await?;
    let asked: BTreeMap<_, _> = asked.iter().map(|row| ((&*row.tenant_id, &*row.invoice_id), row)).collect();
    let mut taken: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut found = Vec::new();
    let mut wrong = |what: String| found.push(Violation { invariant: "I5", what });
    for charge in &charged {
        // A reference is an invoice and the number of the try.
        let Some((invoice, _)) = charge.reference.rsplit_once(':') else { continue };
        let name = format!("{}/{invoice}", charge.tenant_id);
        let Some(row) = asked.get(&(&*charge.tenant_id, invoice)) else {
            wrong(format!("{name}: was charged, and there is no such invoice"));
            continue;
        };
        let times = taken.entry((&charge.tenant_id, invoice)).or_default();
        *times = times.saturating_add(1);
        if *times > 1 {
            wrong(format!("{name}: was charged {times} times"));
        }
        if (&row.currency, row.amount_minor) != (&charge.currency, charge.amount_minor) {
            let (due, took) = (row.amount_minor, charge.amount_minor);
            wrong(format!("{name}: asks for {due} {}, and {took} {} were charged", row.currency, charge.currency));
        }
        if matches!(&*row.state, "failed" | "void") {
            wrong(format!("{name}: was charged and is `{}`", row.state));
        }
    }
    Ok(found)
}

/// The time that the lines of a subscription's invoices are for: what is given back makes room for what replaces it.
async fn times(db: &Db) -> Result<Vec<Violation>> {
    let lines: Vec<Billed> = sql!("SELECT i.tenant_id, i.subscription_id, l.kind, l.period_start, l.period_end FROM invoice i JOIN invoice_line l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.invoice_id WHERE i.state <> 'void' AND l.kind IN ('plan', 'unused') AND l.period_end > l.period_start")
        .all(db)
        .await?;
    let mut edges: BTreeMap<(&str, &str), BTreeMap<i64, i64>> = BTreeMap::new();
    for line in &lines {
        let weight: i64 = if line.kind == "plan" { 1 } else { -1 };
        let of = edges.entry((&line.tenant_id, &line.subscription_id)).or_default();
        for (at, step) in [(line.period_start, weight), (line.period_end, weight.saturating_neg())] {
            let edge = of.entry(at).or_default();
            *edge = edge.saturating_add(step);
        }
    }
    let mut found = Vec::new();
    for ((tenant, subscription), edges) in edges {
        let mut billed: i64 = 0;
        for (at, step) in edges {
            billed = billed.saturating_add(step);
            if !(0..=1).contains(&billed) {
                let what = format!("{tenant}/{subscription}: the time from {at} on is billed {billed} times");
                found.push(Violation { invariant: "I16", what });
                break;
            }
        }
    }
    Ok(found)
}

#[derive(FromRow)]
struct Moved {
    tenant_id: String,
    subscription_id: String,
    annual_before: i64,
    annual_after: i64,
    currency: String,
}

/// What subscriptions were worth, move by move: each begins where the last one ended, so that the sum of all moves is what
/// there is.
async fn worths(db: &Db) -> Result<Vec<Violation>> {
    let moves: Vec<Moved> = sql!("SELECT tenant_id, subscription_id, annual_before, annual_after, currency FROM subscription_change ORDER BY tenant_id, subscription_id, at, change_id")
        .all(db)
        .await?;
    let mut found = Vec::new();
    for pair in moves.windows(2) {
        let [last, next] = pair else { continue };
        let of_one = (&last.tenant_id, &last.subscription_id) == (&next.tenant_id, &next.subscription_id);
        if of_one && last.currency == next.currency && last.annual_after != next.annual_before {
            let (name, after, before) = (&next.subscription_id, last.annual_after, next.annual_before);
            let what =
                format!("{}/{name}: was worth {after} in a year, and the next move begins at {before}", next.tenant_id);
            found.push(Violation { invariant: "I4", what });
        }
    }
    Ok(found)
}

/// What the lines of each invoice add up to.
async fn sums(db: &Db) -> Result<Vec<Violation>> {
    let wrong: Vec<(String, String, i64, i64)> = sql!("SELECT i.tenant_id, i.invoice_id, i.amount_minor, CAST(COALESCE(SUM(l.amount_minor), 0) AS BIGINT) FROM invoice i LEFT JOIN invoice_line l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.invoice_id GROUP BY i.tenant_id, i.invoice_id, i.amount_minor HAVING COALESCE(SUM(l.amount_minor), 0) <> i.amount_minor LIMIT 100")
        .all(db)
        .await?;
    let told = |(tenant, invoice, amount, sum): (String, String, i64, i64)| Violation {
        invariant: "I18",
        what: format!("{tenant}/{invoice}: asks for {amount}, and its lines add up to {sum}"),
    };
    Ok(wrong.into_iter().map(told).collect())
}
