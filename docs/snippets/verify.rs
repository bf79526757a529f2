use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;

const TOLERANCE_S: u64 = 300;

/// Is this request from Fanfare? The body is the raw bytes.
pub fn verify(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    verified(secret, headers, body).unwrap_or(false)
}

fn verified(secret: &str, headers: &HeaderMap, body: &[u8]) -> Option<bool> {
    let header = |name| headers.get(name)?.to_str().ok();
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    if now.abs_diff(timestamp.parse().ok()?) > TOLERANCE_S {
        return Some(false);
    }
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    // There are several signatures while a secret is being replaced.
    let mut given = header("webhook-signature")?.split(' ');
    Some(given.any(|one| {
        let bytes = one.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    }))
}

/// The same for `X-Webhook-Signature`, which does not protect against replays.
pub fn verify_body(secret: &str, header: &str, body: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    header.split(',').any(|one| {
        let bytes = one.trim().strip_prefix("sha256=").and_then(|text| hex::decode(text).ok());
        bytes.is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
    })
}
