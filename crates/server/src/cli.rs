//! The command line: parses, calls one use case, prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line talks to people")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use domain::permission::Role;
use store::db::{Db, Location};

use crate::app::{demo, doctor, setup};
use crate::cx::{Cx, Options};
use crate::error::{Code, Error, Result};
use crate::start::{self, Settings};
use crate::{ceiling, http};

/// Subscriptions, quotas and billing for products that sell AI features.
#[derive(Parser)]
#[command(name = "tollgate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and the dashboards.
    Serve(Serve),
    /// Manage members.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Check the books.
    Doctor(Doctor),
    /// Restore every counter from the events.
    Rebuild(Storage),
    /// Print the OpenAPI document.
    Openapi,
    /// Bring the schema up to date and end.
    Migrate(Storage),
    /// For benchmarks: a bare handler that parses the same JSON and answers the same shape.
    #[command(hide = true)]
    BenchCeiling {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
}

/// Where the data is.
#[derive(Args, Clone)]
struct Storage {
    /// The folder for the SQLite file and the master key.
    #[arg(long, env = "TOLLGATE_DATA", default_value = "data")]
    data: PathBuf,
    /// `sqlite://PATH` or `postgres://USER@HOST/NAME`; a SQLite file in the data folder by default.
    #[arg(long, env = "TOLLGATE_DATABASE_URL")]
    database_url: Option<String>,
}

impl Storage {
    fn location(&self) -> Result<Location> {
        match &self.database_url {
            Some(url) => Ok(Location::parse(url).map_err(plain)?),
            None => Ok(Location::Sqlite(self.data.join("tollgate.db"))),
        }
    }
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    storage: Storage,
    /// The address to serve on.
    #[arg(long, env = "TOLLGATE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Make the demo tenants in an empty database.
    #[arg(long, env = "TOLLGATE_DEMO", value_parser = clap::builder::FalseyValueParser::new())]
    demo: bool,
    /// Let the demo serve on an address that others can reach. Its data and its key are not safe.
    #[arg(long)]
    demo_on_public_address: bool,
    /// The demo users' password; made at random and printed once otherwise.
    #[arg(long, env = "TOLLGATE_DEMO_PASSWORD", hide_env_values = true)]
    demo_password: Option<String>,
    /// The tenant of requests that name none.
    #[arg(long, env = "TOLLGATE_DEFAULT_TENANT", default_value = "halisoft")]
    default_tenant: String,
    /// Tenants are found under {slug}.{base domain}.
    #[arg(long, env = "TOLLGATE_BASE_DOMAIN", default_value = "localhost")]
    base_domain: String,
    /// 64 hexadecimal digits that seal every stored secret; a file in the data folder otherwise.
    #[arg(long, env = "TOLLGATE_MASTER_KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// The key of the demo's Anthropic upstream.
    #[arg(long, env = "TOLLGATE_ANTHROPIC_API_KEY", hide_env_values = true)]
    anthropic_api_key: Option<String>,
    /// The address of the demo's Anthropic upstream.
    #[arg(long, env = "TOLLGATE_ANTHROPIC_BASE_URL")]
    anthropic_base_url: Option<String>,
    /// A call of the sandbox provider that never answers, such as `create_plan:after`: for tests of crashes.
    #[arg(long, env = "TOLLGATE_SANDBOX_HANGS", hide = true)]
    sandbox_hangs: Option<String>,
    /// What to log: error, warn, info, debug, or a filter such as tollgate=debug.
    #[arg(long, env = "TOLLGATE_LOG", default_value = "info")]
    log: String,
    /// Write logs as JSON lines.
    #[arg(long, env = "TOLLGATE_LOG_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    log_json: bool,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make a member of a tenant.
    Create {
        #[command(flatten)]
        storage: Storage,
        /// The tenant's name in URLs; `platform` for operators.
        #[arg(long, default_value = "platform")]
        tenant: String,
        #[arg(long)]
        email: String,
        /// admin, owner, support, finance or operator.
        #[arg(long, default_value = "operator")]
        role: String,
        #[arg(long, env = "TOLLGATE_PASSWORD", hide_env_values = true)]
        password: String,
        #[arg(long, env = "TOLLGATE_MASTER_KEY", hide_env_values = true)]
        master_key: Option<String>,
        /// The database was made by the demo, which keeps its own insecure key.
        #[arg(long, env = "TOLLGATE_DEMO", value_parser = clap::builder::FalseyValueParser::new())]
        demo: bool,
    },
}

