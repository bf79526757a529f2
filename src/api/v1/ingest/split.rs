//! Splits the body of an ingest request into events.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::answer::ApiError;

/// Splits a batch: a JSON array, `{"events": […]}`, or NDJSON according to the content type.
/// Returns `None` if the body is a single event.
pub(super) fn split(
    body: &Bytes,
    headers: &HeaderMap,
    max_batch: usize,
) -> Result<Option<Vec<Bytes>>, ApiError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let parts: Vec<Bytes> = if content_type.is_some_and(|t| t.contains("ndjson")) {
        body.split(|&byte| byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(|line| body.slice_ref(line))
            .collect()
    } else if body.trim_ascii_start().first() == Some(&b'[') {
        let parts: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
            ApiError::invalid("not_json", format!("the body is not a valid JSON array: {error}"))
        })?;
        parts.into_iter().map(|part| body.slice_ref(part.get().as_bytes())).collect()
    } else if let Ok(wrapped) = serde_json::from_slice::<Wrapped<'_>>(body) {
        wrapped.events.into_iter().map(|part| body.slice_ref(part.get().as_bytes())).collect()
    } else {
        return Ok(None);
    };
    if parts.is_empty() || parts.len() > max_batch {
        let message =
            format!("the batch has {} events; send 1 to {max_batch} per request", parts.len());
        return Err(ApiError::invalid("bad_batch", message));
    }
    Ok(Some(parts))
}
