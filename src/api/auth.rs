//! Authentication: which principal a request comes from.
//!
//! `guard` runs before every path that requires a key. A handler behind it takes a [`Principal`] as
//! an argument. Whether that principal may do what the handler does is checked by the handler
//! (`scope`).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::answer::ApiError;
use super::auth_failures::AuthFailures;
use crate::access::{Admitted, Denied, Environment, Hash, Keyring, Principal, Role};
use crate::agenda::Clock;

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
    /// Counts and logs requests that are not authenticated.
    pub failures: AuthFailures,
}

impl Authenticator {
    /// Authenticates a request. A key that is sent must be valid, even if none is required.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Admitted, Denied> {
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

    /// Fails if the key of a request that takes long was revoked or has expired meanwhile.
    pub(super) fn check(&self, principal: &Principal) -> Result<(), Denied> {
        // The others have no key in the store.
        let has_key = principal.key_id.starts_with("key_");
        if has_key { self.keyring.check(&principal.key_id) } else { Ok(()) }
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
pub(super) fn basic_as_bearer(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = BASE64_STANDARD.decode(authorization(headers, "basic")?).ok()?;
    let (_user, key) = std::str::from_utf8(&given).ok()?.split_once(':')?;
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(value)
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
            Denied::Forbidden(_) | Denied::TestKey => (StatusCode::FORBIDDEN, "forbidden"),
            Denied::Unnamed => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request"),
            Denied::NoTenant(_) => (StatusCode::NOT_FOUND, "not_found"),
        };
        Self::new(status, kind, denied.code(), denied.to_string())
    }
}
