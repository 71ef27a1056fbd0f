//! Use of features: consume, check, reserve, settle, release, gauges, corrections and reading.

mod items;

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::catalog::{FeatureKind, LimitType};
use domain::entitlement::{Barred, Entitlement, resolve_or_nothing};
use domain::id::{CustomerId, EventId, FeatureKey, ReservationId};
use domain::permission::Permission;
use domain::planted::{Bug, planted};
use domain::quota::Quota;
use domain::reservation::{State, TTL_SECONDS_MAX, first_unreserved};
use domain::time::Timestamp;
use domain::usage::AMOUNT_MAX;
use store::gate::{Answer, Command, Done, Held, Idempotency, Item, Operation};

use super::customer::Account;
use super::tenant::Tenant;
use super::{fail_open, refusal};
use crate::cx::{Actor, Cx, id_bits};
use crate::error::{Code, Error, Result};
use items::{gauge, held_items, merged};
pub use items::{items, items_or_nothing};

/// How often an operation is prepared again because an admin changed something at the same moment.
const PREPARE_MAX: usize = 16;

/// An action to decide.
#[derive(Debug, Clone, Default)]
pub struct Action {
    /// The customer that a key names; people act for their own.
    pub customer: Option<String>,
    /// What and how much.
    pub items: Vec<(FeatureKey, i64)>,
    /// Free text to keep beside the event.
    pub metadata: Option<String>,
    /// What makes a retry return the first answer.
    pub idempotency: Option<Idempotency>,
    /// Whether it brings in what was used elsewhere: nobody is told that a limit is near.
    pub quiet: bool,
}

/// Why an operation could not even be prepared.
pub enum Unprepared {
    /// The customer may not use a feature at all, as far as memory knows.
    Barred(FeatureKey, Barred),
    /// The request is wrong whatever the limits are.
    Wrong(Error),
}

