//! `fanfare events`: lists or follows events, or shows one with its deliveries.

use clap::Args as ClapArgs;
use fanfare_store::StateKind;
use http::Method;
use serde_json::Value;

use super::options::{PageArgs, Target, Window};
use super::remote::{ApiRequest, Exact};
use super::{CommandResult, deliveries, follow, output, show};

/// Options.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:
  fanfare events --tenant acme
  fanfare events --tenant acme evt_07review
  fanfare events --tenant acme --type 'kyc.**' --state dead --json
  fanfare events --tenant acme --where data.session_id=7f6c2a54
  fanfare events --tenant acme --follow --server https://fanfare.example
  fanfare events --rejected",
    mut_arg("since", |arg| arg.conflicts_with_all(["id", "rejected", "follow"])),
    mut_arg("until", |arg| arg.conflicts_with_all(["id", "rejected", "follow"]))
)]
pub(super) struct Args {
    /// Show this event, its deliveries, and their attempts
    id: Option<String>,
    /// Tenant id; optional with --server if the key belongs to one tenant
    #[arg(long, env = "FANFARE_TENANT", required_unless_present_any = ["rejected", "server"])]
    pub(super) tenant: Option<String>,
    /// Only events of these types and patterns, separated by commas
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) event_type: Option<String>,
    /// Only events of this environment
    #[arg(
        long,
        value_parser = ["live", "test", "all"],
        default_value = "all",
        conflicts_with_all = ["id", "rejected"]
    )]
    pub(super) environment: String,
    /// Only events in this state, or with a delivery in it
    #[arg(
        long,
        value_name = "STATE",
        value_parser = ["pending", "unrouted", "routed", "delivered", "waiting", "suppressed", "dead"],
        conflicts_with_all = ["id", "rejected", "follow"]
    )]
    state: Option<String>,
    /// Only events with a delivery to this destination
    #[arg(long, value_name = "DESTINATION", conflicts_with_all = ["id", "rejected", "follow"])]
    destination: Option<String>,
    /// Only events with this value at an indexed path; repeat it for several
    #[arg(
        long = "where",
        value_name = "PATH=VALUE",
        value_parser = path_value,
        conflicts_with_all = ["id", "rejected", "follow"]
    )]
    matches: Vec<(String, String)>,
    /// List the oldest events first
    #[arg(long, conflicts_with_all = ["id", "rejected", "follow"])]
    oldest: bool,
    #[command(flatten)]
    window: Window,
    /// List entries of the stream that are not valid events, with the reasons
    #[arg(long, conflicts_with_all = ["id", "event_type"])]
    rejected: bool,
    /// Print events as they arrive, oldest first, one JSON object per line, until interrupted
    #[arg(long, conflicts_with_all = ["id", "rejected", "cursor"])]
    follow: bool,
    /// With --follow: start after this cursor instead of at the oldest event
    #[arg(long, value_name = "CURSOR", requires = "follow")]
    pub(super) after: Option<String>,
    /// With --follow: only events that were routed to this destination and not delivered to it
    #[arg(long, value_name = "DESTINATION", requires = "follow")]
    pub(super) undelivered_to: Option<String>,
    #[command(flatten)]
    pub(super) page: PageArgs,
    #[command(flatten)]
    pub(super) target: Target,
}

impl Args {
    fn request(&self, path: &[&str]) -> ApiRequest {
        let tenant = self.tenant.as_deref().unwrap_or("me");
        ApiRequest::new(Method::GET, &[&["tenants", tenant], path].concat())
    }
}

/// Parses `data.session_id=7f6c2a54`.
fn path_value(text: &str) -> Result<(String, String), &'static str> {
    let (path, value) = text.split_once('=').ok_or("write PATH=VALUE, as data.user_id=u7")?;
    Ok((path.to_owned(), value.to_owned()))
}

pub(super) async fn run(args: Args) -> CommandResult {
    if args.follow {
        return follow::run(&args).await;
    }
    if args.rejected {
        return rejected(&args).await;
    }
    match &args.id {
        Some(id) => one(&args, id).await,
        None => list(&args).await,
    }
}

async fn list(args: &Args) -> CommandResult {
    let (from, to) = args.window.bounds();
    let mut request = args
        .request(&["events"])
        .query("type", args.event_type.as_ref())
        .query("state", args.state.as_ref())
        .query("destination", args.destination.as_ref())
        .query("order", args.oldest.then_some("oldest"))
        .query("environment", Some(&args.environment))
        .query("from_ms", from)
        .query("to_ms", to)
        .page(&args.page);
    for (path, value) in &args.matches {
        request = request.query(format!("match[{path}]"), Some(value));
    }
    let page = args.target.data(request).await?;
    if args.target.json {
        output::json(&page);
        return Ok(());
    }
    let mut table = output::table(&["RECEIVED", "EVENT", "TYPE", "STATE", "DELIVERIES"]);
    for event in page["data"].as_array().into_iter().flatten() {
        table.add_row([
            show::time(&event["received_ms"]),
            show::word(&event["id"]),
            show::event_type(event),
            show::word(&event["state"]),
            counts(&event["deliveries"]),
        ]);
    }
    output::print_table(&table);
    show::next_page(&page);
    Ok(())
}

/// The number of deliveries in each state: `2 delivered, 1 dead`.
fn counts(deliveries: &Value) -> String {
    let count = |state: StateKind| match deliveries[state.as_str()].as_u64() {
        None | Some(0) => None,
        Some(count) => Some(format!("{count} {state}")),
    };
    let counts = StateKind::ALL.into_iter().filter_map(count);
    counts.collect::<Vec<_>>().join(", ")
}

async fn one(args: &Args, id: &str) -> CommandResult {
    let Exact { data: record, json } = args.target.exact(args.request(&["events", id])).await?;
    if args.target.json {
        output::json(&json);
        return Ok(());
    }
    let event = &record["event"];
    let test = if record["environment"] == "test" { " (test)" } else { "" };
    let [id, event_type] = ["id", "type"].map(|field| show::word(&event[field]));
    output::line(format!("{}  {event_type}{test}", output::bold(&id)));
    output::line(format!("received  {}", show::time(&record["received_ms"])));
    let created = event["created"].as_i64().unwrap_or_default();
    output::line(format!("created   {}", output::time(created.saturating_mul(1000))));
    output::line(format!("state     {}", show::word(&record["state"])));
    output::line(format!("body      {}", json["event"]));
    for delivery in record["deliveries"].as_array().into_iter().flatten() {
        output::line("");
        deliveries::print(delivery);
    }
    Ok(())
}

async fn rejected(args: &Args) -> CommandResult {
    let request = ApiRequest::new(Method::GET, &["rejected"]).page(&args.page);
    let columns = [
        ("AT", "at_ms"),
        ("ENTRY", "entry"),
        ("TENANT", "tenant"),
        ("CODE", "code"),
        ("REASON", "reason"),
    ];
    show::list(args.target.json, &args.target.data(request).await?, &columns)
}
