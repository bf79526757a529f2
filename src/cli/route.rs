//! `fanfare route`: where would this event go, and why.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args as ClapArgs;
use fanfare_contract::{Environment, Event};
use serde_json::json;

use super::settings::Settings;
use super::{Done, Failure, output, tenant_files};
use crate::app;
use crate::event::{Fill, decode};
use crate::tenant::{self, Tenant, TenantSpec};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare route --tenant acme --event event.json
  fanfare route --tenant acme --tenants config/tenants --event event.json --json

With --tenants, the files are read and no store is needed.")]
pub(super) struct Args {
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// File with one event; - is standard input
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// live or test: as which the event would be sent
    #[arg(long, default_value = "live", value_parser = Environment::from_str)]
    environment: Environment,
    /// Take tables from this folder instead of the store
    #[arg(long, value_name = "DIR")]
    tenants: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> Done {
    let tenant = load(args).await?;
    let event = read_event(&args.event, &tenant.id, &args.settings.load()?)?;
    let explained = tenant.table.explain(&event);
    let event = event.with_environment(args.environment);
    let targets: Vec<_> = tenant.targets_of(&event).collect();
    let kept_out: Vec<_> =
        tenant.matching(&event).filter(|target| target.environment != args.environment).collect();
    if args.json {
        let lanes = targets.iter().flat_map(|target| &target.lanes).map(|lane| {
            json!({
                "id": &*lane.key.id, "channel": &*lane.destination.channel,
                "to": lane.label,
            })
        });
        let lanes: Vec<_> = lanes.collect();
        output::json(&json!({
            "event": &*event.id, "type": &*event.kind, "environment": args.environment,
            "destinations": lanes, "routes": explained,
            "other_environment": kept_out.iter().map(|target| &*target.id).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let test = if args.environment.is_live() { "" } else { ", a test event" };
    output::line(format!("{} of type {}{test}", output::bold(&event.id), event.kind));
    for explanation in explained {
        output::line(explanation);
    }
    for target in kept_out {
        output::line(format!(
            "× {} is a {} destination: a {} event never reaches it",
            target.id, target.environment, args.environment
        ));
    }
    if targets.is_empty() {
        output::line("goes nowhere: it would be recorded as unrouted");
    }
    for lane in targets.iter().flat_map(|target| &target.lanes) {
        let state = match lane.suppressed() {
            Some(why) => format!(" ({why}: would be suppressed)"),
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
    Ok(())
}

async fn load(args: &Args) -> Result<Tenant, Failure> {
    let mut config = args.settings.load()?;
    // Explaining sends nothing: an address that could not be used in production is no reason to
    // refuse.
    config.development = true;
    let channels = tenant_files::offline_channels(&config)?;
    let unknown = |place: &str| {
        Failure::Because(format!(
            "there is no tenant `{}` in {place}; `fanfare apply` adds it",
            args.tenant
        ))
    };
    let spec = if let Some(dir) = &args.tenants {
        let specs =
            tenant_files::read(std::slice::from_ref(dir)).map_err(|p| tenant_files::told(&p))?;
        let found = specs.into_iter().find(|(_, spec)| spec.id == args.tenant);
        let mut spec = found.ok_or_else(|| unknown(&dir.display().to_string()))?.1;
        tenant_files::complete_for_check(&mut spec, &channels);
        spec
    } else {
        let (config, store) = args.settings.open_existing().await?;
        let place = if app::is_redis(&config.store) { "Redis" } else { &config.store };
        tenant::stored(&store, &args.tenant).await?.ok_or_else(|| unknown(place))?.0
    };
    compile(&spec, &channels)
}

fn compile(spec: &TenantSpec, channels: &tenant::Channels) -> Result<Tenant, Failure> {
    tenant::compile(spec, 0, channels, None).map_err(|problems| tenant_files::told(&problems))
}

/// Reads one event from a file or standard input.
pub(super) fn read_event(
    path: &PathBuf,
    tenant: &Arc<str>,
    config: &crate::config::Config,
) -> Result<Event, Failure> {
    use anyhow::Context;
    let raw = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("standard input cannot be read")?
    } else {
        std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?
    };
    let now = crate::agenda::Clock::System.now_ms();
    let fill = Fill { id: &|| "evt_example".to_owned(), received_ms: now };
    decode(tenant, raw.trim().to_owned().into(), app::limits(config), &fill)
        .map_err(|refusal| Failure::Because(format!("{}: {refusal}", path.display())))
}
