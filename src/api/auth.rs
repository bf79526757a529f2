//! Authentication: the API key of a request, and its rate limit.
//!
//! [`guard`] runs before every path that requires a key. A handler behind it takes a [`Principal`]
//! as an argument. Whether that principal may do what the handler does is checked by the handler
//! (`scope`).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::answer::ApiError;
use crate::access::{Admitted, Denied, Environment, Hash, Keyring, Principal, RateDecision, Role};
use crate::agenda::Clock;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Decides which principal a request comes from.
pub struct Authenticator {
    /// The keys of the store.
    pub keyring: Arc<Keyring>,
    /// The ingest key of the settings. It can publish for every tenant.
    pub ingest: Option<Hash>,
    /// The name under which requests without a key act as an operator. Set in development on a
    /// loopback address, and for commands that work on the store without a network.
    pub open: Option<&'static str>,
    /// Needed to tell callers when their rate limit resets.
    pub clock: Clock,
}

impl Authenticator {
    /// Authenticates a request. A key that is sent must be valid, even if none is required.
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<Admitted, Denied> {
        match (self.authenticate_cached(headers), bearer(headers)) {
            // Another process may have created the key a moment ago.
            (Err(Denied::UnknownKey), Some(key)) => self.keyring.admit_or_refresh(key).await,
            (known, _) => known,
        }
    }

    /// Authenticates a request with the keys in memory.
    pub(super) fn authenticate_cached(&self, headers: &HeaderMap) -> Result<Admitted, Denied> {
        let unlimited = |principal| Admitted { principal: Arc::new(principal), rate: None };
        let Some(key) = bearer(headers) else {
            let anonymous = |name| unlimited(built_in(name, Role::Operator));
            return self.open.map(anonymous).ok_or(Denied::NoKey);
        };
        if self.ingest.is_some_and(|ingest| ingest.is(&Hash::of(key))) {
            return Ok(unlimited(built_in("ingest", Role::Publisher)));
        }
        self.keyring.admit(key)
    }
}

/// A principal without a key in the store.
fn built_in(name: &str, role: Role) -> Principal {
    let (key_id, environment) = (name.into(), Environment::Live);
    Principal { key_id, role, tenant: None, environment, portal: false }
}

/// The key of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer")
}

fn authorization<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
}

/// Turns the password of `Authorization: Basic`, which a browser can ask its user for, into a
/// bearer key. Only the documentation accepts it, because a browser sends a stored password with
/// every request, including those that another site triggers.
fn basic_as_bearer(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = BASE64_STANDARD.decode(authorization(headers, "basic")?).ok()?;
    let (_user, key) = std::str::from_utf8(&given).ok()?.split_once(':')?;
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Guards the documentation: any key is accepted, also as the password of HTTP Basic.
pub(super) async fn guard_docs(
    authenticator: State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(bearer) = basic_as_bearer(request.headers()) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let mut response = guard(authenticator, request, next).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        let ask = HeaderValue::from_static("Basic realm=\"Fanfare: any name, a key as password\"");
        response.headers_mut().append(header::WWW_AUTHENTICATE, ask);
    }
    response
}

/// Guards a path: authenticates the request, applies the key's rate limit, and reports the limit in
/// the answer's headers.
pub(super) async fn guard(
    State(authenticator): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = match authenticator.authenticate(request.headers()).await {
        Ok(admitted) => admitted,
        Err(denied) => return ApiError::from(denied).into_response(),
    };
    let Some(rate) = admitted.rate else {
        request.extensions_mut().insert(admitted.principal);
        return next.run(request).await;
    };
    let mut response = if rate.allowed {
        request.extensions_mut().insert(admitted.principal);
        next.run(request).await
    } else {
        too_many_requests(rate)
    };
    insert_rate_headers(response.headers_mut(), rate, authenticator.clock.now_ms());
    response
}

fn too_many_requests(rate: RateDecision) -> Response {
    let wait = seconds_up(rate.next_in).max(1);
    let message = format!(
        "this key has exceeded its rate limit; try again in {wait} s. A batch of events counts as one \
         request"
    );
    let error =
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too_many_requests", message);
    let mut response = error.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// `X-RateLimit-Reset` is when the limit fully resets, in Unix seconds.
fn insert_rate_headers(headers: &mut HeaderMap, rate: RateDecision, now_ms: i64) {
    let now = u64::try_from(now_ms / 1000).unwrap_or(0);
    headers.insert(LIMIT, HeaderValue::from(rate.limit));
    headers.insert(REMAINING, HeaderValue::from(rate.remaining));
    headers.insert(RESET, HeaderValue::from(now.saturating_add(seconds_up(rate.full_in))));
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;

    /// The principal that `guard` found. Fails on a path without that guard.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let found = parts.extensions.get::<Arc<Self>>();
        found.map(|principal| (**principal).clone()).ok_or_else(|| Denied::NoKey.into())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let (status, kind) = match &denied {
            Denied::NoKey | Denied::UnknownKey | Denied::Expired => {
                (StatusCode::UNAUTHORIZED, "unauthorized")
            }
            Denied::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Denied::Unnamed => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
            Denied::NoTenant(_) => (StatusCode::NOT_FOUND, "not_found"),
        };
        Self::new(status, kind, denied.code(), denied.to_string())
    }
}
