//! `GET /metrics`: all metrics as `OpenMetrics` text.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::ApiError;
use super::auth::bearer;
use super::meter::Meter;
use super::state::ApiState;
use crate::access::{Action, Denied};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`.
pub(super) async fn metrics(
    State(state): State<Arc<ApiState>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Response {
    let Some(meter) = &state.meter else {
        let message = "metrics are disabled; set `enabled = true` in [metrics] to enable them";
        return ApiError::new(StatusCode::NOT_FOUND, "not_found", "no_metrics", message)
            .into_response();
    };
    if let Err(denied) = authorize(&state, meter, &headers) {
        if matches!(denied, Denied::NoKey | Denied::UnknownKey | Denied::Expired) {
            let peer = peer.map(|Extension(ConnectInfo(peer))| peer);
            state.authenticator.failures.record(&denied, bearer(&headers), peer);
        }
        return ApiError::from(denied).into_response();
    }
    let counted = (&*state.quotas, &*state.authenticator.keyring);
    let text = meter.text(&state.store, &state.registry, state.clock, counted).await;
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

/// Metrics require their own key or an operator's live key, unless they are public.
fn authorize(state: &ApiState, meter: &Meter, headers: &HeaderMap) -> Result<(), Denied> {
    let key = bearer(headers);
    if meter.admits(key) {
        return Ok(());
    }
    // If the metrics have a key, it is required even where development requires none.
    if meter.has_key() && key.is_none() {
        return Err(Denied::NoKey);
    }
    let principal = state.authenticator.authenticate_cached(headers)?.principal;
    principal.require(Action::Operate)?;
    principal.require_live()
}
