//! From bytes to an event: one pass over the JSON, strict where receivers would disagree.
//!
//! Parsers differ on duplicate keys (first or last wins), so an event with one could pass a filter
//! here and mean something else at the receiver: it is refused at any depth. The body is kept as
//! the producer wrote it; what was absent (`id`, `created`) is put in front.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::Event;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::Refusal;

/// Bounds on one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest envelope in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of objects and arrays, the envelope itself being 1.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 * 1024, max_depth: 64 }
    }
}

/// What the envelope gets where the producer left it out.
pub struct Fill<'a> {
    /// Makes an id. The same entry must get the same one again after a crash.
    pub id: &'a dyn Fn() -> String,
    /// Unix milliseconds of arrival.
    pub received_ms: i64,
}

/// Checks a tenant's name as a producer gives it: 1 to 64 of `a-z 0-9 - _`.
pub fn tenant_id(raw: &[u8]) -> Result<&str, Refusal> {
    let valid = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    match std::str::from_utf8(raw) {
        Ok(text) if (1..=64).contains(&text.len()) && raw.iter().all(valid) => Ok(text),
        _ => Err(Refusal::new(
            "bad_tenant",
            "the tenant must be 1 to 64 characters of a-z, 0-9, - and _",
        )),
    }
}

/// Takes one event in.
#[expect(clippy::needless_pass_by_value, reason = "the event keeps a count of it, not a copy")]
pub fn decode(
    tenant: &Arc<str>,
    raw: Bytes,
    limits: Limits,
    fill: &Fill<'_>,
) -> Result<Event, Refusal> {
    if raw.len() > limits.max_bytes {
        return Err(Refusal::new(
            "too_large",
            format!(
                "the event has {} bytes, the limit is {}; send a reference to the large part",
                raw.len(),
                limits.max_bytes
            ),
        ));
    }
    let text = std::str::from_utf8(&raw).map_err(|error| {
        let at = error.valid_up_to();
        Refusal::new("not_utf8", format!("byte {at} is not UTF-8; events are JSON in UTF-8"))
    })?;
    let head = scan(text, limits)?;
    let kind = head.kind.ok_or_else(|| missing("type", "\"kyc.session.created\""))?;
    if !head.has_data {
        return Err(missing("data", "{}"));
    }
    let (id, id_given) = match head.id {
        Some(id) => (id.into_owned(), true),
        None => ((fill.id)(), false),
    };
    let created = head.created.unwrap_or(fill.received_ms / 1000);
    let kind: Arc<str> = kind.into();
    let body = if id_given && head.created.is_some() {
        raw.clone()
    } else {
        completed(text, (!id_given).then_some(&id), head.created.is_none().then_some(created))
    };
    Ok(Event::new(tenant.clone(), id.into(), kind, created, fill.received_ms, body))
}

fn missing(field: &str, example: &str) -> Refusal {
    Refusal::new(
        "missing_field",
        format!("`{field}` is missing; add for example \"{field}\": {example}"),
    )
}

/// The envelope with what was absent put first; the rest stays as the producer wrote it.
fn completed(text: &str, id: Option<&String>, created: Option<i64>) -> Bytes {
    let rest = text.trim_start().strip_prefix('{').unwrap_or_default();
    let mut body = String::with_capacity(text.len() + 64);
    body.push('{');
    if let Some(id) = id {
        // Ids are made of characters that need no escape.
        body.push_str("\"id\":\"");
        body.push_str(id);
        body.push_str("\",");
    }
    if let Some(created) = created {
        body.push_str("\"created\":");
        body.push_str(itoa::Buffer::new().format(created));
        body.push(',');
    }
    body.push_str(rest.trim_start());
    body.into()
}

/// What the router needs of the envelope.
#[derive(Default)]
struct Head<'a> {
    id: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    created: Option<i64>,
    has_data: bool,
}

fn scan(text: &str, limits: Limits) -> Result<Head<'_>, Refusal> {
    let refusal = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let walk = Walk { refusal: &refusal, limits };
    let result = Envelope(walk).deserialize(&mut json).and_then(|head| json.end().map(|()| head));
    result.map_err(|error| {
        refusal.take().unwrap_or_else(|| {
            Refusal::new("not_json", format!("not a JSON object as an event must be: {error}"))
        })
    })
}

