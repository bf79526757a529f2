//! Links into the tenant's own systems, for buttons: addresses with placeholders for the event's
//! fields.
//!
//! An example is `session = "https://backoffice.example/sessions/{data.session_id}"`. If an event
//! does not have the field, its message has no such link.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::Url;

/// Links by name. The built-in templates use `dashboard`, `session`, `watchlist`, `job`, `delivery`,
/// and `destination`.
#[derive(Clone, Debug, Default)]
pub struct Links(BTreeMap<String, Vec<Piece>>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Field(String),
}

impl Links {
    /// Parses addresses by name. Returns all errors at once, each with the link's name.
    pub fn parse(addresses: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let mut links = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, address) in addresses {
            match pieces(address) {
                Ok(pieces) => drop(links.insert(name.clone(), pieces)),
                Err(message) => errors.push(format!("link `{name}`: {message}")),
            }
        }
        if errors.is_empty() { Ok(Self(links)) } else { Err(errors) }
    }

    /// These links, plus the links of `others` with other names.
    pub(super) fn or(&self, others: &Self) -> Self {
        let mut all = others.0.clone();
        all.extend(self.0.clone());
        Self(all)
    }

    /// The links of one event, with its fields in place.
    pub(super) fn fill(&self, context: &Map<String, Value>) -> Map<String, Value> {
        let filled = |pieces: &Vec<Piece>| {
            let mut address = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => address.push_str(text),
                    Piece::Field(path) => push_encoded(&mut address, &field(context, path)?)?,
                }
            }
            Some(Value::from(address))
        };
        self.0.iter().filter_map(|(name, pieces)| Some((name.clone(), filled(pieces)?))).collect()
    }
}

fn pieces(address: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = address;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((path, after)) = after.split_once('}') else {
            return Err("a `{` is not closed; add `}`".to_owned());
        };
        plain.push_str(before);
        if plain.matches('/').count() < 3 {
            return Err(
                "a field is allowed only after the host name; move it behind the host's `/`"
                    .to_owned(),
            );
        }
        plain.push('x');
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Field(path.trim().to_owned()));
        rest = after;
    }
    plain.push_str(rest);
    pieces.push(Piece::Text(rest.to_owned()));
    let url = Url::parse(&plain).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must start with https:// or http:// and have a host".to_owned());
    }
    Ok(pieces)
}

fn field(context: &Map<String, Value>, path: &str) -> Option<String> {
    let mut keys = path.split('.');
    let first = context.get(keys.next()?)?;
    match keys.try_fold(first, |value, key| value.get(key))? {
        Value::String(text) if !text.is_empty() && text.len() <= 512 => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Appends `value`, percent-encoded except for the unreserved characters of RFC 3986. Returns `None`
/// if it has dots only, because `..` would lead out of the path.
fn push_encoded(address: &mut String, value: &str) -> Option<()> {
    if value.bytes().all(|byte| byte == b'.') {
        return None;
    }
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            address.push('%');
            address.push(char::from(HEX[usize::from(byte >> 4)]));
            address.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn links(address: &str) -> Result<Links, Vec<String>> {
        Links::parse(&BTreeMap::from([("session".to_owned(), address.to_owned())]))
    }

    #[test]
    fn a_field_changes_only_its_own_part_of_the_address() {
        let links = links("https://x.example/s/{data.id}?a=b").unwrap();
        let fill = |id: Value| {
            let context = json!({ "data": { "id": id } });
            links.fill(context.as_object().unwrap()).get("session").cloned()
        };
        assert_eq!(
            fill(json!("a/b?c#d é")),
            Some(json!("https://x.example/s/a%2Fb%3Fc%23d%20%C3%A9?a=b"))
        );
        assert_eq!(fill(json!("..")), None);
        assert_eq!(fill(json!({})), None);
    }

    #[test]
    fn only_web_addresses_with_a_fixed_host_are_links() {
        assert!(links("javascript:alert(1)").is_err());
        assert!(links("https://{data.host}/x").is_err());
        assert!(links("https://x.example/{data.id").is_err());
    }
}
