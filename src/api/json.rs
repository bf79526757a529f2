//! Checks a JSON body before it is parsed: no key may occur twice in one object, and the number of
//! values is bounded.
//!
//! Parsers disagree on which of two equal keys wins, so a proxy could check one and Fanfare use the
//! other. A parsed value takes up to 80 bytes for two bytes of text, so the size of a body bounds
//! its memory too loosely.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::answer::{ApiError, Detail};
use crate::event::{Keys, Text};

/// Most values in one body: enough for all settings of a large tenant.
const MAX_VALUES: usize = 250_000;

/// Checks a body. Whether it is JSON at all is for the parser to say.
pub(super) fn check(bytes: &[u8]) -> Result<(), ApiError> {
    let walk = Walk { duplicate: RefCell::default(), left: Cell::new(MAX_VALUES) };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    if Checked(&walk).deserialize(&mut json).is_ok() {
        return Ok(());
    }
    if let Some(path) = walk.duplicate.take() {
        let path = path.into_iter().rev().collect::<Vec<_>>().join(".");
        let message = format!("`{path}` occurs twice in the body; remove one of them");
        let details = vec![Detail::new(path, "occurs twice; remove one of them")];
        return Err(ApiError { details, ..ApiError::invalid("duplicate_key", message) });
    }
    if walk.left.get() == 0 {
        let message =
            format!("the body has more than {MAX_VALUES} values; send it in several requests");
        return Err(ApiError::invalid("too_many_values", message));
    }
    Ok(())
}

/// What all levels of one body share.
struct Walk {
    /// The path of a key that occurs twice, innermost first.
    duplicate: RefCell<Option<Vec<String>>>,
    /// How many values may still come.
    left: Cell<usize>,
}

/// One value of the body.
#[derive(Clone, Copy)]
struct Checked<'w>(&'w Walk);

impl Checked<'_> {
    /// Adds the outer part of the path to a failure on its way out.
    fn within<E>(self, place: impl FnOnce() -> String) -> impl FnOnce(E) -> E {
        move |error| {
            if let Some(path) = &mut *self.0.duplicate.borrow_mut() {
                path.push(place());
            }
            error
        }
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let left = self.0.left.get();
        if left == 0 {
            return Err(D::Error::custom("too many values"));
        }
        self.0.left.set(left - 1);
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
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
        let mut place = 0_usize;
        while seq.next_element_seed(self).map_err(self.within(|| place.to_string()))?.is_some() {
            place += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(Text(key)) = map.next_key()? {
            if !keys.insert(key.clone()) {
                *self.0.duplicate.borrow_mut() = Some(vec![short(&key)]);
                return Err(A::Error::custom("duplicate key"));
            }
            map.next_value_seed(self).map_err(self.within(|| short(&key)))?;
        }
        Ok(())
    }
}

fn short(key: &str) -> String {
    key.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> (&'static str, String) {
        match check(body.as_bytes()) {
            Ok(()) => ("ok", String::new()),
            Err(error) => (
                error.code,
                error.details.first().map_or_else(String::new, |one| one.field.clone()),
            ),
        }
    }

    #[test]
    fn a_key_that_occurs_twice_is_found_at_any_depth() {
        for (body, field) in [
            (r#"{"role":"reader","role":"admin"}"#, "role"),
            (r#"{"a":{"b":[1,{"c":1,"d":2,"c":3}]}}"#, "a.b.1.c"),
            (r#"[{"x":1,"\u0078":2}]"#, "0.x"),
        ] {
            assert_eq!(code(body), ("duplicate_key", field.to_owned()), "{body}");
        }
        for body in [r#"{"a":{"a":[{"a":1},{"a":1}]}}"#, "{", "", "nonsense", "null"] {
            assert_eq!(code(body).0, "ok", "{body}");
        }
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let list = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert_eq!(code(&list(MAX_VALUES - 1)).0, "ok");
        assert_eq!(code(&list(MAX_VALUES)).0, "too_many_values");
        assert_eq!(code(&list(4_000_000)).0, "too_many_values");
    }
}
