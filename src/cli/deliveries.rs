//! `fanfare deliveries`: lists deliveries, or shows one with its attempts.

use clap::Args as ClapArgs;
use fanfare_store::StateKind;
use http::Method;
use serde_json::Value;

use super::options::{PageArgs, TenantTarget, Window, states};
use super::{CommandResult, output, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare deliveries --tenant acme
  fanfare deliveries --tenant acme --state dead --destination backoffice
  fanfare deliveries --tenant acme --error http_500 --since 2h
  fanfare deliveries --tenant acme dlv_evt_07review.support")]
pub(super) struct Args {
    /// Show this delivery and its attempts
    id: Option<String>,
    #[command(flatten)]
    at: TenantTarget,
    /// Only deliveries in this state
    #[arg(long, value_parser = states(&StateKind::ALL))]
    state: Option<StateKind>,
    /// Only deliveries to this destination
    #[arg(long, value_name = "DESTINATION")]
    destination: Option<String>,
    /// Only events of these types and patterns, separated by commas
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only deliveries whose last failure or reason is this, such as `http_500` or `timeout`
    #[arg(long, value_name = "CODE")]
    error: Option<String>,
    /// Only events of this environment
    #[arg(long, value_parser = ["live", "test", "all"], default_value = "all")]
    environment: String,
    /// List the oldest deliveries first
    #[arg(long)]
    oldest: bool,
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    page: PageArgs,
}

pub(super) async fn run(args: Args) -> CommandResult {
    match &args.id {
        Some(id) => one(&args.at, id).await,
        None => list(&args).await,
    }
}

async fn one(at: &TenantTarget, id: &str) -> CommandResult {
    let delivery = at.get(["deliveries", id]).await?;
    if at.json() {
        output::json(&delivery);
    } else {
        print(&delivery);
    }
    Ok(())
}

async fn list(args: &Args) -> CommandResult {
    let (from, to) = args.window.bounds();
    let request = args
        .at
        .request(Method::GET, ["deliveries"])
        .query("state", args.state.map(StateKind::as_str))
        .query("destination", args.destination.as_ref())
        .query("type", args.event_type.as_ref())
        .query("error", args.error.as_ref())
        .query("order", args.oldest.then_some("oldest"))
        .query("environment", Some(&args.environment))
        .query("from_ms", from)
        .query("to_ms", to)
        .page(&args.page);
    let page = args.at.target.data(request).await?;
    if args.at.json() {
        output::json(&page);
        return Ok(());
    }
    let headings = ["DELIVERY", "TYPE", "CHANNEL", "STATE", "ATTEMPTS", "LAST"];
    let mut table = output::table(&headings);
    for delivery in page["data"].as_array().into_iter().flatten() {
        let attempts = delivery["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let last = attempts.last().map(|attempt| show::word(&attempt["code"]));
        table.add_row([
            show::word(&delivery["id"]),
            show::event_type(delivery),
            show::word(&delivery["channel"]),
            state(delivery),
            attempts.len().to_string(),
            last.unwrap_or_default(),
        ]);
    }
    output::print_table(&table);
    show::next_page(&page);
    Ok(())
}

fn state(delivery: &Value) -> String {
    let state = show::word(&delivery["state"]);
    match delivery["reason"].as_str() {
        Some(reason) => format!("{state} ({reason})"),
        None => state,
    }
}

/// Prints one delivery and its attempts.
pub(super) fn print(delivery: &Value) {
    let state = show::word(&delivery["state"]);
    output::line(format!(
        "{}  {}  {}",
        output::bold(&show::word(&delivery["id"])),
        show::word(&delivery["channel"]),
        output::state(&state)
    ));
    if let Some(reason) = delivery["reason"].as_str() {
        let due = show::time(&delivery["due_ms"]);
        let due = if due.is_empty() { due } else { format!(", due {due}") };
        output::line(format!("  reason: {reason}{due}"));
    }
    for attempt in delivery["attempts"].as_array().into_iter().flatten() {
        let at = show::time(&attempt["at_ms"]);
        let outcome = show::attempt(attempt, 4);
        output::line(format!("  attempt {} at {at}: {outcome}", attempt["number"]));
    }
}
