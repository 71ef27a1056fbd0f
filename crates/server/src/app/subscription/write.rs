//! The one place that writes a transition: row, history, money, audit, all in the caller's transaction.

use domain::event::{Audience, Event, Facts, Kind};
use domain::id::{CustomerId, PriceId, SubscriptionId, encode_as};
use domain::money::Money;
use domain::revenue::Movement;
use domain::subscription::{Attempt, Charge, Decision, Effect, Line, Open, Scheduled, Slot, State};
use domain::time::Timestamp;
use serde_json::{Value, json};
use store::db::Tx;
use store::invoice::{InvoiceRow, LineRow};
use store::subscription::ChangeRow;

use super::rules;
use super::state::{Life, Origin, name, new_row, tried, with_state};
use crate::app::audit::told;
use crate::app::{audit, provider, sandbox};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// How a transition is noted beside its decision.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// Why, where that is more than the decision knows, such as `imported`.
    pub cause: Option<&'static str>,
    /// The key of what time did: once for each subscription.
    pub slot: Option<String>,
    /// Money that the decision asks for has come with it, as with a purchase that its provider took.
    pub collected: bool,
    /// Whether the caller writes the audit entry itself.
    pub audited: bool,
}

/// Writes a subscription that begins.
pub async fn begin(
    tx: &mut Tx,
    cx: &Cx,
    customer: &CustomerId,
    (decision, origin): (&Decision, &Origin),
    note: &Note,
) -> Result<Life> {
    let id = SubscriptionId::from_bits(id_bits());
    let row = with_state(&new_row(&id, customer, origin, decision.at), &decision.next, &rules(cx)?)?;
    store::subscription::insert(tx, cx.tenant.id(), &row).await?;
    let life = Life { row: store::subscription::SubscriptionRow { revision: 2, ..row }, state: decision.next.clone() };
    follow(tx, cx, (None, &life), decision, note).await?;
    Ok(settled(life, decision, note))
}

/// Writes the next state of a subscription. Refused when somebody else moved it since it was read.
pub async fn advance(tx: &mut Tx, cx: &Cx, life: &Life, decision: &Decision, note: &Note) -> Result<Life> {
    let row = with_state(&life.row, &decision.next, &rules(cx)?)?;
    let ended = row.status == "expired" && life.row.status != "expired";
    if !store::subscription::update(tx, cx.tenant.id(), &row, ended.then_some(decision.at)).await? {
        return Err(Error::new(
            Code::PreconditionFailed,
            "Somebody changed the subscription meanwhile; read it again.",
        ));
    }
    if let (true, Some(provider), Some(remote)) = (ended, &row.provider, &row.provider_subscription) {
        provider::end_later(tx, cx, (provider, remote)).await?;
    }
    let revision = row.revision + 1;
    let next = Life { row: store::subscription::SubscriptionRow { revision, ..row }, state: decision.next.clone() };
    follow(tx, cx, (Some(life), &next), decision, note).await?;
    Ok(settled(next, decision, note))
}

/// What was collected with the decision is not open after it.
fn settled(mut life: Life, decision: &Decision, note: &Note) -> Life {
    let asked = |open: &Open| {
        decision.effects.iter().any(|effect| matches!(effect, Effect::Charge(charge) if charge.slot == open.slot))
    };
    if note.collected {
        life.state.open.retain(|open| !asked(open));
    }
    life
}

/// Everything that a transition brings beside the row itself.
async fn follow(
    tx: &mut Tx,
    cx: &Cx,
    (before, after): (Option<&Life>, &Life),
    decision: &Decision,
    note: &Note,
) -> Result<()> {
    let customer = CustomerId::stored(after.row.customer_id.as_str());
    record(tx, cx, (before, after), decision, note).await?;
    told::tell(tx, cx, moved(cx, &customer, &after.state, note.cause.unwrap_or(decision.cause.name())));
    if let Some(before) = before {
        settle(tx, cx, (before, after), decision).await?;
    }
    if before.is_some_and(|before| before.state.terms.plan != after.state.terms.plan) {
        store::close::look_again(tx, cx.tenant.id(), &customer, decision.at).await?;
    }
    for effect in &decision.effects {
        perform(tx, cx, after, (effect, decision.at), note).await?;
    }
    if !note.audited {
        let ended = after.row.status == "expired";
        let change = audit::Change {
            action: if ended { "subscription.ended" } else { "subscription.changed" },
            target: customer.as_str(),
            before: before.map(|life| stands(cx, &life.state)),
            after: Some(stands(cx, &after.state)),
        };
        audit::write(tx, cx, change).await?;
    }
    Ok(store::customer::bump_version(tx, cx.tenant.id(), &customer, decision.at).await?)
}

