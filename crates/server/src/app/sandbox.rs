//! The built-in sandbox provider, for demo and sandbox tenants only: no money moves. It keeps its own books and has its
//! own approve page, and everything else treats it like a payment company.

use async_trait::async_trait;
use domain::id::{CustomerId, TenantId, encode};
use domain::planted::{Bug, planted};
use providers::pay::{Failure, NewCheckout, NewPlan, PaymentProvider, RemoteCheckout, RemotePlan, RemoteStatus};
use serde_json::json;
use store::db::Db;
use store::invoice::InvoiceRow;
use store::sandbox::{SandboxCharge, SandboxPlanRow, SandboxSubscriptionRow};

use super::audit;
use super::seal::random_text;
use crate::cx::{App, Cx, id_bits, now};
use crate::error::{Code, Error, Result};

/// Its name in URLs and answers.
pub const NAME: &str = "sandbox";
/// Where its approve page is.
pub const PAGE: &str = "/sandbox/checkout/";

/// The sandbox as one tenant uses it.
pub struct Sandbox {
    db: Db,
    tenant: TenantId,
    /// The call that never answers, as `create_plan:before` or `create_plan:after`: how a test stops the server at just
    /// this step.
    hangs: Option<String>,
}

impl Sandbox {
    /// The sandbox of a tenant.
    pub fn new(app: &App, tenant: &TenantId) -> Self {
        Self { db: app.db.clone(), tenant: tenant.clone(), hangs: app.options.sandbox_hangs.clone() }
    }

    async fn hang(&self, step: &str) {
        if self.hangs.as_deref() == Some(step) {
            tracing::warn!(step, "the sandbox provider does not answer, as it was told");
            std::future::pending::<()>().await;
        }
    }
}

fn away(error: store::error::Error) -> Failure {
    Failure::Away(error.to_string())
}

fn remote_checkout(row: SandboxSubscriptionRow) -> RemoteCheckout {
    let approval_url = format!("{}{PAGE}{}", origin(&row.return_url), row.token);
    RemoteCheckout { id: row.sandbox_subscription_id, approval_url }
}

/// Scheme, host and port of an address; its page is on the host that the buyer came from.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    url.get(..end).unwrap_or_default()
}

#[async_trait]
impl PaymentProvider for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn find_plan(&self, reference: &str) -> Result<Option<RemotePlan>, Failure> {
        let row = store::sandbox::find_plan_by_reference(&self.db, &self.tenant, reference).await.map_err(away)?;
        Ok(row.map(|row| RemotePlan { id: row.sandbox_plan_id, active: row.active }))
    }

    async fn create_plan(&self, plan: &NewPlan) -> Result<RemotePlan, Failure> {
        self.hang("create_plan:before").await;
        let row = SandboxPlanRow {
            sandbox_plan_id: format!("sbp_{}", encode(id_bits())),
            reference: plan.reference.clone(),
            name: plan.name.clone(),
            interval: plan.interval.name().to_owned(),
            currency: plan.amount.currency.code().to_owned(),
            amount_minor: plan.amount.minor,
            active: true,
        };
        store::sandbox::insert_plan(&self.db, &self.tenant, &row, now()).await.map_err(away)?;
        self.hang("create_plan:after").await;
        Ok(RemotePlan { id: row.sandbox_plan_id, active: true })
    }

    async fn deactivate_plan(&self, id: &str) -> Result<(), Failure> {
        self.hang("deactivate_plan:before").await;
        store::sandbox::deactivate_plan(&self.db, &self.tenant, id).await.map_err(away)?;
        self.hang("deactivate_plan:after").await;
        Ok(())
    }

    async fn find_checkout(&self, reference: &str) -> Result<Option<RemoteCheckout>, Failure> {
        let found = store::sandbox::find_subscription_by_reference(&self.db, &self.tenant, reference).await;
        Ok(found.map_err(away)?.map(remote_checkout))
    }

    async fn create_checkout(&self, checkout: &NewCheckout) -> Result<RemoteCheckout, Failure> {
        let plan = store::sandbox::find_plan(&self.db, &self.tenant, &checkout.plan).await.map_err(away)?;
        if !plan.is_some_and(|plan| plan.active) {
            return Err(Failure::Refused("the plan cannot be subscribed to any more".to_owned()));
        }
        let row = SandboxSubscriptionRow {
            sandbox_subscription_id: format!("sbs_{}", encode(id_bits())),
            reference: checkout.reference.clone(),
            sandbox_plan_id: checkout.plan.clone(),
            token: random_text().map_err(|error| Failure::Away(error.detail))?,
            return_url: checkout.return_url.clone(),
            status: "pending".to_owned(),
        };
        store::sandbox::insert_subscription(&self.db, &self.tenant, &row, now()).await.map_err(away)?;
        Ok(remote_checkout(row))
    }

    async fn end(&self, id: &str) -> Result<(), Failure> {
        store::sandbox::end(&self.db, &self.tenant, id).await.map_err(away)
    }

    async fn status(&self, id: &str) -> Result<RemoteStatus, Failure> {
        let row = store::sandbox::find_subscription(&self.db, &self.tenant, id).await.map_err(away)?;
        Ok(match row.as_ref().map(|row| row.status.as_str()) {
            Some("pending") => RemoteStatus::Pending,
            Some("active") => RemoteStatus::Active,
            _ => RemoteStatus::Ended,
        })
    }
}

