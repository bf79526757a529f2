//! Search keys: values of events at a few configured paths, found through an index.
//!
//! The index has a hash of the path and the value, not the value itself. What the index finds is
//! therefore compared with the event. Two different values with the same hash cost time and nothing
//! else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Result, StoreError};

/// Most paths.
const MOST_PATHS: usize = 32;
/// Longest path, in bytes.
const LONGEST_PATH: usize = 256;
/// Most keys of one event: a list has one for each element.
const MOST_KEYS: usize = 32;
/// The path of [`SearchKey::overflow`]. It is no path of an event: names are not empty.
const OVERFLOW: &str = ".";
/// Characters of a UUID, and of its first part.
const UUID: usize = 36;
const FIRST_PART: usize = 8;
/// Bits of a hash.
const BITS: u32 = 48;

/// The paths of events whose values are indexed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPaths {
    paths: Vec<Arc<str>>,
    root: Node,
}

/// Names below a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    below: BTreeMap<Arc<str>, Node>,
    /// The path that ends here.
    path: Option<Arc<str>>,
}

/// A path and the value that an event must have there.
#[derive(Clone, PartialEq, Eq)]
pub struct SearchKey {
    /// Such as `data.session_id`.
    pub path: String,
    /// Numbers as the event writes them; `true` or `false`.
    pub value: String,
}

impl SearchKey {
    /// Finds the events that have more values than are indexed of one event.
    pub fn overflow() -> Self {
        Self { path: OVERFLOW.to_owned(), value: String::new() }
    }

    /// Whether a value is what is looked for. A UUID is also found by its first part.
    fn is(&self, value: &str) -> bool {
        self.value == value || first_part(value) == Some(&*self.value)
    }
}

/// The first part of a UUID, which people use as a short form.
fn first_part(value: &str) -> Option<&str> {
    let is_digit = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let is_uuid = value.len() == UUID && value.bytes().enumerate().all(is_digit);
    is_uuid.then(|| &value[..FIRST_PART])
}

impl fmt::Debug for SearchKey {
    // The value may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchKey").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SearchPaths {
    /// Paths as texts, such as `data.session_id`. The error says which one is wrong.
    pub fn new(paths: &[String]) -> Result<Self, String> {
        if paths.len() > MOST_PATHS {
            return Err(format!("has {} paths; the limit is {MOST_PATHS}", paths.len()));
        }
        let mut all = Self::default();
        for path in paths {
            if path.len() > LONGEST_PATH || path.split('.').any(str::is_empty) {
                return Err(format!(
                    "has `{path}`; a path is names joined by dots, such as data.session_id"
                ));
            }
            let path: Arc<str> = path.as_str().into();
            let names = path.split('.');
            let end =
                names.fold(&mut all.root, |node, name| node.below.entry(name.into()).or_default());
            if end.path.replace(Arc::clone(&path)).is_none() {
                all.paths.push(path);
            }
        }
        Ok(all)
    }

    /// The paths.
    pub fn paths(&self) -> &[Arc<str>] {
        &self.paths
    }

    /// The hashes of an event's values, each once. Beyond the most, the last one says so.
    pub(crate) fn hashes(&self, body: &[u8]) -> Vec<u64> {
        let mut hashes = Vec::new();
        self.each(body, &mut |path, value| {
            let hash =
                if hashes.len() < MOST_KEYS { hash(path, value) } else { hash(OVERFLOW, "") };
            if hashes.len() <= MOST_KEYS && !hashes.contains(&hash) {
                hashes.push(hash);
            }
        });
        hashes
    }

    /// The hash to look for. An error if the path is not indexed.
    pub(crate) fn hash(&self, key: &SearchKey) -> Result<u64> {
        if key.path == OVERFLOW || self.paths.iter().any(|path| **path == *key.path) {
            return Ok(hash(&key.path, &key.value));
        }
        let known = self.paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(StoreError::NotIndexed(format!(
            "the path `{}` is not indexed; indexed paths are {known} (`[search] paths` in the \
             settings)",
            key.path
        )))
    }

    /// Whether an event has all of the keys.
    pub(crate) fn has_all(&self, body: &[u8], keys: &[SearchKey]) -> bool {
        let overflow = || self.hashes(body).contains(&hash(OVERFLOW, ""));
        let mut found: Vec<bool> =
            keys.iter().map(|key| key.path == OVERFLOW && overflow()).collect();
        self.each(body, &mut |path, value| {
            for (key, found) in keys.iter().zip(&mut found) {
                *found |= key.path == path && key.is(value);
            }
        });
        found.into_iter().all(|found| found)
    }

    fn each(&self, body: &[u8], found: &mut dyn FnMut(&str, &str)) {
        if self.paths.is_empty() {
            return;
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        // Bodies were checked when they came in.
        let _ = Walk { node: &self.root, found }.deserialize(&mut json);
    }
}

/// FNV-1a: the same in every version. Its high bits are folded into the low ones. A UUID has the hash of
/// its first part, so that one key finds it by both.
fn hash(path: &str, value: &str) -> u64 {
    let value = first_part(value).unwrap_or(value);
    let bytes = path.bytes().chain([0]).chain(value.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fold(hash)
}

/// The hash of a value of one tenant, where an index has values of several.
pub(crate) fn of_tenant(hash: u64, tenant_id: i64) -> u64 {
    let mixed = hash ^ tenant_id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    fold(mixed.wrapping_mul(0xff51_afd7_ed55_8ccd))
}

fn fold(hash: u64) -> u64 {
    (hash ^ (hash >> BITS)) & ((1 << BITS) - 1)
}

/// Looks for the values below a node, and skips everything else.
struct Walk<'a> {
    node: &'a Node,
    found: &'a mut dyn FnMut(&str, &str),
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let Some(path) = &self.node.path else { return json.deserialize_any(self) };
        // A number keeps its digits only as raw text.
        let raw: &RawValue = serde::Deserialize::deserialize(json)?;
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'"') => {
                if let Ok(value) = serde_json::from_str::<Text<'_>>(text) {
                    (self.found)(path, &value.0);
                }
            }
            Some(b'{' | b'[') => {
                let mut inner = serde_json::Deserializer::from_str(text);
                // The text was parsed before.
                let _ = inner.deserialize_any(self);
            }
            Some(b'n') | None => {}
            Some(_) => (self.found)(path, text),
        }
        Ok(())
    }
}

