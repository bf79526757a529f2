//! Any object as a table of labels and values: how an event is shown that nobody wrote a template for.

use serde_json::{Value, json};

use super::dates::date;
use super::values::{duration, humanize, show};
use super::{Args, Function};

/// Deeper objects are shown on one line.
const DEPTH: usize = 4;
/// Longest value, in characters.
const VALUE: usize = 500;
/// Longest label, in characters.
const LABEL: usize = 80;

pub(super) const HELPERS: [(&str, Function); 2] = [("facts", facts), ("chunk", chunk)];

fn facts(args: &Args<'_>) -> Result<Value, String> {
    let value = args.get(0)?;
    let limit = args.size("limit", 1, 40).clamp(1, 200);
    let mut rows = Rows { list: Vec::new(), limit, left: 0 };
    match value {
        Value::Object(_) => rows.flatten("", value, 0),
        Value::Null => {}
        other => rows.add("Value", "", other),
    }
    if rows.left > 0 {
        let label = "More".to_owned();
        let value = format!("{} fields are not shown here", rows.left);
        rows.list.push(json!({ "label": label, "value": value }));
    }
    Ok(Value::Array(rows.list))
}

fn chunk(args: &Args<'_>) -> Result<Value, String> {
    let items = args.get(0)?.as_array().ok_or("a list is needed")?;
    let size = args.size("size", 1, 10).max(1);
    Ok(items.chunks(size).map(|chunk| Value::Array(chunk.to_vec())).collect())
}

struct Rows {
    list: Vec<Value>,
    limit: usize,
    left: usize,
}

impl Rows {
    fn flatten(&mut self, prefix: &str, value: &Value, depth: usize) {
        let Value::Object(fields) = value else { return };
        for (key, value) in fields {
            // `metadata` only wraps what the tenant added; as a word it tells a reader nothing.
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
        let label = super::escape::truncate(label, LABEL);
        let value = super::escape::truncate(&value, VALUE);
        self.list.push(json!({ "label": label, "value": value }));
    }
}

/// A value as its field's name suggests to read it.
fn readable(key: &str, value: &Value) -> String {
    let key = key.to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| key.ends_with(ending));
    match value {
        Value::Number(ms) if ends(&["duration_ms", "elapsed_ms", "latency_ms"]) => {
            ms.as_f64().map_or_else(|| ms.to_string(), duration)
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
        // An abbreviation stays one.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_uppercase() => {
            text.to_owned()
        }
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        (None, _) => String::new(),
    }
}
