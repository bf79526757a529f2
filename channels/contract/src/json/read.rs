//! From text to [`Json`].
//!
//! The reader accepts what `serde_json` accepts, up to the same depth. It is separate because
//! `serde_json` shows a number's text only with a feature that changes all other types.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use super::{Json, Object};

/// Deepest nesting, as in `serde_json`.
const MAX_DEPTH: usize = 128;

impl Json {
    /// The value that a text contains. `None` if it is not JSON.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }
}

/// From JSON text only: other formats have no text for a number.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        Self::parse(raw.get().as_bytes()).ok_or_else(|| D::Error::custom(Unreadable))
    }
}

struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value is nested deeper than {MAX_DEPTH} levels, or is not JSON")
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether this byte is next, after which it is read.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        self.space();
        match self.peek()? {
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'"' => self.string().map(Json::Text),
            b'[' if depth < MAX_DEPTH => self.list(depth),
            b'{' if depth < MAX_DEPTH => self.object(depth),
            b'-' | b'0'..=b'9' => self.number().map(|text| Json::Number(text.into())),
            _ => None,
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        self.space();
        let mut items = Vec::new();
        if self.take(b']') {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Some(Json::List(items));
            }
            self.take(b',').then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        self.space();
        let mut fields = Vec::new();
        if self.take(b'}') {
            return Some(Json::Object(Object::default()));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.take(b':').then_some(())?;
            fields.push((key, self.value(depth + 1)?));
            self.space();
            if self.take(b'}') {
                return Some(Json::Object(Object::new(fields)));
            }
            self.take(b',').then_some(())?;
        }
    }

    fn string(&mut self) -> Option<Box<str>> {
        let begin = self.at;
        self.take(b'"').then_some(())?;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = &self.text[begin..self.at];
        if escaped {
            return serde_json::from_str::<String>(quoted).ok().map(Into::into);
        }
        Some(quoted[1..quoted.len() - 1].into())
    }

    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }

    fn number(&mut self) -> Option<&'t str> {
        let begin = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(&self.text[begin..self.at])
    }
}
