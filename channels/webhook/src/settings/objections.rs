//! What new settings must not have, although destinations that were stored with it still work:
//! values that receivers, or the libraries that they verify with, read in a different way.

use std::collections::HashMap;

use fanfare_contract::FieldError;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::target::MASK;
use crate::secret::is_bare_base64;

/// Maximum length of a domain name and of its labels, in bytes (RFC 1035, section 2.3.4).
const DOMAIN_MAX: usize = 253;
const LABEL_MAX: usize = 63;

const BARE_BASE64: &str = "is base64 without the prefix `whsec_`; the libraries for Standard Webhooks \
     would decode it, and signatures would not match: write `whsec_` before it, or choose a text with \
     a character that base64 does not have, such as `-`";

/// Everything to object to in the fields that differ from `before`.
pub(crate) fn objections(
    before: Option<&Map<String, Value>>,
    settings: &Map<String, Value>,
) -> Vec<FieldError> {
    let changed = |field: &str| {
        let (old, new) = (before.and_then(|before| before.get(field)), settings.get(field));
        new.filter(|_| old != new)
    };
    let mut errors = Vec::new();
    if let Some(Value::Object(headers)) = changed("headers") {
        let old = before.and_then(|before| before.get("headers")).and_then(Value::as_object);
        duplicate_names(headers, &mut errors);
        other_than_ascii(old, headers, &mut errors);
    }
    if changed("secret").and_then(Value::as_str).is_some_and(is_bare_base64) {
        errors.push(FieldError::new("secret", BARE_BASE64));
    }
    previous_secrets(before, settings, &mut errors);
    if let Some(Err(message)) = changed("url").and_then(Value::as_str).map(check_url) {
        errors.push(FieldError::new("url", message));
    }
    errors
}

/// Header names are case-insensitive (RFC 9110, section 5.1), so only one of two would be sent.
fn duplicate_names(headers: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for name in headers.keys() {
        if let Some(first) = seen.insert(name.to_ascii_lowercase(), name) {
            let message = format!(
                "is the same header as `{first}`, because the case of a header's name does not \
                 matter; remove one of them"
            );
            errors.push(FieldError::new(format!("headers.{name}"), message));
        }
    }
}

/// Receivers decode other bytes as Latin-1, as UTF-8, or not at all (RFC 9110, section 5.5).
fn other_than_ascii(
    old: Option<&Map<String, Value>>,
    headers: &Map<String, Value>,
    errors: &mut Vec<FieldError>,
) {
    let is_bad = |value: &str| value.chars().any(|c| !matches!(c, ' '..='~' | '\t'));
    for (name, value) in headers {
        let is_new = old.and_then(|old| old.get(name)) != Some(value);
        // Control characters are refused when the settings are read, in all settings.
        if is_new && value.as_str().is_some_and(|text| !text.is_ascii() && is_bad(text)) {
            let message = "has characters that are not ASCII, which receivers read in different \
                           ways; use visible ASCII, for example percent-encoded or base64";
            errors.push(FieldError::new(format!("headers.{name}"), message));
        }
    }
}

fn previous_secrets(
    before: Option<&Map<String, Value>>,
    settings: &Map<String, Value>,
    errors: &mut Vec<FieldError>,
) {
    // A secret that was the current one, or was listed before, may stay until it expires.
    let text = |one: &Value| one.get("secret").and_then(Value::as_str).map(str::to_owned);
    let list = |settings: &Map<String, Value>| -> Vec<Option<String>> {
        let list = settings.get("previous_secrets").and_then(Value::as_array);
        list.into_iter().flatten().map(text).collect()
    };
    let mut known = before.map(list).unwrap_or_default();
    known.push(before.and_then(|before| before.get("secret")?.as_str().map(str::to_owned)));
    for (nth, secret) in list(settings).into_iter().enumerate() {
        let is_new = !known.contains(&secret);
        if is_new && secret.as_deref().is_some_and(is_bare_base64) {
            let field = format!("previous_secrets.{nth}.secret");
            errors.push(FieldError::new(field, BARE_BASE64));
        }
    }
}

