//! What one connection has still to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::event::{Ear, Event, Kind};
use domain::id::{CustomerId, FeatureKey, UserId};
use domain::permission::Permission;
use store::event::Numbered;
use tokio::sync::broadcast;
use tokio::time::{Instant, interval_at, sleep_until};

use super::message::{Message, News, Nothing, Quotas};
use crate::app::{customer, usage};
use crate::cx::{Actor, Cx, now};
use crate::error::{Error, Result};
use crate::http::auth::still_here;
use crate::http::wire::{QuotaMap, quota_map};
use crate::live::{EVENTS_MAX, Listener, Marks, Place, Position, place_of};

/// The shortest time between two messages: changes in between become one.
const PACE: Duration = Duration::from_millis(100);
/// How often a connection shows that it is alive.
const PING: Duration = Duration::from_secs(20);
/// How often a caller's session is looked at again.
const RECHECK: Duration = Duration::from_secs(5);
/// Batches that a resuming client may have missed; beyond that it gets a snapshot.
const MISSED_BATCHES_MAX: i64 = 200;
/// Events that are looked through for those that a resuming client missed.
const LOOKED_THROUGH_MAX: i64 = 20_000;
/// Events of one kind that somebody who hears a whole tenant is told one by one; more at once are told as one.
const OF_KIND_MAX: usize = 50;

/// Where a connection begins.
enum Start {
    /// With a snapshot.
    Fresh,
    /// With what changed since.
    After(Place),
    /// With a snapshot, because the id that it named means nothing.
    Lost,
}

/// What one connection has still to say.
pub(super) struct Feed {
    cx: Cx,
    customer: Option<CustomerId>,
    listener: Arc<Listener>,
    start: Option<Start>,
    /// How far it has told everything.
    told: Place,
    /// What there was to tell could not be read: the client is to come again, and goes on from what it has heard.
    failed: bool,
    ready_at: Instant,
    ping: tokio::time::Interval,
    recheck: tokio::time::Interval,
    /// Whose sessions have ended in this process.
    changes: broadcast::Receiver<UserId>,
}

impl Feed {
    pub(super) fn open(cx: Cx, since: Option<String>) -> Self {
        // An admin without a customer of their own hears the whole tenant.
        let customer = cx.actor.own_customer().cloned();
        let listener = cx.app.live.listen(cx.tenant.id(), customer.as_ref());
        let now = Instant::now();
        Self {
            customer,
            listener,
            start: Some(match since.map(|id| place_of(&id)) {
                None => Start::Fresh,
                Some(Some(place)) => Start::After(place),
                Some(None) => Start::Lost,
            }),
            told: Place::default(),
            failed: false,
            ready_at: now,
            ping: interval_at(now + PING, PING),
            recheck: interval_at(now + RECHECK, RECHECK),
            changes: cx.app.sessions.changes(),
            cx,
        }
    }

    /// The next messages; none when the connection is to end. What was marked is taken, so this must not be given up
    /// halfway.
    pub(super) async fn next(&mut self) -> Option<Vec<Message>> {
        if let Some(start) = self.start.take() {
            let begun = self.begin(start).await;
            return self.read(begun);
        }
        let stopping = self.cx.app.stopping.clone();
        loop {
            let (listener, app) = (self.listener.clone(), self.cx.app.clone());
            let ready_at = self.ready_at;
            let marks = async move {
                sleep_until(ready_at).await;
                listener.next(|| app.live.position()).await
            };
            tokio::select! {
                // What comes first is looked at first: nothing is told to somebody whose session has ended.
                biased;
                () = stopping.cancelled() => return None,
                changed = self.changes.recv() => {
                    let is_theirs = changed.map_or(true, |user| self.cx.actor.person() == Some(&user));
                    if is_theirs && !self.may_stay().await {
                        return None;
                    }
                }
                _ = self.ping.tick() => return Some(vec![Message::new(None, News::Ping(Nothing {}))]),
                _ = self.recheck.tick() => {
                    if !self.may_stay().await {
                        return None;
                    }
                }
                (position, marks) = marks => {
                    self.ready_at = Instant::now() + PACE;
                    let by_permission = self.customer.is_none() && !marks.events.is_empty();
                    if (by_permission || marks.lost) && !self.may_stay().await {
                        return None;
                    }
                    let told = self.tell(position, marks).await;
                    return self.read(told);
                }
            }
        }
    }

