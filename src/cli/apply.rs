//! `fanfare apply`: writes tenant files to a store or a server.
//!
//! It shows what changes before it writes anything. If any file has a mistake, it writes nothing.
//! Tenants are checked and written several at a time, so that the store can commit them together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use futures::{FutureExt as _, StreamExt as _, stream};
use http::Method;
use serde_json::{Map, Value, json};

use super::options::Target;
use super::remote::{Api, ApiRequest, ApiResponse, StoreUse, reason};
use super::{CommandResult, Failure, output, progress, show, tenant_files};
use crate::event::{reserved_tenant_id, tenant_id};
use crate::tenant::TenantSpec;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare apply config/tenants --development
  fanfare apply acme.toml --store redis://127.0.0.1:6379
  fanfare apply config/tenants --server https://fanfare.example --dry-run
  fanfare apply config/tenants --prune

Shows what changes, then writes it. If a file has a mistake, nothing is written. On a server, the \
admin of a tenant may apply its file. Creating and deleting tenants, and changing [quotas], \
requires an operator.")]
pub(super) struct Args {
    /// Tenant files, or folders of tenant files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show what would change and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Also delete the tenants that are in none of the files, with their keys
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let specs =
        tenant_files::read(&args.paths).map_err(|problems| tenant_files::report(&problems))?;
    let api = Api::open(&args.target, StoreUse::CreateChecked).await?;
    let mut plans = plan(&api, specs).await?;
    let deleted = if args.prune { unnamed(&api, &plans).await? } else { Vec::new() };
    if !args.target.json {
        print(&plans, &deleted, args.dry_run);
    }
    if !args.dry_run {
        write(&api, &mut plans, args.target.json).await?;
        for id in &deleted {
            api.call(ApiRequest::new(Method::DELETE, &["tenants", id])).await?;
        }
    }
    if args.target.json {
        output::json(&summary(&plans, &deleted));
    }
    Ok(())
}

/// Tenants that are checked or written at once.
const AT_ONCE: usize = 32;
/// How long to wait when the server allows no more requests for the moment.
const RATE_PAUSE: Duration = Duration::from_secs(1);

/// What to do with one tenant.
struct Plan {
    id: String,
    /// What to write. Null once it is written, or if nothing changes.
    body: Value,
    /// The version that the changes were computed for.
    etag: Option<String>,
    /// `created`, `changed`, or `unchanged`.
    outcome: String,
    changes: Vec<String>,
    /// Secrets that the API generated, to be shown once.
    generated: Vec<Value>,
}

/// Asks the API what all files would change. Prints every mistake with its file.
async fn plan(api: &Api, specs: Vec<(PathBuf, TenantSpec)>) -> Result<Vec<Plan>, Failure> {
    let bar = progress::bar(specs.len() as u64, "checking {bar:30} {pos}/{len} {eta}");
    let plans = specs.into_iter().map(|(path, spec)| plan_one(api, path, spec).boxed());
    let mut plans = stream::iter(plans).buffered(AT_ONCE);
    let (mut valid, mut is_valid) = (Vec::new(), true);
    while let Some(plan) = plans.next().await {
        bar.inc(1);
        match plan {
            Ok(plan) => valid.push(plan),
            Err(Failure::Reported) => is_valid = false,
            Err(other) => return Err(other),
        }
    }
    bar.finish_and_clear();
    if is_valid { Ok(valid) } else { Err(Failure::Reported) }
}

async fn plan_one(api: &Api, path: PathBuf, spec: TenantSpec) -> Result<Plan, Failure> {
    let wrong = tenant_id(spec.id.as_bytes()).err().map(|refusal| refusal.message);
    // In a path, `me` would be the tenant of the key.
    let reserved = reserved_tenant_id(&spec.id).filter(|_| spec.id == "me");
    if let Some(message) = wrong.or_else(|| reserved.map(str::to_owned)) {
        output::error(&format!("{}: tenant, id: {message}", path.display()));
        return Err(Failure::Reported);
    }
    let body = document(&spec);
    let request = put(&spec.id).query("dry_run", Some(true)).body(body.clone());
    let response = call(api, request).await?.map_err(|error| {
        print_mistakes(&path, &error);
        Failure::Reported
    })?;
    let outcome = show::word(&response.data["outcome"]);
    Ok(Plan {
        id: spec.id,
        body: if outcome == UNCHANGED { Value::Null } else { body },
        etag: response.etag,
        outcome,
        changes: words(&response.data["changes"]),
        generated: Vec::new(),
    })
}

