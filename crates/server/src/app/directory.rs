//! Lists of users and customers with what they have used, how they stand, and what can be done about those near a limit.

use std::collections::{HashMap, VecDeque};

use domain::catalog::{FeatureKind, LimitType, Plan};
use domain::entitlement::{Customer, SubscriptionStatus, resolve};
use domain::id::TenantId;
use domain::quota::{Health, Quota, Status};
use domain::time::Timestamp;
use store::customer::CustomerRow;
use store::db::Db;
use store::directory::Filter;
pub use store::directory::UserRow;
use store::list::{Place, Wanted};

use super::tenant::Tenant;
use crate::cx::Cx;
use crate::error::{Error, Result};

/// Rows that an export has in memory at once.
const EXPORT_ROWS: usize = 250;
/// Places that an export reads at once. Most sorts have no index, so that each reading may look at the whole tenant.
const EXPORT_PLACES: i64 = 20_000;

/// A customer with what it has used.
pub struct Listed {
    /// Its own row.
    pub row: CustomerRow,
    /// What decides what it may use.
    pub customer: Customer,
    /// The quotas of everything that it may use.
    pub quotas: Vec<Quota>,
    /// How it stands.
    pub health: Health,
}

impl Listed {
    /// Its plan by its name in URLs.
    pub fn plan<'a>(&self, tenant: &'a Tenant) -> Option<&'a Plan> {
        tenant.catalog.plans.get(&self.customer.subscription.as_ref()?.plan)
    }
}

/// A user with the customer that it acts for, and where it stands in its list.
pub struct ListedUser {
    /// Its row.
    pub user: UserRow,
    /// The customer.
    pub customer: Option<Listed>,
    /// Its place.
    pub place: Place,
}

/// A list's filters, as a query names them.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// A plan's name in URLs.
    pub plan: Option<String>,
    /// How they stand.
    pub status: Option<Health>,
    /// A role's name.
    pub role: Option<String>,
}

impl Named {
    fn filter(&self, cx: &Cx) -> Result<Filter> {
        let id = |slug: &String| {
            let known = cx.tenant.catalog.plan_by_slug(slug).map(|plan| plan.id.to_string());
            known.ok_or_else(|| Error::parameter("plan", "name a plan of GET /api/plans"))
        };
        Ok(Filter {
            role: self.role.clone().unwrap_or_default(),
            plan: self.plan.as_ref().map(id).transpose()?.unwrap_or_default(),
            worst: self.status.map(Health::code),
        })
    }
}

/// Some customers with what they have used, as the last committed batch left it, by their ids.
pub async fn customers_of(db: &Db, tenant: &Tenant, ids: &[String], now: Timestamp) -> Result<HashMap<String, Listed>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let loaded = store::directory::load(db, tenant.id(), ids).await?;
    let catalog = &tenant.catalog;
    let entitled = |customer: &Customer| {
        let counted = catalog.features.values().filter(|feature| feature.kind != FeatureKind::Flag);
        counted.filter_map(|feature| resolve(catalog, customer, &feature.key, now).ok()).collect::<Vec<_>>()
    };
    let loaded: Vec<_> = loaded.into_iter().map(|(row, customer)| (entitled(&customer), row, customer)).collect();
    let starts = loaded.iter().flat_map(|(entitlements, ..)| entitlements).map(|e| e.plan_key.period_start);
    let from = starts.filter(|start| *start != Timestamp::EPOCH).min().unwrap_or(now);
    let mut books = store::directory::books(db, tenant.id(), ids, from).await?;
    let listed = loaded.into_iter().map(|(entitlements, row, customer)| {
        let book = books.remove(&row.customer_id).unwrap_or_default();
        let quotas: Vec<_> = entitlements.iter().map(|e| domain::usage::quota(e, &book)).collect();
        let health = health(&customer, &quotas);
        (row.customer_id.clone(), Listed { row, customer, quotas, health })
    });
    Ok(listed.collect())
}

/// How a customer stands: the worst of its quotas, and an overdue payment is worse still.
pub fn health(customer: &Customer, quotas: &[Quota]) -> Health {
    let overdue = customer.subscription.as_ref().is_some_and(|s| s.status == SubscriptionStatus::PastDue);
    if overdue { Health::PastDue } else { Health::of(quotas) }
}

/// A whole list that is gone through from its beginning, some rows at a time.
pub struct Walk {
    wanted: Wanted,
    named: Named,
    ahead: VecDeque<Place>,
    over: bool,
}

impl Walk {
    /// Goes through what is wanted of a list, wherever its page begins.
    pub fn new(wanted: Wanted, named: Named) -> Self {
        let wanted = Wanted { rows: EXPORT_PLACES, after: None, ..wanted };
        Self { wanted, named, ahead: VecDeque::new(), over: false }
    }

    /// The next places of users; none at the end.
    pub async fn users(&mut self, cx: &Cx) -> Result<Vec<Place>> {
        if self.is_out() {
            let places = user_places(cx, &self.wanted, &self.named).await?;
            self.found(places);
        }
        Ok(self.some())
    }

    /// The next places of customers; none at the end.
    pub async fn customers(&mut self, cx: &Cx) -> Result<Vec<Place>> {
        if self.is_out() {
            let places = customer_places(cx, &self.wanted, &self.named).await?;
            self.found(places);
        }
        Ok(self.some())
    }

