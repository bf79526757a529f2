//! Tenant files without the API: read and checked without a store, and written to the store of a
//! router in the same process.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::{Failure, output};
use crate::agenda::Clock;
use crate::app::{self, TenantEngines};
use crate::config::Config;
use crate::delivery::layers::Quiet;
use crate::tenant::{self, Channels, MadeValue, Problem, PutError, TenantSpec, file};
use fanfare_store::{Store, StoreError};

/// The channels, to check and complete settings. Nothing is sent.
pub(super) fn offline_channels(config: &Config) -> Result<Channels, Failure> {
    let templates = app::LiveTemplates::new(app::engine(config, &BTreeMap::new())?);
    let templates = Arc::new(templates);
    Ok(app::channels(config, templates, Arc::new(NoMemo), Arc::new(Quiet))?)
}

/// Remembers nothing, for channels that send nothing.
struct NoMemo;

#[async_trait::async_trait]
impl fanfare_contract::Memo for NoMemo {
    async fn get(&self, _: &str) -> Option<String> {
        None
    }
    async fn put(&self, _: &str, _: &str, _: std::time::Duration) {}
}

/// Reads files and folders.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(PathBuf, TenantSpec)>, Vec<Problem>> {
    let files = files(paths)?;
    let found = tenant::on_all_cores(&files, |path| file::read(path, &file::process_env));
    let found = all_or_problems(&files, found, |spec| &spec.id)?;
    Ok(files.into_iter().zip(found).collect())
}

/// These files, and those of these folders.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let found = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => file::list(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(vec![not_found(path)]),
            Ok(_) | Err(_) => Ok(vec![path.clone()]),
        };
        match found {
            Ok(found) => files.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn not_found(path: &Path) -> Problem {
    let message = "does not exist; name a tenant file, or a folder with one TOML file per tenant";
    Problem::new("", "", message).in_file(&path.display().to_string())
}

/// What was read from each file, if all are valid and each describes a tenant of its own. Otherwise
/// all problems of all files.
fn all_or_problems<T>(
    files: &[PathBuf],
    found: Vec<Result<T, Vec<Problem>>>,
    id: impl Fn(&T) -> &str,
) -> Result<Vec<T>, Vec<Problem>> {
    let (mut valid, mut problems) = (Vec::new(), Vec::new());
    for (path, found) in files.iter().zip(found) {
        match found {
            Ok(found) => valid.push((path, found)),
            Err(found) => problems.extend(found),
        }
    }
    problems.extend(file::duplicates(valid.iter().map(|(path, found)| (*path, id(found)))));
    let valid = || valid.into_iter().map(|(_, found)| found).collect();
    if problems.is_empty() { Ok(valid()) } else { Err(problems) }
}

/// Prints each problem as an error of its own, and returns the failure of the command.
pub(super) fn report<T: Display>(problems: &[T]) -> Failure {
    for problem in problems {
        output::error(&problem.to_string());
    }
    Failure::Reported
}

/// What to do about a secret that a file leaves out, such as a webhook's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingSecrets {
    /// Generate it. Nobody needs to see it.
    Generate,
    /// Refuse the file: a server has no way to show a generated secret.
    Refuse,
}

/// Tenants that are read or written at once.
const CONCURRENT_WRITES: usize = 64;
/// Files that are checked at once.
const CHECKED_AT_ONCE: usize = 1_000;

/// Reads and checks all files and folders, then writes the tenants that changed. Returns their ids,
/// or the problems as lines.
pub(super) async fn apply(
    store: &Store,
    config: &Config,
    channels: &Channels,
    paths: &[PathBuf],
    missing_secrets: MissingSecrets,
) -> Result<Vec<String>, Vec<String>> {
    let engines = app::tenant_engines(config).map_err(|error| vec![error.to_string()])?;
    let rules = Rules { config, channels, missing_secrets, engines };
    for warning in ignored(paths) {
        tracing::warn!("{warning}");
    }
    write(store, &rules, paths).await.map_err(|error| match error {
        PutError::Problems(problems) => problems.iter().map(ToString::to_string).collect(),
        PutError::Store(error) => vec![error.to_string()],
    })
}

async fn write(
    store: &Store,
    rules: &Rules<'_>,
    paths: &[PathBuf],
) -> Result<Vec<String>, PutError> {
    let files = files(paths).map_err(PutError::Problems)?;
    // Keep only the changed documents: all of them, parsed, take many times the memory.
    let mut checked = Vec::with_capacity(files.len());
    for part in files.chunks(CHECKED_AT_ONCE) {
        let read = tenant::on_all_cores(part, |path| file::read(path, &file::process_env));
        let ids = read.iter().map(|spec| spec.as_ref().ok().map(|spec| spec.id.clone()));
        let before = ids.map(|id| stored(store, id).boxed()).collect::<Vec<_>>();
        let before = stream::iter(before).buffered(CONCURRENT_WRITES).try_collect::<Vec<_>>();
        let work: Vec<_> = part.iter().zip(read).zip(before.await?).collect();
        checked.extend(tenant::on_all_cores(&work, |((path, spec), before)| {
            rules.check(path, spec.clone()?, before.as_ref())
        }));
    }
    let checked = all_or_problems(&files, checked, |checked| &checked.id);
    let changed = |checked: Checked| {
        for warning in &checked.warnings {
            tracing::warn!("{warning}");
        }
        Some((checked.id, checked.document?))
    };
    let (ids, documents): (Vec<_>, Vec<_>) =
        checked.map_err(PutError::Problems)?.into_iter().filter_map(changed).unzip();
    // Concurrently, because each write waits for the disk or the network.
    let writes = documents.into_iter().map(|document| async move {
        let spec = tenant::read(&document).map_err(PutError::Problems)?;
        tenant::put(store, rules.channels, spec, Clock::System.now_ms()).await
    });
    let written: Vec<_> = stream::iter(writes).buffered(CONCURRENT_WRITES).collect().await;
    written.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(ids)
}

