//! JSON merge patches (RFC 7396).

use serde_json::{Map, Value};

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
    fn null_removes_a_field_and_objects_are_merged() {
        let mut target = map(&json!({"a": 1, "b": {"c": 2, "d": 3}, "e": "x"}));
        merge(&mut target, &map(&json!({"a": null, "b": {"c": null, "f": 4}, "e": {"g": 5}})));
        assert_eq!(Value::Object(target), json!({"b": {"d": 3, "f": 4}, "e": {"g": 5}}));
    }
}
