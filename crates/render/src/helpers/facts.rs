//! Any object as a table of labels and values. `_default` shows events with it that have no template
//! of their own.

use serde_json::{Value, json};

use super::args::{Args, Function};
use super::dates::date;
use super::numbers::duration;
use super::text::{humanize, show};
use super::written;
use crate::escape;

/// Objects below this level are shown on one line.
const DEPTH: usize = 4;
/// Most characters of a value.
const VALUE: usize = 500;
/// Most characters of a label.
const LABEL: usize = 80;

pub(super) const HELPERS: &[(&str, Function)] = &[("facts", facts)];

fn facts(args: &Args<'_, '_>) -> Result<Value, String> {
    let value = args.get(0)?;
    let limit = args.size("limit", 1, 40).clamp(1, 200);
    let mut rows = Rows { list: Vec::new(), limit, left: 0 };
    match value {
        Value::Object(_) => rows.flatten("", value, 0),
        Value::Null => {}
        other => rows.add("Value", "", other),
    }
    if rows.left > 0 {
        let value = format!("{} not shown", rows.left);
        rows.list.push(json!({ "label": "More fields", "value": value }));
    }
    Ok(Value::Array(rows.list))
}

struct Rows {
    list: Vec<Value>,
    limit: usize,
    left: usize,
}

impl Rows {
    fn flatten(&mut self, prefix: &str, value: &Value, depth: usize) {
        let Value::Object(fields) = value else { return };
        // A label is copied into the labels below it.
        let prefix = &*escape::truncate(prefix, LABEL);
        for (key, value) in fields {
            // `metadata` wraps the tenant's own fields. As a label it has no meaning for a reader.
            let name = if key == "metadata" && depth == 0 { String::new() } else { humanize(key) };
            let label = match (prefix, name.as_str()) {
                ("", _) => name,
                (_, "") => prefix.to_owned(),
                _ => format!("{prefix}: {}", lower_first(&name)),
            };
            match value {
                Value::Null => {}
                Value::Object(inner) if inner.is_empty() => {}
                Value::Array(items) if items.is_empty() => {}
                Value::Object(_) if depth < DEPTH => self.flatten(&label, value, depth + 1),
                Value::Array(items) if depth < DEPTH && items.iter().any(Value::is_object) => {
                    for (at, item) in items.iter().enumerate() {
                        let label = format!("{label} {}", at + 1);
                        match item {
                            Value::Object(_) => self.flatten(&label, item, depth + 1),
                            other => self.add(&label, key, other),
                        }
                    }
                }
                other => self.add(&label, key, other),
            }
        }
    }

    fn add(&mut self, label: &str, key: &str, value: &Value) {
        if self.list.len() >= self.limit {
            self.left += 1;
            return;
        }
        let label = if label.is_empty() { "Details" } else { label };
        let value = readable(key, value);
        let label = escape::truncate(label, LABEL);
        let value = escape::truncate(&value, VALUE);
        self.list.push(json!({ "label": label, "value": value }));
    }
}

/// The value as text. The name of the field shows whether it is a duration, a time, or a code.
fn readable(key: &str, value: &Value) -> String {
    let key = key.to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| key.ends_with(ending));
    match value {
        ms if ends(&["duration_ms", "elapsed_ms", "latency_ms"]) => {
            written::as_f64(ms).map_or_else(|| show(ms), duration)
        }
        Value::Number(_) | Value::String(_)
            if ends(&["_at", "_on", "date", "time", "timestamp", "created"]) =>
        {
            date(value, None, true).unwrap_or_else(|| show(value))
        }
        Value::String(word)
            if ends(&["status", "decision", "outcome", "result", "reason", "state", "level"]) =>
        {
            humanize(word)
        }
        other => show(other),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // An abbreviation keeps its capitals.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_uppercase() => {
            text.to_owned()
        }
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        (None, _) => String::new(),
    }
}
