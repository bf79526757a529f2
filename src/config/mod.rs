//! The server's settings: defaults, then the file, then environment and flags.
//!
//! `config/fanfare.toml` lists every key with its default and a comment; a test keeps it true. An
//! unknown key or a wrong value is refused before a port is bound, with file, line and key.

mod debug;
mod period;
mod redis;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use period::Period;
pub use redis::Redis;

/// Every key of `fanfare.toml`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A folder (embedded store) or a `redis://` URL.
    pub store: String,
    /// Folder with one TOML file a tenant, applied at start and when a file changes.
    pub tenants: Option<PathBuf>,
    /// Address of the HTTP API.
    pub listen: SocketAddr,
    /// Allows http and loopback receivers, and HTTP ingest without a key on loopback.
    pub development: bool,
    /// How long a stop may take before what is in flight is left to others.
    pub grace: Period,
    /// How long events and their attempts are kept.
    pub retention: Period,
    /// Folder whose templates replace the built-in ones.
    pub templates: Option<PathBuf>,
    /// Links for buttons, for tenants without their own.
    pub links: std::collections::BTreeMap<String, String>,
    /// Logging.
    pub log: Log,
    /// `GET /metrics`.
    pub metrics: Metrics,
    /// Spans of events' paths.
    pub tracing: Tracing,
    /// How the HTTP API is reached.
    pub http: Http,
    /// Encryption of secrets in the store.
    pub secrets: Secrets,
    /// Data protection.
    pub privacy: Privacy,
    /// HTTP ingest.
    pub ingest: Ingest,
    /// Bounds on events.
    pub events: Events,
    /// Bounds of the router.
    pub router: Router,
    /// The Redis store.
    pub redis: Redis,
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
            links: std::collections::BTreeMap::new(),
            log: Log::default(),
            metrics: Metrics::default(),
            tracing: Tracing::default(),
            http: Http::default(),
            secrets: Secrets::default(),
            privacy: Privacy::default(),
            ingest: Ingest::default(),
            events: Events::default(),
            router: Router::default(),
            redis: Redis::default(),
            webhook: Webhook::default(),
            email: Email::default(),
            slack: Slack::default(),
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `auto`: text on a terminal, JSON elsewhere; or `text`, `json`.
    pub format: LogFormat,
    /// A `tracing` filter: `info`, `fanfare=debug,warn`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[metrics]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether `GET /metrics` is there.
    pub enabled: bool,
    /// Also counts by tenant and destination: as many series as there are destinations.
    pub per_tenant: bool,
    /// What a scraper sends as `Authorization: Bearer …`; an operator's key does too.
    pub key: Option<String>,
    /// Whether everybody who reaches the address may read them; by default exactly when that is a
    /// loopback address, no proxy is in front of it, and there is no `key`.
    pub open: Option<bool>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, per_tenant: false, key: None, open: None }
    }
}

/// `[tracing]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracing {
    /// Base of an OTLP collector (http/protobuf); none records nothing.
    pub otlp_endpoint: Option<url::Url>,
    /// Share of the events without a trace of their producer's that are recorded, 0 to 1.
    pub sample: f64,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample: 1.0 }
    }
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// A proxy in front ends TLS and passes requests on: loopback then means nothing.
    pub behind_proxy: bool,
    /// Requests a second that each key may make, in each process; 0 for no limit.
    pub requests_per_second: u32,
    /// Requests that a key may make at once after a rest.
    pub burst: u32,
    /// Where tenants' notification channels are served as well.
    pub alias: Option<String>,
    /// `/openapi.json` and `/docs` need no key.
    pub open_docs: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            behind_proxy: false,
            requests_per_second: 1_000,
            burst: 5_000,
            alias: None,
            open_docs: false,
        }
    }
}

/// `[secrets]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// File with the master keys, the first of which encrypts; after those of `FANFARE_MASTER_KEY`.
    pub key_file: Option<PathBuf>,
}

/// `[privacy]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Where in an event it stands whom it is about: dotted paths from the envelope down.
    pub subject_paths: Vec<String>,
}

impl Default for Privacy {
    fn default() -> Self {
        let paths = ["data.user_id", "data.metadata.user_email", "data.session_id"];
        Self { subject_paths: paths.map(str::to_owned).to_vec() }
    }
}

/// `[ingest]`
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// A key that publishes for every tenant, beside those in the store.
    pub key: Option<String>,
}

