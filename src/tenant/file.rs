//! Tenant files: TOML, one tenant a file.
//!
//! Two steps: the text is read into a [`TenantSpec`] with every mistake found at once, and secrets
//! that are kept elsewhere (`{ env = "NAME" }`) are fetched. Whether the settings make sense is the
//! channels' to say, when the document is compiled.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{DestinationSpec, Problem, TenantSpec};
use fanfare_routing::RouteSpec;

/// Looks up an environment variable; a parameter, so that tests need not touch the process's.
pub type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The process's environment.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every `*.toml` of a folder, in the order of their names.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot be read: {error}; name a folder with one TOML file a tenant");
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

/// Files about a tenant, by its id, that another file before them is about.
pub fn doubles<'f>(files: impl IntoIterator<Item = (&'f PathBuf, &'f str)>) -> Vec<Problem> {
    let mut first = HashMap::new();
    let mut problems = Vec::new();
    for (path, id) in files {
        if let Some(other) = first.insert(id, path) {
            let message = format!("`{id}` is the tenant of {} already", other.display());
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

/// Reads one document.
pub fn parse(text: &str, env: Env<'_>) -> Result<TenantSpec, Vec<Problem>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        vec![Problem::new("file", "", format!("not TOML: {}", error.to_string().trim_end()))]
    })?;
    let mut parser = Parser { problems: Vec::new(), env };
    let spec = parser.spec(table);
    if parser.problems.is_empty() { Ok(spec) } else { Err(parser.problems) }
}

struct Parser<'a> {
    problems: Vec<Problem>,
    env: Env<'a>,
}