impl From<Error> for Unprepared {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

/// Uses features, all of an action's or none.
pub async fn consume(cx: &Cx, action: &Action) -> Result<Done> {
    let customer = acting_for(cx, action.customer.as_deref())?;
    let decided = submit(cx, &customer, action, |cx, account| Ok(Command::Consume(items(cx, account, &action.items)?)));
    match decided.await {
        Err(error) if fail_open::is_away(&error) => {
            let account = cx.app.customers.known(cx, &customer);
            account.and_then(|account| fail_open::allow(cx, &account, action)).unwrap_or(Err(error))
        }
        decided => decided,
    }
}

/// Reads the customers of a batch into memory, so that its actions reach the gate in their order: one that had to wait
/// for its customer would be overtaken.
pub async fn read_ahead(cx: &Cx, named: impl Iterator<Item = Option<&str>>) {
    let named: BTreeSet<_> = named.filter_map(|name| acting_for(cx, name).ok()).collect();
    let reading = named.iter().map(|customer| cx.app.customers.get(cx, customer));
    let _each_action_tells_who_is_unknown = futures_util::future::join_all(reading).await;
}

/// Says whether [`consume`] would be allowed, and records nothing.
pub async fn check(cx: &Cx, action: &Action) -> Result<Done> {
    let customer = acting_for(cx, action.customer.as_deref())?;
    let action = &Action { idempotency: None, ..action.clone() };
    submit(cx, &customer, action, |cx, account| Ok(Command::Check(items(cx, account, &action.items)?))).await
}

/// Holds units until they are settled or released, or their time is over. Answers the instant of that, too.
pub async fn reserve(cx: &Cx, action: &Action, ttl_seconds: i64) -> Result<(Done, Timestamp)> {
    if !(1..=TTL_SECONDS_MAX).contains(&ttl_seconds) {
        return Err(Error::field("/ttlSeconds", format!("use 1 to {TTL_SECONDS_MAX} seconds")));
    }
    let customer = acting_for(cx, action.customer.as_deref())?;
    let expires_at = cx.tenant_now().plus_seconds(ttl_seconds);
    let done = hold(cx, &customer, action, (expires_at, Holder::Caller), |_| Ok(())).await?;
    let stored = match &done.reservation {
        Some(id) if done.replayed => store::usage::find_reservation(&cx.app.db, cx.tenant.id(), id).await?,
        _ => None,
    };
    Ok((done, stored.map_or(expires_at, |reservation| reservation.expires_at)))
}

/// Who made a hold, and whether it frees its idempotency key when it ends without being settled.
pub enum Holder {
    /// The caller, who settles or releases it.
    Caller,
    /// The AI gateway, for a caller who must not end it. A retry with the same key runs anew.
    Gateway,
    /// A file that is received, which has written the reservation's id down before it is made.
    File(ReservationId),
}

/// Holds the units of an action. `valid` says whether the rest of the request is right, which is told after what is not
/// paid or not allowed.
pub async fn hold(
    cx: &Cx,
    customer: &str,
    action: &Action,
    (expires_at, holder): (Timestamp, Holder),
    valid: impl Fn(&Cx) -> Result<()>,
) -> Result<Done> {
    let new = || ReservationId::from_bits(id_bits());
    let (id, principal, retryable) = match holder {
        Holder::Caller => (new(), cx.actor.name(), false),
        Holder::Gateway => (new(), format!("gateway for {}", cx.actor.name()), true),
        Holder::File(id) => (id, format!("file for {}", cx.actor.name()), false),
    };
    submit(cx, customer, action, move |cx, account| {
        let items = items(cx, account, &action.items)?;
        valid(cx)?;
        Ok(Command::Reserve { items, id: id.clone(), expires_at, principal: principal.clone(), retryable })
    })
    .await
}

/// Records what was really used of a reservation; only who reserved may.
pub async fn settle(cx: &Cx, id: &ReservationId, used: &[(FeatureKey, i64)], action: &Action) -> Result<Done> {
    let reservation = own_reservation(cx, id).await?;
    settle_held(cx, &reservation.customer, &reservation.held, used, (action, None)).await
}

/// Records what was really used of a hold, with the facts about it.
pub async fn settle_held(
    cx: &Cx,
    customer: &CustomerId,
    held: &Held,
    used: &[(FeatureKey, i64)],
    (action, detail): (&Action, Option<&str>),
) -> Result<Done> {
    let used = merged(used)?;
    if let Some((feature, amount)) = used.iter().find(|(_, amount)| !(0..=AMOUNT_MAX).contains(amount)) {
        return Err(Error::field("/items", format!("{feature}: {amount} is not between 0 and {AMOUNT_MAX}")));
    }
    if let Some(feature) = first_unreserved(&held.holds, used.iter().map(|(feature, _)| feature)) {
        return Err(Error::field("/items", format!("{feature} was not reserved; consume it instead")));
    }
    submit_with(cx, customer.as_str(), (action, detail), |cx, account| {
        let items = held_items(cx, account, held, &used);
        Ok(Command::Settle { reservation: held.clone(), items })
    })
    .await
}

/// Gives a reservation back; a second time is no error.
pub async fn release(cx: &Cx, id: &ReservationId) -> Result<Done> {
    let reservation = own_reservation(cx, id).await?;
    release_held(cx, &reservation.customer, &reservation.held).await
}

/// Gives a hold back.
pub async fn release_held(cx: &Cx, customer: &CustomerId, held: &Held) -> Result<Done> {
    submit(cx, customer.as_str(), &Action::default(), |cx, account| {
        let items = held_items(cx, account, held, &[]);
        if planted(Bug::ReleaseForgotten) {
            return Ok(Command::Read(Vec::new()));
        }
        Ok(Command::Release { reservation: held.clone(), items })
    })
    .await
}

/// Gives a reservation back whose time is over.
pub async fn expire(cx: &Cx, reservation: &store::usage::Reservation) -> Result<()> {
    if planted(Bug::ExpiryForgotten) {
        return Ok(());
    }
    let held = &reservation.held;
    let nothing = Action::default();
    let expired = submit(cx, reservation.customer.as_str(), &nothing, |_, _| Ok(Command::Expire(held.clone())));
    match expired.await {
        Err(error) if error.code != Code::ReservationEnded => Err(error),
        _ => Ok(()),
    }
}

/// Sets a gauge to the level counted at its source.
pub async fn set_gauge(cx: &Cx, feature: &FeatureKey, (customer, level): (&str, i64), action: &Action) -> Result<Done> {
    if !(0..=AMOUNT_MAX).contains(&level) {
        return Err(Error::field("/value", format!("use a whole number from 0 to {AMOUNT_MAX}")));
    }
    submit(cx, customer, action, |cx, account| Ok(Command::SetGauge((gauge(cx, account, feature)?, level)))).await
}

/// Moves a gauge.
pub async fn adjust_gauge(
    cx: &Cx,
    feature: &FeatureKey,
    (customer, delta): (&str, i64),
    action: &Action,
) -> Result<Done> {
    if delta == 0 || !(-AMOUNT_MAX..=AMOUNT_MAX).contains(&delta) {
        return Err(Error::field("/delta", format!("use a whole number other than 0, up to {AMOUNT_MAX} either way")));
    }
    submit(cx, customer, action, |cx, account| Ok(Command::AdjustGauge((gauge(cx, account, feature)?, delta)))).await
}

/// Takes an event back, once: a second time answers the first reversal.
pub async fn reverse(cx: &Cx, event: &EventId) -> Result<Done> {
    let found = store::usage::find_event(&cx.app.db, cx.tenant.id(), event).await?;
    let found =
        found.ok_or_else(|| Error::new(Code::NotFound, "Name an event of this tenant by the id of its answer."))?;
    if !matches!(found.kind.as_str(), "consume" | "settle" | "adjust") {
        let detail = format!("A `{}` event is not use; only consume, settle and adjust can be taken back.", found.kind);
        return Err(Error::new(Code::NotReversible, detail));
    }
    let idempotency = super::idempotency::internal(&format!("reverse/{event}"));
    let action = Action { idempotency: Some(idempotency), ..Action::default() };
    let mut features: Vec<_> = found.lines.iter().map(|line| line.key.feature.clone()).collect();
    features.dedup();
    submit(cx, found.customer.as_str(), &action, |cx, account| {
        let now = cx.tenant_now();
        let entitled = |feature: &FeatureKey| {
            let entitlement = resolve_or_nothing(&cx.tenant.catalog, &account.customer, feature, now);
            (Arc::new(entitlement), 0)
        };
        let items = features.iter().map(entitled).collect();
        Ok(Command::Reverse { recorded: found.lines.clone(), items })
    })
    .await
}

/// The quotas of a customer, except for what is not offered any more.
pub async fn quotas(cx: &Cx, customer: &str) -> Result<Vec<Quota>> {
    let done =
        submit(cx, customer, &Action::default(), |cx, account| Ok(Command::Read(account.entitlements(cx)))).await?;
    let shown = |quota: &Quota| quota.kind != FeatureKind::Flag;
    Ok(done.quotas.into_iter().filter(shown).collect())
}

/// The tenant that [`quotas`] has just been read with: reading them renews what memory has, if it was older, and the
/// names and times that are told with them must be of the same catalog.
pub async fn catalog_of_quotas(cx: &Cx) -> Result<Arc<Tenant>> {
    cx.app.tenants.get(&cx.app.db, &cx.app.master, cx.tenant.id()).await
}

/// The customer that a call acts for: a key names one, everybody else has one.
pub fn acting_for(cx: &Cx, named: Option<&str>) -> Result<String> {
    match (cx.actor.own_customer(), named) {
        (Some(own), None) => Ok(own.to_string()),
        (Some(own), Some(named)) if named == own.as_str() => Ok(own.to_string()),
        (Some(_), Some(_)) => Err(Error::new(
            Code::UnknownCustomer,
            "You act for your own customer; leave `customer` out. Only an API key names another.",
        )),
        (None, Some(named)) if matches!(cx.actor, Actor::Key { .. } | Actor::System) => Ok(named.to_owned()),
        (None, Some(_)) => Err(Error::new(Code::Forbidden, "Only an API key may name a customer.")),
        (None, None) if matches!(cx.actor, Actor::User { .. }) => Err(Error::new(
            Code::UnknownCustomer,
            "This account is no customer and has no plan of its own; sign in as a customer's user, or name one with an API key.",
        )),
        (None, None) => Err(Error::field("/customer", "name the customer by its id or externalId")),
    }
}

/// The customer whose figures a call reads: who may see every customer may name one, too.
pub fn reading_of(cx: &Cx, named: Option<&str>) -> Result<String> {
    match named {
        Some(named) if cx.actor.has(Permission::CustomersRead) => Ok(named.to_owned()),
        _ => acting_for(cx, named),
    }
}

async fn own_reservation(cx: &Cx, id: &ReservationId) -> Result<store::usage::Reservation> {
    let found = store::usage::find_reservation(&cx.app.db, cx.tenant.id(), id).await?;
    found
        .filter(|reservation| reservation.principal == cx.actor.name())
        .ok_or_else(|| Error::new(Code::NotFound, "Only the one who made a reservation may end it; check the id."))
}

/// Prepares an operation, hands it to the gate, and prepares it again as long as the limits moved meanwhile.
pub async fn submit(
    cx: &Cx,
    customer: &str,
    action: &Action,
    prepare: impl Fn(&Cx, &Account) -> Result<Command, Unprepared>,
) -> Result<Done> {
    submit_with(cx, customer, (action, None), prepare).await
}

async fn submit_with(
    cx: &Cx,
    customer: &str,
    (action, detail): (&Action, Option<&str>),
    prepare: impl Fn(&Cx, &Account) -> Result<Command, Unprepared>,
) -> Result<Done> {
    let mut renewed;
    let mut cx = cx;
    let mut account = cx.app.customers.get(cx, customer).await?;
    for _ in 0..PREPARE_MAX {
        match prepare(cx, &account) {
            Err(Unprepared::Wrong(error)) => return Err(error),
            Err(Unprepared::Barred(feature, barred)) => {
                let seen = Box::pin(store::customer::seen(&cx.app.db, cx.tenant.id(), &account.customer.id)).await?;
                if seen == Some(account.seen()) {
                    return match Box::pin(replayed(cx, &account, (action, detail))).await? {
                        Some(done) => Ok(done),
                        None => Err(refusal::barred(cx, &account, &feature, &barred)),
                    };
                }
            }
            Ok(command) if cx.tenant.row.suspended && begins(&command) => {
                let seen = Box::pin(store::customer::seen(&cx.app.db, cx.tenant.id(), &account.customer.id)).await?;
                if seen == Some(account.seen()) {
                    return Err(Box::pin(super::tenant::suspended(&cx.app, &cx.tenant)).await);
                }
            }
            Ok(command) => {
                let gives_back = matches!(command, Command::Release { .. } | Command::Expire(_));
                let answer = cx.app.gate.run(operation(cx, &account, command, (action, detail))).await?;
                if answer != Answer::Stale {
                    return conclude(cx, &account, answer, gives_back);
                }
            }
        }
        // A key's revocation moves the epoch, too.
        Box::pin(super::key::still_good(cx)).await?;
        // Boxed, because few requests come here, and none should carry the room for it.
        let tenant = Box::pin(cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id())).await?;
        if !matches!(cx.actor, Actor::System) {
            super::clock::refuse_while_moving(&tenant)?;
        }
        renewed = cx.clone().with_tenant(tenant);
        cx = &renewed;
        account = Box::pin(cx.app.customers.reload(cx, customer)).await?;
    }
    Err(Error::new(Code::Busy, "The catalog changes faster than it can be read; try again.").retry_after(1))
}

