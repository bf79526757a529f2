//! `fanfare backup` and `fanfare restore`: copies of the embedded store.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::settings::Settings;
use super::{Done, Failure, output};
use crate::app;
use fanfare_store::embedded::{self, Copied, InTheWay};

/// Options of `backup`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare backup /backups/fanfare-2026-11-23.db
  fanfare backup --store /var/lib/fanfare --json /backups/fanfare.db

One file that holds the store as it is at one moment: events, what waits, tenants. `serve` goes on
meanwhile. The copy is checked from end to end before it gets its name. Keys that are not in the
store (settings, environment) are not in it either.")]
pub(super) struct Args {
    /// The file to write; it must not be there
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Options of `restore`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare restore /backups/fanfare-2026-11-23.db --store /var/lib/fanfare-new
  fanfare restore /backups/fanfare-2026-11-23.db --store /var/lib/fanfare --replace

The backup is checked first, and brought up to this version's schema. No router may serve from the
folder. What was delivered after the backup waits again in it, so receivers get it a second time,
with the same ids.")]
pub(super) struct RestoreArgs {
    /// What `fanfare backup` wrote
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Set aside the store that is there, as fanfare.db.replaced
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Done {
    let dir = folder(
        &args.settings,
        "a Redis store is backed up by Redis's own means: copy the file that `redis-cli BGSAVE` \
         writes (`redis-cli CONFIG GET dir dbfilename`), or the folder `appendonlydir`, or keep a \
         replica; `fanfare backup` is for the embedded store",
    )?;
    if !dir.is_dir() {
        return Err(Failure::Unreachable(anyhow::anyhow!(
            "there is no store at {}; name another with --store",
            dir.display()
        )));
    }
    let to = args.to.clone();
    let from = dir.clone();
    let copied = blocking(move |progress| embedded::backup(&from, &to, progress)).await?;
    report(copied, &args.to, "backed up to", args.json);
    if dir.join(app::OWN_KEY).is_file() {
        output::note(format!(
            "The secrets in it are encrypted, and the key is not in it: keep a copy of {} too, apart \
             from the backup.",
            dir.join(app::OWN_KEY).display()
        ));
    }
    Ok(())
}

pub(super) async fn run_restore(args: RestoreArgs) -> Done {
    let dir = folder(
        &args.settings,
        "a Redis store is restored by Redis's own means: stop the server, put dump.rdb or \
         `appendonlydir` into its folder, start it; `fanfare restore` is for the embedded store",
    )?;
    let there = if args.replace { InTheWay::SetAside } else { InTheWay::Refuse };
    let (from, to) = (args.from.clone(), dir.clone());
    let copied = blocking(move |progress| embedded::restore(&from, &to, there, progress)).await?;
    report(copied, &dir, "restored to", args.json);
    if !dir.join(app::OWN_KEY).is_file() {
        output::note(format!(
            "If its secrets are encrypted, put the key that it had at {}, or give it as \
             FANFARE_MASTER_KEY.",
            dir.join(app::OWN_KEY).display()
        ));
    }
    Ok(())
}

fn folder(settings: &Settings, redis: &str) -> Result<PathBuf, Failure> {
    let config = settings.load()?;
    if app::is_redis(&config.store) {
        return Err(Failure::Because(redis.to_owned()));
    }
    Ok(config.store.into())
}

/// Runs a copy on a thread that may block, with a bar on a terminal.
async fn blocking(
    work: impl FnOnce(embedded::Progress<'_>) -> fanfare_store::Result<Copied> + Send + 'static,
) -> Result<Copied, Failure> {
    let copying = tokio::task::spawn_blocking(move || {
        let bar = bar();
        let copied = work(&|done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        copied
    });
    let copied = copying.await.map_err(|_| anyhow::anyhow!("the copy was broken off"))?;
    copied.map_err(|error| match error {
        // The answer is no, and the message says what to do.
        fanfare_store::StoreError::Held(why) | fanfare_store::StoreError::Newer(why) => {
            Failure::Because(why)
        }
        error @ fanfare_store::StoreError::Corrupt(_) => Failure::Because(error.to_string()),
        other => other.into(),
    })
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
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
        "{word} {}: {events} events, {waiting} deliveries waiting, {}; checked, and whole",
        place.display(),
        HumanBytes(bytes)
    ));
}
