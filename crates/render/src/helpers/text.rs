//! Text as people read it: values as text, codes as words, long text cut.

use std::borrow::Cow;

use serde_json::Value;

use super::args::{Args, Function};
use crate::escape;

pub(super) const HELPERS: &[(&str, Function)] = &[
    ("text", |args| limited(args, 1000, escape::clean)),
    ("line", |args| limited(args, 300, escape::one_line)),
    ("concat", |args| Ok(args.all().map(show).collect::<String>().into())),
    ("humanize", |args| changed(args, humanize)),
    ("upper_first", |args| changed(args, upper_first)),
    ("upper", |args| changed(args, str::to_uppercase)),
    ("truncate", |args| {
        changed(args, |text| escape::truncate(text, args.size("limit", 1, 80)).into_owned())
    }),
    ("short", |args| changed(args, short)),
    ("pad", |args| {
        let width = args.size("width", 1, 20).min(80);
        changed(args, |text| format!("{text:width$}"))
    }),
    ("rule", |args| Ok("-".repeat(args.size("width", 0, 60).min(80)).into())),
];

/// The `url` helper: an http or https address, unchanged.
pub(super) fn url(args: &Args<'_, '_>) -> Result<Value, String> {
    const EXPECTED: &str = "the parameter must be an address that starts with https:// or http://";
    let address = args.get(0)?.as_str().ok_or(EXPECTED)?;
    match url::Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url.as_str().into()),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// The value as text, with at most `limit` characters. Text far beyond the limit is not read.
fn limited(
    args: &Args<'_, '_>,
    default: usize,
    change: fn(&str) -> Cow<'_, str>,
) -> Result<Value, String> {
    let limit = args.size("limit", 1, default).min(SHOWN);
    let shown = shown(args.get(0)?);
    let near = &shown[..shown.floor_char_boundary(limit * 8 + 64)];
    let mut text = escape::truncate(&change(near), limit).into_owned();
    if near.len() < shown.len() && !text.ends_with('…') {
        text.push('…');
    }
    Ok(text.into())
}

/// Applies `change` to the text of the first parameter. Null stays null.
fn changed(args: &Args<'_, '_>, change: impl Fn(&str) -> String) -> Result<Value, String> {
    match args.get(0)? {
        Value::Null => Ok(Value::Null),
        value => Ok(change(&shown(value)).into()),
    }
}

/// A value as text: `Yes` or `No`, lists joined, the fields of an object with their names.
pub(crate) fn show(value: &Value) -> String {
    shown(value).into_owned()
}

fn shown(value: &Value) -> Cow<'_, str> {
    if let Value::String(text) = value {
        return text.into();
    }
    let mut out = String::new();
    push_shown(&mut out, value, 0);
    out.into()
}

/// About the most bytes of text that a nested value becomes.
const SHOWN: usize = 16 * 1024;

fn push_shown(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => {}
        Value::Bool(true) => out.push_str("Yes"),
        Value::Bool(false) => out.push_str("No"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if out.len() > SHOWN {
                    return;
                }
                out.push_str(if at == 0 { "" } else { ", " });
                push_nested(out, item, depth);
            }
        }
        Value::Object(fields) => {
            for (at, (key, value)) in fields.iter().enumerate() {
                if out.len() > SHOWN {
                    return;
                }
                out.push_str(if at == 0 { "" } else { "; " });
                out.push_str(&humanize(key));
                out.push_str(": ");
                push_nested(out, value, depth);
            }
        }
    }
}

fn push_nested(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(_) | Value::Object(_) if depth >= 6 => out.push('…'),
        Value::Array(_) | Value::Object(_) => {
            out.push('(');
            push_shown(out, value, depth + 1);
            out.push(')');
        }
        scalar => push_shown(out, scalar, depth),
    }
}

/// Words that are written in capital letters.
const ABBREVIATIONS: [&str; 24] = [
    "kyc", "aml", "pep", "id", "ids", "url", "api", "mrz", "ofac", "un", "eu", "ip", "ttl", "ssn",
    "vat", "iban", "utc", "sla", "smtp", "http", "dob", "uk", "us", "kyb",
];

/// The title of an event type.
pub(crate) fn title(kind: &str) -> String {
    humanize(kind.strip_prefix("fanfare.").unwrap_or(kind))
}

/// `snake_case`, `UPPER_CASE`, and `dotted.types` as words. Other text stays as it is.
pub(crate) fn humanize(text: &str) -> String {
    let code = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !code || text.len() > 120 {
        return text.to_owned();
    }
    let capitals = !text.bytes().any(|b| b.is_ascii_lowercase());
    let mut out = String::with_capacity(text.len() + 8);
    for word in text.split(['_', '.']).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        let start = out.len();
        if ABBREVIATIONS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            out.push_str(word);
            out[start..].make_ascii_uppercase();
        } else if capitals {
            out.push_str(word);
            out[start..].make_ascii_lowercase();
        } else {
            push_camel(&mut out, word);
        }
    }
    if let Some(first) = out.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    out
}

/// `fullName` → `full name`.
fn push_camel(out: &mut String, word: &str) {
    let mut was_lower = false;
    for c in word.chars() {
        if c.is_ascii_uppercase() && was_lower {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
        was_lower = c.is_ascii_lowercase();
    }
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The first group of a UUID, or the first 24 characters of another id.
pub(crate) fn short(id: &str) -> String {
    let is_uuid = id.len() == 36 && id.bytes().filter(|&b| b == b'-').count() == 4;
    if is_uuid {
        id[..8].to_owned()
    } else {
        escape::truncate(&escape::one_line(id), 24).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_words_and_words_stay() {
        for (code, words) in [
            ("IN_REVIEW", "In review"),
            ("possible_sanctions_match", "Possible sanctions match"),
            ("kyc.session.created", "KYC session created"),
            ("session_id", "Session ID"),
            ("fullName", "Full name"),
            ("tier-2", "Tier-2"),
            ("Documents verified by phone.", "Documents verified by phone."),
            ("<b>PEP</b> & \"relative\"", "<b>PEP</b> & \"relative\""),
            ("大久保", "大久保"),
            ("", ""),
        ] {
            assert_eq!(humanize(code), words);
        }
    }
}
