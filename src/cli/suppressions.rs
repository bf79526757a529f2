//! `fanfare suppressions`: what nothing reaches until somebody mends it, and what was kept back.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, json};

use super::remote::{Api, Of, Page, Use};
use super::{Done, output, replay, show};
use crate::agenda::Clock;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare suppressions list --tenant acme
  fanfare suppressions lift --tenant acme desk~4f2a90 --replay

A destination that was disabled (410, a revoked token, nothing but failures), or one address of it that
bounced again and again.")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists them, with the reason and how much was kept back
    #[command(after_help = "Example:\n  fanfare suppressions list --tenant acme")]
    List(List),
    /// Shows one
    #[command(after_help = "Example:\n  fanfare suppressions get --tenant acme desk~4f2a90")]
    Get(One),
    /// After it was mended: sends there again
    #[command(
        after_help = "Example:\n  fanfare suppressions lift --tenant acme desk~4f2a90 --replay"
    )]
    Lift(Lift),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    of: Of,
}

#[derive(ClapArgs)]
struct One {
    /// Its id, as `fanfare suppressions list` shows it
    id: String,
    #[command(flatten)]
    of: Of,
}

#[derive(ClapArgs)]
struct Lift {
    #[command(flatten)]
    one: One,
    /// Sends what was kept back as well, oldest first
    #[arg(long)]
    replay: bool,
    /// Of that only events received since this long ago (2h, 3d) or this time (RFC 3339)
    #[arg(long, value_name = "WHEN", requires = "replay")]
    since: Option<String>,
    /// Of that only events received before this long ago or this time
    #[arg(long, value_name = "WHEN", requires = "replay")]
    until: Option<String>,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::List(args) => {
            let api = Api::open(&args.of.target, Use::Plain).await?;
            let ask = args.of.ask(Method::GET, ["suppressions"]).page(&args.page);
            let columns = [
                ("SUPPRESSION", "id"),
                ("TO", "to"),
                ("REASON", "reason"),
                ("SINCE", "since_ms"),
                ("KEPT", "kept"),
            ];
            show::list(args.of.target.json, &api.data(ask).await?, &columns)
        }
        What::Get(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            let data = api.data(one.of.ask(Method::GET, ["suppressions", &one.id])).await?;
            show::one(one.of.target.json, &data)
        }
        What::Lift(args) => lift(args).await,
    }
}

async fn lift(args: Lift) -> Done {
    let now = Clock::System.now_ms();
    let mut body = Map::new();
    body.insert("replay".to_owned(), args.replay.into());
    for (name, time) in [("from_ms", &args.since), ("to_ms", &args.until)] {
        if let Some(time) = time {
            body.insert(name.to_owned(), json!(replay::when(time, now)?));
        }
    }
    let One { id, of } = &args.one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let ask = of.ask(Method::POST, ["suppressions", id, "lift"]);
    let data = api.data(ask.body(body.into())).await?;
    if of.target.json {
        output::json(&data);
        return Ok(());
    }
    output::line(format!("{id}: lifted"));
    if let Some(replay) = data["replay"].as_object() {
        output::line(format!("{} replayed, {} left", replay["replayed"], replay["left"]));
    }
    Ok(())
}
