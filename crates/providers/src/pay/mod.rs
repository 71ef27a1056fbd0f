//! Payment providers behind one trait. A provider's truth is fetched, never believed from who comes back or what is sent.
//!
//! Every call that makes something carries our own name for it, by which it can be found again: after a crash between
//! the provider's yes and our note of it, the next try finds what was made instead of making it twice.

use async_trait::async_trait;
use domain::money::Money;
use domain::revenue::Interval;

/// A provider's side of a price version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePlan {
    /// The provider's id.
    pub id: String,
    /// Whether it can be subscribed to.
    pub active: bool,
}

/// A price version to be made at a provider.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Our name for it: the price's id.
    pub reference: String,
    /// What people read.
    pub name: String,
    /// How often it is paid.
    pub interval: Interval,
    /// How much.
    pub amount: Money,
}

/// A subscription to be approved by its buyer.
#[derive(Debug, Clone)]
pub struct NewCheckout {
    /// Our name for it: the checkout's id.
    pub reference: String,
    /// The provider's plan.
    pub plan: String,
    /// Where the buyer's browser is sent afterwards.
    pub return_url: String,
}

/// An approval that waits for its buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCheckout {
    /// The provider's id of the subscription.
    pub id: String,
    /// Where the buyer approves or declines.
    pub approval_url: String,
}

/// Where a subscription stands at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteStatus {
    /// The buyer has not answered yet.
    Pending,
    /// Approved and paid for.
    Active,
    /// The buyer said no, or it ended.
    Ended,
}

/// Why a provider did not do as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It cannot be reached or is too busy; what was asked may have happened.
    #[error("the payment provider is away: {0}")]
    Away(String),
    /// It understood and refused; the same again is refused again.
    #[error("the payment provider refused: {0}")]
    Refused(String),
}

/// A payment provider, as one tenant uses it.
#[async_trait]
pub trait PaymentProvider: Send + Sync {
    /// Its name in URLs and answers.
    fn name(&self) -> &'static str;

    /// The plan that was made under our name for it.
    async fn find_plan(&self, reference: &str) -> Result<Option<RemotePlan>, Failure>;

    /// Makes a plan.
    async fn create_plan(&self, plan: &NewPlan) -> Result<RemotePlan, Failure>;

    /// Stops new subscriptions to a plan; who has one keeps it. A second time is no failure.
    async fn deactivate_plan(&self, id: &str) -> Result<(), Failure>;

    /// The checkout that was made under our name for it.
    async fn find_checkout(&self, reference: &str) -> Result<Option<RemoteCheckout>, Failure>;

    /// Makes a subscription that waits for its buyer's approval.
    async fn create_checkout(&self, checkout: &NewCheckout) -> Result<RemoteCheckout, Failure>;

    /// Ends a subscription at once, approved or not: nothing is asked for through it from then on. A second time, or of
    /// one that the provider does not know, is no failure.
    async fn end(&self, id: &str) -> Result<(), Failure>;

    /// Where a subscription stands.
    async fn status(&self, id: &str) -> Result<RemoteStatus, Failure>;
}
