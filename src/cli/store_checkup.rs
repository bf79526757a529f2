//! `fanfare check --store` and `fanfare repair`: what is wrong with a store, and putting right what
//! needs no guess.

use std::path::Path;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::options::{StoreArgs, no_store};
use super::{CommandResult, Failure, output};
use crate::agenda::Clock;
use crate::app::{self, Purpose};
use crate::config::Config;
use fanfare_store::{Check, StoreError, Verdict};

/// Checks the store that the settings name.
pub(super) async fn run(config: &Config, json: bool) -> CommandResult {
    check_exists(config)?;
    let checks = match app::open_unsealed(config, Purpose::Tool).await {
        Ok(store) => store.upkeep.checkup(Clock::System.now_ms()).await,
        Err(error @ (StoreError::Away { .. } | StoreError::Address(_))) => return Err(error.into()),
        Err(error @ StoreError::Damaged(_)) => {
            let advice = "stop Fanfare and put back a backup with `fanfare restore`";
            vec![Check::problem("store", format!("{error}; {advice}"))]
        }
        Err(error) => vec![Check::problem("store", error.to_string())],
    };
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Good);
    if json {
        let shown: Vec<Value> = checks.iter().map(shown).collect();
        output::json(&json!({"ok": worst < Verdict::Problem, "checks": shown}));
    } else {
        for Check { name, verdict, found } in &checks {
            output::line(format!("{verdict:<8} {name:<12} {found}"));
        }
    }
    if worst == Verdict::Problem { Err(Failure::Reported) } else { Ok(()) }
}

/// Opening a folder would create a store in it.
fn check_exists(config: &Config) -> CommandResult {
    if app::is_redis(&config.store) || Path::new(&config.store).is_dir() {
        return Ok(());
    }
    Err(no_store(&config.store))
}

fn shown(check: &Check) -> Value {
    json!({"name": check.name, "verdict": check.verdict.word(), "found": check.found})
}

/// Options of `repair`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare repair --store ./fanfare-data
  fanfare repair --store redis://127.0.0.1:6379 --json

Builds damaged indexes again, puts waiting deliveries without a place back into queues and the \
agenda, counts the totals of tenants again, and empties the write-ahead log. It removes no data. \
`fanfare check --store` shows what is wrong before and after. An embedded store must not be served \
meanwhile. If its tables are damaged, put back a backup with `fanfare restore`.")]
pub(super) struct RepairArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn repair(args: &RepairArgs) -> CommandResult {
    let config = args.store.load()?;
    // Of a folder, nothing else may write to it.
    let purpose = if app::is_redis(&config.store) { Purpose::Tool } else { Purpose::Route };
    check_exists(&config)?;
    let store = app::open_unsealed(&config, purpose).await?;
    let done = store.upkeep.repair(Clock::System.now_ms()).await?;
    if args.json {
        output::json(&json!({"done": done}));
    } else if done.is_empty() {
        output::line("nothing had to be repaired");
    } else {
        for line in &done {
            output::line(line);
        }
    }
    Ok(())
}
