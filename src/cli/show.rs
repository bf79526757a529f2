//! Prints the API's data: tables for lists, fields for one resource, JSON for scripts.

#![expect(clippy::unnecessary_wraps, reason = "commands end with a call to these functions")]

use serde_json::{Map, Value, json};

use super::{CommandResult, output};

/// Prints a list. A column is a heading and the path of its value in an item.
pub(super) fn list(as_json: bool, data: &Value, columns: &[(&str, &str)]) -> CommandResult {
    if as_json {
        output::json(data);
        return Ok(());
    }
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut table = output::table(&headings);
    // Some lists are in `data`, some under a name of their own, and some are bare.
    let items = data.as_object().and_then(|map| map.values().find_map(Value::as_array));
    for item in items.or_else(|| data.as_array()).into_iter().flatten() {
        table.add_row(columns.iter().map(|(_, path)| value_at(item, path)));
    }
    output::print_table(&table);
    next_page(data);
    Ok(())
}

/// Says how to see the next page, if there is one.
pub(super) fn next_page(data: &Value) {
    if let Some(cursor) = data["next_cursor"].as_str() {
        output::note(output::dim(&format!("next page: --cursor {cursor}")));
    }
}

/// The value at `a/b` of an item, as text.
fn value_at(item: &Value, path: &str) -> String {
    let value = path.split('/').try_fold(item, |value, key| value.get(key));
    value.map(|value| text(path, value)).unwrap_or_default()
}

/// Prints one resource.
pub(super) fn one(as_json: bool, data: &Value) -> CommandResult {
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

/// A value as text. A number whose name ends in `_ms` is a time.
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

/// A text of the API's data; empty if it is not text.
pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time of the API's data.
pub(super) fn time(value: &Value) -> String {
    value.as_i64().map(output::time).unwrap_or_default()
}

/// The type of an event or a delivery, marked if its environment is `test`.
pub(super) fn event_type(one: &Value) -> String {
    let name = word(&one["type"]);
    if one["environment"] == "test" { format!("{name} (test)") } else { name }
}

/// The outcome of an attempt, and below it what the receiver said, indented.
pub(super) fn attempt(attempt: &Value, indent: usize) -> String {
    let status = attempt["status"].as_u64().map(|status| format!(" {status}"));
    let status = status.unwrap_or_default();
    let mut lines = format!("{}{status} in {} ms", word(&attempt["code"]), attempt["took_ms"]);
    for (label, field) in [("", "message"), ("answer: ", "answer")] {
        let text = word(&attempt[field]);
        if !text.is_empty() {
            lines = format!("{lines}\n{:indent$}{label}{text}", "");
        }
    }
    lines
}

/// Says what was done to a resource that has nothing more to show.
pub(super) fn done(as_json: bool, id: &str, participle: &str) -> CommandResult {
    if as_json {
        output::json(&json!({"id": id, participle: true}));
    } else {
        output::line(format!("{id}: {participle}"));
    }
    Ok(())
}

/// Says what was done to a resource, and shows the secrets that were generated for it.
pub(super) fn changed(as_json: bool, id: &str, participle: &str, data: &Value) -> CommandResult {
    if as_json {
        output::json(data);
        return Ok(());
    }
    output::line(format!("{id}: {participle}"));
    for (field, value) in data["shown_once"].as_object().into_iter().flatten() {
        output::line(format!("  {field} = {}", text(field, value)));
        output::note(format!("  Store the {field} now: it is not shown again."));
    }
    Ok(())
}

/// Says how many deliveries could not be replayed.
pub(super) fn skipped(count: u64) {
    if count > 0 {
        output::note(format!(
            "{count} were not replayed: their destination or recipient was removed, and no present \
             recipient is without the event"
        ));
    }
}

/// Says how many deliveries were replayed, and whether some are left.
pub(super) fn replayed(report: &Value) {
    output::line(format!("{} replayed", report["replayed"]));
    skipped(report["skipped"].as_u64().unwrap_or(0));
    if report["left"].as_u64().is_some_and(|left| left > 0) {
        output::note(format!(
            "{} more were not replayed; `fanfare replay` sends them",
            report["left"]
        ));
    }
}
