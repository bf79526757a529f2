//! All paths of the HTTP API, with the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;

use super::body::MAX_BODY;
use super::state::ApiState;
use super::{answer, docs, guard, health, idempotency, local, metrics, openapi, request_id, v1};

/// Builds the router. Every path requires an API key, except health checks, metrics (which have
/// their own rule) and, if `open_docs` is set, the documentation.
pub fn router(state: ApiState) -> Router {
    let max_ingest = state.max_ingest_body();
    let alias = state.v1.alias.clone();
    let state = Arc::new(state);
    let guard = middleware::from_fn_with_state(state.clone(), guard::guard);
    let once = middleware::from_fn_with_state(state.clone(), idempotency::layer);
    let resources = Router::from(v1::resource_paths()).merge(v1::alias_paths(alias.as_deref()));
    let resources = resources.route_layer(DefaultBodyLimit::max(MAX_BODY));
    let ingest = Router::from(v1::ingest_paths()).route_layer(DefaultBodyLimit::max(max_ingest));
    let guarded = resources.merge(ingest).route_layer(once).route_layer(guard);
    let mut documentation = Router::new()
        .route("/openapi.json", get(openapi::serve))
        .route("/docs", get(docs::home))
        .route("/docs/", get(docs::index))
        .route("/docs/{*file}", get(docs::asset));
    if !state.open_docs {
        let guard = middleware::from_fn_with_state(state.clone(), guard::guard_docs);
        documentation = documentation.route_layer(guard);
    }
    let open = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    let all = guarded
        .merge(documentation)
        .merge(open)
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::wrong_method);
    let all = local::local_only(all, state.local_hosts.clone());
    all.layer(middleware::from_fn(request_id::layer)).with_state(state)
}
