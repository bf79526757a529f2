//! The headers of every request to a destination: ours, and the tenant's own.

use fanfare_contract::FieldError;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::signature::{
    WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, X_WEBHOOK_ID, X_WEBHOOK_SIGNATURE,
    X_WEBHOOK_TIMESTAMP,
};

/// Most headers of the tenant's own, and the most bytes in them together.
const HEADERS_MAX: (usize, usize) = (32, 8 * 1024);

/// Headers that are ours, the connection's or the body's; a tenant cannot set them.
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

/// Those that we set; what changes per attempt has an empty value for now.
pub(crate) fn fixed(user_agent: &HeaderValue) -> HeaderMap {
    // Room for what destinations and attempts add, so that few requests have to grow it.
    let mut headers = HeaderMap::with_capacity(24);
    // Every destination sets its own.
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

/// The tenant's own.
pub(super) fn own(
    given: Option<&Value>,
    errors: &mut Vec<FieldError>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let given = match given {
        None | Some(Value::Null) => return headers,
        Some(Value::Object(given)) => given,
        Some(_) => {
            let message = "must be an object of names and texts: { \"X-Api-Key\": \"…\" }";
            errors.push(FieldError::new("headers", message));
            return headers;
        }
    };
    let bytes = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
    if given.len() > HEADERS_MAX.0 || given.iter().map(bytes).sum::<usize>() > HEADERS_MAX.1 {
        let (most, bytes) = HEADERS_MAX;
        let message = format!("are too many: at most {most}, with {bytes} bytes together");
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
        .map_err(|_| "is not a header name: letters, digits and `-` are allowed")?;
    if RESERVED.contains(&name.as_str()) {
        return Err("is set by Fanfare or by HTTP itself and cannot be given");
    }
    let text = value.as_str().ok_or("must be a text")?;
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "has characters that a header cannot have; use visible ASCII")?;
    value.set_sensitive(true);
    Ok((name, value))
}