impl Parser<'_> {
    fn problem(&mut self, place: &str, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(place, field, message));
    }

    fn spec(&mut self, mut table: toml::Table) -> TenantSpec {
        let tenant = table.remove("tenant");
        let destinations = self.list(table.remove("destination"), "destination");
        let routes = self.list(table.remove("route"), "route");
        let templates = table.remove("templates");
        let links = table.remove("links");
        for key in table.keys() {
            self.problem(
                &format!("[{key}]"),
                "",
                "is unknown; there are [tenant], [[destination]], [[route]], [links] and [templates]",
            );
        }
        let (id, name) = self.tenant(tenant);
        TenantSpec {
            id,
            name,
            destinations: destinations
                .into_iter()
                .enumerate()
                .map(|(n, value)| self.destination(n, value))
                .collect(),
            routes: routes
                .into_iter()
                .enumerate()
                .filter_map(|(n, value)| self.route(n, value))
                .collect(),
            links: self.texts("links", links),
            templates: self.texts("templates", templates),
            ..TenantSpec::empty("")
        }
    }

    fn list(&mut self, value: Option<toml::Value>, name: &str) -> Vec<toml::Value> {
        match value {
            None => Vec::new(),
            Some(toml::Value::Array(list)) => list,
            Some(_) => {
                self.problem(name, "", format!("write it with two brackets: [[{name}]]"));
                Vec::new()
            }
        }
    }

    fn tenant(&mut self, value: Option<toml::Value>) -> (String, String) {
        let Some(toml::Value::Table(mut table)) = value else {
            self.problem("tenant", "", "is missing; begin the file with [tenant] and id = \"…\"");
            return Default::default();
        };
        let mut text = |parser: &mut Self, key: &str| match table.remove(key) {
            Some(toml::Value::String(text)) => Some(text),
            Some(_) => {
                parser.problem("tenant", key, "must be a text in quotes");
                Some(String::new())
            }
            None => None,
        };
        let id = text(self, "id").unwrap_or_else(|| {
            self.problem("tenant", "id", "is missing; for example id = \"acme\"");
            String::new()
        });
        let name = text(self, "name").unwrap_or_else(|| id.clone());
        for key in table.keys() {
            self.problem("tenant", key, "is unknown; there are `id` and `name`");
        }
        (id, name)
    }

    fn destination(&mut self, n: usize, value: toml::Value) -> DestinationSpec {
        let place = match value.get("id").and_then(toml::Value::as_str) {
            Some(id) => format!("destination \"{id}\""),
            None => format!("destination {}", n + 1),
        };
        let Value::Object(mut fields) = self.json(&place, "", value) else {
            self.problem(&place, "", "must be a table");
            return DestinationSpec {
                id: String::new(),
                channel: String::new(),
                fields: Map::new(),
            };
        };
        let mut text = |parser: &mut Self, key: &str, mend: &str| match fields.remove(key) {
            Some(Value::String(text)) => text,
            Some(_) => {
                parser.problem(&place, key, "must be a text in quotes");
                String::new()
            }
            None => {
                parser.problem(&place, key, mend);
                String::new()
            }
        };
        let id = text(self, "id", "is missing; give it a short name such as \"backoffice\"");
        let channel =
            text(self, "channel", "is missing; write \"webhook\", \"email\" or \"slack\"");
        DestinationSpec { id, channel, fields }
    }

    fn route(&mut self, n: usize, value: toml::Value) -> Option<RouteSpec> {
        let place = match value.get("name").and_then(toml::Value::as_str) {
            Some(name) => format!("route {} \"{name}\"", n + 1),
            None => format!("route {}", n + 1),
        };
        let value = self.json(&place, "", value);
        match serde_json::from_value(value) {
            Ok(route) => Some(route),
            Err(error) => {
                self.problem(&place, "", format!("{error}; a route is events = [\"kyc.**\"], to = [\"support\"], and `when`, `name`, `enabled` if you like"));
                None
            }
        }
    }

    /// A table of texts.
    fn texts(&mut self, place: &str, value: Option<toml::Value>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        match value {
            None => {}
            Some(toml::Value::Table(table)) => {
                for (key, text) in table {
                    match text {
                        toml::Value::String(text) => _ = texts.insert(key, text),
                        _ => self.problem(place, &key, "must be a text in quotes"),
                    }
                }
            }
            Some(_) => self.problem(place, "", format!("write it as a table: [{place}]")),
        }
        texts
    }

    /// TOML as JSON, with secrets fetched. Dates and numbers that JSON lacks are refused.
    fn json(&mut self, place: &str, path: &str, value: toml::Value) -> Value {
        let under = |key: &str| {
            if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
        };
        match value {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Boolean(flag) => flag.into(),
            toml::Value::Float(number) => match serde_json::Number::from_f64(number) {
                Some(number) => Value::Number(number),
                None => {
                    self.problem(place, path, "must be a finite number");
                    Value::Null
                }
            },
            toml::Value::Datetime(date) => {
                self.problem(place, path, format!("is a date; JSON has none: write \"{date}\""));
                Value::Null
            }
            toml::Value::Array(list) => list
                .into_iter()
                .enumerate()
                .map(|(n, item)| self.json(place, &format!("{path}[{n}]"), item))
                .collect(),
            toml::Value::Table(table) => {
                if place.starts_with("destination")
                    && table.len() == 1
                    && let Some(name) = table.get("env")
                {
                    return self.fetched(place, path, name);
                }
                let entries = table.into_iter();
                entries
                    .map(|(key, item)| {
                        let item = self.json(place, &under(&key), item);
                        (key, item)
                    })
                    .collect::<Map<_, _>>()
                    .into()
            }
        }
    }

    fn fetched(&mut self, place: &str, path: &str, name: &toml::Value) -> Value {
        let Some(name) = name.as_str() else {
            self.problem(place, path, "env must be the name of an environment variable in quotes");
            return Value::Null;
        };
        match (self.env)(name).filter(|value| !value.is_empty()) {
            Some(value) => Value::String(value),
            None => {
                self.problem(place, path, format!("the environment variable {name} is not set"));
                Value::String(String::new())
            }
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
