//! `fanfare serve`: the router and its HTTP API, until told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args as ClapArgs;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::{Done, Failure, logging, tenant_files};
use crate::access::{Hash, Keyring, RateLimit};
use crate::api::{self, ApiState, Authenticator, Meter, Shared};
use crate::app::{self, App, Parts, Purpose};
use crate::config::{Config, LogFormat, Period};
use crate::secrets::Secrets;
use crate::tenant::Channels;
use fanfare_store::Store;

/// Options. Each is also a key of the settings file.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare serve --tenants config/tenants --development
  fanfare serve --store redis://127.0.0.1:6379 --tenants /etc/fanfare/tenants --config /etc/fanfare/fanfare.toml

Stops on SIGTERM or SIGINT: reads no more, finishes what is in flight within --grace, hands the rest
back. A second signal stops at once. SIGHUP, or a changed file in --tenants, loads tenants anew; a
file with a mistake keeps the table before it and says why.")]
pub(super) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Folder with one TOML file a tenant
    #[arg(long, env = "FANFARE_TENANTS", value_name = "DIR")]
    tenants: Option<PathBuf>,
    /// Address of the HTTP API; port 0 takes a free one [default: 127.0.0.1:8400]
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Allow http:// and loopback receivers, and HTTP without a key on a loopback address
    #[arg(long, env = "FANFARE_DEVELOPMENT", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    development: bool,
    /// Key that publishes for every tenant, beside those of `fanfare keys`
    #[arg(long, env = "FANFARE_INGEST_KEY", value_name = "KEY", hide_env_values = true)]
    ingest_key: Option<String>,
    /// Key for GET /metrics; an operator's key will do as well
    #[arg(long, env = "FANFARE_METRICS_KEY", value_name = "KEY", hide_env_values = true)]
    metrics_key: Option<String>,
    /// Password for the mail server
    #[arg(long, env = "FANFARE_EMAIL_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    email_password: Option<String>,
    /// How long a stop may take [default: 25s]
    #[arg(long, env = "FANFARE_GRACE", value_name = "TIME")]
    grace: Option<Period>,
    /// What is logged [default: info]
    #[arg(long, env = "FANFARE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look [default: auto]
    #[arg(long, env = "FANFARE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Worker threads; 0 is one a core, at most 4
    #[arg(long, env = "FANFARE_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Write the address that is listened on to this file once ready
    #[arg(long, env = "FANFARE_READY_FILE", value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Args {
    /// Worker threads asked for by flag or file; 0 when neither says.
    pub(super) fn threads(&self) -> usize {
        let from_file = || self.settings.load().map_or(0, |config| config.router.threads);
        self.threads.unwrap_or_else(from_file)
    }

    fn load(&self) -> Result<Config, Failure> {
        let mut config = self.settings.load()?;
        config.development |= self.development;
        let set = |to: &mut Option<_>, from: &Option<_>| {
            if from.is_some() {
                to.clone_from(from);
            }
        };
        set(&mut config.ingest.key, &self.ingest_key);
        set(&mut config.metrics.key, &self.metrics_key);
        set(&mut config.email.password, &self.email_password);
        if self.tenants.is_some() {
            config.tenants.clone_from(&self.tenants);
        }
        config.listen = self.listen.unwrap_or(config.listen);
        config.grace = self.grace.unwrap_or(config.grace);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        if let Some(filter) = &self.log {
            config.log.filter.clone_from(filter);
        }
        Ok(config)
    }
}

