//! Invariants that hold in every committed state, as queries that a user can run, too.

mod money;

use std::collections::BTreeMap;

use domain::id::TenantId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{Db, sql};
use crate::error::Result;
use crate::gate::holds_from_json;

/// What is checked, in words.
pub const INVARIANTS: [(&str, &str); 7] = [
    ("I2", "every counter is the sum of its events"),
    ("I3", "nothing is below zero, and nothing was admitted above the limit of its moment"),
    ("I4", "what subscriptions are worth moves from where it stood"),
    ("I5", "what is asked for is charged at most once, and what was charged is not asked for again"),
    ("I14", "what counters hold is what open reservations hold"),
    ("I16", "no time is billed twice"),
    ("I18", "the lines of each invoice add up to it"),
];

/// Something that contradicts an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, as in [`INVARIANTS`].
    pub invariant: &'static str,
    /// What is wrong, with the row.
    pub what: String,
}

#[derive(FromRow)]
struct BookRow {
    tenant_id: String,
    customer_id: String,
    feature: String,
    source: String,
    period_start: i64,
    used: i64,
    held: i64,
    counter_used: Option<i64>,
    counter_held: Option<i64>,
}

impl BookRow {
    /// What the counter says, beside what its events say.
    fn disagreement(&self) -> Option<String> {
        let counter = match (self.counter_used, self.counter_held) {
            (Some(used), Some(held)) if (used, held) == (self.used, self.held) => return None,
            (Some(used), Some(held)) => format!("the counter says {used} and {held}"),
            (None, _) | (_, None) => "there is no counter".to_owned(),
        };
        Some(format!("{}: events say {} used and {} held, {counter}", self.name(), self.used, self.held))
    }

    fn name(&self) -> String {
        let Self { tenant_id, customer_id, feature, source, period_start, .. } = self;
        format!("{tenant_id}/{customer_id}/{feature}/{source}/{period_start}")
    }
}

/// Checks every one of [`INVARIANTS`]. The gate must not run meanwhile: on SQLite its start has just brought
/// the counters up to the last event.
pub async fn violations(db: &Db) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    let books: Vec<BookRow> =
        sql!("SELECT e.tenant_id, e.customer_id, e.feature, e.source, e.period_start, CAST(SUM(e.amount) AS BIGINT) AS used, CAST(SUM(e.hold) AS BIGINT) AS held, MAX(c.used) AS counter_used, MAX(c.held) AS counter_held FROM usage_event e LEFT JOIN counter c ON c.tenant_id = e.tenant_id AND c.customer_id = e.customer_id AND c.feature = e.feature AND c.source = e.source AND c.period_start = e.period_start GROUP BY e.tenant_id, e.customer_id, e.feature, e.source, e.period_start")
            .all(db)
            .await?;
    let mut held: BTreeMap<String, i64> = BTreeMap::new();
    for book in &books {
        found.extend(book.disagreement().map(|what| Violation { invariant: "I2", what }));
        if book.used < 0 || book.held < 0 {
            found.push(Violation { invariant: "I3", what: format!("{}: below zero", book.name()) });
        }
        if book.held != 0 {
            held.insert(book.name(), book.held);
        }
    }
    found.extend(admissions(db).await?);
    found.extend(reservations(db, held).await?);
    found.extend(money::violations(db).await?);
    Ok(found)
}

/// Admissions that were above the limit they were admitted under.
async fn admissions(db: &Db) -> Result<Vec<Violation>> {
    let over: Vec<(String, String, i64, i64, i64)> =
        sql!("SELECT tenant_id, event_id, used_after, held_after, limit_value FROM usage_event WHERE kind IN ('consume', 'reserve') AND source = 'plan' AND limit_value IS NOT NULL AND overrun = 0 AND (amount > 0 OR hold > 0) AND used_after + held_after > limit_value LIMIT 100")
            .all(db)
            .await?;
    let told = |(tenant, event, used, held, limit)| Violation {
        invariant: "I3",
        what: format!("{tenant}/{event}: {used} used and {held} held were admitted under a limit of {limit}"),
    };
    Ok(over.into_iter().map(told).collect())
}

/// What is held without an open reservation, or the other way round.
async fn reservations(db: &Db, mut held: BTreeMap<String, i64>) -> Result<Vec<Violation>> {
    let open: Vec<(String, String, String, String)> =
        sql!("SELECT tenant_id, customer_id, reservation_id, holds FROM reservation WHERE state = 'open'")
            .all(db)
            .await?;
    let mut found = Vec::new();
    for (tenant, customer, id, holds) in open {
        let Some(holds) = holds_from_json(&holds) else {
            found.push(Violation { invariant: "I14", what: format!("{tenant}/{id}: its holds do not parse") });
            continue;
        };
        for hold in holds {
            let key = &hold.key;
            let (feature, source, start) = (&key.feature, key.source.as_str(), key.period_start.as_micros());
            *held.entry(format!("{tenant}/{customer}/{feature}/{source}/{start}")).or_default() -= hold.amount;
        }
    }
    let wrong = held.into_iter().filter(|(_, rest)| *rest != 0);
    found.extend(wrong.map(|(name, rest)| Violation {
        invariant: "I14",
        what: if rest > 0 {
            format!("{name}: {rest} more held than open reservations say")
        } else {
            format!("{name}: {} less held than open reservations say", rest.saturating_neg())
        },
    }));
    Ok(found)
}

/// Writes every counter anew from its events, in one transaction. Answers how many there are.
pub async fn rebuild(db: &Db) -> Result<u64> {
    let mut tx = db.begin().await?;
    sql!("DELETE FROM counter WHERE true").execute(&mut tx).await?;
    // Where units are held the next expiry is not known; 0 makes the gate look.
    let counters = sql!("INSERT INTO counter (tenant_id, customer_id, feature, source, period_start, used, held, next_expiry, version) SELECT tenant_id, customer_id, feature, source, period_start, CAST(SUM(amount) AS BIGINT), CAST(SUM(hold) AS BIGINT), CASE WHEN SUM(hold) > 0 THEN CAST(0 AS BIGINT) END, MAX(version) FROM usage_event GROUP BY tenant_id, customer_id, feature, source, period_start")
        .execute(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(counters)
}

/// What should have been done in a tenant by an instant and was not; empty when everything has come to its end.
pub async fn left(db: &Db, tenant: &TenantId, at: Timestamp) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut add = |what: &str, rows: Vec<(String,)>| found.extend(rows.into_iter().map(|(id,)| format!("{what} {id}")));
    let due = sql!("SELECT subscription_id FROM subscription WHERE tenant_id = $1 AND next_due_at <= $2 LIMIT 100");
    add("time has done nothing to", due.bind(tenant).bind(at).all(db).await?);
    let unclosed = sql!("SELECT customer_id FROM customer WHERE tenant_id = $1 AND next_close_at <= $2 LIMIT 100");
    add("a quota period is not closed of", unclosed.bind(tenant).bind(at).all(db).await?);
    let asked = sql!("SELECT invoice_id FROM invoice WHERE tenant_id = $1 AND collect_at <= $2 LIMIT 100");
    add("nobody collects", asked.bind(tenant).bind(at).all(db).await?);
    let held = sql!(
        "SELECT reservation_id FROM reservation WHERE tenant_id = $1 AND state = 'open' AND expires_at <= $2 LIMIT 100"
    );
    add("its time is over and it is open:", held.bind(tenant).bind(at).all(db).await?);
    Ok(found)
}
