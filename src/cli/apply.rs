//! `fanfare apply`: tenant files into the store. All or nothing: one mistake, and none is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;
use http::Method;
use serde_json::json;

use super::remote::{Api, Ask};
use super::settings::Settings;
use super::{Done, Failure, output};
use crate::app;
use crate::config::Config;
use crate::delivery::layers::Quiet;
use crate::store::Store;
use crate::tenant::{self, Channels, Problem, TenantSpec, file};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Example:
  fanfare apply config/tenants --development
  fanfare apply acme.toml --store redis://127.0.0.1:6379
  fanfare apply config/tenants --prune --dry-run")]
pub(super) struct Args {
    /// Tenant files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Allow http:// and loopback receivers
    #[arg(long, env = "FANFARE_DEVELOPMENT", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    development: bool,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    /// Remove the tenants that are in the store and in none of the files, with their keys
    #[arg(long)]
    prune: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Done {
    let mut config = args.settings.load()?;
    config.development |= args.development;
    let specs = read(&args.paths).map_err(|problems| told(&problems))?;
    let channels = offline_channels(&config)?;
    let store = app::open_store(&config, app::Purpose::Tool).await?;
    let named: BTreeSet<String> = specs.iter().map(|(_, spec)| spec.id.clone()).collect();
    let mut applied = apply(&store, &config, &channels, specs, args.dry_run).await?;
    if args.prune {
        applied.extend(prune(&config, &store, &named, args.dry_run).await?);
    }
    if args.json {
        output::json(&json!({"tenants": applied.iter().map(Applied::json).collect::<Vec<_>>()}));
        return Ok(());
    }
    for tenant in &applied {
        tenant.print(args.dry_run);
    }
    Ok(())
}

/// Removes the tenants that are not named, as the API does: keys and audit trail included.
async fn prune(
    config: &Config,
    store: &Store,
    named: &BTreeSet<String>,
    dry_run: bool,
) -> Result<Vec<Applied>, Failure> {
    let (_, stored) = store.directory.all().await?;
    let ids = stored.into_iter().map(|tenant| tenant.id).filter(|id| !named.contains(id));
    let ids: Vec<String> = ids.collect();
    if !ids.is_empty() && !dry_run {
        let api = Api::over(config, store.clone()).await?;
        for id in &ids {
            api.call(Ask::of(Method::DELETE, &["tenants", id])).await?;
        }
    }
    Ok(ids.into_iter().map(Applied::removed).collect())
}

/// The channels, for checking and completing settings; nothing is sent.
pub(super) fn offline_channels(config: &Config) -> Result<Channels, Failure> {
    let templates = Arc::new(app::engine(config, &BTreeMap::new())?);
    Ok(app::channels(config, templates, Arc::new(Forgetful), Arc::new(Quiet))?)
}

/// A memory for channels that send nothing.
struct Forgetful;

#[async_trait::async_trait]
impl fanfare_contract::Memo for Forgetful {
    async fn get(&self, _: &str) -> Option<String> {
        None
    }
    async fn put(&self, _: &str, _: &str, _: std::time::Duration) {}
}

/// Reads files and folders.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(PathBuf, TenantSpec)>, Vec<Problem>> {
    let mut specs = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let read = if path.is_dir() {
            file::read_dir(path, &file::process_env)
        } else {
            file::read(path, &file::process_env).map(|spec| vec![(path.clone(), spec)])
        };
        match read {
            Ok(found) => specs.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(specs) } else { Err(problems) }
}

/// Prints problems; the failure that follows.
pub(super) fn told(problems: &[Problem]) -> Failure {
    for problem in problems {
        output::error(&problem.to_string());
    }
    Failure::No
}

/// What became of one tenant.
pub(super) struct Applied {
    id: String,
    created: bool,
    removed: bool,
    changes: Vec<String>,
    /// (destination, field, value) made just now and shown this once.
    revealed: Vec<(String, String, String)>,
}

impl Applied {
    fn removed(id: String) -> Self {
        let changes = vec!["- all of it".to_owned()];
        Self { id, created: false, removed: true, changes, revealed: Vec::new() }
    }

    fn json(&self) -> serde_json::Value {
        let outcome = if self.removed {
            "removed"
        } else if self.created {
            "created"
        } else if self.changes.is_empty() {
            "unchanged"
        } else {
            "changed"
        };
        let revealed = self.revealed.iter().map(|(destination, field, value)| {
            json!({"destination": destination, "field": field, "value": value})
        });
        json!({
            "id": self.id, "outcome": outcome, "changes": self.changes,
            "revealed": revealed.collect::<Vec<_>>(),
        })
    }

