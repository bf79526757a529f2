//! The URL of a webhook: read and checked for attempts, and masked when it is shown.
//!
//! The user, the password, the query and the fragment of a URL are secrets: receivers put tokens
//! there. The scheme, host, port and path are shown.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::{Host, Url};

use crate::guard::Guard;

/// Maximum length of a URL, in bytes.
const URL_MAX: usize = 2048;
/// What is shown in place of each secret part of a URL.
pub(super) const MASK: &str = "********";

/// The parts of a URL.
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) host: String,
    pub(super) authority: HeaderValue,
    pub(super) basic: Option<HeaderValue>,
}

/// Reads and checks the setting.
pub(super) fn read(given: Option<&Value>, guard: &Guard) -> Result<Target, String> {
    let text = match given {
        Some(Value::String(text)) if text.len() <= URL_MAX => text,
        Some(Value::String(_)) => return Err(format!("is longer than {URL_MAX} bytes")),
        Some(_) => return Err("must be a string".to_owned()),
        None => return Err("is required, for example https://example.com/hook".to_owned()),
    };
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.trim().contains(char::is_whitespace) {
        return Err("has a space in the host; use https://host/path".to_owned());
    }
    let mut url = Url::parse(text)
        .map_err(|error| format!("is not a URL ({error}); use https://host/path"))?;
    match url.scheme() {
        "https" => {}
        "http" if guard.development => {}
        "http" => return Err("must use https; http is allowed in development mode only".to_owned()),
        _ => return Err("must start with https://".to_owned()),
    }
    refuse_special(&url, guard)?;
    let basic = basic_auth(&url);
    // Neither can fail on an http or https URL.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    let host = url.host_str().unwrap_or_default().to_owned();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    let authority =
        HeaderValue::try_from(authority).map_err(|_| "has an invalid host name".to_owned())?;
    let uri = Uri::try_from(String::from(url))
        .map_err(|_| "has parts that are not valid in an HTTP request".to_owned())?;
    Ok(Target { uri, host, authority, basic })
}

/// The URL as it is shown. A text that is no URL is masked as a whole, because any part of it can
/// be a secret.
pub(super) fn masked(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !has_user && url.query().is_none() && url.fragment().is_none() {
        return text.to_owned();
    }
    if has_user && (url.set_username(MASK).is_err() || url.set_password(None).is_err()) {
        return MASK.to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    if url.fragment().is_some() {
        url.set_fragment(Some(MASK));
    }
    url.into()
}

/// Refuses a host that is a special address. The spelling does not matter: the URL parser has
/// turned `0x7f.1` and `2130706433` into `127.0.0.1`.
fn refuse_special(url: &Url, guard: &Guard) -> Result<(), String> {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip),
        Some(Host::Ipv6(ip)) => ip.into(),
        Some(Host::Domain(name)) if is_localhost(name) => Ipv4Addr::LOCALHOST.into(),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err("has no host; use https://host/path".to_owned()),
    };
    guard.check(ip).map_err(|blocked| {
        format!(
            "points to {}, which webhooks must not reach; an operator can allow its network",
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
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_url_that_can_be_a_secret_is_masked() {
        for (url, shown) in [
            ("https://h.example/x?token=T", "https://h.example/x?********"),
            ("https://h.example/x?", "https://h.example/x?********"),
            ("https://sk_live_x@h.example/", "https://********@h.example/"),
            (
                "https://u:p@h.example:8443/a/b?c=d&e#f",
                "https://********@h.example:8443/a/b?********#********",
            ),
            ("https://:p@h.example/", "https://********@h.example/"),
            ("https://h.example/x#token", "https://h.example/x#********"),
            ("https://h.example/x", "https://h.example/x"),
            ("HTTPS://H.example", "HTTPS://H.example"),
            ("h.example/x?token=T", "********"),
        ] {
            assert_eq!(masked(url), shown);
            assert_eq!(masked(shown), shown, "a mask is not masked again");
        }
    }
}
