//! `fanfare digests`: lists what is collected into digests, and sends a digest early.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;

use super::destinations::One;
use super::options::{PageArgs, TenantTarget};
use super::{CommandResult, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare digests list --tenant acme
  fanfare digests send --tenant acme compliance-daily")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: TenantTarget,
}

#[derive(Subcommand)]
enum Command {
    /// List digests, how many events wait for each, and when it is sent
    #[command(after_help = "Example:\n  fanfare digests list --tenant acme")]
    List(List),
    /// Send a destination's digest now
    #[command(after_help = "Example:\n  fanfare digests send --tenant acme compliance-daily")]
    Send(One),
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(List { page, at }) => {
            let columns = [
                ("DESTINATION", "destination"),
                ("TO", "to"),
                ("NEXT", "next_ms"),
                ("TIME ZONE", "timezone"),
                ("WAITING", "waiting"),
                ("PAUSED", "paused"),
            ];
            let request = at.request(Method::GET, ["digests"]).page(&page);
            show::list(at.json(), &at.target.data(request).await?, &columns)
        }
        Command::Send(One { destination, at }) => {
            let request = at.request(Method::POST, ["digests", &destination, "send"]);
            show::one(at.json(), &at.target.data(request).await?)
        }
    }
}
