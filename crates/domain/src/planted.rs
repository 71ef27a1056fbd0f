//! Bugs that can be planted, one at a time, to see that the simulator finds each (RELIABILITY §6). Only builds with debug
//! assertions, as tests run them, have any; in a release [`planted`] is `false` wherever it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What is planted: the place in [`Bug::ALL`], counted from 1; 0 for nothing.
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// A bug that somebody could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A month that was shortened stays so: March begins on the 28th, too.
    ClampedForGood,
    /// Calendar months are those of UTC.
    CalendarInUtc,
    /// One unit more than the limit is admitted.
    LimitOffByOne,
    /// Credits are used before the plan's own units.
    CreditsFirst,
    /// What is held does not count against the limit.
    HeldForgotten,
    /// A hold whose time is over stays.
    ExpiryForgotten,
    /// A hold that is given back stays.
    ReleaseForgotten,
    /// A key that was used before is not looked for.
    KeyIgnored,
    /// What was used before a change of the plan counts no more.
    UsageLostOnChange,
    /// One who pauses may go on using.
    PausedMayUse,
    /// One who canceled may go on using when the time is over.
    AccessNeverEnds,
    /// A gauge may go below nothing.
    GaugeBelowZero,
    /// All units that were not used go on to the next period.
    RolloverUncapped,
    /// Units that go on are never lost.
    RolloverForGood,
    /// Of several periods that are over only the last is closed.
    CatchUpSkips,
    /// A change at once asks for the new plan and gives nothing back of the old one.
    NothingGivenBack,
    /// The total of an invoice is rounded apart from its lines.
    TotalRoundedApart,
    /// A preview forgets what is given back.
    PreviewWithoutRefund,
    /// A charge has another key at the provider each time it is sent.
    ChargeWithoutKey,
    /// An entry of the audit trail is written otherwise than it was sealed.
    AuditUnsealed,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::ClampedForGood,
        Self::CalendarInUtc,
        Self::LimitOffByOne,
        Self::CreditsFirst,
        Self::HeldForgotten,
        Self::ExpiryForgotten,
        Self::ReleaseForgotten,
        Self::KeyIgnored,
        Self::UsageLostOnChange,
        Self::PausedMayUse,
        Self::AccessNeverEnds,
        Self::GaugeBelowZero,
        Self::RolloverUncapped,
        Self::RolloverForGood,
        Self::CatchUpSkips,
        Self::NothingGivenBack,
        Self::TotalRoundedApart,
        Self::PreviewWithoutRefund,
        Self::ChargeWithoutKey,
        Self::AuditUnsealed,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    fn number(self) -> usize {
        Self::ALL.iter().position(|bug| *bug == self).map_or(0, |place| place.saturating_add(1))
    }
}

/// Plants a bug in this process, for good. Answers whether this build has any.
pub fn plant(bug: Bug) -> bool {
    PLANTED.store(bug.number(), Ordering::Relaxed);
    cfg!(debug_assertions)
}

/// Whether a bug is planted.
#[inline]
pub fn planted(bug: Bug) -> bool {
    cfg!(debug_assertions) && PLANTED.load(Ordering::Relaxed) != 0 && PLANTED.load(Ordering::Relaxed) == bug.number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_planted_unless_somebody_plants_it() {
        assert!(Bug::ALL.into_iter().all(|bug| !planted(bug)));
        let numbers: Vec<_> = Bug::ALL.into_iter().map(Bug::number).collect();
        assert_eq!(numbers, (1..=Bug::ALL.len()).collect::<Vec<_>>());
        assert_eq!(Bug::CalendarInUtc.name(), "calendar-in-utc");
    }
}
