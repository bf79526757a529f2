//! Writes the event that a source's body becomes. `data` keeps every byte of what was sent.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::Refusal;

/// Longest event type, in bytes.
const MAX_TYPE: usize = 128;

/// The parts of an event.
#[derive(Default)]
pub(super) struct Envelope<'b> {
    pub(super) id: Option<String>,
    pub(super) kind: String,
    /// Unix seconds.
    pub(super) created: Option<i64>,
    /// Further fields of the event, as JSON.
    pub(super) more: Vec<(&'static str, String)>,
    /// The JSON of `data`.
    pub(super) data: &'b str,
}

impl Envelope<'_> {
    pub(super) fn write(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 256);
        text.push('{');
        if let Some(id) = &self.id {
            text.push_str("\"id\":");
            text.push_str(&Value::from(id.as_str()).to_string());
            text.push(',');
        }
        text.push_str("\"type\":");
        text.push_str(&Value::from(self.kind.as_str()).to_string());
        if let Some(created) = self.created {
            text.push_str(",\"created\":");
            text.push_str(&created.to_string());
        }
        for (name, json) in &self.more {
            text.push_str(",\"");
            text.push_str(name);
            text.push_str("\":");
            text.push_str(json);
        }
        text.push_str(",\"data\":");
        text.push_str(self.data);
        text.push('}');
        text.into()
    }
}

/// An event with this type and this body as `data`.
pub(in crate::api) fn with_type(kind: &str, data: &[u8]) -> Result<Bytes, Refusal> {
    let data = json(data)?;
    Ok(Envelope { kind: kind.to_owned(), data: data.get(), ..Envelope::default() }.write())
}

/// A body as one JSON value.
pub(super) fn json(body: &[u8]) -> Result<&RawValue, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::new("not_json", format!("the body is not JSON: {error}; send one JSON value"))
    })
}

/// An event type from words that another system chose: every other character becomes `_`.
pub(super) fn event_type(text: &str) -> Result<String, Refusal> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let segment = |segment: &str| segment.trim().chars().map(plain).collect::<String>();
    let segments = text.split('.').map(segment).filter(|segment| !segment.is_empty());
    let mut kind = segments.collect::<Vec<_>>().join(".");
    kind.truncate(MAX_TYPE);
    let kind = kind.trim_end_matches('.').to_owned();
    if kind.is_empty() {
        return Err(Refusal::new("bad_type", "the body gives no event type; check the source"));
    }
    Ok(kind)
}

/// A time as another system writes it, in Unix seconds: RFC 3339, seconds, or milliseconds.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    /// Larger numbers are milliseconds: in seconds, this is the year 5138.
    const LARGEST_SECONDS: f64 = 1e11;
    match value {
        Value::String(text) => {
            let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
            Some(time.timestamp()).filter(|seconds| *seconds >= 0)
        }
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| *number >= 0.0)?;
            let seconds = if number > LARGEST_SECONDS { number / 1000.0 } else { number };
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
            Some(seconds as i64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_other_systems_become_event_types() {
        let of = |text: &str| event_type(text).map_err(|refusal| refusal.code);
        assert_eq!(of("com.github.push").as_deref(), Ok("com.github.push"));
        assert_eq!(of("order created/v1").as_deref(), Ok("order_created_v1"));
        assert_eq!(of("..a..b.").as_deref(), Ok("a.b"));
        assert_eq!(of(". ."), Err("bad_type"));
        assert_eq!(of(&"x.".repeat(100)).unwrap().len(), 127);
    }

    #[test]
    fn times_are_read_in_the_usual_forms() {
        assert_eq!(seconds(&json!("2024-12-26T16:00:00Z")), Some(1_735_228_800));
        assert_eq!(seconds(&json!("2024-12-26T17:00:00.5+01:00")), Some(1_735_228_800));
        assert_eq!(seconds(&json!(1_735_228_800)), Some(1_735_228_800));
        assert_eq!(seconds(&json!(1_735_228_800_123_i64)), Some(1_735_228_800));
        for bad in [json!("yesterday"), json!(-1), json!(null), json!("1950-01-01T00:00:00Z")] {
            assert_eq!(seconds(&bad), None, "{bad}");
        }
    }

    #[test]
    fn data_keeps_its_bytes() {
        let data = br#" {"n":12345678901234567890.10, "a" :1} "#;
        let event = with_type("a.b", data).unwrap();
        let expected = r#"{"type":"a.b","data":{"n":12345678901234567890.10, "a" :1}}"#;
        assert_eq!(event, expected.as_bytes());
        assert_eq!(with_type("a.b", b"{} {}").unwrap_err().code, "not_json");
    }
}
