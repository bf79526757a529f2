//! The request of one attempt: the prepared headers and those that change with each attempt.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use fanfare_contract::{Content, Delivery, DeliveryError, Digest};
use hmac::Mac as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::secret::Key;
use crate::settings::{Prepared, Signer};
use crate::signature;

// Header names parsed at compile time, because this is the hot path.
const X_WEBHOOK_ID: HeaderName = HeaderName::from_static(signature::X_WEBHOOK_ID);
const X_WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static(signature::X_WEBHOOK_TIMESTAMP);
const X_WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static(signature::X_WEBHOOK_SIGNATURE);
const WEBHOOK_ID: HeaderName = HeaderName::from_static(signature::WEBHOOK_ID);
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static(signature::WEBHOOK_TIMESTAMP);
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static(signature::WEBHOOK_SIGNATURE);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The event type of a digest's envelope.
const DIGEST_TYPE: &str = "fanfare.digest";

/// Builds the signed request of one attempt.
pub(crate) fn build(
    to: &Prepared,
    delivery: &Delivery,
) -> Result<Request<Full<Bytes>>, DeliveryError> {
    let message = Message::of(&delivery.content);
    let headers = headers(to, &message, delivery.at_ms.div_euclid(1000))?;
    let mut request = Request::new(Full::new(message.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = to.uri.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// What is sent, for an event and for a digest alike.
struct Message<'a> {
    id: &'a str,
    created: i64,
    trace: Option<&'a str>,
    body: Bytes,
}

impl<'a> Message<'a> {
    fn of(content: &'a Content) -> Self {
        match content {
            Content::Event(event) => Self {
                id: &event.id,
                created: event.created,
                trace: event.trace.as_deref(),
                body: event.body.clone(),
            },
            Content::Digest(digest) => {
                let created = digest.to_ms.div_euclid(1000);
                Self { id: &digest.id, created, trace: None, body: envelope(digest, created) }
            }
        }
    }
}

/// The envelope of a digest. It holds the events' own envelopes byte for byte.
fn envelope(digest: &Digest, created: i64) -> Bytes {
    let head = json!({ "id": &*digest.id, "type": DIGEST_TYPE, "created": created }).to_string();
    let tail = json!({ "suppressed": &digest.suppressed, "failed": &digest.failed }).to_string();
    let events: usize = digest.events.iter().map(|event| event.body.len() + 1).sum();
    let mut body = Vec::with_capacity(head.len() + tail.len() + events + 32);
    body.extend_from_slice(head.trim_end_matches('}').as_bytes());
    body.extend_from_slice(br#","data":{"events":["#);
    for (nth, event) in digest.events.iter().enumerate() {
        if nth > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.body);
    }
    body.extend_from_slice(b"],");
    body.extend_from_slice(tail.trim_start_matches('{').as_bytes());
    body.push(b'}');
    body.into()
}

fn headers(to: &Prepared, message: &Message<'_>, now: i64) -> Result<HeaderMap, DeliveryError> {
    // One buffer holds all values of the request. Each value is split off without a copy.
    let mut text = BytesMut::with_capacity(640);
    text.put_slice(message.id.as_bytes());
    let id = text.split().freeze();
    put_number(&mut text, message.created);
    let created = text.split().freeze();
    put_number(&mut text, now);
    let at = text.split().freeze();
    put_body_signatures(&mut text, valid(to, now), &message.body);
    let body_signatures = text.split().freeze();
    put_v1_signatures(&mut text, valid(to, now), &id, &at, &message.body);
    let v1_signatures = text.freeze();

    let Ok(id) = HeaderValue::from_maybe_shared(id) else {
        let message = "the event's id has control characters, which a header cannot carry";
        return Err(DeliveryError::permanent("invalid_id", message));
    };
    let mut headers = to.headers();
    headers.insert(X_WEBHOOK_ID, id.clone());
    headers.insert(WEBHOOK_ID, id);
    for (name, text) in [
        (X_WEBHOOK_TIMESTAMP, created),
        (WEBHOOK_TIMESTAMP, at),
        (X_WEBHOOK_SIGNATURE, body_signatures),
        (WEBHOOK_SIGNATURE, v1_signatures),
    ] {
        let text = HeaderValue::from_maybe_shared(text);
        headers.insert(name, text.expect("digits, hex and base64 are header text"));
    }
    if let Some(trace) = message.trace.and_then(|trace| HeaderValue::from_str(trace).ok()) {
        headers.insert(TRACEPARENT, trace);
    }
    Ok(headers)
}

/// The keys that sign at the time `now`, the current key first.
fn valid(to: &Prepared, now: i64) -> impl Iterator<Item = &Key> {
    let valid = move |signer: &&Signer| signer.expires.is_none_or(|until| now < until);
    to.keys.iter().filter(valid).map(|signer| &signer.key)
}

fn put_number(text: &mut BytesMut, number: i64) {
    // Writing to memory cannot fail.
    let _ = write!(text.writer(), "{number}");
}

/// Appends `sha256=<hex>` for each key, separated by commas.
fn put_body_signatures<'a>(text: &mut BytesMut, keys: impl Iterator<Item = &'a Key>, body: &[u8]) {
    for (nth, key) in keys.enumerate() {
        text.put_slice(if nth == 0 { b"sha256=" } else { b",sha256=" });
        let mut digits = [0; 64];
        hex::encode_to_slice(key.body_mac(body).finalize().into_bytes(), &mut digits)
            .expect("32 bytes are 64 digits");
        text.put_slice(&digits);
    }
}

/// Appends `v1,<base64>` for each key, separated by spaces.
fn put_v1_signatures<'a>(
    text: &mut BytesMut,
    keys: impl Iterator<Item = &'a Key>,
    id: &[u8],
    at: &[u8],
    body: &[u8],
) {
    for (nth, key) in keys.enumerate() {
        text.put_slice(if nth == 0 { b"v1," } else { b" v1," });
        let mut digits = [0; 44];
        STANDARD
            .encode_slice(key.v1_mac(id, at, body).finalize().into_bytes(), &mut digits)
            .expect("32 bytes are 44 digits");
        text.put_slice(&digits);
    }
}
