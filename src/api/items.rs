//! Parts of a large JSON body, as they were written and without parsing the rest into memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::answer::ApiError;
use crate::event::Text;

/// The most items of a list, and whether there were more.
pub(super) struct Limit {
    pub(super) max: usize,
    pub(super) exceeded: Cell<bool>,
}

impl Limit {
    pub(super) fn new(max: usize) -> Self {
        Self { max, exceeded: Cell::new(false) }
    }
}

/// A list of events. Reading stops at the first item beyond the limit: a list of tiny values would
/// otherwise take many times the memory of its text.
pub(super) struct Items<'l>(pub(super) &'l Limit);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == self.0.max {
                self.0.exceeded.set(true);
                return Err(A::Error::custom("too many events"));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// The items of a list with 1 to `max` events.
pub(super) fn bounded<'b>(
    what: &str,
    list: &'b [u8],
    max: usize,
) -> Result<Vec<&'b RawValue>, ApiError> {
    let limit = Limit::new(max);
    let mut json = serde_json::Deserializer::from_slice(list);
    let items = Items(&limit).deserialize(&mut json).and_then(|items| json.end().map(|()| items));
    let count = match items {
        Ok(items) if !items.is_empty() => return Ok(items),
        Ok(_) => "no",
        Err(_) if limit.exceeded.get() => "too many",
        Err(error) => {
            return Err(ApiError::invalid(
                "not_json",
                format!("{what} is not a JSON array: {error}"),
            ));
        }
    };
    let message = format!("{what} has {count} events; send 1 to {max} per request");
    Err(ApiError::invalid("bad_batch", message))
}

/// The value of a field of an object.
pub(super) fn field<'b>(object: &'b RawValue, key: &str) -> Option<&'b RawValue> {
    struct Field<'k>(&'k str);

    impl<'de> Visitor<'de> for Field<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Text(key)) = map.next_key()? {
                if key == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    let mut json = serde_json::Deserializer::from_str(object.get());
    (&mut json).deserialize_map(Field(key)).ok()?
}
