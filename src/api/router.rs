//! All paths of the HTTP API, with the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Uri;
use axum::middleware;
use axum::routing::get;
use tower::{ServiceExt as _, service_fn};
use tower_http::compression::CompressionLayer;

use super::body::MAX_BODY;
use super::query::{self, QueryNames};
use super::state::ApiState;
use super::{answer, docs, guard, health, idempotency, local, metrics, openapi, request_id, v1};

/// Builds the router. Every path requires an API key, except health checks, metrics (which have
/// their own rule) and, if `open_docs` is set, the documentation.
pub fn router(state: ApiState) -> Router {
    let max_ingest = state.max_ingest_body();
    let alias = state.v1.alias.clone();
    let state = Arc::new(state);
    let guard = middleware::from_fn_with_state(state.clone(), guard::guard_source);
    let once = middleware::from_fn_with_state(state.clone(), idempotency::layer);
    let (resources, described) = v1::resource_paths().split_for_parts();
    let (ingest, ingest_described) = v1::ingest_paths().split_for_parts();
    let names = Arc::new(QueryNames::of([&described, &ingest_described]));
    let known = middleware::from_fn_with_state(names, query::layer);
    let resources = resources.merge(v1::alias_paths(alias.as_deref()));
    let resources = resources.route_layer(DefaultBodyLimit::max(MAX_BODY));
    let ingest = ingest.route_layer(DefaultBodyLimit::max(max_ingest));
    let guarded = resources.merge(ingest).route_layer(once).route_layer(known).route_layer(guard);
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
    let all = all.layer(CompressionLayer::new().gzip(true));
    without_last_slash(all.layer(middleware::from_fn(request_id::layer)).with_state(state))
}

/// Serves `/v1/events/` as `/v1/events`: some senders add a slash to every URL.
fn without_last_slash(router: Router) -> Router {
    Router::new().fallback_service(service_fn(move |mut request: Request| {
        if let Some(uri) = without_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        router.clone().oneshot(request)
    }))
}

fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| path.starts_with("/v1/"))?;
    let mut parts = uri.clone().into_parts();
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}
