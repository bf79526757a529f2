//! The channel: its configuration, its HTTP client and its service.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{
    Channel, ChannelService, Delivery, FieldError, Memo, Policy, PreparedLane, Rate, Resolve,
    Templates,
};
use reqwest::redirect;
use serde_json::{Map, Value};
use slack_morphism::SlackClient;
use tower::service_fn;
use url::Url;

use crate::connector::{Connector, Names};
use crate::send::Sender;
use crate::settings;

/// The operator's settings for all Slack destinations.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL of the Web API's methods.
    pub api_url: Url,
    /// Allows `http://` URLs and hosts other than Slack's.
    pub development: bool,
    /// The `User-Agent` of every request.
    pub user_agent: String,
    /// Time limit for a new connection.
    pub connect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_url: Url::parse("https://slack.com/api").expect("a constant URL"),
            development: false,
            user_agent: concat!("Fanfare/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Why the channel cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process has no TLS provider.
    #[error("no TLS provider is installed; install rustls' ring provider before the Slack channel")]
    NoTlsProvider,
    /// The API would be called without TLS.
    #[error("`slack.api_url` must start with https:// outside development mode")]
    InsecureApi,
    /// The HTTP client cannot be built.
    #[error("the HTTP client for Slack cannot be built")]
    Client(#[source] reqwest::Error),
}

/// Posts to Slack through incoming webhooks and bot tokens.
pub struct SlackChannel {
    sender: Arc<Sender>,
    development: bool,
}

impl SlackChannel {
    /// A channel with its own pool of connections, which resolves names with `resolver`.
    pub fn new(
        config: Config,
        templates: Arc<dyn Templates>,
        memo: Arc<dyn Memo>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, Error> {
        // reqwest panics without a provider.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Error::NoTlsProvider);
        }
        if config.api_url.scheme() != "https" && !config.development {
            return Err(Error::InsecureApi);
        }
        let http = reqwest::Client::builder()
            .user_agent(config.user_agent)
            .connect_timeout(config.connect_timeout)
            .https_only(!config.development)
            // A webhook's URL is a secret that must not reach another host.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Names(resolver))
            // The router decides about retries.
            .retry(reqwest::retry::never())
            // Shorter than Slack's own limit, so that no request meets a closing connection.
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(Error::Client)?;
        let slack = SlackClient::new(Connector::new(http, &config.api_url));
        let sender = Arc::new(Sender { slack, templates, memo });
        Ok(Self { sender, development: config.development })
    }
}

impl Channel for SlackChannel {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn settings_schema(&self) -> Value {
        settings::schema()
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &crate::SECRET_FIELDS
    }

    fn receiver(&self, settings: &Map<String, Value>) -> Option<String> {
        settings::receiver(settings)
    }

    fn policy(&self) -> Policy {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let schedule = [5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 4 * HOUR];
        Policy {
            schedule: schedule.map(Duration::from_secs).to_vec(),
            jitter: 0.2,
            retry_after_cap: Duration::from_secs(HOUR),
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(25),
            quick_retry: false,
            concurrency: 1,
            // One message per second and channel: https://docs.slack.dev/apis/web-api/rate-limits
            rate: Some(Rate { messages: 1, per: Duration::from_secs(1) }),
            channel_concurrency: 256,
            endless: false,
            disable_after: None,
            bounces: None,
        }
    }

    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
        settings::prepare(settings, self.development)
    }

    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        settings::masked(settings)
    }

    fn service(&self) -> ChannelService {
        let sender = Arc::clone(&self.sender);
        ChannelService::new(service_fn(move |delivery: Delivery| {
            let sender = Arc::clone(&sender);
            async move { sender.attempt(delivery).await }
        }))
    }
}
