//! `fanfare routes`: manages which events go to which destinations.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use fanfare_contract::Json;
use http::Method;
use serde_json::{Map, Value, json};

use super::confirm::Confirm;
use super::options::{PageArgs, TenantTarget};
use super::{CommandResult, help, input, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare routes create --tenant acme --events 'kyc.**' --to backoffice
  fanfare routes list --tenant acme
  fanfare routes update --tenant acme rte_5d41402abc --to backoffice,support")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// How patterns are written.
const PATTERNS: &str = "In a pattern, * matches one word of an event type, and ** one or more.";

#[derive(Subcommand)]
enum Command {
    /// List a tenant's routes, in their order
    #[command(after_help = "Example:\n  fanfare routes list --tenant acme")]
    List(List),
    /// Show a route
    #[command(after_help = "Example:\n  fanfare routes get --tenant acme rte_5d41402abc")]
    Get(One),
    /// Create a route after the existing ones
    #[command(after_help = help::example(
        "fanfare routes create --tenant acme --events 'kyc.**' --to backoffice",
        PATTERNS
    ))]
    Create(Create),
    /// Change a route; what is not given stays
    #[command(after_help = help::example(
        "fanfare routes update --tenant acme rte_5d41402abc --disabled true",
        PATTERNS
    ))]
    Update(Update),
    /// Count the newest events that a route would match, without creating it
    #[command(after_help = help::example(
        "fanfare routes try --tenant acme --events 'kyc.**' --to backoffice",
        PATTERNS
    ))]
    Try(Try),
    /// Replace all routes of a tenant with those of a file, in their order
    #[command(after_help = help::example(
        "fanfare routes put --tenant acme routes.json",
        "The file has the format that `fanfare routes list --json` prints."
    ))]
    Put(Put),
    /// Delete a route
    #[command(after_help = "Example:\n  fanfare routes delete --tenant acme rte_5d41402abc")]
    Delete(Delete),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: TenantTarget,
}

#[derive(ClapArgs)]
struct One {
    /// Route id, as `fanfare routes list` shows it
    route: String,
    #[command(flatten)]
    at: TenantTarget,
}

/// A route to delete.
#[derive(ClapArgs)]
struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

/// The optional parts of a route.
#[derive(ClapArgs)]
struct Rule {
    /// Name of the route, for people
    #[arg(long)]
    name: Option<String>,
    /// Comma-separated patterns of event types to leave out; empty for none
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    except: Option<Vec<String>>,
    /// Filter on the whole event: an EventBridge event pattern as JSON; null for none
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    when: Option<Value>,
    /// Whether the route is disabled; it then matches nothing
    #[arg(long, value_name = "BOOL")]
    disabled: Option<bool>,
}

fn json_text(text: &str) -> Result<Value, String> {
    fanfare_routing::exact::parse(text).map_err(|error| format!("not valid JSON: {error}"))
}

#[derive(ClapArgs)]
struct Create {
    /// Comma-separated patterns of event types
    #[arg(long, value_name = "PATTERN", required = true, value_delimiter = ',')]
    events: Vec<String>,
    /// Comma-separated destination ids
    #[arg(long, value_name = "DESTINATION", required = true, value_delimiter = ',')]
    to: Vec<String>,
    #[command(flatten)]
    rule: Rule,
    #[command(flatten)]
    at: TenantTarget,
}

#[derive(ClapArgs)]
struct Try {
    #[command(flatten)]
    route: Create,
    /// Number of newest events to try it on [default: 1000]
    #[arg(long, value_name = "N")]
    last: Option<u16>,
}

#[derive(ClapArgs)]
struct Update {
    #[command(flatten)]
    one: One,
    /// Comma-separated patterns of event types, instead of the existing ones
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    events: Vec<String>,
    /// Comma-separated destination ids, instead of the existing ones
    #[arg(long, value_name = "DESTINATION", value_delimiter = ',')]
    to: Vec<String>,
    #[command(flatten)]
    rule: Rule,
}

#[derive(ClapArgs)]
struct Put {
    /// JSON file; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    at: TenantTarget,
}

impl Rule {
    /// Sets what was given in a route of the API.
    fn apply(&self, route: &mut Map<String, Value>, events: &[String], to: &[String]) {
        let mut set = |name: &str, value: Option<Value>| {
            value.map(|value| route.insert(name.to_owned(), value));
        };
        set("name", self.name.as_ref().map(|name| json!(name)));
        let except = |patterns: &Vec<String>| {
            patterns.iter().filter(|pattern| !pattern.is_empty()).cloned().collect()
        };
        set("except", self.except.as_ref().map(except));
        set("when", self.when.clone());
        set("enabled", self.disabled.map(|disabled| json!(!disabled)));
        set("events", (!events.is_empty()).then(|| json!(events)));
        set("to", (!to.is_empty()).then(|| json!(to)));
    }
}

const COLUMNS: [(&str, &str); 7] = [
    ("ROUTE", "id"),
    ("NAME", "name"),
    ("EVENTS", "events"),
    ("EXCEPT", "except"),
    ("WHEN", "when"),
    ("TO", "to"),
    ("ENABLED", "enabled"),
];

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(List { page, at }) => {
            let request = at.request(Method::GET, ["routes"]).page(&page);
            show::list(at.json(), &at.target.data(request).await?, &COLUMNS)
        }
        Command::Get(One { route, at }) => show::one(at.json(), &at.get(["routes", &route]).await?),
        Command::Create(Create { events, to, rule, at }) => {
            let mut route = Map::new();
            rule.apply(&mut route, &events, &to);
            let request = at.request(Method::POST, ["routes"]).body(route);
            let data = at.target.data(request).await?;
            show::changed(at.json(), &show::word(&data["id"]), "created", &data)
        }
        Command::Try(Try { route: Create { events, to, rule, at }, last }) => {
            let mut route = Map::new();
            rule.apply(&mut route, &events, &to);
            let body = json!({"route": route, "last": last});
            let request = at.request(Method::POST, ["route-trials"]).body(body);
            show::one(at.json(), &at.target.data(request).await?)
        }
        Command::Update(args) => update(args).await,
        Command::Put(args) => put(args).await,
        Command::Delete(Delete { one: One { route, at }, confirm }) => {
            confirm.ask(&format!("Delete the route `{route}`?"))?;
            at.target.data(at.request(Method::DELETE, ["routes", &route])).await?;
            show::done(at.json(), &route, "deleted")
        }
    }
}

/// Reads the route, changes it, and writes it unless it has changed meanwhile.
async fn update(args: Update) -> CommandResult {
    let One { route: id, at } = &args.one;
    let api = at.api().await?;
    let current = api.call(at.request(Method::GET, ["routes", id])).await?;
    let mut route = current.data.as_object().cloned().unwrap_or_default();
    route.remove("id");
    args.rule.apply(&mut route, &args.events, &args.to);
    let request = at.request(Method::PUT, ["routes", id]).if_match(current.etag).body(route);
    show::one(at.json(), &api.data(request).await?)
}

async fn put(args: Put) -> CommandResult {
    let Put { file, at } = args;
    let routes = match input::exact(&file)? {
        list @ Json::List(_) => format!("{{\"routes\":{list}}}"),
        whole => whole.to_string(),
    };
    let request = at.request(Method::PUT, ["routes"]).json_text(routes);
    let data = at.target.data(request).await?;
    show::list(at.json(), &data, &COLUMNS)
}
