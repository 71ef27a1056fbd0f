//! Tenants in memory: an immutable snapshot of each, replaced as a whole when its epoch moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use domain::catalog::{Catalog, Plan, Thresholds};
use domain::id::{FeatureKey, TenantId};
use domain::money::{Currency, Money};
use domain::revenue::Interval;
use domain::time::{Timestamp, Zone};
use providers::llm::Upstream;
use serde::{Deserialize, Serialize};
use store::model_price::ModelPriceRow;
use store::price::VersionRow;
use store::tenant::{KeptZone, TenantRow};

use super::component::{self, Component};
use super::seal::MasterKey;
use super::{setup, upstream};
use crate::cx::App;
use crate::error::{Code, Error, Result};

/// The reserved tenant of operators and of the platform's own secrets.
pub const PLATFORM: &str = "platform";

/// All of a tenant that requests need.
pub struct Tenant {
    /// Its row.
    pub row: TenantRow,
    /// What the gate decides with.
    pub catalog: Catalog,
    /// Its AI components.
    pub components: BTreeMap<FeatureKey, Component>,
    /// Where they run.
    pub upstreams: HashMap<String, Arc<dyn Upstream>>,
    /// What new customers pay.
    pub prices: Vec<Price>,
    /// What models cost.
    pub model_prices: Vec<ModelPriceRow>,
    /// Whether its test clock is being moved, and calls have to wait.
    pub clock_moves: bool,
}

/// What a plan costs now.
#[derive(Debug, Clone)]
pub struct Price {
    /// The plan.
    pub plan: String,
    /// The price version.
    pub id: String,
    /// `month` or `year`.
    pub interval: String,
    /// How much.
    pub amount: Money,
}

/// How a tenant looks, and whom to write to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Brand {
    /// The name on every page.
    pub name: String,
    /// Where the logo is.
    pub logo: Option<String>,
    /// The main colour, `#rrggbb`.
    pub primary: Option<String>,
    /// The second colour.
    pub accent: Option<String>,
    /// `sm`, `md` or `lg`.
    pub radius: Option<String>,
    /// `auto`, `light` or `dark`.
    pub scheme: Option<String>,
    /// Whether our own name may show.
    pub powered_by: bool,
    /// Links by name: `terms`, `privacy`, `support` and `sales`.
    pub links: BTreeMap<String, String>,
}

/// How a tenant is set up. What is absent has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Whether every edit must say from which revision it was made.
    pub require_if_match: bool,
    /// Whether people may buy before they have proven their address.
    pub allow_unverified: bool,
    /// The language of pages and mails.
    pub locale: String,
    /// Where users write to for help.
    pub support_email: Option<String>,
    /// Where users write to about buying.
    pub sales_email: Option<String>,
    /// When a new plan feature warns, unless it says otherwise.
    pub thresholds: Thresholds,
    /// Days for which explanations of refusals are kept.
    pub decision_days: i64,
    /// The time zones before the present one, oldest first, as far back as a period may have begun.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_zones: Vec<KeptZone>,
    /// Days for which an overdue subscription may be used.
    pub grace_days: i64,
    /// On which days after the first failure a payment is tried again, ascending.
    pub retry_days: Vec<i64>,
    /// Days before the end of a trial at which it is announced; 0 for never.
    pub trial_warning_days: i64,
    /// The id of the plan that a trial without payment method, or an overdue subscription, falls back to.
    pub fallback_plan: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            require_if_match: false,
            allow_unverified: false,
            locale: "en".to_owned(),
            support_email: None,
            sales_email: None,
            thresholds: Thresholds::default(),
            decision_days: 35,
            earlier_zones: Vec::new(),
            grace_days: 7,
            retry_days: vec![1, 3, 5],
            trial_warning_days: 3,
            fallback_plan: None,
        }
    }
}

impl Brand {
    /// Where to write to about buying: the sales address, or else the support's. Only what a link may hold.
    pub fn sales(&self) -> Option<String> {
        let link = self.links.get("sales").or_else(|| self.links.get("support"))?;
        ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)).then(|| link.clone())
    }

    /// Where to ask for help, as people read it.
    fn support(&self) -> Option<&str> {
        self.links.get("support").map(|link| link.strip_prefix("mailto:").unwrap_or(link))
    }
}

