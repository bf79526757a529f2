//! `fanfare suppressions`: destinations and addresses that Fanfare does not send to, and what was
//! kept back for them.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::Map;

use super::options::{PageArgs, TenantTarget, Window};
use super::{CommandResult, output, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare suppressions list --tenant acme
  fanfare suppressions lift --tenant acme desk~4f2a90 --replay

A suppression is a disabled destination, or one address of a destination that was disabled because \
it bounced. Nothing is sent there until the suppression is lifted. Its deliveries are kept.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List suppressions, the reasons, and how many deliveries were kept
    #[command(after_help = "Example:\n  fanfare suppressions list --tenant acme")]
    List(List),
    /// Show a suppression
    #[command(after_help = "Example:\n  fanfare suppressions get --tenant acme desk~4f2a90")]
    Get(One),
    /// Lift a suppression once its cause is repaired, and send there again
    #[command(
        after_help = "Example:\n  fanfare suppressions lift --tenant acme desk~4f2a90 --replay"
    )]
    Lift(Lift),
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
    /// Suppression id, as `fanfare suppressions list` shows it
    id: String,
    #[command(flatten)]
    at: TenantTarget,
}

#[derive(ClapArgs)]
#[command(
    mut_arg("since", |arg| arg.requires("replay")),
    mut_arg("until", |arg| arg.requires("replay"))
)]
struct Lift {
    #[command(flatten)]
    one: One,
    /// Also send the deliveries that were kept, oldest first
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    window: Window,
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(List { page, at }) => {
            let request = at.request(Method::GET, ["suppressions"]).page(&page);
            let columns = [
                ("SUPPRESSION", "id"),
                ("TO", "to"),
                ("REASON", "reason"),
                ("SINCE", "since_ms"),
                ("KEPT", "kept"),
            ];
            show::list(at.json(), &at.target.data(request).await?, &columns)
        }
        Command::Get(One { id, at }) => show::one(at.json(), &at.get(["suppressions", &id]).await?),
        Command::Lift(args) => lift(args).await,
    }
}

async fn lift(args: Lift) -> CommandResult {
    let mut body = Map::new();
    body.insert("replay".to_owned(), args.replay.into());
    args.window.add_to(&mut body);
    let One { id, at } = &args.one;
    let request = at.request(Method::POST, ["suppressions", id, "lift"]).body(body);
    let data = at.target.data(request).await?;
    if at.json() {
        output::json(&data);
        return Ok(());
    }
    output::line(format!("{id}: lifted"));
    if data["replay"].is_object() {
        show::replayed(&data["replay"]);
    }
    Ok(())
}
