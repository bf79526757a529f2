//! The sections of the settings that are about the server, the API, and the router.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Period, Size};

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Format of the log lines.
    pub format: LogFormat,
    /// A level, or a `tracing` filter such as `fanfare=debug,warn`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

/// Format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `[metrics]`
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether `GET /metrics` exists.
    pub enabled: bool,
    /// Whether to count by tenant and destination as well, which adds series for every destination.
    pub per_tenant: bool,
    /// Key that a scraper sends as `Authorization: Bearer …`. An operator's key works too.
    pub key: Option<String>,
    /// Whether metrics can be read without a key. Without this setting they are open only in
    /// development, on a loopback address, without a proxy in front and without a `key`.
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
    /// Base URL of an OTLP collector (http/protobuf). Without one, no spans are recorded.
    pub otlp_endpoint: Option<url::Url>,
    /// Share of events to record, 0 to 1, if the producer sent no `traceparent`.
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
    /// Whether a proxy in front terminates TLS. A loopback address then gives no rights.
    pub behind_proxy: bool,
    /// Requests per second that each key may make in each process. 0 means no limit.
    pub requests_per_second: u32,
    /// Requests that a key may make at once after a pause.
    pub burst: u32,
    /// A second path prefix for tenants' notification channels, such as `/kyc`.
    pub alias: Option<String>,
    /// Whether `/openapi.json` and `/docs` can be read without a key.
    pub open_docs: bool,
    /// Host names, besides those of this machine, under which requests without a key are accepted
    /// in development.
    pub development_hosts: Vec<String>,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Further connections for health checks, metrics and operators.
    pub reserved_connections: usize,
    /// Maximum number of open connections from one address. 0 means no limit.
    pub max_connections_per_address: usize,
    /// How long the head of a request may take.
    pub header_timeout: Period,
    /// Longest pause in the body of a request, and while a client reads an answer.
    pub body_timeout: Period,
    /// Lowest rate in bytes per second of what takes longer than `body_timeout`.
    pub min_body_rate: u64,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Period,
    /// Maximum memory for the bodies of requests in progress and their answers, in bytes. Never more
    /// than a quarter of `router.memory`.
    pub body_memory_bytes: usize,
    /// Maximum number of requests that wait for an event at the same time.
    pub max_waiting: usize,
    /// The same for one tenant.
    pub max_waiting_per_tenant: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            behind_proxy: false,
            requests_per_second: 1_000,
            burst: 5_000,
            alias: None,
            open_docs: false,
            development_hosts: Vec::new(),
            max_connections: 4_096,
            reserved_connections: 32,
            max_connections_per_address: 1_024,
            header_timeout: Period::seconds(10),
            body_timeout: Period::seconds(10),
            min_body_rate: 4_096,
            idle_timeout: Period::seconds(75),
            body_memory_bytes: 64 * 1024 * 1024,
            max_waiting: 1_000,
            max_waiting_per_tenant: 100,
        }
    }
}

/// `[secrets]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// File with master keys. The keys of `FANFARE_MASTER_KEY` come before those in the file. The
    /// first key encrypts, and every key decrypts.
    pub key_file: Option<PathBuf>,
}

/// `[privacy]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Where an event names the person it is about: dotted paths from the envelope down.
    pub subject_paths: Vec<String>,
}

impl Default for Privacy {
    fn default() -> Self {
        let paths = ["data.user_id", "data.metadata.user_email", "data.session_id"];
        Self { subject_paths: paths.map(str::to_owned).to_vec() }
    }
}

/// `[search]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// Dotted paths from the envelope down, whose values are indexed when an event comes in.
    pub paths: Vec<FieldPath>,
}

impl Default for Search {
    fn default() -> Self {
        let paths = [
            "data.session_id",
            "data.user_id",
            "data.metadata.user_email",
            "data.subject.subject_id",
        ];
        Self { paths: paths.map(|path| FieldPath(path.to_owned())).to_vec() }
    }
}

/// A place in an event: names joined by dots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(String);

impl TryFrom<String> for FieldPath {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        if path.len() <= 256 && path.split('.').all(|name| !name.is_empty()) {
            Ok(Self(path))
        } else {
            Err("write names joined by dots, from the top of the event, such as \"data.user_id\"")
        }
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[events]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Maximum size of one event, in bytes.
    pub max_bytes: usize,
    /// Maximum nesting depth.
    pub max_depth: usize,
    /// Maximum number of events in one HTTP request.
    pub max_batch: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self { max_bytes: 256 * 1024, max_depth: 64, max_batch: 1_000 }
    }
}

/// `[router]`: limits of each process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Router {
    /// Memory for events, and for the bodies of requests and answers.
    pub memory: Size,
    /// Maximum number of events in progress.
    pub window: usize,
    /// Maximum number of events that are read, and of outcomes that are written, at once.
    pub batch: usize,
    /// Maximum number of lanes that are served from their queues at once.
    pub lanes: usize,
    /// How long a process may hold a lane without renewing its lease.
    pub lease: Period,
    /// Maximum number of events in one digest message.
    pub digest_events: usize,
    /// A tenant is warned when nothing was sent to a destination for this long.
    pub warn_held_after: Period,
    /// A tenant is warned when a destination has had only failures for this long.
    pub warn_failing_after: Period,
    /// Number of tenants that stay in memory, besides those in use. Others are read from the store
    /// when they are used.
    pub tenants_in_memory: usize,
    /// Number of worker threads. 0 selects one per core, at most 4.
    pub threads: usize,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            memory: Size(256 << 20),
            window: 4_096,
            batch: 512,
            lanes: 1_024,
            lease: Period::seconds(10),
            digest_events: 10_000,
            warn_held_after: Period::seconds(60),
            warn_failing_after: Period::seconds(24 * 3_600),
            tenants_in_memory: 10_000,
            threads: 0,
        }
    }
}
