//! A person, identified by a value at one of several paths of an event.

use std::fmt;

use fanfare_contract::Json;
use fanfare_store::SearchKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Longest value and longest path, in bytes.
const MAX_LENGTH: usize = 1_024;
/// Most paths.
const MAX_PATHS: usize = 32;

/// The person that events are about.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    value: String,
    paths: Vec<String>,
}

impl fmt::Debug for Subject {
    // The value is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Subject {
    /// Identifies a person by a value at any of the dotted `paths`, such as `data.user_id`. An
    /// error names the wrong field (`subject` or `paths`) and what is wrong with it.
    pub fn new(value: &str, paths: &[String]) -> Result<Self, (&'static str, String)> {
        if value.is_empty() || value.len() > MAX_LENGTH {
            return Err(("subject", format!("must have 1 to {MAX_LENGTH} bytes")));
        }
        if paths.is_empty() || paths.len() > MAX_PATHS {
            let message = format!(
                "must contain 1 to {MAX_PATHS} paths; pass them, or set subject_paths in [privacy]"
            );
            return Err(("paths", message));
        }
        let is_path = |path: &String| {
            path.len() <= MAX_LENGTH && path.split('.').all(|name| !name.is_empty())
        };
        if !paths.iter().all(is_path) {
            let message =
                "must be names joined by dots, from the top of the event, such as data.user_id";
            return Err(("paths", message.to_owned()));
        }
        Ok(Self { value: value.to_owned(), paths: paths.to_vec() })
    }

    /// The value, and the paths where it may be.
    pub(super) fn parts(&self) -> (&str, &[String]) {
        (&self.value, &self.paths)
    }

    /// The paths.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// What finds the person's events in an index.
    pub(super) fn keys(&self) -> Vec<SearchKey> {
        let key = |path: &String| SearchKey { path: path.clone(), value: self.value.clone() };
        self.paths.iter().map(key).collect()
    }

    /// Whether an event is about the person. Numbers are compared as they are written, booleans as
    /// text, and any
    /// element of a list may match.
    pub fn is_in(&self, envelope: &Json) -> bool {
        self.paths.iter().any(|path| {
            let names: Vec<&str> = path.split('.').collect();
            self.is_at(envelope, &names)
        })
    }

    fn is_at(&self, value: &Json, names: &[&str]) -> bool {
        match (value, names) {
            (Json::List(items), _) => items.iter().any(|item| self.is_at(item, names)),
            (Json::Object(fields), [name, rest @ ..]) => {
                fields.get(name).is_some_and(|value| self.is_at(value, rest))
            }
            (Json::Text(text) | Json::Number(text), []) => **text == self.value,
            (Json::Bool(yes), []) => yes.to_string() == self.value,
            _ => false,
        }
    }

    /// Whether a text that is not a valid event contains the value, either as it is or encoded in
    /// JSON.
    pub fn is_in_text(&self, text: &str) -> bool {
        let quoted = Value::from(self.value.as_str()).to_string();
        text.contains(&self.value) || text.contains(quoted.trim_matches('"'))
    }

    /// A salted hash for the audit trail. A person who knows the value can verify it, but it cannot
    /// be read from the hash. `sha256` is the hash of the salt's text followed by the value.
    pub fn hashed(&self) -> Value {
        let salt = hex::encode(rand::random::<[u8; 16]>());
        let mut hash = Sha256::new();
        hash.update(salt.as_bytes());
        hash.update(self.value.as_bytes());
        json!({"salt": salt, "sha256": hex::encode(hash.finalize()), "paths": self.paths})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(value: &str, paths: &[&str]) -> Subject {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        Subject::new(value, &paths).unwrap()
    }

    fn is_in(subject: &Subject, envelope: &str) -> bool {
        subject.is_in(&Json::parse(envelope.as_bytes()).unwrap())
    }

    #[test]
    fn a_subject_with_a_long_number_is_that_person_alone() {
        let long = subject("12345678901234567890123", &["data.n"]);
        assert!(is_in(&long, r#"{"data": {"n": 12345678901234567890123}}"#));
        assert!(!is_in(&long, r#"{"data": {"n": 12345678901234567890124}}"#));
    }

    #[test]
    fn a_subject_is_found_at_its_paths_and_nowhere_else() {
        let user = subject("u7", &["data.user_id", "data.people.id"]);
        for (data, expected) in [
            (json!({"user_id": "u7"}), true),
            (json!({"user_id": "u77"}), false),
            (json!({"user_id": ["u1", "u7"]}), true),
            (json!({"people": [{"id": "u1"}, {"id": "u7"}]}), true),
            (json!({"people": {"id": {"id": "u7"}}}), false),
            (json!({"other": "u7"}), false),
            (json!("u7"), false),
        ] {
            let envelope = json!({"id": "evt_1", "data": data});
            assert_eq!(is_in(&user, &envelope.to_string()), expected, "{data}");
        }
        let number = |value| subject(value, &["data.n"]);
        assert!(is_in(&number("17"), r#"{"data": {"n": 17}}"#));
        assert!(is_in(&number("true"), r#"{"data": {"n": true}}"#));
        assert!(!is_in(&number("null"), r#"{"data": {"n": null}}"#));
    }

    #[test]
    fn a_subject_needs_a_value_and_valid_paths() {
        let path = vec!["data.user_id".to_owned()];
        assert_eq!(Subject::new("", &path).unwrap_err().0, "subject");
        assert_eq!(Subject::new(&"x".repeat(1_025), &path).unwrap_err().0, "subject");
        for paths in
            [vec![], vec![String::new()], vec!["data..x".to_owned()], vec!["a".to_owned(); 33]]
        {
            assert_eq!(Subject::new("x", &paths).unwrap_err().0, "paths", "{paths:?}");
        }
    }

    #[test]
    fn the_audit_trail_has_only_a_salted_hash_of_the_subject() {
        let (one, other) = (
            subject("ann@x.example", &["data.e"]).hashed(),
            subject("ann@x.example", &["data.e"]).hashed(),
        );
        assert!(!one.to_string().contains("ann"), "{one}");
        assert_ne!(one["sha256"], other["sha256"], "each hash has its own salt");
        let salted = format!("{}ann@x.example", one["salt"].as_str().unwrap());
        assert_eq!(one["sha256"], hex::encode(Sha256::digest(salted)));
        assert!(!format!("{:?}", subject("ann@x.example", &["data.e"])).contains("ann"));
    }
}
