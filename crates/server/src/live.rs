//! Live connections: what a committed batch moved, and what was told of other changes, is marked for each connection that
//! cares, which then reads the state as it is and sends it. A slow reader only makes its marks coalesce; nothing queues up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use domain::event::Audience;
use domain::id::{CustomerId, FeatureKey, TenantId};
use store::db::Db;
use store::error::Result;
use store::event::{Numbered, Spoken};
use store::gate::{Change, Committed};
use tokio::sync::{Notify, Semaphore};

/// Customers that one connection may have marked; beyond that it takes a fresh snapshot.
const MARKED_MAX: usize = 500;
/// Events that one connection may have to tell; beyond that it takes a fresh snapshot, too.
pub const EVENTS_MAX: usize = 500;
/// Connections that read what they tell at the same moment: a change that all of them have to tell, as of a plan's limit,
/// must not fill the gate's queue.
const READERS_MAX: usize = 64;
/// Events that are read at once.
const READ_AT_ONCE: i64 = 500;

/// How far each node's batches were heard.
pub type Position = BTreeMap<i64, i64>;

/// What a message id stands for: how far a tenant's events were told, and how far the batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The number of the last event.
    pub events: i64,
    /// The last batch of each node.
    pub batches: Position,
}

/// What a connection has to tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The features to read anew, by customer.
    pub changed: BTreeMap<CustomerId, BTreeSet<FeatureKey>>,
    /// Events, in their order.
    pub events: Vec<Arc<Numbered>>,
    /// So much happened that only a snapshot helps.
    pub lost: bool,
}

/// One open connection.
#[derive(Debug)]
pub struct Listener {
    marks: Mutex<Marks>,
    wake: Notify,
}

impl Listener {
    /// Waits until there is something to tell, and takes it, with the position that it reaches. The position is read
    /// first: batches mark before they advance it, so the marks hold all that it stands for.
    pub async fn next(&self, position: impl Fn() -> Position) -> (Position, Marks) {
        loop {
            let woken = self.wake.notified();
            let reached = position();
            if let Some(marks) = self.take() {
                return (reached, marks);
            }
            woken.await;
        }
    }

    fn take(&self) -> Option<Marks> {
        let mut marks = self.marks.lock().ok()?;
        let taken = std::mem::take(&mut *marks);
        (taken != Marks::default()).then_some(taken)
    }

    /// Marks a change for this connection.
    pub fn mark(&self, change: &Change) {
        if let Ok(mut marks) = self.marks.lock() {
            if marks.changed.len() >= MARKED_MAX && !marks.changed.contains_key(&change.customer) {
                *marks = Marks { lost: true, ..Marks::default() };
            } else if !marks.lost {
                marks.changed.entry(change.customer.clone()).or_default().extend(change.features.iter().cloned());
            }
        }
        self.wake.notify_one();
    }

    /// Marks an event for this connection.
    fn tell(&self, event: &Arc<Numbered>) {
        if let Ok(mut marks) = self.marks.lock() {
            if marks.events.len() >= EVENTS_MAX {
                *marks = Marks { lost: true, ..Marks::default() };
            } else if !marks.lost {
                marks.events.push(event.clone());
            }
        }
        self.wake.notify_one();
    }

    /// Makes the connection take a fresh snapshot.
    pub fn lose(&self) {
        if let Ok(mut marks) = self.marks.lock() {
            *marks = Marks { lost: true, ..Marks::default() };
        }
        self.wake.notify_one();
    }
}

/// What a connection listens to: one customer, or (for admins) the whole tenant.
type Topic = (TenantId, Option<CustomerId>);

/// All open connections of this process.
pub struct Hub {
    /// Whoever reads for a connection holds one.
    pub readers: Semaphore,
    listeners: RwLock<HashMap<Topic, Vec<std::sync::Weak<Listener>>>>,
    position: RwLock<Position>,
    /// How far the events of each tenant with connections were heard. Whoever marks events holds it, so that they are
    /// marked in their order, and each once.
    heard: tokio::sync::Mutex<HashMap<TenantId, i64>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            readers: Semaphore::new(READERS_MAX),
            listeners: RwLock::default(),
            position: RwLock::default(),
            heard: tokio::sync::Mutex::default(),
        }
    }
}

