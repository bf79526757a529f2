//! Values as people read them: text, lists, numbers, durations.

use std::borrow::Cow;

use serde_json::Value;

use super::super::escape;
use super::{Args, Choice, Function};

/// Says that a field may be missing.
pub(super) const OPT: &str = "opt";

/// Helpers that take a missing field for null, and give one of their parameters back.
pub(super) const LENIENT: [(&str, Choice); 2] = [
    (OPT, |args| args.get(0).map(|_| Some(0))),
    ("default", |args| Ok(Some(usize::from(!has(args.get(0)?))))),
];

/// Likewise, but a missing field is an error.
pub(super) const PICKED: [(&str, Choice); 2] = [
    ("first", |args| Ok(args.all().position(has))),
    ("choose", |args| {
        Ok(match args.get(0)? {
            Value::Null => None,
            Value::Bool(true) => Some(1),
            _ => Some(2),
        })
    }),
];

/// Helpers for which a missing field is an error. All pass null on.
pub(super) const STRICT: [(&str, Function); 21] = [
    ("has", |args| Ok(has(args.get(0)?).into())),
    ("list", |args| Ok(list(args.get(0)?))),
    ("entries", |args| Ok(entries(args.get(0)?, args.size("limit", 1, 40)))),
    ("concat", |args| Ok(args.all().map(show).collect::<String>().into())),
    ("of100", |args| numeric(args, |score| format!("{} of 100", number(score)))),
    ("text", |args| limited(args, 1000, escape::clean)),
    ("line", |args| limited(args, 300, escape::one_line)),
    ("humanize", |args| text(args, humanize)),
    ("humanize_all", |args| {
        let items = list(args.get(0)?);
        let words = items.as_array().into_iter().flatten().map(|item| humanize(&show(item)));
        Ok(words.map(Value::from).collect())
    }),
    ("upper_first", |args| text(args, upper_first)),
    ("upper", |args| text(args, str::to_uppercase)),
    ("truncate", |args| {
        text(args, |text| escape::truncate(text, args.size("limit", 1, 80)).into_owned())
    }),
    ("short", |args| text(args, short)),
    ("number", |args| numeric(args, number)),
    ("percent", |args| numeric(args, percent)),
    ("duration_ms", |args| numeric(args, duration)),
    ("plural", plural),
    ("join", |args| {
        let items = list(args.get(0)?);
        let items: Vec<_> = items.as_array().into_iter().flatten().map(show).collect();
        Ok(items.join(args.text(1).unwrap_or(", ")).into())
    }),
    ("pad", |args| {
        let width = args.size("width", 1, 20).min(80);
        text(args, |text| format!("{text:width$}"))
    }),
    ("sum", |args| Ok(args.all().filter_map(Value::as_u64).sum::<u64>().into())),
    ("rule", |args| Ok("-".repeat(args.size("width", 0, 60).min(80)).into())),
];

fn has(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn list(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        value if has(value) => Value::Array(vec![value.clone()]),
        _ => Value::Array(Vec::new()),
    }
}

/// What a loop with `@key` can go through: fields, or items by number.
fn entries(value: &Value, limit: usize) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().take(limit).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        other => {
            let items = list(other);
            let items = items.as_array().into_iter().flatten().take(limit).enumerate();
            items.map(|(at, item)| ((at + 1).to_string(), item.clone())).collect()
        }
    }
}

