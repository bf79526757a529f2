//! `fanfare render`: shows what a message looks like, before anyone receives it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use fanfare_contract::{Delivery, Event, Part};
use serde_json::json;

use super::options::StoreArgs;
use super::{CommandResult, Failure, output, route, tenant_files};
use crate::app;
use fanfare_render::{Engine, samples};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare render --type kyc.session.manual_review
  fanfare render --event event.json --tenants config/tenants --out ./rendered
  fanfare render --digest --part html > digest.html
  fanfare render --list

Renders from files alone. To render with the templates of a tenant in a store or on a server, use \
`fanfare templates preview`.")]
pub(super) struct Args {
    /// Render the sample event of this type
    #[arg(
        long = "type",
        value_name = "TYPE",
        conflicts_with = "event",
        required_unless_present_any = ["event", "digest", "list"]
    )]
    event_type: Option<String>,
    /// Render the event in this file; - reads standard input
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Render a digest of all sample events
    #[arg(long, conflicts_with_all = ["event", "event_type"])]
    digest: bool,
    /// Render only this part
    #[arg(long, value_enum)]
    part: Option<PartName>,
    /// Write subject.txt, body.html, body.txt, and slack.json to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Id of the tenant whose templates, name, and links to use
    #[arg(long, default_value = "acme", env = "FANFARE_TENANT")]
    tenant: String,
    /// Read tenants from the tenant files in this folder
    #[arg(long, value_name = "DIR")]
    tenants: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// List the templates, and render nothing
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Parts of a message as the command line names them.
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

/// A rendered part, and the name of its file.
struct Rendered {
    part: PartName,
    file: &'static str,
    text: String,
}

pub(super) fn run(args: &Args) -> CommandResult {
    let engine = engine(args)?;
    if args.list {
        list(&engine, args);
        return Ok(());
    }
    let rendered = render(&engine, &delivery(args)?, args.part)?;
    if let Some(dir) = &args.out {
        return write(dir, &rendered);
    }
    if args.json {
        let parts = rendered.into_iter().map(|one| (one.file.to_owned(), one.text.into()));
        output::json(&parts.collect::<serde_json::Map<_, _>>());
        return Ok(());
    }
    print(&rendered);
    Ok(())
}

/// Renders all parts, or only one.
fn render(
    engine: &Engine,
    delivery: &Delivery,
    only: Option<PartName>,
) -> Result<Vec<Rendered>, Failure> {
    let mut rendered = Vec::new();
    for (name, part, file) in PARTS {
        if only.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let parts = engine.render(delivery, &[part]);
        let mut parts = parts.map_err(|error| Failure::refused(error.to_string()))?;
        let text = finished(name, parts.pop().unwrap_or_default())?;
        rendered.push(Rendered { part: name, file, text });
    }
    Ok(rendered)
}

/// A Slack message as it is sent, within Slack's limits. Other parts are not changed.
fn finished(part: PartName, text: String) -> Result<String, Failure> {
    if part != PartName::Slack {
        return Ok(text);
    }
    let payload = fanfare_slack::preview(&text)
        .map_err(|error| Failure::refused(format!("the Slack message is not valid: {error}")))?;
    Ok(serde_json::to_string_pretty(&payload).unwrap_or(text))
}

fn print(rendered: &[Rendered]) {
    let single = rendered.len() == 1;
    for Rendered { part, file, text } in rendered {
        if !single && *part == PartName::Html && output::to_terminal() {
            let hint = "── body.html: use --part html to print it, or --out to write it";
            output::line(output::dim(hint));
            continue;
        }
        if !single {
            output::line(output::dim(&format!("── {file}")));
        }
        output::content(text.trim_end());
    }
}

fn engine(args: &Args) -> Result<Engine, Failure> {
    let config = args.store.load()?;
    let mut tenants = BTreeMap::new();
    if let Some(dir) = &args.tenants {
        let specs =
            tenant_files::read(std::slice::from_ref(dir)).map_err(|p| tenant_files::report(&p))?;
        for (_, spec) in specs {
            let own = app::render_tenant(&spec.wording())
                .map_err(|errors| Failure::refused(errors.join("\n")))?;
            tenants.insert(spec.id, own);
        }
    }
    app::engine(&config, &tenants).map_err(|error| Failure::refused(error.to_string()))
}

fn delivery(args: &Args) -> Result<Delivery, Failure> {
    let tenant: Arc<str> = args.tenant.as_str().into();
    if args.digest {
        let events = samples::all().into_iter().map(|event| Arc::new(of_tenant(event, &tenant)));
        return Ok(samples::digest(&tenant, events.collect()));
    }
    let event = match (&args.event, &args.event_type) {
        (Some(path), _) => route::read_event(path, &tenant, &args.store.load()?)?,
        (None, event_type) => sample(event_type.as_deref().unwrap_or_default())?,
    };
    Ok(samples::delivery(Arc::new(of_tenant(event, &tenant))))
}

fn sample(event_type: &str) -> Result<Event, Failure> {
    samples::sample(event_type).ok_or_else(|| {
        let all = samples::all();
        let types: BTreeSet<&str> = all.iter().map(|event| &*event.kind).collect();
        let types = types.into_iter().collect::<Vec<_>>().join(", ");
        Failure::refused(format!(
            "there is no sample event of type {event_type}; pass an event with --event, or choose \
             one of these types: {types}"
        ))
    })
}

/// The same event as an event of this tenant.
fn of_tenant(event: Event, tenant: &Arc<str>) -> Event {
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
    let mut table = output::table(&["TEMPLATE", "ORIGIN"]);
    for listed in names {
        table.add_row([listed.name, format!("{:?}", listed.origin).to_lowercase()]);
    }
    output::print_table(&table);
}

fn write(dir: &Path, rendered: &[Rendered]) -> CommandResult {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot create the folder {}", dir.display()))?;
    for Rendered { file, text, .. } in rendered {
        let path = dir.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        output::line(path.display());
    }
    Ok(())
}
