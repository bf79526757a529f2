//! Reads the parts of a request: JSON bodies, query parameters and path parameters.

use std::error::Error;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::answer::{ApiError, Detail};
use super::body_memory::NoMemory;
use super::encoding::refuse_coding;
use super::{json, schema};
use crate::server::BodyError;
use fanfare_store::SearchKey;

/// Most values that one request looks for.
const MOST_MATCHES: usize = 8;

/// Largest body of a request in bytes, except for ingest. It can hold all settings of a tenant.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;

/// A JSON body that is valid by the schema of `T`.
pub(super) struct Body<T>(pub(super) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + ToSchema + 'static,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        refuse_coding(request.headers())?;
        check_content_type(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        parse(&bytes).map(Self)
    }
}

/// A [`Body`] that may be omitted. An empty body is `T::default()`.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T, S> FromRequest<S> for OptionalBody<T>
where
    T: DeserializeOwned + ToSchema + Default + 'static,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        refuse_coding(request.headers())?;
        let content_type = check_content_type(request.headers());
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        content_type.and_then(|()| parse(&bytes)).map(Self)
    }
}

/// The error for a body that could not be read, for example because it is too large.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn unreadable(error: BytesRejection) -> ApiError {
    let known = interrupted(&error);
    known.unwrap_or_else(|| {
        ApiError::new(error.status(), "invalid_request", "bad_body", error.body_text())
    })
}

/// The error for a body that Fanfare did not read to its end, if that is what `error` is about.
pub(super) fn interrupted(error: &(dyn Error + 'static)) -> Option<ApiError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<NoMemory>() {
            return Some(error.into());
        }
        if let Some(error) = error.downcast_ref::<BodyError>() {
            let (status, kind, code) = match error {
                BodyError::Slow => (StatusCode::REQUEST_TIMEOUT, "invalid_request", "slow_body"),
                BodyError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "stopping"),
                BodyError::Broken(_) => (StatusCode::BAD_REQUEST, "invalid_request", "bad_body"),
            };
            return Some(ApiError::new(status, kind, code, error.to_string()));
        }
        cause = error.source();
    }
    None
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let base = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let base = base.to_ascii_lowercase();
    if base == "application/json" || (base.starts_with("application/") && base.ends_with("+json")) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_request",
        "unsupported_media_type",
        "the content type is not JSON; send a JSON body with `Content-Type: application/json`",
    ))
}

fn parse<T: DeserializeOwned + ToSchema + 'static>(bytes: &[u8]) -> Result<T, ApiError> {
    json::check(bytes)?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let message = "the body begins with a byte order mark (EF BB BF), which JSON does not allow; \
                       send UTF-8 without it";
        return Err(ApiError::invalid("not_json", message));
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid("not_json", format!("the body is not JSON: {error}")))?;
    let details = schema::check::<T>(&value);
    if !details.is_empty() {
        return Err(ApiError::fields(details));
    }
    // From the text, so that a field of raw JSON keeps every digit.
    serde_json::from_slice(bytes).map_err(|error| ApiError::field("", error.to_string()))
}

/// Distinguishes null from an absent field.
pub(super) fn given<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(from).map(Some)
}

/// Query parameters that fit `T`.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for QueryParams<T>
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

/// Query parameters that fit `T`, and values that events must have: `match[data.user_id]=u7`.
pub(super) struct MatchParams<T>(pub(super) T, pub(super) Vec<SearchKey>);

impl<T, S> FromRequestParts<S> for MatchParams<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut matches = Vec::new();
        let mut others = form_urlencoded::Serializer::new(String::from("/?"));
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()) {
            match name.strip_prefix("match[").and_then(|rest| rest.strip_suffix(']')) {
                Some(path) => {
                    matches.push(SearchKey { path: path.to_owned(), value: value.into_owned() });
                }
                None => _ = others.append_pair(&name, &value),
            }
        }
        if matches.len() > MOST_MATCHES {
            let message = format!("occurs {} times; the limit is {MOST_MATCHES}", matches.len());
            return Err(ApiError::field("match", message));
        }
        // It was a URI before.
        let uri: Uri = others.finish().parse().map_err(|_| ApiError::field("", "is no query"))?;
        match Query::<T>::try_from_uri(&uri) {
            Ok(Query(query)) => Ok(Self(query, matches)),
            Err(error) => Err(bad_query(&error)),
        }
    }
}

fn bad_query(error: &QueryRejection) -> ApiError {
    let text = error.body_text();
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let (field, message) = text.split_once(": ").unwrap_or(("", text));
    let twice = message.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next());
    if let Some(field) = twice {
        return ApiError::field(field, "occurs twice; send it once");
    }
    ApiError::field(field, message)
}

/// Path parameters, by position.
pub(super) struct PathParams<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for PathParams<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        let Path(params) = path.map_err(|_| ApiError::not_found("path", ""))?;
        Ok(Self(params))
    }
}

/// Checks that a query parameter is within its range.
pub(super) fn within(
    field: &str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
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
