//! `fanfare send`: sends events from files or standard input, to a server or into a store.

mod input;
mod sink;
mod wait;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use fanfare_contract::{Environment, Json};
use indicatif::ProgressBar;
use serde::Serialize;

use super::options::{ServerArgs, StoreArgs, Target, environment};
use super::remote::{Api, StoreUse};
use super::{CommandResult, Failure, output, progress};
use crate::config::Period;
use crate::event::{Refusal, tenant_id};
use input::Sender;
use sink::Sink;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare send --tenant acme config/samples/kyc.ndjson
  fanfare send --tenant acme --server http://127.0.0.1:8400 events.ndjson
  fanfare send --tenant acme --wait=1m event.json
  echo '{\"type\":\"kyc.session.created\",\"data\":{}}' | fanfare send --tenant acme -

A file contains one event, a JSON array of events, or one event on each line (NDJSON). An event \
that is not valid is reported with its line and stops no other. The exit code is then 1.")]
pub(super) struct Args {
    /// Files to read; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Tenant id
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// The server's ingest key, used if there is no --key
    #[arg(
        long,
        env = "FANFARE_INGEST_KEY",
        value_name = "KEY",
        hide_env_values = true,
        help_heading = super::options::CONNECTION
    )]
    ingest_key: Option<String>,
    /// Key for one event: sending it again with the same key adds nothing
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Environment of the events; with --server, the environment of the key applies
    #[arg(long, default_value = "live", value_parser = environment(), conflicts_with = "server")]
    environment: Environment,
    /// Wait until every delivery has ended, for 30s or this long, and print the outcome; the exit
    /// code is 0 only if everything was delivered
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30s"
    )]
    wait: Option<Period>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was sent and what was refused.
#[derive(Default, Serialize)]
struct Summary {
    accepted: u64,
    duplicates: u64,
    refused: Vec<Refused>,
    /// With `--wait`: every event with its deliveries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Json>,
}

/// An event that was not accepted, and where it is in the input.
#[derive(Serialize)]
struct Refused {
    file: String,
    line: usize,
    code: String,
    message: String,
}

impl Summary {
    fn refuse(&mut self, file: &str, line: usize, refusal: &Refusal) {
        self.refused.push(Refused {
            file: file.to_owned(),
            line,
            code: refusal.code.to_owned(),
            message: refusal.message.clone(),
        });
    }
}

pub(super) async fn run(args: Args) -> CommandResult {
    let tenant: Arc<str> =
        tenant_id(args.tenant.as_bytes()).map_err(|e| Failure::Refused(e.message))?.into();
    let sink = Sink::open(&args, &tenant).await?;
    let mut sender = Sender::new(&args, tenant, sink, bar(&args.files));
    for path in &args.files {
        sender.file(path).await?;
    }
    let (mut summary, sent) = sender.finish().await?;
    let Some(Period(within)) = args.wait else { return report(&summary, &args) };
    let target = Target {
        store: args.store.clone(),
        server: args.server.clone(),
        development: false,
        json: args.json,
    };
    let api = Api::open(&target, StoreUse::Existing).await?;
    let (events, shown) = wait::outcomes(&api, &args.tenant, &sent, within).await?;
    summary.events = shown;
    report(&summary, &args)?;
    wait::report(&events, args.json)
}

fn report(summary: &Summary, args: &Args) -> CommandResult {
    if args.json {
        output::json(summary);
    } else {
        for Refused { file, line, code, message } in &summary.refused {
            output::error(&format!("{file}, line {line}: {message} ({code})"));
        }
        let also = |count: u64, what: &str| match count {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        let duplicates = also(
            summary.duplicates,
            if summary.duplicates == 1 { "duplicate" } else { "duplicates" },
        );
        let refused = also(summary.refused.len() as u64, "refused");
        output::line(format!("{} sent{duplicates}{refused}", summary.accepted));
    }
    if summary.refused.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

fn bar(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().map(|path| std::fs::metadata(path).map(|meta| meta.len()));
    let total = sizes.sum::<Result<u64, _>>();
    let bar = match total {
        Ok(total) => progress::bar(total, "{bar:30} {bytes}/{total_bytes} {msg} {eta}"),
        Err(_) => progress::spinner(),
    };
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}
