//! `fanfare server`: what an operator wants to know of a running server.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;

use super::options::Target;
use super::remote::ApiRequest;
use super::{CommandResult, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare server status
  fanfare server settings --server https://fanfare.example")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show whether the server is well, what waits, and which receivers are held back
    #[command(after_help = "Example:\n  fanfare server status")]
    Status(Target),
    /// List the settings in force, and where each comes from
    #[command(after_help = "Example:\n  fanfare server settings --server https://fanfare.example")]
    Settings(Target),
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::Status(target) => {
            let data = target.data(ApiRequest::new(Method::GET, &["server"])).await?;
            show::one(target.json, &data)
        }
        Command::Settings(target) => {
            let data = target.data(ApiRequest::new(Method::GET, &["server", "settings"])).await?;
            let columns = [("SETTING", "key"), ("VALUE", "value"), ("SOURCE", "source")];
            show::list(target.json, &data, &columns)
        }
    }
}
