//! `fanfare backup` and `fanfare restore`: copies the embedded store to a file and back.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use indicatif::HumanBytes;
use serde_json::json;

use super::options::{StoreArgs, no_store};
use super::{CommandResult, Failure, output, progress};
use crate::app;
use fanfare_store::StoreError;
use fanfare_store::embedded::{self, Copied, InTheWay};

/// Options of `backup`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare backup /backups/fanfare-2026-11-23.db
  fanfare backup --store /var/lib/fanfare --json /backups/fanfare.db

Writes one file with the events, queues, and tenants of the store as of one moment, and checks it \
from end to end. Servers continue meanwhile. The master key, settings, and environment variables \
are not part of it.")]
pub(super) struct Args {
    /// File to write, which must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `restore`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare restore /backups/fanfare-2026-11-23.db --store /var/lib/fanfare
  fanfare restore /backups/fanfare-2026-11-23.db --store /var/lib/fanfare \\
    --replace

Checks the backup and migrates it to the schema of this version first. No server may run on the \
folder. Deliveries that were delivered after the backup wait in it again, so receivers get them a \
second time, with the same ids.")]
pub(super) struct RestoreArgs {
    /// Backup written by `fanfare backup`
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Replace an existing store, which is kept as fanfare.db.replaced
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let dir = folder(
        &args.store,
        "`fanfare backup` is for the embedded store; back up Redis itself: copy the file that \
         `redis-cli BGSAVE` writes (see `redis-cli CONFIG GET dir dbfilename`) or its \
         `appendonlydir`, or run a replica",
    )?;
    if !dir.is_dir() {
        return Err(no_store(&dir.display().to_string()));
    }
    let to = args.to.clone();
    let from = dir.clone();
    let copied = blocking(move |progress| embedded::backup(&from, &to, progress)).await?;
    report(copied, &args.to, "backed up to", args.json);
    if dir.join(app::OWN_KEY).is_file() {
        output::note(format!(
            "The backup does not contain the master key, which decrypts its secrets. Keep a copy \
             of {} apart from the backup.",
            dir.join(app::OWN_KEY).display()
        ));
    }
    Ok(())
}

pub(super) async fn run_restore(args: RestoreArgs) -> CommandResult {
    let dir = folder(
        &args.store,
        "`fanfare restore` is for the embedded store; restore Redis itself: stop it, put \
         `dump.rdb` or `appendonlydir` into its folder, and start it",
    )?;
    let there = if args.replace { InTheWay::SetAside } else { InTheWay::Refuse };
    let (from, to) = (args.from.clone(), dir.clone());
    let copied = blocking(move |progress| embedded::restore(&from, &to, there, progress)).await?;
    report(copied, &dir, "restored to", args.json);
    if !dir.join(app::OWN_KEY).is_file() {
        output::note(format!(
            "If the secrets of the backup are encrypted, put its master key at {}, or set \
             FANFARE_MASTER_KEY.",
            dir.join(app::OWN_KEY).display()
        ));
    }
    Ok(())
}

/// The folder of the embedded store. `redis` is the reason to refuse a Redis store.
fn folder(args: &StoreArgs, redis: &str) -> Result<PathBuf, Failure> {
    let config = args.load()?;
    if app::is_redis(&config.store) {
        return Err(Failure::refused(redis));
    }
    Ok(config.store.into())
}

/// Runs a copy on a thread that may block, with a progress bar.
async fn blocking(
    work: impl FnOnce(embedded::Progress<'_>) -> fanfare_store::Result<Copied> + Send + 'static,
) -> Result<Copied, Failure> {
    let copying = tokio::task::spawn_blocking(move || {
        let bar = progress::bar(0, "{bar:30} {bytes}/{total_bytes} {eta}");
        let copied = work(&|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        copied
    });
    let copied = copying.await.context("the copy was interrupted")?;
    copied.map_err(|error| match error {
        StoreError::Held(reason) | StoreError::Newer(reason) => Failure::Refused(reason),
        error @ (StoreError::Corrupt(_) | StoreError::Damaged(_)) => {
            Failure::refused(error.to_string())
        }
        other => other.into(),
    })
}

fn report(copied: Copied, place: &Path, word: &str, as_json: bool) {
    let Copied { bytes, events, waiting, schema } = copied;
    if as_json {
        let place = place.display().to_string();
        output::json(&json!({
            "place": place, "bytes": bytes, "events": events, "waiting": waiting, "schema": schema,
            "checked": true,
        }));
        return;
    }
    output::line(format!(
        "{word} {}: {events} events, {waiting} waiting deliveries, {}; the copy was checked",
        place.display(),
        HumanBytes(bytes)
    ));
}
