//! `fanfare erase`: a tenant, or all events about somebody, for good.

use std::io::{self, IsTerminal as _};

use clap::Args as ClapArgs;
use http::Method;
use serde_json::json;

use super::remote::{Api, Ask, Remote};
use super::settings::Settings;
use super::{Done, Failure, output};
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

With --subject: events that have the value at one of the paths of [privacy] subject_paths (or --path),
with their deliveries and attempts, what waits of them, and dead letters. Without: the whole tenant, its
document and keys first. Works beside running servers; what is being sent at that moment still arrives.
The audit trail says who, when and how much, and of the subject a salted hash.")]
pub(super) struct Args {
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// Whom the events are about; - reads it from standard input
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Where in an event the value stands; several times
    #[arg(long = "path", value_name = "PATH", requires = "subject")]
    paths: Vec<String>,
    /// Count only, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    remote: Remote,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const UNSCRUBBED: &str = "erased, but a reader kept the store's files from being cut; run it again";

pub(super) async fn run(args: Args) -> Done {
    event::tenant_id(args.tenant.as_bytes())
        .map_err(|refusal| Failure::Because(refusal.message.clone()))?;
    if let Some(api) = args.remote.api()? {
        return at_server(&api, &args).await;
    }
    let (config, store) = args.settings.open_existing().await?;
    let extent = extent(&args, &config.privacy.subject_paths)?;
    let erasing = Erasing { tenant: args.tenant.clone(), extent, unclaimed: true };
    if args.dry_run || !args.yes {
        let found = ops::find(&store, &erasing).await?;
        if args.dry_run {
            show(&args, "would be erased", &found, &json!({"dry_run": true, "erased": found}));
            return Ok(());
        }
        confirm(&args, &found)?;
    }
    let by = Principal {
        key_id: "cli".into(),
        role: Role::Operator,
        tenant: None,
        environment: Environment::Live,
        portal: false,
    };
    let report = ops::erase(&store, &erasing, &by, Clock::System, &|_| ()).await?;
    let (audit, scrubbed) = (&report.id, report.scrubbed);
    let whole =
        json!({"dry_run": false, "audit": audit, "erased": report.found, "scrubbed": scrubbed});
    show(&args, "erased", &report.found, &whole);
    if !args.json {
        output::line(format!("in the audit trail as {audit}"));
    }
    if scrubbed {
        return Ok(());
    }
    Err(Failure::Because(UNSCRUBBED.to_owned()))
}

/// The same by a server, which says what was erased.
async fn at_server(api: &Api, args: &Args) -> Done {
    let subject = subject(args)?;
    let asked = |dry_run: bool| {
        let mut body = json!({"dry_run": dry_run});
        match &subject {
            Some(subject) => body["subject"] = subject.as_str().into(),
            None => body["everything"] = true.into(),
        }
        if !args.paths.is_empty() {
            body["paths"] = args.paths.as_slice().into();
        }
        Ask::of(Method::POST, &["tenants", &args.tenant, "erasures"]).body(body)
    };
    if args.dry_run || !args.yes {
        let found = api.data(asked(true)).await?;
        if args.dry_run {
            show(args, "would be erased", &counts(&found)?, &found);
            return Ok(());
        }
        confirm(args, &counts(&found)?)?;
    }
    let erased = api.data(asked(false)).await?;
    show(args, "erased", &counts(&erased)?, &erased);
    if !args.json
        && let Some(audit) = erased["audit"].as_str()
    {
        output::line(format!("in the audit trail as {audit}"));
    }
    if erased["scrubbed"] == true { Ok(()) } else { Err(Failure::Because(UNSCRUBBED.to_owned())) }
}

fn counts(answer: &serde_json::Value) -> Result<Found, Failure> {
    serde_json::from_value(answer["erased"].clone()).map_err(|_| {
        Failure::Unreachable(anyhow::anyhow!("the answer has no counts; is it Fanfare's?"))
    })
}

/// Whom it is about, as given or from standard input.
fn subject(args: &Args) -> Result<Option<String>, Failure> {
    let Some(mut value) = args.subject.clone() else { return Ok(None) };
    if value == "-" {
        value.clear();
        let read = io::stdin().read_line(&mut value);
        read.map_err(|error| Failure::Unreachable(error.into()))?;
        value.truncate(value.trim_end_matches(['\r', '\n']).len());
    }
    Ok(Some(value))
}

fn extent(args: &Args, configured: &[String]) -> Result<Extent, Failure> {
    let Some(value) = subject(args)? else { return Ok(Extent::Everything) };
    let paths = if args.paths.is_empty() { configured } else { &args.paths };
    let subject = Subject::new(&value, paths);
    let named = |(field, message)| {
        let option = if field == "paths" { "--path" } else { "--subject" };
        Failure::Because(format!("{option}: {message}"))
    };
    Ok(Extent::Subject(subject.map_err(named)?))
}

fn confirm(args: &Args, found: &Found) -> Result<(), Failure> {
    if args.subject.as_deref() == Some("-") || !io::stdin().is_terminal() {
        let why = "nothing was erased: what is erased does not come back; add --yes, or --dry-run \
                   to see what it would be";
        return Err(Failure::Because(why.to_owned()));
    }
    output::note(described("will be erased", found));
    output::note(format!(
        "It does not come back. Type the tenant's id ({}) to go on:",
        args.tenant
    ));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::Unreachable(error.into()))?;
    if answer.trim() == args.tenant {
        return Ok(());
    }
    Err(Failure::Because("nothing was erased".to_owned()))
}

fn show(args: &Args, word: &str, found: &Found, whole: &serde_json::Value) {
    if args.json {
        output::json(whole);
    } else {
        output::line(described(word, found));
    }
}

fn described(word: &str, found: &Found) -> String {
    let Found { events, deliveries, waiting, entries, rejected, keys } = found;
    format!(
        "{word}: {events} events, {deliveries} deliveries ({waiting} waiting), {entries} entries of \
         the stream, {rejected} rejected entries, {keys} keys"
    )
}
