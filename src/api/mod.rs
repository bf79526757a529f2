//! The HTTP API: the resources of version 1, ingest, health, metrics, and the description of it all.
//! JSON, one error shape, bounded bodies.
//!
//! A request passes: its id, the key (`auth`), the idempotency key (`idempotency`), then its
//! handler, which names in its arguments what it does and of which tenant (`scope`), and reads a
//! body that fits the description (`body`). Whatever changes a tenant goes through `edit`.

mod answer;
mod auth;
mod body;
mod docs;
mod edit;
mod etag;
mod events;
mod health;
mod idempotency;
mod metrics;
pub(crate) mod openapi;
mod page;
mod problem;
mod request_id;
mod scope;
mod secret;
mod v1;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

pub use answer::ApiError;
pub use auth::Door;
pub use metrics::Meter;
pub use v1::{MakeEngine, Shared};

use crate::agenda::Clock;
use crate::catalogue::Catalogue;
use crate::event::Limits;
use crate::observe::Observe;
use crate::tenant::Registry;
use fanfare_store::Store;

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
    /// Whether the description of the API is for everybody.
    pub open_docs: bool,
    /// Counts and traces what comes in.
    pub observe: Arc<Observe>,
    /// Shows the numbers, unless that is switched off.
    pub meter: Option<Arc<Meter>>,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// What the resources share.
    pub v1: Arc<Shared>,
    /// Cancelled when this process stops.
    pub stop: CancellationToken,
}

/// Largest body, but for events: as large as all of a tenant's settings may be.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// A batch may be large, but not without bound: 32 MiB or one event, whatever is more.
fn largest_ingest(limits: &Limits) -> usize {
    (limits.max_bytes + 1024).max(32 * 1024 * 1024)
}

/// All paths. Whatever is not open to all goes among the guarded.
pub fn router(state: ApiState) -> Router {
    let largest = largest_ingest(&state.limits);
    let alias = state.v1.alias.clone();
    let state = Arc::new(state);
    let guard = middleware::from_fn_with_state(state.door.clone(), auth::guard);
    let once = middleware::from_fn_with_state(state.clone(), idempotency::layer);
    let resources = Router::from(v1::routes()).merge(v1::alias(alias.as_deref()));
    let resources = resources.route_layer(DefaultBodyLimit::max(LARGEST_BODY));
    let ingest = Router::from(v1::ingest()).route_layer(DefaultBodyLimit::max(largest));
    let guarded = resources.merge(ingest).route_layer(once).route_layer(guard);
    let mut described = Router::new()
        .route("/openapi.json", get(openapi::serve))
        .route("/docs", get(docs::home))
        .route("/docs/", get(docs::index))
        .route("/docs/{*file}", get(docs::asset));
    if !state.open_docs {
        let guard = middleware::from_fn_with_state(state.door.clone(), auth::guard_docs);
        described = described.route_layer(guard);
    }
    // Health is open; the numbers have a rule of their own.
    let open = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    guarded
        .merge(described)
        .merge(open)
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(middleware::from_fn(request_id::layer))
        .with_state(state)
}
