//! `fanfare notification-channels`: one webhook, one list of email addresses, and one Slack channel
//! for every event of a tenant.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value};

use super::options::TenantTarget;
use super::{CommandResult, help, input, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare notification-channels get --tenant acme
  fanfare notification-channels set --tenant acme \\
    webhook_url=https://hooks.acme.example/kyc
  fanfare notification-channels set --tenant acme \\
    'notification_emails=[\"mlro@acme.example\"]' slack_webhook_url=null

Each of them receives every event of the tenant. They are the destinations `notify-webhook`, \
`notify-email`, and `notify-slack`.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the webhook, the email addresses, and the Slack channel
    #[command(after_help = "Example:\n  fanfare notification-channels get --tenant acme")]
    Get(TenantTarget),
    /// Change some of them; null clears a field
    #[command(after_help = help::example(
        "fanfare notification-channels set --tenant acme \\\n    \
         webhook_url=https://hooks.acme.example/kyc batch_notifications_enabled=true",
        "Fields:\n  \
         webhook_url                  URL of the webhook\n  \
         webhook_secret               Its secret; null generates a new one\n  \
         notification_emails          JSON list of addresses\n  \
         slack_webhook_url            URL of a Slack incoming webhook\n  \
         batch_notifications_enabled  Whether emails become one digest a day"
    ))]
    Set(Set),
}

#[derive(ClapArgs)]
struct Set {
    /// Fields to change
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = input::setting)]
    fields: Vec<(String, Value)>,
    #[command(flatten)]
    at: TenantTarget,
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::Get(at) => show::one(at.json(), &at.get(["notification-channels"]).await?),
        Command::Set(Set { fields, at }) => {
            let body: Map<String, Value> = fields.into_iter().collect();
            let request = at.request(Method::PATCH, ["notification-channels"]).body(body);
            show::one(at.json(), &at.checking_api().await?.data(request).await?)
        }
    }
}
