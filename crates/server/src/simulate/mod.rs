//! The product in a world of chance that can be repeated (RELIABILITY §5): tenants in many zones, customers who use, buy,
//! change and pay or do not, clocks that differ, retries, and a process that crashes at its commits. The use cases are the
//! real ones on a real SQLite; time, ids and every choice come from one seed. After each step the answers are compared
//! with books that the simulator keeps by itself, and from time to time the whole database with its invariants.

mod act;
mod ask;
mod books;
mod calendar;
mod check;
mod world;

use std::path::PathBuf;

use domain::time::Timestamp;

use crate::app::{job, time};
use crate::error::{Code, Error, Result};
use world::{Tried, World};

/// When every world begins: before a leap year.
const BEGINNING: &str = "2027-11-03T09:17:00Z";
const DAY_MICROS: i64 = 86_400_000_000;
/// Days of a month of the simulation.
const MONTH_DAYS: i64 = 30;
/// Days that it goes on without faults, for everything to come to its end.
const HEALING_DAYS: i64 = 40;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How many tenants.
    pub tenants: usize,
    /// How many customers each has.
    pub customers: usize,
    /// For how long.
    pub months: i64,
    /// How often a customer acts in a month.
    pub acts: u32,
    /// Where the database is, for the time of the simulation.
    pub dir: PathBuf,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Acts of customers.
    pub acts: u64,
    /// Uses that were allowed.
    pub allowed: u64,
    /// Uses that were refused at a limit.
    pub refused: u64,
    /// Requests that were sent again.
    pub again: u64,
    /// Changes of subscriptions.
    pub changes: u64,
    /// Crashes.
    pub crashes: u64,
    /// Times at which the whole database was checked.
    pub checks: u64,
    /// What everything that happened comes to: the same for the same seed.
    pub trace: u64,
}

/// Something that must not be.
pub(crate) fn violated(invariant: &str, what: impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("{invariant} is violated: {what}"))
}

/// Simulates, and tells each step; fails at the first violation, with the act that led to it.
pub async fn run(plan: &Plan, tell: &dyn Fn(&str)) -> Result<Counts> {
    let at = Timestamp::parse(BEGINNING).map_err(Error::internal)?;
    let folder = tempfile::Builder::new().prefix("tollgate-simulation-").tempdir_in(&plan.dir);
    let folder = folder.map_err(Error::internal)?;
    let mut world = World::begin(plan, folder.path().to_owned(), at).await?;
    let done = live(&mut world, plan, tell).await;
    let counts = world.counts;
    world.end().await;
    let told = |error: Error| {
        let at = Timestamp::from_micros(world.now);
        Error::new(Code::Internal, format!("seed {}, act {}, {at}: {}", plan.seed, counts.acts, error.detail))
    };
    done.map_err(told)?;
    Ok(counts)
}

async fn live(world: &mut World, plan: &Plan, tell: &dyn Fn(&str)) -> Result<()> {
    let people = plan.tenants.saturating_mul(plan.customers);
    let days = plan.months.saturating_mul(MONTH_DAYS);
    let per_day = u64::from(plan.acts).saturating_mul(u64::try_from(people).unwrap_or(u64::MAX));
    let per_day = per_day.div_euclid(u64::try_from(MONTH_DAYS).unwrap_or(30)).max(1);
    // Everybody comes within the first two months, on days of their own.
    let coming = usize::try_from(MONTH_DAYS.saturating_mul(2).min(days)).unwrap_or(1).max(1);
    for day in 0..days {
        if world.chance.u32(0..400) == 0 {
            // The machine is off for three days: whatever fell due is done once, oldest first.
            world.now = world.now.saturating_add(DAY_MICROS.saturating_mul(3));
        }
        let morning = world.now;
        let born = people.div_ceil(coming);
        for _ in 0..born.min(people.saturating_sub(world.people.len())) {
            act::arrive(world).await?;
        }
        for number in 0..per_day {
            let share = DAY_MICROS.saturating_mul(i64::try_from(number).unwrap_or(0));
            let passed = share.div_euclid(i64::try_from(per_day).unwrap_or(1));
            world.now = morning.saturating_add(passed);
            let line = act::act(world).await?;
            tell(&format!("{} {line}", Timestamp::from_micros(world.now)));
            note(world, &line);
        }
        world.now = morning.saturating_add(DAY_MICROS);
        pass_time(world).await?;
        if day % 7 == 6 {
            work(world).await?;
        }
        if day % 120 == 119 {
            check::books(world).await?;
        }
    }
    heal(world).await
}

/// Adds a step to the trace.
fn note(world: &mut World, line: &str) {
    for byte in line.bytes() {
        // FNV-1a.
        world.counts.trace = (world.counts.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

/// Does what time does, on a node with a clock of its own, which may crash in it.
async fn pass_time(world: &mut World) -> Result<()> {
    let at = world.look_at_some_clock();
    let tried = world.attempt(0, async |cx| time::work(&cx.app, Timestamp::from_micros(at)).await).await?;
    if let Tried::Ended(done) = tried {
        done?;
    }
    Ok(())
}

/// Every job that is due, once.
async fn work(world: &mut World) -> Result<()> {
    world.set_clock(world.now);
    let app = world.app()?.clone();
    let now = Timestamp::from_micros(world.now);
    let (jobs, _) = job::take(&app, now, usize::MAX).await?;
    for row in &jobs {
        job::run(&app, row, now).await?;
    }
    Ok(())
}

/// Faults end, time goes on, and everything that was begun must come to its end.
async fn heal(world: &mut World) -> Result<()> {
    act::let_all_pay(world).await?;
    for _ in 0..HEALING_DAYS {
        world.now = world.now.saturating_add(DAY_MICROS);
        world.set_clock(world.now);
        let app = world.app()?.clone();
        time::work(&app, Timestamp::from_micros(world.now)).await?;
    }
    work(world).await?;
    check::books(world).await?;
    check::ended(world).await
}
