//! What time does: renewals, trials, dunning, ends and pauses, in the order in which they fall due, each in a transaction
//! of its own. Jobs and test clocks call the same function; several nodes may call it at once, and each step is done
//! once: who comes second finds the row moved, and the step's slot taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::id::{CustomerId, TenantId};
use domain::subscription::{Command, Refusal, Slot, decide};
use domain::time::Timestamp;
use serde_json::json;
use store::invoice::InvoiceRow;

use super::subscription::{self, Life, Note};
use super::{audit, clock, close, sandbox};
use crate::cx::{App, Cx};
use crate::error::{Code, Error, Result};

/// Steps after which the tenant is read anew, and a job looks whether it is to stop.
const STEPS_AT_ONCE: i64 = 100;
/// A run of the job ends after so long, so that other jobs have their turn; the next goes on.
const RUN: Duration = Duration::from_secs(5);
/// For so long a run looks after one tenant, so that the others have theirs.
const TURN: Duration = Duration::from_millis(500);
/// A step that failed rests for so long on this node, in seconds.
const REST_SECONDS: i64 = 60;

/// What this process remembers of doing what is due: whose turn it was, and what failed.
#[derive(Debug, Default)]
pub struct Turns {
    last: Mutex<Option<TenantId>>,
    rests: Mutex<BTreeMap<(TenantId, Item), Timestamp>>,
}

impl Turns {
    /// The tenants in the order of their turns: after the one who had the last comes the next.
    fn order(&self, mut tenants: Vec<TenantId>) -> Vec<TenantId> {
        if let Ok(last) = self.last.lock()
            && let Some(last) = &*last
        {
            let after = tenants.iter().position(|tenant| tenant > last).unwrap_or(0);
            tenants.rotate_left(after);
        }
        tenants
    }

    fn had(&self, tenant: &TenantId) {
        if let Ok(mut last) = self.last.lock() {
            *last = Some(tenant.clone());
        }
    }

    /// What of a tenant failed a moment ago.
    fn resting(&self, tenant: &TenantId, now: Timestamp) -> BTreeSet<Item> {
        let Ok(mut rests) = self.rests.lock() else { return BTreeSet::new() };
        rests.retain(|_, until| *until > now);
        rests.keys().filter(|(of, _)| of == tenant).map(|(_, item)| item.clone()).collect()
    }

    fn rest(&self, tenant: &TenantId, item: Item, until: Timestamp) {
        if let Ok(mut rests) = self.rests.lock() {
            rests.insert((tenant.clone(), item), until);
        }
    }
}

/// Does what is due of all tenants, and moves their clocks on. Each has a turn of its own length, and who comes after the
/// end of a run is first in the next.
pub async fn work(app: &Arc<App>, now: Timestamp) -> Result<()> {
    let until = Instant::now() + RUN;
    for tenant in app.turns.order(store::clock::busy_tenants(&app.db, now).await?) {
        if app.stopping.is_cancelled() || Instant::now() > until {
            return Ok(());
        }
        if let Err(error) = work_for(app, &tenant, until.min(Instant::now() + TURN)).await {
            // One tenant's trouble is not another's.
            tracing::warn!(%error, tenant.id = %tenant, "what is due could not be done");
        }
        app.turns.had(&tenant);
    }
    Ok(())
}

async fn work_for(app: &Arc<App>, id: &TenantId, until: Instant) -> Result<()> {
    let tenant = app.tenants.fresh(&app.db, &app.master, id).await?;
    let cx = Cx::system(app, &tenant, "time");
    if store::clock::find(&app.db, id).await?.is_some_and(|moved| moved.error.is_none()) {
        return clock::go_on(&cx, Some(until)).await;
    }
    while run(&cx, cx.tenant_now(), Pace::Late).await? == STEPS_AT_ONCE && !app.stopping.is_cancelled() {
        if Instant::now() > until {
            break;
        }
    }
    Ok(())
}

/// Something that is due, in the order in which it is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// Money is to be collected.
    Collect(i64, String),
    /// A quota period of a customer is over; before its plan is another.
    Close(i64, String),
    /// Time does something to a customer's subscription.
    Step(i64, String),
}

impl Item {
    fn at(&self) -> i64 {
        match self {
            Self::Collect(at, _) | Self::Close(at, _) | Self::Step(at, _) => *at,
        }
    }
}

