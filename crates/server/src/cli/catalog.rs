//! The catalog as code, from the command line: on the database, or over a running server's API.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::plan::Applies;
use providers::http::Secret;
use providers::remote::{Document, Remote, Reply};
use serde_json::Value;

use super::say::{self, say};
use super::{Storage, switch};
use crate::app::catalog::{self, How, difference};
use crate::app::mail::account::Platform;
use crate::app::revision::Expected;
use crate::app::setup;
use crate::cx::{Cx, Options};
use crate::error::{Code, Error, Result};
use crate::start::{self, Running, Settings};

/// The exit code of a comparison that found a difference.
const DIFFERENT: u8 = 2;
const YAML: &str = "application/yaml";
const PATH: &str = "/api/admin/catalog";

#[derive(Subcommand)]
pub enum CatalogCommand {
    /// Write everything that a tenant sells as one YAML file.
    Export {
        #[command(flatten)]
        place: Place,
        /// The file to write; standard output by default.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Tell what a file would change. Exits with 0 when the catalog is what the file says, and with 2 when it differs.
    Diff {
        #[command(flatten)]
        place: Place,
        /// The file; - for standard input.
        file: PathBuf,
        /// Count what the file does not have as to be archived.
        #[arg(long)]
        prune: bool,
    },
    /// Make the catalog what a file says, all of it or nothing.
    Apply {
        #[command(flatten)]
        place: Place,
        /// The file; - for standard input.
        file: PathBuf,
        /// Tell what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Archive the features, plans, components, packs and coupons that the file does not have.
        #[arg(long)]
        prune: bool,
        /// For whom changed grants of plans hold: now, renewal or new. Changed prices are for new subscriptions alone.
        #[arg(long, default_value = "now", value_parser = applies)]
        applies: Applies,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Where the catalog is.
#[derive(Args)]
pub struct Place {
    #[command(flatten)]
    storage: Storage,
    /// The tenant's name in URLs; needed where there are several. With --url the key says it.
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long, env = "TOLLGATE_MASTER_KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// The database was made by the demo, which keeps its own insecure key.
    #[arg(long, env = "TOLLGATE_DEMO", value_parser = switch)]
    demo: bool,
    /// The address of a running server, to go over its API instead of the database.
    #[arg(long, env = "TOLLGATE_URL", requires = "key")]
    url: Option<String>,
    /// An API key with the scope `admin`, for --url.
    #[arg(long, env = "TOLLGATE_KEY", hide_env_values = true)]
    key: Option<String>,
}

fn applies(text: &str) -> Result<Applies, String> {
    let known = [Applies::Now, Applies::Renewal, Applies::New];
    known.into_iter().find(|rule| rule.name() == text).ok_or_else(|| "use now, renewal or new".to_owned())
}

/// Does what was asked.
pub async fn run(command: CatalogCommand) -> Result<ExitCode> {
    match command {
        CatalogCommand::Export { place, output } => export(&place, output.as_deref()).await,
        CatalogCommand::Diff { place, file, prune } => {
            let how = How { dry_run: true, prune, applies: Applies::Now };
            let text = read(&file)?;
            let target = Target::open(&place).await?;
            let told = target.apply(&text, how, None).await;
            target.close().await;
            let told = told?;
            say::text(&told.text);
            Ok(if told.changes == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
        }
        CatalogCommand::Apply { place, file, dry_run, prune, applies, yes } => {
            let text = read(&file)?;
            let target = Target::open(&place).await?;
            let applied = apply(&target, &text, How { dry_run, prune, applies }, yes).await;
            target.close().await;
            applied.map(|()| ExitCode::SUCCESS)
        }
    }
}

async fn export(place: &Place, output: Option<&Path>) -> Result<ExitCode> {
    let target = Target::open(place).await?;
    let yaml = target.export().await;
    target.close().await;
    let yaml = yaml?;
    match output {
        None => say::text(&yaml),
        Some(file) => std::fs::write(file, yaml).map_err(|error| plain(format!("{}: {error}", file.display())))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what would change, asks, and makes it so, unless somebody else has changed something meanwhile.
async fn apply(target: &Target, text: &str, how: How, yes: bool) -> Result<()> {
    let told = target.apply(text, How { dry_run: true, ..how }, None).await?;
    say::text(&told.text);
    if how.dry_run || told.to_do == 0 {
        return Ok(());
    }
    if !yes && !agreed()? {
        say!("nothing was changed");
        return Ok(());
    }
    target.apply(text, how, Some(&told.tag)).await?;
    say!("applied");
    Ok(())
}

fn agreed() -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(plain("there is nobody to ask: look at it with --dry-run, then add --yes"));
    }
    say::text("apply this? [y/N] ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(plain)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn read(file: &Path) -> Result<String> {
    let text =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    text.map_err(|error| plain(format!("{}: {error}", file.display())))
}

/// A failure is told as it is, not as a problem document.
fn plain(error: impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, error.to_string())
}

/// What came of a document.
struct Told {
    text: String,
    tag: String,
    /// What differs.
    changes: usize,
    /// As far as applying it changes something.
    to_do: usize,
}

/// A catalog that can be reached.
enum Target {
    Database(Box<(Running, Cx)>),
    Server(Remote),
}

impl Target {
    async fn open(place: &Place) -> Result<Self> {
        if let (Some(url), Some(key)) = (&place.url, &place.key) {
            return Ok(Self::Server(Remote::new(url, Secret::new(key.as_str())).map_err(plain)?));
        }
        let settings = Settings {
            location: place.storage.location()?,
            data: place.storage.data.clone(),
            master_key: place.master_key.clone(),
            files: None,
            options: Options {
                demo: place.demo,
                default_tenant: String::new(),
                base_domain: "localhost".to_owned(),
                plain_http: true,
                mail: Platform::default(),
                sandbox_hangs: None,
            },
        };
        place.storage.must_be_there()?;
        let running = start::start(&settings).await.map_err(|error| {
            let detail = format!("{}; a running server's catalog is reached with --url and --key", error.detail);
            Error { detail, ..error }
        })?;
        let app = running.app();
        let slug = match &place.tenant {
            Some(slug) => slug.clone(),
            None => only_tenant(&setup::tenants(&app.db).await?)?,
        };
        let tenant = app.tenants.by_slug(&app.db, &app.master, &slug).await?;
        let tenant = tenant.ok_or_else(|| plain(format!("there is no tenant `{slug}`")))?;
        let cx = Cx::system(app, &tenant, "cli");
        Ok(Self::Database(Box::new((running, cx))))
    }

    async fn close(self) {
        if let Self::Database(place) = self {
            let (running, cx) = *place;
            drop(cx);
            running.stop().await;
        }
    }

    async fn export(&self) -> Result<String> {
        match self {
            Self::Database(place) => Ok(catalog::export(&place.1).await?.yaml),
            Self::Server(remote) => Ok(good(remote.get(PATH, YAML).await)?.text),
        }
    }

    async fn apply(&self, text: &str, how: How, tag: Option<&str>) -> Result<Told> {
        match self {
            Self::Database(place) => {
                let expected = tag.map_or(Expected::Any, |tag| Expected::OneOf(vec![tag.to_owned()]));
                let outcome = catalog::apply(&place.1, text.as_bytes(), how, &expected).await.map_err(with_places)?;
                let [add, change, archive, _] = difference::counts(&outcome.changes);
                Ok(Told {
                    text: difference::told(&outcome.changes, outcome.applied),
                    tag: outcome.tag,
                    changes: outcome.changes.len(),
                    to_do: add + change + archive,
                })
            }
            Self::Server(remote) => {
                let rule = how.applies.name();
                let path = format!("{PATH}?dryRun={}&prune={}&applies={rule}", how.dry_run, how.prune);
                let document = Document { text, media_type: YAML, if_match: tag.or(Some("*")) };
                told(&good(remote.post(&path, document).await)?)
            }
        }
    }
}

fn only_tenant(tenants: &[String]) -> Result<String> {
    match tenants {
        [only] => Ok(only.clone()),
        [] => Err(plain("there is no tenant yet")),
        several => Err(plain(format!("name the tenant by --tenant: there is {}", several.join(", ")))),
    }
}

/// An error with all of its places, one on a line.
fn with_places(error: Error) -> Error {
    let lines: Vec<_> = error.more.fields.iter().map(|field| format!("  {} {}", field.pointer, field.detail)).collect();
    if lines.is_empty() {
        return error;
    }
    plain(format!("the document cannot be applied:\n{}", lines.join("\n")))
}

/// The answer of a server that did what it was asked.
fn good(reply: Result<Reply, String>) -> Result<Reply> {
    let reply = reply.map_err(plain)?;
    if reply.status == 200 {
        return Ok(reply);
    }
    let problem: Value = serde_json::from_str(&reply.text).unwrap_or_default();
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("the answer is none of Tollgate's");
    let errors = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let text = |error: &Value, name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines: Vec<_> =
        errors.map(|error| format!("\n  {} {}", text(error, "pointer"), text(error, "detail"))).collect();
    Err(plain(format!("{}: {detail}{}", reply.status, lines.concat())))
}

fn told(reply: &Reply) -> Result<Told> {
    let body: Value = serde_json::from_str(&reply.text).map_err(plain)?;
    let changes = body.get("changes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_kept = |change: &&Value| change.get("action").is_some_and(|action| action == "keep");
    Ok(Told {
        text: body.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        tag: reply.etag.clone().unwrap_or_else(|| "*".to_owned()),
        changes: changes.len(),
        to_do: changes.len() - changes.iter().filter(is_kept).count(),
    })
}
