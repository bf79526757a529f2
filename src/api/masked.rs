//! Settings with masked secrets. A secret that is sent back masked keeps its value.

use serde_json::{Map, Value};

/// Restores masked values: wherever `new` repeats what was `shown`, it gets the value of `old`.
pub(super) fn keep_masked(
    new: &mut Map<String, Value>,
    shown: &Map<String, Value>,
    old: &Map<String, Value>,
) {
    for (key, value) in new {
        if let (Some(shown), Some(old)) = (shown.get(key), old.get(key)) {
            keep(value, shown, old);
        }
    }
}

fn keep(new: &mut Value, shown: &Value, old: &Value) {
    match (&mut *new, shown, old) {
        (Value::Object(new), Value::Object(shown), Value::Object(old)) => {
            keep_masked(new, shown, old);
        }
        (Value::Array(new), Value::Array(shown), Value::Array(old)) if new.len() == old.len() => {
            for ((new, shown), old) in new.iter_mut().zip(shown).zip(old) {
                keep(new, shown, old);
            }
        }
        (new, shown, old) if new == shown => *new = old.clone(),
        _ => {}
    }
}

/// Applies a JSON merge patch (RFC 7396).
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => _ = target.shift_remove(key),
            Value::Object(patch) => {
                let inner = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
                if !inner.is_object() {
                    *inner = Value::Object(Map::new());
                }
                if let Value::Object(inner) = inner {
                    merge(inner, patch);
                }
            }
            value => _ = target.insert(key.clone(), value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_masked_value_that_is_sent_back_keeps_the_stored_value() {
        let old = map(&json!({"secret": "whole", "headers": {"a": "1", "b": "2"}, "url": "x"}));
        let shown =
            map(&json!({"secret": "****", "headers": {"a": "***", "b": "***"}, "url": "x"}));
        let mut new =
            map(&json!({"secret": "****", "headers": {"a": "***", "b": "new"}, "url": "y"}));
        keep_masked(&mut new, &shown, &old);
        let expected = json!({"secret": "whole", "headers": {"a": "1", "b": "new"}, "url": "y"});
        assert_eq!(Value::Object(new), expected);
    }

    #[test]
    fn null_removes_a_field_and_objects_are_merged() {
        let mut target = map(&json!({"a": 1, "b": {"c": 2, "d": 3}, "e": "x"}));
        merge(&mut target, &map(&json!({"a": null, "b": {"c": null, "f": 4}, "e": {"g": 5}})));
        assert_eq!(Value::Object(target), json!({"b": {"d": 3, "f": 4}, "e": {"g": 5}}));
    }
}
