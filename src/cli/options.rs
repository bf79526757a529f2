//! Options that several commands share, so that they have one name and one description everywhere.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args as ClapArgs;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use fanfare_contract::Environment;
use http::Method;
use serde_json::{Map, Value};
use url::Url;

use super::Failure;
use super::remote::{Api, ApiRequest, Exact, StoreUse};
use crate::agenda::Clock;
use crate::app::{self, Purpose};
use crate::config::{Config, Period};
use fanfare_store::{Ms, StateKind, Store};

/// Heading of the options that choose a store or a server.
pub(super) const CONNECTION: &str = "Connection options";

/// Position of an option below those of the command itself, and above `--help`.
const LAST: usize = 900;

/// Which settings, and which store.
#[derive(ClapArgs, Clone, Debug)]
pub(super) struct StoreArgs {
    /// Settings file; `fanfare check --print-config` prints all settings
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE", help_heading = CONNECTION)]
    pub(super) config: Option<PathBuf>,
    /// Store: a folder or a Redis URL [default: ./fanfare-data]
    #[arg(
        long,
        env = "FANFARE_STORE",
        value_name = "STORE",
        hide_env_values = true,
        help_heading = CONNECTION
    )]
    pub(super) store: Option<String>,
}

impl StoreArgs {
    /// The settings file with `--store` applied.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(store) = &self.store {
            config.set_store(store);
        }
        Ok(config)
    }

    /// Opens a store that exists, beside a running router. It never creates one: a command that
    /// only reads must not leave an empty store behind.
    pub(super) async fn open_existing(&self) -> Result<(Config, Store), Failure> {
        let config = self.load()?;
        if !app::is_redis(&config.store) && !PathBuf::from(&config.store).is_dir() {
            return Err(no_store(&config.store));
        }
        let store = app::open_store(&config, Purpose::Tool).await?;
        Ok((config, store))
    }

    /// Opens the store beside a running router. Creates an embedded store if there is none.
    pub(super) async fn open_or_create(&self) -> Result<(Config, Store), Failure> {
        let config = self.load()?;
        let store = app::open_store(&config, Purpose::Tool).await?;
        Ok((config, store))
    }
}

/// The folder of an embedded store does not exist.
pub(super) fn no_store(folder: &str) -> Failure {
    Failure::unreachable(format!(
        "there is no store at {folder}; choose another with --store or a server with --server, or \
         create one with `fanfare serve` or `fanfare apply`"
    ))
}

/// A store has no such tenant.
pub(super) fn no_tenant(tenant: &str, store: &str) -> Failure {
    // The URL of a Redis may contain a password.
    let store = if app::is_redis(store) { "Redis" } else { store };
    Failure::refused(format!(
        "there is no tenant `{tenant}` in {store}; create it with `fanfare apply` or `fanfare \
         tenants create`"
    ))
}

/// A server to send requests to.
#[derive(ClapArgs, Clone)]
pub(super) struct ServerArgs {
    /// Send requests to this server instead of opening the store
    #[arg(
        long,
        env = "FANFARE_SERVER",
        value_name = "URL",
        value_parser = server_url,
        conflicts_with = "store",
        help_heading = CONNECTION
    )]
    pub(super) server: Option<Url>,
    /// Key for --server; prefer the environment variable
    #[arg(
        long,
        env = "FANFARE_KEY",
        value_name = "KEY",
        hide_env_values = true,
        help_heading = CONNECTION
    )]
    pub(super) key: Option<String>,
}

/// Parses the URL of a server.
pub(super) fn server_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or("write https://fanfare.example or http://127.0.0.1:8400")
}

impl ServerArgs {
    /// The server's API, if a server was chosen.
    pub(super) fn api(&self) -> Result<Option<Api>, Failure> {
        let api = |server: &Url| Api::over_http(server, self.key.as_deref());
        self.server.as_ref().map(api).transpose()
    }
}

/// Where a command works: on a server or on a store, with the same result.
#[derive(ClapArgs, Clone)]
pub(super) struct Target {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// Allow http:// and loopback receivers; a server uses its own setting
    #[arg(
        long,
        env = "FANFARE_DEVELOPMENT",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::SetTrue,
        help_heading = CONNECTION
    )]
    pub(super) development: bool,
    /// Print JSON
    #[arg(long, display_order = LAST)]
    pub(super) json: bool,
}

impl Target {
    /// Sends one request to the server, or to a store that exists, and returns the data.
    pub(super) async fn data(&self, request: ApiRequest) -> Result<Value, Failure> {
        Api::open(self, StoreUse::Existing).await?.data(request).await
    }

    /// The same, with events as their producers wrote them.
    pub(super) async fn exact(&self, request: ApiRequest) -> Result<Exact, Failure> {
        Api::open(self, StoreUse::Existing).await?.exact(request).await
    }
}

