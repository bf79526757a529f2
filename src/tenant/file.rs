//! Tenant files: TOML, one tenant per file.
//!
//! The text is parsed into a [`TenantSpec`], and all mistakes are reported at once. Secrets that
//! are kept elsewhere (`{ env = "NAME" }`) are looked up. The channels check the settings later,
//! when the document is compiled.

mod parser;
mod warnings;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::spec::{Problem, TenantSpec};
use crate::toml_source::{self, Position, Step};
use parser::Parser;
pub use warnings::variable;

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

/// Files of a folder whose names say that they are not read, although they may be meant to be.
pub fn ignored(dir: &Path) -> Vec<Problem> {
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
            let ending = path.extension().and_then(|ending| ending.to_str());
            path.is_file() && !name.starts_with('.') && !matches!(ending, Some("toml" | "md"))
        })
        .collect();
    paths.sort();
    let message = "is not read, because its name does not end in .toml";
    paths
        .iter()
        .map(|path| Problem::new("", "", message).in_file(&path.display().to_string()))
        .collect()
}

/// Everything suspicious in a document, which is applied all the same.
pub fn warnings(spec: &TenantSpec, path: &Path) -> Vec<Problem> {
    in_file(warnings::warnings(spec), path)
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
    let text = text(path).map_err(|problem| vec![problem])?;
    parse(&text, env).map_err(|problems| placed(problems, &text, path))
}

/// The text of a file.
fn text(path: &Path) -> Result<String, Problem> {
    let in_file = |problem: Problem| problem.in_file(&path.display().to_string());
    let bytes = std::fs::read(path)
        .map_err(|error| in_file(Problem::new("", "", format!("cannot be read: {error}"))))?;
    toml_source::utf8(bytes).map_err(|at| {
        let message = "is not UTF-8 at this place; save the file as UTF-8";
        Problem { at: Some(at), ..in_file(Problem::new("", "", message)) }
    })
}

/// Problems of a file, with the file and their places in it.
pub fn in_file(problems: Vec<Problem>, path: &Path) -> Vec<Problem> {
    let text = if problems.is_empty() { None } else { text(path).ok() };
    placed(problems, text.as_deref().unwrap_or_default(), path)
}

fn placed(problems: Vec<Problem>, text: &str, path: &Path) -> Vec<Problem> {
    let file = path.display().to_string();
    let placed = |problem: Problem| {
        let at = problem.at.or_else(|| place_of(text, &problem));
        Problem { at, ..problem.in_file(&file) }
    };
    problems.into_iter().map(placed).collect()
}

/// Where a problem is in the text of its file.
fn place_of(text: &str, problem: &Problem) -> Option<Position> {
    let place = problem.place.as_str();
    let nth = |word: &str| word.split(' ').next()?.parse::<usize>().ok()?.checked_sub(1);
    let mut path = if let Some(word) = place.strip_prefix("destination ") {
        let index = match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            Some(id) => index_of(text, id)?,
            None => nth(word)?,
        };
        vec![Step::Key("destination".to_owned()), Step::Index(index)]
    } else if let Some(word) = place.strip_prefix("route ") {
        vec![Step::Key("route".to_owned()), Step::Index(nth(word)?)]
    } else {
        vec![Step::Key(place.trim_matches(['[', ']']).to_owned())]
    };
    match path[0] {
        // Their keys can have dots.
        Step::Key(ref table) if ["links", "templates"].contains(&&**table) => {
            path.push(Step::Key(problem.field.clone()));
        }
        _ => path.extend(toml_source::steps(&problem.field)),
    }
    toml_source::find(text, &path)
}

/// The position of a destination in the file.
fn index_of(text: &str, id: &str) -> Option<usize> {
    let table: toml::Table = text.parse().ok()?;
    let all = table.get("destination")?.as_array()?;
    all.iter().position(|one| one.get("id").and_then(toml::Value::as_str) == Some(id))
}

/// Parses the text of one file.
pub fn parse(text: &str, env: Env<'_>) -> Result<TenantSpec, Vec<Problem>> {
    let table: toml::Table = text.parse().map_err(|error| vec![not_toml(text, &error)])?;
    Parser::new(env).parse(table)
}

/// The place of the mistake, without the line itself, which can hold a secret.
fn not_toml(text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().map(|span| toml_source::position(text, span.start));
    let message = error.message().lines().next().unwrap_or_default();
    let advice = "check the quotes and brackets before this place";
    Problem { at, ..Problem::new("", "", format!("is not TOML: {message}; {advice}")) }
}

#[cfg(test)]
mod tests;
