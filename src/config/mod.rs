//! The server's settings: the defaults, overridden by the settings file, environment variables, and
//! command-line options, in this order.
//!
//! `config/fanfare.toml` lists every key with its default and a comment. A test compares it with
//! these types. An unknown key or a wrong value is an error with the file, the line, and the key,
//! before a port is opened.

mod channels;
mod dashboard;
mod debug;
mod dns;
mod in_force;
mod ingest;
mod period;
mod quotas;
mod redis;
mod review;
mod sections;
mod size;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::toml_source::{self, Position};

pub use channels::{Dkim, Email, Security, Slack, Webhook};
pub use dashboard::Dashboard;
pub use dns::{Dns, NameServer};
pub use in_force::{InForce, in_force};
pub use ingest::{Ingest, IngestSource};
pub use period::Period;
pub use quotas::{OverRate, Quotas};
pub use redis::Redis;
pub use review::{Fault, log_filter};
pub use sections::{
    Events, FieldPath, Http, Log, LogFormat, Metrics, Privacy, Router, Search, Secrets, Tracing,
};
pub use size::Size;

/// Every key of `fanfare.toml`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A folder (embedded store) or a `redis://` URL.
    pub store: String,
    /// Folder with one TOML file per tenant, applied at start and when a file changes.
    pub tenants: Option<PathBuf>,
    /// Address of the HTTP API.
    pub listen: SocketAddr,
    /// Allows `http://` and loopback receivers, and requests without a key on loopback.
    pub development: bool,
    /// How long a stop may take. Work that is not finished then is left to the next start or to
    /// another replica.
    pub grace: Period,
    /// How long events, deliveries, and attempts are kept.
    pub retention: Period,
    /// How long hourly statistics are kept.
    pub stats_retention: Period,
    /// Folder whose templates replace or extend the built-in ones.
    pub templates: Option<PathBuf>,
    /// URLs for the buttons in messages, for tenants without links of their own.
    pub links: BTreeMap<String, String>,
    /// Logging.
    pub log: Log,
    /// `GET /metrics`.
    pub metrics: Metrics,
    /// Traces over OTLP.
    pub tracing: Tracing,
    /// How clients reach the HTTP API.
    pub http: Http,
    /// `[dashboard]`
    pub dashboard: Dashboard,
    /// Encryption of secrets in the store.
    pub secrets: Secrets,
    /// Data protection.
    pub privacy: Privacy,
    /// Finding events by their values.
    pub search: Search,
    /// Publishing over HTTP.
    pub ingest: Ingest,
    /// Limits on events.
    pub events: Events,
    /// Quotas of each tenant.
    pub quotas: Quotas,
    /// Limits of the router.
    pub router: Router,
    /// The Redis store.
    pub redis: Redis,
    /// Names of receivers.
    pub dns: Dns,
    /// The webhook channel.
    pub webhook: Webhook,
    /// The email channel.
    pub email: Email,
    /// The Slack channel.
    pub slack: Slack,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: "./fanfare-data".to_owned(),
            tenants: None,
            listen: ([127, 0, 0, 1], 8400).into(),
            development: false,
            grace: Period::seconds(25),
            retention: Period::seconds(30 * 24 * 3600),
            stats_retention: Period::seconds(90 * 24 * 3600),
            templates: None,
            links: BTreeMap::new(),
            log: Log::default(),
            metrics: Metrics::default(),
            tracing: Tracing::default(),
            http: Http::default(),
            dashboard: Dashboard::default(),
            secrets: Secrets::default(),
            privacy: Privacy::default(),
            search: Search::default(),
            ingest: Ingest::default(),
            events: Events::default(),
            quotas: Quotas::default(),
            router: Router::default(),
            redis: Redis::default(),
            dns: Dns::default(),
            webhook: Webhook::default(),
            email: Email::default(),
            slack: Slack::default(),
        }
    }
}

/// A settings file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It does not exist or cannot be read.
    #[error("cannot read the settings file {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not TOML, or has unknown keys or wrong values.
    #[error(
        "{}\n`fanfare check --print-config` prints every key with its default",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    )]
    Invalid(Vec<Misplaced>),
}

/// A fault of the settings, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// The file. `None` for a value of a flag or a variable.
    pub file: Option<String>,
    /// The place in the file.
    pub at: Option<Position>,
    /// The key and what is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(at) = self.at {
                write!(f, "{at}:")?;
            }
            f.write_str(" ")?;
        }
        match &*self.fault.key {
            "" => f.write_str(&self.fault.message),
            _ => self.fault.fmt(f),
        }
    }
}

/// The settings file with every key, its default, and a comment.
pub const DEFAULTS: &str = include_str!("../../config/fanfare.toml");

impl Config {
    /// Whether only programs on this machine can reach the HTTP API.
    pub fn is_local(&self) -> bool {
        self.listen.ip().is_loopback() && !self.http.behind_proxy
    }

