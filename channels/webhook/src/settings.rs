//! A destination's settings, from JSON to what every attempt needs.
//!
//! | field | meaning |
//! | --- | --- |
//! | `url` | required; a user and password in it become basic authentication. They and the query are secrets |
//! | `secret` | see [`crate::signature::Key`] for the two forms; generated if missing |
//! | `previous_secrets` | `[{ "secret", "expires" }]`: also sign, until `expires` (Unix seconds) |
//! | `headers` | additional headers of every request |
//! | `retry_on`, `give_up_on` | statuses that are retried, and statuses that end the delivery |
//! | `ca` | certificates in PEM to trust besides the system's |

pub(crate) mod headers;
pub(crate) mod objections;
pub(crate) mod statuses;
mod target;

use std::fmt;
use std::sync::Arc;

use fanfare_contract::{FieldError, unknown_setting};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::{Map, Value, json};
use url::Url;

use crate::client::Client;
use crate::guard::Guard;
use crate::secret::{Key, mask};
use statuses::Statuses;
use target::Target;

const FIELDS: [&str; 7] =
    ["url", "secret", "previous_secrets", "headers", "retry_on", "give_up_on", "ca"];
/// Maximum number of previous secrets.
const PREVIOUS_MAX: usize = 4;

/// A destination that is ready for attempts.
pub(crate) struct Prepared {
    /// The URL without user, password and fragment.
    pub(crate) uri: Uri,
    /// The URL's host, for messages.
    pub(crate) host: String,
    /// The headers that all destinations share.
    fixed: Arc<HeaderMap>,
    /// The headers of this destination.
    own: Box<[(HeaderName, HeaderValue)]>,
    /// The keys that sign, the current key first.
    pub(crate) keys: Box<[Signer]>,
    /// The client that trusts the destination's own authorities, if it has any.
    pub(crate) client: Option<Arc<Client>>,
    /// What the destination makes of its receiver's statuses.
    pub(crate) statuses: Statuses,
}

impl Prepared {
    /// The headers of a request. Those that change with each attempt have an empty value.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::clone(&self.fixed);
        for (name, value) in &self.own {
            headers.insert(name, value.clone());
        }
        headers
    }
}

/// A key that signs requests.
pub(crate) struct Signer {
    pub(crate) key: Key,
    /// Unix seconds at which the key stops signing. `None`: never.
    pub(crate) expires: Option<i64>,
}

