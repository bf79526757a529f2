//! `fanfare destinations`: list them, pause, resume, enable.

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::settings::Settings;
use super::{Done, Failure, apply, output};
use crate::ops::{self, Change};
use crate::tenant;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare destinations list --tenant acme
  fanfare destinations pause --tenant acme backoffice
  fanfare destinations enable --tenant acme support")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists a tenant's destinations with what waits for each
    List(Of),
    /// Sends nothing, keeps everything
    Pause(One),
    /// Sends again, beginning with what was kept
    Resume(One),
    /// After a destination was mended: sends again; what was missed is replayed with `fanfare replay`
    Enable(One),
}

#[derive(ClapArgs)]
struct Of {
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(ClapArgs)]
struct One {
    /// The destination's id
    destination: String,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::List(of) => list(of).await,
        What::Pause(one) => change(one, Change::Pause, "paused").await,
        What::Resume(one) => change(one, Change::Resume, "resumed").await,
        What::Enable(one) => change(one, Change::Enable, "enabled").await,
    }
}

async fn change(one: One, change: Change, word: &str) -> Done {
    let (_, store) = one.of.settings.open_existing().await?;
    let (tenant, destination) = (&one.of.tenant, &one.destination);
    let Some(changed) = ops::change(&store, tenant, destination, change).await? else {
        return Err(Failure::Because(format!(
            "tenant {tenant} has no destination {destination}; `fanfare destinations list` shows them"
        )));
    };
    if one.of.json {
        output::json(&json!({"destination": destination, "changed": changed}));
    } else if changed {
        output::line(format!("{destination}: {word}"));
    } else {
        output::line(format!("{destination}: {word} already"));
    }
    Ok(())
}

async fn list(of: Of) -> Done {
    let (mut config, store) = of.settings.open_existing().await?;
    config.development = true;
    let channels = apply::offline_channels(&config)?;
    let Some((spec, revision)) = tenant::stored(&store, &of.tenant).await? else {
        return Err(Failure::Because(format!("there is no tenant {}", of.tenant)));
    };
    let spec = std::sync::Arc::new(spec);
    let compiled = tenant::compile(spec, revision, &channels, None)
        .map_err(|problems| apply::told(&problems))?;
    let mut rows = Vec::new();
    for lane in compiled.targets.iter().flat_map(|target| &target.lanes) {
        let state = match lane.suppressed() {
            Some(why) => why,
            None if lane.paused => "paused".to_owned(),
            None => "active".to_owned(),
        };
        let waiting = store.agenda.waiting(&lane.key).await?;
        let id = lane.key.destination.to_string();
        let channel = lane.destination.channel.to_string();
        rows.push((id, channel, lane.label.clone(), lane.environment, state, waiting));
    }
    if of.json {
        let rows = rows.iter().map(|(id, channel, to, environment, state, waiting)| {
            json!({
                "id": id, "channel": channel, "to": to, "environment": environment,
                "state": state, "waiting": waiting,
            })
        });
        output::json(&rows.collect::<Vec<_>>());
        return Ok(());
    }
    let mut table =
        output::table(&["DESTINATION", "CHANNEL", "TO", "ENVIRONMENT", "STATE", "WAITING"]);
    for (id, channel, to, environment, state, waiting) in rows {
        let environment = environment.word().to_owned();
        table.add_row([id, channel, to, environment, state, waiting.to_string()]);
    }
    output::print_table(&table);
    Ok(())
}
