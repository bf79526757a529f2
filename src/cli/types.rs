//! `fanfare types`: manages the catalogue of event types.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::json;

use super::confirm::Confirm;
use super::options::{PageArgs, Target};
use super::remote::{Api, ApiRequest, StoreUse};
use super::{CommandResult, help, input, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare types list
  fanfare types put kyc.session.created --schema session.json --check reject")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List event types
    #[command(after_help = "Example:\n  fanfare types list")]
    List(List),
    /// Show an event type, its example, and its schema
    #[command(after_help = "Example:\n  fanfare types get kyc.session.created")]
    Get(One),
    /// Create an event type, or replace its description, example, and schema
    #[command(after_help = help::example(
        "fanfare types put kyc.session.created --schema session.json --check flag",
        "Checks:\n  \
         off     Do not check events of the type\n  \
         flag    Accept an event that does not match, and say so in the response\n  \
         reject  Refuse an event that does not match"
    ))]
    Put(Put),
    /// Delete an event type; events of the type are still accepted, without a check
    #[command(after_help = "Example:\n  fanfare types delete kyc.session.created")]
    Delete(Delete),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct One {
    /// Event type
    #[arg(value_name = "TYPE")]
    name: String,
    #[command(flatten)]
    target: Target,
}

/// An event type to delete.
#[derive(ClapArgs)]
struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

impl One {
    fn request(&self, method: Method) -> ApiRequest {
        ApiRequest::new(method, &["event-types", &self.name])
    }
}

#[derive(ClapArgs)]
struct Put {
    #[command(flatten)]
    one: One,
    /// Description of the event type, for people
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// JSON file with an example of the event's data
    #[arg(long, value_name = "FILE")]
    example: Option<PathBuf>,
    /// File with a JSON Schema (2020-12) of the event's data
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// What to do with an event that does not match the schema
    #[arg(long, default_value = "off", value_parser = ["off", "flag", "reject"])]
    check: String,
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(List { page, target }) => {
            let request = ApiRequest::new(Method::GET, &["event-types"]).page(&page);
            let columns = [("TYPE", "name"), ("CHECK", "check"), ("DESCRIPTION", "description")];
            show::list(target.json, &target.data(request).await?, &columns)
        }
        Command::Get(one) => {
            show::one(one.target.json, &one.target.data(one.request(Method::GET)).await?)
        }
        Command::Put(args) => put(args).await,
        Command::Delete(Delete { one, confirm }) => {
            confirm.ask(&format!("Delete the event type `{}`?", one.name))?;
            one.target.data(one.request(Method::DELETE)).await?;
            show::done(one.target.json, &one.name, "deleted")
        }
    }
}

async fn put(args: Put) -> CommandResult {
    let mut body = json!({"description": args.description, "check": args.check});
    for (name, path) in [("example", &args.example), ("schema", &args.schema)] {
        if let Some(path) = path {
            body[name] = input::json(path)?;
        }
    }
    let api = Api::open(&args.one.target, StoreUse::Create).await?;
    let data = api.data(args.one.request(Method::PUT).body(body)).await?;
    show::one(args.one.target.json, &data)
}