/// How late things are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Nobody came for a while: what makes sense once is done once (RELIABILITY E6).
    Late,
    /// A clock goes through the time: each thing happens at its instant.
    InTime,
}

impl Pace {
    /// Up to when something that is due is looked at, in a run up to an instant.
    fn until(self, due: i64, until: Timestamp) -> Timestamp {
        if self == Self::Late { until } else { Timestamp::from_micros(due) }
    }
}

fn customer_of(id: &str) -> CustomerId {
    CustomerId::stored(id)
}

/// Does what is due up to an instant, oldest first, at most so many steps that a caller can look around. Answers how many
/// were done; a step that fails does not hold up the others, and fails the run only when nothing else is left to do.
pub async fn run(cx: &Cx, until: Timestamp, pace: Pace) -> Result<i64> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.clone().with_tenant(tenant);
    take_up(cx).await?;
    close::take_up(cx).await?;
    let turns = &cx.app.turns;
    // A clock goes through the time once, and tells what it could not do.
    let mut failed = if pace == Pace::Late { turns.resting(cx.tenant.id(), cx.now) } else { BTreeSet::new() };
    let mut first_error = None;
    let mut steps = 0;
    while steps < STEPS_AT_ONCE {
        let Some(item) = next(cx, until, &failed).await? else { break };
        let done = match &item {
            Item::Collect(at, invoice) => collect(cx, invoice, pace.until(*at, until)).await,
            Item::Close(at, customer) => close::close(cx, &customer_of(customer), pace.until(*at, until)).await,
            Item::Step(at, customer) => step(cx, &customer_of(customer), pace.until(*at, until)).await,
        };
        match done {
            Ok(()) => steps += 1,
            Err(error) => {
                tracing::warn!(%error, ?item, "a step of time failed");
                if pace == Pace::Late {
                    turns.rest(cx.tenant.id(), item.clone(), cx.now.plus_seconds(REST_SECONDS));
                }
                failed.insert(item);
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if steps == 0 => Err(error),
        _ => Ok(steps),
    }
}

/// Takes up subscriptions that were not billed so far, with the period that runs now; nothing is asked for.
async fn take_up(cx: &Cx) -> Result<()> {
    loop {
        let customers = store::subscription::unbilled(&cx.app.db, cx.tenant.id(), STEPS_AT_ONCE).await?;
        if customers.is_empty() || cx.app.stopping.is_cancelled() {
            return Ok(());
        }
        let mut left = false;
        for customer in &customers {
            // One that cannot be read keeps nobody else waiting.
            if let Err(error) = take_one_up(cx, customer).await {
                tracing::warn!(%error, customer.id = %customer, "a subscription could not be taken up");
                left = true;
            }
        }
        if left {
            return Ok(());
        }
    }
}

async fn take_one_up(cx: &Cx, customer: &CustomerId) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    if let Some(life) = Life::lock(&mut tx, cx, customer).await? {
        subscription::take_up(&mut tx, cx, &life).await?;
    }
    Ok(tx.commit().await?)
}

/// When the next thing is due, at or before an instant.
pub async fn next_at(cx: &Cx, until: Timestamp) -> Result<Option<Timestamp>> {
    Ok(next(cx, until, &BTreeSet::new()).await?.map(|item| Timestamp::from_micros(item.at())))
}

async fn next(cx: &Cx, until: Timestamp, failed: &BTreeSet<Item>) -> Result<Option<Item>> {
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let rows = i64::try_from(failed.len()).unwrap_or(0) + 1;
    let steps = store::subscription::first_due(db, tenant, until, rows).await?;
    let collects = store::invoice::first_to_collect(db, tenant, until, rows).await?;
    let closes = store::close::first_due(db, tenant, until, rows).await?;
    let steps = steps.into_iter().map(|(at, customer)| Item::Step(at, customer));
    let closes = closes.into_iter().map(|(at, customer)| Item::Close(at, customer));
    let collects = collects.into_iter().map(|(at, invoice)| Item::Collect(at, invoice));
    Ok(steps
        .chain(closes)
        .chain(collects)
        .filter(|item| !failed.contains(item))
        .min_by_key(|item| (item.at(), item.clone())))
}

