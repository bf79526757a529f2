//! Where one `{{…}}` ends, and how deeply it is nested, exactly as handlebars reads it.
//!
//! Everything that is checked before handlebars parses a template relies on this. It follows
//! handlebars' grammar: quotes with escapes, `[…]` in paths, lists and objects as literals.

use crate::limits::DEPTH;

/// An expression at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Its length, including `}}`.
    pub(crate) length: usize,
    /// Most levels of parentheses, lists, and objects.
    pub(crate) depth: usize,
}

const OPEN: &str = "an expression is not closed; add `}}`";
const QUOTE: &str = "an expression has a quote that is not closed; close the quote and add `}}`";

/// Reads the expression at the start of `text`, which begins with `{{`.
pub(crate) fn read(text: &str) -> Result<Tag, &'static str> {
    let bytes = text.as_bytes();
    let (mut at, mut open, mut depth) = (2, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' | b'\'' => string(bytes, at).ok_or(QUOTE)?,
            b'[' if matches!(bytes[at - 1], b'.' | b'/') => key(bytes, at),
            b'[' | b'{' => {
                let mut levels = 0;
                match literal(bytes, at, 1, &mut levels) {
                    Some(end) => {
                        depth = depth.max(open + levels);
                        end
                    }
                    // More levels than are allowed, so what follows does not matter.
                    None if levels > DEPTH => {
                        return Ok(Tag { length: bytes.len(), depth: levels });
                    }
                    None if byte == b'[' => key(bytes, at),
                    None => at + 1,
                }
            }
            b'(' => {
                open += 1;
                depth = depth.max(open);
                at + 1
            }
            b')' => {
                open = open.saturating_sub(1);
                at + 1
            }
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Ok(Tag { length: at + 2, depth }),
            _ => at + 1,
        };
    }
    Err(OPEN)
}

/// The end of the string that begins at `at`.
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes[at];
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The end of the key in brackets that begins at `at`. It has no escapes.
fn key(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| byte == b']').map_or(at + 1, |end| at + end + 1)
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the literal at `at`. `None` if there is none, or if it has too many levels.
fn literal(bytes: &[u8], at: usize, level: usize, levels: &mut usize) -> Option<usize> {
    let close = match *bytes.get(at)? {
        b'"' | b'\'' => return string(bytes, at),
        b'[' => b']',
        b'{' => b'}',
        _ => return scalar(bytes, at),
    };
    *levels = level.max(*levels);
    if level > DEPTH {
        return None;
    }
    let mut next = space(bytes, at + 1);
    let mut first = true;
    loop {
        if bytes.get(next) == Some(&close) {
            return Some(next + 1);
        }
        if bytes.get(next) == Some(&b',') {
            next = space(bytes, next + 1);
        } else if !first {
            return None;
        }
        first = false;
        if close == b'}' {
            if !matches!(bytes.get(next)?, b'"' | b'\'') {
                return None;
            }
            next = space(bytes, string(bytes, next)?);
            if bytes.get(next) != Some(&b':') {
                return None;
            }
            next = space(bytes, next + 1);
        }
        next = space(bytes, literal(bytes, next, level + 1, levels)?);
    }
}

/// The end of `null`, `true`, `false`, or the number at `at`.
fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let word = [&b"null"[..], b"true", b"false"].into_iter().find(|word| rest.starts_with(word));
    let end = match word {
        Some(word) => at + word.len(),
        None => number(bytes, at)?,
    };
    let follows = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_$:".contains(byte) || *byte > 127;
    (!bytes.get(end).is_some_and(follows)).then_some(end)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |at: usize| {
        at + bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let minus = |at: usize| at + usize::from(bytes.get(at) == Some(&b'-'));
    let start = minus(at);
    let mut end = digits(start);
    if end == start {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if bytes.get(end) == Some(&b'E') {
        let exponent = minus(end + 1);
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_ends_where_handlebars_ends_it() {
        for (source, depth) in [
            ("{{a}}", 0),
            ("{{a (b (c d) (e f))}}", 2),
            (r#"{{a "}} \" (((("}}"#, 0),
            ("{{a '}} \\' \"'}}", 0),
            ("{{a.[}} \"(].b}}", 0),
            ("{{[a}}\"] 1}}", 0),
            (r#"{{f [1, "]}}", [-2.5E-3, null]]}}"#, 2),
            (r#"{{f {"a": {"}}": [true]}}}}"#, 3),
            ("{{f {}}}", 1),
        ] {
            let tag = read(&format!("{source}}}}} \"")).unwrap();
            assert_eq!(tag, Tag { length: source.len(), depth }, "{source}");
        }
        for open in ["{{a", "{{a \"}}", "{{a (b}", "{{a.[}}"] {
            assert!(read(open).is_err() || open.contains('['), "{open}");
        }
    }

    #[test]
    fn levels_are_counted_without_recursion_past_the_limit() {
        for (open, count) in [("(", 300_000), ("[", 300_000), ("{\"a\":", 300_000)] {
            let source = format!("{{{{f {}1", open.repeat(count));
            let read = read(&source);
            assert!(read.is_err() || read.is_ok_and(|tag| tag.depth > DEPTH), "{open}");
        }
    }
}
