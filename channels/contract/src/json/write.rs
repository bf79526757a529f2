//! From [`Json`] to text.

use std::fmt::{self, Write as _};

use serde::ser::{Error, Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Json;

impl Json {
    /// The value for a message or a listing: as [`serde_json::Value`], where a number that would be
    /// written differently is text. So it is shown as the producer wrote it.
    pub fn shown(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Number(number) => shown_number(number),
            Self::Text(text) => Value::String(text.to_string()),
            Self::List(items) => items.iter().map(Self::shown).collect(),
            Self::Object(object) => {
                object.iter().map(|(key, value)| (key.to_owned(), value.shown())).collect()
            }
        }
    }
}

/// A number for a message or a listing: a number, or text if `serde_json` would write the number
/// differently.
pub fn shown_number(written: &str) -> Value {
    match serde_json::from_str::<serde_json::Number>(written) {
        Ok(number) if number.to_string() == written => Value::Number(number),
        _ => Value::String(written.to_owned()),
    }
}

/// Compact JSON. Numbers are as they were written.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Number(number) => f.write_str(number),
            Self::Text(text) => quoted(f, text),
            Self::List(items) => {
                f.write_char('[')?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { "," })?;
                }
                f.write_char(']')
            }
            Self::Object(object) => {
                f.write_char('{')?;
                for (at, (key, value)) in object.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    quoted(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// Into JSON text, compact or pretty. Into other formats, numbers become what `serde_json` makes of
/// them.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(*truth),
            Self::Number(number) => {
                let raw: &RawValue = serde_json::from_str(number).map_err(S::Error::custom)?;
                raw.serialize(to)
            }
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Object(object) => {
                let mut map = to.serialize_map(Some(object.len()))?;
                for (key, value) in object.iter() {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
