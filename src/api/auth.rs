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
    Key([u8; 32]),
    /// Nobody.
    Closed,
}

impl IngestAuth {
    /// For a configured key.
    pub fn key(key: &str) -> Self {
        Self::Key(Sha256::digest(key.as_bytes()).into())
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let refuse = |code, message: &str| {
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", code, message))
        };
        let expected = match self {
            Self::Open => return Ok(()),
            Self::Closed => {
                return refuse(
                    "ingest_closed",
                    "HTTP ingest is closed: set FANFARE_INGEST_KEY and send it as \
                     `Authorization: Bearer …`, or serve with --development on a loopback address",
                );
            }
            Self::Key(expected) => expected,
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(given) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            return refuse("no_key", "send the ingest key as `Authorization: Bearer …`");
        };
        // Hashes are compared, so the time says nothing of the key.
        let given: [u8; 32] = Sha256::digest(given.trim().as_bytes()).into();
        let differing = given.iter().zip(expected).fold(0, |all, (a, b)| all | (a ^ b));
        if differing == 0 { Ok(()) } else { refuse("wrong_key", "this key is not known here") }
    }
}