/// `[events]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Largest envelope.
    pub max_bytes: usize,
    /// Deepest nesting.
    pub max_depth: usize,
    /// Most events in one HTTP batch.
    pub max_batch: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self { max_bytes: 256 * 1024, max_depth: 64, max_batch: 1_000 }
    }
}

/// `[router]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Router {
    /// Events on their way at once.
    pub window: usize,
    /// Events read and settled at once.
    pub batch: usize,
    /// Destinations with a backlog that are served at once.
    pub lanes: usize,
    /// Time without a sign of life after which another replica takes over a destination.
    pub lease: Period,
    /// Most events in one digest message.
    pub digest_events: usize,
    /// Threads for the network; 0 is one a core, at most 4.
    pub threads: usize,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            window: 4_096,
            batch: 512,
            lanes: 1_024,
            lease: Period::seconds(10),
            digest_events: 10_000,
            threads: 0,
        }
    }
}

/// `[webhook]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Special networks that may be reached all the same.
    pub allowed_networks: Vec<ipnet::IpNet>,
    /// How much of an answer is read.
    pub answer_limit_bytes: usize,
    /// Time for making a connection.
    pub connect_timeout: Period,
    /// Idle connections kept to one host.
    pub idle_per_host: usize,
    /// PEM files of further certificate authorities.
    pub extra_roots: Vec<PathBuf>,
}

impl Default for Webhook {
    fn default() -> Self {
        let channel = fanfare_webhook::Config::default();
        Self {
            user_agent: channel.user_agent,
            allowed_networks: Vec::new(),
            answer_limit_bytes: channel.answer_limit_bytes,
            connect_timeout: Period(channel.connect_timeout),
            idle_per_host: channel.idle_per_host,
            extra_roots: Vec::new(),
        }
    }
}

/// `[email]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `none`, `starttls`, `tls`.
    pub security: Security,
    /// For authentication, with `password`.
    pub username: Option<String>,
    /// For authentication; better in the environment: `FANFARE_EMAIL_PASSWORD`.
    pub password: Option<String>,
    /// Sender.
    pub from: String,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Name in EHLO.
    pub hello_name: Option<String>,
    /// Most connections at once.
    pub connections: usize,
    /// `https://…{token}`: gives mails a one-click unsubscribe header.
    pub unsubscribe_url: Option<String>,
    /// DKIM key.
    pub dkim: Option<Dkim>,
    /// PEM files of further certificate authorities.
    pub extra_roots: Vec<PathBuf>,
}

impl Default for Email {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            security: Security::Starttls,
            username: None,
            password: None,
            from: "Fanfare <notifications@localhost>".to_owned(),
            reply_to: None,
            hello_name: None,
            connections: 8,
            unsubscribe_url: None,
            dkim: None,
            extra_roots: Vec::new(),
        }
    }
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Not at all.
    None,
    /// Upgraded by STARTTLS.
    Starttls,
    /// TLS from the first byte.
    Tls,
}

/// `[email.dkim]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// PEM file with the private key.
    pub key_file: PathBuf,
}

/// `[slack]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slack {
    /// Base of the Web API.
    pub api_url: url::Url,
}

impl Default for Slack {
    fn default() -> Self {
        Self { api_url: fanfare_slack::Config::default().api_url }
    }
}

/// A settings file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not there, or not readable.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, a wrong value.
    #[error(
        "{file}: {message}\nevery key with its default is in config/fanfare.toml; `fanfare check --print-config` prints it"
    )]
    Wrong {
        /// The file.
        file: String,
        /// With line and key.
        message: String,
    },
}

/// The commented defaults.
pub const DEFAULTS: &str = include_str!("../../config/fanfare.toml");

impl Config {
    /// Whether nobody but programs on this machine reaches the HTTP API.
    pub fn is_local(&self) -> bool {
        self.listen.ip().is_loopback() && !self.http.behind_proxy
    }

    /// Reads a file over the defaults; no file is the defaults alone.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Ok(Self::default()) };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::Wrong {
            file,
            message: error.to_string().trim_end().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `# key = value` lines are the keys without a default.
    fn uncommented() -> String {
        let lines = DEFAULTS.lines().map(|line| line.strip_prefix("#= ").unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_commented_file_holds_the_defaults() {
        let config: Config = toml::from_str(DEFAULTS).expect("the embedded file is right");
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
    fn a_mistake_is_told_with_line_and_key() {
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
