//! `Idempotency-Key`: a POST that is sent again, because its answer was lost, is done once.
//!
//! The first request with a key leaves a mark in the store before it is done, and its answer in the
//! mark's place afterwards; whoever comes again within 24 hours gets that answer. While it is being
//! done, a second one is refused (409). A crash between leaves the mark, which ends after a minute: what
//! was begun may then be done a second time. Answers that say nothing of the request itself (too fast,
//! store away, a fault here) are not kept. Secrets that an answer shows once are not kept either: the
//! answer that is given again has them masked.
//!
//! Events are taken without a mark: their ids are made of the key, so that to do it twice is to do it
//! once, and no crash makes a producer wait. Only the answer of a success is kept.

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

use super::ApiState;
use super::answer::ApiError;
use crate::access::Principal;
use fanfare_store::StoreError;

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

/// Around every POST of version 1. Without the header it costs nothing.
pub(super) async fn layer(
    State(state): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(&KEY) {
        return next.run(request).await;
    }
    let answered = if request.uri().path() == "/v1/events" {
        events_once(&state, request, next).await
    } else {
        once(&state, request, next).await
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// Events, whose ids are made of the key.
async fn events_once(state: &ApiState, request: Request, next: Next) -> Result<Response, ApiError> {
    let (asked, request) = Asked::read(request, super::largest_ingest(&state.limits)).await?;
    let records = &state.store.records;
    if records.get(COLLECTION, &asked.id).await?.is_some() {
        return again(state, &asked).await;
    }
    let response = next.run(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (answer, response) = Answer::of(response).await?;
    // One that is too large to be kept is made anew: the ids are the same.
    if let Some(answer) = answer {
        let known = document(&Known { request: asked.request, answer: Some(answer) });
        match records.put(COLLECTION, &asked.id, known, Some(0), Some(KEPT)).await {
            // Somebody else with the same key was faster; both have taken the same events.
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(%error, "an answer is not kept for its idempotency key"),
        }
    }
    Ok(response)
}

/// A request with a key.
struct Asked {
    /// Under which its answer is kept.
    id: String,
    /// What it asks for: a hash of path and body.
    request: String,
}

impl Asked {
    /// Reads a request; it is there for its handler all the same.
    async fn read(request: Request, largest: usize) -> Result<(Self, Request), ApiError> {
        let key = read_key(request.headers())?;
        let (parts, body) = request.into_parts();
        let too_large = |_| {
            let message = "the body is larger than a request may be";
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "bad_body", message)
        };
        let body = to_bytes(body, largest).await.map_err(too_large)?;
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let tenant = parts.headers.get("fanfare-tenant").map_or(&b""[..], HeaderValue::as_bytes);
        // A key is its caller's own: nobody learns from it what others have done.
        let principal = parts.extensions.get::<Arc<Principal>>();
        let caller = principal.map_or("", |principal| &principal.key_id);
        // Of events it is also their tenant's own, as their ids are.
        let id = match parts.uri.path() {
            "/v1/events" => hash(&[caller.as_bytes(), key.as_bytes(), path.as_bytes(), tenant]),
            _ => hash(&[caller.as_bytes(), key.as_bytes()]),
        };
        let asked = Self { id, request: hash(&[path.as_bytes(), &body]) };
        Ok((asked, Request::from_parts(parts, Body::from(body))))
    }
}

impl Answer {
    /// What is kept of a response, if it is not too large; and the response.
    async fn of(response: Response) -> Result<(Option<Self>, Response), ApiError> {
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            return Err(ApiError::conflict("unknown_outcome", "the answer could not be read"));
        };
        let kept = parts.extensions.get::<Kept>().map_or(&body, |kept| &kept.0);
        let answer = (kept.len() <= LONGEST).then(|| Self {
            status: parts.status.as_u16(),
            headers: kept_headers(&parts.headers),
            body: String::from_utf8_lossy(kept).into_owned(),
        });
        Ok((answer, Response::from_parts(parts, Body::from(body))))
    }
}

async fn once(state: &ApiState, request: Request, next: Next) -> Result<Response, ApiError> {
    let (asked, request) = Asked::read(request, super::LARGEST_BODY).await?;
    let records = &state.store.records;
    let mark = document(&Known { request: asked.request.clone(), answer: None });
    let revision = match records.put(COLLECTION, &asked.id, mark, Some(0), Some(MARK)).await {
        Ok(revision) => revision,
        Err(StoreError::Conflict { .. }) => return again(state, &asked).await,
        Err(error) => return Err(error.into()),
    };
    let response = next.run(request).await;
    let status = response.status();
    let says_nothing = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED].contains(&status);
    if says_nothing {
        let _ = records.remove(COLLECTION, &asked.id, Some(revision)).await;
        return Ok(response);
    }
    let (answer, response) = Answer::of(response).await?;
    // Of one that is too large, that it was done is kept.
    let answer = answer.or_else(|| {
        let body = json!({"status": "success", "data": null}).to_string();
        Some(Answer { status: status.as_u16(), headers: Vec::new(), body })
    });
    let known = document(&Known { request: asked.request, answer });
    if let Err(error) = records.put(COLLECTION, &asked.id, known, Some(revision), Some(KEPT)).await
    {
        tracing::warn!(%error, "an answer is not kept for its idempotency key");
    }
    Ok(response)
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
async fn again(state: &ApiState, asked: &Asked) -> Result<Response, ApiError> {
    let in_progress = || {
        let message =
            "a request with this Idempotency-Key is being done now; ask again in a moment";
        ApiError::conflict("in_progress", message)
    };
    let found = state.store.records.get(COLLECTION, &asked.id).await?.ok_or_else(in_progress)?;
    let known: Known = serde_json::from_slice(&found.doc)
        .map_err(|_| StoreError::Corrupt("an answer that was kept".to_owned()))?;
    if known.request != asked.request {
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
