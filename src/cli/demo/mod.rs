//! `fanfare demo`: the whole path on this machine, with nothing to set up.
//!
//! The router is the real one over the embedded store in a temporary folder; the receivers are in
//! this process, behind real sockets. One fails at first, one is slow. It ends well only if every
//! delivery arrived and every signature was verified.

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

use super::{Done, Failure, output, tenant_files};
use crate::app::{self, App, Parts, Purpose};
use crate::config::{Config, Security};
use crate::event::{Fill, decode, new_event_id};
use receivers::Receivers;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  fanfare demo
  fanfare demo --keep ./demo")]
pub(super) struct Args {
    /// Keep the store and everything that was received in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Show the router's log as well
    #[arg(long)]
    verbose: bool,
}

const TABLE: &str = include_str!("../../../config/tenants/acme.toml");
const EVENTS: &str = include_str!("../../../config/samples/kyc.ndjson");
/// Everything must have arrived by then.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn run(args: Args) -> Done {
    if args.verbose {
        super::logging::set_up(&crate::config::Log::default())?;
    }
    let folder = folder(&args)?;
    let began = Instant::now();
    let receivers = Receivers::start().await.context("the demo's receivers cannot start")?;
    receivers.introduce();

    let config = config(&folder, &receivers);
    let store = app::open_store(&config, Purpose::Route).await?;
    let parts = Parts::new(&config, store)?;
    let path = folder.join("acme.toml");
    std::fs::write(&path, receivers.table(TABLE))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let made = tenant_files::Secrets::Made;
    tenant_files::apply(&parts.store, &config, &parts.channels, &[path], made)
        .await
        .map_err(|lines| tenant_files::told(&lines))?;
    let app = App::build(&config, parts).await?;
    let stop = CancellationToken::new();
    let router = tokio::spawn(app.router().run(app.version, stop.clone()));

    let events = sample_events(&config)?;
    output::line(format!("\nSending {} events of tenant acme\n", events.len()));
    app.store.log.append(events.clone()).await?;
    let expected = report::expected(&app, &events);
    let deliveries = watch::until_settled(&app.store, &expected, LONGEST).await?;
    stop.cancel();
    let _ = router.await;

    let verified = receivers.verified();
    artifacts::write(&folder, &receivers)?;
    let complete = report::print(&expected, &deliveries, &verified, &folder, began.elapsed());
    if complete { Ok(()) } else { Err(Failure::No) }
}

fn folder(args: &Args) -> Result<PathBuf, Failure> {
    match &args.keep {
        Some(dir) => {
            let used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
            if used {
                return Err(Failure::Because(format!(
                    "{} is not empty; name a new folder with --keep",
                    dir.display()
                )));
            }
            std::fs::create_dir_all(dir)
                .with_context(|| format!("{} cannot be made", dir.display()))?;
            Ok(dir.clone())
        }
        None => Ok(tempfile::Builder::new()
            .prefix("fanfare-demo-")
            .tempdir()
            .context("a temporary folder cannot be made")?
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
                .map_err(|refusal| Failure::Because(refusal.to_string()))
        })
        .collect()
}