    pub(super) fn print(&self, dry_run: bool) {
        let would = if dry_run { " (dry run)" } else { "" };
        if self.changes.is_empty() {
            output::line(format!("{}: unchanged", self.id));
            return;
        }
        let word = match (self.removed, self.created) {
            (true, _) => "removed",
            (_, true) => "new tenant",
            _ => "changed",
        };
        output::line(format!("{}: {word}{would}", self.id));
        for change in &self.changes {
            output::line(format!("  {change}"));
        }
        for (destination, field, value) in &self.revealed {
            output::line(format!("  {destination}: {field} = {value}"));
            output::note("  this was made now and is shown once; keep it");
        }
    }
}

/// Checks all, then writes those that changed.
pub(super) async fn apply(
    store: &Store,
    config: &Config,
    channels: &Channels,
    specs: Vec<(PathBuf, TenantSpec)>,
    dry_run: bool,
) -> Result<Vec<Applied>, Failure> {
    let show = if dry_run { Show::Dry } else { Show::Made };
    write(store, config, channels, specs, show).await.map_err(|refused| match refused {
        Refused::Problems(problems) => told(&problems),
        Refused::Store(error) => error.into(),
    })
}

/// The same for a server, which has nowhere to show a secret: the ids that changed, or what is
/// wrong, as lines.
pub(super) async fn apply_quietly(
    store: &Store,
    config: &Config,
    channels: &Channels,
    specs: Vec<(PathBuf, TenantSpec)>,
) -> Result<Vec<String>, Vec<String>> {
    match write(store, config, channels, specs, Show::Nothing).await {
        Ok(applied) => {
            let changed = applied.into_iter().filter(|tenant| !tenant.changes.is_empty());
            Ok(changed.map(|tenant| tenant.id).collect())
        }
        Err(Refused::Problems(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
        Err(Refused::Store(error)) => Err(vec![error.to_string()]),
    }
}

/// What is done with values that are made rather than given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// They are shown, this once.
    Made,
    /// Nothing is written, so nothing is made.
    Dry,
    /// They cannot be shown: making one is refused.
    Nothing,
}

/// Why nothing was written.
enum Refused {
    Problems(Vec<Problem>),
    Store(crate::store::StoreError),
}

impl From<crate::store::StoreError> for Refused {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Store(error)
    }
}

async fn write(
    store: &Store,
    config: &Config,
    channels: &Channels,
    specs: Vec<(PathBuf, TenantSpec)>,
    show: Show,
) -> Result<Vec<Applied>, Refused> {
    let mut ready = Vec::new();
    let mut problems = Vec::new();
    let mut all = tenant::all_stored(store).await?;
    for (path, mut spec) in specs {
        let before = all.remove(&spec.id);
        let revealed = complete(&mut spec, before.as_ref(), channels);
        if show == Show::Nothing {
            problems.extend(in_file(revealed.iter().map(unshowable).collect(), &path));
        }
        let compiled = tenant::compile(Arc::new(spec.clone()), 0, channels, None);
        let mut found = compiled.err().unwrap_or_default();
        found.extend(template_problems(config, &spec));
        if found.is_empty() {
            ready.push((spec, before, revealed));
        } else {
            problems.extend(in_file(found, &path));
        }
    }
    if !problems.is_empty() {
        return Err(Refused::Problems(problems));
    }
    let mut applied = Vec::new();
    for (spec, before, revealed) in ready {
        let changes = changes(before.as_ref(), &spec);
        let (id, created) = (spec.id.clone(), before.is_none());
        if show != Show::Dry && !changes.is_empty() {
            tenant::put(store, channels, spec).await.map_err(|error| match error {
                tenant::PutError::Problems(problems) => Refused::Problems(problems),
                tenant::PutError::Store(error) => Refused::Store(error),
            })?;
        }
        let revealed = if show == Show::Made { revealed } else { Vec::new() };
        applied.push(Applied { id, created, removed: false, changes, revealed });
    }
    Ok(applied)
}

fn unshowable((destination, field, _): &(String, String, String)) -> Problem {
    Problem::new(
        format!("destination \"{destination}\""),
        field.as_str(),
        "is missing; run `fanfare apply` with this file first, which makes one and shows it once, or \
         write { env = \"NAME\" }",
    )
}