    /// Whether the caller may still hear all this. What they may be told follows their role as it is now.
    async fn may_stay(&mut self) -> bool {
        let same = |actor: &Actor| actor.own_customer() == self.customer.as_ref() && actor.has(Permission::UsageRead);
        match still_here(&self.cx).await {
            Ok(actor) => {
                let Some(actor) = actor.filter(same) else { return false };
                self.cx.actor = actor;
                true
            }
            Err(error) => {
                self.note(&error);
                false
            }
        }
    }

    /// Why the connection ends that cannot go on: a failure is no refusal, and the client is to come again.
    fn note(&mut self, error: &Error) {
        tracing::debug!(%error, "what a live connection has to tell could not be read");
        self.failed = error.code.row().0 >= 500;
    }

    /// What was read to be told. A read that failed ends the connection, because a state that is not known is no state;
    /// one that was refused, as in a tenant that is suspended, ends it for good.
    fn read(&mut self, messages: Result<Vec<Message>>) -> Option<Vec<Message>> {
        if let Err(error) = &messages {
            self.note(error);
        }
        messages.ok()
    }

    /// 1012: the server restarts. 1013: try again later. 1008: the session is over.
    pub(super) fn close_code(&self) -> u16 {
        match (self.cx.app.stopping.is_cancelled(), self.failed) {
            (true, _) => 1012,
            (false, true) => 1013,
            (false, false) => 1008,
        }
    }

    async fn begin(&mut self, start: Start) -> Result<Vec<Message>> {
        let here = self.here().await?;
        let missed = match start {
            Start::Fresh => return self.snapshot(here).await,
            Start::After(since) => {
                let marks = self.missed(&since, &here).await?;
                self.told = since;
                marks
            }
            Start::Lost => None,
        };
        let Some(marks) = missed else { return self.resync(here).await };
        let batches = here.batches.clone();
        let mut messages = self.tell(batches, marks).await?;
        self.told = here;
        if messages.is_empty() {
            messages.push(Message::new(Some(&self.told), News::Resumed(Nothing {})));
        }
        Ok(messages)
    }

    /// How far everything was heard: what comes after it will be marked.
    async fn here(&self) -> Result<Place> {
        let batches = self.cx.app.live.position();
        let events = self.cx.app.live.follow(&self.cx.app.db, self.cx.tenant.id()).await?;
        Ok(Place { events, batches })
    }

    /// What changed since a place; none when that cannot be told any more.
    async fn missed(&self, since: &Place, here: &Place) -> Result<Option<Marks>> {
        let Some(mut marks) = self.missed_batches(&since.batches, &here.batches).await? else { return Ok(None) };
        let Some(events) = self.missed_events(since.events, here.events).await? else { return Ok(None) };
        marks.events = events;
        Ok(Some(marks))
    }

    async fn missed_events(&self, since: i64, here: i64) -> Result<Option<Vec<Arc<Numbered>>>> {
        let (db, tenant) = (&self.cx.app.db, self.cx.tenant.id());
        if since < 0 || !(0..=LOOKED_THROUGH_MAX).contains(&(here - since)) {
            return Ok(None);
        }
        // One more than can be told shows that there are too many.
        let limit = i64::try_from(EVENTS_MAX).unwrap_or(i64::MAX).saturating_add(1);
        let events = match &self.customer {
            Some(own) => store::event::concerning(db, tenant, own, (since, here), limit).await?,
            None => store::event::between(db, tenant, (since, here), limit).await?,
        };
        // Read afterwards: what is dropped meanwhile is missed, too.
        let first = store::event::first(db, tenant).await?.unwrap_or(here + 1);
        let complete = events.len() <= EVENTS_MAX && (here == since || first <= since + 1);
        Ok(complete.then(|| events.into_iter().map(Arc::new).collect()))
    }

