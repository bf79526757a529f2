//! `fanfare export`: all of a tenant, as lines of JSON.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use http::Method;
use tokio::sync::mpsc;

use super::remote::{Api, Ask, Remote};
use super::settings::Settings;
use super::{Done, Failure, tenant_files};
use crate::agenda::Clock;
use crate::ops::{self, Export};
use crate::tenant::DestinationSpec;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare export --tenant acme --out acme.ndjson
  fanfare export --tenant acme | jq -c 'select(.kind == \"event\") | .event'

One JSON object a line; `kind` says what it is: tenant, destination, route, template, key, entry, event
(with its deliveries and their attempts), rejected, change (of the audit trail), and at the end `end`
with the number of each. Secrets are masked.")]
pub(super) struct Args {
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// The file to write; it must not be there yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn run(args: Args) -> Done {
    if let Some(api) = args.remote.api()? {
        return from_server(&api, args).await;
    }
    let (config, store) = args.settings.open_existing().await?;
    let channels = tenant_files::offline_channels(&config)?;
    let masked = |one: &DestinationSpec| {
        let chosen = channels.get(&one.channel);
        chosen.map(|chosen| chosen.channel.masked(&one.fields)).unwrap_or_default()
    };
    let now_ms = Clock::System.now_ms();
    let export = Export { tenant: &args.tenant, masked: &masked, now_ms };
    let (out, mut lines) = mpsc::channel::<String>(ops::LINES_AHEAD);
    let to = Sink::open(args.out)?;
    let writing = tokio::task::spawn_blocking(move || {
        let mut to = to;
        while let Some(line) = lines.blocking_recv() {
            writeln!(to.file, "{line}")?;
        }
        to.file.flush()
    });
    let exported = ops::export(&store, &export, &out).await;
    drop(out);
    let written = writing.await.map_err(|error| Failure::Unreachable(error.into()))?;
    match written {
        // A reader that went away (`| head`) ends the command quietly.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => return Err(Failure::Unreachable(error.into())),
        Ok(()) => {}
    }
    Ok(exported?)
}

/// As a server tells it. An export that broke off has no `end` line.
async fn from_server(api: &Api, args: Args) -> Done {
    let ask = Ask::of(Method::GET, &["tenants", &args.tenant, "export"]);
    let mut to = Sink::open(args.out)?;
    let mut last_line = Vec::new();
    let mut take = |piece: &[u8]| {
        if last_line.ends_with(b"\n") {
            last_line.clear();
        }
        let kept = match piece[..piece.len().saturating_sub(1)].iter().rposition(|b| *b == b'\n') {
            Some(before) => {
                last_line.clear();
                &piece[before + 1..]
            }
            None => piece,
        };
        last_line.extend_from_slice(kept);
        to.file.write_all(piece)
    };
    api.download(ask, &mut take).await?;
    to.file.flush().map_err(|error| Failure::Unreachable(error.into()))?;
    let last: Option<serde_json::Value> = serde_json::from_slice(&last_line).ok();
    if last.is_some_and(|line| line["kind"] == "end") {
        return Ok(());
    }
    Err(Failure::Unreachable(anyhow::anyhow!("the export broke off: its last line is missing")))
}

/// Where the lines go.
struct Sink {
    file: Box<dyn Write + Send>,
}

impl Sink {
    fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self { file: Box::new(BufWriter::new(io::stdout())) });
        };
        // What is in it is nobody else's business.
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| {
            Failure::Unreachable(anyhow::anyhow!("{} cannot be made: {error}", path.display()))
        })?;
        Ok(Self { file: Box::new(BufWriter::new(file)) })
    }
}
