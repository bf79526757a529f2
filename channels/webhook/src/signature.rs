//! The two signature schemes of a webhook, and their verification.
//!
//! - *Body* scheme: `X-Webhook-Signature: sha256=<hex>`, an HMAC-SHA256 of the raw body. During a
//!   rotation the header holds several signatures, separated by commas. The scheme does not protect
//!   against replays.
//! - *Standard Webhooks* scheme (<https://www.standardwebhooks.com>): `webhook-signature:
//!   v1,<base64>`, an HMAC-SHA256 of `id.timestamp.body`. During a rotation the header holds
//!   several signatures, separated by spaces. The timestamp is that of the attempt, so receivers
//!   can refuse an old request.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use http::HeaderMap;

pub use crate::secret::{Key, SecretError};

// The webhook documentation that this project implements promises receivers the three `X-Webhook-*`
// headers, so they stay beside those of Standard Webhooks. See
// docs/decisions/0011-two-webhook-header-sets.md.

/// Body scheme: the event's id.
pub const X_WEBHOOK_ID: &str = "x-webhook-id";
/// Body scheme: the event's `created` in Unix seconds. It is not signed.
pub const X_WEBHOOK_TIMESTAMP: &str = "x-webhook-timestamp";
/// Body scheme: `sha256=<hex>`.
pub const X_WEBHOOK_SIGNATURE: &str = "x-webhook-signature";
/// Standard Webhooks: the event's id.
pub const WEBHOOK_ID: &str = "webhook-id";
/// Standard Webhooks: the time of the attempt in Unix seconds. It is signed.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Standard Webhooks: `v1,<base64>`.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// The tolerance of the Standard Webhooks libraries, in seconds.
pub const DEFAULT_TOLERANCE_S: i64 = 300;

/// A signature scheme.
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

/// Why a request is not authentic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The secret is invalid.
    #[error("the secret {0}")]
    Secret(#[from] SecretError),
    /// The request carries neither scheme.
    #[error("there is neither a `webhook-signature` nor an `x-webhook-signature` header")]
    Unsigned,
    /// A header of the scheme is missing.
    #[error("{scheme}: the header `{header}` is missing")]
    Missing {
        /// The scheme.
        scheme: Scheme,
        /// The header.
        header: &'static str,
    },
    /// A header of the scheme is malformed.
    #[error("{scheme}: the header `{header}` is not {expected}")]
    Malformed {
        /// The scheme.
        scheme: Scheme,
        /// The header.
        header: &'static str,
        /// The expected form.
        expected: &'static str,
    },
    /// The request is a replay, or a clock is wrong.
    #[error(
        "webhook-signature: signed {age_s} s ago, but only {tolerance_s} s are allowed; the \
         request is a replay or a clock is wrong"
    )]
    TooOld {
        /// Seconds from the signature's time to now. Negative if it is in the future.
        age_s: i64,
        /// The allowed seconds.
        tolerance_s: i64,
    },
    /// No signature of the scheme matches.
    #[error(
        "{scheme}: no signature matches; the secret is wrong, or the body is not the exact bytes \
         that were sent"
    )]
    Mismatch {
        /// The scheme.
        scheme: Scheme,
    },
}

/// The value of `X-Webhook-Signature` for `body`: `sha256=<hex>`.
pub fn sign_body(secret: &str, body: &[u8]) -> Result<String, SecretError> {
    let mac = Key::parse(secret)?.body_mac(body).finalize().into_bytes();
    Ok(format!("sha256={}", hex::encode(mac)))
}

/// The value of `webhook-signature` for `id.timestamp.body`: `v1,<base64>`.
pub fn sign_v1(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Result<String, SecretError> {
    let key = Key::parse(secret)?;
    let mac = key.v1_mac(id.as_bytes(), timestamp.to_string().as_bytes(), body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Verifies every scheme that the request carries, and returns them. All of them must match.
///
/// `now` is in Unix seconds. Signatures are compared in constant time.
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
    // The signature is checked before the age, so that a wrong secret is reported as such.
    let mac = key.v1_mac(id.as_bytes(), timestamp.as_bytes(), body);
    let given = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    any_matches(&mac, given.filter_map(|one| STANDARD.decode(one).ok()), scheme, "`v1,<base64>`")?;
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
    any_matches(&key.body_mac(body), given, scheme, "`sha256=<hex>`")
}

/// Checks that one of the signatures is that of `mac`, in constant time.
fn any_matches(
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
