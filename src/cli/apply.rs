//! `fanfare apply`: tenant files into a store or a server. First it is told what changes, then it is
//! written, tenant by tenant; with one mistake in any file, nothing is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use http::Method;
use serde_json::{Map, Value, json};

use super::remote::{Api, Ask, Target, Use};
use super::{Done, Failure, output, show, tenant_files};
use crate::event::tenant_id;
use crate::tenant::TenantSpec;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare apply config/tenants --development
  fanfare apply acme.toml --store redis://127.0.0.1:6379
  fanfare apply config/tenants --server https://fanfare.example --dry-run
  fanfare apply config/tenants --prune

What changes is shown before anything is written; with --dry-run that is all. A tenant's admin may
apply its own tenant's file to a server; making and removing tenants takes an operator.")]
pub(super) struct Args {
    /// Tenant files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    /// Remove the tenants that are there and in none of the files, with their keys
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> Done {
    let specs =
        tenant_files::read(&args.paths).map_err(|problems| tenant_files::told(&problems))?;
    let api = Api::open(&args.target, Use::Apply).await?;
    let mut plans = plan(&api, &specs).await?;
    let gone = if args.prune { unnamed(&api, &specs).await? } else { Vec::new() };
    if !args.target.json {
        let would = if args.dry_run { " (dry run)" } else { "" };
        for plan in &plans {
            plan.print(would);
        }
        for id in &gone {
            output::line(format!("{id}: removed{would}\n  - all of it"));
        }
    }
    if !args.dry_run {
        for plan in plans.iter_mut().filter(|plan| plan.outcome != "unchanged") {
            plan.write(&api, args.target.json).await?;
        }
        for id in &gone {
            api.call(Ask::of(Method::DELETE, &["tenants", id])).await?;
        }
    }
    if args.target.json {
        let removed = |id: &String| json!({"id": id, "outcome": "removed", "changes": ["- all of it"], "revealed": []});
        let all: Vec<Value> =
            plans.iter().map(Plan::json).chain(gone.iter().map(removed)).collect();
        output::json(&json!({"tenants": all}));
    }
    Ok(())
}

/// What is to become of one tenant.
struct Plan {
    id: String,
    body: Value,
    /// The version that it was told of.
    tag: Option<String>,
    outcome: String,
    changes: Vec<String>,
    /// What was made, to be shown once.
    revealed: Value,
}

/// Asks what all of the files would change. What is wrong is told with the file, all at once.
async fn plan(api: &Api, specs: &[(PathBuf, TenantSpec)]) -> Result<Vec<Plan>, Failure> {
    let mut plans = Vec::new();
    let mut is_wrong = false;
    for (path, spec) in specs {
        let file = path.display();
        if let Err(refusal) = tenant_id(spec.id.as_bytes()) {
            output::error(&format!("{file}: tenant, id: {}", refusal.message));
            is_wrong = true;
            continue;
        }
        let body = body(spec);
        let ask = put(&spec.id).with("dry_run", Some(true)).body(body.clone());
        match api.try_call(ask).await? {
            Ok(answer) => plans.push(Plan {
                id: spec.id.clone(),
                body,
                tag: answer.tag,
                outcome: show::word(&answer.data["outcome"]),
                changes: lines(&answer.data["changes"]),
                revealed: json!([]),
            }),
            Err(error) => {
                is_wrong = true;
                let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
                for detail in details {
                    let [field, message] =
                        ["field", "message"].map(|name| show::word(&detail[name]));
                    let at = if field.is_empty() { field } else { format!("{field}: ") };
                    output::error(&format!("{file}: {at}{message}"));
                }
                if details.is_empty() {
                    output::error(&format!("{file}: {}", show::word(&error["message"])));
                }
            }
        }
    }
    if is_wrong { Err(Failure::No) } else { Ok(plans) }
}

fn put(id: &str) -> Ask {
    Ask::of(Method::PUT, &["tenants", id, "document"])
}

fn lines(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(show::word).collect()
}

/// What a file says, as the API takes it.
fn body(spec: &TenantSpec) -> Value {
    let destination = |one: &crate::tenant::DestinationSpec| {
        let settings: &Map<String, Value> = &one.fields;
        json!({"id": one.id, "channel": one.channel, "settings": settings})
    };
    let destinations: Vec<Value> = spec.destinations.iter().map(destination).collect();
    json!({
        "name": spec.name, "destinations": destinations, "routes": spec.routes,
        "links": spec.links, "templates": spec.templates,
    })
}

/// The tenants that are in no file.
async fn unnamed(api: &Api, specs: &[(PathBuf, TenantSpec)]) -> Result<Vec<String>, Failure> {
    let named: BTreeSet<&str> = specs.iter().map(|(_, spec)| spec.id.as_str()).collect();
    let mut gone = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let ask = Ask::of(Method::GET, &["tenants"]).with("limit", Some(1000));
        let page = api.data(ask.with("cursor", cursor.as_ref())).await?;
        let ids = page["data"].as_array().into_iter().flatten().map(|one| show::word(&one["id"]));
        gone.extend(ids.filter(|id| !named.contains(id.as_str())));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(gone);
        }
    }
}

impl Plan {
    fn print(&self, would: &str) {
        let word = match &*self.outcome {
            "unchanged" => return output::line(format!("{}: unchanged", self.id)),
            "created" => "new tenant",
            _ => "changed",
        };
        output::line(format!("{}: {word}{would}", self.id));
        for change in &self.changes {
            output::line(format!("  {change}"));
        }
    }

    /// Writes what was shown; not if somebody else changed the tenant meanwhile.
    async fn write(&mut self, api: &Api, quietly: bool) -> Done {
        let ask = put(&self.id).if_match(self.tag.take()).body(self.body.take());
        let answer = api.try_call(ask).await?.map_err(|error| {
            let message = show::word(&error["message"]);
            let why = if error["code"] == "precondition_failed" {
                "it was changed meanwhile; look at it again with --dry-run".to_owned()
            } else {
                message
            };
            Failure::Because(format!("{}: not written: {why}", self.id))
        })?;
        let made = answer.data["shown_once"].as_array().cloned().unwrap_or_default();
        if !quietly && !made.is_empty() {
            output::line(format!("{}: made now, and shown this once; keep it", self.id));
            for one in &made {
                let [destination, field, value] =
                    ["destination", "field", "value"].map(|name| show::word(&one[name]));
                output::line(format!("  {destination}: {field} = {value}"));
            }
        }
        self.revealed = made.into();
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "outcome": self.outcome, "changes": self.changes,
            "revealed": self.revealed,
        })
    }
}
