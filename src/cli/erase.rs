//! `fanfare erase`: erases a tenant, or all events about a person, for good.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use http::Method;
use serde_json::{Value, json};

use super::options::{ServerArgs, StoreArgs};
use super::remote::{ACTOR, Api, ApiRequest};
use super::{CommandResult, Failure, output};
use crate::access::{Environment, Principal, Role};
use crate::agenda::Clock;
use crate::event;
use crate::ops::{self, Erasing, Extent, Found, Subject};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare erase --tenant acme --subject ann@example.com --dry-run
  fanfare erase --tenant acme --subject ann@example.com
  echo ann@example.com | fanfare erase --tenant acme --subject - --yes
  fanfare erase --tenant acme --subject s-17 --path data.session_id --yes
  fanfare erase --tenant acme --yes

With --subject, erases the events that have the value at one of the paths of \
`privacy.subject_paths`, or of --path, with their deliveries, attempts, and dead letters. Without \
it, erases the whole tenant, its settings and keys first.

It works beside running servers. What is being sent at that moment still arrives. The audit trail \
records who erased how much and when, with a salted hash of the subject.")]
pub(super) struct Args {
    /// Tenant id
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// Value that identifies the person; - reads it from standard input
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Where an event contains the value, such as `data.user_id`; can be repeated
    #[arg(long = "path", value_name = "PATH", requires = "subject")]
    paths: Vec<String>,
    /// Count what would be erased and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Erase without asking for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> CommandResult {
    event::tenant_id(args.tenant.as_bytes())
        .map_err(|refusal| Failure::Refused(refusal.message))?;
    match args.server.api()? {
        Some(api) => on_server(&api, &args).await,
        None => on_store(&args).await,
    }
}

async fn on_store(args: &Args) -> CommandResult {
    let (config, store) = args.store.open_existing().await?;
    let extent = extent(args, &config.privacy.subject_paths)?;
    let erasing = Erasing { tenant: args.tenant.clone(), extent, unclaimed: true };
    if args.dry_run || !args.yes {
        let found = ops::find(&store, &erasing).await?;
        if args.dry_run {
            let data = json!({"dry_run": true, "erased": found});
            print(args, "would be erased", &found, &data);
            return Ok(());
        }
        confirm(args, &found)?;
    }
    let by = Principal {
        key_id: ACTOR.into(),
        role: Role::Operator,
        tenant: None,
        environment: Environment::Live,
        portal: false,
    };
    let report = ops::erase(&store, &erasing, &by, Clock::System, &|_| ()).await?;
    let data = json!({
        "dry_run": false, "audit": report.id, "erased": report.found, "scrubbed": report.scrubbed,
        "elsewhere": report.elsewhere,
    });
    finish(args, &report.found, &data)
}

async fn on_server(api: &Api, args: &Args) -> CommandResult {
    let subject = subject(args)?;
    let request = |dry_run: bool| {
        let mut body = json!({"dry_run": dry_run});
        match &subject {
            Some(subject) => body["subject"] = subject.as_str().into(),
            None => body["everything"] = true.into(),
        }
        if !args.paths.is_empty() {
            body["paths"] = args.paths.as_slice().into();
        }
        ApiRequest::new(Method::POST, &["tenants", &args.tenant, "erasures"]).body(body)
    };
    if args.dry_run || !args.yes {
        let found = api.data(request(true)).await?;
        if args.dry_run {
            print(args, "would be erased", &counts(&found)?, &found);
            return Ok(());
        }
        confirm(args, &counts(&found)?)?;
    }
    let erased = api.data(request(false)).await?;
    finish(args, &counts(&erased)?, &erased)
}

fn counts(data: &Value) -> Result<Found, Failure> {
    let counts = serde_json::from_value(data["erased"].clone());
    Ok(counts.context("the response has no counts; check --server")?)
}

/// The subject, as given or from standard input.
fn subject(args: &Args) -> Result<Option<String>, Failure> {
    match args.subject.as_deref() {
        Some("-") => Ok(Some(read_line()?)),
        given => Ok(given.map(str::to_owned)),
    }
}

/// A line of standard input without its end.
fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read standard input")?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn extent(args: &Args, configured: &[String]) -> Result<Extent, Failure> {
    let Some(value) = subject(args)? else { return Ok(Extent::Everything) };
    let paths = if args.paths.is_empty() { configured } else { &args.paths };
    let subject = Subject::new(&value, paths).map_err(|(field, message)| {
        let option = if field == "paths" { "--path" } else { "--subject" };
        Failure::refused(format!("{option}: {message}"))
    });
    Ok(Extent::Subject(subject?))
}

/// Asks a person to type the tenant's id.
fn confirm(args: &Args, found: &Found) -> Result<(), Failure> {
    if args.subject.as_deref() == Some("-") || !io::stdin().is_terminal() {
        return Err(Failure::refused(
            "nothing was erased: this cannot be undone, so confirm it with --yes, or pass \
             --dry-run to see what would be erased",
        ));
    }
    output::note(described("will be erased", found));
    output::note(format!(
        "This cannot be undone. Type the tenant id ({}) to continue:",
        args.tenant
    ));
    if read_line()?.trim() == args.tenant {
        return Ok(());
    }
    Err(Failure::refused("nothing was erased: what you typed is not the tenant id"))
}

/// Prints what was erased. A failure if the store's files may still contain it.
fn finish(args: &Args, found: &Found, data: &Value) -> CommandResult {
    print(args, "erased", found, data);
    if let (false, Some(audit)) = (args.json, data["audit"].as_str()) {
        output::line(format!("recorded in the audit trail as {audit}"));
    }
    for file in data["elsewhere"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(format!(
            "{file} may still contain the data; remove it when you do not need it"
        ));
    }
    if data["scrubbed"] == true {
        return Ok(());
    }
    Err(Failure::refused(
        "the data was erased, but another process kept the store from removing it from its files; \
         run the command again",
    ))
}

fn print(args: &Args, participle: &str, found: &Found, data: &Value) {
    if args.json {
        output::json(data);
    } else {
        output::line(described(participle, found));
    }
}

fn described(participle: &str, found: &Found) -> String {
    let Found { events, deliveries, waiting, entries, rejected, keys } = found;
    format!(
        "{participle}: {events} events, {deliveries} deliveries ({waiting} waiting), {entries} \
         stream entries, {rejected} rejected entries, {keys} keys"
    )
}
