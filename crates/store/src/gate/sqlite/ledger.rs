//! The counters in memory: as the last commit left them, what the open transaction changed, and whose rows are behind.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::entitlement::CounterKey;
use domain::id::EventId;
use domain::usage::{Book, Counter};

use super::AccountKey;

/// How long changed counters may wait for their rows. A busy counter is written once for all its changes meanwhile.
pub(super) const WRITE_BEHIND: Duration = Duration::from_millis(50);
/// Customers kept in memory; beyond that those without waiting changes are forgotten.
const ACCOUNTS_MAX: usize = 100_000;

/// One customer in memory.
#[derive(Default)]
struct Account {
    book: Book,
    /// `customer.entitlement_version`, true as long as `checked` is the current generation.
    version: i64,
    checked: i64,
    /// Counters that are newer than their rows.
    newer: Vec<CounterKey>,
    /// Whether the customer is among those whose rows are behind.
    listed: bool,
}

/// A counter's row as it is to be.
pub(super) type CounterRow = (AccountKey, CounterKey, Counter);

/// All customers in memory.
#[derive(Default)]
pub(super) struct Ledger {
    accounts: HashMap<AccountKey, Account>,
    /// Whose rows are being written, in key order from the end, so that each page is written once.
    writing: Vec<AccountKey>,
    /// Whose counters have changed since that began.
    waiting: Vec<AccountKey>,
    /// When `writing` is empty, every event up to this one is in the rows.
    low: Option<EventId>,
    last_event: Option<EventId>,
    wrote_at: Option<Instant>,
    /// Counters before the open transaction changed them.
    undo: Vec<CounterRow>,
    /// Rows that the open transaction wrote.
    written: Vec<(AccountKey, CounterKey)>,
}

impl Ledger {
    fn account(&mut self, key: &AccountKey) -> &mut Account {
        self.accounts.entry(key.clone()).or_default()
    }

    /// The counters of a customer.
    pub(super) fn book(&mut self, account: &AccountKey) -> &mut Book {
        &mut self.account(account).book
    }

    /// The version of a customer's entitlements, if it was read in this generation.
    pub(super) fn version(&self, account: &AccountKey, generation: i64) -> Option<i64> {
        self.accounts.get(account).filter(|account| account.checked == generation).map(|account| account.version)
    }

    /// Remembers the version of a customer's entitlements.
    pub(super) fn put_version(&mut self, account: &AccountKey, generation: i64, version: i64) {
        let account = self.account(account);
        account.version = version;
        account.checked = generation;
    }

