//! `fanfare destinations`: manages the places that a tenant can notify.

mod actions;
mod mailbox;
mod settings;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::confirm::Confirm;
use super::options::{PageArgs, TenantTarget};
use super::remote::ApiRequest;
use super::{CommandResult, help, output, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare destinations list --tenant acme
  fanfare destinations create --tenant acme backoffice --channel webhook \\
    url=https://hooks.acme.example/kyc
  fanfare destinations test --tenant acme backoffice
  fanfare destinations pause --tenant acme backoffice")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List a tenant's destinations and how many deliveries wait for each
    #[command(after_help = "Example:\n  fanfare destinations list --tenant acme")]
    List(List),
    /// Show a destination and its settings, with secrets masked
    #[command(after_help = "Example:\n  fanfare destinations get --tenant acme backoffice")]
    Get(One),
    /// Create a destination; a webhook without a secret gets one, which is shown once
    #[command(after_help = help::example(
        "fanfare destinations create --tenant acme backoffice --channel webhook \\\n    \
         url=https://hooks.acme.example/kyc",
        settings::NOTE
    ))]
    Create(settings::Whole),
    /// Create a destination, or replace all of its settings
    #[command(after_help = help::example(
        "fanfare destinations put --tenant acme desk --channel email \\\n    \
         'to=[\"desk@acme.example\"]'",
        settings::NOTE
    ))]
    Put(settings::Whole),
    /// Change some settings of a destination; null removes a setting
    #[command(after_help = help::example(
        "fanfare destinations update --tenant acme backoffice rate=5/s timeout=null",
        settings::NOTE
    ))]
    Update(settings::Update),
    /// Delete a destination and remove it from routes; its waiting deliveries are suppressed
    #[command(after_help = "Example:\n  fanfare destinations delete --tenant acme backoffice")]
    Delete(Delete),
    /// Replace the secret of a webhook; the old secret signs too until the overlap ends
    #[command(after_help = "Example:
  fanfare destinations rotate-secret --tenant acme backoffice --overlap 1h")]
    RotateSecret(settings::Rotate),
    /// Send one test event now and print what the receiver answered
    #[command(after_help = help::example(
        "fanfare destinations test --tenant acme backoffice",
        "The test is sent once, also if the destination is paused or disabled. It is not in the \
         ledger. The exit code is 1 if a receiver did not accept it."
    ))]
    Test(actions::Test),
    /// Stop sending; deliveries wait
    #[command(after_help = "Example:\n  fanfare destinations pause --tenant acme backoffice")]
    Pause(One),
    /// Send again, starting with the deliveries that waited
    #[command(after_help = "Example:\n  fanfare destinations resume --tenant acme backoffice")]
    Resume(One),
    /// Enable a disabled destination; `recover` also sends what it missed
    #[command(after_help = "Example:\n  fanfare destinations enable --tenant acme backoffice")]
    Enable(One),
    /// Enable a destination and send what it missed, oldest first
    #[command(
        after_help = "Example:\n  fanfare destinations recover --tenant acme backoffice --since 2h"
    )]
    Recover(actions::Recover),
    /// Read messages from a mailbox (channel `poll`), oldest first
    #[command(after_help = help::example(
        "fanfare destinations messages --tenant acme inbox --wait 30",
        "A consumer gets the same messages again until it commits them."
    ))]
    Messages(mailbox::Messages),
    /// Commit the messages of a mailbox up to a cursor
    #[command(after_help = "Example:\n  fanfare destinations commit --tenant acme inbox 17")]
    Commit(mailbox::Commit),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: TenantTarget,
}

#[derive(ClapArgs)]
pub(super) struct One {
    /// Destination id
    pub(super) destination: String,
    #[command(flatten)]
    pub(super) at: TenantTarget,
}

/// A destination to delete.
#[derive(ClapArgs)]
struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

impl One {
    /// A request for an action on the destination.
    fn action(&self, action: &str) -> ApiRequest {
        self.at.request(Method::POST, ["destinations", &self.destination, action])
    }
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(args) => list(args).await,
        Command::Get(One { destination, at }) => {
            show::one(at.json(), &at.get(["destinations", &destination]).await?)
        }
        Command::Create(args) => settings::create(args).await,
        Command::Put(args) => settings::put(args).await,
        Command::Update(args) => settings::update(args).await,
        Command::Delete(Delete { one: One { destination, at }, confirm }) => {
            confirm.ask(&format!("Delete the destination `{destination}`?"))?;
            let path = ["destinations", destination.as_str()];
            at.target.data(at.request(Method::DELETE, path)).await?;
            show::done(at.json(), &destination, "deleted")
        }
        Command::RotateSecret(args) => settings::rotate(args).await,
        Command::Test(args) => actions::test(args).await,
        Command::Pause(one) => actions::switch(one, "pause", "paused").await,
        Command::Resume(one) => actions::switch(one, "resume", "resumed").await,
        Command::Enable(one) => actions::switch(one, "enable", "enabled").await,
        Command::Recover(args) => actions::recover(args).await,
        Command::Messages(args) => mailbox::messages(args).await,
        Command::Commit(args) => mailbox::commit(args).await,
    }
}

async fn list(args: List) -> CommandResult {
    let List { page, at } = args;
    let request = at.request(Method::GET, ["destinations"]).page(&page);
    let data = at.target.data(request).await?;
    let destinations = data["data"].as_array().into_iter().flatten();
    let rows: Vec<Value> = destinations.flat_map(rows).collect();
    let page = json!({"data": rows, "next_cursor": data["next_cursor"]});
    if at.json() {
        output::json(&data);
        return Ok(());
    }
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

/// One row for each receiver: an email destination has several.
fn rows(destination: &Value) -> Vec<Value> {
    let state = state(destination);
    let environment = destination["settings"]["environment"].as_str().unwrap_or("live");
    let row = |lane: &Value| {
        json!({
            "id": lane["id"], "channel": destination["channel"], "to": lane["to"],
            "environment": environment, "state": held(lane).unwrap_or_else(|| state.clone()),
            "waiting": lane["waiting"],
        })
    };
    match destination["lanes"].as_array() {
        Some(lanes) => lanes.iter().map(row).collect(),
        None => vec![row(&json!({"id": destination["id"]}))],
    }
}

fn state(destination: &Value) -> String {
    let state = show::word(&destination["state"]);
    match destination["disabled"]["reason"].as_str() {
        Some(reason) => format!("{state} ({reason})"),
        None => held(destination).unwrap_or(state),
    }
}

/// Why a destination or a recipient is held back, and until when.
fn held(one: &Value) -> Option<String> {
    let held = one["held"].as_object()?;
    let reason = show::word(held.get("reason")?);
    Some(format!("held until {} ({reason})", show::time(held.get("until_ms")?)))
}