/// Writes what was shown.
async fn write(api: &Api, plans: &mut [Plan], as_json: bool) -> CommandResult {
    let changed = plans.iter_mut().filter(|plan| plan.outcome != UNCHANGED);
    let writes: Vec<_> = changed.map(|plan| plan.write(api).boxed()).collect();
    let bar = progress::bar(writes.len() as u64, "writing {bar:30} {pos}/{len} {eta}");
    let mut writes = stream::iter(writes).buffered(AT_ONCE);
    while let Some(written) = writes.next().await {
        bar.inc(1);
        let plan = written?;
        if !as_json {
            bar.suspend(|| plan.print_generated());
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Calls the API, and again after a pause if the key has used up its requests.
async fn call(api: &Api, request: ApiRequest) -> Result<Result<ApiResponse, Value>, Failure> {
    loop {
        match api.try_call(request.clone()).await? {
            Err(error) if error["code"] == "too_many_requests" => {
                tokio::time::sleep(RATE_PAUSE).await;
            }
            answer => return Ok(answer),
        }
    }
}

fn print_mistakes(path: &Path, error: &Value) {
    let file = path.display();
    let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    for detail in details {
        let [field, message] = ["field", "message"].map(|name| show::word(&detail[name]));
        let field = if field.is_empty() { field } else { format!("{field}: ") };
        output::error(&format!("{file}: {field}{message}"));
    }
    if details.is_empty() {
        output::error(&format!("{file}: {}", reason(error)));
    }
}

fn put(id: &str) -> ApiRequest {
    ApiRequest::new(Method::PUT, &["tenants", id, "document"])
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(show::word).collect()
}

/// A tenant file in the API's format.
fn document(spec: &TenantSpec) -> Value {
    let destination = |one: &crate::tenant::DestinationSpec| {
        let settings: &Map<String, Value> = &one.fields;
        json!({"id": one.id, "channel": one.channel, "settings": settings})
    };
    let destinations: Vec<Value> = spec.destinations.iter().map(destination).collect();
    let mut document = json!({
        "name": spec.name, "destinations": destinations, "routes": spec.routes,
        "links": spec.links, "templates": spec.templates,
    });
    if let Some(quotas) = &spec.quotas {
        document["quotas"] = json!(quotas);
    }
    document
}

/// The tenants that are in none of the files.
async fn unnamed(api: &Api, plans: &[Plan]) -> Result<Vec<String>, Failure> {
    let named: BTreeSet<&str> = plans.iter().map(|plan| plan.id.as_str()).collect();
    let mut unnamed = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let request = ApiRequest::new(Method::GET, &["tenants"]).query("limit", Some(1000));
        let page = api.data(request.query("cursor", cursor.as_ref())).await?;
        let ids = page["data"].as_array().into_iter().flatten().map(|one| show::word(&one["id"]));
        unnamed.extend(ids.filter(|id| !named.contains(id.as_str())));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(unnamed);
        }
    }
}

/// The outcome of a file that changes nothing.
const UNCHANGED: &str = "unchanged";

/// How a deletion is listed among the changes.
const DELETED: &str = "- everything";

fn print(plans: &[Plan], deleted: &[String], dry_run: bool) {
    let suffix = if dry_run { " (dry run)" } else { "" };
    for plan in plans {
        plan.print(suffix);
    }
    for id in deleted {
        output::line(format!("{id}: deleted{suffix}\n  {DELETED}"));
    }
}

fn summary(plans: &[Plan], deleted: &[String]) -> Value {
    let deleted = deleted
        .iter()
        .map(|id| json!({"id": id, "outcome": "removed", "changes": [DELETED], "revealed": []}));
    let tenants: Vec<Value> = plans.iter().map(Plan::json).chain(deleted).collect();
    json!({"tenants": tenants})
}

impl Plan {
    fn print(&self, suffix: &str) {
        let outcome = match &*self.outcome {
            UNCHANGED => return output::line(format!("{}: unchanged", self.id)),
            "created" => "new tenant",
            _ => "changed",
        };
        output::line(format!("{}: {outcome}{suffix}", self.id));
        for change in &self.changes {
            output::line(format!("  {change}"));
        }
    }

    /// Writes what was shown, unless the tenant has changed meanwhile.
    async fn write(&mut self, api: &Api) -> Result<&Self, Failure> {
        let request = put(&self.id).if_match(self.etag.take()).body(self.body.take());
        let response = call(api, request).await?.map_err(|error| {
            let reason = if error["code"] == "precondition_failed" {
                "it was changed meanwhile; run the command again".to_owned()
            } else {
                reason(&error)
            };
            Failure::refused(format!("{}: not written: {reason}", self.id))
        })?;
        self.generated = response.data["shown_once"].as_array().cloned().unwrap_or_default();
        Ok(self)
    }

    fn print_generated(&self) {
        if self.generated.is_empty() {
            return;
        }
        output::line(format!("{}: generated now and shown once, so store it:", self.id));
        for one in &self.generated {
            let [destination, field, value] =
                ["destination", "field", "value"].map(|name| show::word(&one[name]));
            output::line(format!("  {destination}: {field} = {value}"));
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "outcome": self.outcome, "changes": self.changes,
            "revealed": self.generated,
        })
    }
}
