//! Choosing among values, and fields that may be missing.

use serde_json::Value;

use super::args::{Args, Function};

/// What a choice returns.
pub(super) enum Pick {
    /// The parameter at this index.
    Parameter(usize),
    Null,
}

/// Chooses among a helper's parameters, or says what is wrong with them.
pub(super) type Selector = fn(&Args<'_, '_>) -> Result<Pick, String>;

/// Choices for which a missing field is null.
pub(super) const OPTIONAL: &[(&str, Selector)] = &[
    ("opt", |_| Ok(Pick::Parameter(0))),
    ("default", |args| Ok(Pick::Parameter(usize::from(!has(args.get(0)?))))),
];

/// Choices for which a missing field is an error.
pub(super) const SELECTORS: &[(&str, Selector)] = &[
    ("first", |args| Ok(args.all().position(has).map_or(Pick::Null, Pick::Parameter))),
    ("choose", |args| {
        Ok(match args.get(0)? {
            Value::Null => Pick::Null,
            Value::Bool(true) => Pick::Parameter(1),
            _ => Pick::Parameter(2),
        })
    }),
];

pub(super) const TESTS: &[(&str, Function)] = &[("has", |args| Ok(has(args.get(0)?).into()))];

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
