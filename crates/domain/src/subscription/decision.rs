//! What a decision is made of: the next state with its cause, and what is to be done. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{State, Step};
use crate::entitlement::SubscriptionStatus;
use crate::id::{FeatureKey, PlanId};
use crate::money::{Money, MoneyError};
use crate::planted::{Bug, planted};
use crate::time::{TimeError, Timestamp};

/// A transition, as it is written: state, history and effects in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The instant at which it holds: of what time does, when that fell due, however late it is written.
    pub at: Timestamp,
    /// Where the subscription stands then.
    pub next: State,
    /// Why.
    pub cause: Cause,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

impl Decision {
    /// What is asked for, less what is given back; in the currency of the new terms.
    pub fn due_now(&self) -> Result<Money, MoneyError> {
        let nothing = Money::zero(self.next.currency());
        self.effects.iter().try_fold(nothing, |sum, effect| match effect {
            Effect::Charge(charge) => sum.checked_add(charge.amount),
            Effect::Refund(_) if planted(Bug::PreviewWithoutRefund) => Ok(sum),
            Effect::Refund(refund) => sum.checked_sub(refund.amount),
            Effect::Collected(_) | Effect::Retry(_) | Effect::Void(_) | Effect::Notify(_) => Ok(sum),
        })
    }
}

/// What a decision asks for beside the new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask for money: an invoice, once for its slot.
    Charge(Charge),
    /// Note money that the provider took with its approval: an invoice that is paid already.
    Collected(Charge),
    /// Give money back, or keep it for the customer: once for its slot.
    Refund(Refund),
    /// Try again to get what failed, which the next state names as [`super::Attempt::Again`]: the number of the try.
    Retry(u32),
    /// An open charge is not collected any more.
    Void(Slot),
    /// Tell the customer.
    Notify(Notice),
}

/// Money to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// What it is for: unique for a subscription, so that nothing is charged twice (RELIABILITY I5).
    pub slot: Slot,
    /// How much; above nothing.
    pub amount: Money,
    /// What it consists of; adds up to the amount.
    pub lines: Vec<Line>,
}

/// Money to give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// What it is for.
    pub slot: Slot,
    /// How much; above nothing.
    pub amount: Money,
    /// What it consists of; adds up to the amount, with its sign turned.
    pub lines: Vec<Line>,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// The plan that it is about.
    pub plan: PlanId,
    /// How much; below nothing for what is taken off.
    pub amount: Money,
    /// The time that it is for, from here.
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
    /// What was used, of a line for that.
    pub used: Option<Used>,
}

/// Units of a feature that a line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// What was used.
    pub feature: FeatureKey,
    /// How many units beyond the limit.
    pub units: i64,
}

/// What a line of an invoice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// A plan for some time.
    Plan,
    /// What a coupon takes off.
    Discount,
    /// What is left of what was charged before.
    Unused,
    /// Use beyond a soft limit.
    Overage,
}

/// What the charge of a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// The first period.
    Start,
    /// A period, which begins at the slot's instant.
    Period,
    /// A change within a period.
    Change,
    /// An end before the period's.
    End,
    /// Use beyond soft limits in the quota periods that ended at the slot's instant.
    Overage,
}

/// The key of a charge or refund within its subscription. It follows from the state alone, so that whoever decides again
/// after a crash comes to the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// At which instant.
    pub at: Timestamp,
    /// What for.
    pub kind: SlotKind,
}

impl SlotKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Start, Self::Period, Self::Change, Self::End, Self::Overage];

    /// Its name in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Period => "period",
            Self::Change => "change",
            Self::End => "end",
            Self::Overage => "overage",
        }
    }
}

impl fmt::Display for Slot {
    /// `period:1738281600000000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.at.as_micros())
    }
}

impl Slot {
    /// Reads what is written of it.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, at) = text.split_once(':')?;
        let kind = SlotKind::ALL.into_iter().find(|known| known.name() == kind)?;
        Some(Self { at: Timestamp::from_micros(at.parse().ok()?), kind })
    }
}

/// What the customer is told about. Money and security cannot be switched off (SPEC §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The trial ends soon.
    TrialEnding,
    /// The trial is over, and nothing was paid.
    TrialEnded,
    /// Another plan or interval holds now.
    PlanChanged,
    /// Another plan or interval will hold.
    ChangeScheduled,
    /// A payment failed.
    PaymentFailed,
    /// A payment that had failed has come.
    PaymentRecovered,
    /// It is canceled, and may be used until its end.
    Canceled,
    /// It goes on after all.
    Resumed,
    /// It is paused.
    Paused,
    /// It is over.
    Ended,
}

