//! The event of the measurements, and its signed headers as Fanfare sends them.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, header};
use sha2::Sha256;

/// Size of an event's envelope in bytes.
pub(crate) const EVENT_BYTES: usize = 600;
/// The tenant of the measurements.
pub(crate) const TENANT: &str = "bench";
/// The secret of every webhook here.
pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The `type` of the measured event.
pub(crate) const KIND: &str = "kyc.session.processed";
/// Its `created`.
pub(crate) const CREATED: i64 = 1_735_228_800;

const DATA: &str = r#""session_id":"7f6c2a54-53f2-4d0e-9d5e-0f2b8d0f6c11","workflow_id":"b1a7c7de-5a1c-4b4e-8a55-1d2f3e4a5b6c","metadata":{"user_email":"jane@example.com","user_name":"Jane Smith"},"status":"APPROVED","final_decision":"flagged","risk_score":71,"country":"ES","flags":["address_mismatch","pep"],"checks":{"document":{"result":"pass","confidence":0.95},"liveness":{"result":"pass","confidence":0.99}},"note":""#;

/// Unix microseconds now.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The id of the `n`th event: it holds the moment when it was sent (Unix microseconds, 0 when the
/// time of arrival alone counts), so that the sink knows how long it took.
pub(crate) fn id(sent_us: u64, n: usize) -> String {
    format!("evt_{sent_us}-{n}")
}

/// What [`id`] was made of.
pub(crate) fn read_id(id: &str) -> Option<(u64, usize)> {
    let (sent_us, n) = id.strip_prefix("evt_")?.split_once('-')?;
    Some((sent_us.parse().ok()?, n.parse().ok()?))
}

/// An envelope of [`EVENT_BYTES`] bytes.
pub(crate) fn body(id: &str) -> String {
    let mut body = String::with_capacity(EVENT_BYTES);
    body.push_str(r#"{"id":""#);
    body.push_str(id);
    let _ = write!(body, r#"","type":"{KIND}","created":{CREATED},"data":{{"#);
    body.push_str(DATA);
    while body.len() < EVENT_BYTES - 3 {
        body.push('.');
    }
    body.push_str(r#""}}"#);
    body
}

/// Signs as Fanfare does: both schemes, keyed once.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    text: Hmac<Sha256>,
    decoded: Hmac<Sha256>,
}

impl Signer {
    /// With [`SECRET`].
    pub(crate) fn keyed() -> Self {
        let keyed = |key: &[u8]| Hmac::new_from_slice(key).expect("any length will do");
        let encoded = SECRET.trim_start_matches("whsec_");
        let bytes = STANDARD.decode(encoded).expect("the secret is base64");
        Self { text: keyed(SECRET.as_bytes()), decoded: keyed(&bytes) }
    }

    /// The headers of a webhook.
    pub(crate) fn headers(&self, id: &str, body: &[u8]) -> HeaderMap {
        let now = (now_us() / 1_000_000).to_string();
        let mut mac = self.text.clone();
        mac.update(body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let mut mac = self.decoded.clone();
        for part in [id.as_bytes(), b".", now.as_bytes(), b".", body] {
            mac.update(part);
        }
        let v1 = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let mut headers = HeaderMap::with_capacity(10);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("KYC-Webhooks/1.0"));
        for (name, value) in [
            ("x-webhook-id", id.to_owned()),
            ("x-webhook-timestamp", CREATED.to_string()),
            ("x-webhook-signature", signature),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", now),
            ("webhook-signature", v1),
        ] {
            let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value));
            headers.insert(name, value.expect("digits, hex and base64 are header text"));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_valid_of_the_size_said_and_signed_so_that_it_verifies() {
        for id in [id(0, 0), id(1_763_900_000_000_000, 99_999)] {
            let body = body(&id);
            assert_eq!(body.len(), EVENT_BYTES);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(value["id"], id.as_str());
            assert_eq!((&value["type"], &value["created"]), (&KIND.into(), &CREATED.into()));
            let headers = Signer::keyed().headers(&id, body.as_bytes());
            let now = i64::try_from(now_us() / 1_000_000).unwrap();
            let schemes =
                fanfare_webhook::signature::verify(SECRET, &headers, body.as_bytes(), now, 60);
            assert_eq!(schemes.unwrap().len(), 2);
        }
        assert_eq!(read_id(&id(7, 5)), Some((7, 5)));
    }
}
