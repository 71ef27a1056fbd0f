//! What customers do with features: use, send again, hold, settle, and count at the source.

use std::collections::BTreeMap;

use domain::id::{CustomerId, FeatureKey};
use domain::plan::Applies;
use domain::quota::Quota;
use jiff::tz::TimeZone;
use store::gate::Done;

use super::books::{Hold, MARGIN_MICROS, Person, ROLLOVER, SEATS, Sent, granted};
use super::calendar::{Every, began};
use super::world::{Tried, World};
use super::{ask, violated};
use crate::app::customer::{NewCustomer, create};
use crate::app::usage::{self, Action};
use crate::app::{idempotency, subscription};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// Uses that are kept, to be sent again.
const SENT_KEPT: usize = 8;

/// A new customer of one of the tenants.
pub async fn arrive(world: &mut World) -> Result<()> {
    let tenant = world.chance.usize(0..world.places.len());
    let at = world.look_at_some_clock();
    let name = format!("person-{}", world.people.len());
    let plan = world.chance.choice([None, Some("free"), Some("basic"), Some("team"), Some("daily")]).flatten();
    let new = NewCustomer { external_id: Some(name.clone()), plan: plan.map(str::to_owned), ..NewCustomer::default() };
    // A crash may cut it off; the same again answers the one that is there.
    let row = loop {
        let new = new.clone();
        if let Tried::Ended(made) = world.attempt(tenant, async |cx| create(cx, new).await).await? {
            break made?.0;
        }
    };
    let anchor = row.anchor;
    if anchor != at {
        return Err(violated("I17", format!("{name} was made at {anchor}, not at {at}")));
    }
    world.people.push(Person {
        tenant,
        name,
        id: CustomerId::stored(row.customer_id),
        anchor,
        used: BTreeMap::new(),
        holds: Vec::new(),
        seats: 0,
        sent: Vec::new(),
    });
    Ok(())
}

/// One act of somebody; answers what came of it, in words that are the same for the same seed.
pub async fn act(world: &mut World) -> Result<String> {
    if world.people.is_empty() {
        return Ok("nobody".to_owned());
    }
    let who = world.chance.usize(0..world.people.len());
    let at = world.look_at_some_clock();
    world.counts.acts = world.counts.acts.saturating_add(1);
    let done = match world.chance.u32(0..100) {
        0..40 => consume(world, who, at).await?,
        40..50 => again(world, who).await?,
        50..58 => hold(world, who, at).await?,
        58..66 => end_hold(world, who, at).await?,
        66..72 => seats(world, who).await?,
        72..94 => ask::ask(world, who).await?,
        94..97 => ask::decline_or_not(world, who).await?,
        97..99 => limits(world, who).await?,
        _ => {
            world.restart().await?;
            "crash".to_owned()
        }
    };
    Ok(format!("person-{who} {done}"))
}

fn person(world: &World, who: usize) -> Result<&Person> {
    world.people.get(who).ok_or_else(|| Error::internal("no such person"))
}

/// The plan that somebody is on, in the words of the catalog, and whether it may be used: none without one.
async fn plan_of(cx: &Cx, person: &Person, at: i64) -> Result<Option<(String, bool)>> {
    let Some(row) = subscription::current(cx, &person.id).await? else { return Ok(None) };
    let plan = cx.tenant.catalog.plans.values().find(|plan| plan.id.as_str() == row.plan_id);
    let usable = match &*row.status {
        "trialing" | "active" => true,
        "past_due" | "canceled" => row.access_until.is_some_and(|until| at < until),
        _ => false,
    };
    Ok(plan.map(|plan| (plan.slug.to_string(), usable)))
}

