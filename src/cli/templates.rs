//! `fanfare templates`: manages the templates of a tenant's messages. `fanfare render` previews
//! them from files, without a store.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::confirm::Confirm;
use super::options::{PageArgs, TenantTarget};
use super::remote::ApiRequest;
use super::{CommandResult, input, output, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare templates list --tenant acme
  fanfare templates put --tenant acme kyc.session.created subject \\
    subject.txt.hbs
  fanfare templates preview --tenant acme --type kyc.session.created --part text")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List templates and whether each is built in, the server's, or the tenant's own
    #[command(after_help = "Example:\n  fanfare templates list --tenant acme")]
    List(List),
    /// Print the source of a template
    #[command(
        after_help = "Example:\n  fanfare templates get --tenant acme kyc.session.created html"
    )]
    Get(One),
    /// Set the tenant's own template, after rendering it on sample events
    #[command(after_help = "Example:
  fanfare templates put --tenant acme kyc.session.created subject \\
    subject.txt.hbs")]
    Put(Put),
    /// Delete the tenant's own template, so that the built-in one applies again
    #[command(after_help = "Example:
  fanfare templates delete --tenant acme kyc.session.created subject")]
    Delete(Delete),
    /// Render a sample event or an event of yours, without sending or storing anything
    #[command(after_help = "Examples:
  fanfare templates preview --tenant acme --type kyc.session.created --part text
  fanfare templates preview --tenant acme --type kyc.session.created \\
    --draft subject=subject.txt.hbs")]
    Preview(Preview),
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
    /// Event type; _default for types without a template, _digest for digests
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// Part of the message
    #[arg(value_parser = PARTS)]
    part: String,
    #[command(flatten)]
    at: TenantTarget,
}

const PARTS: [&str; 4] = ["subject", "html", "text", "slack"];

#[derive(ClapArgs)]
struct Put {
    #[command(flatten)]
    one: One,
    /// File with the source; - reads standard input
    file: PathBuf,
}

#[derive(ClapArgs)]
struct Preview {
    /// Render the sample event of this type; _digest renders a digest of all samples
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "event")]
    event_type: Option<String>,
    /// JSON file with the event to render; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "event_type")]
    event: Option<PathBuf>,
    /// Render only this part; can be repeated
    #[arg(long = "part", value_name = "PART", value_parser = PARTS)]
    parts: Vec<String>,
    /// Use the source in this file instead of the template of the part; can be repeated
    #[arg(long = "draft", value_name = "PART=FILE", value_parser = draft)]
    drafts: Vec<(String, PathBuf)>,
    #[command(flatten)]
    at: TenantTarget,
}

fn draft(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (part, file) = text.split_once('=').ok_or("write PART=FILE")?;
    Ok((part.to_owned(), file.into()))
}

/// A template to delete.
#[derive(ClapArgs)]
struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

impl One {
    fn request(&self, method: Method) -> ApiRequest {
        self.at.request(method, ["templates", &self.event_type, &self.part])
    }

    async fn call(&self, request: ApiRequest) -> Result<Value, super::Failure> {
        self.at.target.data(request).await
    }

    fn name(&self) -> String {
        format!("{} {}", self.event_type, self.part)
    }
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(List { page, at }) => {
            let request = at.request(Method::GET, ["templates"]).page(&page);
            let columns = [("TYPE", "event_type"), ("PART", "part"), ("ORIGIN", "origin")];
            show::list(at.json(), &at.target.data(request).await?, &columns)
        }
        Command::Get(one) => {
            let data = one.call(one.request(Method::GET)).await?;
            if one.at.json() {
                output::json(&data);
            } else {
                output::content(show::word(&data["source"]).trim_end_matches('\n'));
            }
            Ok(())
        }
        Command::Put(Put { one, file }) => {
            let body = json!({"source": input::text(&file)?});
            let data = one.call(one.request(Method::PUT).body(body)).await?;
            show::changed(one.at.json(), &one.name(), "saved", &data)
        }
        Command::Delete(Delete { one, confirm }) => {
            confirm.ask(&format!("Delete the template `{}`?", one.name()))?;
            one.call(one.request(Method::DELETE)).await?;
            show::done(one.at.json(), &one.name(), "deleted")
        }
        Command::Preview(args) => preview(args).await,
    }
}

async fn preview(args: Preview) -> CommandResult {
    let Preview { event_type, event, parts, drafts, at } = args;
    let mut body = Map::new();
    if let Some(event_type) = event_type {
        body.insert("type".to_owned(), event_type.into());
    }
    if let Some(path) = event {
        body.insert("event".to_owned(), input::json(&path)?);
    }
    if !parts.is_empty() {
        body.insert("parts".to_owned(), parts.into());
    }
    let mut sources = Map::new();
    for (part, file) in drafts {
        sources.insert(part, input::text(&file)?.into());
    }
    if !sources.is_empty() {
        body.insert("templates".to_owned(), sources.into());
    }
    let request = at.request(Method::POST, ["templates", "preview"]).body(body);
    show::one(at.json(), &at.target.data(request).await?)
}
