//! `fanfare route`: explains where an event would go, and why.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;
use fanfare_contract::{Environment, Event};
use serde_json::json;

use super::options::{StoreArgs, environment, no_tenant};
use super::{CommandResult, Failure, input, output, tenant_files};
use crate::agenda::Clock;
use crate::app;
use crate::config::Config;
use crate::event::{Fill, decode};
use crate::tenant::{self, Tenant};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare route --tenant acme --event event.json
  fanfare route --tenant acme --tenants config/tenants --event event.json --json

Prints whether each route matches, and the first field that does not. Nothing is sent or stored.")]
pub(super) struct Args {
    /// Tenant id
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// File with one event; - reads standard input
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// Environment of the event
    #[arg(long, default_value = "live", value_parser = environment())]
    environment: Environment,
    /// Read routes from the tenant files in this folder instead of the store
    #[arg(long, value_name = "DIR")]
    tenants: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> CommandResult {
    let tenant = load(args).await?;
    let event = read_event(&args.event, &tenant.id, &args.store.load()?)?;
    let event = event.with_environment(args.environment);
    if args.json {
        print_json(&tenant, &event);
    } else {
        print(&tenant, &event);
    }
    Ok(())
}

/// The destinations that match the event and are of the other environment.
fn other_environment<'t>(
    tenant: &'t Tenant,
    event: &'t Event,
) -> impl Iterator<Item = &'t tenant::Target> {
    tenant.matching(event).0.filter(|target| target.environment != event.environment)
}

fn print_json(tenant: &Tenant, event: &Event) {
    let lanes = tenant.targets_of(event).0.flat_map(|target| &target.lanes);
    let destinations = lanes.map(|lane| {
        json!({
            "id": &*lane.key.id, "channel": &*lane.destination.channel,
            "to": lane.label,
        })
    });
    let other = other_environment(tenant, event).map(|target| &*target.id);
    output::json(&json!({
        "event": &*event.id, "type": &*event.kind, "environment": event.environment,
        "destinations": destinations.collect::<Vec<_>>(),
        "routes": tenant.table.explain(event),
        "other_environment": other.collect::<Vec<_>>(),
    }));
}

fn print(tenant: &Tenant, event: &Event) {
    let test = if event.environment.is_live() { "" } else { " (test)" };
    output::line(format!("{}  {}{test}", output::bold(&event.id), event.kind));
    for explanation in tenant.table.explain(event) {
        output::line(explanation);
    }
    for target in other_environment(tenant, event) {
        output::line(format!(
            "× {} is a {} destination: {} events do not reach it",
            target.id, target.environment, event.environment
        ));
    }
    let lanes: Vec<_> = tenant.targets_of(event).0.flat_map(|target| &target.lanes).collect();
    if lanes.is_empty() {
        output::line("no destination: the event would be recorded as unrouted");
    }
    for lane in lanes {
        let state = match lane.suppressed() {
            Some(reason) => format!(" ({reason}: would be suppressed)"),
            None if lane.paused => " (paused: would wait)".to_owned(),
            None => String::new(),
        };
        output::line(format!(
            "→ {} by {} to {}{state}",
            output::bold(&lane.key.id),
            lane.destination.channel,
            lane.label
        ));
    }
}

async fn load(args: &Args) -> Result<Tenant, Failure> {
    let mut config = args.store.load()?;
    // Nothing is sent, so an address that production would refuse is no reason to refuse here.
    config.development = true;
    let channels = tenant_files::offline_channels(&config)?;
    let spec = if let Some(dir) = &args.tenants {
        let specs =
            tenant_files::read(std::slice::from_ref(dir)).map_err(|p| tenant_files::report(&p))?;
        let found = specs.into_iter().find(|(_, spec)| spec.id == args.tenant);
        let (_, mut spec) = found.ok_or_else(|| {
            Failure::refused(format!(
                "there is no tenant `{}` in {}; check --tenant and --tenants",
                args.tenant,
                dir.display()
            ))
        })?;
        tenant_files::complete_for_check(&mut spec, &channels);
        spec
    } else {
        let (config, store) = args.store.open_existing().await?;
        let found = tenant::stored(&store, &args.tenant).await?;
        found.ok_or_else(|| no_tenant(&args.tenant, &config.store))?.0
    };
    tenant::compile(&spec, 0, &channels, None).map_err(|problems| tenant_files::report(&problems))
}

/// Reads one event from a file or standard input.
pub(super) fn read_event(
    path: &Path,
    tenant: &Arc<str>,
    config: &Config,
) -> Result<Event, Failure> {
    let raw = input::text(path)?;
    let fill = Fill { id: &|| "evt_example".to_owned(), received_ms: Clock::System.now_ms() };
    decode(tenant, raw.trim().to_owned().into(), app::limits(config), &fill)
        .map_err(|refusal| Failure::refused(format!("{}: {refusal}", input::name(path))))
}
