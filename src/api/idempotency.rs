//! `Idempotency-Key`: a POST that is sent again, because its answer was lost, is done once.
//!
//! The first request with a key leaves a mark in the store before it is done, and its answer in the
//! mark's place afterwards; whoever comes again within 24 hours gets that answer. While it is being
//! done, a second one is refused (409). A crash between leaves the mark, which ends after a minute: what
//! was begun may then be done a second time. Answers that say nothing of the request itself (too fast,
//! store away, a fault here) are not kept. Secrets that an answer shows once are not kept either: the
//! answer that is given again has them masked.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ApiState;
use super::answer::ApiError;
use crate::access::Principal;
use crate::store::StoreError;

const COLLECTION: &str = "idempotency";
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);
/// How long the mark of a request stands that never ended.
const MARK: Duration = Duration::from_mins(1);
/// Longest answer that is kept.
const LONGEST: usize = 1024 * 1024;

/// In the place of what is shown once, when an answer is given again.
pub(super) const MASK: &str = "****************************";

/// Put into an answer's extensions: what is kept in its place.
#[derive(Clone)]
pub(super) struct Kept(pub(super) Bytes);

/// What is known of a key.
#[derive(Serialize, Deserialize)]
struct Known {
    /// Of method, path and body.
    request: String,
    /// None while it is being done.
    answer: Option<Answer>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Around every POST of version 1 but the ingest, which has ids for this.
pub(super) async fn layer(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    let has_key = request.headers().contains_key(&KEY);
    let ingest = request.uri().path() == "/v1/events";
    if request.method() != Method::POST || !has_key || ingest {
        return next.run(request).await;
    }
    once(&state, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn once(state: &ApiState, request: Request, next: Next) -> Result<Response, ApiError> {
    let key = read_key(request.headers())?;
    let (parts, body) = request.into_parts();
    let too_large = |_| {
        let message = "the body is larger than a request may be";
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "bad_body", message)
    };
    let body = to_bytes(body, super::LARGEST_BODY).await.map_err(too_large)?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let hash = hash(&[path.as_bytes(), &body]);
    // A key is its caller's own: nobody learns from it what others have done.
    let principal = parts.extensions.get::<Arc<Principal>>();
    let caller = principal.map_or("", |principal| &principal.key_id);
    let id = self::hash(&[caller.as_bytes(), key.as_bytes()]);

    let records = &state.store.records;
    let mark = document(&Known { request: hash.clone(), answer: None });
    let revision = match records.put(COLLECTION, &id, mark, Some(0), Some(MARK)).await {
        Ok(revision) => revision,
        Err(StoreError::Conflict { .. }) => return again(state, &id, &hash).await,
        Err(error) => return Err(error.into()),
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let status = response.status();
    let says_nothing = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED].contains(&status);
    if says_nothing {
        let _ = records.remove(COLLECTION, &id, Some(revision)).await;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Err(ApiError::conflict("unknown_outcome", "the answer could not be read"));
    };
    let kept = parts.extensions.get::<Kept>().map_or(&body, |kept| &kept.0);
    let answer = Answer {
        status: status.as_u16(),
        headers: kept_headers(&parts.headers),
        body: String::from_utf8_lossy(&kept[..kept.len().min(LONGEST)]).into_owned(),
    };
    let known = document(&Known { request: hash, answer: Some(answer) });
    if let Err(error) = records.put(COLLECTION, &id, known, Some(revision), Some(KEPT)).await {
        tracing::warn!(%error, "an answer is not kept for its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn read_key(headers: &HeaderMap) -> Result<String, ApiError> {
    let key = headers.get(&KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    let message = "Idempotency-Key must be 1 to 255 printable ASCII characters without spaces";
    Err(ApiError::invalid("bad_key", message))
}

/// What is answered to a request whose key is known.
async fn again(state: &ApiState, id: &str, request: &str) -> Result<Response, ApiError> {
    let in_progress = || {
        let message =
            "a request with this Idempotency-Key is being done now; ask again in a moment";
        ApiError::conflict("in_progress", message)
    };
    let found = state.store.records.get(COLLECTION, id).await?.ok_or_else(in_progress)?;
    let known: Known = serde_json::from_slice(&found.doc)
        .map_err(|_| StoreError::Corrupt("an answer that was kept".to_owned()))?;
    if known.request != request {
        let message = "this Idempotency-Key was used for another request; take a new one";
        return Err(ApiError::invalid("key_reused", message));
    }
    let answer = known.answer.ok_or_else(in_progress)?;
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];
    let value = |name: &HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    names.iter().filter_map(|name| Some((name.to_string(), value(name)?))).collect()
}

fn document(known: &Known) -> Bytes {
    serde_json::to_vec(known).expect("texts and numbers are JSON").into()
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
