//! What a batch has to read, gathered before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use domain::entitlement::CounterKey;
use domain::id::{CustomerId, ReservationId, TenantId};
use domain::time::Timestamp;

use super::AccountKey;
use crate::gate::{Command, Operation, decide};

/// One counter. Its order is the order in which all nodes lock: tenant, customer, feature, source, period.
pub(super) type CounterName = (TenantId, CustomerId, CounterKey);

/// Rows that a batch reads.
#[derive(Default)]
pub(super) struct Needs<'a> {
    /// The counters in the order of locking; true for those that must have a row, since they may be written.
    pub(super) counters: BTreeMap<CounterName, bool>,
    /// The customers, each with the latest time that an operation looks at its reservations with.
    pub(super) accounts: BTreeMap<AccountKey, Timestamp>,
    /// Idempotency keys.
    pub(super) keys: BTreeSet<(TenantId, &'a str)>,
    /// Reservations that operations end.
    pub(super) ended: BTreeSet<(TenantId, ReservationId)>,
    /// Customers with a reservation that another operation of the same batch may find over.
    pub(super) hasty: BTreeMap<AccountKey, Timestamp>,
    /// Whether nothing but reads is asked for.
    pub(super) reads_only: bool,
}

impl<'a> Needs<'a> {
    pub(super) fn of(operations: &[&'a Operation]) -> Self {
        let mut needs = Self { reads_only: true, ..Self::default() };
        for operation in operations {
            needs.add(operation);
        }
        needs
    }

    fn add(&mut self, operation: &'a Operation) {
        let (tenant, customer) = (&operation.tenant, &operation.customer);
        let writes = !matches!(operation.command, Command::Read(_) | Command::Check(_));
        self.reads_only &= !writes;
        for key in decide::keys(&operation.command) {
            *self.counters.entry((tenant.clone(), customer.clone(), key)).or_default() |= writes;
        }
        let account = (tenant.clone(), customer.clone());
        let looks = self.accounts.entry(account.clone()).or_insert(Timestamp::from_micros(i64::MIN));
        if !matches!(operation.command, Command::Expire(_)) {
            *looks = operation.now.max(*looks);
        }
        if let Some(idempotency) = &operation.idempotency {
            self.keys.insert((tenant.clone(), &idempotency.key));
        }
        if let Some(held) = decide::ends(&operation.command) {
            self.ended.insert((tenant.clone(), held.id.clone()));
        }
        if let Command::Reserve { expires_at, .. } = &operation.command {
            let first = self.hasty.entry(account).or_insert(*expires_at);
            *first = (*expires_at).min(*first);
        }
    }

    /// Asks for more counters, which have rows; answers whether any of them is new.
    pub(super) fn widen(&mut self, counters: impl IntoIterator<Item = CounterName>) -> bool {
        let before = self.counters.len();
        for counter in counters {
            self.counters.entry(counter).or_insert(false);
        }
        self.counters.len() > before
    }
}
