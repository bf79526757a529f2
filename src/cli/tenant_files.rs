//! Tenant files beside the API: read and checked without a store, and written to one by whoever
//! starts a router.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::{Failure, output};
use crate::app;
use crate::config::Config;
use crate::delivery::layers::Quiet;
use crate::store::Store;
use crate::tenant::{self, Channels, MadeValue, Problem, PutError, TenantSpec, file};

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
    if problems.is_empty() {
        problems = file::doubles(&specs);
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

/// Checks all, then writes those that changed; the ids of these, or what is wrong, as lines.
pub(super) async fn apply(
    store: &Store,
    config: &Config,
    channels: &Channels,
    specs: Vec<(PathBuf, TenantSpec)>,
    secrets: Secrets,
) -> Result<Vec<String>, Vec<String>> {
    let lines = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
    write(store, config, channels, specs, secrets).await.map_err(|refused| match refused {
        PutError::Problems(problems) => lines(problems),
        PutError::Store(error) => vec![error.to_string()],
    })
}

async fn write(
    store: &Store,
    config: &Config,
    channels: &Channels,
    specs: Vec<(PathBuf, TenantSpec)>,
    secrets: Secrets,
) -> Result<Vec<String>, PutError> {
    let all = tenant::all_stored(store).await?;
    let checked = tenant::on_all_cores(&specs, |(path, spec)| {
        // One that cannot be read is written anew.
        let before = all.get(&spec.id).and_then(|doc| tenant::read(doc).ok());
        let (mut spec, before) = (spec.clone(), before.as_ref());
        let made = tenant::complete(&mut spec, before, channels);
        let mut found = Vec::new();
        if secrets == Secrets::Given {
            found.extend(made.iter().map(unshowable));
        }
        let compiled = tenant::compile(&spec, 0, channels, None);
        found.extend(compiled.err().unwrap_or_default());
        found.extend(template_problems(config, &spec));
        if found.is_empty() {
            Ok((!tenant::changes(before, &spec).is_empty()).then_some(spec))
        } else {
            Err(in_file(found, path))
        }
    });
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    for checked in checked {
        match checked {
            Ok(spec) => changed.extend(spec),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(PutError::Problems(problems));
    }
    let ids = changed.iter().map(|spec| spec.id.clone()).collect();
    // Several at once: each waits for the disk or the network.
    let puts = changed.into_iter().map(|spec| tenant::put(store, channels, spec));
    let done: Vec<_> = stream::iter(puts).buffered(AT_ONCE).collect().await;
    done.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(ids)
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
