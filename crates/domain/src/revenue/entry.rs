//! What a transition of a subscription adds to the books of revenue. Every figure is a sum of such entries, so that
//! their order does not matter: one that is told late, with a time in the past, corrects all days after it.

use super::Movement;
use crate::entitlement::SubscriptionStatus;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// Yearly worth, and the subscriptions that count for it, also at a price of nothing.
    Worth,
    /// Subscriptions that are live: in trial, or counted, or canceled and not over yet.
    Live,
    /// Subscriptions that bring more than nothing.
    Paying,
    /// Subscriptions in trial.
    Trialing,
    /// Subscriptions that began.
    SignUp,
    /// Subscriptions that ended.
    Ended,
    /// Trials that became active.
    TrialWon,
    /// Trials that ended otherwise.
    TrialLost,
    /// Yearly worth that came or went, by what that is called.
    Moved(Movement),
}

impl Fact {
    /// Every fact.
    pub const ALL: [Self; 13] = [
        Self::Worth,
        Self::Live,
        Self::Paying,
        Self::Trialing,
        Self::SignUp,
        Self::Ended,
        Self::TrialWon,
        Self::TrialLost,
        Self::Moved(Movement::New),
        Self::Moved(Movement::Expansion),
        Self::Moved(Movement::Contraction),
        Self::Moved(Movement::Churn),
        Self::Moved(Movement::Reactivation),
    ];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worth => "worth",
            Self::Live => "live",
            Self::Paying => "paying",
            Self::Trialing => "trialing",
            Self::SignUp => "sign_up",
            Self::Ended => "ended",
            Self::TrialWon => "trial_won",
            Self::TrialLost => "trial_lost",
            Self::Moved(movement) => movement.name(),
        }
    }

    /// The fact of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }
}

/// One line of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of the amount.
    pub currency: String,
    /// The plan that it is about, by its id.
    pub plan: String,
    /// What is counted.
    pub fact: Fact,
    /// Yearly worth in minor units.
    pub amount: i64,
    /// How many.
    pub number: i64,
}

/// A transition of a subscription, as far as revenue is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The currency before, where it was another one.
    pub currency_before: Option<String>,
    /// The currency.
    pub currency: String,
    /// The plan before; none for the first transition.
    pub plan_before: Option<String>,
    /// The plan after.
    pub plan_after: String,
    /// The status before; none for the first transition.
    pub status_before: Option<SubscriptionStatus>,
    /// The status after.
    pub status_after: SubscriptionStatus,
    /// Yearly worth before.
    pub annual_before: i64,
    /// Yearly worth after.
    pub annual_after: i64,
    /// What the move of the worth is called.
    pub movement: Option<Movement>,
}

/// Where a subscription stands for the books.
#[derive(Clone, Copy)]
struct Side {
    status: Option<SubscriptionStatus>,
    annual: i64,
}

impl Side {
    /// A canceled one counts as long as it is worth something.
    fn counted(self) -> bool {
        use SubscriptionStatus::{Active, Canceled, PastDue};
        match self.status {
            Some(Active | PastDue) => true,
            Some(Canceled) => self.annual > 0,
            _ => false,
        }
    }

    fn live(self) -> bool {
        use SubscriptionStatus::{Active, Canceled, PastDue, Trialing};
        matches!(self.status, Some(Trialing | Active | PastDue | Canceled))
    }

    fn trialing(self) -> bool {
        self.status == Some(SubscriptionStatus::Trialing)
    }
}

impl Change {
    /// What the books take of it. Worth, and what stands, leaves the plan and currency before and comes to those after;
    /// a switch of the currency is churn in the one and new in the other.
    pub fn entries(&self) -> Vec<Entry> {
        let before = Side { status: self.status_before, annual: self.annual_before };
        let after = Side { status: Some(self.status_after), annual: self.annual_after };
        let mut entries = Vec::new();
        let plan_before = self.plan_before.as_ref().unwrap_or(&self.plan_after);
        let currency_before = self.currency_before.as_ref().unwrap_or(&self.currency);
        let mut write = |currency: &String, plan: &String, fact, amount: i64, number: i64| {
            if amount != 0 || number != 0 {
                entries.push(Entry { currency: currency.clone(), plan: plan.clone(), fact, amount, number });
            }
        };
        let stands = |side: Side| {
            [
                (Fact::Worth, side.annual, i64::from(side.counted())),
                (Fact::Live, 0, i64::from(side.live())),
                (Fact::Paying, 0, i64::from(side.annual > 0)),
                (Fact::Trialing, 0, i64::from(side.trialing())),
            ]
        };
        for ((fact, left, one_less), (_, came, one_more)) in stands(before).into_iter().zip(stands(after)) {
            if plan_before == &self.plan_after && currency_before == &self.currency {
                let (amount, number) = (came.saturating_sub(left), one_more.saturating_sub(one_less));
                write(&self.currency, &self.plan_after, fact, amount, number);
            } else {
                write(currency_before, plan_before, fact, left.saturating_neg(), one_less.saturating_neg());
                write(&self.currency, &self.plan_after, fact, came, one_more);
            }
        }
        for fact in self.passage(before, after) {
            let currency = if fact == Fact::Ended { currency_before } else { &self.currency };
            write(currency, &self.plan_after, fact, 0, 1);
        }
        if currency_before == &self.currency {
            let amount = self.annual_after.saturating_sub(self.annual_before);
            if let Some(movement) = self.movement.filter(|_| amount != 0) {
                write(&self.currency, &self.plan_after, Fact::Moved(movement), amount, 1);
            }
        } else {
            let (left, came) = (self.annual_before.saturating_neg(), self.annual_after);
            write(currency_before, plan_before, Fact::Moved(Movement::Churn), left, i64::from(left != 0));
            write(&self.currency, &self.plan_after, Fact::Moved(Movement::New), came, i64::from(came != 0));
        }
        entries
    }

    /// What happened, beside what stands.
    fn passage(&self, before: Side, after: Side) -> impl Iterator<Item = Fact> {
        use SubscriptionStatus::{Active, Expired, PastDue, Paused, Pending};
        let began = matches!(before.status, None | Some(Pending)) && after.live();
        let stood = before.live() || before.status == Some(Paused);
        let ended = stood && self.status_after == Expired;
        let won = before.trialing() && matches!(self.status_after, Active | PastDue);
        let lost = before.trialing() && !after.trialing() && !won;
        [(began, Fact::SignUp), (ended, Fact::Ended), (won, Fact::TrialWon), (lost, Fact::TrialLost)]
            .into_iter()
            .filter_map(|(happened, fact)| happened.then_some(fact))
    }
}