impl Hub {
    /// Opens a connection's ear. It closes when the listener is dropped.
    pub fn listen(&self, tenant: &TenantId, customer: Option<&CustomerId>) -> Arc<Listener> {
        let listener = Arc::new(Listener { marks: Mutex::default(), wake: Notify::new() });
        if let Ok(mut listeners) = self.listeners.write() {
            let topic = listeners.entry((tenant.clone(), customer.cloned())).or_default();
            topic.retain(|known| known.strong_count() > 0);
            topic.push(Arc::downgrade(&listener));
        }
        listener
    }

    /// Whether anybody listens at all.
    pub fn is_idle(&self) -> bool {
        self.listeners.read().is_ok_and(|listeners| listeners.is_empty())
    }

    /// Tells everybody who cares about a batch.
    pub fn committed(&self, committed: &Committed) {
        if let Ok(listeners) = self.listeners.read() {
            for change in &committed.changes {
                for topic in [Some(change.customer.clone()), None] {
                    let heard = listeners.get(&(change.tenant.clone(), topic));
                    for listener in heard.into_iter().flatten().filter_map(std::sync::Weak::upgrade) {
                        listener.mark(change);
                    }
                }
            }
        }
        self.advance(committed.node, committed.seq);
    }

    /// Begins to follow a tenant's events for a connection that listens already. Answers the number of the last one: what
    /// comes after it will be marked.
    pub async fn follow(&self, db: &Db, tenant: &TenantId) -> Result<i64> {
        let mut heard = self.heard.lock().await;
        let last = store::event::head(db, tenant).await?;
        heard.entry(tenant.clone()).or_insert(last);
        Ok(last)
    }

    /// Marks what a transaction told for everybody who may care.
    pub async fn told(&self, db: &Db, spoken: &Spoken) {
        let mut heard = self.heard.lock().await;
        let Spoken { tenant, first, last } = spoken;
        if !self.has_listeners(tenant) {
            heard.remove(tenant);
            return;
        }
        let mut from = heard.get(tenant).copied().unwrap_or(first - 1);
        heard.insert(tenant.clone(), from.max(*last));
        while from < *last {
            let to = last.saturating_sub(from).min(READ_AT_ONCE).saturating_add(from);
            match store::event::between(db, tenant, (from, to), READ_AT_ONCE).await {
                Ok(events) => self.mark_events(tenant, events),
                Err(error) => {
                    tracing::warn!(%error, "events could not be read; connections take a fresh snapshot");
                    self.lose(tenant);
                    return;
                }
            }
            from = to;
        }
    }

    /// Looks whether something was told and not heard, as when a notice was lost on its way.
    pub async fn look(&self, db: &Db) {
        let followed: Vec<_> = self.heard.lock().await.iter().map(|(tenant, seq)| (tenant.clone(), *seq)).collect();
        for (tenant, seq) in followed {
            match store::event::head(db, &tenant).await {
                Ok(last) if last > seq => self.told(db, &Spoken { tenant, first: seq + 1, last }).await,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the events of a tenant could not be looked at"),
            }
        }
    }

    fn has_listeners(&self, tenant: &TenantId) -> bool {
        self.listeners.read().is_ok_and(|listeners| listeners.keys().any(|(of, _)| of == tenant))
    }

    /// What names a customer may move its quotas, and what is for more than that goes to all.
    fn mark_events(&self, tenant: &TenantId, events: Vec<Numbered>) {
        let Ok(listeners) = self.listeners.read() else { return };
        for event in events.into_iter().map(Arc::new) {
            let wide = event.event.audience > Audience::Customer;
            let concerns = |topic: &Topic| {
                let (of, customer) = topic;
                of == tenant && (wide || customer.is_none() || *customer == event.event.customer)
            };
            let concerned = listeners.iter().filter(|(topic, _)| concerns(topic)).flat_map(|(_, heard)| heard);
            for listener in concerned.filter_map(std::sync::Weak::upgrade) {
                listener.tell(&event);
            }
        }
    }

