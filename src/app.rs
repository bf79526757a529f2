//! Puts a router together from the settings. The one place that names concrete stores and
//! channels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use fanfare_contract::{Channel, Delivery, Memo, Part, RenderError, Templates};

use crate::agenda::{Clock, ServeOptions};
use crate::catalogue::Catalogue;
use crate::config::{Config, Security};
use crate::delivery::StackOptions;
use crate::delivery::layers::Observer;
use crate::event::Limits;
use crate::flow::CHANNEL_WAIT;
use crate::observe::Observe;
use crate::pipeline::{Router, RouterOptions};
use crate::secrets::{self, KeyPolicy, Secrets};
use crate::tenant::file::process_env;
use crate::tenant::{Channels, Problem, Registry, Snapshot, TenantSpec, Wording};
use fanfare_render::{Engine, Links, Sources, TemplateError};
use fanfare_store::{Store, StoreError, embedded, metered, redis};

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To route events: of an embedded store, this process is the only one that does.
    Route,
    /// To read, or to change tenants, beside a running router.
    Tool,
}

/// The file of the master key that an embedded store creates in its folder.
pub(crate) const OWN_KEY: &str = "master.key";

/// Whether this address is a Redis server rather than a folder.
pub fn is_redis(store: &str) -> bool {
    ["redis:", "rediss:", "redis+", "rediss+", "unix:"].iter().any(|s| store.starts_with(s))
}

/// Opens the store that `config.store` names. Secrets are encrypted in it.
pub async fn open_store(config: &Config, purpose: Purpose) -> fanfare_store::Result<Store> {
    Ok(open_sealed(config, purpose).await?.0)
}

/// Like [`open_store`], and returns what manages the secrets.
pub async fn open_sealed(
    config: &Config,
    purpose: Purpose,
) -> fanfare_store::Result<(Store, Secrets)> {
    let keys = secrets::configured(config.secrets.key_file.as_deref(), &process_env);
    let keys = keys.map_err(|error| StoreError::Secrets(error.to_string()))?;
    let store = open_raw(config, purpose).await?;
    let own_file = (!is_redis(&config.store)).then(|| Path::new(&config.store).join(OWN_KEY));
    let policy = KeyPolicy {
        serves: purpose == Purpose::Route,
        development: config.development,
        own_file: own_file.as_deref(),
    };
    Secrets::set_up(store, keys, secret_fields, policy).await
}

/// The settings of a channel that are kept encrypted.
fn secret_fields(channel: &str) -> &'static [&'static str] {
    match channel {
        "webhook" => &fanfare_webhook::SECRET_FIELDS,
        "slack" => &fanfare_slack::SECRET_FIELDS,
        _ => &[],
    }
}

async fn open_raw(config: &Config, purpose: Purpose) -> fanfare_store::Result<Store> {
    if is_redis(&config.store) {
        let options = redis::Options {
            stream: config.redis.stream.clone(),
            group: config.redis.group.clone(),
            prefix: config.redis.prefix.clone(),
            dead_after: config.redis.dead_after.0,
            retention: config.retention.0,
            wait_replicas: config.redis.wait_replicas,
            // Below the time limit of a Redis command (5 s).
            wait_timeout: config.redis.wait_timeout.0.min(Duration::from_secs(4)),
            ..redis::Options::new(config.store.clone())
        };
        return redis::open(options).await;
    }
    let role = match purpose {
        Purpose::Route => embedded::Role::Router,
        Purpose::Tool => embedded::Role::Tool,
    };
    let options = embedded::Options { role, readers: 2 };
    embedded::open(Path::new(&config.store), options)
}

/// The templates of all tenants. Replaced as a whole when a tenant changes.
pub struct LiveTemplates(ArcSwap<Engine>);

impl LiveTemplates {
    /// The current engine.
    pub fn engine(&self) -> Arc<Engine> {
        self.0.load_full()
    }
}

impl Templates for LiveTemplates {
    fn render(&self, delivery: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        self.0.load().render(delivery, parts)
    }
}

/// The sources that come from the settings alone.
fn base_sources(config: &Config) -> anyhow::Result<Sources> {
    let links = Links::parse(&config.links)
        .map_err(|errors| anyhow::anyhow!("settings, [links]: {}", errors.join("\n")))?;
    Ok(Sources { dir: config.templates.clone(), links, tenants: BTreeMap::new() })
}

