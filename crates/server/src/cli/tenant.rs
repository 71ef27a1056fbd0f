//! `tollgate tenant`: what operators do by the API, from the machine that the database is on.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::tenant::Mode;
use domain::time::Timestamp;
use store::db::Location;

use super::say::say;
use super::{Storage, existing, opened, switch};
use crate::app::operator::{self, Edit, NewTenant};
use crate::app::revision::Expected;
use crate::app::setup;
use crate::app::template::Starter;
use crate::app::tenant::PLATFORM;
use crate::cx::Cx;
use crate::error::{Code, Error, Result};
use crate::start::Running;

/// Bytes of a password from standard input that are read at most.
const PASSWORD_BYTES_MAX: u64 = 4_096;

#[derive(Subcommand)]
pub(super) enum TenantCommand {
    /// Make a tenant with its owner, who can sign in at once.
    ///
    /// The owner's password comes from `TOLLGATE_PASSWORD` or from standard input.
    Create(Create),
    /// List the tenants.
    List(Storage),
    /// Show one tenant.
    Show {
        /// Its name in URLs.
        slug: String,
        #[command(flatten)]
        storage: Storage,
    },
    /// Stop a tenant: nobody can sign in or use it from now on. Nothing in it is lost.
    Suspend {
        /// Its name in URLs.
        slug: String,
        /// Why; its own admins read it in their audit trail.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        keyed: Keyed,
    },
    /// Let a tenant go on that was suspended.
    Resume {
        /// Its name in URLs.
        slug: String,
        /// Why; its own admins read it in their audit trail.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        keyed: Keyed,
    },
}

/// Where the data is, and the key of its secrets.
#[derive(Args)]
pub(super) struct Keyed {
    #[command(flatten)]
    storage: Storage,
    #[arg(long, env = "TOLLGATE_MASTER_KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// The database was made by the demo, which keeps its own insecure key.
    #[arg(long, env = "TOLLGATE_DEMO", value_parser = switch)]
    demo: bool,
    /// Tenants are found under {slug}.{base domain}.
    #[arg(long, env = "TOLLGATE_BASE_DOMAIN", default_value = "localhost")]
    base_domain: String,
}

#[derive(Args)]
pub(super) struct Create {
    /// Its name in URLs, for good: a label of a host name.
    slug: String,
    /// What people read; the slug otherwise.
    #[arg(long)]
    name: Option<String>,
    /// Whether its money is real: live or sandbox.
    #[arg(long, value_parser = Mode::ALL.map(Mode::name))]
    mode: String,
    /// What it sells at first.
    #[arg(long, default_value = "empty", value_parser = Starter::ALL.map(Starter::name))]
    template: String,
    /// The address of its first owner.
    #[arg(long)]
    owner_email: String,
    #[arg(long, env = "TOLLGATE_PASSWORD", hide_env_values = true, hide = true)]
    owner_password: Option<String>,
    /// ISO 4217: that of the template's prices, or USD.
    #[arg(long)]
    currency: Option<String>,
    /// IANA; UTC otherwise.
    #[arg(long)]
    timezone: Option<String>,
    #[command(flatten)]
    keyed: Keyed,
}