    /// Reads a settings file. Keys that it leaves out, and no file at all, mean the defaults.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Ok(Self::default()) };
        let text = read(path)?;
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let fault = parse_fault(&text, &error);
            ConfigError::Invalid(vec![Misplaced {
                file: Some(path.display().to_string()),
                ..fault
            }])
        })?;
        config.store = review::with_lowercase_scheme(&config.store);
        Ok(config)
    }

    /// Chooses another store than that of the file.
    pub fn set_store(&mut self, store: &str) {
        self.store = review::with_lowercase_scheme(store);
    }

    /// Everything wrong with the settings, with the places in the file that they came from.
    pub fn review(&self, file: Option<&Path>) -> Result<(), ConfigError> {
        let faults = self.faults();
        if faults.is_empty() {
            return Ok(());
        }
        let text = file.map(read).transpose()?;
        let placed = |fault: Fault| {
            let at = text.as_ref().and_then(|text| {
                let path = toml_source::steps(&fault.key);
                // What a flag or a variable has set may not be in the file.
                toml_source::find(text, &path)
            });
            let file = file.filter(|_| at.is_some()).map(|file| file.display().to_string());
            Misplaced { file, at, fault }
        };
        Err(ConfigError::Invalid(faults.into_iter().map(placed).collect()))
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
    toml_source::utf8(bytes).map_err(|at| {
        let fault = Fault {
            key: String::new(),
            message: "is not UTF-8 at this place; save the file as UTF-8".to_owned(),
        };
        ConfigError::Invalid(vec![Misplaced { file: Some(file), at: Some(at), fault }])
    })
}

/// What the parser says, with the key and without the line itself, which can hold a secret.
fn parse_fault(text: &str, error: &toml::de::Error) -> Misplaced {
    let span = error.span().unwrap_or_default();
    let written = text.get(span.clone()).unwrap_or_default();
    let key = toml_source::path_at(text, span.start);
    let message = if key.is_empty() && toml_source::is_toml(text) {
        words::explain("", error.message(), written)
    } else if key.is_empty() {
        let message = error.message().lines().next().unwrap_or_default();
        format!("is not TOML: {message}; check the quotes and brackets before this place")
    } else {
        words::explain(&key, error.message(), written)
    };
    let at = Some(toml_source::position(text, span.start));
    Misplaced { file: None, at, fault: Fault { key, message } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file with the keys without a default, whose lines begin with `#= `.
    fn uncommented() -> String {
        let lines = DEFAULTS.lines().map(|line| line.strip_prefix("#= ").unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_commented_file_holds_the_defaults() {
        let config: Config = toml::from_str(DEFAULTS).expect("the embedded file is valid");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_commented_file_names_every_key() {
        let all: toml::Table = uncommented().parse().expect("optional keys are valid TOML");
        let full: Config = uncommented().parse::<toml::Table>().unwrap().try_into().unwrap();
        let known = toml::Table::try_from(full).unwrap();
        assert_eq!(keys("", &all), keys("", &known));
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = "store = 'redis://u:S3cret-1@h'\n[ingest]\nkey = 'S3cret-2'\n\
            [metrics]\nkey = 'S3cret-3'\n[email]\nusername = 'u'\npassword = 'S3cret-4'\n\
            [tracing]\notlp_endpoint = 'http://u:S3cret-5@h/'";
        let config: Config = toml::from_str(text).unwrap();
        let shown = format!("{config:?} {config:#?} {:?}", config.email);
        assert!(!shown.contains("S3cret") && shown.contains("redis://…"), "{shown}");
    }

    fn keys(prefix: &str, table: &toml::Table) -> std::collections::BTreeSet<String> {
        let nested = table.iter().flat_map(|(key, value)| match value {
            toml::Value::Table(inner) if key != "links" => keys(&format!("{prefix}{key}."), inner),
            _ => [format!("{prefix}{key}")].into(),
        });
        nested.collect()
    }

    #[test]
    fn a_mistake_is_reported_with_line_and_key() {
        let of = |text: &str| {
            let error = toml::from_str::<Config>(text).unwrap_err();
            parse_fault(text, &error).to_string()
        };
        let shown = |text: &str| {
            let error = toml::from_str::<Config>(text).unwrap_err();
            let fault = Misplaced { file: Some("f.toml".to_owned()), ..parse_fault(text, &error) };
            fault.to_string()
        };
        let text = "grace = \"5s\"\n[email]\nhots = 'x'";
        assert_eq!(shown(text), "f.toml:3:1: email.hots: is unknown; did you mean `host`?");
        assert!(of("grace = 5").contains("\"30s\""), "{}", of("grace = 5"));
        for (text, expected) in [
            ("log = \"debug\"", "log: is a section: write [log], and below it filter = \"debug\""),
            (
                "[events]\nmax_bytes = \"256KiB\"",
                "events.max_bytes: must be a number of bytes: 262144",
            ),
            (
                "listen = \"localhost:8400\"",
                "listen: must be an IP address and a port, such as \"127.0.0.1:8400\"",
            ),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
