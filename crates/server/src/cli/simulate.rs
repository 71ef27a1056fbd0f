//! `tollgate simulate`: months of a world of chance, from a seed that repeats it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use domain::planted::{Bug, plant};

use super::say::say;
use crate::cx::clock;
use crate::error::{Code, Error, Result};
use crate::simulate::{self, Plan};

#[derive(Args)]
pub struct Simulate {
    /// Repeats a simulation; drawn and printed otherwise.
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, default_value_t = 20)]
    tenants: usize,
    /// Customers of each tenant.
    #[arg(long, default_value_t = 50)]
    customers: usize,
    #[arg(long, default_value_t = 24)]
    months: i64,
    /// How often a customer acts in a month, on average.
    #[arg(long, default_value_t = 1)]
    acts: u32,
    /// Where its database is for the time of the simulation: memory is quickest.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A bug to plant, which must be found; only builds for tests have any.
    #[arg(long, hide = true)]
    plant: Option<String>,
    /// Print each act.
    #[arg(long)]
    trace: bool,
}

/// Simulates, and says what happened.
pub async fn run(asked: &Simulate) -> Result<ExitCode> {
    if let Some(name) = &asked.plant {
        let bug = Bug::ALL.into_iter().find(|bug| bug.name() == *name);
        let known = || Bug::ALL.map(Bug::name).join(", ");
        let bug = bug.ok_or_else(|| Error::new(Code::Internal, format!("no bug {name}; there are {}", known())))?;
        if !plant(bug) {
            return Err(Error::new(Code::Internal, "this build has no bugs to plant; take one with debug assertions"));
        }
    }
    let drawn = || clock().unsigned_abs() % 1_000_000_000;
    let memory = PathBuf::from("/dev/shm");
    let dir = asked.dir.clone().unwrap_or_else(|| if memory.is_dir() { memory } else { std::env::temp_dir() });
    let Simulate { tenants, customers, months, acts, .. } = *asked;
    let plan = Plan { seed: asked.seed.unwrap_or_else(drawn), tenants, customers, months, acts, dir };
    say!("seed {}: {tenants} tenants with {customers} customers each, {months} months", plan.seed);
    let tell = |line: &str| {
        if asked.trace {
            say!("{line}");
        }
    };
    let counts = Box::pin(simulate::run(&plan, &tell)).await?;
    say!(
        "{} acts: {} uses allowed, {} refused, {} sent again, {} changes of subscriptions; {} crashes, {} whole checks",
        counts.acts,
        counts.allowed,
        counts.refused,
        counts.again,
        counts.changes,
        counts.crashes,
        counts.checks
    );
    say!("no violation; trace {:016x}", counts.trace);
    Ok(ExitCode::SUCCESS)
}
