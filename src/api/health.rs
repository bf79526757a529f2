//! Is the process alive, and can it take events?

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::ApiState;
use super::answer::{ApiError, success};

/// The process answers.
pub(super) async fn healthz() -> Response {
    success(StatusCode::OK, json!({"version": env!("CARGO_PKG_VERSION")}))
}

/// The store can be read and written.
pub(super) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    match state.store.upkeep.ping().await {
        Ok(()) => {
            let tenants = state.registry.snapshot().len();
            success(StatusCode::OK, json!({"store": state.store.upkeep.kind(), "tenants": tenants}))
        }
        Err(error) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "store_away",
            error.to_string(),
        )
        .into_response(),
    }
}
