//! Reading requests: JSON bodies, queries and paths. What is wrong is told at once, field by field,
//! by the very schema that `/openapi.json` shows.

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{ApiError, Detail};
use super::openapi;

/// A JSON body that fits the schema of `T`.
pub(super) struct Body<T>(pub(super) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + ToSchema,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        check_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            ApiError::new(error.status(), "invalid_request", "bad_body", error.body_text())
        })?;
        read(&bytes).map(Self)
    }
}

/// As [`Body`], of which the caller may send none at all.
pub(super) struct Optional<T>(pub(super) T);

impl<T, S> FromRequest<S> for Optional<T>
where
    T: DeserializeOwned + ToSchema + Default,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_typed = check_type(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            ApiError::new(error.status(), "invalid_request", "bad_body", error.body_text())
        })?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        is_typed.and_then(|()| read(&bytes)).map(Self)
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let base = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let base = base.to_ascii_lowercase();
    if base == "application/json" || (base.starts_with("application/") && base.ends_with("+json")) {
        return Ok(());
    }
    let message = "send JSON, and say so: `Content-Type: application/json`";
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_request",
        "unsupported_media_type",
        message,
    ))
}

fn read<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid("not_json", format!("the body is not JSON: {error}")))?;
    let details = openapi::check(&T::name(), &value);
    if !details.is_empty() {
        return Err(ApiError::fields(details));
    }
    serde_json::from_value(value)
        .map_err(|error| ApiError::fields(vec![Detail::new("", error.to_string())]))
}

/// A query that fits `T`.
pub(super) struct Params<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(bad_query(&error)),
        }
    }
}

fn bad_query(error: &QueryRejection) -> ApiError {
    let text = error.body_text();
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let (field, message) = text.split_once(": ").unwrap_or(("", text));
    ApiError::fields(vec![Detail::new(field, message)])
}

/// Parts of the path.
pub(super) struct Ids<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Ids<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let Path(ids) = path.map_err(|_| ApiError::not_found("path", ""))?;
        Ok(Self(ids))
    }
}

/// A number of a query within bounds; told by name when it is not.
pub(super) fn within(
    field: &str,
    value: Option<u64>,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, ApiError> {
    match value {
        Some(number) if !range.contains(&number) => {
            let message =
                format!("must be a whole number from {} to {}", range.start(), range.end());
            Err(ApiError::fields(vec![Detail::new(field, message)]))
        }
        given => Ok(given),
    }
}