/// A tenant, and where it is.
#[derive(ClapArgs)]
pub(super) struct TenantTarget {
    /// Tenant id; optional with --server if the key belongs to one tenant
    #[arg(long, env = "FANFARE_TENANT", required_unless_present = "server", display_order = 0)]
    pub(super) tenant: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

impl TenantTarget {
    /// A request below the tenant's path.
    pub(super) fn request<const N: usize>(&self, method: Method, path: [&str; N]) -> ApiRequest {
        // The API's name for the tenant of the key.
        let tenant = self.tenant.as_deref().unwrap_or("me");
        ApiRequest::new(method, &[&["tenants", tenant], &path[..]].concat())
    }

    /// Reads a resource of the tenant.
    pub(super) async fn get<const N: usize>(&self, path: [&str; N]) -> Result<Value, Failure> {
        self.target.data(self.request(Method::GET, path)).await
    }

    /// The API, over the server or over a store that exists.
    pub(super) async fn api(&self) -> Result<Api, Failure> {
        Api::open(&self.target, StoreUse::Existing).await
    }

    /// The same; the store checks receivers' addresses by its settings and `--development`.
    pub(super) async fn checking_api(&self) -> Result<Api, Failure> {
        Api::open(&self.target, StoreUse::ExistingChecked).await
    }

    /// Whether to print JSON.
    pub(super) fn json(&self) -> bool {
        self.target.json
    }
}

/// Which page of a list.
#[derive(ClapArgs)]
pub(super) struct PageArgs {
    /// Maximum number of results, 1 to 1000 [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: Option<u16>,
    /// Cursor of the page, as printed below the page before it
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<String>,
}

/// Events of which time.
#[derive(ClapArgs)]
pub(super) struct Window {
    /// Only events received since WHEN: 2h or 3d ago, yesterday, 2026-11-23, or a time in UTC
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only events received before WHEN
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
}

impl Window {
    /// Its bounds in Unix milliseconds, from and before.
    pub(super) fn bounds(&self) -> (Option<Ms>, Option<Ms>) {
        let now = Clock::System.now_ms();
        (self.since.map(|when| when.ms(now)), self.until.map(|when| when.ms(now)))
    }

    /// Adds its bounds to the body of a request.
    pub(super) fn add_to(&self, body: &mut Map<String, Value>) {
        let (from, to) = self.bounds();
        for (name, bound) in [("from_ms", from), ("to_ms", to)] {
            body.extend(bound.map(|ms| (name.to_owned(), ms.into())));
        }
    }
}

/// A point in time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Ago(Duration),
    At(Ms),
    /// The beginning of today or of an earlier day, in UTC.
    DaysBack(Ms),
}

/// A day in milliseconds.
const DAY_MS: Ms = 24 * 60 * 60 * 1_000;

impl When {
    fn ms(self, now: Ms) -> Ms {
        match self {
            Self::Ago(ago) => now - Ms::try_from(ago.as_millis()).unwrap_or(now),
            Self::At(ms) => ms,
            Self::DaysBack(days) => now - now.rem_euclid(DAY_MS) - days * DAY_MS,
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(Period(ago)) = text.parse() {
            return Ok(Self::Ago(ago));
        }
        if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.timestamp_millis()));
        }
        if let Ok(day) = text.parse::<chrono::NaiveDate>() {
            let midnight = day.and_time(chrono::NaiveTime::MIN).and_utc();
            return Ok(Self::At(midnight.timestamp_millis()));
        }
        match text.to_ascii_lowercase().as_str() {
            "now" => Ok(Self::Ago(Duration::ZERO)),
            "today" => Ok(Self::DaysBack(0)),
            "yesterday" => Ok(Self::DaysBack(1)),
            _ => Err(
                "write how long ago, such as 2h or 3d, a date such as 2026-11-23 or yesterday, \
                      or a time such as 2026-11-23T08:00:00Z",
            ),
        }
    }
}

/// Parses `live` and `test`.
pub(super) fn environment() -> impl TypedValueParser<Value = Environment> {
    PossibleValuesParser::new(["live", "test"]).try_map(|word| word.parse())
}

/// Parses one of these states of a delivery.
pub(super) fn states(kinds: &[StateKind]) -> impl TypedValueParser<Value = StateKind> + use<> {
    PossibleValuesParser::new(kinds.iter().map(|kind| kind.as_str())).try_map(|word| word.parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_ago_or_a_date() {
        let ms = |text: &str| text.parse::<When>().map(|when| when.ms(10_000_000));
        assert_eq!(ms("2h"), Ok(10_000_000 - 7_200_000));
        assert_eq!(ms("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(ms("1970-01-02"), Ok(DAY_MS));
        let then = |text: &str| text.parse::<When>().map(|when| when.ms(3 * DAY_MS + 5_000));
        assert_eq!(then("today"), Ok(3 * DAY_MS));
        assert_eq!(then("Yesterday"), Ok(2 * DAY_MS));
        assert_eq!(then("now"), Ok(3 * DAY_MS + 5_000));
        for wrong in ["tomorrow", "2026-13-01", "2h ago", ""] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }
}
