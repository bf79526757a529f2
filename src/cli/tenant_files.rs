//! Tenant files beside the API: read and checked without a store, and written to one by whoever
//! starts a router.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::{Failure, output};
use crate::app;
use crate::config::Config;
use crate::delivery::layers::Quiet;
use crate::tenant::{self, Channels, MadeValue, Problem, PutError, TenantSpec, file};
use fanfare_store::Store;

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
    let files = files(paths)?;
    let found = tenant::on_all_cores(&files, |path| file::read(path, &file::process_env));
    let found = whole(&files, found, |spec| &spec.id)?;
    Ok(files.into_iter().zip(found).collect())
}

/// These files, and those of these folders.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let found = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => file::list(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(vec![is_not_there(path)]),
            Ok(_) | Err(_) => Ok(vec![path.clone()]),
        };
        match found {
            Ok(found) => files.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn is_not_there(path: &Path) -> Problem {
    let message = "there is no such file or folder; name a folder with one TOML file a tenant, or \
                   one such file";
    Problem::new("tenants", "", message).in_file(&path.display().to_string())
}

/// What came of each file, if all are right and each is about a tenant of its own; otherwise all that is
/// wrong.
fn whole<T>(
    files: &[PathBuf],
    found: Vec<Result<T, Vec<Problem>>>,
    id: impl Fn(&T) -> &str,
) -> Result<Vec<T>, Vec<Problem>> {
    let (mut right, mut problems) = (Vec::new(), Vec::new());
    for (path, found) in files.iter().zip(found) {
        match found {
            Ok(found) => right.push((path, found)),
            Err(found) => problems.extend(found),
        }
    }
    problems.extend(file::duplicates(right.iter().map(|(path, found)| (*path, id(found)))));
    let right = || right.into_iter().map(|(_, found)| found).collect();
    if problems.is_empty() { Ok(right()) } else { Err(problems) }
}

/// Prints problems, each by itself; the failure that follows.
pub(super) fn told<T: Display>(problems: &[T]) -> Failure {
    for problem in problems {
        output::error(&problem.to_string());
    }
    Failure::No
}

/// Whether secrets may be made where files leave them out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They may: whoever asks needs no look at them.
    Made,
    /// A server has nowhere to show them: they must be there.
    Given,
}

/// Tenants that are written at once.
const AT_ONCE: usize = 64;

/// Reads and checks all files and folders, then writes those that changed; the ids of these, or what is
/// wrong, as lines.
pub(super) async fn apply(
    store: &Store,
    config: &Config,
    channels: &Channels,
    paths: &[PathBuf],
    secrets: Secrets,
) -> Result<Vec<String>, Vec<String>> {
    let lines = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    write(store, &Rules { config, channels, secrets }, paths).await.map_err(|refused| match refused
    {
        PutError::Problems(problems) => lines(problems),
        PutError::Store(error) => vec![error.to_string()],
    })
}

async fn write(
    store: &Store,
    rules: &Rules<'_>,
    paths: &[PathBuf],
) -> Result<Vec<String>, PutError> {
    let files = files(paths).map_err(PutError::Problems)?;
    let all = tenant::all_stored(store).await?;
    // Of each file only what is to be stored stays: read, it takes several times the memory.
    let checked = tenant::on_all_cores(&files, |path| rules.check(path, &all));
    let checked = whole(&files, checked, |checked| &checked.id).map_err(PutError::Problems)?;
    let changed = |checked: Checked| Some((checked.id, checked.document?));
    let (ids, documents): (Vec<_>, Vec<_>) = checked.into_iter().filter_map(changed).unzip();
    // Several at once: each waits for the disk or the network.
    let puts = documents.into_iter().map(|document| async move {
        let spec = tenant::read(&document).map_err(PutError::Problems)?;
        tenant::put(store, rules.channels, spec).await
    });
    let done: Vec<_> = stream::iter(puts).buffered(AT_ONCE).collect().await;
    done.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(ids)
}

/// By what a file is judged.
struct Rules<'r> {
    config: &'r Config,
    channels: &'r Channels,
    secrets: Secrets,
}

/// What a file comes to.
struct Checked {
    id: String,
    /// What is to be stored of it, unless that is there already.
    document: Option<Bytes>,
}

impl Rules<'_> {
    fn check(&self, path: &Path, all: &HashMap<String, Bytes>) -> Result<Checked, Vec<Problem>> {
        let mut spec = file::read(path, &file::process_env)?;
        // One that cannot be read is written anew.
        let before = all.get(&spec.id).and_then(|document| tenant::read(document).ok());
        let made = tenant::complete(&mut spec, before.as_ref(), self.channels);
        let mut found = Vec::new();
        if self.secrets == Secrets::Given {
            found.extend(made.iter().map(unshowable));
        }
        let compiled = tenant::compile(&spec, 0, self.channels, None);
        found.extend(compiled.err().unwrap_or_default());
        found.extend(template_problems(self.config, &spec));
        if !found.is_empty() {
            return Err(in_file(found, path));
        }
        let is_changed = !tenant::changes(before.as_ref(), &spec).is_empty();
        let document = is_changed.then(|| tenant::document(&spec));
        Ok(Checked { id: spec.id, document })
    }
}

fn unshowable(made: &MadeValue) -> Problem {
    Problem::new(
        format!("destination \"{}\"", made.destination),
        made.field.as_str(),
        "is missing; run `fanfare apply` with this file first, which makes one and shows it once, or \
         write { env = \"NAME\" }",
    )
}

fn in_file(problems: Vec<Problem>, path: &Path) -> Vec<Problem> {
    let file = path.display().to_string();
    problems.into_iter().map(|problem| problem.in_file(&file)).collect()
}

/// Fills in what is made rather than given, without a store: it is thrown away.
pub(super) fn complete_for_check(spec: &mut TenantSpec, channels: &Channels) {
    tenant::complete(spec, None, channels);
}

/// What is wrong with a tenant's own templates and links.
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
