//! Puts the product together, runs what goes on in the background, and stops in order.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::time::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use providers::object::{Objects, S3};
use store::db::{Db, Location};
use store::feed::{Listener, Notice};
use store::gate::{Finish, Gate};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

use crate::app::component::trial::Trials;
use crate::app::customer::Customers;
use crate::app::fail_open::FailOpen;
use crate::app::key::Keys;
use crate::app::mail::account::Mailer;
use crate::app::session::Sessions;
use crate::app::tenant::{self, Tenants};
use crate::app::time::Turns;
use crate::app::{audit, decision, fail_open, job, notice, password, setup};
use crate::cx::{App, Cx, Options, clock, now};
use crate::error::{Code, Error, Result};
use crate::live::Hub;
use crate::{http, listen};

/// What `serve` was told.
pub struct Settings {
    /// Where the data is.
    pub location: Location,
    /// The data folder.
    pub data: PathBuf,
    /// The master key, when it comes from the environment.
    pub master_key: Option<String>,
    /// A store that speaks S3 for the bytes of files; a folder of the data folder otherwise.
    pub files: Option<S3>,
    /// What use cases care about.
    pub options: Options,
}

/// The folder of files in the data folder.
const FILES: &str = "files";

/// The running product.
pub struct Running {
    app: Arc<App>,
    finish: Finish,
    figures: PrometheusHandle,
}

/// How often figures are brought up to date.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long background work may take to end after a stop.
const ENDING: Duration = Duration::from_secs(20);

/// Whether a text says what to log.
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// Starts logging.
pub fn log(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that cannot be written, as on a full disk, is lost; to complain of it on stderr would panic whoever logs.
    let logs = tracing_subscriber::fmt().log_internal_errors(false);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let logs = logs.with_env_filter(filter).with_writer(std::io::stderr);
    let logs = logs.with_ansi(!plain && std::io::stderr().is_terminal());
    if json { logs.json().init() } else { logs.with_target(false).init() }
}

/// Opens the database and puts the product together.
pub async fn start(settings: &Settings) -> Result<Running> {
    let (app, finish) = assemble(settings).await?;
    let figures = PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
        .map_err(Error::internal)?
        .install_recorder()
        .map_err(Error::internal)?;
    Ok(Running { app, finish, figures })
}

/// The same for whoever serves nobody: no figures are kept, and nothing goes on in the background. The end of the gate
/// is to be waited for.
pub async fn assemble(settings: &Settings) -> Result<(Arc<App>, Finish)> {
    let plain = |error: store::error::Error| Error::new(Code::Internal, error.to_string());
    let now = now();
    let db = Db::open(&settings.location).await.map_err(plain)?;
    setup::ensure_platform(&db, now).await?;
    let given = settings.master_key.as_deref();
    let master = setup::master_key(&db, &settings.data, given, settings.options.demo, now).await?;
    let tokens = setup::tokens(&db, &master, now).await?;
    let (gate, finish) = Gate::start(&db, clock).await.map_err(plain)?;
    let tasks = TaskTracker::new();
    let objects = match &settings.files {
        Some(account) => Objects::s3(account),
        None => Objects::local(&settings.data.join(FILES)),
    };
    let app = Arc::new(App {
        decisions: decision::Decisions::start(&db, &tasks),
        passwords: password::Passwords::new()?,
        tenants: Tenants::default(),
        customers: Customers::default(),
        keys: Keys::default(),
        sessions: Sessions::default(),
        fail_open: FailOpen::default(),
        trials: Trials::default(),
        mailer: Mailer::default(),
        address: OnceLock::new(),
        turns: Turns::default(),
        live: Hub::default(),
        crossed: Notify::new(),
        stopping: CancellationToken::new(),
        options: settings.options.clone(),
        objects: objects.map_err(|error| Error::new(Code::Internal, error.to_string()))?,
        db,
        gate,
        tokens,
        master,
        tasks,
    });
    job::ensure_standing(&app, now).await?;
    Ok((app, finish))
}

impl Running {
    /// The product.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The path by which the first operator is made, when there is none yet and this is no demo.
    pub async fn setup_link(&self) -> Result<Option<String>> {
        if self.app.options.demo {
            return Ok(None);
        }
        let platform = self.app.tenants.get(&self.app.db, &self.app.master, &setup::platform()).await?;
        setup::setup_link(&Cx::system(&self.app, &platform, "start")).await
    }

    /// Hears the signals that stop the process, from now on.
    pub fn heed_signals(&self) -> Result<()> {
        let terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
        self.app.tasks.spawn(wait_for_signal((terminate, interrupt), self.app.stopping.clone()));
        Ok(())
    }

    /// Serves until the process is told to stop, then stops in order.
    pub async fn serve(self, listener: TcpListener) {
        let app = self.app.clone();
        app.tasks.spawn(follow_gate(app.clone()));
        // From before the first connection, so that none has to be told that something may have been missed.
        let notices = store::feed::listen(&app.db).await.ok();
        app.tasks.spawn(follow_notices(app.clone(), notices));
        app.tasks.spawn(tell_crossings(app.clone()));
        app.tasks.spawn(fail_open::record_for_ever(app.clone()));
        app.tasks.spawn(work_for_ever(app.clone()));
        app.tasks.spawn(keep_up(app.clone(), self.figures.clone()));
        let edge = http::Edge::new(app.clone(), self.figures.clone());
        listen::serve(listener, move |request| edge.clone().answer(request), &app.tasks, app.stopping.clone()).await;
        drop(app);
        self.stop().await;
    }