/// Does the first thing that is due of a customer's subscription.
async fn step(cx: &Cx, customer: &CustomerId, until: Timestamp) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    // Another node may have been first, and it may be over.
    let Some(life) = Life::lock(&mut tx, cx, customer).await? else { return Ok(()) };
    if subscription::step(&mut tx, cx, &life, until).await?.is_none() {
        // The tenant's rules changed meanwhile, or another node was first.
        subscription::note_due(&mut tx, cx, &life).await?;
    }
    Ok(tx.commit().await?)
}

/// Collects what is due up to an instant; for a caller who has just made it so.
pub async fn collect_due(cx: &Cx, until: Timestamp) -> Result<()> {
    for (_, invoice) in store::invoice::first_to_collect(&cx.app.db, cx.tenant.id(), until, STEPS_AT_ONCE).await? {
        collect(cx, &invoice, until).await?;
    }
    Ok(())
}

/// Asks the sandbox for the money of an invoice, and writes what it says, as of an instant: that a payment failed is a
/// fact of when it was tried, and the grace begins then. The key of the call follows from the invoice and the try, so that
/// whoever does it again after a crash is told the same.
async fn collect(cx: &Cx, invoice: &str, at: Timestamp) -> Result<()> {
    let tenant = cx.tenant.id();
    let Some(row) = store::invoice::find(&cx.app.db, tenant, invoice).await? else { return Ok(()) };
    if row.collect_at.is_none() {
        return Ok(());
    }
    let customer = CustomerId::stored(row.customer_id.as_str());
    let life = Life::look(cx, &customer).await?;
    let remote = life.and_then(|life| life.row.provider_subscription);
    let paid = match remote {
        Some(remote) => sandbox::charge(cx, &remote, &row).await?,
        None => false,
    };
    let mut tx = cx.app.db.begin().await?;
    let life = Life::lock(&mut tx, cx, &customer).await?;
    if !store::invoice::tried(&mut tx, tenant, &row).await? {
        return Ok(());
    }
    let life = life.filter(|life| life.row.subscription_id == row.subscription_id);
    if let Some(life) = life {
        told(&mut tx, cx, &life, (&row, paid), at).await?;
    }
    Ok(tx.commit().await?)
}

/// Writes that a payment came or failed, as of an instant.
pub async fn told(
    tx: &mut store::db::Tx,
    cx: &Cx,
    life: &Life,
    (row, paid): (&InvoiceRow, bool),
    at: Timestamp,
) -> Result<()> {
    let slot = Slot::parse(&row.slot).ok_or_else(|| Error::internal(format!("slot {}", row.slot)))?;
    let command = if paid { Command::Paid { slot } } else { Command::PaymentFailed { slot } };
    match decide(&life.state, &command, &subscription::rules(cx)?, at) {
        Ok(decision) => subscription::advance(tx, cx, life, &decision, &Note::default()).await.map(|_| ()),
        // It came twice, or too late to matter.
        Err(Refusal::AlreadySo | Refusal::Over) => Ok(()),
        Err(refusal) => Err(subscription::refused(refusal)),
    }
}

/// Says by hand that an invoice was paid, or that it was not.
pub async fn settle(cx: &Cx, id: &str, paid: bool) -> Result<InvoiceRow> {
    let unknown = || Error::new(Code::NotFound, "There is no such invoice; an invoice's id begins with inv_.");
    let tenant = cx.tenant.id();
    if id.contains('\0') {
        return Err(unknown());
    }
    let row = store::invoice::find(&cx.app.db, tenant, id).await?.ok_or_else(unknown)?;
    let customer = CustomerId::stored(row.customer_id.as_str());
    let mut tx = cx.app.db.begin().await?;
    let life = Life::lock(&mut tx, cx, &customer).await?;
    let life = life.filter(|life| life.row.subscription_id == row.subscription_id);
    let open = life.filter(|life| life.state.open.iter().any(|open| open.slot.to_string() == row.slot));
    let Some(life) = open else {
        return Err(Error::new(Code::SubscriptionState, format!("The invoice is {}, and nothing is open.", row.state)));
    };
    told(&mut tx, cx, &life, (&row, paid), cx.tenant_now()).await?;
    let after = store::invoice::find(&mut tx, tenant, id).await?.ok_or_else(unknown)?;
    let told = |row: &InvoiceRow| json!({ "customer": row.customer_id, "amountMinor": row.amount_minor, "currency": row.currency, "state": row.state });
    let change =
        audit::Change { action: "invoice.settled", target: id, before: Some(told(&row)), after: Some(told(&after)) };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(after)
}
