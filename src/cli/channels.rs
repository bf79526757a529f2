//! `fanfare notification-channels`, `digests` and `changes`: the small resources of a tenant.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value};

use super::destinations::One;
use super::remote::{Api, Ask, Of, Page, Target, Use};
use super::{Done, input, show};

/// Options of `notification-channels`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare notification-channels get --tenant acme
  fanfare notification-channels set --tenant acme webhook_url=https://hooks.acme.example/kyc
  fanfare notification-channels set --tenant acme 'notification_emails=[\"mlro@acme.example\"]' slack_webhook_url=null")]
pub(super) struct Channels {
    #[command(subcommand)]
    what: Channel,
}

#[derive(Subcommand)]
enum Channel {
    /// Shows the one webhook, the one list of addresses, the one Slack channel
    #[command(after_help = "Example:\n  fanfare notification-channels get --tenant acme")]
    Get(Of),
    /// Changes them: what is not given stays, null clears
    #[command(
        after_help = "Example:\n  fanfare notification-channels set --tenant acme webhook_url=https://hooks.acme.example/kyc batch_notifications_enabled=true"
    )]
    Set(Set),
}

#[derive(ClapArgs)]
struct Set {
    /// `webhook_url`, `webhook_secret`, `notification_emails`, `slack_webhook_url`,
    /// `batch_notifications_enabled`
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = input::setting)]
    fields: Vec<(String, Value)>,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(args: Channels) -> Done {
    match args.what {
        Channel::Get(of) => {
            let api = Api::open(&of.target, Use::Plain).await?;
            let data = api.data(of.ask(Method::GET, ["notification-channels"])).await?;
            show::one(of.target.json, &data)
        }
        Channel::Set(set) => {
            let body: Map<String, Value> = set.fields.into_iter().collect();
            let api = Api::open(&set.of.target, Use::Addresses).await?;
            let ask = set.of.ask(Method::PATCH, ["notification-channels"]);
            show::one(set.of.target.json, &api.data(ask.body(body.into())).await?)
        }
    }
}

/// Options of `digests`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare digests list --tenant acme
  fanfare digests send --tenant acme compliance-daily")]
pub(super) struct Digests {
    #[command(subcommand)]
    what: Digest,
}

#[derive(Subcommand)]
enum Digest {
    /// Lists what is collected, and when it goes out
    #[command(after_help = "Example:\n  fanfare digests list --tenant acme")]
    List(Of),
    /// Sends what has been collected now
    #[command(after_help = "Example:\n  fanfare digests send --tenant acme compliance-daily")]
    Send(One),
}

pub(super) async fn run_digests(args: Digests) -> Done {
    match args.what {
        Digest::List(of) => {
            let api = Api::open(&of.target, Use::Plain).await?;
            let data = api.data(of.ask(Method::GET, ["digests"])).await?;
            let columns = [
                ("DESTINATION", "destination"),
                ("TO", "to"),
                ("NEXT", "next_ms"),
                ("TIME ZONE", "timezone"),
                ("WAITING", "waiting"),
                ("PAUSED", "paused"),
            ];
            show::list(of.target.json, &data, &columns)
        }
        Digest::Send(one) => {
            let One { destination, of } = &one;
            let api = Api::open(&of.target, Use::Plain).await?;
            let data = api.data(of.ask(Method::POST, ["digests", destination, "send"])).await?;
            show::one(of.target.json, &data)
        }
    }
}

/// Options of `changes`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare changes --tenant acme
  fanfare changes --of-server --json

Who changed what and when, newest first; with --json also from what to what, secrets masked. Whether
every event is accounted for is told by `fanfare audit`.")]
pub(super) struct Changes {
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT", required_unless_present = "of_server")]
    tenant: Option<String>,
    /// Those that concern no tenant: event types, operators' keys
    #[arg(long)]
    of_server: bool,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run_changes(args: Changes) -> Done {
    let ask = match &args.tenant {
        Some(tenant) if !args.of_server => Ask::of(Method::GET, &["tenants", tenant, "audit"]),
        _ => Ask::of(Method::GET, &["audit"]),
    };
    let api = Api::open(&args.target, Use::Plain).await?;
    let data: Value = api.data(ask.page(&args.page)).await?;
    let columns = [
        ("AT", "at_ms"),
        ("BY", "by"),
        ("ACTION", "action"),
        ("RESOURCE", "resource"),
        ("OUTCOME", "outcome"),
    ];
    show::list(args.target.json, &data, &columns)
}
