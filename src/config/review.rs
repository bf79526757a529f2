//! What the settings must satisfy beyond their types. `fanfare serve` and `fanfare check` both use
//! it, so that nothing is changed silently, and `check` says what `serve` will do.

use std::fmt;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{Config, Http, IngestSource, Period};
use fanfare_routing::did_you_mean;

/// Schemes of a store's URL. Anything else is a folder.
const SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"];
/// Levels of the log.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Largest event that can be allowed, in bytes.
const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;
/// Longest wait for a Redis replica: below the time limit of a Redis command (5 s).
const MAX_REDIS_WAIT: Duration = Duration::from_secs(4);
/// Shortest time limit of a connection, so that a mistake does not close all of them at once.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
/// First segments of paths that an alias must not take.
const OWN_PATHS: [&str; 7] = ["v1", "ui", "docs", "openapi.json", "metrics", "healthz", "readyz"];
/// Shortest key that is not guessed.
const MIN_KEY: usize = 16;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, such as `http.alias`.
    pub key: String,
    /// What is wrong and how to fix it. It continues a sentence that begins with the key.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Collects faults.
#[derive(Default)]
struct Review {
    faults: Vec<Fault>,
}

impl Review {
    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(Fault { key: key.to_owned(), message: message.into() });
    }

    fn check(&mut self, is_right: bool, key: &str, message: impl Into<String>) {
        if !is_right {
            self.fault(key, message);
        }
    }

    fn at_least(&mut self, key: &str, period: Period, least: Duration) {
        let shown = humantime::format_duration(least);
        self.check(period.0 >= least, key, format!("must be at least \"{shown}\""));
    }

    fn range(&mut self, key: &str, number: usize, least: usize, most: usize) {
        let message = format!("must be a whole number from {least} to {most}");
        self.check((least..=most).contains(&number), key, message);
    }
}

impl Config {
    /// Everything wrong with the settings.
    pub fn faults(&self) -> Vec<Fault> {
        let mut review = Review::default();
        self.store_and_times(&mut review);
        http(&self.http, &mut review);
        self.sections(&mut review);
        self.ingest(&mut review);
        review.faults
    }

    /// Settings that are probably not meant.
    pub fn suspicious(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        if let Ok(value) = toml::Value::try_from(self) {
            literal("", &value, &mut found);
        }
        found
    }

    fn store_and_times(&self, review: &mut Review) {
        if let Some(message) = store_fault(&self.store) {
            review.fault("store", message);
        }
        review.at_least("retention", self.retention, Duration::from_secs(1));
        if let Err(message) = log_filter(&self.log.filter) {
            review.fault("log.filter", message);
        }
        let redis = &self.redis;
        review.at_least("redis.dead_after", redis.dead_after, Duration::from_secs(1));
        let names = [("stream", &redis.stream), ("group", &redis.group), ("prefix", &redis.prefix)];
        for (key, name) in names {
            review.check(!name.is_empty(), &format!("redis.{key}"), "must not be empty");
        }
        let wait = redis.wait_timeout.0;
        review.check(
            wait > Duration::ZERO && wait <= MAX_REDIS_WAIT,
            "redis.wait_timeout",
            "must be from \"1ms\" to \"4s\", which is below the time limit of a Redis command",
        );
    }

