//! JSON as a page shows it: indented, with every number and string as its producer wrote it.
//!
//! The text is not parsed into values, because numbers beyond 64 bits and long decimals would
//! change. It is valid JSON already: it comes from the API.

/// Objects and lists that can be folded. A page with more of them shows the rest unfolded.
const MAX_FOLDS: usize = 300;

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// `k` for a key, `v` for a string, [`OPEN`] and [`CLOSE`] around what can be folded, and empty
    /// for everything else.
    pub(super) class: &'static str,
    pub(super) text: String,
}

/// The bracket after which a foldable part begins.
pub(super) const OPEN: &str = "open";
/// The end of a foldable part, before its bracket. It has no text.
pub(super) const CLOSE: &str = "close";

/// Splits JSON into pieces, with line breaks and indentation between them.
pub(super) fn pieces(json: &str) -> Vec<Piece> {
    let mut printer = Printer { pieces: Vec::new(), depth: 0, folds: Vec::new(), folded: 0 };
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
                printer.open(&rest[..1]);
                printer.line();
                1
            }
            '}' | ']' => {
                printer.close();
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
    /// For each object and list that is open, whether it can be folded.
    folds: Vec<bool>,
    folded: usize,
}

impl Printer {
    fn push(&mut self, class: &'static str, text: &str) {
        match self.pieces.last_mut() {
            Some(last) if last.class == class && class != OPEN && class != CLOSE => {
                last.text += text;
            }
            _ => self.pieces.push(Piece { class, text: text.to_owned() }),
        }
    }

    /// The whole value is not folded, what is in it can be.
    fn open(&mut self, bracket: &str) {
        let folds = self.depth > 0 && self.folded < MAX_FOLDS;
        self.folded += usize::from(folds);
        self.folds.push(folds);
        self.depth += 1;
        self.push(if folds { OPEN } else { "" }, bracket);
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        if self.folds.pop() == Some(true) {
            self.push(CLOSE, "");
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
    fn inner_values_can_be_folded_and_a_huge_one_has_a_bound() {
        let folds = |json: &str| {
            let all = pieces(json);
            let count = |class| all.iter().filter(|piece| piece.class == class).count();
            (count(OPEN), count(CLOSE))
        };
        assert_eq!(folds(r#"{"a":{"b":[1]},"c":{}}"#), (2, 2));
        assert_eq!(folds(&format!("[{}[1]]", "[1],".repeat(2_000))), (MAX_FOLDS, MAX_FOLDS));
    }

    #[test]
    fn what_is_not_json_does_not_hang() {
        for odd in ["", "\"", "{\"a", "\u{e9}", "}}}}", "[", ":,:"] {
            let _ = text(odd);
        }
    }
}
