//! JSON as a producer wrote it: numbers keep every digit.
//!
//! `serde_json::Value` turns integers beyond 64 bits and all decimals into `f64`, so
//! `12345678901234567890123` and `300.00000000000001` come out changed. Filters, templates and views
//! of events use [`Json`] instead. `docs/decisions` says why this is a type of its own and not
//! `serde_json`'s feature `arbitrary_precision`.

mod object;
mod read;
mod write;

pub use object::Object;
pub use write::shown_number;

/// A JSON value whose numbers are kept as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exactly as it was written: `1.50`, `1E5`, `12345678901234567890123`.
    Number(Box<str>),
    /// Text without its escapes.
    Text(Box<str>),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

static NULL: Json = Json::Null;

impl Json {
    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The whole number, if this is one that fits.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.parse().ok() } else { None }
    }

    /// The elements, if this is an array.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The fields, if this is an object.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The field with this name, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The value at a dotted path such as `data.session_id`.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, key| value.get(key))
    }

    /// Whether this is neither an array nor an object.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Object(_))
    }
}

/// The field with this name, or null.
impl std::ops::Index<&str> for Json {
    type Output = Json;

    fn index(&self, key: &str) -> &Json {
        self.get(key).unwrap_or(&NULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn numbers_keep_every_digit_and_their_notation() {
        for number in [
            "0",
            "-0",
            "-0.0",
            "1.50",
            "1E5",
            "1e5",
            "1e+5",
            "300.00000000000001",
            "1e-400",
            "18446744073709551616",
            "12345678901234567890123",
        ] {
            assert_eq!(parse(number), Json::Number(number.into()));
            assert_eq!(parse(&format!("[{number}]")).to_string(), format!("[{number}]"));
            let pretty = serde_json::to_string_pretty(&parse(&format!(r#"{{"n":{number}}}"#)));
            assert_eq!(pretty.unwrap(), format!("{{\n  \"n\": {number}\n}}"));
        }
    }

    #[test]
    fn a_number_is_shown_as_it_was_written() {
        let shown = parse(r#"[1, -2.5, 1.50, 1e5, 18446744073709551616, "1.50", {"n": 0.10}]"#);
        let expected = serde_json::json!([
            1, -2.5, "1.50", "1e5", "18446744073709551616", "1.50", {"n": "0.10"}
        ]);
        assert_eq!(shown.shown(), expected);
    }

    #[test]
    fn every_other_value_is_read_and_written_as_serde_json_does() {
        for text in [
            r#"{"a":[1,{"b":null}],"c":true,"d":false,"e":"x","":{},"f":[]}"#,
            r#"["\"\\\/\b\f\n\r\t","\u0041\ud83d\ude00é😀","\u0000"]"#,
            " { \"a\" :\n[ 1 ,\t2 ] } ",
            r#""""#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text).to_string(), expected.to_string());
            let from_serde: Json = serde_json::from_str(text).unwrap();
            assert_eq!(from_serde, parse(text));
        }
    }

    #[test]
    fn what_is_not_json_is_not_read() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "-",
            "nul",
            "\"",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "1 2",
            "[1 2]",
            "NaN",
            "\u{feff}1",
        ] {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), None);
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::parse(deep(128).as_bytes()).is_some());
        assert_eq!(Json::parse(deep(129).as_bytes()), None);
    }

    #[test]
    fn large_objects_are_searched_as_small_ones_are() {
        let fields: Vec<String> = (0..5_000).map(|n| format!("\"k{n}\":{n}")).collect();
        let object = parse(&format!("{{{}}}", fields.join(",")));
        for n in [0, 1, 17, 4_999] {
            assert_eq!(object[format!("k{n}").as_str()].as_i64(), Some(n));
        }
        assert_eq!(object.get("k5000"), None);
        // As in serde_json, the last of two fields with one name counts.
        assert_eq!(parse(r#"{"a":1,"a":2}"#)["a"].as_i64(), Some(2));
        assert_eq!(parse(r#"{"a":{"b":3}}"#).at("a.b").and_then(Json::as_i64), Some(3));
    }
}
