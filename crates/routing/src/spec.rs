//! A route as it is written: in a tenant's TOML file, or as JSON in the API.
//!
//! TOML has dates, `nan`, and `inf`, which JSON does not have. Plain conversion would silently turn
//! them into an object or null. Here a filter keeps them until they are refused with their place.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// The key under which the `toml` crate passes a date or time.
const TOML_DATETIME: &str = "$__toml_private_datetime";
/// The key under which a float that JSON cannot express is kept until it is refused.
const NO_JSON_FLOAT: &str = "$__float_without_json_form";

/// One `[[route]]` of a tenant file.
///
/// ```toml
/// [[route]]
/// name = "risky sessions"                # optional, for people
/// events = ["kyc.session.processed"]     # `*`: one word, `**`: one or more words
/// except = ["kyc.session.created"]       # optional: types that do not match
/// when = { data = { risk_score = [{ numeric = [">=", 70] }] } }   # optional: EventBridge pattern
/// to = ["support"]                       # ids of destinations
/// enabled = true                         # the default
/// ```
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// The id in the API. If it is `None`, the API derives an id from the route's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Event-type patterns. At least one must match.
    pub events: Vec<String>,
    /// Event-type patterns. None may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// An EventBridge event pattern on the whole envelope. `None` matches every event.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filter")]
    pub when: Option<Value>,
    /// Ids of the tenant's destinations.
    pub to: Vec<String>,
    /// Whether the route is on. A disabled route is checked, but matches no event.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn filter<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Ok(Option::<Strict>::deserialize(from)?.map(|strict| strict.0))
}

/// What is wrong with a value that TOML can express and JSON cannot, or `None`.
pub(super) fn not_json(value: &Value) -> Option<String> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (key, text) = map.iter().next()?;
    let text = text.as_str().unwrap_or_default();
    match key.as_str() {
        TOML_DATETIME => Some(format!(
            "is a TOML date, which JSON does not have; write it as text, as events have it: \"{text}\""
        )),
        NO_JSON_FLOAT => Some(format!("`{text}` is not a JSON number; write a finite number")),
        _ => None,
    }
}

/// A JSON value that keeps what plain conversion would lose. Duplicate keys are an error.
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
                    "`{key}` is present twice; put all its alternatives into one list"
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
