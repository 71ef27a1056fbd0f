//! Customers: created by the integrator or by registering, and what each may use, kept in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use domain::entitlement::{Barred, Customer, Entitlement, SubscriptionStatus, resolve};
use domain::event::Kind;
use domain::id::{CustomerId, FeatureKey, PlanId, TenantId};
use domain::time::Timestamp;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use serde_json::json;
use store::customer::CustomerRow;
use store::db::Tx;
use store::gate::Seen;

use super::audit::{self, told};
use super::session::address;
use super::subscription::{self, Brought, Start};
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Names of customers kept in memory; a customer has up to two.
const CUSTOMERS_MAX: usize = 100_000;

/// A customer as a decision needs it, with what has been worked out already.
pub struct Account {
    /// The customer.
    pub customer: Customer,
    /// The catalog's epoch that the entitlements come from.
    epoch: i64,
    entitlements: RwLock<BTreeMap<FeatureKey, Arc<Entitlement>>>,
}

impl Account {
    /// The versions that everything here comes from.
    pub fn seen(&self) -> Seen {
        Seen { epoch: self.epoch, customer: self.customer.version }
    }

    /// What the customer may use of a feature now.
    pub fn entitlement(&self, cx: &Cx, feature: &FeatureKey) -> Result<Arc<Entitlement>, Barred> {
        let now = cx.tenant_now();
        let known = self.entitlements.read().ok().and_then(|known| known.get(feature).cloned());
        let good = |e: &Arc<Entitlement>| e.valid_until.is_none_or(|until| now < until) && e.period.start <= now;
        if let Some(entitlement) = known.filter(good) {
            return Ok(entitlement);
        }
        let entitlement = Arc::new(resolve(&cx.tenant.catalog, &self.customer, feature, now)?);
        if let Ok(mut known) = self.entitlements.write() {
            known.insert(feature.clone(), entitlement.clone());
        }
        Ok(entitlement)
    }

    /// Everything that is offered and that the customer may use now, in the order of the features' keys. What a
    /// suspended one has used is still shown.
    pub fn entitlements(&self, cx: &Cx) -> Vec<Arc<Entitlement>> {
        let catalog = &cx.tenant.catalog;
        let offered = catalog.features.values().filter(|feature| !feature.archived);
        if !self.customer.suspended {
            return offered.filter_map(|feature| self.entitlement(cx, &feature.key).ok()).collect();
        }
        let shown = Customer { suspended: false, ..self.customer.clone() };
        let now = cx.tenant_now();
        offered.filter_map(|feature| resolve(catalog, &shown, &feature.key, now).ok().map(Arc::new)).collect()
    }
}

/// The customers of this process, by every name that was used for them.
pub struct Customers {
    accounts: Cache<Named, Arc<Account>>,
}

/// A customer's id or external id in its tenant.
#[derive(Hash, PartialEq, Eq)]
struct Named(TenantId, String);

/// The same, to look it up.
#[derive(Hash)]
struct Name<'a>(&'a TenantId, &'a str);

impl Equivalent<Named> for Name<'_> {
    fn equivalent(&self, named: &Named) -> bool {
        self.0 == &named.0 && self.1 == named.1
    }
}

impl Default for Customers {
    fn default() -> Self {
        Self { accounts: Cache::new(CUSTOMERS_MAX) }
    }
}

impl Customers {
    /// A customer by id or external id, if memory has it.
    pub fn known(&self, cx: &Cx, name: &str) -> Option<Arc<Account>> {
        self.accounts.get(&Name(cx.tenant.id(), name)).filter(|account| account.epoch == cx.tenant.row.epoch)
    }

    /// A customer by id or external id, as memory has it. May be stale: the gate finds out.
    pub async fn get(&self, cx: &Cx, name: &str) -> Result<Arc<Account>> {
        match self.known(cx, name) {
            Some(account) => Ok(account),
            // Boxed, because a request that finds its customer here should not carry the room to read one.
            None => Box::pin(self.reload(cx, name)).await,
        }
    }

    /// Reads a customer anew.
    pub async fn reload(&self, cx: &Cx, name: &str) -> Result<Arc<Account>> {
        let tenant = cx.tenant.id();
        let row = get(cx, name).await?;
        let customer = store::customer::load(&cx.app.db, tenant, &row).await?;
        let account = Arc::new(Account { customer, epoch: cx.tenant.row.epoch, entitlements: RwLock::default() });
        // Its holds are settled under its id, whatever name the caller used.
        if row.customer_id != name {
            self.accounts.insert(Named(tenant.clone(), row.customer_id), account.clone());
        }
        self.accounts.insert(Named(tenant.clone(), name.to_owned()), account.clone());
        Ok(account)
    }
}

/// The error for a customer that is not there, or is another tenant's.
pub fn unknown() -> Error {
    Error::new(Code::UnknownCustomer, "Create the customer first (POST /api/customers), or check its id.")
}

/// What a new customer is made of.
#[derive(Debug, Clone, Default)]
pub struct NewCustomer {
    /// The integrator's name for it.
    pub external_id: Option<String>,
    /// Where to write to.
    pub email: Option<String>,
    /// What people read.
    pub name: Option<String>,
    /// The plan to start with; the tenant's default otherwise.
    pub plan: Option<String>,
    /// The instant whose billing period runs, when the customer began earlier; its beginning otherwise.
    pub billed_at: Option<Timestamp>,
}