fn in_file(problems: Vec<Problem>, path: &Path) -> Vec<Problem> {
    let file = path.display().to_string();
    problems.into_iter().map(|problem| problem.in_file(&file)).collect()
}

/// Fills in what is made rather than given: kept from the stored document, or made now.
fn complete(
    spec: &mut TenantSpec,
    before: Option<&TenantSpec>,
    channels: &Channels,
) -> Vec<(String, String, String)> {
    let mut revealed = Vec::new();
    for destination in &mut spec.destinations {
        let Some((channel, _)) = channels.get(&destination.channel) else { continue };
        let mut made = destination.fields.clone();
        for value in channel.complete(&mut made) {
            let old = before
                .and_then(|spec| spec.destinations.iter().find(|d| d.id == destination.id))
                .filter(|old| old.channel == destination.channel)
                .and_then(|old| old.fields.get(value.field));
            match old {
                Some(old) => _ = made.insert(value.field.to_owned(), old.clone()),
                None => {
                    revealed.push((destination.id.clone(), value.field.to_owned(), value.value));
                }
            }
        }
        destination.fields = made;
    }
    revealed
}

/// The same without a store: what would be made is made and thrown away.
pub(super) fn complete_for_check(spec: &mut TenantSpec, channels: &Channels) {
    complete(spec, None, channels);
}

/// What is wrong with a tenant's own templates and links.
pub(super) fn template_problems(config: &Config, spec: &TenantSpec) -> Vec<Problem> {
    if spec.templates.is_empty() && spec.links.is_empty() {
        return Vec::new();
    }
    let own = match app::render_tenant(spec) {
        Ok(own) => own,
        Err(errors) => {
            return errors.into_iter().map(|error| Problem::new("links", "", error)).collect();
        }
    };
    match app::engine(config, &BTreeMap::from([(spec.id.clone(), own)])) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Problem::new("templates", "", error.to_string())],
    }
}

/// What changes, a line each; no values, for some are secrets.
fn changes(before: Option<&TenantSpec>, now: &TenantSpec) -> Vec<String> {
    let mut lines = Vec::new();
    let empty = TenantSpec { name: String::new(), ..TenantSpec::empty(&now.id) };
    let before = before.unwrap_or(&empty);
    if before.name != now.name {
        lines.push(format!("~ name: {}", now.name));
    }
    for new in &now.destinations {
        match before.destinations.iter().find(|old| old.id == new.id) {
            None => lines.push(format!("+ destination {} ({})", new.id, new.channel)),
            Some(old) if old != new => {
                lines.push(format!("~ destination {}: {}", new.id, changed_fields(old, new)));
            }
            Some(_) => {}
        }
    }
    for old in &before.destinations {
        if !now.destinations.iter().any(|new| new.id == old.id) {
            lines.push(format!("- destination {}", old.id));
        }
    }
    let shown = |route: &crate::routing::RouteSpec| {
        let filter = if route.when.is_some() { " (filtered)" } else { "" };
        format!("route {}{filter} → {}", route.events.join(", "), route.to.join(", "))
    };
    let added = now.routes.iter().filter(|route| !before.routes.contains(route));
    lines.extend(added.map(|route| format!("+ {}", shown(route))));
    let removed = before.routes.iter().filter(|route| !now.routes.contains(route));
    lines.extend(removed.map(|route| format!("- {}", shown(route))));
    if lines.is_empty()
        && (&before.destinations, &before.routes) != (&now.destinations, &now.routes)
    {
        lines.push("~ order".to_owned());
    }
    if before.templates != now.templates {
        lines.push("~ templates".to_owned());
    }
    if before.links != now.links {
        lines.push("~ links".to_owned());
    }
    lines
}

fn changed_fields(
    old: &crate::tenant::DestinationSpec,
    new: &crate::tenant::DestinationSpec,
) -> String {
    let mut fields: Vec<&str> = old
        .fields
        .iter()
        .filter(|(key, value)| new.fields.get(*key) != Some(value))
        .map(|(key, _)| key.as_str())
        .chain(new.fields.keys().filter(|key| !old.fields.contains_key(*key)).map(String::as_str))
        .collect();
    if old.channel != new.channel {
        fields.push("channel");
    }
    fields.join(", ")
}
