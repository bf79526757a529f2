//! Values that an answer shows only once, such as a new API key.
//!
//! If the same request is repeated with its `Idempotency-Key`, the repeated answer has them masked.

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::success;

/// Replaces a value that is shown only once.
pub(super) const MASK: &str = "****************************";

/// An extension of an answer: the body to keep for repeated requests, with secrets masked.
#[derive(Clone)]
pub(super) struct MaskedBody(pub(super) Bytes);

/// Answers with `data`. `mask` masks what a repeated answer must not show.
pub(super) fn success_once(
    status: StatusCode,
    data: &impl Serialize,
    mask: impl FnOnce(&mut Value),
) -> Response {
    let mut response = success(status, data);
    let mut kept = json!({"status": "success", "data": data});
    mask(&mut kept["data"]);
    response.extensions_mut().insert(MaskedBody(kept.to_string().into()));
    response
}
