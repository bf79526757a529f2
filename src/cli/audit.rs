//! `fanfare audit`: proves that every event is accounted for.

use clap::Args as ClapArgs;
use futures::TryStreamExt as _;

use super::options::{StoreArgs, Window};
use super::{CommandResult, Failure, output};
use crate::agenda::Clock;
use crate::ops;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare audit
  fanfare audit --tenant acme --since 24h --json

Checks for each tenant that received = pending + unrouted + routed, that every delivery of a \
routed event is delivered, suppressed, waiting, or dead, and that every waiting delivery is in a \
queue. Also checks that the log, the ledger, the queues and the agenda of the whole store agree. \
What does not is listed under `(store)`. It works beside running servers. The exit code is 1 if \
there is an exception.")]
pub(super) struct Args {
    /// Only this tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let now = Clock::System.now_ms();
    let (from, to) = args.window.bounds();
    let (from, to) = (from.unwrap_or(0), to.unwrap_or(now + 1));
    let (_, store) = args.store.open_existing().await?;
    let tenants = match args.tenant {
        Some(tenant) => vec![tenant],
        None => store.directory.all().map_ok(|tenant| tenant.id).try_collect().await?,
    };
    let mut audits = Vec::new();
    for tenant in tenants {
        audits.push(ops::audit(&store, &tenant, from, to, now, &|_| {}).await?);
    }
    audits.extend(ops::audit_store(&store, now).await?);
    if args.json {
        output::json(&audits);
    } else {
        print(&audits);
    }
    let exceptions: u64 = audits.iter().map(|audit| audit.exceptions_total).sum();
    if exceptions == 0 { Ok(()) } else { Err(Failure::Reported) }
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