    async fn missed_batches(&self, since: &Position, here: &Position) -> Result<Option<Marks>> {
        let db = &self.cx.app.db;
        let first: BTreeMap<i64, i64> = store::usage::first_batches(db).await?.into_iter().collect();
        let last: BTreeMap<i64, i64> = store::usage::last_batches(db).await?.into_iter().collect();
        // Another node may have told of a batch that is not heard of here yet; what is not in the database either was
        // never told, and the id is of another one, or made up.
        let told = |node: &i64| here.get(node).max(last.get(node)).copied().unwrap_or_default();
        if since.iter().any(|(node, seen)| *seen < 0 || *seen > told(node)) {
            return Ok(None);
        }
        let mut marks = Marks::default();
        for (&node, &reached) in here {
            let seen = since.get(&node).copied().unwrap_or(0);
            let too_old = first.get(&node).is_some_and(|first| seen + 1 < *first);
            if too_old || reached - seen > MISSED_BATCHES_MAX {
                return Ok(None);
            }
            for batch in store::usage::batches_after(db, node, seen, MISSED_BATCHES_MAX).await? {
                for change in store::usage::changes_of(db, &batch).await? {
                    if change.tenant == *self.cx.tenant.id()
                        && self.customer.as_ref().is_none_or(|own| *own == change.customer)
                    {
                        marks.changed.entry(change.customer).or_default().extend(change.features);
                    }
                }
            }
        }
        Ok(Some(marks))
    }

    async fn resync(&mut self, here: Place) -> Result<Vec<Message>> {
        let mut messages = vec![Message::new(None, News::Resync(Nothing {}))];
        messages.extend(self.snapshot(here).await?);
        Ok(messages)
    }

    async fn snapshot(&mut self, here: Place) -> Result<Vec<Message>> {
        self.told = here;
        let quotas = match &self.customer {
            None => Quotas::default(),
            Some(customer) => Quotas { customer: Some(customer.clone()), quotas: self.quotas(customer).await? },
        };
        Ok(vec![Message::new(Some(&self.told), News::Snapshot(quotas))])
    }

    /// What was marked, as it stands now. The place is older than the state, so that a client that goes on from it can
    /// only hear too much; and only the last message stands for all, so that one who loses the connection between two of
    /// them does not lose those to come.
    async fn tell(&mut self, batches: Position, mut marks: Marks) -> Result<Vec<Message>> {
        if marks.lost {
            let here = self.here().await?;
            return self.resync(here).await;
        }
        // A connection that has just begun has told some of them already.
        let told = self.told.events;
        marks.events.retain(|event| event.seq > told);
        let plan = self.own_plan(&marks.events).await?;
        let moved = self.moved(&marks.events, plan.as_deref());
        let mut messages = Vec::new();
        for event in self.heard(&marks.events, plan.as_deref()) {
            self.told.events = event.seq;
            messages.push(Message::of_event(&self.told, &event, self.customer.is_none()));
        }
        let customers: BTreeSet<_> = marks.changed.keys().chain(&moved).cloned().collect();
        for customer in customers {
            let mut quotas = self.quotas(&customer).await?;
            if !moved.contains(&customer) {
                let changed: Option<&BTreeSet<FeatureKey>> = marks.changed.get(&customer);
                quotas.retain(|feature, _| changed.is_some_and(|changed| changed.contains(feature)));
            }
            let news = News::UsageUpdated(Quotas { customer: Some(customer), quotas });
            messages.push(Message::new(Some(&self.told), news));
        }
        self.told.events = marks.events.last().map_or(self.told.events, |event| event.seq);
        self.told.batches = batches;
        if let Some(last) = messages.last_mut() {
            last.stand_for(&self.told);
        }
        Ok(messages)
    }

    /// The plan of the connection's own customer, where the events are about plans.
    async fn own_plan(&self, events: &[Arc<Numbered>]) -> Result<Option<String>> {
        let own = self.customer.as_ref().filter(|_| events.iter().any(|told| told.event.kind == Kind::Plan));
        let Some(customer) = own else { return Ok(None) };
        let _reading = self.cx.app.live.readers.acquire().await.ok();
        customer::plan(&self.cx, customer).await
    }

    /// The customers whose quotas may be others after the events.
    fn moved(&self, events: &[Arc<Numbered>], plan: Option<&str>) -> BTreeSet<CustomerId> {
        let moves = |event: &Event| match &self.customer {
            Some(own) => event.moves_quotas_of(own, plan).then(|| own.clone()),
            None => {
                let new = event.facts.cause.as_deref() == Some(store::event::CUSTOMER_CREATED);
                let customer = event.customer.as_ref().filter(|_| !new)?;
                event.moves_quotas_of(customer, None).then(|| customer.clone())
            }
        };
        events.iter().filter_map(|told| moves(&told.event)).collect()
    }

