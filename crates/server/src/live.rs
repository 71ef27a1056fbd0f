//! Live connections: what a committed batch moved is marked for each connection that cares, which then reads the state
//! as it is and sends it. A slow reader only makes its marks coalesce; nothing queues up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use domain::id::{CustomerId, FeatureKey, TenantId};
use store::gate::{Change, Committed};
use tokio::sync::Notify;

/// Customers that one connection may have marked; beyond that it takes a fresh snapshot.
const MARKED_MAX: usize = 500;

/// How far each node's batches were heard: what a message id stands for.
pub type Position = BTreeMap<i64, i64>;

/// What a connection has to tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The features to read anew, by customer.
    pub changed: BTreeMap<CustomerId, BTreeSet<FeatureKey>>,
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
                *marks = Marks { changed: BTreeMap::new(), lost: true };
            } else if !marks.lost {
                marks.changed.entry(change.customer.clone()).or_default().extend(change.features.iter().cloned());
            }
        }
        self.wake.notify_one();
    }

    /// Makes the connection take a fresh snapshot.
    pub fn lose(&self) {
        if let Ok(mut marks) = self.marks.lock() {
            *marks = Marks { changed: BTreeMap::new(), lost: true };
        }
        self.wake.notify_one();
    }
}

/// What a connection listens to: one customer, or (for admins) the whole tenant.
type Topic = (TenantId, Option<CustomerId>);

/// All open connections of this process.
#[derive(Default)]
pub struct Hub {
    listeners: RwLock<HashMap<Topic, Vec<std::sync::Weak<Listener>>>>,
    position: RwLock<Position>,
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
    pub fn tidy(&self) {
        if let Ok(mut listeners) = self.listeners.write() {
            listeners.retain(|_, topic| {
                topic.retain(|known| known.strong_count() > 0);
                !topic.is_empty()
            });
        }
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

/// A message id: opaque to clients, the position inside.
pub fn id_of(position: &Position) -> String {
    let parts: Vec<_> = position.iter().map(|(node, seq)| format!("{node:x}-{seq:x}")).collect();
    format!("p{}", parts.join("."))
}

/// The position of a message id; none when it is not one.
pub fn position_of(id: &str) -> Option<Position> {
    let parts = id.strip_prefix('p')?;
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
    use super::*;

    fn change(customer: &str, feature: &str) -> Change {
        Change {
            tenant: TenantId::stored("ten_a"),
            customer: CustomerId::stored(customer),
            features: vec![FeatureKey::stored(feature)],
        }
    }

    fn batch(seq: i64, changes: Vec<Change>) -> Committed {
        Committed { node: 1, seq, changes }
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
        assert_eq!(position_of(&id_of(&hub.position())), Some(Position::from([(1, 2)])));
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

    #[test]
    fn a_reader_that_falls_far_behind_is_told_to_start_over_in_bounded_memory() {
        let hub = Hub::default();
        let admin = hub.listen(&TenantId::stored("ten_a"), None);
        for number in 0..MARKED_MAX * 3 {
            hub.committed(&batch(1, vec![change(&format!("cus_{number}"), "x")]));
        }
        assert_eq!(admin.take(), Some(Marks { changed: BTreeMap::new(), lost: true }));
        drop(admin);
        hub.tidy();
        assert!(hub.is_idle());
    }

    #[test]
    fn a_foreign_message_id_is_not_a_position() {
        for bad in ["", "x", "p1", "p1-", "pzz-1", "p1-1.", "p1-1-1.é"] {
            assert!(position_of(bad).is_none(), "{bad}");
        }
    }
}
