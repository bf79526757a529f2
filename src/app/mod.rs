//! Puts a router together from the settings. The one place that names concrete stores and
//! channels.

mod channels;
mod store;
mod templates;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agenda::{Clock, Replicas, ServeOptions};
use crate::catalogue::Catalogue;
use crate::config::{self, Config};
use crate::event::Limits;
use crate::flow::{HTTP_MEMORY_SHARE, LANE_MEMORY_SHARE, WINDOW_MEMORY_SHARE};
use crate::observe::Observe;
use crate::pipeline::{Router, RouterOptions, WarnAfter};
use crate::quota::{Limits as QuotaLimits, OverRate, Quota, Quotas};
use crate::tenant::{Channels, Registry};
use fanfare_store::{Store, metered};

pub use self::channels::channels;
pub(crate) use self::store::OWN_KEY;
pub use self::store::{Purpose, is_redis, open_sealed, open_store, open_unsealed};
pub use self::templates::{LiveTemplates, TenantEngines, engine, render_tenant, tenant_engines};

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
        let templates = Arc::new(LiveTemplates::new(engine(config, &BTreeMap::new())?));
        let channels = channels(config, templates.clone(), store.memo.clone(), observe.clone())?;
        let channels = channels.among(Replicas::of(&store));
        Ok(Self { store, channels, templates, observe })
    }
}

/// Everything that a router needs.
pub struct App {
    /// The store.
    pub store: Store,
    /// The tenants.
    pub registry: Arc<Registry>,
    /// The clock.
    pub clock: Clock,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// Metrics and traces.
    pub observe: Arc<Observe>,
    /// The tenants' quotas.
    pub quotas: Arc<Quotas>,
    options: RouterOptions,
}

impl App {
    /// Puts a router together.
    pub async fn build(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let Parts { store, channels, templates, observe } = parts;
        let clock = Clock::System;
        clock.begin(&*store.upkeep).await;
        let in_memory = config.router.tenants_in_memory;
        let registry = Registry::open(store.clone(), channels, clock, in_memory).await?;
        templates.follow(&registry);
        let options = router_options(config);
        let catalogue = Catalogue::load(store.records.clone()).await?;
        let quotas = quotas(config, &store);
        Ok(Self { store, registry, clock, catalogue, observe, quotas, options })
    }

    /// The router. Call [`Router::run`] to run it.
    pub fn router(&self) -> Router {
        let (store, registry) = (self.store.clone(), self.registry.clone());
        let observe = self.observe.clone();
        let router = Router::new(store, registry, self.clock, self.options, observe);
        router.checking(self.catalogue.clone()).limiting(self.quotas.clone())
    }
}

/// Bytes of what Fanfare adds to an event before it is stored.
const ENVELOPE: usize = 4 << 10;
/// Least memory of a router.
const MEMORY_MIN: usize = 64 << 20;

/// Bytes of memory that the settings allow.
fn memory(config: &Config) -> usize {
    config.router.memory.0.max(MEMORY_MIN)
}

/// The part of it for the bodies of requests in progress and their answers.
pub fn http_memory(config: &Config) -> usize {
    memory(config) / HTTP_MEMORY_SHARE
}

fn router_options(config: &Config) -> RouterOptions {
    RouterOptions {
        window: config.router.window,
        batch: config.router.batch,
        limits: limits(config),
        serve: ServeOptions {
            lease: config.router.lease.0,
            lanes: config.router.lanes,
            digest_events: config.router.digest_events,
            memory: memory(config) / LANE_MEMORY_SHARE,
            largest: limits(config).max_bytes + ENVELOPE,
            ..ServeOptions::default()
        },
        retention: config.retention.0,
        warn: WarnAfter {
            held: config.router.warn_held_after.0,
            failing: config.router.warn_failing_after.0,
        },
        memory: memory(config) / WINDOW_MEMORY_SHARE,
        stats_retention: config.stats_retention.0,
    }
}

fn quotas(config: &Config, store: &Store) -> Arc<Quotas> {
    let over_rate = match config.quotas.stream_over_rate {
        config::OverRate::Wait => OverRate::Wait,
        config::OverRate::Reject => OverRate::Reject,
    };
    Quotas::new(store, quota_limits(config), config.quotas.burst.0, over_rate)
}

/// The quotas of tenants without quotas of their own.
pub fn quota_limits(config: &Config) -> QuotaLimits {
    let quotas = &config.quotas;
    QuotaLimits::new(|quota| match quota {
        Quota::EventsPerSecond => quotas.events_per_second,
        Quota::BytesPerSecond => quotas.bytes_per_second,
        Quota::StoredBytes => quotas.stored_bytes,
        Quota::WaitingDeliveries => quotas.waiting_deliveries,
        Quota::Destinations => quotas.destinations,
        Quota::Routes => quotas.routes,
        Quota::Keys => quotas.keys,
        Quota::FilterValues => quotas.filter_values,
        Quota::TemplateBytes => quotas.template_bytes,
    })
}

/// Limits on events from the settings, capped at what the program can handle.
pub fn limits(config: &Config) -> Limits {
    Limits { max_bytes: config.events.max_bytes, max_depth: config.events.max_depth }
}
