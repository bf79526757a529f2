//! What new settings must not have, although destinations that were stored with it still work.

use std::collections::HashMap;

use fanfare_contract::FieldError;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::target::MASK;

/// Maximum length of a domain name and of its labels, in bytes (RFC 1035, section 2.3.4).
const DOMAIN_MAX: usize = 253;
const LABEL_MAX: usize = 63;

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
        duplicate_names(headers, &mut errors);
    }
    if let Some(Err(message)) = changed("url").and_then(Value::as_str).map(check_url) {
        errors.push(FieldError::new("url", message));
    }
    errors
}

/// The names of headers ignore case, so one of the two values would be lost without a word.
fn duplicate_names(headers: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let mut seen: HashMap<String, &String> = HashMap::new();
    for name in headers.keys() {
        if let Some(first) = seen.insert(name.to_ascii_lowercase(), name) {
            let message = format!("is the same header as `{first}`; remove one of them");
            errors.push(FieldError::new(format!("headers.{name}"), message));
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

    #[test]
    fn a_header_is_given_once_whatever_its_case() {
        let headers = json!({"X-Api-Key": "a", "X-Other": "b", "x-api-key": "c"});
        let settings = Map::from_iter([("headers".to_owned(), headers)]);
        let errors = objections(None, &settings);
        let found: Vec<_> = errors.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(found, ["headers.x-api-key"]);
        assert!(errors[0].message.contains("the same header as `X-Api-Key`"), "{errors:?}");
        assert!(objections(Some(&settings), &settings).is_empty(), "what is stored stays");
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
