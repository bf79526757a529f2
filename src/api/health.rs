//! Health checks: whether the process is alive, and whether it can accept events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{ApiError, success};
use super::state::ApiState;

/// How long the store may take to answer before it counts as unavailable.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Response {
    success(StatusCode::OK, json!({"version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /readyz`: the store can be read and written, and the process is not shutting down.
pub(super) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    let unavailable = |code, message: String| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", code, message).into_response()
    };
    if state.stop.is_cancelled() {
        let message = "the server is shutting down and accepts no events; use another replica";
        return unavailable("stopping", message.to_owned());
    }
    let ask = async {
        state.store.upkeep.ping().await?;
        state.store.directory.count().await
    };
    match tokio::time::timeout(STORE_TIMEOUT, ask).await {
        Ok(Ok(tenants)) => {
            success(StatusCode::OK, json!({"store": state.store.upkeep.kind(), "tenants": tenants}))
        }
        Ok(Err(error)) => unavailable("store_away", error.to_string()),
        Err(_) => {
            let message = format!("the store did not answer within {STORE_TIMEOUT:?}");
            unavailable("store_away", message)
        }
    }
}