/// Why a subscription moved; kept with every transition (SPEC §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It was made.
    Created,
    /// It was made and waits for approval.
    CheckoutBegan,
    /// Its buyer approved.
    Checkout,
    /// Nobody approved in time.
    CheckoutExpired,
    /// Its end was announced.
    TrialEnding,
    /// The trial became a paid subscription.
    TrialConverted,
    /// The trial ended without a payment method.
    TrialEnded,
    /// A dearer plan, at once.
    Upgraded,
    /// A cheaper plan.
    Downgraded,
    /// Another plan of the same price, or another price of the same plan.
    PlanChanged,
    /// Monthly became yearly, or the other way round.
    IntervalChanged,
    /// A change was put down for the end of the period.
    ChangeScheduled,
    /// What was put down was taken back.
    ScheduleDropped,
    /// It was canceled.
    Canceled,
    /// The cancellation was taken back.
    CancelUndone,
    /// It was paused.
    Paused,
    /// A pause was put down for the end of the period.
    PauseScheduled,
    /// It goes on after a pause.
    Resumed,
    /// The next period began.
    Renewed,
    /// Use beyond a soft limit was asked for.
    OverageCharged,
    /// A payment came.
    PaymentReceived,
    /// A payment failed.
    PaymentFailed,
    /// A failed payment is tried again.
    PaymentRetried,
    /// The grace of a failed payment is over.
    DunningExhausted,
    /// The time of a canceled one is over.
    Ended,
}

impl Cause {
    /// Its name in the history.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::CheckoutBegan => "checkout_began",
            Self::Checkout => "checkout",
            Self::CheckoutExpired => "checkout_expired",
            Self::TrialEnding => "trial_ending",
            Self::TrialConverted => "trial_converted",
            Self::TrialEnded => "trial_ended",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::PlanChanged => "plan_changed",
            Self::IntervalChanged => "interval_changed",
            Self::ChangeScheduled => "change_scheduled",
            Self::ScheduleDropped => "schedule_dropped",
            Self::Canceled => "canceled",
            Self::CancelUndone => "cancel_undone",
            Self::Paused => "paused",
            Self::PauseScheduled => "pause_scheduled",
            Self::Resumed => "resumed",
            Self::Renewed => "renewed",
            Self::OverageCharged => "overage_charged",
            Self::PaymentReceived => "payment_received",
            Self::PaymentFailed => "payment_failed",
            Self::PaymentRetried => "payment_retried",
            Self::DunningExhausted => "dunning_exhausted",
            Self::Ended => "ended",
        }
    }
}

/// Why something cannot happen, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is so already. Whoever handles what a provider says takes this as done: it came twice, or too late to matter.
    #[error("that is so already; nothing was changed")]
    AlreadySo,
    /// Something that fell due before has not been done.
    #[error("what fell due before ({0:?}) comes first; try again in a moment")]
    DueFirst(Step),
    /// What time does was asked for before its time, or is not what comes next.
    #[error("that is not due; look up what is")]
    NotDue,
    /// Approval is waited for.
    #[error("the purchase waits for its approval; approve it, or let it lapse and begin another")]
    Pending,
    /// It is over.
    #[error("the subscription is over; begin a new one")]
    Over,
    /// It is paused.
    #[error("the subscription is paused; resume it first")]
    Paused,
    /// It is canceled.
    #[error("the subscription is canceled; take the cancellation back first")]
    Canceled,
    /// It is in its trial.
    #[error("the subscription is in its trial, which cannot pause; cancel it instead")]
    Trialing,
    /// A payment failed, or one is open and money would have to be given back.
    #[error("a payment is open; pay it first")]
    PaymentOpen,
    /// Nothing is put down for the end of the period.
    #[error("nothing is planned that could be taken back")]
    NothingScheduled,
    /// It is not canceled, or not paused.
    #[error("the subscription is {0:?}, so there is nothing to take back")]
    Nothing(SubscriptionStatus),
    /// Money of two currencies would have to be set off.
    #[error("the price is in another currency than what was paid; let the change happen at the end of the period")]
    OtherCurrency,
    /// An instant that has passed.
    #[error("name a time to come")]
    Past,
    /// The calendar ends.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// The amounts are beyond all bounds.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// What a command would come to (SPEC §5 `POST /api/subscription/preview`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// What is asked for at once, less what is given back; below nothing when more is given back.
    pub due_now: Money,
    /// What that consists of.
    pub lines: Vec<Line>,
    /// When the new terms, or the end, hold.
    pub effective_at: Timestamp,
    /// The next payment, if nothing else happens.
    pub next_charge: Option<NextCharge>,
    /// Where the subscription would stand.
    pub next: State,
    /// What it would be called.
    pub cause: Cause,
}

/// A payment to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCharge {
    /// When it falls due.
    pub at: Timestamp,
    /// What it will be.
    pub charge: Charge,
}
