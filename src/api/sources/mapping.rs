//! Sources of the settings: paths say where the type, the id and the time of an event are.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Parts;
use super::envelope::{Envelope, event_type, json, seconds};
use crate::api::answer::ApiError;
use crate::api::items::{bounded, field};
use crate::event::Refusal;

/// Where the parts of an event are in a body. Paths are dotted.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// The event type, or the words before the value at `type_path`.
    pub kind: Option<String>,
    /// Where the event type is.
    pub type_path: Option<String>,
    /// Where the id is.
    pub id_path: Option<String>,
    /// Where the time is: RFC 3339, Unix seconds or milliseconds.
    pub created_path: Option<String>,
    /// Where a list is whose items are one event each.
    pub events_path: Option<String>,
}

impl Mapping {
    /// The events of a body.
    pub(super) fn events(&self, body: &Bytes, max_batch: usize) -> Result<Parts, ApiError> {
        let whole = json(body)?;
        let Some(path) = &self.events_path else { return Ok(Parts::One(self.event(whole)?)) };
        let list = at(whole, path).ok_or_else(|| wrong(path, "must be a list"))?;
        let items = bounded(&format!("`{path}`"), list.get().as_bytes(), max_batch)?;
        Ok(Parts::Several(items.into_iter().map(|item| self.event(item)).collect()))
    }

    fn event(&self, body: &RawValue) -> Result<Bytes, Refusal> {
        let kind = match (&self.kind, &self.type_path) {
            (kind, Some(path)) => {
                let found = at(body, path).and_then(|value| word(value.get()));
                let found = found.ok_or_else(|| wrong(path, "must be the event type, a string"))?;
                match kind {
                    Some(prefix) => format!("{prefix}.{found}"),
                    None => found,
                }
            }
            (kind, None) => kind.clone().unwrap_or_default(),
        };
        let id = match &self.id_path {
            Some(path) => {
                let id = at(body, path).and_then(|value| word(value.get()));
                Some(id.ok_or_else(|| wrong(path, "must be the id, a string or a number"))?)
            }
            None => None,
        };
        let created = match &self.created_path {
            Some(path) => {
                let value = at(body, path).and_then(|raw| serde_json::from_str(raw.get()).ok());
                let time = value.as_ref().and_then(seconds);
                let message = "must be a time: RFC 3339, or Unix seconds or milliseconds";
                Some(time.ok_or_else(|| wrong(path, message))?)
            }
            None => None,
        };
        let kind = event_type(&kind)?;
        Ok(Envelope { id, kind, created, more: Vec::new(), data: body.get() }.write())
    }
}

fn wrong(path: &str, message: &str) -> Refusal {
    Refusal::new("wrong_type", format!("`{path}` {message}, as the settings of the source say"))
}

/// The value at a dotted path.
fn at<'b>(value: &'b RawValue, path: &str) -> Option<&'b RawValue> {
    path.split('.').try_fold(value, field)
}

/// A string, or a number as it was written.
fn word(json: &str) -> Option<String> {
    match serde_json::from_str(json).ok()? {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(_) => Some(json.trim().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shop() -> Mapping {
        Mapping {
            kind: Some("shop".to_owned()),
            type_path: Some("event.name".to_owned()),
            id_path: Some("event.id".to_owned()),
            created_path: Some("event.at".to_owned()),
            events_path: None,
        }
    }

    fn read(parts: Parts) -> Vec<Result<Value, &'static str>> {
        let parts = match parts {
            Parts::One(one) => vec![Ok(one)],
            Parts::Several(several) => several,
        };
        let event = |bytes: Bytes| serde_json::from_slice(&bytes).expect("JSON");
        parts.into_iter().map(|one| one.map(event).map_err(|refusal| refusal.code)).collect()
    }

    #[test]
    fn paths_give_the_type_the_id_and_the_time() {
        let body = json!({"event": {"name": "order paid", "id": 17, "at": 1_735_228_800_500_i64}});
        let found = read(shop().events(&body.to_string().into(), 10).unwrap());
        let expected = json!({
            "id": "17", "type": "shop.order_paid", "created": 1_735_228_800, "data": body,
        });
        assert_eq!(found, [Ok(expected)]);
        for wrong in [json!({}), json!({"event": {"name": 1}}), json!({"event": {"name": "a"}})] {
            let refused = shop().events(&wrong.to_string().into(), 10);
            assert_eq!(refused.err().map(|error| error.code), Some("wrong_type"), "{wrong}");
        }
    }

    #[test]
    fn every_item_of_a_list_is_an_event() {
        let mapping = Mapping {
            kind: Some("sensor".to_owned()),
            events_path: Some("batch.items".to_owned()),
            id_path: Some("id".to_owned()),
            ..Mapping::default()
        };
        let body = json!({"batch": {"items": [{"id": "a"}, {}, {"id": "c"}]}}).to_string();
        let found = read(mapping.events(&body.clone().into(), 3).unwrap());
        assert_eq!(found[0].as_ref().unwrap()["data"], json!({"id": "a"}));
        assert_eq!(found[1], Err("wrong_type"));
        assert!(mapping.events(&body.into(), 2).is_err());
    }
}