/// Asks the sandbox for the money of an invoice; answers whether it came. Each try is charged once, whoever asks.
pub async fn charge(cx: &Cx, subscription: &str, invoice: &InvoiceRow) -> Result<bool> {
    let own = if planted(Bug::ChargeWithoutKey) { encode(id_bits()) } else { invoice.tries.to_string() };
    let charge = SandboxCharge {
        reference: format!("{}:{own}", invoice.invoice_id),
        sandbox_subscription_id: subscription.to_owned(),
        currency: invoice.currency.clone(),
        amount_minor: invoice.amount_minor,
    };
    Ok(store::sandbox::charge(&cx.app.db, cx.tenant.id(), &charge, now()).await?)
}

/// Lets a customer's payments fail from now on, or come again: what a test does with a card that is declined.
pub async fn set_declines(cx: &Cx, customer: &str, declines: bool) -> Result<()> {
    let id = CustomerId::stored(super::customer::get(cx, customer).await?.customer_id);
    let row = super::subscription::current(cx, &id).await?.filter(|row| row.provider.as_deref() == Some(NAME));
    let none = || Error::new(Code::NotFound, "The customer pays nothing through the sandbox; buy a plan there first.");
    let remote = row.and_then(|row| row.provider_subscription).ok_or_else(none)?;
    if !store::sandbox::set_declines(&cx.app.db, cx.tenant.id(), &remote, declines).await? {
        return Err(none());
    }
    let mut tx = cx.app.db.begin().await?;
    let after = Some(json!({ "approve": !declines }));
    let change = audit::Change { action: "sandbox.payments_set", target: id.as_str(), before: None, after };
    audit::write(&mut tx, cx, change).await?;
    Ok(tx.commit().await?)
}

/// What a buyer sees on the approve page.
pub struct Approval {
    /// Of which tenant.
    pub tenant: TenantId,
    /// The purchase.
    pub checkout: String,
    /// What is bought.
    pub plan: SandboxPlanRow,
    /// The sandbox's subscription.
    pub subscription: SandboxSubscriptionRow,
}

/// What an approval's address leads to.
pub async fn approval(db: &Db, token: &str) -> Result<Approval> {
    let gone = || Error::new(Code::NotFound, "There is no such approval; begin a new checkout.");
    let found = if token.contains('\0') { None } else { store::sandbox::find_by_token(db, token).await? };
    let (tenant, subscription) = found.ok_or_else(gone)?;
    let tenant = TenantId::stored(tenant.as_str());
    let plan = store::sandbox::find_plan(db, &tenant, &subscription.sandbox_plan_id).await?.ok_or_else(gone)?;
    Ok(Approval { tenant, checkout: subscription.reference.clone(), plan, subscription })
}

/// Answers for the buyer: yes or no. Answers whether it still waited for one.
pub async fn decide(db: &Db, approval: &Approval, approved: bool) -> Result<bool> {
    let status = if approved { "active" } else { "ended" };
    let id = &approval.subscription.sandbox_subscription_id;
    Ok(store::sandbox::decide(db, &approval.tenant, id, status).await?)
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn the_page_is_on_the_buyers_host() {
        assert_eq!(origin("http://127.0.0.1:8080/?checkout=x"), "http://127.0.0.1:8080");
        assert_eq!(origin("https://app.example"), "https://app.example");
    }
}
