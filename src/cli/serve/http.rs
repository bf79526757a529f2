//! The HTTP API of a server: its state, who may use it, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::access::{Hash, Keyring, RateLimit};
use crate::api::{
    self, ApiLimits, ApiState, AuthFailures, Authenticator, LocalHosts, Meter, Setting, Shared,
};
use crate::app::{self, App};
use crate::config::{Config, Http, Period};
use crate::dashboard;
use crate::secrets::Vault;
use crate::server::{self, Descriptors, Options};

/// Minimum length of the ingest key.
const MIN_INGEST_KEY: usize = 16;

/// Shortest time limit of a connection, so that a mistake does not close all of them at once.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

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
        let window = config.router.window.max(1);
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
        max_batch: config.events.max_batch.max(1),
        quotas: app.quotas.clone(),
        authenticator: Arc::new(Authenticator { keyring, ingest, open, clock, failures }),
        observe: app.observe.clone(),
        meter,
        catalogue: app.catalogue.clone(),
        local_hosts,
        open_docs: config.http.open_docs,
        v1: Arc::new(Shared::new(app::tenant_engines(config)?, alias, subject_paths, limits)),
        settings: settings.into(),
        stop: stop.clone(),
    })
}

/// What the API's requests may use at the same time.
fn api_limits(config: &Config) -> ApiLimits {
    ApiLimits {
        event: app::limits(config),
        body_memory: config.http.body_memory_bytes,
        waiting: config.http.max_waiting,
        waiting_per_tenant: config.http.max_waiting_per_tenant,
    }
}

/// The limits on connections. Fails if the system allows too few file descriptors for them.
pub(super) fn options(http: &Http) -> Result<Options, Failure> {
    let at_least = |period: Period| period.0.max(MIN_TIMEOUT);
    let per_address = http.max_connections_per_address;
    let mut options = Options {
        max_connections: http.max_connections.max(1),
        reserved_connections: http.reserved_connections,
        // All clients of a proxy have the proxy's address.
        max_per_address: (per_address > 0 && !http.behind_proxy).then_some(per_address),
        header_timeout: at_least(http.header_timeout),
        body_timeout: at_least(http.body_timeout),
        min_body_rate: http.min_body_rate,
        idle_timeout: at_least(http.idle_timeout),
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
pub(super) fn ingest_key(config: &Config) -> Result<Option<Hash>, Failure> {
    let Some(key) = &config.ingest.key else { return Ok(None) };
    if key.len() < MIN_INGEST_KEY {
        return Err(Failure::refused(format!(
            "the ingest key is shorter than {MIN_INGEST_KEY} characters; create one with `openssl \
             rand -hex 32`"
        )));
    }
    Ok(Some(Hash::of(key)))
}

/// How many requests each key may make.
pub(super) fn rate_limit(config: &Config) -> Option<RateLimit> {
    let per_second = f64::from(config.http.requests_per_second);
    let burst = u64::from(config.http.burst.max(1));
    (per_second > 0.0).then_some(RateLimit { per_second, burst })
}