pub(super) async fn run(command: TenantCommand) -> Result<ExitCode> {
    match command {
        TenantCommand::Create(create) => self::create(create).await?,
        TenantCommand::List(storage) => list(&storage).await?,
        TenantCommand::Show { slug, storage } => show(&storage, &slug).await?,
        TenantCommand::Suspend { slug, reason, keyed } => {
            edit(&keyed, &slug, Edit { suspended: Some(true), reason: Some(reason), name: None }).await?;
        }
        TenantCommand::Resume { slug, reason, keyed } => {
            edit(&keyed, &slug, Edit { suspended: Some(false), reason, name: None }).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The product on the database, to do one thing.
async fn begin(keyed: &Keyed) -> Result<Running> {
    let Keyed { storage, master_key, demo, base_domain } = keyed;
    let running = opened(storage, (master_key.clone(), *demo), (PLATFORM, base_domain)).await;
    running.map_err(|error| by_api(storage, error))
}

/// A SQLite file has one process: what a running server has can be changed through it alone.
fn by_api(storage: &Storage, error: Error) -> Error {
    if !matches!(storage.location(), Ok(Location::Sqlite(_))) {
        return error;
    }
    let detail = format!("{}; a server that runs does the same by its API, /api/operator/tenants", error.detail);
    Error::new(error.code, detail)
}

/// What is wrong with a field is told by its option.
fn of_option(error: Error) -> Error {
    let Some(field) = error.more.fields.first() else { return error };
    let option = field.pointer.trim_start_matches('/').replace('/', "-");
    let detail = if option == "slug" { field.detail.clone() } else { format!("--{option}: {}", field.detail) };
    Error::new(error.code, detail)
}

fn password(given: Option<String>) -> Result<String> {
    if let Some(password) = given {
        return Ok(password);
    }
    let missing = || Error::new(Code::Internal, "give the owner's password as TOLLGATE_PASSWORD or on standard input");
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(missing());
    }
    let mut text = String::new();
    input.take(PASSWORD_BYTES_MAX).read_to_string(&mut text).map_err(|_| missing())?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() { Err(missing()) } else { Ok(password.to_owned()) }
}

async fn create(create: Create) -> Result<()> {
    let new = NewTenant {
        name: create.name.unwrap_or_else(|| create.slug.clone()),
        mode: Mode::parse(&create.mode).unwrap_or(Mode::Sandbox),
        template: Starter::parse(&create.template).unwrap_or(Starter::Empty),
        currency: create.currency,
        timezone: create.timezone,
        email: create.owner_email,
        password: password(create.owner_password)?,
        slug: create.slug,
    };
    let running = begin(&create.keyed).await?;
    let cx = operator(&running).await?;
    let made = operator::create(&cx, &new, None).await.map_err(of_option);
    let steps = operator::first_steps(&cx, &new);
    drop(cx);
    running.stop().await;
    let ((row, _), _) = made?;
    say!("{} is made ({}, from the template {})", row.slug, row.mode, new.template.name());
    for step in steps {
        say!("- {step}");
    }
    Ok(())
}

/// The context of who sits at the machine.
async fn operator(running: &Running) -> Result<Cx> {
    let app = running.app();
    let platform = app.tenants.get(&app.db, &app.master, &setup::platform()).await?;
    Ok(Cx::system(app, &platform, "cli"))
}

async fn edit(keyed: &Keyed, slug: &str, to: Edit) -> Result<()> {
    let suspended = to.suspended.unwrap_or_default();
    keyed.storage.must_be_there()?;
    let running = begin(keyed).await?;
    let cx = operator(&running).await?;
    let edited = operator::edit(&cx, slug, to, &Expected::Any).await.map_err(|error| absent(of_option(error), slug));
    drop(cx);
    running.stop().await;
    let (row, _) = edited?;
    let told = if suspended { "is suspended: nobody can sign in or use it" } else { "goes on" };
    say!("{} {told}", row.slug);
    Ok(())
}

fn absent(error: Error, slug: &str) -> Error {
    if error.code != Code::NotFound {
        return error;
    }
    Error::new(error.code, format!("there is no tenant `{slug}`; `tollgate tenant list` shows those that are"))
}

async fn list(storage: &Storage) -> Result<()> {
    let db = existing(storage).await.map_err(|error| by_api(storage, error))?;
    let mut rows = store::tenant::list(&db).await?;
    rows.retain(|row| row.slug != PLATFORM);
    let width = rows.iter().map(|row| row.slug.len()).max().unwrap_or_default();
    for row in &rows {
        let state = if row.suspended { "suspended" } else { "active" };
        say!("{:width$}  {:7}  {state:9}  {}", row.slug, row.mode, row.name);
    }
    if rows.is_empty() {
        say!("{}", super::NO_TENANT);
    }
    Ok(())
}

async fn show(storage: &Storage, slug: &str) -> Result<()> {
    let db = existing(storage).await.map_err(|error| by_api(storage, error))?;
    let (row, extent) = operator::get(&db, slug).await.map_err(|error| absent(error, slug))?;
    let time = |micros: Option<i64>| micros.map_or("never".to_owned(), |at| Timestamp::from_micros(at).to_string());
    let state = match row.suspended_reason {
        Some(reason) if row.suspended => format!("suspended since {}: {reason}", time(row.suspended_at)),
        _ if row.suspended => "suspended".to_owned(),
        _ => "active".to_owned(),
    };
    for (what, value) in [
        ("slug", row.slug),
        ("name", row.name),
        ("mode", row.mode),
        ("state", state),
        ("currency", row.currency),
        ("timezone", row.timezone),
        ("customers", extent.customers.to_string()),
        ("users", extent.users.to_string()),
        ("plans", extent.plans.to_string()),
        ("last used", time(extent.last_used_at)),
        ("made", time(Some(row.created_at))),
    ] {
        say!("{what:10} {value}");
    }
    Ok(())
}