/// A text that borrows where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match self.node.below.get(&*key) {
                Some(node) => map.next_value_seed(Walk { node, found: &mut *self.found })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Walk { node: self.node, found: &mut *self.found })?.is_some() {
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> SearchPaths {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        SearchPaths::new(&paths).unwrap()
    }

    fn found(paths: &SearchPaths, body: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        paths.each(body.as_bytes(), &mut |path, value| {
            found.push((path.to_owned(), value.to_owned()));
        });
        found
    }

    #[test]
    fn values_are_found_at_their_paths_and_nowhere_else() {
        let two = paths(&["data.session_id", "data.user.id"]);
        let body = r#"{"id":"e","session_id":"no","data":{"other":{"session_id":"no"},
            "session_id":"a\u0062c","user":[{"id":17},{"id":1.50},{"id":null},{"x":"no"}]}}"#;
        let expected =
            [("data.session_id", "abc"), ("data.user.id", "17"), ("data.user.id", "1.50")]
                .map(|(path, value)| (path.to_owned(), value.to_owned()));
        assert_eq!(found(&two, body), expected);
        assert_eq!(two.hashes(body.as_bytes()).len(), 3);
        let nested = paths(&["data.a", "data.a.b"]);
        let both = found(&nested, r#"{"data":{"a":[{"b":true},"x",[12345678901234567890123]]}}"#);
        let values: Vec<&str> = both.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["true", "x", "12345678901234567890123"]);
        assert!(found(&paths(&[]), body).is_empty());
    }

    #[test]
    fn the_keys_of_one_event_are_bounded_and_each_occurs_once() {
        let list: Vec<String> = (0..100).map(|n| format!("\"v{}\"", n / 2)).collect();
        let body = format!(r#"{{"data":{{"x":[{}]}}}}"#, list.join(","));
        let paths = paths(&["data.x"]);
        let hashes = paths.hashes(body.as_bytes());
        assert_eq!(hashes.len(), MOST_KEYS + 1);
        assert_eq!(hashes.last(), Some(&paths.hash(&SearchKey::overflow()).unwrap()));
        assert!(paths.has_all(body.as_bytes(), &[SearchKey::overflow()]));
    }

    #[test]
    fn all_keys_must_be_there() {
        let two = paths(&["data.a", "data.b"]);
        let key = |path: &str, value: &str| SearchKey { path: path.into(), value: value.into() };
        let body = br#"{"data":{"a":"1","b":["x","y"]}}"#;
        assert!(two.has_all(body, &[key("data.a", "1"), key("data.b", "y")]));
        assert!(!two.has_all(body, &[key("data.a", "1"), key("data.b", "z")]));
        let error = two.hash(&key("data.c", "1")).unwrap_err().to_string();
        assert!(error.contains("`data.c`") && error.contains("`data.a`, `data.b`"), "{error}");
    }

    #[test]
    fn a_path_is_names_joined_by_dots() {
        for wrong in ["", "a..b", ".a", "a."] {
            assert!(SearchPaths::new(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(SearchPaths::new(&vec!["a".to_owned(); MOST_PATHS + 1]).is_err());
    }

    #[test]
    fn a_uuid_is_also_found_by_its_first_part() {
        let paths = paths(&["data.s"]);
        let body = br#"{"data":{"s":"7f6c2a54-53f2-4d0e-9d5e-0f2b8d0f6c11"}}"#;
        for (value, expected) in [
            ("7f6c2a54-53f2-4d0e-9d5e-0f2b8d0f6c11", true),
            ("7f6c2a54", true),
            ("7f6c2a5", false),
            ("7f6c2a54-53f2", false),
        ] {
            let key = SearchKey { path: "data.s".to_owned(), value: value.to_owned() };
            let hash = paths.hash(&key).unwrap();
            assert_eq!(paths.hashes(body).contains(&hash), expected, "{value}");
            assert_eq!(paths.has_all(body, &[key]), expected, "{value}");
        }
        assert_eq!(first_part("7f6c2a54x53f2x4d0ex9d5ex0f2b8d0f6c11"), None);
    }

    /// Stored data depends on these values.
    #[test]
    fn hashes_never_change() {
        assert_eq!(hash("data.session_id", "7f6c2a54"), hash("data.session_id", "7f6c2a54"));
        assert_eq!(hash("", ""), {
            let zero = (0xcbf2_9ce4_8422_2325_u64).wrapping_mul(0x0100_0000_01b3);
            (zero ^ (zero >> 48)) & 0xffff_ffff_ffff
        });
        assert_ne!(hash("data.a", "b"), hash("data", "a\0b"));
        assert_ne!(of_tenant(7, 1), of_tenant(7, 2));
    }
}
