//! `fanfare changes`: the audit trail.

use clap::Args as ClapArgs;
use http::Method;

use super::options::{PageArgs, Target};
use super::remote::ApiRequest;
use super::{CommandResult, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare changes --tenant acme
  fanfare changes --of-server --json

Lists the newest changes first. With --json, each change shows the values before and after it, \
with secrets masked.")]
pub(super) struct Args {
    /// Tenant id
    #[arg(long, env = "FANFARE_TENANT", required_unless_present = "of_server")]
    tenant: Option<String>,
    /// Changes that belong to no tenant: event types and the keys of operators
    #[arg(long)]
    of_server: bool,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let path = match &args.tenant {
        Some(tenant) if !args.of_server => &["tenants", tenant.as_str(), "audit"][..],
        _ => &["audit"],
    };
    let request = ApiRequest::new(Method::GET, path).page(&args.page);
    let columns = [
        ("AT", "at_ms"),
        ("BY", "by"),
        ("ACTION", "action"),
        ("RESOURCE", "resource"),
        ("OUTCOME", "outcome"),
    ];
    show::list(args.target.json, &args.target.data(request).await?, &columns)
}
