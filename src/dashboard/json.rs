//! JSON as a page shows it: indented, with every number and string as its producer wrote it.
//!
//! The text is not parsed into values, because numbers beyond 64 bits and long decimals would
//! change. It is valid JSON already: it comes from the API.

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// `k` for a key, `v` for a string, and empty for everything else.
    pub(super) class: &'static str,
    pub(super) text: String,
}

/// Splits JSON into pieces, with line breaks and indentation between them.
pub(super) fn pieces(json: &str) -> Vec<Piece> {
    let mut printer = Printer { pieces: Vec::new(), depth: 0 };
    let mut rest = json.trim();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string(rest),
            '{' | '[' => {
                let inner = rest[1..].trim_start();
                if inner.starts_with(['}', ']']) {
                    // An empty object or list stays on its line.
                    printer.push("", &format!("{first}{}", &inner[..1]));
                    rest = inner[1..].trim_start();
                    continue;
                }
                printer.depth += 1;
                printer.push("", &rest[..1]);
                printer.line();
                1
            }
            '}' | ']' => {
                printer.depth = printer.depth.saturating_sub(1);
                printer.line();
                printer.push("", &rest[..1]);
                1
            }
            ',' => {
                printer.push("", ",");
                printer.line();
                1
            }
            ':' => {
                printer.push("", ": ");
                1
            }
            _ => {
                let end = rest.find([',', '}', ']', ' ', '\n', '\r', '\t']);
                let end = end.unwrap_or(rest.len()).max(first.len_utf8());
                printer.push("", &rest[..end]);
                end
            }
        };
        if first == '"' {
            let is_key = rest[length..].trim_start().starts_with(':');
            printer.push(if is_key { "k" } else { "v" }, &rest[..length]);
        }
        rest = rest[length..].trim_start();
    }
    printer.pieces
}

/// The length of the string that begins here, with both quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

struct Printer {
    pieces: Vec<Piece>,
    depth: usize,
}

impl Printer {
    fn push(&mut self, class: &'static str, text: &str) {
        match self.pieces.last_mut() {
            Some(last) if last.class == class => last.text += text,
            _ => self.pieces.push(Piece { class, text: text.to_owned() }),
        }
    }

    fn line(&mut self) {
        let line = format!("\n{}", "  ".repeat(self.depth));
        self.push("", &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        pieces(json).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn numbers_and_strings_stay_as_they_were_written() {
        let json = r#"{"n":12345678901234567890123,"d":300.00000000000001,"s":"a\"b\\","e":{},"l":[1, []]}"#;
        let expected = "{\n  \"n\": 12345678901234567890123,\n  \"d\": 300.00000000000001,\n  \
                        \"s\": \"a\\\"b\\\\\",\n  \"e\": {},\n  \"l\": [\n    1,\n    []\n  ]\n}";
        assert_eq!(text(json), expected);
    }

    #[test]
    fn keys_and_strings_have_their_classes() {
        let classes: Vec<_> = pieces(r#"{"k":"v","n":1}"#)
            .into_iter()
            .filter(|piece| !piece.class.is_empty())
            .map(|piece| (piece.class, piece.text))
            .collect();
        let expected = [("k", "\"k\""), ("v", "\"v\""), ("k", "\"n\"")];
        assert_eq!(classes, expected.map(|(class, text)| (class, text.to_owned())));
    }

    #[test]
    fn what_is_not_json_does_not_hang() {
        for odd in ["", "\"", "{\"a", "\u{e9}", "}}}}", "[", ":,:"] {
            let _ = text(odd);
        }
    }
}
