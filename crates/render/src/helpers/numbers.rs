//! Numbers, counts, and durations as people read them.

use serde_json::Value;

use super::args::{Args, Function};
use super::written;

pub(super) const HELPERS: &[(&str, Function)] = &[
    ("number", |args| {
        let value = args.get(0)?;
        Ok(written::digits(value).map_or_else(|| value.clone(), |digits| grouped(&digits).into()))
    }),
    ("percent", |args| numeric(args, percent)),
    ("duration_ms", |args| numeric(args, duration)),
    ("of100", |args| numeric(args, |score| format!("{} of 100", number(score)))),
    ("plural", plural),
    ("sum", |args| Ok(args.all().filter_map(Value::as_u64).sum::<u64>().into())),
];

/// Applies `change` to a number. Any other value stays as it is.
fn numeric(args: &Args<'_, '_>, change: fn(f64) -> String) -> Result<Value, String> {
    let value = args.get(0)?;
    Ok(written::as_f64(value).map_or_else(|| value.clone(), |number| change(number).into()))
}

/// Most digits of a whole number that `f64` holds exactly.
const EXACT_DIGITS: usize = 15;

/// A number of any length in groups, with at most two decimals.
fn grouped(written: &str) -> String {
    let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
    let long = whole.len() > EXACT_DIGITS && !written.contains(['e', 'E']);
    if !long {
        return number(written.parse().unwrap_or_default());
    }
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let decimals = &decimals[..decimals.len().min(2)];
    separated(sign, whole, decimals)
}

/// At most two decimals.
fn number(value: f64) -> String {
    let plain = format!("{:.2}", value.abs());
    let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
    let is_zero = whole == "0" && decimals.bytes().all(|digit| digit == b'0');
    separated(if value < 0.0 && !is_zero { "-" } else { "" }, whole, decimals)
}

/// A narrow space separates thousands, as in ISO 80000-1.
fn separated(sign: &str, whole: &str, decimals: &str) -> String {
    let mut grouped = String::with_capacity(whole.len() * 2);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    let decimals = decimals.trim_end_matches('0');
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
        reason = "it is not negative, and the conversion saturates"
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

fn plural(args: &Args<'_, '_>) -> Result<Value, String> {
    let count = args.get(0)?;
    let one = args.text(1).ok_or("parameter 2 must be the word for one, such as \"match\"")?;
    let many = args.text(2).map_or_else(|| format!("{one}s"), str::to_owned);
    Ok(match written::as_f64(count) {
        Some(count) if (count - 1.0).abs() < f64::EPSILON => format!("1 {one}").into(),
        Some(count) => format!("{} {many}", number(count)).into(),
        None => count.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_durations_have_units() {
        assert_eq!(number(5000.0), "5\u{202f}000");
        assert_eq!(number(1_234_567.5), "1\u{202f}234\u{202f}567.5");
        assert_eq!(number(-12.0), "-12");
        assert_eq!((number(-0.001).as_str(), grouped("1.50").as_str()), ("0", "1.5"));
        assert_eq!(
            grouped("-9007199254740993.239"),
            "-9\u{202f}007\u{202f}199\u{202f}254\u{202f}740\u{202f}993.23"
        );
        assert_eq!(percent(0.991), "99.1%");
        assert_eq!(duration(184_220.0), "3 min 4 s");
        assert_eq!(duration(1250.0), "1.3 s");
        assert_eq!(duration(850.0), "850 ms");
        assert_eq!(duration(90_061_000.0), "1 d 1 h");
    }
}