    fn is_out(&self) -> bool {
        self.ahead.is_empty() && !self.over
    }

    fn found(&mut self, places: Vec<Place>) {
        self.over = i64::try_from(places.len()).is_ok_and(|found| found < self.wanted.rows);
        self.wanted.after = places.last().cloned();
        self.ahead = places.into();
    }

    fn some(&mut self) -> Vec<Place> {
        self.ahead.drain(..self.ahead.len().min(EXPORT_ROWS)).collect()
    }
}

/// Users of the tenant, with their customers.
pub async fn users(cx: &Cx, wanted: &Wanted, named: &Named) -> Result<Vec<ListedUser>> {
    users_at(cx, user_places(cx, wanted, named).await?).await
}

async fn user_places(cx: &Cx, wanted: &Wanted, named: &Named) -> Result<Vec<Place>> {
    Ok(store::directory::users(&cx.app.db, cx.tenant.id(), wanted, &named.filter(cx)?).await?)
}

/// The users at some places of their list.
pub async fn users_at(cx: &Cx, places: Vec<Place>) -> Result<Vec<ListedUser>> {
    let (db, tenant) = (&cx.app.db, cx.tenant.id());
    let rows = store::directory::user_rows(db, tenant, &ids(&places)).await?;
    let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (row.user_id.clone(), row)).collect();
    let customers: Vec<_> = rows.values().filter_map(|row| row.customer_id.clone()).collect();
    let customers = customers_of(db, &cx.tenant, &customers, cx.tenant_now()).await?;
    // Several users may act for one customer.
    let listed = |place: Place| {
        let user = rows.remove(&place.id)?;
        let customer = user.customer_id.as_ref().and_then(|id| customers.get(id)).map(Listed::again);
        Some(ListedUser { user, customer, place })
    };
    Ok(places.into_iter().filter_map(listed).collect())
}

impl Listed {
    fn again(&self) -> Self {
        Self {
            row: self.row.clone(),
            customer: self.customer.clone(),
            quotas: self.quotas.clone(),
            health: self.health,
        }
    }
}

/// How many users a list has on all its pages.
pub async fn count_users(cx: &Cx, wanted: &Wanted, named: &Named) -> Result<i64> {
    Ok(store::directory::count_users(&cx.app.db, cx.tenant.id(), wanted, &named.filter(cx)?).await?)
}

/// Customers of the tenant, each with its place in the list.
pub async fn customers(cx: &Cx, wanted: &Wanted, named: &Named) -> Result<Vec<(Listed, Place)>> {
    customers_at(cx, customer_places(cx, wanted, named).await?).await
}

async fn customer_places(cx: &Cx, wanted: &Wanted, named: &Named) -> Result<Vec<Place>> {
    Ok(store::directory::customers(&cx.app.db, cx.tenant.id(), wanted, &named.filter(cx)?).await?)
}

/// The customers at some places of their list.
pub async fn customers_at(cx: &Cx, places: Vec<Place>) -> Result<Vec<(Listed, Place)>> {
    let mut customers = customers_of(&cx.app.db, &cx.tenant, &ids(&places), cx.tenant_now()).await?;
    Ok(places.into_iter().filter_map(|place| Some((customers.remove(&place.id)?, place))).collect())
}

/// How many customers a list has on all its pages.
pub async fn count_customers(cx: &Cx, wanted: &Wanted, named: &Named) -> Result<i64> {
    Ok(store::directory::count_customers(&cx.app.db, cx.tenant.id(), wanted, &named.filter(cx)?).await?)
}

/// Customers near or over a limit, the worst first.
pub async fn near(cx: &Cx, wanted: &Wanted) -> Result<Vec<(Listed, Place)>> {
    let places = store::directory::near(&cx.app.db, cx.tenant.id(), wanted).await?;
    customers_at(cx, places).await
}

fn ids(places: &[Place]) -> Vec<String> {
    places.iter().map(|place| place.id.clone()).collect()
}

/// The first plan of the pricing page that is not the customer's and under which no quota would be near its limit.
pub fn fitting_plan<'a>(tenant: &'a Tenant, listed: &Listed) -> Option<&'a Plan> {
    let own = listed.customer.subscription.as_ref().map(|subscription| &subscription.plan);
    let fits = |plan: &&Plan| {
        listed.quotas.iter().all(|quota| {
            let taken = quota.used.saturating_add(quota.reserved);
            match plan.features.get(&quota.feature).filter(|granted| granted.enabled) {
                None => taken == 0,
                Some(granted) if granted.limit_type == LimitType::Unlimited => true,
                Some(granted) => {
                    let status = domain::quota::status(taken, 0, Some(granted.limit), 0, granted.thresholds);
                    status == Status::Ok
                }
            }
        })
    };
    let mut plans: Vec<_> = tenant.catalog.plans.values().filter(|plan| plan.active && Some(&plan.id) != own).collect();
    plans.sort_by_key(|plan| plan.position);
    plans.into_iter().find(fits)
}

/// The tenant that an id names, as the database has it now.
pub async fn fresh(cx: &Cx, tenant: &TenantId) -> Result<Cx> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, tenant).await?;
    Ok(cx.clone().with_tenant(tenant))
}
