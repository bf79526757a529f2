//! Turns the TOML of a tenant file into a [`TenantSpec`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::quota::{Overrides, Quota};
use crate::tenant::spec::{DestinationSpec, Problem, TenantSpec};
use fanfare_contract::{closest, did_you_mean};
use fanfare_routing::RouteSpec;

/// The tables of a file.
const SECTIONS: [&str; 6] = ["tenant", "destination", "route", "links", "templates", "quotas"];
/// The keys of a route.
const ROUTE_KEYS: [&str; 7] = ["id", "name", "events", "except", "when", "to", "enabled"];

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
            let message = match did_you_mean(key, SECTIONS) {
                hint if hint.is_empty() => {
                    "is unknown; use [tenant], [[destination]], [[route]], [links], [templates] and \
                     [quotas]"
                        .to_owned()
                }
                hint => format!("is unknown{hint}"),
            };
            self.problem(&format!("[{key}]"), "", message);
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
            let hint = did_you_mean(key, ["id", "name"]);
            let hint = if hint.is_empty() { "; use `id` and `name`".to_owned() } else { hint };
            self.problem("tenant", key, format!("is unknown{hint}"));
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
        let before = self.problems.len();
        self.check_route(&place, &value);
        if self.problems.len() > before {
            return None;
        }
        match serde_json::from_value(value) {
            Ok(route) => Some(route),
            Err(error) => {
                self.problem(&place, "", error.to_string());
                None
            }
        }
    }

    /// Reports the fields of a route that have another form than they should.
    fn check_route(&mut self, place: &str, value: &Value) {
        let Some(fields) = value.as_object() else {
            self.problem(place, "", "must be a table; write [[route]]");
            return;
        };
        for (key, value) in fields {
            let is_texts = |value: &Value| {
                value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
            };
            let message = match key.as_str() {
                "id" | "name" if !value.is_string() => "must be a string in quotes".to_owned(),
                "enabled" if !value.is_boolean() => "must be true or false".to_owned(),
                "when" if !value.is_object() => {
                    "must be a table, such as { data = { score = [{ numeric = [\">=\", 70] }] } }"
                        .to_owned()
                }
                "events" | "except" | "to" if !is_texts(value) => match value {
                    Value::String(text) => format!("must be a list: [\"{text}\"]"),
                    _ => "must be a list of strings, such as [\"kyc.**\"]".to_owned(),
                },
                known if ROUTE_KEYS.contains(&known) => continue,
                unknown => match did_you_mean(unknown, ROUTE_KEYS) {
                    hint if hint.is_empty() => {
                        format!("is unknown; the keys of a route are {}", ROUTE_KEYS.join(", "))
                    }
                    hint => format!("is unknown{hint}"),
                },
            };
            self.problem(place, key, message);
        }
        for (key, example) in [("events", "[\"kyc.**\"]"), ("to", "[\"support\"]")] {
            if !fields.contains_key(key) {
                self.problem(place, key, format!("is missing; for example {key} = {example}"));
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
                    && let Some((key, name)) = table.iter().next()
                {
                    if key == "env" {
                        return self.looked_up(place, path, name);
                    }
                    // Not in `headers`, whose names are free.
                    if !path.is_empty() && name.is_str() && closest(key, ["env"]).is_some() {
                        let message = format!(
                            "must be text or {{ env = \"NAME\" }}; `{key}` is unknown, did you mean \
                             `env`?"
                        );
                        self.problem(place, path, message);
                        return Value::String(String::new());
                    }
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
                    format!(
                        "refers to the environment variable {name}, which is not set; set it to the \
                         value"
                    ),
                );
                Value::String(String::new())
            }
        }
    }
}
