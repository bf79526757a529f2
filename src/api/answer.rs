//! The two shapes of every answer: `{"status":"success","data":…}` and
//! `{"status":"error","error":{"type","code","message","request_id","details"}}`.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::{codes, request_id};
use crate::event::Refusal;
use fanfare_store::StoreError;

/// Answers with `data`. It is written as it is: a detour through `Value` would change numbers of
/// events.
pub(super) fn success(status: StatusCode, data: impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Success<T> {
        status: &'static str,
        data: T,
    }
    (status, Json(Success { status: "success", data })).into_response()
}

/// A request that failed.
#[derive(Debug)]
pub struct ApiError {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) code: &'static str,
    pub(super) message: Box<str>,
    pub(super) details: Vec<Detail>,
    /// When the request may be sent again, in seconds. The default for 503 is 1.
    pub(super) retry_after_s: Option<u64>,
    /// Headers of the response besides those of every error.
    pub(super) headers: HeaderMap,
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Detail {
    /// Dotted path of the field in the request. Empty if the request as a whole is wrong.
    pub(super) field: String,
    /// What is wrong and how to fix it. It continues a sentence that begins with the field.
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
        debug_assert!(codes::is_known(code), "`{code}` is missing in the list of codes");
        let (message, details) = (message.into().into(), Vec::new());
        Self {
            status,
            kind,
            code,
            message,
            details,
            retry_after_s: None,
            headers: HeaderMap::new(),
        }
    }

    /// Says when the request may be sent again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The request is invalid.
    pub(super) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", code, message)
    }

    /// Fields of the request are wrong. The message names the first one, the details all of them.
    pub(super) fn fields(details: Vec<Detail>) -> Self {
        let message = match &details[..] {
            [] => "the request is invalid".to_owned(),
            [one] => format!("{} {}", one.field, one.message).trim().to_owned(),
            [first, rest @ ..] => {
                format!("{} {} (and {} more)", first.field, first.message, rest.len())
            }
        };
        Self { details, ..Self::invalid("invalid_fields", message) }
    }

    /// One field of the request is wrong.
    pub(super) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::fields(vec![Detail::new(field, message)])
    }

    /// The resource does not exist, or no longer exists.
    pub(super) fn not_found(what: &str, id: &str) -> Self {
        let message = match id {
            "" => format!("there is no such {what}"),
            id => format!("there is no {what} `{id}`"),
        };
        Self::new(StatusCode::NOT_FOUND, "not_found", "not_found", message)
    }

    /// The request conflicts with the current state of the resource.
    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Outside of the router there is no id yet, so it gets one here.
        let request_id = request_id::current().unwrap_or_else(request_id::generate);
        let mut error = json!({
            "type": self.kind, "code": self.code, "message": self.message,
            "request_id": request_id.to_str().unwrap_or_default(),
        });
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        let body = Json(json!({"status": "error", "error": error}));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers.insert(request_id::NAME, request_id);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let unavailable = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        if let Some(seconds) = self.retry_after_s.or(unavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, kind) = match refusal.code {
            "too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            // The operator can fix this, and the same event may be accepted later.
            "unusable_tenant" => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            "unknown_tenant" => (StatusCode::NOT_FOUND, "not_found"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
        };
        Self::new(status, kind, refusal.code, refusal.message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_temporary() {
            let code =
                if matches!(error, StoreError::Full(_)) { "store_full" } else { "store_away" };
            let message = format!("{error}; nothing was accepted, send the request again");
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", code, message);
        }
        if let StoreError::NotIndexed(message) = error {
            return Self::field("match", message);
        }
        // Only a cursor comes from the caller.
        if let StoreError::BadQuery(_) = error {
            let message = "is not one that this list returned; omit it to begin at the first page";
            return Self::field("cursor", message);
        }
        // The server's settings lack the master key. The message contains no key.
        if let StoreError::Secrets(message) = error {
            tracing::error!("secrets cannot be stored: {message}");
            return Self::conflict("no_master_key", message);
        }
        // The details are for the operator. The caller could not act on them.
        tracing::error!(%error, "a request failed in the store");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal",
            "internal error; the server's log has the details",
        )
    }
}

/// The answer for an unknown path.
pub(super) async fn not_found(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    let message = format!("there is no path {path}; send events to POST /v1/events");
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "no_such_path", message)
}

/// The answer for a method that a path does not support.
pub(super) async fn wrong_method(method: Method) -> ApiError {
    let message = format!("this path does not support {method}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "wrong_method", message)
}
