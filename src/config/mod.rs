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
mod period;
mod quotas;
mod redis;
mod sections;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use channels::{Dkim, Email, Security, Slack, Webhook};
pub use dashboard::Dashboard;
pub use dns::{Dns, NameServer};
pub use in_force::{InForce, in_force};
pub use period::Period;
pub use quotas::{OverRate, Quotas};
pub use redis::Redis;
pub use sections::{
    Events, Http, Ingest, Log, LogFormat, Metrics, Privacy, Router, Secrets, Tracing,
};

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
            templates: None,
            links: BTreeMap::new(),
            log: Log::default(),
            metrics: Metrics::default(),
            tracing: Tracing::default(),
            http: Http::default(),
            dashboard: Dashboard::default(),
            secrets: Secrets::default(),
            privacy: Privacy::default(),
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
    /// It is not TOML, or has an unknown key or a wrong value.
    #[error("{file}: {message}\n`fanfare check --print-config` prints every key with its default")]
    Invalid {
        /// The file.
        file: String,
        /// The mistake, with its line and key.
        message: String,
    },
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
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::Invalid {
            file,
            message: error.to_string().trim_end().to_owned(),
        })
    }
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
        let error = toml::from_str::<Config>("grace = \"5s\"\n[email]\nhots = 'x'").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("line 3") && text.contains("hots") && text.contains("host"),
            "{text}"
        );
        let error = toml::from_str::<Config>("grace = 5").unwrap_err().to_string();
        assert!(error.contains("\"30s\""), "{error}");
    }
}
