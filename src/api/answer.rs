//! The two shapes of every answer: `{"status":"success","data":…}` and
//! `{"status":"error","error":{"type","code","message"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::event::Refusal;
use crate::store::StoreError;

/// It went well.
pub(super) fn success(status: StatusCode, data: impl Serialize) -> Response {
    (status, Json(json!({"status": "success", "data": data}))).into_response()
}

/// It did not.
#[derive(Debug)]
pub struct ApiError {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) code: &'static str,
    pub(super) message: Box<str>,
    pub(super) details: Option<Box<Value>>,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, kind, code, message: message.into().into(), details: None }
    }

    pub(super) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"type": self.kind, "code": self.code, "message": self.message});
        if let Some(details) = self.details {
            error["details"] = *details;
        }
        let body = Json(json!({"status": "error", "error": error}));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            "too_large" => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request",
                refusal.code,
                refusal.message,
            ),
            // Ours to mend: the same event may be taken later.
            "unusable_tenant" => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                refusal.code,
                refusal.message,
            ),
            "unknown_tenant" => {
                Self::new(StatusCode::NOT_FOUND, "not_found", refusal.code, refusal.message)
            }
            _ => Self::invalid(refusal.code, refusal.message),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_temporary() {
            let code =
                if matches!(error, StoreError::Full(_)) { "store_full" } else { "store_away" };
            let message = format!("{error}; nothing was accepted, send it again");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", code, message);
        }
        // The details are the operator's; the caller gets what it can use.
        tracing::error!(%error, "a request failed in the store");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal",
            "something went wrong here; it was logged",
        )
    }
}

pub(super) async fn not_found(uri: axum::http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    let message = format!("there is nothing at {path}; events go to POST /v1/events");
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "no_such_path", message)
}

pub(super) async fn wrong_method(method: axum::http::Method) -> ApiError {
    let message = format!("this path does not take {method}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "wrong_method", message)
}
