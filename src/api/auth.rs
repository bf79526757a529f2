//! Who asks: the key of a request, and how fast it may go.
//!
//! [`guard`] stands before every path that is not open to all. A handler behind it takes a
//! [`Principal`] as an argument; whether that may do what the handler does is the handler's to ask.

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
use crate::access::{Admitted, Denied, Environment, Hash, Keyring, Principal, Role, Taken};
use crate::agenda::Clock;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Lets requests in.
pub struct Door {
    /// The keys of the store.
    pub keyring: Arc<Keyring>,
    /// The key in the settings: it publishes for every tenant.
    pub ingest: Option<Hash>,
    /// Whoever shows no key is an operator under this name: in development on a loopback address,
    /// and for commands that work on the store, where there is no network between.
    pub open: Option<&'static str>,
    /// For saying when a pace allows more.
    pub clock: Clock,
}

impl Door {
    /// Who a request comes from. A key that is shown must be right, even where none is needed.
    pub(super) async fn admit_or_look(&self, headers: &HeaderMap) -> Result<Admitted, Denied> {
        match (self.admit(headers), bearer(headers)) {
            // It may have been made a moment ago, beside this server.
            (Err(Denied::UnknownKey), Some(key)) => self.keyring.admit_or_look(key).await,
            (known, _) => known,
        }
    }

    /// The same, from what is known here.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<Admitted, Denied> {
        let unpaced = |principal| Admitted { principal: Arc::new(principal), pace: None };
        let Some(key) = bearer(headers) else {
            let someone = |name| unpaced(built_in(name, Role::Operator));
            return self.open.map(someone).ok_or(Denied::NoKey);
        };
        if self.ingest.is_some_and(|ingest| ingest.is(&Hash::of(key))) {
            return Ok(unpaced(built_in("ingest", Role::Publisher)));
        }
        self.keyring.admit(key)
    }
}

/// Somebody who is in no store.
fn built_in(name: &str, role: Role) -> Principal {
    let (key_id, environment) = (name.into(), Environment::Live);
    Principal { key_id, role, tenant: None, environment, portal: false }
}

/// What follows `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer")
}

fn authorization<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
}

/// The password of `Authorization: Basic`, as what a browser asks its user for: the same request with
/// it as a key. Taken for the documentation alone: a browser sends it along with whatever any page
/// makes it ask for.
fn basic_as_bearer(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = BASE64_STANDARD.decode(authorization(headers, "basic")?).ok()?;
    let (_user, key) = std::str::from_utf8(&given).ok()?.split_once(':')?;
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Before the description of the API: any key will do, also as the password that a browser asks for.
pub(super) async fn guard_docs(
    door: State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(bearer) = basic_as_bearer(request.headers()) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let mut response = guard(door, request, next).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        let ask = HeaderValue::from_static("Basic realm=\"Fanfare: any name, a key as password\"");
        response.headers_mut().append(header::WWW_AUTHENTICATE, ask);
    }
    response
}

/// Before a path: finds out who asks, holds the key to its pace, and tells both to the handler and
/// the caller.
pub(super) async fn guard(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = match door.admit_or_look(request.headers()).await {
        Ok(admitted) => admitted,
        Err(denied) => return ApiError::from(denied).into_response(),
    };
    let Some(pace) = admitted.pace else {
        request.extensions_mut().insert(admitted.principal);
        return next.run(request).await;
    };
    let mut response = if pace.allowed {
        request.extensions_mut().insert(admitted.principal);
        next.run(request).await
    } else {
        too_fast(pace)
    };
    tell_pace(response.headers_mut(), pace, door.clock.now_ms());
    response
}

fn too_fast(pace: Taken) -> Response {
    let wait = seconds_up(pace.next_in).max(1);
    let message = format!(
        "this key sends faster than it may; the next request goes through in {wait} s. Batches of \
         events count as one request"
    );
    let error =
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too_many_requests", message);
    let mut response = error.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// `X-RateLimit-Reset` is the Unix second in which the whole limit is there again.
fn tell_pace(headers: &mut HeaderMap, pace: Taken, now_ms: i64) {
    let now = u64::try_from(now_ms / 1000).unwrap_or(0);
    headers.insert(LIMIT, HeaderValue::from(pace.limit));
    headers.insert(REMAINING, HeaderValue::from(pace.remaining));
    headers.insert(RESET, HeaderValue::from(now.saturating_add(seconds_up(pace.full_in))));
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;

    /// Whoever `guard` found. On a path that it does not stand before, nobody.
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
            Denied::TooSmall(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Denied::Unnamed => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
            Denied::NoTenant(_) => (StatusCode::NOT_FOUND, "not_found"),
        };
        Self::new(status, kind, denied.code(), denied.to_string())
    }
}