    /// Lets background work end, and the gate write what it has.
    pub async fn stop(self) {
        let Self { app, finish, .. } = self;
        // Nothing that was written waits for the next start.
        match tokio::time::timeout(ENDING, audit::chain::seal(&app, now())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => tracing::warn!("the last entries of the audit trail are sealed at the next start"),
        }
        app.stopping.cancel();
        app.tasks.close();
        let tasks = app.tasks.clone();
        // The decision log ends when its queue does, which the product holds; everything else is waited for.
        drop(app);
        if tokio::time::timeout(ENDING, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "some background work did not end in time");
        }
        if tokio::time::timeout(ENDING, finish.wait()).await.is_err() {
            tracing::warn!("the gate did not end in time; the next start reads the rest from the events");
        }
    }
}

async fn wait_for_signal((mut terminate, mut interrupt): (Signal, Signal), stopping: CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stopping.cancelled() => return,
    }
    tracing::info!("stopping");
    stopping.cancel();
}

/// Live connections hear of this node's batches.
async fn follow_gate(app: Arc<App>) {
    for (node, seq) in store::usage::last_batches(&app.db).await.unwrap_or_default() {
        app.live.advance(node, seq);
    }
    let mut feed = app.gate.listen();
    loop {
        let heard = tokio::select! {
            () = app.stopping.cancelled() => return,
            heard = feed.recv() => heard,
        };
        match heard {
            Ok(committed) => {
                app.live.committed(&committed);
                if committed.crossed {
                    app.crossed.notify_one();
                }
            }
            Err(RecvError::Lagged(_)) => {
                app.live.lose_all();
                app.crossed.notify_one();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Customers are told of the thresholds that this node's batches passed, at once. What fails is told by the job.
async fn tell_crossings(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.crossed.notified() => {}
        }
        if let Err(error) = notice::follow(&app).await {
            tracing::warn!(%error, "thresholds that were passed could not be told");
        }
    }
}

/// Live connections hear of other nodes' batches, and of what is told on any node.
async fn follow_notices(app: Arc<App>, mut notices: Option<Listener>) {
    while !app.stopping.is_cancelled() {
        let Some(mut listener) = notices.take() else {
            notices = store::feed::listen(&app.db).await.ok();
            if notices.is_some() {
                // What was said while nobody listened is not known.
                app.live.lose_all();
                continue;
            }
            tokio::select! {
                () = app.stopping.cancelled() => return,
                () = tokio::time::sleep(UPKEEP) => continue,
            }
        };
        loop {
            let heard = tokio::select! {
                () = app.stopping.cancelled() => return,
                heard = listener.next() => heard,
            };
            match heard {
                Ok(Some(Notice::Batch(node, seq))) => {
                    if node != app.gate.node() && relay(&app, node, seq).await.is_err() {
                        app.live.lose_all();
                    }
                }
                Ok(Some(Notice::Events(spoken))) => app.live.told(&app.db, &spoken).await,
                Ok(None) | Err(_) => break,
            }
        }
    }
}

async fn relay(app: &App, node: i64, seq: i64) -> store::error::Result<()> {
    if app.live.is_idle() {
        app.live.advance(node, seq);
        return Ok(());
    }
    let seen = app.live.position().get(&node).copied().unwrap_or(seq - 1);
    for batch in store::usage::batches_after(&app.db, node, seen, seq.saturating_sub(seen).max(1)).await? {
        let changes = store::usage::changes_of(&app.db, &batch).await?;
        app.live.committed(&store::gate::Committed { node, seq: batch.seq, changes, crossed: false });
    }
    Ok(())
}

/// Does what is due, each job beside the others, and looks again when the next is. A job that takes long, and rests so
/// that the gate does not wait for it, must not keep the others from their time.
async fn work_for_ever(app: Arc<App>) {
    let mut running = JoinSet::new();
    while !app.stopping.is_cancelled() {
        let at = now();
        let next = match job::take(&app, at, job::AT_ONCE.saturating_sub(running.len())).await {
            Ok((jobs, next)) => {
                for job in jobs {
                    let app = app.clone();
                    running.spawn(async move { job::run(&app, &job, at).await });
                }
                next
            }
            Err(error) => {
                tracing::warn!(%error, "jobs could not be looked at");
                at.plus_seconds(job::PAUSE_SECONDS_MAX)
            }
        };
        tokio::select! {
            () = app.stopping.cancelled() => break,
            () = tokio::time::sleep(pause_until(now(), next)) => {}
            Some(ended) = running.join_next(), if running.len() >= job::AT_ONCE => tell_ended(ended),
        }
        while let Some(ended) = running.try_join_next() {
            tell_ended(ended);
        }
    }
    while let Some(ended) = running.join_next().await {
        tell_ended(ended);
    }
}

fn tell_ended(ended: std::result::Result<Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "what came of a job could not be kept; it is done again"),
        Err(error) => tracing::error!(%error, "a job died; it is done again when its lease ends"),
    }
}

/// At least a little, so that a job that is always due cannot spin.
fn pause_until(now: Timestamp, next: Timestamp) -> Duration {
    let micros = next.as_micros().saturating_sub(now.as_micros()).max(100_000);
    Duration::from_micros(u64::try_from(micros).unwrap_or(100_000))
}

async fn keep_up(app: Arc<App>, figures: PrometheusHandle) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => {}
        }
        figures.run_upkeep();
        app.live.tidy().await;
        app.live.look(&app.db).await;
        tenant::close_suspended(&app).await;
    }
}
