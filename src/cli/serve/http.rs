//! The HTTP API of a server: its state, who may use it, and how it stops.

use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::access::{Hash, Keyring, RateLimit};
use crate::api::{
    self, ApiLimits, ApiState, AuthFailures, Authenticator, BUILT_IN, LocalHosts, Mapping, Meter,
    OwnSource, Setting, Shared, Sources,
};
use crate::app::{self, App};
use crate::config::{Config, Http};
use crate::dashboard;
use crate::secrets::Vault;
use crate::server::{self, Descriptors, Options};

/// What the API's handlers share.
pub(super) fn state(
    app: &App,
    config: &Config,
    keyring: Arc<Keyring>,
    ingest: Option<Hash>,
    settings: Vec<Setting>,
    stop: &CancellationToken,
) -> Result<ApiState, Failure> {
    let meter = config.metrics.enabled.then(|| {
        let window = config.router.window;
        let local = config.development && config.is_local() && config.metrics.key.is_none();
        let open = config.metrics.open.unwrap_or(local);
        Meter::new(app.observe.clone(), window, config.metrics.key.as_deref(), open)
    });
    // An ingest key says that publishing needs a key, so it also closes the rest.
    let open = config.development && config.is_local() && ingest.is_none();
    let open = open.then_some("development");
    let local_hosts = open.map(|_| Arc::new(LocalHosts::new(&config.http.development_hosts)));
    let alias = config.http.alias.clone();
    let subject_paths = config.privacy.subject_paths.clone();
    let limits = api_limits(config);
    let (clock, failures) = (app.clock, AuthFailures::new(app.observe.clone()));
    Ok(ApiState {
        store: app.store.clone(),
        registry: app.registry.clone(),
        clock: app.clock,
        limits: app::limits(config),
        max_batch: config.events.max_batch,
        quotas: app.quotas.clone(),
        authenticator: Arc::new(Authenticator { keyring, ingest, open, clock, failures }),
        observe: app.observe.clone(),
        meter,
        catalogue: app.catalogue.clone(),
        local_hosts,
        open_docs: config.http.open_docs,
        sources: Arc::new(sources(config)),
        v1: Arc::new(Shared::new(app::tenant_engines(config)?, alias, subject_paths, limits)),
        settings: settings.into(),
        stop: stop.clone(),
    })
}

/// What the API's requests may use at the same time.
fn api_limits(config: &Config) -> ApiLimits {
    ApiLimits {
        event: app::limits(config),
        body_memory: config.http.body_memory_bytes.min(app::http_memory(config)),
        waiting: config.http.max_waiting,
        waiting_per_tenant: config.http.max_waiting_per_tenant,
    }
}

/// The limits on connections. Fails if the system allows too few file descriptors for them.
pub(super) fn options(http: &Http) -> Result<Options, Failure> {
    let per_address = http.max_connections_per_address;
    let mut options = Options {
        max_connections: http.max_connections,
        reserved_connections: http.reserved_connections,
        // All clients of a proxy have the proxy's address.
        max_per_address: (per_address > 0 && !http.behind_proxy).then_some(per_address),
        header_timeout: http.header_timeout.0,
        body_timeout: http.body_timeout.0,
        min_body_rate: http.min_body_rate,
        idle_timeout: http.idle_timeout.0,
    };
    let descriptors = Descriptors::fit(&mut options);
    let descriptors = descriptors.map_err(|error| Failure::refused(error.to_string()))?;
    if let Some(lowered) = descriptors.lowered {
        tracing::warn!(
            "this process may open {} file descriptors, so it serves {lowered} connections instead \
             of the {} of http.max_connections: half of the descriptors are left to deliveries and \
             the store. Raise the limit with `ulimit -n` or LimitNOFILE",
            descriptors.limit,
            http.max_connections
        );
    }
    Ok(options)
}

/// The API and, unless it is disabled, the dashboard.
pub(super) fn pages(
    config: &Config,
    state: &ApiState,
    vault: Option<Arc<Vault>>,
) -> anyhow::Result<Router> {
    let api = api::router(state.clone());
    if !config.dashboard.enabled {
        return Ok(api);
    }
    let settings = &config.dashboard;
    let options = dashboard::Options {
        vault,
        session_s: i64::try_from(settings.session.0.as_secs()).unwrap_or(i64::MAX),
        https: !config.development,
        path_prefix: settings.path_prefix.clone(),
        frame_ancestors: settings.frame_ancestors.clone(),
        refresh_url: settings.refresh_url.clone(),
        stop: state.stop.clone(),
    };
    let authenticator = state.authenticator.clone();
    let pages = dashboard::router(api.clone(), authenticator, state.clock, options)?;
    let pages = api::local_only(pages, state.local_hosts.clone());
    Ok(pages.fallback_service(api))
}

/// Serves the pages until `stop`, then finishes the requests in flight.
pub(super) async fn serve(
    listener: TcpListener,
    pages: Router,
    state: ApiState,
    options: Options,
    stop: CancellationToken,
) {
    let (observe, reserve) = (state.observe.clone(), api::reserve(state.authenticator.clone()));
    server::serve(listener, pages, reserve, options, &observe, stop).await;
}

/// The ingest key of the settings, as a hash.
pub(super) fn ingest_key(config: &Config) -> Option<Hash> {
    config.ingest.key.as_ref().map(|key| Hash::of(key))
}

/// The ingest sources of the settings, besides the built-in ones.
fn sources(config: &Config) -> Sources {
    let own = config.ingest.sources.iter().map(|(name, source)| {
        let mapping = Mapping {
            kind: source.kind.clone(),
            type_path: source.type_path.clone(),
            id_path: source.id_path.clone(),
            created_path: source.created_path.clone(),
            events_path: source.events_path.clone(),
        };
        OwnSource {
            name: name.clone(),
            mapping: (!BUILT_IN.contains(&name.as_str())).then_some(mapping),
            signature_header: source.signature_header.clone(),
            secret: source.secret.clone(),
        }
    });
    Sources::new(own)
}

/// How many requests each key may make.
pub(super) fn rate_limit(config: &Config) -> Option<RateLimit> {
    let per_second = f64::from(config.http.requests_per_second);
    let burst = u64::from(config.http.burst);
    (per_second > 0.0).then_some(RateLimit { per_second, burst })
}
