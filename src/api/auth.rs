//! Who may send events over HTTP.

use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

use super::answer::ApiError;

/// The rule of this server.
#[derive(Clone)]
pub enum IngestAuth {
    /// Anybody who reaches a loopback address, in development.
    Open,
    /// Whoever has the key, kept as its hash.
    Key(KeyHash),
    /// Nobody.
    Closed,
}

impl IngestAuth {
    /// For a configured key.
    pub fn key(key: &str) -> Self {
        Self::Key(KeyHash::of(key))
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        match self {
            Self::Open => Ok(()),
            Self::Closed => refuse(
                "ingest_closed",
                "HTTP ingest is closed: set FANFARE_INGEST_KEY and send it as \
                 `Authorization: Bearer …`, or serve with --development on a loopback address",
            ),
            Self::Key(expected) => expected.check(headers, "the ingest key"),
        }
    }
}

fn refuse(code: &'static str, message: impl Into<String>) -> Result<(), ApiError> {
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", code, message))
}

/// What is kept of a key.
#[derive(Clone)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub(super) fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Whether the request has the key as `Authorization: Bearer …`; `what` is its name.
    pub(super) fn check(&self, headers: &HeaderMap, what: &str) -> Result<(), ApiError> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            return refuse("no_key", format!("send {what} as `Authorization: Bearer …`"));
        };
        // Hashes are compared, so the time says nothing of the key.
        let given: [u8; 32] = Sha256::digest(given.trim().as_bytes()).into();
        let differing = given.iter().zip(self.0).fold(0, |all, (a, b)| all | (a ^ b));
        if differing == 0 { Ok(()) } else { refuse("wrong_key", "this key is not known here") }
    }
}