fn operation(cx: &Cx, account: &Account, command: Command, (action, detail): (&Action, Option<&str>)) -> Operation {
    Operation {
        tenant: cx.tenant.id().clone(),
        customer: account.customer.id.clone(),
        seen: account.seen(),
        now: cx.tenant_now(),
        command,
        idempotency: action.idempotency.clone().filter(|_| !planted(Bug::KeyIgnored)),
        metadata: action.metadata.clone(),
        detail: detail.map(str::to_owned),
        quiet: action.quiet,
    }
}

/// What a key was answered before, when what was granted then is granted no more: the gate is asked for something that
/// it only can refuse or answer again.
async fn replayed(cx: &Cx, account: &Account, (action, detail): (&Action, Option<&str>)) -> Result<Option<Done>> {
    if action.idempotency.is_none() || action.items.is_empty() || action.items.iter().any(|(_, amount)| *amount < 1) {
        return Ok(None);
    }
    let nothing = |(granted, amount): Item| {
        let nothing = Entitlement {
            kind: FeatureKind::Counter,
            limit: Some(0),
            limit_type: LimitType::Hard,
            grants: Vec::new(),
            ..(*granted).clone()
        };
        (Arc::new(nothing), amount)
    };
    let items = items_or_nothing(cx, account, &action.items).into_iter().map(nothing).collect();
    let answer = cx.app.gate.run(operation(cx, account, Command::Consume(items), (action, detail))).await?;
    match answer {
        Answer::Done(done) if done.replayed => Ok(Some(done)),
        Answer::KeyReused => Err(key_reused()),
        Answer::Done(_) | Answer::Refused(_) | Answer::Ended(_) | Answer::Stale => Ok(None),
    }
}

