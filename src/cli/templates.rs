//! `fanfare templates`: what a tenant's messages look like. `fanfare render` does it without a store.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, json};

use super::remote::{Api, Of, Page, Use};
use super::{Done, input, output, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare templates list --tenant acme
  fanfare templates put --tenant acme kyc.session.created subject subject.txt.hbs
  fanfare templates preview --tenant acme --type kyc.session.created --part text")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists templates; the tenant's own in the place of those that they cover
    #[command(after_help = "Example:\n  fanfare templates list --tenant acme")]
    List(List),
    /// Shows the source of one
    #[command(
        after_help = "Example:\n  fanfare templates get --tenant acme kyc.session.created html > body.mjml.hbs"
    )]
    Get(One),
    /// Puts one of the tenant's own; it is rendered on samples first
    #[command(
        after_help = "Example:\n  fanfare templates put --tenant acme kyc.session.created subject subject.txt.hbs"
    )]
    Put(Put),
    /// Removes the tenant's own; the built-in one takes its place
    #[command(
        after_help = "Example:\n  fanfare templates delete --tenant acme kyc.session.created subject"
    )]
    Delete(One),
    /// Renders a sample or a given event; nothing is sent or stored
    #[command(
        after_help = "Example:\n  fanfare templates preview --tenant acme --type kyc.session.created --part text"
    )]
    Preview(Preview),
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
    /// The event type; _default for types without their own, _digest for digests
    event_type: String,
    /// The part of the message
    #[arg(value_parser = PARTS)]
    part: String,
    #[command(flatten)]
    of: Of,
}

const PARTS: [&str; 4] = ["subject", "html", "text", "slack"];

#[derive(ClapArgs)]
struct Put {
    #[command(flatten)]
    one: One,
    /// The source; - is standard input
    file: PathBuf,
}

#[derive(ClapArgs)]
struct Preview {
    /// Takes the sample of this type; _digest a digest of all samples
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "event")]
    kind: Option<String>,
    /// An event, a JSON file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "kind")]
    event: Option<PathBuf>,
    /// Only these parts
    #[arg(long = "part", value_name = "PART", value_parser = PARTS)]
    parts: Vec<String>,
    /// A source to try in the place of the one there is: PART=FILE
    #[arg(long = "draft", value_name = "PART=FILE")]
    drafts: Vec<String>,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::List(args) => {
            let api = Api::open(&args.of.target, Use::Plain).await?;
            let data = api.data(args.of.ask(Method::GET, ["templates"]).page(&args.page)).await?;
            let columns = [("TYPE", "event_type"), ("PART", "part"), ("ORIGIN", "origin")];
            show::list(args.of.target.json, &data, &columns)
        }
        What::Get(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            let data = api.data(one.ask(Method::GET)).await?;
            if one.of.target.json {
                output::json(&data);
            } else {
                output::line(data["source"].as_str().unwrap_or_default().trim_end_matches('\n'));
            }
            Ok(())
        }
        What::Put(put) => {
            let source = input::text(&put.file)?;
            let api = Api::open(&put.one.of.target, Use::Plain).await?;
            let data = api.data(put.one.ask(Method::PUT).body(json!({"source": source}))).await?;
            show::once(put.one.of.target.json, &put.one.name(), "put", &data)
        }
        What::Delete(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            api.call(one.ask(Method::DELETE)).await?;
            show::done(one.of.target.json, &one.name(), "deleted")
        }
        What::Preview(args) => preview(args).await,
    }
}

impl One {
    fn ask(&self, method: Method) -> super::remote::Ask {
        self.of.ask(method, ["templates", &self.event_type, &self.part])
    }

    fn name(&self) -> String {
        format!("{} {}", self.event_type, self.part)
    }
}

async fn preview(args: Preview) -> Done {
    let mut body = Map::new();
    if let Some(kind) = &args.kind {
        body.insert("type".to_owned(), json!(kind));
    }
    if let Some(path) = &args.event {
        body.insert("event".to_owned(), input::json(path)?);
    }
    if !args.parts.is_empty() {
        body.insert("parts".to_owned(), json!(args.parts));
    }
    let mut drafts = Map::new();
    for draft in &args.drafts {
        let (part, file) = draft.split_once('=').unwrap_or((draft, "-"));
        drafts.insert(part.to_owned(), json!(input::text(file.as_ref())?));
    }
    if !drafts.is_empty() {
        body.insert("templates".to_owned(), drafts.into());
    }
    let api = Api::open(&args.of.target, Use::Plain).await?;
    let ask = args.of.ask(Method::POST, ["templates", "preview"]);
    show::one(args.of.target.json, &api.data(ask.body(body.into())).await?)
}
