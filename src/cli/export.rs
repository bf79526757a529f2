//! `fanfare export`: exports all data of a tenant as JSON lines.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use super::options::{ServerArgs, StoreArgs};
use super::remote::{Api, ApiRequest};
use super::{CommandResult, Failure, output, tenant_files};
use crate::agenda::Clock;
use crate::ops::{self, Export};
use crate::tenant::DestinationSpec;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare export --tenant acme --out acme.ndjson
  fanfare export --tenant acme | jq -c 'select(.kind == \"event\") | .event'

Each line is a JSON object. Its `kind` is tenant, destination, route, template, key, entry (of the \
stream), event (with its deliveries and attempts), rejected, or change (of the audit trail). The \
last line has the kind `end` and the number of lines of each kind. Secrets are masked.")]
pub(super) struct Args {
    /// Tenant id
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// File to write, which must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args) -> CommandResult {
    if let Some(api) = args.server.api()? {
        return from_server(&api, args).await;
    }
    let (config, store) = args.store.open_existing().await?;
    let channels = tenant_files::offline_channels(&config)?;
    let masked = |one: &DestinationSpec| {
        let channel = channels.get(&one.channel);
        channel.map(|channel| channel.channel.masked(&one.fields)).unwrap_or_default()
    };
    let now_ms = Clock::System.now_ms();
    let export = Export { tenant: &args.tenant, environment: None, masked: &masked, now_ms };
    let (out, mut lines) = mpsc::channel::<String>(ops::LINES_AHEAD);
    let mut file = open(args.out)?;
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(line) = lines.blocking_recv() {
            writeln!(file, "{line}")?;
        }
        file.flush()
    });
    let exported = ops::export(&store, &export, &out).await;
    drop(out);
    match writing.await.context("cannot write the export")? {
        // A reader that closed the pipe, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written.context("cannot write the export")?,
    }
    Ok(exported?)
}

async fn from_server(api: &Api, args: Args) -> CommandResult {
    let request = ApiRequest::new(Method::GET, &["tenants", &args.tenant, "export"]);
    let mut file = open(args.out)?;
    let mut last_line = LastLine::default();
    let mut write = |piece: &[u8]| {
        last_line.push(piece);
        file.write_all(piece).inspect_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                std::process::exit(0);
            }
        })
    };
    api.download(request, &mut write).await?;
    file.flush().context("cannot write the export")?;
    if last_line.kind().as_deref() == Some("end") {
        return Ok(());
    }
    Err(Failure::unreachable("the export is incomplete: its last line is missing; run it again"))
}

/// The last line of a stream of lines, which comes in pieces.
#[derive(Default)]
struct LastLine(Vec<u8>);

impl LastLine {
    fn push(&mut self, piece: &[u8]) {
        if self.0.ends_with(b"\n") {
            self.0.clear();
        }
        let before_last_byte = &piece[..piece.len().saturating_sub(1)];
        match before_last_byte.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                self.0.clear();
                self.0.extend_from_slice(&piece[end + 1..]);
            }
            None => self.0.extend_from_slice(piece),
        }
    }

    fn kind(&self) -> Option<String> {
        let line: Value = serde_json::from_slice(&self.0).ok()?;
        line["kind"].as_str().map(str::to_owned)
    }
}

/// Creates the file, or opens standard output.
fn open(path: Option<PathBuf>) -> Result<Box<dyn Write + Send>, Failure> {
    let Some(path) = path else { return Ok(Box::new(output::json_writer())) };
    // The export contains personal data, so only its owner may read it.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = opened.with_context(|| format!("cannot create {}", path.display()))?;
    Ok(Box::new(BufWriter::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_known_wherever_the_pieces_begin() {
        let text = "{\"kind\":\"event\"}\n{\"kind\":\"end\"}\n";
        for size in 1..text.len() {
            let mut last = LastLine::default();
            text.as_bytes().chunks(size).for_each(|piece| last.push(piece));
            assert_eq!(last.kind().as_deref(), Some("end"), "pieces of {size}");
        }
    }
}