/// The stored document of a tenant. One that cannot be read is replaced.
async fn stored(store: &Store, id: Option<String>) -> Result<Option<TenantSpec>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    let stored = store.directory.get(&id).await?;
    Ok(stored.and_then(|stored| tenant::read(&stored.doc).ok()))
}

/// The rules by which a file is checked.
struct Rules<'r> {
    config: &'r Config,
    channels: &'r Channels,
    missing_secrets: MissingSecrets,
    engines: TenantEngines,
}

/// A valid file.
struct Checked {
    id: String,
    /// The document to store, unless the store has the same one.
    document: Option<Bytes>,
    /// What is suspicious in it.
    warnings: Vec<Problem>,
    counts: Counts,
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) files: usize,
    pub(super) destinations: usize,
    pub(super) routes: usize,
    pub(super) templates: usize,
}

/// The result of a check.
#[derive(Default)]
pub(super) struct Report {
    pub(super) counts: Counts,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Checks files and folders by the rules of a server, without a store.
pub(super) fn check(config: &Config, paths: &[PathBuf]) -> Result<Report, Failure> {
    let files = match files(paths) {
        Ok(files) => files,
        Err(problems) => return Ok(Report { problems, ..Report::default() }),
    };
    let (channels, engines) = (offline_channels(config)?, app::tenant_engines(config)?);
    let missing_secrets = MissingSecrets::Refuse;
    let rules = Rules { config, channels: &channels, missing_secrets, engines };
    let checked = tenant::on_all_cores(&files, |path| {
        rules.check(path, file::read(path, &file::process_env)?, None)
    });
    let mut report = Report { warnings: ignored(paths), ..Report::default() };
    match all_or_problems(&files, checked, |checked| &checked.id) {
        Err(problems) => report.problems = problems,
        Ok(all) => {
            for one in all {
                let Counts { files, destinations, routes, templates } = one.counts;
                report.counts.files += files;
                report.counts.destinations += destinations;
                report.counts.routes += routes;
                report.counts.templates += templates;
                report.warnings.extend(one.warnings);
            }
        }
    }
    Ok(report)
}

/// The files of folders that are not read.
fn ignored(paths: &[PathBuf]) -> Vec<Problem> {
    paths.iter().filter(|path| path.is_dir()).flat_map(|path| file::ignored(path)).collect()
}

impl Rules<'_> {
    fn check(
        &self,
        path: &Path,
        mut spec: TenantSpec,
        before: Option<&TenantSpec>,
    ) -> Result<Checked, Vec<Problem>> {
        let generated = tenant::complete(&mut spec, before, self.channels);
        let mut found = Vec::new();
        if self.missing_secrets == MissingSecrets::Refuse {
            found.extend(generated.iter().map(missing_secret));
        }
        let compiled = tenant::compile(&spec, 0, self.channels, None);
        found.extend(compiled.err().unwrap_or_default());
        found.extend(tenant::review(&spec, before, self.channels));
        found.extend(template_problems(&self.engines, &spec));
        found.extend(quota_problems(self.config, before, &spec));
        if !found.is_empty() {
            return Err(file::in_file(found, path));
        }
        let is_changed = !tenant::changes(before, &spec).is_empty();
        let document = is_changed.then(|| tenant::document(&spec));
        let counts = Counts {
            files: 1,
            destinations: spec.destinations.len(),
            routes: spec.routes.len(),
            templates: spec.templates.len(),
        };
        let warnings = file::warnings(&spec, path);
        Ok(Checked { id: spec.id, document, warnings, counts })
    }
}

fn missing_secret(generated: &MadeValue) -> Problem {
    Problem::new(
        format!("destination \"{}\"", generated.destination),
        generated.field.as_str(),
        "is missing; run `fanfare apply` with this file first, which generates one and shows it \
         once, or write { env = \"NAME\" }",
    )
}

/// Fills in generated values, such as secrets, so that the rest can be checked.
pub(super) fn complete_for_check(spec: &mut TenantSpec, channels: &Channels) {
    tenant::complete(spec, None, channels);
}

/// The quotas that a file exceeds: those in the file, or those that the tenant has.
fn quota_problems(
    config: &Config,
    before: Option<&TenantSpec>,
    spec: &TenantSpec,
) -> impl Iterator<Item = Problem> {
    let kept = before.and_then(|before| before.quotas.as_ref());
    let limits = app::quota_limits(config).with(spec.quotas.as_ref().or(kept));
    tenant::over_quota(&limits, before, spec).into_iter().map(|(_, problem)| problem)
}

/// The problems of a tenant's own templates and links.
fn template_problems(engines: &TenantEngines, spec: &TenantSpec) -> Vec<Problem> {
    if spec.templates.is_empty() && spec.links.is_empty() {
        return Vec::new();
    }
    let problems = engines(spec).err().unwrap_or_default();
    // The message names the template.
    problems.into_iter().map(|problem| Problem { field: String::new(), ..problem }).collect()
}