    fn sections(&self, review: &mut Review) {
        let Self { events, router, dns, quotas, .. } = self;
        review.range("events.max_bytes", events.max_bytes, 1, MAX_EVENT_BYTES);
        review.range("events.max_depth", events.max_depth, 2, 100);
        review.range("events.max_batch", events.max_batch, 1, 100_000);
        review.range("router.window", router.window, 1, 10_000_000);
        review.range("router.batch", router.batch, 1, 100_000);
        review.range("router.lanes", router.lanes, 1, 1_000_000);
        let in_memory = router.tenants_in_memory;
        review.range("router.tenants_in_memory", in_memory, 16, 100_000_000);
        review.range("router.digest_events", router.digest_events, 1, 1_000_000);
        review.range("router.threads", router.threads, 0, 1_024);
        review.at_least("router.lease", router.lease, Duration::from_secs(1));
        review.at_least("quotas.burst", quotas.burst, Duration::from_millis(1));
        review.at_least("dns.timeout", dns.timeout, Duration::from_millis(100));
        review.range("dns.lookups", dns.lookups, 1, 1_000_000);
        review.range("dns.lookups_per_tenant", dns.lookups_per_tenant, 1, 1_000_000);
        review.at_least("dashboard.session", self.dashboard.session, Duration::from_mins(1));
        let connect = self.webhook.connect_timeout;
        review.at_least("webhook.connect_timeout", connect, Duration::from_millis(1));
        review.range("email.connections", self.email.connections, 1, 1_024);
        let share = self.tracing.sample;
        review.check((0.0..=1.0).contains(&share), "tracing.sample", "must be from 0.0 to 1.0");
        if let Some(url) = &self.tracing.otlp_endpoint {
            let is_http = matches!(url.scheme(), "http" | "https");
            let message = "must be a URL such as \"http://127.0.0.1:4318\"";
            review.check(is_http, "tracing.otlp_endpoint", message);
        }
        let key = self.metrics.key.as_ref();
        review.check(key.is_none_or(|key| !key.is_empty()), "metrics.key", "must not be empty");
        let paths = &self.privacy.subject_paths;
        let is_path = |path: &String| path.split('.').all(|word| !word.trim().is_empty());
        review.check(
            (1..=32).contains(&paths.len()) && paths.iter().all(is_path),
            "privacy.subject_paths",
            "must be a list of 1 to 32 dotted paths, such as [\"data.user_id\"]",
        );
        let email = &self.email;
        review.check(
            email.username.is_some() == email.password.is_some(),
            if email.username.is_some() { "email.password" } else { "email.username" },
            "is missing; set both `username` and `password`, or neither",
        );
    }

    fn ingest(&self, review: &mut Review) {
        if let Some(key) = &self.ingest.key {
            let message = format!(
                "has fewer than {MIN_KEY} characters; create one with `openssl rand -hex 32`"
            );
            review.check(key.len() >= MIN_KEY, "ingest.key", message);
        }
        for (name, source) in &self.ingest.sources {
            ingest_source(&format!("ingest.sources.{name}"), name, source, review);
        }
    }
}

/// `${NAME}` is text like any other.
fn literal(key: &str, value: &toml::Value, found: &mut Vec<Fault>) {
    match value {
        toml::Value::String(text) if text.contains("${") => {
            let message = "contains `${…}`, which is taken literally; secrets can come from environment \
                           variables, see `fanfare serve --help`";
            found.push(Fault { key: key.to_owned(), message: message.to_owned() });
        }
        toml::Value::Array(items) => items.iter().for_each(|item| literal(key, item, found)),
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                literal(&key, value, found);
            }
        }
        _ => {}
    }
}

/// Sources that need no settings.
const BUILT_IN: [&str; 4] = ["alertmanager", "cloudevents", "github", "grafana"];

fn ingest_source(key: &str, name: &str, source: &IngestSource, review: &mut Review) {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let is_name = (1..=64).contains(&name.len()) && name.bytes().all(plain);
    review.check(is_name, key, "must have a name of 1 to 64 characters of a-z, 0-9, - and _");
    let IngestSource { kind, type_path, id_path, created_path, events_path, .. } = source;
    let paths = [
        ("type_path", type_path),
        ("id_path", id_path),
        ("created_path", created_path),
        ("events_path", events_path),
    ];
    let is_built_in = BUILT_IN.contains(&name);
    if is_built_in {
        let is_mapped = kind.is_some() || paths.iter().any(|(_, path)| path.is_some());
        let message = "is built in, so it can only have `secret`; give a source of your own another \
                       name";
        review.check(!is_mapped, key, message);
        let signs = matches!(name, "github" | "grafana");
        let has_header = source.signature_header.is_some();
        let message = "does not sign, so it cannot have `secret`; remove it";
        review.check(signs || source.secret.is_none() || has_header, key, message);
    } else {
        let message = "must have `type` or `type_path`, which say what the event type is";
        review.check(kind.is_some() || type_path.is_some(), key, message);
        let message = "must have `signature_header` and `secret`, or neither";
        review.check(source.signature_header.is_some() == source.secret.is_some(), key, message);
    }
    for (field, path) in paths {
        let is_path =
            path.as_ref().is_none_or(|path| path.split('.').all(|word| !word.trim().is_empty()));
        let message = "must be a dotted path in the body, such as \"event.name\"";
        review.check(is_path, &format!("{key}.{field}"), message);
    }
    let secret = source.secret.as_ref();
    let message = "must not be empty";
    review.check(secret.is_none_or(|secret| !secret.is_empty()), &format!("{key}.secret"), message);
}

