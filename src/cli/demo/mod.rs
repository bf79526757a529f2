//! `fanfare demo`: shows the whole path on this machine, without any setup.
//!
//! The router is the one that `fanfare serve` runs, over an embedded store in a temporary folder.
//! The receivers run in this process behind real sockets. One fails at first, and one is slow. The
//! demo succeeds only if every delivery arrives and every signature is valid. With `--ui` it then
//! serves the dashboard until Ctrl-C.

mod artifacts;
mod receivers;
mod report;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Args as ClapArgs;
use fanfare_contract::Event;
use tokio_util::sync::CancellationToken;

use super::{CommandResult, Failure, output, serve, tenant_files};
use crate::app::{self, App, Parts, Purpose};
use crate::config::{Config, Security};
use crate::event::{Fill, decode, new_event_id};
use receivers::Receivers;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare demo
  fanfare demo --ui
  fanfare demo --keep ./demo

Starts a router and three receivers (webhook, Slack, and SMTP) on this machine, sends sample \
events, and prints every attempt. It needs no network. The exit code is 0 only if every delivery \
arrives and every webhook signature is valid.")]
pub(super) struct Args {
    /// Folder for the store and what was received, new or empty [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Serve the dashboard with the demo's data until Ctrl-C
    #[arg(long)]
    ui: bool,
    /// Also print the router's log
    #[arg(long)]
    verbose: bool,
}

const TENANT: &str = include_str!("../../../config/tenants/acme.toml");
const EVENTS: &str = include_str!("../../../config/samples/kyc.ndjson");
/// How long to wait until everything has arrived.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn run(args: Args) -> CommandResult {
    if args.verbose {
        super::logging::set_up(&crate::config::Log::default())?;
    }
    let folder = folder(&args)?;
    let began = Instant::now();
    let receivers = Receivers::start().await.context("cannot start the demo's receivers")?;
    receivers.introduce();

    let config = config(&folder, &receivers);
    let store = app::open_store(&config, Purpose::Route).await?;
    let parts = Parts::new(&config, store)?;
    let path = folder.join("acme.toml");
    std::fs::write(&path, receivers.tenant(TENANT))
        .with_context(|| format!("cannot write {}", path.display()))?;
    let missing = tenant_files::MissingSecrets::Generate;
    tenant_files::apply(&parts.store, &config, &parts.channels, &[path], missing)
        .await
        .map_err(|lines| tenant_files::report(&lines))?;
    let app = App::build(&config, parts).await?;
    let stop = CancellationToken::new();
    let pages = if args.ui { Some(serve::pages(&app, &config, &stop).await?) } else { None };
    let router = tokio::spawn(app.router().run(stop.clone()));

    let events = sample_events(&config)?;
    let heading = format!("Sending {} events of tenant acme", events.len());
    output::line(format!("\n{}", output::bold(&heading)));
    app.store.log.append(events.clone()).await?;
    let expected = report::expected(&app, &events).await?;
    let deliveries = watch::until_ended(&app.store, &expected, TIMEOUT).await?;
    let verified = receivers.verified();
    artifacts::write(&folder, &receivers)?;
    let complete = report::print(&expected, &deliveries, &verified, &folder, began.elapsed());
    if let Some((address, pages)) = pages {
        report::dashboard(address);
        serve::interrupted().await?;
        stop.cancel();
        let _ = pages.await;
    }
    stop.cancel();
    let _ = router.await;
    if complete { Ok(()) } else { Err(Failure::Reported) }
}

fn folder(args: &Args) -> Result<PathBuf, Failure> {
    match &args.keep {
        Some(dir) => {
            let used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
            if used {
                return Err(Failure::refused(format!(
                    "{} is not empty; name a new or empty folder with --keep",
                    dir.display()
                )));
            }
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot create the folder {}", dir.display()))?;
            Ok(dir.clone())
        }
        None => Ok(tempfile::Builder::new()
            .prefix("fanfare-demo-")
            .tempdir()
            .context("cannot create a temporary folder")?
            .keep()),
    }
}

fn config(folder: &Path, receivers: &Receivers) -> Config {
    let mut config = Config {
        store: folder.join("store").display().to_string(),
        development: true,
        ..Config::default()
    };
    config.email.host = receivers.smtp.addr().ip().to_string();
    config.email.port = receivers.smtp.addr().port();
    config.email.security = Security::None;
    config.email.hello_name = Some("localhost".to_owned());
    config.email.from = String::from("Fanfare <notifications@fanfare.example>");
    config
}

fn sample_events(config: &Config) -> Result<Vec<Arc<Event>>, Failure> {
    let tenant: Arc<str> = "acme".into();
    let now = crate::agenda::Clock::System.now_ms();
    let fill = Fill { id: &|| new_event_id(now, rand::random()), received_ms: now };
    EVENTS
        .lines()
        .map(|line| {
            let raw = Bytes::from_static(line.as_bytes());
            decode(&tenant, raw, app::limits(config), &fill)
                .map(Arc::new)
                .map_err(|refusal| Failure::refused(refusal.to_string()))
        })
        .collect()
}
