//! The API's answers for people: tables of lists, lines of single things; JSON for scripts.

#![expect(clippy::unnecessary_wraps, reason = "what is shown last is how a command ends")]

use serde_json::{Map, Value, json};

use super::{Done, events, output};

/// A list: one column a head and the path in an item.
pub(super) fn list(as_json: bool, data: &Value, columns: &[(&str, &str)]) -> Done {
    if as_json {
        output::json(data);
        return Ok(());
    }
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut table = output::table(&heads);
    // Some lists stand under their own name.
    let items = data.as_object().and_then(|map| map.values().find_map(Value::as_array));
    for item in items.or_else(|| data.as_array()).into_iter().flatten() {
        table.add_row(columns.iter().map(|(_, path)| at(item, path)));
    }
    output::print_table(&table);
    events::more(data["next_cursor"].as_str());
    Ok(())
}

/// `a/b` of an item, as text.
fn at(item: &Value, path: &str) -> String {
    let value = path.split('/').try_fold(item, |value, key| value.get(key));
    value.map(|value| text(path, value)).unwrap_or_default()
}

/// One thing.
pub(super) fn one(as_json: bool, data: &Value) -> Done {
    if as_json {
        output::json(data);
    } else if let Some(map) = data.as_object() {
        fields(map, 0);
    }
    Ok(())
}

fn fields(map: &Map<String, Value>, indent: usize) {
    let width = map.keys().map(String::len).max().unwrap_or(0);
    for (key, value) in map {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                output::line(format!("{:indent$}{key}", ""));
                fields(inner, indent + 2);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                output::line(format!("{:indent$}{key}", ""));
                for item in items.iter().filter_map(Value::as_object) {
                    fields(item, indent + 2);
                    output::line("");
                }
            }
            Value::String(long) if long.contains('\n') => {
                output::line(format!("{:indent$}{key}", ""));
                output::line(long);
            }
            value => {
                let text = text(key, value);
                output::line(format!("{:indent$}{key:width$}  {text}", "").trim_end());
            }
        }
    }
}

/// One value; what ends in `_ms` is a time.
fn text(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if name.ends_with("_ms") && !name.ends_with("took_ms") => {
            number.as_i64().map_or_else(|| number.to_string(), output::time)
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(|item| text(name, item)).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// A text of an answer.
pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time of an answer.
pub(super) fn time(value: &Value) -> String {
    value.as_i64().map(output::time).unwrap_or_default()
}

/// Something was done to `id`, and there is nothing more to show.
pub(super) fn done(as_json: bool, id: &str, word: &str) -> Done {
    if as_json {
        output::json(&json!({"id": id, word: true}));
    } else {
        output::line(format!("{id}: {word}"));
    }
    Ok(())
}

/// What was made just now is shown this once.
pub(super) fn once(as_json: bool, id: &str, word: &str, data: &Value) -> Done {
    if as_json {
        output::json(data);
        return Ok(());
    }
    output::line(format!("{id}: {word}"));
    for (field, value) in data["shown_once"].as_object().into_iter().flatten() {
        output::line(format!("  {field} = {}", text(field, value)));
        output::note("  this was made now and is shown once; keep it");
    }
    Ok(())
}
