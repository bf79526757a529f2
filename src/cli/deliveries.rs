//! `fanfare deliveries`: what went where, what waits, what was given up.

use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value;

use super::remote::{Api, Of, Use};
use super::{Done, events, output, replay, show};
use crate::agenda::Clock;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare deliveries --tenant acme
  fanfare deliveries --tenant acme --state dead --destination backoffice
  fanfare deliveries --tenant acme --error http_500 --since 2h
  fanfare deliveries --tenant acme dlv_evt_07review.support")]
pub(super) struct Args {
    /// One delivery: shows its attempts
    id: Option<String>,
    #[command(flatten)]
    of: Of,
    /// Only this state
    #[arg(long, value_parser = ["delivered", "waiting", "suppressed", "dead"])]
    state: Option<String>,
    /// Only this destination
    #[arg(long)]
    destination: Option<String>,
    /// Only this event type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those whose last failure, or reason, is this: `http_500`, `timeout`
    #[arg(long, value_name = "CODE")]
    error: Option<String>,
    /// Only of live or only of test events
    #[arg(long, value_parser = ["live", "test"])]
    environment: Option<String>,
    /// Only events received since this long ago (2h, 3d) or this time (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only events received before this long ago or this time
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

pub(super) async fn run(args: Args) -> Done {
    let api = Api::open(&args.of.target, Use::Plain).await?;
    match &args.id {
        Some(id) => one(&api, &args, id).await,
        None => list(&api, &args).await,
    }
}

async fn one(api: &Api, args: &Args, id: &str) -> Done {
    let delivery = api.data(args.of.ask(Method::GET, ["deliveries", id])).await?;
    if args.of.target.json {
        output::json(&delivery);
    } else {
        print(&delivery);
    }
    Ok(())
}

async fn list(api: &Api, args: &Args) -> Done {
    let now = Clock::System.now_ms();
    let time = |text: &Option<String>| text.as_deref().map(|t| replay::when(t, now)).transpose();
    let ask = args
        .of
        .ask(Method::GET, ["deliveries"])
        .with("status", args.state.as_ref())
        .with("destination", args.destination.as_ref())
        .with("type", args.kind.as_ref())
        .with("error", args.error.as_ref())
        .with("environment", args.environment.as_ref())
        .with("from_ms", time(&args.since)?)
        .with("to_ms", time(&args.until)?)
        .with("limit", Some(args.limit))
        .with("cursor", args.cursor.as_ref());
    let page = api.data(ask).await?;
    if args.of.target.json {
        output::json(&page);
        return Ok(());
    }
    let mut table = output::table(&["DELIVERY", "TYPE", "CHANNEL", "STATE", "TRIES", "LAST"]);
    for delivery in page["data"].as_array().into_iter().flatten() {
        let attempts = delivery["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let last = attempts.last().map(|attempt| show::word(&attempt["code"]));
        table.add_row([
            show::word(&delivery["id"]),
            events::of(delivery),
            show::word(&delivery["channel"]),
            state(delivery),
            attempts.len().to_string(),
            last.unwrap_or_default(),
        ]);
    }
    output::print_table(&table);
    events::more(page["next_cursor"].as_str());
    Ok(())
}

fn state(delivery: &Value) -> String {
    let word = show::word(&delivery["state"]);
    match delivery["reason"].as_str() {
        Some(reason) => format!("{word} ({reason})"),
        None => word,
    }
}

/// One delivery with its attempts.
pub(super) fn print(delivery: &Value) {
    let state = show::word(&delivery["state"]);
    output::line(format!(
        "{}  {}  {}",
        output::bold(&show::word(&delivery["id"])),
        show::word(&delivery["channel"]),
        output::state(&state)
    ));
    if let Some(reason) = delivery["reason"].as_str() {
        output::line(if state == "waiting" {
            format!("  waits ({reason}) until {}", show::time(&delivery["due_ms"]))
        } else {
            format!("  because: {reason}")
        });
    }
    for attempt in delivery["attempts"].as_array().into_iter().flatten() {
        let status = attempt["status"].as_u64().map(|status| format!(" {status}"));
        let mut line = format!(
            "  attempt {} at {}: {}{} in {} ms",
            attempt["number"],
            show::time(&attempt["at_ms"]),
            show::word(&attempt["code"]),
            status.unwrap_or_default(),
            attempt["took_ms"]
        );
        for (name, field) in [("", "message"), ("answer: ", "answer")] {
            let text = show::word(&attempt[field]);
            if !text.is_empty() {
                line = format!("{line}\n    {name}{text}");
            }
        }
        output::line(line);
    }
}
