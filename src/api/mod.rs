//! The HTTP API: ingest, health and metrics. JSON, one error shape, bounded bodies.

mod answer;
mod auth;
mod events;
mod health;
mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

pub use answer::ApiError;
pub use auth::Door;
pub use metrics::Meter;

use crate::agenda::Clock;
use crate::event::Limits;
use crate::observe::Observe;
use crate::store::Store;
use crate::tenant::Registry;

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// The store.
    pub store: Store,
    /// The tenants.
    pub registry: Arc<Registry>,
    /// The clock.
    pub clock: Clock,
    /// Bounds on one event.
    pub limits: Limits,
    /// Most events in one request.
    pub max_batch: usize,
    /// Who is let in.
    pub door: Arc<Door>,
    /// Counts and traces what comes in.
    pub observe: Arc<Observe>,
    /// Shows the numbers, unless that is switched off.
    pub meter: Option<Arc<Meter>>,
    /// Cancelled when this process stops.
    pub stop: CancellationToken,
}

/// All paths. Whatever is not open to all goes among the guarded.
pub fn router(state: ApiState) -> Router {
    // A batch may be large, but not without bound: 32 MiB or one event, whatever is more.
    let largest = (state.limits.max_bytes + 1024).max(32 * 1024 * 1024);
    let guard = middleware::from_fn_with_state(state.door.clone(), auth::guard);
    let guarded = Router::new().route("/v1/events", post(events::post_events)).route_layer(guard);
    // Health is open; the numbers have a rule of their own.
    let open = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    guarded
        .merge(open)
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(largest))
        .with_state(Arc::new(state))
}
