//! Levels that go up and down, and the correction of what was recorded.

use crate::entitlement::CounterKey;
use crate::time::Timestamp;
use crate::usage::{Book, Draw, Item, Line, Refusal, Sheet, admit};

/// Moves a gauge: growth is admitted like any use, shrinking always is, down to nothing.
pub fn adjust(item: Item<'_>, book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    if item.amount >= 0 {
        return admit(&[item], Draw::Use, book, now);
    }
    let level = book.get(&item.entitlement.plan_key).used;
    if level.saturating_add(item.amount) < 0 {
        return Err(Refusal::BelowZero(item.entitlement.feature.clone(), level));
    }
    let mut sheet = Sheet::new(book, now);
    sheet.add(&item.entitlement.plan_key, item.amount, 0)?;
    Ok(sheet.finish(&[item]))
}

/// Sets a gauge to the level that was counted at its source, whatever the limit says: a recount is the truth.
///
/// `item.amount` is the level.
pub fn set(item: Item<'_>, book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let level = book.get(&item.entitlement.plan_key).used;
    let mut sheet = Sheet::new(book, now);
    sheet.add(&item.entitlement.plan_key, item.amount.saturating_sub(level), 0)?;
    Ok(sheet.finish(&[item]))
}

/// One line of an earlier operation that is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The counter that it moved.
    pub key: CounterKey,
    /// The units that it added to `used`.
    pub amount: i64,
}

/// Takes an earlier operation back, line by line, in the periods in which it was recorded; never below nothing, which
/// a gauge that was set since could otherwise reach.
pub fn reverse(recorded: &[Recorded], items: &[Item<'_>], book: &Book, now: Timestamp) -> Result<Vec<Line>, Refusal> {
    let mut sheet = Sheet::new(book, now);
    for line in recorded {
        let level = sheet.counter(&line.key).used;
        sheet.add(&line.key, line.amount.min(level).saturating_neg(), 0)?;
    }
    Ok(sheet.finish(items))
}