    /// Notes how far a node was heard.
    pub fn advance(&self, node: i64, seq: i64) {
        if let Ok(mut position) = self.position.write() {
            let reached = position.entry(node).or_default();
            *reached = (*reached).max(seq);
        }
    }

    /// After batches were missed everybody takes a fresh snapshot.
    pub fn lose_all(&self) {
        if let Ok(listeners) = self.listeners.read() {
            for listener in listeners.values().flatten().filter_map(std::sync::Weak::upgrade) {
                listener.lose();
            }
        }
    }

    /// Makes everybody in a tenant look again, first of all at whether they may still listen.
    pub fn lose(&self, tenant: &TenantId) {
        if let Ok(listeners) = self.listeners.read() {
            let heard = listeners.iter().filter(|((of, _), _)| of == tenant).flat_map(|(_, topic)| topic);
            heard.filter_map(std::sync::Weak::upgrade).for_each(|listener| listener.lose());
        }
    }

    /// The tenants in which somebody listens.
    pub fn tenants(&self) -> BTreeSet<TenantId> {
        self.listeners
            .read()
            .map(|listeners| listeners.keys().map(|(tenant, _)| tenant.clone()).collect())
            .unwrap_or_default()
    }

    /// Forgets topics that nobody listens to any more.
    pub async fn tidy(&self) {
        let mut heard = self.heard.lock().await;
        if let Ok(mut listeners) = self.listeners.write() {
            listeners.retain(|_, topic| {
                topic.retain(|known| known.strong_count() > 0);
                !topic.is_empty()
            });
        }
        heard.retain(|tenant, _| self.has_listeners(tenant));
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        let listeners = self.listeners.read();
        listeners.map_or(0, |l| l.values().flatten().filter(|known| known.strong_count() > 0).count())
    }

    /// How far every node was heard.
    pub fn position(&self) -> Position {
        self.position.read().map(|position| position.clone()).unwrap_or_default()
    }
}

/// A message id: opaque to clients, the place inside.
pub fn id_of(place: &Place) -> String {
    let parts: Vec<_> = place.batches.iter().map(|(node, seq)| format!("{node:x}-{seq:x}")).collect();
    format!("e{:x}p{}", place.events, parts.join("."))
}

/// The place of a message id; none when it is not one.
pub fn place_of(id: &str) -> Option<Place> {
    let (events, batches) = id.strip_prefix('e')?.split_once('p')?;
    Some(Place { events: i64::from_str_radix(events, 16).ok()?, batches: position_of(batches)? })
}