/// What the product says of a customer's quotas, each compared with the simulator's own books.
async fn look(world: &World, who: usize, at: i64) -> Result<(Option<String>, BTreeMap<String, Quota>)> {
    let person = person(world, who)?;
    let place = world.places.get(person.tenant).ok_or_else(|| Error::internal("no such tenant"))?;
    let cx = world.cx(person.tenant).await?;
    let quotas = usage::quotas(&cx, person.id.as_str()).await?;
    let plan = plan_of(&cx, person, at).await?;
    if !quotas.is_empty() && plan.as_ref().is_none_or(|(_, usable)| !usable) {
        return Err(violated("I3", format!("{} may use {} on {plan:?}", person.name, quotas.len())));
    }
    let plan = plan.map(|(slug, _)| slug);
    let mut told = BTreeMap::new();
    for quota in quotas {
        let feature = quota.feature.to_string();
        if feature == "seats" {
            let limit = SEATS.iter().find(|(slug, _)| Some(*slug) == plan.as_deref()).map(|(_, limit)| *limit);
            if (quota.used, quota.limit) != (person.seats, limit) {
                let (says, limited) = (quota.used, quota.limit);
                let what = format!("{}: {says} of {limited:?} seats, not {} of {limit:?}", person.name, person.seats);
                return Err(violated("I2", what));
            }
            told.insert(feature, quota);
            continue;
        }
        let Some(grant) = plan.as_deref().and_then(|plan| granted(plan, &feature)) else {
            return Err(violated("I2", format!("{}: has {feature} on {plan:?}", person.name)));
        };
        let began = person.period(grant, &place.zone, at);
        if Some(quota.period.start.as_micros()) != began {
            let what =
                format!("{} {feature}: the period began at {}, not at {began:?}", person.name, quota.period.start);
            return Err(violated("I16", what));
        }
        let period = quota.period.start.as_micros();
        let limit = world.limit(person.tenant, grant);
        let used = person.used(&feature, period);
        let held = person.held(&feature, period, at);
        let right = quota.used == used
            && held.is_none_or(|held| held == quota.reserved)
            && quota.limit == Some(limit)
            && (0..=carried_most(person, &place.zone, at)).contains(&quota.credits);
        if !right {
            let says =
                format!("{} used, {} held, {:?}, {} credits", quota.used, quota.reserved, quota.limit, quota.credits);
            let what = format!("{} {feature} at {at}: {says}; not {used}, {held:?}, {limit}", person.name);
            return Err(violated("I2", what));
        }
        told.insert(feature, quota);
    }
    Ok((plan, told))
}

/// Units of earlier periods that there may be: those of one. Where clocks differ over whether the month has ended, those
/// of two, for the moment by which they differ.
fn carried_most(person: &Person, zone: &TimeZone, at: i64) -> i64 {
    let margin = i64::try_from(MARGIN_MICROS).unwrap_or(0);
    let month = |at| began(Every::BillingMonth, person.anchor, zone, at);
    if month(at.saturating_sub(margin)) == month(at.saturating_add(margin)) { ROLLOVER } else { 2 * ROLLOVER }
}

/// How many units of an amount count against the plan, and whether it fits.
fn split(quota: &Quota, soft: bool, amount: i64) -> (i64, bool) {
    let free =
        quota.limit.map_or(amount, |limit| limit.saturating_sub(quota.used).saturating_sub(quota.reserved).max(0));
    let of_plan = amount.min(free);
    let of_credits = amount.saturating_sub(of_plan).min(quota.credits);
    let beyond = amount.saturating_sub(of_plan).saturating_sub(of_credits);
    (if soft { of_plan.saturating_add(beyond) } else { of_plan }, beyond == 0 || soft)
}

fn drawn(world: &mut World) -> Result<(FeatureKey, i64)> {
    let feature = if world.chance.bool() { "calls" } else { "tokens" };
    // Some take much at once, so that limits are reached.
    let amount = if world.chance.u32(0..5) == 0 { world.chance.i64(20..=90) } else { world.chance.i64(1..=12) };
    Ok((FeatureKey::parse(feature).map_err(Error::internal)?, amount))
}

async fn send(world: &World, who: usize, (feature, amount): (&FeatureKey, i64), key: &str) -> Result<Done> {
    let person = person(world, who)?;
    let cx = world.cx(person.tenant).await?;
    let action = Action {
        customer: Some(person.name.clone()),
        items: vec![(feature.clone(), amount)],
        idempotency: Some(idempotency::of_request(&cx, "simulated", key, &(feature, amount))?),
        ..Action::default()
    };
    usage::consume(&cx, &action).await
}

