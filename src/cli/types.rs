//! `fanfare types`: the catalogue of event types.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::remote::{Api, Ask, Page, Target, Use};
use super::{Done, input, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare types list
  fanfare types put kyc.session.created --description 'A session was opened' --schema session.json --check reject")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists event types
    #[command(after_help = "Example:\n  fanfare types list")]
    List(List),
    /// Shows one with its example and its schema
    #[command(after_help = "Example:\n  fanfare types get kyc.session.created")]
    Get(One),
    /// Makes one, or replaces what is said of it
    #[command(
        after_help = "Example:\n  fanfare types put kyc.session.created --schema session.json --check flag"
    )]
    Put(Put),
    /// Removes one; events of the type are taken as before, without a check
    #[command(after_help = "Example:\n  fanfare types delete kyc.session.created")]
    Delete(One),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct One {
    /// The event type
    name: String,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct Put {
    #[command(flatten)]
    one: One,
    /// For people
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// An event's `data` as it may be: a JSON file
    #[arg(long, value_name = "FILE")]
    example: Option<PathBuf>,
    /// A JSON Schema of an event's `data`: a file
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// What happens with an event that does not fit
    #[arg(long, default_value = "off", value_parser = ["off", "flag", "reject"])]
    check: String,
}

pub(super) async fn run(args: Args) -> Done {
    let of = |method, name: &str| Ask::of(method, &["event-types", name]);
    match args.what {
        What::List(args) => {
            let api = Api::open(&args.target, Use::Plain).await?;
            let data = api.data(Ask::of(Method::GET, &["event-types"]).page(&args.page)).await?;
            let columns = [("TYPE", "name"), ("CHECK", "check"), ("DESCRIPTION", "description")];
            show::list(args.target.json, &data, &columns)
        }
        What::Get(one) => {
            let api = Api::open(&one.target, Use::Plain).await?;
            show::one(one.target.json, &api.data(of(Method::GET, &one.name)).await?)
        }
        What::Put(put) => {
            let read = |path: Option<&PathBuf>| path.map(|path| input::json(path)).transpose();
            let mut body = json!({"description": put.description, "check": put.check});
            for (name, path) in [("example", &put.example), ("schema", &put.schema)] {
                if let Some(value) = read(path.as_ref())? {
                    body[name] = value;
                }
            }
            let api = Api::open(&put.one.target, Use::Begin).await?;
            let data: Value = api.data(of(Method::PUT, &put.one.name).body(body)).await?;
            show::one(put.one.target.json, &data)
        }
        What::Delete(one) => {
            let api = Api::open(&one.target, Use::Plain).await?;
            api.call(of(Method::DELETE, &one.name)).await?;
            show::done(one.target.json, &one.name, "deleted")
        }
    }
}