    /// A transaction begins: what the last one did stands.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
        self.written.clear();
    }

    /// Changes a counter, so that it can be taken back and will be written.
    pub(super) fn change(&mut self, key: &AccountKey, counter: &CounterKey, after: Counter) {
        let account = self.account(key);
        let before = account.book.get(counter);
        account.book.load(counter.clone(), after);
        self.undo.push((key.clone(), counter.clone(), before));
        self.owe(key, counter);
    }

    /// Notes that a counter is newer than its row.
    fn owe(&mut self, key: &AccountKey, counter: &CounterKey) {
        let account = self.account(key);
        if !account.newer.contains(counter) {
            account.newer.push(counter.clone());
        }
        if !std::mem::replace(&mut account.listed, true) {
            self.waiting.push(key.clone());
        }
    }

    /// Notes the last event of the transaction.
    pub(super) fn note(&mut self, event: &EventId) {
        self.last_event = Some(event.clone());
    }

    /// The last event that was recorded.
    pub(super) fn last_event(&self) -> Option<&EventId> {
        self.last_event.as_ref()
    }

    /// The transaction failed: memory is as it was before it.
    pub(super) fn take_back(&mut self) {
        for (account, key, before) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.account(&account).book.load(key, before);
        }
        for (account, key) in std::mem::take(&mut self.written).into_iter().rev() {
            self.owe(&account, &key);
            // Until then not every event up to `low` is in the rows.
            self.writing.push(account);
        }
    }

    /// Whether every row is as its counter.
    pub(super) fn is_settled(&self) -> bool {
        self.writing.is_empty() && self.waiting.is_empty()
    }

    /// How many customers have rows that are behind.
    pub(super) fn behind(&self) -> usize {
        self.writing.len() + self.waiting.len()
    }

    /// Whether it is time to write some rows.
    pub(super) fn is_due(&self) -> bool {
        self.wrote_at.is_none_or(|at| at.elapsed() >= WRITE_BEHIND)
    }

    /// The next rows to write, `rows_max` at most; and when they are the last, the event up to which all rows are then
    /// complete.
    pub(super) fn slice(&mut self, rows_max: usize) -> (Vec<CounterRow>, Option<EventId>) {
        self.wrote_at = Some(Instant::now());
        if self.writing.is_empty() {
            std::mem::swap(&mut self.writing, &mut self.waiting);
            self.writing.sort_unstable_by(|a, b| b.cmp(a));
            self.low.clone_from(&self.last_event);
        }
        let mut rows = Vec::new();
        while rows.len() < rows_max
            && let Some(key) = self.writing.pop()
        {
            let Some(account) = self.accounts.get_mut(&key) else { continue };
            account.newer.sort_unstable();
            let room = account.newer.len().min(rows_max - rows.len());
            let now: Vec<_> = account.newer.drain(..room).collect();
            account.listed = !account.newer.is_empty();
            if account.listed {
                self.writing.push(key.clone());
            }
            for counter in now {
                self.written.push((key.clone(), counter.clone()));
                let counted = account.book.get(&counter);
                rows.push((key.clone(), counter, counted));
            }
        }
        (rows, self.low.clone().filter(|_| self.writing.is_empty()))
    }

    /// Keeps memory bounded: customers without waiting changes can be read again.
    pub(super) fn forget_some(&mut self) {
        if self.accounts.len() > ACCOUNTS_MAX {
            self.accounts.retain(|_, account| account.listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{CustomerId, FeatureKey, TenantId};
    use domain::time::Period;

    use super::*;

    fn account(number: u128) -> AccountKey {
        (TenantId::from_bits(1), CustomerId::from_bits(number))
    }

    fn key(name: &str) -> CounterKey {
        CounterKey::plan(&FeatureKey::stored(name), Period::FOREVER)
    }

    fn used(used: i64) -> Counter {
        Counter { used, ..Counter::default() }
    }

    fn rows(ledger: &mut Ledger, max: usize) -> Vec<(AccountKey, i64)> {
        ledger.slice(max).0.into_iter().map(|(account, _, counter)| (account, counter.used)).collect()
    }

    #[test]
    fn a_busy_counter_is_written_once_and_in_key_order() {
        let mut ledger = Ledger::default();
        for (number, units) in [(3, 1), (1, 1), (3, 2), (2, 1), (3, 3)] {
            ledger.change(&account(number), &key("a"), used(units));
        }
        assert_eq!(rows(&mut ledger, 2), [(account(1), 1), (account(2), 1)]);
        ledger.change(&account(1), &key("a"), used(2));
        assert_eq!(rows(&mut ledger, 2), [(account(3), 3)], "what changed since waits for the next round");
        assert_eq!(rows(&mut ledger, 2), [(account(1), 2)]);
        assert!(ledger.is_settled());
    }

    #[test]
    fn an_event_is_low_only_when_all_rows_up_to_it_are_written() {
        let mut ledger = Ledger::default();
        let [first, second] = [1, 2].map(EventId::from_bits);
        ledger.change(&account(1), &key("a"), used(1));
        ledger.change(&account(2), &key("a"), used(1));
        ledger.note(&first);
        assert_eq!(ledger.slice(1).1, None);
        ledger.change(&account(1), &key("a"), used(2));
        ledger.note(&second);
        assert_eq!(ledger.slice(1).1, Some(first), "the later event came after this round had begun");
        assert_eq!(ledger.slice(1).1, Some(second));
    }

    #[test]
    fn a_failed_transaction_leaves_no_trace_and_its_rows_are_owed_again() {
        let mut ledger = Ledger::default();
        ledger.change(&account(1), &key("a"), used(1));
        ledger.note(&EventId::from_bits(1));
        ledger.begin();
        ledger.change(&account(1), &key("a"), used(7));
        ledger.change(&account(2), &key("a"), used(7));
        assert_eq!(ledger.slice(10).0.len(), 2);
        ledger.take_back();
        assert_eq!(ledger.book(&account(1)).get(&key("a")), used(1));
        assert!(!ledger.is_settled());
        ledger.begin();
        let (rows, low) = ledger.slice(10);
        assert_eq!(rows.iter().map(|(_, _, counter)| counter.used).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(low, Some(EventId::from_bits(1)));
    }
}
