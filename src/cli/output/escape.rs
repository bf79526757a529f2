//! Escapes characters that a terminal executes, or that change how the text around them is shown.
//!
//! Such a character in an event or a name could retitle the window, hide lines, or answer for the
//! person at the keyboard. It is shown as its number instead: `\u{1b}`, in JSON `\u001b`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use fanfare_contract::is_display_control;

/// Whether a text keeps this character: the line feed and the tab only move the cursor.
fn is_kept(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

/// Appends a character as text.
pub(super) fn push(text: &mut String, c: char) {
    if is_display_control(c) && !is_kept(c) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
    } else {
        text.push(c);
    }
}

/// The text with every such character escaped. The end of a line may be CRLF.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_display_control(c) && !is_kept(c)) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\r', Some('\n')) => escaped.push(c),
            _ => push(&mut escaped, c),
        }
    }
    escaped.into()
}

/// As [`text`], for a text that has escape sequences of its own.
pub(super) fn text_with_colors(text: &str) -> Cow<'_, str> {
    const ESCAPE: char = '\u{1b}';
    if !text.contains(|c| is_display_control(c) && !is_kept(c) && c != ESCAPE) {
        return text.into();
    }
    let parts = text.split(ESCAPE).map(self::text);
    parts.collect::<Vec<_>>().join("\u{1b}").into()
}

/// JSON that means the same and has no such character. JSON escapes the C0 controls by itself, and
/// outside of strings it has only the blanks.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    let is_special = |c: char| is_display_control(c) && !matches!(c, '\n' | '\t' | '\r');
    if !text.contains(is_special) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_special(c) {
            // All of them are in the basic plane, so one unit of UTF-16 is enough.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// A writer that escapes JSON as [`json`]. A character can be split between two pieces.
pub(super) struct JsonWriter<W> {
    inner: W,
    /// The beginning of a character whose end has not come yet.
    cut: Vec<u8>,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, cut: Vec::new() }
    }
}

impl<W: Write> Write for JsonWriter<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.cut.extend_from_slice(piece);
        let bytes = std::mem::take(&mut self.cut);
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.inner.write_all(json(text).as_bytes())?;
                    return Ok(piece.len());
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    let valid = std::str::from_utf8(valid).unwrap_or_default();
                    self.inner.write_all(json(valid).as_bytes())?;
                    let Some(length) = error.error_len() else {
                        self.cut = after.to_vec();
                        return Ok(piece.len());
                    };
                    // JSON is UTF-8, so this never happens.
                    self.inner.write_all("\u{fffd}".as_bytes())?;
                    rest = &after[length..];
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_a_terminal_executes_is_shown_as_its_number() {
        for (raw, shown) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31mred", "\\u{9b}31mred"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("over\rwritten", "over\\u{d}written"),
            ("a\u{8}b\u{7f}", "a\\u{8}b\\u{7f}"),
            ("two\r\nlines\tand a tab\n", "two\r\nlines\tand a tab\n"),
            ("大久保 – Ōkubo 🎉", "大久保 – Ōkubo 🎉"),
        ] {
            assert_eq!(text(raw), shown);
        }
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value =
            json!({"a\u{9b}": ["\u{1b}[2J\u{202e}\u{2028}\u{7f}\u{85}", "大\t\n\r", {"b": "🎉"}]});
        for raw in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = json(&raw);
            assert!(!escaped.contains(|c| is_display_control(c) && c != '\n'), "{escaped}");
            assert!(escaped.contains("\\u009b") && escaped.contains("\\u202e"), "{escaped}");
            assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
        }
    }

    #[test]
    fn pieces_are_escaped_wherever_they_begin() {
        let raw = "{\"a\":\"\u{202e}大\u{9b}\"}\n";
        for size in 1..raw.len() {
            let mut writer = JsonWriter::new(Vec::new());
            raw.as_bytes().chunks(size).for_each(|piece| writer.write_all(piece).unwrap());
            let written = String::from_utf8(writer.inner).unwrap();
            assert_eq!(written, "{\"a\":\"\\u202e大\\u009b\"}\n", "pieces of {size}");
        }
    }
}