/// Whether an operation is something new, rather than the end of what was begun: in a tenant that is suspended what was
/// really used is still recorded, and what was held is given back.
fn begins(command: &Command) -> bool {
    match command {
        Command::Settle { .. } | Command::Release { .. } | Command::Expire(_) | Command::Record(_) => false,
        Command::Consume(_)
        | Command::Check(_)
        | Command::Reserve { .. }
        | Command::SetGauge(_)
        | Command::AdjustGauge(_)
        | Command::Reverse { .. }
        | Command::Read(_) => true,
    }
}

/// The error for a key that came with another body before.
pub fn key_reused() -> Error {
    Error::new(
        Code::IdempotencyKeyReused,
        "This Idempotency-Key came with another body before; use a new key for a new request.",
    )
}

/// `gives_back` says that the operation was to give a reservation back, which is done when it has ended so before.
fn conclude(cx: &Cx, account: &Account, answer: Answer, gives_back: bool) -> Result<Done> {
    match answer {
        Answer::Done(done) => Ok(done),
        Answer::Refused(refused) => Err(refusal::refused(cx, account, &refused)),
        Answer::KeyReused => Err(key_reused()),
        Answer::Ended(State::Released | State::Expired) if gives_back => Ok(Done {
            event: None,
            quotas: Vec::new(),
            overrun: 0,
            replayed: true,
            reservation: None,
            holds: Vec::new(),
        }),
        Answer::Ended(state) => Err(Error::new(
            Code::ReservationEnded,
            format!("The reservation is {} already; make a new one.", state.name()),
        )),
        Answer::Stale => Err(Error::internal("a stale answer was not prepared again")),
    }
}

/// Sums of use in buckets of time.
pub async fn history(
    cx: &Cx,
    customer: &str,
    feature: &FeatureKey,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<store::rollup::HourRow>> {
    if !cx.tenant.catalog.features.contains_key(feature) {
        return Err(refusal::unknown_feature(cx, feature));
    }
    let account = cx.app.customers.get(cx, customer).await?;
    let id = &account.customer.id;
    Ok(store::rollup::history(&cx.app.db, cx.tenant.id(), (id, feature), (from, to)).await?)
}