fn position_of(parts: &str) -> Option<Position> {
    if parts.is_empty() {
        return Some(Position::new());
    }
    parts
        .split('.')
        .map(|part| {
            let (node, seq) = part.split_once('-')?;
            Some((i64::from_str_radix(node, 16).ok()?, i64::from_str_radix(seq, 16).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::event::{Event, Facts, Kind};
    use domain::time::Timestamp;

    use super::*;

    fn change(customer: &str, feature: &str) -> Change {
        Change {
            tenant: TenantId::stored("ten_a"),
            customer: CustomerId::stored(customer),
            features: vec![FeatureKey::stored(feature)],
        }
    }

    fn batch(seq: i64, changes: Vec<Change>) -> Committed {
        Committed { node: 1, seq, changes, crossed: false }
    }

    #[tokio::test]
    async fn marks_of_one_customer_coalesce_and_others_stay_silent() {
        let hub = Hub::default();
        let (tenant, customer) = (TenantId::stored("ten_a"), CustomerId::stored("cus_a"));
        let (own, other, admin) = (
            hub.listen(&tenant, Some(&customer)),
            hub.listen(&tenant, Some(&CustomerId::stored("cus_b"))),
            hub.listen(&tenant, None),
        );
        hub.committed(&batch(1, vec![change("cus_a", "x"), change("cus_a", "y")]));
        hub.committed(&batch(2, vec![change("cus_a", "x")]));
        let (reached, marks) = own.next(|| hub.position()).await;
        assert_eq!(reached, hub.position());
        assert_eq!(marks.changed.len(), 1);
        assert_eq!(marks.changed[&customer].len(), 2);
        assert_eq!(admin.next(|| hub.position()).await, (reached, marks));
        assert!(other.take().is_none());
        assert!(own.take().is_none(), "taken once");
        let place = Place { events: 300, batches: hub.position() };
        assert_eq!((id_of(&place).as_str(), place_of(&id_of(&place))), ("e12cp1-2", Some(place)));
    }

    #[tokio::test]
    async fn a_position_stands_for_nothing_that_is_not_told_with_it() {
        let hub = Hub::default();
        let own = hub.listen(&TenantId::stored("ten_a"), Some(&CustomerId::stored("cus_a")));
        hub.committed(&batch(1, vec![change("cus_a", "x")]));
        // Another batch is committed at the worst moment.
        let position = || {
            let position = hub.position();
            hub.committed(&batch(2, vec![change("cus_a", "y")]));
            position
        };
        let (reached, marks) = own.next(position).await;
        assert_eq!(reached, Position::from([(1, 1)]));
        assert_eq!(marks.changed[&CustomerId::stored("cus_a")].len(), 2, "too much, but never too little");
    }

    #[tokio::test]
    async fn a_reader_that_falls_far_behind_is_told_to_start_over_in_bounded_memory() {
        let hub = Hub::default();
        let admin = hub.listen(&TenantId::stored("ten_a"), None);
        for number in 0..MARKED_MAX * 3 {
            hub.committed(&batch(1, vec![change(&format!("cus_{number}"), "x")]));
        }
        assert_eq!(admin.take(), Some(Marks { lost: true, ..Marks::default() }));
        let told = |seq| event(seq, Kind::Coupon, Audience::Staff, None);
        hub.mark_events(&TenantId::stored("ten_a"), (1..=501).map(told).collect());
        assert_eq!(admin.take(), Some(Marks { lost: true, ..Marks::default() }));
        drop(admin);
        hub.tidy().await;
        assert!(hub.is_idle());
    }

    fn event(seq: i64, kind: Kind, audience: Audience, customer: Option<&str>) -> Numbered {
        let customer = customer.map(CustomerId::stored);
        let event = Event { kind, audience, subject: None, customer, facts: Facts::default() };
        Numbered { seq, at: Timestamp::EPOCH, event }
    }

    #[test]
    fn an_event_is_marked_for_the_tenant_and_for_those_whom_it_may_concern() {
        let hub = Hub::default();
        let (tenant, own) = (TenantId::stored("ten_a"), CustomerId::stored("cus_a"));
        let ears = [
            hub.listen(&tenant, Some(&own)),
            hub.listen(&tenant, Some(&CustomerId::stored("cus_b"))),
            hub.listen(&tenant, None),
            hub.listen(&TenantId::stored("ten_b"), None),
        ];
        let events = vec![
            event(1, Kind::Plan, Audience::Everyone, None),
            event(2, Kind::Customer, Audience::Staff, Some("cus_a")),
            event(3, Kind::Plan, Audience::Holders, None),
            event(4, Kind::Member, Audience::Staff, None),
        ];
        hub.mark_events(&tenant, events);
        let seqs = |ear: &Arc<Listener>| {
            ear.take().map(|marks| marks.events.iter().map(|event| event.seq).collect::<Vec<_>>())
        };
        let heard: Vec<_> = ears.iter().map(seqs).collect();
        assert_eq!(heard, [Some(vec![1, 2, 3]), Some(vec![1, 3]), Some(vec![1, 2, 3, 4]), None]);
    }

    #[test]
    fn a_foreign_message_id_is_no_place() {
        for bad in ["", "x", "p1-1", "e1", "ep1-1", "e1p1", "e1p1-", "e1pzz-1", "ezzp1-1", "e1p1-1.", "e1p1-1-1.é"] {
            assert!(place_of(bad).is_none(), "{bad}");
        }
    }
}
