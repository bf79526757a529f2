//! The guard before every path that needs a key: it authenticates the request, applies the key's
//! rate limit, and counts the body's memory.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::ApiError;
use super::auth::{Authenticator, basic_as_bearer, bearer};
use super::rate_headers::{insert_rate_headers, seconds_up};
use super::state::ApiState;
use crate::access::{Action, Principal, RateDecision};
use crate::server::Reserve;

/// Paths that the reserve of connections serves to everyone. `/metrics` has a rule of its own.
const RESERVED_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Guards the documentation: any key is accepted, also as the password of HTTP Basic.
pub(super) async fn guard_docs(
    state: State<Arc<ApiState>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(bearer) = basic_as_bearer(request.headers()) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let mut response = guard(state, request, next).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        let ask = HeaderValue::from_static("Basic realm=\"Fanfare: any name, a key as password\"");
        response.headers_mut().append(header::WWW_AUTHENTICATE, ask);
    }
    response
}

/// Guards an ingest source: the key may also be the password of HTTP Basic, because many senders
/// can only be given a URL with a password in it.
pub(super) async fn guard_source(
    state: State<Arc<ApiState>>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.uri().path().starts_with("/v1/ingest/")
        && let Some(bearer) = basic_as_bearer(request.headers())
    {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    guard(state, request, next).await
}

/// Guards a path, and reports the key's rate limit in the answer's headers.
pub(super) async fn guard(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    let authenticator = &state.authenticator;
    let mut response = match authenticator.authenticate(request.headers()).await {
        Err(denied) => {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
            authenticator.failures.record(&denied, bearer(request.headers()), peer);
            ApiError::from(denied).into_response()
        }
        Ok(admitted) => match admitted.rate {
            None => admit(&state, admitted.principal, request, next).await,
            Some(rate) => {
                let mut response = if rate.allowed {
                    admit(&state, admitted.principal, request, next).await
                } else {
                    too_many_requests(rate)
                };
                let now_ms = authenticator.clock.now_ms();
                insert_rate_headers(response.headers_mut(), rate, now_ms);
                response
            }
        },
    };
    // What a key protects must not stay in a cache after the key is revoked.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn admit(
    state: &ApiState,
    principal: Arc<Principal>,
    request: Request,
    next: Next,
) -> Response {
    let memory = &state.v1.body_memory;
    let is_read = request.method().is_safe();
    let (mut request, held) = memory.meter(request, principal.tenant_scope());
    if let Some(held) = &held {
        request.extensions_mut().insert(held.clone());
    }
    request.extensions_mut().insert(principal.clone());
    let answer = next.run(request).await;
    drop(held);
    memory.answer(answer, principal.tenant_scope(), is_read)
}

fn too_many_requests(rate: RateDecision) -> Response {
    let wait = seconds_up(rate.next_in).max(1);
    let message = format!(
        "this key has exceeded its rate limit; try again in {wait} s. A batch of events counts as one \
         request"
    );
    let error =
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too_many_requests", message);
    error.retry_after(wait).into_response()
}

/// What the reserve of connections serves when all others are in use: health checks, metrics and
/// operators.
pub fn reserve(authenticator: Arc<Authenticator>) -> Reserve {
    Arc::new(move |request: &Parts| {
        if RESERVED_PATHS.contains(&request.uri.path()) {
            return None;
        }
        let admitted = authenticator.authenticate_cached(&request.headers);
        if admitted.is_ok_and(|admitted| admitted.principal.may(Action::Operate)) {
            return None;
        }
        let message = "all connections of the server are in use; send the request again later, and \
                       reuse connections";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let error = ApiError::new(status, "unavailable", "no_connections", message);
        Some(error.into_response())
    })
}