/// What live connections are told of a transition, the customer's too.
fn moved(cx: &Cx, customer: &CustomerId, to: &State, cause: &str) -> Event {
    let plan = cx.tenant.catalog.plans.get(&to.terms.plan).map(|plan| plan.slug.to_string());
    let facts = Facts { plan, version: None, status: Some(name(to.status)), cause: Some(cause.to_owned()) };
    Event {
        kind: Kind::Subscription,
        audience: Audience::Customer,
        subject: Some(customer.to_string()),
        customer: Some(customer.clone()),
        facts,
    }
}

/// A state, as the audit trail tells it.
fn stands(cx: &Cx, state: &State) -> Value {
    let plan = cx.tenant.catalog.plans.get(&state.terms.plan).map(|plan| plan.slug.to_string());
    let planned = |scheduled: &Scheduled| match scheduled {
        Scheduled::Change(to) => {
            json!({ "plan": cx.tenant.catalog.plans.get(&to.plan).map(|plan| plan.slug.to_string()) })
        }
        Scheduled::Pause(until) => json!({ "pause": until }),
    };
    json!({ "plan": plan, "price": state.terms.price, "status": state.status, "accessUntil": state.access_until,
        "periodStart": state.period.start, "periodEnd": state.period.end,
        "scheduled": state.scheduled.as_ref().map(planned), "resumeAt": state.resume_at })
}

/// The history: where it stood, where it stands, and what that is worth.
async fn record(
    tx: &mut Tx,
    cx: &Cx,
    (before, after): (Option<&Life>, &Life),
    decision: &Decision,
    note: &Note,
) -> Result<()> {
    let (tenant, row) = (cx.tenant.id(), &after.row);
    let (customer, subscription) = (CustomerId::stored(row.customer_id.as_str()), row.id());
    // What was recorded last, so that the sum of all moves is what is there: a canceled one whose time is over just now
    // is worth something until its end is written.
    let recorded = match before {
        Some(_) => store::subscription::last_worth(tx, tenant, (&customer, &subscription)).await?,
        None => None,
    };
    let (annual_before, currency_before) = recorded.map_or((0, None), |(annual, currency)| (annual, Some(currency)));
    let zone = &cx.tenant.catalog.zone;
    let annual_after = after.state.worth(annual_before, decision.at, zone).map_err(super::refused)?;
    let currency = after.state.currency().code().to_owned();
    let paid_ever = annual_before > 0 || store::subscription::paid_ever(tx, tenant, &customer).await?;
    let price = |life: &Life| life.state.terms.price.as_ref().map(PriceId::to_string);
    let change = ChangeRow {
        change_id: encode_as("chg", id_bits()),
        at: decision.at.as_micros(),
        subscription_id: row.subscription_id.clone(),
        customer_id: row.customer_id.clone(),
        cause: note.cause.unwrap_or(decision.cause.name()).to_owned(),
        actor: cx.actor.name(),
        status_before: before.map(|life| name(life.state.status)),
        status_after: row.status.clone(),
        plan_before: before.map(|life| life.row.plan_id.clone()),
        plan_after: row.plan_id.clone(),
        price_before: before.and_then(price),
        price_after: price(after),
        currency_before: currency_before.filter(|before| *before != currency),
        currency,
        annual_before,
        annual_after,
        movement: Movement::of(annual_before, annual_after, paid_ever).map(|movement| movement.name().to_owned()),
        slot: note.slot.clone(),
    };
    Ok(store::subscription::record(tx, tenant, &change).await?)
}

