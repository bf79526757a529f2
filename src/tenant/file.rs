//! Tenant files: TOML, one tenant per file.
//!
//! The text is parsed into a [`TenantSpec`], and all mistakes are reported at once. Secrets that
//! are kept elsewhere (`{ env = "NAME" }`) are looked up. The channels check the settings later,
//! when the document is compiled.

mod parser;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::spec::{Problem, TenantSpec};
use parser::Parser;

/// Looks up an environment variable. It is a parameter so that tests need not change the process's
/// environment.
pub type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The process's environment.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every `*.toml` file of a folder, sorted by name.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let unreadable = |error: std::io::Error| {
        let message =
            format!("cannot be read: {error}; pass a folder with one TOML file per tenant");
        vec![Problem::new("tenants", "", message).in_file(&dir.display().to_string())]
    };
    let entries = std::fs::read_dir(dir).map_err(unreadable)?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// Reports files that define a tenant which an earlier file defines already.
pub fn duplicates<'f>(files: impl IntoIterator<Item = (&'f PathBuf, &'f str)>) -> Vec<Problem> {
    let mut first = HashMap::new();
    let mut problems = Vec::new();
    for (path, id) in files {
        if let Some(other) = first.insert(id, path) {
            let message = format!(
                "`{id}` is already defined in {}; define each tenant in one file",
                other.display()
            );
            let problem = Problem::new("tenant", "id", message);
            problems.push(problem.in_file(&path.display().to_string()));
        }
    }
    problems
}

/// Reads one file.
pub fn read(path: &Path, env: Env<'_>) -> Result<TenantSpec, Vec<Problem>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![Problem::new("file", "", format!("cannot be read: {error}")).in_file(&name)]
    })?;
    parse(&text, env).map_err(|problems| problems.into_iter().map(|p| p.in_file(&name)).collect())
}

/// Parses the text of one file.
pub fn parse(text: &str, env: Env<'_>) -> Result<TenantSpec, Vec<Problem>> {
    let table: toml::Table = text.parse().map_err(|error| vec![not_toml(text, &error)])?;
    Parser::new(env).parse(table)
}

/// The place of the mistake, without the line itself, which can hold a secret.
fn not_toml(text: &str, error: &toml::de::Error) -> Problem {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map_or_else(String::new, |before| {
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: ")
    });
    Problem::new("file", "", format!("is not TOML: {place}{}", error.message()))
}

#[cfg(test)]
mod tests;