/// An engine with the templates and links of `tenants`.
pub fn engine(
    config: &Config,
    tenants: &BTreeMap<String, fanfare_render::Tenant>,
) -> anyhow::Result<Engine> {
    let sources = Sources { tenants: tenants.clone(), ..base_sources(config)? };
    Engine::load(&sources).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

/// Compiles the templates of one tenant's document, or returns what is wrong with them.
pub type TenantEngines = Arc<dyn Fn(&TenantSpec) -> Result<Engine, Vec<Problem>> + Send + Sync>;

/// For the API, which checks and previews templates.
pub fn tenant_engines(config: &Config) -> anyhow::Result<TenantEngines> {
    let base = base_sources(config)?;
    Ok(Arc::new(move |spec| {
        let problem =
            |place: &str, field: &str, message: String| Problem::new(place, field, message);
        let own = render_tenant(&spec.wording()).map_err(|errors| {
            errors.into_iter().map(|error| problem("links", "", error)).collect::<Vec<_>>()
        })?;
        let tenants = BTreeMap::from([(spec.id.clone(), own)]);
        Engine::load(&Sources { tenants, ..base.clone() }).map_err(|errors| {
            let problem_of =
                |error: &TemplateError| problem("templates", &error.template, error.to_string());
            errors.iter().map(problem_of).collect()
        })
    }))
}

/// What the templates need from a tenant.
pub fn render_tenant(wording: &Wording) -> Result<fanfare_render::Tenant, Vec<String>> {
    Ok(fanfare_render::Tenant {
        name: Some(wording.name.clone()),
        links: Links::parse(&wording.links)?,
        overrides: wording.templates.clone(),
    })
}

/// The channels, configured by the settings.
pub fn channels(
    config: &Config,
    templates: Arc<dyn Templates>,
    memo: Arc<dyn Memo>,
    observer: Arc<dyn Observer>,
) -> anyhow::Result<Channels> {
    let webhook = fanfare_webhook::WebhookChannel::new(webhook_config(config)?)?;
    let email = fanfare_email::EmailChannel::new(email_config(config)?, templates.clone())?;
    let slack = fanfare_slack::Config {
        api_url: config.slack.api_url.clone(),
        development: config.development,
        ..fanfare_slack::Config::default()
    };
    let slack = fanfare_slack::SlackChannel::new(slack, templates, memo)?;
    let channels: Vec<Arc<dyn Channel>> = vec![
        Arc::new(webhook),
        Arc::new(email),
        Arc::new(slack),
        Arc::new(fanfare_poll::PollChannel),
    ];
    let options = StackOptions { observer, channel_rate: None, longest_wait: CHANNEL_WAIT };
    Ok(Channels::new(channels, &options))
}

fn webhook_config(config: &Config) -> anyhow::Result<fanfare_webhook::Config> {
    Ok(fanfare_webhook::Config {
        development: config.development,
        allowed_networks: config.webhook.allowed_networks.clone(),
        user_agent: config.webhook.user_agent.clone(),
        answer_limit_bytes: config.webhook.answer_limit_bytes,
        connect_timeout: config.webhook.connect_timeout.0,
        idle_per_host: config.webhook.idle_per_host,
        extra_roots: read_all("webhook.extra_roots", &config.webhook.extra_roots)?,
    })
}

fn email_config(config: &Config) -> anyhow::Result<fanfare_email::Config> {
    let email = &config.email;
    let credentials = match (&email.username, &email.password) {
        (Some(user), Some(password)) => Some((user.clone(), password.clone())),
        (None, None) => None,
        _ => anyhow::bail!("settings, [email]: set both `username` and `password`, or neither"),
    };
    let dkim = email
        .dkim
        .as_ref()
        .map(|dkim| {
            let key = read_text("email.dkim.key_file", &dkim.key_file)?;
            anyhow::Ok(fanfare_email::DkimConfig {
                domain: dkim.domain.clone(),
                selector: dkim.selector.clone(),
                private_key_pem: key,
            })
        })
        .transpose()?;
    let roots = email.extra_roots.iter().map(|path| read_text("email.extra_roots", path));
    Ok(fanfare_email::Config {
        host: email.host.clone(),
        port: email.port,
        security: match email.security {
            Security::None => fanfare_email::Security::None,
            Security::Starttls => fanfare_email::Security::StartTls,
            Security::Tls => fanfare_email::Security::Tls,
        },
        credentials,
        from: email.from.clone(),
        reply_to: email.reply_to.clone(),
        hello_name: email.hello_name.clone(),
        connections: email.connections,
        dkim,
        unsubscribe_url: email.unsubscribe_url.clone(),
        development: config.development,
        extra_roots_pem: roots.collect::<Result<_, _>>()?,
        ..fanfare_email::Config::default()
    })
}

fn read_all(key: &str, paths: &[PathBuf]) -> anyhow::Result<Vec<Vec<u8>>> {
    paths.iter().map(|path| read_text(key, path).map(String::into_bytes)).collect()
}

fn read_text(key: &str, path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("settings, {key}: {} cannot be read", path.display()))
}

/// What exists before the tenants are loaded.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The channels.
    pub channels: Channels,
    templates: Arc<LiveTemplates>,
    observe: Arc<Observe>,
}

