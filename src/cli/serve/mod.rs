//! `fanfare serve`: runs the router and its HTTP API until a signal stops them.

mod http;
mod notices;
mod shutdown;
mod tenants;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::options::StoreArgs;
use super::{CommandResult, Failure, logging, tenant_files};
use crate::access::Keyring;
use crate::api::Setting;
use crate::app::{self, App, Parts, Purpose};
use crate::config::{Config, InForce, LogFormat, Period, in_force};
use crate::ops;

/// Options. Each is also a key of the settings file.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare serve --tenants config/tenants --development
  fanfare serve --config /etc/fanfare/fanfare.toml \\
    --tenants /etc/fanfare/tenants
  fanfare serve --store redis://127.0.0.1:6379

On SIGTERM or SIGINT, the router reads nothing new, finishes the attempts in flight within \
--grace, and leaves the rest to the next start or to another replica. A second signal stops at once.

On SIGHUP, or when a file in the --tenants folder changes, the router applies the folder again. If \
a file has a mistake, the log says which, and the previous settings stay active.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Folder with one TOML file per tenant
    #[arg(long, env = "FANFARE_TENANTS", value_name = "DIR")]
    tenants: Option<PathBuf>,
    /// Address of the HTTP API; port 0 selects a free port [default: 127.0.0.1:8400]
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Allow http:// and loopback receivers, and requests without a key on a loopback address
    #[arg(
        long,
        env = "FANFARE_DEVELOPMENT",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::SetTrue
    )]
    development: bool,
    /// Key that publishes for every tenant, in addition to those of `fanfare keys`
    #[arg(long, env = "FANFARE_INGEST_KEY", value_name = "KEY", hide_env_values = true)]
    ingest_key: Option<String>,
    /// Key for GET /metrics, in addition to those of operators
    #[arg(long, env = "FANFARE_METRICS_KEY", value_name = "KEY", hide_env_values = true)]
    metrics_key: Option<String>,
    /// Password for the mail server
    #[arg(long, env = "FANFARE_EMAIL_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    email_password: Option<String>,
    /// How long a stop may take [default: 25s]
    #[arg(long, env = "FANFARE_GRACE", value_name = "DURATION")]
    grace: Option<Period>,
    /// What to log: a level or a filter such as fanfare=debug,warn [default: info]
    #[arg(long, env = "FANFARE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Format of the log lines; auto is text on a terminal and JSON elsewhere [default: auto]
    #[arg(
        long,
        env = "FANFARE_LOG_FORMAT",
        value_name = "FORMAT",
        value_parser = log_format()
    )]
    log_format: Option<LogFormat>,
    /// Worker threads [default: one per core, at most 4]
    #[arg(long, env = "FANFARE_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Write the address to this file once the server is ready
    #[arg(long, env = "FANFARE_READY_FILE", value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(["auto", "text", "json"]).map(|word| match &*word {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    })
}

impl Args {
    /// Worker threads by option or settings file; 0 if neither sets them.
    pub(super) fn threads(&self) -> usize {
        let from_file = || self.store.load().map_or(0, |config| config.router.threads);
        self.threads.unwrap_or_else(from_file)
    }

    fn load(&self) -> Result<Config, Failure> {
        let mut config = self.store.load()?;
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
        config.review(self.store.config.as_deref())?;
        Ok(config)
    }

    /// The settings in force, with their sources.
    fn settings(&self, config: &Config) -> Vec<Setting> {
        let file = self.store.config.as_deref();
        let file = file.and_then(|path| std::fs::read_to_string(path).ok());
        let all = in_force(config, file.as_deref()).into_iter();
        let setting = |InForce { key, value, source }| {
            let value = serde_json::to_value(value).unwrap_or_default();
            Setting { key, value, source }
        };
        all.map(setting).collect()
    }
}