impl Tenant {
    /// A tenant that has nothing yet, as while it is made.
    pub fn empty(row: TenantRow) -> Result<Self> {
        let catalog = Catalog {
            tenant: row.id(),
            epoch: row.epoch,
            enforced: row.enforced,
            zone: Zone::parse(&row.timezone).map_err(Error::internal)?,
            earlier_zones: Vec::new(),
            clock_offset: row.clock_offset,
            features: BTreeMap::new(),
            plans: BTreeMap::new(),
            topped_up: BTreeSet::new(),
        };
        Ok(Self {
            row,
            catalog,
            components: BTreeMap::new(),
            upstreams: HashMap::new(),
            prices: Vec::new(),
            model_prices: Vec::new(),
            clock_moves: false,
        })
    }

    /// Its id.
    pub fn id(&self) -> &TenantId {
        &self.catalog.tenant
    }

    /// How it looks.
    pub fn brand(&self) -> Brand {
        let mut brand: Brand = serde_json::from_str(&self.row.brand).unwrap_or_default();
        if brand.name.is_empty() {
            brand.name.clone_from(&self.row.name);
        }
        let settings = self.settings();
        for (link, email) in [("support", settings.support_email), ("sales", settings.sales_email)] {
            if let Some(email) = email {
                brand.links.entry(link.to_owned()).or_insert_with(|| format!("mailto:{email}"));
            }
        }
        brand
    }

    /// How it is set up.
    pub fn settings(&self) -> Settings {
        serde_json::from_str(&self.row.settings).unwrap_or_default()
    }

    /// What a new customer pays for a plan, in the tenant's own currency.
    pub fn price(&self, plan: &Plan, interval: Interval) -> Option<&Price> {
        let own = |p: &&Price| p.amount.currency.code() == self.row.currency;
        self.prices_of(plan).filter(own).find(|p| p.interval == interval.name())
    }

    /// What a new customer pays for a plan, in every interval and currency.
    pub fn prices_of(&self, plan: &Plan) -> impl Iterator<Item = &Price> {
        self.prices.iter().filter(|p| p.plan == plan.id.as_str())
    }

    /// The price of a model for a prompt of some length: the newest that is in force, and of those the band with the
    /// highest floor below the prompt.
    pub fn model_price(&self, model: &str, prompt_tokens: u64, now: Timestamp) -> Option<&ModelPriceRow> {
        let prompt = i64::try_from(prompt_tokens).unwrap_or(i64::MAX);
        let of_model = self.model_prices.iter().filter(|p| p.model == model && p.effective_from <= now.as_micros());
        let newest = of_model.clone().map(|p| p.effective_from).max()?;
        of_model
            .filter(|p| p.effective_from == newest && p.prompt_tokens_over < prompt.max(1))
            .max_by_key(|p| p.prompt_tokens_over)
    }
}

/// The tenants of this process.
#[derive(Default)]
pub struct Tenants {
    by_id: RwLock<HashMap<TenantId, Arc<Tenant>>>,
    by_slug: RwLock<HashMap<String, TenantId>>,
}

impl Tenants {
    /// A tenant as memory has it; loaded when it is not there. May be stale: the gate finds out.
    pub async fn get(&self, db: &store::db::Db, master: &MasterKey, id: &TenantId) -> Result<Arc<Tenant>> {
        match self.cached(id) {
            Some(tenant) => Ok(tenant),
            // Boxed, because a request that finds its tenant here should not carry the room to read one.
            None => Box::pin(self.reload(db, master, id)).await,
        }
    }

    /// A tenant as the database has it now.
    pub async fn fresh(&self, db: &store::db::Db, master: &MasterKey, id: &TenantId) -> Result<Arc<Tenant>> {
        let row = store::tenant::find(db, id).await?.ok_or_else(unknown)?;
        match self.cached(id).filter(|tenant| tenant.row.epoch == row.epoch) {
            Some(tenant) => Ok(tenant),
            None => self.load(db, master, row).await,
        }
    }

    /// Reads a tenant anew.
    pub async fn reload(&self, db: &store::db::Db, master: &MasterKey, id: &TenantId) -> Result<Arc<Tenant>> {
        let row = store::tenant::find(db, id).await?.ok_or_else(unknown)?;
        self.load(db, master, row).await
    }

