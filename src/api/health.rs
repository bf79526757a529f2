//! Health checks: whether the process is alive, and whether it can accept events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{ApiError, success};
use super::state::ApiState;
use fanfare_store::StoreError;

/// How long the store may take to answer before it counts as unavailable.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Response {
    success(StatusCode::OK, json!({"version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /readyz`: the store can be read and written, events can be appended, every step of their
/// path goes on, and the process is not shutting down. Each problem has a code of its own.
pub(super) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    let unavailable = |code, message: String| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", code, message).into_response()
    };
    if state.stop.is_cancelled() {
        let message = "the server is shutting down and accepts no events; use another replica";
        return unavailable("stopping", message.to_owned());
    }
    let upkeep = &state.store.upkeep;
    for (code, check) in [("store_away", upkeep.ping()), ("not_appending", upkeep.appendable())] {
        match tokio::time::timeout(STORE_TIMEOUT, check).await {
            Ok(Ok(())) => {}
            Ok(Err(StoreError::Full(message))) => return unavailable("store_full", message),
            Ok(Err(error)) => return unavailable(code, error.to_string()),
            Err(_) => {
                let message = format!("the store did not answer within {STORE_TIMEOUT:?}");
                return unavailable(code, message);
            }
        }
    }
    if let Some(step) = state.observe.steps.stopped() {
        let message = format!("{} for a while; the log says why", step.stopped());
        return unavailable(step.code(), message);
    }
    match tokio::time::timeout(STORE_TIMEOUT, state.store.directory.count()).await {
        Ok(Ok(tenants)) => {
            success(StatusCode::OK, json!({"store": upkeep.kind(), "tenants": tenants}))
        }
        Ok(Err(error)) => unavailable("store_away", error.to_string()),
        Err(_) => unavailable("store_away", "the store did not answer in time".to_owned()),
    }
}
