//! Numbers of a filter that TOML and most JSON libraries cannot hold.
//!
//! A route is stored, merged, sealed and shown as a `serde_json::Value`, which turns `1e-400` into 0
//! and `20000000000000000001` into `2e19`. Such a number is kept as `{"$number": "1e-400"}`. People
//! can write it in the same way, also in TOML, where whole numbers have 64 bits.

use std::fmt;

use fanfare_contract::Json;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

use super::pattern::Number;

/// The key of the only field of an object that stands for a number.
const KEY: &str = "$number";

/// The text of a number as an object.
fn written(value: &Value) -> Option<&Value> {
    value.as_object().filter(|map| map.len() == 1)?.get(KEY)
}

/// Whether the value is a number, in either form.
pub(super) fn is_number(value: &Value) -> bool {
    value.is_number() || written(value).is_some()
}

/// The number, in either form.
pub(super) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(Number::new(&number.to_string())),
        other => {
            let text = written(other)?.as_str()?;
            let is_number = matches!(Json::parse(text.as_bytes()), Some(Json::Number(_)));
            (is_number && text.trim().len() == text.len()).then(|| Number::new(text))
        }
    }
}

/// What is wrong with a number as an object, or `None`.
pub(super) fn fault(value: &Value) -> Option<String> {
    let text = written(value)?;
    number(value).is_none().then(|| {
        format!(
            "{{ \"{KEY}\" = {text} }} is not a number; write the number as text, such as \
             {{ \"{KEY}\" = \"300.00000000000001\" }}"
        )
    })
}

/// Reads a filter from JSON text and keeps all digits of its numbers.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Exact>(text).map(|exact| exact.0)
}

/// Deserializes an optional filter from JSON text and keeps all digits of its numbers. For
/// `#[serde(deserialize_with)]`.
pub fn deserialize<'de, D>(from: D) -> Result<Option<Map<String, Value>>, D::Error>
where
    D: Deserializer<'de>,
{
    match Option::<Exact>::deserialize(from)? {
        None | Some(Exact(Value::Null)) => Ok(None),
        Some(Exact(Value::Object(map))) => Ok(Some(map)),
        Some(Exact(other)) => Err(D::Error::custom(NoObject(other))),
    }
}

struct NoObject(Value);

impl fmt::Display for NoObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`when` is {}, but it must be an object in the shape of the event", self.0)
    }
}

struct Exact(Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Json::deserialize(from).map(|json| Self(kept(&json)))
    }
}

/// The value, with numbers that would lose digits as objects.
fn kept(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Text(text) => Value::String(text.to_string()),
        Json::List(items) => items.iter().map(kept).collect(),
        Json::Object(object) => {
            let fields = object.iter().map(|(key, value)| (key.to_owned(), kept(value)));
            Value::Object(fields.collect())
        }
        Json::Number(text) => {
            let read = serde_json::from_str::<serde_json::Number>(text).ok();
            match read.filter(|read| Number::new(&read.to_string()) == Number::new(text)) {
                Some(same) => Value::Number(same),
                None => Value::Object(Map::from_iter([(KEY.to_owned(), text.to_string().into())])),
            }
        }
    }
}
