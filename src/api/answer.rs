//! The two shapes of every answer: `{"status":"success","data":…}` and
//! `{"status":"error","error":{"type","code","message","details"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::event::Refusal;
use fanfare_store::StoreError;

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
    pub(super) details: Vec<Detail>,
}

/// One of the things that are wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Detail {
    /// Dotted path in the request; empty for the whole.
    pub(super) field: String,
    /// What is wrong, and what would be right.
    pub(super) message: String,
}

impl Detail {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, kind, code, message: message.into().into(), details: Vec::new() }
    }

    pub(super) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", code, message)
    }

    /// Fields are wrong; the message names the first, the details all.
    pub(super) fn fields(details: Vec<Detail>) -> Self {
        let message = match &details[..] {
            [] => "the request is not as it should be".to_owned(),
            [one] => format!("{} {}", one.field, one.message).trim().to_owned(),
            [first, rest @ ..] => {
                format!("{} {} (and {} more)", first.field, first.message, rest.len())
            }
        };
        Self { details, ..Self::invalid("invalid_fields", message) }
    }

    /// There is no such thing (any more).
    pub(super) fn not_found(what: &str, id: &str) -> Self {
        let message = match id {
            "" => format!("there is no such {what}"),
            id => format!("there is no {what} `{id}`"),
        };
        Self::new(StatusCode::NOT_FOUND, "not_found", "not_found", message)
    }

    /// What is there does not allow it.
    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"type": self.kind, "code": self.code, "message": self.message});
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
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
        if let StoreError::BadQuery(message) = error {
            return Self::invalid("bad_query", message);
        }
        // It is the settings that lack the key; the message names none.
        if let StoreError::Secrets(message) = error {
            tracing::error!("secrets cannot be kept: {message}");
            return Self::conflict("no_master_key", message);
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
