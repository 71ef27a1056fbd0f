//! Puts a customer on terms, whatever its subscription stands at: what is bought, and what an admin gives.

use domain::entitlement::SubscriptionStatus;
use domain::id::CustomerId;
use domain::proration::Allowance;
use domain::subscription::{Cause, Command, Decision, Discount, Refusal, State, Step, Terms, When, decide};
use store::db::Tx;

use super::{BEHIND_MAX, Life, Note, Origin, apply, beginning, refused, rules, step, trial_days, write};
use crate::app::provider;
use crate::cx::Cx;
use crate::error::{Error, Result};

/// Terms that a customer is to be on.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What is bought or given.
    pub terms: Terms,
    /// When it takes the place of what runs.
    pub when: When,
    /// Days of trial that the plan has.
    pub trial_days: i64,
    /// What was used of what the present plan grants.
    pub allowances: Vec<Allowance>,
    /// Through whom it is paid, when that is new.
    pub origin: Origin,
    /// What is taken off, by the coupon that `origin` names.
    pub discount: Option<Discount>,
    /// How it is noted.
    pub note: Note,
}

/// Puts a customer on terms, whatever the subscription stands at: a first one, or a change of the current one.
pub async fn put_on(tx: &mut Tx, cx: &Cx, customer: &CustomerId, wanted: &Wanted) -> Result<Life> {
    let note = &wanted.note;
    let Some(life) = Life::lock(tx, cx, customer).await? else {
        let days = trial_days(&mut *tx, cx, customer, wanted.trial_days).await?;
        let decision = first(cx, wanted, days)?;
        return write::begin(tx, cx, customer, (&decision, &wanted.origin), note).await;
    };
    if life.state.status == SubscriptionStatus::Paused && (note.collected || is_over(cx, &life)) {
        return anew(tx, cx, (customer, life), wanted).await;
    }
    let paid_before = (life.row.provider.clone(), life.row.provider_subscription.clone());
    let life = caught_up(tx, cx, life).await?;
    let mut moved = through(life, &wanted.origin);
    if let (Some(code), Some(discount)) = (&wanted.origin.coupon, wanted.discount) {
        moved = with_coupon(cx, moved, &wanted.terms, (code, discount))?;
    }
    if let (Some(provider), Some(remote)) = (&paid_before.0, &paid_before.1)
        && moved.row.provider_subscription.as_ref() != Some(remote)
    {
        // Whoever pays through another approval from now on pays no more through this one.
        provider::end_later(tx, cx, (provider, remote)).await?;
    }
    if let Some(back) = going_on(moved.state.status) {
        moved = apply(tx, cx, moved, &back, &Note { collected: false, ..note.clone() }).await?;
    }
    if moved.state.terms.is_free() && moved.state.scheduled.is_none() {
        let days = trial_days(&mut *tx, cx, customer, wanted.trial_days).await?;
        if days > 0 && !wanted.terms.is_free() {
            // Something free has nothing to be set off, so the trial begins as it would for somebody new.
            return write::advance(tx, cx, &moved, &first(cx, wanted, days)?, note).await;
        }
    }
    // What ends was paid as before.
    let before = |mut life: Life| {
        (life.row.provider, life.row.provider_subscription) = paid_before.clone();
        life
    };
    let change = Command::Change { to: wanted.terms.clone(), when: wanted.when, allowances: wanted.allowances.clone() };
    let (moved, decided) = decide_after_steps(tx, cx, moved, &change).await?;
    match decided {
        Ok(decision) => write::advance(tx, cx, &moved, &decision, note).await,
        Err(Refusal::AlreadySo) if note.collected && moved.state.status == SubscriptionStatus::Trialing => {
            // Who buys in the trial what it is of makes a payment method known.
            let next = State { payable: true, ..moved.state.clone() };
            let decision = Decision { at: cx.tenant_now(), next, cause: Cause::Checkout, effects: Vec::new() };
            write::advance(tx, cx, &moved, &decision, note).await
        }
        Err(Refusal::AlreadySo) if !note.collected => Ok(moved),
        Err(Refusal::AlreadySo | Refusal::PaymentOpen | Refusal::OtherCurrency) if note.collected => {
            anew(tx, cx, (customer, before(moved)), wanted).await
        }
        // Of what is paid by hand, somebody knows what is on its way: it is asked for anew.
        Err(Refusal::PaymentOpen) if wanted.when == When::Now && moved.row.provider.is_none() => {
            anew(tx, cx, (customer, before(moved)), wanted).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Whether the period that was paid for is over: of one that is paused, nobody begins the next.
fn is_over(cx: &Cx, life: &Life) -> bool {
    life.state.period.end.is_some_and(|end| end <= cx.tenant_now())
}

/// The same subscription, paid through whom it was bought now.
fn through(mut life: Life, origin: &Origin) -> Life {
    if origin.provider.is_some() {
        life.row.provider.clone_from(&origin.provider);
        life.row.provider_subscription.clone_from(&origin.provider_subscription);
        life.state.payable = true;
    }
    life
}

/// The same subscription with a coupon in the place of the one it may have, before it changes to terms.
pub(super) fn with_coupon(cx: &Cx, mut life: Life, to: &Terms, (code, discount): (&str, Discount)) -> Result<Life> {
    life.row.coupon = Some(code.to_owned());
    life.state.discount = Some(counting(cx, &life.state, to, discount)?);
    Ok(life)
}

/// A coupon that counts from the payment on that a change brings. Within a period that runs on, that is the period's own,
/// so that the next one is the second.
pub(super) fn counting(cx: &Cx, state: &State, to: &Terms, discount: Discount) -> Result<Discount> {
    let runs_on = state.status == SubscriptionStatus::Active && !state.terms.is_free();
    if !runs_on || state.terms.interval != to.interval {
        return Ok(discount);
    }
    let running = state.running(&cx.tenant.catalog.zone, cx.tenant_now()).map_err(Error::internal)?;
    Ok(Discount { from: running.start, ..discount })
}

/// Who bought anew has paid for all of it: what was before ends, what is open of it is given up, and what is left of what
/// was paid is given back.
async fn anew(tx: &mut Tx, cx: &Cx, (customer, life): (&CustomerId, Life), wanted: &Wanted) -> Result<Life> {
    let end = Command::Cancel { when: When::Now, refund: true, allowances: wanted.allowances.clone() };
    apply(tx, cx, life, &end, &Note::default()).await?;
    write::begin(tx, cx, customer, (&first(cx, wanted, 0)?, &wanted.origin), &wanted.note).await
}

/// What lets one that stands still go on.
fn going_on(status: SubscriptionStatus) -> Option<Command> {
    match status {
        SubscriptionStatus::Canceled => Some(Command::UndoCancel),
        SubscriptionStatus::Paused => Some(Command::Resume),
        SubscriptionStatus::Pending
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::Active
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Expired => None,
    }
}

/// A subscription after everything that fell due, which is done as it stood.
pub(super) async fn caught_up(tx: &mut Tx, cx: &Cx, mut life: Life) -> Result<Life> {
    for _ in 0..BEHIND_MAX {
        match step(tx, cx, &life, cx.tenant_now()).await? {
            Some(moved) => life = moved,
            None => return Ok(life),
        }
    }
    Err(refused(Refusal::DueFirst(Step::Renewal)))
}

async fn decide_after_steps(
    tx: &mut Tx,
    cx: &Cx,
    mut life: Life,
    command: &Command,
) -> Result<(Life, Result<Decision, Refusal>)> {
    let (rules, now) = (rules(cx)?, cx.tenant_now());
    for _ in 0..BEHIND_MAX {
        match decide(&life.state, command, &rules, now) {
            Err(Refusal::DueFirst(_)) => match step(tx, cx, &life, now).await? {
                Some(moved) => life = moved,
                None => break,
            },
            decided => return Ok((life, decided)),
        }
    }
    Ok((life, Err(Refusal::DueFirst(Step::Renewal))))
}

/// How somebody begins who has nothing yet that is paid for: in a trial, or with a first period that the provider took or
/// that is asked for.
fn first(cx: &Cx, wanted: &Wanted, trial_days: i64) -> Result<Decision> {
    let Wanted { terms, origin, note, .. } = wanted;
    let (rules, now) = (rules(cx)?, cx.tenant_now());
    if !note.collected || terms.is_free() {
        return beginning(cx, terms, (trial_days, origin.provider.is_some()), wanted.discount, now);
    }
    let new = domain::subscription::Start {
        terms: terms.clone(),
        trial_days: 0,
        approval_until: Some(now.plus_seconds(1)),
        discount: wanted.discount,
        payable: false,
    };
    let waits = domain::subscription::start(&new, &rules, now).map_err(refused)?.next;
    decide(&waits, &Command::Approve { trial_days }, &rules, now).map_err(refused)
}
