//! `Idempotency-Key`: a POST that is repeated, because its answer was lost, is executed once.
//!
//! The first request with a key writes a marker to the store before it is executed, and replaces
//! the marker with its answer afterwards. A repeated request within 24 hours gets that answer.
//! While the first request is in progress, a second one fails with 409. After a crash the marker
//! expires within a minute, and the request may then be executed a second time.
//!
//! Answers that do not depend on the request (rate limited, store unavailable, internal error) are
//! not kept. Secrets that an answer shows once are kept masked.
//!
//! Event ingest needs no marker: event ids are derived from the key, so executing a request twice
//! has the same effect as once, and a producer never waits after a crash. Only successful answers
//! are kept.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::ApiError;
use super::body::{MAX_BODY, interrupted};
use super::shown_once::MaskedBody;
use super::state::ApiState;
use crate::access::Principal;
use fanfare_store::StoreError;

const COLLECTION: &str = "idempotency";
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is kept.
const ANSWER_TTL: Duration = Duration::from_hours(24);
/// How long the marker of a request is kept if the request never finishes.
const MARKER_TTL: Duration = Duration::from_mins(1);
/// Largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Answers that say nothing about the request, besides those of server errors.
const NOT_KEPT: [StatusCode; 3] =
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED, StatusCode::REQUEST_TIMEOUT];

/// What the store holds for a key.
#[derive(Serialize, Deserialize)]
struct KeptRequest {
    /// A hash of the request's path and body.
    request: String,
    /// `None` while the request is in progress.
    answer: Option<KeptAnswer>,
}

#[derive(Serialize, Deserialize)]
struct KeptAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Wraps every POST of version 1. Requests without the header pass through.
pub(super) async fn layer(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(&KEY) {
        return next.run(request).await;
    }
    let answered = if is_ingest(request.uri().path()) {
        events_once(&state, request, next).await
    } else {
        once(&state, request, next).await
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// Executes an ingest request. Its event ids are derived from the key.
async fn events_once(state: &ApiState, request: Request, next: Next) -> Result<Response, ApiError> {
    let (asked, request) = Asked::read(request, state.max_ingest_body()).await?;
    let records = &state.store.records;
    if records.get(COLLECTION, &asked.id).await?.is_some() {
        return repeated(state, &asked).await;
    }
    let response = next.run(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (answer, response) = KeptAnswer::of(response).await?;
    // An answer that is too large to be kept is computed again, with the same event ids.
    if let Some(answer) = answer {
        let known = document(&KeptRequest { request: asked.request, answer: Some(answer) });
        match records.put(COLLECTION, &asked.id, known, Some(0), Some(ANSWER_TTL)).await {
            // Another request with the same key was faster. Both accepted the same events.
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(%error, "an answer was not kept for its idempotency key"),
        }
    }
    Ok(response)
}

/// A request with a key.
struct Asked {
    /// The id under which its answer is kept.
    id: String,
    /// A hash of its path and body.
    request: String,
}

impl Asked {
    /// Reads a request, and returns it unchanged for its handler.
    async fn read(request: Request, largest: usize) -> Result<(Self, Request), ApiError> {
        let key = read_key(request.headers())?;
        let (parts, body) = request.into_parts();
        let unreadable = |error: axum::Error| {
            interrupted(&error).unwrap_or_else(|| {
                let message = format!("the body is larger than {largest} bytes; send less at once");
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "bad_body", message)
            })
        };
        let body = to_bytes(body, largest).await.map_err(unreadable)?;
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let tenant = parts.headers.get("fanfare-tenant").map_or(&b""[..], HeaderValue::as_bytes);
        // Keys of different callers are independent, so that a key reveals nothing about others.
        let principal = parts.extensions.get::<Arc<Principal>>();
        let caller = principal.map_or("", |principal| &principal.key_id);
        // For events the keys of different tenants are independent too, because event ids are.
        let id = if is_ingest(parts.uri.path()) {
            hash(&[caller.as_bytes(), key.as_bytes(), path.as_bytes(), tenant])
        } else {
            hash(&[caller.as_bytes(), key.as_bytes()])
        };
        let asked = Self { id, request: hash(&[path.as_bytes(), &body]) };
        Ok((asked, Request::from_parts(parts, Body::from(body))))
    }
}

impl KeptAnswer {
    /// Copies a response for later, unless it is too large. Returns the response as well.
    async fn of(response: Response) -> Result<(Option<Self>, Response), ApiError> {
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            let message =
                "the request was executed, but its answer could not be read; read the resource";
            return Err(ApiError::conflict("unknown_outcome", message));
        };
        let kept = parts.extensions.get::<MaskedBody>().map_or(&body, |kept| &kept.0);
        let answer = (kept.len() <= MAX_ANSWER).then(|| Self {
            status: parts.status.as_u16(),
            headers: kept_headers(&parts.headers),
            body: String::from_utf8_lossy(kept).into_owned(),
        });
        Ok((answer, Response::from_parts(parts, Body::from(body))))
    }
}

/// Executes any other request, between its marker and its answer.
async fn once(state: &ApiState, request: Request, next: Next) -> Result<Response, ApiError> {
    let (asked, request) = Asked::read(request, MAX_BODY).await?;
    let records = &state.store.records;
    let marker = document(&KeptRequest { request: asked.request.clone(), answer: None });
    let revision = match records.put(COLLECTION, &asked.id, marker, Some(0), Some(MARKER_TTL)).await
    {
        Ok(revision) => revision,
        Err(StoreError::Conflict { .. }) => return repeated(state, &asked).await,
        Err(error) => return Err(error.into()),
    };
    let response = next.run(request).await;
    let status = response.status();
    let depends_on_request = !(status.is_server_error() || NOT_KEPT.contains(&status));
    if !depends_on_request {
        let _ = records.remove(COLLECTION, &asked.id, Some(revision)).await;
        return Ok(response);
    }
    let (answer, response) = KeptAnswer::of(response).await?;
    // If the answer is too large, keep only that the request succeeded.
    let answer = answer.or_else(|| {
        let body = json!({"status": "success", "data": null}).to_string();
        Some(KeptAnswer { status: status.as_u16(), headers: Vec::new(), body })
    });
    let known = document(&KeptRequest { request: asked.request, answer });
    if let Err(error) =
        records.put(COLLECTION, &asked.id, known, Some(revision), Some(ANSWER_TTL)).await
    {
        tracing::warn!(%error, "an answer was not kept for its idempotency key");
    }
    Ok(response)
}

fn is_ingest(path: &str) -> bool {
    path == "/v1/events" || path.starts_with("/v1/ingest/")
}

fn read_key(headers: &HeaderMap) -> Result<String, ApiError> {
    let key = headers.get(&KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    let message = "Idempotency-Key must be 1 to 255 printable ASCII characters without spaces";
    Err(ApiError::invalid("bad_key", message))
}

/// Answers a request whose key is known.
async fn repeated(state: &ApiState, asked: &Asked) -> Result<Response, ApiError> {
    let in_progress = || {
        let message = "a request with this Idempotency-Key is in progress; try again in a moment";
        ApiError::conflict("in_progress", message)
    };
    let found = state.store.records.get(COLLECTION, &asked.id).await?.ok_or_else(in_progress)?;
    let known: KeptRequest = serde_json::from_slice(&found.doc).map_err(|_| {
        StoreError::Corrupt("an answer kept for an idempotency key cannot be read".to_owned())
    })?;
    if known.request != asked.request {
        let message = "this Idempotency-Key was used for a different request; use a new one";
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

fn document(known: &KeptRequest) -> Bytes {
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
