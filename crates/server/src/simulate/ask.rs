//! What customers ask of their subscriptions, previewed and done: what the preview says must be what happens.

use domain::entitlement::SubscriptionStatus;
use domain::plan::Applies;
use domain::revenue::Interval;
use domain::subscription::{State, When};
use domain::time::Timestamp;
use serde_json::json;

use super::books::Grant;
use super::violated;
use super::world::{Tried, World};
use crate::app::checkout::{self, Bought, Order};
use crate::app::revision::Expected;
use crate::app::subscription::Life;
use crate::app::subscription::ask::{Ask, does, preview};
use crate::app::{catalog, idempotency, sandbox, time};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

const PLANS: [&str; 4] = ["free", "basic", "team", "daily"];

fn drawn(world: &mut World, at: i64) -> Ask {
    let when = world.chance.choice([When::Usual, When::Now, When::PeriodEnd]).unwrap_or_default();
    match world.chance.u32(0..10) {
        0..4 => Ask::Change {
            plan: world.chance.choice(PLANS).unwrap_or("free").to_owned(),
            interval: world.chance.choice([None, Some(Interval::Month), Some(Interval::Year)]).flatten(),
            when,
            coupon: None,
        },
        4..6 => Ask::Cancel { when, refund: world.chance.bool() },
        6 => {
            let days = world.chance.i64(1..=50);
            let until =
                world.chance.bool().then(|| Timestamp::from_micros(at).plus_seconds(days.saturating_mul(86_400)));
            Ask::Pause { when, until }
        }
        _ => Ask::Resume,
    }
}

fn named(asked: &Ask) -> String {
    match asked {
        Ask::Change { plan, interval, when, .. } => format!("change to {plan} {interval:?} {when:?}"),
        Ask::Cancel { when, refund } => format!("cancel {when:?} {refund}"),
        Ask::Pause { when, until } => format!("pause {when:?} {}", until.is_some()),
        Ask::Resume => "resume".to_owned(),
    }
}

/// The parts of a state that a preview foretells: money may be collected at once behind it.
fn foretold(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let State { status, terms, period, access_until, scheduled, resume_at, .. } = state.clone();
    // A card that is declined at once is no part of what was asked.
    let declined = status == SubscriptionStatus::PastDue;
    let (status, access_until) = if declined { (SubscriptionStatus::Active, None) } else { (status, access_until) };
    (status, terms, period, access_until, scheduled, resume_at)
}

/// Somebody asks something of their subscription, or buys.
pub async fn ask(world: &mut World, who: usize) -> Result<String> {
    let person = world.people.get(who).ok_or_else(|| Error::internal("no such person"))?.clone();
    if world.chance.u32(0..5) == 0 {
        return buy(world, (person.tenant, &person.id)).await;
    }
    let cx = world.cx(person.tenant).await?;
    let at = cx.tenant_now();
    let asked = drawn(world, at.as_micros());
    // What is due is done first, so that what is asked is all that happens.
    time::work(&cx.app, at).await?;
    let seen = preview(&cx, &person.id, &asked).await;
    let before = store::invoice::total(&cx.app.db, cx.tenant.id(), &person.id).await?;
    let key = world.key();
    let identity = idempotency::of_request(&cx, "asked", &key, &json!({}))?;
    drop(cx);
    let act = async |cx: &Cx| does(cx, &person.id, &asked, Some(&identity)).await;
    let done = match world.attempt(person.tenant, act).await? {
        Tried::Ended(done) => done,
        // Nobody knows whether it happened; with its key it is done once.
        Tried::Crashed => does(&world.cx(person.tenant).await?, &person.id, &asked, Some(&identity)).await,
    };
    let cx = world.cx(person.tenant).await?;
    let what = named(&asked);
    match (seen, done) {
        (Ok(seen), Ok(_)) => {
            world.counts.changes = world.counts.changes.saturating_add(1);
            let after = store::invoice::total(&cx.app.db, cx.tenant.id(), &person.id).await?;
            let asked_for = after.saturating_sub(before);
            if asked_for != seen.due_now.minor {
                let what =
                    format!("{} {what}: {asked_for} was asked for, and {:?} foretold", person.name, seen.due_now);
                return Err(violated("preview", what));
            }
            let life = Life::look(&cx, &person.id).await?;
            let stands = life.as_ref().map(|life| foretold(&life.state));
            if stands.as_ref().is_some_and(|stands| *stands != foretold(&seen.next)) {
                let what =
                    format!("{} {what}: stands {stands:?}, and {:?} was foretold", person.name, foretold(&seen.next));
                return Err(violated("preview", what));
            }
            Ok(format!("asks to {what}: {asked_for}"))
        }
        (Err(seen), Err(done)) if seen.code == done.code && seen.code != Code::Internal => {
            Ok(format!("cannot {what}: {:?}", done.code))
        }
        // What a change needs beside its rules shows only when it is done: someone to change.
        (Ok(_), Err(done)) if done.code == Code::SubscriptionState => Ok(format!("cannot {what} yet")),
        (seen, done) => {
            let (seen, done) = (seen.map(|_| ()).map_err(|e| e.detail), done.map(|_| ()).map_err(|e| e.detail));
            Err(violated("preview", format!("{} {what}: {seen:?} was foretold, and {done:?} came", person.name)))
        }
    }
}

