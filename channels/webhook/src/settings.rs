//! A webhook destination's settings: from JSON to what every attempt needs.
//!
//! | field | |
//! | --- | --- |
//! | `url` | required; `https`, a user and password in it become basic authentication |
//! | `secret` | see [`crate::signature::Key`] for the forms; made when it is missing |
//! | `previous_secrets` | `[{ "secret", "expires" }]`: sign too, until `expires` (Unix seconds) |
//! | `headers` | more headers of one's own, the same on every request |

pub(crate) mod headers;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare_contract::FieldError;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::guard::Guard;
use crate::secret::{Key, mask};

const FIELDS: [&str; 4] = ["url", "secret", "previous_secrets", "headers"];
/// What the router takes out before we see the settings; for suggestions only.
const ROUTERS_FIELDS: [&str; 11] = [
    "channel",
    "name",
    "enabled",
    "paused",
    "retry",
    "rate",
    "concurrency",
    "fifo",
    "digest",
    "timeout",
    "environment",
];
/// Longest URL, in characters.
const URL_MAX: usize = 2048;
/// Most secrets besides the current one.
const PREVIOUS_MAX: usize = 4;
/// What every attempt needs, made once.
pub(crate) struct Prepared {
    /// Without user, password and fragment.
    pub(crate) uri: Uri,
    /// For messages.
    pub(crate) host: String,
    /// The headers of every request of the channel, which all destinations share.
    fixed: Arc<HeaderMap>,
    /// What this destination adds to them.
    own: Box<[(HeaderName, HeaderValue)]>,
    /// The current secret first.
    pub(crate) keys: Box<[Signer]>,
}

impl Prepared {
    /// All headers of a request; those that change per attempt have an empty value.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::clone(&self.fixed);
        for (name, value) in &self.own {
            headers.insert(name, value.clone());
        }
        headers
    }
}

/// A key, and until when it signs.
pub(crate) struct Signer {
    pub(crate) key: Key,
    /// Unix seconds; `None` is for ever.
    pub(crate) expires: Option<i64>,
}

impl fmt::Debug for Prepared {
    // The URL's path and the headers may be secrets as much as the keys are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Reads the settings; all that is wrong is told at once.
pub(crate) fn prepare(
    settings: &Map<String, Value>,
    guard: &Guard,
    fixed: &Arc<HeaderMap>,
) -> Result<Prepared, Vec<FieldError>> {
    let mut errors = Vec::new();
    unknown_fields(settings, &mut errors);
    let mut own = headers::own(settings.get("headers"), &mut errors);
    let keys = signers(settings, &mut errors);
    let place = match place(settings.get("url"), guard) {
        Ok(place) => Some(place),
        Err(message) => {
            errors.push(FieldError::new("url", message));
            None
        }
    };
    let Some(Place { uri, host, authority, basic }) = place else { return Err(errors) };
    own.push((HOST, authority));
    if let Some(basic) = basic {
        if own.iter().any(|(name, _)| name == AUTHORIZATION) {
            let message = "is given twice: in `headers` and as user and password in `url`";
            errors.push(FieldError::new("headers.authorization", message));
        }
        own.push((AUTHORIZATION, basic));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // Exactly as large as what is in them: there may be thousands of destinations.
    let (own, keys) = (own.into(), keys.into());
    Ok(Prepared { uri, host, fixed: fixed.clone(), own, keys })
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
    // Which of them are secret only the tenant knows, so none is shown.
    let headers = shown.get_mut("headers").and_then(Value::as_object_mut);
    for value in headers.into_iter().flat_map(Map::values_mut) {
        *value = Value::from(mask(""));
    }
    if let Some(Value::String(text)) = shown.get_mut("url")
        && let Ok(mut url) = Url::parse(text)
        && url.password().is_some()
        && url.set_password(Some("********")).is_ok()
    {
        *text = url.into();
    }
    shown
}

fn mask_value(secret: &mut Value) {
    // `{ "env": "NAME" }` says where a secret is, not what it is.
    if !matches!(secret, Value::Object(place) if place.len() == 1 && place.contains_key("env")) {
        *secret = Value::from(mask(secret.as_str().unwrap_or_default()));
    }
}

fn unknown_fields(settings: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    for field in settings.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        let near = FIELDS
            .iter()
            .chain(&ROUTERS_FIELDS)
            .map(|known| (strsim::osa_distance(known, field), known))
            .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
            .min_by_key(|(distance, _)| *distance);
        let message = match near {
            Some((_, known)) => format!("is not a setting of a webhook; did you mean `{known}`?"),
            None => {
                format!("is not a setting of a webhook; there are `{}`", FIELDS.join("`, `"))
            }
        };
        errors.push(FieldError::new(field, message));
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
                "must be a list of at most {PREVIOUS_MAX}: [{{ \"secret\": \"…\", \"expires\": Unix seconds }}]"
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
                    let message = "must be the time until which it signs, in Unix seconds";
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
        Some(_) => Err("must be a text".to_owned()),
        None => Err("is missing".to_owned()),
    }
}

/// Where to, taken apart.
struct Place {
    uri: Uri,
    host: String,
    authority: HeaderValue,
    basic: Option<HeaderValue>,
}

fn place(given: Option<&Value>, guard: &Guard) -> Result<Place, String> {
    let text = match given {
        Some(Value::String(text)) if text.len() <= URL_MAX => text,
        Some(Value::String(_)) => return Err(format!("is longer than {URL_MAX} characters")),
        Some(_) => return Err("must be a text".to_owned()),
        None => return Err("is missing: https://host/path".to_owned()),
    };
    let mut url =
        Url::parse(text).map_err(|error| format!("is not a URL ({error}): https://host/path"))?;
    match url.scheme() {
        "https" => {}
        "http" if guard.development => {}
        "http" => return Err("must be https; plain http is for `development` only".to_owned()),
        _ => return Err("must begin with https://".to_owned()),
    }
    refuse_special(&url, guard)?;
    let basic = basic_auth(&url);
    // Both are always possible on an http(s) URL.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    let host = url.host_str().unwrap_or_default().to_owned();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    let authority = HeaderValue::try_from(authority)
        .map_err(|_| "has a host name that HTTP cannot carry".to_owned())?;
    let uri = Uri::try_from(String::from(url))
        .map_err(|_| "has parts that HTTP cannot carry".to_owned())?;
    Ok(Place { uri, host, authority, basic })
}

/// Refuses a host that is an address which the guard does not let pass, however it is spelled: the
/// URL's parser has already turned `0x7f.1` and `2130706433` into `127.0.0.1`.
fn refuse_special(url: &Url, guard: &Guard) -> Result<(), String> {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip),
        Some(Host::Ipv6(ip)) => ip.into(),
        Some(Host::Domain(name)) if is_localhost(name) => Ipv4Addr::LOCALHOST.into(),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err("has no host: https://host/path".to_owned()),
    };
    guard.check(ip).map_err(|blocked| {
        format!(
            "points to {}, which webhooks are not sent to; the operator can allow its network",
            blocked.kind
        )
    })
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn basic_auth(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests;