impl fmt::Debug for Prepared {
    // The URL's path and the headers can be secrets too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Checks and prepares the settings. Returns all errors together.
pub(crate) fn prepare(
    settings: &Map<String, Value>,
    guard: &Guard,
    fixed: &Arc<HeaderMap>,
) -> Result<Prepared, Vec<FieldError>> {
    let mut errors = Vec::new();
    unknown_fields(settings, &mut errors);
    let mut own = headers::own(settings.get("headers"), &mut errors);
    let keys = signers(settings, &mut errors);
    let statuses = Statuses::read(settings, &mut errors);
    if settings.get("ca").is_some_and(|ca| !is_pem(ca)) {
        errors.push(not_pem());
    }
    let Target { uri, host, authority, basic } = match target::read(settings.get("url"), guard) {
        Ok(target) => target,
        Err(message) => {
            errors.push(FieldError::new("url", message));
            return Err(errors);
        }
    };
    own.push((HOST, authority));
    if let Some(basic) = basic {
        if own.iter().any(|(name, _)| name == AUTHORIZATION) {
            let message =
                "is set twice, also by the user and password in `url`; remove one of them";
            errors.push(FieldError::new("headers.authorization", message));
        }
        own.push((AUTHORIZATION, basic));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // Boxed slices save memory when there are thousands of destinations.
    let (own, keys) = (own.into(), keys.into());
    Ok(Prepared { uri, host, fixed: fixed.clone(), own, keys, client: None, statuses })
}

/// Most bytes of `ca`.
const CA_MAX: usize = 64 * 1024;

fn is_pem(ca: &Value) -> bool {
    let text = ca.as_str().filter(|text| text.len() <= CA_MAX);
    ca.is_null() || text.is_some_and(|text| fanfare_tls::certificates(text.as_bytes()).is_ok())
}

/// The error about a `ca` that cannot be read.
pub(crate) fn not_pem() -> FieldError {
    let message = "must be certificates in PEM (`-----BEGIN CERTIFICATE-----`), at most 64 KiB";
    FieldError::new("ca", message)
}

/// The settings as a JSON Schema.
pub(crate) fn schema() -> Value {
    let secret = "`whsec_` and the base64 of 24 to 64 bytes, or 16 to 256 characters.";
    json!({
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {
                "type": "string", "format": "uri", "maxLength": 2048,
                "description": "Where requests are sent. A user and a password in it become basic \
                                authentication.",
                "example": "https://hooks.acme.example/kyc",
            },
            "secret": {
                "type": "string",
                "description": format!("Signs the requests: {secret} Generated if you omit it."),
                "example": "****************************1a2b",
            },
            "previous_secrets": {
                "type": "array", "maxItems": PREVIOUS_MAX,
                "description": "Secrets that also sign until they expire.",
                "items": {
                    "type": "object", "required": ["secret", "expires"],
                    "properties": {
                        "secret": {"type": "string", "description": secret},
                        "expires": {
                            "type": "integer",
                            "description": "When the secret stops signing, in Unix seconds.",
                        },
                    },
                },
            },
            "headers": {
                "type": "object", "additionalProperties": {"type": "string"},
                "description": "Additional headers of every request. Their values are masked in \
                                answers.",
            },
            "retry_on": {
                "type": "array", "maxItems": 32, "items": status_entry(),
                "description": "Statuses after which a delivery is retried that would be given up.",
            },
            "give_up_on": {
                "type": "array", "maxItems": 32, "items": status_entry(),
                "description": "Statuses after which a delivery is given up at once.",
            },
            "ca": {
                "type": "string", "maxLength": CA_MAX,
                "description": "Certificates in PEM that are trusted for this destination, beside \
                                the public authorities.",
            },
        },
    })
}

/// An entry of `retry_on` or `give_up_on`.
fn status_entry() -> Value {
    json!({"oneOf": [
        {"type": "integer", "minimum": 300, "maximum": 599, "description": "A status."},
        {"type": "string", "pattern": "^[345]xx$", "description": "All statuses of a class."},
    ]})
}

/// Where the settings send requests: scheme, host and port.
pub(crate) fn receiver(settings: &Map<String, Value>) -> Option<String> {
    let url = Url::parse(settings.get("url")?.as_str()?).ok()?;
    url.has_host().then(|| url.origin().ascii_serialization())
}

/// The settings with every secret in them masked.
pub(crate) fn masked(settings: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = settings.clone();
    if let Some(secret) = shown.get_mut("secret") {
        mask_value(secret);
    }
    let previous = shown.get_mut("previous_secrets").and_then(Value::as_array_mut);
    for secret in previous.into_iter().flatten().filter_map(|one| one.get_mut("secret")) {
        mask_value(secret);
    }
    // Any header can be a secret, so all values are masked.
    let headers = shown.get_mut("headers").and_then(Value::as_object_mut);
    for value in headers.into_iter().flat_map(Map::values_mut) {
        *value = Value::from(mask(""));
    }
    if let Some(Value::String(url)) = shown.get_mut("url") {
        *url = target::masked(url);
    }
    shown
}

fn mask_value(secret: &mut Value) {
    // `{ "env": "NAME" }` names the place of a secret and is not a secret itself.
    if !matches!(secret, Value::Object(place) if place.len() == 1 && place.contains_key("env")) {
        *secret = Value::from(mask(secret.as_str().unwrap_or_default()));
    }
}

fn unknown_fields(settings: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    for field in settings.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        errors.push(FieldError::new(field, unknown_setting("a webhook", field, &FIELDS)));
    }
}

fn signers(settings: &Map<String, Value>, errors: &mut Vec<FieldError>) -> Vec<Signer> {
    let mut keys = Vec::new();
    match key(settings.get("secret")) {
        Ok(key) => keys.push(Signer { key, expires: None }),
        Err(message) => errors.push(FieldError::new("secret", message)),
    }
    let previous = match settings.get("previous_secrets") {
        None | Some(Value::Null) => return keys,
        Some(Value::Array(previous)) if previous.len() <= PREVIOUS_MAX => previous,
        Some(_) => {
            let message = format!(
                "must be a list of at most {PREVIOUS_MAX} objects \
                 {{ \"secret\": \"…\", \"expires\": <Unix seconds> }}"
            );
            errors.push(FieldError::new("previous_secrets", message));
            return keys;
        }
    };
    for (nth, one) in previous.iter().enumerate() {
        let at = |field: &str| format!("previous_secrets.{nth}.{field}");
        let expires = one.get("expires").and_then(Value::as_i64);
        match (key(one.get("secret")), expires) {
            (Ok(key), Some(_)) => keys.push(Signer { key, expires }),
            (key, expires) => {
                if let Err(message) = key {
                    errors.push(FieldError::new(at("secret"), message));
                }
                if expires.is_none() {
                    let message = "must be the Unix time in seconds at which the secret expires";
                    errors.push(FieldError::new(at("expires"), message));
                }
            }
        }
    }
    keys
}

fn key(secret: Option<&Value>) -> Result<Key, String> {
    match secret {
        Some(Value::String(secret)) => Key::parse(secret).map_err(|error| error.to_string()),
        Some(_) => Err("must be a string".to_owned()),
        None => Err("is required".to_owned()),
    }
}

#[cfg(test)]
mod tests;
