//! The world of a simulation: the product on a database of its own, tenants in many zones, time that is moved, and
//! crashes after which the product is put together anew from the database.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use domain::id::TenantId;
use domain::plan::Applies;
use domain::tenant::Mode;
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use providers::object::S3;
use store::db::Location;
use store::fault;
use store::gate::Finish;

use super::books::{Grant, Person};
use super::{Counts, Plan};
use crate::app::mail::account::Platform;
use crate::app::operator::{NewTenant, create};
use crate::app::revision::Expected;
use crate::app::template::Starter;
use crate::app::{audit, catalog, setup};
use crate::cx::{App, Cx, Options, Simulated};
use crate::error::{Error, Result};
use crate::start::{Settings, assemble};

/// Where tenants are: summer and winter time on both halves of the earth, odd offsets, days that were skipped.
const ZONES: [&str; 30] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/St_Johns",
    "America/Havana",
    "America/Caracas",
    "Atlantic/Azores",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Africa/Lagos",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Yangon",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Eucla",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Auckland",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Honolulu",
];

/// A tenant of the world.
#[derive(Debug)]
pub struct Place {
    /// Its row's id.
    pub id: TenantId,
    /// Its zone, for the simulator's own calendar.
    pub zone: TimeZone,
}

/// Everything.
pub struct World {
    settings: Settings,
    source: &'static Simulated,
    running: Option<(Arc<App>, Finish)>,
    /// Decides everything.
    pub chance: fastrand::Rng,
    /// The time that everybody would agree on.
    pub now: i64,
    /// Tenants.
    pub places: Vec<Place>,
    /// Customers.
    pub people: Vec<Person>,
    /// What has happened so far.
    pub counts: Counts,
    /// A number for the next key.
    pub keys: u64,
    /// Limits that tenants have changed, by tenant, plan and feature.
    limits: BTreeMap<(usize, &'static str, &'static str), i64>,
}

/// What came of something that a crash could cut off.
pub enum Tried<T> {
    /// It ended.
    Ended(Result<T>),
    /// The process crashed in it; whether it happened is not known.
    Crashed,
}

impl World {
    /// An empty world at an instant.
    pub async fn begin(plan: &Plan, dir: PathBuf, at: Timestamp) -> Result<Self> {
        let source = Simulated::begin(plan.seed, at);
        let settings = Settings {
            location: Location::Sqlite(dir.join("tollgate.db")),
            data: dir,
            master_key: Some("5e".repeat(32)),
            files: None::<S3>,
            options: Options {
                demo: false,
                default_tenant: "world-0".to_owned(),
                base_domain: "localhost".to_owned(),
                plain_http: true,
                mail: Platform::default(),
                sandbox_hangs: None,
            },
        };
        let running = Some(assemble(&settings).await?);
        let chance = fastrand::Rng::with_seed(plan.seed);
        let now = at.as_micros();
        let (places, people, counts) = (Vec::new(), Vec::new(), Counts::default());
        let mut world =
            Self { settings, source, running, chance, now, places, people, counts, keys: 0, limits: BTreeMap::new() };
        for number in 0..plan.tenants {
            world.settle(number).await?;
        }
        // A trail begins within minutes of its first entry, or somebody has taken its beginning away.
        audit::chain::seal(world.app()?, at).await?;
        Ok(world)
    }

    /// The product as it runs now.
    pub fn app(&self) -> Result<&Arc<App>> {
        self.running.as_ref().map(|(app, _)| app).ok_or_else(|| Error::internal("the world has ended"))
    }

    /// A call of one of the tenants.
    pub async fn cx(&self, place: usize) -> Result<Cx> {
        let app = self.app()?;
        let place = self.places.get(place).ok_or_else(|| Error::internal("no such tenant"))?;
        let tenant = app.tenants.get(&app.db, &app.master, &place.id).await?;
        Ok(Cx::system(app, &tenant, "simulation"))
    }

    /// A tenant with its catalog.
    async fn settle(&mut self, number: usize) -> Result<()> {
        let app = self.app()?;
        let platform = app.tenants.get(&app.db, &app.master, &setup::platform()).await?;
        let zone = ZONES.get(number % ZONES.len()).copied().unwrap_or("UTC");
        let new = NewTenant {
            slug: format!("world-{number}"),
            name: format!("World {number}"),
            mode: Mode::Sandbox,
            template: Starter::Empty,
            currency: Some("EUR".to_owned()),
            timezone: Some(zone.to_owned()),
            email: "owner@world.example".to_owned(),
            password: "a world of chance that repeats".to_owned(),
        };
        let ((row, _), _) = create(&Cx::system(app, &platform, "simulation"), &new, None).await?;
        let zone = TimeZone::get(zone).map_err(Error::internal)?;
        self.places.push(Place { id: TenantId::stored(row.tenant_id), zone });
        let cx = self.cx(number).await?;
        let how = catalog::How { dry_run: false, prune: false, applies: Applies::default() };
        catalog::apply(&cx, include_bytes!("catalog.yaml"), how, &Expected::Unsaid).await?;
        Ok(())
    }

    /// Sets every clock, so far off as nodes' clocks are (by at most a minute and a half).
    pub fn look_at_some_clock(&mut self) -> i64 {
        const OFF_MICROS: i64 = 90_000_000;
        let at = self.now.saturating_add(self.chance.i64(-OFF_MICROS..=OFF_MICROS));
        self.set_clock(at);
        at
    }

    /// Sets the clock that the product reads.
    pub fn set_clock(&self, at: i64) {
        self.source.set(Timestamp::from_micros(at));
    }

    /// What a tenant grants now.
    pub fn limit(&self, tenant: usize, grant: &Grant) -> i64 {
        self.limits.get(&(tenant, grant.plan, grant.feature)).copied().unwrap_or(grant.limit)
    }

    /// Notes that a tenant grants so many units from now on.
    pub fn note_limit(&mut self, tenant: usize, grant: &Grant, limit: i64) {
        self.limits.insert((tenant, grant.plan, grant.feature), limit);
    }

    /// A key that was not used before.
    pub fn key(&mut self) -> String {
        self.keys = self.keys.saturating_add(1);
        format!("simulated-{}", self.keys)
    }

    /// Does something of a tenant, in which the process may crash at one of the commits.
    pub async fn attempt<T>(&mut self, place: usize, act: impl AsyncFnOnce(&Cx) -> Result<T>) -> Result<Tried<T>> {
        let cx = self.cx(place).await?;
        if self.chance.u32(0..100) < 4 {
            fault::crash_at(self.chance.u32(1..=4), self.chance.bool());
        }
        let ended = act(&cx).await;
        drop(cx);
        if fault::is_down() {
            drop(ended);
            self.restart().await?;
            return Ok(Tried::Crashed);
        }
        fault::recover();
        Ok(Tried::Ended(ended))
    }

    /// The process ends as in a crash, and another begins.
    pub async fn restart(&mut self) -> Result<()> {
        self.counts.crashes = self.counts.crashes.saturating_add(1);
        self.end().await;
        self.resume().await
    }

    /// Begins again after an end.
    pub async fn resume(&mut self) -> Result<()> {
        fault::recover();
        self.running = Some(assemble(&self.settings).await?);
        Ok(())
    }

    /// Ends the product.
    pub async fn end(&mut self) {
        let Some((app, finish)) = self.running.take() else { return };
        app.stopping.cancel();
        let tasks = app.tasks.clone();
        tasks.close();
        drop(app);
        tasks.wait().await;
        finish.wait().await;
    }
}
