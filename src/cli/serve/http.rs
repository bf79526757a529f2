//! The HTTP API of a server: its state, who may use it, and how it stops.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::access::{Hash, Keyring, RateLimit};
use crate::api::{self, ApiState, Authenticator, Meter, Shared};
use crate::app::{self, App};
use crate::config::Config;

/// Minimum length of the ingest key.
const MIN_INGEST_KEY: usize = 16;

/// What the API's handlers share.
pub(super) fn state(
    app: &App,
    config: &Config,
    keyring: Arc<Keyring>,
    ingest: Option<Hash>,
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
    let alias = config.http.alias.clone();
    let subject_paths = config.privacy.subject_paths.clone();
    Ok(ApiState {
        store: app.store.clone(),
        registry: app.registry.clone(),
        clock: app.clock,
        limits: app::limits(config),
        max_batch: config.events.max_batch.max(1),
        authenticator: Arc::new(Authenticator { keyring, ingest, open, clock: app.clock }),
        observe: app.observe.clone(),
        meter,
        catalogue: app.catalogue.clone(),
        open_docs: config.http.open_docs,
        v1: Arc::new(Shared::new(app::tenant_engines(config)?, alias, subject_paths)),
        stop: stop.clone(),
    })
}

/// Serves the API until `stop`, then finishes the requests in flight.
pub(super) async fn serve(
    listener: TcpListener,
    state: ApiState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, api::router(state)).with_graceful_shutdown(stop.cancelled_owned()).await
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
    let burst = config.http.burst.max(1);
    (per_second > 0.0).then_some(RateLimit { per_second, burst })
}