    /// The events that may be told here, in their order. A customer is told each; who hears a whole tenant is told the
    /// newest of each subject, and of very many of a kind only that there are some.
    fn heard(&self, events: &[Arc<Numbered>], plan: Option<&str>) -> Vec<Numbered> {
        let ear = self.customer.as_ref().map_or(Ear::Tenant, |id| Ear::Customer { id, plan });
        let may = |permission| self.cx.actor.has(permission);
        let heard = events.iter().filter(|told| told.event.is_for(ear, may)).map(|told| Numbered::clone(told));
        if self.customer.is_some() {
            return heard.collect();
        }
        coalesced(heard)
    }

    async fn quotas(&self, customer: &CustomerId) -> Result<QuotaMap> {
        let cx = &self.cx;
        let _reading = cx.app.live.readers.acquire().await.ok();
        let tenant = cx.app.tenants.get(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
        let mut cx = Cx::system(&cx.app, &tenant, &cx.request_id);
        cx.now = now();
        let quotas = usage::quotas(&cx, customer.as_str()).await?;
        Ok(quota_map(&quotas, &usage::catalog_of_quotas(&cx).await?.catalog))
    }
}

/// The newest event of each subject, in their order, and one without a subject in place of too many of one kind.
fn coalesced(events: impl Iterator<Item = Numbered>) -> Vec<Numbered> {
    let mut newest: BTreeMap<(Kind, Option<String>), Numbered> = BTreeMap::new();
    let mut of_kind: BTreeMap<Kind, usize> = BTreeMap::new();
    for told in events {
        let key = (told.event.kind, told.event.subject.clone());
        if newest.insert(key, told.clone()).is_none() {
            *of_kind.entry(told.event.kind).or_default() += 1;
        }
    }
    let mut told: BTreeMap<i64, Numbered> = BTreeMap::new();
    let mut many: BTreeMap<Kind, Numbered> = BTreeMap::new();
    for event in newest.into_values() {
        let kind = event.event.kind;
        if of_kind.get(&kind).copied().unwrap_or_default() <= OF_KIND_MAX {
            told.insert(event.seq, event);
        } else if many.get(&kind).is_none_or(|last| last.seq < event.seq) {
            many.insert(kind, event);
        }
    }
    for mut event in many.into_values() {
        (event.event.subject, event.event.customer) = (None, None);
        event.event.facts = domain::event::Facts::default();
        told.insert(event.seq, event);
    }
    told.into_values().collect()
}

#[cfg(test)]
mod tests {
    use domain::event::{Audience, Facts};
    use domain::time::Timestamp;

    use super::*;

    fn event(seq: i64, kind: Kind, subject: &str) -> Numbered {
        let subject = Some(subject.to_owned());
        let event = Event { kind, audience: Audience::Staff, subject, customer: None, facts: Facts::default() };
        Numbered { seq, at: Timestamp::EPOCH, event }
    }

    #[test]
    fn who_hears_a_tenant_is_told_the_newest_of_each_and_of_very_many_only_that_there_are_some() {
        let told = |events: Vec<Numbered>| {
            let told = coalesced(events.into_iter());
            told.into_iter().map(|told| (told.seq, told.event.kind, told.event.subject)).collect::<Vec<_>>()
        };
        let few = vec![event(1, Kind::Plan, "a"), event(2, Kind::Coupon, "a"), event(3, Kind::Plan, "a")];
        let expected = [(2, Kind::Coupon, Some("a".to_owned())), (3, Kind::Plan, Some("a".to_owned()))];
        assert_eq!(told(few), expected);
        let mut many: Vec<_> = (1..=51).map(|seq| event(seq, Kind::Customer, &format!("cus_{seq}"))).collect();
        many.push(event(52, Kind::Plan, "a"));
        assert_eq!(told(many.clone()), [(51, Kind::Customer, None), (52, Kind::Plan, Some("a".to_owned()))]);
        many.remove(0);
        assert_eq!(told(many).len(), 51);
    }
}