async fn buy(world: &mut World, (tenant, customer): (usize, &domain::id::CustomerId)) -> Result<String> {
    let plan = world.chance.choice(PLANS).unwrap_or("basic");
    let interval =
        if plan != "daily" && plan != "free" && world.chance.bool() { Interval::Year } else { Interval::Month };
    let order = Order {
        plan: plan.to_owned(),
        interval,
        provider: Some(sandbox::NAME.to_owned()),
        coupon: None,
        return_url: "http://127.0.0.1:1/".to_owned(),
    };
    let key = world.key();
    let identity = idempotency::of_request(&world.cx(tenant).await?, "bought", &key, &json!({}))?;
    let act = async |cx: &Cx| checkout::begin(cx, customer, &order, Some(&identity)).await;
    let begun = match world.attempt(tenant, act).await? {
        Tried::Ended(begun) => begun,
        Tried::Crashed => return Ok(format!("crashes when it buys {plan}")),
    };
    let row = match begun {
        Ok(Bought::Waits(row, _)) => row,
        Ok(Bought::Active | Bought::Planned) => return Ok(format!("takes {plan} for nothing")),
        Err(error) if error.code == Code::Internal => return Err(error),
        Err(error) => return Ok(format!("cannot buy {plan}: {:?}", error.code)),
    };
    world.counts.changes = world.counts.changes.saturating_add(1);
    let approves = world.chance.u32(0..10) > 0;
    let id = row.checkout_id.clone();
    let act = async |cx: &Cx| answer(cx, &row, approves).await;
    let mut answered = world.attempt(tenant, act).await?;
    if matches!(answered, Tried::Crashed) || world.chance.bool() {
        // The browser comes back, or the provider says it a second time.
        answered = Tried::Ended(checkout::look_up(&world.cx(tenant).await?, &id).await);
    }
    match answered {
        Tried::Ended(Err(error)) if error.code == Code::Internal => Err(error),
        Tried::Ended(Err(error)) => Ok(format!("cannot end buying {plan}: {:?}", error.code)),
        Tried::Ended(Ok(row)) => Ok(format!("buys {plan} by the {}: {}", interval.name(), row.state)),
        Tried::Crashed => Ok(format!("crashes at the end of buying {plan}")),
    }
}

/// The buyer's answer on the sandbox's page, and the look-up behind it.
async fn answer(cx: &Cx, row: &store::checkout::CheckoutRow, approves: bool) -> Result<store::checkout::CheckoutRow> {
    let token = row.approval_url.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let approval = sandbox::approval(&cx.app.db, token).await?;
    if !checkout::is_superseded(cx, &approval.checkout).await? {
        sandbox::decide(&cx.app.db, &approval, approves).await?;
    }
    checkout::look_up(cx, &row.checkout_id).await
}

/// Somebody's card is declined from now on, or works again.
pub async fn decline_or_not(world: &mut World, who: usize) -> Result<String> {
    let pays = world.chance.bool();
    let person = world.people.get(who).ok_or_else(|| Error::internal("no such person"))?;
    pay(&world.cx(person.tenant).await?, &person.name, pays).await?;
    Ok(if pays { "pays again" } else { "is declined" }.to_owned())
}

/// How somebody's payments go from now on; nobody asks of one who pays nothing.
pub async fn pay(cx: &Cx, name: &str, pays: bool) -> Result<()> {
    match sandbox::set_declines(cx, name, !pays).await {
        Err(error) if error.code != Code::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Changes what a plan grants of a feature.
pub async fn set_limit(cx: &Cx, grant: &Grant, to: i64, applies: Applies) -> Result<()> {
    let exported = catalog::export(cx).await?;
    let mut document = exported.document;
    let plans = document.get_mut("plans").and_then(|plans| plans.as_array_mut());
    let plan = plans.and_then(|plans| plans.iter_mut().find(|plan| plan["slug"] == grant.plan));
    let limit = plan.and_then(|plan| plan.pointer_mut(&format!("/features/{}/limitValue", grant.feature)));
    *limit.ok_or_else(|| Error::internal("the catalog has no such limit"))? = json!(to);
    let text = serde_json::to_vec(&document).map_err(Error::internal)?;
    let how = catalog::How { dry_run: false, prune: false, applies };
    catalog::apply(cx, &text, how, &Expected::Unsaid).await.map(|_| ())
}
