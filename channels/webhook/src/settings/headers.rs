//! The headers of every request to a destination: Fanfare's and the tenant's.

use fanfare_contract::FieldError;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::signature::{
    WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, X_WEBHOOK_ID, X_WEBHOOK_SIGNATURE,
    X_WEBHOOK_TIMESTAMP,
};

/// Maximum number of a tenant's headers.
const HEADERS_MAX: usize = 32;
/// Maximum bytes of a tenant's headers together.
const BYTES_MAX: usize = 8 * 1024;

/// Headers that a tenant cannot set: those of Fanfare, of the connection and of the body.
const RESERVED: [&str; 22] = [
    X_WEBHOOK_ID,
    X_WEBHOOK_TIMESTAMP,
    X_WEBHOOK_SIGNATURE,
    WEBHOOK_ID,
    WEBHOOK_TIMESTAMP,
    WEBHOOK_SIGNATURE,
    "user-agent",
    "content-type",
    "content-length",
    "content-encoding",
    "host",
    "traceparent",
    "expect",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers that Fanfare sets. Those that change with each attempt have an empty value.
pub(crate) fn fixed(user_agent: &HeaderValue) -> HeaderMap {
    // Room for the headers of destinations and attempts, so that the map rarely grows.
    let mut headers = HeaderMap::with_capacity(24);
    // Each destination sets its own host.
    headers.insert(HOST, HeaderValue::from_static(""));
    headers.insert(USER_AGENT, user_agent.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    for changing in [
        X_WEBHOOK_ID,
        X_WEBHOOK_TIMESTAMP,
        X_WEBHOOK_SIGNATURE,
        WEBHOOK_ID,
        WEBHOOK_TIMESTAMP,
        WEBHOOK_SIGNATURE,
    ] {
        headers.insert(HeaderName::from_static(changing), HeaderValue::from_static(""));
    }
    headers
}

/// The tenant's headers.
pub(super) fn own(
    given: Option<&Value>,
    errors: &mut Vec<FieldError>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let given = match given {
        None | Some(Value::Null) => return headers,
        Some(Value::Object(given)) => given,
        Some(_) => {
            let message = "must be an object of header names and strings: { \"X-Api-Key\": \"…\" }";
            errors.push(FieldError::new("headers", message));
            return headers;
        }
    };
    let bytes = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
    if given.len() > HEADERS_MAX || given.iter().map(bytes).sum::<usize>() > BYTES_MAX {
        let message = format!("exceed the limit of {HEADERS_MAX} headers or {BYTES_MAX} bytes");
        errors.push(FieldError::new("headers", message));
        return headers;
    }
    for (name, value) in given {
        match own_header(name, value) {
            Ok(header) => headers.push(header),
            Err(message) => errors.push(FieldError::new(format!("headers.{name}"), message)),
        }
    }
    headers
}

fn own_header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = HeaderName::try_from(name)
        .map_err(|_| "is not a header name; use letters, digits and `-`")?;
    if RESERVED.contains(&name.as_str()) {
        return Err("is set by Fanfare or by HTTP and cannot be changed; remove it");
    }
    let text = value.as_str().ok_or("must be a string")?;
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "has characters that are not allowed in a header; use visible ASCII")?;
    value.set_sensitive(true);
    Ok((name, value))
}
