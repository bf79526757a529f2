//! `fanfare destinations`: the places of a tenant that can be notified.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::remote::{Api, Of, Page, Use};
use super::{Done, Failure, input, mailbox, output, replay, show};
use crate::agenda::Clock;
use crate::config::Period;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare destinations list --tenant acme
  fanfare destinations create --tenant acme backoffice --channel webhook url=https://hooks.acme.example/kyc
  fanfare destinations test --tenant acme backoffice
  fanfare destinations pause --tenant acme backoffice

Settings are those of tenant files. KEY=VALUE: a value that is JSON is that, any other is text.")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists a tenant's destinations with what waits for each
    #[command(after_help = "Example:\n  fanfare destinations list --tenant acme")]
    List(List),
    /// Shows one with its settings; secrets are masked
    #[command(after_help = "Example:\n  fanfare destinations get --tenant acme backoffice")]
    Get(One),
    /// Makes one; a webhook without a secret gets one, which is shown this once
    #[command(
        after_help = "Example:\n  fanfare destinations create --tenant acme backoffice --channel webhook url=https://hooks.acme.example/kyc"
    )]
    Create(Whole),
    /// Makes one, or replaces all of its settings
    #[command(
        after_help = "Example:\n  fanfare destinations put --tenant acme desk --channel email 'to=[\"desk@acme.example\"]'"
    )]
    Put(Whole),
    /// Changes some of its settings; null takes one away
    #[command(
        after_help = "Example:\n  fanfare destinations update --tenant acme backoffice rate=5/s timeout=null"
    )]
    Update(Update),
    /// Removes one, also from the routes; what waits for it is suppressed
    #[command(after_help = "Example:\n  fanfare destinations delete --tenant acme backoffice")]
    Delete(One),
    /// Replaces a webhook's secret; the old one signs beside it for a while
    #[command(
        after_help = "Example:\n  fanfare destinations rotate-secret --tenant acme backoffice --overlap 1h"
    )]
    RotateSecret(Rotate),
    /// Sends one event now, and tells what the receiver answered
    #[command(after_help = "Example:\n  fanfare destinations test --tenant acme backoffice")]
    Test(Test),
    /// Sends nothing, keeps everything
    #[command(after_help = "Example:\n  fanfare destinations pause --tenant acme backoffice")]
    Pause(One),
    /// Sends again, beginning with what was kept
    #[command(after_help = "Example:\n  fanfare destinations resume --tenant acme backoffice")]
    Resume(One),
    /// After a destination was mended: sends again; what was missed is sent by `recover`
    #[command(after_help = "Example:\n  fanfare destinations enable --tenant acme backoffice")]
    Enable(One),
    /// Enables one, and sends what it missed, oldest first
    #[command(
        after_help = "Example:\n  fanfare destinations recover --tenant acme backoffice --since 2h"
    )]
    Recover(Recover),
    /// Reads a mailbox (channel `poll`), oldest first; the same again until they are committed
    #[command(
        after_help = "Example:\n  fanfare destinations messages --tenant acme inbox --wait 30"
    )]
    Messages(mailbox::Messages),
    /// Commits what was read of a mailbox
    #[command(after_help = "Example:\n  fanfare destinations commit --tenant acme inbox 17")]
    Commit(mailbox::Commit),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    of: Of,
}

#[derive(ClapArgs)]
pub(super) struct One {
    /// The destination's id
    pub(super) destination: String,
    #[command(flatten)]
    pub(super) of: Of,
}

#[derive(ClapArgs)]
struct Whole {
    /// webhook, email, slack or poll
    #[arg(long)]
    channel: String,
    #[command(flatten)]
    update: Update,
}