/// A URL that does not parse has its error elsewhere.
fn check_url(text: &str) -> Result<(), String> {
    let Ok(url) = Url::parse(text) else { return Ok(()) };
    if let Some(Host::Domain(name)) = url.host()
        && !is_domain(name)
    {
        return Err("has a host that is neither a domain name nor an IP address; use a name of \
                    letters, digits and hyphens, such as https://hooks.example.com/path"
            .to_owned());
    }
    let parts = [url.password(), url.query(), url.fragment()];
    if url.username() == MASK || parts.contains(&Some(MASK)) {
        return Err(format!(
            "has a masked part (`{MASK}`) and differs from the stored URL; write the whole URL, or \
             send it back exactly as it was shown to keep the stored one"
        ));
    }
    Ok(())
}

/// A domain name (RFC 1123, section 2.1). The URL parser has already turned an international name
/// into ASCII and an address in any spelling into an address. Underscores are allowed inside a
/// label, because container networks have such names.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with(['-', '_'])
            && !label.ends_with(['-', '_'])
    };
    // A name may end with one dot, which stands for the root.
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= DOMAIN_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("not an object: {value}") };
        object
    }

    fn fields(before: Option<Value>, settings: Value) -> Vec<String> {
        let (before, settings) = (before.map(object), object(settings));
        let found = objections(before.as_ref(), &settings);
        found.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn header_names_that_differ_only_in_case_are_refused() {
        let headers = json!({"X-Team": "a", "x-team": "b", "X-Other": "c", "X-TEAM": "d"});
        let found = objections(None, &object(json!({ "headers": headers })));
        let fields: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["headers.x-team", "headers.X-TEAM"]);
        assert!(found[0].message.contains("same header as `X-Team`"), "{}", found[0].message);
    }

    #[test]
    fn header_values_with_other_characters_than_ascii_are_refused() {
        for bad in ["é", "\u{7f}é", "a\u{a0}b", "日本"] {
            let settings = json!({"headers": {"X-A": "fine ~ value\tx", "X-B": bad}});
            assert_eq!(fields(None, settings), ["headers.X-B"], "{bad}");
        }
    }

    #[test]
    fn a_secret_that_libraries_would_decode_is_refused() {
        let bare = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let previous = json!([{"secret": "an-older-secret-of-mine"}, {"secret": bare}]);
        let settings = json!({"secret": bare, "previous_secrets": previous});
        assert_eq!(fields(None, settings), ["secret", "previous_secrets.1.secret"]);
        let whole = format!("whsec_{bare}");
        assert!(fields(None, json!({"secret": whole})).is_empty(), "the remedy works");
    }

    #[test]
    fn what_was_stored_before_stays_until_it_is_changed() {
        let bare = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let headers = json!({"X-A": "é", "X-B": "1", "x-b": "2"});
        let before = json!({"secret": bare, "headers": headers, "url": "https://a..b/"});
        let mut after = before.clone();
        after["rate"] = "5/s".into();
        assert!(fields(Some(before.clone()), after).is_empty());
        // The secret that a rotation retires.
        let retired = json!({"secret": "whsec_x", "previous_secrets": [{"secret": bare}]});
        assert!(fields(Some(before.clone()), retired).is_empty());
        let changed = json!({"headers": {"X-A": "é", "X-B": "ü"}});
        assert_eq!(fields(Some(before), changed), ["headers.X-B"]);
    }

    #[test]
    fn a_host_is_a_domain_name_or_an_address() {
        for host in [
            "127.0.0.1..",
            "*",
            "*.example.com",
            ".",
            "...",
            ".example.com",
            "a..example.com",
            "127.0.0.1;example.com",
            "example.com;",
            "a,b",
            "a&b.example.com",
            "a'b",
            "a(b)",
            "-a.example.com",
            "a-.example.com",
            "_.example.com",
            "x$y",
            &format!("{}.example.com", "a".repeat(64)),
            &"a.".repeat(130),
        ] {
            // The URL parser refuses some of them itself.
            let url = format!("https://{host}/hook");
            assert!(Url::parse(&url).is_err() || check_url(&url).is_err(), "{host}");
        }
        for host in [
            "example.com",
            "example.com.",
            "a-b.example.com",
            "Bücher.example",
            "1.2.3.example",
            "localhost",
            "kyc_api",
            "1.1.1.1",
            "[2606:4700::1111]",
        ] {
            assert_eq!(check_url(&format!("https://{host}:8443/hook")), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_masked_part_is_not_stored() {
        for url in [
            "https://h.example/other?********",
            "https://********@h.example/other",
            "https://u:********@h.example/",
            "https://h.example/#********",
        ] {
            assert!(check_url(url).unwrap_err().contains("masked part"), "{url}");
        }
        assert_eq!(check_url("https://h.example/?a=********x"), Ok(()));
    }
}
