//! The text of a TOML file: read as UTF-8, and with the lines and columns of its keys and values, so
//! that every message names its place.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A position in a file, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The text of a file, or where it is not UTF-8.
pub fn utf8(bytes: Vec<u8>) -> Result<String, Position> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        position(&before, before.len())
    })
}

/// The position of a byte.
pub fn position(text: &str, byte: usize) -> Position {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position { line, column }
}

/// One step of a path: a key, or a position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// A position in a list, from 0.
    Index(usize),
}

/// The steps of a dotted path such as `retry[2]`, `digest.schedule` or `to.0`.
pub fn steps(path: &str) -> Vec<Step> {
    let words = path.split(['.', '[', ']']).filter(|word| !word.is_empty());
    let step = |word: &str| word.parse().map_or_else(|_| Step::Key(word.to_owned()), Step::Index);
    words.map(step).collect()
}

/// Where a path is in a file: its key, or the nearest part of it that exists.
pub fn find(text: &str, path: &[Step]) -> Option<Position> {
    let document = DeTable::parse(text).ok()?;
    let root = document.get_ref();
    let mut found = None;
    let mut value = Node::Table(root);
    for step in path {
        let Some((place, next)) = value.step(step) else { break };
        found = Some(place);
        value = Node::of(next);
    }
    found.map(|place| position(text, place.start))
}

/// Whether a text is TOML at all.
pub fn is_toml(text: &str) -> bool {
    DeTable::parse(text).is_ok()
}

/// The path of the key or value at a byte, such as `email.host`.
pub fn path_at(text: &str, byte: usize) -> String {
    let Ok(document) = DeTable::parse(text) else { return String::new() };
    let mut path = String::new();
    walk(document.get_ref(), byte, &mut path);
    path
}

fn walk(table: &DeTable<'_>, byte: usize, path: &mut String) {
    // The table that is written last wins: `[a.b]` lies outside of the span of `[a]`.
    let mut best: Option<(&str, &Spanned<DeValue<'_>>)> = None;
    for (key, value) in table {
        let covers = key.span().contains(&byte) || contains(value, byte);
        if covers {
            best = Some((key.get_ref(), value));
        }
    }
    let Some((key, value)) = best else { return };
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
    match value.get_ref() {
        DeValue::Table(inner) => walk(inner, byte, path),
        DeValue::Array(items) => {
            let nth = items.iter().position(|item| contains(item, byte));
            if let Some(nth) = nth {
                let shown = nth.to_string();
                path.extend(["[", shown.as_str(), "]"]);
                if let Some(DeValue::Table(inner)) = items.get(nth).map(Spanned::get_ref) {
                    walk(inner, byte, path);
                }
            }
        }
        _ => {}
    }
}

/// Whether a value or anything in it covers a byte.
fn contains(value: &Spanned<DeValue<'_>>, byte: usize) -> bool {
    if value.span().contains(&byte) {
        return true;
    }
    match value.get_ref() {
        DeValue::Table(table) => {
            table.iter().any(|(key, value)| key.span().contains(&byte) || contains(value, byte))
        }
        DeValue::Array(items) => items.iter().any(|item| contains(item, byte)),
        _ => false,
    }
}

enum Node<'n, 'i> {
    Table(&'n DeTable<'i>),
    List(&'n [Spanned<DeValue<'i>>]),
    Leaf,
}

impl<'n, 'i> Node<'n, 'i> {
    fn of(value: &'n DeValue<'i>) -> Self {
        match value {
            DeValue::Table(table) => Self::Table(table),
            DeValue::Array(items) => Self::List(items),
            _ => Self::Leaf,
        }
    }

    fn step(&self, step: &Step) -> Option<(Range<usize>, &'n DeValue<'i>)> {
        match (self, step) {
            (Self::Table(table), step) => {
                let wanted = match step {
                    Step::Key(key) => key.clone(),
                    Step::Index(index) => index.to_string(),
                };
                let (key, value) = table.iter().find(|(key, _)| **key.get_ref() == *wanted)?;
                Some((key.span(), value.get_ref()))
            }
            (Self::List(items), Step::Index(index)) => {
                let item = items.get(*index)?;
                Some((item.span(), item.get_ref()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[email]\nhost = 'x'\n\n[[destination]]\nid = \"b\"\n\
                        retry = [\"5s\", \"x\"]\ndigest = { schedule = \"y\" }\n";

    fn at(path: &str) -> Option<(usize, usize)> {
        find(TEXT, &steps(path)).map(|place| (place.line, place.column))
    }

    #[test]
    fn a_path_has_a_line_and_a_column() {
        assert_eq!(at("a"), Some((1, 1)));
        assert_eq!(at("email.host"), Some((3, 1)));
        assert_eq!(at("destination[0].retry[1]"), Some((7, 16)));
        assert_eq!(at("destination[0].digest.schedule"), Some((8, 12)));
        // The nearest part that exists.
        assert_eq!(at("destination[0].retry[7]"), Some((7, 1)));
        assert_eq!(at("nothing"), None);
    }

    #[test]
    fn a_byte_has_a_path() {
        let of = |what: &str| path_at(TEXT, TEXT.find(what).unwrap());
        assert_eq!(of("'x'"), "email.host");
        assert_eq!(of("\"x\""), "destination[0].retry[1]");
        assert_eq!(of("\"y\""), "destination[0].digest.schedule");
    }

    #[test]
    fn a_file_that_is_not_utf8_names_the_place() {
        assert_eq!(utf8(b"a = 'x'\nb = 'caf\xe9'".to_vec()), Err(Position { line: 2, column: 9 }));
    }
}