async fn consume(world: &mut World, who: usize, at: i64) -> Result<String> {
    let (feature, amount) = drawn(world)?;
    let (plan, quotas) = look(world, who, at).await?;
    let key = world.key();
    let sure = person(world, who)?.holds.iter().all(|hold| hold.until.abs_diff(at) > MARGIN_MICROS);
    let done = send(world, who, (&feature, amount), &key).await;
    let name = feature.to_string();
    let Some(quota) = quotas.get(&name) else {
        return match done {
            Err(error) => Ok(format!("may not use {name}: {:?}", error.code)),
            Ok(_) => Err(violated("I3", format!("person-{who} used {name}, which {plan:?} does not grant"))),
        };
    };
    let soft = plan.as_deref().and_then(|plan| granted(plan, &name)).is_some_and(|grant| grant.soft);
    let (of_plan, fits) = split(quota, soft, amount);
    match done {
        Ok(done) => {
            if sure && !fits {
                return Err(violated("I3", format!("person-{who} used {amount} {name} beyond {quota:?}")));
            }
            world.counts.allowed = world.counts.allowed.saturating_add(1);
            let told = done.quotas.first().map_or(0, |quota| quota.used);
            let person = world.people.get_mut(who).ok_or_else(|| Error::internal("no such person"))?;
            let period = quota.period.start.as_micros();
            let noted = if sure { of_plan } else { told.saturating_sub(person.used(&name, period)) };
            person.note(&name, period, noted);
            if told != person.used(&name, period) {
                let what = format!("person-{who} {name}: the answer says {told}, not {}", person.used(&name, period));
                return Err(violated("I2", what));
            }
            let event = done.event.map(|event| event.to_string()).unwrap_or_default();
            let sent = Sent { key: key.clone(), feature: feature.clone(), amount, answer: (event, told), at };
            if person.sent.len() == SENT_KEPT {
                person.sent.remove(0);
            }
            person.sent.push(sent);
            if world.chance.u32(0..25) == 0 {
                // The answer is lost with the process.
                world.restart().await?;
                repeat(world, who, usize::MAX).await?;
            }
            Ok(format!("uses {amount} {name}: {told}"))
        }
        Err(error) if error.code == Code::QuotaExceeded => {
            if sure && fits {
                return Err(violated("I3", format!("person-{who}: {amount} {name} were refused at {quota:?}")));
            }
            world.counts.refused = world.counts.refused.saturating_add(1);
            Ok(format!("is refused {amount} {name}"))
        }
        // One that is paused, or whose time is over, may look and not use.
        Err(error) if matches!(error.code, Code::SubscriptionRequired | Code::SubscriptionState) => {
            Ok(format!("may not use {name}: {:?}", error.code))
        }
        Err(error) => Err(error),
    }
}

/// A use is sent again, perhaps much later.
async fn again(world: &mut World, who: usize) -> Result<String> {
    // Keys are kept for 35 days.
    let since = world.now.saturating_sub(30 * 86_400_000_000);
    let person = world.people.get_mut(who).ok_or_else(|| Error::internal("no such person"))?;
    person.sent.retain(|sent| sent.at > since);
    let known = person.sent.len();
    if known == 0 {
        return Ok("has nothing to send again".to_owned());
    }
    let which = world.chance.usize(0..known);
    repeat(world, who, which).await
}

async fn repeat(world: &mut World, who: usize, which: usize) -> Result<String> {
    world.counts.again = world.counts.again.saturating_add(1);
    let all = &person(world, who)?.sent;
    let Some(sent) = all.get(which).or_else(|| all.last()).cloned() else { return Ok("nothing".to_owned()) };
    let done = send(world, who, (&sent.feature, sent.amount), &sent.key).await;
    let done =
        done.map_err(|error| violated("I17", format!("person-{who}: {} is refused now: {}", sent.key, error.detail)))?;
    let event = done.event.map(|event| event.to_string()).unwrap_or_default();
    let told = done.quotas.first().map_or(0, |quota| quota.used);
    if !done.replayed || (event, told) != sent.answer {
        return Err(violated(
            "I17",
            format!("person-{who}: {} was answered {told}, and {:?} before", sent.key, sent.answer),
        ));
    }
    Ok(format!("sends {} {} again: {told}", sent.amount, sent.feature))
}

async fn hold(world: &mut World, who: usize, at: i64) -> Result<String> {
    let (feature, amount) = drawn(world)?;
    let (plan, quotas) = look(world, who, at).await?;
    let seconds = world.chance.i64(600..=86_400);
    let (cx, name) = {
        let person = person(world, who)?;
        (world.cx(person.tenant).await?, person.name.clone())
    };
    let sure = person(world, who)?.holds.iter().all(|hold| hold.until.abs_diff(at) > MARGIN_MICROS);
    let action = Action { customer: Some(name), items: vec![(feature.clone(), amount)], ..Action::default() };
    let done = usage::reserve(&cx, &action, seconds).await;
    let Some(quota) = quotas.get(feature.as_str()).filter(|_| sure) else {
        // Not known well enough to say what should be: what was held is given back at once.
        if let Ok((Done { reservation: Some(id), .. }, _)) = &done {
            usage::release(&cx, id).await?;
        }
        return Ok("holds nothing".to_owned());
    };
    let soft = plan.as_deref().and_then(|plan| granted(plan, feature.as_str())).is_some_and(|grant| grant.soft);
    let (of_plan, fits) = split(quota, soft, amount);
    match done {
        Ok((Done { reservation: Some(id), .. }, until)) if fits => {
            let period = quota.period.start.as_micros();
            let hold = Hold { id, feature: feature.clone(), amount, of_plan, period, until: until.as_micros() };
            let person = world.people.get_mut(who).ok_or_else(|| Error::internal("no such person"))?;
            person.holds.push(hold);
            Ok(format!("holds {amount} {feature}"))
        }
        Ok(_) => Err(violated("I3", format!("person-{who} holds {amount} {feature} beyond {quota:?}"))),
        Err(error) if error.code == Code::QuotaExceeded && !fits => Ok(format!("cannot hold {amount} {feature}")),
        Err(error) if matches!(error.code, Code::SubscriptionRequired | Code::SubscriptionState) => {
            Ok(format!("may not hold {feature}"))
        }
        Err(error) => Err(error),
    }
}

