//! `fanfare audit`: is every event accounted for?

use clap::Args as ClapArgs;

use super::settings::Settings;
use super::{Done, Failure, output, replay};
use crate::agenda::Clock;
use crate::ops;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare audit
  fanfare audit --tenant acme --since 24h --json

Proves received = pending + unrouted + routed, every routed event's deliveries are delivered,
suppressed, waiting or dead, and whatever waits is in a queue. Exit code 1 with any exception.")]
pub(super) struct Args {
    /// Only this tenant; all when left out
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    /// Events received since this long ago (2h, 3d) or this time (RFC 3339); all when left out
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Events received before this long ago or this time
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Done {
    let now = Clock::System.now_ms();
    let from = args.since.as_deref().map_or(Ok(0), |text| replay::when(text, now))?;
    let to = args.until.as_deref().map_or(Ok(now + 1), |text| replay::when(text, now))?;
    let (_, store) = args.settings.open_existing().await?;
    let (_, stored) = store.directory.all().await?;
    let tenants = match args.tenant {
        Some(tenant) => vec![tenant],
        None => stored.into_iter().map(|tenant| tenant.id).collect(),
    };
    let mut audits = Vec::new();
    for tenant in tenants {
        audits.push(ops::audit(&store, &tenant, from, to, now, &|_| {}).await?);
    }
    let clean = audits.iter().all(|audit| audit.exceptions_total == 0);
    if args.json {
        output::json(&audits);
    } else {
        print(&audits);
    }
    if clean { Ok(()) } else { Err(Failure::No) }
}

fn print(audits: &[ops::Audit]) {
    let mut table = output::table(&[
        "TENANT",
        "RECEIVED",
        "PENDING",
        "UNROUTED",
        "DELIVERED",
        "WAITING",
        "SUPPRESSED",
        "DEAD",
        "EXCEPTIONS",
    ]);
    for audit in audits {
        let found = audit.found;
        let numbers = [
            found.received,
            found.pending,
            found.unrouted,
            found.delivered,
            found.waiting,
            found.suppressed,
            found.dead,
            audit.exceptions_total,
        ];
        let cells = numbers.iter().map(ToString::to_string);
        table.add_row(std::iter::once(audit.tenant.clone()).chain(cells));
    }
    output::print_table(&table);
    for audit in audits {
        for exception in &audit.exceptions {
            output::error(&format!("{}: {}: {}", audit.tenant, exception.what, exception.problem));
        }
    }
}
