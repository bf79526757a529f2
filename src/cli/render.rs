//! `fanfare render`: what a message looks like, before anybody gets it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args as ClapArgs;
use fanfare_contract::{Delivery, Event, Part, Templates};
use serde_json::json;

use super::settings::Settings;
use super::{Done, Failure, output, route, tenant_files};
use crate::app;
use fanfare_render::{Engine, samples};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare render --type kyc.session.manual_review
  fanfare render --event event.json --out ./rendered --tenants config/tenants --tenant acme
  fanfare render --digest --part html > digest.html
  fanfare render --list

Without --event, the sample event of the type is used.")]
pub(super) struct Args {
    /// Event type; takes its sample event
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "event")]
    kind: Option<String>,
    /// File with one event; - is standard input
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Render a digest of all sample events
    #[arg(long, conflicts_with_all = ["event", "kind"])]
    digest: bool,
    /// Only this part; all when left out
    #[arg(long, value_enum)]
    part: Option<PartName>,
    /// Write subject.txt, body.html, body.txt and slack.json into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The tenant whose templates, name and links are used
    #[arg(long, default_value = "acme", env = "FANFARE_TENANT")]
    tenant: String,
    /// Take tenants from this folder
    #[arg(long, value_name = "DIR")]
    tenants: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// List the templates there are
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Parts by the names that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PartName {
    Subject,
    Html,
    Text,
    Slack,
}

const PARTS: [(PartName, Part, &str); 4] = [
    (PartName::Subject, Part::Subject, "subject.txt"),
    (PartName::Html, Part::Html, "body.html"),
    (PartName::Text, Part::Text, "body.txt"),
    (PartName::Slack, Part::Slack, "slack.json"),
];

pub(super) fn run(args: &Args) -> Done {
    let engine = engine(args)?;
    if args.list {
        list(&engine, args);
        return Ok(());
    }
    let delivery = delivery(args)?;
    let mut rendered = Vec::new();
    for (name, part, file) in PARTS {
        if args.part.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let text = engine
            .render(&delivery, &[part])
            .map_err(|error| Failure::Because(error.to_string()))?
            .pop()
            .unwrap_or_default();
        rendered.push((name, file, finished(name, text)?));
    }
    if let Some(dir) = &args.out {
        return write(dir, &rendered);
    }
    if args.json {
        let parts: serde_json::Map<_, _> =
            rendered.into_iter().map(|(_, file, text)| (file.to_owned(), text.into())).collect();
        output::json(&parts);
        return Ok(());
    }
    let single = rendered.len() == 1;
    for (name, file, text) in rendered {
        if !single {
            // HTML is for a browser; a terminal shows the rest.
            if name == PartName::Html && output::to_terminal() {
                output::line(output::dim(
                    "── body.html: shown with --part html, or written with --out",
                ));
                continue;
            }
            output::line(output::dim(&format!("── {file}")));
        }
        output::line(text.trim_end());
    }
    Ok(())
}

/// Slack messages as they leave, within Slack's limits.
fn finished(name: PartName, text: String) -> Result<String, Failure> {
    if name != PartName::Slack {
        return Ok(text);
    }
    let payload = fanfare_slack::preview(&text)
        .map_err(|error| Failure::Because(format!("the Slack message: {error}")))?;
    Ok(serde_json::to_string_pretty(&payload).unwrap_or(text))
}

fn engine(args: &Args) -> Result<Engine, Failure> {
    let config = args.settings.load()?;
    let mut tenants = BTreeMap::new();
    if let Some(dir) = &args.tenants {
        let specs =
            tenant_files::read(std::slice::from_ref(dir)).map_err(|p| tenant_files::told(&p))?;
        for (_, spec) in specs {
            let own = app::render_tenant(&spec.wording())
                .map_err(|errors| Failure::Because(errors.join("\n")))?;
            tenants.insert(spec.id, own);
        }
    }
    app::engine(&config, &tenants).map_err(|error| Failure::Because(error.to_string()))
}

fn delivery(args: &Args) -> Result<Delivery, Failure> {
    let tenant: Arc<str> = args.tenant.as_str().into();
    if args.digest {
        let events = samples::all().into_iter().map(|event| Arc::new(owned(event, &tenant)));
        return Ok(samples::digest(&tenant, events.collect()));
    }
    let event = match (&args.event, &args.kind) {
        (Some(path), _) => route::read_event(path, &tenant, &args.settings.load()?)?,
        (None, Some(kind)) => samples::sample(kind).ok_or_else(|| {
            let known = samples::all();
            let known: std::collections::BTreeSet<_> =
                known.iter().map(|event| event.kind.to_string()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Failure::Because(format!(
                "there is no sample of type {kind}; give one with --event, or take one of: {known}"
            ))
        })?,
        (None, None) => {
            return Err(Failure::Because(
                "say what to render: --type TYPE, --event FILE, --digest, or --list".to_owned(),
            ));
        }
    };
    Ok(samples::delivery(Arc::new(owned(event, &tenant))))
}

/// The event as the tenant's.
fn owned(event: Event, tenant: &Arc<str>) -> Event {
    let Event { id, kind, created, received_ms, environment, body, .. } = event;
    Event::new(tenant.clone(), id, kind, created, received_ms, body).with_environment(environment)
}

fn list(engine: &Engine, args: &Args) {
    let names = engine.names(&args.tenant);
    if args.json {
        let rows = names.iter().map(|listed| {
            json!({"name": listed.name, "origin": format!("{:?}", listed.origin).to_lowercase()})
        });
        output::json(&rows.collect::<Vec<_>>());
        return;
    }
    let mut table = output::table(&["TEMPLATE", "FROM"]);
    for listed in names {
        table.add_row([listed.name, format!("{:?}", listed.origin).to_lowercase()]);
    }
    output::print_table(&table);
}

fn write(dir: &Path, rendered: &[(PartName, &str, String)]) -> Done {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for (_, file, text) in rendered {
        let path = dir.join(file);
        std::fs::write(&path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        output::line(path.display());
    }
    Ok(())
}