impl Parts {
    /// For an open store.
    pub fn new(config: &Config, store: Store) -> anyhow::Result<Self> {
        let observe = Observe::new(config)?;
        let store = metered(store, observe.clone());
        let templates = LiveTemplates(ArcSwap::from_pointee(engine(config, &BTreeMap::new())?));
        let templates = Arc::new(templates);
        let channels = channels(config, templates.clone(), store.memo.clone(), observe.clone())?;
        Ok(Self { store, channels, templates, observe })
    }
}

/// Everything that a router needs.
pub struct App {
    /// The store.
    pub store: Store,
    /// The tenants.
    pub registry: Arc<Registry>,
    /// The templates.
    pub templates: Arc<LiveTemplates>,
    /// The clock.
    pub clock: Clock,
    /// The version of the directory when the tenants were loaded.
    pub version: u64,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// Metrics and traces.
    pub observe: Arc<Observe>,
    options: RouterOptions,
}

impl App {
    /// Puts a router together.
    pub async fn build(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, channels, templates, observe } = parts;
        let follow = follow_templates(base_sources(config)?, templates.clone());
        let clock = Clock::System;
        let (registry, version) = Registry::load(store.clone(), channels, clock, follow).await?;
        let options = router_options(config);
        let catalogue = Catalogue::load(store.records.clone()).await?;
        Ok(Self { store, registry, templates, clock, version, catalogue, observe, options })
    }

    /// The router. Call [`Router::run`] to run it.
    pub fn router(&self) -> Router {
        let (store, registry) = (self.store.clone(), self.registry.clone());
        let observe = self.observe.clone();
        let router = Router::new(store, registry, self.clock, self.options, observe);
        router.checking(self.catalogue.clone())
    }
}

fn router_options(config: &Config) -> RouterOptions {
    RouterOptions {
        window: config.router.window.max(1),
        batch: config.router.batch.max(1),
        limits: limits(config),
        serve: ServeOptions {
            lease: config.router.lease.0.max(Duration::from_secs(1)),
            lanes: config.router.lanes.max(1),
            digest_events: config.router.digest_events.max(1),
            ..ServeOptions::default()
        },
        retention: config.retention.0,
    }
}

/// Limits on events from the settings, capped at what the program can handle.
pub fn limits(config: &Config) -> Limits {
    Limits {
        max_bytes: config.events.max_bytes.min(8 * 1024 * 1024),
        max_depth: config.events.max_depth.clamp(2, 100),
    }
}

/// Rebuilds the templates when a tenant's own have changed. Templates that do not compile are
/// logged, and only that tenant keeps its previous ones.
fn follow_templates(
    base: Sources,
    templates: Arc<LiveTemplates>,
) -> Box<dyn Fn(&Snapshot) + Send + Sync> {
    let good = Mutex::new(BTreeMap::<String, fanfare_render::Tenant>::new());
    Box::new(move |tenants| {
        // Every change under the lock is complete by itself, so a panic elsewhere does no harm.
        let mut good = good.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sources = base.clone();
        for tenant in tenants.values() {
            match render_tenant(&tenant.wording) {
                Ok(own) => _ = sources.tenants.insert(tenant.id.to_string(), own),
                Err(errors) => {
                    let errors = errors.join("; ");
                    tracing::error!(
                        tenant = &*tenant.id,
                        errors,
                        "the links of a tenant cannot be used"
                    );
                }
            }
        }
        if let Some(engine) = load_without_bad(&mut sources, &good) {
            templates.0.store(Arc::new(engine));
            *good = sources.tenants;
        } else {
            tracing::error!(
                "the templates cannot be rebuilt; all tenants keep their previous ones"
            );
        }
    })
}

/// Loads the templates. A tenant whose templates cannot be used gets those in `good` back, or none
/// of its own.
fn load_without_bad(
    sources: &mut Sources,
    good: &BTreeMap<String, fanfare_render::Tenant>,
) -> Option<Engine> {
    let errors = match Engine::load(sources) {
        Ok(engine) => return Some(engine),
        Err(errors) => errors,
    };
    for error in errors {
        tracing::error!(%error, "a template cannot be used; the tenant keeps its previous ones");
        let Some(bad) = error.tenant else { continue };
        let before = good.get(&bad).cloned().unwrap_or_default();
        sources.tenants.insert(bad, before);
    }
    Engine::load(sources).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Forgetful;

    #[async_trait::async_trait]
    impl Memo for Forgetful {
        async fn get(&self, _: &str) -> Option<String> {
            None
        }
        async fn put(&self, _: &str, _: &str, _: Duration) {}
    }

    #[test]
    fn the_secrets_of_every_channel_are_known_before_there_are_channels() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config::default();
        let templates = Arc::new(engine(&config, &BTreeMap::new()).unwrap());
        let quiet = Arc::new(crate::delivery::layers::Quiet);
        let channels = channels(&config, templates, Arc::new(Forgetful), quiet).unwrap();
        for name in channels.names().split(", ") {
            let channel = &channels.get(name).unwrap().channel;
            assert_eq!(channel.secret_fields(), secret_fields(name), "{name}");
        }
    }
}
