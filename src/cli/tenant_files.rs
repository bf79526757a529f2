//! Tenant files without the API: read and checked without a store, and written to the store of a
//! router in the same process.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{Failure, output};
use crate::agenda::Clock;
use crate::app;
use crate::config::Config;
use crate::delivery::layers::Quiet;
use crate::tenant::{self, Channels, MadeValue, Problem, PutError, TenantSpec, file};
use fanfare_store::Store;

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

/// Tenants that are written at once.
const CONCURRENT_WRITES: usize = 64;

/// Reads and checks all files and folders, then writes the tenants that changed. Returns their ids,
/// or the problems as lines.
pub(super) async fn apply(
    store: &Store,
    config: &Config,
    channels: &Channels,
    paths: &[PathBuf],
    missing_secrets: MissingSecrets,
) -> Result<Vec<String>, Vec<String>> {
    let rules = Rules { config, channels, missing_secrets };
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
    let stored = tenant::all_stored(store).await?;
    // Keep only the document of each file: the parsed form takes several times the memory.
    let checked = tenant::on_all_cores(&files, |path| rules.check(path, &stored));
    let checked = all_or_problems(&files, checked, |checked| &checked.id);
    let changed = |checked: Checked| Some((checked.id, checked.document?));
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

/// The rules by which a file is checked.
struct Rules<'r> {
    config: &'r Config,
    channels: &'r Channels,
    missing_secrets: MissingSecrets,
}

/// A valid file.
struct Checked {
    id: String,
    /// The document to store, unless the store has the same one.
    document: Option<Bytes>,
}

impl Rules<'_> {
    fn check(&self, path: &Path, stored: &HashMap<String, Bytes>) -> Result<Checked, Vec<Problem>> {
        let mut spec = file::read(path, &file::process_env)?;
        // A stored document that cannot be read is replaced.
        let before = stored.get(&spec.id).and_then(|document| tenant::read(document).ok());
        let generated = tenant::complete(&mut spec, before.as_ref(), self.channels);
        let mut found = Vec::new();
        if self.missing_secrets == MissingSecrets::Refuse {
            found.extend(generated.iter().map(missing_secret));
        }
        let compiled = tenant::compile(&spec, 0, self.channels, None);
        found.extend(compiled.err().unwrap_or_default());
        found.extend(tenant::review(&spec, before.as_ref(), self.channels));
        found.extend(template_problems(self.config, &spec));
        found.extend(quota_problems(self.config, before.as_ref(), &spec));
        if !found.is_empty() {
            return Err(in_file(found, path));
        }
        let is_changed = !tenant::changes(before.as_ref(), &spec).is_empty();
        let document = is_changed.then(|| tenant::document(&spec));
        Ok(Checked { id: spec.id, document })
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

fn in_file(problems: Vec<Problem>, path: &Path) -> Vec<Problem> {
    let file = path.display().to_string();
    problems.into_iter().map(|problem| problem.in_file(&file)).collect()
}

/// Fills in generated values, such as secrets, so that the rest can be checked.
pub(super) fn complete_for_check(spec: &mut TenantSpec, channels: &Channels) {
    tenant::complete(spec, None, channels);
}

/// The quotas that a file exceeds: those in the file, or those that the tenant has.
pub(super) fn quota_problems(
    config: &Config,
    before: Option<&TenantSpec>,
    spec: &TenantSpec,
) -> impl Iterator<Item = Problem> {
    let kept = before.and_then(|before| before.quotas.as_ref());
    let limits = app::quota_limits(config).with(spec.quotas.as_ref().or(kept));
    tenant::over_quota(&limits, before, spec).into_iter().map(|(_, problem)| problem)
}

/// The problems of a tenant's own templates and links.
pub(super) fn template_problems(config: &Config, spec: &TenantSpec) -> Vec<Problem> {
    if spec.templates.is_empty() && spec.links.is_empty() {
        return Vec::new();
    }
    let own = match app::render_tenant(&spec.wording()) {
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