/// A hold ends: what was really used is settled, or it is given back, as is one whose time is over or nearly so.
async fn end_hold(world: &mut World, who: usize, at: i64) -> Result<String> {
    let count = person(world, who)?.holds.len();
    if count == 0 {
        return Ok("holds nothing".to_owned());
    }
    let which = world.chance.usize(0..count);
    let settles = world.chance.bool();
    let person = world.people.get_mut(who).ok_or_else(|| Error::internal("no such person"))?;
    let hold = person.holds.remove(which);
    let tenant = person.tenant;
    let cx = world.cx(tenant).await?;
    let lasts = hold.until > at && hold.until.abs_diff(at) > MARGIN_MICROS;
    if !settles || !lasts {
        usage::release(&cx, &hold.id).await?;
        return Ok(format!("gives {} {} back", hold.amount, hold.feature));
    }
    usage::settle(&cx, &hold.id, &[(hold.feature.clone(), hold.amount)], &Action::default()).await?;
    let person = world.people.get_mut(who).ok_or_else(|| Error::internal("no such person"))?;
    person.note(hold.feature.as_str(), hold.period, hold.of_plan);
    Ok(format!("settles {} {}", hold.amount, hold.feature))
}

/// Seats are counted at their source, or one comes or goes.
async fn seats(world: &mut World, who: usize) -> Result<String> {
    let seats = FeatureKey::parse("seats").map_err(Error::internal)?;
    let person = person(world, who)?;
    let (tenant, name, level) = (person.tenant, person.name.clone(), person.seats);
    let cx = world.cx(tenant).await?;
    let (counted, to) = if world.chance.bool() {
        let to = world.chance.i64(0..=6);
        (usage::set_gauge(&cx, &seats, (&name, to), &Action::default()).await, to)
    } else {
        let delta = if world.chance.bool() { 1 } else { -1 };
        let to = level.saturating_add(delta);
        (usage::adjust_gauge(&cx, &seats, (&name, delta), &Action::default()).await, to)
    };
    match counted {
        Ok(done) => {
            if to < 0 || done.quotas.first().map(|quota| quota.used) != Some(to) {
                return Err(violated("I2", format!("person-{who}: {to} seats were counted: {:?}", done.quotas)));
            }
            let person = world.people.get_mut(who).ok_or_else(|| Error::internal("no such person"))?;
            person.seats = to;
            Ok(format!("has {to} seats"))
        }
        Err(error) if error.code == Code::Internal => Err(error),
        Err(error) => Ok(format!("keeps {level} seats: {:?}", error.code)),
    }
}

/// The tenant of somebody changes what one of its plans grants, for everybody and at once.
async fn limits(world: &mut World, who: usize) -> Result<String> {
    let tenant = person(world, who)?.tenant;
    let index = world.chance.usize(0..super::books::GRANTS.len());
    let Some(grant) = super::books::GRANTS.get(index) else { return Ok("nothing".to_owned()) };
    let change = world.chance.i64(-3..=10);
    let to = grant.limit.saturating_add(change);
    let changed = world.attempt(tenant, async |cx| ask::set_limit(cx, grant, to, Applies::default()).await).await?;
    match changed {
        Tried::Ended(done) => done?,
        // It may have happened; once more it certainly has.
        Tried::Crashed => ask::set_limit(&world.cx(tenant).await?, grant, to, Applies::default()).await?,
    }
    world.note_limit(tenant, grant, to);
    Ok(format!("'s tenant grants {to} {} on {}", grant.feature, grant.plan))
}

/// Everybody pays again.
pub async fn let_all_pay(world: &World) -> Result<()> {
    for person in &world.people {
        let cx = world.cx(person.tenant).await?;
        ask::pay(&cx, &person.name, true).await?;
    }
    Ok(())
}
