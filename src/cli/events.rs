//! `fanfare events`: what came in, and the whole path of one.

use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value;

use super::remote::{Api, Ask, Target, Use};
use super::{Done, deliveries, follow, output, replay, show};
use crate::agenda::Clock;

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
    /// Only live or only test events
    #[arg(long, value_parser = ["live", "test"], conflicts_with_all = ["id", "rejected", "follow"])]
    environment: Option<String>,
    /// Only those received since this long ago (2h, 3d) or this time (RFC 3339)
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["id", "rejected", "follow"])]
    since: Option<String>,
    /// Only those received before this long ago or this time
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["id", "rejected", "follow"])]
    until: Option<String>,
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

impl Args {
    fn ask(&self, rest: &[&str]) -> Ask {
        let tenant = self.tenant.as_deref().unwrap_or("me");
        Ask::of(Method::GET, &[&["tenants", tenant], rest].concat())
    }

    fn page(&self, ask: Ask) -> Ask {
        ask.with("limit", Some(self.limit)).with("cursor", self.cursor.as_ref())
    }
}

pub(super) async fn run(args: Args) -> Done {
    if args.follow {
        return follow::follow(&args).await;
    }
    let api = Api::open(&args.target, Use::Plain).await?;
    if args.rejected {
        return rejected(&api, &args).await;
    }
    match &args.id {
        Some(id) => show(&api, &args, id).await,
        None => list(&api, &args).await,
    }
}

async fn list(api: &Api, args: &Args) -> Done {
    let now = Clock::System.now_ms();
    let time = |text: &Option<String>| text.as_deref().map(|t| replay::when(t, now)).transpose();
    let ask = args
        .page(args.ask(&["events"]))
        .with("type", args.kind.as_ref())
        .with("environment", args.environment.as_ref())
        .with("from_ms", time(&args.since)?)
        .with("to_ms", time(&args.until)?);
    let page = api.data(ask).await?;
    if args.target.json {
        output::json(&page);
        return Ok(());
    }
    let mut table =
        output::table(&["RECEIVED", "EVENT", "TYPE", "STATE", "OK", "WAIT", "SUPPR", "DEAD"]);
    for event in page["data"].as_array().into_iter().flatten() {
        let counts = &event["deliveries"];
        table.add_row([
            show::time(&event["received_ms"]),
            show::word(&event["id"]),
            of(event),
            show::word(&event["state"]),
            counts["delivered"].to_string(),
            counts["waiting"].to_string(),
            counts["suppressed"].to_string(),
            counts["dead"].to_string(),
        ]);
    }
    output::print_table(&table);
    more(page["next_cursor"].as_str());
    Ok(())
}

/// The type of an event or a delivery, marked when it is of a test event.
pub(super) fn of(one: &Value) -> String {
    let kind = show::word(&one["type"]);
    if one["environment"] == "test" { format!("{kind} (test)") } else { kind }
}

/// How to see the page after.
pub(super) fn more(next: Option<&str>) {
    if let Some(next) = next {
        output::note(output::dim(&format!("more: --cursor {next}")));
    }
}

async fn show(api: &Api, args: &Args, id: &str) -> Done {
    let record = api.data(args.ask(&["events", id])).await?;
    if args.target.json {
        output::json(&record);
        return Ok(());
    }
    let event = &record["event"];
    let mut kind = show::word(&event["type"]);
    if record["environment"] == "test" {
        kind += " (test)";
    }
    output::line(format!("{}  {kind}", output::bold(&show::word(&event["id"]))));
    output::line(format!("received  {}", show::time(&record["received_ms"])));
    let created = event["created"].as_i64().unwrap_or_default();
    output::line(format!("created   {}", output::time(created.saturating_mul(1000))));
    output::line(format!("state     {}", show::word(&record["state"])));
    output::line(format!("body      {event}"));
    for delivery in record["deliveries"].as_array().into_iter().flatten() {
        output::line("");
        deliveries::print(delivery);
    }
    Ok(())
}

async fn rejected(api: &Api, args: &Args) -> Done {
    let data = api.data(args.page(Ask::of(Method::GET, &["rejected"]))).await?;
    let columns = [
        ("AT", "at_ms"),
        ("ENTRY", "entry"),
        ("TENANT", "tenant"),
        ("CODE", "code"),
        ("REASON", "reason"),
    ];
    show::list(args.target.json, &data, &columns)
}