fn http(http: &Http, review: &mut Review) {
    for (key, period) in [
        ("http.header_timeout", http.header_timeout),
        ("http.body_timeout", http.body_timeout),
        ("http.idle_timeout", http.idle_timeout),
    ] {
        review.at_least(key, period, MIN_TIMEOUT);
    }
    review.range("http.max_connections", http.max_connections, 1, 10_000_000);
    review.check(http.burst >= 1, "http.burst", "must be at least 1");
    if let Some(alias) = &http.alias
        && let Some(message) = alias_fault(alias)
    {
        review.fault("http.alias", message);
    }
}

/// Why a path prefix cannot be used.
fn alias_fault(alias: &str) -> Option<String> {
    let Some(path) = alias.strip_prefix('/') else {
        return Some(format!("must begin with a slash: \"/{}\"", alias.trim_end_matches('/')));
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(plain);
    if !path.split('/').all(is_segment) {
        return Some("must be a path such as \"/kyc\", of A-Z, a-z, 0-9, -, _ and .".to_owned());
    }
    let first = path.split('/').next().unwrap_or_default();
    OWN_PATHS.contains(&first).then(|| {
        format!("begins with \"/{first}\", which Fanfare uses itself; choose another prefix")
    })
}

/// Why a store cannot be used.
fn store_fault(store: &str) -> Option<String> {
    if store.is_empty() {
        return Some("must be a folder or a Redis URL".to_owned());
    }
    let scheme = scheme_of(store)?;
    if SCHEMES.contains(&scheme) || scheme == "unix" {
        return fanfare_store::redis::check_address(store).err().map(|error| error.to_string());
    }
    let advice = "a folder, or a Redis URL such as \"redis://127.0.0.1:6379\"";
    Some(match did_you_mean(scheme, SCHEMES) {
        hint if hint.is_empty() => format!("has the unknown scheme `{scheme}`; write {advice}"),
        hint => format!("has the unknown scheme `{scheme}`{hint} Write {advice}"),
    })
}

/// The scheme of a text that looks like a URL.
fn scheme_of(store: &str) -> Option<&str> {
    let (scheme, _) = store.split_once("://").or_else(|| {
        let (scheme, rest) = store.split_once(':')?;
        (SCHEMES.contains(&scheme) || scheme == "unix").then_some((scheme, rest))
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain);
    is_scheme.then_some(scheme)
}

/// Schemes are case-insensitive: `REDIS://host` is `redis://host`.
pub(super) fn with_lowercase_scheme(store: &str) -> String {
    match store.split_once("://") {
        Some((scheme, rest)) if scheme_of(store).is_some() => {
            format!("{}://{rest}", scheme.to_ascii_lowercase())
        }
        _ => store.to_owned(),
    }
}

/// Checks a log filter. The library reads an unknown word as the name of a module, so a misspelled
/// level would silence everything.
pub fn log_filter(filter: &str) -> Result<(), String> {
    let example = "write a level such as \"info\", or a filter such as \"fanfare=debug,warn\"";
    if filter.trim().is_empty() {
        return Err(format!("must not be empty; {example}"));
    }
    EnvFilter::try_new(filter).map_err(|error| format!("is not valid: {error}; {example}"))?;
    for part in filter.split(',').map(str::trim) {
        let word = part.rsplit('=').next().unwrap_or_default();
        let lower = word.to_ascii_lowercase();
        let is_level = LEVELS.contains(&&*lower) || word.parse::<u8>().is_ok();
        if is_level || part.contains(['[', '{']) {
            continue;
        }
        let hint = did_you_mean(&lower, LEVELS);
        if part.contains('=') || !hint.is_empty() || !filter.contains(',') {
            let wrong = format!("has `{word}`, which is not a level");
            return Err(if hint.is_empty() {
                format!("{wrong}; {example}")
            } else {
                format!("{wrong}{hint}")
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let config: Config = toml::from_str(text).expect("the types are right");
        config.faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_have_no_fault() {
        assert_eq!(Config::default().faults(), []);
    }

    #[test]
    fn nothing_is_clamped_or_ignored() {
        for (text, key) in [
            ("store = 'reddis://127.0.0.1:6379'", "store"),
            ("store = 'postgres://h/db'", "store"),
            ("retention = '0s'", "retention"),
            ("[log]\nfilter = 'inf0'", "log.filter"),
            ("[log]\nfilter = 'fanfare=debgu'", "log.filter"),
            ("[log]\nfilter = ''", "log.filter"),
            ("[events]\nmax_depth = 5000", "events.max_depth"),
            ("[events]\nmax_bytes = 99999999", "events.max_bytes"),
            ("[events]\nmax_batch = 0", "events.max_batch"),
            ("[router]\nwindow = 0", "router.window"),
            ("[router]\nlease = '1ms'", "router.lease"),
            ("[redis]\nwait_timeout = '10s'", "redis.wait_timeout"),
            ("[redis]\nstream = ''", "redis.stream"),
            ("[http]\nalias = 'kyc'", "http.alias"),
            ("[http]\nalias = '/v1'", "http.alias"),
            ("[http]\nalias = '/ui/x'", "http.alias"),
            ("[http]\nalias = '/{tenant}'", "http.alias"),
            ("[http]\nalias = '/'", "http.alias"),
            ("[http]\nheader_timeout = '1ms'", "http.header_timeout"),
            ("[http]\nmax_connections = 0", "http.max_connections"),
            ("[tracing]\nsample = 2.0", "tracing.sample"),
            ("[tracing]\notlp_endpoint = 'grpc://h:1'", "tracing.otlp_endpoint"),
            ("[ingest]\nkey = 'short'", "ingest.key"),
            ("[privacy]\nsubject_paths = []", "privacy.subject_paths"),
            ("[dns]\ntimeout = '1ms'", "dns.timeout"),
            ("[email]\nusername = 'x'", "email.password"),
            ("[email]\npassword = 'x'", "email.username"),
            ("[email]\nconnections = 0", "email.connections"),
            ("[ingest.sources.shop]", "ingest.sources.shop"),
            ("[ingest.sources.github]\ntype = 'x'", "ingest.sources.github"),
            ("[ingest.sources.alertmanager]\nsecret = 'x'", "ingest.sources.alertmanager"),
            ("[ingest.sources.Shop]\ntype = 'x'", "ingest.sources.Shop"),
            ("[ingest.sources.s]\ntype = 'x'\nsecret = 'y'", "ingest.sources.s"),
            ("[ingest.sources.s]\ntype_path = 'a..b'", "ingest.sources.s.type_path"),
        ] {
            let found = faults(text);
            let [fault] = &found[..] else { panic!("{text}: {found:?}") };
            assert!(fault.starts_with(&format!("{key}: ")), "{text}: {fault}");
        }
    }

    #[test]
    fn a_scheme_is_suggested_and_case_does_not_matter() {
        let of = |store: &str| faults(&format!("store = '{store}'")).concat();
        assert!(
            of("reddis://h:6379").contains("did you mean `redis`?"),
            "{}",
            of("reddis://h:6379")
        );
        assert!(of("postgres://h/db").contains("; write a folder"), "{}", of("postgres://h/db"));
        assert_eq!(with_lowercase_scheme("REDIS://H:6379/0"), "redis://H:6379/0");
        assert_eq!(with_lowercase_scheme("./Data"), "./Data");
        for fine in ["./data", "/var/lib/fanfare", "redis://127.0.0.1:6379", "C:data", "unix:///s"]
        {
            assert_eq!(of(fine), "", "{fine}");
        }
    }

    #[test]
    fn the_usual_log_filters_are_accepted() {
        for filter in ["info", "WARN", "off", "fanfare=debug,hyper=info,warn", "fanfare=trace", "3"]
        {
            assert_eq!(log_filter(filter), Ok(()), "{filter}");
        }
    }
}
