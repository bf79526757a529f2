//! Turns the TOML of a tenant file into a [`TenantSpec`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::quota::{Overrides, Quota};
use crate::tenant::spec::{DestinationSpec, Problem, TenantSpec};
use fanfare_routing::RouteSpec;

/// Collects problems while it parses.
pub(super) struct Parser<'a> {
    problems: Vec<Problem>,
    env: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

impl<'a> Parser<'a> {
    /// A parser that looks up environment variables in `env`.
    pub(super) fn new(env: &'a (dyn Fn(&str) -> Option<String> + Sync)) -> Self {
        Self { problems: Vec::new(), env }
    }

    /// Parses a file, or returns everything wrong with it.
    pub(super) fn parse(mut self, table: toml::Table) -> Result<TenantSpec, Vec<Problem>> {
        let spec = self.spec(table);
        if self.problems.is_empty() { Ok(spec) } else { Err(self.problems) }
    }

    fn problem(&mut self, place: &str, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(place, field, message));
    }

    fn spec(&mut self, mut table: toml::Table) -> TenantSpec {
        let tenant = table.remove("tenant");
        let destinations = self.list(table.remove("destination"), "destination");
        let routes = self.list(table.remove("route"), "route");
        let templates = table.remove("templates");
        let links = table.remove("links");
        let quotas = table.remove("quotas");
        for key in table.keys() {
            self.problem(
                &format!("[{key}]"),
                "",
                "is unknown; use [tenant], [[destination]], [[route]], [links], [templates] and \
                 [quotas]",
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
            quotas: quotas.map(|value| self.quotas(value)),
            ..TenantSpec::empty("")
        }
    }

    fn list(&mut self, value: Option<toml::Value>, name: &str) -> Vec<toml::Value> {
        match value {
            None => Vec::new(),
            Some(toml::Value::Array(list)) => list,
            Some(_) => {
                self.problem(
                    name,
                    "",
                    format!("must be a list; write it with two brackets: [[{name}]]"),
                );
                Vec::new()
            }
        }
    }

    fn tenant(&mut self, value: Option<toml::Value>) -> (String, String) {
        let Some(toml::Value::Table(mut table)) = value else {
            self.problem(
                "tenant",
                "",
                "is missing; begin the file with [tenant] and id = \"acme\"",
            );
            return Default::default();
        };
        let mut text = |parser: &mut Self, key: &str| match table.remove(key) {
            Some(toml::Value::String(text)) => Some(text),
            Some(_) => {
                parser.problem("tenant", key, "must be a string in quotes");
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
            self.problem("tenant", key, "is unknown; use `id` and `name`");
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
        let mut text = |parser: &mut Self, key: &str, missing: &str| match fields.remove(key) {
            Some(Value::String(text)) => text,
            Some(_) => {
                parser.problem(&place, key, "must be a string in quotes");
                String::new()
            }
            None => {
                parser.problem(&place, key, missing);
                String::new()
            }
        };
        let id = text(self, "id", "is missing; add a short name such as id = \"backoffice\"");
        let channel =
            text(self, "channel", "is missing; use \"webhook\", \"email\", \"slack\" or \"poll\"");
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
                let message = format!(
                    "{error}; a route requires events and to, such as events = [\"kyc.**\"] and \
                                     to = [\"support\"]"
                );
                self.problem(&place, "", message);
                None
            }
        }
    }

    /// A table of strings.
    fn texts(&mut self, place: &str, value: Option<toml::Value>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        match value {
            None => {}
            Some(toml::Value::Table(table)) => {
                for (key, text) in table {
                    match text {
                        toml::Value::String(text) => _ = texts.insert(key, text),
                        _ => self.problem(place, &key, "must be a string in quotes"),
                    }
                }
            }
            Some(_) => self.problem(place, "", format!("must be a table; write [{place}]")),
        }
        texts
    }

    /// The quotas of this tenant.
    fn quotas(&mut self, value: toml::Value) -> Overrides {
        let mut quotas = Overrides::new();
        let toml::Value::Table(table) = value else {
            self.problem("quotas", "", "must be a table; write [quotas]");
            return quotas;
        };
        for (name, value) in table {
            let quota: Result<Quota, String> = name.parse();
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            match (quota, number) {
                (Ok(quota), Some(number)) => _ = quotas.insert(quota, number),
                (Ok(_), None) => {
                    self.problem("quotas", &name, "must be a whole number; 0 means no limit");
                }
                (Err(message), _) => self.problem("quotas", "", message),
            }
        }
        quotas
    }

    /// Converts TOML to JSON and looks up secrets. Dates and numbers that JSON does not have are
    /// refused.
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
                self.problem(
                    place,
                    path,
                    format!(
                        "is a date, which events do not have; write it as a string: \"{date}\""
                    ),
                );
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
                    return self.looked_up(place, path, name);
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

    /// The value of an environment variable.
    fn looked_up(&mut self, place: &str, path: &str, name: &toml::Value) -> Value {
        let Some(name) = name.as_str() else {
            self.problem(
                place,
                path,
                "must name an environment variable in quotes: { env = \"NAME\" }",
            );
            return Value::Null;
        };
        match (self.env)(name).filter(|value| !value.is_empty()) {
            Some(value) => Value::String(value),
            None => {
                self.problem(
                    place,
                    path,
                    format!("refers to the environment variable {name}, which is not set"),
                );
                Value::String(String::new())
            }
        }
    }
}
