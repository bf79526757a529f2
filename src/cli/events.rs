//! `fanfare events`: what came in, and the whole path of one.

use clap::Args as ClapArgs;
use fanfare_contract::Environment;
use serde_json::json;

use super::remote::Target;
use super::{Done, Failure, deliveries, lookups, output};
use crate::store::{EventQuery, EventRecord, Store};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare events --tenant acme
  fanfare events --tenant acme evt_07review
  fanfare events --tenant acme --type kyc.session.created --limit 100 --json
  fanfare events --tenant acme --follow --server https://fanfare.example
  fanfare events --rejected")]
pub(super) struct Args {
    /// One event: shows its deliveries and their attempts
    pub(super) id: Option<String>,
    /// The tenant; with --server it may be left out, where the key has one
    #[arg(long, env = "FANFARE_TENANT", required_unless_present_any = ["rejected", "server"])]
    pub(super) tenant: Option<String>,
    /// Only this type; with --follow a pattern
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) kind: Option<String>,
    /// Entries that could not be taken as events, with the reasons
    #[arg(long, conflicts_with_all = ["id", "kind"])]
    pub(super) rejected: bool,
    /// Goes on for ever: events as they come, oldest first, as JSON, one a line
    #[arg(long, conflicts_with_all = ["id", "rejected", "cursor"])]
    pub(super) follow: bool,
    /// With --follow: from this cursor on, rather than from the oldest event
    #[arg(long, value_name = "CURSOR", requires = "follow")]
    pub(super) after: Option<String>,
    /// With --follow: only what this destination has not got
    #[arg(long, value_name = "DESTINATION", requires = "follow")]
    pub(super) undelivered_to: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: u16,
    /// Where the page before ended
    #[arg(long)]
    pub(super) cursor: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

pub(super) async fn run(args: Args) -> Done {
    if args.follow {
        return lookups::follow(&args).await;
    }
    if args.target.server.is_some() {
        return lookups::events(&args).await;
    }
    let (_, store) = args.target.settings.open_existing().await?;
    if args.rejected {
        return rejected(&store, &args).await;
    }
    let tenant = args.tenant.clone().unwrap_or_default();
    match &args.id {
        Some(id) => show(&store, &tenant, id, args.target.json).await,
        None => list(&store, tenant, &args).await,
    }
}

async fn list(store: &Store, tenant: String, args: &Args) -> Done {
    let query = EventQuery {
        tenant,
        kind: args.kind.clone(),
        cursor: args.cursor.clone(),
        limit: args.limit.into(),
        ..EventQuery::default()
    };
    let page = store.ledger.events(&query).await?;
    if args.target.json {
        output::json(&page);
        return Ok(());
    }
    let mut table =
        output::table(&["RECEIVED", "EVENT", "TYPE", "STATE", "OK", "WAIT", "SUPPR", "DEAD"]);
    for event in &page.items {
        let state = serde_json::to_value(event.state).unwrap_or_default();
        let counts = event.deliveries;
        table.add_row([
            output::time(event.received_ms),
            event.id.clone(),
            of(&event.kind, event.environment),
            state.as_str().unwrap_or_default().to_owned(),
            counts.delivered.to_string(),
            counts.waiting.to_string(),
            counts.suppressed.to_string(),
            counts.dead.to_string(),
        ]);
    }
    output::print_table(&table);
    more(page.next.as_deref());
    Ok(())
}

/// A type, marked when it is of a test event.
pub(super) fn of(kind: &str, environment: Environment) -> String {
    if environment.is_live() { kind.to_owned() } else { format!("{kind} (test)") }
}

/// How to see the page after.
pub(super) fn more(next: Option<&str>) {
    if let Some(next) = next {
        output::note(output::dim(&format!("more: --cursor {next}")));
    }
}

async fn show(store: &Store, tenant: &str, id: &str, json: bool) -> Done {
    let Some(record) = store.ledger.event(tenant, id).await? else {
        return Err(Failure::Because(format!(
            "tenant {tenant} has no event {id}; it may be past the retention time"
        )));
    };
    if json {
        output::json(&as_json(&record));
        return Ok(());
    }
    let event = &record.event;
    let state = serde_json::to_value(record.state).unwrap_or_default();
    let kind = of(&event.kind, event.environment);
    output::line(format!("{}  {kind}", output::bold(&event.id)));
    output::line(format!("received  {}", output::time(event.received_ms)));
    output::line(format!("created   {}", output::time(event.created * 1000)));
    output::line(format!("state     {}", state.as_str().unwrap_or_default()));
    output::line(format!("body      {}", String::from_utf8_lossy(&event.body)));
    for delivery in &record.deliveries {
        output::line("");
        deliveries::print(delivery);
    }
    Ok(())
}

fn as_json(record: &EventRecord) -> serde_json::Value {
    json!({
        "event": record.event.value(),
        "environment": record.event.environment,
        "received_ms": record.event.received_ms,
        "state": record.state,
        "deliveries": record.deliveries,
    })
}

async fn rejected(store: &Store, args: &Args) -> Done {
    let page = store.ledger.rejected(args.cursor.as_deref(), args.limit.into()).await?;
    if args.target.json {
        output::json(&page);
        return Ok(());
    }
    let mut table = output::table(&["AT", "ENTRY", "TENANT", "CODE", "REASON"]);
    for entry in &page.items {
        table.add_row([
            output::time(entry.at_ms),
            entry.entry.clone(),
            entry.tenant.clone().unwrap_or_default(),
            entry.code.clone(),
            entry.reason.clone(),
        ]);
    }
    output::print_table(&table);
    more(page.next.as_deref());
    Ok(())
}