pub(super) async fn run(args: Args) -> Done {
    let config = args.load()?;
    logging::set_up(&config.log)?;
    let ingest = ingest_key(&config)?;
    let (store, secrets) = app::open_sealed(&config, Purpose::Route).await?;
    tell_of_secrets(&secrets);
    for warning in store.upkeep.warnings().await {
        tracing::warn!("{warning}");
    }
    let parts = Parts::new(&config, store)?;
    if let Some(dir) = &config.tenants {
        let (dirs, given) = (std::slice::from_ref(dir), tenant_files::Secrets::Given);
        tenant_files::apply(&parts.store, &config, &parts.channels, dirs, given)
            .await
            .map_err(|lines| tenant_files::told(&lines))?;
    }
    let app = App::build(&config, parts).await?;
    let keyring = Keyring::load(&app.store, app.clock, rate_limit(&config)).await?;
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().context("the address of the listener")?;

    let stop = CancellationToken::new();
    let router = tokio::spawn(app.router().run(app.version, stop.clone()));
    let meter = config.metrics.enabled.then(|| {
        let window = config.router.window.max(1);
        let local = config.development && config.is_local() && config.metrics.key.is_none();
        let open = config.metrics.open.unwrap_or(local);
        Meter::new(app.observe.clone(), window, config.metrics.key.as_deref(), open)
    });
    // With a key of its own, ingest was never open to all.
    let open = config.development && config.is_local() && ingest.is_none();
    let open = open.then_some("development");
    let (ring, clock) = (keyring.clone(), app.clock);
    let authenticator = Arc::new(Authenticator { keyring: ring, ingest, open, clock });
    let following = tokio::spawn(keyring.clone().follow(stop.clone()));
    let known = tokio::spawn(app.catalogue.clone().follow(stop.clone()));
    let engine = app::tenant_engines(&config)?;
    let state = ApiState {
        store: app.store.clone(),
        registry: app.registry.clone(),
        clock: app.clock,
        limits: app::limits(&config),
        max_batch: config.events.max_batch.max(1),
        authenticator: authenticator.clone(),
        observe: app.observe.clone(),
        meter,
        catalogue: app.catalogue.clone(),
        open_docs: config.http.open_docs,
        v1: Arc::new(Shared::new(
            engine,
            config.http.alias.clone(),
            config.privacy.subject_paths.clone(),
        )),
        stop: stop.clone(),
    };
    let http = axum::serve(listener, api::router(state))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let http = tokio::spawn(async move { http.await });
    // Not waited for: with many tenants it takes a while, and what is sealed already can be read.
    let resealing = tokio::spawn(reseal(secrets, stop.clone()));
    match config.tenants.clone() {
        Some(dir) => {
            let channels = app.registry.channels().clone();
            tokio::spawn(watch(dir, config.clone(), app.store.clone(), channels, stop.clone()));
        }
        None => {
            tokio::spawn(survive_hangups());
        }
    }
    warn_of_exposure(&config, &authenticator);
    announce(&app, &config, address, args.ready_file.as_deref())?;
    let done = until_stopped(config.grace.0, stop, async move {
        let _ = router.await;
        let _ = http.await;
        let _ = following.await;
        let _ = resealing.await;
        let _ = known.await;
    })
    .await;
    app.observe.stop().await;
    done
}

/// Says where the key is, when it was made now or there is none.
fn tell_of_secrets(secrets: &Secrets) {
    if let Some(path) = secrets.created_key_file() {
        tracing::info!(
            "secrets in the store are encrypted with a key that was made now: {}. Keep a copy of it \
             apart from the store; without it they cannot be read",
            path.display()
        );
    }
    if secrets.are_plain() {
        tracing::warn!(
            "DEVELOPMENT MODE: there is no master key, so the secrets of destinations stand in the \
             clear in Redis. `fanfare secrets new-key` makes one for FANFARE_MASTER_KEY"
        );
    }
}

/// Encrypts what is in the clear or under an older key.
async fn reseal(secrets: Secrets, stop: CancellationToken) {
    let resealed = tokio::select! {
        resealed = secrets.reseal() => resealed,
        () = stop.cancelled() => return,
    };
    match resealed {
        Ok(resealed) if resealed.documents > 0 => {
            let (documents, left) = (resealed.documents, resealed.left);
            tracing::info!(documents, left, "secrets were encrypted with the current master key");
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, "secrets under an older master key were left so; the next start \
                           or `fanfare secrets rotate` goes on");
        }
    }
}

fn ingest_key(config: &Config) -> Result<Option<Hash>, Failure> {
    let Some(key) = &config.ingest.key else { return Ok(None) };
    if key.len() < 16 {
        return Err(Failure::Because(
            "the ingest key is shorter than 16 characters; make one with `openssl rand -hex 32`"
                .to_owned(),
        ));
    }
    Ok(Some(Hash::of(key)))
}

fn rate_limit(config: &Config) -> Option<RateLimit> {
    let per_second = f64::from(config.http.requests_per_second);
    let burst = config.http.burst.max(1);
    (per_second > 0.0).then_some(RateLimit { per_second, burst })
}

/// Says who can get in, where that is not as it should be.
fn warn_of_exposure(config: &Config, authenticator: &Authenticator) {
    if !config.listen.ip().is_loopback() && !config.http.behind_proxy {
        tracing::warn!(
            "{} is reached over a network without TLS: keys and events can be read on the way. Put \
             a proxy that ends TLS in front and set [http] behind_proxy = true, or listen on \
             127.0.0.1",
            config.listen
        );
    }
    if authenticator.open.is_some() {
        return;
    }
    if authenticator.ingest.is_none() && authenticator.keyring.is_empty() {
        // An address of a Redis may hold a password.
        let store = if app::is_redis(&config.store) { "redis://…" } else { &config.store };
        tracing::warn!(
            "there is no key yet, so HTTP answers health checks alone; make the first with \
             `fanfare keys create --role operator --store {store}`"
        );
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let mend = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                ": another program listens there; stop it, or choose a port with --listen"
            }
            std::io::ErrorKind::PermissionDenied => {
                ": ports below 1024 need a privilege; choose another with --listen"
            }
            std::io::ErrorKind::AddrNotAvailable => ": this machine does not have that address",
            _ => "",
        };
        Failure::Unreachable(anyhow::anyhow!("cannot listen on {address}: {error}{mend}"))
    })
}

