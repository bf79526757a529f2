//! Choosing among values, and fields that may be missing.

use serde_json::Value;

use super::args::Function;

/// Helpers for which a missing field is null.
pub(super) const OPTIONAL: &[(&str, Function)] = &[
    ("opt", |args| args.get(0).cloned()),
    ("default", |args| {
        let value = args.get(0)?;
        if has(value) { Ok(value.clone()) } else { args.get(1).cloned() }
    }),
];

pub(super) const HELPERS: &[(&str, Function)] = &[
    ("has", |args| Ok(has(args.get(0)?).into())),
    ("first", |args| Ok(args.all().find(|value| has(value)).cloned().unwrap_or_default())),
    ("choose", |args| match args.get(0)? {
        Value::Null => Ok(Value::Null),
        Value::Bool(true) => args.get(1).cloned(),
        _ => args.get(2).cloned(),
    }),
];

/// Whether there is something to show.
pub(crate) fn has(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}
