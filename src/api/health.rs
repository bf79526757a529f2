//! Is the process alive, and can it take events?

use std::sync::Arc;
use std::time::Duration;

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

/// A store that takes longer than this to answer is away.
const LONGEST: Duration = Duration::from_secs(2);

/// The store can be read and written, and this process is not stopping.
pub(super) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    let away = |code, message: String| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", code, message).into_response()
    };
    if state.stop.is_cancelled() {
        return away("stopping", "this process is stopping and takes nothing new".to_owned());
    }
    match tokio::time::timeout(LONGEST, state.store.upkeep.ping()).await {
        Ok(Ok(())) => {
            let tenants = state.registry.snapshot().len();
            success(StatusCode::OK, json!({"store": state.store.upkeep.kind(), "tenants": tenants}))
        }
        Ok(Err(error)) => away("store_away", error.to_string()),
        Err(_) => away("store_away", format!("the store did not answer within {LONGEST:?}")),
    }
}
