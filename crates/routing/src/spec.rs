//! A route as it is written: in a tenant's TOML file, or as JSON through the API.
//!
//! Filters are read with care for what TOML can say and JSON cannot: dates and `nan` would
//! otherwise turn silently into an object or into null, and match something nobody meant.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// The key under which the `toml` crate hands over a date or time.
const TOML_DATETIME: &str = "$__toml_private_datetime";
/// The key under which a float without a JSON form is kept until it can be refused by name.
const NO_JSON_FLOAT: &str = "$__float_without_json_form";

/// One `[[route]]` of a tenant file.
///
/// ```toml
/// [[route]]
/// name = "risky sessions"                # optional, for people
/// events = ["kyc.session.processed"]     # `*`: one segment, `**`: one or more
/// except = ["kyc.session.created"]       # types of these that are not meant, optional
/// when = { data = { risk_score = [{ numeric = [">=", 70] }] } }   # EventBridge pattern, optional
/// to = ["support"]                       # ids of destinations
/// enabled = true                         # the default
/// ```
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// By which the API knows it; made of what the route says when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Event-type patterns; one of them must match.
    pub events: Vec<String>,
    /// Event-type patterns, none of which may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// An EventBridge event pattern on the whole envelope; none matches every event.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filter")]
    pub when: Option<Value>,
    /// Ids of the tenant's destinations.
    pub to: Vec<String>,
    /// A disabled route is checked, but matches nothing.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Ok(Option::<Strict>::deserialize(from)?.map(|strict| strict.0))
}

/// Says what is wrong with a value that TOML can express and JSON cannot.
pub(super) fn foreign(value: &Value) -> Option<String> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (key, text) = map.iter().next()?;
    let text = text.as_str().unwrap_or_default();
    match key.as_str() {
        TOML_DATETIME => Some(format!(
            "a TOML date cannot be compared with JSON; write it as text, as the event has it: \"{text}\""
        )),
        NO_JSON_FLOAT => {
            Some(format!("`{text}` is no JSON number, so no event can have it; write a finite one"))
        }
        _ => None,
    }
}

/// A JSON value that keeps what plain conversion would lose, and refuses duplicate keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event pattern")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or_else(
            || {
                Value::Object(Map::from_iter([(
                    NO_JSON_FLOAT.to_owned(),
                    value.to_string().into(),
                )]))
            },
            Value::Number,
        ))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "`{key}` is there twice; put all its alternatives into one list"
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