/// Carries the limits down and the refusal up: serde's errors hold text only.
#[derive(Clone, Copy)]
struct Walk<'w> {
    refusal: &'w RefCell<Option<Refusal>>,
    limits: Limits,
}

impl Walk<'_> {
    fn refuse<E: serde::de::Error>(&self, code: &'static str, message: String) -> E {
        *self.refusal.borrow_mut() = Some(Refusal::new(code, message));
        E::custom(code)
    }

    fn duplicate<E: serde::de::Error>(&self, key: &str) -> E {
        let key: String = key.chars().take(64).collect();
        let message =
            format!("the key `{key}` stands twice in one object; receivers would disagree on it");
        self.refuse("duplicate_key", message)
    }
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

fn check_id(id: &str) -> Result<(), Refusal> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    if (1..=128).contains(&id.len()) && id.bytes().all(valid) {
        return Ok(());
    }
    Err(Refusal::new(
        "bad_id",
        "`id` must be 1 to 128 characters of A-Z, a-z, 0-9, _, - and :, for example \
         \"evt_01hq3\"; leave it out to have one made",
    ))
}

fn check_type(kind: &str) -> Result<(), Refusal> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let segment = |segment: &str| !segment.is_empty() && segment.bytes().all(valid);
    if kind.len() <= 128 && kind.split('.').all(segment) {
        return Ok(());
    }
    Err(Refusal::new(
        "bad_type",
        "`type` must be words of A-Z, a-z, 0-9, _ and - joined by full stops, at most 128 \
         characters, for example \"kyc.session.created\"",
    ))
}

/// A string with a check.
struct Field<'w>(Walk<'w>, &'static str, fn(&str) -> Result<(), Refusal>);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        let Field(walk, name, check) = self;
        let text = TextSeed.deserialize(json).map_err(|error: D::Error| {
            walk.refuse::<D::Error>("wrong_type", format!("`{name}` must be a string: {error}"))
        })?;
        check(&text).map_err(|refusal| walk.refuse::<D::Error>(refusal.code, refusal.message))?;
        Ok(text)
    }
}

/// Unix seconds.
struct Created<'w>(Walk<'w>);

impl<'de> DeserializeSeed<'de> for Created<'_> {
    type Value = i64;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<i64, D::Error> {
        let walk = self.0;
        let seconds = <i64 as serde::Deserialize>::deserialize(json).map_err(|error| {
            let message = format!("`created` must be a whole number of Unix seconds: {error}");
            walk.refuse::<D::Error>("wrong_type", message)
        })?;
        // The year 5138 in seconds, or 1973 in milliseconds: nobody means the first.
        if (0..100_000_000_000).contains(&seconds) {
            return Ok(seconds);
        }
        let message = format!("`created` is {seconds}; it must be Unix seconds, not milliseconds");
        Err(walk.refuse("bad_created", message))
    }
}

/// The event's data: an object.
struct Data<'w>(Walk<'w>);

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let refusal = self.0.refusal;
        json.deserialize_map(StrictVisitor { walk: self.0, depth: 2 }).map_err(|error| {
            refusal.borrow_mut().get_or_insert_with(|| {
                Refusal::new("wrong_type", format!("`data` must be a well-formed object: {error}"))
            });
            error
        })
    }
}

/// Any JSON, checked for depth and duplicate keys, kept nowhere.
#[derive(Clone, Copy)]
struct Strict<'w> {
    walk: Walk<'w>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(StrictVisitor { walk: self.walk, depth: self.depth })
    }
}

struct StrictVisitor<'w> {
    walk: Walk<'w>,
    depth: usize,
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

/// As many keys as most objects have at the most.
const FEW: usize = 16;

/// The keys of one object: a short list, then a set, so that small objects allocate nothing and
/// large ones are not quadratic.
#[derive(Default)]
struct Keys<'a> {
    few: SmallVec<[Cow<'a, str>; FEW]>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// False when it was there.
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
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
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        TextSeed.deserialize(json).map(Text)
    }
}

struct TextSeed;

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

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
