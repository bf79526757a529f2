//! The two signature schemes that every webhook carries, and their verification.
//!
//! - *Body* scheme: `X-Webhook-Signature: sha256=<hex>`, HMAC-SHA256 of the raw body. During a
//!   rotation there are several, separated by commas. It does not protect against replays.
//! - *Standard Webhooks* scheme (<https://www.standardwebhooks.com>): `webhook-signature:
//!   v1,<base64>`, HMAC-SHA256 of `id.timestamp.body`. During a rotation there are several,
//!   separated by spaces. The timestamp is the attempt's, so an old request can be refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use http::HeaderMap;

pub use crate::secret::{Key, SecretError};

// The webhook documentation that this project implements promises the three `X-Webhook-*` headers to
// receivers, so they stay beside those of Standard Webhooks. See
// docs/decisions/0011-two-webhook-header-sets.md.

/// Event id, body scheme.
pub const X_WEBHOOK_ID: &str = "x-webhook-id";
/// The event's `created`, Unix seconds; not signed.
pub const X_WEBHOOK_TIMESTAMP: &str = "x-webhook-timestamp";
/// `sha256=<hex>`.
pub const X_WEBHOOK_SIGNATURE: &str = "x-webhook-signature";
/// Event id, Standard Webhooks.
pub const WEBHOOK_ID: &str = "webhook-id";
/// Unix seconds of the attempt; signed.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// `v1,<base64>`.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// The tolerance that the Standard Webhooks libraries use: 5 minutes, in seconds.
pub const DEFAULT_TOLERANCE_S: i64 = 300;

/// One of the two ways a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `X-Webhook-Signature: sha256=…` over the body.
    Body,
    /// `webhook-signature: v1,…` over id, timestamp and body.
    StandardWebhooks,
}

impl Scheme {
    /// The header that holds the signature.
    pub fn header(self) -> &'static str {
        match self {
            Self::Body => X_WEBHOOK_SIGNATURE,
            Self::StandardWebhooks => WEBHOOK_SIGNATURE,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.header())
    }
}

/// Why a request is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The secret itself cannot be one.
    #[error("the secret is not usable: {0}")]
    Secret(#[from] SecretError),
    /// Neither scheme is there.
    #[error(
        "not signed: there is neither a `webhook-signature` nor an `x-webhook-signature` header"
    )]
    Unsigned,
    /// A header that the scheme needs is not there.
    #[error("{scheme}: the header `{header}` is missing")]
    Missing {
        /// Which scheme.
        scheme: Scheme,
        /// Which header.
        header: &'static str,
    },
    /// A header is there and makes no sense.
    #[error("{scheme}: the header `{header}` is not {expected}")]
    Malformed {
        /// Which scheme.
        scheme: Scheme,
        /// Which header.
        header: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// A replay, or a clock that is slow or fast.
    #[error(
        "webhook-signature: signed {age_s} s ago, and {tolerance_s} s are allowed: a replay, or a clock is wrong"
    )]
    TooOld {
        /// Seconds between the signature's time and now; negative when it is in the future.
        age_s: i64,
        /// How many were allowed.
        tolerance_s: i64,
    },
    /// No signature of the scheme is right.
    #[error(
        "{scheme}: no signature fits: the secret is another one, or the body is not byte for byte what was sent"
    )]
    Mismatch {
        /// Which scheme.
        scheme: Scheme,
    },
}

/// `sha256=<hex>` of `body`: the value of `X-Webhook-Signature`.
pub fn sign_body(secret: &str, body: &[u8]) -> Result<String, SecretError> {
    let mac = Key::parse(secret)?.body_mac(body).finalize().into_bytes();
    Ok(format!("sha256={}", hex::encode(mac)))
}

/// `v1,<base64>` of `id.timestamp.body`: the value of `webhook-signature`.
pub fn sign_v1(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Result<String, SecretError> {
    let key = Key::parse(secret)?;
    let mac = key.v1_mac(id.as_bytes(), timestamp.to_string().as_bytes(), body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Verifies every scheme that the request carries; all of them must be right.
///
/// `now` is Unix seconds. Comparisons take the same time whatever the signature.
pub fn verify(
    secret: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
    tolerance_s: i64,
) -> Result<Vec<Scheme>, VerifyError> {
    let key = Key::parse(secret)?;
    let mut verified = Vec::new();
    if headers.contains_key(WEBHOOK_SIGNATURE) {
        verify_v1(&key, headers, body, now, tolerance_s)?;
        verified.push(Scheme::StandardWebhooks);
    }
    if headers.contains_key(X_WEBHOOK_SIGNATURE) {
        verify_body(&key, headers, body)?;
        verified.push(Scheme::Body);
    }
    if verified.is_empty() { Err(VerifyError::Unsigned) } else { Ok(verified) }
}

fn verify_v1(
    key: &Key,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
    tolerance_s: i64,
) -> Result<(), VerifyError> {
    let scheme = Scheme::StandardWebhooks;
    let id = text(headers, scheme, WEBHOOK_ID)?;
    let timestamp = text(headers, scheme, WEBHOOK_TIMESTAMP)?;
    let signatures = text(headers, scheme, WEBHOOK_SIGNATURE)?;
    let signed_at: i64 = timestamp.parse().map_err(|_| VerifyError::Malformed {
        scheme,
        header: WEBHOOK_TIMESTAMP,
        expected: "a time in Unix seconds",
    })?;
    // The signature comes before the age: who has the wrong secret should hear of the secret.
    let mac = key.v1_mac(id.as_bytes(), timestamp.as_bytes(), body);
    let given = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    any_fits(&mac, given.filter_map(|one| STANDARD.decode(one).ok()), scheme, "`v1,<base64>`")?;
    let age_s = now.saturating_sub(signed_at);
    if age_s.saturating_abs() > tolerance_s {
        return Err(VerifyError::TooOld { age_s, tolerance_s });
    }
    Ok(())
}

fn verify_body(key: &Key, headers: &HeaderMap, body: &[u8]) -> Result<(), VerifyError> {
    let scheme = Scheme::Body;
    let signatures = text(headers, scheme, X_WEBHOOK_SIGNATURE)?;
    let given = signatures.split(',').filter_map(|one| one.trim().strip_prefix("sha256="));
    let given = given.filter_map(|one| hex::decode(one).ok());
    any_fits(&key.body_mac(body), given, scheme, "`sha256=<hex>`")
}

/// Whether one of the signatures is that of `mac`, compared in constant time.
fn any_fits(
    mac: &hmac::Hmac<sha2::Sha256>,
    given: impl Iterator<Item = Vec<u8>>,
    scheme: Scheme,
    expected: &'static str,
) -> Result<(), VerifyError> {
    let mut seen = false;
    for signature in given {
        seen = true;
        if mac.clone().verify_slice(&signature).is_ok() {
            return Ok(());
        }
    }
    if seen {
        Err(VerifyError::Mismatch { scheme })
    } else {
        Err(VerifyError::Malformed { scheme, header: scheme.header(), expected })
    }
}

fn text<'a>(
    headers: &'a HeaderMap,
    scheme: Scheme,
    header: &'static str,
) -> Result<&'a str, VerifyError> {
    let value = headers.get(header).ok_or(VerifyError::Missing { scheme, header })?;
    value.to_str().map_err(|_| VerifyError::Malformed { scheme, header, expected: "ASCII text" })
}

#[cfg(test)]
mod tests;