pub(super) async fn run(args: Args) -> CommandResult {
    let config = args.load()?;
    logging::set_up(&config.log)?;
    for warning in config.suspicious() {
        tracing::warn!("settings, {warning}");
    }
    let ingest_key = http::ingest_key(&config);
    let connections = http::options(&config.http)?;
    let (store, secrets) = app::open_sealed(&config, Purpose::Route).await?;
    notices::master_key(&secrets);
    for warning in store.upkeep.warnings().await {
        tracing::warn!("{warning}");
    }
    let parts = Parts::new(&config, store)?;
    if let Some(dir) = &config.tenants {
        let dirs = std::slice::from_ref(dir);
        let missing = tenant_files::MissingSecrets::Refuse;
        tenant_files::apply(&parts.store, &config, &parts.channels, dirs, missing)
            .await
            .map_err(|lines| tenant_files::report(&lines))?;
    }
    let app = App::build(&config, parts).await?;
    app.store.ledger.note_indexed().await?;
    let keyring = Keyring::load(&app.store, app.clock, http::rate_limit(&config)).await?;
    let listener = bind(config.listen)?;
    let address = listener.local_addr().context("cannot read the address of the listener")?;

    let stop = CancellationToken::new();
    let router = tokio::spawn(app.router().run(stop.clone()));
    let keys = tokio::spawn(keyring.clone().follow(stop.clone()));
    let catalogue = tokio::spawn(app.catalogue.clone().follow(stop.clone()));
    tokio::spawn(ops::finish_abandoned(app.store.clone(), app.clock, stop.clone()));
    let settings = args.settings(&config);
    let state = http::state(&app, &config, keyring, ingest_key, settings, &stop)?;
    let authenticator = state.authenticator.clone();
    let pages = http::pages(&config, &state, secrets.vault())?;
    let api = tokio::spawn(http::serve(listener, pages, state, connections, stop.clone()));
    // In the background: with many tenants it takes a while, and all secrets can be read meanwhile.
    let resealing = tokio::spawn(notices::reseal(secrets, stop.clone()));
    // Handled from now on: a SIGHUP must not end a server that has said it is ready.
    let hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    match config.tenants.clone() {
        Some(dir) => {
            let channels = app.registry.channels().clone();
            let folder = tenants::Folder { dir, config: config.clone(), channels };
            tokio::spawn(folder.watch(app.store.clone(), hangup, stop.clone()));
        }
        None => {
            tokio::spawn(tenants::survive_hangups(hangup));
        }
    }
    notices::exposure(&config, &authenticator);
    notices::ready(&app, &config, address, args.ready_file.as_deref()).await?;
    let result = shutdown::run_until_stopped(config.grace.0, stop, async move {
        let _ = router.await;
        let _ = api.await;
        let _ = keys.await;
        let _ = resealing.await;
        let _ = catalogue.await;
    })
    .await;
    app.observe.stop().await;
    result
}

/// Serves the API and the dashboard of a router that runs in this process, until `stop`. Uses the
/// port of the settings or, if it is taken, a free one.
pub(super) async fn pages(
    app: &App,
    config: &Config,
    stop: &CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), Failure> {
    let listener = match bind(config.listen) {
        Ok(listener) => listener,
        Err(_) => bind(SocketAddr::new(config.listen.ip(), 0))?,
    };
    let address = listener.local_addr().context("cannot read the address of the listener")?;
    let keyring = Keyring::load(&app.store, app.clock, http::rate_limit(config)).await?;
    let connections = http::options(&config.http)?;
    let state = http::state(app, config, keyring, None, Vec::new(), stop)?;
    let pages = http::pages(config, &state, None)?;
    let serving = http::serve(listener, pages, state, connections, stop.clone());
    Ok((address, tokio::spawn(serving)))
}

/// Waits for Ctrl-C or SIGTERM.
pub(super) async fn interrupted() -> CommandResult {
    let mut term = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Connections that the system keeps until they are accepted. The system lowers it to its own
/// limit. If a burst fills it, a client waits a second before it tries again.
const BACKLOG: u32 = 4_096;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port whose last server has just ended is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; stop the program that uses the port, or choose another with --listen"
            }
            std::io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need a privilege, choose another with --listen"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "; this machine does not have the address, choose another with --listen"
            }
            _ => "",
        };
        Failure::unreachable(format!("cannot listen on {address}: {error}{advice}"))
    })
}