/// The shown text, at most `limit` characters of it. What is far beyond the limit is not even
/// looked at.
fn limited(
    args: &Args<'_>,
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

/// Applies `change` to the text of the first parameter.
fn text(args: &Args<'_>, change: impl Fn(&str) -> String) -> Result<Value, String> {
    match args.get(0)? {
        Value::Null => Ok(Value::Null),
        value => Ok(change(&shown(value)).into()),
    }
}

/// Applies `change` to a number; what is none is shown as it is.
fn numeric(args: &Args<'_>, change: fn(f64) -> String) -> Result<Value, String> {
    Ok(match args.get(0)? {
        Value::Number(number) => change(number.as_f64().unwrap_or_default()).into(),
        other => other.clone(),
    })
}

/// A value on paper: yes or no, lists joined, the fields of an object named.
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

/// Longest text that is put together out of a nested value.
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

/// Abbreviations that are not words.
const ABBREVIATIONS: [&str; 24] = [
    "kyc", "aml", "pep", "id", "ids", "url", "api", "mrz", "ofac", "un", "eu", "ip", "ttl", "ssn",
    "vat", "iban", "utc", "sla", "smtp", "http", "dob", "uk", "us", "kyb",
];

/// `snake_case`, `SHOUTING` and `dotted.types` as words; other text stays as it is.
pub(crate) fn humanize(text: &str) -> String {
    let code = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !code || text.len() > 120 {
        return text.to_owned();
    }
    let shouts = !text.bytes().any(|b| b.is_ascii_lowercase());
    let mut out = String::with_capacity(text.len() + 8);
    for word in text.split(['_', '.']).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        let start = out.len();
        if ABBREVIATIONS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            out.push_str(word);
            out[start..].make_ascii_uppercase();
        } else if shouts {
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

/// The first group of a UUID; of other long ids the first characters.
fn short(id: &str) -> String {
    let is_uuid = id.len() == 36 && id.bytes().filter(|&b| b == b'-').count() == 4;
    if is_uuid {
        id[..8].to_owned()
    } else {
        escape::truncate(&escape::one_line(id), 24).into_owned()
    }
}

/// Thousands are set apart by a narrow space, as ISO 31-0 has it; at most two decimals.
pub(super) fn number(value: f64) -> String {
    let plain = format!("{:.2}", value.abs());
    let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut grouped = String::with_capacity(plain.len() + 8);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    let decimals = decimals.trim_end_matches('0');
    let sign = if value < 0.0 && (grouped != "0" || !decimals.is_empty()) { "-" } else { "" };
    let point = if decimals.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{decimals}")
}

fn percent(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 10.0;
    format!("{rounded}%")
}

/// `850 ms`, `1.3 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn duration(ms: f64) -> String {
    if ms < 1000.0 {
        return format!("{ms:.0} ms");
    }
    if ms < 10_000.0 {
        return format!("{} s", (ms / 100.0).round() / 10.0);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; saturates"
    )]
    let seconds = (ms / 1000.0).round() as u64;
    let pair = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn plural(args: &Args<'_>) -> Result<Value, String> {
    let count = args.get(0)?;
    let one = args.text(1).ok_or("the word for one is needed")?;
    let many = args.text(2).map_or_else(|| format!("{one}s"), str::to_owned);
    Ok(match count.as_f64() {
        Some(count) if (count - 1.0).abs() < f64::EPSILON => format!("1 {one}").into(),
        Some(count) => format!("{} {many}", number(count)).into(),
        None => count.clone(),
    })
}

pub(super) fn url(args: &Args<'_>) -> Result<Value, String> {
    let address = args.get(0)?.as_str().ok_or("an address is needed")?;
    match url::Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url.as_str().into()),
        _ => Err("not an http(s) address".to_owned()),
    }
}

/// The fields that tell what an event is about, and a name for it, for lists of many.
pub(crate) fn summary(data: &Value) -> (Option<String>, Option<String>) {
    const NAMES: [&str; 8] = [
        "/subject/full_name",
        "/metadata/user_name",
        "/watchlist_name",
        "/name",
        "/full_name",
        "/title",
        "/destination",
        "/document_type",
    ];
    const IDS: [&str; 7] = [
        "/session_id",
        "/job_id",
        "/subject/identifier",
        "/watchlist_id",
        "/document_id",
        "/delivery",
        "/id",
    ];
    let find = |paths: &[&str]| {
        let value = paths.iter().find_map(|path| data.pointer(path).filter(|value| has(value)))?;
        match value {
            Value::Array(_) | Value::Object(_) => None,
            scalar => Some(escape::truncate(&escape::one_line(&show(scalar)), 80).into_owned()),
        }
    };
    (find(&NAMES), find(&IDS).map(|id| short(&id)))
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

    #[test]
    fn numbers_are_grouped_and_durations_have_units() {
        assert_eq!(number(5000.0), "5\u{202f}000");
        assert_eq!(number(1_234_567.5), "1\u{202f}234\u{202f}567.5");
        assert_eq!(number(-12.0), "-12");
        assert_eq!(percent(0.991), "99.1%");
        assert_eq!(duration(184_220.0), "3 min 4 s");
        assert_eq!(duration(1250.0), "1.3 s");
        assert_eq!(duration(850.0), "850 ms");
        assert_eq!(duration(90_061_000.0), "1 d 1 h");
    }
}