fn announce(
    app: &App,
    config: &Config,
    address: SocketAddr,
    ready_file: Option<&Path>,
) -> Result<(), Failure> {
    if config.development {
        tracing::warn!(
            "DEVELOPMENT MODE: http:// and loopback receivers are allowed{}. Never serve customers \
             like this",
            if config.is_local() && config.ingest.key.is_none() {
                ", and anybody on this machine can do everything over HTTP without a key"
            } else {
                ""
            }
        );
    }
    let tenants = app.registry.snapshot();
    let lanes: usize = tenants.values().map(|tenant| tenant.lanes.len()).sum();
    tracing::info!(
        store = app.store.upkeep.kind(),
        tenants = tenants.len(),
        lanes,
        "listening on http://{address}"
    );
    if tenants.is_empty() {
        tracing::warn!("there are no tenants yet; add some with --tenants or `fanfare apply`");
    }
    if let Some(path) = ready_file {
        std::fs::write(path, address.to_string())
            .with_context(|| format!("--ready-file {} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Waits for a signal, then for the work to end within the grace time.
async fn until_stopped(
    grace: Duration,
    stop: CancellationToken,
    work: impl Future<Output = ()>,
) -> Done {
    let mut term = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    let mut int = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    tokio::pin!(work);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = &mut work => {
            return Err(Failure::Unreachable(anyhow::anyhow!("the router ended unasked")));
        }
    }
    tracing::info!("stopping: nothing new is read; a second signal stops at once");
    stop.cancel();
    tokio::select! {
        () = &mut work => tracing::info!("stopped; everything in flight was settled"),
        () = tokio::time::sleep(grace) => {
            tracing::warn!("the grace time is over; what is in flight will be tried again");
        }
        _ = term.recv() => tracing::warn!("stopped at once"),
        _ = int.recv() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// How often one looks whether the store has lost all tenants.
const LOOK_FOR_LOSS: Duration = Duration::from_secs(2);

/// Applies the tenants' folder on SIGHUP, when a file in it changes, and to a store that has lost
/// them.
async fn watch(
    dir: PathBuf,
    config: Config,
    store: Store,
    channels: Channels,
    stop: CancellationToken,
) {
    let (changed, mut changes) = tokio::sync::mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full means that a change is known already.
            let _ = changed.try_send(());
        }
    });
    let watcher = watcher.and_then(|mut watcher| {
        notify::Watcher::watch(&mut watcher, &dir, notify::RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    if let Err(error) = &watcher {
        tracing::warn!(%error, "changes in {} are not seen; SIGHUP loads them", dir.display());
    }
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let mut look = tokio::time::interval(LOOK_FOR_LOSS);
    // A folder without a file makes a store without a tenant, which has lost none.
    let mut had_tenants = store.directory.version().await.ok() != Some(0);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            // A Redis that was flushed, or came back without its data, has never had a tenant.
            _ = look.tick() => {
                let Ok(version) = store.directory.version().await else { continue };
                let had = std::mem::replace(&mut had_tenants, version > 0);
                if version > 0 || !had {
                    continue;
                }
                tracing::warn!("the store has lost its tenants; the files are applied again");
            }
            Some(()) = changes.recv() => {
                // Editors write in several steps; take the last.
                tokio::time::sleep(Duration::from_millis(200)).await;
                while changes.try_recv().is_ok() {}
            }
            () = stop.cancelled() => return,
        }
        reload(&dir, &config, &store, &channels).await;
        // It may lose them again before the next look.
        had_tenants |= store.directory.version().await.is_ok_and(|version| version > 0);
    }
}

/// SIGHUP ends a process that does not handle it. Without a folder of tenant files there is nothing to
/// load, but a reload must not end the server.
async fn survive_hangups() {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        tracing::warn!("SIGHUP loads nothing: there is no folder of tenant files (--tenants)");
    }
}

async fn reload(dir: &Path, config: &Config, store: &Store, channels: &Channels) {
    let given = tenant_files::Secrets::Given;
    match tenant_files::apply(store, config, channels, &[dir.to_owned()], given).await {
        Ok(changed) if changed.is_empty() => {}
        Ok(changed) => tracing::info!(tenants = changed.join(", "), "tenant files applied"),
        Err(problems) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            tracing::error!("no tenant file was applied; the tables before stay in force");
        }
    }
}