    /// A tenant by its name in URLs and headers.
    pub async fn by_slug(&self, db: &store::db::Db, master: &MasterKey, slug: &str) -> Result<Option<Arc<Tenant>>> {
        let known = self.by_slug.read().ok().and_then(|slugs| slugs.get(slug).cloned());
        if let Some(id) = known {
            return self.get(db, master, &id).await.map(Some);
        }
        let read = async {
            match store::tenant::find_by_slug(db, slug).await? {
                Some(row) => self.load(db, master, row).await.map(Some),
                None => Ok(None),
            }
        };
        Box::pin(read).await
    }

    fn cached(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.by_id.read().ok()?.get(id).cloned()
    }

    async fn load(&self, db: &store::db::Db, master: &MasterKey, row: TenantRow) -> Result<Arc<Tenant>> {
        let id = row.id();
        let catalog = store::catalog::load(db, &row).await?;
        let components = component::read(store::component::list(db, &id).await?)?;
        let upstreams = upstream::connect(&row, store::upstream::list(db, &id).await?, master)?;
        let prices = prices(store::price::sold(db, &id).await?)?;
        let model_prices = store::model_price::list(db, &id).await?;
        let moved = store::clock::find(db, &id).await?;
        let clock_moves = moved.is_some_and(|moved| moved.error.is_none());
        let slug = row.slug.clone();
        let tenant = Arc::new(Tenant { row, catalog, components, upstreams, prices, model_prices, clock_moves });
        if let (Ok(mut by_id), Ok(mut by_slug)) = (self.by_id.write(), self.by_slug.write()) {
            by_slug.insert(slug, id.clone());
            by_id.insert(id, tenant.clone());
        }
        Ok(tenant)
    }
}

/// A tenant as it is now, unless the operator has stopped it.
pub async fn usable(app: &App, id: &TenantId) -> Result<Arc<Tenant>> {
    let tenant = app.tenants.fresh(&app.db, &app.master, id).await?;
    if tenant.row.suspended { Err(suspended(app, &tenant).await) } else { Ok(tenant) }
}

/// The refusal of everything in a tenant that the operator has stopped: its users ask the tenant's own support, and
/// whoever runs the tenant asks the operator.
pub async fn suspended(app: &App, tenant: &Tenant) -> Error {
    let platform = app.tenants.fresh(&app.db, &app.master, &setup::platform()).await.ok();
    let platform = platform.map(|platform| platform.brand());
    let operator = platform.as_ref().and_then(Brand::support).unwrap_or("whoever runs this server");
    let brand = tenant.brand();
    let whom = match brand.support() {
        Some(support) => format!("Ask {support} about it, or {operator} if it is yours."),
        None => format!("Ask {operator} about it."),
    };
    let detail = format!("Nobody can sign in to {} or use it for now; nothing in it is lost. {whom}", brand.name);
    Error::new(Code::TenantSuspended, detail)
}

/// Ends the live connections of tenants that another node has stopped. Says nothing of a store that is away: the next
/// time finds out.
pub async fn close_suspended(app: &App) {
    for id in app.live.tenants() {
        let tenant = app.tenants.fresh(&app.db, &app.master, &id).await;
        if tenant.is_ok_and(|tenant| tenant.row.suspended) {
            app.live.lose(&id);
        }
    }
}

/// The tenants whose jobs are done: those of one that is suspended rest until it is resumed.
pub async fn at_work(app: &App) -> Result<Vec<TenantRow>> {
    let rows = store::tenant::list(&app.db).await?;
    Ok(rows.into_iter().filter(|row| !row.suspended).collect())
}

fn unknown() -> Error {
    Error::new(Code::UnknownTenant, "Name a tenant that exists, by its host name or X-Tenant.")
}

fn prices(rows: Vec<VersionRow>) -> Result<Vec<Price>> {
    let price = |row: VersionRow| {
        let currency = Currency::parse(&row.currency).map_err(Error::internal)?;
        Ok(Price {
            plan: row.plan_id,
            id: row.price_id,
            interval: row.interval,
            amount: Money::new(row.amount_minor, currency),
        })
    };
    rows.into_iter().map(price).collect()
}
