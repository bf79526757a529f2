//! Numbers that a template gets as text, because `serde_json` would write them differently: `1.50`,
//! `1e5`, `12345678901234567890123`.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// The number, if the value is one, in either form.
pub(super) fn as_f64(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => written(text)?.as_f64(),
        _ => None,
    }
}

/// The number's text, if the value is one, in either form.
pub(super) fn digits(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => written(text).map(|_| text.clone()),
        _ => None,
    }
}

/// The number that a text is. Text that a number would be shown as, such as `15`, is text.
fn written(text: &str) -> Option<Number> {
    let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let number = starts.then(|| serde_json::from_str::<Number>(text).ok())??;
    (number.to_string() != text && text.trim_end().len() == text.len()).then_some(number)
}

/// Whether two values are equal. A number in text equals the same number.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    let is_written = |value: &Value| value.is_string() && as_f64(value).is_some();
    if a == b || !(is_written(a) || is_written(b)) {
        return a == b;
    }
    let (a, b) = (as_f64(a), as_f64(b));
    a.zip(b).is_some_and(|(a, b)| a.partial_cmp(&b) == Some(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_in_text_is_a_number_and_other_text_is_not() {
        for text in ["1.50", "1e5", "-0.00", "12345678901234567890123", "300.00000000000001"] {
            assert!(as_f64(&json!(text)).is_some(), "{text}");
            assert_eq!(digits(&json!(text)).as_deref(), Some(text));
        }
        for text in ["15", "1.5", "", "one", "1.50 EUR", " 1.50", "1.50 ", "+1.50", "0x10"] {
            assert_eq!(as_f64(&json!(text)), None, "{text}");
        }
        assert!(equal(&json!("1500.50"), &json!(1500.5)) && equal(&json!(2), &json!(2)));
        assert!(!equal(&json!("1500.50"), &json!("1500.5")) && !equal(&json!("15"), &json!(15)));
    }
}