/// Moves the invoices of what was open before: what is open no more was paid, unless the decision gives it up.
async fn settle(tx: &mut Tx, cx: &Cx, (before, after): (&Life, &Life), decision: &Decision) -> Result<()> {
    let given_up = |slot: Slot| decision.effects.contains(&Effect::Void(slot));
    let now_open = |open: &Open| after.state.open.iter().find(|next| next.slot == open.slot);
    for open in &before.state.open {
        let to = match now_open(open) {
            Some(next) if next.attempt != open.attempt => (tried(next.attempt), None),
            Some(_) => continue,
            None if given_up(open.slot) => ("void", Some(decision.at)),
            None => ("paid", Some(decision.at)),
        };
        let place = (&after.row.id(), open.slot.to_string());
        store::invoice::update(tx, cx.tenant.id(), (place.0, &place.1), (to.0, None), to.1).await?;
    }
    Ok(())
}

async fn perform(tx: &mut Tx, cx: &Cx, life: &Life, (effect, at): (&Effect, Timestamp), note: &Note) -> Result<()> {
    match effect {
        Effect::Charge(charge) => ask(tx, cx, life, (charge, at), note.collected).await,
        Effect::Collected(charge) => ask(tx, cx, life, (charge, at), true).await,
        Effect::Refund(refund) => {
            let amount = Money::new(refund.amount.minor.saturating_neg(), refund.amount.currency);
            let invoice = InvoiceRow { settled_at: Some(at.as_micros()), ..invoice(life, (refund.slot, amount), at) };
            let invoice = InvoiceRow { state: "refunded".to_owned(), ..invoice };
            let lines = lines(&invoice, &refund.lines);
            Ok(store::invoice::insert(tx, cx.tenant.id(), &invoice, &lines).await?)
        }
        Effect::Retry(_) => {
            for open in life.state.open.iter().filter(|open| open.attempt == Attempt::Again && collects(life)) {
                let slot = open.slot.to_string();
                let to = (tried(open.attempt), Some(at));
                store::invoice::update(tx, cx.tenant.id(), (&life.row.id(), &slot), to, None).await?;
            }
            Ok(())
        }
        // The one is done with the state, the other is what mails are made of.
        Effect::Void(_) | Effect::Notify(_) => Ok(()),
    }
}

/// Whether we are the ones who ask for its money: companies collect by themselves, and invoices are paid by hand.
pub fn collects(life: &Life) -> bool {
    life.row.provider.as_deref() == Some(sandbox::NAME) && life.row.provider_subscription.is_some()
}

async fn ask(tx: &mut Tx, cx: &Cx, life: &Life, (charge, at): (&Charge, Timestamp), collected: bool) -> Result<()> {
    let open = invoice(life, (charge.slot, charge.amount), at);
    let invoice = if collected {
        InvoiceRow { state: "paid".to_owned(), settled_at: Some(at.as_micros()), ..open }
    } else {
        InvoiceRow { collect_at: collects(life).then_some(at.as_micros()), ..open }
    };
    let lines = lines(&invoice, &charge.lines);
    Ok(store::invoice::insert(tx, cx.tenant.id(), &invoice, &lines).await?)
}

fn invoice(life: &Life, (slot, amount): (Slot, Money), at: Timestamp) -> InvoiceRow {
    InvoiceRow {
        invoice_id: encode_as("inv", id_bits()),
        customer_id: life.row.customer_id.clone(),
        subscription_id: life.row.subscription_id.clone(),
        slot: slot.to_string(),
        state: "open".to_owned(),
        currency: amount.currency.code().to_owned(),
        amount_minor: amount.minor,
        provider: life.row.provider.clone(),
        tries: 0,
        collect_at: None,
        issued_at: at.as_micros(),
        settled_at: None,
    }
}

fn lines(invoice: &InvoiceRow, lines: &[Line]) -> Vec<LineRow> {
    let line = |line: &Line| LineRow {
        invoice_id: invoice.invoice_id.clone(),
        kind: serde_json::to_value(line.kind)
            .ok()
            .and_then(|kind| kind.as_str().map(str::to_owned))
            .unwrap_or_default(),
        plan_id: line.plan.to_string(),
        amount_minor: line.amount.minor,
        period_start: line.from.as_micros(),
        period_end: line.to.as_micros(),
        feature: line.used.as_ref().map(|used| used.feature.to_string()),
        units: line.used.as_ref().map(|used| used.units),
    };
    lines.iter().map(line).collect()
}