#[derive(Args)]
struct Doctor {
    #[command(flatten)]
    storage: Storage,
    /// Compute every counter again from its events.
    #[arg(long)]
    invariants: bool,
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tollgate: {}", error.detail);
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(serve) => self::serve(serve).await,
        Command::Admin(AdminCommand::Create { storage, tenant, email, role, password, master_key, demo }) => {
            create_member(&storage, &tenant, (&email, &role, &password), (master_key, demo)).await
        }
        Command::Doctor(doctor) => self::doctor(&doctor).await,
        Command::Rebuild(storage) => {
            let counters = doctor::rebuild(&settled(&storage).await?).await?;
            println!("{counters} counters restored from their events");
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            print!("{}", http::openapi());
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate(storage) => {
            let db = Db::open(&storage.location()?).await.map_err(plain)?;
            println!("the schema on {} is up to date", db.kind_name());
            Ok(ExitCode::SUCCESS)
        }
        Command::BenchCeiling { listen } => {
            ceiling::serve(listen).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A failure at start is told as it is, not as a problem document.
fn plain(error: store::error::Error) -> Error {
    Error::new(Code::Internal, error.to_string())
}

async fn serve(serve: Serve) -> Result<ExitCode> {
    start::log(&serve.log, serve.log_json);
    let loopback = serve.listen.ip().is_loopback();
    if serve.demo && !loopback && !serve.demo_on_public_address {
        let detail = "the demo serves on loopback only; add --demo-on-public-address to show it to others all the same";
        return Err(Error::new(Code::Internal, detail));
    }
    let made = serve.demo_password.is_none();
    let demo_password = match serve.demo_password.clone() {
        Some(password) => password,
        None => crate::app::seal::random_text()?.chars().take(16).collect(),
    };
    let settings = Settings {
        location: serve.storage.location()?,
        data: serve.storage.data.clone(),
        master_key: serve.master_key.clone(),
        options: Options {
            demo: serve.demo,
            default_tenant: serve.default_tenant.clone(),
            base_domain: serve.base_domain.clone(),
            plain_http: loopback,
            sandbox_hangs: serve.sandbox_hangs.clone(),
        },
    };
    let running = start::start(&settings).await?;
    let upstream = demo::Upstream {
        api_key: serve.anthropic_api_key.filter(|key| !key.is_empty()),
        base_url: serve.anthropic_base_url.filter(|url| !url.is_empty()),
    };
    if serve.demo && demo::create(running.app(), &demo_password, &upstream, crate::cx::now()).await? && made {
        println!("demo password: {demo_password}");
    }
    let listener = tokio::net::TcpListener::bind(serve.listen)
        .await
        .map_err(|e| Error::new(Code::Internal, format!("cannot serve on {}: {e}", serve.listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    if let Some(path) = running.setup_link().await? {
        println!("make the first operator: http://{address}{path}");
    }
    println!("ready http://{address}");
    running.serve(listener).await;
    Ok(ExitCode::SUCCESS)
}

/// The database with its counters brought up to the last event, and no gate running.
async fn settled(storage: &Storage) -> Result<Db> {
    if let Location::Sqlite(path) = storage.location()?
        && !path.exists()
    {
        let detail = format!("there is no database at {}; name it by --data or --database-url", path.display());
        return Err(Error::new(Code::Internal, detail));
    }
    let db = Db::open(&storage.location()?).await.map_err(plain)?;
    let (gate, finish) = store::gate::Gate::start(&db, crate::cx::clock).await.map_err(plain)?;
    drop(gate);
    finish.wait().await;
    Ok(db)
}

async fn doctor(doctor: &Doctor) -> Result<ExitCode> {
    let db = settled(&doctor.storage).await?;
    println!("{}: the schema is up to date", db.kind_name());
    if !doctor.invariants {
        return Ok(ExitCode::SUCCESS);
    }
    let violations = doctor::invariants(&db).await?;
    for violation in &violations {
        println!("{} {}", violation.invariant, violation.what);
    }
    if violations.is_empty() {
        println!("I2 I3 I14: no violation");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} violations; `tollgate rebuild` restores counters from events", violations.len());
    Ok(ExitCode::FAILURE)
}

async fn create_member(
    storage: &Storage,
    tenant: &str,
    (email, role, password): (&str, &str, &str),
    (master_key, demo): (Option<String>, bool),
) -> Result<ExitCode> {
    let role = Role::parse(role).ok_or_else(|| Error::new(Code::Internal, format!("`{role}` is not a role")))?;
    let options = Options {
        demo,
        default_tenant: tenant.to_owned(),
        base_domain: "localhost".to_owned(),
        plain_http: true,
        sandbox_hangs: None,
    };
    let settings = Settings { location: storage.location()?, data: storage.data.clone(), master_key, options };
    let running = start::start(&settings).await?;
    let app = running.app();
    let found = app.tenants.by_slug(&app.db, &app.master, tenant).await?;
    let tenant = found.ok_or_else(|| Error::new(Code::Internal, format!("there is no tenant `{tenant}`")))?;
    if (role == Role::Operator) != (tenant.row.slug == crate::app::tenant::PLATFORM) {
        let detail = "operators belong to the tenant `platform`, and everybody else to another: name it by --tenant";
        return Err(Error::new(Code::Internal, detail));
    }
    let cx = Cx::system(app, &tenant, "cli");
    let user = setup::create_member(&cx, email, password, role).await?;
    drop(cx);
    println!("{} is {} of {}", user.email, user.role, tenant.row.slug);
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}
