//! The command line: parses, calls one use case, prints.
#![expect(clippy::print_stderr, reason = "the command line talks to people")]

mod catalog;
mod say;
mod simulate;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use domain::permission::Role;
use store::db::{Db, Location};

use crate::app::mail::account::Platform;
use crate::app::tenant::PLATFORM;
use crate::app::{audit, demo, doctor, setup};
use crate::cx::{App, Cx, Options};
use crate::error::{Code, Error, Result};
use crate::file_args::FileArgs;
use crate::mail_args::MailArgs;
use crate::start::{self, Running, Settings};
use crate::{ceiling, http};
use say::say;
use value::{log_filter, switch};

mod tenant;

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
    /// Make, list, suspend and resume tenants.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Check the books.
    Doctor(Doctor),
    /// Restore every counter from the events.
    Rebuild(Storage),
    /// The catalog as code: all that a tenant sells as one file.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Look at the audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print the OpenAPI document.
    Openapi,
    /// Let the product live through months in a world of chance, and compare it with what must hold.
    Simulate(simulate::Simulate),
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

    /// Refuses a SQLite file that is not there yet, instead of making one.
    fn must_be_there(&self) -> Result<()> {
        match self.location()? {
            Location::Sqlite(path) if !path.exists() => {
                let detail = format!("there is no database at {}; name it by --data or --database-url", path.display());
                Err(Error::new(Code::Internal, detail))
            }
            Location::Sqlite(_) | Location::Postgres(_) => Ok(()),
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
    #[arg(long, env = "TOLLGATE_DEMO", value_parser = switch)]
    demo: bool,
    /// Let the demo serve on an address that others can reach. Its data and its key are not safe.
    #[arg(long)]
    demo_on_public_address: bool,
    /// The demo users' password; made at random and printed once otherwise.
    #[arg(long, env = "TOLLGATE_DEMO_PASSWORD", hide_env_values = true)]
    demo_password: Option<String>,
    /// The tenant of requests that name none; halisoft by default, as in the demo.
    #[arg(long, env = "TOLLGATE_DEFAULT_TENANT")]
    default_tenant: Option<String>,
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
    #[command(flatten)]
    mail: MailArgs,
    #[command(flatten)]
    files: FileArgs,
    /// A call of the sandbox provider that never answers, such as `create_plan:after`: for tests of crashes.
    #[arg(long, env = "TOLLGATE_SANDBOX_HANGS", hide = true)]
    sandbox_hangs: Option<String>,
    /// What to log: error, warn, info, debug, or a filter such as tollgate=debug.
    #[arg(long, env = "TOLLGATE_LOG", default_value = "info", value_parser = log_filter)]
    log: String,
    /// Write logs as JSON lines.
    #[arg(long, env = "TOLLGATE_LOG_JSON", value_parser = switch)]
    log_json: bool,
}

impl Serve {
    fn default_tenant(&self) -> Option<&str> {
        self.default_tenant.as_deref().filter(|slug| !slug.is_empty())
    }
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
        #[arg(long, env = "TOLLGATE_DEMO", value_parser = switch)]
        demo: bool,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Find every entry that was changed, removed, added or moved from outside.
    Verify {
        #[command(flatten)]
        storage: Storage,
        /// The tenant's name in URLs; all tenants by default.
        #[arg(long)]
        tenant: Option<String>,
        /// The key that the entries were written with; the data folder's otherwise.
        #[arg(long, env = "TOLLGATE_MASTER_KEY", hide_env_values = true)]
        master_key: Option<String>,
        /// An earlier head of the tenant's trail, kept from the log or an earlier check, as SEQ:HASH.
        #[arg(long, requires = "tenant", value_parser = |text: &str| audit::chain::kept_head(text).ok_or("write it as SEQ:HASH"))]
        head: Option<(i64, String)>,
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
    // A simulation is the same each time, so nothing of it runs beside it.
    let alone = matches!(cli.command, Command::Simulate(_));
    let mut builder =
        if alone { tokio::runtime::Builder::new_current_thread() } else { tokio::runtime::Builder::new_multi_thread() };
    let runtime = match builder.enable_all().build() {
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
        Command::Tenant(command) => tenant::run(command).await,
        Command::Doctor(doctor) => self::doctor(&doctor).await,
        Command::Rebuild(storage) => {
            let counters = doctor::rebuild(&settled(&storage).await?).await?;
            say!("{counters} counters restored from their events");
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit(AuditCommand::Verify { storage, tenant, master_key, head }) => {
            verify_audit(&storage, (tenant.as_deref(), head), master_key.as_deref()).await
        }
        Command::Simulate(simulate) => Box::pin(simulate::run(&simulate)).await,
        Command::Catalog(command) => Box::pin(catalog::run(command)).await,
        Command::Openapi => {
            say::text(&http::openapi());
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate(storage) => {
            let db = Db::open(&storage.location()?).await.map_err(plain)?;
            say!("the schema on {} is up to date", db.kind_name());
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
    let settings = Settings {
        location: serve.storage.location()?,
        data: serve.storage.data.clone(),
        master_key: serve.master_key.clone(),
        files: serve.files.bucket()?,
        options: Options {
            demo: serve.demo,
            default_tenant: serve.default_tenant().unwrap_or("halisoft").to_owned(),
            base_domain: serve.base_domain.clone(),
            plain_http: loopback,
            mail: serve.mail.platform()?,
            sandbox_hangs: serve.sandbox_hangs.clone(),
        },
    };
    let running = start::start(&settings).await?;
    if serve.demo {
        make_demo(running.app(), &serve).await?;
    }
    let tenants = setup::tenants(&running.app().db).await?;
    check_default_tenant(serve.default_tenant(), &tenants)?;
    let listener = tokio::net::TcpListener::bind(serve.listen)
        .await
        .map_err(|e| Error::new(Code::Internal, format!("cannot serve on {}: {e}", serve.listen)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    // Jobs that write links begin after this.
    let _first = running.app().address.set(format!("http://{address}"));
    if !loopback && serve.mail.public_url.is_none() {
        tracing::warn!(
            "links in mails begin with http://{address}: set TOLLGATE_PUBLIC_URL to where browsers reach this"
        );
    }
    if let Some(path) = running.setup_link().await? {
        say!("make the first operator: http://{address}{path}");
    }
    if tenants.is_empty() {
        say!("{NO_TENANT}");
    }
    // Who reads `ready` may stop it at once.
    running.heed_signals()?;
    say!("ready http://{address}");
    running.serve(listener).await;
    Ok(ExitCode::SUCCESS)
}

/// How to go on where there is no tenant.
const NO_TENANT: &str = "there is no tenant yet: who has signed in as operator (X-Tenant: platform) makes one by POST \
    /api/operator/tenants, or `tollgate tenant create` does, on SQLite while no server runs";

/// Makes the demo, unless it is there.
async fn make_demo(app: &Arc<App>, serve: &Serve) -> Result<()> {
    let given = serve.demo_password.as_deref().filter(|password| !password.is_empty());
    let password = match given {
        Some(password) => password.to_owned(),
        None => crate::app::seal::random_text()?.chars().take(16).collect(),
    };
    let upstream = demo::Upstream {
        api_key: serve.anthropic_api_key.clone().filter(|key| !key.is_empty()),
        base_url: serve.anthropic_base_url.clone().filter(|url| !url.is_empty()),
    };
    let made = demo::create(app, &password, &upstream, crate::cx::now()).await.map_err(|error| {
        match error.more.fields.first().filter(|field| field.pointer == "/password") {
            Some(field) => {
                let detail = format!("the password of TOLLGATE_DEMO_PASSWORD (--demo-password): {}", field.detail);
                Error::new(Code::Internal, detail)
            }
            None => error,
        }
    })?;
    match given {
        None if made => say!("demo password: {password}"),
        Some(_) if !made && !demo::is_password(app, &password).await? => tracing::warn!(
            "the demo's accounts keep the password they were made with: TOLLGATE_DEMO_PASSWORD counts when the demo is \
             made, in an empty database"
        ),
        None | Some(_) => {}
    }
    Ok(())
}

/// A tenant that was named and is not there is a slip, unless none is there yet.
fn check_default_tenant(named: Option<&str>, tenants: &[String]) -> Result<()> {
    match named {
        Some(named) if tenants.is_empty() => {
            tracing::warn!(
                "the default tenant `{named}` is not there yet; until then requests without a tenant are the operators'"
            );
            Ok(())
        }
        Some(named) if !tenants.iter().any(|slug| slug == named) && named != PLATFORM => {
            let detail = format!(
                "there is no tenant `{named}` to be the default (TOLLGATE_DEFAULT_TENANT, --default-tenant); there is {}",
                tenants.join(", ")
            );
            Err(Error::new(Code::Internal, detail))
        }
        Some(_) | None => Ok(()),
    }
}

/// A database that is there.
async fn existing(storage: &Storage) -> Result<Db> {
    storage.must_be_there()?;
    Db::open(&storage.location()?).await.map_err(plain)
}

/// The database with its counters brought up to the last event, and no gate running.
async fn settled(storage: &Storage) -> Result<Db> {
    let db = existing(storage).await?;
    let (gate, finish) = store::gate::Gate::start(&db, crate::cx::clock).await.map_err(plain)?;
    drop(gate);
    finish.wait().await;
    Ok(db)
}

async fn doctor(doctor: &Doctor) -> Result<ExitCode> {
    let db = settled(&doctor.storage).await?;
    say!("{}: the schema is up to date", db.kind_name());
    if !doctor.invariants {
        return Ok(ExitCode::SUCCESS);
    }
    let violations = doctor::invariants(&db).await?;
    if violations.is_empty() {
        say!("no violation:");
        for (name, meaning) in doctor::INVARIANTS {
            say!("  {name}: {meaning}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    for (name, meaning) in doctor::INVARIANTS {
        let mut of_it = violations.iter().filter(|violation| violation.invariant == name).peekable();
        if of_it.peek().is_some() {
            say!("{name} is violated: {meaning}");
        }
        for violation in of_it {
            say!("  {}", violation.what);
        }
    }
    let count = violations.len();
    say!("{count} {}", if count == 1 { "violation" } else { "violations" });
    say!("`tollgate rebuild` makes every counter anew from its events, which mends I2");
    Ok(ExitCode::FAILURE)
}

async fn verify_audit(
    storage: &Storage,
    (slug, kept): (Option<&str>, Option<(i64, String)>),
    master_key: Option<&str>,
) -> Result<ExitCode> {
    let db = existing(storage).await?;
    let (master, of_demo) = setup::known_master_key(&db, &storage.data, master_key).await?;
    if of_demo {
        say!("the key is the demo's, which lies in the database: who can write that can forge everything");
    }
    let tenants = store::tenant::list(&db).await?;
    let wanted: Vec<_> = tenants.iter().filter(|row| slug.is_none_or(|slug| row.slug == slug)).collect();
    if wanted.is_empty() {
        return Err(Error::new(Code::Internal, format!("there is no tenant `{}`", slug.unwrap_or_default())));
    }
    let mut findings = 0;
    for row in wanted {
        let report = audit::chain::verify(&db, &master, &row.id(), (kept.clone(), crate::cx::now())).await?;
        say!("{}", audit::chain::told(&row.slug, &report));
        findings += report.findings.len();
    }
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The product on a database, to do one thing with it.
async fn opened(
    storage: &Storage,
    (master_key, demo): (Option<String>, bool),
    (tenant, base_domain): (&str, &str),
) -> Result<Running> {
    let options = Options {
        demo,
        default_tenant: tenant.to_owned(),
        base_domain: base_domain.to_owned(),
        plain_http: true,
        mail: Platform::default(),
        sandbox_hangs: None,
    };
    let (location, data) = (storage.location()?, storage.data.clone());
    let settings = Settings { location, data, master_key, files: None, options };
    start::start(&settings).await
}

async fn create_member(
    storage: &Storage,
    tenant: &str,
    (email, role, password): (&str, &str, &str),
    (master_key, demo): (Option<String>, bool),
) -> Result<ExitCode> {
    let role = Role::parse(role).ok_or_else(|| Error::new(Code::Internal, format!("`{role}` is not a role")))?;
    let running = opened(storage, (master_key, demo), (tenant, "localhost")).await?;
    let app = running.app();
    let tenants = setup::tenants(&app.db).await?;
    let found = app.tenants.by_slug(&app.db, &app.master, tenant).await?;
    let tenant = found.ok_or_else(|| {
        let known: Vec<_> = std::iter::once(PLATFORM).chain(tenants.iter().map(String::as_str)).collect();
        Error::new(Code::Internal, format!("there is no tenant `{tenant}`; there is {}", known.join(", ")))
    })?;
    if (role == Role::Operator) != (tenant.row.slug == PLATFORM) {
        let detail = "operators belong to the tenant `platform`, and everybody else to another: name it by --tenant";
        return Err(Error::new(Code::Internal, detail));
    }
    let cx = Cx::system(app, &tenant, "cli");
    let user = setup::create_member(&cx, email, password, role).await?;
    drop(cx);
    say!("{} is {} of {}", user.email, user.role, tenant.row.slug);
    if tenants.is_empty() {
        say!("{NO_TENANT}");
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}