#[derive(ClapArgs)]
struct Update {
    #[command(flatten)]
    one: One,
    /// Settings, as in tenant files
    #[arg(value_name = "KEY=VALUE", value_parser = input::setting)]
    settings: Vec<(String, Value)>,
    /// Settings as a JSON object; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(ClapArgs)]
struct Rotate {
    #[command(flatten)]
    one: One,
    /// How long the old secret signs as well [default: 24h]
    #[arg(long, value_name = "TIME")]
    overlap: Option<Period>,
    /// A file with the new secret, - is standard input; made when left out
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
struct Test {
    #[command(flatten)]
    one: One,
    /// The event's type [default: fanfare.test]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// The event's data, a JSON file; - is standard input
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

#[derive(ClapArgs)]
struct Recover {
    #[command(flatten)]
    one: One,
    /// Only events received since this long ago (2h, 3d) or this time (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only events received before this long ago or this time
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::List(args) => list(args).await,
        What::Get(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            let data =
                api.data(one.of.ask(Method::GET, ["destinations", &one.destination])).await?;
            show::one(one.of.target.json, &data)
        }
        What::Create(new) => create(new).await,
        What::Put(whole) => put(whole).await,
        What::Update(update) => change(update).await,
        What::Delete(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            api.call(one.of.ask(Method::DELETE, ["destinations", &one.destination])).await?;
            show::done(one.of.target.json, &one.destination, "deleted")
        }
        What::RotateSecret(args) => rotate(args).await,
        What::Test(args) => test(args).await,
        What::Pause(one) => switch(one, "pause", "paused").await,
        What::Resume(one) => switch(one, "resume", "resumed").await,
        What::Enable(one) => switch(one, "enable", "enabled").await,
        What::Recover(args) => recover(args).await,
        What::Messages(args) => mailbox::messages(args).await,
        What::Commit(args) => mailbox::commit(args).await,
    }
}

async fn list(args: List) -> Done {
    let api = Api::open(&args.of.target, Use::Plain).await?;
    let data = api.data(args.of.ask(Method::GET, ["destinations"]).page(&args.page)).await?;
    let shown = data["data"].as_array().into_iter().flatten();
    let rows: Vec<Value> = shown.flat_map(rows).collect();
    if args.of.target.json {
        output::json(&rows);
        return Ok(());
    }
    let page = json!({"data": rows, "next_cursor": data["next_cursor"]});
    let columns = [
        ("DESTINATION", "id"),
        ("CHANNEL", "channel"),
        ("TO", "to"),
        ("ENVIRONMENT", "environment"),
        ("STATE", "state"),
        ("WAITING", "waiting"),
    ];
    show::list(false, &page, &columns)
}

/// A row a receiver.
fn rows(destination: &Value) -> Vec<Value> {
    let state = state(destination);
    let environment = destination["settings"]["environment"].as_str().unwrap_or("live");
    let row = |lane: &Value| {
        json!({
            "id": lane["id"], "channel": destination["channel"], "to": lane["to"],
            "environment": environment, "state": state, "waiting": lane["waiting"],
        })
    };
    match destination["lanes"].as_array() {
        Some(lanes) => lanes.iter().map(row).collect(),
        None => vec![row(&json!({"id": destination["id"]}))],
    }
}

fn state(destination: &Value) -> String {
    let state = destination["state"].as_str().unwrap_or_default();
    match destination["disabled"]["reason"].as_str() {
        Some(reason) => format!("{state} ({reason})"),
        None => state.to_owned(),
    }
}

async fn create(new: Whole) -> Done {
    let Whole { channel, update: Update { one, settings, file } } = new;
    let settings = input::settings(file.as_deref(), &settings)?;
    let body = json!({"id": one.destination, "channel": channel, "settings": settings});
    let api = Api::open(&one.of.target, Use::Addresses).await?;
    let data = api.data(one.of.ask(Method::POST, ["destinations"]).body(body)).await?;
    show::once(one.of.target.json, &one.destination, "created", &data)
}

async fn put(whole: Whole) -> Done {
    let Whole { channel, update: Update { one, settings, file } } = whole;
    let settings = input::settings(file.as_deref(), &settings)?;
    let api = Api::open(&one.of.target, Use::Addresses).await?;
    let ask = one.of.ask(Method::PUT, ["destinations", &one.destination]);
    let data = api.data(ask.body(json!({"channel": channel, "settings": settings}))).await?;
    show::once(one.of.target.json, &one.destination, "put", &data)
}

async fn change(update: Update) -> Done {
    let Update { one, settings, file } = update;
    let settings = input::settings(file.as_deref(), &settings)?;
    let api = Api::open(&one.of.target, Use::Addresses).await?;
    let ask = one.of.ask(Method::PATCH, ["destinations", &one.destination]);
    let data = api.data(ask.body(json!({"settings": settings}))).await?;
    show::once(one.of.target.json, &one.destination, "changed", &data)
}

async fn rotate(args: Rotate) -> Done {
    let mut body = Map::new();
    if let Some(Period(overlap)) = args.overlap {
        body.insert("overlap_seconds".to_owned(), json!(overlap.as_secs()));
    }
    if let Some(path) = &args.secret_file {
        body.insert("secret".to_owned(), json!(input::text(path)?.trim()));
    }
    let One { destination, of } = &args.one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let ask = of.ask(Method::POST, ["destinations", destination, "rotate-secret"]);
    let data = api.data(ask.body(body.into())).await?;
    show::once(of.target.json, destination, "has a new secret", &data)
}

async fn test(args: Test) -> Done {
    let mut body = Map::new();
    if let Some(kind) = &args.kind {
        body.insert("type".to_owned(), json!(kind));
    }
    if let Some(path) = &args.data {
        body.insert("data".to_owned(), input::json(path)?);
    }
    let One { destination, of } = &args.one;
    let api = Api::open(&of.target, Use::Addresses).await?;
    let ask = of.ask(Method::POST, ["destinations", destination, "test"]);
    let data = api.data(ask.body(body.into())).await?;
    show::one(of.target.json, &data)?;
    if data["ok"] == json!(true) { Ok(()) } else { Err(Failure::No) }
}

async fn switch(one: One, action: &str, word: &str) -> Done {
    let One { destination, of } = &one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let before = api.call(of.ask(Method::GET, ["destinations", destination])).await?;
    let after = api.call(of.ask(Method::POST, ["destinations", destination, action])).await?;
    // Its tag is made of all that it is.
    let changed = before.tag != after.tag;
    if of.target.json {
        output::json(&json!({"destination": destination, "changed": changed}));
    } else {
        let already = if changed { "" } else { " already" };
        output::line(format!("{destination}: {word}{already}"));
    }
    Ok(())
}

async fn recover(args: Recover) -> Done {
    let now = Clock::System.now_ms();
    let mut body = Map::new();
    for (name, time) in [("from_ms", &args.since), ("to_ms", &args.until)] {
        if let Some(time) = time {
            body.insert(name.to_owned(), json!(replay::when(time, now)?));
        }
    }
    let One { destination, of } = &args.one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let ask = of.ask(Method::POST, ["destinations", destination, "recover"]);
    let data = api.data(ask.body(body.into())).await?;
    show::one(of.target.json, &data)
}
