//! Checks any JSON value for depth and duplicate keys, without keeping it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::walk::Walk;

/// Any JSON value at a depth.
#[derive(Clone, Copy)]
pub(super) struct Strict<'w> {
    pub(super) walk: Walk<'w>,
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(StrictVisitor { walk: self.walk, depth: self.depth })
    }
}

pub(super) struct StrictVisitor<'w> {
    pub(super) walk: Walk<'w>,
    pub(super) depth: usize,
}

impl<'w> StrictVisitor<'w> {
    fn inner<E: serde::de::Error>(&self) -> Result<Strict<'w>, E> {
        let max = self.walk.limits.max_depth;
        if self.depth > max {
            let message = format!("the event is nested deeper than {max} levels; flatten it");
            return Err(self.walk.refuse("too_deep", message));
        }
        Ok(Strict { walk: self.walk, depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for StrictVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut keys = Keys::default();
        while let Some(Text(key)) = map.next_key()? {
            if !keys.insert(key.clone()) {
                return Err(self.walk.duplicate(&key));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// Most keys in the list. Most objects have fewer.
const FEW: usize = 16;

/// The keys of one object: first a short list, then a set. Small objects then need no allocation,
/// and large ones no quadratic time.
#[derive(Default)]
pub(crate) struct Keys<'a> {
    few: SmallVec<[Cow<'a, str>; FEW]>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// Returns false if the key is already present.
    pub(crate) fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&key) {
                return false;
            }
            if self.few.len() < FEW {
                self.few.push(key);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(key)
    }
}

/// A string, borrowed from the input where it has no escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        TextSeed.deserialize(json).map(Text)
    }
}

pub(super) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
