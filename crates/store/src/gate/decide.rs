//! What one operation does to its customer's counters, whichever database holds them.

use domain::entitlement::{CounterKey, Entitlement};
use domain::gauge;
use domain::id::ReservationId;
use domain::reservation::{self, Hold, State};
use domain::time::Timestamp;
use domain::usage::{self, Book, Draw, Line, Refusal};

use super::{Command, Held, Item};

/// What an operation comes to.
#[derive(Debug)]
pub(super) struct Decision {
    /// The changes to record; empty for one that only reads.
    pub(super) lines: Vec<Line>,
    /// The quotas to answer.
    pub(super) quotas: Vec<domain::quota::Quota>,
    /// What becomes of its reservation.
    pub(super) reservation: Option<ReservationChange>,
}

/// A change of a reservation's row.
#[derive(Debug)]
pub(super) enum ReservationChange {
    /// A new one, with its holds.
    Open(Vec<Hold>),
    /// It ended so.
    End(State),
}

impl Decision {
    /// What a new reservation holds.
    pub(super) fn holds(&self) -> Vec<Hold> {
        match &self.reservation {
            Some(ReservationChange::Open(holds)) => holds.clone(),
            Some(ReservationChange::End(_)) | None => Vec::new(),
        }
    }
}

/// The counters that an operation reads.
pub(super) fn keys(command: &Command) -> Vec<CounterKey> {
    let mut keys: Vec<CounterKey> = Vec::new();
    let of_items = |items: &[Item], keys: &mut Vec<CounterKey>| {
        keys.extend(items.iter().flat_map(|(entitlement, _)| entitlement.counter_keys()).cloned());
    };
    let of_holds = |held: &Held, keys: &mut Vec<CounterKey>| keys.extend(held.holds.iter().map(|h| h.key.clone()));
    match command {
        Command::Read(entitlements) => keys.extend(entitlements.iter().flat_map(|e| e.counter_keys()).cloned()),
        Command::Check(items) | Command::Consume(items) | Command::Record(items) | Command::Reserve { items, .. } => {
            of_items(items, &mut keys);
        }
        Command::Settle { reservation, items } | Command::Release { reservation, items } => {
            of_items(items, &mut keys);
            of_holds(reservation, &mut keys);
        }
        Command::Expire(reservation) => of_holds(reservation, &mut keys),
        Command::SetGauge(item) | Command::AdjustGauge(item) => of_items(std::slice::from_ref(item), &mut keys),
        Command::Reverse { recorded, items } => {
            of_items(items, &mut keys);
            keys.extend(recorded.iter().map(|line| line.key.clone()));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What a command is about, with what its customer may use of it.
pub(super) fn items(command: &Command) -> &[Item] {
    match command {
        Command::Read(_) | Command::Expire(_) => &[],
        Command::Check(items)
        | Command::Consume(items)
        | Command::Record(items)
        | Command::Reserve { items, .. }
        | Command::Settle { items, .. }
        | Command::Release { items, .. }
        | Command::Reverse { items, .. } => items,
        Command::SetGauge(item) | Command::AdjustGauge(item) => std::slice::from_ref(item),
    }
}

/// The name under which a command is recorded.
pub(super) const fn kind(command: &Command) -> &'static str {
    match command {
        Command::Read(_) | Command::Check(_) => "read",
        Command::Consume(_) | Command::Record(_) => "consume",
        Command::Reserve { .. } => "reserve",
        Command::Settle { .. } => "settle",
        Command::Release { .. } => "release",
        Command::Expire(_) => "expire",
        Command::SetGauge(_) => "set",
        Command::AdjustGauge(_) => "adjust",
        Command::Reverse { .. } => "reverse",
    }
}

/// The reservation that a command ends.
pub(super) const fn ends(command: &Command) -> Option<&Held> {
    match command {
        Command::Settle { reservation, .. } | Command::Release { reservation, .. } | Command::Expire(reservation) => {
            Some(reservation)
        }
        Command::Read(_)
        | Command::Check(_)
        | Command::Consume(_)
        | Command::Record(_)
        | Command::Reserve { .. }
        | Command::SetGauge(_)
        | Command::AdjustGauge(_)
        | Command::Reverse { .. } => None,
    }
}

/// The reservation that a command makes or ends.
pub(super) fn reservation_id(command: &Command) -> Option<&ReservationId> {
    if let Command::Reserve { id, .. } = command {
        return Some(id);
    }
    ends(command).map(|held| &held.id)
}

/// Decides one operation. `state` is where the reservation that it ends stands now.
pub(super) fn decide(command: &Command, state: State, book: &Book, now: Timestamp) -> Result<Decision, Refusal> {
    let use_now = |items: &[Item]| usage::admit(&borrow(items), Draw::Use, book, now);
    match command {
        Command::Read(entitlements) => {
            let quotas = entitlements.iter().map(|e: &std::sync::Arc<Entitlement>| usage::quota(e, book)).collect();
            Ok(Decision { lines: Vec::new(), quotas, reservation: None })
        }
        Command::Check(items) => {
            use_now(items)?;
            // Nothing is recorded, and the quotas say so.
            let quotas = items.iter().map(|(entitlement, _)| usage::quota(entitlement, book)).collect();
            Ok(Decision { lines: Vec::new(), quotas, reservation: None })
        }
        Command::Consume(items) => use_now(items).map(recorded),
        Command::Record(items) => usage::record(&borrow(items), book, now).map(recorded),
        Command::Reserve { items, expires_at, .. } => {
            let lines = usage::admit(&borrow(items), Draw::Hold(*expires_at), book, now)?;
            let open = ReservationChange::Open(reservation::holds(&lines));
            Ok(Decision { reservation: Some(open), ..recorded(lines) })
        }
        Command::Settle { reservation, items } => {
            let lines = reservation::settle(&reservation.holds, &borrow(items), state == State::Open, book, now)?;
            Ok(Decision { reservation: Some(ReservationChange::End(State::Settled)), ..recorded(lines) })
        }
        Command::Release { reservation, items } => {
            let lines = reservation::release_with_quotas(&reservation.holds, &borrow(items), book, now)?;
            Ok(Decision { reservation: Some(ReservationChange::End(State::Released)), ..recorded(lines) })
        }
        Command::Expire(reservation) => {
            let lines = reservation::release(&reservation.holds, book, now)?;
            Ok(Decision { reservation: Some(ReservationChange::End(State::Expired)), ..recorded(lines) })
        }
        Command::SetGauge((entitlement, level)) => {
            gauge::set(usage::Item { entitlement, amount: *level }, book, now).map(recorded)
        }
        Command::AdjustGauge((entitlement, delta)) => {
            gauge::adjust(usage::Item { entitlement, amount: *delta }, book, now).map(recorded)
        }
        Command::Reverse { recorded: lines, items } => gauge::reverse(lines, &borrow(items), book, now).map(recorded),
    }
}

fn borrow(items: &[Item]) -> Vec<usage::Item<'_>> {
    items.iter().map(|(entitlement, amount)| usage::Item { entitlement, amount: *amount }).collect()
}

fn recorded(lines: Vec<Line>) -> Decision {
    Decision { quotas: quotas(&lines), lines, reservation: None }
}

fn quotas(lines: &[Line]) -> Vec<domain::quota::Quota> {
    lines.iter().filter_map(|line| line.quota.clone()).collect()
}
