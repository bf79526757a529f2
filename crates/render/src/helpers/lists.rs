//! Lists, for loops and for joining.

use serde_json::Value;

use super::args::Function;
use super::choice::has;
use super::text::{humanize, show};

/// Most bytes between the items of a list in a text. They are repeated for each item.
const BETWEEN: usize = 100;

pub(super) const HELPERS: &[(&str, Function)] = &[
    ("len", |args| {
        Ok(match args.get(0)? {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            Value::String(text) => text.len(),
            _ => 0,
        }
        .into())
    }),
    ("list", |args| Ok(list(args.get(0)?))),
    ("entries", |args| Ok(entries(args.get(0)?, args.size("limit", 1, 40)))),
    ("chunk", |args| {
        let items = args.get(0)?.as_array().ok_or("the first parameter must be a list")?;
        let size = args.size("size", 1, 10).max(1);
        Ok(items.chunks(size).map(|chunk| Value::Array(chunk.to_vec())).collect())
    }),
    ("join", |args| {
        let items = list(args.get(0)?);
        let items: Vec<_> = items.as_array().into_iter().flatten().map(show).collect();
        let between = args.text(1).unwrap_or(", ");
        if between.len() > BETWEEN {
            return Err(format!("the text between the items has more than {BETWEEN} bytes"));
        }
        Ok(items.join(between).into())
    }),
    ("humanize_all", |args| {
        let items = list(args.get(0)?);
        let words = items.as_array().into_iter().flatten().map(|item| humanize(&show(item)));
        Ok(words.map(Value::from).collect())
    }),
];

fn list(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        value if has(value) => Value::Array(vec![value.clone()]),
        _ => Value::Array(Vec::new()),
    }
}

/// An object for a loop with `@key`: the fields of an object, or the items of a list by number.
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