/// Creates a customer; the same external id answers the one that is there.
///
/// Answers the row and whether it is new.
pub async fn create(cx: &Cx, new: NewCustomer) -> Result<(CustomerRow, bool)> {
    let new = checked(new)?;
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let cx = &cx.clone().with_tenant(tenant);
    if let Some(row) = find_external(cx, &new).await? {
        return Ok((row, false));
    }
    let mut tx = cx.app.db.begin().await?;
    let inserted = insert(&mut tx, cx, &new).await;
    match inserted {
        Ok(row) => {
            audited(&mut tx, cx, &row, new.plan.as_deref()).await?;
            tx.commit().await?;
            Ok((row, true))
        }
        // Somebody created it at the same moment; theirs is as good.
        Err(error) if error.code == Code::Taken => {
            drop(tx);
            find_external(cx, &new).await?.map(|row| (row, false)).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

async fn find_external(cx: &Cx, new: &NewCustomer) -> Result<Option<CustomerRow>> {
    match &new.external_id {
        Some(external) => Ok(store::customer::find(&cx.app.db, cx.tenant.id(), external).await?),
        None => Ok(None),
    }
}

/// What people write about a customer, checked, and without blanks around the name and the address. Something has to
/// say who it is.
pub fn checked(mut new: NewCustomer) -> Result<NewCustomer> {
    new.email = new.email.map(|email| address(&email)).transpose()?;
    new.name = new.name.map(|name| name.trim().to_owned());
    for (pointer, value) in [("/externalId", &new.external_id), ("/name", &new.name)] {
        let Some(value) = value else { continue };
        let chars = value.chars().count();
        if value.trim().is_empty() || chars > TEXT_CHARS_MAX || value.chars().any(char::is_control) {
            let detail = format!("use 1 to {TEXT_CHARS_MAX} characters without line breaks, and not blanks alone");
            return Err(Error::field(pointer, detail));
        }
    }
    if let Some(id) = &new.external_id {
        if id.starts_with("cus_") {
            return Err(Error::field("/externalId", "`cus_` begins our own ids; choose another"));
        }
        if id.trim() != id {
            return Err(Error::field("/externalId", "leave out the blanks around it"));
        }
    }
    if new.external_id.is_none() && new.email.is_none() {
        let detail = "name the customer by your own id for it (externalId), by its e-mail address (email), or by both";
        return Err(Error::field("", detail));
    }
    Ok(new)
}

/// Writes a customer with its first subscription, if a plan is named or the tenant has a default one.
pub async fn insert(tx: &mut Tx, cx: &Cx, new: &NewCustomer) -> Result<CustomerRow> {
    let now = cx.tenant_now();
    let id = CustomerId::from_bits(id_bits());
    let row = CustomerRow {
        customer_id: id.to_string(),
        external_id: new.external_id.clone(),
        email: new.email.clone(),
        name: new.name.clone(),
        anchor: now.as_micros(),
        suspended: false,
        entitlement_version: now.as_micros(),
        created_at: now.as_micros(),
    };
    store::customer::insert(tx, cx.tenant.id(), &row).await?;
    told::tell_staff(tx, cx, Kind::Customer, (id.as_str(), store::event::CUSTOMER_CREATED));
    let slug = match (&new.plan, &cx.tenant.row.default_plan_id) {
        (Some(slug), _) => Some(slug.clone()),
        (None, Some(plan)) => {
            let plans = &cx.tenant.catalog.plans;
            plans.get(&PlanId::stored(plan.as_str())).map(|plan| plan.slug.to_string())
        }
        (None, None) => None,
    };
    if let Some(slug) = slug {
        let brought = |billed_at| Brought { status: SubscriptionStatus::Active, access_until: None, billed_at };
        let start = Start { brought: new.billed_at.map(brought), ..Start::at_monthly_price(cx, &slug)? };
        subscription::start(tx, cx, &id, &start).await?;
    }
    Ok(row)
}

/// Notes who made a customer. What it is called and where it is written to are personal, and stay out of the trail.
pub async fn audited(tx: &mut Tx, cx: &Cx, row: &CustomerRow, plan: Option<&str>) -> Result<()> {
    let after = json!({ "externalId": row.external_id, "plan": plan });
    let change =
        audit::Change { action: "customer.created", target: &row.customer_id, before: None, after: Some(after) };
    audit::write(tx, cx, change).await
}

/// A customer's own row.
pub async fn get(cx: &Cx, name: &str) -> Result<CustomerRow> {
    // PostgreSQL has no text with a zero byte.
    if name.contains('\0') {
        return Err(unknown());
    }
    store::customer::find(&cx.app.db, cx.tenant.id(), name).await?.ok_or_else(unknown)
}

/// The plan of a customer's subscription by its name in URLs; none without one.
pub async fn plan(cx: &Cx, customer: &CustomerId) -> Result<Option<String>> {
    let Some(current) = subscription::current(cx, customer).await? else { return Ok(None) };
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    let plan = tenant.catalog.plans.get(&PlanId::stored(current.plan_id.as_str()));
    Ok(Some(plan.map_or(current.plan_id, |plan| plan.slug.to_string())))
}
