//! Scans an envelope: finds and checks the fields that the router needs.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::strict::{Keys, Strict, StrictVisitor, Text, TextSeed};
use super::walk::Walk;
use crate::event::limits::Limits;
use crate::event::names::{check_id, check_type};
use crate::event::refusal::Refusal;

/// The fields that the router needs.
#[derive(Default)]
pub(super) struct Head<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) created: Option<i64>,
    pub(super) has_data: bool,
}

/// Scans the text of an envelope.
pub(super) fn scan(text: &str, limits: Limits) -> Result<Head<'_>, Refusal> {
    let refusal = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let walk = Walk { refusal: &refusal, limits };
    let result = Envelope(walk).deserialize(&mut json).and_then(|head| json.end().map(|()| head));
    result.map_err(|error| {
        // Where the JSON itself is broken, what a field should have been does not matter.
        let is_broken = error.is_syntax() || error.is_eof();
        refusal.take().filter(|_| !is_broken).unwrap_or_else(|| {
            let message = format!("the event is not a valid JSON object: {error}");
            Refusal::new("not_json", message)
        })
    })
}

struct Envelope<'w>(Walk<'w>);

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = Head<'de>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object {id, type, created, data}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let walk = self.0;
        let mut head = Head::default();
        let mut keys = Keys::default();
        while let Some(Text(key)) = map.next_key()? {
            if !keys.insert(key.clone()) {
                return Err(walk.duplicate(&key));
            }
            match &*key {
                "id" => head.id = Some(map.next_value_seed(Field(walk, "id", check_id))?),
                "type" => head.kind = Some(map.next_value_seed(Field(walk, "type", check_type))?),
                "created" => head.created = Some(map.next_value_seed(Created(walk))?),
                "data" => {
                    head.has_data = true;
                    map.next_value_seed(Data(walk))?;
                }
                _ => map.next_value_seed(Strict { walk, depth: 2 })?,
            }
        }
        Ok(head)
    }
}

/// A string with a check.
struct Field<'w>(Walk<'w>, &'static str, fn(&str) -> Result<(), Refusal>);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        let Field(walk, name, check) = self;
        let text = TextSeed.deserialize(json).map_err(|error: D::Error| {
            walk.explain(error, |error| format!("`{name}` must be a string: {error}"))
        })?;
        check(&text).map_err(|refusal| walk.refuse::<D::Error>(refusal.code, refusal.message))?;
        Ok(text)
    }
}

/// The time of creation in Unix seconds.
struct Created<'w>(Walk<'w>);

impl<'de> DeserializeSeed<'de> for Created<'_> {
    type Value = i64;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<i64, D::Error> {
        let walk = self.0;
        let seconds = <i64 as serde::Deserialize>::deserialize(json).map_err(|error| {
            walk.explain(error, |error| {
                format!("`created` must be a whole number of Unix seconds: {error}")
            })
        })?;
        // The limit is the year 5138 in seconds, but 1973 in milliseconds. A larger number is
        // almost certainly in milliseconds.
        if (0..100_000_000_000).contains(&seconds) {
            return Ok(seconds);
        }
        let message = format!("`created` is {seconds}; it must be Unix seconds, not milliseconds");
        Err(walk.refuse("bad_created", message))
    }
}

/// The event's data, an object.
struct Data<'w>(Walk<'w>);

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let walk = self.0;
        json.deserialize_map(StrictVisitor { walk, depth: 2 }).map_err(|error| {
            walk.explain(error, |error| format!("`data` must be a JSON object: {error}"))
        })
    }
}
